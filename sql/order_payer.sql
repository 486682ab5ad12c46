-- Who pays an order: the customer's payer, or the one the order names. It is his account that carries it, from the order to the invoice.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OY-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OY', 'OY-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'OY-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OY-ERP');
SELECT distsync.apply('company', '{"code":"OY","name":"Payers","currency":"USD"}', 'OY-ERP');
SELECT distsync.apply_all('party', '[{"code":"OY-G","name":"head office"},{"code":"OY-N","name":"without account"},{"code":"OY-C","name":"branch","parent":"OY-G","currency":"USD"},{"code":"OY-X","name":"stranger","currency":"USD"},
	{"code":"OY-M","name":"branch of a branch","parent":"OY-N","currency":"USD"}]', 'OY-ERP');
SELECT distsync.apply('site', '{"code":"OY-W","name":"w","company":"OY"}', 'OY-ERP');
SELECT distsync.apply('item', '{"sku":"OY-A","name":"A","base_unit":"EA"}', 'OY-ERP');
SELECT distsync.apply('agreement', '{"code":"OY-LIST","slot":"list","company":"OY","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OY-A","value":"10"}]}', 'OY-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OY-C","customer":"OY-C","company":"OY","limit":50},{"code":"OY-G","customer":"OY-G","company":"OY","limit":500},{"code":"OY-X","customer":"OY-X","company":"OY","limit":500},{"code":"OY-M","customer":"OY-M","company":"OY","limit":50}]', 'OY-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"oy-1","kind":"receive","sku":"OY-A","site":"OY-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}', 'OY-ERP');
\o
CREATE TEMP VIEW acct AS SELECT code, receivable, unbilled, open_orders, held_demand FROM dist.credit_account WHERE code LIKE 'OY-%' ORDER BY 1;
CREATE FUNCTION pg_temp.try(number text, customer text, payer text, quantity numeric DEFAULT 10) RETURNS TABLE (state text, credit text, account text) LANGUAGE sql AS $$
	SELECT s.state, s.credit_state, s.detail ->> 'credit_account' FROM distsync.submit_order(jsonb_strip_nulls(jsonb_build_object('company', 'OY', 'customer', customer, 'payer', payer, 'order_number', number,
		'lines', jsonb_build_array(jsonb_build_object('item', 'OY-A', 'quantity', quantity))))) s $$;
-- the account is that of who pays
SELECT * FROM pg_temp.try('Y1', 'OY-C', NULL);
SELECT * FROM pg_temp.try('Y2', 'OY-C', 'OY-G');
SELECT * FROM acct;
-- who stands above the customer may pay; a stranger may not be named, nor somebody whose account would not limit it
SELECT * FROM pg_temp.try('Y3', 'OY-C', 'OY-X');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.try('Y3', 'OY-M', 'OY-N');
SELECT * FROM pg_temp.try('Y4', 'OY-C', 'OY-C', 1);
-- the owner of orders names whom he likes
SELECT outcome FROM distsync.apply('order', '{"company":"OY","order_number":"Y5","customer":"OY-C","payer":"OY-X","lines":[{"item":"OY-A","quantity":3,"unit_price":10}]}', 'OY-ERP');
SELECT * FROM acct;
-- what is shipped and billed is his, whether the invoice names the customer, nobody, or the payer
SELECT outcome FROM distsync.apply_all('shipment', '[{"company":"OY","shipment_number":"YS2","order_number":"Y2","site":"OY-W","lines":[{"order_line":1,"quantity":10}]},{"company":"OY","shipment_number":"YS5","order_number":"Y5","site":"OY-W","lines":[{"order_line":1,"quantity":3}]}]', 'OY-ERP');
SELECT outcome FROM distsync.apply_all('invoice', '[{"company":"OY","invoice_number":"YI1","shipment_number":"YS2","customer":"OY-C","currency":"USD","net_amount":60,"lines":[{"order_line":1,"quantity":6,"net_amount":60}]},
	{"company":"OY","invoice_number":"YI2","shipment_number":"YS2","currency":"USD","net_amount":20,"lines":[{"order_line":1,"quantity":2,"net_amount":20}]},{"company":"OY","invoice_number":"YI3","shipment_number":"YS2","customer":"OY-G","currency":"USD","net_amount":20,"lines":[{"order_line":1,"quantity":2,"net_amount":20}]}]', 'OY-ERP');
SELECT * FROM acct;
SELECT i.document_number, p.code AS payer, a.code AS account FROM dist.open_item i JOIN dist.party p ON p.party_id = i.customer_id JOIN dist.credit_account a USING (account_id) WHERE i.document_number LIKE 'YI%' ORDER BY 1;
SELECT outcome FROM distsync.apply('payment', '{"company":"OY","payment_number":"YP1","customer":"OY-G","currency":"USD","amount":100}', 'OY-ERP');
SELECT * FROM acct;
-- the owner bills another payer than the order's: what was unbilled of it is owed on that one's account
SELECT outcome FROM distsync.apply('invoice', '{"company":"OY","invoice_number":"YI5","shipment_number":"YS5","customer":"OY-G","currency":"USD","net_amount":30}', 'OY-ERP');
SELECT * FROM acct;
SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()) v;
