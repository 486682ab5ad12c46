-- A void invoice gives back what its order's volumes and its rebates and claims had counted; a void memo the volumes.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('VO-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'VO', 'VO-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'VO-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"}]', 'VO-ERP');
SELECT distsync.apply('company', '{"code":"VO","name":"Void","currency":"USD"}', 'VO-ERP');
SELECT distsync.apply('party', '{"code":"VO-C","name":"Customer","currency":"USD"}', 'VO-ERP');
SELECT distsync.apply('site', '{"code":"VO-W","name":"w","company":"VO"}', 'VO-ERP');
SELECT distsync.apply_all('item', '[{"sku":"VO-A","name":"A","base_unit":"EA"},{"sku":"VO-B","name":"B","base_unit":"EA"}]', 'VO-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"vo-1","kind":"count","sku":"VO-A","site":"VO-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"}', 'VO-ERP');
SELECT distsync.apply('credit_account', '{"code":"VO-C","customer":"VO-C","company":"VO"}', 'VO-ERP');
SELECT distsync.apply_all('agreement', '[
	{"code":"VO-PCT","slot":"rebate","currency":"USD","company":"VO","valid_from":"2020-01-01","publish":true,"stack_group":"pct","assignments":[{"who_kind":"all"}],"rates":[{"what":"VO-A","calc":"percent_off","value":"10"}]},
	{"code":"VO-YEAR","slot":"rebate","currency":"USD","company":"VO","valid_from":"2020-01-01","publish":true,"stack_group":"year","tier_basis":"period","tier_measure":"quantity","tier_mode":"incremental","assignments":[{"who_kind":"all"}],
		"rates":[{"what":"VO-A","calc":"amount_off","value":"0.10"},{"what":"VO-A","calc":"amount_off","value":"0.30","min_quantity":10}]},
	{"code":"VO-VOL","slot":"contract","currency":"USD","company":"VO","valid_from":"2020-01-01","commit_quantity":"100","publish":true,"rates":[{"customer":"VO-C","what":"VO-A","value":"2"}]}]', 'VO-ERP');
