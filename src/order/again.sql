-- An order that is decided again: the document of the steps of deciding, made from what is kept, with what its lines have now; prices of
-- some of its lines beside the others, what that takes of agreed volumes, stock, and what it counts.

-- order_again does the making of the document. A line says what it was accepted with.
CREATE FUNCTION distsync_internal.order_again(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT jsonb_build_object('company_id', c.company_id, 'company', c.code, 'tz', c.tz, 'customer_id', o.customer_id, 'customer', b.code, 'order_id', o.order_id, 'order_number', o.order_number, 'source', o.source,
		'account_id', o.account_id, 'account', a.code, 'account_currency', a.currency, 'account_units', m.minor_units, 'currency', o.currency, 'ordered_at', o.ordered_at, 'priced_at', o.priced_at, 'requested_at', o.requested_at,
		'channel_id', o.channel_id, 'channel', h.code, 'ship_to_id', o.ship_to_id, 'ship_to', s.code, 'job', j.code, 'policy', o.policy, 'payment_terms', o.payment_terms, 'ship_on', o.ship_on, 'state', o.state, 'credit_state', o.credit_state,
		'exposure_amount', o.exposure_amount, 'gross_amount', o.gross_amount, 'stock', o.decision -> 'stock', 'account_amount', o.decision -> 'account_amount', 'correlation_id', o.correlation_id, 'again', true,
		'lines', (SELECT COALESCE(jsonb_agg(jsonb_build_object('ordinal', l.line_no, 'line', l.line_no, 'item_id', l.item_id, 'item', i.sku, 'status', i.status, 'quantity', l.quantity, 'requested_quantity', l.requested_quantity,
				'unit', l.unit, 'base_quantity', l.base_quantity, 'numerator', CASE WHEN l.unit = i.base_unit THEN 1 ELSE COALESCE(u.numerator, NULLIF(l.base_quantity, 0), 1) END,
				'denominator', CASE WHEN l.unit = i.base_unit THEN 1 ELSE COALESCE(u.denominator, NULLIF(l.quantity, 0), 1) END, 'unit_price', l.unit_price, 'price_per', l.price_per, 'expected_price', l.expected_price,
				'net_amount', l.net_amount, 'tax_code', l.tax_code, 'tax_amount', l.tax_amount, 'agreement', l.agreement_code, 'price_proof', encode(l.price_proof, 'hex'), 'disposition', l.disposition, 'site_id', l.site_id,
				'reservation_id', l.reservation_id, 'components', l.components, 'requested_at', l.requested_at, 'promised_at', l.promised_at, 'shipped', l.shipped_quantity, 'invoiced', l.invoiced_quantity,
				'cancelled', l.cancelled_quantity) ORDER BY l.line_no), '[]')
			FROM dist.order_line l JOIN dist.item i ON i.item_id = l.item_id LEFT JOIN dist.item_unit u ON u.item_id = l.item_id AND u.unit = l.unit
			WHERE l.customer_id = o.customer_id AND l.order_id = o.order_id))
	FROM dist.sales_order o
	JOIN dist.company c ON c.company_id = o.company_id
	JOIN dist.party b ON b.party_id = o.customer_id
	LEFT JOIN dist.party s ON s.party_id = o.ship_to_id
	LEFT JOIN dist.party j ON j.party_id = o.job_id
	LEFT JOIN dist.channel h ON h.channel_id = o.channel_id
	LEFT JOIN dist.credit_account a ON a.account_id = o.account_id
	LEFT JOIN dist.currency m ON m.currency = a.currency
	WHERE o.customer_id = order_again.customer_id AND o.order_id = order_again.order_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_again(bigint, bigint) IS
	'An order that is kept as a document of the steps of deciding: as order_read(), with what its lines were accepted with and what of them has left, is billed or cancelled.';

-- order_had does the look at what of each line is promised or has left: under the locks of order_lock_again(), for others may take what is soft.
CREATE FUNCTION distsync_internal.order_had(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN o || jsonb_build_object('lines', (SELECT jsonb_agg(l.value || jsonb_build_object('had', greatest((l.value ->> 'shipped')::numeric, h.had)) ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place)
		CROSS JOIN LATERAL (SELECT COALESCE(min(CASE WHEN jsonb_typeof(l.value -> 'components') = 'array' THEN floor(r.reserved / p.per) ELSE r.reserved END), 0) AS had
			FROM distsync_internal.inventory_taken_from((l.value ->> 'item_id')::bigint, NULLIF(l.value -> 'components', 'null')) p
			CROSS JOIN LATERAL (SELECT COALESCE(sum(d.reserved), 0) AS reserved FROM dist.demand d WHERE d.item_id = p.item_id
				AND d.demand_key = (o ->> 'company') || '/' || (o ->> 'order_number') || '/' || (l.value ->> 'line')) r) h));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_had(jsonb) IS 'A document of order_again() with what each line has: what of it is promised or has left, base units, of a kit whole kits.';

-- order_used does the telling of what others use of the agreed volumes that an order uses: its own use is no reason against it.
CREATE FUNCTION distsync_internal.order_used(key text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT jsonb_object_agg(a.code, jsonb_build_object('quantity', c.quantity - u.quantity, 'amount', c.amount - u.amount))
		FROM (SELECT x.agreement_id, sum(x.quantity) AS quantity, sum(x.amount) AS amount FROM dist.commitment_use x WHERE x.document_key = key GROUP BY 1) u
		JOIN dist.agreement a ON a.agreement_id = u.agreement_id JOIN dist.commitment c ON c.agreement_id = u.agreement_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_used(text) IS '{agreement: {quantity, amount}} that others use of the volumes that an order (company/order number) uses, as option used of prices(); NULL = it uses none.';

-- order_price_again does the pricing of the lines that say reprice, asked together with the others, which keep the price they have.
CREATE FUNCTION distsync_internal.order_price_again(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (o ->> 'company') || '/' || (o ->> 'order_number');
	p jsonb;
	lines jsonb;
BEGIN
	p := distsync_internal.order_price(o || jsonb_strip_nulls(jsonb_build_object('used', distsync_internal.order_used(key))) || jsonb_build_object('lines', (
		SELECT jsonb_agg(l.value || jsonb_build_object('site', NULL) || CASE WHEN (l.value ->> 'reprice')::boolean THEN jsonb_build_object('quantity', COALESCE(l.value -> 'asked', l.value -> 'quantity')) ELSE
				jsonb_build_object('expected_price', NULL, 'status', 'active', 'quantity', CASE WHEN l.value ->> 'disposition' = 'cut' THEN l.value -> 'requested_quantity' ELSE l.value -> 'quantity' END) END ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place) WHERE (l.value ->> 'quantity')::numeric > 0)));
	SELECT jsonb_agg(CASE WHEN (l.value ->> 'reprice')::boolean THEN l.value || jsonb_build_object('fresh', true) || (SELECT jsonb_object_agg(f.key, f.value) FROM jsonb_each(x) f
			WHERE f.key IN ('unit_price', 'price_per', 'agreement', 'price_code', 'price_detail', 'order_discount', 'price_proof', 'disposition', 'reason'))
			|| CASE WHEN x ? 'reason' AND x ->> 'disposition' = 'reject' THEN jsonb_build_object('unpriced', x -> 'reason') ELSE '{}' END ELSE l.value END ORDER BY l.place) INTO lines
	FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place) LEFT JOIN jsonb_array_elements(p -> 'lines') x ON x -> 'line' = l.value -> 'line';
	RETURN o || jsonb_build_object('price_proof', p -> 'price_proof', 'price_document', p -> 'price_document') || jsonb_strip_nulls(jsonb_build_object('volumes',
			(SELECT jsonb_agg(v) FROM jsonb_array_elements(p -> 'volumes') v JOIN jsonb_array_elements(o -> 'lines') l ON l -> 'line' = v -> 'line' WHERE (l ->> 'reprice')::boolean)))
		|| jsonb_build_object('lines', lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_price_again(jsonb) IS
	'Prices the lines of a document of order_again() that say reprice (fresh: they have a new price; unpriced: why they have none), as of priced_at, asked together with all others; volumes are those that they use.';

-- order_total_again does the amounts: of lines with a new price from it, of others as they were, in proportion where their quantity is another.
CREATE FUNCTION distsync_internal.order_total_again(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	units integer := (SELECT c.minor_units FROM dist.currency c WHERE c.currency = o ->> 'currency');
	t jsonb;
BEGIN
	t := distsync_internal.order_total(o || jsonb_build_object('lines', (SELECT jsonb_agg(l.value || CASE
			WHEN (l.value ->> 'fresh')::boolean THEN jsonb_build_object('requested_quantity', COALESCE(l.value -> 'asked', l.value -> 'quantity'), 'tax_told', COALESCE((l.value ->> 'tax_new')::numeric, w.tax * COALESCE((l.value ->> 'asked')::numeric, (l.value ->> 'quantity')::numeric) / NULLIF(w.quantity, 0), 0))
			ELSE jsonb_build_object('requested_quantity', NULLIF((l.value ->> 'quantity')::numeric, 0), 'net_told', CASE WHEN w.quantity = (l.value ->> 'quantity')::numeric OR w.quantity = 0 THEN w.net ELSE round(w.net * (l.value ->> 'quantity')::numeric / w.quantity, units) END,
				'tax_told', COALESCE((l.value ->> 'tax_new')::numeric, CASE WHEN w.quantity = 0 THEN w.tax ELSE w.tax * (l.value ->> 'quantity')::numeric / w.quantity END)) END ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place)
		CROSS JOIN LATERAL (SELECT COALESCE((l.value -> 'was' ->> 'quantity')::numeric, (l.value ->> 'quantity')::numeric) AS quantity, COALESCE((l.value -> 'was' ->> 'net_amount')::numeric, (l.value ->> 'net_amount')::numeric) AS net,
			COALESCE((l.value -> 'was' ->> 'tax_amount')::numeric, (l.value ->> 'tax_amount')::numeric) AS tax) w)));
	RETURN o || jsonb_build_object('net_amount', t -> 'net_amount', 'tax_amount', t -> 'tax_amount', 'gross_amount', t -> 'gross_amount', 'account_amount', t -> 'account_amount', 'lines', (
		SELECT jsonb_agg(l.value || jsonb_build_object('net_amount', COALESCE(x.value -> 'net_amount', '0'), 'tax_amount', COALESCE(NULLIF(x.value -> 'tax_amount', 'null'), '0')) ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place) JOIN jsonb_array_elements(t -> 'lines') WITH ORDINALITY x(value, place) ON x.place = l.place));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_total_again(jsonb) IS
	'Amounts of a document of order_again() whose lines may have another quantity (was: how they were) or a new price (fresh; asked: quantity that was priced), as order_total(): what is neither keeps its amounts to the last digit, in proportion where less or more is wanted; tax_new: tax that is told.';

-- order_counts does the reckoning of what an order counts, or would count with these lines: what is left to ship and not yet billed.
CREATE FUNCTION distsync_internal.order_counts(o jsonb) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF o ->> 'account_id' IS NULL OR (o ->> 'gross_amount')::numeric <= 0 THEN
		RETURN 0;
	END IF;
	RETURN (SELECT COALESCE(round(sum(CASE WHEN n.base > 0 THEN n.gross * greatest(n.base - n.cancelled - greatest(n.shipped, n.invoiced), 0) / n.base ELSE 0 END) * (o ->> 'account_amount')::numeric / (o ->> 'gross_amount')::numeric, (o ->> 'account_units')::integer), 0)
		FROM jsonb_array_elements(o -> 'lines') l CROSS JOIN LATERAL (SELECT (l ->> 'base_quantity')::numeric AS base, (l ->> 'net_amount')::numeric + (l ->> 'tax_amount')::numeric AS gross, COALESCE((l ->> 'shipped')::numeric, 0) AS shipped,
			COALESCE((l ->> 'invoiced')::numeric, 0) AS invoiced, COALESCE((l ->> 'cancelled')::numeric, 0) AS cancelled) n);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_counts(jsonb) IS 'What a document of order_again() with its amounts counts as open order, in the account''s currency; 0 without an account.';

-- order_wanted_again does the list of what is to be promised beyond what lines have.
CREATE FUNCTION distsync_internal.order_wanted_again(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN distsync_internal.order_wanted(o || jsonb_build_object('lines', (SELECT COALESCE(jsonb_agg(l || jsonb_build_object('disposition', 'accept', 'base_quantity', (l ->> 'base_quantity')::numeric - (l ->> 'cancelled')::numeric - (l ->> 'had')::numeric,
			'site_id', CASE WHEN l ->> 'reservation_id' IS NULL THEN l -> 'site_id' END)), '[]')
		FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'want')::boolean AND (l ->> 'base_quantity')::numeric - (l ->> 'cancelled')::numeric > (l ->> 'had')::numeric)));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_wanted_again(jsonb) IS 'Lines that say want of a document of order_again(), with what they lack, in the shape of inventory_reserve().';

-- order_lock_again does the locking for an order that is promised again: quotas, its demands, and all pools that it may touch, at once.
CREATE FUNCTION distsync_internal.order_lock_again(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted distsync_internal.inventory_line[];
	k record;
BEGIN
	-- whatever lines want in the end: those that want nothing more touch the pools where they stand
	wanted := ARRAY(SELECT ROW((l ->> 'ordinal')::integer, p.item_id, 1, CASE WHEN l ->> 'reservation_id' IS NULL THEN (l ->> 'site_id')::bigint END, NULL, NULL)::distsync_internal.inventory_line
		FROM jsonb_array_elements(o -> 'lines') l CROSS JOIN LATERAL distsync_internal.inventory_taken_from((l ->> 'item_id')::bigint, NULLIF(l -> 'components', 'null')) p WHERE (l ->> 'want')::boolean);
	PERFORM distsync_internal.inventory_quota_lock(ARRAY(SELECT DISTINCT u.item_id FROM unnest(wanted) u));
	SELECT array_agg(p.item_id) AS items, array_agg(p.site_id) AS sites INTO k FROM (
		SELECT x.item_id, x.site_id FROM distsync_internal.inventory_line_pools(wanted, (o ->> 'company_id')::bigint) x
		UNION
		SELECT p.item_id, COALESCE((l ->> 'site_id')::bigint, distsync_internal.inventory_serving((l ->> 'item_id')::bigint, (o ->> 'company_id')::bigint))
		FROM jsonb_array_elements(o -> 'lines') l CROSS JOIN LATERAL distsync_internal.inventory_taken_from((l ->> 'item_id')::bigint, NULLIF(l -> 'components', 'null')) p WHERE (l ->> 'want')::boolean
		UNION
		SELECT b.item_id, b.site_id FROM ROWS FROM (jsonb_array_elements_text(o -> 'beside' -> 'items'), jsonb_array_elements_text(o -> 'beside' -> 'sites')) AS u(item, site) CROSS JOIN LATERAL (SELECT u.item::bigint AS item_id, u.site::bigint AS site_id) b WHERE b.site_id IS NOT NULL) p;
	PERFORM distsync_internal.inventory_lock_demand(ARRAY(SELECT (o ->> 'company') || '/' || (o ->> 'order_number') || '/' || (l ->> 'line') FROM jsonb_array_elements(o -> 'lines') l), k.items, k.sites);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lock_again(jsonb) IS 'Locks the quotas of the items of lines that say want, then the demands of all lines and the pools where they stand or may be promised, and those beside ({items, sites}). After account, order and volumes.';

-- order_promise_again does the promise of what lines lack. What a line has counts beside what it gets.
CREATE FUNCTION distsync_internal.order_promise_again(o jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted jsonb := distsync_internal.order_wanted_again(o);
	promises jsonb;
	p jsonb;
BEGIN
	IF wanted = '[]' THEN
		RETURN o;
	END IF;
	SELECT COALESCE(jsonb_agg(to_jsonb(r)), '[]') INTO promises FROM distsync_internal.inventory_reserve(wanted, distsync_internal.order_stock_options(o)) r;
	promises := promises || (SELECT COALESCE(jsonb_agg(jsonb_build_object('ordinal', l -> 'ordinal', 'outcome', 'reserved', 'base_quantity', l -> 'had', 'site_id', l -> 'site_id', 'reservation_id', l -> 'reservation_id', 'promised_at', l -> 'promised_at')), '[]')
		FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'had')::numeric > 0);
	p := distsync_internal.order_promised(o || jsonb_build_object('lines', (SELECT jsonb_agg(l || jsonb_build_object('base_quantity', (l ->> 'base_quantity')::numeric - (l ->> 'cancelled')::numeric, 'disposition', CASE WHEN l ->> 'disposition' = 'hold' THEN 'hold' ELSE 'accept' END))
		FROM jsonb_array_elements(o -> 'lines') l WHERE (l ->> 'want')::boolean)), promises);
	RETURN o || jsonb_build_object('lines', (SELECT jsonb_agg(CASE WHEN x IS NULL THEN l.value ELSE l.value || x || jsonb_build_object('promised', true, 'base_quantity', (x ->> 'base_quantity')::numeric + (l.value ->> 'cancelled')::numeric,
			'disposition', CASE WHEN x ->> 'disposition' = 'accept' THEN l.value -> 'disposition' ELSE x -> 'disposition' END, 'covered', NOT x ? 'backordered') END ORDER BY l.place)
		FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY l(value, place) LEFT JOIN jsonb_array_elements(p -> 'lines') x ON x -> 'line' = l.value -> 'line'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_promise_again(jsonb) IS
	'Promises what lines that say want lack, committed, and lays it over them as order_promised() (promised: there was an answer; covered: all of it is promised). The caller has called order_lock_again().';

-- order_keep_promise does the writing of what stock answered into lines, and notes as demand what is not promised.
CREATE FUNCTION distsync_internal.order_keep_promise(o jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE dist.order_line l SET site_id = COALESCE((x ->> 'site_id')::bigint, l.site_id), reservation_id = COALESCE((x ->> 'reservation_id')::bigint, l.reservation_id), promised_at = (x ->> 'promised_at')::timestamptz,
		disposition = CASE WHEN NOT (x ->> 'covered')::boolean THEN x ->> 'disposition' WHEN (x ->> 'later')::boolean THEN 'changed_date' WHEN l.disposition = 'backorder' THEN 'accept' ELSE l.disposition END
	FROM jsonb_array_elements(o -> 'lines') x WHERE (x ->> 'promised')::boolean AND l.customer_id = (o ->> 'customer_id')::bigint AND l.order_id = (o ->> 'order_id')::bigint AND l.line_no = (x ->> 'line')::integer;
	PERFORM distsync_internal.order_backorders(o || jsonb_build_object('lines', (SELECT COALESCE(jsonb_agg(x), '[]') FROM jsonb_array_elements(o -> 'lines') x WHERE (x ->> 'promised')::boolean)));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_keep_promise(jsonb) IS 'Writes site, reservation, date and disposition of lines that were promised again (later: it is later than it was), and their back-orders as demand.';
