-- What has ended goes after its time, what is open stays, and nothing is answered otherwise.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply('site', '{"code":"RET-1","name":"r","company":"INV"}', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"RET-A","base_unit":"EA"},{"sku":"RET-B","base_unit":"EA"},{"sku":"RET-L","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"RET-K","base_unit":"EA","kit":true,"components":[{"sku":"RET-A","quantity":2},{"sku":"RET-B","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"ret1","kind":"count","sku":"RET-A","site":"RET-1","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret2","kind":"count","sku":"RET-B","site":"RET-1","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret3","kind":"count","sku":"RET-L","site":"RET-1","quantity":8,"lot":"L1","event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret4","kind":"receive","sku":"RET-L","site":"RET-1","quantity":5,"lot":"L2","event_at":"2024-01-11T10:00:00Z"},
	{"event_id":"ret5","kind":"receive","sku":"RET-L","site":"RET-1","quantity":5,"lot":"L3","expires_on":"2999-01-01","event_at":"2024-01-11T10:00:00Z"},
	{"event_id":"ret6","kind":"delta","sku":"RET-L","site":"RET-1","quantity":-5,"lot":"L2","event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"ret7","kind":"delta","sku":"RET-L","site":"RET-1","quantity":-5,"lot":"L3","event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"ret8","kind":"count","sku":"RET-L","site":"RET-1","quantity":0,"lot":"L1","event_at":"2024-01-13T10:00:00Z"},
	{"event_id":"ret9","kind":"delta","sku":"RET-L","site":"RET-1","quantity":3,"lot":"L4","event_at":"2024-01-13T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply_all('demand', '[{"demand_key":"INV/RET-1/1","sku":"RET-A","site":"RET-1","ordered":4},{"demand_key":"INV/RET-2/1","sku":"RET-A","site":"RET-1","ordered":5},{"demand_key":"INV/RET-3/1","sku":"RET-A","site":"RET-1","ordered":6}]', 'inv-erp');
SELECT * FROM distsync.apply('demand', '{"demand_key":"INV/RET-3/1","sku":"RET-A","site":"RET-1"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"RET-P/1","sku":"RET-A","site":"RET-1","quantity":4,"received":4,"expected_at":"2024-02-01T00:00:00Z"},
	{"kind":"purchase","reference":"RET-P/2","sku":"RET-A","site":"RET-1","quantity":4,"expected_at":"2024-02-01T00:00:00Z"}]', 'inv-erp');
SELECT * FROM distsync.apply_all('stock_quota', '[{"sku":"RET-B","scope_kind":"collective","scope":"*","quantity":50,"from":"2024-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}]', 'inv-erp');
-- a line that has shipped, one that is half shipped, a cart that ended, one that holds, a kit that was given back and one that has shipped in part, and what a quota counts
SELECT * FROM distsync.reserve('[{"item":"RET-A","quantity":4,"site":"RET-1","demand_key":"INV/RET-1/1"},{"item":"RET-A","quantity":5,"site":"RET-1","demand_key":"INV/RET-2/1"}]', '{"commit":true}');
SELECT * FROM distsync.apply_all('stock_event', jsonb_build_array(jsonb_build_object('event_id', 'ret10', 'kind', 'ship', 'sku', 'RET-A', 'site', 'RET-1', 'quantity', 4, 'reference', 'INV/RET-1/1', 'event_at', now()),
	jsonb_build_object('event_id', 'ret11', 'kind', 'ship', 'sku', 'RET-A', 'site', 'RET-1', 'quantity', 2, 'reference', 'INV/RET-2/1', 'event_at', now())), 'inv-wms');
SELECT * FROM distsync.reserve('[{"item":"RET-A","quantity":1,"site":"RET-1"}]', '{"holder":"ret-cart","idempotency_key":"ret-key"}');
SELECT * FROM distsync.release_reservations(NULL, '{"holder":"ret-cart"}');
SELECT * FROM distsync.reserve('[{"item":"RET-A","quantity":1,"site":"RET-1"}]', '{"holder":"ret-holds"}');
SELECT * FROM distsync.reserve('[{"item":"RET-K","quantity":1,"site":"RET-1"}]', '{"holder":"ret-kit"}');
SELECT * FROM distsync.release_reservations(NULL, '{"holder":"ret-kit"}');
\o
CREATE VIEW pg_temp.kept AS SELECT i.sku, r.holder, r.demand_key, r.state, r.quantity, r.shipped FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'RET-%';
CREATE FUNCTION pg_temp.answers() RETURNS text LANGUAGE sql AS $$ SELECT md5(string_agg(x, E'\n' ORDER BY x)) FROM (
	SELECT (to_jsonb(a) - '{as_of,available_at,ship_at,known_at}'::text[])::text AS x FROM dist.item i CROSS JOIN (VALUES (NULL::text), ('RET-1')) s(site) CROSS JOIN LATERAL distsync.atp(i.sku, 1, NULL, s.site) a WHERE i.sku LIKE 'RET-%'
	UNION ALL SELECT concat_ws('|', i.sku, t.supply, t.demand, t.projected, t.atp, t.detail) FROM dist.item i CROSS JOIN LATERAL distsync.atp_timeline(i.sku, 'RET-1') t WHERE i.sku LIKE 'RET-%'
	UNION ALL SELECT concat_ws('|', i.sku, a::text) FROM dist.item i CROSS JOIN LATERAL distsync.stock_as_of(i.sku, 'RET-1', '2024-01-12T00:00:00Z') a WHERE i.sku LIKE 'RET-%' AND i.sku <> 'RET-K') u $$;
CREATE FUNCTION pg_temp.pass() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	n integer := 0;
BEGIN
	DELETE FROM sync.progress WHERE operation = 'stock rows';
	WHILE distsync_internal.inventory_clear(2) > 0 LOOP n := n + 1; END LOOP;
	RETURN n;
END $$;
CREATE FUNCTION pg_temp.age(days integer) RETURNS void LANGUAGE sql AS $$
	UPDATE dist.reservation r SET created_at = created_at - days * interval '1 day', ended_at = ended_at - days * interval '1 day';
	UPDATE dist.demand SET closed_since = closed_since - days * interval '1 day';
	UPDATE dist.supply SET closed_since = closed_since - days * interval '1 day'; $$;
CREATE FUNCTION pg_temp.broken() RETURNS SETOF text LANGUAGE sql AS $$ SELECT x::text FROM distsync_internal.inventory_verify_stock() x UNION ALL SELECT x::text FROM distsync_internal.inventory_verify_promises() x $$;
-- everybody else's rows are left alone here: this is undone in the end
BEGIN;
SELECT pg_temp.answers() AS before \gset
-- nothing is old: a pass only notes what is closed; and an hour passes before the next
SELECT pg_temp.pass() > 0 AS passed;
SELECT distsync_internal.inventory_clear(2), phase FROM sync.progress WHERE operation = 'stock rows';
SELECT * FROM pg_temp.kept ORDER BY 1, 2, 3, 4;
SELECT d.demand_key, d.status, d.closed_since IS NOT NULL AS noted FROM dist.demand d WHERE d.demand_key LIKE 'INV/RET-%' ORDER BY 1;
-- after a hundred days carts go
SELECT pg_temp.age(100);
SELECT ok, detail LIKE '%older than they are kept' AS late FROM distsync_internal.inventory_retention_doctor() WHERE check_name LIKE 'stock rows%';
SELECT pg_temp.pass() > 0 AS passed;
SELECT ok, detail LIKE '%older than they are kept' AS late FROM distsync_internal.inventory_retention_doctor() WHERE check_name LIKE 'stock rows%';
SELECT * FROM pg_temp.kept ORDER BY 1, 2, 3, 4;
-- the call that was answered is answered again, although nothing of it is kept
SELECT outcome, quantity FROM distsync.reserve('[{"item":"RET-A","quantity":1,"site":"RET-1"}]', '{"holder":"ret-cart","idempotency_key":"ret-key"}');
-- after more than a year what has shipped goes too, with its line; and empty lots but for one that is to expire; nobody is told of a kit of which a component stays
CREATE TABLE public.ret_told (context jsonb);
GRANT INSERT ON public.ret_told TO PUBLIC;
CREATE FUNCTION distsync_internal.ret_told(context jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.ret_told VALUES (context) $$;
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('hook', 'stock.reservations_forgotten', 900, 'distsync_internal.ret_told');
SELECT outcome FROM distsync.reserve('[{"item":"RET-K","quantity":1,"site":"RET-1","demand_key":"INV/RET-5/1"}]', '{"commit":true}');
SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret14', 'kind', 'ship', 'sku', 'RET-A', 'site', 'RET-1', 'quantity', 2, 'reference', 'INV/RET-5/1', 'event_at', now()), 'inv-wms');
SELECT pg_temp.answers() AS before \gset
SELECT pg_temp.pass() > 0 AS passed;
SELECT pg_temp.age(400);
SELECT pg_temp.pass() > 0 AS passed;
SELECT * FROM pg_temp.kept ORDER BY 1, 2, 3, 4;
SELECT r->>'demand_key' AS told FROM public.ret_told, jsonb_array_elements(context->'reservations') r WHERE r->>'demand_key' LIKE 'INV/RET-%' ORDER BY 1;
SELECT d.demand_key, d.status, d.reserved, d.shipped FROM dist.demand d WHERE d.demand_key LIKE 'INV/RET-%' ORDER BY 1, d.demand_id;
SELECT s.reference, s.status FROM dist.supply s WHERE s.reference LIKE 'RET-P%';
SELECT b.lot, b.quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-L' ORDER BY 1;
SELECT pg_temp.answers() = :'before' AS same;
SELECT * FROM pg_temp.broken();
SELECT * FROM distsync.rebuild_stock('RET-L', 'RET-1', '{"dry_run":true}');
-- a count of a lot that is cleared away is still a barrier
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"ret12","kind":"delta","sku":"RET-L","site":"RET-1","quantity":2,"lot":"L1","event_at":"2024-01-12T10:00:00Z"}', 'inv-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"ret13","kind":"delta","sku":"RET-L","site":"RET-1","quantity":2,"lot":"L1","event_at":"2024-01-12T11:00:00Z"}', 'inv-wms');
SELECT b.lot, b.quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-L' ORDER BY 1;
SELECT * FROM pg_temp.broken();
-- where no list was overtaken, backends keep what they remember
SELECT e.n AS codes FROM dist.epoch e WHERE e.domain = 'codes' \gset
SELECT distsync_internal.inventory_retain_rest(clock_timestamp()) AS gone;
SELECT e.n - :codes AS moved FROM dist.epoch e WHERE e.domain = 'codes';
ROLLBACK;

