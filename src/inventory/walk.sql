-- The walk: what may be promised of whatever is asked for, an item or a kit, from each instant on, under its quotas. Availability, timeline
-- and the refusals of reserve() read it here, so that they say the same of each instant.

-- inventory_shared does the listing of what of an item or kit has quotas.
CREATE FUNCTION distsync_internal.inventory_shared(item_id bigint, kit boolean) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT kit THEN
		RETURN CASE WHEN EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = inventory_shared.item_id) THEN ARRAY[inventory_shared.item_id] ELSE '{}' END;
	END IF;
	RETURN ARRAY(SELECT c.item_id FROM distsync_internal.inventory_components(inventory_shared.item_id) c WHERE EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = c.item_id) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shared(bigint, boolean) IS 'The item itself if it has quotas, of a kit those of its components that do; {} = none.';

-- inventory_where does the listing of the sites at which an item may be promised, or a kit made.
CREATE FUNCTION distsync_internal.inventory_where(item_id bigint, kit boolean, for_site bigint, for_company bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF kit THEN
		RETURN ARRAY(SELECT s.site_id FROM distsync_internal.inventory_kit_sites(inventory_where.item_id, for_site, for_company) s ORDER BY 1);
	END IF;
	RETURN ARRAY(SELECT s.site_id FROM distsync_internal.inventory_sites(inventory_where.item_id, for_site, for_company) s ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_where(bigint, boolean, bigint, bigint) IS 'Sites (the given one, of the given company; NULL = all) that may promise an item, or all components of a kit.';

-- inventory_quota_turns does the listing of the instants at which quotas of items begin or end.
CREATE FUNCTION distsync_internal.inventory_quota_turns(items bigint[], at timestamptz) RETURNS TABLE (moment timestamptz, item_id bigint, reference text)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT b.turn, q.item_id, concat_ws('/', s.code, q.scope_kind, NULLIF(q.scope_key, '*'))
	FROM dist.stock_quota q LEFT JOIN dist.site s ON s.site_id = q.site_id CROSS JOIN LATERAL (VALUES (lower(q.period)), (upper(q.period))) b(turn)
	WHERE q.item_id = ANY (items) AND b.turn > inventory_quota_turns.at AND b.turn < 'infinity';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_turns(bigint[], timestamptz) IS 'After an instant: when each quota of these items begins or ends, and its name: site/kind/key.';

-- inventory_quota_epochs does what quotas leave of items, at each site (0 = over all of them), from each instant on at which that changes.
CREATE FUNCTION distsync_internal.inventory_quota_epochs(items bigint[], at timestamptz, options jsonb) RETURNS TABLE (item_id bigint, site_id bigint, epoch timestamptz, free numeric, aside numeric, binds jsonb)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	customer bigint := CASE WHEN options ? 'customer_id' THEN (options->>'customer_id')::bigint ELSE distsync_internal.master_party(options->>'customer', 'options.customer') END;
	channel bigint := CASE WHEN options ? 'channel_id' THEN (options->>'channel_id')::bigint ELSE distsync_internal.master_channel(options->>'channel', 'options.channel') END;
BEGIN
	RETURN QUERY
	WITH e AS (
		SELECT inventory_quota_epochs.at AS moment UNION SELECT t.moment FROM distsync_internal.inventory_quota_turns(items, inventory_quota_epochs.at) t
	), i AS (
		SELECT q.item_id, array_agg(DISTINCT q.site_id) AS sites FROM dist.stock_quota q WHERE q.item_id = ANY (items) GROUP BY q.item_id
	), f AS MATERIALIZED (
		SELECT i.item_id, x.* FROM i CROSS JOIN LATERAL distsync_internal.inventory_quota_frees(i.item_id, i.sites, customer, channel, ARRAY(SELECT e.moment FROM e), NULL, inventory_quota_epochs.at, options->>'holder') x
	)
	SELECT i.item_id, k.site_id, e.moment, f.free, COALESCE(f.aside, 0), COALESCE(f.binds, jsonb_build_object('kind', 'others', 'aside', trim_scale(COALESCE(f.aside, 0))))
	FROM i CROSS JOIN unnest(i.sites) k(site_id) CROSS JOIN e LEFT JOIN f ON f.item_id = i.item_id AND f.site_id = k.site_id AND f.moment = e.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_epochs(bigint[], timestamptz, jsonb) IS
	'Where items have quotas, what inventory_quota_frees() says for who asks (customer or customer_id, channel or channel_id, holder of options) from each epoch on, as of now: what is promised until then is not known.';

-- inventory_walk_shared does the walk where several things decide: the components of a kit at each site, and quotas.
CREATE FUNCTION distsync_internal.inventory_walk_shared(item_id bigint, kit boolean, site_ids bigint[], shared bigint[], at timestamptz, options jsonb, step numeric DEFAULT NULL) RETURNS TABLE (moment timestamptz, projected numeric, atp numeric, binds jsonb)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	active boolean := (SELECT i.status = 'active' FROM dist.item i WHERE i.item_id = inventory_walk_shared.item_id);
BEGIN
	RETURN QUERY
	WITH piece AS MATERIALIZED (
		SELECT i.item_id, i.sku, 1::numeric AS per FROM dist.item i WHERE i.item_id = inventory_walk_shared.item_id AND NOT kit
		UNION ALL
		SELECT k.item_id, k.sku, k.per FROM distsync_internal.inventory_components(inventory_walk_shared.item_id) k WHERE kit
	), c AS MATERIALIZED (
		-- what is set aside over all sites may lie at any of them
		SELECT k.*, u.site_id, u.site_id = ANY (site_ids) AS asked, distsync_internal.inventory_viewed(options, k.item_id) AS view
		FROM piece k CROSS JOIN LATERAL (SELECT unnest(site_ids) AS site_id UNION SELECT z.site_id FROM distsync_internal.inventory_sites(k.item_id) z WHERE k.item_id = ANY (shared)) u
	), curve AS MATERIALIZED (
		SELECT c.item_id, c.site_id, v.* FROM c CROSS JOIN LATERAL distsync_internal.inventory_curve(c.item_id, ARRAY[c.site_id], inventory_walk_shared.at, c.view) v
	), q AS MATERIALIZED (
		SELECT e.* FROM distsync_internal.inventory_quota_epochs(shared, inventory_walk_shared.at, options) e WHERE shared <> '{}'
	), filled AS (
		-- everything is at each moment as it was after its last change
		SELECT m.moment, c.item_id, c.sku, c.per, c.site_id, c.asked, v.projected, v.moment IS NOT NULL AND v.atp IS NULL AS unlimited, v.atp, count(v.moment) OVER (PARTITION BY c.item_id, c.site_id ORDER BY m.moment) AS run
		FROM (SELECT v.moment FROM curve v UNION SELECT q.epoch FROM q) m CROSS JOIN c LEFT JOIN curve v ON v.item_id = c.item_id AND v.site_id = c.site_id AND v.moment = m.moment
	), now AS (
		SELECT f.moment, f.item_id, f.sku, f.per, f.site_id, f.asked, COALESCE(max(f.projected) OVER w, 0) AS projected, CASE WHEN NOT bool_or(f.unlimited) OVER w THEN COALESCE(max(f.atp) OVER w, 0) END AS atp
		FROM filled f WINDOW w AS (PARTITION BY f.item_id, f.site_id, f.run)
	), share AS (
		-- a NULL is any quantity
		SELECT n.*, s.binds, CASE WHEN s.free IS NOT NULL THEN least(n.atp, s.free) WHEN s.aside > 0 AND n.atp IS NOT NULL THEN greatest(0, n.atp - s.aside) ELSE n.atp END AS left_here
		FROM now n LEFT JOIN LATERAL (SELECT q.* FROM q WHERE q.item_id = n.item_id AND q.site_id = n.site_id AND q.epoch <= n.moment ORDER BY q.epoch DESC LIMIT 1) s ON true
	), site AS (
		SELECT h.moment, h.site_id, min(CASE WHEN kit THEN floor(h.projected / h.per) ELSE h.projected END) AS projected, distsync_internal.inventory_in_steps(min(CASE WHEN kit THEN floor(h.atp / h.per) ELSE h.atp END), step) AS atp,
			distsync_internal.inventory_in_steps(min(CASE WHEN kit THEN floor(h.left_here / h.per) ELSE h.left_here END), step) AS left_here,
			(array_agg(h.binds || CASE WHEN kit THEN jsonb_build_object('item', h.sku) ELSE '{}' END ORDER BY h.left_here / h.per, h.sku COLLATE "C") FILTER (WHERE h.left_here IS DISTINCT FROM h.atp))[1] AS binds
		FROM share h WHERE h.asked GROUP BY h.moment, h.site_id
	), total AS (
		SELECT s.moment, sum(s.projected) AS projected, CASE WHEN NOT bool_or(s.left_here IS NULL) THEN sum(s.left_here) END AS offered,
			(array_agg(s.binds || jsonb_build_object('site', x.code) ORDER BY x.code COLLATE "C") FILTER (WHERE s.left_here IS DISTINCT FROM s.atp))[1] AS binds
		FROM site s JOIN dist.site x ON x.site_id = s.site_id GROUP BY s.moment
	), budget AS (
		SELECT n.moment, n.item_id, n.sku, n.per, s.binds, CASE WHEN s.free IS NOT NULL THEN s.free WHEN s.aside > 0 AND NOT bool_or(n.atp IS NULL) THEN greatest(0, sum(n.atp) - s.aside) END AS room
		FROM now n CROSS JOIN LATERAL (SELECT q.* FROM q WHERE q.item_id = n.item_id AND q.site_id = 0 AND q.epoch <= n.moment ORDER BY q.epoch DESC LIMIT 1) s
		GROUP BY n.moment, n.item_id, n.sku, n.per, s.free, s.aside, s.binds
	), least_budget AS (
		SELECT b.moment, distsync_internal.inventory_in_steps(min(CASE WHEN kit THEN floor(b.room / b.per) ELSE b.room END), step) AS room,
			(array_agg(b.binds || CASE WHEN kit THEN jsonb_build_object('item', b.sku) ELSE '{}' END ORDER BY b.room / b.per, b.sku COLLATE "C"))[1] AS binds
		FROM budget b WHERE b.room IS NOT NULL GROUP BY b.moment
	)
	SELECT t.moment, t.projected, CASE WHEN active THEN least(t.offered, b.room) ELSE 0 END, CASE WHEN NOT active THEN NULL WHEN b.room < t.offered OR t.offered IS NULL AND b.room IS NOT NULL THEN b.binds ELSE t.binds END
	FROM total t LEFT JOIN least_budget b ON b.moment = t.moment ORDER BY t.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_walk_shared(bigint, boolean, bigint[], bigint[], timestamptz, jsonb, numeric) IS
	'inventory_walk() of a kit, or of what has quotas: shared are the items that do. At each site a kit is as many as the scarcest component allows, within its quotas there; of all sites together no more than quotas over all sites leave.';

-- inventory_walk does the walk of whatever is asked for.
CREATE FUNCTION distsync_internal.inventory_walk(item_id bigint, kit boolean, site_ids bigint[], at timestamptz, options jsonb, step numeric DEFAULT NULL) RETURNS TABLE (moment timestamptz, projected numeric, atp numeric, binds jsonb)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	shared bigint[] := distsync_internal.inventory_shared(inventory_walk.item_id, inventory_walk.kit);
BEGIN
	IF inventory_walk.kit OR shared <> '{}' THEN
		RETURN QUERY SELECT * FROM distsync_internal.inventory_walk_shared(inventory_walk.item_id, inventory_walk.kit, site_ids, shared, inventory_walk.at, options, step);
		RETURN;
	END IF;
	RETURN QUERY SELECT c.moment, c.projected, c.atp, NULL::jsonb
	FROM distsync_internal.inventory_curve(inventory_walk.item_id, site_ids, inventory_walk.at, distsync_internal.inventory_viewed(options, inventory_walk.item_id, step)) c;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_walk(bigint, boolean, bigint[], timestamptz, jsonb, numeric) IS
	'What is projected and what may be promised (NULL = any quantity) of an item (base units) or a kit from each instant on, over these sites, under quotas; binds: the quota that makes it less, {"kind": customer | channel | region | collective | others, "key", "free" or "aside", "site"?, "item" of a kit}, NULL = none. options as in atp(); customer_id and channel_id instead of codes for who has them; step: in which it is promised at each site (base units, kits; NULL = in any).';
