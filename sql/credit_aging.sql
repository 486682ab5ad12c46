\set SHOW_CONTEXT never
-- Aging in buckets that are data, of any day, after whatever came later; the statement runs to the same balance on every day.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind) VALUES ('AG-ERP', 'erp');
INSERT INTO dist.company (code, name, currency, tz) VALUES ('AG', 'Aging', 'USD', 'UTC');
INSERT INTO dist.party (code, name) VALUES ('AG-X', 'x');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"AG-X","customer":"AG-X","company":"AG","mode":"mirrored"}', 'AG-ERP');
SELECT outcome FROM distsync.apply_all('invoice', '[
	{"company":"AG","invoice_number":"AG-1","customer":"AG-X","currency":"USD","net_amount":100,"issued_at":"2026-01-01","due_on":"2026-01-31"},
	{"company":"AG","invoice_number":"AG-2","customer":"AG-X","currency":"USD","net_amount":200,"issued_at":"2026-01-10","due_on":"2026-01-20"},
	{"company":"AG","invoice_number":"AG-3","customer":"AG-X","currency":"USD","net_amount":90,"issued_at":"2026-01-15","instalments":[{"due_on":"2026-02-15","amount":45},{"due_on":"2026-03-15","amount":45}]},
	{"company":"AG","invoice_number":"AG-4","customer":"AG-X","currency":"USD","net_amount":70,"issued_at":"2026-02-01","due_on":"2026-03-01"}]', 'AG-ERP');
-- schemes are data
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('aging_scheme', '[{"code":"AG-WEEK","name":"by week","buckets":[{"days":7},{"days":14},{"days":21}]}, {"code":"AG-AGE","buckets":[{"days":30}],"by":"posting"}]', 'AG-ERP');
SELECT ordinal, outcome FROM distsync.apply_all('aging_scheme', '[{"code":"AG-WEEK","buckets":[{"days":7},{"days":14},{"days":21}]}, {"code":"AG-AGE","name":"age"}]', 'AG-ERP');
SELECT ordinal, outcome, sqlstate, field, message FROM distsync.apply_all('aging_scheme', '[{"code":"AG-B1"}, {"code":"AG-B2","buckets":[]}, {"code":"AG-B3","buckets":[{"days":30},{"days":10}]}, {"code":"AG-B4","buckets":[{"days":10},{"days":10}]}, {"code":"AG-B5","buckets":[{"days":"x"}]}, {"code":"AG-B6","buckets":[{"days":0}]},
	{"code":"AG-B7","buckets":[{"days":30}],"by":"shipping"}]', 'AG-ERP', options => '{"on_error":"collect"}');
