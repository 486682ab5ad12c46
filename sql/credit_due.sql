\set SHOW_CONTEXT never
-- What is due by day: one row a day however many items, moved with the counters; what is late is added up once, as days pass.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD'), ('NOK') ON CONFLICT DO NOTHING;
INSERT INTO dist.exchange_rate (from_currency, to_currency, rate, valid) VALUES ('NOK', 'USD', 1.1, '[2030-01-01,2031-01-01)') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind) VALUES ('DUE-ERP', 'erp');
INSERT INTO dist.company (code, name, currency) VALUES ('DUE', 'Due days', 'USD');
INSERT INTO dist.party (code, name) VALUES ('DUE-X', 'x'), ('DUE-TOP', 'top');
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"DUE-TOP","customer":"DUE-TOP","currency":"USD","limit":100000}, {"code":"DUE-X","customer":"DUE-X","company":"DUE","parent":"DUE-TOP","limit":5000}]', 'DUE-ERP');
CREATE FUNCTION pg_temp.bill(number text, amount numeric, due date, cur text DEFAULT 'USD', kind text DEFAULT 'invoice', posted timestamptz DEFAULT '2030-01-15') RETURNS bigint LANGUAGE sql AS $$
	SELECT distsync_internal.credit_post_item(a.customer_id, a.account_id, c.company_id, kind, number, cur, amount, posted, due, '{}') FROM dist.credit_account a, dist.company c WHERE a.code = 'DUE-X' AND c.code = 'DUE' $$;
-- days from this one on
CREATE VIEW pg_temp.days AS SELECT a.code, d.due_on - current_date AS day, d.amount, d.disputed FROM dist.open_due d JOIN dist.credit_account a USING (account_id) WHERE a.code LIKE 'DUE-%';
CREATE VIEW pg_temp.kept AS SELECT a.code, a.late_on - current_date AS late_on, a.late_amount, a.late_disputed, a.oldest_due_on - current_date AS oldest, a.next_due_on - current_date AS next FROM dist.credit_account a WHERE a.code = 'DUE-X';
-- what is late, from the items themselves
CREATE FUNCTION pg_temp.late(grace integer, skip boolean) RETURNS TABLE (amount numeric, oldest integer, next integer) LANGUAGE sql AS $$
	SELECT COALESCE(sum(p.amount - CASE WHEN skip THEN p.disputed ELSE 0 END) FILTER (WHERE p.due_on < current_date - grace), 0),
		min(p.due_on) FILTER (WHERE NOT (skip AND p.disputed >= p.amount)) - current_date, min(p.due_on) FILTER (WHERE p.due_on >= current_date - grace) - current_date
	FROM (SELECT p.due_on, sum(p.amount) AS amount, sum(p.disputed) AS disputed FROM dist.open_item i JOIN dist.credit_account a USING (account_id)
		CROSS JOIN LATERAL unnest(distsync_internal.credit_item_parts(i.customer_id, i.open_item_id)) p WHERE a.code = 'DUE-X' GROUP BY p.due_on) p $$;
-- a row is a difference
CREATE FUNCTION pg_temp.differ() RETURNS TABLE (grace integer, skip boolean) LANGUAGE sql AS $$
	SELECT g.grace, s.skip FROM generate_series(-40, 120) g(grace), (VALUES (false), (true)) s(skip), dist.credit_account a
	CROSS JOIN LATERAL pg_temp.late(g.grace, s.skip) l CROSS JOIN LATERAL distsync_internal.credit_late(a.account_id, current_date, g.grace, s.skip) c
	WHERE a.code = 'DUE-X' AND (l.amount, l.oldest, l.next) IS DISTINCT FROM (c.amount, c.oldest_on - current_date, c.next_on - current_date) $$;

-- items of one day share a row; credits, payments and deposits are due never
SELECT pg_temp.bill('D-1', 100, current_date - 10) > 0 AS a, pg_temp.bill('D-2', 50, current_date - 10) > 0 AS b, pg_temp.bill('D-3', 70, current_date + 5) > 0 AS c, pg_temp.bill('D-4', 30, current_date - 40, 'NOK', 'debit_memo') > 0 AS d,
	pg_temp.bill('D-5', 20, NULL, 'USD', 'credit_memo') > 0 AS e;
SELECT * FROM pg_temp.days ORDER BY 1, 2;
SELECT * FROM pg_temp.kept;
SELECT * FROM pg_temp.differ();

