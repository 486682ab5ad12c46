-- Open orders inside a horizon: what ships later is taken without counting, counts when its day comes, and is held then if it does not fit.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
INSERT INTO sync.system (code, kind) VALUES ('HZ-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'HZ', 'distsync');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'HZ-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'HZ-ERP');
SELECT distsync.apply('company', '{"code":"HZ","name":"Later","currency":"USD"}', 'HZ-ERP');
SELECT distsync.apply_all('party', '[{"code":"HZ-G","name":"group"},{"code":"HZ-A","name":"a"},{"code":"HZ-B","name":"b"},{"code":"HZ-N","name":"none"},{"code":"HZ-R","name":"opened later"}]', 'HZ-ERP');
SELECT distsync.apply('site', '{"code":"HZ-W","name":"w","company":"HZ"}', 'HZ-ERP');
SELECT distsync.apply('item', '{"sku":"HZ-I","name":"I","base_unit":"EA"}', 'HZ-ERP');
SELECT distsync.apply('agreement', '{"code":"HZ-LIST","slot":"list","company":"HZ","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"HZ-I","value":"10"}]}', 'HZ-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"hz-1","kind":"receive","sku":"HZ-I","site":"HZ-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"}', 'HZ-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"HZ-G","customer":"HZ-G","company":"HZ","limit":5000},{"code":"HZ-A","customer":"HZ-A","company":"HZ","parent":"HZ-G","limit":1000,"horizon_days":30},
	{"code":"HZ-B","customer":"HZ-B","company":"HZ","parent":"HZ-G","limit":1000},{"code":"HZ-N","customer":"HZ-N","company":"HZ","limit":1000}]', 'HZ-ERP');
-- an order that ships in so many days
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric, days integer, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT s.state FROM distsync.submit_order(jsonb_strip_nulls(jsonb_build_object('company', 'HZ', 'customer', customer, 'order_number', number, 'requested_at', (current_date + days)::text, 'lines', jsonb_build_array(jsonb_build_object('item', 'HZ-I', 'quantity', quantity)))) || more) s $$;
CREATE FUNCTION pg_temp.pay(customer text, number text, amount numeric) RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('payment', jsonb_build_object('company', 'HZ', 'payment_number', number, 'customer', customer, 'currency', 'USD', 'amount', amount), 'HZ-ERP') $$;
CREATE FUNCTION pg_temp.ship(number text, quantity numeric) RETURNS text LANGUAGE sql AS $$
	SELECT COALESCE(r ->> 'outcome', r ->> 'state') FROM distsync.ship(jsonb_build_object('company', 'HZ', 'shipment_number', number || '-S' || (SELECT count(*) FROM dist.shipment), 'order_number', number, 'site', 'HZ-W', 'lines', jsonb_build_array(jsonb_build_object('order_line', 1, 'quantity', quantity)))) r $$;
