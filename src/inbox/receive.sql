-- The door for messages: known source, size, signature over the raw bytes, id, once. Nothing is parsed before its signature holds, and a
-- refusal is an answer, not an error: the caller commits and the counter stays.

-- inbox_scan tells what the JSON parser must not be given, without recursion: see scan.c. It runs no SQL.
CREATE FUNCTION distsync_internal.inbox_scan(body bytea, max_depth integer) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_inbox_scan';
COMMENT ON FUNCTION distsync_internal.inbox_scan(bytea, integer) IS
	'NULL: the parser may see the body. Otherwise "encoding: N" (N valid bytes of UTF-8 before the first that is not), "depth: N" (more than N levels) or "duplicate_key: NAME". Other faults of syntax are left to the parser. Errors: SD002.';

-- inbox_key does the hashing of a key's parts, each with its length before it, so that ("ab","c") is not ("a","bc").
CREATE FUNCTION distsync_internal.inbox_key(VARIADIC parts text[]) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT sha256(string_agg(int4send(octet_length(convert_to(p.part, 'UTF8'))) || convert_to(p.part, 'UTF8'), ''::bytea ORDER BY p.n))
	FROM unnest(parts) WITH ORDINALITY p(part, n)
$$;
COMMENT ON FUNCTION distsync_internal.inbox_key(text[]) IS 'SHA-256 over the parts of a key, each behind its length in bytes. The key_hash of sync.dedupe.';

-- inbox_headers does the putting of names into lower case; NULL for what is no set of headers.
CREATE FUNCTION distsync_internal.inbox_headers(headers jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF headers IS NULL THEN
		RETURN '{}';
	ELSIF jsonb_typeof(headers) <> 'object' OR octet_length(headers::text) > 65536 THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT CASE WHEN count(*) = 0 THEN '{}' WHEN bool_and(jsonb_typeof(e.value) = 'string') AND count(*) = count(DISTINCT lower(e.key)) THEN jsonb_object_agg(lower(e.key), e.value) END
		FROM jsonb_each(headers) e);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_headers(jsonb) IS 'Headers with lower-case names. NULL: no object of strings, a name twice, or more than 64 kB.';

