-- Prices: lists, contracts, promotions, tiers, units, periods on both time axes; near misses; named errors.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('pr-erp', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"EUR","minor_units":2}]', 'pr-erp');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'pr-erp');
SELECT outcome FROM distsync.apply('company', '{"code":"PR-US","name":"Prices Inc","currency":"USD","tz":"America/New_York"}', 'pr-erp');
SELECT outcome FROM distsync.apply_all('party', '[{"code":"PR-P","name":"Parent"},{"code":"PR-C","name":"Child","parent":"PR-P","roles":["sold_to"]},{"code":"PR-X","name":"Stranger"}]', 'pr-erp');
SELECT outcome FROM distsync.apply('category', '{"code":"PR-CARS","name":"Cars"}', 'pr-erp');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"PR-A","name":"A","base_unit":"EA","category":"PR-CARS","units":[{"unit":"BX","numerator":12,"denominator":1}]},{"sku":"PR-B","name":"B","base_unit":"EA","category":"PR-CARS"},{"sku":"PR-Z","name":"never priced","base_unit":"EA"}]', 'pr-erp');
-- a list for everybody, a contract of the parent, a better one of the child from 20 on
SELECT outcome, entity_key, detail - 'published_at' AS detail FROM distsync.apply_all('agreement', '[
	{"code":"PR-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],
	 "rates":[{"what":"PR-A","value":"100"},{"what":"PR-A","value":"90","min_quantity":"10"},{"what":"PR-B","value":"55.09"}]},
	{"code":"PR-K","slot":"contract","currency":"USD","tz":"America/New_York",
	 "rates":[{"customer":"PR-P","what_kind":"category","what":"PR-CARS","calc":"percent_off","value":"10","floor_price":"50"},{"customer":"PR-C","what":"PR-A","value":"80","min_quantity":"20"}]}]', 'pr-erp');
SELECT ordinal, outcome, item, quantity, unit, unit_price, currency, net_amount, agreement, code FROM distsync.prices('PR-C',
	'[{"item":"PR-A"},{"item":"PR-A","quantity":"10"},{"item":"PR-A","quantity":20},{"item":"PR-A","quantity":2,"unit":"BX"},{"item":"PR-B","quantity":3},{"item":"PR-Z"}]', options => '{"company":"PR-US"}');
SELECT unit_price, agreement FROM distsync.price('PR-X', 'PR-A', options => '{"company":"PR-US"}');
-- one is a bulk of one
SELECT (SELECT to_jsonb(p) - 'as_of' FROM distsync.price('PR-C', 'PR-A', 10, options => '{"company":"PR-US"}') p)
	= (SELECT to_jsonb(p) - 'as_of' FROM distsync.prices('PR-C', '[{"item":"PR-A","quantity":10}]', options => '{"company":"PR-US"}') p) AS same;
