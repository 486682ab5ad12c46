-- What open orders and quotes ask of prices, for other rooms.

-- order_priced_lines does the listing of open documents as questions to prices(): each as order_price() asks, with its own locks.
CREATE FUNCTION distsync_internal.order_priced_lines(items bigint[], parties bigint[], whole boolean)
RETURNS TABLE (customer_id bigint, document_kind text, document_key text, at timestamptz, options jsonb, lines jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH wanted AS (
		SELECT l.customer_id, l.order_id FROM dist.order_line l WHERE whole AND items IS NOT NULL AND l.item_id = ANY (items) AND l.quantity > 0 GROUP BY 1, 2
	), document AS (
		SELECT l.customer_id, l.order_id, jsonb_agg(CASE
				WHEN l.unit = i.base_unit AND l.site_id IS NULL AND l.shipped_quantity = 0 AND l.invoiced_quantity = 0 AND l.cancelled_quantity = 0
				THEN jsonb_build_object('line', l.line_no, 'item_id', l.item_id, 'quantity', l.quantity)
				-- a unit that the item has lost since: then what was accepted, in base units
				ELSE jsonb_build_object('line', l.line_no, 'item_id', l.item_id, 'quantity', CASE WHEN l.unit = i.base_unit OR x.unit IS NOT NULL THEN l.quantity ELSE l.base_quantity END, 'unit', x.unit, 'site', w.code,
					'open', greatest(l.base_quantity - l.cancelled_quantity - greatest(l.shipped_quantity, l.invoiced_quantity), 0), 'of', l.base_quantity) END ORDER BY l.line_no) AS lines
		FROM dist.order_line l
		JOIN dist.item i ON i.item_id = l.item_id
		LEFT JOIN dist.item_unit x ON x.item_id = l.item_id AND x.unit = l.unit AND l.unit <> i.base_unit
		LEFT JOIN dist.site w ON w.site_id = l.site_id
		WHERE l.quantity > 0 AND l.base_quantity > l.cancelled_quantity
			AND (items IS NULL OR whole AND (l.customer_id, l.order_id) IN (SELECT d.customer_id, d.order_id FROM wanted d) OR NOT whole AND l.item_id = ANY (items))
		GROUP BY l.customer_id, l.order_id
	), used AS (
		-- agreed volumes without what the document itself took of them
		SELECT u.document_key, jsonb_object_agg(a.code, jsonb_build_object('quantity', c.quantity - u.quantity, 'amount', c.amount - u.amount)) AS used
		FROM (SELECT x.document_key, x.agreement_id, sum(x.quantity) AS quantity, sum(x.amount) AS amount FROM dist.commitment_use x GROUP BY 1, 2) u
		JOIN dist.agreement a ON a.agreement_id = u.agreement_id JOIN dist.commitment c ON c.agreement_id = u.agreement_id GROUP BY u.document_key)
	SELECT o.customer_id, o.kind, o.order_number, COALESCE(o.priced_at, o.ordered_at),
		jsonb_strip_nulls(jsonb_build_object('company', c.code, 'currency', o.currency, 'channel', h.code, 'ship_to', s.code, 'job', j.code, 'document_type', o.kind, 'document_key', o.order_number,
			'commitment', 'order', 'used', u.used)), d.lines
	FROM dist.sales_order o
	JOIN document d ON d.customer_id = o.customer_id AND d.order_id = o.order_id
	JOIN dist.company c ON c.company_id = o.company_id
	LEFT JOIN dist.channel h ON h.channel_id = o.channel_id
	LEFT JOIN dist.party s ON s.party_id = o.ship_to_id
	LEFT JOIN dist.party j ON j.party_id = o.job_id
	LEFT JOIN used u ON o.kind = 'order' AND u.document_key = c.code || '/' || o.order_number
	WHERE o.kind IN ('order', 'quote') AND o.state IN ('accepted', 'held', 'sent', 'booked') AND (parties IS NULL OR o.customer_id = ANY (parties) OR o.ship_to_id = ANY (parties) OR o.job_id = ANY (parties));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_priced_lines(bigint[], bigint[], boolean) IS
	'Handler priced_lines: open orders and quotes that have a line of one of the items (NULL = any) and one of the parties as customer, ship-to or job (NULL = any): the date they were placed, options and lines of prices(); a line says as well its number, and where some of it is shipped, invoiced or given back how many base units of how many are still open. whole: all lines of these documents, not only those of the items.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('priced_lines', 'order', 'distsync_internal.order_priced_lines');
