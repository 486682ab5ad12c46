-- The upsert of master data, the same for every entity: what stands in which column is data (master_table, master_column); absent =
-- unchanged, null = cleared, what is unknown stays in ext, and a row that would not change is not written.

CREATE TABLE distsync_internal.master_table (
	entity		text NOT NULL,
	table_name	text NOT NULL,
	key_field	text NOT NULL,
	key_column	text NOT NULL,
	id_column	text NOT NULL,
	extras		text[] NOT NULL DEFAULT '{}',
	CONSTRAINT master_table_pk PRIMARY KEY (entity)
);
COMMENT ON TABLE distsync_internal.master_table IS 'Master entities and the table of dist that each lives in.';
COMMENT ON COLUMN distsync_internal.master_table.entity IS 'Entity of apply().';
COMMENT ON COLUMN distsync_internal.master_table.table_name IS 'Table in schema dist.';
COMMENT ON COLUMN distsync_internal.master_table.key_field IS 'Field of the document that is its business key.';
COMMENT ON COLUMN distsync_internal.master_table.key_column IS 'Column that holds it.';
COMMENT ON COLUMN distsync_internal.master_table.id_column IS 'Surrogate key, or the key itself.';
COMMENT ON COLUMN distsync_internal.master_table.extras IS 'Functions of distsync_internal that write its lists, in this order: f(docs, ctx), the ordinals that changed.';

CREATE TABLE distsync_internal.master_column (
	entity		text NOT NULL,
	field		text NOT NULL,
	column_name	text NOT NULL,
	type		text NOT NULL DEFAULT 'text',
	lookup		text,
	CONSTRAINT master_column_pk PRIMARY KEY (entity, field),
	CONSTRAINT master_column_entity_fk FOREIGN KEY (entity) REFERENCES distsync_internal.master_table,
	CONSTRAINT master_column_type_chk CHECK (type IN ('text', 'boolean', 'integer', 'numeric', 'jsonb', 'time', 'smallint[]', 'id'))
);
COMMENT ON TABLE distsync_internal.master_column IS 'Which field of a master document stands in which column.';
COMMENT ON COLUMN distsync_internal.master_column.entity IS 'Entity of apply().';
COMMENT ON COLUMN distsync_internal.master_column.field IS 'Field of the document.';
COMMENT ON COLUMN distsync_internal.master_column.column_name IS 'Column of the entity''s table.';
COMMENT ON COLUMN distsync_internal.master_column.type IS 'Type it is read as; id = the code is looked up.';
COMMENT ON COLUMN distsync_internal.master_column.lookup IS 'Function of distsync_internal that finds ids for codes: f(codes, source) gives code and id. self = the entity itself.';
GRANT SELECT ON distsync_internal.master_table, distsync_internal.master_column TO distsync_owner;

-- master_result does the making of a result row, so that handlers need not count columns.
CREATE FUNCTION distsync_internal.master_result(ordinal integer, outcome text, entity_key text, sqlstate text DEFAULT NULL, field text DEFAULT NULL,
	message text DEFAULT NULL, hint text DEFAULT NULL, detail jsonb DEFAULT NULL) RETURNS distsync_internal.apply_result
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT ROW(ordinal, outcome, entity_key, sqlstate, field, message, hint, detail)::distsync_internal.apply_result
$$;
COMMENT ON FUNCTION distsync_internal.master_result(integer, text, text, text, text, text, text, jsonb) IS 'A row of apply_result from its parts.';

