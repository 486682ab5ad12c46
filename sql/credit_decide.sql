\set SHOW_CONTEXT never
-- Credit decisions: accounts found, limits up the tree, rules, holds that are let go; everything counted under the account's lock.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO dist.currency (currency) VALUES ('USD'), ('EUR') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (code, name, currency) VALUES ('CRD', 'Credit test', 'USD');
INSERT INTO dist.party (code, name) VALUES ('CRD-GROUP', 'The group');
INSERT INTO dist.party (code, name, parent_id, segment) SELECT c, c, g.party_id, 'TRADE' FROM dist.party g, unnest(ARRAY['CRD-A', 'CRD-B', 'CRD-C']) AS c WHERE g.code = 'CRD-GROUP';
INSERT INTO dist.party (code, name, payer_id) SELECT 'CRD-A-SHOP', 'pays through A', party_id FROM dist.party WHERE code = 'CRD-A';
INSERT INTO dist.party (code, name) VALUES ('CRD-ALONE', 'has no account');
INSERT INTO dist.credit_account (code, customer_id, currency) SELECT 'CRD-GROUP', party_id, 'USD' FROM dist.party WHERE code = 'CRD-GROUP';
INSERT INTO dist.credit_account (code, customer_id, company_id, currency, parent_id)
SELECT p.code, p.party_id, c.company_id, 'USD', g.account_id FROM dist.party p, dist.company c, dist.credit_account g WHERE p.code IN ('CRD-A', 'CRD-B') AND c.code = 'CRD' AND g.code = 'CRD-GROUP';
INSERT INTO dist.credit_account (code, customer_id, company_id, segment, currency)
SELECT 'CRD-A-TRADE', p.party_id, c.company_id, 'TRADE', 'USD' FROM dist.party p, dist.company c WHERE p.code = 'CRD-A' AND c.code = 'CRD';
CREATE TEMP VIEW crd AS SELECT a.*, (SELECT company_id FROM dist.company WHERE code = 'CRD') AS company FROM dist.credit_account a WHERE code LIKE 'CRD-%';
CREATE TEMP VIEW who AS SELECT code, party_id AS id FROM dist.party WHERE code LIKE 'CRD-%';

-- which account: own segment first, then the general one, the payer's, those of the parties above; of nobody: none
SELECT w.code, x.options, (SELECT a.code FROM dist.credit_account a WHERE a.account_id = distsync_internal.credit_account_for(w.id, (SELECT company_id FROM dist.company WHERE code = 'CRD'), x.options)) AS account
FROM who w, (VALUES ('{}'::jsonb), ('{"segment":"OTHER"}')) x(options) ORDER BY 1, 2;
UPDATE dist.credit_account SET status = 'closed', segment = 'OLD' WHERE code = 'CRD-A-TRADE';

-- no limit at all is unlimited, 0 is none, an ended one is none
CREATE TEMP VIEW a AS SELECT account_id AS id FROM dist.credit_account WHERE code = 'CRD-A';
CREATE TEMP VIEW b AS SELECT account_id AS id FROM dist.credit_account WHERE code = 'CRD-B';
CREATE TEMP VIEW g AS SELECT account_id AS id FROM dist.credit_account WHERE code = 'CRD-GROUP';
SELECT d ->> 'outcome' AS outcome, d -> 'limit' AS "limit", d -> 'headroom' AS headroom FROM a, distsync_internal.credit_decide(a.id, 1e9) d;
INSERT INTO dist.credit_limit (account_id, amount, approved_by) SELECT id, 0, 'test' FROM a;
SELECT d ->> 'outcome' AS outcome, d -> 'limit' AS "limit", d -> 'cure' AS cure FROM a, distsync_internal.credit_decide(a.id, 0.01) d;
UPDATE dist.credit_limit SET amount = 1000, valid = tstzrange(NULL, '2026-01-01') WHERE account_id = (SELECT id FROM a);
SELECT amount, ended, changes_at FROM a, distsync_internal.credit_limit_at(a.id, '2026-01-01');
SELECT amount, ended, changes_at FROM a, distsync_internal.credit_limit_at(a.id, '2025-12-31 23:59:59');
UPDATE dist.credit_limit SET valid = '(,)' WHERE account_id = (SELECT id FROM a);
-- temporary and seasonal add to the greater of base and insured
INSERT INTO dist.credit_limit (account_id, kind, amount, valid, approved_by)
SELECT id, x.kind, x.amount, x.valid, 'test' FROM a, (VALUES ('insured', 1500, tstzrange(NULL, NULL)), ('temporary', 200, '[2026-03-01,2026-04-01)'), ('seasonal', 50, '[2026-03-15,2026-03-20)')) x(kind, amount, valid);
SELECT t.at, l.* FROM a, (VALUES ('2026-02-01'::timestamptz), ('2026-03-01'), ('2026-03-15'), ('2026-04-01')) t(at), distsync_internal.credit_limit_at(a.id, t.at) l;
DELETE FROM dist.credit_limit WHERE account_id = (SELECT id FROM a) AND kind <> 'base';

