-- Reservations as commands: reserve, commit, release, extend, and the reading of their state. README.md has the picture.

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
COMMENT ON TYPE distsync_internal.inventory_reserved IS 'Answer of reserve() for a line: place in the request (from 1), outcome reserved | partial | short | refused, reservation, item, site, quantity and what was available in unit, expiry of the hold (NULL = committed), detail {"base_quantity", "base_unit", "available_at"}.';

CREATE TYPE distsync_internal.inventory_reservation AS (
	reservation_id	bigint,
	state		text,
	item		text,
	site		text,
	quantity	numeric,
	committed	numeric,
	shipped		numeric,
	unit		text,
	expires_at	timestamptz,
	holder		text,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.inventory_reservation IS 'A reservation: state held | committed | shipped | released | expired | void; quantities in the base unit, committed and shipped are parts of quantity; detail {"demand_key", "kind", "priority", "promised_at", "created_at", "ended_at"}.';

-- inventory_wanted does the turning of lines in codes and units into lines in ids and base units, with every check before anything is
-- locked.
CREATE FUNCTION distsync_internal.inventory_wanted(lines jsonb, source text, OUT wanted jsonb, OUT asked jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l record;
	a record;
	field text;
	number numeric;
BEGIN
	IF jsonb_typeof(lines) IS DISTINCT FROM 'array' OR jsonb_array_length(lines) NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = 'lines must be an array of 1 to 10000 objects', COLUMN = 'lines',
			DETAIL = 'Field: lines.', HINT = 'Send [{"item": "SKU", "quantity": 1, "unit": "EA", "site": "CODE"}].';
	END IF;
	wanted := '[]';
	asked := '[]';
	FOR l IN SELECT x.value AS line, x.n FROM jsonb_array_elements(lines) WITH ORDINALITY AS x(value, n) LOOP
		field := format('lines[%s]', l.n - 1);
		IF jsonb_typeof(l.line) <> 'object' OR l.line->>'item' IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('line %s needs an item and a quantity', l.n), COLUMN = field,
				DETAIL = format('Field: %s. It is %s.', field, left(l.line::text, 200)), HINT = 'Send {"item": "SKU", "quantity": 1}; numbers as plain decimals.';
		END IF;
		number := CASE WHEN COALESCE(l.line->>'quantity', '1') ~ '^[+-]?[0-9]{1,20}(\.[0-9]{1,20})?$' THEN COALESCE(l.line->>'quantity', '1')::numeric END;
		IF number IS NULL OR number <= 0 OR min_scale(number) > 6 OR number >= 100000000000000 THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('quantity %s cannot be reserved', left(l.line->>'quantity', 40)), COLUMN = field || '.quantity',
				DETAIL = format('Field: %s.quantity. Item "%s"; it must be a plain number above 0.', field, l.line->>'item'), HINT = 'Send a quantity above 0, with at most 14 digits before and 6 after the point; use release_reservation() to give back.';
		END IF;
		IF NOT distsync_internal.base_is_instant(COALESCE(l.line->>'requested_at', '2000-01-01')) THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('"%s" is not an instant', left(l.line->>'requested_at', 80)), COLUMN = field || '.requested_at',
				DETAIL = format('Field: %s.requested_at.', field), HINT = 'Send ISO 8601 with its zone, for example 2026-05-14T10:00:00Z.';
		END IF;
		SELECT * INTO a FROM distsync_internal.inventory_asked(l.line->>'item', number, l.line->>'unit', field || '.');
		wanted := wanted || jsonb_build_object('ordinal', l.n, 'item_id', a.item_id, 'base_quantity', a.base_quantity, 'site_id', distsync_internal.master_site(l.line->>'site', field || '.site', source),
			'demand_key', l.line->>'demand_key', 'requested_at', l.line->>'requested_at');
		asked := asked || jsonb_build_object('ordinal', l.n, 'sku', a.sku, 'unit', COALESCE(l.line->>'unit', a.base_unit), 'base_unit', a.base_unit, 'numerator', a.numerator, 'denominator', a.denominator);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_wanted(jsonb, text) IS
	'Lines [{"item","quantity","unit"?,"site"?,"demand_key"?,"requested_at"?}] as inventory_reserve() takes them, and what was asked of each. Errors: SD001, SD002, SD004, SD005.';

-- inventory_reserve_options does the checking of the options of reserve() and the turning of codes into ids.
CREATE FUNCTION distsync_internal.inventory_reserve_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ttl interval;
BEGIN
	options := distsync_internal.base_options(options, '{holder:text,ttl,mode:text,split:boolean,commit:boolean,kind:text,priority:integer,customer:text,channel:text,company:text,use_safety:boolean,min_shelf_days:integer:0:36600,idempotency_key:text,source:text,reason:text}');
	IF options ? 'ttl' THEN
		BEGIN
			ttl := (options->>'ttl')::interval;
		EXCEPTION WHEN data_exception THEN
			ttl := NULL;
		END;
		IF ttl IS NULL OR ttl <= '0' OR ttl > '366 days' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('"%s" is no time a hold may last', options->>'ttl'), COLUMN = 'ttl',
				DETAIL = 'Field: options.ttl. It must be an interval above 0 and of at most 366 days.', HINT = 'Send for example "15 minutes".';
		END IF;
	END IF;
	IF COALESCE(options->>'kind', 'hard') NOT IN ('soft', 'hard') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown kind of reservation "%s"', options->>'kind'), COLUMN = 'kind',
			DETAIL = 'Field: options.kind. Known: soft, hard.', HINT = 'Use soft for holds that a more important one may take over, otherwise hard.';
	END IF;
	RETURN options || jsonb_build_object('customer_id', distsync_internal.master_party(options->>'customer', 'options.customer', options->>'source'),
		'channel_id', distsync_internal.master_channel(options->>'channel', 'options.channel', options->>'source'),
		'company_id', distsync_internal.master_company(options->>'company', 'options.company', options->>'source'), 'request_id', gen_random_uuid());
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reserve_options(jsonb) IS 'Options of reserve() as inventory_reserve() takes them. Errors: SD001 unknown code, SD002 ttl, kind.';

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
					|| CASE WHEN r.outcome = 'short' THEN jsonb_build_object('available_at', r.promised_at) ELSE '{}' END)::distsync_internal.inventory_reserved) ORDER BY r.ordinal, s.code)
		INTO answer
		FROM distsync_internal.inventory_reserve(w.wanted, settings) r
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
	'Promises stock: lines [{"item","quantity","unit"?,"site"?,"demand_key"?,"requested_at"?}]; options: holder, ttl (default 15 minutes), mode all_or_none (default) | take_up_to, split (default true: several sites may serve a line, each has its row), commit (true: no hold, committed at once), kind hard | soft, priority, customer, channel, company, use_safety (safety stock is for this one), min_shelf_days (days that lots must have left, default as the customer''s rules say), idempotency_key, source. One row a line: reserved | partial | short | refused; a refused call changes nothing and does not burn its key. Errors: SD001, SD002, SD004, SD005, SD010.';

