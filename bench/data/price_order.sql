-- price_order.sql: what price figures ask for, beside price.sql: random pairs, and :orders orders of :lines lines.
\set ON_ERROR_STOP on
\ir inside.sql
CREATE TABLE bench.pair AS
SELECT n::integer, 'PC-' || bench.pick(n, :customers) AS customer, 'PI-' || bench.pick(-n, :items) AS item FROM generate_series(1::bigint, 100000) n;
CREATE TABLE bench.purchase (n integer, lines jsonb);
ALTER TABLE bench.purchase ALTER lines SET STORAGE EXTERNAL;
INSERT INTO bench.purchase
SELECT o, jsonb_agg(jsonb_build_object('item', 'PI-' || bench.pick(o * 1000003 + l, :items), 'quantity', 1 + l % 40, 'unit', CASE WHEN l % 5 = 0 THEN 'CS' ELSE 'EA' END) ORDER BY l)
FROM generate_series(1::bigint, :orders) o, generate_series(1, :lines) l GROUP BY o;
VACUUM ANALYZE bench.pair, bench.purchase;
