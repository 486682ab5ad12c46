-- A void invoice gives its lines back: what has left is unbilled again, what has not is open, or waits, again; each amount once, whoever bills it next.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OUB-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OUB', 'OUB-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OUB-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OUB-ERP');
SELECT distsync.apply('company', '{"code":"OUB","name":"Unbill","currency":"USD"}', 'OUB-ERP');
SELECT distsync.apply_all('party', '[{"code":"OUB-C","name":"Customer","currency":"USD"},{"code":"OUB-F","name":"without account","currency":"USD"}]', 'OUB-ERP');
SELECT distsync.apply('site', '{"code":"OUB-W","name":"w","company":"OUB"}', 'OUB-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OUB-A","base_unit":"EA"},{"sku":"OUB-B","base_unit":"EA"}]', 'OUB-ERP');
SELECT distsync.apply('credit_account', '{"code":"OUB-C","customer":"OUB-C","company":"OUB","limit":1000}', 'OUB-ERP');
SELECT distsync.apply('agreement', '{"code":"OUB-LIST","slot":"list","company":"OUB","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OUB-A","value":"10"},{"what":"OUB-B","value":"3"}]}', 'OUB-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"oub-1","kind":"receive","sku":"OUB-A","site":"OUB-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"oub-2","kind":"receive","sku":"OUB-B","site":"OUB-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}]', 'OUB-ERP');
CREATE FUNCTION pg_temp.try(number text, a numeric, b numeric, customer text DEFAULT 'OUB-C') RETURNS text LANGUAGE sql AS $$
	SELECT s.state FROM distsync.submit_order(jsonb_build_object('company', 'OUB', 'customer', customer, 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'OUB-A', 'quantity', a), jsonb_build_object('item', 'OUB-B', 'quantity', b)))) s $$;
CREATE FUNCTION pg_temp.ship(number text, shipment text, a numeric, b numeric) RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('shipment', jsonb_build_object('company', 'OUB', 'shipment_number', shipment, 'order_number', number, 'site', 'OUB-W',
		'lines', (SELECT jsonb_agg(l) FROM (VALUES (1, a), (2, b)) q(line, quantity), jsonb_build_object('order_line', line, 'quantity', quantity) l WHERE quantity > 0)), 'OUB-ERP') $$;
CREATE FUNCTION pg_temp.bill(invoice text, number text, net numeric, lines jsonb DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('invoice', jsonb_strip_nulls(jsonb_build_object('company', 'OUB', 'invoice_number', invoice, 'order_number', number, 'currency', 'USD', 'net_amount', net, 'lines', lines) || more), 'OUB-ERP') $$;
CREATE TEMP VIEW acct AS SELECT trim_scale(receivable) AS receivable, trim_scale(unbilled) AS unbilled, trim_scale(open_orders) AS open_orders, trim_scale(held_demand) AS held_demand FROM dist.credit_account WHERE code = 'OUB-C';
CREATE TEMP VIEW ord AS SELECT o.order_number, o.state, o.credit_state, trim_scale(o.exposure_amount) AS open, array_agg(trim_scale(l.invoiced_quantity) ORDER BY l.line_no) AS billed FROM dist.sales_order o JOIN dist.order_line l USING (customer_id, order_id)
	JOIN dist.company c USING (company_id) WHERE c.code = 'OUB' GROUP BY o.order_id, o.order_number, o.state, o.credit_state, o.exposure_amount ORDER BY 1;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters() UNION ALL SELECT * FROM distsync_internal.credit_verify_items()) v WHERE entity_key LIKE 'OUB%';
