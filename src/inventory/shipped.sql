-- What has left: a shipment consumes the promise, one that never happened gives it back, and one that is told before anybody has spoken of
-- its line is waiting for the line: who promises it later promises only the rest.

-- inventory_consume does the taking of a shipped quantity out of the reservations of its demand, those of the shipping site first.
CREATE FUNCTION distsync_internal.inventory_consume(item_id bigint, site_id bigint, demand_key text, quantity numeric) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
	rest numeric := quantity;
	got numeric;
	from_held numeric;
BEGIN
	FOR r IN
		SELECT x.reservation_id, x.site_id, x.quantity, x.committed, x.shipped, x.quota_ids FROM dist.reservation x
		WHERE x.demand_key = inventory_consume.demand_key AND x.item_id = inventory_consume.item_id AND x.state IN ('held', 'committed')
		ORDER BY x.site_id <> inventory_consume.site_id, x.reservation_id
	LOOP
		EXIT WHEN rest <= 0;
		got := least(rest, r.quantity - r.shipped);
		from_held := greatest(0, got - (r.committed - r.shipped));
		UPDATE dist.reservation x SET committed = x.committed + from_held, shipped = x.shipped + got,
			state = CASE WHEN x.shipped + got = x.quantity THEN 'shipped' WHEN x.committed + from_held = x.quantity THEN 'committed' ELSE x.state END,
			expires_at = CASE WHEN x.committed + from_held < x.quantity THEN x.expires_at END,
			ended_at = CASE WHEN x.shipped + got = x.quantity THEN clock_timestamp() END
		WHERE x.item_id = inventory_consume.item_id AND x.reservation_id = r.reservation_id;
		PERFORM distsync_internal.inventory_quota_ship(inventory_consume.item_id, r.site_id, r.quota_ids, got);
		PERFORM distsync_internal.inventory_gather(inventory_consume.item_id, r.site_id, from_held, got - from_held);
		UPDATE dist.stock_pool p SET held = p.held - from_held, committed = p.committed - (got - from_held)
		WHERE p.item_id = inventory_consume.item_id AND p.site_id = r.site_id;
		UPDATE dist.demand d SET shipped = d.shipped + got, status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, d.allocated, d.shipped + got)
		WHERE d.demand_key = inventory_consume.demand_key AND d.item_id = inventory_consume.item_id AND d.site_id = r.site_id;
		IF r.site_id <> inventory_consume.site_id THEN
			PERFORM distsync_internal.inventory_follow(inventory_consume.item_id, inventory_consume.demand_key, inventory_consume.site_id, r.site_id, got);
		END IF;
		rest := rest - got;
	END LOOP;
	IF rest > 0 AND inventory_consume.demand_key IS NOT NULL THEN
		INSERT INTO dist.demand AS d (item_id, demand_key, site_id, shipped, status)
		VALUES (inventory_consume.item_id, inventory_consume.demand_key, inventory_consume.site_id, rest, 'done')
		ON CONFLICT ON CONSTRAINT demand_key_uq DO UPDATE SET shipped = d.shipped + excluded.shipped,
			status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, d.allocated, d.shipped + excluded.shipped);
		-- what is ordered follows what was shipped, so that a line served from elsewhere is not owed twice
		PERFORM distsync_internal.inventory_spread(inventory_consume.item_id, inventory_consume.demand_key,
			(SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = inventory_consume.demand_key AND d.item_id = inventory_consume.item_id), NULL);
	END IF;
	RETURN quantity - rest;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_consume(bigint, bigint, text, numeric) IS
	'Marks a quantity (base units) of a demand as shipped, out of its reservations as far as they go. The caller holds the pools'' locks and refreshes them. Returns what came out of reservations.';

