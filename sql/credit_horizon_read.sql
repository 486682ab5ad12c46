-- A horizon that is new reads the open orders of its tree a few at a time: what is not read counts at once, and sums hold in between.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
INSERT INTO sync.system (code, kind) VALUES ('HR-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'HR', 'distsync');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'HR-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'HR-ERP');
SELECT distsync.apply('company', '{"code":"HR","name":"Read","currency":"USD"}', 'HR-ERP');
SELECT distsync.apply_all('party', '[{"code":"HR-G","name":"group"},{"code":"HR-A","name":"a"},{"code":"HR-B","name":"b"},{"code":"HR-C","name":"beside"}]', 'HR-ERP');
SELECT distsync.apply('site', '{"code":"HR-W","name":"w","company":"HR"}', 'HR-ERP');
SELECT distsync.apply('item', '{"sku":"HR-I","name":"I","base_unit":"EA"}', 'HR-ERP');
SELECT distsync.apply('agreement', '{"code":"HR-LIST","slot":"list","company":"HR","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"HR-I","value":"10"}]}', 'HR-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"hr-1","kind":"receive","sku":"HR-I","site":"HR-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"}', 'HR-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"HR-G","customer":"HR-G","company":"HR","limit":10000},{"code":"HR-A","customer":"HR-A","company":"HR","parent":"HR-G"},{"code":"HR-B","customer":"HR-B","company":"HR","parent":"HR-G","horizon_days":5},
	{"code":"HR-C","customer":"HR-C","company":"HR"}]', 'HR-ERP');
-- an order that ships in so many days
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric, days integer) RETURNS text LANGUAGE sql AS $$
	SELECT s.state FROM distsync.submit_order(jsonb_build_object('company', 'HR', 'customer', customer, 'order_number', number, 'requested_at', (current_date + days)::text, 'lines', jsonb_build_array(jsonb_build_object('item', 'HR-I', 'quantity', quantity)))) s $$;
CREATE FUNCTION pg_temp.account(document jsonb) RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM distsync.apply('credit_account', document, 'HR-ERP') $$;
-- one turn of the clerk for these accounts
CREATE FUNCTION pg_temp.turn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE dist.credit_account a SET due_at = clock_timestamp() - interval '100 years' WHERE a.code = 'HR-G' AND a.due_at IS NOT NULL;
	PERFORM distsync_internal.credit_clerk(1);
