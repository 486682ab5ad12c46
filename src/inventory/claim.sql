-- Claims: who wants what of an item at a site, in the order in which it is served where it does not do for all. A claim is a promise of
-- ours, or demand that is due and that nobody has promised.

-- inventory_unpromised does the question how much of a line of an order is left to promise. Where nobody has said what is ordered, nobody knows.
CREATE FUNCTION distsync_internal.inventory_unpromised(item_id bigint, demand_key text) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT CASE WHEN bool_or(d.ordered > 0 OR d.allocated > 0) THEN greatest(0, sum(greatest(d.ordered, d.allocated)) - sum(greatest(d.reserved, d.shipped))) END
		FROM dist.demand d WHERE d.demand_key = inventory_unpromised.demand_key AND d.item_id = inventory_unpromised.item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_unpromised(bigint, text) IS 'What others say is ordered or allocated of a demand at all sites, less what is promised or has shipped, base units; NULL = there is no demand, or nobody says.';

-- inventory_claims does the listing of all claims on a pool with what each has, and what may be taken from it: only what is soft, under a
-- strategy that may lose, and not what the order of the line wants anyway.
CREATE FUNCTION distsync_internal.inventory_claims(item_id bigint, site_id bigint, at timestamptz, only_soft boolean DEFAULT false)
RETURNS TABLE (place bigint, reservation_id bigint, demand_key text, holder text, customer_id bigint, kind text, strategy text, priority integer, required_at timestamptz, has numeric, takeable numeric, missing numeric)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	ruled boolean := EXISTS (SELECT FROM dist.reallocation_rule);
	shared text[];
