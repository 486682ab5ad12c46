-- Rules of items at sites: safety stock, backorders, time of replenishment and of shipping, fences for what is overdue. The pools follow
-- them at once: they are terms like stock and demand.

-- inventory_check_item_site does the finding of what is wrong in documents of rules.
CREATE FUNCTION distsync_internal.inventory_check_item_site(docs jsonb, source text) RETURNS TABLE (ordinal integer, doc jsonb, item_id bigint, site_id bigint, safety numeric, backorder_cap numeric, fault text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.ordinal, r.doc, r.item_id, r.site_id, q.safety, q.backorder_cap, COALESCE(r.fault, CASE
		WHEN r.doc->>'safety' IS NOT NULL AND q.safety IS NULL THEN ARRAY['SD002', 'safety', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
		WHEN r.doc->>'backorder_cap' IS NOT NULL AND q.backorder_cap IS NULL THEN ARRAY['SD002', 'backorder_cap', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
		WHEN b.field IS NOT NULL THEN ARRAY['SD002', b.field, format('%s is no number of days from %s to %s', r.doc->>b.field, b.lowest, b.highest), 'Send a whole number within these limits, or null for no rule.'] END)
	FROM distsync_internal.inventory_read_lines(docs, inventory_check_item_site.source) r
	CROSS JOIN LATERAL (SELECT distsync_internal.master_exact((r.doc->>'safety')::numeric, r.numerator, r.denominator) AS safety,
		distsync_internal.master_exact((r.doc->>'backorder_cap')::numeric, r.numerator, r.denominator) AS backorder_cap) q
	LEFT JOIN LATERAL (SELECT l.* FROM (VALUES (1, 'lead_days', 1, 3660), (2, 'ship_days', 0, 366), (3, 'supply_grace_days', 0, 366), (4, 'demand_fence_days', 0, 3660),
			(5, 'inspection_days', -1, 366), (6, 'returns_days', -1, 366), (7, 'transit_days', -1, 366)) l(n, field, lowest, highest)
		WHERE (r.doc->>l.field)::numeric NOT BETWEEN l.lowest AND l.highest ORDER BY l.n LIMIT 1) b ON true
	ORDER BY r.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_item_site(jsonb, text) IS 'Documents of item_site with ids, base units, and {sqlstate, field, message, hint} of what is wrong with each.';

-- inventory_apply_item_site does the entity handler of item_site. The pools are locked before anything is written, and derived anew.
CREATE FUNCTION distsync_internal.inventory_apply_item_site(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	l record;
	items bigint[];
	sites bigint[];
	bad boolean;
BEGIN
	SELECT array_agg(c.item_id) FILTER (WHERE c.fault IS NULL), array_agg(c.site_id) FILTER (WHERE c.fault IS NULL), bool_or(c.fault IS NOT NULL) AND ctx->>'on_error' IS DISTINCT FROM 'collect'
	INTO items, sites, bad FROM distsync_internal.inventory_check_item_site(docs, source) c;
	IF items IS NOT NULL AND NOT bad THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
	END IF;
	FOR l IN SELECT * FROM distsync_internal.inventory_check_item_site(docs, source) LOOP
		IF l.fault IS NULL AND NOT bad AND ctx->>'operation' = 'deactivate' THEN
			DELETE FROM dist.item_site r WHERE r.item_id = l.item_id AND r.site_id = l.site_id;
		ELSIF l.fault IS NULL AND NOT bad THEN
			INSERT INTO dist.item_site AS r (item_id, site_id, safety, backorder_cap, lead_days, ship_days, supply_grace_days, demand_fence_days, inspection_days, returns_days, transit_days, reallocates)
			VALUES (l.item_id, l.site_id, COALESCE(l.safety, 0), COALESCE(l.backorder_cap, 0), (l.doc->>'lead_days')::integer, COALESCE((l.doc->>'ship_days')::integer, 0),
				COALESCE((l.doc->>'supply_grace_days')::integer, 0), (l.doc->>'demand_fence_days')::integer, (l.doc->>'inspection_days')::smallint, (l.doc->>'returns_days')::smallint, (l.doc->>'transit_days')::smallint, COALESCE((l.doc->>'reallocates')::boolean, true))
			ON CONFLICT ON CONSTRAINT item_site_pk DO UPDATE SET safety = CASE WHEN l.doc ? 'safety' THEN excluded.safety ELSE r.safety END,
				backorder_cap = CASE WHEN l.doc ? 'backorder_cap' THEN excluded.backorder_cap ELSE r.backorder_cap END,
				lead_days = CASE WHEN l.doc ? 'lead_days' THEN excluded.lead_days ELSE r.lead_days END, ship_days = CASE WHEN l.doc ? 'ship_days' THEN excluded.ship_days ELSE r.ship_days END,
				supply_grace_days = CASE WHEN l.doc ? 'supply_grace_days' THEN excluded.supply_grace_days ELSE r.supply_grace_days END,
				demand_fence_days = CASE WHEN l.doc ? 'demand_fence_days' THEN excluded.demand_fence_days ELSE r.demand_fence_days END,
				inspection_days = CASE WHEN l.doc ? 'inspection_days' THEN excluded.inspection_days ELSE r.inspection_days END, returns_days = CASE WHEN l.doc ? 'returns_days' THEN excluded.returns_days ELSE r.returns_days END,
				transit_days = CASE WHEN l.doc ? 'transit_days' THEN excluded.transit_days ELSE r.transit_days END,
				reallocates = CASE WHEN l.doc ? 'reallocates' THEN excluded.reallocates ELSE r.reallocates END, recorded_at = clock_timestamp();
		END IF;
		RETURN NEXT distsync_internal.inventory_result(l.ordinal, concat_ws('/', l.doc->>'sku', l.doc->>'site'), l.fault);
	END LOOP;
	IF items IS NOT NULL AND NOT bad THEN
		PERFORM distsync_internal.inventory_refresh(items, sites, (ctx->>'correlation_id')::uuid);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_item_site(jsonb, jsonb) IS 'Entity handler of item_site: what is taken into account when an item is promised from a site; operation deactivate takes all rules away.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'item_site', 'distsync_internal.inventory_apply_item_site');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('item_site', '{sku,site}', 'stock', 'What is taken into account when an item is promised from a site: safety stock, backorders, times and fences.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('item_site', 'sku', 'code', true, 'any', 'Item.', NULL, false),
	('item_site', 'site', 'code', true, 'any', 'Site.', NULL, false),
	('item_site', 'unit', 'unit', false, 'any', 'Unit of the quantities, default the base unit.', NULL, false),
	('item_site', 'safety', 'quantity', false, 'nonnegative', 'Safety stock: kept back from promises, default 0.', NULL, false),
	('item_site', 'backorder_cap', 'quantity', false, 'nonnegative', 'May be promised beyond stock, default 0.', NULL, false),
	('item_site', 'lead_days', 'integer', false, 'nonnegative', 'After so many times 24 hours any quantity can be had again; null = not to be counted on.', NULL, false),
	('item_site', 'ship_days', 'integer', false, 'nonnegative', 'Open days from the order until it ships, for a vendor its lead time; default 0.', NULL, false),
	('item_site', 'supply_grace_days', 'integer', false, 'nonnegative', 'Overdue supply still counts for so many times 24 hours, as if it came at their end; default 0.', NULL, false),
	('item_site', 'demand_fence_days', 'integer', false, 'nonnegative', 'Demand that is overdue for longer than so many times 24 hours no longer counts; null = it always counts.', NULL, false),
	('item_site', 'inspection_days', 'integer', false, 'any', 'Goods in quality are expected to be released after so many working days of the site; -1 = not to be counted on, null = as dist.stock_state says (1).', NULL, false),
	('item_site', 'returns_days', 'integer', false, 'any', 'The same for returns; null = as dist.stock_state says (not to be counted on).', NULL, false),
	('item_site', 'transit_days', 'integer', false, 'any', 'The same for goods in transit of which no supply tells; null = as dist.stock_state says (not to be counted on).', NULL, false),
	('item_site', 'reallocates', 'boolean', false, 'any', 'A fact that leaves less than is promised takes from soft promises by itself; default true.', NULL, false);
