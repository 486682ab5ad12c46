-- credit.sql: :customers customers with an account and a limit each, five open items among them (four invoices, a payment of which a part is
-- applied), past the doors; rules that look at what is late; and :wide accounts with 10,000 open items beside 100 with 10, all over 120 days.
-- A fifth of the customers has invoices that are up to 60 days late. What the doors keep is written here; verify() finds nothing.
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (company_id, code, name, currency) VALUES (1, 'B', 'Bench', 'USD') ON CONFLICT DO NOTHING;
ALTER TABLE dist.party DISABLE TRIGGER USER;
ALTER TABLE dist.credit_account DISABLE TRIGGER USER;
ALTER TABLE dist.credit_limit DISABLE TRIGGER USER;
INSERT INTO dist.party (code, name, currency) SELECT 'CC-' || i, 'Customer ' || i, 'USD' FROM generate_series(1, :customers) i;
INSERT INTO dist.party (code, name, currency) SELECT 'CN-' || i, 'Narrow ' || i, 'USD' FROM generate_series(1, 100) i;
INSERT INTO dist.party (code, name, currency) SELECT 'CW-' || i, 'Wide ' || i, 'USD' FROM generate_series(1, :wide) i;
INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth) SELECT party_id, party_id, 0 FROM dist.party WHERE code LIKE 'C_-%';
INSERT INTO dist.credit_account (code, customer_id, company_id, currency)
SELECT 'A-' || p.code, p.party_id, c.company_id, 'USD' FROM dist.party p, dist.company c WHERE p.code LIKE 'C_-%' AND c.code = 'B' ORDER BY p.party_id;
INSERT INTO dist.credit_limit (account_id, amount, approved_by) SELECT account_id, CASE WHEN code LIKE 'A-CC-%' THEN 3000 ELSE 200000 END, 'bench' FROM dist.credit_account WHERE code LIKE 'A-C_-%' ORDER BY account_id;
INSERT INTO dist.credit_rule (code, type, threshold, grace_days, action) VALUES
	('LATE', 'overdue_amount', 500, 5, 'block'), ('LATE-SHARE', 'overdue_share', 60, 5, 'block'), ('OLDEST', 'oldest_item', 30, 5, 'block'), ('NEAR', 'limit_share', 90, 0, 'warn');
-- four invoices, of the first one 50 is paid; of the payment 30 is left
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on)
SELECT x.customer_id, x.account_id, x.company_id, 'invoice', x.code || '/' || n, 'USD', x.amount, x.amount - x.paid, x.amount, x.amount - x.paid, x.due_on - 60, x.due_on
FROM (SELECT a.*, n, 100 + (a.customer_id * 37 + n * 11) % 400 AS amount, CASE n WHEN 1 THEN 50 ELSE 0 END AS paid,
		current_date + CASE a.customer_id % 5 WHEN 0 THEN (a.customer_id * 13 + n * 29) % 120 - 60 ELSE (a.customer_id * 7 + n * 13) % 60 END::integer AS due_on
	FROM dist.credit_account a, generate_series(1, 4) n WHERE a.code LIKE 'A-CC-%' ORDER BY a.account_id, n) x;
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at)
SELECT a.customer_id, a.account_id, a.company_id, 'payment', a.code || '/P', 'USD', 80, 30, 80, 30, current_date - 40 FROM dist.credit_account a WHERE a.code LIKE 'A-CC-%' ORDER BY a.account_id;
INSERT INTO dist.payment (customer_id, company_id, payment_number, received_at, currency, amount, source)
SELECT a.customer_id, a.company_id, a.code || '/P', current_date - 40, 'USD', 80, 'distsync' FROM dist.credit_account a WHERE a.code LIKE 'A-CC-%' ORDER BY a.account_id;
INSERT INTO dist.application (customer_id, from_item_id, to_item_id, company_id, amount, currency, applied_at, effective_on, provisional, source)
SELECT f.customer_id, f.open_item_id, t.open_item_id, f.company_id, 50, 'USD', current_date - 40, current_date - 40, false, 'distsync'
FROM dist.open_item f JOIN dist.open_item t ON t.customer_id = f.customer_id AND t.kind = 'invoice' AND t.document_number = rtrim(f.document_number, 'P') || '1' WHERE f.kind = 'payment' ORDER BY f.customer_id;
-- the same amount on ten days, or on all of 120
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on)
SELECT a.customer_id, a.account_id, a.company_id, 'invoice', a.code || '/' || n, 'USD', 100000 / x.items, 100000 / x.items, 100000 / x.items, 100000 / x.items, current_date - 100, current_date - 60 + (n * 120 / x.items)
FROM dist.credit_account a JOIN (VALUES ('A-CN-%', 10), ('A-CW-%', 10000)) x(code, items) ON a.code LIKE x.code, generate_series(0, x.items - 1) n;
INSERT INTO dist.open_due (account_id, due_on, amount) SELECT account_id, due_on, sum(account_amount) FROM dist.open_item WHERE due_on IS NOT NULL GROUP BY account_id, due_on ORDER BY account_id, due_on;
UPDATE dist.credit_account a SET receivable = s.receivable, unapplied = CASE WHEN a.code LIKE 'A-CC-%' THEN 30 ELSE 0 END, late_on = current_date, late_amount = COALESCE(s.late, 0), late_before = s.before, limit_amount = CASE WHEN a.code LIKE 'A-CC-%' THEN 3000 ELSE 200000 END, limit_from = now(), oldest_due_on = s.oldest, next_due_on = s.next,
	due_at = (s.next + 1)::timestamp AT TIME ZONE 'UTC'
FROM (SELECT d.account_id, sum(d.amount) AS receivable, sum(d.amount) FILTER (WHERE d.due_on < current_date) AS late, min(d.due_on) AS oldest, min(d.due_on) FILTER (WHERE d.due_on >= current_date) AS next,
		CASE WHEN min(d.due_on) < current_date THEN ARRAY(SELECT sum(d.amount) FILTER (WHERE d.due_on < current_date) - COALESCE(sum(x.amount) OVER (ORDER BY k.n), 0) FROM generate_series(0, least(current_date - min(d.due_on), 99)) k(n)
			LEFT JOIN dist.open_due x ON x.account_id = d.account_id AND x.due_on = current_date - k.n AND k.n > 0 ORDER BY k.n) END AS before
	FROM dist.open_due d GROUP BY d.account_id) s WHERE s.account_id = a.account_id;
ALTER TABLE dist.party ENABLE TRIGGER USER;
ALTER TABLE dist.credit_account ENABLE TRIGGER USER;
ALTER TABLE dist.credit_limit ENABLE TRIGGER USER;
VACUUM (FREEZE, ANALYZE) dist.party, dist.party_ancestor, dist.credit_account, dist.credit_limit, dist.credit_rule, dist.open_item, dist.open_due, dist.application, dist.payment;
