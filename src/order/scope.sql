-- Orders and restricted callers: what a customer may say in an order, which orders are his, and what he is told of them.

-- order_scope_lines does the check of what lines of a document say.
CREATE FUNCTION distsync_internal.order_scope_lines(lines jsonb, members text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
BEGIN
	IF jsonb_typeof(lines) = 'array' THEN
		FOR l IN SELECT x.value, x.place - 1 AS place FROM jsonb_array_elements(lines) WITH ORDINALITY x(value, place) LOOP
			PERFORM distsync_internal.master_scope_only(l.value, members, format('lines[%s].', l.place));
		END LOOP;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_lines(jsonb, text[]) IS 'SD012 naming lines[n].member where a line of a restricted caller''s document says more than these members; nothing where lines is no list.';

-- order_scope does the refusing of what a customer may not say, first of all: the answer of an earlier call must not reach him either.
CREATE FUNCTION distsync_internal.order_scope(document jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT distsync.restricted() THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.master_scope_only(document, '{schema,order_number,company,customer,ship_to,job,currency,customer_po,requested_at,lines,ext}', '');
	PERFORM distsync_internal.order_scope_lines(document -> 'lines', '{line,item,quantity,unit,expected_price,requested_at,site,ext}');
	PERFORM distsync_internal.master_party(document ->> 'customer', 'customer');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope(jsonb) IS
	'Nothing for who is not restricted. Else SD012 where an order document names a customer outside the caller''s scope, or says what is for us to decide: payer, policy, source, channel, ordered_at, taxes and amounts.';

-- order_scope_order does the same for a verb about one order.
CREATE FUNCTION distsync_internal.order_scope_order(order_number text, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF distsync.restricted() THEN
		PERFORM distsync_internal.master_scope_only(options, '{company,order_kind}', 'options.');
		PERFORM FROM distsync_internal.order_find(order_scope_order.order_number, options, '{}');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_order(text, jsonb) IS
	'Nothing for who is not restricted. Else SD001 for an order that is not one of his customers'', as for one that does not exist, and SD012 for options that are not for him.';

-- order_scope_change does the same for a change of an order.
CREATE FUNCTION distsync_internal.order_scope_change(order_number text, document jsonb, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT distsync.restricted() THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.order_scope_order(order_number, CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	PERFORM distsync_internal.order_scope_lines(document -> 'lines', '{line,item,quantity,unit,cut,expected_price,requested_at,site,ext}');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_change(text, jsonb, jsonb) IS
	'Nothing for who is not restricted. Else SD001 for an order that is not one of his customers'', and SD012 for options and fields of lines that are not for him: taxes, amounts.';

-- order_scope_told does the telling of what became of a change, or of a checkpoint, to a restricted caller.
CREATE FUNCTION distsync_internal.order_scope_told(answer jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN distsync.restricted() THEN answer - '{credit_state,cure}'::text[] || jsonb_build_object('reasons', distsync_internal.order_scope_reasons(answer -> 'reasons')) ELSE answer END;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_told(jsonb) IS 'An answer with reasons as a customer may hear it: no figures of credit.';

-- order_key_source does the naming of whose idempotency key it is: keys of one customer are nobody else's business.
CREATE FUNCTION distsync_internal.order_key_source(source text, whose text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN distsync.restricted() THEN 'portal/' || COALESCE(whose, '') ELSE source END;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_key_source(text, text) IS 'Source under which an idempotency key is kept: that of the call, or of a restricted caller portal/ and the customer or order it is about.';

-- order_scope_reasons does the telling of reasons to a customer: which rule, and what he can do, but no figures of anybody's account.
CREATE FUNCTION distsync_internal.order_scope_reasons(reasons jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('rule', r.value -> 'rule', 'line', r.value -> 'line', 'item', r.value -> 'item', 'expected', r.value -> 'expected', 'price', r.value -> 'price',
			'customer_po', r.value -> 'customer_po')) ORDER BY r.place), '[]')
		FROM jsonb_array_elements(CASE WHEN jsonb_typeof(reasons) = 'array' THEN reasons ELSE '[]' END) WITH ORDINALITY r(value, place));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_reasons(jsonb) IS 'Reasons of a hold or refusal as a customer may hear them: rule, line, item, prices, his PO number.';

-- order_scope_answer does the telling of a decision to a restricted caller.
CREATE FUNCTION distsync_internal.order_scope_answer(answer jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT distsync.restricted() THEN
		RETURN answer;
	END IF;
	RETURN answer || jsonb_build_object('reasons', distsync_internal.order_scope_reasons(answer -> 'reasons'),
		'detail', jsonb_strip_nulls(jsonb_build_object('company', answer -> 'detail' -> 'company', 'customer', answer -> 'detail' -> 'customer')),
		'lines', (SELECT jsonb_agg(l.value - '{available,price_code,components}'::text[] ORDER BY l.place) FROM jsonb_array_elements(NULLIF(answer -> 'lines', 'null')) WITH ORDINALITY l(value, place)));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_answer(jsonb) IS 'The answer of submit_order() or preview_order(), of a restricted caller without policy, account, stock that is left and figures of credit.';

-- order_scope_story does the story of an order as its customer may hear it.
CREATE FUNCTION distsync_internal.order_scope_story(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN distsync_internal.order_document(order_scope_story.customer_id, order_scope_story.order_id) - '{source,credit_account,credit_state,payer}'::text[] || jsonb_build_object(
		'correlation_id', (SELECT o.correlation_id FROM dist.sales_order o WHERE o.customer_id = order_scope_story.customer_id AND o.order_id = order_scope_story.order_id),
		'holds', (SELECT COALESCE(jsonb_agg(jsonb_build_object('reasons', distsync_internal.order_scope_reasons(h.reasons), 'placed_at', h.placed_at, 'released_at', h.released_at) ORDER BY h.placed_at, h.kind, h.owner), '[]')
			FROM dist.hold h WHERE h.order_id = order_scope_story.order_id AND h.customer_id = order_scope_story.customer_id),
		'offers', (SELECT COALESCE(jsonb_agg(jsonb_build_object('changes', x.changes, 'gross_before', x.gross_before, 'gross_after', x.gross_after, 'state', x.state, 'made_at', x.made_at, 'lapses_at', x.lapses_at) ORDER BY x.offer_id), '[]')
			FROM dist.order_offer x WHERE x.customer_id = order_scope_story.customer_id AND x.order_id = order_scope_story.order_id),
		'shipments', (SELECT COALESCE(jsonb_agg(jsonb_build_object('shipment_number', s.shipment_number, 'shipped_at', s.shipped_at, 'tracking', s.tracking) ORDER BY s.shipped_at, s.shipment_number), '[]')
			FROM dist.shipment s WHERE s.order_id = order_scope_story.order_id),
		'invoices', (SELECT COALESCE(jsonb_agg(jsonb_build_object('invoice_number', i.invoice_number, 'kind', i.kind, 'issued_at', i.issued_at, 'due_on', i.due_on, 'gross_amount', i.gross_amount, 'currency', i.currency)
				ORDER BY i.issued_at, i.invoice_number), '[]') FROM dist.invoice i WHERE i.order_id = order_scope_story.order_id),
		'returns', (SELECT COALESCE(jsonb_agg(jsonb_build_object('return_number', r.return_number, 'state', r.state, 'authorised_at', r.authorised_at) ORDER BY r.authorised_at, r.return_number), '[]')
			FROM dist.customer_return r WHERE r.order_id = order_scope_story.order_id));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_story(bigint, bigint) IS 'order_status() for a restricted caller: the document, holds by rule only, offers, shipments, invoices, returns; no policy, decisions, exceptions, audit.';

-- order_scope_return does the refusing of what a customer may not say of goods that he sends back, before anything else.
CREATE FUNCTION distsync_internal.order_scope_return(document jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT distsync.restricted() THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.master_scope_only(document, '{schema,company,order_number,reason,lines,ext}', '');
	PERFORM distsync_internal.order_scope_lines(document -> 'lines', '{order_line,sku,quantity,unit,reason}');
	-- whose order it is comes before its line
	PERFORM distsync_internal.order_scope_order(document ->> 'order_number', jsonb_strip_nulls(jsonb_build_object('company', document -> 'company')));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_return(jsonb) IS
	'Nothing for who is not restricted. Else SD012 where the document of authorise_return() says what is for us to decide (number, site, end, stock, source), and SD001 for an order that is not one of his customers'', as for one that does not exist.';

-- order_scope_return_number does the same for a verb about one return.
CREATE FUNCTION distsync_internal.order_scope_return_number(return_number text, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF distsync.restricted() THEN
		PERFORM distsync_internal.master_scope_only(options, '{company}', 'options.');
		PERFORM FROM distsync_internal.order_return_find(order_scope_return_number.return_number, options, '{}');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_return_number(text, jsonb) IS 'Nothing for who is not restricted. Else SD001 for a return that is not one of his customers'', as for one that does not exist, and SD012 for options that are not for him.';

-- order_scope_returned does the telling of a return to a restricted caller.
CREATE FUNCTION distsync_internal.order_scope_returned(answer jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN distsync.restricted() THEN answer - '{source,version,payer,authorised_by,moves_stock,audit}'::text[] || CASE WHEN answer ? 'steps' THEN jsonb_build_object('steps',
		(SELECT COALESCE(jsonb_agg(s.value - '{by,note,state}'::text[] ORDER BY s.place), '[]') FROM jsonb_array_elements(answer -> 'steps') WITH ORDINALITY s(value, place))) ELSE '{}' END ELSE answer END;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_scope_returned(jsonb) IS 'A return, or its story, of a restricted caller without who pays, who did what, where its stock went and audit.';
