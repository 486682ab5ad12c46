-- Posting: movements become events and balances. The fold of the events is the balance at any time, also as of any time.

CREATE TYPE distsync_internal.inventory_movement AS (
	ordinal		integer,
	item_id		bigint,
	site_id		bigint,
	perspective	text,
	state		text,
	lot			text,
	owner_id	bigint,
	kind		text,
	quantity	numeric,
	counted		numeric,
	event_at	timestamptz,
	source		text,
	stream		text,
	sequence	bigint,
	reference	text,
	event_key	text,
	corrects_id	bigint,
	expires_on	date,
	correlation_id	uuid
);
COMMENT ON TYPE distsync_internal.inventory_movement IS 'A movement to post: the columns of dist.stock_event with the change in base units (NULL for a count, whose change follows from counted), expiry of the lot, and place in the request.';

-- inventory_post does the posting of movements under the pools' locks. Deltas commute and are summed; a count alone on its key is a
-- plain difference. Only keys where time order matters are folded one movement after the other.
CREATE FUNCTION distsync_internal.inventory_post(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	plain distsync_internal.inventory_movement[];
	hard distsync_internal.inventory_movement[];
	m distsync_internal.inventory_movement;
	-- of what happened before it, a balance of a lot may not be kept any more (retain.sql)
	gone_until timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', clock_timestamp());
BEGIN
	SELECT array_agg(x.movement) FILTER (WHERE NOT x.hard), array_agg(x.movement ORDER BY x.event_at, x.is_count DESC, x.sequence, x.ordinal) FILTER (WHERE x.hard) INTO plain, hard
	FROM (
		SELECT ROW(u.ordinal, u.item_id, u.site_id, u.perspective, u.state, u.lot, u.owner_id, u.kind, CASE WHEN u.kind = 'count' THEN u.counted - COALESCE(b.quantity, 0) ELSE u.quantity END, u.counted,
				u.event_at, u.source, u.stream, u.sequence, u.reference, u.event_key, u.corrects_id, u.expires_on, u.correlation_id)::distsync_internal.inventory_movement AS movement,
			u.event_at, u.kind = 'count' AS is_count, u.sequence, u.ordinal,
			bool_or(COALESCE(u.kind = 'count' AND (u.many OR u.event_at <= b.last_event_at) OR u.event_at < b.counted_at, false) OR b.lot IS NULL AND u.lot <> '' AND u.event_at < COALESCE(gone_until, '-infinity'))
				OVER (PARTITION BY u.item_id, u.site_id, u.perspective, u.state, u.lot, u.owner_id) AS hard
		FROM (SELECT v.*, count(*) OVER (PARTITION BY v.item_id, v.site_id, v.perspective, v.state, v.lot, v.owner_id) > 1 AS many FROM unnest(movements || distsync_internal.inventory_barriers(movements)) v) u
		LEFT JOIN dist.stock_balance b ON b.item_id = u.item_id AND b.site_id = u.site_id AND b.perspective = u.perspective AND b.state = u.state AND b.lot = u.lot AND b.owner_id = u.owner_id
	) x;
	IF plain IS NOT NULL THEN
		PERFORM distsync_internal.inventory_write(plain);
	END IF;
	FOREACH m IN ARRAY COALESCE(hard, '{}') LOOP
		PERFORM distsync_internal.inventory_fold(m);
	END LOOP;
	PERFORM distsync_internal.inventory_lots(movements);
	PERFORM distsync_internal.inventory_net(movements);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_post(distsync_internal.inventory_movement[]) IS
	'Writes movements as events, balances and movements in flight. The caller holds the pools'' locks, has removed duplicates, and refreshes the pools afterwards.';

-- inventory_write does the writing of events and the adding to balances, for movements whose change is known.
CREATE FUNCTION distsync_internal.inventory_write(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	INSERT INTO dist.stock_event (item_id, event_key, event_at, kind, perspective, site_id, lot, owner_id, state, quantity, counted, source, stream, sequence, reference, corrects_id, correlation_id)
	SELECT m.item_id, m.event_key, m.event_at, m.kind, m.perspective, m.site_id, m.lot, m.owner_id, m.state,
		CASE WHEN abs(m.quantity) < 1e14 THEN m.quantity ELSE distsync_internal.inventory_too_large(m.item_id, m.site_id, m.quantity) END, m.counted, m.source, m.stream, m.sequence, m.reference, m.corrects_id, m.correlation_id
	FROM unnest(movements) m;
	INSERT INTO dist.stock_balance AS b (item_id, site_id, perspective, state, lot, owner_id, quantity, last_event_at, counted_at, expires_on)
	SELECT m.item_id, m.site_id, m.perspective, m.state, m.lot, m.owner_id,
		CASE WHEN abs(sum(m.quantity)) < 1e14 THEN sum(m.quantity) ELSE distsync_internal.inventory_too_large(m.item_id, m.site_id, sum(m.quantity)) END, max(m.event_at), max(m.event_at) FILTER (WHERE m.kind = 'count'), max(m.expires_on)
	FROM unnest(movements) m
	GROUP BY m.item_id, m.site_id, m.perspective, m.state, m.lot, m.owner_id
	ORDER BY m.item_id, m.site_id, m.perspective, m.state, m.lot, m.owner_id
	ON CONFLICT ON CONSTRAINT stock_balance_pk DO UPDATE SET version = b.version + 1,
		quantity = CASE WHEN abs(b.quantity + excluded.quantity) < 1e14 THEN b.quantity + excluded.quantity ELSE distsync_internal.inventory_too_large(b.item_id, b.site_id, b.quantity + excluded.quantity) END,
		last_event_at = greatest(b.last_event_at, excluded.last_event_at), counted_at = greatest(b.counted_at, excluded.counted_at), expires_on = COALESCE(excluded.expires_on, b.expires_on);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write(distsync_internal.inventory_movement[]) IS 'Inserts events and adds their changes to the balances. Errors: SD002 a change or a balance is too large for the books.';

-- inventory_fold does one movement of a key where time order matters. A count is a barrier: it says what was there at its instant, so
-- a change before it moves what was, not what is: an offset at the next count keeps the balance. So does an older count.
CREATE FUNCTION distsync_internal.inventory_fold(m distsync_internal.inventory_movement) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b record;
	c record;
	next_count timestamptz;
	o distsync_internal.inventory_movement := m;
BEGIN
	SELECT x.quantity, x.counted_at INTO b FROM dist.stock_balance x
	WHERE x.item_id = m.item_id AND x.site_id = m.site_id AND x.perspective = m.perspective AND x.state = m.state AND x.lot = m.lot AND x.owner_id = m.owner_id;
	SELECT x.last_event_at, x.counted_at INTO c FROM dist.stock_checkpoint x
	WHERE x.item_id = m.item_id AND x.site_id = m.site_id AND x.perspective = m.perspective AND x.state = m.state AND x.lot = m.lot AND x.owner_id = m.owner_id;
	-- the balance of a lot may have been cleared away since it was counted
	IF b.quantity IS NULL AND m.lot <> '' THEN
		SELECT max(e.event_at) AS counted_at, 0::numeric AS quantity INTO b FROM dist.stock_event e WHERE e.item_id = m.item_id AND e.site_id = m.site_id AND e.kind = 'count'
			AND e.perspective = m.perspective AND e.state = m.state AND e.lot = m.lot AND e.owner_id = m.owner_id;
		b.counted_at := greatest(b.counted_at, c.counted_at);
	END IF;
	IF b.counted_at > m.event_at THEN
		SELECT least(min(e.event_at), CASE WHEN c.counted_at > m.event_at THEN c.counted_at END) INTO next_count FROM dist.stock_event e
		WHERE e.item_id = m.item_id AND e.site_id = m.site_id AND e.event_at > m.event_at AND e.kind = 'count'
			AND e.perspective = m.perspective AND e.state = m.state AND e.lot = m.lot AND e.owner_id = m.owner_id;
	END IF;
	IF m.kind = 'count' THEN
		m.quantity := CASE WHEN NOT distsync_internal.inventory_outdone(m) AND (c.last_event_at IS NULL OR c.last_event_at <= m.event_at)
			THEN m.counted - COALESCE(b.quantity, 0) + distsync_internal.inventory_since(m) ELSE 0 END;
	END IF;
	PERFORM distsync_internal.inventory_write(ARRAY[m]);
	IF next_count IS NOT NULL AND m.quantity <> 0 THEN
		o.kind := 'offset';
		o.quantity := -m.quantity;
		o.counted := NULL;
		o.event_at := next_count;
		o.sequence := NULL;
		PERFORM distsync_internal.inventory_write(ARRAY[o]);
	END IF;
	UPDATE dist.stock_balance x SET counted_at = b.counted_at
	WHERE x.item_id = m.item_id AND x.site_id = m.site_id AND x.perspective = m.perspective AND x.state = m.state AND x.lot = m.lot AND x.owner_id = m.owner_id AND x.counted_at IS NULL AND b.counted_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_fold(distsync_internal.inventory_movement) IS
	'Posts one movement of a key with counts: late changes and older counts are offset at the next count, a count becomes the difference to the fold at its instant. A count of an instant whose events are not kept any more moves nothing: what was there then is not known.';

-- inventory_since does the sum of what a count does not see: the balance at its instant is that of now without what came later; changes
-- of the same instant come on top of the count.
CREATE FUNCTION distsync_internal.inventory_since(m distsync_internal.inventory_movement) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE((SELECT sum(e.quantity) FROM dist.stock_event e
		WHERE e.item_id = m.item_id AND e.site_id = m.site_id AND (e.event_at > m.event_at OR e.event_at = m.event_at AND e.kind NOT IN ('count', 'offset'))
			AND e.perspective = m.perspective AND e.state = m.state AND e.lot = m.lot AND e.owner_id = m.owner_id), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_since(distsync_internal.inventory_movement) IS 'Sum of the events of a key that come after a count of it in time, base units.';

-- inventory_outdone does the choice between counts of one key at one instant, the same whichever was told first: the one that its
-- source numbered higher, then the one whose name comes later.
CREATE FUNCTION distsync_internal.inventory_outdone(m distsync_internal.inventory_movement) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM dist.stock_event e
		WHERE e.item_id = m.item_id AND e.site_id = m.site_id AND e.event_at = m.event_at AND e.kind = 'count'
			AND e.perspective = m.perspective AND e.state = m.state AND e.lot = m.lot AND e.owner_id = m.owner_id
			AND (COALESCE(e.sequence, -1), COALESCE(e.event_key, '') COLLATE "C", e.source COLLATE "C") > (COALESCE(m.sequence, -1), COALESCE(m.event_key, '') COLLATE "C", m.source COLLATE "C"));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_outdone(distsync_internal.inventory_movement) IS 'Whether another count of the same key and instant goes before this one.';

-- inventory_flight does the check that what one perspective tells of a movement has a place in the books.
CREATE FUNCTION distsync_internal.inventory_flight(item_id bigint, site_id bigint, quantity numeric) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN abs(COALESCE(quantity, 0)) < 1e14 THEN COALESCE(quantity, 0) ELSE distsync_internal.inventory_too_large(item_id, site_id, quantity) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_flight(bigint, bigint, numeric) IS 'The quantity (base units, NULL = 0) that is in flight of an item at a site. Errors: SD002 it is too large for the books.';

-- inventory_net does the matching of movements that both perspectives will name: what the warehouse has told and the book has not is
-- in flight. A count of the book ends the wait for everything before it: it has seen that, or the lower physical number protects us.
-- What is in flight follows from what was told, not from the order: where order could matter, it is summed up anew.
CREATE FUNCTION distsync_internal.inventory_net(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	anew record;
BEGIN
	-- a perspective speaks for the first time; the book has counted since a movement that waits, or before one that was told already;
	-- something that was settled may be undone
	SELECT array_agg(k.item_id) AS items, array_agg(k.site_id) AS sites INTO anew
	FROM (SELECT m.item_id, m.site_id FROM unnest(movements) m
		JOIN dist.stock_pool p ON p.item_id = m.item_id AND p.site_id = m.site_id
		WHERE CASE m.perspective WHEN 'phys' THEN p.phys ELSE p.book END IS NULL
			OR m.kind = 'count' AND m.perspective = 'book' AND (EXISTS (SELECT FROM dist.stock_in_flight w WHERE w.item_id = m.item_id AND w.site_id = m.site_id)
				OR EXISTS (SELECT FROM dist.stock_event e WHERE e.item_id = m.item_id AND e.site_id = m.site_id AND e.event_at > m.event_at AND e.reference IS NOT NULL))
			OR m.kind = 'reverse' AND m.reference IS NOT NULL
		GROUP BY m.item_id, m.site_id) k
	WHERE (SELECT count(DISTINCT b.perspective) FROM dist.stock_balance b WHERE b.item_id = k.item_id AND b.site_id = k.site_id) = 2;
	IF anew.items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_net_anew(anew.items, anew.sites);
	END IF;
	-- where the book has counted since, it has seen what happened
	WITH k AS MATERIALIZED (
		SELECT u.item_id, u.site_id, distsync_internal.inventory_posted_until(u.item_id, u.site_id) AS since FROM (SELECT DISTINCT m.item_id, m.site_id FROM unnest(movements) m WHERE m.reference IS NOT NULL) u
		WHERE NOT EXISTS (SELECT FROM unnest(anew.items, anew.sites) a(item_id, site_id) WHERE a.item_id = u.item_id AND a.site_id = u.site_id)
	)
	INSERT INTO dist.stock_in_flight AS w (item_id, site_id, reference, phys, book, event_at)
	SELECT m.item_id, m.site_id, m.reference, distsync_internal.inventory_flight(m.item_id, m.site_id, sum(m.quantity) FILTER (WHERE m.perspective = 'phys')),
		distsync_internal.inventory_flight(m.item_id, m.site_id, sum(m.quantity) FILTER (WHERE m.perspective = 'book')), max(m.event_at)
	FROM unnest(movements) m JOIN dist.stock_state s ON s.state = m.state JOIN k ON k.item_id = m.item_id AND k.site_id = m.site_id AND m.event_at > k.since
	WHERE m.reference IS NOT NULL AND m.kind NOT IN ('count', 'offset') AND (s.promisable OR m.kind = 'ship' OR m.kind = 'reverse' AND distsync_internal.inventory_undoes_ship(m.item_id, m.site_id, m.event_at, m.corrects_id))
		AND (EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = m.item_id AND b.site_id = m.site_id AND b.perspective <> m.perspective)
			OR EXISTS (SELECT FROM dist.stock_departure d WHERE d.item_id = m.item_id AND d.site_id = m.site_id AND d.reference = m.reference))
		-- what is set aside for a line is in the building
		AND (m.kind NOT IN ('transfer', 'reverse') OR NOT EXISTS (SELECT FROM distsync_internal.inventory_allocation_legs(movements) a WHERE a.ordinal = m.ordinal AND a.site_id = m.site_id))
	GROUP BY m.item_id, m.site_id, m.reference ORDER BY m.item_id, m.site_id, m.reference
	ON CONFLICT ON CONSTRAINT stock_in_flight_pk DO UPDATE SET phys = distsync_internal.inventory_flight(w.item_id, w.site_id, w.phys + excluded.phys), book = distsync_internal.inventory_flight(w.item_id, w.site_id, w.book + excluded.book),
		event_at = greatest(w.event_at, excluded.event_at);
	-- when both sides have told the same, there is nothing to wait for any more
	DELETE FROM dist.stock_in_flight w
	USING (SELECT DISTINCT m.item_id, m.site_id, m.reference FROM unnest(movements) m WHERE m.reference IS NOT NULL) n
	WHERE w.item_id = n.item_id AND w.site_id = n.site_id AND w.reference = n.reference AND w.phys = w.book;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_net(distsync_internal.inventory_movement[]) IS 'Keeps dist.stock_in_flight: movements with a reference, where both perspectives exist. Called after balances are written and before pools are refreshed: a pool still says which perspectives spoke before.';

-- inventory_posted_until does the look at the last count of the book: what happened up to then, it has seen.
CREATE FUNCTION distsync_internal.inventory_posted_until(item_id bigint, site_id bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((SELECT max(b.counted_at) FROM dist.stock_balance b JOIN dist.stock_state s ON s.state = b.state AND s.promisable
		WHERE b.item_id = inventory_posted_until.item_id AND b.site_id = inventory_posted_until.site_id AND b.perspective = 'book'), '-infinity');
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_posted_until(bigint, bigint) IS 'Business time of the last count of promisable stock by the book; -infinity if there is none.';

-- inventory_undone_kind does the look at what a reversal undoes, or brings back, in the end.
CREATE FUNCTION distsync_internal.inventory_undone_kind(item_id bigint, site_id bigint, event_at timestamptz, corrects_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	id bigint := corrects_id;
BEGIN
	LOOP
		SELECT e.kind, e.corrects_id INTO o FROM dist.stock_event e
		WHERE e.item_id = inventory_undone_kind.item_id AND e.site_id = inventory_undone_kind.site_id AND e.event_at = inventory_undone_kind.event_at AND e.event_id = id;
		EXIT WHEN o.kind IS DISTINCT FROM 'reverse';
		id := o.corrects_id;
	END LOOP;
	RETURN o.kind;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_undone_kind(bigint, bigint, timestamptz, bigint) IS 'Kind of the event that a reversal corrects (its item, site, event_at, corrects_id), through reversals of reversals; NULL = it is not kept any more.';

-- inventory_undoes_ship does the question whether a reversal undoes a shipment, or brings one back.
CREATE FUNCTION distsync_internal.inventory_undoes_ship(item_id bigint, site_id bigint, event_at timestamptz, corrects_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE(distsync_internal.inventory_undone_kind(item_id, site_id, event_at, corrects_id) = 'ship', false);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_undoes_ship(bigint, bigint, timestamptz, bigint) IS 'Whether the event that a reversal corrects (its item, site, event_at, corrects_id) is a shipment, through reversals of reversals.';

-- inventory_flights does the summing up of what is in flight: of all that both perspectives have told since the book last counted, and of what
-- left a site whose stock only the book keeps. It is the one place that says what stock_in_flight is.
CREATE FUNCTION distsync_internal.inventory_flights(items bigint[], sites bigint[]) RETURNS TABLE (item_id bigint, site_id bigint, reference text, phys numeric, book numeric, event_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH k AS MATERIALIZED (
		SELECT u.item_id, u.site_id, distsync_internal.inventory_posted_until(u.item_id, u.site_id) AS since,
			(SELECT count(DISTINCT b.perspective) FROM dist.stock_balance b WHERE b.item_id = u.item_id AND b.site_id = u.site_id) = 2 AS both
		FROM (SELECT DISTINCT x.item_id, x.site_id FROM unnest(items, sites) x(item_id, site_id)) u
	), t AS (
		SELECT e.item_id, e.site_id, e.reference, e.perspective, e.quantity, e.event_at
		FROM k JOIN dist.stock_event e ON e.item_id = k.item_id AND e.site_id = k.site_id AND e.event_at > k.since
		JOIN dist.stock_state s ON s.state = e.state
		WHERE e.reference IS NOT NULL AND e.kind NOT IN ('count', 'offset') AND (s.promisable OR e.kind = 'ship' OR e.kind = 'reverse' AND distsync_internal.inventory_undoes_ship(e.item_id, e.site_id, e.event_at, e.corrects_id))
			AND (e.kind NOT IN ('transfer', 'reverse') OR e.perspective = 'book' OR e.state = 'allocated' OR NOT EXISTS (SELECT FROM dist.stock_event o WHERE o.item_id = e.item_id AND o.site_id = e.site_id AND o.event_at = e.event_at AND o.source = e.source
				AND o.event_key = e.event_key AND o.kind = e.kind AND o.state = 'allocated') OR NOT distsync_internal.inventory_names_demand(e.reference, e.item_id))
			AND (k.both OR EXISTS (SELECT FROM dist.stock_departure d WHERE d.item_id = e.item_id AND d.site_id = e.site_id AND d.reference = e.reference))
		UNION ALL
		SELECT d.item_id, d.site_id, d.reference, 'phys', d.quantity, d.event_at FROM k JOIN dist.stock_departure d ON d.item_id = k.item_id AND d.site_id = k.site_id AND d.event_at > k.since
	)
	SELECT t.item_id, t.site_id, t.reference, COALESCE(sum(t.quantity) FILTER (WHERE t.perspective = 'phys'), 0), COALESCE(sum(t.quantity) FILTER (WHERE t.perspective = 'book'), 0), max(t.event_at)
	FROM t GROUP BY t.item_id, t.site_id, t.reference
	HAVING COALESCE(sum(t.quantity) FILTER (WHERE t.perspective = 'phys'), 0) <> COALESCE(sum(t.quantity) FILTER (WHERE t.perspective = 'book'), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_flights(bigint[], bigint[]) IS
	'What is in flight of pairs of item and site (arrays of equal length) by what was told, base units: references of which one perspective has told more than the other since the last count of the book. Reads only.';

-- inventory_unflown does the finding of what is kept otherwise. Where events are not kept any more, what was in flight before is not known
-- any more: that stays.
CREATE FUNCTION distsync_internal.inventory_unflown(items bigint[], sites bigint[], exact boolean)
RETURNS TABLE (item_id bigint, site_id bigint, reference text, was_phys numeric, was_book numeric, phys numeric, book numeric, event_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT item_id, site_id, reference, w.phys, w.book, f.phys, f.book, f.event_at
	FROM (SELECT x.* FROM dist.stock_in_flight x WHERE EXISTS (SELECT FROM unnest(items, sites) u(item_id, site_id) WHERE u.item_id = x.item_id AND u.site_id = x.site_id)) w
	FULL JOIN distsync_internal.inventory_flights(items, sites) f USING (item_id, site_id, reference)
	WHERE CASE WHEN exact THEN (w.phys, w.book, w.event_at) IS DISTINCT FROM (f.phys, f.book, f.event_at) ELSE w.phys - w.book IS DISTINCT FROM f.phys - f.book END
		AND COALESCE(f.event_at, w.event_at) > COALESCE((SELECT max(c.last_event_at) FROM dist.stock_checkpoint c WHERE c.item_id = COALESCE(w.item_id, f.item_id) AND c.site_id = COALESCE(w.site_id, f.site_id)), '-infinity');
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_unflown(bigint[], bigint[], boolean) IS
	'Rows of dist.stock_in_flight of pairs of item and site that are not what inventory_flights() says: as they are (NULL = there is none) and as they should be (NULL = there should be none), base units. exact: also where only what both sides have told is otherwise, and the difference is right: a reference that was settled and is named again begins anew. Reads only.';

-- inventory_net_anew does the setting of what is in flight to that. What the book has counted since is settled.
CREATE FUNCTION distsync_internal.inventory_net_anew(items bigint[], sites bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	DELETE FROM dist.stock_departure d USING (SELECT DISTINCT x.item_id, x.site_id FROM unnest(items, sites) x(item_id, site_id)) u
	WHERE d.item_id = u.item_id AND d.site_id = u.site_id AND d.event_at <= distsync_internal.inventory_posted_until(u.item_id, u.site_id);
	WITH n AS MATERIALIZED (
		SELECT * FROM distsync_internal.inventory_unflown(items, sites, true)
	), gone AS (
		DELETE FROM dist.stock_in_flight w USING n WHERE n.phys IS NULL AND w.item_id = n.item_id AND w.site_id = n.site_id AND w.reference = n.reference
	)
	INSERT INTO dist.stock_in_flight AS w (item_id, site_id, reference, phys, book, event_at)
	SELECT n.item_id, n.site_id, n.reference, distsync_internal.inventory_flight(n.item_id, n.site_id, n.phys), distsync_internal.inventory_flight(n.item_id, n.site_id, n.book), n.event_at FROM n WHERE n.phys IS NOT NULL ORDER BY n.item_id, n.site_id, n.reference
	ON CONFLICT ON CONSTRAINT stock_in_flight_pk DO UPDATE SET phys = excluded.phys, book = excluded.book, event_at = excluded.event_at;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_net_anew(bigint[], bigint[]) IS 'Sets dist.stock_in_flight of pairs of item and site (arrays of equal length) to what was told since the last count of the book. The caller holds the pools'' locks and refreshes them.';

-- inventory_fly does the noting of what left a site whose stock only the book keeps: it is in flight until the book posts it, were that before.
CREATE FUNCTION distsync_internal.inventory_fly(item_id bigint, site_id bigint, reference text, quantity numeric, event_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO dist.stock_departure AS d (item_id, site_id, reference, quantity, event_at)
	VALUES (inventory_fly.item_id, inventory_fly.site_id, inventory_fly.reference, inventory_fly.quantity, inventory_fly.event_at)
	ON CONFLICT ON CONSTRAINT stock_departure_pk DO UPDATE SET quantity = distsync_internal.inventory_flight(d.item_id, d.site_id, d.quantity + excluded.quantity), event_at = greatest(d.event_at, excluded.event_at);
	PERFORM distsync_internal.inventory_net_anew(ARRAY[inventory_fly.item_id], ARRAY[inventory_fly.site_id]);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_fly(bigint, bigint, text, numeric, timestamptz) IS 'Notes a departure under its reference, base units, below 0, and what is in flight then. The caller holds the pool''s lock and refreshes it.';
