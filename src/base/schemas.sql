-- Roles, schemas and their owner. Roles belong to the server and outlive the extension.
DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['distsync_owner', 'distsync_reader', 'distsync_order_entry', 'distsync_integrator', 'distsync_operator', 'distsync_admin', 'distsync_portal']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', r);
		END IF;
	END LOOP;
	-- what doctor() looks at: settings and sessions of the server
	GRANT pg_read_all_settings, pg_read_all_stats TO distsync_owner;
	IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'distsync_owner'
			   AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolbypassrls)) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD031', MESSAGE = 'role "distsync_owner" has rights that the owner of the books must not have',
			DETAIL = 'It must be NOLOGIN NOSUPERUSER NOCREATEROLE NOBYPASSRLS.',
			HINT = 'Take these attributes from the role, or install where nobody else uses that name.';
	END IF;
	IF EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE nspname = 'distsync' AND NOT pg_catalog.pg_has_role(current_user, nspowner, 'USAGE')) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD031', MESSAGE = 'schema "distsync" belongs to somebody else', DETAIL = 'It is there and no part of the extension.',
			HINT = 'Drop or rename that schema, then create the extension again.';
	END IF;
END
$$;

CREATE SCHEMA distsync_internal;
COMMENT ON SCHEMA distsync IS 'distsync, the verbs: every function that an application or a DBA calls.';
COMMENT ON SCHEMA distsync_internal IS 'distsync, behind the verbs: called by them and by the workers, never by an application.';
GRANT USAGE ON SCHEMA distsync, distsync_internal TO distsync_owner;
