-- The rates of a document as rows, with codes resolved, and what is wrong with them.

-- pricing_rate_fault does the judgement of one rate's arithmetic, at the door and again before publication.
CREATE FUNCTION distsync_internal.pricing_rate_fault(slot text, calc text, value numeric, value2 numeric, has_base boolean, extra jsonb, OUT field text, OUT problem text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	signed boolean := slot IN ('adjustment', 'order', 'charge');
BEGIN
	field := 'value';
	problem := CASE
		WHEN value IS NULL THEN format('%s has no value', calc)
		WHEN calc IN ('net', 'per_weight') AND value < 0 OR calc = 'amount_off' AND value < 0 AND NOT signed THEN format('%s %s is not a price', calc, trim_scale(value))
		WHEN calc = 'percent_off' AND (value > 100 OR value < CASE WHEN signed THEN -1000 ELSE 0 END)
			THEN format('%s %s is not between %s and 100', calc, trim_scale(value), CASE WHEN signed THEN -1000 ELSE 0 END)
		WHEN calc = 'margin' AND (value < 0 OR value >= 100) THEN format('margin %s is not from 0 to below 100', trim_scale(value))
		WHEN calc = 'markup' AND value < -100 THEN format('markup %s is below -100', trim_scale(value))
		WHEN calc = 'formula' AND value < 0 THEN format('formula %s is negative', trim_scale(value))
		WHEN calc = 'buy_get' AND value <= 0 THEN format('buy_get %s is not above 0', trim_scale(value)) END;
	IF problem IS NOT NULL THEN
		RETURN;
	END IF;
	IF slot = 'charge' AND calc NOT IN ('net', 'per_weight', 'formula', 'percent_off', 'amount_off') OR slot = 'rebate' AND calc NOT IN ('percent_off', 'amount_off')
		OR slot = 'claim' AND calc NOT IN ('net', 'percent_off', 'amount_off') THEN
		field := 'calc'; problem := format('%s does not stand in the slot %s', calc, slot);
	ELSIF calc = 'reference' AND NOT has_base THEN
		field := 'base'; problem := 'reference has no base';
	ELSIF calc = 'buy_get' AND slot <> 'promotion' THEN
		field := 'calc'; problem := format('buy_get stands only in the slot promotion, not in %s', slot);
	ELSIF calc = 'buy_get' AND COALESCE(value2, 0) <= 0 THEN
		field := 'value2'; problem := format('buy_get with value2 %s gives nothing', COALESCE(trim_scale(value2)::text, 'null'));
	ELSIF extra IS NOT NULL AND calc <> 'buy_get' THEN
		field := CASE WHEN extra ? 'item' THEN 'free_item' ELSE 'percent' END; problem := format('%s has no free goods', calc);
	ELSIF (extra->>'percent')::numeric <= 0 OR (extra->>'percent')::numeric > 100 THEN
		field := 'percent'; problem := format('percent %s is not above 0 and at most 100', extra->>'percent');
	ELSE
		field := NULL;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rate_fault(text, text, numeric, numeric, boolean, jsonb) IS
	'First thing wrong (SD002) with the arithmetic of a rate in a slot: field and problem, NULL = nothing. has_base: it names an agreement; extra: as in the rate tables.';

CREATE TYPE distsync_internal.price_rate AS (
	n			bigint,
	d			jsonb,
	customer_id	bigint,
	line_key	text,
	what_kind	text,
	what_key	text,
	channel_id	bigint,
	site_id		bigint,
	unit		text,
	base_unit	text,
	item_id		bigint,
	min_quantity	numeric,
	calc		text,
	value		numeric,
	value2		numeric,
	price_per	numeric,
	base_agreement_id	bigint,
	valid		tstzrange,
	extra		jsonb
);
COMMENT ON TYPE distsync_internal.price_rate IS 'A rate of a document: n from 0, d the rate itself, ids of what its codes name (NULL = nothing named, or nobody knows it: d tells), base_unit and item_id where it is for an item, min_quantity NULL for 0.';

-- pricing_rate_rows does the reading of a document's rates: codes resolved, dates turned into instants in the agreement's zone.
CREATE FUNCTION distsync_internal.pricing_rate_rows(doc jsonb, source text, tz text)
RETURNS distsync_internal.price_rate[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
	WITH r AS MATERIALIZED (
		SELECT x.ordinality - 1 AS n, x.value AS d, COALESCE(x.value->>'what_kind', 'item') AS kind, x.value->>'what' AS what, COALESCE(x.value->>'calc', 'net') AS calc
		FROM jsonb_array_elements(CASE WHEN jsonb_typeof(doc->'rates') = 'array' THEN doc->'rates' ELSE '[]' END) WITH ORDINALITY x
	), items AS MATERIALIZED (
		SELECT * FROM distsync_internal.master_items(ARRAY(SELECT r.what FROM r WHERE r.kind IN ('item', 'variant_parent') UNION SELECT r.d->>'free_item' FROM r), source)
	), parties AS MATERIALIZED (
		SELECT * FROM distsync_internal.master_parties(ARRAY(SELECT r.d->>'customer' FROM r UNION SELECT r.what FROM r WHERE r.kind = 'vendor'), source)
	), categories AS MATERIALIZED (SELECT * FROM distsync_internal.master_categories(ARRAY(SELECT r.what FROM r WHERE r.kind = 'category'), source)
	), channels AS MATERIALIZED (SELECT * FROM distsync_internal.master_channels(ARRAY(SELECT r.d->>'channel' FROM r), source)
	), sites AS MATERIALIZED (SELECT * FROM distsync_internal.master_sites(ARRAY(SELECT r.d->>'site' FROM r), source)
	), units AS MATERIALIZED (SELECT * FROM distsync_internal.master_units(ARRAY(SELECT r.d->>'unit' FROM r), source))
	SELECT ROW(r.n, r.d, c.id, COALESCE(r.d->>'line', (r.n + 1)::text), r.kind,
		CASE r.kind WHEN 'all' THEN '' WHEN 'brand' THEN NULLIF(r.what, '') WHEN 'family' THEN NULLIF(r.what, '') WHEN 'category' THEN k.id::text WHEN 'vendor' THEN v.id::text ELSE i.id::text END,
		h.id, s.id, COALESCE(u.id, CASE WHEN r.d->>'unit' IS NULL THEN i.unit END), m.base_unit, CASE WHEN r.kind = 'item' THEN i.id END,
		NULLIF((r.d->>'min_quantity')::numeric, 0), r.calc, COALESCE((r.d->>'value')::numeric, CASE WHEN r.calc = 'reference' THEN 0 END),
		COALESCE((r.d->>'value2')::numeric, CASE WHEN r.calc = 'formula' THEN 0 END), (r.d->>'price_per')::numeric, b.agreement_id,
		CASE WHEN r.d ?| '{valid_from,valid_to}' THEN distsync_internal.pricing_period(r.d, pricing_rate_rows.tz) ELSE tstzrange(NULL, NULL) END,
		NULLIF(jsonb_strip_nulls(jsonb_build_object('item', f.id, 'percent', (r.d->>'percent')::numeric)), '{}'))::distsync_internal.price_rate
	FROM r
	LEFT JOIN parties c ON c.code = r.d->>'customer'
	LEFT JOIN items i ON r.kind IN ('item', 'variant_parent') AND i.code = r.what
	LEFT JOIN dist.item m ON m.item_id = i.id
	LEFT JOIN items f ON f.code = r.d->>'free_item'
	LEFT JOIN parties v ON r.kind = 'vendor' AND v.code = r.what
	LEFT JOIN categories k ON r.kind = 'category' AND k.code = r.what
	LEFT JOIN channels h ON h.code = r.d->>'channel'
	LEFT JOIN sites s ON s.code = r.d->>'site'
	LEFT JOIN units u ON u.code = r.d->>'unit'
	LEFT JOIN dist.agreement b ON b.code = r.d->>'base');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rate_rows(jsonb, text, text) IS
	'Rates of an agreement document as rows, with dates in the time zone tz. A GTIN brings its unit.';

-- pricing_rate_faults does the finding of the first rate that cannot be taken. codes: the agreements of the call, which a base may name.
CREATE FUNCTION distsync_internal.pricing_rate_faults(rates distsync_internal.price_rate[], slot text, codes text[], OUT sqlstate text, OUT field text, OUT problem text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT q.sqlstate, format('rates[%s].%s', x.n, q.field), q.problem INTO sqlstate, field, problem
	FROM unnest(rates) x
	LEFT JOIN LATERAL distsync_internal.pricing_rate_fault(pricing_rate_faults.slot, x.calc, x.value, x.value2, x.d->>'base' IS NOT NULL, x.extra) f ON true
	LEFT JOIN LATERAL distsync_internal.pricing_limit_fault(pricing_rate_faults.slot, x.calc, x.d->>'base' IS NOT NULL, (x.d->>'floor_price')::numeric, (x.d->>'ceiling_price')::numeric,
		(x.d->>'min_margin')::numeric) m ON true
	CROSS JOIN LATERAL (SELECT * FROM (VALUES
		(1, 'SD001', 'customer', format('customer "%s" is not known', x.d->>'customer'), x.d->>'customer' IS NOT NULL AND x.customer_id IS NULL),
		(2, 'SD005', 'what', format('%s without what', x.what_kind), x.what_kind <> 'all' AND COALESCE(x.d->>'what', '') = ''),
		(3, 'SD002', 'what', 'all names everything', x.what_kind = 'all' AND COALESCE(x.d->>'what', '') <> ''),
		(4, 'SD001', 'what', format('%s "%s" is not known', x.what_kind, x.d->>'what'), x.what_key IS NULL),
		(5, 'SD001', 'channel', format('channel "%s" is not known', x.d->>'channel'), x.d->>'channel' IS NOT NULL AND x.channel_id IS NULL),
		(6, 'SD001', 'site', format('site "%s" is not known', x.d->>'site'), x.d->>'site' IS NOT NULL AND x.site_id IS NULL),
		(7, 'SD001', 'base', format('agreement "%s" is not known', x.d->>'base'), x.d->>'base' IS NOT NULL AND x.base_agreement_id IS NULL AND x.d->>'base' <> ALL (codes)),
		(8, 'SD004', 'unit', format('unit "%s" is not known', x.d->>'unit'), x.d->>'unit' IS NOT NULL AND x.unit IS NULL),
		(9, 'SD004', 'unit', format('item "%s" has no unit "%s"', x.d->>'what', x.d->>'unit'), x.unit <> x.base_unit AND x.item_id IS NOT NULL
			AND NOT EXISTS (SELECT FROM dist.item_unit u WHERE u.item_id = x.item_id AND u.unit = x.unit)),
		(10, 'SD001', 'free_item', format('item "%s" is not known', x.d->>'free_item'), x.d->>'free_item' IS NOT NULL AND NOT COALESCE(x.extra ? 'item', false)),
		(11, 'SD002', f.field, f.problem, f.problem IS NOT NULL),
		(12, 'SD002', 'value', format('value %s has more than 10 decimals', x.value), scale(trim_scale(x.value)) > 10),
		(13, 'SD002', 'value2', format('value2 %s has more than 10 decimals', x.value2), scale(trim_scale(x.value2)) > 10),
		(13, 'SD002', 'value', format('value %s is too large', x.d->>'value'), abs(x.value) >= 1e14),
		(13, 'SD002', 'value2', format('value2 %s is too large', x.d->>'value2'), abs(x.value2) >= 1e14),
		(14, 'SD002', 'price_per', format('price_per %s is not 1, 100 or 1000', x.price_per), x.price_per NOT IN (1, 100, 1000)),
		(15, 'SD002', 'min_margin', format('min_margin %s is not a fraction below 1 with at most 6 decimals', x.d->>'min_margin'),
			NOT COALESCE((x.d->>'min_margin')::numeric < 1 AND (x.d->>'min_margin')::numeric > -100 AND scale(trim_scale((x.d->>'min_margin')::numeric)) <= 6, true)),
		(16, 'SD002', 'condition', 'condition is not an object', x.d->'condition' <> 'null' AND jsonb_typeof(x.d->'condition') <> 'object'),
		(17, 'SD002', 'valid_to', 'valid_to is not after valid_from', isempty(x.valid)),
		(18, 'SD002', m.field, m.problem, m.problem IS NOT NULL)
	) v(no, sqlstate, field, problem, bad) WHERE v.bad ORDER BY v.no LIMIT 1) q
	ORDER BY x.n LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rate_faults(distsync_internal.price_rate[], text, text[]) IS
	'First rate of a document that cannot be taken: SQLSTATE, field (rates[n].field), what is wrong; all NULL where all can.';

-- pricing_most_rates does the telling of how many rates one buyer and target may have: as many as a price reads (MAX_RATES of load_cell.c).
CREATE FUNCTION distsync_internal.pricing_most_rates() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 100000
$$;
COMMENT ON FUNCTION distsync_internal.pricing_most_rates() IS 'Most rates that a rate set may have for one buyer and one target.';

-- pricing_rate_twins does the finding of two rates of a document that nothing separates, or that have one key.
CREATE FUNCTION distsync_internal.pricing_rate_twins(rates distsync_internal.price_rate[], OUT field text, OUT problem text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH x AS MATERIALIZED (SELECT *, CASE WHEN r.unit IS DISTINCT FROM r.base_unit THEN COALESCE(r.unit, '') ELSE '' END AS other_unit FROM unnest(rates) r),
	tier AS (
		SELECT x.n, lag(x.n) OVER w AS before, lower(x.valid) AS start, max(COALESCE(upper(x.valid), 'infinity')) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS until
		FROM x WINDOW w AS (PARTITION BY x.customer_id, x.what_kind, x.what_key, x.channel_id, x.site_id, x.other_unit, x.min_quantity ORDER BY lower(x.valid) NULLS FIRST, x.n))
	SELECT u.field, u.problem INTO field, problem FROM ((SELECT format('rates[%s].min_quantity', t.n) AS field, format('rates[%s] and rates[%s] are for the same buyer, target and tier', t.before, t.n) AS problem
	FROM tier t WHERE COALESCE(t.start, '-infinity') < t.until ORDER BY t.start NULLS FIRST, t.n LIMIT 1)
	UNION ALL
	(SELECT format('rates[%s].line', max(x.n)), format('rates[%s] and rates[%s] have the same line for the same buyer and target', min(x.n), max(x.n))
	FROM x GROUP BY x.customer_id, x.what_kind, x.what_key, x.line_key HAVING count(*) > 1 ORDER BY max(x.n) LIMIT 1)) u
	LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rate_twins(distsync_internal.price_rate[]) IS
	'Two rates of a document for the same buyer, target, channel, site, unit and tier whose periods overlap, or with the same line: field and problem (SD008), NULL = none.';
