-- Promising: deciding where the quantity of each line comes from, and taking it, in the caller's transaction. All pools of a call
-- are locked first and in order; the same item twice in a call adds up, because both lines draw on the same numbers.

CREATE TYPE distsync_internal.inventory_line AS (
	ordinal		integer,
	item_id		bigint,
	quantity	numeric,
	site_id		bigint,
	demand_key	text,
	requested_at	timestamptz
);
COMMENT ON TYPE distsync_internal.inventory_line IS 'A line to promise: place in the request, item, base units, site (NULL = choose), demand it serves (NULL = none), when it is wanted.';

CREATE TYPE distsync_internal.inventory_free AS (
	item_id		bigint,
	site_id		bigint,
	code		text,
	free		numeric
);
COMMENT ON TYPE distsync_internal.inventory_free IS 'What may still be promised of an item at a site, base units, below 0 where more is wanted than there is, -Infinity of an item that is not active; in the order in which sites are tried.';

CREATE TYPE distsync_internal.inventory_grant AS (
	ordinal		integer,
	outcome		text,
	item_id		bigint,
	site_id		bigint,
	quantity	numeric,
	available	numeric,
	demand_key	text,
	requested_at	timestamptz,
	kit_id		bigint,
	kit_per		numeric,
	promised_at	timestamptz,
	wanted_at	timestamptz,
	kind		text
);
COMMENT ON TYPE distsync_internal.inventory_grant IS 'What a line gets from a site: outcome reserved | partial | short | refused (another line of an all-or-none call was short), base units, and what there was for it over all sites. A kit has a row for each component of each site, with kit_id and the base units in one kit; where it gets nothing, one row with the kit itself. promised_at: the date it is for (NULL = now), wanted_at: it need not be there before, kind inbound | planned for a later date (NULL = as the call says).';

