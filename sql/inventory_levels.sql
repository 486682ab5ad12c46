-- Levels of stock: counts in a list, snapshots in which what is absent is 0, in one call and in pages, in any order with events; the guard against lists that are not whole.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('lev-erp', 'erp'), distsync.add_system('lev-wms', 'wms'), distsync.add_system('lev-shop', 'shop');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"LEV-BX","scale":0}]', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"LEV","name":"Level test","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('party', '{"code":"LEV-OWNER","name":"Owner"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"LEV-1","name":"one","company":"LEV","rank":1},{"code":"LEV-2","name":"two","company":"LEV","rank":2}]', 'distsync');
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'LEV-' || n, 'base_unit', 'EA', 'units', '[{"unit":"LEV-BX","numerator":12,"denominator":1}]'::jsonb)) FROM generate_series(1, 40) n), 'distsync');
SELECT * FROM distsync.apply_all('xref', '[{"system":"lev-wms","entity":"item","external_id":"their-2","code":"LEV-2"},{"system":"lev-wms","entity":"site","external_id":"their-site","code":"LEV-1"}]', 'distsync');
\o
SET timezone = 'UTC';
CREATE TEMP VIEW balance AS SELECT i.sku, s.code AS site, b.perspective, b.state, b.lot, b.owner_id > 0 AS owned, trim_scale(b.quantity) AS quantity, b.counted_at
FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'LEV-%' ORDER BY length(i.sku), 1, 2, 3, 4, 5, 6;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();

-- a level alone is a count
SELECT outcome, entity_key FROM distsync.apply('stock_level', '{"sku":"LEV-1","site":"LEV-1","quantity":2,"unit":"LEV-BX","counted_at":"2026-01-10T08:00:00Z"}', 'lev-wms');
SELECT outcome FROM distsync.apply('stock_level', '{"sku":"LEV-1","site":"LEV-1","quantity":2,"unit":"LEV-BX","counted_at":"2026-01-10T08:00:00Z"}', 'lev-wms');
SELECT ordinal, outcome, entity_key, sqlstate, field FROM distsync.apply_all('stock_level', '[
	{"sku":"LEV-1","site":"LEV-1","quantity":3,"unit":"LEV-BX","counted_at":"2026-01-10T08:00:00Z"},
	{"sku":"LEV-1","site":"LEV-1","quantity":1},{"sku":"LEV-1","site":"LEV-1","quantity":-1,"counted_at":"2026-01-10T08:00:00Z"},
	{"sku":"LEV-X","site":"LEV-1","quantity":1,"counted_at":"2026-01-10T08:00:00Z"}]', 'lev-wms', NULL, '{"on_error":"collect"}');
SELECT outcome, sqlstate, field FROM distsync.apply('stock_level', '{"sku":"LEV-1","site":"LEV-1"}', 'lev-wms', NULL, '{"on_error":"collect","operation":"deactivate"}');

-- a snapshot: what it lists is counted at its instant, what was there and is absent is 0 then; what happened since stays on top
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"1","kind":"receive","sku":"LEV-2","site":"LEV-1","quantity":5,"event_at":"2026-01-10T09:00:00Z"},
	{"event_id":"2","kind":"receive","sku":"LEV-3","site":"LEV-1","quantity":7,"event_at":"2026-01-10T09:00:00Z"},
	{"event_id":"3","kind":"receive","sku":"LEV-3","site":"LEV-1","quantity":2,"event_at":"2026-01-10T11:00:00Z"},
	{"event_id":"4","kind":"receive","sku":"LEV-4","site":"LEV-1","state":"damaged","quantity":4,"event_at":"2026-01-10T09:00:00Z"},
	{"event_id":"5","kind":"receive","sku":"LEV-5","site":"LEV-1","lot":"L","quantity":6,"event_at":"2026-01-10T09:00:00Z"},
	{"event_id":"6","kind":"receive","sku":"LEV-5","site":"LEV-1","owner":"LEV-OWNER","quantity":8,"event_at":"2026-01-10T09:00:00Z"},
	{"event_id":"7","kind":"receive","sku":"LEV-6","site":"LEV-2","quantity":9,"event_at":"2026-01-10T09:00:00Z"},
	{"event_id":"8","kind":"receive","sku":"LEV-7","site":"LEV-1","quantity":3,"event_at":"2026-01-10T11:00:00Z"},
	{"event_id":"9","kind":"ship","sku":"LEV-2","site":"LEV-1","quantity":1,"event_at":"2026-01-10T10:30:00Z"}]', 'lev-wms');
