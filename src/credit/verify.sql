-- What must always be true of the sub-ledger and its counters. No row = fine.

-- credit_verify_items does the check of each item against its applications: open = amount - applied (I11, invariant 4).
CREATE FUNCTION distsync_internal.credit_verify_items() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH used AS (
		SELECT x.customer_id, x.item, sum(x.amount) AS amount FROM (
			SELECT a.customer_id, a.from_item_id AS item, a.amount FROM dist.application a
			UNION ALL
			SELECT a.customer_id, a.to_item_id, a.amount + a.discount + a.write_off FROM dist.application a) x
		GROUP BY x.customer_id, x.item
	)
	SELECT 'item_open', 'open_item', i.kind || '/' || i.document_number,
		jsonb_build_object('amount', i.amount, 'applied', COALESCE(u.amount, 0), 'open_amount', i.open_amount, 'account_amount', i.account_amount, 'disputed_amount', i.disputed_amount)
	FROM dist.open_item i LEFT JOIN used u ON u.customer_id = i.customer_id AND u.item = i.open_item_id
	WHERE i.open_amount <> i.amount - COALESCE(u.amount, 0) OR i.account_amount <> round(i.account_total * i.open_amount / i.amount, 4)
		OR i.disputed_amount <> least(i.open_amount, (SELECT COALESCE(sum(d.amount), 0) FROM dist.dispute d WHERE d.customer_id = i.customer_id AND d.open_item_id = i.open_item_id AND d.closed_at IS NULL))
	UNION ALL
	SELECT 'application_currency', 'application', a.application_id::text, jsonb_build_object('from', f.currency, 'to', t.currency, 'application', a.currency)
	FROM dist.application a
	JOIN dist.open_item f ON f.customer_id = a.customer_id AND f.open_item_id = a.from_item_id
	JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id
	WHERE f.currency <> t.currency OR f.currency <> a.currency
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_items() IS 'Open amounts that are not amount less applications, and applications between currencies.';

-- credit_verify_applications does the check that what is taken back is taken back exactly, and that nothing stands on what is void (invariant 14).
CREATE FUNCTION distsync_internal.credit_verify_applications() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'application_reversal', 'application', r.application_id::text, jsonb_build_object('reverses', r.reverses_id, 'amount', r.amount, 'discount', r.discount, 'write_off', r.write_off)
	FROM dist.application r LEFT JOIN dist.application a ON a.customer_id = r.customer_id AND a.application_id = r.reverses_id
	WHERE r.reverses_id IS NOT NULL AND (a.application_id IS NULL OR a.reverses_id IS NOT NULL OR r.effective_on < a.effective_on OR r.from_item_id IS DISTINCT FROM a.from_item_id
		OR (r.to_item_id, r.kind, r.amount, r.discount, r.write_off, r.currency) <> (a.to_item_id, a.kind, -a.amount, -a.discount, -a.write_off, a.currency))
	UNION ALL
	SELECT 'application_void', 'open_item', i.kind || '/' || i.document_number, jsonb_build_object('applied', sum(a.amount + a.discount + a.write_off))
	FROM dist.open_item i JOIN dist.application a ON a.customer_id = i.customer_id AND i.open_item_id IN (a.from_item_id, a.to_item_id) AND a.kind = 'apply'
	JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id AND t.kind <> 'refund'
	WHERE i.voided GROUP BY i.kind, i.document_number HAVING sum(a.amount + a.discount + a.write_off) <> 0
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_applications() IS 'Reversals that do not take back exactly what they name, and applications that stand on void documents.';

