-- What an order says of itself: the data of every event about it, and the answer of the verbs.

-- order_components does the telling of what a number of kits is made of.
CREATE FUNCTION distsync_internal.order_components(components jsonb, kits numeric) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT jsonb_agg(jsonb_build_object('sku', i.sku, 'quantity', trim_scale(kits * p.per), 'unit', i.base_unit) ORDER BY i.sku COLLATE "C")
		FROM distsync_internal.inventory_taken_from(NULL, NULLIF(components, 'null')) p JOIN dist.item i ON i.item_id = p.item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_components(jsonb, numeric) IS '[{"sku", "quantity", "unit"}] that so many kits of a line take, base units; NULL where it is no kit. components as dist.order_line has them.';

-- order_document does the writing down of an order with everything the ERP, the warehouse and the shop need to go on.
CREATE FUNCTION distsync_internal.order_document(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_build_object('schema', 'order/1', 'order_number', o.order_number, 'owner_number', o.owner_number, 'kind', o.kind, 'state', o.state, 'credit_state', o.credit_state, 'source', o.source,
		'company', c.code, 'customer', b.code, 'customer_name', b.name, 'payer', p.code, 'job', j.code, 'channel', h.code, 'credit_account', a.code,
		'ship_to', jsonb_build_object('code', s.code, 'name', s.name, 'address', s.address), 'customer_po', o.customer_po, 'payment_terms', o.payment_terms, 'ordered_at', o.ordered_at, 'requested_at', o.requested_at,
		'currency', o.currency, 'net_amount', o.net_amount, 'tax_amount', o.tax_amount, 'gross_amount', o.gross_amount, 'deposit_amount', o.deposit_amount, 'version', o.version,
		'lines', (SELECT COALESCE(jsonb_agg(jsonb_build_object('line', l.line_no, 'sku', i.sku, 'name', i.name, 'quantity', l.quantity, 'requested_quantity', l.requested_quantity, 'unit', l.unit,
				'base_quantity', l.base_quantity, 'base_unit', i.base_unit, 'unit_price', l.unit_price, 'price_per', l.price_per, 'expected_price', l.expected_price, 'net_amount', l.net_amount,
				'tax_code', l.tax_code, 'tax_amount', l.tax_amount, 'agreement', l.agreement_code, 'disposition', l.disposition, 'site', w.code, 'requested_at', l.requested_at, 'promised_at', l.promised_at,
				'shipped_quantity', l.shipped_quantity, 'invoiced_quantity', l.invoiced_quantity, 'cancelled_quantity', l.cancelled_quantity)
				|| CASE WHEN l.requested_item_id = l.item_id THEN '{}' ELSE jsonb_build_object('requested_sku', (SELECT r.sku FROM dist.item r WHERE r.item_id = l.requested_item_id)) END
				|| CASE WHEN l.components IS NULL THEN '{}' ELSE jsonb_build_object('components', distsync_internal.order_components(l.components, l.base_quantity)) END ORDER BY l.line_no), '[]')
			FROM dist.order_line l JOIN dist.item i ON i.item_id = l.item_id LEFT JOIN dist.site w ON w.site_id = l.site_id
			WHERE l.customer_id = o.customer_id AND l.order_id = o.order_id))
	FROM dist.sales_order o
	JOIN dist.company c ON c.company_id = o.company_id
	JOIN dist.party b ON b.party_id = o.customer_id
	JOIN dist.party p ON p.party_id = o.payer_id
	JOIN dist.party s ON s.party_id = COALESCE(o.ship_to_id, o.customer_id)
	LEFT JOIN dist.party j ON j.party_id = o.job_id
	LEFT JOIN dist.channel h ON h.channel_id = o.channel_id
	LEFT JOIN dist.credit_account a ON a.account_id = o.account_id
	WHERE o.customer_id = order_document.customer_id AND o.order_id = order_document.order_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_document(bigint, bigint) IS 'An order as a document: parties by code, ship-to with its address, amounts beside their currency, lines with SKU, quantities beside units, price, site and dates.';

-- order_emit does the telling of something about an order: the whole document and what is particular to the event.
CREATE FUNCTION distsync_internal.order_emit(customer_id bigint, order_id bigint, event_type text, extra jsonb DEFAULT '{}', ctx jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT distsync_internal.base_emit('customer', o.customer_id, event_type, 'order', c.code || '/' || o.order_number,
		distsync_internal.order_document(o.customer_id, o.order_id) || extra, o.correlation_id, (ctx ->> 'causation_id')::uuid, ctx ->> 'source')
	FROM dist.sales_order o JOIN dist.company c ON c.company_id = o.company_id
	WHERE o.customer_id = order_emit.customer_id AND o.order_id = order_emit.order_id AND NOT o.backfill);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_emit(bigint, bigint, text, jsonb, jsonb) IS
	'Writes a document event order.* with order_document() and extra fields, key company/order number, under the order''s correlation id; ctx: source (it is not told its own news), causation_id. NULL for an order loaded as history.';

-- order_find does the look-up of an order by the number people use, ours or the owner's.
CREATE FUNCTION distsync_internal.order_find(order_number text, options jsonb, known text[]) RETURNS TABLE (customer_id bigint, order_id bigint, company text, account_id bigint)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	in_company bigint;
	n integer;
BEGIN
	options := distsync_internal.base_options(options, '{company:text,order_kind:text}' || known);
	in_company := distsync_internal.master_company(options ->> 'company', 'options.company');
	SELECT count(*) INTO n FROM dist.sales_order o WHERE o.order_number = distsync_internal.base_required('order_number', order_find.order_number) AND o.kind = COALESCE(options ->> 'order_kind', 'order') AND (in_company IS NULL OR o.company_id = in_company) AND distsync.in_scope(o.customer_id);
	IF n = 0 THEN
		PERFORM distsync_internal.order_refuse('SD001', 'order_number', format('unknown order "%s"', order_find.order_number), 'Give our number of the order, with options.company where several companies use it.');
	ELSIF n > 1 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'options.company', format('order number "%s" is used by %s companies', order_find.order_number, n), 'Name the company in options.company.');
	END IF;
	RETURN QUERY SELECT o.customer_id, o.order_id, c.code, o.account_id FROM dist.sales_order o JOIN dist.company c ON c.company_id = o.company_id
		WHERE o.order_number = order_find.order_number AND o.kind = COALESCE(options ->> 'order_kind', 'order') AND (in_company IS NULL OR o.company_id = in_company) AND distsync.in_scope(o.customer_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_find(text, jsonb, text[]) IS 'Ids of an order by our number; options: company, order_kind, and those the verb knows beside them. Errors: SD001 unknown, SD002 option, SD005 no number, or ambiguous.';

-- order_still_there does the question whether an order is still on the account that was locked for it: one that was opened meanwhile may
-- have taken it over.
CREATE FUNCTION distsync_internal.order_still_there(customer_id bigint, order_id bigint, account_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	number text := (SELECT o.order_number FROM dist.sales_order o WHERE o.customer_id = order_still_there.customer_id AND o.order_id = order_still_there.order_id AND o.account_id IS DISTINCT FROM order_still_there.account_id);
BEGIN
	IF number IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = format('order "%s" was taken over by another account meanwhile', number), DETAIL = 'Other locks are needed now.', HINT = 'Repeat the call.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_still_there(bigint, bigint, bigint) IS 'Raises 40001 where a locked order is not on this account (any more).';

-- order_lock does the locking for a change of one order: the accounts first, then the order.
CREATE FUNCTION distsync_internal.order_lock(customer_id bigint, order_id bigint, account_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF account_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_lock_tree(ARRAY[account_id]);
	END IF;
	PERFORM FROM dist.sales_order o WHERE o.customer_id = order_lock.customer_id AND o.order_id = order_lock.order_id FOR NO KEY UPDATE;
	PERFORM distsync_internal.order_still_there(order_lock.customer_id, order_lock.order_id, order_lock.account_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock(bigint, bigint, bigint) IS 'Locks the order''s credit account with all above it and what waits in their trees, then the order itself. Stock pools come after it. Errors: 40001 another account has taken the order over meanwhile.';

-- order_lock_stock does the locking of the demands of an order and of every pool where they stand, in the order of all pools.
CREATE FUNCTION distsync_internal.order_lock_stock(customer_id bigint, order_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_lock_demand(ARRAY(
		SELECT c.code || '/' || o.order_number || '/' || l.line_no
		FROM dist.sales_order o
		JOIN dist.company c ON c.company_id = o.company_id
		JOIN dist.order_line l ON l.customer_id = o.customer_id AND l.order_id = o.order_id
		WHERE o.customer_id = order_lock_stock.customer_id AND o.order_id = order_lock_stock.order_id), NULL, NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock_stock(bigint, bigint) IS 'Locks the demands of an order''s lines and the pools where they stand, sorted.';

-- order_owner does the telling of who owns orders of a company.
CREATE FUNCTION distsync_internal.order_owner(company text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT COALESCE((SELECT array_agg(DISTINCT w.system) FROM sync.ownership w WHERE w.domain = 'order' AND w.company IN ('*', order_owner.company) AND w.valid @> statement_timestamp()),
		(SELECT array_agg(s.code) FROM sync.system s WHERE s.kind = 'erp' AND s.status = 'active'), '{}'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_owner(text) IS 'Systems that own orders of a company: those of the ownership registry, else every active ERP; distsync = we are.';

-- order_owner_until does the telling of when time alone may change who owns orders of a company.
CREATE FUNCTION distsync_internal.order_owner_until(company text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT min(t.at) FROM sync.ownership w CROSS JOIN LATERAL (VALUES (lower(w.valid)), (upper(w.valid))) t(at)
	WHERE w.domain = 'order' AND w.company IN ('*', order_owner_until.company) AND t.at > statement_timestamp());
END
$$;
COMMENT ON FUNCTION distsync_internal.order_owner_until(text) IS 'First instant after this one at which an entry of the ownership registry for orders of a company begins or ends; NULL = there is none.';

-- order_credit_now does the telling of what credit says of a held order now: what would lift it may be more or less than when it was held.
CREATE FUNCTION distsync_internal.order_credit_now(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	decision jsonb;
BEGIN
	SELECT s.account_id, s.company_id, s.order_number, s.payment_terms, s.ship_on, s.credit_state, h.amount INTO o FROM dist.sales_order s
	CROSS JOIN LATERAL (SELECT sum(x.amount) AS amount FROM dist.hold x WHERE x.customer_id = s.customer_id AND x.order_id = s.order_id AND x.released_at IS NULL) h
	WHERE s.customer_id = order_credit_now.customer_id AND s.order_id = order_credit_now.order_id AND s.state = 'held' AND s.credit_state = 'held';
	IF o.account_id IS NULL OR o.amount IS NULL THEN
		RETURN NULL;
	END IF;
	decision := distsync_internal.credit_decide(o.account_id, o.amount, jsonb_build_object('at', statement_timestamp(), 'payment_terms', o.payment_terms, 'ship_on', o.ship_on, 'order_id', order_id, 'customer_id', customer_id,
		'deposit', distsync_internal.credit_deposit(order_credit_now.customer_id, o.account_id, o.company_id, o.order_number)));
	RETURN jsonb_build_object('outcome', decision -> 'outcome', 'amount', o.amount, 'currency', decision -> 'currency', 'reasons', decision -> 'reasons', 'cure', decision -> 'cure', 'valid_until', decision -> 'valid_until');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_credit_now(bigint, bigint) IS
	'What credit says now of the amount of a held order: {outcome approved | held, amount, currency (the account''s), reasons, cure (the payment that lifts it, null = none does), valid_until}; a forced hold is among the reasons; approved: only people hold it, or its turn has not come. NULL where it is not held, or has no account.';

-- order_status does the telling of an order's story.
CREATE FUNCTION distsync.order_status(order_number text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN distsync.restricted() THEN distsync_internal.order_scope_story(f.customer_id, f.order_id) ELSE distsync_internal.order_document(f.customer_id, f.order_id) || jsonb_build_object('correlation_id', o.correlation_id, 'recorded_at', o.recorded_at, 'answer_due_at', o.answer_due_at,
		'exposure_amount', o.exposure_amount, 'policy', o.policy, 'credit_now', distsync_internal.order_credit_now(f.customer_id, f.order_id),
		'price_proof', (SELECT min(encode(l.price_proof, 'hex')) FROM dist.order_line l WHERE l.customer_id = f.customer_id AND l.order_id = f.order_id),
		'holds', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', h.kind, 'owner', h.owner, 'reasons', h.reasons, 'amount', h.amount, 'checkpoint', h.checkpoint, 'placed_at', h.placed_at, 'placed_by', h.placed_by,
				'released_at', h.released_at, 'released_by', h.released_by, 'release_reason', h.release_reason) ORDER BY h.hold_id), '[]')
			FROM dist.hold h WHERE h.order_id = f.order_id AND h.customer_id = f.customer_id),
		'offers', (SELECT COALESCE(jsonb_agg(jsonb_build_object('changes', x.changes, 'gross_before', x.gross_before, 'gross_after', x.gross_after, 'state', x.state, 'made_at', x.made_at, 'lapses_at', x.lapses_at,
				'decided_at', x.decided_at, 'decided_by', x.decided_by) ORDER BY x.offer_id), '[]') FROM dist.order_offer x WHERE x.customer_id = f.customer_id AND x.order_id = f.order_id),
		'shipments', (SELECT COALESCE(jsonb_agg(jsonb_build_object('shipment_number', s.shipment_number, 'site', w.code, 'shipped_at', s.shipped_at, 'tracking', s.tracking, 'unbilled_amount', s.unbilled_amount) ORDER BY s.shipped_at, s.shipment_number), '[]')
			FROM dist.shipment s JOIN dist.site w ON w.site_id = s.site_id WHERE s.order_id = f.order_id),
		'invoices', (SELECT COALESCE(jsonb_agg(jsonb_build_object('invoice_number', i.invoice_number, 'kind', i.kind, 'issued_at', i.issued_at, 'due_on', i.due_on, 'gross_amount', i.gross_amount, 'currency', i.currency) ORDER BY i.issued_at, i.invoice_number), '[]')
			FROM dist.invoice i WHERE i.order_id = f.order_id),
		'returns', (SELECT COALESCE(jsonb_agg(jsonb_build_object('return_number', r.return_number, 'state', r.state, 'reason', r.reason, 'authorised_at', r.authorised_at) ORDER BY r.authorised_at, r.return_number), '[]')
			FROM dist.customer_return r WHERE r.order_id = f.order_id),
		'decisions', (SELECT COALESCE(jsonb_agg(jsonb_build_object('at', d.decided_at, 'verb', d.verb, 'outcome', d.outcome, 'reasons', d.reasons) ORDER BY d.decided_at, d.decision_id), '[]')
			FROM dist.credit_decision d WHERE d.order_id = f.order_id),
		'exceptions', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', e.kind, 'state', e.state, 'details', e.details, 'first_seen_at', e.first_seen_at) ORDER BY e.exception_id), '[]')
			FROM sync.exception e WHERE e.correlation_id = o.correlation_id),
		'audit', (SELECT COALESCE(jsonb_agg(jsonb_build_object('at', a.at, 'role', a.role, 'verb', a.verb, 'reason', a.reason, 'authority', a.after -> 'authority') ORDER BY a.at, a.audit_id), '[]')
			FROM sync.audit a WHERE a.entity = 'order' AND a.entity_key = f.company || '/' || o.order_number)) END
	FROM distsync_internal.order_find($1, $2, '{}') f JOIN dist.sales_order o ON o.customer_id = f.customer_id AND o.order_id = f.order_id
$$;
COMMENT ON FUNCTION distsync.order_status(text, jsonb) IS
	'The story of an order: its document with lines, holds, offers, shipments, invoices, returns, credit decisions, exceptions and audit, under one correlation_id; credit_now is what credit says of a held order now ({outcome, amount, currency, reasons, cure, valid_until}; holds have the reasons of when they were placed), audit on whose authority; price_proof is what verify_proof() takes. Who is restricted to a customer scope finds his customers'' orders only, and is told no policy, figures of credit, exceptions or audit. Options: company, order_kind. Errors: SD001 unknown order, SD005 ambiguous number.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('order_status', '{reader,order_entry,integrator,operator,admin,portal}');
