-- The entity credit_account: who may owe how much, as the owner of credit says. A change of limit lets go of what fits at once.

-- credit_limits_told does the reading of the limits that a document names: a single limit is a base limit from this instant on.
CREATE FUNCTION distsync_internal.credit_limits_told(doc jsonb, tz text, at timestamptz, authority text)
RETURNS TABLE (kind text, amount numeric, valid tstzrange, approved_by text, reason text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'base', (doc ->> 'limit')::numeric, tstzrange(NULL, NULL), COALESCE(doc ->> 'approved_by', authority), COALESCE(doc ->> 'reason', '')
	WHERE doc ? 'limit' AND NOT doc ? 'limits'
	UNION ALL
	SELECT COALESCE(l ->> 'kind', 'base'), (l ->> 'amount')::numeric, CASE WHEN e.begins >= e.ends THEN 'empty' ELSE tstzrange(e.begins, e.ends) END,
		COALESCE(l ->> 'approved_by', doc ->> 'approved_by', authority), COALESCE(l ->> 'reason', doc ->> 'reason', '')
	FROM jsonb_array_elements(CASE WHEN jsonb_typeof(doc -> 'limits') = 'array' THEN doc -> 'limits' ELSE '[]' END) l
	CROSS JOIN LATERAL (SELECT (l ->> 'from')::timestamptz AS begins,
		CASE WHEN length(l ->> 'to') = 10 THEN distsync_internal.master_due_instant((l ->> 'to')::date, tz) ELSE (l ->> 'to')::timestamptz END AS ends) e
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_told(jsonb, text, timestamptz, text) IS
	'Limits that a credit_account document names, with authority and reason; a date-only end is the end of that day in the time zone; one that ends before it begins is empty.';

-- credit_write_limits does the writing of limits: those told take the place of what has not ended, what has been stays as it was.
CREATE FUNCTION distsync_internal.credit_write_limits(account_id bigint, doc jsonb, tz text, at timestamptz, authority text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	changed boolean := false;
	l record;
BEGIN
	IF NOT doc ? 'limit' AND NOT doc ? 'limits' THEN
		RETURN false;
	END IF;
	FOR l IN SELECT x.limit_id, x.valid FROM dist.credit_limit x
		WHERE x.account_id = credit_write_limits.account_id AND (doc ? 'limits' OR x.kind = 'base') AND (upper_inf(x.valid) OR upper(x.valid) > credit_write_limits.at)
			AND NOT EXISTS (SELECT FROM distsync_internal.credit_limits_told(doc, tz, credit_write_limits.at, authority) t
				WHERE t.kind = x.kind AND t.amount IS NOT DISTINCT FROM x.amount AND upper(t.valid) IS NOT DISTINCT FROM upper(x.valid)
					AND (lower(t.valid) IS NOT DISTINCT FROM lower(x.valid) OR lower(t.valid) IS NULL AND x.valid @> credit_write_limits.at))
	LOOP
		changed := true;
		IF NOT lower_inf(l.valid) AND lower(l.valid) >= credit_write_limits.at THEN
			DELETE FROM dist.credit_limit x WHERE x.limit_id = l.limit_id;
		ELSE
			UPDATE dist.credit_limit x SET valid = tstzrange(lower(l.valid), credit_write_limits.at) WHERE x.limit_id = l.limit_id;
		END IF;
	END LOOP;
	FOR l IN SELECT t.* FROM distsync_internal.credit_limits_told(doc, tz, credit_write_limits.at, authority) t
		WHERE NOT EXISTS (SELECT FROM dist.credit_limit x WHERE x.account_id = credit_write_limits.account_id AND x.kind = t.kind AND x.amount IS NOT DISTINCT FROM t.amount
			AND upper(t.valid) IS NOT DISTINCT FROM upper(x.valid) AND (lower(t.valid) IS NOT DISTINCT FROM lower(x.valid) OR lower(t.valid) IS NULL AND x.valid @> credit_write_limits.at))
	LOOP
		-- history is not rewritten: where there was another limit before, the new one begins when that ended, and never where it was over by then
		INSERT INTO dist.credit_limit (account_id, kind, amount, valid, approved_by, reason)
		SELECT credit_write_limits.account_id, l.kind, l.amount, tstzrange(CASE WHEN l.kind IN ('base', 'insured') THEN greatest(lower(l.valid), b.ended) ELSE lower(l.valid) END, upper(l.valid)), l.approved_by, l.reason
		FROM (SELECT max(upper(x.valid)) AS ended FROM dist.credit_limit x WHERE x.account_id = credit_write_limits.account_id AND x.kind = l.kind AND upper(x.valid) <= credit_write_limits.at) b
		WHERE l.kind NOT IN ('base', 'insured') OR b.ended IS NULL OR upper_inf(l.valid) OR upper(l.valid) > b.ended;
		changed := changed OR FOUND;
	END LOOP;
	RETURN changed;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_write_limits(bigint, jsonb, text, timestamptz, text) IS
	'Writes the limits of a credit_account document: limit replaces the base limit from now on, limits all that have not ended. Tells whether anything changed. The caller holds the account''s lock.';

-- credit_limits_of does the picture of an account's limits, for the audit.
CREATE FUNCTION distsync_internal.credit_limits_of(account_id bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', l.kind, 'amount', l.amount, 'from', lower(l.valid), 'to', upper(l.valid), 'approved_by', l.approved_by, 'reason', l.reason)
		ORDER BY l.kind, lower(l.valid) NULLS FIRST), '[]')
	FROM dist.credit_limit l WHERE l.account_id = credit_limits_of.account_id
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_of(bigint) IS 'Limits of an account as an array of {kind, amount, from, to, approved_by, reason}.';

-- credit_check_account does the checks of one document against what is there, before anything is written.
CREATE FUNCTION distsync_internal.credit_check_account(d jsonb) RETURNS distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	old record;
	above record;
	kept_in text;
	clash text;
	bad text[];
BEGIN
	SELECT * INTO old FROM dist.credit_account a WHERE a.code = doc ->> 'code';
	SELECT * INTO above FROM dist.credit_account a WHERE a.code = doc ->> 'parent';
	kept_in := COALESCE(doc ->> 'currency', old.currency, (SELECT c.currency FROM dist.company c WHERE c.company_id = (d ->> 'company_id')::bigint), above.currency);
	SELECT a.code INTO clash FROM dist.credit_account a WHERE a.customer_id = COALESCE((d ->> 'customer_id')::bigint, old.customer_id) AND a.code <> doc ->> 'code'
		AND a.company_id = CASE WHEN doc ? 'company' OR old.account_id IS NULL THEN COALESCE((d ->> 'company_id')::bigint, 0) ELSE old.company_id END
		AND a.segment = CASE WHEN doc ? 'segment' OR old.account_id IS NULL THEN COALESCE(doc ->> 'segment', '') ELSE old.segment END;
	bad := CASE
		WHEN doc ? 'customer' AND d ->> 'customer_id' IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', doc ->> 'customer'), 'Send the party first.']
		WHEN old.account_id IS NULL AND NOT doc ? 'customer' THEN ARRAY['SD005', 'customer', 'a new account needs a customer', 'Name the party that owes.']
		WHEN doc ->> 'company' IS NOT NULL AND d ->> 'company_id' IS NULL THEN ARRAY['SD001', 'company', format('unknown company "%s"', doc ->> 'company'), 'Send the company first, or leave it out for an account over all companies.']
		WHEN doc ->> 'parent' IS NOT NULL AND above.account_id IS NULL THEN ARRAY['SD001', 'parent', format('unknown credit account "%s"', doc ->> 'parent'), 'Send the account above first.']
		WHEN kept_in IS NULL OR NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = kept_in) THEN
			ARRAY['SD003', 'currency', format('unknown currency "%s"', kept_in), 'Name the currency of the limit and send it as master data first.']
		WHEN above.account_id IS NOT NULL AND above.currency <> kept_in THEN
			ARRAY['SD003', 'currency', format('account is in %s, the one above it in %s', kept_in, above.currency), 'Give the account the currency of the one above it: documents in other currencies are converted as they are posted.']
		WHEN old.account_id IS NOT NULL AND kept_in <> old.currency THEN
			ARRAY['SD003', 'currency', format('account is kept in %s', old.currency), 'The currency of an account is fixed; close it and open another one.']
		WHEN old.account_id IS NOT NULL AND old.account_id = ANY (distsync_internal.credit_chain(above.account_id)) THEN
			ARRAY['SD002', 'parent', format('account "%s" is below "%s"', doc ->> 'parent', doc ->> 'code'), 'An account can not stand above itself.']
		WHEN clash IS NOT NULL THEN ARRAY['SD008', 'code', format('account "%s" is kept for the same customer, company and segment', clash), 'Use its code.']
		WHEN (doc ->> 'horizon_days')::numeric > 3650 THEN
			ARRAY['SD002', 'horizon_days', format('a horizon of %s days is too long', doc ->> 'horizon_days'), 'Send at most 3650, or null: all open orders count.']
		WHEN (SELECT bool_or(isempty(t.valid)) FROM distsync_internal.credit_limits_told(doc, 'UTC', now(), '') t) THEN
			ARRAY['SD002', 'limits', 'a limit ends before it begins', 'Send from before to.']
		WHEN EXISTS (SELECT FROM (SELECT t.valid && lag(t.valid) OVER (PARTITION BY t.kind ORDER BY lower(t.valid) NULLS FIRST, upper(t.valid)) AS twice FROM distsync_internal.credit_limits_told(doc, 'UTC', now(), '') t WHERE t.kind IN ('base', 'insured')) x WHERE x.twice) THEN
			ARRAY['SD002', 'limits', 'two limits of a kind count at the same time', 'Of base and insured limits one counts at a time: end the first where the next begins, or send a temporary or seasonal one, which adds.']
		END;
	IF bad IS NOT NULL THEN
		RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', doc ->> 'code', bad[1], bad[2], bad[3], bad[4]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_check_account(jsonb) IS
	'Checks a credit_account document {ordinal, doc, customer_id, company_id}: NULL if it may be written, else its row with outcome rejected (SD001, SD002, SD003, SD005, SD008).';