-- credit_verify_counters does the check of each account's counters against the items and holds of its tree (I11, invariant 4).
CREATE FUNCTION distsync_internal.credit_verify_counters() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree (root, account_id) AS (
		SELECT a.account_id, a.account_id FROM dist.credit_account a
		UNION ALL
		SELECT t.root, a.account_id FROM tree t JOIN dist.credit_account a ON a.parent_id = t.account_id
	), item AS (
		SELECT i.account_id, sum(i.account_amount) FILTER (WHERE i.kind IN ('invoice', 'debit_memo', 'refund')) AS receivable, sum(i.account_amount) FILTER (WHERE i.kind = 'credit_memo') AS credits,
			sum(i.account_amount) FILTER (WHERE i.kind = 'payment') AS unapplied, sum(i.account_amount) FILTER (WHERE i.kind = 'deposit') AS deposits,
			sum(round(i.account_total * i.disputed_amount / i.amount, 4)) AS disputed
		FROM dist.open_item i GROUP BY i.account_id
	), waiting AS (
		SELECT h.account_id, sum(h.amount) AS held, count(*) FILTER (WHERE h.amount = 0 AND h.kind = 'auto') AS nothing FROM dist.hold h WHERE h.released_at IS NULL AND h.account_id IS NOT NULL GROUP BY h.account_id
	), total AS (
		SELECT t.root, COALESCE(sum(i.receivable), 0) AS receivable, COALESCE(sum(i.credits), 0) AS credits, COALESCE(sum(i.unapplied), 0) AS unapplied, COALESCE(sum(i.deposits), 0) AS deposits,
			COALESCE(sum(i.disputed), 0) AS disputed, COALESCE(sum(w.held), 0) AS held, COALESCE(sum(w.nothing), 0) AS nothing
		FROM tree t LEFT JOIN item i ON i.account_id = t.account_id LEFT JOIN waiting w ON w.account_id = t.account_id GROUP BY t.root
	)
	SELECT 'credit_counters', 'credit_account', a.code, jsonb_build_object(
		'counters', jsonb_build_object('receivable', a.receivable, 'credits', a.credits, 'unapplied', a.unapplied, 'deposits', a.deposits, 'disputed', a.disputed, 'held_demand', a.held_demand, 'held_nothing', a.held_nothing),
		'sums', jsonb_build_object('receivable', t.receivable, 'credits', t.credits, 'unapplied', t.unapplied, 'deposits', t.deposits, 'disputed', t.disputed, 'held_demand', t.held, 'held_nothing', t.nothing))
	FROM dist.credit_account a JOIN total t ON t.root = a.account_id
	WHERE (a.receivable, a.credits, a.unapplied, a.deposits, a.disputed, a.held_demand, a.held_nothing) <> (t.receivable, t.credits, t.unapplied, t.deposits, t.disputed, t.held, t.nothing)
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_counters() IS 'Accounts whose receivable, credits, unapplied, deposits, disputed, held demand or number of holds with amount 0 are not the sum of the items and holds of their tree.';

-- credit_verify_due does the check of the due days of each account against its items, and of what the account keeps of its days.
CREATE FUNCTION distsync_internal.credit_verify_due() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH planned AS (SELECT DISTINCT n.customer_id, n.open_item_id FROM dist.instalment n),
	part AS (
		SELECT i.account_id, i.due_on, i.account_amount AS amount, round(i.account_total * i.disputed_amount / i.amount, 4) AS disputed
		FROM dist.open_item i LEFT JOIN planned n ON n.customer_id = i.customer_id AND n.open_item_id = i.open_item_id
		WHERE i.open_amount > 0 AND i.due_on IS NOT NULL AND n.open_item_id IS NULL
		UNION ALL
		SELECT i.account_id, p.due_on, p.amount, p.disputed
		FROM planned n JOIN dist.open_item i ON i.customer_id = n.customer_id AND i.open_item_id = n.open_item_id
		CROSS JOIN LATERAL unnest(distsync_internal.credit_item_parts(i.customer_id, i.open_item_id)) p
	), day AS (
		SELECT p.account_id, p.due_on, sum(p.amount) AS amount, sum(p.disputed) AS disputed FROM part p GROUP BY p.account_id, p.due_on HAVING sum(p.amount) > 0
	)
	SELECT 'open_due', 'credit_account', (SELECT a.code FROM dist.credit_account a WHERE a.account_id = COALESCE(d.account_id, o.account_id)) || '/' || COALESCE(d.due_on, o.due_on),
		jsonb_build_object('items', d.amount, 'items_disputed', d.disputed, 'amount', o.amount, 'disputed', o.disputed)
	FROM day d FULL JOIN dist.open_due o ON o.account_id = d.account_id AND o.due_on = d.due_on
	WHERE (d.amount, d.disputed) IS DISTINCT FROM (o.amount, o.disputed)
	UNION ALL
	SELECT 'late_kept', 'credit_account', a.code, jsonb_build_object('late_on', a.late_on, 'late_amount', a.late_amount, 'late_disputed', a.late_disputed, 'oldest_due_on', a.oldest_due_on,
		'next_due_on', a.next_due_on, 'days', s.amount, 'days_disputed', s.disputed, 'oldest', s.oldest, 'next', s.next)
	FROM dist.credit_account a
	LEFT JOIN (SELECT o.account_id, sum(o.amount) FILTER (WHERE o.due_on < c.late_on) AS amount, sum(o.disputed) FILTER (WHERE o.due_on < c.late_on) AS disputed,
			min(o.due_on) AS oldest, min(o.due_on) FILTER (WHERE o.due_on >= c.late_on) AS next
		FROM dist.open_due o JOIN dist.credit_account c ON c.account_id = o.account_id GROUP BY o.account_id) s ON s.account_id = a.account_id
	WHERE (a.late_amount, a.late_disputed) <> (COALESCE(s.amount, 0), COALESCE(s.disputed, 0)) OR (a.oldest_due_on, a.next_due_on) IS DISTINCT FROM (s.oldest, s.next)
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_due() IS 'Due days that are not the sum of what is open of the items due on them, and accounts that keep something else of their days than the days say.';

