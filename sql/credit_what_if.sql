-- What if: the same decision over supposed changes, and who would go. It must say what credit() and the queue do when it really happens.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CW-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'CW', 'CW-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"PLN"}]', 'CW-ERP');
SELECT distsync.apply('exchange_rate', '{"from_currency":"PLN","to_currency":"USD","rate":"1.1","valid_from":"2020-01-01T00:00:00Z"}', 'CW-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'CW-ERP');
SELECT distsync.apply('company', '{"code":"CW","name":"If","currency":"USD"}', 'CW-ERP');
SELECT distsync.apply_all('party', '[{"code":"CW-G","name":"group"},{"code":"CW-A","name":"a"},{"code":"CW-B","name":"b"},{"code":"CW-N","name":"nobody"},{"code":"CW-R","name":"random"},{"code":"CW-S","name":"its sister"}]', 'CW-ERP');
SELECT distsync.apply('site', '{"code":"CW-W","name":"w","company":"CW"}', 'CW-ERP');
SELECT distsync.apply('item', '{"sku":"CW-I","name":"I","base_unit":"EA"}', 'CW-ERP');
SELECT distsync.apply('agreement', '{"code":"CW-LIST","slot":"list","company":"CW","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"CW-I","value":"10"}]}', 'CW-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"CW-G","customer":"CW-G","company":"CW","limit":1000},{"code":"CW-A","customer":"CW-A","company":"CW","parent":"CW-G"},{"code":"CW-B","customer":"CW-B","company":"CW","parent":"CW-G"},
	{"code":"CW-R","customer":"CW-R","company":"CW","limit":600,"exclude_disputed":true},{"code":"CW-S","customer":"CW-S","company":"CW","parent":"CW-R"}]', 'CW-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"cw-1","kind":"receive","sku":"CW-I","site":"CW-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"}', 'CW-ERP');
