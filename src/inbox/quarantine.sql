-- What is set aside: how an error becomes a quarantined message, and the business exception that people see. Messages of a source that
-- fail in the same way are one exception with a count: people mend a cause, not ten thousand messages.

-- inbox_trace does the naming of the exception that a quarantined message belongs to.
CREATE FUNCTION distsync_internal.inbox_trace(source text, sqlstate text, field text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('inbox:%s:%s:%s', source, sqlstate, COALESCE(field, ''))
$$;
COMMENT ON FUNCTION distsync_internal.inbox_trace(text, text, text) IS 'Trace key of the exception for quarantined messages of a source, SQLSTATE and field.';

-- inbox_kind does the naming of an exception's kind by its SQLSTATE.
CREATE FUNCTION distsync_internal.inbox_kind(sqlstate text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE sqlstate WHEN 'SD010' THEN 'idempotency_conflict' WHEN 'SD011' THEN 'unowned_write' ELSE 'quarantined' END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_kind(text) IS 'Kind of the exception for a quarantined message: idempotency_conflict, unowned_write or quarantined.';

-- inbox_open_exception does the showing of a quarantined message to people.
CREATE FUNCTION distsync_internal.inbox_open_exception(inbox_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
BEGIN
	SELECT * INTO m FROM sync.inbox i WHERE i.inbox_id = inbox_open_exception.inbox_id;
	PERFORM distsync_internal.base_exception(distsync_internal.inbox_kind(m.sqlstate), distsync_internal.inbox_trace(m.source, m.sqlstate, m.error ->> 'field'),
		'sync', 'error', NULL, m.entity, m.entity_key,
		jsonb_build_object('source', m.source, 'sqlstate', m.sqlstate, 'inbox_id', m.inbox_id, 'message_id', m.message_id) || m.error, NULL, NULL, NULL, m.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_open_exception(bigint) IS 'Opens the exception of a quarantined message, or counts it again; details show the latest message.';

-- inbox_close_exception does the closing of an exception, if a message had one, when the last message of its kind has left the quarantine.
CREATE FUNCTION distsync_internal.inbox_close_exception(source text, sqlstate text, field text, resolution text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	the_kind text := distsync_internal.inbox_kind(inbox_close_exception.sqlstate);
	trace text := distsync_internal.inbox_trace(inbox_close_exception.source, inbox_close_exception.sqlstate, inbox_close_exception.field);
BEGIN
	IF inbox_close_exception.sqlstate IS NULL THEN
		RETURN false;
	END IF;
	-- who sets a message aside right now holds this row: look after his commit, not before
	PERFORM 1 FROM sync.exception e WHERE e.kind = the_kind AND e.trace_key = trace AND e.state IN ('open', 'acknowledged') FOR UPDATE;
	IF EXISTS (SELECT FROM sync.inbox i WHERE i.source = inbox_close_exception.source AND i.state = 'quarantined'
			AND i.sqlstate = inbox_close_exception.sqlstate AND i.error ->> 'field' IS NOT DISTINCT FROM inbox_close_exception.field) THEN
		RETURN false;
	END IF;
	RETURN distsync_internal.base_exception_close(the_kind, trace, inbox_close_exception.resolution);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_close_exception(text, text, text, text) IS 'Closes the exception of a source, SQLSTATE and field if no message in quarantine is left of it; nothing for a NULL SQLSTATE. Returns whether it did.';

-- inbox_json_error does the renaming of what the JSON parser says.
CREATE FUNCTION distsync_internal.inbox_json_error(code text, error jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('sqlstate', n.name, 'message', n.message, 'detail', format('Field: body. %s %s', error ->> 'message', error ->> 'detail'), 'hint', n.hint, 'field', 'body')
	FROM (SELECT CASE code WHEN '22P02' THEN 'SD005' WHEN '22P05' THEN 'SD007' WHEN '22021' THEN 'SD007' WHEN '54001' THEN 'SD006' ELSE 'SD002' END,
		CASE code WHEN '22P02' THEN 'body is not valid JSON' WHEN '22P05' THEN 'body contains a character that text can not hold' WHEN '22021' THEN 'body is not valid UTF-8'
			WHEN '54001' THEN 'body is too deeply nested' ELSE 'body contains a value out of range' END,
		CASE code WHEN '22P02' THEN 'Have the sender correct what it writes; numbers are written without quotes, NaN and Infinity are no numbers.'
			WHEN '22P05' THEN 'Have the sender leave out \u0000 and halves of surrogate pairs.' ELSE 'Have the sender correct the body.' END) n(name, message, hint)
$$;
COMMENT ON FUNCTION distsync_internal.inbox_json_error(text, jsonb) IS 'Error of the JSON parser (SQLSTATE, {"message","detail"}) as an error of ours: {"sqlstate","message","detail","hint","field"}, SD005, SD006, SD007 or SD002.';

-- inbox_parse does the reading of a body as JSON, behind the guard. What the parser itself raises is renamed where it is caught.
CREATE FUNCTION distsync_internal.inbox_parse(body bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	problem text := distsync_internal.inbox_scan(body, 64);
	what text := split_part(problem, ':', 1);
	which text := substr(problem, length(what) + 3);
BEGIN
	CASE what
		WHEN 'encoding' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD007', MESSAGE = 'body is not valid UTF-8', DETAIL = format('Field: body. Byte %s is not part of a character.', which),
				HINT = 'Have the sender write UTF-8; the bytes are kept as they came.', COLUMN = 'body';
		WHEN 'depth' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD006', MESSAGE = 'body is too deeply nested', DETAIL = format('Field: body. More than %s levels.', which),
				HINT = 'No document has that many levels: have the sender correct it.', COLUMN = 'body';
		WHEN 'duplicate_key' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'a key stands twice in one object', DETAIL = format('Field: %s. Which value holds can not be known.', which),
				HINT = 'Have the sender write each key once.', COLUMN = which;
		ELSE
			RETURN convert_from(body, 'UTF8')::jsonb;
	END CASE;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_parse(bytea) IS
	'A body as jsonb. Errors: SD007 encoding, SD006 more than 64 levels, SD005 a key twice; the parser''s own 22P02, 22P05, 22003, 54001 are renamed by inbox_json_error().';

-- inbox_set_aside does the putting of a message into quarantine.
CREATE FUNCTION distsync_internal.inbox_set_aside(inbox_id bigint, code text, error jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE sync.inbox i SET state = 'quarantined', applied_at = clock_timestamp(), next_at = NULL, attempts = least(i.attempts + 1, 32767)::smallint, sqlstate = inbox_set_aside.code, error = inbox_set_aside.error
	WHERE i.inbox_id = inbox_set_aside.inbox_id;
	PERFORM distsync_internal.inbox_open_exception(inbox_set_aside.inbox_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_set_aside(bigint, text, jsonb) IS 'Puts a message into quarantine with SQLSTATE and error, and opens or counts its exception.';
