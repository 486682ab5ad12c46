-- Which line of an order a shipment or an invoice is about, where it names the item only: the first that is open, as it is when it is booked.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OE-ERP', 'erp'), ('OE-WMS', 'wms');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OE', 'OE-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'OE-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'OE-ERP');
SELECT distsync.apply('company', '{"code":"OE","name":"Lines","currency":"USD"}', 'OE-ERP');
SELECT distsync.apply('party', '{"code":"OE-C","name":"Customer","currency":"USD"}', 'OE-ERP');
SELECT distsync.apply('site', '{"code":"OE-W","name":"w","company":"OE"}', 'OE-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OE-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":6,"denominator":1}]},{"sku":"OE-B","name":"B","base_unit":"EA"}]', 'OE-ERP');
SELECT distsync.apply('credit_account', '{"code":"OE-C","customer":"OE-C","company":"OE"}', 'OE-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"oe-1","kind":"receive","sku":"OE-A","site":"OE-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"oe-2","kind":"receive","sku":"OE-B","site":"OE-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}]', 'OE-WMS');
CREATE FUNCTION pg_temp.order(number text) RETURNS text LANGUAGE sql AS $$
	SELECT r.outcome FROM distsync.apply('order', jsonb_build_object('company', 'OE', 'order_number', number, 'customer', 'OE-C', 'lines', '[{"line":1,"item":"OE-A","quantity":10,"unit_price":1},{"line":2,"item":"OE-A","quantity":6,"unit_price":1},{"line":3,"item":"OE-B","quantity":5,"unit_price":1},{"line":4,"item":"OE-A","quantity":4,"unit_price":1}]'::jsonb), 'OE-ERP') r $$;
CREATE TEMP VIEW line AS SELECT o.order_number, l.line_no, l.base_quantity AS wanted, l.shipped_quantity AS shipped, l.invoiced_quantity AS invoiced FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) WHERE o.order_number LIKE 'OE-%' ORDER BY 1, 2;
CREATE TEMP VIEW told AS SELECT kind, entity_key FROM sync.exception WHERE company = 'OE' ORDER BY 1, 2;
SELECT pg_temp.order('OE-1'), pg_temp.order('OE-2'), pg_temp.order('OE-3');
\o
-- two in one call
SELECT outcome FROM distsync.apply_all('shipment', '[{"company":"OE","shipment_number":"E1","order_number":"OE-1","site":"OE-W","lines":[{"sku":"OE-A","quantity":10}]},{"company":"OE","shipment_number":"E2","order_number":"OE-1","site":"OE-W","lines":[{"sku":"OE-A","quantity":1,"unit":"BX"}]}]', 'OE-WMS');
-- several lines of one: each takes what those before it have left
SELECT outcome FROM distsync.apply('shipment', '{"company":"OE","shipment_number":"E3","order_number":"OE-2","site":"OE-W","lines":[{"sku":"OE-A","quantity":4},{"sku":"OE-A","quantity":6},{"sku":"OE-B","quantity":5},{"sku":"OE-A","quantity":1,"unit":"BX"},{"sku":"OE-A","quantity":4}]}', 'OE-WMS');
SELECT r ->> 'state' AS state FROM distsync.ship('{"company":"OE","shipment_number":"E4","order_number":"OE-3","site":"OE-W","lines":[{"sku":"OE-A","quantity":10},{"sku":"OE-A","quantity":6}]}') r;
SELECT * FROM line;
SELECT * FROM told;
-- what a line cannot take any more is still more than was ordered
SELECT outcome FROM distsync.apply('shipment', '{"company":"OE","shipment_number":"E5","order_number":"OE-2","site":"OE-W","lines":[{"sku":"OE-A","quantity":1}]}', 'OE-WMS');
SELECT line_no, wanted, shipped FROM line WHERE order_number = 'OE-2';
-- the same of what is billed
SELECT outcome FROM distsync.apply_all('invoice', '[{"company":"OE","invoice_number":"EI1","order_number":"OE-1","currency":"USD","net_amount":10,"lines":[{"sku":"OE-A","quantity":10,"net_amount":10}]},{"company":"OE","invoice_number":"EI2","order_number":"OE-1","currency":"USD","net_amount":6,"lines":[{"sku":"OE-A","quantity":6,"net_amount":6}]},
	{"company":"OE","invoice_number":"EI3","order_number":"OE-3","currency":"USD","net_amount":16,"lines":[{"sku":"OE-A","quantity":10,"net_amount":10},{"sku":"OE-A","quantity":1,"unit":"BX","net_amount":6}]}]', 'OE-ERP');
SELECT * FROM line WHERE order_number <> 'OE-2';
SELECT * FROM told;
SELECT * FROM distsync_internal.order_verify_orders();
SELECT * FROM distsync_internal.order_verify_exposure();
