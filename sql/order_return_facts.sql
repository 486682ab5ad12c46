-- Goods that came back, as facts: whoever handles or owns returns tells them, and nothing of it is lost, whatever it breaks.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('RZ-ERP', 'erp'), ('RZ-WMS', 'wms');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'RZ', 'RZ-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'RZ-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"}]', 'RZ-ERP');
SELECT distsync.apply('company', '{"code":"RZ","name":"Facts","currency":"USD"}', 'RZ-ERP');
SELECT distsync.apply('party', '{"code":"RZ-C","name":"Customer","currency":"USD"}', 'RZ-ERP');
SELECT distsync.apply('site', '{"code":"RZ-W","name":"w","company":"RZ"}', 'RZ-ERP');
SELECT distsync.apply_all('item', '[{"sku":"RZ-A","name":"A","base_unit":"EA"},{"sku":"RZ-B","name":"B","base_unit":"EA"}]', 'RZ-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"rz-1","kind":"receive","sku":"RZ-A","site":"RZ-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"rz-2","kind":"receive","sku":"RZ-B","site":"RZ-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"}]', 'RZ-WMS');
SELECT distsync.apply('order', '{"company":"RZ","order_number":"RZ-1","customer":"RZ-C","lines":[{"line":1,"item":"RZ-A","quantity":10,"unit_price":2},{"line":2,"item":"RZ-B","quantity":5,"unit_price":2}]}', 'RZ-ERP');
SELECT distsync.apply('shipment', '{"company":"RZ","shipment_number":"Z1","order_number":"RZ-1","site":"RZ-W","lines":[{"order_line":1,"quantity":10},{"order_line":2,"quantity":5}]}', 'RZ-WMS');
CREATE TEMP VIEW stock AS SELECT i.sku, b.state, trim_scale(b.quantity) AS quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'RZ-%' AND b.quantity <> 0 ORDER BY i.sku, b.state;
CREATE TEMP VIEW line AS SELECT r.return_number, r.state, r.authorised_by AS by, l.line_no, l.order_line_no AS order_line, trim_scale(l.authorised) AS authorised, trim_scale(l.claimed) AS claimed, trim_scale(l.received) AS received, trim_scale(l.restocked) AS restocked, trim_scale(l.scrapped) AS scrapped, trim_scale(l.refused) AS refused
	FROM dist.return_line l JOIN dist.customer_return r USING (customer_id, return_id) WHERE r.return_number LIKE 'RZ-%' ORDER BY 1, 4;
CREATE TEMP VIEW told AS SELECT kind, entity_key, state, details FROM sync.exception WHERE company = 'RZ' ORDER BY 1, 2;
\o
-- its owner allows it; the warehouse says what came, in totals: told twice it counts once
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","order_number":"RZ-1","reason":"wrong size","lines":[{"order_line":1,"quantity":4}]}', 'RZ-ERP');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","lines":[{"order_line":1,"received":3}]}', 'RZ-WMS');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","happened_at":"2026-03-01T00:00:00Z","lines":[{"order_line":1,"received":3}]}', 'RZ-WMS');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","lines":[{"sku":"RZ-A","received":3,"restocked":2,"scrapped":1}]}', 'RZ-WMS');
SELECT * FROM line;
SELECT * FROM stock;
SELECT count(*) AS exceptions FROM told;
-- less than is known is told to people, and takes nothing back; more than was allowed is taken, and told too
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","lines":[{"order_line":1,"received":2,"restocked":1}]}', 'RZ-WMS');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","lines":[{"order_line":1,"received":6,"restocked":5},{"order_line":2,"received":1}]}', 'RZ-WMS');
SELECT * FROM line;
SELECT kind, entity_key, state, details -> 'lines' AS lines FROM told;
-- its owner allows that as well
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R1","lines":[{"order_line":1,"quantity":6},{"order_line":2,"quantity":1}]}', 'RZ-ERP');
SELECT kind, entity_key, state FROM told;
-- nobody has ever allowed it, and more comes back than had left: never lost
SELECT outcome FROM distsync.apply_all('return', '[{"company":"RZ","return_number":"RZ-R2","order_number":"RZ-1","site":"RZ-W","lines":[{"sku":"RZ-A","received":5}]},{"company":"RZ","return_number":"RZ-R3","customer":"RZ-C","site":"RZ-W","lines":[{"sku":"RZ-B","received":2,"refused":1}]},
	{"company":"RZ","return_number":"RZ-R2","lines":[{"sku":"RZ-A","received":5,"restocked":5}]}]', 'RZ-WMS');
