-- Quotas: own shares, those of whom one belongs to, the collective share, what is set aside for others; by site and over all; promises within them.
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
-- what is promised from a share is gone from it, what is released or expires comes back; a promise takes no more
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"QUO-A","quantity":25}]', '{"customer":"QUO-C","holder":"quo-1"}');
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"QUO-A","quantity":6}]', '{"customer":"QUO-TOP","holder":"quo-2"}');
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"QUO-A","quantity":3},{"item":"QUO-A","quantity":4}]', '{"customer":"QUO-TOP","holder":"quo-2","mode":"take_up_to"}');
SELECT o, atp FROM unnest('{"{\"customer\":\"QUO-C\"}","{\"customer\":\"QUO-E\"}"}'::jsonb[]) o, distsync.atp('QUO-A', 1, NULL, NULL, NULL, o);
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"QUO-A","quantity":13}]', '{"customer":"QUO-E"}');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"QUO-A","quantity":12}]', '{"ttl":"1 millisecond","commit":false}');
SELECT scope_kind, scope_key, quantity, consumed FROM dist.stock_quota q JOIN dist.item i USING (item_id) WHERE i.sku = 'QUO-A' ORDER BY 1, 2;
SELECT pg_sleep(0.01) IS NULL AS slept;
SELECT atp FROM distsync.atp('QUO-A');
SELECT count(*) FROM dist.reservation r, distsync.release_reservation(r.reservation_id, 5) WHERE r.holder = 'quo-1' AND r.state = 'held';
SELECT atp FROM distsync.atp('QUO-A', 1, NULL, NULL, NULL, '{"customer":"QUO-C"}');
-- a share is not made smaller than what is promised from it, and one of another item and of a kind of its own does not bind
SELECT outcome, message FROM distsync.apply('stock_quota', '{"sku":"QUO-A","scope_kind":"customer","scope_key":"QUO-TOP","quantity":10}', 'inv-erp', NULL, '{"on_error":"collect"}');
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"QUO-B","quantity":55},{"item":"QUO-A","quantity":13}]', '{"customer":"QUO-E"}');
SELECT ordinal, outcome, quantity, available FROM distsync.reserve('[{"item":"QUO-B","quantity":1},{"item":"QUO-A","quantity":13}]', '{"customer":"QUO-E","mode":"take_up_to","holder":"quo-3"}');
-- what the channel is shown keeps within its share
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"QUO-SHOP","sku":"QUO-A"}', 'inv-erp');
SELECT r.body->'channels' AS channels, r.body->'atp' AS atp FROM dist.item i, distsync_internal.inventory_render(ARRAY[i.item_id::text]) r WHERE i.sku = 'QUO-A';
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
-- what is set aside is not promised for a later date either, as long as it is all there is: not from the stock of one site because supply or replenishment will be at
-- another one, and it is not brought forward into it
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"QUO-S","base_unit":"EA"},{"sku":"QUO-T","base_unit":"EA"},{"sku":"QUO-U","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"quo4","kind":"count","sku":"QUO-S","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"quo5","kind":"count","sku":"QUO-T","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"},{"event_id":"quo6","kind":"count","sku":"QUO-U","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-Q/3","sku":"QUO-S","site":"INV-1","quantity":10,"expected_at":"2998-01-01T00:00:00Z"},
	{"kind":"purchase","reference":"PO-Q/4","sku":"QUO-T","site":"INV-2","quantity":10,"expected_at":"2998-01-01T00:00:00Z"}]', 'inv-erp');
SELECT * FROM distsync.apply('item_site', '{"sku":"QUO-U","site":"INV-2","lead_days":3}', 'inv-erp');
SELECT * FROM distsync.apply_all('stock_quota', '[{"sku":"QUO-S","scope_kind":"customer","scope_key":"QUO-C","quantity":10},{"sku":"QUO-T","scope_kind":"customer","scope_key":"QUO-C","quantity":10},{"sku":"QUO-U","scope_kind":"customer","scope_key":"QUO-C","quantity":10}]', 'inv-erp');
\o
CREATE TEMP VIEW later AS SELECT i.sku, s.code AS site, trim_scale(r.quantity) AS quantity, r.kind, CASE WHEN r.promised_at > now() + interval '1 day' THEN 'later' ELSE 'now' END AS promised,
	(SELECT a.atp FROM distsync.atp(i.sku, 1, NULL, NULL, NULL, '{"customer":"QUO-C"}') a) AS share
FROM dist.reservation r JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE r.holder = 'quo-later' AND r.state = 'held' ORDER BY 1, 2;
SELECT o.item, r.outcome, r.site, r.quantity FROM unnest('{QUO-S,QUO-T,QUO-U}'::text[]) WITH ORDINALITY o(item, n), distsync.reserve(jsonb_build_array(jsonb_build_object('item', o.item, 'quantity', 4)), '{"mode":"one_date","holder":"quo-later","ttl":"1 day"}') r ORDER BY o.n;
SELECT r.outcome, r.available FROM distsync.reserve('[{"item":"QUO-T","quantity":4,"site":"INV-1"}]', '{"mode":"one_date"}') r;
SELECT * FROM later;
SELECT distsync_internal.inventory_rebuild(u) FROM unnest('{QUO-S,QUO-T,QUO-U}'::text[]) u;
SELECT * FROM later;
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
-- where another site has enough for the share, it comes forward
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"quo7","kind":"count","sku":"QUO-S","site":"INV-2","quantity":4,"event_at":"2024-01-10T10:00:00Z"}', 'inv-wms');
SELECT distsync_internal.inventory_rebuild('QUO-S');
SELECT * FROM later;
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
-- wrong input
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('stock_quota', '[{"sku":"QUO-NONE","scope_kind":"collective","quantity":1},{"sku":"QUO-A","scope_kind":"customer","scope_key":"QUO-NONE","quantity":1},{"sku":"QUO-A","scope_kind":"region","scope_key":"QUO-NONE","quantity":1},
	{"sku":"QUO-A","scope_kind":"channel","quantity":1},{"sku":"QUO-A","scope_kind":"collective","valid_from":"2026-01-01T00:00:00Z"},{"sku":"QUO-A","scope_kind":"collective","quantity":1,"valid_from":"2026-01-01T00:00:00Z","valid_to":"2025-01-01T00:00:00Z"}]', 'inv-erp', NULL, '{"on_error":"collect"}');
