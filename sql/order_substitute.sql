-- Lines that cannot be had as asked: by policy another item stands in, priced and promised as itself.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OJ-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OJ', 'OJ-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OJ-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX","scale":0}]', 'OJ-ERP');
SELECT distsync.apply('company', '{"code":"OJ","name":"Substitutes","currency":"USD"}', 'OJ-ERP');
SELECT distsync.apply_all('party', '[{"code":"OJ-C","name":"takes others","currency":"USD","order_policy":{"substitute":"allow"}},{"code":"OJ-D","name":"wants what he asked for","currency":"USD"}]', 'OJ-ERP');
SELECT distsync.apply('site', '{"code":"OJ-W","name":"w","company":"OJ"}', 'OJ-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OJ-X","name":"X","base_unit":"EA","units":[{"unit":"BX","numerator":10,"denominator":1}]},{"sku":"OJ-Y","name":"Y","base_unit":"EA"},{"sku":"OJ-Z","name":"Z","base_unit":"EA"},
	{"sku":"OJ-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":6,"denominator":1}]},{"sku":"OJ-OLD","name":"old","base_unit":"EA","status":"inactive"}]', 'OJ-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OJ-A","successors":[{"sku":"OJ-Y","kind":"substitute","rank":1},{"sku":"OJ-X","kind":"substitute","rank":2},{"sku":"OJ-Z","kind":"substitute","rank":3}]},{"sku":"OJ-OLD","successors":[{"sku":"OJ-Z"}]}]', 'OJ-ERP');
SELECT distsync.apply('agreement', '{"code":"OJ-LIST","slot":"list","company":"OJ","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OJ-A","value":"10"},{"what":"OJ-X","value":"11"},{"what":"OJ-Y","value":"9"},{"what":"OJ-Z","value":"12"}]}', 'OJ-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"oj-1","kind":"receive","sku":"OJ-A","site":"OJ-W","quantity":10,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"oj-2","kind":"receive","sku":"OJ-X","site":"OJ-W","quantity":40,"event_at":"2026-01-01T00:00:00Z"},
	{"event_id":"oj-3","kind":"receive","sku":"OJ-Y","site":"OJ-W","quantity":3,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"oj-4","kind":"receive","sku":"OJ-Z","site":"OJ-W","quantity":40,"event_at":"2026-01-01T00:00:00Z"}]', 'OJ-ERP');
CREATE FUNCTION pg_temp.lines_of(s jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_agg(jsonb_build_array(l -> 'item', l -> 'requested_item', l -> 'disposition', l -> 'quantity', l -> 'base_quantity', l -> 'unit_price', l -> 'reserved')) FROM jsonb_array_elements(s) l $$;
CREATE FUNCTION pg_temp.document(number text, customer text, lines jsonb, policy jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('company', 'OJ', 'customer', customer, 'order_number', number, 'lines', lines, 'policy', policy) $$;
\o
-- enough: as asked; too little: the first that has all of it, in its own units and at its own price; the preview says the same
SELECT state, gross_amount, pg_temp.lines_of(lines) FROM distsync.submit_order(pg_temp.document('J1', 'OJ-C', '[{"item":"OJ-A","quantity":4}]'));
SELECT state, gross_amount, pg_temp.lines_of(lines) FROM distsync.preview_order(pg_temp.document('J2', 'OJ-C', '[{"item":"OJ-A","quantity":7},{"item":"OJ-A","quantity":3,"unit":"BX"},{"item":"OJ-OLD","quantity":2},{"item":"OJ-A","quantity":3}]'));
SELECT state, gross_amount, pg_temp.lines_of(lines) FROM distsync.submit_order(pg_temp.document('J2', 'OJ-C', '[{"item":"OJ-A","quantity":7},{"item":"OJ-A","quantity":3,"unit":"BX"},{"item":"OJ-OLD","quantity":2},{"item":"OJ-A","quantity":3}]'));
SELECT l.line_no, i.sku, r.sku AS asked, l.disposition FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.item i ON i.item_id = l.item_id JOIN dist.item r ON r.item_id = l.requested_item_id WHERE o.order_number = 'J2' ORDER BY 1;
SELECT jsonb_path_query_array(body, '$.lines[*].sku') AS sku, jsonb_path_query_array(body, '$.lines[*].requested_sku') AS asked FROM sync.outbox WHERE entity_key = 'OJ/J2';
-- nobody has all of it: as asked, and short; another price than expected is the price of another item
SELECT state, gross_amount, pg_temp.lines_of(lines) FROM distsync.submit_order(pg_temp.document('J3', 'OJ-C', '[{"item":"OJ-A","quantity":100}]'));
SELECT state, pg_temp.lines_of(lines) FROM distsync.submit_order(pg_temp.document('J4', 'OJ-C', '[{"item":"OJ-A","quantity":5,"expected_price":10}]'));
SELECT details -> 'expected' AS expected, details -> 'price' AS price FROM sync.exception WHERE kind = 'price_changed' AND trace_key LIKE 'OJ/J4%';
-- who did not allow it gets what he asked for, or nothing
SELECT state, pg_temp.lines_of(lines) FROM distsync.submit_order(pg_temp.document('J5', 'OJ-D', '[{"item":"OJ-A","quantity":100}]', '{"shortage":"reject"}'));
SELECT state, pg_temp.lines_of(lines) FROM distsync.submit_order(pg_temp.document('J6', 'OJ-C', '[{"item":"OJ-A","quantity":30}]', '{"substitute":"none"}'));
SELECT distsync.submit_order(pg_temp.document('J7', 'OJ-C', '[{"item":"OJ-A","quantity":1}]', '{"substitute":"maybe"}'));
\echo :LAST_ERROR_SQLSTATE
SELECT invariant, entity_key FROM distsync_internal.order_verify_orders();
