-- Promises with dates: one date, all lines on one date, parts; what is promised for later is taken by nobody else, comes when supply comes,
-- moves when supply moves, and is told. Preview and call agree, the terms add up, every wrong option has its code.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"MOD-A","base_unit":"EA"},{"sku":"MOD-B","base_unit":"EA"},{"sku":"MOD-C","base_unit":"EA"},{"sku":"MOD-D","base_unit":"EA"},{"sku":"MOD-E","base_unit":"EA"},{"sku":"MOD-F","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"MOD-K","base_unit":"EA","kit":true,"components":[{"sku":"MOD-B","quantity":2},{"sku":"MOD-C","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"mod1","kind":"count","sku":"MOD-A","site":"INV-1","quantity":5,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"mod2","kind":"count","sku":"MOD-B","site":"INV-1","quantity":5,"event_at":"2024-01-10T10:00:00Z"},{"event_id":"mod3","kind":"count","sku":"MOD-E","site":"INV-1","quantity":3,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-M/1","sku":"MOD-A","site":"INV-1","quantity":10,"expected_at":"2998-01-05T00:00:00Z"},
	{"kind":"purchase","reference":"PO-M/2","sku":"MOD-A","site":"INV-1","quantity":10,"expected_at":"2998-01-09T00:00:00Z"},{"kind":"purchase","reference":"PO-M/3","sku":"MOD-A","site":"INV-2","quantity":4,"expected_at":"2998-01-07T00:00:00Z"},
	{"kind":"purchase","reference":"PO-M/4","sku":"MOD-C","site":"INV-1","quantity":3,"expected_at":"2998-01-03T00:00:00Z"},{"kind":"purchase","reference":"PO-M/5","sku":"MOD-D","site":"INV-1","quantity":20,"expected_at":"2998-03-01T00:00:00Z"}]', 'inv-erp');
