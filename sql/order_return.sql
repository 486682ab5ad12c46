-- Returns: authorised, received, inspected in parts, cancelled, expired. Of a line never more comes back than has left; nobody is promised what is not inspected.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('RT-ERP', 'erp'), ('RT-WMS', 'wms');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'RT', 'RT-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'RT-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'RT-ERP');
SELECT distsync.apply('company', '{"code":"RT","name":"Returns","currency":"USD"}', 'RT-ERP');
SELECT distsync.apply('party', '{"code":"RT-C","name":"Customer","currency":"USD"}', 'RT-ERP');
SELECT distsync.apply('site', '{"code":"RT-W","name":"w","company":"RT"}', 'RT-ERP');
SELECT distsync.apply_all('item', '[{"sku":"RT-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":6,"denominator":1}]},{"sku":"RT-L","name":"L","base_unit":"EA","lot_controlled":true},{"sku":"RT-P","name":"P","base_unit":"EA"}]', 'RT-ERP');
SELECT distsync.apply('item', '{"sku":"RT-K","name":"K","base_unit":"EA","kit":true,"components":[{"sku":"RT-A","quantity":2},{"sku":"RT-P","quantity":1}]}', 'RT-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"rt-1","kind":"receive","sku":"RT-A","site":"RT-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"rt-2","kind":"receive","sku":"RT-P","site":"RT-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"},
	{"event_id":"rt-3","kind":"receive","sku":"RT-L","site":"RT-W","lot":"L1","quantity":50,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"rt-4","kind":"receive","sku":"RT-L","site":"RT-W","lot":"L2","quantity":50,"event_at":"2026-01-01T00:00:00Z"}]', 'RT-WMS');
SELECT distsync.apply('order', '{"company":"RT","order_number":"RT-1","customer":"RT-C","lines":[{"line":1,"item":"RT-A","quantity":10,"unit_price":2},{"line":2,"item":"RT-A","quantity":6,"unit_price":2},{"line":3,"item":"RT-L","quantity":8,"unit_price":5},{"line":4,"item":"RT-K","quantity":3,"unit_price":9}]}', 'RT-ERP');
SELECT distsync.apply('shipment', '{"company":"RT","shipment_number":"V1","order_number":"RT-1","site":"RT-W","lines":[{"order_line":1,"quantity":10},{"order_line":2,"quantity":4},{"order_line":3,"quantity":5,"lot":"L1"},{"order_line":3,"quantity":3,"lot":"L2"},{"order_line":4,"sku":"RT-K","quantity":3}]}', 'RT-WMS');
CREATE TEMP VIEW stock AS SELECT i.sku, b.state, b.lot, trim_scale(b.quantity) AS quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'RT-%' AND b.quantity <> 0 ORDER BY i.sku, b.state, b.lot;
CREATE TEMP VIEW line AS SELECT r.return_number, r.state, l.line_no, l.order_line_no AS order_line, trim_scale(l.authorised) AS authorised, trim_scale(l.claimed) AS claimed, trim_scale(l.received) AS received, trim_scale(l.restocked) AS restocked, trim_scale(l.scrapped) AS scrapped, trim_scale(l.refused) AS refused
	FROM dist.return_line l JOIN dist.customer_return r USING (customer_id, return_id) WHERE r.return_number LIKE 'RT-%' ORDER BY 1, 3;
