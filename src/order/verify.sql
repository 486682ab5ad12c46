-- What must always be true of orders and their money. No row = fine. That an invoice comes before its shipment is an exception, not a
-- violation: it happened.

-- order_verify_exposure does the check that each amount is counted once: open orders and unbilled are sums of orders and shipments.
CREATE FUNCTION distsync_internal.order_verify_exposure() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree (root, account_id) AS (
		SELECT a.account_id, a.account_id FROM dist.credit_account a
		UNION ALL
		SELECT t.root, a.account_id FROM tree t JOIN dist.credit_account a ON a.parent_id = t.account_id
	), open_order AS (
		SELECT o.account_id, sum(o.exposure_amount) AS amount FROM dist.sales_order o WHERE o.account_id IS NOT NULL GROUP BY o.account_id
	), unbilled AS (
		SELECT u.account_id, sum(u.amount) AS amount FROM (
			SELECT o.account_id, s.unbilled_amount AS amount FROM dist.shipment s JOIN dist.sales_order o ON o.customer_id = s.customer_id AND o.order_id = s.order_id WHERE o.account_id IS NOT NULL
			UNION ALL
			-- what is to be billed again
			SELECT t.account_id, i.rebill_amount FROM dist.invoice i JOIN dist.open_item t ON t.customer_id = i.customer_id AND t.company_id = i.company_id AND t.kind = i.kind AND t.document_number = i.invoice_number
			WHERE i.rebill = 'awaited') u GROUP BY u.account_id
	), told AS (
		SELECT a.code, a.open_orders, a.unbilled, (SELECT COALESCE(sum(o.amount), 0) FROM tree t JOIN open_order o ON o.account_id = t.account_id WHERE t.root = a.account_id) AS orders,
			(SELECT COALESCE(sum(u.amount), 0) FROM tree t JOIN unbilled u ON u.account_id = t.account_id WHERE t.root = a.account_id) AS shipments
		FROM dist.credit_account a
	)
	SELECT 'order_exposure', 'credit_account', t.code, jsonb_build_object('open_orders', t.open_orders, 'orders', t.orders, 'unbilled', t.unbilled, 'shipments', t.shipments)
	FROM told t WHERE t.open_orders <> t.orders OR t.unbilled <> t.shipments
$$;
COMMENT ON FUNCTION distsync_internal.order_verify_exposure() IS 'Accounts whose open orders or unbilled shipments are not the sum of the orders, shipments and documents to be billed again of their tree.';

-- order_verify_orders does the check of each order against its lines, holds and shipments.
CREATE FUNCTION distsync_internal.order_verify_orders() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH line AS (
		SELECT l.customer_id, l.order_id, sum(l.net_amount) AS net, sum(l.tax_amount) AS tax FROM dist.order_line l GROUP BY l.customer_id, l.order_id
	), hold AS (
		SELECT h.customer_id, h.order_id, count(*) AS n FROM dist.hold h WHERE h.released_at IS NULL GROUP BY h.customer_id, h.order_id
	)
	SELECT 'order_totals', 'order', o.order_number, jsonb_build_object('net_amount', o.net_amount, 'lines', l.net, 'tax_amount', o.tax_amount, 'line_tax', l.tax, 'gross_amount', o.gross_amount)
	FROM dist.sales_order o LEFT JOIN line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id
	WHERE o.net_amount IS DISTINCT FROM l.net OR o.tax_amount IS DISTINCT FROM l.tax OR o.gross_amount <> o.net_amount + o.tax_amount
	UNION ALL
	SELECT 'order_hold', 'order', o.order_number, jsonb_build_object('state', o.state, 'credit_state', o.credit_state, 'live_holds', COALESCE(h.n, 0), 'exposure_amount', o.exposure_amount)
	FROM dist.sales_order o LEFT JOIN hold h ON h.customer_id = o.customer_id AND h.order_id = o.order_id
	WHERE (o.state = 'held' AND o.credit_state <> 'released') <> (COALESCE(h.n, 0) > 0) OR o.credit_state = 'held' AND o.exposure_amount > 0 OR o.state IN ('cancelled', 'rejected', 'shipped', 'closed') AND o.exposure_amount > 0
	UNION ALL
	SELECT 'order_shipped', 'order_line', o.order_number || '/' || l.line_no, jsonb_build_object('shipped_quantity', l.shipped_quantity, 'shipments', s.quantity)
	FROM dist.order_line l
	JOIN dist.sales_order o ON o.customer_id = l.customer_id AND o.order_id = l.order_id
	CROSS JOIN LATERAL (SELECT CASE WHEN l.components IS NOT NULL THEN distsync_internal.order_shipped(l.customer_id, l.order_id, l.line_no, l.item_id, l.components)
		ELSE (SELECT COALESCE(sum(x.quantity), 0) FROM dist.shipment h JOIN dist.shipment_line x ON x.customer_id = h.customer_id AND x.shipment_id = h.shipment_id
			WHERE h.order_id = l.order_id AND h.customer_id = l.customer_id AND x.order_line_no = l.line_no) END AS quantity) s
	WHERE l.shipped_quantity <> s.quantity
$$;
COMMENT ON FUNCTION distsync_internal.order_verify_orders() IS
	'Orders whose amounts are not the sum of their lines, that are held without a hold or hold without being held, that still count exposure at their end; lines whose shipped quantity is not what shipments say.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('verify', 'order_exposure', 'distsync_internal.order_verify_exposure'),
	('verify', 'order_orders', 'distsync_internal.order_verify_orders');
