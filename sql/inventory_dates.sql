-- Dates: calendars, cut-off, special days, transit by carrier and zone, vendors' lead time.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('calendar', '[{"code":"DAT-US","tz":"America/New_York","weekdays":[1,2,3,4,5],"cut_off":"15:00","days":[{"day":"2030-01-01","open":false},{"day":"2030-01-05","open":true,"cut_off":"12:00"}]},
	{"code":"DAT-ROAD","tz":"America/New_York","weekdays":[1,2,3,4,5]},{"code":"DAT-NEVER","weekdays":[]}]', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"DAT-1","company":"INV","calendar":"DAT-US","rank":1},{"code":"DAT-2","company":"INV","rank":2},{"code":"DAT-N","company":"INV","calendar":"DAT-NEVER","rank":3},{"code":"DAT-V","company":"INV","kind":"vendor","calendar":"DAT-US","rank":9}]', 'distsync');
SELECT * FROM distsync.apply_all('carrier', '[{"code":"DAT-GO","calendar":"DAT-ROAD","transit":[{"site":"DAT-1","zone":"US","days":4},{"site":"DAT-1","zone":"US-NY","days":1},{"site":"DAT-2","zone":"US","days":2}]},{"code":"DAT-AIR","transit":[{"site":"DAT-1","zone":"US","days":2}]}]', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"DAT-NYC","name":"n","address":{"country":"US","region":"NY"}},{"code":"DAT-LA","name":"l","address":{"country":"US","region":"CA"}},{"code":"DAT-FAR","name":"f","address":{"country":"NZ"}}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"DAT-A","base_unit":"EA"},{"sku":"DAT-V","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"dat1","kind":"count","sku":"DAT-A","site":"DAT-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"dat2","kind":"count","sku":"DAT-A","site":"DAT-2","quantity":5,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"dat3","kind":"count","sku":"DAT-V","site":"DAT-V","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"dat4","kind":"count","sku":"DAT-V","site":"DAT-N","quantity":1,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-D/1","sku":"DAT-A","site":"DAT-1","quantity":10,"expected_at":"2030-01-04T12:00:00Z"}', 'inv-erp');
\o
-- days of the calendar: before the cut-off and at it, over the holiday, over a weekend with a Saturday that is open
SELECT t AS ordered, s.* FROM unnest(ARRAY['2029-12-31T19:59:59Z', '2029-12-31T20:00:00Z', '2030-01-01T12:00:00Z', '2030-01-04T21:00:00Z', '2030-01-05T17:00:00Z']::timestamptz[]) t,
	dist.site x, distsync_internal.inventory_ship_at(x.site_id, t, 0) s WHERE x.code = 'DAT-1';
SELECT n AS ship_days, s.* FROM unnest(ARRAY[1, 3, 10]) n, dist.site x, distsync_internal.inventory_ship_at(x.site_id, '2029-12-31T12:00:00Z', n) s WHERE x.code = 'DAT-1';
SELECT x.code, s.* FROM dist.site x, distsync_internal.inventory_ship_at(x.site_id, '2029-12-31T12:00:00Z', 2) s WHERE x.code IN ('DAT-2', 'DAT-N') ORDER BY 1;
-- an order for a day in the future, and what is delivered then: the nearest zone counts, then the quickest carrier, or the one asked for
SELECT o, outcome, available_at, ship_at, deliver_on, detail FROM unnest('{"{}","{\"ship_to\":\"DAT-NYC\"}","{\"ship_to\":\"DAT-LA\"}","{\"ship_to\":\"DAT-LA\",\"carrier\":\"DAT-GO\"}","{\"zone\":\"US-NY\",\"carrier\":\"DAT-GO\"}","{\"ship_to\":\"DAT-FAR\"}"}'::jsonb[]) o,
	distsync.atp('DAT-A', 10, NULL, 'DAT-1', '2029-12-31T20:30:00Z', o);
-- what comes later ships later; over sites the first that has it all, or the last that is needed
SELECT outcome, available_at, ship_at, deliver_on FROM distsync.atp('DAT-A', 20, NULL, 'DAT-1', '2029-12-31T12:00:00Z', '{"ship_to":"DAT-NYC"}');
SELECT q, outcome, ship_at, deliver_on, detail FROM unnest(ARRAY[4, 8, 15]) q, distsync.atp('DAT-A', q, NULL, NULL, '2029-12-31T12:00:00Z', '{"zone":"US"}');
-- a vendor ships after its lead time
SELECT outcome FROM distsync.apply('item_site', '{"sku":"DAT-V","site":"DAT-V","ship_days":3}', 'inv-erp');
SELECT outcome, atp, available_at, ship_at FROM distsync.atp('DAT-V', 100, NULL, 'DAT-V', '2029-12-31T12:00:00Z');
SELECT outcome, atp, ship_at, available_at IS NOT NULL AS available FROM distsync.atp('DAT-V', 1, NULL, 'DAT-N');
-- an answer that is about now holds until the cut-off, and one for later does not care
SELECT valid_until = ship_at AS until_cut_off, ship_at > now() AS ahead, (ship_at AT TIME ZONE 'America/New_York')::time AS cut_off FROM distsync.atp('DAT-A', 1, NULL, 'DAT-1');
SELECT valid_until, ship_at FROM distsync.atp('DAT-A', 1, NULL, 'DAT-1', '2029-12-31T12:00:00Z');
SELECT outcome, ship_at = available_at AS at_once FROM distsync.atp('DAT-A', 1, NULL, 'DAT-2');
-- a site that does not ship
SELECT outcome FROM distsync.apply('site', '{"code":"DAT-2","can_ship":false}', 'distsync');
SELECT outcome, ship_at FROM distsync.atp('DAT-A', 1, NULL, 'DAT-2');
-- wrong input
SELECT * FROM distsync.atp('DAT-A', 1, NULL, NULL, NULL, '{"carrier":"NONE"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('DAT-A', 1, NULL, NULL, NULL, '{"ship_to":"NONE"}');
\echo :LAST_ERROR_SQLSTATE
