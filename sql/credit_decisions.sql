-- Decisions of docs/credit.md that could have been others: whose rules, whose lateness, which limits alone, who lifts what of a blocked customer.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
INSERT INTO sync.system (code, kind) VALUES ('DN-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'DN', 'distsync');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'DN-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'DN-ERP');
SELECT distsync.apply('company', '{"code":"DN","name":"Decisions","currency":"USD"}', 'DN-ERP');
SELECT distsync.apply_all('party', '[{"code":"DN-G","name":"group"},{"code":"DN-M","name":"member","parent":"DN-G"},{"code":"DN-N","name":"sister","parent":"DN-G"},{"code":"DN-S","name":"season"},{"code":"DN-P","name":"pays"},{"code":"DN-B","name":"buys","payer":"DN-P"},{"code":"DN-X","name":"blocked"}]', 'DN-ERP');
SELECT distsync.apply('site', '{"code":"DN-W","name":"w","company":"DN"}', 'DN-ERP');
SELECT distsync.apply('item', '{"sku":"DN-I","name":"I","base_unit":"EA"}', 'DN-ERP');
SELECT distsync.apply('agreement', '{"code":"DN-LIST","slot":"list","company":"DN","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"DN-I","value":"10"}]}', 'DN-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"dn-1","kind":"receive","sku":"DN-I","site":"DN-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}', 'DN-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"DN-G","customer":"DN-G","company":"DN","limit":1000},{"code":"DN-M","customer":"DN-M","company":"DN","parent":"DN-G"},{"code":"DN-N","customer":"DN-N","company":"DN","parent":"DN-G"},
	{"code":"DN-P","customer":"DN-P","company":"DN","limit":1000},{"code":"DN-X","customer":"DN-X","company":"DN","limit":50},{"code":"DN-S","customer":"DN-S","company":"DN","limits":[{"kind":"seasonal","amount":100}]}]', 'DN-ERP');
CREATE FUNCTION pg_temp.bill(customer text, number text, amount numeric, due date) RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('invoice', jsonb_build_object('company', 'DN', 'invoice_number', number, 'customer', customer, 'currency', 'USD', 'net_amount', amount, 'due_on', to_jsonb(due)), 'DN-ERP') $$;
CREATE FUNCTION pg_temp.ask(customer text, amount numeric) RETURNS TABLE (outcome text, credit_limit numeric, rules jsonb) LANGUAGE sql AS $$
	SELECT c.outcome, c.credit_limit, jsonb_path_query_array(c.reasons, '$[*].code ? (@ starts with "DN-")') FROM distsync.credit(customer, amount, 'USD', '{"company":"DN"}') c $$;
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric) RETURNS text LANGUAGE sql AS $$
	SELECT s.state FROM distsync.submit_order(jsonb_build_object('company', 'DN', 'customer', customer, 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'DN-I', 'quantity', quantity)))) s $$;
CREATE TEMP VIEW holds AS SELECT order_number, owner, kind, amount, jsonb_path_query_array(reasons, '$[*].rule') AS rules, released_at IS NOT NULL AS ended FROM dist.hold WHERE order_number LIKE 'DN-%' ORDER BY order_number, owner, kind, hold_id;
\o
-- what is late is the account's own: who pays late himself is held, neither who stands above nor his sisters
SELECT pg_temp.bill('DN-M', 'DN-1', 30, current_date - 100), pg_temp.bill('DN-N', 'DN-2', 60, current_date + 10), pg_temp.bill('DN-G', 'DN-3', 10, current_date - 100);
SELECT outcome FROM distsync.apply_all('credit_rule', '[{"code":"DN-LATE-M","scope_kind":"customer","scope_key":"DN-M","type":"overdue_amount","threshold":5},{"code":"DN-LATE-N","scope_kind":"customer","scope_key":"DN-N","type":"overdue_amount","threshold":5},
	{"code":"DN-LATE-G","scope_kind":"customer","scope_key":"DN-G","type":"overdue_amount","threshold":20},{"code":"DN-SHARE-G","scope_kind":"customer","scope_key":"DN-G","type":"overdue_share","threshold":50,"action":"warn"}]', 'DN-ERP');
