-- Reading returns: which lines of which order, in base units, and how much of each may come back.

-- order_return_open does the telling of how much of an order's line may still be authorised to come back.
CREATE FUNCTION distsync_internal.order_return_open(customer_id bigint, order_id bigint, line_no integer) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT l.shipped_quantity - COALESCE((SELECT sum(r.claimed) FROM dist.return_line r WHERE r.customer_id = l.customer_id AND r.order_id = l.order_id AND r.order_line_no = l.line_no), 0)
	FROM dist.order_line l WHERE l.customer_id = order_return_open.customer_id AND l.order_id = order_return_open.order_id AND l.line_no = order_return_open.line_no);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_open(bigint, bigint, integer) IS
	'What has shipped of an order''s line less what came back or may come back, base units; below 0 where facts say more came back than had left, NULL = there is no such line. Whoever decides by it holds the lock of the order.';

-- order_return_line_for does the choice of the line of an order that a line of a return is about: the one it names, else the first of the item
-- of which something may come back, beside what lines of the same document before it have taken.
CREATE FUNCTION distsync_internal.order_return_line_for(customer_id bigint, order_id bigint, told_line integer, item_id bigint, taken jsonb) RETURNS TABLE (line_no integer, line_item_id bigint, unit text, components jsonb)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT y.line_no, y.item_id, y.unit, y.components FROM dist.order_line y
	WHERE y.customer_id = order_return_line_for.customer_id AND y.order_id = order_return_line_for.order_id
		AND CASE WHEN told_line IS NOT NULL THEN y.line_no = told_line ELSE y.item_id = order_return_line_for.item_id END
	ORDER BY distsync_internal.order_return_open(y.customer_id, y.order_id, y.line_no) > COALESCE((taken ->> y.line_no::text)::numeric, 0) DESC, y.shipped_quantity > 0 DESC, y.line_no
	LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_line_for(bigint, bigint, integer, bigint, jsonb) IS
	'Line of an order that a line of a return is about: the line told, else the first of the item of which more may come back than taken {line number: base units} says. No row = none.';

