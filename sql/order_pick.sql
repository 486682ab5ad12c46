-- Checkpoints of credit: an order that was let go is looked at again when it is picked and when a command ships it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OPK-ERP', 'erp'), ('OPK-WMS', 'wms');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OPK', 'OPK-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OPK-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OPK-ERP');
SELECT distsync.apply('company', '{"code":"OPK","name":"Checkpoints","currency":"USD"}', 'OPK-ERP');
SELECT distsync.apply_all('party', '[{"code":"OPK-C","name":"Customer","currency":"USD"},{"code":"OPK-D","name":"as a whole","currency":"USD","order_policy":{"ship_complete":true}},{"code":"OPK-E","name":"only at entry","currency":"USD","order_policy":{"credit_at":"entry"}},
	{"code":"OPK-P","name":"picked, then his","currency":"USD","order_policy":{"credit_at":"pick"}}]', 'OPK-ERP');
SELECT distsync.apply('site', '{"code":"OPK-W","name":"w","company":"OPK"}', 'OPK-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OPK-A","name":"A","base_unit":"EA"},{"sku":"OPK-B","name":"B","base_unit":"EA"}]', 'OPK-ERP');
SELECT distsync.apply('agreement', '{"code":"OPK-LIST","slot":"list","company":"OPK","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OPK-A","value":"10"},{"what":"OPK-B","value":"5"}]}', 'OPK-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OPK-C","customer":"OPK-C","company":"OPK","limit":100},{"code":"OPK-E","customer":"OPK-E","company":"OPK","limit":100},{"code":"OPK-P","customer":"OPK-P","company":"OPK","limit":100}]', 'OPK-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"oy-1","kind":"receive","sku":"OPK-A","site":"OPK-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"oy-2","kind":"receive","sku":"OPK-B","site":"OPK-W","quantity":5,"event_at":"2026-01-01T00:00:00Z"}]', 'OPK-ERP');
CREATE FUNCTION pg_temp.try(number text, lines jsonb, policy jsonb DEFAULT '{}', customer text DEFAULT 'OPK-C') RETURNS TABLE (state text, credit text, gross numeric) LANGUAGE sql AS $$
	SELECT s.state, s.credit_state, s.gross_amount FROM distsync.submit_order(jsonb_build_object('company', 'OPK', 'customer', customer, 'order_number', number, 'policy', policy, 'lines', lines)) s $$;
CREATE FUNCTION pg_temp.limit_to(amount numeric, account text DEFAULT 'OPK-C') RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM distsync.apply('credit_account', jsonb_build_object('code', account, 'limit', amount), 'OPK-ERP') $$;
CREATE FUNCTION pg_temp.pick(number text, options jsonb DEFAULT '{}') RETURNS TABLE (outcome text, state text, rules jsonb, cure text, picked boolean) LANGUAGE sql AS $$
	SELECT r ->> 'outcome', r ->> 'state', jsonb_path_query_array(r -> 'reasons', '$[*].rule'), r ->> 'cure', r ->> 'picked_at' IS NOT NULL FROM distsync.pick_order(number, '{"company":"OPK"}' || options) r $$;
CREATE FUNCTION pg_temp.ship(number text, shipment text, quantity numeric, key text DEFAULT NULL) RETURNS TABLE (outcome text, state text, rules jsonb, cure text) LANGUAGE sql AS $$
	SELECT r ->> 'outcome', r ->> 'state', jsonb_path_query_array(r -> 'reasons', '$[*].rule'), r ->> 'cure'
	FROM distsync.ship(jsonb_build_object('company', 'OPK', 'shipment_number', shipment, 'order_number', number, 'site', 'OPK-W', 'lines', jsonb_build_array(jsonb_build_object('order_line', 1, 'quantity', quantity))), key) r $$;
CREATE TEMP VIEW ord AS SELECT order_number, state, credit_state, exposure_amount, picked_at IS NOT NULL AS picked, checked_at IS NOT NULL AS checked FROM dist.sales_order JOIN dist.company c USING (company_id) WHERE c.code = 'OPK' ORDER BY 1;
CREATE TEMP VIEW acct AS SELECT code, open_orders, held_demand, unbilled FROM dist.credit_account WHERE code LIKE 'OPK-%' ORDER BY 1;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.order_verify_offers()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_counters() UNION ALL SELECT * FROM distsync_internal.credit_verify_releases()) v;
\o
-- an account that stands well: picked once; told once; a change has to be picked anew
SELECT * FROM pg_temp.try('P1', '[{"item":"OPK-A","quantity":5}]');
SELECT * FROM pg_temp.pick('P1', '{"idempotency_key":"oy-a","source":"OPK-WMS"}');
SELECT * FROM pg_temp.pick('P1', '{"idempotency_key":"oy-a","source":"OPK-WMS"}');
SELECT * FROM pg_temp.pick('P1');
SELECT * FROM ord;
SELECT r ->> 'outcome' AS outcome FROM distsync.change_order('P1', '{"lines":[{"line":1,"quantity":6}]}', '{"company":"OPK"}') r;
SELECT * FROM ord;
SELECT * FROM pg_temp.pick('P1');
SELECT event_type, origin FROM sync.outbox WHERE entity_key = 'OPK/P1' ORDER BY outbox_id;
SELECT verb, after ->> 'outcome' AS outcome FROM sync.audit WHERE entity_key = 'OPK/P1' AND verb = 'pick_order' ORDER BY audit_id;