-- inventory_follow does the moving of an allocation to the site where the line was promised, when what was allocated leaves: it is the same.
CREATE FUNCTION distsync_internal.inventory_follow(item_id bigint, demand_key text, from_site bigint, to_site bigint, quantity numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	moved numeric := COALESCE((SELECT least(inventory_follow.quantity, d.allocated - d.shipped) FROM dist.demand d
		WHERE d.demand_key = inventory_follow.demand_key AND d.item_id = inventory_follow.item_id AND d.site_id = from_site), 0);
BEGIN
	IF moved > 0 THEN
		UPDATE dist.demand d SET allocated = x.allocated, status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, x.allocated, d.shipped)
		FROM (SELECT y.site_id, y.allocated + CASE y.site_id WHEN from_site THEN -moved ELSE moved END AS allocated FROM dist.demand y
			WHERE y.demand_key = inventory_follow.demand_key AND y.item_id = inventory_follow.item_id AND y.site_id IN (from_site, to_site)) x
		WHERE d.demand_key = inventory_follow.demand_key AND d.item_id = inventory_follow.item_id AND d.site_id = x.site_id;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_follow(bigint, text, bigint, bigint, numeric) IS
	'Moves up to a quantity (base units) of what the warehouse at from_site has allocated to a line, and not shipped, to the row of to_site, whose promise left from there.';

-- inventory_unship does the opposite of inventory_consume, for a shipment that never happened: what was consumed last is given back first.
-- A reservation that had ended by it is committed again.
CREATE FUNCTION distsync_internal.inventory_unship(item_id bigint, site_id bigint, demand_key text, quantity numeric) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
	rest numeric := quantity;
	got numeric;
BEGIN
	UPDATE dist.demand d SET shipped = d.shipped - l.got, status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, d.allocated, d.shipped - l.got)
	FROM (SELECT greatest(0, least(rest, y.shipped - COALESCE((SELECT sum(x.shipped) FROM dist.reservation x WHERE x.demand_key = y.demand_key AND x.item_id = y.item_id AND x.site_id = y.site_id), 0))) AS got
		FROM dist.demand y WHERE y.demand_key = inventory_unship.demand_key AND y.item_id = inventory_unship.item_id AND y.site_id = inventory_unship.site_id) l
	WHERE d.demand_key = inventory_unship.demand_key AND d.item_id = inventory_unship.item_id AND d.site_id = inventory_unship.site_id RETURNING l.got INTO got;
	rest := rest - COALESCE(got, 0);
	FOR r IN
		SELECT x.reservation_id, x.site_id, x.shipped, x.quota_ids FROM dist.reservation x
		WHERE x.demand_key = inventory_unship.demand_key AND x.item_id = inventory_unship.item_id AND x.shipped > 0
		ORDER BY x.site_id = inventory_unship.site_id, x.reservation_id DESC
	LOOP
		EXIT WHEN rest <= 0;
		got := least(rest, r.shipped);
		UPDATE dist.reservation x SET shipped = x.shipped - got, state = CASE x.state WHEN 'shipped' THEN 'committed' ELSE x.state END, ended_at = NULL
		WHERE x.item_id = inventory_unship.item_id AND x.reservation_id = r.reservation_id;
		PERFORM distsync_internal.inventory_quota_ship(inventory_unship.item_id, r.site_id, r.quota_ids, -got);
		-- it is owed whether stock covers it or not
		UPDATE dist.stock_pool p SET committed = p.committed + got, shortfall = greatest(p.shortfall, p.held + p.committed + got + p.dealt - p.cap - p.safety - p.backorder_cap)
		WHERE p.item_id = inventory_unship.item_id AND p.site_id = r.site_id;
		UPDATE dist.demand d SET shipped = d.shipped - got, status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, d.allocated, d.shipped - got)
		WHERE d.demand_key = inventory_unship.demand_key AND d.item_id = inventory_unship.item_id AND d.site_id = r.site_id;
		rest := rest - got;
	END LOOP;
	PERFORM distsync_internal.inventory_spread(inventory_unship.item_id, inventory_unship.demand_key,
		(SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = inventory_unship.demand_key AND d.item_id = inventory_unship.item_id), NULL);
	RETURN quantity - rest;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_unship(bigint, bigint, text, numeric) IS
	'Takes a shipped quantity (base units) of a demand back, because it never left: what no reservation had covered first, then reservations, those of other sites first. The caller holds the pools'' locks and refreshes them. Returns what was given back.';

