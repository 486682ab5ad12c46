-- Quotas: shares of an item that are set aside for customers, channels or regions. Who has a share may take no more than its rest, who
-- has none shares the collective rest with all the others; where there is no collective share, what nobody has set aside is for them.
-- What is used of a share are the reservations that draw on it: what is released or expires gives back by itself, and no lock is needed
-- for that. Locks: quotas before demands and pools. Who promises writes the row of the quota, so that a transaction that does not see
-- what another one has promised fails instead of overdrawing.

-- inventory_quota_used does the sum of what is promised from a quota: what has left, which is kept for each site, and what is live.
CREATE FUNCTION distsync_internal.inventory_quota_used(item_id bigint, quota_id bigint, at timestamptz, but_holder text DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE((SELECT sum(s.quantity) FROM dist.stock_quota_shipped s WHERE s.item_id = inventory_quota_used.item_id AND s.quota_id = inventory_quota_used.quota_id), 0)
		+ COALESCE((SELECT sum(CASE WHEN r.state = 'held' AND r.expires_at <= inventory_quota_used.at THEN r.committed ELSE r.quantity END - r.shipped) FROM dist.reservation r
			WHERE r.item_id = inventory_quota_used.item_id AND r.state IN ('held', 'committed') AND r.quota_ids IS NOT NULL AND inventory_quota_used.quota_id = ANY (r.quota_ids)
				AND (but_holder IS NULL OR r.holder <> but_holder)), 0);
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

-- inventory_quota_mine does the finding of the shares that somebody draws on: all that name him, or else the collective ones.
CREATE FUNCTION distsync_internal.inventory_quota_mine(item_id bigint, site_id bigint, customer_id bigint, channel_id bigint, at timestamptz, only_ids bigint[] DEFAULT NULL, used_at timestamptz DEFAULT NULL, but_holder text DEFAULT NULL)
RETURNS TABLE (quota_id bigint, scope_kind text, scope_key text, rest numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH q AS MATERIALIZED (
		SELECT s.*, CASE s.scope_kind
			WHEN 'channel' THEN s.scope_key = (SELECT c.code FROM dist.channel c WHERE c.channel_id = inventory_quota_mine.channel_id)
			WHEN 'customer' THEN EXISTS (SELECT FROM dist.party_ancestor a JOIN dist.party p ON p.party_id = a.ancestor_id
				WHERE a.party_id = inventory_quota_mine.customer_id AND a.valid @> inventory_quota_mine.at AND p.code = s.scope_key)
			WHEN 'region' THEN EXISTS (SELECT FROM dist.party_member m JOIN dist.party_group g ON g.group_id = m.group_id AND g.kind = 'region'
				WHERE m.party_id = inventory_quota_mine.customer_id AND m.valid @> inventory_quota_mine.at AND upper_inf(m.known) AND g.code = s.scope_key) END AS mine
		FROM dist.stock_quota s
		WHERE s.item_id = inventory_quota_mine.item_id AND s.site_id = inventory_quota_mine.site_id AND s.period @> inventory_quota_mine.at AND (only_ids IS NULL OR s.quota_id = ANY (only_ids))
	)
	SELECT q.quota_id, q.scope_kind, q.scope_key, greatest(0, q.quantity - distsync_internal.inventory_quota_used(q.item_id, q.quota_id, COALESCE(used_at, inventory_quota_mine.at), but_holder)) FROM q
	WHERE COALESCE(q.mine, false) OR q.scope_kind = 'collective' AND NOT EXISTS (SELECT FROM q o WHERE o.mine);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_mine(bigint, bigint, bigint, bigint, timestamptz, bigint[], timestamptz, text) IS
	'Quotas of an item at a site (0 = those over all sites) that a customer (or one above it, or its regions) and a channel draw on at an instant, with their rest in base units; the collective ones if none names them. only_ids: of these quotas (NULL = of all); used_at: as of when holds count (NULL = at); but_holder: whose do not.';

-- inventory_quota_free does the rest of the shares that somebody draws on.
CREATE FUNCTION distsync_internal.inventory_quota_free(item_id bigint, site_id bigint, customer_id bigint, channel_id bigint, at timestamptz, only_ids bigint[] DEFAULT NULL, used_at timestamptz DEFAULT NULL, but_holder text DEFAULT NULL,
	OUT free numeric, OUT aside numeric, OUT binds jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	SELECT m.rest, jsonb_build_object('kind', m.scope_kind, 'key', m.scope_key, 'free', trim_scale(m.rest)) INTO free, binds
	FROM distsync_internal.inventory_quota_mine(inventory_quota_free.item_id, inventory_quota_free.site_id, inventory_quota_free.customer_id, inventory_quota_free.channel_id, inventory_quota_free.at, only_ids, used_at, but_holder) m
	ORDER BY m.rest, m.scope_kind, m.scope_key COLLATE "C" LIMIT 1;
	aside := CASE WHEN free IS NULL THEN (SELECT COALESCE(sum(greatest(0, q.quantity - distsync_internal.inventory_quota_used(q.item_id, q.quota_id, COALESCE(used_at, inventory_quota_free.at), but_holder))), 0) FROM dist.stock_quota q
		WHERE q.item_id = inventory_quota_free.item_id AND q.site_id = inventory_quota_free.site_id AND q.period @> inventory_quota_free.at AND (only_ids IS NULL OR q.quota_id = ANY (only_ids))) ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_free(bigint, bigint, bigint, bigint, timestamptz, bigint[], timestamptz, text) IS
	'What a customer and channel may still take of an item at a site (0 = over all sites) by quota, base units: free, the least rest of the shares they draw on (binds names it; NULL = they have none and there is no collective one), and aside, what then is set aside for others. only_ids: of these quotas (NULL = of all); used_at: as of when holds count (NULL = at); but_holder: whose do not.';

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

-- inventory_quota_drawn does the listing of the quotas that a promise draws on.
CREATE FUNCTION distsync_internal.inventory_quota_drawn(item_id bigint, site_id bigint, customer_id bigint, channel_id bigint, at timestamptz, only_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT array_agg(m.quota_id ORDER BY m.quota_id) FROM unnest(ARRAY[0, inventory_quota_drawn.site_id]) s(site_id)
		CROSS JOIN LATERAL distsync_internal.inventory_quota_mine(inventory_quota_drawn.item_id, s.site_id, inventory_quota_drawn.customer_id, inventory_quota_drawn.channel_id, inventory_quota_drawn.at, only_ids) m);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_drawn(bigint, bigint, bigint, bigint, timestamptz, bigint[]) IS 'Quotas among the given ones, at a site and over all sites, that a promise to a customer and channel draws on; NULL = none.';

-- inventory_quota_take does the writing of what promises have just drawn. The constraint of the quota is the last word.
CREATE FUNCTION distsync_internal.inventory_quota_take(item_ids bigint[], only_ids bigint[], at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE dist.stock_quota q SET consumed = distsync_internal.inventory_quota_used(q.item_id, q.quota_id, inventory_quota_take.at)
	WHERE q.item_id = ANY (item_ids) AND q.quota_id = ANY (only_ids) AND q.period @> inventory_quota_take.at;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_quota_take(bigint[], bigint[], timestamptz) IS 'Writes what is promised from the quotas of these items that inventory_quota_lock() has locked; call it after the reservations are made.';

-- inventory_within_quotas does the cutting of what is free to the quotas of the items of a request: at each site, and a budget for each
-- item that has quotas over all sites.
CREATE FUNCTION distsync_internal.inventory_within_quotas(lines distsync_internal.inventory_line[], INOUT free distsync_internal.inventory_free[], options jsonb, at timestamptz, OUT budgets jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (options->>'customer_id')::bigint;
	channel bigint := (options->>'channel_id')::bigint;
	locked bigint[] := CASE WHEN options ? 'quotas' THEN ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(options->'quotas') e) END;
	i record;
	q record;
	rest numeric;
BEGIN
	budgets := '{}';
	FOR i IN SELECT DISTINCT u.item_id FROM unnest(lines) u WHERE EXISTS (SELECT FROM dist.stock_quota s WHERE s.item_id = u.item_id AND (locked IS NULL OR s.quota_id = ANY (locked))) ORDER BY 1 LOOP
		q := distsync_internal.inventory_quota_free(i.item_id, 0, customer, channel, inventory_within_quotas.at, locked);
		rest := CASE WHEN q.free IS NOT NULL THEN q.free WHEN q.aside > 0 THEN greatest(0, (SELECT COALESCE(sum(greatest(0, f.free)), 0)
			FROM unnest(distsync_internal.inventory_free(ARRAY[ROW(1, i.item_id, 1, NULL, NULL, NULL)::distsync_internal.inventory_line], options - 'company_id', inventory_within_quotas.at)) f) - q.aside) END;
		free := ARRAY(SELECT ROW(f.item_id, f.site_id, f.code, CASE WHEN f.item_id <> i.item_id THEN f.free WHEN x.free IS NOT NULL THEN least(f.free, x.free) ELSE f.free - COALESCE(x.aside, 0) END)::distsync_internal.inventory_free
			FROM unnest(free) WITH ORDINALITY f(item_id, site_id, code, free, n)
			LEFT JOIN LATERAL distsync_internal.inventory_quota_free(f.item_id, f.site_id, customer, channel, inventory_within_quotas.at, locked) x ON f.item_id = i.item_id ORDER BY f.n);
		budgets := CASE WHEN rest IS NULL THEN budgets ELSE budgets || jsonb_build_object(i.item_id::text, rest) END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_within_quotas(distsync_internal.inventory_line[], distsync_internal.inventory_free[], jsonb, timestamptz) IS
	'Free stock of a request, kits taken apart, as far as the quotas of its customer_id and channel_id go (of options.quotas if it says which are locked), and budgets {item_id: what may be promised of it over all sites} where a quota says so; base units. Items without quotas stay as they are.';
