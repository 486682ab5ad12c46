-- credit.sql: :customers customers with an account and a limit each, :items open invoices among them, past the doors.
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (company_id, code, name, currency) VALUES (1, 'B', 'Bench', 'USD') ON CONFLICT DO NOTHING;
ALTER TABLE dist.party DISABLE TRIGGER USER;
ALTER TABLE dist.credit_account DISABLE TRIGGER USER;
INSERT INTO dist.party (code, name, currency) SELECT 'CC-' || i, 'Customer ' || i, 'USD' FROM generate_series(1, :customers) i;
INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth) SELECT party_id, party_id, 0 FROM dist.party WHERE code LIKE 'CC-%';
INSERT INTO dist.credit_account (code, customer_id, company_id, currency)
SELECT 'A-' || p.code, p.party_id, c.company_id, 'USD' FROM dist.party p, dist.company c WHERE p.code LIKE 'CC-%' AND c.code = 'B';
INSERT INTO dist.credit_limit (account_id, amount, approved_by) SELECT account_id, 100000, 'bench' FROM dist.credit_account WHERE code LIKE 'A-CC-%';
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on)
SELECT a.customer_id, a.account_id, a.company_id, 'invoice', a.code || '/' || n, 'USD', 100 + n, 100 + n, 100 + n, 100 + n, now() - n * interval '1 day', current_date + 20 + n
FROM dist.credit_account a, generate_series(1, :items / :customers) n WHERE a.code LIKE 'A-CC-%';
UPDATE dist.credit_account a SET receivable = s.sum FROM (SELECT account_id, sum(account_amount) FROM dist.open_item GROUP BY account_id) s WHERE s.account_id = a.account_id;
ALTER TABLE dist.party ENABLE TRIGGER USER;
ALTER TABLE dist.credit_account ENABLE TRIGGER USER;
VACUUM ANALYZE dist.party, dist.party_ancestor, dist.credit_account, dist.credit_limit, dist.open_item;
