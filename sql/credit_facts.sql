\set SHOW_CONTEXT never
-- Facts of credit through the write door: accounts, limits, rules, payments, reversals, disputes; what people see of them.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD'), ('EUR') ON CONFLICT DO NOTHING;
INSERT INTO dist.exchange_rate (from_currency, to_currency, rate, valid) VALUES ('EUR', 'USD', 1.1, '[2020-01-01,2020-02-01)');
INSERT INTO sync.system (code, kind) VALUES ('CF-ERP', 'erp');
INSERT INTO dist.company (code, name, currency, tz) VALUES ('CF', 'Credit facts', 'USD', 'UTC');
INSERT INTO dist.party (code, name) VALUES ('CF-TOP', 'top'), ('CF-X', 'x'), ('CF-Y', 'y');
INSERT INTO dist.party (code, name, payer_id) SELECT 'CF-XS', 'shop of x', party_id FROM dist.party WHERE code = 'CF-X';

-- accounts, the one above first; a second time is unchanged
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('credit_account', '[
	{"code":"CF-TOP","customer":"CF-TOP","currency":"USD","limit":1000,"reason":"start","approved_by":"cfo"},
	{"code":"CF-X","customer":"CF-X","company":"CF","parent":"CF-TOP","limit":500,"colour":"red"},
	{"code":"CF-Y","customer":"CF-Y","company":"CF","parent":"CF-TOP","limits":[{"kind":"base","amount":null},{"kind":"temporary","amount":50,"from":"2026-01-01T00:00:00Z","to":"2026-01-31"}]}]', 'CF-ERP');
SELECT ordinal, outcome FROM distsync.apply_all('credit_account', '[{"code":"CF-TOP","limit":1000},{"code":"CF-X","limit":500.00,"parent":"CF-TOP"}]', 'CF-ERP');
SELECT a.code, l.kind, l.amount, l.valid, l.approved_by FROM dist.credit_limit l JOIN dist.credit_account a USING (account_id) WHERE a.code LIKE 'CF-%' ORDER BY 1, 2;
SELECT verb, entity_key, after -> 'limits' -> 0 ->> 'amount' AS amount, reason FROM sync.audit WHERE entity = 'credit_account' AND entity_key LIKE 'CF-%' ORDER BY audit_id;
-- what is wrong is told with its field and changes nothing
SELECT ordinal, outcome, sqlstate, field, message, hint <> '' AS hint FROM distsync.apply_all('credit_account', '[
	{"code":"CF-1","customer":"CF-NOBODY"}, {"code":"CF-2"}, {"code":"CF-3","customer":"CF-X","company":"NOWHERE"}, {"code":"CF-4","customer":"CF-X","company":"CF","parent":"CF-NONE"},
	{"code":"CF-5","customer":"CF-XS","currency":"EUR","parent":"CF-TOP"}, {"code":"CF-X","currency":"EUR","parent":null}, {"code":"CF-TOP","parent":"CF-X"}, {"code":"CF-6","customer":"CF-X","company":"CF"},
	{"code":"CF-X","limits":[{"amount":1,"from":"2026-02-01T00:00:00Z","to":"2026-01-01T00:00:00Z"}]}]', 'CF-ERP', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-6","customer":"CF-X","company":"CF"}', 'CF-ERP');
\echo :LAST_ERROR_SQLSTATE
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('credit_rule', '[{"code":"CF-R1"}, {"code":"CF-R2","type":"oldest_item","scope_kind":"customer","scope_key":"CF-NOBODY"},
	{"code":"CF-R3","type":"order_amount","currency":"ZZZ","threshold":1}, {"code":"CF-R4","type":"oldest_item","threshold":10,"scope_kind":"customer","scope_key":"CF-X","grace_days":2}]', 'CF-ERP', options => '{"on_error":"collect"}');

-- invoices, posted as the order room posts them
CREATE FUNCTION pg_temp.bill(customer text, number text, amount numeric, due date, cur text DEFAULT 'USD', posted timestamptz DEFAULT now()) RETURNS bigint LANGUAGE sql AS $$
	SELECT distsync_internal.credit_post_item(p.party_id, distsync_internal.credit_ensure(p.party_id, c.company_id), c.company_id, 'invoice', number, cur, amount, posted, due, '{}')
	FROM dist.party p, dist.company c WHERE p.code = customer AND c.code = 'CF' $$;
