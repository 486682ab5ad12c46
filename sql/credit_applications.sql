\set SHOW_CONTEXT never
-- What the owner of the receivables has applied: it takes the place of what was only supposed; what does not fit is told and changes nothing.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD'), ('EUR') ON CONFLICT DO NOTHING;
INSERT INTO sync.system (code, kind) VALUES ('CA-ERP', 'erp');
INSERT INTO dist.company (code, name, currency, tz) VALUES ('CA', 'Credit applications', 'USD', 'UTC');
INSERT INTO dist.party (code, name) VALUES ('CA-X', 'x'), ('CA-Y', 'y'), ('CA-Z', 'z');
INSERT INTO dist.party (code, name, payer_id) SELECT 'CA-XS', 'shop of x', party_id FROM dist.party WHERE code = 'CA-X';
SELECT outcome FROM distsync.apply_all('credit_account', '[{"code":"CA-X","customer":"CA-X","company":"CA","limit":5000,"mode":"mirrored"}, {"code":"CA-Y","customer":"CA-Y","company":"CA","limit":500,"mode":"mirrored"}, {"code":"CA-Z","customer":"CA-Z","company":"CA","limit":500}]', 'CA-ERP');
SELECT outcome FROM distsync.apply_all('invoice', '[
	{"company":"CA","invoice_number":"CA-1","customer":"CA-X","currency":"USD","net_amount":100,"issued_at":"2026-01-01","due_on":"2026-01-31"},
	{"company":"CA","invoice_number":"CA-2","customer":"CA-X","currency":"USD","net_amount":50,"issued_at":"2026-01-05","due_on":"2026-02-05"},
	{"company":"CA","invoice_number":"CA-3","customer":"CA-X","currency":"USD","net_amount":200,"issued_at":"2026-01-10","due_on":"2026-02-10"},
	{"company":"CA","invoice_number":"CA-Y1","customer":"CA-Y","currency":"USD","net_amount":80,"issued_at":"2026-01-10","due_on":"2026-02-10"},
	{"company":"CA","invoice_number":"CA-M1","kind":"credit_memo","customer":"CA-X","currency":"USD","net_amount":30,"issued_at":"2026-01-15"}]', 'CA-ERP');
CREATE VIEW pg_temp.item AS SELECT i.kind, i.document_number AS number, i.open_amount FROM dist.open_item i JOIN dist.company c USING (company_id) WHERE c.code = 'CA' ORDER BY 1, 2;
CREATE VIEW pg_temp.applied AS SELECT f.document_number AS "from", t.document_number AS "to", a.amount, a.discount, a.write_off, a.realised, a.provisional, a.reverses_id IS NOT NULL AS reversal, a.application_key AS key, a.reason
FROM dist.application a JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id LEFT JOIN dist.open_item f ON f.customer_id = a.customer_id AND f.open_item_id = a.from_item_id
JOIN dist.company c ON c.company_id = a.company_id WHERE c.code = 'CA' ORDER BY a.application_id;
CREATE VIEW pg_temp.account AS SELECT a.code, a.receivable, a.credits, a.unapplied, a.receivable - a.credits - a.unapplied AS exposure FROM dist.credit_account a WHERE a.code LIKE 'CA-%' ORDER BY 1;
-- everything that a fact which does not fit must leave as it is
CREATE VIEW pg_temp.ledger AS SELECT md5(string_agg(x.t, '|' ORDER BY x.t COLLATE "C")) AS books FROM (SELECT i::text AS t FROM dist.open_item i UNION ALL SELECT a::text FROM dist.application a UNION ALL SELECT a::text FROM dist.credit_account a
	UNION ALL SELECT d::text FROM dist.open_due d UNION ALL SELECT d::text FROM dist.dispute d UNION ALL SELECT i::text FROM dist.invoice i UNION ALL SELECT p::text FROM dist.payment p) x(t);

