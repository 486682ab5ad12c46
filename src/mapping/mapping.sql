-- Contracts and mappings as people define and try them.

-- mapping_check_rules does the proof-reading of rules before they are stored: a mapping must not fail at night for a misspelt word.
CREATE FUNCTION distsync_internal.mapping_check_rules(rules jsonb, lookups jsonb, place text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
	wrong text;
BEGIN
	IF jsonb_typeof(rules) IS DISTINCT FROM 'array' OR jsonb_array_length(rules) = 0 THEN
		PERFORM distsync_internal.mapping_fail('SD005', place, 'rules must be a list of at least one rule', 'Write [{"to": "sku", "from": "article"}, …].');
	END IF;
	FOR r IN SELECT e.value AS rule, place || '[' || (e.n - 1) || ']' AS at FROM jsonb_array_elements(rules) WITH ORDINALITY e(value, n) ORDER BY e.n LOOP
		wrong := CASE
			WHEN jsonb_typeof(r.rule) <> 'object' THEN 'a rule must be an object'
			WHEN NOT COALESCE(r.rule ->> 'to' ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$', false) THEN '"to" must be a field, or a dot path of fields'
			WHEN (r.rule ? 'from')::integer + (r.rule ? 'const')::integer + (r.rule ? 'each')::integer <> 1 THEN 'a rule has one of "from", "const" and "each"'
			WHEN EXISTS (SELECT FROM jsonb_object_keys(r.rule) k WHERE k <> ALL ('{to,from,const,each,rules,default,lookup,type,format,xref,on_missing}')) THEN 'a rule has a key that is not known'
			WHEN r.rule ? 'from' AND jsonb_typeof(r.rule -> 'from') <> 'string' OR r.rule ? 'each' AND jsonb_typeof(r.rule -> 'each') <> 'string' THEN '"from" and "each" are paths'
			WHEN r.rule ->> 'type' NOT IN ('text', 'code', 'upper', 'number', 'integer', 'negated', 'boolean', 'date', 'instant', 'json') THEN '"type" is not known'
			WHEN r.rule ->> 'on_missing' NOT IN ('omit', 'null', 'error') THEN '"on_missing" is omit, null or error'
			WHEN r.rule ? 'lookup' AND r.rule ? 'xref' THEN 'a rule has "lookup" or "xref", not both'
			WHEN jsonb_typeof(r.rule -> 'lookup') = 'string' AND NOT COALESCE(lookups ? (r.rule ->> 'lookup'), false) THEN '"lookup" names no table of the mapping'
			WHEN r.rule ? 'rules' AND NOT r.rule ? 'each' THEN '"rules" stands beside "each"' END;
		IF wrong IS NOT NULL THEN
			PERFORM distsync_internal.mapping_fail('SD005', r.at, wrong, 'The language of rules is in docs/mapping.md.');
		END IF;
		IF r.rule ? 'each' THEN
			PERFORM distsync_internal.mapping_check_rules(r.rule -> 'rules', lookups, r.at || '.rules');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_check_rules(jsonb, jsonb, text) IS 'Raises SD005 with the place of the first rule that is not well formed.';

-- mapping_check does the proof-reading of a whole mapping.
CREATE FUNCTION distsync_internal.mapping_check(rules jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	frame jsonb := distsync_internal.mapping_frame(rules);
BEGIN
	IF jsonb_typeof(frame) IS DISTINCT FROM 'object' OR EXISTS (SELECT FROM jsonb_object_keys(frame) k WHERE k <> ALL ('{each,skip_if,lookups,rules}')) THEN
		PERFORM distsync_internal.mapping_fail('SD005', 'rules', 'a mapping is a list of rules, or an object of each, skip_if, lookups and rules', 'The language of rules is in docs/mapping.md.');
	END IF;
	PERFORM distsync_internal.mapping_check_rules(frame -> 'rules', frame -> 'lookups', 'rules');
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_check(jsonb) IS 'Raises SD005 if a mapping is not well formed.';

-- mapping_check_entity does the check that somebody takes what a mapping makes.
CREATE FUNCTION distsync_internal.mapping_check_entity(entity text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = mapping_check_entity.entity) THEN
		PERFORM distsync_internal.mapping_fail('SD001', 'entity', format('unknown entity "%s"', entity), 'Name an entity that apply() takes.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_check_entity(text) IS 'Raises SD001 for an entity that apply() does not take.';

-- add_mapping does the storing of a new version of a mapping; from the commit on it is the one that runs.
CREATE FUNCTION distsync.add_mapping(code text, entity text, rules jsonb, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	way text := COALESCE(options ->> 'direction', 'in');
	state text := COALESCE(options ->> 'status', 'active');
	n integer;
BEGIN
	options := distsync_internal.base_options(options, '{direction:text,status:text}');
	IF add_mapping.code IS NULL OR add_mapping.code !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
		PERFORM distsync_internal.mapping_fail('SD002', 'code', 'code must be 1 to 63 letters, digits, dots, dashes or underscores', 'Choose a short name such as "wms.stock".');
	ELSIF way NOT IN ('in', 'out') OR state NOT IN ('draft', 'active') THEN
		PERFORM distsync_internal.mapping_fail('SD002', 'options', 'direction or status is not one of the known ones', 'direction is in or out, status is draft or active.');
	END IF;
	IF way = 'in' THEN
		PERFORM distsync_internal.mapping_check_entity(add_mapping.entity);
	END IF;
	PERFORM distsync_internal.mapping_check(add_mapping.rules);
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.mapping:' || add_mapping.code, 0));
	SELECT COALESCE(max(m.version), 0) + 1 INTO n FROM sync.mapping m WHERE m.code = add_mapping.code;
	IF state = 'active' THEN
		UPDATE sync.mapping m SET status = 'retired' WHERE m.code = add_mapping.code AND m.status = 'active';
	END IF;
	INSERT INTO sync.mapping (code, version, entity, direction, rules, status) VALUES (add_mapping.code, n, add_mapping.entity, way, add_mapping.rules, state);
	PERFORM distsync_internal.base_audit('add_mapping', 'mapping', add_mapping.code, NULL, jsonb_build_object('version', n, 'entity', add_mapping.entity, 'status', state, 'rules', add_mapping.rules));
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.add_mapping(text, text, jsonb, jsonb) IS
	'Stores a new version of a mapping that makes documents of an entity; the active one before it is retired. rules: see docs/mapping.md. options: status active | draft, direction in | out. Returns the version. Errors: SD001 unknown entity, SD002 code or option, SD005 rule, with its place.';

-- add_contract does the storing of a version of a document's JSON Schema.
CREATE FUNCTION distsync.add_contract(name text, version integer, schema jsonb, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	before jsonb;
BEGIN
	options := distsync_internal.base_options(options, '{direction:text,status:text,sunset_at:instant}');
	IF add_contract.name IS NULL OR add_contract.name !~ '^[A-Za-z0-9_.-]{1,63}$' OR add_contract.version IS NULL OR add_contract.version < 1 THEN
		PERFORM distsync_internal.mapping_fail('SD002', 'name', 'a contract has a name and a version from 1', 'Write add_contract(''invoice'', 1, schema).');
	ELSIF jsonb_typeof(add_contract.schema) IS DISTINCT FROM 'object' THEN
		PERFORM distsync_internal.mapping_fail('SD005', 'schema', 'a schema must be a JSON object', 'Give a JSON Schema of draft 2020-12.');
	ELSIF COALESCE(options ->> 'direction', 'in') NOT IN ('in', 'out', 'both') OR COALESCE(options ->> 'status', 'active') NOT IN ('draft', 'active', 'deprecated', 'retired') THEN
		PERFORM distsync_internal.mapping_fail('SD002', 'options', 'direction or status is not one of the known ones', 'direction is in, out or both; status is draft, active, deprecated or retired.');
	END IF;
	SELECT to_jsonb(c) INTO before FROM sync.contract c WHERE c.name = add_contract.name AND c.version = add_contract.version FOR UPDATE;
	IF before ->> 'status' <> 'draft' AND before -> 'schema' <> add_contract.schema THEN
		PERFORM distsync_internal.mapping_fail('SD008', 'version', format('contract "%s" has a version %s that is in use', add_contract.name, add_contract.version), 'Give the changed schema a new version.');
	END IF;
	INSERT INTO sync.contract AS c (name, version, direction, schema, status, sunset_at)
	VALUES (add_contract.name, add_contract.version, COALESCE(options ->> 'direction', 'in'), add_contract.schema, COALESCE(options ->> 'status', 'active'), (options ->> 'sunset_at')::timestamptz)
	ON CONFLICT (name, version) DO UPDATE SET direction = excluded.direction, schema = excluded.schema, status = excluded.status, sunset_at = excluded.sunset_at;
	PERFORM distsync_internal.base_audit('add_contract', 'contract', format('%s/%s', add_contract.name, add_contract.version), before, jsonb_build_object('schema', add_contract.schema) || options);
	RETURN format('%s/%s', add_contract.name, add_contract.version);
END
$$;
COMMENT ON FUNCTION distsync.add_contract(text, integer, jsonb, jsonb) IS
	'Stores a version of a document''s JSON Schema; its status and end may be changed, its schema only while it is a draft. options: direction in | out | both, status draft | active | deprecated | retired, sunset_at. Returns name/version. Errors: SD002, SD005, SD008 version in use.';

-- mapping_trace does the rules of a mapping for one item and writes down what each of them did.
CREATE FUNCTION distsync_internal.mapping_trace(rules jsonb, item jsonb, root jsonb, ctx jsonb, ordinal bigint) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rule jsonb;
	result jsonb;
	code text;
	field text;
BEGIN
	FOR rule IN SELECT r FROM jsonb_array_elements(rules) r LOOP
		BEGIN
			result := distsync_internal.mapping_rule(rule, item, root, ctx, rule ->> 'to');
			result := CASE WHEN result ? 'value' THEN jsonb_build_object('outcome', 'set', 'output', result -> 'value') ELSE '{"outcome": "left out"}' END;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, field = COLUMN_NAME;
			result := jsonb_build_object('outcome', 'error', 'sqlstate', code, 'field', field, 'message', SQLERRM);
		END;
		RETURN NEXT jsonb_build_object('document', ordinal, 'to', rule -> 'to', 'from', COALESCE(rule -> 'from', rule -> 'each', '"const"'),
			'input', distsync_internal.mapping_at(item, root, COALESCE(rule ->> 'from', rule ->> 'each'))) || result;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_trace(jsonb, jsonb, jsonb, jsonb, bigint) IS 'A row for each rule: {"document","to","from","input","outcome" set | left out | error,"output" or "sqlstate","field","message"}.';

-- test_mapping does a mapping without any effect, and tells rule by rule what happened.
CREATE FUNCTION distsync.test_mapping(code text, document jsonb, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
	frame jsonb;
	ctx jsonb;
	items jsonb;
	trace jsonb;
	failed boolean;
BEGIN
	options := distsync_internal.base_options(options, '{system:text,version:integer,rules,entity:text}');
	SELECT x.entity, x.rules INTO m FROM sync.mapping x
	WHERE x.code = test_mapping.code AND (options ->> 'version' IS NULL AND x.status <> 'retired' OR x.version::text = options ->> 'version') ORDER BY x.version DESC LIMIT 1;
	IF NOT FOUND AND NOT options ? 'rules' THEN
		PERFORM distsync_internal.mapping_fail('SD001', 'code', format('unknown mapping "%s"', code), 'Make it first, or give rules to try as the option "rules".');
	END IF;
	frame := distsync_internal.mapping_frame(COALESCE(options -> 'rules', m.rules));
	PERFORM distsync_internal.mapping_check(frame);
	ctx := distsync_internal.mapping_context(frame, options ->> 'system');
	items := distsync_internal.mapping_items(frame, document);
	SELECT COALESCE(jsonb_agg(t.row ORDER BY i.n), '[]'), COALESCE(bool_or(t.row ->> 'outcome' = 'error'), false) INTO trace, failed
	FROM jsonb_array_elements(items) WITH ORDINALITY i(value, n) CROSS JOIN LATERAL distsync_internal.mapping_trace(frame -> 'rules', i.value, document, ctx, i.n) t(row);
	RETURN jsonb_build_object('entity', COALESCE(options ->> 'entity', m.entity), 'trace', trace,
		'documents', CASE WHEN NOT failed THEN distsync_internal.mapping_each(frame -> 'rules', items, document, ctx, '') END);
END
$$;
COMMENT ON FUNCTION distsync.test_mapping(text, jsonb, jsonb) IS
	'What a mapping makes of a document, with no effect: {"entity","documents" (null if a rule fails),"trace":[{"document","to","from","input","outcome","output"|"sqlstate","message"}]}. options: system (whose cross-references and time zone hold), version, rules (to try ones that are not stored), entity. Errors: SD001 unknown mapping, SD005 rules or "each".';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('add_mapping', '{admin}'), ('add_contract', '{admin}'), ('test_mapping', '{integrator,operator,admin}');
