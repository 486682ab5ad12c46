-- Reservations: all or none, take up to, the same item twice, splits over sites, commit, release, extend, expiry; shortfall opened by
-- facts and closed when cured; one demand with one identity; shipments, too much of them; every refusal with its code.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"RES-A","base_unit":"EA","units":[{"unit":"INV-BX","numerator":12,"denominator":1}]},{"sku":"RES-B","base_unit":"EA"},{"sku":"RES-C","base_unit":"EA"},{"sku":"RES-D","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[
	{"event_id":"r1","kind":"count","sku":"RES-A","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"r2","kind":"count","sku":"RES-A","site":"INV-2","quantity":15,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"r3","kind":"count","sku":"RES-B","site":"INV-1","quantity":4,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"r4","kind":"count","sku":"RES-C","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
\o
CREATE TEMP VIEW pool AS SELECT i.sku, s.code AS site, p.cap, p.held, p.committed, p.shortfall FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'RES-%' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
CREATE FUNCTION pg_temp.of(who text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(reservation_id) FROM dist.reservation WHERE holder = who $$;

-- the same item twice adds up; one short line refuses all; what one site can serve is not split
SELECT ordinal, outcome, item, site, quantity, unit, available FROM distsync.reserve('[{"item":"RES-B","quantity":3},{"item":"RES-B","quantity":2}]', '{"holder":"cart"}');
SELECT ordinal, outcome, item, site, quantity, unit, available, expires_at > now() AS held FROM distsync.reserve('[{"item":"RES-A","quantity":1,"unit":"INV-BX"},{"item":"RES-B","quantity":3},{"item":"RES-B","quantity":1}]', '{"holder":"cart","source":"inv-wms","idempotency_key":"res-1"}');
SELECT * FROM pool;
-- the same request again: the first answer; another body under the key: an error
SELECT ordinal, outcome, item, site, quantity FROM distsync.reserve('[{"item":"RES-A","quantity":1,"unit":"INV-BX"},{"item":"RES-B","quantity":3},{"item":"RES-B","quantity":1}]', '{"holder":"cart","source":"inv-wms","idempotency_key":"res-1"}');
SELECT * FROM distsync.reserve('[{"item":"RES-A","quantity":2}]', '{"holder":"cart","source":"inv-wms","idempotency_key":"res-1"}');
\echo :LAST_ERROR_SQLSTATE
-- a refused call does not burn its key
SELECT outcome FROM distsync.reserve('[{"item":"RES-B","quantity":1}]', '{"holder":"other","idempotency_key":"res-2"}');
SELECT outcome FROM distsync.reserve('[{"item":"RES-B","quantity":1}]', '{"holder":"other","idempotency_key":"res-2"}');
-- over sites, in order of rank; take up to; own holds need not count
SELECT ordinal, outcome, site, quantity FROM distsync.reserve('[{"item":"RES-A","quantity":12}]', '{"holder":"split"}');
SELECT outcome FROM distsync.reserve('[{"item":"RES-A","quantity":2}]', '{"holder":"more"}');
SELECT outcome, site, quantity, available FROM distsync.reserve('[{"item":"RES-A","quantity":2},{"item":"RES-B","quantity":1}]', '{"holder":"more","mode":"take_up_to"}');
SELECT atp, outcome FROM distsync.atp('RES-A', 12, NULL, NULL, NULL, '{"holder":"split"}');
SELECT * FROM broken;

-- commit in part gives the rest back; keep_rest does not; what has ended never changes
SELECT state, quantity, committed FROM distsync.commit_reservation(pg_temp.of('cart'), 1);
SELECT state, quantity, committed FROM distsync.commit_reservation(pg_temp.of('more'), 0.5, '{"keep_rest":true}');
SELECT state, quantity, committed FROM distsync.release_reservation(pg_temp.of('more'));
SELECT state, quantity, committed FROM distsync.release_reservation(pg_temp.of('more'), NULL, '{"void":true}');
SELECT state, expires_at > now() + interval '50 minutes' AS extended FROM distsync.extend_reservation(pg_temp.of('split'), '1 hour');
SELECT state, quantity FROM distsync.reservation_status(NULL, '{"holder":"split"}') ORDER BY quantity;
\set VERBOSITY sqlstate
SELECT * FROM distsync.commit_reservation(pg_temp.of('cart'), 1);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.commit_reservation(pg_temp.of('split'), 100);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.release_reservation(pg_temp.of('split'), -1);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.commit_reservation(pg_temp.of('split'), 1, '{"holder":"somebody"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.release_reservation(pg_temp.of('more'), NULL, '{"void":true}');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT * FROM distsync.commit_reservation(-1);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"RES-A","quantity":-1}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"RES-A","quantity":"NaN"}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"RES-A","quantity":1,"unit":"RES-NONE"}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"RES-NONE","quantity":1}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"INV-K","quantity":1}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"RES-A","quantity":1}]', '{"mode":"maybe"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"RES-A","quantity":1}]', '{"ttl":"soon"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM broken;

-- expiry: exact without any worker; the next writer corrects the counters, or the clerk
-- (in one transaction, so that the clerk is not faster)
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT outcome FROM distsync.reserve('[{"item":"RES-C","quantity":10}]', '{"holder":"brief","ttl":"50 milliseconds"}');
SELECT pg_sleep(0.06);
SELECT state FROM distsync.reservation_status(pg_temp.of('brief'));
SELECT atp FROM distsync.atp('RES-C');
\set VERBOSITY sqlstate
SELECT * FROM distsync.commit_reservation(pg_temp.of('brief'));
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT held FROM pool WHERE sku = 'RES-C';
SELECT outcome FROM distsync.reserve('[{"item":"RES-C","quantity":8}]', '{"holder":"next","ttl":"50 milliseconds"}');
SELECT state FROM dist.reservation WHERE holder = 'brief';
SELECT pg_sleep(0.06);
CREATE TEMP TABLE told AS SELECT COALESCE(max(outbox_id), 0) AS id FROM sync.outbox_item;
SELECT distsync_internal.inventory_sweep(100) > 0 AS swept;
-- what time alone changed is told as well
SELECT DISTINCT event_type, entity, i.sku FROM sync.outbox_item o JOIN dist.item i ON i.item_id::text = o.entity_key WHERE outbox_id > (SELECT id FROM told) AND i.sku LIKE 'RES-%' ORDER BY 3;
SELECT held FROM pool WHERE sku = 'RES-C';
SELECT * FROM broken;

COMMIT;
\set ON_ERROR_ROLLBACK off
-- one demand, one identity: ours, then the ERP's voice of the same line, then the shipment; and the other way round
CREATE TEMP VIEW c AS SELECT i.item_id, s.site_id FROM dist.item i, dist.site s WHERE i.sku = 'RES-C' AND s.code = 'INV-1';
CREATE TEMP VIEW demand AS SELECT d.demand_key, s.code AS site, d.reserved, d.ordered, d.shipped, d.status FROM dist.demand d JOIN c USING (item_id) JOIN dist.site s ON s.site_id = d.site_id ORDER BY 1, 2;
SELECT outcome, base_quantity FROM c, distsync_internal.inventory_reserve(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', c.item_id, 'base_quantity', 6, 'demand_key', 'INV/O-1/1')), '{"commit":true}');
SELECT distsync_internal.inventory_demand(item_id, site_id, 'INV/O-1/1', NULL, 6, NULL) IS NOT NULL AS told FROM c;
SELECT atp FROM distsync.atp('RES-C');
SELECT distsync_internal.inventory_demand(item_id, site_id, 'INV/O-2/1', NULL, 3, NULL) IS NOT NULL AS told FROM c;
SELECT atp FROM distsync.atp('RES-C');
SELECT outcome, base_quantity FROM c, distsync_internal.inventory_reserve(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', c.item_id, 'base_quantity', 3, 'demand_key', 'INV/O-2/1')), '{"commit":true}');
SELECT atp FROM distsync.atp('RES-C');
SELECT distsync_internal.inventory_ship(item_id, site_id, 'INV/O-1/1', 6, '2024-01-10T12:00:00Z', 'inv-wms', 'S-1') FROM c;
SELECT atp, on_hand FROM distsync.atp('RES-C');
SELECT * FROM demand;
-- the ERP moves a line to another site: still one demand
SELECT distsync_internal.inventory_demand(c.item_id, s.site_id, 'INV/O-2/1', NULL, 3, NULL) IS NOT NULL AS told FROM c, dist.site s WHERE s.code = 'INV-2';
SELECT * FROM demand WHERE demand_key = 'INV/O-2/1';
SELECT * FROM pool WHERE sku = 'RES-C';
SELECT * FROM broken;

-- a fact below what is promised is never refused: a shortfall, no new promises, an exception; cured, it closes
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"r5","kind":"count","sku":"RES-C","site":"INV-1","quantity":1,"event_at":"2024-01-10T13:00:00Z"}', 'inv-wms');
SELECT * FROM pool WHERE sku = 'RES-C';
SELECT kind, trace_key, state, delta FROM sync.exception WHERE trace_key = 'RES-C@INV-1';
SELECT outcome, available FROM distsync.reserve('[{"item":"RES-C","quantity":1}]');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"r6","kind":"receive","sku":"RES-C","site":"INV-1","quantity":10,"event_at":"2024-01-10T14:00:00Z"}', 'inv-wms');
SELECT * FROM pool WHERE sku = 'RES-C';
SELECT kind, trace_key, state, resolution FROM sync.exception WHERE trace_key = 'RES-C@INV-1';
-- shipped beyond what is wanted: taken as it is, and told
SELECT distsync_internal.inventory_ship(item_id, site_id, 'INV/O-2/1', 5, '2024-01-10T15:00:00Z', 'inv-wms', 'S-2') FROM c;
SELECT kind, trace_key, state, delta FROM sync.exception WHERE trace_key LIKE 'INV/O-2/1%';
-- giving back: never more than there is
SELECT outcome FROM c, distsync_internal.inventory_reserve(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', c.item_id, 'base_quantity', 5, 'demand_key', 'INV/O-3/1')), '{"commit":true}');
SELECT distsync_internal.inventory_release('INV/O-3/1', 2), distsync_internal.inventory_release('INV/O-3/1', 100), distsync_internal.inventory_release('INV/O-3/1');
SELECT * FROM pool WHERE sku = 'RES-C';
SELECT * FROM demand;
-- shipments may come as stock events that name the demand
SELECT outcome FROM c, distsync_internal.inventory_reserve(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', c.item_id, 'base_quantity', 4, 'demand_key', 'INV/O-4/1')), '{"commit":true}');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"r7","kind":"ship","sku":"RES-C","site":"INV-1","quantity":4,"event_at":"2024-01-10T16:00:00Z","reference":"INV/O-4/1"}', 'inv-wms');
SELECT * FROM pool WHERE sku = 'RES-C';
SELECT state, shipped FROM dist.reservation WHERE demand_key = 'INV/O-4/1';
SELECT * FROM broken;
-- the owner of a line wants more than there is: who asks for it is answered
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"r8","kind":"count","sku":"RES-D","site":"INV-1","quantity":5,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"INV/O-5/1","sku":"RES-D","site":"INV-1","ordered":8}', 'inv-wms');
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"RES-D","quantity":8,"demand_key":"INV/O-5/1"}]', '{"commit":true}');
-- what is short once is not given to two lines of a call
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-D","sku":"RES-D","site":"INV-1","quantity":5,"expected_at":"2197-01-01T00:00:00Z"}', 'inv-wms');
SELECT outcome FROM distsync.apply_all('demand', '[{"demand_key":"INV/O-5/1","sku":"RES-D","site":"INV-1","ordered":0},
	{"demand_key":"INV/O-5/2","sku":"RES-D","site":"INV-1","ordered":5,"required_at":"2198-01-01T00:00:00Z"},{"demand_key":"INV/O-5/3","sku":"RES-D","site":"INV-1","ordered":5,"required_at":"2199-01-01T00:00:00Z"}]', 'inv-wms');
SELECT atp FROM distsync.atp('RES-D');
SELECT ordinal, outcome, quantity, available FROM distsync.reserve('[{"item":"RES-D","quantity":5,"demand_key":"INV/O-5/2"},{"item":"RES-D","quantity":5,"demand_key":"INV/O-5/3"}]', '{"commit":true,"mode":"take_up_to"}');
SELECT * FROM pool WHERE sku = 'RES-D';
SELECT * FROM broken;
-- books changed by hand: verify() tells, a rebuild mends
BEGIN;
UPDATE dist.stock_balance b SET quantity = quantity + 1 FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'RES-C';
UPDATE dist.stock_pool p SET held = held + 1, shortfall = shortfall + 1 FROM dist.item i WHERE i.item_id = p.item_id AND i.sku = 'RES-B';
SELECT invariant, entity_key FROM broken ORDER BY 1, 2;
SELECT distsync_internal.inventory_rebuild('RES-C') AS pools, distsync_internal.inventory_rebuild('RES-B', 'INV-1') AS pool;
SELECT invariant, entity_key FROM broken ORDER BY 1, 2;
ROLLBACK;
-- a plain call takes the short way, also for several lines, sites and units, and where it is refused; any other one is decided as a whole, before anything is written
CREATE FUNCTION pg_temp.by_hand(lines jsonb, options jsonb DEFAULT '{}') RETURNS TABLE (outcomes text, whole bigint) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT COALESCE(sum(calls), 0) FROM pg_stat_xact_user_functions WHERE funcname = 'inventory_reserve_whole');
BEGIN
	outcomes := (SELECT string_agg(r.outcome || ' ' || r.quantity || ' ' || r.unit, ', ' ORDER BY r.ordinal, r.site) FROM distsync.reserve(by_hand.lines, by_hand.options) r);
	whole := (SELECT COALESCE(sum(calls), 0) FROM pg_stat_xact_user_functions WHERE funcname = 'inventory_reserve_whole') - before;
	RETURN NEXT;
END
$$;
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"r9","kind":"count","sku":"RES-A","site":"INV-1","quantity":50,"event_at":"2024-01-11T10:00:00Z"}, {"event_id":"r10","kind":"count","sku":"RES-A","site":"INV-2","quantity":50,"event_at":"2024-01-11T10:00:00Z"}]', 'inv-wms');
SET track_functions = 'all';
BEGIN;
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1,"site":"INV-1"}]');
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":60},{"item":"RES-A","quantity":1.5,"site":"INV-2"}]', '{"commit":true,"ttl":"1 hour","holder":"by hand","idempotency_key":"by hand"}');
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1000}]');
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1000,"site":"INV-1"}]', '{"mode":"take_up_to"}');
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1,"demand_key":"INV/O-9/1"}]');
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1,"demand_key":"INV/O-9/1"}]');
SELECT * FROM broken;
ROLLBACK;
-- triggers and defaults of users are heard: the short way is closed to them
BEGIN;
CREATE FUNCTION pg_temp.count_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'a row of %', TG_TABLE_NAME; RETURN NULL; END $$;
CREATE TRIGGER res_trg AFTER INSERT ON dist.reservation FOR EACH ROW EXECUTE FUNCTION pg_temp.count_rows();
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1,"site":"INV-1"}]');
DROP TRIGGER res_trg ON dist.reservation;
ALTER TABLE dist.reservation ADD colour text DEFAULT 'red';
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1,"site":"INV-1"}]');
\set VERBOSITY terse
ALTER TABLE dist.reservation ALTER colour DROP DEFAULT, ADD CONSTRAINT res_colour_chk CHECK (colour IS NOT NULL);
SELECT * FROM pg_temp.by_hand('[{"item":"RES-A","quantity":1,"site":"INV-1"}]');
ROLLBACK;
\set VERBOSITY default
