-- Allocations: stock that the warehouse has set aside for a line. Told as a document (demand.allocated), or as a movement into the state
-- allocated, or out of it, whose reference is the line.

-- inventory_names_demand does the question whether a reference is a line of an order: known, or written as one of a company of ours.
CREATE FUNCTION distsync_internal.inventory_names_demand(reference text, item_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = inventory_names_demand.reference AND d.item_id = inventory_names_demand.item_id)
		OR reference LIKE '%/%/%' AND EXISTS (SELECT FROM dist.company c WHERE c.code = split_part(inventory_names_demand.reference, '/', 1));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_names_demand(text, bigint) IS
	'Whether a reference of a stock event names a demand of the item: there is one, or it is company/order/line with a company of ours, so that there will be one. event_pool.c asks the same.';

-- inventory_allocation_legs does the listing of those movements that are allocations: they leave what may be promised, and what is owed, as
-- it was, so that nobody waits for the book to post them.
CREATE FUNCTION distsync_internal.inventory_allocation_legs(movements distsync_internal.inventory_movement[]) RETURNS TABLE (ordinal integer, item_id bigint, site_id bigint, reference text, quantity numeric, event_at timestamptz, source text, lot text, owner_id bigint)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT m.ordinal, m.item_id, m.site_id, m.reference, m.quantity, m.event_at, m.source, m.lot, m.owner_id FROM unnest(movements) m
	WHERE m.state = 'allocated' AND m.perspective = 'phys' AND m.reference IS NOT NULL AND m.kind IN ('transfer', 'reverse')
		AND EXISTS (SELECT FROM unnest(movements) o WHERE o.ordinal = m.ordinal AND o.state <> 'allocated') AND distsync_internal.inventory_names_demand(m.reference, m.item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_allocation_legs(distsync_internal.inventory_movement[]) IS
	'The legs in the state allocated of movements of the warehouse from another state, or to one, for a line: transfers, and reversals of them; base units, below 0 where stock is given back.';

-- inventory_allocate_stock does what such a movement means for its line. Where a shipment has taken free stock because the allocation was not
-- known, it was what had been set aside: the stock is put right.
CREATE FUNCTION distsync_internal.inventory_allocate_stock(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	back numeric;
	loose boolean;
BEGIN
	FOR m IN
		SELECT l.item_id, l.site_id, l.reference, l.lot, l.owner_id, sum(l.quantity) AS quantity, min(l.event_at) AS event_at, min(l.source) AS source
		FROM distsync_internal.inventory_allocation_legs(movements) l GROUP BY l.item_id, l.site_id, l.reference, l.lot, l.owner_id ORDER BY l.item_id, l.site_id, l.reference COLLATE "C", l.lot COLLATE "C", l.owner_id
	LOOP
		INSERT INTO dist.demand AS d (item_id, demand_key, site_id, allocated, phys_allocated) VALUES (m.item_id, m.reference, m.site_id, m.quantity, true)
		ON CONFLICT ON CONSTRAINT demand_key_uq DO UPDATE SET allocated = d.allocated + excluded.allocated, phys_allocated = true
		RETURNING least(m.quantity, d.ahead) INTO back;
		UPDATE dist.demand d SET ahead = d.ahead - greatest(0, back), status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, d.allocated, d.shipped)
		WHERE d.demand_key = m.reference AND d.item_id = m.item_id AND d.site_id = m.site_id;
		IF back > 0 THEN
			loose := EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = m.item_id AND b.site_id = m.site_id AND b.perspective = 'phys' AND b.state = 'available' AND b.lot = '' AND b.owner_id = 0 AND b.quantity < 0);
			PERFORM distsync_internal.inventory_post(ARRAY(SELECT ROW(1, m.item_id, m.site_id, 'phys', x.state, x.lot, x.owner_id, 'transfer', x.quantity, NULL, m.event_at, m.source, '', NULL, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_movement
				FROM (VALUES ('allocated', m.lot, m.owner_id, -back), ('available', CASE WHEN loose THEN '' ELSE m.lot END, CASE WHEN loose THEN 0 ELSE m.owner_id END, back)) x(state, lot, owner_id, quantity)));
		END IF;
		PERFORM distsync_internal.inventory_spread(m.item_id, m.reference, (SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = m.reference AND d.item_id = m.item_id), NULL);
		PERFORM distsync_internal.inventory_over_shipped(m.item_id, m.reference, NULL, true);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_allocate_stock(distsync_internal.inventory_movement[]) IS
	'Adds what movements into the state allocated and out of it say to demand.allocated of the lines they name. The caller holds the locks of demands and pools, has posted the movements, and refreshes the pools.';

-- inventory_note_ahead does the noting that a shipment took free stock, for an allocation that may be told later.
CREATE FUNCTION distsync_internal.inventory_note_ahead(item_id bigint, site_id bigint, demand_key text, quantity numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.demand AS d (item_id, demand_key, site_id, ahead, status) VALUES (item_id, demand_key, site_id, quantity, 'cancelled')
	ON CONFLICT ON CONSTRAINT demand_key_uq DO UPDATE SET ahead = d.ahead + excluded.ahead;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_note_ahead(bigint, bigint, text, numeric) IS 'Adds to demand.ahead of a line at a site, base units. The caller holds the locks of demand and pool.';
