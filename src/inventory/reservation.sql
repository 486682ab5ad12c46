-- reserve(): the promise of stock as a command. README.md has the picture of what becomes of it.

CREATE TYPE distsync_internal.inventory_reserved AS (
	ordinal		integer,
	outcome		text,
	reservation_id	bigint,
	item		text,
	site		text,
	quantity	numeric,
	unit		text,
	expires_at	timestamptz,
	available	numeric,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.inventory_reserved IS 'Answer of reserve() for a line: place in the request (from 1), outcome reserved | partial | short | refused, reservation, item, site, quantity and what was available in unit, expiry of the hold (NULL = committed), detail {"base_quantity", "base_unit"}, for short also {"available_at"}, and {"promised_at"} where dates were asked for or stock does not cover it now (null = not foreseen).';

-- inventory_line_texts does the check of what is text in a line: of another kind it would be taken for a code that nobody knows, and names of
-- demands are kept in indexes.
CREATE FUNCTION distsync_internal.inventory_line_texts(line jsonb, within text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad text := (SELECT f FROM unnest('{item,site,unit,demand_key,requested_at}'::text[]) WITH ORDINALITY u(f, n) WHERE jsonb_typeof(line->f) NOT IN ('string', 'null') ORDER BY n LIMIT 1);
BEGIN
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('"%s" of a line must be text', bad), COLUMN = within || bad,
			DETAIL = format('Field: %s%s. It is %s.', within, bad, left((line->bad)::text, 80)), HINT = 'Send it in quotes, or leave it out.';
	ELSIF length(line->>'demand_key') NOT BETWEEN 1 AND 255 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('a demand key has 1 to 255 characters, not %s', length(line->>'demand_key')), COLUMN = within || 'demand_key',
			DETAIL = format('Field: %sdemand_key.', within), HINT = 'Send company/order/line, or leave it out.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_line_texts(jsonb, text) IS 'Checks the fields of a line that are text. within: what stands before the field in errors. Errors: SD002 length of demand_key, SD005 not text.';

-- inventory_wanted does the turning of lines in codes and units into lines in ids and base units, with every check before anything is
-- locked.
CREATE FUNCTION distsync_internal.inventory_wanted(lines jsonb, source text, OUT wanted jsonb, OUT asked jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
	a record;
	field text;
	number numeric;
	-- jsonb that grows is copied for each line
	wants jsonb[] := '{}';
	asks jsonb[] := '{}';
BEGIN
	IF jsonb_typeof(lines) IS DISTINCT FROM 'array' OR jsonb_array_length(lines) NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'lines must be an array of 1 to 10000 objects', COLUMN = 'lines',
			DETAIL = 'Field: lines.', HINT = 'Send [{"item": "SKU", "quantity": 1, "unit": "EA", "site": "CODE"}].';
	END IF;
	FOR l IN SELECT x.value AS line, x.n FROM jsonb_array_elements(lines) WITH ORDINALITY AS x(value, n) LOOP
		field := format('lines[%s]', l.n - 1);
		IF jsonb_typeof(l.line) = 'object' THEN
			PERFORM distsync_internal.inventory_line_texts(l.line, field || '.');
		END IF;
		IF jsonb_typeof(l.line) <> 'object' OR l.line->>'item' IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('line %s needs an item and a quantity', l.n), COLUMN = field,
				DETAIL = format('Field: %s. It is %s.', field, left(l.line::text, 200)), HINT = 'Send {"item": "SKU", "quantity": 1}; numbers as plain decimals.';
		END IF;
		number := CASE WHEN COALESCE(l.line->>'quantity', '1') ~ '^[+-]?[0-9]{1,20}(\.[0-9]{1,20})?$' THEN COALESCE(l.line->>'quantity', '1')::numeric END;
		IF number IS NULL OR number <= 0 OR min_scale(number) > 6 OR number >= 100000000000000 THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s cannot be reserved', left(l.line->>'quantity', 40)), COLUMN = field || '.quantity',
				DETAIL = format('Field: %s.quantity. Item "%s"; it must be a plain number above 0.', field, left(l.line->>'item', 80)), HINT = 'Send a quantity above 0, with at most 14 digits before and 6 after the point; use release_reservation() to give back.';
		END IF;
		IF NOT distsync_internal.base_is_instant(COALESCE(l.line->>'requested_at', '2000-01-01')) THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('"%s" is not an instant', left(l.line->>'requested_at', 80)), COLUMN = field || '.requested_at',
				DETAIL = format('Field: %s.requested_at.', field), HINT = 'Send ISO 8601 with its zone, for example 2026-05-14T10:00:00Z.';
		END IF;
		SELECT * INTO a FROM distsync_internal.inventory_asked_any(l.line->>'item', number, l.line->>'unit', field || '.');
		IF a.status <> 'active' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD044', MESSAGE = format('item "%s" is %s', a.sku, a.status), COLUMN = field || '.item',
				DETAIL = format('Field: %s.item. What is promised of it already stays.', field), HINT = 'Ask atp() with option substitutes what may stand in for it, or set its status to active.';
		END IF;
		wants := array_append(wants, jsonb_build_object('ordinal', l.n, 'item_id', a.item_id, 'base_quantity', a.base_quantity, 'unit', COALESCE(l.line->>'unit', a.base_unit), 'numerator', a.numerator, 'denominator', a.denominator, 'site_id', distsync_internal.master_site(l.line->>'site', field || '.site', source),
			'demand_key', l.line->>'demand_key', 'requested_at', l.line->>'requested_at'));
		asks := array_append(asks, jsonb_build_object('ordinal', l.n, 'sku', a.sku, 'unit', COALESCE(l.line->>'unit', a.base_unit), 'base_unit', a.base_unit, 'numerator', a.numerator, 'denominator', a.denominator));
	END LOOP;
	wanted := to_jsonb(wants);
	asked := to_jsonb(asks);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_wanted(jsonb, text) IS
	'Lines [{"item","quantity","unit"?,"site"?,"demand_key"?,"requested_at"?}] as inventory_reserve() takes them, and what was asked of each. Errors: SD001, SD002, SD004, SD005, SD044.';

-- inventory_ttl does the reading of how long a hold shall last.
CREATE FUNCTION distsync_internal.inventory_ttl(said text, field text) RETURNS interval
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	ttl interval;
BEGIN
	PERFORM distsync_internal.base_required(field, said);
	BEGIN
		-- months and days add up to nothing at times: what counts is when the hold would end
		ttl := CASE WHEN said::interval BETWEEN '0' AND '366 days' AND t + said::interval > t THEN said::interval END;
	EXCEPTION WHEN data_exception THEN
		ttl := NULL;
	END;
	IF ttl IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('"%s" is no time a hold may last', left(said, 80)), COLUMN = field,
			DETAIL = format('Field: %s. It must be an interval above 0 and of at most 366 days.', field), HINT = 'Send for example "15 minutes".';
	END IF;
	RETURN ttl;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_ttl(text, text) IS 'How long a hold shall last, from its text. Errors: SD002 no interval above 0 and of at most 366 days, SD005 NULL; field: what they name.';

-- inventory_reserve_options does the checking of the options of reserve() and the turning of codes into ids.
CREATE FUNCTION distsync_internal.inventory_reserve_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	options := distsync_internal.base_options(options, '{holder:text:1:255,ttl,mode:text,max_parts:integer:1:100,split:boolean,commit:boolean,kind:text,priority:integer,customer:text,channel:text,company:text,use_safety:boolean,min_shelf_days:integer:0:36600,sourcing,preferred,take_over:boolean,idempotency_key:text,source:text,reason:text}');
	IF options ? 'ttl' THEN
		PERFORM distsync_internal.inventory_ttl(options->>'ttl', 'options.ttl');
	END IF;
	IF COALESCE(options->>'kind', 'hard') NOT IN ('soft', 'hard') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown kind of reservation "%s"', left(options->>'kind', 80)), COLUMN = 'options.kind',
			DETAIL = 'Field: options.kind. Known: soft, hard.', HINT = 'Use soft for holds that a more important one may take over, otherwise hard.';
	END IF;
	IF options ? 'max_parts' AND options->>'mode' IS DISTINCT FROM 'schedule' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "max_parts" has no meaning in mode "%s"', COALESCE(options->>'mode', 'all_or_none')), COLUMN = 'options.max_parts',
			DETAIL = 'Field: options.max_parts.', HINT = 'Leave it out, or ask for mode schedule.';
	ELSIF options->>'kind' = 'soft' AND distsync_internal.inventory_with_dates(options) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('a soft reservation cannot be promised in mode "%s"', options->>'mode'), COLUMN = 'options.kind',
			DETAIL = 'Field: options.kind. A more important one could take it over, and its date with it.', HINT = 'Leave kind out, or use mode all_or_none or take_up_to.';
	END IF;
	options := distsync_internal.inventory_sourcing_options(options);
	RETURN options || jsonb_build_object('customer_id', distsync_internal.master_party(options->>'customer', 'options.customer', options->>'source'),
		'channel_id', distsync_internal.master_channel(options->>'channel', 'options.channel', options->>'source'),
		'company_id', distsync_internal.master_company(options->>'company', 'options.company', options->>'source'), 'request_id', gen_random_uuid(), 'kits', true);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reserve_options(jsonb) IS 'Options of reserve() as inventory_reserve() takes them. Errors: SD001 unknown code, SD002 ttl, kind, max_parts, sourcing.';

-- inventory_reserve_whole does the promise of stock as a command, whatever it takes.
CREATE FUNCTION distsync_internal.inventory_reserve_whole(lines jsonb, options jsonb) RETURNS SETOF distsync_internal.inventory_reserved
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	request jsonb := jsonb_build_object('lines', lines, 'options', options);
	answer jsonb := distsync_internal.base_answered(source, 'reserve', options->>'idempotency_key', request);
	w record;
	settings jsonb;
BEGIN
	IF answer IS NULL THEN
		SELECT * INTO w FROM distsync_internal.inventory_wanted(inventory_reserve_whole.lines, options->>'source');
		settings := distsync_internal.inventory_reserve_options(inventory_reserve_whole.options);
		SELECT jsonb_agg(to_jsonb(ROW(r.ordinal, r.outcome, r.reservation_id, a.sku, s.code, trim_scale(trunc(r.base_quantity * a.denominator / a.numerator, 6)), a.unit, (r.detail->>'expires_at')::timestamptz,
				trim_scale(trunc((r.detail->>'available')::numeric * a.denominator / a.numerator, 6)),
				r.detail - '{available,expires_at}'::text[] || jsonb_build_object('base_quantity', r.base_quantity, 'base_unit', a.base_unit)
					|| CASE WHEN r.outcome = 'short' THEN jsonb_build_object('available_at', r.promised_at)
						WHEN r.outcome IN ('reserved', 'partial') AND (distsync_internal.inventory_with_dates(settings) OR r.promised_at IS NULL OR r.promised_at > clock_timestamp()) THEN jsonb_build_object('promised_at', r.promised_at)
						ELSE '{}' END)::distsync_internal.inventory_reserved) ORDER BY r.ordinal, CASE WHEN distsync_internal.inventory_with_dates(settings) THEN r.promised_at END, s.code, r.promised_at)
		INTO answer
		FROM distsync_internal.inventory_promise_whole(w.wanted, settings) r
		JOIN jsonb_to_recordset(w.asked) AS a(ordinal integer, sku text, unit text, base_unit text, numerator numeric, denominator numeric) ON a.ordinal = r.ordinal
		LEFT JOIN dist.site s ON s.site_id = r.site_id;
		IF EXISTS (SELECT FROM jsonb_array_elements(answer) e WHERE e->>'outcome' IN ('reserved', 'partial')) THEN
			PERFORM distsync_internal.base_answer(source, 'reserve', options->>'idempotency_key', request, answer);
			PERFORM distsync_internal.base_audit('reserve', 'reservation', options->>'holder', NULL, answer, options->>'reason');
		END IF;
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reserved, answer);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reserve_whole(jsonb, jsonb) IS 'What reserve() does, in SQL: every case. Same arguments, same answer, same errors.';

-- reserve does the same: in C where codes are ours and there is enough, otherwise by inventory_reserve_whole().
CREATE FUNCTION distsync.reserve(lines jsonb, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reserved
AS 'MODULE_PATHNAME', 'ds_sql_inventory_reserve' LANGUAGE c ROWS 5;
COMMENT ON FUNCTION distsync.reserve(jsonb, jsonb) IS
	'Promises stock: lines [{"item","quantity","unit"?,"site"?,"demand_key"?,"requested_at"?}], at most 10000; a kit (whole kits) is promised as its components, all at one site, with detail.components and a reservation for each; the number of any of them stands for the kit; options: holder, ttl (default 15 minutes), mode all_or_none (default) | take_up_to | one_date (each line on the first date on which all of it can be had, at its requested_at or later) | complete (all lines on one common date) | schedule (each line in parts, the earliest first, at most max_parts dates (default 10, up to 100), the last of which waits for all the rest): these three promise on supply that is expected, all lines or none, detail.promised_at has the date of each row; in the others what no stock covers is promised for the end of the lead time of a vendor that ships itself (a site of kind vendor, lead_days of item_site), with detail.promised_at; split (default true: several sites may serve a line, each has its row), sourcing (rules that say which site comes first, the first rule before the second: whole (one that has all of it), preferred (in the order of option preferred, a list of site codes; with that option alone they come first), fewest_splits (who has most of what is missing), most_available, rank; then the code of the site; default as sourcing_rule documents say, otherwise whole, rank), commit (true: no hold, committed at once), kind hard | soft, priority, customer, channel, company, use_safety (safety stock is for this one), min_shelf_days (days that lots must have left, default as the customer''s rules say), take_over (true: where there is too little, soft holds of a higher priority number are taken, of others, in part or as a whole, and they are told; never more than is lacking; default false, or true where a reallocation_rule makes this one win), idempotency_key, source. One row a line: reserved | partial | short | refused; a refused call changes nothing and does not burn its key. Errors: SD001, SD002 (also a quantity finer than its unit), SD004, SD005, SD010, SD044 an item that is blocked or inactive.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('reserve', '{order_entry,integrator,admin}');
