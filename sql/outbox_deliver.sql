-- What becomes of a delivery: retries, dead letters, what waits behind them, closed endpoints, another chance, partners that fetch.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.pause('regress: the test is the courier');
SELECT distsync_internal.outbox_route(100000);
SELECT COALESCE(max(position), 0) AS start FROM sync.event \gset
\set options '{"secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "retry_policy": "obd"}'
INSERT INTO sync.retry_policy (code, schedule, jitter, retry_after_max) VALUES ('obd', '{10 seconds,1 minute}', 0, '5 minutes');
SELECT distsync.add_system('OBD', 'shop');
SELECT distsync.add_endpoint('obd-block', 'OBD', 'https://block.example.com/', :'options');
SELECT distsync.add_endpoint('obd-skip', 'OBD', 'https://skip.example.com/', :'options');
SELECT distsync.add_endpoint('obd-latest', 'OBD', 'https://latest.example.com/', :'options');
SELECT distsync.add_endpoint('obd-pull', 'OBD', NULL, '{"kind": "pull", "scheme": "none", "retry_policy": "obd"}');
SELECT distsync.add_route('obd-block', 'obd-block', 'obd_doc.*');
SELECT distsync.add_route('obd-skip', 'obd-skip', 'obd_doc.*', '{"on_block": "skip"}');
SELECT distsync.add_route('obd-latest', 'obd-latest', 'obd_state.*', '{"on_block": "latest"}');
SELECT distsync.add_route('obd-pull', 'obd-pull', 'obd_pull.*');
\o
CREATE TEMP VIEW lane AS
	SELECT p.code AS endpoint, l.lane_key, l.state, l.depth, l.failures, e.event_type AS head, 
		CASE l.state WHEN 'waiting' THEN round(extract(epoch FROM l.due_at - (SELECT max(a.finished_at) FROM sync.attempt a JOIN sync.delivery x USING (delivery_id) WHERE x.endpoint_id = l.endpoint_id AND x.lane_key = l.lane_key))) END AS due_in
	FROM sync.lane l JOIN sync.endpoint p USING (endpoint_id) JOIN sync.delivery d ON d.delivery_id = l.head_id JOIN sync.event e USING (position)
	WHERE p.code LIKE 'obd-%' ORDER BY 1, 2;
CREATE TEMP VIEW delivery AS
	SELECT p.code AS endpoint, e.event_type, e.entity_key, d.state, d.attempts, d.replay_of IS NOT NULL AS replay
	FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) JOIN sync.event e USING (position)
	WHERE p.code LIKE 'obd-%' ORDER BY p.code, d.delivery_id;
CREATE TEMP VIEW letter AS
	SELECT p.code AS endpoint, e.event_type, x.reason, x.error, x.attempts, x.resolution
	FROM sync.dead_letter x JOIN sync.endpoint p USING (endpoint_id) JOIN sync.delivery d USING (delivery_id) JOIN sync.event e USING (position)
	WHERE p.code LIKE 'obd-%' ORDER BY p.code, x.delivery_id;
