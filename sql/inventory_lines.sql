-- What a line is promised where others speak of it, where vendors ship themselves, and where it takes over: the preview says what the call does.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('site', '[{"code":"LIN-1","name":"one","company":"INV","rank":1},{"code":"LIN-2","name":"two","company":"INV","rank":2},{"code":"LIN-V","name":"v","company":"INV","kind":"vendor","rank":9},{"code":"LIN-W","name":"w","company":"INV","kind":"vendor","rank":8}]', 'distsync');
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'LIN-' || chr(64 + n), 'base_unit', 'EA')) FROM generate_series(1, 15) n), 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"LIN-K1","base_unit":"EA","kit":true,"components":[{"sku":"LIN-L","quantity":2},{"sku":"LIN-M","quantity":1}]}]', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"LIN-PA","name":"a"},{"code":"LIN-PB","name":"b"}]', 'distsync');
CREATE SEQUENCE pg_temp.told;
CREATE FUNCTION pg_temp.count(sku text, quantity numeric, site text DEFAULT 'LIN-1') RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', gen_random_uuid(), 'kind', 'count', 'sku', sku, 'site', site, 'quantity', quantity, 'event_at', timestamptz '2024-01-10Z' + nextval('pg_temp.told') * interval '1 minute'), 'inv-wms') $$;
CREATE FUNCTION pg_temp.shown(p distsync_internal.inventory_promise) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', p.outcome, trim_scale(p.base_quantity), (SELECT s.code FROM dist.site s WHERE s.site_id = p.site_id), '@' || round(extract(epoch FROM p.promised_at - now()) / 86400), 'of ' || trim_scale((p.detail->>'available')::numeric)) $$;
-- what the call would answer and what it does, where that is not the same
CREATE FUNCTION pg_temp.both(lines jsonb, options jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	l jsonb := (SELECT w.wanted FROM distsync_internal.inventory_wanted(lines, NULL) w);
	o jsonb := distsync_internal.inventory_reserve_options(options);
	before text := (SELECT string_agg(pg_temp.shown(p), ', ' ORDER BY p.ordinal, p.promised_at, p.site_id) FROM distsync_internal.inventory_preview(l, o) p);
	after text := (SELECT string_agg(pg_temp.shown(p), ', ' ORDER BY p.ordinal, p.promised_at, p.site_id) FROM distsync_internal.inventory_reserve(l, o) p);
BEGIN
	RETURN after || CASE WHEN before IS DISTINCT FROM after THEN ' BUT FORESEEN: ' || before ELSE '' END;
END $$;
CREATE TEMP VIEW pool AS SELECT i.sku, s.code AS site, trim_scale(p.cap) AS cap, trim_scale(p.held) AS held, trim_scale(p.shortfall) AS shortfall, p.waiting FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'LIN-%' ORDER BY 1, 2;
CREATE TEMP VIEW line AS SELECT d.demand_key, s.code AS site, trim_scale(d.reserved) AS reserved, trim_scale(d.ordered) AS ordered FROM dist.demand d JOIN dist.site s USING (site_id) WHERE d.demand_key LIKE 'INV/LIN-%' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
SELECT pg_temp.count('LIN-' || x, 7) FROM unnest('{A,B,C,D,E,F}'::text[]) x;
SELECT pg_temp.count('LIN-' || x, 5, 'LIN-2') FROM unnest('{B,C}'::text[]) x;
SELECT * FROM distsync.apply_all('demand', (SELECT jsonb_agg(jsonb_build_object('demand_key', 'INV/LIN-' || x || '/1', 'sku', 'LIN-' || x, 'site', 'LIN-1', 'ordered', CASE x WHEN 'D' THEN 4 ELSE 10 END)) FROM unnest('{A,B,C,D,E}'::text[]) x), 'inv-erp');
\o

-- a line that its owner has told is in the books already: what is promised of it, in part or from several sites, is not wanted twice
SELECT x AS item, mode, pg_temp.both(jsonb_build_array(jsonb_build_object('item', 'LIN-' || x, 'quantity', 10, 'demand_key', 'INV/LIN-' || x || '/1')), jsonb_build_object('mode', mode)) FROM (VALUES ('A', 'take_up_to'), ('B', 'all_or_none'), ('C', 'take_up_to'), ('D', 'take_up_to')) v(x, mode);
-- less of it than it wants
SELECT pg_temp.both('[{"item":"LIN-E","quantity":5,"demand_key":"INV/LIN-E/1"}]');
SELECT pg_temp.both('[{"item":"LIN-E","quantity":3,"demand_key":"INV/LIN-E/1"}]', '{"mode":"take_up_to"}');
SELECT * FROM line;
SELECT * FROM pool WHERE sku < 'LIN-F';
-- what of it is not promised is short as before, stays in the way of others, and is covered after what is promised of it
SELECT pg_temp.both('[{"item":"LIN-A","quantity":1}]');
SELECT e.state, e.details->'short' AS short FROM sync.exception e WHERE e.kind = 'shortfall' AND e.entity_key = 'LIN-A@LIN-1';
SELECT r.promised_at <= now() AS covered FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku = 'LIN-A';
SELECT pg_temp.count('LIN-A', 8);
SELECT pg_temp.both('[{"item":"LIN-A","quantity":3,"demand_key":"INV/LIN-A/1"}]', '{"mode":"take_up_to"}');
SELECT pg_temp.count('LIN-A', 11);
SELECT * FROM pool WHERE sku = 'LIN-A';
-- two lines of a call draw on the same: the first leaves the second what it does not take
SELECT pg_temp.both('[{"item":"LIN-F","quantity":4},{"item":"LIN-F","quantity":4}]', '{"mode":"take_up_to"}');
SELECT * FROM broken;

-- a vendor who ships himself: the share of somebody else is stock, and not in the way; one's own share ends also there
\o /dev/null
SELECT * FROM distsync.apply_all('item_site', (SELECT jsonb_agg(jsonb_build_object('sku', 'LIN-' || x, 'site', 'LIN-V', 'lead_days', 5)) FROM unnest('{G,H,I}'::text[]) x), 'inv-erp');
SELECT pg_temp.count('LIN-' || x, 4) FROM unnest('{G,H,I}'::text[]) x;
SELECT * FROM distsync.apply_all('stock_quota', '[{"sku":"LIN-G","scope_kind":"customer","scope_key":"LIN-PA","quantity":10},{"sku":"LIN-H","site":"LIN-V","scope_kind":"customer","scope_key":"LIN-PA","quantity":10}]', 'inv-erp');
\o
SELECT 'LIN-' || x AS item, pg_temp.both(jsonb_build_array(jsonb_build_object('item', 'LIN-' || x, 'quantity', 20)), '{"customer":"LIN-PB"}') AS others, pg_temp.both(jsonb_build_array(jsonb_build_object('item', 'LIN-' || x, 'quantity', 20)), '{"customer":"LIN-PA"}') AS beyond,
	pg_temp.both(jsonb_build_array(jsonb_build_object('item', 'LIN-' || x, 'quantity', 6), jsonb_build_object('item', 'LIN-' || x, 'quantity', 6)), '{"customer":"LIN-PA","mode":"take_up_to"}') AS own FROM unnest('{G,H}'::text[]) x;
SELECT i.sku, q.quantity, q.consumed FROM dist.stock_quota q JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'LIN-%' ORDER BY 1;
-- what may not be split comes from stock or, as a whole, from the vendor, the quickest
SELECT pg_temp.both('[{"item":"LIN-I","quantity":10}]', '{"split":false}'), pg_temp.both('[{"item":"LIN-I","quantity":3}]', '{"split":false}'), pg_temp.both('[{"item":"LIN-I","quantity":10}]', '{"split":false,"mode":"take_up_to"}');
SELECT outcome FROM distsync.apply('item_site', '{"sku":"LIN-I","site":"LIN-W","lead_days":2}', 'inv-erp');
SELECT pg_temp.both('[{"item":"LIN-I","quantity":10}]', '{"split":false}');
SELECT * FROM broken;

-- a preview takes over as the call would: by rule or by option, of kits whole ones, nothing where it does not do
\o /dev/null
SELECT pg_temp.count('LIN-' || x, 10) FROM unnest('{J,L,M}'::text[]) x;
SELECT * FROM distsync.reserve('[{"item":"LIN-J","quantity":4}]', '{"kind":"soft","priority":300,"holder":"lin-1"}');
SELECT * FROM distsync.reserve('[{"item":"LIN-J","quantity":4}]', '{"kind":"soft","priority":200,"holder":"lin-2"}');
SELECT * FROM distsync.reserve('[{"item":"LIN-K1","quantity":5}]', '{"kind":"soft","priority":300,"holder":"lin-3"}');
\o
SELECT pg_temp.both('[{"item":"LIN-J","quantity":11}]', '{"take_over":true}');
SELECT pg_temp.both('[{"item":"LIN-J","quantity":5}]', '{"take_over":true,"priority":250}');
SELECT pg_temp.both('[{"item":"LIN-J","quantity":9}]', '{"take_over":true,"mode":"take_up_to"}');
SELECT pg_temp.both('[{"item":"LIN-L","quantity":3},{"item":"LIN-M","quantity":6}]', '{"take_over":true}');
SELECT pg_temp.both('[{"item":"LIN-L","quantity":20}]', '{"take_over":true,"mode":"take_up_to"}');
SELECT outcome FROM distsync.apply('reallocation_rule', '{"code":"lin-win","strategy":"win","customer":"LIN-PA","sku":"LIN-N"}', 'inv-erp');
SELECT pg_temp.count('LIN-N', 3);
SELECT pg_temp.both('[{"item":"LIN-N","quantity":3}]', '{"kind":"soft","priority":300,"holder":"lin-4"}'), pg_temp.both('[{"item":"LIN-N","quantity":2}]', '{"customer":"LIN-PB"}'), pg_temp.both('[{"item":"LIN-N","quantity":2}]', '{"customer":"LIN-PA"}');
SELECT r.holder, i.sku, r.state, trim_scale(r.quantity) AS quantity, r.reason FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE r.holder LIKE 'lin-%' ORDER BY r.holder, i.sku;
SELECT * FROM broken;
SELECT outcome FROM distsync.apply('reallocation_rule', '{"code":"lin-win"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
