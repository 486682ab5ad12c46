-- Snapshots: a list that says it is complete within a scope. What is in the scope and not in the list is absent, and the caller said
-- what that means; what is known to be newer than the list is left alone.

-- door_snapshots tells whether an entity has snapshots: then the time of its news is kept even where they have no version.
CREATE FUNCTION distsync_internal.door_snapshots(target text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = target || '.scope')
$$;
COMMENT ON FUNCTION distsync_internal.door_snapshots(text) IS 'Whether a snapshot of an entity can tell what is absent: its room registered <entity>.scope.';

-- door_check_call does the check of the call as a whole: the entity, the number of documents, an empty snapshot.
CREATE FUNCTION distsync_internal.door_check_call(target text, documents jsonb, ctx jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM distsync_internal.handler h JOIN distsync_internal.document_entity e ON e.entity = h.name WHERE h.kind = 'entity' AND h.name = target) THEN
		PERFORM distsync_internal.door_refuse('SD001', 'entity', format('unknown entity "%s"', COALESCE(target, 'NULL')),
			format('Known: %s.', (SELECT string_agg(e.entity, ', ' ORDER BY e.entity COLLATE "C") FROM distsync_internal.document_entity e)));
	ELSIF documents IS NULL OR jsonb_typeof(documents) <> 'array' THEN
		PERFORM distsync_internal.door_refuse('SD005', 'documents', 'documents are not a list', 'Send a JSON array of documents, or one document with apply().');
	ELSIF jsonb_array_length(documents) > 100000 THEN
		PERFORM distsync_internal.door_refuse('SD006', 'documents', format('%s documents in one call, at most 100000 are taken', jsonb_array_length(documents)), 'Send them in several calls.');
	ELSIF ctx ->> 'operation' = 'snapshot' AND ctx ->> 'absent' <> 'ignore' THEN
		IF NOT distsync_internal.door_snapshots(target) THEN
			PERFORM distsync_internal.door_refuse('SD005', 'options.absent', format('a snapshot of %s can''t tell what is absent', target), 'Send absent: ignore, or deactivate documents one by one.');
		ELSIF jsonb_array_length(documents) = 0 AND NOT COALESCE((ctx ->> 'allow_empty')::boolean, false) THEN
			PERFORM distsync_internal.door_refuse('SD005', 'documents', 'the snapshot is empty', 'If everything in the scope is really gone, say so with allow_empty: true.');
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_check_call(text, jsonb, jsonb) IS 'Checks a call as a whole. Errors: SD001 unknown entity, SD005 no list, empty snapshot, or one that can''t tell what is absent, SD006 too many.';

-- door_absent does to what a snapshot left out what the caller asked for.
CREATE FUNCTION distsync_internal.door_absent(target text, documents jsonb, rows distsync_internal.apply_result[], ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function text := (SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = target || '.scope' ORDER BY h.ordinal LIMIT 1);
	docs jsonb;
	keys text[];
	told distsync_internal.apply_result[];
BEGIN
	IF EXISTS (SELECT FROM unnest(rows) r WHERE r.entity_key IS NULL) THEN
		RETURN NEXT ROW(NULL, 'rejected', NULL, 'SD005', 'document', 'absence was not judged: a document has no key', 'Correct the documents and send the snapshot again.', NULL)::distsync_internal.apply_result;
		RETURN;
	END IF;
	EXECUTE format($q$
		SELECT jsonb_agg(jsonb_build_object('ordinal', -g.n, 'doc', g.doc) ORDER BY g.n), array_agg(COALESCE((SELECT min(x.external_id COLLATE "C")
			FROM sync.xref x JOIN sync.entity_version v ON v.entity = x.entity AND v.entity_key = x.external_id AND v.source = x.system
			WHERE x.system = $4 AND x.entity = $5 AND x.code = g.entity_key), g.entity_key) ORDER BY g.n)
		FROM (SELECT s.entity_key, s.doc, row_number() OVER (ORDER BY s.entity_key COLLATE "C") AS n FROM %s($1, $2) s
			WHERE s.entity_key NOT IN (SELECT r.entity_key FROM unnest($3) r UNION ALL SELECT x.code FROM sync.xref x JOIN unnest($3) r ON r.entity_key = x.external_id
				WHERE x.system = $4 AND x.entity = $5)) g $q$, function)
	INTO docs, keys USING ctx -> 'scope', ctx, rows, ctx ->> 'source', target;
	IF docs IS NULL THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.door_lock_versions(target, ctx ->> 'source', keys);
	told := ARRAY(SELECT t FROM distsync_internal.door_take(target, ctx || jsonb_build_object('operation', 'snapshot', 'absence', ctx -> 'absent'), docs, keys,
		array_fill(NULL::numeric, ARRAY[cardinality(keys)]), array_fill(NULL::timestamptz, ARRAY[cardinality(keys)])) t);
	RETURN QUERY SELECT NULL::integer, t.outcome, COALESCE(t.entity_key, keys[-t.ordinal]), t.sqlstate, t.field, t.message, t.hint,
		COALESCE(t.detail, '{}') || jsonb_build_object('absent', ctx -> 'absent') FROM unnest(told) t;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_absent(text, jsonb, distsync_internal.apply_result[], jsonb) IS
	'Deactivates or zeroes what is in the scope of a snapshot and not in it, unless it is known to be newer. Rows without ordinal.';
