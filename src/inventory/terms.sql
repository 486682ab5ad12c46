-- The terms of availability: the one place where its numbers come from. Writers derive the cap of a pool from them, readers answer
-- from them, explain_atp() shows them.

CREATE TYPE distsync_internal.inventory_terms AS (
	item_id		bigint,
	site_id		bigint,
	phys		numeric,
	book		numeric,
	in_flight	numeric,
	outside		numeric,
	due			numeric,
	low			numeric,
	held		numeric,
	committed	numeric,
	backorder	numeric,
	doubt		text,
	known_at	timestamptz,
	turns_at	timestamptz,
	moves_at	timestamptz,
	future		boolean,
	safety		numeric,
	ruled		boolean,
	lead_at		timestamptz,
	cap_until	timestamptz,
	inbound		numeric
);
COMMENT ON TYPE distsync_internal.inventory_terms IS 'Terms of availability of an item at a site, base units: promisable stock of both perspectives, without lots that are too old for the item (NULL = that perspective says nothing), movements the book has not posted, demand already outside the physical stock, demand due now (as a negative), lowest point of the coming supply less demand (with what is due and what is promised for later, less safety stock, plus what is inbound), live holds, commitments, backorder allowance, doubt about the streams (gap | stale), stamp of the last change, first instant at which time alone changes what may be promised (turns_at: a hold or lot expires, supply falls due), or any number shown (moves_at), whether supply, demand, the expiry of a lot or replenishment is to come, safety stock (out of low already), whether dist.item_site says more than that and backorders, the item has quotas or lots expire before later demand that supply does not cover, instant from which on any quantity can be had (NULL = never), turns_at without holds, what of holds and commitments is promised for a later date and needs no stock before (inbound).';

CREATE TYPE distsync_internal.inventory_view AS (
	mode		text,
	use_safety	boolean,
	shelf_days	integer,
	holder		text,
	step		numeric
);
COMMENT ON TYPE distsync_internal.inventory_view IS 'How somebody looks at stock: mode physical | book | conservative, whether safety stock is for him, days that lots must have left (NULL = as the item says), holder whose reservations do not count (NULL = all count), in which steps it is promised at each site (base units, NULL = in any). A NULL view is conservative, without safety stock.';

-- inventory_terms does the reading of all terms for pairs of item and site. Holds that are past their expiry do not count, whether
-- or not somebody swept them. own_keys tell what would be if we had promised that much more of these demands.
CREATE FUNCTION distsync_internal.inventory_terms(item_ids bigint[], site_ids bigint[], at timestamptz, own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL)
RETURNS SETOF distsync_internal.inventory_terms
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	promisable text[] := ARRAY(SELECT s.state FROM dist.stock_state s WHERE s.promisable);
	aging text[] := ARRAY(SELECT s.state FROM dist.stock_state s JOIN dist.stock_state a ON a.state = s.ages_into AND a.promisable WHERE NOT s.promisable);
