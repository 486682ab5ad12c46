-- The timeline: supply and demand to come, and what they leave. Reads only.

-- inventory_timeline_kit does the timeline of a kit: whole kits, made at one site each. What comes and goes are the kits by which the projection rises and
-- falls, so that it is their running sum, as of any item.
CREATE FUNCTION distsync_internal.inventory_timeline_kit(kit_id bigint, for_site bigint, for_company bigint, this_moment timestamptz, from_at timestamptz, kit_unit text, step numeric, options jsonb)
RETURNS TABLE (moment timestamptz, supply numeric, demand numeric, projected numeric, atp numeric, unit text, detail jsonb)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	sites bigint[] := ARRAY(SELECT s.site_id FROM distsync_internal.inventory_kit_sites(kit_id, for_site, for_company) s ORDER BY s.site_id);
BEGIN
	RETURN QUERY
	WITH told AS MATERIALIZED (
		SELECT x.moment, jsonb_agg(jsonb_build_object('kind', x.kind, 'reference', x.reference, 'change', trim_scale(x.change), 'item', k.sku) ORDER BY x.kind COLLATE "C", x.reference COLLATE "C", k.sku COLLATE "C", x.change) AS changes
		FROM distsync_internal.inventory_components(kit_id) k CROSS JOIN unnest(sites) u(site_id) CROSS JOIN LATERAL (
			SELECT * FROM distsync_internal.inventory_changes(k.item_id, u.site_id, this_moment)
			UNION ALL
			SELECT this_moment + r.lead_days * interval '24 hours', NULL, 'lead_time', s.code FROM dist.item_site r JOIN dist.site s ON s.site_id = r.site_id
			WHERE r.item_id = k.item_id AND r.site_id = u.site_id AND r.lead_days IS NOT NULL
			UNION ALL
			SELECT h.moment, h.quantity, 'own_hold', options->>'holder' FROM distsync_internal.inventory_own_holds(k.item_id, u.site_id, options->>'holder', this_moment) h WHERE options ? 'holder' AND h.moment > this_moment
			UNION ALL
			SELECT t.moment, NULL, 'quota', t.reference FROM distsync_internal.inventory_quota_turns(ARRAY[k.item_id], this_moment) t WHERE u.site_id = sites[1]) x
		GROUP BY x.moment
	), c AS (
		SELECT w.*, w.projected - COALESCE(lag(w.projected) OVER (ORDER BY w.moment), w.projected) AS step FROM distsync_internal.inventory_walk(kit_id, true, sites, this_moment, options, inventory_timeline_kit.step) w
	)
	SELECT c.moment, trim_scale(greatest(0, c.step)), trim_scale(greatest(0, -c.step)), trim_scale(c.projected), trim_scale(c.atp), kit_unit, COALESCE(t.changes, '[]')
	FROM c LEFT JOIN told t ON t.moment = c.moment
	WHERE c.moment >= from_at AND c.moment <= COALESCE((options->>'until')::timestamptz, 'infinity')
	ORDER BY c.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_timeline_kit(bigint, bigint, bigint, timestamptz, timestamptz, text, numeric, jsonb) IS
	'The answer of atp_timeline() for a kit, whole kits, over the sites where it can be made (of a site, of a company: NULL = all): known at this_moment, shown from from_at on. Documents in detail name the component as well: {"kind", "reference", "change" (of the component, base units), "item"}.';

