-- Tokens: a portal behind a pooler shows, first of all in each transaction, for whom it asks. A token is a JWT signed with HS256 and a key
-- of ours, so that any portal can make one; what it gives ends with the transaction.

-- portal_refuse does the error about a token, which never shows it.
CREATE FUNCTION distsync_internal.portal_refuse(reason text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'SD013', MESSAGE = 'the token was refused', COLUMN = 'token', DETAIL = format('Field: token. Reason: %s.', reason),
		HINT = 'Make a JWT with header {"alg":"HS256","kid":KEY} and claims {"aud":"distsync","customers":[CODE],"exp":SECONDS}, signed with a live key of distsync.rotate_scope_key().';
END
$$;
COMMENT ON FUNCTION distsync_internal.portal_refuse(text) IS 'Raises SD013 with a reason: malformed | algorithm | signature | audience | expired | too_long | not_yet | customers | second.';

-- portal_part does the reading of a part of a token; NULL: it is no JSON object in base64url.
CREATE FUNCTION distsync_internal.portal_part(part text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	read jsonb;
BEGIN
	IF part !~ '^[A-Za-z0-9_-]+$' THEN
		RETURN NULL;
	END IF;
	read := convert_from(decode(translate(part, '-_', '+/') || repeat('=', (4 - length(part) % 4) % 4), 'base64'), 'UTF8')::jsonb;
	RETURN CASE WHEN jsonb_typeof(read) = 'object' THEN read END;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.portal_part(text) IS 'JSON object that a part of a token holds in base64url; NULL = it holds none.';

-- portal_signed does the check of a token's signature, in constant time, against every live key of its name.
CREATE FUNCTION distsync_internal.portal_signed(token text, key text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys bytea[] := ARRAY(SELECT s.secret FROM sync.secret s WHERE s.kind = 'scope' AND s.code = key AND s.valid @> at ORDER BY lower(s.valid) DESC NULLS LAST LIMIT 8);
	part text := split_part(token, '.', 3);
	signature bytea;
BEGIN
	IF length(part) <> 43 OR part !~ '^[A-Za-z0-9_-]+$' THEN
		RETURN false;
	END IF;
	signature := decode(translate(part, '-_', '+/') || '=', 'base64');
	-- an unknown key takes as long as a wrong signature
	IF cardinality(keys) = 0 THEN
		keys := ARRAY[uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())];
	END IF;
	RETURN distsync_internal.http_verify('hmac_sha256_hex', keys, jsonb_build_object('x-signature', encode(signature, 'hex')),
		convert_to(split_part(token, '.', 1) || '.' || split_part(token, '.', 2), 'UTF8'), 0, at) IS NULL;
EXCEPTION WHEN data_exception THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.portal_signed(text, text, timestamptz) IS 'Whether the signature of a token was made with a key of this name that is valid at an instant.';

-- use_token does the showing of a token: what the transaction may see from here on.
CREATE FUNCTION distsync.use_token(token text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at timestamptz := clock_timestamp();
	head jsonb;
	claims jsonb;
	ends timestamptz;
	reason text;
	ids bigint[];
BEGIN
	IF token IS NULL OR length(token) > 8192 OR token !~ '^[^.]+\.[^.]+\.[^.]+$' THEN
		PERFORM distsync_internal.portal_refuse('malformed');
	END IF;
	head := distsync_internal.portal_part(split_part(token, '.', 1));
	IF head IS NULL OR jsonb_typeof(head -> 'kid') IS DISTINCT FROM 'string' OR head ? 'crit' THEN
		PERFORM distsync_internal.portal_refuse('malformed');
	ELSIF head ->> 'alg' IS DISTINCT FROM 'HS256' THEN
		PERFORM distsync_internal.portal_refuse('algorithm');
	ELSIF NOT distsync_internal.portal_signed(token, head ->> 'kid', at) THEN
		PERFORM distsync_internal.portal_refuse('signature');
	END IF;
	claims := distsync_internal.portal_part(split_part(token, '.', 2));
	reason := CASE
		WHEN claims IS NULL THEN 'malformed'
		WHEN claims -> 'aud' IS DISTINCT FROM '"distsync"' AND NOT COALESCE(jsonb_typeof(claims -> 'aud') = 'array' AND claims -> 'aud' ? 'distsync', false) THEN 'audience'
		WHEN jsonb_typeof(claims -> 'exp') IS DISTINCT FROM 'number' OR claims ->> 'exp' !~ '^[0-9]{1,11}$' THEN 'expired'
		WHEN claims ? 'nbf' AND (jsonb_typeof(claims -> 'nbf') <> 'number' OR claims ->> 'nbf' !~ '^[0-9]{1,11}$') THEN 'not_yet'
		WHEN jsonb_typeof(claims -> 'customers') IS DISTINCT FROM 'array' OR jsonb_array_length(claims -> 'customers') NOT BETWEEN 1 AND 100
			OR jsonb_path_exists(claims, '$.customers[*] ? (@.type() != "string")') THEN 'customers' END;
	IF reason IS NULL THEN
		ends := to_timestamp((claims ->> 'exp')::double precision);
		reason := CASE
			WHEN ends <= at THEN 'expired'
			WHEN ends > at + (current_setting('distsync.token_max_age'))::interval THEN 'too_long'
			WHEN to_timestamp((claims ->> 'nbf')::double precision) > at THEN 'not_yet' END;
	END IF;
	IF reason IS NULL THEN
		-- a customer that we do not know gives nothing, and tells nothing either
		ids := ARRAY(SELECT p.party_id FROM dist.party p WHERE p.code IN (SELECT c FROM jsonb_array_elements_text(claims -> 'customers') c) ORDER BY p.party_id);
		reason := CASE WHEN cardinality(ids) = 0 THEN 'customers' END;
	END IF;
	IF reason IS NOT NULL THEN
		PERFORM distsync_internal.portal_refuse(reason);
	END IF;
	PERFORM distsync_internal.master_scope_take(ids, ends);
	IF jsonb_typeof(claims -> 'sub') = 'string' AND length(claims ->> 'sub') BETWEEN 1 AND 255 THEN
		PERFORM set_config('distsync.app_user', claims ->> 'sub', true);
	END IF;
	RETURN cardinality(ids);
END
$$;
COMMENT ON FUNCTION distsync.use_token(text) IS
	'Shows a token: until the transaction ends, a restricted caller sees the customers it names (and all parties below them), whatever his roles give him; the claim sub is the application user of the audit. Call it first in each transaction, also through a pooler. JWT, HS256, header kid = name of a key, claims aud = distsync, customers = 1 to 100 codes, exp (seconds since 1970, at most distsync.token_max_age from now), nbf and sub if wanted. Returns how many customers. Errors: SD013 with a reason, never the token.';

-- rotate_scope_key does the change of a key that tokens are signed with.
CREATE FUNCTION distsync.rotate_scope_key(key text, secret text DEFAULT NULL, overlap interval DEFAULT '1 hour') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	fresh text := COALESCE(secret, encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex'));
	t timestamptz := clock_timestamp();
BEGIN
	IF COALESCE(key, '') !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('key name "%s" is not allowed', left(key, 80)), COLUMN = 'key', DETAIL = 'Field: key.', HINT = 'Use 1 to 63 letters, digits, dots, hyphens or underscores.';
	ELSIF octet_length(fresh) NOT BETWEEN 32 AND 1024 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'secret must have 32 to 1024 bytes', COLUMN = 'secret', DETAIL = format('Field: secret. It has %s.', octet_length(fresh)), HINT = 'Use 32 random bytes as hexadecimal text, or let this function make them.';
	ELSIF overlap IS NULL OR overlap < '0' OR overlap > '30 days' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'overlap must be between 0 and 30 days', COLUMN = 'overlap', DETAIL = format('Field: overlap. It is %s.', overlap), HINT = 'Keep the old key as long as tokens signed with it live.';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.scope_key/' || key, 0));
	IF NOT EXISTS (SELECT FROM sync.secret s WHERE s.kind = 'scope' AND s.code = key AND s.secret = convert_to(fresh, 'UTF8') AND upper_inf(s.valid)) THEN
		DELETE FROM sync.secret s WHERE s.kind = 'scope' AND s.code = key AND (upper(s.valid) <= t OR overlap <= '0');
		UPDATE sync.secret s SET valid = tstzrange(lower(s.valid), t + overlap) WHERE s.kind = 'scope' AND s.code = key AND COALESCE(upper(s.valid), 'infinity') > t + overlap;
		INSERT INTO sync.secret (kind, code, secret, valid) VALUES ('scope', key, convert_to(fresh, 'UTF8'), tstzrange(t, NULL));
		PERFORM distsync_internal.base_audit('rotate_scope_key', 'scope_key', key, NULL, jsonb_build_object('overlap', overlap));
	END IF;
	RETURN fresh;
END
$$;
COMMENT ON FUNCTION distsync.rotate_scope_key(text, text, interval) IS
	'Puts a new key for tokens in force under a name (kid); the old one counts beside it until overlap has passed, not at all with overlap 0. Without secret one is made: 64 hexadecimal digits, which are the bytes to sign with as they stand. Returns the key: give it to the portal, it is not shown again. Errors: SD002.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('use_token', '{portal}'),
	('rotate_scope_key', '{admin}');
