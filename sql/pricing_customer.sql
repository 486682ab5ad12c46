-- Why this price, as a customer may hear it: no cost, no floor, nothing of others; and who may ask for more.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
INSERT INTO sync.system (code, kind) VALUES ('pv-erp', 'erp');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'pv-erp');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'pv-erp');
SELECT distsync.apply('company', '{"code":"PV","name":"Depth","currency":"USD"}', 'pv-erp');
SELECT distsync.apply_all('party', '[{"code":"PV-C","name":"Customer","currency":"USD"},{"code":"PV-D","name":"Other","currency":"USD"}]', 'pv-erp');
SELECT distsync.apply_all('item', '[{"sku":"PV-A","base_unit":"EA"},{"sku":"PV-B","base_unit":"EA"},{"sku":"PV-F","base_unit":"EA"},{"sku":"PV-G","base_unit":"EA"},{"sku":"PV-N","base_unit":"EA"},{"sku":"PV-M","base_unit":"EA"}]', 'pv-erp');
SELECT distsync.apply_all('item_cost', '[{"sku":"PV-A","company":"PV","kind":"average","cost":"57.31","currency":"USD","unit":"EA","valid_from":"2020-01-01"},{"sku":"PV-F","company":"PV","kind":"average","cost":"57.31","currency":"USD","unit":"EA","valid_from":"2020-01-01"}]', 'pv-erp');
SELECT distsync.apply_all('agreement', '[
	{"code":"PV-LIST","slot":"list","company":"PV","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PV-A","value":"100"},{"what":"PV-B","value":"100"},{"what":"PV-F","value":"100"},{"what":"PV-G","value":"100"}]},
	{"code":"PV-SECRET","slot":"book","company":"PV","currency":"USD","rates":[{"customer":"PV-D","what":"PV-B","value":"61.5"}]},
	{"code":"PV-BOOK","slot":"book","company":"PV","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PV-B","value":"93.75"}]},
	{"code":"PV-COST","slot":"contract","company":"PV","currency":"USD","rates":[{"customer":"PV-C","what":"PV-A","calc":"markup","value":"37","floor_price":"58.01"}]},
	{"code":"PV-PLUS","slot":"contract","company":"PV","currency":"USD","rates":[{"customer":"PV-C","what":"PV-B","calc":"percent_off","value":"12.5"},{"customer":"PV-D","what":"PV-B","calc":"net","value":"60.25"}]},
	{"code":"PV-LOW","slot":"contract","company":"PV","currency":"USD","rates":[{"customer":"PV-C","what":"PV-F","value":"51.17","floor_price":"66.66"}]},
	{"code":"PV-FROM","slot":"contract","company":"PV","currency":"USD","commit_quantity":"10","rates":[{"customer":"PV-C","what":"PV-G","calc":"percent_off","value":"7.7","base":"PV-HIDDEN"},{"customer":"PV-D","what":"PV-G","value":"1"}]},
	{"code":"PV-HIDDEN","slot":"book","company":"PV","currency":"USD","rates":[{"customer":"PV-C","what":"PV-G","value":"81.3"}]},
	{"code":"PV-COUPON","slot":"promotion","company":"PV","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PV-B","value":"40.04","condition":{"coupon":"SECRET"}},{"what":"PV-N","value":"1","condition":{"coupon":"SECRET"}}]},
	{"code":"PV-NOCOST","slot":"contract","company":"PV","currency":"USD","rates":[{"customer":"PV-C","what":"PV-M","calc":"markup","value":"10"}]}]', 'pv-erp');
\o
CREATE FUNCTION pg_temp.told(item text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT distsync.explain_price('PV-C', item, 1, options => jsonb_build_object('company', 'PV', 'depth', 'customer') || more) - 'as_of' - 'known_at' - 'valid_until' $$;
-- from cost: neither cost nor markup nor floor; the same price as ever
SELECT jsonb_pretty(pg_temp.told('PV-A'));
-- off the list: what it is off; what was replaced, and what others or coupons get, is not said
SELECT pg_temp.told('PV-B');
-- at a floor: that there is one is not said, nor what the price would be without it
SELECT pg_temp.told('PV-F');
-- from a list that is not his to see: its price is not said, nor how much of whose volume is used
SELECT pg_temp.told('PV-G');
-- no price: what he can not change is not said
SELECT pg_temp.told('PV-N') AS coupon, pg_temp.told('PV-M') AS cost;
-- the numbers and names that must not be there, in all of it
SELECT count(*) AS leaks FROM unnest('{PV-A,PV-B,PV-F,PV-G,PV-N,PV-M}'::text[]) i, unnest('{57.31,58.01,66.66.*66.66.*66.66,51.17,93.75,61.5,60.25,81.3,7.7,37,40.04,SECRET,PV-D,PV-BOOK,PV-HIDDEN,PV-COUPON,cost,floor,ceiling,losers,near_misses,commitments,guard}'::text[]) w WHERE pg_temp.told(i)::text ~ w;
SELECT bool_and((pg_temp.told(i) ->> 'unit_price')::numeric IS NOT DISTINCT FROM p.unit_price) AS same FROM unnest('{PV-A,PV-B,PV-F,PV-G,PV-N,PV-M}'::text[]) i, distsync.price('PV-C', i, options => '{"company":"PV"}') p;
SELECT detail_keys FROM (SELECT array_agg(k ORDER BY k) AS detail_keys FROM jsonb_object_keys(distsync.explain_price('PV-C', 'PV-A', 1, options => '{"company":"PV","depth":"internal"}') -> 'detail') k WHERE k IN ('cost', 'floor', 'losers')) x;
-- only what explains has a depth, and it has two
SELECT unit_price FROM distsync.price('PV-C', 'PV-A', options => '{"company":"PV","depth":"customer"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.explain_price('PV-C', 'PV-A', options => '{"company":"PV","depth":"all"}');
\echo :LAST_ERROR_SQLSTATE
-- order entry may ask for no more; who may read may
SET ROLE distsync_order_entry;
SELECT unit_price FROM distsync.prices('PV-C', '[{"item":"PV-B"}]', options => '{"company":"PV","currency":"USD"}');
SELECT distsync.explain_price('PV-C', 'PV-A', options => '{"company":"PV","depth":"customer"}') ->> 'unit_price' AS price;
SELECT distsync.explain_price('PV-C', 'PV-A', options => '{"company":"PV"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.explain_price('PV-C', 'PV-A', options => '{"company":"PV","depth":"internal"}');
\echo :LAST_ERROR_SQLSTATE
SET ROLE distsync_reader;
SELECT distsync.explain_price('PV-C', 'PV-A', options => '{"company":"PV"}') #>> '{detail,cost}' AS cost;
RESET ROLE;
