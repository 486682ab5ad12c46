-- Letting go of what waits: in one order for a whole tree, to the end of the queue however long it is, never failing who made the room.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CQ-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'CQ', 'CQ-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CQ-ERP');
SELECT distsync.apply('company', '{"code":"CQ","name":"Queues","currency":"USD"}', 'CQ-ERP');
SELECT distsync.apply_all('party', '[{"code":"CQ-G","name":"group"},{"code":"CQ-A","name":"member"},{"code":"CQ-B","name":"member"},{"code":"CQ-L","name":"long queue"}]', 'CQ-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CQ-G","customer":"CQ-G","company":"CQ","limit":100},{"code":"CQ-A","customer":"CQ-A","company":"CQ","parent":"CQ-G"},{"code":"CQ-B","customer":"CQ-B","company":"CQ","parent":"CQ-G"},
	{"code":"CQ-L","customer":"CQ-L","company":"CQ","limit":100}]', 'CQ-ERP');
-- wait makes an order wait: these are of no order
CREATE FUNCTION pg_temp.wait(account text, number text, amount numeric, priority integer DEFAULT 100) RETURNS void LANGUAGE sql AS $$
	SELECT distsync_internal.credit_hold(a.account_id, jsonb_build_object('customer_id', a.customer_id, 'order_id', -(SELECT count(*) + 1 FROM dist.hold), 'company_id', a.company_id, 'order_number', number, 'amount', amount, 'priority', priority))
	FROM dist.credit_account a WHERE a.code = account $$;
-- money makes room in an account and lets go of what fits
CREATE FUNCTION pg_temp.money(account text, amount numeric) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	id bigint := (SELECT a.account_id FROM dist.credit_account a WHERE a.code = account);
BEGIN
	PERFORM distsync_internal.credit_lock_tree(ARRAY[id]);
	PERFORM distsync_internal.credit_count(id, -amount, 'open_orders');
	RETURN distsync_internal.credit_settle(ARRAY[id], 'payment', '{}');
