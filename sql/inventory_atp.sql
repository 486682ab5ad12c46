-- Availability: look-ahead, projection, units, sites, modes, supply that is overdue, explanation that adds up, what channels are shown.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"ATP-A","base_unit":"EA","units":[{"unit":"INV-BX","numerator":12,"denominator":1}]},{"sku":"ATP-B","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('channel', '{"code":"ATP-SHOP","name":"shop"}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[
	{"event_id":"a1","kind":"count","sku":"ATP-A","site":"INV-1","quantity":40,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"a2","kind":"count","sku":"ATP-A","site":"INV-2","quantity":8,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"a3","kind":"count","sku":"ATP-A","site":"INV-2","state":"quality","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"a4","kind":"count","sku":"ATP-A","site":"INV-2","lot":"OLD","quantity":1000,"expires_on":"2024-01-11","event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"a5","kind":"count","sku":"ATP-A","site":"INV-1","quantity":36,"event_at":"2024-01-10T10:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-1/1","sku":"ATP-A","site":"INV-1","quantity":5,"unit":"INV-BX","expected_at":"2999-01-01T00:00:00Z"},
	{"kind":"purchase","reference":"PO-0/1","sku":"ATP-A","site":"INV-1","quantity":500,"expected_at":"2024-01-01T00:00:00Z"}]', 'inv-erp');
SELECT * FROM distsync.apply_all('demand', '[{"demand_key":"INV/E-1/1","sku":"ATP-A","site":"INV-1","ordered":70,"required_at":"2999-02-01T00:00:00Z"},
	{"demand_key":"INV/E-2/1","sku":"ATP-A","site":"INV-1","ordered":6}]', 'inv-erp');
\o
-- 36 in the book, 6 wanted now; 60 will come, 70 will go: 20 may be promised now, because later demand needs the rest
SELECT outcome, quantity, unit, on_hand, projected, atp_book, atp_phys, atp, basis, valid_until FROM distsync.atp('ATP-A', 20, NULL, 'INV-1');
SELECT outcome, projected, atp, available_at FROM distsync.atp('ATP-A', 21, NULL, 'INV-1');
SELECT moment > now() AS later, CASE WHEN moment > now() + interval '1 year' THEN moment END AS moment, supply, demand, projected, atp, detail FROM distsync.atp_timeline('ATP-A', 'INV-1');
SELECT outcome, projected, atp, available_at FROM distsync.atp('ATP-A', 1, NULL, 'INV-1', '2999-01-15');
-- modes; over sites; units cut what may be promised; expired lots and stock in inspection do not count
SELECT m AS mode, a.on_hand, a.atp, a.basis FROM unnest(ARRAY['physical', 'book', 'conservative']) m, distsync.atp('ATP-A', 1, NULL, 'INV-1', NULL, jsonb_build_object('mode', m)) a;
SELECT outcome, site, atp, basis, detail - 'held' AS detail FROM distsync.atp('ATP-A', 28);
SELECT outcome, quantity, unit, on_hand, atp FROM distsync.atp('ATP-A', 2, 'INV-BX');
SELECT outcome, quantity, unit, atp FROM distsync.atp('ATP-A', 3, 'INV-BX');
-- a later supply: now short, later enough
\o /dev/null
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-1/1","sku":"ATP-A","quantity":500}', 'inv-erp');
\o
SELECT outcome, atp, available_at FROM distsync.atp('ATP-A', 100, NULL, 'INV-1');
-- a receipt fulfils its supply: nothing counts twice
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"a6","kind":"receive","sku":"ATP-A","site":"INV-1","quantity":500,"reference":"PO-1/1","event_at":"2024-01-10T11:00:00Z"}', 'inv-wms');
SELECT reference, quantity, received, status FROM dist.supply WHERE reference LIKE 'PO-_/1' ORDER BY 1;
SELECT on_hand, atp_book, atp_phys, atp FROM distsync.atp('ATP-A', 1, NULL, 'INV-1');
-- the terms of the explanation add up to the answer
SELECT s->>'site' AS site, (s->>'atp')::numeric AS atp, (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') t) AS sum, s->'binds'->>'what' AS binds
FROM jsonb_array_elements(distsync.explain_atp('ATP-A', 1)->'sites') s;
-- what channels are shown: buffer, cap, threshold
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"ATP-SHOP","sku":"ATP-A","buffer":10,"cap":25,"threshold":5}', 'inv-erp');
SELECT r.entity_key, r.body - 'known_at' AS body FROM dist.item i, distsync_internal.inventory_render(ARRAY[i.item_id::text]) r WHERE i.sku = 'ATP-A';
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"ATP-SHOP","sku":"ATP-A","cap":null,"buffer":518,"threshold":30}', 'inv-erp');
SELECT r.body->'channels' AS channels FROM dist.item i, distsync_internal.inventory_render(ARRAY[i.item_id::text]) r WHERE i.sku = 'ATP-A';
-- nothing was ever told
SELECT outcome, on_hand, atp_book, atp_phys, atp, basis, available_at FROM distsync.atp('ATP-B');
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
-- it is a read
BEGIN READ ONLY;
SELECT atp FROM distsync.atp('ATP-A', 1);
SELECT count(*) > 0 AS rows FROM distsync.atp_timeline('ATP-A');
SELECT outcome, promised_at IS NOT NULL AS dated FROM dist.item i, distsync_internal.inventory_preview(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', i.item_id, 'base_quantity', 10))) p WHERE i.sku = 'ATP-A';
COMMIT;
-- wrong input
SELECT * FROM distsync.atp('ATP-NONE');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('ATP-A', 1, 'ATP-NONE');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('ATP-A', 1, NULL, 'ATP-NONE');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('ATP-A', 'NaN');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp_timeline('ATP-NONE');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('ATP-A', 1, NULL, NULL, NULL, '{"mode":"hopeful"}');
\echo :LAST_ERROR_SQLSTATE
