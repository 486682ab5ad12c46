-- Checks of the books and of the extension in this database: what a restore, an upgrade or a helping hand may have left wrong.

-- ops_doctor_rights does the comparison of roles and grants with what the rooms registered.
CREATE FUNCTION distsync_internal.ops_doctor_rights() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted CONSTANT text[] := ARRAY['distsync_reader', 'distsync_order_entry', 'distsync_integrator', 'distsync_operator', 'distsync_admin', 'distsync_portal'];
	lacking text;
BEGIN
	SELECT string_agg(w, ', ') INTO lacking FROM unnest(wanted || 'distsync_owner'::text) w WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = w);
	RETURN QUERY SELECT 'roles', lacking IS NULL, COALESCE('missing: ' || lacking, 'all seven are here'), 'Create them, then give the grants back.',
		(SELECT string_agg(format('CREATE ROLE %I NOLOGIN;', l), ' ') || ' SELECT distsync.repair_grants(); SELECT distsync.setup();' FROM string_to_table(lacking, ', ') l);
	IF lacking IS NOT NULL THEN
		RETURN;
	END IF;
	SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) INTO lacking FROM pg_roles r
	WHERE r.rolname = ANY (wanted || 'distsync_owner'::text) AND (r.rolsuper OR r.rolcanlogin OR r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls);
	RETURN QUERY SELECT 'role attributes', lacking IS NULL, COALESCE('too much: ' || lacking, 'no role of distsync can log in or holds an attribute'), 'Take the attributes away; let people be members of these roles.',
		(SELECT string_agg(format('ALTER ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;', l), ' ') FROM string_to_table(lacking, ', ') l);
	SELECT string_agg(DISTINCT x.what, ', ') INTO lacking FROM (
		SELECT p.proname::text AS what FROM distsync_internal.verb v
		JOIN pg_proc p ON p.proname = v.name AND p.pronamespace = 'distsync'::regnamespace
		CROSS JOIN LATERAL unnest(v.roles) u
		WHERE NOT has_function_privilege(CASE u WHEN 'public' THEN 'public' ELSE 'distsync_' || u END, p.oid, 'EXECUTE')
		UNION ALL
		SELECT p.proname::text FROM pg_proc p
		WHERE p.pronamespace IN ('distsync'::regnamespace, 'distsync_internal'::regnamespace)
			AND (NOT has_function_privilege('distsync_owner', p.oid, 'EXECUTE') OR p.prosecdef AND p.proowner <> 'distsync_owner'::regrole
				OR EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)
					AND NOT EXISTS (SELECT FROM distsync_internal.verb v WHERE v.name = p.proname AND 'public' = ANY (v.roles) AND p.pronamespace = 'distsync'::regnamespace))
		UNION ALL
		SELECT 'schema distsync' FROM unnest(wanted) u WHERE NOT has_schema_privilege(u, 'distsync', 'USAGE')) x;
	RETURN QUERY SELECT 'grants on functions', lacking IS NULL, COALESCE('wrong owner or grants: ' || left(lacking, 300), 'as the rooms registered them'), 'Repair them as a superuser.', 'SELECT distsync.repair_grants();';
	SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.relname), ', ') INTO lacking
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('dist', 'sync')
	WHERE c.relkind IN ('r', 'p', 'v') AND CASE WHEN c.relispartition
		THEN EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee IN ('distsync_reader'::regrole, 'distsync_operator'::regrole, 'distsync_admin'::regrole, 0))
		ELSE n.nspname = 'dist' AND NOT has_table_privilege('distsync_reader', c.oid, 'SELECT')
		OR n.nspname = 'sync' AND c.relname IN ('secret', 'credential', 'idempotency') AND (has_table_privilege('distsync_reader', c.oid, 'SELECT') OR has_table_privilege('distsync_operator', c.oid, 'SELECT') OR has_table_privilege('distsync_admin', c.oid, 'SELECT'))
		OR EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0) END;
	RETURN QUERY SELECT 'grants on tables', lacking IS NULL, COALESCE('wrong grants: ' || left(lacking, 300), 'readers read the books, nobody reads secrets, PUBLIC has nothing'), 'setup() gives them anew; take from PUBLIC by hand.', 'SELECT distsync.setup();';
	SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid::regclass::text) INTO lacking
	FROM pg_class c
	WHERE c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND (c.relrowsecurity OR NOT (c.relnamespace = 'dist'::regnamespace AND c.relname = ANY (distsync_internal.portal_reference())))
		AND (NOT c.relrowsecurity OR c.relforcerowsecurity OR NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'distsync_scope' AND NOT p.polpermissive));
	RETURN QUERY SELECT 'row security', lacking IS NULL, COALESCE('not as it should be: ' || left(lacking, 300), 'tables show restricted callers the rows of their customers only'),
		'setup() sets it anew; row security that is forced on the owner slows every verb: take FORCE away by hand.', 'SELECT distsync.setup();';
	SELECT string_agg(DISTINCT s.role_name, ', ' ORDER BY s.role_name) INTO lacking FROM sync.scope s
	WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = s.role_name);
	RETURN QUERY SELECT 'customer scopes', lacking IS NULL, COALESCE('given to roles that are not here: ' || left(lacking, 300), 'every role that has customers is here'),
		'Whoever creates a role of that name gets its customers: revoke them, or create the role.', 'SELECT role_name, customer_id FROM sync.scope;';
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_rights() IS 'Handler of doctor(): roles, their attributes, grants on functions and tables, row security, customer scopes.';