\o
CREATE FUNCTION pg_temp.day(at timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN at < now() + interval '1 day' THEN 'now' ELSE COALESCE(at::date::text, 'unknown') END $$;
CREATE FUNCTION pg_temp.ask(lines jsonb, options jsonb) RETURNS TABLE (line integer, outcome text, site text, quantity numeric, available numeric, at text) LANGUAGE sql AS $$
	SELECT r.ordinal, r.outcome, r.site, r.quantity, r.available, pg_temp.day(COALESCE(r.detail->>'promised_at', r.detail->>'available_at')::timestamptz) FROM distsync.reserve(lines, options || '{"holder":"mod","ttl":"1 day"}') r $$;
-- what the call would answer, and whether it does
CREATE FUNCTION pg_temp.both(lines jsonb, options jsonb) RETURNS TABLE (line integer, outcome text, site text, quantity numeric, at text, same boolean) LANGUAGE plpgsql AS $$
DECLARE
	wanted jsonb := (distsync_internal.inventory_wanted(lines, NULL)).wanted;
	settings jsonb := distsync_internal.inventory_reserve_options(options || '{"holder":"mod"}');
	before text := (SELECT jsonb_agg(jsonb_build_array(p.ordinal, p.outcome, p.site_id, p.base_quantity, pg_temp.day(p.promised_at), p.detail->'available') ORDER BY p.ordinal, p.promised_at, p.site_id)::text FROM distsync_internal.inventory_preview(wanted, settings) p);
BEGIN
	RETURN QUERY WITH p AS MATERIALIZED (SELECT * FROM distsync_internal.inventory_reserve(wanted, settings) x)
	SELECT p.ordinal, p.outcome, s.code, trim_scale(p.base_quantity), pg_temp.day(p.promised_at),
		before = (SELECT jsonb_agg(jsonb_build_array(p.ordinal, p.outcome, p.site_id, p.base_quantity, pg_temp.day(p.promised_at), p.detail->'available') ORDER BY p.ordinal, p.promised_at, p.site_id)::text FROM p)
	FROM p LEFT JOIN dist.site s USING (site_id) ORDER BY p.ordinal, p.promised_at, s.code;
END $$;
CREATE TEMP VIEW live AS SELECT i.sku, s.code AS site, r.holder, trim_scale(r.quantity) AS quantity, r.kind, r.state, pg_temp.day(r.promised_at) AS promised, pg_temp.day(COALESCE(r.wanted_at, r.promised_at)) AS wanted
	FROM dist.reservation r JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'MOD-%' AND r.state IN ('held', 'committed') ORDER BY 1, 2, r.promised_at, 4, 3;
CREATE TEMP VIEW told AS SELECT x.entity_key AS sku, p.value->>'holder' AS holder, (p.value->>'quantity')::numeric AS quantity, pg_temp.day((p.value->>'was')::timestamptz) AS was, pg_temp.day((p.value->>'promised_at')::timestamptz) AS promised
	FROM (SELECT o.* FROM sync.outbox_item o WHERE o.event_type = 'stock.promise_changed' AND o.entity_key LIKE 'MOD-%' ORDER BY o.outbox_id DESC LIMIT 1) x CROSS JOIN LATERAL jsonb_array_elements(x.body->'promises') WITH ORDINALITY p(value, n) ORDER BY p.n;
CREATE TEMP VIEW open AS SELECT e.kind, e.trace_key FROM sync.exception e WHERE e.trace_key LIKE 'MOD-%' AND e.state = 'open' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
CREATE FUNCTION pg_temp.give(who text) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM distsync.release_reservations(NULL, jsonb_build_object('holder', who)) $$;

-- one line on the first date on which all of it can be had: at one site before several, at several if it must
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":12}]', '{"mode":"one_date"}');
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":15}]', '{"mode":"one_date","holder":"x"}');
SELECT * FROM live;
-- nothing is left of what that needs, neither now nor later; and the terms say so
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":3}]', '{"mode":"one_date"}');
SELECT outcome, atp, projected, detail FROM distsync.atp('MOD-A', 1, NULL, 'INV-1');
SELECT pg_temp.day(moment) AS day, supply, demand, projected, atp FROM distsync.atp_timeline('MOD-A');
SELECT t->>'term' AS term, (t->>'quantity')::numeric AS quantity FROM jsonb_array_elements(distsync.explain_atp('MOD-A', 1, NULL, 'INV-1')->'sites'->0->'terms') t WHERE (t->>'quantity')::numeric <> 0;
SELECT (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(e.why->'terms') t) = a.atp AND (e.why->>'projected')::numeric = a.projected AS adds_up, d.at
FROM (VALUES (now()), ('2998-01-05'), ('2998-01-08'), ('2998-01-09')) d(at) CROSS JOIN LATERAL distsync.atp('MOD-A', 1, NULL, 'INV-1', d.at) a CROSS JOIN LATERAL (SELECT distsync.explain_atp('MOD-A', 1, NULL, 'INV-1', d.at)->'sites'->0 AS why) e WHERE d.at > '2900-01-01';
SELECT * FROM broken;
SELECT pg_temp.give('mod');
SELECT cap, held, inbound, waiting, ruled FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku = 'MOD-A' ORDER BY site_id;

-- a line in parts, the earliest first; at most so many, the last of which waits for the rest; from one site only
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":18}]', '{"mode":"schedule"}');
SELECT pg_temp.give('mod');
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":18}]', '{"mode":"schedule","max_parts":2}');
SELECT pg_temp.give('mod');
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":18}]', '{"mode":"schedule","split":false}');
SELECT pg_temp.give('mod');
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":18},{"item":"MOD-A","quantity":18}]', '{"mode":"schedule"}');
SELECT * FROM pg_temp.ask('[{"item":"MOD-A","quantity":30}]', '{"mode":"schedule"}');
-- not before it is wanted: what is there now is not needed until then
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":4,"requested_at":"2998-01-08T00:00:00Z"}]', '{"mode":"one_date"}');
SELECT outcome, site, quantity FROM distsync.reserve('[{"item":"MOD-A","quantity":5}]', '{"holder":"mod"}');
SELECT * FROM live;
SELECT pg_temp.give('mod');

-- all lines on one date; kits on the date of the last component; wanted together, so that none is brought forward alone
SELECT * FROM pg_temp.both('[{"item":"MOD-K","quantity":2},{"item":"MOD-A","quantity":13}]', '{"mode":"complete"}');
SELECT * FROM live;
SELECT pg_temp.give('mod');
SELECT * FROM pg_temp.both('[{"item":"MOD-K","quantity":2},{"item":"MOD-A","quantity":13}]', '{"mode":"one_date"}');
SELECT * FROM pg_temp.both('[{"item":"MOD-K","quantity":1},{"item":"MOD-A","quantity":100},{"item":"MOD-A","quantity":1}]', '{"mode":"complete"}');
SELECT * FROM broken;
SELECT pg_temp.give('mod');

-- what is promised for later, step by step: reserved, supply slips, comes early, is cancelled
SELECT * FROM pg_temp.ask('[{"item":"MOD-D","quantity":12}]', '{"mode":"one_date","priority":5}');
SELECT * FROM pg_temp.ask('[{"item":"MOD-D","quantity":8}]', '{"mode":"one_date"}');
SELECT outcome FROM distsync.reserve('[{"item":"MOD-D","quantity":1}]', '{"holder":"late"}');
SELECT * FROM pg_temp.ask('[{"item":"MOD-D","quantity":1}]', '{"mode":"one_date"}');
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-M/5","sku":"MOD-D","expected_at":"2998-04-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM told;
SELECT * FROM open;
-- less of it: who is more important keeps his date; the other has none, and is short
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-M/5","sku":"MOD-D","quantity":15}', 'inv-erp');
SELECT * FROM told;
SELECT * FROM open;
SELECT cap, held, inbound, shortfall, waiting FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku = 'MOD-D';
SELECT * FROM broken;
-- other supply: promised anew, and no longer short
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-M/6","sku":"MOD-D","site":"INV-1","quantity":6,"expected_at":"2998-06-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM told;
SELECT cap, held, inbound, shortfall, waiting FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku = 'MOD-D';
-- a receipt serves what is promised before it becomes available
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"mod4","kind":"receive","sku":"MOD-D","site":"INV-1","quantity":15,"reference":"PO-M/5","event_at":"2024-01-11T10:00:00Z"}', 'inv-wms');
SELECT * FROM told;
SELECT * FROM live;
SELECT outcome, atp FROM distsync.atp('MOD-D', 1, NULL, 'INV-1');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"mod5","kind":"receive","sku":"MOD-D","site":"INV-1","quantity":6,"reference":"PO-M/6","event_at":"2024-01-12T10:00:00Z"}', 'inv-wms');
SELECT * FROM live;
SELECT * FROM open;
SELECT outcome, atp FROM distsync.atp('MOD-D', 1, NULL, 'INV-1');
SELECT * FROM broken;
-- committed, shipped in part, the rest void: as any other
SELECT * FROM pg_temp.ask('[{"item":"MOD-A","quantity":12}]', '{"mode":"one_date"}');
SELECT c.state, c.quantity, c.committed, c.detail->>'kind' AS kind FROM dist.reservation r JOIN dist.item i USING (item_id) CROSS JOIN LATERAL distsync.commit_reservation(r.reservation_id, 8, '{"keep_rest":true}') c WHERE i.sku = 'MOD-A' AND r.state = 'held';
SELECT cap, held, committed, inbound FROM dist.stock_pool p JOIN dist.item USING (item_id) JOIN dist.site USING (site_id) WHERE sku = 'MOD-A' AND code = 'INV-1';
SELECT c.state, c.quantity, c.committed FROM dist.reservation r JOIN dist.item i USING (item_id) CROSS JOIN LATERAL distsync.release_reservation(r.reservation_id) c WHERE i.sku = 'MOD-A' AND r.state = 'held';
SELECT * FROM pg_temp.ask('[{"item":"MOD-A","quantity":3}]', '{"mode":"one_date"}');
SELECT c.state, c.quantity FROM dist.reservation r JOIN dist.item i USING (item_id) CROSS JOIN LATERAL distsync.release_reservation(r.reservation_id, NULL, '{"void":true}') c WHERE i.sku = 'MOD-A' AND r.state = 'committed';
SELECT cap, held, committed, inbound, waiting FROM dist.stock_pool p JOIN dist.item USING (item_id) JOIN dist.site USING (site_id) WHERE sku = 'MOD-A' AND code = 'INV-1';
SELECT pg_temp.give('mod');

