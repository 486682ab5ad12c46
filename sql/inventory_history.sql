-- History of stock: reversals before their original, as of any instant, balances made anew, checkpoints, what counts found.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('his-erp', 'erp'), distsync.add_system('his-wms', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"HIS-BX","scale":0}]', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"HIS","name":"History test","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('party', '{"code":"HIS-OWNER","name":"Owner"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"HIS-1","name":"one","company":"HIS","rank":1},{"code":"HIS-2","name":"two","company":"HIS","rank":2}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"HIS-A","base_unit":"EA","units":[{"unit":"HIS-BX","numerator":10,"denominator":1}]},{"sku":"HIS-B","base_unit":"EA"},{"sku":"HIS-C","base_unit":"EA"},{"sku":"HIS-D","base_unit":"EA"}]', 'distsync');
\o
SET timezone = 'UTC';
CREATE TEMP VIEW balance AS SELECT i.sku, s.code AS site, b.perspective, b.state, b.lot, trim_scale(b.quantity) AS quantity
FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'HIS-%' ORDER BY 1, 2, 3, 4, 5;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();

-- a reversal that is told before its original waits, and is applied with it; told twice it counts once
SELECT ordinal, outcome, detail FROM distsync.apply_all('stock_event', '[
	{"event_id":"a1","kind":"count","sku":"HIS-A","site":"HIS-1","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"a3","kind":"reverse","reverses":"a2","sku":"HIS-A","site":"HIS-1"}]', 'his-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a3","kind":"reverse","reverses":"a2","sku":"HIS-A","site":"HIS-1"}', 'his-wms');
SELECT outcome, message FROM distsync.apply('stock_event', '{"event_id":"a3 again","kind":"reverse","reverses":"a2","sku":"HIS-A","site":"HIS-1"}', 'his-wms', NULL, '{"on_error":"collect"}');
SELECT * FROM balance WHERE sku = 'HIS-A';
SELECT source, reverses, event_key FROM dist.stock_reversal;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a2","kind":"transfer","sku":"HIS-A","site":"HIS-1","to_site":"HIS-2","quantity":7,"event_at":"2024-01-10T12:00:00Z"}', 'his-wms');
SELECT * FROM balance WHERE sku = 'HIS-A';
SELECT count(*) FROM dist.stock_reversal;
-- in one call, before and after its original; two of one event are one too many; a reversal of a reversal waits for it
SELECT ordinal, outcome, message, detail FROM distsync.apply_all('stock_event', '[
	{"event_id":"a5","kind":"reverse","reverses":"a4","sku":"HIS-A","site":"HIS-1"},
	{"event_id":"a4","kind":"ship","sku":"HIS-A","site":"HIS-1","quantity":1,"event_at":"2024-01-10T12:00:00Z"},
	{"event_id":"a6","kind":"ship","sku":"HIS-A","site":"HIS-1","quantity":2,"event_at":"2024-01-10T12:00:00Z"},
	{"event_id":"a7","kind":"reverse","reverses":"a6","sku":"HIS-A","site":"HIS-1"},
	{"event_id":"a8","kind":"reverse","reverses":"a6","sku":"HIS-A","site":"HIS-1"},
	{"event_id":"a11","kind":"reverse","reverses":"a10","sku":"HIS-A","site":"HIS-1"},
	{"event_id":"a10","kind":"reverse","reverses":"a9","sku":"HIS-A","site":"HIS-1"}]', 'his-wms', NULL, '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a9","kind":"ship","sku":"HIS-A","site":"HIS-1","quantity":4,"event_at":"2024-01-10T13:00:00Z"}', 'his-wms');
SELECT * FROM balance WHERE sku = 'HIS-A' AND site = 'HIS-1';
-- one that waited for a count was in vain, and how many may wait is bounded
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a13","kind":"reverse","reverses":"a12","sku":"HIS-A","site":"HIS-1"}', 'his-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a12","kind":"count","sku":"HIS-A","site":"HIS-1","quantity":95,"event_at":"2024-01-10T14:00:00Z"}', 'his-wms');
SELECT kind, entity_key, detail - 'source' AS detail FROM distsync.exceptions('{"kind":"reversal_refused"}') WHERE entity_key = 'a13';
SELECT count(*) FROM dist.stock_reversal;
SET distsync.reversals_waiting = 1;
SELECT outcome, detail FROM distsync.apply('stock_event', '{"event_id":"a14","kind":"reverse","reverses":"never","sku":"HIS-A","site":"HIS-1"}', 'his-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a15","kind":"reverse","reverses":"never too","sku":"HIS-A","site":"HIS-1"}', 'his-wms');
\echo :LAST_ERROR_SQLSTATE
RESET distsync.reversals_waiting;
-- who waits for too long is shown; the clerk finds an original that was told at the same time, at a site that nobody locked
UPDATE dist.stock_reversal SET recorded_at = now() - interval '2 days';
INSERT INTO dist.stock_reversal (item_id, source, reverses, event_key, site_id) SELECT item_id, 'his-wms', 'a9', 'a16', 0 FROM dist.item WHERE sku = 'HIS-B';
INSERT INTO dist.stock_reversal (item_id, source, reverses, event_key, site_id) SELECT e.item_id, 'his-wms', 'a11', 'a17', e.site_id FROM dist.stock_event e WHERE e.event_key = 'a11' LIMIT 1;
SELECT distsync_internal.inventory_reversal_sweep(100) AS moved, distsync_internal.inventory_reversal_sweep(100) AS at_once_again;
SELECT kind, entity_key, detail - 'since' AS detail FROM distsync.exceptions('{"kind":"reversal_waiting"}');
SELECT * FROM balance WHERE sku = 'HIS-A' AND site = 'HIS-1';
DELETE FROM dist.stock_reversal;
SELECT * FROM broken;

