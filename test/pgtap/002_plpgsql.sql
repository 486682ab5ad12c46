-- Every plpgsql function is sound against the catalog: names, types, columns and the number of values, before anybody runs it.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS plpgsql_check;
SELECT plan(2);

CREATE TEMP VIEW candidate AS
	SELECT p.oid, p.oid::regprocedure::text AS signature, p.prorettype
	FROM pg_proc p
	JOIN pg_namespace n ON n.oid = p.pronamespace
	JOIN pg_language l ON l.oid = p.prolang
	WHERE l.lanname = 'plpgsql' AND n.nspname IN ('distsync', 'distsync_internal')
		-- the bodies of migrations create what they name
		AND p.proname !~ '^migration_';

SELECT is_empty($$SELECT c.signature || ' line ' || coalesce(f.lineno, 0) || ': ' || f.message || coalesce(' (' || f.query || ')', '')
	FROM candidate c
	CROSS JOIN LATERAL plpgsql_check_function_tb(c.oid, fatal_errors := false, other_warnings := false, extra_warnings := false, performance_warnings := false) f
	WHERE c.prorettype <> 'trigger'::regtype AND f.level = 'error'
		-- what a record filled by EXECUTE holds is known only when it runs
		AND f.message !~ 'record ".*" is not assigned yet' ORDER BY 1$$,
	'no plpgsql function names what is not there');
SELECT is_empty($$SELECT DISTINCT c.signature || ' on ' || t.tgrelid::regclass || ' line ' || coalesce(f.lineno, 0) || ': ' || f.message
	FROM candidate c
	JOIN pg_trigger t ON t.tgfoid = c.oid AND NOT t.tgisinternal AND t.tgparentid = 0
	CROSS JOIN LATERAL plpgsql_check_function_tb(c.oid, t.tgrelid, fatal_errors := false, other_warnings := false, extra_warnings := false,
		performance_warnings := false, oldtable := t.tgoldtable, newtable := t.tgnewtable) f
	WHERE f.level = 'error' ORDER BY 1$$,
	'nor does a trigger function');

SELECT * FROM finish();
ROLLBACK;
