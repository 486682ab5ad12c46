-- Shipments: goods that left. What they are worth moves from open order to unbilled, once.

-- order_ship_values does the reckoning of what a shipment is worth: what was ordered and not yet invoiced, and what exceeds the order.
CREATE FUNCTION distsync_internal.order_ship_values(s jsonb, OUT within numeric, OUT beyond numeric, OUT complete boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH left_now AS (
		SELECT m.line_no, m.quantity FROM jsonb_to_recordset(s -> 'moved') AS m(line_no integer, quantity numeric)
	), line AS (
		SELECT t.line_no, t.base_quantity - t.cancelled_quantity AS wanted, t.shipped_quantity, COALESCE(n.quantity, 0) AS quantity, t.net_amount + t.tax_amount AS gross, t.base_quantity,
			greatest(t.invoiced_quantity - t.shipped_quantity, 0) AS ahead
		FROM dist.order_line t LEFT JOIN left_now n ON n.line_no = t.line_no
		WHERE t.customer_id = (s ->> 'customer_id')::bigint AND t.order_id = (s ->> 'order_id')::bigint
	)
	SELECT COALESCE(sum(CASE WHEN l.base_quantity > 0 THEN l.gross * l.within / l.base_quantity ELSE 0 END), 0),
		COALESCE(sum(CASE WHEN l.base_quantity > 0 THEN l.gross * (greatest(l.quantity - l.ahead, 0) - l.within) / l.base_quantity ELSE 0 END), 0),
		COALESCE(bool_and(l.shipped_quantity + l.quantity >= l.wanted), false)
	FROM (SELECT n.*, greatest(least(n.quantity, greatest(n.wanted - n.shipped_quantity, 0)) - n.ahead, 0) AS within FROM line n) l
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_values(jsonb) IS
	'Gross value of a shipment (moved: what of each line leaves) in the order''s currency, unrounded: within what is still to ship and not yet invoiced, beyond it and not yet invoiced; and whether nothing is left to ship after it.';

-- order_ship_exposure does the move of a shipment's value from open order to unbilled. What leaves while the order is held counts too.
CREATE FUNCTION distsync_internal.order_ship_exposure(s jsonb, within numeric, beyond numeric, complete boolean) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
	h record;
	total numeric;
	normal numeric;
	moved numeric := 0;
	rest numeric;
BEGIN
	SELECT x.*, m.minor_units INTO o FROM dist.sales_order x JOIN dist.credit_account a ON a.account_id = x.account_id JOIN dist.currency m ON m.currency = a.currency
	WHERE x.customer_id = (s ->> 'customer_id')::bigint AND x.order_id = (s ->> 'order_id')::bigint;
	IF NOT FOUND THEN
		RETURN 0;
	END IF;
	total := (o.decision ->> 'account_amount')::numeric;
	normal := COALESCE(round(within * total / NULLIF(o.gross_amount, 0), o.minor_units), 0);
	IF o.credit_state = 'held' THEN
		FOR h IN SELECT x.* FROM dist.hold x WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.account_id IS NOT NULL AND x.released_at IS NULL ORDER BY x.amount DESC LOOP
			rest := CASE WHEN complete THEN h.amount ELSE least(h.amount, normal) END;
			UPDATE dist.hold x SET amount = x.amount - rest WHERE x.customer_id = h.customer_id AND x.hold_id = h.hold_id;
			PERFORM distsync_internal.credit_add(o.account_id, held_demand => -rest);
			moved := moved + rest;
			normal := greatest(normal - rest, 0);
		END LOOP;
		normal := CASE WHEN complete THEN moved ELSE moved + normal END;
		PERFORM distsync_internal.credit_count(o.account_id, normal, 'unbilled');
	ELSE
		moved := CASE WHEN complete THEN o.exposure_amount ELSE least(o.exposure_amount, normal) END;
		normal := CASE WHEN complete THEN moved ELSE normal END;
		PERFORM distsync_internal.credit_move(o.account_id, moved, 'open_orders', 'unbilled', o.ship_on, o.order_id);
		PERFORM distsync_internal.credit_count(o.account_id, normal - moved, 'unbilled');
		UPDATE dist.sales_order x SET exposure_amount = x.exposure_amount - moved WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id;
	END IF;
	rest := COALESCE(round(beyond * total / NULLIF(o.gross_amount, 0), o.minor_units), 0);
	IF rest > 0 THEN
		PERFORM distsync_internal.credit_count(o.account_id, rest, 'unbilled');
	END IF;
	-- something of it has left: what has not counts too, whenever it is wanted
	PERFORM distsync_internal.order_ship_day_set(o.customer_id, o.order_id, NULL);
	RETURN normal + rest;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_exposure(jsonb, numeric, numeric, boolean) IS
	'Moves what a shipment is worth from the order''s exposure (or its held demand) to unbilled, in the account''s currency; what exceeds the order is added. Returns what is unbilled now of this shipment.';

-- order_ship_post does the booking of one shipment that was read: stock, exposure, the order's lines and state, events.
CREATE FUNCTION distsync_internal.order_ship_post(s jsonb, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := s -> 'doc';
	customer bigint := (s ->> 'customer_id')::bigint;
	id bigint;
	v record;
	l record;
	unbilled numeric := 0;
	correlation uuid := COALESCE((s ->> 'correlation_id')::uuid, (ctx ->> 'correlation_id')::uuid);
BEGIN
	s := s || jsonb_build_object('moved', (SELECT jsonb_agg(to_jsonb(m)) FROM distsync_internal.order_ship_moved(s) m));
	SELECT * INTO v FROM distsync_internal.order_ship_values(s);
	IF s ->> 'account_id' IS NOT NULL THEN
		unbilled := distsync_internal.order_ship_exposure(s, v.within, v.beyond, v.complete);
	END IF;
	INSERT INTO dist.shipment (customer_id, company_id, shipment_number, order_id, site_id, carrier_id, tracking, shipped_at, source, unbilled_amount, correlation_id, ext)
	VALUES (customer, (s ->> 'company_id')::bigint, doc ->> 'shipment_number', (s ->> 'order_id')::bigint, (s ->> 'site_id')::bigint, (s ->> 'carrier_id')::bigint, doc ->> 'tracking', (s ->> 'shipped_at')::timestamptz,
		ctx ->> 'source', unbilled, correlation, COALESCE(doc -> 'ext', '{}'))
	ON CONFLICT DO NOTHING
	RETURNING shipment_id INTO id;
	IF id IS NULL THEN
		PERFORM distsync_internal.order_meanwhile('shipment', doc ->> 'shipment_number');
	END IF;
	INSERT INTO dist.shipment_line (customer_id, shipment_id, line_no, order_line_no, item_id, lot, quantity)
	SELECT customer, id, (x ->> 'place')::integer, (x ->> 'line')::integer, (x ->> 'item_id')::bigint, x ->> 'lot', (x ->> 'quantity')::numeric FROM jsonb_array_elements(s -> 'lines') x;
	IF NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		FOR l IN SELECT p.item_id, x ->> 'line' AS line, CASE WHEN p.item_id = (x ->> 'item_id')::bigint THEN x ->> 'lot' ELSE '' END AS lot, sum((x ->> 'quantity')::numeric * p.per) AS quantity FROM jsonb_array_elements(s -> 'lines') x
			CROSS JOIN LATERAL distsync_internal.inventory_taken_from((x ->> 'item_id')::bigint, NULLIF(x -> 'components', 'null')) p GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LOOP
			PERFORM distsync_internal.inventory_ship(l.item_id, (s ->> 'site_id')::bigint, CASE WHEN l.line IS NOT NULL THEN (doc ->> 'company') || '/' || (s ->> 'order_number') || '/' || l.line END,
				l.quantity, (s ->> 'shipped_at')::timestamptz, ctx ->> 'source', doc ->> 'shipment_number', correlation, l.lot);
		END LOOP;
	END IF;
	UPDATE dist.order_line t SET shipped_quantity = t.shipped_quantity + n.quantity
	FROM jsonb_to_recordset(s -> 'moved') AS n(line_no integer, quantity numeric)
	WHERE t.customer_id = customer AND t.order_id = (s ->> 'order_id')::bigint AND t.line_no = n.line_no;
	PERFORM distsync_internal.order_return_shipped(customer, (s ->> 'order_id')::bigint);
	PERFORM distsync_internal.order_ship_tell(s, id, v.complete, ctx);
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_post(jsonb, jsonb) IS
	'Books a read shipment: moves exposure to unbilled, consumes reservations and stock, advances the order, emits order.shipped and invoice.requested. The caller holds the locks of accounts, order and pools. Returns its id.';

-- order_ship_tell does the state of the order after a shipment, the exceptions it makes and the events about it.
CREATE FUNCTION distsync_internal.order_ship_tell(s jsonb, shipment_id bigint, complete boolean, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
	key text := (s -> 'doc' ->> 'company') || '/' || (s -> 'doc' ->> 'shipment_number');
	shipped jsonb;
	billed boolean;
	loaded boolean := COALESCE((ctx ->> 'backfill')::boolean, false);
BEGIN
	IF s ->> 'order_id' IS NULL AND loaded THEN
		RETURN;
	ELSIF s ->> 'order_id' IS NULL THEN
		PERFORM distsync_internal.base_exception('shipment_without_order', key, 'order', 'warning', s -> 'doc' ->> 'company', 'shipment', key, jsonb_build_object('order_number', s -> 'doc' -> 'order_number'),
			NULL, NULL, NULL, (ctx ->> 'correlation_id')::uuid);
		RETURN;
	END IF;
	SELECT x.* INTO o FROM dist.sales_order x WHERE x.customer_id = (s ->> 'customer_id')::bigint AND x.order_id = (s ->> 'order_id')::bigint;
	IF o.state IN ('held', 'cancelled', 'rejected') AND NOT loaded THEN
		PERFORM distsync_internal.base_exception('shipped_on_' || o.state, key, 'order', 'error', s -> 'doc' ->> 'company', 'order', (s -> 'doc' ->> 'company') || '/' || o.order_number,
			jsonb_build_object('shipment_number', s -> 'doc' -> 'shipment_number', 'state', o.state), NULL, NULL, NULL, o.correlation_id);
	END IF;
	IF complete THEN
		PERFORM distsync_internal.order_end_holds(o.customer_id, o.order_id, 'shipped');
		PERFORM distsync_internal.base_exception_close('invoice_without_shipment', (s -> 'doc' ->> 'company') || '/' || i.invoice_number, 'it has left')
		FROM dist.invoice i WHERE i.order_id = o.order_id AND i.kind = 'invoice' ORDER BY i.invoice_number;
	END IF;
	billed := NOT EXISTS (SELECT FROM dist.order_line l WHERE l.customer_id = o.customer_id AND l.order_id = o.order_id AND l.invoiced_quantity < greatest(l.base_quantity - l.cancelled_quantity, l.shipped_quantity));
	UPDATE dist.sales_order x SET state = CASE WHEN NOT complete THEN x.state WHEN billed THEN 'closed' ELSE 'shipped' END, version = x.version + 1, answer_due_at = CASE WHEN complete THEN NULL ELSE x.answer_due_at END,
		credit_state = CASE WHEN complete AND x.credit_state = 'held' THEN 'none' ELSE x.credit_state END
	WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id;
	IF loaded THEN
		RETURN;
	END IF;
	SELECT jsonb_build_object('shipment', jsonb_build_object('shipment_number', h.shipment_number, 'site', w.code, 'carrier', s -> 'doc' -> 'carrier', 'tracking', h.tracking, 'shipped_at', h.shipped_at, 'complete', complete,
		'lines', (SELECT jsonb_agg(jsonb_build_object('line', l.order_line_no, 'sku', i.sku, 'quantity', l.quantity, 'unit', i.base_unit, 'lot', l.lot) ORDER BY l.line_no)
			FROM dist.shipment_line l JOIN dist.item i ON i.item_id = l.item_id WHERE l.customer_id = h.customer_id AND l.shipment_id = h.shipment_id))) INTO shipped
	FROM dist.shipment h JOIN dist.site w ON w.site_id = h.site_id WHERE h.customer_id = o.customer_id AND h.shipment_id = order_ship_tell.shipment_id;
	PERFORM distsync_internal.order_emit(o.customer_id, o.order_id, 'order.shipped', shipped, ctx);
	PERFORM distsync_internal.base_emit('customer', o.customer_id, 'invoice.requested', 'shipment', key, distsync_internal.order_document(o.customer_id, o.order_id) || shipped, o.correlation_id, (ctx ->> 'causation_id')::uuid, NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_tell(jsonb, bigint, boolean, jsonb) IS
	'Advances the order to shipped (closed, if all that left was billed before) when nothing is left, ends its holds then, opens shipment_without_order, shipped_on_held, shipped_on_cancelled or shipped_on_rejected, emits order.shipped and invoice.requested.';
