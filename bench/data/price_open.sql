-- price_open.sql: :lines open lines in orders of ten, and a draft promotion for a tenth of the items that is cheaper than anything else.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
INSERT INTO dist.sales_order (order_id, customer_id, company_id, order_number, source, payer_id, currency, ordered_at, state, correlation_id)
SELECT o, bench.pick(o, :customers), 1, 'IMPACT-' || o, 'bench', bench.pick(o, :customers), 'USD', '2026-06-01 00:00+00', 'accepted', md5(o::text)::uuid FROM generate_series(1::bigint, :lines / 10) o;
INSERT INTO dist.order_line (order_id, customer_id, line_no, item_id, requested_item_id, quantity, requested_quantity, unit, base_quantity, unit_price, net_amount)
SELECT o, bench.pick(o, :customers), l, bench.pick(o * 10 + l, :items), bench.pick(o * 10 + l, :items), 1 + l, 1 + l, 'EA', 1 + l, 100, 100 * (1 + l) FROM generate_series(1::bigint, :lines / 10) o, generate_series(1, 10) l;
SELECT setval('dist.sales_order_order_id_seq', max(order_id)) FROM dist.sales_order \g /dev/null
RESET session_replication_role;
VACUUM ANALYZE dist.sales_order, dist.order_line;
SELECT outcome FROM distsync.apply('agreement', (
	SELECT jsonb_build_object('code', 'IMPACT', 'slot', 'promotion', 'currency', 'USD', 'publish', false, 'assignments', '[{"who_kind": "all"}]'::jsonb, 'rates', jsonb_agg(jsonb_build_object('what', 'PI-' || n * 10, 'value', '0.5')))
	FROM generate_series(1, :items / 10) n), 'distsync');
