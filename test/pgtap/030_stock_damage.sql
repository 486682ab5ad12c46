-- Each check of verify() over stock, proved by damage: what it watches is broken by hand, and it names that, and nothing else does that should not. A
-- check that has no damage here fails the test.
BEGIN;
SELECT plan(6);
SET LOCAL client_min_messages = warning;

-- a small world in which everything is right: two sites and both perspectives, a hold, a commitment, a kit, a quota, a numbered stream, a hot item
CREATE TEMP TABLE done AS SELECT distsync.add_system('dmg-erp', 'erp') AS x UNION ALL SELECT distsync.add_system('dmg-wms', 'wms');
INSERT INTO done SELECT 1 FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
INSERT INTO done SELECT 1 FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
INSERT INTO done SELECT 1 FROM distsync.apply('company', '{"code":"DMG","name":"d","currency":"USD"}', 'distsync');
INSERT INTO done SELECT 1 FROM distsync.apply_all('site', '[{"code":"DMG-1","name":"one","company":"DMG"},{"code":"DMG-2","name":"two","company":"DMG"}]', 'distsync');
INSERT INTO done SELECT 1 FROM distsync.apply_all('item', '[{"sku":"DMG-A","base_unit":"EA"},{"sku":"DMG-B","base_unit":"EA"},{"sku":"DMG-H","base_unit":"EA"},{"sku":"DMG-I","base_unit":"EA"}]', 'distsync');
INSERT INTO done SELECT 1 FROM distsync.apply('item', '{"sku":"DMG-K","base_unit":"EA","kit":true,"components":[{"sku":"DMG-A","quantity":2},{"sku":"DMG-B","quantity":1}]}', 'distsync');
INSERT INTO done SELECT 1 FROM distsync.apply_all('stock_event', '[{"event_id":"1","kind":"count","sku":"DMG-A","site":"DMG-1","quantity":100,"event_at":"2024-01-01T00:00:00Z","stream":"s","sequence":1},
	{"event_id":"2","kind":"count","sku":"DMG-B","site":"DMG-1","quantity":100,"event_at":"2024-01-01T00:00:00Z","stream":"s","sequence":2},
	{"event_id":"3","kind":"count","sku":"DMG-H","site":"DMG-1","quantity":100,"event_at":"2024-01-01T00:00:00Z","stream":"s","sequence":4}]', 'dmg-wms');
INSERT INTO done SELECT 1 FROM distsync.apply('stock_event', '{"event_id":"1","kind":"count","sku":"DMG-A","site":"DMG-1","quantity":100,"event_at":"2024-01-01T00:00:00Z"}', 'dmg-erp');
INSERT INTO done SELECT 1 FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO","sku":"DMG-A","site":"DMG-1","quantity":5,"expected_at":"2999-01-01T00:00:00Z"}', 'dmg-erp');
INSERT INTO done SELECT 1 FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO","sku":"DMG-I","site":"DMG-1","quantity":5,"expected_at":"2999-01-01T00:00:00Z"}', 'dmg-erp');
INSERT INTO done SELECT 1 FROM distsync.reserve('[{"item":"DMG-I","quantity":4,"site":"DMG-1"}]', '{"holder":"dmg","mode":"one_date","ttl":"1 day"}');
INSERT INTO done SELECT 1 FROM distsync.apply('stock_quota', '{"sku":"DMG-B","scope_kind":"collective","quantity":50}', 'dmg-erp');
INSERT INTO done SELECT 1 FROM distsync.reserve('[{"item":"DMG-A","quantity":4,"site":"DMG-1","demand_key":"DMG/1/1"}]', '{"holder":"dmg","commit":true}');
INSERT INTO done SELECT 1 FROM distsync.reserve('[{"item":"DMG-A","quantity":3,"site":"DMG-1"},{"item":"DMG-B","quantity":3,"site":"DMG-1"}]', '{"holder":"dmg","ttl":"1 day"}');
INSERT INTO done SELECT 1 FROM distsync.reserve('[{"item":"DMG-K","quantity":2,"site":"DMG-1"}]', '{"holder":"dmg","ttl":"2 days"}');
INSERT INTO done SELECT 1 FROM distsync.apply('stock_event', '{"event_id":"5","kind":"ship","sku":"DMG-A","site":"DMG-1","quantity":1,"reference":"DMG/1/1","event_at":"2024-01-02T00:00:00Z","stream":"s","sequence":5}', 'dmg-wms');
INSERT INTO done SELECT distsync_internal.inventory_deal(p.item_id, p.site_id, 1, true) FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'DMG-H';
INSERT INTO done SELECT 1 FROM distsync.reserve('[{"item":"DMG-H","quantity":1,"site":"DMG-1"}]', '{"holder":"dmg","ttl":"1 day"}');