SELECT pg_temp.bill('CF-X', 'CF-100', 100, current_date + 10) > 0 AS a, pg_temp.bill('CF-X', 'CF-101', 50, current_date - 20) > 0 AS b, pg_temp.bill('CF-X', 'CF-102', 200, current_date + 30) > 0 AS c;
SELECT pg_temp.bill('CF-X', 'CF-EUR', 10, current_date + 1, 'EUR', '2020-01-15') > 0 AS converted;
SELECT account, outcome, credit_limit, exposure, headroom, reasons -> 0 ->> 'rule' AS rule, cure FROM distsync.credit('CF-XS', 10, options => '{"company":"CF"}');
SELECT account, outcome, credit_limit, exposure, headroom FROM distsync.credit('CF-Y', 600, options => '{"company":"CF"}');
SELECT (SELECT sum(t.value::numeric) FROM jsonb_each_text(e -> 'exposure') t) = (e ->> 'total')::numeric AS add_up, e -> 'limits' -> 0 ->> 'approved_by' AS by, jsonb_array_length(e -> 'rules') AS rules
FROM distsync.explain_credit('CF-Y', 600, options => '{"company":"CF"}') e;
SELECT outcome FROM distsync.credit('CF-Y', -1, options => '{"company":"CF"}');
\echo :LAST_ERROR_SQLSTATE
SELECT outcome FROM distsync.credit('CF-Y', 'NaN', options => '{"company":"CF"}');
\echo :LAST_ERROR_SQLSTATE
SELECT outcome FROM distsync.credit('CF-Y', 1, 'EUR', '{"company":"CF","at":"2019-06-01T00:00:00Z"}');
\echo :LAST_ERROR_SQLSTATE
SELECT outcome FROM distsync.credit('CF-NOBODY');
\echo :LAST_ERROR_SQLSTATE
SELECT kind, document_number, days_late, currency, open_amount FROM distsync.open_items('CF-XS');

-- a payment: first what it names, then what has been due longest; a second time it is unchanged
SELECT outcome, entity_key, detail -> 'applied' AS applied, detail -> 'unapplied' AS unapplied FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-P1","customer":"CF-XS","currency":"USD","amount":140,"remittance":[{"invoice":"CF-102","amount":20}]}', 'CF-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-P1","customer":"CF-X","currency":"USD","amount":140.00}', 'CF-ERP');
SELECT document_number, open_amount FROM distsync.open_items('CF-X');
SELECT exposure, outcome FROM distsync.credit('CF-X', 0, options => '{"company":"CF"}');
-- what does not fit is an exception, what waits for its invoice is kept for it
SELECT outcome, detail -> 'unapplied' AS unapplied FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-P2","customer":"CF-X","currency":"USD","amount":100,"remittance":[{"invoice":"CF-100","amount":40},{"invoice":"CF-103","amount":60},{"invoice":"CF-EUR","amount":5}]}', 'CF-ERP');
SELECT kind, entity_key, details -> 'mismatches' AS mismatches FROM sync.exception WHERE kind = 'remittance_mismatch' AND trace_key LIKE 'CF/%';
SELECT pg_temp.bill('CF-X', 'CF-103', 80, current_date + 5) > 0 AS later;
SELECT document_number, open_amount FROM distsync.open_items('CF-X');
-- it bounces: rows of its own, and everything is as before
SELECT receivable, unapplied FROM dist.credit_account WHERE code = 'CF-X';
SELECT outcome FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-P1-R","currency":"USD","amount":140,"reverses":"CF-P1"}', 'CF-ERP');
SELECT document_number, open_amount FROM distsync.open_items('CF-X');
SELECT receivable, unapplied FROM dist.credit_account WHERE code = 'CF-X';
SELECT a.amount, a.reverses_id IS NOT NULL AS reversal, t.document_number FROM dist.application a JOIN dist.open_item f ON f.open_item_id = a.from_item_id JOIN dist.open_item t ON t.open_item_id = a.to_item_id
WHERE f.document_number = 'CF-P1' ORDER BY a.application_id;
SELECT outcome FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-P1-R2","currency":"USD","amount":140,"reverses":"CF-P1"}', 'CF-ERP');
SELECT kind, details ->> 'reverses' AS reverses FROM sync.exception WHERE kind = 'payment_reversed_twice' AND trace_key LIKE 'CF/%';
SELECT receivable, unapplied FROM dist.credit_account WHERE code = 'CF-X';
-- refused, each with its field
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('payment', '[
	{"company":"CF","payment_number":"CF-P2","customer":"CF-X","currency":"USD","amount":99}, {"company":"CF","payment_number":"CF-B1","currency":"USD","amount":1},
	{"company":"CF","payment_number":"CF-B2","customer":"CF-X","currency":"ZZZ","amount":1}, {"company":"CF","payment_number":"CF-B3","currency":"USD","amount":1,"reverses":"NONE"},
	{"company":"CF","payment_number":"CF-B4","currency":"USD","amount":1,"reverses":"CF-P2"}, {"company":"CFX","payment_number":"CF-B5","customer":"CF-X","currency":"USD","amount":1}]', 'CF-ERP', options => '{"on_error":"collect"}');