SELECT code, name, edges, by FROM dist.aging_scheme WHERE code LIKE 'AG-%' ORDER BY 1;
SELECT bucket, amount, items FROM distsync.aging('AG-X', '2026-02-20');
SELECT bucket, amount, items FROM distsync.aging('AG-X', '2026-02-20', '{"scheme":"AG-WEEK"}');
SELECT bucket, amount, items FROM distsync.aging('AG-X', '2026-02-20', '{"scheme":"AG-AGE"}');
SELECT bucket, amount, items FROM distsync.aging('AG-X', '2026-02-20', '{"scheme":"AG-AGE","by":"due","buckets":[20]}');
SELECT bucket FROM distsync.aging('AG-X', '2026-02-20', '{"scheme":"AG-NONE"}');
\echo :LAST_ERROR_SQLSTATE
-- one query of any day again and again, while things go on
CREATE VIEW pg_temp.picture AS SELECT d.day, string_agg(a.bucket || ' ' || a.amount, ', ' ORDER BY a.from_day NULLS FIRST, a.bucket) AS buckets, sum(a.amount) AS balance
FROM unnest(ARRAY['2026-01-31', '2026-02-10', '2026-02-20', '2026-03-10', '2026-03-31']::date[]) d(day), distsync.aging('AG-X', d.day) a GROUP BY 1;
SELECT * FROM pg_temp.picture ORDER BY 1;
SELECT outcome FROM distsync.apply('payment', '{"company":"AG","payment_number":"AG-P1","customer":"AG-X","currency":"USD","amount":150,"received_at":"2026-02-05"}', 'AG-ERP');
SELECT outcome FROM distsync.apply_all('application', '[{"company":"AG","application_number":"AG-A1","payment":"AG-P1","invoice":"AG-1","amount":95,"discount":5,"posted_on":"2026-02-06"}, {"company":"AG","application_number":"AG-A2","payment":"AG-P1","invoice":"AG-3","amount":55,"posted_on":"2026-02-12"}]', 'AG-ERP');
SELECT * FROM pg_temp.picture ORDER BY 1;
SELECT outcome FROM distsync.apply('application', '{"company":"AG","application_number":"AG-A1R","reverses":"AG-A1","posted_on":"2026-03-01"}', 'AG-ERP');
SELECT outcome FROM distsync.apply('application', '{"company":"AG","application_number":"AG-A3","invoice":"AG-1","write_off":10,"posted_on":"2026-03-20"}', 'AG-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"AG","invoice_number":"AG-2","customer":"AG-X","currency":"USD","net_amount":200,"status":"void","voided_at":"2026-03-05T10:00:00Z"}', 'AG-ERP');
SELECT * FROM pg_temp.picture ORDER BY 1;
SELECT day, kind, document_number, amount, balance FROM distsync.statement('AG-X', to_day => '2026-03-31');
SELECT day, kind, document_number, amount, balance FROM distsync.statement('AG-X', '2026-02-10', '2026-03-31');
-- on every day: the buckets are the statement's balance, and everybody's aging has the same
CREATE FUNCTION pg_temp.balance(on_day date) RETURNS numeric LANGUAGE sql AS $$ SELECT s.balance FROM (SELECT x.*, row_number() OVER () AS n FROM distsync.statement('AG-X', to_day => on_day) x) s ORDER BY s.n DESC LIMIT 1 $$;
SELECT count(*) AS days, count(*) FILTER (WHERE (SELECT COALESCE(sum(a.amount), 0) FROM distsync.aging('AG-X', d::date) a) <> COALESCE(pg_temp.balance(d::date), 0)) AS differ
FROM generate_series('2025-12-31'::date, '2026-04-05', '1 day') d;
SELECT count(*) AS some, count(*) FILTER (WHERE x.differ) AS differ FROM (
	SELECT (a.currency, a.bucket, a.amount, a.items) IS DISTINCT FROM (b.currency, b.bucket, b.amount, b.items) AS differ
	FROM unnest(ARRAY['2026-01-31', '2026-02-10', '2026-02-20', '2026-03-10', '2026-03-31']::date[]) d(day) CROSS JOIN unnest(ARRAY['{}', '{"scheme":"AG-WEEK"}', '{"scheme":"AG-AGE"}']::jsonb[]) o(options)
	CROSS JOIN LATERAL (SELECT l AS a, r AS b FROM (SELECT * FROM distsync.aging('AG-X', d.day, o.options)) l FULL JOIN (SELECT currency, bucket, from_day, to_day, amount, items FROM distsync.agings(d.day, o.options) WHERE customer = 'AG-X') r USING (currency, bucket)) j
	CROSS JOIN LATERAL (SELECT (j.a).*) a CROSS JOIN LATERAL (SELECT (j.b).*) b) x;
-- today is each payer's own where no company is named, and currencies are apart
INSERT INTO dist.currency (currency) VALUES ('CLP') ON CONFLICT DO NOTHING;
INSERT INTO dist.exchange_rate (from_currency, to_currency, rate, valid) VALUES ('CLP', 'USD', 0.01, '[2020-01-01,2100-01-01)') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (code, name, currency, tz) VALUES ('AG-EAST', 'Aging in the east', 'USD', 'Pacific/Kiritimati');
INSERT INTO dist.party (code, name, tz) VALUES ('AG-E', 'e', 'Pacific/Kiritimati'), ('AG-W', 'w', 'Pacific/Pago_Pago');
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"AG-E","customer":"AG-E","company":"AG-EAST","mode":"mirrored"}, {"code":"AG-W","customer":"AG-W","company":"AG-EAST","mode":"mirrored"}]', 'AG-ERP');
SELECT distsync_internal.credit_post_item(a.customer_id, a.account_id, a.company_id, k.kind, concat_ws('-', a.code, c.currency, n), c.currency, 1000000000000 + n, now() - interval '2 days', CASE k.kind WHEN 'invoice' THEN (now() AT TIME ZONE 'UTC')::date + n END, '{}') > 0 AS posted
FROM dist.credit_account a, (VALUES ('USD'), ('CLP')) c(currency), (VALUES ('invoice'), ('payment')) k(kind), generate_series(-31, 1) n WHERE a.code IN ('AG-E', 'AG-W') AND (k.kind = 'invoice' OR n > 0) ORDER BY a.code, c.currency, k.kind, n \g /dev/null
CREATE VIEW pg_temp.differ AS SELECT count(*) AS told, count(*) FILTER (WHERE l IS DISTINCT FROM r) AS differ
FROM unnest(ARRAY['{}', '{"scheme":"AG-AGE"}', '{"buckets":[1]}', '{"buckets":[]}', '{"company":"AG-EAST"}']::jsonb[]) o(options) CROSS JOIN LATERAL (SELECT l, r
	FROM (SELECT p.code AS customer, a.* FROM dist.party p, distsync.aging(p.code, NULL, o.options) a WHERE p.code LIKE 'AG-%') l
	FULL JOIN (SELECT * FROM distsync.agings(NULL, o.options) WHERE customer LIKE 'AG-%') r USING (customer, currency, bucket)) j;