-- credit_write_account does the writing of one document: the row, its place in the tree, its limits.
CREATE FUNCTION distsync_internal.credit_write_account(d jsonb, ctx jsonb) RETURNS TABLE (account_id bigint, changed boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	doc jsonb := d -> 'doc';
	old record;
	now_row record;
	above bigint := (SELECT a.account_id FROM dist.credit_account a WHERE a.code = doc ->> 'parent');
	limits_before jsonb;
	at timestamptz := clock_timestamp();
	limits_changed boolean;
BEGIN
	SELECT * INTO old FROM dist.credit_account a WHERE a.code = doc ->> 'code';
	INSERT INTO dist.credit_account AS a (code, customer_id, company_id, segment, currency)
	SELECT doc ->> 'code', (d ->> 'customer_id')::bigint, COALESCE((d ->> 'company_id')::bigint, 0), COALESCE(doc ->> 'segment', ''),
		COALESCE(doc ->> 'currency', (SELECT c.currency FROM dist.company c WHERE c.company_id = (d ->> 'company_id')::bigint), (SELECT p.currency FROM dist.credit_account p WHERE p.account_id = above))
	WHERE old.account_id IS NULL;
	UPDATE dist.credit_account a SET
		segment = CASE WHEN doc ? 'segment' THEN COALESCE(doc ->> 'segment', '') ELSE a.segment END,
		mode = COALESCE(doc ->> 'mode', a.mode), dunning_level = CASE WHEN doc ? 'dunning_level' THEN COALESCE((doc ->> 'dunning_level')::smallint, 0) ELSE a.dunning_level END,
		status = COALESCE(doc ->> 'status', a.status), status_reason = CASE WHEN doc ? 'status_reason' THEN doc ->> 'status_reason' ELSE a.status_reason END,
		release_order = COALESCE(doc ->> 'release_order', a.release_order), review_on = CASE WHEN doc ? 'review_on' THEN (doc ->> 'review_on')::date ELSE a.review_on END,
		exclude_disputed = COALESCE((doc ->> 'exclude_disputed')::boolean, a.exclude_disputed),
		horizon_days = CASE WHEN doc ? 'horizon_days' THEN (doc ->> 'horizon_days')::integer ELSE a.horizon_days END,
		horizon_on = CASE WHEN CASE WHEN doc ? 'horizon_days' THEN (doc ->> 'horizon_days')::integer ELSE a.horizon_days END IS NOT NULL THEN COALESCE(a.horizon_on, current_date) END,
		limit_approval = CASE WHEN doc ->> 'limit_approval' = 'second_person' OR NOT (a.limit_approval = 'second_person' AND ctx ->> 'source' = 'distsync') THEN COALESCE(doc ->> 'limit_approval', a.limit_approval) ELSE a.limit_approval END, ext = a.ext || COALESCE(doc -> 'ext', '{}')
	WHERE a.code = doc ->> 'code';
	SELECT * INTO now_row FROM dist.credit_account a WHERE a.code = doc ->> 'code';
	limits_before := distsync_internal.credit_limits_of(now_row.account_id);
	IF doc ? 'parent' AND above IS DISTINCT FROM now_row.parent_id THEN
		PERFORM distsync_internal.credit_hang(now_row.account_id, above);
	END IF;
	IF old.horizon_days IS DISTINCT FROM now_row.horizon_days THEN
		PERFORM distsync_internal.credit_horizon_told(now_row.account_id, old.horizon_days IS NULL);
	END IF;
	limits_changed := distsync_internal.credit_tell_limits(now_row.account_id, doc, at, old.account_id IS NULL, ctx);
	IF old.account_id IS NULL OR old.segment <> now_row.segment THEN
		PERFORM distsync_internal.base_hook('credit.account_opened', jsonb_build_object('account_id', now_row.account_id));
	END IF;
	account_id := now_row.account_id;
	changed := limits_changed OR old.account_id IS NULL OR (SELECT to_jsonb(old) <> to_jsonb(a) FROM dist.credit_account a WHERE a.account_id = now_row.account_id);
	IF changed THEN
		UPDATE dist.credit_account a SET version = a.version + 1, due_at = least(a.due_at, (SELECT l.changes_at FROM distsync_internal.credit_limit_at(a.account_id, at) l))
		WHERE a.account_id = now_row.account_id;
		PERFORM distsync_internal.base_audit('apply', 'credit_account', doc ->> 'code', jsonb_build_object('status', old.status, 'limits', limits_before),
			jsonb_build_object('status', now_row.status, 'limits', distsync_internal.credit_limits_of(now_row.account_id), 'source', ctx ->> 'source'), doc ->> 'reason', (ctx ->> 'correlation_id')::uuid);
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_write_account(jsonb, jsonb) IS
	'Writes a checked credit_account document {ordinal, doc, customer_id, company_id} with its limits, and audits it. Returns the account and whether anything changed.';

-- credit_hang does the move of an account to another place in the tree: what it owes goes with it.
CREATE FUNCTION distsync_internal.credit_hang(account_id bigint, parent_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	horizons bigint[];
BEGIN
	SELECT * INTO a FROM dist.credit_account x WHERE x.account_id = credit_hang.account_id;
	IF a.parent_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_add(a.parent_id, -a.receivable, -a.credits, -a.unapplied, -a.deposits, -a.disputed, -a.unbilled, -a.open_orders, -a.held_demand);
	END IF;
	IF credit_hang.parent_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_add(credit_hang.parent_id, a.receivable, a.credits, a.unapplied, a.deposits, a.disputed, a.unbilled, a.open_orders, a.held_demand);
	END IF;
	IF a.held_nothing > 0 THEN
		UPDATE dist.credit_account x SET held_nothing = x.held_nothing - a.held_nothing WHERE x.account_id = ANY (distsync_internal.credit_chain(a.parent_id));
		UPDATE dist.credit_account x SET held_nothing = x.held_nothing + a.held_nothing WHERE x.account_id = ANY (distsync_internal.credit_chain(credit_hang.parent_id));
	END IF;
	UPDATE dist.credit_account x SET parent_id = credit_hang.parent_id WHERE x.account_id = credit_hang.account_id;
	-- those that are above it in one of the two places only
	horizons := ARRAY(SELECT x.account_id FROM dist.credit_account x CROSS JOIN (SELECT distsync_internal.credit_chain(a.parent_id) AS was, distsync_internal.credit_chain(credit_hang.parent_id) AS comes) c
		WHERE x.account_id = ANY (c.was || c.comes) AND x.horizon_on IS NOT NULL AND a.open_orders > 0 AND NOT COALESCE(x.account_id = ANY (c.was) AND x.account_id = ANY (c.comes), false) ORDER BY x.account_id);
	IF horizons <> '{}' THEN
		PERFORM distsync_internal.credit_horizon_anew(horizons, 'infinity');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_hang(bigint, bigint) IS 'Hangs an account below another one (NULL = root) and moves its counters out of the old tree into the new one, and lets the accounts with a horizon above it read anew what is to come, where it has open orders. The caller holds all locks.';

-- credit_apply_account does the whole of it: locks first, then each document, then what waits.
CREATE FUNCTION distsync_internal.credit_apply_account(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	bad distsync_internal.apply_result;
	w record;
	touched bigint[] := '{}';
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		docs := (SELECT jsonb_agg(x || jsonb_build_object('doc', jsonb_build_object('code', x -> 'doc' -> 'code', 'status', 'closed'))) FROM jsonb_array_elements(docs) x);
	END IF;
	PERFORM distsync_internal.credit_lock_tree(ARRAY(SELECT DISTINCT a.account_id FROM jsonb_array_elements(docs) x
		JOIN dist.credit_account a ON a.code IN (x -> 'doc' ->> 'code', x -> 'doc' ->> 'parent')));
	FOR d IN SELECT x || jsonb_build_object('customer_id', p.id, 'company_id', c.id)
		FROM jsonb_array_elements(docs) x
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT y -> 'doc' ->> 'customer' FROM jsonb_array_elements(docs) y), ctx ->> 'source') p ON p.code = x -> 'doc' ->> 'customer'
		LEFT JOIN distsync_internal.master_companies(ARRAY(SELECT y -> 'doc' ->> 'company' FROM jsonb_array_elements(docs) y), ctx ->> 'source') c ON c.code = x -> 'doc' ->> 'company'
		ORDER BY (x ->> 'ordinal')::integer
	LOOP
		bad := distsync_internal.credit_check_account(d);
		IF bad.outcome IS NOT NULL THEN
			RETURN NEXT bad;
			CONTINUE;
		END IF;
		SELECT * INTO w FROM distsync_internal.credit_write_account(d, ctx);
		IF w.changed THEN
			touched := touched || w.account_id;
		END IF;
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN w.changed THEN 'applied' ELSE 'unchanged' END, d -> 'doc' ->> 'code');
	END LOOP;
	PERFORM distsync_internal.credit_settle(touched, 'credit_account', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_account(jsonb, jsonb) IS 'Handler of the entity credit_account; see credit_check_account() for what is rejected. Orders that fit after it are released in the same transaction.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'credit_account', 'distsync_internal.credit_apply_account');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('credit_account', '{code}', 'credit', 'Who may owe us how much: a payer, job or group, in one company or all, with limits and the account above it.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('credit_account', 'code', 'code', true, 'any', 'Business code of the account.', NULL, false),
	('credit_account', 'customer', 'code', false, 'any', 'Party that owes: payer, job or group.', NULL, true),
	('credit_account', 'company', 'code', false, 'any', 'Company, absent or null = all companies.', NULL, false),
	('credit_account', 'segment', 'text', false, 'any', 'Credit segment, absent = all.', NULL, false),
	('credit_account', 'parent', 'code', false, 'any', 'Account above it: its limit counts too. Same currency.', NULL, false),
	('credit_account', 'currency', 'currency', false, 'any', 'Currency of limit and counters, absent = the company''s.', NULL, false),
	('credit_account', 'mode', 'code', false, 'any', 'Whose balances count.', '{native,mirrored}', false),
	('credit_account', 'limit', 'amount', false, 'nonnegative', 'Base limit from now on: null = unlimited, 0 = no credit.', NULL, false),
	('credit_account', 'limits', 'list', false, 'any', 'All limits that have not ended; replaces them.', NULL, false),
	('credit_account', 'limits[].kind', 'code', false, 'any', 'Absent = base. Effective = greatest(base, insured) + seasonal + temporary.', '{base,temporary,seasonal,insured}', false),
	('credit_account', 'limits[].amount', 'amount', false, 'nonnegative', 'In the account''s currency, null = unlimited.', NULL, false),
	('credit_account', 'limits[].from', 'instant', false, 'any', 'First instant, absent = always.', NULL, false),
	('credit_account', 'limits[].to', 'instant_or_date', false, 'any', 'End, exclusive; a date is valid through that day.', NULL, false),
	('credit_account', 'limits[].approved_by', 'text', false, 'any', 'On whose authority.', NULL, false),
	('credit_account', 'limits[].reason', 'text', false, 'any', 'Why.', NULL, false),
	('credit_account', 'approved_by', 'text', false, 'any', 'On whose authority the limit changes.', NULL, false),
	('credit_account', 'limit_approval', 'code', false, 'any', 'second_person: a limit that people raise (source distsync) counts when somebody else has approved it by approve_limit(); to end that takes approval too.', '{none,second_person}', false),
	('credit_account', 'reason', 'text', false, 'any', 'Why the limit changes.', NULL, false),
	('credit_account', 'dunning_level', 'integer', false, 'nonnegative', 'Highest dunning level.', NULL, false),
	('credit_account', 'status', 'code', false, 'any', 'blocked is the owner''s block: nothing is released.', '{open,blocked,closed}', false),
	('credit_account', 'status_reason', 'text', false, 'any', 'Why it is blocked.', NULL, false),
	('credit_account', 'release_order', 'code', false, 'any', 'Which held orders are tried first: by date, by priority, the largest that fits, or by date up to the first that does not fit (prefix). That of the account at the top of a tree counts for all of it.', '{date,priority,best_fit,prefix}', false),
	('credit_account', 'review_on', 'date', false, 'any', 'When its limit is to be reviewed.', NULL, false),
	('credit_account', 'horizon_days', 'integer', false, 'nonnegative', 'Open orders that ship later than so many days from today count when their day comes; null = all count, at most 3650.', NULL, false),
	('credit_account', 'exclude_disputed', 'boolean', false, 'any', 'What is in dispute counts neither as exposure nor as late.', NULL, false);
