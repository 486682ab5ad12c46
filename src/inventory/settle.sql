-- Settling: giving a promise back, and facts about demand that come from other systems: ordered in the ERP, shipped by the warehouse.

-- inventory_give_back does the taking back of part of one reservation: what is held first, then what is committed and has not left.
CREATE FUNCTION distsync_internal.inventory_give_back(item_id bigint, reservation_id bigint, quantity numeric, end_state text) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
	r record;
	from_held numeric;
	from_committed numeric;
BEGIN
	SELECT x.site_id, x.demand_key, x.quantity, x.committed, x.shipped INTO r FROM dist.reservation x
	WHERE x.item_id = inventory_give_back.item_id AND x.reservation_id = inventory_give_back.reservation_id AND x.state IN ('held', 'committed');
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	from_held := least(COALESCE(inventory_give_back.quantity, r.quantity), r.quantity - r.committed);
	from_committed := least(COALESCE(inventory_give_back.quantity, r.quantity) - from_held, r.committed - r.shipped);
	IF from_held + from_committed = r.quantity THEN
		-- an ended reservation keeps its quantity: it says what was promised
		UPDATE dist.reservation x SET state = end_state, committed = 0, ended_at = t
		WHERE x.item_id = inventory_give_back.item_id AND x.reservation_id = inventory_give_back.reservation_id;
	ELSE
		UPDATE dist.reservation x SET quantity = x.quantity - from_held - from_committed, committed = x.committed - from_committed,
			state = CASE WHEN x.quantity - from_held - from_committed = x.shipped THEN 'shipped' WHEN x.quantity - from_held = x.committed THEN 'committed' ELSE 'held' END,
			expires_at = CASE WHEN x.quantity - from_held > x.committed THEN x.expires_at END,
			ended_at = CASE WHEN x.quantity - from_held - from_committed = x.shipped THEN t END
		WHERE x.item_id = inventory_give_back.item_id AND x.reservation_id = inventory_give_back.reservation_id;
	END IF;
	PERFORM distsync_internal.inventory_gather(inventory_give_back.item_id, r.site_id, from_held, from_committed);
	UPDATE dist.stock_pool p SET held = p.held - from_held, committed = p.committed - from_committed
	WHERE p.item_id = inventory_give_back.item_id AND p.site_id = r.site_id;
	UPDATE dist.demand d SET reserved = d.reserved - from_held - from_committed,
		status = distsync_internal.inventory_demand_status(d.reserved - from_held - from_committed, d.ordered, d.allocated, d.shipped)
	WHERE d.demand_key = r.demand_key AND d.item_id = inventory_give_back.item_id AND d.site_id = r.site_id;
	RETURN from_held + from_committed;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_give_back(bigint, bigint, numeric, text) IS
	'Gives back up to a quantity (base units, NULL = all) of a live reservation, held before committed, never what was shipped; ends it in end_state when nothing is left. The caller holds the pool''s lock and refreshes it. Returns what was given back.';

-- inventory_give_back_kit does the same for whole kits: of each component as much as they take. Of a kit of which something has shipped, what has not.
CREATE FUNCTION distsync_internal.inventory_give_back_kit(kit_group bigint, kits numeric) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	given numeric := 0;
BEGIN
	FOR m IN SELECT r.* FROM dist.reservation r WHERE r.kit_group = inventory_give_back_kit.kit_group AND r.state IN ('held', 'committed') ORDER BY r.reservation_id LOOP
		given := greatest(given, ceil(distsync_internal.inventory_give_back(m.item_id, m.reservation_id, kits * m.kit_per, 'released') / m.kit_per));
	END LOOP;
	RETURN given;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_give_back_kit(bigint, numeric) IS 'Gives back up to so many kits (NULL = all) of a reservation of kits. The caller holds the pools'' locks and refreshes them. Returns how many kits were given back, those broken by shipments of components among them.';

