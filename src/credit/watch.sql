-- Facts may pass a limit: they happened. That opens an exception, which closes as soon as the limit holds again.

-- credit_watch does the opening and closing of the exception over_limit for an account and those above it.
CREATE FUNCTION distsync_internal.credit_watch(account_id bigint, correlation_id uuid DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
	n integer := 0;
BEGIN
	FOR p IN SELECT x.*, c.code AS company FROM distsync_internal.credit_position(credit_watch.account_id, clock_timestamp()) x LEFT JOIN dist.company c ON c.company_id = x.company_id LOOP
		-- what is to come of it is being read: it looks again then
		CONTINUE WHEN p.headroom < 0 AND p.reading;
		IF p.headroom < 0 THEN
			PERFORM distsync_internal.base_exception('over_limit', p.code, 'credit', 'warning', p.company, 'credit_account', p.code,
				jsonb_build_object('terms', p.terms, 'exposure', p.exposure, 'limit', p.credit_limit), NULL, -p.headroom, p.currency, credit_watch.correlation_id);
			n := n + 1;
		ELSE
			PERFORM distsync_internal.base_exception_close('over_limit', p.code, 'within its limit again');
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_watch(bigint, uuid) IS 'Opens or closes the exception over_limit for an account and those above it. Returns how many are over their limit.';
