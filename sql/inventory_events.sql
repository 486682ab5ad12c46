-- Stock events: deltas, counts as barriers, transfers, reversals, duplicates, streams with gaps, two truths and what is in flight.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('inv-erp', 'erp'), distsync.add_system('inv-wms', 'wms'), distsync.add_system('inv-shop', 'shop');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"INV-BX","scale":0}]', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"INV","name":"Inventory test","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"INV-1","name":"one","company":"INV","rank":1},{"code":"INV-2","name":"two","company":"INV","rank":2}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"INV-A","base_unit":"EA","units":[{"unit":"INV-BX","numerator":12,"denominator":1}]},{"sku":"INV-B","base_unit":"EA"},{"sku":"INV-C","base_unit":"EA"},
	{"sku":"INV-K","base_unit":"EA","kit":true}]', 'distsync');
\o
SET timezone = 'UTC';
CREATE TEMP VIEW balance AS SELECT i.sku, s.code AS site, b.perspective, b.state, b.quantity, b.counted_at
FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'INV-%' ORDER BY 1, 2, 3, 4;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();

-- one call, many kinds; told twice is once
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('stock_event', '[
	{"event_id":"1","kind":"count","sku":"INV-A","site":"INV-1","quantity":10,"unit":"INV-BX","event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"2","kind":"ship","sku":"INV-A","site":"INV-1","quantity":5,"event_at":"2024-01-10T11:00:00Z"},
	{"event_id":"3","kind":"receive","sku":"INV-A","site":"INV-2","quantity":50,"event_at":"2024-01-10T11:00:00Z"},
	{"event_id":"3","kind":"receive","sku":"INV-A","site":"INV-2","quantity":50,"event_at":"2024-01-10T11:00:00Z"},
	{"event_id":"4","kind":"transfer","sku":"INV-A","site":"INV-2","to_site":"INV-1","quantity":7,"event_at":"2024-01-10T11:00:00Z"},
	{"event_id":"5","kind":"transfer","sku":"INV-A","site":"INV-2","to_state":"quality","quantity":3,"event_at":"2024-01-10T11:00:00Z"}]', 'inv-wms');
SELECT * FROM balance;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"2","kind":"ship","sku":"INV-A","site":"INV-1","quantity":5,"event_at":"2024-01-10T11:00:00Z"}', 'inv-wms');
-- a count is a barrier: what happened before it does not move what is, nor does an older count; what happened after it does
SELECT outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"6","kind":"delta","sku":"INV-A","site":"INV-1","quantity":-30,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"7","kind":"count","sku":"INV-A","site":"INV-1","quantity":1,"event_at":"2024-01-10T08:00:00Z"},
	{"event_id":"8","kind":"delta","sku":"INV-A","site":"INV-1","quantity":1,"event_at":"2024-01-10T10:30:00Z"}]', 'inv-wms');
SELECT * FROM balance WHERE sku = 'INV-A' AND site = 'INV-1';
-- a count of an instant before the newest delta leaves that delta on top
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"9","kind":"count","sku":"INV-A","site":"INV-1","quantity":100,"event_at":"2024-01-10T10:45:00Z"}', 'inv-wms');
SELECT * FROM balance WHERE sku = 'INV-A' AND site = 'INV-1';
-- a reversal mirrors every leg, once
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"10","kind":"reverse","reverses":"4","sku":"INV-A","site":"INV-2"}', 'inv-wms');
SELECT * FROM balance WHERE sku = 'INV-A';
-- the same stock in any order: all orders of four events give one balance
SELECT count(*) AS orders FROM (SELECT row_number() OVER () AS n, a, b, c, d FROM generate_series(1, 4) a, generate_series(1, 4) b, generate_series(1, 4) c, generate_series(1, 4) d
	WHERE a NOT IN (b, c, d) AND b NOT IN (c, d) AND c <> d) p
