-- A mapping at work: rule by rule, over one item or over each of a list. The language is in docs/mapping.md; there is no SQL in it.

-- mapping_translate does the exchange of a value through a look-up table of the mapping or through a cross-reference. NULL: not found.
CREATE FUNCTION distsync_internal.mapping_translate(value jsonb, rule jsonb, ctx jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN jsonb_typeof(rule -> 'lookup') = 'object' THEN rule -> 'lookup' -> (value #>> '{}')
		WHEN rule ? 'lookup' THEN ctx -> 'lookups' -> (rule ->> 'lookup') -> (value #>> '{}')
		WHEN rule ? 'xref' THEN (SELECT to_jsonb(x.code) FROM sync.xref x
			WHERE x.system = ctx ->> 'system' AND x.entity = rule ->> 'xref' AND x.external_id = value #>> '{}' AND x.status = 'active' AND x.valid @> statement_timestamp())
		ELSE value END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_translate(jsonb, jsonb, jsonb) IS 'A value as the rule''s "lookup" (an object, or the name of a table in the mapping) or "xref" (an entity of sync.xref for the sender) has it. NULL: not found.';

-- mapping_missing does what a rule says about a value that is not there: {} leaves the field out, {"value"} sets it.
CREATE FUNCTION distsync_internal.mapping_missing(rule jsonb, field text, code text, said text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rule ? 'default' THEN
		RETURN jsonb_build_object('value', rule -> 'default');
	END IF;
	CASE COALESCE(rule ->> 'on_missing', CASE WHEN code = 'SD001' THEN 'error' ELSE 'omit' END)
		WHEN 'null' THEN RETURN '{"value": null}';
		WHEN 'omit' THEN RETURN '{}';
		ELSE
			PERFORM distsync_internal.mapping_fail(code, field, said, CASE WHEN code = 'SD001' THEN 'Add it to the table or to sync.xref, or give the rule a "default".' ELSE 'Have the sender fill it, or give the rule a "default".' END);
	END CASE;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_missing(jsonb, text, text, text) IS 'Default or on_missing (omit | null | error) of a rule: {"value": …} or {} for nothing. Errors: SD005 absent, SD001 not in the table.';

-- mapping_rule does one rule for one item: {"value": …}, or {} if the field is left out.
CREATE FUNCTION distsync_internal.mapping_rule(rule jsonb, item jsonb, root jsonb, ctx jsonb, field text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb;
	found_value jsonb;
BEGIN
	IF rule ? 'const' THEN
		RETURN jsonb_build_object('value', rule -> 'const');
	ELSIF rule ? 'each' THEN
		value := distsync_internal.mapping_at(item, root, rule ->> 'each');
		IF value IS NULL OR value = 'null' THEN
			RETURN distsync_internal.mapping_missing(rule, field, 'SD005', format('"%s" is missing', rule ->> 'each'));
		END IF;
		RETURN jsonb_build_object('value', distsync_internal.mapping_each(rule -> 'rules', value, root, ctx, field || '[]'));
	END IF;
	value := distsync_internal.mapping_at(item, root, rule ->> 'from');
	IF value IS NULL THEN
		RETURN distsync_internal.mapping_missing(rule, field, 'SD005', format('"%s" is missing', rule ->> 'from'));
	ELSIF value = 'null' THEN
		-- absent means unchanged, null means cleared: that is the sender's to say
		RETURN '{"value": null}';
	END IF;
	found_value := distsync_internal.mapping_translate(value, rule, ctx);
	IF found_value IS NULL THEN
		RETURN distsync_internal.mapping_missing(rule, field, 'SD001', format('"%s" is not known as %s', left(value #>> '{}', 80), COALESCE(rule ->> 'xref', CASE WHEN jsonb_typeof(rule -> 'lookup') = 'string' THEN rule ->> 'lookup' END, field)));
	END IF;
	RETURN jsonb_build_object('value', distsync_internal.mapping_cast(found_value, rule, ctx ->> 'tz', field));
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_rule(jsonb, jsonb, jsonb, jsonb, text) IS 'One rule for one item: {"value": …}, {} = left out. Errors: SD001, SD002, SD005 with the field.';

-- mapping_item does all rules for one item.
CREATE FUNCTION distsync_internal.mapping_item(rules jsonb, item jsonb, root jsonb, ctx jsonb, prefix text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rule jsonb;
	result jsonb;
	doc jsonb := '{}';
BEGIN
	FOR rule IN SELECT r FROM jsonb_array_elements(rules) r LOOP
		result := distsync_internal.mapping_rule(rule, item, root, ctx, prefix || (rule ->> 'to'));
		IF result ? 'value' THEN
			doc := distsync_internal.mapping_put(doc, string_to_array(rule ->> 'to', '.'), result -> 'value');
		END IF;
	END LOOP;
	RETURN doc;
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_item(jsonb, jsonb, jsonb, jsonb, text) IS 'A document made of one item by a list of rules.';

-- mapping_each does all rules for each item of a list.
CREATE FUNCTION distsync_internal.mapping_each(rules jsonb, items jsonb, root jsonb, ctx jsonb, prefix text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(items) <> 'array' THEN
		PERFORM distsync_internal.mapping_fail('SD005', prefix, format('a list is expected, there is %s', jsonb_typeof(items)), 'Point "each" at a list.');
	END IF;
	RETURN (SELECT COALESCE(jsonb_agg(distsync_internal.mapping_item(rules, i.value, root, ctx, prefix || CASE WHEN prefix = '' THEN '' ELSE '.' END) ORDER BY i.n), '[]')
		FROM jsonb_array_elements(items) WITH ORDINALITY i(value, n));
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_each(jsonb, jsonb, jsonb, jsonb, text) IS 'A list of documents made of a list of items. Errors: SD005 no list.';

-- mapping_frame does the putting of rules that are only a list into the frame {"rules": […]}.
CREATE FUNCTION distsync_internal.mapping_frame(rules jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN jsonb_typeof(rules) = 'array' THEN jsonb_build_object('rules', rules) ELSE rules END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_frame(jsonb) IS 'Rules as {"each","skip_if","lookups","rules"}.';

-- mapping_context does the gathering of what rules refer to: the sender, his time zone, the tables of the mapping.
CREATE FUNCTION distsync_internal.mapping_context(frame jsonb, system text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('system', system, 'tz', COALESCE((SELECT y.tz FROM sync.system y WHERE y.code = system), 'UTC'), 'lookups', COALESCE(frame -> 'lookups', '{}'))
$$;
COMMENT ON FUNCTION distsync_internal.mapping_context(jsonb, text) IS '{"system","tz","lookups"} for the rules of a mapping.';

-- mapping_items does the listing of the items that a document holds for a mapping.
CREATE FUNCTION distsync_internal.mapping_items(frame jsonb, document jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	items jsonb := CASE WHEN frame ? 'each' THEN distsync_internal.mapping_at(document, document, frame ->> 'each') WHEN jsonb_typeof(document) = 'array' THEN document ELSE jsonb_build_array(document) END;
BEGIN
	IF jsonb_typeof(items) IS DISTINCT FROM 'array' THEN
		PERFORM distsync_internal.mapping_fail('SD005', frame ->> 'each', format('"%s" is not a list', frame ->> 'each'), 'Have the sender fill it, or correct "each" of the mapping.');
	END IF;
	RETURN (SELECT COALESCE(jsonb_agg(i.value ORDER BY i.n), '[]') FROM jsonb_array_elements(items) WITH ORDINALITY i(value, n) WHERE NOT frame ? 'skip_if' OR NOT i.value @> (frame -> 'skip_if'));
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_items(jsonb, jsonb) IS 'Items of a document: the list at "each", the elements of an array, or the document itself; without those that contain "skip_if". Errors: SD005.';

-- mapping_run does a mapping for a document of a system.
CREATE FUNCTION distsync_internal.mapping_run(code text, document jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
	frame jsonb;
BEGIN
	SELECT x.entity, x.rules INTO m FROM sync.mapping x WHERE x.code = mapping_run.code AND x.status = 'active' ORDER BY x.version DESC LIMIT 1;
	IF NOT FOUND THEN
		PERFORM distsync_internal.mapping_fail('SD001', 'mapping', format('mapping "%s" has no active version', code), 'Make one: SELECT distsync.add_mapping(code, entity, rules).');
	END IF;
	frame := distsync_internal.mapping_frame(m.rules);
	RETURN jsonb_build_object('entity', m.entity, 'documents',
		distsync_internal.mapping_each(frame -> 'rules', distsync_internal.mapping_items(frame, document), document, distsync_internal.mapping_context(frame, source), ''));
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_run(text, jsonb, text) IS 'Runs the newest active version of a mapping for a document of a system: {"entity","documents":[…]}. Errors: SD001, SD002, SD005 with the field.';
