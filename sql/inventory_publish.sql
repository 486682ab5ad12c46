-- What channels are told: buffer, cap and threshold, modes, quotas, kits; news only, whatever changed it, and whatever time alone changed; again when asked.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT distsync.pause('regress: the test is the courier and the clerk');
SELECT distsync_internal.outbox_route(100000);
SELECT distsync_internal.inventory_sweep(10000), distsync_internal.inventory_turns(10000);
SELECT distsync_internal.outbox_route(100000);
SELECT * FROM distsync.apply_all('company', '[{"code":"PUB-CO","name":"c","currency":"USD"},{"code":"PUB-ZO","name":"z","currency":"USD"}]', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"PUB-1","company":"PUB-CO"},{"code":"PUB-2","company":"PUB-ZO"}]', 'distsync');
SELECT * FROM distsync.apply_all('channel', '[{"code":"PUB-SHOP","name":"s"},{"code":"PUB-EDI","name":"e","company":"PUB-CO"}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"PUB-A","base_unit":"EA"},{"sku":"PUB-B","base_unit":"EA"},{"sku":"PUB-C","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"PUB-K","base_unit":"EA","kit":true,"components":[{"sku":"PUB-B","quantity":2},{"sku":"PUB-C","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"PUB-KK","base_unit":"EA","kit":true,"components":[{"sku":"PUB-K","quantity":1}]}', 'distsync');
\o
SELECT COALESCE(max(position), 0) AS position INTO TEMP seen FROM sync.event;
-- told routes, and shows what is new about the items of this test: how many versions on, what all may sell, what the channels may
CREATE FUNCTION pg_temp.told() RETURNS TABLE (item text, atp text, sites text, channels text) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT s.position FROM seen s);
BEGIN
	PERFORM distsync_internal.outbox_route(100000);
	UPDATE seen SET position = (SELECT COALESCE(max(e.position), 0) FROM sync.event e);
	RETURN QUERY SELECT e.entity_key, trim_scale((d->>'atp')::numeric)::text, (SELECT string_agg(concat(s->>'site', ' ', trim_scale((s->>'atp')::numeric)), ', ') FROM jsonb_array_elements(d->'sites') s),
		(SELECT string_agg(concat(c->>'channel', ' ', trim_scale((c->>'quantity')::numeric)), ', ') FROM jsonb_array_elements(d->'channels') c)
	FROM (SELECT v.*, convert_from(v.body, 'UTF8')::jsonb->'data' AS d FROM sync.event v WHERE v.position > before AND v.event_type = 'stock.atp_changed' AND v.entity_key LIKE 'PUB-%') e ORDER BY e.entity_key;
END
$$;
CREATE FUNCTION pg_temp.said(channel text) RETURNS TABLE (item text, told numeric, would_be numeric) LANGUAGE sql AS $$ SELECT p.item_code, p.told, p.would_be_told FROM distsync.published_stock(channel) p $$;
-- pass lets time pass for the rows of this test: everything that is dated by then, with what the clerk has noted of it
CREATE FUNCTION pg_temp.pass(by interval) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	items bigint[] := ARRAY(SELECT i.item_id FROM dist.item i WHERE i.sku LIKE 'PUB-%');
BEGIN
	SET LOCAL session_replication_role = replica;
	UPDATE dist.stock_quota SET period = tstzrange(lower(period) - by, upper(period) - by), turns_at = turns_at - by WHERE item_id = ANY (items);
	UPDATE dist.reservation SET expires_at = expires_at - by WHERE item_id = ANY (items);
	UPDATE dist.supply SET expected_at = expected_at - by WHERE item_id = ANY (items);
	UPDATE dist.demand SET required_at = required_at - by WHERE item_id = ANY (items);
	UPDATE dist.stock_balance SET expires_on = expires_on - extract(day FROM by)::integer WHERE item_id = ANY (items);
	UPDATE dist.stock_pool SET valid_until = valid_until - by, cap_until = cap_until - by WHERE item_id = ANY (items);
	UPDATE dist.stock_stream SET last_received_at = last_received_at - by, gap_since = gap_since - by WHERE stream = 'pub';
	SET LOCAL session_replication_role = origin;
