-- Slots of hot items: dealt out by the reserver that waited, exact to the last unit, taken back by whoever needs all, given up when nobody asks.
SET client_min_messages = warning;
SELECT distsync.add_system('slot-wms', 'wms') IS NOT NULL AS system;
SELECT outcome FROM distsync.apply('company', '{"code":"SLT","name":"Slots","currency":"USD"}', 'distsync');
SELECT outcome FROM distsync.apply_all('site', '[{"code":"SLT-1","name":"one","company":"SLT","rank":1},{"code":"SLT-2","name":"two","company":"SLT","rank":2}]', 'distsync');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"SLT-A","base_unit":"EA"},{"sku":"SLT-B","base_unit":"EA"}]', 'distsync');
CREATE TEMP VIEW pool AS SELECT i.sku, s.code AS site, p.cap, p.held, p.committed, p.shortfall, p.slots, p.dealt FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'SLT-%' ORDER BY 1, 2;
CREATE TEMP VIEW slot AS SELECT i.sku, y.slot, y.cap, y.held, y.committed FROM dist.stock_pool_slot y JOIN dist.item i USING (item_id) ORDER BY 1, 2;
-- who promised from which slot is a matter of chance: their sums are not
CREATE TEMP VIEW slots AS SELECT i.sku, count(*), sum(y.cap) AS cap, sum(y.held) AS held, sum(y.committed) AS committed FROM dist.stock_pool_slot y JOIN dist.item i USING (item_id) GROUP BY 1 ORDER BY 1;
CREATE TEMP VIEW broken AS SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
CREATE FUNCTION pg_temp.of(h text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(reservation_id) FROM dist.reservation WHERE holder = h $$;
CREATE FUNCTION pg_temp.count_stock(n text, sku text, site text, quantity numeric) RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', n, 'kind', 'count', 'sku', sku, 'site', site, 'quantity', quantity, 'event_at', '2024-01-01T00:00:00Z'::timestamptz + n::integer * interval '1 hour'), 'slot-wms') $$;
SELECT pg_temp.count_stock('1', 'SLT-A', 'SLT-1', 100);
-- not hot: the row decides
SELECT outcome, available FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]', '{"holder":"cold"}');
SELECT * FROM pool;
SELECT * FROM distsync.hot_items();
-- hot: half of what is left is dealt out by whoever has the lock, and the next ones promise from the slots
SET distsync.hot_wait = 0;
SET distsync.slots_max = 4;
SELECT outcome, available FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]', '{"holder":"dealer"}');
SELECT * FROM pool;
SELECT * FROM slot;
SELECT outcome, available, expires_at > now() AS held FROM distsync.reserve('[{"item":"SLT-A","quantity":2}]', '{"holder":"one"}');
SELECT outcome, available, expires_at > now() AS held FROM distsync.reserve('[{"item":"SLT-A","quantity":3},{"item":"SLT-A","quantity":1}]', '{"holder":"two","commit":true}');
SELECT * FROM pool;
SELECT * FROM slots;
SELECT item, site, slots, free, free_in_slots, promised_in_slots, waited >= '0' AS waited, last_promise_at <= clock_timestamp() AS last FROM distsync.hot_items();
SELECT atp, projected, valid_until IS NOT NULL AS until, detail FROM distsync.atp('SLT-A', 1, NULL, 'SLT-1');
SELECT a.atp = w.atp AND a.detail = w.detail AND a.valid_until = w.valid_until AND a.known_at = w.known_at AS same
FROM distsync.atp('SLT-A', 1, NULL, 'SLT-1') a, distsync_internal.inventory_atp_whole('SLT-A', 1, NULL, 'SLT-1', NULL, '{}') w;
SELECT body->'atp' AS atp FROM distsync_internal.inventory_render(ARRAY(SELECT item_id::text FROM dist.item WHERE sku = 'SLT-A'));
SELECT * FROM broken;
-- a pool's row still promises what is not dealt out, and no more
SELECT outcome, available FROM distsync.reserve('[{"item":"SLT-A","quantity":40}]', '{"holder":"big"}');
SELECT * FROM pool;
-- who commits or gives back takes what he needs from one slot; the others keep theirs
BEGIN;
SELECT state FROM distsync.release_reservation(pg_temp.of('big'));
SELECT state FROM distsync.release_reservation(pg_temp.of('cold'));
SELECT state FROM distsync.release_reservation(pg_temp.of('dealer'));
SELECT held, committed, slots, dealt FROM pool;
SELECT state, committed FROM distsync.commit_reservation(pg_temp.of('one'), 1, '{"keep_rest":true}');
SELECT held, committed, slots, dealt FROM pool;
SELECT state FROM distsync.release_reservation(pg_temp.of('one'));
SELECT state FROM distsync.release_reservation(pg_temp.of('two'), NULL, '{"void":true}');
SELECT * FROM pool;
SELECT * FROM slots;
SELECT * FROM broken;
ROLLBACK;
-- more stock disturbs no slot; less stock than is dealt out takes them back, and what is promised stays
SELECT pg_temp.count_stock('2', 'SLT-A', 'SLT-1', 120);
SELECT * FROM pool;
SELECT pg_temp.count_stock('3', 'SLT-A', 'SLT-1', 45);
SELECT * FROM pool;
SELECT * FROM slots;
SELECT pg_temp.count_stock('4', 'SLT-A', 'SLT-1', 100);
SELECT * FROM broken;
-- a hold that ends is counted out of the slots
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]', '{"holder":"again"}');
SELECT held, slots FROM pool;
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":2}]', '{"holder":"slot-brief","ttl":"50 milliseconds"}');
SELECT pg_sleep(0.06);
SELECT atp FROM distsync.atp('SLT-A', 1, NULL, 'SLT-1');
SELECT state FROM distsync.reservation_status(pg_temp.of('slot-brief'));
-- others promise from the slots meanwhile: the clerk ends it, with all that ended in the same second
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]', '{"holder":"after"}');
DO $$ BEGIN
	WHILE EXISTS (SELECT FROM dist.reservation WHERE holder = 'slot-brief' AND state = 'held') LOOP
		PERFORM distsync_internal.inventory_sweep(10), pg_sleep(0.05);
	END LOOP;