\o
-- billed and closed; void, it is shipped and unbilled as before, at the order's prices whatever the invoice charged
SELECT pg_temp.try('U1', 10, 5), pg_temp.ship('U1', 'OUB-S1', 10, 5), pg_temp.bill('UI1', 'U1', 120);
SELECT * FROM ord;
SELECT * FROM acct;
SELECT pg_temp.bill('UI1', 'U1', 120, NULL, '{"status":"void"}');
SELECT * FROM ord;
SELECT * FROM acct;
-- billed anew in two parts that name no line: the second is void, and takes only its own back
SELECT pg_temp.bill('UI2', 'U1', 30, '[{"order_line":1,"quantity":3}]');
SELECT pg_temp.bill('UI3', 'U1', 85);
SELECT * FROM acct;
SELECT pg_temp.bill('UI3', 'U1', 85, NULL, '{"status":"void"}');
SELECT * FROM ord;
SELECT * FROM acct;
-- told as billed again: what the lines count is not counted twice; who bills it again needs not name the order
SELECT pg_temp.bill('UI4', 'U1', 100), pg_temp.bill('UI4', 'U1', 100, NULL, '{"status":"void","rebill":true}');
SELECT trim_scale(rebill_amount) AS beside, rebill FROM dist.invoice WHERE invoice_number = 'UI4';
SELECT * FROM acct;
SELECT pg_temp.bill('UI5', NULL, 90, NULL, '{"customer":"OUB-C","rebills":"UI4"}');
SELECT * FROM ord;
SELECT * FROM acct;
SELECT * FROM wrong;
-- billed before it leaves: void, it is open again, and leaves as if it had not been billed
SELECT pg_temp.try('U2', 5, 5), pg_temp.bill('UI6', 'U2', 36, '[{"order_line":1,"quantity":3},{"order_line":2,"quantity":2}]');
SELECT * FROM acct;
SELECT pg_temp.bill('UI6', 'U2', 36, '[{"order_line":1,"quantity":3},{"order_line":2,"quantity":2}]', '{"status":"void"}');
SELECT * FROM acct;
SELECT pg_temp.ship('U2', 'OUB-S2', 5, 5);
SELECT * FROM acct;
SELECT * FROM wrong;
-- billed of a held order: it waits again with all of it
SELECT pg_temp.try('U3', 200, 1), pg_temp.bill('UI7', 'U3', 1000, '[{"order_line":1,"quantity":100}]');
SELECT * FROM acct;
SELECT pg_temp.bill('UI7', 'U3', 1000, '[{"order_line":1,"quantity":100}]', '{"status":"void"}');
SELECT * FROM acct;
SELECT trim_scale(h.amount) AS waits FROM dist.hold h JOIN dist.company c USING (company_id) WHERE c.code = 'OUB' AND h.order_number = 'U3' AND h.released_at IS NULL;
-- of a cancelled order nothing is open again; and without an account nothing is counted
SELECT pg_temp.try('U4', 4, 1), pg_temp.bill('UI8', 'U4', 20, '[{"order_line":1,"quantity":2}]'), (SELECT r ->> 'state' FROM distsync.cancel_order('U4', 'x', NULL, '{"company":"OUB"}') r), pg_temp.bill('UI8', 'U4', 20, '[{"order_line":1,"quantity":2}]', '{"status":"void"}');
SELECT pg_temp.try('U5', 4, 1, 'OUB-F'), pg_temp.ship('U5', 'OUB-S5', 4, 0), pg_temp.bill('UI9', 'U5', 40), pg_temp.bill('UI9', 'U5', 40, NULL, '{"status":"void"}');
SELECT * FROM ord WHERE order_number IN ('U4', 'U5');
SELECT * FROM wrong;
-- billed before it leaves, a held order waits for nothing that is counted; what makes room above lets it go all the same
SELECT outcome FROM distsync.apply_all('party', '[{"code":"OUB-G","name":"above"},{"code":"OUB-B","name":"below","currency":"USD"}]', 'OUB-ERP');
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"OUB-G","customer":"OUB-G","company":"OUB","limit":50},{"code":"OUB-B","customer":"OUB-B","company":"OUB","parent":"OUB-G"}]', 'OUB-ERP');
SELECT pg_temp.bill('UIG', NULL, 100, NULL, '{"customer":"OUB-G"}'), pg_temp.try('U6', 2, 1, 'OUB-B'), pg_temp.bill('UI10', 'U6', 23, '[{"order_line":1,"quantity":2},{"order_line":2,"quantity":1}]');
SELECT state, credit_state FROM ord WHERE order_number = 'U6';
SELECT outcome FROM distsync.apply('payment', '{"company":"OUB","payment_number":"OUB-P1","customer":"OUB-G","currency":"USD","amount":100}', 'OUB-ERP');
SELECT state, credit_state FROM ord WHERE order_number = 'U6';
SELECT * FROM wrong;
