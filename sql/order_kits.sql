-- Kits in orders: one line with one price, promised as its components at one site, shipped as a whole or component by component, cut, given back and
-- cancelled in whole kits; the same demand as the ERP's order line and the warehouse's allocation of its components.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OK-ERP', 'erp'), ('OK-WMS', 'wms');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OK', 'OK-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'OK-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"OK-PAL","scale":2}]', 'OK-ERP');
SELECT distsync.apply('company', '{"code":"OK","name":"Orders of kits","currency":"USD"}', 'OK-ERP');
SELECT distsync.apply_all('party', '[{"code":"OK-C","name":"has an account","currency":"USD"},{"code":"OK-FREE","name":"has none","currency":"USD"}]', 'OK-ERP');
SELECT distsync.apply_all('site', '[{"code":"OK-1","name":"one","company":"OK","rank":1},{"code":"OK-2","name":"two","company":"OK","rank":2}]', 'OK-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OK-X","base_unit":"EA"},{"sku":"OK-Y","base_unit":"EA"}]', 'OK-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OK-KIT","name":"A set","base_unit":"EA","kit":true,"units":[{"unit":"OK-PAL","numerator":3,"denominator":1}],"components":[{"sku":"OK-X","quantity":2},{"sku":"OK-Y","quantity":1}]},
	{"sku":"OK-NONE","base_unit":"EA","kit":true}]', 'OK-ERP');
SELECT distsync.apply('agreement', '{"code":"OK-LIST","slot":"list","company":"OK","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OK-KIT","value":"25"},{"what":"OK-X","value":"10"},{"what":"OK-Y","value":"8"},{"what":"OK-NONE","value":"1"}]}', 'OK-ERP');
SELECT distsync.apply('credit_account', '{"code":"OK-C","customer":"OK-C","company":"OK","limit":100000}', 'OK-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"1","kind":"count","sku":"OK-X","site":"OK-1","quantity":21,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"2","kind":"count","sku":"OK-Y","site":"OK-1","quantity":8,"event_at":"2026-01-01T00:00:00Z"},
	{"event_id":"3","kind":"count","sku":"OK-X","site":"OK-2","quantity":7,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"4","kind":"count","sku":"OK-Y","site":"OK-2","quantity":50,"event_at":"2026-01-01T00:00:00Z"}]', 'OK-WMS');
\o
CREATE TEMP VIEW pool AS SELECT sku, s.code AS site, cap, held, committed, shortfall FROM dist.stock_pool p JOIN dist.item USING (item_id) JOIN dist.site s USING (site_id) WHERE sku LIKE 'OK-%' ORDER BY 1, 2;
CREATE TEMP VIEW demand AS SELECT demand_key, sku, s.code AS site, reserved, ordered, allocated, shipped, d.status FROM dist.demand d JOIN dist.item USING (item_id) JOIN dist.site s USING (site_id) WHERE demand_key LIKE 'OK/%' ORDER BY 1, 2, 3;
CREATE TEMP VIEW line AS SELECT o.order_number, o.state, l.line_no, i.sku, l.quantity, l.unit, l.base_quantity, l.net_amount, l.disposition, l.shipped_quantity AS shipped, l.cancelled_quantity AS cancelled FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.item i USING (item_id) WHERE o.order_number LIKE 'OK-%' ORDER BY 1, 3;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync.verify() WHERE invariant NOT LIKE 'outbox%' AND (entity_key LIKE 'OK%' OR invariant LIKE 'order%' OR invariant LIKE 'reference%order_line%');
CREATE FUNCTION pg_temp.try(number text, lines jsonb, policy jsonb DEFAULT '{}', customer text DEFAULT 'OK-C') RETURNS TABLE (state text, gross numeric, lines jsonb) LANGUAGE sql AS $$
	SELECT s.state, s.gross_amount, (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item', l -> 'item', 'is', l -> 'disposition', 'why', l -> 'reason', 'quantity', l -> 'quantity', 'reserved', l -> 'reserved', 'backordered', l -> 'backordered', 'available', l -> 'available', 'site', l -> 'site', 'components', l -> 'components')))
		FROM jsonb_array_elements(s.lines) l)
	FROM distsync.submit_order(jsonb_build_object('company', 'OK', 'customer', customer, 'order_number', number, 'lines', lines, 'policy', policy)) s $$;

