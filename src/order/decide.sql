-- Deciding an order, step by step over its document: price, stock, totals. The same steps serve the command and its preview.

-- order_price does the pricing of all lines and the comparison with what the customer expected.
CREATE FUNCTION distsync_internal.order_price(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	proved jsonb;
	priced jsonb;
	counts boolean;
	volumes jsonb;
	tolerance numeric := COALESCE((o -> 'policy' ->> 'price_tolerance')::numeric, 0);
	lines jsonb;
BEGIN
	IF o ->> 'currency' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = o ->> 'currency') THEN
		PERFORM distsync_internal.order_refuse('SD003', 'currency', format('unknown currency "%s"', o ->> 'currency'), 'Send the currency as master data first, or correct it.');
	END IF;
	proved := distsync_internal.pricing_prices_proved((o ->> 'customer_id')::bigint,
		(SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item_id', l -> 'item_id', 'item', l -> 'item', 'quantity', l ->> 'quantity', 'unit', l -> 'unit', 'site', l -> 'site')) ORDER BY (l ->> 'line')::integer)
		 FROM jsonb_array_elements(o -> 'lines') l),
		COALESCE((o ->> 'priced_at')::timestamptz, (o ->> 'ordered_at')::timestamptz),
		jsonb_strip_nulls(jsonb_build_object('currency', o -> 'currency', 'company', o -> 'company', 'channel', o -> 'channel', 'ship_to', o -> 'ship_to', 'job', o -> 'job', 'source', o -> 'source', 'drafts', o -> 'drafts', 'used', o -> 'used', 'commitment', 'order')));
	priced := proved -> 'lines';
	counts := (SELECT bool_or(p -> 'detail' ? 'commitments') FROM jsonb_array_elements(priced) p);
	SELECT jsonb_agg(l.value || jsonb_build_object('unit_price', p.value -> 'unit_price', 'price_per', COALESCE(p.value -> 'price_per', '1'), 'agreement', p.value -> 'agreement', 'price_code', p.value -> 'code',
			'price_valid_until', p.value -> 'valid_until', 'price_detail', p.value -> 'detail',
			'order_discount', CASE WHEN p.value -> 'detail' ? 'extension' THEN (p.value -> 'detail' ->> 'extension')::numeric - (p.value ->> 'net_amount')::numeric ELSE 0 END, 'price_proof', proved -> 'proof')
		|| CASE
			WHEN l.value ->> 'status' <> 'active' THEN jsonb_build_object('disposition', 'reject', 'reason', 'item_' || (l.value ->> 'status'))
			WHEN p.value ->> 'outcome' <> 'priced' THEN jsonb_build_object('disposition', 'reject', 'reason', 'no_price')
			WHEN abs((p.value ->> 'unit_price')::numeric - (l.value ->> 'expected_price')::numeric) > (l.value ->> 'expected_price')::numeric * tolerance / 100 THEN
				jsonb_build_object('disposition', CASE o -> 'policy' ->> 'price_mismatch' WHEN 'reject' THEN 'reject' WHEN 'hold' THEN 'hold' ELSE 'changed_price' END, 'reason', 'price_changed')
			ELSE '{}' END ORDER BY l.place) INTO lines
	FROM (SELECT x.value, x.place, row_number() OVER (ORDER BY (x.value ->> 'line')::integer) AS rank FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY x(value, place)) l
	JOIN jsonb_array_elements(priced) WITH ORDINALITY p(value, place) ON p.place = l.rank;
	o := o || jsonb_build_object('lines', lines, 'currency', priced -> 0 -> 'currency', 'price_proof', proved -> 'proof', 'price_document', proved -> 'document');
	IF counts THEN
		volumes := distsync_internal.order_volumes(lines, o ->> 'currency', (o ->> 'ordered_at')::timestamptz);
		o := o || CASE WHEN volumes IS NULL THEN '{}' ELSE jsonb_build_object('volumes', volumes) END;
	END IF;
	RETURN o;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_price(jsonb) IS
	'Prices the lines of a read order, which take agreed volumes in the order of their numbers: volumes [{agreement_id, line, rate}] where they use any. A line without price, of an inactive item, or (by policy price_mismatch) with another price than expected is rejected, changed_price or hold, with reason no_price, item_…, price_changed. The proof of the call is with every line, its document is price_document.';

-- order_wanted does the list of what is to be promised, as inventory takes it.
CREATE FUNCTION distsync_internal.order_wanted(o jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('ordinal', l -> 'ordinal', 'item_id', l -> 'item_id', 'base_quantity', l -> 'base_quantity', 'unit', l -> 'unit', 'numerator', l -> 'numerator', 'denominator', l -> 'denominator', 'site_id', l -> 'site_id',
		'demand_key', (o ->> 'company') || '/' || (o ->> 'order_number') || '/' || (l ->> 'line'), 'requested_at', COALESCE(l ->> 'requested_at', o ->> 'requested_at'))) ORDER BY (l ->> 'ordinal')::integer), '[]')
	FROM jsonb_array_elements(o -> 'lines') l WHERE l ->> 'disposition' <> 'reject');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_wanted(jsonb) IS 'Lines of a decided order that want stock, in the shape of inventory_reserve(): demand_key is company/order number/line.';

