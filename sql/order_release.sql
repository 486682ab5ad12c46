-- Orders that are held and go on: by whom, whose holds, where to, and what a deposit of whom lets pass.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OL-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OL', 'OL-ERP'), ('order', 'OLN', 'distsync');
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"}]', 'OL-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OL-ERP');
SELECT distsync.apply_all('company', '[{"code":"OL","name":"Release","currency":"USD"},{"code":"OLN","name":"Native","currency":"USD"}]', 'OL-ERP');
SELECT distsync.apply_all('party', '[{"code":"OL-C","name":"Customer","currency":"USD"},{"code":"OL-D","name":"Another","currency":"USD"},{"code":"OL-N","name":"of the native company","currency":"USD"}]', 'OL-ERP');
SELECT distsync.apply_all('site', '[{"code":"OL-W","name":"w","company":"OL"},{"code":"OL-WN","name":"w","company":"OLN"}]', 'OL-ERP');
SELECT distsync.apply('item', '{"sku":"OL-A","name":"A","base_unit":"EA"}', 'OL-ERP');
SELECT distsync.apply_all('agreement', '[{"code":"OL-LIST","slot":"list","company":"OL","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OL-A","value":"10"}]},
	{"code":"OLN-LIST","slot":"list","company":"OLN","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OL-A","value":"10"}]}]', 'OL-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OL-C","customer":"OL-C","company":"OL","limit":100},{"code":"OL-D","customer":"OL-D","company":"OL","limit":100},{"code":"OL-N","customer":"OL-N","company":"OLN","limit":100}]', 'OL-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"ol-1","kind":"receive","sku":"OL-A","site":"OL-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"ol-2","kind":"receive","sku":"OL-A","site":"OL-WN","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}]', 'OL-ERP');
CREATE FUNCTION pg_temp.try(number text, quantity numeric, more jsonb DEFAULT '{}') RETURNS TABLE (state text, credit text, rules jsonb) LANGUAGE sql AS $$
	SELECT s.state, s.credit_state, jsonb_path_query_array(s.reasons, '$[*].rule')
	FROM distsync.submit_order(jsonb_build_object('company', 'OL', 'customer', 'OL-C', 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'OL-A', 'quantity', quantity))) || more) s $$;
