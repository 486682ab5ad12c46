-- The course of an item at a site: what comes and goes, and what goes off. A lot counts until it expires, or has fewer days left than are
-- wanted. What leaves before that takes what expires first, so that only the rest of a lot is lost; and what can only leave afterwards has
-- no claim on it, so that it keeps nobody from the lot before. README.md has the reckoning.

CREATE TYPE distsync_internal.inventory_release AS (
	moment		timestamptz,
	quantity	numeric,
	expires_on	date,
	lot			text
);
COMMENT ON TYPE distsync_internal.inventory_release IS 'Goods that are to be released, of inventory_releases(): from when on they count, base units, expiry and name of their lot.';

-- inventory_expiries does the listing of the instants at which lots stop counting, by the day of the site: in one look at the balances, for
-- whoever looks and for the pool, and from then on day by day.
CREATE FUNCTION distsync_internal.inventory_expiries(item_id bigint, site_id bigint, at timestamptz, shelf_days integer, releases distsync_internal.inventory_release[], only_pool boolean)
RETURNS TABLE (moment timestamptz, pool boolean, phys numeric, book numeric, lots text)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	zone text := (SELECT z.tz FROM dist.site z WHERE z.site_id = inventory_expiries.site_id);
	own_days integer := (SELECT COALESCE(i.min_shelf_days, 0) FROM dist.item i WHERE i.item_id = inventory_expiries.item_id);
	today date := (at AT TIME ZONE zone)::date;
	promisable text[] := ARRAY(SELECT s.state FROM dist.stock_state s WHERE s.promisable);
BEGIN
	RETURN QUERY
	WITH k AS (
		SELECT true AS pool, own_days AS days UNION ALL SELECT false, greatest(own_days, shelf_days) WHERE NOT only_pool
	), d AS MATERIALIZED (
		SELECT b.expires_on, COALESCE(sum(b.quantity) FILTER (WHERE b.perspective = 'phys'), 0) AS phys, COALESCE(sum(b.quantity) FILTER (WHERE b.perspective = 'book'), 0) AS book, (array_agg(DISTINCT CASE WHEN NOT only_pool THEN b.lot COLLATE "C" END))[:20] AS lots
		FROM dist.stock_balance b
		WHERE b.item_id = inventory_expiries.item_id AND b.site_id = inventory_expiries.site_id AND b.quantity > 0 AND b.expires_on >= today + own_days AND b.state = ANY (promisable) GROUP BY b.expires_on
	), e AS MATERIALIZED (
		SELECT (d.expires_on + 1 - k.days)::timestamp AT TIME ZONE zone AS moment, k.pool, d.phys, d.book, d.lots FROM d CROSS JOIN k WHERE d.expires_on >= today + k.days
		UNION ALL
		-- what is to be released before: it is supply until it expires, also where that is before it is released
		SELECT greatest((r.expires_on + 1 - k.days)::timestamp AT TIME ZONE zone, r.moment), k.pool, r.quantity, r.quantity, ARRAY[r.lot] FROM unnest(releases) r CROSS JOIN k WHERE r.moment IS NOT NULL AND r.quantity > 0 AND r.expires_on IS NOT NULL
	), l AS (
		SELECT e.moment, array_to_string((array_agg(DISTINCT u.lot COLLATE "C"))[:20], ', ') AS lots FROM e CROSS JOIN LATERAL unnest(e.lots) u(lot) WHERE NOT e.pool GROUP BY e.moment
	)
	SELECT g.moment, g.pool, sum(g.phys) OVER w, sum(g.book) OVER w, l.lots
	FROM (SELECT e.moment, e.pool, sum(e.phys) AS phys, sum(e.book) AS book FROM e GROUP BY e.moment, e.pool) g LEFT JOIN l ON l.moment = g.moment AND NOT g.pool
	WINDOW w AS (PARTITION BY g.pool ORDER BY g.moment);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_expiries(bigint, bigint, timestamptz, integer, distsync_internal.inventory_release[], boolean) IS
	'Instants after at from which on lots of an item at a site no longer count, for the pool, which goes by what the item wants, and (pool false) for who wants them to have shelf_days left, where that is more: how much promisable stock of either perspective is gone up to each, base units, with what is to be released (releases), and the first twenty lots that go then (for the pool: NULL). only_pool: only for the pool.';

-- inventory_course does the putting together of changes and expiries, one row for each instant.
CREATE FUNCTION distsync_internal.inventory_course(item_id bigint, site_id bigint, at timestamptz, phys numeric, book numeric, view distsync_internal.inventory_view DEFAULT NULL, doubt text DEFAULT NULL, own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL, only_pool boolean DEFAULT false)
RETURNS TABLE (moment timestamptz, coming numeric, going numeric, later numeric, rest numeric, own numeric, lots text)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	seen distsync_internal.inventory_view := view;
	releases distsync_internal.inventory_release[];
	early record;
