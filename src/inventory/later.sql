-- Promises for a later date: reservations that need no stock before it, because supply that is known, or the time that replenishment takes,
-- covers them then. They are demand of ours at their date, so that no other promise counts on the same supply; README.md has the rule.

-- inventory_levels does the timeline of what promises may count on, with what is promised for later beside it.
CREATE FUNCTION distsync_internal.inventory_levels(item_ids bigint[], site_ids bigint[], at timestamptz, options jsonb DEFAULT '{}', own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL)
RETURNS TABLE (item_id bigint, site_id bigint, moment timestamptz, stock numeric, later numeric, promised numeric, safety numeric, lead_at timestamptz, rest numeric, own numeric)
LANGUAGE plpgsql STABLE ROWS 20 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	customer bigint := (options->>'customer_id')::bigint;
	shelf boolean := options->>'min_shelf_days' IS NOT NULL OR customer IS NOT NULL AND EXISTS (SELECT FROM dist.shelf_rule r WHERE r.customer_id = customer);
BEGIN
	RETURN QUERY
	WITH site AS MATERIALIZED (
		SELECT m.item_id, m.site_id, distsync_internal.inventory_base(m.phys - COALESCE(x.phys, 0), m.book - COALESCE(x.book, 0), m.in_flight, m.outside, 'conservative', NULL) + m.due AS stock,
			m.held + m.committed - m.inbound - COALESCE(t.quantity, 0) AS promised, m.safety, m.lead_at, m.phys + m.outside AS phys, m.book + m.in_flight AS book,
			ROW('conservative', false, CASE WHEN shelf THEN distsync_internal.inventory_shelf(m.item_id, customer, (options->>'min_shelf_days')::integer) END, NULL, NULL)::distsync_internal.inventory_view AS view
		FROM (SELECT n.* FROM distsync_internal.inventory_now(item_ids, site_ids, inventory_levels.at) n WHERE own_keys IS NULL
			UNION ALL SELECT t.* FROM distsync_internal.inventory_terms(item_ids, site_ids, inventory_levels.at, own_keys, own_quantities) t WHERE own_keys IS NOT NULL) m
		LEFT JOIN LATERAL distsync_internal.inventory_short_lived(m.item_id, m.site_id, inventory_levels.at, distsync_internal.inventory_shelf(m.item_id, customer, (options->>'min_shelf_days')::integer)) x ON shelf
		LEFT JOIN jsonb_to_recordset(options->'taken') t(item_id bigint, site_id bigint, quantity numeric) ON t.item_id = m.item_id AND t.site_id = m.site_id
	), step AS (
		SELECT s.item_id, s.site_id, s.promised, s.safety, s.lead_at, c.moment, sum(c.change) AS change, sum(c.later) AS later, max(c.rest) AS rest, max(c.own) AS own
		FROM site s CROSS JOIN LATERAL (
			SELECT inventory_levels.at AS moment, s.stock AS change, 0 AS later, NULL::numeric AS rest, NULL::numeric AS own
			UNION ALL
			SELECT s.lead_at, 0, 0, NULL, NULL WHERE s.lead_at IS NOT NULL
			UNION ALL
			SELECT x.moment, x.coming + x.going + x.later, x.later, x.rest, x.own FROM distsync_internal.inventory_course(s.item_id, s.site_id, inventory_levels.at, s.phys, s.book, s.view, NULL, own_keys, own_quantities) x) c
		GROUP BY s.item_id, s.site_id, s.promised, s.safety, s.lead_at, c.moment
	)
	SELECT p.item_id, p.site_id, p.moment, sum(p.change) OVER w, sum(p.later) OVER w, p.promised, p.safety, p.lead_at, p.rest - (sum(p.later) OVER w - p.later), p.own - (sum(p.later) OVER w - p.later) FROM step p
	WINDOW w AS (PARTITION BY p.item_id, p.site_id ORDER BY p.moment);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_levels(bigint[], bigint[], timestamptz, jsonb, text[], numeric[]) IS
	'Timeline of pairs of item and site, base units: from each moment on stock, supply and demand of others (stock, with what expires), what is promised for then or before (later), where lots expire rest and own of inventory_course() without what is promised for later, and, the same in all rows, what is promised without a date (promised), safety stock and from when on any quantity can be had (NULL = never). options: customer_id, min_shelf_days, taken (as inventory_free()); own_keys, own_quantities: as in inventory_terms(). Pairs without a pool give no row. Reads only.';

