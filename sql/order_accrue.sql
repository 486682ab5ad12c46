-- What invoices and memos accrue when something is in the way: what fails, memos that come several times, too large or before their invoice.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OA-ERP', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"ISK","minor_units":0}]', 'OA-ERP');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'OA-ERP');
SELECT outcome FROM distsync.apply('company', '{"code":"OA","name":"Accrue Inc","currency":"USD"}', 'OA-ERP');
SELECT outcome FROM distsync.apply_all('party', '[{"code":"OA-C","name":"Customer","roles":["sold_to"],"currency":"USD"},{"code":"OA-D","name":"Other","roles":["sold_to"],"currency":"USD"}]', 'OA-ERP');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"OA-A","name":"A","base_unit":"EA"},{"sku":"OA-B","name":"B","base_unit":"EA"}]', 'OA-ERP');
CREATE FUNCTION pg_temp.doc(number text, customer text, lines jsonb, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('company', 'OA', 'invoice_number', number, 'customer', customer, 'currency', 'USD', 'issued_at', '2026-02-01T00:00:00Z',
		'net_amount', (SELECT sum((l->>'net_amount')::numeric) FROM jsonb_array_elements(lines) l), 'lines', lines) || more $$;
CREATE FUNCTION pg_temp.memo(number text, corrects text, lines jsonb, customer text DEFAULT 'OA-C') RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.doc(number, customer, lines, jsonb_build_object('kind', 'credit_memo', 'corrects', corrects, 'issued_at', '2026-03-01T00:00:00Z')) $$;
CREATE FUNCTION pg_temp.bill(VARIADIC docs jsonb[]) RETURNS TABLE (said text) LANGUAGE sql AS $$
	SELECT concat_ws(' ', outcome, entity_key, sqlstate, message) FROM distsync.apply_all('invoice', to_jsonb(docs), 'OA-ERP') $$;
CREATE FUNCTION pg_temp.accruals(documents text) RETURNS TABLE (document text, agreement text, quantity numeric, base numeric, amount numeric) LANGUAGE sql AS $$
	SELECT x.document_key, a.code, trim_scale(x.quantity), round(x.base_amount, 2), round(x.amount, 2) FROM dist.accrual x JOIN dist.agreement a USING (agreement_id)
	WHERE x.document_key ~ ('^OA/[a-z_]+/' || documents) ORDER BY x.accrual_id $$;
CREATE FUNCTION pg_temp.left_of(documents text) RETURNS TABLE (agreement text, quantity numeric, amount numeric) LANGUAGE sql AS $$
	SELECT agreement, sum(quantity), sum(amount) FROM pg_temp.accruals(documents) GROUP BY 1 ORDER BY 1 $$;
SELECT outcome FROM distsync.apply_all('agreement', '[
	{"code":"OA-LINE","slot":"rebate","currency":"USD","stack_group":"line","assignments":[{"who_kind":"all"}],"rates":[{"what":"OA-A","calc":"amount_off","value":"0.005"}]},
	{"code":"OA-PERCENT","slot":"rebate","currency":"USD","stack_group":"percent","assignments":[{"who_kind":"all"}],"rates":[{"what":"OA-A","calc":"percent_off","value":"1"}]},
	{"code":"OA-YEAR","slot":"rebate","currency":"USD","stack_group":"year","tier_basis":"period","tier_measure":"quantity","tier_mode":"incremental","assignments":[{"who_kind":"all"}],
	 "rates":[{"what_kind":"all","calc":"percent_off","value":"1"},{"what_kind":"all","calc":"percent_off","value":"2","min_quantity":"10000"}]}]', 'OA-ERP');
-- three memos of a third each: what is left in the end is nothing, to the cent; a fourth takes nothing back
SELECT * FROM pg_temp.bill(pg_temp.doc('I1', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]'));
SELECT * FROM pg_temp.bill(pg_temp.memo('M1a', 'I1', '[{"sku":"OA-A","quantity":3,"net_amount":"1.5"}]'), pg_temp.memo('M1b', 'I1', '[{"sku":"OA-A","quantity":3,"net_amount":"1.5"},{"sku":"OA-A","quantity":3,"net_amount":"1.5"}]'));
SELECT * FROM pg_temp.accruals('M?1');
SELECT * FROM pg_temp.bill(pg_temp.memo('M1c', 'I1', '[{"sku":"OA-A","quantity":3,"net_amount":"1.5"}]'));
SELECT * FROM pg_temp.bill(pg_temp.memo('M1d', 'I1', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]'));
SELECT * FROM pg_temp.left_of('.?I?M?1');
-- more than was billed, at once and by money: what accrued and no more
SELECT * FROM pg_temp.bill(pg_temp.doc('I2', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]'));
SELECT * FROM pg_temp.bill(pg_temp.memo('M2a', 'I2', '[{"sku":"OA-A","net_amount":"3"}]'));
SELECT * FROM pg_temp.bill(pg_temp.memo('M2b', 'I2', '[{"sku":"OA-A","quantity":25,"net_amount":"12.5"},{"sku":"OA-A","net_amount":"3"}]'));
SELECT * FROM pg_temp.accruals('M2');
SELECT * FROM pg_temp.left_of('.?I?M?2');
-- an invoice whose number begins as that of another one: its accruals are its own
SELECT * FROM pg_temp.bill(pg_temp.doc('I2/1', 'OA-C', '[{"sku":"OA-A","quantity":100,"net_amount":"50"}]'), pg_temp.memo('M2/1', 'I2', '[{"sku":"OA-A","quantity":5,"net_amount":"2.5"}]'));
SELECT * FROM pg_temp.accruals('M2/1');
-- a memo before its invoice waits and says so; both orders end alike. In one call it just takes its turn
SELECT * FROM pg_temp.bill(pg_temp.memo('M3', 'I3', '[{"sku":"OA-A","quantity":4,"net_amount":"2"}]'));
SELECT count(*) FROM pg_temp.accruals('M3');
SELECT kind, trace_key, severity, entity, detail FROM distsync.exceptions() WHERE kind = 'accrual_waits';
SELECT * FROM distsync.accrue(ARRAY['OA/credit_memo/M3']);
SELECT * FROM distsync.accrue();
SELECT * FROM pg_temp.bill(pg_temp.doc('I3', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]'));
SELECT * FROM pg_temp.bill(pg_temp.memo('M4', 'I4', '[{"sku":"OA-A","quantity":4,"net_amount":"2"}]'), pg_temp.doc('I4', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]'));
SELECT * FROM pg_temp.bill(pg_temp.doc('I5', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]'), pg_temp.memo('M5', 'I5', '[{"sku":"OA-A","quantity":4,"net_amount":"2"}]'));
SELECT a.agreement, array_agg(a.amount ORDER BY n) AS memo_first, array_agg(b.amount ORDER BY n) AS in_one_call, array_agg(c.amount ORDER BY n) AS invoice_first
FROM pg_temp.accruals('[IM]3') WITH ORDINALITY a(document, agreement, quantity, base, amount, n) JOIN pg_temp.accruals('[IM]4') WITH ORDINALITY b(document, agreement, quantity, base, amount, n) USING (n, agreement)
JOIN pg_temp.accruals('[IM]5') WITH ORDINALITY c(document, agreement, quantity, base, amount, n) USING (n, agreement) GROUP BY 1 ORDER BY 1;
SELECT kind, trace_key, state, resolution FROM distsync.exceptions('{"state":"all","kind":"accrual_waits"}');
-- the same where only the order of the invoice says who and where: the memo that came first did not know it
SELECT outcome FROM distsync.apply('site', '{"code":"OA-S","name":"Site","company":"OA"}', 'OA-ERP');
SELECT outcome FROM distsync.apply('channel', '{"code":"OA-WEB","name":"Web"}', 'OA-ERP');
SELECT outcome FROM distsync.apply('agreement', '{"code":"OA-CHANNEL","slot":"rebate","currency":"USD","stack_group":"channel","assignments":[{"who_kind":"channel","who":"OA-WEB"}],"rates":[{"what":"OA-A","calc":"percent_off","value":"10","site":"OA-S"}]}', 'OA-ERP');
SELECT outcome FROM distsync.apply('order', '{"company":"OA","order_number":"OA-O","customer":"OA-C","currency":"USD","channel":"OA-WEB","lines":[{"item":"OA-A","quantity":20,"unit_price":"0.5","site":"OA-S"}]}', 'OA-ERP');
SELECT * FROM pg_temp.bill(pg_temp.memo('M7', 'I7', '[{"sku":"OA-A","net_amount":"2"}]'));
SELECT * FROM pg_temp.bill(pg_temp.doc('I7', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]', '{"order_number":"OA-O"}'));
SELECT * FROM pg_temp.bill(pg_temp.doc('I8', 'OA-C', '[{"sku":"OA-A","quantity":10,"net_amount":"5"}]', '{"order_number":"OA-O"}'));
SELECT * FROM pg_temp.bill(pg_temp.memo('M8', 'I8', '[{"sku":"OA-A","net_amount":"2"}]'));
SELECT * FROM pg_temp.accruals('[IM][78]') WHERE agreement = 'OA-CHANNEL';
-- its invoice will not come, it is from before our time: it accrues as a line of its own, once, when somebody says so
SELECT * FROM pg_temp.bill(pg_temp.memo('M6', 'OLD-1', '[{"sku":"OA-A","quantity":2,"net_amount":"1"}]'));
SELECT * FROM distsync.accrue(ARRAY['OA/credit_memo/M6'], '{"alone":true}');
SELECT * FROM distsync.accrue(ARRAY['OA/credit_memo/M6', 'OA/credit_memo/M99', 'M6']);
SELECT * FROM distsync.accrue(ARRAY['OA/credit_memo/M6', 'OA/credit_memo/M6'], '{"alone":true,"reason":"invoice of the old books"}');
SELECT * FROM distsync.accrue(ARRAY['OA/credit_memo/M6', 'OA/invoice/I1'], '{"alone":true,"reason":"again"}');
SELECT * FROM pg_temp.accruals('M6');
-- what fails does not keep the invoice out: it is recorded and billed, tells why, and nothing of it has accrued; those beside it have. Its memo waits
SELECT outcome FROM distsync.apply('agreement', '{"code":"OA-HUGE","slot":"rebate","currency":"USD","stack_group":"huge","assignments":[{"who_kind":"customer","who":"OA-D"}],"rates":[{"what":"OA-A","calc":"amount_off","value":"900000000"}]}', 'OA-ERP');
SELECT * FROM pg_temp.bill(pg_temp.doc('F1', 'OA-D', '[{"sku":"OA-B","quantity":1,"net_amount":"7"}]'), pg_temp.doc('F2', 'OA-D', '[{"sku":"OA-B","quantity":1,"net_amount":"7"},{"sku":"OA-A","quantity":90000000,"net_amount":"9"}]'),
	pg_temp.doc('F3', 'OA-D', '[{"sku":"OA-B","quantity":1,"net_amount":"7"}]'), pg_temp.memo('F2C', 'F2', '[{"sku":"OA-A","quantity":90000000,"net_amount":"9"}]', 'OA-D'));
SELECT * FROM pg_temp.accruals('F');
SELECT invoice_number, i.kind, accrual, i.gross_amount, o.open_amount FROM dist.invoice i JOIN dist.open_item o ON o.customer_id = i.customer_id AND o.document_number = i.invoice_number WHERE invoice_number LIKE 'F%' ORDER BY 1;
SELECT kind, trace_key, severity, state, detail FROM distsync.exceptions('{"state":"all","limit":10000}') WHERE trace_key LIKE 'OA/%/F%' ORDER BY trace_key COLLATE "C";
-- as long as the cause is there it fails again, the same invoice again changes nothing
SELECT ordinal, outcome, entity_key, sqlstate, message FROM distsync.accrue();
SELECT * FROM pg_temp.bill(pg_temp.doc('F2', 'OA-D', '[{"sku":"OA-B","quantity":1,"net_amount":"7"},{"sku":"OA-A","quantity":90000000,"net_amount":"9"}]'));
-- the cause is mended: it accrues, once, and what waited for it
SELECT outcome FROM distsync.apply('agreement', '{"code":"OA-HUGE","status":"inactive"}', 'OA-ERP');
SELECT ordinal, outcome, entity_key FROM distsync.accrue(ARRAY['OA/invoice/F2'], '{"reason":"the rate was a typing error"}');
SELECT ordinal, outcome, entity_key FROM distsync.accrue(ARRAY['OA/invoice/F2', 'OA/credit_memo/F2C']);
SELECT * FROM pg_temp.accruals('F2');
SELECT kind, trace_key, state, seen, resolution FROM distsync.exceptions('{"state":"all","limit":10000}') WHERE trace_key LIKE 'OA/%/F%' ORDER BY trace_key COLLATE "C";
-- no exchange rate: nobody can say what accrues, so nothing does until there is one
SELECT outcome FROM distsync.apply('agreement', '{"code":"OA-KRONA","slot":"rebate","currency":"ISK","fx_allowed":true,"stack_group":"krona","assignments":[{"who_kind":"customer","who":"OA-D"}],"rates":[{"what":"OA-B","calc":"percent_off","value":"5"}]}', 'OA-ERP');
SELECT * FROM pg_temp.bill(pg_temp.doc('G1', 'OA-D', '[{"sku":"OA-A","quantity":1,"net_amount":"10"},{"sku":"OA-B","quantity":1,"net_amount":"10"}]'));
SELECT * FROM pg_temp.accruals('G1');
SELECT trace_key, jsonb_pretty(detail - 'issued_at') AS detail FROM distsync.exceptions('{"kind":"accrual_failed"}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"OA-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"OA-B","value":"10"}]}', 'OA-ERP');
SELECT p -> 'invoice_amount' AS invoice, p -> 'pocket_amount' AS pocket, a ->> 'agreement' AS agreement, a -> 'amount' AS amount, a ->> 'currency' AS currency, a ->> 'skipped' AS skipped
FROM jsonb_path_query(distsync.pocket_price('OA-D', 'OA-B', options => '{"company":"OA"}'), '$.pocket') p, jsonb_array_elements(p -> 'accruals') a;
SELECT outcome FROM distsync.apply('exchange_rate', '{"from_currency":"ISK","to_currency":"USD","rate":"0.0075","valid_from":"2026-01-01T00:00:00Z"}', 'OA-ERP');
SELECT ordinal, outcome, entity_key FROM distsync.accrue();
SELECT * FROM pg_temp.accruals('G1');
-- a limit of the engine
BEGIN;
ALTER TABLE dist.item_target DROP CONSTRAINT item_target_excl;
INSERT INTO dist.item_target (item_id, target_id, what_kind, what_key, depth, valid)
	SELECT t.item_id, t.target_id, 'brand', 'OA', 0, tstzrange('2020-01-01'::timestamptz + n * interval '1 hour', '2020-01-01'::timestamptz + (n + 1) * interval '1 hour')
	FROM dist.item i JOIN dist.item_target t ON t.item_id = i.item_id AND t.what_kind = 'item', generate_series(1, 4096) n WHERE i.sku = 'OA-B';
SELECT distsync_internal.base_touch_prices(ARRAY(SELECT generate_series(0, 256)), ARRAY(SELECT generate_series(1, 256))) IS NOT NULL AS touched;
SELECT * FROM pg_temp.bill(pg_temp.doc('F8', 'OA-D', '[{"sku":"OA-A","quantity":1,"net_amount":"7"}]'), pg_temp.doc('F9', 'OA-D', '[{"sku":"OA-A","quantity":1,"net_amount":"7"},{"sku":"OA-B","quantity":1,"net_amount":"7"}]'));
SELECT * FROM pg_temp.accruals('F[89]');
SELECT trace_key, detail - 'issued_at' AS detail FROM distsync.exceptions('{"kind":"accrual_failed"}');
DELETE FROM dist.item_target WHERE what_key = 'OA';
SELECT distsync_internal.base_touch_prices(ARRAY(SELECT generate_series(0, 256)), ARRAY(SELECT generate_series(1, 256))) IS NOT NULL AS touched;
SELECT ordinal, outcome, entity_key FROM distsync.accrue();
SELECT * FROM pg_temp.accruals('F9');
ROLLBACK;
-- every error of a document is told, whatever it is; what is no matter of a document ends the call
CREATE FUNCTION pg_temp.stand_in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.document_key LIKE 'OA/invoice/E%/2' THEN
		RAISE EXCEPTION USING ERRCODE = substring(NEW.document_key FROM '/E([0-9A-Z]{5})'), MESSAGE = 'in the way', DETAIL = 'Field: rates[0].value. It is too much.', HINT = 'Mend it.';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER oa_in_the_way BEFORE INSERT ON dist.accrual FOR EACH ROW EXECUTE FUNCTION pg_temp.stand_in_the_way();
CREATE FUNCTION pg_temp.erring(raised text) RETURNS TABLE (code text, said text) LANGUAGE plpgsql AS $$
BEGIN
	code := raised;
	said := (SELECT b.said FROM pg_temp.bill(pg_temp.doc('E' || code, 'OA-D', '[{"sku":"OA-A","quantity":1,"net_amount":"10"},{"sku":"OA-A","quantity":1,"net_amount":"10"}]')) b);
	RETURN NEXT;
EXCEPTION WHEN query_canceled OR OTHERS THEN
	said := 'raised ' || SQLSTATE;
	RETURN NEXT;
END
$$;
CREATE TEMP TABLE erred AS SELECT n, x.* FROM unnest('{SD006,SD003,22003,23505,54000,P0001,XX000,57014,57P01,40001,40P01,53200,53100,55P03,58030,XX001}'::text[]) WITH ORDINALITY c(code, n), LATERAL pg_temp.erring(c.code) x;
SELECT e.code, e.said, i.accrual, (SELECT count(*) FROM pg_temp.accruals('E' || e.code)) AS rows FROM erred e LEFT JOIN dist.invoice i ON i.invoice_number = 'E' || e.code ORDER BY e.n;
SELECT trace_key, detail - 'issued_at' AS detail FROM distsync.exceptions('{"kind":"accrual_failed"}') WHERE trace_key = 'OA/invoice/ESD006';
SELECT outcome, count(*) FROM distsync.accrue() GROUP BY 1;
DROP TRIGGER oa_in_the_way ON dist.accrual;
SELECT outcome, count(*) FROM distsync.accrue() GROUP BY 1;
SELECT count(*) FROM distsync.accrue();
SELECT agreement, count(*), sum(amount) AS amount FROM pg_temp.accruals('E') GROUP BY 1 ORDER BY 1;
SELECT state, count(*) FROM distsync.exceptions('{"state":"all","kind":"accrual_failed"}') GROUP BY 1;
SELECT verb, entity_key, before, after, reason FROM sync.audit WHERE verb = 'accrue' ORDER BY audit_id;
-- an invoice of another payer: nothing accrued for this one there, so its memo takes nothing back
SELECT * FROM pg_temp.bill(pg_temp.memo('M8X', 'I8', '[{"sku":"OA-A","quantity":1,"net_amount":"1"}]', 'OA-D'));
SELECT accrual, (SELECT count(*) FROM pg_temp.accruals('M8X')) AS rows FROM dist.invoice WHERE invoice_number = 'M8X';
-- history is loaded in silence: a memo waits all the same
SELECT outcome FROM distsync.apply('invoice', pg_temp.memo('H1C', 'H1', '[{"sku":"OA-A","quantity":1,"net_amount":"1"}]'), 'OA-ERP', options => '{"backfill":true}');
SELECT count(*) FROM distsync.exceptions('{"kind":"accrual_waits","state":"all","entity_key":"OA/credit_memo/H1C"}');
SELECT outcome FROM distsync.apply('invoice', pg_temp.doc('H1', 'OA-C', '[{"sku":"OA-A","quantity":1,"net_amount":"1"}]'), 'OA-ERP', options => '{"backfill":true}');
SELECT * FROM pg_temp.accruals('H1');
-- what is wrong with the call
SELECT * FROM distsync.accrue('{}');
SELECT * FROM distsync.accrue(options => '{"alone":true,"reason":"all of them"}');
SELECT * FROM distsync.accrue(options => '{"limit":0}');
SELECT * FROM distsync_internal.pricing_verify_accruals();
-- the programmes for everybody end with this file
SELECT count(*) FROM distsync.apply_all('agreement', (SELECT jsonb_agg(jsonb_build_object('code', code, 'status', 'inactive')) FROM dist.agreement WHERE code LIKE 'OA-%'), 'OA-ERP');
