\set SHOW_CONTEXT never
-- Invoices that are taken back, and credit and rebill: every amount counts once, at every moment.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind) VALUES ('CV-ERP', 'erp');
INSERT INTO dist.company (code, name, currency, tz) VALUES ('CV', 'Credit void', 'USD', 'UTC');
INSERT INTO dist.party (code, name) VALUES ('CV-X', 'x'), ('CV-Y', 'y');
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"CV-X","customer":"CV-X","company":"CV","limit":1000}, {"code":"CV-Y","customer":"CV-Y","company":"CV","limit":1000}]', 'CV-ERP');
SELECT outcome FROM distsync.apply_all('invoice', '[
	{"company":"CV","invoice_number":"CV-1","customer":"CV-X","currency":"USD","net_amount":100,"issued_at":"2026-01-01","due_on":"2026-01-31"},
	{"company":"CV","invoice_number":"CV-2","customer":"CV-X","currency":"USD","net_amount":50,"issued_at":"2026-01-05","due_on":"2026-02-05"}]', 'CV-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CV","payment_number":"CV-P1","customer":"CV-X","currency":"USD","amount":60,"received_at":"2026-02-01"}', 'CV-ERP');
SELECT outcome FROM distsync.apply('dispute', '{"company":"CV","customer":"CV-X","dispute_number":"CV-D1","invoice":"CV-1","amount":15}', 'CV-ERP');
CREATE VIEW pg_temp.item AS SELECT i.kind, i.document_number AS number, i.open_amount, i.voided FROM dist.open_item i JOIN dist.company c USING (company_id) WHERE c.code = 'CV' ORDER BY 1, 2;
CREATE VIEW pg_temp.account AS SELECT a.code, a.receivable, a.unbilled, a.credits, a.unapplied, a.disputed, a.late_amount, a.receivable + a.unbilled - a.credits - a.unapplied AS exposure FROM dist.credit_account a WHERE a.code LIKE 'CV-%' ORDER BY 1;
SELECT * FROM pg_temp.account;
-- void: what was paid is unapplied, claims end, nothing of it is owed or late
SELECT outcome, entity_key FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-1","customer":"CV-X","currency":"USD","net_amount":100,"status":"void","voided_at":"2026-03-01T00:00:00Z"}', 'CV-ERP');
SELECT * FROM pg_temp.item;
SELECT * FROM pg_temp.account;
SELECT outcome, closed_at IS NOT NULL AS closed FROM dist.dispute WHERE dispute_number = 'CV-D1';
SELECT a.kind, a.amount, a.reverses_id IS NOT NULL AS reversal, a.reason FROM dist.application a JOIN dist.company c USING (company_id) WHERE c.code = 'CV' ORDER BY application_id;
SELECT i.status, i.voided_at FROM dist.invoice i WHERE i.invoice_number = 'CV-1';
SELECT event_type, entity_key FROM sync.outbox_customer WHERE event_type = 'invoice.voided' AND entity_key LIKE 'CV/%';
-- as of the day before it was owed; the statement tells how it went
SELECT d.day, sum(a.amount) FILTER (WHERE a.bucket <> 'unapplied') AS owed, sum(a.amount) AS balance FROM unnest(ARRAY['2026-02-28', '2026-03-01']::date[]) d(day), distsync.aging('CV-X', d.day) a GROUP BY 1 ORDER BY 1;
SELECT day, kind, document_number, amount, balance FROM distsync.statement('CV-X', to_day => '2026-03-02');
-- void stays void: again, posted, disputed, paid by remittance
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-1","customer":"CV-X","currency":"USD","net_amount":100,"status":"void"}', 'CV-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-1","customer":"CV-X","currency":"USD","net_amount":100}', 'CV-ERP');
SELECT outcome, sqlstate, field FROM distsync.apply_all('invoice', '[{"company":"CV","invoice_number":"CV-1","customer":"CV-X","currency":"USD","net_amount":100,"status":"posted"}]', 'CV-ERP', options => '{"on_error":"collect"}');
SELECT outcome, sqlstate, field FROM distsync.apply_all('dispute', '[{"company":"CV","customer":"CV-X","dispute_number":"CV-D2","invoice":"CV-1","amount":15}]', 'CV-ERP', options => '{"on_error":"collect"}');
SELECT outcome, detail ->> 'unapplied' AS unapplied FROM distsync.apply('payment', '{"company":"CV","payment_number":"CV-P2","customer":"CV-X","currency":"USD","amount":20,"remittance":[{"invoice":"CV-1","amount":20}]}', 'CV-ERP');
SELECT details -> 'mismatches' AS mismatches FROM sync.exception WHERE kind = 'remittance_mismatch' AND trace_key = 'CV/CV-P2';
SELECT outcome, detail ->> 'sqlstate' AS sqlstate, detail ->> 'message' AS message FROM distsync.apply('application', '{"company":"CV","application_number":"CV-A1","payment":"CV-P1","invoice":"CV-1","amount":1}', 'CV-ERP');
-- void before it was ever posted here
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-3","customer":"CV-X","currency":"USD","net_amount":500,"status":"void"}', 'CV-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-3","customer":"CV-X","currency":"USD","net_amount":500}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';