BEGIN
	RETURN QUERY
	SELECT k.item_id, k.site_id, b.phys, b.book, COALESCE(f.waiting, 0), COALESCE(d.outside, 0), COALESCE(d.due, 0), COALESCE(d.due, 0) + least(0, t.low) - COALESCE(r.safety, 0) + COALESCE(i.inbound, 0),
		COALESCE(p.held, 0) + COALESCE(o.held, 0) - COALESCE(e.expired, 0), COALESCE(p.committed, 0) + COALESCE(o.committed, 0), COALESCE(r.backorder_cap, 0), m.doubt, COALESCE(greatest(p.changed_at, o.changed_at), '-infinity'),
		least(b.expires_at, t.next_turn, d.next_due, d.next_fence, i.next_date, h.next_expiry),
		least(b.expires_at, t.next_turn, d.next_due, d.next_fence, i.next_date, h.next_expiry, m.next_doubt),
		COALESCE(t.future, false) OR r.lead_days IS NOT NULL OR b.expires_at IS NOT NULL, COALESCE(r.safety, 0),
		COALESCE(r.lead_days IS NOT NULL OR r.ship_days > 0 OR r.supply_grace_days > 0 OR r.demand_fence_days IS NOT NULL, false) OR COALESCE(i.inbound, 0) > 0 OR COALESCE(t.spoiled, false) OR EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = k.item_id), inventory_terms.at + r.lead_days * interval '24 hours',
		least(b.expires_at, t.next_turn, d.next_due, d.next_fence, i.next_date), COALESCE(i.inbound, 0)
	FROM unnest(inventory_terms.item_ids, inventory_terms.site_ids) AS k(item_id, site_id)
	LEFT JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id
	LEFT JOIN LATERAL (SELECT sum(y.held) AS held, sum(y.committed) AS committed, max(y.changed_at) AS changed_at FROM dist.stock_pool_slot y WHERE y.item_id = p.item_id AND y.site_id = p.site_id) o ON p.slots > 0
	LEFT JOIN dist.item_site r ON r.item_id = k.item_id AND r.site_id = k.site_id
	CROSS JOIN LATERAL (SELECT z.tz, (inventory_terms.at AT TIME ZONE z.tz)::date + z.days AS first, z.days
		FROM (SELECT COALESCE((SELECT s.tz FROM dist.site s WHERE s.site_id = k.site_id), 'UTC') AS tz, COALESCE((SELECT i.min_shelf_days FROM dist.item i WHERE i.item_id = k.item_id), 0) AS days) z) shelf
	CROSS JOIN LATERAL (
		-- what is missing of a lot (below 0) stays so when it expires
		SELECT sum(CASE WHEN y.counts THEN x.quantity ELSE 0 END) FILTER (WHERE x.perspective = 'phys') AS phys, sum(CASE WHEN y.counts THEN x.quantity ELSE 0 END) FILTER (WHERE x.perspective = 'book') AS book,
			(min(x.expires_on) FILTER (WHERE y.counts AND x.quantity > 0) + 1 - shelf.days)::timestamp AT TIME ZONE shelf.tz AS expires_at,
			COALESCE(bool_or(x.quantity > 0 AND x.state = ANY (aging)), false) AS aging
		FROM dist.stock_balance x CROSS JOIN LATERAL (SELECT x.state = ANY (promisable) AND (x.expires_on IS NULL OR x.expires_on >= shelf.first OR x.quantity < 0) AS counts) y
		WHERE x.item_id = k.item_id AND x.site_id = k.site_id) b
	CROSS JOIN LATERAL (
		SELECT sum(CASE WHEN w.phys < 0 THEN least(0, w.phys - w.book) ELSE greatest(0, w.phys - w.book) END) AS waiting
		FROM dist.stock_in_flight w WHERE w.item_id = k.item_id AND w.site_id = k.site_id AND w.phys <> 0) f
	CROSS JOIN LATERAL (
		-- a demand that we have promised in full changes nothing when its day comes
		SELECT -sum(n.external) FILTER (WHERE y.required_at IS NULL OR y.required_at <= inventory_terms.at AND (r.demand_fence_days IS NULL OR y.required_at + r.demand_fence_days * interval '24 hours' > inventory_terms.at)) AS due,
			sum(greatest(0, y.allocated - y.shipped)) FILTER (WHERE y.phys_allocated) AS outside,
			min(y.required_at) FILTER (WHERE n.external > 0 AND y.required_at > inventory_terms.at) AS next_due,
			min(y.required_at + r.demand_fence_days * interval '24 hours') FILTER (WHERE n.external > 0 AND y.required_at <= inventory_terms.at AND y.required_at + r.demand_fence_days * interval '24 hours' > inventory_terms.at) AS next_fence
		FROM dist.demand y
		CROSS JOIN LATERAL (SELECT greatest(0, greatest(y.ordered, y.allocated)
			- greatest(y.reserved + CASE WHEN own_keys IS NULL THEN 0 ELSE distsync_internal.inventory_more(y.demand_key, own_keys, own_quantities) END, y.shipped)) AS external) n
		WHERE y.item_id = k.item_id AND y.site_id = k.site_id AND y.status = 'open') d
	CROSS JOIN LATERAL (
		SELECT sum(CASE WHEN x.state = 'held' AND x.expires_at <= inventory_terms.at THEN x.committed ELSE x.quantity END - x.shipped) AS inbound, min(x.promised_at) AS next_date
		FROM dist.reservation x WHERE p.waiting AND x.item_id = p.item_id AND x.site_id = p.site_id AND x.state IN ('held', 'committed') AND x.kind IN ('inbound', 'planned') AND x.promised_at > inventory_terms.at) i
	CROSS JOIN LATERAL (
		-- what comes after the time that replenishment takes does not bind, and begins to when that time reaches it
		SELECT min(CASE WHEN z.own IS NULL THEN z.running ELSE greatest(z.running, -z.own) END) FILTER (WHERE z.binds) AS low, bool_or(z.changes) AS future, bool_or(z.running < 0 AND z.own IS NOT NULL) FILTER (WHERE z.binds) AS spoiled,
			least(min(z.moment) FILTER (WHERE z.supply), min(z.moment - (l.lead_at - inventory_terms.at)) FILTER (WHERE z.moment > l.lead_at AND z.changes)) AS next_turn
		FROM (SELECT inventory_terms.at + r.lead_days * interval '24 hours' AS lead_at) l
		CROSS JOIN LATERAL (SELECT s.moment, s.coming > 0 AS supply, s.own IS NULL OR s.coming > 0 OR s.going < 0 AS changes, s.moment <= l.lead_at OR l.lead_at IS NULL AS binds,
				sum(s.coming + s.going) OVER w AS running, min(s.own) OVER w AS own
			FROM distsync_internal.inventory_course(k.item_id, k.site_id, inventory_terms.at, b.phys + COALESCE(d.outside, 0), b.book + COALESCE(f.waiting, 0), NULL, NULL, own_keys, own_quantities, true) s
			WHERE b.aging OR d.next_due IS NOT NULL OR i.inbound > 0 OR EXISTS (SELECT FROM dist.supply u WHERE u.item_id = k.item_id AND u.site_id = k.site_id AND u.status = 'open')
			WINDOW w AS (ORDER BY s.moment)) z) t
	CROSS JOIN LATERAL (
		SELECT sum(r.quantity - r.committed) AS expired FROM dist.reservation r
		WHERE r.item_id = k.item_id AND r.site_id = k.site_id AND r.state = 'held' AND r.expires_at <= inventory_terms.at) e
	CROSS JOIN LATERAL (
		SELECT min(r.expires_at) AS next_expiry FROM dist.reservation r
		WHERE r.item_id = k.item_id AND r.site_id = k.site_id AND r.state = 'held' AND r.expires_at > inventory_terms.at) h
	CROSS JOIN LATERAL (
		SELECT CASE WHEN bool_or(v.gap_from IS NOT NULL) THEN 'gap' WHEN bool_or(v.last_received_at + v.max_lag < inventory_terms.at) THEN 'stale' END AS doubt,
			min(v.last_received_at + v.max_lag) FILTER (WHERE v.last_received_at + v.max_lag >= inventory_terms.at) AS next_doubt
		FROM dist.stock_stream v WHERE v.perspective = 'phys' AND v.site_id IN (k.site_id, 0)) m;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_terms(bigint[], bigint[], timestamptz, text[], numeric[]) IS
	'Terms of availability for pairs of item and site (arrays of equal length), as of an instant; base units. own_keys, own_quantities: as if that much more were reserved for these demands. Reads only.';

