-- Quotas: own shares, those of whom one belongs to, the collective share, what is set aside for others; by site and over all; consuming.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"QUO-A","base_unit":"EA"},{"sku":"QUO-B","base_unit":"EA","units":[{"unit":"INV-BX","numerator":10,"denominator":1}]}]', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"QUO-TOP","name":"t"},{"code":"QUO-C","name":"c","parent":"QUO-TOP"},{"code":"QUO-D","name":"d","groups":[{"kind":"region","code":"QUO-WEST"}]},{"code":"QUO-E","name":"e"}]', 'distsync');
SELECT * FROM distsync.apply('channel', '{"code":"QUO-SHOP","name":"s"}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"quo1","kind":"count","sku":"QUO-A","site":"INV-1","quantity":60,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"quo2","kind":"count","sku":"QUO-A","site":"INV-2","quantity":40,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"quo3","kind":"count","sku":"QUO-B","site":"INV-1","quantity":60,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
\o
SELECT outcome FROM distsync.apply_all('stock_quota', '[{"sku":"QUO-A","scope_kind":"customer","scope_key":"QUO-TOP","quantity":30},{"sku":"QUO-A","scope_kind":"region","scope_key":"QUO-WEST","quantity":20},
	{"sku":"QUO-A","scope_kind":"channel","scope_key":"QUO-SHOP","quantity":5}]', 'inv-erp');
-- shares of one's own, and of whom one belongs to; without a collective share the others get what nobody has set aside
SELECT o, atp, outcome, detail->'quota' AS quota FROM unnest('{"{\"customer\":\"QUO-TOP\"}","{\"customer\":\"QUO-C\"}","{\"customer\":\"QUO-D\"}","{\"customer\":\"QUO-E\"}","{}","{\"channel\":\"QUO-SHOP\"}","{\"customer\":\"QUO-C\",\"channel\":\"QUO-SHOP\"}"}'::jsonb[]) o,
	distsync.atp('QUO-A', 25, NULL, NULL, NULL, o);
-- at one site: what is set aside over all sites may lie at the other
SELECT s AS site, atp FROM unnest('{INV-1,INV-2}'::text[]) s, distsync.atp('QUO-A', 1, NULL, s);
-- with a collective share
SELECT outcome FROM distsync.apply('stock_quota', '{"sku":"QUO-A","scope_kind":"collective","quantity":12}', 'inv-erp');
SELECT o, atp, detail->'quota' AS quota FROM unnest('{"{\"customer\":\"QUO-C\"}","{\"customer\":\"QUO-E\"}","{}"}'::jsonb[]) o, distsync.atp('QUO-A', 1, NULL, NULL, NULL, o);
-- what is consumed is gone, and comes back; a share cannot be overdrawn
SELECT m.n AS moved, a.atp FROM dist.item i, dist.party p, dist.site s, LATERAL (SELECT distsync_internal.inventory_quota_take(i.item_id, s.site_id, p.party_id, NULL, 10, now()) AS n) m, distsync.atp('QUO-A', 1, NULL, NULL, NULL, '{"customer":"QUO-TOP"}') a
WHERE i.sku = 'QUO-A' AND p.code = 'QUO-C' AND s.code = 'INV-1';
SELECT atp FROM distsync.atp('QUO-A', 1, NULL, NULL, NULL, '{"customer":"QUO-TOP"}');
\set VERBOSITY terse
SELECT distsync_internal.inventory_quota_take(i.item_id, s.site_id, p.party_id, NULL, 21, now()) FROM dist.item i, dist.party p, dist.site s WHERE i.sku = 'QUO-A' AND p.code = 'QUO-C' AND s.code = 'INV-1';
\set VERBOSITY default
SELECT distsync_internal.inventory_quota_take(i.item_id, s.site_id, p.party_id, NULL, -10, now()) AS moved FROM dist.item i, dist.party p, dist.site s WHERE i.sku = 'QUO-A' AND p.code = 'QUO-C' AND s.code = 'INV-1';
SELECT scope_kind, scope_key, quantity, consumed FROM dist.stock_quota q JOIN dist.item i USING (item_id) WHERE i.sku = 'QUO-A' ORDER BY 1, 2;
-- by site, for a time, in another unit; later supply makes more of what nobody has set aside
\o /dev/null
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-Q/1","sku":"QUO-B","site":"INV-1","quantity":100,"expected_at":"2998-01-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-Q/2","sku":"QUO-B","site":"INV-1","quantity":100,"expected_at":"2998-06-01T00:00:00Z"}', 'inv-erp');
\o
SELECT outcome FROM distsync.apply_all('stock_quota', '[{"sku":"QUO-B","site":"INV-1","scope_kind":"customer","scope_key":"QUO-C","unit":"INV-BX","quantity":4,"valid_from":"2024-01-01T00:00:00Z"},
	{"sku":"QUO-B","site":"INV-1","scope_kind":"customer","scope_key":"QUO-D","quantity":4,"valid_from":"2024-01-01T00:00:00Z","valid_to":"2025-01-01T00:00:00Z"}]', 'inv-erp');
SELECT o, q, outcome, atp, available_at IS NOT NULL AS foreseen, CASE WHEN outcome = 'later' THEN available_at END AS available_at, detail->'quota' AS quota
FROM unnest('{"{\"customer\":\"QUO-C\"}","{\"customer\":\"QUO-D\"}"}'::jsonb[]) o, unnest(ARRAY[20, 41, 121]) q, distsync.atp('QUO-B', q, NULL, 'INV-1', NULL, o);
SELECT p.ruled FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'QUO-B';
SELECT (distsync.explain_atp('QUO-B', 1, NULL, 'INV-1'))->'quota' AS quota;
-- changed and taken away
SELECT outcome FROM distsync.apply('stock_quota', '{"sku":"QUO-B","site":"INV-1","scope_kind":"customer","scope_key":"QUO-C","quantity":50,"valid_from":"2024-01-01T00:00:00Z"}', 'inv-erp');
SELECT atp FROM distsync.atp('QUO-B', 1, NULL, 'INV-1');
SELECT outcome FROM distsync.apply_all('stock_quota', '[{"sku":"QUO-B","site":"INV-1","scope_kind":"customer","scope_key":"QUO-C","valid_from":"2024-01-01T00:00:00Z"},{"sku":"QUO-B","site":"INV-1","scope_kind":"customer","scope_key":"QUO-D","valid_from":"2024-01-01T00:00:00Z"}]', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT p.ruled, a.atp FROM dist.stock_pool p JOIN dist.item i USING (item_id), distsync.atp('QUO-B', 1, NULL, 'INV-1') a WHERE i.sku = 'QUO-B';
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
-- wrong input
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('stock_quota', '[{"sku":"QUO-NONE","scope_kind":"collective","quantity":1},{"sku":"QUO-A","scope_kind":"customer","scope_key":"QUO-NONE","quantity":1},{"sku":"QUO-A","scope_kind":"region","scope_key":"QUO-NONE","quantity":1},
	{"sku":"QUO-A","scope_kind":"channel","quantity":1},{"sku":"QUO-A","scope_kind":"collective","valid_from":"2026-01-01T00:00:00Z"},{"sku":"QUO-A","scope_kind":"collective","quantity":1,"valid_from":"2026-01-01T00:00:00Z","valid_to":"2025-01-01T00:00:00Z"}]', 'inv-erp', NULL, '{"on_error":"collect"}');
