-- What came back is credited at what was charged for it, to the cent: where we bill by a memo of our own, with volumes and accruals; where somebody else does, by his.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('RX-ERP', 'erp'), ('RX-WMS', 'wms'), ('RX-CRM', 'crm');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'RX', 'RX-ERP'), ('order', 'RY', 'RX-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'RX-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"}]', 'RX-ERP');
SELECT distsync.apply_all('company', '[{"code":"RX","name":"Native","currency":"USD"},{"code":"RY","name":"Mirrored","currency":"USD"}]', 'RX-ERP');
SELECT distsync.own('invoice', 'distsync', '{"company":"RX","mode":"native"}');
SELECT distsync.apply_all('party', '[{"code":"RX-C","name":"Customer","currency":"USD"},{"code":"RY-C","name":"Customer","currency":"USD"}]', 'RX-ERP');
SELECT distsync.apply_all('site', '[{"code":"RX-W","name":"w","company":"RX"},{"code":"RY-W","name":"w","company":"RY"}]', 'RX-ERP');
SELECT distsync.apply_all('item', '[{"sku":"RX-A","name":"A","base_unit":"EA"},{"sku":"RX-B","name":"B","base_unit":"EA"}]', 'RX-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"RX-C","customer":"RX-C","company":"RX","limit":"1000"},{"code":"RY-C","customer":"RY-C","company":"RY","limit":"1000"}]', 'RX-ERP');
SELECT distsync.apply('agreement', '{"code":"RX-REB","slot":"rebate","currency":"USD","company":"RX","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"stack_group":"rx","publish":true,"rates":[{"what":"RX-A","calc":"percent_off","value":"10"}]}', 'RX-ERP');
SELECT distsync.apply('agreement', '{"code":"RX-VOL","slot":"contract","currency":"USD","company":"RX","valid_from":"2020-01-01","commit_quantity":"100","publish":true,"rates":[{"customer":"RX-C","what":"RX-A","value":"3.33"}]}', 'RX-ERP');
SELECT distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', 'rx-' || s || i, 'kind', 'receive', 'sku', i, 'site', s, 'quantity', 1000, 'event_at', '2026-01-01T00:00:00Z')) FROM unnest('{RX-A,RX-B}'::text[]) i, unnest('{RX-W,RY-W}'::text[]) s), 'RX-WMS');
CREATE FUNCTION pg_temp.order(company text, number text) RETURNS text LANGUAGE sql AS $$
	SELECT r.outcome FROM distsync.apply('order', jsonb_build_object('company', company, 'order_number', number, 'customer', company || '-C',
		'lines', '[{"line":1,"item":"RX-A","quantity":7,"unit_price":3.33,"agreement":"RX-VOL","net_amount":23.31,"tax_amount":1.63},{"line":2,"item":"RX-B","quantity":3,"unit_price":10,"net_amount":30,"tax_amount":2.10}]'::jsonb #- CASE company WHEN 'RX' THEN '{9}'::text[] ELSE '{0,agreement}' END), 'RX-ERP') r $$;
CREATE FUNCTION pg_temp.ship(company text, number text, a numeric, b numeric) RETURNS text LANGUAGE sql AS $$
	SELECT r.outcome FROM distsync.apply('shipment', jsonb_build_object('company', company, 'shipment_number', number, 'order_number', split_part(number, '/', 1), 'site', company || '-W',
		'lines', jsonb_build_array(jsonb_build_object('order_line', 1, 'quantity', a), jsonb_build_object('order_line', 2, 'quantity', b))), 'RX-WMS') r $$;
CREATE FUNCTION pg_temp.back(company text, number text, onum text, lines jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM distsync.authorise_return(jsonb_build_object('company', company, 'return_number', number, 'order_number', onum, 'lines', lines));
	PERFORM distsync.receive_return(number, options => jsonb_build_object('company', company));
	RETURN distsync.inspect_return(number, (SELECT jsonb_agg(jsonb_build_object('line', n, 'outcome', 'restock', 'quantity', l -> 'quantity')) FROM jsonb_array_elements(lines) WITH ORDINALITY u(l, n)), options => jsonb_build_object('company', company)) ->> 'state';
END $$;
CREATE TEMP VIEW owed AS SELECT a.code, trim_scale(a.receivable) AS receivable, trim_scale(a.credits) AS credits, trim_scale(a.unbilled) AS unbilled, trim_scale(a.open_orders) AS open_orders FROM dist.credit_account a WHERE a.code IN ('RX-C', 'RY-C') ORDER BY 1;
CREATE TEMP VIEW items AS SELECT i.kind, i.document_number, i.amount, i.open_amount FROM dist.open_item i JOIN dist.party p ON p.party_id = i.customer_id WHERE p.code IN ('RX-C', 'RY-C') ORDER BY 2, 1;
CREATE TEMP VIEW credits AS SELECT r.return_number, r.state, k.line_no, k.corrects_number, k.memo_number, trim_scale(k.quantity) AS quantity, k.net_amount, k.tax_amount, k.state AS credit FROM dist.return_credit k JOIN dist.customer_return r USING (customer_id, return_id) WHERE r.return_number LIKE 'R_-%' ORDER BY 1, k.asked_at, 3, 4;
CREATE TEMP VIEW volume AS SELECT a.code, u.line_no, trim_scale(u.quantity) AS quantity, trim_scale(u.amount) AS amount FROM dist.commitment_use u JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'RX-VOL' ORDER BY 2;
CREATE TEMP VIEW rebate AS SELECT a.code, round(sum(x.base_amount), 2) AS base, round(sum(x.amount), 2) AS amount FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'RX-REB' GROUP BY 1;
CREATE TEMP VIEW broken AS SELECT v.* FROM (SELECT * FROM distsync_internal.order_verify_returns() UNION ALL SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_volumes() UNION ALL SELECT * FROM distsync_internal.order_verify_orders()) v;
SELECT pg_temp.order('RX', 'RX-1'), pg_temp.order('RY', 'RY-1');
SELECT pg_temp.ship('RX', 'RX-1/1', 7, 3), pg_temp.ship('RY', 'RY-1/1', 7, 3);
\o
-- nothing was charged yet
SELECT pg_temp.back('RX', 'RX-R1', 'RX-1', '[{"order_line":1,"quantity":2}]') AS state;
SELECT distsync.credit_return('RX-R1');
-- billed in two parts, the second at another price
\o /dev/null
SELECT distsync.apply_all('invoice', '[{"company":"RX","invoice_number":"RX-I1","order_number":"RX-1","issued_at":"2026-02-01T00:00:00Z","currency":"USD","net_amount":40.00,"tax_amount":2.80,"lines":[{"order_line":1,"quantity":3,"net_amount":10.00,"tax_amount":0.70},{"order_line":2,"quantity":3,"net_amount":30.00,"tax_amount":2.10}]},
	{"company":"RX","invoice_number":"RX-I2","order_number":"RX-1","issued_at":"2026-02-02T00:00:00Z","currency":"USD","net_amount":14.00,"tax_amount":0.98,"lines":[{"order_line":1,"quantity":4,"net_amount":14.00,"tax_amount":0.98}]}]', 'distsync');
\o
SELECT * FROM owed WHERE code = 'RX-C';
SELECT * FROM volume;
SELECT * FROM rebate;
-- 2 of 3 at 10.00: 6.67, and their tax; volume, rebate and receivable go back
SELECT r ->> 'state' AS state, r -> 'memos' AS memos FROM distsync.credit_return('RX-R1', 'c1') r;
SELECT r ->> 'state' AS state, r -> 'memos' AS memos FROM distsync.credit_return('RX-R1', 'c1') r;
SELECT distsync.credit_return('RX-R1');
SELECT * FROM owed WHERE code = 'RX-C';
SELECT * FROM items;
SELECT * FROM volume;
SELECT * FROM rebate;
-- all of the rest: two invoices, two memos; nothing is left of what was charged
SELECT pg_temp.back('RX', 'RX-R2', 'RX-1', '[{"order_line":1,"quantity":5},{"order_line":2,"quantity":3}]') AS state;
SELECT r ->> 'state' AS state, r -> 'memos' AS memos FROM distsync.credit_return('RX-R2') r;
SELECT * FROM credits;
SELECT * FROM owed WHERE code = 'RX-C';
SELECT * FROM volume;
SELECT * FROM rebate;
SELECT * FROM broken;
-- a memo that its owner takes back: it may be credited anew, by another number
SELECT outcome FROM distsync.apply('invoice', '{"company":"RX","invoice_number":"RX-R1","kind":"credit_memo","order_number":"RX-1","corrects":"RX-I1","currency":"USD","net_amount":6.67,"tax_amount":0.47,"return_number":"RX-R1","status":"void"}', 'distsync');
SELECT return_number, state FROM dist.customer_return WHERE return_number = 'RX-R1';
SELECT * FROM owed WHERE code = 'RX-C';
SELECT * FROM broken;
SELECT r ->> 'state' AS state, r -> 'memos' -> 0 ->> 'memo_number' AS memo, r -> 'memos' -> 0 ->> 'gross_amount' AS gross FROM distsync.credit_return('RX-R1') r;
SELECT * FROM owed WHERE code = 'RX-C';
SELECT * FROM broken;
-- an invoice without lines is charged in proportion; parts add up to the whole
\o /dev/null
SELECT pg_temp.order('RX', 'RX-2'), pg_temp.ship('RX', 'RX-2/1', 7, 3);
SELECT distsync.apply('invoice', '{"company":"RX","invoice_number":"RX-I3","order_number":"RX-2","currency":"USD","net_amount":50.01,"tax_amount":3.50}', 'distsync');
SELECT pg_temp.back('RX', 'RX-R3', 'RX-2', '[{"order_line":1,"quantity":3}]'), distsync.credit_return('RX-R3');
SELECT pg_temp.back('RX', 'RX-R4', 'RX-2', '[{"order_line":1,"quantity":4},{"order_line":2,"quantity":3}]'), distsync.credit_return('RX-R4');
\o
SELECT line_no, quantity, net_amount, tax_amount, memo_number FROM credits WHERE return_number IN ('RX-R3', 'RX-R4');
SELECT sum(net_amount) AS net, sum(tax_amount) AS tax FROM credits WHERE return_number IN ('RX-R3', 'RX-R4');
SELECT * FROM broken;
-- a price that was put right by a memo of its own is not credited twice; what another memo took of the whole bill is left to people
\o /dev/null
SELECT pg_temp.order('RX', 'RX-3'), pg_temp.ship('RX', 'RX-3/1', 7, 3);
SELECT distsync.apply_all('invoice', '[{"company":"RX","invoice_number":"RX-I4","order_number":"RX-3","currency":"USD","net_amount":53.31,"tax_amount":3.73,"lines":[{"order_line":1,"quantity":7,"net_amount":23.31,"tax_amount":1.63},{"order_line":2,"quantity":3,"net_amount":30.00,"tax_amount":2.10}]},
	{"company":"RX","invoice_number":"RX-M4","kind":"credit_memo","order_number":"RX-3","corrects":"RX-I4","currency":"USD","net_amount":3.31,"tax_amount":0.23,"lines":[{"order_line":1,"sku":"RX-A","net_amount":3.31,"tax_amount":0.23}]}]', 'distsync');
SELECT pg_temp.back('RX', 'RX-R5', 'RX-3', '[{"order_line":1,"quantity":7}]'), distsync.credit_return('RX-R5');
\o
SELECT quantity, net_amount, tax_amount FROM credits WHERE return_number = 'RX-R5';
SELECT outcome FROM distsync.apply('invoice', '{"company":"RX","invoice_number":"RX-M5","kind":"credit_memo","corrects":"RX-I4","currency":"USD","net_amount":20}', 'distsync');
SELECT pg_temp.back('RX', 'RX-R6', 'RX-3', '[{"order_line":2,"quantity":3}]') AS state;
SELECT distsync.credit_return('RX-R6');
SELECT * FROM broken;
-- somebody else bills: he is asked, and his memo is what counts
SELECT pg_temp.back('RY', 'RY-R1', 'RY-1', '[{"order_line":1,"quantity":7},{"order_line":2,"quantity":1}]') AS state;
SELECT outcome FROM distsync.apply('invoice', '{"company":"RY","invoice_number":"RY-I1","order_number":"RY-1","currency":"USD","net_amount":53.31,"tax_amount":3.73,"lines":[{"order_line":1,"quantity":7,"net_amount":23.31,"tax_amount":1.63},{"order_line":2,"quantity":3,"net_amount":30.00,"tax_amount":2.10}]}', 'RX-ERP');
SELECT r ->> 'state' AS state, r -> 'memos' AS memos FROM distsync.credit_return('RY-R1') r;
SELECT distsync.credit_return('RY-R1');
SELECT * FROM owed WHERE code = 'RY-C';
SELECT event_type, body -> 'memos' -> 0 -> 'gross_amount' AS gross, jsonb_array_length(body -> 'memos' -> 0 -> 'lines') AS lines FROM sync.outbox WHERE entity_key = 'RY/RY-R1' ORDER BY outbox_id;
SELECT outcome FROM distsync.apply('invoice', '{"company":"RY","invoice_number":"77001","kind":"credit_memo","corrects":"RY-I1","return_number":"RY-R1","currency":"USD","net_amount":33.31,"tax_amount":2.00}', 'RX-ERP');
SELECT * FROM credits WHERE return_number = 'RY-R1';
SELECT * FROM owed WHERE code = 'RY-C';
SELECT kind, entity_key, details, money_at_risk FROM sync.exception WHERE company = 'RY' ORDER BY 1;
-- he credits what nobody asked for, before the goods are here
\o /dev/null
SELECT distsync.authorise_return('{"company":"RY","return_number":"RY-R2","order_number":"RY-1","lines":[{"order_line":2,"quantity":2}]}');
\o
SELECT outcome FROM distsync.apply('invoice', '{"company":"RY","invoice_number":"77002","kind":"credit_memo","corrects":"RY-I1","return_number":"RY-R2","currency":"USD","net_amount":20,"tax_amount":1.40,"lines":[{"order_line":2,"sku":"RX-B","quantity":2,"net_amount":20,"tax_amount":1.40}]}', 'RX-ERP');
SELECT return_number, state FROM dist.customer_return WHERE return_number = 'RY-R2';
SELECT r ->> 'state' AS state FROM distsync.receive_return('RY-R2') r;
SELECT r ->> 'state' AS state FROM distsync.inspect_return('RY-R2', '[{"line":1,"outcome":"scrap","quantity":2}]') r;
SELECT distsync.credit_return('RY-R2');
-- and for a return that is not known
SELECT outcome FROM distsync.apply('invoice', '{"company":"RY","invoice_number":"77003","kind":"credit_memo","customer":"RY-C","return_number":"RY-R9","currency":"USD","net_amount":1}', 'RX-ERP');
SELECT kind, entity_key FROM sync.exception WHERE company = 'RY' AND state = 'open' ORDER BY 1;
SELECT outcome, sqlstate, field, message FROM distsync.apply('invoice', '{"company":"RY","invoice_number":"77004","customer":"RY-C","return_number":"RY-R9","currency":"USD","net_amount":1}', 'RX-ERP', options => '{"on_error":"collect"}');
SELECT * FROM broken;
SELECT invariant, entity_key FROM distsync.verify() WHERE entity_key ~ 'R[XY]-';
-- lines that do not tell what they cost have what is left of the invoice, by the order's prices; or by their own
\o /dev/null
SELECT pg_temp.order('RX', 'RX-7'), pg_temp.ship('RX', 'RX-7/1', 7, 3), pg_temp.order('RX', 'RX-8'), pg_temp.ship('RX', 'RX-8/1', 7, 3);
\o
SELECT outcome FROM distsync.apply_all('invoice', '[{"company":"RX","invoice_number":"RX-I7","order_number":"RX-7","currency":"USD","net_amount":60.01,"tax_amount":3.73,"lines":[{"order_line":1,"quantity":7},{"order_line":2,"quantity":3},{"description":"freight","net_amount":10}]},
	{"company":"RX","invoice_number":"RX-I8","order_number":"RX-8","currency":"USD","net_amount":41,"lines":[{"order_line":1,"quantity":7,"unit_price":3},{"order_line":2,"quantity":2,"net_amount":20}]}]', 'distsync');
SELECT i.invoice_number, l.line_no, l.net_amount, l.tax_amount FROM dist.invoice_line l JOIN dist.invoice i USING (customer_id, invoice_id) WHERE i.invoice_number IN ('RX-I7', 'RX-I8') ORDER BY 1, 2;
SELECT pg_temp.back('RX', 'RX-R7', 'RX-7', '[{"order_line":1,"quantity":7},{"order_line":2,"quantity":3}]') AS state, distsync.credit_return('RX-R7') -> 'memos' -> 0 ->> 'gross_amount' AS gross;
-- two invoices that name no line charged what they billed when they came
\o /dev/null
SELECT pg_temp.order('RX', 'RX-9'), pg_temp.ship('RX', 'RX-9/1', 4, 3), distsync.apply('invoice', '{"company":"RX","invoice_number":"RX-I9","order_number":"RX-9","currency":"USD","net_amount":43.32,"tax_amount":3.03}', 'distsync');
SELECT distsync.apply('shipment', '{"company":"RX","shipment_number":"RX-9/2","order_number":"RX-9","site":"RX-W","lines":[{"order_line":1,"quantity":3}]}', 'RX-WMS'), distsync.apply('invoice', '{"company":"RX","invoice_number":"RX-I10","order_number":"RX-9","currency":"USD","net_amount":9.00,"tax_amount":0.63}', 'distsync');
\o
SELECT pg_temp.back('RX', 'RX-R9', 'RX-9', '[{"order_line":1,"quantity":7}]') AS state, jsonb_path_query_array(distsync.credit_return('RX-R9'), '$.memos[*].net_amount') AS net;
SELECT * FROM broken;