-- inventory_release does the giving back of what is promised to a demand: cancelled, rejected, reduced.
CREATE FUNCTION distsync_internal.inventory_release(demand_key text, base_quantity numeric DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	k record;
	r record;
	rest numeric := base_quantity;
	given numeric := 0;
	got numeric;
BEGIN
	IF base_quantity < 0 OR base_quantity >= 'Infinity' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s cannot be released', base_quantity), COLUMN = 'quantity',
			DETAIL = format('Field: quantity. Demand "%s".', demand_key), HINT = 'Send a quantity of 0 or more, or NULL for all.';
	END IF;
	SELECT * INTO k FROM distsync_internal.inventory_lock_demand(ARRAY[demand_key], NULL, NULL);
	IF k.items IS NULL THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.inventory_expire(k.items, k.sites, clock_timestamp());
	FOR r IN
		SELECT max(x.item_id) AS item_id, max(x.reservation_id) AS reservation_id, x.kit_group FROM dist.reservation x
		WHERE x.demand_key = inventory_release.demand_key AND x.state IN ('held', 'committed') GROUP BY x.kit_group, CASE WHEN x.kit_group IS NULL THEN x.reservation_id END ORDER BY max(x.reservation_id) DESC
	LOOP
		EXIT WHEN rest <= 0;
		got := CASE WHEN r.kit_group IS NULL THEN distsync_internal.inventory_give_back(r.item_id, r.reservation_id, rest, 'released') ELSE distsync_internal.inventory_give_back_kit(r.kit_group, rest) END;
		rest := rest - got;
		given := given + got;
	END LOOP;
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
	RETURN given;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_release(text, numeric) IS
	'Gives back what is held or committed for a demand, newest first; base units, of a kit whole kits, NULL = all; more than there is gives back what there is. What the ERP says of the line stays until it says otherwise: see inventory_demand(). Returns what was given back. Errors: SD002 negative quantity.';

-- inventory_turn does the turning of what is promised to demands into what others may take, and back.
CREATE FUNCTION distsync_internal.inventory_turn(demand_keys text[], kind text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n integer;
BEGIN
	UPDATE dist.reservation r SET kind = inventory_turn.kind WHERE r.demand_key = ANY (demand_keys) AND r.state IN ('held', 'committed') AND r.kind = CASE inventory_turn.kind WHEN 'soft' THEN 'hard' ELSE 'soft' END;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_turn(text[], text) IS 'Makes live reservations of demands soft (reallocation may take them, a more important call may take them over) or hard again; those for a later date stay as they are. The caller holds the locks of the demands and their pools. Returns how many.';

-- inventory_give_up does the giving back of all that is promised to a demand in some items.
CREATE FUNCTION distsync_internal.inventory_give_up(demand_key text, item_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	PERFORM distsync_internal.inventory_give_back(x.item_id, x.reservation_id, NULL, 'released')
	FROM (SELECT r.item_id, r.reservation_id FROM dist.reservation r
		WHERE r.demand_key = inventory_give_up.demand_key AND r.state IN ('held', 'committed') AND (r.item_id = ANY (item_ids) OR r.kit_group IN (SELECT g.kit_group FROM dist.reservation g
			WHERE g.demand_key = inventory_give_up.demand_key AND g.state IN ('held', 'committed') AND g.item_id = ANY (item_ids))) ORDER BY r.reservation_id DESC) x;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_give_up(text, bigint[]) IS 'Releases what is held or committed for a demand in these items, and the other components of kits that these are part of. The caller holds the locks of the demand and its pools, has ended holds that are over, and refreshes the pools.';

-- inventory_abandon does the giving up of a line, or of items that are its no more: what we promised is given back, what was ordered is
-- what has left. What the warehouse has allocated is for the warehouse to say.
CREATE FUNCTION distsync_internal.inventory_abandon(demand_key text, item_ids bigint[]) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	k record;
BEGIN
	IF NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = inventory_abandon.demand_key AND d.item_id = ANY (item_ids)) THEN
		RETURN 0;
	END IF;
	SELECT * INTO k FROM distsync_internal.inventory_lock_demand(ARRAY[inventory_abandon.demand_key], NULL, NULL);
	PERFORM distsync_internal.inventory_expire(k.items, k.sites, clock_timestamp());
	PERFORM distsync_internal.inventory_give_up(inventory_abandon.demand_key, item_ids);
	PERFORM distsync_internal.inventory_spread(x.item_id, inventory_abandon.demand_key, x.shipped, NULL)
	FROM (SELECT d.item_id, sum(d.shipped) AS shipped FROM dist.demand d WHERE d.demand_key = inventory_abandon.demand_key AND d.item_id = ANY (item_ids)
		GROUP BY d.item_id HAVING sum(d.ordered) > sum(d.shipped)) x;
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
	RETURN (SELECT COALESCE(sum(d.shipped), 0) FROM dist.demand d WHERE d.demand_key = inventory_abandon.demand_key AND d.item_id = ANY (item_ids));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_abandon(text, bigint[]) IS
	'Gives up what is owed of a demand in these items: reservations are released, ordered becomes what has left. Returns how much has left of them, base units.';

-- inventory_demand_again does the making of a demand whose row is not kept any more, with what had shipped of it.
CREATE FUNCTION distsync_internal.inventory_demand_again(item_id bigint, site_id bigint, demand_key text, shipped numeric, parts jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.inventory_lock_demand(ARRAY[inventory_demand_again.demand_key], array_agg(p.item_id), array_agg(inventory_demand_again.site_id)) FROM distsync_internal.inventory_taken_from(inventory_demand_again.item_id, parts) p;
	INSERT INTO dist.demand (item_id, demand_key, site_id, shipped, status)
	SELECT p.item_id, inventory_demand_again.demand_key, inventory_demand_again.site_id, inventory_demand_again.shipped * p.per, 'done' FROM distsync_internal.inventory_taken_from(inventory_demand_again.item_id, parts) p
	ORDER BY p.item_id ON CONFLICT ON CONSTRAINT demand_key_uq DO NOTHING;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_demand_again(bigint, bigint, text, numeric, jsonb) IS
	'Makes the demand of a line that retention has deleted, done, with what had shipped of it (base units, of a kit whole kits; parts as inventory_made_of() says). Nothing is owed of it until inventory_demand() says so.';

-- inventory_demand does the noting of what the order's owner says of a line. It is a fact: if stock does not cover it, the shortfall
-- says so. What we reserved for the same line is the same demand, whichever came first.
CREATE FUNCTION distsync_internal.inventory_demand(item_id bigint, site_id bigint, demand_key text, customer_id bigint, ordered numeric, required_at timestamptz, source text DEFAULT NULL, parts jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	k record;
BEGIN
	IF parts IS NOT NULL THEN
		PERFORM distsync_internal.inventory_lock_demand(ARRAY[inventory_demand.demand_key], array_agg((p->>0)::bigint), array_agg(inventory_demand.site_id)) FROM jsonb_array_elements(parts) p;
		PERFORM distsync_internal.inventory_demand((p.value->>0)::bigint, inventory_demand.site_id, inventory_demand.demand_key, inventory_demand.customer_id, inventory_demand.ordered * (p.value->>1)::numeric, inventory_demand.required_at, source)
		FROM (SELECT e.value FROM jsonb_array_elements(parts) e ORDER BY (e.value->>0)::bigint) p;
		RETURN;
	END IF;
	SELECT * INTO k FROM distsync_internal.inventory_lock_demand(ARRAY[inventory_demand.demand_key], ARRAY[inventory_demand.item_id], ARRAY[inventory_demand.site_id]);
	INSERT INTO dist.demand AS d (item_id, demand_key, site_id, customer_id, ordered, required_at, waits)
	VALUES (inventory_demand.item_id, inventory_demand.demand_key, inventory_demand.site_id, inventory_demand.customer_id, inventory_demand.ordered, inventory_demand.required_at, NULLIF(inventory_demand.source = 'distsync', false))
	ON CONFLICT ON CONSTRAINT demand_key_uq DO UPDATE SET customer_id = COALESCE(excluded.customer_id, d.customer_id), waits = COALESCE(excluded.waits, d.waits);
	UPDATE dist.demand d SET required_at = COALESCE(inventory_demand.required_at, d.required_at)
	WHERE d.demand_key = inventory_demand.demand_key AND d.item_id = inventory_demand.item_id;
	PERFORM distsync_internal.inventory_spread(inventory_demand.item_id, inventory_demand.demand_key, inventory_demand.ordered, inventory_demand.site_id);
	PERFORM distsync_internal.inventory_over_shipped(inventory_demand.item_id, inventory_demand.demand_key, NULL, true);
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_demand(bigint, bigint, text, bigint, numeric, timestamptz, text, jsonb) IS
	'What the owner of an order says of a line: ordered in all, base units, less what was cancelled (0 = cancelled); the site that shall serve it; when it is wanted (NULL = now). demand_key = company code/order number/line number. Of a kit, ordered is in whole kits and parts says what one is made of: each component is a demand with the key of the line. Of source distsync (an order of ours), what is not promised waits behind what was promised to others; else it comes before. Never refused.';

-- inventory_ship does a shipment: the promise is consumed, stock leaves, and what left beyond what was wanted is an exception, never
-- an error, because the goods are gone.
CREATE FUNCTION distsync_internal.inventory_ship(item_id bigint, site_id bigint, demand_key text, base_quantity numeric, event_at timestamptz, source text,
	reference text DEFAULT NULL, correlation_id uuid DEFAULT NULL, lot text DEFAULT '') RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	k record;
	consumed numeric;
	allocated numeric;
BEGIN
	IF base_quantity IS NULL OR base_quantity <= 0 OR base_quantity >= 'Infinity' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s cannot be shipped', COALESCE(base_quantity::text, 'NULL')), COLUMN = 'quantity',
			DETAIL = format('Field: quantity. Demand "%s".', COALESCE(demand_key, '')), HINT = 'Send the quantity that left, above 0; what came back is a receipt of state returns.';
	END IF;
	SELECT * INTO k FROM distsync_internal.inventory_lock_demand(ARRAY[inventory_ship.demand_key], ARRAY[inventory_ship.item_id], ARRAY[inventory_ship.site_id]);
	PERFORM distsync_internal.inventory_expire(k.items, k.sites, clock_timestamp());
	allocated := COALESCE((SELECT least(inventory_ship.base_quantity, greatest(0, d.allocated - d.shipped)) FROM dist.demand d
		WHERE d.demand_key = inventory_ship.demand_key AND d.item_id = inventory_ship.item_id AND d.site_id = inventory_ship.site_id AND d.phys_allocated), 0);
	consumed := distsync_internal.inventory_consume(inventory_ship.item_id, inventory_ship.site_id, inventory_ship.demand_key, inventory_ship.base_quantity);
	IF distsync_internal.inventory_ship_stock(inventory_ship.item_id, inventory_ship.site_id, inventory_ship.base_quantity, allocated, inventory_ship.event_at,
			inventory_ship.source, COALESCE(inventory_ship.reference, inventory_ship.demand_key), inventory_ship.correlation_id, inventory_ship.lot) AND inventory_ship.demand_key IS NOT NULL THEN
		PERFORM distsync_internal.inventory_note_ahead(inventory_ship.item_id, inventory_ship.site_id, inventory_ship.demand_key, inventory_ship.base_quantity - allocated);
	END IF;
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites, inventory_ship.correlation_id);
	RETURN jsonb_build_object('reserved', consumed, 'over', distsync_internal.inventory_over_shipped(inventory_ship.item_id, inventory_ship.demand_key, inventory_ship.correlation_id, true));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_ship(bigint, bigint, text, numeric, timestamptz, text, text, uuid, text) IS
	'A shipment line as a fact: consumes the reservation of the demand (at this site first), moves the pool, writes the stock events of whoever keeps them. base units above 0. reference: document that the book will name too (shipment number); lot: lot or serial that left, '''' = not told, see inventory_pick(). Never refused for being too much. Returns {"reserved": taken from reservations, "over": shipped beyond what is wanted, in all}. Errors: SD002 quantity.';

-- inventory_ship_stock does the stock side of a shipment: the warehouse's event, and the book's only where we keep the book. Where the
-- book is kept elsewhere and a perspective of its own exists, the movement waits as in flight until the book names it.
CREATE FUNCTION distsync_internal.inventory_ship_stock(item_id bigint, site_id bigint, quantity numeric, allocated numeric, event_at timestamptz, source text, reference text, correlation_id uuid, lot text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	known text[] := ARRAY(SELECT DISTINCT b.perspective FROM dist.stock_balance b WHERE b.item_id = inventory_ship_stock.item_id AND b.site_id = inventory_ship_stock.site_id);
	native boolean := EXISTS (SELECT FROM sync.ownership o WHERE o.domain = 'stock' AND o.system = 'distsync' AND o.mode = 'native' AND o.valid @> statement_timestamp()
		AND o.company IN ('*', (SELECT c.code FROM dist.site s JOIN dist.company c ON c.company_id = s.company_id WHERE s.site_id = inventory_ship_stock.site_id)));
BEGIN
	IF (SELECT s.kind FROM dist.site s WHERE s.site_id = inventory_ship_stock.site_id) = 'vendor' THEN
		RETURN false;
	END IF;
	IF known = '{book}' AND NOT native THEN
		IF inventory_ship_stock.event_at <= distsync_internal.inventory_posted_until(inventory_ship_stock.item_id, inventory_ship_stock.site_id) THEN
			RETURN false;
		END IF;
		PERFORM distsync_internal.inventory_fly(inventory_ship_stock.item_id, inventory_ship_stock.site_id, inventory_ship_stock.reference, -inventory_ship_stock.quantity, inventory_ship_stock.event_at);
		RETURN false;
	END IF;
	PERFORM distsync_internal.inventory_post(ARRAY(
		SELECT ROW(1, inventory_ship_stock.item_id, inventory_ship_stock.site_id, p.perspective, x.state, x.from_lot, x.owner_id, 'ship', -x.taken, NULL, inventory_ship_stock.event_at,
			inventory_ship_stock.source, '', NULL, inventory_ship_stock.reference, NULL, NULL, NULL, inventory_ship_stock.correlation_id)::distsync_internal.inventory_movement
		FROM (VALUES ('phys', known <> '{book}', inventory_ship_stock.allocated), ('book', native AND known <> '{phys}', 0)) p(perspective, wanted, allocated)
		CROSS JOIN LATERAL distsync_internal.inventory_pick(inventory_ship_stock.item_id, inventory_ship_stock.site_id, p.perspective, inventory_ship_stock.lot, inventory_ship_stock.quantity, p.allocated, inventory_ship_stock.event_at) x
		WHERE p.wanted));
	RETURN known <> '{book}';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_ship_stock(bigint, bigint, numeric, numeric, timestamptz, text, text, uuid, text) IS
	'Writes the stock events of a shipment, base units, of the lots, owners and states that inventory_pick() finds: physical unless only the book knows the site, book only where stock is native; else the movement is noted as in flight under its reference. allocated: part that leaves from the state allocated. Returns whether physical stock was written.';