-- inventory_timeline_whole does the timeline from everything that is known.
CREATE FUNCTION distsync_internal.inventory_timeline_whole(item text, site text, at timestamptz, options jsonb)
RETURNS TABLE (moment timestamptz, supply numeric, demand numeric, projected numeric, atp numeric, unit text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	this_moment timestamptz := statement_timestamp();
	view distsync_internal.inventory_view;
	sites bigint[];
	shared bigint[];
	a record;
BEGIN
	PERFORM distsync_internal.base_options(options, '{mode:text,company:text,holder:text,until:instant,use_safety:boolean,min_shelf_days:integer:0:36600,customer:text,channel:text}');
	SELECT * INTO a FROM distsync_internal.inventory_asked_any(inventory_timeline_whole.item, 0, NULL, '');
	IF a.kit THEN
		RETURN QUERY SELECT * FROM distsync_internal.inventory_timeline_kit(a.item_id, distsync_internal.master_site(inventory_timeline_whole.site, 'site'), distsync_internal.master_company(options->>'company', 'options.company'),
			this_moment, COALESCE(inventory_timeline_whole.at, this_moment), a.base_unit, a.step, options);
		RETURN;
	END IF;
	view := distsync_internal.inventory_viewed(options, a.item_id, a.step);
	sites := ARRAY(SELECT s.site_id FROM distsync_internal.inventory_sites(a.item_id, distsync_internal.master_site(inventory_timeline_whole.site, 'site'), distsync_internal.master_company(options->>'company', 'options.company')) s);
	shared := CASE WHEN sites <> '{}' THEN distsync_internal.inventory_shared(a.item_id, false) ELSE '{}' END;
	RETURN QUERY
	WITH p AS MATERIALIZED (
		SELECT * FROM distsync_internal.inventory_curve_sites(a.item_id, sites, this_moment, view)
	), told AS MATERIALIZED (
		SELECT x.moment, jsonb_agg(jsonb_build_object('kind', x.kind, 'reference', x.reference, 'change', trim_scale(x.change)) ORDER BY x.kind COLLATE "C", x.reference COLLATE "C", x.change) AS changes
		FROM (
			SELECT y.* FROM unnest(sites) u(site_id) CROSS JOIN LATERAL distsync_internal.inventory_changes(a.item_id, u.site_id, this_moment) y
			UNION ALL
			SELECT p.moment, -p.spoils, 'expiry', p.lots FROM p WHERE p.spoils > 0
			UNION ALL
			SELECT this_moment + r.lead_days * interval '24 hours', NULL, 'lead_time', s.code FROM dist.item_site r JOIN dist.site s ON s.site_id = r.site_id
			WHERE r.item_id = a.item_id AND r.site_id = ANY (sites) AND r.lead_days IS NOT NULL
			UNION ALL
			SELECT h.moment, h.quantity, 'own_hold', view.holder FROM unnest(sites) u(site_id) CROSS JOIN LATERAL distsync_internal.inventory_own_holds(a.item_id, u.site_id, view.holder, this_moment) h
			WHERE view.holder IS NOT NULL AND h.moment > this_moment
			UNION ALL
			SELECT t.moment, NULL, 'quota', t.reference FROM distsync_internal.inventory_quota_turns(shared, this_moment) t) x
		GROUP BY x.moment
	), c AS (
		SELECT p.moment, sum(p.supply) AS supply, sum(p.demand + p.spoils) AS demand, sum(sum(p.change)) OVER (ORDER BY p.moment) AS projected,
			CASE WHEN NOT bool_or(bool_or(p.unlimited)) OVER (ORDER BY p.moment) THEN sum(sum(p.gain)) OVER (ORDER BY p.moment) END AS atp FROM p GROUP BY p.moment
	), w AS MATERIALIZED (
		SELECT y.moment, y.projected, y.atp FROM distsync_internal.inventory_walk_shared(a.item_id, false, sites, shared, this_moment, options, a.step) y WHERE shared <> '{}'
	)
	SELECT COALESCE(c.moment, w.moment), trim_scale(COALESCE(c.supply, 0)), trim_scale(COALESCE(c.demand, 0)), trim_scale(COALESCE(c.projected, w.projected)), trim_scale(CASE WHEN shared = '{}' THEN c.atp ELSE w.atp END), a.base_unit, COALESCE(t.changes, '[]')
	FROM c FULL JOIN w ON w.moment = c.moment LEFT JOIN told t ON t.moment = COALESCE(c.moment, w.moment)
	WHERE (COALESCE(c.moment, w.moment) = this_moment OR t.changes IS NOT NULL) AND COALESCE(c.moment, w.moment) >= COALESCE(inventory_timeline_whole.at, this_moment) AND COALESCE(c.moment, w.moment) <= COALESCE((options->>'until')::timestamptz, 'infinity')
	ORDER BY 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_timeline_whole(text, text, timestamptz, jsonb) IS 'The answer of atp_timeline(), from all that is known; the verb asks it what pools, supply and demand alone cannot answer. Same arguments, same errors.';

CREATE TYPE distsync_internal.inventory_lots_ahead AS (
	released_at		timestamptz[],
	released		numeric[],
	kinds			text[],
	documents		text[],
	expires_at		timestamptz[],
	rests			numeric[],
	names			text[]
);
COMMENT ON TYPE distsync_internal.inventory_lots_ahead IS 'What is released at a site, with kind and document, and what is left of its stock at each instant at which lots expire, with their names; base units, in the order of time; NULL = nothing is, none does.';

-- inventory_lots_ahead does the reading of what timelines in C cannot read themselves.
CREATE FUNCTION distsync_internal.inventory_lots_ahead(item_id bigint, site_id bigint, at timestamptz) RETURNS distsync_internal.inventory_lots_ahead
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	p record;
	releases distsync_internal.inventory_release[];
	result distsync_internal.inventory_lots_ahead;
BEGIN
	SELECT x.phys, x.book, x.inbound INTO p FROM dist.stock_pool x WHERE x.item_id = inventory_lots_ahead.item_id AND x.site_id = inventory_lots_ahead.site_id;
	IF p.inbound IS DISTINCT FROM 0 OR EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = inventory_lots_ahead.item_id)
		OR EXISTS (SELECT FROM dist.item_site r WHERE r.item_id = inventory_lots_ahead.item_id AND r.site_id = inventory_lots_ahead.site_id AND (r.lead_days IS NOT NULL OR r.supply_grace_days > 0 OR r.demand_fence_days IS NOT NULL)) THEN
		RETURN NULL;
	END IF;
	SELECT array_agg(r.moment ORDER BY r.moment), array_agg(r.quantity ORDER BY r.moment), array_agg(r.kind ORDER BY r.moment), array_agg(r.reference ORDER BY r.moment),
		array_agg(ROW(r.moment, r.quantity, r.expires_on, r.lot)::distsync_internal.inventory_release)
	INTO result.released_at, result.released, result.kinds, result.documents, releases
	FROM distsync_internal.inventory_releases(inventory_lots_ahead.item_id, inventory_lots_ahead.site_id, inventory_lots_ahead.at) r WHERE r.moment IS NOT NULL AND r.quantity > 0;
	SELECT array_agg(e.moment ORDER BY e.moment), array_agg(COALESCE(least(p.phys - e.phys, p.book - e.book), 0) ORDER BY e.moment), array_agg(e.lots ORDER BY e.moment) INTO result.expires_at, result.rests, result.names
	FROM distsync_internal.inventory_expiries(inventory_lots_ahead.item_id, inventory_lots_ahead.site_id, inventory_lots_ahead.at, NULL, releases, false) e WHERE NOT e.pool;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lots_ahead(bigint, bigint, timestamptz) IS
	'What is released, and what is left of the stock of an item at a site (as its pool keeps it, conservative, of lots that are good enough for the item) when lots expire, after an instant; NULL where rules about dates, quotas or promises for later say more than that.';

-- atp_timeline does the same: straight from the tables where that is enough.
CREATE FUNCTION distsync.atp_timeline(item text, site text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (moment timestamptz, supply numeric, demand numeric, projected numeric, atp numeric, unit text, detail jsonb)
AS 'MODULE_PATHNAME', 'ds_sql_inventory_timeline' LANGUAGE c STABLE ROWS 100;
COMMENT ON FUNCTION distsync.atp_timeline(text, text, timestamptz, jsonb) IS
	'Supply and demand to come and what they leave: a row for this moment and for each instant at which something falls due, base units; projected is the running sum (may be below 0), atp what may be promised from then on (looks ahead, never below 0; NULL = any quantity, because it can be had again by then); detail: the documents of the row, [{"kind", "reference", "change"}], kind lead_time with the site where replenishment would be there, expiry with the lots of which something is left when they expire (it counts as demand), quota with the one that begins or ends, own_hold for what a promise of the holder takes and does not count. A kit is told in whole kits that can be made at one site, added up over the sites: supply and demand are those by which they become more and fewer, and documents name the component as item. options: until, and mode, company, holder, use_safety, min_shelf_days, customer, channel as in atp(), which says the same at each of these instants. Reads only. Errors: SD001, SD002.';
