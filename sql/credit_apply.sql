\set SHOW_CONTEXT never
-- Money applied by hand where the ledger is ours: named errors, nothing half done, what waits goes on in the same transaction.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind) VALUES ('CP-ERP', 'erp');
INSERT INTO dist.company (code, name, currency, tz) VALUES ('CP', 'Credit by hand', 'USD', 'UTC');
INSERT INTO dist.party (code, name) VALUES ('CP-X', 'x'), ('CP-Y', 'y'), ('CP-M', 'mirrored');
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"CP-X","customer":"CP-X","company":"CP","limit":300}, {"code":"CP-Y","customer":"CP-Y","company":"CP"}, {"code":"CP-M","customer":"CP-M","company":"CP","mode":"mirrored"}]', 'CP-ERP');
SELECT outcome FROM distsync.apply_all('invoice', '[
	{"company":"CP","invoice_number":"CP-1","customer":"CP-X","currency":"USD","net_amount":100,"due_on":"2030-01-31"},
	{"company":"CP","invoice_number":"CP-2","customer":"CP-X","currency":"USD","net_amount":50,"due_on":"2030-02-05","terms":"2/10 NET30"},
	{"company":"CP","invoice_number":"CP-Y1","customer":"CP-Y","currency":"USD","net_amount":80},
	{"company":"CP","invoice_number":"CP-M1","customer":"CP-M","currency":"USD","net_amount":80}]', 'CP-ERP');
-- money that names nothing we know waits for it
SELECT outcome, detail ->> 'unapplied' AS unapplied FROM distsync.apply_all('payment', '[{"company":"CP","payment_number":"CP-P1","customer":"CP-X","currency":"USD","amount":120,"remittance":[{"invoice":"CP-LATER"}]},
	{"company":"CP","payment_number":"CP-MP","customer":"CP-M","currency":"USD","amount":50,"remittance":[{"invoice":"CP-LATER"}]}]', 'CP-ERP');
CREATE VIEW pg_temp.item AS SELECT i.kind, i.document_number AS number, i.open_amount FROM dist.open_item i JOIN dist.company c USING (company_id) WHERE c.code = 'CP' ORDER BY 1, 2;
CREATE VIEW pg_temp.ledger AS SELECT md5(string_agg(x.t, '|' ORDER BY x.t COLLATE "C")) AS books FROM (SELECT i::text AS t FROM dist.open_item i UNION ALL SELECT a::text FROM dist.application a UNION ALL SELECT a::text FROM dist.credit_account a
	UNION ALL SELECT d::text FROM dist.open_due d UNION ALL SELECT d::text FROM dist.dispute d UNION ALL SELECT i::text FROM dist.invoice i UNION ALL SELECT i::text FROM sync.idempotency i UNION ALL SELECT a::text FROM sync.audit a) x(t);