-- order_return_lines does the reading of the lines of a return beside those of its order, one after the other.
CREATE FUNCTION distsync_internal.order_return_lines(told jsonb, customer_id bigint, order_id bigint, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	x record;
	item bigint;
	told_unit text;
	n text;
	q numeric;
	line jsonb;
	taken jsonb := '{}';
	lines jsonb[] := '{}';
BEGIN
	FOR l IN SELECT t.value AS doc, t.place, (t.value ->> 'order_line')::integer AS line, format('lines[%s].', t.place - 1) AS at FROM jsonb_array_elements(NULLIF(told, 'null')) WITH ORDINALITY t(value, place) ORDER BY t.place LOOP
		item := distsync_internal.master_item(l.doc ->> 'sku', l.at || 'sku', source);
		SELECT * INTO x FROM distsync_internal.order_return_line_for(order_return_lines.customer_id, order_return_lines.order_id, l.line, item, taken);
		item := COALESCE(x.line_item_id, item);
		told_unit := l.doc ->> 'unit';
		line := jsonb_build_object('place', l.place, 'at', l.at, 'doc', l.doc, 'order_line', x.line_no, 'item_id', item, 'lot', COALESCE(l.doc ->> 'lot', ''),
			'components', CASE WHEN x.line_no IS NOT NULL THEN x.components WHEN item IS NOT NULL THEN distsync_internal.inventory_made_of(item) END);
		FOREACH n IN ARRAY ARRAY['quantity', 'received', 'restocked', 'scrapped', 'refused'] LOOP
			q := distsync_internal.order_number_in(l.doc, n, l.at || n, 6, CASE n WHEN 'quantity' THEN 'any' ELSE 'nonnegative' END);
			IF q IS NOT NULL AND item IS NOT NULL THEN
				q := distsync_internal.master_to_base(item, q, told_unit, l.at || n);
				IF q < 0 OR jsonb_typeof(line -> 'components') = 'array' AND q <> trunc(q) THEN
					PERFORM distsync_internal.order_refuse('SD002', l.at || n, format('%s can not come back', l.doc ->> n), 'Send a quantity that is not negative, of a kit whole kits.');
				END IF;
				line := line || jsonb_build_object(n, q);
			END IF;
		END LOOP;
		IF x.line_no IS NOT NULL THEN
			taken := taken || jsonb_build_object(x.line_no::text, COALESCE((taken ->> x.line_no::text)::numeric, 0) + greatest((line ->> 'quantity')::numeric, (line ->> 'received')::numeric, 0));
		END IF;
		lines := lines || line;
	END LOOP;
	RETURN to_jsonb(lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_lines(jsonb, bigint, bigint, text) IS
	'Lines of a return resolved: [{place, at (field prefix), doc, order_line or null, item_id or null, components of a kit, lot, and in base units, where told: quantity (authorised), received, restocked, scrapped, refused}]. Errors: SD001, SD002, SD004 naming the field.';

-- order_return_read does the reading of a return: its order, its customer, where it comes in.
CREATE FUNCTION distsync_internal.order_return_read(d jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	tz text := COALESCE((SELECT c.tz FROM dist.company c WHERE c.company_id = (d ->> 'company_id')::bigint), 'UTC');
	r record;
	o record;
	buyer bigint := distsync_internal.master_party(doc ->> 'customer', 'customer', source);
	lines jsonb;
BEGIN
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.company_id = (d ->> 'company_id')::bigint AND x.return_number = doc ->> 'return_number';
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.company_id = (d ->> 'company_id')::bigint AND s.kind = 'order'
		AND CASE WHEN r.return_id IS NOT NULL THEN s.order_id = r.order_id ELSE s.order_number = doc ->> 'order_number' OR s.owner_number = doc ->> 'order_number' END
	ORDER BY s.order_number = doc ->> 'order_number' DESC LIMIT 1;
	buyer := COALESCE(r.customer_id, o.customer_id, buyer);
	lines := distsync_internal.order_return_lines(doc -> 'lines', o.customer_id, o.order_id, source);
	RETURN d || jsonb_build_object('return_id', r.return_id, 'order_id', o.order_id, 'customer_id', buyer, 'account_id', o.account_id, 'order_number', o.order_number,
		'payer_id', COALESCE(r.payer_id, o.payer_id, (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = buyer)), 'correlation_id', COALESCE(r.correlation_id, o.correlation_id),
		'currency', COALESCE(r.currency, o.currency, (SELECT c.currency FROM dist.company c WHERE c.company_id = (d ->> 'company_id')::bigint)),
		'site_id', COALESCE(r.site_id, distsync_internal.master_site(doc ->> 'site', 'site', source),
			(SELECT l.site_id FROM jsonb_array_elements(lines) x JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id AND l.line_no = (x ->> 'order_line')::integer ORDER BY (x ->> 'place')::integer LIMIT 1),
			-- a line that nobody served left from somewhere all the same
			(SELECT s.site_id FROM jsonb_array_elements(lines) x JOIN dist.shipment_line y ON y.customer_id = o.customer_id AND y.order_line_no = (x ->> 'order_line')::integer
				JOIN dist.shipment s ON s.customer_id = y.customer_id AND s.shipment_id = y.shipment_id AND s.order_id = o.order_id ORDER BY (x ->> 'place')::integer, s.shipped_at DESC, s.shipment_id DESC LIMIT 1)),
		'happened_at', COALESCE(distsync_internal.order_instant_in(doc, 'happened_at', 'happened_at', tz), clock_timestamp()), 'expires_at', distsync_internal.order_instant_in(doc, 'expires_at', 'expires_at', tz), 'lines', lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_read(jsonb, text) IS
	'A return {doc, company_id} with return_id (null = unknown), order, customer, payer, currency, site (told, else that of the first line of the order, else from where it left), instants and lines resolved. Errors: SD001, SD002, SD004 naming the field.';

-- order_return_check does the checks of a return that was read.
CREATE FUNCTION distsync_internal.order_return_check(d jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l jsonb;
BEGIN
	IF d ->> 'company_id' IS NULL THEN
		RETURN ARRAY['SD001', 'company', format('unknown company "%s"', d -> 'doc' ->> 'company'), 'Send the company first.'];
	ELSIF d ->> 'customer_id' IS NULL AND d -> 'doc' ->> 'order_number' IS NULL THEN
		RETURN ARRAY['SD005', 'customer', 'a return that is not known needs an order or a customer', 'Name the order whose goods they are, or the customer.'];
	ELSIF d ->> 'customer_id' IS NULL THEN
		RETURN ARRAY['SD001', 'order_number', format('unknown order "%s"', d -> 'doc' ->> 'order_number'), 'Send the order first, or name the customer of a return without one.'];
	ELSIF d ->> 'return_id' IS NULL AND d -> 'lines' = '[]' THEN
		RETURN ARRAY['SD005', 'lines', 'a return needs at least one line', 'Say what comes back.'];
	END IF;
	FOR l IN SELECT x FROM jsonb_array_elements(d -> 'lines') x LOOP
		IF l -> 'doc' ->> 'order_line' IS NOT NULL AND l ->> 'order_line' IS NULL THEN
			RETURN ARRAY['SD001', (l ->> 'at') || 'order_line', format('unknown line %s of the order', l -> 'doc' ->> 'order_line'), 'Name a line of the order.'];
		ELSIF l ->> 'item_id' IS NULL AND NOT EXISTS (SELECT FROM dist.return_line x WHERE x.customer_id = (d ->> 'customer_id')::bigint AND x.return_id = (d ->> 'return_id')::bigint AND x.line_no = (l -> 'doc' ->> 'line')::integer) THEN
			RETURN ARRAY['SD005', (l ->> 'at') || 'sku', 'a line needs a SKU or a line of the order', 'Complete the line.'];
		ELSIF (l ->> 'received')::numeric > 0 AND l ->> 'lot' = '' AND COALESCE(NULLIF(l -> 'components', 'null'), '[]') = '[]' AND EXISTS (SELECT FROM dist.item i WHERE i.item_id = (l ->> 'item_id')::bigint AND i.lot_controlled) THEN
			RETURN ARRAY['SD005', (l ->> 'at') || 'lot', 'the item is kept by lot and the line names none', 'Name the lot that came back.'];
		END IF;
	END LOOP;
	RETURN CASE WHEN d ->> 'site_id' IS NULL THEN ARRAY['SD005', 'site', 'a return needs a site', 'Say where the goods come in.'] END;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_check(jsonb) IS 'What is wrong with a return that was read, {sqlstate, field, message, hint} (SD001, SD005), NULL = nothing.';