BEGIN
	IF only_soft THEN
		shared := ARRAY(SELECT r.demand_key FROM dist.reservation r WHERE r.item_id = inventory_claims.item_id AND r.site_id = inventory_claims.site_id AND r.state IN ('held', 'committed') AND r.kind = 'soft' AND r.demand_key IS NOT NULL);
	END IF;
	RETURN QUERY
	WITH c AS MATERIALIZED (
		SELECT r.reservation_id, r.demand_key, r.holder, r.customer_id, r.channel_id, r.kind, r.priority, d.required_at, r.created_at, r.quantity - r.shipped AS has, CASE WHEN r.lost > 0 THEN least(r.lost, distsync_internal.inventory_unpromised(r.item_id, r.demand_key)) ELSE 0 END AS missing,
			d.reserved - greatest(d.ordered, d.allocated, d.shipped) AS beyond
		FROM dist.reservation r LEFT JOIN dist.demand d ON d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id
		WHERE r.item_id = inventory_claims.item_id AND r.site_id = inventory_claims.site_id AND r.state IN ('held', 'committed') AND (r.state = 'committed' OR r.expires_at IS NULL OR r.expires_at > inventory_claims.at)
			AND (NOT only_soft OR r.kind = 'soft' OR r.demand_key = ANY (shared))
		UNION ALL
		SELECT NULL, d.demand_key, NULL, d.customer_id, NULL, 'order', d.priority, d.required_at, d.recorded_at, 0, e.external, 0
		FROM dist.demand d CROSS JOIN LATERAL (SELECT greatest(d.ordered, d.allocated) - greatest(d.reserved, d.shipped)) e(external)
		LEFT JOIN dist.item_site s ON s.item_id = d.item_id AND s.site_id = d.site_id
		WHERE NOT only_soft AND d.item_id = inventory_claims.item_id AND d.site_id = inventory_claims.site_id AND d.status = 'open' AND e.external > 0
			AND (d.required_at IS NULL OR d.required_at <= inventory_claims.at AND (s.demand_fence_days IS NULL OR d.required_at + s.demand_fence_days * interval '24 hours' > inventory_claims.at))
	), k AS MATERIALIZED (
		-- rules are looked up once for all whom they do not tell apart
		SELECT y.*, distsync_internal.inventory_strategy(inventory_claims.item_id, y.kind, NULLIF(y.customer, 0), NULLIF(y.channel, 0), y.priority, inventory_claims.at) AS strategy
		FROM (SELECT DISTINCT c.kind, COALESCE(c.customer_id, 0) AS customer, COALESCE(c.channel_id, 0) AS channel, c.priority FROM c WHERE ruled) y
	), s AS MATERIALIZED (
		SELECT c.*, CASE WHEN ruled THEN k.strategy WHEN c.kind = 'soft' THEN 'redistribute' ELSE 'gain' END AS strategy
		FROM c LEFT JOIN k ON k.kind = c.kind AND k.customer = COALESCE(c.customer_id, 0) AND k.channel = COALESCE(c.channel_id, 0) AND k.priority = c.priority
	), o AS (
		SELECT s.*, row_number() OVER (ORDER BY distsync_internal.inventory_strategy_rank(s.strategy), s.priority, s.required_at NULLS FIRST, COALESCE(s.demand_key, s.holder) COLLATE "C", s.created_at, s.has DESC, s.reservation_id) AS place FROM s
	)
	-- what several promises of one line have beyond its order is taken from the last of them
	SELECT o.place, o.reservation_id, o.demand_key, o.holder, o.customer_id, o.kind, o.strategy, o.priority, o.required_at, o.has,
		CASE WHEN o.kind <> 'soft' OR o.strategy IN ('win', 'improve', 'gain') THEN 0
			WHEN o.demand_key IS NULL OR o.beyond IS NULL THEN o.has
			ELSE greatest(0, least(o.has, o.beyond - COALESCE(sum(o.has) OVER (PARTITION BY o.demand_key ORDER BY o.place DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) END, o.missing
	FROM o ORDER BY o.place;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_claims(bigint, bigint, timestamptz, boolean) IS
	'Claims on an item at a site as of an instant, in the order in which they are served: strategy, priority, when wanted, demand or holder. Live reservations (kind soft | hard | inbound), and due demand that no reservation covers (kind order, reservation_id NULL); base units: what it has, what of that may be taken, what it misses (was taken before, and its order still wants; of an order: all of it). only_soft: what is soft, and other promises of the same lines, not the rest; places among those. Under the pool''s lock it is exact.';

-- inventory_room does the sum of what the claims on a pool may have together.
CREATE FUNCTION distsync_internal.inventory_room(item_id bigint, site_id bigint) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT p.cap + p.safety + p.backorder_cap - p.due FROM dist.stock_pool p WHERE p.item_id = inventory_room.item_id AND p.site_id = inventory_room.site_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_room(bigint, bigint) IS
	'What promises and due demand of others may have together of an item at a site, base units, as its pool keeps it: stock with backorders and safety stock, less what later demand needs. May be below 0.';

-- inventory_shares does the division of the room among the claims. First everybody keeps what cannot be taken from him; the rest is given in
-- the order of the claims: to who wins, improves or gains what he misses, to who is redistributed what he has and misses, to who is filled
-- up to what he had; who loses gets nothing.
CREATE FUNCTION distsync_internal.inventory_shares(item_id bigint, site_id bigint, at timestamptz, gains boolean)
RETURNS TABLE (place bigint, reservation_id bigint, demand_key text, holder text, customer_id bigint, kind text, strategy text, priority integer, required_at timestamptz, has numeric, gets numeric, short numeric)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH c AS MATERIALIZED (
		SELECT c.*, CASE WHEN c.strategy = 'lose' OR c.strategy = 'fill' AND c.reservation_id IS NULL THEN 0
			ELSE c.takeable + CASE WHEN gains OR c.reservation_id IS NULL THEN c.missing ELSE 0 END END AS wants
		FROM distsync_internal.inventory_claims(inventory_shares.item_id, inventory_shares.site_id, inventory_shares.at) c
	), r AS MATERIALIZED (SELECT distsync_internal.inventory_room(inventory_shares.item_id, inventory_shares.site_id) AS room),
	g AS MATERIALIZED (
		SELECT c.*, c.has - c.takeable + greatest(0, least(c.wants, r.room - sum(c.has - c.takeable) OVER () - COALESCE(sum(c.wants) OVER (ORDER BY c.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS gets, r.room
		FROM c CROSS JOIN r
	)
	SELECT g.place, g.reservation_id, g.demand_key, g.holder, g.customer_id, g.kind, g.strategy, g.priority, g.required_at, g.has, g.gets,
		-- what stock does not cover of what he has in the end; of an order: of what it wants
		u.owed - greatest(0, least(u.owed, g.room - COALESCE(sum(u.owed) OVER (ORDER BY g.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)))
	FROM g CROSS JOIN LATERAL (SELECT CASE WHEN g.reservation_id IS NULL THEN g.missing ELSE g.gets END) u(owed)
	ORDER BY g.place;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shares(bigint, bigint, timestamptz, boolean) IS
	'Claims on an item at a site with what each gets if it is divided anew, and how short each still is then, in their order; base units. gains: who lost something before may get it back. Reads only.';

-- inventory_short_lines does the list of those who are short, as people read it.
CREATE FUNCTION distsync_internal.inventory_short_lines(item_id bigint, site_id bigint, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH c AS MATERIALIZED (
			SELECT c.*, CASE WHEN c.reservation_id IS NULL THEN c.missing ELSE c.has END AS owed FROM distsync_internal.inventory_claims(inventory_short_lines.item_id, inventory_short_lines.site_id, inventory_short_lines.at) c
		), u AS (
			SELECT c.*, c.owed - greatest(0, least(c.owed, distsync_internal.inventory_room(inventory_short_lines.item_id, inventory_short_lines.site_id)
				- COALESCE(sum(c.owed) OVER (ORDER BY c.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS short FROM c
		)
		SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('demand_key', l.demand_key, 'holder', l.holder, 'customer', (SELECT p.code FROM dist.party p WHERE p.party_id = l.customer_id), 'kind', l.kind, 'strategy', l.strategy,
			'priority', l.priority, 'required_at', l.required_at, 'quantity', trim_scale(l.owed), 'short', trim_scale(l.short))) ORDER BY l.place), '[]')
		FROM (SELECT * FROM u WHERE u.short > 0 ORDER BY u.place LIMIT 100) l);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_short_lines(bigint, bigint, timestamptz) IS
	'Lines of an item at a site that what there is does not cover, in the order in which they are short, at most 100: [{"demand_key", "holder", "customer", "kind", "strategy", "priority", "required_at", "quantity", "short"}], base units.';
