-- stock_ask.sql: what stock figures ask for, beside stock.sql: requests of 100 lines, as documents and as arrays.
\set ON_ERROR_STOP on
\ir inside.sql
CREATE TABLE bench.request (n integer PRIMARY KEY, lines jsonb, items bigint[], sites bigint[], quantities numeric[]);
ALTER TABLE bench.request ALTER lines SET STORAGE EXTERNAL;
INSERT INTO bench.request
SELECT r, jsonb_agg(jsonb_build_object('item', 'SKU-' || k.item_id, 'site', 'B' || k.site_id, 'quantity', 1) ORDER BY l), array_agg(k.item_id ORDER BY l), array_agg(k.site_id ORDER BY l), array_agg(1 ORDER BY l)
FROM generate_series(1::bigint, 1000) r, generate_series(1, 100) l, LATERAL (SELECT bench.pick(r * 1000 + l, :items) AS item_id, bench.pick(-r * 1000 - l, :sites) AS site_id) k GROUP BY r;
VACUUM ANALYZE bench.request;
