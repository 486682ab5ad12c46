-- Kits and substitutes. A kit has no stock: as many can be promised as whole kits can be made of its components at one site. What stands
-- in for an item is told where the item itself is not there.

-- inventory_components does the taking apart of a kit, down to items with stock of their own.
CREATE FUNCTION distsync_internal.inventory_components(kit_id bigint) RETURNS TABLE (item_id bigint, sku text, per numeric)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH RECURSIVE part AS (
		SELECT c.component_id, c.quantity::numeric AS quantity, 1 AS depth FROM dist.item_component c WHERE c.kit_id = inventory_components.kit_id
		UNION ALL
		SELECT c.component_id, p.quantity * c.quantity, p.depth + 1 FROM part p JOIN dist.item_component c ON c.kit_id = p.component_id WHERE p.depth < 16
	)
	SELECT i.item_id, i.sku, sum(p.quantity) FROM part p JOIN dist.item i ON i.item_id = p.component_id AND NOT i.kit GROUP BY i.item_id, i.sku;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_components(bigint) IS 'Items with stock of their own that a kit is made of, kits in it taken apart (16 deep at most), and how many base units of each one kit takes.';

-- inventory_kit_sites does the listing of the sites at which a kit can be made: those that may promise all its components.
CREATE FUNCTION distsync_internal.inventory_kit_sites(kit_id bigint, for_site bigint DEFAULT NULL, for_company bigint DEFAULT NULL) RETURNS TABLE (site_id bigint, code text, rank integer)
LANGUAGE plpgsql STABLE ROWS 3 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH c AS MATERIALIZED (SELECT * FROM distsync_internal.inventory_components(inventory_kit_sites.kit_id))
	SELECT u.site_id, u.code, u.rank FROM c CROSS JOIN LATERAL distsync_internal.inventory_sites(c.item_id, for_site, for_company) u
	GROUP BY u.site_id, u.code, u.rank HAVING count(*) = (SELECT count(*) FROM c);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_kit_sites(bigint, bigint, bigint) IS 'Sites (the given one, of the given company; NULL = all) that may promise all components of a kit.';

-- inventory_made_of does the telling of what a line takes from stock: of a kit its components, of anything else itself.
CREATE FUNCTION distsync_internal.inventory_made_of(item_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM dist.item i WHERE i.item_id = inventory_made_of.item_id AND i.kit) THEN
		RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_array(c.item_id, c.per) ORDER BY c.sku COLLATE "C"), '[]') FROM distsync_internal.inventory_components(inventory_made_of.item_id) c);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_made_of(bigint) IS '[[item_id, base units in a kit], ...] of a kit, [] of one without components, NULL of any other item.';

-- inventory_taken_from does the same as rows: what a line takes from stock, and how much of it.
CREATE FUNCTION distsync_internal.inventory_taken_from(line_item bigint, parts jsonb) RETURNS TABLE (item_id bigint, per numeric)
LANGUAGE sql IMMUTABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
	SELECT (p->>0)::bigint, (p->>1)::numeric FROM jsonb_array_elements(parts) p
	UNION ALL
	SELECT line_item, 1 WHERE parts IS NULL
$$;
COMMENT ON FUNCTION distsync_internal.inventory_taken_from(bigint, jsonb) IS 'Items that a line takes from stock and base units of each: the parts of a kit as inventory_made_of() says, the item itself where parts is NULL.';

-- inventory_serving does the choice of the site at which a line is wanted that nobody has said a site for.
CREATE FUNCTION distsync_internal.inventory_serving(item_id bigint, company_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM dist.item i WHERE i.item_id = inventory_serving.item_id AND i.kit) THEN
		RETURN (SELECT s.site_id FROM distsync_internal.inventory_sites(inventory_serving.item_id, NULL, inventory_serving.company_id) s ORDER BY s.rank, s.code COLLATE "C" LIMIT 1);
	END IF;
	RETURN COALESCE((SELECT s.site_id FROM distsync_internal.inventory_kit_sites(inventory_serving.item_id, NULL, inventory_serving.company_id) s ORDER BY s.rank, s.code COLLATE "C" LIMIT 1),
		(SELECT s.site_id FROM distsync_internal.inventory_components(inventory_serving.item_id) c CROSS JOIN LATERAL distsync_internal.inventory_sites(c.item_id, NULL, inventory_serving.company_id) s ORDER BY s.rank, s.code COLLATE "C" LIMIT 1));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_serving(bigint, bigint) IS 'The first site, by rank and code, that may promise an item, or make a kit (else that knows one of its components); of a company if given; NULL = none.';

