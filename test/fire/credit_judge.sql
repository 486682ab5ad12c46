-- credit_judge.sql: what must be true when t/091_credit_fire.pl is over, summed up from what clients were told. A view for each truth; a row is a violation.
\set ON_ERROR_STOP 1

-- ships is when what is open of orders leaves, by their lines: NULL = at once.
CREATE VIEW fire.ships AS
	SELECT o.order_id, o.account_id, o.exposure_amount, CASE WHEN bool_and(l.requested_at IS NOT NULL AND l.shipped_quantity = 0) AND o.picked_at IS NULL THEN (min(l.requested_at) AT TIME ZONE 'UTC')::date END AS ships_on
	FROM dist.sales_order o JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id WHERE o.exposure_amount > 0 AND (l.base_quantity > l.cancelled_quantity OR l.shipped_quantity > 0) GROUP BY o.order_id, o.account_id, o.exposure_amount, o.picked_at;

-- position is how accounts stand, added up here.
CREATE VIEW fire.position AS
	SELECT f.code, COALESCE(f.parent, f.code) AS top, f.clean, f.highest, a.account_id, a.horizon_days, a.receivable + a.unbilled + a.open_orders - COALESCE((SELECT sum(o.exposure_amount) FROM fire.ships o JOIN dist.credit_account c ON c.account_id = o.account_id
			WHERE a.account_id IN (c.account_id, c.parent_id) AND o.ships_on > (clock_timestamp() AT TIME ZONE 'UTC')::date + a.horizon_days), 0) - a.unapplied - a.deposits - a.credits - CASE WHEN a.exclude_disputed THEN a.disputed ELSE 0 END AS exposure,
		(SELECT CASE WHEN count(*) FILTER (WHERE l.kind = 'base') = 0 OR bool_or(l.amount IS NULL AND l.valid @> clock_timestamp()) THEN NULL ELSE COALESCE(sum(l.amount) FILTER (WHERE l.valid @> clock_timestamp()), 0) END FROM dist.credit_limit l WHERE l.account_id = a.account_id) AS limit_now
	FROM fire.account f JOIN dist.credit_account a ON a.code = f.code;

CREATE VIEW fire.wrong_highest AS SELECT p.code, p.exposure, p.highest FROM fire.position p WHERE p.clean AND p.exposure > p.highest;
COMMENT ON VIEW fire.wrong_highest IS 'where nothing but commands takes money, exposure never passed the highest limit that stood';

CREATE VIEW fire.wrong_over AS
	SELECT p.code, p.exposure, p.limit_now, x.exception_id FROM fire.position p LEFT JOIN sync.exception x ON x.kind = 'over_limit' AND x.trace_key = p.code AND x.state = 'open'
	WHERE (p.exposure > p.limit_now) IS TRUE <> (x.exception_id IS NOT NULL);
COMMENT ON VIEW fire.wrong_over IS 'who is over his limit has an exception over_limit, and nobody else';

CREATE VIEW fire.wrong_later AS
	SELECT p.code, p.exposure, x.told FROM fire.position p CROSS JOIN LATERAL jsonb_array_elements(distsync.explain_credit(p.code) -> 'accounts') x(told)
	WHERE p.horizon_days IS NOT NULL AND x.told ->> 'account' = p.code AND ((x.told ->> 'exposure')::numeric <> p.exposure OR x.told -> 'horizon' ? 'reading' OR (x.told -> 'horizon' ->> 'days')::integer <> p.horizon_days);
COMMENT ON VIEW fire.wrong_later IS 'what ships later than an account looks does not count, and all else does, by the lines of its orders';

CREATE VIEW fire.wrong_parents AS
	SELECT p.code, to_jsonb(x) AS counters, to_jsonb(s) AS members
	FROM fire.account p JOIN dist.credit_account a ON a.code = p.code
	CROSS JOIN LATERAL (SELECT a.receivable, a.credits, a.unapplied, a.deposits, a.disputed, a.unbilled, a.open_orders, a.held_demand) x
	CROSS JOIN LATERAL (SELECT sum(c.receivable) AS receivable, sum(c.credits) AS credits, sum(c.unapplied) AS unapplied, sum(c.deposits) AS deposits, sum(c.disputed) AS disputed, sum(c.unbilled) AS unbilled, sum(c.open_orders) AS open_orders,
		sum(c.held_demand) AS held_demand FROM dist.credit_account c WHERE c.parent_id = a.account_id) s
	WHERE p.weight = 0 AND to_jsonb(x) <> to_jsonb(s);