SELECT distsync.apply('order', '{"company":"VO","order_number":"VO-1","customer":"VO-C","lines":[{"line":1,"item":"VO-A","quantity":12,"unit_price":2,"agreement":"VO-VOL"}]}', 'VO-ERP');
SELECT distsync.apply('shipment', '{"company":"VO","shipment_number":"VO-1","order_number":"VO-1","site":"VO-W","lines":[{"order_line":1,"quantity":12}]}', 'VO-ERP');
CREATE FUNCTION pg_temp.bill(number text, quantity numeric, net numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT r.outcome FROM distsync.apply('invoice', jsonb_build_object('company', 'VO', 'invoice_number', number, 'order_number', 'VO-1', 'issued_at', '2026-02-01T00:00:00Z', 'currency', 'USD', 'net_amount', net,
		'lines', jsonb_build_array(jsonb_build_object('order_line', 1, 'sku', 'VO-A', 'quantity', quantity, 'net_amount', net))) || more, 'VO-ERP') r $$;
CREATE TEMP VIEW accrued AS SELECT a.code, trim_scale(sum(x.quantity)) AS quantity, round(sum(x.base_amount), 2) AS base, round(sum(x.amount), 2) AS amount FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code LIKE 'VO-%' GROUP BY 1 ORDER BY 1;
CREATE TEMP VIEW volume AS SELECT a.code, trim_scale(u.quantity) AS quantity, trim_scale(u.amount) AS amount FROM dist.commitment_use u JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'VO-VOL';
CREATE TEMP VIEW told AS SELECT kind, entity_key, state, details ->> 'effect' AS effect FROM sync.exception WHERE company = 'VO' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT v.* FROM (SELECT * FROM distsync_internal.pricing_verify_accruals() UNION ALL SELECT * FROM distsync_internal.order_verify_volumes() UNION ALL SELECT * FROM distsync_internal.order_verify_exposure()) v;
\o
-- billed dearer than ordered: the volume counts what was billed
SELECT pg_temp.bill('V1', 12, 27.00);
SELECT * FROM accrued;
SELECT * FROM volume;
-- void: the volume counts the order again, and nothing is left of rebates
SELECT pg_temp.bill('V1', 12, 27.00, '{"status":"void","rebill":true}');
SELECT * FROM accrued;
SELECT * FROM volume;
SELECT document_key, corrects, amount FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'VO-PCT' ORDER BY x.accrual_id;
SELECT * FROM told;
SELECT * FROM broken;
-- billed again; a memo takes some back, then the invoice is void: what the memo left goes back
SELECT pg_temp.bill('V2', 12, 24.00, '{"rebills":"V1"}');
SELECT pg_temp.bill('VM', 4, 8.00, '{"kind":"credit_memo","corrects":"V2"}');
SELECT * FROM accrued;
SELECT * FROM volume;
SELECT pg_temp.bill('V2', 12, 24.00, '{"status":"void"}');
SELECT * FROM accrued;
SELECT * FROM broken;
-- the memo as well: volumes come back; what it had taken back of rebates is gone with its invoice
SELECT pg_temp.bill('VM', 4, 8.00, '{"kind":"credit_memo","corrects":"V2","status":"void"}');
SELECT * FROM volume;
SELECT * FROM told;
SELECT * FROM accrued;
-- a memo alone: what it had taken back is given again, to the cent, and can be taken back again
SELECT pg_temp.bill('V8', 12, 24.01);
CREATE TEMP TABLE before AS SELECT * FROM accrued;
SELECT pg_temp.bill('VM8', 5, 9.99, '{"kind":"credit_memo","corrects":"V8"}'), pg_temp.bill('VM9', 1, 2.00, '{"kind":"credit_memo","corrects":"V8"}');
SELECT count(*) AS as_before FROM accrued JOIN before USING (code, quantity, base, amount);
SELECT pg_temp.bill('VM8', 5, 9.99, '{"kind":"credit_memo","corrects":"V8","status":"void"}'), pg_temp.bill('VM8', 5, 9.99, '{"kind":"credit_memo","corrects":"V8","status":"void"}');
SELECT pg_temp.bill('VM9', 1, 2.00, '{"kind":"credit_memo","corrects":"V8","status":"void"}');
SELECT count(*) AS as_before FROM accrued JOIN before USING (code, quantity, base, amount);
SELECT document_key, corrects, quantity, amount FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'VO-PCT' AND x.document_key LIKE 'VO/%M8%' ORDER BY x.accrual_id;
SELECT o.event_type, o.entity_key FROM sync.outbox o WHERE o.entity = 'accrual' AND o.entity_key LIKE 'VO/void!_%' ESCAPE '!' ORDER BY o.outbox_id;
SELECT pg_temp.bill('VM7', 12, 24.01, '{"kind":"credit_memo","corrects":"V8"}');
SELECT sum(amount) AS of_it FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'VO-PCT' AND (x.document_key LIKE 'VO/invoice/V8/%' OR x.corrects = 'VO/invoice/V8');
SELECT pg_temp.bill('VM7', 12, 24.01, '{"kind":"credit_memo","corrects":"V8","status":"void"}'), pg_temp.bill('V8', 12, 24.01, '{"status":"void"}');
SELECT * FROM accrued;
SELECT * FROM told;
SELECT * FROM broken;
-- one that was never anything but void accrues nothing, now or later
SELECT pg_temp.bill('V3', 12, 24.00, '{"status":"void"}');
SELECT * FROM accrued;
SELECT accrual, status FROM dist.invoice WHERE invoice_number = 'V3';
-- what waits too long to be billed again is told, once; billed again, or never to be, it is no matter any more
\o /dev/null
SELECT pg_temp.bill('V5', 12, 24.00), pg_temp.bill('VM5', 12, 24.00, '{"kind":"credit_memo","corrects":"V5","rebill":true}'), pg_temp.bill('V6', 12, 24.00), pg_temp.bill('V6', 12, 24.00, '{"status":"void","rebill":true}');
\o
SELECT distsync_internal.order_clerk_rebills(10) AS early, distsync_internal.order_clerk_rebills_due() > now() + interval '13 days' AS patient;
UPDATE dist.invoice i SET rebill_due = clock_timestamp() - interval '1 second' FROM dist.company c WHERE c.company_id = i.company_id AND c.code = 'VO' AND i.rebill_due IS NOT NULL;
SELECT distsync_internal.order_clerk_rebills(10) AS late, distsync_internal.order_clerk_rebills(10) AS again;
SELECT count(*) AS due FROM dist.invoice i JOIN dist.company c USING (company_id) WHERE c.code = 'VO' AND i.rebill_due IS NOT NULL;
SELECT kind, entity_key, state, money_at_risk, currency FROM sync.exception WHERE company = 'VO' AND kind = 'rebill_missing' ORDER BY 2;
SELECT pg_temp.bill('V7', 12, 24.00, '{"rebills":"V6"}'), pg_temp.bill('VM5', 12, 24.00, '{"kind":"credit_memo","corrects":"V5","rebill":true,"status":"void"}');
SELECT kind, entity_key, state, resolution FROM sync.exception WHERE company = 'VO' AND kind = 'rebill_missing' ORDER BY 2;
SELECT * FROM broken;
-- one that could not accrue, and is void, does not either
\o /dev/null
SELECT distsync.apply('agreement', '{"code":"VO-HUGE","slot":"rebate","currency":"USD","company":"VO","valid_from":"2020-01-01","publish":true,"stack_group":"huge","assignments":[{"who_kind":"all"}],"rates":[{"what":"VO-A","calc":"amount_off","value":"900000000"}]}', 'VO-ERP');
\o
SELECT pg_temp.bill('V4', 100000000, 24.00);
SELECT accrual FROM dist.invoice WHERE invoice_number = 'V4';
SELECT pg_temp.bill('V4', 100000000, 24.00, '{"status":"void"}');
SELECT accrual FROM dist.invoice WHERE invoice_number = 'V4';
SELECT kind, entity_key, state FROM told WHERE kind LIKE 'accrual%';
SELECT count(*) AS accrued FROM distsync.accrue();
SELECT * FROM broken;