END $$;
SELECT state FROM dist.reservation WHERE holder = 'slot-brief';
SELECT held, slots, dealt FROM pool;
SELECT * FROM broken;
-- to the last unit: no slot has enough, so all of them are taken back before anybody is told "short"
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]', '{"holder":"deal"}');
SELECT slots, dealt > 0 AS dealt FROM pool;
SELECT atp FROM distsync.atp('SLT-A');
SELECT outcome, quantity, available FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'SLT-A', 'quantity', (SELECT atp FROM distsync.atp('SLT-A')) + 1)));
SELECT outcome, available FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'SLT-A', 'quantity', (SELECT atp FROM distsync.atp('SLT-A')))), '{"holder":"last"}');
SELECT outcome, available FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]');
SELECT * FROM pool;
SELECT * FROM broken;
SELECT state FROM distsync.release_reservation(pg_temp.of('last'));
-- the choice over sites counts what is in slots: the first site serves, until it has no more
SELECT pg_temp.count_stock('5', 'SLT-B', 'SLT-1', 40), pg_temp.count_stock('6', 'SLT-B', 'SLT-2', 40);
SELECT outcome, site, available FROM distsync.reserve('[{"item":"SLT-B","quantity":1,"site":"SLT-1"}]');
SELECT outcome, site, available FROM distsync.reserve('[{"item":"SLT-B","quantity":2}]');
SELECT outcome, site, quantity, available FROM distsync.reserve('[{"item":"SLT-B","quantity":36}]');
SELECT outcome, site, quantity, available FROM distsync.reserve('[{"item":"SLT-B","quantity":5}]');
SELECT outcome, site, quantity, available FROM distsync.reserve('[{"item":"SLT-B","quantity":36}]');
SELECT * FROM pool WHERE sku = 'SLT-B';
SELECT * FROM broken;
-- not hot any more: the clerk takes the slots away
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]');
SELECT count(*) > 0 AS slots FROM slot WHERE sku = 'SLT-A';
SELECT check_name, ok, detail FROM distsync_internal.inventory_doctor() WHERE check_name LIKE 'slots%';
BEGIN;
UPDATE dist.stock_pool_slot SET changed_at = changed_at - interval '1 day';
SELECT check_name, ok, sql_to_fix FROM distsync_internal.inventory_doctor() WHERE check_name LIKE 'slots%';
SELECT distsync_internal.inventory_sweep(10) > 0 AS cooled;
COMMIT;
SELECT * FROM slot;
SELECT * FROM pool;
SELECT * FROM broken;
-- verify() tells of slots that were changed by hand, and a rebuild mends
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]');
BEGIN;
UPDATE dist.stock_pool_slot SET cap = cap + 1 WHERE slot = 0;
SELECT invariant, entity_key FROM broken ORDER BY 1, 2;
ROLLBACK;
BEGIN;
UPDATE dist.stock_pool_slot SET held = held + 1 WHERE slot = 0;
SELECT invariant, entity_key FROM broken ORDER BY 1, 2;
SELECT distsync_internal.inventory_rebuild('SLT-A') AS pools;
SELECT * FROM broken;
ROLLBACK;
-- a hold in a slot that is over counts for nobody, also before somebody sweeps
BEGIN;
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]', '{"holder":"brief"}');
UPDATE dist.reservation SET expires_at = '2024-01-02' WHERE holder = 'brief';
UPDATE dist.stock_pool_slot SET valid_until = '2024-01-02' WHERE valid_until IS NOT NULL;
SELECT a.atp > 1 AS some, r.outcome, r.quantity = a.atp AS all FROM distsync.atp('SLT-A') a, distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'SLT-A', 'quantity', a.atp))) r;
SELECT * FROM broken;
ROLLBACK;
-- a pool's counters have six decimals, however many zeros somebody sends
BEGIN;
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":0.25000000000000,"site":"SLT-1"}]', '{"commit":true}');
SELECT DISTINCT scale(committed) FROM dist.stock_pool_slot JOIN dist.item USING (item_id) WHERE sku = 'SLT-A';
SELECT DISTINCT scale(committed), scale(held) FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku = 'SLT-A';
ROLLBACK;
-- what was committed of a hold that is over can be given back, also of a hot pool that has not noticed it
BEGIN;
SELECT count(*) FROM distsync.reserve('[{"item":"SLT-A","quantity":3,"site":"SLT-1"}]', '{"holder":"over","ttl":"100 milliseconds"}');
SELECT state FROM distsync.commit_reservation(pg_temp.of('over'), 1, '{"keep_rest":true}');
SELECT slots > 0 AS slots FROM pool WHERE sku = 'SLT-A' AND site = 'SLT-1';
SELECT pg_sleep(0.11);
SELECT outcome, state, quantity, committed, sqlstate FROM distsync.release_reservations(jsonb_build_array(jsonb_build_object('reservation_id', pg_temp.of('over'))), '{"on_error":"collect","void":true}');
SELECT * FROM broken;
ROLLBACK;
-- a channel is told what the row and its slots may promise together: from wherever somebody promises, commits, gives back, and when slots are taken back
CREATE FUNCTION pg_temp.told() RETURNS TABLE (told numeric, would_be numeric, atp numeric, versions bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM distsync_internal.outbox_route(100000);
	RETURN QUERY SELECT p.told, p.would_be_told, a.atp, (SELECT count(*) FROM sync.event e WHERE e.event_type = 'stock.atp_changed' AND e.entity_key = 'SLT-A') - (SELECT s.versions FROM seen s)
	FROM distsync.published_stock('SLT-WEB', 'SLT-A') p, distsync.atp('SLT-A') a;
END
$$;
SELECT outcome FROM distsync.apply('channel', '{"code":"SLT-WEB","name":"web"}', 'distsync');
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"SLT-WEB","sku":"SLT-A","buffer":5}', 'distsync');
SELECT distsync_internal.outbox_route(100000) > 0 AS routed;
SELECT count(*) AS versions INTO TEMP seen FROM sync.event WHERE event_type = 'stock.atp_changed' AND entity_key = 'SLT-A';
SELECT slots > 0 AS slots, dealt > 0 AS dealt FROM pool;
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":3}]', '{"holder":"told"}');
SELECT sum(held) AS held_in_slots FROM slot;
SELECT * FROM pg_temp.told();
SELECT state FROM distsync.commit_reservation(pg_temp.of('told'), 2);
SELECT * FROM pg_temp.told();
SELECT state FROM distsync.release_reservation(pg_temp.of('told'), NULL, '{"void":true}');
SELECT * FROM pg_temp.told();
SELECT distsync_internal.inventory_fold(array_agg(item_id), array_agg(site_id)) > 0 AS folded FROM dist.stock_pool;
SELECT slots > 0 AS slots FROM pool;
SELECT * FROM pg_temp.told();
SELECT * FROM broken;
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]');
-- without slots
SET distsync.slots_max = 0;
SELECT distsync_internal.inventory_fold(array_agg(item_id), array_agg(site_id)) > 0 AS folded FROM dist.stock_pool;
SELECT outcome FROM distsync.reserve('[{"item":"SLT-A","quantity":1}]');
SELECT sku, site, slots, dealt FROM pool;
RESET distsync.slots_max;
RESET distsync.hot_wait;
