-- Sourcing: which site serves which line. Lines are served in their order out of what is free, so that the same item twice adds up; a
-- chain of rules says which site comes first, and its code decides where the rules do not.

-- inventory_candidates does the listing of the sites that may serve a line, and of how much: of a kit the scarcest component decides.
CREATE FUNCTION distsync_internal.inventory_candidates(line distsync_internal.inventory_line, parts jsonb, free distsync_internal.inventory_free[], granted distsync_internal.inventory_grant[], at timestamptz, step numeric,
	OUT sites bigint[], OUT whole numeric[], OUT part numeric[], OUT own numeric[], OUT total numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine numeric;
	f distsync_internal.inventory_free;
BEGIN
	total := 0;
	IF parts IS NOT NULL THEN
		WITH c AS (
			SELECT x.site_id, min(floor(x.free / (p.value->>1)::numeric)) AS part, min(x.n) AS n,
				min(floor((x.free + distsync_internal.inventory_own(ROW(line.ordinal, x.item_id, line.quantity * (p.value->>1)::numeric, x.site_id, line.demand_key, line.requested_at)::distsync_internal.inventory_line, x.site_id, granted, inventory_candidates.at)) / (p.value->>1)::numeric)) AS whole
			FROM jsonb_array_elements(parts) p JOIN unnest(free) WITH ORDINALITY x(item_id, site_id, code, free, n) ON x.item_id = (p.value->>0)::bigint
			WHERE line.site_id IS NULL OR x.site_id = line.site_id
			GROUP BY x.site_id HAVING count(*) = jsonb_array_length(parts)
		)
		SELECT array_agg(c.site_id ORDER BY c.n), array_agg(s.whole ORDER BY c.n), array_agg(distsync_internal.inventory_in_steps(c.part, step) ORDER BY c.n), array_agg(0 ORDER BY c.n), COALESCE(sum(greatest(0, s.whole)), 0)
		INTO sites, whole, part, own, total FROM c CROSS JOIN LATERAL (SELECT distsync_internal.inventory_in_steps(c.whole, step) AS whole) s;
	ELSE
		FOREACH f IN ARRAY free LOOP
			CONTINUE WHEN line.site_id IS NOT NULL AND f.site_id <> line.site_id;
			mine := CASE WHEN line.demand_key IS NULL THEN 0 ELSE distsync_internal.inventory_own(line, f.site_id, granted, inventory_candidates.at) END;
			sites := sites || f.site_id;
			own := own || mine;
			mine := COALESCE(div(f.free + mine, step) * step, f.free + mine);
			whole := whole || mine;
			part := part || COALESCE(div(f.free, step) * step, f.free);
			total := total + greatest(0, mine);
		END LOOP;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_candidates(distsync_internal.inventory_line, jsonb, distsync_internal.inventory_free[], distsync_internal.inventory_grant[], timestamptz, numeric) IS
	'Sites that may serve a line in the order of rank and code, what each can if it serves the whole line (with what others said of its demand) and if it serves a part, in whole steps (NULL = of any size), how much others said, and the total; base units, or whole kits where parts [[item_id, base units in a kit], ...] are given. free: the rows of the items the line needs.';

-- inventory_choose does the choice among the candidates of a line. Without rules: a site that can serve it all before several, by rank. With
-- rules each next site is the first in their order, which is reckoned anew for what is still missing.
CREATE FUNCTION distsync_internal.inventory_choose(sites bigint[], whole numeric[], part numeric[], quantity numeric, split boolean, rules text[], preferred bigint[]) RETURNS TABLE (n integer, taken numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rest numeric := quantity;
	used integer[] := '{}';
BEGIN
	LOOP
		SELECT c.n, CASE WHEN c.whole >= quantity AND used = '{}' THEN quantity ELSE least(rest, c.part) END INTO n, taken
		FROM unnest(sites, whole, part) WITH ORDINALITY c(site_id, whole, part, n)
		WHERE quantity > 0 AND NOT c.n = ANY (used) AND (c.part > 0 OR c.whole >= quantity AND used = '{}')
		ORDER BY NOT split AND c.whole < quantity, CASE WHEN NOT split AND c.whole < quantity THEN -c.part END,
			ARRAY(SELECT CASE r.rule
					WHEN 'whole' THEN CASE WHEN c.whole >= quantity AND used = '{}' THEN 0 ELSE 1 END
					WHEN 'preferred' THEN COALESCE(array_position(preferred, c.site_id), 1000000)
					WHEN 'fewest_splits' THEN -least(rest, greatest(c.part, CASE WHEN used = '{}' THEN c.whole ELSE 0 END))
					WHEN 'most_available' THEN -c.part
					ELSE c.n END::numeric
				FROM unnest(rules) WITH ORDINALITY r(rule, n) ORDER BY r.n), c.n
		LIMIT 1;
		EXIT WHEN NOT FOUND;
		used := used || n;
		rest := rest - taken;
		RETURN NEXT;
		EXIT WHEN rest = 0 OR NOT split;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_choose(bigint[], numeric[], numeric[], numeric, boolean, text[], bigint[]) IS
	'Which of the candidates (arrays of equal length, in the order of rank and code) serve a quantity and with how much each: rules whole (one that has it all) | preferred (in the order of preferred) | fewest_splits (who has most of what is missing) | most_available | rank, the first rule before the second. split: several may.';

-- inventory_granted does the grants of one site for a line: of a kit one for each component.
CREATE FUNCTION distsync_internal.inventory_granted(line distsync_internal.inventory_line, parts jsonb, site_id bigint, quantity numeric, available numeric) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF parts IS NULL THEN
		RETURN ARRAY[ROW(line.ordinal, 'reserved', line.item_id, inventory_granted.site_id, inventory_granted.quantity, inventory_granted.available, line.demand_key, line.requested_at, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_grant];
	END IF;
	RETURN ARRAY(SELECT ROW(line.ordinal, 'reserved', (p.value->>0)::bigint, inventory_granted.site_id, inventory_granted.quantity * (p.value->>1)::numeric, inventory_granted.available, line.demand_key, line.requested_at,
		line.item_id, (p.value->>1)::numeric, NULL, NULL, NULL)::distsync_internal.inventory_grant FROM jsonb_array_elements(parts) p);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_granted(distsync_internal.inventory_line, jsonb, bigint, numeric, numeric) IS 'Grants for a quantity of a line from one site; parts of a kit: [[item_id, base units in a kit], ...], quantity then in kits.';

-- inventory_parts does the taking apart of the kits among lines, once for a call.
CREATE FUNCTION distsync_internal.inventory_parts(lines distsync_internal.inventory_line[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(jsonb_object_agg(i.item_id, (SELECT jsonb_agg(jsonb_build_array(c.item_id, c.per) ORDER BY c.sku COLLATE "C") FROM distsync_internal.inventory_components(i.item_id) c)), '{}')
		FROM (SELECT DISTINCT v.item_id FROM unnest(lines) v) u JOIN dist.item i ON i.item_id = u.item_id AND i.kit);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_parts(distsync_internal.inventory_line[]) IS '{kit: [[item_id, base units in a kit], ...]} by item id for the kits among lines.';

-- inventory_drop_ship does the promise of what no stock covers where a vendor ships itself: it needs no stock of ours, only its lead time. What is
-- set aside at the site of a vendor is stock that it told of, so that there it does not go beyond that.
CREATE FUNCTION distsync_internal.inventory_drop_ship(line distsync_internal.inventory_line, quantity numeric, available numeric, company_id bigint, at timestamptz) RETURNS SETOF distsync_internal.inventory_grant
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT line.ordinal, 'reserved', line.item_id, s.site_id, quantity, available, line.demand_key, line.requested_at, NULL::bigint, NULL::numeric, inventory_drop_ship.at + r.lead_days * interval '24 hours', NULL::timestamptz, 'planned'
	FROM distsync_internal.inventory_sites(line.item_id, line.site_id, inventory_drop_ship.company_id) s JOIN dist.site x ON x.site_id = s.site_id AND x.kind = 'vendor'
	JOIN dist.item_site r ON r.item_id = line.item_id AND r.site_id = s.site_id AND r.lead_days IS NOT NULL
	JOIN dist.item i ON i.item_id = line.item_id AND i.status = 'active'
	WHERE quantity > 0 AND NOT EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = line.item_id AND q.site_id = s.site_id)
	ORDER BY r.lead_days, s.rank, s.code COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_drop_ship(distsync_internal.inventory_line, numeric, numeric, bigint, timestamptz) IS
	'A grant of a quantity (base units) for the end of the lead time of a vendor that may serve a line, the quickest, and of those the first by rank and code; no row = there is none. company_id: of the call, NULL = any.';

-- inventory_allocate does the decision for all lines of a call. Free stock is sorted by item; where each item begins and ends in it is
-- looked up once.
CREATE FUNCTION distsync_internal.inventory_allocate(lines distsync_internal.inventory_line[], free distsync_internal.inventory_free[], budgets jsonb, options jsonb, at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	places jsonb := (SELECT jsonb_object_agg(u.item_id, u.place) FROM (SELECT f.item_id, jsonb_build_array(min(f.n), max(f.n)) AS place FROM unnest(free) WITH ORDINALITY f(item_id, site_id, code, free, n) GROUP BY f.item_id) u);
	kits jsonb := options->'parts';
	split boolean := COALESCE((options->>'split')::boolean, true);
	rules text[] := COALESCE(ARRAY(SELECT jsonb_array_elements_text(options->'sourcing')), '{}');
	preferred bigint[] := ARRAY(SELECT u::bigint FROM jsonb_array_elements_text(options->'preferred_ids') u);
	l distsync_internal.inventory_line;
	p record;
	c record;
	s record;
	parts jsonb;
	mine distsync_internal.inventory_free[];
	f distsync_internal.inventory_free;
	one distsync_internal.inventory_grant;
	result distsync_internal.inventory_grant[] := '{}';
	asked numeric;
	budget numeric;
	rest numeric;
	step numeric;
	vendors boolean := EXISTS (SELECT FROM dist.site v WHERE v.kind = 'vendor');
	dropped distsync_internal.inventory_grant[];
BEGIN
	rules := CASE WHEN rules = '{}' THEN '{whole,rank}' ELSE rules END;
	FOREACH l IN ARRAY CASE WHEN kits = '{}' THEN COALESCE(lines, '{}') ELSE ARRAY(SELECT u FROM unnest(lines) u ORDER BY u.ordinal) END LOOP
		parts := COALESCE(kits->(l.item_id::text), jsonb_build_array(jsonb_build_array(l.item_id, 1)));
		mine := '{}';
		FOR p IN SELECT (places->(x.value->>0)->>0)::integer AS first, (places->(x.value->>0)->>1)::integer AS last FROM jsonb_array_elements(parts) x WHERE places ? (x.value->>0) LOOP
			-- one by one: to cut a piece out of an array is to copy it
			FOR j IN p.first .. p.last LOOP
				mine := array_append(mine, free[j]);
			END LOOP;
		END LOOP;
		budget := (SELECT min(floor((budgets->>(x.value->>0))::numeric / (x.value->>1)::numeric * CASE WHEN kits ? (l.item_id::text) THEN 1 ELSE 1000000 END)) / CASE WHEN kits ? (l.item_id::text) THEN 1 ELSE 1000000 END FROM jsonb_array_elements(parts) x);
		asked := l.quantity;
		step := (options->'steps'->>(l.ordinal::text))::numeric;
		budget := distsync_internal.inventory_in_steps(budget, step);
		l.quantity := least(asked, budget);
		c := distsync_internal.inventory_candidates(l, kits->(l.item_id::text), mine, result, inventory_allocate.at, step);
		c.total := least(c.total, budget);
		rest := asked;
		FOR s IN SELECT c.sites[x.n] AS site_id, x.taken, CASE WHEN x.taken = l.quantity AND c.whole[x.n] >= l.quantity THEN c.own[x.n] ELSE 0 END AS own FROM distsync_internal.inventory_choose(c.sites, c.whole, c.part, l.quantity, split, rules, preferred) x LOOP
			FOREACH one IN ARRAY distsync_internal.inventory_granted(l, kits->(l.item_id::text), s.site_id, s.taken, c.total) LOOP
				result := array_append(result, one);
			END LOOP;
			FOR p IN SELECT (x.value->>0) AS item, s.taken * (x.value->>1)::numeric AS quantity, (places->(x.value->>0)->>0)::integer AS first, (places->(x.value->>0)->>1)::integer AS last FROM jsonb_array_elements(parts) x LOOP
				FOR j IN p.first .. p.last LOOP
					f := free[j];
					IF f.site_id = s.site_id THEN
						f.free := f.free - p.quantity + s.own * CASE WHEN kits ? (l.item_id::text) THEN 0 ELSE 1 END;
						free[j] := f;
					END IF;
				END LOOP;
				budgets := CASE WHEN budgets ? p.item THEN budgets || jsonb_build_object(p.item, (budgets->>p.item)::numeric - p.quantity) ELSE budgets END;
			END LOOP;
			rest := rest - s.taken;
		END LOOP;
		-- what may not be split comes from stock or from the vendor
		IF rest > 0 AND vendors AND NOT kits ? (l.item_id::text) AND (split OR rest = asked) THEN
			dropped := ARRAY(SELECT g FROM distsync_internal.inventory_drop_ship(l, distsync_internal.inventory_in_steps(least(rest, budget - asked + rest), step), c.total, (options->>'company_id')::bigint, inventory_allocate.at) g);
			FOREACH one IN ARRAY dropped LOOP
				result := array_append(result, one);
			END LOOP;
			budgets := CASE WHEN dropped <> '{}' AND budgets ? l.item_id::text THEN budgets || jsonb_build_object(l.item_id, (budgets->>l.item_id::text)::numeric - dropped[1].quantity) ELSE budgets END;
			rest := rest - COALESCE(dropped[1].quantity, 0);
		END IF;
		IF rest > 0 THEN
			result := array_append(result, ROW(l.ordinal, 'short', l.item_id, l.site_id, rest, c.total, l.demand_key, l.requested_at, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_grant);
		END IF;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_allocate(distsync_internal.inventory_line[], distsync_internal.inventory_free[], jsonb, jsonb, timestamptz) IS
	'Grants for lines out of free stock: rows for each site that serves a line, and one with outcome short for what is missing; base units. budgets: {item_id: what may be promised of it over all sites}; options: parts (what kits are made of), steps ({ordinal: in which a line is promised at each site}), split (default true: a line may be served by several sites), sourcing (rules), preferred_ids.';