CROSS JOIN LATERAL (SELECT count(*) FROM unnest(ARRAY[a, b, c, d]) WITH ORDINALITY AS o(e, step)
	CROSS JOIN LATERAL distsync.apply('stock_event', (ARRAY[
		'{"kind":"delta","quantity":5,"event_at":"2024-02-01T09:00:00Z"}', '{"kind":"count","quantity":20,"event_at":"2024-02-01T10:00:00Z"}',
		'{"kind":"delta","quantity":-3,"event_at":"2024-02-01T11:00:00Z"}', '{"kind":"count","quantity":30,"event_at":"2024-02-01T10:30:00Z"}']::jsonb[])[o.e]
		|| jsonb_build_object('event_id', format('p%s-%s', p.n, o.e), 'sku', 'INV-B', 'site', 'INV-2', 'lot', 'P' || p.n), 'inv-wms')) done;
SELECT count(DISTINCT quantity), min(quantity) FROM dist.stock_balance WHERE lot LIKE 'P%';
SELECT * FROM broken;

-- streams: a gap is seen and closed, a number told twice counts once
SELECT ordinal, outcome FROM distsync.apply_all('stock_event', '[
	{"event_id":"s5","kind":"delta","sku":"INV-C","site":"INV-1","quantity":5,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":5},
	{"event_id":"s7","kind":"delta","sku":"INV-C","site":"INV-1","quantity":7,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":7},
	{"event_id":"s5 again","kind":"delta","sku":"INV-C","site":"INV-1","quantity":5,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":5}]', 'inv-wms');
SELECT stream, next_sequence, ahead, gap_from FROM dist.stock_stream WHERE source = 'inv-wms' AND stream = 'x';
SELECT check_name, ok, split_part(detail, ' since', 1) AS detail FROM distsync_internal.inventory_doctor() WHERE detail LIKE 'inv-wms/x: %' AND check_name = 'stock stream without gap';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"s6","kind":"delta","sku":"INV-C","site":"INV-1","quantity":6,"event_at":"2024-01-10T09:00:00Z","stream":"x","sequence":6}', 'inv-wms');
SELECT stream, next_sequence, ahead, gap_from FROM dist.stock_stream WHERE source = 'inv-wms' AND stream = 'x';

-- two truths: what the warehouse shipped and the book has not posted is in flight, until the book names it or counts later
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"b1","kind":"count","sku":"INV-C","site":"INV-1","quantity":18,"event_at":"2024-01-10T10:00:00Z"}', 'inv-erp');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"w1","kind":"ship","sku":"INV-C","site":"INV-1","quantity":4,"event_at":"2024-01-10T11:00:00Z","reference":"SHIP-1"}', 'inv-wms');
SELECT reference, phys, book FROM dist.stock_in_flight f JOIN dist.item i USING (item_id) WHERE i.sku = 'INV-C';
SELECT on_hand, atp_book, atp_phys, atp, basis FROM distsync.atp('INV-C', 1, NULL, 'INV-1');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"b2","kind":"ship","sku":"INV-C","site":"INV-1","quantity":4,"event_at":"2024-01-10T12:00:00Z","reference":"SHIP-1"}', 'inv-erp');
SELECT count(*) FROM dist.stock_in_flight f JOIN dist.item i USING (item_id) WHERE i.sku = 'INV-C';
SELECT on_hand, atp_book, atp_phys, atp, basis FROM distsync.atp('INV-C', 1, NULL, 'INV-1');
SELECT * FROM broken;

