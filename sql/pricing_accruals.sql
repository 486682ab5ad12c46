-- Rebates and claims: a percentage with period tiers in both modes and a credit memo, ship and debit with the supplier's reply. docs/charges.md shows the same.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('PA-ERP', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"EUR","minor_units":2}]', 'PA-ERP');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'PA-ERP');
SELECT outcome FROM distsync.apply('company', '{"code":"PA","name":"Accruals Inc","currency":"USD"}', 'PA-ERP');
SELECT outcome FROM distsync.apply_all('party', '[{"code":"PA-C","name":"Customer","roles":["sold_to"],"currency":"USD"},{"code":"PA-X","name":"Stranger","roles":["sold_to"],"currency":"USD"},{"code":"PA-V","name":"Maker","roles":["vendor"]}]', 'PA-ERP');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"PA-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":12}],"vendor":"PA-V"},{"sku":"PA-B","name":"B","base_unit":"EA"}]', 'PA-ERP');
SELECT outcome FROM distsync.apply('item_cost', '{"sku":"PA-A","company":"PA","cost":"8","currency":"USD","valid_from":"2026-01-01T00:00:00Z"}', 'PA-ERP');
CREATE FUNCTION pg_temp.accruals(what text) RETURNS TABLE (document text, kind text, quantity numeric, base numeric, amount numeric, status text) LANGUAGE sql AS $$
	SELECT x.document_key, x.kind, trim_scale(x.quantity), trim_scale(x.base_amount), round(x.amount, 2), x.status FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code = what ORDER BY x.accrual_id $$;
