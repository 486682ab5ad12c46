-- price_peer.sql: what a good developer would write by hand instead of the engine: prices in SQL and plpgsql, over the same rates.
--
-- It decides what the bench data uses, by the standard policy: hierarchy, groups, assignments, targets, ladders by quantity, units,
-- net, percent_off and amount_off from the list price, the best promotion if it is lower, stacked adjustments, floors and ceilings,
-- rounding, no price with its reason, valid_until; as known now, without options. Adjustments that tie on every key of the order are
-- outside. README.md beside this folder says which other designs were measured; check_price_peer.py holds it against the oracle.
--
-- Its own closures are price_store.sql; call peer.refresh() after every write.
\set ON_ERROR_STOP on
\ir price_store.sql

-- rounded does the rounding by a named rule; how replaces its mode.
CREATE FUNCTION peer.rounded(p numeric, rule text, how text DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
	x record;
	step numeric;
	n numeric;
BEGIN
	SELECT coalesce(how, r.mode) AS mode, r.scale, r.multiple, r.ending INTO x FROM dist.rounding r WHERE r.rounding = rule;
	step := coalesce(x.multiple, CASE WHEN x.ending IS NULL THEN 10::numeric ^ -x.scale ELSE 1 END);
	n := (p - coalesce(x.ending, 0)) / step;
	n := CASE WHEN x.mode = 'up' THEN ceil(n) WHEN x.mode = 'down' THEN floor(n) WHEN x.mode = 'half_even' AND x.ending IS NULL AND n - floor(n) = 0.5 THEN 2 * round(n / 2) ELSE floor(n + 0.5) END;
	RETURN CASE WHEN x.ending IS NULL THEN n * step ELSE greatest(n, 0) * step + x.ending END;
END
$$;

-- why_not does the search for the reasons of a line without a price: the code, and the first five losers.
CREATE FUNCTION peer.why_not(buyer_id bigint, item_id bigint, unit text, base numeric, t timestamptz) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
	WITH x AS (
		SELECT c.version_id, 0::bigint AS owner, c.target_id, c.unit, c.min_quantity, c.valid_from, c.valid_to, c.channel_id, c.site_id, c.condition, c.line_key
		FROM peer.item i, dist.book_rate c WHERE i.item_id = why_not.item_id AND i.since <= t AND i.until > t AND c.target_id = ANY (i.targets)
		UNION ALL
		SELECT c.version_id, c.customer_id, c.target_id, c.unit, c.min_quantity, c.valid_from, c.valid_to, c.channel_id, c.site_id, c.condition, c.line_key
		FROM peer.item i, peer.buyer b, dist.customer_rate c WHERE i.item_id = why_not.item_id AND i.since <= t AND i.until > t AND b.buyer_id = why_not.buyer_id AND c.customer_id = ANY (b.owners) AND c.target_id = ANY (i.targets)
	), loser AS (
		SELECT h.agreement, x.line_key, row_number() OVER (ORDER BY h.slot, h.who, i.what_ranks[array_position(i.targets, x.target_id)], x.channel_id IS NULL, x.site_id IS NULL, coalesce(x.unit, i.base_unit) <> why_not.unit, h.abroad, h.priority,
				coalesce(x.min_quantity * i.numerators[array_position(i.units, coalesce(x.unit, i.base_unit))] / i.denominators[array_position(i.units, coalesce(x.unit, i.base_unit))], 0) DESC, h.late, x.line_key COLLATE "C") AS n,
			CASE WHEN h.valid_from > t THEN 'not_started' WHEN h.valid_to <= t THEN 'ended' WHEN h.elsewhere THEN 'other_company' WHEN x.valid_from > t OR x.valid_to <= t THEN 'rate_not_valid'
				WHEN h.abroad THEN 'currency' WHEN x.channel_id IS NOT NULL THEN 'channel' WHEN x.site_id IS NOT NULL THEN 'site'
				WHEN x.unit <> i.base_unit AND array_position(i.units, x.unit) IS NULL THEN 'unit' WHEN x.condition <> '{}' THEN 'condition'
				WHEN CASE WHEN x.unit <> i.base_unit THEN base * i.denominators[array_position(i.units, x.unit)] < x.min_quantity * i.numerators[array_position(i.units, x.unit)] ELSE base < x.min_quantity END THEN 'below_tier'
				WHEN h.slot < 6 THEN 'no_base_price' END AS reason
		FROM x JOIN peer.reach h ON h.buyer_id = why_not.buyer_id AND h.rate_set_id = x.version_id AND h.owner = x.owner AND h.who IS NOT NULL
		JOIN peer.item i ON i.item_id = why_not.item_id AND i.since <= t AND i.until > t
	)
	SELECT coalesce(jsonb_agg(jsonb_build_object('agreement', l.agreement, 'line', l.line_key, 'reason', l.reason) ORDER BY l.n), '[]')
	FROM (SELECT * FROM loser WHERE reason IS NOT NULL ORDER BY n LIMIT 5) l
$$;

-- The way of one rate through the slots, the end of a line and the beginning of the next: price() and prices() are made of them.
-- r is the rate, its slot 1 list, 2 book, 3 contract, 4 promotion, 5 adjustment, 6 guard; combine 1 override, 2 best, 3 additive,
-- 4 compound, 5 exclusive, 6 always.
SELECT $step$
		edge := least(edge, r.edge);
		CONTINUE WHEN NOT r.ok;
		IF r.slot <= 4 THEN
			CONTINUE WHEN barred AND concat_ws('/', r.version_id, r.owner, r.target_id, r.unit, r.rate_from, r.rate_to) = ANY (ladders);
			IF r.slot = slot AND (slot < 4 OR r.grp = grp) THEN
				-- not the first of its slot, of promotions of its agreement: only if nothing but the price separates them
				CONTINUE WHEN NOT (r.tier = w.tier AND r.who = w.who AND r.what = w.what AND r.priority = w.priority AND r.valid_from IS NOT DISTINCT FROM w.valid_from AND r.version_no = w.version_no);
			END IF;
			IF r.calc = 'net' THEN
				p := CASE WHEN r.unit = unit THEN r.value / r.per ELSE r.value * num * r.denominator / (den * r.numerator * r.per) END;
			ELSIF r.calc = 'percent_off' THEN
				p := list_price * (100 - r.value) * 0.01;
			ELSE
				p := CASE WHEN list_price IS NOT NULL THEN greatest(list_price - r.value * num * r.denominator / (den * r.numerator * r.per), 0) END;
			END IF;
			IF p IS NULL THEN
				-- nor do lower tiers of the ladder come in its place
				barred := true; ladders := ladders || concat_ws('/', r.version_id, r.owner, r.target_id, r.unit, r.rate_from, r.rate_to);
				CONTINUE;
			END IF;
			IF r.slot <> slot THEN
				slot := r.slot; grp := r.grp; w := r; before := w_combine;
				low0 := low; low0_clamps := low_clamps; high0 := high; high0_clamps := high_clamps;
				CONTINUE WHEN slot = 4 AND price IS NOT NULL AND (p >= price OR before = 5);
			ELSE
				IF r.grp <> grp THEN
					grp := r.grp; w := r;
				END IF;
				CONTINUE WHEN p >= price OR slot = 4 AND before = 5;
				low := low0; low_clamps := low0_clamps; high := high0; high_clamps := high0_clamps;
			END IF;
			price := p;
			IF slot = 1 THEN
				list_price := p;
			END IF;
			w_agreement := r.agreement; w_combine := r.combine; w_scale := r.scale; w_rounding := r.rounding;
			w_per := CASE WHEN r.calc = 'net' AND r.unit = unit THEN r.per ELSE 1 END;
		ELSE
			-- of a ladder only the highest tier reached
			ladder := concat_ws('/', r.version_id, r.owner, r.target_id, r.unit, r.rate_from, r.rate_to);
			CONTINUE WHEN price IS NULL OR ladder = ANY (ladders);
			ladders := ladders || ladder;
		END IF;
		IF r.slot = 5 THEN
			entered := coalesce(entered, price);
			IF r.combine = 5 THEN
				CONTINUE WHEN mode = 5;
				mode := 5;
			ELSIF r.combine <> 6 THEN
				CONTINUE WHEN mode = 5 OR slot = 5 AND r.grp = grp AND (mode = 1 OR mode <> r.combine);
				IF slot < 5 OR r.grp <> grp THEN
					price := coalesce(best, price); best := NULL;
					slot := 5; grp := r.grp; mode := r.combine;
				END IF;
			ELSIF best IS NOT NULL THEN
				price := best; best := NULL;
			END IF;
			p := CASE WHEN r.combine = 3 THEN entered ELSE price END;
			IF r.calc = 'percent_off' THEN
				p := p * (100 - r.value) * 0.01;
			ELSE
				q := r.value * num * r.denominator / (den * r.numerator * r.per);
				p := CASE r.calc WHEN 'net' THEN q ELSE greatest(p - q, 0) END;
			END IF;
			IF r.combine = 2 THEN
				CONTINUE WHEN p >= best;
				IF best IS NULL THEN
					low0 := low; low0_clamps := low_clamps; high0 := high; high0_clamps := high_clamps;
				END IF;
				best := p; low := low0; low_clamps := low0_clamps; high := high0; high_clamps := high0_clamps;
			ELSE
				price := greatest(CASE WHEN r.combine = 3 THEN price + p - entered ELSE p END, 0);
			END IF;
		END IF;
		IF r.floor_price IS NOT NULL THEN
			q := r.floor_price * num * r.denominator / (den * r.numerator * r.per);
			IF low IS NULL OR q > low OR q = low AND r.clamps THEN
				low := q; low_clamps := r.clamps;
			END IF;
		END IF;
		IF r.ceiling_price IS NOT NULL THEN
			q := r.ceiling_price * num * r.denominator / (den * r.numerator * r.per);
			IF high IS NULL OR q < high OR q = high AND r.clamps THEN
				high := q; high_clamps := r.clamps;
			END IF;
		END IF;
$step$ AS step, $finish$
	price := coalesce(best, price);
	a.valid_until := edge;
	IF price IS NULL THEN
		a.outcome := 'no_price';
		a.detail := jsonb_build_object('near_misses', peer.why_not(k.buyer_id, item_id, unit, base, t));
		a.code := coalesce(a.detail #>> '{near_misses,0,reason}', 'no_rate');
		a.agreement := NULL; a.unit_price := NULL; a.price_per := 1; a.net_amount := NULL;
	ELSE
		a.outcome := 'priced';
		a.code := 'ok';
		IF price > high THEN
			a.code := CASE WHEN high_clamps THEN 'at_ceiling' ELSE 'above_ceiling' END;
			price := CASE WHEN high_clamps THEN high ELSE price END;
		END IF;
		IF price < low THEN
			a.code := CASE WHEN low_clamps THEN 'at_floor' ELSE 'below_floor' END;
			price := CASE WHEN low_clamps THEN low ELSE price END;
		END IF;
		-- a third of something, three times, is a little less than it: what is a tie is taken for one
		p := round(price * w_per, 12);
		p := CASE WHEN w_rounding IS NULL THEN round(p, w_scale) ELSE peer.rounded(p, w_rounding) END;
		IF low_clamps AND p < round(low * w_per, 12) THEN
			p := CASE WHEN w_rounding IS NULL THEN ceil(round(low * w_per, 12) * 10::numeric ^ w_scale) / 10::numeric ^ w_scale ELSE peer.rounded(round(low * w_per, 12), w_rounding, 'up') END;
			a.code := 'at_floor';
		END IF;
		a.unit_price := p; a.price_per := w_per; a.net_amount := round(a.quantity * p / w_per, k.minor_units); a.agreement := w_agreement;
		a.detail := jsonb_build_object('list_price', trim_scale(list_price), 'policy_version', 1);
	END IF;
	RETURN NEXT a;
$finish$ AS finish, $vars$
	k record; r record; w record;
	t timestamptz := coalesce(at, statement_timestamp());
	item_id bigint; num bigint := 1; den bigint := 1; base numeric; edge timestamptz;
	slot integer := 0; grp integer; mode integer := 0; before integer; ladder text; ladders text[] := '{}'; barred boolean := false;
	p numeric; q numeric; price numeric; list_price numeric; entered numeric; best numeric;
	low numeric; low_clamps boolean; high numeric; high_clamps boolean; low0 numeric; low0_clamps boolean; high0 numeric; high0_clamps boolean;
	w_agreement text; w_combine integer; w_per integer; w_scale integer; w_rounding text;
	a distsync_internal.price_result;
$vars$ AS vars
\gset

-- price does the pricing of one line: one look at the buyer and the item, one at the rates, which come in the order of their slots.
-- Every node of the plan costs a microsecond or two before it has read anything, so there are few: one index scan with arrays for the
-- shared rates, one for the buyer's own, what the buyer reaches hashed; columns are named in the order of their first use, because the
-- planner leaves out the node between only then.
SELECT format($price$
CREATE FUNCTION peer.price(customer text, item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS SETOF distsync_internal.price_result
LANGUAGE plpgsql STABLE PARALLEL SAFE SET plan_cache_mode = force_generic_plan AS %L
$price$, '
#variable_conflict use_variable
DECLARE
	own bigint[] := ''{}''; target bigint;' || :'vars' || $head$BEGIN
	SELECT b.buyer_id, b.currency, b.minor_units, b.owners, b.own_targets, i.item_id, i.base_unit, i.targets, i.what_ranks, i.units, i.numerators, i.denominators,
		least(b.edge, nullif(i.until, 'infinity')) AS edge, e.stamped_at INTO k
	FROM peer.buyer b, peer.item i, dist.epoch e
	WHERE b.code = customer AND b.since <= t AND b.until > t AND i.sku = item AND i.since <= t AND i.until > t AND e.domain = 'clock' AND e.bucket = 0;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown customer or item' USING ERRCODE = 'SD001';
	ELSIF quantity > 0 IS NOT TRUE THEN
		RAISE EXCEPTION 'quantity cannot be priced' USING ERRCODE = 'SD002';
	ELSIF unit IS NULL THEN
		unit := k.base_unit;
	ELSIF unit <> k.base_unit THEN
		num := k.numerators[array_position(k.units, unit)]; den := k.denominators[array_position(k.units, unit)];
		IF num IS NULL THEN
			RAISE EXCEPTION 'item has no such unit' USING ERRCODE = 'SD004';
		END IF;
	END IF;
	base := quantity * num / den; edge := k.edge; item_id := k.item_id;
	a.ordinal := 1; a.item := item; a.quantity := quantity; a.unit := unit; a.currency := k.currency; a.as_of := t; a.known_at := k.stamped_at;
	FOREACH target IN ARRAY k.targets LOOP
		IF get_bit(k.own_targets, (target % 8192)::integer) = 1 THEN
			own := own || target;
		END IF;
	END LOOP;
	FOR r IN
		SELECT h.stage, h.grp, h.who, k.what_ranks[array_position(k.targets, x.target_id)] * 2 + (coalesce(x.unit, k.base_unit) <> unit)::integer AS what, h.priority,
			CASE WHEN x.min_quantity IS NULL THEN 0 WHEN x.unit <> k.base_unit THEN x.min_quantity * k.numerators[array_position(k.units, x.unit)] / k.denominators[array_position(k.units, x.unit)] ELSE x.min_quantity END AS tier, h.late,
			h.slot, h.valid_from, h.version_no, x.version_id, x.owner, x.target_id, x.valid_from AS rate_from, x.valid_to AS rate_to, h.clamps,
			CASE WHEN x.unit <> k.base_unit THEN k.numerators[array_position(k.units, x.unit)] ELSE 1 END AS numerator, CASE WHEN x.unit <> k.base_unit THEN k.denominators[array_position(k.units, x.unit)] ELSE 1 END AS denominator, coalesce(x.price_per, 1) AS per,
			CASE WHEN h.who IS NULL THEN h.edge ELSE least(h.edge, CASE WHEN h.valid_from > t THEN h.valid_from END, nullif(h.valid_to, 'infinity'),
				CASE WHEN x.valid_from > t THEN x.valid_from END, CASE WHEN x.valid_to > t THEN x.valid_to END) END AS edge,
			h.usable AND (h.valid_from <= t) IS NOT FALSE AND (x.valid_from <= t) IS NOT FALSE AND (x.valid_to > t) IS NOT FALSE AND x.channel_id IS NULL AND x.site_id IS NULL AND (x.condition IS NULL OR x.condition = '{}')
				AND CASE WHEN x.unit <> k.base_unit THEN CASE WHEN x.min_quantity IS NULL THEN k.numerators[array_position(k.units, x.unit)] IS NOT NULL
						ELSE coalesce(base * k.denominators[array_position(k.units, x.unit)] >= x.min_quantity * k.numerators[array_position(k.units, x.unit)], false) END
					ELSE x.min_quantity IS NULL OR base >= x.min_quantity END AS ok,
			h.agreement, h.combine, h.scale, h.rounding, x.calc, x.value, x.floor_price, x.ceiling_price, coalesce(x.unit, k.base_unit) AS unit
		FROM (
			SELECT c.target_id, c.unit, c.min_quantity, c.version_id, 0::bigint AS owner, c.valid_from, c.valid_to, c.price_per, c.channel_id, c.site_id, c.condition, c.calc, c.value, c.floor_price, c.ceiling_price, c.line_key
			FROM dist.book_rate c WHERE c.target_id = ANY (k.targets)
			UNION ALL
			SELECT c.target_id, c.unit, c.min_quantity, c.version_id, c.customer_id, c.valid_from, c.valid_to, c.price_per, c.channel_id, c.site_id, c.condition, c.calc, c.value, c.floor_price, c.ceiling_price, c.line_key
			FROM dist.customer_rate c WHERE c.customer_id = ANY (k.owners) AND c.target_id = ANY (own)) x
		JOIN (SELECT h.stage, h.grp, h.who, h.priority, h.late, h.slot, h.valid_from, h.version_no, h.clamps, h.edge, h.valid_to, h.usable, h.agreement, h.combine, h.scale, h.rounding, h.rate_set_id, h.owner
			FROM peer.reach h WHERE h.buyer_id = k.buyer_id AND h.valid_to > t OFFSET 0) h ON h.rate_set_id = x.version_id AND h.owner = x.owner
		ORDER BY h.stage, h.grp, h.who, what, h.priority, tier DESC, h.late, x.line_key COLLATE "C"
	LOOP$head$ || :'step' || '	END LOOP;' || :'finish' || 'END
')
\gexec

-- prices does the pricing of many lines of one buyer: each target is looked up once, whatever many lines name it.
SELECT format($prices$
CREATE FUNCTION peer.prices(customer text, lines jsonb, at timestamptz DEFAULT NULL)
RETURNS SETOF distsync_internal.price_result
LANGUAGE plpgsql STABLE PARALLEL SAFE SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS %L
$prices$, '
#variable_conflict use_variable
DECLARE
	unit text;' || :'vars' || $head$BEGIN
	SELECT b.buyer_id, b.currency, b.minor_units, b.owners, b.own_targets, b.edge, e.stamped_at INTO k
	FROM peer.buyer b, dist.epoch e WHERE b.code = customer AND b.since <= t AND b.until > t AND e.domain = 'clock' AND e.bucket = 0;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown customer' USING ERRCODE = 'SD001';
	END IF;
	a.currency := k.currency; a.as_of := t; a.known_at := k.stamped_at;
	FOR r IN
		WITH l AS MATERIALIZED (
			SELECT j.n, j.d->>'item' AS sku, coalesce((j.d->>'quantity')::numeric, 1) AS quantity, coalesce(j.d->>'unit', i.base_unit) AS line_unit, i.item_id, i.base_unit, i.targets, i.what_ranks, i.units, i.numerators,
				i.denominators, i.until, i.numerators[array_position(i.units, coalesce(j.d->>'unit', i.base_unit))] AS num, i.denominators[array_position(i.units, coalesce(j.d->>'unit', i.base_unit))] AS den
			FROM jsonb_array_elements(lines) WITH ORDINALITY j(d, n) LEFT JOIN peer.item i ON i.sku = j.d->>'item' AND i.since <= t AND i.until > t
		), g AS MATERIALIZED (
			SELECT l.n, u.target_id, u.what_rank FROM l CROSS JOIN LATERAL unnest(l.targets, l.what_ranks) u(target_id, what_rank)
		), s AS MATERIALIZED (
			SELECT DISTINCT target_id FROM g
		), h AS MATERIALIZED (
			SELECT h.stage, h.grp, h.who, h.priority, h.late, h.slot, h.valid_from, h.version_no, h.clamps, h.edge, h.valid_to, h.usable, h.agreement, h.combine, h.scale, h.rounding, h.rate_set_id, h.owner
			FROM peer.reach h WHERE h.buyer_id = k.buyer_id AND h.valid_to > t OFFSET 0
		), x AS MATERIALIZED (
			SELECT c.target_id, c.unit, c.min_quantity, c.version_id, 0::bigint AS owner, c.valid_from, c.valid_to, c.price_per, c.channel_id, c.site_id, c.condition, c.calc, c.value, c.floor_price, c.ceiling_price, c.line_key
			FROM s CROSS JOIN LATERAL (SELECT * FROM dist.book_rate c WHERE c.target_id = s.target_id OFFSET 0) c
			UNION ALL
			SELECT c.target_id, c.unit, c.min_quantity, c.version_id, c.customer_id, c.valid_from, c.valid_to, c.price_per, c.channel_id, c.site_id, c.condition, c.calc, c.value, c.floor_price, c.ceiling_price, c.line_key
			FROM s CROSS JOIN LATERAL (SELECT * FROM dist.customer_rate c WHERE c.customer_id = ANY (k.owners) AND c.target_id = s.target_id OFFSET 0) c
			WHERE get_bit(k.own_targets, (s.target_id % 8192)::integer) = 1
		)
		SELECT l.n, l.sku, l.quantity, l.line_unit, l.item_id, l.num, l.den, least(k.edge, nullif(l.until, 'infinity')) AS line_edge,
			h.stage, h.grp, h.who, g.what_rank * 2 + (coalesce(x.unit, l.base_unit) <> l.line_unit)::integer AS what, h.priority,
			CASE WHEN x.min_quantity IS NULL THEN 0 WHEN x.unit <> l.base_unit THEN x.min_quantity * l.numerators[array_position(l.units, x.unit)] / l.denominators[array_position(l.units, x.unit)] ELSE x.min_quantity END AS tier, h.late,
			h.slot, h.valid_from, h.version_no, x.version_id, x.owner, x.target_id, x.valid_from AS rate_from, x.valid_to AS rate_to, h.clamps,
			CASE WHEN x.unit <> l.base_unit THEN l.numerators[array_position(l.units, x.unit)] ELSE 1 END AS numerator, CASE WHEN x.unit <> l.base_unit THEN l.denominators[array_position(l.units, x.unit)] ELSE 1 END AS denominator, coalesce(x.price_per, 1) AS per,
			CASE WHEN h.who IS NULL THEN h.edge ELSE least(h.edge, CASE WHEN h.valid_from > t THEN h.valid_from END, nullif(h.valid_to, 'infinity'),
				CASE WHEN x.valid_from > t THEN x.valid_from END, CASE WHEN x.valid_to > t THEN x.valid_to END) END AS edge,
			h.usable AND (h.valid_from <= t) IS NOT FALSE AND (x.valid_from <= t) IS NOT FALSE AND (x.valid_to > t) IS NOT FALSE AND x.channel_id IS NULL AND x.site_id IS NULL AND (x.condition IS NULL OR x.condition = '{}')
				AND CASE WHEN x.unit <> l.base_unit THEN CASE WHEN x.min_quantity IS NULL THEN l.numerators[array_position(l.units, x.unit)] IS NOT NULL
						ELSE coalesce(l.quantity * l.num / l.den * l.denominators[array_position(l.units, x.unit)] >= x.min_quantity * l.numerators[array_position(l.units, x.unit)], false) END
					ELSE x.min_quantity IS NULL OR l.quantity * l.num / l.den >= x.min_quantity END AS ok,
			h.agreement, h.combine, h.scale, h.rounding, x.calc, x.value, x.floor_price, x.ceiling_price, coalesce(x.unit, l.base_unit) AS unit
		FROM l LEFT JOIN (g JOIN x USING (target_id) JOIN h ON h.rate_set_id = x.version_id AND h.owner = x.owner) ON g.n = l.n
		ORDER BY l.n, h.stage, h.grp, h.who, what, h.priority, tier DESC, h.late, x.line_key COLLATE "C"
	LOOP
		IF r.n <> a.ordinal THEN$head$ || :'finish' || $next$
		END IF;
		IF a.ordinal IS DISTINCT FROM r.n THEN
			IF r.item_id IS NULL OR r.quantity > 0 IS NOT TRUE OR r.num IS NULL THEN
				RAISE EXCEPTION 'line % cannot be priced', r.n USING ERRCODE = CASE WHEN r.item_id IS NULL THEN 'SD001' WHEN r.num IS NULL THEN 'SD004' ELSE 'SD002' END;
			END IF;
			a.ordinal := r.n; a.item := r.sku; a.quantity := r.quantity; a.unit := r.line_unit;
			item_id := r.item_id; unit := r.line_unit; num := r.num; den := r.den; base := r.quantity * num / den; edge := r.line_edge;
			slot := 0; grp := NULL; mode := 0; before := NULL; ladders := '{}'; barred := false; price := NULL; list_price := NULL; entered := NULL; best := NULL; low := NULL; high := NULL;
			low_clamps := NULL; high_clamps := NULL; w_agreement := NULL; w_combine := NULL;
		END IF;
		CONTINUE WHEN r.slot IS NULL;$next$ || :'step' || '	END LOOP;
	IF a.ordinal IS NOT NULL THEN' || :'finish' || '	END IF;
END
')
\gexec
