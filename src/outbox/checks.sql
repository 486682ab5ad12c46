-- What must always hold of the way out, what is not as it should be, and how much there is of it.

-- outbox_verify does the check of the invariants.
CREATE FUNCTION distsync_internal.outbox_verify() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	-- nothing captured is passed over: it is in the stream, or the router has not come to it yet
	SELECT 'outbox.lost', o.entity, o.entity_key, jsonb_build_object('xid', o.xid::text, 'outbox_id', o.outbox_id, 'message_id', o.message_id)
	FROM sync.outbox o
	JOIN sync.router_cursor c ON c.router = 'main' AND pg_visible_in_snapshot(o.xid, c.snapshot)
	WHERE o.kind = 'document' AND NOT EXISTS (SELECT FROM sync.event e WHERE e.entity = o.entity AND e.entity_key = o.entity_key AND e.message_id = o.message_id)
		AND o.at > (SELECT min(e.routed_at) FROM sync.event e)
	UNION ALL
	-- nothing is in the stream twice, and it has no gaps
	SELECT 'outbox.stream', 'event', NULL, jsonb_build_object('first', min(e.position), 'last', max(e.position), 'events', count(*), 'ids', count(DISTINCT e.message_id), 'cursor', (SELECT c.position FROM sync.router_cursor c WHERE c.router = 'main'))
	FROM sync.event e
	HAVING count(*) > 0 AND (max(e.position) <> (SELECT c.position FROM sync.router_cursor c WHERE c.router = 'main') OR count(DISTINCT e.message_id) <> count(*)
		OR (max(e.position) - min(e.position) + 1 <> count(*) AND NOT EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'outbox retention' AND p.done > 0)))
	UNION ALL
	-- the versions of an entity grow with the stream
	SELECT 'outbox.version', v.entity, v.entity_key, jsonb_build_object('position', v.position, 'version', v.entity_version, 'before', v.before)
	FROM (SELECT e.*, lag(e.entity_version) OVER (PARTITION BY e.entity, e.entity_key ORDER BY e.position) AS before FROM sync.event e) v
	WHERE v.entity_version <= v.before
	UNION ALL
	-- what partners acknowledged came in order: a later one was not delivered before an earlier one ended
	SELECT 'outbox.order', 'delivery', v.delivery_id::text, jsonb_build_object('lane', v.lane_key, 'finished_at', v.finished_at, 'earlier_one_finished_at', v.before)
	FROM (SELECT d.*, lag(d.finished_at) OVER (PARTITION BY d.endpoint_id, d.lane_key ORDER BY d.delivery_id) AS before
		  FROM sync.delivery d WHERE d.state = 'delivered' AND NOT EXISTS (SELECT FROM sync.dead_letter x WHERE x.delivery_id = d.delivery_id)) v
	WHERE v.finished_at < v.before
	UNION ALL
	-- no lease outlives itself while somebody looks after it
	SELECT 'outbox.lease', 'lane', l.lane_key, jsonb_build_object('endpoint_id', l.endpoint_id, 'lease_until', l.lease_until)
	FROM sync.lane l
	WHERE l.state = 'leased' AND l.lease_until < clock_timestamp() - interval '1 minute' AND distsync_internal.instance_state() = 'active'
	UNION ALL
	SELECT 'outbox.lease', 'lane', min(l.lane_key), jsonb_build_object('lease', l.lease, 'lanes', count(*)) FROM sync.lane l WHERE l.lease IS NOT NULL GROUP BY l.lease HAVING count(*) > 1
	UNION ALL
	-- every unfinished delivery is in its lane, and a lane is what it holds
	SELECT 'outbox.lane', 'lane', COALESCE(l.lane_key, d.lane_key), jsonb_build_object('endpoint_id', COALESCE(l.endpoint_id, d.endpoint_id), 'state', l.state, 'head', l.head_id, 'first', d.first, 'depth', l.depth, 'waiting', d.n)
	FROM sync.lane l
	FULL JOIN (SELECT x.endpoint_id, x.lane_key, min(x.delivery_id) AS first, count(*) AS n FROM sync.delivery x WHERE x.state IN ('queued', 'parked') GROUP BY 1, 2) d
		ON d.endpoint_id = l.endpoint_id AND d.lane_key = l.lane_key
	LEFT JOIN sync.delivery h ON h.delivery_id = l.head_id
	WHERE l.endpoint_id IS NULL OR h.delivery_id IS NULL
		OR l.depth <> COALESCE(d.n, 0) + CASE WHEN h.state = 'dead' AND l.state = 'blocked' THEN 1 ELSE 0 END
		OR (h.state NOT IN ('queued', 'parked') AND NOT (h.state = 'dead' AND l.state = 'blocked'))
		OR (l.state <> 'leased' AND h.state IN ('queued', 'parked') AND l.head_id <> d.first)
	UNION ALL
	-- nothing ends silently
	SELECT 'outbox.silent', 'delivery', d.delivery_id::text, jsonb_build_object('state', d.state, 'attempts', d.attempts)
	FROM sync.delivery d
	WHERE (d.state = 'dead' AND NOT EXISTS (SELECT FROM sync.dead_letter x WHERE x.delivery_id = d.delivery_id))
		OR (d.state = 'delivered' AND NOT EXISTS (SELECT FROM sync.attempt a WHERE a.delivery_id = d.delivery_id AND a.verdict = 'delivered'))
	UNION ALL
	-- what listeners were told is what is true, or a marker waits
	SELECT 'outbox.untold', u.entity, u.entity_key, u.detail || jsonb_build_object('event_type', u.event_type) FROM distsync_internal.outbox_untold(1000) u