BEGIN
	seen.mode := COALESCE(view.mode, 'conservative');
	IF view.holder IS NULL AND NOT EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = inventory_course.item_id AND b.site_id = inventory_course.site_id AND b.expires_on IS NOT NULL) THEN
		RETURN QUERY
		SELECT x.moment, COALESCE(sum(x.change) FILTER (WHERE x.change > 0), 0), COALESCE(sum(x.change) FILTER (WHERE x.change < 0), 0), COALESCE(-sum(x.change) FILTER (WHERE x.kind = 'promise'), 0), NULL::numeric, NULL::numeric, NULL::text
		FROM distsync_internal.inventory_changes(inventory_course.item_id, inventory_course.site_id, inventory_course.at, own_keys, own_quantities) x GROUP BY x.moment ORDER BY x.moment;
		RETURN;
	END IF;
	-- what waits is looked at once: it comes, and it expires
	releases := ARRAY(SELECT ROW(r.moment, r.quantity, r.expires_on, r.lot)::distsync_internal.inventory_release FROM distsync_internal.inventory_releases(inventory_course.item_id, inventory_course.site_id, inventory_course.at) r WHERE r.moment IS NOT NULL AND r.quantity > 0);
	early := distsync_internal.inventory_short_lived(inventory_course.item_id, inventory_course.site_id, inventory_course.at, view.shelf_days);
	RETURN QUERY
	WITH c AS (
		SELECT x.moment, COALESCE(sum(x.change) FILTER (WHERE x.change > 0), 0) AS coming, COALESCE(sum(x.change) FILTER (WHERE x.change < 0), 0) AS going, COALESCE(-sum(x.change) FILTER (WHERE x.kind = 'promise'), 0) AS later,
			NULL::numeric AS rest, NULL::numeric AS own, NULL::text AS lots
		FROM distsync_internal.inventory_changes_told(inventory_course.item_id, inventory_course.site_id, inventory_course.at, own_keys, own_quantities) x GROUP BY x.moment
		UNION ALL
		SELECT r.moment, r.quantity, 0, 0, NULL, NULL, NULL FROM unnest(releases) r
		UNION ALL
		-- what the one who asks is promised for then is not in his way
		SELECT h.moment, 0, h.quantity, -h.quantity, NULL, NULL, NULL FROM distsync_internal.inventory_own_holds(inventory_course.item_id, inventory_course.site_id, view.holder, inventory_course.at) h WHERE view.holder IS NOT NULL AND h.moment > inventory_course.at
		UNION ALL
		-- what keeps nobody from a lot is decided as the pool decides it, by lots that are good enough for the item
		SELECT v.moment, 0, 0, 0, CASE WHEN NOT v.pool THEN distsync_internal.inventory_base(inventory_course.phys - early.phys - v.phys, inventory_course.book - early.book - v.book, 0, 0, seen.mode, inventory_course.doubt) END,
			CASE WHEN v.pool THEN COALESCE(least(inventory_course.phys - v.phys, inventory_course.book - v.book), 0) END, v.lots
		FROM distsync_internal.inventory_expiries(inventory_course.item_id, inventory_course.site_id, inventory_course.at, view.shelf_days, releases, only_pool) v
	)
	SELECT c.moment, sum(c.coming), sum(c.going), sum(c.later), max(c.rest) - COALESCE(sum(sum(c.going)) OVER before, 0), max(c.own) - COALESCE(sum(sum(c.going)) OVER before, 0), max(c.lots)
	FROM c GROUP BY c.moment
	WINDOW before AS (ORDER BY c.moment ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
	ORDER BY c.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course(bigint, bigint, timestamptz, numeric, numeric, distsync_internal.inventory_view, text, text[], numeric[], boolean) IS
	'What comes and goes (below 0; later: what of that is promised for then) of an item at a site after an instant, as inventory_changes() lists it, base units. Where lots stop counting: rest, what of the stock is left without them, with what has left before, which took from them first (as view sees it, in doubt or not); own: the same as the pool sees it; lots: which. only_pool: without rest and lots. phys, book: the stock that there is, with what is outside or in flight.';

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
	-- arrays of its own: to look into those of a row is to walk along them
	runs numeric[] := c.runs;
	rests numeric[] := c.rests;
	owns numeric[] := c.owns;
	result numeric[] := array_fill(NULL::numeric, ARRAY[last]);
	rest numeric := runs[1] - promised;
	own numeric;
	here numeric;
	beyond numeric;
BEGIN
	FOR n IN 1 .. last LOOP
		rest := least(rest, rests[n]);
		own := least(own, owns[n]);
		rests[n] := rest;
		owns[n] := own;
	END LOOP;
	FOR n IN REVERSE last .. 1 LOOP
		IF n < last AND owns[n] IS DISTINCT FROM owns[n + 1] THEN
			beyond := least(beyond, greatest(here, -owns[n + 1]));
			here := NULL;
		END IF;
		here := least(here, runs[n] - runs[1]);
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
