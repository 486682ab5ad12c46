-- Who may send to us and what we pull: sources, their keys, feeds. Calling a verb again changes what its options name and nothing else.

-- inbox_check_code does the check of a new business code.
CREATE FUNCTION distsync_internal.inbox_check_code(code text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF code IS NULL OR code !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'code must be 1 to 63 letters, digits, dots, dashes or underscores',
			DETAIL = format('Field: code. It is "%s".', left(code, 80)), HINT = 'Choose a short name such as "wms" or "shop.orders".';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_check_code(text) IS 'Raises SD002 if a text can not be the code of a source or feed.';

-- inbox_invalid does the renaming of what a CHECK or a cast says about an option into an error that names the field.
CREATE FUNCTION distsync_internal.inbox_invalid(what text, said text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('an option of the %s is out of range', what),
		DETAIL = format('Field: options. %s', said), HINT = format('The comments on the columns of sync.%s say what is allowed.', what);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_invalid(text, text) IS 'Raises SD002 for an option whose value the table refuses.';

-- inbox_secret_bytes does the decoding of a key as its scheme writes it.
CREATE FUNCTION distsync_internal.inbox_secret_bytes(scheme text, secret text) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN scheme = 'standard' THEN distsync_internal.http_secret(secret) ELSE convert_to(secret, 'UTF8') END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_secret_bytes(text, text) IS 'Key of a source as bytes: base64 behind whsec_ for standard, the text itself for the other schemes. Errors: SD002.';

-- inbox_secrets does the look-up of the keys that are valid at an instant, the newest first.
CREATE FUNCTION distsync_internal.inbox_secrets(kind text, code text, at timestamptz) RETURNS bytea[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(array_agg(s.secret ORDER BY lower(s.valid) DESC, s.secret_id DESC), '{}') FROM sync.secret s
	WHERE s.kind = inbox_secrets.kind AND s.code = inbox_secrets.code AND s.valid @> inbox_secrets.at
$$;
COMMENT ON FUNCTION distsync_internal.inbox_secrets(text, text, timestamptz) IS 'Valid keys of a source (kind source) or tokens of a feed (kind feed), the newest first.';

-- inbox_put_secret does the change of a key: the new one is valid from now, the old ones for the grace period.
CREATE FUNCTION distsync_internal.inbox_put_secret(kind text, code text, secret bytea, grace interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
BEGIN
	IF secret IS NULL OR octet_length(secret) NOT BETWEEN 1 AND 4096 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'secret must have 1 to 4096 bytes', DETAIL = 'Field: secret.',
			HINT = 'Use 32 random bytes; rotate_source_secret() without a secret makes a key of the scheme "standard".';
	END IF;
	DELETE FROM sync.secret s WHERE s.kind = inbox_put_secret.kind AND s.code = inbox_put_secret.code AND (upper(s.valid) <= t OR lower(s.valid) >= t OR s.secret = inbox_put_secret.secret);
	UPDATE sync.secret s SET valid = tstzrange(lower(s.valid), least(COALESCE(upper(s.valid), 'infinity'), t + inbox_put_secret.grace))
	WHERE s.kind = inbox_put_secret.kind AND s.code = inbox_put_secret.code AND lower(s.valid) < t + inbox_put_secret.grace;
	IF inbox_put_secret.grace <= '0' THEN
		DELETE FROM sync.secret s WHERE s.kind = inbox_put_secret.kind AND s.code = inbox_put_secret.code;
	END IF;
	INSERT INTO sync.secret (kind, code, secret, valid) VALUES (inbox_put_secret.kind, inbox_put_secret.code, inbox_put_secret.secret, tstzrange(t, NULL));
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_put_secret(text, text, bytea, interval) IS 'Makes a key valid from now; older ones stay valid for the grace period. Errors: SD002.';

-- inbox_source_row does the reading of a source for the audit, without its keys.
CREATE FUNCTION distsync_internal.inbox_source_row(code text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT to_jsonb(s) FROM sync.source s WHERE s.code = inbox_source_row.code
$$;
COMMENT ON FUNCTION distsync_internal.inbox_source_row(text) IS 'A source as JSON, NULL if there is none.';

-- inbox_write_source does the insert or the change of a source's row; what the table refuses is told as an error about an option.
CREATE FUNCTION distsync_internal.inbox_write_source(code text, system text, options jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
	said text;
BEGIN
	INSERT INTO sync.source (code, system) VALUES (inbox_write_source.code, inbox_write_source.system)
	ON CONFLICT (code) DO NOTHING;
	UPDATE sync.source s SET system = inbox_write_source.system,
		scheme = CASE WHEN options ? 'scheme' THEN options ->> 'scheme' ELSE s.scheme END,
		entity = CASE WHEN options ? 'entity' THEN options ->> 'entity' ELSE s.entity END,
		mapping = CASE WHEN options ? 'mapping' THEN options ->> 'mapping' ELSE s.mapping END,
		sends = CASE WHEN options ? 'sends' THEN options ->> 'sends' ELSE s.sends END,
		tolerance = CASE WHEN options ? 'tolerance' THEN (options ->> 'tolerance')::interval ELSE s.tolerance END,
		max_body = CASE WHEN options ? 'max_body' THEN (options ->> 'max_body')::integer ELSE s.max_body END,
		keep_refused = CASE WHEN options ? 'keep_refused' THEN (options ->> 'keep_refused')::integer ELSE s.keep_refused END,
		max_attempts = CASE WHEN options ? 'max_attempts' THEN (options ->> 'max_attempts')::smallint ELSE s.max_attempts END,
		status = CASE WHEN options ? 'status' THEN options ->> 'status' ELSE s.status END
	WHERE s.code = inbox_write_source.code
	RETURNING source_id INTO id;
	RETURN id;
EXCEPTION
	WHEN check_violation OR not_null_violation OR data_exception THEN
		GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
		PERFORM distsync_internal.inbox_invalid('source', said);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_write_source(text, text, jsonb) IS 'Inserts or changes a row of sync.source. Returns its id. Errors: SD002.';

-- add_source does the opening of a door for a partner's messages, or the change of it.
CREATE FUNCTION distsync.add_source(code text, system text, options jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	before jsonb := distsync_internal.inbox_source_row(add_source.code);
	after jsonb;
	id bigint;
BEGIN
	options := distsync_internal.base_options(options, '{scheme:standard|github|shopify|stripe|hmac_sha256_hex|none!,secret:text!,entity:text,mapping:text,sends:document|patch!,tolerance:interval!,max_body:integer!:1:104857600,keep_refused:integer!:0:10000,max_attempts:integer!:1:100,status:active|inactive!}');
	PERFORM distsync_internal.inbox_check_code(add_source.code);
	IF NOT EXISTS (SELECT FROM sync.system y WHERE y.code = add_source.system AND y.status = 'active') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown system "%s"', system), DETAIL = 'Field: system.',
			HINT = 'Register it first: SELECT distsync.add_system(code, kind).';
	END IF;
	IF options ->> 'mapping' IS NOT NULL AND NOT EXISTS (SELECT FROM sync.mapping m WHERE m.code = options ->> 'mapping' AND m.direction = 'in') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown mapping "%s"', options ->> 'mapping'), DETAIL = 'Field: options.mapping.',
			HINT = 'Make it first: SELECT distsync.add_mapping(code, entity, rules).';
	END IF;
	IF options ->> 'entity' IS NOT NULL AND NOT EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'entity' AND h.name = options ->> 'entity') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown entity "%s"', options ->> 'entity'), DETAIL = 'Field: options.entity.',
			HINT = 'Name an entity that apply() takes, or leave it out if each message names its own.';
	END IF;
	id := distsync_internal.inbox_write_source(add_source.code, system, options);
	after := distsync_internal.inbox_source_row(add_source.code);
	IF options ? 'secret' THEN
		PERFORM distsync_internal.inbox_put_secret('source', add_source.code, distsync_internal.inbox_secret_bytes(after ->> 'scheme', options ->> 'secret'), '24 hours');
	ELSIF after ->> 'scheme' <> 'none' AND cardinality(distsync_internal.inbox_secrets('source', add_source.code, clock_timestamp())) = 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('source "%s" has no secret', add_source.code), DETAIL = 'Field: options.secret.',
			HINT = 'Give the key that the partner signs with, or "scheme": "none" where the network vouches for the sender.';
	END IF;
	PERFORM distsync_internal.base_audit('add_source', 'source', add_source.code, before, after || jsonb_build_object('secret_changed', options ? 'secret'));
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync.add_source(text, text, jsonb) IS
	'Opens a door for messages of a system, or changes one. options: scheme standard | github | shopify | stripe | hmac_sha256_hex | none, secret (whsec_... for standard; older keys stay valid for 24 hours), entity (NULL: each message names its own), mapping, sends document | patch, tolerance, max_body (bytes), keep_refused (refused messages an hour that are kept in quarantine), max_attempts, status active | inactive. What is not named stays. Returns its id. Errors: SD001 unknown system, mapping or entity, SD002 invalid option, SD005 no secret.';

-- rotate_source_secret does the change of a partner's key while the old one still works for a while.
CREATE FUNCTION distsync.rotate_source_secret(source text, secret text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	the_scheme text;
	made text;
	grace interval;
BEGIN
	options := distsync_internal.base_options(options, '{grace:interval:0:30 days}');
	SELECT s.scheme INTO the_scheme FROM sync.source s WHERE s.code = rotate_source_secret.source;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD022', MESSAGE = format('unknown source "%s"', source), DETAIL = 'Field: source.', HINT = 'Open it first: SELECT distsync.add_source(code, system, options).';
	END IF;
	BEGIN
		grace := COALESCE((options ->> 'grace')::interval, '24 hours');
	EXCEPTION WHEN data_exception THEN
		PERFORM distsync_internal.inbox_invalid('source', SQLERRM);
	END;
	IF grace NOT BETWEEN '0' AND '30 days' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'grace must be between 0 and 30 days', DETAIL = format('Field: options.grace. It is %s.', grace), HINT = 'The old key is valid for that long; 0 ends it at once.';
	END IF;
	IF secret IS NULL THEN
		-- two random UUIDs: 32 bytes, 244 of their bits random
		made := 'whsec_' || encode(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'), 'base64');
	END IF;
	PERFORM distsync_internal.inbox_put_secret('source', source, distsync_internal.inbox_secret_bytes(the_scheme, COALESCE(secret, made)), grace);
	PERFORM distsync_internal.base_audit('rotate_source_secret', 'source', source, NULL, jsonb_build_object('grace', grace::text, 'made_here', made IS NOT NULL));
	RETURN made;
END
$$;
COMMENT ON FUNCTION distsync.rotate_source_secret(text, text, jsonb) IS
	'Gives a source a new key; the old one stays valid for options.grace (24 hours; 0 ends it at once). Without a secret one is made and returned: it is shown this once. Errors: SD022 unknown source, SD002 malformed secret or grace.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('add_source', '{admin}'), ('rotate_source_secret', '{admin}');
