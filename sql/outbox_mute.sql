-- Of history nobody is told: a load with backfill writes no event and no marker; what comes after it in the same transaction does.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('mu-erp', 'erp');
SELECT outcome FROM distsync.apply_all('currency', '[{"currency":"USD"}]', 'mu-erp');
SELECT outcome FROM distsync.apply_all('unit', '[{"unit":"EA"}]', 'mu-erp');
\o
SELECT outcome FROM distsync.apply('company', '{"code":"MU","name":"Mute","currency":"USD"}', 'mu-erp', options => '{"backfill":true}');
SELECT outcome FROM distsync.apply('site', '{"code":"MU-S","company":"MU"}', 'mu-erp', options => '{"backfill":true}');
SELECT outcome FROM distsync.apply('item', '{"sku":"MU-A","base_unit":"EA"}', 'mu-erp', options => '{"backfill":true}');
CREATE FUNCTION pg_temp.told(since bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM sync.outbox_item WHERE outbox_id > since AND event_type = 'stock.atp_changed'
$$;
SELECT COALESCE(max(outbox_id), 0) AS mark FROM sync.outbox_item \gset
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"mu1","kind":"count","perspective":"phys","sku":"MU-A","site":"MU-S","state":"available","quantity":"5","unit":"EA","event_at":"2026-01-01T00:00:00Z"}', 'mu-erp', options => '{"backfill":true}');
SELECT pg_temp.told(:mark);
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"mu2","kind":"delta","perspective":"phys","sku":"MU-A","site":"MU-S","state":"available","quantity":"1","unit":"EA","event_at":"2026-01-02T00:00:00Z"}', 'mu-erp');
SELECT pg_temp.told(:mark) > 0 AS told;
-- a switch that was turned in a savepoint goes back with it, and none outlives its transaction
SELECT COALESCE(max(outbox_id), 0) AS mark FROM sync.outbox_item \gset
BEGIN;
SAVEPOINT a;
SELECT distsync_internal.base_mute(true);
ROLLBACK TO a;
SELECT distsync_internal.base_mute(false) AS still_muted;
SELECT distsync_internal.base_mute(true);
UPDATE dist.stock_balance b SET quantity = quantity FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'MU-A';
UPDATE dist.stock_balance b SET quantity = quantity + 1 FROM dist.item i WHERE i.item_id = b.item_id AND i.sku = 'MU-A';
SELECT pg_temp.told(:mark);
ROLLBACK;
SELECT distsync_internal.base_mute(false) AS still_muted;
\o /dev/null
DELETE FROM dist.stock_pool p USING dist.item i WHERE i.item_id = p.item_id AND i.sku = 'MU-A';
DELETE FROM dist.stock_balance p USING dist.item i WHERE i.item_id = p.item_id AND i.sku = 'MU-A';
DELETE FROM dist.stock_event p USING dist.item i WHERE i.item_id = p.item_id AND i.sku = 'MU-A';
DELETE FROM dist.site WHERE code = 'MU-S';
DELETE FROM dist.company WHERE code = 'MU';