-- credit_verify_kept does the check of what accounts keep of their limits, and of what was due before each day.
CREATE FUNCTION distsync_internal.credit_verify_kept() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH at (now) AS MATERIALIZED (SELECT clock_timestamp()),
	own AS (
		SELECT l.account_id, CASE WHEN count(*) FILTER (WHERE l.kind IN ('base', 'insured')) = 0 OR bool_or(l.valid @> at.now AND l.amount IS NULL) THEN NULL
				ELSE COALESCE(max(l.amount) FILTER (WHERE l.kind IN ('base', 'insured') AND l.valid @> at.now), 0) + COALESCE(sum(l.amount) FILTER (WHERE l.kind IN ('temporary', 'seasonal') AND l.valid @> at.now), 0) END AS amount,
			COALESCE(bool_or(l.kind = 'base') AND NOT bool_or(l.kind = 'base' AND l.valid @> at.now), false) AS ended,
			least(min(lower(l.valid)) FILTER (WHERE lower(l.valid) > at.now), min(upper(l.valid)) FILTER (WHERE upper(l.valid) > at.now)) AS changes_at
		FROM dist.credit_limit l CROSS JOIN at GROUP BY l.account_id
	)
	SELECT 'limit_kept', 'credit_account', a.code, jsonb_build_object('limit_amount', a.limit_amount, 'limit_ended', a.limit_ended, 'limit_until', a.limit_until, 'limits', o.amount, 'ended', o.ended, 'changes_at', o.changes_at)
	FROM dist.credit_account a CROSS JOIN at LEFT JOIN own o ON o.account_id = a.account_id
	WHERE at.now >= a.limit_from AND (a.limit_until IS NULL OR at.now < a.limit_until)
		AND (a.limit_amount, a.limit_ended, a.limit_until) IS DISTINCT FROM (o.amount, COALESCE(o.ended, false), o.changes_at)
	UNION ALL
	SELECT 'late_before', 'credit_account', a.code || '/' || a.late_on - (k.place - 1)::integer, jsonb_build_object('late_before', k.amount, 'days', s.amount)
	FROM dist.credit_account a CROSS JOIN LATERAL unnest(a.late_before) WITH ORDINALITY k(amount, place)
	CROSS JOIN LATERAL (SELECT COALESCE(sum(d.amount), 0) AS amount FROM dist.open_due d WHERE d.account_id = a.account_id AND d.due_on < a.late_on - (k.place - 1)::integer) s
	WHERE a.late_before IS NOT NULL AND k.amount <> s.amount
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_kept() IS 'Accounts that keep another limit than their limits say now, and other amounts due before a day than the days say.';

-- credit_verify_releases does the check that nobody went on without a decision that allowed it (I12, invariants 12 and 13).
CREATE FUNCTION distsync_internal.credit_verify_releases() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'release_without_decision', 'order', h.order_number, jsonb_build_object('hold', h.hold_id, 'released_at', h.released_at, 'released_by', h.released_by)
	FROM dist.hold h
	WHERE h.kind = 'auto' AND h.released_at IS NOT NULL AND h.account_id IS NOT NULL AND h.release_reason NOT IN ('cancelled', 'rejected', 'shipped', 'closed')
		AND NOT EXISTS (SELECT FROM dist.credit_decision d WHERE d.order_id = h.order_id AND d.outcome = 'released' AND d.decided_at >= h.placed_at)
	UNION ALL
	SELECT 'release_against_rules', 'credit_decision', d.decision_id::text, jsonb_build_object('verb', d.verb, 'order_id', d.order_id, 'reasons', d.reasons, 'amount', d.inputs -> 'amount')
	FROM dist.credit_decision d
	-- proved again from what it was made from, not from what it says of itself
	WHERE d.outcome IN ('approved', 'released') AND d.inputs ->> 'authority' IS NULL
		AND (d.reasons <> '[]' OR d.inputs ->> 'passed_by' IS NULL AND (
			EXISTS (SELECT FROM jsonb_array_elements(d.inputs -> 'accounts') a WHERE COALESCE(a ->> 'counts', d.inputs ->> 'amount')::numeric > (a ->> 'limit')::numeric - (a ->> 'exposure')::numeric)
			OR EXISTS (SELECT FROM jsonb_array_elements(d.inputs -> 'rules') r WHERE r ->> 'action' = 'block' AND (r ->> 'failed')::boolean)))
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_releases() IS 'Orders released without a decision on record, and decisions that let an order go on against a reason, or against a limit or rule among the inputs they were made from, without anybody''s authority.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('verify', 'credit_items', 'distsync_internal.credit_verify_items'),
	('verify', 'credit_applications', 'distsync_internal.credit_verify_applications'),
	('verify', 'credit_counters', 'distsync_internal.credit_verify_counters'),
	('verify', 'credit_due', 'distsync_internal.credit_verify_due'),
	('verify', 'credit_kept', 'distsync_internal.credit_verify_kept'),
	('verify', 'credit_releases', 'distsync_internal.credit_verify_releases');
