-- What a command may not say of an order: its own price, another day, policies that cannot be read, another system's name.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OI-ERP', 'erp'), ('OI-SHOP', 'shop');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OI', 'OI-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'OI-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OI-ERP');
SELECT distsync.apply('company', '{"code":"OI","name":"Input","currency":"USD"}', 'OI-ERP');
SELECT distsync.apply('party', '{"code":"OI-C","name":"Customer","currency":"USD"}', 'OI-ERP');
SELECT distsync.apply('site', '{"code":"OI-W","name":"w","company":"OI"}', 'OI-ERP');
SELECT distsync.apply('item', '{"sku":"OI-A","name":"A","base_unit":"EA"}', 'OI-ERP');
SELECT distsync.apply('agreement', '{"code":"OI-LIST","slot":"list","company":"OI","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OI-A","value":"10"}]}', 'OI-ERP');
SELECT distsync.apply('credit_account', '{"code":"OI-C","customer":"OI-C","company":"OI","limit":100}', 'OI-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"oi-1","kind":"receive","sku":"OI-A","site":"OI-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}', 'OI-ERP');
\o
-- try does a command and its preview, and tells what became of each: state and gross amount, or the code and field of the error
CREATE FUNCTION pg_temp.try(line jsonb, more jsonb DEFAULT '{}') RETURNS TABLE (verb text, state text, gross numeric, code text, field text, said text) LANGUAGE plpgsql AS $$
DECLARE
	document jsonb := jsonb_build_object('company', 'OI', 'customer', 'OI-C', 'lines', jsonb_build_array('{"item":"OI-A","quantity":3}'::jsonb || line)) || more;
BEGIN
	FOREACH verb IN ARRAY ARRAY['preview_order', 'submit_order'] LOOP
		state := NULL; gross := NULL; code := NULL; field := NULL; said := NULL;
		BEGIN
			IF verb = 'submit_order' THEN
				SELECT s.state, s.gross_amount INTO state, gross FROM distsync.submit_order(document) s;
			ELSE
				SELECT s.state, s.gross_amount INTO state, gross FROM distsync.preview_order(document) s;
			END IF;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, field = COLUMN_NAME, said = MESSAGE_TEXT;
		END;
		RETURN NEXT;
	END LOOP;
END $$;

-- the price is decided, not told: neither net amount nor unit price of a line, which would pass every limit
SELECT * FROM pg_temp.try('{"net_amount":0.01}');
SELECT * FROM pg_temp.try('{"net_amount":-500}');
SELECT * FROM pg_temp.try('{"unit_price":0.01}');
SELECT * FROM pg_temp.try('{"price_per":1000}');
SELECT * FROM pg_temp.try('{"net_amount":null,"expected_price":9}');
SELECT count(*) AS orders, sum(exposure_amount) AS exposure FROM dist.sales_order o JOIN dist.company c USING (company_id) WHERE c.code = 'OI';
-- the owner of orders tells his
SELECT outcome FROM distsync.apply('order', '{"company":"OI","order_number":"OI-E1","customer":"OI-C","lines":[{"item":"OI-A","quantity":3,"net_amount":29.5}]}', 'OI-ERP');
SELECT gross_amount FROM dist.sales_order WHERE order_number = 'OI-E1';