-- ops_doctor_triggers does the checks of what catches changes, and of what others hung beside it. A trigger or rule runs with the
-- rights of whoever writes, and the workers write: only the owner of the books, a superuser or the extension may have put it there.
CREATE FUNCTION distsync_internal.ops_doctor_triggers() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	lacking text;
BEGIN
	SELECT string_agg(p.proname, ', ' ORDER BY p.proname) INTO lacking FROM pg_proc p
	JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'distsync'
	WHERE p.prorettype = 'trigger'::regtype AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgfoid = p.oid);
	RETURN QUERY SELECT 'triggers', lacking IS NULL, COALESCE('nothing calls ' || lacking, 'every trigger function is called'), 'Changes are not captured: setup() puts the triggers back. Afterwards tell what was missed with resync().', 'SELECT distsync.setup();';
	RETURN QUERY
	SELECT 'trigger off', false, format('%s on %s is disabled', g.tgname, g.tgrelid::regclass), 'What it should catch is not caught: enable it.', format('ALTER TABLE %s ENABLE TRIGGER %I;', g.tgrelid::regclass, g.tgname)
	FROM pg_trigger g
	JOIN pg_class c ON c.oid = g.tgrelid AND c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace)
	JOIN pg_proc p ON p.oid = g.tgfoid AND p.pronamespace = 'distsync_internal'::regnamespace
	WHERE g.tgenabled IN ('D', 'R') AND NOT g.tgisinternal
	UNION ALL
	SELECT 'foreign trigger', false, format('%s on %s calls %s of role %s', g.tgname, g.tgrelid::regclass, g.tgfoid::regprocedure, pg_get_userbyid(p.proowner)),
		'It runs with the rights of the workers. Drop it, or give its function to distsync_owner after reading it.', format('DROP TRIGGER %I ON %s;', g.tgname, g.tgrelid::regclass)
	FROM pg_trigger g
	JOIN pg_class c ON c.oid = g.tgrelid AND c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace)
	JOIN pg_proc p ON p.oid = g.tgfoid
	JOIN pg_roles r ON r.oid = p.proowner
	WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND NOT r.rolsuper AND r.rolname <> 'distsync_owner'
	UNION ALL
	SELECT 'foreign rule', false, format('%s on %s', w.rulename, w.ev_class::regclass), 'A rule rewrites what the verbs write. Drop it.', format('DROP RULE %I ON %s;', w.rulename, w.ev_class::regclass)
	FROM pg_rewrite w
	JOIN pg_class c ON c.oid = w.ev_class AND c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace)
	WHERE w.rulename <> '_RETURN';
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'foreign triggers', true, 'none, and none of ours is off', NULL::text, NULL::text;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_triggers() IS 'Handler of doctor(): triggers missing or disabled, triggers and rules of others on dist and sync.';

