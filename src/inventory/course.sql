-- The course of an item at a site: what comes and goes, and what goes off. A lot counts until it expires, or has fewer days left than are
-- wanted. What leaves before that takes what expires first, so that only the rest of a lot is lost; and what can only leave afterwards has
-- no claim on it, so that it keeps nobody from the lot before. README.md has the reckoning.

-- inventory_expiries does the listing of the instants at which lots stop counting, by the day of the site.
CREATE FUNCTION distsync_internal.inventory_expiries(item_id bigint, site_id bigint, at timestamptz, shelf_days integer) RETURNS TABLE (moment timestamptz, phys numeric, book numeric, lots text)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH d AS MATERIALIZED (
		SELECT z.tz, greatest(COALESCE(i.min_shelf_days, 0), COALESCE(inventory_expiries.shelf_days, 0)) AS days FROM dist.site z, dist.item i WHERE z.site_id = inventory_expiries.site_id AND i.item_id = inventory_expiries.item_id
	), e AS (
		SELECT (b.expires_on + 1 - d.days)::timestamp AT TIME ZONE d.tz AS moment, COALESCE(sum(b.quantity) FILTER (WHERE b.perspective = 'phys'), 0) AS phys,
			COALESCE(sum(b.quantity) FILTER (WHERE b.perspective = 'book'), 0) AS book, array_agg(DISTINCT b.lot COLLATE "C") AS lots
		FROM dist.stock_balance b JOIN dist.stock_state s ON s.state = b.state AND s.promisable CROSS JOIN d
		WHERE b.item_id = inventory_expiries.item_id AND b.site_id = inventory_expiries.site_id AND b.quantity > 0 AND b.expires_on >= (inventory_expiries.at AT TIME ZONE d.tz)::date + d.days
		GROUP BY 1
		UNION ALL
		-- what is to be released before: it is supply until it expires, also where that is before it is released
		SELECT greatest(x.expires_at, r.moment), r.quantity, r.quantity, ARRAY[r.lot]
		FROM distsync_internal.inventory_releases(inventory_expiries.item_id, inventory_expiries.site_id, inventory_expiries.at) r CROSS JOIN d
		CROSS JOIN LATERAL (SELECT (r.expires_on + 1 - d.days)::timestamp AT TIME ZONE d.tz AS expires_at) x
		WHERE r.moment IS NOT NULL AND r.quantity > 0 AND x.expires_at IS NOT NULL
	)
	SELECT e.moment, sum(e.phys) OVER w, sum(e.book) OVER w, array_to_string(e.lots[:20], ', ')
	FROM (SELECT x.moment, sum(x.phys) AS phys, sum(x.book) AS book, array_agg(DISTINCT u.lot COLLATE "C") AS lots FROM e x CROSS JOIN LATERAL unnest(x.lots) u(lot) GROUP BY x.moment) e
	WINDOW w AS (ORDER BY e.moment)
	ORDER BY e.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_expiries(bigint, bigint, timestamptz, integer) IS
	'Instants after at from which on lots of an item at a site no longer count (shelf_days: days they must have left, where that is more than the item wants), how much promisable stock of either perspective is gone up to each, base units, and the first twenty lots that go then.';

