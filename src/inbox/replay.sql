-- What people do with the quarantine: look, try, play again, discard.

-- inbox_quarantined does the choosing of quarantined messages by the filter of quarantine() and replay_inbox(), bounded, in their order.
CREATE FUNCTION distsync_internal.inbox_quarantined(options jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
	said text;
BEGIN
	n := COALESCE((options ->> 'limit')::integer, 100);
	IF n NOT BETWEEN 1 AND 1000 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'limit must be between 1 and 1000', DETAIL = format('Field: options.limit. It is %s.', n), HINT = 'Go on behind the last inbox_id with the option "after".';
	END IF;
	RETURN QUERY SELECT i.inbox_id FROM sync.inbox i
		WHERE i.state = 'quarantined'
			AND (options ->> 'inbox_id' IS NULL OR i.inbox_id = (options ->> 'inbox_id')::bigint)
			AND (options ->> 'source' IS NULL OR i.source = options ->> 'source')
			AND (options ->> 'sqlstate' IS NULL OR i.sqlstate = options ->> 'sqlstate')
			AND (options ->> 'field' IS NULL OR i.error ->> 'field' = options ->> 'field')
			AND (options ->> 'message_id' IS NULL OR i.message_id = options ->> 'message_id')
			AND (options ->> 'from' IS NULL OR i.received_at >= (options ->> 'from')::timestamptz)
			AND (options ->> 'to' IS NULL OR i.received_at < (options ->> 'to')::timestamptz)
			AND i.inbox_id > COALESCE((options ->> 'after')::bigint, 0)
		ORDER BY i.inbox_id LIMIT n;
EXCEPTION WHEN data_exception THEN
	GET STACKED DIAGNOSTICS said = MESSAGE_TEXT;
	RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'an option is not readable', DETAIL = format('Field: options. %s', said), HINT = 'limit, after and inbox_id are whole numbers, from and to are timestamps with time zone.';
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_quarantined(jsonb) IS 'Ids of quarantined messages by inbox_id, source, sqlstate, field, message_id, from, to, after; at most limit (100, up to 1000). Errors: SD002.';

-- quarantine does the showing of what is set aside, and why.
CREATE FUNCTION distsync.quarantine(options jsonb DEFAULT '{}')
RETURNS TABLE (inbox_id bigint, source text, message_id text, received_at timestamptz, quarantined_at timestamptz, sqlstate text, field text, message text, detail text, hint text, attempts integer, correlation_id uuid, headers jsonb, body text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	options := distsync_internal.base_options(options, '{source,sqlstate,field,message_id,from,to,after,limit,body}');
	RETURN QUERY SELECT i.inbox_id, i.source, i.message_id, i.received_at, i.applied_at, i.sqlstate, i.error ->> 'field', i.error ->> 'message', i.error ->> 'detail', i.error ->> 'hint',
			i.attempts::integer, i.correlation_id, CASE WHEN options ->> 'body' = 'true' THEN i.headers END,
			CASE WHEN options ->> 'body' = 'true' THEN CASE WHEN left(distsync_internal.inbox_scan(i.body, 1000), 9) = 'encoding:' THEN encode(i.body, 'escape') ELSE convert_from(i.body, 'UTF8') END END
		FROM distsync_internal.inbox_quarantined(options - 'body') q(id) JOIN sync.inbox i ON i.inbox_id = q.id
		ORDER BY i.inbox_id;
END
$$;
COMMENT ON FUNCTION distsync.quarantine(jsonb) IS
	'Messages in quarantine with what is wrong with each. options: source, sqlstate, field, message_id, from, to, after (an inbox_id), limit (100, up to 1000), body (true shows headers and body; bytes that are no UTF-8 as octal escapes). Errors: SD002.';

-- inbox_rehearse does a message and takes it back: what replay_inbox() would do, with the books as they are now.
CREATE FUNCTION distsync_internal.inbox_rehearse(inbox_id bigint) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	result jsonb;
BEGIN
	SELECT * INTO STRICT m FROM sync.inbox i WHERE i.inbox_id = inbox_rehearse.inbox_id;
	BEGIN
		result := distsync_internal.inbox_try(m.source, m.message_id, m.correlation_id, m.body);
		-- everything it did goes, the answer stays in the variable
		RAISE EXCEPTION USING ERRCODE = 'SD009', MESSAGE = 'rehearsal ends', DETAIL = 'Everything it did is rolled back.', HINT = 'This error never leaves inbox_rehearse().';
	EXCEPTION WHEN SQLSTATE 'SD009' THEN
		NULL;
	END;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_rehearse(bigint) IS 'What inbox_try() answers for a message, with nothing changed.';

-- inbox_rejudge does the second look at a message that was refused at the door: its signature at the time it came, with the keys of now,
-- and its place among the messages that were taken. NULL: it may be played; otherwise why not.
CREATE FUNCTION distsync_internal.inbox_rejudge(inbox_id bigint, force boolean, dry_run boolean) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	id text;
	taken record;
BEGIN
	SELECT i.*, s.scheme, s.tolerance, i.error ->> 'reason' AS reason INTO STRICT m FROM sync.inbox i JOIN sync.source s ON s.code = i.source WHERE i.inbox_id = inbox_rejudge.inbox_id;
	IF m.reason IS NULL THEN
		RETURN NULL;
	ELSIF m.reason IN ('conflict', 'too_large') AND NOT force THEN
		RETURN 'needs_force';
	ELSIF m.reason IN ('message_invalid', 'header_invalid') THEN
		RETURN m.reason;
	ELSIF m.reason = 'conflict' THEN
		-- the second message of that id becomes a message of its own
		id := left(m.message_id, 230) || '#' || m.inbox_id;
	ELSE
		id := distsync_internal.inbox_verify(m.source, m.scheme, m.headers, m.body, CASE WHEN force THEN interval '100 years' ELSE m.tolerance END, m.received_at);
		IF id IS NOT NULL THEN
			RETURN id;
		END IF;
		id := distsync_internal.inbox_message_id(m.scheme, m.headers, m.body);
		IF COALESCE(length(id), 0) NOT BETWEEN 1 AND 255 THEN
			RETURN 'message_id_missing';
		END IF;
	END IF;
	SELECT d.body_sha256 INTO taken FROM sync.dedupe d WHERE d.source = m.source AND d.key_hash = distsync_internal.inbox_key('message', m.source, id);
	IF FOUND THEN
		RETURN CASE WHEN taken.body_sha256 = m.body_sha256 THEN 'duplicate' ELSE 'conflict' END;
	END IF;
	IF NOT dry_run THEN
		INSERT INTO sync.dedupe (source, key_hash, body_sha256, inbox_id, seen_at) VALUES (m.source, distsync_internal.inbox_key('message', m.source, id), m.body_sha256, m.inbox_id, clock_timestamp());
		UPDATE sync.inbox i SET message_id = id WHERE i.inbox_id = m.inbox_id;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_rejudge(bigint, boolean, boolean) IS
	'NULL: a quarantined message may be played (and has its place in sync.dedupe, unless dry_run). Otherwise needs_force, a reason of receive(), duplicate, or conflict. A signature is never waived; force waives the age of its timestamp, the size and a conflict.';

-- inbox_replay_one does one message of replay_inbox(): outcome, SQLSTATE, message.
CREATE FUNCTION distsync_internal.inbox_replay_one(inbox_id bigint, options jsonb, OUT outcome text, OUT sqlstate text, OUT message text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	dry_run boolean := COALESCE((options ->> 'dry_run')::boolean, true);
	discard boolean := COALESCE((options ->> 'discard')::boolean, false);
	m record;
	why text;
	result jsonb;
BEGIN
	SELECT i.source, i.sqlstate, i.error ->> 'field' AS field INTO STRICT m FROM sync.inbox i WHERE i.inbox_id = inbox_replay_one.inbox_id;
	IF NOT discard THEN
		why := distsync_internal.inbox_rejudge(inbox_replay_one.inbox_id, COALESCE((options ->> 'force')::boolean, false), dry_run);
	END IF;
	outcome := CASE WHEN discard OR why = 'duplicate' THEN 'discarded' WHEN why IS NOT NULL THEN 'refused' ELSE 'replayed' END;
	message := why;
	sqlstate := CASE WHEN outcome = 'refused' THEN CASE WHEN why = 'needs_force' THEN m.sqlstate ELSE distsync_internal.inbox_sqlstate(why) END END;
	IF dry_run AND outcome = 'replayed' THEN
		result := distsync_internal.inbox_rehearse(inbox_replay_one.inbox_id);
		outcome := CASE WHEN result ? 'sqlstate' THEN 'would_fail' WHEN result ->> 'state' = 'applied' THEN 'would_apply' ELSE 'would_ignore' END;
		sqlstate := result ->> 'sqlstate';
		message := result ->> 'message';
	ELSIF dry_run AND outcome = 'discarded' THEN
		outcome := 'would_discard';
	ELSIF outcome = 'replayed' THEN
		UPDATE sync.inbox i SET state = 'received', attempts = 0, next_at = NULL, applied_at = NULL WHERE i.inbox_id = inbox_replay_one.inbox_id;
	ELSIF outcome = 'discarded' THEN
		UPDATE sync.inbox i SET state = 'ignored', applied_at = clock_timestamp(), next_at = NULL WHERE i.inbox_id = inbox_replay_one.inbox_id;
		PERFORM distsync_internal.inbox_close_exception(m.source, m.sqlstate, m.field, COALESCE(options ->> 'reason', 'duplicate'));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_replay_one(bigint, jsonb) IS 'One message of replay_inbox(): outcome replayed | discarded | refused, or with dry_run would_apply | would_ignore | would_fail | would_discard | refused.';

-- replay_inbox does the playing again of quarantined messages, in their order; the clerk applies them right after the commit.
CREATE FUNCTION distsync.replay_inbox(id bigint DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (inbox_id bigint, source text, message_id text, outcome text, sqlstate text, message text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
#variable_conflict use_column
DECLARE
	filter jsonb;
	wish jsonb := jsonb_strip_nulls(options);
	m record;
	played bigint[] := '{}';
BEGIN
	options := distsync_internal.base_options(options, '{source,sqlstate,field,message_id,from,to,after,limit,dry_run,force,discard,reason}');
	IF EXISTS (SELECT FROM jsonb_each(wish) e WHERE e.key IN ('dry_run', 'force', 'discard') AND e.value NOT IN ('true', 'false')) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'option must be true or false', DETAIL = 'Field: options. dry_run, force and discard are booleans.', HINT = 'Write {"dry_run": false} without quotes around false.';
	END IF;
	filter := wish - '{dry_run,force,discard,reason}'::text[] || CASE WHEN replay_inbox.id IS NULL THEN '{}' ELSE jsonb_build_object('inbox_id', replay_inbox.id) END;
	IF wish -> 'dry_run' = 'false' AND (wish -> 'discard' = 'true' OR wish -> 'force' = 'true') AND COALESCE(btrim(wish ->> 'reason'), '') = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'discard and force need a reason', DETAIL = 'Field: options.reason.', HINT = 'Say why in a few words; it is kept in sync.audit.';
	END IF;
	IF replay_inbox.id IS NOT NULL AND NOT EXISTS (SELECT FROM sync.inbox i WHERE i.inbox_id = replay_inbox.id AND i.state = 'quarantined') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('message %s is not in quarantine', replay_inbox.id), DETAIL = 'Field: id.', HINT = 'SELECT * FROM distsync.quarantine() lists those that are; what was applied is not applied again.';
	END IF;
	FOR m IN
		SELECT i.inbox_id, i.source, i.message_id FROM sync.inbox i
		WHERE i.inbox_id IN (SELECT q.inbox_id FROM distsync_internal.inbox_quarantined(filter) q(inbox_id)) AND i.state = 'quarantined'
		ORDER BY i.inbox_id FOR UPDATE SKIP LOCKED
	LOOP
		SELECT o.outcome, o.sqlstate, o.message INTO outcome, sqlstate, message FROM distsync_internal.inbox_replay_one(m.inbox_id, wish) o;
		inbox_id := m.inbox_id;
		source := m.source;
		message_id := m.message_id;
		played := played || CASE WHEN outcome IN ('replayed', 'discarded') THEN m.inbox_id END;
		RETURN NEXT;
	END LOOP;
	played := array_remove(played, NULL);
	IF cardinality(played) > 0 THEN
		PERFORM distsync_internal.base_audit('replay_inbox', 'inbox', NULL, NULL, options || jsonb_build_object('inbox_ids', to_jsonb(played)), wish ->> 'reason');
		PERFORM distsync_internal.worker_wake('clerk');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync.replay_inbox(bigint, jsonb) IS
	'Plays quarantined messages again: one by its id (inbox_id), or those that match source, sqlstate, field, message_id, from, to, after, at most limit (100, up to 1000). dry_run is true unless you say false: it tries each with the books as they are and changes nothing (would_apply, would_ignore, would_fail with sqlstate and message, would_discard). For real: replayed (the clerk applies it), discarded (option discard, or the same message came meanwhile), refused with why. force (with a reason): also a conflict, an oversize body, an old timestamp; never a wrong signature. Errors: SD001 not in quarantine, SD002 option, SD005 no reason.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('quarantine', '{operator,admin}'), ('replay_inbox', '{operator,admin}');