-- a payment is supposed to pay what has been due longest, until its owner says otherwise; what is left is supposed anew
SELECT outcome FROM distsync.apply('payment', '{"company":"CA","payment_number":"CA-P1","customer":"CA-XS","currency":"USD","amount":120,"received_at":"2026-02-20"}', 'CA-ERP');
SELECT * FROM pg_temp.applied;
SELECT * FROM pg_temp.account WHERE code = 'CA-X';
SELECT outcome, entity_key, detail FROM distsync.apply('application', '{"company":"CA","application_number":"A1","payment":"CA-P1","invoice":"CA-3","amount":90,"discount":4,"realised":-1.25,"posted_on":"2026-02-22"}', 'CA-ERP');
SELECT * FROM pg_temp.applied;
SELECT * FROM pg_temp.item WHERE open_amount > 0;
SELECT * FROM pg_temp.account WHERE code = 'CA-X';
-- as of a day: what was supposed and gave way has never been
SELECT d.day, sum(a.amount) AS balance, sum(a.amount) FILTER (WHERE a.bucket = 'unapplied') AS unapplied FROM unnest(ARRAY['2026-02-19', '2026-02-20', '2026-02-21', '2026-02-22']::date[]) d(day), distsync.aging('CA-X', d.day) a GROUP BY 1 ORDER BY 1;
-- again: unchanged; with another amount: rejected
SELECT outcome FROM distsync.apply('application', '{"company":"CA","application_number":"A1","customer":"CA-X","payment":"CA-P1","invoice":"CA-3","amount":90.00,"discount":4,"realised":-1.25}', 'CA-ERP');
SELECT outcome, sqlstate, field FROM distsync.apply_all('application', '[{"company":"CA","application_number":"A1","payment":"CA-P1","invoice":"CA-3","amount":91}]', 'CA-ERP', options => '{"on_error":"collect"}');

-- the owner takes it back: then the payment is unapplied, as he says, and nothing is supposed of it any more
SELECT outcome, detail FROM distsync.apply('application', '{"company":"CA","application_number":"A1-R","reverses":"A1","posted_on":"2026-02-25","reason":"wrong invoice"}', 'CA-ERP');
SELECT * FROM pg_temp.item WHERE open_amount > 0;
SELECT * FROM pg_temp.account WHERE code = 'CA-X';
SELECT outcome, detail FROM distsync.apply_all('application', '[{"company":"CA","application_number":"A2","payment":"CA-P1","invoice":"CA-1","amount":100,"posted_on":"2026-02-26"}, {"company":"CA","application_number":"A3","credit_memo":"CA-M1","invoice":"CA-2","amount":30,"posted_on":"2026-02-26"},
	{"company":"CA","application_number":"A4","invoice":"CA-2","write_off":0.5,"reason":"small","posted_on":"2026-02-26"}]', 'CA-ERP');
SELECT * FROM pg_temp.item WHERE open_amount > 0;
SELECT * FROM pg_temp.account WHERE code = 'CA-X';

-- one payment's application pushes another's away, which is supposed anew
SELECT outcome, detail -> 'applied' AS applied FROM distsync.apply('payment', '{"company":"CA","payment_number":"CA-P2","customer":"CA-X","currency":"USD","amount":60,"remittance":[{"invoice":"CA-2"}]}', 'CA-ERP');
SELECT outcome, detail -> 'applied' AS applied FROM distsync.apply('payment', '{"company":"CA","payment_number":"CA-P3","customer":"CA-X","currency":"USD","amount":19.5,"remittance":[{"invoice":"CA-3"}]}', 'CA-ERP');
SELECT outcome FROM distsync.apply('application', '{"company":"CA","application_number":"A5","payment":"CA-P3","invoice":"CA-2","amount":19.5}', 'CA-ERP');
SELECT * FROM pg_temp.item WHERE open_amount > 0;
SELECT "from", "to", sum(amount) FROM pg_temp.applied WHERE "from" IN ('CA-P2', 'CA-P3') GROUP BY 1, 2 HAVING sum(amount) <> 0 ORDER BY 1, 2;

