-- What may have gone wrong with a price that was charged: each function names suspects of one kind, the likeliest first. A suspect is a
-- cause, what it says for people, and what it changes in the question, so that pricing_try() can ask the engine what would come out.

CREATE TYPE distsync_internal.price_suspect AS (
	cause	text,
	told	jsonb,
	change	jsonb
);
COMMENT ON TYPE distsync_internal.price_suspect IS
	'What may have gone wrong: cause; told: what it supposes, for people; change: what differs in the question (customer_id, quantity, unit, site, alone, at, known_at, options, suppose), or gives: the price that comes out, for one unit.';

-- pricing_suppose does the pricing of lines as if something had gone wrong on the way.
CREATE FUNCTION distsync_internal.pricing_suppose(customer_id bigint, lines jsonb, at timestamptz, options jsonb, suppose jsonb) RETURNS SETOF distsync_internal.price_result
AS 'MODULE_PATHNAME', 'ds_sql_pricing_suppose' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.pricing_suppose(bigint, jsonb, timestamptz, jsonb, jsonb) IS
	'pricing_prices() with the whole waterfall in detail, as if something were wrong. suppose: exchange (none | inverse | an instant whose rates hold), scale, mode and each_step of the rounding, times and over (a factor on the price before it is rounded), twice (a slot whose discount is taken twice) and compound (the second time of what the first left).';

