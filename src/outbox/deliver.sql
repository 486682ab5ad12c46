-- Sending: claim gives the courier complete requests under a lease, finish takes the answers. Each is a short transaction of its own;
-- none is open while HTTP runs. The lane is what is locked; a result counts only while its lease still holds.

-- outbox_result does the carrying of one answer through finish.
CREATE TYPE distsync_internal.outbox_result AS (
	delivery_id bigint, lease uuid, status integer, curl_code integer, error text, retry_after integer, response_headers text, response_body bytea,
	dns_us bigint, connect_us bigint, tls_us bigint, ttfb_us bigint, total_us bigint,
	position bigint, route_id bigint, endpoint_id bigint, lane_key text, attempts smallint, event_at timestamptz, message_id uuid,
	depth integer, on_block text, verdict text, fate text, pause interval
);
COMMENT ON TYPE distsync_internal.outbox_result IS
	'An answer to a delivery. verdict: delivered | retry | rejected | gone | late. fate: delivered | waiting | dead | parked, NULL for a late one. pause: until the next try.';

-- outbox_floor does the answer to where the search for due lanes of an endpoint starts: what was claimed before has left only dead index
-- entries. It runs no SQL.
CREATE FUNCTION distsync_internal.outbox_floor(endpoint_id bigint) RETURNS timestamptz
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'ds_sql_outbox_floor';
COMMENT ON FUNCTION distsync_internal.outbox_floor(bigint) IS 'Due time from which this session searches the lanes of an endpoint; -infinity at least every five seconds.';

-- outbox_raise_floor does the noting of what was claimed. It runs no SQL.
CREATE FUNCTION distsync_internal.outbox_raise_floor(endpoint_id bigint, due_at timestamptz) RETURNS void
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'ds_sql_outbox_raise_floor';
COMMENT ON FUNCTION distsync_internal.outbox_raise_floor(bigint, timestamptz) IS 'Lets later searches of this session start one second before a due time that was claimed.';

-- outbox_drop_floors does the forgetting, when a search found nothing. It runs no SQL.
CREATE FUNCTION distsync_internal.outbox_drop_floors() RETURNS boolean
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'ds_sql_outbox_drop_floors';
COMMENT ON FUNCTION distsync_internal.outbox_drop_floors() IS 'Lets the next searches of this session be whole ones. Returns whether they were not.';

