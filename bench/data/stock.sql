-- stock.sql: items 1 to :items with stock at one site, written past the doors.
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.unit (unit) VALUES ('EA') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (company_id, code, name, currency) VALUES (1, 'B', 'Bench', 'USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.site (site_id, code, company_id) VALUES (1, 'B1', 1) ON CONFLICT DO NOTHING;
INSERT INTO dist.item (item_id, sku, base_unit) SELECT i, 'SKU-' || i, 'EA' FROM generate_series(1, :items) i ON CONFLICT DO NOTHING;
INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, quantity, last_event_at)
SELECT i, 1, p, 'available', 1000, now() FROM generate_series(1, :items) i, unnest(ARRAY['book', 'phys']) p ON CONFLICT DO NOTHING;
INSERT INTO dist.stock_pool (item_id, site_id, cap) SELECT i, 1, 1000 FROM generate_series(1, :items) i ON CONFLICT DO NOTHING;
VACUUM ANALYZE dist.stock_balance, dist.stock_pool, dist.item;