-- a dispute, a payment and its reversal move the day; the last of a day takes its row away
SELECT outcome FROM distsync.apply('dispute', '{"company":"DUE","customer":"DUE-X","dispute_number":"DD-1","invoice":"D-1","amount":60}', 'DUE-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"DUE","payment_number":"DP-1","customer":"DUE-X","currency":"USD","amount":50,"remittance":[{"invoice":"D-2"}]}', 'DUE-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"DUE","payment_number":"DP-2","customer":"DUE-X","currency":"NOK","amount":30,"received_at":"2030-01-20"}', 'DUE-ERP');
SELECT * FROM pg_temp.days ORDER BY 1, 2;
SELECT * FROM pg_temp.kept;
SELECT * FROM pg_temp.differ();
SELECT outcome FROM distsync.apply('payment', '{"company":"DUE","payment_number":"DP-3","reverses":"DP-2","currency":"NOK","amount":30,"received_at":"2030-01-20"}', 'DUE-ERP');
SELECT * FROM pg_temp.days ORDER BY 1, 2;
SELECT * FROM pg_temp.differ();

-- instalments: three days, what is paid covers the earliest first, what is in dispute is of what is due first
SELECT pg_temp.bill('D-6', 100.01, current_date - 30) > 0 AS posted;
SELECT distsync_internal.credit_item_plan(i.customer_id, i.open_item_id, jsonb_build_array(jsonb_build_object('due_on', current_date - 30, 'amount', 33.34), jsonb_build_object('due_on', current_date, 'amount', 33.34), jsonb_build_object('due_on', current_date + 30, 'amount', 33.33)))
FROM dist.open_item i WHERE document_number = 'D-6';
CREATE VIEW pg_temp.parts AS SELECT p.due_on - current_date AS day, p.amount, p.disputed FROM dist.open_item i CROSS JOIN LATERAL unnest(distsync_internal.credit_item_parts(i.customer_id, i.open_item_id)) p WHERE i.document_number = 'D-6';
SELECT * FROM pg_temp.parts ORDER BY 1;
SELECT outcome FROM distsync.apply('payment', '{"company":"DUE","payment_number":"DP-4","customer":"DUE-X","currency":"USD","amount":40,"remittance":[{"invoice":"D-6"}]}', 'DUE-ERP');
SELECT outcome FROM distsync.apply('dispute', '{"company":"DUE","customer":"DUE-X","dispute_number":"DD-2","invoice":"D-6","amount":30}', 'DUE-ERP');
SELECT * FROM pg_temp.parts ORDER BY 1;
SELECT * FROM pg_temp.differ();
SELECT * FROM pg_temp.kept;
-- a plan taken away: all of it is due when the invoice says
SELECT distsync_internal.credit_item_plan(i.customer_id, i.open_item_id, '[]') FROM dist.open_item i WHERE document_number = 'D-6';
SELECT * FROM pg_temp.parts ORDER BY 1;
SELECT * FROM pg_temp.differ();
SELECT * FROM distsync_internal.credit_verify_due() WHERE entity_key LIKE 'DUE-%';
SELECT array_length(late_before, 1) AS days, late_before[1] AS today, late_before[11] AS ten, late_before[12] AS eleven, late_before[41] AS oldest FROM dist.credit_account WHERE code = 'DUE-X';

-- days pass: what is kept of an earlier day is rolled forward, by the clerk and by whoever moves an item
CREATE FUNCTION pg_temp.back(day date) RETURNS void LANGUAGE sql AS $$
	UPDATE dist.credit_account a SET late_on = day, late_before = NULL, late_amount = COALESCE(s.amount, 0), late_disputed = COALESCE(s.disputed, 0), next_due_on = (SELECT min(d.due_on) FROM dist.open_due d WHERE d.account_id = a.account_id AND d.due_on >= day), due_at = clock_timestamp()
	FROM (SELECT sum(d.amount) AS amount, sum(d.disputed) AS disputed FROM dist.open_due d JOIN dist.credit_account x USING (account_id) WHERE x.code = 'DUE-X' AND d.due_on < day) s WHERE a.code = 'DUE-X' $$;
SELECT pg_temp.back('-infinity');
SELECT * FROM pg_temp.differ();
SELECT distsync_internal.credit_clerk(50) > 0 AS looked;
SELECT * FROM pg_temp.kept;
SELECT pg_temp.back(current_date - 35);
SELECT * FROM pg_temp.kept;
SELECT * FROM pg_temp.differ();
SELECT pg_temp.bill('D-7', 5, current_date - 36) > 0 AS posted;
SELECT * FROM pg_temp.kept;
-- a day never goes back
SELECT pg_temp.back(current_date + 20);
SELECT * FROM pg_temp.differ();
SELECT pg_temp.bill('D-8', 5, current_date + 10) > 0 AS posted;
SELECT * FROM pg_temp.kept;
SELECT * FROM pg_temp.differ();
SELECT * FROM distsync_internal.credit_verify_due() WHERE entity_key LIKE 'DUE-%';

