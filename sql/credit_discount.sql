\set SHOW_CONTEXT never
-- Cash discount, instalments, deductions: what may be left unpaid, when what is due, what was left out with a reason.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind) VALUES ('CD-ERP', 'erp');
INSERT INTO dist.company (code, name, currency, tz) VALUES ('CD', 'Credit discount', 'USD', 'UTC');
INSERT INTO dist.party (code, name) VALUES ('CD-X', 'x'), ('CD-Y', 'y'), ('CD-Z', 'z');
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"CD-X","customer":"CD-X","company":"CD","limit":5000}, {"code":"CD-Y","customer":"CD-Y","company":"CD","limit":1000}, {"code":"CD-Z","customer":"CD-Z","company":"CD","limit":1000,"exclude_disputed":true}]', 'CD-ERP');
CREATE VIEW pg_temp.applied AS SELECT f.document_number AS "from", t.document_number AS "to", a.amount, a.discount, a.reverses_id IS NOT NULL AS reversal
FROM dist.application a JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id LEFT JOIN dist.open_item f ON f.customer_id = a.customer_id AND f.open_item_id = a.from_item_id
JOIN dist.company c ON c.company_id = a.company_id WHERE c.code = 'CD' ORDER BY a.application_id;

-- terms say when and how much less; what is told goes before
SELECT outcome FROM distsync.apply_all('invoice', '[
	{"company":"CD","invoice_number":"CD-1","customer":"CD-X","currency":"USD","net_amount":100.25,"issued_at":"2026-01-01","terms":"2/10 NET30"},
	{"company":"CD","invoice_number":"CD-2","customer":"CD-X","currency":"USD","net_amount":200,"issued_at":"2026-01-02","terms":"3%/8 net 30"},
	{"company":"CD","invoice_number":"CD-3","customer":"CD-X","currency":"USD","net_amount":300,"issued_at":"2026-01-03","terms":"NET60","discount_amount":5,"discount_until":"2026-01-20"},
	{"company":"CD","invoice_number":"CD-4","customer":"CD-X","currency":"USD","net_amount":400,"issued_at":"2026-01-04","terms":"NET60"}]', 'CD-ERP');
SELECT document_number, due_on, discount_amount, discount_until FROM dist.open_item WHERE document_number LIKE 'CD-_' ORDER BY 1;
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('invoice', '[
	{"company":"CD","invoice_number":"CD-B1","customer":"CD-X","currency":"USD","net_amount":100,"discount_amount":100,"discount_until":"2026-01-20"},
	{"company":"CD","invoice_number":"CD-B2","customer":"CD-X","currency":"USD","net_amount":100,"discount_amount":1},
	{"company":"CD","invoice_number":"CD-B3","kind":"credit_memo","customer":"CD-X","currency":"USD","net_amount":100,"discount_amount":1,"discount_until":"2026-01-20"},
	{"company":"CD","invoice_number":"CD-B4","customer":"CD-X","currency":"USD","net_amount":100,"instalments":[{"due_on":"2026-02-01","amount":50},{"due_on":"2026-03-01","amount":49.99}]},
	{"company":"CD","invoice_number":"CD-B5","customer":"CD-X","currency":"USD","net_amount":100,"instalments":[{"due_on":"2026-02-01"}]},
	{"company":"CD","invoice_number":"CD-B6","customer":"CD-X","currency":"USD","net_amount":100,"instalments":[{"due_on":"2026-02-01","amount":-1},{"due_on":"2026-02-01","amount":101}]},
	{"company":"CD","invoice_number":"CD-B7","kind":"credit_memo","customer":"CD-X","currency":"USD","net_amount":100,"instalments":[{"due_on":"2026-02-01","amount":100}]}]', 'CD-ERP', options => '{"on_error":"collect"}');
-- taken in time and to the last cent: closed; a cent too little, a day too late: not
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P1","customer":"CD-X","currency":"USD","amount":98.24,"received_at":"2026-01-11","remittance":[{"invoice":"CD-1"}]}', 'CD-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P2","customer":"CD-X","currency":"USD","amount":194,"received_at":"2026-01-11","remittance":[{"invoice":"CD-2"}]}', 'CD-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P3","customer":"CD-X","currency":"USD","amount":294.99,"received_at":"2026-01-12","remittance":[{"invoice":"CD-3"}]}', 'CD-ERP');
SELECT * FROM pg_temp.applied;
SELECT document_number, open_amount FROM distsync.open_items('CD-X', '{"company":"CD"}');
-- the rest of it in time, with what is left of the discount; it bounces, and the discount with it
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P4","customer":"CD-X","currency":"USD","amount":1,"received_at":"2026-01-13","remittance":[{"invoice":"CD-3"}]}', 'CD-ERP');
SELECT * FROM pg_temp.applied WHERE "from" = 'CD-P4';
SELECT kind, document_number, amount, balance FROM distsync.statement('CD-X', to_day => current_date);
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P1R","currency":"USD","amount":98.24,"reverses":"CD-P1"}', 'CD-ERP');
SELECT document_number, open_amount FROM distsync.open_items('CD-X', '{"company":"CD"}');
SELECT (SELECT balance FROM distsync.statement('CD-X') OFFSET (SELECT count(*) - 1 FROM distsync.statement('CD-X'))) = (SELECT sum(amount) FROM distsync.aging('CD-X')) AS same;
-- money that came before its invoice takes the discount too
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P5","customer":"CD-Y","currency":"USD","amount":49,"received_at":"2026-01-13","remittance":[{"invoice":"CD-5"}]}', 'CD-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CD","invoice_number":"CD-5","customer":"CD-Y","currency":"USD","net_amount":50,"issued_at":"2026-01-12","terms":"2/10 NET30"}', 'CD-ERP');
SELECT * FROM pg_temp.applied WHERE "to" = 'CD-5';
SELECT receivable, unapplied FROM dist.credit_account WHERE code = 'CD-Y';