-- taking counts in the account and in the group; the group's limit binds too; all failing limits are told
INSERT INTO dist.credit_limit (account_id, amount, approved_by) SELECT id, 1200, 'test' FROM g;
SELECT d ->> 'outcome' AS outcome, d -> 'headroom' AS headroom FROM a, distsync_internal.credit_take(a.id, 900, '{}') d;
SELECT code, open_orders FROM crd WHERE code <> 'CRD-A-TRADE' ORDER BY 1;
SELECT d ->> 'outcome' AS outcome, d ->> 'account' AS binds, d -> 'headroom' AS headroom, d -> 'cure' AS cure FROM b, distsync_internal.credit_take(b.id, 300.01, '{}') d;
SELECT d ->> 'outcome' AS outcome FROM b, distsync_internal.credit_take(b.id, 300, '{}') d;
SELECT r ->> 'account' AS account, r -> 'over' AS over FROM a, distsync_internal.credit_decide(a.id, 200) d, jsonb_array_elements(d -> 'reasons') r;
-- terms add up
SELECT (SELECT sum(t.value::numeric) FROM jsonb_each_text(d -> 'exposure') t) = (d ->> 'total')::numeric AS add_up FROM a, distsync_internal.credit_decide(a.id, 0) d;
-- shipped is still owed, counted once
SELECT distsync_internal.credit_move(id, 400, 'open_orders', 'unbilled') FROM a;
SELECT code, open_orders, unbilled FROM crd WHERE code <> 'CRD-A-TRADE' ORDER BY 1;
SELECT distsync_internal.credit_count(id, -400, 'unbilled') FROM a;
SELECT distsync_internal.credit_post_item((SELECT id FROM who WHERE code = 'CRD-A'), id, (SELECT company FROM crd LIMIT 1), 'invoice', 'CRD-I1', 'USD', 400, '2026-01-10 12:00Z', '2026-02-09', '{}') IS NOT NULL AS posted FROM a;
SELECT code, receivable, unbilled, open_orders FROM crd WHERE code <> 'CRD-A-TRADE' ORDER BY 1;

-- rules: number, threshold, cure; the next day on which time alone changes the answer
INSERT INTO dist.credit_rule (code, type, scope_kind, scope_key, threshold, currency, grace_days, action) VALUES
	('CRD-LATE', 'overdue_amount', 'customer', 'CRD-A', 50, 'USD', 0, 'block'), ('CRD-OLD', 'oldest_item', 'customer', 'CRD-A', 30, NULL, 5, 'block'),
	('CRD-BIG', 'order_amount', 'customer', 'CRD-A', 80, 'USD', 0, 'warn'), ('CRD-SHARE', 'limit_share', 'customer', 'CRD-A', 95, NULL, 0, 'block');
