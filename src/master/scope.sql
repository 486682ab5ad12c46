-- Customer scope: whose business a restricted caller may see. Members of distsync_portal are restricted; scope.c decides, from roles and
-- signed tokens only. Verbs ask it where they turn a code into a party; row security asks it for those who read tables.

-- restricted does the question whether the caller sees some customers only.
CREATE FUNCTION distsync.restricted() RETURNS boolean
AS 'MODULE_PATHNAME', 'ds_sql_master_restricted' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.restricted() IS
	'Whether the caller, as session user or as the role he has set, is a member of distsync_portal: then verbs answer for the customers of his scope only, and tables show him no other rows.';

-- in_scope does the question whether the caller may see a party, for the policies of tables.
CREATE FUNCTION distsync.in_scope(party_id bigint) RETURNS boolean
AS 'MODULE_PATHNAME', 'ds_sql_master_scope_has' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.in_scope(bigint) IS
	'Whether the caller may see a party (dist.party.party_id): always true for who is not restricted; else true for the customers of his scope and all parties below them, false for NULL. Errors: SD013 the token has expired.';

-- master_scope_check does the refusing of a party that a restricted caller names.
CREATE FUNCTION distsync_internal.master_scope_check(party_id bigint, code text, field text) RETURNS void
AS 'MODULE_PATHNAME', 'ds_sql_master_scope_check' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.master_scope_check(bigint, text, text) IS
	'Nothing for who is not restricted. SD012 naming the code and field where the party (NULL = there is none) is not in the caller''s scope: what is not there and what he may not see are the same error. SD013 the token has expired.';

-- master_scope_only does the refusing of what a restricted caller may not ask for.
CREATE FUNCTION distsync_internal.master_scope_only(given jsonb, allowed text[], field text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	other text;
BEGIN
	IF NOT distsync.restricted() OR jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
		RETURN;
	END IF;
	SELECT k INTO other FROM jsonb_object_keys(given) k WHERE k <> ALL (allowed) ORDER BY k LIMIT 1;
	IF other IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD012', MESSAGE = format('"%s" is not for customers to say', left(other, 80)), COLUMN = field || other,
			DETAIL = format('Field: %s%s.', field, left(other, 80)), HINT = format('Leave it out. You may say: %s.', array_to_string(allowed, ', '));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_scope_only(jsonb, text[], text) IS
	'Nothing for who is not restricted. Else SD012 for the first member of an object that is not one of allowed; field is put before its name (options. or nothing).';

-- master_scope_role does the question whether a role is one of the caller's.
CREATE FUNCTION distsync_internal.master_scope_role(role_name text) RETURNS boolean
AS 'MODULE_PATHNAME', 'ds_sql_master_scope_role' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.master_scope_role(text) IS 'Whether the role that the caller is, or has set, is this one or a member of it; false where there is no such role.';

-- master_scope_take does the taking of a token's customers for this transaction.
CREATE FUNCTION distsync_internal.master_scope_take(party_ids bigint[], until timestamptz) RETURNS void
AS 'MODULE_PATHNAME', 'ds_sql_master_scope_take' LANGUAGE c STRICT;
COMMENT ON FUNCTION distsync_internal.master_scope_take(bigint[], timestamptz) IS
	'Makes 1 to 100 parties the scope of this transaction, until an instant. Errors: SD013 a token was shown before.';

-- master_scope_token does the telling of what the token of this transaction names.
CREATE FUNCTION distsync_internal.master_scope_token() RETURNS TABLE (party_id bigint, until timestamptz)
AS 'MODULE_PATHNAME', 'ds_sql_master_scope_token' LANGUAGE c STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION distsync_internal.master_scope_token() IS 'Parties that the token shown in this transaction names, and when it ends; no row = none was shown.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	-- policies are evaluated with the rights of whoever reads the table
	('restricted', '{reader,order_entry,integrator,operator,admin,portal,public}'),
	('in_scope', '{reader,order_entry,integrator,operator,admin,portal,public}');
