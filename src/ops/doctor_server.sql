-- Checks of the server: library, identity, workers, settings that cost data, old snapshots, the clock.

-- ops_doctor_server does the checks that hold before setup() too.
CREATE FUNCTION distsync_internal.ops_doctor_server() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v record;
	may_send text := distsync_internal.instance_state();
	configured text := COALESCE(current_setting('distsync.instance', true), '');
BEGIN
	RETURN QUERY SELECT 'owner may look', pg_has_role('distsync_owner', 'pg_read_all_settings', 'USAGE') AND pg_has_role('distsync_owner', 'pg_read_all_stats', 'USAGE'),
		'distsync_owner reads settings and sessions through pg_read_all_settings and pg_read_all_stats', 'Give these roles back to distsync_owner, they were not restored.', 'GRANT pg_read_all_settings, pg_read_all_stats TO distsync_owner;';
	RETURN QUERY SELECT 'setup', distsync_internal.ops_is_set_up(), CASE WHEN distsync_internal.ops_is_set_up() THEN 'dist and sync are here' ELSE 'dist and sync are not here' END,
		'Run setup() as a superuser.', 'SELECT distsync.setup();';
	SELECT * INTO v FROM distsync.version();
	RETURN QUERY SELECT 'version', v.extension = v.library AND v.schema IS NOT DISTINCT FROM v.schema_known,
		format('extension %s, library %s, schema %s of %s', v.extension, v.library, COALESCE(v.schema::text, 'none'), v.schema_known),
		'Install the files of one version, restart the server, update the extension, then run setup(). Workers idle until all agree.',
		CASE WHEN v.extension <> v.library THEN 'ALTER EXTENSION distsync UPDATE; ' ELSE '' END || 'SELECT distsync.setup();';
	RETURN QUERY SELECT 'preload', COALESCE(distsync_internal.ops_preloaded('distsync'), false),
		CASE distsync_internal.ops_preloaded('distsync') WHEN true THEN 'the server preloads distsync' ELSE 'the server does not preload distsync: nothing is sent, pulled or swept' END,
		'Add distsync to shared_preload_libraries, keep what is there, and restart the server.',
		format('ALTER SYSTEM SET shared_preload_libraries = %s; -- then restart',
			(SELECT string_agg(quote_ident(btrim(l, E' "\t')), ', ') FROM string_to_table(concat_ws(',', nullif(current_setting('shared_preload_libraries'), ''), 'distsync'), ',') l));
	IF may_send = 'not set up' THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT 'instance', may_send IN ('active', 'standby'),
		CASE may_send WHEN 'active' THEN format('this is "%s", it may send', configured) WHEN 'standby' THEN 'this is a standby: it decides, it does not send' ELSE may_send END,
		CASE WHEN configured = '' THEN 'Name this installation in the server configuration. If it is a copy, leave it silent.'
			WHEN may_send LIKE 'paused:%' THEN 'Resume when the reason is gone.' ELSE 'If this server has taken over, resume; if it is a copy, leave it silent.' END,
		CASE WHEN configured = '' THEN 'ALTER SYSTEM SET distsync.instance = ''a name of your own''; SELECT pg_reload_conf(); ' ELSE '' END || 'SELECT distsync.resume();';
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_server() IS 'Handler of doctor(): rights to look, setup, versions, preload, identity.';

-- ops_doctor_workers does the checks of launcher, courier and clerk.
CREATE FUNCTION distsync_internal.ops_doctor_workers() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	slots integer := current_setting('max_worker_processes')::integer;
	used bigint;