COMMENT ON VIEW fire.wrong_parents IS 'a group owes what its members owe';

CREATE VIEW fire.wrong_sums AS
	SELECT p.code, to_jsonb(x) AS counters, to_jsonb(s) AS documents
	FROM fire.account p JOIN dist.credit_account a ON a.code = p.code
	CROSS JOIN LATERAL (SELECT a.receivable, a.credits, a.unapplied, a.deposits, a.disputed, a.unbilled, a.open_orders, a.held_demand) x
	CROSS JOIN LATERAL (SELECT COALESCE(sum(i.open_amount) FILTER (WHERE i.kind IN ('invoice', 'refund')), 0.0000) AS receivable, COALESCE(sum(i.open_amount) FILTER (WHERE i.kind = 'credit_memo'), 0.0000) AS credits, COALESCE(sum(i.open_amount) FILTER (WHERE i.kind = 'payment'), 0.0000) AS unapplied,
		COALESCE(sum(i.open_amount) FILTER (WHERE i.kind = 'deposit'), 0.0000) AS deposits, COALESCE(sum(i.disputed_amount), 0.0000) AS disputed,
		(SELECT COALESCE(sum(h.unbilled_amount), 0.0000) FROM dist.sales_order o JOIN dist.shipment h ON h.customer_id = o.customer_id AND h.order_id = o.order_id WHERE o.account_id = a.account_id) AS unbilled,
		(SELECT COALESCE(sum(o.exposure_amount), 0.0000) FROM dist.sales_order o WHERE o.account_id = a.account_id) AS open_orders,
		(SELECT COALESCE(sum(h.amount), 0.0000) FROM dist.hold h WHERE h.account_id = a.account_id AND h.released_at IS NULL) AS held_demand
		FROM dist.open_item i WHERE i.account_id = a.account_id) s
	WHERE p.weight > 0 AND to_jsonb(x) <> to_jsonb(s);
COMMENT ON VIEW fire.wrong_sums IS 'each term of exposure is the sum of its documents';

-- decision is the decisions, with the accounts from leaf to root that they looked at.
CREATE VIEW fire.decision AS
	SELECT d.decision_id, d.decided_at, d.verb, d.outcome, d.order_id, d.reasons, d.inputs, (d.inputs->>'amount')::numeric AS amount, f.code AS account, COALESCE(f.parent, f.code) AS top, f.clean
	FROM dist.credit_decision d JOIN dist.credit_account a ON a.account_id = d.account_id JOIN fire.account f ON f.code = a.code;

CREATE VIEW fire.wrong_decisions AS
	SELECT d.decision_id, d.account, d.verb, d.outcome, x.looked FROM fire.decision d CROSS JOIN LATERAL jsonb_array_elements(d.inputs->'accounts') x(looked)
	WHERE (SELECT sum(t.value::numeric) FROM jsonb_each_text(x.looked->'terms') t) <> (x.looked->>'exposure')::numeric
		OR d.outcome IN ('approved', 'released') AND d.inputs->>'authority' IS NULL AND d.inputs->>'passed_by' IS NULL AND ((x.looked->>'exposure')::numeric + CASE WHEN x.looked ? 'counts' THEN 0 ELSE d.amount END > (x.looked->>'limit')::numeric OR d.reasons <> '[]')
		OR d.outcome = 'held' AND d.reasons = '[]' OR d.clean AND (d.inputs->>'passed_by' IS NOT NULL OR d.outcome = 'released' AND d.reasons <> '[]')
		OR jsonb_array_length(d.inputs->'accounts') <> CASE WHEN d.top = d.account THEN 1 ELSE 2 END;
COMMENT ON VIEW fire.wrong_decisions IS 'what was let go fits, by the inputs of its decision, in the account and above it';

-- booked is the ledger in the order of the locks on the top of each tree. What a call let go was decided before it told: it counts from its first decision on.
CREATE MATERIALIZED VIEW fire.booked AS
	WITH locking AS (
		SELECT t.id, t.at, t.decided_at, t.verb, t.account, COALESCE(f.parent, f.code) AS top, t.amount FROM fire.told t JOIN fire.account f ON f.code = t.account WHERE t.verb NOT IN ('read', 'look', 'again', 'shared', 'refused', 'known') AND t.client > 0
			-- an answer that gives nothing back takes the lock of its order alone: it may come while somebody else decides
			AND NOT (t.verb = 'reply' AND t.asked <> '"rejected"')
	)
	SELECT l.id, least(l.decided_at, l.at) AS at, l.verb, l.account, l.top, l.amount FROM locking l
	UNION ALL
	SELECT t.id, t.at, t.verb, t.account, COALESCE(f.parent, f.code), t.amount FROM fire.told t JOIN fire.account f ON f.code = t.account WHERE t.client = 0
	WITH NO DATA;
