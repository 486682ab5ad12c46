-- Handlers for the tests of the workers: the smallest outbox and feed that show what the loops do, without the rooms that
-- will use them. Registered before theirs (ordinal 1). Loaded into a database with the extension and setup().

CREATE SCHEMA IF NOT EXISTS distsync_test;
GRANT ALL ON SCHEMA distsync_test TO distsync_owner;
GRANT CREATE ON SCHEMA distsync_internal TO distsync_owner;
SET ROLE distsync_owner;

-- what a writer commits
CREATE TABLE distsync_test.event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, url text NOT NULL, body text NOT NULL, routed boolean NOT NULL DEFAULT false);
-- what is to be sent
CREATE TABLE distsync_test.job (
	id bigint PRIMARY KEY, url text, body text, state text NOT NULL DEFAULT 'waiting', lease uuid, lease_until timestamptz,
	worker uuid, due_at timestamptz NOT NULL DEFAULT now(), attempts int NOT NULL DEFAULT 0, status int, curl_code int, error text,
	retry_after int, response_headers text, response_body bytea, total_us bigint);
CREATE TABLE distsync_test.feed (id bigint PRIMARY KEY, url text, due_at timestamptz NOT NULL DEFAULT now(), lease uuid, status int, curl_code int, error text, body bytea, pulls int NOT NULL DEFAULT 0);
CREATE TABLE distsync_test.task (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, done_by text, done_at timestamptz);
-- how often the courier looked for work
CREATE SEQUENCE distsync_test.look MINVALUE 0;
CREATE TABLE distsync_test.knob (name text PRIMARY KEY, value text);

CREATE FUNCTION distsync_test.wake() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.worker_wake(TG_ARGV[0]);
	RETURN NULL;
END
$$;
CREATE TRIGGER event_wake AFTER INSERT ON distsync_test.event FOR EACH STATEMENT EXECUTE FUNCTION distsync_test.wake('courier');
CREATE TRIGGER task_wake AFTER INSERT ON distsync_test.task FOR EACH STATEMENT EXECUTE FUNCTION distsync_test.wake('clerk');

