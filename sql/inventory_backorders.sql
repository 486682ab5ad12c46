-- Promises beyond stock: a queue by priority and date, covered by what comes in before anybody else is promised anything; what moves is told.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply('item', '{"sku":"BCK-A","base_unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('item_site', '{"sku":"BCK-A","site":"INV-1","backorder_cap":30}', 'inv-erp');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"bck1","kind":"count","sku":"BCK-A","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-B/1","sku":"BCK-A","site":"INV-1","quantity":10,"expected_at":"2998-01-01T00:00:00Z"},
	{"kind":"purchase","reference":"PO-B/2","sku":"BCK-A","site":"INV-1","quantity":10,"expected_at":"2998-02-01T00:00:00Z"}]', 'inv-erp');
\o
CREATE TEMP VIEW promised AS SELECT r.demand_key, r.quantity, r.priority, CASE WHEN r.promised_at < now() + interval '1 day' THEN 'now' ELSE COALESCE(r.promised_at::date::text, 'unknown') END AS promised
	FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku = 'BCK-A' AND r.state IN ('held', 'committed') ORDER BY 1;
CREATE TEMP VIEW told AS SELECT x.n, p.value->>'demand_key' AS demand_key, CASE WHEN (p.value->>'promised_at')::timestamptz < now() + interval '1 day' THEN 'now' ELSE COALESCE(left(p.value->>'promised_at', 10), 'unknown') END AS promised
	FROM (SELECT o.body, row_number() OVER (ORDER BY o.outbox_id DESC) AS n FROM sync.outbox_item o WHERE o.event_type = 'stock.promise_changed' AND o.entity_key = 'BCK-A') x CROSS JOIN LATERAL jsonb_array_elements(x.body->'promises') p WHERE x.n = 1;
CREATE TEMP VIEW moved AS SELECT e.kind, e.state, e.seen, e.details->'promises'->0->>'demand_key' AS first FROM sync.exception e WHERE e.kind = 'promise_moved' AND e.trace_key = 'BCK-A@INV-1' ORDER BY e.exception_id;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
CREATE FUNCTION pg_temp.promise(key text, quantity numeric, priority integer) RETURNS text LANGUAGE sql AS $$
	SELECT outcome || ' ' || CASE WHEN p.promised_at < now() + interval '1 day' THEN 'now' ELSE COALESCE(p.promised_at::date::text, 'unknown') END FROM dist.item i, distsync_internal.inventory_reserve(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', i.item_id,
		'base_quantity', quantity, 'demand_key', key)), jsonb_build_object('commit', true, 'priority', priority)) p WHERE i.sku = 'BCK-A' $$;

-- in stock, on the first order, on the second, on nothing; dated by the place in the queue
SELECT pg_temp.promise('INV/B-1/1', 8, 100), pg_temp.promise('INV/B-2/1', 10, 100), pg_temp.promise('INV/B-3/1', 10, 100), pg_temp.promise('INV/B-4/1', 5, 100);
SELECT pg_temp.promise('INV/B-9/1', 8, 100);
SELECT * FROM promised;
SELECT count(*) FROM told;
-- somebody more important comes: he goes before all that wait, but takes nothing from who is covered; the others move and are told
SELECT pg_temp.promise('INV/B-5/1', 3, 1);
SELECT * FROM promised;
SELECT * FROM told;
-- a receipt covers the queue, in its order, before it becomes available
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"bck2","kind":"receive","sku":"BCK-A","site":"INV-1","quantity":10,"reference":"PO-B/1","event_at":"2024-01-11T10:00:00Z"}', 'inv-wms');
SELECT status, received FROM dist.supply WHERE reference = 'PO-B/1';
SELECT * FROM promised;
SELECT * FROM told;
SELECT atp FROM distsync.atp('BCK-A', 1, NULL, 'INV-1');
-- supply slips: what was promised on it is promised anew and told; it is cancelled: no date any more
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-B/2","sku":"BCK-A","expected_at":"2998-05-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM told;
SELECT * FROM moved;
SELECT outcome FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-B/2","sku":"BCK-A","status":"cancelled"}', 'inv-erp');
SELECT * FROM promised;
SELECT * FROM told;
-- what is given back covers others; when all are covered, nothing is open
SELECT distsync_internal.inventory_release('INV/B-3/1');
SELECT * FROM promised;
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"bck3","kind":"receive","sku":"BCK-A","site":"INV-1","quantity":10,"event_at":"2024-01-12T10:00:00Z"}', 'inv-wms');
SELECT * FROM told;
SELECT * FROM moved;
SELECT * FROM promised;
SELECT p.waiting, p.cap, p.committed FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'BCK-A' AND p.committed > 0;
SELECT * FROM broken;
