-- How an account stands: told when money, an order, a limit or time alone changes it, and only then.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CT-ERP', 'erp');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CT-ERP');
SELECT distsync.apply('company', '{"code":"CT","name":"Standing","currency":"USD"}', 'CT-ERP');
SELECT distsync.apply_all('party', '[{"code":"CT-G","name":"group"},{"code":"CT-C","name":"customer"},{"code":"CT-D","name":"sister"}]', 'CT-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CT-G","customer":"CT-G","company":"CT","limit":200},{"code":"CT-C","customer":"CT-C","company":"CT","parent":"CT-G","limit":100},{"code":"CT-D","customer":"CT-D","company":"CT","parent":"CT-G"}]', 'CT-ERP');
SELECT distsync.apply('credit_rule', '{"code":"CT-80","type":"limit_share","threshold":80,"action":"warn"}', 'CT-ERP');
SELECT distsync_internal.credit_clerk(50);
CREATE TEMP TABLE seen AS SELECT COALESCE(max(outbox_id), 0) AS id FROM sync.outbox_customer;
CREATE FUNCTION pg_temp.told() RETURNS TABLE (code text, standing text, why text[]) LANGUAGE sql AS $$
	WITH m AS (SELECT DISTINCT o.entity_key FROM sync.outbox_customer o, seen s WHERE o.outbox_id > s.id AND o.event_type = 'credit.status_changed'),
	moved AS (UPDATE seen SET id = (SELECT max(outbox_id) FROM sync.outbox_customer))
	SELECT a.code, a.standing, a.standing_why FROM m JOIN dist.credit_account a ON a.account_id::text = m.entity_key ORDER BY a.code COLLATE "C" $$;
CREATE FUNCTION pg_temp.bill(number text, amount numeric, due date, account text DEFAULT 'CT-C') RETURNS text LANGUAGE sql AS $$
	SELECT r.outcome FROM distsync.apply('invoice', jsonb_build_object('company', 'CT', 'invoice_number', number, 'customer', account, 'currency', 'USD', 'net_amount', amount, 'due_on', due), 'CT-ERP') r $$;
\o
SELECT * FROM pg_temp.told();
-- an order takes it across the warning
SELECT d ->> 'outcome' AS outcome FROM dist.credit_account a, distsync_internal.credit_take(a.account_id, 50) d WHERE a.code = 'CT-C';
SELECT * FROM pg_temp.told();
SELECT d ->> 'outcome' AS outcome FROM dist.credit_account a, distsync_internal.credit_take(a.account_id, 40) d WHERE a.code = 'CT-C';
SELECT * FROM pg_temp.told();
-- one more changes nothing that is told
SELECT d ->> 'outcome' AS outcome FROM dist.credit_account a, distsync_internal.credit_take(a.account_id, 5) d WHERE a.code = 'CT-C';
SELECT * FROM pg_temp.told();
-- facts take it over the limit, money brings it back
SELECT pg_temp.bill('CT-1', 30, current_date + 10);
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('payment', '{"company":"CT","payment_number":"CT-P1","customer":"CT-C","currency":"USD","amount":10}', 'CT-ERP');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('payment', '{"company":"CT","payment_number":"CT-P2","customer":"CT-C","currency":"USD","amount":20}', 'CT-ERP');
SELECT * FROM pg_temp.told();
-- time alone: what was billed is late the day after, here as soon as the clerk is told to look
INSERT INTO dist.credit_rule (code, type, threshold, action) VALUES ('CT-LATE', 'overdue_amount', 5, 'block');
SELECT pg_temp.bill('CT-2', 4, current_date - 3);
SELECT * FROM pg_temp.told();
UPDATE dist.credit_rule SET threshold = 1 WHERE code = 'CT-LATE';
UPDATE dist.credit_account SET due_at = now() WHERE code = 'CT-C';
SELECT distsync_internal.credit_clerk(50);
SELECT * FROM pg_temp.told();
-- blocked by its owner, and above it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CT-C","status":"blocked"}', 'CT-ERP');
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CT-C","status":"open"}', 'CT-ERP');
SELECT * FROM pg_temp.told();
SELECT b.entity_key, b.body ->> 'standing' AS standing, b.body -> 'standing_why' AS why, b.body ->> 'outcome' AS outcome FROM dist.credit_account a, distsync_internal.credit_render_status(ARRAY[a.account_id::text]) b WHERE a.code = 'CT-C';
DELETE FROM dist.credit_rule WHERE code LIKE 'CT-%';
UPDATE dist.credit_account SET open_orders = 0 WHERE code LIKE 'CT-%';
DELETE FROM dist.credit_decision WHERE account_id IN (SELECT account_id FROM dist.credit_account WHERE code LIKE 'CT-%');
