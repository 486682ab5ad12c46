-- The write door: apply() takes facts, one document or many, from a system or from people. README.md shows the way through it.

-- door_raise does the raising of a rejection as an error, for callers that want all or nothing.
CREATE FUNCTION distsync_internal.door_raise(entity text, r distsync_internal.apply_result) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = COALESCE(r.sqlstate, 'SD005'), MESSAGE = COALESCE(r.message, 'document was rejected'),
		DETAIL = format('Field: %s. Document %s of the call, %s%s.', COALESCE(r.field, 'document'), r.ordinal, entity, COALESCE(format(' "%s"', r.entity_key), '')),
		HINT = COALESCE(r.hint, 'Correct the document and send it again.'), COLUMN = COALESCE(r.field, 'document'), TABLE = entity;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_raise(text, distsync_internal.apply_result) IS 'Raises a rejected row of apply_result as an error with its SQLSTATE, field, message and hint.';

-- door_owned does the taking out of what the source does not own: refused documents become rejections, fields of others are dropped.
CREATE FUNCTION distsync_internal.door_owned(target text, ctx jsonb, docs jsonb, companies text[], OUT kept jsonb, OUT notes jsonb, OUT refused distsync_internal.apply_result[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	domain_name text := (SELECT e.domain FROM distsync_internal.document_entity e WHERE e.entity = target);
	judged jsonb;
BEGIN
	kept := docs;
	IF NOT EXISTS (SELECT FROM sync.ownership o WHERE o.domain = domain_name) THEN
		RETURN;
	END IF;
	SELECT jsonb_object_agg(o.ordinal, to_jsonb(o)) INTO judged FROM distsync_internal.door_ownership(target, ctx, docs, companies) o;
	IF judged IS NULL THEN
		RETURN;
	END IF;
	SELECT array_agg(ROW((j ->> 'ordinal')::integer, 'rejected', NULL, 'SD011', COALESCE(j -> 'unowned' ->> 0, 'document'),
		format('source "%s" does not own %s%s', ctx ->> 'source', domain_name, CASE WHEN j ->> 'company' = '*' THEN '' ELSE format(' of company "%s"', j ->> 'company') END),
		'Send it from the system that owns it, or make this one an owner with distsync.own().', NULL)::distsync_internal.apply_result)
	INTO refused FROM jsonb_each(judged) e(ordinal, j) WHERE (j ->> 'refused')::boolean;
	SELECT jsonb_object_agg(e.ordinal, jsonb_build_object('unowned', e.j -> 'unowned')) INTO notes FROM jsonb_each(judged) e(ordinal, j) WHERE NOT (e.j ->> 'refused')::boolean;
	SELECT COALESCE(jsonb_agg(CASE WHEN notes ? (d.value ->> 'ordinal') THEN jsonb_build_object('ordinal', d.value -> 'ordinal', 'doc',
		distsync_internal.door_without(d.value -> 'doc', ARRAY(SELECT jsonb_array_elements_text(notes -> (d.value ->> 'ordinal') -> 'unowned')))) ELSE d.value END ORDER BY d.n), '[]')
	INTO kept FROM jsonb_array_elements(docs) WITH ORDINALITY d(value, n) WHERE NOT COALESCE((judged -> (d.value ->> 'ordinal') ->> 'refused')::boolean, false);
END
$$;
COMMENT ON FUNCTION distsync_internal.door_owned(text, jsonb, jsonb, text[]) IS
	'Documents that the source may write, without the fields that it may not; notes {"ordinal":{"unowned":[...]}}, refused ones as rejections (SD011).';

-- door_handle does the call of an entity's handler; what a handler leaves out about its documents is filled in by the caller. Of history
-- nobody is told, so its changes are not captured.
CREATE FUNCTION distsync_internal.door_handle(target text, docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function text := (SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = target ORDER BY h.ordinal LIMIT 1);
	before boolean;
BEGIN
	IF (ctx ->> 'backfill')::boolean THEN
		before := distsync_internal.base_mute(true);
	END IF;
	RETURN QUERY EXECUTE format('SELECT * FROM %s($1, $2)', function)
	USING docs, ctx || jsonb_build_object('entity', target, 'operation', COALESCE(ctx -> 'absence', ctx -> 'operation'));
	IF before IS NOT NULL THEN
		PERFORM distsync_internal.base_mute(before);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_handle(text, jsonb, jsonb) IS 'Rows of the entity handler for checked documents.';

-- door_take does one wave of documents, in which every entity comes once: judges versions, calls the handler, keeps the versions.
CREATE FUNCTION distsync_internal.door_take(target text, ctx jsonb, docs jsonb, keys text[], versions numeric[], told timestamptz[]) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	late distsync_internal.apply_result[];
	rows distsync_internal.apply_result[];
	thinned jsonb;
	fresh jsonb;
	fresh_keys text[];
	fresh_versions numeric[];
	fresh_told timestamptz[];
	bad integer[];
BEGIN
	SELECT array_agg(ROW(j.ordinal, j.verdict, j.key, NULL, NULL, NULL, NULL, NULL)::distsync_internal.apply_result) FILTER (WHERE j.verdict <> 'fresh'),
		jsonb_object_agg(j.ordinal, jsonb_build_object('stale', j.dropped)) FILTER (WHERE j.verdict = 'fresh' AND cardinality(j.dropped) > 0),
		jsonb_agg(jsonb_build_object('ordinal', j.ordinal, 'doc', j.doc) ORDER BY j.ordinal) FILTER (WHERE j.verdict = 'fresh')
	INTO late, thinned, fresh FROM distsync_internal.door_judge(target, ctx, docs, keys, versions) j;
	UPDATE sync.entity_version v SET stale = v.stale + 1
	WHERE v.entity = target AND v.source = ctx ->> 'source' AND v.entity_key IN (SELECT l.entity_key FROM unnest(late) l WHERE l.outcome = 'stale');
	RETURN QUERY SELECT l.* FROM unnest(late) l;
	IF fresh IS NULL THEN
		RETURN;
	END IF;
	rows := ARRAY(SELECT h FROM distsync_internal.door_handle(target, fresh, ctx) h);
	bad := ARRAY(SELECT r.ordinal FROM unnest(rows) r WHERE r.outcome = 'rejected');
	SELECT jsonb_agg(f.value ORDER BY d.n), array_agg(u.key ORDER BY d.n), array_agg(u.version ORDER BY d.n), array_agg(u.told ORDER BY d.n)
	INTO fresh, fresh_keys, fresh_versions, fresh_told
	FROM jsonb_array_elements(docs) WITH ORDINALITY d(value, n)
	JOIN unnest(keys, versions, told) WITH ORDINALITY u(key, version, told, n) USING (n)
	JOIN jsonb_array_elements(fresh) f(value) ON f.value -> 'ordinal' = d.value -> 'ordinal'
	WHERE (d.value ->> 'ordinal')::integer <> ALL (bad);
	PERFORM distsync_internal.door_keep_versions(target, ctx, fresh, fresh_keys, fresh_versions, fresh_told);
	RETURN QUERY SELECT r.ordinal, r.outcome, r.entity_key, r.sqlstate, r.field, r.message, r.hint,
		CASE WHEN thinned ? r.ordinal::text THEN COALESCE(r.detail, '{}') || (thinned -> r.ordinal::text) ELSE r.detail END FROM unnest(rows) r;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_take(text, jsonb, jsonb, text[], numeric[], timestamptz[]) IS 'Takes documents of distinct entities whose versions (or the snapshot''s as_of) decide what is news.';

-- door_waves does the taking of documents that have versions or name an entity more than once: one after the other, as they came.
CREATE FUNCTION distsync_internal.door_waves(target text, ctx jsonb, docs jsonb, ordinals integer[], keys text[], versions numeric[], told timestamptz[], waves integer[]) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	w record;
	judging boolean := versions IS NOT NULL OR told IS NOT NULL OR ctx ->> 'operation' = 'snapshot' OR distsync_internal.door_snapshots(target);
BEGIN
	IF judging THEN
		PERFORM distsync_internal.door_lock_versions(target, ctx ->> 'source', keys);
	END IF;
	FOR w IN
		SELECT COALESCE(u.wave, 1) AS wave, jsonb_agg(d.value ORDER BY d.n) AS docs, array_agg(u.key ORDER BY d.n) AS keys,
			array_agg(COALESCE(u.version, extract(epoch FROM u.told)) ORDER BY d.n) AS versions, array_agg(u.told ORDER BY d.n) AS told
		FROM jsonb_array_elements(docs) WITH ORDINALITY d(value, n)
		JOIN unnest(ordinals, keys, versions, told, waves) u(ordinal, key, version, told, wave) ON u.ordinal = (d.value ->> 'ordinal')::integer
		GROUP BY 1 ORDER BY 1
	LOOP
		IF judging THEN
			RETURN QUERY SELECT * FROM distsync_internal.door_take(target, ctx, w.docs, w.keys, w.versions, w.told);
		ELSE
			RETURN QUERY SELECT * FROM distsync_internal.door_handle(target, w.docs, ctx);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_waves(text, jsonb, jsonb, integer[], text[], numeric[], timestamptz[], integer[]) IS
	'Takes documents in waves: the second one of an entity in the second wave, and so on. Locks all their versions first, in order.';

-- door_tell_refused does the telling of documents that were refused before their room saw them, after it has seen the others.
CREATE FUNCTION distsync_internal.door_tell_refused(target text, documents jsonb, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF documents IS NOT NULL THEN
		PERFORM distsync_internal.base_hook('refused.' || target, jsonb_build_object('source', ctx -> 'source', 'correlation_id', ctx -> 'correlation_id', 'documents', documents));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_tell_refused(text, jsonb, jsonb) IS 'Calls the hook refused.<entity> with documents as they were sent; nothing for NULL.';

-- door_pass does the whole way of a call's documents: check, ownership, versions, handler. Rows come in no order; with on_error abort
-- the first one that was rejected is an error.
CREATE FUNCTION distsync_internal.door_pass(target text, documents jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
	o record;
	rows distsync_internal.apply_result[];
	bad distsync_internal.apply_result;
	abort boolean := ctx ->> 'on_error' = 'abort';
	unseen jsonb;
BEGIN
	SELECT * INTO c FROM distsync_internal.door_examine(target, documents, ctx -> 'system' ->> 'tz', ctx ->> 'operation' = 'deactivate');
	SELECT * INTO o FROM distsync_internal.door_owned(target, ctx, c.docs, c.companies);
	IF c.faults IS NOT NULL OR o.refused IS NOT NULL THEN
		rows := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::distsync_internal.apply_result, c.faults) r) || o.refused;
		rows := ARRAY(SELECT ROW(r.ordinal, 'rejected', COALESCE(r.entity_key, k.key), r.sqlstate, r.field, r.message, r.hint, r.detail)::distsync_internal.apply_result
			FROM unnest(rows) r LEFT JOIN unnest(c.ordinals, c.keys) k(ordinal, key) ON k.ordinal = r.ordinal ORDER BY r.ordinal);
		IF abort THEN
			PERFORM distsync_internal.door_raise(target, rows[1]);
		END IF;
		unseen := (SELECT jsonb_agg(documents -> (r.ordinal - 1)) FROM unnest(rows) r);
		RETURN QUERY SELECT r.* FROM unnest(rows) r;
	END IF;
	IF jsonb_array_length(o.kept) = 0 THEN
		PERFORM distsync_internal.door_tell_refused(target, unseen, ctx);
		RETURN;
	END IF;
	IF c.versions IS NULL AND c.told IS NULL AND c.waves IS NULL AND ctx ->> 'operation' <> 'snapshot' AND NOT distsync_internal.door_snapshots(target) OR NOT distsync_internal.door_timed(target) THEN
		rows := ARRAY(SELECT h FROM distsync_internal.door_handle(target, o.kept, ctx) h);
	ELSE
		rows := ARRAY(SELECT h FROM distsync_internal.door_waves(target, ctx, o.kept, c.ordinals, c.keys, c.versions, c.told, c.waves) h);
	END IF;
	IF abort THEN
		SELECT r.* INTO bad FROM unnest(rows) r WHERE r.outcome = 'rejected' ORDER BY r.ordinal LIMIT 1;
		IF FOUND THEN
			PERFORM distsync_internal.door_raise(target, bad);
		END IF;
	END IF;
	PERFORM distsync_internal.door_tell_refused(target, unseen, ctx);
	IF cardinality(rows) <> jsonb_array_length(o.kept) THEN
		RAISE EXCEPTION USING ERRCODE = 'internal_error', MESSAGE = format('handler of "%s" answered %s rows for %s documents', target, cardinality(rows), jsonb_array_length(o.kept)),
			DETAIL = format('Entity: %s.', target), HINT = 'A handler returns one row for each document; this is a fault of distsync, nothing was written.';
	END IF;
	IF o.notes IS NULL AND NOT EXISTS (SELECT FROM unnest(rows) r WHERE r.entity_key IS NULL) THEN
		RETURN QUERY SELECT r.* FROM unnest(rows) r;
		RETURN;
	END IF;
	RETURN QUERY SELECT r.ordinal, r.outcome, COALESCE(r.entity_key, k.key), r.sqlstate, r.field, r.message, r.hint,
		CASE WHEN o.notes ? r.ordinal::text THEN COALESCE(r.detail, '{}') || (o.notes -> r.ordinal::text) ELSE r.detail END
	FROM unnest(rows) r LEFT JOIN unnest(c.ordinals, c.keys) k(ordinal, key) ON k.ordinal = r.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_pass(text, jsonb, jsonb) IS 'Result rows of documents that went through every check to their handler. Errors, with on_error abort: the first rejection.';

-- door_apply_all does the taking of many documents of one entity, the whole way: all are checked before the first write. Its statements
-- are short and their estimates high, so compiling them would cost more than running them.
CREATE FUNCTION distsync_internal.door_apply_all(entity text, documents jsonb, source text, idempotency_key text, options jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	ctx jsonb := distsync_internal.door_context(source, COALESCE(options, '{}'));
	request jsonb;
	answer jsonb;
	rows distsync_internal.apply_result[];
BEGIN
	PERFORM distsync_internal.door_check_call(entity, documents, ctx);
	IF idempotency_key IS NOT NULL THEN
		request := jsonb_build_object('entity', entity, 'documents', documents, 'options', COALESCE(options, '{}') - '{correlation_id,causation_id}'::text[]);
		answer := distsync_internal.base_answered(source, 'apply', idempotency_key, request);
		IF answer IS NOT NULL THEN
			RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.apply_result, answer);
			RETURN;
		END IF;
	END IF;
	IF ctx ? 'pages' AND ctx ->> 'absent' <> 'ignore' THEN
		PERFORM distsync_internal.door_page_opened(entity, documents, ctx);
	END IF;
	rows := ARRAY(SELECT p FROM distsync_internal.door_pass(entity, documents, ctx) p ORDER BY p.ordinal);
	IF ctx ? 'pages' AND ctx ->> 'absent' <> 'ignore' THEN
		rows := rows || ARRAY(SELECT a FROM distsync_internal.door_page_told(entity, documents, rows, ctx) a ORDER BY a.entity_key COLLATE "C");
	ELSIF ctx ->> 'operation' = 'snapshot' AND ctx ->> 'absent' <> 'ignore' THEN
		rows := rows || ARRAY(SELECT a FROM distsync_internal.door_absent(entity, documents, rows, ctx) a ORDER BY a.entity_key COLLATE "C");
	END IF;
	IF source = 'distsync' AND EXISTS (SELECT FROM unnest(rows) r WHERE r.outcome = 'applied') THEN
		PERFORM distsync_internal.base_audit('apply', entity, CASE WHEN cardinality(rows) = 1 THEN rows[1].entity_key ELSE format('%s documents', cardinality(rows)) END,
			NULL, documents, NULL, (ctx ->> 'correlation_id')::uuid);
	END IF;
	IF idempotency_key IS NOT NULL AND EXISTS (SELECT FROM unnest(rows) r WHERE r.outcome <> 'rejected') THEN
		PERFORM distsync_internal.base_answer(source, 'apply', idempotency_key, request, to_jsonb(rows));
	END IF;
	RETURN QUERY SELECT r.* FROM unnest(rows) r;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_apply_all(text, jsonb, text, text, jsonb) IS 'The whole way of apply_all(): same arguments, same rows, same errors.';

-- door_apply does the same for one document.
CREATE FUNCTION distsync_internal.door_apply(entity text, document jsonb, source text, idempotency_key text, options jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY SELECT * FROM distsync_internal.door_apply_all(entity, jsonb_build_array(document), source, idempotency_key, options);
END
$$;
COMMENT ON FUNCTION distsync_internal.door_apply(text, jsonb, text, text, jsonb) IS 'The whole way of apply(): same arguments, same rows, same errors.';

-- apply_all does the taking of many documents of one entity: the short way in C where that is open to it (quick.c), or the whole way.
CREATE FUNCTION distsync.apply_all(entity text, documents jsonb, source text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.apply_result
LANGUAGE c AS 'MODULE_PATHNAME', 'ds_sql_door_apply_all';
COMMENT ON FUNCTION distsync.apply_all(text, jsonb, text, text, jsonb) IS
	'Takes an array of documents of one entity, at most 100,000, from a system (code of sync.system, or distsync for what people enter). One row a document, in order: ordinal, outcome applied | unchanged | duplicate | stale | rejected, entity_key, and for a rejected one sqlstate, field, message, hint; rows without ordinal are entities that a snapshot found absent. In a document an absent field is unchanged, null clears, unknown fields are kept; version (number) or updated_at decide what is stale. idempotency_key: the same call again gets the first answer. options: operation upsert | deactivate | snapshot (with as_of, scope, absent deactivate | zero | ignore, allow_empty; in pages with snapshot, a name, page and pages), mode document | patch, on_error abort | collect, backfill, correlation_id, causation_id, company. Errors: those of the documents (SD001-SD008, SD011), SD010 key used for another call, SD022 unknown source.';

-- apply does the taking of one document: a bulk of one.
CREATE FUNCTION distsync.apply(entity text, document jsonb, source text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.apply_result
LANGUAGE c AS 'MODULE_PATHNAME', 'ds_sql_door_apply';
COMMENT ON FUNCTION distsync.apply(text, jsonb, text, text, jsonb) IS 'Takes one document of an entity from a system: apply_all() of one, one row. Options and errors as there.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('apply', '{integrator,admin}'), ('apply_all', '{integrator,admin}');
