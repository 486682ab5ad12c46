-- The clerk's half of the inbox: message by message into the write door. Each one in its own subtransaction: what fails is set aside and the
-- others go on. Messages of one source stay in order; sources do not wait for each other.

-- inbox_entity does the reading of the entity that a document, or the type of its event, names.
CREATE FUNCTION distsync_internal.inbox_entity(bound text, event_type text, first jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tag text := NULLIF(split_part(first ->> 'schema', '/', 1), '');
	named text := COALESCE(tag, NULLIF(split_part(event_type, '.', 1), ''));
BEGIN
	IF COALESCE(bound, named) IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'message does not say what it carries', DETAIL = 'Field: type. Neither the type of the event, nor "schema" in the document, nor the source names an entity.',
			HINT = 'Send a CloudEvent with "type": "<entity>.<what>", or a document with "schema": "<entity>/1", or set the entity of the source.', COLUMN = 'type';
	ELSIF bound <> tag OR tag IS NULL AND bound <> named AND EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = named) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('source carries "%s", the message is "%s"', bound, named), DETAIL = 'Field: type. A source that is bound to an entity takes no other.',
			HINT = 'Send it through another source, or clear the entity of this one: add_source(code, system, ''{"entity": null}'').', COLUMN = 'type';
	END IF;
	RETURN COALESCE(bound, named);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_entity(text, text, jsonb) IS 'Entity of a message: of the source if it is bound to one, else of the "schema" of the first document, else the first part of the event''s type. Errors: SD005.';