-- damage: the check that must notice, and what is done by hand. CHECKs are off, as they would be in a restored copy that lost them.
CREATE TEMP TABLE damage (check_name text NOT NULL, statement text NOT NULL);
INSERT INTO damage VALUES
	('fold of the stock events equals the balance', $$UPDATE dist.stock_balance SET quantity = quantity + 0.000001 WHERE item_id = pg_temp.item('DMG-A') AND perspective = 'book'$$),
	('fold of the stock events equals the balance', $$DELETE FROM dist.stock_balance WHERE item_id = pg_temp.item('DMG-B')$$),
	('fold of the stock events equals the balance', $$DELETE FROM dist.stock_event WHERE item_id = pg_temp.item('DMG-A') AND kind = 'ship'$$),
	('what is in flight follows from what was told', $$UPDATE dist.stock_in_flight SET phys = phys - 1 WHERE item_id = pg_temp.item('DMG-A')$$),
	('what is in flight follows from what was told', $$DELETE FROM dist.stock_in_flight WHERE item_id = pg_temp.item('DMG-A')$$),
	('a pool keeps the terms of its stock, supply and demand', $$UPDATE dist.stock_pool SET cap = cap + 1 WHERE item_id = pg_temp.item('DMG-A')$$),
	('a pool keeps the terms of its stock, supply and demand', $$UPDATE dist.stock_pool SET ruled = false WHERE item_id = pg_temp.item('DMG-B')$$),
	('a pool keeps the terms of its stock, supply and demand', $$UPDATE dist.stock_pool SET low = low - 1, due = due - 1 WHERE item_id = pg_temp.item('DMG-A')$$),
	('a pool is looked at again when the first thing of it turns', $$UPDATE dist.stock_pool SET valid_until = NULL WHERE item_id = pg_temp.item('DMG-A')$$),
	('a pool is looked at again when the first thing of it turns', $$UPDATE dist.stock_pool SET valid_until = valid_until + interval '1 microsecond' WHERE item_id = pg_temp.item('DMG-B')$$),
	('a pool is looked at again when the first thing of it turns', $$UPDATE dist.stock_pool SET cap_until = NULL WHERE item_id = pg_temp.item('DMG-A')$$),
	('the gap of a stream is the first number that is missing', $$UPDATE dist.stock_stream SET gap_from = NULL, gap_since = NULL WHERE source = 'dmg-wms' AND stream = 's'$$),
	('the gap of a stream is the first number that is missing', $$UPDATE dist.stock_stream SET next_sequence = 2 WHERE source = 'dmg-wms' AND stream = 's'$$),
	('held and committed of a pool are the sum of its live reservations', $$UPDATE dist.stock_pool SET held = held + 1 WHERE item_id = pg_temp.item('DMG-A')$$),
	('held and committed of a pool are the sum of its live reservations', $$UPDATE dist.stock_pool SET committed = committed - 1 WHERE item_id = pg_temp.item('DMG-A')$$),
	('held and committed of a pool are the sum of its live reservations', $$DELETE FROM dist.reservation WHERE item_id = pg_temp.item('DMG-B') AND kit_id IS NULL$$),
	('held and committed of a pool are the sum of its live reservations', $$UPDATE dist.stock_pool_slot SET held = held + 0.5 WHERE item_id = pg_temp.item('DMG-H') AND slot = 0$$),
	('nothing is promised beyond cap, backorder allowance and shortfall, and a shortfall has a cause', $$UPDATE dist.stock_pool SET held = 1000 WHERE item_id = pg_temp.item('DMG-A')$$),
	('nothing is promised beyond cap, backorder allowance and shortfall, and a shortfall has a cause', $$UPDATE dist.stock_pool SET shortfall = 1 WHERE item_id = pg_temp.item('DMG-A')$$),
	('what is promised for a later date is covered by then, and by nothing that others are promised', $$UPDATE dist.supply SET quantity = 3 WHERE item_id = pg_temp.item('DMG-I')$$),
	('what is promised for a later date is covered by then, and by nothing that others are promised', $$UPDATE dist.reservation SET promised_at = '2998-01-01' WHERE item_id = pg_temp.item('DMG-I')$$),
	('a pool keeps the terms of its stock, supply and demand', $$UPDATE dist.stock_pool SET inbound = inbound - 1 WHERE item_id = pg_temp.item('DMG-I')$$),
	('a pool whose promises wait says so', $$UPDATE dist.stock_pool SET waiting = false WHERE item_id = pg_temp.item('DMG-I')$$),
	('what a pool has dealt out are the shares of its slots', $$UPDATE dist.stock_pool SET dealt = dealt - 1 WHERE item_id = pg_temp.item('DMG-H')$$),
	('what a pool has dealt out are the shares of its slots', $$UPDATE dist.stock_pool SET slots = 0 WHERE item_id = pg_temp.item('DMG-H')$$),
	('no more is promised from a quota than it has', $$UPDATE dist.stock_quota SET quantity = 1, consumed = 0 WHERE item_id = pg_temp.item('DMG-B')$$),
	('what has left of a quota is no less than its reservations have shipped', $$UPDATE dist.reservation SET committed = quantity, shipped = 1, state = 'committed', expires_at = NULL WHERE item_id = pg_temp.item('DMG-B') AND kit_id IS NULL$$),
	('no more of a reservation is shipped than committed, and its state agrees', $$UPDATE dist.reservation SET state = 'shipped', ended_at = now() WHERE item_id = pg_temp.item('DMG-A') AND shipped = 1$$),
	('no more of a reservation is shipped than committed, and its state agrees', $$UPDATE dist.reservation SET ended_at = now() WHERE item_id = pg_temp.item('DMG-B') AND state = 'held'$$),
	('no more of a reservation is shipped than committed, and its state agrees', $$UPDATE dist.reservation SET state = 'released', ended_at = now() WHERE item_id = pg_temp.item('DMG-A') AND shipped = 1$$),
	('what a demand says is reserved are its reservations', $$UPDATE dist.demand SET reserved = 5 WHERE demand_key = 'DMG/1/1'$$),
	('what has shipped of reservations has shipped of their demand', $$UPDATE dist.demand SET shipped = 0 WHERE demand_key = 'DMG/1/1'$$),
	('a demand is open as long as something of it is owed', $$UPDATE dist.demand SET status = 'done' WHERE demand_key = 'DMG/1/1'$$),
	('a kit is promised whole', $$UPDATE dist.reservation SET quantity = 3 WHERE kit_id IS NOT NULL AND item_id = pg_temp.item('DMG-A')$$),
	('a kit is promised whole', $$UPDATE dist.reservation SET committed = 1 WHERE kit_id IS NOT NULL AND item_id = pg_temp.item('DMG-B')$$),
	('a kit is promised whole', $$UPDATE dist.reservation SET state = 'released', ended_at = now() WHERE kit_id IS NOT NULL AND item_id = pg_temp.item('DMG-B')$$),
	('a kit is promised whole', $$DELETE FROM dist.reservation WHERE kit_id IS NOT NULL AND reservation_id = kit_group$$);
