-- The entity credit_rule: rules are data, not code.

-- credit_check_rule does the checks of one rule.
CREATE FUNCTION distsync_internal.credit_check_rule(d jsonb) RETURNS distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	old record;
	scope text;
	key text;
	bad text[];
BEGIN
	SELECT r.code, r.scope_kind, r.scope_key INTO old FROM dist.credit_rule r WHERE r.code = doc ->> 'code';
	scope := COALESCE(doc ->> 'scope_kind', old.scope_kind, 'all');
	key := COALESCE(doc ->> 'scope_key', CASE WHEN scope <> 'all' THEN old.scope_key END, '');
	bad := CASE
		WHEN old.code IS NULL AND doc ->> 'type' IS NULL THEN ARRAY['SD005', 'type', 'a new rule needs a type', 'Name one of limit_share, overdue_amount, overdue_share, oldest_item, dunning_level, order_amount, terms_change, limit_expired, review_due, customer_status.']
		WHEN NOT doc ?| '{scope_kind,scope_key}' THEN NULL
		WHEN scope = 'all' AND key <> '' THEN
			ARRAY['SD005', 'scope_kind', format('a rule for all names "%s"', key), 'Say in scope_kind whether it is for a customer or a group, or leave scope_key out.']
		WHEN scope = 'customer' AND NOT EXISTS (SELECT FROM dist.party p WHERE p.code = key) THEN
			ARRAY['SD001', 'scope_key', format('unknown party "%s"', key), 'Send the party first.']
		WHEN scope = 'group' AND NOT EXISTS (SELECT FROM dist.party_group g WHERE g.code = key) THEN
			ARRAY['SD001', 'scope_key', format('unknown party group "%s"', key), 'Send the group with its members first.']
		END;
	bad := COALESCE(bad, CASE
		WHEN doc ->> 'currency' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = doc ->> 'currency') THEN
			ARRAY['SD003', 'currency', format('unknown currency "%s"', doc ->> 'currency'), 'Send the currency first.']
		WHEN doc ->> 'valid_from' >= doc ->> 'valid_to' AND (doc ->> 'valid_from')::timestamptz >= (doc ->> 'valid_to')::timestamptz THEN
			ARRAY['SD002', 'valid_to', 'the rule ends before it begins', 'Send valid_from before valid_to.']
		END);
	IF bad IS NOT NULL THEN
		RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', doc ->> 'code', bad[1], bad[2], bad[3], bad[4]);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_check_rule(jsonb) IS 'Checks a credit_rule document {ordinal, doc}: NULL if it may be written, else its row with outcome rejected (SD001, SD002, SD003, SD005).';