SELECT books FROM pg_temp.ledger \gset before_
-- refused, each by name
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":50},{"invoice":"CP-2","amount":50.01}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":100},{"invoice":"CP-2","amount":20.01}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":50},{"invoice":"CP-Y1","amount":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-2","amount":48,"discount":1.01}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":99,"write_off":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-MP', '[{"invoice":"CP-M1","amount":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-NONE', '[{"invoice":"CP-1","amount":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-NONE","amount":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":"NaN"}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":-1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1"}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amout":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', NULL, '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment(NULL, '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":1}]', '{"compnay":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.unapply_payment('CP-P1', NULL, '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT books = :'before_books' AS same FROM pg_temp.ledger;

-- applied, once under its key; again: the first answer
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":70},{"invoice":"CP-2","amount":49,"discount":0.6,"write_off":0.4}]', '{"company":"CP","reason":"agreed","idempotency_key":"cp-1"}') AS answer;
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":70},{"invoice":"CP-2","amount":49,"discount":0.6,"write_off":0.4}]', '{"company":"CP","reason":"agreed","idempotency_key":"cp-1"}') ->> 'unapplied' AS again;
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":1}]', '{"company":"CP","idempotency_key":"cp-1"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.item WHERE open_amount > 0;
SELECT a.code, a.receivable, a.unapplied FROM dist.credit_account a WHERE a.code LIKE 'CP-%' ORDER BY 1;
SELECT verb, entity_key, reason FROM sync.audit WHERE verb IN ('apply_payment', 'unapply_payment') AND entity_key LIKE 'CP/%' ORDER BY audit_id;
-- taken back: once, by rows; what it closed is open again
SELECT distsync.unapply_payment('CP-P1', '{CP-2}', '{"company":"CP","reason":"typed wrong"}') AS answer;
SELECT distsync.unapply_payment('CP-P1', '{CP-2}', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.item WHERE open_amount > 0;
SELECT distsync.unapply_payment('CP-P1', options => '{"company":"CP"}') ->> 'unapplied' AS unapplied;
SELECT distsync.unapply_payment('CP-P1', options => '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
SELECT a.code, a.receivable, a.unapplied FROM dist.credit_account a WHERE a.code = 'CP-X';
-- a credit memo of another currency
SELECT outcome FROM distsync.apply('invoice', '{"company":"CP","invoice_number":"CP-EM","kind":"credit_memo","customer":"CP-Y","currency":"USD","net_amount":5}', 'CP-ERP');
INSERT INTO dist.currency (currency) VALUES ('CZK') ON CONFLICT DO NOTHING;
INSERT INTO dist.exchange_rate (from_currency, to_currency, rate, valid) VALUES ('CZK', 'USD', 1.1, '[2020-01-01,)');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CP","invoice_number":"CP-YE","customer":"CP-Y","currency":"CZK","net_amount":5}', 'CP-ERP');
SELECT distsync.apply_payment('CP-EM', '[{"invoice":"CP-YE","amount":1}]', '{"company":"CP","kind":"credit_memo"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.apply_payment('CP-EM', '[{"invoice":"CP-Y1","amount":5}]', '{"company":"CP","kind":"credit_memo"}') -> 'applications' AS applications;
-- a payment that bounced pays nothing
SELECT outcome FROM distsync.apply('payment', '{"company":"CP","payment_number":"CP-P1R","currency":"USD","amount":120,"reverses":"CP-P1"}', 'CP-ERP');
SELECT distsync.apply_payment('CP-P1', '[{"invoice":"CP-1","amount":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
-- an invoice that is void
SELECT outcome FROM distsync.apply('payment', '{"company":"CP","payment_number":"CP-P2","customer":"CP-X","currency":"USD","amount":10,"remittance":[{"invoice":"CP-LATER"}]}', 'CP-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CP","invoice_number":"CP-1","customer":"CP-X","currency":"USD","net_amount":100,"status":"void"}', 'CP-ERP');
SELECT distsync.apply_payment('CP-P2', '[{"invoice":"CP-1","amount":1}]', '{"company":"CP"}');
\echo :LAST_ERROR_SQLSTATE
-- what waits because something is late goes on in the transaction that applies the money
SELECT outcome FROM distsync.apply('party', '{"code":"CP-L","name":"late"}', 'CP-ERP');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"CP-L","customer":"CP-L","company":"CP","limit":1000}', 'CP-ERP');
SELECT outcome FROM distsync.apply('credit_rule', '{"code":"CP-LATE","type":"overdue_amount","scope_kind":"customer","scope_key":"CP-L","threshold":0}', 'CP-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CP","invoice_number":"CP-L1","customer":"CP-L","currency":"USD","net_amount":40,"issued_at":"2020-01-01","due_on":"2020-01-31"}', 'CP-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CP","payment_number":"CP-LP","customer":"CP-L","currency":"USD","amount":40,"remittance":[{"invoice":"CP-LATER"}]}', 'CP-ERP');
SELECT distsync_internal.credit_hold(a.account_id, jsonb_build_object('customer_id', a.customer_id, 'order_id', -(SELECT count(*) + 1 FROM dist.hold), 'company_id', a.company_id, 'order_number', 'CP-O1', 'amount', 10)) > 0 AS waits FROM dist.credit_account a WHERE a.code = 'CP-L';
BEGIN;
SELECT distsync.apply_payment('CP-LP', '[{"invoice":"CP-L1","amount":39}]', '{"company":"CP"}') ->> 'unapplied' AS unapplied;
SELECT released_at IS NOT NULL AS released FROM dist.hold WHERE order_number = 'CP-O1';
SELECT distsync.apply_payment('CP-LP', '[{"invoice":"CP-L1","amount":1}]', '{"company":"CP"}') ->> 'unapplied' AS unapplied;
SELECT released_at IS NOT NULL AS released, release_reason FROM dist.hold WHERE order_number = 'CP-O1';
SELECT open_orders, held_demand FROM dist.credit_account WHERE code = 'CP-L';
ROLLBACK;
SELECT distsync_internal.credit_hold_end(h.customer_id, h.hold_id, 'test', 'cancelled') IS NOT NULL AS ended FROM dist.hold h WHERE h.order_number = 'CP-O1';
DELETE FROM dist.hold WHERE order_number = 'CP-O1';
DELETE FROM dist.credit_rule WHERE code = 'CP-LATE';
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_applications();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_due();
