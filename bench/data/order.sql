-- order.sql: what orders need beside price.sql: two sites with stock of every item, a credit account with a limit and five open invoices for each of
-- :customers customers, a system that owns orders and listens to them. Written past the doors, as stock.sql and credit.sql are; it wants a superuser.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SET client_min_messages = warning;
INSERT INTO dist.site (site_id, code, company_id, rank) SELECT s, 'B' || s, 1, s FROM generate_series(1, 2) s;
CREATE TEMP TABLE opening AS
SELECT i.item_id, s::bigint AS site_id, 1000000000 AS quantity FROM dist.item i, generate_series(1, 2) s;
INSERT INTO dist.stock_event (item_id, event_key, event_at, kind, perspective, site_id, state, quantity, counted, source)
SELECT o.item_id, concat_ws('-', p, o.item_id, o.site_id), now() - interval '1 day', 'count', p, o.site_id, 'available', o.quantity, o.quantity, CASE p WHEN 'book' THEN 'bench-erp' ELSE 'bench-wms' END
FROM opening o, unnest(ARRAY['book', 'phys']) p;
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, quantity, last_event_at, counted_at)
SELECT o.item_id, o.site_id, p, 'available', o.quantity, now() - interval '1 day', now() - interval '1 day' FROM opening o, unnest(ARRAY['book', 'phys']) p;
INSERT INTO dist.stock_pool (item_id, site_id, cap, phys, book) SELECT o.item_id, o.site_id, o.quantity, o.quantity, o.quantity FROM opening o;
INSERT INTO dist.credit_account (code, customer_id, company_id, currency)
SELECT 'A-' || p.code, p.party_id, 1, 'USD' FROM dist.party p WHERE p.code LIKE 'PC-%';
INSERT INTO dist.credit_limit (account_id, amount, approved_by) SELECT a.account_id, 1000000000000, 'bench' FROM dist.credit_account a WHERE a.code LIKE 'A-PC-%';
INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on)
SELECT a.customer_id, a.account_id, a.company_id, 'invoice', a.code || '/' || n, 'USD', 100 + n, 100 + n, 100 + n, 100 + n, now() - n * interval '1 day', current_date + 20 + n
FROM dist.credit_account a, generate_series(1, 5) n WHERE a.code LIKE 'A-PC-%';
UPDATE dist.credit_account a SET receivable = s.sum FROM (SELECT account_id, sum(account_amount) FROM dist.open_item GROUP BY account_id) s WHERE s.account_id = a.account_id;
SELECT setval('dist.site_site_id_seq', max(site_id)) FROM dist.site \g /dev/null
RESET session_replication_role;
\o /dev/null
SELECT distsync.add_system('bench-erp', 'erp'), distsync.add_system('bench-wms', 'wms');
SELECT distsync.own('order', 'bench-erp');
SELECT distsync.add_endpoint('bench-erp', 'bench-erp', NULL, '{"kind": "pull"}');
SELECT distsync.add_route('bench-orders', 'bench-erp', 'order.*'), distsync.add_route('bench-credit', 'bench-erp', 'credit.*');
\o
VACUUM ANALYZE;
