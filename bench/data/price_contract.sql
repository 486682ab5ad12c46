-- price_contract.sql: the contract rates of price.sql, 500 a holder, in the order of their documents.
CREATE TEMP TABLE line AS
SELECT n, CASE WHEN n <= 425 THEN 'item' WHEN n <= 465 THEN 'leaf' WHEN n <= 475 THEN 'mid' ELSE 'brand' END AS kind,
	CASE WHEN n <= 425 THEN 3 * ((n - 1) / 6) + (ARRAY[0, 1, 1, 2, 2, 2])[1 + (n - 1) % 6] WHEN n <= 465 THEN n - 426 WHEN n <= 475 THEN n - 466 ELSE n - 476 END AS l,
	CASE WHEN n <= 425 THEN (ARRAY[0, 0, 1, 0, 1, 2])[1 + (n - 1) % 6] ELSE 0 END AS t
FROM generate_series(1, 500) n ORDER BY n;
ANALYZE holder, line;

-- every twelfth ladder is by the case, every twelfth for 100 pieces, one in forty has a floor
INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value, unit, min_quantity, price_per, floor_price)
SELECT 1000 + h.h, h.party_id, l.target_id + CASE WHEN l.kind = 'item' THEN s.item0 ELSE 0 END, l.n::text, l.calc, l.value, l.unit, l.min_quantity, CASE WHEN l.form = 1 THEN 100 END, CASE WHEN l.kind = 'item' AND (h.h + l.l) % 40 = 2 THEN l.value * 0.99 END
FROM scale s, holder h, LATERAL (
	SELECT x.n, x.kind, x.l, x.target_id, x.form, CASE WHEN x.kind = 'item' THEN 'net' ELSE 'percent_off' END AS calc,
		CASE WHEN x.kind = 'item' THEN round(pg_temp.list_price(x.target_id) * (80 + (h.h * 31 + x.l * 17) % 15) * (100 - 3 * x.t) / 10000 * (ARRAY[12, 100, 1])[1 + least(x.form, 2)], 4)
			WHEN x.kind = 'brand' THEN 6 + (h.h + x.l) % 12 ELSE 5 + (h.h + x.l) % 15 END AS value,
		CASE WHEN x.kind = 'item' THEN CASE WHEN x.form = 0 THEN 'CS' ELSE 'EA' END END AS unit,
		CASE WHEN x.t > 0 THEN (ARRAY[24, 120])[x.t] / CASE WHEN x.form = 0 THEN 12 ELSE 1 END END AS min_quantity
	FROM (SELECT l.n, l.kind, l.l, l.t, CASE WHEN l.kind = 'item' THEN (h.h + l.l) % 12 ELSE 2 END AS form,
			CASE l.kind WHEN 'item' THEN 1 + (h.h * 7919 + l.l * 461) % s.items WHEN 'leaf' THEN s.category0 + 111 + (h.h * 37 + l.l * 23) % 1000
				WHEN 'mid' THEN s.category0 + 11 + (h.h * 13 + l.l * 7) % 100 ELSE s.brand0 + 1 + (h.h * 11 + l.l * 3) % 200 END AS target_id
		FROM line l WHERE h.h > 0 OFFSET 0) x OFFSET 0) l;