-- fail_if does an error when the knob of that name is set.
CREATE FUNCTION distsync_test.fail_if(knob text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v text;
BEGIN
	SELECT k.value INTO v FROM distsync_test.knob k WHERE k.name = fail_if.knob;
	IF v = 'error' THEN
		RAISE EXCEPTION 'knob % says so', knob USING ERRCODE = 'SD002';
	ELSIF v LIKE 'sleep %' THEN
		PERFORM pg_sleep(substr(v, 7)::float8);
	END IF;
END
$$;

CREATE FUNCTION distsync_internal.test_route(max_rows int) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n int;
BEGIN
	PERFORM nextval('distsync_test.look');
	PERFORM distsync_test.fail_if('route');
	WITH e AS (
		UPDATE distsync_test.event SET routed = true
		WHERE id IN (SELECT id FROM distsync_test.event WHERE NOT routed ORDER BY id LIMIT max_rows) RETURNING id, url, body)
	INSERT INTO distsync_test.job (id, url, body) SELECT id, url, body FROM e;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN COALESCE((SELECT k.value::int FROM distsync_test.knob k WHERE k.name = 'route_answer'), n);
END
$$;

CREATE FUNCTION distsync_internal.test_claim(max_rows int, worker uuid)
RETURNS TABLE (delivery_id bigint, lease uuid, method text, url text, headers text[], body bytea, timeout_ms int, connect_timeout_ms int, max_response int, allow_http boolean, allow_private boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_test.fail_if('claim');
	RETURN QUERY
	UPDATE distsync_test.job j SET state = 'claimed', lease = gen_random_uuid(), lease_until = clock_timestamp() + COALESCE((SELECT k.value::interval FROM distsync_test.knob k WHERE k.name = 'lease'), '30 s'),
		worker = test_claim.worker, attempts = j.attempts + 1
	WHERE j.id IN (SELECT i.id FROM distsync_test.job i WHERE (i.state = 'waiting' AND i.due_at <= clock_timestamp())
				   OR (i.state = 'claimed' AND i.lease_until < clock_timestamp()) ORDER BY i.id LIMIT max_rows FOR UPDATE SKIP LOCKED)
	RETURNING j.id, j.lease, 'POST', j.url, ARRAY['content-type: text/plain', NULL, format('webhook-id: msg_%s', j.id)], convert_to(j.body, 'UTF8'),
		10000, 2000, 65536, true, true;
END
$$;

CREATE FUNCTION distsync_internal.test_finish(ids bigint[], leases uuid[], statuses int[], curl_codes int[], errors text[], retry_after int[],
	response_headers text[], response_bodies bytea[], dns_us bigint[], connect_us bigint[], tls_us bigint[], ttfb_us bigint[], total_us bigint[])
RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n int;
BEGIN
	PERFORM distsync_test.fail_if('finish');
	IF EXISTS (SELECT FROM distsync_test.knob k WHERE k.name = 'finish_id' AND k.value::bigint = ANY (ids)) THEN
		RAISE EXCEPTION 'result % cannot be recorded', (SELECT k.value FROM distsync_test.knob k WHERE k.name = 'finish_id');
	END IF;
	UPDATE distsync_test.job j SET state = 'done', status = r.status, curl_code = r.curl_code, error = r.error, retry_after = r.retry,
		response_headers = r.headers, response_body = r.body, total_us = r.total
	FROM unnest(ids, leases, statuses, curl_codes, errors, test_finish.retry_after, test_finish.response_headers, response_bodies, test_finish.total_us)
		AS r(id, lease, status, curl_code, error, retry, headers, body, total)
	WHERE j.id = r.id AND j.lease = r.lease AND j.state = 'claimed';
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;

CREATE FUNCTION distsync_internal.test_next_due() RETURNS timestamptz LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(due_at) FROM distsync_test.job WHERE state = 'waiting'
$$;

CREATE FUNCTION distsync_internal.test_ring() RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM pg_notify('distsync_test', count(*)::text) FROM distsync_test.job WHERE state = 'waiting' HAVING count(*) > 0;
	RETURN 0;
END
$$;

CREATE FUNCTION distsync_internal.test_feed_claim(max_rows int, worker uuid)
RETURNS TABLE (feed_id bigint, lease uuid, method text, url text, headers text[], body bytea, timeout_ms int, connect_timeout_ms int, max_response int, allow_http boolean, allow_private boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	UPDATE distsync_test.feed f SET lease = gen_random_uuid(), due_at = 'infinity'
	WHERE f.id IN (SELECT i.id FROM distsync_test.feed i WHERE i.due_at <= clock_timestamp() ORDER BY i.id LIMIT max_rows)
	RETURNING f.id, f.lease, 'GET', f.url, NULL::text[], NULL::bytea, 10000, 2000, 65536, true, true;
END
$$;

CREATE FUNCTION distsync_internal.test_feed_finish(feed_id bigint, lease uuid, status int, curl_code int, error text, body bytea)
RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE distsync_test.feed f SET status = test_feed_finish.status, curl_code = test_feed_finish.curl_code, error = test_feed_finish.error,
		body = test_feed_finish.body, pulls = pulls + 1,
		due_at = CASE WHEN test_feed_finish.curl_code = 0 THEN 'infinity' ELSE clock_timestamp() + interval '100 ms' END
	WHERE f.id = feed_id AND f.lease = test_feed_finish.lease;
	RETURN 1;
END
$$;

CREATE FUNCTION distsync_internal.test_feed_next_due() RETURNS timestamptz LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(due_at) FROM distsync_test.feed
$$;

CREATE FUNCTION distsync_internal.test_task(max_rows int) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n int;
BEGIN
	PERFORM distsync_test.fail_if('task');
	UPDATE distsync_test.task SET done_by = session_user || '/' || current_user || '/' || current_setting('search_path'), done_at = clock_timestamp()
	WHERE id IN (SELECT id FROM distsync_test.task WHERE done_at IS NULL ORDER BY id LIMIT LEAST(max_rows, 2));
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;

-- an intruder: a task that tries to become a superuser again
CREATE TABLE distsync_test.escape (way text PRIMARY KEY, result text);
CREATE FUNCTION distsync_internal.test_escape(max_rows int) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w text;
	bad text;
	superuser name := (SELECT rolname FROM pg_roles WHERE oid = 10);
BEGIN
	IF EXISTS (SELECT FROM distsync_test.escape) THEN
		RETURN 0;
	END IF;
	FOREACH w IN ARRAY ARRAY['RESET ROLE', 'SET ROLE NONE', format('SET ROLE %I', superuser), 'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION DEFAULT',
							 format('SET SESSION AUTHORIZATION %I', superuser)]
	LOOP
		BEGIN
			EXECUTE w;
			bad := 'allowed as ' || current_user;
		EXCEPTION WHEN OTHERS THEN
			bad := SQLSTATE;
		END;
		INSERT INTO distsync_test.escape VALUES (w, bad || ', now ' || current_user);
	END LOOP;
	RETURN 1;
END
$$;

RESET ROLE;
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('courier', 'route', 1, 'distsync_internal.test_route'),
	('courier', 'claim', 1, 'distsync_internal.test_claim'),
	('courier', 'finish', 1, 'distsync_internal.test_finish'),
	('courier', 'next_due', 1, 'distsync_internal.test_next_due'),
	('courier', 'ring', 1, 'distsync_internal.test_ring'),
	('courier', 'feed_claim', 1, 'distsync_internal.test_feed_claim'),
	('courier', 'feed_next_due', 1, 'distsync_internal.test_feed_next_due'),
	('courier', 'feed_finish', 1, 'distsync_internal.test_feed_finish'),
	('clerk', 'test_task', 1, 'distsync_internal.test_task'),
	('clerk', 'test_escape', 2, 'distsync_internal.test_escape');
SELECT pg_reload_conf();
