-- stock.sql: the stock of a distributor, written past the doors: :items items at each of :sites sites, 1,000 of each as both truths tell.
--
-- Everything is arithmetic, nothing is random. The rows are what the doors would have written: an opening count for each truth, the
-- balance and the pool that follow; every tenth item-site has an order of somebody else's to come and a purchase that covers it, so that
-- its pool looks ahead, until the order falls due. It wants a superuser: triggers are off while it runs.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SET client_min_messages = warning;
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.unit (unit) VALUES ('EA') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (company_id, code, name, currency) VALUES (1, 'B', 'Bench', 'USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.site (site_id, code, company_id, rank) SELECT s, 'B' || s, 1, s FROM generate_series(1, :sites) s;
INSERT INTO dist.item (item_id, sku, base_unit) SELECT i, 'SKU-' || i, 'EA' FROM generate_series(1, :items) i;
INSERT INTO dist.target (what_kind, what_key) SELECT 'item', i::text FROM generate_series(1, :items) i;
INSERT INTO dist.item_target (item_id, target_id, what_kind, what_key, depth)
SELECT i.item_id, t.target_id, t.what_kind, t.what_key, 0 FROM dist.item i JOIN dist.target t ON t.what_kind = 'item' AND t.what_key = i.item_id::text
UNION ALL SELECT i.item_id, t.target_id, t.what_kind, t.what_key, 0 FROM dist.item i, dist.target t WHERE t.what_kind = 'all';

CREATE TEMP TABLE opening AS
SELECT i::bigint AS item_id, s::bigint AS site_id, (i * :sites + s) % 10 = 0 AS ahead FROM generate_series(1, :items) i, generate_series(1, :sites) s;
INSERT INTO dist.stock_event (item_id, event_key, event_at, kind, perspective, site_id, state, quantity, counted, source)
SELECT o.item_id, concat_ws('-', p, o.item_id, o.site_id), now() - interval '1 day', 'count', p, o.site_id, 'available', 1000, 1000, CASE p WHEN 'book' THEN 'bench-erp' ELSE 'bench-wms' END
FROM opening o, unnest(ARRAY['book', 'phys']) p;
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, quantity, last_event_at, counted_at)
SELECT o.item_id, o.site_id, p, 'available', 1000, now() - interval '1 day', now() - interval '1 day' FROM opening o, unnest(ARRAY['book', 'phys']) p;
INSERT INTO dist.demand (item_id, demand_key, site_id, ordered, required_at)
SELECT o.item_id, concat_ws('/', 'B', o.item_id, o.site_id), o.site_id, 5, date_trunc('day', now()) + interval '5 days' FROM opening o WHERE o.ahead;
INSERT INTO dist.supply (item_id, site_id, kind, reference, quantity, expected_at, source)
SELECT o.item_id, o.site_id, 'purchase', 'PO-' || o.site_id, 100, date_trunc('day', now()) + interval '9 days', 'bench-erp' FROM opening o WHERE o.ahead;
INSERT INTO dist.stock_pool (item_id, site_id, cap, phys, book, low, ahead, valid_until, cap_until)
SELECT o.item_id, o.site_id, CASE WHEN o.ahead THEN 995 ELSE 1000 END, 1000, 1000, CASE WHEN o.ahead THEN -5 ELSE 0 END, o.ahead, t.at, t.at FROM opening o, LATERAL (SELECT CASE WHEN o.ahead THEN date_trunc('day', now()) + interval '5 days' END AS at) t;

SELECT setval('dist.item_item_id_seq', max(item_id)) FROM dist.item \g /dev/null
SELECT setval('dist.site_site_id_seq', max(site_id)) FROM dist.site \g /dev/null
SELECT setval('dist.company_company_id_seq', max(company_id)) FROM dist.company \g /dev/null
RESET session_replication_role;
SELECT distsync.add_system('bench-erp', 'erp'), distsync.add_system('bench-wms', 'wms') \g /dev/null
VACUUM ANALYZE;
