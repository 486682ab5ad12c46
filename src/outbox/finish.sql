-- Answers: what became of a delivery, and what its lane does next.

-- outbox_verdict does the judging of an answer by itself. Redirects are not followed: an address that moved is a change of
-- configuration. Conflict, too early and too many are asked again, like every failure of the net or of the partner's server.
CREATE FUNCTION distsync_internal.outbox_verdict(status integer, curl_code integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN COALESCE(curl_code, 0) <> 0 OR COALESCE(status, 0) = 0 THEN 'retry'
		WHEN status BETWEEN 200 AND 299 THEN 'delivered'
		WHEN status = 410 THEN 'gone'
		WHEN status IN (408, 409, 425, 429) OR status >= 500 THEN 'retry'
		ELSE 'rejected'
	END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_verdict(integer, integer) IS
	'delivered: 2xx. retry: no answer, 408, 409, 425, 429, 5xx. gone: 410. rejected: everything else, also redirects.';

-- outbox_pause does the reckoning of when to try again: the step of the schedule, varied so that partners are not hit in step; longer
-- if the partner asks for it, but never longer than the policy honours.
CREATE FUNCTION distsync_internal.outbox_pause(step interval, jitter numeric, retry_after integer, retry_after_max interval) RETURNS interval
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT greatest(step * (1 + jitter::double precision * (2 * random() - 1)),
		CASE WHEN retry_after > 0 THEN least(make_interval(secs => retry_after), greatest(retry_after_max, step)) END)
$$;
COMMENT ON FUNCTION distsync_internal.outbox_pause(interval, numeric, integer, interval) IS
	'Pause before the next try: the step ± jitter, at least the seconds of Retry-After up to the policy''s maximum.';

-- outbox_judge does the locking of the lanes whose lease still holds, in one order, and decides the fate of each delivery.
CREATE FUNCTION distsync_internal.outbox_judge(results distsync_internal.outbox_result[]) RETURNS distsync_internal.outbox_result[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	judged distsync_internal.outbox_result[];
BEGIN
	PERFORM FROM unnest(results) r
	JOIN sync.delivery d ON d.delivery_id = r.delivery_id
	JOIN sync.lane l ON l.endpoint_id = d.endpoint_id AND l.lane_key = d.lane_key AND l.head_id = d.delivery_id AND l.lease = r.lease
	ORDER BY l.endpoint_id, l.lane_key
	FOR UPDATE OF l;
	SELECT array_agg(ROW(j.delivery_id, j.lease, j.status, j.curl_code, j.error, j.retry_after, j.response_headers, j.response_body, j.dns_us, j.connect_us, j.tls_us, j.ttfb_us, j.total_us,
		j.position, j.route_id, j.endpoint_id, j.lane_key, j.attempts, j.event_at, j.message_id, j.depth, j.on_block, j.verdict,
		CASE WHEN j.verdict = 'late' THEN NULL
			WHEN j.verdict = 'delivered' THEN 'delivered'
			WHEN j.verdict = 'gone' THEN 'parked'
			WHEN j.verdict = 'rejected' OR j.failures >= cardinality(j.schedule) THEN 'dead'
			ELSE 'waiting' END,
		CASE WHEN j.verdict = 'retry' THEN distsync_internal.outbox_pause(j.schedule[j.failures + 1], j.jitter, j.retry_after, j.retry_after_max) END)::distsync_internal.outbox_result ORDER BY j.endpoint_id, j.lane_key)
	INTO judged
	FROM (SELECT r.delivery_id, r.lease, r.status, COALESCE(r.curl_code, 0) AS curl_code, r.error, r.retry_after, r.response_headers, r.response_body, r.dns_us, r.connect_us, r.tls_us, r.ttfb_us, r.total_us,
			d.position, d.route_id, d.endpoint_id, d.lane_key, (d.attempts + 1)::smallint AS attempts, d.event_at, d.message_id, l.depth, l.failures, t.on_block,
			CASE WHEN l.lease IS NULL THEN 'late' ELSE distsync_internal.outbox_verdict(r.status, r.curl_code) END AS verdict,
			y.schedule, y.jitter, y.retry_after_max
		  FROM unnest(results) r
		  JOIN sync.delivery d ON d.delivery_id = r.delivery_id
		  JOIN sync.endpoint p ON p.endpoint_id = d.endpoint_id
		  JOIN sync.retry_policy y ON y.code = p.retry_policy
		  LEFT JOIN sync.route t ON t.route_id = d.route_id
		  LEFT JOIN sync.lane l ON l.endpoint_id = d.endpoint_id AND l.lane_key = d.lane_key AND l.head_id = d.delivery_id AND l.lease = r.lease) j;
	RETURN COALESCE(judged, '{}');
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_judge(distsync_internal.outbox_result[]) IS
	'Locks the lanes of the results whose lease still holds and fills in verdict, fate and pause of each; late: the lease was lost.';

-- outbox_note does the writing of what happened: the try, the delivery, the dead letter.
CREATE FUNCTION distsync_internal.outbox_note(results distsync_internal.outbox_result[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	e record;
BEGIN
	INSERT INTO sync.attempt (delivery_id, attempt_no, lease, finished_at, status, curl_code, verdict, error, response_headers, response_body, retry_after, dns_us, connect_us, tls_us, first_byte_us, total_us)
	SELECT r.delivery_id, r.attempts, r.lease, t, NULLIF(r.status, 0), r.curl_code, CASE r.verdict WHEN 'gone' THEN 'rejected' ELSE r.verdict END, r.error, r.response_headers, r.response_body,
		NULLIF(r.retry_after, -1), r.dns_us, r.connect_us, r.tls_us, r.ttfb_us, r.total_us
	FROM unnest(results) r
	ON CONFLICT (delivery_id, attempt_no, lease) DO NOTHING;
	UPDATE sync.delivery d SET attempts = r.attempts,
		state = CASE WHEN r.fate IN ('delivered', 'dead', 'parked') THEN r.fate ELSE d.state END,
		finished_at = CASE WHEN r.fate IN ('delivered', 'dead') THEN t END
	FROM unnest(results) r
	WHERE d.delivery_id = r.delivery_id AND r.fate IS NOT NULL;
	UPDATE sync.dead_letter x SET resolution = 'delivered_later', resolved_at = t
	FROM unnest(results) r
	WHERE r.fate = 'delivered' AND r.attempts > 1 AND x.delivery_id = r.delivery_id AND x.resolution = 'requeued';
	IF NOT EXISTS (SELECT FROM unnest(results) r WHERE r.fate = 'dead') THEN
		RETURN;
	END IF;
	INSERT INTO sync.dead_letter (delivery_id, endpoint_id, lane_key, reason, error, attempts, died_at)
	SELECT r.delivery_id, r.endpoint_id, r.lane_key, CASE r.verdict WHEN 'rejected' THEN 'rejected' ELSE 'exhausted' END,
		COALESCE(NULLIF(r.error, ''), 'HTTP ' || r.status), r.attempts, t
	FROM unnest(results) r
	WHERE r.fate = 'dead'
	ON CONFLICT (delivery_id) DO UPDATE SET reason = excluded.reason, error = excluded.error, attempts = excluded.attempts, died_at = excluded.died_at,
		resolution = 'open', resolved_at = NULL, resolved_by = NULL;
	FOR e IN SELECT p.code, count(*) AS n, max(COALESCE(NULLIF(r.error, ''), 'HTTP ' || r.status)) AS error
			 FROM unnest(results) r JOIN sync.endpoint p ON p.endpoint_id = r.endpoint_id WHERE r.fate = 'dead' GROUP BY p.code ORDER BY p.code
	LOOP
		PERFORM distsync_internal.base_exception('dead_letter', e.code, 'sync', 'error', NULL, 'endpoint', e.code, jsonb_build_object('new', e.n, 'error', e.error));
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_note(distsync_internal.outbox_result[], timestamptz) IS
	'Writes attempts, states of deliveries, dead letters, and opens one exception dead_letter for each endpoint that has new ones.';

-- outbox_advance does what comes next in each lane. The lanes are locked, so what has been put behind the head is seen here.
CREATE FUNCTION distsync_internal.outbox_advance(results distsync_internal.outbox_result[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- the head is done and nothing is behind it
	DELETE FROM sync.lane l USING unnest(results) r
	WHERE l.endpoint_id = r.endpoint_id AND l.lane_key = r.lane_key AND l.depth = 1 AND (r.fate = 'delivered' OR (r.fate = 'dead' AND r.on_block IS DISTINCT FROM 'block'));
	-- the head is done, the next one moves up
	IF EXISTS (SELECT FROM unnest(results) r WHERE r.depth > 1 AND r.fate IN ('delivered', 'dead')) THEN
		UPDATE sync.lane l SET head_id = n.next_id, depth = l.depth - 1, state = CASE p.state WHEN 'active' THEN 'ready' ELSE 'blocked' END,
			due_at = t, lease = NULL, lease_until = NULL, failures = 0
		FROM unnest(results) r
		JOIN sync.endpoint p ON p.endpoint_id = r.endpoint_id
		CROSS JOIN LATERAL (SELECT d.delivery_id AS next_id FROM sync.delivery d
							WHERE d.endpoint_id = r.endpoint_id AND d.lane_key = r.lane_key AND d.state IN ('queued', 'parked') ORDER BY d.delivery_id LIMIT 1) n
		WHERE l.endpoint_id = r.endpoint_id AND l.lane_key = r.lane_key AND r.depth > 1
			AND (r.fate = 'delivered' OR (r.fate = 'dead' AND r.on_block IS DISTINCT FROM 'block'));
	END IF;
	-- the head stays: it is tried again later, or everything waits for people
	UPDATE sync.lane l SET lease = NULL, lease_until = NULL, failures = l.failures + 1, due_at = t + COALESCE(r.pause, '0'),
		state = CASE WHEN r.fate <> 'waiting' OR p.state <> 'active' THEN 'blocked' ELSE 'waiting' END
	FROM unnest(results) r
	JOIN sync.endpoint p ON p.endpoint_id = r.endpoint_id
	WHERE l.endpoint_id = r.endpoint_id AND l.lane_key = r.lane_key AND (r.fate IN ('waiting', 'parked') OR (r.fate = 'dead' AND r.on_block = 'block'));
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_advance(distsync_internal.outbox_result[], timestamptz) IS
	'Moves the lanes of the results on: next head, wait, block (dead head of a route with on_block block), or gone when empty.';

-- outbox_health does the keeping of how each endpoint is doing; one that says 410, or fails for too long, is disabled and keeps what is
-- meant for it.
CREATE FUNCTION distsync_internal.outbox_health(results distsync_internal.outbox_result[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	e record;
	why text;
BEGIN
	FOR e IN
		SELECT p.endpoint_id, p.code, p.state, p.failing_since, p.disable_after, bool_or(r.verdict = 'delivered') AS works, bool_or(r.verdict = 'gone') AS gone, bool_or(r.verdict = 'retry') AS fails
		FROM unnest(results) r
		JOIN sync.endpoint p ON p.endpoint_id = r.endpoint_id
		WHERE r.verdict IN ('delivered', 'gone', 'retry')
		GROUP BY p.endpoint_id
		HAVING bool_or(r.verdict = 'gone') OR (bool_or(r.verdict = 'delivered') AND p.failing_since IS NOT NULL) OR (bool_or(r.verdict = 'retry') AND NOT bool_or(r.verdict = 'delivered'))
		ORDER BY p.endpoint_id
	LOOP
		IF e.works AND NOT e.gone THEN
			UPDATE sync.endpoint SET failing_since = NULL WHERE endpoint_id = e.endpoint_id;
			CONTINUE;
		END IF;
		IF e.fails AND e.failing_since IS NULL THEN
			UPDATE sync.endpoint SET failing_since = t WHERE endpoint_id = e.endpoint_id;
		END IF;
		why := CASE WHEN e.gone THEN 'it answered 410 Gone' WHEN e.fails AND t - e.failing_since > e.disable_after THEN format('it has been failing since %s', e.failing_since) END;
		IF why IS NOT NULL AND e.state = 'active' THEN
			PERFORM distsync_internal.outbox_set_state(e.endpoint_id, 'disabled', why);
			PERFORM distsync_internal.base_exception('endpoint_disabled', e.code, 'sync', 'error', NULL, 'endpoint', e.code, jsonb_build_object('reason', why));
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_health(distsync_internal.outbox_result[], timestamptz) IS
	'Keeps failing_since of endpoints and disables those that said 410 or failed longer than disable_after (exception endpoint_disabled).';

-- outbox_set_state does the opening and closing of an endpoint with everything that waits for it: what waits is parked, never dropped,
-- and goes on in its old order.
CREATE FUNCTION distsync_internal.outbox_set_state(id bigint, new_state text, reason text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	UPDATE sync.endpoint SET state = new_state, state_reason = CASE new_state WHEN 'active' THEN NULL ELSE reason END,
		failing_since = CASE new_state WHEN 'active' THEN NULL ELSE failing_since END
	WHERE endpoint_id = id;
	PERFORM FROM sync.lane l WHERE l.endpoint_id = id ORDER BY l.lane_key FOR UPDATE;
	IF new_state = 'active' THEN
		UPDATE sync.delivery d SET state = 'queued' WHERE d.endpoint_id = id AND d.state = 'parked';
		GET DIAGNOSTICS n = ROW_COUNT;
		UPDATE sync.lane l SET state = 'ready', due_at = clock_timestamp(), failures = 0
		WHERE l.endpoint_id = id AND l.state = 'blocked' AND EXISTS (SELECT FROM sync.delivery d WHERE d.delivery_id = l.head_id AND d.state = 'queued');
	ELSE
		UPDATE sync.delivery d SET state = 'parked' WHERE d.endpoint_id = id AND d.state = 'queued'
			AND NOT EXISTS (SELECT FROM sync.lane l WHERE l.endpoint_id = id AND l.lane_key = d.lane_key AND l.head_id = d.delivery_id AND l.state = 'leased');
		GET DIAGNOSTICS n = ROW_COUNT;
		UPDATE sync.lane l SET state = 'blocked' WHERE l.endpoint_id = id AND l.state IN ('ready', 'waiting');
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_set_state(bigint, text, text) IS
	'Sets the state of an endpoint (active | paused | disabled) and parks or frees its deliveries and lanes. Returns how many deliveries. A request in flight is left to its answer.';

-- outbox_latency does the counting of how long it took from the commit to the receipt, by route and by flow.
CREATE FUNCTION distsync_internal.outbox_latency(results distsync_internal.outbox_result[], t timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH flow_of AS MATERIALIZED (
		SELECT y.event_type, CASE y.event_type WHEN 'order.released' THEN 'release' ELSE distsync_internal.outbox_domain(y.event_type) END AS flow
		FROM (SELECT DISTINCT e.event_type FROM unnest(results) r JOIN sync.event e ON e.position = r.position WHERE r.fate = 'delivered') y
	)
	INSERT INTO sync.latency AS h (flow, minute, bucket, n, sum_us)
	SELECT f.flow, date_trunc('minute', t), ceil(4 * ln(greatest(s.us, 1)::double precision) / ln(2::double precision))::smallint, count(*), sum(s.us)
	FROM (SELECT e.event_type, r.route_id, greatest(extract(epoch FROM t - r.event_at) * 1000000, 0)::bigint AS us
		  FROM unnest(results) r JOIN sync.event e ON e.position = r.position WHERE r.fate = 'delivered') s
	JOIN LATERAL (SELECT o.code AS flow FROM sync.route o WHERE o.route_id = s.route_id
				  UNION ALL SELECT x.flow FROM flow_of x WHERE x.event_type = s.event_type) f ON f.flow IS NOT NULL
	GROUP BY 1, 2, 3
	ORDER BY 1, 2, 3
	ON CONFLICT (flow, minute, bucket) DO UPDATE SET n = h.n + excluded.n, sum_us = h.sum_us + excluded.sum_us
$$;
COMMENT ON FUNCTION distsync_internal.outbox_latency(distsync_internal.outbox_result[], timestamptz) IS
	'Adds delivered results to sync.latency, under the code of the route and under the flow: release for order.released, otherwise the domain.';

-- outbox_json does the reading of a partner's answer, which may be anything.
CREATE FUNCTION distsync_internal.outbox_json(body bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN convert_from(body, 'UTF8')::jsonb;
EXCEPTION
	WHEN data_exception OR program_limit_exceeded THEN
		RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_json(bytea) IS 'The bytes as JSON, NULL if they are none.';

-- outbox_replied does the telling of partners' answers to the rooms that registered for it. A hook that fails keeps no delivery from
-- being finished: people are told. One that had to wait too long for a lock is tried again with all of it.
CREATE FUNCTION distsync_internal.outbox_replied(results distsync_internal.outbox_result[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
	n integer := 0;
	message text;
	detail text;
	code text;
BEGIN
	IF NOT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'hook' AND h.name = 'outbox.replied') THEN
		RETURN 0;
	END IF;
	FOR r IN
		SELECT e.event_type, e.entity, e.entity_key, p.system, p.code AS endpoint, u.status, u.message_id, e.correlation_id, j.reply
		FROM unnest(results) u
		JOIN sync.event e ON e.position = u.position
		JOIN sync.endpoint p ON p.endpoint_id = u.endpoint_id
		CROSS JOIN LATERAL (SELECT distsync_internal.outbox_json(u.response_body) AS reply OFFSET 0) j
		WHERE u.fate = 'delivered' AND length(u.response_body) > 1 AND j.reply IS NOT NULL
	LOOP
		BEGIN
			PERFORM distsync_internal.base_hook('outbox.replied', jsonb_build_object('event_type', r.event_type, 'entity', r.entity, 'entity_key', r.entity_key, 'system', r.system,
				'endpoint', r.endpoint, 'status', r.status, 'reply', r.reply, 'message_id', r.message_id, 'correlation_id', r.correlation_id));
			n := n + 1;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			IF distsync_internal.base_passing(code) THEN
				RAISE;	-- somebody was in the way: the courier records the answers again, and the reply is not lost
			END IF;
			PERFORM distsync_internal.base_exception('reply_not_taken', r.message_id::text, 'sync', 'error', NULL, r.entity, r.entity_key,
				jsonb_build_object('event_type', r.event_type, 'system', r.system, 'reply', r.reply, 'sqlstate', code, 'message', message, 'detail', detail), NULL, NULL, NULL, r.correlation_id);
		END;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_replied(distsync_internal.outbox_result[]) IS
	'Calls hook outbox.replied for each delivered result with a JSON answer: {"event_type","entity","entity_key","system","endpoint","status","reply","message_id","correlation_id"}. A hook that fails opens exception reply_not_taken.';

-- outbox_finish does the taking of answers from the courier, all of them at once.
CREATE FUNCTION distsync_internal.outbox_finish(delivery_ids bigint[], leases uuid[], statuses integer[], curl_codes integer[], errors text[], retry_after integer[],
	response_headers text[], response_bodies bytea[], dns_us bigint[], connect_us bigint[], tls_us bigint[], ttfb_us bigint[], total_us bigint[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	results distsync_internal.outbox_result[];
	t timestamptz := clock_timestamp();
BEGIN
	SELECT array_agg(ROW(u.*, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::distsync_internal.outbox_result) INTO results
	FROM unnest(delivery_ids, leases, statuses, curl_codes, errors, retry_after, response_headers, response_bodies, dns_us, connect_us, tls_us, ttfb_us, total_us) u;
	IF results IS NULL THEN
		RETURN 0;
	END IF;
	results := distsync_internal.outbox_judge(results);
	PERFORM distsync_internal.outbox_note(results, t);
	PERFORM distsync_internal.outbox_advance(results, t);
	PERFORM distsync_internal.outbox_health(results, t);
	PERFORM distsync_internal.outbox_latency(results, t);
	PERFORM distsync_internal.outbox_replied(results);
	RETURN (SELECT count(*) FROM unnest(results) r WHERE r.fate IS NOT NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_finish(bigint[], uuid[], integer[], integer[], text[], integer[], text[], bytea[], bigint[], bigint[], bigint[], bigint[], bigint[]) IS
	'Courier function: takes the answers to claimed deliveries, one array element each (status 0 or NULL: none, then curl_code and error; retry_after in seconds, -1 none). Returns how many leases still held; the others are noted as late and change nothing.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('courier', 'finish', 'distsync_internal.outbox_finish');
