-- Loading history: orders, shipments, invoices and payments of a past year make balances and no noise: no event, no hold, no exception.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OH-ERP', 'erp');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OH-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"}]', 'OH-ERP');
SELECT distsync.apply('company', '{"code":"OH","name":"History","currency":"USD"}', 'OH-ERP');
SELECT distsync.apply_all('party', '[{"code":"OH-1","name":"one","currency":"USD"},{"code":"OH-2","name":"two","currency":"USD"}]', 'OH-ERP');
SELECT distsync.apply('site', '{"code":"OH-W","name":"w","company":"OH"}', 'OH-ERP');
SELECT distsync.apply('item', '{"sku":"OH-A","name":"A","base_unit":"EA"}', 'OH-ERP');
SELECT distsync.apply('credit_account', '{"code":"OH-1","customer":"OH-1","company":"OH","limit":100}', 'OH-ERP');
\o
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM sync.outbox WHERE kind = 'document') AS events, (SELECT count(*) FROM sync.exception) AS exceptions;
SELECT outcome, count(*) FROM distsync.apply_all('order', (SELECT jsonb_agg(jsonb_build_object('company', 'OH', 'order_number', 'OH-' || n, 'customer', 'OH-' || 1 + n % 2, 'ordered_at', '2025-01-01', 'state', CASE WHEN n <= 38 THEN 'closed' ELSE 'booked' END,
	'lines', jsonb_build_array(jsonb_build_object('item', 'OH-A', 'quantity', n, 'unit_price', 10)))) FROM generate_series(1, 40) n), 'OH-ERP', options => '{"backfill":true}') GROUP BY 1;
SELECT outcome, count(*) FROM distsync.apply_all('shipment', (SELECT jsonb_agg(jsonb_build_object('company', 'OH', 'shipment_number', 'OHS-' || n, 'order_number', 'OH-' || n, 'site', 'OH-W', 'shipped_at', '2025-02-01',
	'lines', jsonb_build_array(jsonb_build_object('order_line', 1, 'quantity', n)))) FROM generate_series(1, 38) n), 'OH-ERP', options => '{"backfill":true}') GROUP BY 1;
SELECT outcome, count(*) FROM distsync.apply_all('invoice', (SELECT jsonb_agg(jsonb_build_object('company', 'OH', 'invoice_number', 'OHI-' || n, 'order_number', 'OH-' || n, 'issued_at', '2025-02-02', 'terms', 'NET30', 'currency', 'USD', 'net_amount', 10 * n))
	FROM generate_series(1, 38) n), 'OH-ERP', options => '{"backfill":true}') GROUP BY 1;
SELECT outcome, count(*) FROM distsync.apply_all('payment', (SELECT jsonb_agg(jsonb_build_object('company', 'OH', 'payment_number', 'OHP-' || n, 'customer', 'OH-' || 1 + n % 2, 'received_at', '2025-03-01', 'currency', 'USD', 'amount', 10 * n,
	'remittance', jsonb_build_array(jsonb_build_object('invoice', 'OHI-' || CASE WHEN n = 1 THEN 999 ELSE n END)))) FROM generate_series(1, 30) n), 'OH-ERP', options => '{"backfill":true}') GROUP BY 1;
SELECT (SELECT count(*) FROM sync.outbox WHERE kind = 'document') - events AS events, (SELECT count(*) FROM sync.exception) - exceptions AS exceptions FROM before;
SELECT p.code AS customer, a.code, receivable, unapplied, unbilled, open_orders, held_demand FROM dist.credit_account a JOIN dist.party p ON p.party_id = a.customer_id WHERE p.code LIKE 'OH-%' ORDER BY 1;
SELECT state, count(*), sum(exposure_amount) AS exposure FROM dist.sales_order WHERE source = 'OH-ERP' GROUP BY 1 ORDER BY 1;
SELECT bucket, amount, items FROM distsync.aging('OH-1', '2025-04-01', '{"company":"OH"}');
SELECT sum(amount) FROM distsync.statement('OH-2', options => '{"company":"OH"}');
SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters()
	UNION ALL SELECT * FROM distsync_internal.credit_verify_items()) v;
-- a sender with a name of its own for the company: one order, one demand
INSERT INTO sync.xref (system, entity, external_id, code) VALUES ('OH-ERP', 'company', '1000', 'OH');
SELECT outcome, entity_key FROM distsync.apply('order', '{"company":"1000","order_number":"OH-X","customer":"OH-2","lines":[{"line":1,"item":"OH-A","quantity":3,"unit_price":"2"}]}', 'OH-ERP');
SELECT outcome, entity_key FROM distsync.apply('shipment', '{"company":"OH","shipment_number":"OHS-X","order_number":"OH-X","site":"OH-W","shipped_at":"2026-01-01T00:00:00Z","lines":[{"order_line":1,"quantity":1}]}', 'OH-ERP');
SELECT demand_key, ordered, shipped FROM dist.demand WHERE demand_key LIKE '%/OH-X/%' ORDER BY 1;
SELECT count(*) AS over_shipped FROM sync.exception WHERE kind = 'over_shipped' AND trace_key LIKE '%OH-X%';
-- what has shipped of a line is not owed again after its demand was cleared away, whatever changes in the order; what is ordered more, is
CREATE FUNCTION pg_temp.tell(a numeric, b numeric) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('order', jsonb_build_object('company', 'OH', 'order_number', 'OH-Y', 'customer', 'OH-2', 'lines', jsonb_build_array(jsonb_build_object('line', 1, 'item', 'OH-A', 'quantity', a, 'unit_price', 2, 'site', 'OH-W'), jsonb_build_object('line', 2, 'item', 'OH-A', 'quantity', b, 'unit_price', 2, 'site', 'OH-W'))), 'OH-ERP') $$;
SELECT * FROM pg_temp.tell(5, 3);
SELECT outcome FROM distsync.apply('shipment', '{"company":"OH","shipment_number":"OHS-Y","order_number":"OH-Y","site":"OH-W","shipped_at":"2026-01-01T00:00:00Z","lines":[{"order_line":1,"quantity":5}]}', 'OH-ERP');
SELECT demand_key, ordered, shipped, status FROM dist.demand WHERE demand_key LIKE '%/OH-Y/%' ORDER BY 1;
DELETE FROM dist.demand WHERE demand_key = 'OH/OH-Y/1' AND status = 'done' AND reserved = 0;
SELECT * FROM pg_temp.tell(5, 4);
SELECT demand_key, ordered, shipped, status FROM dist.demand WHERE demand_key LIKE '%/OH-Y/%' ORDER BY 1;
SELECT * FROM pg_temp.tell(7, 4);
SELECT demand_key, ordered, shipped, status FROM dist.demand WHERE demand_key LIKE '%/OH-Y/%' ORDER BY 1;
SELECT * FROM pg_temp.tell(8, 4);
SELECT demand_key, ordered, shipped, status FROM dist.demand WHERE demand_key LIKE '%/OH-Y/%' ORDER BY 1;