CREATE TEMP VIEW live AS SELECT order_number, kind, owner, amount FROM dist.hold WHERE released_at IS NULL AND order_number LIKE 'L%' ORDER BY 1, 2, 3;
CREATE TEMP VIEW acct AS SELECT code, open_orders, held_demand FROM dist.credit_account WHERE code LIKE 'OL-%' ORDER BY 1;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_releases()) v;
\o
-- a forced hold is lifted on somebody's authority only, also where credit would allow the order
SELECT * FROM pg_temp.try('L1', 3);
SELECT r ->> 'state' AS state FROM distsync.hold_order('L1', 'court order', '{"company":"OL","kind":"forced","owner":"legal"}') r;
SELECT distsync.release_order('L1', 'he asked for it', '{"company":"OL"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM live;
-- holds of other owners stay, and the order with them; each ends his own
SELECT r ->> 'state' AS state FROM distsync.hold_order('L1', 'looks odd', '{"company":"OL","owner":"fraud"}') r;
SELECT distsync.release_order('L1', 'which?', '{"company":"OL","authority":"cfo"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order('L1', 'not mine', '{"company":"OL","owner":"pricing"}');
\echo :LAST_ERROR_SQLSTATE
SELECT r - 'correlation_id' FROM distsync.release_order('L1', 'is a good one', '{"company":"OL","owner":"fraud"}') r;
SELECT * FROM live;
SELECT r - 'correlation_id' FROM distsync.release_order('L1', 'court lifted it', '{"company":"OL","owner":"legal","authority":"counsel"}') r;
SELECT * FROM live;
SELECT * FROM acct WHERE code = 'OL-C';
-- the same the other way round: what carries the amount ends first, the amount stays with the order
SELECT r ->> 'state' AS state FROM distsync.hold_order('L1', 'court order', '{"company":"OL","kind":"forced","owner":"legal"}') r;
SELECT r ->> 'state' AS state FROM distsync.hold_order('L1', 'looks odd', '{"company":"OL","owner":"fraud"}') r;
SELECT r - 'correlation_id' FROM distsync.release_order('L1', 'court lifted it', '{"company":"OL","owner":"legal","authority":"counsel"}') r;
SELECT * FROM live;
SELECT * FROM acct WHERE code = 'OL-C';
-- another owner's authority is none over credit: what does not fit then waits for credit, and goes on by itself
SELECT * FROM pg_temp.try('L2', 9);
SELECT r - 'correlation_id' FROM distsync.release_order('L1', 'is a good one', '{"company":"OL","owner":"fraud","authority":"fraud desk"}') r;
SELECT * FROM live;
SELECT * FROM acct WHERE code = 'OL-C';
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OL-C","limit":120}', 'OL-ERP');
SELECT order_number, state, credit_state, exposure_amount FROM dist.sales_order WHERE order_number IN ('L1', 'L2') ORDER BY 1;
-- a price that people look at, on an order that does not fit: pricing lets go of its hold, credit keeps its own
SELECT * FROM pg_temp.try('L3', 5, '{"policy":{"price_mismatch":"hold"},"lines":[{"item":"OL-A","quantity":5,"expected_price":9}]}');
SELECT r - 'correlation_id' FROM distsync.release_order('L3', 'price agreed', '{"company":"OL"}') r;
SELECT * FROM live;
SELECT distsync.release_order('L3', 'please', '{"company":"OL"}');
\echo :LAST_ERROR_SQLSTATE
SELECT r - 'correlation_id' FROM distsync.release_order('L3', 'please', '{"company":"OL","authority":"cfo"}') r;
SELECT event_type, body -> 'reasons' -> 0 ->> 'rule' AS rule FROM sync.outbox WHERE entity_key = 'OL/L3' ORDER BY outbox_id;
SELECT * FROM live;
SELECT * FROM acct WHERE code = 'OL-C';
SELECT * FROM wrong;

-- where orders are ours, one that was held is booked when it goes on, as it would have been at once; nobody waits for an answer
SELECT * FROM pg_temp.try('LN1', 20, '{"company":"OLN","customer":"OL-N","policy":{"answer_within":"1 hour"}}');
SELECT * FROM pg_temp.try('LN2', 20, '{"company":"OLN","customer":"OL-N","policy":{"answer_within":"1 hour","held_stock":"none"}}');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OL-N","limit":500}', 'OL-ERP');
SELECT distsync_internal.order_clerk_redecide(10);
SELECT order_number, state, credit_state, owner_number, answer_due_at FROM dist.sales_order WHERE order_number LIKE 'LN%' ORDER BY 1;
SELECT entity_key, event_type FROM sync.outbox WHERE entity_key LIKE 'OLN/LN%' ORDER BY 1, outbox_id;
-- and one that people stopped after it was booked is booked again
SELECT r ->> 'state' AS state FROM distsync.hold_order('LN1', 'look', '{"company":"OLN"}') r;
SELECT r ->> 'state' AS state FROM distsync.release_order('LN1', 'fine', '{"company":"OLN"}') r;
SELECT event_type FROM sync.outbox WHERE entity_key = 'OLN/LN1' ORDER BY outbox_id;
SELECT * FROM wrong;

-- the owner's yes after we gave up counts the order again, whatever the limit says, and that is told
SELECT * FROM pg_temp.try('L4', 4, '{"customer":"OL-D","policy":{"answer_within":"1 hour"}}');
UPDATE dist.sales_order SET answer_due_at = now() - interval '1 second' WHERE order_number = 'L4';
SELECT distsync_internal.order_clerk_unanswered(10);
SELECT * FROM pg_temp.try('L5', 8, '{"customer":"OL-D"}');
SELECT distsync_internal.order_replied('{"event_type":"order.accepted","entity":"order","entity_key":"OL/L4","system":"OL-ERP","status":200,"reply":{"order_number":"ERP-4"}}');
SELECT order_number, state, exposure_amount FROM dist.sales_order WHERE order_number IN ('L4', 'L5') ORDER BY 1;
SELECT * FROM acct WHERE code = 'OL-D';
SELECT kind, entity_key, state FROM sync.exception WHERE entity_key = 'OL-D' OR trace_key = 'OL/L4' ORDER BY 1;
SELECT * FROM wrong;

-- a deposit lets pass the order of who paid it, and of his group: not that of somebody who names the same number
\o /dev/null
SELECT distsync.apply_all('party', '[{"code":"OL-P1","name":"Pays","currency":"USD"},{"code":"OL-P2","name":"Names a number","currency":"USD"},{"code":"OL-JB","name":"Job"},{"code":"OL-S","name":"Shop of P1","currency":"USD","payer":"OL-P1"}]', 'OL-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OL-P1","customer":"OL-P1","company":"OL","limit":0},{"code":"OL-P2","customer":"OL-P2","company":"OL","limit":0},{"code":"OL-JB","customer":"OL-JB","company":"OL","limit":0}]', 'OL-ERP');
SELECT distsync.apply_all('payment', '[{"company":"OL","payment_number":"OL-D1","customer":"OL-P1","kind":"deposit","order":"L6","currency":"USD","amount":100},{"company":"OL","payment_number":"OL-D2","customer":"OL-P1","kind":"deposit","order":"L7","currency":"USD","amount":100}]', 'OL-ERP');
\o
SELECT * FROM pg_temp.try('L6', 10, '{"customer":"OL-P2"}');
SELECT * FROM pg_temp.try('L7', 10, '{"customer":"OL-S"}');
-- one for an order that waits on the account of a job lets it go at once
SELECT * FROM pg_temp.try('L8', 10, '{"customer":"OL-P1","job":"OL-JB"}');
SELECT outcome FROM distsync.apply('payment', '{"company":"OL","payment_number":"OL-D3","customer":"OL-P2","kind":"deposit","order":"L8","currency":"USD","amount":100}', 'OL-ERP');
SELECT state FROM dist.sales_order WHERE order_number = 'L8';
SELECT outcome FROM distsync.apply('payment', '{"company":"OL","payment_number":"OL-D4","customer":"OL-P1","kind":"deposit","order":"L8","currency":"USD","amount":100}', 'OL-ERP');
SELECT order_number, state, deposit_amount FROM dist.sales_order WHERE order_number IN ('L6', 'L7', 'L8') ORDER BY 1;
SELECT * FROM wrong;

-- an error while an order is let go keeps no payment out: people are told, the clerk lets go of the others and comes back for the one
SELECT * FROM pg_temp.try('L9', 20, '{"customer":"OL-D","policy":{"answer_within":"1 hour"}}');
SELECT * FROM pg_temp.try('LA', 10, '{"customer":"OL-D"}');
UPDATE dist.sales_order SET policy = policy || '{"answer_within":"soon"}' WHERE order_number = 'L9';
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OL-D","limit":1000}', 'OL-ERP');
SELECT order_number, state, credit_state FROM dist.sales_order WHERE order_number IN ('L9', 'LA') ORDER BY 1;
SELECT outcome, detail -> 'unapplied' AS unapplied FROM distsync.apply('payment', '{"company":"OL","payment_number":"OL-P9","customer":"OL-D","currency":"USD","amount":7}', 'OL-ERP');
SELECT state, entity_key, details ->> 'sqlstate' AS code, details ->> 'message' AS message FROM sync.exception WHERE kind = 'release_failed';
SELECT due_at <= clock_timestamp() AS due FROM dist.credit_account WHERE code = 'OL-D';
SELECT distsync_internal.credit_clerk(10) > 0 AS looks, distsync_internal.credit_clerk(10) AS again;
SELECT order_number, state, credit_state FROM dist.sales_order WHERE order_number IN ('L9', 'LA') ORDER BY 1;
SELECT state, entity_key, details -> 'orders' AS orders FROM sync.exception WHERE kind = 'release_failed';
SELECT due_at BETWEEN now() AND now() + interval '1 hour' AS comes_back FROM dist.credit_account WHERE code = 'OL-D';
UPDATE dist.sales_order SET policy = policy || '{"answer_within":"1 hour"}' WHERE order_number = 'L9';
UPDATE dist.credit_account SET due_at = now() WHERE code = 'OL-D';
SELECT distsync_internal.credit_clerk(10);
SELECT order_number, state, credit_state FROM dist.sales_order WHERE order_number IN ('L9', 'LA') ORDER BY 1;
SELECT state FROM sync.exception WHERE kind = 'release_failed';
SELECT * FROM acct WHERE code = 'OL-D';
SELECT * FROM wrong;

-- commands with a key are done once: the first answer again, another request with the key is an error, what was refused burns none
SELECT * FROM pg_temp.try('LB', 1, '{"customer":"OL-D"}');
SELECT r -> 'state' AS state FROM distsync.hold_order('LB', 'look', '{"company":"OL","idempotency_key":"lb-1"}') r;
SELECT distsync.hold_order('LB', 'x', '3');
\echo :LAST_ERROR_SQLSTATE
SELECT r -> 'state' AS state, r -> 'hold' = (SELECT to_jsonb(max(h.hold_id)) FROM dist.hold h WHERE h.order_number = 'LB') AS the_hold FROM distsync.hold_order('LB', 'look', '{"idempotency_key":"lb-1","company":"OL"}') r;
SELECT count(*) FROM dist.hold WHERE order_number = 'LB';
SELECT distsync.hold_order('LB', 'look again', '{"company":"OL","idempotency_key":"lb-1"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order('LB', 'fine', '{"company":"OL","owner":"legal","idempotency_key":"lb-2"}');
\echo :LAST_ERROR_SQLSTATE
SELECT r - 'correlation_id' FROM distsync.release_order('LB', 'fine', '{"company":"OL","idempotency_key":"lb-2"}') r;
SELECT r - 'correlation_id' FROM distsync.release_order('LB', 'fine', '{"company":"OL","idempotency_key":"lb-2"}') r;
SELECT count(*) FILTER (WHERE event_type = 'order.held') AS held, count(*) FILTER (WHERE event_type = 'order.released') AS released FROM sync.outbox WHERE entity_key = 'OL/LB';
SELECT distsync.release_order('LB', 'fine', '{"company":"OL","idempotency_key":""}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.hold_order('LB', 'x', '{"company":"OL","source":"OL-ERP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM wrong;

-- an order that takes its account across a warning is told of the account too, whichever way it is taken
\o /dev/null
SELECT distsync.apply('party', '{"code":"OL-WN","name":"Warned","currency":"USD"}', 'OL-ERP');
SELECT distsync.apply('credit_account', '{"code":"OL-WN","customer":"OL-WN","company":"OL","limit":100}', 'OL-ERP');
SELECT distsync.apply('credit_rule', '{"code":"OL-HALF","type":"limit_share","threshold":50,"action":"warn","scope_kind":"customer","scope_key":"OL-WN"}', 'OL-ERP');
\o
SELECT * FROM pg_temp.try('LW1', 5, '{"customer":"OL-WN"}');
SELECT standing, standing_why FROM dist.credit_account WHERE code = 'OL-WN';
SELECT * FROM pg_temp.try('LW2', 1, '{"customer":"OL-WN"}');
SELECT standing, standing_why FROM dist.credit_account WHERE code = 'OL-WN';
SELECT * FROM pg_temp.try('LW3', 4, '{"customer":"OL-WN","policy":{"split":true}}');
SELECT standing, standing_why FROM dist.credit_account WHERE code = 'OL-WN';
SELECT * FROM wrong;

-- what its owner closes while credit holds it has ended: nobody let it go
SELECT * FROM pg_temp.try('LW4', 9, '{"customer":"OL-WN"}');
SELECT outcome FROM distsync.apply('order', '{"company":"OL","order_number":"LW4","state":"closed"}', 'OL-ERP');
SELECT o.state, o.credit_state, h.release_reason FROM dist.sales_order o JOIN dist.hold h USING (customer_id, order_id) WHERE o.order_number = 'LW4';
SELECT * FROM wrong;

-- blanks are no reason, no authority and no owner; a number that is missing is missing
SELECT * FROM pg_temp.try('LX', 1, '{"customer":"OL-WN"}');
SELECT distsync.hold_order('LX', E' \t', '{"company":"OL"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.hold_order('LX', 'why', '{"company":"OL","owner":" "}');
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'state' AS state FROM distsync.hold_order('LX', 'court', '{"company":"OL","owner":"legal","kind":"forced"}') r;
SELECT distsync.release_order('LX', ' ', '{"company":"OL","owner":"legal","authority":"counsel"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order('LX', 'fine', '{"company":"OL","owner":"legal","authority":""}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order('LX', 'fine', '{"company":"OL","owner":"legal","authority":" "}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order('LX', 'fine', '{"company":"OL","owner":""}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.release_order(NULL, 'fine');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM wrong;

-- what would lift a hold is told as it is now, not as it was; and on whose authority one was lifted
\o /dev/null
SELECT distsync.apply('party', '{"code":"OL-NOW","name":"Now","currency":"USD"}', 'OL-ERP');
SELECT distsync.apply('credit_account', '{"code":"OL-NOW","customer":"OL-NOW","company":"OL","limit":100}', 'OL-ERP');
\o
SELECT * FROM pg_temp.try('LY1', 8, '{"customer":"OL-NOW"}');
SELECT * FROM pg_temp.try('LY2', 7, '{"customer":"OL-NOW"}');
CREATE FUNCTION pg_temp.now_of(number text) RETURNS TABLE (was numeric, outcome text, amount numeric, cure numeric) LANGUAGE sql AS $$
	SELECT (r #>> '{holds,0,reasons,0,pay}')::numeric, r -> 'credit_now' ->> 'outcome', (r -> 'credit_now' ->> 'amount')::numeric, (r -> 'credit_now' ->> 'cure')::numeric FROM distsync.order_status(number, '{"company":"OL"}') r $$;
SELECT * FROM pg_temp.now_of('LY2');
SELECT outcome FROM distsync.apply('payment', '{"company":"OL","payment_number":"LY-P1","customer":"OL-NOW","currency":"USD","amount":20}', 'OL-ERP');
SELECT * FROM pg_temp.now_of('LY2');
SELECT r ->> 'state' AS state FROM distsync.hold_order('LY2', 'court', '{"company":"OL","owner":"legal","kind":"forced"}') r;
SELECT outcome FROM distsync.apply('payment', '{"company":"OL","payment_number":"LY-P2","customer":"OL-NOW","currency":"USD","amount":30}', 'OL-ERP');
SELECT * FROM pg_temp.now_of('LY2');
SELECT r ->> 'state' AS state FROM distsync.release_order('LY2', 'court lifted it', '{"company":"OL","owner":"legal","authority":"counsel"}') r;
SELECT r -> 'credit_now' AS credit_now, jsonb_path_query_array(r, '$.audit[*].authority') AS authorities FROM distsync.order_status('LY2', '{"company":"OL"}') r;
SELECT distsync.order_status('LY1', '{"company":"OL"}') -> 'credit_now' AS credit_now;
SELECT * FROM wrong;
