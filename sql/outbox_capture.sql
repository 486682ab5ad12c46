-- Capture: what a statement changes leaves a marker in the same commit, once for each key and transaction; documents changed outside
-- the verbs leave an event; settings and replication roles are heeded.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.pause('regress: nobody routes');
\o
\set balance 'INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, quantity, last_event_at) VALUES'
CREATE TEMP TABLE seen AS SELECT COALESCE(max(outbox_id), 0) AS id FROM sync.outbox_item;
-- markers shows the new ones, taken from each transaction together
CREATE FUNCTION pg_temp.markers() RETURNS TABLE (tx bigint, event_type text, entity text, entity_key text, item_id bigint, ring text) LANGUAGE sql AS $$
	WITH m AS (SELECT o.* FROM sync.outbox_item o, seen s WHERE o.outbox_id > s.id AND o.item_id >= 880000), moved AS (UPDATE seen SET id = (SELECT max(outbox_id) FROM sync.outbox_item))
	SELECT dense_rank() OVER (ORDER BY xid::text::bigint), event_type, entity, entity_key, item_id, ring FROM m ORDER BY outbox_id
$$;
SET distsync.notify = 'courier';
:balance (880001, 1, 'phys', 'available', 10, now()), (880002, 1, 'phys', 'available', 10, now()), (880001, 2, 'phys', 'available', 10, now());
SELECT * FROM pg_temp.markers();
-- once in a transaction, also after a savepoint that stays; again after one that was rolled back
BEGIN;
UPDATE dist.stock_balance SET quantity = 11 WHERE item_id = 880001;
SAVEPOINT a;
UPDATE dist.stock_balance SET quantity = 12 WHERE item_id = 880001;
UPDATE dist.stock_balance SET quantity = 12 WHERE item_id = 880002;
ROLLBACK TO a;
UPDATE dist.stock_balance SET quantity = 13 WHERE item_id = 880002;
UPDATE dist.stock_balance SET quantity = 14 WHERE item_id = 880002;
COMMIT;
SELECT * FROM pg_temp.markers();
-- what no one watches is no news, what did not change neither
UPDATE dist.stock_balance SET last_event_at = now(), version = version + 1, quantity = quantity + 0 WHERE item_id >= 880000;
UPDATE dist.stock_balance SET quantity = 0 WHERE item_id = 889999;
SELECT * FROM pg_temp.markers();
-- a row that moves to another item concerns both
UPDATE dist.stock_balance SET item_id = 880003 WHERE item_id = 880002;
SELECT * FROM pg_temp.markers();
DELETE FROM dist.stock_balance WHERE item_id = 880003;
SELECT * FROM pg_temp.markers();
-- rolled back: nothing
BEGIN;
UPDATE dist.stock_balance SET quantity = 99 WHERE item_id = 880001;
ROLLBACK;
SELECT * FROM pg_temp.markers();
-- a large statement, and upserts
:balance (880001, 1, 'phys', 'available', 1, now()), (880004, 1, 'phys', 'available', 1, now()) ON CONFLICT ON CONSTRAINT stock_balance_pk DO UPDATE SET quantity = excluded.quantity;
SELECT * FROM pg_temp.markers();
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, quantity, last_event_at) SELECT 881000 + i % 1000, i, 'phys', 'available', 1, now() FROM generate_series(1, 2000) i;
SELECT count(*), count(DISTINCT entity_key) FROM pg_temp.markers();
-- an outbox that people changed gets the ordinary INSERT: a column, a trigger, a check
ALTER TABLE sync.outbox_item ADD COLUMN regress_extra text DEFAULT 'x';
UPDATE dist.stock_balance SET quantity = 2 WHERE item_id = 880001 AND site_id = 1;
SELECT m.entity_key, o.regress_extra FROM pg_temp.markers() m JOIN sync.outbox_item o ON o.outbox_id = (SELECT id FROM seen);
ALTER TABLE sync.outbox_item DROP COLUMN regress_extra;
\set VERBOSITY sqlstate
ALTER TABLE sync.outbox_item ADD CONSTRAINT outbox_item_regress_chk CHECK (item_id <> 880001) NOT VALID;
UPDATE dist.stock_balance SET quantity = 3 WHERE item_id = 880001 AND site_id = 1;
\set VERBOSITY default
ALTER TABLE sync.outbox_item DROP CONSTRAINT outbox_item_regress_chk;
UPDATE dist.stock_balance SET quantity = 3 WHERE item_id = 880001 AND site_id = 1;
SELECT * FROM pg_temp.markers();
-- who rings is written down
SET distsync.notify = 'off';
UPDATE dist.stock_balance SET quantity = 4 WHERE item_id = 880001 AND site_id = 1;
SET distsync.notify = 'trigger';
UPDATE dist.stock_balance SET quantity = 5 WHERE item_id = 880001 AND site_id = 1;
SET distsync.notify = 'courier';
SELECT * FROM pg_temp.markers();
-- switched off, and a replica that applies
SET distsync.capture = 'verb';
UPDATE dist.stock_balance SET quantity = 6 WHERE item_id = 880001 AND site_id = 1;
SELECT * FROM pg_temp.markers();
-- the functions of the extension still tell what they change
CREATE FUNCTION distsync.regress_verb() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$UPDATE dist.stock_balance SET quantity = 7 WHERE item_id = 880001 AND site_id = 1$$;
ALTER FUNCTION distsync.regress_verb() OWNER TO distsync_owner;
SELECT distsync.regress_verb();
SELECT * FROM pg_temp.markers();
DROP FUNCTION distsync.regress_verb();
RESET distsync.capture;
SET session_replication_role = 'replica';
UPDATE dist.stock_balance SET quantity = 7 WHERE item_id = 880001 AND site_id = 1;
RESET session_replication_role;
SELECT * FROM pg_temp.markers();
-- somebody who may write the table needs no right on the outbox
CREATE ROLE regress_outbox_writer;
GRANT USAGE ON SCHEMA dist TO regress_outbox_writer;
GRANT SELECT, UPDATE, INSERT, DELETE ON dist.stock_balance, dist.payment TO regress_outbox_writer;
SET ROLE regress_outbox_writer;
UPDATE dist.stock_balance SET quantity = 8 WHERE item_id = 880001 AND site_id = 1;
SELECT current_user;
-- documents changed outside the verbs
INSERT INTO dist.payment (customer_id, company_id, payment_number, received_at, currency, amount, source) VALUES (880001, 1, 'OBC-1', '2026-01-02Z', 'USD', 12.5, 'bank');
UPDATE dist.payment SET amount = 13 WHERE payment_number = 'OBC-1';
DELETE FROM dist.payment WHERE payment_number = 'OBC-1';
RESET ROLE;
SELECT * FROM pg_temp.markers();
SELECT kind, event_type, entity, entity_key, customer_id, body ->> 'operation' AS operation, body -> 'amount' AS amount, body ? 'payment_id' AS shows_id, body -> 'outside_the_verbs' AS outside
FROM sync.outbox_customer WHERE customer_id = 880001 ORDER BY outbox_id;
-- a verb tells its own: a SECURITY DEFINER function of the owner
CREATE FUNCTION distsync.regress_verb() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$INSERT INTO dist.payment (customer_id, company_id, payment_number, received_at, currency, amount, source) VALUES (880002, 1, 'OBC-2', now(), 'USD', 1, 'bank')$$;
ALTER FUNCTION distsync.regress_verb() OWNER TO distsync_owner;
SELECT distsync.regress_verb();
-- being the owner is not enough
SET ROLE distsync_owner;
UPDATE dist.payment SET amount = 2 WHERE payment_number = 'OBC-2';
RESET ROLE;
SELECT event_type, entity_key, body ->> 'operation' AS operation FROM sync.outbox_customer WHERE customer_id = 880002 ORDER BY outbox_id;
DROP FUNCTION distsync.regress_verb();
-- the trigger function is no function for people
CREATE TRIGGER regress_trg AFTER UPDATE ON dist.stock_pool FOR EACH ROW EXECUTE FUNCTION distsync_internal.outbox_capture('state');
INSERT INTO dist.stock_pool (item_id, site_id) VALUES (880001, 1);
UPDATE dist.stock_pool SET version = 2 WHERE item_id = 880001;
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER regress_trg ON dist.stock_pool;
-- setup() twice gives the same triggers
CREATE TEMP TABLE before AS SELECT tgrelid, tgname, pg_get_triggerdef(oid) AS def FROM pg_trigger WHERE tgname LIKE '%\_trg';
\o /dev/null
SELECT distsync.setup();
\o
SELECT count(*) > 30 AS many, count(*) FILTER (WHERE b.def IS DISTINCT FROM a.def) AS different
FROM before b FULL JOIN (SELECT tgrelid, tgname, pg_get_triggerdef(oid) AS def FROM pg_trigger WHERE tgname LIKE '%\_trg') a USING (tgrelid, tgname);
DELETE FROM dist.stock_pool WHERE item_id = 880001;
DELETE FROM dist.payment WHERE customer_id = 880002;
SET session_replication_role = 'replica';
DELETE FROM dist.stock_balance WHERE item_id >= 880000;
RESET session_replication_role;
REVOKE ALL ON dist.stock_balance, dist.payment FROM regress_outbox_writer;
REVOKE ALL ON SCHEMA dist FROM regress_outbox_writer;
DROP ROLE regress_outbox_writer;