CREATE TYPE distsync_internal.inventory_promise AS (
	ordinal		integer,
	outcome		text,
	reservation_id	bigint,
	site_id		bigint,
	base_quantity	numeric,
	promised_at	timestamptz,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.inventory_promise IS 'Answer to a line: place in the request, outcome reserved | partial | short | refused, reservation (NULL in a preview), site, base units, when it can ship (for short: when it could, NULL = not foreseen), {"available", ...} in detail, for a kit its components. A line served by several sites, or in parts at several dates, has a row for each.';

-- inventory_lines does the reading of the lines of a call.
CREATE FUNCTION distsync_internal.inventory_lines(lines jsonb, kits boolean DEFAULT false) RETURNS distsync_internal.inventory_line[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result distsync_internal.inventory_line[];
	bad record;
BEGIN
	SELECT array_agg(ROW(COALESCE(x.ordinal, x.n::integer), x.item_id, x.base_quantity, x.site_id, x.demand_key, x.requested_at)::distsync_internal.inventory_line
		ORDER BY x.item_id, COALESCE(x.ordinal, x.n::integer)) INTO result
	FROM ROWS FROM (jsonb_to_recordset(lines) AS (ordinal integer, item_id bigint, base_quantity numeric, site_id bigint, demand_key text, requested_at timestamptz))
		WITH ORDINALITY AS x(ordinal, item_id, base_quantity, site_id, demand_key, requested_at, n);
	SELECT u.ordinal, u.quantity, i.sku, i.kit, i.status, format('lines[%s].', u.ordinal - 1) AS line INTO bad
	FROM unnest(result) u LEFT JOIN dist.item i ON i.item_id = u.item_id
	WHERE u.quantity IS NULL OR u.quantity <= 0 OR u.quantity >= 'Infinity' OR i.item_id IS NULL OR i.kit AND (NOT kits OR u.quantity <> trunc(u.quantity)
		OR NOT EXISTS (SELECT FROM distsync_internal.inventory_components(u.item_id)))
	ORDER BY u.ordinal LIMIT 1;
	IF FOUND AND bad.sku IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = 'unknown item', COLUMN = bad.line || 'item',
			DETAIL = format('Field: %sitem.', bad.line), HINT = 'Send the item first, or correct the line.';
	ELSIF FOUND AND bad.kit AND kits AND bad.quantity > 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = CASE WHEN bad.quantity <> trunc(bad.quantity) THEN format('quantity %s is no number of whole kits', bad.quantity) ELSE format('kit "%s" has no components', bad.sku) END,
			COLUMN = bad.line || CASE WHEN bad.quantity <> trunc(bad.quantity) THEN 'quantity' ELSE 'item' END,
			DETAIL = format('Field: %s%s. Item "%s".', bad.line, CASE WHEN bad.quantity <> trunc(bad.quantity) THEN 'quantity' ELSE 'item' END, bad.sku), HINT = 'Send a whole number of kits, and each kit with its components first.';
	ELSIF FOUND AND bad.kit AND NOT kits THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('item "%s" is a kit and has no stock of its own', bad.sku), COLUMN = bad.line || 'item',
			DETAIL = format('Field: %sitem.', bad.line), HINT = 'Send a line for each of its components.';
	ELSIF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s cannot be promised', COALESCE(bad.quantity::text, 'NULL')), COLUMN = bad.line || 'quantity',
			DETAIL = format('Field: %squantity. Item "%s"; it must be above 0.', bad.line, bad.sku), HINT = 'Send a quantity above 0, or leave the line out.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lines(jsonb, boolean) IS
	'Lines of a promise: [{"ordinal","item_id","base_quantity","site_id"?,"demand_key"?,"requested_at"?}], sorted by item and ordinal. kits: an item may be a kit. Errors: SD001 unknown item, SD002 quantity not above 0, kit where none may be, part of a kit, kit without components.';

-- inventory_expanded does the taking apart of the kits among lines, for everything that looks at stock and not at what is asked.
CREATE FUNCTION distsync_internal.inventory_expanded(lines distsync_internal.inventory_line[], parts jsonb) RETURNS distsync_internal.inventory_line[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF parts = '{}' THEN
		RETURN lines;
	END IF;
	RETURN ARRAY(SELECT ROW(u.ordinal, x.item_id, u.quantity * x.per, u.site_id, u.demand_key, u.requested_at)::distsync_internal.inventory_line
		FROM unnest(lines) u CROSS JOIN LATERAL (SELECT (e->>0)::bigint AS item_id, (e->>1)::numeric AS per FROM jsonb_array_elements(parts->(u.item_id::text)) e UNION ALL SELECT u.item_id, 1 WHERE NOT parts ? (u.item_id::text)) x
		ORDER BY x.item_id, u.ordinal);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_expanded(distsync_internal.inventory_line[], jsonb) IS 'Lines with a line for each component instead of each kit, parts as inventory_parts() says, base units; sorted by item and ordinal.';

-- inventory_line_pools does the listing of the pools that lines of a promise may draw on.
CREATE FUNCTION distsync_internal.inventory_line_pools(lines distsync_internal.inventory_line[], company_id bigint) RETURNS TABLE (item_id bigint, site_id bigint)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT k.item_id, k.site_id
	FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(lines) u) l
	CROSS JOIN LATERAL (
		SELECT l.item_id, s.site_id FROM distsync_internal.inventory_sites(l.item_id, l.site_id, inventory_line_pools.company_id) s
		UNION
		-- a site that may not promise can still owe what is back-ordered there
		SELECT l.item_id, l.site_id WHERE l.site_id IS NOT NULL) k;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_line_pools(distsync_internal.inventory_line[], bigint) IS 'Pairs of item and site that lines (of a company, NULL = any) may draw on, those that they name among them.';

-- inventory_lock_lines does the locking of everything that lines of a promise may touch: their demands, the sites they may draw on, those
-- where others speak of their demand, and those where holds end that draw on the same shares.
CREATE FUNCTION distsync_internal.inventory_lock_lines(lines distsync_internal.inventory_line[], company_id bigint, quotas bigint[], OUT items bigint[], OUT sites bigint[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites FROM (
		SELECT l.item_id, l.site_id FROM distsync_internal.inventory_line_pools(lines, inventory_lock_lines.company_id) l
		UNION
		SELECT o.item_id, o.site_id FROM distsync_internal.inventory_quota_over(ARRAY(SELECT DISTINCT u.item_id FROM unnest(lines) u), quotas) o WHERE quotas <> '{}') k;
	SELECT k.items, k.sites INTO items, sites FROM distsync_internal.inventory_lock_demand(ARRAY(SELECT DISTINCT u.demand_key FROM unnest(lines) u WHERE u.demand_key IS NOT NULL), items, sites) k;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lock_lines(distsync_internal.inventory_line[], bigint, bigint[]) IS 'Locks the demands and pools that lines may touch, which may draw on these quotas, already locked; returns pairs of item and site as two arrays, both NULL if there is none.';

-- inventory_free does the listing of what may be promised where, in the order in which sites are tried: rank, then code.
CREATE FUNCTION distsync_internal.inventory_free(lines distsync_internal.inventory_line[], options jsonb, at timestamptz) RETURNS distsync_internal.inventory_free[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result distsync_internal.inventory_free[];
	customer bigint := (options->>'customer_id')::bigint;
	shelf boolean := options->>'min_shelf_days' IS NOT NULL OR EXISTS (SELECT FROM dist.shelf_rule r WHERE r.customer_id = customer);
BEGIN
	WITH k AS MATERIALIZED (
		SELECT DISTINCT l.item_id, s.site_id, s.code, s.rank
		FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(lines) u) l
		CROSS JOIN LATERAL distsync_internal.inventory_sites(l.item_id, l.site_id, (options->>'company_id')::bigint) s
	)
	SELECT array_agg(ROW(k.item_id, k.site_id, k.code, CASE WHEN i.status <> 'active' THEN '-Infinity' ELSE
			distsync_internal.inventory_base(m.phys - COALESCE(x.phys, 0), m.book - COALESCE(x.book, 0), m.in_flight, m.outside, 'conservative', NULL) + m.low + m.backorder - m.held - m.committed
				+ CASE WHEN (options->>'use_safety')::boolean THEN m.safety ELSE 0 END + COALESCE(t.quantity, 0) END)::distsync_internal.inventory_free
		ORDER BY k.item_id, k.rank, k.code COLLATE "C") INTO result
	FROM (SELECT array_agg(item_id) AS items, array_agg(site_id) AS sites FROM k) a
	CROSS JOIN LATERAL distsync_internal.inventory_now(a.items, a.sites, inventory_free.at) m
	LEFT JOIN LATERAL distsync_internal.inventory_short_lived(m.item_id, m.site_id, inventory_free.at, distsync_internal.inventory_shelf(m.item_id, customer, (options->>'min_shelf_days')::integer)) x ON shelf
	JOIN k ON k.item_id = m.item_id AND k.site_id = m.site_id JOIN dist.item i ON i.item_id = k.item_id
	LEFT JOIN jsonb_to_recordset(options->'taken') t(item_id bigint, site_id bigint, quantity numeric) ON t.item_id = m.item_id AND t.site_id = m.site_id;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_free(distsync_internal.inventory_line[], jsonb, timestamptz) IS
	'What may be promised of the items of these lines, by site in the order of rank and code; base units. options: company_id, use_safety, min_shelf_days, customer_id (its rules of shelf life), taken [{"item_id","site_id","quantity"}] (as if that much had been taken from soft holds). Under the pools'' locks it is exact, without them a preview.';

-- inventory_own does the reckoning of how much of a line is counted as somebody else's demand already, although it is this one.
-- Together with what the call has granted before, because two lines cannot both be given the same way out of a shortage.
CREATE FUNCTION distsync_internal.inventory_own(line distsync_internal.inventory_line, site_id bigint, granted distsync_internal.inventory_grant[], at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = line.demand_key AND d.item_id = line.item_id AND d.site_id = inventory_own.site_id
			AND greatest(d.ordered, d.allocated) > greatest(d.reserved, d.shipped)) THEN
		RETURN 0;
	END IF;
	RETURN (SELECT w.low - m.low
		FROM (SELECT array_agg(u.demand_key) AS keys, array_agg(u.quantity) AS quantities FROM unnest(granted) u
			WHERE u.item_id = line.item_id AND u.site_id = inventory_own.site_id AND u.demand_key IS NOT NULL AND u.outcome <> 'short') g
		CROSS JOIN LATERAL distsync_internal.inventory_terms(ARRAY[line.item_id], ARRAY[inventory_own.site_id], inventory_own.at, g.keys, g.quantities) m
		CROSS JOIN LATERAL distsync_internal.inventory_terms(ARRAY[line.item_id], ARRAY[inventory_own.site_id], inventory_own.at, g.keys || line.demand_key, g.quantities || line.quantity) w);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_own(distsync_internal.inventory_line, bigint, distsync_internal.inventory_grant[], timestamptz) IS
	'By how much the free stock of a site would grow if the external demand of this line became ours, after what is granted before it; base units, 0 = nobody else speaks of it there.';
