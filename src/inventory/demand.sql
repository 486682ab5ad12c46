-- Demand, as documents: what systems that send no orders say is wanted, and what the warehouse has allocated to a line. A call is checked once,
-- locked once and refreshes its pools once.

CREATE TYPE distsync_internal.inventory_demand_line AS (
	ordinal		integer,
	doc			jsonb,
	item_id		bigint,
	site_id		bigint,
	customer_id	bigint,
	ordered		numeric,
	allocated	numeric,
	fault		text[]
);
COMMENT ON TYPE distsync_internal.inventory_demand_line IS 'A demand document with its ids, quantities in base units (NULL = not told), and {sqlstate, field, message, hint} of what is wrong with it.';

-- inventory_check_demand does the check of demand documents.
CREATE FUNCTION distsync_internal.inventory_check_demand(docs jsonb, source text) RETURNS distsync_internal.inventory_demand_line[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		SELECT ROW(r.ordinal, r.doc, k.item_id, r.site_id, p.id, q.ordered * k.per, q.allocated * k.per, COALESCE(r.fault, CASE
			WHEN k.item_id IS NULL THEN ARRAY['SD002', 'sku', format('kit "%s" has no components', r.doc->>'sku'), 'Send the kit with its components first.']
			WHEN r.site_id IS NULL THEN ARRAY['SD005', 'site', 'field "site" is missing', 'Say which site serves the demand.']
			WHEN r.doc->>'ordered' IS NOT NULL AND q.ordered IS NULL THEN ARRAY['SD002', 'ordered', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
			WHEN r.doc->>'allocated' IS NOT NULL AND q.allocated IS NULL THEN ARRAY['SD002', 'allocated', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
			WHEN r.doc->>'customer' IS NOT NULL AND p.id IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', r.doc->>'customer'), 'Send the party first, correct the code, or add a cross-reference for it.']
			WHEN (r.doc->>'priority')::numeric > 2147483647 THEN ARRAY['SD002', 'priority', format('%s is too large', r.doc->>'priority'), 'Send a whole number up to 2147483647; lower is served first.'] END))::distsync_internal.inventory_demand_line
		FROM distsync_internal.inventory_read_lines(docs, inventory_check_demand.source, true) r
		LEFT JOIN LATERAL distsync_internal.inventory_taken_from(r.item_id, distsync_internal.inventory_made_of(r.item_id)) k ON true
		CROSS JOIN LATERAL (SELECT distsync_internal.master_exact((r.doc->>'ordered')::numeric, r.numerator, r.denominator) AS ordered, distsync_internal.master_exact((r.doc->>'allocated')::numeric, r.numerator, r.denominator) AS allocated) q
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT DISTINCT e->'doc'->>'customer' FROM jsonb_array_elements(docs) e), inventory_check_demand.source) p ON p.code = r.doc->>'customer'
		ORDER BY r.ordinal, k.item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_demand(jsonb, text) IS 'Demand documents, of a kit one line for each component, with ids, base units and what is wrong with each, in their order.';

-- inventory_write_demand does the writing of one demand document. Who says that nothing is ordered any more has cancelled the line: what we
-- promised it is given back.
CREATE FUNCTION distsync_internal.inventory_write_demand(l distsync_internal.inventory_demand_line, off boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	key text := l.doc->>'demand_key';
	total numeric := CASE WHEN off THEN 0 WHEN l.doc ? 'ordered' THEN COALESCE(l.ordered, 0) ELSE COALESCE((SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = key AND d.item_id = l.item_id), 0) END;
BEGIN
	INSERT INTO dist.demand (item_id, demand_key, site_id) VALUES (l.item_id, key, l.site_id) ON CONFLICT DO NOTHING;
	UPDATE dist.demand d SET customer_id = CASE WHEN l.doc ? 'customer' THEN l.customer_id ELSE d.customer_id END, required_at = CASE WHEN l.doc ? 'required_at' THEN (l.doc->>'required_at')::timestamptz ELSE d.required_at END,
		allocated = CASE WHEN d.site_id <> l.site_id OR NOT (off OR l.doc ? 'allocated') THEN d.allocated WHEN off THEN 0 ELSE COALESCE(l.allocated, 0) END,
		phys_allocated = CASE WHEN d.site_id = l.site_id AND l.doc ? 'phys_allocated' THEN COALESCE((l.doc->>'phys_allocated')::boolean, false) ELSE d.phys_allocated END,
		priority = CASE WHEN d.site_id = l.site_id AND l.doc ? 'priority' THEN COALESCE((l.doc->>'priority')::integer, 100) ELSE d.priority END
	WHERE d.demand_key = key AND d.item_id = l.item_id;
	IF off OR l.ordered = 0 THEN
		PERFORM distsync_internal.inventory_give_up(key, ARRAY[l.item_id]);
	END IF;
	PERFORM distsync_internal.inventory_spread(l.item_id, key, total, l.site_id);
	PERFORM distsync_internal.inventory_over_shipped(l.item_id, key, NULL, true);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write_demand(distsync_internal.inventory_demand_line, boolean) IS
	'Writes one demand document; off: it is deactivated. Absent fields stay, null clears. The caller holds the locks of demands and pools, has ended holds that are over, and refreshes the pools.';

-- inventory_write_demands does the writing of demand documents. Lines that stand at one site, of which one document speaks and nothing has left
-- yet, are written as a whole; the others one by one.
CREATE FUNCTION distsync_internal.inventory_write_demands(lines distsync_internal.inventory_demand_line[], off boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	plain distsync_internal.inventory_demand_line[];
BEGIN
	plain := ARRAY(SELECT l FROM (SELECT u AS l, count(*) OVER (PARTITION BY u.item_id, u.doc->>'demand_key') AS many FROM unnest(lines) u) x
		WHERE x.many = 1 AND NOT off AND (x.l).ordered IS DISTINCT FROM 0 AND NOT EXISTS (SELECT FROM dist.demand d
			WHERE d.demand_key = (x.l).doc->>'demand_key' AND d.item_id = (x.l).item_id AND (d.site_id <> (x.l).site_id OR d.shipped > 0)));
	UPDATE dist.demand d SET ordered = n.ordered, allocated = n.allocated, customer_id = CASE WHEN l.doc ? 'customer' THEN l.customer_id ELSE d.customer_id END,
		required_at = CASE WHEN l.doc ? 'required_at' THEN (l.doc->>'required_at')::timestamptz ELSE d.required_at END,
		phys_allocated = CASE WHEN l.doc ? 'phys_allocated' THEN COALESCE((l.doc->>'phys_allocated')::boolean, false) ELSE d.phys_allocated END,
		priority = CASE WHEN l.doc ? 'priority' THEN COALESCE((l.doc->>'priority')::integer, 100) ELSE d.priority END, status = distsync_internal.inventory_demand_status(d.reserved, n.ordered, n.allocated, d.shipped)
	FROM unnest(plain) l JOIN dist.demand y ON y.demand_key = l.doc->>'demand_key' AND y.item_id = l.item_id AND y.site_id = l.site_id
	CROSS JOIN LATERAL (SELECT CASE WHEN l.doc ? 'ordered' THEN COALESCE(l.ordered, 0) ELSE y.ordered END AS ordered, CASE WHEN l.doc ? 'allocated' THEN COALESCE(l.allocated, 0) ELSE y.allocated END AS allocated) n
	WHERE d.item_id = y.item_id AND d.demand_id = y.demand_id;
	INSERT INTO dist.demand (item_id, demand_key, site_id, customer_id, ordered, allocated, phys_allocated, required_at, priority, status)
	SELECT l.item_id, l.doc->>'demand_key', l.site_id, l.customer_id, COALESCE(l.ordered, 0), COALESCE(l.allocated, 0), COALESCE((l.doc->>'phys_allocated')::boolean, false), (l.doc->>'required_at')::timestamptz,
		COALESCE((l.doc->>'priority')::integer, 100), distsync_internal.inventory_demand_status(0, COALESCE(l.ordered, 0), COALESCE(l.allocated, 0), 0)
	FROM unnest(plain) l WHERE NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = l.doc->>'demand_key' AND d.item_id = l.item_id) ORDER BY l.ordinal;
	PERFORM distsync_internal.inventory_write_demand(l, off) FROM unnest(lines) l WHERE (l.ordinal, l.item_id) NOT IN (SELECT p.ordinal, p.item_id FROM unnest(plain) p);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write_demands(distsync_internal.inventory_demand_line[], boolean) IS 'Writes demand documents, in their order; see inventory_write_demand().';

-- inventory_apply_demand does the entity handler of demand.
CREATE FUNCTION distsync_internal.inventory_apply_demand(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	lines distsync_internal.inventory_demand_line[] := distsync_internal.inventory_check_demand(docs, ctx->>'source');
	good distsync_internal.inventory_demand_line[] := ARRAY(SELECT l FROM unnest(lines) l WHERE l.fault IS NULL ORDER BY l.ordinal);
	off boolean := ctx->>'operation' IS NOT DISTINCT FROM 'deactivate';
	k record;
BEGIN
	IF good <> '{}' AND (cardinality(good) = cardinality(lines) OR ctx->>'on_error' IS NOT DISTINCT FROM 'collect') THEN
		SELECT d.* INTO k FROM distsync_internal.inventory_lock_demand(ARRAY(SELECT l.doc->>'demand_key' FROM unnest(good) l ORDER BY l.ordinal),
			ARRAY(SELECT l.item_id FROM unnest(good) l ORDER BY l.ordinal), ARRAY(SELECT l.site_id FROM unnest(good) l ORDER BY l.ordinal)) d;
		PERFORM distsync_internal.inventory_expire(k.items, k.sites, clock_timestamp());
		PERFORM distsync_internal.inventory_write_demands(good, off);
		PERFORM distsync_internal.inventory_refresh(k.items, k.sites, (ctx->>'correlation_id')::uuid);
	END IF;
	RETURN QUERY SELECT DISTINCT ON (l.ordinal) r.* FROM unnest(lines) l CROSS JOIN LATERAL distsync_internal.inventory_result(l.ordinal, l.doc->>'demand_key', l.fault) r ORDER BY l.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_demand(jsonb, jsonb) IS 'Entity handler of demand: ordered and allocated totals of a line, of a kit in kits: they are demands of its components; operation deactivate sets both to 0. A line that is cancelled (ordered 0, or deactivate) gives back what was promised to it.';