-- a stream that starts with a later number: what comes from before it is news, and the gap between is seen
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"s7","kind":"delta","sku":"HIS-C","site":"HIS-1","quantity":7,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":7}]', 'his-wms');
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"s5","kind":"delta","sku":"HIS-C","site":"HIS-1","quantity":5,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":5},
	{"event_id":"s7 again","kind":"delta","sku":"HIS-C","site":"HIS-1","quantity":7,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":7}]', 'his-wms');
SELECT first_sequence, next_sequence, ahead, gap_from FROM dist.stock_stream WHERE source = 'his-wms' AND stream = 'x';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"s6","kind":"delta","sku":"HIS-C","site":"HIS-1","quantity":6,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":6}', 'his-wms');
SELECT first_sequence, next_sequence, ahead, gap_from FROM dist.stock_stream WHERE source = 'his-wms' AND stream = 'x';
SELECT * FROM balance WHERE sku = 'HIS-C';
-- two counts of one instant: the same one holds, whichever is told first
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"t2","kind":"count","sku":"HIS-C","site":"HIS-1","lot":"T","quantity":2,"event_at":"2024-01-11T09:00:00Z"},
	{"event_id":"t1","kind":"count","sku":"HIS-C","site":"HIS-1","lot":"T","quantity":1,"event_at":"2024-01-11T09:00:00Z"},
	{"event_id":"t1 b","kind":"count","sku":"HIS-C","site":"HIS-2","lot":"T","quantity":1,"event_at":"2024-01-11T09:00:00Z"},
	{"event_id":"t2 b","kind":"count","sku":"HIS-C","site":"HIS-2","lot":"T","quantity":2,"event_at":"2024-01-11T09:00:00Z"}]', 'his-wms');
SELECT * FROM balance WHERE lot = 'T';
-- released: a transfer that names neither site nor state leads where the state ages into
SELECT ordinal, outcome, message FROM distsync.apply_all('stock_event', '[
	{"event_id":"q1","kind":"receive","sku":"HIS-C","site":"HIS-2","state":"quality","lot":"Q","quantity":10,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"q2","kind":"transfer","sku":"HIS-C","site":"HIS-2","state":"quality","lot":"Q","quantity":4,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"q3","kind":"transfer","sku":"HIS-C","site":"HIS-2","state":"damaged","lot":"Q","quantity":4,"event_at":"2024-01-10T10:00:00Z"}]', 'his-wms', NULL, '{"on_error":"collect"}');
SELECT * FROM balance WHERE lot = 'Q';

