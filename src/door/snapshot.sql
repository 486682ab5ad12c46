-- Snapshots: a list that says it is complete within a scope. What is in the scope and not in the list is absent, and the caller said
-- what that means; what is known to be newer than the list is left alone.

-- door_snapshots tells whether an entity has snapshots: then the time of its news is kept even where they have no version.
CREATE FUNCTION distsync_internal.door_snapshots(target text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = target || '.scope')
$$;
COMMENT ON FUNCTION distsync_internal.door_snapshots(text) IS 'Whether a snapshot of an entity can tell what is absent: its room registered <entity>.scope.';

-- door_timed tells whether the door judges what is news of an entity, or its room does.
CREATE FUNCTION distsync_internal.door_timed(target text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT e.timed FROM distsync_internal.document_entity e WHERE e.entity = target
$$;
COMMENT ON FUNCTION distsync_internal.door_timed(text) IS 'Whether versions and times of the documents of an entity are kept and judged by the door.';

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
		ELSIF jsonb_array_length(documents) = 0 AND NOT COALESCE((ctx ->> 'allow_empty')::boolean, false) AND COALESCE((ctx ->> 'pages')::integer, 1) = 1 THEN
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
		PERFORM distsync_internal.base_hook('snapshot.' || target, ctx);
		RETURN;
	END IF;
	IF distsync_internal.door_timed(target) THEN
		PERFORM distsync_internal.door_lock_versions(target, ctx ->> 'source', keys);
		told := ARRAY(SELECT t FROM distsync_internal.door_take(target, ctx || jsonb_build_object('operation', 'snapshot', 'absence', ctx -> 'absent'), docs, keys,
			array_fill(NULL::numeric, ARRAY[cardinality(keys)]), array_fill(NULL::timestamptz, ARRAY[cardinality(keys)])) t);
	ELSE
		told := ARRAY(SELECT t FROM distsync_internal.door_handle(target, docs, ctx || jsonb_build_object('operation', 'snapshot', 'absence', ctx -> 'absent')) t);
	END IF;
	IF NOT EXISTS (SELECT FROM unnest(told) t WHERE t.outcome = 'rejected') THEN
		PERFORM distsync_internal.base_hook('snapshot.' || target, ctx);
	END IF;
	RETURN QUERY SELECT NULL::integer, t.outcome, COALESCE(t.entity_key, keys[-t.ordinal]), t.sqlstate, t.field, t.message, t.hint,
		COALESCE(t.detail, '{}') || jsonb_build_object('absent', ctx -> 'absent') FROM unnest(told) t;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_absent(text, jsonb, distsync_internal.apply_result[], jsonb) IS
	'Deactivates or zeroes what is in the scope of a snapshot and not in it, unless it is known to be newer. Rows without ordinal.';

-- door_page_opened does the entering of a page, before its documents are taken: who has entered one holds the snapshot until the end of
-- the transaction, so that the last page is the last one. A page that was told before may be told again, as it was.
CREATE FUNCTION distsync_internal.door_page_opened(target text, docs jsonb, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most CONSTANT bigint := 10000000;
	wish jsonb := jsonb_build_object('as_of', ctx -> 'as_of', 'scope', ctx -> 'scope', 'absent', ctx -> 'absent');
	hash bytea := sha256(convert_to(docs::text, 'UTF8'));
	other record;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('distsync.snapshot'), hashtext(concat_ws('/', ctx ->> 'source', target, ctx ->> 'snapshot')));
	SELECT count(*) FILTER (WHERE p.pages <> (ctx ->> 'pages')::integer OR p.said <> wish) AS otherwise,
		count(*) FILTER (WHERE p.page = (ctx ->> 'page')::integer AND p.body_sha256 <> hash) AS changed, COALESCE(sum(p.documents), 0) AS documents
	INTO other FROM sync.snapshot_page p WHERE p.source = ctx ->> 'source' AND p.entity = target AND p.snapshot = ctx ->> 'snapshot';
	IF other.otherwise > 0 THEN
		PERFORM distsync_internal.door_refuse('SD010', 'options.snapshot', format('snapshot "%s" was begun with another as_of, scope, absent or number of pages', ctx ->> 'snapshot'), 'Say the same with every page, or begin a new snapshot with a name of its own.');
	ELSIF other.changed > 0 THEN
		PERFORM distsync_internal.door_refuse('SD010', 'options.page', format('page %s of snapshot "%s" was told before and said something else', ctx ->> 'page', ctx ->> 'snapshot'), 'Begin a new snapshot with a name of its own.');
	ELSIF other.documents + jsonb_array_length(docs) > most THEN
		PERFORM distsync_internal.door_refuse('SD006', 'options.pages', format('snapshot "%s" has more than %s documents', ctx ->> 'snapshot', most), 'Divide its scope into several snapshots.');
	END IF;
	INSERT INTO sync.snapshot_page (source, entity, snapshot, page, pages, said, body_sha256, documents, received_at)
	VALUES (ctx ->> 'source', target, ctx ->> 'snapshot', (ctx ->> 'page')::integer, (ctx ->> 'pages')::integer, wish, hash, jsonb_array_length(docs), clock_timestamp())
	ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_page_opened(text, jsonb, jsonb) IS
	'Enters a page of a snapshot in sync.snapshot_page. Errors: SD010 the snapshot or the page was told otherwise before, SD006 more than 10,000,000 documents in all.';

-- door_page_told does the keeping of the keys of a page whose documents were taken, and the judging of absence when all pages have come.
CREATE FUNCTION distsync_internal.door_page_told(target text, docs jsonb, rows distsync_internal.apply_result[], ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	told distsync_internal.apply_result[];
BEGIN
	IF EXISTS (SELECT FROM unnest(rows) r WHERE r.entity_key IS NULL) THEN
		-- as if it had not come: corrected, it is another page of the same number
		DELETE FROM sync.snapshot_page p WHERE p.source = ctx ->> 'source' AND p.entity = target AND p.snapshot = ctx ->> 'snapshot' AND p.page = (ctx ->> 'page')::integer AND p.finished_at IS NULL;
		RETURN QUERY SELECT * FROM distsync_internal.door_absent(target, docs, rows, ctx);
		RETURN;
	END IF;
	UPDATE sync.snapshot_page p SET entity_keys = ARRAY(SELECT DISTINCT r.entity_key FROM unnest(rows) r)
	WHERE p.source = ctx ->> 'source' AND p.entity = target AND p.snapshot = ctx ->> 'snapshot' AND p.page = (ctx ->> 'page')::integer AND p.finished_at IS NULL;
	SELECT count(*) = (ctx ->> 'pages')::integer AS whole, bool_or(p.finished_at IS NOT NULL) AS finished INTO s
	FROM sync.snapshot_page p WHERE p.source = ctx ->> 'source' AND p.entity = target AND p.snapshot = ctx ->> 'snapshot';
	IF s.finished OR NOT s.whole THEN
		RETURN;
	END IF;
	told := ARRAY(SELECT a FROM distsync_internal.door_absent(target, docs, ARRAY(SELECT ROW(NULL, NULL, k, NULL, NULL, NULL, NULL, NULL)::distsync_internal.apply_result
		FROM sync.snapshot_page p CROSS JOIN LATERAL unnest(p.entity_keys) k WHERE p.source = ctx ->> 'source' AND p.entity = target AND p.snapshot = ctx ->> 'snapshot'), ctx) a);
	IF NOT EXISTS (SELECT FROM unnest(told) t WHERE t.outcome = 'rejected') THEN
		UPDATE sync.snapshot_page p SET entity_keys = NULL, finished_at = clock_timestamp() WHERE p.source = ctx ->> 'source' AND p.entity = target AND p.snapshot = ctx ->> 'snapshot';
	END IF;
	RETURN QUERY SELECT t.* FROM unnest(told) t;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_page_told(text, jsonb, distsync_internal.apply_result[], jsonb) IS
	'Keeps the keys of a page of a snapshot; with the last one, rows of what is absent, as door_absent(). Where one of these is rejected, the snapshot is not finished: any of its pages, told again, tries once more.';

-- door_snapshot_retention does the clearing away of old pages: of those that were never finished, too, because what was told counts.
CREATE FUNCTION distsync_internal.door_snapshot_retention(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	DELETE FROM sync.snapshot_page p USING (SELECT o.source, o.entity, o.snapshot, o.page FROM sync.snapshot_page o WHERE o.received_at < clock_timestamp() - interval '90 days' ORDER BY o.received_at LIMIT max_rows) old
	WHERE p.source = old.source AND p.entity = old.entity AND p.snapshot = old.snapshot AND p.page = old.page;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_snapshot_retention(integer) IS 'Clerk task: deletes pages of snapshots that came more than 90 days ago. Returns how many.';

-- door_snapshot_doctor does the look at snapshots of which pages are missing, or whose absence was refused.
CREATE FUNCTION distsync_internal.door_snapshot_doctor() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY SELECT 'door.snapshot_whole', false, format('%s of %s: %s of %s pages of snapshot "%s" have come, the last at %s, and absence is not judged.', p.entity, p.source, count(*), p.pages, p.snapshot, max(p.received_at)),
		'Let the source send the missing pages, or a new snapshot. What was listed counts; nothing else was changed.', NULL::text
	FROM sync.snapshot_page p WHERE p.finished_at IS NULL GROUP BY p.source, p.entity, p.snapshot, p.pages HAVING max(p.received_at) BETWEEN clock_timestamp() - interval '7 days' AND clock_timestamp() - interval '1 hour';
END
$$;
COMMENT ON FUNCTION distsync_internal.door_snapshot_doctor() IS 'Doctor handler: snapshots of the last 7 days that have been incomplete for an hour.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'door.snapshots', 915, 'distsync_internal.door_snapshot_retention'),
	('doctor', 'door', 100, 'distsync_internal.door_snapshot_doctor');