SELECT told > 30 AS several, differ FROM pg_temp.differ;
SELECT currency, bucket, amount, items FROM distsync.agings('2100-01-01', '{"company":"AG-EAST","buckets":[10]}') WHERE customer = 'AG-W' ORDER BY 1, 2;
SELECT customer, currency, bucket FROM distsync.agings('2100-01-01', '{"company":"NONE"}');
\echo :LAST_ERROR_SQLSTATE
-- customers that have no room are added up after the others
BEGIN;
CREATE TEMP TABLE whole AS SELECT * FROM distsync.agings(NULL, '{"company":"AG-EAST"}');
SET LOCAL session_replication_role = replica;
INSERT INTO dist.party (code, name) SELECT 'AG-M-' || n, 'many' FROM generate_series(1, 5000) n;
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on)
SELECT p.party_id, 0, c.company_id, 'invoice', p.code, 'USD', 0.0001, 0.0001, 0.0001, 0.0001, '2026-01-01', '2026-02-01' FROM dist.party p, dist.company c WHERE p.code LIKE 'AG-M-%' AND c.code = 'AG-EAST';
SELECT amount, items, count(*), count(DISTINCT customer) FROM distsync.agings('2026-02-02', '{"company":"AG-EAST"}') WHERE customer LIKE 'AG-M-%' GROUP BY 1, 2;
ALTER FUNCTION distsync.agings SET work_mem = '64kB';
SELECT amount, items, count(*), count(DISTINCT customer) FROM distsync.agings('2026-02-02', '{"company":"AG-EAST"}') WHERE customer LIKE 'AG-M-%' GROUP BY 1, 2;
SELECT count(*) FROM (TABLE whole EXCEPT ALL SELECT * FROM distsync.agings(NULL, '{"company":"AG-EAST"}')) x;
ROLLBACK;
SELECT outcome FROM distsync.apply('aging_scheme', '{"code":"AG-WEEK"}', 'AG-ERP', options => '{"operation":"deactivate"}');
SELECT code FROM dist.aging_scheme WHERE code LIKE 'AG-%';
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_applications();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_due();
-- a day is a day, and buckets ascend
SELECT distsync.aging('AG-X', 'infinity');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.aging('AG-X', '-infinity');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.agings('infinity');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.aging('AG-X', '2026-02-20', '{"buckets":[30,20]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.aging('AG-X', '2026-02-20', '{"buckets":[30,30]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.agings('2026-02-20', '{"buckets":[0]}');
\echo :LAST_ERROR_SQLSTATE
-- money that is told ahead of its day pays from that day on: on each day the statement says what the aging says
SELECT outcome FROM distsync.apply('invoice', '{"company":"AG","invoice_number":"AG-AHEAD","customer":"AG-X","currency":"USD","net_amount":40,"issued_at":"2026-02-01","due_on":"2026-03-01"}', 'AG-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"AG","payment_number":"AG-AHEAD","customer":"AG-X","currency":"USD","amount":40,"received_at":"2997-01-01","remittance":[{"invoice":"AG-AHEAD","amount":40}]}', 'AG-ERP');
SELECT d.day, (SELECT sum(a.amount) FROM distsync.aging('AG-X', d.day) a) = (SELECT s.balance FROM (SELECT x.balance, row_number() OVER () AS n FROM distsync.statement('AG-X', NULL, d.day) x) s ORDER BY s.n DESC LIMIT 1) AS same
FROM unnest(ARRAY['2026-02-20', '2996-12-31', '2997-01-01', '2998-01-01']::date[]) d(day);
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_applications();