-- what is in flight does not depend on who speaks first, on counts told late, or on what was settled before
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"f1","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":4,"event_at":"2024-01-10T11:00:00Z","reference":"F1"},
	{"event_id":"f2","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":3,"event_at":"2024-01-10T09:00:00Z","reference":"F2"}]', 'his-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"f3","kind":"count","sku":"HIS-D","site":"HIS-1","quantity":50,"event_at":"2024-01-10T10:00:00Z"}', 'his-erp');
SELECT reference, trim_scale(phys) AS phys, trim_scale(book) AS book FROM dist.stock_in_flight f JOIN dist.item i USING (item_id) WHERE i.sku = 'HIS-D';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"f4","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":2,"event_at":"2024-01-10T09:30:00Z","reference":"F4"}', 'his-wms');
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"f5","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":4,"event_at":"2024-01-10T11:00:00Z","reference":"F1"},
	{"event_id":"f6","kind":"reverse","sku":"HIS-D","site":"HIS-1","reverses":"f5"},
	{"event_id":"f7","kind":"count","sku":"HIS-D","site":"HIS-1","state":"damaged","quantity":0,"event_at":"2024-01-10T12:00:00Z"}]', 'his-erp');
SELECT reference, trim_scale(phys) AS phys, trim_scale(book) AS book FROM dist.stock_in_flight f JOIN dist.item i USING (item_id) WHERE i.sku = 'HIS-D';
-- a reference that was settled and is spoken of again: a reversal still knows all of it
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"g1","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":4,"event_at":"2024-01-11T11:00:00Z","reference":"G"}]', 'his-wms');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"g2","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":4,"event_at":"2024-01-11T11:00:00Z","reference":"G"}]', 'his-erp');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"g3","kind":"ship","sku":"HIS-D","site":"HIS-1","quantity":2,"event_at":"2024-01-11T11:00:00Z","reference":"G"}]', 'his-wms');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"g4","kind":"reverse","sku":"HIS-D","site":"HIS-1","reverses":"g1"}]', 'his-wms');
SELECT reference, trim_scale(phys) AS phys, trim_scale(book) AS book FROM dist.stock_in_flight f JOIN dist.item i USING (item_id) WHERE i.sku = 'HIS-D' ORDER BY 1;
SELECT * FROM broken;

-- as of any instant: what there was, by what is known now and by what was known then
SELECT clock_timestamp() AS then \gset
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a20","kind":"delta","sku":"HIS-A","site":"HIS-1","lot":"L","quantity":2,"unit":"HIS-BX","event_at":"2024-01-09T10:00:00Z","owner":"HIS-OWNER"}', 'his-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a21","kind":"delta","sku":"HIS-A","site":"HIS-1","quantity":-3,"event_at":"2024-01-10T11:00:00Z"}', 'his-wms');
SELECT item, site, perspective, state, lot, owner, trim_scale(quantity) AS quantity, unit, last_event_at, counted_at FROM distsync.stock_as_of('HIS-A');
SELECT site, lot, owner, trim_scale(quantity) AS quantity FROM distsync.stock_as_of('HIS-A', 'HIS-1', '2024-01-10 11:30Z');
SELECT site, lot, owner, trim_scale(quantity) AS quantity FROM distsync.stock_as_of('HIS-A', 'HIS-1', '2024-01-10 11:30Z', jsonb_build_object('known_at', :'then'::timestamptz));
SELECT site, lot, owner, trim_scale(quantity) AS quantity FROM distsync.stock_as_of('HIS-A', NULL, '2024-01-10 09:59Z', '{"owner":"HIS-OWNER","perspective":"phys","state":"available","lot":"L"}');
SELECT count(*) FROM distsync.stock_as_of('HIS-A', NULL, '2024-01-01Z');
-- with everything told it is the balance; an answer's known_at gives that answer again
SELECT count(*) FROM (SELECT item, site, perspective, state, lot, quantity FROM distsync.stock_as_of() WHERE item LIKE 'HIS-%' EXCEPT SELECT * FROM balance) x;
SELECT count(*) FROM (SELECT * FROM balance EXCEPT SELECT item, site, perspective, state, lot, quantity FROM distsync.stock_as_of()) x;
SELECT known_at AS stamp FROM distsync.atp('HIS-D', 1, NULL, 'HIS-1') \gset
CREATE TEMP TABLE told AS SELECT site, state, quantity FROM distsync.stock_as_of('HIS-D');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"f9","kind":"delta","sku":"HIS-D","site":"HIS-1","quantity":1,"event_at":"2024-01-01T10:00:00Z"}', 'his-erp');
SELECT count(*), count(n.quantity + t.quantity) AS as_told FROM (SELECT site, state, quantity FROM distsync.stock_as_of('HIS-D', options => jsonb_build_object('known_at', :'stamp'::timestamptz))) n FULL JOIN told t USING (site, state, quantity);
SELECT * FROM distsync.stock_as_of('HIS-NONE');
SELECT * FROM distsync.stock_as_of('HIS-A', 'HIS-NONE');
SELECT * FROM distsync.stock_as_of('HIS-A', options => '{"state":"lost"}');
SELECT * FROM distsync.stock_as_of('HIS-A', options => '{"perspective":"both"}');