-- inventory_over_shipped does the comparing of what left with what was wanted. Where nobody has spoken of the line yet, nobody knows.
CREATE FUNCTION distsync_internal.inventory_over_shipped(item_id bigint, demand_key text, correlation_id uuid, spoken boolean) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	d record;
	sku text;
BEGIN
	SELECT sum(x.shipped) AS shipped, greatest(sum(x.reserved), sum(x.ordered), sum(x.allocated)) AS wanted INTO d
	FROM dist.demand x WHERE x.demand_key = inventory_over_shipped.demand_key AND x.item_id = inventory_over_shipped.item_id;
	IF d.shipped IS NULL OR d.shipped = 0 AND spoken THEN
		RETURN 0;
	END IF;
	sku := (SELECT i.sku FROM dist.item i WHERE i.item_id = inventory_over_shipped.item_id);
	IF d.shipped <= d.wanted THEN
		PERFORM distsync_internal.base_exception_close('over_shipped', inventory_over_shipped.demand_key || '@' || sku, 'what left is wanted');
		RETURN 0;
	END IF;
	IF spoken OR d.wanted > 0 OR EXISTS (SELECT FROM sync.exception e WHERE e.kind = 'over_shipped' AND e.trace_key = inventory_over_shipped.demand_key || '@' || sku AND e.state IN ('open', 'acknowledged')) THEN
		PERFORM distsync_internal.base_exception('over_shipped', inventory_over_shipped.demand_key || '@' || sku, 'stock', 'warning', split_part(inventory_over_shipped.demand_key, '/', 1),
			'order_line', inventory_over_shipped.demand_key, jsonb_build_object('sku', sku, 'wanted', d.wanted, 'shipped', d.shipped), d.shipped - d.wanted, NULL, NULL, inventory_over_shipped.correlation_id);
	END IF;
	RETURN d.shipped - d.wanted;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_over_shipped(bigint, text, uuid, boolean) IS
	'Opens the exception over_shipped if more of a demand left than is wanted, and closes it if not. spoken: somebody says what is wanted of it, were it nothing; false: only its shipment is told, and may be before its order. Returns by how much, base units.';