-- instalments: each due on its day, also in the past
SELECT outcome FROM distsync.apply('invoice', '{"company":"CD","invoice_number":"CD-6","customer":"CD-Y","currency":"USD","net_amount":100,"issued_at":"2026-01-01","instalments":[{"due_on":"2026-01-31","amount":33.34},{"due_on":"2026-03-02","amount":33.33},{"due_on":"2026-04-01","amount":33.33}]}', 'CD-ERP');
SELECT i.due_on, d.due_on AS day, d.amount FROM dist.open_item i JOIN dist.open_due d USING (account_id) WHERE i.document_number = 'CD-6' ORDER BY 2;
SELECT bucket, amount, items FROM distsync.aging('CD-Y', '2026-03-05');
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P6","customer":"CD-Y","currency":"USD","amount":40,"received_at":"2026-03-06","remittance":[{"invoice":"CD-6"}]}', 'CD-ERP');
SELECT bucket, amount, items FROM distsync.aging('CD-Y', '2026-03-05');
SELECT d.due_on AS day, d.amount FROM dist.open_item i JOIN dist.open_due d USING (account_id) WHERE i.document_number = 'CD-6' ORDER BY 1;

-- deductions: left out with a reason, so in dispute; how it ends is told
SELECT outcome FROM distsync.apply_all('invoice', '[{"company":"CD","invoice_number":"CD-7","customer":"CD-Z","currency":"USD","net_amount":100,"issued_at":"2026-01-01"}, {"company":"CD","invoice_number":"CD-8","customer":"CD-Z","currency":"USD","net_amount":100,"issued_at":"2026-01-01"}]', 'CD-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P7","customer":"CD-Z","currency":"USD","amount":150,"remittance":[{"invoice":"CD-7","amount":80,"deduction":20,"reason":"damaged"},{"invoice":"CD-8","amount":70,"deduction":30,"reason":"freight"}]}', 'CD-ERP');
CREATE VIEW pg_temp.dispute AS SELECT d.dispute_number, d.kind, d.amount, d.reason, d.payment_number, d.closed_at IS NOT NULL AS closed, d.outcome FROM dist.dispute d WHERE d.dispute_number LIKE 'CD-%' ORDER BY 1;
SELECT * FROM pg_temp.dispute;
SELECT receivable, disputed FROM dist.credit_account WHERE code = 'CD-Z';
SELECT exposure FROM distsync.credit('CD-Z', 0, options => '{"company":"CD"}');
SELECT outcome FROM distsync.apply_all('dispute', '[{"company":"CD","customer":"CD-Z","dispute_number":"CD-P7/CD-7","invoice":"CD-7","outcome":"credited"}, {"company":"CD","customer":"CD-Z","dispute_number":"CD-P7/CD-8","invoice":"CD-8","reason":"freight agreed"}]', 'CD-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"CD","invoice_number":"CD-7C","kind":"credit_memo","corrects":"CD-7","customer":"CD-Z","currency":"USD","net_amount":20}', 'CD-ERP');
SELECT * FROM pg_temp.dispute;
SELECT receivable, credits, disputed FROM dist.credit_account WHERE code = 'CD-Z';
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('dispute', '[{"company":"CD","customer":"CD-Z","dispute_number":"CD-P7/CD-8","invoice":"CD-8","outcome":"upheld","closed":false}, {"company":"CD","customer":"CD-Z","dispute_number":"CD-P7/CD-8","invoice":"CD-8","outcome":"lost"}]', 'CD-ERP', options => '{"on_error":"collect"}');
-- it bounces: nothing was left out
SELECT outcome FROM distsync.apply('payment', '{"company":"CD","payment_number":"CD-P7R","currency":"USD","amount":150,"reverses":"CD-P7"}', 'CD-ERP');
SELECT * FROM pg_temp.dispute;
SELECT receivable, disputed FROM dist.credit_account WHERE code = 'CD-Z';
-- opened again
SELECT outcome FROM distsync.apply('dispute', '{"company":"CD","customer":"CD-Z","dispute_number":"CD-P7/CD-8","invoice":"CD-8","closed":false}', 'CD-ERP');
SELECT * FROM pg_temp.dispute WHERE dispute_number = 'CD-P7/CD-8';
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_applications();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_due();
