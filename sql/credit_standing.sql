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
	SELECT a.code, a.standing, a.standing_why FROM m JOIN dist.credit_account a ON a.account_id::text = m.entity_key WHERE a.code LIKE 'CT-%' ORDER BY a.code COLLATE "C" $$;
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
-- above it: what the group owes binds all its members; the clerk tells those that nobody had touched
SELECT pg_temp.bill('CT-3', 150, current_date + 30, 'CT-G');
SELECT * FROM pg_temp.told();
CREATE FUNCTION pg_temp.clerk() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 0 .. 50 LOOP
		IF distsync_internal.credit_clerk_sweep(50) + distsync_internal.credit_clerk(50) = 0 THEN
			RETURN n;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
SELECT scope_kind, scope_key FROM dist.credit_sweep WHERE scope_key = '' OR scope_key LIKE 'CT-%' ORDER BY 1, 2;
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('payment', '{"company":"CT","payment_number":"CT-P3","customer":"CT-G","currency":"USD","amount":150}', 'CT-ERP');
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM pg_temp.told();
-- a rule is seen by those for whom it speaks, by those first where something waits; nobody else is locked for it
\o /dev/null
DELETE FROM dist.credit_rule WHERE code IN ('CT-LATE', 'CT-80');
DELETE FROM dist.credit_sweep;
\o
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"CT-OPEN","type":"order_amount","threshold":0.5,"scope_kind":"customer","scope_key":"CT-C"}', 'CT-ERP');
SELECT scope_kind, scope_key, waiting FROM dist.credit_sweep WHERE scope_key = '' OR scope_key LIKE 'CT-%' ORDER BY 1, 2;
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT * FROM pg_temp.told();
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"CT-OPEN","scope_kind":"all","scope_key":""}', 'CT-ERP');
SELECT scope_kind, scope_key, waiting FROM dist.credit_sweep WHERE scope_key = '' OR scope_key LIKE 'CT-%' ORDER BY 1, 2;
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT count(*) AS sweeps FROM dist.credit_sweep;
\o /dev/null
SELECT distsync_internal.credit_hold(a.account_id, jsonb_build_object('customer_id', a.customer_id, 'order_id', -1, 'company_id', a.company_id, 'order_number', 'CT-O1', 'amount', 1)) FROM dist.credit_account a WHERE a.code = 'CT-D';
UPDATE dist.credit_account SET due_at = NULL WHERE code LIKE 'CT-%';
\o
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"CT-OPEN","threshold":5}', 'CT-ERP');
SELECT distsync_internal.credit_sweep_next('all', '', true, 0, 10) = ARRAY(SELECT DISTINCT h.account_id FROM dist.hold h WHERE h.released_at IS NULL AND h.account_id IS NOT NULL ORDER BY 1 LIMIT 10) AS waiting_first;
SELECT distsync_internal.credit_clerk_sweep(200);
SELECT code, due_at IS NOT NULL AS due FROM dist.credit_account WHERE code LIKE 'CT-%' ORDER BY 1;
SELECT pg_temp.clerk() IS NOT NULL AS rests;
SELECT released_at IS NOT NULL AS released FROM dist.hold WHERE order_number = 'CT-O1';
DELETE FROM dist.hold WHERE order_number = 'CT-O1';
DELETE FROM dist.credit_rule WHERE code LIKE 'CT-%';
UPDATE dist.credit_account SET open_orders = 0, held_demand = 0 WHERE code LIKE 'CT-%';
DELETE FROM dist.credit_decision WHERE account_id IN (SELECT account_id FROM dist.credit_account WHERE code LIKE 'CT-%');