END
$$;
-- kits that no channel sells are nobody's news
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"pub1","kind":"count","sku":"PUB-A","site":"PUB-1","quantity":40,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"pub2","kind":"count","sku":"PUB-A","site":"PUB-2","quantity":8,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM pg_temp.told();
-- an item that comes into a channel; buffer, cap, threshold
SELECT outcome FROM distsync.apply_all('channel_item', '[{"channel":"PUB-SHOP","sku":"PUB-A","buffer":10,"cap":25,"threshold":5},{"channel":"PUB-EDI","sku":"PUB-A"}]', 'inv-erp');
SELECT * FROM pg_temp.said('PUB-SHOP');
SELECT * FROM pg_temp.told();
SELECT * FROM pg_temp.said('PUB-SHOP');
-- 0 is none, no cap is no limit; a threshold is reached at its number; never below 0
SELECT a, b, c, t, distsync_internal.inventory_shown(a, b, c, t) FROM (VALUES (10, 0, NULL::numeric, 0), (10, 0, 0, 0), (10, 3, NULL, 7), (10, 3, NULL, 8), (10, 3, 5, 7), (2, 3, NULL, 0), (0, 0, NULL, 0), (-4, 0, NULL, 0), (10.5, 0.25, NULL, 10.25)) v(a, b, c, t);
-- what changes no number that is told is no event: a change that is undone, a source that says the same again, a count that finds what is there
\o /dev/null
SELECT * FROM distsync.reserve('[{"item":"PUB-A","quantity":3}]', '{"holder":"pub-1"}');
SELECT * FROM dist.reservation r, distsync.release_reservation(r.reservation_id) WHERE r.holder = 'pub-1';
SELECT * FROM distsync.apply('stock_event', '{"event_id":"pub3","kind":"count","sku":"PUB-A","site":"PUB-1","quantity":40,"event_at":"2024-01-11T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"pub4","kind":"count","sku":"PUB-A","site":"PUB-1","state":"damaged","quantity":4,"event_at":"2024-01-11T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.apply('channel_item', '{"channel":"PUB-SHOP","sku":"PUB-A","cap":26,"buffer":10}', 'inv-erp');
SELECT * FROM distsync.apply('channel_item', '{"channel":"PUB-SHOP","sku":"PUB-A","cap":25}', 'inv-erp');
\o
SELECT * FROM pg_temp.told();
-- a thousand promises between two looks of the router are one event, and its version the next one
SELECT version FROM distsync.published_stock('PUB-SHOP', 'PUB-A') \gset before_
DO $$ BEGIN FOR i IN 1 .. 1000 LOOP PERFORM FROM distsync.reserve('[{"item":"PUB-A","site":"PUB-1","quantity":0.02}]', '{"holder":"pub-many"}'); COMMIT; END LOOP; END $$;
SELECT count(*) AS markers FROM sync.outbox_item o JOIN dist.item i ON i.item_id = o.item_id, sync.router_cursor c WHERE i.sku = 'PUB-A' AND c.router = 'main' AND NOT pg_visible_in_snapshot(o.xid, c.snapshot);
SELECT * FROM pg_temp.told();
SELECT version - :before_version AS versions FROM distsync.published_stock('PUB-SHOP', 'PUB-A');
-- rolled back: nothing
BEGIN;
SELECT outcome FROM distsync.reserve('[{"item":"PUB-A","quantity":3}]');
ROLLBACK;
SELECT * FROM pg_temp.told();
-- what items, sites and channels are: safety stock, a site that promises no longer, a channel of another company, another code
SELECT outcome FROM distsync.apply('item_site', '{"sku":"PUB-A","site":"PUB-1","safety":5}', 'inv-erp');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('site', '{"code":"PUB-2","can_promise":false}', 'distsync');
SELECT * FROM pg_temp.told();
UPDATE dist.site SET status = 'inactive' WHERE code = 'PUB-1';
SELECT * FROM pg_temp.told();
UPDATE dist.site SET status = 'active', can_promise = true WHERE code LIKE 'PUB-_';
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('channel', '{"code":"PUB-EDI","company":"PUB-ZO"}', 'distsync');
SELECT * FROM pg_temp.told();
UPDATE dist.channel SET name = 'no news' WHERE code = 'PUB-EDI';
UPDATE dist.site SET name = 'no news', rank = 7 WHERE code = 'PUB-1';
SELECT * FROM pg_temp.told();
-- a state of stock that may be promised, and no longer
UPDATE dist.stock_state SET promisable = true WHERE state = 'damaged';
SELECT * FROM pg_temp.told();
UPDATE dist.stock_state SET promisable = false WHERE state = 'damaged';
SELECT * FROM pg_temp.told();
-- shares: of the channel, of others; what begins and ends by time alone is marked by the clerk
SELECT outcome FROM distsync.apply_all('stock_quota', '[{"sku":"PUB-A","scope_kind":"channel","scope_key":"PUB-SHOP","quantity":9}]', 'inv-erp');
SELECT * FROM pg_temp.told();
SELECT p.told, a.atp, least(25, greatest(0, a.atp - 10)) AS shown FROM distsync.published_stock('PUB-SHOP', 'PUB-A') p, distsync.atp('PUB-A', 1, NULL, NULL, NULL, '{"channel":"PUB-SHOP"}') a;
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"PUB-SHOP","sku":"PUB-A","cap":null,"buffer":0,"threshold":0}', 'inv-erp');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.reserve('[{"item":"PUB-A","quantity":4}]', '{"channel":"PUB-SHOP","holder":"pub-quota"}');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('stock_quota', '{"sku":"PUB-A","scope_kind":"channel","scope_key":"PUB-SHOP"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('stock_quota', jsonb_build_object('sku', 'PUB-A', 'scope_kind', 'channel', 'scope_key', 'PUB-SHOP', 'quantity', 2, 'valid_from', clock_timestamp() + interval '12 hours', 'valid_to', clock_timestamp() + interval '36 hours'), 'inv-erp');
SELECT distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('1 day');
SELECT * FROM pg_temp.told();
SELECT entity_key FROM distsync_internal.outbox_untold(100000) WHERE entity_key LIKE 'PUB-%';
SELECT distsync_internal.inventory_turns_due() <= clock_timestamp() AS due, distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('1 day');
SELECT distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT distsync_internal.inventory_turns(100) AS done;
-- a hold that ends, a lot, supply that should have come, demand that is overdue for too long: the clerk looks after pools
SELECT outcome FROM distsync.reserve('[{"item":"PUB-A","quantity":6}]', '{"holder":"pub-hold","ttl":"12 hours"}');
\o /dev/null
SELECT * FROM distsync.apply('item_site', '{"sku":"PUB-A","site":"PUB-1","demand_fence_days":4}', 'inv-erp');
SELECT * FROM distsync.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'PO-P/1', 'sku', 'PUB-A', 'site', 'PUB-2', 'quantity', 20, 'expected_at', clock_timestamp() + interval '36 hours'), 'inv-erp');
SELECT * FROM distsync.apply('demand', '{"demand_key":"INV/P-1/1","sku":"PUB-A","site":"PUB-2","ordered":5,"required_at":"2999-01-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply('demand', jsonb_build_object('demand_key', 'INV/P-2/1', 'sku', 'PUB-A', 'site', 'PUB-1', 'ordered', 1, 'required_at', clock_timestamp() - interval '36 hours'), 'inv-erp');
SELECT * FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'pub5', 'kind', 'receive', 'sku', 'PUB-A', 'site', 'PUB-2', 'lot', 'L', 'quantity', 2, 'expires_on', (clock_timestamp() + interval '3 days')::date, 'event_at', '2024-01-12T10:00:00Z'), 'inv-wms');
\o
SELECT * FROM pg_temp.told();
-- the hold; the supply; the fence; the lot
SELECT pg_temp.pass('1 day'), distsync_internal.inventory_sweep(10000) > 0 AS swept;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('1 day'), distsync_internal.inventory_sweep(10000) > 0 AS swept;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('1 day'), distsync_internal.inventory_sweep(10000) > 0 AS swept;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('1 day'), distsync_internal.inventory_sweep(10000) > 0 AS swept;
SELECT * FROM pg_temp.told();
-- modes; a gap in the numbers of the warehouse counts after five seconds, silence at once; both end with the next look of the clerk
\o /dev/null
SELECT * FROM distsync.apply('stock_event', '{"event_id":"pub10","kind":"count","sku":"PUB-C","site":"PUB-1","quantity":50,"stream":"pub","sequence":1,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"pub11","kind":"count","sku":"PUB-C","site":"PUB-1","quantity":30,"event_at":"2024-01-10T10:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply_all('channel_item', '[{"channel":"PUB-SHOP","sku":"PUB-C","mode":"physical"},{"channel":"PUB-EDI","sku":"PUB-C","mode":"book"}]', 'inv-erp');
SELECT * FROM distsync.apply('channel', '{"code":"PUB-EDI","company":"PUB-CO"}', 'distsync');
\o
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"pub12","kind":"receive","sku":"PUB-C","site":"PUB-1","quantity":1,"stream":"pub","sequence":3,"event_at":"2024-01-10T11:00:00Z"}', 'inv-wms');
SELECT distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('5 seconds');
SELECT distsync_internal.inventory_turns_due() <= clock_timestamp() AS due, distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"pub13","kind":"receive","sku":"PUB-C","site":"PUB-1","quantity":1,"stream":"pub","sequence":2,"event_at":"2024-01-10T11:00:00Z"}', 'inv-wms');
SELECT distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT pg_temp.pass('1 day');
SELECT distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"pub14","kind":"receive","sku":"PUB-B","site":"PUB-1","quantity":1,"stream":"pub","sequence":4,"event_at":"2024-01-10T11:00:00Z"}', 'inv-wms');
SELECT distsync_internal.inventory_turns(100) AS done;
SELECT * FROM pg_temp.told();
-- a kit is told when a component changes, once, and by its own rows; with the components of kits in it
\o /dev/null
SELECT * FROM distsync.apply('stock_event', '{"event_id":"pub20","kind":"count","sku":"PUB-B","site":"PUB-1","quantity":21,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"pub21","kind":"count","sku":"PUB-B","site":"PUB-2","quantity":9,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.apply_all('channel_item', '[{"channel":"PUB-SHOP","sku":"PUB-K","buffer":1},{"channel":"PUB-SHOP","sku":"PUB-KK","mode":"physical"}]', 'inv-erp');
\o
SELECT * FROM pg_temp.told();
SELECT a.atp, k.atp FROM distsync.atp('PUB-K') a, distsync.atp('PUB-KK') k;
SELECT outcome FROM distsync.reserve('[{"item":"PUB-B","quantity":1,"site":"PUB-1"}]', '{"holder":"pub-kit"}');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.reserve('[{"item":"PUB-B","quantity":1,"site":"PUB-1"}]', '{"holder":"pub-kit"}');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('item', '{"sku":"PUB-K","components":[{"sku":"PUB-B","quantity":3},{"sku":"PUB-C","quantity":1}]}', 'distsync');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"PUB-SHOP","sku":"PUB-KK"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.reserve('[{"item":"PUB-B","quantity":6,"site":"PUB-1"}]', '{"holder":"pub-kit"}');
SELECT * FROM pg_temp.told();
-- what was told, by page; out of the channel
SELECT item_code, unit, told, would_be_told, version > 0 AS version, told_at <= clock_timestamp() AS told_at, detail FROM distsync.published_stock('PUB-SHOP');
SELECT item_code FROM distsync.published_stock('PUB-SHOP', NULL, '{"after":"PUB-A","limit":1}');
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"PUB-SHOP","sku":"PUB-A"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT * FROM pg_temp.said('PUB-SHOP') WHERE item = 'PUB-A';
SELECT * FROM pg_temp.told();
SELECT * FROM pg_temp.said('PUB-SHOP') WHERE item = 'PUB-A';
-- a change that nobody saw is found, and told when asked; resync tells although nothing changed
SELECT entity_key FROM distsync_internal.outbox_untold(100000) WHERE entity_key LIKE 'PUB-%';
SET session_replication_role = replica;
UPDATE dist.channel_item c SET buffer = 12 FROM dist.item i WHERE i.item_id = c.item_id AND i.sku = 'PUB-C' AND c.mode = 'physical';
RESET session_replication_role;
SELECT * FROM pg_temp.told();
SELECT u.entity_key, u.event_type, jsonb_path_query_first(u.detail, '$.would_be_told.channels[1]') AS would FROM distsync_internal.outbox_untold(100000) u WHERE u.entity_key LIKE 'PUB-%';
SELECT v.invariant, v.entity_key FROM distsync.verify() v WHERE v.entity_key LIKE 'PUB-%';
SELECT distsync.resync('item', 'PUB-C', '{"dry_run":true}'), distsync.resync('item', 'PUB-C');
SELECT u.entity_key FROM distsync_internal.outbox_untold(100000) u WHERE u.entity_key LIKE 'PUB-%';
SELECT * FROM pg_temp.told();
SELECT distsync.resync('item', 'PUB-C');
SELECT * FROM pg_temp.told();
SELECT distsync.resync('item') = (SELECT count(DISTINCT i) FROM (SELECT item_id FROM dist.stock_pool JOIN dist.item USING (item_id) UNION SELECT item_id FROM dist.channel_item) AS u(i)) AS all_told;
SELECT * FROM pg_temp.told();
-- a new incarnation does not trust what the old one told: what changes, or only seems to, is told anew; what was told stays true
UPDATE sync.instance SET incarnation = incarnation + 1;
SELECT u.entity_key FROM distsync_internal.outbox_untold(100000) u WHERE u.entity_key LIKE 'PUB-%';
SELECT count(*) FROM (SELECT item_id FROM dist.item WHERE sku = 'PUB-C') i, distsync_internal.inventory_mark(ARRAY[i.item_id]);
SELECT * FROM pg_temp.told();
UPDATE sync.instance SET incarnation = incarnation - 1;
SELECT count(*) FROM (SELECT item_id FROM dist.item WHERE sku = 'PUB-C') i, distsync_internal.inventory_mark(ARRAY[i.item_id]);
SELECT * FROM pg_temp.told();
-- an item that cannot be rendered is told without its state: that is found, and told as soon as something marks it
ALTER TABLE dist.stock_stream RENAME COLUMN doubt_site TO gone;
UPDATE dist.channel_item c SET buffer = 2 FROM dist.item i WHERE i.item_id = c.item_id AND i.sku = 'PUB-C' AND c.mode = 'book';
SELECT * FROM pg_temp.told();
ALTER TABLE dist.stock_stream RENAME COLUMN gone TO doubt_site;
SELECT u.entity_key FROM distsync_internal.outbox_untold(100000) u WHERE u.entity_key LIKE 'PUB-%';
UPDATE dist.stock_balance b SET quantity = b.quantity + 1 FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'PUB-C';
UPDATE dist.stock_balance b SET quantity = b.quantity - 1 FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'PUB-C';
SELECT * FROM pg_temp.told();
SELECT x.kind, left(x.details->>'error', 5) AS error FROM sync.exception x JOIN dist.item i ON i.item_id::text = x.entity_key WHERE x.kind = 'unrendered' AND i.sku LIKE 'PUB-%';
-- a room that cannot keep what was told holds up nothing
ALTER TABLE dist.channel_availability RENAME COLUMN quantity TO gone;
UPDATE dist.channel_item c SET buffer = 3 FROM dist.item i WHERE i.item_id = c.item_id AND i.sku = 'PUB-C' AND c.mode = 'book';
SELECT * FROM pg_temp.told();
ALTER TABLE dist.channel_availability RENAME COLUMN gone TO quantity;
SELECT kind, entity_key, details->>'error' AS error FROM sync.exception WHERE kind = 'unkept';
UPDATE dist.channel_item c SET buffer = 0 FROM dist.item i WHERE i.item_id = c.item_id AND i.sku = 'PUB-C' AND c.mode = 'book';
SELECT * FROM pg_temp.told();
DELETE FROM sync.exception WHERE kind = 'unkept';
DELETE FROM sync.exception x USING dist.item i WHERE i.item_id::text = x.entity_key AND x.kind = 'unrendered' AND i.sku LIKE 'PUB-%';
-- wrong input
\set VERBOSITY sqlstate
SELECT distsync.published_stock('PUB-NONE');
SELECT distsync.published_stock(NULL);
SELECT distsync.published_stock('PUB-SHOP', 'PUB-NONE');
SELECT distsync.published_stock('PUB-SHOP', NULL, '{"limit":0}');
SELECT distsync.resync('order');
SELECT distsync.resync(NULL);
SELECT distsync.resync('item', 'PUB-NONE');
SELECT distsync.resync('item', NULL, '{"dryrun":true}');
\set VERBOSITY default
-- the versions of an item grow; what it was told last is the truth
SELECT count(*) FILTER (WHERE e.entity_version <= e.before) AS wrong, count(*) > 30 AS many
FROM (SELECT v.entity_version, lag(v.entity_version) OVER (PARTITION BY v.entity_key ORDER BY v.position) AS before FROM sync.event v WHERE v.event_type = 'stock.atp_changed' AND v.entity_key LIKE 'PUB-%') e;
SELECT * FROM pg_temp.said('PUB-SHOP') UNION ALL SELECT * FROM pg_temp.said('PUB-EDI');
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
UPDATE sync.instance SET paused_reason = NULL;
