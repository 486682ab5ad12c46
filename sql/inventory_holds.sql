-- Kits are promised, committed and given back as a whole; many reservations at once; their status.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"HLD-X","base_unit":"EA"},{"sku":"HLD-Y","base_unit":"EA"},{"sku":"HLD-Z","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"HLD-IN","base_unit":"EA","kit":true,"components":[{"sku":"HLD-Y","quantity":2}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"HLD-K","base_unit":"EA","kit":true,"units":[{"unit":"INV-BX","numerator":2,"denominator":1}],"components":[{"sku":"HLD-X","quantity":3},{"sku":"HLD-IN","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"HLD-NONE","base_unit":"EA","kit":true}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"hld1","kind":"count","sku":"HLD-X","site":"INV-1","quantity":20,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"hld2","kind":"count","sku":"HLD-Y","site":"INV-1","quantity":9,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"hld3","kind":"count","sku":"HLD-X","site":"INV-2","quantity":8,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"hld4","kind":"count","sku":"HLD-Y","site":"INV-2","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"hld5","kind":"count","sku":"HLD-Z","site":"INV-1","quantity":100,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
\o
CREATE TEMP VIEW pool AS SELECT i.sku, s.code AS site, p.cap, p.held, p.committed FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'HLD-%' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
CREATE FUNCTION pg_temp.of(who text) RETURNS bigint LANGUAGE sql AS $$ SELECT max(reservation_id) FROM dist.reservation WHERE holder = who $$;
CREATE FUNCTION pg_temp.parts(detail jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_agg(c - 'reservation_id' ORDER BY c->>'item') FROM jsonb_array_elements(detail->'components') c $$;

-- four at one site, two at the other, never one out of both; a component asked for beside it draws on the same stock, in the order of the lines
SELECT ordinal, outcome, item, site, quantity, available FROM distsync.reserve('[{"item":"HLD-K","quantity":7}]', '{"holder":"k0"}');
SELECT ordinal, outcome, item, site, quantity, unit, available, pg_temp.parts(detail) AS parts FROM distsync.reserve('[{"item":"HLD-K","quantity":1,"unit":"INV-BX"}]', '{"holder":"k1"}');
SELECT ordinal, outcome, item, site, quantity, available FROM distsync.reserve('[{"item":"HLD-K","quantity":2,"site":"INV-1"},{"item":"HLD-Y","quantity":2,"site":"INV-1"}]', '{"holder":"k2"}');
SELECT ordinal, outcome, item, site, quantity, available, pg_temp.parts(detail) AS parts FROM distsync.reserve('[{"item":"HLD-Y","quantity":1,"site":"INV-1"},{"item":"HLD-K","quantity":9}]', '{"holder":"k2","mode":"take_up_to","ttl":"1 hour"}');
SELECT * FROM pool;
SELECT state, item, site, quantity, detail->>'kit' AS kit, detail->'per_kit' AS per, detail->>'kit_reservation' = reservation_id::text AS head FROM distsync.reservation_status(NULL, '{"holder":"k2"}');
SELECT * FROM broken;
-- any component names the kit, quantities are whole kits
SELECT item, state, quantity, committed FROM distsync.commit_reservation(pg_temp.of('k1'), 1, '{"keep_rest":true}');
\set VERBOSITY sqlstate
SELECT item, state, quantity, committed FROM distsync.commit_reservation(pg_temp.of('k1'), 0.5);
\echo :LAST_ERROR_SQLSTATE
SELECT item, state, quantity, committed FROM distsync.release_reservation(pg_temp.of('k1'), 2);
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT count(DISTINCT expires_at) AS instants, min(expires_at) > now() + interval '50 minutes' AS extended FROM distsync.extend_reservation(pg_temp.of('k1'), '1 hour');
SELECT item, state, quantity, committed FROM distsync.release_reservation(pg_temp.of('k1'));
SELECT item, state, quantity, committed FROM distsync.release_reservation(pg_temp.of('k1'), 1, '{"void":true,"reason":"cancelled"}');
SELECT * FROM pool;
SELECT * FROM broken;
-- what cannot be
SELECT * FROM distsync.reserve('[{"item":"HLD-K","quantity":1.5}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"HLD-NONE","quantity":1}]');
\echo :LAST_ERROR_SQLSTATE
-- a quota of a component binds the kit
SELECT outcome FROM distsync.apply('stock_quota', '{"sku":"HLD-X","scope_kind":"collective","quantity":5}', 'inv-erp');
SELECT outcome, available FROM distsync.reserve('[{"item":"HLD-K","quantity":2}]', '{"holder":"k3"}');
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"HLD-K","quantity":2}]', '{"holder":"k3","mode":"take_up_to"}');
SELECT q.consumed FROM dist.stock_quota q JOIN dist.item i USING (item_id) WHERE i.sku = 'HLD-X';
SELECT * FROM broken;