-- books that were changed by hand are made anew from what was told, and only where they differ
SELECT * FROM distsync.rebuild_stock();
UPDATE dist.stock_balance b SET quantity = b.quantity + 5 FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'HIS-D' AND b.perspective = 'book' AND b.state = 'available';
UPDATE dist.stock_balance b SET counted_at = NULL FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'HIS-A' AND b.lot = '' AND b.counted_at IS NOT NULL;
DELETE FROM dist.stock_balance WHERE lot = 'Q' AND state = 'quality';
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, lot, quantity, last_event_at) SELECT i.item_id, s.site_id, 'phys', 'available', 'HAND', 9, now() FROM dist.item i, dist.site s WHERE i.sku = 'HIS-B' AND s.code = 'HIS-2';
UPDATE dist.stock_pool p SET held = 1, shortfall = 60 FROM dist.item i WHERE i.item_id = p.item_id AND i.sku = 'HIS-D';
CREATE TEMP TABLE stamps AS SELECT item_id, site_id, version FROM dist.stock_pool;
SELECT * FROM distsync.rebuild_stock(options => '{"dry_run":true}');
SELECT * FROM distsync.rebuild_stock('HIS-B', 'HIS-1');
SELECT count(*) FROM broken;
SELECT * FROM distsync.rebuild_stock(options => '{"reason":"somebody changed them by hand"}');
SELECT * FROM broken;
SELECT i.sku, s.code AS site FROM dist.stock_pool p JOIN stamps v USING (item_id, site_id) JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE p.version <> v.version ORDER BY 1, 2;
SELECT trim_scale(held) AS held, trim_scale(shortfall) AS shortfall FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'HIS-D' AND p.version > 1;
SELECT entity_key, after, reason FROM sync.audit WHERE verb = 'rebuild_stock' ORDER BY audit_id DESC LIMIT 1;
SELECT * FROM distsync.rebuild_stock();
SELECT * FROM distsync.rebuild_stock('HIS-NONE');
SELECT * FROM distsync.rebuild_stock(options => '{"dry":true}');

