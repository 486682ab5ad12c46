-- The workers, from SQL: look at them, and who this installation is.

-- worker_status does the showing of the launcher and the workers of all databases of this server. It runs no SQL.
CREATE FUNCTION distsync_internal.worker_status(OUT kind text, OUT database name, OUT pid int, OUT state text, OUT generation bigint,
	OUT started_at timestamptz, OUT last_loop_at timestamptz, OUT last_error text, OUT restarts bigint, OUT idle_reason text,
	OUT loops bigint, OUT work bigint, OUT errors bigint) RETURNS SETOF record
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'ds_sql_worker_status';
COMMENT ON FUNCTION distsync_internal.worker_status() IS
	'One row a worker of this server: kind (launcher, probe, courier, clerk), database, pid (NULL while it does not run), state (stopped, starting, active, idle, stopping), generation (new at each start), started_at, last_loop_at, last_error (text, without values of rows), restarts since the server started, idle_reason while idle, loops, work (responses of the courier, rows of the clerk), errors. A single row of kind launcher whose last_error says so where the library is not preloaded.';

-- worker_instance_identity does the telling of which server, database and history this is: what a copy cannot keep. It runs no SQL.
CREATE FUNCTION distsync_internal.worker_instance_identity(OUT system_identifier bigint, OUT database_oid oid, OUT timeline int,
	OUT instance text, OUT in_recovery boolean) RETURNS record
LANGUAGE c STRICT STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'ds_sql_worker_instance_identity';
COMMENT ON FUNCTION distsync_internal.worker_instance_identity() IS
	'Who this installation is: system_identifier of the cluster, database_oid, timeline (changes at promotion), instance (the setting distsync.instance, empty if not set), in_recovery (true on a standby). A restored, cloned or promoted copy differs in at least one of them.';
