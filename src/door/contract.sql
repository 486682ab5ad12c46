-- Contracts: the JSON Schema of each document, written from what the rooms declared. tools/contracts.sh puts them into contracts/.

-- door_contract_type does the schema of a single value by the type of its field.
CREATE FUNCTION distsync_internal.door_contract_type(type text, sign text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN type IN ('quantity', 'amount', 'price', 'number', 'integer', 'factor') THEN
			jsonb_build_object('type', '["number", "string"]'::jsonb, 'pattern', '^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$',
				'x-decimals', CASE type WHEN 'quantity' THEN 6 WHEN 'amount' THEN 4 WHEN 'price' THEN 8 WHEN 'number' THEN 12 ELSE 0 END)
			|| CASE WHEN sign = 'positive' OR type = 'factor' THEN '{"exclusiveMinimum": 0}'::jsonb WHEN sign = 'nonnegative' THEN '{"minimum": 0}' ELSE '{}' END
		WHEN type IN ('code', 'unit') THEN '{"type": "string", "minLength": 1, "maxLength": 255}'
		WHEN type = 'name' THEN '{"type": "string", "maxLength": 255}'
		WHEN type = 'boolean' THEN '{"type": "boolean"}'
		WHEN type = 'currency' THEN '{"type": "string", "pattern": "^[A-Z]{3}$"}'
		WHEN type = 'date' THEN '{"type": "string", "format": "date"}'
		WHEN type = 'instant' THEN '{"type": "string", "format": "date-time"}'
		WHEN type = 'instant_or_date' THEN '{"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}'
		WHEN type = 'uuid' THEN '{"type": "string", "format": "uuid"}'
		WHEN type = 'json' THEN '{}'
		ELSE '{"type": "string"}' END
$$;
COMMENT ON FUNCTION distsync_internal.door_contract_type(text, text) IS 'JSON Schema of a value of a type of distsync_internal.document_field.';

-- door_contract_object does the schema of the object whose fields begin with a prefix ('' = the document itself), and of what is inside.
CREATE FUNCTION distsync_internal.door_contract_object(target text, prefix text, key_fields text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	part jsonb;
	properties jsonb := '{}';
	must jsonb := '[]';
BEGIN
	FOR f IN
		SELECT n.name, d.type, COALESCE(d.required, false) AS required, COALESCE(d.at_creation, false) AS at_creation, COALESCE(d.sign, 'any') AS sign, d.description, d.choices,
			bool_or(n.list) AS list, bool_or(n.rest <> '') AS inside
		FROM (
			SELECT rtrim(split_part(substr(x.field, length(prefix) + 1), '.', 1), '[]') AS name, split_part(substr(x.field, length(prefix) + 1), '.', 1) LIKE '%[]' AS list,
				substr(x.field, length(prefix) + 1) LIKE '%.%' AS deeper, substr(substr(x.field, length(prefix) + 1), length(split_part(substr(x.field, length(prefix) + 1), '.', 1)) + 1) AS rest
			FROM distsync_internal.document_field x WHERE x.entity = target AND starts_with(x.field, prefix)) n
		LEFT JOIN distsync_internal.document_field d ON d.entity = target AND d.field = prefix || n.name
		GROUP BY n.name, d.type, d.required, d.at_creation, d.sign, d.description, d.choices ORDER BY n.name COLLATE "C"
	LOOP
		IF f.list THEN
			part := jsonb_build_object('type', 'array', 'items', distsync_internal.door_contract_object(target, prefix || f.name || '[].', '{}'));
		ELSIF f.inside THEN
			part := distsync_internal.door_contract_object(target, prefix || f.name || '.', '{}');
		ELSIF f.type = 'list' THEN
			part := jsonb_build_object('type', 'array', 'items', '{"type": "string"}'::jsonb || CASE WHEN f.choices IS NULL THEN '{}' ELSE jsonb_build_object('enum', to_jsonb(f.choices)) END);
		ELSE
			part := distsync_internal.door_contract_type(f.type, f.sign) || CASE WHEN f.choices IS NULL THEN '{}' WHEN f.type = 'integer' THEN
				jsonb_build_object('enum', to_jsonb(f.choices::integer[])) ELSE jsonb_build_object('enum', to_jsonb(f.choices)) END;
		END IF;
		-- what can be cleared may also be null
		IF NOT (f.required OR f.at_creation OR f.name = ANY (key_fields)) AND part ? 'type' THEN
			part := part || jsonb_build_object('type', CASE jsonb_typeof(part -> 'type') WHEN 'array' THEN part -> 'type' ELSE jsonb_build_array(part -> 'type') END || '["null"]');
			IF part ? 'enum' THEN
				part := part || jsonb_build_object('enum', (part -> 'enum') || '[null]');
			END IF;
		END IF;
		IF f.at_creation THEN
			part := part || '{"x-required-at-creation": true}';
		END IF;
		properties := properties || jsonb_build_object(f.name, part || CASE WHEN f.description IS NULL THEN '{}' ELSE jsonb_build_object('description', f.description) END);
		IF f.required THEN
			must := must || to_jsonb(f.name);
		END IF;
	END LOOP;
	RETURN jsonb_build_object('type', 'object', 'properties', properties) || CASE WHEN must = '[]' THEN '{}' ELSE jsonb_build_object('required', must) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_contract_object(text, text, text[]) IS 'JSON Schema of the object at a prefix of a document''s fields.';

-- door_contract does the contract of an entity: the JSON Schema of its document.
CREATE FUNCTION distsync_internal.door_contract(target text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	e distsync_internal.document_entity;
	body jsonb;
BEGIN
	SELECT * INTO e FROM distsync_internal.document_entity d WHERE d.entity = target;
	body := distsync_internal.door_contract_object(target, '', e.key_fields);
	RETURN jsonb_build_object('$schema', 'https://json-schema.org/draft/2020-12/schema', '$id', format('urn:distsync:contract:%s:1', target), 'title', format('%s/1', target),
		'description', e.description || ' An absent field is unchanged, null clears it, unknown fields are kept.', 'x-key', to_jsonb(e.key_fields), 'x-domain', e.domain)
		|| body || jsonb_build_object('properties', jsonb_build_object(
			'schema', jsonb_build_object('const', format('%s/1', target), 'description', 'Which contract this document follows.'),
			'version', '{"type": ["number", "string"], "minimum": 0, "description": "Number that grows with each change in the source: older ones are stale."}'::jsonb,
			'updated_at', '{"type": "string", "format": "date-time", "description": "When it changed in the source, where there is no version."}'::jsonb,
			'ext', '{"type": "object", "description": "Anything else worth keeping."}'::jsonb) || (body -> 'properties'));
END
$$;
COMMENT ON FUNCTION distsync_internal.door_contract(text) IS 'Contract of an entity: JSON Schema (draft 2020-12) of its document, as in contracts/<entity>.schema.json.';
