-- Commands on reservations: commit, release, extend, one or many at once, and the reading of their state. A kit is one reservation with a
-- row for each component: whatever is done to one of them is done to all. Bulk is the primitive, one is a bulk of one.

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
COMMENT ON TYPE distsync_internal.inventory_reservation IS 'A reservation: state held | committed | shipped | released | expired | void; quantities in the base unit, committed and shipped are parts of quantity; detail {"demand_key", "kind", "priority", "promised_at", "created_at", "ended_at"}, "reason" if it was reallocated | taken_over, of a component of a kit also {"kit", "kit_reservation", "per_kit"}.';

CREATE TYPE distsync_internal.inventory_settled AS (
	ordinal		integer,
	outcome		text,
	reservation_id	bigint,
	state		text,
	quantity	numeric,
	committed	numeric,
	shipped		numeric,
	sqlstate	text,
	field		text,
	message		text,
	hint		text
);
COMMENT ON TYPE distsync_internal.inventory_settled IS 'What became of a line of commit_reservations() or release_reservations(): place in the request (from 1), outcome done | rejected, the reservation and what it is now (base units, of a kit whole kits), for rejected: code, field, message and hint.';

-- inventory_hold does the reading of one reservation; of a kit as a whole, in kits.
CREATE FUNCTION distsync_internal.inventory_hold(reservation_id bigint, OUT head bigint, OUT state text, OUT quantity numeric, OUT committed numeric, OUT shipped numeric, OUT expires_at timestamptz, OUT holder text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT r.reservation_id, r.state, r.quantity, r.committed, r.shipped, r.expires_at, r.holder INTO head, state, quantity, committed, shipped, expires_at, holder
	FROM dist.reservation r WHERE r.reservation_id = COALESCE((SELECT k.kit_group FROM dist.reservation k WHERE k.reservation_id = inventory_hold.reservation_id), inventory_hold.reservation_id);
	IF EXISTS (SELECT FROM dist.reservation k WHERE k.kit_group = head) THEN
		-- components ship one by one: a kit is as much as the component of which there is least
		SELECT CASE WHEN bool_or(k.state = 'held') THEN 'held' WHEN bool_or(k.state = 'committed') THEN 'committed' ELSE min(k.state) END, min(trunc(k.quantity / k.kit_per)),
			min(trunc(k.quantity / k.kit_per)) - min(trunc((k.quantity - k.committed) / k.kit_per)), min(trunc(k.shipped / k.kit_per)), min(k.expires_at)
		INTO state, quantity, committed, shipped, expires_at FROM dist.reservation k WHERE k.kit_group = head;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold(bigint) IS 'A reservation in base units, or the kit that it is a component of in whole kits; head is the number that stands for it, NULL = there is none.';

-- inventory_hold_lock does the locking of the pools of reservations, in the one order, with those of whole kits.
CREATE FUNCTION distsync_internal.inventory_hold_lock(ids bigint[], OUT items bigint[], OUT sites bigint[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT r.item_id, r.site_id FROM dist.reservation r WHERE r.reservation_id = ANY (ids)
		UNION SELECT k.item_id, k.site_id FROM dist.reservation r JOIN dist.reservation k ON k.kit_group = r.kit_group WHERE r.reservation_id = ANY (ids)) k;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
		-- what is over has ended, whether or not somebody has swept it: what was committed of it can still be voided
		IF EXISTS (SELECT FROM dist.reservation r WHERE r.reservation_id = ANY (ids) AND r.state = 'held' AND r.committed > 0 AND r.expires_at <= clock_timestamp()) THEN
			PERFORM distsync_internal.inventory_expire(items, sites, clock_timestamp());
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_lock(bigint[]) IS 'Locks the pools of these reservations and of the kits they belong to, until the end of the transaction, and ends those that are over; returns the pools as pairs of item and site, NULL if there is none.';

-- inventory_hold_unknown does the saying that there is no such reservation.
CREATE FUNCTION distsync_internal.inventory_hold_unknown(reservation_id bigint) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY['SD001', 'reservation_id', format('unknown reservation %s', COALESCE(reservation_id::text, 'NULL')), 'Field: reservation_id.', 'Use a number that reserve() has given.'];
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_unknown(bigint) IS '{sqlstate, field, message, detail, hint} of a command on a reservation that is not there: SD001.';

-- inventory_hold_strays does the question whether a reservation stands in a pool that is not locked: it was made while the caller waited for
-- those that he has, and nobody has told him its number before.
CREATE FUNCTION distsync_internal.inventory_hold_strays(reservation_id bigint, items bigint[], sites bigint[]) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM (SELECT r.item_id, r.site_id FROM dist.reservation r WHERE r.reservation_id = inventory_hold_strays.reservation_id
			UNION ALL SELECT k.item_id, k.site_id FROM dist.reservation r JOIN dist.reservation k ON k.kit_group = r.kit_group WHERE r.reservation_id = inventory_hold_strays.reservation_id) m
		WHERE NOT EXISTS (SELECT FROM unnest(items, sites) u(item_id, site_id) WHERE u.item_id = m.item_id AND u.site_id = m.site_id));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_strays(bigint, bigint[], bigint[]) IS 'Whether a reservation, or a component of its kit, stands in a pool that is none of these (arrays of equal length, NULL = none); false of one that is not there.';

-- inventory_hold_fault does the finding of what is wrong with a command on one reservation: clock_timestamp() under the lock decides.
CREATE FUNCTION distsync_internal.inventory_hold_fault(verb text, reservation_id bigint, quantity numeric, options jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record := distsync_internal.inventory_hold(inventory_hold_fault.reservation_id);
	void boolean := verb = 'release' AND COALESCE((options->>'void')::boolean, false);
	most numeric := r.quantity - CASE WHEN void THEN r.shipped ELSE r.committed END;
BEGIN
	RETURN CASE
		WHEN r.head IS NULL THEN distsync_internal.inventory_hold_unknown(reservation_id)
		WHEN options->>'holder' <> r.holder THEN ARRAY['SD041', 'options.holder', format('reservation %s belongs to another holder', reservation_id), format('Field: options.holder. It is "%s".', left(options->>'holder', 80)),
			'Use the holder that reserved, or leave the option out if you may decide for others.']
		WHEN r.state = 'expired' OR r.state = 'held' AND r.expires_at <= clock_timestamp() THEN ARRAY['SD042', 'reservation_id', format('reservation %s has expired', reservation_id), format('Field: reservation_id. It was held until %s.', r.expires_at),
			'Reserve again: the stock may be somebody else''s by now.']
		WHEN void AND r.state NOT IN ('held', 'committed') THEN ARRAY['SD041', 'reservation_id', format('reservation %s is %s', reservation_id, r.state), 'Field: reservation_id. What has ended never changes.', 'Nothing is left to release.']
		WHEN NOT void AND r.state <> 'held' THEN ARRAY['SD041', 'reservation_id', format('reservation %s is %s', reservation_id, r.state), format('Field: reservation_id. Of %s, %s are committed and %s shipped.', r.quantity, r.committed, r.shipped),
			'Only what is held can be committed, released or extended; reserve again if more is needed.']
		WHEN quantity > most AND quantity < 'Infinity' THEN ARRAY['SD041', 'quantity', format('cannot %s more than is held', verb), format('Field: quantity. Reservation %s holds %s, asked for %s.', reservation_id, trim_scale(most), quantity), 'Send at most what is held, or NULL for all of it.']
		WHEN NOT (quantity > 0 AND quantity < 'Infinity' AND scale(trim_scale(quantity)) <= 6) THEN ARRAY['SD002', 'quantity', format('cannot %s quantity %s', verb, quantity),
			format('Field: quantity. Reservation %s; it must be above 0, in base units of at most six decimals.', reservation_id), 'Send a quantity above 0, or NULL for all of it.']
		WHEN quantity <> trunc(quantity) AND EXISTS (SELECT FROM dist.reservation k WHERE k.kit_group = r.head) THEN ARRAY['SD002', 'quantity', format('cannot %s %s of a kit', verb, quantity),
			format('Field: quantity. Reservation %s is a kit.', reservation_id), 'Send a number of whole kits, or NULL for all of it.'] END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_fault(text, bigint, numeric, jsonb) IS
	'{sqlstate, field, message, detail, hint} of what is wrong with commit | release | extend of a reservation, NULL = nothing; the caller has its pools locked. SD001 unknown, SD002 quantity, SD041 another holder (option holder), not held or more than is held, SD042 expired.';

-- inventory_hold_raise does the raising of a fault.
CREATE FUNCTION distsync_internal.inventory_hold_raise(fault text[], within text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = fault[1], MESSAGE = fault[3], COLUMN = CASE fault[2] WHEN 'options.holder' THEN fault[2] ELSE within || fault[2] END,
			DETAIL = CASE fault[2] WHEN 'options.holder' THEN fault[4] ELSE replace(fault[4], 'Field: ', 'Field: ' || within) END, HINT = fault[5];
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_raise(text[], text) IS 'Raises {sqlstate, field, message, detail, hint}; NULL does nothing. within: what stands before the field (lines[0]. or nothing).';

-- inventory_hold_do does the commit or release of one reservation that was found right, with all components of a kit.
CREATE FUNCTION distsync_internal.inventory_hold_do(verb text, reservation_id bigint, quantity numeric, options jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	head bigint := (distsync_internal.inventory_hold(inventory_hold_do.reservation_id)).head;
	m record;
	part numeric;
	gives boolean := verb = 'release';
BEGIN
	FOR m IN SELECT r.* FROM dist.reservation r WHERE r.reservation_id = head OR r.kit_group = head ORDER BY r.reservation_id LOOP
		CONTINUE WHEN m.state NOT IN ('held', 'committed');
		part := inventory_hold_do.quantity * COALESCE(m.kit_per, 1);
		IF verb = 'release' THEN
			PERFORM distsync_internal.inventory_give_back(m.item_id, m.reservation_id, COALESCE(part, m.quantity - CASE WHEN (options->>'void')::boolean THEN m.shipped ELSE m.committed END),
				CASE WHEN (options->>'void')::boolean THEN 'void' ELSE 'released' END);
			CONTINUE;
		END IF;
		part := least(COALESCE(part, m.quantity - m.committed), m.quantity - m.committed);
		UPDATE dist.reservation x SET committed = x.committed + part, state = CASE WHEN x.committed + part = x.quantity THEN 'committed' ELSE x.state END,
			expires_at = CASE WHEN x.committed + part < x.quantity THEN x.expires_at END
		WHERE x.item_id = m.item_id AND x.reservation_id = m.reservation_id;
		PERFORM distsync_internal.inventory_gather(m.item_id, m.site_id, part, 0);
		UPDATE dist.stock_pool p SET held = p.held - part, committed = p.committed + part WHERE p.item_id = m.item_id AND p.site_id = m.site_id;
		IF m.committed + part < m.quantity AND NOT COALESCE((options->>'keep_rest')::boolean, false) THEN
			PERFORM distsync_internal.inventory_give_back(m.item_id, m.reservation_id, m.quantity - m.committed - part, 'released');
			gives := true;
		END IF;
	END LOOP;
	-- who gives back of what he has, does not want back what he had lost
	IF gives THEN
		UPDATE dist.reservation x SET lost = NULL, reason = NULL WHERE (x.reservation_id = head OR x.kit_group = head) AND x.state IN ('held', 'committed') AND x.lost > 0;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_do(text, bigint, numeric, jsonb) IS
	'commit (the rest is given back unless option keep_rest) or release (option void: also what is committed and not shipped) of a reservation; base units, of a kit whole kits, NULL = all. Who gives back waives what he has lost before. The caller holds the pools'' locks, has checked, and refreshes the pools.';

-- inventory_reservations does the showing of reservations.
CREATE FUNCTION distsync_internal.inventory_reservations(ids bigint[]) RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.reservation_id, CASE WHEN r.state = 'held' AND r.expires_at <= statement_timestamp() THEN CASE WHEN r.committed > 0 THEN 'committed' ELSE 'expired' END ELSE r.state END,
		i.sku, s.code, trim_scale(r.quantity), trim_scale(r.committed), trim_scale(r.shipped), i.base_unit, r.expires_at, r.holder,
		jsonb_build_object('demand_key', r.demand_key, 'kind', r.kind, 'priority', r.priority, 'promised_at', r.promised_at, 'created_at', r.created_at, 'ended_at', r.ended_at)
			|| CASE WHEN r.reason IS NULL THEN '{}' ELSE jsonb_build_object('reason', r.reason) END
			|| CASE WHEN r.kit_id IS NULL THEN '{}' ELSE jsonb_build_object('kit', (SELECT k.sku FROM dist.item k WHERE k.item_id = r.kit_id), 'kit_reservation', r.kit_group, 'per_kit', trim_scale(r.kit_per)) END
	FROM dist.reservation r JOIN dist.item i ON i.item_id = r.item_id JOIN dist.site s ON s.site_id = r.site_id
	WHERE r.reservation_id = ANY (ids) ORDER BY r.reservation_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reservations(bigint[]) IS 'Reservations by number, one row each; a hold past its expiry shows as ended although nobody has swept it yet.';

-- inventory_hold_one does a command on one reservation from end to end: lock, check, do, refresh, answer, audit.
CREATE FUNCTION distsync_internal.inventory_hold_one(verb text, reservation_id bigint, quantity numeric, ttl interval, options jsonb) RETURNS SETOF distsync_internal.inventory_reservation
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	source text := COALESCE(options->>'source', session_user);
	name text := verb || '_reservation';
	request jsonb := jsonb_build_object('reservation_id', reservation_id, 'options', options) || CASE WHEN verb = 'extend' THEN jsonb_build_object('ttl', ttl) ELSE jsonb_build_object('quantity', quantity) END;
	answer jsonb := distsync_internal.base_answered(source, name, options->>'idempotency_key', request);
	k record;
	t timestamptz;
	head bigint;
BEGIN
	IF answer IS NULL THEN
		IF verb = 'extend' THEN
			PERFORM distsync_internal.inventory_ttl(ttl::text, 'ttl');
		END IF;
		options := distsync_internal.base_options(options, CASE verb WHEN 'commit' THEN '{keep_rest:boolean,holder:text,idempotency_key:text,source:text,reason:text}'::text[]
			WHEN 'release' THEN '{void:boolean,holder:text,idempotency_key:text,source:text,reason:text}' ELSE '{holder:text,idempotency_key:text,source:text,reason:text}' END);
		SELECT * INTO k FROM distsync_internal.inventory_hold_lock(ARRAY[inventory_hold_one.reservation_id]);
		PERFORM distsync_internal.inventory_hold_raise(CASE WHEN distsync_internal.inventory_hold_strays(inventory_hold_one.reservation_id, k.items, k.sites) THEN distsync_internal.inventory_hold_unknown(inventory_hold_one.reservation_id)
			ELSE distsync_internal.inventory_hold_fault(verb, inventory_hold_one.reservation_id, inventory_hold_one.quantity, options) END, '');
		head := (distsync_internal.inventory_hold(inventory_hold_one.reservation_id)).head;
		IF verb = 'extend' THEN
			t := clock_timestamp() + ttl;
			UPDATE dist.reservation x SET expires_at = t WHERE (x.reservation_id = head OR x.kit_group = head) AND x.state = 'held';
		ELSE
			PERFORM distsync_internal.inventory_hold_do(verb, head, inventory_hold_one.quantity, options);
		END IF;
		PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
		answer := (SELECT jsonb_agg(to_jsonb(x)) FROM distsync_internal.inventory_reservations(ARRAY(SELECT r.reservation_id FROM dist.reservation r WHERE r.reservation_id = head OR r.kit_group = head)) x);
		PERFORM distsync_internal.base_answer(source, name, options->>'idempotency_key', request, answer);
		PERFORM distsync_internal.base_audit(name, 'reservation', head::text, NULL, CASE WHEN jsonb_array_length(answer) = 1 THEN answer->0 ELSE answer END, options->>'reason');
	END IF;
	RETURN QUERY SELECT * FROM jsonb_populate_recordset(NULL::distsync_internal.inventory_reservation, answer);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hold_one(text, bigint, numeric, interval, jsonb) IS 'commit | release | extend of one reservation, with idempotency and audit. Returns the reservation, of a kit all its components.';

-- commit_reservation does the turning of a hold into a commitment, in full or in part; the rest is given back unless it shall stay.
CREATE FUNCTION distsync.commit_reservation(reservation_id bigint, quantity numeric DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
AS 'MODULE_PATHNAME', 'ds_sql_inventory_commit' LANGUAGE c ROWS 1;
COMMENT ON FUNCTION distsync.commit_reservation(bigint, numeric, jsonb) IS
	'Commits a hold: quantity in base units, of a kit (any of its components names it) in whole kits, NULL = all; the rest is given back unless options.keep_rest. Other options: holder (must be the one that reserved; who leaves it out decides for whoever holds it), idempotency_key, source, reason. Returns the reservation, of a kit a row for each component. Errors: SD001 unknown, SD002 quantity, SD041 not held, more than held or another holder, SD042 expired.';

-- release_reservation does the giving back of a hold.
CREATE FUNCTION distsync.release_reservation(reservation_id bigint, quantity numeric DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
AS 'MODULE_PATHNAME', 'ds_sql_inventory_release' LANGUAGE c ROWS 1;
COMMENT ON FUNCTION distsync.release_reservation(bigint, numeric, jsonb) IS
	'Gives a hold back: quantity in base units, of a kit in whole kits, NULL = all. options: void (true: also what is committed and not shipped), holder, idempotency_key, source, reason. Returns the reservation, of a kit a row for each component. Errors: SD001, SD002, SD041 not held, more than held or another holder, SD042 expired.';

-- extend_reservation does the lengthening of a hold that has not expired yet.
CREATE FUNCTION distsync.extend_reservation(reservation_id bigint, ttl interval DEFAULT '15 minutes', options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_reservation
AS 'MODULE_PATHNAME', 'ds_sql_inventory_extend' LANGUAGE c ROWS 1;
COMMENT ON FUNCTION distsync.extend_reservation(bigint, interval, jsonb) IS
	'Lets a hold, of a kit as a whole, last for ttl from now on (it may also become shorter). options: holder, idempotency_key, source, reason. Returns the reservation, of a kit a row for each component. Errors: SD001, SD002 ttl, SD041 not held or another holder, SD042 expired.';