-- checkpoints: old events go, what they came to stays
INSERT INTO dist.stock_event (item_id, event_key, recorded_at, event_at, kind, perspective, site_id, state, quantity, counted, source)
SELECT i.item_id, 'old' || n, '2019-03-05Z'::timestamptz + n * interval '1 minute', '2019-03-04Z'::timestamptz + n * interval '1 hour', CASE n WHEN 2 THEN 'count' ELSE 'delta' END, 'phys', s.site_id, 'available', n * 10, CASE n WHEN 2 THEN 30 END, 'his-wms'
FROM dist.item i, dist.site s, generate_series(1, 3) n WHERE i.sku = 'HIS-B' AND s.code = 'HIS-1';
SELECT item, trim_scale(before) AS before, trim_scale(after) AS after FROM distsync.rebuild_stock('HIS-B');
CREATE TABLE dist.stock_event_p2019030100 (LIKE dist.stock_event INCLUDING ALL EXCLUDING IDENTITY);
ALTER TABLE dist.stock_event_p2019030100 OWNER TO distsync_owner;
WITH moved AS (DELETE FROM dist.stock_event WHERE recorded_at < '2019-04-01Z' RETURNING *) INSERT INTO dist.stock_event_p2019030100 SELECT * FROM moved;
ALTER TABLE dist.stock_event ATTACH PARTITION dist.stock_event_p2019030100 FOR VALUES FROM ('2019-03-01Z') TO ('2019-04-01Z');
SELECT distsync_internal.inventory_retain(100);
UPDATE sync.partition_policy SET retention = '2 years' WHERE table_name = 'dist.stock_event';
SELECT distsync_internal.inventory_retain(100) AS dropped, distsync_internal.inventory_retain(100) AS again;
SELECT to_regclass('dist.stock_event_p2019030100');
SELECT trim_scale(quantity) AS quantity, as_of, last_event_at, counted_at FROM dist.stock_checkpoint;
SELECT * FROM balance WHERE sku = 'HIS-B';
SELECT * FROM broken;
SELECT * FROM distsync.rebuild_stock();
SELECT trim_scale(quantity) AS quantity, counted_at FROM distsync.stock_as_of('HIS-B', 'HIS-1', '2019-03-04 03:00Z');
SELECT * FROM distsync.stock_as_of('HIS-B', 'HIS-1', '2019-03-04 02:59Z');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.stock_as_of('HIS-B', 'HIS-1', options => '{"known_at":"2019-03-05T00:02:00Z"}');
SELECT count(*) FROM distsync.stock_as_of('HIS-B', 'HIS-2', '2019-03-01Z');
-- what may have been told already, and would move what is, is refused: nobody knows any more
SELECT outcome, sqlstate, message FROM distsync.apply('stock_event', '{"event_id":"o2","kind":"delta","sku":"HIS-B","site":"HIS-1","quantity":-2,"event_at":"2019-03-04T02:30:00Z"}', 'his-wms', NULL, '{"on_error":"collect"}');
-- what is told of the time before moves what was, not what is: a count that is not kept any more is still a barrier
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"o1","kind":"delta","sku":"HIS-B","site":"HIS-1","quantity":-5,"event_at":"2019-03-04T01:30:00Z"},
	{"event_id":"o3","kind":"count","sku":"HIS-B","site":"HIS-1","quantity":99,"event_at":"2019-03-04T02:45:00Z"},
	{"event_id":"o4","kind":"count","sku":"HIS-B","site":"HIS-1","quantity":50,"event_at":"2019-03-04T05:00:00Z"},
	{"event_id":"o5","kind":"delta","sku":"HIS-B","site":"HIS-1","quantity":1,"event_at":"2019-03-04T04:00:00Z"}]', 'his-wms');
SELECT * FROM balance WHERE sku = 'HIS-B';
SELECT at, trim_scale(quantity) AS quantity FROM (VALUES ('2019-03-04 03:00Z'), ('2019-03-04 04:30Z'), ('2019-03-04 05:00Z')) a(at) CROSS JOIN LATERAL distsync.stock_as_of('HIS-B', 'HIS-1', a.at::timestamptz);
SELECT * FROM broken;
UPDATE sync.partition_policy SET retention = NULL WHERE table_name = 'dist.stock_event';

-- what counts find is worth something; what opens a balance is no difference, and the book counts after the warehouse
SELECT outcome FROM distsync.apply('item_cost', '{"company":"HIS","sku":"HIS-C","cost":"12.50","currency":"USD","valid_from":"2024-01-01T00:00:00Z"}', 'his-erp');
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"c1","kind":"count","sku":"HIS-C","site":"HIS-1","lot":"C","quantity":100,"event_at":"2024-02-01T09:00:00Z"},
	{"event_id":"c2","kind":"count","sku":"HIS-C","site":"HIS-1","lot":"C","quantity":95,"event_at":"2024-02-02T09:00:00Z"},
	{"event_id":"c3","kind":"count","sku":"HIS-C","site":"HIS-1","lot":"C","quantity":87,"event_at":"2024-02-03T09:00:00Z"},
	{"event_id":"c4","kind":"count","sku":"HIS-C","site":"HIS-1","lot":"C","quantity":87,"event_at":"2024-02-04T09:00:00Z"}]', 'his-wms');
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"c5","kind":"count","sku":"HIS-C","site":"HIS-1","quantity":100,"event_at":"2024-02-01T09:00:00Z"},
	{"event_id":"c6","kind":"count","sku":"HIS-C","site":"HIS-1","quantity":50,"event_at":"2024-02-02T09:00:00Z"}]', 'his-erp');
