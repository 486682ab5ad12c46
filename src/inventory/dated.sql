-- Promises with dates: each line on one date, all lines on one date, or a line in parts as supply comes in. What may be promised at each
-- date is what the timeline leaves from then on, so that a promise takes nothing from one that was made before. Safety stock is kept;
-- what may be promised beyond stock has no date, and is not for these.

CREATE TYPE distsync_internal.inventory_outlook AS (
	item_id		bigint,
	site_id		bigint,
	moments		timestamptz[],
	free		numeric[],
	rest		numeric,
	aside		numeric,
	course		distsync_internal.inventory_course,
	kept		numeric
);
COMMENT ON TYPE distsync_internal.inventory_outlook IS 'What may be promised of an item at a site from each moment on, base units (Infinity = any quantity can be had by then), below 0 where more is wanted than there is; rest: what quotas leave at the site (NULL = no limit), aside: set aside there for others, which free is without; where lots expire, the course that free was reckoned from, and what is kept back of that (both NULL: none does).';

-- inventory_outlooks does the reading of what may be promised where and when, in the order in which sites are tried: rank, then code.
CREATE FUNCTION distsync_internal.inventory_outlooks(lines distsync_internal.inventory_line[], options jsonb, at timestamptz, own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL) RETURNS distsync_internal.inventory_outlook[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		WITH k AS MATERIALIZED (
			SELECT DISTINCT l.item_id, s.site_id, s.code, s.rank
			FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(lines) u) l
			CROSS JOIN LATERAL distsync_internal.inventory_sites(l.item_id, l.site_id, (options->>'company_id')::bigint) s
		), l AS MATERIALIZED (
			SELECT l.item_id, l.site_id, l.moment, l.lead_at, l.stock - l.later - l.promised AS run, CASE WHEN (options->>'use_safety')::boolean THEN 0 ELSE l.safety END AS kept,
				l.rest + lag(l.later, 1, 0) OVER w AS rest, l.own + lag(l.later, 1, 0) OVER w AS own
			FROM (SELECT array_agg(k.item_id) AS items, array_agg(k.site_id) AS sites FROM k) a
			CROSS JOIN LATERAL distsync_internal.inventory_levels(a.items, a.sites, inventory_outlooks.at, options, own_keys, own_quantities) l
			WINDOW w AS (PARTITION BY l.item_id, l.site_id ORDER BY l.moment)
		), f AS (
			SELECT l.*, CASE WHEN i.status <> 'active' THEN '-Infinity' WHEN l.moment >= l.lead_at THEN 'Infinity' ELSE min(CASE WHEN l.moment > l.lead_at THEN NULL ELSE l.run - l.kept END) OVER (PARTITION BY l.item_id, l.site_id ORDER BY l.moment DESC ROWS UNBOUNDED PRECEDING) END AS free
			FROM l JOIN dist.item i ON i.item_id = l.item_id
		), o AS (
			SELECT f.item_id, f.site_id, array_agg(f.moment ORDER BY f.moment) AS moments, array_agg(f.free ORDER BY f.moment) AS free, max(f.kept) AS kept, CASE WHEN count(f.rest) > 0 AND min(f.free) > '-Infinity' THEN ROW(array_agg(f.run ORDER BY f.moment), array_agg(f.rest ORDER BY f.moment),
				array_agg(f.own ORDER BY f.moment))::distsync_internal.inventory_course END AS course FROM f GROUP BY f.item_id, f.site_id
		)
		SELECT COALESCE(array_agg(CASE WHEN o.course IS NULL THEN ROW(o.item_id, o.site_id, o.moments, o.free, NULL, 0, NULL, NULL)::distsync_internal.inventory_outlook
			ELSE distsync_internal.inventory_outlook_lots(ROW(o.item_id, o.site_id, o.moments, o.free, NULL, 0, o.course, o.kept)::distsync_internal.inventory_outlook) END ORDER BY o.item_id, k.rank, k.code COLLATE "C"), '{}')
		FROM o JOIN k ON k.item_id = o.item_id AND k.site_id = o.site_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outlooks(distsync_internal.inventory_line[], jsonb, timestamptz, text[], numeric[]) IS
	'What may be promised of the items of these lines from each moment on, by site in the order of rank and code; base units. options: company_id, use_safety, min_shelf_days, customer_id; own_keys, own_quantities: as if that much were promised to these demands already. Under the pools'' locks it is exact.';

