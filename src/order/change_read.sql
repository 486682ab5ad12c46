-- Reading what a change of an order says: quantities, dates, lines that are new, lines that are cut; all else stays as it is.

-- order_change_line does the reading of what is said of a line that the order has.
CREATE FUNCTION distsync_internal.order_change_line(doc jsonb, l jsonb, at text, source text, tz text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	field text := (SELECT min(k) FROM jsonb_object_keys(doc) k WHERE k NOT IN ('line', 'item', 'quantity', 'unit', 'cut', 'requested_at', 'expected_price', 'tax_amount'));
	told numeric := distsync_internal.order_number_in(doc, 'quantity', at || 'quantity', 6, 'nonnegative');
	gone numeric := greatest((l ->> 'shipped')::numeric, (l ->> 'invoiced')::numeric);
	base numeric;
	n jsonb := l || jsonb_build_object('was', l, 'told', true);
BEGIN
	IF field IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', at || field, format('"%s" of a line can not be changed', left(field, 40)), 'Change quantity, requested_at, expected_price or tax_amount; cut the line and add another for all else.');
	ELSIF doc ->> 'item' IS NOT NULL AND distsync_internal.master_item(doc ->> 'item', at || 'item', source) <> (l ->> 'item_id')::bigint THEN
		PERFORM distsync_internal.order_refuse('SD005', at || 'item', format('line %s is of item "%s"', l ->> 'line', l ->> 'item'), 'Cut the line and add another with a number of its own.');
	ELSIF doc ->> 'unit' IS NOT NULL AND doc ->> 'unit' <> l ->> 'unit' THEN
		PERFORM distsync_internal.order_refuse('SD004', at || 'unit', format('line %s is in "%s"', l ->> 'line', l ->> 'unit'), 'Say the quantity in the unit of the line, or leave unit out.');
	ELSIF jsonb_typeof(doc -> 'cut') NOT IN ('boolean', 'null') THEN
		PERFORM distsync_internal.order_refuse('SD002', at || 'cut', 'cut is true or false', 'Send true, or leave it out.');
	END IF;
	IF (doc ->> 'cut')::boolean OR told = 0 THEN
		-- what has left, or is billed, stays
		RETURN n || CASE WHEN (l ->> 'base_quantity')::numeric <= gone THEN '{}' ELSE jsonb_build_object('base_quantity', gone, 'disposition', 'cut', 'cut', true,
			'quantity', round((l ->> 'quantity')::numeric * gone / (l ->> 'base_quantity')::numeric, 6)) END;
	END IF;
	IF told IS NOT NULL AND told <> (l ->> 'quantity')::numeric THEN
		base := distsync_internal.master_to_base((l ->> 'item_id')::bigint, told, l ->> 'unit');
		PERFORM distsync_internal.order_check_quantity(base, at || 'quantity') WHERE base > (l ->> 'base_quantity')::numeric;
		IF base < gone THEN
			PERFORM distsync_internal.order_refuse('SD002', at || 'quantity', format('%s is less than what has left or is billed', told), 'Send at least that much, or cut the line: what has left stays.', format('Line %s, %s base units.', l ->> 'line', trim_scale(gone)));
		ELSIF jsonb_typeof(l -> 'components') = 'array' AND base <> trunc(base) THEN
			PERFORM distsync_internal.order_refuse('SD002', at || 'quantity', format('quantity %s is no number of whole kits', told), 'Send a whole number of kits.');
		END IF;
		n := n || jsonb_build_object('quantity', told, 'asked', told, 'requested_quantity', told, 'base_quantity', base, 'cancelled', 0, 'disposition', CASE WHEN l ->> 'disposition' = 'hold' THEN 'hold' ELSE 'accept' END, 'other', true);
	END IF;
	RETURN n || CASE WHEN doc ? 'requested_at' THEN jsonb_build_object('requested_at', distsync_internal.order_instant_in(doc, 'requested_at', at || 'requested_at', tz)) ELSE '{}' END
		|| CASE WHEN doc ? 'expected_price' THEN jsonb_build_object('expected_price', distsync_internal.order_number_in(doc, 'expected_price', at || 'expected_price', 8, 'nonnegative')) ELSE '{}' END
		|| CASE WHEN doc ->> 'tax_amount' IS NOT NULL THEN jsonb_build_object('tax_new', distsync_internal.order_number_in(doc, 'tax_amount', at || 'tax_amount', 4, 'nonnegative')) ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_line(jsonb, jsonb, text, text, text) IS
	'A line of order_again() as a change says it shall be: quantity (other: it is another), requested_at, expected_price, tax_amount (tax_new), or cut; was: how it is. Errors: SD001, SD002 less than has left, SD004 another unit, SD005 what can not be changed; each names its field.';

-- order_change_new does the reading of a line that is new.
CREATE FUNCTION distsync_internal.order_change_new(doc jsonb, line integer, place integer, source text, tz text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l jsonb := distsync_internal.order_read_line(doc || jsonb_build_object('line', line), place, source, tz);
	field text := (SELECT min(k) FROM jsonb_object_keys(doc) k WHERE k IN ('net_amount', 'unit_price', 'price_per'));
BEGIN
	IF field IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', format('lines[%s].%s', place - 1, field), 'the price of an order is decided, not told', 'Leave it out; say in expected_price which price the customer expects.');
	END IF;
	PERFORM distsync_internal.order_check_quantity((l ->> 'base_quantity')::numeric, format('lines[%s].quantity', place - 1));
	RETURN l || jsonb_build_object('ordinal', line, 'asked', l -> 'quantity', 'tax_new', l -> 'tax_told', 'shipped', 0, 'invoiced', 0, 'cancelled', 0, 'added', true, 'other', true, 'told', true,
		'was', jsonb_build_object('quantity', 0, 'base_quantity', 0, 'net_amount', 0, 'tax_amount', 0, 'disposition', 'accept'));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_new(jsonb, integer, integer, text, text) IS 'A line that a change adds to an order, in the shape of order_again(). Errors: SD001, SD002, SD004, SD005 a price, or no item or quantity; each names its field.';

-- order_change_check does the check of the shape of a change.
CREATE FUNCTION distsync_internal.order_change_check(document jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	field text;
	l record;
BEGIN
	IF jsonb_typeof(document) IS DISTINCT FROM 'object' OR document = '{}' THEN
		PERFORM distsync_internal.order_refuse('SD005', 'document', 'a change says what shall be otherwise', 'Send {"lines": [{"line": 1, "quantity": 5}]}.');
	END IF;
	field := (SELECT min(k) FROM jsonb_object_keys(document) k WHERE k NOT IN ('lines', 'requested_at', 'ship_to'));
	IF field IS NOT NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', left(field, 80), format('"%s" of an order can not be changed', left(field, 40)), 'Change lines, requested_at or ship_to; cancel it and take another for all else.');
	ELSIF document ? 'lines' AND (jsonb_typeof(document -> 'lines') <> 'array' OR document -> 'lines' = '[]') THEN
		PERFORM distsync_internal.order_refuse('SD005', 'lines', 'lines must be an array of objects', 'Send the lines that change, or leave it out.');
	ELSIF jsonb_array_length(document -> 'lines') > 10000 THEN
		PERFORM distsync_internal.order_refuse('SD006', 'lines', 'an order has at most 10,000 lines', 'Make several orders of it.');
	END IF;
	FOR l IN SELECT x.value, format('lines[%s]', x.place - 1) AS at, count(*) OVER (PARTITION BY CASE WHEN jsonb_typeof(x.value) = 'object' THEN x.value ->> 'line' END) AS times
		FROM jsonb_array_elements(document -> 'lines') WITH ORDINALITY x(value, place) ORDER BY x.place LOOP
		IF jsonb_typeof(l.value) <> 'object' THEN
			PERFORM distsync_internal.order_refuse('SD005', l.at, 'a line must be an object', 'Send {"line": 1, "quantity": 5}.');
		ELSIF distsync_internal.order_number_in(l.value, 'line', l.at || '.line', 0, 'positive') > 2147483647 THEN
			PERFORM distsync_internal.order_refuse('SD002', l.at || '.line', format('%s is too large', l.value ->> 'line'), 'Number the lines from 1.');
		ELSIF l.times > 1 AND l.value ->> 'line' IS NOT NULL THEN
			PERFORM distsync_internal.order_refuse('SD005', l.at || '.line', format('line %s is there twice', l.value ->> 'line'), 'Say all of a line at once.');
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_check(jsonb) IS 'Checks the shape of the document of change_order(). Errors: SD002, SD005, SD006 naming the field.';

-- order_change_read does the reading of a change over the order as it is.
CREATE FUNCTION distsync_internal.order_change_read(o jsonb, document jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tz text := o ->> 'tz';
	dated boolean := document ? 'requested_at';
	wanted timestamptz := CASE WHEN dated THEN distsync_internal.order_instant_in(document, 'requested_at', 'requested_at', tz) ELSE (o ->> 'requested_at')::timestamptz END;
	ship_to bigint := CASE WHEN document ? 'ship_to' THEN distsync_internal.master_party(document ->> 'ship_to', 'ship_to', source) ELSE (o ->> 'ship_to_id')::bigint END;
	elsewhere boolean := ship_to IS DISTINCT FROM (o ->> 'ship_to_id')::bigint;
	-- numbers that lines get which name none
	next integer := (SELECT max((l ->> 'line')::integer) FROM (SELECT jsonb_array_elements(o -> 'lines') AS l UNION ALL SELECT jsonb_array_elements(document -> 'lines')) x);
	l record;
	lines jsonb[] := '{}';
BEGIN
	FOR l IN SELECT t.l AS old, d.value AS doc, d.place FROM jsonb_array_elements(o -> 'lines') t(l)
		FULL JOIN jsonb_array_elements(document -> 'lines') WITH ORDINALITY d(value, place) ON (d.value ->> 'line')::integer = (t.l ->> 'line')::integer ORDER BY (t.l ->> 'line')::integer, d.place LOOP
		IF l.old IS NULL THEN
			next := next + CASE WHEN l.doc ->> 'line' IS NULL THEN 1 ELSE 0 END;
			lines := lines || distsync_internal.order_change_new(l.doc, COALESCE((l.doc ->> 'line')::integer, next), l.place::integer, source, tz);
		ELSIF l.doc IS NULL THEN
			lines := lines || (l.old || jsonb_build_object('was', l.old));
		ELSE
			lines := lines || distsync_internal.order_change_line(l.doc, l.old, format('lines[%s].', l.place - 1), source, tz);
		END IF;
	END LOOP;
	RETURN o || jsonb_build_object('requested_at', wanted, 'ship_to_id', ship_to, 'ship_to', (SELECT p.code FROM dist.party p WHERE p.party_id = ship_to), 'elsewhere', elsewhere, 'redated', wanted IS DISTINCT FROM (o ->> 'requested_at')::timestamptz, 'lines', (
		SELECT jsonb_agg(x.l || jsonb_build_object('moved', x.moved, 'want', COALESCE(o ->> 'stock', '') <> 'released' AND x.open > 0 AND (x.moved OR x.more), 'reprice', x.untouched AND (x.other OR elsewhere),
				'changed', x.other OR x.moved OR COALESCE((x.l ->> 'cut')::boolean, false) OR COALESCE((x.l ->> 'tax_new')::numeric <> COALESCE((x.l -> 'was' ->> 'tax_amount')::numeric, (x.l ->> 'tax_amount')::numeric), false) OR x.l -> 'expected_price' IS DISTINCT FROM x.l -> 'was' -> 'expected_price') ORDER BY (x.l ->> 'ordinal')::integer)
		FROM (SELECT n.l, COALESCE((n.l ->> 'other')::boolean, false) AS other, (n.l ->> 'base_quantity')::numeric - (n.l ->> 'shipped')::numeric AS open, (n.l ->> 'base_quantity')::numeric > (n.l -> 'was' ->> 'base_quantity')::numeric AS more,
				(n.l ->> 'base_quantity')::numeric > 0 AND (n.l ->> 'shipped')::numeric = 0 AND (n.l ->> 'invoiced')::numeric = 0 AS untouched,
				NOT COALESCE((n.l ->> 'added')::boolean, false) AND (n.l ->> 'base_quantity')::numeric > (n.l ->> 'shipped')::numeric
					AND (n.l ->> 'requested_at')::timestamptz IS DISTINCT FROM (n.l -> 'was' ->> 'requested_at')::timestamptz AS moved
			-- lines that were wanted when the order was follow it
			FROM (SELECT y || CASE WHEN dated AND (y ->> 'base_quantity')::numeric > 0 AND (y ->> 'requested_at')::timestamptz IS NOT DISTINCT FROM (o ->> 'requested_at')::timestamptz AND NOT COALESCE((y ->> 'told')::boolean AND y -> 'requested_at' IS DISTINCT FROM y -> 'was' -> 'requested_at', false)
					THEN jsonb_build_object('requested_at', wanted) ELSE '{}' END AS l FROM unnest(lines) y) n) x));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_change_read(jsonb, jsonb, text) IS
	'A document of order_again() as a change (document of change_order()) says it shall be: lines with was, and what follows for each: reprice (nothing of it has left, and quantity or ship-to is another), want (more of it, or at another date), moved, changed. Errors: as order_change_line() and order_change_new().';
