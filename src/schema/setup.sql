-- setup() and teardown(): the second half of installing and of upgrading. Idempotent, versioned, forward-only.

-- schema_migrations does the listing of what there is to migrate to, in order.
CREATE FUNCTION distsync_internal.schema_migrations() RETURNS TABLE (version integer, name text, functions text[])
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	VALUES (1, 'first schema', ARRAY['migration_0001_sync', 'migration_0001_master', 'migration_0001_pricing', 'migration_0001_inventory', 'migration_0001_order', 'migration_0001_access'])
$$;
COMMENT ON FUNCTION distsync_internal.schema_migrations() IS 'The migrations this extension knows: number, name, functions of distsync_internal to run in order.';

-- schema_migrate does the migrations that have not run here yet. It runs as distsync_owner, so that everything belongs to it.
CREATE FUNCTION distsync_internal.schema_migrate() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
	f text;
	current integer := 0;
	done integer := 0;
BEGIN
	IF to_regclass('sync.schema_version') IS NOT NULL THEN
		SELECT COALESCE(max(v.version), 0) INTO current FROM sync.schema_version v;
	END IF;
	FOR m IN SELECT * FROM distsync_internal.schema_migrations() x WHERE x.version > current ORDER BY x.version
	LOOP
		FOREACH f IN ARRAY m.functions LOOP
			EXECUTE format('SELECT distsync_internal.%I()', f);
		END LOOP;
		INSERT INTO sync.schema_version (version, name, extension_version) VALUES (m.version, m.name, '@VERSION@');
		done := done + 1;
	END LOOP;
	RETURN done;
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_migrate() IS 'Runs the migrations missing here, as distsync_owner. Returns how many ran.';

-- schema_claim does the making of the schemas dist and sync, and refuses those of somebody else: whoever owns a schema could replace
-- what we look up in it.
CREATE FUNCTION distsync_internal.schema_claim() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s text;
	owner name;
BEGIN
	FOREACH s IN ARRAY ARRAY['dist', 'sync'] LOOP
		SELECT pg_get_userbyid(nspowner) INTO owner FROM pg_namespace WHERE nspname = s;
		IF owner IS NULL THEN
			EXECUTE format('CREATE SCHEMA %I AUTHORIZATION distsync_owner', s);
		ELSIF owner <> 'distsync_owner' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD031', MESSAGE = format('schema "%s" belongs to "%s"', s, owner),
				DETAIL = 'setup() works only with schemas of its own.',
				HINT = format('Rename that schema, or give it to distsync_owner if it is an earlier installation: ALTER SCHEMA %I OWNER TO distsync_owner.', s);
		END IF;
	END LOOP;
	COMMENT ON SCHEMA dist IS 'distsync, what the business is: customers, items, agreements, stock, orders, invoices, payments. Ordinary tables: add columns and indexes as you like.';
	COMMENT ON SCHEMA sync IS 'distsync, how it moves: systems, ownership, inbox, outbox, deliveries, exceptions, audit.';
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_claim() IS 'Part of setup(): creates the schemas dist and sync for distsync_owner, or refuses those of somebody else (SD031).';

-- schema_grant does the grants on tables: readers see the business and the movement, but never a secret or a raw body.
CREATE FUNCTION distsync_internal.schema_grant() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	GRANT USAGE ON SCHEMA dist, sync TO distsync_reader, distsync_operator, distsync_admin;
	GRANT SELECT ON ALL TABLES IN SCHEMA dist, sync TO distsync_reader, distsync_operator, distsync_admin;
	REVOKE ALL ON sync.secret, sync.credential, sync.idempotency FROM distsync_reader, distsync_operator, distsync_admin;
	REVOKE ALL ON sync.inbox, sync.refused, sync.attempt, sync.event, sync.delivery FROM distsync_reader;
	-- header lines of an endpoint may carry a token; %s is the list of the other columns, out of the catalog
	REVOKE SELECT ON sync.endpoint FROM distsync_reader, distsync_operator;
	EXECUTE format('GRANT SELECT (%s) ON sync.endpoint TO distsync_reader, distsync_operator',
		(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
		 WHERE a.attrelid = 'sync.endpoint'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'headers'));
	-- a partition is read through its table: a grant of its own would be a way around what was revoked there
	-- %s is a list of regclass, which print themselves quoted
	EXECUTE (SELECT format('REVOKE ALL ON %s FROM distsync_reader, distsync_operator, distsync_admin', string_agg(c.oid::regclass::text, ', '))
		FROM pg_class c WHERE c.relispartition AND c.relkind IN ('r', 'p') AND c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace));
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_grant() IS 'Part of setup(): SELECT for readers, operators and admins, without secrets; raw bodies not for readers; nothing on partitions.';

