-- Streams of stock events: numbers whose events were refused, what is told again after its name was forgotten; and demand that we promised in full.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('str-erp', 'erp'), distsync.add_system('str-wms', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"STR","name":"Stream test","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"STR-1","name":"one","company":"STR","rank":1},{"code":"STR-2","name":"two","company":"STR","rank":2}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"STR-A","base_unit":"EA"},{"sku":"STR-B","base_unit":"EA"},{"sku":"STR-C","base_unit":"EA"}]', 'distsync');
\o
SET timezone = 'UTC';
CREATE TEMP VIEW balance AS SELECT i.sku, s.code AS site, b.perspective, trim_scale(b.quantity) AS quantity
FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'STR-%' ORDER BY 1, 2, 3;
CREATE TEMP VIEW stream AS SELECT stream, first_sequence AS first, next_sequence AS next, ahead, refused, gap_from AS gap FROM dist.stock_stream WHERE source = 'str-wms' AND stream <> '' ORDER BY 1;
CREATE TEMP VIEW told AS SELECT kind, trace_key, state, details ->> 'refused' AS refused FROM sync.exception WHERE kind = 'event_refused' AND trace_key LIKE 'str-wms:%' ORDER BY exception_id;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();

-- a demand that we promised in full changes nothing when its day comes: the pool keeps what its terms say, also where nothing is reckoned anew
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"o1","kind":"count","sku":"STR-A","site":"STR-1","quantity":40,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"o2","kind":"count","perspective":"book","sku":"STR-A","site":"STR-1","quantity":40,"event_at":"2024-01-10T10:00:00Z"}]', 'str-wms');
\o /dev/null
SELECT distsync_internal.inventory_demand(i.item_id, s.site_id, 'STR/O1/1', NULL, 0, '2999-01-01') FROM dist.item i, dist.site s WHERE i.sku = 'STR-A' AND s.code = 'STR-1';
\o
SELECT outcome, quantity FROM distsync.reserve('[{"item":"STR-A","site":"STR-1","quantity":2,"demand_key":"STR/O1/1"}]', '{"holder":"h","commit":true}');
CREATE TEMP VIEW turns AS SELECT p.valid_until, t.turns_at FROM dist.item i JOIN dist.stock_pool p USING (item_id) CROSS JOIN LATERAL distsync_internal.inventory_terms(ARRAY[p.item_id], ARRAY[p.site_id], now()) t WHERE i.sku = 'STR-A';
SELECT * FROM turns;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"o3","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-10T11:00:00Z"}', 'str-wms');
SELECT * FROM turns;
-- beyond what is promised it does
\o /dev/null
SELECT distsync_internal.inventory_demand(i.item_id, s.site_id, 'STR/O1/1', NULL, 3, '2999-01-01') FROM dist.item i, dist.site s WHERE i.sku = 'STR-A' AND s.code = 'STR-1';
\o
SELECT * FROM turns;

-- what is refused leaves no gap: by the door, by its room, in C and in SQL; told again, corrected, it is applied
SELECT ordinal, outcome, sqlstate FROM distsync.apply_all('stock_event', '[
	{"event_id":"a1","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":1},
	{"event_id":"a2","kind":"burn","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":2},
	{"event_id":"a3","kind":"receive","sku":"STR-NONE","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":3},
	{"event_id":"a4","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":"4"}]', 'str-wms', NULL, '{"on_error":"collect"}');
SELECT * FROM stream;
SELECT ordinal, outcome, sqlstate FROM distsync.apply_all('stock_event', '[
	{"event_id":"a1","kind":"receive","sku":"STR-A","site":"STR-1","quantity":2,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":5},
	{"event_id":"a6","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":6}]', 'str-wms', NULL, '{"on_error":"collect"}');
SELECT * FROM stream;
SELECT * FROM told;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a5","kind":"receive","sku":"STR-A","site":"STR-1","quantity":2,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":5}', 'str-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a5 again","kind":"receive","sku":"STR-A","site":"STR-1","quantity":2,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":5}', 'str-wms');
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"a2","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":2},
	{"event_id":"a3","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":3}]', 'str-wms');
