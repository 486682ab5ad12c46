-- What a held order keeps of its stock: all of it, what others may take, or nothing; for good or for a time.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OX-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OX', 'OX-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OX-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OX-ERP');
SELECT distsync.apply('company', '{"code":"OX","name":"Keeps","currency":"USD"}', 'OX-ERP');
SELECT distsync.apply_all('party', '[{"code":"OX-C","name":"Customer","currency":"USD","order_policy":{"held_stock":"soft"}},{"code":"OX-D","name":"Other","currency":"USD","order_policy":{"keep_for":"2 days"}}]', 'OX-ERP');
SELECT distsync.apply('site', '{"code":"OX-W","name":"w","company":"OX"}', 'OX-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OX-A","name":"A","base_unit":"EA"},{"sku":"OX-B","name":"B","base_unit":"EA"},{"sku":"OX-K","name":"kit","base_unit":"EA","kit":true,"components":[{"sku":"OX-A","quantity":2},{"sku":"OX-B","quantity":1}]}]', 'OX-ERP');
SELECT distsync.apply('agreement', '{"code":"OX-LIST","slot":"list","company":"OX","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OX-A","value":"10"},{"what":"OX-B","value":"1"},{"what":"OX-K","value":"30"}]}', 'OX-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OX-C","customer":"OX-C","company":"OX","limit":0},{"code":"OX-D","customer":"OX-D","company":"OX","limit":0}]', 'OX-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"ox-1","kind":"receive","sku":"OX-A","site":"OX-W","quantity":22,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"ox-2","kind":"receive","sku":"OX-B","site":"OX-W","quantity":5,"event_at":"2026-01-01T00:00:00Z"}]', 'OX-ERP');
CREATE FUNCTION pg_temp.try(number text, item text, quantity numeric, policy jsonb DEFAULT '{}', customer text DEFAULT 'OX-C') RETURNS TABLE (state text, reserved numeric) LANGUAGE sql AS $$
	SELECT s.state, (s.lines -> 0 ->> 'reserved')::numeric FROM distsync.submit_order(jsonb_build_object('company', 'OX', 'customer', customer, 'order_number', number, 'policy', policy, 'lines', jsonb_build_array(jsonb_build_object('item', item, 'quantity', quantity)))) s $$;
CREATE FUNCTION pg_temp.limit_to(amount numeric, account text DEFAULT 'OX-C') RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM distsync.apply('credit_account', jsonb_build_object('code', account, 'limit', amount), 'OX-ERP') $$;
CREATE TEMP VIEW ord AS SELECT order_number, state, credit_state, decision ->> 'stock' AS stock, keep_until - recorded_at > interval '47 hours' AS keeps FROM dist.sales_order WHERE order_number LIKE 'KP%' ORDER BY 1;
CREATE TEMP VIEW promised AS SELECT r.demand_key, i.sku, r.kind, sum(r.quantity) AS quantity FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'OX-%' AND r.state IN ('held', 'committed') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.order_verify_offers() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()) v;
\o
-- soft: others who are more important may take it; nobody did, and it is its own again
SELECT * FROM pg_temp.try('KP1', 'OX-A', 10);
SELECT * FROM promised;
SELECT pg_temp.limit_to(100);
SELECT * FROM ord;
SELECT distsync_internal.order_clerk_redecide(1), distsync_internal.order_clerk_redecide(1);
SELECT * FROM ord;
SELECT * FROM promised;
-- somebody did: what was taken is promised again, and here it is not there
SELECT * FROM pg_temp.try('KP2', 'OX-A', 6);
SELECT outcome, quantity FROM distsync.reserve('[{"item":"OX-A","quantity":8}]', '{"holder":"vip","priority":1,"take_over":true}');
SELECT * FROM promised;
SELECT pg_temp.limit_to(1000);
SELECT distsync_internal.order_clerk_redecide(1), distsync_internal.order_clerk_redecide(1);
SELECT * FROM ord WHERE order_number = 'KP2';
SELECT jsonb_path_query_array(f.changes, '$[*].backordered') AS backordered, f.state FROM dist.order_offer f JOIN dist.sales_order o USING (customer_id, order_id) WHERE o.order_number = 'KP2';
SELECT * FROM promised;
SELECT * FROM wrong;
SELECT r ->> 'state' AS state FROM distsync.answer_offer('KP2', false, '{"company":"OX"}') r;
SELECT * FROM promised;

-- for a time: then the clerk gives it back; let go, it is promised again
SELECT * FROM pg_temp.try('KP3', 'OX-K', 2, '{}', 'OX-D');
SELECT * FROM pg_temp.try('KP4', 'OX-B', 1, '{"held_stock":"none"}', 'OX-D');
SELECT * FROM ord WHERE order_number IN ('KP3', 'KP4');
SELECT distsync_internal.order_clerk_kept(1);
UPDATE dist.sales_order SET keep_until = clock_timestamp() - interval '1 second' WHERE order_number = 'KP3';
SELECT distsync_internal.order_clerk_kept_due() < clock_timestamp() AS due;
SELECT distsync_internal.order_clerk_kept(1), distsync_internal.order_clerk_kept(1);
SELECT distsync_internal.order_clerk_kept_due();
SELECT * FROM ord WHERE order_number = 'KP3';
SELECT * FROM promised;
SELECT verb, reason FROM sync.audit WHERE entity_key = 'OX/KP3' AND verb = 'held_stock';
SELECT pg_temp.limit_to(1000, 'OX-D');
SELECT distsync_internal.order_clerk_redecide(1), distsync_internal.order_clerk_redecide(1), distsync_internal.order_clerk_redecide(1);
SELECT * FROM ord WHERE order_number IN ('KP3', 'KP4');
SELECT * FROM promised;
-- one that goes on in time is kept by nobody but itself
SELECT pg_temp.limit_to(40, 'OX-D');
SELECT * FROM pg_temp.try('KP5', 'OX-A', 1, '{}', 'OX-D');
SELECT pg_temp.limit_to(1000, 'OX-D');
SELECT order_number, state, keep_until FROM dist.sales_order WHERE order_number = 'KP5';
SELECT * FROM wrong;
-- what a policy cannot be
SELECT distsync.submit_order('{"company":"OX","customer":"OX-C","policy":{"held_stock":"sometimes"},"lines":[{"item":"OX-A","quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.submit_order('{"company":"OX","customer":"OX-C","policy":{"keep_for":"soon"},"lines":[{"item":"OX-A","quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