CREATE INDEX booked_idx ON fire.booked (top, at);

CREATE VIEW fire.wrong_limits AS
	SELECT d.decision_id, d.account, d.verb, x.looked->>'account' AS looked_at, (x.looked->>'limit')::numeric AS seen, s.amount AS stood FROM fire.decision d CROSS JOIN LATERAL jsonb_array_elements(d.inputs->'accounts') x(looked)
	CROSS JOIN LATERAL (SELECT b.amount FROM fire.booked b WHERE b.top = d.top AND b.verb = 'limit' AND b.account = x.looked->>'account' AND b.at <= d.decided_at ORDER BY b.at DESC LIMIT 1) s
	WHERE (x.looked->>'limit')::numeric IS DISTINCT FROM s.amount AND NOT EXISTS (SELECT FROM fire.told t WHERE t.verb = 'limits' AND t.account = x.looked->>'account');
COMMENT ON VIEW fire.wrong_limits IS 'each decision was made against the limit that stood at its instant';

-- moved is what moved the exposure of clean accounts, in the order of the locks.
CREATE MATERIALIZED VIEW fire.moved AS
	SELECT b.top, b.account, b.at, -b.amount AS delta FROM fire.booked b JOIN fire.account f ON f.code = b.account AND f.clean WHERE b.verb IN ('payment', 'deposit', 'memo', 'cancel', 'hold', 'rejected', 'reply') AND b.amount <> 0
	UNION ALL
	SELECT d.top, d.account, d.decided_at, d.amount FROM fire.decision d WHERE d.clean AND d.outcome IN ('approved', 'released')
	UNION ALL
	SELECT d.top, d.account, d.decided_at, -d.amount FROM fire.decision d WHERE d.clean AND d.outcome = 'held' AND d.verb = 'reversal'
	WITH NO DATA;

CREATE VIEW fire.wrong_replay AS
	WITH seen AS (
		SELECT d.decision_id, d.account, d.top, d.verb, d.decided_at, x.looked->>'account' AS looked_at, (x.looked->>'exposure')::numeric AS seen FROM fire.decision d CROSS JOIN LATERAL jsonb_array_elements(d.inputs->'accounts') x(looked) WHERE d.clean
	), line AS (
		SELECT s.decision_id, s.account, s.verb, s.decided_at, s.looked_at, s.seen, 0 AS delta FROM seen s
		UNION ALL
		SELECT NULL, m.account, NULL, m.at, k.looked_at, NULL, m.delta FROM fire.moved m CROSS JOIN LATERAL (SELECT DISTINCT u.looked_at FROM unnest(ARRAY[m.account, m.top]) u(looked_at)) k
	), run AS (
		-- at one instant: what a call moved, what was decided, what that took
		SELECT l.*, sum(l.delta) OVER (PARTITION BY l.looked_at ORDER BY l.decided_at, CASE WHEN l.decision_id IS NOT NULL THEN 1 WHEN l.delta < 0 THEN 0 ELSE 2 END ROWS UNBOUNDED PRECEDING) AS really FROM line l
	)
	SELECT r.decision_id, r.account, r.verb, r.decided_at, r.looked_at, r.seen, r.really FROM run r WHERE r.decision_id IS NOT NULL AND r.seen <> r.really ORDER BY r.decided_at;
COMMENT ON VIEW fire.wrong_replay IS 'each decision saw the exposure that the ledger adds up to at its instant';

CREATE VIEW fire.wrong_held AS
	SELECT h.order_number, f.code, h.amount, h.reasons, d.decision->'outcome' AS outcome FROM dist.hold h JOIN dist.credit_account a ON a.account_id = h.account_id JOIN fire.account f ON f.code = a.code JOIN fire.account t ON t.code = COALESCE(f.parent, f.code)
	CROSS JOIN LATERAL (SELECT distsync_internal.credit_decide_whole(h.account_id, h.amount, jsonb_build_object('customer_id', h.customer_id, 'order_id', h.order_id, 'ship_on', h.ship_on, 'deposit', distsync_internal.credit_deposit(h.customer_id, h.account_id, h.company_id, h.order_number))) AS decision) d
	CROSS JOIN LATERAL (SELECT c.outcome FROM distsync.credit(f.code, h.amount) c) c
	WHERE h.released_at IS NULL AND h.kind = 'auto' AND h.owner = 'credit' AND NOT EXISTS (SELECT FROM dist.hold o WHERE o.order_id = h.order_id AND o.released_at IS NULL AND o.hold_id <> h.hold_id)
		AND (d.decision->>'outcome' <> 'held' OR h.ship_on IS NULL AND c.outcome <> 'held')
		-- nobody overtakes
		AND (t.release_order <> 'prefix' OR NOT EXISTS (SELECT FROM dist.hold o WHERE o.account_id = h.account_id AND o.released_at IS NULL AND o.kind = 'auto' AND (o.queued_at, o.order_id) < (h.queued_at, h.order_id)));