-- inventory_locked does the locking of one reservation for a command: its pool first, then what the command may rely on.
CREATE FUNCTION distsync_internal.inventory_locked(reservation_id bigint, options jsonb, must_be_live boolean, OUT item_id bigint, OUT site_id bigint, OUT state text, OUT quantity numeric, OUT committed numeric,
	OUT shipped numeric, OUT expires_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	owner text;
BEGIN
	SELECT r.item_id, r.site_id INTO item_id, site_id FROM dist.reservation r WHERE r.reservation_id = inventory_locked.reservation_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown reservation %s', COALESCE(inventory_locked.reservation_id::text, 'NULL')), COLUMN = 'reservation_id',
			DETAIL = 'Field: reservation_id.', HINT = 'Use a number that reserve() has given.';
	END IF;
	PERFORM distsync_internal.inventory_lock(ARRAY[item_id], ARRAY[site_id]);
	SELECT r.state, r.quantity, r.committed, r.shipped, r.expires_at, r.holder INTO state, quantity, committed, shipped, expires_at, owner
	FROM dist.reservation r WHERE r.reservation_id = inventory_locked.reservation_id;
	IF options->>'holder' <> owner THEN
		RAISE EXCEPTION USING ERRCODE = 'SD041', MESSAGE = format('reservation %s belongs to another holder', inventory_locked.reservation_id), COLUMN = 'holder',
			DETAIL = format('Field: options.holder. It is "%s".', options->>'holder'), HINT = 'Use the holder that reserved, or leave the option out if you may decide for others.';
	ELSIF state = 'expired' OR state = 'held' AND expires_at <= clock_timestamp() THEN
		RAISE EXCEPTION USING ERRCODE = 'SD042', MESSAGE = format('reservation %s has expired', inventory_locked.reservation_id), COLUMN = 'reservation_id',
			DETAIL = format('Field: reservation_id. It was held until %s.', expires_at), HINT = 'Reserve again: the stock may be somebody else''s by now.';
	ELSIF must_be_live AND state <> 'held' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD041', MESSAGE = format('reservation %s is %s', inventory_locked.reservation_id, state), COLUMN = 'reservation_id',
			DETAIL = format('Field: reservation_id. Of %s, %s are committed and %s shipped.', quantity, committed, shipped), HINT = 'Only what is held can be committed, released or extended; reserve again if more is needed.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_locked(bigint, jsonb, boolean) IS
	'Locks the pool of a reservation and returns the reservation. Errors: SD001 unknown, SD041 another holder (option holder) or not held, SD042 expired: clock_timestamp() under the lock decides.';

-- inventory_part does the check of a quantity against what is held.
CREATE FUNCTION distsync_internal.inventory_part(reservation_id bigint, quantity numeric, held numeric, verb text) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF quantity IS NULL THEN
		RETURN held;
	ELSIF quantity > 0 AND quantity <= held AND scale(trim_scale(quantity)) <= 6 THEN
		RETURN quantity;
	ELSIF quantity > held AND quantity < 'Infinity' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD041', MESSAGE = format('cannot %s more than is held', verb), COLUMN = 'quantity',
			DETAIL = format('Field: quantity. Reservation %s holds %s, asked for %s.', reservation_id, held, quantity), HINT = 'Send at most what is held, or NULL for all of it.';
	END IF;
	RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('cannot %s quantity %s', verb, quantity), COLUMN = 'quantity',
		DETAIL = format('Field: quantity. Reservation %s; it must be above 0, in base units of at most six decimals.', reservation_id), HINT = 'Send a quantity above 0, or NULL for all of it.';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_part(bigint, numeric, numeric, text) IS 'The quantity, or all that is held for NULL. Errors: SD041 more than is held, SD002 not above 0 or too many decimals.';

-- inventory_reservations does the showing of reservations.
CREATE FUNCTION distsync_internal.inventory_reservations(ids bigint[]) RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.reservation_id, CASE WHEN r.state = 'held' AND r.expires_at <= statement_timestamp() THEN CASE WHEN r.committed > 0 THEN 'committed' ELSE 'expired' END ELSE r.state END,
		i.sku, s.code, trim_scale(r.quantity), trim_scale(r.committed), trim_scale(r.shipped), i.base_unit, r.expires_at, r.holder,
		jsonb_build_object('demand_key', r.demand_key, 'kind', r.kind, 'priority', r.priority, 'promised_at', r.promised_at, 'created_at', r.created_at, 'ended_at', r.ended_at)
	FROM dist.reservation r JOIN dist.item i ON i.item_id = r.item_id JOIN dist.site s ON s.site_id = r.site_id
	WHERE r.reservation_id = ANY (ids) ORDER BY r.reservation_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reservations(bigint[]) IS 'Reservations by number, one row each; a hold past its expiry shows as ended although nobody has swept it yet.';

-- commit_reservation does the turning of a hold into a commitment, in full or in part; the rest is given back unless it shall stay.
CREATE FUNCTION distsync.commit_reservation(reservation_id bigint, quantity numeric DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	request jsonb := jsonb_build_object('reservation_id', reservation_id, 'quantity', quantity, 'options', options);
	answer jsonb := distsync_internal.base_answered(source, 'commit_reservation', options->>'idempotency_key', request);
	r record;
	part numeric;
BEGIN
	IF answer IS NULL THEN
		options := distsync_internal.base_options(options, '{keep_rest:boolean,holder:text,idempotency_key:text,source:text,reason:text}');
		SELECT * INTO r FROM distsync_internal.inventory_locked(commit_reservation.reservation_id, options, true);
		part := distsync_internal.inventory_part(commit_reservation.reservation_id, commit_reservation.quantity, r.quantity - r.committed, 'commit');
		UPDATE dist.reservation x SET committed = x.committed + part, state = CASE WHEN x.committed + part = x.quantity THEN 'committed' ELSE x.state END,
			expires_at = CASE WHEN x.committed + part < x.quantity THEN x.expires_at END
		WHERE x.item_id = r.item_id AND x.reservation_id = commit_reservation.reservation_id;
		PERFORM distsync_internal.inventory_gather(r.item_id, r.site_id, part, 0);
		UPDATE dist.stock_pool p SET held = p.held - part, committed = p.committed + part WHERE p.item_id = r.item_id AND p.site_id = r.site_id;
		IF r.committed + part < r.quantity AND NOT COALESCE((options->>'keep_rest')::boolean, false) THEN
			PERFORM distsync_internal.inventory_give_back(r.item_id, commit_reservation.reservation_id, r.quantity - r.committed - part, 'released');
		END IF;
		PERFORM distsync_internal.inventory_refresh(ARRAY[r.item_id], ARRAY[r.site_id]);
		answer := distsync_internal.inventory_done('commit_reservation', source, options, request, commit_reservation.reservation_id);
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reservation, answer);
END
$$;
COMMENT ON FUNCTION distsync.commit_reservation(bigint, numeric, jsonb) IS
	'Commits a hold: quantity in base units, NULL = all; the rest is given back unless options.keep_rest. Other options: holder (must be the one that reserved), idempotency_key, source, reason. Returns the reservation. Errors: SD001 unknown, SD002 quantity, SD041 not held, more than held or another holder, SD042 expired.';

-- inventory_done does the closing of a command on one reservation: answer, idempotency, audit.
CREATE FUNCTION distsync_internal.inventory_done(verb text, source text, options jsonb, request jsonb, reservation_id bigint) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	answer jsonb := (SELECT jsonb_agg(to_jsonb(x)) FROM distsync_internal.inventory_reservations(ARRAY[reservation_id]) x);
BEGIN
	PERFORM distsync_internal.base_answer(source, verb, options->>'idempotency_key', request, answer);
	PERFORM distsync_internal.base_audit(verb, 'reservation', reservation_id::text, NULL, answer->0, options->>'reason');
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_done(text, text, jsonb, jsonb, bigint) IS 'Stores the answer of a command under its key and audits it. Returns the reservation as an array of one.';

-- release_reservation does the giving back of a hold.
CREATE FUNCTION distsync.release_reservation(reservation_id bigint, quantity numeric DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	request jsonb := jsonb_build_object('reservation_id', reservation_id, 'quantity', quantity, 'options', options);
	answer jsonb := distsync_internal.base_answered(source, 'release_reservation', options->>'idempotency_key', request);
	void boolean;
	r record;
	part numeric;
BEGIN
	IF answer IS NULL THEN
		options := distsync_internal.base_options(options, '{void:boolean,holder:text,idempotency_key:text,source:text,reason:text}');
		void := COALESCE((options->>'void')::boolean, false);
		SELECT * INTO r FROM distsync_internal.inventory_locked(release_reservation.reservation_id, options, NOT void);
		IF r.state NOT IN ('held', 'committed') THEN
			RAISE EXCEPTION USING ERRCODE = 'SD041', MESSAGE = format('reservation %s is %s', release_reservation.reservation_id, r.state), COLUMN = 'reservation_id',
				DETAIL = 'Field: reservation_id. What has ended never changes.', HINT = 'Nothing is left to release.';
		END IF;
		part := distsync_internal.inventory_part(release_reservation.reservation_id, release_reservation.quantity, r.quantity - CASE WHEN void THEN r.shipped ELSE r.committed END, 'release');
		PERFORM distsync_internal.inventory_give_back(r.item_id, release_reservation.reservation_id, part, CASE WHEN void THEN 'void' ELSE 'released' END);
		PERFORM distsync_internal.inventory_refresh(ARRAY[r.item_id], ARRAY[r.site_id]);
		answer := distsync_internal.inventory_done('release_reservation', source, options, request, release_reservation.reservation_id);
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reservation, answer);
END
$$;
COMMENT ON FUNCTION distsync.release_reservation(bigint, numeric, jsonb) IS
	'Gives a hold back: quantity in base units, NULL = all. options: void (true: also what is committed and not shipped), holder, idempotency_key, source, reason. Returns the reservation. Errors: SD001, SD002, SD041 not held, more than held or another holder, SD042 expired.';

-- extend_reservation does the lengthening of a hold that has not expired yet.
CREATE FUNCTION distsync.extend_reservation(reservation_id bigint, ttl interval DEFAULT '15 minutes', options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	request jsonb := jsonb_build_object('reservation_id', reservation_id, 'ttl', ttl, 'options', options);
	answer jsonb := distsync_internal.base_answered(source, 'extend_reservation', options->>'idempotency_key', request);
	r record;
BEGIN
	IF answer IS NULL THEN
		PERFORM distsync_internal.inventory_reserve_options(jsonb_build_object('ttl', extend_reservation.ttl::text));
		options := distsync_internal.base_options(options, '{holder:text,idempotency_key:text,source:text,reason:text}');
		SELECT * INTO r FROM distsync_internal.inventory_locked(extend_reservation.reservation_id, options, true);
		UPDATE dist.reservation x SET expires_at = clock_timestamp() + extend_reservation.ttl WHERE x.item_id = r.item_id AND x.reservation_id = extend_reservation.reservation_id;
		PERFORM distsync_internal.inventory_refresh(ARRAY[r.item_id], ARRAY[r.site_id]);
		answer := distsync_internal.inventory_done('extend_reservation', source, options, request, extend_reservation.reservation_id);
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reservation, answer);
END
$$;
COMMENT ON FUNCTION distsync.extend_reservation(bigint, interval, jsonb) IS
	'Lets a hold last for ttl from now on (it may also become shorter). options: holder, idempotency_key, source, reason. Returns the reservation. Errors: SD001, SD002 ttl, SD041 not held or another holder, SD042 expired.';

-- reservation_status does the reading of one reservation, or of all live ones of a holder or demand.
CREATE FUNCTION distsync.reservation_status(reservation_id bigint DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	options := distsync_internal.base_options(options, '{holder:text,demand_key:text}');
	RETURN QUERY SELECT * FROM distsync_internal.inventory_reservations(CASE WHEN reservation_status.reservation_id IS NOT NULL THEN ARRAY[reservation_status.reservation_id] ELSE ARRAY(
		SELECT r.reservation_id FROM dist.reservation r WHERE r.holder = options->>'holder' AND r.state IN ('held', 'committed')
		UNION SELECT r.reservation_id FROM dist.reservation r WHERE r.demand_key = options->>'demand_key' AND r.demand_key IS NOT NULL AND r.state IN ('held', 'committed')) END);
END
$$;
COMMENT ON FUNCTION distsync.reservation_status(bigint, jsonb) IS
	'A reservation by number, or the live ones of options.holder or options.demand_key (company/order/line); no row = none. Quantities in base units. Reads only.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('reserve', '{order_entry,integrator,admin}'),
	('commit_reservation', '{order_entry,integrator,admin}'),
	('release_reservation', '{order_entry,integrator,operator,admin}'),
	('extend_reservation', '{order_entry,integrator,admin}'),
	('reservation_status', '{reader,order_entry,integrator,operator,admin}');
