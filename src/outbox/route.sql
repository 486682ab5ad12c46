-- The router: from the outbox into the stream, and from there to the lanes of every endpoint that wants the event. One at a time in
-- a database; all of a call is one transaction, so an event is routed exactly once.

-- outbox_domain does the choice of the domain of an event type: the channel it rings, and the flow it is timed in.
CREATE FUNCTION distsync_internal.outbox_domain(event_type text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE split_part(event_type, '.', 1)
		WHEN 'price' THEN 'price' WHEN 'agreement' THEN 'price'
		WHEN 'stock' THEN 'stock' WHEN 'item' THEN 'stock' WHEN 'site' THEN 'stock' WHEN 'reservation' THEN 'stock'
		WHEN 'credit' THEN 'credit' WHEN 'payment' THEN 'credit' WHEN 'invoice' THEN 'credit' WHEN 'credit_memo' THEN 'credit' WHEN 'dispute' THEN 'credit' WHEN 'party' THEN 'credit'
		WHEN 'order' THEN 'order' WHEN 'shipment' THEN 'order' WHEN 'return' THEN 'order'
		WHEN 'exception' THEN 'exception'
	END;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_domain(text) IS 'price | stock | credit | order | exception by the first word of an event type, NULL for others. The NOTIFY channel is distsync_<domain>.';

-- outbox_ring does the ringing of one NOTIFY. The payload is id and type only, because channels have no access control.
CREATE FUNCTION distsync_internal.outbox_ring(event_type text, message_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	domain text := distsync_internal.outbox_domain(event_type);
BEGIN
	IF domain IS NOT NULL THEN
		PERFORM pg_notify('distsync_' || domain, format('{"id":"%s","type":%s}', message_id, to_json(event_type)));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_ring(text, uuid) IS 'NOTIFY on the channel of the type''s domain, payload {"id","type"}; nothing for types without a domain.';

-- outbox_stamp does the first entry of the router's cursor, and the new start on another server: transaction ids of the old one mean
-- nothing here. What was not routed there is stamped as written now, what was routed as written long ago.
CREATE FUNCTION distsync_internal.outbox_stamp() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
	here bigint := (SELECT system_identifier FROM pg_control_system());
	now_snapshot pg_snapshot := distsync_internal.outbox_snapshot();
	routed pg_snapshot;
BEGIN
	SELECT * INTO c FROM sync.router_cursor WHERE router = 'main' FOR UPDATE;
	IF NOT FOUND THEN
		INSERT INTO sync.router_cursor (router, snapshot, system_identifier) VALUES ('main', '1:1:', here) ON CONFLICT (router) DO NOTHING;
		RETURN;
	END IF;
	IF c.system_identifier = here THEN
		RETURN;
	END IF;
	routed := c.snapshot;
	UPDATE sync.outbox_customer o SET xid = CASE
		WHEN pg_visible_in_snapshot(o.xid, routed) OR (c.target IS NOT NULL AND pg_visible_in_snapshot(o.xid, c.target) AND o.outbox_id <= c.done_customer) THEN '0'::xid8
		ELSE pg_current_xact_id() END;
	UPDATE sync.outbox_item o SET xid = CASE
		WHEN pg_visible_in_snapshot(o.xid, routed) OR (c.target IS NOT NULL AND pg_visible_in_snapshot(o.xid, c.target) AND o.outbox_id <= c.done_item) THEN '0'::xid8
		ELSE pg_current_xact_id() END;
	UPDATE sync.router_cursor SET snapshot = now_snapshot, target = NULL, piece = NULL, done_customer = 0, done_item = 0, system_identifier = here, moved_at = clock_timestamp()
	WHERE router = 'main';
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_stamp() IS 'Makes the router''s cursor, or adopts the outbox of another server after a logical restore.';

-- outbox_wants does the test of a route's filter on the data of an event: a path that finds something, or a predicate that is true.
CREATE FUNCTION distsync_internal.outbox_wants(filter jsonpath, body bytea) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT filter IS NULL OR COALESCE(jsonb_path_query_first(convert_from(body, 'UTF8')::jsonb -> 'data', filter, '{}', true), 'null') NOT IN ('null', 'false')
$$;
COMMENT ON FUNCTION distsync_internal.outbox_wants(jsonpath, bytea) IS 'Whether the jsonpath finds something in the data of a CloudEvent (predicate: is true). No filter wants all.';

-- outbox_fan_out does the queueing of events of the stream at every endpoint that wants them. An endpoint is not told what its own
-- system said, and gets an event once, however many of its routes match.
CREATE FUNCTION distsync_internal.outbox_fan_out(first_position bigint, last_position bigint, t timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	queued bigint[];
BEGIN
	WITH told AS MATERIALIZED (
		SELECT DISTINCT e.event_type FROM sync.event e WHERE e.position BETWEEN first_position AND last_position
	), way AS MATERIALIZED (
		-- the types are few, the events many
		SELECT t.event_type, r.route_id, r.endpoint_id, r.ordering, r.filter, COALESCE(r.mapping, '') AS mapping, p.system, CASE p.state WHEN 'active' THEN 'queued' ELSE 'parked' END AS state
		FROM sync.route r
		JOIN sync.endpoint p ON p.endpoint_id = r.endpoint_id
		JOIN told t ON t.event_type LIKE distsync_internal.outbox_pattern(r.event_type)
		WHERE r.status = 'active'
	), wanted AS MATERIALIZED (
		SELECT DISTINCT ON (e.position, w.endpoint_id, w.mapping)
			e.position, w.route_id, w.endpoint_id, CASE w.ordering WHEN 'entity' THEN e.entity || '/' || e.entity_key ELSE format('#%s.%s', e.position, w.route_id) END AS lane_key,
			w.state, e.at, e.message_id
		FROM way w
		JOIN sync.event e ON e.position BETWEEN first_position AND last_position AND e.event_type = w.event_type
		WHERE e.origin IS DISTINCT FROM w.system AND CASE WHEN w.filter IS NULL THEN true ELSE distsync_internal.outbox_wants(w.filter, e.body) END
		ORDER BY e.position, w.endpoint_id, w.mapping, w.route_id
	), inserted AS (
		INSERT INTO sync.delivery (position, route_id, endpoint_id, lane_key, state, created_at, event_at, message_id)
		SELECT w.position, w.route_id, w.endpoint_id, w.lane_key, w.state, t, w.at, w.message_id FROM wanted w ORDER BY w.position, w.route_id
		RETURNING delivery_id
	)
	SELECT array_agg(delivery_id) INTO queued FROM inserted;
	RETURN CASE WHEN queued IS NULL THEN 0 ELSE distsync_internal.outbox_enqueue(queued, t) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_fan_out(bigint, bigint, timestamptz) IS
	'Makes deliveries of the events from first_position to last_position by the active routes: type pattern, filter, not back to the origin. Returns how many.';

-- outbox_enqueue does the putting of new deliveries into their lanes, and lets the newest state take the place of older ones where the
-- route says so. It locks the lanes first, in one order, so that it agrees with who finishes their heads.
CREATE FUNCTION distsync_internal.outbox_enqueue(deliveries bigint[], t timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	latest boolean;
BEGIN
	INSERT INTO sync.lane AS l (endpoint_id, lane_key, state, head_id, depth, due_at)
	SELECT d.endpoint_id, d.lane_key, CASE WHEN bool_or(d.state = 'parked') THEN 'blocked' ELSE 'ready' END, min(d.delivery_id), count(*), t
	FROM sync.delivery d
	WHERE d.delivery_id = ANY (deliveries)
	GROUP BY d.endpoint_id, d.lane_key
	ORDER BY d.endpoint_id, d.lane_key
	ON CONFLICT (endpoint_id, lane_key) DO UPDATE SET depth = l.depth + excluded.depth;
	SELECT EXISTS (SELECT FROM sync.delivery d JOIN sync.route r ON r.route_id = d.route_id AND r.on_block = 'latest'
				   JOIN sync.lane l ON l.endpoint_id = d.endpoint_id AND l.lane_key = d.lane_key AND l.depth > 1
				   WHERE d.delivery_id = ANY (deliveries)) INTO latest;
	IF latest THEN
		PERFORM distsync_internal.outbox_supersede(deliveries, t);
	END IF;
	RETURN cardinality(deliveries);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_enqueue(bigint[], timestamptz) IS 'Puts new deliveries behind what waits in their lanes; lanes are made as needed. Returns how many.';

-- outbox_supersede does the dropping of states that a newer one has made pointless. What is being sent is left alone.
CREATE FUNCTION distsync_internal.outbox_supersede(deliveries bigint[], t timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone bigint[];
BEGIN
	WITH newest AS (
		SELECT d.endpoint_id, d.lane_key, max(d.delivery_id) AS delivery_id
		FROM sync.delivery d
		JOIN sync.route r ON r.route_id = d.route_id AND r.on_block = 'latest'
		WHERE d.delivery_id = ANY (deliveries)
		GROUP BY d.endpoint_id, d.lane_key
	), old AS (
		UPDATE sync.delivery d SET state = 'superseded', finished_at = t
		FROM newest n
		JOIN sync.lane l ON l.endpoint_id = n.endpoint_id AND l.lane_key = n.lane_key
		WHERE d.endpoint_id = n.endpoint_id AND d.lane_key = n.lane_key AND d.delivery_id < n.delivery_id AND d.state IN ('queued', 'parked')
			AND NOT (l.state = 'leased' AND l.head_id = d.delivery_id)
			AND d.route_id IN (SELECT r.route_id FROM sync.route r WHERE r.on_block = 'latest')
		RETURNING d.delivery_id
	)
	SELECT array_agg(delivery_id) INTO gone FROM old;
	UPDATE sync.lane l SET depth = l.depth - g.n,
		head_id = CASE WHEN l.head_id = ANY (gone)
			THEN (SELECT min(d.delivery_id) FROM sync.delivery d WHERE d.endpoint_id = l.endpoint_id AND d.lane_key = l.lane_key AND d.state IN ('queued', 'parked'))
			ELSE l.head_id END,
		failures = CASE WHEN l.head_id = ANY (gone) THEN 0 ELSE l.failures END
	FROM (SELECT d.endpoint_id, d.lane_key, count(*)::integer AS n FROM sync.delivery d WHERE d.delivery_id = ANY (gone) GROUP BY 1, 2) g
	WHERE l.endpoint_id = g.endpoint_id AND l.lane_key = g.lane_key;
	RETURN COALESCE(cardinality(gone), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_supersede(bigint[], timestamptz) IS
	'Marks unsent older deliveries of routes with on_block latest as superseded, in the lanes of the given new ones. Returns how many.';

-- outbox_route does one step of the router: a piece of what has become visible goes into the stream and to the lanes.
CREATE FUNCTION distsync_internal.outbox_route(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	c sync.router_cursor%ROWTYPE;
	until pg_snapshot;
	step integer;
	drafts distsync_internal.outbox_draft[];
	customers integer;
	items integer;
	last_customer bigint;
	last_item bigint;
	stored integer := 0;
	began timestamptz := clock_timestamp();
	t timestamptz;
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtextextended('distsync.router', 0)) THEN
		RETURN 0;
	END IF;
	SELECT * INTO c FROM sync.router_cursor WHERE router = 'main';
	IF NOT FOUND OR c.system_identifier <> (SELECT system_identifier FROM pg_control_system()) THEN
		PERFORM distsync_internal.outbox_stamp();
		SELECT * INTO c FROM sync.router_cursor WHERE router = 'main';
	END IF;
	-- one statement, one snapshot: the window, its rows, and the state that markers are rendered from
	SELECT w.until, w.step, d.customers, d.items, d.last_customer, d.last_item, d.drafts INTO until, step, customers, items, last_customer, last_item, drafts
	FROM (SELECT s.until, distsync_internal.outbox_late(c.snapshot, s.until) AS late,
			least(greatest(max_rows, 1, COALESCE(c.piece, distsync_internal.outbox_first_piece(c.snapshot, s.until))), 1000000) AS step
		  FROM (SELECT COALESCE(c.target, distsync_internal.outbox_snapshot()) AS until) s OFFSET 0) w
	CROSS JOIN LATERAL distsync_internal.outbox_drafts(c.snapshot, w.until, w.late, c.done_customer, c.done_item, w.step, 100000) d;
	IF customers = 0 AND items = 0 AND c.target IS NULL THEN
		UPDATE sync.router_cursor SET busy = '0' WHERE router = 'main' AND busy > '0';
		RETURN 0;
	END IF;
	t := clock_timestamp();
	IF cardinality(drafts) > 0 THEN
		stored := distsync_internal.outbox_store(drafts, c.position, t);
		PERFORM distsync_internal.outbox_fan_out(c.position + 1, c.position + stored, t);
	END IF;
	IF customers < step AND items < step THEN
		UPDATE sync.router_cursor SET snapshot = until, target = NULL, piece = NULL, done_customer = 0, done_item = 0, position = c.position + stored, moved_at = t,
			busy = CASE WHEN c.target IS NULL THEN '0' ELSE c.busy END + (clock_timestamp() - began)
		WHERE router = 'main';
		-- behind the last piece of an old window there may be a new one
		RETURN CASE WHEN c.target IS NULL THEN least(customers + items, max_rows) ELSE max_rows END;
	END IF;
	UPDATE sync.router_cursor SET target = until, piece = COALESCE(c.piece, distsync_internal.outbox_piece_size(c.snapshot, until)),
		done_customer = last_customer, done_item = last_item, position = c.position + stored, moved_at = t,
		busy = CASE WHEN c.target IS NULL THEN '0' ELSE c.busy END + (clock_timestamp() - began)
	WHERE router = 'main';
	RETURN max_rows;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_route(integer) IS
	'Courier function: routes what has become visible in the outbox, about max_rows documents and changed entities of each outbox a call. Returns how many were read; max_rows when there may be more. 0 at once when another router works. Safe with late commits and prepared transactions.';

-- outbox_first_piece does the guess how much is read of a window that may be large: each piece reads all of it, so there are few. How
-- many transactions there were is known without counting rows.
CREATE FUNCTION distsync_internal.outbox_first_piece(before pg_snapshot, target pg_snapshot) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN least((pg_snapshot_xmax(target)::text::numeric - pg_snapshot_xmax(before)::text::numeric) / 8, 10000)::integer;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_first_piece(pg_snapshot, pg_snapshot) IS 'An eighth of the transactions between two snapshots, at most 10,000: they need not have written here.';

-- outbox_piece_size does the choice of how much is read of a window that was larger than guessed, by its rows.
CREATE FUNCTION distsync_internal.outbox_piece_size(before pg_snapshot, target pg_snapshot) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT least(greatest(
		(SELECT count(*) FROM sync.outbox_customer o WHERE o.xid >= pg_snapshot_xmin(before) AND o.xid < pg_snapshot_xmax(target)),
		(SELECT count(*) FROM sync.outbox_item o WHERE o.xid >= pg_snapshot_xmin(before) AND o.xid < pg_snapshot_xmax(target))) / 8, 50000)::integer
$$;
COMMENT ON FUNCTION distsync_internal.outbox_piece_size(pg_snapshot, pg_snapshot) IS 'An eighth of the larger outbox between two snapshots, at most 50,000 rows.';

-- outbox_pace does the choice of how long state events wait after a window that took so long to route: a tenth of one processor is
-- enough for news that replace each other.
CREATE FUNCTION distsync_internal.outbox_pace(busy interval) RETURNS interval
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN least(busy * 9, current_setting('distsync.courier_state_delay')::interval);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_pace(interval) IS 'Nine times the given time, at most distsync.courier_state_delay.';

-- outbox_pressing does the look for something that must not wait: anything new in the customer outbox, where orders and money are.
CREATE FUNCTION distsync_internal.outbox_pressing(routed pg_snapshot) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	RETURN EXISTS (SELECT FROM sync.outbox_customer o WHERE o.xid >= pg_snapshot_xmin(routed) AND NOT pg_visible_in_snapshot(o.xid, routed));
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_pressing(pg_snapshot) IS 'Whether the customer outbox has rows that the router has not seen.';

-- outbox_route_paced does a step of the router when it is time for one. States of items that change all the time are left alone for a
-- while, and then told once however often they changed; what orders and payments say goes out at once, and takes them along.
CREATE FUNCTION distsync_internal.outbox_route_paced(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	c record;
	rest interval;
BEGIN
	SELECT moved_at, busy, target, snapshot INTO c FROM sync.router_cursor WHERE router = 'main';
	IF c.busy > '0' AND c.target IS NULL THEN
		rest := c.moved_at + distsync_internal.outbox_pace(c.busy) - clock_timestamp();
		-- a clock that was set back is no reason to wait
		IF rest > '0' AND rest <= distsync_internal.outbox_pace(c.busy) AND NOT distsync_internal.outbox_pressing(c.snapshot) THEN
			RETURN -ceil(extract(epoch FROM rest) * 1000);
		END IF;
	END IF;
	RETURN distsync_internal.outbox_route(max_rows);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_route_paced(integer) IS
	'Courier function: outbox_route(), unless only states of items are new and the last window was routed less than outbox_pace() ago. Returns how many were read; below 0: for so many milliseconds states are left alone, and nothing else is new.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('courier', 'route', 'distsync_internal.outbox_route_paced');