SELECT entity_key, detail, trim_scale(delta) AS delta, money_at_risk, currency FROM distsync.exceptions('{"kind":"count_difference"}');
SELECT event_id, site, lot, trim_scale(counted) AS counted, trim_scale(known) AS known, trim_scale(difference) AS difference, unit, value, currency
FROM distsync.count_differences('HIS-C', NULL, '2024-02-01Z');
SELECT count(*) FROM distsync.count_differences('HIS-C', 'HIS-1', '2024-02-03Z', '2024-02-04Z', '{"perspective":"book","limit":1}');
SELECT * FROM distsync.count_differences('HIS-NONE');

-- a lot expires wherever it lies, and however it is moved; a serial is there once
SELECT outcome FROM distsync.apply('item', '{"sku":"HIS-S","base_unit":"EA","serial_controlled":true}', 'distsync');
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"l1","kind":"receive","sku":"HIS-C","site":"HIS-1","state":"quality","lot":"X","quantity":10,"expires_on":"2031-01-31","event_at":"2024-03-01T09:00:00Z"},
	{"event_id":"l2","kind":"transfer","sku":"HIS-C","site":"HIS-1","state":"quality","lot":"X","quantity":8,"event_at":"2024-03-01T10:00:00Z"},
	{"event_id":"l3","kind":"transfer","sku":"HIS-C","site":"HIS-1","to_site":"HIS-2","lot":"X","quantity":5,"event_at":"2024-03-01T11:00:00Z"}]', 'his-wms');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"l4","kind":"receive","sku":"HIS-C","site":"HIS-1","lot":"X","quantity":10,"event_at":"2024-03-01T09:00:00Z"}', 'his-erp');
SELECT s.code AS site, b.perspective, b.state, trim_scale(b.quantity) AS quantity, to_char(b.expires_on, 'YYYY-MM-DD') AS expires_on FROM dist.stock_balance b JOIN dist.site s USING (site_id) WHERE b.lot = 'X' ORDER BY 1, 2, 3;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"l5","kind":"delta","sku":"HIS-C","site":"HIS-1","state":"quality","lot":"X","quantity":0,"expires_on":"2023-01-31","event_at":"2024-03-02T09:00:00Z"}', 'his-wms');
SELECT s.code AS site, b.perspective, b.state, to_char(b.expires_on, 'YYYY-MM-DD') AS expires_on FROM dist.stock_balance b JOIN dist.site s USING (site_id) WHERE b.lot = 'X' ORDER BY 1, 2, 3;
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"n1","kind":"receive","sku":"HIS-S","site":"HIS-1","lot":"SN1","quantity":1,"event_at":"2024-03-01T09:00:00Z"},
	{"event_id":"n2","kind":"receive","sku":"HIS-S","site":"HIS-2","lot":"SN1","quantity":1,"event_at":"2024-03-02T09:00:00Z"},
	{"event_id":"n3","kind":"receive","sku":"HIS-S","site":"HIS-2","lot":"SN2","quantity":1,"event_at":"2024-03-02T09:00:00Z"}]', 'his-wms');