BEGIN
	IF pg_is_in_recovery() OR NOT COALESCE(distsync_internal.ops_preloaded('distsync'), false) THEN
		RETURN;
	END IF;
	RETURN QUERY
	SELECT 'worker ' || k.kind, w.pid IS NOT NULL AND (k.kind = 'launcher' OR w.last_loop_at IS NULL OR w.last_loop_at > clock_timestamp() - interval '5 minutes' - current_setting('distsync.' || k.kind || '_poll_interval')::interval),
		concat_ws(', ', CASE WHEN w.pid IS NULL THEN COALESCE(w.state, 'not there') ELSE format('pid %s, %s', w.pid, w.state) END, w.idle_reason,
			CASE WHEN w.restarts > 0 THEN format('%s restarts', w.restarts) END, 'last loop ' || distsync_internal.ops_age(clock_timestamp() - w.last_loop_at) || ' ago', 'last error: ' || w.last_error),
		'The server log says why. The launcher starts it again by itself, with growing pauses.', NULL::text
	FROM unnest(ARRAY['launcher', 'courier', 'clerk']) WITH ORDINALITY k(kind, n)
	LEFT JOIN distsync_internal.ops_workers() w ON w.kind = k.kind
	ORDER BY k.n;
	SELECT count(*) INTO used FROM pg_stat_activity a
	WHERE a.backend_type NOT IN ('client backend', 'walsender', 'walreceiver', 'autovacuum worker', 'autovacuum launcher', 'checkpointer', 'background writer', 'walwriter', 'startup', 'archiver', 'slotsync worker', 'walsummarizer', 'io worker');
	RETURN QUERY SELECT 'worker slots', slots - used >= 2, format('%s of %s worker processes in use', used, slots),
		'Raise max_worker_processes: one for the launcher, two for each database with the extension, and room for parallel queries; then restart.',
		format('ALTER SYSTEM SET max_worker_processes = %s; -- then restart', greatest(slots * 2, 16));
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_workers() IS 'Handler of doctor(): launcher, courier, clerk: that they run and go round (their last error is shown, however old), and whether the server has slots for them.';

-- ops_doctor_load does the checks of what lives beside us: settings that lose commits, transactions that keep dead rows, the clock.
CREATE FUNCTION distsync_internal.ops_doctor_load() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	off text := (SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM pg_settings s WHERE s.name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND s.setting = 'off');
	t timestamptz := clock_timestamp();
	newest timestamptz;
BEGIN
	RETURN QUERY SELECT 'durability', off IS NULL, CASE WHEN off IS NULL THEN 'fsync, full_page_writes and synchronous_commit are on' ELSE format('off: %s', off) END,
		'What was acknowledged may be lost in a crash: turn them on.', (SELECT string_agg(format('ALTER SYSTEM SET %I = on;', s), ' ') || ' SELECT pg_reload_conf();' FROM string_to_table(off, ', ') s);
	RETURN QUERY
	SELECT 'old snapshot', false, format('pid %s (%s, %s, %s) holds a snapshot since %s', a.pid, a.usename, COALESCE(nullif(a.application_name, ''), 'no name'), a.state, distsync_internal.ops_age(t - a.xact_start)),
		'Dead rows of the lanes cannot be removed while it stays: sending slows down. End it, and set idle_in_transaction_session_timeout.', format('SELECT pg_terminate_backend(%s);', a.pid)
	FROM pg_stat_activity a
	WHERE a.backend_xmin IS NOT NULL AND a.xact_start < t - interval '10 minutes' AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
	UNION ALL
	SELECT 'old snapshot', false, format('prepared transaction %s of %s since %s', p.gid, p.owner, distsync_internal.ops_age(t - p.prepared)),
		'Ask its transaction manager; commit it or roll it back.', format('ROLLBACK PREPARED %L;', p.gid)
	FROM pg_prepared_xacts p WHERE p.prepared < t - interval '10 minutes'
	UNION ALL
	SELECT 'old snapshot', false, format('replication slot %s is inactive and holds rows and WAL', s.slot_name),
		'Bring its standby or subscriber back, or drop the slot.', format('SELECT pg_drop_replication_slot(%L);', s.slot_name)
	FROM pg_replication_slots s WHERE NOT s.active AND (s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL);
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'old snapshot', true, 'nobody holds one for 10 minutes', NULL::text, NULL::text;
	END IF;
	newest := greatest((SELECT max(e.stamped_at) FROM dist.epoch e), (SELECT max(i.changed_at) FROM sync.instance i), (SELECT max(r.moved_at) FROM sync.router_cursor r));
	RETURN QUERY SELECT 'clock', newest <= t + interval '1 second', CASE WHEN newest > t + interval '1 second' THEN format('it is %s behind what was written already', distsync_internal.ops_age(newest - t)) ELSE 'not behind what was written already' END,
		'The clock was set back, or the server that wrote this had one that was ahead. Synchronise the clock (chrony, ntpd).', NULL::text;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_load() IS 'Handler of doctor(): durability settings, old snapshots, the clock.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('doctor', 'server', 10, 'distsync_internal.ops_doctor_server'),
	('doctor', 'workers', 20, 'distsync_internal.ops_doctor_workers'),
	('doctor', 'load', 80, 'distsync_internal.ops_doctor_load');