END $$;
CREATE FUNCTION pg_temp.full(account text, amount numeric) RETURNS void LANGUAGE sql AS $$ SELECT distsync_internal.credit_count(a.account_id, amount, 'open_orders') FROM dist.credit_account a WHERE a.code = account $$;
-- clerk works until there is nothing to do, at most so many times; tells how many times it had something to do
CREATE FUNCTION pg_temp.clerk(most integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 0 .. most LOOP
		IF distsync_internal.credit_clerk(10) = 0 THEN
			RETURN n;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
\o
-- one order of release for a tree, that of its top, whoever made the room
\o /dev/null
UPDATE dist.credit_account SET release_order = 'priority' WHERE code IN ('CQ-G', 'CQ-B');
SELECT pg_temp.full('CQ-G', 100), pg_temp.wait('CQ-A', 'A1', 60, 3), pg_temp.wait('CQ-B', 'B1', 60, 1), pg_temp.wait('CQ-A', 'A2', 30, 2), pg_temp.wait('CQ-B', 'B2', 120, 1);
\o
SELECT a.code, (SELECT array_agg(w.order_number) FROM distsync_internal.credit_waiting(a.account_id) w) AS waiting FROM dist.credit_account a WHERE a.code IN ('CQ-A', 'CQ-B', 'CQ-G') ORDER BY 1;
UPDATE dist.credit_account SET release_order = 'best_fit' WHERE code = 'CQ-G';
SELECT a.code, (SELECT array_agg(w.order_number) FROM distsync_internal.credit_waiting(a.account_id) w) AS waiting FROM dist.credit_account a WHERE a.code IN ('CQ-A', 'CQ-B', 'CQ-G') ORDER BY 1;
-- prefix lets nobody overtake: the first that does not fit stops it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CQ-G","release_order":"prefix"}', 'CQ-ERP');
\o /dev/null
SELECT pg_temp.wait('CQ-B', 'B3', 5);
\o
SELECT pg_temp.money('CQ-G', 65) AS released;
SELECT array_agg(w.order_number) AS waiting FROM dist.credit_account a, distsync_internal.credit_waiting(a.account_id) w WHERE a.code = 'CQ-G';
SELECT pg_temp.money('CQ-G', 25) AS released;
SELECT array_agg(w.order_number) AS waiting FROM dist.credit_account a, distsync_internal.credit_waiting(a.account_id) w WHERE a.code = 'CQ-G';
SELECT pg_temp.clerk(5);

-- a queue longer than one transaction tries: the clerk goes on from where it stopped, to the end, and then rests
\o /dev/null
SELECT pg_temp.full('CQ-L', 90);
SELECT pg_temp.wait('CQ-L', 'L' || n, CASE WHEN n IN (221, 245) THEN 20 ELSE 500 END) FROM generate_series(1, 250) n;
\o
SELECT pg_temp.money('CQ-L', 40) AS at_once;
SELECT due_at <= clock_timestamp() AS more_to_do FROM dist.credit_account WHERE code = 'CQ-L';
SELECT pg_temp.clerk(20) AS times;
SELECT order_number, release_reason FROM dist.hold WHERE order_number LIKE 'L%' AND released_at IS NOT NULL ORDER BY 1;
SELECT open_orders, held_demand, due_at, waiting_from FROM dist.credit_account WHERE code = 'CQ-L';
-- with nothing to be tried at once the clerk does it all
SET distsync.release_inline = 0;
SELECT pg_temp.wait('CQ-L', 'L251', 10);
SELECT pg_temp.money('CQ-L', 10) AS at_once, pg_temp.clerk(20) AS times;
SELECT released_at IS NOT NULL AS released FROM dist.hold WHERE order_number = 'L251';
RESET distsync.release_inline;
-- room made meanwhile is for the first again
SET distsync.release_inline = 3;
SELECT pg_temp.money('CQ-L', 1) AS at_once;
SELECT waiting_from ? 'rank' AS on_the_way FROM dist.credit_account WHERE code = 'CQ-L';
SELECT distsync_internal.credit_clerk(10);
SELECT waiting_from ? 'rank' AS on_the_way FROM dist.credit_account WHERE code = 'CQ-L';
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CQ-L","limit":590}', 'CQ-ERP');
SELECT order_number FROM dist.hold WHERE order_number LIKE 'L%' AND released_at IS NOT NULL AND amount = 500;
RESET distsync.release_inline;

-- money reaches what is owed on other accounts of the same payer: a job's invoice by its number. Those accounts are looked at too.
\o /dev/null
SELECT distsync.apply_all('party', '[{"code":"CQ-P","name":"payer"},{"code":"CQ-J","name":"job"}]', 'CQ-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CQ-P","customer":"CQ-P","company":"CQ"},{"code":"CQ-J","customer":"CQ-J","company":"CQ","limit":100}]', 'CQ-ERP');
CREATE FUNCTION pg_temp.bill(account text, number text, amount numeric, more jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
	SELECT distsync_internal.credit_post_item(p.party_id, a.account_id, a.company_id, 'invoice', number, 'USD', amount, now(), current_date + 30, more) FROM dist.party p, dist.credit_account a WHERE p.code = 'CQ-P' AND a.code = account $$;
SELECT pg_temp.bill('CQ-J', 'CQ-I1', 80), pg_temp.bill('CQ-J', 'CQ-I2', 15), pg_temp.wait('CQ-J', 'J1', 50), pg_temp.wait('CQ-J', 'J2', 45);
\o
SELECT outcome FROM distsync.apply('payment', '{"company":"CQ","payment_number":"CQ-P1","customer":"CQ-P","currency":"USD","amount":80,"remittance":[{"invoice":"CQ-I1"}]}', 'CQ-ERP');
SELECT order_number, released_at IS NOT NULL AS released FROM dist.hold WHERE order_number LIKE 'J%' ORDER BY 1;
-- a memo against another account's invoice
SELECT outcome FROM distsync.apply('invoice', '{"company":"CQ","kind":"credit_memo","invoice_number":"CQ-M1","customer":"CQ-P","corrects":"CQ-I2","currency":"USD","net_amount":15}', 'CQ-ERP');
SELECT order_number, released_at IS NOT NULL AS released FROM dist.hold WHERE order_number LIKE 'J%' ORDER BY 1;
-- what bounces is owed there again
SELECT outcome FROM distsync.apply('payment', '{"company":"CQ","payment_number":"CQ-P1B","currency":"USD","amount":80,"reverses":"CQ-P1"}', 'CQ-ERP');
SELECT code, receivable, unapplied, open_orders FROM dist.credit_account WHERE code IN ('CQ-P', 'CQ-J') ORDER BY 1;
SELECT entity_key, state FROM sync.exception WHERE kind = 'over_limit' AND entity_key LIKE 'CQ-%';
-- money that was there before the job's invoice: a payment that named it, a deposit for its order
SELECT outcome FROM distsync.apply_all('payment', '[{"company":"CQ","payment_number":"CQ-P2","customer":"CQ-P","currency":"USD","amount":10,"remittance":[{"invoice":"CQ-I3"}]},
	{"company":"CQ","payment_number":"CQ-D1","customer":"CQ-P","currency":"USD","amount":5,"kind":"deposit","order":"CQ-O1"}]', 'CQ-ERP');
SELECT pg_temp.bill('CQ-J', 'CQ-I3', 20, '{"order_number":"CQ-O1"}') IS NOT NULL AS billed;
SELECT document_number, open_amount FROM dist.open_item WHERE document_number IN ('CQ-I3', 'CQ-P2', 'CQ-D1') ORDER BY 1;
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_items();
-- a decision that let an order go against what it was made from is found, whatever it says of reasons; an authority or a releasing rule stands for it
SELECT count(*) AS wrong FROM distsync_internal.credit_verify_releases();
SELECT count(distsync_internal.credit_record(a.account_id, -999, x.verb, 'released', distsync_internal.credit_decide(a.account_id, 1000) || '{"reasons":[]}' || x.more)) AS recorded
FROM dist.credit_account a, (VALUES ('limit', '{}'::jsonb), ('limit_authority', '{"authority":"cfo"}'), ('limit_passed', '{"passed_by":"prepaid"}'), ('rule', '{"amount":0,"accounts":[],"rules":[{"rule":"review_due","code":"CQ-R","action":"block","failed":true}]}'),
	('warning', '{"amount":0,"accounts":[],"rules":[{"rule":"review_due","code":"CQ-R","action":"warn","failed":true}]}'), ('said', '{"amount":0,"accounts":[],"rules":[],"reasons":[{"rule":"account_status"}]}'), ('said_passed', '{"passed_by":"prepaid","reasons":[{"rule":"account_status"}]}')) x(verb, more) WHERE a.code = 'CQ-L';
SELECT invariant, detail ->> 'verb' AS verb FROM distsync_internal.credit_verify_releases() ORDER BY 2;
-- these holds and amounts belong to no order
DELETE FROM dist.hold WHERE order_id < 0;
DELETE FROM dist.credit_decision WHERE order_id < 0;
UPDATE dist.credit_account SET open_orders = 0, held_demand = 0, due_at = NULL WHERE code LIKE 'CQ-%';