-- wrong input: one row each, nothing changed
CREATE TEMP TABLE before AS SELECT * FROM dist.stock_balance;
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('stock_event', '[
	{"event_id":"e1","kind":"delta","sku":"INV-NONE","site":"INV-1","quantity":1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e2","kind":"delta","sku":"INV-A","site":"INV-NONE","quantity":1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e3","kind":"delta","sku":"INV-A","site":"INV-1","state":"lost","quantity":1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e4","kind":"delta","sku":"INV-B","site":"INV-1","unit":"INV-BX","quantity":1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e5","kind":"count","sku":"INV-A","site":"INV-1","quantity":-1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e6","kind":"ship","sku":"INV-A","site":"INV-1","quantity":0,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e7","kind":"delta","sku":"INV-A","site":"INV-1","quantity":1},
	{"event_id":"e8","kind":"reverse","sku":"INV-A","site":"INV-1"},
	{"event_id":"e9","kind":"reverse","sku":"INV-A","site":"INV-1","reverses":"1"},
	{"event_id":"e10","kind":"reverse","sku":"INV-A","site":"INV-1","reverses":"4"},
	{"event_id":"1","kind":"count","sku":"INV-A","site":"INV-1","quantity":11,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"e12","kind":"delta","sku":"INV-K","site":"INV-1","quantity":1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e13","kind":"transfer","sku":"INV-A","site":"INV-1","quantity":1,"event_at":"2024-01-10T09:00:00Z"},
	{"event_id":"e14","kind":"delta","sku":"INV-A","site":"INV-1","quantity":1,"event_at":"2999-01-10T09:00:00Z"}]', 'inv-wms', NULL, '{"on_error":"collect"}');
SELECT sqlstate, field, message FROM distsync.apply('stock_event', '{"event_id":"e15","kind":"delta","sku":"INV-A","site":"INV-1","quantity":1,"event_at":"2024-01-10T09:00:00Z"}', 'inv-shop', NULL, '{"on_error":"collect"}');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"e1","kind":"delta","sku":"INV-NONE","site":"INV-1","quantity":1,"event_at":"2024-01-10T09:00:00Z"}', 'inv-wms');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM (SELECT * FROM before EXCEPT SELECT * FROM dist.stock_balance) x;

-- what the books have no place for is refused, both ways alike, and a pool that cannot be derived keeps no other waiting
CREATE FUNCTION pg_temp.refused(told jsonb, whole boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	field text;
BEGIN
	PERFORM set_config('distsync.price_through_sql', whole::text, true);
	PERFORM distsync.apply_all('stock_event', told, 'inv-wms');
	RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, field = COLUMN_NAME;
	RETURN concat_ws(' ', state, field, message);
END
$$;
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"INV-MUCH","base_unit":"EA"},{"sku":"INV-TIME","base_unit":"EA"}]', 'distsync');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"m1","kind":"count","sku":"INV-MUCH","site":"INV-1","quantity":99999999999999.999999,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"m2","kind":"count","sku":"INV-MUCH","site":"INV-1","quantity":1,"event_at":"2024-01-01T00:00:00Z","state":"quality"},
	{"event_id":"m3","kind":"count","sku":"INV-TIME","site":"INV-1","quantity":5,"event_at":"2024-01-01T00:00:00Z"}]', 'inv-wms');
SELECT w.whole, v.told->0->>'event_id' AS event, pg_temp.refused(v.told, w.whole) FROM (VALUES (false), (true)) w(whole), (VALUES
	('[{"event_id":"m4","kind":"delta","sku":"INV-MUCH","site":"INV-1","quantity":1,"event_at":"2024-01-02T00:00:00Z"}]'::jsonb),
	('[{"event_id":"m5","kind":"transfer","sku":"INV-MUCH","site":"INV-1","state":"quality","to_state":"available","quantity":1,"event_at":"2024-01-02T00:00:00Z"}]'),
	('[{"event_id":"m6","kind":"delta","sku":"INV-MUCH","site":"INV-1","quantity":-90000000000000,"event_at":"2024-01-02T00:00:00Z"},{"event_id":"m7","kind":"delta","sku":"INV-MUCH","site":"INV-1","quantity":90000000000000.000001,"event_at":"2024-01-02T00:00:00Z"}]'),
	('[{"event_id":"m8","kind":"delta","sku":"INV-MUCH","site":"INV-1","quantity":1,"event_at":"2024-01-02T00:00:00Z","lot":"more"}]')) v(told) ORDER BY 1, 2;