SELECT trace_key, detail->'places' AS places FROM distsync.exceptions('{"kind":"serial_twice"}');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"n4","kind":"ship","sku":"HIS-S","site":"HIS-1","lot":"SN1","quantity":1,"event_at":"2024-03-01T19:00:00Z"}', 'his-wms');
SELECT state, resolution FROM sync.exception WHERE kind = 'serial_twice';
SELECT * FROM broken;
SELECT * FROM distsync.rebuild_stock();
-- what is in flight is made anew, too: rows that were changed, taken away or made up by hand
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"FLY-A","base_unit":"EA"},{"sku":"FLY-B","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"fly1","kind":"count","sku":"FLY-A","site":"INV-1","quantity":20,"event_at":"2024-01-01T00:00:00Z"},{"event_id":"fly2","kind":"ship","sku":"FLY-A","site":"INV-1","quantity":3,"reference":"FS-1","event_at":"2024-01-02T00:00:00Z"},
	{"event_id":"fly3","kind":"ship","sku":"FLY-A","site":"INV-1","quantity":4,"reference":"FS-2","event_at":"2024-01-03T00:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"fly4","kind":"count","sku":"FLY-A","site":"INV-1","quantity":20,"event_at":"2024-01-01T00:00:00Z"},{"event_id":"fly5","kind":"ship","sku":"FLY-A","site":"INV-1","quantity":1,"reference":"FS-2","event_at":"2024-01-03T00:00:00Z"},
	{"event_id":"fly6","kind":"count","sku":"FLY-B","site":"INV-1","quantity":20,"event_at":"2024-01-01T00:00:00Z"}]', 'inv-erp');
SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, 'INV/FLY/1', 5, '2024-01-02Z', 'inv-wms', 'FS-3') FROM dist.item i, dist.site s WHERE i.sku = 'FLY-B' AND s.code = 'INV-1';
\o
CREATE TEMP VIEW flight AS SELECT i.sku, w.reference, trim_scale(w.phys) AS phys, trim_scale(w.book) AS book FROM dist.stock_in_flight w JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'FLY-%' ORDER BY 1, 2;
SELECT * FROM flight;
SELECT a.atp, a.atp_book FROM distsync.atp('FLY-A') a UNION ALL SELECT a.atp, a.atp_book FROM distsync.atp('FLY-B') a;
CREATE TEMP TABLE was AS SELECT * FROM flight;
UPDATE dist.stock_in_flight w SET phys = -9 FROM dist.item i WHERE i.item_id = w.item_id AND i.sku LIKE 'FLY-%' AND w.reference IN ('FS-1', 'FS-3');
DELETE FROM dist.stock_in_flight w USING dist.item i WHERE i.item_id = w.item_id AND i.sku = 'FLY-A' AND w.reference = 'FS-2';
INSERT INTO dist.stock_in_flight (item_id, site_id, reference, phys, event_at) SELECT i.item_id, s.site_id, 'FS-9', -7, now() FROM dist.item i, dist.site s WHERE i.sku LIKE 'FLY-%' AND s.code = 'INV-1';
SELECT entity_key FROM distsync_internal.inventory_verify_stock() v WHERE v.entity = 'stock_in_flight' AND v.entity_key LIKE 'FLY-%' ORDER BY 1;
SELECT item, state, lot, before, after FROM distsync.rebuild_stock('FLY-A', NULL, '{"dry_run":true}') UNION ALL SELECT item, state, lot, before, after FROM distsync.rebuild_stock('FLY-B') UNION ALL SELECT item, state, lot, before, after FROM distsync.rebuild_stock('FLY-A') ORDER BY 1, 3;
SELECT count(*) AS differ FROM (SELECT * FROM flight EXCEPT SELECT * FROM was) d;
SELECT count(*) AS lines FROM distsync.rebuild_stock('FLY-A');
SELECT a.atp, a.atp_book FROM distsync.atp('FLY-A') a UNION ALL SELECT a.atp, a.atp_book FROM distsync.atp('FLY-B') a;
-- a site whose stock only the book keeps: what a shipment told, the book posts, in any order, and it is counted once
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"fly7","kind":"ship","sku":"FLY-B","site":"INV-1","quantity":5,"reference":"FS-3","event_at":"2024-01-02T00:00:00Z"}', 'inv-erp');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"fly8","kind":"ship","sku":"FLY-B","site":"INV-1","quantity":2,"reference":"FS-4","event_at":"2024-01-04T00:00:00Z"}', 'inv-erp');
SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, 'INV/FLY/2', 2, '2024-01-04Z', 'inv-wms', 'FS-4') IS NULL AS shipped FROM dist.item i, dist.site s WHERE i.sku = 'FLY-B' AND s.code = 'INV-1';
SELECT a.atp, a.atp_book FROM distsync.atp('FLY-B') a;
SELECT * FROM flight WHERE sku = 'FLY-B';