-- setup does all that CREATE EXTENSION must not do: what belongs to the business is no member of an extension.
CREATE FUNCTION distsync.setup() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' SET client_min_messages = warning AS $$
DECLARE
	role_before text := current_setting('role');
	h record;
	done integer;
BEGIN
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'setup() must be run by a superuser', DETAIL = format('Role: %s.', current_user),
			HINT = 'Connect as a superuser and call distsync.setup() again; afterwards nothing needs one.';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.setup', 0));
	PERFORM distsync.repair_grants();
	CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
	PERFORM distsync_internal.schema_claim();
	PERFORM set_config('role', 'distsync_owner', true);
	done := distsync_internal.schema_migrate();
	PERFORM distsync_internal.schema_default_partitions();
	PERFORM distsync_internal.schema_ensure_partitions();
	FOR h IN SELECT function FROM distsync_internal.handler WHERE kind = 'trigger' ORDER BY ordinal, name LOOP
		EXECUTE format('SELECT %s()', h.function);
	END LOOP;
	PERFORM distsync_internal.schema_grant();
	PERFORM set_config('role', role_before, true);
	PERFORM distsync_internal.instance_claim();
	IF to_regprocedure('distsync_internal.worker_announce()') IS NOT NULL THEN
		EXECUTE 'SELECT distsync_internal.worker_announce()';
	END IF;
	RETURN format('distsync @VERSION@ · schema %s · %s', (SELECT max(version) FROM sync.schema_version),
		CASE WHEN done > 0 THEN format('%s migration%s run', done, CASE WHEN done = 1 THEN '' ELSE 's' END) ELSE 'up to date' END);
END
$$;
COMMENT ON FUNCTION distsync.setup() IS
	'Creates or migrates the schemas dist and sync, sets triggers and grants, notes who this installation is. Idempotent; run it after CREATE EXTENSION, after ALTER EXTENSION UPDATE and on a restored server. Superuser only. Returns one line of text.';

-- teardown does the opposite for everything that depends on the extension, and only that: the books stay.
CREATE FUNCTION distsync.teardown() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
	t record;
	n integer := 0;
BEGIN
	FOR t IN SELECT function FROM distsync_internal.handler WHERE kind = 'teardown' ORDER BY ordinal, name LOOP
		EXECUTE format('SELECT %s()', t.function);
	END LOOP;
	FOR t IN
		SELECT format('DROP TRIGGER %I ON %s', g.tgname, g.tgrelid::regclass) AS command
		FROM pg_trigger g
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = g.tgfoid AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'distsync'
		JOIN pg_class c ON c.oid = g.tgrelid
		JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname IN ('dist', 'sync')
		WHERE g.tgparentid = 0 AND NOT g.tgisinternal
		UNION ALL
		SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass)
		FROM pg_policy p
		JOIN pg_class c ON c.oid = p.polrelid
		JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname IN ('dist', 'sync')
		WHERE EXISTS (SELECT FROM pg_depend d
					  JOIN pg_depend m ON m.classid = 'pg_proc'::regclass AND m.objid = d.refobjid AND m.deptype = 'e'
					  JOIN pg_extension e ON e.oid = m.refobjid AND e.extname = 'distsync'
					  WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass)
	LOOP
		EXECUTE t.command;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.teardown() IS
	'Drops the triggers and policies of dist and sync that need the extension, and its scheduled jobs; tables and data stay. Afterwards DROP EXTENSION distsync works without CASCADE, and a later setup() restores everything. Returns the number of triggers and policies dropped.';

-- version does the answer to "which parts are installed, and do they fit".
CREATE FUNCTION distsync.version() RETURNS TABLE (extension text, library text, schema integer, schema_known integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	extension := (SELECT extversion FROM pg_extension WHERE extname = 'distsync');
	library := distsync_internal.schema_library_version();
	schema_known := (SELECT max(m.version) FROM distsync_internal.schema_migrations() m);
	IF to_regclass('sync.schema_version') IS NOT NULL THEN
		EXECUTE 'SELECT max(version) FROM sync.schema_version' INTO schema;
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync.version() IS
	'One row: version of the extension, of the loaded library, number of the schema in this database (NULL before setup()), newest schema the extension knows.';

-- schema_library_version does the telling of what the loaded library was built as, so that one that does not fit is found.
CREATE FUNCTION distsync_internal.schema_library_version() RETURNS text
AS 'MODULE_PATHNAME', 'ds_sql_schema_library_version' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.schema_library_version() IS 'Version that the loaded shared library was built as.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('version', '{reader,order_entry,integrator,operator,admin}'),
	('setup', '{}'), ('teardown', '{}'), ('repair_grants', '{}');