-- so is what is in flight under one reference, although no balance is too large
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"INV-FAR","base_unit":"EA"}]', 'distsync');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"f1","kind":"count","sku":"INV-FAR","site":"INV-1","quantity":90000000000000,"event_at":"2024-01-01T00:00:00Z"}]', 'inv-erp');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"f1","kind":"count","sku":"INV-FAR","site":"INV-1","quantity":90000000000000,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"f2","kind":"ship","sku":"INV-FAR","site":"INV-1","quantity":90000000000000,"event_at":"2024-01-02T00:00:00Z","reference":"FAR"}]', 'inv-wms');
SELECT outcome FROM distsync.apply_all('stock_event', '[{"event_id":"f3","kind":"count","sku":"INV-FAR","site":"INV-1","quantity":90000000000000,"event_at":"2024-01-03T00:00:00Z"}]', 'inv-wms');
SELECT w.whole, v.told->0->>'event_id' AS event, pg_temp.refused(v.told, w.whole) FROM (VALUES (false), (true)) w(whole), (VALUES
	('[{"event_id":"f4","kind":"ship","sku":"INV-FAR","site":"INV-1","quantity":90000000000000,"event_at":"2024-01-04T00:00:00Z","reference":"FAR"}]'::jsonb),
	('[{"event_id":"f6","kind":"ship","sku":"INV-FAR","site":"INV-1","quantity":1,"event_at":"2024-01-04T00:00:00Z","reference":"FAR"}]')) v(told) ORDER BY 1, 2;
SELECT w.reference, w.phys, w.book FROM dist.stock_in_flight w JOIN dist.item i USING (item_id) WHERE i.sku = 'INV-FAR';
SELECT * FROM balance WHERE sku = 'INV-MUCH';
SELECT pg_temp.refused('[{"event_id":"m9","kind":"delta","sku":"INV-MUCH","site":"INV-1","quantity":-0.5,"event_at":"2024-01-02T00:00:00Z"}]', false);
SELECT * FROM broken;
UPDATE dist.stock_balance b SET quantity = 99999999999999 FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'INV-MUCH';
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, lot, owner_id, quantity, version, last_event_at)
	SELECT b.item_id, b.site_id, 'phys', 'available', 'by hand', 0, 99999999999999, 1, now() FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku = 'INV-MUCH' AND b.state = 'quality';
UPDATE dist.stock_pool p SET valid_until = '2024-01-02' FROM dist.item i WHERE i.item_id = p.item_id AND i.sku IN ('INV-MUCH', 'INV-TIME');
SELECT distsync_internal.inventory_sweep(100) > 0 AS swept;
SELECT i.sku, p.valid_until FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku IN ('INV-MUCH', 'INV-TIME') ORDER BY 1;
SELECT trace_key, severity, details, distsync_internal.inventory_sweep_due() > clock_timestamp() + interval '30 seconds' OR distsync_internal.inventory_sweep_due() IS NULL AS later FROM sync.exception WHERE kind = 'stock_stuck' AND state = 'open';
DELETE FROM dist.stock_balance WHERE lot = 'by hand';
UPDATE sync.exception SET last_seen_at = last_seen_at - interval '2 minutes' WHERE kind = 'stock_stuck';
SELECT distsync_internal.inventory_sweep(100) > 0 AS swept;
SELECT i.sku, p.valid_until, p.cap FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'INV-MUCH';
SELECT state, resolution FROM sync.exception WHERE kind = 'stock_stuck';
SELECT distsync_internal.inventory_rebuild('INV-MUCH') AS pools;
DELETE FROM dist.stock_event e USING dist.item i WHERE i.item_id = e.item_id AND i.sku = 'INV-MUCH';
DELETE FROM dist.stock_balance b USING dist.item i WHERE i.item_id = b.item_id AND i.sku = 'INV-MUCH';
DELETE FROM dist.stock_pool p USING dist.item i WHERE i.item_id = p.item_id AND i.sku = 'INV-MUCH';
