-- What orders and invoices charged, told to check_prices(): an order's line until it is billed, then the invoice's.

-- order_priced_options does the options that an order's prices were asked with.
CREATE FUNCTION distsync_internal.order_priced_options(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT jsonb_strip_nulls(jsonb_build_object('company', c.code, 'channel', h.code, 'ship_to', s.code, 'job', j.code, 'document_type', 'order', 'document_key', o.order_number, 'requested_ship', o.requested_at, 'commitment', 'order'))
		FROM dist.sales_order o JOIN dist.company c ON c.company_id = o.company_id
		LEFT JOIN dist.channel h ON h.channel_id = o.channel_id LEFT JOIN dist.party s ON s.party_id = o.ship_to_id LEFT JOIN dist.party j ON j.party_id = o.job_id
		WHERE o.customer_id = order_priced_options.customer_id AND o.order_id = order_priced_options.order_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_priced_options(bigint, bigint) IS 'Options of prices() for an order: company, channel, ship-to, job, requested ship date; its number, so that prices locked for it hold; its lines take volumes one after the other.';

-- order_lines_as_priced does the lines of an order as they were priced; what was cut was priced before.
CREATE FUNCTION distsync_internal.order_lines_as_priced(customer_id bigint, order_id bigint) RETURNS TABLE (line_no integer, item_id bigint, quantity numeric, unit text, site text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT l.line_no, l.item_id, CASE WHEN l.disposition = 'cut' THEN l.requested_quantity ELSE l.quantity END, l.unit, NULL::text
	FROM dist.order_line l
	WHERE l.customer_id = order_lines_as_priced.customer_id AND l.order_id = order_lines_as_priced.order_id AND l.disposition <> 'reject' AND CASE WHEN l.disposition = 'cut' THEN l.requested_quantity ELSE l.quantity END <> 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lines_as_priced(bigint, bigint) IS 'Lines of an order with the quantities that decided their tiers.';

-- order_observed_orders does the telling of order lines that are not billed yet.
CREATE FUNCTION distsync_internal.order_observed_orders(scope jsonb) RETURNS SETOF distsync_internal.price_observation
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'order', w.options->>'channel', 'order', o.order_number, l.line_no, o.customer_id, l.item_id, l.quantity, q.quantity, l.unit, l.unit_price, l.price_per, o.currency,
		CASE WHEN l.tax_amount > 0 AND l.net_amount > 0 THEN round(100 * l.tax_amount / l.net_amount, 2) END, o.ordered_at, COALESCE(o.priced_at, o.ordered_at), NULL::text, NULL::text, w.options->>'company', w.options,
		(SELECT jsonb_agg(to_jsonb(p) - 'line_no' ORDER BY p.line_no) FROM distsync_internal.order_lines_as_priced(o.customer_id, o.order_id) p
			WHERE EXISTS (SELECT FROM dist.order_line b WHERE b.customer_id = o.customer_id AND b.order_id = o.order_id AND b.line_no = p.line_no AND NOT (b.invoiced_quantity = 0 AND b.quantity > 0)))
	FROM dist.sales_order o
	JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id AND l.invoiced_quantity = 0 AND l.quantity > 0
	JOIN distsync_internal.order_lines_as_priced(o.customer_id, o.order_id) q ON q.line_no = l.line_no
	CROSS JOIN LATERAL (SELECT distsync_internal.order_priced_options(o.customer_id, o.order_id) || jsonb_build_object('invoice', o.ordered_at)) w(options)
	WHERE o.kind = 'order' AND NOT o.backfill AND o.state IN ('accepted', 'held', 'sent', 'booked', 'shipped') AND o.ordered_at >= (scope->>'since')::timestamptz AND o.ordered_at < (scope->>'until')::timestamptz
		AND (scope->>'customer_id' IS NULL OR o.customer_id = (scope->>'customer_id')::bigint) AND (scope->>'channel_id' IS NULL OR o.channel_id = (scope->>'channel_id')::bigint)
		AND COALESCE(scope->>'document_type', 'order') = 'order' AND (scope->>'document_key' IS NULL OR o.order_number = scope->>'document_key') AND COALESCE(scope->>'source', 'order') = 'order';
END
$$;
COMMENT ON FUNCTION distsync_internal.order_observed_orders(jsonb) IS 'Handler of kind observe: lines of live orders of which nothing is billed yet, priced when they were ordered; the scope as in pricing_observed().';

-- order_observed_invoices does the telling of invoice lines. A line of an order that we know was priced with the order: by its date, its quantity and its other lines.
CREATE FUNCTION distsync_internal.order_observed_invoices(scope jsonb) RETURNS SETOF distsync_internal.price_observation
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'invoice', w.options->>'channel', 'invoice', i.invoice_number, l.line_no, b.customer_id, l.item_id, l.quantity, COALESCE(q.quantity, l.quantity), u.unit, l.unit_price, l.price_per, i.currency,
		CASE WHEN l.tax_amount > 0 AND l.net_amount > 0 THEN round(100 * l.tax_amount / l.net_amount, 2) END, i.issued_at, COALESCE(o.priced_at, o.ordered_at, i.issued_at), NULL::text, NULL::text, c.code, w.options,
		(SELECT jsonb_agg(to_jsonb(p) - 'line_no' ORDER BY p.line_no) FROM distsync_internal.order_lines_as_priced(o.customer_id, o.order_id) p
			WHERE NOT EXISTS (SELECT FROM dist.invoice_line x WHERE x.customer_id = i.customer_id AND x.invoice_id = i.invoice_id AND x.order_line_no = p.line_no))
	FROM dist.invoice i
	JOIN dist.invoice_line l ON l.customer_id = i.customer_id AND l.invoice_id = i.invoice_id AND l.item_id IS NOT NULL AND l.quantity <> 0 AND l.unit_price >= 0 AND (l.unit_price > 0 OR l.net_amount = 0)
	JOIN dist.company c ON c.company_id = i.company_id
	JOIN dist.item m ON m.item_id = l.item_id
	LEFT JOIN dist.sales_order o ON o.order_id = i.order_id AND o.company_id = i.company_id
	LEFT JOIN dist.shipment s ON s.customer_id = o.customer_id AND s.shipment_id = i.shipment_id
	LEFT JOIN distsync_internal.order_lines_as_priced(o.customer_id, o.order_id) t ON t.line_no = l.order_line_no AND t.item_id = l.item_id
	CROSS JOIN LATERAL (SELECT COALESCE(o.customer_id, i.sold_to_id, i.customer_id)) b(customer_id)
	CROSS JOIN LATERAL (SELECT COALESCE(l.unit, t.unit, m.base_unit)) u(unit)
	LEFT JOIN distsync_internal.pricing_factors(l.item_id) f ON f.unit = u.unit
	LEFT JOIN distsync_internal.pricing_factors(l.item_id) g ON g.unit = t.unit
	CROSS JOIN LATERAL (SELECT CASE WHEN t.unit = u.unit THEN t.quantity ELSE round(t.quantity * g.numerator * f.denominator / (g.denominator * f.numerator), 6) END) q(quantity)
	CROSS JOIN LATERAL (SELECT COALESCE(distsync_internal.order_priced_options(o.customer_id, o.order_id), jsonb_build_object('company', c.code))
		|| jsonb_strip_nulls(jsonb_build_object('invoice', i.issued_at, 'ship', s.shipped_at))) w(options)
	WHERE i.kind = 'invoice' AND i.issued_at >= (scope->>'since')::timestamptz AND i.issued_at < (scope->>'until')::timestamptz
		AND (scope->>'customer_id' IS NULL OR b.customer_id = (scope->>'customer_id')::bigint) AND (scope->>'channel_id' IS NULL OR o.channel_id = (scope->>'channel_id')::bigint)
		AND COALESCE(scope->>'document_type', 'invoice') = 'invoice' AND (scope->>'document_key' IS NULL OR i.invoice_number = scope->>'document_key') AND COALESCE(scope->>'source', 'invoice') = 'invoice';
END
$$;
COMMENT ON FUNCTION distsync_internal.order_observed_invoices(jsonb) IS
	'Handler of kind observe: lines of invoices that name an item and a price (memos aside), priced when their order was placed, else at the invoice date; the scope as in pricing_observed().';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('observe', 'order', 'distsync_internal.order_observed_orders'),
	('observe', 'invoice', 'distsync_internal.order_observed_invoices');
