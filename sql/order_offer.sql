-- Orders that credit has let go: price and stock are decided again; they go on, are held again, or another promise is offered.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OO-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OO', 'OO-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OO-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OO-ERP');
SELECT distsync.apply('company', '{"code":"OO","name":"Offers","currency":"USD"}', 'OO-ERP');
SELECT distsync.apply_all('party', '[{"code":"OO-C","name":"Customer","currency":"USD"},{"code":"OO-V","name":"with a volume","currency":"USD"},{"code":"OO-F","name":"without account","currency":"USD"}]', 'OO-ERP');
SELECT distsync.apply('site', '{"code":"OO-W","name":"w","company":"OO"}', 'OO-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OO-A","name":"A","base_unit":"EA"},{"sku":"OO-B","name":"B","base_unit":"EA"},{"sku":"OO-D","name":"D","base_unit":"EA"}]', 'OO-ERP');
SELECT distsync.apply('agreement', '{"code":"OO-LIST","slot":"list","company":"OO","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OO-A","value":"10"},{"what":"OO-B","value":"5"},{"what":"OO-D","value":"20"}]}', 'OO-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OO-C","customer":"OO-C","company":"OO","limit":100},{"code":"OO-V","customer":"OO-V","company":"OO","limit":10}]', 'OO-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"oo-1","kind":"receive","sku":"OO-A","site":"OO-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"oo-2","kind":"receive","sku":"OO-B","site":"OO-W","quantity":20,"event_at":"2026-01-01T00:00:00Z"},
	{"event_id":"oo-3","kind":"receive","sku":"OO-D","site":"OO-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"}]', 'OO-ERP');
CREATE FUNCTION pg_temp.try(number text, item text, quantity numeric, policy jsonb DEFAULT '{}', customer text DEFAULT 'OO-C') RETURNS TABLE (state text, credit text, gross numeric) LANGUAGE sql AS $$
	SELECT s.state, s.credit_state, s.gross_amount FROM distsync.submit_order(jsonb_build_object('company', 'OO', 'customer', customer, 'order_number', number, 'policy', policy, 'lines', jsonb_build_array(jsonb_build_object('item', item, 'quantity', quantity)))) s $$;
CREATE FUNCTION pg_temp.limit_to(amount numeric, account text DEFAULT 'OO-C') RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM distsync.apply('credit_account', jsonb_build_object('code', account, 'limit', amount), 'OO-ERP') $$;
CREATE FUNCTION pg_temp.price_of(item text, value text) RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM distsync.apply('agreement', jsonb_build_object('code', 'OO-LIST', 'slot', 'list', 'company', 'OO', 'currency', 'USD', 'valid_from', '2020-01-01', 'assignments', '[{"who_kind":"all"}]'::jsonb,
	'publish', true, 'rates', (SELECT jsonb_agg(jsonb_build_object('what', r.what, 'value', CASE WHEN r.what = item THEN price_of.value ELSE r.value END)) FROM (VALUES ('OO-A', '10'), ('OO-B', '5'), ('OO-D', '20')) r(what, value))), 'OO-ERP') $$;
CREATE FUNCTION pg_temp.told(number text) RETURNS TABLE (event_type text, about jsonb) LANGUAGE sql AS $$
	SELECT o.event_type, COALESCE(jsonb_path_query_array(o.body, '$.offer.changes[*].field'), '[]') || COALESCE(jsonb_path_query_array(o.body, '$.reasons[*].rule'), '[]') FROM sync.outbox o WHERE o.entity_key = 'OO/' || number ORDER BY o.outbox_id $$;
