-- Every object has a comment and a name by convention, PUBLIC holds nothing, every function pins its search_path, no
-- right of a superuser is lent out, and the books (dist, sync) depend on the extension through triggers and policies only.
BEGIN;
SELECT plan(26);

-- ---- what is ours ----------------------------------------------------------------------------------------------------
CREATE TEMP VIEW member AS
	SELECT d.classid, d.objid
	FROM pg_depend d
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'distsync' AND d.deptype = 'e';

CREATE TEMP VIEW our_schema AS
	SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname IN ('distsync', 'distsync_internal', 'dist', 'sync');

CREATE TEMP VIEW book AS SELECT * FROM our_schema WHERE nspname IN ('dist', 'sync');

-- tables and views; a partition is a part of its table and has no comment or name of its own
CREATE TEMP VIEW our_relation AS
	SELECT c.*, n.nspname, n.nspname || '.' || c.relname AS name
	FROM pg_class c
	JOIN our_schema n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition;

CREATE TEMP VIEW our_function AS
	SELECT p.*, n.nspname, n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name, l.lanname
	FROM pg_proc p
	JOIN our_schema n ON n.oid = p.pronamespace
	JOIN pg_language l ON l.oid = p.prolang;

-- types that stand by themselves, not those of a row or an array
CREATE TEMP VIEW our_type AS
	SELECT t.*, n.nspname || '.' || t.typname AS name
	FROM pg_type t
	JOIN our_schema n ON n.oid = t.typnamespace
	LEFT JOIN pg_class c ON c.oid = t.typrelid
	WHERE t.typtype IN ('b', 'd', 'e', 'r') AND t.typelem = 0 OR c.relkind = 'c';

SELECT is((SELECT count(*)::int FROM our_schema), 4, 'the schemas distsync, distsync_internal, dist and sync exist');
SELECT cmp_ok((SELECT count(*)::int FROM our_relation WHERE nspname IN ('dist', 'sync')), '>', 50, 'setup() has made the books');

-- ---- comments --------------------------------------------------------------------------------------------------------
SELECT is_empty($$SELECT nspname FROM our_schema WHERE obj_description(oid, 'pg_namespace') IS NULL$$,
	'every schema has a comment');
SELECT is_empty($$SELECT name FROM our_relation WHERE coalesce(obj_description(oid, 'pg_class'), '') = '' ORDER BY 1$$,
	'every table and view has a comment');
SELECT is_empty($$SELECT r.name || '.' || a.attname FROM our_relation r
	JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE coalesce(col_description(r.oid, a.attnum), '') = '' ORDER BY 1$$,
	'every column of them has a comment');
SELECT is_empty($$SELECT name FROM our_function WHERE coalesce(obj_description(oid, 'pg_proc'), '') = '' ORDER BY 1$$,
	'every function has a comment');
SELECT is_empty($$SELECT name FROM our_type WHERE coalesce(obj_description(oid, 'pg_type'), '') = '' ORDER BY 1$$,
	'every type has a comment');

-- ---- PUBLIC ----------------------------------------------------------------------------------------------------------
CREATE TEMP TABLE allowed (line text);
\copy allowed FROM 'test/pgtap/public_allowlist'
CREATE TEMP VIEW public_right AS
	SELECT 'schema ' || nspname || ' ' || a.privilege_type AS line
	FROM our_schema, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a WHERE a.grantee = 0
	UNION ALL
	SELECT 'relation ' || n.nspname || '.' || c.relname || ' ' || a.privilege_type
	FROM pg_class c
	JOIN our_schema n ON n.oid = c.relnamespace,
		aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a
	WHERE a.grantee = 0 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL
	SELECT 'column ' || n.nspname || '.' || c.relname || '.' || t.attname || ' ' || a.privilege_type
	FROM pg_attribute t
	JOIN pg_class c ON c.oid = t.attrelid
	JOIN our_schema n ON n.oid = c.relnamespace, aclexplode(t.attacl) a
	WHERE a.grantee = 0
	UNION ALL
	SELECT 'function ' || name || ' ' || a.privilege_type
	FROM our_function f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a WHERE a.grantee = 0
	UNION ALL
	SELECT 'type ' || name || ' ' || a.privilege_type
	FROM our_type t, aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a WHERE a.grantee = 0;
SELECT is_empty($$SELECT line FROM public_right EXCEPT SELECT line FROM allowed ORDER BY 1$$,
	'PUBLIC holds nothing beyond test/pgtap/public_allowlist');
SELECT is_empty($$SELECT line FROM allowed WHERE line !~ '^#' EXCEPT SELECT line FROM public_right ORDER BY 1$$,
	'test/pgtap/public_allowlist names nothing that is not so');

-- ---- functions -------------------------------------------------------------------------------------------------------
-- C functions that run no SQL need no path: which they are, "make lint" finds in their source (tools/lint/sql_functions.pl)
SELECT is_empty($$SELECT name FROM our_function
	WHERE (lanname <> 'c' OR prosecdef)
		AND (proconfig IS NULL OR NOT proconfig && ARRAY['search_path=pg_catalog, pg_temp', 'search_path="pg_catalog", "pg_temp"']) ORDER BY 1$$,
	'every function pins its search_path to pg_catalog, pg_temp');
SELECT is_empty($$SELECT f.name FROM our_function f JOIN pg_roles r ON r.oid = f.proowner WHERE f.prosecdef AND r.rolsuper ORDER BY 1$$,
	'no SECURITY DEFINER function belongs to a superuser');