-- ops_doctor_tables does the checks of who owns the tables: a member of an extension is left out of every dump.
CREATE FUNCTION distsync_internal.ops_doctor_tables() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wrong text;
BEGIN
	RETURN QUERY
	SELECT 'members', false, format('%s belongs to extension %s, so dumps leave its rows out', o.identity, e.extname), 'Take it out of the extension.', format('ALTER EXTENSION %I DROP %s %s;', e.extname, upper(o.type), o.identity)
	FROM pg_depend d
	JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
	CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) o
	WHERE d.deptype = 'e' AND o.schema IN ('dist', 'sync')
		-- since 17 the row type of a table, and its array, come and go with the table
		AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_depend i WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i'));
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'members', true, 'nothing of dist and sync belongs to an extension', NULL::text, NULL::text;
	END IF;
	SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ' ORDER BY c.relname) INTO wrong
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('dist', 'sync')
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relowner <> 'distsync_owner'::regrole;
	RETURN QUERY SELECT 'owner', wrong IS NULL, COALESCE('not of distsync_owner: ' || left(wrong, 300), 'dist and sync belong to distsync_owner'), 'Workers and verbs run as distsync_owner and cannot reach these.',
		(SELECT string_agg(format('ALTER TABLE %s OWNER TO distsync_owner;', w), ' ') FROM string_to_table(wrong, ', ') w);
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_tables() IS 'Handler of doctor(): members of extensions among the tables of dist and sync, tables of other owners.';

-- ops_doctor_partitions does the checks that partitions are there before they are needed, and that nothing waits in a default one.
CREATE FUNCTION distsync_internal.ops_doctor_partitions() RETURNS TABLE (check_name text, ok boolean, detail text, hint text, sql_to_fix text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
	has_rows boolean;
	lacking text;
	fine boolean := true;
BEGIN
	SELECT string_agg(x.name, ', ' ORDER BY x.name) INTO lacking
	FROM sync.partition_policy t
	CROSS JOIN LATERAL generate_series(0, t.ahead) i
	CROSS JOIN LATERAL (SELECT CASE t.kind
		WHEN 'time' THEN distsync_internal.schema_partition_name(t.table_name, 'time',
			(date_trunc(CASE WHEN t.step_time >= '1 month' THEN 'month' ELSE 'day' END, clock_timestamp(), 'UTC') AT TIME ZONE 'UTC' + i * t.step_time) AT TIME ZONE 'UTC', NULL)
		ELSE distsync_internal.schema_partition_name(t.table_name, 'id', NULL, distsync_internal.schema_top_id(t.table_name) / t.step_id * t.step_id + i * t.step_id) END) AS x(name)
	WHERE to_regclass(x.name) IS NULL;
	RETURN QUERY SELECT 'partitions ahead', lacking IS NULL, COALESCE('missing: ' || left(lacking, 300), 'all are made'), 'The clerk makes them when it runs; make them by hand until it does.', 'SELECT distsync_internal.schema_ensure_partitions();';
	FOR p IN
		SELECT c.oid::regclass AS part, i.inhparent::regclass AS parent FROM pg_inherits i
		JOIN pg_class c ON c.oid = i.inhrelid AND c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace)
		WHERE pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' ORDER BY 1
	LOOP
		-- %s is a regclass, which prints itself quoted
		EXECUTE format('SELECT EXISTS (SELECT FROM %s)', p.part) INTO has_rows;
		IF has_rows THEN
			fine := false;
			RETURN QUERY SELECT 'default partition', false, format('rows wait in %s', p.part), format('They are safe and visible, but retention does not see them, and their own partition cannot be made. Move them: docs/operations.md, "Rows in a default partition".'),
				format('SELECT * FROM %s LIMIT 10;', p.part);
		END IF;
	END LOOP;
	IF fine THEN
		RETURN QUERY SELECT 'default partition', true, 'all are empty', NULL::text, NULL::text;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_doctor_partitions() IS 'Handler of doctor(): partitions missing ahead of need, default partitions with rows.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('doctor', 'rights', 30, 'distsync_internal.ops_doctor_rights'),
	('doctor', 'tables', 40, 'distsync_internal.ops_doctor_tables'),
	('doctor', 'triggers', 50, 'distsync_internal.ops_doctor_triggers'),
	('doctor', 'partitions', 60, 'distsync_internal.ops_doctor_partitions');
