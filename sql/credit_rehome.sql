-- An account that is opened later takes over the items and orders that belong to it now.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('ZK-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'ZK', 'ZK-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'ZK-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'ZK-ERP');
SELECT distsync.apply('company', '{"code":"ZK","name":"Home","currency":"USD"}', 'ZK-ERP');
SELECT distsync.apply_all('party', '[{"code":"ZK-G","name":"group"},{"code":"ZK-A","name":"a","parent":"ZK-G"},{"code":"ZK-S","name":"ship-to","parent":"ZK-A","payer":"ZK-A"},{"code":"ZK-J","name":"job","parent":"ZK-A"},{"code":"ZK-N","name":"none"}]', 'ZK-ERP');
SELECT distsync.apply('site', '{"code":"ZK-W","name":"w","company":"ZK"}', 'ZK-ERP');
SELECT distsync.apply('item', '{"sku":"ZK-I","name":"I","base_unit":"EA"}', 'ZK-ERP');
SELECT distsync.apply('agreement', '{"code":"ZK-LIST","slot":"list","company":"ZK","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"ZK-I","value":"10"}]}', 'ZK-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"zk-1","kind":"receive","sku":"ZK-I","site":"ZK-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"}', 'ZK-ERP');
SELECT distsync.apply('credit_account', '{"code":"ZK-A","customer":"ZK-A","currency":"USD","limit":1000}', 'ZK-ERP');
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT s.state || ' ' || s.credit_state FROM distsync.submit_order(jsonb_build_object('company', 'ZK', 'customer', customer, 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'ZK-I', 'quantity', quantity))) || more) s $$;
CREATE FUNCTION pg_temp.clerk() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 0 .. 20 LOOP
		IF distsync_internal.order_clerk_rehome(10) = 0 THEN
			RETURN n;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
CREATE TEMP VIEW acct AS SELECT code, receivable, credits, unapplied, deposits, disputed, unbilled, open_orders, held_demand, late_amount FROM dist.credit_account WHERE code LIKE 'ZK-%' ORDER BY 1;
CREATE TEMP VIEW orders AS SELECT o.order_number, o.state, o.credit_state, o.exposure_amount, a.code FROM dist.sales_order o LEFT JOIN dist.credit_account a USING (account_id) WHERE o.order_number LIKE 'ZK-%' ORDER BY 1;
CREATE TEMP VIEW items AS SELECT i.kind, i.document_number, i.open_amount, a.code FROM dist.open_item i JOIN dist.credit_account a USING (account_id) WHERE a.code LIKE 'ZK-%' ORDER BY 2;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_releases() UNION ALL SELECT * FROM distsync_internal.credit_verify_items() UNION ALL SELECT * FROM distsync_internal.credit_verify_due()) v WHERE entity_key LIKE '%ZK%';
\o
-- open, part shipped, held, of a ship-to, of a job; owed, late, paid, in dispute; for all companies
SELECT pg_temp.try('ZK-A', 'ZK-1', 20), pg_temp.try('ZK-S', 'ZK-2', 10), pg_temp.try('ZK-A', 'ZK-3', 8, '{"job":"ZK-J"}');
\o /dev/null
SELECT distsync.apply('shipment', '{"company":"ZK","shipment_number":"ZK-S1","order_number":"ZK-1","site":"ZK-W","lines":[{"order_line":1,"quantity":5}]}', 'ZK-ERP');
SELECT distsync.apply_all('invoice', jsonb_build_array(jsonb_build_object('company', 'ZK', 'invoice_number', 'ZK-I1', 'customer', 'ZK-A', 'currency', 'USD', 'net_amount', 300, 'due_on', current_date - 5), jsonb_build_object('company', 'ZK', 'invoice_number', 'ZK-I2', 'customer', 'ZK-A', 'currency', 'USD', 'net_amount', 100, 'due_on', current_date + 5,
	'instalments', jsonb_build_array(jsonb_build_object('due_on', current_date - 1, 'amount', 40), jsonb_build_object('due_on', current_date + 5, 'amount', 60)))), 'ZK-ERP');
SELECT distsync.apply('shipment', '{"company":"ZK","shipment_number":"ZK-S3","order_number":"ZK-3","site":"ZK-W","lines":[{"order_line":1,"quantity":3}]}', 'ZK-ERP');
SELECT distsync.apply('invoice', jsonb_build_object('company', 'ZK', 'invoice_number', 'ZK-I3', 'order_number', 'ZK-3', 'currency', 'USD', 'net_amount', 30, 'due_on', current_date + 9), 'ZK-ERP');
SELECT distsync.apply_all('payment', '[{"company":"ZK","payment_number":"ZK-P1","customer":"ZK-A","currency":"USD","amount":50},{"company":"ZK","payment_number":"ZK-D1","customer":"ZK-A","kind":"deposit","order":"ZK-1","currency":"USD","amount":20}]', 'ZK-ERP');
SELECT distsync.apply('dispute', '{"company":"ZK","customer":"ZK-A","dispute_number":"ZK-D","invoice":"ZK-I1","amount":25}', 'ZK-ERP');
\o
SELECT pg_temp.try('ZK-A', 'ZK-4', 70);
SELECT * FROM acct;
-- the account of the company, below it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"ZK-AC","customer":"ZK-A","company":"ZK","parent":"ZK-A","limit":900}', 'ZK-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM acct;
SELECT * FROM orders;
SELECT * FROM items;
SELECT * FROM wrong;
-- that of a job: its order and the invoice of it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"ZK-J","customer":"ZK-J","company":"ZK","limit":500}', 'ZK-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM acct;
SELECT * FROM orders WHERE code = 'ZK-J';
SELECT * FROM items WHERE code = 'ZK-J';
SELECT * FROM wrong;
-- a payment of a taken over invoice that bounces is where it is now
SELECT outcome FROM distsync.apply('payment', '{"company":"ZK","payment_number":"ZK-P1B","reverses":"ZK-P1","currency":"USD","amount":50}', 'ZK-ERP');
SELECT * FROM acct;
-- orders that nobody counted are counted, over the limit too; what other people hold is held
SELECT pg_temp.try('ZK-N', 'ZK-5', 6), pg_temp.try('ZK-N', 'ZK-6', 7), distsync.hold_order('ZK-6', 'looks odd', '{"company":"ZK","owner":"fraud"}') ->> 'state' AS held;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"ZK-N","customer":"ZK-N","company":"ZK","limit":50}', 'ZK-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM acct WHERE code = 'ZK-N';
SELECT * FROM orders WHERE code = 'ZK-N';
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'ZK-N';
SELECT r ->> 'state' AS state, r -> 'held_by' AS held_by FROM distsync.release_order('ZK-6', 'is fine', '{"company":"ZK","owner":"fraud"}') r;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"ZK-N","limit":500}', 'ZK-ERP');
SELECT * FROM orders WHERE code = 'ZK-N';
SELECT * FROM wrong;
-- the clerk rests when nothing has come for a minute
UPDATE dist.account_rehome SET noted_at = noted_at - interval '2 minutes', again_at = now();
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT count(*) FROM dist.account_rehome;