-- order_stock_options does the options under which inventory promises an order.
CREATE FUNCTION distsync_internal.order_stock_options(o jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_strip_nulls(jsonb_build_object('holder', (o ->> 'company') || '/' || (o ->> 'order_number'), 'customer_id', o -> 'customer_id', 'channel_id', o -> 'channel_id', 'company_id', o -> 'company_id',
		'mode', CASE WHEN (o -> 'policy' ->> 'all_or_none')::boolean THEN 'all_or_none' ELSE 'take_up_to' END, 'split', o -> 'policy' -> 'split', 'priority', o -> 'policy' -> 'priority',
		'commit', true, 'kind', 'hard', 'correlation_id', o -> 'correlation_id', 'kits', true,
		'parts', (SELECT jsonb_object_agg(l ->> 'item_id', l -> 'components') FROM jsonb_array_elements(o -> 'lines') l WHERE jsonb_typeof(l -> 'components') = 'array'))));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_stock_options(jsonb) IS 'Options of inventory_reserve() for an order: committed at once, all or none and split by policy; kits are made of what the lines say.';

-- order_cut does the reckoning of what a line is cut to: whole units of the order, as many as the promised stock gives.
CREATE FUNCTION distsync_internal.order_cut(base numeric, numerator numeric, denominator numeric, scale integer, multiple numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT CASE WHEN multiple > 0 THEN div(base * denominator, numerator * multiple) * multiple ELSE trunc(div(base * denominator * 10::numeric ^ scale, numerator) / 10::numeric ^ scale, scale) END);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_cut(numeric, numeric, numeric, integer, numeric) IS 'Largest quantity in a unit (numerator / denominator base units, at most scale decimals, a multiple of multiple if that is not NULL) that base units cover.';

