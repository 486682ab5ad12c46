-- What an order may have later takes nothing from what was promised before: a line that is back-ordered, in part or as a whole, comes behind all promises.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OBH-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OBH', 'OBH-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OBH-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'OBH-ERP');
SELECT distsync.apply('company', '{"code":"OBH","name":"Behind","currency":"USD"}', 'OBH-ERP');
SELECT distsync.apply('party', '{"code":"OBH-C","name":"Customer","currency":"USD"}', 'OBH-ERP');
SELECT distsync.apply('site', '{"code":"OBH-W","name":"w","company":"OBH"}', 'OBH-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OBH-A","name":"A","base_unit":"EA"},{"sku":"OBH-B","name":"B","base_unit":"EA"}]', 'OBH-ERP');
SELECT distsync.apply('agreement', '{"code":"OBH-LIST","slot":"list","company":"OBH","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OBH-A","value":"1"},{"what":"OBH-B","value":"1"}]}', 'OBH-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"obh-1","kind":"receive","sku":"OBH-A","site":"OBH-W","quantity":5,"event_at":"2026-01-01T00:00:00Z"}', 'OBH-ERP');
SELECT distsync.apply('supply', '{"kind":"purchase","reference":"OBH-PO/1","sku":"OBH-B","site":"OBH-W","quantity":10,"expected_at":"2998-01-01T00:00:00Z"}', 'OBH-ERP');
CREATE FUNCTION pg_temp.take(number text, item text, quantity numeric) RETURNS TABLE (disposition text, reserved numeric, backordered numeric, promised text) LANGUAGE sql AS $$
	SELECT l ->> 'disposition', trim_scale((l ->> 'reserved')::numeric), trim_scale((l ->> 'backordered')::numeric), CASE WHEN (l ->> 'promised_at')::timestamptz < now() + interval '1 day' THEN 'now' ELSE left(l ->> 'promised_at', 10) END
	FROM distsync.submit_order(jsonb_build_object('company', 'OBH', 'customer', 'OBH-C', 'order_number', number, 'lines', jsonb_build_array(jsonb_build_object('item', item, 'quantity', quantity)))) s, jsonb_array_elements(s.lines) l $$;
CREATE TEMP VIEW promised AS SELECT r.holder, i.sku, trim_scale(r.quantity) AS quantity, r.kind, CASE WHEN r.promised_at < now() + interval '1 day' THEN 'now' ELSE COALESCE(r.promised_at::date::text, 'not foreseen') END AS promised
	FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'OBH-%' AND r.state IN ('held', 'committed') ORDER BY 1, 2;
CREATE TEMP VIEW moved AS SELECT e.kind, e.trace_key, e.state FROM sync.exception e WHERE e.kind = 'promise_moved' AND e.trace_key LIKE 'OBH-%' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT * FROM distsync_internal.inventory_verify_promises()) v WHERE entity_key LIKE '%OBH%';
\o
-- all there is was promised; who comes then waits, and nobody is told anything
SELECT * FROM pg_temp.take('A1', 'OBH-A', 5);
SELECT * FROM pg_temp.take('A0', 'OBH-A', 10);
SELECT * FROM promised WHERE sku = 'OBH-A';
SELECT * FROM moved;
SELECT outcome, atp FROM distsync.atp('OBH-A', 1, 'EA', 'OBH-W');
-- so it is with what was promised for a later date
SELECT outcome, CASE WHEN (detail ->> 'promised_at')::timestamptz > now() THEN left(detail ->> 'promised_at', 10) END AS promised FROM distsync.reserve('[{"item":"OBH-B","quantity":8,"unit":"EA"}]', '{"company":"OBH","holder":"OBH-cart","mode":"complete","ttl":"1 day"}');
SELECT * FROM pg_temp.take('B1', 'OBH-B', 20);
SELECT * FROM promised WHERE sku = 'OBH-B';
SELECT * FROM moved;
-- a line of which more is wanted waits as it did
SELECT r ->> 'outcome' AS outcome FROM distsync.change_order('A0', '{"lines":[{"line":1,"quantity":12}]}', '{"company":"OBH"}') r;
SELECT * FROM promised WHERE sku = 'OBH-A';
SELECT * FROM moved;
-- what its owner says of an order of ours makes it no other's; what others want comes first, as ever
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"OBH/A0/1","sku":"OBH-A","site":"OBH-W","ordered":12}', 'OBH-ERP');
SELECT * FROM moved;
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"OBH/X1/1","sku":"OBH-A","site":"OBH-W","ordered":2}', 'OBH-ERP');
SELECT * FROM promised WHERE sku = 'OBH-A';
SELECT * FROM moved;
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"OBH/X1/1","sku":"OBH-A","site":"OBH-W","ordered":0}', 'OBH-ERP');
SELECT * FROM promised WHERE sku = 'OBH-A';
SELECT * FROM moved;
-- what the warehouse has taken for it is gone
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"OBH/A0/1","sku":"OBH-A","site":"OBH-W","allocated":3}', 'OBH-ERP');
SELECT * FROM promised WHERE sku = 'OBH-A';
SELECT * FROM broken;