-- the time that replenishment takes covers any quantity; when supply is known, it is that
\o /dev/null
SELECT * FROM distsync.apply('item_site', '{"sku":"MOD-E","site":"INV-1","lead_days":10}', 'inv-erp');
\o
SELECT outcome, quantity, (detail->>'promised_at')::timestamptz - now() BETWEEN interval '9 days' AND interval '10 days 1 hour' AS in_ten_days FROM distsync.reserve('[{"item":"MOD-E","quantity":50}]', '{"holder":"plan","mode":"one_date"}');
SELECT kind, promised_at AS dated FROM dist.reservation WHERE holder = 'plan' \gset
SELECT outcome, atp FROM distsync.atp('MOD-E', 1, NULL, 'INV-1');
SELECT cap, held, inbound, low, shortfall FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku = 'MOD-E';
-- a date by replenishment does not move on with time
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-M/7","sku":"MOD-E","site":"INV-1","quantity":10,"expected_at":"2998-06-01T00:00:00Z"}', 'inv-erp');
SELECT :'kind' AS was, kind, promised_at = :'dated' AS same_date FROM dist.reservation WHERE holder = 'plan';
SELECT outcome FROM distsync.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'PO-M/8', 'sku', 'MOD-E', 'site', 'INV-1', 'quantity', 60, 'expected_at', now() + interval '3 days'), 'inv-erp');
SELECT kind, promised_at - now() < interval '4 days' AS earlier FROM dist.reservation WHERE holder = 'plan';
SELECT * FROM broken;

