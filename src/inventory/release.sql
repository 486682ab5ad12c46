-- Releases: goods that are in the building, or on their way to it, and may not be promised yet: in quality, in returns, in transit. They are
-- expected to become promisable so many working days after they came into that state, as supply of its own kind. So goods that arrive into
-- quality go on covering whoever was promised the purchase that they came with.

-- inventory_released_at does the counting of working days from an arrival on.
CREATE FUNCTION distsync_internal.inventory_released_at(site_id bigint, arrived_at timestamptz, days integer) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	here timestamp;
	wait integer := days;
	closed integer := 0;
BEGIN
	SELECT x.calendar_id, COALESCE(c.tz, x.tz) AS tz INTO s FROM dist.site x LEFT JOIN dist.calendar c ON c.calendar_id = x.calendar_id WHERE x.site_id = inventory_released_at.site_id;
	IF s.calendar_id IS NULL THEN
		RETURN arrived_at + days * interval '24 hours';
	END IF;
	here := arrived_at AT TIME ZONE s.tz;
	WHILE wait > 0 AND closed < 366 LOOP
		here := here + interval '1 day';
		closed := closed + 1;
		IF (distsync_internal.inventory_open_on(s.calendar_id, here::date)).open THEN
			wait := wait - 1;
			closed := 0;
		END IF;
	END LOOP;
	RETURN CASE WHEN wait = 0 THEN here AT TIME ZONE s.tz END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_released_at(bigint, timestamptz, integer) IS
	'So many open days of the calendar of a site after an instant, at the same time of day; without a calendar times 24 hours. NULL = there is no open day in a year.';

-- inventory_waiting does the listing of what waits in such states. The warehouse leads where one tells stock of the item at all, else the
-- book: what the book has there still, the warehouse has released, or it never came.
CREATE FUNCTION distsync_internal.inventory_waiting(item_id bigint, site_id bigint) RETURNS TABLE (perspective text, state text, kind text, lot text, owner_id bigint, quantity numeric, expires_on date, days integer, share numeric)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT x.perspective, x.state, x.kind, x.lot, x.owner_id, x.quantity, x.expires_on, x.days, x.release_share
	FROM (
		SELECT b.*, s.release_share, CASE b.state WHEN 'quality' THEN 'inspection' WHEN 'in_transit' THEN 'transit' ELSE b.state END AS kind,
			COALESCE(CASE b.state WHEN 'quality' THEN r.inspection_days WHEN 'returns' THEN r.returns_days WHEN 'in_transit' THEN r.transit_days END, s.release_days, -1) AS days
		FROM dist.stock_balance b
		JOIN dist.stock_state s ON s.state = b.state AND NOT s.promisable
		JOIN dist.stock_state a ON a.state = s.ages_into AND a.promisable
		LEFT JOIN dist.item_site r ON r.item_id = b.item_id AND r.site_id = b.site_id
		WHERE b.item_id = inventory_waiting.item_id AND b.site_id = inventory_waiting.site_id AND b.quantity > 0
			AND (b.perspective = 'phys' OR NOT EXISTS (SELECT FROM dist.stock_balance p WHERE p.item_id = b.item_id AND p.site_id = b.site_id AND p.perspective = 'phys'))) x
	WHERE x.days >= 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_waiting(bigint, bigint) IS
	'Balances of an item at a site whose state ages into a promisable one, where it is said after how many working days: base units, kind as told (inspection, transit, returns, else the state), days, and the share of it to count on.';

-- inventory_underway does the look at how much of what was sent under a reference is still on its way, of what was sent up to an instant.
CREATE FUNCTION distsync_internal.inventory_underway(item_id bigint, site_id bigint, perspective text, lot text, owner_id bigint, reference text, until timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT COALESCE(sum(x.quantity) FILTER (WHERE x.quantity < 0 AND x.kind <> 'reverse' OR x.event_at <= until), 0) FROM dist.stock_event x
		WHERE x.item_id = inventory_underway.item_id AND x.site_id = inventory_underway.site_id AND x.perspective = inventory_underway.perspective AND x.state = 'in_transit' AND x.lot = inventory_underway.lot
			AND x.owner_id = inventory_underway.owner_id AND x.reference = inventory_underway.reference);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_underway(bigint, bigint, text, text, bigint, text, timestamptz) IS 'What was sent to a site of a lot and owner under a reference up to an instant, less all of it that has landed, base units.';

