-- Invoices and memos: what was unbilled becomes receivable; every amount stands in one place.

-- order_invoice_lines does the reading of the lines of an invoice beside those of its order, one after the other.
CREATE FUNCTION distsync_internal.order_invoice_lines(told jsonb, customer_id bigint, order_id bigint, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	x record;
	item bigint;
	quantity numeric;
	base numeric;
	taken jsonb := '{}';
	lines jsonb[] := '{}';
BEGIN
	FOR l IN SELECT t.value AS doc, t.place, (t.value ->> 'order_line')::integer AS line, format('lines[%s].', t.place - 1) AS at FROM jsonb_array_elements(NULLIF(told, 'null')) WITH ORDINALITY t(value, place) ORDER BY t.place LOOP
		item := distsync_internal.master_item(l.doc ->> 'sku', l.at || 'sku', source);
		SELECT * INTO x FROM distsync_internal.order_line_for(order_invoice_lines.customer_id, order_invoice_lines.order_id, l.line, item, taken, true);
		item := COALESCE(item, x.line_item_id);
		quantity := distsync_internal.order_number_in(l.doc, 'quantity', l.at || 'quantity', 6, 'positive');
		base := CASE WHEN item IS NOT NULL THEN distsync_internal.master_to_base(item, quantity, COALESCE(l.doc ->> 'unit', x.unit)) END;
		IF x.line_no IS NOT NULL AND base IS NOT NULL THEN
			taken := taken || jsonb_build_object(x.line_no::text, COALESCE((taken ->> x.line_no::text)::numeric, 0) + base);
		END IF;
		lines := lines || jsonb_build_object('place', l.place, 'doc', l.doc, 'item_id', item, 'line', x.line_no, 'quantity', quantity, 'base_quantity', base,
			'unit_price', COALESCE(distsync_internal.order_number_in(l.doc, 'unit_price', l.at || 'unit_price', 8), 0), 'net', COALESCE(distsync_internal.order_number_in(l.doc, 'net_amount', l.at || 'net_amount', 4), 0),
			'tax', COALESCE(distsync_internal.order_number_in(l.doc, 'tax_amount', l.at || 'tax_amount', 4), 0));
	END LOOP;
	RETURN to_jsonb(lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_lines(jsonb, bigint, bigint, text) IS
	'Lines of an invoice or memo resolved: [{place, doc, line of the order or null, item_id, quantity, base_quantity, unit_price, net, tax}]. Errors: SD001, SD002, SD004 naming the field.';

-- order_invoice_shares does the telling of what lines cost that do not say it: by their price, else what the others leave of the invoice, in proportion
-- to the order's prices; the last takes the rest.
CREATE FUNCTION distsync_internal.order_invoice_shares(lines jsonb, customer_id bigint, order_id bigint, net numeric, tax numeric, minor_units integer) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH l AS (
		SELECT t.l, t.place, t.l -> 'doc' ->> 'net_amount' IS NULL AND (t.l ->> 'line' IS NOT NULL OR t.l -> 'doc' ->> 'unit_price' IS NOT NULL) AND t.l ->> 'quantity' IS NOT NULL AS silent,
			(t.l ->> 'net')::numeric AS net, (t.l ->> 'tax')::numeric AS tax, CASE WHEN t.l -> 'doc' ->> 'unit_price' IS NOT NULL THEN (t.l ->> 'quantity')::numeric * (t.l ->> 'unit_price')::numeric / COALESCE((t.l -> 'doc' ->> 'price_per')::integer, 1)
				ELSE x.net_amount * (t.l ->> 'base_quantity')::numeric / NULLIF(x.base_quantity, 0) END AS worth, x.tax_amount * (t.l ->> 'base_quantity')::numeric / NULLIF(x.base_quantity, 0) AS levy
		FROM jsonb_array_elements(lines) WITH ORDINALITY t(l, place)
		LEFT JOIN dist.order_line x ON x.customer_id = order_invoice_shares.customer_id AND x.order_id = order_invoice_shares.order_id AND x.line_no = (t.l ->> 'line')::integer
	), left_over AS (
		SELECT greatest(order_invoice_shares.net - COALESCE(sum(l.net), 0), 0) AS net, greatest(order_invoice_shares.tax - COALESCE(sum(l.tax), 0), 0) AS tax FROM l
	), upto AS (
		SELECT l.*, round(r.net * sum(l.worth) OVER w / NULLIF(sum(l.worth) OVER (), 0), minor_units) AS net_upto, round(r.tax * sum(l.levy) OVER w / NULLIF(sum(l.levy) OVER (), 0), minor_units) AS tax_upto
		FROM l, left_over r WHERE l.silent WINDOW w AS (ORDER BY l.place)
	), share AS (
		SELECT u.place, COALESCE(u.net_upto - lag(u.net_upto, 1, 0::numeric) OVER w, 0) AS net, CASE WHEN u.l -> 'doc' ->> 'tax_amount' IS NULL THEN COALESCE(u.tax_upto - lag(u.tax_upto, 1, 0::numeric) OVER w, 0) ELSE u.tax END AS tax
		FROM upto u WINDOW w AS (ORDER BY u.place)
	)
	SELECT COALESCE(jsonb_agg(CASE WHEN s.place IS NOT NULL THEN l.l || jsonb_build_object('net', s.net, 'tax', s.tax) ELSE l.l END ORDER BY l.place), '[]') FROM l LEFT JOIN share s USING (place)
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_shares(jsonb, bigint, bigint, numeric, numeric, integer) IS
	'Resolved lines of an invoice, where those without net_amount have their share of what the others leave of net and tax, in proportion to their unit_price, else to the order''s prices; they add up to it.';

-- order_invoice_terms does the checks of discount and instalments.
CREATE FUNCTION distsync_internal.order_invoice_terms(doc jsonb, gross numeric, discount numeric, parts jsonb, dated boolean) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	total numeric := (SELECT sum(distsync_internal.order_number_in(p.value, 'amount', format('instalments[%s].amount', p.place - 1), 4, 'positive')) FROM jsonb_array_elements(parts) WITH ORDINALITY p(value, place));
BEGIN
	IF discount > 0 AND doc ->> 'kind' = 'credit_memo' THEN
		PERFORM distsync_internal.order_refuse('SD002', 'discount_amount', 'a credit memo has no cash discount', 'Leave it out.');
	ELSIF discount > 0 AND discount >= gross THEN
		PERFORM distsync_internal.order_refuse('SD002', 'discount_amount', format('a discount of %s of %s leaves nothing', discount, gross), 'Send a discount below gross_amount.');
	ELSIF discount > 0 AND doc ->> 'discount_until' IS NULL AND NOT dated THEN
		PERFORM distsync_internal.order_refuse('SD005', 'discount_until', 'a cash discount needs its last day', 'Send discount_until, or terms such as 2/10 NET30.');
	ELSIF jsonb_array_length(parts) > 100 THEN
		PERFORM distsync_internal.order_refuse('SD006', 'instalments', format('%s instalments', jsonb_array_length(parts)), 'Send at most 100.');
	ELSIF total <> gross THEN
		PERFORM distsync_internal.order_refuse('SD002', 'instalments', format('instalments are %s, the invoice is %s', total, gross), 'Send instalments that add up to gross_amount.');
	ELSIF total IS NOT NULL AND doc ->> 'kind' = 'credit_memo' THEN
		PERFORM distsync_internal.order_refuse('SD002', 'instalments', 'a credit memo has no instalments', 'Leave them out.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_terms(jsonb, numeric, numeric, jsonb, boolean) IS
	'Checks cash discount and instalments of an invoice document; dated: its terms say until when. Errors: SD002, SD005, SD006 naming the field.';

-- order_invoice_read does the reading of an invoice or memo.
CREATE FUNCTION distsync_internal.order_invoice_read(d jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	tz text := COALESCE((SELECT c.tz FROM dist.company c WHERE c.company_id = (d ->> 'company_id')::bigint), 'UTC');
	issued timestamptz := COALESCE(distsync_internal.order_instant_in(doc, 'issued_at', 'issued_at', tz), clock_timestamp());
	net numeric := distsync_internal.order_number_in(doc, 'net_amount', 'net_amount', 4, 'nonnegative');
	tax numeric := COALESCE(distsync_internal.order_number_in(doc, 'tax_amount', 'tax_amount', 4, 'nonnegative'), 0);
	gross numeric := distsync_internal.order_number_in(doc, 'gross_amount', 'gross_amount', 4, 'nonnegative');
	buyer bigint := distsync_internal.master_party(doc ->> 'customer', 'customer', source);
	payer bigint;
	o record;
	s record;
	pays record;
	parts jsonb := COALESCE(NULLIF(doc -> 'instalments', 'null'), '[]');
	discount numeric;
	minor_units integer := (SELECT c.minor_units FROM dist.currency c WHERE c.currency = doc ->> 'currency');
BEGIN
	SELECT * INTO pays FROM distsync_internal.credit_terms(doc ->> 'terms');
	SELECT x.* INTO s FROM dist.shipment x WHERE x.company_id = (d ->> 'company_id')::bigint AND x.shipment_number = doc ->> 'shipment_number';
	SELECT x.* INTO o FROM dist.sales_order x WHERE x.company_id = (d ->> 'company_id')::bigint AND x.kind = 'order'
		AND (x.order_id = s.order_id OR x.order_number = doc ->> 'order_number' OR x.owner_number = doc ->> 'order_number') ORDER BY x.order_id = s.order_id DESC, x.order_number = doc ->> 'order_number' DESC LIMIT 1;
	IF o.order_id IS NULL AND doc ->> 'corrects' IS NOT NULL THEN
		SELECT x.* INTO o FROM dist.invoice i JOIN dist.sales_order x ON x.order_id = i.order_id
		WHERE i.company_id = (d ->> 'company_id')::bigint AND i.kind = 'invoice' AND i.invoice_number = doc ->> 'corrects';
	END IF;
	IF o.order_id IS NULL AND doc ->> 'rebills' IS NOT NULL THEN
		-- what an invoice billed of an order is billed again of it
		SELECT x.* INTO o FROM dist.invoice i JOIN dist.sales_order x ON x.order_id = i.order_id
		WHERE i.company_id = (d ->> 'company_id')::bigint AND i.kind = 'invoice' AND i.status = 'void' AND i.invoice_number = doc ->> 'rebills';
	END IF;
	IF net IS NULL OR net + tax <> COALESCE(gross, net + tax) THEN
		PERFORM distsync_internal.order_refuse('SD002', CASE WHEN net IS NULL THEN 'net_amount' ELSE 'gross_amount' END, format('gross %s is not net %s and tax %s', gross, net, tax), 'Send net_amount and tax_amount that add up to gross_amount.');
	ELSIF NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = doc ->> 'currency') THEN
		PERFORM distsync_internal.order_refuse('SD003', 'currency', format('unknown currency "%s"', doc ->> 'currency'), 'Send the currency first, or correct it.');
	ELSIF doc ->> 'return_number' IS NOT NULL AND doc ->> 'kind' IS DISTINCT FROM 'credit_memo' THEN
		PERFORM distsync_internal.order_refuse('SD002', 'return_number', 'only a credit memo credits a return', 'Leave it out.');
	ELSIF buyer IS NULL AND o.order_id IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'customer', 'an invoice needs a customer or an order that is known', 'Name the customer.');
	END IF;
	discount := COALESCE(distsync_internal.order_number_in(doc, 'discount_amount', 'discount_amount', 4, 'nonnegative'),
		CASE WHEN doc ->> 'kind' IS DISTINCT FROM 'credit_memo' THEN round((net + tax) * pays.percent / 100, minor_units) END, 0);
	PERFORM distsync_internal.order_invoice_terms(doc, net + tax, discount, parts, pays.discount_days IS NOT NULL);
	-- who was to pay the order pays it, unless the owner bills somebody else
	payer := CASE WHEN o.order_id IS NOT NULL AND COALESCE(buyer, o.customer_id) = o.customer_id THEN o.payer_id ELSE (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = buyer) END;
	RETURN d || jsonb_build_object('kind', COALESCE(doc ->> 'kind', 'invoice'), 'order_id', o.order_id, 'customer_id', o.customer_id, 'order_number', o.order_number, 'shipment_id', s.shipment_id, 'account_id', o.account_id,
		'payer_id', payer, 'own_payer', payer = o.payer_id, 'sold_to_id', COALESCE(o.customer_id, buyer),
		'correlation_id', COALESCE(o.correlation_id, s.correlation_id), 'issued_at', issued, 'net', net, 'tax', tax, 'gross', net + tax,
		'due_on', COALESCE((doc ->> 'due_on')::date, (SELECT min((n ->> 'due_on')::date) FROM jsonb_array_elements(parts) n), (issued AT TIME ZONE tz)::date + COALESCE(pays.net_days, 0)),
		'instalments', NULLIF(parts, '[]'), 'discount_amount', discount, 'discount_until', CASE WHEN discount > 0 THEN COALESCE((doc ->> 'discount_until')::date, (issued AT TIME ZONE tz)::date + pays.discount_days) END,
		'voided_at', distsync_internal.order_instant_in(doc, 'voided_at', 'voided_at', tz),
		'lines', distsync_internal.order_invoice_shares(distsync_internal.order_invoice_lines(doc -> 'lines', o.customer_id, o.order_id, source), o.customer_id, o.order_id, net, tax, minor_units));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_read(jsonb, text) IS
	'An invoice or memo {doc, company_id} with payer, order, shipment, account, due day (due_on, else terms NETn, else at once) and lines resolved. Errors: SD001, SD002, SD003, SD004, SD005 naming the field.';

-- order_invoice_quantities does the noting of what has been invoiced of each line; an invoice without lines bills what was shipped.
CREATE FUNCTION distsync_internal.order_invoice_quantities(v jsonb, OUT shipped numeric, OUT ahead numeric, OUT billed jsonb)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH line AS (
		SELECT x.* FROM dist.order_line x WHERE x.customer_id = (v ->> 'customer_id')::bigint AND x.order_id = (v ->> 'order_id')::bigint
	), n AS (
		SELECT (l ->> 'line')::integer AS line_no, sum((l ->> 'base_quantity')::numeric) AS quantity FROM jsonb_array_elements(v -> 'lines') l WHERE l ->> 'line' IS NOT NULL GROUP BY 1
		UNION ALL
		SELECT x.line_no, CASE WHEN v ->> 'shipment_id' IS NOT NULL THEN x.invoiced_quantity + COALESCE((SELECT sum(s.quantity) FROM dist.shipment_line s
				WHERE s.customer_id = x.customer_id AND s.shipment_id = (v ->> 'shipment_id')::bigint AND s.order_line_no = x.line_no), 0)
			WHEN EXISTS (SELECT FROM line y WHERE y.shipped_quantity > 0) THEN x.shipped_quantity
			ELSE x.base_quantity - x.cancelled_quantity END
		FROM line x WHERE v -> 'lines' = '[]'
	), billed AS (
		UPDATE dist.order_line t SET invoiced_quantity = CASE WHEN v -> 'lines' <> '[]' THEN t.invoiced_quantity + n.quantity ELSE greatest(t.invoiced_quantity, n.quantity) END
		FROM n WHERE t.customer_id = (v ->> 'customer_id')::bigint AND t.order_id = (v ->> 'order_id')::bigint AND t.line_no = n.line_no AND n.quantity IS NOT NULL
		RETURNING t.line_no, t.invoiced_quantity
	)
	SELECT COALESCE(sum(w.gross * w.shipped / w.whole), 0), COALESCE(sum(w.gross * (w.quantity - w.shipped) / w.whole), 0), jsonb_object_agg(w.line_no, w.quantity) FILTER (WHERE w.quantity > 0)
	FROM (SELECT x.line_no, x.net_amount + x.tax_amount AS gross, NULLIF(x.base_quantity, 0) AS whole, b.invoiced_quantity - x.invoiced_quantity AS quantity,
			least(b.invoiced_quantity - x.invoiced_quantity, greatest(x.shipped_quantity - x.invoiced_quantity, 0)) AS shipped
		FROM billed b JOIN line x USING (line_no)) w
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_quantities(jsonb) IS
	'Adds what a read invoice bills to the invoiced quantities of the order''s lines. Returns what these are worth gross by the order''s prices, in its currency, unrounded: of what has shipped, and of what is billed ahead of it; and {line: base units}.';

-- order_invoice_exposure does the taking of what is billed now out of unbilled, and out of open orders where the invoice came first.
CREATE FUNCTION distsync_internal.order_invoice_exposure(v jsonb, shipped numeric, ahead numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	o record;
	rest numeric := shipped;
	part numeric;
BEGIN
	FOR s IN SELECT x.customer_id, x.shipment_id, x.unbilled_amount,
			NOT EXISTS (SELECT FROM dist.shipment_line l JOIN dist.order_line t ON t.customer_id = x.customer_id AND t.order_id = x.order_id AND t.line_no = l.order_line_no
				WHERE l.customer_id = x.customer_id AND l.shipment_id = x.shipment_id AND t.invoiced_quantity < t.shipped_quantity) AS billed
		FROM dist.shipment x WHERE x.customer_id = (v ->> 'customer_id')::bigint AND x.order_id = (v ->> 'order_id')::bigint AND x.unbilled_amount > 0
			AND (v ->> 'shipment_id' IS NULL OR x.shipment_id = (v ->> 'shipment_id')::bigint)
		ORDER BY x.shipped_at, x.shipment_id
	LOOP
		part := CASE WHEN s.billed THEN s.unbilled_amount ELSE least(s.unbilled_amount, greatest(rest, 0)) END;
		UPDATE dist.shipment x SET unbilled_amount = x.unbilled_amount - part WHERE x.customer_id = s.customer_id AND x.shipment_id = s.shipment_id;
		PERFORM distsync_internal.credit_count((v ->> 'account_id')::bigint, -part, 'unbilled');
		rest := rest - part;
	END LOOP;
	SELECT x.exposure_amount, x.credit_state, x.ship_on, bool_or(t.invoiced_quantity > t.shipped_quantity) AS ahead, bool_and(t.invoiced_quantity >= t.base_quantity - t.cancelled_quantity) AS all_billed INTO o
	FROM dist.sales_order x JOIN dist.order_line t ON t.customer_id = x.customer_id AND t.order_id = x.order_id
	WHERE x.customer_id = (v ->> 'customer_id')::bigint AND x.order_id = (v ->> 'order_id')::bigint GROUP BY x.exposure_amount, x.credit_state, x.ship_on;
	IF o.ahead THEN
		part := CASE WHEN o.all_billed THEN o.exposure_amount ELSE least(o.exposure_amount, ahead) END;
		UPDATE dist.sales_order x SET exposure_amount = x.exposure_amount - part WHERE x.customer_id = (v ->> 'customer_id')::bigint AND x.order_id = (v ->> 'order_id')::bigint;
		PERFORM distsync_internal.credit_count((v ->> 'account_id')::bigint, -part, 'open_orders', o.ship_on, (v ->> 'order_id')::bigint);
		IF o.credit_state = 'held' THEN
			FOR s IN SELECT x.* FROM dist.hold x WHERE x.customer_id = (v ->> 'customer_id')::bigint AND x.order_id = (v ->> 'order_id')::bigint AND x.account_id IS NOT NULL AND x.released_at IS NULL ORDER BY x.amount DESC LOOP
				part := CASE WHEN o.all_billed THEN s.amount ELSE least(s.amount, ahead) END;
				UPDATE dist.hold x SET amount = x.amount - part WHERE x.customer_id = s.customer_id AND x.hold_id = s.hold_id;
				PERFORM distsync_internal.credit_add((v ->> 'account_id')::bigint, held_demand => -part);
				ahead := ahead - part;
			END LOOP;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_exposure(jsonb, numeric, numeric) IS
	'Takes what the billed quantities are worth by the order''s prices (in the account''s currency), whatever the invoice charges for them, out of the unbilled amounts of the order''s shipments, and out of its open exposure, or its held demand, where goods were billed before they left; fully billed shipments and orders leave nothing.';

-- order_invoice_post does the booking of one invoice or memo that was read.
CREATE FUNCTION distsync_internal.order_invoice_post(v jsonb, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := v -> 'doc';
	payer bigint := (v ->> 'payer_id')::bigint;
	what text := v ->> 'kind';
	id bigint;
	item bigint;
	correlation uuid := COALESCE((v ->> 'correlation_id')::uuid, (ctx ->> 'correlation_id')::uuid);
BEGIN
	INSERT INTO dist.invoice (customer_id, company_id, invoice_number, kind, sold_to_id, order_id, shipment_id, corrects_number, return_number, rebills_number, issued_at, terms, due_on, currency, net_amount, tax_amount, gross_amount, source, correlation_id, ext)
	VALUES (payer, (v ->> 'company_id')::bigint, doc ->> 'invoice_number', what, NULLIF((v ->> 'sold_to_id')::bigint, payer), (v ->> 'order_id')::bigint, (v ->> 'shipment_id')::bigint, doc ->> 'corrects', doc ->> 'return_number', doc ->> 'rebills', (v ->> 'issued_at')::timestamptz,
		doc ->> 'terms', (v ->> 'due_on')::date, doc ->> 'currency', (v ->> 'net')::numeric, (v ->> 'tax')::numeric, (v ->> 'gross')::numeric, ctx ->> 'source', correlation, COALESCE(doc -> 'ext', '{}'))
	ON CONFLICT DO NOTHING
	RETURNING invoice_id INTO id;
	IF id IS NULL THEN
		PERFORM distsync_internal.order_meanwhile(what, doc ->> 'invoice_number');
	END IF;
	INSERT INTO dist.invoice_line (customer_id, invoice_id, line_no, order_line_no, item_id, description, quantity, unit, base_quantity, unit_price, price_per, net_amount, tax_code, tax_amount)
	SELECT payer, id, (l ->> 'place')::integer, (l ->> 'line')::integer, (l ->> 'item_id')::bigint, l -> 'doc' ->> 'description', COALESCE((l ->> 'quantity')::numeric, 1), l -> 'doc' ->> 'unit', (l ->> 'base_quantity')::numeric, (l ->> 'unit_price')::numeric,
		COALESCE((l -> 'doc' ->> 'price_per')::integer, 1), (l ->> 'net')::numeric, l -> 'doc' ->> 'tax_code', (l ->> 'tax')::numeric
	FROM jsonb_array_elements(v -> 'lines') l;
	IF v ->> 'order_id' IS NOT NULL THEN
		PERFORM distsync_internal.order_count_volume((v ->> 'customer_id')::bigint, (v ->> 'order_id')::bigint, (doc ->> 'company') || '/' || (v ->> 'order_number'), NULL, true, ctx || jsonb_build_object('correlation_id', correlation));
	END IF;
	item := distsync_internal.credit_post_item(payer, (v ->> 'post_account_id')::bigint, (v ->> 'company_id')::bigint, what, doc ->> 'invoice_number', doc ->> 'currency', (v ->> 'gross')::numeric,
		(v ->> 'issued_at')::timestamptz, (v ->> 'due_on')::date, ctx || jsonb_strip_nulls(jsonb_build_object('order_number', v -> 'order_number', 'discount_amount', v -> 'discount_amount', 'discount_until', v -> 'discount_until', 'instalments', v -> 'instalments', 'dunning_level', doc -> 'dunning_level')));
	IF what = 'invoice' AND v ->> 'order_id' IS NOT NULL THEN
		PERFORM distsync_internal.order_invoice_order(v, item, ctx);
	ELSIF what = 'credit_memo' AND doc ->> 'corrects' IS NOT NULL THEN
		PERFORM distsync_internal.credit_apply(payer, item, t.open_item_id, least(t.open_amount, (v ->> 'gross')::numeric), ctx)
		FROM dist.open_item t WHERE t.customer_id = payer AND t.company_id = (v ->> 'company_id')::bigint AND t.kind = 'invoice' AND t.document_number = doc ->> 'corrects' AND t.open_amount > 0 AND t.currency = doc ->> 'currency' AND item IS NOT NULL;
	END IF;
	IF what = 'credit_memo' AND (doc ->> 'rebill')::boolean AND doc ->> 'status' IS DISTINCT FROM 'void' THEN
		PERFORM distsync_internal.order_rebill_await(payer, id, (SELECT t.account_total FROM dist.open_item t WHERE t.customer_id = payer AND t.open_item_id = item));
	ELSIF doc ->> 'rebills' IS NOT NULL THEN
		PERFORM distsync_internal.order_rebill_end((v ->> 'company_id')::bigint, doc ->> 'rebills', 'done');
	END IF;
	IF doc ->> 'return_number' IS NOT NULL THEN
		PERFORM distsync_internal.order_return_memo(payer, id, ctx);
	END IF;
	IF NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.base_emit('customer', payer, 'invoice.posted', 'invoice', (doc ->> 'company') || '/' || (doc ->> 'invoice_number'),
			(SELECT jsonb_build_object('company', doc -> 'company', 'invoice_number', doc -> 'invoice_number', 'kind', what, 'customer', p.code, 'order_number', v -> 'order_number', 'shipment_number', doc -> 'shipment_number',
				'issued_at', v -> 'issued_at', 'due_on', v -> 'due_on', 'currency', doc -> 'currency', 'net_amount', v -> 'net', 'tax_amount', v -> 'tax', 'gross_amount', v -> 'gross') FROM dist.party p WHERE p.party_id = payer),
			correlation, (ctx ->> 'causation_id')::uuid, ctx ->> 'source');
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_post(jsonb, jsonb) IS
	'Books a read invoice or memo with post_account_id: rows, open item, exposure from unbilled to receivable, credit memo against what it corrects; emits invoice.posted. Returns its id. The caller holds the locks, and accrues.';

-- order_invoice_order does what an invoice means for its order: quantities, exposure, the state closed, an exception if it came first.
CREATE FUNCTION distsync_internal.order_invoice_order(v jsonb, item bigint, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (v -> 'doc' ->> 'company') || '/' || (v -> 'doc' ->> 'invoice_number');
	w record;
	t record;
BEGIN
	SELECT * INTO w FROM distsync_internal.order_invoice_quantities(v);
	UPDATE dist.invoice i SET billed = w.billed WHERE i.company_id = (v ->> 'company_id')::bigint AND i.kind = v ->> 'kind' AND i.invoice_number = v -> 'doc' ->> 'invoice_number' AND w.billed IS NOT NULL;
	PERFORM distsync_internal.order_invoice_exposure(v, COALESCE(round(w.shipped * x.total / x.gross, x.minor_units), 0), COALESCE(round(w.ahead * x.total / x.gross, x.minor_units), 0))
	FROM (SELECT (o.decision ->> 'account_amount')::numeric AS total, NULLIF(o.gross_amount, 0) AS gross, m.minor_units
		FROM dist.sales_order o JOIN dist.credit_account a ON a.account_id = o.account_id JOIN dist.currency m ON m.currency = a.currency
		WHERE o.customer_id = (v ->> 'customer_id')::bigint AND o.order_id = (v ->> 'order_id')::bigint) x;
	SELECT bool_or(l.invoiced_quantity > l.shipped_quantity) AS ahead, bool_and(l.invoiced_quantity >= greatest(l.base_quantity - l.cancelled_quantity, l.shipped_quantity) AND l.shipped_quantity >= l.base_quantity - l.cancelled_quantity) AS done INTO t
	FROM dist.order_line l WHERE l.customer_id = (v ->> 'customer_id')::bigint AND l.order_id = (v ->> 'order_id')::bigint;
	IF t.ahead AND NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.base_exception('invoice_without_shipment', key, 'order', 'warning', v -> 'doc' ->> 'company', 'invoice', key,
			jsonb_build_object('order_number', v -> 'order_number', 'shipment_number', v -> 'doc' -> 'shipment_number'), NULL, (v ->> 'gross')::numeric, v -> 'doc' ->> 'currency', (v ->> 'correlation_id')::uuid);
	END IF;
	IF t.done THEN
		UPDATE dist.sales_order o SET state = 'closed', version = o.version + 1 WHERE o.customer_id = (v ->> 'customer_id')::bigint AND o.order_id = (v ->> 'order_id')::bigint AND o.state = 'shipped';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_order(jsonb, bigint, jsonb) IS 'Advances the order of an invoice: invoiced quantities, exposure, state closed; opens invoice_without_shipment where more is billed than has left.';

-- order_apply_invoice does the handling of the entity.
CREATE FUNCTION distsync_internal.order_apply_invoice(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	t record;
	ready jsonb[] := '{}';
	key text;
	known record;
	accrues boolean;
	payers bigint[] := '{}';
	posted bigint[] := '{}';
	accounts bigint[] := '{}';
	reached bigint[];
	lost bigint[] := '{}';
BEGIN
	FOR d IN SELECT r FROM distsync_internal.order_resolve(docs, ctx ->> 'source') r LOOP
		key := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'invoice_number');
		IF d ->> 'company_id' IS NULL THEN
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', key, 'SD001', 'company', format('unknown company "%s"', d -> 'doc' ->> 'company'), 'Send the company first.');
			CONTINUE;
		END IF;
		SELECT * INTO t FROM distsync_internal.order_try('invoice', d, ctx ->> 'source', key);
		IF (t.bad).outcome IS NOT NULL THEN
			RETURN NEXT t.bad;
			CONTINUE;
		END IF;
		t.read := CASE WHEN d -> 'doc' ->> 'status' = 'void' THEN distsync_internal.order_invoice_known(t.read) ELSE t.read END;
		ready := ready || (t.read || jsonb_build_object('post_account_id', COALESCE(CASE WHEN (t.read ->> 'own_payer')::boolean THEN (t.read ->> 'account_id')::bigint END, distsync_internal.credit_ensure((t.read ->> 'payer_id')::bigint, (d ->> 'company_id')::bigint))));
	END LOOP;
	LOOP
		-- what they reach may have changed until the locks were there
		reached := ARRAY(SELECT DISTINCT a.id FROM unnest(ready) x, unnest(distsync_internal.credit_reaches((x ->> 'payer_id')::bigint, (x ->> 'company_id')::bigint, (x ->> 'post_account_id')::bigint, x -> 'doc') || (x ->> 'account_id')::bigint
			|| CASE WHEN x -> 'doc' ->> 'rebills' IS NOT NULL THEN distsync_internal.order_rebill_reaches((x ->> 'company_id')::bigint, x -> 'doc' ->> 'rebills') END
			|| CASE WHEN x -> 'doc' ->> 'status' = 'void' THEN distsync_internal.credit_void_reaches((x ->> 'payer_id')::bigint, (x ->> 'company_id')::bigint, x ->> 'kind', x -> 'doc' ->> 'invoice_number') END) AS a(id) WHERE a.id IS NOT NULL);
		EXIT WHEN reached <@ accounts;
		accounts := reached;
		PERFORM distsync_internal.credit_lock_tree(accounts, CASE WHEN EXISTS (SELECT FROM unnest(ready) x WHERE x ->> 'kind' = 'credit_memo' AND x -> 'doc' ->> 'status' = 'void') THEN accounts ELSE '{}' END);
	END LOOP;
	PERFORM distsync_internal.order_return_lock_memos(to_jsonb(ready));
	PERFORM distsync_internal.order_lock_many((SELECT COALESCE(jsonb_agg(x - 'account_id'), '[]') FROM unnest(ready) x), false, true);
	PERFORM distsync_internal.order_still_there((x ->> 'customer_id')::bigint, (x ->> 'order_id')::bigint, (x ->> 'account_id')::bigint) FROM unnest(ready) x WHERE x ->> 'order_id' IS NOT NULL;
	accrues := distsync_internal.pricing_lock_accruals(ARRAY(SELECT (x ->> 'payer_id')::bigint FROM unnest(ready) x));
	FOREACH d IN ARRAY ready LOOP
		key := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'invoice_number');
		SELECT i.gross_amount, i.currency, i.customer_id, i.status INTO known FROM dist.invoice i WHERE i.company_id = (d ->> 'company_id')::bigint AND i.kind = d ->> 'kind' AND i.invoice_number = d -> 'doc' ->> 'invoice_number';
		IF FOUND AND (known.gross_amount, known.currency, known.customer_id) IS DISTINCT FROM ((d ->> 'gross')::numeric, d -> 'doc' ->> 'currency', (d ->> 'payer_id')::bigint) THEN
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', key, 'SD005', 'invoice_number', format('invoice is known with %s %s', known.gross_amount, known.currency),
				'What was billed is not changed: send a credit memo and a new invoice.');
		ELSIF FOUND AND known.status = 'void' AND d -> 'doc' ->> 'status' = 'posted' THEN
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', key, 'SD063', 'status', 'invoice is void', 'What is void stays so: send a new invoice.');
		ELSIF FOUND AND known.status <> 'void' AND d -> 'doc' ->> 'status' = 'void' THEN
			IF d ->> 'kind' = 'credit_memo' THEN
				lost := lost || distsync_internal.credit_void_reaches((d ->> 'payer_id')::bigint, (d ->> 'company_id')::bigint, d ->> 'kind', d -> 'doc' ->> 'invoice_number');
			END IF;
			PERFORM distsync_internal.order_invoice_void(d, ctx);
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'applied', key);
		ELSIF FOUND THEN
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'unchanged', key);
		ELSE
			-- chosen anew under the order's lock: others may have billed what was open
			IF d ->> 'order_id' IS NOT NULL AND EXISTS (SELECT FROM jsonb_array_elements(d -> 'lines') l WHERE l -> 'doc' ->> 'order_line' IS NULL) THEN
				d := d || jsonb_build_object('lines', distsync_internal.order_invoice_shares(distsync_internal.order_invoice_lines(d -> 'doc' -> 'lines', (d ->> 'customer_id')::bigint, (d ->> 'order_id')::bigint, ctx ->> 'source'),
					(d ->> 'customer_id')::bigint, (d ->> 'order_id')::bigint, (d ->> 'net')::numeric, (d ->> 'tax')::numeric, (SELECT c.minor_units FROM dist.currency c WHERE c.currency = d -> 'doc' ->> 'currency')));
			END IF;
			IF d -> 'doc' ->> 'status' = 'void' THEN
				PERFORM distsync_internal.order_invoice_post(d, ctx);
				PERFORM distsync_internal.order_invoice_void(d, ctx);
			ELSE
				posted := posted || distsync_internal.order_invoice_post(d, ctx);
				payers := payers || (d ->> 'payer_id')::bigint;
			END IF;
			RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'applied', key);
		END IF;
	END LOOP;
	IF accrues AND cardinality(posted) > 0 THEN
		PERFORM distsync_internal.order_accrue(payers, posted, false, ctx);
	END IF;
	PERFORM distsync_internal.credit_settle(accounts, 'invoice', ctx, lost);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_apply_invoice(jsonb, jsonb) IS 'Handler of the entity invoice: invoices, credit and debit memos. A known number with another amount is rejected (SD005), else unchanged. What cannot accrue is recorded all the same (exceptions accrual_failed, accrual_waits). Releases what fits, a memo makes room; voiding it holds again what it had let go.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'invoice', 'distsync_internal.order_apply_invoice');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES ('invoice', '{company,invoice_number}', 'invoice', 'What was billed or credited.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('invoice', 'company', 'code', true, 'any', 'Company that bills.', NULL, false),
	('invoice', 'invoice_number', 'code', true, 'any', 'Its number, unique in company and kind.', NULL, false),
	('invoice', 'kind', 'code', false, 'any', 'Absent = invoice.', '{invoice,credit_memo,debit_memo}', false),
	('invoice', 'customer', 'code', false, 'any', 'Sold-to or payer; absent = that of the order.', NULL, false),
	('invoice', 'order_number', 'code', false, 'any', 'Order it bills: our number or the owner''s.', NULL, false),
	('invoice', 'shipment_number', 'code', false, 'any', 'Shipment it bills.', NULL, false),
	('invoice', 'corrects', 'code', false, 'any', 'Invoice that a memo corrects: the memo is applied to it.', NULL, false),
	('invoice', 'return_number', 'code', false, 'any', 'Return that a credit memo credits.', NULL, false),
	('invoice', 'status', 'code', false, 'any', 'void takes the whole document back: nothing of it is owed, what was applied is unapplied. Absent = unchanged.', '{posted,void}', false),
	('invoice', 'voided_at', 'instant', false, 'any', 'When it was voided, absent = now.', NULL, false),
	('invoice', 'rebill', 'boolean', false, 'any', 'Of a memo or a void invoice: it is billed again, so its amount goes on counting until then.', NULL, false),
	('invoice', 'rebills', 'code', false, 'any', 'Memo or void invoice that this invoice bills again.', NULL, false),
	('invoice', 'issued_at', 'instant', false, 'any', 'Invoice date, absent = now.', NULL, false),
	('invoice', 'terms', 'text', false, 'any', 'Terms code; NETn = due after n days, p/d NETn = p percent less within d days.', NULL, false),
	('invoice', 'due_on', 'date', false, 'any', 'When it is due; absent = by terms, else at once.', NULL, false),
	('invoice', 'discount_amount', 'amount', false, 'nonnegative', 'Cash discount if paid by discount_until; absent = by terms.', NULL, false),
	('invoice', 'discount_until', 'date', false, 'any', 'Last day of the cash discount; absent = by terms.', NULL, false),
	('invoice', 'instalments', 'list', false, 'any', 'Parts that are due on days of their own; they add up to gross_amount.', NULL, false),
	('invoice', 'instalments[].due_on', 'date', true, 'any', 'When it is due.', NULL, false),
	('invoice', 'instalments[].amount', 'amount', true, 'positive', 'How much of it.', NULL, false),
	('invoice', 'dunning_level', 'integer', false, 'nonnegative', 'How often its owner has dunned it.', NULL, false),
	('invoice', 'currency', 'currency', true, 'any', 'Currency of all amounts.', NULL, false),
	('invoice', 'net_amount', 'amount', true, 'nonnegative', 'Net; positive in a credit memo too.', NULL, false),
	('invoice', 'tax_amount', 'amount', false, 'nonnegative', 'Tax.', NULL, false),
	('invoice', 'gross_amount', 'amount', false, 'nonnegative', 'Net + tax.', NULL, false),
	('invoice', 'lines', 'list', false, 'any', 'What is billed; without lines: what was shipped.', NULL, false),
	('invoice', 'lines[].order_line', 'integer', false, 'positive', 'Line of the order; absent = the first line of the SKU not yet billed.', NULL, false),
	('invoice', 'lines[].sku', 'code', false, 'any', 'Item, absent = a charge.', NULL, false),
	('invoice', 'lines[].description', 'text', false, 'any', 'Text of a charge.', NULL, false),
	('invoice', 'lines[].quantity', 'quantity', false, 'positive', 'Quantity in unit.', NULL, false),
	('invoice', 'lines[].unit', 'unit', false, 'any', 'Unit, absent = that of the order line.', NULL, false),
	('invoice', 'lines[].unit_price', 'price', false, 'any', 'Price charged.', NULL, false),
	('invoice', 'lines[].price_per', 'integer', false, 'positive', 'The price is for 1, 100 or 1000 units.', NULL, false),
	('invoice', 'lines[].net_amount', 'amount', false, 'any', 'Extension.', NULL, false),
	('invoice', 'lines[].tax_code', 'text', false, 'any', 'Tax code.', NULL, false),
	('invoice', 'lines[].tax_amount', 'amount', false, 'any', 'Tax of the line.', NULL, false);
