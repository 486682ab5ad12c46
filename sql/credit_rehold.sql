-- Holding again what money had let go, when the money goes: the same holds as before, the last let go first, never failing who tells it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CH-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'CH', 'CH-ERP'), ('order', 'CHN', 'distsync');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CH-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'CH-ERP');
SELECT distsync.apply_all('company', '[{"code":"CH","name":"Again","currency":"USD"},{"code":"CHN","name":"Native","currency":"USD"}]', 'CH-ERP');
SELECT distsync.apply_all('party', '[{"code":"CH-G","name":"group"},{"code":"CH-A","name":"a"},{"code":"CH-B","name":"b"},{"code":"CH-L","name":"late"},{"code":"CH-N","name":"of the native company"},{"code":"CH-Q","name":"many orders"},{"code":"CH-F","name":"fails"}]', 'CH-ERP');
SELECT distsync.apply_all('site', '[{"code":"CH-W","name":"w","company":"CH"},{"code":"CH-WN","name":"w","company":"CHN"}]', 'CH-ERP');
SELECT distsync.apply('item', '{"sku":"CH-I","name":"I","base_unit":"EA"}', 'CH-ERP');
SELECT distsync.apply_all('agreement', '[{"code":"CH-LIST","slot":"list","company":"CH","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"CH-I","value":"10"}]},
	{"code":"CHN-LIST","slot":"list","company":"CHN","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"CH-I","value":"10"}]}]', 'CH-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CH-G","customer":"CH-G","company":"CH","limit":1000},{"code":"CH-A","customer":"CH-A","company":"CH","parent":"CH-G"},{"code":"CH-B","customer":"CH-B","company":"CH","parent":"CH-G"},
	{"code":"CH-L","customer":"CH-L","company":"CH","limit":5000},{"code":"CH-N","customer":"CH-N","company":"CHN","limit":100},{"code":"CH-Q","customer":"CH-Q","company":"CH","limit":100},{"code":"CH-F","customer":"CH-F","company":"CH","limit":100}]', 'CH-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"ch-1","kind":"receive","sku":"CH-I","site":"CH-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"ch-2","kind":"receive","sku":"CH-I","site":"CH-WN","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}]', 'CH-ERP');
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT s.state FROM distsync.submit_order(jsonb_build_object('company', 'CH', 'customer', customer, 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'CH-I', 'quantity', quantity))) || more) s $$;
CREATE FUNCTION pg_temp.pay(customer text, number text, amount numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('payment', jsonb_build_object('company', 'CH', 'payment_number', number, 'customer', customer, 'currency', 'USD', 'amount', amount) || more, 'CH-ERP') $$;
CREATE FUNCTION pg_temp.bounce(number text, amount numeric) RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('payment', jsonb_build_object('company', 'CH', 'payment_number', number || '-B' || (SELECT count(*) FROM dist.payment), 'currency', 'USD', 'amount', amount, 'reverses', number), 'CH-ERP') $$;
CREATE FUNCTION pg_temp.bill(customer text, number text, amount numeric, due date DEFAULT current_date + 30) RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('invoice', jsonb_build_object('company', 'CH', 'invoice_number', number, 'customer', customer, 'currency', 'USD', 'net_amount', amount, 'due_on', due), 'CH-ERP') $$;
CREATE TEMP VIEW held AS SELECT order_number, amount, kind, checkpoint, jsonb_path_query_array(reasons, '$[*].rule') AS rules FROM dist.hold WHERE released_at IS NULL AND order_number LIKE 'CH%' ORDER BY queued_at;
CREATE TEMP VIEW orders AS SELECT order_number, state, credit_state, exposure_amount AS exposure FROM dist.sales_order WHERE order_number LIKE 'CH%' ORDER BY 1;
CREATE TEMP VIEW acct AS SELECT code, receivable, unapplied, open_orders, held_demand, standing FROM dist.credit_account WHERE code LIKE 'CH-%' ORDER BY 1;
-- what was held and let go since it was last asked, in its order
CREATE TEMP TABLE told_before (at timestamptz);
CREATE FUNCTION pg_temp.told() RETURNS TABLE (event text, order_number text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT x.event, h.order_number FROM dist.hold h CROSS JOIN LATERAL (VALUES ('held', h.placed_at), ('released', h.released_at)) x(event, at)
	WHERE h.order_number LIKE 'CH%' AND x.at > COALESCE((SELECT max(t.at) FROM told_before t), '-infinity') ORDER BY x.at, h.hold_id;
	INSERT INTO told_before VALUES (clock_timestamp());
END $$;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_releases() UNION ALL SELECT * FROM distsync_internal.credit_verify_items()) v WHERE entity_key LIKE '%CH%';
\o
-- paid, let go, bounced: the same holds with the same amounts; paid again: let go in the same order
SELECT pg_temp.bill('CH-A', 'CH-I1', 800), pg_temp.try('CH-B', 'CH-0', 15), pg_temp.try('CH-A', 'CH-1', 30), pg_temp.try('CH-B', 'CH-2', 20), pg_temp.try('CH-A', 'CH-3', 10);
CREATE TEMP TABLE before AS SELECT order_number, amount, rules FROM held;
SELECT * FROM held;
SELECT pg_temp.told();
SELECT pg_temp.pay('CH-A', 'CH-P1', 800);
SELECT pg_temp.told();
SELECT pg_temp.bounce('CH-P1', 800);
SELECT pg_temp.told();
SELECT * FROM held;
SELECT count(*) AS same FROM before JOIN held USING (order_number, amount, rules);
SELECT * FROM orders;
SELECT * FROM acct WHERE code IN ('CH-A', 'CH-B', 'CH-G');
SELECT * FROM wrong;
SELECT pg_temp.pay('CH-A', 'CH-P2', 800);
SELECT pg_temp.told();
-- only as many as it takes, the last let go first: of a payment of a part, and over the tree
SELECT pg_temp.pay('CH-B', 'CH-P3', 100), pg_temp.try('CH-B', 'CH-4', 30), pg_temp.try('CH-A', 'CH-5', 5);
SELECT pg_temp.bounce('CH-P3', 100);
SELECT pg_temp.told();
SELECT * FROM held;
SELECT * FROM acct WHERE code IN ('CH-A', 'CH-B', 'CH-G');
-- what its owner has answered meanwhile is kept: it goes back to where it was; part of it has shipped: only the rest waits
SELECT outcome FROM distsync.apply('order', '{"company":"CH","order_number":"CH-1","owner_number":"E1","state":"booked"}', 'CH-ERP');
SELECT outcome FROM distsync.apply('shipment', '{"company":"CH","shipment_number":"CH-S1","order_number":"CH-1","site":"CH-W","lines":[{"order_line":1,"quantity":12}]}', 'CH-ERP');
SELECT pg_temp.bounce('CH-P2', 800);
SELECT pg_temp.told();
SELECT * FROM held;
SELECT * FROM orders;
SELECT distsync.ship('{"company":"CH","shipment_number":"CH-S2","order_number":"CH-1","site":"CH-W","lines":[{"order_line":1,"quantity":1}]}', 'ch-s2');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM wrong;
SELECT pg_temp.pay('CH-A', 'CH-P4', 2000);
SELECT pg_temp.told();
SELECT * FROM orders;
SELECT pg_temp.pay('CH-A', 'CH-R1', 1200, '{"kind":"refund"}');
SELECT pg_temp.told();

-- what somebody let go on his authority stays, what another owner holds too, what its owner took without asking is his, what a deposit covers goes on
\o /dev/null
SELECT distsync.apply('credit_rule', '{"code":"CH-LATE","type":"overdue_amount","scope_kind":"customer","scope_key":"CH-L","threshold":0,"action":"block"}', 'CH-ERP');
SELECT distsync.apply('order', '{"company":"CH","order_number":"CH-L0","customer":"CH-L","lines":[{"item":"CH-I","quantity":10,"unit_price":10}]}', 'CH-ERP');
\o
SELECT pg_temp.bill('CH-L', 'CH-I2', 100, current_date - 10), pg_temp.try('CH-L', 'CH-L1', 10), pg_temp.try('CH-L', 'CH-L2', 20), pg_temp.try('CH-L', 'CH-L3', 30), pg_temp.try('CH-L', 'CH-L4', 40);
SELECT r ->> 'state' FROM distsync.release_order('CH-L1', 'old friend', '{"company":"CH","authority":"cfo"}') r;
SELECT pg_temp.pay('CH-L', 'CH-D', 300, '{"kind":"deposit","order":"CH-L3"}'), pg_temp.pay('CH-L', 'CH-P5', 100);
SELECT r ->> 'state' FROM distsync.hold_order('CH-L2', 'court order', '{"company":"CH","kind":"forced","owner":"legal"}') r;
SELECT pg_temp.told();
SELECT pg_temp.bounce('CH-P5', 100);
SELECT * FROM held;
SELECT pg_temp.told();
SELECT * FROM orders WHERE order_number LIKE 'CH-L%';
-- the authority was for what it was then: what has grown since waits
SELECT outcome FROM distsync.apply('order', '{"company":"CH","order_number":"CH-L1","lines":[{"line":1,"item":"CH-I","quantity":11,"unit_price":10}]}', 'CH-ERP');
SELECT pg_temp.pay('CH-L', 'CH-P6', 100), pg_temp.bounce('CH-P6', 100);
SELECT * FROM held WHERE order_number LIKE 'CH-L%';
-- applying money otherwise takes no room away: it is still there
SELECT pg_temp.pay('CH-L', 'CH-P7', 100);
SELECT pg_temp.told();
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CH-L","mode":"native"}', 'CH-ERP');
SELECT r -> 'unapplied' AS unapplied FROM distsync.unapply_payment('CH-P7', NULL, '{"company":"CH"}') r;
SELECT pg_temp.told();
-- a memo that is voided
SELECT r -> 'unapplied' AS unapplied FROM distsync.apply_payment('CH-P7', '[{"invoice":"CH-I2","amount":100}]', '{"company":"CH"}') r;
SELECT pg_temp.bill('CH-L', 'CH-I3', 50, current_date - 5), pg_temp.try('CH-L', 'CH-L5', 1);
SELECT outcome FROM distsync.apply('invoice', '{"company":"CH","kind":"credit_memo","invoice_number":"CH-M1","customer":"CH-L","corrects":"CH-I3","currency":"USD","net_amount":50}', 'CH-ERP');
SELECT pg_temp.told();
SELECT outcome FROM distsync.apply('invoice', '{"company":"CH","kind":"credit_memo","invoice_number":"CH-M1","customer":"CH-L","currency":"USD","net_amount":50,"status":"void"}', 'CH-ERP');
SELECT pg_temp.told();
SELECT * FROM wrong;

-- where orders are ours it goes back to booked, and is booked once
SELECT pg_temp.try('CH-N', 'CH-N1', 8, '{"company":"CHN"}');
SELECT outcome FROM distsync.apply('payment', '{"company":"CHN","payment_number":"CH-NP","customer":"CH-N","currency":"USD","amount":50}', 'CH-ERP');
SELECT pg_temp.try('CH-N', 'CH-N2', 7, '{"company":"CHN"}');
SELECT outcome FROM distsync.apply('payment', '{"company":"CHN","payment_number":"CH-NPB","reverses":"CH-NP","currency":"USD","amount":50}', 'CH-ERP');
SELECT order_number, state, credit_state FROM orders WHERE order_number LIKE 'CH-N%';
SELECT outcome FROM distsync.apply('payment', '{"company":"CHN","payment_number":"CH-NP2","customer":"CH-N","currency":"USD","amount":50}', 'CH-ERP');
SELECT pg_temp.told();

-- more than one transaction looks at: the clerk goes on from where it stopped
\o /dev/null
SELECT pg_temp.pay('CH-Q', 'CH-QP', 200);
SELECT pg_temp.try('CH-Q', 'CH-Q' || n, 1) FROM generate_series(1, 30) n;
SELECT pg_temp.told();
\o
SET distsync.release_inline = 3;
SELECT pg_temp.bounce('CH-QP', 200);
SELECT count(*) FROM held WHERE order_number LIKE 'CH-Q%';
SELECT holding_from ? 'order_number' AS on_the_way, due_at <= clock_timestamp() AS due FROM dist.credit_account WHERE code = 'CH-Q';
DO $$ BEGIN FOR n IN 1 .. 20 LOOP EXIT WHEN distsync_internal.credit_clerk(10) = 0; END LOOP; END $$;
SELECT count(*) FROM held WHERE order_number LIKE 'CH-Q%';
SELECT open_orders, held_demand, holding_from, waiting_from, due_at FROM dist.credit_account WHERE code = 'CH-Q';
-- with nothing to be looked at at once the clerk does it all
SELECT pg_temp.pay('CH-Q', 'CH-QP2', 200);
DO $$ BEGIN FOR n IN 1 .. 20 LOOP EXIT WHEN distsync_internal.credit_clerk(10) = 0; END LOOP; END $$;
SELECT count(*) FROM held WHERE order_number LIKE 'CH-Q%';
SET distsync.release_inline = 0;
SELECT pg_temp.bounce('CH-QP2', 200);
SELECT count(*) FROM held WHERE order_number LIKE 'CH-Q%';
DO $$ BEGIN FOR n IN 1 .. 20 LOOP EXIT WHEN distsync_internal.credit_clerk(10) = 0; END LOOP; END $$;
SELECT count(*), min(order_number), max(order_number) FROM held WHERE order_number LIKE 'CH-Q%';
RESET distsync.release_inline;
SELECT * FROM wrong;

-- an error while an order is held again keeps no reversal out: people are told, the clerk holds the others and comes back for the one
\o /dev/null
SELECT pg_temp.pay('CH-F', 'CH-FP', 200);
SELECT pg_temp.try('CH-F', 'CH-F1', 15), pg_temp.try('CH-F', 'CH-F2', 15);
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON dist.sales_order FOR EACH ROW WHEN (new.state = 'held' AND new.order_number = 'CH-F2') EXECUTE FUNCTION pg_temp.refuse();
\o
SELECT pg_temp.bounce('CH-FP', 200);
SELECT * FROM orders WHERE order_number LIKE 'CH-F%';
SELECT code, receivable, open_orders, held_demand, holding_from ? 'careful' AS careful FROM dist.credit_account WHERE code = 'CH-F';
SELECT state, entity_key, details ->> 'message' AS message FROM sync.exception WHERE kind = 'rehold_failed';
SELECT distsync_internal.credit_clerk(10) > 0 AS looks, distsync_internal.credit_clerk(10) AS again;
SELECT * FROM orders WHERE order_number LIKE 'CH-F%';
SELECT state, details -> 'orders' AS orders FROM sync.exception WHERE kind = 'rehold_failed';
SELECT due_at BETWEEN now() AND now() + interval '1 hour' AS comes_back FROM dist.credit_account WHERE code = 'CH-F';
DROP TRIGGER refuse ON dist.sales_order;
UPDATE dist.credit_account SET due_at = now() WHERE code = 'CH-F';
SELECT distsync_internal.credit_clerk(10);
SELECT * FROM orders WHERE order_number LIKE 'CH-F%';
SELECT state FROM sync.exception WHERE kind = 'rehold_failed';
SELECT code, open_orders, held_demand, holding_from FROM dist.credit_account WHERE code = 'CH-F';
SELECT * FROM wrong;