CREATE TEMP VIEW ord AS SELECT order_number, state, credit_state, gross_amount, exposure_amount, redecide_at IS NOT NULL AS waits FROM dist.sales_order JOIN dist.company c USING (company_id) WHERE c.code = 'OO' ORDER BY 1;
CREATE TEMP VIEW offers AS SELECT o.order_number, f.state, f.gross_before, f.gross_after, jsonb_path_query_array(f.changes, '$[*].field') AS fields, f.decided_at IS NOT NULL AS decided FROM dist.order_offer f JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.company c USING (company_id) WHERE c.code = 'OO' ORDER BY f.offer_id;
CREATE TEMP VIEW acct AS SELECT code, open_orders, held_demand FROM dist.credit_account WHERE code LIKE 'OO-%' ORDER BY 1;
CREATE TEMP VIEW pool AS SELECT sku, held, committed FROM dist.stock_pool p JOIN dist.item USING (item_id) WHERE sku LIKE 'OO-%' ORDER BY 1;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.order_verify_offers()
	UNION ALL SELECT * FROM distsync_internal.order_verify_volumes() UNION ALL SELECT * FROM distsync_internal.pricing_verify_commitments() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters() UNION ALL SELECT * FROM distsync_internal.credit_verify_releases()) v;
\o
-- by itself the accepted price stands and, where stock was kept, the order goes on with the money that frees it
SELECT * FROM pg_temp.try('O1', 'OO-A', 20);
SELECT pg_temp.price_of('OO-A', '12');
SELECT pg_temp.limit_to(200);
SELECT * FROM ord WHERE order_number = 'O1';
SELECT * FROM pg_temp.told('O1');

-- repriced: the same price goes on
SELECT pg_temp.price_of('OO-A', '10');
SELECT * FROM pg_temp.try('O2', 'OO-A', 2, '{"reprice":"offer"}');
SELECT pg_temp.limit_to(220);
SELECT * FROM ord WHERE order_number = 'O2';
SELECT distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number = 'O2';
SELECT * FROM pg_temp.told('O2');
SELECT priced_at IS NULL AS as_ordered FROM dist.sales_order JOIN dist.company c USING (company_id) WHERE c.code = 'OO' AND order_number = 'O2';