-- one that stands badly: what was let go is held, and room is for who fits; freed, it goes on where it was
SELECT * FROM pg_temp.try('P2', '[{"item":"OPK-A","quantity":3}]');
SELECT * FROM pg_temp.try('P3', '[{"item":"OPK-A","quantity":2}]');
SELECT pg_temp.limit_to(80);
SELECT outcome FROM distsync.apply('order', '{"company":"OPK","order_number":"P2","state":"booked","owner_number":"E-2"}', 'OPK-ERP');
SELECT * FROM acct WHERE code = 'OPK-C';
SELECT * FROM pg_temp.pick('P2');
SELECT * FROM ord;
SELECT * FROM acct WHERE code = 'OPK-C';
SELECT event_type, body ->> 'checkpoint' AS checkpoint, body ->> 'cure' AS cure FROM sync.outbox WHERE entity_key = 'OPK/P2' ORDER BY outbox_id;
SELECT * FROM pg_temp.pick('P2');
SELECT * FROM wrong;
SELECT pg_temp.limit_to(200);
SELECT * FROM ord;
SELECT * FROM pg_temp.pick('P2');

-- shipping: held is an answer, which has burnt its key; nothing has left. A fact never asks
SELECT pg_temp.limit_to(50);
SELECT * FROM pg_temp.ship('P1', 'OPK-S1', 6, 'oy-b');
SELECT * FROM pg_temp.ship('P1', 'OPK-S1', 6, 'oy-b');
SELECT count(*) FROM dist.shipment WHERE shipment_number = 'OPK-S1';
SELECT * FROM ord;
SELECT * FROM acct WHERE code = 'OPK-C';
SELECT * FROM wrong;
SELECT outcome FROM distsync.apply('shipment', '{"company":"OPK","shipment_number":"OPK-S2","order_number":"P2","site":"OPK-W","lines":[{"order_line":1,"quantity":1}]}', 'OPK-WMS');
SELECT * FROM ord WHERE order_number = 'P2';
-- on somebody's authority it goes, as far as he said
SELECT r ->> 'state' AS state FROM distsync.release_order('P1', 'he is good', '{"company":"OPK","authority":"cfo"}') r;
SELECT * FROM pg_temp.pick('P1');
SELECT * FROM pg_temp.ship('P1', 'OPK-S3', 6);
SELECT * FROM ord WHERE order_number = 'P1';
SELECT * FROM wrong;
-- by policy credit looks at entry only, or at picking too
SELECT * FROM pg_temp.try('P4', '[{"item":"OPK-A","quantity":5}]', '{}', 'OPK-E');
SELECT * FROM pg_temp.try('P5', '[{"item":"OPK-A","quantity":5}]', '{}', 'OPK-P');
SELECT pg_temp.limit_to(10, 'OPK-E'), pg_temp.limit_to(10, 'OPK-P');
SELECT * FROM pg_temp.pick('P4');
SELECT * FROM pg_temp.ship('P4', 'OPK-S4', 5);
SELECT * FROM pg_temp.ship('P5', 'OPK-S5', 1);
SELECT * FROM pg_temp.pick('P5');
-- what is paid in advance, and what its owner took himself, passes
SELECT pg_temp.limit_to(1000);
SELECT * FROM pg_temp.try('P6', '[{"item":"OPK-A","quantity":4}]');
SELECT outcome FROM distsync.apply('payment', '{"company":"OPK","payment_number":"OPK-D1","customer":"OPK-C","kind":"deposit","order":"P6","currency":"USD","amount":40}', 'OPK-ERP');
SELECT outcome FROM distsync.apply('order', '{"company":"OPK","order_number":"P7","customer":"OPK-C","lines":[{"item":"OPK-A","quantity":1,"unit_price":10}]}', 'OPK-ERP');
SELECT pg_temp.limit_to(0);
SELECT * FROM pg_temp.pick('P6');
SELECT * FROM pg_temp.pick('P7');
SELECT * FROM wrong;

-- an order that ships as a whole is not picked in parts, nor shipped
SELECT * FROM pg_temp.try('P8', '[{"item":"OPK-B","quantity":8}]', '{}', 'OPK-D');
SELECT * FROM pg_temp.pick('P8', '{"idempotency_key":"oy-c"}');
SELECT * FROM pg_temp.ship('P8', 'OPK-S8', 5);
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'outcome' AS outcome FROM distsync.change_order('P8', '{"lines":[{"line":1,"quantity":5}]}', '{"company":"OPK"}') r;
SELECT * FROM pg_temp.pick('P8', '{"idempotency_key":"oy-c"}');
SELECT * FROM pg_temp.ship('P8', 'OPK-S8', 5);
SELECT distsync.pick_order('P8', '{"company":"OPK"}');
\echo :LAST_ERROR_SQLSTATE
-- one that credit let go is decided again before it is picked
SELECT * FROM pg_temp.try('P9', '[{"item":"OPK-A","quantity":1}]', '{"held_stock":"none"}');
SELECT pg_temp.limit_to(1000);
SELECT * FROM pg_temp.pick('P9');
SELECT * FROM ord WHERE order_number = 'P9';
-- held by people
SELECT r ->> 'state' AS state FROM distsync.hold_order('P9', 'look', '{"company":"OPK","owner":"fraud"}') r;
SELECT * FROM pg_temp.pick('P9');
SELECT * FROM wrong;
