-- Quotas: shares of an item that are set aside for customers, channels or regions. Who has a share may take no more than its rest, who
-- has none shares the collective rest with all the others; where there is no collective share, what nobody has set aside is for them.
-- What is used of a share are the reservations that draw on it: what is released or expires gives back by itself, and no lock is needed
-- for that. Locks: quotas before demands and pools. Who promises writes the row of the quota, so that a transaction that does not see
-- what another one has promised fails instead of overdrawing. Who commits or extends a hold writes its pool only: so to who promises a
-- hold counts until its row says that it has ended, and he has the pools locked of those that are over.

-- inventory_quota_uses does the sums of what is promised from the quotas of an item, in one look at its reservations: what has left, which is
-- kept for each site, and what is live.
CREATE FUNCTION distsync_internal.inventory_quota_uses(item_id bigint, only_ids bigint[], at timestamptz, but_holder text DEFAULT NULL) RETURNS TABLE (quota_id bigint, used numeric)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT u.quota_id, sum(u.quantity) FROM (
		SELECT s.quota_id, s.quantity FROM dist.stock_quota_shipped s WHERE s.item_id = inventory_quota_uses.item_id AND (only_ids IS NULL OR s.quota_id = ANY (only_ids))
		UNION ALL
		SELECT x.quota_id, l.quantity
		FROM (SELECT r.quota_ids, sum(CASE WHEN r.state = 'held' AND r.expires_at <= inventory_quota_uses.at THEN r.committed ELSE r.quantity END - r.shipped) AS quantity FROM dist.reservation r
			WHERE r.item_id = inventory_quota_uses.item_id AND r.state IN ('held', 'committed') AND r.quota_ids IS NOT NULL AND (only_ids IS NULL OR r.quota_ids && only_ids) AND (but_holder IS NULL OR r.holder <> but_holder)
			GROUP BY r.quota_ids) l
		CROSS JOIN LATERAL unnest(l.quota_ids) x(quota_id) WHERE only_ids IS NULL OR x.quota_id = ANY (only_ids)) u
	GROUP BY u.quota_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_uses(bigint, bigint[], timestamptz, text) IS 'What is promised from quotas of an item (only_ids: of these, NULL = of all) as of an instant (-infinity: with holds that are over, of which nobody has said so yet), with what has shipped, base units; a quota that nothing is promised from has no row. but_holder: as if that one had no live reservations (NULL = all count).';