CREATE FUNCTION pg_temp.snap(docs text, options text) RETURNS TABLE (ordinal integer, outcome text, entity_key text, sqlstate text, field text, message text, detail jsonb) LANGUAGE sql AS $$
	SELECT r.ordinal, r.outcome, r.entity_key, r.sqlstate, r.field, r.message, r.detail FROM distsync.apply_all('stock_level', docs::jsonb, 'lev-wms', NULL,
		'{"operation":"snapshot","absent":"zero","scope":{"site":"LEV-1"},"as_of":"2026-01-10T10:00:00Z"}'::jsonb || options::jsonb) r
$$;
SELECT * FROM pg_temp.snap('[{"sku":"their-2","site":"their-site","quantity":4},{"sku":"LEV-8","site":"LEV-1","state":"quality","quantity":1}]', '{}');
SELECT * FROM balance;
-- again it changes nothing; other levels of that instant are another snapshot, with a name
SELECT outcome, count(*) FROM pg_temp.snap('[{"sku":"their-2","site":"their-site","quantity":4},{"sku":"LEV-8","site":"LEV-1","state":"quality","quantity":1}]', '{}') GROUP BY 1;
SELECT outcome, sqlstate, field FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-1","quantity":3},{"sku":"LEV-8","site":"LEV-1","state":"quality","quantity":1}]', '{"on_error":"collect"}');
-- what is told later of the time before does not come back: neither a key that is new, nor one that was 0; what is told of the time since does
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"10","kind":"receive","sku":"LEV-9","site":"LEV-1","quantity":5,"event_at":"2026-01-10T09:30:00Z"},
	{"event_id":"11","kind":"receive","sku":"LEV-10","site":"LEV-1","quantity":5,"event_at":"2026-01-10T10:00:00Z"},
	{"event_id":"12","kind":"receive","sku":"LEV-11","site":"LEV-2","quantity":5,"event_at":"2026-01-10T09:30:00Z"},
	{"event_id":"13","kind":"ship","sku":"LEV-7","site":"LEV-1","quantity":1,"event_at":"2026-01-10T09:45:00Z"},
	{"event_id":"14","kind":"count","sku":"LEV-12","site":"LEV-1","quantity":5,"event_at":"2026-01-10T09:30:00Z"}]', 'lev-wms');
SELECT * FROM balance WHERE sku IN ('LEV-7', 'LEV-9', 'LEV-10', 'LEV-11', 'LEV-12');
SELECT * FROM broken;
-- an older snapshot told later changes what was, not what is; a snapshot of one state leaves the others
SELECT outcome, entity_key FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-1","quantity":1}]', '{"as_of":"2026-01-10T09:20:00Z"}');
SELECT outcome, entity_key FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-1","quantity":20}]', '{"as_of":"2026-01-10T12:00:00Z","scope":{"site":"LEV-1","state":"available"}}');
SELECT * FROM balance WHERE site = 'LEV-1' AND quantity <> 0;
SELECT trim_scale(quantity) AS quantity FROM distsync.stock_as_of('LEV-3', 'LEV-1', '2026-01-10 09:30Z');

