\set SHOW_CONTEXT never
-- Installing: CREATE EXTENSION, setup() twice, teardown, DROP EXTENSION without CASCADE, and back.
SET client_min_messages = warning;
CREATE EXTENSION distsync;
SELECT distsync.setup();
SELECT distsync.setup();
SELECT extension = library AS fits, schema, schema_known FROM distsync.version();
INSERT INTO dist.currency (currency) VALUES ('USD');
-- who may not
CREATE ROLE regress_distsync_nobody;
SET ROLE regress_distsync_nobody;
SELECT distsync.setup();
RESET ROLE;
DROP ROLE regress_distsync_nobody;
-- the books outlive the extension
SELECT distsync.teardown() >= 0 AS torn_down;
DROP EXTENSION distsync;
SELECT currency FROM dist.currency;
CREATE EXTENSION distsync;
SELECT distsync.setup();
SELECT currency FROM dist.currency;
DELETE FROM dist.currency;
-- a schema of somebody else is refused
CREATE ROLE somebody_else;
ALTER SCHEMA sync OWNER TO somebody_else;
SELECT distsync.setup();
\echo :LAST_ERROR_SQLSTATE
ALTER SCHEMA sync OWNER TO distsync_owner;
DROP ROLE somebody_else;
SELECT distsync.setup();
