-- The handler behind every master entity: check, lock, write, tell. Called by the door with documents that passed its own checks.

-- master_check_codes does the finding of codes in documents that nobody knows.
CREATE FUNCTION distsync_internal.master_check_codes(target text, docs jsonb, source text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
	what text;
BEGIN
	FOR c IN SELECT * FROM distsync_internal.master_column k WHERE k.entity = target AND k.lookup <> 'self' ORDER BY k.field LOOP
		what := CASE c.lookup WHEN 'master_parties' THEN 'party' WHEN 'master_companies' THEN 'company' WHEN 'master_categories' THEN 'category'
			ELSE regexp_replace(c.lookup, '^master_(.*)s$', '\1') END;
		-- %I is a function out of master_column, %L a field of it
		RETURN QUERY EXECUTE format($q$
			WITH input AS MATERIALIZED (SELECT * FROM distsync_internal.master_input(%1$L, $1, $2) i WHERE i.doc ->> %2$L IS NOT NULL)
			SELECT (distsync_internal.master_result(i.ordinal, 'rejected', i.key, %4$L, %2$L, format('unknown %%s "%%s"', %5$L, i.doc ->> %2$L),
				format('Send the %%s first, correct the code, or add a cross-reference for it.', %5$L))).*
			FROM input i JOIN distsync_internal.%3$I(ARRAY(SELECT x.doc ->> %2$L FROM input x), $2) l ON l.code = i.doc ->> %2$L
			WHERE l.id IS NULL $q$,
			target, c.field, c.lookup, CASE WHEN what = 'unit' THEN 'SD004' ELSE 'SD001' END, what) USING docs, source;
	END LOOP;
	RETURN QUERY SELECT r.* FROM distsync_internal.master_input(target, docs, source) i
	JOIN distsync_internal.master_column k ON k.entity = target AND k.type = 'integer' AND (i.doc ->> k.field)::numeric NOT BETWEEN -2147483648 AND 2147483647
	CROSS JOIN LATERAL distsync_internal.master_result(i.ordinal, 'rejected', i.key, 'SD002', k.field, format('%s is too large', i.doc ->> k.field), 'Check the value.') r;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_check_codes(text, jsonb, text) IS 'Rejections (SD001, SD004) of documents of a master entity whose codes nobody knows.';

-- master_check_self does the same for references within the entity: the row may also come with this call.
CREATE FUNCTION distsync_internal.master_check_self(target text, docs jsonb, source text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
	c record;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	FOR c IN SELECT * FROM distsync_internal.master_column k WHERE k.entity = target AND k.lookup = 'self' ORDER BY k.field LOOP
		-- %L is a field of master_column or master_table
		RETURN QUERY EXECUTE format($q$
			WITH input AS MATERIALIZED (SELECT * FROM distsync_internal.master_input(%1$L, $1, $2) i),
			other AS MATERIALIZED (SELECT o.ordinal, o.key FROM distsync_internal.master_input(%1$L, (SELECT COALESCE(jsonb_agg(jsonb_build_object(
				'ordinal', i.ordinal, 'doc', jsonb_build_object(%4$L, i.doc -> %5$L))), '[]') FROM input i WHERE i.doc ->> %5$L IS NOT NULL), $2) o)
			SELECT (distsync_internal.master_result(i.ordinal, 'rejected', i.key, CASE WHEN o.key = i.key THEN 'SD002' ELSE 'SD001' END, %5$L,
				CASE WHEN o.key = i.key THEN format('%%s "%%s" can''t be its own %%s', %1$L, i.key, %5$L) ELSE format('unknown %%s "%%s"', %1$L, i.doc ->> %5$L) END,
				CASE WHEN o.key = i.key THEN 'Leave the field out, or send null, for none.' ELSE format('Send the %%s first, correct the code, or add a cross-reference for it.', %1$L) END)).*
			FROM input i JOIN other o ON o.ordinal = i.ordinal
			WHERE o.key = i.key OR NOT EXISTS (SELECT FROM dist.%2$I t WHERE t.%3$I = o.key) AND NOT EXISTS (SELECT FROM input b WHERE b.key = o.key) $q$,
			target, m.table_name, m.key_column, m.key_field, c.field) USING docs, source;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_check_self(text, jsonb, text) IS 'Rejections of documents of a master entity that refer to a row of it that nobody knows (SD001), or to themselves (SD002).';

-- master_check_new does the check of what must be said when a row is made, of what can't be switched off, and of two names for one row.
CREATE FUNCTION distsync_internal.master_check_new(target text, docs jsonb, source text, operation text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	-- %L is the name of the entity, out of master_table
	RETURN QUERY EXECUTE format($q$
		WITH input AS MATERIALIZED (SELECT i.*, row_number() OVER (PARTITION BY i.key ORDER BY i.ordinal) AS nth FROM distsync_internal.master_input(%1$L, $1, $2) i),
		fresh AS (SELECT i.* FROM input i WHERE NOT EXISTS (SELECT FROM dist.%2$I t WHERE t.%3$I = i.key))
		SELECT (distsync_internal.master_result(i.ordinal, 'rejected', i.key, 'SD001', %4$L, format('unknown %%s "%%s"', %1$L, i.key), 'What was never sent can''t be deactivated: check the code.')).*
		FROM fresh i WHERE $3 = 'deactivate'
		UNION ALL
		SELECT (distsync_internal.master_result(i.ordinal, 'rejected', i.key, 'SD005', f.field, format('field "%%s" is missing', f.field),
			format('The first document of a %%s must have it; later ones may leave it out.', %1$L))).*
		FROM fresh i JOIN distsync_internal.document_field f ON f.entity = %1$L AND f.at_creation AND f.field !~ '[.\[]' AND i.doc ->> f.field IS NULL
		WHERE $3 <> 'deactivate'
		UNION ALL
		SELECT (distsync_internal.master_result(i.ordinal, 'rejected', i.key, 'SD008', %4$L, format('%%s "%%s" is in the call under two names', %1$L, i.key), 'Send one document for each.')).*
		FROM input i WHERE i.nth > 1 $q$,
		target, m.table_name, m.key_column, m.key_field) USING docs, source, operation;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_check_new(text, jsonb, text, text) IS
	'Rejections of documents of a master entity: field missing that a new row needs (SD005), deactivation of what is not there (SD001), two documents for one row (SD008).';

-- master_deactivated does the turning of a deactivation into the change that it is.
CREATE FUNCTION distsync_internal.master_deactivated(target text, docs jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM distsync_internal.master_column c WHERE c.entity = target AND c.column_name = 'status') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', COLUMN = 'operation', MESSAGE = format('%s can''t be deactivated', target),
			DETAIL = 'Field: operation. It has no status.', HINT = 'Send it with operation upsert, or leave it alone.';
	END IF;
	RETURN (SELECT jsonb_agg(jsonb_build_object('ordinal', d -> 'ordinal', 'doc', jsonb_build_object(m.key_field, d -> 'doc' -> m.key_field, 'status', 'inactive')))
		FROM jsonb_array_elements(docs) d, distsync_internal.master_table m WHERE m.entity = target);
END
$$;
COMMENT ON FUNCTION distsync_internal.master_deactivated(text, jsonb) IS 'Documents that set status inactive, made of the keys of documents to deactivate. Errors: SD005 an entity without status.';

-- master_apply does the whole of it, in bulk: whatever is rejected is not written, the rest is.
CREATE FUNCTION distsync_internal.master_apply(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text := ctx ->> 'entity';
	m distsync_internal.master_table;
	source text := ctx ->> 'source';
	good jsonb := docs;
	bad distsync_internal.apply_result[];
	touched integer[];
	more integer[];
	extra text;
	written jsonb;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	IF ctx ->> 'operation' = 'deactivate' THEN
		good := distsync_internal.master_deactivated(target, docs);
	END IF;
	PERFORM distsync_internal.master_lock(target, ARRAY(SELECT i.key FROM distsync_internal.master_input(target, good, source) i));
	bad := ARRAY(SELECT DISTINCT ON (e.ordinal) e FROM (
		SELECT * FROM distsync_internal.master_check_new(target, good, source, ctx ->> 'operation')
		UNION ALL SELECT * FROM distsync_internal.master_check_codes(target, good, source)
		UNION ALL SELECT * FROM distsync_internal.master_check_self(target, good, source)
		UNION ALL SELECT * FROM distsync_internal.master_check_lists(target, good, source)
		UNION ALL SELECT * FROM distsync_internal.master_check_relations(target, good, source)) e ORDER BY e.ordinal, e.field COLLATE "C");
	IF cardinality(bad) > 0 THEN
		RETURN QUERY SELECT b.* FROM unnest(bad) b;
		IF ctx ->> 'on_error' IS DISTINCT FROM 'collect' THEN
			RETURN;
		END IF;
		good := (SELECT jsonb_agg(d) FROM jsonb_array_elements(good) d WHERE NOT EXISTS (SELECT FROM unnest(bad) b WHERE b.ordinal = (d ->> 'ordinal')::integer));
	END IF;
	IF COALESCE(jsonb_array_length(good), 0) = 0 THEN
		RETURN;
	END IF;
	SELECT jsonb_agg(w), array_agg(w.ordinal) FILTER (WHERE w.changed) INTO written, touched FROM distsync_internal.master_write(target, good, source) w;
	touched := touched || ARRAY(SELECT w.ordinal FROM distsync_internal.master_write_self(target, good, source) w);
	PERFORM distsync_internal.master_open(target, ARRAY(SELECT (w ->> 'id')::bigint FROM jsonb_array_elements(written) w WHERE (w ->> 'created')::boolean AND w ->> 'id' ~ '^\d+$'));
	FOREACH extra IN ARRAY m.extras LOOP
		EXECUTE format('SELECT array_agg(x.ordinal) FROM distsync_internal.%I($1, $2) x', extra) INTO more USING good, ctx;
		touched := touched || more;
	END LOOP;
	IF cardinality(touched) > 0 AND NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.master_tell(target, ARRAY(SELECT w ->> 'id' FROM jsonb_array_elements(written) w WHERE (w ->> 'ordinal')::integer = ANY (touched)), ctx);
	END IF;
	RETURN QUERY SELECT r.* FROM jsonb_array_elements(written) w,
		distsync_internal.master_result((w ->> 'ordinal')::integer, CASE WHEN (w ->> 'ordinal')::integer = ANY (touched) THEN 'applied' ELSE 'unchanged' END, w ->> 'key') r;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_apply(jsonb, jsonb) IS
	'Handler of every master entity: documents [{"ordinal","doc"}] and context of the door; one row of apply_result a document. Rejected rows are not written.';