-- inventory_outlook_lots does what may be promised from each moment on where lots expire. Moments at which any quantity can be had stay so.
CREATE FUNCTION distsync_internal.inventory_outlook_lots(o distsync_internal.inventory_outlook) RETURNS distsync_internal.inventory_outlook
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	binding integer := (SELECT count(*) FROM unnest(o.free) u(free) WHERE u.free IS DISTINCT FROM 'Infinity');
BEGIN
	o.free := ARRAY(SELECT u.amount - o.kept - o.aside FROM unnest(distsync_internal.inventory_course_left(o.course, 0, least(binding + 1, cardinality(o.free)))) WITH ORDINALITY u(amount, n) WHERE u.n <= binding ORDER BY u.n)
		|| o.free[binding + 1:];
	RETURN o;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outlook_lots(distsync_internal.inventory_outlook) IS 'An outlook with free as its course says; base units. As far as replenishment takes, what is to come binds.';

-- inventory_outlook_take does the taking of a quantity at a date.
CREATE FUNCTION distsync_internal.inventory_outlook_take(o distsync_internal.inventory_outlook, moment timestamptz, quantity numeric) RETURNS distsync_internal.inventory_outlook
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k integer := greatest(1, width_bucket(moment, o.moments));
	after numeric := o.free[k] - quantity;
BEGIN
	o.rest := o.rest - quantity;
	IF (o.course).rests IS NOT NULL THEN
		o.course := distsync_internal.inventory_course_less(o.course, quantity, k, cardinality(o.moments));
		RETURN distsync_internal.inventory_outlook_lots(o);
	END IF;
	o.free := ARRAY(SELECT CASE WHEN u.n >= k THEN u.free - quantity ELSE least(u.free, after) END FROM unnest(o.free) WITH ORDINALITY u(free, n) ORDER BY u.n);
	RETURN o;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outlook_take(distsync_internal.inventory_outlook, timestamptz, numeric) IS 'An outlook after a quantity (base units) was promised for a moment: before it too, nothing may be promised that is needed then.';

-- inventory_outlook_quotas does the cutting of outlooks to the quotas of their items, which are those of now, whatever the date.
CREATE FUNCTION distsync_internal.inventory_outlook_quotas(INOUT outlook distsync_internal.inventory_outlook[], options jsonb, at timestamptz, OUT budgets jsonb, OUT asides jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (options->>'customer_id')::bigint;
	channel bigint := (options->>'channel_id')::bigint;
	locked bigint[] := CASE WHEN options ? 'quotas' THEN ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(options->'quotas') e) END;
	o distsync_internal.inventory_outlook;
	q record;
BEGIN
	budgets := '{}';
	asides := '{}';
	FOR q IN
		WITH k AS (
			SELECT u.item_id, array_agg(u.site_id) AS sites, array_agg(u.n::integer) AS places FROM unnest(outlook) WITH ORDINALITY u(item_id, site_id, moments, free, rest, aside, course, kept, n)
			WHERE EXISTS (SELECT FROM dist.stock_quota s WHERE s.item_id = u.item_id AND (locked IS NULL OR s.quota_id = ANY (locked))) GROUP BY u.item_id
		), f AS MATERIALIZED (
			SELECT k.item_id, x.* FROM k CROSS JOIN LATERAL distsync_internal.inventory_quota_frees(k.item_id, 0::bigint || k.sites, customer, channel, ARRAY[inventory_outlook_quotas.at], locked, CASE WHEN locked IS NULL THEN inventory_outlook_quotas.at ELSE '-infinity' END) x
		)
		SELECT k.item_id, p.n, f.free, COALESCE(f.aside, 0) AS aside
		FROM k CROSS JOIN LATERAL (SELECT 0::bigint AS site_id, 0 AS n UNION ALL SELECT * FROM unnest(k.sites, k.places)) p LEFT JOIN f ON f.item_id = k.item_id AND f.site_id = p.site_id
	LOOP
		IF q.n > 0 THEN
			o := outlook[q.n];
			o.rest := q.free;
			o.aside := q.aside;
			o.free := ARRAY(SELECT u.free - q.aside FROM unnest(o.free) WITH ORDINALITY u(free, n) ORDER BY u.n);
			outlook[q.n] := o;
		ELSIF q.free IS NOT NULL THEN
			budgets := budgets || jsonb_build_object(q.item_id::text, q.free);
		ELSE
			-- what is set aside over all sites may lie at those that the call does not ask
			asides := asides || jsonb_build_object(q.item_id::text, q.aside - (SELECT COALESCE(sum(greatest(0, f.free)), 0)
				FROM unnest(distsync_internal.inventory_free(ARRAY[ROW(1, q.item_id, 1, NULL, NULL, NULL)::distsync_internal.inventory_line], options - 'company_id', inventory_outlook_quotas.at)) f
				WHERE q.aside > 0 AND NOT EXISTS (SELECT FROM unnest(outlook) u WHERE u.item_id = f.item_id AND u.site_id = f.site_id)));
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outlook_quotas(distsync_internal.inventory_outlook[], jsonb, timestamptz) IS
	'Outlooks as far as quotas go (of options.quotas if it says which are locked), budgets {item_id: what may be promised of it over all sites} and asides {item_id: what of the sum over its sites is for others}; base units. options: customer_id, channel_id. Items without quotas stay as they are.';