-- pricing_edges does the finding of the instants at which what concerns a buyer and an item changed: in business, and in our knowledge.
CREATE FUNCTION distsync_internal.pricing_edges(parties bigint[], item_id bigint, basis timestamptz) RETURNS TABLE (axis text, at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	chain bigint[] := ARRAY(SELECT DISTINCT a.ancestor_id FROM dist.party_ancestor a WHERE a.party_id = ANY (parties));
	targets bigint[] := ARRAY(SELECT DISTINCT t.target_id FROM dist.item_target t WHERE t.item_id = pricing_edges.item_id);
BEGIN
	RETURN QUERY
	WITH rate AS MATERIALIZED (
		SELECT p.version_id, p.agreement_id, r.valid_from, r.valid_to FROM dist.rate_part p JOIN dist.customer_rate r ON r.version_id = p.version_id AND r.customer_id = p.customer_id AND r.target_id = ANY (targets)
		WHERE p.customer_id = ANY (chain)
		UNION ALL
		SELECT p.version_id, p.agreement_id, r.valid_from, r.valid_to FROM dist.rate_part p JOIN dist.book_rate r ON r.version_id = p.version_id AND r.target_id = ANY (targets)
		WHERE p.customer_id = 0),
	version AS MATERIALIZED (
		SELECT v.rate_set_id, v.agreement_id, v.valid, v.known FROM dist.agreement_version v WHERE v.rate_set_id = ANY (ARRAY(SELECT r.version_id FROM rate r)) AND v.published_at IS NOT NULL),
	assigned AS MATERIALIZED (
		SELECT a.agreement_id, a.valid, a.known FROM dist.agreement_assignment a WHERE a.agreement_id = ANY (ARRAY(SELECT r.agreement_id FROM rate r))),
	edge (axis, at) AS (
		SELECT w.axis, w.at FROM (SELECT v.known FROM version v UNION ALL SELECT a.known FROM assigned a UNION ALL SELECT m.known FROM dist.party_member m WHERE m.party_id = ANY (chain)
			UNION ALL SELECT c.known FROM dist.item_cost c WHERE c.item_id = pricing_edges.item_id
			UNION ALL SELECT a.valid FROM dist.party_ancestor a WHERE a.party_id = ANY (parties) UNION ALL SELECT t.valid FROM dist.item_target t WHERE t.item_id = pricing_edges.item_id) k
		CROSS JOIN LATERAL (VALUES ('replaced', upper(k.known)), ('new', lower(k.known))) w(axis, at)
		UNION
		SELECT 'valid', e FROM (SELECT v.valid FROM version v WHERE v.known @> basis UNION ALL SELECT a.valid FROM assigned a WHERE a.known @> basis AND a.agreement_id IN (SELECT v.agreement_id FROM version v WHERE v.known @> basis)
			UNION ALL SELECT tstzrange(r.valid_from, r.valid_to) FROM rate r WHERE r.version_id IN (SELECT v.rate_set_id FROM version v WHERE v.known @> basis) UNION ALL SELECT m.valid FROM dist.party_member m WHERE m.party_id = ANY (chain) AND m.known @> basis
			UNION ALL SELECT a.valid FROM dist.party_ancestor a WHERE a.party_id = ANY (parties)
			UNION ALL SELECT t.valid FROM dist.item_target t WHERE t.item_id = pricing_edges.item_id UNION ALL SELECT c.valid FROM dist.item_cost c WHERE c.item_id = pricing_edges.item_id AND c.known @> basis
			UNION ALL SELECT k.valid FROM dist.price_lock k WHERE k.customer_id = ANY (parties) AND k.item_id = pricing_edges.item_id) w CROSS JOIN LATERAL unnest(ARRAY[lower(w.valid), upper(w.valid)]) e)
	SELECT e.axis, e.at FROM edge e WHERE e.at IS NOT NULL AND isfinite(e.at);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_edges(bigint[], bigint, timestamptz) IS
	'Instants at which agreements that name an item, who may use them, memberships, the trees of parties and items, the item''s costs or prices locked for it change: axis valid in business, as known at basis; axis replaced and new when we learnt that something held no more, or held.';

-- pricing_suspect_time does the suspects of time: what we held true before, what had ended, what had not begun. Exchange rates stay those of the instant.
CREATE FUNCTION distsync_internal.pricing_suspect_time(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	priced_at timestamptz := (ctx->>'at')::timestamptz;
	basis timestamptz := COALESCE((ctx->>'known_at')::timestamptz, clock_timestamp());
	first_known timestamptz := (SELECT min(p.published_at) FROM dist.price_policy p);
	spot jsonb := jsonb_build_object('exchange', ctx->'at');
BEGIN
	RETURN QUERY
	WITH e AS MATERIALIZED (SELECT * FROM distsync_internal.pricing_edges(ARRAY(SELECT jsonb_array_elements_text(ctx->'parties')::bigint), (ctx->>'item_id')::bigint, basis)),
	s AS (
		(SELECT 1 AS kind, 'superseded_version' AS cause, e.at, row_number() OVER (ORDER BY e.at DESC) AS n, jsonb_build_object('known_at', e.at - interval '1 microsecond') AS change
		 FROM e WHERE e.axis = 'replaced' AND e.at <= basis AND e.at > first_known ORDER BY e.at DESC LIMIT 16)
		UNION ALL
		(SELECT 2, 'expired_rate', e.at, row_number() OVER (ORDER BY e.at DESC), jsonb_build_object('at', e.at - interval '1 microsecond', 'suppose', spot) FROM e WHERE e.axis = 'valid' AND e.at <= priced_at ORDER BY e.at DESC LIMIT 16)
		UNION ALL
		(SELECT 3, 'rate_not_started', e.at, row_number() OVER (ORDER BY e.at), jsonb_build_object('at', e.at, 'suppose', spot) FROM e WHERE e.axis = 'valid' AND e.at > priced_at ORDER BY e.at LIMIT 16))
	SELECT s.cause, s.change - 'suppose', s.change FROM s ORDER BY s.kind, s.n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_time(jsonb) IS 'Suspects superseded_version (what we held true before each of the last 16 replacements), expired_rate and rate_not_started (16 instants each way).';

-- pricing_suspect_new does the suspects that somebody had not received what is new.
CREATE FUNCTION distsync_internal.pricing_suspect_new(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	basis timestamptz := COALESCE((ctx->>'known_at')::timestamptz, clock_timestamp());
	first_known timestamptz := (SELECT min(p.published_at) FROM dist.price_policy p);
BEGIN
	RETURN QUERY
	SELECT 'not_received', w.change, w.change
	FROM (SELECT e.at FROM distsync_internal.pricing_edges(ARRAY(SELECT jsonb_array_elements_text(ctx->'parties')::bigint), (ctx->>'item_id')::bigint, basis) e
		WHERE e.axis = 'new' AND e.at <= basis AND e.at > first_known ORDER BY e.at DESC LIMIT 16) n
	CROSS JOIN LATERAL (SELECT jsonb_build_object('known_at', n.at - interval '1 microsecond')) w(change) ORDER BY n.at DESC;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_new(jsonb) IS 'Suspects not_received: what we held true before each of the last 16 instants at which something new came.';

-- pricing_factors does the listing of the units of an item as exact factors.
CREATE FUNCTION distsync_internal.pricing_factors(item_id bigint) RETURNS TABLE (unit text, numerator numeric, denominator numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT i.base_unit, 1::numeric, 1::numeric FROM dist.item i WHERE i.item_id = pricing_factors.item_id
		UNION ALL SELECT u.unit, u.numerator::numeric, u.denominator::numeric FROM dist.item_unit u WHERE u.item_id = pricing_factors.item_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_factors(bigint) IS 'Units of an item: base units = quantity × numerator / denominator.';

-- pricing_suspect_tier does the suspects of quantity: the line without the others of its document, and the quantities at which other
-- tiers begin, the nearest first.
CREATE FUNCTION distsync_internal.pricing_suspect_tier(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	line record;
	grain CONSTANT numeric := 0.000001;
BEGIN
	IF jsonb_array_length(ctx->'peers') > 0 THEN
		RETURN QUERY SELECT 'other_tier', '{"alone": true}'::jsonb, '{"alone": true}'::jsonb;
	END IF;
	SELECT f.numerator / f.denominator AS factor, i.weight * f.numerator / f.denominator AS weight, (ctx->'detail'->>'list_price')::numeric AS list_price, (ctx->>'quantity')::numeric AS quantity INTO line
	FROM dist.item i JOIN distsync_internal.pricing_factors(i.item_id) f ON f.unit = ctx->>'unit' WHERE i.item_id = (ctx->>'item_id')::bigint;
	RETURN QUERY
	WITH tier AS (
		SELECT DISTINCT CASE v.tier_measure WHEN 'weight' THEN (t->>'min_quantity')::numeric / NULLIF(line.weight, 0) WHEN 'amount' THEN (t->>'min_quantity')::numeric / NULLIF(line.list_price, 0)
			ELSE (t->>'min_quantity')::numeric * f.numerator / f.denominator / line.factor END - CASE v.tier_basis WHEN 'line' THEN 0
			WHEN 'period' THEN COALESCE((SELECT CASE v.tier_measure WHEN 'amount' THEN (c->>'used_amount')::numeric / NULLIF(line.list_price, 0) ELSE (c->>'used_quantity')::numeric / line.factor END
				FROM jsonb_array_elements(ctx->'detail'->'commitments') c WHERE c->>'agreement' = a.code LIMIT 1), 0)
			ELSE COALESCE((SELECT sum((p->>'quantity')::numeric * g.numerator / g.denominator) FROM jsonb_array_elements(ctx->'peers') p
				JOIN distsync_internal.pricing_factors((p->>'item_id')::bigint) g ON g.unit = p->>'unit' WHERE v.tier_basis = 'family_order' OR p->'item_id' = ctx->'item_id'), 0) / line.factor END AS quantity
		FROM jsonb_array_elements(COALESCE(ctx->'detail'->'steps', '[]') || COALESCE(ctx->'detail'->'losers', '[]')) t
		JOIN dist.agreement a ON a.code = t->>'agreement'
		JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id AND v.version_no = (t->>'version')::integer
		LEFT JOIN distsync_internal.pricing_factors((ctx->>'item_id')::bigint) f ON f.unit = t->>'unit'
		WHERE (t->>'min_quantity')::numeric > 0 AND COALESCE(t->>'reason', 'lower_tier') IN ('lower_tier', 'below_tier', 'outranked', 'not_lower')),
	q AS (
		SELECT greatest(ceil(t.quantity / grain) * grain, grain) AS quantity FROM tier t WHERE t.quantity > 0 AND t.quantity < 100000000000000
		UNION SELECT greatest(ceil(t.quantity / grain) * grain - grain, grain) FROM tier t WHERE t.quantity > 0 AND t.quantity < 100000000000000
		UNION SELECT 1 UNION SELECT grain)
	SELECT 'other_tier', jsonb_build_object('quantity', trim_scale(q.quantity), 'unit', ctx->'unit'), jsonb_build_object('quantity', trim_scale(q.quantity * sign(line.quantity)))
	FROM q WHERE q.quantity <> abs(line.quantity) ORDER BY abs(q.quantity - abs(line.quantity)), q.quantity LIMIT 16;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_tier(jsonb) IS 'Suspects other_tier: the line alone, and the price of up to 16 quantities at and just below which tiers begin.';

-- pricing_suspect_unit does the suspects of units: the price of another unit, and factors used wrongly.
CREATE FUNCTION distsync_internal.pricing_suspect_unit(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	WITH f AS MATERIALIZED (SELECT * FROM distsync_internal.pricing_factors((ctx->>'item_id')::bigint)),
	other AS MATERIALIZED (SELECT o.*, o.numerator * m.denominator AS up, o.denominator * m.numerator AS down FROM f m JOIN f o ON o.unit <> m.unit WHERE m.unit = ctx->>'unit'),
	s AS (
		SELECT 1 AS kind, o.unit, jsonb_build_object('unit', o.unit) AS told, jsonb_build_object('unit', o.unit) AS change FROM other o
		UNION ALL
		SELECT 2, o.unit, jsonb_build_object('unit', o.unit, 'quantity', trim_scale(q)), jsonb_build_object('unit', o.unit, 'quantity', trim_scale(q))
		FROM other o CROSS JOIN LATERAL (SELECT round((ctx->>'quantity')::numeric * o.down / o.up, 6)) c(q) WHERE q * o.up = (ctx->>'quantity')::numeric * o.down AND abs(q) < 100000000000000
		UNION ALL
		SELECT 3, o.unit, jsonb_build_object('unit', o.unit, 'times', o.up, 'over', o.down), jsonb_build_object('suppose', jsonb_build_object('times', o.up, 'over', o.down)) FROM other o
		UNION ALL
		SELECT 4, o.unit, jsonb_build_object('unit', o.unit, 'times', o.down, 'over', o.up), jsonb_build_object('suppose', jsonb_build_object('times', o.down, 'over', o.up)) FROM other o
		UNION ALL
		SELECT 5, p::text, jsonb_build_object('price_per', p) || k, jsonb_build_object('suppose', k) FROM unnest('{100,1000}'::integer[]) p CROSS JOIN LATERAL (VALUES (jsonb_build_object('times', p)), (jsonb_build_object('over', p))) w(k))
	SELECT 'unit_factor', s.told, s.change FROM s ORDER BY s.kind, s.unit COLLATE "C", s.told::text COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_unit(jsonb) IS
	'Suspects unit_factor: the price of so many of another unit, of the same goods in another unit, the right price times or over the factor of another unit, and a price for 1 taken for one for 100 or 1000 or the other way round.';

-- pricing_suspect_exchange does the suspects of conversion, where something of the price was in another currency, or could not be converted.
CREATE FUNCTION distsync_internal.pricing_suspect_exchange(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	priced_at timestamptz := (ctx->>'at')::timestamptz;
	basis timestamptz := COALESCE((ctx->>'known_at')::timestamptz, clock_timestamp());
	asked text := ctx->'options'->>'currency';
	first_known timestamptz := (SELECT min(p.published_at) FROM dist.price_policy p);
BEGIN
	IF NOT EXISTS (SELECT FROM jsonb_array_elements(COALESCE(ctx->'detail'->'steps', '[]')) t JOIN dist.agreement a ON a.code = t->>'agreement' WHERE a.currency <> asked OR t->>'calc' IN ('markup', 'margin', 'percent_off', 'amount_off', 'formula', 'reference'))
		-- what has no rate of exchange takes no part here, and did where somebody converted all the same
		AND NOT EXISTS (SELECT FROM jsonb_array_elements(COALESCE(ctx->'detail'->'losers', '[]')) l WHERE l->>'reason' IN ('currency', 'no_cost', 'no_base_price')) THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH e AS MATERIALIZED (
		SELECT DISTINCT w.axis, w.at FROM dist.exchange_rate r
		CROSS JOIN LATERAL (VALUES ('valid', lower(r.valid)), ('valid', upper(r.valid)), ('known', lower(r.known)), ('known', upper(r.known))) w(axis, at)
		WHERE r.kind = 'spot' AND asked IN (r.from_currency, r.to_currency) AND isfinite(w.at) AND (w.axis = 'known' OR r.known @> basis)),
	s AS (
		SELECT 1 AS kind, 1::bigint AS n, '{"exchange": "none"}'::jsonb AS told, '{"suppose": {"exchange": "none"}}'::jsonb AS change
		UNION ALL SELECT 2, 1, '{"exchange": "inverse"}', '{"suppose": {"exchange": "inverse"}}'
		UNION ALL (SELECT 3, row_number() OVER (ORDER BY e.at DESC), jsonb_build_object('exchange', e.at - interval '1 microsecond'), jsonb_build_object('suppose', jsonb_build_object('exchange', e.at - interval '1 microsecond'))
			FROM e WHERE e.axis = 'valid' AND e.at <= priced_at ORDER BY e.at DESC LIMIT 16)
		UNION ALL (SELECT 4, row_number() OVER (ORDER BY e.at), jsonb_build_object('exchange', e.at), jsonb_build_object('suppose', jsonb_build_object('exchange', e.at))
			FROM e WHERE e.axis = 'valid' AND e.at > priced_at ORDER BY e.at LIMIT 8)
		UNION ALL (SELECT 5, row_number() OVER (ORDER BY e.at DESC), jsonb_build_object('known_at', e.at - interval '1 microsecond'), jsonb_build_object('known_at', e.at - interval '1 microsecond')
			FROM e WHERE e.axis = 'known' AND e.at <= basis AND e.at > first_known ORDER BY e.at DESC LIMIT 4))
	SELECT 'exchange_rate', s.told, s.change FROM s ORDER BY s.kind, s.n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_exchange(jsonb) IS 'Suspects exchange_rate: no conversion, the inverse, the rates before each of the last 8 changes and after each of the next 8, and what we held true before the last 4 corrections.';
