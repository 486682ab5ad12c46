-- What orders may be: short, cut, refused, with another price than expected, held and released by people, taken by the owner, not
-- answered; and what is wrong with a document.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OQ-ERP', 'erp'), ('OQ-WMS', 'wms');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OQ', 'OQ-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"}]', 'OQ-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX","scale":0}]', 'OQ-ERP');
SELECT distsync.apply('company', '{"code":"OQ","name":"Order policies","currency":"USD"}', 'OQ-ERP');
SELECT distsync.apply_all('party', '[{"code":"OQ-FREE","name":"no account","currency":"USD"},{"code":"OQ-C","name":"has an account","currency":"USD"},{"code":"OQ-BAD","name":"blocked","currency":"USD","status":"blocked"},
	{"code":"OQ-GONE","name":"gone","currency":"USD","status":"inactive"}]', 'OQ-ERP');
SELECT distsync.apply('site', '{"code":"OQ-W","name":"w","company":"OQ"}', 'OQ-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OQ-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":6,"denominator":1}]},{"sku":"OQ-B","name":"B","base_unit":"EA"},{"sku":"OQ-C","name":"without price","base_unit":"EA"},
	{"sku":"OQ-D","name":"old","base_unit":"EA","status":"inactive"}]', 'OQ-ERP');
SELECT distsync.apply('agreement', '{"code":"OQ-LIST","slot":"list","company":"OQ","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OQ-A","value":"10"},{"what":"OQ-B","value":"5"},{"what":"OQ-D","value":"1"}]}', 'OQ-ERP');
SELECT distsync.apply('credit_account', '{"code":"OQ-C","customer":"OQ-C","company":"OQ","limit":100}', 'OQ-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"1","kind":"receive","sku":"OQ-A","site":"OQ-W","quantity":20,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"2","kind":"receive","sku":"OQ-B","site":"OQ-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}]', 'OQ-WMS');
\o
CREATE TEMP VIEW pool AS SELECT sku, cap, held, committed FROM dist.stock_pool p JOIN dist.item USING (item_id) WHERE sku LIKE 'OQ-%' ORDER BY 1;
CREATE TEMP VIEW acct AS SELECT receivable, unbilled, open_orders, held_demand FROM dist.credit_account WHERE code = 'OQ-C';
CREATE FUNCTION pg_temp.try(number text, customer text, lines jsonb, policy jsonb DEFAULT '{}', more jsonb DEFAULT '{}')
RETURNS TABLE (state text, credit text, gross numeric, lines jsonb, reasons jsonb) LANGUAGE sql AS $$
	SELECT s.state, s.credit_state, s.gross_amount,
		(SELECT jsonb_agg(jsonb_build_array(l -> 'line', l ->> 'disposition', l ->> 'reason', (l ->> 'quantity')::numeric, (l ->> 'reserved')::numeric, (l ->> 'backordered')::numeric)) FROM jsonb_array_elements(s.lines) l),
		(SELECT jsonb_agg(r ->> 'rule') FROM jsonb_array_elements(s.reasons) r)
	FROM distsync.submit_order(jsonb_build_object('company', 'OQ', 'customer', customer, 'order_number', number, 'lines', lines, 'policy', policy) || more) s $$;

