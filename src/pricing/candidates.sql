-- Who is buying, what is asked for, and every rate that speaks about it, with the first reason why it does not apply.

CREATE TYPE distsync_internal.price_line AS (
	ordinal			integer,
	item_id			bigint,
	sku				text,
	quantity		numeric,
	unit			text,
	numerator		bigint,
	denominator		bigint,
	base_quantity	numeric,
	site_id			bigint
);
COMMENT ON TYPE distsync_internal.price_line IS 'A line to be priced, codes resolved: quantity in unit, base_quantity in the base unit, exactly.';

CREATE TYPE distsync_internal.price_candidate AS (
	ordinal			integer,
	slot			text,
	slot_no			integer,
	agreement_id	bigint,
	agreement		text,
	version_no		integer,
	version_id		bigint,
	line_key		text,
	who_kind		text,
	who_key			text,
	what_kind		text,
	what_key		text,
	combine			text,
	stack_group		text,
	currency		text,
	rounding		text,
	unit			text,
	numerator		bigint,
	denominator		bigint,
	min_quantity	numeric,
	calc			text,
	value			numeric,
	price_per		integer,
	base_agreement_id	bigint,
	floor_price		numeric,
	ceiling_price	numeric,
	min_margin		numeric,
	valid			tstzrange,
	reason			text,
	sort_key		numeric[]
);
COMMENT ON TYPE distsync_internal.price_candidate IS 'A rate that names the buyer and the item; reason NULL = it applies, otherwise the first thing that keeps it from applying.';

