-- The entity shipment, a fact of the warehouse, and the verb ship, which may be refused.

-- order_try does the reading of a document of a bulk call: what can not be read is a rejected row, not the end of the call.
CREATE FUNCTION distsync_internal.order_try(what text, d jsonb, source text, entity_key text, OUT read jsonb, OUT bad distsync_internal.apply_result)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told text;
	field text;
	hint text;
	code text;
BEGIN
	read := CASE what WHEN 'shipment' THEN distsync_internal.order_ship_read(d, source) WHEN 'invoice' THEN distsync_internal.order_invoice_read(d, source) WHEN 'return' THEN distsync_internal.order_return_read(d, source) ELSE distsync_internal.order_fact_read(d, source) END;
EXCEPTION
	WHEN SQLSTATE 'SD001' OR SQLSTATE 'SD002' OR SQLSTATE 'SD003' OR SQLSTATE 'SD004' OR SQLSTATE 'SD005' OR SQLSTATE 'SD006' OR data_exception THEN
		GET STACKED DIAGNOSTICS told = MESSAGE_TEXT, field = COLUMN_NAME, hint = PG_EXCEPTION_HINT, code = RETURNED_SQLSTATE;
		bad := distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', entity_key, CASE WHEN code LIKE 'SD%' THEN code ELSE 'SD002' END, NULLIF(field, ''), told, COALESCE(NULLIF(hint, ''), 'Correct the value.'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_try(text, jsonb, text, text) IS 'Reads a document {ordinal, doc, company_id} as shipment, invoice, return or order: read, or bad = its row with outcome rejected.';

-- order_resolve does the look-up of companies for documents of a bulk call.
CREATE FUNCTION distsync_internal.order_resolve(docs jsonb, source text) RETURNS SETOF jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN o.code IS NULL THEN x ELSE jsonb_set(x, '{doc,company}', to_jsonb(o.code)) END || jsonb_build_object('company_id', c.id)
	FROM jsonb_array_elements(docs) x
	LEFT JOIN distsync_internal.master_companies(ARRAY(SELECT y -> 'doc' ->> 'company' FROM jsonb_array_elements(docs) y), order_resolve.source) c ON c.code = x -> 'doc' ->> 'company'
	LEFT JOIN dist.company o ON o.company_id = c.id
	ORDER BY (x ->> 'ordinal')::integer
$$;
COMMENT ON FUNCTION distsync_internal.order_resolve(jsonb, text) IS 'Documents {ordinal, doc} in their order with company_id (null = unknown), and our code of the company where the sender has another.';

-- order_check_shipment does the checks of a shipment that was read.
CREATE FUNCTION distsync_internal.order_check_shipment(s jsonb) RETURNS distsync_internal.apply_result
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN x.why IS NOT NULL THEN distsync_internal.master_result((s ->> 'ordinal')::integer, 'rejected', (s -> 'doc' ->> 'company') || '/' || (s -> 'doc' ->> 'shipment_number'), x.why[1], x.why[2], x.why[3], x.why[4]) END
	FROM (SELECT CASE
		WHEN s ->> 'company_id' IS NULL THEN ARRAY['SD001', 'company', format('unknown company "%s"', s -> 'doc' ->> 'company'), 'Send the company first.']
		WHEN s ->> 'site_id' IS NULL THEN ARRAY['SD005', 'site', 'a shipment needs a site', 'Say where it left.']
		WHEN s ->> 'customer_id' IS NULL THEN ARRAY['SD001', 'order_number', format('unknown order "%s"', s -> 'doc' ->> 'order_number'), 'Send the order first, or name the customer of a shipment without one.']
		WHEN s -> 'lines' IS NULL OR s -> 'lines' = 'null' THEN ARRAY['SD005', 'lines', 'a shipment needs at least one line', 'Say what left.']
		WHEN u.place IS NOT NULL THEN ARRAY['SD005', format('lines[%s].order_line', u.place - 1), format('order "%s" has no line %s', s ->> 'order_number', u.told), 'Name a line of the order, or the SKU of what left.']
		WHEN EXISTS (SELECT FROM jsonb_array_elements(s -> 'lines') l WHERE l ->> 'item_id' IS NULL OR l ->> 'quantity' IS NULL) THEN
			ARRAY['SD005', 'lines[].sku', 'a line needs a SKU or a line of the order, and a quantity', 'Complete the line.']
		END AS why
		-- a line of its order that it names alone, and that is not there
		FROM (SELECT) one LEFT JOIN LATERAL (SELECT t.place, t.value ->> 'order_line' AS told FROM jsonb_array_elements(CASE WHEN s ->> 'order_id' IS NOT NULL THEN NULLIF(s -> 'lines', 'null') END) l
			JOIN jsonb_array_elements(s -> 'doc' -> 'lines') WITH ORDINALITY t(value, place) ON t.place = (l ->> 'place')::bigint
			WHERE l ->> 'item_id' IS NULL AND t.value ->> 'order_line' IS NOT NULL AND t.value ->> 'sku' IS NULL ORDER BY t.place LIMIT 1) u ON true) x