-- master_input does the unpacking of documents: each with its place and its key, translated from the sender's own name.
CREATE FUNCTION distsync_internal.master_input(target text, docs jsonb, source text) RETURNS TABLE (ordinal integer, key text, doc jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	-- %L is a field name of master_table, not of a document
	RETURN QUERY EXECUTE format($q$
		SELECT (d ->> 'ordinal')::integer, CASE WHEN t.%1$I IS NULL THEN COALESCE(x.code, d -> 'doc' ->> %3$L) ELSE t.%1$I END, d -> 'doc'
		FROM jsonb_array_elements($1) d
		LEFT JOIN dist.%2$I t ON t.%1$I = d -> 'doc' ->> %3$L
		LEFT JOIN sync.xref x ON t.%1$I IS NULL AND x.system = $2 AND x.entity = %4$L AND x.external_id = d -> 'doc' ->> %3$L
			AND x.status IN ('active', 'merged') AND x.valid @> statement_timestamp() $q$,
		m.key_column, m.table_name, m.key_field, m.entity) USING docs, source;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_input(text, jsonb, text) IS 'Documents of a master entity as rows: ordinal, our key, document.';

-- master_lock does the locking of what a call will change: the right to create, where a key is new, then the rows in order of key.
-- Merging absent fields needs it: two patches of one row must not overwrite each other.
CREATE FUNCTION distsync_internal.master_lock(target text, keys text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
	missing boolean;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	EXECUTE format('SELECT EXISTS (SELECT FROM unnest($1) k WHERE NOT EXISTS (SELECT FROM dist.%I t WHERE t.%I = k))', m.table_name, m.key_column)
	INTO missing USING keys;
	IF missing THEN
		PERFORM pg_advisory_xact_lock(hashtextextended('distsync.master:' || m.entity, 0));
	END IF;
	EXECUTE format('SELECT FROM dist.%1$I t WHERE t.%2$I = ANY ($1) ORDER BY t.%2$I COLLATE "C" FOR NO KEY UPDATE', m.table_name, m.key_column) USING keys;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_lock(text, text[]) IS 'Locks the rows of a master entity with these keys in order; where one is new, also the creation of that entity.';

-- master_columns does the writing of each column's value: the document's where it has the field, what is there otherwise, the
-- column's default where nothing is. i is the document, t the row, l_FIELD the look-up.
CREATE FUNCTION distsync_internal.master_columns(target text) RETURNS TABLE (field text, column_name text, lookup text, expression text, lookup_join text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.field, c.column_name, c.lookup,
		-- %s is an expression of ours or of the catalog
		CASE WHEN a.attnotnull AND d.adbin IS NOT NULL THEN format('COALESCE(%s, %s)', v.value, pg_get_expr(d.adbin, d.adrelid)) ELSE v.value END,
		CASE WHEN c.lookup <> 'self' THEN format('LEFT JOIN distsync_internal.%1$I(ARRAY(SELECT x.doc ->> %2$L FROM input x), $2) %3$I ON %3$I.code = i.doc ->> %2$L',
			c.lookup, c.field, 'l_' || c.field) END
	FROM distsync_internal.master_column c
	JOIN distsync_internal.master_table m ON m.entity = c.entity
	JOIN pg_attribute a ON a.attrelid = to_regclass(format('dist.%I', m.table_name)) AND a.attname = c.column_name
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	CROSS JOIN LATERAL (SELECT format('CASE WHEN i.doc ? %L THEN %s ELSE t.%I END', c.field, CASE
		WHEN c.lookup IS NOT NULL THEN format('%I.id', 'l_' || c.field)
		WHEN c.field = 'ext' THEN 'COALESCE(t.ext, ''{}'') || (i.doc -> ''ext'')'
		WHEN c.type = 'jsonb' THEN format('NULLIF(i.doc -> %L, ''null'')', c.field)
		WHEN c.type = 'smallint[]' THEN format('CASE WHEN jsonb_typeof(i.doc -> %1$L) = ''array'' THEN ARRAY(SELECT e::smallint FROM jsonb_array_elements_text(i.doc -> %1$L) e ORDER BY 1) END', c.field)
		ELSE format('(i.doc ->> %L)::%s', c.field, c.type) END, c.column_name)) AS v(value)
	WHERE c.entity = target
$$;
COMMENT ON FUNCTION distsync_internal.master_columns(text) IS 'Columns of a master entity with the SQL expression of each one''s new value and the join that finds its id.';

-- master_write does the insert of what is new and the update of what changes, of every column that refers to another table.
CREATE FUNCTION distsync_internal.master_write(target text, docs jsonb, source text) RETURNS TABLE (ordinal integer, key text, id text, created boolean, changed boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
	names text;
	expressions text;
	joins text;
	sets text;
	differs text;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	SELECT string_agg(format('%I', c.column_name), ', ' ORDER BY c.field), string_agg(format('%s AS %I', c.expression, c.column_name), ', ' ORDER BY c.field),
		string_agg(c.lookup_join, ' ' ORDER BY c.field), string_agg(format('%1$I = n.%1$I', c.column_name), ', ' ORDER BY c.field),
		string_agg(format('(t.%1$I IS DISTINCT FROM n.%1$I)', c.column_name), ' OR ' ORDER BY c.field)
	INTO names, expressions, joins, sets, differs
	FROM distsync_internal.master_columns(target) c WHERE c.lookup IS DISTINCT FROM 'self';
	-- %s is SQL that master_columns made of names in master_column
	RETURN QUERY EXECUTE format($q$
		WITH input AS MATERIALIZED (SELECT * FROM distsync_internal.master_input(%1$L, $1, $2)),
		n AS MATERIALIZED (SELECT i.ordinal, i.key, t.%3$I IS NULL AS is_new, %5$s FROM input i LEFT JOIN dist.%2$I t ON t.%3$I = i.key %6$s),
		created AS (INSERT INTO dist.%2$I (%3$I, %7$s) SELECT n.key, %7$s FROM n WHERE n.is_new ORDER BY n.ordinal RETURNING %3$I AS key, %4$I::text AS id),
		updated AS (UPDATE dist.%2$I t SET %8$s FROM n WHERE t.%3$I = n.key AND NOT n.is_new AND (%9$s) RETURNING n.key)
		SELECT n.ordinal, n.key, COALESCE(c.id, (SELECT t.%4$I::text FROM dist.%2$I t WHERE t.%3$I = n.key)), n.is_new, n.is_new OR u.key IS NOT NULL
		FROM n LEFT JOIN created c ON c.key = n.key LEFT JOIN updated u ON u.key = n.key ORDER BY n.ordinal $q$,
		target, m.table_name, m.key_column, m.id_column, expressions, COALESCE(joins, ''), names, sets, differs) USING docs, source;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_write(text, jsonb, text) IS 'Writes the columns of checked and locked documents. Returns each ordinal with key, id, whether it was created, whether anything changed.';

-- master_write_self does the same for references within the entity, when all rows of the call exist.
CREATE FUNCTION distsync_internal.master_write_self(target text, docs jsonb, source text) RETURNS TABLE (ordinal integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
	c record;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	FOR c IN SELECT * FROM distsync_internal.master_column k WHERE k.entity = target AND k.lookup = 'self' ORDER BY k.field LOOP
		-- %L is a field name of master_column
		RETURN QUERY EXECUTE format($q$
			WITH input AS MATERIALIZED (SELECT * FROM distsync_internal.master_input(%1$L, $1, $2) i WHERE i.doc ? %5$L),
			other AS MATERIALIZED (SELECT o.ordinal, o.key FROM distsync_internal.master_input(%1$L,
				(SELECT jsonb_agg(jsonb_build_object('ordinal', i.ordinal, 'doc', jsonb_build_object(%6$L, i.doc -> %5$L))) FROM input i), $2) o)
			UPDATE dist.%2$I t SET %7$I = r.%4$I
			FROM input i LEFT JOIN other o ON o.ordinal = i.ordinal LEFT JOIN dist.%2$I r ON r.%3$I = o.key
			WHERE t.%3$I = i.key AND t.%7$I IS DISTINCT FROM r.%4$I RETURNING i.ordinal $q$,
			target, m.table_name, m.key_column, m.id_column, c.field, m.key_field, c.column_name) USING docs, source;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_write_self(text, jsonb, text) IS 'Writes references within a master entity (parent, payer ...). Returns the ordinals that changed.';
