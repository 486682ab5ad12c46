-- Who this installation is. A restored or cloned copy must stay silent until people say that it is the one.

-- instance_timeline does the reading of the current timeline; the control file would still name the old one right after a promotion.
CREATE FUNCTION distsync_internal.instance_timeline() RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN pg_is_in_recovery() THEN NULL
		ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer END
$$;
COMMENT ON FUNCTION distsync_internal.instance_timeline() IS 'Timeline of this server, NULL on a standby.';

-- instance_state does the decision whether the workers of this database may send.
CREATE FUNCTION distsync_internal.instance_state() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i record;
	configured text := COALESCE(current_setting('distsync.instance', true), '');
BEGIN
	IF pg_is_in_recovery() THEN
		RETURN 'standby';
	END IF;
	IF to_regclass('sync.instance') IS NULL THEN
		RETURN 'not set up';
	END IF;
	SELECT * INTO i FROM sync.instance;
	IF NOT FOUND THEN
		RETURN 'not set up';
	END IF;
	IF configured = '' THEN
		RETURN 'setting distsync.instance is empty';
	END IF;
	IF i.name <> configured THEN
		RETURN format('setting distsync.instance is "%s", the books belong to "%s"', configured, i.name);
	END IF;
	IF i.system_identifier <> (SELECT system_identifier FROM pg_control_system())
		OR i.database_oid <> (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) THEN
		RETURN 'copy: the books were last active on another server or in another database';
	END IF;
	IF i.timeline <> distsync_internal.instance_timeline() AND current_setting('distsync.on_promote', true) IS DISTINCT FROM 'continue' THEN
		RETURN 'promoted: this server was a standby';
	END IF;
	IF i.paused_reason IS NOT NULL THEN
		RETURN format('paused: %s', i.paused_reason);
	END IF;
	RETURN 'active';
END
$$;
COMMENT ON FUNCTION distsync_internal.instance_state() IS '"active" if the workers may send, otherwise why they may not. resume() is the cure.';

-- instance_claim does the first entry of who we are, at setup(); later calls change nothing.
CREATE FUNCTION distsync_internal.instance_claim() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	configured text := COALESCE(current_setting('distsync.instance', true), '');
BEGIN
	INSERT INTO sync.instance (name, system_identifier, database_oid, timeline)
	SELECT configured, s.system_identifier, d.oid::bigint, distsync_internal.instance_timeline()
	FROM pg_control_system() s, pg_database d
	WHERE d.datname = current_database()
	ON CONFLICT (one) DO UPDATE SET name = excluded.name WHERE instance.name = '' AND excluded.name <> '';
END
$$;
COMMENT ON FUNCTION distsync_internal.instance_claim() IS 'Part of setup(): notes name, system identifier, database and timeline the first time.';

-- resume does the adoption: from now on this server is the one that sends.
CREATE FUNCTION distsync.resume() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	configured text := COALESCE(current_setting('distsync.instance', true), '');
	was text := distsync_internal.instance_state();
	n integer;
BEGIN
	IF pg_is_in_recovery() THEN
		RAISE EXCEPTION USING ERRCODE = 'SD032', MESSAGE = 'a standby cannot resume', DETAIL = 'The server is in recovery and takes no writes.', HINT = 'Promote the server first.';
	END IF;
	IF configured = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD032', MESSAGE = 'setting "distsync.instance" is empty',
			DETAIL = 'Workers send only where the setting equals the name in sync.instance.',
			HINT = 'Set distsync.instance in the server configuration, reload, and call distsync.resume() again.';
	END IF;
	UPDATE sync.instance SET name = configured,
		system_identifier = s.system_identifier,
		database_oid = d.oid::bigint,
		timeline = distsync_internal.instance_timeline(),
		incarnation = incarnation + 1,
		paused_reason = NULL,
		changed_at = clock_timestamp()
	FROM pg_control_system() s, pg_database d
	WHERE d.datname = current_database()
	RETURNING incarnation INTO n;
	IF n IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD030', MESSAGE = 'distsync is not set up in this database', DETAIL = format('Database: %s.', current_database()), HINT = 'Call distsync.setup() first.';
	END IF;
	INSERT INTO sync.audit (role, app_user, verb, entity, entity_key, before, after)
	VALUES (session_user, current_setting('distsync.app_user', true), 'resume', 'instance', configured, jsonb_build_object('state', was), jsonb_build_object('incarnation', n));
	IF to_regprocedure('distsync_internal.worker_wake(text)') IS NOT NULL THEN
		EXECUTE 'SELECT distsync_internal.worker_wake(''both'')';
	END IF;
	RETURN format('active as "%s", incarnation %s (was: %s)', configured, n, was);
END
$$;
COMMENT ON FUNCTION distsync.resume() IS
	'Makes this server the one that sends, and starts a new incarnation. For a server that was restored, cloned or promoted on purpose, and to end pause(). Errors: SD032 standby or empty setting, SD030 not set up.';

-- pause does the stopping of the workers; deciding, capturing and receive() go on, and what comes in waits to be applied.
CREATE FUNCTION distsync.pause(reason text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF COALESCE(btrim(reason), '') = '' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'pause() needs a reason', DETAIL = 'Field: reason.',
			HINT = 'Say why in a few words; status() and doctor() show it until resume().';
	END IF;
	UPDATE sync.instance SET paused_reason = reason, changed_at = clock_timestamp();
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD030', MESSAGE = 'distsync is not set up in this database', DETAIL = format('Database: %s.', current_database()), HINT = 'Call distsync.setup() first.';
	END IF;
	INSERT INTO sync.audit (role, app_user, verb, entity, reason) VALUES (session_user, current_setting('distsync.app_user', true), 'pause', 'instance', reason);
	RETURN format('paused: %s', reason);
END
$$;
COMMENT ON FUNCTION distsync.pause(text) IS 'Stops the workers from sending, pulling and applying until resume(); receive() still takes messages, nothing is lost, everything waits. Errors: SD005 without a reason.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('resume', '{admin}'), ('pause', '{operator,admin}');