-- inbox_cut_secrets does the cutting of what opens doors out of headers that are kept. Signatures stay: they open nothing, and prove who sent what.
CREATE FUNCTION distsync_internal.inbox_cut_secrets(headers jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(jsonb_object_agg(e.key, CASE WHEN e.key ~* '(authorization|cookie|token|secret|password|api-?key|credential|session)' THEN '"(cut)"' ELSE e.value END), '{}')
	FROM jsonb_each(CASE WHEN jsonb_typeof(headers) = 'object' THEN headers ELSE '{}' END) e
$$;
COMMENT ON FUNCTION distsync_internal.inbox_cut_secrets(jsonb) IS 'Headers with the values of authorization, cookies, tokens and the like replaced by "(cut)".';

-- inbox_sqlstate does the naming of a refusal.
CREATE FUNCTION distsync_internal.inbox_sqlstate(reason text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN reason IN ('unknown_source', 'source_inactive') THEN 'SD022'
		WHEN reason = 'too_large' THEN 'SD006'
		WHEN reason LIKE 'timestamp\_%' THEN 'SD021'
		WHEN reason LIKE 'message\_%' THEN 'SD005'
		WHEN reason = 'conflict' THEN 'SD010'
		ELSE 'SD020' END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_sqlstate(text) IS 'SQLSTATE of a reason of receive(): SD022 source, SD006 size, SD020 signature, SD021 timestamp, SD005 message id, SD010 conflict.';

-- inbox_count_refused does the counting of what was refused, with the first of each hour as a sample. Whoever invents names of sources
-- fills no table with them: from the 100th in an hour on they count together.
CREATE FUNCTION distsync_internal.inbox_count_refused(source text, reason text, headers jsonb, body bytea) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
	this_hour timestamptz := date_trunc('hour', t, 'UTC');
	name text := left(COALESCE(inbox_count_refused.source, ''), 63);
BEGIN
	IF inbox_count_refused.reason = 'unknown_source'
		AND NOT EXISTS (SELECT FROM sync.refused r WHERE r.source = name AND r.reason = inbox_count_refused.reason AND r.hour = this_hour)
		AND (SELECT count(*) FROM sync.refused r WHERE r.hour = this_hour AND r.reason = 'unknown_source') >= 100 THEN
		name := '*';
	END IF;
	INSERT INTO sync.refused AS r (source, reason, hour, sample_headers, sample_body, last_at)
	VALUES (name, inbox_count_refused.reason, this_hour,
		CASE WHEN octet_length(inbox_count_refused.headers::text) <= 65536 THEN distsync_internal.inbox_cut_secrets(inbox_count_refused.headers) END, substr(inbox_count_refused.body, 1, 16384), t)
	ON CONFLICT (source, reason, hour) DO UPDATE SET n = r.n + 1, last_at = excluded.last_at;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_count_refused(text, text, jsonb, bytea) IS 'Adds one to sync.refused for source, reason and hour, and keeps the first as a sample: headers without secrets, 16 KiB of the body.';

-- inbox_verify does the judging of a signature with the keys of a source.
CREATE FUNCTION distsync_internal.inbox_verify(source text, scheme text, headers jsonb, body bytea, tolerance interval, at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys bytea[];
BEGIN
	IF scheme = 'none' THEN
		RETURN NULL;
	END IF;
	keys := distsync_internal.inbox_secrets('source', source, clock_timestamp());
	IF cardinality(keys) = 0 THEN
		RETURN 'signature_unverifiable';
	END IF;
	RETURN distsync_internal.http_verify(scheme, keys, headers, body, least(ceil(extract(epoch FROM tolerance)), 2147483647)::integer, at);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_verify(text, text, jsonb, bytea, interval, timestamptz) IS 'NULL: the signature holds at the given instant. Otherwise a reason of http_verify(), or signature_unverifiable where the source has no valid key.';

-- inbox_event_id does the reading of a message's id out of its body: of a CloudEvent, or of whatever Stripe sends.
CREATE FUNCTION distsync_internal.inbox_event_id(scheme text, body bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb;
BEGIN
	IF distsync_internal.inbox_scan(body, 64) IS NULL THEN
		doc := convert_from(body, 'UTF8')::jsonb;
		IF jsonb_typeof(doc -> 'id') IN ('string', 'number') AND (scheme = 'stripe' OR doc ? 'specversion' OR doc ? 'data' AND doc ? 'type') THEN
			RETURN doc ->> 'id';
		END IF;
		RETURN NULL;
	END IF;
	RETURN 'sha256:' || encode(sha256(body), 'hex');
EXCEPTION WHEN data_exception OR statement_too_complex THEN
	-- what can't be read has no id of its own; it is kept, under that of its bytes
	RETURN 'sha256:' || encode(sha256(body), 'hex');
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_event_id(text, bytea) IS 'The id of a CloudEvent or of a Stripe event in a body, sha256:... for a body that is no JSON, NULL for JSON without an id.';

-- inbox_message_id does the finding of the sender's id of a message, where his scheme puts it.
CREATE FUNCTION distsync_internal.inbox_message_id(scheme text, headers jsonb, body bytea) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE scheme
		WHEN 'standard' THEN headers ->> 'webhook-id'
		WHEN 'shopify' THEN COALESCE(headers ->> 'x-shopify-event-id', headers ->> 'x-shopify-webhook-id', distsync_internal.inbox_event_id(scheme, body))
		WHEN 'github' THEN COALESCE(headers ->> 'x-github-delivery', distsync_internal.inbox_event_id(scheme, body))
		WHEN 'stripe' THEN distsync_internal.inbox_event_id(scheme, body)
		ELSE COALESCE(headers ->> 'webhook-id', headers ->> 'x-message-id', distsync_internal.inbox_event_id(scheme, body)) END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_message_id(text, jsonb, bytea) IS
	'Id of a message: webhook-id (standard, where it is signed), x-shopify-event-id, x-github-delivery, the id of a Stripe event, webhook-id or x-message-id (other schemes); without a header the id of the CloudEvent. NULL: it has none.';

-- inbox_keep does the writing of a message that is set aside at the door, once for each reason and body, with its bytes and an exception:
-- what somebody else signed must not stand in the way of what the partner did.
CREATE FUNCTION distsync_internal.inbox_keep(source text, message_id text, headers jsonb, body bytea, reason text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	key bytea := distsync_internal.inbox_key('kept', inbox_keep.source, inbox_keep.reason, inbox_keep.message_id, encode(sha256(inbox_keep.body), 'hex'));
	id bigint := nextval('sync.inbox_inbox_id_seq');
	state text := distsync_internal.inbox_sqlstate(inbox_keep.reason);
	field text := CASE WHEN inbox_keep.reason IN ('too_large', 'message_invalid') THEN 'body' WHEN inbox_keep.reason = 'conflict' OR inbox_keep.reason LIKE 'message%' THEN 'message_id' ELSE 'headers' END;
	error jsonb := jsonb_build_object('reason', inbox_keep.reason, 'field', field, 'detail', format('Field: %s. Reason: %s.', field, inbox_keep.reason),
		'message', CASE WHEN inbox_keep.reason = 'conflict' THEN 'message id was used with another body' ELSE 'message was refused at the door' END,
		'hint', CASE inbox_keep.reason WHEN 'conflict' THEN 'Ask the sender which body holds; replay_inbox() with "force" applies this one too.'
			WHEN 'message_invalid' THEN 'Have the partner put the body into "body_base64"; this message can only be discarded.'
			ELSE 'If the cause was on our side, mend it and replay_inbox() this message: it is judged again.' END);
BEGIN
	INSERT INTO sync.dedupe (source, key_hash, body_sha256, inbox_id, seen_at)
	VALUES (inbox_keep.source, key, sha256(inbox_keep.body), id, clock_timestamp())
	ON CONFLICT (source, key_hash) DO NOTHING;
	IF NOT FOUND THEN
		RETURN (SELECT d.inbox_id FROM sync.dedupe d WHERE d.source = inbox_keep.source AND d.key_hash = key);
	END IF;
	INSERT INTO sync.inbox (inbox_id, source, message_id, headers, body, body_sha256, state, applied_at, sqlstate, error)
	VALUES (id, inbox_keep.source, inbox_keep.message_id, distsync_internal.inbox_cut_secrets(inbox_keep.headers), inbox_keep.body, sha256(inbox_keep.body), 'quarantined', clock_timestamp(), state, error);
	PERFORM distsync_internal.inbox_open_exception(id);
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_keep(text, text, jsonb, bytea, text) IS 'Puts a message that was refused, but whose sender is known, into quarantine with its bytes; the same one again only once. Returns its inbox_id.';

-- inbox_repeated does the answering of a message whose id was taken before: the same body is fine, another one is a conflict.
CREATE FUNCTION distsync_internal.inbox_repeated(source text, message_id text, key bytea, headers jsonb, body bytea)
RETURNS TABLE (outcome text, inbox_id bigint, reason text, sqlstate text, correlation_id uuid)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	first record;
	kept bigint;
BEGIN
	SELECT d.inbox_id, d.body_sha256 INTO first FROM sync.dedupe d WHERE d.source = inbox_repeated.source AND d.key_hash = inbox_repeated.key;
	IF first.body_sha256 = sha256(inbox_repeated.body) THEN
		RETURN QUERY SELECT 'duplicate'::text, first.inbox_id, NULL::text, NULL::text, (SELECT i.correlation_id FROM sync.inbox i WHERE i.inbox_id = first.inbox_id);
		RETURN;
	END IF;
	PERFORM distsync_internal.inbox_count_refused(inbox_repeated.source, 'conflict', inbox_repeated.headers, inbox_repeated.body);
	kept := distsync_internal.inbox_keep(inbox_repeated.source, inbox_repeated.message_id, inbox_repeated.headers, inbox_repeated.body, 'conflict');
	RETURN QUERY SELECT 'refused'::text, kept, 'conflict'::text, 'SD010'::text, (SELECT i.correlation_id FROM sync.inbox i WHERE i.inbox_id = kept);
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_repeated(text, text, bytea, jsonb, bytea) IS 'The answer of receive() to an id that was taken before: duplicate with the first inbox_id, or refused, conflict, with the quarantined one.';

-- inbox_keeps does the decision whether a refused message of a known source is kept: one that we pulled ourselves always, because nobody
-- would send it again; a pushed one while the hour has room, because whoever knows the address may send any number.
CREATE FUNCTION distsync_internal.inbox_keeps(source text, pulled boolean, room integer, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN pulled OR (SELECT COALESCE(sum(r.n), 0) FROM sync.refused r WHERE r.source = inbox_keeps.source AND r.hour = date_trunc('hour', inbox_keeps.at, 'UTC')) <= room;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_keeps(text, boolean, integer, timestamptz) IS 'Whether a refused message is kept with its bytes: pulled ones always, pushed ones up to sync.source.keep_refused an hour, this one counted.';

-- inbox_take does the work of receive(). What is too large is kept up to the size that would have been taken.
CREATE FUNCTION distsync_internal.inbox_take(source text, headers jsonb, body bytea, pulled boolean)
RETURNS TABLE (outcome text, inbox_id bigint, reason text, sqlstate text, correlation_id uuid)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s record;
	t timestamptz := clock_timestamp();
	raw bytea := COALESCE(inbox_take.body, '');
	h jsonb;
	why text;
	id text;
	key bytea;
	fresh bigint;
	cause uuid := gen_random_uuid();
BEGIN
	SELECT * INTO s FROM sync.source x WHERE x.code = inbox_take.source;
	why := CASE WHEN NOT FOUND THEN 'unknown_source' WHEN s.status <> 'active' THEN 'source_inactive' WHEN octet_length(raw) > s.max_body THEN 'too_large' END;
	IF why IS NULL THEN
		h := distsync_internal.inbox_headers(inbox_take.headers);
		why := CASE WHEN h IS NULL THEN 'header_invalid' ELSE distsync_internal.inbox_verify(s.code, s.scheme, h, raw, s.tolerance, t) END;
	END IF;
	IF why IS NULL THEN
		id := distsync_internal.inbox_message_id(s.scheme, h, raw);
		why := CASE WHEN COALESCE(id, '') = '' THEN 'message_id_missing' WHEN length(id) > 255 THEN 'message_id_invalid' END;
	END IF;
	IF why IS NOT NULL THEN
		PERFORM distsync_internal.inbox_count_refused(inbox_take.source, why, inbox_take.headers, raw);
		RETURN QUERY SELECT 'refused'::text, CASE WHEN why <> 'unknown_source' AND distsync_internal.inbox_keeps(s.code, inbox_take.pulled, s.keep_refused, t) THEN
			distsync_internal.inbox_keep(s.code, left(COALESCE(NULLIF(h ->> 'webhook-id', ''), 'sha256:' || encode(sha256(raw), 'hex')), 255), COALESCE(h, '{}'), substr(raw, 1, s.max_body), why) END,
			why, distsync_internal.inbox_sqlstate(why), NULL::uuid;
		RETURN;
	END IF;
	key := distsync_internal.inbox_key('message', s.code, id);
	fresh := nextval('sync.inbox_inbox_id_seq');
	INSERT INTO sync.dedupe (source, key_hash, body_sha256, inbox_id, seen_at) VALUES (s.code, key, sha256(raw), fresh, t)
	ON CONFLICT (source, key_hash) DO NOTHING;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM distsync_internal.inbox_repeated(s.code, id, key, h, raw);
		RETURN;
	END IF;
	INSERT INTO sync.inbox (inbox_id, source, message_id, received_at, headers, body, body_sha256, correlation_id)
	VALUES (fresh, s.code, id, t, distsync_internal.inbox_cut_secrets(h), raw, sha256(raw), cause);
	PERFORM distsync_internal.worker_wake('clerk');
	RETURN QUERY SELECT 'accepted'::text, fresh, NULL::text, NULL::text, cause;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_take(text, jsonb, bytea, boolean) IS 'receive(), and for a feed (pulled) the same, which always keeps a refused message of a known source in quarantine.';

-- receive does the taking of a message from a partner: checked and stored in the caller's transaction, applied by the clerk right after.
CREATE FUNCTION distsync.receive(source text, headers jsonb, body bytea)
RETURNS TABLE (outcome text, inbox_id bigint, reason text, sqlstate text, correlation_id uuid)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.outcome, t.inbox_id, t.reason, t.sqlstate, t.correlation_id FROM distsync_internal.inbox_take(source, headers, body, false) t
$$;
COMMENT ON FUNCTION distsync.receive(text, jsonb, bytea) IS
	'Takes a message: code of the source, headers (an object of strings), body as raw bytes. One row: outcome accepted | duplicate (the same message again, inbox_id of the first) | refused; for a refused one reason (unknown_source, source_inactive, too_large, header_invalid, signature_missing, signature_invalid, signature_unverifiable, timestamp_missing, timestamp_stale, message_id_missing, message_id_invalid, conflict) and sqlstate SD022, SD006, SD020, SD021, SD005, SD010. Never raises for what a partner sent: commit, so that the counter in sync.refused stays. What a known source sent is kept in quarantine with its bytes also if it is refused (inbox_id; up to sync.source.keep_refused an hour, bytes up to max_body).';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('receive', '{integrator,operator,admin}');