-- many at once: one wrong line and nothing is done, unless the others shall be; named twice is wrong
SELECT outcome FROM distsync.reserve('[{"item":"HLD-Z","quantity":5},{"item":"HLD-Z","quantity":6},{"item":"HLD-Z","quantity":7}]', '{"holder":"z"}');
CREATE FUNCTION pg_temp.lines(VARIADIC quantities numeric[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_agg(jsonb_build_object('reservation_id', r.reservation_id, 'quantity', quantities[r.n]) ORDER BY r.n)
	FROM (SELECT reservation_id, row_number() OVER (ORDER BY reservation_id) AS n FROM dist.reservation WHERE holder = 'z') r WHERE r.n <= cardinality(quantities) $$;
\set VERBOSITY sqlstate
SELECT * FROM distsync.commit_reservations(pg_temp.lines(1, 99));
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT held, committed FROM pool WHERE sku = 'HLD-Z';
SELECT ordinal, outcome, state, quantity, committed, sqlstate, field, hint FROM distsync.commit_reservations(pg_temp.lines(1, 99, NULL) || '[{"reservation_id":-5},{"reservation_id":0,"quantity":"x"},7]', '{"on_error":"collect","keep_rest":true,"source":"inv-wms","idempotency_key":"many"}');
SELECT ordinal, outcome, state FROM distsync.commit_reservations(pg_temp.lines(1, 99, NULL) || '[{"reservation_id":-5},{"reservation_id":0,"quantity":"x"},7]', '{"on_error":"collect","keep_rest":true,"source":"inv-wms","idempotency_key":"many"}');
SELECT held, committed FROM pool WHERE sku = 'HLD-Z';
SELECT ordinal, outcome, sqlstate FROM distsync.release_reservations(pg_temp.lines(1) || pg_temp.lines(1), '{"on_error":"collect"}');
-- a quantity has at most twenty digits before the point and after it
SELECT ordinal, outcome, sqlstate, field FROM distsync.release_reservations((SELECT jsonb_agg(jsonb_build_object('reservation_id', l->'reservation_id', 'quantity', q)) FROM (SELECT l, CASE row_number() OVER () WHEN 1 THEN 1.000000000000000000000 ELSE 1e20 END AS q FROM jsonb_array_elements(pg_temp.lines(NULL, NULL)) l) x), '{"on_error":"collect"}');
\set VERBOSITY sqlstate
SELECT * FROM distsync.release_reservations(pg_temp.lines(1), '{"holder":"somebody"}');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT * FROM distsync.release_reservations('{}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.release_reservations(NULL, '{"on_error":"maybe"}');
\echo :LAST_ERROR_SQLSTATE
-- all that a holder holds, kits included; then all of it
SELECT ordinal, outcome, state, quantity, committed FROM distsync.release_reservations(NULL, '{"holder":"z"}');
SELECT ordinal, outcome, state, quantity, committed FROM distsync.release_reservations(NULL, '{"holder":"z","void":true}');
SELECT ordinal, outcome, state, quantity, committed FROM distsync.commit_reservations(NULL, '{"holder":"k2"}');
SELECT count(*) FROM distsync.commit_reservations(NULL, '{"holder":"nobody"}');
SELECT * FROM pool;
SELECT * FROM broken;
-- status: by item and site, a page at a time; by number
SELECT item, site, state, quantity FROM distsync.reservation_status(NULL, '{"item":"HLD-X"}');
SELECT count(*) FROM distsync.reservation_status(NULL, '{"item":"HLD-X","site":"INV-1","holder":"k2","limit":1}');
SELECT item, site FROM distsync.reservation_status(NULL, '{"holder":"k2","limit":2}') ORDER BY 1, 2;
SELECT count(*) FROM (SELECT max(reservation_id) AS id FROM distsync.reservation_status(NULL, '{"holder":"k2","limit":2}')) a, distsync.reservation_status(NULL, jsonb_build_object('holder', 'k2', 'after', a.id));
SELECT state, quantity FROM (SELECT jsonb_agg(reservation_id) AS ids FROM dist.reservation WHERE holder = 'z') a, distsync.reservation_status(NULL, jsonb_build_object('ids', a.ids));
SELECT count(*) FROM distsync.reservation_status();
SELECT * FROM distsync.reservation_status(NULL, '{"item":"HLD-NOT"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reservation_status(NULL, '{"ids":["x"]}');
\echo :LAST_ERROR_SQLSTATE
-- a hold that was committed in part and is over: what is committed can be voided, whether or not somebody has swept it
\o /dev/null
SELECT * FROM distsync.apply('item', '{"sku":"HLD-O","base_unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"hld-over","kind":"receive","sku":"HLD-O","site":"INV-1","quantity":3,"event_at":"2024-01-20T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.reserve('[{"item":"HLD-O","quantity":3,"site":"INV-1"}]', '{"holder":"over","ttl":"50 milliseconds"}');
SELECT * FROM distsync.commit_reservation(pg_temp.of('over'), 1, '{"keep_rest":true}');
SELECT pg_sleep(0.06);
\o
BEGIN;
SELECT state, quantity, committed FROM distsync.release_reservation(pg_temp.of('over'), NULL, '{"void":true}');
ROLLBACK;
\set VERBOSITY sqlstate
SELECT * FROM distsync.extend_reservation(pg_temp.of('over'));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.inventory_sweep(1000) IS NOT NULL AS swept;
SELECT * FROM distsync.extend_reservation(pg_temp.of('over'));
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT state, quantity, committed FROM distsync.release_reservation(pg_temp.of('over'), NULL, '{"void":true}');
SELECT * FROM broken;
