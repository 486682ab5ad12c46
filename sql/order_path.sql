-- The path of an order: priced, promised, checked, held, released by a payment, answered, shipped, billed, paid; each amount counted once.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OT-ERP', 'erp'), ('OT-WMS', 'wms'), ('OT-SHOP', 'shop');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OT', 'OT-ERP');
\o /dev/null
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"}]', 'OT-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX","scale":0}]', 'OT-ERP');
SELECT distsync.apply('company', '{"code":"OT","name":"Order test","currency":"USD"}', 'OT-ERP');
SELECT distsync.apply_all('party', '[{"code":"OT-CUST","name":"Customer","currency":"USD","address":{"city":"Reading","country":"GB"}},
	{"code":"OT-FREE","name":"No account","currency":"USD"}, {"code":"OT-CUT","name":"Takes what there is","currency":"USD","order_policy":{"shortage":"cut","price_mismatch":"hold"}}]', 'OT-ERP');
SELECT distsync.apply_all('site', '[{"code":"OT-W1","name":"one","company":"OT","rank":1},{"code":"OT-W2","name":"two","company":"OT","rank":2}]', 'OT-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OT-A","name":"Article A","base_unit":"EA","units":[{"unit":"BX","numerator":6,"denominator":1}]},{"sku":"OT-B","name":"Article B","base_unit":"EA"},{"sku":"OT-C","name":"no price","base_unit":"EA"}]', 'OT-ERP');
SELECT distsync.apply('agreement', '{"code":"OT-LIST","slot":"list","company":"OT","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OT-A","value":"10"},{"what":"OT-B","value":"3.333"}]}', 'OT-ERP');
SELECT distsync.apply('credit_account', '{"code":"OT-CUST","customer":"OT-CUST","company":"OT","limit":1000}', 'OT-ERP');
WITH s AS (SELECT x.*, i.item_id, s.site_id FROM (VALUES (1, 'OT-A', 'OT-W1', 60), (2, 'OT-A', 'OT-W2', 100), (3, 'OT-B', 'OT-W1', 500)) x(n, sku, site, q) JOIN dist.item i ON i.sku = x.sku JOIN dist.site s ON s.code = x.site),
l AS (SELECT distsync_internal.inventory_lock(array_agg(item_id), array_agg(site_id)) FROM s)
SELECT distsync_internal.inventory_post(array_agg(ROW(n, item_id, site_id, 'phys', 'available', '', 0, 'receive', q, NULL, now(), 'OT-WMS', '', NULL, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_movement)) FROM s, l;
SELECT distsync_internal.inventory_refresh(array_agg(item_id), array_agg(site_id)) FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku LIKE 'OT-%';
\o
CREATE TEMP VIEW acct AS SELECT code, receivable, unapplied, unbilled, open_orders, held_demand FROM dist.credit_account WHERE code LIKE 'OT-%';
CREATE TEMP VIEW told AS SELECT event_type, regexp_replace(entity_key, 'D\d+', 'D#') AS key, body ->> 'state' AS state FROM sync.outbox WHERE entity_key LIKE 'OT/%' ORDER BY outbox_id;
CREATE TEMP VIEW pool AS SELECT sku, s.code AS site, cap, held, committed FROM dist.stock_pool p JOIN dist.item USING (item_id) JOIN dist.site s USING (site_id) WHERE sku LIKE 'OT-%' ORDER BY 1, 2;

-- a read first: it writes nothing
SELECT state, credit_state, currency, net_amount, tax_amount, gross_amount, order_number FROM distsync.preview_order('{"company":"OT","customer":"OT-CUST","lines":[{"item":"OT-A","quantity":2,"unit":"BX","expected_price":60},{"item":"OT-B","quantity":7,"tax_amount":1.4}]}');
SELECT count(*) FROM dist.sales_order o JOIN dist.company c USING (company_id) WHERE c.code = 'OT';
-- the command: the same, stored, told; again with its key the same answer, with another body an error
SELECT order_number, state, credit_state, net_amount, tax_amount, gross_amount, l ->> 'item' AS item, l -> 'quantity' AS quantity, l -> 'reserved' AS reserved, l ->> 'site' AS site, l -> 'net_amount' AS net, l ->> 'disposition' AS disposition
FROM distsync.submit_order('{"company":"OT","customer":"OT-CUST","order_number":"OT-1","customer_po":"PO-1","lines":[{"item":"OT-A","quantity":2,"unit":"BX","expected_price":60},{"item":"OT-B","quantity":7,"tax_amount":1.4}]}', 'ot-1'), jsonb_array_elements(lines) l;
SELECT order_number, state, gross_amount FROM distsync.submit_order('{"company":"OT","customer":"OT-CUST","order_number":"OT-1","customer_po":"PO-1","lines":[{"item":"OT-A","quantity":2,"unit":"BX","expected_price":60},{"item":"OT-B","quantity":7,"tax_amount":1.4}]}', 'ot-1');
SELECT state FROM distsync.submit_order('{"company":"OT","customer":"OT-CUST","lines":[{"item":"OT-A","quantity":1}]}', 'ot-1');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM acct;
SELECT * FROM pool;
SELECT * FROM told;
-- an order that does not fit is held, keeps its stock and says what lifts it
SELECT order_number, state, credit_state, gross_amount, reasons -> 0 ->> 'rule' AS rule, reasons -> 0 -> 'over' AS over, detail -> 'cure' AS cure
FROM distsync.submit_order('{"company":"OT","customer":"OT-CUST","order_number":"OT-2","customer_po":"PO-1","source":"OT-SHOP","lines":[{"item":"OT-A","quantity":90}]}', 'ot-2');
SELECT * FROM acct;
SELECT * FROM pool;
SELECT kind, details ->> 'customer_po' AS po, details ->> 'order_number' AS twin FROM sync.exception WHERE kind = 'duplicate_po' AND trace_key LIKE 'OT/%';
-- the owner answers through the reply to our message; another system's reply means nothing
SELECT distsync_internal.order_replied('{"event_type":"order.accepted","entity":"order","entity_key":"OT/OT-1","system":"OT-WMS","status":200,"reply":{"order_number":"W-1"}}');
SELECT distsync_internal.order_replied('{"event_type":"order.accepted","entity":"order","entity_key":"OT/OT-1","system":"OT-ERP","status":200,"reply":{"ok":true}}');
SELECT s ->> 'state' AS state, s ->> 'owner_number' AS owner FROM distsync.order_status('OT-1', '{"company":"OT"}') s;
SELECT distsync_internal.order_replied('{"event_type":"order.accepted","entity":"order","entity_key":"OT/OT-1","system":"OT-ERP","status":200,"reply":{"order_number":"ERP-77"}}');
SELECT s ->> 'state' AS state, s ->> 'owner_number' AS owner FROM distsync.order_status('OT-1', '{"company":"OT"}') s;
-- the warehouse ships in two parts; what left is unbilled, the rest still open
SELECT outcome, entity_key FROM distsync.apply('shipment', '{"company":"OT","shipment_number":"S-1","order_number":"ERP-77","site":"OT-W1","lines":[{"order_line":1,"quantity":1,"unit":"BX"},{"sku":"OT-B","quantity":7}]}', 'OT-WMS');
SELECT outcome FROM distsync.apply('shipment', '{"company":"OT","shipment_number":"S-1","order_number":"ERP-77","site":"OT-W1","lines":[{"order_line":1,"quantity":1,"unit":"BX"},{"sku":"OT-B","quantity":7}]}', 'OT-WMS');
SELECT * FROM acct;
SELECT outcome FROM distsync.apply('shipment', '{"company":"OT","shipment_number":"S-2","order_number":"OT-1","site":"OT-W1","lines":[{"sku":"OT-A","quantity":6}]}', 'OT-WMS');
SELECT * FROM acct;
SELECT * FROM pool;
-- the invoice of each shipment makes it receivable
SELECT outcome FROM distsync.apply('invoice', '{"company":"OT","invoice_number":"I-1","shipment_number":"S-1","terms":"NET30","issued_at":"2026-01-10T00:00:00Z","currency":"USD","net_amount":83.33,"tax_amount":1.4,"gross_amount":84.73}', 'OT-ERP');
SELECT * FROM acct;
SELECT outcome FROM distsync.apply('invoice', '{"company":"OT","invoice_number":"I-2","shipment_number":"S-2","due_on":"2026-03-01","issued_at":"2026-01-11T00:00:00Z","currency":"USD","net_amount":60,"lines":[{"order_line":1,"quantity":6,"unit":"EA","unit_price":10,"net_amount":60}]}', 'OT-ERP');
SELECT * FROM acct;
SELECT s ->> 'state' AS state FROM distsync.order_status('OT-1', '{"company":"OT"}') s;
SELECT document_number, due_on FROM distsync.open_items('OT-CUST') ORDER BY 1;
-- a payment releases what fits in its own transaction
BEGIN;
SELECT outcome FROM distsync.apply('payment', '{"company":"OT","payment_number":"P-1","customer":"OT-CUST","currency":"USD","amount":44.73}', 'OT-ERP');
SELECT s ->> 'state' AS state, s ->> 'credit_state' AS credit, s -> 'holds' -> 0 ->> 'released_by' AS by FROM distsync.order_status('OT-2', '{"company":"OT"}') s;
COMMIT;
SELECT * FROM acct;
SELECT event_type, body -> 'lines' -> 0 ->> 'sku' AS sku, body -> 'ship_to' -> 'address' ->> 'city' AS city, body ->> 'released_by' AS by FROM sync.outbox WHERE entity_key = 'OT/OT-2' ORDER BY outbox_id;
-- cancelled: everything is given back
SELECT a - 'correlation_id' FROM distsync.cancel_order('OT-2', 'changed his mind', 'ot-c2', '{"company":"OT"}') a;
SELECT a - 'correlation_id' FROM distsync.cancel_order('OT-2', 'changed his mind', 'ot-c2', '{"company":"OT"}') a;
SELECT distsync.cancel_order('OT-2', 'again', NULL, '{"company":"OT"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM acct;
SELECT * FROM pool;
SELECT * FROM told;
SELECT * FROM distsync_internal.order_verify_exposure();
SELECT * FROM distsync_internal.order_verify_orders();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_releases();
-- the prices of an order are proved as they were decided, all lines together; what the list says later, and a preview, leave the proof as it is
SELECT count(*) AS lines, count(DISTINCT l.price_proof) AS proofs, count(*) FILTER (WHERE p.proof_sha256 IS NULL) AS missing
FROM dist.sales_order o JOIN dist.company c USING (company_id) JOIN dist.order_line l USING (customer_id, order_id) LEFT JOIN dist.price_proof p ON p.customer_id = l.customer_id AND p.proof_sha256 = l.price_proof WHERE c.code = 'OT';
SELECT l ->> 'code' AS code, l -> 'unit_price' AS unit_price, r ->> 'item' AS item, r -> 'quantity' AS quantity, r ->> 'unit' AS unit
FROM dist.price_proof p JOIN dist.order_line o ON o.customer_id = p.customer_id AND o.price_proof = p.proof_sha256 AND o.line_no = 1 JOIN dist.sales_order s ON s.customer_id = o.customer_id AND s.order_id = o.order_id AND s.order_number = 'OT-1',
	ROWS FROM (json_array_elements(p.document -> 'lines'), json_array_elements(p.document #> '{request,lines}')) x(l, r);
SELECT count(*) AS stored FROM dist.price_proof WHERE document #>> '{request,customer}' = 'OT-CUST' \gset before_
SELECT state FROM distsync.preview_order('{"company":"OT","customer":"OT-CUST","lines":[{"item":"OT-A","quantity":1}]}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"OT-LIST","rates":[{"what":"OT-A","value":"11"}]}', 'OT-ERP');
SELECT distsync.verify_proof('OT-CUST', s ->> 'price_proof') ->> 'outcome' AS outcome FROM distsync.order_status('OT-1', '{"company":"OT"}') s;
SELECT count(*) = :before_stored AS nothing_more FROM dist.price_proof WHERE document #>> '{request,customer}' = 'OT-CUST';
-- a refused order stores none
SELECT state FROM distsync.submit_order('{"company":"OT","customer":"OT-CUST","order_number":"OT-9","policy":{"shortage":"reject"},"lines":[{"item":"OT-C","quantity":1}]}', 'ot-9');
SELECT count(*) = :before_stored AS nothing_more FROM dist.price_proof WHERE document #>> '{request,customer}' = 'OT-CUST';
SELECT * FROM distsync_internal.pricing_verify_proofs();
SELECT outcome FROM distsync.apply('agreement', '{"code":"OT-LIST","rates":[{"what":"OT-A","value":"10"},{"what":"OT-B","value":"3.333"}]}', 'OT-ERP');