-- pricing_lines does the resolving of the codes of all lines at once; an unknown one is an error that names its field, never a
-- silent fallback.
CREATE FUNCTION distsync_internal.pricing_lines(lines jsonb, default_site text, source text) RETURNS distsync_internal.price_line[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
	f record;
	r distsync_internal.price_line;
	result distsync_internal.price_line[] := '{}';
BEGIN
	IF jsonb_typeof(lines) IS DISTINCT FROM 'array' OR jsonb_array_length(lines) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'lines must be an array with at least one object',
			DETAIL = 'Field: lines.', HINT = 'Send [{"item": "SKU", "quantity": 1, "unit": "EA"}].';
	END IF;
	FOR l IN SELECT x.value AS doc, x.ordinality AS n FROM jsonb_array_elements(lines) WITH ORDINALITY x LOOP
		r.ordinal := l.n;
		r.item_id := COALESCE((l.doc->>'item_id')::bigint, distsync_internal.master_item(l.doc->>'item', format('lines[%s].item', l.n - 1), source));
		SELECT i.sku, COALESCE(l.doc->>'unit', i.base_unit) AS unit INTO r.sku, r.unit FROM dist.item i WHERE i.item_id = r.item_id;
		r.quantity := distsync_internal.pricing_quantity(COALESCE(l.doc->>'quantity', '1'), format('lines[%s].quantity', l.n - 1));
		SELECT * INTO f FROM distsync_internal.master_unit_factor(r.item_id, r.unit, format('lines[%s].unit', l.n - 1));
		r.numerator := f.numerator;
		r.denominator := f.denominator;
		r.base_quantity := r.quantity * f.numerator / f.denominator;
		r.site_id := CASE WHEN l.doc ? 'site' THEN distsync_internal.master_site(l.doc->>'site', format('lines[%s].site', l.n - 1), source)
			WHEN default_site IS NOT NULL THEN distsync_internal.master_site(default_site, 'options.site', source) ELSE 0 END;
		result := result || r;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lines(jsonb, text, text) IS
	'Lines [{"item" or "item_id","quantity","unit","site"}] with codes resolved and quantities in base units. Errors: SD001 unknown code, SD002 quantity, SD004 unit, SD005 shape.';

-- pricing_quantity does the reading of a quantity to price: positive, finite, at most six decimals.
CREATE FUNCTION distsync_internal.pricing_quantity(value text, field text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	q numeric;
BEGIN
	IF value ~ '^[+-]?[0-9]{1,14}(\.[0-9]{1,6}0*)?$' THEN
		q := value::numeric;
	END IF;
	IF q IS NULL OR q <= 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity "%s" cannot be priced', left(value, 40)), DETAIL = format('Field: %s.', field),
			HINT = 'Give a number above 0 with at most 14 digits before and 6 after the point.';
	END IF;
	RETURN q;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_quantity(text, text) IS 'Quantity from its text. Error SD002 names the field.';

-- pricing_buyer does the listing of everything a rate or an assignment may name to mean this buyer, nearest first.
CREATE FUNCTION distsync_internal.pricing_buyer(customer_id bigint, at timestamptz, policy jsonb, options jsonb)
RETURNS TABLE (who_kind text, who_key text, party_id bigint, rank numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH own AS (
		SELECT CASE WHEN a.depth = 0 THEN 'customer' ELSE 'parent' END AS kind, p.code AS key, p.party_id, a.depth
		FROM dist.party_ancestor a JOIN dist.party p ON p.party_id = a.ancestor_id
		WHERE a.party_id = pricing_buyer.customer_id AND a.valid @> pricing_buyer.at
		UNION ALL
		SELECT x.kind, p.code, p.party_id, 0
		FROM (VALUES ('ship_to', options->>'ship_to'), ('job', options->>'job')) AS x(kind, code)
		JOIN dist.party p ON p.code = x.code
	), everything AS (
		SELECT kind, key, party_id, depth FROM own
		UNION ALL
		SELECT g.kind, g.code, NULL, min(o.depth)
		FROM own o JOIN dist.party_member m ON m.party_id = o.party_id AND m.valid @> pricing_buyer.at JOIN dist.party_group g ON g.group_id = m.group_id
		GROUP BY g.kind, g.code
		UNION ALL
		SELECT 'price_class', p.price_class, NULL, 0 FROM dist.party p WHERE p.party_id = pricing_buyer.customer_id AND p.price_class IS NOT NULL
		UNION ALL
		SELECT 'channel', options->>'channel', NULL, 0 WHERE options ? 'channel'
		UNION ALL
		SELECT 'all', '', NULL, 0
	)
	SELECT e.kind, e.key, e.party_id, (w.ordinality * 100 + e.depth)::numeric
	FROM everything e
	JOIN jsonb_array_elements_text(policy->'who') WITH ORDINALITY w ON w.value = e.kind;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_buyer(bigint, timestamptz, jsonb, jsonb) IS
	'Kinds and keys that mean this buyer at an instant (itself, ship-to, job, parents, groups, class, channel, all), with their rank by the policy, lower is nearer.';

-- pricing_versions does the listing of the shared agreement versions assigned to a buyer, each once, by its nearest assignment.
CREATE FUNCTION distsync_internal.pricing_versions(customer_id bigint, at timestamptz, known_at timestamptz, policy jsonb, options jsonb)
RETURNS TABLE (agreement_id bigint, version_id bigint, rate_set_id bigint, version_no integer, valid tstzrange, who_kind text, who_key text, rank numeric, list_rank integer)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT DISTINCT ON (v.version_id) v.agreement_id, v.version_id, v.rate_set_id, v.version_no, v.valid, b.who_kind, b.who_key, b.rank, s.rank
	FROM distsync_internal.pricing_buyer(pricing_versions.customer_id, pricing_versions.at, policy, options) b
	JOIN dist.agreement_assignment s ON s.who_kind = b.who_kind AND s.who_key = b.who_key AND s.valid @> pricing_versions.at
	JOIN dist.agreement_version v ON v.agreement_id = s.agreement_id AND v.status = 'published'
	WHERE (upper_inf(v.valid) OR upper(v.valid) > pricing_versions.at)
		AND CASE WHEN pricing_versions.known_at IS NULL THEN upper_inf(v.known) ELSE v.known @> pricing_versions.known_at END
	ORDER BY v.version_id, b.rank, s.rank;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_versions(bigint, timestamptz, timestamptz, jsonb, jsonb) IS
	'Published versions of shared agreements assigned to the buyer, valid at the instant or later, as known then.';

-- pricing_rates does the probing: every rate, shared or the buyer's own, that names one of the lines' items by any of its targets. The
-- OFFSET 0 keeps each probe an index look-up: the planner knows nothing of functions' rows and would rather read all rates.
CREATE FUNCTION distsync_internal.pricing_rates(customer_id bigint, lines distsync_internal.price_line[], at timestamptz, known_at timestamptz, policy jsonb, options jsonb)
RETURNS TABLE (ordinal integer, agreement_id bigint, version_id bigint, version_no integer, version_valid tstzrange, who_kind text, who_key text, who_rank numeric, list_rank integer,
	what_kind text, what_key text, what_rank numeric, line_key text, channel_id bigint, site_id bigint, unit text, min_quantity numeric, calc text, value numeric, price_per integer,
	base_agreement_id bigint, floor_price numeric, ceiling_price numeric, min_margin numeric, condition jsonb, valid tstzrange)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH target AS MATERIALIZED (
		SELECT l.ordinal, t.what_kind, t.what_key, (w.ordinality * 100 + t.depth)::numeric AS what_rank
		FROM unnest(lines) l
		JOIN dist.item_target t ON t.item_id = l.item_id AND t.valid @> pricing_rates.at
		JOIN jsonb_array_elements_text(policy->'what') WITH ORDINALITY w ON w.value = t.what_kind
	)
	SELECT t.ordinal, v.agreement_id, v.version_id, v.version_no, v.valid, v.who_kind, v.who_key, v.rank, v.list_rank, t.what_kind, t.what_key, t.what_rank,
		r.line_key, r.channel_id, r.site_id, r.unit, r.min_quantity, r.calc, r.value, r.price_per, r.base_agreement_id, r.floor_price, r.ceiling_price, r.min_margin, r.condition, r.valid
	FROM distsync_internal.pricing_versions(pricing_rates.customer_id, pricing_rates.at, pricing_rates.known_at, policy, options) v
	CROSS JOIN target t
	CROSS JOIN LATERAL (SELECT x.* FROM dist.book_rate x WHERE x.version_id = v.rate_set_id AND x.what_kind = t.what_kind AND x.what_key = t.what_key OFFSET 0) r
	UNION ALL
	SELECT t.ordinal, v.agreement_id, v.version_id, v.version_no, v.valid, b.who_kind, b.who_key, b.rank, 0, t.what_kind, t.what_key, t.what_rank,
		r.line_key, r.channel_id, r.site_id, r.unit, r.min_quantity, r.calc, r.value, r.price_per, r.base_agreement_id, r.floor_price, r.ceiling_price, r.min_margin, r.condition, r.valid
	FROM distsync_internal.pricing_buyer(pricing_rates.customer_id, pricing_rates.at, policy, options) b
	CROSS JOIN target t
	CROSS JOIN LATERAL (SELECT x.* FROM dist.customer_rate x WHERE x.customer_id = b.party_id AND x.what_kind = t.what_kind AND x.what_key = t.what_key OFFSET 0) r
	JOIN dist.agreement_version v ON v.rate_set_id = r.version_id AND v.status = 'published'
	WHERE b.party_id IS NOT NULL AND (upper_inf(v.valid) OR upper(v.valid) > pricing_rates.at)
		AND CASE WHEN pricing_rates.known_at IS NULL THEN upper_inf(v.known) ELSE v.known @> pricing_rates.known_at END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rates(bigint, distsync_internal.price_line[], timestamptz, timestamptz, jsonb, jsonb) IS
	'All rates that name the buyer and an item of the lines, whatever keeps them from applying; versions valid at the instant or later, as known then.';

-- pricing_what_code does the naming of a target by its business code: ids stay inside.
CREATE FUNCTION distsync_internal.pricing_what_code(what_kind text, what_key text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT CASE
		WHEN what_kind IN ('item', 'variant_parent') THEN (SELECT i.sku FROM dist.item i WHERE i.item_id = what_key::bigint)
		WHEN what_kind = 'category' THEN (SELECT c.code FROM dist.category c WHERE c.category_id = what_key::bigint)
		WHEN what_kind = 'vendor' THEN (SELECT p.code FROM dist.party p WHERE p.party_id = what_key::bigint)
		ELSE what_key END);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_what_code(text, text) IS 'Business code of a price target: SKU, category or vendor code, brand, family, or nothing for all.';

-- pricing_candidates does the judging of each rate: the first reason why it does not apply, and its place in the total order, whose
-- keys the policy names. Only content decides, never a surrogate id.
CREATE FUNCTION distsync_internal.pricing_candidates(customer_id bigint, lines distsync_internal.price_line[], at timestamptz, known_at timestamptz, policy jsonb, options jsonb,
	company_id bigint, currency text)
RETURNS SETOF distsync_internal.price_candidate
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT l.ordinal, a.slot, s.ordinality::integer, a.agreement_id, a.code, r.version_no, r.version_id, r.line_key, r.who_kind, r.who_key, r.what_kind, distsync_internal.pricing_what_code(r.what_kind, r.what_key),
		a.combine, a.stack_group, a.currency, a.rounding, COALESCE(r.unit, i.base_unit), f.numerator, f.denominator, r.min_quantity, r.calc, r.value, r.price_per,
		r.base_agreement_id, r.floor_price, r.ceiling_price, r.min_margin, r.version_valid * r.valid,
		CASE
			WHEN lower(r.version_valid) > pricing_candidates.at THEN 'starts_later'
			WHEN a.status <> 'active' THEN 'agreement_inactive'
			WHEN a.company_id <> pricing_candidates.company_id THEN 'other_company'
			WHEN NOT r.valid @> pricing_candidates.at THEN 'rate_not_valid'
			WHEN a.currency <> pricing_candidates.currency AND NOT a.fx_allowed THEN 'currency'
			WHEN r.channel_id <> 0 AND r.channel_id <> COALESCE((SELECT c.channel_id FROM dist.channel c WHERE c.code = options->>'channel'), 0) THEN 'channel'
			WHEN r.site_id <> 0 AND r.site_id <> l.site_id THEN 'site'
			WHEN f.numerator IS NULL THEN 'unit'
			WHEN l.base_quantity * f.denominator < r.min_quantity * f.numerator THEN 'below_tier'
			WHEN NOT COALESCE(options->'context', '{}') @> COALESCE(r.condition, '{}') THEN 'condition'
			WHEN a.cap_behavior = 'stop' AND EXISTS (SELECT FROM dist.commitment_use u WHERE u.agreement_id = a.agreement_id
				HAVING sum(u.quantity) >= a.commit_quantity OR sum(u.amount) >= a.commit_amount) THEN 'commitment_used_up'
		END,
		ARRAY(SELECT CASE k.value
				WHEN 'who' THEN r.who_rank
				WHEN 'list_rank' THEN r.list_rank
				WHEN 'what' THEN r.what_rank
				WHEN 'channel' THEN (r.channel_id = 0)::integer
				WHEN 'site' THEN (r.site_id = 0)::integer
				WHEN 'unit' THEN (COALESCE(r.unit, i.base_unit) <> l.unit)::integer
				WHEN 'currency' THEN (a.currency <> pricing_candidates.currency)::integer
				WHEN 'priority' THEN -a.priority
				WHEN 'min_quantity' THEN -r.min_quantity * f.numerator / f.denominator
				WHEN 'valid_from' THEN CASE WHEN lower_inf(r.version_valid) THEN 0 ELSE -extract(epoch FROM lower(r.version_valid)) END
				WHEN 'version_no' THEN -r.version_no
			END
			FROM jsonb_array_elements_text(policy->'order') WITH ORDINALITY k ORDER BY k.ordinality)
	FROM distsync_internal.pricing_rates(pricing_candidates.customer_id, lines, pricing_candidates.at, pricing_candidates.known_at, policy, options) r
	JOIN unnest(lines) l ON l.ordinal = r.ordinal
	JOIN dist.item i ON i.item_id = l.item_id
	JOIN dist.agreement a ON a.agreement_id = r.agreement_id
	JOIN jsonb_array_elements(policy->'slots') WITH ORDINALITY s ON s.value->>'slot' = a.slot
	LEFT JOIN LATERAL (
		SELECT 1::bigint AS numerator, 1::bigint AS denominator WHERE COALESCE(r.unit, i.base_unit) = i.base_unit
		UNION ALL
		SELECT u.numerator, u.denominator FROM dist.item_unit u WHERE u.item_id = l.item_id AND u.unit = r.unit AND r.unit <> i.base_unit
	) f ON true;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_candidates(bigint, distsync_internal.price_line[], timestamptz, timestamptz, jsonb, jsonb, bigint, text) IS
	'Every rate that names the buyer and an item of the lines, with the first reason why it does not apply (NULL = it applies) and its sort key by the policy, lower wins.';
