-- Small things that status(), doctor() and metrics() share.

-- ops_age does the writing of a duration for people: one number, one unit.
CREATE FUNCTION distsync_internal.ops_age(age interval) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN s < 10 THEN round(greatest(s, 0), 1) || ' s' WHEN s < 120 THEN round(s) || ' s' WHEN s < 7200 THEN round(s / 60) || ' min'
		WHEN s < 172800 THEN round(s / 3600) || ' h' ELSE round(s / 86400) || ' d' END
	FROM (SELECT extract(epoch FROM age)) AS x(s)
$$;
COMMENT ON FUNCTION distsync_internal.ops_age(interval) IS 'A duration as text: 0.4 s, 90 s, 4 min, 3 h, 5 d. NULL for NULL.';

-- ops_is_set_up does the question whether setup() has run here, so that whoever watches says so instead of failing.
CREATE FUNCTION distsync_internal.ops_is_set_up() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_regclass('sync.instance') IS NOT NULL AND to_regclass('dist.item') IS NOT NULL
$$;
COMMENT ON FUNCTION distsync_internal.ops_is_set_up() IS 'Whether setup() has run in this database.';

-- ops_preloaded does the look-up of a library in shared_preload_libraries.
CREATE FUNCTION distsync_internal.ops_preloaded(library text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM string_to_table(current_setting('shared_preload_libraries'), ',') l WHERE btrim(l, E' "\t') IN (library, '$libdir/' || library));
EXCEPTION WHEN insufficient_privilege THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_preloaded(text) IS 'Whether the server preloads a library; NULL if distsync_owner may not read the setting (see doctor()).';

-- ops_workers does the listing of the launcher and of the workers of this database.
CREATE FUNCTION distsync_internal.ops_workers() RETURNS TABLE (kind text, pid integer, state text, started_at timestamptz, last_loop_at timestamptz, last_error text, restarts bigint, idle_reason text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT w.kind, w.pid, w.state, w.started_at, w.last_loop_at, w.last_error, w.restarts, w.idle_reason
	FROM distsync_internal.worker_status() w WHERE w.database = current_database() AND w.kind IN ('courier', 'clerk') OR w.kind = 'launcher' ORDER BY w.kind
$$;
COMMENT ON FUNCTION distsync_internal.ops_workers() IS 'Launcher, and the workers of this database: kind, pid (NULL while it does not run), state, since when, last loop, last error, restarts, why it idles.';

-- ops_outbox_waiting does the counting of outbox rows that the router has not read, up to 100,000 of each outbox: more is more than
-- anybody needs to know, and a probe must stay cheap.
CREATE FUNCTION distsync_internal.ops_outbox_waiting() RETURNS TABLE (lane_group text, rows bigint, oldest_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen pg_snapshot;
	target pg_snapshot;
	done_customer bigint;
	done_item bigint;
BEGIN
	SELECT c.snapshot, c.target, c.done_customer, c.done_item INTO seen, target, done_customer, done_item FROM sync.router_cursor c
	WHERE c.system_identifier = (SELECT p.system_identifier FROM pg_control_system() p) ORDER BY c.moved_at DESC LIMIT 1;
	RETURN QUERY
	SELECT 'customer'::text, count(*), min(x.at)
	FROM (SELECT o.at FROM sync.outbox_customer o
		  WHERE seen IS NULL OR o.xid >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(o.xid, seen)
			AND NOT (target IS NOT NULL AND o.outbox_id <= done_customer AND pg_visible_in_snapshot(o.xid, target)) LIMIT 100000) x
	UNION ALL
	SELECT 'item'::text, count(*), min(x.at)
	FROM (SELECT o.at FROM sync.outbox_item o
		  WHERE seen IS NULL OR o.xid >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(o.xid, seen)
			AND NOT (target IS NOT NULL AND o.outbox_id <= done_item AND pg_visible_in_snapshot(o.xid, target)) LIMIT 100000) x;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_outbox_waiting() IS 'A row for each outbox: rows not yet routed (at most 100,000 are counted) and when the oldest of them was written.';

-- ops_lanes_waiting does the counting of deliveries that wait in the lanes of each endpoint.
CREATE FUNCTION distsync_internal.ops_lanes_waiting() RETURNS TABLE (endpoint_id bigint, deliveries bigint, blocked bigint, oldest_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT l.endpoint_id, sum(l.depth), count(*) FILTER (WHERE l.state = 'blocked'), min(d.event_at)
	FROM sync.lane l LEFT JOIN sync.delivery d ON d.delivery_id = l.head_id
	WHERE l.depth > 0 GROUP BY l.endpoint_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_lanes_waiting() IS 'A row for each endpoint that has something waiting: deliveries, blocked lanes, capture time of the oldest delivery in front.';