-- deposit and refund
SELECT outcome FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-D1","customer":"CF-Y","kind":"deposit","order":"CF-O9","currency":"USD","amount":30}', 'CF-ERP');
SELECT exposure, detail -> 'terms' -> 'deposits' AS deposits FROM distsync.credit('CF-Y', 0, options => '{"company":"CF"}');
SELECT outcome FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-F1","customer":"CF-Y","kind":"refund","currency":"USD","amount":25}', 'CF-ERP');
SELECT a.code, a.deposits, a.receivable FROM dist.credit_account a WHERE a.code IN ('CF-Y', 'CF-TOP') ORDER BY 1;

-- disputes: counted apart, left out where the account says so
SELECT outcome FROM distsync.apply('dispute', '{"company":"CF","customer":"CF-XS","dispute_number":"CF-Q1","invoice":"CF-102","amount":150,"reason":"damaged"}', 'CF-ERP');
SELECT code, disputed FROM dist.credit_account WHERE code IN ('CF-X', 'CF-TOP') ORDER BY 1;
SELECT detail -> 'accounts' -> 0 -> 'exposure' AS exposure FROM distsync.credit('CF-X', 0, options => '{"company":"CF"}');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-X","exclude_disputed":true}', 'CF-ERP');
SELECT detail -> 'accounts' -> 0 -> 'exposure' AS exposure FROM distsync.credit('CF-X', 0, options => '{"company":"CF"}');
SELECT outcome FROM distsync.apply('payment', '{"company":"CF","payment_number":"CF-P3","customer":"CF-X","currency":"USD","amount":1000}', 'CF-ERP');
SELECT document_number, open_amount, disputed_amount FROM distsync.open_items('CF-X');
SELECT outcome FROM distsync.apply('dispute', '{"company":"CF","customer":"CF-X","dispute_number":"CF-Q1","invoice":"CF-102","closed":true}', 'CF-ERP');
SELECT code, disputed FROM dist.credit_account WHERE code IN ('CF-X', 'CF-TOP') ORDER BY 1;
SELECT ordinal, sqlstate, field FROM distsync.apply_all('dispute', '[{"company":"CF","customer":"CF-X","dispute_number":"CF-Q2","invoice":"NONE","amount":1}, {"company":"CF","customer":"CF-X","dispute_number":"CF-Q3","invoice":"CF-102","amount":201},
	{"company":"CF","customer":"CF-X","dispute_number":"CF-Q1","invoice":"CF-100"}, {"company":"CF","customer":"CF-X","dispute_number":"CF-Q4","invoice":"CF-102"}]', 'CF-ERP', options => '{"on_error":"collect"}');

-- a lower limit than what is owed opens an exception, a higher one closes it
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-TOP","limit":10}', 'CF-ERP');
SELECT pg_temp.bill('CF-Y', 'CF-200', 3000, current_date - 100, posted => now() - interval '130 days') > 0 AS posted;
SELECT distsync_internal.credit_watch(account_id) FROM dist.credit_account WHERE code = 'CF-Y';
SELECT kind, entity_key, state FROM sync.exception WHERE kind = 'over_limit' AND trace_key LIKE 'CF-%';
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-TOP","limit":4000}', 'CF-ERP');
SELECT distsync_internal.credit_watch(account_id) FROM dist.credit_account WHERE code = 'CF-Y';
SELECT kind, entity_key, state FROM sync.exception WHERE kind = 'over_limit' AND trace_key LIKE 'CF-%';

-- aging adds up to the balance, on any day; a statement runs to it
SELECT currency, bucket, amount, items FROM distsync.aging('CF-Y');
SELECT sum(amount) FROM distsync.aging('CF-Y', options => '{"buckets":[10,100],"by":"posting"}');
SELECT bucket, amount FROM distsync.aging('CF-Y', current_date - 60);
SELECT sum(a.amount) = (SELECT sum(open_amount) FROM distsync.open_items('CF-X') o WHERE o.currency = 'USD') AS same FROM distsync.aging('CF-X') a WHERE currency = 'USD';
SELECT kind, document_number, amount, balance FROM distsync.statement('CF-Y');
SELECT kind, document_number, amount, balance FROM distsync.statement('CF-Y', current_date - 10);

