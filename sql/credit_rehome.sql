-- An account that is opened later takes over the items and orders that belong to it now.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CK-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'CK', 'CK-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CK-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'CK-ERP');
SELECT distsync.apply('company', '{"code":"CK","name":"Home","currency":"USD"}', 'CK-ERP');
SELECT distsync.apply_all('party', '[{"code":"CK-G","name":"group"},{"code":"CK-A","name":"a","parent":"CK-G"},{"code":"CK-S","name":"ship-to","parent":"CK-A","payer":"CK-A"},{"code":"CK-J","name":"job","parent":"CK-A"},{"code":"CK-N","name":"none"}]', 'CK-ERP');
SELECT distsync.apply('site', '{"code":"CK-W","name":"w","company":"CK"}', 'CK-ERP');
SELECT distsync.apply('item', '{"sku":"CK-I","name":"I","base_unit":"EA"}', 'CK-ERP');
SELECT distsync.apply('agreement', '{"code":"CK-LIST","slot":"list","company":"CK","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"CK-I","value":"10"}]}', 'CK-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"ck-1","kind":"receive","sku":"CK-I","site":"CK-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"}', 'CK-ERP');
SELECT distsync.apply('credit_account', '{"code":"CK-A","customer":"CK-A","currency":"USD","limit":1000}', 'CK-ERP');
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT s.state || ' ' || s.credit_state FROM distsync.submit_order(jsonb_build_object('company', 'CK', 'customer', customer, 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'CK-I', 'quantity', quantity))) || more) s $$;
CREATE FUNCTION pg_temp.clerk() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 0 .. 20 LOOP
		IF distsync_internal.order_clerk_rehome(10) = 0 THEN
			RETURN n;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
CREATE TEMP VIEW acct AS SELECT code, receivable, credits, unapplied, deposits, disputed, unbilled, open_orders, held_demand, late_amount FROM dist.credit_account WHERE code LIKE 'CK-%' ORDER BY 1;
CREATE TEMP VIEW orders AS SELECT o.order_number, o.state, o.credit_state, o.exposure_amount, a.code FROM dist.sales_order o LEFT JOIN dist.credit_account a USING (account_id) WHERE o.order_number LIKE 'CK-%' ORDER BY 1;
CREATE TEMP VIEW items AS SELECT i.kind, i.document_number, i.open_amount, a.code FROM dist.open_item i JOIN dist.credit_account a USING (account_id) WHERE a.code LIKE 'CK-%' ORDER BY 2;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_releases() UNION ALL SELECT * FROM distsync_internal.credit_verify_items() UNION ALL SELECT * FROM distsync_internal.credit_verify_due()) v WHERE entity_key LIKE '%CK%';
\o
-- open, part shipped, held, of a ship-to, of a job; owed, late, paid, in dispute; for all companies
SELECT pg_temp.try('CK-A', 'CK-1', 20), pg_temp.try('CK-S', 'CK-2', 10), pg_temp.try('CK-A', 'CK-3', 8, '{"job":"CK-J"}');
\o /dev/null
SELECT distsync.apply('shipment', '{"company":"CK","shipment_number":"CK-S1","order_number":"CK-1","site":"CK-W","lines":[{"order_line":1,"quantity":5}]}', 'CK-ERP');
SELECT distsync.apply_all('invoice', jsonb_build_array(jsonb_build_object('company', 'CK', 'invoice_number', 'CK-I1', 'customer', 'CK-A', 'currency', 'USD', 'net_amount', 300, 'due_on', current_date - 5), jsonb_build_object('company', 'CK', 'invoice_number', 'CK-I2', 'customer', 'CK-A', 'currency', 'USD', 'net_amount', 100, 'due_on', current_date + 5,
	'instalments', jsonb_build_array(jsonb_build_object('due_on', current_date - 1, 'amount', 40), jsonb_build_object('due_on', current_date + 5, 'amount', 60)))), 'CK-ERP');
SELECT distsync.apply('shipment', '{"company":"CK","shipment_number":"CK-S3","order_number":"CK-3","site":"CK-W","lines":[{"order_line":1,"quantity":3}]}', 'CK-ERP');
SELECT distsync.apply('invoice', jsonb_build_object('company', 'CK', 'invoice_number', 'CK-I3', 'order_number', 'CK-3', 'currency', 'USD', 'net_amount', 30, 'due_on', current_date + 9), 'CK-ERP');
SELECT distsync.apply_all('payment', '[{"company":"CK","payment_number":"CK-P1","customer":"CK-A","currency":"USD","amount":50},{"company":"CK","payment_number":"CK-D1","customer":"CK-A","kind":"deposit","order":"CK-1","currency":"USD","amount":20}]', 'CK-ERP');
SELECT distsync.apply('dispute', '{"company":"CK","customer":"CK-A","dispute_number":"CK-D","invoice":"CK-I1","amount":25}', 'CK-ERP');
\o
SELECT pg_temp.try('CK-A', 'CK-4', 70);
SELECT * FROM acct;
-- the account of the company, below it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CK-AC","customer":"CK-A","company":"CK","parent":"CK-A","limit":900}', 'CK-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM acct;
SELECT * FROM orders;
SELECT * FROM items;
SELECT * FROM wrong;
-- that of a job: its order and the invoice of it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CK-J","customer":"CK-J","company":"CK","limit":500}', 'CK-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM acct;
SELECT * FROM orders WHERE code = 'CK-J';
SELECT * FROM items WHERE code = 'CK-J';
SELECT * FROM wrong;
-- a payment of a taken over invoice that bounces is where it is now
SELECT outcome FROM distsync.apply('payment', '{"company":"CK","payment_number":"CK-P1B","reverses":"CK-P1","currency":"USD","amount":50}', 'CK-ERP');
SELECT * FROM acct;
-- orders that nobody counted are counted, over the limit too; what other people hold is held
SELECT pg_temp.try('CK-N', 'CK-5', 6), pg_temp.try('CK-N', 'CK-6', 7), distsync.hold_order('CK-6', 'looks odd', '{"company":"CK","owner":"fraud"}') ->> 'state' AS held;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CK-N","customer":"CK-N","company":"CK","limit":50}', 'CK-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM acct WHERE code = 'CK-N';
SELECT * FROM orders WHERE code = 'CK-N';
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'CK-N';
SELECT r ->> 'state' AS state, r -> 'held_by' AS held_by FROM distsync.release_order('CK-6', 'is fine', '{"company":"CK","owner":"fraud"}') r;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CK-N","limit":500}', 'CK-ERP');
SELECT * FROM orders WHERE code = 'CK-N';
SELECT * FROM wrong;
-- the clerk rests when nothing has come for a minute
UPDATE dist.account_rehome SET noted_at = noted_at - interval '2 minutes', again_at = now();
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT count(*) FROM dist.account_rehome;
