-- Reading shipments: which lines of which order, in base units.

-- order_line_for does the choice of the line of an order that a line of a shipment or invoice is about: the one it names, else the first of
-- the item that has something open, beside what lines of the same document before it have taken.
CREATE FUNCTION distsync_internal.order_line_for(customer_id bigint, order_id bigint, told_line integer, item_id bigint, taken jsonb, billed boolean) RETURNS TABLE (line_no integer, line_item_id bigint, unit text, components jsonb)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT y.line_no, y.item_id, y.unit, y.components
	FROM dist.order_line y CROSS JOIN LATERAL (SELECT COALESCE((taken ->> y.line_no::text)::numeric, 0) AS taken, y.base_quantity - y.cancelled_quantity AS wanted) n
	WHERE y.customer_id = order_line_for.customer_id AND y.order_id = order_line_for.order_id
		AND CASE WHEN told_line IS NOT NULL THEN y.line_no = told_line
			ELSE y.item_id = order_line_for.item_id OR NOT billed AND EXISTS (SELECT FROM jsonb_array_elements(y.components) p WHERE (p ->> 0)::bigint = order_line_for.item_id) END
	ORDER BY CASE WHEN billed THEN y.shipped_quantity - y.invoiced_quantity ELSE n.wanted - y.shipped_quantity END > n.taken DESC, billed AND n.wanted - y.invoiced_quantity > n.taken DESC,
		y.item_id <> order_line_for.item_id, y.line_no
	LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_line_for(bigint, bigint, integer, bigint, jsonb, boolean) IS
	'Line of an order that a shipment, or (billed) an invoice, is about: the line told, else of the item, for a shipment also of a kit with it: the first that has more to ship (to bill of what has shipped, else at all) than taken {line number: base units} says. No row = none.';

-- order_ship_lines does the reading of the lines of a shipment beside those of its order, one after the other.
CREATE FUNCTION distsync_internal.order_ship_lines(told jsonb, customer_id bigint, order_id bigint, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	x record;
	item bigint;
	quantity numeric;
	base numeric;
	-- only where a line has to be chosen
	choice boolean := EXISTS (SELECT FROM jsonb_array_elements(told) t WHERE t ->> 'order_line' IS NULL);
	taken jsonb := '{}';
	lines jsonb[];
BEGIN
	FOR l IN SELECT t.value AS doc, t.place, (t.value ->> 'order_line')::integer AS line FROM jsonb_array_elements(told) WITH ORDINALITY t(value, place) ORDER BY t.place LOOP
		quantity := distsync_internal.order_number_in(l.doc, 'quantity', format('lines[%s].quantity', l.place - 1), 6, 'positive');
		item := COALESCE((SELECT t.item_id FROM dist.order_line t WHERE t.customer_id = order_ship_lines.customer_id AND t.order_id = order_ship_lines.order_id AND t.line_no = l.line AND l.doc ->> 'sku' IS NULL),
			distsync_internal.master_item(l.doc ->> 'sku', format('lines[%s].sku', l.place - 1), source));
		SELECT * INTO x FROM distsync_internal.order_line_for(order_ship_lines.customer_id, order_ship_lines.order_id, l.line, item, taken, false);
		base := CASE WHEN item IS NOT NULL THEN distsync_internal.master_to_base(item, quantity, l.doc ->> 'unit') END;
		IF choice AND x.line_item_id = item THEN
			taken := taken || jsonb_build_object(x.line_no::text, COALESCE((taken ->> x.line_no::text)::numeric, 0) + base);
		END IF;
		lines := lines || jsonb_build_object('place', l.place, 'line', x.line_no, 'item_id', item, 'lot', COALESCE(l.doc ->> 'lot', ''), 'quantity', base, 'told', quantity,
			'components', CASE WHEN item = x.line_item_id THEN x.components WHEN item IS NOT NULL THEN distsync_internal.inventory_made_of(item) END);
	END LOOP;
	RETURN to_jsonb(lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_lines(jsonb, bigint, bigint, text) IS
	'Lines of a shipment resolved: [{place, line of the order or null, item_id, components of a kit, lot, quantity in base units, told}], NULL where there are none. Errors: SD001, SD002, SD004 naming the field.';

-- order_ship_again does the choice of lines anew, under the order's lock: others may have shipped what was open.
CREATE FUNCTION distsync_internal.order_ship_again(s jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF s ->> 'order_id' IS NULL OR NOT EXISTS (SELECT FROM jsonb_array_elements(s -> 'doc' -> 'lines') l WHERE l ->> 'order_line' IS NULL) THEN
		RETURN s;
	END IF;
	RETURN s || jsonb_build_object('lines', distsync_internal.order_ship_lines(s -> 'doc' -> 'lines', (s ->> 'customer_id')::bigint, (s ->> 'order_id')::bigint, source));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_again(jsonb, text) IS 'A shipment that was read, with its lines as they are now; the caller holds the lock of its order. Where every line names that of the order it stays as it is.';

-- order_ship_read does the reading of a shipment: its lines beside the order's, what they are worth, what they exceed.
CREATE FUNCTION distsync_internal.order_ship_read(d jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	tz text := COALESCE((SELECT c.tz FROM dist.company c WHERE c.company_id = (d ->> 'company_id')::bigint), 'UTC');
	o record;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.company_id = (d ->> 'company_id')::bigint AND s.kind = 'order' AND (s.order_number = doc ->> 'order_number' OR s.owner_number = doc ->> 'order_number')
	ORDER BY s.order_number = doc ->> 'order_number' DESC LIMIT 1;
	RETURN d || jsonb_build_object('order_id', o.order_id, 'customer_id', COALESCE(o.customer_id, distsync_internal.master_party(doc ->> 'customer', 'customer', source)), 'account_id', o.account_id, 'order_number', o.order_number,
		'correlation_id', o.correlation_id, 'site_id', distsync_internal.master_site(doc ->> 'site', 'site', source), 'carrier_id', (SELECT c.carrier_id FROM dist.carrier c WHERE c.code = doc ->> 'carrier'),
		'shipped_at', COALESCE(distsync_internal.order_instant_in(doc, 'shipped_at', 'shipped_at', tz), clock_timestamp()), 'lines', distsync_internal.order_ship_lines(doc -> 'lines', o.customer_id, o.order_id, source));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_read(jsonb, text) IS
	'A shipment {doc, company_id} with order, site and lines [{place, line of the order or null, item_id, components of a kit, lot, quantity in base units}] resolved. Errors: SD001, SD002, SD004 naming the field.';
