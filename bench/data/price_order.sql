-- price_order.sql: what price figures ask for, beside price.sql: random pairs, and :orders orders of :lines lines.
\set ON_ERROR_STOP on
CREATE SCHEMA bench;
-- spent: processor time of this session so far, in microseconds
CREATE FUNCTION bench.spent() RETURNS double precision LANGUAGE sql VOLATILE RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::double precision / 1000;
CREATE FUNCTION bench.pick(n bigint, choices bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN 1 + (hashint8extended(n, 0) & 9223372036854775807) % choices;
CREATE TABLE bench.pair AS
SELECT n::integer, 'PC-' || bench.pick(n, :customers) AS customer, 'PI-' || bench.pick(-n, :items) AS item FROM generate_series(1::bigint, 100000) n;
CREATE TABLE bench.purchase (n integer, lines jsonb);
ALTER TABLE bench.purchase ALTER lines SET STORAGE EXTERNAL;
INSERT INTO bench.purchase
SELECT o, jsonb_agg(jsonb_build_object('item', 'PI-' || bench.pick(o * 1000003 + l, :items), 'quantity', 1 + l % 40, 'unit', CASE WHEN l % 5 = 0 THEN 'CS' ELSE 'EA' END) ORDER BY l)
FROM generate_series(1::bigint, :orders) o, generate_series(1, :lines) l GROUP BY o;
VACUUM ANALYZE bench.pair, bench.purchase;