-- in any order, in C and in SQL: two events before, one after, a snapshot that does not list the item, and an older one that does
\o /dev/null
SELECT * FROM distsync.apply_all('site', (SELECT jsonb_agg(jsonb_build_object('code', format('LEV-P%s', n), 'name', 'p', 'company', 'LEV')) FROM generate_series(1, 240) n), 'distsync');
CREATE FUNCTION pg_temp.step(step integer, site text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF step <= 3 THEN
		PERFORM FROM distsync.apply('stock_event', jsonb_build_object('event_id', concat_ws('-', 'perm', site, step), 'kind', 'receive', 'sku', 'LEV-1', 'site', site, 'quantity', step, 'event_at', (ARRAY['2026-01-10T08:30:00Z', '2026-01-10T09:30:00Z', '2026-01-10T11:00:00Z'])[step]), 'lev-wms');
	ELSE
		PERFORM FROM distsync.apply_all('stock_level', jsonb_build_array(jsonb_build_object('sku', CASE step WHEN 4 THEN 'LEV-2' ELSE 'LEV-1' END, 'site', site, 'quantity', 100)), 'lev-wms', NULL,
			jsonb_build_object('operation', 'snapshot', 'absent', 'zero', 'scope', jsonb_build_object('site', site), 'as_of', CASE step WHEN 4 THEN '2026-01-10T10:00:00Z' ELSE '2026-01-10T09:00:00Z' END));
	END IF;
END
$$;
CREATE PROCEDURE pg_temp.permute() LANGUAGE plpgsql AS $$
DECLARE
	x record;
BEGIN
	FOR x IN WITH RECURSIVE p(steps) AS (SELECT ARRAY[n] FROM generate_series(1, 5) n UNION ALL SELECT p.steps || n FROM p, generate_series(1, 5) n WHERE n <> ALL (p.steps)),
			o AS (SELECT p.steps, row_number() OVER (ORDER BY p.steps) AS n FROM p WHERE cardinality(p.steps) = 5)
		SELECT way.through, s.step, 'LEV-P' || o.n + way.more AS site FROM (VALUES ('off', 0), ('on', 120)) way(through, more), o, unnest(o.steps) WITH ORDINALITY s(step, nth) ORDER BY way.more, o.n, s.nth
	LOOP
		PERFORM set_config('distsync.price_through_sql', x.through, false);
		PERFORM pg_temp.step(x.step, x.site);
		COMMIT;
	END LOOP;
END
$$;
CALL pg_temp.permute();
RESET distsync.price_through_sql;
\o
SELECT b.sku, b.quantity, b.counted_at, count(*) FROM balance b WHERE b.site LIKE 'LEV-P%' GROUP BY 1, 2, 3 ORDER BY 1;
SELECT trim_scale(a.quantity) AS quantity, count(*) FROM generate_series(1, 240) n, distsync.stock_as_of('LEV-1', 'LEV-P' || n, '2026-01-10T09:45:00Z') a GROUP BY 1;
SELECT * FROM broken;

-- wrong scopes, and levels outside
SELECT * FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-1","quantity":1}]', '{"scope":{}}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-1","quantity":1}]', '{"scope":{"site":"LEV-9"}}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-1","quantity":1}]', '{"scope":{"site":"LEV-1","state":"lost"}}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.snap('[]', '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT ordinal, outcome, sqlstate, field FROM pg_temp.snap('[{"sku":"LEV-2","site":"LEV-2","quantity":1}]', '{"on_error":"collect","as_of":"2026-01-10T13:00:00Z","allow_empty":true}');
SELECT outcome FROM distsync.apply_all('stock_level', '[{"sku":"LEV-2","site":"LEV-1","quantity":1}]', 'lev-shop', NULL, '{"operation":"snapshot","absent":"zero","scope":{"site":"LEV-1"},"as_of":"2026-01-10T13:00:00Z"}');
\echo :LAST_ERROR_SQLSTATE

