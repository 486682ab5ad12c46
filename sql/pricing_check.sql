-- What was charged against what we say: a line for each cause, each of which would be another cause or none without its own.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('ck-erp', 'erp'), ('ck-shop', 'shop');
\o /dev/null
SELECT distsync.publish_policy('{"shipped": "specificity_first"}');
SELECT * FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"CKE","minor_units":2},{"currency":"CKN","minor_units":2}]', 'ck-erp');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"},{"unit":"CS"}]', 'ck-erp');
SELECT * FROM distsync.apply('company', '{"code":"CK","name":"Checks Inc","currency":"USD"}', 'ck-erp');
SELECT * FROM distsync.apply_all('channel', '[{"code":"CK-WEB"},{"code":"CK-EDI"}]', 'ck-erp');
SELECT * FROM distsync.apply_all('party', '[{"code":"CK-P","name":"Parent"},{"code":"CK-C","name":"Child","parent":"CK-P","roles":["sold_to"]},{"code":"CK-S","name":"Sister","parent":"CK-P","roles":["sold_to"]},
	{"code":"CK-T","name":"Site","kind":"ship_to","parent":"CK-C","roles":["ship_to"]}]', 'ck-erp');
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'CK-' || i, 'name', i, 'base_unit', 'EA', 'tax_class', 'T', 'weight', 2, 'family', CASE WHEN i LIKE 'FAM_' THEN 'CK-F' END,
		'units', '[{"unit":"BX","numerator":12},{"unit":"CS","numerator":144}]'::jsonb))
	FROM unnest('{OK,SUP,END,NEXT,TIER,ALONE,AMT,UNIT,FX,NOFX,LIST,BOOK,CUST,SHIP,CHAN,ROUND,EXT,STEP,DISC,NEW,GUARD,TAX,LOCK,BUY,GIFT,LATE,OVER,NONE,PER,FAMA,FAMB}'::text[]) i), 'ck-erp');
SELECT * FROM distsync.apply_all('exchange_rate', jsonb_build_array(jsonb_build_object('from_currency', 'CKE', 'to_currency', 'USD', 'rate', '1.05', 'valid_from', now() - interval '90 days'),
	jsonb_build_object('from_currency', 'CKE', 'to_currency', 'USD', 'rate', '1.10', 'valid_from', now() - interval '1 day'), jsonb_build_object('from_currency', 'CKE', 'to_currency', 'USD', 'rate', '1.2', 'valid_from', now() + interval '30 days')), 'ck-erp');
