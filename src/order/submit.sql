-- submit_order: price, stock and credit decided in one transaction, under locks taken in one order: key, credit accounts, stock.

-- order_take_stock does the promise of an order's stock, and gives back what a cut or rejected line does not use.
CREATE FUNCTION distsync_internal.order_take_stock(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted jsonb := distsync_internal.order_wanted(o);
	promises jsonb := '[]';
	l jsonb;
BEGIN
	IF wanted <> '[]' THEN
		SELECT COALESCE(jsonb_agg(to_jsonb(p) ORDER BY p.ordinal, p.site_id), '[]') INTO promises FROM distsync_internal.inventory_reserve(wanted, distsync_internal.order_stock_options(o)) p;
	END IF;
	o := distsync_internal.order_promised(o, promises);
	IF distsync_internal.order_refused(o) IS NOT NULL THEN
		RETURN o;
	END IF;
	FOR l IN SELECT x FROM jsonb_array_elements(o -> 'lines') x WHERE (x ->> 'reserved')::numeric > CASE WHEN x ->> 'disposition' = 'reject' THEN 0 ELSE (x ->> 'base_quantity')::numeric END LOOP
		PERFORM distsync_internal.inventory_release((o ->> 'company') || '/' || (o ->> 'order_number') || '/' || (l ->> 'line'),
			(l ->> 'reserved')::numeric - CASE WHEN l ->> 'disposition' = 'reject' THEN 0 ELSE (l ->> 'base_quantity')::numeric END);
	END LOOP;
	RETURN o;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_take_stock(jsonb) IS 'Reserves the stock of a priced order, committed, and lays the answer over its lines; what a cut or rejected line does not use is given back.';

-- order_try_stock does the same so that a refusal leaves nothing behind: what was promised to some lines is undone with all of it.
CREATE FUNCTION distsync_internal.order_try_stock(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tried jsonb;
BEGIN
	IF o -> 'policy' ->> 'shortage' = 'backorder' OR (o -> 'policy' ->> 'all_or_none')::boolean THEN
		RETURN distsync_internal.order_take_stock(o);
	END IF;
	BEGIN
		tried := distsync_internal.order_take_stock(o);
		IF distsync_internal.order_refused(tried) IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD071', MESSAGE = 'order was refused', DETAIL = 'Everything it took is given back.', HINT = 'See the reasons of the answer.';
		END IF;
	EXCEPTION WHEN SQLSTATE 'SD071' THEN
		RETURN tried;
	END;
	RETURN tried;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_try_stock(jsonb) IS 'order_take_stock(), undone where the order is refused because no line is left.';

-- order_other_holds does the list of what holds an order besides credit: a blocked customer, a price that people must look at.
CREATE FUNCTION distsync_internal.order_other_holds(o jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT CASE WHEN o ->> 'status' = 'blocked' THEN jsonb_build_array(jsonb_build_object('kind', 'forced', 'owner', 'customer', 'reasons', jsonb_build_array(jsonb_build_object('rule', 'customer_status', 'status', 'blocked')))) ELSE '[]' END
		|| COALESCE((SELECT jsonb_build_array(jsonb_build_object('kind', 'manual', 'owner', 'pricing', 'reasons', jsonb_agg(jsonb_build_object('rule', 'price_changed', 'line', l -> 'line', 'item', l -> 'item',
				'expected', l -> 'expected_price', 'price', l -> 'unit_price') ORDER BY (l ->> 'ordinal')::integer)))
			FROM jsonb_array_elements(o -> 'lines') l WHERE l ->> 'disposition' = 'hold' HAVING count(*) > 0), '[]'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_other_holds(jsonb) IS 'Holds [{kind, owner, reasons}] that a decided order gets besides credit''s.';

-- order_credit_context does the facts that a credit decision about an order may look at.
CREATE FUNCTION distsync_internal.order_credit_context(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_strip_nulls(jsonb_build_object('order_id', o -> 'order_id', 'customer_id', o -> 'customer_id', 'order_number', o -> 'order_number', 'currency', o -> 'currency', 'verb', COALESCE(o ->> 'verb', 'submit_order'), 'payment_terms', o -> 'payment_terms', 'ship_on', o -> 'ship_on',
		'deposit', distsync_internal.credit_deposit((o ->> 'customer_id')::bigint, (o ->> 'account_id')::bigint, (o ->> 'company_id')::bigint, o ->> 'order_number'))));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_credit_context(jsonb) IS 'ctx of credit_decide() and credit_take() for a decided order.';

-- order_answer does the answer of submit_order and preview_order.
CREATE FUNCTION distsync_internal.order_answer(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_build_object('order_number', o -> 'order_number', 'state', o -> 'state', 'credit_state', o -> 'credit_state', 'currency', o -> 'currency', 'net_amount', o -> 'net_amount',
		'tax_amount', o -> 'tax_amount', 'gross_amount', o -> 'gross_amount', 'reasons', COALESCE(o -> 'reasons', '[]'), 'correlation_id', o -> 'correlation_id',
		'lines', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', l -> 'line', 'item', l -> 'item', 'requested_item', l -> 'requested_item', 'disposition', l -> 'disposition', 'reason', l -> 'reason', 'quantity', l -> 'quantity',
				'requested_quantity', l -> 'requested_quantity', 'unit', l -> 'unit', 'base_quantity', l -> 'base_quantity', 'unit_price', l -> 'unit_price', 'price_per', l -> 'price_per',
				'expected_price', l -> 'expected_price', 'net_amount', l -> 'net_amount', 'tax_code', l -> 'tax_code', 'tax_amount', l -> 'tax_amount', 'agreement', l -> 'agreement',
				'price_code', l -> 'price_code', 'price_valid_until', l -> 'price_valid_until', 'site', (SELECT s.code FROM dist.site s WHERE s.site_id = (l ->> 'site_id')::bigint),
				'components', distsync_internal.order_components(l -> 'components', (l ->> 'base_quantity')::numeric), 'reserved', l -> 'reserved', 'backordered', l -> 'backordered', 'available', CASE WHEN l ? 'reason' THEN l -> 'available' END, 'promised_at', l -> 'promised_at')) ORDER BY (l ->> 'ordinal')::integer)
			FROM jsonb_array_elements(o -> 'lines') l),
		'detail', jsonb_strip_nulls(jsonb_build_object('company', o -> 'company', 'customer', o -> 'customer', 'credit_account', o -> 'account', 'policy', o -> 'policy', 'cure', o -> 'decision' -> 'cure',
			'credit_valid_until', o -> 'decision' -> 'valid_until', 'warnings', NULLIF(o -> 'decision' -> 'warnings', '[]')))));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_answer(jsonb) IS 'The answer row of submit_order() and preview_order() as an object.';