COMMENT ON VIEW fire.wrong_held IS 'nothing stays held that fits';

CREATE VIEW fire.wrong_orders AS
	SELECT COALESCE(o.order_number, t.number) AS order_number, o.gross_amount, t.amount, t.n FROM (SELECT x.number, max(x.amount) AS amount, min(x.amount) AS least, count(*) FILTER (WHERE x.verb <> 'shared') + count(DISTINCT x.key) FILTER (WHERE x.verb = 'shared') AS n
		FROM fire.told x WHERE x.verb IN ('submit', 'shared', 'owned') GROUP BY x.number) t
	FULL JOIN dist.sales_order o ON o.order_number = t.number
	WHERE o.order_id IS NULL OR t.number IS NULL OR t.number NOT LIKE 'F%' AND (t.n <> 1 OR (t.amount, t.least) IS DISTINCT FROM (o.gross_amount, o.gross_amount))
	UNION ALL
	SELECT x.key, NULL, NULL, count(DISTINCT x.number) FROM fire.told x WHERE x.verb IN ('submit', 'shared') AND x.key IS NOT NULL GROUP BY x.key HAVING count(DISTINCT x.number) > 1;
COMMENT ON VIEW fire.wrong_orders IS 'each order that was acknowledged is there, once, and no other';

CREATE VIEW fire.wrong_documents AS
	SELECT COALESCE(d.what, t.what) AS what, COALESCE(d.number, t.number) AS number, d.amount, t.amount AS told, t.n
	FROM (SELECT CASE WHEN x.verb IN ('ship', 'shipment') THEN 'shipment' WHEN x.verb IN ('invoice', 'memo') THEN 'invoice' ELSE 'payment' END AS what, x.number, max(x.amount) AS amount, count(*) AS n FROM fire.told x
		WHERE x.verb IN ('ship', 'shipment', 'invoice', 'memo', 'payment', 'deposit', 'bounce') GROUP BY 1, 2) t
	FULL JOIN (SELECT 'payment' AS what, p.payment_number AS number, p.amount FROM dist.payment p
		UNION ALL SELECT 'invoice', i.invoice_number, i.gross_amount FROM dist.invoice i
		UNION ALL SELECT 'shipment', s.shipment_number, (SELECT sum(l.quantity * i.price) FROM dist.shipment_line l JOIN dist.item n USING (item_id) JOIN fire.item i ON i.sku = n.sku WHERE l.customer_id = s.customer_id AND l.shipment_id = s.shipment_id) FROM dist.shipment s) d
		ON (d.what, d.number) = (t.what, t.number)
	WHERE d.number IS NULL OR t.number IS NULL OR t.n <> 1 OR d.amount IS DISTINCT FROM t.amount;
COMMENT ON VIEW fire.wrong_documents IS 'each payment, shipment and invoice that was acknowledged is there, once, and no other';

CREATE VIEW fire.wrong_balances AS
	SELECT f.code, a.receivable - a.credits - a.unapplied - a.deposits AS counted, t.balance FROM fire.account f JOIN dist.credit_account a ON a.code = f.code
	CROSS JOIN LATERAL (SELECT COALESCE(sum(CASE x.verb WHEN 'invoice' THEN x.amount ELSE -x.amount END), 0) + COALESCE((SELECT sum(b.amount) FROM (SELECT DISTINCT y.asked->>'reverses', y.amount FROM fire.told y JOIN fire.account g ON g.code = y.account
			WHERE y.verb = 'bounce' AND f.code IN (g.code, g.parent)) b(number, amount)), 0) AS balance
		FROM fire.told x JOIN fire.account g ON g.code = x.account WHERE x.verb IN ('invoice', 'memo', 'payment', 'deposit') AND f.code IN (g.code, g.parent)) t
	WHERE a.receivable - a.credits - a.unapplied - a.deposits <> t.balance;
COMMENT ON VIEW fire.wrong_balances IS 'what is owed is what was billed less what was paid and credited, and a payment that was taken back is as if it had not been';