-- short: back-ordered, cut to whole boxes, rejected; all or none; a line without price or of an old item is rejected
SELECT * FROM pg_temp.try('Q1', 'OQ-FREE', '[{"item":"OQ-A","quantity":4,"unit":"BX"},{"item":"OQ-C","quantity":1},{"item":"OQ-D","quantity":1}]', '{"shortage":"cut"}');
SELECT * FROM pool;
SELECT * FROM pg_temp.try('Q2', 'OQ-FREE', '[{"item":"OQ-A","quantity":5},{"item":"OQ-B","quantity":1}]', '{"shortage":"reject"}');
SELECT * FROM pg_temp.try('Q3', 'OQ-FREE', '[{"item":"OQ-A","quantity":5},{"item":"OQ-B","quantity":1}]', '{"all_or_none":true}');
SELECT * FROM pg_temp.try('Q4', 'OQ-FREE', '[{"item":"OQ-A","quantity":5}]', '{"shortage":"reject"}');
SELECT * FROM pg_temp.try('Q5', 'OQ-FREE', '[{"item":"OQ-A","quantity":5},{"item":"OQ-A","quantity":3}]');
SELECT * FROM pg_temp.try('Q6', 'OQ-FREE', '[{"item":"OQ-B","quantity":1},{"item":"OQ-C","quantity":5}]', '{"no_price":"refuse"}');
SELECT * FROM pg_temp.try('Q7', 'OQ-FREE', '[{"item":"OQ-C","quantity":5}]');
SELECT * FROM pool;
-- what was refused left nothing behind
SELECT order_number FROM dist.sales_order o JOIN dist.company c USING (company_id) WHERE c.code = 'OQ' ORDER BY 1;
SELECT count(*) FROM dist.reservation r JOIN dist.item USING (item_id) WHERE sku LIKE 'OQ-%' AND holder IN ('OQ/Q3', 'OQ/Q4', 'OQ/Q6', 'OQ/Q7');

-- another price than expected is an exception, or by policy a hold, or no line
SELECT * FROM pg_temp.try('Q8', 'OQ-FREE', '[{"item":"OQ-B","quantity":1,"expected_price":4.99}]');
SELECT * FROM pg_temp.try('Q9', 'OQ-FREE', '[{"item":"OQ-B","quantity":1,"expected_price":4.99}]', '{"price_tolerance":1}');
SELECT * FROM pg_temp.try('Q10', 'OQ-FREE', '[{"item":"OQ-B","quantity":1,"expected_price":4}]', '{"price_mismatch":"hold"}');
SELECT * FROM pg_temp.try('Q11', 'OQ-FREE', '[{"item":"OQ-B","quantity":1,"expected_price":4}]', '{"price_mismatch":"reject"}');
SELECT trace_key, details -> 'expected' AS expected, details -> 'price' AS price, money_at_risk FROM sync.exception WHERE kind = 'price_changed' AND trace_key LIKE 'OQ/%' ORDER BY 1;
SELECT r - 'correlation_id' FROM distsync.release_order('Q10', 'price agreed by phone', '{"company":"OQ"}') r;
SELECT event_type, body ->> 'reason' AS reason FROM sync.outbox WHERE entity_key = 'OQ/Q10' ORDER BY outbox_id;

-- customers
SELECT * FROM pg_temp.try('Q12', 'OQ-BAD', '[{"item":"OQ-B","quantity":1}]');
SELECT * FROM pg_temp.try('Q13', 'OQ-GONE', '[{"item":"OQ-B","quantity":1}]');
SELECT * FROM pg_temp.try('Q14', 'OQ-FREE', '[{"item":"OQ-B","quantity":1}]', '{"duplicate_po":"refuse"}', '{"customer_po":"X"}');
SELECT * FROM pg_temp.try('Q15', 'OQ-FREE', '[{"item":"OQ-B","quantity":1}]', '{"duplicate_po":"refuse"}', '{"customer_po":"X"}');

