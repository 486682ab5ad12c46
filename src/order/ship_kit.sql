-- Shipments of kits: a kit leaves as a whole, or component by component. It has shipped when all of it has.

-- order_shipped does the counting of what of an order line has left: base units, of a kit whole kits.
CREATE FUNCTION distsync_internal.order_shipped(customer_id bigint, order_id bigint, line_no integer, item_id bigint, components jsonb, more jsonb DEFAULT '[]') RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	told jsonb := (SELECT COALESCE(jsonb_agg(jsonb_build_object('item_id', x.item_id, 'quantity', x.quantity)), '[]') FROM dist.shipment h JOIN dist.shipment_line x ON x.customer_id = h.customer_id AND x.shipment_id = h.shipment_id
		WHERE h.customer_id = order_shipped.customer_id AND h.order_id = order_shipped.order_id AND x.order_line_no = order_shipped.line_no) || more;
BEGIN
	IF components IS NULL THEN
		RETURN (SELECT COALESCE(sum((t ->> 'quantity')::numeric), 0) FROM jsonb_array_elements(told) t);
	END IF;
	RETURN (SELECT COALESCE(sum((t ->> 'quantity')::numeric), 0) FROM jsonb_array_elements(told) t WHERE (t ->> 'item_id')::bigint = order_shipped.item_id)
		+ (SELECT COALESCE(min(floor((SELECT COALESCE(sum((t ->> 'quantity')::numeric), 0) FROM jsonb_array_elements(told) t WHERE (t ->> 'item_id')::bigint = p.item_id) / p.per)), 0)
			FROM distsync_internal.inventory_taken_from(NULL, components) p);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_shipped(bigint, bigint, integer, bigint, jsonb, jsonb) IS
	'What shipments say has left of an order line with this item and components: base units, of a kit the kits that left as a whole and those of which each component has left. more: as if these had left as well, [{"item_id", "quantity"}].';

-- order_ship_moved does the reckoning of what a shipment that is read, and not yet booked, means for each line of its order.
CREATE FUNCTION distsync_internal.order_ship_moved(s jsonb) RETURNS TABLE (line_no integer, quantity numeric)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT n.line, CASE WHEN t.components IS NULL THEN n.quantity
		ELSE distsync_internal.order_shipped(t.customer_id, t.order_id, t.line_no, t.item_id, t.components, n.told) - distsync_internal.order_shipped(t.customer_id, t.order_id, t.line_no, t.item_id, t.components) END
	FROM (SELECT (l ->> 'line')::integer AS line, sum((l ->> 'quantity')::numeric) AS quantity, jsonb_agg(jsonb_build_object('item_id', l -> 'item_id', 'quantity', l -> 'quantity')) AS told FROM jsonb_array_elements(s -> 'lines') l GROUP BY 1) n
	LEFT JOIN dist.order_line t ON t.customer_id = (s ->> 'customer_id')::bigint AND t.order_id = (s ->> 'order_id')::bigint AND t.line_no = n.line;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_moved(jsonb) IS 'What leaves of each line of the order (NULL = of none) by a read shipment: base units, of a kit the kits that are whole with it. The caller holds the order''s lock.';

-- order_ship_excess does the finding of what a shipment has that its order has not: of a kit, a component must not leave more often than all kits take.
CREATE FUNCTION distsync_internal.order_ship_excess(s jsonb) RETURNS TABLE (line_no integer, sku text, quantity numeric, left_open numeric)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH n AS MATERIALIZED (
		SELECT (l ->> 'line')::integer AS line, (l ->> 'item_id')::bigint AS item_id, sum((l ->> 'quantity')::numeric) AS quantity FROM jsonb_array_elements(s -> 'lines') l GROUP BY 1, 2
	), gone AS MATERIALIZED (
		SELECT x.order_line_no AS line, x.item_id, sum(x.quantity) AS quantity FROM dist.shipment h JOIN dist.shipment_line x ON x.customer_id = h.customer_id AND x.shipment_id = h.shipment_id
		WHERE h.customer_id = (s ->> 'customer_id')::bigint AND h.order_id = (s ->> 'order_id')::bigint GROUP BY 1, 2
	), part AS (
		-- what is left of each component, before this shipment
		SELECT t.line_no AS line, t.item_id AS kit, p.item_id, p.per, (t.base_quantity - t.cancelled_quantity) * p.per - COALESCE(sum(g.quantity * CASE WHEN g.item_id = t.item_id THEN p.per ELSE 1 END), 0) AS rest
		FROM dist.order_line t CROSS JOIN LATERAL distsync_internal.inventory_taken_from(NULL, t.components) p LEFT JOIN gone g ON g.line = t.line_no AND g.item_id IN (t.item_id, p.item_id)
		WHERE t.customer_id = (s ->> 'customer_id')::bigint AND t.order_id = (s ->> 'order_id')::bigint AND t.components IS NOT NULL
		GROUP BY t.line_no, t.item_id, p.item_id, p.per, t.base_quantity, t.cancelled_quantity
	), told AS (
		SELECT n.line, n.item_id, n.quantity, CASE
			WHEN t.line_no IS NULL THEN 0
			WHEN t.components IS NULL THEN t.base_quantity - t.cancelled_quantity - t.shipped_quantity - (SELECT COALESCE(sum(o.quantity), 0) FROM n o WHERE o.line = n.line AND o.item_id <> n.item_id)
			WHEN n.item_id = t.item_id THEN (SELECT floor(min((p.rest - COALESCE((SELECT o.quantity FROM n o WHERE o.line = n.line AND o.item_id = p.item_id), 0)) / p.per)) FROM part p WHERE p.line = n.line)
			ELSE COALESCE((SELECT p.rest - p.per * COALESCE((SELECT o.quantity FROM n o WHERE o.line = n.line AND o.item_id = p.kit), 0) FROM part p WHERE p.line = n.line AND p.item_id = n.item_id), 0) END AS rest
		FROM n LEFT JOIN dist.order_line t ON t.customer_id = (s ->> 'customer_id')::bigint AND t.order_id = (s ->> 'order_id')::bigint AND t.line_no = n.line
	)
	SELECT w.line, i.sku, w.quantity, trim_scale(greatest(0, w.rest)) FROM told w JOIN dist.item i ON i.item_id = w.item_id WHERE w.quantity > w.rest ORDER BY w.line, i.sku COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_excess(jsonb) IS
	'Lines of a read shipment that are more than what is left to ship, in base units of the item: of a kit''s components what the kits that are left take, 0 for what is no part of it. No row = all of it may go. The caller holds the order''s lock.';
