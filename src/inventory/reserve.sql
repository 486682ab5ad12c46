-- Reserving, giving back, shipping: what moves a pool. Each takes the pools' locks first and works in the caller's transaction.

-- inventory_with_dates does the look whether a call wants dates.
CREATE FUNCTION distsync_internal.inventory_with_dates(options jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE(options->>'mode' IN ('one_date', 'complete', 'schedule'), false);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_with_dates(jsonb) IS 'Whether options.mode is one_date, complete or schedule.';

-- inventory_decide does the decision of a call from its lines, mode and what is free: short lines of an all-or-none call refuse it all.
CREATE FUNCTION distsync_internal.inventory_decide(lines distsync_internal.inventory_line[], options jsonb, at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mode text := COALESCE(options->>'mode', 'all_or_none');
	grants distsync_internal.inventory_grant[];
	stock distsync_internal.inventory_line[];
	q record;
BEGIN
	IF mode NOT IN ('all_or_none', 'take_up_to', 'one_date', 'complete', 'schedule') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('unknown mode "%s"', left(mode, 80)), COLUMN = 'options.mode',
			DETAIL = 'Field: options.mode. Known: all_or_none, take_up_to, one_date, complete, schedule.', HINT = 'Use one of the known modes, or leave it out for all_or_none.';
	END IF;
	options := distsync_internal.inventory_sourced(lines, options) || jsonb_build_object('parts', COALESCE(options->'parts', distsync_internal.inventory_parts(lines)));
	IF distsync_internal.inventory_with_dates(options) THEN
		grants := distsync_internal.inventory_dated(lines, options, at);
	ELSE
		stock := distsync_internal.inventory_expanded(lines, options->'parts');
		q := distsync_internal.inventory_within_quotas(stock, distsync_internal.inventory_free(stock, options, at), options, at);
		grants := distsync_internal.inventory_allocate(lines, q.free, q.budgets, options, at);
	END IF;
	IF mode = 'take_up_to' THEN
		RETURN ARRAY(SELECT ROW(g.ordinal, CASE WHEN g.outcome = 'reserved' AND g.short THEN 'partial' ELSE g.outcome END, g.item_id, g.site_id, g.quantity, g.available, g.demand_key, g.requested_at, g.kit_id, g.kit_per, g.promised_at, g.wanted_at, g.kind)::distsync_internal.inventory_grant
			FROM (SELECT u.*, bool_or(u.outcome = 'short') OVER (PARTITION BY u.ordinal) AS short, bool_or(u.outcome <> 'short') OVER (PARTITION BY u.ordinal) AS some FROM unnest(grants) u) g
			WHERE g.outcome <> 'short' OR NOT g.some
			ORDER BY g.ordinal, g.item_id, g.site_id);
	ELSIF EXISTS (SELECT FROM unnest(grants) u WHERE u.outcome = 'short') THEN
		RETURN ARRAY(SELECT ROW(l.ordinal, CASE WHEN s.available IS NULL THEN 'refused' ELSE 'short' END, l.item_id, l.site_id, l.quantity, COALESCE(s.available, g.available), l.demand_key, l.requested_at, NULL, NULL, NULL, NULL, NULL)::distsync_internal.inventory_grant
			FROM unnest(lines) l
			LEFT JOIN (SELECT u.ordinal, (array_agg(u.available))[1] AS available FROM unnest(grants) u WHERE u.outcome = 'short' GROUP BY u.ordinal) s ON s.ordinal = l.ordinal
			LEFT JOIN (SELECT u.ordinal, (array_agg(u.available))[1] AS available FROM unnest(grants) u GROUP BY u.ordinal) g ON g.ordinal = l.ordinal
			ORDER BY l.ordinal);
	END IF;
	RETURN ARRAY(SELECT u FROM unnest(grants) u ORDER BY u.ordinal, u.promised_at NULLS FIRST, u.item_id, u.site_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_decide(distsync_internal.inventory_line[], jsonb, timestamptz) IS
	'Grants for the lines of a call: options mode all_or_none (default) | take_up_to | one_date (each line on the first date on which all of it can be had) | complete (all lines on one date) | schedule (lines in at most max_parts parts, the earliest first), split (default true: several sites may serve a line), company_id, channel_id, use_safety, min_shelf_days, customer_id, sourcing and preferred_ids (default as dist.sourcing_rule says). Errors: SD002 unknown mode.';

-- inventory_promise_whole does the promise itself, for a call of many lines, whatever it takes.
CREATE FUNCTION distsync_internal.inventory_promise_whole(lines jsonb, options jsonb) RETURNS SETOF distsync_internal.inventory_promise
LANGUAGE plpgsql ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	wanted distsync_internal.inventory_line[] := distsync_internal.inventory_lines(lines, COALESCE((options->>'kits')::boolean, false));
	stock distsync_internal.inventory_line[];
	grants distsync_internal.inventory_grant[];
	credits distsync_internal.inventory_grant[];
	quotas bigint[];
	k record;
	t timestamptz;
BEGIN
	-- what kits are made of is read once: what is promised is what was locked
	options := options || jsonb_build_object('parts', distsync_internal.inventory_parts(wanted) || COALESCE(options->'parts', '{}'), 'steps', distsync_internal.inventory_steps(lines));
	stock := distsync_internal.inventory_expanded(wanted, options->'parts');
	quotas := distsync_internal.inventory_quota_lock(ARRAY(SELECT DISTINCT u.item_id FROM unnest(stock) u));
	options := options || jsonb_build_object('quotas', to_jsonb(quotas));
	SELECT * INTO k FROM distsync_internal.inventory_lock_lines(stock, (options->>'company_id')::bigint, quotas);
	IF distsync_internal.inventory_with_dates(options) THEN
		PERFORM distsync_internal.inventory_fold(k.items, k.sites);
	END IF;
	-- the decision is as of now, before the pools catch up: then each of them answers for that instant itself
	t := clock_timestamp();
	PERFORM distsync_internal.inventory_catch_up(k.items, k.sites);
	-- what has left already need not be found
	credits := distsync_internal.inventory_credits(wanted, options->'parts');
	IF credits <> '{}' THEN
		wanted := distsync_internal.inventory_uncredited(wanted, credits);
	END IF;
	grants := distsync_internal.inventory_decide(wanted, options, t);
	IF distsync_internal.inventory_fold_for(grants, k.items, k.sites) THEN
		grants := distsync_internal.inventory_decide(wanted, options, t);
	END IF;
	IF EXISTS (SELECT FROM unnest(grants) g WHERE g.promised_at IS NOT NULL) THEN
		PERFORM distsync_internal.inventory_fold(k.items, k.sites);
	END IF;
	IF EXISTS (SELECT FROM unnest(grants) g WHERE g.outcome <> 'reserved') AND distsync_internal.inventory_takes_over(wanted, options, t) THEN
		grants := distsync_internal.inventory_take_over(wanted, options, k.items, k.sites, grants, t);
	END IF;
	IF NOT EXISTS (SELECT FROM unnest(grants) g WHERE g.outcome IN ('reserved', 'partial')) AND (wanted <> '{}' OR credits = '{}') THEN
		RETURN QUERY SELECT * FROM distsync_internal.inventory_refusal(grants, t, options);
		RETURN;
	END IF;
	RETURN QUERY SELECT * FROM distsync_internal.inventory_take_credits(credits, options);
	IF wanted <> '{}' THEN
		RETURN QUERY SELECT * FROM distsync_internal.inventory_take(grants, options, k.items, k.sites, t);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_promise_whole(jsonb, jsonb) IS 'What inventory_reserve() does, in SQL: every case. Same arguments, same answer, same errors.';

-- inventory_reserve does the same: in C where there is enough, otherwise by inventory_promise_whole().
CREATE FUNCTION distsync_internal.inventory_reserve(lines jsonb, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_promise
AS 'MODULE_PATHNAME', 'ds_sql_inventory_reserve_lines' LANGUAGE c ROWS 5;
COMMENT ON FUNCTION distsync_internal.inventory_reserve(jsonb, jsonb) IS
	'Promises lines [{"ordinal","item_id","base_quantity","unit"?,"numerator"?,"denominator"?,"site_id"?,"demand_key"?,"requested_at"?}] (in whole steps of the unit that is named with its factor, at each site) in the caller''s transaction; base units. options: holder, customer_id, channel_id, company_id, mode all_or_none | take_up_to | one_date | complete | schedule, max_parts (of a schedule, default 10), split (default true), commit (default false), ttl (interval, default 15 minutes, for holds), kind soft | hard, priority, kits (true: lines may be kits), parts ({kit: [[item_id, base units in a kit], ...]}, what kits are made of, default as they are now), take_over (soft holds of a higher priority number may be taken where there is too little; default as rules say). Refused calls change nothing. A line served by several sites or at several dates has a row for each. Errors: SD001, SD002.';

-- inventory_preview does the same decision as a read.
CREATE FUNCTION distsync_internal.inventory_preview(lines jsonb, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_promise
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	at timestamptz := statement_timestamp();
	wanted distsync_internal.inventory_line[] := distsync_internal.inventory_lines(lines, COALESCE((options->>'kits')::boolean, false));
	credits distsync_internal.inventory_grant[];
	grants distsync_internal.inventory_grant[];
BEGIN
	options := options || jsonb_build_object('parts', distsync_internal.inventory_parts(wanted) || COALESCE(options->'parts', '{}'), 'steps', distsync_internal.inventory_steps(lines));
	credits := distsync_internal.inventory_credits(wanted, options->'parts');
	IF credits <> '{}' THEN
		wanted := distsync_internal.inventory_uncredited(wanted, credits);
	END IF;
	grants := distsync_internal.inventory_decide(wanted, options, at);
	IF EXISTS (SELECT FROM unnest(grants) g WHERE g.outcome <> 'reserved') AND distsync_internal.inventory_takes_over(wanted, options, at) THEN
		grants := distsync_internal.inventory_would_take_over(wanted, options, grants, at);
	END IF;
	RETURN QUERY
	SELECT * FROM distsync_internal.inventory_answers(distsync_internal.inventory_preview_queue(CASE WHEN credits = '{}' OR EXISTS (SELECT FROM unnest(grants) g WHERE g.outcome NOT IN ('reserved', 'partial')) AND COALESCE(options->>'mode', 'all_or_none') <> 'take_up_to' THEN grants ELSE credits || grants END, options, at), NULL, at)
	UNION ALL
	SELECT * FROM distsync_internal.inventory_refusal(ARRAY(SELECT g FROM unnest(grants) g WHERE g.outcome NOT IN ('reserved', 'partial')), at, options)
	ORDER BY 1, 6, 4;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_preview(jsonb, jsonb) IS 'What inventory_reserve() would answer, without writing; reservation_id is NULL. Same arguments, same errors.';

-- inventory_preview_queue does the dating of what goes beyond stock by the place that it would have in the queue.
CREATE FUNCTION distsync_internal.inventory_preview_queue(grants distsync_internal.inventory_grant[], options jsonb, at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	made distsync_internal.inventory_grant[] := ARRAY(SELECT g FROM unnest(grants) g WHERE g.outcome IN ('reserved', 'partial'));
	g record;
BEGIN
	FOR g IN
		WITH k AS MATERIALIZED (
			SELECT u.item_id, u.site_id, sum(u.quantity) FILTER (WHERE u.promised_at IS NULL) AS quantity, array_agg(u.demand_key) FILTER (WHERE u.demand_key IS NOT NULL) AS keys,
				array_agg(u.quantity) FILTER (WHERE u.demand_key IS NOT NULL) AS quantities FROM unnest(made) u GROUP BY u.item_id, u.site_id
		)
		SELECT q.n, q.covered_at FROM k JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND p.backorder_cap > 0
		CROSS JOIN LATERAL distsync_internal.inventory_terms(ARRAY[k.item_id], ARRAY[k.site_id], inventory_preview_queue.at, k.keys, k.quantities) m
		CROSS JOIN LATERAL distsync_internal.inventory_queue(k.item_id, k.site_id, inventory_preview_queue.at, made, options) q
		WHERE q.n > 0 AND made[q.n].promised_at IS NULL
			AND m.held + m.committed + k.quantity > distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, 'conservative', NULL) + m.low + m.safety
	LOOP
		made[g.n].promised_at := COALESCE(g.covered_at, 'infinity');
	END LOOP;
	RETURN made;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_preview_queue(distsync_internal.inventory_grant[], jsonb, timestamptz) IS
	'The grants that give something, those beyond stock with the date at which stock and supply would reach their place in the queue (infinity = not foreseen).';

-- inventory_refusal does the answer to lines that get nothing: how much there is, and when there will be enough, for who asks.
CREATE FUNCTION distsync_internal.inventory_refusal(grants distsync_internal.inventory_grant[], at timestamptz, options jsonb) RETURNS SETOF distsync_internal.inventory_promise
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dated boolean := distsync_internal.inventory_with_dates(options);
	who jsonb := jsonb_build_object('customer_id', options->'customer_id', 'channel_id', options->'channel_id') || jsonb_strip_nulls(jsonb_build_object('use_safety', options->'use_safety', 'min_shelf_days', options->'min_shelf_days'));
BEGIN
	RETURN QUERY
	SELECT g.ordinal, g.outcome, NULL::bigint, g.site_id, g.quantity,
		CASE WHEN g.outcome = 'short' AND NOT dated THEN
			(SELECT min(c.moment) FROM distsync_internal.inventory_walk(g.item_id, i.kit, distsync_internal.inventory_where(g.item_id, i.kit, g.site_id, (options->>'company_id')::bigint), inventory_refusal.at, who, (options->'steps'->>(g.ordinal::text))::numeric) c
				WHERE c.atp >= g.quantity OR c.atp IS NULL) END,
		jsonb_build_object('available', COALESCE(g.available, 0))
			|| CASE WHEN g.outcome = 'refused' THEN '{"reason": "another line is short"}'::jsonb ELSE '{}' END
	FROM unnest(grants) g JOIN dist.item i ON i.item_id = g.item_id ORDER BY g.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_refusal(distsync_internal.inventory_grant[], timestamptz, jsonb) IS 'Rows for lines that were not served: detail.available in base units; promised_at the first date at which the quantity could be promised to who asks (customer_id, channel_id, company_id, use_safety, min_shelf_days of options), NULL = not foreseen, or options want dates: none was found.';

-- inventory_curve_sites does the timeline of each site: what is projected and what may be promised from each instant on. What may be
-- promised looks ahead: nothing is given away that a later demand already needs. Who wants a lot before it expires takes nothing from a
-- demand that comes too late for it.
CREATE FUNCTION distsync_internal.inventory_curve_sites(item_id bigint, site_ids bigint[], at timestamptz, view distsync_internal.inventory_view DEFAULT NULL)
RETURNS TABLE (site_id bigint, moment timestamptz, supply numeric, demand numeric, spoils numeric, lots text, change numeric, gain numeric, unlimited boolean)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	active boolean := (SELECT i.status = 'active' FROM dist.item i WHERE i.item_id = inventory_curve_sites.item_id);
BEGIN
	RETURN QUERY
	WITH site AS MATERIALIZED (
		SELECT m.site_id, m.lead_at, m.backorder - CASE WHEN view.use_safety THEN 0 ELSE m.safety END AS allowance, m.phys + m.outside AS phys, m.book + m.in_flight AS book, u.doubt,
			distsync_internal.inventory_base(m.phys - x.phys, m.book - x.book, m.in_flight, m.outside, COALESCE(view.mode, 'conservative'), u.doubt) + m.due - (m.held + m.committed - m.inbound)
				+ CASE WHEN view.holder IS NULL THEN 0 ELSE (SELECT COALESCE(sum(h.quantity), 0) FROM distsync_internal.inventory_own_holds(m.item_id, m.site_id, view.holder, inventory_curve_sites.at) h WHERE h.moment = inventory_curve_sites.at) END AS stand
		FROM distsync_internal.inventory_now(array_fill(inventory_curve_sites.item_id, ARRAY[cardinality(site_ids)]), site_ids, inventory_curve_sites.at) m
		CROSS JOIN LATERAL distsync_internal.inventory_short_lived(m.item_id, m.site_id, inventory_curve_sites.at, view.shelf_days) x
		CROSS JOIN LATERAL (SELECT CASE WHEN view.mode = 'physical' THEN (SELECT v.doubt FROM distsync_internal.inventory_doubt(m.site_id, inventory_curve_sites.at) v) END AS doubt) u
	), step AS (
		SELECT s.site_id, x.moment, COALESCE(sum(x.coming), 0) AS supply, COALESCE(-sum(x.going), 0) AS demand, sum(x.coming + x.going) AS change, max(x.rest) AS rest, max(x.own) AS own, max(x.lots) AS lots
		FROM site s CROSS JOIN LATERAL (
			SELECT inventory_curve_sites.at AS moment, 0::numeric AS coming, 0::numeric AS going, NULL::numeric AS rest, NULL::numeric AS own, NULL::text AS lots
			UNION ALL
			SELECT s.lead_at, 0, 0, NULL, NULL, NULL WHERE s.lead_at IS NOT NULL
			UNION ALL
			SELECT c.moment, c.coming, c.going, c.rest, c.own, c.lots FROM distsync_internal.inventory_course(inventory_curve_sites.item_id, s.site_id, inventory_curve_sites.at, s.phys, s.book, view, s.doubt) c) x
		GROUP BY s.site_id, x.moment
	), run AS (
		SELECT p.*, s.stand, s.allowance, s.lead_at, sum(p.change) OVER w AS run, least(0, min(p.rest) OVER w - s.stand) AS spoilt, min(p.own) OVER w AS own_low
		FROM step p JOIN site s ON s.site_id = p.site_id WINDOW w AS (PARTITION BY p.site_id ORDER BY p.moment)
	), look AS (
		SELECT r.*, active AND COALESCE(r.moment >= r.lead_at, false) AS unlimited, CASE WHEN r.moment > r.lead_at THEN NULL ELSE r.run END AS binding FROM run r
	), low AS (
		SELECT l.*, greatest(0, l.stand + l.allowance + COALESCE(l.spoilt, 0) + least(min(l.binding) OVER (PARTITION BY l.site_id, l.own_low ORDER BY l.moment DESC ROWS UNBOUNDED PRECEDING),
				min(greatest(l.binding, -l.own_low) + CASE WHEN l.binding IS NULL THEN NULL ELSE 0 END) OVER (PARTITION BY l.site_id ORDER BY l.own_low NULLS LAST GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))) AS raw
		FROM look l
	), cut AS (
		SELECT l.*, CASE WHEN active THEN COALESCE(div(l.raw, view.step) * view.step, l.raw) ELSE 0 END AS atp FROM low l
	)
	SELECT l.site_id, l.moment, l.supply, l.demand, COALESCE(lag(l.spoilt) OVER w, 0) - COALESCE(l.spoilt, 0), l.lots,
		l.change + COALESCE(l.spoilt, 0) - COALESCE(lag(l.spoilt) OVER w, 0) + CASE WHEN l.moment = inventory_curve_sites.at THEN l.stand ELSE 0 END, l.atp - COALESCE(lag(l.atp) OVER w, 0), l.unlimited
	FROM cut l WINDOW w AS (PARTITION BY l.site_id ORDER BY l.moment);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_curve_sites(bigint, bigint[], timestamptz, distsync_internal.inventory_view) IS
	'Timeline of an item at each of these sites from an instant on, base units: at each change the supply and demand that fall due, what expires of the lots named that nobody has taken before, the change of the projected stock (at first: the stock itself) and of what may be promised from then on, and whether any quantity can be had by then.';

-- inventory_curve does the adding up of that over the sites.
CREATE FUNCTION distsync_internal.inventory_curve(item_id bigint, site_ids bigint[], at timestamptz, view distsync_internal.inventory_view DEFAULT NULL)
RETURNS TABLE (moment timestamptz, supply numeric, demand numeric, projected numeric, atp numeric)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT p.moment, sum(p.supply), sum(p.demand + p.spoils), sum(sum(p.change)) OVER (ORDER BY p.moment), CASE WHEN NOT bool_or(bool_or(p.unlimited)) OVER (ORDER BY p.moment) THEN sum(sum(p.gain)) OVER (ORDER BY p.moment) END
	FROM distsync_internal.inventory_curve_sites(inventory_curve.item_id, site_ids, inventory_curve.at, view) p GROUP BY p.moment ORDER BY p.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_curve(bigint, bigint[], timestamptz, distsync_internal.inventory_view) IS
	'Timeline of an item over sites from an instant on, base units: at each change the supply that falls due, demand and what expires, the projected stock (may be below 0) and what may be promised from then on (looks ahead as far as replenishment takes, never below 0; NULL = any quantity, because it can be had by then; 0 where the item is not active).';

-- inventory_take does the writing of a promise: demand, reservations, pools. The guard of the UPDATE and the CHECK of the pool are
-- the last word; under the locks they always agree with the decision.
CREATE FUNCTION distsync_internal.inventory_take(grants distsync_internal.inventory_grant[], options jsonb, items bigint[], sites bigint[], at timestamptz) RETURNS SETOF distsync_internal.inventory_promise
LANGUAGE plpgsql ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := at;	-- of the decision: supply that falls due meanwhile is nobody's serialization failure
	-- lines of one call share it
	request uuid := COALESCE((options->>'request_id')::uuid, gen_random_uuid());
	now_committed boolean := COALESCE((options->>'commit')::boolean, false);
	ends_at timestamptz := CASE WHEN NOT COALESCE((options->>'commit')::boolean, false) THEN t + COALESCE((options->>'ttl')::interval, '15 minutes') END;
	wanted integer;
	taken integer;
	made jsonb;
	moved boolean;
	rest boolean := false;
	items_later bigint[];
	sites_later bigint[];
	quotas bigint[] := ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(options->'quotas') e);
	drawn bigint[];
BEGIN
	moved := distsync_internal.inventory_take_demand(grants, (options->>'customer_id')::bigint, COALESCE((options->>'priority')::integer, 100));
	rest := moved AND EXISTS (SELECT FROM unnest(grants) u WHERE u.outcome IN ('reserved', 'partial') AND distsync_internal.inventory_line_rest(u.item_id, u.site_id, ARRAY[u.demand_key], t) > 0);
	IF moved AND NOT rest THEN
		-- what the line has left free is what it is promised: nobody is given it back before
		PERFORM distsync_internal.inventory_refresh(items, sites, (options->>'correlation_id')::uuid, false, false, t);
	END IF;
	WITH d AS MATERIALIZED (
		SELECT k.item_id, k.site_id, distsync_internal.inventory_quota_drawn(k.item_id, k.site_id, (options->>'customer_id')::bigint, (options->>'channel_id')::bigint, t, quotas) AS quota_ids
		FROM (SELECT DISTINCT x.item_id, x.site_id FROM unnest(grants) x WHERE x.outcome IN ('reserved', 'partial') AND quotas <> '{}') k
	), g AS MATERIALIZED (
		SELECT u.*, nextval('dist.reservation_reservation_id_seq') AS reservation_id, distsync_internal.inventory_grant_key(ROW(u.ordinal, u.outcome, u.item_id, u.site_id, u.quantity, u.available, u.demand_key, u.requested_at, u.kit_id, u.kit_per, u.promised_at, u.wanted_at, u.kind)::distsync_internal.inventory_grant) AS key
		FROM (SELECT x.*, d.quota_ids FROM unnest(grants) x LEFT JOIN d ON d.item_id = x.item_id AND d.site_id = x.site_id WHERE x.outcome IN ('reserved', 'partial') ORDER BY x.item_id, x.site_id, x.ordinal, x.promised_at NULLS FIRST) u
	), r AS (
		INSERT INTO dist.reservation (item_id, reservation_id, request_id, site_id, holder, demand_key, customer_id, channel_id, quantity, committed, kind, state, priority, quota_ids, kit_id, kit_group, kit_per, expires_at, promised_at, wanted_at, created_at)
		SELECT g.item_id, g.reservation_id, request, g.site_id, COALESCE(options->>'holder', g.demand_key, session_user), g.demand_key,
			(options->>'customer_id')::bigint, (options->>'channel_id')::bigint, g.quantity, CASE WHEN now_committed THEN g.quantity ELSE 0 END, COALESCE(CASE WHEN g.promised_at > t THEN g.kind END, options->>'kind', 'hard'),
			CASE WHEN now_committed THEN 'committed' ELSE 'held' END, COALESCE((options->>'priority')::integer, 100), g.quota_ids,
			g.kit_id, CASE WHEN g.kit_id IS NOT NULL THEN min(g.reservation_id) OVER (PARTITION BY g.key) END, g.kit_per, ends_at, greatest(g.promised_at, t), g.wanted_at, t
		FROM g
	)
	SELECT (SELECT jsonb_object_agg(k.key, k.ids) FROM (SELECT g.key, jsonb_agg(jsonb_build_array(g.item_id, g.reservation_id) ORDER BY g.reservation_id) AS ids FROM g GROUP BY g.key) k), ARRAY(SELECT DISTINCT unnest(d.quota_ids) FROM d) INTO made, drawn;
	WITH p AS (
		SELECT g.item_id, g.site_id, sum(g.quantity) AS quantity, COALESCE(sum(g.quantity) FILTER (WHERE g.promised_at > t), 0) AS later FROM unnest(grants) g WHERE g.outcome IN ('reserved', 'partial') GROUP BY g.item_id, g.site_id
	), u AS (
		UPDATE dist.stock_pool s SET held = s.held + CASE WHEN now_committed THEN 0 ELSE p.quantity END, committed = s.committed + CASE WHEN now_committed THEN p.quantity ELSE 0 END,
			-- what is for later needs no stock before; how low it lets the timeline go is reckoned in a moment
			cap = s.cap + p.later, low = s.low + p.later, inbound = s.inbound + p.later, waiting = s.waiting OR p.later > 0,
			-- what of a line is not promised leaves the pool as short as it was: how short is reckoned in a moment
			shortfall = s.shortfall + CASE WHEN rest THEN p.quantity ELSE 0 END,
			valid_until = least(s.valid_until, ends_at), version = s.version + 1, changed_at = greatest(t, s.changed_at + interval '1 microsecond')
		FROM p WHERE s.item_id = p.item_id AND s.site_id = p.site_id
			AND (rest OR p.later = p.quantity OR s.held + s.committed + s.dealt + p.quantity - p.later <= s.cap + s.backorder_cap + CASE WHEN (options->>'use_safety')::boolean THEN s.safety ELSE 0 END)
		RETURNING p.item_id, p.site_id, p.later
	)
	SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM u), (SELECT array_agg(u.item_id) FROM u WHERE u.later > 0), (SELECT array_agg(u.site_id) FROM u WHERE u.later > 0) INTO wanted, taken, items_later, sites_later;
	IF rest THEN
		PERFORM distsync_internal.inventory_refresh(items, sites, (options->>'correlation_id')::uuid, true, false, t);
		taken := taken - distsync_internal.inventory_overtaken(grants, COALESCE((options->>'use_safety')::boolean, false), t);
	END IF;
	IF taken <> wanted THEN
		RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'stock changed while it was being promised',
			DETAIL = format('%s of %s pools have as much as this transaction saw.', taken, wanted), HINT = 'Run the transaction again.';
	END IF;
	IF drawn <> '{}' THEN
		PERFORM distsync_internal.inventory_quota_take(ARRAY(SELECT DISTINCT u.item_id FROM unnest(grants) u), drawn, t);
	END IF;
	IF moved AND EXISTS (SELECT FROM unnest(items, sites) AS k(item_id, site_id) JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND p.waiting) THEN
		PERFORM distsync_internal.inventory_refresh(items, sites, (options->>'correlation_id')::uuid);
	ELSIF items_later IS NOT NULL THEN
		PERFORM distsync_internal.inventory_refresh(items_later, sites_later, (options->>'correlation_id')::uuid, false);
	END IF;
	-- what goes beyond stock is dated by its place in the queue, and may move others
	PERFORM distsync_internal.inventory_repromise(p.item_id, p.site_id, t, true, (options->>'correlation_id')::uuid) FROM dist.stock_pool p
	WHERE (p.item_id, p.site_id) IN (SELECT g.item_id, g.site_id FROM unnest(grants) g WHERE g.outcome IN ('reserved', 'partial')) AND p.held + p.committed > p.cap + p.safety;
	RETURN QUERY
	SELECT a.ordinal, a.outcome, a.reservation_id, a.site_id, a.base_quantity, CASE WHEN r.dated THEN r.promised_at ELSE a.promised_at END, a.detail || jsonb_build_object('expires_at', ends_at) FROM distsync_internal.inventory_answers(grants, made, t) a
	CROSS JOIN LATERAL (SELECT count(*) > 0 AS dated, CASE WHEN bool_and(x.promised_at IS NOT NULL) THEN max(x.promised_at) END AS promised_at FROM dist.reservation x WHERE x.reservation_id = a.reservation_id OR x.kit_group = a.reservation_id) r
	UNION ALL
	SELECT * FROM distsync_internal.inventory_refusal(ARRAY(SELECT g FROM unnest(grants) g WHERE g.outcome NOT IN ('reserved', 'partial')), t, options)
	ORDER BY 1, 6, 4;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take(distsync_internal.inventory_grant[], jsonb, bigint[], bigint[], timestamptz) IS
	'Writes granted lines: reservations, demand, pools; the caller holds the locks of items and sites, and has decided as of the instant at. Options as inventory_reserve(). Errors: 40001 where another transaction changed the pool under a snapshot of ours.';

-- inventory_line_rest does the reckoning of what of lines is wanted at a site beyond what is promised of them: it is theirs, and in nobody
-- else's way but that of those who come after them.
CREATE FUNCTION distsync_internal.inventory_line_rest(item_id bigint, site_id bigint, demand_keys text[], at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	r record;
BEGIN
	SELECT array_agg(d.demand_key) AS keys, array_agg(greatest(d.ordered, d.allocated) - greatest(d.reserved, d.shipped)) AS quantities INTO r FROM dist.demand d
	WHERE d.demand_key = ANY (demand_keys) AND d.item_id = inventory_line_rest.item_id AND d.site_id = inventory_line_rest.site_id AND greatest(d.ordered, d.allocated) > greatest(d.reserved, d.shipped);
	IF r.keys IS NULL THEN
		RETURN 0;
	END IF;
	RETURN (SELECT w.low - m.low FROM distsync_internal.inventory_terms(ARRAY[inventory_line_rest.item_id], ARRAY[inventory_line_rest.site_id], inventory_line_rest.at) m
		CROSS JOIN distsync_internal.inventory_terms(ARRAY[inventory_line_rest.item_id], ARRAY[inventory_line_rest.site_id], inventory_line_rest.at, r.keys, r.quantities) w);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_line_rest(bigint, bigint, text[], timestamptz) IS 'By how much the free stock of a site would grow if nothing were wanted of these demands beyond what is promised of them; base units.';

-- inventory_overtaken does the look at pools from which lines were promised that want more: what is theirs of it does not count.
CREATE FUNCTION distsync_internal.inventory_overtaken(grants distsync_internal.inventory_grant[], use_safety boolean, at timestamptz) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT count(*) FROM (SELECT u.item_id, u.site_id, array_agg(u.demand_key) FILTER (WHERE u.demand_key IS NOT NULL) AS keys FROM unnest(grants) u
			WHERE u.outcome IN ('reserved', 'partial') AND NOT COALESCE(u.promised_at > inventory_overtaken.at, false) GROUP BY u.item_id, u.site_id) k
		JOIN dist.stock_pool s ON s.item_id = k.item_id AND s.site_id = k.site_id
		WHERE s.held + s.committed + s.dealt > s.cap + s.backorder_cap + CASE WHEN use_safety THEN s.safety ELSE 0 END + distsync_internal.inventory_line_rest(k.item_id, k.site_id, k.keys, inventory_overtaken.at));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_overtaken(distsync_internal.inventory_grant[], boolean, timestamptz) IS 'How many pools of granted lines are promised more from than they have, without what these lines want beyond what they are promised. The caller has refreshed them.';

-- inventory_grant_key does the naming of what a grant is a part of: the line, the site and the date, which the components of a kit share.
CREATE FUNCTION distsync_internal.inventory_grant_key(g distsync_internal.inventory_grant) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN concat_ws(':', g.ordinal, g.site_id, g.promised_at);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_grant_key(distsync_internal.inventory_grant) IS 'ordinal:site of a grant, ordinal:site:date of one for later.';

-- inventory_answers does the answer to lines that get something: a row for each site, of a kit with its components.
CREATE FUNCTION distsync_internal.inventory_answers(grants distsync_internal.inventory_grant[], made jsonb, at timestamptz) RETURNS SETOF distsync_internal.inventory_promise
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT g.ordinal, g.outcome, min(r.id), g.site_id, CASE WHEN g.kit_id IS NULL THEN sum(g.quantity) ELSE min(trim_scale(g.quantity / g.kit_per)) END, CASE WHEN max(g.promised_at) < 'infinity' OR max(g.promised_at) IS NULL THEN COALESCE(max(g.promised_at), inventory_answers.at) END,
		jsonb_build_object('available', g.available)
			|| CASE WHEN g.kit_id IS NULL THEN '{}' ELSE jsonb_build_object('components', jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item', i.sku, 'quantity', trim_scale(g.quantity), 'reservation_id', r.id)) ORDER BY i.sku COLLATE "C")) END
	FROM (SELECT u.*, distsync_internal.inventory_grant_key(u) AS key FROM unnest(grants) u WHERE u.outcome IN ('reserved', 'partial')) g
	JOIN dist.item i ON i.item_id = g.item_id
	LEFT JOIN LATERAL (SELECT (x.value->>1)::bigint AS id FROM jsonb_array_elements(made->g.key) x WHERE (x.value->>0)::bigint = g.item_id) r ON true
	GROUP BY g.ordinal, g.outcome, g.site_id, g.kit_id, g.available, CASE WHEN g.kind IS NOT NULL THEN g.promised_at END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_answers(distsync_internal.inventory_grant[], jsonb, timestamptz) IS
	'Rows for lines that were served: base units, of a kit whole kits with detail.components [{"item","quantity","reservation_id"}]; its reservation is that of the lowest number. made: {key of the grant: [[item_id, reservation_id], ...]}, NULL in a preview.';

-- inventory_take_demand does the noting of a promise on the demand it serves. What others said of the line at another site moves with
-- it: one line is one demand, wherever it is served from.
CREATE FUNCTION distsync_internal.inventory_take_demand(grants distsync_internal.inventory_grant[], customer_id bigint, priority integer) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	g record;
	moved boolean;
BEGIN
	IF NOT EXISTS (SELECT FROM unnest(grants) u WHERE u.demand_key IS NOT NULL) THEN
		RETURN false;
	END IF;
	-- somebody else has spoken of one of these lines: its demand becomes ours, and the caps change
	moved := EXISTS (SELECT FROM unnest(grants) u JOIN dist.demand d ON d.demand_key = u.demand_key AND d.item_id = u.item_id WHERE greatest(d.ordered, d.allocated) > 0);
	INSERT INTO dist.demand AS d (item_id, demand_key, site_id, customer_id, reserved, required_at, priority)
	SELECT u.item_id, u.demand_key, u.site_id, inventory_take_demand.customer_id, sum(u.quantity), min(u.requested_at), inventory_take_demand.priority
	FROM unnest(grants) u WHERE u.outcome IN ('reserved', 'partial') AND u.demand_key IS NOT NULL
	GROUP BY u.item_id, u.demand_key, u.site_id ORDER BY u.demand_key, u.item_id, u.site_id
	ON CONFLICT ON CONSTRAINT demand_key_uq DO UPDATE SET reserved = d.reserved + excluded.reserved, customer_id = COALESCE(d.customer_id, excluded.customer_id),
		status = distsync_internal.inventory_demand_status(d.reserved + excluded.reserved, d.ordered, d.allocated, d.shipped);
	FOR g IN
		SELECT DISTINCT u.item_id, u.demand_key FROM unnest(grants) u
		WHERE u.demand_key IS NOT NULL AND (SELECT count(*) FROM dist.demand d WHERE d.demand_key = u.demand_key AND d.item_id = u.item_id AND (d.reserved > 0 OR d.ordered > 0)) > 1
	LOOP
		PERFORM distsync_internal.inventory_spread(g.item_id, g.demand_key, (SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = g.demand_key AND d.item_id = g.item_id), NULL);
	END LOOP;
	RETURN moved;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_demand(distsync_internal.inventory_grant[], bigint, integer) IS 'Adds granted quantities to the demand rows they serve, and lays what others said of a line over the sites that serve it. Returns whether anybody had spoken of them, so that the caps change.';

-- inventory_spread does the laying of an ordered quantity over the sites of its demand: first where it is reserved, then where it is allocated, the rest at home,
-- the site its owner names. Where nobody names one it stays where it was, so that no site is asked for more than before.
CREATE FUNCTION distsync_internal.inventory_spread(item_id bigint, demand_key text, ordered numeric, home bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH r AS MATERIALIZED (
		SELECT d.site_id, s.code COLLATE "C" AS code, d.ordered AS was,
			greatest(0, least(greatest(d.reserved, d.shipped, d.allocated), inventory_spread.ordered - COALESCE(sum(greatest(d.reserved, d.shipped, d.allocated)) OVER (ORDER BY d.reserved <= 0 AND d.shipped <= 0, s.code COLLATE "C" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS share,
			COALESCE(inventory_spread.home, first_value(d.site_id) OVER (ORDER BY d.ordered - d.reserved DESC, s.code COLLATE "C")) AS home
		FROM dist.demand d JOIN dist.site s ON s.site_id = d.site_id
		WHERE d.demand_key = inventory_spread.demand_key AND d.item_id = inventory_spread.item_id
	), o AS (
		SELECT r.*, CASE WHEN inventory_spread.home IS NULL THEN greatest(0, r.was - r.share) ELSE 0 END AS open, inventory_spread.ordered - sum(r.share) OVER () AS rest FROM r
	), k AS (
		SELECT o.*, greatest(0, least(o.open, o.rest - COALESCE(sum(o.open) OVER (ORDER BY o.code ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS kept FROM o
	), n AS (
		SELECT k.site_id, k.share + k.kept + CASE WHEN k.site_id = k.home THEN k.rest - sum(k.kept) OVER () ELSE 0 END AS ordered FROM k
	)
	UPDATE dist.demand d SET ordered = n.ordered, status = distsync_internal.inventory_demand_status(d.reserved, n.ordered, d.allocated, d.shipped)
	FROM n WHERE d.demand_key = inventory_spread.demand_key AND d.item_id = inventory_spread.item_id AND d.site_id = n.site_id
		AND (d.ordered, d.status) IS DISTINCT FROM (n.ordered, distsync_internal.inventory_demand_status(d.reserved, n.ordered, d.allocated, d.shipped));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_spread(bigint, text, numeric, bigint) IS
	'Lays the ordered total of a demand line (base units) over its rows: up to what each site reserved, shipped or allocated, the rest at the home site (NULL = where it was laid before, and more of it where most is open).';