-- outbox_open_endpoints does the listing of endpoints that may be sent to now, and how many requests more each may have. An endpoint
-- that must sign and has no live key is left out, so that one mistake in configuration stops nobody else.
CREATE FUNCTION distsync_internal.outbox_open_endpoints(endpoint_kind text) RETURNS TABLE (endpoint_id bigint, room integer, busy integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT e.endpoint_id, e.max_inflight - COALESCE(b.n, 0), COALESCE(b.n, 0)
	FROM sync.endpoint e
	LEFT JOIN (SELECT l.endpoint_id, count(*)::integer AS n FROM sync.lane l WHERE l.state = 'leased' GROUP BY l.endpoint_id) b ON b.endpoint_id = e.endpoint_id
	WHERE e.state = 'active' AND e.kind = outbox_open_endpoints.endpoint_kind AND e.max_inflight > COALESCE(b.n, 0)
		AND (e.scheme = 'none' OR e.kind = 'pull' OR EXISTS (SELECT FROM sync.secret s WHERE s.kind = 'endpoint' AND s.code = e.code AND s.valid @> clock_timestamp()))
$$;
COMMENT ON FUNCTION distsync_internal.outbox_open_endpoints(text) IS 'Active endpoints of a kind (http, pull) with a key where they sign: room = requests they may have more, busy = those in flight.';

-- outbox_sweep does the taking back of leases whose holder died: the try is noted as lost, and counts.
CREATE FUNCTION distsync_internal.outbox_sweep(t timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	IF NOT EXISTS (SELECT FROM sync.lane l WHERE l.state = 'leased' AND l.lease_until < t) THEN
		RETURN 0;
	END IF;
	WITH lost AS MATERIALIZED (
		SELECT l.endpoint_id, l.lane_key, l.head_id, l.lease, p.state = 'active' AS open
		FROM sync.lane l
		JOIN sync.endpoint p ON p.endpoint_id = l.endpoint_id
		WHERE l.state = 'leased' AND l.lease_until < t
		ORDER BY l.endpoint_id, l.lane_key
		FOR UPDATE OF l SKIP LOCKED
	), tried AS (
		UPDATE sync.delivery d SET attempts = d.attempts + 1, state = CASE WHEN o.open THEN d.state ELSE 'parked' END
		FROM lost o WHERE d.delivery_id = o.head_id
		RETURNING d.delivery_id, d.attempts, o.lease
	), noted AS (
		INSERT INTO sync.attempt (delivery_id, attempt_no, lease, finished_at, verdict, error)
		SELECT r.delivery_id, r.attempts, r.lease, t, 'lost', 'the sender did not report back before its lease ended' FROM tried r
	)
	UPDATE sync.lane l SET state = CASE WHEN o.open THEN 'ready' ELSE 'blocked' END, lease = NULL, lease_until = NULL, failures = l.failures + 1, due_at = t
	FROM lost o WHERE l.endpoint_id = o.endpoint_id AND l.lane_key = o.lane_key;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_sweep(timestamptz) IS 'Frees lanes whose lease has run out (the worker died); their heads are due at once. Returns how many.';

-- outbox_lease does the choosing of due lanes and gives each a lease. The least busy endpoints come first, so that a slow one takes no
-- more than its own share; lanes that another worker is choosing are passed by. A search
-- from the floor that finds nothing is repeated as a whole one.
CREATE FUNCTION distsync_internal.outbox_lease(endpoint_kind text, only_endpoint bigint, max_rows integer, holding interval, t timestamptz)
RETURNS TABLE (endpoint_id bigint, delivery_id bigint, lease uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	raised boolean;
BEGIN
	LOOP
		RETURN QUERY
		WITH picked AS MATERIALIZED (
			SELECT o.endpoint_id, due.lane_key, due.due_at
			FROM (SELECT x.endpoint_id, x.room, x.busy, distsync_internal.outbox_floor(x.endpoint_id) AS since FROM distsync_internal.outbox_open_endpoints(endpoint_kind) x
				  WHERE only_endpoint IS NULL OR x.endpoint_id = only_endpoint OFFSET 0) o
			CROSS JOIN LATERAL (
				SELECT l.lane_key, l.due_at
				FROM sync.lane l
				WHERE l.endpoint_id = o.endpoint_id AND l.state IN ('ready', 'waiting') AND l.due_at BETWEEN o.since AND t
				ORDER BY l.due_at
				LIMIT least(o.room, max_rows)
				FOR UPDATE SKIP LOCKED
			) due
			ORDER BY o.busy
			LIMIT max_rows
		), leased AS (
			UPDATE sync.lane l SET state = 'leased', lease = gen_random_uuid(), lease_until = t + COALESCE(holding, e.timeout + COALESCE(current_setting('distsync.lease', true), '30s')::interval)
			FROM picked p
			JOIN sync.endpoint e ON e.endpoint_id = p.endpoint_id
			WHERE l.endpoint_id = p.endpoint_id AND l.lane_key = p.lane_key
			RETURNING l.endpoint_id, l.head_id, l.lease
		), noted AS (
			SELECT distsync_internal.outbox_raise_floor(p.endpoint_id, max(p.due_at)) FROM picked p GROUP BY p.endpoint_id
		)
		SELECT c.endpoint_id, c.head_id, c.lease FROM leased c WHERE (SELECT count(*) FROM noted) >= 0;
		raised := NOT FOUND AND distsync_internal.outbox_drop_floors();
		EXIT WHEN NOT raised;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_lease(text, bigint, integer, interval, timestamptz) IS
	'Leases up to max_rows due lanes of endpoints of a kind (or of one endpoint) for holding (NULL: timeout of the endpoint and distsync.lease). One row a lane: endpoint, delivery at its head, lease.';

-- outbox_headers does the making of the complete header lines of a request, signature included.
CREATE FUNCTION distsync_internal.outbox_headers(scheme text, endpoint_code text, extra text[], message_id uuid, body bytea, t timestamptz) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY['content-type: application/cloudevents+json', 'user-agent: distsync/@VERSION@', 'idempotency-key: ' || message_id]
		|| CASE scheme WHEN 'standard' THEN '{}' ELSE ARRAY['webhook-id: ' || message_id] END
		|| CASE scheme WHEN 'none' THEN '{}' ELSE distsync_internal.http_sign(scheme,
			ARRAY(SELECT s.secret FROM sync.secret s WHERE s.kind = 'endpoint' AND s.code = endpoint_code AND s.valid @> t ORDER BY lower(s.valid) DESC NULLS LAST, s.secret_id DESC),
			message_id::text, floor(extract(epoch FROM t))::bigint, body) END
		|| extra
$$;
COMMENT ON FUNCTION distsync_internal.outbox_headers(text, text, text[], uuid, bytea, timestamptz) IS
	'Header lines of a request: content type, user agent, idempotency key, webhook-id, signature with every live key, then the endpoint''s own.';

-- outbox_claim does the handing out of due deliveries to the courier, ready to be sent.
CREATE FUNCTION distsync_internal.outbox_claim(max_rows integer, worker uuid)
RETURNS TABLE (delivery_id bigint, lease uuid, method text, url text, headers text[], body bytea, timeout_ms integer, connect_timeout_ms integer, max_response integer, allow_http boolean, allow_private boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
BEGIN
	PERFORM distsync_internal.outbox_sweep(t);
	RETURN QUERY
	SELECT c.delivery_id, c.lease, p.method, p.url, distsync_internal.outbox_headers(p.scheme, p.code, p.headers, d.message_id, COALESCE(d.body, e.body), t),
		COALESCE(d.body, e.body), (extract(epoch FROM p.timeout) * 1000)::integer, (extract(epoch FROM p.connect_timeout) * 1000)::integer,
		p.max_response, p.allow_http, p.allow_private
	FROM distsync_internal.outbox_lease('http', NULL, max_rows, NULL, t) c
	JOIN sync.endpoint p ON p.endpoint_id = c.endpoint_id
	JOIN sync.delivery d ON d.delivery_id = c.delivery_id
	JOIN sync.event e ON e.position = d.position;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_claim(integer, uuid) IS
	'Courier function: leases up to max_rows due deliveries and returns complete requests. Expired leases are freed first. Send each, then call outbox_finish with its lease.';

-- outbox_next_due does the answer to "when is there something to send without anybody waking us": it bounds the courier's wait.
CREATE FUNCTION distsync_internal.outbox_next_due() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
	SELECT least(
		(SELECT min(due.due_at) FROM distsync_internal.outbox_open_endpoints('http') o
		 CROSS JOIN LATERAL (SELECT l.due_at FROM sync.lane l WHERE l.endpoint_id = o.endpoint_id AND l.state IN ('ready', 'waiting') ORDER BY l.due_at LIMIT 1) due),
		(SELECT l.lease_until FROM sync.lane l WHERE l.state = 'leased' ORDER BY l.lease_until LIMIT 1))
$$;
COMMENT ON FUNCTION distsync_internal.outbox_next_due() IS
	'Courier function: earliest instant at which a lane that may be sent is due or a lease runs out; in the past if one is due already. NULL: nothing waits.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('courier', 'claim', 'distsync_internal.outbox_claim'),
	('courier', 'next_due', 'distsync_internal.outbox_next_due');
