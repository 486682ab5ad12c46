-- Charges: freight by weight break and zone, collect, a minimum-order fee, surcharges and allowances; what is refused. docs/charges.md shows the same.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('pc-erp', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"EUR","minor_units":2}]', 'pc-erp');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'pc-erp');
SELECT outcome FROM distsync.apply('company', '{"code":"PC-US","name":"Charges Inc","currency":"USD"}', 'pc-erp');
SELECT outcome FROM distsync.apply_all('party', '[{"code":"PC-C","name":"Customer","roles":["sold_to"]},{"code":"PC-GOLD","name":"Gold customer","roles":["sold_to"],"price_class":"PC-G"}]', 'pc-erp');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"PC-PUMP","name":"Pump","base_unit":"EA","weight":"20"},{"sku":"PC-SEAL","name":"Seal","base_unit":"EA","weight":"0.5","units":[{"unit":"BX","numerator":100}]},{"sku":"PC-PLAN","name":"Plan, weighs nothing we know","base_unit":"EA"}]', 'pc-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PC-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PC-PUMP","value":"100"},{"what":"PC-SEAL","value":"1.50"},{"what":"PC-PLAN","value":"80"}]}', 'pc-erp');
-- freight by weight break and zone: flat to 30 kg, then a rate a kilogram with a least charge; the carrier's fuel surcharge is on top
SELECT outcome, entity_key FROM distsync.apply_all('agreement', '[
	{"code":"PC-FREIGHT","slot":"charge","charge_kind":"freight","tax_class":"SHIP","currency":"USD","combine":"compound","stack_group":"freight","tier_measure":"weight","assignments":[{"who_kind":"all"}],
	 "rates":[{"what_kind":"all","calc":"net","value":"9.50","condition":{"zone":"1"},"line":"z1"},{"what_kind":"all","calc":"per_weight","value":"0.25","floor_price":"10","ceiling_price":"60","min_quantity":"30","condition":{"zone":"1"},"line":"z1-30"}]},
	{"code":"PC-FUEL","slot":"charge","charge_kind":"freight","tax_class":"SHIP","currency":"USD","combine":"compound","stack_group":"freight","assignments":[{"who_kind":"all"}],"rates":[{"what_kind":"all","calc":"percent_off","value":"-8.5"}]},
	{"code":"PC-SMALL","slot":"charge","charge_kind":"minimum_order","currency":"USD","tier_measure":"amount","assignments":[{"who_kind":"all"}],"rates":[{"what_kind":"all","value":"15"},{"what_kind":"all","value":"0","min_quantity":"100"}]}]', 'pc-erp');
SELECT ordinal, agreement, kind, amount, currency, tax_class, code FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":40}]', options => '{"company":"PC-US","context":{"zone":"1"}}');
SELECT agreement, amount, detail->'line' AS line, detail->'weight' AS weight, detail->'allocation' AS allocation FROM distsync.charges('PC-C', '[{"item":"PC-PUMP","quantity":2},{"item":"PC-SEAL","quantity":10}]', options => '{"company":"PC-US","context":{"zone":"1"}}');
-- the ceiling of a long haul, the floor just above the break; outside the zone there is no freight, and what is near says why
SELECT q.n, c.agreement, c.amount FROM (VALUES (1, '[{"item":"PC-PUMP","quantity":50}]'::jsonb), (2, '[{"item":"PC-PUMP"},{"item":"PC-SEAL","quantity":20}]')) q(n, lines), distsync.charges('PC-C', q.lines, options => '{"company":"PC-US","context":{"zone":"1"}}') c ORDER BY 1, c.ordinal;
SELECT c.agreement, c.amount, c.code FROM distsync.charges('PC-C', '[{"item":"PC-PUMP"}]', options => '{"company":"PC-US","context":{"zone":"2"}}') c;
SELECT l->>'agreement' AS agreement, l->>'line' AS line, l->>'reason' AS reason FROM jsonb_array_elements(distsync.explain_charges('PC-C', '[{"item":"PC-PUMP"}]', options => '{"company":"PC-US","context":{"zone":"2"}}')->'losers') l;
-- collect: freight is told, not charged; the fee for a small order is
SELECT agreement, amount, code, detail->'would_be' AS would_be FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":10}]', options => '{"company":"PC-US","context":{"zone":"1","freight_terms":"collect"}}');
-- the fee ends at its tier, measured after the discount of the order: 110 less 10 percent is 99
SELECT agreement, amount, detail->'sum' AS sum, detail #> '{near_misses,0}' AS near FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":60},{"item":"PC-PLAN","quantity":"0.25"}]', options => '{"company":"PC-US"}') WHERE kind = 'minimum_order';
SELECT outcome FROM distsync.apply('agreement', '{"code":"PC-OFF","slot":"order","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what_kind":"all","calc":"percent_off","value":"10"}]}', 'pc-erp');
SELECT agreement, amount, detail->'sum' AS sum FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":60},{"item":"PC-PLAN","quantity":"0.25"}]', options => '{"company":"PC-US"}') WHERE kind = 'minimum_order';
SELECT agreement, amount, detail->'sum' AS sum FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":80}]', options => '{"company":"PC-US"}') WHERE kind = 'minimum_order';
SELECT agreement, amount FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":40}]', options => '{"company":"PC-US","context":{"zone":"1"},"without":["charge"]}');
-- gold customers get half of the freight back, and what they are charged for handling is a share of the goods
SELECT outcome FROM distsync.apply_all('agreement', '[
	{"code":"PC-HALF","slot":"charge","charge_kind":"freight","currency":"USD","combine":"compound","stack_group":"freight","assignments":[{"who_kind":"price_class","who":"PC-G"}],"rates":[{"what_kind":"all","calc":"percent_off","value":"50"}]},
	{"code":"PC-HANDLING","slot":"charge","currency":"USD","assignments":[{"who_kind":"price_class","who":"PC-G"}],"rates":[{"what":"PC-PUMP","calc":"formula","value":"0.015","value2":"2"}]}]', 'pc-erp');