SELECT t.at, t.amount, d ->> 'outcome' AS outcome, d -> 'valid_until' AS valid_until, d -> 'cure' AS cure,
	(SELECT jsonb_object_agg(r ->> 'rule', jsonb_build_array(r -> 'value', r -> 'threshold')) FROM jsonb_array_elements(d -> 'reasons') r) AS failing,
	(SELECT jsonb_agg(r ->> 'rule') FROM jsonb_array_elements(d -> 'warnings') r) AS warnings
FROM a, (VALUES ('2026-02-09 23:00Z'::timestamptz, 10), ('2026-02-10', 10), ('2026-03-16', 90), ('2026-03-17', 90)) t(at, amount),
	distsync_internal.credit_decide(a.id, t.amount, jsonb_build_object('at', t.at)) d;
-- an exclusion disarms its type, a releasing rule passes everything but a block
INSERT INTO dist.credit_rule (code, type, scope_kind, scope_key, action) VALUES ('CRD-NOT-LATE', 'overdue_amount', 'customer', 'CRD-A', 'exclude');
INSERT INTO dist.credit_rule (code, type, scope_kind, scope_key, threshold, action) VALUES ('CRD-SMALL', 'order_amount', 'customer', 'CRD-A', 5, 'release');
SELECT t.amount, d ->> 'outcome' AS outcome, d ->> 'passed_by' AS passed_by, (SELECT jsonb_agg(r ->> 'rule') FROM jsonb_array_elements(d -> 'reasons') r) AS failing
FROM a, (VALUES (5), (6)) t(amount), distsync_internal.credit_decide(a.id, t.amount, '{"at":"2026-03-17T00:00:00Z"}') d;
UPDATE dist.credit_account SET status = 'blocked', status_reason = 'insolvent' WHERE code = 'CRD-GROUP';
SELECT d ->> 'outcome' AS outcome, d -> 'reasons' AS reasons, d -> 'cure' AS cure FROM a, distsync_internal.credit_decide(a.id, 5, '{"deposit":5}') d;
UPDATE dist.credit_account SET status = 'open' WHERE code = 'CRD-GROUP';
SELECT d ->> 'outcome' AS outcome, d ->> 'passed_by' AS passed_by FROM a, distsync_internal.credit_decide(a.id, 5000, '{"deposit":5000}') d;
DELETE FROM dist.credit_rule WHERE code LIKE 'CRD-%';