SELECT distsync.apply('credit_rule', '{"code":"CW-LATE","type":"overdue_amount","scope_kind":"customer","scope_key":"CW-A","threshold":0,"action":"block"}', 'CW-ERP');
CREATE FUNCTION pg_temp.try(customer text, number text, quantity numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT s.state FROM distsync.submit_order(jsonb_build_object('company', 'CW', 'customer', customer, 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', 'CW-I', 'quantity', quantity))) || more) s $$;
CREATE FUNCTION pg_temp.bill(customer text, number text, amount numeric, due date, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('invoice', jsonb_build_object('company', 'CW', 'invoice_number', number, 'customer', customer, 'currency', 'USD', 'net_amount', amount, 'due_on', due) || more, 'CW-ERP') $$;
-- really does a change and says who was let go, in their order
CREATE FUNCTION pg_temp.really(customer text, change jsonb, n integer) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	after timestamptz := clock_timestamp();
	company jsonb := jsonb_build_object('company', 'CW', 'customer', customer, 'currency', COALESCE(change ->> 'currency', 'USD'));
	outcome text;
BEGIN
	IF change ? 'pay' THEN
		SELECT x.outcome INTO outcome FROM distsync.apply('payment', company || jsonb_build_object('payment_number', 'CW-P' || n, 'amount', change -> 'pay', 'remittance', CASE WHEN change ? 'invoice' THEN jsonb_build_array(jsonb_build_object('invoice', change -> 'invoice')) ELSE '[]' END), 'CW-ERP') x;
	ELSIF change ? 'memo' THEN
		SELECT x.outcome INTO outcome FROM distsync.apply('invoice', company || jsonb_build_object('kind', 'credit_memo', 'invoice_number', 'CW-M' || n, 'net_amount', change -> 'memo',
			-- in the currency of its invoice, where nobody says another
			'currency', COALESCE(change ->> 'currency', (SELECT i.currency FROM dist.open_item i JOIN dist.company o USING (company_id) WHERE o.code = 'CW' AND i.document_number = change ->> 'invoice'), 'USD')) || CASE WHEN change ? 'invoice' THEN jsonb_build_object('corrects', change -> 'invoice') ELSE '{}' END, 'CW-ERP') x;
	ELSIF change ? 'dispute' THEN
		SELECT x.outcome INTO outcome FROM distsync.apply('dispute', jsonb_build_object('company', 'CW', 'customer', customer, 'dispute_number', 'CW-D' || n, 'invoice', change -> 'invoice', 'amount', change -> 'dispute'), 'CW-ERP') x;
	ELSIF change ? 'limit' THEN
		SELECT x.outcome INTO outcome FROM distsync.apply('credit_account', jsonb_build_object('code', COALESCE(change ->> 'account', customer), 'limit', change -> 'limit'), 'CW-ERP') x;
	ELSIF change ? 'order' THEN
		outcome := (distsync_internal.credit_take((SELECT a.account_id FROM dist.credit_account a WHERE a.code = customer), (change ->> 'order')::numeric, jsonb_build_object('order_id', -n, 'customer_id', (SELECT p.party_id FROM dist.party p WHERE p.code = customer)))) ->> 'outcome';
	ELSIF change ? 'release' THEN
		outcome := distsync.release_order(change ->> 'release', 'test', '{"company":"CW","authority":"cfo"}') ->> 'state';
	END IF;
	RETURN jsonb_build_object('outcome', outcome, 'released', (SELECT COALESCE(jsonb_agg(h.order_number ORDER BY h.released_at), '[]') FROM dist.hold h WHERE h.order_number LIKE 'CW-%' AND h.released_at > after AND h.order_number IS DISTINCT FROM change ->> 'release'));
END $$;
-- supposes changes, does them, and tells what differs
CREATE FUNCTION pg_temp.differs(customer text, changes jsonb, n integer, amount numeric DEFAULT 0) RETURNS TABLE (field text, supposed jsonb, really jsonb) LANGUAGE plpgsql AS $$
DECLARE
	w jsonb := distsync.credit_what_if(customer, changes, jsonb_build_object('company', 'CW', 'amount', amount, 'at', to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
	released jsonb := '[]';
	c jsonb;
	r jsonb;
	after jsonb;
BEGIN
	FOR c IN SELECT x FROM jsonb_array_elements(changes) x LOOP
		r := pg_temp.really(customer, c, n);
		released := released || (r -> 'released');
		n := n + 1;
	END LOOP;
	SELECT to_jsonb(x) INTO after FROM distsync.credit(customer, amount, NULL, jsonb_build_object('company', 'CW', 'at', clock_timestamp())) x;
	RETURN QUERY SELECT k, w -> k, after -> k FROM unnest('{outcome,account,currency,credit_limit,exposure,headroom,reasons,cure,valid_until,detail}'::text[]) k WHERE w -> k IS DISTINCT FROM after -> k
	UNION ALL SELECT 'released', jsonb_path_query_array(w, '$.released[*].order_number'), released WHERE jsonb_path_query_array(w, '$.released[*].order_number') <> released;
END $$;
\o
SELECT pg_temp.bill('CW-A', 'CW-I1', 500, current_date - 10), pg_temp.bill('CW-A', 'CW-I2', 200, current_date + 30), pg_temp.bill('CW-B', 'CW-I3', 100, current_date + 5);
SELECT pg_temp.try('CW-A', 'CW-1', 10), pg_temp.try('CW-B', 'CW-2', 30), pg_temp.try('CW-A', 'CW-3', 20), pg_temp.try('CW-B', 'CW-4', 15);
-- a payment, as a read only transaction may ask
BEGIN READ ONLY;
SELECT w -> 'outcome' AS outcome, w -> 'headroom' AS headroom, w -> 'reasons' AS reasons, w -> 'changes' AS changes, w -> 'before' -> 'outcome' AS before, w -> 'before' -> 'cure' AS cure FROM distsync.credit_what_if('CW-A', '[{"pay":500}]', '{"company":"CW"}') w;
SELECT r ->> 'order_number' AS order_number, r ->> 'account' AS account, r -> 'amount' AS amount, r -> 'change' AS change FROM distsync.credit_what_if('CW-A', '[{"pay":300},{"pay":200},{"limit":2000,"account":"CW-G"}]', '{"company":"CW"}') w, jsonb_array_elements(w -> 'released') r;
-- time that passes, a limit that ends, a limit for a while, an order between
SELECT w -> 'outcome' AS outcome, w -> 'reasons' -> 0 -> 'rule' AS rule, w -> 'as_of' = to_jsonb(now() + interval '60 days') AS then FROM distsync.credit_what_if('CW-A', jsonb_build_array('{"pay":500}'::jsonb, jsonb_build_object('at', to_char(now() + interval '60 days', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), '{"company":"CW"}') w;
SELECT w -> 'credit_limit' AS "limit", w -> 'headroom' AS headroom, (w ->> 'valid_until')::timestamptz = '2100-01-01' AS until FROM distsync.credit_what_if('CW-G', '[{"limit":100,"kind":"temporary","to":"2100-01-01T00:00:00Z"}]', '{"company":"CW","amount":1}') w;
SELECT w -> 'credit_limit' AS "limit" FROM distsync.credit_what_if('CW-G', '[{"limit":5000,"from":"2100-01-01T00:00:00Z","to":"2101-01-01T00:00:00Z"},{"at":"2100-06-01T00:00:00Z"}]', '{"company":"CW"}') w;
SELECT w -> 'credit_limit' AS "limit" FROM distsync.credit_what_if('CW-G', '[{"limit":5000,"from":"2100-01-01T00:00:00Z","to":"2101-01-01T00:00:00Z"},{"at":"2101-06-01T00:00:00Z"}]', '{"company":"CW"}') w;
SELECT w -> 'credit_limit' AS "limit", w -> 'headroom' AS headroom, w -> 'outcome' AS outcome FROM distsync.credit_what_if('CW-G', '[{"limit":null}]', '{"company":"CW"}') w;
SELECT c FROM distsync.credit_what_if('CW-B', '[{"order":150},{"order":100},{"pay":100},{"order":100}]', '{"company":"CW"}') w, jsonb_array_elements(w -> 'changes') c;
SELECT w -> 'outcome' AS outcome, w -> 'released' AS released FROM distsync.credit_what_if('CW-N', '[{"pay":500}]', '{"company":"CW"}') w;
-- in another currency
SELECT w -> 'exposure' AS exposure, w -> 'changes' AS changes FROM distsync.credit_what_if('CW-B', '[{"pay":100,"currency":"PLN"}]', '{"company":"CW"}') w;
COMMIT;
-- what it takes is checked
SELECT distsync.credit_what_if('CW-A', '{"pay":1}');
SELECT distsync.credit_what_if('CW-A', '[{"pay":1,"order":1}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"pay":1},{"gift":1}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"pay":-1}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"pay":1,"to":"CW-B"}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"at":"tomorrow"}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"dispute":1}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"memo":1,"invoice":"CW-I3"}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"release":"CW-9"}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"limit":1,"account":"CW-9"}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[{"limit":1,"from":"2100-01-01T00:00:00Z","to":"2099-01-01T00:00:00Z"}]', '{"company":"CW"}');
SELECT distsync.credit_what_if('CW-A', '[]', '{"company":"CW","amount":"much"}');
\set VERBOSITY terse
SELECT distsync.credit_what_if('CW-A', '[{"pay":1,"currency":"XXX"}]', '{"company":"CW"}');
\set VERBOSITY default

-- supposed and done: the same (no row = the same)
SELECT * FROM pg_temp.differs('CW-A', '[{"pay":500}]', 1);
SELECT order_number, state FROM dist.sales_order WHERE order_number LIKE 'CW-%' ORDER BY 1;
SELECT * FROM pg_temp.differs('CW-B', '[{"release":"CW-3"},{"memo":40,"invoice":"CW-I3"},{"pay":10}]', 2, 10);
SELECT order_number, state FROM dist.sales_order WHERE order_number LIKE 'CW-%' ORDER BY 1;
-- discount, instalments, what is in dispute, currencies, two hundred changes at random, each supposed and then done
\o /dev/null
SELECT pg_temp.bill('CW-R', 'CW-R1', 100, current_date - 3, jsonb_build_object('discount_amount', 5, 'discount_until', current_date + 2)), pg_temp.bill('CW-R', 'CW-R2', 90, current_date + 3, jsonb_build_object('instalments', jsonb_build_array(jsonb_build_object('due_on', current_date - 7, 'amount', 30), jsonb_build_object('due_on', current_date + 3, 'amount', 60)))),
	pg_temp.bill('CW-R', 'CW-R3', 70, current_date - 1, '{"currency":"PLN"}'), pg_temp.bill('CW-S', 'CW-S1', 130, current_date - 2);
SELECT distsync.apply_all('credit_rule', '[{"code":"CW-X1","type":"overdue_share","scope_kind":"customer","scope_key":"CW-R","threshold":60,"action":"block"},{"code":"CW-X2","type":"oldest_item","scope_kind":"customer","scope_key":"CW-R","threshold":5,"action":"block"},
	{"code":"CW-X3","type":"limit_share","scope_kind":"customer","scope_key":"CW-R","threshold":90,"action":"warn"},{"code":"CW-X4","type":"overdue_amount","scope_kind":"customer","scope_key":"CW-S","threshold":40,"grace_days":1,"action":"block"}]', 'CW-ERP');
CREATE TEMP TABLE found (n integer, customer text, change jsonb, field text, supposed jsonb, really jsonb);
CREATE TEMP TABLE counted (kind text, let_go integer);
DO $$
DECLARE
	customer text;
	change jsonb;
	invoice text;
	waiting text;
	before integer;
BEGIN
	PERFORM setseed(0.42);
	FOR n IN 100 .. 300 LOOP
		customer := CASE WHEN random() < .6 THEN 'CW-R' ELSE 'CW-S' END;
		IF random() < .3 THEN
			PERFORM pg_temp.bill(customer, 'CW-Z' || n, (random() * 150 + 5)::numeric(8, 2), current_date + (random() * 20 - 10)::integer, CASE WHEN random() < .3 THEN jsonb_build_object('discount_amount', 3, 'discount_until', current_date + 1) ELSE '{}' END);
		END IF;
		IF random() < .5 THEN
			PERFORM pg_temp.try(customer, 'CW-O' || n, (random() * 12)::integer + 1, jsonb_build_object('policy', jsonb_build_object('priority', (random() * 3)::integer)));
		END IF;
		SELECT (array_agg(o.document_number ORDER BY o.document_number))[1 + floor(random() * count(*))::integer] INTO invoice FROM dist.open_item o JOIN dist.party p ON p.party_id = o.customer_id WHERE p.code = customer AND o.kind = 'invoice' AND o.open_amount > 0;
		SELECT (array_agg(h.order_number ORDER BY h.order_number))[1 + floor(random() * count(*))::integer] INTO waiting FROM dist.hold h JOIN dist.party p ON p.party_id = h.customer_id WHERE p.code = customer AND h.released_at IS NULL;
		change := CASE (random() * 7)::integer WHEN 0 THEN jsonb_build_object('order', (random() * 80)::numeric(8, 2)) WHEN 1 THEN jsonb_build_object('memo', (random() * 60 + 1)::numeric(8, 2)) || CASE WHEN invoice IS NOT NULL THEN jsonb_build_object('invoice', invoice) ELSE '{}' END
			WHEN 2 THEN CASE WHEN invoice IS NOT NULL THEN jsonb_build_object('dispute', 1, 'invoice', invoice) END WHEN 3 THEN jsonb_build_object('limit', (random() * 3000 + 300)::integer, 'account', 'CW-R')
			WHEN 4 THEN CASE WHEN waiting IS NOT NULL THEN jsonb_build_object('release', waiting) END WHEN 5 THEN jsonb_build_object('pay', (random() * 90 + 1)::numeric(8, 2), 'currency', 'PLN') END;
		change := COALESCE(change, jsonb_build_object('pay', (random() * 150 + 1)::numeric(8, 2)) || CASE WHEN random() < .5 AND invoice IS NOT NULL THEN jsonb_build_object('invoice', invoice) ELSE '{}' END);
		before := (SELECT count(*) FROM dist.hold h WHERE h.released_at IS NOT NULL AND h.order_number LIKE 'CW-%');
		INSERT INTO found SELECT n, customer, change, d.* FROM pg_temp.differs(customer, jsonb_build_array(change), n, (random() * 50)::numeric(8, 2)) d;
		INSERT INTO counted SELECT (SELECT min(k) FROM jsonb_object_keys(change) k WHERE k NOT IN ('invoice', 'currency', 'account')), (SELECT count(*) FROM dist.hold h WHERE h.released_at IS NOT NULL AND h.order_number LIKE 'CW-%') - before;
	END LOOP;
END $$;
\o
SELECT * FROM found;
-- of the others chance may let some go
SELECT kind, count(*) > 5 AS often, kind NOT IN ('limit', 'pay', 'release') OR sum(let_go) > 0 AS let_go FROM counted GROUP BY kind ORDER BY 1;
DELETE FROM dist.credit_decision WHERE order_id < 0;
UPDATE dist.credit_account a SET open_orders = COALESCE((SELECT sum(o.exposure_amount) FROM dist.sales_order o JOIN dist.credit_account m ON m.account_id = o.account_id WHERE a.account_id IN (m.account_id, m.parent_id)), 0) WHERE a.code LIKE 'CW-%';
SELECT invariant, entity_key FROM (SELECT * FROM distsync_internal.credit_verify_counters() UNION ALL SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.credit_verify_due()) v WHERE entity_key LIKE 'CW%';
