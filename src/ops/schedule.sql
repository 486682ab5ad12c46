-- schedule(): the jobs, in pg_cron. They run as whoever schedules them, or as the login role named in the options.

-- ops_jobs does the listing of what is to run when.
CREATE FUNCTION distsync_internal.ops_jobs() RETURNS TABLE (job text, schedule text, command text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'distsync: ' || j.code, j.schedule, format('SELECT * FROM distsync.reconcile(%L)', j.code) FROM sync.reconcile_job j WHERE j.schedule IS NOT NULL
	UNION ALL
	SELECT 'distsync: verify', '40 3 * * *', 'SELECT count(*) FROM distsync.verify(options => ''{"record": true}'')'
	UNION ALL
	SELECT 'distsync: history', '50 3 * * *', 'DELETE FROM cron.job_run_details d USING cron.job j WHERE j.jobid = d.jobid AND j.jobname LIKE ''distsync: %'' AND j.database = current_database() AND d.end_time < clock_timestamp() - interval ''14 days'''
	ORDER BY 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_jobs() IS 'Jobs for the scheduler: name, cron expression, SQL. Reconciliation as sync.reconcile_job says, verify and the cleaning of pg_cron''s own history each night.';

-- ops_need_cron does the refusal where there is no pg_cron to use, with the way to one.
CREATE FUNCTION distsync_internal.ops_need_cron() RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	preloaded boolean := distsync_internal.ops_preloaded('pg_cron');
	cron_database text := COALESCE(current_setting('cron.database_name', true), 'postgres');
	commands text;
BEGIN
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'jobs must be scheduled by a superuser', DETAIL = format('Role: %s.', current_user), HINT = 'Connect as a superuser; options {"username": "..."} names the role that the jobs run as.';
	END IF;
	IF NOT distsync_internal.ops_is_set_up() THEN
		RAISE EXCEPTION USING ERRCODE = 'SD030', MESSAGE = 'distsync is not set up in this database', DETAIL = format('Database: %s.', current_database()), HINT = 'Call distsync.setup() first.';
	END IF;
	IF preloaded AND cron_database <> current_database() THEN
		-- pg_cron knows a job by its name and user only, so the name must tell the database
		SELECT string_agg(format('SELECT cron.schedule_in_database(%L, %L, %L, %L);', j.job || ' @' || current_database(), j.schedule, j.command, current_database()), ' ') INTO commands
		FROM distsync_internal.ops_jobs() j WHERE j.job <> 'distsync: history';
		RAISE EXCEPTION USING ERRCODE = 'SD092', MESSAGE = format('pg_cron works in database "%s", not in "%s"', cron_database, current_database()),
			DETAIL = 'pg_cron reads jobs in the database of the setting cron.database_name only.',
			HINT = format('In database "%s" run: %s', cron_database, commands);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD092', MESSAGE = format('extension "pg_cron" is not installed in database "%s"', current_database()),
			DETAIL = CASE WHEN preloaded THEN 'The server preloads it, and cron.database_name names this database.' ELSE 'The server does not preload it either.' END,
			HINT = CASE WHEN preloaded THEN 'Run CREATE EXTENSION pg_cron, then call distsync.schedule() again.'
				ELSE format('Install the package postgresql-%s-cron, add pg_cron to shared_preload_libraries, set cron.database_name to "%s", restart the server and run CREATE EXTENSION pg_cron; or let another scheduler call the jobs that docs/operations.md lists.',
					current_setting('server_version_num')::integer / 10000, current_database()) END;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_need_cron() IS 'Errors: 42501 not a superuser, SD030 not set up, SD092 no pg_cron in this database.';

-- schedule does the putting of every job into pg_cron, under its name, once: what is there and right stays, what is there and
-- different is replaced, what is not wanted any more goes.
CREATE FUNCTION distsync.schedule(options jsonb DEFAULT '{}') RETURNS TABLE (job text, schedule text, command text, job_id bigint, outcome text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	j record;
	was record;
	run_as text;
BEGIN
	options := distsync_internal.base_options(options, '{username:text}');
	run_as := COALESCE(options ->> 'username', current_user);
	PERFORM distsync_internal.ops_need_cron();
	IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = run_as AND r.rolcanlogin) OR NOT has_function_privilege(run_as, 'distsync.reconcile(text, jsonb)', 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('jobs cannot run as role "%s"', run_as), DETAIL = 'Field: options.username.',
			HINT = 'Name a role that can log in and is a member of distsync_operator.';
	END IF;
	IF NOT has_schema_privilege(run_as, 'cron', 'USAGE') THEN
		EXECUTE format('GRANT USAGE ON SCHEMA cron TO %I', run_as);
	END IF;
	PERFORM distsync_internal.ops_unschedule(run_as);
	FOR j IN SELECT * FROM distsync_internal.ops_jobs() LOOP
		EXECUTE 'SELECT jobid, schedule, command, active FROM cron.job WHERE jobname = $1 AND database = current_database() AND username = $2' INTO was USING j.job, run_as;
		job := j.job; schedule := j.schedule; command := j.command; job_id := was.jobid;
		outcome := CASE WHEN was.jobid IS NULL THEN 'scheduled' WHEN was.schedule = j.schedule AND was.command = j.command AND was.active THEN 'unchanged' ELSE 'changed' END;
		IF outcome <> 'unchanged' THEN
			BEGIN
				EXECUTE 'SELECT cron.schedule_in_database($1, $2, $3, current_database(), $4, true)' INTO job_id USING j.job, j.schedule, j.command, run_as;
			EXCEPTION WHEN invalid_parameter_value OR syntax_error THEN
				RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('"%s" is not a schedule that pg_cron understands', j.schedule),
					DETAIL = format('Field: sync.reconcile_job.schedule of job "%s". pg_cron says: %s.', j.job, SQLERRM), HINT = 'Write five fields: minute, hour, day of month, month, day of week, for example */15 * * * *.';
			END;
		END IF;
		RETURN NEXT;
	END LOOP;
	PERFORM distsync_internal.base_audit('schedule', 'schedule', run_as, NULL, (SELECT jsonb_object_agg(x.job, x.schedule) FROM distsync_internal.ops_jobs() x));
END
$$;
COMMENT ON FUNCTION distsync.schedule(jsonb) IS
	'Puts the jobs into pg_cron: distsync: <job> for each job of sync.reconcile_job with a schedule, distsync: verify and distsync: history each night. Idempotent; jobs not wanted any more are removed. Superuser only. Options: username (role the jobs run as: must be able to log in and be a member of distsync_operator; gets USAGE on schema cron; default the caller). A row for each job: name, cron expression, SQL, id in cron.job, outcome scheduled | changed | unchanged. Audited. Errors: SD092 no pg_cron in this database, SD002 role or cron expression, 42501, SD030.';

-- ops_unschedule does the removal of our jobs of this database from pg_cron: all, or those that schedule() would not make.
CREATE FUNCTION distsync_internal.ops_unschedule(keep_as text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
	n integer := 0;
BEGIN
	IF to_regclass('cron.job') IS NULL THEN
		RETURN 0;
	END IF;
	FOR id IN EXECUTE 'SELECT jobid FROM cron.job WHERE jobname LIKE ''distsync: %'' AND database = current_database()
		AND ($1 IS NULL OR username <> $1 OR jobname NOT IN (SELECT j.job FROM distsync_internal.ops_jobs() j)) ORDER BY jobid' USING keep_as
	LOOP
		EXECUTE 'SELECT cron.unschedule($1)' USING id;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_unschedule(text) IS 'Removes jobs named distsync: ... of this database from pg_cron: all of them, or with keep_as those that this role should not run. Handler of teardown(). Returns how many.';

-- unschedule does the opposite of schedule.
CREATE FUNCTION distsync.unschedule() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	PERFORM distsync_internal.ops_need_cron();
	n := distsync_internal.ops_unschedule();
	PERFORM distsync_internal.base_audit('unschedule', 'schedule', current_user, NULL, jsonb_build_object('removed', n));
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.unschedule() IS 'Removes every job of distsync in this database from pg_cron; teardown() does it too. Superuser only, audited. Returns how many. Errors as for schedule().';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('schedule', '{}'), ('unschedule', '{}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('teardown', 'schedule', 100, 'distsync_internal.ops_unschedule');