SELECT c.customer, a.* FROM (VALUES ('DN-G'), ('DN-M'), ('DN-N')) c(customer) CROSS JOIN LATERAL pg_temp.ask(c.customer, 1) a;
-- a share is of all that is receivable in the tree
SELECT r -> 'code' AS code, r -> 'value' AS value FROM jsonb_array_elements(distsync.explain_credit('DN-G', 1, 'USD', '{"company":"DN"}') -> 'rules') r WHERE r ->> 'code' LIKE 'DN-%';
-- the limit above binds all of them
SELECT outcome, account FROM distsync.credit('DN-N', 950, 'USD', '{"company":"DN"}');
-- a seasonal or temporary limit raises one that there is; alone it limits nothing
SELECT * FROM pg_temp.ask('DN-S', 1000000);
SELECT outcome FROM distsync.apply('credit_account', '{"code":"DN-S","limits":[{"kind":"base","amount":0},{"kind":"seasonal","amount":100}]}', 'DN-ERP');
SELECT * FROM pg_temp.ask('DN-S', 101);
SELECT * FROM pg_temp.ask('DN-S', 100);
-- a rule is of who owes, whoever orders
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"DN-BIG-B","scope_kind":"customer","scope_key":"DN-B","type":"order_amount","threshold":5}', 'DN-ERP');
SELECT * FROM pg_temp.ask('DN-B', 10);
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"DN-BIG-P","scope_kind":"customer","scope_key":"DN-P","type":"order_amount","threshold":5}', 'DN-ERP');
SELECT * FROM pg_temp.ask('DN-B', 10);
SELECT pg_temp.try('DN-B', 'DN-B1', 1);
-- but that a customer is not active counts of both
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"DN-ACTIVE","scope_kind":"customer","scope_key":"DN-P","type":"customer_status"}', 'DN-ERP');
SELECT outcome FROM distsync.apply('party', '{"code":"DN-B","status":"blocked"}', 'DN-ERP');
SELECT * FROM pg_temp.ask('DN-B', 1);
-- an order of a blocked customer has two holds: one says who lifts it, the other has its amount and its place among what waits
SELECT outcome FROM distsync.apply('party', '{"code":"DN-X","status":"blocked"}', 'DN-ERP');
SELECT pg_temp.try('DN-X', 'DN-X1', 3), pg_temp.try('DN-X', 'DN-X2', 4);
SELECT * FROM holds WHERE order_number LIKE 'DN-X%';
-- that he is not blocked any more lifts nothing: somebody has decided it, and somebody looks
SELECT outcome FROM distsync.apply('party', '{"code":"DN-X","status":"active"}', 'DN-ERP');
SELECT order_number, owner FROM holds WHERE order_number LIKE 'DN-X%' AND NOT ended;
SELECT distsync.release_order('DN-X1', 'looked', '{"company":"DN"}');
\echo :LAST_ERROR_SQLSTATE
-- lifted on his owner's authority, credit decides: the one goes on, the other waits for credit alone
SELECT r ->> 'state' AS state FROM distsync.release_order('DN-X1', 'looked', '{"company":"DN","authority":"sales"}') r;
SELECT r ->> 'state' AS state, r -> 'held_by' AS held_by FROM distsync.release_order('DN-X2', 'looked', '{"company":"DN","authority":"sales"}') r;
SELECT * FROM holds WHERE order_number LIKE 'DN-X%';
SELECT jsonb_path_query_array(body, '$.reasons[*].rule') AS told FROM sync.outbox WHERE event_type = 'order.held' AND entity_key = 'DN/DN-X2' ORDER BY outbox_id DESC LIMIT 1;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"DN-X","limit":70}', 'DN-ERP');
SELECT order_number, state, credit_state FROM dist.sales_order WHERE order_number LIKE 'DN-X%' ORDER BY 1;