-- no price is an answer with near misses, never 0
SELECT outcome, unit_price, code, detail #>> '{near_misses,0,reason}' AS near FROM distsync.price('PR-C', 'PR-A', options => '{"currency":"EUR","company":"PR-US"}');
SELECT outcome, code FROM distsync.price('PR-C', 'PR-Z', options => '{"company":"PR-US"}');
-- explain adds up
SELECT s->>'slot' AS slot, s->>'agreement' AS agreement, s->>'who' AS who, s->>'what' AS what, s->>'before' AS before, s->>'after' AS after
FROM jsonb_array_elements(distsync.explain_price('PR-C', 'PR-A', 10, options => '{"company":"PR-US"}') #> '{detail,steps}') s;
SELECT l->>'agreement' AS agreement, l->>'reason' AS reason
FROM jsonb_array_elements(distsync.explain_price('PR-C', 'PR-A', 10, options => '{"company":"PR-US"}') #> '{detail,losers}') l;
-- a promotion counts only if lower
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-PROMO","slot":"promotion","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PR-A","value":"85"},{"what":"PR-B","value":"54"}]}', 'pr-erp');
SELECT item, unit_price, agreement FROM distsync.prices('PR-C', '[{"item":"PR-A"},{"item":"PR-B"}]', options => '{"company":"PR-US"}');
-- a new version from a day on; a date-only end is a whole day in the agreement's zone; what it cuts lives on
SELECT to_jsonb(known_at) #>> '{}' AS before FROM distsync.price('PR-C', 'PR-A', options => '{"company":"PR-US"}') \gset
SELECT detail - 'published_at' AS detail FROM distsync.apply('agreement', '{"code":"PR-K","valid_from":"2031-01-01","valid_to":"2031-12-31","rates":[{"customer":"PR-C","what":"PR-A","value":"70"}]}', 'pr-erp');
SET timezone = 'UTC';
SELECT a.at, p.unit_price, p.valid_until FROM (VALUES ('2031-01-01 04:59:59+00'::timestamptz), ('2031-01-01 05:00:00+00'), ('2032-01-01 04:59:59+00'), ('2032-01-01 05:00:00+00')) a(at),
	distsync.price('PR-C', 'PR-A', at => a.at, options => '{"company":"PR-US"}') p ORDER BY 1;
-- what we knew before that version does not move
SELECT unit_price FROM distsync.price('PR-C', 'PR-A', at => '2031-06-01', options => jsonb_build_object('company', 'PR-US', 'known_at', :'before'));
-- a draft does nothing until it is published; people must say that it replaces
SELECT detail FROM distsync.apply('agreement', '{"code":"PR-LIST","publish":false,"rates":[{"what":"PR-A","value":"110"}]}', 'pr-erp');
SELECT unit_price FROM distsync.price('PR-X', 'PR-A', options => '{"company":"PR-US"}');
SELECT version_no FROM distsync.publish('PR-LIST');
\echo :LAST_ERROR_SQLSTATE
SELECT version_no, superseded FROM distsync.publish('PR-LIST', '{"supersede":true}');
SELECT unit_price FROM distsync.price('PR-X', 'PR-A', options => '{"company":"PR-US"}');
-- named errors, and nothing half-written
\set VERBOSITY terse
SELECT * FROM distsync.price('PR-NOBODY', 'PR-A');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.price('PR-C', 'PR-NOTHING', options => '{"company":"PR-US"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.price('PR-C', 'PR-A', 1, 'CRATE', options => '{"company":"PR-US"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.price('PR-C', 'PR-A', 'NaN', options => '{"company":"PR-US"}');
\echo :LAST_ERROR_SQLSTATE
-- a negative quantity is a return, priced without promotions
SELECT quantity, unit_price, net_amount, agreement FROM distsync.price('PR-C', 'PR-A', -1, options => '{"company":"PR-US"}');
SELECT * FROM distsync.price('PR-C', 'PR-A', 0, options => '{"company":"PR-US"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.price('PR-C', 'PR-A', options => '{"without":{"promotion":1}}');
SELECT * FROM distsync.price('PR-C', 'PR-A', options => '{"without":["promotions"]}');
SELECT * FROM distsync.price('PR-C', 'PR-A', options => '{"currency":"QQQ"}');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-BAD","slot":"contract","currency":"USD","rates":[{"customer":"PR-C","what":"PR-A","value":"1"},{"customer":"PR-C","what":"PR-GONE","value":"1"}]}', 'pr-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-BAD","slot":"contract","currency":"USD","rates":[{"customer":"PR-C","what":"PR-A","value":"-1"}]}', 'pr-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-BAD","slot":"contract","currency":"USD","rates":[{"customer":"PR-C","what":"PR-A","value":"NaN"}]}', 'pr-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-BAD","slot":"contract","currency":"USD","rates":[{"customer":"PR-C","what":"PR-A","value":"1"},{"customer":"PR-C","what":"PR-A","value":"2"}]}', 'pr-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-BAD","slot":"contract","currency":"USD","valid_from":"2030-01-02","valid_to":"2030-01-01","rates":[]}', 'pr-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-BAD","slot":"contract","currency":"USD","rates":[{"customer":"PR-C","what":"PR-A","calc":"guess","value":"1"}]}', 'pr-erp');
SELECT count(*) FROM dist.agreement WHERE code = 'PR-BAD';
-- costs and exchange rates on a long timeline, with gaps and corrections: what holds at the instant, and when that ends or begins
INSERT INTO dist.item_cost (item_id, company_id, site_id, unit, cost, currency, valid, known)
SELECT i.item_id, c.company_id, 0, 'EA', n, 'EUR', tstzrange('2030-01-01Z'::timestamptz + n * interval '2 days', '2030-01-02Z'::timestamptz + n * interval '2 days'), tstzrange('2026-01-01', e.ended)
FROM dist.item i, dist.company c, generate_series(1, 500) n, (VALUES (NULL), ('2026-02-01'::timestamptz)) e(ended) WHERE i.sku = 'PR-B' AND c.code = 'PR-US' AND (e.ended IS NULL OR n % 5 = 0);
INSERT INTO dist.exchange_rate (from_currency, to_currency, rate, valid) SELECT 'EUR', 'USD', 1 + n / 1000.0, tstzrange('2030-01-01Z'::timestamptz + n * interval '3 days', '2030-01-03Z'::timestamptz + n * interval '3 days') FROM generate_series(1, 400) n;
SELECT outcome FROM distsync.apply('agreement', '{"code":"PR-COST","slot":"book","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PR-B","calc":"markup","value":"0"}]}', 'pr-erp');
CREATE TEMP VIEW dated AS SELECT a.at, p.unit_price, p.agreement, p.valid_until
	FROM unnest('{2030-01-01Z,2030-01-03Z,2030-01-04Z,2030-01-05Z,2030-01-06Z,2031-01-15 12:00Z,2032-09-24Z,2032-09-27 12:00Z,2032-09-28Z,2040-01-01Z}'::timestamptz[]) a(at),
	distsync.price('PR-X', 'PR-B', at => a.at, options => '{"company":"PR-US","without":["promotion"]}') p;
SELECT * FROM dated ORDER BY at;
CREATE TEMP TABLE direct AS SELECT * FROM dated;
SET distsync.price_through_sql = on;
SELECT count(*) FROM (TABLE direct EXCEPT TABLE dated) x;
RESET distsync.price_through_sql;
SELECT * FROM distsync_internal.pricing_verify();

-- a category that is renamed by hand is told by its new name at once, and by the old one after that is taken back
SELECT s ->> 'what' AS what FROM distsync.explain_price('PR-C', 'PR-A', options => '{"company":"PR-US"}') e, jsonb_array_elements(e -> 'detail' -> 'losers' || (e -> 'detail' -> 'steps')) s WHERE s ->> 'what' LIKE 'category:%' LIMIT 1;
BEGIN;
UPDATE dist.category SET code = 'PR-VANS' WHERE code = 'PR-CARS';
SELECT s ->> 'what' AS what FROM distsync.explain_price('PR-C', 'PR-A', options => '{"company":"PR-US"}') e, jsonb_array_elements(e -> 'detail' -> 'losers' || (e -> 'detail' -> 'steps')) s WHERE s ->> 'what' LIKE 'category:%' LIMIT 1;
ROLLBACK;
UPDATE dist.category SET code = 'PR-TRUCKS' WHERE code = 'PR-CARS';
SELECT s ->> 'what' AS what FROM distsync.explain_price('PR-C', 'PR-A', options => '{"company":"PR-US"}') e, jsonb_array_elements(e -> 'detail' -> 'losers' || (e -> 'detail' -> 'steps')) s WHERE s ->> 'what' LIKE 'category:%' LIMIT 1;
UPDATE dist.category SET code = 'PR-CARS' WHERE code = 'PR-TRUCKS';