-- inventory_releases does the dating of what waits: it is what came last, as what came first has left first.
CREATE FUNCTION distsync_internal.inventory_releases(item_id bigint, site_id bigint, at timestamptz) RETURNS TABLE (moment timestamptz, due_at timestamptz, quantity numeric, kind text, reference text, expires_on date, lot text)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	w record;
	e record;
	rest numeric;
	undone numeric;
	taken numeric;
	at_last timestamptz;
	grace interval;
BEGIN
	FOR w IN SELECT * FROM distsync_internal.inventory_waiting(inventory_releases.item_id, inventory_releases.site_id) x ORDER BY x.state, x.lot COLLATE "C", x.owner_id LOOP
		grace := COALESCE(grace, (SELECT r.supply_grace_days FROM dist.item_site r WHERE r.item_id = inventory_releases.item_id AND r.site_id = inventory_releases.site_id) * interval '24 hours', '0');
		rest := w.quantity;
		undone := 0;
		at_last := NULL;
		FOR e IN
			SELECT x.event_at, x.quantity, x.reference FROM dist.stock_event x
			WHERE x.item_id = inventory_releases.item_id AND x.site_id = inventory_releases.site_id AND x.perspective = w.perspective AND x.state = w.state AND x.lot = w.lot AND x.owner_id = w.owner_id AND x.state <> 'available' AND (x.quantity > 0 OR x.kind = 'reverse')
			ORDER BY x.event_at DESC, x.quantity, x.reference COLLATE "C"
		LOOP
			EXIT WHEN rest <= 0;
			-- what never came is told at the same instant, and before it here
			undone := CASE WHEN e.event_at = at_last THEN undone ELSE 0 END + greatest(0, -e.quantity);
			at_last := e.event_at;
			e.quantity := greatest(0, e.quantity);
			taken := least(undone, e.quantity);
			undone := undone - taken;
			-- what left under the name under which it came, has left first
			e.quantity := least(e.quantity - taken, rest);
			IF w.state = 'in_transit' AND e.reference IS NOT NULL AND e.quantity > 0 THEN
				e.quantity := least(e.quantity, greatest(0, distsync_internal.inventory_underway(inventory_releases.item_id, inventory_releases.site_id, w.perspective, w.lot, w.owner_id, e.reference, e.event_at)));
			END IF;
			CONTINUE WHEN e.quantity = 0;
			due_at := distsync_internal.inventory_released_at(inventory_releases.site_id, e.event_at, w.days);
			moment := CASE WHEN due_at > inventory_releases.at THEN due_at WHEN due_at + grace > inventory_releases.at THEN due_at + grace END;
			quantity := round(e.quantity * w.share, 6);
			-- all that came before is overdue as well
			IF moment IS NULL THEN
				quantity := round(rest * w.share, 6);
				e.quantity := rest;
			END IF;
			kind := w.kind;
			reference := COALESCE(e.reference, NULLIF(w.lot, ''), w.state);
			expires_on := w.expires_on;
			lot := w.lot;
			rest := rest - e.quantity;
			-- what is on its way is known by its document, where there is one
			IF w.state <> 'in_transit' OR NOT EXISTS (SELECT FROM dist.supply s WHERE s.item_id = inventory_releases.item_id AND s.site_id = inventory_releases.site_id AND s.reference = e.reference AND s.status = 'open') THEN
				RETURN NEXT;
			END IF;
		END LOOP;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_releases(bigint, bigint, timestamptz) IS
	'When goods of an item at a site that wait in a state are expected to become promisable: moment from which they count (NULL = not at all: overdue, beyond the grace of overdue supply), when they were due, base units, kind, document or lot, and expiry and name of the lot.';
