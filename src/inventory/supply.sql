-- Supply, as documents: what will come, by source, kind and reference. A call is checked once, locked once, written as a whole and refreshes its
-- pools once.

CREATE TYPE distsync_internal.inventory_supply_line AS (
	ordinal		integer,
	doc			jsonb,
	item_id		bigint,
	site_id		bigint,
	old_site_id	bigint,
	quantity	numeric,
	received	numeric,
	fault		text[]
);
COMMENT ON TYPE distsync_internal.inventory_supply_line IS 'A supply document with its ids, quantities in base units (NULL = not told), the site it stood at before (NULL = it is new), and {sqlstate, field, message, hint} of what is wrong with it.';

-- inventory_check_supply does the check of supply documents against what is known of them. The first one of a supply must have all of it.
CREATE FUNCTION distsync_internal.inventory_check_supply(docs jsonb, source text) RETURNS distsync_internal.inventory_supply_line[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		WITH r AS (
			SELECT r.ordinal, r.doc, r.item_id, COALESCE(r.site_id, s.site_id) AS site_id, s.site_id AS old_site_id, q.quantity, q.received, s.supply_id IS NOT NULL AS known, r.site_id IS NOT NULL AS has_site,
				COALESCE(r.fault, CASE
					WHEN r.doc->>'quantity' IS NOT NULL AND q.quantity IS NULL THEN ARRAY['SD002', 'quantity', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
					WHEN r.doc->>'received' IS NOT NULL AND q.received IS NULL THEN ARRAY['SD002', 'received', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
					WHEN (r.doc->>'confidence')::numeric > 1 OR min_scale((r.doc->>'confidence')::numeric) > 4
						THEN ARRAY['SD002', 'confidence', format('%s is no share from 0 to 1 with at most four decimals', r.doc->>'confidence'), 'Send the share of the quantity to count on, for example 0.85.'] END) AS fault
			FROM distsync_internal.inventory_read_lines(docs, inventory_check_supply.source) r
			CROSS JOIN LATERAL (SELECT distsync_internal.master_exact((r.doc->>'quantity')::numeric, r.numerator, r.denominator) AS quantity,
				distsync_internal.master_exact((r.doc->>'received')::numeric, r.numerator, r.denominator) AS received) q
			LEFT JOIN dist.supply s ON s.item_id = r.item_id AND s.source = inventory_check_supply.source AND s.kind = r.doc->>'kind' AND s.reference = r.doc->>'reference'
		), k AS (
			SELECT r.*, r.known OR COALESCE(bool_or(r.fault IS NULL AND r.has_site AND r.quantity IS NOT NULL AND r.doc->>'expected_at' IS NOT NULL)
				OVER (PARTITION BY r.item_id, r.doc->>'kind', r.doc->>'reference' ORDER BY r.ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS begun FROM r
		)
		SELECT ROW(k.ordinal, k.doc, k.item_id, k.site_id, k.old_site_id, k.quantity, k.received, COALESCE(k.fault, CASE
			WHEN k.begun THEN NULL
			WHEN NOT k.has_site THEN ARRAY['SD005', 'site', 'field "site" is missing', 'The first document of a supply must have it.']
			WHEN k.quantity IS NULL THEN ARRAY['SD005', 'quantity', 'field "quantity" is missing', 'The first document of a supply must have it.']
			WHEN k.doc->>'expected_at' IS NULL THEN ARRAY['SD005', 'expected_at', 'field "expected_at" is missing', 'The first document of a supply must have it.'] END))::distsync_internal.inventory_supply_line
		FROM k ORDER BY k.ordinal);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_supply(jsonb, text) IS 'Supply documents with ids, base units, the site they stood at before, and what is wrong with each, in their order.';

-- inventory_write_supply does the writing of supply documents: those of one supply are one change, in which what is told last holds.
CREATE FUNCTION distsync_internal.inventory_write_supply(lines distsync_internal.inventory_supply_line[], operation text, source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	off boolean := operation IS NOT DISTINCT FROM 'deactivate';
	fresh record;
BEGIN
	WITH told AS MATERIALIZED (
		SELECT l.item_id, l.doc->>'kind' AS kind, l.doc->>'reference' AS reference, (array_agg(l.site_id ORDER BY l.ordinal DESC) FILTER (WHERE l.doc->>'site' IS NOT NULL))[1] AS site_id,
			(array_agg(l.quantity ORDER BY l.ordinal DESC) FILTER (WHERE l.quantity IS NOT NULL))[1] AS quantity, (array_agg(COALESCE(l.received, 0) ORDER BY l.ordinal DESC) FILTER (WHERE l.doc ? 'received'))[1] AS received,
			(array_agg((l.doc->>'expected_at')::timestamptz ORDER BY l.ordinal DESC) FILTER (WHERE l.doc->>'expected_at' IS NOT NULL))[1] AS expected_at,
			(array_agg(COALESCE((l.doc->>'confidence')::numeric, 1) ORDER BY l.ordinal DESC) FILTER (WHERE l.doc ? 'confidence'))[1] AS confidence,
			CASE WHEN off THEN 'cancelled' ELSE (array_agg(COALESCE(l.doc->>'status', 'open') ORDER BY l.ordinal DESC) FILTER (WHERE l.doc ? 'status'))[1] END AS status
		FROM unnest(lines) l WHERE l.fault IS NULL GROUP BY l.item_id, l.doc->>'kind', l.doc->>'reference'
	), n AS MATERIALIZED (
		SELECT t.*, s.supply_id, s.site_id AS old_site_id, s.status AS was, s.quantity AS was_quantity, s.received AS was_received
		FROM told t LEFT JOIN dist.supply s ON s.item_id = t.item_id AND s.source = inventory_write_supply.source AND s.kind = t.kind AND s.reference = t.reference
	), changed AS (
		UPDATE dist.supply s SET site_id = COALESCE(n.site_id, s.site_id), quantity = COALESCE(n.quantity, s.quantity), received = COALESCE(n.received, s.received), expected_at = COALESCE(n.expected_at, s.expected_at),
			confidence = COALESCE(n.confidence, s.confidence), status = CASE WHEN n.status IN ('cancelled', 'done') THEN n.status ELSE distsync_internal.inventory_supply_status(COALESCE(n.status, n.was), n.was_quantity, n.was_received,
				COALESCE(n.quantity, s.quantity), COALESCE(n.received, s.received)) END
		FROM n WHERE s.item_id = n.item_id AND s.supply_id = n.supply_id
		RETURNING s.item_id, s.site_id, s.reference, n.old_site_id <> s.site_id AND n.received IS NULL AS fresh
	), made AS (
		INSERT INTO dist.supply (item_id, site_id, kind, reference, quantity, received, expected_at, confidence, status, source)
		SELECT n.item_id, n.site_id, n.kind, n.reference, n.quantity, COALESCE(n.received, 0), n.expected_at, COALESCE(n.confidence, 1),
			CASE WHEN n.status IN ('cancelled', 'done') THEN n.status WHEN COALESCE(n.received, 0) >= n.quantity THEN 'done' ELSE 'open' END, inventory_write_supply.source
		FROM n WHERE n.supply_id IS NULL ORDER BY n.item_id, n.site_id, n.kind COLLATE "C", n.reference COLLATE "C"
		-- there is one that an old snapshot does not see: then this raises 40001
		ON CONFLICT ON CONSTRAINT supply_reference_uq DO NOTHING
		RETURNING item_id, site_id, reference, received = 0 AS fresh
	)
	SELECT array_agg(u.item_id) AS items, array_agg(u.site_id) AS sites, array_agg(u.reference) AS names INTO fresh
	FROM (SELECT c.item_id, c.site_id, c.reference FROM changed c WHERE c.fresh
		UNION ALL SELECT m.item_id, m.site_id, m.reference FROM made m WHERE m.fresh) u;
	IF fresh.items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_receive_late(fresh.items, fresh.sites, fresh.names);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write_supply(distsync_internal.inventory_supply_line[], text, text) IS
	'Inserts or changes the supplies of these documents that are not at fault, base units; operation deactivate cancels them. Absent fields stay; null is the default. What was received before its supply was told counts on it. The caller holds the locks of supplies and pools and refreshes them.';

-- inventory_apply_supply does the entity handler of supply.
CREATE FUNCTION distsync_internal.inventory_apply_supply(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	lines distsync_internal.inventory_supply_line[];
	items bigint[];
	sites bigint[];
BEGIN
	-- who brings a supply for the first time, or to another site, has its lock before the pools: so its site is known
	PERFORM pg_advisory_xact_lock(hashtext('distsync.supply'), c.class)
	FROM (SELECT DISTINCT hashtext(concat_ws('/', source, e->'doc'->>'kind', e->'doc'->>'reference')) & 4095 AS class FROM jsonb_array_elements(docs) e ORDER BY 1) c;
	lines := distsync_internal.inventory_check_supply(docs, source);
	IF ctx->>'on_error' IS NOT DISTINCT FROM 'collect' OR NOT EXISTS (SELECT FROM unnest(lines) l WHERE l.fault IS NOT NULL) THEN
		SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
		FROM (SELECT DISTINCT l.item_id, u.site_id FROM unnest(lines) l CROSS JOIN LATERAL (VALUES (l.site_id), (l.old_site_id)) u(site_id) WHERE l.fault IS NULL AND u.site_id IS NOT NULL) k;
		IF items IS NOT NULL THEN
			PERFORM distsync_internal.inventory_lock(items, sites);
			PERFORM distsync_internal.inventory_write_supply(lines, ctx->>'operation', source);
			PERFORM distsync_internal.inventory_refresh(items, sites, (ctx->>'correlation_id')::uuid);
		END IF;
	END IF;
	RETURN QUERY SELECT r.* FROM unnest(lines) l CROSS JOIN LATERAL distsync_internal.inventory_result(l.ordinal, concat_ws('/', l.doc->>'kind', l.doc->>'reference', l.doc->>'sku'), l.fault) r ORDER BY l.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_supply(jsonb, jsonb) IS 'Entity handler of supply; operation deactivate cancels.';
