-- What the door checks before any handler sees a document: who sends, what the call asks for, and every field of every document.

-- door_check does the check of all documents of a call in one pass. It runs no SQL, so it needs no path.
CREATE FUNCTION distsync_internal.door_check(documents jsonb, entity text, names text[], types text[], required boolean[], fixed boolean[], signs text[],
	choices text[], key_fields text[], currencies text, zone text, keys_only boolean,
	OUT docs jsonb, OUT faults jsonb, OUT keys text[], OUT versions numeric[], OUT told timestamptz[], OUT companies text[], OUT waves integer[], OUT wave_count integer,
	OUT ordinals integer[])
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_door_check';
COMMENT ON FUNCTION distsync_internal.door_check(jsonb, text, text[], text[], boolean[], boolean[], text[], text[], text[], text, text, boolean) IS
	'Checks an array of documents against declared fields. docs: [{"ordinal","doc"}] of the good ones, unknown fields in ext, instants with a zone. faults: [{"ordinal","entity_key","sqlstate","field","message","hint"}], NULL = none. Of the good ones, in order: keys, versions, told (updated_at), companies, waves (how often the entity has come so far; NULL = all once). Errors: SD005 not an array.';

-- door_examine does the call of door_check with what the rooms declared and the books know.
CREATE FUNCTION distsync_internal.door_examine(target text, documents jsonb, zone text, keys_only boolean,
	OUT docs jsonb, OUT faults jsonb, OUT keys text[], OUT versions numeric[], OUT told timestamptz[], OUT companies text[], OUT waves integer[], OUT wave_count integer,
	OUT ordinals integer[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.* FROM distsync_internal.document_entity e
	CROSS JOIN LATERAL (
		SELECT COALESCE(array_agg(f.field), '{}') AS names, COALESCE(array_agg(f.type), '{}') AS types, COALESCE(array_agg(f.required), '{}') AS required,
			COALESCE(array_agg(f.at_creation), '{}') AS fixed, COALESCE(array_agg(f.sign), '{}') AS signs,
			COALESCE(array_agg(array_to_string(f.choices, chr(31))), '{}') AS choices
		FROM distsync_internal.document_field f WHERE f.entity = e.entity) s
	CROSS JOIN LATERAL distsync_internal.door_check(documents, e.entity, s.names, s.types, s.required, s.fixed, s.signs, s.choices, e.key_fields,
		(SELECT COALESCE(string_agg(u.currency, ''), '') FROM dist.currency u), zone, keys_only) c
	WHERE e.entity = target
$$;
COMMENT ON FUNCTION distsync_internal.door_examine(text, jsonb, text, boolean) IS 'Checks an array of documents of an entity; see door_check.';

-- door_declared does what the rooms declared about an entity, for the short way in C, which keeps it until it changes.
CREATE FUNCTION distsync_internal.door_declared(target text, OUT handler text, OUT domain text, OUT names text[], OUT types text[], OUT required boolean[], OUT fixed boolean[], OUT signs text[],
	OUT choices text[], OUT key_fields text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT (SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = e.entity
			AND NOT EXISTS (SELECT FROM distsync_internal.handler s WHERE s.kind = 'entity' AND s.name = e.entity || '.scope') ORDER BY h.ordinal LIMIT 1),
		e.domain, COALESCE(f.names, '{}'), COALESCE(f.types, '{}'), COALESCE(f.required, '{}'), COALESCE(f.fixed, '{}'), COALESCE(f.signs, '{}'), COALESCE(f.choices, '{}'), e.key_fields
	INTO handler, domain, names, types, required, fixed, signs, choices, key_fields
	FROM distsync_internal.document_entity e
	CROSS JOIN LATERAL (SELECT array_agg(d.field) AS names, array_agg(d.type) AS types, array_agg(d.required) AS required, array_agg(d.at_creation) AS fixed, array_agg(d.sign) AS signs,
		array_agg(array_to_string(d.choices, chr(31))) AS choices FROM distsync_internal.document_field d WHERE d.entity = e.entity) f
	WHERE e.entity = target;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_declared(text) IS 'Handler of an entity without snapshots (NULL: none, or it has them), its domain and its fields, as door_check() takes them.';

-- door_redeclared does the telling that declarations have changed. It runs no SQL.
CREATE FUNCTION distsync_internal.door_redeclared() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'ds_sql_door_redeclared';
COMMENT ON FUNCTION distsync_internal.door_redeclared() IS 'Statement trigger on handler, document_entity and document_field: sessions forget what they keep of them.';
CREATE TRIGGER handler_redeclared_trg AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON distsync_internal.handler FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.door_redeclared();
CREATE TRIGGER document_entity_redeclared_trg AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON distsync_internal.document_entity FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.door_redeclared();
CREATE TRIGGER document_field_redeclared_trg AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON distsync_internal.document_field FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.door_redeclared();

-- door_refuse does the error for what is wrong with the call itself.
CREATE FUNCTION distsync_internal.door_refuse(code text, field text, message text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = format('Field: %s.', field), HINT = hint, COLUMN = field;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_refuse(text, text, text, text) IS 'Raises an error about an argument: SQLSTATE, argument, message, hint.';

-- door_check_options does the check of what a call asks for: a misspelt option must not be silence.
CREATE FUNCTION distsync_internal.door_check_options(options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
BEGIN
	PERFORM distsync_internal.base_options(options, '{operation,mode,on_error,backfill,as_of,scope,absent,allow_empty,snapshot:text!,page:integer!:1:1000,pages:integer!:1:1000,correlation_id,causation_id,company:text}');
	FOR o IN SELECT * FROM (VALUES ('operation', '{upsert,deactivate,snapshot}'::text[]), ('mode', '{document,patch}'), ('on_error', '{abort,collect}'),
		('absent', '{deactivate,zero,ignore}'), ('backfill', '{true,false}'), ('allow_empty', '{true,false}')) v(name, allowed)
	LOOP
		IF options ->> o.name <> ALL (o.allowed) THEN
			PERFORM distsync_internal.door_refuse('SD005', 'options.' || o.name, format('option "%s" can''t be "%s"', o.name, options ->> o.name),
				format('Send one of %s.', array_to_string(o.allowed, ', ')));
		END IF;
	END LOOP;
	IF options ->> 'correlation_id' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' OR options ->> 'causation_id' !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
		PERFORM distsync_internal.door_refuse('SD005', 'options.correlation_id', 'correlation_id and causation_id are UUIDs', 'Send a UUID, or leave it out.');
	END IF;
	IF options ->> 'as_of' !~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d(:?\d\d(:?\d\d)?)?)$' THEN
		PERFORM distsync_internal.door_refuse('SD005', 'options.as_of', format('"%s" is not an instant', options ->> 'as_of'), 'Send an instant with its zone, for example 2026-05-14T10:00:00Z.');
	END IF;
	IF options ->> 'operation' = 'snapshot' AND NOT (options ?& '{as_of,scope,absent}' AND COALESCE(jsonb_typeof(options -> 'scope') = 'object', false)) THEN
		PERFORM distsync_internal.door_refuse('SD005', 'options', 'a snapshot must say its scope, its as_of and what absence means',
			'Send scope (an object, {} = everything), as_of (an instant) and absent (deactivate, zero or ignore) in options.');
	END IF;
	IF options ?| '{snapshot,page,pages}' AND NOT (COALESCE(options ->> 'operation' = 'snapshot', false) AND options ?& '{snapshot,page,pages}'
			AND length(options ->> 'snapshot') BETWEEN 1 AND 255 AND (options ->> 'page')::integer <= (options ->> 'pages')::integer) THEN
		PERFORM distsync_internal.door_refuse('SD005', 'options.snapshot', 'a page of a snapshot must say which snapshot it is of, its number and how many there are',
			'Send snapshot (a name of 1 to 255 characters), page and pages (page 1 is the first of pages) with operation snapshot.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_check_options(jsonb) IS 'Checks the options of apply() and apply_all(). Errors: SD005 naming the option.';

-- door_context does the making of what handlers are told: who sends, what for, and the cause it all belongs to.
CREATE FUNCTION distsync_internal.door_context(source text, options jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
BEGIN
	IF source = 'distsync' THEN
		SELECT 'distsync' AS kind, 'UTC' AS tz, NULL::text AS currency, 'document' AS sends INTO s;
	ELSE
		SELECT y.kind, y.tz, y.currency, (SELECT CASE WHEN bool_and(d.sends = 'patch') THEN 'patch' ELSE 'document' END FROM sync.source d WHERE d.system = y.code) AS sends
		INTO s FROM sync.system y WHERE y.code = door_context.source AND y.status = 'active';
		IF NOT FOUND THEN
			PERFORM distsync_internal.door_refuse('SD022', 'source', format('unknown source "%s"', source),
				'Name an active system of sync.system, or "distsync" for what people enter; add_system() adds one.');
		END IF;
	END IF;
	PERFORM distsync_internal.door_check_options(options);
	RETURN jsonb_build_object('operation', 'upsert', 'mode', s.sends, 'on_error', 'abort', 'backfill', false, 'correlation_id', gen_random_uuid()) || options
		|| jsonb_build_object('source', source, 'system', jsonb_build_object('kind', s.kind, 'tz', s.tz, 'currency', s.currency));
END
$$;
COMMENT ON FUNCTION distsync_internal.door_context(text, jsonb) IS
	'Context that handlers get: source, system {"kind","tz","currency"}, operation, mode, on_error, backfill, correlation_id, causation_id, as_of, scope, absent, company. Errors: SD022 unknown source, SD005 wrong option.';

-- door_parse does the reading of bytes into a document, with an error of ours for each way it can fail.
CREATE FUNCTION distsync_internal.door_parse(body bytea) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	body_text text;
	detail text;
BEGIN
	BEGIN
		body_text := convert_from(body, 'UTF8');
	EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
		RAISE EXCEPTION USING ERRCODE = 'SD007', MESSAGE = 'body is not valid UTF-8', COLUMN = 'body',
			DETAIL = format('Field: body. %s', SQLERRM), HINT = 'Send UTF-8 without a byte order mark of another encoding.';
	END;
	RETURN ltrim(body_text, E'\uFEFF')::jsonb;
EXCEPTION
	WHEN invalid_text_representation OR untranslatable_character OR numeric_value_out_of_range OR statement_too_complex OR program_limit_exceeded THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'body is not JSON that can be kept', COLUMN = 'body',
			DETAIL = format('Field: body. %s. %s', SQLERRM, detail), HINT = 'Send well-formed JSON without \u0000, lone surrogates, or nesting thousands deep.';
END
$$;
COMMENT ON FUNCTION distsync_internal.door_parse(bytea) IS 'JSON in a body, a leading byte order mark taken off. Errors: SD007 not UTF-8, SD005 not JSON, or JSON that jsonb can''t keep.';