CREATE FUNCTION pg_temp.item(code text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT i.item_id FROM dist.item i WHERE i.sku = code $$;
CREATE FUNCTION pg_temp.found() RETURNS text[] LANGUAGE sql VOLATILE AS $$
	SELECT array_agg(DISTINCT v.invariant ORDER BY v.invariant) FROM (SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises()) v $$;
-- noticed does a damage, looks what is found, and undoes it.
CREATE FUNCTION pg_temp.noticed(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	found text[];
	n integer;
BEGIN
	EXECUTE statement;
	GET DIAGNOSTICS n = ROW_COUNT;
	found := CASE WHEN n = 0 THEN '{nothing was damaged}' ELSE pg_temp.found() END;
	RAISE EXCEPTION USING ERRCODE = 'RB001';
EXCEPTION WHEN SQLSTATE 'RB001' THEN
	RETURN found;
END
$$;
SELECT is(pg_temp.found(), NULL, 'nothing is wrong before');
ALTER TABLE dist.stock_pool DROP CONSTRAINT stock_pool_chk;
ALTER TABLE dist.stock_pool_slot DROP CONSTRAINT stock_pool_slot_chk;
ALTER TABLE dist.reservation DROP CONSTRAINT reservation_quantity_chk;
CREATE TEMP TABLE seen AS SELECT d.check_name, d.statement, pg_temp.noticed(d.statement) AS found FROM damage d;
SELECT is_empty($$SELECT check_name, statement, found FROM seen WHERE NOT check_name = ANY (COALESCE(found, '{}'))$$, 'each damage is named by the check that watches for it');
SELECT isnt_empty($$SELECT FROM dist.stock_pool_slot WHERE item_id = pg_temp.item('DMG-H')$$, 'slots were among what was damaged');
-- the names of all checks, from the functions that verify() calls
SELECT set_eq($$SELECT DISTINCT m[1] FROM pg_proc p, regexp_matches(p.prosrc, '(?:SELECT |\(|\t)''([a-z][^'']{15,})'',', 'g') m
	WHERE p.proname IN ('inventory_verify_stock', 'inventory_verify_promises', 'inventory_verify_demand')$$, 'SELECT DISTINCT check_name FROM damage', 'each check has a damage');
SELECT set_eq($$SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'verify' AND h.function LIKE '%.inventory\_verify%'$$,
	ARRAY['distsync_internal.inventory_verify_stock', 'distsync_internal.inventory_verify_promises'], 'verify() calls them all');
SELECT is(pg_temp.found(), NULL, 'and nothing is wrong behind');

SELECT * FROM finish();
ROLLBACK;
