-- What is watched: invariants, doctor, metrics; and what is cleared away.

-- inbox_verify_messages does the proof that no message was taken twice, and that none is lost between its states.
CREATE FUNCTION distsync_internal.inbox_verify_messages() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'a message of a source is applied at most once', 'inbox', format('%s/%s', i.source, i.message_id), jsonb_build_object('inbox_ids', jsonb_agg(i.inbox_id ORDER BY i.inbox_id))
	FROM sync.inbox i WHERE i.state IN ('received', 'applied') GROUP BY i.source, i.message_id HAVING count(*) > 1
	UNION ALL
	SELECT 'a message in an end state says when it reached it, and why if it was set aside', 'inbox', i.inbox_id::text, jsonb_build_object('state', i.state, 'sqlstate', i.sqlstate)
	FROM sync.inbox i
	WHERE i.state <> 'received' AND i.applied_at IS NULL OR i.state = 'quarantined' AND (i.sqlstate IS NULL OR i.error ->> 'message' IS NULL) OR i.state = 'applied' AND (i.entity IS NULL OR i.sqlstate IS NOT NULL)
	UNION ALL
	SELECT 'a quarantined message has an exception', 'inbox', i.inbox_id::text, jsonb_build_object('source', i.source, 'sqlstate', i.sqlstate, 'field', i.error ->> 'field')
	FROM sync.inbox i WHERE i.state = 'quarantined' AND NOT EXISTS (SELECT FROM sync.exception e
		WHERE e.kind = distsync_internal.inbox_kind(i.sqlstate) AND e.trace_key = distsync_internal.inbox_trace(i.source, i.sqlstate, i.error ->> 'field')
			AND (e.state <> 'auto_resolved' OR e.resolved_at > i.applied_at))
	UNION ALL
	SELECT 'bytes of a message are those that came', 'inbox', i.inbox_id::text, '{}' FROM sync.inbox i WHERE i.body_sha256 <> sha256(i.body)
	UNION ALL
	SELECT 'a message that was taken has its place among those taken', 'inbox', i.inbox_id::text, jsonb_build_object('source', i.source, 'message_id', i.message_id)
	FROM sync.inbox i
	WHERE i.state IN ('received', 'applied') AND i.received_at > clock_timestamp() - (SELECT COALESCE(p.retention, '90 days') - interval '1 day' FROM sync.partition_policy p WHERE p.table_name = 'sync.inbox')
		AND NOT EXISTS (SELECT FROM sync.dedupe d WHERE d.source = i.source AND d.key_hash = distsync_internal.inbox_key('message', i.source, i.message_id) AND d.inbox_id = i.inbox_id AND d.body_sha256 = i.body_sha256)
$$;
COMMENT ON FUNCTION distsync_internal.inbox_verify_messages() IS 'Invariants of the inbox, a row for each breach: applied at most once, end states complete, quarantined ones with an exception, bytes unchanged, place in sync.dedupe. Reads the whole inbox.';

-- inbox_doctor does the finding of what people should look at.
CREATE FUNCTION distsync_internal.inbox_doctor() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('feed %s', f.code), f.failures < 3,
		CASE WHEN f.state = 'paused' THEN 'paused' WHEN f.failures > 0 THEN format('%s failed pulls in a row: %s', f.failures, f.last_error) ELSE format('last pull %s', COALESCE(f.last_pull_at::text, 'never')) END,
		CASE WHEN f.failures >= 3 THEN 'See whether the partner''s queue answers, then pull at once.' END,
		CASE WHEN f.failures >= 3 THEN format('SELECT distsync.set_feed_state(%L, ''active'');', f.code) END
	FROM sync.feed f
	UNION ALL
	SELECT 'quarantine', count(*) = 0, CASE WHEN count(*) = 0 THEN 'empty' ELSE format('%s messages of %s sources, the oldest of %s', count(*), count(DISTINCT i.source), min(i.received_at)) END,
		CASE WHEN count(*) > 0 THEN 'Look at what is wrong, mend the cause, then play the messages again.' END, CASE WHEN count(*) > 0 THEN 'SELECT * FROM distsync.quarantine(); SELECT * FROM distsync.replay_inbox();' END
	FROM sync.inbox i WHERE i.state = 'quarantined'
	UNION ALL
	SELECT 'inbox', COALESCE(min(i.received_at) > clock_timestamp() - interval '5 minutes', true), CASE WHEN count(*) = 0 THEN 'nothing waits' ELSE format('%s messages wait, the oldest since %s', count(*), min(i.received_at)) END,
		CASE WHEN min(i.received_at) <= clock_timestamp() - interval '5 minutes' THEN 'See whether the clerk runs: distsync.status() tells why it does not.' END, NULL
	FROM sync.inbox i WHERE i.state = 'received'
	UNION ALL
	SELECT format('source %s', s.code), false, 'no valid key: everything it sends is refused', 'Give it a key.', format('SELECT distsync.rotate_source_secret(%L);', s.code)
	FROM sync.source s WHERE s.status = 'active' AND s.scheme <> 'none' AND cardinality(distsync_internal.inbox_secrets('source', s.code, clock_timestamp())) = 0
	UNION ALL
	SELECT format('refused from %s', r.source), sum(r.n) < 10, format('%s in the last hours: %s', sum(r.n), string_agg(DISTINCT r.reason, ', ')), 'Compare keys, clocks and the name of the source with the partner; sync.refused has a sample.',
		format('SELECT * FROM sync.refused WHERE source = %L ORDER BY hour DESC;', r.source)
	FROM sync.refused r WHERE r.hour >= date_trunc('hour', clock_timestamp(), 'UTC') - interval '1 hour' GROUP BY r.source
