-- house.sql: a small distributor, for tests that need one: master data, prices, stock in both perspectives, customers with limits, a signed
-- source and an endpoint. Variables: url (of the endpoint), secret (whsec_...).
\set ON_ERROR_STOP 1
SELECT distsync.add_system('erp', 'erp');
SELECT distsync.add_system('wms', 'wms');
SELECT distsync.add_system('shop', 'shop');
SELECT distsync.add_system('crm', 'crm');
SELECT distsync.add_source('erp', 'erp', jsonb_build_object('secret', :'secret'));
-- a system is not told its own news: the CRM says nothing, so it hears everything
SELECT distsync.add_endpoint('crm', 'crm', :'url', jsonb_build_object('secret', :'secret', 'allow_http', true, 'allow_private', true, 'retry_policy', 'quick', 'timeout', '2 seconds'));
SELECT distsync.add_route('crm-all', 'crm', '*');
SELECT distsync.apply_all('currency', '[{"currency":"USD","minor_units":2}]', 'erp');
SELECT distsync.apply_all('unit', '[{"unit":"EA"}]', 'erp');
SELECT distsync.apply('company', '{"code":"CM","name":"Company","currency":"USD"}', 'erp');
SELECT distsync.apply('site', '{"code":"S1","company":"CM"}', 'erp');
SELECT distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'I' || i, 'base_unit', 'EA')) FROM generate_series(1, 20) i), 'erp');
SELECT distsync.apply_all('party', (SELECT jsonb_agg(jsonb_build_object('code', 'C' || i, 'name', 'Customer ' || i, 'roles', '["sold_to","payer"]'::jsonb, 'currency', 'USD')) FROM generate_series(1, 10) i), 'erp');
SELECT distsync.apply_all('credit_account', (SELECT jsonb_agg(jsonb_build_object('code', 'AR-C' || i, 'customer', 'C' || i, 'company', 'CM', 'currency', 'USD', 'limit', CASE WHEN i <= 5 THEN '1000' ELSE '1000000' END)) FROM generate_series(1, 10) i), 'erp');
SELECT distsync.apply('agreement', jsonb_build_object('code', 'LIST', 'slot', 'list', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb,
	'rates', (SELECT jsonb_agg(jsonb_build_object('what', 'I' || i, 'value', (10 + i)::text)) FROM generate_series(1, 20) i)), 'erp');
SELECT distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', p || i, 'kind', 'count', 'perspective', p, 'sku', 'I' || i, 'site', 'S1', 'state', 'available',
	'quantity', '100000', 'unit', 'EA', 'event_at', '2026-01-01T00:00:00Z')) FROM generate_series(1, 20) i, unnest(ARRAY['book', 'phys']) p), 'wms');
