-- Returns: what is common to all their verbs. README.md has the picture of their states.

-- order_return_find does the look-up of a return by its number.
CREATE FUNCTION distsync_internal.order_return_find(return_number text, options jsonb, known text[]) RETURNS TABLE (customer_id bigint, return_id bigint, order_id bigint, company text, company_id bigint, account_id bigint)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	in_company bigint;
	n integer;
BEGIN
	options := distsync_internal.base_options(options, '{company:text}' || known);
	in_company := distsync_internal.master_company(options ->> 'company', 'options.company');
	SELECT count(*) INTO n FROM dist.customer_return r WHERE r.return_number = distsync_internal.base_required('return_number', order_return_find.return_number) AND (in_company IS NULL OR r.company_id = in_company) AND distsync.in_scope(r.customer_id);
	IF n = 0 THEN
		PERFORM distsync_internal.order_refuse('SD001', 'return_number', format('unknown return "%s"', order_return_find.return_number), 'Give the number of the return, with options.company where several companies use it.');
	ELSIF n > 1 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'options.company', format('return number "%s" is used by %s companies', order_return_find.return_number, n), 'Name the company in options.company.');
	END IF;
	RETURN QUERY SELECT r.customer_id, r.return_id, r.order_id, c.code, r.company_id, o.account_id
	FROM dist.customer_return r JOIN dist.company c ON c.company_id = r.company_id LEFT JOIN dist.sales_order o ON o.customer_id = r.customer_id AND o.order_id = r.order_id
	WHERE r.return_number = order_return_find.return_number AND (in_company IS NULL OR r.company_id = in_company) AND distsync.in_scope(r.customer_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_find(text, jsonb, text[]) IS 'Ids of a return by its number, with those of its order; options: company, and those the verb knows beside it. Errors: SD001 unknown, SD002 option, SD005 no number, or ambiguous.';

-- order_return_lock does the locking for a change of returns: their orders first, then they themselves, each sorted. Accounts come before,
-- volumes and stock pools after.
CREATE FUNCTION distsync_internal.order_return_lock(order_ids bigint[], return_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM dist.sales_order o WHERE o.order_id = ANY (order_ids) ORDER BY o.order_id FOR NO KEY UPDATE;
	PERFORM FROM dist.customer_return r WHERE r.return_id = ANY (return_ids) ORDER BY r.return_id FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_lock(bigint[], bigint[]) IS 'Locks the orders of returns, then the returns, each in their order, until the end of the transaction.';

-- order_return_refuse_state does the refusal of a command that comes too late, or too early.
CREATE FUNCTION distsync_internal.order_return_refuse_state(return_number text, state text, what text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'SD075', MESSAGE = format('return "%s" is %s and %s', return_number, state, what), COLUMN = 'return_number', DETAIL = format('Field: return_number. State: %s.', state), HINT = hint;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_refuse_state(text, text, text, text) IS 'Raises SD075 for a return whose state does not allow a command.';

-- order_return_document does the writing down of a return with everything the ERP and the warehouse need.
CREATE FUNCTION distsync_internal.order_return_document(customer_id bigint, return_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_build_object('schema', 'return/1', 'return_number', r.return_number, 'company', c.code, 'customer', b.code, 'payer', p.code, 'order_number', o.order_number, 'owner_number', o.owner_number, 'site', w.code, 'currency', r.currency,
		'state', r.state, 'reason', r.reason, 'source', r.source, 'authorised_by', r.authorised_by, 'authorised_at', r.authorised_at, 'expires_at', CASE WHEN r.awaits AND r.closed_at IS NULL THEN r.expires_at END, 'closed_at', r.closed_at, 'version', r.version,
		'lines', (SELECT COALESCE(jsonb_agg(jsonb_build_object('line', l.line_no, 'order_line', l.order_line_no, 'sku', i.sku, 'unit', i.base_unit, 'reason', l.reason, 'quantity', l.authorised, 'received', l.received,
				'restocked', l.restocked, 'scrapped', l.scrapped, 'refused', l.refused, 'requested', l.requested, 'credited', l.credited)
				|| CASE WHEN l.components IS NULL THEN '{}' ELSE jsonb_build_object('components', distsync_internal.order_components(l.components, greatest(l.authorised, l.received))) END ORDER BY l.line_no), '[]')
			FROM dist.return_line l JOIN dist.item i ON i.item_id = l.item_id WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id))
	FROM dist.customer_return r
	JOIN dist.company c ON c.company_id = r.company_id
	JOIN dist.party b ON b.party_id = r.customer_id
	JOIN dist.party p ON p.party_id = r.payer_id
	JOIN dist.site w ON w.site_id = r.site_id
	LEFT JOIN dist.sales_order o ON o.customer_id = r.customer_id AND o.order_id = r.order_id
	WHERE r.customer_id = order_return_document.customer_id AND r.return_id = order_return_document.return_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_document(bigint, bigint) IS 'A return as a document: parties and site by code, lines with SKU and, in base units, what may come, came, and what became of it.';

-- order_return_emit does the telling of something about a return.
CREATE FUNCTION distsync_internal.order_return_emit(customer_id bigint, return_id bigint, event_type text, extra jsonb DEFAULT '{}', ctx jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT distsync_internal.base_emit('customer', r.customer_id, event_type, 'return', c.code || '/' || r.return_number, distsync_internal.order_return_document(r.customer_id, r.return_id) || extra, r.correlation_id,
		(ctx ->> 'causation_id')::uuid, NULLIF(ctx ->> 'source', 'distsync'))
	FROM dist.customer_return r JOIN dist.company c ON c.company_id = r.company_id
	WHERE r.customer_id = order_return_emit.customer_id AND r.return_id = order_return_emit.return_id AND NOT r.backfill);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_emit(bigint, bigint, text, jsonb, jsonb) IS
	'Writes a document event return.* or credit_memo.* with order_return_document() and extra fields, key company/return number, under the order''s correlation id; ctx: source (it is not told its own news), causation_id. NULL for one loaded as history.';

-- order_return_tell does the telling of what has changed a return, and of its end.
CREATE FUNCTION distsync_internal.order_return_tell(customer_id bigint, return_id bigint, event_type text, extra jsonb, before text, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.order_return_emit(order_return_tell.customer_id, order_return_tell.return_id, event_type, extra, ctx);
	IF before <> 'closed' AND EXISTS (SELECT FROM dist.customer_return r WHERE r.customer_id = order_return_tell.customer_id AND r.return_id = order_return_tell.return_id AND r.state = 'closed') THEN
		PERFORM distsync_internal.order_return_emit(order_return_tell.customer_id, order_return_tell.return_id, 'return.closed', '{}', ctx);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_tell(bigint, bigint, text, jsonb, text, jsonb) IS 'Emits an event about a return, as order_return_emit() does, and return.closed where it is closed now and was not (before: its state before).';

-- order_return_beyond does the looking at lines of an order of which more comes back than had left: an exception, as long as it is so.
CREATE FUNCTION distsync_internal.order_return_beyond(customer_id bigint, return_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	x record;
	key text;
BEGIN
	FOR x IN SELECT DISTINCT c.code AS company, o.order_number, l.order_line_no, l.order_id, r.correlation_id, distsync_internal.order_return_open(l.customer_id, l.order_id, l.order_line_no) AS left_open, r.backfill
		FROM dist.return_line l JOIN dist.customer_return r ON r.customer_id = l.customer_id AND r.return_id = l.return_id JOIN dist.company c ON c.company_id = r.company_id
		JOIN dist.sales_order o ON o.customer_id = l.customer_id AND o.order_id = l.order_id
		WHERE l.customer_id = order_return_beyond.customer_id AND l.return_id = order_return_beyond.return_id AND l.order_line_no IS NOT NULL ORDER BY 1, 2, 3
	LOOP
		key := x.company || '/' || x.order_number || '/' || x.order_line_no;
		IF x.left_open < 0 AND NOT x.backfill THEN
			PERFORM distsync_internal.base_exception('over_returned', key, 'order', 'warning', x.company, 'order', x.company || '/' || x.order_number, jsonb_build_object('line', x.order_line_no, 'beyond', trim_scale(-x.left_open)),
				-x.left_open, NULL, NULL, x.correlation_id);
		ELSE
			PERFORM distsync_internal.base_exception_close('over_returned', key, 'no more comes back than has left');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_beyond(bigint, bigint) IS 'Opens over_returned for the lines of the order of a return of which more came back, or may, than had left, and closes it where that is over.';

-- order_return_shipped does the ending of that for an order of which more has left: its return may have been told before its shipment.
CREATE FUNCTION distsync_internal.order_return_shipped(customer_id bigint, order_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.base_exception_close('over_returned', k.key, 'no more comes back than has left')
	FROM (SELECT DISTINCT c.code || '/' || o.order_number || '/' || l.order_line_no AS key FROM dist.return_line l
		JOIN dist.sales_order o ON o.customer_id = l.customer_id AND o.order_id = l.order_id JOIN dist.company c ON c.company_id = o.company_id
		WHERE l.customer_id = order_return_shipped.customer_id AND l.order_id = order_return_shipped.order_id AND distsync_internal.order_return_open(l.customer_id, l.order_id, l.order_line_no) >= 0) k;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_shipped(bigint, bigint) IS 'Closes over_returned for the lines of an order that has shipped more.';

-- order_return_advance does what follows from the quantities of a return: what it takes of the order's lines, and its state.
CREATE FUNCTION distsync_internal.order_return_advance(customer_id bigint, return_id bigint, ended text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
	s record;
	now_state text;
BEGIN
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = order_return_advance.customer_id AND x.return_id = order_return_advance.return_id;
	UPDATE dist.return_line l SET claimed = n.claimed
	FROM (SELECT y.line_no, CASE WHEN r.awaits THEN greatest(y.authorised, y.received) ELSE y.received END - y.refused AS claimed FROM dist.return_line y WHERE y.customer_id = r.customer_id AND y.return_id = r.return_id) n
	WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id AND l.line_no = n.line_no AND l.claimed <> n.claimed;
	IF FOUND THEN
		-- whoever decides by an older snapshot is told to begin again
		UPDATE dist.sales_order o SET version = o.version + 1 WHERE o.customer_id = r.customer_id AND o.order_id = r.order_id;
	END IF;
	SELECT COALESCE(sum(l.received), 0) AS came, COALESCE(sum(l.received - l.restocked - l.scrapped - l.refused), 0) AS to_inspect, COALESCE(sum(greatest(l.restocked + l.scrapped - l.credited, 0)), 0) AS to_credit,
		COALESCE(sum(l.credited), 0) AS credited, r.awaits AND COALESCE(bool_or(l.authorised > l.received), false) AS expects INTO s
	FROM dist.return_line l WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id;
	now_state := CASE WHEN s.to_inspect > 0 THEN 'received' WHEN s.to_credit > 0 THEN 'inspected'
		WHEN s.expects THEN CASE WHEN s.came = 0 THEN 'authorised' WHEN s.credited > 0 THEN 'credited' ELSE 'inspected' END
		WHEN s.came > 0 THEN 'closed' ELSE COALESCE(order_return_advance.ended, CASE WHEN r.state IN ('cancelled', 'expired') THEN r.state END, 'cancelled') END;
	UPDATE dist.customer_return x SET state = now_state, version = x.version + 1, closed_at = CASE WHEN now_state IN ('closed', 'cancelled', 'expired') THEN COALESCE(x.closed_at, clock_timestamp()) END
	WHERE x.customer_id = r.customer_id AND x.return_id = r.return_id;
	PERFORM distsync_internal.order_return_beyond(r.customer_id, r.return_id);
	RETURN now_state;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_advance(bigint, bigint, text) IS
	'Sets what the lines of a return claim of their order''s lines, and its state, from its quantities; ended: state of one of which nothing came and nothing may come. Opens or closes over_returned. The caller holds the locks of order and return. Returns the state.';

-- return_status does the telling of a return's story.
CREATE FUNCTION distsync.return_status(return_number text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT distsync_internal.order_scope_return_number($1, $2);
	SELECT distsync_internal.order_scope_returned(distsync_internal.order_return_document(f.customer_id, f.return_id) || jsonb_build_object('correlation_id', r.correlation_id, 'moves_stock', r.moves_stock,
		'steps', (SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', s.line_no, 'kind', s.kind, 'quantity', s.quantity, 'lot', NULLIF(s.lot, ''), 'state', s.state, 'at', s.happened_at, 'by', s.by_whom, 'note', s.note)) ORDER BY s.happened_at, s.step_id), '[]')
			FROM dist.return_step s WHERE s.customer_id = f.customer_id AND s.return_id = f.return_id),
		'credits', (SELECT COALESCE(jsonb_agg(jsonb_build_object('line', k.line_no, 'memo_number', k.memo_number, 'corrects', k.corrects_number, 'quantity', k.quantity, 'currency', k.currency, 'net_amount', k.net_amount, 'tax_amount', k.tax_amount,
				'state', k.state) ORDER BY k.asked_at, k.line_no, k.corrects_number), '[]')
			FROM dist.return_credit k WHERE k.customer_id = f.customer_id AND k.return_id = f.return_id),
		'memos', (SELECT COALESCE(jsonb_agg(jsonb_build_object('memo_number', i.invoice_number, 'corrects', i.corrects_number, 'status', i.status, 'issued_at', i.issued_at, 'gross_amount', i.gross_amount, 'currency', i.currency) ORDER BY i.issued_at, i.invoice_number), '[]')
			FROM dist.invoice i WHERE i.company_id = f.company_id AND i.return_number = r.return_number AND i.kind = 'credit_memo'),
		'audit', (SELECT COALESCE(jsonb_agg(jsonb_build_object('at', a.at, 'role', a.role, 'verb', a.verb, 'reason', a.reason) ORDER BY a.at, a.audit_id), '[]')
			FROM sync.audit a WHERE a.entity = 'return' AND a.entity_key = f.company || '/' || r.return_number)))
	FROM distsync_internal.order_return_find($1, $2, '{}') f JOIN dist.customer_return r ON r.customer_id = f.customer_id AND r.return_id = f.return_id
$$;
COMMENT ON FUNCTION distsync.return_status(text, jsonb) IS
	'The story of a return: its document with lines (quantities in base units), steps, what was credited by which memo, audit. Who is restricted to a customer scope finds his customers'' returns only, and is not told who did what, nor audit. Options: company. Errors: SD001 unknown return, SD005 ambiguous number, SD012 option not for this caller.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('return_status', '{reader,order_entry,integrator,operator,admin,portal}');