$$;
COMMENT ON FUNCTION distsync_internal.inbox_doctor() IS 'Checks of the inbox for doctor(): feeds that fail, quarantine, waiting messages, sources without a key, what was refused in this and the last hour.';

-- inbox_metrics does the counting for metrics().
CREATE FUNCTION distsync_internal.inbox_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'distsync_inbox_waiting', jsonb_build_object('source', s.code), (SELECT count(*) FROM sync.inbox i WHERE i.source = s.code AND i.state = 'received')::numeric, 'gauge', 'Messages received and not yet applied'
	FROM sync.source s
	UNION ALL
	SELECT 'distsync_inbox_oldest_seconds', jsonb_build_object('source', s.code), COALESCE(round(extract(epoch FROM clock_timestamp() - (SELECT i.received_at FROM sync.inbox i WHERE i.source = s.code AND i.state = 'received' ORDER BY i.inbox_id + 0 LIMIT 1)), 3), 0), 'gauge', 'Age of the oldest message not yet applied'
	FROM sync.source s
	UNION ALL
	SELECT 'distsync_inbox_quarantined', jsonb_build_object('source', s.code), (SELECT count(*) FROM sync.inbox i WHERE i.source = s.code AND i.state = 'quarantined')::numeric, 'gauge', 'Messages in quarantine'
	FROM sync.source s
	UNION ALL
	SELECT 'distsync_inbox_refused_total', jsonb_build_object('source', r.source, 'reason', r.reason), sum(r.n)::numeric, 'counter', 'Messages refused at the door'
	FROM sync.refused r GROUP BY r.source, r.reason
	UNION ALL
	SELECT 'distsync_feed_failures', jsonb_build_object('feed', f.code), f.failures::numeric, 'gauge', 'Failed pulls in a row' FROM sync.feed f
$$;
COMMENT ON FUNCTION distsync_internal.inbox_metrics() IS 'Metrics of the inbox: waiting, oldest, quarantined by source; refused by source and reason; failures by feed.';

-- inbox_drop_partition does the dropping of the oldest part of the inbox, if it is past its time and nothing in it is still open. It waits for nobody.
CREATE FUNCTION distsync_internal.inbox_drop_partition(keep interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
	part text;
	newest timestamptz;
	open boolean;
BEGIN
	SELECT c.relname INTO part
	FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
	WHERE h.inhparent = 'sync.inbox'::regclass AND c.relname ~ '^inbox_p[0-9]+$' ORDER BY substr(c.relname, 8)::bigint LIMIT 1;
	IF part IS NULL THEN
		RETURN false;
	END IF;
	EXECUTE format('SELECT max(received_at), bool_or(state IN (''received'', ''quarantined'')) FROM sync.%I', part) INTO newest, open;
	IF newest IS NULL OR open OR newest > clock_timestamp() - keep THEN
		RETURN false;
	END IF;
	EXECUTE format('DROP TABLE sync.%I', part);
	RETURN true;
EXCEPTION WHEN lock_not_available THEN
	RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_drop_partition(interval) IS 'Drops the oldest partition of sync.inbox if all of it is older than the given age and nothing in it waits or is in quarantine. False: there is none such, or it was locked.';

-- inbox_retention does the clearing away of what is past its time, a piece at a time, every ten minutes.
CREATE FUNCTION distsync_internal.inbox_retention(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	keep interval := (SELECT p.retention FROM sync.partition_policy p WHERE p.table_name = 'sync.inbox');
	n integer;
	more integer := 0;
BEGIN
	IF keep IS NULL OR EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'inbox.retention' AND p.phase = 'done' AND p.updated_at > t - interval '10 minutes') THEN
		RETURN 0;
	END IF;
	-- never before two days: who takes events does not look further for what happened since yesterday
	DELETE FROM sync.dedupe d USING (SELECT o.source, o.key_hash FROM sync.dedupe o WHERE o.seen_at < t - greatest(keep, interval '2 days') LIMIT greatest(max_rows, 1)) old
	WHERE d.source = old.source AND d.key_hash = old.key_hash;
	GET DIAGNOSTICS n = ROW_COUNT;
	more := more + n;
	DELETE FROM sync.refused r USING (SELECT o.source, o.reason, o.hour FROM sync.refused o WHERE o.hour < t - keep LIMIT greatest(max_rows, 1)) old
	WHERE r.source = old.source AND r.reason = old.reason AND r.hour = old.hour;
	GET DIAGNOSTICS n = ROW_COUNT;
	more := more + n + distsync_internal.inbox_drop_partition(keep)::integer;
	INSERT INTO sync.progress AS p (operation, phase, done, started_at, updated_at) VALUES ('inbox.retention', CASE WHEN more = 0 THEN 'done' ELSE 'clearing' END, more, t, t)
	ON CONFLICT (operation) DO UPDATE SET phase = excluded.phase, done = p.done + excluded.done, updated_at = excluded.updated_at;
	RETURN more;
END
$$;
COMMENT ON FUNCTION distsync_internal.inbox_retention(integer) IS
	'Clerk task: deletes sync.dedupe and sync.refused older than the retention of sync.inbox in sync.partition_policy, and drops the oldest partition of the inbox when all of it is. Returns how much it cleared; once nothing is left it rests for ten minutes.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'inbox.retention', 910, 'distsync_internal.inbox_retention'),
	('verify', 'inbox', 100, 'distsync_internal.inbox_verify_messages'),
	('doctor', 'inbox', 100, 'distsync_internal.inbox_doctor'),
	('metric', 'inbox', 100, 'distsync_internal.inbox_metrics');