-- credit: held keeps its stock, or none, or is refused; people release with reason and authority
SELECT * FROM pg_temp.try('Q16', 'OQ-C', '[{"item":"OQ-B","quantity":10}]');
SELECT * FROM pg_temp.try('Q17', 'OQ-C', '[{"item":"OQ-B","quantity":100}]', '{"on_hold":"refuse"}');
SELECT * FROM pg_temp.try('Q18', 'OQ-C', '[{"item":"OQ-B","quantity":100}]', '{"held_stock":"none"}');
SELECT * FROM pg_temp.try('Q19', 'OQ-C', '[{"item":"OQ-B","quantity":50}]');
SELECT * FROM acct;
SELECT * FROM pool;
SELECT distsync.release_order('Q19', 'good customer', '{"company":"OQ"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order('Q19', '', '{"company":"OQ"}');
\echo :LAST_ERROR_SQLSTATE
SELECT r - 'correlation_id' FROM distsync.release_order('Q19', 'good customer', '{"company":"OQ","authority":"cfo"}') r;
SELECT distsync.release_order('Q19', 'again', '{"company":"OQ","authority":"cfo"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM acct;
SELECT kind, entity_key, state FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'OQ-C';
SELECT verb, reason, after ->> 'authority' AS authority FROM sync.audit WHERE entity_key = 'OQ/Q19' AND verb = 'release_order';
-- a manual hold makes room for others, the clerk promises the stock of what was released again
SELECT r ->> 'state' AS state FROM distsync.hold_order('Q19', 'fraud check', '{"company":"OQ","kind":"forced"}') r;
SELECT * FROM acct;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OQ-C","limit":600}', 'OQ-ERP');
SELECT order_number, state, credit_state FROM dist.sales_order WHERE order_number IN ('Q18', 'Q19') ORDER BY 1;
SELECT distsync_internal.order_clerk_redecide(10), distsync_internal.order_clerk_redecide(10);
SELECT order_number, state, credit_state FROM dist.sales_order WHERE order_number IN ('Q18', 'Q19') ORDER BY 1;
SELECT * FROM acct;
SELECT * FROM pool;
SELECT event_type FROM sync.outbox WHERE entity_key = 'OQ/Q18' ORDER BY outbox_id;

-- facts of the owner count whatever they break; changes move the difference; a rejection gives everything back
SELECT outcome FROM distsync.apply('order', '{"company":"OQ","order_number":"E-1","customer":"OQ-C","lines":[{"line":10,"item":"OQ-B","quantity":20,"unit_price":5,"tax_amount":8.5},{"line":20,"item":"OQ-A","quantity":3,"net_amount":30}]}', 'OQ-ERP');
SELECT * FROM acct;
SELECT sku, ordered, d.status FROM dist.demand d JOIN dist.item USING (item_id) WHERE demand_key LIKE 'OQ/E-1/%' ORDER BY 1;
SELECT outcome FROM distsync.apply('order', '{"company":"OQ","order_number":"E-1","customer":"OQ-C","lines":[{"line":10,"item":"OQ-B","quantity":20,"unit_price":5,"tax_amount":8.5},{"line":20,"item":"OQ-A","quantity":3,"net_amount":30}]}', 'OQ-ERP');
SELECT outcome FROM distsync.apply('order', '{"company":"OQ","order_number":"E-1","lines":[{"line":10,"item":"OQ-B","quantity":10,"unit_price":5,"tax_amount":4}]}', 'OQ-ERP');
SELECT * FROM acct;
SELECT sku, ordered, d.status FROM dist.demand d JOIN dist.item USING (item_id) WHERE demand_key LIKE 'OQ/E-1/%' ORDER BY 1;
SELECT outcome FROM distsync.apply('order', '{"company":"OQ","order_number":"Q16","state":"rejected","reason":"discontinued"}', 'OQ-ERP');
SELECT * FROM acct;
SELECT outcome FROM distsync.apply('order', '{"company":"OQ","order_number":"Q16","state":"booked","owner_number":"E-16"}', 'OQ-ERP');
SELECT * FROM acct;
SELECT kind, details ->> 'reason' AS reason FROM sync.exception WHERE trace_key = 'OQ/Q16' ORDER BY exception_id;
SELECT ordinal, sqlstate, field FROM distsync.apply_all('order', '[{"company":"OQ","order_number":"NEW"},{"company":"OQ","order_number":"NEW","customer":"NOBODY","lines":[{"item":"OQ-A","quantity":1,"unit_price":1}]},
	{"company":"OQ","order_number":"NEW","customer":"OQ-C","lines":[{"item":"OQ-A","quantity":1}]}]', 'OQ-ERP', options => '{"on_error":"collect"}');
-- no answer in time
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OQ-C","limit":2000}', 'OQ-ERP');
SELECT * FROM pg_temp.try('Q20', 'OQ-C', '[{"item":"OQ-B","quantity":2}]', '{"answer_within":"1 hour"}');
SELECT distsync_internal.order_clerk_unanswered(10);
UPDATE dist.sales_order SET answer_due_at = now() - interval '1 second' WHERE order_number = 'Q20';
SELECT distsync_internal.order_clerk_unanswered(10);
SELECT state, exposure_amount FROM dist.sales_order WHERE order_number = 'Q20';
SELECT kind, entity_key FROM sync.exception WHERE trace_key = 'OQ/Q20';

-- ship may be refused, a fact may not; more than ordered, and on a held order, are exceptions
SELECT distsync.ship('{"company":"OQ","shipment_number":"SH-1","order_number":"Q19","site":"OQ-W","lines":[{"order_line":1,"quantity":1}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.ship('{"company":"OQ","shipment_number":"SH-1","order_number":"Q16","site":"OQ-W","lines":[{"order_line":1,"quantity":11}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT r - 'correlation_id' FROM distsync.ship('{"company":"OQ","shipment_number":"SH-1","order_number":"Q16","site":"OQ-W","lines":[{"order_line":1,"quantity":10}]}', 'k') r;
SELECT r - 'correlation_id' FROM distsync.ship('{"company":"OQ","shipment_number":"SH-1","order_number":"Q16","site":"OQ-W","lines":[{"order_line":1,"quantity":10}]}', 'k') r;
SELECT outcome FROM distsync.apply('shipment', '{"company":"OQ","shipment_number":"SH-2","order_number":"Q19","site":"OQ-W","lines":[{"sku":"OQ-B","quantity":55}]}', 'OQ-WMS');
SELECT kind FROM sync.exception WHERE trace_key LIKE 'OQ/%SH-2' OR trace_key LIKE 'OQ/Q19%' ORDER BY 1;
SELECT * FROM acct;
SELECT outcome FROM distsync.apply('shipment', '{"company":"OQ","shipment_number":"SH-3","customer":"OQ-C","site":"OQ-W","lines":[{"sku":"OQ-B","quantity":1}]}', 'OQ-WMS');
-- billed before it left: an exception, and still counted once when it leaves
SELECT outcome FROM distsync.apply('invoice', '{"company":"OQ","invoice_number":"INV-1","order_number":"E-1","currency":"USD","net_amount":50,"tax_amount":4}', 'OQ-ERP');
SELECT kind, state FROM sync.exception WHERE trace_key = 'OQ/INV-1';
SELECT * FROM acct;
SELECT outcome FROM distsync.apply('shipment', '{"company":"OQ","shipment_number":"SH-4","order_number":"E-1","site":"OQ-W","lines":[{"order_line":10,"quantity":10}]}', 'OQ-WMS');
SELECT * FROM acct;
SELECT kind, e.state, o.state AS "order" FROM sync.exception e, dist.sales_order o WHERE trace_key = 'OQ/INV-1' AND o.order_number = 'E-1';
-- a credit memo against its invoice
SELECT outcome FROM distsync.apply('invoice', '{"company":"OQ","invoice_number":"CM-1","kind":"credit_memo","customer":"OQ-C","corrects":"INV-1","currency":"USD","net_amount":54}', 'OQ-ERP');
SELECT * FROM acct;
SELECT outcome, sqlstate, field FROM distsync.apply('invoice', '{"company":"OQ","invoice_number":"CM-1","kind":"credit_memo","customer":"OQ-C","currency":"USD","net_amount":55}', 'OQ-ERP', options => '{"on_error":"collect"}');
SELECT ordinal, sqlstate, field FROM distsync.apply_all('invoice', '[{"company":"OQ","invoice_number":"B-1","currency":"USD","net_amount":1},{"company":"OQ","invoice_number":"B-2","customer":"OQ-C","currency":"USD","net_amount":1,"gross_amount":2},
	{"company":"OQ","invoice_number":"B-3","customer":"OQ-C","currency":"ZZZ","net_amount":1}]', 'OQ-ERP', options => '{"on_error":"collect"}');

-- what is wrong with a document is told with its field, and nothing changes
CREATE FUNCTION pg_temp.wrong(document jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE told text; field text; hint text;
BEGIN
	PERFORM * FROM distsync.submit_order(document);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS field = COLUMN_NAME, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || field || ': ' || SQLERRM || CASE WHEN hint = '' THEN ' (no hint)' ELSE '' END;
END $$;
SELECT pg_temp.wrong(d) FROM (VALUES (1, '[]'::jsonb), (2, '{"company":"OQ","customer":"OQ-C"}'), (3, '{"company":"OQ","customer":"OQ-C","lines":[]}'), (4, '{"company":"NO","customer":"OQ-C","lines":[{"item":"OQ-A","quantity":1}]}'),
	(5, '{"company":"OQ","customer":"NO","lines":[{"item":"OQ-A","quantity":1}]}'), (6, '{"company":"OQ","lines":[{"item":"OQ-A","quantity":1}]}'), (7, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"NO","quantity":1}]}'),
	(8, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-A","quantity":-1}]}'), (9, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-A","quantity":"NaN"}]}'), (10, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-A","quantity":0.0000001}]}'),
	(11, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-A","quantity":1,"unit":"XX"}]}'), (12, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-A"}]}'), (13, '{"company":"OQ","customer":"OQ-C","currency":"ZZZ","lines":[{"item":"OQ-A","quantity":1}]}'),
	(14, '{"company":"OQ","customer":"OQ-C","lines":[{"line":1,"item":"OQ-A","quantity":1},{"line":1,"item":"OQ-A","quantity":1}]}'), (15, '{"company":"OQ","customer":"OQ-C","order_number":"a/b","lines":[{"item":"OQ-A","quantity":1}]}'),
	(16, '{"company":"OQ","customer":"OQ-C","order_number":"Q1","lines":[{"item":"OQ-B","quantity":1}]}'), (17, '{"company":"OQ","customer":"OQ-C","source":"NOBODY","lines":[{"item":"OQ-B","quantity":1}]}'),
	(18, '{"company":"OQ","customer":"OQ-C","requested_at":"soon","lines":[{"item":"OQ-B","quantity":1}]}'), (19, '{"company":"OQ","customer":"OQ-C","requested_at":"2026-02-31","lines":[{"item":"OQ-B","quantity":1}]}'),
	(20, '{"company":"OQ","customer":"OQ-C","policy":{"shortage":"pray"},"lines":[{"item":"OQ-B","quantity":1}]}'), (21, '{"company":"OQ","customer":"OQ-C","policy":{"credit":"skip"},"lines":[{"item":"OQ-B","quantity":1}]}'),
	(22, '{"schema":"invoice/1","company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-B","quantity":1}]}'), (23, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-B","quantity":1,"site":"NO"}]}'),
	(24, '{"company":"OQ","customer":"OQ-C","lines":[{"item":"OQ-B","quantity":1,"tax_amount":-1}]}')) x(n, d) ORDER BY n;
