-- Values of a mapping: where they are found, what they become. Numbers are taken as they are written, never through a double.

-- mapping_at does the finding of a value by its path. NULL: it is absent; JSON null is a value.
CREATE FUNCTION distsync_internal.mapping_at(item jsonb, root jsonb, path text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $body$
	SELECT CASE
		WHEN path = '$' THEN item
		WHEN path = '$$' THEN root
		WHEN left(path, 3) = '$$.' THEN root #> string_to_array(substr(path, 4), '.')
		WHEN left(path, 2) = '$.' THEN item #> string_to_array(substr(path, 3), '.')
		ELSE item #> string_to_array(path, '.') END
$body$;
COMMENT ON FUNCTION distsync_internal.mapping_at(jsonb, jsonb, text) IS 'Value at a dot path: a.b.0 or $.a.b from the item, $$.a.b from the root of the document, $ and $$ themselves. NULL: absent.';

-- mapping_put does the placing of a value at a dot path, with the objects on the way to it.
CREATE FUNCTION distsync_internal.mapping_put(doc jsonb, path text[], value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT doc || jsonb_build_object(path[1], CASE WHEN cardinality(path) = 1 THEN value
		ELSE distsync_internal.mapping_put(CASE WHEN jsonb_typeof(doc -> path[1]) = 'object' THEN doc -> path[1] ELSE '{}' END, path[2:], value) END)
$$;
COMMENT ON FUNCTION distsync_internal.mapping_put(jsonb, text[], jsonb) IS 'A document with a value put at a path; objects on the way are made.';

-- mapping_fail does the raising of what is wrong with a value, with the field it was meant for.
CREATE FUNCTION distsync_internal.mapping_fail(code text, field text, said text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = said, DETAIL = format('Field: %s.', field), HINT = hint, COLUMN = field;
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_fail(text, text, text, text) IS 'Raises an error of a mapping: SQLSTATE, field, message, hint.';

-- mapping_instant does the reading of a time: with an offset as it says, without one in the sender's time zone.
CREATE FUNCTION distsync_internal.mapping_instant(value text, tz text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' AS $$
	SELECT to_jsonb(to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
	FROM (SELECT CASE WHEN value ~* '(z|[+-][0-9]{2}(:?[0-9]{2})?)$' AND value ~ ':' THEN value::timestamptz ELSE value::timestamp AT TIME ZONE tz END) t(at)
$$;
COMMENT ON FUNCTION distsync_internal.mapping_instant(text, text) IS 'A timestamp as JSON text in UTC. Raises what the cast raises.';

-- mapping_date does the reading of a date, ISO or in a format; one that only looks like a date is refused.
CREATE FUNCTION distsync_internal.mapping_date(value text, pattern text, field text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' AS $$
DECLARE
	d date := CASE WHEN pattern IS NULL THEN value::date ELSE to_date(value, pattern) END;
BEGIN
	IF to_char(d, COALESCE(pattern, 'YYYY-MM-DD')) <> value THEN
		PERFORM distsync_internal.mapping_fail('SD002', field, format('"%s" is not a date', left(value, 80)), format('Write it as %s.', COALESCE(pattern, 'YYYY-MM-DD')));
	END IF;
	RETURN to_jsonb(to_char(d, 'YYYY-MM-DD'));
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_date(text, text, text) IS 'A date as JSON text YYYY-MM-DD, read in a pattern of to_date(). Errors: SD002.';

-- mapping_number does the reading of a number, digit by digit as it is written.
CREATE FUNCTION distsync_internal.mapping_number(value text, whole boolean, field text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF value !~ '^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$' OR whole AND value::numeric <> trunc(value::numeric) THEN
		PERFORM distsync_internal.mapping_fail('SD002', field, format('"%s" is not a %s', left(value, 80), CASE WHEN whole THEN 'whole number' ELSE 'number' END),
			'Write digits with a point before the decimals, no thousands separators; NaN and Infinity are no numbers.');
	END IF;
	RETURN to_jsonb(value::numeric);
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_number(text, boolean, text) IS 'A number as JSON with all its digits. Errors: SD002.';

-- mapping_cast does the turning of a value into the type a rule asks for.
CREATE FUNCTION distsync_internal.mapping_cast(value jsonb, rule jsonb, tz text, field text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := rule ->> 'type';
	raw text := value #>> '{}';
BEGIN
	IF kind IS NULL OR raw IS NULL THEN
		RETURN value;
	ELSIF jsonb_typeof(value) IN ('object', 'array') AND kind <> 'json' THEN
		PERFORM distsync_internal.mapping_fail('SD002', field, format('%s can not be read as %s', jsonb_typeof(value), kind), 'Point "from" at a single value.');
	END IF;
	RETURN CASE kind
		WHEN 'text' THEN to_jsonb(raw)
		WHEN 'code' THEN to_jsonb(btrim(raw))
		WHEN 'upper' THEN to_jsonb(upper(btrim(raw)))
		WHEN 'number' THEN distsync_internal.mapping_number(raw, false, field)
		WHEN 'integer' THEN distsync_internal.mapping_number(raw, true, field)
		WHEN 'negated' THEN to_jsonb(-(distsync_internal.mapping_number(raw, false, field) #>> '{}')::numeric)
		WHEN 'boolean' THEN to_jsonb(raw::boolean)
		WHEN 'date' THEN distsync_internal.mapping_date(raw, rule ->> 'format', field)
		WHEN 'instant' THEN distsync_internal.mapping_instant(raw, tz)
		ELSE value END;
EXCEPTION WHEN data_exception THEN
	PERFORM distsync_internal.mapping_fail('SD002', field, format('"%s" can not be read as %s', left(raw, 80), kind), 'Have the sender correct the value, or correct the type of the rule.');
END
$$;
COMMENT ON FUNCTION distsync_internal.mapping_cast(jsonb, jsonb, text, text) IS 'A value as the type of a rule: text, code, upper, number, integer, negated, boolean, date (with format), instant, json. JSON null stays. Errors: SD002.';