-- inventory_first does the finding of the first moment from which on there is enough.
CREATE FUNCTION distsync_internal.inventory_first(amounts numeric[], quantity numeric, first integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer := cardinality(amounts) + 1;
BEGIN
	WHILE n > first AND amounts[n - 1] >= quantity LOOP
		n := n - 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_first(numeric[], numeric, integer) IS 'Number of the first of these amounts, not before first, such that it and all after it are as much as the quantity; one more than there are = none.';

-- inventory_less does the taking of a quantity out of a timeline.
CREATE FUNCTION distsync_internal.inventory_less(amounts numeric[], quantity numeric, first integer, last integer) RETURNS numeric[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	FOR n IN greatest(1, first) .. least(last, cardinality(amounts)) LOOP
		amounts[n] := amounts[n] - quantity;
	END LOOP;
	RETURN amounts;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_less(numeric[], numeric, integer, integer) IS 'These amounts, from first to last less a quantity.';

CREATE TYPE distsync_internal.inventory_dated AS (
	reservation_id	bigint,
	quantity	numeric,
	kind		text,
	promised_at	timestamptz,
	wanted_at	timestamptz,
	was			timestamptz,
	aside		numeric,
	line		integer
);
COMMENT ON TYPE distsync_internal.inventory_dated IS 'A promise for a later date: reservation, base units, kind inbound | planned (hard: stock covers it now), its date (NULL = not foreseen), the instant before which it need not be there, the date it had, what inventory_set_aside() says for whom it is, and the number of its line in inventory_line_rests() (NULL = nothing more is wanted of it).';

-- inventory_set_aside does the reckoning of what a pool has to keep for the shares of others: what is set aside over all sites only as far
-- as it is not free at another one. Those are read without a lock, so what it is for is to leave a date as it is, never to break one.
CREATE FUNCTION distsync_internal.inventory_set_aside(item_id bigint, site_id bigint, customer_id bigint, channel_id bigint, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(sum(CASE WHEN q.site_id > 0 THEN q.aside ELSE greatest(0, q.aside - (SELECT COALESCE(sum(greatest(0, distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, 'conservative', NULL) + m.low - m.held - m.committed)), 0)
			FROM (SELECT array_agg(inventory_set_aside.item_id) AS items, array_agg(s.site_id) AS sites FROM distsync_internal.inventory_sites(inventory_set_aside.item_id) s WHERE s.site_id <> inventory_set_aside.site_id) o
			CROSS JOIN LATERAL distsync_internal.inventory_now(o.items, o.sites, inventory_set_aside.at) m)) END), 0)
		FROM distsync_internal.inventory_quota_frees(inventory_set_aside.item_id, ARRAY[0, inventory_set_aside.site_id], inventory_set_aside.customer_id, inventory_set_aside.channel_id, ARRAY[inventory_set_aside.at], NULL, inventory_set_aside.at) q
		WHERE q.aside > 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_set_aside(bigint, bigint, bigint, bigint, timestamptz) IS
	'How much of an item at a site is set aside for others than a customer and channel as of an instant, by quotas of the site and by those over all sites beyond what is free at the others; base units. 0 where they draw on shares themselves.';

-- inventory_line_rests does the listing of the lines of a pool of which more is wanted than is promised, where that is covered after what
-- is promised: of their own part, and, of orders of ours of which nothing is promised, of everybody.
CREATE FUNCTION distsync_internal.inventory_line_rests(item_id bigint, site_id bigint, OUT keys text[], OUT quantities numeric[], OUT behind text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT array_agg(r.demand_key ORDER BY r.demand_key COLLATE "C"), array_agg(r.quantity ORDER BY r.demand_key COLLATE "C"), array_agg(r.demand_key ORDER BY r.demand_key COLLATE "C") FILTER (WHERE r.waits) INTO keys, quantities, behind
	FROM (SELECT d.demand_key, d.reserved <= d.shipped AS waits, CASE WHEN d.reserved > d.shipped THEN greatest(d.ordered, d.allocated) - d.reserved ELSE d.ordered - d.reserved - greatest(0, d.allocated - d.shipped) END AS quantity
		FROM dist.demand d WHERE d.item_id = inventory_line_rests.item_id AND d.site_id = inventory_line_rests.site_id AND d.status = 'open' AND (d.reserved > d.shipped OR d.waits)) r
	WHERE r.quantity > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_line_rests(bigint, bigint) IS
	'Open lines of an item at a site of which more is wanted than is promised (orders of ours of which nothing is promised: than the warehouse has allocated), and how much more of each (base units), by key; behind: those of which nothing is promised; NULL = none.';

-- inventory_dated_at does the listing of the promises for a later date of a pool, in the order in which they are served.
CREATE FUNCTION distsync_internal.inventory_dated_at(item_id bigint, site_id bigint, at timestamptz) RETURNS distsync_internal.inventory_dated[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (WITH o AS MATERIALIZED (
			SELECT w.*, distsync_internal.inventory_set_aside(inventory_dated_at.item_id, inventory_dated_at.site_id, w.customer_id, w.channel_id, inventory_dated_at.at) AS aside
			FROM (SELECT DISTINCT v.customer_id, v.channel_id FROM dist.reservation v WHERE v.item_id = inventory_dated_at.item_id AND v.site_id = inventory_dated_at.site_id AND v.state IN ('held', 'committed') AND v.kind IN ('inbound', 'planned')) w
			WHERE EXISTS (SELECT FROM dist.stock_quota s WHERE s.item_id = inventory_dated_at.item_id)
		)
		SELECT array_agg(ROW(r.reservation_id, q.quantity, r.kind, r.promised_at, r.wanted_at, r.promised_at, COALESCE(o.aside, 0), array_position(l.keys, r.demand_key))::distsync_internal.inventory_dated
			ORDER BY r.priority, r.promised_at, d.required_at NULLS FIRST, COALESCE(r.demand_key, r.holder) COLLATE "C", r.created_at, r.reservation_id)
		FROM dist.reservation r CROSS JOIN LATERAL (SELECT CASE WHEN r.state = 'held' AND r.expires_at <= inventory_dated_at.at THEN r.committed ELSE r.quantity END - r.shipped) q(quantity)
		LEFT JOIN dist.demand d ON d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id
		CROSS JOIN distsync_internal.inventory_line_rests(inventory_dated_at.item_id, inventory_dated_at.site_id) l
		LEFT JOIN o ON o.customer_id IS NOT DISTINCT FROM r.customer_id AND o.channel_id IS NOT DISTINCT FROM r.channel_id
		WHERE r.item_id = inventory_dated_at.item_id AND r.site_id = inventory_dated_at.site_id AND r.state IN ('held', 'committed') AND r.kind IN ('inbound', 'planned') AND q.quantity > 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_dated_at(bigint, bigint, timestamptz) IS 'Live promises for a later date of an item at a site: priority, date, when wanted, demand or holder; NULL = none.';

-- inventory_course_of does the reading of the timeline of a pool as a course, as if so much more of lines were promised already.
CREATE FUNCTION distsync_internal.inventory_course_of(item_id bigint, site_id bigint, at timestamptz, moments timestamptz[], keys text[], quantities numeric[]) RETURNS distsync_internal.inventory_course
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c distsync_internal.inventory_course;
BEGIN
	WITH l AS MATERIALIZED (
		SELECT x.* FROM distsync_internal.inventory_levels(ARRAY[inventory_course_of.item_id], ARRAY[inventory_course_of.site_id], inventory_course_of.at, '{}', COALESCE(keys, '{}'), COALESCE(quantities, '{}')) x
	), m AS (
		-- a moment at which only such a line is wanted is none here
		SELECT u.n, u.moment, (SELECT l.stock FROM l WHERE l.moment <= u.moment ORDER BY l.moment DESC LIMIT 1) AS stock FROM unnest(moments) WITH ORDINALITY u(moment, n)
	)
	SELECT array_agg(m.stock ORDER BY m.n), CASE WHEN count(l.rest) > 0 THEN array_agg(l.rest ORDER BY m.n) END, CASE WHEN count(l.rest) > 0 THEN array_agg(l.own ORDER BY m.n) END INTO c.runs, c.rests, c.owns
	FROM m LEFT JOIN l ON l.moment = m.moment;
	RETURN c;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course_of(bigint, bigint, timestamptz, timestamptz[], text[], numeric[]) IS
	'Course of an item at a site at these moments, the first of which is the instant: stock, supply and demand of others, without promises for later; keys, quantities: as if that much more were promised to these demands (NULL = none), base units.';

-- inventory_line_courses does the same for some of these lines, each alone.
CREATE FUNCTION distsync_internal.inventory_line_courses(item_id bigint, site_id bigint, at timestamptz, moments timestamptz[], lines integer[], keys text[], quantities numeric[]) RETURNS distsync_internal.inventory_course[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	courses distsync_internal.inventory_course[];
	line integer;
BEGIN
	FOREACH line IN ARRAY lines LOOP
		courses[line] := distsync_internal.inventory_course_of(item_id, site_id, at, moments, ARRAY[keys[line]], ARRAY[quantities[line]]);
	END LOOP;
	RETURN courses;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_line_courses(bigint, bigint, timestamptz, timestamptz[], integer[], text[], numeric[]) IS
	'Courses of inventory_course_of(), each as if all of one of these lines (numbers in keys and quantities) were promised, by the number of the line.';

-- inventory_course_shifted does the sum of a course and the difference of two others.
CREATE FUNCTION distsync_internal.inventory_course_shifted(c distsync_internal.inventory_course, plus distsync_internal.inventory_course, less distsync_internal.inventory_course) RETURNS distsync_internal.inventory_course
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF plus IS NULL THEN
		RETURN c;
	END IF;
	c.runs := ARRAY(SELECT u.a + u.b - u.c FROM unnest(c.runs, plus.runs, less.runs) WITH ORDINALITY u(a, b, c, n) ORDER BY u.n);
	IF c.rests IS NOT NULL THEN
		c.rests := ARRAY(SELECT u.a + u.b - u.c FROM unnest(c.rests, plus.rests, less.rests) WITH ORDINALITY u(a, b, c, n) ORDER BY u.n);
		c.owns := ARRAY(SELECT u.a + u.b - u.c FROM unnest(c.owns, plus.owns, less.owns) WITH ORDINALITY u(a, b, c, n) ORDER BY u.n);
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_course_shifted(distsync_internal.inventory_course, distsync_internal.inventory_course, distsync_internal.inventory_course) IS
	'A course plus another one (NULL = as it is) less a third, of the same moments.';

-- inventory_later does the dating of promises for a later date. A date stays as long as what it counts on is there: less only what stock
-- covers now has gone before it, and lines of which nothing is promised come behind it. Who loses his is promised anew, after all who keep
-- theirs; who can have it earlier gets it earlier, but not out of what is set aside for others.
CREATE FUNCTION distsync_internal.inventory_later(item_id bigint, site_id bigint, at timestamptz) RETURNS distsync_internal.inventory_dated[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dated distsync_internal.inventory_dated[] := distsync_internal.inventory_dated_at(item_id, site_id, at);
	d distsync_internal.inventory_dated;
	moments timestamptz[];
	lines record := distsync_internal.inventory_line_rests(item_id, site_id);
	base distsync_internal.inventory_course;
	own distsync_internal.inventory_course[];
	behind distsync_internal.inventory_course;
	c distsync_internal.inventory_course;
	promised numeric;
	covered numeric;
	safety numeric;
	lead timestamptz;
	lost integer[] := '{}';
	j integer;
	k integer;
	n integer;
	last integer;
BEGIN
	IF dated IS NULL THEN
		RETURN NULL;
	END IF;
	-- from the books: the pool's row may not know yet what has changed
	SELECT array_agg(l.moment ORDER BY l.moment), array_agg(l.stock ORDER BY l.moment), CASE WHEN count(l.rest) > 0 THEN array_agg(l.rest ORDER BY l.moment) END, CASE WHEN count(l.rest) > 0 THEN array_agg(l.own ORDER BY l.moment) END,
		max(l.promised), max(l.safety), max(l.lead_at) INTO moments, c.runs, c.rests, c.owns, promised, safety, lead
	FROM distsync_internal.inventory_levels(ARRAY[inventory_later.item_id], ARRAY[inventory_later.site_id], inventory_later.at, '{}', '{}', '{}') l WHERE l.moment <= l.lead_at OR l.lead_at IS NULL;
	-- those that have no date, or whose date has come, are among what is promised as of now
	promised := promised - (SELECT COALESCE(sum(u.quantity), 0) FROM unnest(dated) u WHERE u.promised_at IS NULL OR u.promised_at <= at);
	-- what more is wanted of a line is not before what is promised of it
	base := CASE WHEN lines.keys IS NULL THEN c ELSE distsync_internal.inventory_course_of(item_id, site_id, at, moments, lines.keys, lines.quantities) END;
	covered := distsync_internal.inventory_covered(item_id, site_id, at, (distsync_internal.inventory_course_left(base, 0, cardinality(moments)))[1]);
	base := c;
	behind := CASE WHEN lines.behind IS NOT NULL THEN distsync_internal.inventory_course_of(item_id, site_id, at, moments, lines.behind, ARRAY(SELECT u.quantity FROM unnest(lines.keys, lines.quantities) u(key, quantity) WHERE u.key = ANY (lines.behind) ORDER BY u.key COLLATE "C")) END;
	own := distsync_internal.inventory_line_courses(item_id, site_id, at, moments, ARRAY(SELECT DISTINCT u.line FROM unnest(dated) u WHERE u.line IS NOT NULL), lines.keys, lines.quantities);
	FOR i IN 1 .. cardinality(dated) LOOP
		d := dated[i];
		k := width_bucket(greatest(d.promised_at, at), moments);
		IF d.kind = 'planned' AND d.promised_at > at OR d.promised_at > lead THEN
			CONTINUE;
		ELSIF d.kind = 'inbound' AND d.promised_at IS NOT NULL AND distsync_internal.inventory_course_first(distsync_internal.inventory_course_shifted(distsync_internal.inventory_course_shifted(c, own[d.line], base), behind, base), covered, d.quantity, k, cardinality(moments)) = k THEN
			c := distsync_internal.inventory_course_less(c, d.quantity, k, cardinality(moments));
			dated[i].promised_at := greatest(d.promised_at, at);
		ELSE
			lost := lost || i;
		END IF;
	END LOOP;
	FOREACH j IN ARRAY lost LOOP
		dated[j].promised_at := NULL;
		dated[j].kind := 'inbound';
		k := width_bucket(greatest(dated[j].wanted_at, at), moments);
		n := distsync_internal.inventory_course_first(distsync_internal.inventory_course_shifted(c, own[dated[j].line], base), promised, safety + dated[j].aside + dated[j].quantity, k, cardinality(moments));
		IF n > cardinality(moments) AND lead IS NULL THEN
			n := distsync_internal.inventory_course_first(distsync_internal.inventory_course_shifted(c, own[dated[j].line], base), promised, dated[j].quantity, k, cardinality(moments));
		END IF;
		IF n <= cardinality(moments) THEN
			dated[j].promised_at := greatest(moments[n], dated[j].wanted_at);
			c := distsync_internal.inventory_course_less(c, dated[j].quantity, n, cardinality(moments));
		ELSIF lead IS NOT NULL THEN
			dated[j].promised_at := greatest(lead, dated[j].wanted_at);
			dated[j].kind := 'planned';
		END IF;
	END LOOP;
	FOR i IN 1 .. cardinality(dated) LOOP
		d := dated[i];
		CONTINUE WHEN i = ANY (lost) OR d.promised_at <= at OR d.wanted_at >= d.promised_at;
		k := width_bucket(d.promised_at, moments);
		last := CASE WHEN d.kind = 'planned' OR d.promised_at > lead THEN cardinality(moments) ELSE k - 1 END;
		n := distsync_internal.inventory_course_first(distsync_internal.inventory_course_shifted(c, own[d.line], base), promised, safety + d.aside + d.quantity, width_bucket(greatest(d.wanted_at, at), moments), last);
		IF n <= cardinality(moments) AND greatest(moments[n], d.wanted_at) <= d.promised_at THEN
			dated[i].promised_at := greatest(moments[n], d.wanted_at);
			c := distsync_internal.inventory_course_less(c, d.quantity, n, last);
			dated[i].kind := 'inbound';
		END IF;
	END LOOP;
	RETURN ARRAY(SELECT ROW(u.reservation_id, u.quantity, CASE WHEN u.promised_at <= at THEN 'hard' ELSE u.kind END, CASE WHEN u.promised_at <= at THEN least(u.was, at) ELSE u.promised_at END, u.wanted_at, u.was, u.aside, u.line)::distsync_internal.inventory_dated
		FROM unnest(dated) u);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_later(bigint, bigint, timestamptz) IS
	'What the promises for a later date of an item at a site have to be dated to, as of an instant: those that stock covers now are kind hard, those that only replenishment covers planned, those that nothing covers have no date. NULL = there are none. Reads only; exact under the pool''s lock.';

-- inventory_covered does the sum of those promises without a later date that stock has covered and still covers. Those that wait come
-- after what is promised for a date: they were never promised more than the rest.
CREATE FUNCTION distsync_internal.inventory_covered(item_id bigint, site_id bigint, at timestamptz, stock numeric) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(max(q.place), 0) FROM distsync_internal.inventory_places(inventory_covered.item_id, inventory_covered.site_id, inventory_covered.at, inventory_covered.stock) q WHERE q.covered);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_covered(bigint, bigint, timestamptz, numeric) IS 'How much of what was promised without a later date, and covered until now, a stock covers (base units), by whole promises in the order of the queue.';

-- inventory_redate does the writing of these dates, before the terms of the pool are reckoned anew.
CREATE FUNCTION distsync_internal.inventory_redate(item_id bigint, site_id bigint, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	dated distsync_internal.inventory_dated[] := distsync_internal.inventory_later(item_id, site_id, at);
BEGIN
	UPDATE dist.reservation r SET kind = u.kind, promised_at = u.promised_at FROM unnest(dated) u
	WHERE r.item_id = inventory_redate.item_id AND r.reservation_id = u.reservation_id AND (r.kind, r.promised_at) IS DISTINCT FROM (u.kind, u.promised_at);
	RETURN (SELECT jsonb_object_agg(u.reservation_id, u.was) FROM unnest(dated) u WHERE u.promised_at IS DISTINCT FROM u.was);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_redate(bigint, bigint, timestamptz) IS
	'Dates the promises for a later date of an item at a site anew, under the pool''s lock. Returns {reservation: the date it had} for those whose date has changed, NULL = none.';
