-- Lots and serials: what is true of a lot wherever it lies.

-- inventory_lot_expiry does the look-up of when a lot expires: as its balances say, or as was kept of them.
CREATE FUNCTION distsync_internal.inventory_lot_expiry(item_id bigint, lot text) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((SELECT min(b.expires_on) FROM dist.stock_balance b WHERE b.item_id = inventory_lot_expiry.item_id AND b.lot = inventory_lot_expiry.lot AND b.lot <> ''),
		(SELECT k.expires_on FROM dist.stock_lot k WHERE k.item_id = inventory_lot_expiry.item_id AND k.lot = inventory_lot_expiry.lot));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lot_expiry(bigint, text) IS 'Earliest expiry of a lot of an item that any balance of it has, or the one that was kept of balances that were cleared away; NULL = it does not expire, or nobody has told.';

-- inventory_lots does the spreading of expiry: it is told once, where the lot came in, and holds for the lot in every state and for both
-- truths. Balances at other sites take it with their next movement, because only then is their pool locked. Of a lot that was cleared away
-- (retain.sql) it is known still. One lot after the other: a planner that has not heard of new lots yet would join them all with all.
CREATE FUNCTION distsync_internal.inventory_lots(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
BEGIN
	IF NOT EXISTS (SELECT FROM unnest(movements) m WHERE m.lot <> '') THEN
		RETURN;
	END IF;
	FOR k IN SELECT m.item_id, m.site_id, m.lot, max(m.expires_on) AS expires_on FROM unnest(movements) m WHERE m.lot <> '' AND m.expires_on IS NOT NULL GROUP BY m.item_id, m.site_id, m.lot ORDER BY m.item_id, m.lot COLLATE "C", m.site_id LOOP
		DELETE FROM dist.stock_lot x WHERE x.item_id = k.item_id AND x.lot = k.lot;
		UPDATE dist.stock_balance b SET expires_on = k.expires_on
		WHERE b.item_id = k.item_id AND b.site_id = k.site_id AND b.lot = k.lot AND b.lot <> '' AND b.expires_on IS DISTINCT FROM k.expires_on;
	END LOOP;
	FOR k IN
		SELECT d.item_id, d.site_id, d.lot, l.expires_on FROM (SELECT DISTINCT m.item_id, m.site_id, m.lot FROM unnest(movements) m WHERE m.lot <> '') d
		CROSS JOIN LATERAL (SELECT distsync_internal.inventory_lot_expiry(d.item_id, d.lot) AS expires_on) l
		WHERE l.expires_on IS NOT NULL
	LOOP
		UPDATE dist.stock_balance b SET expires_on = k.expires_on WHERE b.item_id = k.item_id AND b.site_id = k.site_id AND b.lot = k.lot AND b.lot <> '' AND b.expires_on IS NULL;
	END LOOP;
	PERFORM distsync_internal.inventory_serials(movements);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lots(distsync_internal.inventory_movement[]) IS
	'Sets the expiry of balances of the lots that these movements, which are posted, touch: as told with one of them, else as known of the lot anywhere. Looks at serials. The caller holds the pools'' locks.';

-- inventory_serials does the look at serial numbers: there is one of each. What contradicts that is shown, never refused.
CREATE FUNCTION distsync_internal.inventory_serials(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
BEGIN
	FOR s IN
		SELECT i.sku, k.perspective, k.lot, concat_ws(':', i.sku, k.perspective, k.lot) AS trace_key, b.total, b.places,
			EXISTS (SELECT FROM sync.exception e WHERE e.kind = 'serial_twice' AND e.trace_key = concat_ws(':', i.sku, k.perspective, k.lot) AND e.state IN ('open', 'acknowledged')) AS told
		FROM (SELECT DISTINCT m.item_id, m.perspective, m.lot FROM unnest(movements) m WHERE m.lot <> '') k
		JOIN dist.item i ON i.item_id = k.item_id AND i.serial_controlled
		CROSS JOIN LATERAL (SELECT sum(greatest(0, x.quantity)) AS total, jsonb_agg(jsonb_build_object('site', y.code, 'state', x.state, 'quantity', x.quantity) ORDER BY y.code COLLATE "C", x.state COLLATE "C", x.quantity DESC) FILTER (WHERE x.quantity > 0) AS places
			FROM dist.stock_balance x JOIN dist.site y ON y.site_id = x.site_id WHERE x.item_id = k.item_id AND x.perspective = k.perspective AND x.lot = k.lot AND x.lot <> '') b
		ORDER BY 1, 2, 3
	LOOP
		IF s.total > 1 THEN
			PERFORM distsync_internal.base_exception('serial_twice', s.trace_key, 'stock', 'warning', NULL, 'item', s.sku,
				jsonb_build_object('sku', s.sku, 'serial', s.lot, 'perspective', s.perspective, 'places', s.places), s.total - 1);
		ELSIF s.told THEN
			PERFORM distsync_internal.base_exception_close('serial_twice', s.trace_key, 'the serial is there once');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_serials(distsync_internal.inventory_movement[]) IS
	'Opens the exception serial_twice for each serial number (lot of an item that is serial_controlled) among these movements of which one perspective has more than one; closes it when that is over.';
