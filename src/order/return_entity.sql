-- The entity return, a fact: goods that came back, or may, as who handles or owns returns says. What comes without authority is taken, and told.

-- order_return_said does the comparing of what a document says of a line with what is known: totals, so that telling it twice changes nothing.
CREATE FUNCTION distsync_internal.order_return_said(x jsonb, l jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_object('receive', greatest(greatest(COALESCE((l ->> 'received')::numeric, 0), n.restocked + n.scrapped + n.refused) - n.received, 0),
		'restock', n.restocked - (x ->> 'restocked')::numeric, 'scrap', n.scrapped - (x ->> 'scrapped')::numeric, 'refuse', n.refused - (x ->> 'refused')::numeric,
		'less', COALESCE((l ->> 'received')::numeric < n.received, false) OR COALESCE((l ->> 'restocked')::numeric < n.restocked, false) OR COALESCE((l ->> 'scrapped')::numeric < n.scrapped, false) OR COALESCE((l ->> 'refused')::numeric < n.refused, false))
	FROM (SELECT (x ->> 'received')::numeric AS received, greatest((l ->> 'restocked')::numeric, (x ->> 'restocked')::numeric) AS restocked, greatest((l ->> 'scrapped')::numeric, (x ->> 'scrapped')::numeric) AS scrapped,
		greatest((l ->> 'refused')::numeric, (x ->> 'refused')::numeric) AS refused) n
$$;
COMMENT ON FUNCTION distsync_internal.order_return_said(jsonb, jsonb) IS
	'What a line of a document (totals in base units) says beyond a line of a return: {receive, restock, scrap, refuse, less: it says less of something than is known}. What was found has come.';

-- order_return_line_of does the finding of the line of a return that a line of a document is about.
CREATE FUNCTION distsync_internal.order_return_line_of(customer_id bigint, return_id bigint, l jsonb) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT x.line_no FROM dist.return_line x WHERE x.customer_id = order_return_line_of.customer_id AND x.return_id = order_return_line_of.return_id
		AND CASE WHEN l -> 'doc' ->> 'line' IS NOT NULL THEN x.line_no = (l -> 'doc' ->> 'line')::integer WHEN l -> 'doc' ->> 'order_line' IS NOT NULL THEN x.order_line_no = (l ->> 'order_line')::integer ELSE x.item_id = (l ->> 'item_id')::bigint END
		ORDER BY x.received < x.authorised DESC, x.line_no LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_line_of(bigint, bigint, jsonb) IS 'Number of the line of a return that a line of a document is about: the one named, else that of the order''s line, else of the item; NULL = a new one.';

-- order_return_fact_lines does the taking of what a document says of its lines: how much may come; what came and became of it, as steps.
CREATE FUNCTION distsync_internal.order_return_fact_lines(d jsonb, id bigint, allowed boolean, OUT came jsonb, OUT outcomes jsonb, OUT changed boolean, OUT unallowed jsonb, OUT less jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (d ->> 'customer_id')::bigint;
	l jsonb;
	n integer;
	x record;
	said jsonb;
	beyond numeric;
BEGIN
	came := '[]';
	outcomes := '[]';
	unallowed := '[]';
	less := '[]';
	changed := false;
	FOR l IN SELECT y FROM jsonb_array_elements(d -> 'lines') y ORDER BY (y ->> 'place')::integer LOOP
		n := distsync_internal.order_return_line_of(customer, id, l);
		IF n IS NULL THEN
			n := distsync_internal.order_return_add_line(customer, id, (d ->> 'order_id')::bigint, l, COALESCE((l ->> 'quantity')::numeric, 0));
			changed := true;
		ELSE
			UPDATE dist.return_line t SET authorised = (l ->> 'quantity')::numeric WHERE t.customer_id = customer AND t.return_id = id AND t.line_no = n AND t.authorised <> (l ->> 'quantity')::numeric;
			changed := changed OR FOUND;
		END IF;
		SELECT t.* INTO x FROM dist.return_line t WHERE t.customer_id = customer AND t.return_id = id AND t.line_no = n;
		said := distsync_internal.order_return_said(to_jsonb(x), l);
		beyond := least((said ->> 'receive')::numeric, CASE WHEN allowed THEN greatest(x.received + (said ->> 'receive')::numeric - x.authorised, 0) ELSE (said ->> 'receive')::numeric END);
		unallowed := unallowed || CASE WHEN beyond > 0 THEN jsonb_build_array(jsonb_build_object('line', n, 'quantity', beyond)) ELSE '[]' END;
		less := less || CASE WHEN (said ->> 'less')::boolean THEN jsonb_build_array(jsonb_build_object('line', n, 'received', x.received, 'told', l -> 'doc')) ELSE '[]' END;
		IF (said ->> 'receive')::numeric > 0 THEN
			came := came || jsonb_build_object('line', n, 'kind', 'receive', 'quantity', said -> 'receive', 'lot', l -> 'lot', 'state', 'returns', 'note', l -> 'doc' -> 'note');
		END IF;
		outcomes := outcomes || (SELECT COALESCE(jsonb_agg(jsonb_build_object('line', n, 'kind', k.kind, 'quantity', said -> k.kind, 'lot', l -> 'lot', 'state', k.state, 'note', l -> 'doc' -> 'note') ORDER BY k.place), '[]')
			FROM (VALUES (1, 'restock', 'available'), (2, 'scrap', 'damaged'), (3, 'refuse', NULL)) k(place, kind, state) WHERE (said ->> k.kind)::numeric > 0);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_fact_lines(jsonb, bigint, boolean) IS
	'Takes the authorities of the lines of a read return document; returns the steps that it tells (came, outcomes), whether anything changed, what came beyond authority (allowed: there is one), and where it says less than is known.';

-- order_return_fact does the taking of one read document.
CREATE FUNCTION distsync_internal.order_return_fact(d jsonb, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (d ->> 'customer_id')::bigint;
	key text := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'return_number');
	fresh boolean := d ->> 'return_id' IS NULL;
	loaded boolean := COALESCE((ctx ->> 'backfill')::boolean, false);
	allows boolean := EXISTS (SELECT FROM jsonb_array_elements(d -> 'lines') l WHERE (l ->> 'quantity')::numeric > 0);
	id bigint := COALESCE((d ->> 'return_id')::bigint, distsync_internal.order_return_write(d, ctx || jsonb_build_object('by', CASE WHEN allows THEN ctx ->> 'source' END)));
	r record;
	s record;
	ended boolean := d -> 'doc' ->> 'state' = 'cancelled';
	changed boolean;
BEGIN
	IF id IS NULL THEN
		PERFORM distsync_internal.order_meanwhile('return', d -> 'doc' ->> 'return_number');
	END IF;
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = customer AND x.return_id = id;
	SELECT * INTO s FROM distsync_internal.order_return_fact_lines(d, id, r.awaits AND (r.expires_at IS NULL OR r.expires_at > (d ->> 'happened_at')::timestamptz));
	UPDATE dist.customer_return x SET awaits = NOT COALESCE(ended, false) AND (x.awaits OR s.changed AND allows), expires_at = CASE WHEN d -> 'doc' ? 'expires_at' THEN (d ->> 'expires_at')::timestamptz ELSE x.expires_at END,
		reason = COALESCE(d -> 'doc' ->> 'reason', x.reason), authorised_by = COALESCE(x.authorised_by, CASE WHEN s.changed AND allows THEN ctx ->> 'source' END)
	WHERE x.customer_id = customer AND x.return_id = id
		AND (x.awaits, x.expires_at, x.reason) IS DISTINCT FROM (NOT COALESCE(ended, false) AND (x.awaits OR s.changed AND allows), CASE WHEN d -> 'doc' ? 'expires_at' THEN (d ->> 'expires_at')::timestamptz ELSE x.expires_at END, COALESCE(d -> 'doc' ->> 'reason', x.reason));
	changed := FOUND OR fresh OR s.changed OR s.came <> '[]' OR s.outcomes <> '[]';
	IF s.less <> '[]' AND NOT loaded THEN
		PERFORM distsync_internal.base_exception('return_differs', key, 'order', 'warning', d -> 'doc' ->> 'company', 'return', key, jsonb_build_object('lines', s.less, 'by', ctx ->> 'source'), NULL, NULL, NULL, r.correlation_id);
	ELSIF d -> 'lines' <> '[]' THEN
		PERFORM distsync_internal.base_exception_close('return_differs', key, 'it says what is known');
	END IF;
	IF NOT changed THEN
		RETURN false;
	END IF;
	PERFORM distsync_internal.order_return_take(customer, id, s.came, ctx || jsonb_build_object('happened_at', d -> 'happened_at'));
	PERFORM distsync_internal.order_return_take(customer, id, distsync_internal.order_return_by_lot(customer, id, s.outcomes), ctx || jsonb_build_object('happened_at', d -> 'happened_at'));
	PERFORM distsync_internal.order_return_advance(customer, id, 'cancelled');
	PERFORM distsync_internal.order_return_fact_told(customer, id, key, s.came, s.outcomes, s.unallowed, CASE WHEN ended THEN 'return.cancelled' WHEN fresh THEN 'return.authorised' WHEN s.changed THEN 'return.changed' END, r.state, ctx);
	IF fresh THEN
		-- a memo may have come before
		PERFORM distsync_internal.order_return_memo(i.customer_id, i.invoice_id, ctx), distsync_internal.base_exception_close('memo_without_return', (d -> 'doc' ->> 'company') || '/' || i.invoice_number, 'the return is known')
		FROM dist.invoice i WHERE i.company_id = (d ->> 'company_id')::bigint AND i.return_number = d -> 'doc' ->> 'return_number' AND i.kind = 'credit_memo' AND i.status = 'posted' ORDER BY i.issued_at, i.invoice_number;
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_fact(jsonb, jsonb) IS
	'Takes one read return document: new, changed, received, inspected, cancelled. What came beyond authority opens return_without_authority, what it says less than is known return_differs. Tells whether anything changed. The caller holds the locks of order and return.';

-- order_return_fact_told does the telling of it: exceptions and events.
CREATE FUNCTION distsync_internal.order_return_fact_told(customer_id bigint, return_id bigint, key text, came jsonb, outcomes jsonb, unallowed jsonb, event_type text, before text, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
BEGIN
	SELECT x.*, c.code AS company INTO r FROM dist.customer_return x JOIN dist.company c ON c.company_id = x.company_id WHERE x.customer_id = order_return_fact_told.customer_id AND x.return_id = order_return_fact_told.return_id;
	IF unallowed <> '[]' AND NOT r.backfill THEN
		PERFORM distsync_internal.base_exception('return_without_authority', key, 'order', 'warning', r.company, 'return', key, jsonb_build_object('lines', unallowed, 'order', (SELECT o.order_number FROM dist.sales_order o WHERE o.customer_id = r.customer_id AND o.order_id = r.order_id),
			'by', ctx ->> 'source'), NULL, NULL, NULL, r.correlation_id);
	ELSIF r.awaits AND NOT EXISTS (SELECT FROM dist.return_line l WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id AND l.received > l.authorised) THEN
		PERFORM distsync_internal.base_exception_close('return_without_authority', key, 'it is authorised');
	END IF;
	IF event_type = 'return.authorised' AND r.authorised_by IS NOT NULL OR event_type <> 'return.authorised' THEN
		PERFORM distsync_internal.order_return_emit(r.customer_id, r.return_id, event_type, '{}', ctx);
	END IF;
	IF came <> '[]' THEN
		PERFORM distsync_internal.order_return_emit(r.customer_id, r.return_id, 'return.received', jsonb_build_object('receipt', came), ctx);
	END IF;
	IF outcomes <> '[]' THEN
		PERFORM distsync_internal.order_return_tell(r.customer_id, r.return_id, 'return.inspected', jsonb_build_object('inspection', outcomes), before, ctx);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_fact_told(bigint, bigint, text, jsonb, jsonb, jsonb, text, text, jsonb) IS 'Opens or closes return_without_authority and emits what a document has changed of a return: event_type (NULL = none), return.received, return.inspected, return.closed.';

-- order_apply_return does the handling of the entity.
CREATE FUNCTION distsync_internal.order_apply_return(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	t record;
	fault text[];
	key text;
	ready jsonb[] := '{}';
	mine bigint[];
	n jsonb;
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		docs := (SELECT jsonb_agg(x || jsonb_build_object('doc', jsonb_build_object('company', x -> 'doc' -> 'company', 'return_number', x -> 'doc' -> 'return_number', 'state', 'cancelled'))) FROM jsonb_array_elements(docs) x);
	END IF;
	FOR d IN SELECT r FROM distsync_internal.order_resolve(docs, ctx ->> 'source') r LOOP
		key := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'return_number');
		SELECT * INTO t FROM distsync_internal.order_try('return', d, ctx ->> 'source', key);
		fault := CASE WHEN (t.bad).outcome IS NULL THEN distsync_internal.order_return_check(t.read) END;
		IF (t.bad).outcome IS NOT NULL THEN
			RETURN NEXT t.bad;
		ELSIF fault IS NOT NULL THEN
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', key, fault[1], fault[2], fault[3], fault[4]);
		ELSE
			ready := ready || t.read;
		END IF;
	END LOOP;
	mine := ARRAY(SELECT DISTINCT (x ->> 'return_id')::bigint FROM unnest(ready) x WHERE x ->> 'return_id' IS NOT NULL);
	PERFORM distsync_internal.order_return_lock(ARRAY(SELECT DISTINCT (x ->> 'order_id')::bigint FROM unnest(ready) x WHERE x ->> 'order_id' IS NOT NULL), mine);
	-- all pools of the call at once
	PERFORM distsync_internal.inventory_lock_demand(NULL, array_agg(p.item_id), array_agg(p.site_id)) FROM (
		SELECT DISTINCT c.item_id, (x ->> 'site_id')::bigint AS site_id FROM unnest(ready) x CROSS JOIN LATERAL (
			SELECT (l ->> 'item_id')::bigint AS item_id, NULLIF(l -> 'components', 'null') AS components FROM jsonb_array_elements(x -> 'lines') l WHERE l ->> 'item_id' IS NOT NULL
			UNION ALL
			SELECT y.item_id, y.components FROM dist.return_line y WHERE y.customer_id = (x ->> 'customer_id')::bigint AND y.return_id = (x ->> 'return_id')::bigint) k
		CROSS JOIN LATERAL distsync_internal.inventory_taken_from(k.item_id, k.components) c) p HAVING count(*) > 0;
	FOREACH d IN ARRAY ready LOOP
		-- chosen anew under the locks; the same return may come twice in one call
		n := distsync_internal.order_return_read(jsonb_build_object('ordinal', d -> 'ordinal', 'doc', d -> 'doc', 'company_id', d -> 'company_id'), ctx ->> 'source');
		IF n -> 'order_id' <> d -> 'order_id' OR n ->> 'return_id' IS NOT NULL AND (n ->> 'return_id')::bigint <> ALL (mine) THEN
			PERFORM distsync_internal.order_meanwhile('return', n -> 'doc' ->> 'return_number');
		END IF;
		RETURN NEXT distsync_internal.master_result((n ->> 'ordinal')::integer, CASE WHEN distsync_internal.order_return_fact(n, ctx) THEN 'applied' ELSE 'unchanged' END, (n -> 'doc' ->> 'company') || '/' || (n -> 'doc' ->> 'return_number'));
		mine := mine || (SELECT r.return_id FROM dist.customer_return r WHERE r.company_id = (n ->> 'company_id')::bigint AND r.return_number = n -> 'doc' ->> 'return_number');
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_apply_return(jsonb, jsonb) IS
	'Handler of the entity return: authorities of their owner, and goods that came back, whatever they break. Rejects what names nothing we know (SD001, SD002, SD004, SD005).';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'return', 'distsync_internal.order_apply_return');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES ('return', '{company,return_number}', 'return', 'Goods that a customer sends back. Quantities are totals: what is told twice counts once.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('return', 'company', 'code', true, 'any', 'Company that takes them back.', NULL, false),
	('return', 'return_number', 'code', true, 'any', 'Its number, unique in the company; without slash.', NULL, false),
	('return', 'order_number', 'code', false, 'any', 'Order whose goods they are: our number or the owner''s.', NULL, false),
	('return', 'customer', 'code', false, 'any', 'Customer, where there is no order.', NULL, false),
	('return', 'site', 'code', false, 'any', 'Where they come in; absent = where the line of the order is served.', NULL, false),
	('return', 'state', 'code', false, 'any', 'cancelled: what has not come may not come any more.', '{cancelled}', false),
	('return', 'reason', 'text', false, 'any', 'Why they come back.', NULL, false),
	('return', 'expires_at', 'instant', false, 'any', 'What has not come by then may not come any more, null = no limit.', NULL, false),
	('return', 'happened_at', 'instant', false, 'any', 'When what is told of the goods happened, absent = now.', NULL, false),
	('return', 'moves_stock', 'boolean', false, 'any', 'false: whoever keeps the stock tells these movements himself. Absent = true.', NULL, false),
	('return', 'lines', 'list', false, 'any', 'What comes back. Lines that are not named stay as they are.', NULL, true),
	('return', 'lines[].line', 'integer', false, 'positive', 'Line of the return, where it is known.', NULL, false),
	('return', 'lines[].order_line', 'integer', false, 'positive', 'Line of the order; absent = the first of the SKU of which something may come back.', NULL, false),
	('return', 'lines[].sku', 'code', false, 'any', 'Item; absent = that of the line.', NULL, false),
	('return', 'lines[].unit', 'unit', false, 'any', 'Unit of the quantities, absent = base unit.', NULL, false),
	('return', 'lines[].quantity', 'quantity', false, 'nonnegative', 'May come back in all, says their owner.', NULL, false),
	('return', 'lines[].received', 'quantity', false, 'nonnegative', 'Has come back in all.', NULL, false),
	('return', 'lines[].restocked', 'quantity', false, 'nonnegative', 'Of it found good, in all.', NULL, false),
	('return', 'lines[].scrapped', 'quantity', false, 'nonnegative', 'Of it found bad and kept, in all.', NULL, false),
	('return', 'lines[].refused', 'quantity', false, 'nonnegative', 'Of it sent back to the customer, in all.', NULL, false),
	('return', 'lines[].lot', 'text', false, 'any', 'Lot or serial number of what is new.', NULL, false),
	('return', 'lines[].reason', 'text', false, 'any', 'Why it comes back.', NULL, false),
	('return', 'lines[].note', 'text', false, 'any', 'What was found.', NULL, false);
