-- Prices, compared: what channels, orders and invoices charged against what we hold true now. check_prices() of pricing finds the causes;
-- here it becomes exceptions that open, are counted, and close by themselves.

-- reconcile_price_setting does the merging of the job's row with the options of one call, checked.
CREATE FUNCTION distsync_internal.reconcile_price_setting(job text, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	j sync.reconcile_job%ROWTYPE;
	known CONSTANT text[] := '{tolerance,grace:interval,lookback:interval,source:text,channel:text,customer:text,tax_rates:object,error_above}';
	s jsonb;
	wrong text;
	since timestamptz;
BEGIN
	SELECT * INTO STRICT j FROM sync.reconcile_job r WHERE r.code = job;
	PERFORM distsync_internal.base_options(options, known);
	PERFORM distsync_internal.base_options(j.options, known);
	s := jsonb_build_object('tolerance', j.tolerance, 'grace', j.grace, 'lookback', '31 days') || j.options || options;
	FOREACH wrong IN ARRAY '{tolerance,error_above}'::text[] LOOP
		IF s ? wrong AND NOT COALESCE(jsonb_typeof(s -> wrong) = 'number' AND (s ->> wrong)::numeric >= 0, false) THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "%s" must be a number of at least 0', wrong),
				DETAIL = format('Field: options.%s. Value: %s.', wrong, s -> wrong), HINT = 'Give a number, not a string.';
		END IF;
	END LOOP;
	-- what is open is looked at again, however old it is
	since := least(clock_timestamp() - (s ->> 'lookback')::interval, (SELECT min((e.details ->> 'charged_at')::timestamptz) FROM sync.exception e
		WHERE e.kind IN ('price_drift', 'below_contract') AND e.state IN ('open', 'acknowledged', 'suppressed') AND e.details ->> 'job' = job));
	RETURN s || jsonb_build_object('scope', jsonb_strip_nulls(jsonb_build_object('source', s -> 'source', 'channel', s -> 'channel', 'customer', s -> 'customer')),
		'check', distsync_internal.pricing_check_scope(jsonb_strip_nulls(jsonb_build_object('source', s -> 'source', 'channel', s -> 'channel', 'customer', s -> 'customer', 'tax_rates', s -> 'tax_rates',
			'since', since, 'until', clock_timestamp() - (s ->> 'grace')::interval))) - 'limit');
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_price_setting(text, jsonb) IS
	'Settings of one run: tolerance (money a line), grace (what was charged within it is not looked at yet), lookback (31 days; what has an open exception is always looked at), source, channel, customer, tax_rates, error_above (money); scope and check for what follows. Errors: SD002 option, SD001 unknown channel or customer.';

-- reconcile_price_key does the key of a line that differs, with slashes of codes marked.
CREATE FUNCTION distsync_internal.reconcile_price_key(job text, c distsync_internal.price_check) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN job || ':' || (SELECT string_agg(replace(replace(COALESCE(k, ''), '\', '\\'), '/', '\/'), '/' ORDER BY n)
		FROM unnest(ARRAY[c.source, c.detail ->> 'company', c.channel, c.customer, c.document_type, c.document_key, c.line_no::text]) WITH ORDINALITY u(k, n));
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_price_key(text, distsync_internal.price_check) IS 'Trace key <job>:<source>/<company>/<channel>/<customer>/<document type>/<document>/<line>.';

-- reconcile_price_keep does the check and keeps what differs from what we hold true now. What agrees with it though we did not know it then is in order.
CREATE FUNCTION distsync_internal.reconcile_price_keep(run_id bigint, job text, setting jsonb, OUT compared bigint, OUT differing bigint) RETURNS record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT count(*) INTO compared FROM distsync_internal.pricing_charged(setting -> 'check');
	INSERT INTO sync.reconcile_difference (run_id, trace_key, left_value, right_value, delta, money_at_risk, currency, company, entity_key, details)
	SELECT reconcile_price_keep.run_id, distsync_internal.reconcile_price_key(reconcile_price_keep.job, c), round(c.expected * c.quantity, 6), round(c.charged * c.quantity, 6),
		COALESCE(- c.amount_at_risk, round(- c.charged * c.quantity, 6)), abs(c.amount_at_risk), c.currency, c.detail ->> 'company', concat_ws('/', c.detail ->> 'company', c.document_key),
		jsonb_strip_nulls(jsonb_build_object('job', reconcile_price_keep.job, 'run', reconcile_price_keep.run_id, 'entity', CASE c.source WHEN 'observed' THEN 'observed_price' ELSE c.source END,
			'kind', CASE WHEN c.loser = 'us' AND c.detail ->> 'below' IN ('floor', 'contract', 'lock') THEN 'below_contract' ELSE 'price_drift' END, 'source', c.source, 'channel', c.channel, 'customer', c.customer,
			'document_type', c.document_type, 'document_key', c.document_key, 'line', c.line_no, 'item', c.item, 'quantity', c.quantity, 'unit', c.unit, 'charged', c.charged, 'expected', c.expected, 'loser', c.loser, 'side', c.side,
			'cause', c.cause)) || (c.detail - 'company')
	FROM distsync_internal.pricing_check(setting -> 'check') c
	WHERE c.side <> 'none' AND c.cause IS DISTINCT FROM 'known_later' AND COALESCE(abs(c.amount_at_risk) > (setting ->> 'tolerance')::numeric, true);
	GET DIAGNOSTICS differing = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_price_keep(bigint, text, jsonb) IS 'Part of reconcile(): writes sync.reconcile_difference of a run, left ours, right what was charged. Returns lines looked at and lines that differ.';

-- reconcile_price_detail does the summing up of a run by cause, and by who loses.
CREATE FUNCTION distsync_internal.reconcile_price_detail(run_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT jsonb_build_object(
		'causes', (SELECT COALESCE(jsonb_object_agg(x.cause, x.n), '{}') FROM (SELECT d.details ->> 'cause' AS cause, count(*) AS n FROM sync.reconcile_difference d WHERE d.run_id = reconcile_price_detail.run_id GROUP BY 1) x),
		'we_lose', (SELECT COALESCE(jsonb_object_agg(x.currency, x.money), '{}') FROM (SELECT d.currency, sum(d.money_at_risk) AS money FROM sync.reconcile_difference d
			WHERE d.run_id = reconcile_price_detail.run_id AND d.details ->> 'loser' = 'us' GROUP BY 1) x)));
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_price_detail(bigint) IS 'What detail of reconcile() says of prices: causes {cause: lines}, we_lose {currency: money}.';