-- a line goes when all of it is over: at each site, in each component
\o /dev/null
SELECT * FROM distsync.apply('site', '{"code":"RET-2","name":"r","company":"INV"}', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"RET-M","base_unit":"EA"},{"sku":"RET-X","base_unit":"EA"},{"sku":"RET-F","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"ret20","kind":"count","sku":"RET-M","site":"RET-1","quantity":20,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret21","kind":"count","sku":"RET-M","site":"RET-2","quantity":20,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret22","kind":"receive","sku":"RET-X","site":"RET-1","quantity":5,"lot":"L1","expires_on":"2024-02-01","event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret23","kind":"receive","sku":"RET-X","site":"RET-1","quantity":5,"lot":"L2","expires_on":"2024-02-02","event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret24","kind":"receive","sku":"RET-X","site":"RET-1","quantity":7,"lot":"L3","event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret25","kind":"delta","sku":"RET-X","site":"RET-1","quantity":-5,"lot":"L1","event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"ret26","kind":"delta","sku":"RET-X","site":"RET-1","quantity":-5,"lot":"L2","event_at":"2024-01-12T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.reserve('[{"item":"RET-M","quantity":4,"site":"RET-1","demand_key":"INV/RET-6/1"},{"item":"RET-M","quantity":6,"site":"RET-2","demand_key":"INV/RET-6/1"}]', '{"commit":true}');
SELECT * FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret27', 'kind', 'ship', 'sku', 'RET-M', 'site', 'RET-1', 'quantity', 4, 'reference', 'INV/RET-6/1', 'event_at', now()), 'inv-wms');
SELECT * FROM distsync.apply('demand', '{"demand_key":"INV/RET-7/1","sku":"RET-K","site":"RET-1","ordered":1}', 'inv-erp');
SELECT * FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret28', 'kind', 'ship', 'sku', 'RET-A', 'site', 'RET-1', 'quantity', 2, 'reference', 'INV/RET-7/1', 'event_at', now()), 'inv-wms');
\o
CREATE VIEW pg_temp.lines AS SELECT d.demand_key, i.sku, s.code AS site, d.status, trim_scale(d.reserved) AS reserved, trim_scale(d.shipped) AS shipped FROM dist.demand d JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE d.demand_key ~ '^INV/RET-[67]/' ORDER BY 1, 2, 3;
BEGIN;
SELECT pg_temp.pass() > 0 AS passed;
SELECT pg_temp.age(500);
SELECT pg_temp.pass() > 0 AS passed;
SELECT * FROM pg_temp.lines;
SELECT r.state, trim_scale(r.quantity) AS quantity FROM dist.reservation r WHERE r.demand_key = 'INV/RET-6/1' ORDER BY 1;
-- so what has left is not taken for what is promised anew
SELECT state FROM distsync.release_reservation((SELECT r.reservation_id FROM dist.reservation r WHERE r.demand_key = 'INV/RET-6/1' AND r.state = 'committed'), NULL, '{"void":true}');
SELECT outcome, quantity, site, detail->'shipped' AS shipped FROM distsync.reserve('[{"item":"RET-M","quantity":6,"site":"RET-2","demand_key":"INV/RET-6/1"}]', '{"commit":true}');
SELECT outcome FROM distsync.apply_all('stock_event', jsonb_build_array(jsonb_build_object('event_id', 'ret29', 'kind', 'ship', 'sku', 'RET-M', 'site', 'RET-2', 'quantity', 6, 'reference', 'INV/RET-6/1', 'event_at', now()),
	jsonb_build_object('event_id', 'ret30', 'kind', 'ship', 'sku', 'RET-B', 'site', 'RET-1', 'quantity', 1, 'reference', 'INV/RET-7/1', 'event_at', now())), 'inv-wms');
SELECT pg_temp.pass() > 0 AS passed;
SELECT * FROM pg_temp.lines;
SELECT pg_temp.age(500);
SELECT pg_temp.pass() > 0 AS passed;
SELECT * FROM pg_temp.lines;
SELECT r.state, trim_scale(r.quantity) AS quantity FROM dist.reservation r WHERE r.demand_key = 'INV/RET-6/1' AND r.state <> 'void' ORDER BY 1;
SELECT * FROM pg_temp.broken();
-- lots are gone, when they expired is not: what turns up again is as old as it is, whichever way it is told
CREATE VIEW pg_temp.lots AS SELECT b.lot, s.code AS site, b.state, trim_scale(b.quantity) AS quantity, b.expires_on FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku = 'RET-X' ORDER BY 1, 2, 3;
SELECT * FROM pg_temp.lots;
SELECT k.lot, k.expires_on FROM dist.stock_lot k JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-X' ORDER BY 1;
SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret31', 'kind', 'count', 'sku', 'RET-X', 'site', 'RET-1', 'quantity', 3, 'lot', 'L1', 'event_at', now()), 'inv-wms');
SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret32', 'kind', 'receive', 'sku', 'RET-X', 'site', 'RET-2', 'quantity', 2, 'lot', 'L1', 'event_at', now()), 'inv-wms');
SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret33', 'kind', 'transfer', 'sku', 'RET-X', 'site', 'RET-1', 'quantity', 1, 'lot', 'L1', 'to_state', 'quality', 'event_at', now()), 'inv-wms');
SELECT * FROM pg_temp.lots;
SELECT on_hand, atp FROM distsync.atp('RET-X');
-- who tells anew when it expires is right
SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret34', 'kind', 'receive', 'sku', 'RET-X', 'site', 'RET-2', 'quantity', 1, 'lot', 'L2', 'expires_on', '2999-01-01', 'event_at', now()), 'inv-wms');
SELECT * FROM pg_temp.lots WHERE lot = 'L2';
SELECT k.lot, k.expires_on FROM dist.stock_lot k JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-X' ORDER BY 1;
-- of an item so many are kept, those that expired last
SELECT distsync_internal.inventory_keep_lots(array_agg(i.item_id), array_agg('M' || n), array_agg(date '2000-01-01' + n)) FROM dist.item i, generate_series(1, 10005) n WHERE i.sku = 'RET-X';
SELECT count(*), min(k.expires_on), min(k.lot) AS first FROM dist.stock_lot k JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-X';
SELECT * FROM pg_temp.broken();
ROLLBACK;

-- in flight is what one side told: what nothing waits for goes with the events that told it, what counts stays
BEGIN;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"ret40","kind":"count","perspective":"phys","sku":"RET-F","site":"RET-1","quantity":50,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"ret41","kind":"count","perspective":"book","sku":"RET-F","site":"RET-1","quantity":50,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"ret42","kind":"ship","perspective":"book","sku":"RET-F","site":"RET-1","quantity":3,"reference":"RET-R/1","event_at":"2024-01-11T10:00:00Z"},
	{"event_id":"ret43","kind":"ship","perspective":"book","sku":"RET-F","site":"RET-1","quantity":4,"reference":"RET-R/2","event_at":"2024-01-11T10:00:00Z"}]', 'inv-erp');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"ret44","kind":"ship","perspective":"phys","sku":"RET-F","site":"RET-1","quantity":5,"reference":"RET-R/3","event_at":"2024-01-11T10:00:00Z"}', 'inv-wms');