$$;
COMMENT ON FUNCTION distsync_internal.order_check_shipment(jsonb) IS 'The rejected row of a shipment that can not be booked (SD001, SD005), NULL if it can.';

-- order_ship_pools does the list of the pools that shipments touch: where they leave, and where the lines of their orders stand.
CREATE FUNCTION distsync_internal.order_ship_pools(docs jsonb, OUT items bigint[], OUT sites bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT array_agg(u.item_id), array_agg(u.site_id) INTO items, sites FROM (
		SELECT p.item_id, (COALESCE(l ->> 'site_id', x ->> 'site_id'))::bigint AS site_id FROM jsonb_array_elements(docs) x, jsonb_array_elements(x -> 'lines') l,
			distsync_internal.inventory_taken_from((l ->> 'item_id')::bigint, NULLIF(l -> 'components', 'null')) p
		UNION
		SELECT p.item_id, l.site_id FROM jsonb_array_elements(docs) x JOIN dist.order_line l ON l.customer_id = (x ->> 'customer_id')::bigint AND l.order_id = (x ->> 'order_id')::bigint
		CROSS JOIN LATERAL distsync_internal.inventory_taken_from(l.item_id, l.components) p) u;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_pools(jsonb) IS 'Items and sites of the pools that documents of order_lock_many() touch, components of kits apart; a site may be NULL.';

-- order_lock_goods does the locking of demands and pools for a bulk of documents, sorted.
CREATE FUNCTION distsync_internal.order_lock_goods(docs jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record := distsync_internal.order_ship_pools(docs);
BEGIN
	PERFORM distsync_internal.inventory_lock_demand(ARRAY(
		SELECT (x -> 'doc' ->> 'company') || '/' || (x ->> 'order_number') || '/' || (l ->> 'line') FROM jsonb_array_elements(docs) x, jsonb_array_elements(x -> 'lines') l
		UNION
		SELECT (x -> 'doc' ->> 'company') || '/' || (x ->> 'order_number') || '/' || l.line_no FROM jsonb_array_elements(docs) x
		JOIN dist.order_line l ON l.customer_id = (x ->> 'customer_id')::bigint AND l.order_id = (x ->> 'order_id')::bigint), k.items, k.sites);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock_goods(jsonb) IS 'Locks the demands and stock pools of documents of order_lock_many(), each kind sorted; accounts, orders and volumes come before.';

-- order_lock_many does the locking for a bulk of documents: accounts, then orders, then agreed volumes, then demands and their pools, each sorted.
CREATE FUNCTION distsync_internal.order_lock_many(docs jsonb, stock boolean DEFAULT true, volume boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_lock_tree(ARRAY(SELECT DISTINCT (x ->> 'account_id')::bigint FROM jsonb_array_elements(docs) x WHERE x ->> 'account_id' IS NOT NULL));
	PERFORM FROM dist.sales_order o JOIN jsonb_array_elements(docs) x ON o.customer_id = (x ->> 'customer_id')::bigint AND o.order_id = (x ->> 'order_id')::bigint
	ORDER BY o.order_id FOR NO KEY UPDATE OF o;
	PERFORM distsync_internal.order_still_there((x ->> 'customer_id')::bigint, (x ->> 'order_id')::bigint, (x ->> 'account_id')::bigint) FROM jsonb_array_elements(docs) x WHERE x ? 'account_id' AND x ->> 'order_id' IS NOT NULL;
	IF volume THEN
		PERFORM distsync_internal.pricing_commitment_lock(
			distsync_internal.pricing_commitment_of(ARRAY(SELECT (x -> 'doc' ->> 'company') || '/' || (x ->> 'order_number') FROM jsonb_array_elements(docs) x))
			|| ARRAY(SELECT (v ->> 'agreement_id')::bigint FROM jsonb_array_elements(docs) x, jsonb_array_elements(x -> 'volumes') v));
	END IF;
	IF stock THEN
		PERFORM distsync_internal.order_lock_goods(docs);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock_many(jsonb, boolean, boolean) IS
	'Locks accounts, orders, where volume is true the agreed volumes they use or will use, where stock is true demands and stock pools of read documents [{account_id, customer_id, order_id, site_id, order_number, doc, volumes, lines [{item_id, line, site_id}]}], each kind sorted.';

-- order_apply_shipment does the handling of the entity: goods that left are booked, whatever they break.
CREATE FUNCTION distsync_internal.order_apply_shipment(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	t record;
	bad distsync_internal.apply_result;
	ready jsonb[] := '{}';
	key text;
BEGIN
	FOR d IN SELECT r FROM distsync_internal.order_resolve(docs, ctx ->> 'source') r LOOP
		SELECT * INTO t FROM distsync_internal.order_try('shipment', d, ctx ->> 'source', (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'shipment_number'));
		bad := t.bad;
		IF bad.outcome IS NULL THEN
			bad := distsync_internal.order_check_shipment(t.read);
		END IF;
		IF bad.outcome IS NOT NULL THEN
			RETURN NEXT bad;
		ELSE
			ready := ready || t.read;
		END IF;
	END LOOP;
	PERFORM distsync_internal.order_lock_many(to_jsonb(ready));
	FOREACH d IN ARRAY ready LOOP
		key := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'shipment_number');
		IF EXISTS (SELECT FROM dist.shipment s WHERE s.company_id = (d ->> 'company_id')::bigint AND s.shipment_number = d -> 'doc' ->> 'shipment_number') THEN
			UPDATE dist.shipment s SET tracking = COALESCE(d -> 'doc' ->> 'tracking', s.tracking), status = COALESCE(d -> 'doc' ->> 'status', s.status)
			WHERE s.company_id = (d ->> 'company_id')::bigint AND s.shipment_number = d -> 'doc' ->> 'shipment_number'
				AND (s.tracking, s.status) IS DISTINCT FROM (COALESCE(d -> 'doc' ->> 'tracking', s.tracking), COALESCE(d -> 'doc' ->> 'status', s.status));
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN FOUND THEN 'applied' ELSE 'unchanged' END, key);
			CONTINUE;
		END IF;
		PERFORM distsync_internal.order_ship_post(distsync_internal.order_ship_again(d, ctx ->> 'source'), ctx);
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'applied', key);
	END LOOP;
	PERFORM distsync_internal.credit_settle(ARRAY(SELECT DISTINCT (x ->> 'account_id')::bigint FROM unnest(ready) x WHERE x ->> 'account_id' IS NOT NULL), 'shipment', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_apply_shipment(jsonb, jsonb) IS 'Handler of the entity shipment; rejects what names nothing we know (SD001, SD002, SD004, SD005). A known number changes only tracking and status.';

-- order_check_ship does the check of the shape of a shipment that a command brings: what comes through the door was checked there.
CREATE FUNCTION distsync_internal.order_check_ship(document jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
BEGIN
	IF jsonb_typeof(document) IS DISTINCT FROM 'object' THEN
		PERFORM distsync_internal.order_refuse('SD005', 'document', 'a shipment must be an object', 'Send {"company": …, "shipment_number": …, "order_number": …, "site": …, "lines": […]}.');
	ELSIF document ->> 'company' IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'company', 'a shipment needs a company', 'Name the company that ships.');
	ELSIF COALESCE(length(document ->> 'shipment_number'), 0) NOT BETWEEN 1 AND 255 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'shipment_number', 'a shipment needs a number of 1 to 255 characters', 'Give the number by which the shipment is known.');
	ELSIF jsonb_typeof(document -> 'lines') IS DISTINCT FROM 'array' OR jsonb_array_length(document -> 'lines') = 0 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines', 'a shipment needs at least one line', 'Send lines as an array of objects.');
	END IF;
	FOR l IN SELECT x.value AS line, format('lines[%s]', x.place - 1) AS field FROM jsonb_array_elements(document -> 'lines') WITH ORDINALITY x(value, place) LOOP
		IF jsonb_typeof(l.line) <> 'object' THEN
			PERFORM distsync_internal.order_refuse('SD005', l.field, 'a line must be an object', 'Send {"order_line": 1, "quantity": 1}.');
		ELSIF distsync_internal.order_number_in(l.line, 'order_line', l.field || '.order_line', 0, 'positive') > 2147483647 THEN
			PERFORM distsync_internal.order_refuse('SD002', l.field || '.order_line', format('%s is too large', l.line ->> 'order_line'), 'Send the number of a line of the order.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_check_ship(jsonb) IS 'Checks the shape of the document of ship(). Errors: SD002, SD005 naming the field.';

-- ship does the command to book a shipment of ours: it may be refused, a fact may not.
CREATE FUNCTION distsync.ship(document jsonb, idempotency_key text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := distsync_internal.order_source(document, true);
	answer jsonb := distsync_internal.base_answered(source, 'ship', idempotency_key, document);
	s jsonb;
	bad distsync_internal.apply_result;
	o record;
	over record;
	k record;
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	PERFORM distsync_internal.order_check_ship(document);
	s := distsync_internal.order_ship_read(jsonb_build_object('ordinal', 1, 'doc', document, 'company_id', distsync_internal.master_company(document ->> 'company', 'company')), source);
	bad := distsync_internal.order_check_shipment(s);
	IF bad.outcome IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse(bad.sqlstate, bad.field, bad.message, bad.hint);
	ELSIF (s ->> 'shipped_at')::timestamptz > clock_timestamp() + (CASE WHEN length(document ->> 'shipped_at') = 10 THEN interval '1 day' ELSE interval '5 minutes' END) THEN
		PERFORM distsync_internal.order_refuse('SD002', 'shipped_at', format('"%s" is in the future', left(document ->> 'shipped_at', 40)), 'Book it when it leaves, or leave shipped_at out.');
	END IF;
	IF EXISTS (SELECT FROM dist.sales_order x WHERE x.customer_id = (s ->> 'customer_id')::bigint AND x.order_id = (s ->> 'order_id')::bigint AND x.redecide_at IS NOT NULL AND x.state = 'held') THEN
		PERFORM distsync_internal.order_lock((s ->> 'customer_id')::bigint, (s ->> 'order_id')::bigint, (s ->> 'account_id')::bigint);
		-- what the shipment takes is locked with what is promised anew, and no account after it
		k := distsync_internal.order_ship_pools(jsonb_build_array(s));
		PERFORM distsync_internal.order_redecide_alone((s ->> 'customer_id')::bigint, (s ->> 'order_id')::bigint, jsonb_build_object('items', k.items, 'sites', k.sites));
		PERFORM distsync_internal.order_lock_goods(jsonb_build_array(s));
	ELSE
		PERFORM distsync_internal.order_lock_many(jsonb_build_array(s));
	END IF;
	s := distsync_internal.order_ship_again(s, source);
	SELECT x.* INTO o FROM dist.sales_order x WHERE x.customer_id = (s ->> 'customer_id')::bigint AND x.order_id = (s ->> 'order_id')::bigint;
	IF o.state IS NULL OR o.state NOT IN ('accepted', 'sent', 'booked') THEN
		PERFORM distsync_internal.order_refuse_state(COALESCE(o.order_number, document ->> 'order_number'), COALESCE(o.state, 'unknown'), 'shipped',
			CASE WHEN o.state = 'held' THEN 'Release the order first' WHEN o.state IN ('cancelled', 'rejected') THEN 'It has ended' ELSE 'Nothing of it is left to ship' END || '; what has left all the same is a fact: send it through apply().');
	ELSIF EXISTS (SELECT FROM dist.shipment x WHERE x.company_id = (s ->> 'company_id')::bigint AND x.shipment_number = document ->> 'shipment_number') THEN
		PERFORM distsync_internal.order_refuse('SD008', 'shipment_number', format('shipment "%s" exists', document ->> 'shipment_number'), 'Use another number, or repeat the call with its first idempotency key.');
	END IF;
	SELECT * INTO over FROM distsync_internal.order_ship_excess(s) LIMIT 1;
	IF FOUND THEN
		PERFORM distsync_internal.order_refuse('SD002', 'lines[].quantity', format('%s is more than the %s left to ship', over.quantity, over.left_open), 'Ship at most what is left of the line, in base units; of a kit whole kits, or its components.',
			format('Line %s, item "%s".', COALESCE(over.line_no::text, 'none'), over.sku));
	END IF;
	answer := distsync_internal.order_check_out(s, source);
	IF answer IS NOT NULL THEN
		PERFORM distsync_internal.base_answer(source, 'ship', idempotency_key, document, answer);
		RETURN answer;
	END IF;
	PERFORM distsync_internal.order_ship_post(s, jsonb_build_object('source', source));
	PERFORM distsync_internal.order_settle((s ->> 'account_id')::bigint, 'ship', jsonb_build_object('correlation_id', o.correlation_id));
	answer := (SELECT jsonb_build_object('shipment_number', document -> 'shipment_number', 'order_number', x.order_number, 'state', x.state, 'correlation_id', x.correlation_id) FROM dist.sales_order x WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id);
	PERFORM distsync_internal.base_audit('ship', 'order', (document ->> 'company') || '/' || o.order_number, jsonb_build_object('state', o.state), answer, NULL, o.correlation_id);
	PERFORM distsync_internal.base_answer(source, 'ship', idempotency_key, document, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.ship(jsonb, text) IS
	'Books a shipment of an order that may go: document {company, shipment_number, order_number, site, carrier, tracking, shipped_at, source, lines [{order_line, sku, quantity, unit, lot}]}. An order that credit has let go is decided again first, price and stock. Consumes stock and reservations, moves exposure to unbilled, emits order.shipped and invoice.requested. Returns {shipment_number, order_number, state, correlation_id}; or, at the checkpoint of credit, that with outcome held, reasons and cure: nothing has shipped, and the order is held. Errors: SD001, SD002 shipped_at in the future, more than is left, or less where the order ships as a whole, SD004, SD005, SD008 number taken, SD010, SD070 held, cancelled or shipped.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('ship', '{order_entry,integrator,admin}');
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'shipment', 'distsync_internal.order_apply_shipment');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES ('shipment', '{company,shipment_number}', 'shipment', 'Goods that left a site, for an order.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('shipment', 'company', 'code', true, 'any', 'Company.', NULL, false),
	('shipment', 'shipment_number', 'code', true, 'any', 'Its number, unique in the company.', NULL, false),
	('shipment', 'order_number', 'code', false, 'any', 'Order it serves: our number or the owner''s.', NULL, false),
	('shipment', 'customer', 'code', false, 'any', 'Customer, where there is no order.', NULL, false),
	('shipment', 'site', 'code', false, 'any', 'Where it left.', NULL, true),
	('shipment', 'carrier', 'code', false, 'any', 'Carrier.', NULL, false),
	('shipment', 'tracking', 'text', false, 'any', 'Tracking number.', NULL, false),
	('shipment', 'status', 'code', false, 'any', 'How far it is.', '{shipped,delivered,cancelled}', false),
	('shipment', 'shipped_at', 'instant', false, 'any', 'When it left, absent = now.', NULL, false),
	('shipment', 'lines', 'list', false, 'any', 'What left.', NULL, true),
	('shipment', 'lines[].order_line', 'integer', false, 'positive', 'Line of the order; absent = the first open line of the SKU.', NULL, false),
	('shipment', 'lines[].sku', 'code', false, 'any', 'Item; absent = that of the line. Of a kit, the kit or one of its components.', NULL, false),
	('shipment', 'lines[].quantity', 'quantity', true, 'positive', 'Quantity in unit.', NULL, false),
	('shipment', 'lines[].unit', 'unit', false, 'any', 'Unit, absent = base unit.', NULL, false),
	('shipment', 'lines[].lot', 'text', false, 'any', 'Lot or serial number.', NULL, false);
