-- Rules of items at sites: safety stock, backorders, time of replenishment, fences for what is overdue. Pools follow them at once.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"RUL-A","base_unit":"EA","units":[{"unit":"INV-BX","numerator":12,"denominator":1}]},{"sku":"RUL-B","base_unit":"EA"},{"sku":"RUL-C","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[
	{"event_id":"rul1","kind":"count","sku":"RUL-A","site":"INV-1","quantity":40,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"rul2","kind":"count","sku":"RUL-B","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"rul3","kind":"count","sku":"RUL-C","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
\o
-- safety stock lowers what may be promised and not what is there; backorders raise it
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-A","site":"INV-1","safety":1,"unit":"INV-BX"}', 'inv-erp');
SELECT outcome, on_hand, projected, atp_phys, atp FROM distsync.atp('RUL-A', 29, NULL, 'INV-1');
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-A","site":"INV-1","backorder_cap":5}', 'inv-erp');
SELECT outcome, on_hand, projected, atp_phys, atp FROM distsync.atp('RUL-A', 29, NULL, 'INV-1');
SELECT supply, demand, projected, atp FROM distsync.atp_timeline('RUL-A', 'INV-1');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"RUL-A","quantity":34,"site":"INV-1"}]');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"RUL-A","quantity":33,"site":"INV-1"}]', '{"holder":"rul"}');
SELECT s->>'atp' AS atp, (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') t) AS sum, (SELECT t->>'quantity' FROM jsonb_array_elements(s->'terms') t WHERE t->>'term' = 'safety stock') AS safety
FROM jsonb_array_elements(distsync.explain_atp('RUL-A', 1, NULL, 'INV-1')->'sites') s;
-- more safety than is left over: the safety stock absorbs it, nothing is owed that is not there
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-A","site":"INV-1","backorder_cap":null,"safety":20}', 'inv-erp');
SELECT cap, held, safety, backorder_cap, shortfall FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'RUL-A';
SELECT atp FROM distsync.atp('RUL-A', 1, NULL, 'INV-1');
-- what comes after replenishment does not bind, and from then on any quantity can be had
\o /dev/null
SELECT * FROM distsync.apply_all('demand', jsonb_build_array(jsonb_build_object('demand_key', 'INV/R-1/1', 'sku', 'RUL-B', 'site', 'INV-1', 'ordered', 4, 'required_at', date_trunc('day', now()) + interval '3 days'),
	jsonb_build_object('demand_key', 'INV/R-2/1', 'sku', 'RUL-B', 'site', 'INV-1', 'ordered', 5, 'required_at', date_trunc('day', now()) + interval '20 days')), 'inv-erp');
\o
SELECT atp, outcome, available_at FROM distsync.atp('RUL-B', 100, NULL, 'INV-1');
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-B","site":"INV-1","lead_days":10}', 'inv-erp');
SELECT atp, outcome, available_at - now() AS available_in, valid_until - date_trunc('day', now()) AS valid_for FROM distsync.atp('RUL-B', 100, NULL, 'INV-1');
SELECT atp, outcome, basis, available_at = as_of AS then FROM distsync.atp('RUL-B', 100, NULL, 'INV-1', now() + interval '11 days');
SELECT t.moment - date_trunc('day', now()) >= interval '10 days' AS after_lead, supply, demand, projected, atp, detail->0->>'kind' AS kind, detail->0->>'reference' AS reference FROM distsync.atp_timeline('RUL-B', 'INV-1') t;
SELECT outcome, quantity FROM distsync.reserve('[{"item":"RUL-B","quantity":6,"site":"INV-1"}]', '{"holder":"rul"}');
-- overdue supply: nothing without grace, with it as of its end
\o /dev/null
SELECT * FROM distsync.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'PO-R/1', 'sku', 'RUL-C', 'site', 'INV-1', 'quantity', 7, 'expected_at', date_trunc('day', now()) - interval '2 days'), 'inv-erp');
SELECT * FROM distsync.apply('demand', jsonb_build_object('demand_key', 'INV/R-3/1', 'sku', 'RUL-C', 'site', 'INV-1', 'ordered', 3, 'required_at', date_trunc('day', now()) - interval '4 days'), 'inv-erp');
\o
SELECT atp, projected, outcome, available_at FROM distsync.atp('RUL-C', 11, NULL, 'INV-1');
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-C","site":"INV-1","supply_grace_days":5,"demand_fence_days":6}', 'inv-erp');
SELECT atp, projected, outcome, available_at - date_trunc('day', now()) AS available, valid_until - date_trunc('day', now()) AS valid FROM distsync.atp('RUL-C', 11, NULL, 'INV-1');
-- overdue demand beyond its fence no longer counts
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-C","site":"INV-1","demand_fence_days":3}', 'inv-erp');
SELECT atp, projected FROM distsync.atp('RUL-C', 11, NULL, 'INV-1');
SELECT ruled, backorder_cap, safety FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'RUL-C';
-- no rules any more
SELECT outcome FROM distsync.apply('item_site', '{"sku":"RUL-C","site":"INV-1"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT atp, projected FROM distsync.atp('RUL-C', 11, NULL, 'INV-1');
SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises();
-- wrong input
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('item_site', '[{"sku":"RUL-NONE","site":"INV-1"},{"sku":"RUL-A","site":"RUL-NONE"},{"sku":"RUL-A","site":"INV-1","lead_days":0},{"sku":"RUL-A","site":"INV-1","ship_days":1000},{"sku":"RUL-A","site":"INV-1","safety":-1},{"sku":"RUL-A","site":"INV-1","unit":"NONE"}]', 'inv-erp', NULL, '{"on_error":"collect"}');