-- inventory_more does the summing of what a call promises to one demand.
CREATE FUNCTION distsync_internal.inventory_more(demand_key text, own_keys text[], own_quantities numeric[]) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(sum(u.quantity), 0) FROM unnest(own_keys, own_quantities) AS u(key, quantity) WHERE u.key = inventory_more.demand_key);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_more(text, text[], numeric[]) IS 'Sum of the quantities (base units) beside this key.';

-- inventory_doubt does the look at the streams that tell of a site: a gap in their numbers, or silence for too long.
CREATE FUNCTION distsync_internal.inventory_doubt(site_id bigint, at timestamptz, OUT doubt text, OUT next_doubt timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT CASE WHEN bool_or(v.gap_from IS NOT NULL) THEN 'gap' WHEN bool_or(v.last_received_at + v.max_lag < inventory_doubt.at) THEN 'stale' END,
		min(v.last_received_at + v.max_lag) FILTER (WHERE v.last_received_at + v.max_lag >= inventory_doubt.at)
	INTO doubt, next_doubt
	FROM dist.stock_stream v WHERE v.perspective = 'phys' AND v.site_id IN (inventory_doubt.site_id, 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_doubt(bigint, timestamptz) IS 'gap | stale | NULL for the physical streams of a site, and when the next of them will count as stale.';

-- inventory_now does the same as inventory_terms from the pools, which keep the terms as their writers left them; only where time
-- has passed a pool since, its terms are reckoned anew.
CREATE FUNCTION distsync_internal.inventory_now(item_ids bigint[], site_ids bigint[], at timestamptz) RETURNS SETOF distsync_internal.inventory_terms
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT m.* FROM unnest(inventory_now.item_ids, inventory_now.site_ids) AS k(item_id, site_id)
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id
	LEFT JOIN LATERAL (SELECT sum(y.held) AS held, sum(y.committed) AS committed, max(y.changed_at) AS changed_at, min(y.valid_until) AS valid_until FROM dist.stock_pool_slot y WHERE y.item_id = p.item_id AND y.site_id = p.site_id) o ON p.slots > 0
	CROSS JOIN LATERAL (SELECT least(p.valid_until, o.valid_until)) v(valid_until)
	CROSS JOIN LATERAL (
		SELECT p.item_id, p.site_id, p.phys, p.book, 0::numeric, 0::numeric, p.due, p.low, p.held + COALESCE(o.held, 0), p.committed + COALESCE(o.committed, 0), p.backorder_cap, NULL::text, greatest(p.changed_at, o.changed_at), v.valid_until, v.valid_until, p.ahead, p.safety, p.ruled,
			CASE WHEN p.ruled THEN (SELECT inventory_now.at + r.lead_days * interval '24 hours' FROM dist.item_site r WHERE r.item_id = p.item_id AND r.site_id = p.site_id) END, p.cap_until, p.inbound
		WHERE v.valid_until IS NULL OR v.valid_until > inventory_now.at
		UNION ALL
		SELECT t.* FROM distsync_internal.inventory_terms(ARRAY[p.item_id], ARRAY[p.site_id], inventory_now.at) t
		WHERE v.valid_until <= inventory_now.at) m;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_now(bigint[], bigint[], timestamptz) IS
	'Terms for pairs of item and site as their pools keep them, base units: in_flight and outside are in book and phys already; without doubt about streams. Pairs without a pool give no row. Reads only.';

-- inventory_changes_told does the listing of what will come and go by what we were told: open supply, demand that we do not hold ourselves,
-- and what we have promised for a later date. Supply that is
-- overdue counts for nothing until its owner gives a new date, because nobody can ship what has not come; unless the item has a time of
-- grace at the site: then it is expected at the end of that.
CREATE FUNCTION distsync_internal.inventory_changes_told(item_id bigint, site_id bigint, at timestamptz, own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL)
RETURNS TABLE (moment timestamptz, change numeric, kind text, reference text)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT CASE WHEN s.expected_at > inventory_changes_told.at THEN s.expected_at ELSE s.expected_at + g.grace END, round((s.quantity - s.received) * s.confidence, 6), s.kind, s.reference
	FROM (SELECT COALESCE((SELECT r.supply_grace_days FROM dist.item_site r WHERE r.item_id = inventory_changes_told.item_id AND r.site_id = inventory_changes_told.site_id), 0) * interval '24 hours') g(grace)
	JOIN dist.supply s ON s.item_id = inventory_changes_told.item_id AND s.site_id = inventory_changes_told.site_id AND s.status = 'open' AND s.expected_at > inventory_changes_told.at - g.grace AND s.quantity > s.received
	UNION ALL
	SELECT d.required_at, -e.external, 'demand', d.demand_key
	FROM dist.demand d
	CROSS JOIN LATERAL (SELECT greatest(0, greatest(d.ordered, d.allocated) - greatest(d.reserved + CASE WHEN own_keys IS NULL THEN 0 ELSE distsync_internal.inventory_more(d.demand_key, own_keys, own_quantities) END, d.shipped))) e(external)
	WHERE d.item_id = inventory_changes_told.item_id AND d.site_id = inventory_changes_told.site_id AND d.status = 'open' AND d.required_at > inventory_changes_told.at AND e.external > 0
	UNION ALL
	SELECT r.promised_at, -(q.quantity - r.shipped), 'promise', COALESCE(r.demand_key, r.holder)
	FROM dist.stock_pool p JOIN dist.reservation r ON r.item_id = p.item_id AND r.site_id = p.site_id AND r.state IN ('held', 'committed') AND r.kind = 'inbound' AND r.promised_at > inventory_changes_told.at
	CROSS JOIN LATERAL (SELECT CASE WHEN r.state = 'held' AND r.expires_at <= inventory_changes_told.at THEN r.committed ELSE r.quantity END) q(quantity)
	WHERE p.item_id = inventory_changes_told.item_id AND p.site_id = inventory_changes_told.site_id AND p.waiting AND q.quantity > r.shipped;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_changes_told(bigint, bigint, timestamptz, text[], numeric[]) IS
	'Future changes of an item at a site after an instant, base units: supply (positive), demand that no reservation of ours covers and what we promise for then (kind promise, with demand or holder; both negative). own_keys, own_quantities: as if that much more were reserved for these demands.';

-- inventory_changes does the same with what is to be released.
CREATE FUNCTION distsync_internal.inventory_changes(item_id bigint, site_id bigint, at timestamptz, own_keys text[] DEFAULT NULL, own_quantities numeric[] DEFAULT NULL)
RETURNS TABLE (moment timestamptz, change numeric, kind text, reference text)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT c.* FROM distsync_internal.inventory_changes_told(inventory_changes.item_id, inventory_changes.site_id, inventory_changes.at, own_keys, own_quantities) c
	UNION ALL
	SELECT w.moment, w.quantity, w.kind, w.reference FROM distsync_internal.inventory_releases(inventory_changes.item_id, inventory_changes.site_id, inventory_changes.at) w WHERE w.moment IS NOT NULL AND w.quantity > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_changes(bigint, bigint, timestamptz, text[], numeric[]) IS
	'Future changes of an item at a site after an instant, base units: those of inventory_changes_told(), and goods that are to be released (positive).';

-- inventory_base does the choice between the perspectives: physical or book only where that one speaks and is asked for, and for
-- physical nothing casts doubt on its stream; otherwise the lower of the two.
CREATE FUNCTION distsync_internal.inventory_base(phys numeric, book numeric, in_flight numeric, outside numeric, mode text, doubt text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE
		WHEN mode = 'physical' AND doubt IS NULL AND phys IS NOT NULL THEN phys + outside
		WHEN mode = 'book' AND book IS NOT NULL THEN book + in_flight
		ELSE COALESCE(least(phys + outside, book + in_flight), 0) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_base(numeric, numeric, numeric, numeric, text, text) IS
	'Stock to reckon from, base units: mode physical | book | conservative (the lower one; also for physical in doubt). A perspective that says nothing (NULL) does not count.';

-- inventory_sites does the listing of the sites an answer is about: the named one, or all that may promise and know the item.
CREATE FUNCTION distsync_internal.inventory_sites(for_item bigint, for_site bigint DEFAULT NULL, for_company bigint DEFAULT NULL) RETURNS TABLE (site_id bigint, code text, rank integer)
LANGUAGE plpgsql STABLE ROWS 3 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT s.site_id, s.code, s.rank FROM dist.site s
	WHERE s.site_id = for_site AND s.can_promise AND s.status = 'active' AND (for_company IS NULL OR s.company_id = for_company)
	UNION ALL
	SELECT s.site_id, s.code, s.rank FROM dist.stock_pool p JOIN dist.site s ON s.site_id = p.site_id
	WHERE for_site IS NULL AND p.item_id = for_item AND s.can_promise AND s.status = 'active'
		AND (for_company IS NULL OR s.company_id = for_company);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_sites(bigint, bigint, bigint) IS
	'Sites that may promise the item: the named one, or all active ones that ever had stock, supply or demand of it, of a company if given, with code and rank.';