$$;
COMMENT ON FUNCTION distsync_internal.outbox_verify() IS
	'Invariants of the outbox: lost (a captured document is routed or to come), stream (no gap, no double), version, order (of acknowledged deliveries in a lane), lease, lane (depth and head fit), silent (every end has its record), untold (of a thousand states what was told is what would be told, or is to come). No row = all hold. Reads the whole stream.';

-- outbox_doctor does the listing of what people should know about the way out.
CREATE FUNCTION distsync_internal.outbox_doctor() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'outbox.endpoint_state', false, format('Endpoint "%s" is %s: %s. %s deliveries wait.', e.code, e.state, e.state_reason, (SELECT count(*) FROM sync.delivery d WHERE d.endpoint_id = e.endpoint_id AND d.state = 'parked')),
		'What waits is sent in its order when the endpoint opens.', format('SELECT distsync.set_endpoint_state(%L, ''active'')', e.code)
	FROM sync.endpoint e WHERE e.state <> 'active'
	UNION ALL
	SELECT 'outbox.endpoint_key', false, format('Endpoint "%s" must sign and has no key that is valid now: nothing is sent to it.', e.code), 'Give it a new key and tell the partner.', format('SELECT distsync.rotate_secret(%L)', e.code)
	FROM sync.endpoint e
	WHERE e.scheme <> 'none' AND e.kind = 'http' AND NOT EXISTS (SELECT FROM sync.secret s WHERE s.kind = 'endpoint' AND s.code = e.code AND s.valid @> clock_timestamp())
	UNION ALL
	SELECT 'outbox.endpoint_failing', false, format('Endpoint "%s" has been failing since %s.', e.code, e.failing_since), 'Look at the last attempts; it is disabled when it fails too long.',
		format('SELECT a.finished_at, a.status, a.error FROM sync.attempt a JOIN sync.delivery d USING (delivery_id) WHERE d.endpoint_id = %s ORDER BY a.finished_at DESC LIMIT 10', e.endpoint_id)
	FROM sync.endpoint e WHERE e.state = 'active' AND e.failing_since < clock_timestamp() - interval '5 minutes'
	UNION ALL
	SELECT 'outbox.dead_letters', false, format('%s dead letters of endpoint "%s" wait for a decision, the oldest since %s.', count(*), p.code, min(x.died_at)), 'Send them again once the cause is mended, or give them up with resolution ignored.',
		format('SELECT distsync.requeue(jsonb_build_object(''endpoint'', %L))', p.code)
	FROM sync.dead_letter x JOIN sync.endpoint p ON p.endpoint_id = x.endpoint_id WHERE x.resolution = 'open' GROUP BY p.code
	UNION ALL
	SELECT 'outbox.capture_mode', current_setting('distsync.capture') = 'trigger', format('distsync.capture is %s.', current_setting('distsync.capture')), 'With verb, changes made outside the verbs are not told.', 'ALTER SYSTEM RESET distsync.capture'
	UNION ALL
	SELECT 'outbox.capture_trigger', false, format('Changes of table %s are not captured: %s.', c.table_name, CASE WHEN t.n = 0 THEN 'its triggers are missing' ELSE 'a trigger is disabled' END), 'Make the triggers anew; changes made meanwhile are to be told by hand.', 'SELECT distsync.setup()'
	FROM distsync_internal.capture c
	CROSS JOIN LATERAL (SELECT count(*) AS n, count(*) FILTER (WHERE g.tgenabled IN ('O', 'A')) AS enabled FROM pg_trigger g
						WHERE g.tgrelid = to_regclass(c.table_name) AND NOT g.tgisinternal AND position(convert_to(c.event_type, 'UTF8') IN g.tgargs) > 0) t
	WHERE t.enabled < 3
	UNION ALL
	SELECT 'outbox.capture_blind', false, format('Table %s is filled by a subscription: its changes fire no trigger here.', c.table_name), 'Let the publisher tell them, or set the triggers ENABLE ALWAYS.', NULL
	FROM distsync_internal.capture c JOIN pg_subscription_rel s ON s.srrelid = to_regclass(c.table_name)
	UNION ALL
	SELECT 'outbox.default_partition', false, format('%s holds rows: its partitions were not made in time.', d.name), 'The clerk makes partitions ahead; see whether it runs.', 'SELECT distsync_internal.schema_ensure_partitions()'
	FROM (SELECT 'sync.outbox_customer_default' AS name WHERE EXISTS (SELECT FROM sync.outbox_customer o WHERE o.tableoid = to_regclass('sync.outbox_customer_default'))
		  UNION ALL SELECT 'sync.outbox_item_default' WHERE EXISTS (SELECT FROM sync.outbox_item o WHERE o.tableoid = to_regclass('sync.outbox_item_default'))) d
