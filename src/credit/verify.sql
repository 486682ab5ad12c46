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
		SELECT h.account_id, sum(h.amount) AS held FROM dist.hold h WHERE h.released_at IS NULL AND h.account_id IS NOT NULL GROUP BY h.account_id
	), told AS (
		SELECT a.code, jsonb_build_object('receivable', a.receivable, 'credits', a.credits, 'unapplied', a.unapplied, 'deposits', a.deposits, 'disputed', a.disputed, 'held_demand', a.held_demand) AS counters,
			(SELECT jsonb_build_object('receivable', COALESCE(sum(i.receivable), 0), 'credits', COALESCE(sum(i.credits), 0), 'unapplied', COALESCE(sum(i.unapplied), 0),
				'deposits', COALESCE(sum(i.deposits), 0), 'disputed', COALESCE(sum(i.disputed), 0), 'held_demand', COALESCE(sum(w.held), 0))
			 FROM tree t LEFT JOIN item i ON i.account_id = t.account_id LEFT JOIN waiting w ON w.account_id = t.account_id WHERE t.root = a.account_id) AS sums
		FROM dist.credit_account a
	)
	SELECT 'credit_counters', 'credit_account', t.code, jsonb_build_object('counters', t.counters, 'sums', t.sums)
	FROM told t WHERE EXISTS (SELECT FROM jsonb_each_text(t.counters) c WHERE c.value::numeric <> (t.sums ->> c.key)::numeric)
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_counters() IS 'Accounts whose receivable, credits, unapplied, deposits, disputed or held demand are not the sum of the items and holds of their tree.';

-- credit_verify_releases does the check that nobody went on without a decision that allowed it (I12, invariants 12 and 13).
CREATE FUNCTION distsync_internal.credit_verify_releases() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'release_without_decision', 'order', h.order_number, jsonb_build_object('hold', h.hold_id, 'released_at', h.released_at, 'released_by', h.released_by)
	FROM dist.hold h
	WHERE h.kind = 'auto' AND h.released_at IS NOT NULL AND h.account_id IS NOT NULL AND h.release_reason NOT IN ('cancelled', 'rejected', 'shipped')
		AND NOT EXISTS (SELECT FROM dist.credit_decision d WHERE d.order_id = h.order_id AND d.outcome = 'released' AND d.decided_at >= h.placed_at)
	UNION ALL
	SELECT 'release_against_rules', 'credit_decision', d.decision_id::text, jsonb_build_object('verb', d.verb, 'order_id', d.order_id, 'reasons', d.reasons)
	FROM dist.credit_decision d
	WHERE d.outcome IN ('approved', 'released') AND d.reasons <> '[]' AND d.inputs ->> 'authority' IS NULL
$$;
COMMENT ON FUNCTION distsync_internal.credit_verify_releases() IS 'Orders released without a decision on record, and decisions that let an order go on against a rule without anybody''s authority.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('verify', 'credit_items', 'distsync_internal.credit_verify_items'),
	('verify', 'credit_counters', 'distsync_internal.credit_verify_counters'),
	('verify', 'credit_releases', 'distsync_internal.credit_verify_releases');