SELECT ordinal, agreement, kind, amount, detail->'sum' AS sum, detail->'allocation' AS allocation FROM distsync.charges('PC-GOLD', '[{"item":"PC-PUMP","quantity":3},{"item":"PC-PLAN"},{"item":"PC-PUMP","quantity":-1}]', options => '{"company":"PC-US","context":{"zone":"1"}}');
-- the parts of a charge sum to it, a line whose weight nobody knows bears none of a freight by weight
SELECT c.agreement, c.amount = sum((a->>'amount')::numeric) AS sums, c.detail->'no_weight' AS no_weight FROM distsync.charges('PC-GOLD', '[{"item":"PC-PUMP","quantity":3},{"item":"PC-PLAN","quantity":3},{"item":"PC-SEAL","quantity":7}]', options => '{"company":"PC-US","context":{"zone":"1"}}') c,
	jsonb_array_elements(c.detail->'allocation') a GROUP BY c.ordinal, c.agreement, c.amount, c.detail ORDER BY c.ordinal;
-- a line that has no price takes no part, and is told
SELECT agreement, amount, detail->'no_price' AS no_price FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":40},{"item":"PC-PUMP"}]', options => '{"company":"PC-US","currency":"EUR"}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PC-LIST","rates":[{"what":"PC-SEAL","value":"1.50"}]}', 'pc-erp');
SELECT agreement, amount, detail->'no_price' AS no_price FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":40},{"item":"PC-PUMP"}]', options => '{"company":"PC-US","context":{"zone":"1"}}');
-- explain adds up
SELECT e->'total' AS total, jsonb_array_length(e->'lines') AS lines, (SELECT sum((c->>'amount')::numeric) FROM jsonb_array_elements(e->'charges') c) = (e->>'total')::numeric AS sums
FROM distsync.explain_charges('PC-C', '[{"item":"PC-SEAL","quantity":40}]', options => '{"company":"PC-US","context":{"zone":"1"}}') e;
-- a charge that starts later says until when the answer holds
SELECT outcome FROM distsync.apply('agreement', '{"code":"PC-TOLL","slot":"charge","currency":"USD","valid_from":"2040-01-01","assignments":[{"who_kind":"all"}],"rates":[{"what_kind":"all","value":"3"}]}', 'pc-erp');
SET timezone = 'UTC';
SELECT agreement, valid_until FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":40}]', options => '{"company":"PC-US","context":{"zone":"1"}}');
SELECT agreement, amount, valid_until FROM distsync.charges('PC-C', '[{"item":"PC-SEAL","quantity":40}]', at => '2040-01-01', options => '{"company":"PC-US"}');
-- what these slots do not decide is refused, at the door and at publication
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('agreement', '[
	{"code":"PC-B1","slot":"charge","currency":"USD","rates":[{"what_kind":"all","calc":"markup","value":"5"}]},
	{"code":"PC-B2","slot":"charge","currency":"USD","tier_mode":"incremental","rates":[{"what_kind":"all","value":"5"}]},
	{"code":"PC-B3","slot":"charge","currency":"USD","rates":[{"what_kind":"all","calc":"amount_off","value":"5","floor_price":"1"}]},
	{"code":"PC-B4","slot":"charge","currency":"USD","rates":[{"what_kind":"all","calc":"formula","value":"1","base":"PC-LIST"}]},
	{"code":"PC-B5","slot":"list","charge_kind":"freight","currency":"USD","rates":[{"what_kind":"all","value":"5"}]},
	{"code":"PC-B6","slot":"charge","currency":"USD","tax_included":true,"rates":[{"what_kind":"all","value":"5"}]},
	{"code":"PC-B7","slot":"charge","currency":"USD","charge_kind":"toll","rates":[{"what_kind":"all","value":"5"}]}]', 'pc-erp', options => '{"on_error":"collect"}');
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('agreement', '[{"code":"PC-FREIGHT","charge_kind":"fee"}]', 'pc-erp', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PC-B8","slot":"charge","currency":"USD","publish":false,"rates":[{"what_kind":"all","calc":"amount_off","value":"5"}]}', 'pc-erp');
UPDATE dist.book_rate r SET floor_price = 1 FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PC-B8' AND r.version_id = v.rate_set_id;
SELECT * FROM distsync.publish('PC-B8');
\echo :LAST_ERROR_SQLSTATE
-- what is for everybody stands in no other test's way
SELECT distsync.withdraw('PC-OFF');
SELECT * FROM distsync_internal.pricing_verify();
