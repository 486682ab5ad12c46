-- stock_feed.sql: :feeds feeds of 10,000 stock events of one warehouse: of 20 events 8 ship, 6 receive, 4 correct, 1 moves to another
-- site and 1 counts. With :references, shipments and receipts name their document, which the book will name too.
\set ON_ERROR_STOP on
DROP TABLE IF EXISTS bench.feed;
CREATE TABLE bench.feed (n integer PRIMARY KEY, docs jsonb);
ALTER TABLE bench.feed ALTER docs SET STORAGE EXTERNAL;
INSERT INTO bench.feed
SELECT f, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('event_id', concat_ws('-', :'name', f, l), 'kind', k.kind, 'sku', 'SKU-' || bench.pick(f * 100000 + l, :items), 'site', 'B' || bench.pick(-f * 100000 - l, :sites),
	'to_site', CASE WHEN k.kind = 'transfer' THEN 'B' || 1 + bench.pick(-f * 100000 - l, :sites) % :sites END, 'quantity', CASE WHEN k.kind = 'count' THEN 990 + l % 20 WHEN k.kind = 'delta' THEN 1 - 2 * (l % 2) ELSE 1 + l % 3 END, 'unit', 'EA',
	'event_at', now() - interval '1 hour' + f * interval '10 seconds' + l * interval '1 millisecond', 'stream', :'name', 'sequence', f * 10000 + l,
	'reference', CASE WHEN :references AND k.kind IN ('ship', 'receive') THEN concat_ws('-', 'B', f, l) END)) ORDER BY l)
FROM generate_series(1::bigint, :feeds) f, generate_series(1, 10000) l,
	LATERAL (SELECT CASE WHEN l % 20 < 8 THEN 'ship' WHEN l % 20 < 14 THEN 'receive' WHEN l % 20 < 18 THEN 'delta' WHEN l % 20 < 19 THEN 'transfer' ELSE 'count' END AS kind) k GROUP BY f;
VACUUM ANALYZE bench.feed;
