-- Shelf life as the item, the customer or the caller wants it; safety stock for those who may use it; stock by state; staleness; explaining.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"SHE-A","base_unit":"EA"},{"sku":"SHE-B","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"SHE-C","name":"c"},{"code":"SHE-D","name":"d"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', jsonb_build_array(
	jsonb_build_object('event_id', 'she1', 'kind', 'count', 'sku', 'SHE-A', 'site', 'INV-1', 'quantity', 10, 'lot', 'L1', 'expires_on', current_date + 10, 'event_at', '2024-01-10T10:00:00Z'),
	jsonb_build_object('event_id', 'she2', 'kind', 'count', 'sku', 'SHE-A', 'site', 'INV-1', 'quantity', 20, 'lot', 'L2', 'expires_on', current_date + 40, 'event_at', '2024-01-10T10:00:00Z'),
	jsonb_build_object('event_id', 'she3', 'kind', 'count', 'sku', 'SHE-A', 'site', 'INV-1', 'quantity', 5, 'lot', 'L3', 'expires_on', current_date + 400, 'event_at', '2024-01-10T10:00:00Z'),
	jsonb_build_object('event_id', 'she4', 'kind', 'count', 'sku', 'SHE-A', 'site', 'INV-1', 'quantity', 7, 'state', 'quality', 'event_at', '2024-01-10T10:00:00Z'),
	jsonb_build_object('event_id', 'she5', 'kind', 'count', 'sku', 'SHE-B', 'site', 'INV-1', 'quantity', 10, 'event_at', '2024-01-10T10:00:00Z')), 'inv-wms');