-- inventory_quota_used does the same for one quota.
CREATE FUNCTION distsync_internal.inventory_quota_used(item_id bigint, quota_id bigint, at timestamptz, but_holder text DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE((SELECT u.used FROM distsync_internal.inventory_quota_uses(inventory_quota_used.item_id, ARRAY[inventory_quota_used.quota_id], inventory_quota_used.at, but_holder) u), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_used(bigint, bigint, timestamptz, text) IS 'What is promised from a quota as of an instant, with what has shipped, base units; but_holder: as if that one had no live reservations (NULL = all count).';

-- inventory_quota_ship does the keeping of what has left of quotas, so that what is used of one is not summed up over all its history.
CREATE FUNCTION distsync_internal.inventory_quota_ship(item_id bigint, site_id bigint, quota_ids bigint[], quantity numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF inventory_quota_ship.quantity < 0 THEN
		UPDATE dist.stock_quota_shipped s SET quantity = s.quantity + inventory_quota_ship.quantity
		WHERE s.item_id = inventory_quota_ship.item_id AND s.site_id = inventory_quota_ship.site_id AND s.quota_id = ANY (quota_ids);
		RETURN;
	END IF;
	INSERT INTO dist.stock_quota_shipped AS s (item_id, quota_id, site_id, quantity)
	SELECT inventory_quota_ship.item_id, u, inventory_quota_ship.site_id, inventory_quota_ship.quantity FROM unnest(quota_ids) u
	WHERE EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = inventory_quota_ship.item_id AND q.quota_id = u) ORDER BY u
	ON CONFLICT ON CONSTRAINT stock_quota_shipped_pk DO UPDATE SET quantity = s.quantity + excluded.quantity;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_ship(bigint, bigint, bigint[], numeric) IS 'Adds what a reservation at a site has shipped (below 0: what has not left after all) to the quotas that it draws on (NULL = none), as far as they are there still, base units. The caller holds the pool''s lock.';

-- inventory_quota_mine does the finding of the shares that somebody draws on, at several sites and instants: all that name him, or else the
-- collective ones. Who he is is looked up once for each instant.
CREATE FUNCTION distsync_internal.inventory_quota_mine(item_id bigint, site_ids bigint[], customer_id bigint, channel_id bigint, moments timestamptz[], only_ids bigint[])
RETURNS TABLE (site_id bigint, moment timestamptz, quota_id bigint, scope_kind text, scope_key text, quantity numeric, mine boolean)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH m AS (SELECT DISTINCT u AS moment FROM unnest(moments) u), who AS MATERIALIZED (
		SELECT m.moment, 'channel' AS kind, c.code AS key FROM m JOIN dist.channel c ON c.channel_id = inventory_quota_mine.channel_id
		UNION
		SELECT m.moment, 'customer', p.code FROM m JOIN dist.party_ancestor a ON a.party_id = inventory_quota_mine.customer_id AND a.valid @> m.moment JOIN dist.party p ON p.party_id = a.ancestor_id
		UNION
		SELECT m.moment, 'region', g.code FROM m JOIN dist.party_member x ON x.party_id = inventory_quota_mine.customer_id AND x.valid @> m.moment AND upper_inf(x.known) JOIN dist.party_group g ON g.group_id = x.group_id AND g.kind = 'region'
	), q AS (
		SELECT s.site_id, m.moment, s.quota_id, s.scope_kind, s.scope_key, s.quantity, w.key IS NOT NULL AS named, bool_or(w.key IS NOT NULL) OVER (PARTITION BY s.site_id, m.moment) AS some
		FROM dist.stock_quota s JOIN m ON s.period @> m.moment LEFT JOIN who w ON w.moment = m.moment AND w.kind = s.scope_kind AND w.key = s.scope_key
		WHERE s.item_id = inventory_quota_mine.item_id AND s.site_id = ANY (site_ids) AND (only_ids IS NULL OR s.quota_id = ANY (only_ids))
	)
	SELECT q.site_id, q.moment, q.quota_id, q.scope_kind, q.scope_key, q.quantity, q.named OR q.scope_kind = 'collective' AND NOT q.some FROM q;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_mine(bigint, bigint[], bigint, bigint, timestamptz[], bigint[]) IS
	'Quotas of an item at sites (0 = those over all sites) that apply at each of these instants, base units, and whether a customer (or one above it, or its regions) and a channel draw on them: on all that name them, on the collective ones if none at that site does. only_ids: of these quotas (NULL = of all).';

-- inventory_quota_frees does the rest of the shares that somebody draws on, at several sites and instants.
CREATE FUNCTION distsync_internal.inventory_quota_frees(item_id bigint, site_ids bigint[], customer_id bigint, channel_id bigint, moments timestamptz[], only_ids bigint[], used_at timestamptz, but_holder text DEFAULT NULL)
RETURNS TABLE (site_id bigint, moment timestamptz, free numeric, aside numeric, binds jsonb)
LANGUAGE plpgsql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH m AS MATERIALIZED (
		-- of those that he does not draw on nothing needs to be known where he draws on another
		SELECT x.* FROM (SELECT y.*, bool_or(y.mine) OVER (PARTITION BY y.site_id, y.moment) AS some
			FROM distsync_internal.inventory_quota_mine(inventory_quota_frees.item_id, site_ids, inventory_quota_frees.customer_id, inventory_quota_frees.channel_id, moments, only_ids) y) x WHERE x.mine OR NOT x.some
	), k AS MATERIALIZED (
		-- a few are picked out of the reservations, of many all are added up
		SELECT CASE WHEN count(DISTINCT m.quota_id) < 5 THEN array_agg(DISTINCT m.quota_id) END AS ids FROM m
	), q AS (
		SELECT m.*, greatest(0, m.quantity - COALESCE(u.used, 0)) AS rest
		FROM m LEFT JOIN (SELECT x.* FROM k CROSS JOIN LATERAL distsync_internal.inventory_quota_uses(inventory_quota_frees.item_id, k.ids, used_at, but_holder) x WHERE EXISTS (SELECT FROM m)) u ON u.quota_id = m.quota_id
	)
	SELECT q.site_id, q.moment, min(q.rest) FILTER (WHERE q.mine), CASE WHEN bool_or(q.mine) THEN 0 ELSE sum(q.rest) END,
		(array_agg(jsonb_build_object('kind', q.scope_kind, 'key', q.scope_key, 'free', trim_scale(q.rest)) ORDER BY q.rest, q.scope_kind COLLATE "C", q.scope_key COLLATE "C") FILTER (WHERE q.mine))[1]
	FROM q GROUP BY q.site_id, q.moment;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_frees(bigint, bigint[], bigint, bigint, timestamptz[], bigint[], timestamptz, text) IS
	'What a customer and channel may still take of an item by quota at each of these sites (0 = over all sites) and instants, base units: free, the least rest of the shares they draw on (binds names it; NULL = they have none and there is no collective one), and aside, what then is set aside for others. No row: nothing is set aside there then. only_ids: of these quotas (NULL = of all); used_at: as of when holds count; but_holder: whose do not.';

-- inventory_quota_lock does the locking of the quotas of items, before anything else of them is locked. What a promise may draw on are
-- the quotas that it has locked: one that comes into being while it waits for a pool is not for it, because its row could only be had
-- against the order of locks.
CREATE FUNCTION distsync_internal.inventory_quota_lock(item_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(array_agg(l.quota_id), '{}') FROM (SELECT q.quota_id FROM dist.stock_quota q WHERE q.item_id = ANY (item_ids) ORDER BY q.item_id, q.quota_id FOR NO KEY UPDATE OF q) l);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_lock(bigint[]) IS 'Locks the quotas of items in their order, until the end of the transaction, and returns them. Call it once with all items of a request, before inventory_lock_demand().';

-- inventory_quota_over does the finding of the pools that hold what is over of a share: only who has their locks knows that nobody has kept it.
CREATE FUNCTION distsync_internal.inventory_quota_over(item_ids bigint[], quota_ids bigint[]) RETURNS TABLE (item_id bigint, site_id bigint)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT DISTINCT r.item_id, r.site_id FROM dist.reservation r
	WHERE r.item_id = ANY (item_ids) AND r.state = 'held' AND r.quota_ids && inventory_quota_over.quota_ids AND r.expires_at <= clock_timestamp();
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_over(bigint[], bigint[]) IS 'Pairs of item and site at which holds that draw on these quotas of these items are over, and their rows do not say so yet.';

-- inventory_quota_drawn does the listing of the quotas that a promise draws on.
CREATE FUNCTION distsync_internal.inventory_quota_drawn(item_id bigint, site_id bigint, customer_id bigint, channel_id bigint, at timestamptz, only_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT array_agg(m.quota_id ORDER BY m.quota_id)
		FROM distsync_internal.inventory_quota_mine(inventory_quota_drawn.item_id, ARRAY[0, inventory_quota_drawn.site_id], inventory_quota_drawn.customer_id, inventory_quota_drawn.channel_id, ARRAY[inventory_quota_drawn.at], only_ids) m WHERE m.mine);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_drawn(bigint, bigint, bigint, bigint, timestamptz, bigint[]) IS 'Quotas among the given ones, at a site and over all sites, that a promise to a customer and channel draws on; NULL = none.';

-- inventory_quota_take does the writing of what promises have just drawn. The constraint of the quota is the last word. Whoever sees less
-- of what is promised than there is fails at the locks: those of the quotas that were drawn on, and those of the pools.
CREATE FUNCTION distsync_internal.inventory_quota_take(item_ids bigint[], only_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	WITH u AS MATERIALIZED (
		SELECT k.item_id, x.* FROM (SELECT DISTINCT y AS item_id FROM unnest(item_ids) y) k CROSS JOIN LATERAL distsync_internal.inventory_quota_uses(k.item_id, only_ids, '-infinity') x
	)
	UPDATE dist.stock_quota q SET consumed = u.used FROM u WHERE q.item_id = u.item_id AND q.quota_id = u.quota_id AND q.period @> inventory_quota_take.at;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_take(bigint[], bigint[], timestamptz) IS 'Writes what is promised from those quotas of these items that promises have drawn on, and that inventory_quota_lock() has locked; call it after the reservations are made.';

-- inventory_within_quotas does the cutting of what is free to the quotas of the items of a request: at each site, and a budget for each
-- item that has quotas over all sites.
CREATE FUNCTION distsync_internal.inventory_within_quotas(lines distsync_internal.inventory_line[], INOUT free distsync_internal.inventory_free[], options jsonb, at timestamptz, OUT budgets jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	locked bigint[] := CASE WHEN options ? 'quotas' THEN ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(options->'quotas') e) END;
	shares record;
	i record;
BEGIN
	WITH k AS (
		SELECT u.item_id, array_agg(DISTINCT f.site_id) FILTER (WHERE f.site_id IS NOT NULL) AS sites FROM (SELECT DISTINCT l.item_id FROM unnest(lines) l) u LEFT JOIN unnest(free) f ON f.item_id = u.item_id
		WHERE EXISTS (SELECT FROM dist.stock_quota s WHERE s.item_id = u.item_id AND (locked IS NULL OR s.quota_id = ANY (locked))) GROUP BY u.item_id
	)
	SELECT array_agg(k.item_id) AS items, array_agg(q.site_id) AS sites, array_agg(q.free) AS free, array_agg(q.aside) AS aside INTO shares
	FROM k CROSS JOIN LATERAL distsync_internal.inventory_quota_frees(k.item_id, 0::bigint || k.sites, (options->>'customer_id')::bigint, (options->>'channel_id')::bigint, ARRAY[inventory_within_quotas.at], locked,
		CASE WHEN locked IS NULL THEN inventory_within_quotas.at ELSE '-infinity' END) q;
	IF shares.items IS NULL THEN
		budgets := '{}';
		RETURN;
	END IF;
	free := ARRAY(SELECT ROW(f.item_id, f.site_id, f.code, CASE WHEN x.free IS NOT NULL THEN least(f.free, x.free) ELSE f.free - COALESCE(x.aside, 0) END)::distsync_internal.inventory_free
		FROM unnest(free) WITH ORDINALITY f(item_id, site_id, code, free, n) LEFT JOIN unnest(shares.items, shares.sites, shares.free, shares.aside) x(item_id, site_id, free, aside) ON x.item_id = f.item_id AND x.site_id = f.site_id ORDER BY f.n);
	-- what the asker has a share of ends with it wherever it comes from, also from a vendor who needs no stock
	budgets := (SELECT COALESCE(jsonb_object_agg(concat_ws(':', x.item_id, x.site_id), x.free), '{}') FROM unnest(shares.items, shares.sites, shares.free) x(item_id, site_id, free) WHERE x.free IS NOT NULL);
	FOR i IN SELECT x.item_id, x.free, x.aside FROM unnest(shares.items, shares.sites, shares.free, shares.aside) x(item_id, site_id, free, aside) WHERE x.site_id = 0 AND (x.free IS NOT NULL OR x.aside > 0) LOOP
		-- what is set aside over all sites may lie at those that the call does not ask
		budgets := budgets || jsonb_build_object(i.item_id::text, COALESCE(i.free, greatest(0, (SELECT COALESCE(sum(greatest(0, f.free)), 0)
			FROM unnest(distsync_internal.inventory_free(ARRAY[ROW(1, i.item_id, 1, NULL, NULL, NULL)::distsync_internal.inventory_line], options - 'company_id', inventory_within_quotas.at)) f) - i.aside)));
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_within_quotas(distsync_internal.inventory_line[], distsync_internal.inventory_free[], jsonb, timestamptz) IS
	'Free stock of a request, kits taken apart, as far as the quotas of its customer_id and channel_id go (of options.quotas if it says which are locked), and budgets, base units: {item_id: what may be promised of its stock over all sites} where a quota says so, and {item_id:site_id: rest of the share that is drawn on there}, site 0 = over all sites. Items without quotas stay as they are.';