-- order_promised does the taking over of what inventory answered into the lines: promised, back-ordered, cut or rejected by policy.
CREATE FUNCTION distsync_internal.order_promised(o jsonb, promises jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shortage text := o -> 'policy' ->> 'shortage';
	l jsonb;
	p record;
	kept numeric;
	lines jsonb := '[]';
BEGIN
	FOR l IN SELECT x.value FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY x(value, place) ORDER BY x.place LOOP
		IF l ->> 'disposition' <> 'reject' THEN
			SELECT COALESCE(sum(r.base_quantity) FILTER (WHERE r.outcome IN ('reserved', 'partial')), 0) AS reserved, max(r.promised_at) AS promised_at,
				bool_or(r.outcome = 'refused') AS refused, max((r.detail ->> 'available')::numeric) AS available,
				(array_agg(r.site_id ORDER BY r.base_quantity DESC, r.site_id))[1] AS site_id, (array_agg(r.reservation_id ORDER BY r.base_quantity DESC, r.site_id))[1] AS reservation_id,
				jsonb_agg(jsonb_build_object('site_id', r.site_id, 'base_quantity', r.base_quantity, 'reservation_id', r.reservation_id) ORDER BY r.site_id) FILTER (WHERE r.outcome IN ('reserved', 'partial')) AS sources INTO p
			FROM jsonb_to_recordset(promises) AS r(ordinal integer, outcome text, reservation_id bigint, site_id bigint, base_quantity numeric, promised_at timestamptz, detail jsonb)
			WHERE r.ordinal = (l ->> 'ordinal')::integer;
			l := l || jsonb_build_object('site_id', COALESCE(p.site_id, (l ->> 'site_id')::bigint), 'reservation_id', p.reservation_id, 'reserved', p.reserved, 'sources', COALESCE(p.sources, '[]'), 'promised_at', p.promised_at, 'available', p.available);
			IF p.reserved < (l ->> 'base_quantity')::numeric THEN
				-- a kit is cut to whole ones, whatever part of one its unit may be
				SELECT distsync_internal.order_cut(CASE shortage WHEN 'cut' THEN p.reserved ELSE 0 END, (l ->> 'numerator')::numeric, (l ->> 'denominator')::numeric, u.scale,
					CASE WHEN jsonb_typeof(l -> 'components') = 'array' THEN COALESCE(i.sell_multiple, 1) * div((l ->> 'denominator')::numeric, gcd((l ->> 'numerator')::numeric, (l ->> 'denominator')::numeric)) ELSE i.sell_multiple END) INTO kept
				FROM dist.unit u LEFT JOIN dist.item_unit i ON i.item_id = (l ->> 'item_id')::bigint AND i.unit = u.unit WHERE u.unit = l ->> 'unit';
				l := l || CASE
					WHEN shortage = 'backorder' THEN jsonb_build_object('disposition', CASE WHEN l ->> 'disposition' = 'hold' THEN 'hold' ELSE 'backorder' END, 'backordered', (l ->> 'base_quantity')::numeric - p.reserved,
						'reason', CASE WHEN p.refused THEN 'refused' ELSE 'short' END,
						'promised_at', CASE WHEN p.reserved = 0 THEN p.promised_at END)
					WHEN kept > 0 THEN jsonb_build_object('disposition', CASE WHEN l ->> 'disposition' = 'hold' THEN 'hold' ELSE 'cut' END, 'quantity', kept,
						'base_quantity', kept * (l ->> 'numerator')::numeric / (l ->> 'denominator')::numeric, 'reason', 'short')
					ELSE jsonb_build_object('disposition', 'reject', 'reason', CASE WHEN p.refused THEN 'refused' ELSE 'short' END) END;
			END IF;
		END IF;
		lines := lines || l;
	END LOOP;
	RETURN o || jsonb_build_object('lines', lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_promised(jsonb, jsonb) IS
	'Lays inventory''s answer over the lines: reserved, sources, promised_at; a short line is back-ordered, cut to whole units or rejected by policy shortage.';

-- order_total does the amounts: extensions rounded to the currency less their part of order discounts, taxes as told (both in proportion where a line was cut), their sums, and
-- what credit counts in the account's currency.
CREATE FUNCTION distsync_internal.order_total(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	units integer := (SELECT c.minor_units FROM dist.currency c WHERE c.currency = o ->> 'currency');
	lines jsonb;
	net numeric;
	tax numeric;
	in_account numeric;
BEGIN
	IF units IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD003', 'currency', format('unknown currency "%s"', o ->> 'currency'), 'Send the currency as master data first, or correct it.');
	END IF;
	SELECT jsonb_agg(l.value || CASE WHEN l.value ->> 'disposition' = 'reject' THEN '{"quantity":0,"base_quantity":0,"net_amount":0,"tax_amount":0}' ELSE jsonb_build_object(
		'net_amount', COALESCE((l.value ->> 'net_told')::numeric, round((l.value ->> 'quantity')::numeric * (l.value ->> 'unit_price')::numeric / (l.value ->> 'price_per')::numeric, units)
			- COALESCE(round((l.value ->> 'order_discount')::numeric * (l.value ->> 'quantity')::numeric / (l.value ->> 'requested_quantity')::numeric, units), 0)),
		'tax_amount', round((l.value ->> 'tax_told')::numeric * (l.value ->> 'quantity')::numeric / (l.value ->> 'requested_quantity')::numeric, units)) END ORDER BY l.place) INTO lines
	FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place);
	SELECT sum((l ->> 'net_amount')::numeric), sum((l ->> 'tax_amount')::numeric) INTO net, tax FROM jsonb_array_elements(lines) l;
	IF o ->> 'account_id' IS NOT NULL THEN
		in_account := CASE WHEN o ->> 'account_currency' = o ->> 'currency' THEN greatest(net + tax, 0)
			ELSE round(distsync_internal.master_convert(greatest(net + tax, 0), o ->> 'currency', o ->> 'account_currency', (o ->> 'ordered_at')::timestamptz), (o ->> 'account_units')::integer) END;
	END IF;
	RETURN o || jsonb_build_object('lines', lines, 'net_amount', net, 'tax_amount', tax, 'gross_amount', net + tax, 'account_amount', in_account);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_total(jsonb) IS
	'Net, tax and gross of lines and order, rounded to the currency''s minor units; account_amount = gross in the credit account''s currency (null = no account). Errors: SD003.';

-- order_refused does the judgement whether anything is left to accept: a refused command changes nothing.
CREATE FUNCTION distsync_internal.order_refused(o jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('rule', COALESCE(l ->> 'reason', 'short'), 'line', l -> 'line', 'item', l -> 'item', 'available', l -> 'available', 'code', l -> 'price_code')) ORDER BY (l ->> 'ordinal')::integer)
	FROM jsonb_array_elements(o -> 'lines') l
	WHERE CASE
		WHEN (o -> 'policy' ->> 'all_or_none')::boolean THEN (l ->> 'disposition' = 'reject' OR l ? 'backordered') AND COALESCE(l ->> 'reason', '') <> 'refused'
		WHEN o -> 'policy' ->> 'no_price' = 'refuse' AND l ->> 'reason' = 'no_price' THEN true
		ELSE NOT EXISTS (SELECT FROM jsonb_array_elements(o -> 'lines') x WHERE x ->> 'disposition' <> 'reject') END);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_refused(jsonb) IS 'Reasons for refusing the whole order, NULL = it may go on: all or none and one line short or without price, policy no_price = refuse, or every line rejected.';