SELECT * FROM stream;
SELECT * FROM told;
SELECT * FROM balance WHERE perspective = 'phys';
-- what was applied is not news because something else is refused under its number; a stream that is not known has no gap
SELECT ordinal, outcome, sqlstate FROM distsync.apply_all('stock_event', '[
	{"event_id":"a7","kind":"receive","sku":"STR-NONE","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":6},
	{"event_id":"b1","kind":"receive","sku":"STR-NONE","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"b","sequence":1}]', 'str-wms', NULL, '{"on_error":"collect"}');
-- where all or nothing is wanted, who sends has to mend it: nothing is noted
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a7","kind":"receive","sku":"STR-NONE","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":7}', 'str-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a8","kind":"receive","sku":"STR-A","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":8}', 'str-wms');
SELECT * FROM stream;
-- a message of the inbox that is set aside says all its numbers, and is applied when it is played again
\o /dev/null
SELECT distsync.add_source('str-in', 'str-wms', '{"scheme":"none","entity":"stock_event"}');
SELECT distsync.receive('str-in', '{"x-message-id":"m1"}', convert_to('[{"event_id":"a7","kind":"receive","sku":"STR-NEW","site":"STR-1","quantity":1,"event_at":"2024-01-11T09:00:00Z","stream":"a","sequence":7}]', 'UTF8'));
SELECT distsync_internal.inbox_apply(10);
\o
SELECT * FROM stream;
SELECT outcome FROM distsync.apply('item', '{"sku":"STR-NEW","base_unit":"EA"}', 'distsync');
SELECT r.outcome FROM sync.inbox i, distsync.replay_inbox(i.inbox_id, '{"dry_run":false}') r WHERE i.source = 'str-in';
SELECT distsync_internal.inbox_apply(10);
SELECT * FROM stream;
SELECT * FROM told;

-- told again after its name was forgotten, an event counts once: reversals, transfers, in C and in SQL; what nobody can know any more is refused, but a count
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"c1","kind":"count","sku":"STR-C","site":"STR-1","quantity":50,"event_at":"2024-01-12T09:00:00Z"},
	{"event_id":"c2","kind":"transfer","sku":"STR-C","site":"STR-1","to_site":"STR-2","quantity":5,"event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"c3","kind":"ship","sku":"STR-C","site":"STR-1","quantity":1,"event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"c4","kind":"reverse","reverses":"c3","sku":"STR-C","site":"STR-1"}]', 'str-wms');
-- the original of a reversal that is older than names are is older than its name; here all is of today
DELETE FROM sync.dedupe WHERE source = 'str-wms' AND key_hash <> distsync_internal.inventory_event_hash('c3');
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"c1","kind":"count","sku":"STR-C","site":"STR-1","quantity":50,"event_at":"2024-01-12T09:00:00Z"},
	{"event_id":"c2","kind":"transfer","sku":"STR-C","site":"STR-1","to_site":"STR-2","quantity":5,"event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"c5","kind":"ship","sku":"STR-C","site":"STR-1","quantity":2,"event_at":"2024-01-12T10:00:00Z"},
	{"event_id":"c4","kind":"reverse","reverses":"c3","sku":"STR-C","site":"STR-1"}]', 'str-wms');
DELETE FROM sync.dedupe WHERE source = 'str-wms';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"c2","kind":"transfer","sku":"STR-C","site":"STR-1","to_site":"STR-2","quantity":5,"event_at":"2024-01-12T10:00:00Z"}', 'str-wms');
SELECT * FROM balance WHERE sku = 'STR-C';
INSERT INTO dist.stock_checkpoint (item_id, site_id, perspective, state, as_of, quantity, last_event_at) SELECT i.item_id, s.site_id, 'phys', 'available', now(), 0, '2024-01-12T09:30:00Z' FROM dist.item i, dist.site s WHERE i.sku = 'STR-C' AND s.code = 'STR-1';
SELECT ordinal, outcome, sqlstate, message FROM distsync.apply_all('stock_event', '[
	{"event_id":"c6","kind":"receive","sku":"STR-C","site":"STR-1","quantity":5,"event_at":"2024-01-12T09:20:00Z"},
	{"event_id":"c7","kind":"receive","sku":"STR-C","site":"STR-1","quantity":5,"event_at":"2024-01-12T09:45:00Z"},
	{"event_id":"c8","kind":"count","sku":"STR-C","site":"STR-1","quantity":5,"event_at":"2024-01-12T09:25:00Z"}]', 'str-wms', NULL, '{"on_error":"collect"}');
SET distsync.price_through_sql = on;
SELECT outcome, sqlstate, message FROM distsync.apply('stock_event', '{"event_id":"c9","kind":"receive","sku":"STR-C","site":"STR-1","quantity":5,"event_at":"2024-01-12T09:28:00Z"}', 'str-wms', NULL, '{"on_error":"collect"}');
RESET distsync.price_through_sql;
-- names are kept for as long as messages are, and for two days at least
UPDATE sync.partition_policy SET retention = '1 hour' WHERE table_name = 'sync.inbox';
UPDATE sync.dedupe SET seen_at = now() - interval '40 hours' WHERE source = 'str-wms';
DELETE FROM sync.progress WHERE operation = 'inbox.retention';
SELECT distsync_internal.inbox_retention(100000) >= 0 AS looked;
SELECT count(*) FROM sync.dedupe WHERE source = 'str-wms';
UPDATE sync.partition_policy SET retention = '90 days' WHERE table_name = 'sync.inbox';
DELETE FROM dist.stock_checkpoint;
SELECT * FROM broken;