-- an account is hung elsewhere: what it owes goes with it
SELECT code, receivable FROM dist.credit_account WHERE code IN ('CF-TOP', 'CF-Y') ORDER BY 1;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-Y","parent":null}', 'CF-ERP');
SELECT code, receivable FROM dist.credit_account WHERE code IN ('CF-TOP', 'CF-Y') ORDER BY 1;
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-Y","parent":"CF-TOP"}', 'CF-ERP');
SELECT code, receivable FROM dist.credit_account WHERE code IN ('CF-TOP', 'CF-Y') ORDER BY 1;

-- the clerk looks again when time changes an account
UPDATE dist.credit_account SET due_at = now() - interval '1 second' WHERE code = 'CF-X';
SELECT distsync_internal.credit_clerk(100) > 0 AS looked;
SELECT due_at > now() OR due_at IS NULL AS later FROM dist.credit_account WHERE code = 'CF-X';
SELECT distsync_internal.credit_clerk(100);
SELECT entity_key, body ->> 'customer' AS customer, body -> 'limit' AS "limit", body ->> 'outcome' AS outcome FROM dist.credit_account a, distsync_internal.credit_render_status(ARRAY[a.account_id::text]) WHERE a.code = 'CF-TOP';
-- every invariant of the room holds
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_releases();

-- a rule is for whom it says: a key without a kind makes it no rule for all; what is changed is checked as what is new
SELECT ordinal, outcome, sqlstate, field, message FROM distsync.apply_all('credit_rule', '[{"code":"CF-S1","type":"order_amount","threshold":1000000,"scope_key":"CF-X"}, {"code":"CF-S2","type":"order_amount","threshold":1000000,"scope_kind":"customer"},
	{"code":"CF-S3","type":"order_amount","threshold":1000000,"scope_kind":"customer","scope_key":"CF-X"}, {"code":"CF-S4","type":"order_amount","threshold":1000000}]', 'CF-ERP', options => '{"on_error":"collect"}');
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('credit_rule', '[{"code":"CF-S3","scope_key":"CF-NOBODY"}, {"code":"CF-S3","scope_kind":"group"}, {"code":"CF-S4","scope_key":"CF-X"}, {"code":"CF-S3","scope_key":"CF-Y"}]', 'CF-ERP', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"CF-S4","scope_kind":"customer","scope_key":"CF-X"}', 'CF-ERP');
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"CF-S4","scope_kind":"all"}', 'CF-ERP');
SELECT code, scope_kind, scope_key FROM dist.credit_rule WHERE code LIKE 'CF-S%' ORDER BY 1;
SELECT count(*) AS ended FROM distsync.apply_all('credit_rule', '[{"code":"CF-S3"}, {"code":"CF-S4"}]', 'CF-ERP', options => '{"operation":"deactivate"}');
DELETE FROM dist.credit_rule WHERE code LIKE 'CF-S%';
-- of base and insured limits one counts at a time; it is said of the document, and the others of the call are taken
SELECT ordinal, outcome, sqlstate, field, message FROM distsync.apply_all('credit_account', '[{"code":"CF-L1","customer":"CF-Y","company":"CF","segment":"L1","limits":[{"amount":100},{"kind":"base","amount":200}]},
	{"code":"CF-L2","customer":"CF-Y","company":"CF","segment":"L2","limits":[{"kind":"insured","amount":100,"to":"2998-01-02T00:00:00Z"},{"kind":"insured","amount":200,"from":"2998-01-01T00:00:00Z"}]},
	{"code":"CF-L3","customer":"CF-Y","company":"CF","segment":"L3","limits":[{"amount":100,"to":"2998-01-01T00:00:00Z"},{"amount":200,"from":"2998-01-01T00:00:00Z"},{"kind":"insured","amount":5},{"kind":"temporary","amount":1},{"kind":"temporary","amount":1}]}]', 'CF-ERP', options => '{"on_error":"collect"}');
-- one that was over before another one of its kind was is history, which is not rewritten
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CF-L3","limits":[{"amount":300,"from":"2020-01-01T00:00:00Z","to":"2021-01-01T00:00:00Z"},{"kind":"insured","amount":7}]}', 'CF-ERP');
SELECT l.kind, l.amount, upper_inf(l.valid) AS counts FROM dist.credit_limit l JOIN dist.credit_account a USING (account_id) WHERE a.code = 'CF-L3' AND l.kind <> 'temporary' ORDER BY 1, 2;
SELECT * FROM distsync_internal.credit_verify_counters();