-- previewed and taken: eight kits at the first site, three at the second, each from one of them
SELECT state, gross_amount, jsonb_path_query_array(lines, '$[*].reserved') AS reserved, lines -> 0 -> 'components' AS components FROM distsync.preview_order('{"company":"OK","customer":"OK-C","lines":[{"item":"OK-KIT","quantity":9}]}');
SELECT * FROM pg_temp.try('OK-1', '[{"item":"OK-KIT","quantity":9},{"item":"OK-X","quantity":1}]');
SELECT * FROM pool;
SELECT * FROM demand;
SELECT jsonb_path_query(body, '$.lines[0].components') AS told FROM sync.outbox WHERE entity_key = 'OK/OK-1' AND event_type = 'order.accepted';
SELECT * FROM broken;
-- the ERP's order line of it and the warehouse's allocation of its components are the same demand
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"OK/OK-1/1","sku":"OK-KIT","site":"OK-1","ordered":9}', 'OK-ERP');
SELECT outcome FROM distsync.apply_all('demand', '[{"demand_key":"OK/OK-1/1","sku":"OK-X","site":"OK-1","allocated":12},{"demand_key":"OK/OK-1/1","sku":"OK-Y","site":"OK-1","allocated":6}]', 'OK-WMS');
SELECT * FROM pool;
SELECT * FROM demand;
-- it ships component by component: a kit has left when all of it has, and is worth something then
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S1","order_number":"OK-1","site":"OK-1","lines":[{"order_line":1,"sku":"OK-X","quantity":5}]}') ->> 'state' AS state;
SELECT unbilled, open_orders FROM dist.credit_account WHERE code = 'OK-C';
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S2","order_number":"OK-1","site":"OK-1","lines":[{"order_line":1,"sku":"OK-Y","quantity":4}]}') ->> 'state' AS state;
SELECT unbilled, open_orders FROM dist.credit_account WHERE code = 'OK-C';
-- or as a whole; never more than is left of it or of a component
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S3","order_number":"OK-1","site":"OK-1","lines":[{"order_line":1,"quantity":3}]}') ->> 'state' AS state;
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S4","order_number":"OK-1","site":"OK-1","lines":[{"order_line":1,"sku":"OK-X","quantity":8}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S4","order_number":"OK-1","site":"OK-1","lines":[{"order_line":1,"quantity":4}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S4","order_number":"OK-1","site":"OK-1","lines":[{"order_line":1,"quantity":1},{"order_line":1,"sku":"OK-X","quantity":1}]}') ->> 'state' AS state;
SELECT * FROM line;
SELECT * FROM demand;
SELECT * FROM broken;
-- what has not left is given back, of each component
SELECT distsync.cancel_order('OK-1', 'enough') ->> 'state' AS state;
SELECT * FROM line;
SELECT * FROM demand;
SELECT * FROM pool;
SELECT * FROM broken;
-- short: back-ordered, cut to whole kits (a pallet is three), rejected
SELECT * FROM pg_temp.try('OK-2', '[{"item":"OK-KIT","quantity":20}]', '{"split":false}');
SELECT * FROM demand WHERE demand_key LIKE 'OK/OK-2/%';
SELECT distsync.cancel_order('OK-2', 'no') ->> 'state' AS state;
SELECT * FROM pg_temp.try('OK-3', '[{"item":"OK-KIT","quantity":5,"unit":"OK-PAL"}]', '{"shortage":"cut"}');
SELECT distsync.cancel_order('OK-3', 'no') ->> 'state' AS state;
SELECT * FROM pg_temp.try('OK-4', '[{"item":"OK-KIT","quantity":50}]', '{"shortage":"reject"}');
SELECT * FROM pool;
-- an order that the ERP took: the kit enters as a line, its components as demand; lowered, what is beyond goes; shipped by the warehouse as a fact
SELECT outcome FROM distsync.apply('order', '{"company":"OK","order_number":"OK-5","customer":"OK-FREE","currency":"USD","lines":[{"line":1,"item":"OK-KIT","quantity":4,"unit_price":20}]}', 'OK-ERP');
SELECT * FROM demand WHERE demand_key LIKE 'OK/OK-5/%';
SELECT atp FROM distsync.atp('OK-KIT', 1, NULL, 'OK-1');
SELECT outcome FROM distsync.apply('order', '{"company":"OK","order_number":"OK-5","currency":"USD","lines":[{"line":1,"item":"OK-KIT","quantity":3,"unit_price":20}]}', 'OK-ERP');
SELECT outcome FROM distsync.apply('shipment', '{"company":"OK","shipment_number":"OK-S5","order_number":"OK-5","site":"OK-1","lines":[{"sku":"OK-KIT","quantity":1},{"sku":"OK-X","quantity":4},{"sku":"OK-Y","quantity":2}]}', 'OK-WMS');
SELECT * FROM line WHERE order_number = 'OK-5';
SELECT * FROM demand WHERE demand_key LIKE 'OK/OK-5/%';
-- an order of ours that its owner lowers, in whole kits
SELECT * FROM pg_temp.try('OK-6', '[{"item":"OK-KIT","quantity":2,"site":"OK-2"}]');
SELECT outcome FROM distsync.apply('order', '{"company":"OK","order_number":"OK-6","currency":"USD","lines":[{"line":1,"item":"OK-KIT","quantity":1,"unit_price":25,"site":"OK-2"}]}', 'OK-ERP');
SELECT * FROM demand WHERE demand_key LIKE 'OK/OK-6/%';
SELECT quantity, committed, state FROM dist.reservation WHERE demand_key = 'OK/OK-6/1' ORDER BY item_id;
-- what a kit is made of counts as it was when the line was decided
\o /dev/null
SELECT distsync.apply('item', '{"sku":"OK-KIT","components":[{"sku":"OK-X","quantity":1},{"sku":"OK-Y","quantity":5}]}', 'OK-ERP');
\o
SELECT distsync.ship('{"company":"OK","shipment_number":"OK-S6","order_number":"OK-6","site":"OK-2","lines":[{"order_line":1,"quantity":1}]}') ->> 'state' AS state;
SELECT * FROM demand WHERE demand_key LIKE 'OK/OK-6/%';
SELECT * FROM broken;
-- what cannot be
SELECT * FROM distsync.submit_order('{"company":"OK","customer":"OK-C","lines":[{"item":"OK-KIT","quantity":1.5}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.submit_order('{"company":"OK","customer":"OK-C","lines":[{"item":"OK-NONE","quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
