-- stock_timeline.sql: items TL-1 to TL-:timelines with 500 receipts and 500 orders to come at one site, each at an instant of its own.
\set ON_ERROR_STOP on
\o /dev/null
SELECT distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'TL-' || t, 'base_unit', 'EA')) FROM generate_series(1, :timelines) t), 'bench-erp');
SELECT distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', 'TL-' || t, 'kind', 'count', 'sku', 'TL-' || t, 'site', 'B1', 'quantity', 1000, 'event_at', now())) FROM generate_series(1, :timelines) t), 'bench-wms');
SELECT distsync.apply_all('supply', (SELECT jsonb_agg(jsonb_build_object('kind', 'purchase', 'reference', 'PO-' || r, 'sku', 'TL-' || t, 'site', 'B1', 'quantity', 20, 'expected_at', now() + r * interval '6 hours'))
	FROM generate_series(1, :timelines) t, generate_series(1, 500) r), 'bench-erp');
SELECT distsync.apply_all('demand', (SELECT jsonb_agg(jsonb_build_object('demand_key', concat_ws('/', 'B', 'TL-' || t, r), 'sku', 'TL-' || t, 'site', 'B1', 'ordered', 20, 'required_at', now() + interval '3 hours' + r * interval '6 hours'))
	FROM generate_series(1, :timelines) t, generate_series(1, 500) r), 'bench-erp');
\o
VACUUM ANALYZE dist.supply, dist.demand;