-- a higher price is offered, and counted; accepted, the order has it
SELECT * FROM pg_temp.try('O3', 'OO-A', 2, '{"reprice":"offer"}');
SELECT pg_temp.price_of('OO-A', '11');
SELECT pg_temp.limit_to(300);
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number = 'O3';
SELECT * FROM offers;
SELECT * FROM acct WHERE code = 'OO-C';
SELECT * FROM wrong;
SELECT distsync.answer_offer('O3', NULL, '{"company":"OO"}');
\echo :LAST_ERROR_SQLSTATE
SELECT r - 'correlation_id' FROM distsync.answer_offer('O3', true, '{"company":"OO","idempotency_key":"oo-a"}') r;
SELECT r - 'correlation_id' FROM distsync.answer_offer('O3', true, '{"company":"OO","idempotency_key":"oo-a"}') r;
SELECT distsync.answer_offer('O3', false, '{"company":"OO","idempotency_key":"oo-a"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.answer_offer('O3', true, '{"company":"OO"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM ord WHERE order_number = 'O3';
SELECT l.unit_price, l.net_amount, l.agreement_code FROM dist.order_line l JOIN dist.sales_order USING (customer_id, order_id) JOIN dist.company c USING (company_id) WHERE c.code = 'OO' AND order_number = 'O3';
SELECT * FROM pg_temp.told('O3');
SELECT verb, after ->> 'accept' AS accept FROM sync.audit WHERE entity_key = 'OO/O3' AND verb = 'answer_offer';
SELECT (s -> 'offers' -> 0) - '{made_at,lapses_at,decided_at,decided_by}'::text[] FROM distsync.order_status('O3', '{"company":"OO"}') s;
SELECT distsync.verify_proof('OO-C', s ->> 'price_proof') ->> 'outcome' AS proof FROM distsync.order_status('O3', '{"company":"OO"}') s;
SELECT * FROM wrong;

-- declined, it is cancelled and gives all back; so it is when the offer lapses
SELECT pg_temp.price_of('OO-A', '10');
SELECT pg_temp.limit_to(222);
SELECT * FROM pg_temp.try('O4', 'OO-A', 3, '{"reprice":"offer"}');
SELECT * FROM pg_temp.try('O5', 'OO-A', 3, '{"reprice":"offer","offer_within":"1 hour"}');
SELECT * FROM pg_temp.try('O6', 'OO-A', 3, '{"reprice":"offer","price_tolerance":10}');
SELECT * FROM pg_temp.try('O7', 'OO-A', 3, '{"reprice":"take"}');
SELECT pg_temp.price_of('OO-A', '9');
SELECT pg_temp.limit_to(1000);
SELECT distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number IN ('O4', 'O5', 'O6', 'O7');
SELECT * FROM offers WHERE order_number IN ('O4', 'O5', 'O6', 'O7');
SELECT * FROM acct WHERE code = 'OO-C';
SELECT kind, entity_key, details ->> 'expected' AS expected, details ->> 'price' AS price FROM sync.exception WHERE kind = 'price_changed' AND trace_key LIKE 'OO/%';
SELECT * FROM wrong;
SELECT r - 'correlation_id' FROM distsync.answer_offer('O4', false, '{"company":"OO"}') r;
SELECT distsync_internal.order_clerk_lapsed(10);
UPDATE dist.order_offer SET lapses_at = clock_timestamp() - interval '1 second' WHERE state = 'open';
SELECT distsync.answer_offer('O5', true, '{"company":"OO"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.order_clerk_lapsed(10), distsync_internal.order_clerk_lapsed(10);
SELECT * FROM ord WHERE order_number IN ('O4', 'O5');
SELECT * FROM offers WHERE order_number IN ('O4', 'O5');
SELECT kind, entity_key FROM sync.exception WHERE kind = 'offer_lapsed' AND trace_key LIKE 'OO/%';
SELECT * FROM pool WHERE sku = 'OO-A';
SELECT * FROM acct WHERE code = 'OO-C';
SELECT * FROM wrong;

-- a higher price that credit does not allow holds it again, with what it takes now; freed once more it is offered
SELECT pg_temp.price_of('OO-A', '10');
SELECT pg_temp.limit_to(300);
SELECT * FROM pg_temp.try('O8', 'OO-A', 5, '{"reprice":"offer"}');
SELECT pg_temp.price_of('OO-A', '30');
SELECT pg_temp.limit_to(350);
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number = 'O8';
SELECT * FROM acct WHERE code = 'OO-C';
SELECT * FROM pg_temp.told('O8');
SELECT * FROM wrong;
SELECT pg_temp.limit_to(500);
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM offers WHERE order_number = 'O8';
-- who stops it withdraws the offer; let go it is decided again
SELECT r ->> 'state' AS state FROM distsync.hold_order('O8', 'look', '{"company":"OO"}') r;
SELECT * FROM offers WHERE order_number = 'O8';
SELECT * FROM wrong;
SELECT pg_temp.price_of('OO-A', '10');
SELECT r ->> 'state' AS state, r ->> 'credit_state' AS credit FROM distsync.release_order('O8', 'fine', '{"company":"OO"}') r;
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number = 'O8';
SELECT * FROM acct WHERE code = 'OO-C';
SELECT * FROM wrong;

-- stock that was given back and is another's now: what was promised is no more, and another promise is offered; or taken by policy
SELECT pg_temp.limit_to(250);
SELECT * FROM pg_temp.try('O9', 'OO-B', 15, '{"held_stock":"none"}');
SELECT * FROM pg_temp.try('OA', 'OO-B', 15, '{"held_stock":"none","repromise":"take"}');
SELECT * FROM pg_temp.try('OB', 'OO-B', 18, '{}', 'OO-F');
SELECT pg_temp.limit_to(1000);
SELECT distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number IN ('O9', 'OA');
SELECT o.order_number, f.changes #- '{0,before}' AS changes, f.terms - 'priced_at' AS terms FROM dist.order_offer f JOIN dist.sales_order o USING (customer_id, order_id) WHERE o.order_number IN ('O9', 'OA');
SELECT order_number, disposition, promised_at FROM dist.order_line JOIN dist.sales_order USING (customer_id, order_id) WHERE order_number IN ('O9', 'OA') ORDER BY 1;
SELECT * FROM pool WHERE sku = 'OO-B';
SELECT r - 'correlation_id' FROM distsync.answer_offer('O9', true, '{"company":"OO"}') r;
SELECT * FROM wrong;
-- what is there again goes on
SELECT r ->> 'state' AS state FROM distsync.cancel_order('OB', 'x', NULL, '{"company":"OO"}') r;

-- an order that its customer cancels, or that leaves all the same, has no offer any more
SELECT pg_temp.limit_to(300);
SELECT * FROM pg_temp.try('OC', 'OO-A', 4, '{"reprice":"offer"}');
SELECT * FROM pg_temp.try('OD', 'OO-A', 4, '{"reprice":"offer"}');
SELECT pg_temp.price_of('OO-A', '12');
SELECT pg_temp.limit_to(1000);
SELECT distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10);
SELECT r ->> 'state' AS state FROM distsync.cancel_order('OC', 'no', NULL, '{"company":"OO"}') r;
SELECT outcome FROM distsync.apply('shipment', '{"company":"OO","shipment_number":"OO-S1","order_number":"OD","site":"OO-W","lines":[{"sku":"OO-A","quantity":4}]}', 'OO-ERP');
SELECT * FROM offers WHERE order_number IN ('OC', 'OD');
SELECT * FROM ord WHERE order_number IN ('OC', 'OD');
SELECT * FROM wrong;

-- its owner changes an order that is offered: it is decided again
SELECT pg_temp.limit_to(300);
SELECT pg_temp.price_of('OO-A', '10');
SELECT * FROM pg_temp.try('OI', 'OO-A', 4, '{"reprice":"offer"}');
SELECT pg_temp.price_of('OO-A', '12');
SELECT pg_temp.limit_to(1000);
SELECT distsync_internal.order_clerk_redecide(10);
SELECT outcome FROM distsync.apply('order', '{"company":"OO","order_number":"OI","lines":[{"line":1,"item":"OO-A","quantity":3,"unit_price":10}]}', 'OO-ERP');
SELECT * FROM offers WHERE order_number = 'OI';
SELECT * FROM ord WHERE order_number = 'OI';
SELECT * FROM wrong;
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM offers WHERE order_number = 'OI';
SELECT r - 'correlation_id' FROM distsync.answer_offer('OI', true, '{"company":"OO"}') r;
SELECT * FROM wrong;

-- agreed volumes: its own use is no reason against its price
\o /dev/null
SELECT distsync.apply('agreement', '{"code":"OO-DEAL","slot":"contract","company":"OO","currency":"USD","valid_from":"2020-01-01","commit_quantity":"10","cap_behavior":"stop","publish":true,"rates":[{"customer":"OO-V","what":"OO-D","value":"15"}]}', 'OO-ERP');
CREATE TEMP VIEW uses AS SELECT u.document_key, u.quantity, u.amount FROM dist.commitment_use u JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'OO-DEAL' ORDER BY 1;
\o
SELECT * FROM pg_temp.try('OE', 'OO-D', 10, '{"reprice":"offer"}', 'OO-V');
SELECT * FROM uses;
SELECT pg_temp.limit_to(150, 'OO-V');
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM ord WHERE order_number = 'OE';
SELECT * FROM uses;
SELECT * FROM pg_temp.told('OE');
-- what the new price uses is taken with the offer, and comes back with it
SELECT * FROM pg_temp.try('OG', 'OO-D', 5, '{"reprice":"offer"}', 'OO-V');
SELECT r ->> 'state' AS state FROM distsync.cancel_order('OE', 'x', NULL, '{"company":"OO"}') r;
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM offers WHERE order_number = 'OG';
SELECT * FROM uses;
SELECT * FROM wrong;
SELECT r ->> 'state' AS state FROM distsync.answer_offer('OG', false, '{"company":"OO"}') r;
SELECT * FROM uses;
-- what it uses no more comes back when it is accepted
SELECT pg_temp.limit_to(10, 'OO-V');
SELECT * FROM pg_temp.try('OH', 'OO-D', 4, '{"reprice":"offer"}', 'OO-V');
SELECT * FROM uses;
SELECT outcome FROM distsync.apply('agreement', '{"code":"OO-DEAL","slot":"contract","company":"OO","currency":"USD","valid_from":"2020-01-01","commit_quantity":"10","cap_behavior":"stop","publish":true,"rates":[{"customer":"OO-V","what":"OO-A","value":"1"}]}', 'OO-ERP');
SELECT pg_temp.limit_to(100, 'OO-V');
SELECT distsync_internal.order_clerk_redecide(10);
SELECT * FROM offers WHERE order_number = 'OH';
SELECT * FROM uses;
SELECT * FROM wrong;
SELECT r ->> 'state' AS state FROM distsync.answer_offer('OH', true, '{"company":"OO"}') r;
SELECT * FROM uses;
SELECT * FROM ord WHERE order_number = 'OH';
SELECT * FROM wrong;
-- what can not be decided is told, and tried again later
SELECT pg_temp.limit_to(100);
SELECT * FROM pg_temp.try('OF', 'OO-A', 4, '{"reprice":"offer"}');
UPDATE dist.sales_order SET policy = policy || '{"price_tolerance":"x"}' WHERE order_number = 'OF';
SELECT pg_temp.limit_to(2000);
SELECT distsync_internal.order_clerk_redecide(10);
SELECT entity_key, state, details ->> 'sqlstate' AS code FROM sync.exception WHERE kind = 'redecide_failed';
SELECT redecide_at > clock_timestamp() AS later FROM dist.sales_order WHERE order_number = 'OF';
UPDATE dist.sales_order SET policy = policy || '{"price_tolerance":"0"}', redecide_at = clock_timestamp() WHERE order_number = 'OF';
SELECT distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10);
SELECT entity_key, state FROM sync.exception WHERE kind = 'redecide_failed';
SELECT * FROM ord WHERE order_number = 'OF';
SELECT * FROM wrong;
-- the next verb that touches it decides it again: nobody waits for the clerk
SELECT pg_temp.limit_to(0);
SELECT n, t.state, t.credit FROM unnest(ARRAY['OR1', 'OR2', 'OR3', 'OR4', 'OR5']) n CROSS JOIN LATERAL pg_temp.try(n, 'OO-A', 4, '{"reprice":"offer"}') t;
BEGIN;
SELECT pg_temp.limit_to(3000);
SELECT order_number, state, credit_state, waits FROM ord WHERE order_number LIKE 'OR%';
SELECT r ->> 'state' AS released FROM distsync.release_order('OR1', 'now', '{"company":"OO"}') r;
SELECT r ->> 'outcome' AS picked, r ->> 'state' AS state FROM distsync.pick_order('OR2', '{"company":"OO"}') r;
SELECT r ->> 'state' AS shipped FROM distsync.ship('{"company":"OO","shipment_number":"OR3","order_number":"OR3","site":"OO-W","lines":[{"order_line":1,"quantity":4}]}') r;
SELECT r ->> 'outcome' AS changed, r ->> 'state' AS state FROM distsync.change_order('OR4', '{"lines":[{"line":1,"quantity":3}]}', '{"company":"OO"}') r;
SELECT pg_temp.price_of('OO-A', '11');
SELECT r ->> 'state' AS released, r ->> 'credit_state' AS credit FROM distsync.release_order('OR5', 'now', '{"company":"OO"}') r;
COMMIT;
SELECT order_number, state, gross_amount, waits FROM ord WHERE order_number LIKE 'OR%';
SELECT * FROM offers WHERE order_number LIKE 'OR%';
SELECT * FROM pg_temp.told('OR1');
SELECT distsync.ship('{"company":"OO","shipment_number":"OR5","order_number":"OR5","site":"OO-W","lines":[{"order_line":1,"quantity":4}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.price_of('OO-A', '10');
SELECT r ->> 'state' AS state FROM distsync.answer_offer('OR5', false, '{"company":"OO"}') r;
SELECT * FROM wrong;
-- stock that it gave back is promised again in the same call, also where it ships
SELECT pg_temp.limit_to(0);
SELECT t.state FROM pg_temp.try('OS1', 'OO-B', 1, '{"held_stock":"none"}') t;
SELECT t.state FROM pg_temp.try('OS2', 'OO-A', 1, '{"held_stock":"none"}') t;
SELECT r ->> 'state' AS released FROM distsync.release_order('OS1', 'he pays', '{"company":"OO","authority":"head of credit"}') r;
BEGIN;
SELECT pg_temp.limit_to(3000);
SELECT order_number, state, credit_state, waits FROM ord WHERE order_number = 'OS2';
SELECT r ->> 'state' AS shipped FROM distsync.ship('{"company":"OO","shipment_number":"OS2","order_number":"OS2","site":"OO-W","lines":[{"order_line":1,"quantity":1}]}') r;
COMMIT;
SELECT order_number, state, waits FROM ord WHERE order_number LIKE 'OS%';
SELECT trim_scale(r.quantity) AS promised, trim_scale(r.shipped) AS shipped, r.state FROM dist.reservation r WHERE r.demand_key = 'OO/OS2/1';
SELECT * FROM pg_temp.told('OS2');
-- what can not be decided does not fail the verb: it is told, and stays
SELECT pg_temp.limit_to(0);
SELECT t.state FROM pg_temp.try('OT1', 'OO-A', 4, '{"reprice":"offer"}') t;
UPDATE dist.sales_order SET policy = policy || '{"price_tolerance":"x"}' WHERE order_number = 'OT1';
SELECT r ->> 'state' AS released, r ->> 'credit_state' AS credit FROM distsync.release_order('OT1', 'he pays', '{"company":"OO","authority":"head of credit"}') r;
SELECT entity_key, state, details ->> 'sqlstate' AS code FROM sync.exception WHERE kind = 'redecide_failed' AND entity_key = 'OO/OT1';
SELECT r ->> 'outcome' AS picked, jsonb_path_query_array(r, '$.reasons[*].rule') AS why FROM distsync.pick_order('OT1', '{"company":"OO"}') r;
UPDATE dist.sales_order SET policy = policy || '{"price_tolerance":"0"}' WHERE order_number = 'OT1';
SELECT r ->> 'outcome' AS picked FROM distsync.pick_order('OT1', '{"company":"OO"}') r;
SELECT entity_key, state FROM sync.exception WHERE kind = 'redecide_failed' AND entity_key = 'OO/OT1';
SELECT * FROM wrong;
-- a line that may be cut when the order comes is not made less afterwards: it is back-ordered, and offered
SELECT pg_temp.limit_to(0);
SELECT t.state FROM pg_temp.try('OU1', 'OO-D', 5, '{"shortage":"cut","held_stock":"none"}') t;
SELECT r.outcome FROM distsync.atp('OO-D', 1, 'EA', 'OO-W') a CROSS JOIN LATERAL distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'OO-D', 'site', 'OO-W', 'quantity', a.atp - 2))) r;
SELECT r ->> 'state' AS state, r ->> 'credit_state' AS credit FROM distsync.release_order('OU1', 'he pays', '{"company":"OO","authority":"head of credit"}') r;
SELECT * FROM offers WHERE order_number = 'OU1';
SELECT jsonb_path_query_array(f.changes, '$[*].backordered') AS backordered, l.quantity, l.disposition FROM dist.order_offer f JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.order_line l USING (customer_id, order_id) WHERE o.order_number = 'OU1';
SELECT r ->> 'state' AS state FROM distsync.answer_offer('OU1', false, '{"company":"OO"}') r;
SELECT * FROM wrong;
