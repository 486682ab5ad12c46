-- price_book.sql: the shared rates of price.sql, :book_rates in all.
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value, unit, min_quantity)
SELECT 1, s.item0 + i, i || '/' || t, 'net', round(pg_temp.list_price(i) * (ARRAY[1, 0.97, 0.94, 0.90])[t], 4), 'EA', (ARRAY[NULL, 10, 50, 200])[t]
FROM scale s, generate_series(1::bigint, s.items) i, LATERAL generate_series(1, CASE WHEN s.items * 4 <= s.book_rates THEN 2 + i % 3 ELSE 1 + (i % 5 = 0)::integer END) t
WHERE i % 1000 <> 0;

-- promotions: net prices, one percentage by brand in ten; the last asks for a coupon
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value, unit, min_quantity, condition)
SELECT 100 + p, CASE WHEN n % 10 = 0 THEN s.brand0 + 1 + n / 10 % 200 ELSE s.item0 + 1 + (p * 5003 + n * 7919) % s.items END, n::text, CASE WHEN n % 10 = 0 THEN 'percent_off' ELSE 'net' END,
	CASE WHEN n % 10 = 0 THEN 5 + n % 3 ELSE round(pg_temp.list_price(1 + (p * 5003 + n * 7919) % s.items) * (75 + n % 20) / 100, 4) END,
	CASE WHEN n % 10 <> 0 THEN 'EA' END, CASE WHEN n % 4 = 1 THEN 12 END, CASE WHEN p = 10 THEN '{"coupon":"SPRING"}'::jsonb END
FROM scale s, generate_series(1, 10) p, generate_series(1::bigint, least(s.book_rates / 1000, s.items / 10)) n;

-- adjustments: by brand, by category, for everybody, by class and by quantity
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value, min_quantity)
SELECT 201, s.brand0 + n * 4, n::text, 'percent_off', 1 + n % 4, NULL::integer FROM scale s, generate_series(1, 50) n
UNION ALL SELECT 202, s.category0 + 111 + n * 17 % 1000, n::text, 'percent_off', 0.5 + n % 3, NULL FROM scale s, generate_series(1, 60) n
UNION ALL SELECT 203, target_id, '1', 'percent_off', -1.25, NULL FROM dist.target WHERE what_kind = 'all'
UNION ALL SELECT 204, s.category0 + n, n::text, 'percent_off', 1.5, NULL FROM scale s, generate_series(1, 10) n
UNION ALL SELECT 205, target_id, n::text, 'percent_off', 2 * n, (ARRAY[100, 500])[n] FROM dist.target, generate_series(1, 2) n WHERE what_kind = 'all';

-- the guard: floors by category
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value, floor_price)
SELECT 300, s.category0 + 111 + n * 13 % 1000, n::text, 'net', 0, 6 + n % 30 FROM scale s, generate_series(1, 100) n;

-- books: what is left, in twenty; of each 30 percentages by category, 10 by brand, then net prices of items in ladders of 2 and 3
-- tiers, every eighth ladder by the case; some rates are over or have not begun
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value, unit, min_quantity, valid_from, valid_to)
SELECT 10 + r.b, CASE WHEN r.n < 30 THEN s.category0 + CASE WHEN r.n % 3 = 0 THEN 11 + (r.b * 13 + r.n * 7) % 100 ELSE 111 + (r.b * 41 + r.n * 23) % 1000 END
		WHEN r.n < 40 THEN s.brand0 + 1 + (r.b * 11 + r.n * 3) % 200 ELSE s.item0 + l.i END,
	r.n::text, CASE WHEN r.n < 40 THEN 'percent_off' ELSE 'net' END,
	CASE WHEN r.n < 40 THEN 4 + r.n % 9 ELSE round(pg_temp.list_price(l.i) * (88 + l.l % 10) / 100 * (100 - 3 * l.t) / 100 * CASE WHEN l.l % 8 = 0 THEN 12 ELSE 1 END, 4) END,
	CASE WHEN r.n >= 40 THEN CASE WHEN l.l % 8 = 0 THEN 'CS' ELSE 'EA' END END, CASE WHEN r.n >= 40 AND l.t > 0 THEN (ARRAY[20, 100])[l.t] / CASE WHEN l.l % 8 = 0 THEN 10 ELSE 1 END END,
	CASE WHEN r.n >= 40 AND l.l % 89 = 1 THEN '2030-01-01 00:00+00'::timestamptz END, CASE WHEN r.n >= 40 AND l.l % 89 = 2 THEN '2025-06-01 00:00+00'::timestamptz END
FROM scale s, LATERAL (SELECT 1 + g / ((s.book_rates - written.n) / 20 + 1) AS b, g % ((s.book_rates - written.n) / 20 + 1) AS n
	FROM (SELECT count(*) AS n FROM dist.book_rate) written, generate_series(0::bigint, s.book_rates - written.n - 1) g OFFSET 0) r,
LATERAL (SELECT 2 * ((r.n - 40) / 5) + (ARRAY[0, 0, 1, 1, 1])[1 + greatest(r.n - 40, 0) % 5] AS l, (ARRAY[0, 1, 0, 1, 2])[1 + greatest(r.n - 40, 0) % 5] AS t) ladder,
LATERAL (SELECT ladder.l, ladder.t, 1 + (r.b * 5003 + ladder.l * 7919) % s.items AS i) l;