-- credit and rebill: the amount goes on counting until it is billed again, whoever is billed
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-4","customer":"CV-X","currency":"USD","net_amount":300,"issued_at":"2026-03-05","due_on":"2026-04-05"}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-4C","kind":"credit_memo","corrects":"CV-4","rebill":true,"customer":"CV-X","currency":"USD","net_amount":300}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';
SELECT invoice_number, rebill, rebill_amount FROM dist.invoice WHERE invoice_number = 'CV-4C';
SELECT * FROM distsync_internal.order_verify_exposure();
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-5","rebills":"CV-4C","customer":"CV-X","currency":"USD","net_amount":290,"issued_at":"2026-03-05","due_on":"2026-04-05"}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';
SELECT invoice_number, rebill, rebill_amount FROM dist.invoice WHERE invoice_number = 'CV-4C';
-- the other way round: the new invoice first; and to another payer
SELECT outcome FROM distsync.apply_all('invoice', '[{"company":"CV","invoice_number":"CV-6","rebills":"CV-5C","customer":"CV-Y","currency":"USD","net_amount":290}, {"company":"CV","invoice_number":"CV-5C","kind":"credit_memo","corrects":"CV-5","rebill":true,"customer":"CV-X","currency":"USD","net_amount":290}]', 'CV-ERP');
SELECT * FROM pg_temp.account;
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-6C","kind":"credit_memo","corrects":"CV-6","rebill":true,"customer":"CV-Y","currency":"USD","net_amount":290}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-Y';
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-7","rebills":"CV-6C","customer":"CV-X","currency":"USD","net_amount":290}', 'CV-ERP');
SELECT * FROM pg_temp.account;
-- a void invoice that is billed again; a memo that is void waits for nothing
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-7","customer":"CV-X","currency":"USD","net_amount":290,"status":"void","rebill":true}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-8","rebills":"CV-7","customer":"CV-X","currency":"USD","net_amount":290}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-8C","kind":"credit_memo","corrects":"CV-8","rebill":true,"customer":"CV-X","currency":"USD","net_amount":290}', 'CV-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-8C","kind":"credit_memo","customer":"CV-X","currency":"USD","net_amount":290,"status":"void"}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-X';
SELECT * FROM pg_temp.item WHERE number LIKE 'CV-8%';
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_applications();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_due();
SELECT * FROM distsync_internal.order_verify_exposure();
-- what was refunded of a memo that is void is owed
INSERT INTO dist.party (code, name) VALUES ('CV-Z', 'z');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CV-Z","customer":"CV-Z","company":"CV","limit":1000}', 'CV-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-9C","kind":"credit_memo","customer":"CV-Z","currency":"USD","net_amount":20}', 'CV-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CV","payment_number":"CV-P9","customer":"CV-Z","kind":"refund","currency":"USD","amount":50}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-Z';
SELECT outcome FROM distsync.apply('invoice', '{"company":"CV","invoice_number":"CV-9C","kind":"credit_memo","customer":"CV-Z","currency":"USD","net_amount":20,"status":"void"}', 'CV-ERP');
SELECT * FROM pg_temp.account WHERE code = 'CV-Z';
SELECT * FROM pg_temp.item WHERE number LIKE 'CV-%9%';
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_counters();