-- pages: what is listed counts at once, absence with the last one, in any order; a page told twice is told once, told otherwise refused
SELECT outcome FROM distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', 'p' || n, 'kind', 'receive', 'sku', 'LEV-' || n, 'site', 'LEV-2', 'quantity', n, 'event_at', '2026-01-11T08:00:00Z')) FROM generate_series(21, 40) n), 'lev-wms') LIMIT 1;
CREATE FUNCTION pg_temp.page(page integer, docs text, options text DEFAULT '{}') RETURNS TABLE (ordinal integer, outcome text, entity_key text, sqlstate text, field text) LANGUAGE sql AS $$
	SELECT s.ordinal, s.outcome, s.entity_key, s.sqlstate, s.field FROM pg_temp.snap(docs, (jsonb_build_object('page', page, 'pages', 3, 'snapshot', 'S1', 'scope', '{"site":"LEV-2"}'::jsonb, 'as_of', '2026-01-11T10:00:00Z') || options::jsonb)::text) s
$$;
SELECT outcome, count(*) FROM pg_temp.page(3, (SELECT jsonb_agg(jsonb_build_object('sku', 'LEV-' || n, 'site', 'LEV-2', 'quantity', 1)) FROM generate_series(21, 30) n)::text) GROUP BY 1;
SELECT outcome, count(*) FROM pg_temp.page(1, '[{"sku":"LEV-31","site":"LEV-2","quantity":2}]') GROUP BY 1;
SELECT outcome, count(*) FROM pg_temp.page(1, '[{"sku":"LEV-31","site":"LEV-2","quantity":2}]') GROUP BY 1;
SELECT * FROM pg_temp.page(1, '[{"sku":"LEV-31","site":"LEV-2","quantity":3}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.page(2, '[]', '{"as_of":"2026-01-11T11:00:00Z"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.page(4, '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT sku, quantity FROM balance WHERE site = 'LEV-2' AND quantity <> 0;
SELECT ok, hint FROM distsync_internal.door_snapshot_doctor();
UPDATE sync.snapshot_page SET received_at = now() - interval '2 hours';
SELECT ok, split_part(detail, ' have come', 1) AS detail FROM distsync_internal.door_snapshot_doctor();
-- the guard: eleven of twenty-two would be lost, which is more than a share of 30 %; nothing is, until people say so
SELECT * FROM pg_temp.page(2, '[]') LIMIT 1;
SELECT entity_key, detail - 'sample' AS detail, trim_scale(delta) AS delta FROM distsync.exceptions('{"kind":"snapshot_zeroes"}');
SELECT count(*) FROM balance WHERE site = 'LEV-2' AND quantity <> 0;
SET distsync.snapshot_zero_share = 100;
SELECT outcome, count(*) FROM pg_temp.page(2, '[]') GROUP BY 1;
RESET distsync.snapshot_zero_share;
SELECT sku, quantity FROM balance WHERE site = 'LEV-2' AND quantity <> 0;
SELECT state FROM sync.exception WHERE kind = 'snapshot_zeroes';
SELECT page, documents, entity_keys IS NULL AS let_go, finished_at IS NOT NULL AS finished FROM sync.snapshot_page ORDER BY 1;
SELECT outcome, count(*) FROM pg_temp.page(3, (SELECT jsonb_agg(jsonb_build_object('sku', 'LEV-' || n, 'site', 'LEV-2', 'quantity', 1)) FROM generate_series(21, 30) n)::text) GROUP BY 1;
UPDATE sync.snapshot_page SET received_at = now() - interval '91 days';
SELECT distsync_internal.door_snapshot_retention(100);
-- through the inbox, which may not say that everything is gone
\o /dev/null
SELECT distsync.add_source('lev-in', 'lev-wms', '{"scheme":"none"}');
SELECT distsync.receive('lev-in', '{"x-message-id":"m1"}', convert_to('{"type":"stock_level.snapshot","options":{"as_of":"2026-01-12T10:00:00Z","scope":{"site":"LEV-2"},"absent":"zero","snapshot":"S2","page":1,"pages":1},"data":[{"sku":"LEV-21","site":"LEV-2","quantity":5},{"sku":"LEV-22","site":"LEV-2","quantity":5}]}', 'UTF8'));
SELECT distsync_internal.inbox_apply(10);
\o
SELECT state, outcome, error FROM sync.inbox WHERE source = 'lev-in';
SELECT sku, quantity FROM balance WHERE site = 'LEV-2' AND quantity <> 0;
SELECT * FROM broken;
