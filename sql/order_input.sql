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

-- the day of an order is not free: a price of last year is not to be had. Half a day ago is, as the customer's policy allows; a clock that is ahead is ours
\o /dev/null
SELECT distsync.apply('credit_account', '{"code":"OI-C","limit":null}', 'OI-ERP');
SELECT distsync.apply('agreement', '{"code":"OI-OLD","slot":"book","company":"OI","currency":"USD","valid_from":"2020-01-01","valid_to":"2021-12-31","publish":true,"rates":[{"customer":"OI-C","what":"OI-A","value":"1"}]}', 'OI-ERP');
SELECT distsync.apply('party', '{"code":"OI-F","name":"by fax","currency":"USD","order_policy":{"backdate":"300 days"}}', 'OI-ERP');
CREATE FUNCTION pg_temp.at(i interval) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('ordered_at', to_char((now() + i) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) $$;
\o
SELECT t.verb, t.state, t.gross, t.code, t.field FROM pg_temp.try('{}', '{"ordered_at":"2021-06-01"}') t;
SELECT t.verb, t.state, t.gross, t.code, t.field FROM pg_temp.try('{}', pg_temp.at('-36 hours')) t;
SELECT t.verb, t.state, t.gross, t.code, t.field FROM pg_temp.try('{}', pg_temp.at('-12 hours')) t;
SELECT t.verb, t.state, t.gross, t.code, t.field FROM pg_temp.try('{}', pg_temp.at('2 hours')) t;
SELECT t.verb, t.state, t.gross, t.code, t.field FROM pg_temp.try('{}', pg_temp.at('2 minutes')) t;
SELECT t.verb, t.state, t.gross, t.code, t.field FROM pg_temp.try('{}', '{"customer":"OI-F"}' || pg_temp.at('-36 hours')) t;
SELECT t.verb, t.state, t.gross, t.code, t.field, t.said FROM pg_temp.try('{}', '{"policy":{"backdate":"10 years"},"ordered_at":"2021-06-01"}') t;
SELECT count(*) AS ahead FROM dist.sales_order o JOIN dist.company c USING (company_id) WHERE c.code = 'OI' AND o.ordered_at > clock_timestamp();

-- policies are read before anything is done with them: in a document, and where the customer's come in
SELECT p.policy, t.code, t.field, t.said FROM (VALUES (1, '{"answer_within":"x"}'::jsonb), (2, '{"answer_within":"-1 hour"}'), (3, '{"answer_within":3}'), (4, '{"split":3}'), (5, '{"all_or_none":"perhaps"}'), (6, '{"price_tolerance":-1}'), (7, '{"price_tolerance":"NaN"}'),
	(8, '{"priority":"high"}'), (9, '{"priority":99999999999}'), (10, '{"shortage":null}'), (11, '{"split":null}'), (12, '{"shortage":"pray"}'), (13, '{"sorcery":1}'), (14, '[]'), (15, '{"answer_within":null,"split":false,"price_tolerance":"2.5","priority":1}')) p(n, policy),
	pg_temp.try('{}', jsonb_build_object('policy', p.policy)) t WHERE t.verb = 'preview_order' ORDER BY p.n;
SELECT ordinal, outcome, sqlstate, field, message FROM distsync.apply_all('party', '[{"code":"OI-1","name":"1","order_policy":{"answer_within":"x"}},{"code":"OI-2","name":"2","order_policy":{"split":3}},{"code":"OI-3","name":"3","order_policy":[]},{"code":"OI-4","name":"4","order_policy":{"shortage":"cut","backdate":"2 days","answer_within":"1 hour"}},
	{"code":"OI-5","name":"5","order_policy":{"sorcery":1}},{"code":"OI-6","name":"6","order_policy":null}]', 'OI-ERP', options => '{"on_error":"collect"}') ORDER BY ordinal;
-- what got into the books all the same is left out: neither a command nor the owner's fact fails for it
UPDATE dist.party SET order_policy = '{"answer_within":"x","split":3,"shortage":"cut","priority":"high"}' WHERE code = 'OI-F';
SELECT t.verb, t.state, t.code FROM pg_temp.try('{}', '{"customer":"OI-F"}') t;
SELECT outcome FROM distsync.apply('order', '{"company":"OI","order_number":"OI-E2","customer":"OI-F","lines":[{"item":"OI-A","quantity":3,"net_amount":29.5}]}', 'OI-ERP');
SELECT DISTINCT policy ->> 'shortage' AS shortage, policy ->> 'split' AS split, policy ->> 'answer_within' AS answer_within FROM dist.sales_order o JOIN dist.party p ON p.party_id = o.customer_id WHERE p.code = 'OI-F';

-- a command does not speak for the owner of orders, nor for who must be told of them
INSERT INTO sync.system (code, kind) VALUES ('OI-WMS', 'wms'), ('OI-BANK', 'bank'), ('OI-ERP2', 'erp');
SELECT s.source, t.verb, t.state, t.code, t.field, t.said FROM unnest(ARRAY['OI-SHOP', 'OI-ERP', 'OI-WMS', 'OI-BANK', 'OI-ERP2', 'distsync']) WITH ORDINALITY s(source, n), pg_temp.try('{}', jsonb_build_object('source', s.source)) t ORDER BY s.n, t.verb;
SELECT state FROM distsync.submit_order('{"company":"OI","customer":"OI-C","order_number":"OI-X","lines":[{"item":"OI-A","quantity":1}]}');
SELECT distsync.cancel_order('OI-X', 'test', NULL, '{"company":"OI","source":"OI-ERP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.ship('{"company":"OI","shipment_number":"OI-S1","order_number":"OI-X","site":"OI-W","source":"OI-ERP","lines":[{"order_line":1,"quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'state' AS state FROM distsync.ship('{"company":"OI","shipment_number":"OI-S1","order_number":"OI-X","site":"OI-W","source":"OI-WMS","lines":[{"order_line":1,"quantity":1}]}') r;

-- what is too long, too much or of another shape is told as such; blanks are no number of a customer
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{}', jsonb_build_object('customer_po', repeat('x', 256))) t;
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{}', jsonb_build_object('customer_po', repeat('x', 100000))) t;
SELECT t.state, t.code FROM pg_temp.try('{}', jsonb_build_object('customer_po', repeat('x', 255))) t;
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{}', '{"correlation_id":"x"}') t;
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{}', '{"ext":5}') t;
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{"ext":[1]}') t;
SELECT t.state, t.code FROM pg_temp.try('{"ext":{"a":1}}', '{"ext":null}') t;
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{"quantity":1000000000.5}') t;
SELECT DISTINCT t.code, t.field, t.said FROM pg_temp.try('{"quantity":4006381333931}') t;
SELECT t.state, t.code FROM pg_temp.try('{}', '{"order_number":"OI-MUCH"}') t;
SELECT r ->> 'outcome' FROM distsync.change_order('OI-MUCH', '{"lines":[{"line":1,"quantity":4006381333931}]}', '{"company":"OI"}') r;
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'outcome' FROM distsync.change_order('OI-MUCH', '{"lines":[{"item":"OI-A","quantity":4006381333931}]}', '{"company":"OI"}') r;
\echo :LAST_ERROR_SQLSTATE
SELECT t.state, t.code FROM pg_temp.try('{}', '{"customer_po":" ","policy":{"duplicate_po":"refuse"}}') t;
SELECT t.state, t.code FROM pg_temp.try('{}', '{"customer_po":" ","policy":{"duplicate_po":"refuse"}}') t;
SELECT t.state, t.code FROM pg_temp.try('{}', '{"customer_po":"","policy":{"duplicate_po":"refuse"}}') t;
SELECT count(*) AS without FROM dist.sales_order o JOIN dist.company c USING (company_id) WHERE c.code = 'OI' AND o.customer_po !~ '\S';
-- numbers that we give are ours: who takes them before keeps nobody else from ordering
CREATE TEMP TABLE ours AS SELECT substr(s.order_number, 2)::bigint AS n FROM distsync.submit_order('{"company":"OI","customer":"OI-C","lines":[{"item":"OI-A","quantity":1}]}') s;
SELECT count(*) FROM ours, generate_series(1, 40) i, distsync.submit_order(jsonb_build_object('company', 'OI', 'customer', 'OI-C', 'order_number', 'D' || n + 40 + i, 'lines', '[{"item":"OI-A","quantity":1}]'::jsonb)) s;
SELECT count(*), count(DISTINCT s.order_number), bool_and(s.order_number ~ '^D[0-9]+(-[0-9a-f]{8})?$') AS ours FROM generate_series(1, 20) i, distsync.submit_order(jsonb_build_object('company', 'OI', 'customer', 'OI-C', 'lines', jsonb_build_array(jsonb_build_object('item', 'OI-A', 'quantity', i)))) s;

-- a shipment of what is not there, or has left, says so
SELECT state FROM distsync.submit_order('{"company":"OI","customer":"OI-C","order_number":"OI-L","lines":[{"item":"OI-A","quantity":1}]}');
SELECT distsync.ship('{"company":"OI","shipment_number":"OI-L1","order_number":"OI-L","site":"OI-W","lines":[{"order_line":1,"quantity":1},{"order_line":9,"quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'state' AS state FROM distsync.ship('{"company":"OI","shipment_number":"OI-L1","order_number":"OI-L","site":"OI-W","lines":[{"order_line":1,"quantity":1}]}') r;
SELECT distsync.ship('{"company":"OI","shipment_number":"OI-L2","order_number":"OI-L","site":"OI-W","lines":[{"order_line":1,"quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('shipment', '[{"company":"OI","shipment_number":"OI-L3","order_number":"OI-L","site":"OI-W","lines":[{"order_line":9,"quantity":1}]}]', 'OI-WMS', options => '{"on_error":"collect"}');
-- nor does a command ship tomorrow
SELECT state FROM distsync.submit_order('{"company":"OI","customer":"OI-C","order_number":"OI-T","lines":[{"item":"OI-A","quantity":1}]}');
SELECT distsync.ship('{"company":"OI","shipment_number":"OI-T1","order_number":"OI-T","site":"OI-W","shipped_at":"2998-01-01","lines":[{"order_line":1,"quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'state' AS state FROM distsync.ship(jsonb_build_object('company', 'OI', 'shipment_number', 'OI-T1', 'order_number', 'OI-T', 'site', 'OI-W', 'shipped_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 'lines', '[{"order_line":1,"quantity":1}]'::jsonb)) r;
