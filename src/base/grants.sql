-- The last part of the script: owners and grants, in one documented function that can be run again.

-- repair_grants gives every object of the extension its owner and its grants, and nothing to PUBLIC.
CREATE FUNCTION distsync.repair_grants() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	n integer := 0;
BEGIN
	FOR f IN
		SELECT p.oid::pg_catalog.regprocedure AS signature, s.nspname, p.prosecdef, p.proname
		FROM pg_catalog.pg_proc p
		JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace
		JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'distsync'
	LOOP
		-- %s is a regprocedure, which prints itself quoted
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f.signature);
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO distsync_owner', f.signature);
		IF f.prosecdef AND f.proname <> 'setup' THEN
			EXECUTE pg_catalog.format('ALTER FUNCTION %s OWNER TO distsync_owner', f.signature);
		END IF;
		n := n + 1;
	END LOOP;
	FOR f IN
		SELECT t.oid::pg_catalog.regtype AS name
		FROM pg_catalog.pg_type t
		JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'distsync'
		LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
		WHERE t.typtype IN ('d', 'e') OR c.relkind = 'c'
	LOOP
		-- %s is a regtype, which prints itself quoted
		EXECUTE pg_catalog.format('REVOKE ALL ON TYPE %s FROM PUBLIC', f.name);
		EXECUTE pg_catalog.format('GRANT USAGE ON TYPE %s TO distsync_owner', f.name);
	END LOOP;
	FOR f IN
		SELECT p.oid::pg_catalog.regprocedure AS signature, r.role
		FROM distsync_internal.verb v
		JOIN pg_catalog.pg_proc p ON p.proname = v.name AND p.pronamespace = 'distsync'::pg_catalog.regnamespace
		CROSS JOIN LATERAL pg_catalog.unnest(v.roles) AS r(role)
	LOOP
		-- %s is a regprocedure here too, and PUBLIC a word of the grammar
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s', f.signature, CASE f.role WHEN 'public' THEN 'PUBLIC' ELSE pg_catalog.quote_ident('distsync_' || f.role) END);
	END LOOP;
	GRANT USAGE ON SCHEMA distsync TO distsync_reader, distsync_order_entry, distsync_integrator, distsync_operator, distsync_admin, distsync_portal;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.repair_grants() IS
	'Gives every function its owner and its grants as the rooms registered them, and nothing else to PUBLIC. Run by CREATE EXTENSION and setup(); run it by hand on a restored server. Superuser only. Returns the number of functions.';

SELECT distsync.repair_grants();
