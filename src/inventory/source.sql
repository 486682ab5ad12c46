-- Sourcing: which site serves which line. Lines are served in their order out of what is free, so that the same item twice adds up; a
-- chain of rules says which site comes first, and its code decides where the rules do not.

-- inventory_candidates does the listing of the sites that may serve a line, and of how much: of a kit the scarcest component decides.
CREATE FUNCTION distsync_internal.inventory_candidates(line distsync_internal.inventory_line, parts jsonb, free distsync_internal.inventory_free[], granted distsync_internal.inventory_grant[], at timestamptz, step numeric,
	OUT sites bigint[], OUT can numeric[], OUT total numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine numeric;
	f distsync_internal.inventory_free;
BEGIN
	total := 0;
	IF parts IS NOT NULL THEN
		WITH c AS (
			SELECT x.site_id, min(x.n) AS n,
				min(floor((x.free + distsync_internal.inventory_own(ROW(line.ordinal, x.item_id, 1e14, x.site_id, line.demand_key, line.requested_at)::distsync_internal.inventory_line, x.site_id, granted, inventory_candidates.at)) / (p.value->>1)::numeric)) AS can
			FROM jsonb_array_elements(parts) p JOIN unnest(free) WITH ORDINALITY x(item_id, site_id, code, free, n) ON x.item_id = (p.value->>0)::bigint
			WHERE line.site_id IS NULL OR x.site_id = line.site_id
			GROUP BY x.site_id HAVING count(*) = jsonb_array_length(parts)
		)
		SELECT array_agg(c.site_id ORDER BY c.n), array_agg(s.can ORDER BY c.n), COALESCE(sum(greatest(0, s.can)), 0) INTO sites, can, total FROM c CROSS JOIN LATERAL (SELECT distsync_internal.inventory_in_steps(c.can, step) AS can) s;
	ELSE
		FOREACH f IN ARRAY free LOOP
			CONTINUE WHEN line.site_id IS NOT NULL AND f.site_id <> line.site_id;
			-- what its owner says of the line is no demand beside it, also where only a part of it is promised
			mine := f.free + CASE WHEN line.demand_key IS NULL THEN 0
				ELSE distsync_internal.inventory_own(ROW(line.ordinal, line.item_id, 1e14, line.site_id, line.demand_key, line.requested_at)::distsync_internal.inventory_line, f.site_id, granted, inventory_candidates.at) END;
			sites := sites || f.site_id;
			mine := COALESCE(div(mine, step) * step, mine);
			can := can || mine;
			total := total + greatest(0, mine);
		END LOOP;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_candidates(distsync_internal.inventory_line, jsonb, distsync_internal.inventory_free[], distsync_internal.inventory_grant[], timestamptz, numeric) IS
	'Sites that may serve a line in the order of rank and code, how much of it each can, with what others said of its demand, in whole steps (NULL = of any size), and the total; base units, or whole kits where parts [[item_id, base units in a kit], ...] are given. free: the rows of the items the line needs.';

-- inventory_choose does the choice among the candidates of a line. Without rules: a site that can serve it all before several, by rank. With
-- rules each next site is the first in their order, which is reckoned anew for what is still missing.
CREATE FUNCTION distsync_internal.inventory_choose(sites bigint[], can numeric[], quantity numeric, split boolean, rules text[], preferred bigint[]) RETURNS TABLE (n integer, taken numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rest numeric := quantity;
	used integer[] := '{}';
BEGIN
	LOOP
		SELECT c.n, least(rest, c.can) INTO n, taken
		FROM unnest(sites, can) WITH ORDINALITY c(site_id, can, n)
		WHERE quantity > 0 AND NOT c.n = ANY (used) AND c.can > 0
		ORDER BY NOT split AND c.can < quantity, CASE WHEN NOT split AND c.can < quantity THEN -c.can END,
			ARRAY(SELECT CASE r.rule
					WHEN 'whole' THEN CASE WHEN c.can >= quantity AND used = '{}' THEN 0 ELSE 1 END
					WHEN 'preferred' THEN COALESCE(array_position(preferred, c.site_id), 1000000)
					WHEN 'fewest_splits' THEN -least(rest, c.can)
					WHEN 'most_available' THEN -c.can
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
COMMENT ON FUNCTION distsync_internal.inventory_choose(bigint[], numeric[], numeric, boolean, text[], bigint[]) IS
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
-- set aside for others is stock, and not in its way; who draws on a share gets no more than that, also there.
CREATE FUNCTION distsync_internal.inventory_drop_ship(line distsync_internal.inventory_line, quantity numeric, available numeric, budgets jsonb, step numeric, company_id bigint, at timestamptz) RETURNS SETOF distsync_internal.inventory_grant
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT line.ordinal, 'reserved', line.item_id, s.site_id, q.most, available, line.demand_key, line.requested_at, NULL::bigint, NULL::numeric, inventory_drop_ship.at + r.lead_days * interval '24 hours', NULL::timestamptz, 'planned'
	FROM distsync_internal.inventory_sites(line.item_id, line.site_id, inventory_drop_ship.company_id) s JOIN dist.site x ON x.site_id = s.site_id AND x.kind = 'vendor'
	JOIN dist.item_site r ON r.item_id = line.item_id AND r.site_id = s.site_id AND r.lead_days IS NOT NULL
	JOIN dist.item i ON i.item_id = line.item_id AND i.status = 'active'
	CROSS JOIN LATERAL (SELECT distsync_internal.inventory_in_steps(least(quantity, (budgets->>concat_ws(':', line.item_id, 0))::numeric, (budgets->>concat_ws(':', line.item_id, s.site_id))::numeric), step) AS most) q
	WHERE q.most > 0 ORDER BY q.most < quantity, r.lead_days, s.rank, s.code COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_drop_ship(distsync_internal.inventory_line, numeric, numeric, jsonb, numeric, bigint, timestamptz) IS
	'A grant of up to a quantity (base units, in whole steps, NULL = of any size) for the end of the lead time of a vendor that may serve a line: one that may serve all of it, the quickest, and of those the first by rank and code; no row = there is none. budgets: as inventory_within_quotas() says, rests of shares among them; company_id: of the call, NULL = any.';

-- inventory_budgets_less does the taking of a quantity out of budgets.
CREATE FUNCTION distsync_internal.inventory_budgets_less(budgets jsonb, item_id bigint, site_id bigint, quantity numeric, from_stock boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	of_all text := concat_ws(':', item_id, 0);
BEGIN
	IF budgets = '{}' THEN
		RETURN budgets;
	END IF;
	RETURN budgets || (SELECT COALESCE(jsonb_object_agg(u.key, (budgets->>u.key)::numeric - quantity), '{}')
		FROM unnest(ARRAY[CASE WHEN from_stock OR budgets ? of_all THEN item_id::text END, of_all, concat_ws(':', item_id, site_id)]) u(key) WHERE budgets ? u.key);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_budgets_less(jsonb, bigint, bigint, numeric, boolean) IS 'Budgets of inventory_within_quotas() after a quantity (base units) of an item was promised at a site, from stock or by a vendor who needs none, whose promise takes only from shares.';

-- inventory_budget does what budgets leave of the item of a line, or of a kit: as many as the scarcest component allows.
CREATE FUNCTION distsync_internal.inventory_budget(budgets jsonb, parts jsonb, kit boolean) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parts_of_one numeric := CASE WHEN kit THEN 1 ELSE 1000000 END;
BEGIN
	RETURN (SELECT min(floor((budgets->>(x.value->>0))::numeric / (x.value->>1)::numeric * parts_of_one)) / parts_of_one FROM jsonb_array_elements(parts) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_budget(jsonb, jsonb, boolean) IS 'What budgets of inventory_within_quotas() leave of [[item_id, base units], ...]: base units, or whole kits; NULL = no limit.';

-- inventory_own_taken does the reckoning of how much less others say of a line from now on, where a part of it is taken from a site. Of kits
-- that is left to the next call.
CREATE FUNCTION distsync_internal.inventory_own_taken(line distsync_internal.inventory_line, quantity numeric, site_id bigint, granted distsync_internal.inventory_grant[], at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	line.quantity := inventory_own_taken.quantity;
	RETURN distsync_internal.inventory_own(line, inventory_own_taken.site_id, granted, inventory_own_taken.at);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_own_taken(distsync_internal.inventory_line, numeric, bigint, distsync_internal.inventory_grant[], timestamptz) IS 'inventory_own() of a part of a line, base units.';

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
	own numeric;
	vendors boolean := EXISTS (SELECT FROM dist.site v WHERE v.kind = 'vendor');
	dropped distsync_internal.inventory_grant;
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
		asked := l.quantity;
		step := (options->'steps'->>(l.ordinal::text))::numeric;
		budget := CASE WHEN budgets <> '{}' THEN distsync_internal.inventory_in_steps(distsync_internal.inventory_budget(budgets, parts, kits ? (l.item_id::text)), step) END;
		l.quantity := least(asked, budget);
		c := distsync_internal.inventory_candidates(l, kits->(l.item_id::text), mine, result, inventory_allocate.at, step);
		c.total := least(c.total, budget);
		rest := asked;
		dropped := NULL;
		-- what may not be split comes from stock or from the vendor
		IF vendors AND NOT kits ? (l.item_id::text) AND NOT split AND NOT EXISTS (SELECT FROM unnest(c.can) u WHERE least(u, l.quantity) >= asked) THEN
			SELECT g.* INTO dropped FROM distsync_internal.inventory_drop_ship(l, asked, c.total, budgets, step, (options->>'company_id')::bigint, inventory_allocate.at) g
			WHERE g.quantity = asked OR NOT EXISTS (SELECT FROM unnest(c.can) u WHERE least(u, l.quantity) > 0);
		END IF;
		FOR s IN SELECT c.sites[x.n] AS site_id, x.taken FROM distsync_internal.inventory_choose(c.sites, c.can, CASE WHEN dropped IS NULL THEN l.quantity ELSE 0 END, split, rules, preferred) x LOOP
			own := CASE WHEN l.demand_key IS NULL OR kits ? (l.item_id::text) THEN 0 ELSE distsync_internal.inventory_own_taken(l, s.taken, s.site_id, result, inventory_allocate.at) END;
			FOREACH one IN ARRAY distsync_internal.inventory_granted(l, kits->(l.item_id::text), s.site_id, s.taken, c.total) LOOP
				result := array_append(result, one);
			END LOOP;
			FOR p IN SELECT (x.value->>0) AS item, s.taken * (x.value->>1)::numeric AS quantity, (places->(x.value->>0)->>0)::integer AS first, (places->(x.value->>0)->>1)::integer AS last FROM jsonb_array_elements(parts) x LOOP
				FOR j IN p.first .. p.last LOOP
					f := free[j];
					IF f.site_id = s.site_id THEN
						f.free := f.free - p.quantity + own;
						free[j] := f;
					END IF;
				END LOOP;
				budgets := distsync_internal.inventory_budgets_less(budgets, p.item::bigint, s.site_id, p.quantity, true);
			END LOOP;
			rest := rest - s.taken;
		END LOOP;
		IF rest > 0 AND vendors AND NOT kits ? (l.item_id::text) AND split THEN
			SELECT g.* INTO dropped FROM distsync_internal.inventory_drop_ship(l, rest, c.total, budgets, step, (options->>'company_id')::bigint, inventory_allocate.at) g;
		END IF;
		IF dropped.quantity > 0 THEN
			result := array_append(result, dropped);
			budgets := distsync_internal.inventory_budgets_less(budgets, l.item_id, dropped.site_id, dropped.quantity, false);
			rest := rest - dropped.quantity;
		END IF;
		IF rest > 0 THEN
			result := array_append(result, ROW(l.ordinal, 'short', l.item_id, l.site_id, rest, c.total, l.demand_key, l.requested_at, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_grant);
		END IF;
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_allocate(distsync_internal.inventory_line[], distsync_internal.inventory_free[], jsonb, jsonb, timestamptz) IS
	'Grants for lines out of free stock: rows for each site that serves a line, and one with outcome short for what is missing; base units. budgets: as inventory_within_quotas() says; options: parts (what kits are made of), steps ({ordinal: in which a line is promised at each site}), split (default true: a line may be served by several sites), sourcing (rules), preferred_ids.';