END $$;
CREATE TEMP VIEW acct AS SELECT code, horizon_days AS days, horizon_on - current_date AS upto, horizon_to IS NOT NULL AS reading, open_orders, later_amount AS later, held_demand AS held FROM dist.credit_account WHERE code IN ('HR-A', 'HR-B', 'HR-G') ORDER BY 1;
CREATE TEMP VIEW days AS SELECT a.code, d.ship_on - current_date AS in_days, d.amount FROM dist.open_order_day d JOIN dist.credit_account a USING (account_id) WHERE a.code LIKE 'HR-%' ORDER BY 1, 2;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_releases() UNION ALL SELECT * FROM distsync_internal.order_verify_days()) v WHERE entity_key LIKE '%HR%';
SELECT pg_temp.try('HR-A', 'HR-A' || n, 10, CASE WHEN n % 2 = 0 THEN 20 ELSE 8 END), pg_temp.try('HR-B', 'HR-B' || n, 10, CASE WHEN n % 2 = 0 THEN 20 ELSE 8 END) FROM generate_series(1, 12) n;
\o
SELECT * FROM acct;
BEGIN;
SET LOCAL distsync.release_inline = 5;
-- five are read at once, the others count as they did
SELECT pg_temp.account('{"code":"HR-G","horizon_days":10}');
SELECT * FROM acct;
SELECT * FROM days;
SELECT * FROM wrong;
SELECT order_number, ship_on - current_date AS in_days FROM dist.sales_order WHERE order_number LIKE 'HR-A%' AND ship_on IS NOT NULL ORDER BY order_id;
SELECT (x -> 'horizon') - 'inside_on' AS horizon, x -> 'exposure' AS exposure FROM jsonb_array_elements(distsync.explain_credit('HR-A', 0, 'USD', '{"company":"HR"}') -> 'accounts') x;
-- nothing passes that fits only when all are read
SELECT pg_temp.try('HR-A', 'HR-X1', 850, 3);
SELECT state FROM distsync.preview_order(jsonb_build_object('company', 'HR', 'customer', 'HR-A', 'lines', '[{"item":"HR-I","quantity":850}]'::jsonb));
-- what moves meanwhile: an order that is read, one that is not, of either account; a new one; another day
SELECT n, distsync.cancel_order(n, 'test') ->> 'state' AS state FROM unnest(ARRAY['HR-A2', 'HR-A10', 'HR-B10']) n;
SELECT pg_temp.try('HR-A', 'HR-A13', 10, 20), pg_temp.try('HR-B', 'HR-B13', 10, 20);
SELECT distsync.change_order('HR-A4', jsonb_build_object('requested_at', (current_date + 25)::text)) ->> 'outcome' AS read_before, distsync.change_order('HR-A12', jsonb_build_object('requested_at', (current_date + 25)::text)) ->> 'outcome' AS not_read;
SELECT * FROM acct;
SELECT * FROM days;
SELECT * FROM wrong;
-- the clerk goes on, five at a time, and lets go of what fits then
SELECT pg_temp.turn();
SELECT * FROM acct;
SELECT * FROM wrong;
SELECT pg_temp.turn();
SELECT * FROM acct;
SELECT pg_temp.turn(), pg_temp.turn();
SELECT pg_temp.turn();
SELECT * FROM acct;
SELECT * FROM days;
SELECT order_number, state FROM dist.sales_order WHERE order_number = 'HR-X1';
SELECT count(*) AS without_day FROM dist.sales_order WHERE order_number LIKE 'HR-%' AND exposure_amount > 0 AND ship_on IS NULL;
SELECT * FROM wrong;
-- a shorter one reads the days between, a longer one has come further
SELECT pg_temp.account('{"code":"HR-G","horizon_days":6}');
SELECT * FROM acct WHERE code = 'HR-G';
SELECT * FROM wrong;
SELECT pg_temp.turn();
SELECT pg_temp.account('{"code":"HR-G","horizon_days":4}');
SELECT * FROM acct WHERE code = 'HR-G';
SELECT * FROM wrong;
SELECT pg_temp.turn();
SELECT pg_temp.account('{"code":"HR-G","horizon_days":7}');
SELECT * FROM acct WHERE code = 'HR-G';
SELECT * FROM wrong;
SELECT pg_temp.turn() FROM generate_series(1, 6);
SELECT * FROM acct WHERE code = 'HR-G';
SELECT * FROM days WHERE code = 'HR-G';
SELECT * FROM wrong;
SELECT pg_temp.account('{"code":"HR-G","horizon_days":6}'), pg_temp.account('{"code":"HR-G","horizon_days":null}');
SELECT * FROM acct WHERE code = 'HR-G';
-- an account that moves with its orders: the accounts above it read anew
SELECT pg_temp.account('{"code":"HR-G","horizon_days":10}'), pg_temp.turn(), pg_temp.turn();
SELECT pg_temp.account('{"code":"HR-B","parent":null}');
SELECT * FROM acct;
SELECT * FROM wrong;
SELECT pg_temp.turn() FROM generate_series(1, 6);
SELECT * FROM acct;
SELECT pg_temp.account('{"code":"HR-B","parent":"HR-G"}');
SELECT * FROM acct;
SELECT * FROM wrong;
SELECT pg_temp.turn() FROM generate_series(1, 6);
SELECT * FROM acct;
SELECT * FROM days;
SELECT * FROM wrong;
SELECT state FROM sync.exception WHERE entity_key LIKE 'HR-%' AND kind = 'over_limit';
-- a step costs what it reads, however many orders are open
CREATE FUNCTION pg_temp.read() RETURNS bigint LANGUAGE sql AS $$ SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'dist.sales_order'::regclass $$;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
INSERT INTO dist.sales_order SELECT (o).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object('order_id', s.order_id + 1000000 + n, 'order_number', 'HR-M' || n, 'account_id', (SELECT account_id FROM dist.credit_account WHERE code = 'HR-C'))) AS o
	FROM dist.sales_order s, generate_series(1, 2000) n WHERE s.order_number = 'HR-A1') x;
UPDATE dist.credit_account SET open_orders = 200000, horizon_days = 1, horizon_on = current_date, horizon_to = 'infinity', horizon_account = 0, horizon_order = 0 WHERE code = 'HR-C';
SELECT pg_temp.read() AS before \gset
SELECT count(*) FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_horizon_next(a.account_id, 5) WHERE a.code = 'HR-C';
SELECT pg_temp.read() - :before BETWEEN 1 AND 5 AS reads_five;
ROLLBACK;