CREATE TEMP VIEW told AS SELECT event_type, entity_key, body ->> 'state' AS state, outbox_id FROM sync.outbox WHERE entity = 'return' AND entity_key LIKE 'RT/%';
CREATE FUNCTION pg_temp.free(sku text) RETURNS numeric LANGUAGE sql AS $$ SELECT trim_scale(atp) FROM distsync.atp(sku, 1, 'EA', 'RT-W') $$;
\o
-- who names the item only is about the first line of which something may come back
SELECT r ->> 'state' AS state, jsonb_path_query_array(r, '$.lines[*].order_line') AS order_lines, jsonb_path_query_array(r, '$.lines[*].quantity') AS quantities, (r ->> 'expires_at')::timestamptz > now() + interval '29 days' AS lasts
FROM distsync.authorise_return('{"company":"RT","return_number":"RT-R1","order_number":"RT-1","reason":"too many","lines":[{"sku":"RT-A","quantity":1,"unit":"BX"},{"sku":"RT-A","quantity":4},{"sku":"RT-A","quantity":2},{"order_line":3,"quantity":7},{"order_line":4,"quantity":1}]}', 'k1') r;
-- the same key and body: the first answer; another body: none
SELECT distsync.authorise_return('{"company":"RT","return_number":"RT-R1","order_number":"RT-1","reason":"too many","lines":[{"sku":"RT-A","quantity":1,"unit":"BX"},{"sku":"RT-A","quantity":4},{"sku":"RT-A","quantity":2},{"order_line":3,"quantity":7},{"order_line":4,"quantity":1}]}', 'k1') ->> 'return_number' AS again;
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","lines":[{"order_line":3,"quantity":1}]}', 'k1');
-- never more than has shipped and has not come back
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","lines":[{"order_line":1,"quantity":1}]}');
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","lines":[{"order_line":3,"quantity":1},{"order_line":3,"quantity":1}]}');
SELECT distsync.authorise_return('{"company":"RT","return_number":"RT-R1","order_number":"RT-1","lines":[{"order_line":3,"quantity":1}]}');
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-X","lines":[{"order_line":3,"quantity":1}]}');
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","lines":[{"order_line":9,"quantity":1}]}');
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","lines":[{"order_line":4,"quantity":0.5}]}');
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","price":1,"lines":[{"order_line":4,"quantity":1}]}');
-- what comes in is stock, and nobody is promised it
SELECT pg_temp.free('RT-A') AS a, pg_temp.free('RT-L') AS l, pg_temp.free('RT-P') AS p;
SELECT distsync.receive_return('RT-R1', '[{"line":1,"quantity":7}]');
SELECT distsync.receive_return('RT-R1', '[{"line":4,"quantity":1}]');
SELECT r ->> 'state' AS state FROM distsync.receive_return('RT-R1', '[{"line":1,"quantity":5},{"line":2,"quantity":4},{"line":4,"quantity":3,"lot":"L1"},{"line":4,"quantity":2,"lot":"L2"},{"line":5,"quantity":1}]', 'k2') r;
SELECT r ->> 'state' AS state FROM distsync.receive_return('RT-R1', '[{"line":1,"quantity":5},{"line":2,"quantity":4},{"line":4,"quantity":3,"lot":"L1"},{"line":4,"quantity":2,"lot":"L2"},{"line":5,"quantity":1}]', 'k2') r;
SELECT pg_temp.free('RT-A') AS a, pg_temp.free('RT-L') AS l, pg_temp.free('RT-P') AS p;
SELECT * FROM stock;
SELECT * FROM line;
-- inspected in parts
SELECT distsync.inspect_return('RT-R1', '[{"line":1,"outcome":"burn","quantity":1}]');
SELECT distsync.inspect_return('RT-R1', '[{"line":1,"outcome":"restock","quantity":6}]');
SELECT distsync.inspect_return('RT-R1', '[{"line":1,"outcome":"scrap","quantity":1,"state":"available"}]');
SELECT distsync.inspect_return('RT-R1', '[{"line":4,"outcome":"restock","quantity":3,"lot":"L2"}]');
SELECT r ->> 'state' AS state FROM distsync.inspect_return('RT-R1', '[{"line":1,"outcome":"restock","quantity":3},{"line":1,"outcome":"scrap","quantity":2},{"line":4,"outcome":"restock","quantity":4},{"line":5,"outcome":"restock","quantity":1}]', 'k3') r;
SELECT * FROM stock;
SELECT r ->> 'state' AS state FROM distsync.inspect_return('RT-R1', '[{"line":2,"outcome":"refuse","quantity":1},{"line":2,"outcome":"scrap","quantity":1,"destroyed":true},{"line":2,"outcome":"restock","quantity":2,"state":"quality"},{"line":4,"outcome":"refuse","quantity":1}]', 'k4') r;
SELECT * FROM stock;
SELECT * FROM line;
SELECT pg_temp.free('RT-A') AS a, pg_temp.free('RT-L') AS l, pg_temp.free('RT-P') AS p;
-- what was refused may be sent back once more; what is not is not
SELECT r ->> 'state' AS state FROM distsync.authorise_return('{"company":"RT","return_number":"RT-R2","order_number":"RT-1","lines":[{"order_line":1,"quantity":1},{"order_line":3,"quantity":2}]}') r;
SELECT distsync.authorise_return('{"company":"RT","return_number":"RT-R3","order_number":"RT-1","lines":[{"order_line":1,"quantity":2}]}');
-- cancelled: what has not come is free again, what has come stays
SELECT r ->> 'state' AS state FROM distsync.receive_return('RT-R2', '[{"line":2,"quantity":1,"lot":"L1"}]') r;
SELECT r ->> 'state' AS state FROM distsync.cancel_return('RT-R2', 'changed his mind', 'k5') r;
SELECT distsync.cancel_return('RT-R2', 'changed his mind');
SELECT distsync.receive_return('RT-R2', '[{"line":1,"quantity":1}]');
SELECT r ->> 'state' AS state FROM distsync.inspect_return('RT-R2', '[{"line":2,"outcome":"refuse","quantity":1}]') r;
-- expired: the clerk ends it
SELECT r ->> 'state' AS state FROM distsync.authorise_return('{"company":"RT","return_number":"RT-R3","order_number":"RT-1","lines":[{"order_line":1,"quantity":1},{"order_line":3,"quantity":2}]}') r;
SELECT distsync.authorise_return('{"company":"RT","order_number":"RT-1","expires_at":"2020-01-01","lines":[{"order_line":3,"quantity":1}]}');
UPDATE dist.customer_return SET expires_at = clock_timestamp() - interval '1 second' WHERE return_number = 'RT-R3';
SELECT distsync.receive_return('RT-R3');
SELECT distsync_internal.order_clerk_returns(10) AS first, distsync_internal.order_clerk_returns(10) AS second;
SELECT * FROM line WHERE return_number > 'RT-R1';
SELECT entity_key, string_agg(event_type || ' ' || state, ', ' ORDER BY outbox_id) AS events FROM told GROUP BY 1 ORDER BY 1;
SELECT jsonb_path_query_array(r, '$.steps[*].kind') AS steps, jsonb_path_query_array(r, '$.audit[*].verb') AS audit, r ->> 'state' AS state FROM distsync.return_status('RT-R2') r;
SELECT distsync.return_status('RT-R9');
-- old steps go, their sums stay
UPDATE dist.customer_return SET closed_at = '2020-01-01' WHERE return_number IN ('RT-R2', 'RT-R3');
SELECT distsync_internal.order_retain_returns(100) AS cleared, distsync_internal.order_retain_returns(100) AS again;
SELECT count(*) AS steps FROM dist.return_step s JOIN dist.customer_return r USING (customer_id, return_id) WHERE r.return_number = 'RT-R2';
SELECT * FROM distsync_internal.order_verify_returns();
SELECT * FROM distsync_internal.order_verify_orders();
SELECT invariant, entity_key FROM distsync.verify() WHERE entity_key LIKE '%RT-%';
-- a line that nobody served comes back to where it left
SELECT outcome FROM distsync.apply('order', '{"company":"RT","order_number":"RT-9","customer":"RT-C","lines":[{"line":1,"item":"RT-A","quantity":1,"unit_price":2}]}', 'RT-ERP');
SELECT outcome FROM distsync.apply('shipment', '{"company":"RT","shipment_number":"V9","order_number":"RT-9","site":"RT-W","lines":[{"order_line":1,"quantity":1}]}', 'RT-ERP');
UPDATE dist.order_line l SET site_id = NULL FROM dist.sales_order o WHERE o.customer_id = l.customer_id AND o.order_id = l.order_id AND o.order_number = 'RT-9';
SELECT r ->> 'state' AS state, r ->> 'site' AS site FROM distsync.authorise_return('{"company":"RT","return_number":"RT-R9","order_number":"RT-9","lines":[{"order_line":1,"quantity":1}]}') r;