SELECT * FROM acct;
SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_items() UNION ALL SELECT * FROM distsync_internal.credit_verify_releases()) v;
-- a discount of the order level is in what its lines cost, in proportion where one is cut
SELECT outcome FROM distsync.apply('agreement', '{"code":"OQ-OFF","slot":"order","company":"OQ","currency":"USD","assignments":[{"who_kind":"customer","who":"OQ-FREE"}],"publish":true,"rates":[{"what_kind":"all","calc":"amount_off","value":"1"}]}', 'OQ-ERP');
SELECT ordinal, unit_price, net_amount FROM distsync.prices('OQ-FREE', '[{"item":"OQ-B","quantity":1},{"item":"OQ-B","quantity":2}]', options => '{"company":"OQ"}');
SELECT s.state, s.net_amount, l -> 'unit_price' AS price, l -> 'net_amount' AS net FROM distsync.submit_order('{"company":"OQ","customer":"OQ-FREE","order_number":"Q90","lines":[{"item":"OQ-B","quantity":1},{"item":"OQ-B","quantity":2}]}') s, jsonb_array_elements(s.lines) l;
SELECT s.state, s.net_amount, l -> 'quantity' AS quantity, l -> 'net_amount' AS net FROM distsync.submit_order('{"company":"OQ","customer":"OQ-FREE","order_number":"Q91","policy":{"shortage":"cut"},"lines":[{"item":"OQ-B","quantity":2000}]}') s, jsonb_array_elements(s.lines) l;
SELECT * FROM distsync_internal.order_verify_orders();