SELECT is_empty($$SELECT name FROM our_function WHERE prosqlbody IS NOT NULL ORDER BY 1$$,
	'no function has a parsed body (BEGIN ATOMIC)');
SELECT is_empty($$SELECT name FROM our_function
	WHERE 'internal'::regtype = prorettype OR 'internal'::regtype = ANY (proargtypes) ORDER BY 1$$,
	'no function takes or returns internal');
SELECT is_empty($$SELECT name FROM our_function WHERE nspname IN ('dist', 'sync') ORDER BY 1$$,
	'no function lives in dist or sync');
SELECT is_empty($$SELECT v.name FROM distsync_internal.verb v
	WHERE NOT EXISTS (SELECT FROM our_function f WHERE f.nspname = 'distsync' AND f.proname = v.name) ORDER BY 1$$,
	'every registered verb exists');
SELECT is_empty($$SELECT h.kind || ' ' || h.name || ': ' || h.function FROM distsync_internal.handler h
	WHERE NOT EXISTS (SELECT FROM our_function f WHERE f.nspname || '.' || f.proname = h.function) ORDER BY 1$$,
	'every registered handler exists');

-- ---- the books and the extension -------------------------------------------------------------------------------------
SELECT is_empty($$SELECT (pg_identify_object(m.classid, m.objid, 0)).identity FROM member m
	WHERE (pg_identify_object(m.classid, m.objid, 0)).schema IN ('dist', 'sync')
		OR m.classid = 'pg_namespace'::regclass AND m.objid IN (SELECT oid FROM book) ORDER BY 1$$,
	'nothing of dist and sync is a member of the extension');
SELECT is_empty($$SELECT o.type || ' ' || o.identity
	FROM pg_depend d
	JOIN member m ON m.classid = d.refclassid AND m.objid = d.refobjid
	CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) o
	WHERE d.classid NOT IN ('pg_trigger'::regclass, 'pg_policy'::regclass)
		AND (o.schema IN ('dist', 'sync') OR o.identity ~ '\m(dist|sync)\.') ORDER BY 1$$,
	'only triggers and policies of dist and sync depend on the extension');
SELECT is_empty($$SELECT (pg_identify_object(d.classid, d.objid, d.objsubid)).identity
	FROM pg_depend d
	JOIN member m ON m.classid = d.classid AND m.objid = d.objid
	CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) o
	WHERE o.schema IN ('dist', 'sync') OR d.refclassid = 'pg_namespace'::regclass AND d.refobjid IN (SELECT oid FROM book) ORDER BY 1$$,
	'nothing of the extension depends on dist or sync');
SELECT is_empty($$SELECT n.nspname FROM book n WHERE n.nspowner <> 'distsync_owner'::regrole
	UNION ALL
	SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN book n ON n.oid = c.relnamespace WHERE c.relowner <> 'distsync_owner'::regrole
	UNION ALL
	SELECT n.nspname || '.' || t.typname FROM pg_type t JOIN book n ON n.oid = t.typnamespace WHERE t.typowner <> 'distsync_owner'::regrole
	ORDER BY 1$$,
	'everything of dist and sync belongs to distsync_owner');
SELECT is_empty($$SELECT rolname FROM pg_roles
	WHERE rolname LIKE 'distsync\_%' AND (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)$$,
	'the roles of distsync can log in nowhere and hold no attribute');

-- ---- names -----------------------------------------------------------------------------------------------------------
SELECT is_empty($$SELECT name FROM our_relation WHERE relname !~ '^[a-z][a-z0-9_]*$'
	UNION ALL
	SELECT r.name || '.' || a.attname FROM our_relation r JOIN pg_attribute a ON a.attrelid = r.oid
	WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname !~ '^[a-z][a-z0-9_]*$'
	UNION ALL
	SELECT name FROM our_function WHERE proname !~ '^[a-z][a-z0-9_]*$' ORDER BY 1$$,
	'names are lower case, with underscores');
SELECT is_empty($$SELECT r.name || ': ' || c.conname
	FROM pg_constraint c
	JOIN our_relation r ON r.oid = c.conrelid
	WHERE c.contype IN ('p', 'u', 'f', 'c', 'x')
		AND c.conname !~ ('^' || r.relname || '(_[a-z0-9_]+)?_' || CASE c.contype WHEN 'p' THEN 'pk' WHEN 'u' THEN 'uq' WHEN 'f' THEN 'fk' WHEN 'c' THEN 'chk' ELSE 'excl' END || '$')
	ORDER BY 1$$,
	'constraints are named <table>_<purpose>_<pk|uq|fk|chk|excl>, never generated');
SELECT is_empty($$SELECT r.name || ': ' || i.relname
	FROM pg_index x
	JOIN our_relation r ON r.oid = x.indrelid
	JOIN pg_class i ON i.oid = x.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid AND c.contype IN ('p', 'u', 'x'))
		AND i.relname !~ ('^' || r.relname || '_[a-z0-9_]+_(idx|uq)$') ORDER BY 1$$,
	'indexes are named <table>_<purpose>_<idx|uq>');
SELECT is_empty($$SELECT r.name || ': ' || t.tgname
	FROM pg_trigger t
	JOIN our_relation r ON r.oid = t.tgrelid
	WHERE NOT t.tgisinternal AND t.tgname !~ ('^' || r.relname || '_[a-z0-9_]+_trg$') ORDER BY 1$$,
	'triggers are named <table>_<purpose>_trg');
SELECT is_empty($$SELECT name FROM our_type WHERE typname !~ '^[a-z][a-z0-9_]*$' ORDER BY 1$$,
	'types are named in lower case, with underscores');

SELECT * FROM finish();
ROLLBACK;