-- what is beyond stock is dated before it is promised as it is afterwards, and takes nothing from who was promised a date
\o /dev/null
SELECT * FROM distsync.apply('item_site', '{"sku":"MOD-F","site":"INV-1","backorder_cap":30}', 'inv-erp');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-F/1","sku":"MOD-F","site":"INV-1","quantity":10,"expected_at":"2998-01-05T00:00:00Z"},
	{"kind":"purchase","reference":"PO-F/2","sku":"MOD-F","site":"INV-1","quantity":10,"expected_at":"2998-02-05T00:00:00Z"}]', 'inv-erp');
\o
SELECT * FROM pg_temp.both('[{"item":"MOD-F","quantity":4},{"item":"MOD-F","quantity":3}]', '{"priority":50}');
SELECT * FROM pg_temp.both('[{"item":"MOD-F","quantity":5}]', '{"mode":"one_date"}');
SELECT * FROM pg_temp.both('[{"item":"MOD-F","quantity":2}]', '{"priority":1}');
SELECT * FROM pg_temp.both('[{"item":"MOD-F","quantity":9}]', '{"priority":1}');
SELECT * FROM live WHERE sku = 'MOD-F';
SELECT * FROM broken;

-- what more is wanted of a line than is promised of it comes after that: a part of a line is promised, its date stays as long as it is covered itself, and others
-- count on nothing that the line wants
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"MOD-G","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-M/7","sku":"MOD-G","site":"INV-1","quantity":9,"expected_at":"2998-01-05T00:00:00Z"}]', 'inv-erp');
SELECT * FROM distsync.apply('demand', '{"demand_key":"INV/M-7/1","sku":"MOD-G","site":"INV-1","ordered":10,"required_at":"2998-01-05T00:00:00Z"}', 'inv-erp');
\o
SELECT * FROM pg_temp.ask('[{"item":"MOD-G","quantity":4,"demand_key":"INV/M-7/1"},{"item":"MOD-G","quantity":1}]', '{"mode":"one_date"}');
SELECT * FROM pg_temp.both('[{"item":"MOD-G","quantity":4,"demand_key":"INV/M-7/1"}]', '{"mode":"one_date"}');
SELECT * FROM pg_temp.ask('[{"item":"MOD-G","quantity":1}]', '{"mode":"one_date"}');
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-M/7","sku":"MOD-G","site":"INV-1","quantity":5,"expected_at":"2998-01-05T00:00:00Z"}', 'inv-erp');
SELECT * FROM live WHERE sku = 'MOD-G';
SELECT * FROM broken;
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-M/7","sku":"MOD-G","site":"INV-1","quantity":3,"expected_at":"2998-01-05T00:00:00Z"}', 'inv-erp');
SELECT * FROM live WHERE sku = 'MOD-G';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"mod9","kind":"count","sku":"MOD-G","site":"INV-1","quantity":1,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT * FROM live WHERE sku = 'MOD-G';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"mod10","kind":"count","sku":"MOD-G","site":"INV-1","quantity":4,"event_at":"2024-01-11T10:00:00Z"}', 'inv-wms');
SELECT * FROM live WHERE sku = 'MOD-G';
SELECT * FROM broken;

-- quotas bind them too
\o /dev/null
SELECT * FROM distsync.apply('stock_quota', '{"sku":"MOD-A","scope_kind":"collective","quantity":7}', 'inv-erp');
\o
SELECT * FROM pg_temp.ask('[{"item":"MOD-A","quantity":8}]', '{"mode":"schedule"}');
SELECT * FROM pg_temp.both('[{"item":"MOD-A","quantity":6}]', '{"mode":"schedule"}');
SELECT * FROM pg_temp.ask('[{"item":"MOD-A","quantity":2}]', '{"mode":"one_date"}');

-- wrong options
SELECT * FROM distsync.reserve('[{"item":"MOD-A","quantity":1}]', '{"mode":"someday"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"MOD-A","quantity":1}]', '{"mode":"one_date","max_parts":3}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"MOD-A","quantity":1}]', '{"mode":"schedule","max_parts":0}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"MOD-A","quantity":1}]', '{"mode":"complete","kind":"soft"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"MOD-A","quantity":1}]', '{"kind":"inbound"}');
\echo :LAST_ERROR_SQLSTATE