SELECT * FROM distsync.apply_all('rounding', '[{"rounding":"CK-2","scale":2,"mode":"half_up"}]', 'ck-erp');
-- list 100 for everything; contracts, a book, adjustments, a guard, promotions
SELECT * FROM distsync.apply_all('agreement', jsonb_build_array(
	jsonb_build_object('code', 'CK-LIST', 'slot', 'list', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', (SELECT jsonb_agg(jsonb_build_object('what', i.sku, 'value', '100') ORDER BY i.sku COLLATE "C") FROM dist.item i WHERE i.sku LIKE 'CK-%' AND i.sku NOT IN ('CK-NONE', 'CK-AMT', 'CK-PER', 'CK-NEXT'))
		|| '[{"what":"CK-AMT","value":"10"},{"what":"CK-PER","value":"1234","price_per":100},{"what":"CK-NEXT","value":"111"}]'),
	jsonb_build_object('code', 'CK-K', 'slot', 'contract', 'currency', 'USD', 'rounding', 'CK-2', 'rates', '[
		{"customer":"CK-C","what":"CK-TIER","value":"90"},{"customer":"CK-C","what":"CK-TIER","value":"85","min_quantity":"10"},{"customer":"CK-C","what":"CK-TIER","value":"81","min_quantity":"2","unit":"BX"},
		{"customer":"CK-C","what":"CK-UNIT","value":"7.07"},{"customer":"CK-C","what":"CK-UNIT","value":"80","unit":"BX"},
		{"customer":"CK-C","what":"CK-LIST","value":"80"},{"customer":"CK-C","what":"CK-BOOK","value":"80"},
		{"customer":"CK-P","what":"CK-CUST","value":"85"},{"customer":"CK-C","what":"CK-CUST","value":"82"},{"customer":"CK-S","what":"CK-CUST","value":"83"},
		{"customer":"CK-C","what":"CK-SHIP","value":"82"},{"customer":"CK-T","what":"CK-SHIP","value":"79"},
		{"customer":"CK-C","what":"CK-CHAN","value":"88","channel":"CK-WEB"},{"customer":"CK-C","what":"CK-CHAN","value":"86","channel":"CK-EDI"},{"customer":"CK-C","what":"CK-CHAN","value":"84"},
		{"customer":"CK-C","what":"CK-ROUND","calc":"percent_off","value":"33.3333"},{"customer":"CK-C","what":"CK-STEP","calc":"percent_off","value":"33.3333"},{"customer":"CK-C","what":"CK-DISC","value":"80"},{"customer":"CK-C","what":"CK-GUARD","value":"80"},
		{"customer":"CK-C","what":"CK-TAX","value":"80"},{"customer":"CK-C","what":"CK-LOCK","value":"80"}]'::jsonb),
	jsonb_build_object('code', 'CK-K1', 'slot', 'contract', 'currency', 'USD', 'rates', '[{"customer":"CK-C","what":"CK-SUP","value":"80"},{"customer":"CK-C","what":"CK-LATE","value":"80"}]'::jsonb),
	jsonb_build_object('code', 'CK-KA', 'slot', 'contract', 'currency', 'USD', 'tier_measure', 'amount', 'rates', '[{"customer":"CK-C","what":"CK-AMT","value":"9"},{"customer":"CK-C","what":"CK-AMT","value":"8","min_quantity":"500"}]'::jsonb),
	jsonb_build_object('code', 'CK-KX', 'slot', 'contract', 'currency', 'USD', 'rates', '[{"customer":"CK-C","what":"CK-EXT","calc":"percent_off","value":"33.333"}]'::jsonb),
	jsonb_build_object('code', 'CK-KF', 'slot', 'contract', 'currency', 'USD', 'tier_basis', 'family_order', 'rates', '[{"customer":"CK-C","what_kind":"family","what":"CK-F","value":"90"},{"customer":"CK-C","what_kind":"family","what":"CK-F","value":"77","min_quantity":"10"}]'::jsonb),
	jsonb_build_object('code', 'CK-KE', 'slot', 'contract', 'currency', 'CKE', 'fx_allowed', true, 'rates', '[{"customer":"CK-C","what":"CK-FX","value":"50"}]'::jsonb),
	jsonb_build_object('code', 'CK-KN', 'slot', 'contract', 'currency', 'CKN', 'fx_allowed', true, 'rates', '[{"customer":"CK-C","what":"CK-NOFX","value":"66"}]'::jsonb),
	jsonb_build_object('code', 'CK-B', 'slot', 'book', 'currency', 'USD', 'assignments', '[{"who_kind":"customer","who":"CK-C"}]'::jsonb, 'rates', '[{"what":"CK-BOOK","value":"95"}]'::jsonb),
	jsonb_build_object('code', 'CK-ADJ', 'slot', 'adjustment', 'currency', 'USD', 'combine', 'compound', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', '[{"what":"CK-DISC","calc":"percent_off","value":"5"},{"what":"CK-STEP","calc":"percent_off","value":"5"}]'::jsonb),
	jsonb_build_object('code', 'CK-FLOOR', 'slot', 'guard', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', '[{"what":"CK-GUARD","value":"0","floor_price":"90"}]'::jsonb),
	jsonb_build_object('code', 'CK-PROMO', 'slot', 'promotion', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', '[{"what":"CK-BUY","calc":"buy_get","value":"10","value2":"2","free_item":"CK-GIFT"}]'::jsonb)), 'ck-erp');
SELECT * FROM distsync.apply('agreement', jsonb_build_object('code', 'CK-END', 'slot', 'contract', 'currency', 'USD', 'valid_from', now() - interval '90 days', 'valid_to', now() - interval '1 day', 'rates', '[{"customer":"CK-C","what":"CK-END","value":"70"}]'::jsonb), 'ck-erp');
SELECT * FROM distsync.apply('agreement', jsonb_build_object('code', 'CK-NEXT', 'slot', 'contract', 'currency', 'USD', 'valid_from', now() + interval '9 days', 'rates', '[{"customer":"CK-C","what":"CK-NEXT","value":"60"}]'::jsonb), 'ck-erp');
SELECT * FROM distsync.apply('price_lock', jsonb_build_object('customer', 'CK-C', 'document_type', 'quote', 'document_key', 'Q1', 'item', 'CK-LOCK', 'unit_price', '77', 'currency', 'USD', 'valid_from', now() - interval '1 day', 'reason', 'quote', 'approved_by', 'ann'), 'ck-erp');
\o
-- what was charged at an instant when all this was known
CREATE FUNCTION pg_temp.charge(at timestamptz, document text, line integer, item text, price text, more jsonb DEFAULT '{}') RETURNS text
LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('observed_price', jsonb_build_object('customer', 'CK-C', 'channel', 'CK-WEB', 'document_type', 'order', 'document_key', document, 'line', line, 'item', 'CK-' || item, 'unit_price', price,
		'currency', 'USD', 'company', 'CK', 'priced_at', at) || more, 'ck-shop')
$$;
-- what is checked, without instants
CREATE FUNCTION pg_temp.checked(options jsonb DEFAULT '{}') RETURNS TABLE (document text, item text, charged numeric, expected numeric, amount numeric, loser text, side text, cause text, supposed jsonb, gives text, below text)
LANGUAGE sql AS $$
	SELECT c.document_key || '/' || c.line_no, c.item, c.charged, c.expected, c.amount_at_risk, c.loser, c.side, c.cause, (c.detail->'supposed') - CASE WHEN c.detail->'supposed'->>'exchange' ~ '^\d' THEN '{exchange}' ELSE '{at,known_at}' END::text[],
		concat_ws(' ', c.detail->'gives'->>'unit_price', c.detail->'gives'->>'agreement', c.detail->'gives'->>'line'), c.detail->>'below'
	FROM distsync.check_prices('{"customer": "CK-C"}' || options) c
$$;
SELECT clock_timestamp() AS t0 \gset
-- corrections: known later than what is charged at t0, earlier than what is charged at t1
\o /dev/null
SELECT * FROM distsync.apply('agreement', '{"code":"CK-K1","rates":[{"customer":"CK-C","what":"CK-SUP","value":"75"},{"customer":"CK-C","what":"CK-LATE","value":"74"}]}', 'ck-erp');
\o
\o /dev/null
SELECT * FROM distsync.apply('agreement', '{"code":"CK-BN","slot":"book","currency":"USD","assignments":[{"who_kind":"customer","who":"CK-C"}],"rates":[{"what":"CK-NEW","value":"96"}]}', 'ck-erp');
SELECT * FROM distsync.apply('agreement', '{"code":"CK-BM","slot":"book","currency":"USD","assignments":[{"who_kind":"customer","who":"CK-C"}],"rates":[{"what":"CK-NEW","value":"94"}]}', 'ck-erp');
\o
SELECT clock_timestamp() AS t1 \gset
\o /dev/null
SELECT pg_temp.charge(:'t1', 'agree', 1, 'OK', '100.0'), pg_temp.charge(:'t1', 'agree', 2, 'END', '100', '{"quantity": -3}'), pg_temp.charge(:'t1', 'agree', 3, 'PER', '12.34'), pg_temp.charge(:'t1', 'agree', 4, 'TIER', '1020', '{"unit": "BX"}');
SELECT pg_temp.charge(:'t1', 'superseded', 1, 'SUP', '80', '{"quantity": 3}'), pg_temp.charge(:'t0', 'known later', 1, 'LATE', '74'), pg_temp.charge(:'t0', 'our correction', 1, 'LATE', '80', '{"quantity": 2}');
SELECT pg_temp.charge(:'t1', 'time', 1, 'END', '70'), pg_temp.charge(:'t1', 'time', 2, 'NEXT', '60', '{"quantity": 2}');
SELECT pg_temp.charge(:'t1', 'tier', 1, 'TIER', '85', '{"quantity": 5}'), pg_temp.charge(:'t1', 'tier', 2, 'TIER', '90', '{"quantity": 15}'), pg_temp.charge(:'t1', 'tier', 3, 'TIER', '81', '{"quantity": 12}'), pg_temp.charge(:'t1', 'tier', 4, 'AMT', '8', '{"quantity": 5}');
SELECT pg_temp.charge(:'t1', 'family', 1, 'FAMA', '90', '{"quantity": 6}'), pg_temp.charge(:'t1', 'family', 2, 'FAMB', '77', '{"quantity": 6}');
SELECT pg_temp.charge(:'t1', 'unit', 1, 'UNIT', '7.07', '{"unit": "BX"}'), pg_temp.charge(:'t1', 'unit', 2, 'UNIT', '0.59', '{"unit": "EA"}'), pg_temp.charge(:'t1', 'unit', 3, 'OK', '1'), pg_temp.charge(:'t1', 'unit', 4, 'PER', '1234'), pg_temp.charge(:'t1', 'unit', 5, 'UNIT', '960', '{"unit": "BX"}');
SELECT pg_temp.charge(:'t1', 'exchange', 1, 'FX', '50'), pg_temp.charge(:'t1', 'exchange', 2, 'FX', '45.4545'), pg_temp.charge(:'t1', 'exchange', 3, 'FX', '52.5'), pg_temp.charge(:'t1', 'exchange', 4, 'FX', '60'),
	pg_temp.charge(:'t1', 'exchange', 5, 'NOFX', '66');
SELECT pg_temp.charge(:'t1', 'list', 1, 'LIST', '100'), pg_temp.charge(:'t1', 'contract', 1, 'BOOK', '95');
SELECT pg_temp.charge(:'t1', 'party', 1, 'CUST', '85'), pg_temp.charge(:'t1', 'party', 2, 'CUST', '83'), pg_temp.charge(:'t1', 'party', 3, 'SHIP', '79'), pg_temp.charge(:'t1', 'party', 4, 'CHAN', '84'), pg_temp.charge(:'t1', 'party', 5, 'CHAN', '86');
SELECT pg_temp.charge(:'t1', 'ship to', 1, 'SHIP', '82', '{"ship_to": "CK-T"}');
SELECT pg_temp.charge(:'t1', 'rounding', 1, 'ROUND', '66.66'), pg_temp.charge(:'t1', 'rounding', 2, 'ROUND', '66.6667'), pg_temp.charge(:'t1', 'rounding', 3, 'ROUND', '66.67'), pg_temp.charge(:'t1', 'rounding', 4, 'ROUND', '67'),
	pg_temp.charge(:'t1', 'rounding', 5, 'STEP', '63.34'), pg_temp.charge(:'t1', 'rounding', 6, 'STEP', '63.333', '{"quantity": 3}'), pg_temp.charge(:'t1', 'rounding', 7, 'EXT', '66.6671', '{"quantity": 7}');
SELECT pg_temp.charge(:'t1', 'discount', 1, 'DISC', '80'), pg_temp.charge(:'t1', 'discount', 2, 'DISC', '72.2'), pg_temp.charge(:'t1', 'discount', 3, 'DISC', '72');
SELECT pg_temp.charge(:'t1', 'guard', 1, 'GUARD', '80'), pg_temp.charge(:'t1', 'tax', 1, 'TAX', '95.2', '{"tax_percent": 19}'), pg_temp.charge(:'t1', 'tax', 2, 'TAX', '67.23', '{"tax_percent": 19}'), pg_temp.charge(:'t1', 'tax', 3, 'TAX', '96');
SELECT pg_temp.charge(:'t1', 'lock', 1, 'LOCK', '80', '{"lock_key": "Q1"}'), pg_temp.charge(:'t1', 'locked', 1, 'LOCK', '77', '{"lock_key": "Q1"}'), pg_temp.charge(:'t1', 'lock list', 1, 'LOCK', '100', '{"lock_key": "Q1"}');
SELECT pg_temp.charge(:'t1', 'free', 1, 'BUY', '100', '{"quantity": 10}'), pg_temp.charge(:'t1', 'free', 2, 'GIFT', '0', '{"quantity": 2}'), pg_temp.charge(:'t1', 'too free', 1, 'BUY', '100', '{"quantity": 10}'), pg_temp.charge(:'t1', 'too free', 2, 'GIFT', '0', '{"quantity": 5}');
SELECT pg_temp.charge(:'t1', 'new', 1, 'NEW', '96'), pg_temp.charge(:'t1', 'new', 2, 'NEW', '100');
SELECT pg_temp.charge(:'t1', 'override', 1, 'OVER', '42', '{"override": "goodwill"}'), pg_temp.charge(:'t1', 'unknown', 1, 'OVER', '43'), pg_temp.charge(:'t1', 'no price', 1, 'NONE', '44');
\o
SELECT * FROM pg_temp.checked() ORDER BY document COLLATE "C";
-- who made our price, and until when a superseded one was ours
SELECT detail->'ours' AS ours, detail->'gives' AS gives, (detail->'supposed'->>'known_at')::timestamptz BETWEEN :'t0' AND :'t1' AS between, detail->>'expected_then' AS then, detail->>'expected_now' AS now
FROM distsync.check_prices('{"customer": "CK-C", "document_key": "superseded"}');
-- only where; no more than; how exact; all of it
SELECT count(*) FROM distsync.check_prices('{"channel": "CK-EDI"}');
SELECT count(*) FROM distsync.check_prices('{"customer": "CK-S"}');
SELECT document_key, line_no FROM distsync.check_prices('{"item": "CK-UNIT", "limit": 2}');
SELECT document_key, line_no, difference FROM distsync.check_prices('{"document_type": "order", "document_key": "rounding", "tolerance": "0.01"}');
SELECT document_key, line_no, charged, expected, side, cause FROM distsync.check_prices('{"customer": "CK-C", "agreeing": true}') WHERE side = 'none' ORDER BY 1, 2;
SELECT cause, detail ? 'ours' AS ours, amount_at_risk FROM distsync.check_prices('{"document_key": "unknown", "causes": false}');
SELECT document_key, line_no, cause FROM distsync.check_prices('{"customer": "CK-C", "item": "CK-FAMA"}');
SELECT cause FROM distsync.check_prices('{"document_key": "tax", "item": "CK-TAX", "tax_rates": {"T": "20"}}');
SELECT count(*) FROM distsync.check_prices(jsonb_build_object('customer', 'CK-C', 'until', :'t0'::timestamptz));
SELECT count(*) FROM distsync.check_prices(jsonb_build_object('customer', 'CK-C', 'since', :'t1'::timestamptz + interval '1 second'));
-- a charge that is corrected or taken back
SELECT pg_temp.charge(:'t1', 'unknown', 1, 'OVER', '100'), pg_temp.charge(:'t1', 'unknown', 1, 'OVER', '100');
SELECT outcome FROM distsync.apply('observed_price', '{"customer":"CK-C","channel":"CK-WEB","document_type":"order","document_key":"override","line":1}', 'ck-shop', options => '{"operation": "deactivate"}');
SELECT count(*) FROM pg_temp.checked() WHERE document IN ('unknown/1', 'override/1');
-- bulk and one by one say the same
SELECT count(*) AS rows, count(*) FILTER (WHERE b = o) AS same FROM (SELECT * FROM distsync.check_prices('{"customer": "CK-C", "limit": 16}')) b
CROSS JOIN LATERAL distsync.check_prices(jsonb_build_object('customer', b.customer, 'document_key', b.document_key, 'item', b.item)) o WHERE o.line_no = b.line_no;
-- what the door refuses
SELECT ordinal, outcome, entity_key, sqlstate, field, message FROM distsync.apply_all('observed_price', '[
	{"customer":"CK-Q","document_type":"invoice","document_key":"1","line":1,"item":"CK-OK","unit_price":"1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":1,"unit_price":"1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":2,"item":"CK-QQ","unit_price":"1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","channel":"CK-QQ","document_type":"invoice","document_key":"1","line":3,"item":"CK-OK","unit_price":"1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":4,"item":"CK-OK","unit":"PAL","unit_price":"1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":5,"item":"CK-OK","quantity":"0","unit_price":"1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":6,"item":"CK-OK","unit_price":"1","currency":"USD"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":7,"item":"CK-OK","currency":"USD","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":8,"item":"CK-OK","unit_price":"1","currency":"USD","tax_percent":"1000","priced_at":"2026-01-01T00:00:00Z"},
	{"customer":"CK-C","document_type":"invoice","document_key":"1","line":9,"item":"CK-OK","unit_price":"-1","currency":"USD","priced_at":"2026-01-01T00:00:00Z"}]', 'ck-shop', options => '{"on_error": "collect"}');
SELECT * FROM distsync.apply('observed_price', '{"customer":"CK-C","document_type":"invoice","document_key":"1","line":1}', 'ck-shop', options => '{"operation": "deactivate"}');
\echo :LAST_ERROR_SQLSTATE
-- what check_prices refuses
\set VERBOSITY terse
SELECT * FROM distsync.check_prices('{"customer": "CK-Q"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.check_prices('{"source": "hearsay"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.check_prices('{"tolerance": -1}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.check_prices('{"tolerant": true}');
\echo :LAST_ERROR_SQLSTATE
-- what was charged before we knew anything is judged by what we know now
SELECT pg_temp.charge(now() - interval '25 years', 'history', 1, 'OK', '100'), pg_temp.charge(now() - interval '25 years', 'history', 2, 'OK', '99');
SELECT line_no, charged, expected, side, cause, detail ? 'known_at' AS known_then FROM distsync.check_prices('{"document_key": "history", "since": "1990-01-01"}');
-- kept as long as the setting says
SELECT distsync_internal.pricing_observed_retain(1000);
UPDATE dist.observed_price SET recorded_at = recorded_at - interval '401 days' WHERE document_key IN ('history', 'list');
SELECT distsync_internal.pricing_observed_retain(2), distsync_internal.pricing_observed_retain(2), distsync_internal.pricing_observed_retain(2);
SELECT count(*) FROM dist.observed_price WHERE document_key IN ('history', 'list');
-- people who may only read may check; those who take orders may not, it tells the terms of others
SET ROLE distsync_reader;
SELECT count(*) > 0 AS reads FROM distsync.check_prices();
SET ROLE distsync_order_entry;
SELECT count(*) FROM distsync.check_prices();
RESET ROLE;
