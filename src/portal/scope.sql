-- Who is given whose customers, and row security behind the verbs.

-- scope does the telling of what the caller may see.
CREATE FUNCTION distsync.scope() RETURNS TABLE (customer text, name text, via text, until timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF NOT distsync.restricted() THEN
		RETURN QUERY SELECT NULL::text, NULL::text, 'unrestricted', NULL::timestamptz;
		RETURN;
	END IF;
	RETURN QUERY
	SELECT p.code, p.name, CASE WHEN t.party_id IS NULL THEN 'role ' || s.role_name ELSE 'token' END, COALESCE(t.until, upper(s.valid))
	FROM distsync_internal.master_scope_token() t
	FULL JOIN (SELECT * FROM sync.scope x WHERE distsync_internal.master_scope_role(x.role_name) AND x.valid @> clock_timestamp() AND NOT EXISTS (SELECT FROM distsync_internal.master_scope_token())) s ON false
	JOIN dist.party p ON p.party_id = COALESCE(t.party_id, s.customer_id)
	ORDER BY p.code COLLATE "C", s.role_name;
END
$$;
COMMENT ON FUNCTION distsync.scope() IS
	'Whose business the caller may see: a row for each customer of his scope, all parties below him included; via = role NAME | token; until = when that ends, NULL = open. One row with via = unrestricted for who sees all. No row: he sees nobody''s.';

-- grant_scope does the giving of a customer to a role.
CREATE FUNCTION distsync.grant_scope(role_name text, customer text, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	party bigint;
	period tstzrange;
BEGIN
	options := distsync_internal.base_options(options, '{from:instant,to:instant,reason:text}');
	party := distsync_internal.master_party(distsync_internal.base_required('customer', customer), 'customer');
	IF grant_scope.role_name IS NULL OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = grant_scope.role_name) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown role "%s"', COALESCE(grant_scope.role_name, '')), COLUMN = 'role_name', DETAIL = 'Field: role_name.',
			HINT = 'Create the role first, for example: CREATE ROLE portal_acme LOGIN IN ROLE distsync_portal.';
	END IF;
	IF (options ->> 'from')::timestamptz >= (options ->> 'to')::timestamptz THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'a scope can not end before it begins', COLUMN = 'options.to', DETAIL = format('Field: options.to. From %s to %s.', options ->> 'from', options ->> 'to'),
			HINT = 'Send from before to.';
	END IF;
	period := tstzrange(COALESCE((options ->> 'from')::timestamptz, clock_timestamp()), (options ->> 'to')::timestamptz);
	INSERT INTO sync.scope AS s (role_name, customer_id, valid, given_by, reason) VALUES (grant_scope.role_name, party, period, session_user, COALESCE(options ->> 'reason', ''))
	ON CONFLICT (customer_id, role_name) DO UPDATE SET valid = excluded.valid, given_by = excluded.given_by, reason = excluded.reason;
	PERFORM distsync_internal.base_audit('grant_scope', 'role', grant_scope.role_name, NULL, jsonb_build_object('customer', customer, 'from', lower(period), 'to', upper(period)), options ->> 'reason');
	RETURN grant_scope.role_name;
END
$$;
COMMENT ON FUNCTION distsync.grant_scope(text, text, jsonb) IS
	'Lets members of a role see a customer and all parties below him, from now on or in a period; again = the new period. The role, or who is in it, must be a member of distsync_portal to be restricted at all. Options: from, to (exclusive), reason. Returns the role. Errors: SD001 unknown role or customer, SD002 period.';

-- revoke_scope does the taking back of that.
CREATE FUNCTION distsync.revoke_scope(role_name text, customer text, reason text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n integer;
BEGIN
	DELETE FROM sync.scope s WHERE s.role_name = revoke_scope.role_name
		AND s.customer_id = distsync_internal.master_party(distsync_internal.base_required('customer', customer), 'customer');
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n > 0 THEN
		PERFORM distsync_internal.base_audit('revoke_scope', 'role', revoke_scope.role_name, jsonb_build_object('customer', customer), NULL, revoke_scope.reason);
	END IF;
	RETURN n > 0;
END
$$;
COMMENT ON FUNCTION distsync.revoke_scope(text, text, text) IS
	'Takes a customer from a role, from the next statement on. Returns whether the role had him. Errors: SD001 unknown customer, SD005 none named.';

-- portal_reference does the list of tables that say nothing about any customer.
CREATE FUNCTION distsync_internal.portal_reference() RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY['company', 'currency', 'unit', 'item', 'item_unit', 'item_relation', 'item_identifier', 'category', 'channel']
$$;
COMMENT ON FUNCTION distsync_internal.portal_reference() IS 'Tables of dist whose rows everybody with SELECT on them may see, restricted or not.';

-- portal_policies does the setting of row security: the second layer, for who has been given a table to read.
CREATE FUNCTION distsync_internal.portal_policies() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT c.oid::regclass AS name, c.relrowsecurity AS secured,
			CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'customer_id' AND NOT a.attisdropped) THEN 'OR distsync.in_scope(customer_id)'
				WHEN c.oid = 'dist.party'::regclass THEN 'OR distsync.in_scope(party_id)' ELSE '' END AS or_in_scope,
			EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'distsync_open') AS opened,
			EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'distsync_scope') AS scoped
		FROM pg_class c
		WHERE c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
			AND NOT (c.relnamespace = 'dist'::regnamespace AND c.relname = ANY (distsync_internal.portal_reference()))
	LOOP
		-- %s is a regclass, which prints itself quoted, and a word of ours
		IF NOT t.opened THEN
			EXECUTE format('CREATE POLICY distsync_open ON %s USING (true)', t.name);
		END IF;
		IF NOT t.scoped THEN
			EXECUTE format('CREATE POLICY distsync_scope ON %s AS RESTRICTIVE USING ((SELECT NOT distsync.restricted()) %s)', t.name, t.or_in_scope);
		END IF;
		IF NOT t.secured THEN
			EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.portal_policies() IS
	'Part of setup(): row security on the tables of dist and sync, but those of portal_reference(): who is restricted sees rows of his customers, and none of tables that have no customer_id; everybody else sees what he is granted. Owners, and with them the verbs, are not subject to it.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'scope', 90, 'distsync_internal.portal_policies');
INSERT INTO distsync_internal.verb (name, roles) VALUES
	('scope', '{reader,order_entry,integrator,operator,admin,portal}'),
	('grant_scope', '{admin}'),
	('revoke_scope', '{admin}');