-- inbox_options does the reading of what a sender may say about how his documents are meant. Never backfill: that is ours to say.
CREATE FUNCTION distsync_internal.inbox_options(message jsonb, what text, sends text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('mode', sends)
		|| CASE WHEN what IN ('deactivate', 'deactivated', 'delete', 'deleted') THEN '{"operation": "deactivate"}' WHEN what = 'snapshot' THEN '{"operation": "snapshot"}' ELSE '{}' END::jsonb
		|| COALESCE((SELECT jsonb_object_agg(o.key, o.value) FROM jsonb_each(CASE WHEN jsonb_typeof(message -> 'options') = 'object' THEN message -> 'options' ELSE '{}' END) o
			WHERE o.key IN ('operation', 'mode', 'as_of', 'scope', 'absent', 'snapshot', 'page', 'pages')), '{}')
$$;
COMMENT ON FUNCTION distsync_internal.inbox_options(jsonb, text, text) IS 'Options of apply_all() for a message: mode of the source, operation by the type (deactivated, deleted, snapshot), and operation, mode, as_of, scope, absent, snapshot, page, pages of the event''s own "options".';

-- inbox_uuid does the reading of a text as a UUID, NULL if it is none.
CREATE FUNCTION distsync_internal.inbox_uuid(value text) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN value ~* '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$' THEN value::uuid END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_uuid(text) IS 'A text as uuid, NULL if it is none.';

-- inbox_read_message does the finding of what a parsed message carries: its entity and its documents, by the mapping of its source if
-- that has one.
CREATE FUNCTION distsync_internal.inbox_read_message(m_source text, message jsonb, OUT is_event boolean, OUT event_type text, OUT what text, OUT payload jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
BEGIN
	SELECT * INTO STRICT s FROM sync.source x WHERE x.code = m_source;
	is_event := jsonb_typeof(message) = 'object' AND message ? 'data' AND (message ? 'specversion' OR jsonb_typeof(message -> 'type') = 'string');
	event_type := CASE WHEN is_event THEN message ->> 'type' END;
	payload := CASE WHEN is_event THEN message -> 'data' ELSE message END;
	IF s.mapping IS NOT NULL THEN
		payload := distsync_internal.mapping_run(s.mapping, payload, s.system);
		what := payload ->> 'entity';
		payload := payload -> 'documents';
	ELSE
		payload := CASE WHEN jsonb_typeof(payload) = 'array' THEN payload ELSE jsonb_build_array(payload) END;
		IF EXISTS (SELECT FROM jsonb_array_elements(payload) d WHERE jsonb_typeof(d) <> 'object') THEN
			RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'message carries no document', DETAIL = format('Field: %s. It must be an object or an array of objects.', CASE WHEN is_event THEN 'data' ELSE 'body' END),
				HINT = 'Send the document as a JSON object.', COLUMN = CASE WHEN is_event THEN 'data' ELSE 'body' END;
		END IF;
		what := distsync_internal.inbox_entity(s.entity, event_type, payload -> 0);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_read_message(text, jsonb) IS
	'Whether a message of a source is a CloudEvent, its type, the entity it carries and the documents as an array. Raises what the mapping raises; SD005 where it carries no document.';

-- inbox_apply_message does the application of one parsed message through the write door, in the caller's subtransaction.
CREATE FUNCTION distsync_internal.inbox_apply_message(m_source text, m_id text, m_correlation uuid, message jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	is_event boolean;
	payload jsonb;
	event_type text;
	what text;
	options jsonb;
	counts jsonb;
	keys text[];
BEGIN
	SELECT * INTO STRICT s FROM sync.source x WHERE x.code = m_source;
	SELECT r.is_event, r.event_type, r.what, r.payload INTO is_event, event_type, what, payload FROM distsync_internal.inbox_read_message(m_source, message) r;
	IF jsonb_array_length(payload) = 0 THEN
		RETURN jsonb_build_object('state', 'ignored', 'entity', what, 'counts', '{}'::jsonb);
	END IF;
	options := distsync_internal.inbox_options(CASE WHEN is_event THEN message END, split_part(event_type, '.', 2), s.sends)
		|| jsonb_build_object('correlation_id', COALESCE(distsync_internal.inbox_uuid(CASE WHEN is_event THEN message ->> 'correlationid' END), m_correlation),
			'causation_id', COALESCE(distsync_internal.inbox_uuid(m_id), m_correlation));
	SELECT jsonb_object_agg(o.outcome, o.n), array_agg(o.key) INTO counts, keys
	FROM (SELECT a.outcome, count(*) AS n, min(a.entity_key) AS key FROM distsync.apply_all(what, payload, s.system, NULL, options) a GROUP BY a.outcome) o;
	-- what the books would refuse at commit is refused here, where it hurts one message only
	SET CONSTRAINTS ALL IMMEDIATE;
	RETURN jsonb_build_object('state', CASE WHEN counts ?| '{applied,unchanged}' THEN 'applied' ELSE 'ignored' END, 'entity', what,
		'entity_key', CASE WHEN jsonb_array_length(payload) = 1 THEN keys[1] END, 'counts', COALESCE(counts, '{}'));
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_apply_message(text, text, uuid, jsonb) IS
	'Applies one message of a source: {"state" applied | ignored (all stale or duplicate), "entity", "entity_key" of a single document, "counts" by outcome}. Raises whatever the mapping or the write door raises.';

-- inbox_try does one message: the whole of it, or nothing and the error. Returns {"state"...} or {"sqlstate","message","detail","hint","field"}.
CREATE FUNCTION distsync_internal.inbox_try(m_source text, m_id text, m_correlation uuid, body bytea) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	message jsonb;
	parsed boolean := false;
	code text;
	said text;
	detail text;
	hint text;
	field text;
	error jsonb;
BEGIN
	message := distsync_internal.inbox_parse(body);
	parsed := true;
	RETURN distsync_internal.inbox_apply_message(m_source, m_id, m_correlation, message);
EXCEPTION WHEN query_canceled OR OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, field = COLUMN_NAME;
	error := jsonb_build_object('message', said, 'detail', detail);
	IF NOT parsed AND code IN ('22P02', '22P05', '22021', '22003', '54001') THEN
		RETURN distsync_internal.inbox_json_error(code, error);
	END IF;
	RETURN error || jsonb_build_object('sqlstate', code, 'hint', hint, 'field', COALESCE(NULLIF(field, ''), substring(detail FROM '^Field: ([^ ]+)\.( |$)')));
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_try(text, text, uuid, bytea) IS 'Applies the bytes of a message in a subtransaction: the answer of inbox_apply_message(), or what was raised as {"sqlstate","message","detail","hint","field"}, and then nothing was changed.';

-- inbox_tell_refused does the telling of rooms that want to know which of their documents were set aside, as far as the message can be read.
CREATE FUNCTION distsync_internal.inbox_tell_refused(m_source text, m_correlation uuid, body bytea) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
BEGIN
	IF NOT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'hook' AND h.name LIKE 'refused.%') THEN
		RETURN;
	END IF;
	SELECT * INTO m FROM distsync_internal.inbox_read_message(m_source, distsync_internal.inbox_parse(body));
	PERFORM distsync_internal.base_hook('refused.' || m.what, jsonb_build_object('source', (SELECT s.system FROM sync.source s WHERE s.code = m_source), 'documents', m.payload, 'correlation_id', m_correlation));
EXCEPTION WHEN OTHERS THEN
	-- what is wrong with it is in quarantine already
	RETURN;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_tell_refused(text, uuid, bytea) IS
	'Calls the hook refused.<entity> with the documents of a message that was set aside. Does nothing where the message cannot be read, or the hook fails.';

-- inbox_next does the locking of the next message of a source that is due, NULL if there is none.
CREATE FUNCTION distsync_internal.inbox_next(source text, after bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
	due timestamptz;
BEGIN
	SELECT i.inbox_id, i.next_at INTO id, due FROM sync.inbox i
	WHERE i.source = inbox_next.source AND i.state = 'received' AND i.inbox_id + 0 > after
	ORDER BY i.inbox_id + 0 LIMIT 1 FOR UPDATE;
	RETURN CASE WHEN due > clock_timestamp() THEN NULL ELSE id END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_next(text, bigint) IS 'Locks the first received message of a source behind an id. NULL: none, or it waits for its next try, and those behind it wait with it.';

-- inbox_step does one message from received to its next state. Returns done, retry, or yield: met a lock while others are held, so commit
-- those first; the message then starts a transaction, holds nothing that others wait for, and its try has not counted.
CREATE FUNCTION distsync_internal.inbox_step(inbox_id bigint, first boolean) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	result jsonb;
	code text;
BEGIN
	SELECT i.*, s.max_attempts INTO STRICT m FROM sync.inbox i JOIN sync.source s ON s.code = i.source WHERE i.inbox_id = inbox_step.inbox_id;
	result := distsync_internal.inbox_try(m.source, m.message_id, m.correlation_id, m.body);
	code := result ->> 'sqlstate';
	IF code IS NULL THEN
		UPDATE sync.inbox i SET state = result ->> 'state', entity = result ->> 'entity', entity_key = result ->> 'entity_key', outcome = result -> 'counts',
			attempts = least(i.attempts + 1, 32767)::smallint, applied_at = clock_timestamp(), next_at = NULL, sqlstate = NULL, error = NULL
		WHERE i.inbox_id = inbox_step.inbox_id;
		PERFORM distsync_internal.inbox_close_exception(m.source, m.sqlstate, m.error ->> 'field', 'replayed');
		RETURN 'done';
	ELSIF code IN ('40001', '40P01', '55P03') AND NOT first THEN
		RETURN 'yield';
	ELSIF distsync_internal.base_passing(code) AND m.attempts + 1 < m.max_attempts THEN
		UPDATE sync.inbox i SET attempts = i.attempts + 1, next_at = clock_timestamp() + least(interval '1 second' * 2 ^ m.attempts, interval '5 minutes'), sqlstate = code, error = result - 'sqlstate'
		WHERE i.inbox_id = inbox_step.inbox_id;
		RETURN 'retry';
	END IF;
	PERFORM distsync_internal.inbox_set_aside(inbox_step.inbox_id, code, result - 'sqlstate');
	PERFORM distsync_internal.inbox_tell_refused(m.source, m.correlation_id, m.body);
	PERFORM distsync_internal.inbox_close_exception(m.source, m.sqlstate, m.error ->> 'field', 'fails in another way');
	RETURN 'done';
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_step(bigint, boolean) IS 'Applies one locked message and writes its state: done (applied, ignored or quarantined), retry (an error that may pass; later, 1 s to 5 min), yield (not the first of its transaction and met a lock).';

-- inbox_lock_source does the taking of a source for this transaction: who applies its messages holds it, so that they stay in order.
CREATE FUNCTION distsync_internal.inbox_lock_source(source text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM 1 FROM sync.source s WHERE s.code = inbox_lock_source.source FOR NO KEY UPDATE SKIP LOCKED;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_lock_source(text) IS 'Locks a source until the end of the transaction. False: somebody else has it, or there is none.';

-- inbox_heads does the listing of the sources that have something due, the longest waiting first.
CREATE FUNCTION distsync_internal.inbox_heads() RETURNS TABLE (source text, inbox_id bigint, next_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.code, h.inbox_id, h.next_at
	FROM sync.source s
	CROSS JOIN LATERAL (SELECT i.inbox_id, i.next_at FROM sync.inbox i WHERE i.source = s.code AND i.state = 'received' ORDER BY i.inbox_id + 0 LIMIT 1) h
	ORDER BY h.inbox_id
$$;
COMMENT ON FUNCTION distsync_internal.inbox_heads() IS 'First received message of each source, with the time of its next try (NULL: at once).';

-- inbox_apply does the clerk's task: a share of each source's messages, in order, until enough is done or time is up, because its locks
-- are held until the commit. Two clerks share the work by source.
CREATE FUNCTION distsync_internal.inbox_apply(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
	until timestamptz := clock_timestamp() + interval '250 milliseconds';
	heads text[] := ARRAY(SELECT h.source FROM distsync_internal.inbox_heads() h WHERE h.next_at IS NULL OR h.next_at <= clock_timestamp());
	share integer := greatest(1, max_rows / greatest(cardinality(heads), 1));
	head text;
	id bigint;
	verdict text;
	done integer := 0;
	finished bigint[] := '{}';
BEGIN
	<<sources>>
	FOREACH head IN ARRAY heads LOOP
		CONTINUE WHEN NOT distsync_internal.inbox_lock_source(head);
		id := 0;
		FOR i IN 1 .. share LOOP
			id := distsync_internal.inbox_next(head, id);
			EXIT WHEN id IS NULL;
			IF done = 1 THEN
				-- from the second message on we hold what others may want: wait less than the deadlock detector does, and give way
				PERFORM set_config('lock_timeout', '400ms', true);
			END IF;
			verdict := distsync_internal.inbox_step(id, done = 0);
			EXIT sources WHEN verdict = 'yield';
			done := done + 1;
			finished := finished || CASE WHEN verdict = 'done' THEN id END;
			EXIT WHEN verdict = 'retry';
			EXIT sources WHEN done >= max_rows OR clock_timestamp() >= until;
		END LOOP;
	END LOOP;
	PERFORM distsync_internal.inbox_record_latency(finished);
	RETURN done;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_apply(integer) IS
	'Clerk task: applies up to max_rows messages, at most about 250 ms of them, in one transaction. FIFO within a source; sources that another clerk works on are left to it. Returns how many were tried.';

-- inbox_record_latency does the counting of how long messages took from receipt to the books.
CREATE FUNCTION distsync_internal.inbox_record_latency(ids bigint[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO sync.latency AS l (flow, minute, bucket, n, sum_us)
	SELECT 'receive', c.minute, c.bucket, count(*), sum(c.us)
	FROM (SELECT date_trunc('minute', i.applied_at, 'UTC') AS minute, u.us, greatest(0, least(200, ceil(4 * log(2, greatest(u.us, 1)))))::smallint AS bucket
		FROM sync.inbox i CROSS JOIN LATERAL (SELECT greatest(0, extract(epoch FROM i.applied_at - i.received_at) * 1000000)::bigint AS us) u
		WHERE i.inbox_id = ANY (ids) AND i.state IN ('applied', 'ignored') AND i.attempts = 1) c
	GROUP BY c.minute, c.bucket
	ORDER BY c.minute, c.bucket
	ON CONFLICT (flow, minute, bucket) DO UPDATE SET n = l.n + excluded.n, sum_us = l.sum_us + excluded.sum_us
$$;
COMMENT ON FUNCTION distsync_internal.inbox_record_latency(bigint[]) IS 'Adds messages that were applied at the first try to sync.latency, flow receive: from received_at to applied_at.';

-- inbox_next_due does the telling of when a waiting message is tried again, so that the clerk need not look before.
CREATE FUNCTION distsync_internal.inbox_next_due() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(COALESCE(h.next_at, clock_timestamp())) FROM distsync_internal.inbox_heads() h
$$;
COMMENT ON FUNCTION distsync_internal.inbox_next_due() IS 'When the next message is due, NULL if none waits.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'inbox', 100, 'distsync_internal.inbox_apply'),
	('clerk', 'inbox.next_due', 100, 'distsync_internal.inbox_next_due');
