-- Feeds: queues of partners that we pull. The courier claims one under a lease, asks over HTTP, and hands back the answer; the messages go
-- through the same door as pushed ones, and the cursor moves in the same commit. The protocol is in README.md.

-- inbox_feed_row does the reading of a feed for the audit, without its token.
CREATE FUNCTION distsync_internal.inbox_feed_row(code text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(f) - '{lease,lease_until,due_at,last_pull_at}'::text[] FROM sync.feed f WHERE f.code = inbox_feed_row.code
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_row(text) IS 'A feed as JSON, NULL if there is none.';

-- inbox_write_feed does the insert or the change of a feed's row.
CREATE FUNCTION distsync_internal.inbox_write_feed(code text, source text, url text, options jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
	said text;
BEGIN
	INSERT INTO sync.feed (code, source, url) VALUES (inbox_write_feed.code, inbox_write_feed.source, inbox_write_feed.url) ON CONFLICT (code) DO NOTHING;
	UPDATE sync.feed f SET source = inbox_write_feed.source, url = inbox_write_feed.url,
		cursor = CASE WHEN options ? 'cursor' THEN options ->> 'cursor' ELSE f.cursor END,
		batch = CASE WHEN options ? 'batch' THEN (options ->> 'batch')::integer ELSE f.batch END,
		every = CASE WHEN options ? 'every' THEN (options ->> 'every')::interval ELSE f.every END,
		timeout = CASE WHEN options ? 'timeout' THEN (options ->> 'timeout')::interval ELSE f.timeout END,
		max_response = CASE WHEN options ? 'max_response' THEN (options ->> 'max_response')::integer ELSE f.max_response END,
		allow_http = CASE WHEN options ? 'allow_http' THEN (options ->> 'allow_http')::boolean ELSE f.allow_http END,
		allow_private = CASE WHEN options ? 'allow_private' THEN (options ->> 'allow_private')::boolean ELSE f.allow_private END,
		due_at = '-infinity', failures = 0, lease = NULL, lease_until = NULL
	WHERE f.code = inbox_write_feed.code
	RETURNING feed_id INTO id;
	RETURN id;
EXCEPTION
	WHEN check_violation OR not_null_violation OR data_exception THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
		PERFORM distsync_internal.inbox_invalid('feed', said);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_write_feed(text, text, text, jsonb) IS 'Inserts or changes a row of sync.feed; a pull in flight loses its lease, so that nothing of the old address counts. Returns its id. Errors: SD002.';

-- add_feed does the making of a queue to pull, or the change of one.
CREATE FUNCTION distsync.add_feed(code text, source text, url text, options jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	before jsonb := distsync_internal.inbox_feed_row(add_feed.code);
	after jsonb;
	refused text;
	id bigint;
BEGIN
	options := distsync_internal.base_options(options, '{token:text,cursor:text!,batch:integer!:1:1000,every:interval!:100 ms:1 day,timeout:interval!:10 ms:5 minutes,max_response:integer!:1024:67108864,allow_http:boolean!,allow_private:boolean!}');
	PERFORM distsync_internal.inbox_check_code(add_feed.code);
	IF NOT EXISTS (SELECT FROM sync.source s WHERE s.code = add_feed.source) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD022', MESSAGE = format('unknown source "%s"', source), DETAIL = 'Field: source.', HINT = 'Open it first: SELECT distsync.add_source(code, system, options).';
	END IF;
	IF length(COALESCE(options ->> 'cursor', '')) > 1024 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'cursor is too long', DETAIL = 'Field: options.cursor. At most 1024 characters.', HINT = 'Give the cursor as the partner writes it.';
	END IF;
	id := distsync_internal.inbox_write_feed(add_feed.code, add_feed.source, distsync_internal.base_required('url', url), options);
	SELECT distsync_internal.http_check_url(f.url, f.allow_http, f.allow_private) INTO refused FROM sync.feed f WHERE f.feed_id = id;
	IF refused IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD081', MESSAGE = format('URL can not be pulled: %s', refused), DETAIL = format('Field: url. It is "%s".', left(url, 200)),
			HINT = 'Use an https URL with a public host; allow_http and allow_private are options for machines of your own.';
	END IF;
	IF options ? 'token' THEN
		IF distsync_internal.http_check_header('Authorization: Bearer ' || (options ->> 'token')) IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'token can not stand in a header', DETAIL = 'Field: options.token.', HINT = 'Give the token alone, without "Bearer" and without line breaks.';
		END IF;
		DELETE FROM sync.secret s WHERE s.kind = 'feed' AND s.code = add_feed.code;
		IF options ->> 'token' IS NOT NULL THEN
			PERFORM distsync_internal.inbox_put_secret('feed', add_feed.code, convert_to(options ->> 'token', 'UTF8'), '0');
		END IF;
	END IF;
	after := distsync_internal.inbox_feed_row(add_feed.code);
	PERFORM distsync_internal.base_audit('add_feed', 'feed', add_feed.code, before, after || jsonb_build_object('token_changed', options ? 'token'));
	PERFORM distsync_internal.worker_wake('courier');
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync.add_feed(text, text, text, jsonb) IS
	'Makes or changes a feed: the queue at url is pulled into source. options: token (sent as bearer), cursor (where to start), batch (messages a pull, 1 to 1000), every (pause after an empty pull), timeout, max_response (bytes), allow_http, allow_private. What is not named stays. Returns its id. Errors: SD022 unknown source, SD081 address refused, SD002 invalid option.';

-- set_feed_state does the pausing of a feed, and its going on from where it was.
CREATE FUNCTION distsync.set_feed_state(feed text, state text, reason text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	before text;
BEGIN
	IF set_feed_state.state IS NULL OR set_feed_state.state NOT IN ('active', 'paused') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown state "%s"', set_feed_state.state), DETAIL = 'Field: state.', HINT = 'Use active or paused.';
	END IF;
	SELECT f.state INTO before FROM sync.feed f WHERE f.code = set_feed_state.feed FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown feed "%s"', feed), DETAIL = 'Field: feed.', HINT = 'Make it first: SELECT distsync.add_feed(code, source, url, options).';
	END IF;
	UPDATE sync.feed f SET state = set_feed_state.state, due_at = '-infinity', failures = 0, lease = NULL, lease_until = NULL
	WHERE f.code = set_feed_state.feed;
	PERFORM distsync_internal.base_audit('set_feed_state', 'feed', set_feed_state.feed, jsonb_build_object('state', before), jsonb_build_object('state', set_feed_state.state), reason);
	PERFORM distsync_internal.worker_wake('courier');
	RETURN before;
END
$$;
COMMENT ON FUNCTION distsync.set_feed_state(text, text, text) IS 'Pauses a feed (paused) or lets it go on from its cursor (active). A pull in flight does not count. Returns the state before. Errors: SD001 unknown feed, SD002 unknown state.';

-- inbox_url_escape does the writing of a text as the value of a query parameter.
CREATE FUNCTION distsync_internal.inbox_url_escape(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(string_agg(CASE WHEN get_byte(b.bytes, n) IN (45, 46, 95, 126) OR get_byte(b.bytes, n) BETWEEN 48 AND 57 OR get_byte(b.bytes, n) BETWEEN 65 AND 90 OR get_byte(b.bytes, n) BETWEEN 97 AND 122
		THEN chr(get_byte(b.bytes, n)) ELSE '%' || upper(lpad(to_hex(get_byte(b.bytes, n)), 2, '0')) END, '' ORDER BY n), '')
	FROM (SELECT convert_to(value, 'UTF8') AS bytes) b CROSS JOIN LATERAL generate_series(0, octet_length(b.bytes) - 1) n
$$;
COMMENT ON FUNCTION distsync_internal.inbox_url_escape(text) IS 'Percent-encoding of a text (UTF-8; letters, digits and -._~ stay).';

-- inbox_feed_claim does the handing out of feeds that are due, each under a lease: an answer without it does not count. A feed that
-- fails is asked for fewer messages each time, because the answer may have been too much for it or for us.
CREATE FUNCTION distsync_internal.inbox_feed_claim(max_rows integer, worker uuid)
RETURNS TABLE (feed_id bigint, lease uuid, method text, url text, headers text[], body bytea, timeout_ms integer, connect_timeout_ms integer, max_response integer, allow_http boolean, allow_private boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	UPDATE sync.feed f SET lease = gen_random_uuid(), lease_until = clock_timestamp() + f.timeout + COALESCE(current_setting('distsync.lease', true), '30s')::interval
	FROM (SELECT d.feed_id FROM sync.feed d JOIN sync.source s ON s.code = d.source AND s.status = 'active'
		WHERE d.state = 'active' AND d.due_at <= clock_timestamp() AND (d.lease IS NULL OR d.lease_until < clock_timestamp())
		ORDER BY d.due_at, d.feed_id LIMIT max_rows FOR UPDATE OF d SKIP LOCKED) due
	WHERE f.feed_id = due.feed_id
	RETURNING f.feed_id, f.lease, 'GET'::text,
		f.url || CASE WHEN strpos(f.url, '?') = 0 THEN '?' WHEN right(f.url, 1) IN ('?', '&') THEN '' ELSE '&' END
			|| format('cursor=%s&limit=%s', distsync_internal.inbox_url_escape(f.cursor), greatest(1, f.batch >> least(f.failures, 10))),
		ARRAY['Accept: application/json', 'User-Agent: distsync/@VERSION@']
			|| ARRAY(SELECT 'Authorization: Bearer ' || convert_from(t.token, 'UTF8') FROM unnest(distsync_internal.inbox_secrets('feed', f.code, clock_timestamp())) t(token) LIMIT 1),
		NULL::bytea, ceil(extract(epoch FROM f.timeout) * 1000)::integer, least(5000, ceil(extract(epoch FROM f.timeout) * 1000)::integer), f.max_response, f.allow_http, f.allow_private
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_claim(integer, uuid) IS 'Courier: feeds that are due, with a lease and everything a GET needs. The lease ends distsync.lease after the timeout of the pull.';

-- inbox_feed_failed does the noting of a failed pull: the next one waits, longer each time.
CREATE FUNCTION distsync_internal.inbox_feed_failed(feed_id bigint, why text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE sync.feed f SET failures = f.failures + 1, last_error = left(why, 500), last_pull_at = clock_timestamp(), lease = NULL, lease_until = NULL,
		due_at = clock_timestamp() + greatest(interval '1 second', least(greatest(f.every, interval '1 second') * 2 ^ least(f.failures, 20), interval '5 minutes'))
	WHERE f.feed_id = inbox_feed_failed.feed_id
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_failed(bigint, text) IS 'Ends a pull with an error: pause of every × 2^failures, between 1 s and 5 min.';

-- inbox_feed_answer does the reading of what a partner's queue answered, without raising.
CREATE FUNCTION distsync_internal.inbox_feed_answer(body bytea, OUT answer jsonb, OUT problem text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	BEGIN
		answer := distsync_internal.inbox_parse(COALESCE(body, ''));
	EXCEPTION WHEN OTHERS THEN
		problem := format('answer is not usable: %s', SQLERRM);
		RETURN;
	END;
	problem := CASE
		WHEN jsonb_typeof(answer) <> 'object' OR jsonb_typeof(answer -> 'messages') IS DISTINCT FROM 'array' THEN 'answer has no array "messages"'
		WHEN COALESCE(jsonb_typeof(answer -> 'next_cursor'), '') NOT IN ('string', 'number') THEN 'answer has no "next_cursor"'
		WHEN length(answer ->> 'next_cursor') > 1024 THEN '"next_cursor" is longer than 1024 characters'
		WHEN COALESCE(jsonb_typeof(answer -> 'more'), 'boolean') <> 'boolean' THEN '"more" is no boolean' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_answer(bytea) IS 'Answer of a queue as JSON, or what is wrong with it.';

-- inbox_feed_take does the taking of one message of an answer. What can't even be decoded is kept as it stands in the answer.
CREATE FUNCTION distsync_internal.inbox_feed_take(source text, message jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	headers jsonb := CASE WHEN jsonb_typeof(message) = 'object' THEN COALESCE(message -> 'headers', '{}') END;
	encoded text := CASE WHEN jsonb_typeof(message) = 'object' AND jsonb_typeof(message -> 'body_base64') = 'string' THEN regexp_replace(message ->> 'body_base64', '\s', '', 'g') END;
BEGIN
	IF encoded IS NULL OR length(encoded) % 4 <> 0 OR encoded !~ '^[A-Za-z0-9+/]*={0,2}$' THEN
		PERFORM distsync_internal.inbox_count_refused(source, 'message_invalid', headers, convert_to(message::text, 'UTF8'));
		PERFORM distsync_internal.inbox_keep(source, left(COALESCE(message ->> 'id', 'sha256:' || encode(sha256(convert_to(message::text, 'UTF8')), 'hex')), 255), '{}', convert_to(message::text, 'UTF8'), 'message_invalid');
		RETURN 'refused';
	END IF;
	-- where the sender signs no id, the one in the queue is the message's
	IF jsonb_typeof(headers) = 'object' AND message ->> 'id' IS NOT NULL AND NOT headers ? 'webhook-id' THEN
		headers := jsonb_build_object('x-message-id', message ->> 'id') || headers;
	END IF;
	RETURN (SELECT t.outcome FROM distsync_internal.inbox_take(source, headers, decode(encoded, 'base64'), true) t);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_take(text, jsonb) IS 'Gives {"id","headers","body_base64"} to the door. Returns accepted, duplicate or refused; a refused one is counted and in quarantine.';

-- inbox_feed_finish does the taking of an answer: all its messages and the step of the cursor, in one commit.
CREATE FUNCTION distsync_internal.inbox_feed_finish(feed_id bigint, lease uuid, status integer, curl_code integer, error text, body bytea) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	answer jsonb;
	problem text;
	taken integer;
	onward boolean;
BEGIN
	SELECT x.*, s.status AS source_status INTO f FROM sync.feed x JOIN sync.source s ON s.code = x.source
	WHERE x.feed_id = inbox_feed_finish.feed_id AND x.lease = inbox_feed_finish.lease FOR UPDATE OF x;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	problem := CASE
		WHEN COALESCE(inbox_feed_finish.curl_code, 0) <> 0 THEN COALESCE(NULLIF(inbox_feed_finish.error, ''), format('curl %s', inbox_feed_finish.curl_code))
		WHEN inbox_feed_finish.status IS DISTINCT FROM 200 THEN format('HTTP %s', inbox_feed_finish.status)
		WHEN f.source_status <> 'active' THEN format('source "%s" is not active', f.source) END;
	IF problem IS NULL THEN
		SELECT a.answer, a.problem INTO answer, problem FROM distsync_internal.inbox_feed_answer(inbox_feed_finish.body) a;
	END IF;
	IF problem IS NOT NULL THEN
		PERFORM distsync_internal.inbox_feed_failed(f.feed_id, problem);
		RETURN 0;
	END IF;
	SELECT count(*) FILTER (WHERE t.outcome = 'accepted') INTO taken
	FROM (SELECT distsync_internal.inbox_feed_take(f.source, m.value) AS outcome FROM jsonb_array_elements(answer -> 'messages') WITH ORDINALITY m(value, n) ORDER BY m.n) t;
	onward := COALESCE((answer ->> 'more')::boolean, false) AND answer ->> 'next_cursor' <> f.cursor;
	UPDATE sync.feed x SET cursor = answer ->> 'next_cursor', failures = 0, last_error = NULL, last_pull_at = clock_timestamp(), lease = NULL, lease_until = NULL,
		due_at = CASE WHEN onward THEN clock_timestamp() ELSE clock_timestamp() + f.every END
	WHERE x.feed_id = f.feed_id;
	RETURN taken;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_finish(bigint, uuid, integer, integer, text, bytea) IS
	'Courier: the answer of a pull. Takes its messages and moves the cursor, or notes the error and waits; nothing if the lease is no longer ours. Returns how many messages were new.';

-- inbox_feed_next_due does the telling of when the next pull is due, or a lost one is given up.
CREATE FUNCTION distsync_internal.inbox_feed_next_due() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(CASE WHEN f.lease IS NULL THEN f.due_at ELSE greatest(f.due_at, f.lease_until) END)
	FROM sync.feed f JOIN sync.source s ON s.code = f.source AND s.status = 'active' WHERE f.state = 'active'
$$;
COMMENT ON FUNCTION distsync_internal.inbox_feed_next_due() IS 'Courier: when the next feed is due, NULL if there is none.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('add_feed', '{admin}'), ('set_feed_state', '{operator,admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('courier', 'feed_claim', 100, 'distsync_internal.inbox_feed_claim'),
	('courier', 'feed_finish', 100, 'distsync_internal.inbox_feed_finish'),
	('courier', 'feed_next_due', 100, 'distsync_internal.inbox_feed_next_due');