-- answer does what the courier does with everything that is due at an endpoint, waiting or not
CREATE PROCEDURE pg_temp.answer(endpoint text, status int, retry_after int DEFAULT -1, curl_code int DEFAULT 0, error text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
	leases uuid[];
BEGIN
	UPDATE sync.lane l SET due_at = clock_timestamp() FROM sync.endpoint p WHERE p.endpoint_id = l.endpoint_id AND p.code = endpoint AND l.state = 'waiting';
	SELECT array_agg(c.delivery_id), array_agg(c.lease) INTO ids, leases
	FROM distsync_internal.outbox_lease('http', distsync_internal.outbox_endpoint(endpoint), 100, NULL, clock_timestamp()) c;
	RAISE NOTICE '% answered', (SELECT distsync_internal.outbox_finish(ids, leases, array_agg(status), array_agg(curl_code), array_agg(error), array_agg(retry_after),
		array_agg(''::text), array_agg(''::bytea), array_agg(1::bigint), array_agg(1::bigint), array_agg(1::bigint), array_agg(1::bigint), array_agg(1::bigint)) FROM unnest(ids));
END
$$;
CREATE PROCEDURE pg_temp.emit(event_type text, key text, body jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
	PERFORM distsync_internal.base_emit('customer', 0, event_type, 'obd', key, body);
	-- the router takes what is committed, also from itself
	COMMIT;
	PERFORM distsync_internal.outbox_route(100);
END
$$;
SET client_min_messages = notice;

-- every answer has its verdict
SELECT s AS status, distsync_internal.outbox_verdict(s, 0) FROM unnest(ARRAY[200, 204, 299, 301, 307, 400, 401, 403, 404, 408, 409, 410, 422, 425, 429, 500, 502, 503, 504, 599, 0]) s;
SELECT distsync_internal.outbox_verdict(NULL, 28) AS timed_out, distsync_internal.outbox_verdict(200, 18) AS cut_off;
-- Retry-After counts between the step and the most that the policy honours
SELECT distsync_internal.outbox_pause('10 seconds', 0, r, '5 minutes') FROM unnest(ARRAY[-1, 0, 3, 60, 9999, NULL]) r;
SELECT bool_and(p BETWEEN '8 seconds' AND '12 seconds') AS within, max(p) > min(p) AS varies FROM (SELECT distsync_internal.outbox_pause('10 seconds', 0.2, -1, '1 hour') AS p FROM generate_series(1, 1000)) x;

-- three failures: the schedule is used up, the lane is blocked, what is behind waits; the skipping route goes on
CALL pg_temp.emit('obd_doc.a', '1');
CALL pg_temp.emit('obd_doc.b', '1');
CALL pg_temp.emit('obd_doc.c', '2');
CALL pg_temp.answer('obd-block', 500);
CALL pg_temp.answer('obd-skip', 0, curl_code => 28, error => 'timed out');
TABLE lane;
SELECT failing_since IS NOT NULL AS failing FROM sync.endpoint WHERE code = 'obd-block';
CALL pg_temp.answer('obd-block', 429, 90);
TABLE lane;
CALL pg_temp.answer('obd-block', 503);
CALL pg_temp.answer('obd-skip', 422);
TABLE lane;
TABLE letter;
SELECT kind, trace_key, state, details -> 'new' AS new FROM sync.exception WHERE kind = 'dead_letter' AND trace_key LIKE 'obd-%' ORDER BY 2;
-- another chance: the old place, the same bytes and id, a new schedule
SELECT distsync.requeue('{"endpoint": "obd-block", "dry_run": true}');
SELECT distsync.requeue('{"endpoint": "obd-block", "entity_key": "1"}');
TABLE lane;
CALL pg_temp.answer('obd-block', 500);
CALL pg_temp.answer('obd-block', 200);
TABLE lane;
TABLE letter;
-- given up: the lane goes on, or ends
SELECT distsync.requeue('{"endpoint": "obd-block", "resolution": "ignored"}');
-- a skipped one comes back in front of what waits in its lane
CALL pg_temp.emit('obd_doc.d', '2');
SELECT distsync.requeue('{"endpoint": "obd-skip", "event_type": "obd_doc.c"}');
TABLE lane;
CALL pg_temp.answer('obd-skip', 200);
CALL pg_temp.answer('obd-skip', 200);
CALL pg_temp.answer('obd-block', 200);
CALL pg_temp.answer('obd-block', 200);
SELECT failing_since FROM sync.endpoint WHERE code = 'obd-block';
TABLE lane;
SELECT distsync.requeue('{"endpoint": "obd-skip", "resolution": "ignored"}');
TABLE letter;
TABLE delivery;

-- latest: only the newest of a state is sent, also when the first one failed; what is under way is left alone
CALL pg_temp.emit('obd_state.x', '1', '{"n": 1}');
CALL pg_temp.answer('obd-latest', 500);
CALL pg_temp.emit('obd_state.x', '1', '{"n": 2}');
CALL pg_temp.emit('obd_state.x', '1', '{"n": 3}');
TABLE lane;
SELECT delivery_id, lease FROM distsync_internal.outbox_lease('http', distsync_internal.outbox_endpoint('obd-latest'), 1, NULL, clock_timestamp() + interval '1 hour') \gset
CALL pg_temp.emit('obd_state.x', '1', '{"n": 4}');
CALL pg_temp.emit('obd_state.x', '1', '{"n": 5}');
TABLE lane;
SELECT distsync_internal.outbox_finish(ARRAY[:delivery_id], ARRAY[:'lease'::uuid], '{200}', '{0}', '{NULL}', '{-1}', '{NULL}', '{NULL}', '{1}', '{1}', '{1}', '{1}', '{1}');
CALL pg_temp.answer('obd-latest', 200);
SELECT d.state, convert_from(e.body, 'UTF8')::jsonb #> '{data,n}' AS n FROM sync.delivery d JOIN sync.event e USING (position) WHERE d.endpoint_id = distsync_internal.outbox_endpoint('obd-latest') ORDER BY 2;
TABLE lane;

-- a closed endpoint keeps what is meant for it
SELECT distsync.set_endpoint_state('obd-block', 'paused', 'maintenance');
CALL pg_temp.emit('obd_doc.p', '3');
CALL pg_temp.emit('obd_doc.q', '3');
SELECT state, count(*) FROM sync.delivery WHERE endpoint_id = distsync_internal.outbox_endpoint('obd-block') AND state IN ('queued', 'parked') GROUP BY 1;
CALL pg_temp.answer('obd-block', 200);
SELECT distsync.set_endpoint_state('obd-block', 'active');
-- 410: the partner wants no more; what waits is parked
CALL pg_temp.answer('obd-block', 410);
SELECT state, state_reason FROM sync.endpoint WHERE code = 'obd-block';
SELECT * FROM lane WHERE endpoint = 'obd-block';
SELECT kind, state FROM sync.exception WHERE kind = 'endpoint_disabled' AND trace_key = 'obd-block';
SELECT distsync.set_endpoint_state('obd-block', 'active');
SELECT kind, state FROM sync.exception WHERE kind = 'endpoint_disabled' AND trace_key = 'obd-block';
CALL pg_temp.answer('obd-block', 200);
CALL pg_temp.answer('obd-block', 200);
-- failing for too long disables
UPDATE sync.endpoint SET failing_since = now() - interval '6 days' WHERE code = 'obd-block';
CALL pg_temp.emit('obd_doc.r', '3');
CALL pg_temp.answer('obd-block', 500);
SELECT state FROM sync.endpoint WHERE code = 'obd-block';
SELECT * FROM lane WHERE endpoint = 'obd-block';
SELECT distsync.set_endpoint_state('obd-block', 'active');
CALL pg_temp.answer('obd-block', 200);

-- replay counts first; the bytes and the id are the same
SELECT events, queued FROM distsync.replay('obd-block', '{"entity_key": "3", "event_type": "obd_doc.*"}');
SELECT events, queued FROM distsync.replay('obd-block', '{"entity_key": "3", "event_type": "obd_doc.p", "dry_run": false}');
SELECT events, queued FROM distsync.replay('obd-block', '{"entity_key": "3", "event_type": "obd_doc.p", "dry_run": false}');
SELECT count(*) AS deliveries, count(DISTINCT message_id) AS ids FROM sync.delivery d JOIN sync.event e USING (position, message_id)
WHERE e.event_type = 'obd_doc.p' AND d.endpoint_id = distsync_internal.outbox_endpoint('obd-block');
CALL pg_temp.answer('obd-block', 200);
-- of a state only the newest is worth telling
SELECT events FROM distsync.replay('obd-latest');
SELECT * FROM distsync.replay('obd-latest', '{"entity": "nothing"}');

-- a partner that fetches
CALL pg_temp.emit('obd_pull.a', '1', '{"n": 1.10}');
CALL pg_temp.emit('obd_pull.b', '1');
CALL pg_temp.emit('obd_pull.c', '2');
CREATE TEMP TABLE got AS SELECT * FROM distsync.fetch('obd-pull', 10, '1 minute');
SELECT event_type, entity_key, attempt, body -> 'data' AS data, body ->> 'id' = message_id::text AS same FROM got ORDER BY delivery_id;
SELECT count(*) FROM distsync.fetch('obd-pull');
SELECT distsync.ack(array_agg(delivery_id), array_agg(lease_id)) FROM got WHERE event_type = 'obd_pull.a';
SELECT distsync.nack(array_agg(delivery_id), array_agg(lease_id), 'not now') FROM got WHERE event_type = 'obd_pull.c';
SELECT distsync.ack(array_agg(delivery_id), array_agg(lease_id)) FROM got WHERE event_type = 'obd_pull.a';
TRUNCATE got;
INSERT INTO got SELECT * FROM distsync.fetch('obd-pull');
SELECT event_type FROM got;
SELECT distsync.nack(array_agg(delivery_id), array_agg(lease_id), 'never', '{"reject": true}') FROM got;
SELECT * FROM letter WHERE endpoint = 'obd-pull';

-- listeners that were away
CALL pg_temp.emit('obd_pull.w', '8');
SELECT next_position AS since FROM distsync.events_since('latest') \gset
SELECT count(*) FROM distsync.events_since(:'since');
CALL pg_temp.emit('obd_pull.x', '9', '{"n": 7}');
SELECT position - substr(:'since', 2)::bigint AS step, event_type, entity, entity_key, body -> 'data' AS data FROM distsync.events_since(:'since');
SELECT count(*) FROM distsync.events_since('e' || :start, '{"entity": "obd", "entity_key": "3", "event_type": "obd_doc.*"}');
SELECT count(*) FROM distsync.events_since('e' || :start, '{"limit": 2}');

-- keys change with an overlap
SELECT distsync.rotate_secret('obd-skip', 'whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4', '1 hour');
SELECT count(*) AS live, count(*) FILTER (WHERE upper_inf(valid)) AS for_good FROM sync.secret WHERE kind = 'endpoint' AND code = 'obd-skip' AND valid @> clock_timestamp();
SELECT array_length(regexp_split_to_array(h, ' v1,'), 1) - 1 AS more_signatures FROM unnest(distsync_internal.outbox_headers('standard', 'obd-skip', '{}', gen_random_uuid(), 'x', clock_timestamp())) h WHERE h LIKE 'webhook-signature:%';
SELECT distsync.rotate_secret('obd-skip', overlap => '0') ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS made;
SELECT count(*) AS live FROM sync.secret WHERE kind = 'endpoint' AND code = 'obd-skip' AND valid @> clock_timestamp();
-- an endpoint without a live key is passed by and stops nobody
UPDATE sync.secret SET valid = tstzrange(NULL, '2020-01-01Z') WHERE kind = 'endpoint' AND code = 'obd-skip';
CALL pg_temp.emit('obd_doc.k', '4');
SELECT p.code FROM distsync_internal.outbox_open_endpoints('http') o JOIN sync.endpoint p USING (endpoint_id) WHERE p.code LIKE 'obd-%' ORDER BY 1;
\o /dev/null
SELECT distsync.rotate_secret('obd-skip');
\o
CALL pg_temp.answer('obd-skip', 200);
CALL pg_temp.answer('obd-block', 200);

-- at most so many at once
UPDATE sync.endpoint SET max_inflight = 2 WHERE code = 'obd-skip';
CALL pg_temp.emit('obd_doc.m', '11');
CALL pg_temp.emit('obd_doc.m', '12');
CALL pg_temp.emit('obd_doc.m', '13');
SELECT count(*) FROM distsync_internal.outbox_lease('http', distsync_internal.outbox_endpoint('obd-skip'), 100, NULL, clock_timestamp());
SELECT count(*) FROM distsync_internal.outbox_lease('http', distsync_internal.outbox_endpoint('obd-skip'), 100, NULL, clock_timestamp());
UPDATE sync.lane l SET lease_until = '-infinity' WHERE l.endpoint_id = distsync_internal.outbox_endpoint('obd-skip') AND l.state = 'leased';
SELECT distsync_internal.outbox_sweep(clock_timestamp());
CALL pg_temp.answer('obd-skip', 200);
CALL pg_temp.answer('obd-skip', 200);
CALL pg_temp.answer('obd-block', 200);
SELECT count(*) FROM lane WHERE endpoint IN ('obd-skip', 'obd-block', 'obd-latest');
