-- Staleness: what came late must not undo what came first. Judged per entity and source; for patches per field.

-- door_parts does the naming of what a document changes: its fields, those in ext one by one, without key and version.
CREATE FUNCTION distsync_internal.door_parts(doc jsonb, key_fields text[]) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT k FROM jsonb_object_keys(doc) k WHERE k <> ALL (key_fields) AND k NOT IN ('version', 'updated_at', 'ext')
	UNION ALL
	SELECT 'ext.' || k FROM jsonb_object_keys(CASE WHEN jsonb_typeof(doc -> 'ext') = 'object' THEN doc -> 'ext' ELSE '{}' END) k
$$;
COMMENT ON FUNCTION distsync_internal.door_parts(jsonb, text[]) IS 'Fields that a document changes; ext.NAME for those it has in ext.';

-- door_without does the taking of fields out of a document.
CREATE FUNCTION distsync_internal.door_without(doc jsonb, parts text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN doc ? 'ext' AND EXISTS (SELECT FROM unnest(parts) p WHERE p LIKE 'ext.%')
		THEN jsonb_set(doc - parts, '{ext}', (doc -> 'ext') - ARRAY(SELECT substr(p, 5) FROM unnest(parts) p WHERE p LIKE 'ext.%'))
		ELSE doc - parts END
$$;
COMMENT ON FUNCTION distsync_internal.door_without(jsonb, text[]) IS 'A document without these fields; ext.NAME means one in ext.';

-- door_lock_versions does the locking of what each entity's newest version is, in the order of keys, so that two calls with news of
-- one entity run one after the other.
CREATE FUNCTION distsync_internal.door_lock_versions(target text, source text, keys text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO sync.entity_version (entity, entity_key, source)
	SELECT DISTINCT target, k COLLATE "C", door_lock_versions.source FROM unnest(keys) k WHERE k IS NOT NULL ORDER BY 2
	ON CONFLICT DO NOTHING;
	PERFORM FROM sync.entity_version v
	WHERE v.entity = target AND v.entity_key = ANY (keys) AND v.source = door_lock_versions.source
	ORDER BY v.entity_key COLLATE "C" FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_lock_versions(text, text, text[]) IS 'Locks the version rows of these keys, and makes those that are missing.';

-- door_judge does the judgement: which documents are news, which are stale or known, and which fields of a document are.
CREATE FUNCTION distsync_internal.door_judge(target text, ctx jsonb, docs jsonb, keys text[], versions numeric[]) RETURNS TABLE (ordinal integer, verdict text, key text, version numeric, dropped text[], doc jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (
		SELECT (d.value ->> 'ordinal')::integer AS ordinal, d.value -> 'doc' AS doc, u.key, u.version, v.version AS newest, v.fields, extract(epoch FROM v.as_of) AS settled,
			CASE WHEN ctx ->> 'operation' = 'snapshot' THEN (SELECT max(COALESCE(o.told_at, o.received_at)) FROM sync.entity_version o
				WHERE o.entity = target AND o.entity_key = u.key) END AS known_at, d.value -> 'doc' ? 'version' AS counted
		FROM jsonb_array_elements(docs) WITH ORDINALITY d(value, n)
		JOIN unnest(keys, versions) WITH ORDINALITY u(key, version, n) USING (n)
		LEFT JOIN sync.entity_version v ON v.entity = target AND v.entity_key = u.key AND v.source = ctx ->> 'source'),
	judged AS (
		SELECT t.*, CASE
			WHEN t.key IS NULL THEN 'fresh'
			WHEN t.version IS NULL THEN CASE WHEN ctx ->> 'operation' = 'snapshot' AND (ctx ->> 'as_of')::timestamptz < t.known_at THEN 'stale' ELSE 'fresh' END
			WHEN t.version < t.newest OR NOT t.counted AND t.version < t.settled THEN 'stale'
			WHEN t.version = t.newest AND t.counted THEN 'duplicate'
			ELSE 'fresh' END AS verdict,
			(SELECT array_agg(f.field ORDER BY f.field COLLATE "C") FROM jsonb_each_text(t.fields) f(field, at)
				WHERE t.version < f.at::numeric OR (t.version = f.at::numeric AND t.counted AND ctx ->> 'mode' = 'patch')) AS newer
		FROM told t),
	thinned AS (
		SELECT j.*, CASE WHEN j.verdict = 'fresh' AND j.newer IS NOT NULL THEN distsync_internal.door_without(j.doc, j.newer) ELSE j.doc END AS rest,
			CASE WHEN j.verdict = 'fresh' AND j.newer IS NOT NULL THEN
				ARRAY(SELECT p FROM distsync_internal.door_parts(j.doc, e.key_fields) p WHERE p = ANY (j.newer) ORDER BY p COLLATE "C") ELSE '{}' END AS dropped,
			e.key_fields
		FROM judged j, distsync_internal.document_entity e WHERE e.entity = target)
	SELECT t.ordinal, CASE WHEN cardinality(t.dropped) > 0 AND NOT EXISTS (SELECT FROM distsync_internal.door_parts(t.rest, t.key_fields))
		THEN CASE WHEN t.version < ANY (SELECT (t.fields ->> d)::numeric FROM unnest(t.dropped) d) THEN 'stale' ELSE 'duplicate' END ELSE t.verdict END,
		t.key, t.version, t.dropped, t.rest
	FROM thinned t ORDER BY t.ordinal
$$;
COMMENT ON FUNCTION distsync_internal.door_judge(text, jsonb, jsonb, text[], numeric[]) IS
	'Judges documents by their versions (NULL = none: only a snapshot''s as_of counts, against what any source told): verdict fresh | stale | duplicate, fields dropped because newer ones are known, the document without them. Under the locks of door_lock_versions.';

-- door_keep_versions does the noting of what is newest now, for the documents that were taken.
CREATE FUNCTION distsync_internal.door_keep_versions(target text, ctx jsonb, docs jsonb, keys text[], versions numeric[], told timestamptz[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE sync.entity_version v SET
		version = CASE WHEN ctx ->> 'mode' = 'patch' THEN v.version ELSE greatest(v.version, n.version) END,
		fields = CASE WHEN n.version IS NULL OR (ctx ->> 'mode' <> 'patch' AND v.fields = '{}') THEN v.fields
			WHEN ctx ->> 'mode' = 'patch' THEN v.fields || n.parts
			ELSE (SELECT COALESCE(jsonb_object_agg(f.field, f.at), '{}') FROM jsonb_each(v.fields) f(field, at) WHERE (f.at #>> '{}')::numeric > n.version) END,
		as_of = greatest(v.as_of, CASE WHEN ctx ->> 'operation' = 'snapshot' THEN (ctx ->> 'as_of')::timestamptz END),
		told_at = greatest(v.told_at, n.told, CASE WHEN ctx ->> 'operation' = 'snapshot' THEN (ctx ->> 'as_of')::timestamptz END),
		received_at = clock_timestamp()
	FROM (
		SELECT u.key, u.version, u.told, CASE WHEN ctx ->> 'mode' = 'patch' THEN
			(SELECT COALESCE(jsonb_object_agg(p, u.version), '{}') FROM distsync_internal.door_parts(d.value -> 'doc', e.key_fields) p) END AS parts
		FROM distsync_internal.document_entity e, jsonb_array_elements(docs) WITH ORDINALITY d(value, n)
		JOIN unnest(keys, versions, told) WITH ORDINALITY u(key, version, told, n) USING (n)
		WHERE e.entity = target) n
	WHERE v.entity = target AND v.entity_key = n.key AND v.source = ctx ->> 'source'
$$;
COMMENT ON FUNCTION distsync_internal.door_keep_versions(text, jsonb, jsonb, text[], numeric[], timestamptz[]) IS 'Notes the newest versions after documents were taken.';
