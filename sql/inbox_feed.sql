-- inbox_feed: queues that we pull: claim under a lease, the answer through the door, the cursor in the same commit, failures that wait longer.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS distsync;
\o /dev/null
SELECT distsync.setup();
\o
\set VERBOSITY terse
INSERT INTO sync.system (code, kind) VALUES ('ibf_wms', 'wms');
SELECT distsync.add_source('ibf_wms', 'ibf_wms', '{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "entity": "currency"}') IS NOT NULL AS added;

-- what can't be a feed
SELECT distsync.add_feed('ibf', 'ibf_nobody', 'https://wms.example.com/queue');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_feed('ibf', 'ibf_wms', 'http://wms.example.com/queue');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_feed('ibf', 'ibf_wms', 'https://169.254.169.254/latest');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_feed('ibf', 'ibf_wms', 'https://wms.example.com/queue', '{"batch": 5000}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_feed('ibf', 'ibf_wms', 'https://wms.example.com/queue', '{"every": "often"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_feed('ibf', 'ibf_wms', 'https://wms.example.com/queue', E'{"token": "a\\r\\nX: y"}');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM sync.feed WHERE code = 'ibf';

-- claim: one GET with cursor and limit, once, until the lease ends
SELECT distsync.add_feed('ibf', 'ibf_wms', 'https://wms.example.com/queue?v=2', '{"batch": 64, "every": "1 minute", "cursor": "a b/ü", "token": "t-1"}') IS NOT NULL AS added;
SELECT method, url, headers[1] AS accept, headers[2] ~ '^User-Agent: distsync/' AS agent, headers[3] AS login, timeout_ms, connect_timeout_ms, max_response, allow_http, allow_private
FROM distsync_internal.inbox_feed_claim(10, gen_random_uuid());
SELECT count(*) AS leased FROM distsync_internal.inbox_feed_claim(10, gen_random_uuid());
SELECT distsync_internal.inbox_feed_next_due() > clock_timestamp() AS later;
UPDATE sync.feed SET lease_until = clock_timestamp() WHERE code = 'ibf';
SELECT count(*) AS given_up FROM distsync_internal.inbox_feed_claim(10, gen_random_uuid());

-- answer makes what a partner's queue says; finish hands it over under the feed's lease, as the courier does
CREATE FUNCTION pg_temp.entry(id text, body text, ago interval DEFAULT '0') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('id', id, 'body_base64', encode(convert_to(body, 'UTF8'), 'base64'),
		'headers', (SELECT jsonb_object_agg(split_part(l, ': ', 1), substr(l, strpos(l, ': ') + 2)) FROM unnest(distsync_internal.http_sign('standard', ARRAY[distsync_internal.http_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')],
			id, extract(epoch FROM clock_timestamp() - ago)::bigint, convert_to(body, 'UTF8'))) l))
$$;
CREATE FUNCTION pg_temp.finish(body text, status integer DEFAULT 200, curl_code integer DEFAULT 0, error text DEFAULT NULL) RETURNS integer LANGUAGE sql AS $$
	SELECT distsync_internal.inbox_feed_finish(f.feed_id, f.lease, status, curl_code, error, convert_to(body, 'UTF8')) FROM sync.feed f WHERE f.code = 'ibf'
$$;
CREATE FUNCTION pg_temp.claim() RETURNS text LANGUAGE sql AS $$
	UPDATE sync.feed SET due_at = '-infinity' WHERE code = 'ibf';
	SELECT c.url FROM distsync_internal.inbox_feed_claim(1, gen_random_uuid()) c
$$;
CREATE FUNCTION pg_temp.feed(OUT cursor text, OUT failures integer, OUT last_error text, OUT free boolean, OUT pause numeric) LANGUAGE sql AS $$
	SELECT f.cursor, f.failures, f.last_error, f.lease IS NULL, CASE WHEN isfinite(f.due_at) THEN round(extract(epoch FROM f.due_at - f.last_pull_at)) END FROM sync.feed f WHERE f.code = 'ibf'
$$;

-- two messages, and more behind them: due at once; one of them again and a new one: the new one counts
SELECT pg_temp.finish(jsonb_build_object('messages', jsonb_build_array(pg_temp.entry('q1', '{"currency": "YAA"}'), pg_temp.entry('q2', '{"currency": "YAB"}')), 'next_cursor', '2', 'more', true)::text) AS taken;
SELECT * FROM pg_temp.feed();
SELECT pg_temp.claim();
SELECT pg_temp.finish(jsonb_build_object('messages', jsonb_build_array(pg_temp.entry('q2', '{"currency": "YAB"}'), pg_temp.entry('q3', '{"currency": "YAC"}')), 'next_cursor', 3, 'more', false)::text) AS taken;
SELECT * FROM pg_temp.feed();
-- "more" without a step of the cursor is no reason to hurry
SELECT pg_temp.claim();
SELECT pg_temp.finish('{"messages": [], "next_cursor": "3", "more": true}') AS taken;
SELECT pause FROM pg_temp.feed();

-- an answer under a lease that was lost changes nothing
SELECT pg_temp.claim();
SELECT distsync_internal.inbox_feed_finish(feed_id, gen_random_uuid(), 200, 0, NULL, '{"messages": [], "next_cursor": "999"}') FROM sync.feed WHERE code = 'ibf';
SELECT cursor, free FROM pg_temp.feed();

-- failures: noted, the pause doubles up to a cap, fewer messages are asked for, nothing is taken; a good answer ends it
SELECT pg_temp.finish(NULL, NULL, 7, 'connection refused') AS taken;
SELECT * FROM pg_temp.feed();
SELECT pg_temp.claim();
SELECT pg_temp.finish('gone', 503) AS taken;
SELECT last_error, pause FROM pg_temp.feed();
CREATE FUNCTION pg_temp.try(answer text, OUT asked text, OUT taken integer, OUT noted text, OUT pause numeric) LANGUAGE plpgsql AS $$
BEGIN
	asked := regexp_replace(pg_temp.claim(), '.*&', '');
	taken := pg_temp.finish(answer);
	SELECT f.last_error, f.pause INTO noted, pause FROM pg_temp.feed() f;
END $$;
SELECT b AS answer, t.* FROM unnest(ARRAY['not JSON', '[]', '{"messages": {}}', '{"messages": []}', '{"messages": [], "next_cursor": {}}', '{"messages": [], "next_cursor": "1", "more": "yes"}', '{"messages": [], "next_cursor": "1", "next_cursor": "2"}']) b, pg_temp.try(b) t;
SELECT cursor, failures FROM pg_temp.feed();
SELECT pg_temp.claim();
SELECT pg_temp.finish('{"messages": [], "next_cursor": "3"}') AS taken;
SELECT * FROM pg_temp.feed();

-- a message that is refused does not stop the feed: counted, in quarantine with its bytes, once however often it is read
SELECT pg_temp.claim();
CREATE TEMP TABLE page AS SELECT jsonb_build_object('next_cursor', '7', 'messages', jsonb_build_array(
	pg_temp.entry('q4', '{"currency": "YAD"}') || '{"body_base64": "eyJjdXJyZW5jeSI6ICJZWVkifQ=="}', pg_temp.entry('q5', '{"currency": "YAE"}', '1 hour'), pg_temp.entry('q6', '{"currency": "YAF"}') - 'headers',
	'{"id": "q7", "headers": {}, "body_base64": "!!!"}', '"nonsense"', pg_temp.entry('q1', '{"currency": "YAZ"}'), pg_temp.entry('q8', '{"currency": "YAH"}')))::text AS body;
SELECT pg_temp.finish(body) AS taken FROM page;
SELECT * FROM pg_temp.feed();
SELECT pg_temp.claim();
SELECT pg_temp.finish(body) AS taken FROM page;
SELECT left(message_id, 11) AS message_id, state, sqlstate, error ->> 'reason' AS reason, convert_from(body, 'UTF8') AS body FROM sync.inbox WHERE source = 'ibf_wms' ORDER BY inbox_id;
SELECT reason, sum(n) AS n FROM sync.refused WHERE source = 'ibf_wms' GROUP BY reason ORDER BY reason;
SELECT kind, trace_key, seen FROM sync.exception WHERE trace_key LIKE 'inbox:ibf%' ORDER BY trace_key COLLATE "C";

-- replay judges the signature again: wrong stays wrong, whatever the force; an old timestamp may be waived
SELECT left(message_id, 11) AS message_id, outcome, sqlstate, message FROM distsync.replay_inbox(options => '{"source": "ibf_wms"}');
SELECT left(message_id, 11) AS message_id, outcome, sqlstate, message FROM distsync.replay_inbox(options => '{"source": "ibf_wms", "dry_run": false, "force": true, "reason": "their queue stood still"}');
-- a call of a task ends after a quarter of a second, so it is called until nothing is left
SELECT count(*) > 0 AS tried FROM generate_series(1, 20) WHERE distsync_internal.inbox_apply(100) > 0;
SELECT regexp_replace(left(message_id, 11), '#.*', '#n') AS message_id, state, sqlstate, entity_key FROM sync.inbox WHERE source = 'ibf_wms' ORDER BY inbox_id;
SELECT * FROM distsync_internal.inbox_verify_messages();

-- paused: not claimed; a pull in flight does not count; the doctor knows who fails
SELECT pg_temp.claim() IS NOT NULL AS claimed;
CREATE TEMP TABLE held AS SELECT feed_id, lease FROM sync.feed WHERE code = 'ibf';
SELECT distsync.set_feed_state('ibf', 'paused', 'stock-taking');
SELECT distsync_internal.inbox_feed_finish(feed_id, lease, 200, 0, NULL, '{"messages": [], "next_cursor": "999"}') FROM held;
SELECT count(*) AS claimed FROM distsync_internal.inbox_feed_claim(10, gen_random_uuid());
SELECT distsync.set_feed_state('ibf', 'stopped');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.set_feed_state('ibf_nobody', 'active');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.set_feed_state('ibf', 'active');
UPDATE sync.feed SET failures = 5, last_error = 'HTTP 503' WHERE code = 'ibf';
SELECT check_name, ok, detail, sql_to_fix FROM distsync_internal.inbox_doctor() WHERE check_name = 'feed ibf';
-- a source that is not active is not pulled for
SELECT distsync.add_source('ibf_wms', 'ibf_wms', '{"status": "inactive"}') IS NOT NULL AS changed;
SELECT count(*) AS claimed FROM distsync_internal.inbox_feed_claim(10, gen_random_uuid());
SELECT verb, entity_key, after ->> 'token_changed' AS token, reason FROM sync.audit WHERE entity = 'feed' AND entity_key = 'ibf' ORDER BY audit_id;

DELETE FROM sync.inbox WHERE source LIKE 'ibf%';
DELETE FROM sync.dedupe WHERE source LIKE 'ibf%';
DELETE FROM sync.refused WHERE source LIKE 'ibf%';
DELETE FROM sync.exception WHERE trace_key LIKE 'inbox:ibf%';
DELETE FROM sync.secret WHERE code LIKE 'ibf%';
DELETE FROM sync.feed WHERE code = 'ibf';
DELETE FROM sync.source WHERE code LIKE 'ibf%';
DELETE FROM dist.currency WHERE currency LIKE 'YA_';
