-- Promises beyond stock wait in a queue: by priority, then by when they are wanted, behind what stock covers: a promise that is made takes
-- nothing away from one that is kept. What comes in serves the first of it before anybody
-- else is promised anything, because the pool takes no new promises until all of it is covered. When that is for each of them, and when
-- it changes, is told. Promises for a later date (later.sql) are not in the queue: they have their date, and it counts on what they leave.

-- inventory_places does the reckoning of the places in the queue. A call that is not written yet has its place too, so that it can be
-- told what it would get.
CREATE FUNCTION distsync_internal.inventory_places(item_id bigint, site_id bigint, at timestamptz, stock numeric, more distsync_internal.inventory_grant[] DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS TABLE (reservation_id bigint, n integer, place numeric, covered boolean)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT q.reservation_id, q.n, sum(q.quantity) OVER (ORDER BY q.waits OR q.place > inventory_places.stock, q.priority, q.required_at NULLS FIRST, q.name COLLATE "C", q.created_at, q.reservation_id, q.n ROWS UNBOUNDED PRECEDING), NOT q.waits AND q.place <= inventory_places.stock
	FROM (SELECT u.*, sum(u.quantity) OVER (PARTITION BY u.waits ORDER BY u.priority, u.required_at NULLS FIRST, u.name COLLATE "C", u.created_at, u.reservation_id, u.n ROWS UNBOUNDED PRECEDING) AS place
	FROM (SELECT r.reservation_id, 0 AS n, r.quantity - r.shipped AS quantity, r.promised_at IS NULL OR r.promised_at > inventory_places.at OR r.created_at >= inventory_places.at AS waits, r.priority, d.required_at,
			COALESCE(r.demand_key, r.holder) AS name, r.created_at
		FROM dist.reservation r LEFT JOIN dist.demand d ON d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id
		WHERE r.item_id = inventory_places.item_id AND r.site_id = inventory_places.site_id AND r.state IN ('held', 'committed') AND r.kind NOT IN ('inbound', 'planned')
			AND (r.state = 'committed' OR r.expires_at IS NULL OR r.expires_at > inventory_places.at)
		UNION ALL
		SELECT NULL, u.n::integer, u.quantity, true, COALESCE((options->>'priority')::integer, 100), CASE WHEN u.demand_key IS NULL OR d.demand_id IS NOT NULL THEN d.required_at ELSE min(u.requested_at) OVER (PARTITION BY u.demand_key) END,
			COALESCE(u.demand_key, options->>'holder', session_user), inventory_places.at
		FROM unnest(more) WITH ORDINALITY u(ordinal, outcome, item_id, site_id, quantity, available, demand_key, requested_at, kit_id, kit_per, promised_at, wanted_at, kind, n)
		LEFT JOIN dist.demand d ON d.demand_key = u.demand_key AND d.item_id = u.item_id AND d.site_id = u.site_id
		WHERE u.item_id = inventory_places.item_id AND u.site_id = inventory_places.site_id) u) q;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_places(bigint, bigint, timestamptz, numeric, distsync_internal.inventory_grant[], jsonb) IS
	'Live promises of an item at a site that are not for a later date, in the order in which they are served (what stock, which there is of now, covered already and still covers, then the others; priority, when wanted, demand or holder): how much is promised up to each of them, base units, and whether it is one of the first. more: grants that are not written yet, with their number n there and without a reservation; options: priority, holder, as inventory_reserve().';

-- inventory_queue does the reckoning of when each live promise of a pool is covered: by its place in the queue and what is there or to come.
CREATE FUNCTION distsync_internal.inventory_queue(item_id bigint, site_id bigint, at timestamptz, more distsync_internal.inventory_grant[] DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (reservation_id bigint, n integer, place numeric, covered_at timestamptz, planned boolean)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	keys text[];
	quantities numeric[];
	moments timestamptz[];
	c distsync_internal.inventory_course;
	lead timestamptz;
	binding integer;
	stocks numeric[];
	now_covered numeric;
BEGIN
	-- what others say of a demand is ours from then on, and what of a line is not promised is not before what is
	SELECT array_agg(x.demand_key), array_agg(x.quantity) INTO keys, quantities FROM (
		SELECT u.demand_key, u.quantity FROM unnest(more) u WHERE u.item_id = inventory_queue.item_id AND u.site_id = inventory_queue.site_id AND u.demand_key IS NOT NULL
		UNION ALL
		SELECT u.key, u.quantity FROM distsync_internal.inventory_line_rests(inventory_queue.item_id, inventory_queue.site_id) l CROSS JOIN LATERAL unnest(l.keys, l.quantities) u(key, quantity)) x;
	SELECT array_agg(l.moment ORDER BY l.moment), array_agg(l.stock - l.later ORDER BY l.moment), CASE WHEN count(l.rest) > 0 THEN array_agg(l.rest + l.before ORDER BY l.moment) END, CASE WHEN count(l.rest) > 0 THEN array_agg(l.own + l.before ORDER BY l.moment) END,
		max(l.lead_at), count(*) FILTER (WHERE l.moment <= l.lead_at OR l.lead_at IS NULL) INTO moments, c.runs, c.rests, c.owns, lead, binding
	FROM (SELECT x.*, lag(x.later, 1, 0) OVER (ORDER BY x.moment) AS before FROM distsync_internal.inventory_levels(ARRAY[inventory_queue.item_id], ARRAY[inventory_queue.site_id], inventory_queue.at, '{}', keys, quantities) x) l;
	-- what promises may count on from each instant on: nothing that a later demand already needs
	IF c.rests IS NULL THEN
		stocks := ARRAY(SELECT min(u.amount) OVER (ORDER BY u.n DESC ROWS UNBOUNDED PRECEDING) FROM unnest(c.runs[:binding]) WITH ORDINALITY u(amount, n) ORDER BY u.n);
	ELSE
		stocks := distsync_internal.inventory_course_left(c, 0, binding);
		-- who is covered now leaves before a lot expires, and takes it with him
		now_covered := (SELECT COALESCE(max(q.place), 0) FROM distsync_internal.inventory_places(inventory_queue.item_id, inventory_queue.site_id, inventory_queue.at, stocks[1], inventory_queue.more, inventory_queue.options) q WHERE q.place <= stocks[1]);
		stocks := stocks[1] || ARRAY(SELECT u.amount + now_covered FROM unnest(distsync_internal.inventory_course_left(c, now_covered, binding)) WITH ORDINALITY u(amount, n) WHERE u.n > 1 ORDER BY u.n);
	END IF;
	RETURN QUERY
	SELECT q.reservation_id, q.n, q.place, f.moment, COALESCE(f.planned AND COALESCE(f.stock < q.place, true), false)
	FROM distsync_internal.inventory_places(inventory_queue.item_id, inventory_queue.site_id, inventory_queue.at, stocks[1], inventory_queue.more, inventory_queue.options) q
	LEFT JOIN LATERAL (SELECT u.moment, u.moment >= lead AS planned, u.stock FROM unnest(moments, stocks) u(moment, stock) WHERE u.moment >= lead OR u.stock >= q.place ORDER BY u.moment LIMIT 1) f ON true;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_queue(bigint, bigint, timestamptz, distsync_internal.inventory_grant[], jsonb) IS
	'Places of inventory_places() with the instant at which stock and supply cover them (NULL = not foreseen, the instant itself = now); planned: only because any quantity can be had by then. The caller has the pool locked and refreshed, or is satisfied with a guess.';

-- inventory_repromise does the dating of the promises of a pool anew, and the telling of those whose date has changed.
CREATE FUNCTION distsync_internal.inventory_repromise(item_id bigint, site_id bigint, at timestamptz, told boolean, correlation_id uuid, redated jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
	late boolean;
	waits boolean;
	changes jsonb;
BEGIN
	WITH n AS MATERIALIZED (
		SELECT r.reservation_id, r.demand_key, r.holder, r.quantity - r.shipped AS quantity, r.promised_at AS kept, CASE WHEN redated ? r.reservation_id::text THEN (redated->>r.reservation_id::text)::timestamptz ELSE r.promised_at END AS was,
			r.created_at, q.place, CASE WHEN q.covered_at <= inventory_repromise.at THEN least(r.promised_at, inventory_repromise.at)
				-- a date by replenishment, reckoned since it was promised, does not move on with every look at it
				WHEN q.planned AND r.promised_at > inventory_repromise.at AND r.promised_at BETWEEN r.created_at + (q.covered_at - inventory_repromise.at) AND q.covered_at THEN r.promised_at ELSE q.covered_at END AS promised_at
		FROM distsync_internal.inventory_queue(inventory_repromise.item_id, inventory_repromise.site_id, inventory_repromise.at) q JOIN dist.reservation r ON r.item_id = inventory_repromise.item_id AND r.reservation_id = q.reservation_id
	), u AS (
		UPDATE dist.reservation r SET promised_at = n.promised_at FROM n
		WHERE r.item_id = inventory_repromise.item_id AND r.reservation_id = n.reservation_id AND r.promised_at IS DISTINCT FROM n.promised_at
	), a AS (
		SELECT n.reservation_id, n.demand_key, n.holder, n.quantity, n.was, n.promised_at, n.created_at, n.place, 0 AS later FROM n
		UNION ALL
		SELECT r.reservation_id, r.demand_key, r.holder, r.quantity - r.shipped, CASE WHEN redated ? r.reservation_id::text THEN (redated->>r.reservation_id::text)::timestamptz ELSE r.promised_at END, r.promised_at, r.created_at,
			row_number() OVER (ORDER BY r.promised_at, r.priority, COALESCE(r.demand_key, r.holder) COLLATE "C", r.created_at, r.reservation_id), 1
		FROM dist.reservation r WHERE r.item_id = inventory_repromise.item_id AND r.site_id = inventory_repromise.site_id AND r.state IN ('held', 'committed') AND r.kind IN ('inbound', 'planned')
	)
	SELECT (SELECT bool_or(a.promised_at IS NULL OR a.promised_at > inventory_repromise.at) FROM a),
		(SELECT jsonb_agg(jsonb_build_object('demand_key', m.demand_key, 'holder', m.holder, 'quantity', trim_scale(m.quantity), 'was', m.was, 'promised_at', m.promised_at) ORDER BY m.later, m.place)
			-- who is promised something just now is answered, not told
			FROM (SELECT a.* FROM a WHERE a.promised_at IS DISTINCT FROM a.was AND a.created_at < inventory_repromise.at ORDER BY a.later, a.place LIMIT 1000) m)
	INTO late, changes;
	-- so does who is to get something back: the next refresh sees to him
	waits := COALESCE(late, false) OR EXISTS (SELECT FROM distsync_internal.inventory_restorable(inventory_repromise.item_id, inventory_repromise.site_id, inventory_repromise.at));
	UPDATE dist.stock_pool p SET waiting = waits WHERE p.item_id = inventory_repromise.item_id AND p.site_id = inventory_repromise.site_id AND p.waiting <> waits;
	SELECT x.sku, s.code AS site, y.code AS company INTO i FROM dist.item x, dist.site s JOIN dist.company y ON y.company_id = s.company_id WHERE x.item_id = inventory_repromise.item_id AND s.site_id = inventory_repromise.site_id;
	IF told AND changes IS NOT NULL THEN
		PERFORM distsync_internal.base_emit('item', inventory_repromise.item_id, 'stock.promise_changed', 'item', i.sku, jsonb_build_object('sku', i.sku, 'site', i.site, 'promises', changes), inventory_repromise.correlation_id);
		PERFORM distsync_internal.base_hook('stock.promise_changed', jsonb_build_object('promises', changes));
		IF EXISTS (SELECT FROM jsonb_array_elements(changes) c WHERE (c->>'promised_at')::timestamptz > COALESCE((c->>'was')::timestamptz, 'infinity') OR c->>'promised_at' IS NULL) THEN
			PERFORM distsync_internal.base_exception('promise_moved', i.sku || '@' || i.site, 'stock', 'warning', i.company, 'item_site', i.sku || '@' || i.site, jsonb_build_object('sku', i.sku, 'site', i.site, 'promises', changes), NULL, NULL, NULL, inventory_repromise.correlation_id);
		END IF;
	END IF;
	IF NOT COALESCE(late, false) THEN
		PERFORM distsync_internal.base_exception_close('promise_moved', i.sku || '@' || i.site, 'stock covers what is promised again');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_repromise(bigint, bigint, timestamptz, boolean, uuid, jsonb) IS
	'Sets promised_at of the live promises of a pool that are not for a later date to when they are covered (a date that has come stays; NULL = not foreseen), under the pool''s lock, after its refresh. redated: what inventory_redate() has changed. told: emits stock.promise_changed {"sku","site","promises":[{"demand_key","holder","quantity","was","promised_at"}]} for the first thousand that changed, in the order of the queue, then those for a later date, calls the hook of that name with {"promises"}, and opens the exception promise_moved where one got later; it closes when all are covered.';