-- what does not fit: told, and nothing of it is done
SELECT books FROM pg_temp.ledger \gset before_
SELECT ordinal, outcome, detail ->> 'sqlstate' AS sqlstate, detail ->> 'message' AS message FROM distsync.apply_all('application', '[
	{"company":"CA","application_number":"B1","payment":"CA-P2","invoice":"CA-3","amount":60.0001}, {"company":"CA","application_number":"B2","payment":"CA-P2","invoice":"CA-3","amount":60,"write_off":140.01},
	{"company":"CA","application_number":"B3","payment":"CA-P2","invoice":"CA-Y1","amount":1}, {"company":"CA","application_number":"B4","customer":"CA-Y","payment":"CA-P2","invoice":"CA-3","amount":1},
	{"company":"CA","application_number":"B5","payment":"CA-P2","invoice":"CA-3","amount":1,"currency":"EUR"}, {"company":"CA","application_number":"B6","payment":"CA-NONE","invoice":"CA-3","amount":1},
	{"company":"CA","application_number":"B7","payment":"CA-P2","invoice":"CA-NONE","amount":1}, {"company":"CA","application_number":"B8","reverses":"A1"}, {"company":"CA","application_number":"B9","reverses":"A1-R"},
	{"company":"CA","application_number":"B10","reverses":"NONE"}, {"company":"CA","application_number":"B11","reverses":"A2","customer":"CA-Y"}, {"company":"CA","application_number":"B12","payment":"CA-P1","invoice":"CA-3","amount":20.01}]', 'CA-ERP');
SELECT kind, trace_key, state, details ->> 'sqlstate' AS sqlstate, details ->> 'field' AS field FROM sync.exception WHERE kind = 'application_refused' AND trace_key LIKE 'CA/%' ORDER BY exception_id;
SELECT books = :'before_books' AS same FROM pg_temp.ledger;
-- malformed: rejected, with the field
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('application', '[
	{"company":"NOWHERE","application_number":"C1","payment":"CA-P2","invoice":"CA-3","amount":1}, {"company":"CA","application_number":"C2","customer":"CA-NOBODY","payment":"CA-P2","invoice":"CA-3","amount":1},
	{"company":"CA","application_number":"C3","payment":"CA-P2","credit_memo":"CA-M1","invoice":"CA-3","amount":1}, {"company":"CA","application_number":"C4","payment":"CA-P2","amount":1},
	{"company":"CA","application_number":"C5","payment":"CA-P2","invoice":"CA-3"}, {"company":"CA","application_number":"C6","invoice":"CA-3","amount":1}, {"company":"CA","application_number":"C7","payment":"CA-P2","invoice":"CA-3","discount":1},
	{"company":"CA","application_number":"C8","payment":"CA-P2","invoice":"CA-3","amount":1,"currency":"ZZZ"}, {"company":"CA","application_number":"C9","reverses":"A2","amount":1}, {"company":"CA","application_number":"C10","payment":"CA-P2","invoice":"CA-3","amount":-1},
	{"company":"CA","application_number":"C11","payment":"CA-P2","invoice":"CA-3","amount":"NaN"}]', 'CA-ERP', options => '{"on_error":"collect"}');
SELECT books = :'before_books' AS same FROM pg_temp.ledger;
-- what was unknown comes, the fact is sent again and its exception closes
SELECT outcome FROM distsync.apply('payment', '{"company":"CA","payment_number":"CA-NONE","customer":"CA-X","currency":"USD","amount":1}', 'CA-ERP');
SELECT outcome, detail ->> 'unapplied' AS unapplied FROM distsync.apply('application', '{"company":"CA","application_number":"B6","payment":"CA-NONE","invoice":"CA-3","amount":1}', 'CA-ERP');
SELECT state FROM sync.exception WHERE kind = 'application_refused' AND trace_key = 'CA/B6';
-- a payment that bounced
SELECT outcome FROM distsync.apply('payment', '{"company":"CA","payment_number":"CA-P2-R","currency":"USD","amount":60,"reverses":"CA-P2"}', 'CA-ERP');
SELECT outcome, detail ->> 'sqlstate' AS sqlstate, detail ->> 'message' AS message FROM distsync.apply('application', '{"company":"CA","application_number":"B13","payment":"CA-P2","invoice":"CA-3","amount":1}', 'CA-ERP');
SELECT event_type, entity_key FROM sync.outbox_customer WHERE event_type = 'application.posted' AND entity_key LIKE 'CA/%' ORDER BY 2;
SELECT * FROM distsync_internal.credit_verify_items();
SELECT * FROM distsync_internal.credit_verify_applications();
SELECT * FROM distsync_internal.credit_verify_counters();
SELECT * FROM distsync_internal.credit_verify_due();
