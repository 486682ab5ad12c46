-- Orders that wait though nothing of them is counted (billed before they left): an account keeps how many there are below it, so that
-- whoever makes room reads what waits in his tree, however many wait elsewhere.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
INSERT INTO sync.system (code, kind) VALUES ('HN-ERP', 'erp');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'HN-ERP');
SELECT distsync.apply('company', '{"code":"HN","name":"Nothing","currency":"USD"}', 'HN-ERP');
SELECT distsync.apply_all('party', '[{"code":"HN-G","name":"group"},{"code":"HN-A","name":"a"},{"code":"HN-H","name":"other"},{"code":"HN-B","name":"b"}]', 'HN-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"HN-G","customer":"HN-G","company":"HN","limit":1000},{"code":"HN-A","customer":"HN-A","company":"HN","parent":"HN-G"},
	{"code":"HN-H","customer":"HN-H","company":"HN","limit":1000},{"code":"HN-B","customer":"HN-B","company":"HN","parent":"HN-H"}]', 'HN-ERP');
CREATE TEMP VIEW acct AS SELECT code, held_demand, held_nothing FROM dist.credit_account WHERE code LIKE 'HN-%' ORDER BY 1;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key FROM distsync_internal.credit_verify_counters() WHERE entity_key LIKE 'HN-%';
-- holds of an account, of orders that nobody else has
CREATE FUNCTION pg_temp.wait(account text, first integer, last integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO dist.hold (customer_id, order_id, company_id, order_number, account_id, kind, reasons, amount, placed_by)
	SELECT a.customer_id, 2000000000 + n, a.company_id, 'HN-' || n, a.account_id, 'auto', '[]', 0, 'test' FROM dist.credit_account a, generate_series(first, last) n WHERE a.code = account $$;
-- rows of dist.hold that asking what waits in a tree reads
CREATE FUNCTION pg_temp.read(account text) RETURNS TABLE (waiting bigint, rows_read bigint) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'dist.hold'::regclass);
BEGIN
	SELECT count(*) INTO waiting FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_waiting(a.account_id) WHERE a.code = account;
	rows_read := (SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'dist.hold'::regclass) - before;
	RETURN NEXT;
END $$;
\o
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
ANALYZE dist.hold;
ANALYZE dist.credit_account;
SELECT pg_temp.wait('HN-A', 1, 1), pg_temp.wait('HN-B', 2, 2);
SELECT * FROM acct;
SELECT waiting, rows_read < 10 AS few_read FROM pg_temp.read('HN-G');
SELECT pg_temp.wait('HN-B', 3, 3000);
ANALYZE dist.hold;
SELECT * FROM acct;
SELECT waiting, rows_read < 10 AS few_read FROM pg_temp.read('HN-G');
SELECT waiting FROM pg_temp.read('HN-H');
SELECT * FROM wrong;
-- they come and go: an amount, an end, another account, another tree
UPDATE dist.hold SET amount = 10 WHERE order_number = 'HN-2';
UPDATE dist.credit_account SET held_demand = held_demand + 10 WHERE code IN ('HN-B', 'HN-H');
UPDATE dist.hold SET released_at = clock_timestamp() WHERE order_number = 'HN-3';
UPDATE dist.hold SET account_id = (SELECT account_id FROM dist.credit_account WHERE code = 'HN-A') WHERE order_number = 'HN-4';
UPDATE dist.hold SET account_id = NULL WHERE order_number = 'HN-5';
UPDATE dist.hold SET kind = 'manual' WHERE order_number = 'HN-6';
DELETE FROM dist.hold WHERE order_number = 'HN-7';
UPDATE dist.hold SET priority = 1 WHERE order_number = 'HN-8';
SELECT * FROM acct;
SELECT * FROM wrong;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HN-A","parent":"HN-H"}', 'HN-ERP', NULL, '{"backfill":true}');
SELECT * FROM acct;
SELECT * FROM wrong;
SELECT waiting FROM pg_temp.read('HN-G');
ROLLBACK;