CREATE VIEW pg_temp.flights AS SELECT w.reference, trim_scale(w.phys) AS phys, trim_scale(w.book) AS book FROM dist.stock_in_flight w JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-F' ORDER BY 1;
SELECT pg_temp.pass() > 0 AS passed;
-- as long as its events are kept, it is
SELECT * FROM pg_temp.flights;
INSERT INTO dist.stock_checkpoint (item_id, site_id, perspective, state, lot, owner_id, as_of, quantity, last_event_at, counted_at)
SELECT e.item_id, e.site_id, e.perspective, e.state, e.lot, e.owner_id, max(e.recorded_at), sum(e.quantity), max(e.event_at), max(e.event_at) FILTER (WHERE e.kind = 'count') FROM dist.stock_event e JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-F' GROUP BY 1, 2, 3, 4, 5, 6;
DELETE FROM dist.stock_event e USING dist.item i WHERE i.item_id = e.item_id AND i.sku = 'RET-F';
SELECT f.reference AS the_oldest FROM (SELECT array_agg(i.item_id) AS items, array_agg(s.site_id) AS sites FROM dist.item i, dist.site s WHERE i.sku = 'RET-F' AND s.code = 'RET-1') k CROSS JOIN LATERAL distsync_internal.inventory_idle_flights(k.items, k.sites, 1, now() - interval '400 days') f;
SELECT pg_temp.pass() > 0 AS passed;
SELECT * FROM pg_temp.flights;
SELECT * FROM pg_temp.broken();
SELECT phys, book FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'RET-F';
-- what is told of it later is new
SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'ret45', 'kind', 'ship', 'perspective', 'phys', 'sku', 'RET-F', 'site', 'RET-1', 'quantity', 3, 'reference', 'RET-R/1', 'event_at', now()), 'inv-wms');
SELECT * FROM pg_temp.flights;
SELECT * FROM pg_temp.broken();
ROLLBACK;