-- a date that moves in stock moves in the order's line, as soon as the clerk has looked
\o /dev/null
SELECT distsync.apply('item', '{"sku":"OQ-M","name":"M","base_unit":"EA"}', 'OQ-ERP');
SELECT distsync.apply('agreement', '{"code":"OQ-LIST-M","slot":"list","company":"OQ","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OQ-M","value":"1"}]}', 'OQ-ERP');
SELECT distsync.apply('item_site', '{"sku":"OQ-M","site":"OQ-W","backorder_cap":30}', 'OQ-ERP');
SELECT distsync.apply('supply', '{"kind":"purchase","reference":"OQ-PO/1","sku":"OQ-M","site":"OQ-W","quantity":10,"expected_at":"2998-01-05T00:00:00Z"}', 'OQ-ERP');
\o
CREATE TEMP VIEW dated AS SELECT o.order_number, l.line_no, l.disposition, to_char(l.promised_at, 'YYYY-MM-DD') AS promised FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) WHERE o.order_number LIKE 'QM%' ORDER BY 1, 2;
SELECT lines FROM pg_temp.try('QM1', 'OQ-FREE', '[{"item":"OQ-M","quantity":4},{"item":"OQ-M","quantity":3}]');
SELECT lines FROM pg_temp.try('QM2', 'OQ-FREE', '[{"item":"OQ-M","quantity":6}]');
SELECT * FROM dated;
-- in one transaction, so that no clerk but this one sees what is noted; what the tests before have noted is brought in first
BEGIN;
\o /dev/null
SELECT distsync_internal.order_clerk_moved(10) FROM generate_series(1, 1000) WHERE distsync_internal.order_clerk_moved_due() IS NOT NULL;
\o
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"OQ-PO/1","sku":"OQ-M","expected_at":"2998-02-05T00:00:00Z"}', 'OQ-ERP');
SELECT count(*) FROM dist.order_line_moved;
SELECT distsync_internal.order_clerk_moved_due() <= clock_timestamp() AS due;
SELECT distsync_internal.order_clerk_moved(10) + distsync_internal.order_clerk_moved(10) + distsync_internal.order_clerk_moved(10) AS orders;
SELECT distsync_internal.order_clerk_moved_due() IS NULL AS done;
COMMIT;
SELECT * FROM dated;
SELECT jsonb_path_query_array(distsync.order_status('QM1', '{"company":"OQ"}'), '$.lines[*].promised_at') AS told;
BEGIN;
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"OQ-PO/2","sku":"OQ-M","site":"OQ-W","quantity":3,"expected_at":"2998-01-01T00:00:00Z"}', 'OQ-ERP');
SELECT distsync_internal.order_clerk_moved(10) + distsync_internal.order_clerk_moved(10) + distsync_internal.order_clerk_moved(10) AS orders;
COMMIT;
SELECT * FROM dated;
