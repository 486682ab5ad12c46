-- What the rules say about an account: each rule's number beside its threshold, failing or not.

-- credit_day does the telling of the day it is for an account: due dates are days of the company, or of the payer where an account
-- spans companies.
CREATE FUNCTION distsync_internal.credit_day(customer_id bigint, company_id bigint, at timestamptz) RETURNS TABLE (today date, tz text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT (credit_day.at AT TIME ZONE z.tz)::date, z.tz
	FROM (SELECT COALESCE((SELECT c.tz FROM dist.company c WHERE c.company_id = credit_day.company_id),
						  (SELECT p.tz FROM dist.party p WHERE p.party_id = credit_day.customer_id), 'UTC') AS tz) z;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_day(bigint, bigint, timestamptz) IS 'Day and time zone of an account at an instant: those of its company, else of its payer.';

-- credit_late does the looking at what is late on an account: from the due dates, never from a status somebody stored. What was due
-- before the day that the account keeps is added up there; only the days between that one and the one asked are read.
CREATE FUNCTION distsync_internal.credit_late(account_id bigint, today date, grace_days integer, skip_disputed boolean, supposed jsonb DEFAULT NULL)
RETURNS TABLE (amount numeric, oldest_on date, next_on date)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	day date := credit_late.today - credit_late.grace_days;
BEGIN
	IF supposed IS NOT NULL THEN
		RETURN QUERY
		SELECT COALESCE(sum(x.amount - CASE WHEN skip_disputed THEN x.disputed ELSE 0 END) FILTER (WHERE x.due_on < day), 0), min(x.due_on) FILTER (WHERE NOT (skip_disputed AND x.disputed >= x.amount)), min(x.due_on) FILTER (WHERE x.due_on >= day)
		FROM (SELECT y.due_on, sum(y.amount) AS amount, sum(y.disputed) AS disputed
			FROM (SELECT d.due_on, d.amount, d.disputed FROM dist.open_due d WHERE d.account_id = credit_late.account_id
				UNION ALL
				SELECT s.key::date, (s.value ->> 0)::numeric, (s.value ->> 1)::numeric FROM jsonb_each(supposed) s) y
			GROUP BY y.due_on HAVING sum(y.amount) > 0) x;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT a.late_amount - CASE WHEN skip_disputed THEN a.late_disputed ELSE 0 END
			+ COALESCE((SELECT sum(d.amount - CASE WHEN skip_disputed THEN d.disputed ELSE 0 END) FROM dist.open_due d
				WHERE d.account_id = a.account_id AND d.due_on >= a.late_on AND d.due_on < day), 0)
			- COALESCE((SELECT sum(d.amount - CASE WHEN skip_disputed THEN d.disputed ELSE 0 END) FROM dist.open_due d
				WHERE d.account_id = a.account_id AND d.due_on >= day AND d.due_on < a.late_on), 0),
		(SELECT d.due_on FROM dist.open_due d WHERE d.account_id = a.account_id AND NOT (skip_disputed AND d.disputed >= d.amount) ORDER BY d.due_on LIMIT 1),
		(SELECT d.due_on FROM dist.open_due d WHERE d.account_id = a.account_id AND d.due_on >= day ORDER BY d.due_on LIMIT 1)
	FROM dist.credit_account a WHERE a.account_id = credit_late.account_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_late(bigint, date, integer, boolean, jsonb) IS
	'Amount late by more than the grace days in the account''s currency, oldest due date of what is open, next due date that will be late; with or without what is in dispute. Reads days, not items. supposed: what is added to days, {day: [amount, disputed]}.';

-- credit_rules_at does the choice of the rules that speak for a customer: of each type and action the most specific scope. A warning does
-- not take the place of a block, nor a release: only an exclusion that is as near disarms it.
CREATE FUNCTION distsync_internal.credit_rules_at(customer_id bigint, at timestamptz)
RETURNS TABLE (code text, type text, threshold numeric, currency text, grace_days integer, action text, changes_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH speaking AS (
		SELECT r.*, CASE r.scope_kind WHEN 'customer' THEN 0 WHEN 'group' THEN 1 ELSE 2 END AS distance, r.valid @> credit_rules_at.at AS valid_now
		FROM dist.credit_rule r
		WHERE r.scope_kind = 'all'
			OR r.scope_kind = 'customer' AND r.scope_key = (SELECT p.code FROM dist.party p WHERE p.party_id = credit_rules_at.customer_id)
			OR r.scope_kind = 'group' AND EXISTS (SELECT FROM dist.party_member m JOIN dist.party_group g ON g.group_id = m.group_id
				WHERE m.party_id = credit_rules_at.customer_id AND m.valid @> credit_rules_at.at AND upper_inf(m.known) AND g.code = r.scope_key)
	)
	SELECT s.code, s.type, s.threshold, s.currency, s.grace_days,
		CASE WHEN NOT s.valid_now THEN 'later'
			WHEN s.action = 'block' AND EXISTS (SELECT FROM speaking e WHERE e.valid_now AND e.type = s.type AND e.action = 'exclude' AND e.distance <= s.distance) THEN 'exclude'
			ELSE s.action END,
		least(CASE WHEN lower(s.valid) > credit_rules_at.at THEN lower(s.valid) END, CASE WHEN upper(s.valid) > credit_rules_at.at THEN upper(s.valid) END)
	FROM speaking s
	WHERE NOT s.valid_now
		OR s.distance = (SELECT min(n.distance) FROM speaking n WHERE n.valid_now AND n.type = s.type AND n.action = s.action)
	ORDER BY s.code;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rules_at(bigint, timestamptz) IS
	'Rules that speak for a customer at an instant, with the action that counts: block | warn | exclude | release, or later for one not valid then; changes_at is the next instant at which its validity begins or ends.';

-- credit_measure does the number that a rule compares with its threshold, and what a payment would have to be to bring it down.
CREATE FUNCTION distsync_internal.credit_measure(type text, threshold numeric, today date, late_amount numeric, oldest_on date, credit_limit numeric, exposure numeric,
	receivable numeric, amount numeric, facts jsonb) RETURNS TABLE (value numeric, pay numeric)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT CASE type
			WHEN 'limit_share' THEN CASE WHEN credit_limit > 0 THEN round(100 * (exposure + amount) / credit_limit, 4) WHEN credit_limit = 0 AND exposure + amount > 0 THEN 999999 ELSE 0 END
			WHEN 'overdue_amount' THEN late_amount
			WHEN 'overdue_share' THEN CASE WHEN receivable > 0 THEN round(100 * late_amount / receivable, 4) ELSE 0 END
			WHEN 'oldest_item' THEN greatest(today - oldest_on, 0)
			WHEN 'order_amount' THEN amount
			ELSE (facts ->> type)::numeric END,
		CASE type
			WHEN 'limit_share' THEN exposure + amount - credit_limit * COALESCE(threshold, 0) / 100
			WHEN 'overdue_amount' THEN late_amount - COALESCE(threshold, 0)
			WHEN 'overdue_share' THEN CASE WHEN COALESCE(threshold, 0) < 100 THEN (late_amount - receivable * COALESCE(threshold, 0) / 100) / (1 - COALESCE(threshold, 0) / 100) END
			WHEN 'oldest_item' THEN (facts ->> 'too_old')::numeric END;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_measure(text, numeric, date, numeric, date, numeric, numeric, numeric, numeric, jsonb) IS
	'The number a type of rule compares with its threshold, in its unit (percent, amount, days, level, 0 or 1), and the payment that would bring it down to the threshold (NULL: none does). facts: too_old, dunning_level, terms_change, limit_expired, review_due, customer_status.';

-- credit_rule_results does the evaluation of every rule that speaks for an account.
CREATE FUNCTION distsync_internal.credit_rule_results(account_id bigint, amount numeric, at timestamptz, ctx jsonb)
RETURNS TABLE (code text, type text, action text, failed boolean, value numeric, threshold numeric, currency text, pay numeric, changes_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	p record;
	r record;
	l record;
	d record;
	facts jsonb;
	limit_at numeric;
	days jsonb := ctx -> 'supposed' -> credit_rule_results.account_id::text -> 'due';
	exposed numeric;
BEGIN
	SELECT * INTO p FROM distsync_internal.credit_position(credit_rule_results.account_id, credit_rule_results.at, NULLIF(ctx -> 'supposed', 'null')) x WHERE x.level = 0;
	-- an order that ships beyond the horizon is of its amount, and adds nothing to what is used of the limit
	exposed := p.exposure - CASE WHEN p.inside_on < (ctx ->> 'ship_on')::date THEN credit_rule_results.amount ELSE 0 END;
	SELECT * INTO d FROM distsync_internal.credit_day(p.customer_id, p.company_id, credit_rule_results.at);
	facts := jsonb_build_object('dunning_level', p.dunning_level, 'limit_expired', p.limit_ended::int, 'review_due', COALESCE(p.review_on <= d.today, false)::int,
		'customer_status', (SELECT count(*) FROM dist.party x WHERE x.party_id IN (p.customer_id, (ctx ->> 'customer_id')::bigint) AND x.status <> 'active'),
		'terms_change', COALESCE(ctx ->> 'payment_terms' <> (SELECT x.payment_terms FROM dist.party x WHERE x.party_id = p.customer_id), false)::int);
	FOR r IN SELECT * FROM distsync_internal.credit_rules_at(p.customer_id, credit_rule_results.at) LOOP
		SELECT * INTO l FROM distsync_internal.credit_late(credit_rule_results.account_id, d.today, r.grace_days, p.exclude_disputed, days);
		limit_at := CASE WHEN r.threshold IS NULL OR r.currency IS NULL OR r.currency = p.currency OR r.type NOT IN ('overdue_amount', 'order_amount') THEN r.threshold
			ELSE distsync_internal.master_convert(r.threshold, r.currency, p.currency, credit_rule_results.at) END;
		IF r.type = 'oldest_item' THEN
			facts := facts || jsonb_build_object('too_old', (SELECT x.amount FROM distsync_internal.credit_late(credit_rule_results.account_id, d.today,
				r.grace_days + COALESCE(r.threshold, 0)::int, p.exclude_disputed, days) x));
			l.oldest_on := l.oldest_on + r.grace_days;
		END IF;
		SELECT r.code, r.type, r.action, m.value > COALESCE(limit_at, 0), m.value, limit_at, p.currency, m.pay INTO code, type, action, failed, value, threshold, currency, pay
		FROM distsync_internal.credit_measure(r.type, limit_at, d.today, l.amount, l.oldest_on, p.credit_limit, exposed, p.receivable, credit_rule_results.amount, facts) m;
		-- the day after which the next item is late, or the oldest one too old, the day of the review
		changes_at := least(r.changes_at, CASE WHEN r.action <> 'later' THEN (CASE
			WHEN r.type IN ('overdue_amount', 'overdue_share') THEN l.next_on + r.grace_days + 1
			WHEN r.type = 'oldest_item' AND NOT failed THEN l.oldest_on + COALESCE(limit_at, 0)::int + 1
			WHEN r.type = 'review_due' AND p.review_on > d.today THEN p.review_on END)::timestamp AT TIME ZONE d.tz END);
		failed := COALESCE(failed, false) AND r.action <> 'later';
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rule_results(bigint, numeric, timestamptz, jsonb) IS
	'Every rule that speaks for an account: its number beside its threshold (NULL threshold = 0), whether it fails, the payment that cures it, the instant at which time alone can change it. ctx: customer_id (sold-to), payment_terms, ship_on, supposed.';

-- credit_rules_changed does the moving of the epoch of credit: what backends remember of rules, groups and companies is old.
CREATE FUNCTION distsync_internal.credit_rules_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_touch_epoch('credit', 0);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rules_changed() IS 'Statement trigger: what backends remember of credit rules, party groups and companies is old.';

-- credit_triggers does the setting of that trigger; part of setup().
CREATE FUNCTION distsync_internal.credit_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CREATE OR REPLACE TRIGGER credit_rule_epoch_trg AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dist.credit_rule FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_rules_changed();
	CREATE OR REPLACE TRIGGER party_group_credit_trg AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dist.party_group FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_rules_changed();
	CREATE OR REPLACE TRIGGER credit_limit_insert_trg AFTER INSERT ON dist.credit_limit REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_limits_come();
	CREATE OR REPLACE TRIGGER credit_limit_update_trg AFTER UPDATE ON dist.credit_limit REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_limits_moved();
	CREATE OR REPLACE TRIGGER credit_limit_delete_trg AFTER DELETE ON dist.credit_limit REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_limits_gone();
	CREATE OR REPLACE TRIGGER credit_limit_truncate_trg AFTER TRUNCATE ON dist.credit_limit FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_limits_emptied();
	CREATE OR REPLACE TRIGGER party_credit_trg AFTER UPDATE ON dist.party REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_parties_moved();
	CREATE OR REPLACE TRIGGER hold_nothing_insert_trg AFTER INSERT ON dist.hold FOR EACH ROW WHEN (NEW.amount = 0 AND NEW.kind = 'auto' AND NEW.released_at IS NULL) EXECUTE FUNCTION distsync_internal.credit_nothing_moved();
	CREATE OR REPLACE TRIGGER hold_nothing_update_trg AFTER UPDATE ON dist.hold FOR EACH ROW
	WHEN ((OLD.amount = 0 AND OLD.kind = 'auto' AND OLD.released_at IS NULL) <> (NEW.amount = 0 AND NEW.kind = 'auto' AND NEW.released_at IS NULL) OR NEW.amount = 0 AND OLD.account_id IS DISTINCT FROM NEW.account_id)
	EXECUTE FUNCTION distsync_internal.credit_nothing_moved();
	CREATE OR REPLACE TRIGGER hold_nothing_delete_trg AFTER DELETE ON dist.hold FOR EACH ROW WHEN (OLD.amount = 0 AND OLD.kind = 'auto' AND OLD.released_at IS NULL) EXECUTE FUNCTION distsync_internal.credit_nothing_moved();
	CREATE OR REPLACE TRIGGER company_credit_trg AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dist.company FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.credit_rules_changed();
	-- what backends remember is old whoever has changed it
	ALTER TABLE dist.credit_rule ENABLE ALWAYS TRIGGER credit_rule_epoch_trg;
	ALTER TABLE dist.party_group ENABLE ALWAYS TRIGGER party_group_credit_trg;
	ALTER TABLE dist.company ENABLE ALWAYS TRIGGER company_credit_trg;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_triggers() IS 'Part of setup(): the triggers by which backends learn that rules of credit, groups or companies have changed, and accounts what their limits and the status of parties say, and how many orders wait of which nothing is counted.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'credit', 75, 'distsync_internal.credit_triggers');