-- order_check does the refusals that need nothing but the document and what is known of the customer.
CREATE FUNCTION distsync_internal.order_check(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT CASE
		WHEN o ->> 'status' = 'inactive' THEN jsonb_build_array(jsonb_build_object('rule', 'customer_status', 'status', 'inactive'))
		WHEN o -> 'policy' ->> 'duplicate_po' = 'refuse' AND x.twin IS NOT NULL THEN jsonb_build_array(jsonb_build_object('rule', 'duplicate_po', 'customer_po', o -> 'customer_po', 'order_number', x.twin)) END
	FROM (SELECT min(s.order_number) AS twin FROM dist.sales_order s
		WHERE s.customer_id = (o ->> 'customer_id')::bigint AND s.customer_po = o ->> 'customer_po' AND s.state NOT IN ('cancelled', 'rejected') AND s.order_number IS DISTINCT FROM o ->> 'order_number') x);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_check(jsonb) IS 'Reasons for refusing an order before it is priced: inactive customer, duplicate PO number by policy. NULL = none.';

-- order_meanwhile does the ending of a call whose document somebody else has booked since it was read: brought again it is known.
CREATE FUNCTION distsync_internal.order_meanwhile(what text, number text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = format('%s "%s" was booked while it was read', replace(what, '_', ' '), number), DETAIL = 'Field: number. Two calls brought it at once.', HINT = 'Bring it again: it is known now.';
END
$$;
COMMENT ON FUNCTION distsync_internal.order_meanwhile(text, text) IS 'Raises 40001 for a document that another transaction has booked since it was read.';

-- order_write does the storing of a decided order with its lines and the proof of their prices.
CREATE FUNCTION distsync_internal.order_write(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.sales_order (customer_id, order_id, company_id, order_number, source, owner_number, ship_to_id, payer_id, job_id, channel_id, account_id, currency, customer_po, ordered_at, requested_at, state,
		credit_state, net_amount, tax_amount, gross_amount, exposure_amount, deposit_amount, policy, decision, backfill, correlation_id, answer_due_at, payment_terms, ship_on, ext)
	VALUES ((o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint, (o ->> 'company_id')::bigint, o ->> 'order_number', o ->> 'source', o ->> 'owner_number', (o ->> 'ship_to_id')::bigint, (o ->> 'payer_id')::bigint,
		(o ->> 'job_id')::bigint, (o ->> 'channel_id')::bigint, (o ->> 'account_id')::bigint, o ->> 'currency', o ->> 'customer_po', (o ->> 'ordered_at')::timestamptz, (o ->> 'requested_at')::timestamptz, o ->> 'state',
		o ->> 'credit_state', (o ->> 'net_amount')::numeric, (o ->> 'tax_amount')::numeric, (o ->> 'gross_amount')::numeric,
		CASE WHEN o ->> 'credit_state' = 'approved' THEN (o ->> 'account_amount')::numeric ELSE 0 END,
		distsync_internal.credit_deposit((o ->> 'customer_id')::bigint, (o ->> 'account_id')::bigint, (o ->> 'company_id')::bigint, o ->> 'order_number', o ->> 'currency'), o -> 'policy',
		jsonb_build_object('account_amount', o -> 'account_amount', 'stock', 'kept', 'credit', (o -> 'decision') - 'rules',
			'lines', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', l -> 'line', 'price_code', l -> 'price_code', 'price', l -> 'price_detail', 'reserved', l -> 'reserved', 'sources', l -> 'sources', 'backordered', l -> 'backordered', 'reason', l -> 'reason')))
				FROM jsonb_array_elements(o -> 'lines') l)),
		COALESCE((o ->> 'backfill')::boolean, false), (o ->> 'correlation_id')::uuid,
		CASE WHEN o ->> 'state' IN ('accepted', 'sent') THEN clock_timestamp() + (o -> 'policy' ->> 'answer_within')::interval END, o ->> 'payment_terms', (o ->> 'ship_on')::date, COALESCE(o -> 'ext', '{}'))
	ON CONFLICT ON CONSTRAINT sales_order_number_uq DO NOTHING;
	IF NOT FOUND AND o ? 'known' THEN
		PERFORM distsync_internal.order_meanwhile('order', o ->> 'order_number');
	ELSIF NOT FOUND THEN
		PERFORM distsync_internal.order_refuse('SD008', 'order_number', format('order "%s" exists in company "%s"', o ->> 'order_number', o ->> 'company'), 'Use another number, or repeat the call with its first idempotency key.');
	END IF;
	PERFORM distsync_internal.order_write_lines(o);
	PERFORM distsync_internal.pricing_keep_proof((o ->> 'customer_id')::bigint, o ->> 'price_proof', o -> 'price_document');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_write(jsonb) IS 'Stores a decided order, its lines and the proof of its prices. Errors: SD008 the number is taken, 40001 that of a fact was taken meanwhile.';

-- order_write_lines does the storing of lines, or their replacement by what the owner says now.
CREATE FUNCTION distsync_internal.order_write_lines(o jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	INSERT INTO dist.order_line AS t (customer_id, order_id, line_no, item_id, requested_item_id, quantity, requested_quantity, unit, base_quantity, unit_price, price_per, expected_price, net_amount, tax_code, tax_amount, tax_by,
		agreement_code, price_proof, disposition, site_id, reservation_id, components, requested_at, promised_at, ext)
	SELECT (o ->> 'customer_id')::bigint, (o ->> 'order_id')::bigint, (l ->> 'line')::integer, (l ->> 'item_id')::bigint, COALESCE((l ->> 'requested_item_id')::bigint, (l ->> 'item_id')::bigint), (l ->> 'quantity')::numeric, (l ->> 'requested_quantity')::numeric, l ->> 'unit',
		(l ->> 'base_quantity')::numeric, COALESCE((l ->> 'unit_price')::numeric, 0), (l ->> 'price_per')::integer, (l ->> 'expected_price')::numeric, (l ->> 'net_amount')::numeric, l ->> 'tax_code', (l ->> 'tax_amount')::numeric,
		CASE WHEN (l ->> 'tax_told')::numeric <> 0 THEN o ->> 'source' END, l ->> 'agreement', decode(l ->> 'price_proof', 'hex'), l ->> 'disposition', (l ->> 'site_id')::bigint, (l ->> 'reservation_id')::bigint, NULLIF(l -> 'components', 'null'),
		COALESCE((l ->> 'requested_at')::timestamptz, (o ->> 'requested_at')::timestamptz), (l ->> 'promised_at')::timestamptz, COALESCE(l -> 'ext', '{}')
	FROM jsonb_array_elements(o -> 'lines') l
	ON CONFLICT (customer_id, order_id, line_no) DO UPDATE SET quantity = excluded.quantity, unit = excluded.unit, base_quantity = excluded.base_quantity, unit_price = excluded.unit_price, price_per = excluded.price_per,
		net_amount = excluded.net_amount, tax_code = excluded.tax_code, tax_amount = excluded.tax_amount, tax_by = excluded.tax_by, site_id = COALESCE(excluded.site_id, t.site_id), requested_at = excluded.requested_at,
		promised_at = COALESCE(excluded.promised_at, t.promised_at), item_id = excluded.item_id, components = CASE WHEN excluded.item_id = t.item_id THEN t.components ELSE excluded.components END, ext = t.ext || excluded.ext
	WHERE (t.quantity, t.unit, t.base_quantity, t.unit_price, t.price_per, t.net_amount, t.tax_code, t.tax_amount, t.item_id, COALESCE(excluded.site_id, t.site_id), t.requested_at)
		IS DISTINCT FROM (excluded.quantity, excluded.unit, excluded.base_quantity, excluded.unit_price, excluded.price_per, excluded.net_amount, excluded.tax_code, excluded.tax_amount, excluded.item_id, t.site_id, excluded.requested_at);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_write_lines(jsonb) IS 'Writes the lines of an order, replacing those with the same number. Returns how many changed.';

-- order_exceptions does the opening of what people must know about an accepted order.
CREATE FUNCTION distsync_internal.order_exceptions(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (o ->> 'company') || '/' || (o ->> 'order_number');
	l jsonb;
	twin text;
BEGIN
	FOR l IN SELECT x FROM jsonb_array_elements(o -> 'lines') x WHERE x ->> 'reason' = 'price_changed' OR x ->> 'disposition' = 'changed_price' OR x ->> 'disposition' = 'hold' LOOP
		PERFORM distsync_internal.base_exception('price_changed', key || '/' || (l ->> 'line'), 'price', 'warning', o ->> 'company', 'order', key,
			jsonb_build_object('line', l -> 'line', 'item', l -> 'item', 'expected', l -> 'expected_price', 'price', l -> 'unit_price', 'agreement', l -> 'agreement'), NULL,
			abs((l ->> 'unit_price')::numeric - (l ->> 'expected_price')::numeric) * (l ->> 'requested_quantity')::numeric / (l ->> 'price_per')::numeric, o ->> 'currency', (o ->> 'correlation_id')::uuid);
	END LOOP;
	IF o -> 'policy' ->> 'duplicate_po' = 'warn' AND o ->> 'customer_po' IS NOT NULL THEN
		SELECT min(s.order_number) INTO twin FROM dist.sales_order s WHERE s.customer_id = (o ->> 'customer_id')::bigint AND s.customer_po = o ->> 'customer_po'
			AND s.order_id <> (o ->> 'order_id')::bigint AND s.state NOT IN ('cancelled', 'rejected');
		IF twin IS NOT NULL THEN
			PERFORM distsync_internal.base_exception('duplicate_po', key, 'order', 'warning', o ->> 'company', 'order', key, jsonb_build_object('customer_po', o -> 'customer_po', 'order_number', twin), NULL,
				(o ->> 'gross_amount')::numeric, o ->> 'currency', (o ->> 'correlation_id')::uuid);
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_exceptions(jsonb) IS 'Opens price_changed for each line with another price than expected, duplicate_po where the customer''s PO number is known.';
