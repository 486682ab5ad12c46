-- Arrivals: what receipts mean for the supply that they name. One reference may be that of several supplies of an item at a site: what is
-- expected first comes first.

-- inventory_supply_status does the state of a supply. What its owner cancelled, or called done although not all has come, stays so; what was
-- done because all had come follows the quantities.
CREATE FUNCTION distsync_internal.inventory_supply_status(was text, was_quantity numeric, was_received numeric, quantity numeric, received numeric) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN was = 'cancelled' THEN was WHEN received >= quantity OR was = 'done' AND was_received < was_quantity THEN 'done' ELSE 'open' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_supply_status(text, numeric, numeric, numeric, numeric) IS 'open | done | cancelled of a supply whose quantities change, base units, where nobody says a state.';

-- inventory_is_receipt does the question whether a movement is a receipt, or undoes one, or brings one back, in the end.
CREATE FUNCTION distsync_internal.inventory_is_receipt(kind text, item_id bigint, site_id bigint, event_at timestamptz, corrects_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN kind = 'receive' OR kind = 'reverse' AND distsync_internal.inventory_undone_kind(item_id, site_id, event_at, corrects_id) = 'receive';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_is_receipt(text, bigint, bigint, timestamptz, bigint) IS 'Whether an event of dist.stock_event is a receipt or, through reversals of reversals, the reversal of one.';

-- inventory_arrived does the sum of the receipts that name a reference, as the voice that leads at the site tells them.
CREATE FUNCTION distsync_internal.inventory_arrived(item_id bigint, site_id bigint, reference text) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((SELECT sum(e.quantity) FROM dist.stock_event e
		WHERE e.item_id = inventory_arrived.item_id AND e.site_id = inventory_arrived.site_id AND e.reference = inventory_arrived.reference AND e.kind IN ('receive', 'reverse')
			AND distsync_internal.inventory_is_receipt(e.kind, e.item_id, e.site_id, e.event_at, e.corrects_id)
			AND (e.perspective = 'phys' OR NOT EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = e.item_id AND b.site_id = e.site_id AND b.perspective = 'phys'))), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_arrived(bigint, bigint, text) IS
	'What has been received of an item at a site under a reference, base units, without what was reversed: by the warehouse, where one tells stock, else by the book. Events that are not kept any more do not count.';

-- inventory_receive does the laying of a receipt, or of one that is taken back, over the supplies of its reference.
CREATE FUNCTION distsync_internal.inventory_receive(item_id bigint, site_id bigint, reference text, quantity numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	WITH s AS MATERIALIZED (
		SELECT x.item_id, x.supply_id, x.quantity, x.received, x.status,
			row_number() OVER (ORDER BY x.status = 'cancelled', x.expected_at, x.kind COLLATE "C", x.source COLLATE "C") AS place,
			CASE WHEN inventory_receive.quantity > 0 THEN CASE WHEN x.status = 'cancelled' THEN 0 ELSE greatest(0, x.quantity - x.received) END ELSE x.received END AS room
		FROM dist.supply x WHERE x.item_id = inventory_receive.item_id AND x.site_id = inventory_receive.site_id AND x.reference = inventory_receive.reference
	), p AS (
		-- what comes fills them in their order, what never came was the last of them
		SELECT s.*, COALESCE(sum(s.room) OVER (ORDER BY CASE WHEN inventory_receive.quantity > 0 THEN s.place ELSE -s.place END ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before, sum(s.room) OVER () AS rooms FROM s
	), n AS (
		SELECT p.*, p.received + sign(inventory_receive.quantity) * greatest(0, least(p.room, abs(inventory_receive.quantity) - p.before))
			+ CASE WHEN p.place = 1 AND inventory_receive.quantity > p.rooms THEN inventory_receive.quantity - p.rooms ELSE 0 END AS now FROM p
	)
	UPDATE dist.supply x SET received = n.now, status = distsync_internal.inventory_supply_status(n.status, n.quantity, n.received, n.quantity, n.now)
	FROM n WHERE x.item_id = n.item_id AND x.supply_id = n.supply_id AND n.now <> n.received;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_receive(bigint, bigint, text, numeric) IS
	'Adds a received quantity (base units, below 0 = taken back) to the supplies of an item at a site that have this reference: those expected first are filled first, more than all of them counts on the first; taken back from the last. The caller holds the pool''s lock.';

-- inventory_receive_late does the counting of what was received before its supply was told, or told for that site. Where several have the
-- same reference, what exceeds one of them was another's.
CREATE FUNCTION distsync_internal.inventory_receive_late(items bigint[], sites bigint[], names text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	k record;
	beyond numeric;
BEGIN
	FOR k IN
		SELECT u.item_id, u.site_id, u.reference, distsync_internal.inventory_arrived(u.item_id, u.site_id, u.reference)
			- (SELECT sum(x.received) FROM dist.supply x WHERE x.item_id = u.item_id AND x.site_id = u.site_id AND x.reference = u.reference) AS late
		FROM (SELECT DISTINCT x.item_id, x.site_id, x.reference FROM unnest(items, sites, names) x(item_id, site_id, reference)) u
		WHERE EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = u.item_id AND b.site_id = u.site_id)
		ORDER BY u.item_id, u.site_id, u.reference COLLATE "C"
	LOOP
		WITH o AS (
			UPDATE dist.supply x SET received = x.quantity FROM dist.supply y
			WHERE x.item_id = k.item_id AND x.site_id = k.site_id AND x.reference = k.reference AND x.received > x.quantity AND x.status <> 'cancelled' AND y.item_id = x.item_id AND y.supply_id = x.supply_id
			RETURNING y.received - x.quantity AS beyond
		)
		SELECT sum(o.beyond) INTO beyond FROM o;
		IF greatest(0, k.late) + COALESCE(beyond, 0) > 0 THEN
			PERFORM distsync_internal.inventory_receive(k.item_id, k.site_id, k.reference, greatest(0, k.late) + COALESCE(beyond, 0));
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_receive_late(bigint[], bigint[], text[]) IS
	'Lays what was received of items at sites under references (arrays of equal length), and counts on no supply yet, over the supplies that have the reference. The caller holds the pools'' locks.';

-- inventory_land does the taking of goods that have arrived out of what was on its way to the site under the same reference: two warehouses
-- tell of one transfer, one that it left, the other that it came. How much that is follows from what both have told, in whatever order.
CREATE FUNCTION distsync_internal.inventory_land(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	k record;
	landed distsync_internal.inventory_movement[];
BEGIN
	FOR k IN
		SELECT m.item_id, m.site_id, m.perspective, m.reference, max(m.event_at) AS event_at, min(m.source COLLATE "C") AS source
		FROM unnest(movements) m
		WHERE m.reference IS NOT NULL AND (m.state = 'in_transit' OR m.kind = 'reverse' OR m.kind = 'receive' AND EXISTS (SELECT FROM dist.stock_balance b
			WHERE b.item_id = m.item_id AND b.site_id = m.site_id AND b.perspective = m.perspective AND b.state = 'in_transit' AND b.quantity > 0))
		GROUP BY m.item_id, m.site_id, m.perspective, m.reference ORDER BY m.item_id, m.site_id, m.perspective, m.reference COLLATE "C"
	LOOP
		WITH e AS MATERIALIZED (
			SELECT x.lot, x.owner_id, x.quantity, x.state = 'in_transit' AND x.kind <> 'offset' AND x.event_key IS NOT NULL AS sent, x.state = 'in_transit' AND x.kind = 'transfer' AND x.event_key IS NULL AS landed,
				x.state <> 'in_transit' AND distsync_internal.inventory_is_receipt(x.kind, x.item_id, x.site_id, x.event_at, x.corrects_id) AS received
			FROM dist.stock_event x WHERE x.item_id = k.item_id AND x.site_id = k.site_id AND x.perspective = k.perspective AND x.reference = k.reference
		), t AS (
			SELECT COALESCE(sum(e.quantity) FILTER (WHERE e.sent), 0) AS sent, COALESCE(-sum(e.quantity) FILTER (WHERE e.landed), 0) AS landed, COALESCE(sum(e.quantity) FILTER (WHERE e.received), 0) AS received FROM e
		), n AS (
			SELECT greatest(0, least(t.sent, t.received)) - t.landed AS more FROM t
		), l AS (
			-- of each lot what is still on its way, or, where a receipt never happened, what had landed
			SELECT g.lot, g.owner_id, n.more, CASE WHEN n.more > 0 THEN least(g.waiting, greatest(0, b.quantity)) ELSE g.landed END AS room, g.named, p.code COLLATE "C" AS owner
			FROM n CROSS JOIN (SELECT e.lot, e.owner_id, COALESCE(sum(e.quantity) FILTER (WHERE e.sent OR e.landed), 0) AS waiting, COALESCE(-sum(e.quantity) FILTER (WHERE e.landed), 0) AS landed, bool_or(e.received) AS named FROM e GROUP BY e.lot, e.owner_id) g
			JOIN dist.stock_balance b ON b.item_id = k.item_id AND b.site_id = k.site_id AND b.perspective = k.perspective AND b.state = 'in_transit' AND b.lot = g.lot AND b.owner_id = g.owner_id
			LEFT JOIN dist.party p ON p.party_id = g.owner_id WHERE n.more <> 0
		), r AS (
			SELECT l.*, least(l.room, abs(l.more) - COALESCE(sum(l.room) OVER (ORDER BY NOT l.named, l.lot COLLATE "C", l.owner NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)) AS taken FROM l WHERE l.room > 0
		)
		SELECT array_agg(ROW(1, k.item_id, k.site_id, k.perspective, 'in_transit', r.lot, r.owner_id, 'transfer', -sign(r.more) * r.taken, NULL, k.event_at, k.source, '', NULL, k.reference, NULL, NULL, NULL, NULL)::distsync_internal.inventory_movement) INTO landed
		FROM r WHERE r.taken > 0;
		IF landed IS NOT NULL THEN
			PERFORM distsync_internal.inventory_post(landed);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_land(distsync_internal.inventory_movement[]) IS
	'Moves out of the state in_transit what these movements, which are posted, say has arrived under a reference under which it had left for the site, and back where that never happened: as much as was sent and received, never more than is in transit; lots that the receipt names first. The caller holds the pools'' locks.';