-- inventory_course does the putting together of changes and expiries, one row for each instant.
CREATE FUNCTION distsync_internal.inventory_course(item_id bigint, site_id bigint, at timestamptz, phys numeric, book numeric, view distsync_internal.inventory_view DEFAULT NULL, doubt text DEFAULT NULL, own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL)
RETURNS TABLE (moment timestamptz, coming numeric, going numeric, later numeric, rest numeric, own numeric, lots text)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	seen distsync_internal.inventory_view := view;
BEGIN
	seen.mode := COALESCE(view.mode, 'conservative');
	IF view.holder IS NULL AND NOT EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = inventory_course.item_id AND b.site_id = inventory_course.site_id AND b.expires_on IS NOT NULL) THEN
		RETURN QUERY
		SELECT x.moment, COALESCE(sum(x.change) FILTER (WHERE x.change > 0), 0), COALESCE(sum(x.change) FILTER (WHERE x.change < 0), 0), COALESCE(-sum(x.change) FILTER (WHERE x.kind = 'promise'), 0), NULL::numeric, NULL::numeric, NULL::text
		FROM distsync_internal.inventory_changes(inventory_course.item_id, inventory_course.site_id, inventory_course.at, own_keys, own_quantities) x GROUP BY x.moment ORDER BY x.moment;
		RETURN;
	END IF;
	RETURN QUERY
	WITH l AS MATERIALIZED (
		SELECT * FROM distsync_internal.inventory_short_lived(inventory_course.item_id, inventory_course.site_id, inventory_course.at, view.shelf_days)
	), c AS (
		SELECT x.moment, COALESCE(sum(x.change) FILTER (WHERE x.change > 0), 0) AS coming, COALESCE(sum(x.change) FILTER (WHERE x.change < 0), 0) AS going, COALESCE(-sum(x.change) FILTER (WHERE x.kind = 'promise'), 0) AS later,
			NULL::numeric AS rest, NULL::numeric AS own, NULL::text AS lots
		FROM distsync_internal.inventory_changes(inventory_course.item_id, inventory_course.site_id, inventory_course.at, own_keys, own_quantities) x GROUP BY x.moment
		UNION ALL
		-- what the one who asks is promised for then is not in his way
		SELECT h.moment, 0, h.quantity, -h.quantity, NULL, NULL, NULL FROM distsync_internal.inventory_own_holds(inventory_course.item_id, inventory_course.site_id, view.holder, inventory_course.at) h WHERE view.holder IS NOT NULL AND h.moment > inventory_course.at
		UNION ALL
		SELECT v.moment, 0, 0, 0, distsync_internal.inventory_base(inventory_course.phys - l.phys - v.phys, inventory_course.book - l.book - v.book, 0, 0, seen.mode, inventory_course.doubt), NULL, v.lots
		FROM l CROSS JOIN distsync_internal.inventory_expiries(inventory_course.item_id, inventory_course.site_id, inventory_course.at, view.shelf_days) v
		UNION ALL
		-- what keeps nobody from a lot is decided as the pool decides it, by lots that are good enough for the item
		SELECT v.moment, 0, 0, 0, NULL, distsync_internal.inventory_base(inventory_course.phys - v.phys, inventory_course.book - v.book, 0, 0, 'conservative', NULL), NULL
		FROM distsync_internal.inventory_expiries(inventory_course.item_id, inventory_course.site_id, inventory_course.at, NULL) v
	)
	SELECT c.moment, sum(c.coming), sum(c.going), sum(c.later), max(c.rest) - COALESCE(sum(sum(c.going)) OVER before, 0), max(c.own) - COALESCE(sum(sum(c.going)) OVER before, 0), max(c.lots)
	FROM c GROUP BY c.moment
	WINDOW before AS (ORDER BY c.moment ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
	ORDER BY c.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course(bigint, bigint, timestamptz, numeric, numeric, distsync_internal.inventory_view, text, text[], numeric[]) IS
	'What comes and goes (below 0; later: what of that is promised for then) of an item at a site after an instant, as inventory_changes() lists it, base units. Where lots stop counting: rest, what of the stock is left without them, with what has left before, which took from them first (as view sees it, in doubt or not); own: the same as the pool sees it; lots: which. phys, book: the stock that there is, with what is outside or in flight.';

-- A course as arrays, one element for each moment of a timeline.
CREATE TYPE distsync_internal.inventory_course AS (
	runs		numeric[],
	rests		numeric[],
	owns		numeric[]
);
COMMENT ON TYPE distsync_internal.inventory_course IS 'Running sum of stock, supply and demand at each moment, the first of which is now, without what expires, base units; rest and own of inventory_course() at the moments at which lots expire. Both arrays are NULL where none does.';

-- inventory_course_left does what is left at each moment for whoever wants something from then on: what lots leave, and the lowest point to come;
-- where that is only because a lot is gone by then, no more of it than what does not need the lot.
CREATE FUNCTION distsync_internal.inventory_course_left(c distsync_internal.inventory_course, promised numeric, last integer) RETURNS numeric[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result numeric[] := '{}';
	rest numeric := c.runs[1] - promised;
	own numeric;
	rests numeric[];
	owns numeric[];
	here numeric;
	beyond numeric;
BEGIN
	FOR n IN 1 .. last LOOP
		rest := least(rest, c.rests[n]);
		own := least(own, c.owns[n]);
		rests[n] := rest;
		owns[n] := own;
	END LOOP;
	FOR n IN REVERSE last .. 1 LOOP
		IF n < last AND owns[n] IS DISTINCT FROM owns[n + 1] THEN
			beyond := least(beyond, greatest(here, -owns[n + 1]));
			here := NULL;
		END IF;
		here := least(here, c.runs[n] - c.runs[1]);
		result[n] := rests[n] + least(here, beyond);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course_left(distsync_internal.inventory_course, numeric, integer) IS
	'What may be promised at each of the first so many moments of a course, base units, if so much is promised as of now; below 0 where more is wanted than there is.';

-- inventory_course_first does the finding of the first moment at which there is enough.
CREATE FUNCTION distsync_internal.inventory_course_first(c distsync_internal.inventory_course, promised numeric, quantity numeric, first integer, last integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	amounts numeric[];
BEGIN
	IF c.rests IS NULL THEN
		RETURN distsync_internal.inventory_first(c.runs[:last], promised + quantity, first);
	END IF;
	amounts := distsync_internal.inventory_course_left(c, promised, last);
	FOR n IN first .. last LOOP
		IF amounts[n] >= quantity THEN
			RETURN n;
		END IF;
	END LOOP;
	RETURN greatest(first, last + 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course_first(distsync_internal.inventory_course, numeric, numeric, integer, integer) IS
	'Number of the first moment from first to last at which a quantity may be promised, if so much is promised as of now (base units); the next after last = none.';

-- inventory_course_less does the taking of a quantity: from a moment on it is missing, and of lots that expire later it has taken first.
CREATE FUNCTION distsync_internal.inventory_course_less(c distsync_internal.inventory_course, quantity numeric, first integer, last integer) RETURNS distsync_internal.inventory_course
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	c.runs := distsync_internal.inventory_less(c.runs, quantity, first, last);
	IF c.rests IS NOT NULL THEN
		-- one who comes forward from a moment is still there at the lots of that moment
		c.rests := distsync_internal.inventory_less(c.rests, -quantity, first + 1, last + 1);
		c.owns := distsync_internal.inventory_less(c.owns, -quantity, first + 1, last + 1);
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course_less(distsync_internal.inventory_course, numeric, integer, integer) IS
	'A course after a quantity (base units) was promised for a moment: from first to last, which is the end, or the moment before the one for which it was promised until now.';
