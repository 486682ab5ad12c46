-- Checks of what moves: the outbox, the jobs, the scheduler, objectives. What comes in and goes out is checked by its own rooms.

-- ops_doctor_outbox does the check that somebody reads what is written: the rows alone can tell when no worker can.
CREATE FUNCTION distsync_internal.ops_doctor_outbox() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'outbox', COALESCE(clock_timestamp() - min(w.oldest_at) < interval '1 minute', true),
		CASE WHEN sum(w.rows) > 0 THEN format('%s rows not routed, the oldest since %s', sum(w.rows), distsync_internal.ops_age(clock_timestamp() - min(w.oldest_at))) ELSE 'all is routed' END,
		'The courier routes them. See the rows worker courier and instance above.', NULL::text
	FROM distsync_internal.ops_outbox_waiting() w
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_outbox() IS 'Handler of doctor(): outbox rows that nobody routes.';

-- ops_doctor_reconcile does the check that every job with a schedule really runs.
CREATE FUNCTION distsync_internal.ops_doctor_reconcile() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'reconcile ' || j.code, COALESCE(r.started_at, (SELECT max(v.applied_at) FROM sync.schema_version v)) > clock_timestamp() - 2 * distsync_internal.reconcile_gap(j.schedule) - interval '5 minutes',
		CASE WHEN r.run_id IS NULL THEN format('never run, though scheduled "%s"', j.schedule)
			ELSE format('last run %s, %s of %s keys differ; scheduled "%s"', to_char(r.started_at, 'YYYY-MM-DD HH24:MI'), r.differing, r.compared, j.schedule) END,
		'Schedule it with pg_cron, or with a scheduler of your own; where it is scheduled look into cron.job_run_details for the reason.', 'SELECT distsync.schedule();'
	FROM sync.reconcile_job j
	LEFT JOIN LATERAL (SELECT * FROM sync.reconcile_run x WHERE x.job = j.code ORDER BY x.started_at DESC LIMIT 1) r ON true
	WHERE j.schedule IS NOT NULL
	ORDER BY j.code COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_reconcile() IS 'Handler of doctor(): a row for each scheduled job, ok if it ran (or the schema was made) within twice its pause.';

-- ops_doctor_schedule does the checks of the scheduler and of the nightly verify(). Whether jobs run is judged by what they left
-- behind, whoever started them: the reconcile rows. cron.job itself is open only to its users.
CREATE FUNCTION distsync_internal.ops_doctor_schedule() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here boolean := EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron');
	cron_database text := COALESCE(current_setting('cron.database_name', true), 'postgres');
	preloaded boolean := COALESCE(distsync_internal.ops_preloaded('pg_cron'), false);
	since timestamptz := (SELECT max(v.applied_at) FROM sync.schema_version v);
	last_run timestamptz := (SELECT p.updated_at FROM sync.progress p WHERE p.operation = 'verify' AND p.phase = 'finished');
	violated bigint := (SELECT count(*) FROM sync.exception e WHERE e.kind = 'invariant' AND e.state IN ('open', 'acknowledged'));
BEGIN
	RETURN QUERY SELECT 'pg_cron', here AND preloaded OR (SELECT COALESCE(bool_and(d.ok), true) FROM distsync_internal.ops_doctor_reconcile() d),
		CASE WHEN here AND preloaded THEN 'installed in this database' WHEN here THEN 'installed in this database, but the server does not preload it' WHEN preloaded THEN format('works in database %s, not here', cron_database) ELSE 'not installed' END,
		CASE WHEN preloaded AND cron_database <> current_database() THEN format('Schedule from database %s (distsync.schedule() prints how), or set cron.database_name to %s and restart.', cron_database, current_database())
			ELSE format('Install pg_cron, add it to shared_preload_libraries, set cron.database_name to %s and restart; or let another scheduler call the jobs.', current_database()) END,
		'CREATE EXTENSION pg_cron; SELECT distsync.schedule();';
	RETURN QUERY SELECT 'verify', violated = 0 AND COALESCE(last_run, since) > clock_timestamp() - interval '50 hours',
		concat_ws(', ', COALESCE('last run ' || to_char(last_run, 'YYYY-MM-DD HH24:MI'), 'not run yet'), CASE WHEN violated > 0 THEN format('%s invariants violated', violated) END),
		CASE WHEN violated > 0 THEN 'The books contradict themselves there: read the exceptions, they name the rows.' ELSE 'Schedule it: schedule() lets it run each night.' END,
		CASE WHEN violated > 0 THEN 'SELECT * FROM distsync.exceptions(''{"kind": "invariant"}'');' ELSE 'SELECT distsync.schedule();' END;
	RETURN QUERY
	SELECT 'objective', false, format('%s: %s %% of %s within %s, wanted %s %%', s.flow, round(100 * s.ratio, 3), s.total, distsync_internal.ops_age(s.threshold), round(100 * s.objective, 3)),
		'More cases were late than the objective allows. See slo_status(), and sync.attempt for slow partners.', 'SELECT * FROM distsync.slo_status();'
	FROM distsync.slo_status() s WHERE NOT s.met ORDER BY s.flow COLLATE "C";
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'objective', true, 'all are met', NULL::text, NULL::text;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_schedule() IS 'Handler of doctor(): pg_cron, the nightly verify(), service level objectives.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('doctor', 'house_outbox', 90, 'distsync_internal.ops_doctor_outbox'),
	('doctor', 'reconcile', 600, 'distsync_internal.ops_doctor_reconcile'),
	('doctor', 'schedule', 700, 'distsync_internal.ops_doctor_schedule');