SELECT * FROM line WHERE return_number > 'RZ-R1';
SELECT kind, entity_key, state, details FROM told WHERE kind <> 'return_differs';
SELECT * FROM stock;
SELECT distsync.authorise_return('{"company":"RZ","order_number":"RZ-1","lines":[{"order_line":1,"quantity":1}]}');
SELECT distsync.credit_return('RZ-R3');
-- the shipment that had not been told: nothing is beyond it any more
SELECT outcome FROM distsync.apply('shipment', '{"company":"RZ","shipment_number":"Z2","order_number":"RZ-1","site":"RZ-W","lines":[{"order_line":1,"quantity":1}]}', 'RZ-WMS');
SELECT kind, entity_key, state FROM told WHERE kind = 'over_returned';
SELECT r ->> 'return_number' AS return, r ->> 'state' AS state FROM jsonb_array_elements(distsync.order_status('RZ-1') -> 'returns') r;
-- cancelled; what comes after that has no authority
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R4","order_number":"RZ-1","lines":[{"order_line":2,"quantity":2}]}', 'RZ-ERP');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R4"}', 'RZ-ERP', options => '{"operation":"deactivate"}');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R4","state":"cancelled"}', 'RZ-ERP');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R4","lines":[{"order_line":2,"received":1}]}', 'RZ-WMS');
SELECT * FROM line WHERE return_number = 'RZ-R4';
SELECT entity_key, state, details -> 'lines' AS lines FROM told WHERE kind = 'return_without_authority' AND entity_key = 'RZ/RZ-R4';
-- whoever keeps the stock tells its movements himself
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R5","order_number":"RZ-1","moves_stock":false,"lines":[{"order_line":2,"quantity":1,"received":1,"restocked":1}]}', 'RZ-ERP');
SELECT * FROM stock;
-- history: no events, no stock
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R6","order_number":"RZ-1","lines":[{"order_line":2,"quantity":1,"received":1,"restocked":1}]}', 'RZ-ERP', options => '{"backfill":true}');
SELECT entity_key, string_agg(event_type, ', ' ORDER BY outbox_id) AS events FROM sync.outbox WHERE entity = 'return' AND entity_key LIKE 'RZ/%' GROUP BY 1 ORDER BY 1;
-- a memo that came before its return
SELECT outcome FROM distsync.apply('invoice', '{"company":"RZ","invoice_number":"RZ-M7","kind":"credit_memo","customer":"RZ-C","return_number":"RZ-R7","currency":"USD","net_amount":4,"lines":[{"sku":"RZ-B","quantity":2,"net_amount":4}]}', 'RZ-ERP');
SELECT outcome FROM distsync.apply('return', '{"company":"RZ","return_number":"RZ-R7","customer":"RZ-C","site":"RZ-W","lines":[{"sku":"RZ-B","quantity":2,"received":2,"restocked":2}]}', 'RZ-ERP');
SELECT r.return_number, r.state, trim_scale(l.credited) AS credited FROM dist.return_line l JOIN dist.customer_return r USING (customer_id, return_id) WHERE r.return_number = 'RZ-R7';
SELECT kind, entity_key, state FROM told WHERE kind = 'memo_without_return';
-- what can not be read is a row, not the end of the call
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('return', '[{"company":"RZ","return_number":"RZ-R8","site":"RZ-W","lines":[{"sku":"RZ-A","received":1}]},{"company":"RZ","return_number":"RZ-R8","customer":"RZ-C","lines":[{"sku":"RZ-A","received":1}]},{"company":"RZ","return_number":"RZ-R8","order_number":"RZ-1","lines":[{"order_line":7,"received":1}]},
	{"company":"RZ","return_number":"RZ-R8","order_number":"RZ-1","lines":[{"order_line":1,"received":-1}]},{"company":"RZ","return_number":"RZ-R8","order_number":"RZ-1","lines":[]}]', 'RZ-WMS', options => '{"on_error":"collect"}');
-- a book that is ours moves with the shelf, and nothing is in flight; one of somebody else's, and the only one, he moves himself
\o /dev/null
SELECT distsync.apply('site', '{"code":"RZ-V","name":"v","company":"RZ"}', 'RZ-ERP');
SELECT distsync.apply_all('item', '[{"sku":"RZ-D","name":"D","base_unit":"EA"},{"sku":"RZ-E","name":"E","base_unit":"EA"}]', 'RZ-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"rz-3","kind":"count","perspective":"phys","sku":"RZ-D","site":"RZ-V","quantity":50,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"rz-4","kind":"count","perspective":"book","sku":"RZ-D","site":"RZ-V","quantity":50,"event_at":"2026-01-01T00:00:00Z"},
	{"event_id":"rz-5","kind":"count","perspective":"book","sku":"RZ-E","site":"RZ-V","quantity":50,"event_at":"2026-01-01T00:00:00Z"}]', 'RZ-WMS');
SELECT distsync.apply('return', '{"company":"RZ","return_number":"RZ-R10","customer":"RZ-C","site":"RZ-V","lines":[{"sku":"RZ-E","quantity":2,"received":2,"restocked":1,"scrapped":1}]}', 'RZ-WMS');
SELECT distsync.own('stock', 'distsync', '{"company":"RZ","mode":"native"}');
SELECT distsync.apply('return', '{"company":"RZ","return_number":"RZ-R11","customer":"RZ-C","site":"RZ-V","lines":[{"sku":"RZ-D","quantity":4,"received":4,"restocked":2,"scrapped":1}]}', 'RZ-ERP');
\o
SELECT i.sku, b.perspective, b.state, trim_scale(b.quantity) AS quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku IN ('RZ-D', 'RZ-E') ORDER BY 1, 2, 3;
SELECT count(*) AS in_flight FROM dist.stock_in_flight w JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'RZ-%';
SELECT trim_scale(atp) AS atp FROM distsync.atp('RZ-D', 1, 'EA', 'RZ-V');
SELECT * FROM distsync_internal.order_verify_returns();
SELECT invariant, entity_key FROM distsync.verify() WHERE entity_key LIKE '%RZ-%';
