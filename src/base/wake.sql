-- Waking the workers at commit: here and not beside the workers, because every room may ask for it.

-- worker_wake does the marking of the transaction: at its commit the named worker of this database wakes up. It runs no SQL.
CREATE FUNCTION distsync_internal.worker_wake(which text) RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'ds_sql_worker_wake';
COMMENT ON FUNCTION distsync_internal.worker_wake(text) IS
	'Wakes the worker "courier", "clerk" or "both" of this database when the transaction commits, not when it rolls back; "states": the courier, but not while it leaves states alone. Does nothing where the library is not preloaded. Errors: SD002 for another name.';

-- worker_announce does the announcing of this database to the launcher at commit: setup() calls it. It runs no SQL.
CREATE FUNCTION distsync_internal.worker_announce() RETURNS void
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'ds_sql_worker_announce';
COMMENT ON FUNCTION distsync_internal.worker_announce() IS
	'Makes the launcher look at this database, and its workers look for work, when the transaction commits. Called by setup(), resume() and pause(). Does nothing where the library is not preloaded.';
