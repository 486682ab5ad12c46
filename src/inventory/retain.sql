-- Retention: what has ended goes after a time, a few rows at once. distsync.hold_retention says when for holds that came to nothing,
-- distsync.stock_retention for all else. What is open stays, what an open row or a balance is proved by stays with it, and nothing that goes
-- changes what is answered. Stock events have a policy of their own (checkpoint.sql).

-- inventory_kept_until does the instant before which what has ended is not kept any more.
CREATE FUNCTION distsync_internal.inventory_kept_until(setting text, at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	minutes integer := (SELECT s.setting::integer FROM pg_settings s WHERE s.name = inventory_kept_until.setting);
BEGIN
	RETURN CASE WHEN minutes >= 0 THEN at - minutes * interval '1 minute' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_kept_until(text, timestamptz) IS 'An instant less a setting in minutes; NULL = the setting is -1: for ever.';

-- inventory_line_over does the question whether a line is over everywhere: at each site, and in each item that it was of or is made of.
CREATE FUNCTION distsync_internal.inventory_line_over(demand_key text, until timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN until IS NOT NULL AND NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = inventory_line_over.demand_key AND (d.status = 'open' OR d.closed_since < until IS NOT TRUE));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_line_over(text, timestamptz) IS 'Whether all rows of a demand were closed before an instant (NULL = they are kept for ever); true where there is none.';

-- inventory_is_over does the question whether a reservation may go. What has shipped stays as long as its line.
CREATE FUNCTION distsync_internal.inventory_is_over(state text, ended_at timestamptz, demand_key text, holds_until timestamptz, until timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN CASE
		WHEN inventory_is_over.state IN ('released', 'expired', 'void') THEN COALESCE(inventory_is_over.ended_at < holds_until, false)
		WHEN inventory_is_over.state <> 'shipped' OR inventory_is_over.ended_at < until IS NOT TRUE THEN false
		ELSE distsync_internal.inventory_line_over(inventory_is_over.demand_key, until) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_is_over(text, timestamptz, text, timestamptz, timestamptz) IS
	'Whether a reservation (its state, end and demand) is kept no longer: released, expired or void before holds_until, or shipped before until with a demand that was closed before it at all its sites (NULL = kept for ever). What it took of quotas is kept in dist.stock_quota_shipped.';

-- inventory_retain_reservations does one round of reservations: of the next ones by number. A kit goes as a whole, with its lowest number.
CREATE FUNCTION distsync_internal.inventory_retain_reservations(INOUT after bigint, max_rows integer, t timestamptz, OUT more boolean, OUT gone integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	holds_until timestamptz := distsync_internal.inventory_kept_until('distsync.hold_retention', t);
	until timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', t);
	ids bigint[];
	keys text[];
	items bigint[];
	sites bigint[];
	last record;
BEGIN
	gone := 0;
	SELECT max(s.reservation_id) AS id, count(*) AS n, max(s.created_at) AS created_at, array_agg(s.reservation_id) FILTER (WHERE s.over) AS over INTO last
	FROM (SELECT r.reservation_id, r.created_at, COALESCE(r.kit_group, r.reservation_id) = r.reservation_id
			AND distsync_internal.inventory_is_over(r.state, r.ended_at, r.demand_key, holds_until, until)
			AND NOT EXISTS (SELECT FROM dist.reservation g WHERE g.kit_group = r.kit_group AND NOT distsync_internal.inventory_is_over(g.state, g.ended_at, g.demand_key, holds_until, until)) AS over
		FROM dist.reservation r WHERE r.reservation_id > after ORDER BY r.reservation_id LIMIT max_rows) s;
	more := last.n = max_rows AND last.created_at < greatest(holds_until, until);
	after := COALESCE(last.id, after);
	IF last.over IS NULL THEN
		RETURN;
	END IF;
	SELECT array_agg(u.reservation_id ORDER BY u.reservation_id), array_agg(u.demand_key ORDER BY u.reservation_id), array_agg(u.item_id ORDER BY u.reservation_id), array_agg(u.site_id ORDER BY u.reservation_id) INTO ids, keys, items, sites
	FROM (SELECT r.reservation_id, r.demand_key, r.item_id, r.site_id FROM dist.reservation r WHERE r.reservation_id = ANY (last.over) AND r.kit_group IS NULL
		UNION ALL
		SELECT g.reservation_id, g.demand_key, g.item_id, g.site_id FROM dist.reservation g WHERE g.kit_group = ANY (last.over)) u;
	-- orders are locked before stock
	PERFORM distsync_internal.base_hook('stock.reservations_forgotten', jsonb_build_object('reservations', x.named))
	FROM (SELECT jsonb_agg(jsonb_build_object('reservation_id', u.id, 'demand_key', u.key)) AS named FROM unnest(ids, keys) u(id, key) WHERE u.key IS NOT NULL) x WHERE x.named IS NOT NULL;
	PERFORM distsync_internal.inventory_lock_demand(keys, items, sites);
	WITH o AS MATERIALIZED (
		SELECT r.reservation_id, r.item_id, bool_and(distsync_internal.inventory_is_over(r.state, r.ended_at, r.demand_key, holds_until, until)) OVER (PARTITION BY COALESCE(r.kit_group, r.reservation_id)) AS over
		FROM dist.reservation r WHERE r.reservation_id = ANY (ids)
	), d AS (
		DELETE FROM dist.reservation r USING o WHERE o.over AND r.reservation_id = o.reservation_id AND r.item_id = o.item_id
		RETURNING r.demand_key, r.item_id, r.site_id, CASE WHEN r.state = 'shipped' THEN r.quantity ELSE 0 END AS quantity
	), x AS (
		UPDATE dist.demand y SET reserved = y.reserved - z.quantity
		FROM (SELECT d.demand_key, d.item_id, d.site_id, sum(d.quantity) AS quantity FROM d WHERE d.demand_key IS NOT NULL GROUP BY 1, 2, 3) z
		WHERE z.quantity > 0 AND y.demand_key = z.demand_key AND y.item_id = z.item_id AND y.site_id = z.site_id
	)
	SELECT count(*) INTO gone FROM d;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_retain_reservations(bigint, integer, timestamptz) IS
	'Deletes those of the next max_rows reservations after a number that are over as of t, kits as a whole; what they shipped is taken off reserved of their closed demands. Calls the hook stock.reservations_forgotten with {"reservations": [{"reservation_id", "demand_key"}]} first. Returns the last number looked at, whether there are more, and how many went.';

-- inventory_note_closed does the noting of which demand or supply is closed, under the locks of their pools like any change of theirs: it takes
-- those that nobody has, waits for none, and comes last, so that nothing is waited for with them in hand.
CREATE FUNCTION distsync_internal.inventory_note_closed(what text, after_item bigint, after_id bigint, to_item bigint, to_id bigint, t timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	l record;
	items bigint[];
	sites bigint[];
BEGIN
	IF what = 'demand' THEN
		SELECT array_agg(x.item_id) AS items, array_agg(x.site_id) AS sites, array_agg(x.demand_id) AS ids INTO l FROM dist.demand x
		WHERE (x.item_id, x.demand_id) > (after_item, after_id) AND (x.item_id, x.demand_id) <= (to_item, to_id) AND (x.status = 'open') = (x.closed_since IS NOT NULL);
	ELSE
		SELECT array_agg(x.item_id) AS items, array_agg(x.site_id) AS sites, array_agg(x.supply_id) AS ids INTO l FROM dist.supply x
		WHERE (x.item_id, x.supply_id) > (after_item, after_id) AND (x.item_id, x.supply_id) <= (to_item, to_id) AND (x.status = 'open') = (x.closed_since IS NOT NULL);
	END IF;
	-- where somebody is at a pool the next round is early enough
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT p.item_id, p.site_id FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(l.items, l.sites) u(item_id, site_id)) u JOIN dist.stock_pool p ON p.item_id = u.item_id AND p.site_id = u.site_id
		ORDER BY p.item_id, p.site_id FOR NO KEY UPDATE OF p SKIP LOCKED) k;
	-- statements of their own, so that they see what was committed before the locks
	IF items IS NOT NULL AND what = 'demand' THEN
		UPDATE dist.demand d SET closed_since = CASE WHEN d.status <> 'open' THEN t END FROM unnest(l.items, l.ids) u(item_id, id)
		WHERE d.item_id = u.item_id AND d.demand_id = u.id AND (d.status = 'open') = (d.closed_since IS NOT NULL) AND EXISTS (SELECT FROM unnest(items, sites) k(item_id, site_id) WHERE k.item_id = d.item_id AND k.site_id = d.site_id);
	ELSIF items IS NOT NULL THEN
		UPDATE dist.supply s SET closed_since = CASE WHEN s.status <> 'open' THEN t END FROM unnest(l.items, l.ids) u(item_id, id)
		WHERE s.item_id = u.item_id AND s.supply_id = u.id AND (s.status = 'open') = (s.closed_since IS NOT NULL) AND EXISTS (SELECT FROM unnest(items, sites) k(item_id, site_id) WHERE k.item_id = s.item_id AND k.site_id = s.site_id);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_note_closed(text, bigint, bigint, bigint, bigint, timestamptz) IS
	'Notes of the rows of demand or supply after a key and up to another which are closed as of t, in closed_since; those of pools that somebody has locked are left out.';

-- inventory_retain_lines does one round of demand or supply: deletes those that have been closed for long enough, and notes which are closed.
CREATE FUNCTION distsync_internal.inventory_retain_lines(what text, INOUT after_item bigint, INOUT after_id bigint, max_rows integer, t timestamptz, OUT more boolean, OUT gone integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	until timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', t);
	from_item bigint := after_item;
	from_id bigint := after_id;
	l record;
BEGIN
	gone := 0;
	IF what = 'demand' THEN
		SELECT count(*) AS n, (array_agg(n.item_id ORDER BY n.item_id DESC, n.id DESC))[1] AS item_id, (array_agg(n.id ORDER BY n.item_id DESC, n.id DESC))[1] AS id, array_agg(n.item_id) FILTER (WHERE n.over) AS items,
			array_agg(n.site_id) FILTER (WHERE n.over) AS sites, array_agg(n.name) FILTER (WHERE n.over) AS names, array_agg(n.id) FILTER (WHERE n.over) AS ids INTO l
		FROM (SELECT d.item_id, d.demand_id AS id, d.site_id, d.demand_key AS name, d.status <> 'open' AND d.closed_since < until AND d.reserved = 0 AND distsync_internal.inventory_line_over(d.demand_key, until) AS over
			FROM dist.demand d WHERE (d.item_id, d.demand_id) > (after_item, after_id) ORDER BY d.item_id, d.demand_id LIMIT max_rows) n;
	ELSE
		SELECT count(*) AS n, (array_agg(n.item_id ORDER BY n.item_id DESC, n.id DESC))[1] AS item_id, (array_agg(n.id ORDER BY n.item_id DESC, n.id DESC))[1] AS id, array_agg(n.item_id) FILTER (WHERE n.over) AS items,
			array_agg(n.site_id) FILTER (WHERE n.over) AS sites, array_agg(n.name) FILTER (WHERE n.over) AS names, array_agg(n.id) FILTER (WHERE n.over) AS ids INTO l
		FROM (SELECT s.item_id, s.supply_id AS id, s.site_id, concat_ws('/', s.source, s.kind, s.reference) AS name, s.status <> 'open' AND s.closed_since < until AS over
			FROM dist.supply s WHERE (s.item_id, s.supply_id) > (after_item, after_id) ORDER BY s.item_id, s.supply_id LIMIT max_rows) n;
	END IF;
	more := l.n = max_rows;
	after_item := COALESCE(l.item_id, after_item);
	after_id := COALESCE(l.id, after_id);
	IF l.ids IS NOT NULL AND what = 'demand' THEN
		PERFORM distsync_internal.inventory_lock_demand(l.names, l.items, l.sites);
		DELETE FROM dist.demand d USING unnest(l.items, l.ids) u(item_id, id) WHERE d.item_id = u.item_id AND d.demand_id = u.id AND d.reserved = 0 AND distsync_internal.inventory_line_over(d.demand_key, until);
		GET DIAGNOSTICS gone = ROW_COUNT;
	ELSIF l.ids IS NOT NULL THEN
		PERFORM pg_advisory_xact_lock(hashtext('distsync.supply'), c.class) FROM (SELECT DISTINCT hashtext(u) & 4095 AS class FROM unnest(l.names) u ORDER BY 1) c;
		PERFORM distsync_internal.inventory_lock(l.items, l.sites);
		DELETE FROM dist.supply s USING unnest(l.items, l.ids) u(item_id, id) WHERE s.item_id = u.item_id AND s.supply_id = u.id AND s.status <> 'open' AND s.closed_since < until;
		GET DIAGNOSTICS gone = ROW_COUNT;
	END IF;
	PERFORM distsync_internal.inventory_note_closed(what, from_item, from_id, after_item, after_id, t);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_retain_lines(text, bigint, bigint, integer, timestamptz) IS
	'Of the next max_rows rows of demand or supply after a key notes as of t which are closed, in closed_since, and deletes those that have been since before distsync.stock_retention; of demand those that no reservation is kept for, and only where the whole line is closed for as long. Returns the last key looked at, whether there are more, and how many went.';

-- inventory_keep_lots does the keeping of when lots expire whose balances go, so that goods of them that turn up again are not taken for fresh.
-- Of an item the 10,000 that expired last are kept.
CREATE FUNCTION distsync_internal.inventory_keep_lots(items bigint[], lots text[], expiries date[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.stock_lot AS k (item_id, lot, expires_on)
	SELECT u.item_id, u.lot, min(u.expires_on) FROM unnest(items, lots, expiries) u(item_id, lot, expires_on) WHERE u.expires_on IS NOT NULL GROUP BY u.item_id, u.lot ORDER BY u.item_id, u.lot COLLATE "C"
	ON CONFLICT ON CONSTRAINT stock_lot_pk DO UPDATE SET expires_on = least(k.expires_on, excluded.expires_on);
	DELETE FROM dist.stock_lot k USING (
		SELECT x.item_id, x.lot FROM (SELECT DISTINCT u.item_id FROM unnest(items) u(item_id)) i
		CROSS JOIN LATERAL (SELECT o.item_id, o.lot FROM dist.stock_lot o WHERE o.item_id = i.item_id ORDER BY o.expires_on DESC, o.lot COLLATE "C" OFFSET 10000) x) o
	WHERE k.item_id = o.item_id AND k.lot = o.lot;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_keep_lots(bigint[], text[], date[]) IS
	'Keeps in dist.stock_lot when these lots expire (arrays of equal length, NULL = not at all; of a lot the earliest), at most 10,000 lots of an item: those that expire first go.';

-- inventory_idle_flights does the finding of movements in flight that nothing waits for, where nothing is kept any more of what was told of them:
-- what one side told alone goes with its events, or it would be summed up anew. So where events are kept for ever there is nothing to look for.
CREATE FUNCTION distsync_internal.inventory_idle_flights(items bigint[], sites bigint[], max_rows integer, until timestamptz) RETURNS TABLE (item_id bigint, site_id bigint, reference text)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH w AS MATERIALIZED (
		SELECT x.item_id, x.site_id, x.reference FROM unnest(items, sites) u(item_id, site_id)
		CROSS JOIN LATERAL (SELECT max(c.last_event_at) AS last_event_at FROM dist.stock_checkpoint c WHERE c.item_id = u.item_id AND c.site_id = u.site_id) c
		JOIN dist.stock_in_flight x ON x.item_id = u.item_id AND x.site_id = u.site_id AND x.event_at <= c.last_event_at
		WHERE x.event_at < until AND (x.phys = 0 OR x.phys < 0 AND x.phys >= x.book OR x.phys > 0 AND x.phys <= x.book)
		ORDER BY x.event_at, x.item_id, x.site_id, x.reference COLLATE "C" LIMIT max_rows
	)
	SELECT w.item_id, w.site_id, w.reference FROM w
	WHERE NOT EXISTS (SELECT FROM dist.stock_event e WHERE e.item_id = w.item_id AND e.site_id = w.site_id AND e.reference = w.reference)
		AND NOT EXISTS (SELECT FROM dist.stock_departure d WHERE d.item_id = w.item_id AND d.site_id = w.site_id AND d.reference = w.reference);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_idle_flights(bigint[], bigint[], integer, timestamptz) IS
	'Movements in flight of these pools that the book has posted in full or alone, that nobody has told of since an instant, and whose events and departures are not kept any more; of the oldest max_rows that may be such.';

-- inventory_retain_lots does one round of the next pools: empty lots, and movements that nothing waits for. What a perspective was last counted
-- at, and that it speaks at all, is kept; so is a lot whose expiry is to come, and of one that is past, when that was.
CREATE FUNCTION distsync_internal.inventory_retain_lots(INOUT after_item bigint, INOUT after_site bigint, max_rows integer, t timestamptz, OUT more boolean, OUT gone integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	until timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', t);
	p record;
	w record;
	lots record;
BEGIN
	gone := 0;
	SELECT count(*) AS n, array_agg(x.item_id ORDER BY x.item_id, x.site_id) AS items, array_agg(x.site_id ORDER BY x.item_id, x.site_id) AS sites INTO p
	FROM (SELECT s.item_id, s.site_id FROM dist.stock_pool s WHERE (s.item_id, s.site_id) > (after_item, after_site) ORDER BY s.item_id, s.site_id LIMIT max_rows) x;
	more := p.n = max_rows;
	after_item := COALESCE(p.items[p.n], after_item);
	after_site := COALESCE(p.sites[p.n], after_site);
	SELECT array_agg(u.item_id) AS items, array_agg(u.site_id) AS sites INTO w FROM unnest(p.items, p.sites) u(item_id, site_id)
	WHERE EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = u.item_id AND b.site_id = u.site_id AND b.lot <> '' AND b.quantity = 0 AND b.last_event_at < until)
		OR (u.item_id, u.site_id) IN (SELECT f.item_id, f.site_id FROM distsync_internal.inventory_idle_flights(p.items, p.sites, max_rows, until) f);
	IF w.items IS NULL THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.inventory_lock(w.items, w.sites);
	WITH b AS MATERIALIZED (
		SELECT x.*, s.promisable, x.lot <> '' AND x.quantity = 0 AND x.last_event_at < until AND (x.expires_on IS NULL OR x.expires_on < (t AT TIME ZONE 'UTC')::date - 1) AS empty
		FROM unnest(w.items, w.sites) u(item_id, site_id) JOIN dist.stock_balance x ON x.item_id = u.item_id AND x.site_id = u.site_id JOIN dist.stock_state s ON s.state = x.state
	), g AS (
		DELETE FROM dist.stock_balance x USING b
		WHERE b.empty AND x.item_id = b.item_id AND x.site_id = b.site_id AND x.perspective = b.perspective AND x.state = b.state AND x.lot = b.lot AND x.owner_id = b.owner_id
			AND EXISTS (SELECT FROM b y WHERE y.item_id = b.item_id AND y.site_id = b.site_id AND y.perspective = b.perspective AND NOT y.empty
				AND (b.perspective = 'phys' OR b.counted_at IS NULL OR y.promisable AND y.counted_at >= b.counted_at))
		RETURNING x.item_id, x.lot, x.expires_on
	)
	SELECT count(*) AS n, array_agg(g.item_id) AS items, array_agg(g.lot) AS lots, array_agg(g.expires_on) AS expiries INTO lots FROM g;
	IF lots.n > 0 THEN
		PERFORM distsync_internal.inventory_keep_lots(lots.items, lots.lots, lots.expiries);
	END IF;
	DELETE FROM dist.stock_in_flight x USING distsync_internal.inventory_idle_flights(w.items, w.sites, max_rows, until) f WHERE x.item_id = f.item_id AND x.site_id = f.site_id AND x.reference = f.reference;
	GET DIAGNOSTICS gone = ROW_COUNT;
	gone := gone + lots.n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_retain_lots(bigint, bigint, integer, timestamptz) IS
	'Of the next max_rows pools after a key deletes balances of lots that are 0 and have not moved since before distsync.stock_retention, as of t, where another balance says that the perspective speaks, and of the book when it counted (when such a lot expired is kept in dist.stock_lot), and movements in flight as inventory_idle_flights() says, as many at most. Returns the last key looked at, whether there are more, and how many went.';

-- inventory_retain_rest does what is little: lists of stock that a later one has overtaken, and quotas that have ended.
CREATE FUNCTION distsync_internal.inventory_retain_rest(t timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	until timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', t);
	n integer;
	b record;
BEGIN
	WITH q AS (
		DELETE FROM dist.stock_quota q WHERE upper(q.period) < until AND NOT upper_inf(q.period) RETURNING q.item_id, q.quota_id
	), s AS (
		DELETE FROM dist.stock_quota_shipped s USING q WHERE s.item_id = q.item_id AND s.quota_id = q.quota_id
	)
	SELECT count(*) INTO n FROM q;
	-- one by one: whoever deletes barriers, also none, makes all backends read their codes anew
	FOR b IN SELECT x.site_id, x.perspective, x.state, x.as_of FROM dist.stock_barrier x
		WHERE x.as_of < until AND EXISTS (SELECT FROM dist.stock_barrier o WHERE o.site_id = x.site_id AND o.perspective = x.perspective AND o.state = x.state AND o.as_of > x.as_of)
	LOOP
		DELETE FROM dist.stock_barrier x WHERE x.site_id = b.site_id AND x.perspective = b.perspective AND x.state = b.state AND x.as_of = b.as_of;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_retain_rest(timestamptz) IS 'Deletes quotas that ended, and barriers of lists that were overtaken, before distsync.stock_retention as of t. Returns how many.';

-- inventory_clear does one round of all that. A pass goes through everything, a round at a time; then an hour passes.
CREATE FUNCTION distsync_internal.inventory_clear(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	n integer := least(max_rows, 1000);
	p record;
	r record;
	next_phase text;
BEGIN
	SELECT x.phase, x.done, COALESCE(x.total, 0) AS total, x.updated_at INTO p FROM sync.progress x WHERE x.operation = 'stock rows';
	IF p.phase = 'waiting' AND p.updated_at BETWEEN t - interval '1 hour' AND t THEN
		RETURN 0;
	ELSIF COALESCE(p.phase, 'waiting') = 'waiting' THEN
		SELECT 'reservations' AS phase, 0::bigint AS done, 0::bigint AS total INTO p;
	END IF;
	IF p.phase = 'reservations' THEN
		SELECT x.after AS done, 0::bigint AS total, x.more, x.gone INTO r FROM distsync_internal.inventory_retain_reservations(p.done, n, t) x;
		next_phase := 'demand';
	ELSIF p.phase = 'lots' THEN
		SELECT x.after_item AS done, x.after_site AS total, x.more, x.gone INTO r FROM distsync_internal.inventory_retain_lots(p.done, p.total, n, t) x;
		next_phase := 'rest';
	ELSIF p.phase = 'rest' THEN
		-- quotas are locked before pools: a round of their own
		SELECT 0::bigint AS done, 0::bigint AS total, false AS more, x AS gone INTO r FROM distsync_internal.inventory_retain_rest(t) x;
		next_phase := 'waiting';
	ELSE
		SELECT x.after_item AS done, x.after_id AS total, x.more, x.gone INTO r FROM distsync_internal.inventory_retain_lines(p.phase, p.done, p.total, n, t) x;
		next_phase := CASE p.phase WHEN 'demand' THEN 'supply' ELSE 'lots' END;
	END IF;
	INSERT INTO sync.progress AS x (operation, phase, done, total, started_at, updated_at)
	VALUES ('stock rows', CASE WHEN r.more THEN p.phase ELSE next_phase END, CASE WHEN r.more THEN r.done ELSE 0 END, CASE WHEN r.more THEN r.total ELSE 0 END, t, clock_timestamp())
	ON CONFLICT (operation) DO UPDATE SET phase = excluded.phase, done = excluded.done, total = excluded.total, started_at = CASE WHEN x.phase = 'waiting' THEN excluded.started_at ELSE x.started_at END, updated_at = excluded.updated_at;
	RETURN CASE WHEN r.more OR next_phase <> 'waiting' THEN greatest(r.gone, 1) ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_clear(integer) IS
	'Clerk task: deletes what has ended for longer than distsync.hold_retention and distsync.stock_retention keep it, at most max_rows at once (1,000): reservations, demand, supply, empty lots, movements that nothing waits for, at the end of a pass barriers and quotas. sync.progress (stock rows) says how far it is; an hour after a pass the next one begins. Returns 0 when the pass is at its end.';

-- inventory_retention_doctor does the look at whether the clerk keeps up, and at what only people can end.
CREATE FUNCTION distsync_internal.inventory_retention_doctor() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	holds_until timestamptz := distsync_internal.inventory_kept_until('distsync.hold_retention', t);
	until timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', t);
	old bigint;
BEGIN
	-- of the first ones: they are the oldest
	SELECT count(*) INTO old FROM (SELECT * FROM dist.reservation x ORDER BY x.reservation_id LIMIT 10000) r
	WHERE distsync_internal.inventory_is_over(r.state, r.ended_at, r.demand_key, holds_until - interval '1 day', until - interval '1 day')
		AND NOT EXISTS (SELECT FROM dist.reservation g WHERE g.kit_group = r.kit_group AND g.ended_at < least(holds_until, until) IS NOT TRUE);
	RETURN QUERY SELECT 'stock rows that have ended are cleared away', old = 0,
		CASE WHEN old = 0 THEN format('holds are kept until %s, what has shipped until %s', COALESCE(holds_until::text, 'ever'), COALESCE(until::text, 'ever')) ELSE format('%s of the first 10,000 reservations are older than they are kept', old) END,
		CASE WHEN old > 0 THEN 'Start the clerk; nothing is answered wrongly meanwhile.' END, CASE WHEN old > 0 THEN 'SELECT distsync_internal.inventory_clear(1000)' END;
	RETURN QUERY
	SELECT 'movements are posted by both sides', count(*) = 0, CASE WHEN count(*) = 0 THEN 'nothing is in flight for more than thirty days' ELSE format('%s references are in flight for more than thirty days, the first since %s', count(*), min(w.event_at)) END,
		CASE WHEN count(*) > 0 THEN 'The book has not posted what the warehouse told: post it, or let the book count the item.' END,
		CASE WHEN count(*) > 0 THEN 'SELECT i.sku, s.code, w.reference, w.phys, w.book, w.event_at FROM dist.stock_in_flight w JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) ORDER BY w.event_at LIMIT 100' END
	FROM dist.stock_in_flight w WHERE w.event_at < t - interval '30 days';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_retention_doctor() IS 'Doctor handler: reservations that are kept for longer than they should be, and movements that one side has not told for a month.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'inventory_clear', 820, 'distsync_internal.inventory_clear'),
	('doctor', 'inventory_retention', 100, 'distsync_internal.inventory_retention_doctor');