-- credit_write_rule does the writing of one rule.
CREATE FUNCTION distsync_internal.credit_write_rule(doc jsonb, tz text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	INSERT INTO dist.credit_rule AS r (code, type, scope_kind, scope_key, threshold, currency, grace_days, action, valid)
	SELECT doc ->> 'code', COALESCE(doc ->> 'type', o.type), COALESCE(doc ->> 'scope_kind', o.scope_kind, 'all'),
		COALESCE(doc ->> 'scope_key', CASE WHEN COALESCE(doc ->> 'scope_kind', o.scope_kind, 'all') <> 'all' THEN o.scope_key END, ''), CASE WHEN doc ? 'threshold' THEN (doc ->> 'threshold')::numeric ELSE o.threshold END,
		CASE WHEN doc ? 'currency' THEN doc ->> 'currency' ELSE o.currency END, COALESCE((doc ->> 'grace_days')::integer, o.grace_days, 0), COALESCE(doc ->> 'action', o.action, 'block'),
		tstzrange(CASE WHEN doc ? 'valid_from' THEN (doc ->> 'valid_from')::timestamptz ELSE lower(o.valid) END,
			CASE WHEN NOT doc ? 'valid_to' THEN upper(o.valid) WHEN length(doc ->> 'valid_to') = 10 THEN distsync_internal.master_due_instant((doc ->> 'valid_to')::date, tz)
				ELSE (doc ->> 'valid_to')::timestamptz END)
	FROM (SELECT) one LEFT JOIN dist.credit_rule o ON o.code = doc ->> 'code'
	ON CONFLICT (code) DO UPDATE SET type = excluded.type, scope_kind = excluded.scope_kind, scope_key = excluded.scope_key, threshold = excluded.threshold,
		currency = excluded.currency, grace_days = excluded.grace_days, action = excluded.action, valid = excluded.valid
	WHERE (r.type, r.scope_kind, r.scope_key, r.threshold, r.currency, r.grace_days, r.action, r.valid)
		IS DISTINCT FROM (excluded.type, excluded.scope_kind, excluded.scope_key, excluded.threshold, excluded.currency, excluded.grace_days, excluded.action, excluded.valid);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_write_rule(jsonb, text) IS 'Writes a checked credit_rule document: absent fields stay, null clears. Tells whether anything changed.';

-- credit_apply_rule does the handling of the entity. A rule speaks for many accounts: the clerk looks at them again, a few at a time.
CREATE FUNCTION distsync_internal.credit_apply_rule(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	bad distsync_internal.apply_result;
	before jsonb;
	changed boolean;
	any_changed boolean := false;
BEGIN
	FOR d IN SELECT x FROM jsonb_array_elements(docs) x ORDER BY (x ->> 'ordinal')::integer LOOP
		IF ctx ->> 'operation' = 'deactivate' THEN
			d := jsonb_set(d, '{doc}', jsonb_build_object('code', d -> 'doc' -> 'code', 'valid_to', clock_timestamp()));
		END IF;
		bad := distsync_internal.credit_check_rule(d);
		IF bad.outcome IS NOT NULL THEN
			RETURN NEXT bad;
			CONTINUE;
		END IF;
		before := (SELECT to_jsonb(r) FROM dist.credit_rule r WHERE r.code = d -> 'doc' ->> 'code');
		changed := distsync_internal.credit_write_rule(d -> 'doc', COALESCE((SELECT s.tz FROM sync.system s WHERE s.code = ctx ->> 'source'), 'UTC'));
		IF changed THEN
			any_changed := true;
			PERFORM distsync_internal.credit_sweep_start(r.scope_kind, r.scope_key)
			FROM (SELECT before ->> 'scope_kind' AS scope_kind, before ->> 'scope_key' AS scope_key WHERE before IS NOT NULL
				  UNION SELECT c.scope_kind, c.scope_key FROM dist.credit_rule c WHERE c.code = d -> 'doc' ->> 'code') r;
			PERFORM distsync_internal.base_audit('apply', 'credit_rule', d -> 'doc' ->> 'code', before, d -> 'doc', d -> 'doc' ->> 'reason', (ctx ->> 'correlation_id')::uuid);
		END IF;
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN changed THEN 'applied' ELSE 'unchanged' END, d -> 'doc' ->> 'code');
	END LOOP;
	IF any_changed THEN
		PERFORM distsync_internal.base_touch_epoch('credit', 0);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_rule(jsonb, jsonb) IS 'Handler of the entity credit_rule; the clerk looks again at the accounts for which the rule speaks or spoke, those first where something waits.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'credit_rule', 'distsync_internal.credit_apply_rule');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('credit_rule', '{code}', 'credit', 'A rule that holds orders, warns, disarms a more general rule or releases.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('credit_rule', 'code', 'code', true, 'any', 'Business code of the rule.', NULL, false),
	('credit_rule', 'type', 'code', false, 'any', 'What is compared: percent of the limit, amount late, share late, days late of the oldest item, dunning level, order amount, 0 or 1 for the rest.',
		'{limit_share,overdue_amount,overdue_share,oldest_item,dunning_level,order_amount,terms_change,limit_expired,review_due,customer_status}', true),
	('credit_rule', 'scope_kind', 'code', false, 'any', 'For whom: of a type and an action the most specific scope counts; absent = all, where scope_key is absent too.', '{customer,group,all}', false),
	('credit_rule', 'scope_key', 'text', false, 'any', 'Party or group code.', NULL, false),
	('credit_rule', 'threshold', 'amount', false, 'nonnegative', 'The rule fails above it; null = 0.', NULL, false),
	('credit_rule', 'currency', 'currency', false, 'any', 'Currency of an amount, null = the account''s.', NULL, false),
	('credit_rule', 'grace_days', 'integer', false, 'nonnegative', 'Days after the due date before an item counts as late.', NULL, false),
	('credit_rule', 'action', 'code', false, 'any', 'block holds, warn tells, exclude disarms blocks of its type that are not more specific, release passes orders up to the threshold whatever else fails.', '{block,warn,exclude,release}', false),
	('credit_rule', 'valid_from', 'instant', false, 'any', 'First instant, absent = always.', NULL, false),
	('credit_rule', 'valid_to', 'instant_or_date', false, 'any', 'End, exclusive; a date is valid through that day.', NULL, false),
	('credit_rule', 'reason', 'text', false, 'any', 'Why it changes.', NULL, false);