-- inventory_credits does the finding of what has left already of the lines that shall be promised: it was their shipment.
CREATE FUNCTION distsync_internal.inventory_credits(lines distsync_internal.inventory_line[], parts jsonb) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM unnest(lines) l JOIN dist.demand d ON d.demand_key = l.demand_key AND d.item_id = l.item_id AND d.shipped > 0) THEN
		RETURN '{}';
	END IF;
	RETURN ARRAY(
		WITH left_without AS (
			-- ranges of what left without a promise, one after the other, and of what is asked for
			SELECT x.demand_key, x.item_id, x.site_id, x.quantity, sum(x.quantity) OVER (PARTITION BY x.demand_key, x.item_id ORDER BY x.code) AS until
			FROM (SELECT d.demand_key, d.item_id, d.site_id, s.code COLLATE "C" AS code, d.shipped - COALESCE((SELECT sum(r.shipped) FROM dist.reservation r WHERE r.demand_key = d.demand_key AND r.item_id = d.item_id AND r.site_id = d.site_id), 0) AS quantity
				FROM dist.demand d JOIN dist.site s ON s.site_id = d.site_id
				WHERE d.shipped > 0 AND (d.demand_key, d.item_id) IN (SELECT l.demand_key, l.item_id FROM unnest(lines) l)) x
			WHERE x.quantity > 0
		), asked AS (
			SELECT l.*, sum(l.quantity) OVER (PARTITION BY l.demand_key, l.item_id ORDER BY l.ordinal) AS until FROM unnest(lines) l WHERE l.demand_key IS NOT NULL AND NOT parts ? (l.item_id::text)
		)
		SELECT ROW(a.ordinal, 'reserved', a.item_id, w.site_id, least(a.until, w.until) - greatest(a.until - a.quantity, w.until - w.quantity), a.quantity, a.demand_key, a.requested_at, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_grant
		FROM asked a JOIN left_without w ON w.demand_key = a.demand_key AND w.item_id = a.item_id AND least(a.until, w.until) > greatest(a.until - a.quantity, w.until - w.quantity)
		ORDER BY a.ordinal, w.until);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_credits(distsync_internal.inventory_line[], jsonb) IS
	'Grants for what has left of the demands of these lines without having been promised, base units: the site it left from. Kits (parts, as inventory_parts() says) have none. Under the pools'' locks it is exact.';

-- inventory_uncredited does what is still to be promised of lines.
CREATE FUNCTION distsync_internal.inventory_uncredited(lines distsync_internal.inventory_line[], credits distsync_internal.inventory_grant[]) RETURNS distsync_internal.inventory_line[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(SELECT ROW(l.ordinal, l.item_id, l.quantity - COALESCE(c.quantity, 0), l.site_id, l.demand_key, l.requested_at)::distsync_internal.inventory_line
		FROM unnest(lines) WITH ORDINALITY l(ordinal, item_id, quantity, site_id, demand_key, requested_at, n)
		LEFT JOIN LATERAL (SELECT sum(g.quantity) AS quantity FROM unnest(credits) g WHERE g.ordinal = l.ordinal) c ON true
		WHERE l.quantity > COALESCE(c.quantity, 0) ORDER BY l.n);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_uncredited(distsync_internal.inventory_line[], distsync_internal.inventory_grant[]) IS 'Lines without what inventory_credits() grants them, in their order; those that are wholly credited are left out.';

-- inventory_take_credits does the writing of promises that are fulfilled already: they take nothing from any pool.
CREATE FUNCTION distsync_internal.inventory_take_credits(credits distsync_internal.inventory_grant[], options jsonb) RETURNS SETOF distsync_internal.inventory_promise
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	g distsync_internal.inventory_grant;
	id bigint;
BEGIN
	FOREACH g IN ARRAY credits LOOP
		INSERT INTO dist.reservation (item_id, request_id, site_id, holder, demand_key, customer_id, channel_id, quantity, committed, shipped, kind, state, priority, promised_at, created_at, ended_at)
		VALUES (g.item_id, COALESCE((options->>'request_id')::uuid, gen_random_uuid()), g.site_id, COALESCE(options->>'holder', g.demand_key), g.demand_key, (options->>'customer_id')::bigint, (options->>'channel_id')::bigint,
			g.quantity, g.quantity, g.quantity, COALESCE(options->>'kind', 'hard'), 'shipped', COALESCE((options->>'priority')::integer, 100), t, t, t)
		RETURNING reservation_id INTO id;
		UPDATE dist.demand d SET reserved = d.reserved + g.quantity, customer_id = COALESCE(d.customer_id, (options->>'customer_id')::bigint),
			status = distsync_internal.inventory_demand_status(d.reserved + g.quantity, d.ordered, d.allocated, d.shipped)
		WHERE d.demand_key = g.demand_key AND d.item_id = g.item_id AND d.site_id = g.site_id;
		PERFORM distsync_internal.inventory_over_shipped(g.item_id, g.demand_key, (options->>'correlation_id')::uuid, true);
		RETURN NEXT ROW(g.ordinal, g.outcome, id, g.site_id, g.quantity, t, jsonb_build_object('available', g.available, 'shipped', g.quantity, 'expires_at', NULL))::distsync_internal.inventory_promise;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_credits(distsync_internal.inventory_grant[], jsonb) IS
	'Writes reservations, shipped at once, for what has left of their lines before they were promised; options as inventory_reserve(). Answers them, detail.shipped says how much. The caller holds the pools'' locks.';
