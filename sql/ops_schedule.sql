-- schedule(): the jobs go into the real pg_cron, once, and out again.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
\set VERBOSITY default
\set SHOW_CONTEXT never
SHOW cron.database_name;
SELECT distsync.schedule();
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.unschedule();
\echo :LAST_ERROR_SQLSTATE
CREATE EXTENSION pg_cron;
SELECT regexp_replace(distsync.schedule()::text, ',\d+,(scheduled|changed|unchanged)\)', ',id,\1)') AS job;
SELECT job, outcome FROM distsync.schedule();
SELECT jobname, schedule, database = current_database() AS here, username = current_user AS mine, active FROM cron.job ORDER BY jobname COLLATE "C";
-- a job that moved, one that is not wanted any more, one that somebody turned off
INSERT INTO sync.reconcile_job (code, domain, schedule) VALUES ('ops_night', 'stock', '0 2 * * *');
SELECT job, outcome FROM distsync.schedule();
UPDATE sync.reconcile_job SET schedule = NULL WHERE code = 'ops_night';
UPDATE sync.reconcile_job SET schedule = '*/5 * * * *' WHERE code = 'stock';
SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'distsync: verify';
SELECT job, schedule, outcome FROM distsync.schedule();
UPDATE sync.reconcile_job SET schedule = '*/15 * * * *' WHERE code = 'stock';
-- as another role: it must be able to log in and to call what it runs
CREATE ROLE regress_ops_cron;
SELECT distsync.schedule('{"username": "regress_ops_cron"}');
\echo :LAST_ERROR_SQLSTATE
ALTER ROLE regress_ops_cron LOGIN;
SELECT distsync.schedule('{"username": "regress_ops_cron"}');
\echo :LAST_ERROR_SQLSTATE
GRANT distsync_operator TO regress_ops_cron;
SELECT job, outcome FROM distsync.schedule('{"username": "regress_ops_cron"}');
SELECT jobname, username FROM cron.job ORDER BY jobname COLLATE "C";
-- what the job runs, as the role that runs it
SELECT command FROM cron.job WHERE jobname = 'distsync: history' \gset
SET SESSION AUTHORIZATION regress_ops_cron;
:command;
SELECT compared >= 0 AS ran FROM distsync.reconcile('stock');
SELECT distsync.schedule();
\echo :LAST_ERROR_SQLSTATE
RESET SESSION AUTHORIZATION;
-- an expression that pg_cron does not understand changes nothing
UPDATE sync.reconcile_job SET schedule = 'at noon' WHERE code = 'stock';
SELECT distsync.schedule('{"username": "regress_ops_cron"}');
\echo :LAST_ERROR_SQLSTATE
UPDATE sync.reconcile_job SET schedule = '*/15 * * * *' WHERE code = 'stock';
SELECT count(*) FROM cron.job;
SELECT check_name, ok, detail FROM distsync.doctor() WHERE check_name = 'pg_cron';
SELECT distsync.unschedule();
SELECT count(*) FROM cron.job;
-- teardown() takes the jobs away, those of others stay
SELECT count(*) FROM distsync.schedule();
SELECT cron.schedule('somebody else''s', '0 0 1 1 *', 'SELECT 1') > 0 AS scheduled;
SELECT distsync.teardown() >= 0 AS torn_down;
SELECT jobname FROM cron.job;
SELECT cron.unschedule('somebody else''s');
SELECT distsync.setup();
SELECT verb, entity_key = current_user AS me, after FROM sync.audit WHERE entity = 'schedule' ORDER BY audit_id DESC LIMIT 2;
DELETE FROM sync.reconcile_job WHERE code = 'ops_night';
DELETE FROM sync.reconcile_run;
REVOKE USAGE ON SCHEMA cron FROM regress_ops_cron;
DROP ROLE regress_ops_cron;
DROP EXTENSION pg_cron;
