-- Dates: when what is available can leave, and when it can arrive. A site ships on the open days of its calendar what was ordered
-- before the cut-off; a carrier takes working days of its own.

-- inventory_open_on does the look at one day of a calendar.
CREATE FUNCTION distsync_internal.inventory_open_on(calendar_id bigint, day date, OUT open boolean, OUT cut_off time)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT COALESCE(x.open, extract(isodow FROM inventory_open_on.day)::smallint = ANY (c.weekdays)), COALESCE(x.cut_off, c.cut_off) INTO open, cut_off
	FROM dist.calendar c LEFT JOIN dist.calendar_day x ON x.calendar_id = c.calendar_id AND x.day = inventory_open_on.day
	WHERE c.calendar_id = inventory_open_on.calendar_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_open_on(bigint, date) IS 'Whether a day of a calendar is open, and from when on an order no longer counts for it, in the time zone of the calendar.';

-- inventory_ship_at does the finding of the day on which a site ships what is available at an instant. Cut-offs are half-open: an order
-- at the cut-off counts for the next open day. A calendar without an open day in a year ships never.
CREATE FUNCTION distsync_internal.inventory_ship_at(site_id bigint, available_at timestamptz, ship_days integer, OUT ship_at timestamptz, OUT day date, OUT turns_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	s record;
	o record;
	here timestamp;
	wait integer := ship_days;
	closed integer := 0;
BEGIN
	SELECT x.calendar_id, COALESCE(c.tz, x.tz) AS tz INTO s FROM dist.site x LEFT JOIN dist.calendar c ON c.calendar_id = x.calendar_id WHERE x.site_id = inventory_ship_at.site_id;
	IF s.calendar_id IS NULL OR NOT isfinite(available_at) THEN
		ship_at := available_at + ship_days * interval '24 hours';
		IF isfinite(available_at) THEN
			day := (ship_at AT TIME ZONE s.tz)::date;
			turns_at := (day + 1)::timestamp AT TIME ZONE s.tz - ship_days * interval '24 hours';
		END IF;
		RETURN;
	END IF;
	here := available_at AT TIME ZONE s.tz;
	day := here::date;
	WHILE closed < 366 LOOP
		o := distsync_internal.inventory_open_on(s.calendar_id, day);
		closed := closed + 1;
		IF o.open AND (day > here::date OR here::time < o.cut_off) THEN
			turns_at := COALESCE(turns_at, (day + o.cut_off) AT TIME ZONE s.tz);
			IF wait = 0 THEN
				ship_at := (day + o.cut_off) AT TIME ZONE s.tz;
				RETURN;
			END IF;
			wait := wait - 1;
			closed := 0;
		END IF;
		day := day + 1;
	END LOOP;
	day := NULL;
	turns_at := NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_ship_at(bigint, timestamptz, integer) IS
	'When a site ships what is available at an instant, so many open days after the order: the cut-off of that day, its date at the site, and the instant from which on a later order ships later. Without a calendar: at once. NULL = it never ships.';

-- inventory_deliver_on does the counting of a carrier's working days after the day of shipping.
CREATE FUNCTION distsync_internal.inventory_deliver_on(carrier_id bigint, ship_day date, days integer) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	calendar bigint := (SELECT c.calendar_id FROM dist.carrier c WHERE c.carrier_id = inventory_deliver_on.carrier_id);
	day date := ship_day;
	wait integer := days;
	closed integer := 0;
BEGIN
	IF calendar IS NULL THEN
		RETURN ship_day + days;
	END IF;
	WHILE closed < 366 LOOP
		IF day > ship_day OR days = 0 THEN
			closed := closed + 1;
			IF (distsync_internal.inventory_open_on(calendar, day)).open THEN
				wait := wait - 1;
				closed := 0;
			END IF;
			IF wait <= 0 AND closed = 0 THEN
				RETURN day;
			END IF;
		END IF;
		day := day + 1;
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_deliver_on(bigint, date, integer) IS
	'Day on which a carrier delivers what leaves on a day and takes so many of its working days (0 = the same day, if it works then); NULL = it never does.';

-- inventory_destination does the reading of where goods shall go: the zones that transit times may be given for, the nearest first.
CREATE FUNCTION distsync_internal.inventory_destination(options jsonb, OUT asked boolean, OUT zones text[], OUT carrier_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	address jsonb;
BEGIN
	asked := options ?| '{ship_to,zone,carrier}';
	IF options->>'carrier' IS NOT NULL THEN
		SELECT c.carrier_id INTO carrier_id FROM dist.carrier c WHERE c.code = options->>'carrier';
		IF NOT FOUND THEN
			PERFORM distsync_internal.master_unknown('carrier', options->>'carrier', 'options.carrier', NULL);
		END IF;
	END IF;
	IF options->>'ship_to' IS NOT NULL THEN
		address := (SELECT p.address FROM dist.party p WHERE p.party_id = distsync_internal.master_party(options->>'ship_to', 'options.ship_to'));
		zones := array_remove(ARRAY[(address->>'country') || '-' || (address->>'region'), address->>'country'], NULL);
	END IF;
	IF options->>'zone' IS NOT NULL THEN
		zones := array_remove(ARRAY[options->>'zone', CASE WHEN options->>'zone' LIKE '%-%' THEN split_part(options->>'zone', '-', 1) END], NULL);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_destination(jsonb) IS
	'options.ship_to (a party, by its address), options.zone (country or country-region, goes before ship_to) and options.carrier (NULL = the quickest): whether delivery is asked for, and the zones, the nearest first. Errors: SD001.';

-- inventory_delivery does the choice of a carrier for goods that leave a site on a day: the one asked for, or the quickest.
CREATE FUNCTION distsync_internal.inventory_delivery(site_id bigint, ship_day date, zones text[], carrier_id bigint, OUT deliver_on date, OUT carrier text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT x.deliver_on, c.code INTO deliver_on, carrier
	FROM (SELECT DISTINCT ON (t.carrier_id) t.carrier_id, t.days FROM dist.transit_time t
		WHERE t.site_id = inventory_delivery.site_id AND t.zone = ANY (zones) AND (inventory_delivery.carrier_id IS NULL OR t.carrier_id = inventory_delivery.carrier_id)
		ORDER BY t.carrier_id, array_position(zones, t.zone)) n
	JOIN dist.carrier c ON c.carrier_id = n.carrier_id
	CROSS JOIN LATERAL (SELECT distsync_internal.inventory_deliver_on(n.carrier_id, ship_day, n.days) AS deliver_on) x
	WHERE x.deliver_on IS NOT NULL
	ORDER BY x.deliver_on, c.code COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_delivery(bigint, date, text[], bigint) IS 'Day of delivery of what leaves a site on a day for one of these zones (the first one that a carrier knows), and the carrier; NULL = nobody goes there.';

-- inventory_dates does the dates of a quantity that is available at an instant: of the site that has all of it and delivers (or ships)
-- first, otherwise, if it takes several sites, of the last one of them.
CREATE FUNCTION distsync_internal.inventory_dates(item_id bigint, kit boolean, site_ids bigint[], amounts numeric[], quantity numeric, available_at timestamptz, at timestamptz, options jsonb,
	OUT ship_at timestamptz, OUT deliver_on date, OUT turns_at timestamptz, OUT detail jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	d record;
BEGIN
	d := distsync_internal.inventory_destination(options);
	IF NOT COALESCE(d.asked, false) AND NOT EXISTS (SELECT FROM dist.site s WHERE s.site_id = ANY (site_ids) AND (s.calendar_id IS NOT NULL OR NOT s.can_ship))
		AND NOT kit AND NOT EXISTS (SELECT FROM dist.item_site i WHERE i.item_id = inventory_dates.item_id AND i.site_id = ANY (site_ids) AND i.ship_days > 0) THEN
		ship_at := available_at;
		detail := '{}';
		RETURN;
	END IF;
	WITH c AS MATERIALIZED (
		SELECT s.code, s.rank, CASE WHEN w.waits THEN x.ship_at ELSE inventory_dates.available_at END AS ship_at, CASE WHEN d.asked OR s.calendar_id IS NOT NULL THEN x.turns_at END AS turns_at, y.deliver_on, y.carrier,
			COALESCE(z.atp, 0) >= quantity OR z.unlimited AS whole, z.atp > 0 OR z.unlimited AS some
		FROM dist.site s
		JOIN unnest(site_ids, amounts) n(site_id, amount) ON n.site_id = s.site_id
		CROSS JOIN LATERAL (SELECT COALESCE(max(i.ship_days), 0) AS ship_days FROM dist.item_site i
			WHERE i.site_id = s.site_id AND (i.item_id = inventory_dates.item_id OR kit AND i.item_id IN (SELECT k.item_id FROM distsync_internal.inventory_components(inventory_dates.item_id) k))) r
		CROSS JOIN LATERAL (SELECT COALESCE(d.asked, false) OR s.calendar_id IS NOT NULL OR r.ship_days > 0 AS waits) w
		LEFT JOIN LATERAL distsync_internal.inventory_ship_at(s.site_id, inventory_dates.available_at, r.ship_days) x ON w.waits
		LEFT JOIN LATERAL distsync_internal.inventory_delivery(s.site_id, x.day, d.zones, d.carrier_id) y ON d.asked
		CROSS JOIN LATERAL (
			SELECT quantity AS atp, false AS unlimited WHERE cardinality(site_ids) = 1
			UNION ALL
			SELECT n.amount, false WHERE cardinality(site_ids) > 1 AND amounts IS NOT NULL
			UNION ALL
			(SELECT v.atp, v.atp IS NULL FROM distsync_internal.inventory_walk(inventory_dates.item_id, kit, ARRAY[s.site_id], inventory_dates.at, options) v
			WHERE cardinality(site_ids) > 1 AND amounts IS NULL AND v.moment <= inventory_dates.available_at ORDER BY v.moment DESC LIMIT 1)) z
		WHERE s.can_ship
	), one AS (
		SELECT c.* FROM c WHERE c.whole AND c.ship_at IS NOT NULL ORDER BY c.deliver_on, c.ship_at, c.rank, c.code COLLATE "C" LIMIT 1
	), several AS (
		SELECT max(c.ship_at) AS ship_at, CASE WHEN bool_and(c.deliver_on IS NOT NULL) THEN max(c.deliver_on) END AS deliver_on, array_agg(c.code ORDER BY c.rank, c.code COLLATE "C") AS codes,
			CASE WHEN count(DISTINCT c.carrier) = 1 THEN min(c.carrier) END AS carrier
		FROM c WHERE c.some HAVING bool_and(c.ship_at IS NOT NULL)
	)
	SELECT CASE WHEN one.code IS NOT NULL THEN one.ship_at ELSE several.ship_at END, CASE WHEN one.code IS NOT NULL THEN one.deliver_on ELSE several.deliver_on END, (SELECT min(c.turns_at) FROM c),
		CASE WHEN cardinality(site_ids) > 1 THEN jsonb_strip_nulls(jsonb_build_object('ship_from', CASE WHEN one.code IS NOT NULL THEN ARRAY[one.code] ELSE several.codes END)) ELSE '{}' END
			|| CASE WHEN d.asked THEN jsonb_strip_nulls(jsonb_build_object('carrier', CASE WHEN one.code IS NOT NULL THEN one.carrier ELSE several.carrier END)) ELSE '{}' END
	INTO ship_at, deliver_on, turns_at, detail
	FROM (VALUES (1)) v(n) LEFT JOIN one ON true LEFT JOIN several ON true;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_dates(bigint, boolean, bigint[], numeric[], numeric, timestamptz, timestamptz, jsonb) IS
	'When a quantity (base units) of an item or kit that is available at an instant over these sites ships and arrives; amounts: what there is at each of them then (NULL = to be found out); turns_at: from when on a later order ships later; detail: ship_from (the site that does, or those that are needed, where there are several and they differ in that), carrier (where delivery is asked for).';