-- days pass: all that is to come is nearer
CREATE FUNCTION pg_temp.days_pass(n integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	-- the clerk may be at work
	PERFORM distsync_internal.credit_lock(ARRAY(SELECT a.account_id FROM dist.credit_account a WHERE a.code LIKE 'HZ-%'));
	UPDATE dist.order_line l SET requested_at = l.requested_at - make_interval(days => n) FROM dist.sales_order o WHERE o.order_id = l.order_id AND o.order_number LIKE 'HZ-%';
	UPDATE dist.sales_order o SET ship_on = o.ship_on - n, requested_at = o.requested_at - make_interval(days => n) WHERE o.order_number LIKE 'HZ-%';
	UPDATE dist.hold h SET ship_on = h.ship_on - n WHERE h.order_number LIKE 'HZ-%';
	UPDATE dist.open_order_day d SET ship_on = d.ship_on - n - 100000 FROM dist.credit_account a WHERE a.account_id = d.account_id AND a.code LIKE 'HZ-%';
	UPDATE dist.open_order_day d SET ship_on = d.ship_on + 100000 FROM dist.credit_account a WHERE a.account_id = d.account_id AND a.code LIKE 'HZ-%';
	UPDATE dist.credit_account a SET horizon_on = a.horizon_on - n, due_at = CASE WHEN a.due_at - make_interval(days => n) <= clock_timestamp() THEN clock_timestamp() ELSE a.due_at - make_interval(days => n) END WHERE a.code LIKE 'HZ-%';
END $$;
CREATE FUNCTION pg_temp.clerk() RETURNS void LANGUAGE plpgsql AS $$ BEGIN WHILE distsync_internal.credit_clerk(50) > 0 LOOP END LOOP; END $$;
CREATE TEMP VIEW acct AS SELECT code, horizon_days AS days, open_orders, later_amount AS later, held_demand AS held, unbilled FROM dist.credit_account WHERE code LIKE 'HZ-%' ORDER BY 1;
CREATE TEMP VIEW days AS SELECT a.code, d.ship_on - current_date AS in_days, d.amount FROM dist.open_order_day d JOIN dist.credit_account a USING (account_id) WHERE a.code LIKE 'HZ-%' ORDER BY 1, 2;
CREATE TEMP VIEW orders AS SELECT order_number, state, credit_state AS credit, exposure_amount AS exposure, ship_on - current_date AS in_days FROM dist.sales_order WHERE order_number LIKE 'HZ-%' ORDER BY 1;
CREATE TEMP VIEW held AS SELECT order_number, amount, checkpoint, jsonb_path_query_array(reasons, '$[*].rule') AS rules FROM dist.hold WHERE released_at IS NULL AND order_number LIKE 'HZ-%' ORDER BY queued_at;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_releases() UNION ALL SELECT * FROM distsync_internal.order_verify_days()) v WHERE entity_key LIKE '%HZ%';
\o
-- inside the horizon an order counts, beyond it it is taken and counts nowhere but above, where there is no horizon
SELECT pg_temp.try('HZ-A', 'HZ-1', 60, 10), pg_temp.try('HZ-A', 'HZ-2', 70, 40), pg_temp.try('HZ-A', 'HZ-3', 30, 45), pg_temp.try('HZ-A', 'HZ-4', 50, 20), pg_temp.try('HZ-A', 'HZ-5', 1, NULL);
SELECT * FROM orders;
SELECT * FROM acct;
SELECT * FROM days;
SELECT * FROM held;
SELECT outcome, exposure, headroom, detail -> 'horizon' ->> 'days' AS days, detail -> 'horizon' -> 'later' AS later, detail -> 'terms' AS terms FROM distsync.credit('HZ-A', 0, 'USD', '{"company":"HZ"}');
SELECT valid_until = (current_date + 10)::timestamptz AS until_the_next_counts FROM distsync.credit('HZ-A', 0, 'USD', '{"company":"HZ"}');
SELECT x -> 'account' AS account, x -> 'horizon' ->> 'days' AS days, x -> 'horizon' -> 'later' AS later, x -> 'terms' -> 'open_orders' AS open_orders, x -> 'counts' AS counts FROM jsonb_array_elements(distsync.explain_credit('HZ-A', 0, 'USD', '{"company":"HZ"}') -> 'accounts') x;
SELECT w -> 'exposure' AS exposure, w -> 'headroom' AS headroom, w ->> 'outcome' AS outcome FROM distsync.credit_what_if('HZ-A', jsonb_build_array(jsonb_build_object('at', (current_date + 10)::timestamptz)), '{"company":"HZ"}') w;
SELECT inputs -> 'ship_on' IS NOT NULL AS told, jsonb_path_query_array(inputs, '$.accounts[*].counts') AS counts FROM dist.credit_decision d JOIN dist.sales_order o USING (order_id) WHERE o.order_number = 'HZ-2';
SELECT * FROM wrong;
-- an order of an account without a horizon needs no day, one of several lines has the first, one with a line at once none
SELECT pg_temp.try('HZ-N', 'HZ-N1', 1, 40);
SELECT pg_temp.try('HZ-A', 'HZ-6', 1, 60, jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('item', 'HZ-I', 'quantity', 1), jsonb_build_object('item', 'HZ-I', 'quantity', 1, 'requested_at', (current_date + 50)::text))));
SELECT pg_temp.try('HZ-A', 'HZ-7', 1, NULL, jsonb_build_object('lines', jsonb_build_array(jsonb_build_object('item', 'HZ-I', 'quantity', 1), jsonb_build_object('item', 'HZ-I', 'quantity', 1, 'requested_at', (current_date + 50)::text))));
SELECT * FROM orders WHERE order_number IN ('HZ-6', 'HZ-7', 'HZ-N1');
SELECT r ->> 'state' AS cancelled FROM unnest(ARRAY['HZ-6', 'HZ-7']) n CROSS JOIN LATERAL distsync.cancel_order(n, 'test') r;
SELECT * FROM days;
-- the preview says the same
SELECT state, detail -> 'cure' AS cure FROM distsync.preview_order(jsonb_build_object('company', 'HZ', 'customer', 'HZ-A', 'requested_at', (current_date + 20)::text, 'lines', '[{"item":"HZ-I","quantity":60}]'::jsonb));
SELECT state FROM distsync.preview_order(jsonb_build_object('company', 'HZ', 'customer', 'HZ-A', 'requested_at', (current_date + 31)::text, 'lines', '[{"item":"HZ-I","quantity":60}]'::jsonb));
-- days pass: before the clerk has looked it counts already; then it does not fit and is held
BEGIN;
SELECT pg_temp.days_pass(10);
SELECT exposure, headroom FROM distsync.credit('HZ-A', 0, 'USD', '{"company":"HZ"}');
SELECT pg_temp.clerk();
COMMIT;
SELECT * FROM held;
SELECT * FROM orders WHERE order_number IN ('HZ-1', 'HZ-2', 'HZ-3');
SELECT * FROM acct;
SELECT * FROM days;
SELECT exposure, headroom FROM distsync.credit('HZ-A', 0, 'USD', '{"company":"HZ"}');
SELECT * FROM wrong;
SELECT count(*) AS told FROM sync.outbox WHERE event_type = 'order.held' AND entity_key = 'HZ/HZ-2' AND body ->> 'checkpoint' = 'horizon';
-- money lets it go
SELECT pg_temp.pay('HZ-A', 'HZ-P1', 500);
SELECT * FROM held;
SELECT * FROM orders WHERE order_number = 'HZ-2';
SELECT exposure, headroom FROM distsync.credit('HZ-A', 0, 'USD', '{"company":"HZ"}');
SELECT * FROM wrong;
-- what fits when its day comes goes on
SELECT pg_temp.pay('HZ-A', 'HZ-P2', 700);
SELECT pg_temp.days_pass(5), pg_temp.clerk();
SELECT * FROM held;
SELECT * FROM acct;
SELECT * FROM days;
SELECT * FROM wrong;
-- an account over its limit takes nothing, however late
SELECT pg_temp.try('HZ-B', 'HZ-B1', 100, 3);
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-B","limit":900,"horizon_days":7}', 'HZ-ERP');
SELECT pg_temp.try('HZ-B', 'HZ-B2', 10, 20);
SELECT * FROM held;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-B","limit":1000}', 'HZ-ERP');
SELECT * FROM held;
SELECT * FROM orders WHERE order_number LIKE 'HZ-B%';
SELECT * FROM wrong;
-- a change of date: later gives room back, earlier asks for it
SELECT r ->> 'outcome' AS later FROM distsync.change_order('HZ-B1', jsonb_build_object('requested_at', (current_date + 12)::text)) r;
SELECT * FROM acct WHERE code = 'HZ-B';
SELECT pg_temp.try('HZ-B', 'HZ-B3', 60, 2);
SELECT r ->> 'outcome' AS earlier FROM distsync.change_order('HZ-B1', jsonb_build_object('requested_at', (current_date + 5)::text)) r;
SELECT * FROM held;
SELECT * FROM wrong;
SELECT r ->> 'outcome' AS later FROM distsync.change_order('HZ-B1', jsonb_build_object('requested_at', (current_date + 14)::text)) r;
SELECT * FROM held;
SELECT * FROM orders WHERE order_number LIKE 'HZ-B%';
SELECT * FROM acct WHERE code = 'HZ-B';
SELECT * FROM days WHERE code = 'HZ-B';
SELECT * FROM wrong;
-- shipped or picked before its day: it is asked, and counts from then on
SELECT pg_temp.ship('HZ-B1', 5);
SELECT * FROM held;
SELECT * FROM wrong;
SELECT r ->> 'state' AS cancelled FROM distsync.cancel_order('HZ-B3', 'test') r;
SELECT * FROM held;
SELECT * FROM orders WHERE order_number LIKE 'HZ-B%';
SELECT r ->> 'outcome' AS later FROM distsync.change_order('HZ-B1', jsonb_build_object('requested_at', (current_date + 15)::text)) r;
SELECT distsync.pick_order('HZ-B2') ->> 'outcome' AS picked;
SELECT * FROM orders WHERE order_number LIKE 'HZ-B%';
SELECT * FROM held;
SELECT pg_temp.ship('HZ-B2', 4), pg_temp.ship('HZ-B2', 6);
SELECT * FROM acct WHERE code = 'HZ-B';
SELECT * FROM wrong;
-- a fact asks nobody: shipped, and billed, before its day
SELECT r ->> 'outcome' AS later FROM distsync.change_order('HZ-B1', jsonb_build_object('requested_at', (current_date + 14)::text, 'lines', '[{"line":1,"quantity":20}]'::jsonb)) r;
SELECT * FROM orders WHERE order_number = 'HZ-B1';
SELECT outcome FROM distsync.apply('shipment', '{"company":"HZ","shipment_number":"HZ-F1","order_number":"HZ-B1","site":"HZ-W","lines":[{"order_line":1,"quantity":8}]}', 'HZ-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"HZ","invoice_number":"HZ-V1","order_number":"HZ-B1","currency":"USD","net_amount":120,"lines":[{"order_line":1,"quantity":12,"net_amount":120}]}', 'distsync');
SELECT * FROM acct WHERE code = 'HZ-B';
SELECT * FROM days WHERE code = 'HZ-B';
SELECT * FROM wrong;
-- another horizon above: the tree is added up; a member that moves takes its days with it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-G","horizon_days":4}', 'HZ-ERP');
SELECT pg_temp.try('HZ-A', 'HZ-8', 5, 6);
SELECT * FROM acct;
SELECT * FROM days;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-A","parent":null}', 'HZ-ERP');
SELECT * FROM days;
SELECT * FROM wrong;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-A","parent":"HZ-G"}', 'HZ-ERP');
SELECT * FROM days;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-N","horizon_days":20}', 'HZ-ERP');
SELECT * FROM orders WHERE order_number = 'HZ-N1';
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"HZ-N","horizon_days":null},{"code":"HZ-G","horizon_days":null}]', 'HZ-ERP');
SELECT * FROM acct;
SELECT * FROM days;
SELECT * FROM wrong;
SELECT outcome, sqlstate, field FROM distsync.apply_all('credit_account', '[{"code":"HZ-N","horizon_days":4000},{"code":"HZ-N","horizon_days":-1}]', 'HZ-ERP', NULL, '{"on_error":"collect"}');
-- an account that is opened later takes over what is to come as well
SELECT pg_temp.try('HZ-R', 'HZ-R1', 10, 40), pg_temp.try('HZ-R', 'HZ-R2', 5, 10);
SELECT outcome FROM distsync.apply('credit_account', '{"code":"HZ-R","customer":"HZ-R","company":"HZ","limit":100,"horizon_days":30}', 'HZ-ERP');
DO $$ BEGIN WHILE (SELECT count(*) FROM dist.sales_order WHERE order_number LIKE 'HZ-R%' AND account_id IS NULL) > 0 LOOP PERFORM distsync_internal.order_clerk_rehome(1); END LOOP; END $$;
SELECT * FROM acct WHERE code = 'HZ-R';
SELECT * FROM days WHERE code = 'HZ-R';
SELECT * FROM wrong;
-- a group's day comes: of all below it, the last let go first, until it stands well
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"HZ-G","horizon_days":10,"limit":3000},{"code":"HZ-A","horizon_days":null,"limit":null},{"code":"HZ-B","horizon_days":null,"limit":null}]', 'HZ-ERP');
SELECT exposure, headroom FROM distsync.credit('HZ-G', 0, 'USD', '{"company":"HZ"}');
SELECT pg_temp.try('HZ-A', 'HZ-T1', 250, 12), pg_temp.try('HZ-B', 'HZ-T2', 20, 12), pg_temp.try('HZ-A', 'HZ-T3', 30, 12), pg_temp.try('HZ-B', 'HZ-T4', 5, 13);
SELECT pg_temp.days_pass(2), pg_temp.clerk();
SELECT * FROM held;
SELECT exposure <= credit_limit AS fits FROM distsync.credit('HZ-G', 0, 'USD', '{"company":"HZ"}');
SELECT * FROM acct WHERE code IN ('HZ-G');
SELECT * FROM wrong;
SELECT kind, state FROM sync.exception WHERE entity_key LIKE 'HZ-%' AND kind IN ('over_limit', 'rehold_failed', 'release_failed') ORDER BY 1, 2;
-- what is billed before its day leaves what is to come, and comes back to it where the invoice is void
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"HZ-G","horizon_days":null,"limit":9000},{"code":"HZ-A","horizon_days":30,"limit":9000}]', 'HZ-ERP');
SELECT pg_temp.try('HZ-A', 'HZ-V', 4, 60);
SELECT outcome FROM distsync.apply('invoice', '{"company":"HZ","invoice_number":"HZ-VI","order_number":"HZ-V","currency":"USD","net_amount":30,"lines":[{"order_line":1,"quantity":3}]}', 'HZ-ERP');
SELECT * FROM days WHERE code = 'HZ-A';
SELECT * FROM wrong;
SELECT outcome FROM distsync.apply('invoice', '{"company":"HZ","invoice_number":"HZ-VI","order_number":"HZ-V","currency":"USD","net_amount":30,"lines":[{"order_line":1,"quantity":3}],"status":"void"}', 'HZ-ERP');
SELECT * FROM days WHERE code = 'HZ-A';
SELECT * FROM wrong;
