-- What a verb is asked beside its arguments: options are checked in one way everywhere, because an option that is misspelt or
-- cannot be read would otherwise be silence, or an error of the server.

-- base_is_interval does the question whether a text is an interval within limits. Only verbs that write, or that no parallel worker
-- runs, ask it: it needs a subtransaction.
CREATE FUNCTION distsync_internal.base_is_interval(said text, lowest text, highest text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN said::interval BETWEEN COALESCE(lowest, said)::interval AND COALESCE(highest, said)::interval;
EXCEPTION WHEN data_exception THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_is_interval(text, text, text) IS 'Whether a text can be read as an interval from lowest to highest (NULL = no limit); not in a parallel worker.';

-- base_is_instant does the question whether a text is an ISO 8601 day or instant that exists, without trying a cast: a read runs
-- in parallel workers, where no error can be caught.
CREATE FUNCTION distsync_internal.base_is_instant(said text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m text[] := regexp_match(said, '^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,20})?)? ?(?:[Zz]|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)?)?$');
BEGIN
	IF m IS NULL OR m[1]::integer < 1 OR m[2]::integer NOT BETWEEN 1 AND 12 THEN
		RETURN false;
	END IF;
	RETURN m[3]::integer BETWEEN 1 AND extract(day FROM make_date(m[1]::integer, m[2]::integer, 1) + interval '1 month' - interval '1 day');
END
$$;
COMMENT ON FUNCTION distsync_internal.base_is_instant(text) IS 'Whether a text is a day or an instant of ISO 8601, such as 2026-05-14 or 2026-05-14T10:00:00Z, that exists.';

-- base_option_fits does the check of one value against what a verb declares for it.
CREATE FUNCTION distsync_internal.base_option_fits(declared text[], value jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	type text := rtrim(declared[2], '!');
	said text := value #>> '{}';
BEGIN
	IF jsonb_typeof(value) = 'null' THEN
		RETURN COALESCE(declared[2], '') NOT LIKE '%!';
	END IF;
	RETURN CASE
		WHEN type = 'text' THEN jsonb_typeof(value) IN ('string', 'number') AND length(said) BETWEEN COALESCE(declared[3]::integer, 0) AND COALESCE(declared[4]::integer, 10000)
		WHEN type = 'object' THEN jsonb_typeof(value) = 'object'
		WHEN type = 'boolean' THEN said IN ('true', 'false')
		WHEN type = 'integer' THEN said ~ '^-?\d{1,18}$' AND said::bigint BETWEEN COALESCE(declared[3]::bigint, 0) AND COALESCE(declared[4]::bigint, 2147483647)
		WHEN type = 'integers' THEN CASE WHEN jsonb_typeof(value) = 'array' THEN NOT EXISTS (SELECT FROM jsonb_array_elements_text(value) e WHERE COALESCE(e, '') !~ '^\d{1,6}$') ELSE false END
		WHEN type = 'instant' THEN jsonb_typeof(value) = 'string' AND distsync_internal.base_is_instant(said)
		WHEN type = 'interval' THEN jsonb_typeof(value) = 'string' AND distsync_internal.base_is_interval(said, declared[3], declared[4])
		WHEN type LIKE '%|%' THEN said = ANY (string_to_array(type, '|'))
		ELSE true END;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_option_fits(text[], jsonb) IS
	'Whether a value is what {name, type, lowest, highest} declares. Types: text (at most 10000 characters if not said), object, boolean, integer (from 0 if not said), integers (a list), instant, interval, a|b|c (one of these); none = anything. A type that ends in ! takes no null.';

-- base_option_hint does the saying of what a value must be.
CREATE FUNCTION distsync_internal.base_option_hint(declared text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	type text := rtrim(declared[2], '!');
BEGIN
	RETURN CASE WHEN type = 'text' THEN CASE WHEN declared[4] IS NULL THEN 'Send a text of at most 10000 characters.' ELSE format('Send a text of %s to %s characters.', declared[3], declared[4]) END WHEN type = 'object' THEN 'Send an object.' WHEN type = 'boolean' THEN 'Send true or false.'
		WHEN type = 'integer' THEN format('Send a whole number from %s to %s.', COALESCE(declared[3], '0'), COALESCE(declared[4], '2147483647'))
		WHEN type = 'integers' THEN 'Send a list of whole numbers, for example [30, 60, 90].'
		WHEN type = 'interval' THEN 'Send an interval, for example "15 minutes"' || CASE WHEN declared[4] IS NULL THEN '.' ELSE format(', from %s to %s.', declared[3], declared[4]) END
		WHEN type = 'instant' THEN 'Send an instant with its zone, for example "2026-05-14T10:00:00Z".'
		WHEN type LIKE '%|%' THEN format('Use one of %s.', replace(type, '|', ', '))
		ELSE 'Send a value.' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_option_hint(text[]) IS 'What {name, type, lowest, highest} of base_option_fits() wants, as a sentence for people.';

-- base_options does the check of the options of a verb.
CREATE FUNCTION distsync_internal.base_options(options jsonb, known text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
	names text;
BEGIN
	IF options IS NULL THEN
		RETURN '{}';
	ELSIF jsonb_typeof(options) <> 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'options must be a JSON object', COLUMN = 'options', DETAIL = format('Field: options. It is of type %s.', jsonb_typeof(options)),
			HINT = 'Pass ''{}'' or leave the argument out.';
	END IF;
	FOR o IN
		SELECT e.key, e.value, (SELECT string_to_array(k, ':') FROM unnest(known) k WHERE split_part(k, ':', 1) = e.key) AS declared FROM jsonb_each(options) e ORDER BY e.key COLLATE "C"
	LOOP
		IF o.declared IS NULL THEN
			names := (SELECT string_agg(split_part(k, ':', 1), ', ' ORDER BY n) FROM unnest(known) WITH ORDINALITY u(k, n));
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown option "%s"', left(o.key, 80)), COLUMN = 'options.' || left(o.key, 80),
				DETAIL = format('Field: options.%s.', left(o.key, 80)), HINT = CASE WHEN names IS NULL THEN 'This function takes no option yet.' ELSE format('Known options are %s.', names) END;
		ELSIF NOT COALESCE(distsync_internal.base_option_fits(o.declared, o.value), false) THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "%s" cannot be %s', o.key, left(o.value::text, 80)), COLUMN = 'options.' || o.key,
				DETAIL = format('Field: options.%s.', o.key), HINT = distsync_internal.base_option_hint(o.declared);
		END IF;
	END LOOP;
	RETURN options;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_options(jsonb, text[]) IS
	'The options of a verb, checked; {} for NULL. known: what it takes, each as name, name:type or name:type:lowest:highest (see base_option_fits()). Errors: SD005 no object, SD002 unknown option or a value that it cannot be.';

-- base_required does the refusing of an argument that is left out.
CREATE FUNCTION distsync_internal.base_required(field text, value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF value IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('%s is missing', field), COLUMN = field, DETAIL = format('Field: %s. It is null.', field),
			HINT = 'Give it: nothing can be answered without it.';
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_required(text, text) IS 'The value of an argument. Errors: SD005 if it is NULL.';

-- base_said does the reading of a reason, an authority or a name that somebody has to give: blanks say nothing.
CREATE FUNCTION distsync_internal.base_said(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN NULLIF(btrim(value, E' \t\r\n\u00a0'), '');
END
$$;
COMMENT ON FUNCTION distsync_internal.base_said(text) IS 'What is said without the blanks around it; NULL where nothing is said.';
