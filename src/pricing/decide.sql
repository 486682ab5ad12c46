-- From candidates to a price: slot after slot, as the policy says, each step kept for the waterfall.

CREATE TYPE distsync_internal.price_result AS (
	ordinal		integer,
	outcome		text,
	item		text,
	quantity	numeric,
	unit		text,
	unit_price	numeric,
	currency	text,
	price_per	integer,
	net_amount	numeric,
	agreement	text,
	valid_until	timestamptz,
	as_of		timestamptz,
	known_at	timestamptz,
	code		text,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.price_result IS 'A priced line: unit_price is for price_per units; net_amount is quantity × unit_price / price_per, rounded to the currency.';

-- pricing_cost does the look-up of what one unit of a line costs us, in the asked currency; NULL = not known.
CREATE FUNCTION distsync_internal.pricing_cost(line distsync_internal.price_line, company_id bigint, currency text, at timestamptz, known_at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT distsync_internal.master_convert(c.cost, c.currency, pricing_cost.currency, pricing_cost.at) * line.numerator * f.denominator / (line.denominator * f.numerator)
	FROM dist.item_cost c, distsync_internal.master_unit_factor(line.item_id, c.unit) f
	WHERE c.item_id = line.item_id AND c.company_id = pricing_cost.company_id AND c.site_id IN (0, line.site_id) AND c.kind = 'average' AND c.valid @> pricing_cost.at
		AND CASE WHEN pricing_cost.known_at IS NULL THEN upper_inf(c.known) ELSE c.known @> pricing_cost.known_at END
	ORDER BY c.site_id DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_cost(distsync_internal.price_line, bigint, text, timestamptz, timestamptz) IS
	'Average cost of one unit of the line at its site or company, converted; NULL where the ERP has told none.';

-- pricing_base_price does the look-up of the price that a percentage starts from when it names an agreement of its own.
CREATE FUNCTION distsync_internal.pricing_base_price(agreement_id bigint, line distsync_internal.price_line, currency text, at timestamptz, known_at timestamptz, policy jsonb) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT distsync_internal.master_convert(r.value, a.currency, pricing_base_price.currency, pricing_base_price.at) / r.price_per * line.numerator * f.denominator / (line.denominator * f.numerator)
	FROM dist.agreement a
	JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id AND v.status = 'published' AND v.valid @> pricing_base_price.at
		AND CASE WHEN pricing_base_price.known_at IS NULL THEN upper_inf(v.known) ELSE v.known @> pricing_base_price.known_at END
	JOIN dist.item_target t ON t.item_id = line.item_id AND t.valid @> pricing_base_price.at
	JOIN jsonb_array_elements_text(policy->'what') WITH ORDINALITY w ON w.value = t.what_kind
	JOIN dist.book_rate r ON r.version_id = v.rate_set_id AND r.what_kind = t.what_kind AND r.what_key = t.what_key AND r.calc = 'net' AND r.valid @> pricing_base_price.at
	JOIN dist.item i ON i.item_id = line.item_id
	CROSS JOIN LATERAL distsync_internal.master_unit_factor(line.item_id, COALESCE(r.unit, i.base_unit)) f
	WHERE a.agreement_id = pricing_base_price.agreement_id AND line.base_quantity * f.denominator >= r.min_quantity * f.numerator
	ORDER BY w.ordinality, t.depth, r.min_quantity * f.numerator / f.denominator DESC, r.value, r.line_key LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_base_price(bigint, distsync_internal.price_line, text, timestamptz, timestamptz, jsonb) IS
	'Net price for one unit of the line in the named agreement, nearest item target and highest tier; NULL = it has none.';

-- pricing_calc does one rate's arithmetic: the price for one unit of the line that the rate makes of its base.
CREATE FUNCTION distsync_internal.pricing_calc(c distsync_internal.price_candidate, line distsync_internal.price_line, base numeric, cost numeric, currency text, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT CASE c.calc
		WHEN 'net' THEN distsync_internal.master_convert(c.value, c.currency, pricing_calc.currency, pricing_calc.at) / c.price_per * line.numerator * c.denominator / (line.denominator * c.numerator)
		WHEN 'percent_off' THEN base * (1 - c.value / 100)
		WHEN 'amount_off' THEN greatest(base - distsync_internal.master_convert(c.value, c.currency, pricing_calc.currency, pricing_calc.at) / c.price_per * line.numerator * c.denominator / (line.denominator * c.numerator), 0)
		WHEN 'markup' THEN cost * (1 + c.value / 100)
		WHEN 'margin' THEN cost / (1 - c.value / 100)
	END);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_calc(distsync_internal.price_candidate, distsync_internal.price_line, numeric, numeric, text, timestamptz) IS
	'Price for one unit of the line by one rate: base is the price a percentage starts from, cost our cost; NULL where what it starts from is not known.';

-- pricing_valid_until does the search for the first instant at which time alone can change the answer.
CREATE FUNCTION distsync_internal.pricing_valid_until(candidates distsync_internal.price_candidate[], ordinal integer, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT min(e.edge)
	FROM unnest(candidates) c
	CROSS JOIN LATERAL (VALUES (lower(c.valid)), (upper(c.valid))) e(edge)
	WHERE c.ordinal = pricing_valid_until.ordinal AND e.edge > pricing_valid_until.at AND e.edge < 'infinity');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_valid_until(distsync_internal.price_candidate[], integer, timestamptz) IS
	'First start or end after the instant among all rates that name the line; NULL = none is known.';

-- pricing_waterfall does the decision for one line. It walks the applying candidates in slot order: list, book and contract replace,
-- a promotion counts only if lower, adjustments stack by group, the guard clamps; every step and every loser is kept.
CREATE FUNCTION distsync_internal.pricing_waterfall(line distsync_internal.price_line, candidates distsync_internal.price_candidate[], lock_price numeric, currency text, at timestamptz, known_at timestamptz,
	company_id bigint, policy jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c distsync_internal.price_candidate;
	s record;
	list_price numeric;
	price numeric;
	base numeric;
	next numeric;
	cost numeric := distsync_internal.pricing_cost(line, company_id, currency, at, known_at);
	floor_price numeric;
	ceiling_price numeric;
	steps jsonb := '[]';
	losers jsonb := '[]';
	winner distsync_internal.price_candidate;
	took boolean;
	groups text[] := '{}';
BEGIN
	FOR s IN SELECT x.value->>'slot' AS slot, x.value->>'combine' AS combine FROM jsonb_array_elements(policy->'slots') WITH ORDINALITY x ORDER BY x.ordinality LOOP
		took := false;
		FOR c IN SELECT x.* FROM unnest(candidates) x
			WHERE x.ordinal = line.ordinal AND x.slot = s.slot AND x.reason IS NULL
			ORDER BY x.sort_key, CASE WHEN x.calc = 'percent_off' THEN -x.value ELSE x.value END, x.agreement COLLATE "C", x.line_key COLLATE "C"
		LOOP
			IF took AND (s.combine <> 'stack' OR c.combine NOT IN ('additive', 'compound', 'always') AND c.stack_group = ANY (groups)) THEN
				losers := losers || distsync_internal.pricing_note(c, jsonb_build_object('reason', 'outranked'));
				CONTINUE;
			END IF;
			base := CASE WHEN c.base_agreement_id IS NOT NULL THEN distsync_internal.pricing_base_price(c.base_agreement_id, line, currency, at, known_at, policy)
				WHEN s.slot IN ('book', 'contract') THEN COALESCE(list_price, price)
				WHEN c.combine = 'additive' THEN COALESCE(list_price, price) ELSE price END;
			next := distsync_internal.pricing_calc(c, line, base, cost, currency, at);
			IF s.combine = 'stack' AND c.combine = 'additive' THEN
				next := price - (base - next);
			END IF;
			IF next IS NULL AND s.combine <> 'clamp' THEN
				losers := losers || distsync_internal.pricing_note(c, jsonb_build_object('reason', CASE WHEN c.calc IN ('markup', 'margin') THEN 'no_cost' ELSE 'no_base_price' END));
				CONTINUE;
			END IF;
			IF s.combine = 'best' AND price IS NOT NULL AND (next >= price OR winner.combine = 'exclusive') THEN
				losers := losers || distsync_internal.pricing_note(c, jsonb_build_object('reason', CASE WHEN winner.combine = 'exclusive' THEN 'excluded' ELSE 'not_lower' END));
				CONTINUE;
			END IF;
			took := true;
			groups := groups || c.stack_group;
			IF s.combine = 'clamp' THEN
				floor_price := greatest(floor_price, c.floor_price, CASE WHEN c.calc = 'margin' THEN next END);
				ceiling_price := least(ceiling_price, c.ceiling_price);
				CONTINUE;
			END IF;
			steps := steps || distsync_internal.pricing_note(c, jsonb_build_object('before', trim_scale(price), 'after', trim_scale(next)));
			price := next;
			IF s.slot = 'list' THEN
				list_price := next;
			END IF;
			IF s.combine <> 'stack' THEN
				winner := c;
			END IF;
			floor_price := greatest(floor_price, c.floor_price, CASE WHEN c.min_margin IS NOT NULL THEN cost / (1 - c.min_margin) END);
			ceiling_price := least(ceiling_price, c.ceiling_price);
		END LOOP;
	END LOOP;
	SELECT losers || COALESCE(jsonb_agg(distsync_internal.pricing_note(x, jsonb_build_object('reason', x.reason)) ORDER BY x.slot_no, x.sort_key, x.agreement COLLATE "C", x.line_key COLLATE "C"), '[]') INTO losers
	FROM unnest(candidates) x WHERE x.ordinal = line.ordinal AND x.reason IS NOT NULL;
	RETURN jsonb_build_object('list_price', trim_scale(list_price), 'resolved', trim_scale(price), 'price', trim_scale(COALESCE(lock_price, price)), 'floor', trim_scale(floor_price),
		'ceiling', trim_scale(ceiling_price), 'cost', trim_scale(cost),
		'agreement', winner.agreement, 'rounding', winner.rounding, 'locked', lock_price IS NOT NULL, 'steps', steps, 'losers', losers);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_waterfall(distsync_internal.price_line, distsync_internal.price_candidate[], numeric, text, timestamptz, timestamptz, bigint, jsonb) IS
	'Decides one line: {"list_price","resolved","price","floor","ceiling","cost","agreement","rounding","locked","steps","losers"}; prices are for one unit, before rounding and guard; price NULL = nothing applies.';

-- pricing_note does the writing down of a rate: one that moved the price, with the price before and after, or one that did not count, with
-- the reason.
CREATE FUNCTION distsync_internal.pricing_note(c distsync_internal.price_candidate, more jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('slot', c.slot, 'agreement', c.agreement, 'version', c.version_no, 'line', c.line_key, 'who', c.who_kind || ':' || c.who_key, 'what', c.what_kind || ':' || c.what_key,
		'calc', c.calc, 'value', trim_scale(c.value), 'per', c.price_per, 'unit', c.unit, 'min_quantity', trim_scale(c.min_quantity)) || more;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_note(distsync_internal.price_candidate, jsonb) IS
	'A rate of the waterfall: slot, agreement, version, line, who and what it names, arithmetic; and what is added: before and after, or reason.';