CREATE VIEW fire.wrong_goods AS
	SELECT f.code, a.unbilled, t.left_unbilled, a.open_orders + a.held_demand AS to_ship, t.left_open FROM fire.account f JOIN dist.credit_account a ON a.code = f.code
	CROSS JOIN LATERAL (SELECT COALESCE(sum(s.shipped) - sum(s.billed), 0) AS left_unbilled, COALESCE(sum(o.amount - COALESCE(s.shipped, 0)) FILTER (WHERE NOT o.ended), 0) AS left_open
		FROM (SELECT DISTINCT x.number, x.amount, EXISTS (SELECT FROM fire.told e WHERE e.number = x.number AND (e.verb IN ('cancel', 'rejected') OR e.verb = 'reply' AND e.asked = '"rejected"')) AS ended
			FROM fire.told x JOIN fire.account g ON g.code = x.account WHERE x.verb IN ('submit', 'shared') AND f.code IN (g.code, g.parent)) o
		LEFT JOIN (SELECT x.asked->>'order_number' AS number, sum(x.amount) AS shipped, sum(CASE WHEN EXISTS (SELECT FROM fire.told b WHERE b.verb = 'invoice' AND b.number = 'I' || x.number) THEN x.amount ELSE 0 END) AS billed
			FROM fire.told x WHERE x.verb IN ('ship', 'shipment') GROUP BY 1) s USING (number)) t
	WHERE f.clean AND (a.unbilled, a.open_orders + a.held_demand) <> (t.left_unbilled, t.left_open);
COMMENT ON VIEW fire.wrong_goods IS 'what is to ship and what is to bill is what was ordered, less what has left, ended and was billed';

CREATE VIEW fire.wrong_ends AS
	SELECT t.verb, o.order_number, o.state, o.exposure_amount FROM fire.told t JOIN dist.sales_order o ON o.order_number = t.number JOIN fire.account f ON f.code = t.account
	WHERE f.clean AND (t.verb IN ('cancel', 'rejected') OR t.verb = 'reply' AND t.asked = '"rejected"')
		AND (o.state <> ALL (CASE t.verb WHEN 'cancel' THEN '{cancelled,shipped,closed}'::text[] ELSE '{rejected,shipped,closed}' END) OR o.exposure_amount <> 0 OR EXISTS (SELECT FROM dist.hold h WHERE h.order_id = o.order_id AND h.released_at IS NULL))
	UNION ALL
	SELECT 'no decision', o.order_number, o.state, o.exposure_amount FROM dist.sales_order o
	WHERE o.credit_state IN ('approved', 'released') AND o.order_number NOT LIKE 'F%' AND NOT EXISTS (SELECT FROM dist.credit_decision d WHERE d.order_id = o.order_id AND d.outcome IN ('approved', 'released'))
		AND NOT EXISTS (SELECT FROM fire.told t WHERE t.number = o.order_number AND t.verb IN ('booked', 'reply'));
COMMENT ON VIEW fire.wrong_ends IS 'what was cancelled or rejected has given everything back, and what goes on has a decision';

CREATE VIEW fire.wrong_reversals AS
	SELECT t.asked->>'reverses' AS payment, i.open_amount, x.applied FROM fire.told t JOIN dist.open_item i ON i.document_number = t.asked->>'reverses' AND i.kind IN ('payment', 'deposit')
	CROSS JOIN LATERAL (SELECT COALESCE(sum(a.amount), 0) AS applied FROM dist.application a JOIN dist.open_item o ON o.customer_id = a.customer_id AND o.open_item_id = a.to_item_id AND o.kind <> 'refund' WHERE a.customer_id = i.customer_id AND a.from_item_id = i.open_item_id) x
	WHERE t.verb = 'bounce' AND (i.open_amount <> 0 OR x.applied <> 0);
COMMENT ON VIEW fire.wrong_reversals IS 'what was taken back pays nothing';

-- last_dollar does the asking for exactly what is left, and for a cent more.
CREATE FUNCTION fire.last_dollar() RETURNS TABLE (code text, headroom numeric, fits text, too_much text) LANGUAGE sql STABLE AS $$
	SELECT f.code, c.headroom, a.outcome, b.outcome FROM fire.account f CROSS JOIN LATERAL distsync.credit(f.code) c CROSS JOIN LATERAL distsync.credit(f.code, c.headroom) a CROSS JOIN LATERAL distsync.credit(f.code, c.headroom + 0.01) b
	WHERE f.weight > 0 AND c.headroom > 0 AND c.outcome = 'approved'
$$;