-- all payers at once are each one alone: on any day, by due and posting date, in any scheme
SELECT x.day, x.options, count(*) > 0 AS some, count(*) FILTER (WHERE y.ours IS NULL OR y.theirs IS NULL) AS differ
FROM (VALUES (NULL::date, '{}'::jsonb), (NULL, '{"by":"posting"}'), ('2030-01-17', '{"company":"DUE"}'), ('2030-01-25', '{"buckets":[5,50]}'), ('2031-01-01', '{"buckets":[]}'), ('2030-03-01', '{"by":"posting","buckets":[10,20,30,40,50]}'), ('2026-01-20', '{"company":"DUE","buckets":[7]}')) x(day, options)
CROSS JOIN LATERAL (SELECT a.customer AS ours, b.customer AS theirs FROM distsync.agings(x.day, x.options) a
	FULL JOIN (SELECT p.code AS customer, g.* FROM dist.party p CROSS JOIN LATERAL distsync.aging(p.code, x.day, x.options) g WHERE p.payer_id IS NULL) b
	ON (a.customer, a.currency, a.bucket, a.amount, a.items) = (b.customer, b.currency, b.bucket, b.amount, b.items) AND COALESCE(a.from_day, -1) = COALESCE(b.from_day, -1) AND COALESCE(a.to_day, -1) = COALESCE(b.to_day, -1)) y
GROUP BY x.day, x.options ORDER BY x.options::text COLLATE "C", x.day;
SELECT customer, currency, bucket, amount, items FROM distsync.agings('2030-02-01') WHERE customer = 'DUE-X' ORDER BY currency, from_day NULLS FIRST, bucket;
SELECT count(*) FROM distsync.agings(options => '{"company":"NOWHERE"}');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM distsync.agings(options => '{"buckets":["a"]}');
\echo :LAST_ERROR_SQLSTATE

-- what limits say is kept, until when it holds
CREATE VIEW pg_temp.kept_limit AS SELECT a.limit_amount, a.limit_ended, a.limit_from > '-infinity' AS told, a.limit_until - current_date AS until FROM dist.credit_account a WHERE a.code = 'DUE-X';
SELECT * FROM pg_temp.kept_limit;
INSERT INTO dist.credit_limit (account_id, kind, amount, valid, approved_by) SELECT account_id, 'temporary', 100, tstzrange(NULL, current_date + 3), 'test' FROM dist.credit_account WHERE code = 'DUE-X';
SELECT * FROM pg_temp.kept_limit;
UPDATE dist.credit_limit l SET valid = tstzrange(NULL, current_date - 3) FROM dist.credit_account a WHERE a.account_id = l.account_id AND a.code = 'DUE-X' AND l.kind = 'base';
SELECT * FROM pg_temp.kept_limit;
DELETE FROM dist.credit_limit l USING dist.credit_account a WHERE a.account_id = l.account_id AND a.code = 'DUE-X';
SELECT * FROM pg_temp.kept_limit;
SELECT * FROM distsync_internal.credit_verify_kept() WHERE entity_key LIKE 'DUE-%';

-- verify() finds a day and an account that say something else
UPDATE dist.open_due d SET amount = d.amount + 1 FROM dist.credit_account a WHERE a.account_id = d.account_id AND a.code = 'DUE-X' AND d.due_on = current_date - 10;
UPDATE dist.credit_account SET oldest_due_on = NULL, late_before[2] = 1, limit_amount = 5 WHERE code = 'DUE-X';
SELECT DISTINCT invariant FROM distsync_internal.credit_verify_kept() WHERE entity_key LIKE 'DUE-%' ORDER BY 1;
SELECT invariant, detail - 'late_on' - 'oldest_due_on' - 'next_due_on' - 'oldest' - 'next' AS detail FROM distsync_internal.credit_verify_due() WHERE entity_key LIKE 'DUE-%' ORDER BY 1;
UPDATE dist.open_due d SET amount = d.amount - 1 FROM dist.credit_account a WHERE a.account_id = d.account_id AND a.code = 'DUE-X' AND d.due_on = current_date - 10;
UPDATE dist.credit_account a SET limit_amount = NULL, late_before = NULL, oldest_due_on = (SELECT min(d.due_on) FROM dist.open_due d WHERE d.account_id = a.account_id) WHERE code = 'DUE-X';
SELECT * FROM distsync_internal.credit_verify_due() WHERE entity_key LIKE 'DUE-%';