-- a limit that time ends, or begins, opens and closes over_limit as one that people change
\o /dev/null
SELECT distsync.apply('party', '{"code":"CT-T","name":"for a time"}', 'CT-ERP');
SELECT distsync.apply('credit_account', jsonb_build_object('code', 'CT-T', 'customer', 'CT-T', 'company', 'CT', 'limits', jsonb_build_array('{"amount":50}'::jsonb, jsonb_build_object('kind', 'temporary', 'amount', 100, 'to', clock_timestamp() + interval '300 milliseconds'))), 'CT-ERP');
\o
SELECT pg_temp.bill('CT-T1', 120, current_date + 30, 'CT-T') IS NOT NULL AS billed;
SELECT pg_sleep(0.4), distsync_internal.credit_clerk(50) IS NOT NULL AS looked;
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'CT-T';
SELECT outcome FROM distsync.apply('credit_account', jsonb_build_object('code', 'CT-T', 'limits', jsonb_build_array('{"amount":50}'::jsonb, jsonb_build_object('kind', 'temporary', 'amount', 70, 'from', clock_timestamp() + interval '1 second'))), 'CT-ERP');
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'CT-T';
SELECT pg_sleep(1.1), distsync_internal.credit_clerk(50) IS NOT NULL AS looked;
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'CT-T';
-- a limit that an order passes because a rule releases it binds those below, until there is room again
\o /dev/null
SELECT distsync.apply_all('party', '[{"code":"CT-P","name":"above"},{"code":"CT-Q","name":"below"}]', 'CT-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CT-P","customer":"CT-P","company":"CT","limit":50},{"code":"CT-Q","customer":"CT-Q","company":"CT","parent":"CT-P"}]', 'CT-ERP');
SELECT distsync.apply('credit_rule', '{"code":"CT-R","type":"order_amount","scope_kind":"customer","scope_key":"CT-P","threshold":500,"action":"release"}', 'CT-ERP');
CREATE FUNCTION pg_temp.sweep() RETURNS TABLE (code text, standing text, why text[]) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. 30 LOOP
		EXIT WHEN distsync_internal.credit_clerk_sweep(50) + distsync_internal.credit_clerk(50) = 0;
	END LOOP;
	RETURN QUERY SELECT a.code, a.standing, a.standing_why FROM dist.credit_account a WHERE a.code IN ('CT-P', 'CT-Q') ORDER BY 1;
END $$;
\o
SELECT * FROM pg_temp.sweep();
SELECT d ->> 'outcome' AS outcome, d ->> 'passed_by' AS passed_by FROM dist.credit_account a, distsync_internal.credit_take(a.account_id, 80) d WHERE a.code = 'CT-P';
SELECT * FROM pg_temp.sweep();
-- a command that a rule lets pass its limit is told as a fact is
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'CT-P';
SELECT outcome FROM distsync.apply('payment', '{"company":"CT","payment_number":"CT-PP","customer":"CT-P","currency":"USD","amount":40}', 'CT-ERP');
SELECT * FROM pg_temp.sweep();
SELECT state, money_at_risk FROM sync.exception WHERE kind = 'over_limit' AND trace_key = 'CT-P';
-- it was of no order
\o /dev/null
SELECT distsync_internal.credit_give_back(a.account_id, 80, 'open_orders') FROM dist.credit_account a WHERE a.code = 'CT-P';
DELETE FROM dist.credit_rule WHERE code = 'CT-R';
\o
-- one that is over its limit is blocked as well: those below are told of that too
SELECT pg_temp.bill('CT-I9', 190, '2030-01-01', 'CT-P') AS bill;
SELECT * FROM pg_temp.sweep();
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CT-P","status":"blocked"}', 'CT-ERP');
SELECT * FROM pg_temp.sweep();
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CT-P","status":"open"}', 'CT-ERP');
SELECT * FROM pg_temp.sweep();
-- what time will change is looked at then, whatever said so: a review, an item that is late for too long, a rule that begins
\o /dev/null
SELECT distsync.apply_all('party', '[{"code":"CT-U","name":"u"},{"code":"CT-V","name":"v"}]', 'CT-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CT-U","customer":"CT-U","company":"CT","limit":1000},{"code":"CT-V","customer":"CT-V","company":"CT","limit":1000}]', 'CT-ERP');
SELECT distsync.apply_all('credit_rule', jsonb_build_array(jsonb_build_object('code', 'CT-REV', 'type', 'review_due', 'scope_kind', 'customer', 'scope_key', 'CT-U', 'action', 'warn'),
	jsonb_build_object('code', 'CT-OLD', 'type', 'oldest_item', 'scope_kind', 'customer', 'scope_key', 'CT-V', 'threshold', 10, 'action', 'block'),
	jsonb_build_object('code', 'CT-NEW', 'type', 'overdue_amount', 'scope_kind', 'customer', 'scope_key', 'CT-U', 'threshold', 0, 'action', 'block', 'valid_from', current_date + 2)), 'CT-ERP');
SELECT * FROM pg_temp.sweep();
CREATE TEMP VIEW looks AS SELECT a.code, ((a.due_at AT TIME ZONE 'UTC')::date - current_date) AS days FROM dist.credit_account a WHERE a.code IN ('CT-U', 'CT-V') ORDER BY 1;
\o
SELECT outcome FROM distsync.apply('credit_account', jsonb_build_object('code', 'CT-U', 'review_on', current_date + 1), 'CT-ERP');
SELECT pg_temp.bill('CT-IV', 10, current_date - 4, 'CT-V');
SELECT * FROM looks;
SELECT outcome FROM distsync.apply('credit_account', jsonb_build_object('code', 'CT-U', 'review_on', NULL), 'CT-ERP');
UPDATE dist.credit_account SET due_at = NULL WHERE code = 'CT-U';
SELECT pg_temp.bill('CT-IU', 10, current_date - 4, 'CT-U');
SELECT * FROM looks;