CREATE FUNCTION pg_temp.bill(number text, customer text, lines jsonb, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT outcome || COALESCE(' ' || sqlstate || ' ' || message, '') FROM distsync.apply('invoice', jsonb_build_object('company', 'PA', 'invoice_number', number, 'customer', customer, 'currency', 'USD', 'issued_at', '2026-02-01T00:00:00Z',
		'net_amount', (SELECT sum((l->>'net_amount')::numeric) FROM jsonb_array_elements(lines) l), 'lines', lines) || more, 'PA-ERP') $$;
-- all units: 2 percent, 3 from 1,000 bought in the programme, on everything; incremental: only on what lies above. Each in a stack_group of its own
SELECT outcome FROM distsync.apply_all('agreement', '[
	{"code":"PA-ALL-2026","slot":"rebate","currency":"USD","stack_group":"all","tier_basis":"period","tier_measure":"amount","assignments":[{"who_kind":"customer","who":"PA-C"}],
	 "rates":[{"what_kind":"all","calc":"percent_off","value":"2"},{"what_kind":"all","calc":"percent_off","value":"3","min_quantity":"1000"}]},
	{"code":"PA-INC-2026","slot":"rebate","currency":"USD","stack_group":"inc","tier_basis":"period","tier_measure":"amount","tier_mode":"incremental","assignments":[{"who_kind":"customer","who":"PA-C"}],
	 "rates":[{"what_kind":"all","calc":"percent_off","value":"1","min_quantity":"500"},{"what_kind":"all","calc":"percent_off","value":"4","min_quantity":"1000"}]},
	{"code":"PA-BOX","slot":"rebate","currency":"USD","stack_group":"box","assignments":[{"who_kind":"all"}],"rates":[{"what":"PA-A","calc":"amount_off","value":"1.50","unit":"BX","min_quantity":"2"}]},
	{"code":"PA-SPA","slot":"claim","currency":"USD","vendor":"PA-V","vendor_reference":"SPA-77","rates":[{"customer":"PA-C","what":"PA-A","value":"6.75"}]}]', 'PA-ERP');
SELECT pg_temp.bill('PA-1', 'PA-C', '[{"sku":"PA-A","quantity":60,"unit":"EA","unit_price":"10","net_amount":"600"},{"sku":"PA-B","quantity":1,"unit_price":"300","net_amount":"300"},{"description":"freight","net_amount":"12"}]');
SELECT * FROM pg_temp.accruals('PA-ALL-2026');
SELECT * FROM pg_temp.accruals('PA-INC-2026');
SELECT * FROM pg_temp.accruals('PA-BOX');
SELECT * FROM pg_temp.accruals('PA-SPA');
-- the next line reaches the tier: all so far is rated again; incremental divides the line at the tier
SELECT pg_temp.bill('PA-2', 'PA-C', '[{"sku":"PA-B","quantity":1,"unit_price":"200","net_amount":"200"}]');
SELECT * FROM pg_temp.accruals('PA-ALL-2026') WHERE document LIKE '%PA-2/%';
SELECT * FROM pg_temp.accruals('PA-INC-2026') WHERE document LIKE '%PA-2/%';
-- once for each invoice line: the same invoice again changes nothing
SELECT pg_temp.bill('PA-2', 'PA-C', '[{"sku":"PA-B","quantity":1,"unit_price":"200","net_amount":"200"}]');
SELECT count(*) FROM pg_temp.accruals('PA-ALL-2026') WHERE document LIKE '%PA-2/%';
-- a credit memo takes back, and the tier falls: 60 + 30 of 900 again at 2 percent; the claim too, at the cost of the day of its invoice
SELECT outcome FROM distsync.apply('item_cost', '{"sku":"PA-A","company":"PA","cost":"9","currency":"USD","valid_from":"2026-02-10T00:00:00Z"}', 'PA-ERP');
SELECT pg_temp.bill('PA-CM', 'PA-C', '[{"sku":"PA-A","quantity":20,"unit":"EA","unit_price":"10","net_amount":"200"}]', '{"kind":"credit_memo","corrects":"PA-1","issued_at":"2026-02-20T00:00:00Z"}');
SELECT * FROM pg_temp.accruals('PA-ALL-2026') WHERE document LIKE '%PA-CM/%';
SELECT * FROM pg_temp.accruals('PA-INC-2026') WHERE document LIKE '%PA-CM/%';
SELECT * FROM pg_temp.accruals('PA-SPA') WHERE document LIKE '%PA-CM/%';
SELECT * FROM pg_temp.accruals('PA-BOX') WHERE document LIKE '%PA-CM/%';
SELECT a.code, round(sum(x.amount), 2) AS owed FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code LIKE 'PA-%' GROUP BY 1 ORDER BY 1;
-- a memo that only corrects a price has no quantity: it takes back a share of the percentages, and no claim
SELECT pg_temp.bill('PA-CM2', 'PA-C', '[{"sku":"PA-A","net_amount":"50"}]', '{"kind":"credit_memo","corrects":"PA-1"}');
SELECT a.code, x.document, x.quantity, x.base, x.amount FROM dist.agreement a, pg_temp.accruals(a.code) x WHERE x.document LIKE '%PA-CM2/%' ORDER BY 1;
-- list, invoice, pocket: 24 at 10 are 240, less 7.20 (3 percent: the tier would be reached, earlier lines get 8.50 more), 5.10 and two boxes at 1.50; they cost 216, of which the supplier gives 54
SELECT outcome FROM distsync.apply('agreement', '{"code":"PA-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PA-A","value":"10"}]}', 'PA-ERP');
SELECT e->'net_amount' AS invoice, p - 'accruals' AS pocket, a->>'agreement' AS agreement, round((a->>'amount')::numeric, 2) AS amount, a->'adjusts' AS adjusts
FROM distsync.pocket_price('PA-C', 'PA-A', 24, at => '2026-03-01', options => '{"company":"PA"}') e, LATERAL (SELECT e->'pocket') x(p), jsonb_array_elements(p->'accruals') a;
SELECT distsync.pocket_price('PA-C', 'PA-B', options => '{"company":"PA"}')->'pocket' AS pocket;
-- who is not named accrues nothing but what is for all; whose cost nobody knows cannot be claimed, and says so
SELECT pg_temp.bill('PA-3', 'PA-X', '[{"sku":"PA-A","quantity":3,"unit":"BX","unit_price":"120","net_amount":"360"}]');
SELECT a.code, x.document, x.amount FROM dist.agreement a, pg_temp.accruals(a.code) x WHERE x.document LIKE '%PA-3/%' ORDER BY 1;
SELECT outcome FROM distsync.apply('agreement', '{"code":"PA-SPA2","slot":"claim","currency":"USD","vendor":"PA-V","rates":[{"customer":"PA-X","what":"PA-B","calc":"percent_off","value":"10"}]}', 'PA-ERP');
SELECT pg_temp.bill('PA-4', 'PA-X', '[{"sku":"PA-B","quantity":3,"unit_price":"120","net_amount":"360"}]');
SELECT kind, entity_key, details->>'reason' AS reason FROM sync.exception WHERE kind = 'claim_without_cost' AND entity_key LIKE 'PA/%';
-- the supplier takes a claim, cuts another, refuses one; what is settled stays so
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('accrual_reply', '[
	{"agreement":"PA-SPA","document":"PA/invoice/PA-1/1","status":"claimed"},
	{"agreement":"PA-SPA","document":"PA/credit_memo/PA-CM/1","status":"settled"},
	{"agreement":"PA-SPA","document":"PA/invoice/PA-9/1","status":"settled"},
	{"agreement":"PA-ALL-2026","document":"PA/invoice/PA-1/1","status":"rejected"},
	{"agreement":"PA-ALL-2026","document":"PA/invoice/PA-2/1","status":"settled","amount":"-100"}]', 'PA-ERP', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('accrual_reply', '{"agreement":"PA-SPA","document":"PA/invoice/PA-1/1","status":"settled","amount":"50","reason":"20 pieces are out of the contract"}', 'PA-ERP');
SELECT outcome FROM distsync.apply('accrual_reply', '{"agreement":"PA-SPA","document":"PA/invoice/PA-1/1","status":"settled","amount":"50","reason":"20 pieces are out of the contract"}', 'PA-ERP');
SELECT outcome, sqlstate, message FROM distsync.apply_all('accrual_reply', '[{"agreement":"PA-SPA","document":"PA/invoice/PA-1/1","status":"rejected","reason":"late"}]', 'PA-ERP', options => '{"on_error":"collect"}');
SELECT document_key, round(amount, 2) AS amount, round(settled_amount, 2) AS settled, x.status, reason FROM dist.accrual x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PA-SPA' ORDER BY 1;
SELECT kind, entity_key, details->>'reason' AS reason, money_at_risk, currency FROM sync.exception WHERE kind = 'accrual_short';
-- what these slots do not decide is refused
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('agreement', '[
	{"code":"PA-B1","slot":"rebate","currency":"USD","rates":[{"what_kind":"all","value":"5"}]},
	{"code":"PA-B2","slot":"rebate","currency":"USD","tier_basis":"item_order","rates":[{"what_kind":"all","calc":"percent_off","value":"5"}]},
	{"code":"PA-B3","slot":"claim","currency":"USD","tier_basis":"period","rates":[{"what_kind":"all","value":"5"}]},
	{"code":"PA-B4","slot":"claim","currency":"USD","rates":[{"what_kind":"all","calc":"formula","value":"5"}]},
	{"code":"PA-B5","slot":"rebate","currency":"USD","tier_measure":"weight","rates":[{"what_kind":"all","calc":"percent_off","value":"5"}]},
	{"code":"PA-B6","slot":"rebate","currency":"USD","commit_amount":"5","rates":[{"what_kind":"all","calc":"percent_off","value":"5"}]}]', 'PA-ERP', options => '{"on_error":"collect"}');
SELECT distsync.publish_policy('{"slots":[{"slot":"rebate","combine":"override"}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync_internal.pricing_verify();