$$;
COMMENT ON FUNCTION distsync_internal.outbox_doctor() IS 'What is not as it should be on the way out: closed, keyless or failing endpoints, dead letters, capture that is off or cannot see. ok is true where a check is fine.';

-- outbox_metrics does the counting.
CREATE FUNCTION distsync_internal.outbox_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT 'distsync_stream_position', '{}'::jsonb, c.position::numeric, 'counter', 'Events in the stream since the beginning.' FROM sync.router_cursor c WHERE c.router = 'main'
	UNION ALL
	SELECT 'distsync_router_idle_seconds', '{}', round(extract(epoch FROM clock_timestamp() - c.moved_at), 3), 'gauge', 'Time since the router last had something to do.' FROM sync.router_cursor c WHERE c.router = 'main'
	UNION ALL
	SELECT 'distsync_lanes', jsonb_build_object('endpoint', p.code, 'state', l.state), count(*), 'gauge', 'Lanes that are not empty, by state.' FROM sync.lane l JOIN sync.endpoint p ON p.endpoint_id = l.endpoint_id GROUP BY p.code, l.state
	UNION ALL
	SELECT 'distsync_deliveries_waiting', jsonb_build_object('endpoint', p.code), COALESCE(sum(l.depth), 0), 'gauge', 'Deliveries not yet finished.' FROM sync.endpoint p LEFT JOIN sync.lane l ON l.endpoint_id = p.endpoint_id GROUP BY p.code
	UNION ALL
	SELECT 'distsync_oldest_waiting_seconds', jsonb_build_object('endpoint', p.code), round(extract(epoch FROM clock_timestamp() - min(d.event_at)), 3), 'gauge', 'Age of the oldest change that an endpoint has not been told.'
	FROM sync.lane l JOIN sync.endpoint p ON p.endpoint_id = l.endpoint_id JOIN sync.delivery d ON d.delivery_id = l.head_id GROUP BY p.code
	UNION ALL
	SELECT 'distsync_dead_letters_open', jsonb_build_object('endpoint', p.code), count(x.delivery_id), 'gauge', 'Dead letters that wait for a decision.'
	FROM sync.endpoint p LEFT JOIN sync.dead_letter x ON x.endpoint_id = p.endpoint_id AND x.resolution = 'open' GROUP BY p.code
	UNION ALL
	SELECT 'distsync_endpoint_up', jsonb_build_object('endpoint', p.code), (p.state = 'active' AND p.failing_since IS NULL)::integer, 'gauge', '1 while an endpoint is open and does not fail.' FROM sync.endpoint p
	UNION ALL
	SELECT 'distsync_delivered_total', jsonb_build_object('flow', h.flow), sum(h.n), 'counter', 'Cases delivered, by route or flow, over the last 90 days.' FROM sync.latency h GROUP BY h.flow
	UNION ALL
	SELECT 'distsync_delivery_seconds_total', jsonb_build_object('flow', h.flow), round(sum(h.sum_us) / 1000000, 3), 'counter', 'Their time from commit to receipt, summed.' FROM sync.latency h GROUP BY h.flow
$$;
COMMENT ON FUNCTION distsync_internal.outbox_metrics() IS 'Measures of the way out: stream, lanes, waiting, dead letters, endpoints, latency.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('verify', 'outbox', 'distsync_internal.outbox_verify'),
	('doctor', 'outbox', 'distsync_internal.outbox_doctor'),
	('metric', 'outbox', 'distsync_internal.outbox_metrics');