-- the queue: what fits is let go in the order of the account, cumulatively, what does not fit is passed over
SELECT distsync_internal.credit_hold(b.id, jsonb_build_object('customer_id', w.id, 'order_id', -x.n, 'company_id', 1, 'order_number', 'CRD-O' || x.n, 'amount', x.amount, 'priority', x.priority)) IS NOT NULL AS held
FROM b, who w, (VALUES (1, 250, 2), (2, 100, 1), (3, 60, 3)) x(n, amount, priority) WHERE w.code = 'CRD-B';
SELECT code, held_demand FROM crd WHERE code <> 'CRD-A-TRADE' ORDER BY 1;
SELECT h.order_number FROM g, distsync_internal.credit_waiting(g.id) h;
UPDATE dist.credit_account SET release_order = 'priority' WHERE code = 'CRD-GROUP';
SELECT h.order_number FROM a, distsync_internal.credit_waiting(a.id) h;
UPDATE dist.credit_account SET release_order = 'best_fit' WHERE code = 'CRD-GROUP';
SELECT h.order_number FROM a, distsync_internal.credit_waiting(a.id) h;
UPDATE dist.credit_account SET release_order = 'date' WHERE code = 'CRD-GROUP';
-- nothing fits: the group is full
SELECT distsync_internal.credit_reevaluate(id) FROM b;
-- A pays 200: of what B has waiting, 100 and 60 fit, 250 does not
SELECT distsync_internal.credit_post_item((SELECT id FROM who WHERE code = 'CRD-A'), id, (SELECT company FROM crd LIMIT 1), 'payment', 'CRD-P1', 'USD', 200, now(), NULL, '{}') IS NOT NULL AS posted FROM a;
SELECT distsync_internal.credit_reevaluate(id, '{"verb":"payment"}') FROM a;
SELECT order_number, released_by, release_reason FROM dist.hold WHERE order_number LIKE 'CRD-O%' ORDER BY 1;
SELECT code, receivable, unapplied, open_orders, held_demand FROM crd WHERE code <> 'CRD-A-TRADE' ORDER BY 1;
SELECT order_id, verb, outcome FROM dist.credit_decision WHERE order_id IN (-1, -2, -3) ORDER BY 1;
-- applying and taking back leaves no trace, in another currency too
INSERT INTO dist.credit_account (code, customer_id, company_id, currency) SELECT 'CRD-C', id, (SELECT company FROM crd LIMIT 1), 'USD' FROM who WHERE code = 'CRD-C';
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on)
SELECT c.customer_id, c.account_id, c.company, x.kind, x.number, 'EUR', x.amount, x.amount, x.total, x.total, now(), x.due
FROM crd c, (VALUES ('invoice', 'CRD-E1', 100, 108.33, '2026-05-01'::date), ('invoice', 'CRD-E2', 50, 54.10, '2026-04-01'), ('payment', 'CRD-EP', 120, 130.01, NULL)) x(kind, number, amount, total, due) WHERE c.code = 'CRD-C';
INSERT INTO dist.open_due (account_id, due_on, amount) SELECT account_id, due_on, account_total FROM dist.open_item WHERE document_number IN ('CRD-E1', 'CRD-E2');
UPDATE dist.credit_account SET receivable = 162.43, unapplied = 130.01, oldest_due_on = '2026-04-01', next_due_on = '2026-04-01' WHERE code = 'CRD-C';
SELECT distsync_internal.credit_apply_oldest(customer_id, open_item_id, '{}') FROM dist.open_item WHERE document_number = 'CRD-EP';
SELECT document_number, open_amount, account_amount FROM dist.open_item WHERE document_number LIKE 'CRD-E%' ORDER BY 1;
SELECT receivable, unapplied FROM crd WHERE code = 'CRD-C';
SELECT distsync_internal.credit_unapply(customer_id, open_item_id, '{}') FROM dist.open_item WHERE document_number = 'CRD-EP';
SELECT document_number, open_amount, account_amount FROM dist.open_item WHERE document_number LIKE 'CRD-E%' ORDER BY 1;
SELECT receivable, unapplied FROM crd WHERE code = 'CRD-C';
SELECT d.due_on, d.amount FROM dist.open_due d JOIN crd c USING (account_id) WHERE c.code = 'CRD-C' ORDER BY 1;
SELECT amount, reverses_id IS NOT NULL AS reversal FROM dist.application a WHERE a.currency = 'EUR' AND customer_id = (SELECT id FROM who WHERE code = 'CRD-C') ORDER BY application_id;
-- more than is open, and unlike currencies, are refused
SELECT distsync_internal.credit_apply(f.customer_id, f.open_item_id, t.open_item_id, 50.0001, '{}') FROM dist.open_item f, dist.open_item t WHERE f.document_number = 'CRD-EP' AND t.document_number = 'CRD-E2';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM dist.application WHERE customer_id = (SELECT id FROM who WHERE code = 'CRD-C');
DELETE FROM dist.open_item WHERE customer_id = (SELECT id FROM who WHERE code = 'CRD-C');
DELETE FROM dist.open_due WHERE account_id = (SELECT account_id FROM crd WHERE code = 'CRD-C');
UPDATE dist.credit_account SET receivable = 0, unapplied = 0, late_amount = 0, oldest_due_on = NULL, next_due_on = NULL WHERE code = 'CRD-C';
-- these holds and amounts belong to no order
DELETE FROM dist.hold WHERE order_number LIKE 'CRD-O%';
DELETE FROM dist.credit_decision WHERE order_id < 0 OR account_id IN (SELECT account_id FROM crd);
UPDATE dist.credit_account SET open_orders = 0, held_demand = 0 WHERE code LIKE 'CRD-%';
