-- Fail-points for tests: loaded by a test into a database whose server runs a library built with DISTSYNC_TEST=1.
-- They are no part of the extension, in a schema of their own, so that DROP EXTENSION does not trip over them.

CREATE SCHEMA IF NOT EXISTS distsync_test;

-- failpoint does a hit: for SQL of tests that wants to fail somewhere itself.
CREATE FUNCTION distsync_test.failpoint(name text) RETURNS void
LANGUAGE c STRICT VOLATILE AS '$libdir/distsync', 'ds_sql_failpoint';

-- failpoint_set does the arming: action error, fatal, sigkill, sleep or off; at hit number nth, at every n-th hit, or with
-- a probability (of a sequence that seed decides). Counting starts anew. A crash of the server disarms all.
CREATE FUNCTION distsync_test.failpoint_set(name text, action text, nth bigint DEFAULT 0, every bigint DEFAULT 0,
	probability double precision DEFAULT 0, seed bigint DEFAULT 1, sleep_ms integer DEFAULT 100) RETURNS void
LANGUAGE c STRICT VOLATILE AS '$libdir/distsync', 'ds_sql_failpoint_set';

-- failpoint_list does the listing of what is armed, how often it was hit and how often it acted.
CREATE FUNCTION distsync_test.failpoint_list(OUT name text, OUT action text, OUT hits bigint, OUT acted bigint) RETURNS SETOF record
LANGUAGE c STRICT VOLATILE AS '$libdir/distsync', 'ds_sql_failpoint_list';