\o
SELECT atp, on_hand, valid_until - date_trunc('day', now()) AS valid_for FROM distsync.atp('SHE-A', 1, NULL, 'INV-1');
-- as the caller asks
SELECT d AS days, atp, on_hand, outcome, valid_until - date_trunc('day', now()) AS valid_for FROM unnest(ARRAY[10, 11, 40, 41, 401]) d, distsync.atp('SHE-A', 6, NULL, 'INV-1', NULL, jsonb_build_object('min_shelf_days', d));
-- as the item wants it: the pool follows
SELECT outcome FROM distsync.apply('item', '{"sku":"SHE-A","min_shelf_days":15}', 'distsync');
SELECT p.cap, p.phys FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'SHE-A';
SELECT atp, on_hand FROM distsync.atp('SHE-A', 1, NULL, 'INV-1');
SELECT atp FROM distsync.atp('SHE-A', 1, NULL, 'INV-1', NULL, '{"min_shelf_days":3}');
-- as the customer wants it: in general, and of the item; a promise to it agrees
SELECT outcome FROM distsync.apply('shelf_rule', '{"customer":"SHE-C","shelf_days":60}', 'inv-erp');
SELECT atp FROM distsync.atp('SHE-A', 1, NULL, 'INV-1', NULL, '{"customer":"SHE-C"}');
SELECT outcome, available FROM distsync.reserve('[{"item":"SHE-A","quantity":6,"site":"INV-1"}]', '{"customer":"SHE-C"}');
SELECT outcome FROM distsync.apply('shelf_rule', '{"customer":"SHE-C","sku":"SHE-A","shelf_days":20}', 'inv-erp');
SELECT atp FROM distsync.atp('SHE-A', 1, NULL, 'INV-1', NULL, '{"customer":"SHE-C"}');
SELECT atp FROM distsync.atp('SHE-A', 1, NULL, 'INV-1', NULL, '{"customer":"SHE-C","min_shelf_days":60}');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"SHE-A","quantity":6,"site":"INV-1"}]', '{"customer":"SHE-C","holder":"she"}');
SELECT d AS days, atp, (SELECT t.atp FROM distsync.atp_timeline('SHE-A', 'INV-1', NULL, jsonb_build_object('min_shelf_days', d)) t ORDER BY t.moment LIMIT 1) AS timeline FROM unnest(ARRAY[1, 60]) d, distsync.atp('SHE-A', 1, NULL, 'INV-1', NULL, jsonb_build_object('min_shelf_days', d));
-- which lots count, and the terms add up
SELECT s->>'atp' AS atp, (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') t) AS sum, s->'limits' AS limits,
	(SELECT string_agg(format('%s %s', l->>'lot', COALESCE(l->>'why', 'counts')), ', ' ORDER BY l->>'lot') FROM jsonb_array_elements(s->'lots') l) AS lots, s->'promised'->0->>'holder' AS holder
FROM jsonb_array_elements(distsync.explain_atp('SHE-A', 1, NULL, 'INV-1', NULL, '{"min_shelf_days":60}')->'sites') s;
SELECT outcome FROM distsync.apply('shelf_rule', '{"customer":"SHE-C","sku":"SHE-A"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT count(*) FROM dist.shelf_rule;
-- stock by state, and staleness where a numbered stream tells of the site
SELECT detail->'on_hand' AS on_hand, detail->'staleness'->'doubt' AS doubt, (detail->'staleness'->>'silent_seconds')::integer BETWEEN 0 AND 3600 AS heard, (detail->'staleness'->>'last_heard_at')::timestamptz <= now() AS past FROM distsync.atp('SHE-A', 1, NULL, 'INV-1', NULL, '{"detail":true}');
-- a gap in the numbers of the stream: physical falls back to the lower truth, now as later
\o /dev/null
SELECT * FROM distsync.apply('site', '{"code":"SHE-1","name":"s","company":"INV"}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"she6","kind":"count","sku":"SHE-B","site":"SHE-1","quantity":50,"stream":"she","sequence":1,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"she7","kind":"delta","sku":"SHE-B","site":"SHE-1","quantity":1,"stream":"she","sequence":3,"event_at":"2024-01-10T11:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"she8","kind":"count","sku":"SHE-B","site":"SHE-1","quantity":30,"event_at":"2024-01-10T10:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-G/1","sku":"SHE-B","site":"SHE-1","quantity":10,"expected_at":"2998-01-01T00:00:00Z"}', 'inv-erp');
\o
SELECT t AS at, atp, basis, detail FROM unnest(ARRAY[NULL, '2998-02-01']::timestamptz[]) t, distsync.atp('SHE-B', 1, NULL, 'SHE-1', t, '{"mode":"physical"}');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"she9","kind":"delta","sku":"SHE-B","site":"SHE-1","quantity":2,"stream":"she","sequence":2,"event_at":"2024-01-10T10:30:00Z"}', 'inv-wms');
SELECT t AS at, atp, basis, detail FROM unnest(ARRAY[NULL, '2998-02-01']::timestamptz[]) t, distsync.atp('SHE-B', 1, NULL, 'SHE-1', t, '{"mode":"physical"}');
-- safety stock, and those who may use it
\o /dev/null
SELECT * FROM distsync.apply('item_site', '{"sku":"SHE-B","site":"INV-1","safety":4}', 'inv-erp');
\o
SELECT u, atp, projected FROM unnest(ARRAY[true, false]) u, distsync.atp('SHE-B', 1, NULL, 'INV-1', NULL, jsonb_build_object('use_safety', u)) ORDER BY 1;
SELECT outcome, quantity FROM distsync.reserve('[{"item":"SHE-B","quantity":8,"site":"INV-1"}]', '{"holder":"she"}');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"SHE-B","quantity":8,"site":"INV-1"}]', '{"holder":"she","use_safety":true}');
SELECT u, atp, projected FROM unnest(ARRAY[true, false]) u, distsync.atp('SHE-B', 1, NULL, 'INV-1', NULL, jsonb_build_object('use_safety', u)) ORDER BY 1;
SELECT outcome, quantity FROM distsync.reserve('[{"item":"SHE-B","quantity":3,"site":"INV-1"}]', '{"holder":"she","use_safety":true}');
SELECT p.cap, p.held, p.shortfall FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku = 'SHE-B' AND s.code = 'INV-1';
-- what binds is named: the order, the fence
\o /dev/null
SELECT * FROM distsync.apply_all('demand', '[{"demand_key":"INV/S-1/1","sku":"SHE-B","site":"INV-1","ordered":1,"required_at":"2999-01-01T00:00:00Z"},{"demand_key":"INV/S-2/1","sku":"SHE-B","site":"INV-1","ordered":2,"required_at":"2024-01-01T00:00:00Z"}]', 'inv-erp');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-S/1","sku":"SHE-B","site":"INV-1","quantity":500,"expected_at":"2024-01-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO-S/2","sku":"SHE-B","site":"INV-1","quantity":65,"expected_at":"2998-01-01T00:00:00Z"}', 'inv-erp');
SELECT * FROM distsync.apply_all('demand', '[{"demand_key":"INV/S-3/1","sku":"SHE-B","site":"INV-1","ordered":30,"required_at":"2998-02-01T00:00:00Z"},{"demand_key":"INV/S-4/1","sku":"SHE-B","site":"INV-1","ordered":30,"required_at":"2998-03-01T00:00:00Z"}]', 'inv-erp');
\o
SELECT t AS at, s->>'projected' AS projected, s->>'atp' AS atp, (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') x) AS sum, e->'answer'->>'atp' AS answer, e->'answer'->>'projected' AS answer_projected,
	s->'binds' AS binds, s->'overdue' AS overdue
FROM unnest(ARRAY[NULL, '2998-01-15', '2998-02-15', '2999-02-01']::timestamptz[]) t, distsync.explain_atp('SHE-B', 1, NULL, 'INV-1', t, '{"use_safety":true}') e, jsonb_array_elements(e->'sites') s;
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
-- wrong input
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('shelf_rule', '[{"customer":"SHE-NONE","shelf_days":1},{"customer":"SHE-D","sku":"SHE-NONE","shelf_days":1},{"customer":"SHE-D"},{"customer":"SHE-D","shelf_days":99999}]', 'inv-erp', NULL, '{"on_error":"collect"}');
SELECT * FROM distsync.atp('SHE-A', 1, NULL, NULL, NULL, '{"min_shelf_days":-1}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('SHE-A', 1, NULL, NULL, NULL, '{"customer":"SHE-NONE"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"SHE-A","quantity":1}]', '{"use_safety":7}');
\echo :LAST_ERROR_SQLSTATE
