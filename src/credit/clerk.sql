-- What time alone changes: an invoice becomes late, a limit begins or ends. The account says when the clerk must look again.

-- credit_clerk does the looking again at accounts whose instant has come. clock_timestamp() by itself bounds no index: every account that
-- is due some day would be read.
CREATE FUNCTION distsync_internal.credit_clerk(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	due bigint[] := ARRAY(SELECT a.account_id FROM dist.credit_account a WHERE a.due_at <= (SELECT clock_timestamp()) ORDER BY a.due_at LIMIT least(max_rows, 50));
	id bigint;
	decision jsonb;
	goes_on boolean;
	limit_moves boolean;
	shaken bigint[];
	come jsonb;
	left_to_read integer := COALESCE(NULLIF(NULLIF(current_setting('distsync.release_inline', true), '')::integer, 0), 100);
	reading boolean;
BEGIN
	IF cardinality(due) = 0 THEN
		RETURN 0;
	END IF;
	shaken := ARRAY(SELECT DISTINCT e::bigint FROM dist.credit_account a CROSS JOIN LATERAL jsonb_array_elements_text(a.holding_from -> 'accounts') e WHERE a.account_id = ANY (due));
	PERFORM distsync_internal.credit_lock_tree(due || distsync_internal.credit_coming(due) || distsync_internal.credit_reading(due, left_to_read), shaken);
	FOREACH id IN ARRAY due LOOP
		-- goes on with what waits where it was left, unless time may have made room meanwhile
		goes_on := COALESCE((SELECT a.parent_id IS NULL AND a.waiting_from IS NOT NULL AND COALESCE((a.waiting_from ->> 'until')::timestamptz > clock_timestamp(), true) FROM dist.credit_account a WHERE a.account_id = id), false);
		reading := EXISTS (SELECT FROM dist.credit_account a WHERE a.account_id = id AND a.horizon_to IS NOT NULL);
		IF reading AND left_to_read > 0 THEN
			left_to_read := left_to_read - distsync_internal.credit_horizon_read(id, left_to_read);
		END IF;
		come := distsync_internal.credit_horizon_roll(id);
		decision := distsync_internal.credit_decide(id, 0, jsonb_build_object('at', clock_timestamp()));
		UPDATE dist.credit_account a SET version = a.version + 1, due_at = CASE WHEN a.horizon_to IS NOT NULL THEN clock_timestamp() ELSE least((decision ->> 'valid_until')::timestamptz, ((x.due).next_due_on + 1)::timestamp AT TIME ZONE x.tz) END,
			late_on = (x.due).late_on, late_amount = (x.due).late_amount, late_disputed = (x.due).late_disputed, oldest_due_on = (x.due).oldest_due_on, next_due_on = (x.due).next_due_on,
			late_before = (x.due).late_before
		FROM (SELECT d.tz, distsync_internal.credit_due_at(s.account_id, d.today) AS due
			FROM dist.credit_account s CROSS JOIN LATERAL distsync_internal.credit_day(s.customer_id, s.company_id, clock_timestamp()) d WHERE s.account_id = id OFFSET 0) x
		WHERE a.account_id = id;
		limit_moves := COALESCE((SELECT a.limit_until <= clock_timestamp() FROM dist.credit_account a WHERE a.account_id = id), false);
		PERFORM distsync_internal.credit_limits_keep(ARRAY[id]);
		shaken := ARRAY(SELECT e::bigint FROM dist.credit_account a CROSS JOIN LATERAL jsonb_array_elements_text(a.holding_from -> 'accounts') e WHERE a.account_id = id);
		IF shaken <> '{}' THEN
			PERFORM distsync_internal.credit_rehold(shaken, '{"verb":"reversal","continue":true}');
		END IF;
		-- what has come inside its horizon goes on if it fits
		IF come IS NOT NULL THEN
			PERFORM distsync_internal.credit_rehold(ARRAY[id], jsonb_build_object('verb', 'time', 'ship', come));
		END IF;
		PERFORM distsync_internal.credit_release(ARRAY[id], jsonb_build_object('verb', 'time', 'continue', goes_on));
		-- a limit that has ended or begun is passed, or holds again, as one that was changed
		IF limit_moves OR shaken <> '{}' OR come IS NOT NULL OR reading THEN
			PERFORM distsync_internal.credit_watch(i) FROM unnest(shaken || id) AS i;
		END IF;
		PERFORM distsync_internal.credit_stand(ARRAY[id]);
	END LOOP;
	RETURN cardinality(due);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_clerk(integer) IS
	'Task of the clerk: accounts whose due_at has come are decided again, open orders that a new horizon has to read are read (at most distsync.release_inline in one transaction), orders that come inside their horizon count and are held if they do not fit, what a reversal left to be held again is, what fits is released, what is late is added up to this day, where a limit has ended or begun over_limit is opened or closed, how they stand is noted, the next instant is noted. At most max_rows, 50 in one transaction. Returns how many accounts it looked at.';

-- credit_clerk_next_due does the telling of when the clerk must come next.
CREATE FUNCTION distsync_internal.credit_clerk_next_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(a.due_at) FROM dist.credit_account a WHERE a.due_at IS NOT NULL
$$;
COMMENT ON FUNCTION distsync_internal.credit_clerk_next_due() IS 'Earliest instant at which time alone may change an account, NULL = none.';

-- credit_render_status does the telling of how accounts stand, from what is true when the router looks.
CREATE FUNCTION distsync_internal.credit_render_status(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.account_id::text, a.code, a.customer_id, jsonb_build_object('account', a.code, 'customer', p.code, 'company', c.code, 'currency', a.currency, 'status', a.status,
		'status_reason', a.status_reason, 'standing', a.standing, 'standing_why', a.standing_why, 'dunning_level', a.dunning_level, 'outcome', d.decision -> 'outcome', 'reasons', d.decision -> 'reasons', 'warnings', d.decision -> 'warnings',
		'terms', d.own -> 'terms', 'exposure', d.own -> 'exposure', 'limit', d.own -> 'limit', 'headroom', d.decision -> 'headroom', 'held_demand', a.held_demand,
		'cure', d.decision -> 'cure', 'valid_until', d.decision -> 'valid_until', 'version', a.version)
	FROM dist.credit_account a
	JOIN dist.party p ON p.party_id = a.customer_id
	LEFT JOIN dist.company c ON c.company_id = a.company_id
	CROSS JOIN LATERAL (SELECT x.decision, x.decision -> 'accounts' -> 0 AS own FROM (SELECT distsync_internal.credit_decide(a.account_id, 0)) AS x(decision)) d
	WHERE a.account_id = ANY (ARRAY(SELECT k::bigint FROM unnest(keys) k))
$$;
COMMENT ON FUNCTION distsync_internal.credit_render_status(text[]) IS
	'Renderer of credit.status_changed: for account ids as text, the account''s code, payer, status and standing (approved | warned | held | blocked, with standing_why): limit, exposure and its terms, headroom, outcome for no further amount, reasons, cure, valid_until.';

-- credit_keys does the finding of accounts by code, for resync().
CREATE FUNCTION distsync_internal.credit_keys(codes text[]) RETURNS TABLE (key bigint, entity_key text, group_id bigint, settled boolean, moved_by bigint[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.account_id, a.code, a.customer_id, true, ARRAY[a.account_id] FROM dist.credit_account a WHERE codes IS NULL OR a.code = ANY (codes) ORDER BY a.account_id
$$;
COMMENT ON FUNCTION distsync_internal.credit_keys(text[]) IS 'Handler of kind keys for credit accounts (NULL = all): id, code, group in the outbox; settled and moved_by as such handlers say.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('keys', 'credit_account', 100, 'distsync_internal.credit_keys'),
	('clerk', 'credit', 30, 'distsync_internal.credit_clerk'),
	('clerk', 'credit.next_due', 30, 'distsync_internal.credit_clerk_next_due'),
	('render', 'credit.status_changed', 100, 'distsync_internal.credit_render_status');
