-- The write door: apply() takes facts, one document or many, from a system or from people. See README.md for the way through it.

-- door_raise does the raising of a rejection as an error, for callers that want all or nothing.
CREATE FUNCTION distsync_internal.door_raise(entity text, r distsync_internal.apply_result) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = COALESCE(r.sqlstate, 'SD005'), MESSAGE = COALESCE(r.message, 'document was rejected'),
		DETAIL = format('Field: %s. Document %s of the call, %s "%s".%s', COALESCE(r.field, '-'), r.ordinal, entity, COALESCE(r.entity_key, '?'), COALESCE(' ' || (r.detail ->> 'text'), '')),
		HINT = COALESCE(r.hint, 'Correct the document and send it again.'), COLUMN = COALESCE(r.field, ''), TABLE = entity;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_raise(text, distsync_internal.apply_result) IS 'Raises a rejected row of apply_result as an error with its SQLSTATE, field, message and hint.';

-- apply_all does the taking of many documents of one entity: checks all of them before the first write, then hands them to the entity's handler.
CREATE FUNCTION distsync.apply_all(entity text, documents jsonb, source text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	handler text;
	ctx jsonb;
	rows distsync_internal.apply_result[];
	docs jsonb;
	bad distsync_internal.apply_result;
BEGIN
	SELECT h.function INTO handler FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = apply_all.entity ORDER BY h.ordinal LIMIT 1;
	IF handler IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown entity "%s"', entity), DETAIL = 'Field: entity.',
			HINT = format('Known: %s.', (SELECT string_agg(e.entity, ', ' ORDER BY e.entity COLLATE "C") FROM distsync_internal.document_entity e));
	END IF;
	docs := (SELECT jsonb_agg(jsonb_build_object('ordinal', d.n, 'doc', d.value) ORDER BY d.n) FROM jsonb_array_elements(documents) WITH ORDINALITY d(value, n));
	ctx := jsonb_build_object('source', source, 'operation', 'upsert', 'mode', 'document', 'on_error', 'abort') || options;
	EXECUTE format('SELECT array_agg(x) FROM %s($1, $2) x', handler) INTO rows USING docs, ctx;
	IF ctx ->> 'on_error' = 'abort' THEN
		SELECT r.* INTO bad FROM unnest(rows) r WHERE r.outcome = 'rejected' ORDER BY r.ordinal LIMIT 1;
		IF FOUND THEN
			PERFORM distsync_internal.door_raise(entity, bad);
		END IF;
	END IF;
	RETURN QUERY SELECT r.* FROM unnest(rows) r ORDER BY r.ordinal;
END
$$;
COMMENT ON FUNCTION distsync.apply_all(text, jsonb, text, text, jsonb) IS
	'Takes an array of documents of one entity from a system. One row a document: ordinal, outcome applied | unchanged | duplicate | stale | rejected, entity_key, and for a rejected one sqlstate, field, message, hint.';

-- apply does the taking of one document: a bulk of one.
CREATE FUNCTION distsync.apply(entity text, document jsonb, source text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT * FROM distsync.apply_all(entity, jsonb_build_array(document), source, idempotency_key, options)
$$;
COMMENT ON FUNCTION distsync.apply(text, jsonb, text, text, jsonb) IS 'Takes one document of an entity from a system: apply_all() of one. One row.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('apply', '{integrator,admin}'), ('apply_all', '{integrator,admin}');