-- inventory_kit_parts does the numbers of each component at each site that may promise it, now.
CREATE FUNCTION distsync_internal.inventory_kit_parts(kit_id bigint, for_site bigint, for_company bigint, at timestamptz, options jsonb)
RETURNS TABLE (site_id bigint, sku text, per numeric, on_hand numeric, projected numeric, atp_book numeric, atp_phys numeric, atp numeric, basis text, moves boolean, moves_at timestamptz, known_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH c AS MATERIALIZED (SELECT * FROM distsync_internal.inventory_components(inventory_kit_parts.kit_id))
	SELECT s.site_id, c.sku, c.per, n.on_hand, n.projected, n.atp_book, n.atp_phys, n.atp, n.basis, n.moves, n.moves_at, n.known_at
	FROM c CROSS JOIN distsync_internal.inventory_kit_sites(inventory_kit_parts.kit_id, for_site, for_company) s
	CROSS JOIN LATERAL distsync_internal.inventory_sum(c.item_id, s.site_id, NULL, inventory_kit_parts.at, distsync_internal.inventory_viewed(options, c.item_id)) n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_kit_parts(bigint, bigint, bigint, timestamptz, jsonb) IS
	'The components of a kit at each site (NULL = all, of a company if given) that may promise all of them: base units in a kit, and the numbers of atp() for it in base units, without quotas.';

-- inventory_kit_sum does for a kit what inventory_sum does for an item: at each site the component decides that there is least of.
CREATE FUNCTION distsync_internal.inventory_kit_sum(kit_id bigint, site_id bigint, company_id bigint, at timestamptz, options jsonb, step numeric, OUT sites bigint[], OUT amounts numeric[], OUT on_hand numeric, OUT projected numeric,
	OUT atp_book numeric, OUT atp_phys numeric, OUT atp numeric, OUT basis text, OUT moves boolean, OUT moves_at timestamptz, OUT known_at timestamptz, OUT detail jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	active boolean := (SELECT i.status = 'active' FROM dist.item i WHERE i.item_id = inventory_kit_sum.kit_id);
BEGIN
	WITH p AS MATERIALIZED (
		SELECT * FROM distsync_internal.inventory_kit_parts(inventory_kit_sum.kit_id, inventory_kit_sum.site_id, inventory_kit_sum.company_id, inventory_kit_sum.at, inventory_kit_sum.options)
	), k AS (
		SELECT p.site_id, min(floor(p.on_hand / p.per)) AS on_hand, min(floor(p.projected / p.per)) AS projected, CASE WHEN active THEN distsync_internal.inventory_in_steps(min(floor(p.atp_book / p.per)), step) ELSE 0 END AS atp_book,
			CASE WHEN active THEN distsync_internal.inventory_in_steps(min(floor(p.atp_phys / p.per)), step) ELSE 0 END AS atp_phys, CASE WHEN active THEN distsync_internal.inventory_in_steps(min(floor(p.atp / p.per)), step) ELSE 0 END AS atp
		FROM p GROUP BY p.site_id
	), sums AS (
		SELECT array_agg(k.site_id ORDER BY k.site_id) AS sites, array_agg(k.atp ORDER BY k.site_id) AS amounts, COALESCE(sum(k.on_hand), 0) AS on_hand, COALESCE(sum(k.projected), 0) AS projected, sum(k.atp_book) AS atp_book, sum(k.atp_phys) AS atp_phys, COALESCE(sum(k.atp), 0) AS atp FROM k
	), c AS (
		SELECT p.sku, p.per, sum(p.atp) AS atp FROM p GROUP BY p.sku, p.per
	)
	SELECT u.*, CASE WHEN count(DISTINCT p.basis) > 1 THEN 'mixed' ELSE COALESCE(min(p.basis), 'none') END, COALESCE(bool_or(p.moves), false), min(p.moves_at), max(p.known_at),
		jsonb_build_object('components', (SELECT COALESCE(jsonb_agg(jsonb_build_object('item', c.sku, 'per_kit', trim_scale(c.per), 'atp', trim_scale(c.atp)) ORDER BY c.sku COLLATE "C"), '[]') FROM c))
			|| jsonb_strip_nulls(jsonb_build_object('sites', NULLIF(COALESCE(cardinality(u.sites), 0), 1)))
	INTO sites, amounts, on_hand, projected, atp_book, atp_phys, atp, basis, moves, moves_at, known_at, detail
	FROM sums u LEFT JOIN p ON true GROUP BY u.sites, u.amounts, u.on_hand, u.projected, u.atp_book, u.atp_phys, u.atp;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_kit_sum(bigint, bigint, bigint, timestamptz, jsonb, numeric) IS
	'The numbers of atp() for a kit, whole kits: at each site as many as the scarcest component allows, added up over the sites, without quotas; detail: components with what may be promised of each. options as in atp(); step: so many kits at a time (NULL = one).';

-- inventory_substitutes does the listing of what may stand in for an item, by rank, with the same question asked of each.
CREATE FUNCTION distsync_internal.inventory_substitutes(item_id bigint, quantity numeric, unit text, site text, at timestamptz, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('item', a.item, 'kind', s.kind, 'outcome', a.outcome, 'atp', a.atp, 'available_at', a.available_at, 'ship_at', a.ship_at) ORDER BY s.rank, s.kind, a.item COLLATE "C"), '[]')
		FROM (SELECT x.kind, x.rank, i.sku FROM dist.item_supersession x JOIN dist.item i ON i.item_id = x.successor_id AND i.status = 'active'
			WHERE x.item_id = inventory_substitutes.item_id AND x.valid @> statement_timestamp()
				AND (inventory_substitutes.unit = i.base_unit OR EXISTS (SELECT FROM dist.item_unit u WHERE u.item_id = i.item_id AND u.unit = inventory_substitutes.unit))
			ORDER BY x.rank, x.kind, i.sku COLLATE "C" LIMIT 20) s
		CROSS JOIN LATERAL distsync_internal.inventory_atp_whole(s.sku, inventory_substitutes.quantity, inventory_substitutes.unit, inventory_substitutes.site, inventory_substitutes.at, options - 'substitutes') a);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_substitutes(bigint, numeric, text, text, timestamptz, jsonb) IS
	'The first twenty active substitutes and successors of an item that are sold in this unit, by rank: [{"item", "kind", "outcome", "atp", "available_at", "ship_at"}], as atp() says of each.';