-- inventory_outlook_spared does the sparing of what is set aside over all sites. What is promised for a later date is missing at its site
-- before it, as far as nothing comes in until then: so much may be taken from there as leaves the shares what they have, or had, at each
-- moment. Where and when any quantity can be had, nothing is set aside.
CREATE FUNCTION distsync_internal.inventory_outlook_spared(outlook distsync_internal.inventory_outlook[], asides jsonb, after timestamptz) RETURNS TABLE (item_id bigint, site_id bigint, moment timestamptz, most numeric)
LANGUAGE plpgsql STABLE ROWS 20 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH o AS MATERIALIZED (
		SELECT u.item_id, u.site_id, u.moments, u.free, (asides->>(u.item_id::text))::numeric AS aside FROM unnest(outlook) u WHERE (asides->>(u.item_id::text))::numeric > 0
	), f AS (
		SELECT o.item_id, o.site_id, m.moment, o.aside, greatest(0, o.free[greatest(1, width_bucket(m.moment, o.moments))]) AS free
		FROM (SELECT inventory_outlook_spared.after AS moment UNION SELECT t.moment FROM unnest(outlook) u CROSS JOIN unnest(u.moments) t(moment)) m CROSS JOIN o
	), r AS (
		SELECT f.*, greatest(0, sum(f.free) OVER (PARTITION BY f.item_id, f.moment) - f.aside) AS room FROM f
	)
	SELECT r.item_id, r.site_id, r.moment, least(r.free, greatest(min(r.room) OVER w, r.free - max(CASE WHEN r.room = 'Infinity' THEN '-Infinity' ELSE r.free - r.room END) OVER w)) FROM r
	WINDOW w AS (PARTITION BY r.item_id, r.site_id ORDER BY r.moment ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outlook_spared(distsync_internal.inventory_outlook[], jsonb, timestamptz) IS
	'Of items of which something is set aside over all sites for others (asides as inventory_outlook_quotas() says), the most that one site may give at each moment, and at the instant after, so that what may be promised before it is not made less than that; base units, Infinity = any quantity.';

-- inventory_rooms does the listing of what a line could get at each date: of a kit the scarcest component decides.
CREATE FUNCTION distsync_internal.inventory_rooms(outlook distsync_internal.inventory_outlook[], line distsync_internal.inventory_line, parts jsonb, kit boolean, after timestamptz, budgets jsonb, asides jsonb, step numeric)
RETURNS TABLE (moment timestamptz, sites bigint[], amounts numeric[], most numeric, best numeric)
LANGUAGE plpgsql STABLE ROWS 20 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	p record;
	pieces integer := jsonb_array_length(parts);
BEGIN
	FOR moment, sites, amounts, most, best IN
		WITH o AS MATERIALIZED (
			SELECT u.*, CASE WHEN kit THEN (e.value->>1)::numeric END AS per FROM jsonb_array_elements(parts) e JOIN unnest(outlook) WITH ORDINALITY u(item_id, site_id, moments, free, rest, aside, course, kept, n) ON u.item_id = (e.value->>0)::bigint
			WHERE line.site_id IS NULL OR u.site_id = line.site_id
		), s AS MATERIALIZED (
			SELECT v.* FROM distsync_internal.inventory_outlook_spared(outlook, asides, inventory_rooms.after) v
		), f AS (
			SELECT m.moment, o.site_id, min(o.n) AS n, distsync_internal.inventory_in_steps(min(CASE WHEN kit THEN floor(least(x.free, o.rest, s.most) / o.per) ELSE least(x.free, o.rest, s.most) END), step) AS amount
			FROM (SELECT inventory_rooms.after AS moment UNION SELECT t.moment FROM o CROSS JOIN unnest(o.moments) t(moment) WHERE t.moment > inventory_rooms.after) m
			CROSS JOIN o CROSS JOIN LATERAL (SELECT o.free[greatest(1, width_bucket(m.moment, o.moments))] AS free) x
			LEFT JOIN s ON s.item_id = o.item_id AND s.site_id = o.site_id AND s.moment = m.moment
			GROUP BY m.moment, o.site_id HAVING count(*) = pieces
		)
		SELECT f.moment, array_agg(f.site_id ORDER BY f.n), array_agg(f.amount ORDER BY f.n), sum(greatest(0, f.amount)), max(f.amount) FROM f GROUP BY f.moment ORDER BY f.moment
	LOOP
		IF budgets <> '{}' OR asides <> '{}' THEN
			FOR p IN SELECT e.value->>0 AS item, CASE WHEN kit THEN (e.value->>1)::numeric END AS per FROM jsonb_array_elements(parts) e LOOP
				IF budgets || asides ? p.item THEN
					most := least(most, (SELECT CASE WHEN kit THEN floor(b.amount / p.per) ELSE b.amount END
						FROM (SELECT greatest(0, COALESCE((budgets->>p.item)::numeric, (SELECT sum(greatest(0, u.free[greatest(1, width_bucket(inventory_rooms.moment, u.moments))])) FROM unnest(outlook) u WHERE u.item_id = p.item::bigint)
							- (asides->>p.item)::numeric)) AS amount) b));
				END IF;
			END LOOP;
			most := distsync_internal.inventory_in_steps(most, step);
		END IF;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_rooms(distsync_internal.inventory_outlook[], distsync_internal.inventory_line, jsonb, boolean, timestamptz, jsonb, jsonb, numeric) IS
	'For an instant and each later moment at which it changes: what each site that may serve a line could, in the order in which sites are tried, the sum as far as budgets and asides allow it, and the most that one has; base units, or whole kits, whose parts are [[item_id, base units in a kit], ...].';

CREATE TYPE distsync_internal.inventory_plan AS (
	outlook		distsync_internal.inventory_outlook[],
	budgets		jsonb,
	grants		distsync_internal.inventory_grant[],
	rest		numeric,
	available	numeric,
	until		timestamptz
);
COMMENT ON TYPE distsync_internal.inventory_plan IS 'What a line gets and what is left after it: outlooks and budgets, grants, what is missing and what could be had in all (base units, or kits), and the date of its last part.';

-- inventory_plan_line does the dating of one line: on the first date on which all of it can be had, or in parts, the earliest first; the
-- last part that is allowed waits for all the rest. What it has taken at a date is missing at every later one, so it looks once.
CREATE FUNCTION distsync_internal.inventory_plan_line(line distsync_internal.inventory_line, plan distsync_internal.inventory_plan, asides jsonb, options jsonb, at timestamptz, only_at timestamptz) RETURNS distsync_internal.inventory_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	kit jsonb := options->'parts'->(line.item_id::text);
	parts jsonb := COALESCE(kit, jsonb_build_array(jsonb_build_array(line.item_id, 1)));
	split boolean := COALESCE((options->>'split')::boolean, true);
	rules text[] := COALESCE(NULLIF(ARRAY(SELECT jsonb_array_elements_text(options->'sourcing')), '{}'), '{whole,rank}');
	preferred bigint[] := ARRAY(SELECT u::bigint FROM jsonb_array_elements_text(options->'preferred_ids') u);
	parts_left integer := CASE WHEN options->>'mode' = 'schedule' THEN COALESCE((options->>'max_parts')::integer, 10) ELSE 1 END;
	spared boolean := EXISTS (SELECT FROM jsonb_array_elements(parts) e WHERE (asides->>(e->>0))::numeric > 0);
	-- what was taken of a lot before it expires is not missing afterwards; and what may be taken at one site depends on what was at another
	anew boolean := spared OR EXISTS (SELECT FROM unnest(plan.outlook) u WHERE (u.course).rests IS NOT NULL);
	before distsync_internal.inventory_plan;
	m record;
	c record;
	got numeric[];
	wanted numeric;
	taken numeric;
	was numeric;
BEGIN
	plan.grants := '{}';
	plan.rest := line.quantity;
	plan.available := 0;
	plan.until := NULL;
	FOR m IN SELECT * FROM distsync_internal.inventory_rooms(plan.outlook, line, parts, kit IS NOT NULL, COALESCE(only_at, greatest(at, line.requested_at)), plan.budgets, asides, (options->'steps'->>(line.ordinal::text))::numeric) LIMIT CASE WHEN only_at IS NOT NULL THEN 1 END LOOP
		IF anew AND plan.rest < line.quantity THEN
			SELECT * INTO m FROM distsync_internal.inventory_rooms(plan.outlook, line, parts, kit IS NOT NULL, m.moment, plan.budgets, asides, (options->'steps'->>(line.ordinal::text))::numeric) LIMIT 1;
			plan.available := greatest(plan.available, line.quantity - plan.rest + m.most);
		ELSE
			plan.available := greatest(plan.available, m.most);
			m.most := m.most - (line.quantity - plan.rest);
		END IF;
		got := COALESCE(got, array_fill(0::numeric, ARRAY[cardinality(m.sites)]));
		FOR n IN 1 .. CASE WHEN plan.rest < line.quantity AND NOT anew THEN cardinality(got) ELSE 0 END LOOP
			m.amounts[n] := m.amounts[n] - got[n];
			m.best := CASE WHEN n = 1 THEN m.amounts[1] ELSE greatest(m.best, m.amounts[n]) END;
		END LOOP;
		CONTINUE WHEN m.most <= 0 OR parts_left = 1 AND (m.most < plan.rest OR NOT split AND m.best < plan.rest);
		before := plan;
		wanted := least(plan.rest, m.most);
		taken := 0;
		LOOP
			was := taken;
			FOR c IN SELECT x.n, x.taken FROM distsync_internal.inventory_choose(m.sites, m.amounts, wanted - taken, split, rules, preferred) x LOOP
				IF spared AND taken > 0 THEN
					m.amounts := (SELECT x.amounts FROM distsync_internal.inventory_rooms(plan.outlook, line, parts, kit IS NOT NULL, m.moment, plan.budgets, asides, (options->'steps'->>(line.ordinal::text))::numeric) x LIMIT 1);
					c.taken := least(c.taken, m.amounts[c.n]);
					CONTINUE WHEN c.taken <= 0;
				END IF;
				plan := distsync_internal.inventory_plan_take(line, plan, parts, kit IS NOT NULL, m.sites[c.n], c.taken, m.moment, m.most, at);
				got[c.n] := got[c.n] + c.taken;
				taken := taken + c.taken;
			END LOOP;
			EXIT WHEN NOT spared OR NOT split OR taken IN (was, wanted);
		END LOOP;
		IF taken < wanted AND parts_left = 1 THEN
			plan := before;
			CONTINUE;
		END IF;
		CONTINUE WHEN taken = 0;
		plan.rest := plan.rest - taken;
		plan.until := m.moment;
		parts_left := parts_left - 1;
		EXIT WHEN plan.rest = 0;
	END LOOP;
	RETURN plan;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_plan_line(distsync_internal.inventory_line, distsync_internal.inventory_plan, jsonb, jsonb, timestamptz, timestamptz) IS
	'Dates one line out of what a plan leaves, at its requested_at or later, or only at one instant. options: parts (what kits are made of), mode (schedule: in parts), max_parts (10), split, sourcing, preferred_ids. What is missing is in rest; what it got is of no use then.';

-- inventory_plan_take does the taking of a part of a line from one site: of a kit of each of its components.
CREATE FUNCTION distsync_internal.inventory_plan_take(line distsync_internal.inventory_line, plan distsync_internal.inventory_plan, parts jsonb, kit boolean, site_id bigint, quantity numeric, moment timestamptz, available numeric, at timestamptz) RETURNS distsync_internal.inventory_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o distsync_internal.inventory_outlook;
	p record;
	planned boolean;
BEGIN
	FOR p IN SELECT (e.value->>0)::bigint AS item_id, inventory_plan_take.quantity * (e.value->>1)::numeric AS quantity, CASE WHEN kit THEN (e.value->>1)::numeric END AS per FROM jsonb_array_elements(parts) e LOOP
		FOR n IN 1 .. cardinality(plan.outlook) LOOP
			o := plan.outlook[n];
			CONTINUE WHEN o.item_id <> p.item_id OR o.site_id <> inventory_plan_take.site_id;
			planned := o.free[greatest(1, width_bucket(moment, o.moments))] = 'Infinity';
			plan.outlook[n] := distsync_internal.inventory_outlook_take(o, moment, p.quantity);
		END LOOP;
		IF plan.budgets ? p.item_id::text THEN
			plan.budgets := plan.budgets || jsonb_build_object(p.item_id::text, (plan.budgets->>p.item_id::text)::numeric - p.quantity);
		END IF;
		plan.grants := plan.grants || ROW(line.ordinal, 'reserved', p.item_id, inventory_plan_take.site_id, trim_scale(p.quantity), CASE WHEN available < 'Infinity' THEN available END, line.demand_key, line.requested_at,
			CASE WHEN kit THEN line.item_id END, p.per, CASE WHEN moment > at THEN moment END, CASE WHEN line.requested_at > at THEN line.requested_at END, CASE WHEN moment > at THEN CASE WHEN planned THEN 'planned' ELSE 'inbound' END END)::distsync_internal.inventory_grant;
	END LOOP;
	RETURN plan;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_plan_take(distsync_internal.inventory_line, distsync_internal.inventory_plan, jsonb, boolean, bigint, numeric, timestamptz, numeric, timestamptz) IS
	'A plan after a line got a quantity (base units, or kits) from a site for a moment; available: what could be had then (Infinity = any quantity: said as NULL).';

-- inventory_plan_best does the dating of one line in the best of several ways: from any sites; in parts that may not be split, from each
-- site alone; and, where others speak of its demand, from the site where they do, because what they want is then no more than the line.
CREATE FUNCTION distsync_internal.inventory_plan_best(line distsync_internal.inventory_line, plan distsync_internal.inventory_plan, granted distsync_internal.inventory_grant[], asides jsonb, options jsonb, at timestamptz, only_at timestamptz) RETURNS distsync_internal.inventory_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	alone boolean := options->>'mode' = 'schedule' AND NOT COALESCE((options->>'split')::boolean, true) AND line.site_id IS NULL;
	kit boolean := options->'parts' ? (line.item_id::text);
	best distsync_internal.inventory_plan := CASE WHEN NOT alone THEN distsync_internal.inventory_plan_line(line, plan, asides, options, at, only_at) END;
	other distsync_internal.inventory_plan;
	s record;
BEGIN
	IF NOT alone AND (line.demand_key IS NULL OR kit) THEN
		RETURN best;
	END IF;
	FOR s IN
		SELECT u.site_id, min(u.n)::integer AS n, bool_or(d.demand_id IS NOT NULL) AS own
		FROM unnest(plan.outlook) WITH ORDINALITY u(item_id, site_id, moments, free, rest, aside, course, kept, n)
		LEFT JOIN dist.demand d ON d.demand_key = line.demand_key AND d.item_id = u.item_id AND d.site_id = u.site_id AND greatest(d.ordered, d.allocated) > greatest(d.reserved, d.shipped)
		WHERE (u.item_id = line.item_id OR kit AND options->'parts'->(line.item_id::text) @> jsonb_build_array(jsonb_build_array(u.item_id))) AND (line.site_id IS NULL OR u.site_id = line.site_id)
		GROUP BY u.site_id ORDER BY 2
	LOOP
		CONTINUE WHEN NOT alone AND NOT s.own;
		other := plan;
		IF s.own AND NOT kit THEN
			other.outlook[s.n] := distsync_internal.inventory_outlook_own(line, plan.outlook[s.n], granted, options, at, 1e14);
		END IF;
		other := distsync_internal.inventory_plan_line(ROW(line.ordinal, line.item_id, line.quantity, s.site_id, line.demand_key, line.requested_at)::distsync_internal.inventory_line, other, asides, options, at, only_at);
		IF s.own AND NOT kit THEN
			-- what is left of the line is in the way of those who come after it
			other.outlook[s.n] := distsync_internal.inventory_outlook_own(line, other.outlook[s.n], granted || other.grants, options, at, 0);
		END IF;
		IF best.rest IS NULL OR other.rest = 0 AND (best.rest > 0 OR other.until < best.until) OR other.rest > 0 AND best.rest > 0 AND other.available > best.available THEN
			best := other;
		END IF;
	END LOOP;
	IF best.rest IS NULL THEN
		best := distsync_internal.inventory_plan_line(line, plan, asides, options, at, only_at);
	END IF;
	RETURN best;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_plan_best(distsync_internal.inventory_line, distsync_internal.inventory_plan, distsync_internal.inventory_grant[], jsonb, jsonb, timestamptz, timestamptz) IS
	'As inventory_plan_line(), in the way that is complete first. granted: what the call has given to lines before.';

-- inventory_outlook_own does the outlook of a site when what others say of the demand of a line is the line's, or so much of it.
CREATE FUNCTION distsync_internal.inventory_outlook_own(line distsync_internal.inventory_line, o distsync_internal.inventory_outlook, granted distsync_internal.inventory_grant[], options jsonb, at timestamptz, more numeric) RETURNS distsync_internal.inventory_outlook
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine distsync_internal.inventory_grant[] := ARRAY(SELECT u FROM unnest(granted) u WHERE u.item_id = o.item_id AND u.site_id = o.site_id AND u.outcome <> 'short');
	g distsync_internal.inventory_grant;
	k record;
	own distsync_internal.inventory_outlook;
BEGIN
	SELECT array_agg(u.demand_key) || line.demand_key AS keys, array_agg(u.quantity) || more AS quantities INTO k FROM unnest(mine) u WHERE u.demand_key IS NOT NULL;
	own := (distsync_internal.inventory_outlooks(ARRAY[ROW(line.ordinal, o.item_id, line.quantity, o.site_id, NULL, NULL)::distsync_internal.inventory_line], options - 'company_id', at, k.keys, k.quantities))[1];
	FOREACH g IN ARRAY mine LOOP
		own := distsync_internal.inventory_outlook_take(own, COALESCE(g.promised_at, at), g.quantity);
	END LOOP;
	own.free := ARRAY(SELECT u.free - o.aside FROM unnest(own.free) WITH ORDINALITY u(free, n) ORDER BY u.n);
	own.rest := o.rest;
	own.aside := o.aside;
	RETURN own;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outlook_own(distsync_internal.inventory_line, distsync_internal.inventory_outlook, distsync_internal.inventory_grant[], jsonb, timestamptz, numeric) IS
	'What may be promised at a site from each moment on if that much more of the external demand of this line became ours, after what is granted; base units.';

-- inventory_plan_within does the same with the outlooks of the items of the line alone: a call may have thousands.
CREATE FUNCTION distsync_internal.inventory_plan_within(line distsync_internal.inventory_line, plan distsync_internal.inventory_plan, granted distsync_internal.inventory_grant[], asides jsonb, options jsonb, at timestamptz, only_at timestamptz) RETURNS distsync_internal.inventory_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own distsync_internal.inventory_plan := ROW('{}'::distsync_internal.inventory_outlook[], plan.budgets, '{}', 0, 0, NULL)::distsync_internal.inventory_plan;
	p record;
	n integer := 0;
BEGIN
	FOR p IN SELECT (options->'places'->(e.value->>0)->>0)::integer AS first, (options->'places'->(e.value->>0)->>1)::integer AS last
		FROM jsonb_array_elements(COALESCE(options->'parts'->(line.item_id::text), jsonb_build_array(jsonb_build_array(line.item_id)))) e WHERE options->'places' ? (e.value->>0)
	LOOP
		own.outlook := own.outlook || plan.outlook[p.first:p.last];
	END LOOP;
	own := distsync_internal.inventory_plan_best(line, own, granted, asides, options, at, only_at);
	FOR p IN SELECT (options->'places'->(e.value->>0)->>0)::integer AS first, (options->'places'->(e.value->>0)->>1)::integer AS last
		FROM jsonb_array_elements(COALESCE(options->'parts'->(line.item_id::text), jsonb_build_array(jsonb_build_array(line.item_id)))) e WHERE options->'places' ? (e.value->>0)
	LOOP
		plan.outlook := plan.outlook[:p.first - 1] || own.outlook[n + 1:n + 1 + p.last - p.first] || plan.outlook[p.last + 1:];
		n := n + 1 + p.last - p.first;
	END LOOP;
	own.outlook := plan.outlook;
	RETURN own;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_plan_within(distsync_internal.inventory_line, distsync_internal.inventory_plan, distsync_internal.inventory_grant[], jsonb, jsonb, timestamptz, timestamptz) IS
	'As inventory_plan_best(); options.places: {item_id: [first, last]} in the outlooks of the plan, which are sorted by item.';

-- inventory_plan_together does the dating of all lines of a call on one date: the first on which, one after the other, all of them can be had.
CREATE FUNCTION distsync_internal.inventory_plan_together(lines distsync_internal.inventory_line[], plan distsync_internal.inventory_plan, asides jsonb, options jsonb, at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l distsync_internal.inventory_line;
	p distsync_internal.inventory_plan;
	result distsync_internal.inventory_grant[] := '{}';
	together timestamptz := at;
	short boolean := false;
BEGIN
	-- before a line can be had alone there is no need to look
	FOREACH l IN ARRAY lines LOOP
		p := distsync_internal.inventory_plan_within(l, plan, NULL, asides, options, at, NULL);
		short := short OR p.rest > 0;
		result := result || CASE WHEN p.rest > 0 THEN ARRAY[distsync_internal.inventory_short(l, p.rest, p.available)] ELSE p.grants END;
		together := greatest(together, p.until);
	END LOOP;
	WHILE NOT short LOOP
		result := '{}';
		p := plan;
		FOREACH l IN ARRAY lines LOOP
			p := distsync_internal.inventory_plan_within(l, p, result, asides, options, at, together);
			EXIT WHEN p.rest > 0;
			result := result || p.grants;
		END LOOP;
		EXIT WHEN p.rest = 0;
		together := (SELECT min(t.moment) FROM unnest(plan.outlook) u CROSS JOIN unnest(u.moments) t(moment) WHERE t.moment > together);
		IF together IS NULL THEN
			short := true;
			result := result || distsync_internal.inventory_short(l, p.rest, p.available);
		END IF;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_plan_together(distsync_internal.inventory_line[], distsync_internal.inventory_plan, jsonb, jsonb, timestamptz) IS 'Grants for all lines on one common date, or with outcome short for lines that keep them from it.';

-- inventory_short does the grant of nothing.
CREATE FUNCTION distsync_internal.inventory_short(l distsync_internal.inventory_line, rest numeric, available numeric) RETURNS distsync_internal.inventory_grant
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ROW(l.ordinal, 'short', l.item_id, l.site_id, rest, available, l.demand_key, l.requested_at, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_grant;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_short(distsync_internal.inventory_line, numeric, numeric) IS 'A grant with outcome short: what is missing of a line, and what there was for it.';

-- inventory_dated does the decision of a call whose lines shall have dates. What leaves together waits for its date: it is not brought
-- forward alone when supply comes early.
CREATE FUNCTION distsync_internal.inventory_dated(lines distsync_internal.inventory_line[], options jsonb, at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	q record := distsync_internal.inventory_outlook_quotas(distsync_internal.inventory_outlooks(distsync_internal.inventory_expanded(lines, options->'parts'), options, at), options, at);
	plan distsync_internal.inventory_plan := ROW(q.outlook, q.budgets, '{}', 0, 0, NULL)::distsync_internal.inventory_plan;
	l distsync_internal.inventory_line;
	result distsync_internal.inventory_grant[] := '{}';
BEGIN
	options := options || jsonb_build_object('places', (SELECT COALESCE(jsonb_object_agg(u.item_id, u.place), '{}') FROM (SELECT o.item_id, jsonb_build_array(min(o.n), max(o.n)) AS place
		FROM unnest(q.outlook) WITH ORDINALITY o(item_id, site_id, moments, free, rest, aside, course, kept, n) GROUP BY o.item_id) u));
	IF options->'parts' <> '{}' THEN
		lines := ARRAY(SELECT u FROM unnest(lines) u ORDER BY u.ordinal);
	END IF;
	IF options->>'mode' = 'complete' THEN
		result := distsync_internal.inventory_plan_together(lines, plan, q.asides, options, at);
	ELSE
		FOREACH l IN ARRAY lines LOOP
			plan := distsync_internal.inventory_plan_within(l, plan, result, q.asides, options, at, NULL);
			result := result || CASE WHEN plan.rest > 0 THEN ARRAY[distsync_internal.inventory_short(l, plan.rest, plan.available)] ELSE plan.grants END;
		END LOOP;
	END IF;
	RETURN ARRAY(SELECT ROW(g.ordinal, g.outcome, g.item_id, g.site_id, g.quantity, g.available, g.demand_key, g.requested_at, g.kit_id, g.kit_per, g.promised_at, CASE WHEN g.n > 1 THEN g.promised_at ELSE g.wanted_at END, g.kind)::distsync_internal.inventory_grant
		FROM (SELECT u.*, count(*) OVER (PARTITION BY CASE WHEN options->>'mode' <> 'complete' THEN u.ordinal END, u.promised_at) AS n FROM unnest(result) u) g);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_dated(distsync_internal.inventory_line[], jsonb, timestamptz) IS
	'Grants with dates for the lines of a call, with outcome short for what is missing; base units. options as inventory_decide(): mode one_date | complete | schedule, max_parts, parts.';
