-- Slots: shares of a hot pool, so that many clients can promise at once. The pool's row keeps what is not dealt out; README.md has the
-- picture. Pools are locked before slots, slots in the order of their numbers; who promises from one slot locks nothing else of the pool.

-- inventory_fold does the taking back of all shares of locked pools: their rows decide alone again, and what was promised from slots is
-- promised by them.
CREATE FUNCTION distsync_internal.inventory_fold(item_ids bigint[], site_ids bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(p.item_id ORDER BY p.item_id, p.site_id), array_agg(p.site_id ORDER BY p.item_id, p.site_id) INTO items, sites
	FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(item_ids, site_ids) AS u(item_id, site_id)) k
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND p.slots > 0;
	IF items IS NULL THEN
		RETURN 0;
	END IF;
	PERFORM FROM dist.stock_pool_slot s JOIN unnest(items, sites) AS k(item_id, site_id) ON s.item_id = k.item_id AND s.site_id = k.site_id
	ORDER BY s.item_id, s.site_id, s.slot FOR NO KEY UPDATE OF s;
	-- a statement of its own, so that it sees what was promised while we waited
	UPDATE dist.stock_pool p SET slots = 0, dealt = 0, held = p.held + s.held, committed = p.committed + s.committed, valid_until = least(p.valid_until, s.valid_until),
		version = p.version + 1, changed_at = greatest(clock_timestamp(), p.changed_at + interval '1 microsecond', s.changed_at)
	FROM (SELECT y.item_id, y.site_id, sum(y.held) AS held, sum(y.committed) AS committed, min(y.valid_until) AS valid_until, max(y.changed_at) AS changed_at
		FROM unnest(items, sites) AS k(item_id, site_id) JOIN dist.stock_pool_slot y ON y.item_id = k.item_id AND y.site_id = k.site_id GROUP BY y.item_id, y.site_id) s
	WHERE p.item_id = s.item_id AND p.site_id = s.site_id;
	UPDATE dist.stock_pool_slot s SET cap = 0, held = 0, committed = 0, valid_until = NULL
	FROM unnest(items, sites) AS k(item_id, site_id) WHERE s.item_id = k.item_id AND s.site_id = k.site_id AND s.cap > 0;
	RETURN cardinality(items);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_fold(bigint[], bigint[]) IS
	'Takes back the slots of those of these pools that have any; the caller holds the pools'' locks and reads their rows anew. Waits for everybody who promises from a slot. Returns how many pools. Errors: 40001 where a slot changed under a snapshot of ours.';

-- inventory_fold_due does the same where holds are over: which of them stand in which slot is not kept.
CREATE FUNCTION distsync_internal.inventory_fold_due(item_ids bigint[], site_ids bigint[], t timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(p.item_id), array_agg(p.site_id) INTO items, sites
	FROM unnest(item_ids, site_ids) AS k(item_id, site_id)
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND p.slots > 0
	WHERE EXISTS (SELECT FROM dist.reservation r WHERE r.item_id = p.item_id AND r.site_id = p.site_id AND r.state = 'held' AND r.expires_at <= t);
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_fold(items, sites);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_fold_due(bigint[], bigint[], timestamptz) IS 'Takes back the slots of pools with holds that are over at t. The caller holds the pools'' locks.';

-- inventory_fold_tight does the same where what is promised and dealt out would be more than there is from now on.
CREATE FUNCTION distsync_internal.inventory_fold_tight(item_ids bigint[], site_ids bigint[], t timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(p.item_id), array_agg(p.site_id) INTO items, sites
	FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(item_ids, site_ids) AS u(item_id, site_id)) k
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND p.slots > 0
	CROSS JOIN LATERAL distsync_internal.inventory_terms(ARRAY[p.item_id], ARRAY[p.site_id], t) m
	WHERE distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, 'conservative', NULL) + m.low + m.backorder < p.held + p.committed + p.dealt;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_fold(items, sites);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_fold_tight(bigint[], bigint[], timestamptz) IS
	'Takes back the slots of pools whose terms at t no longer cover what their rows promise and what is dealt out. The caller holds the pools'' locks.';

-- inventory_fold_for does the same where a decision needs what is dealt out: somebody is short, or a pool's row alone has not enough.
CREATE FUNCTION distsync_internal.inventory_fold_for(grants distsync_internal.inventory_grant[], item_ids bigint[], site_ids bigint[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM unnest(item_ids, site_ids) AS k(item_id, site_id) JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id WHERE p.slots > 0)
		OR NOT EXISTS (SELECT FROM unnest(grants) g WHERE g.outcome NOT IN ('reserved', 'partial')) AND NOT EXISTS (
			SELECT FROM (SELECT g.item_id, g.site_id, sum(g.quantity) AS quantity FROM unnest(grants) g GROUP BY g.item_id, g.site_id) g
			JOIN dist.stock_pool p ON p.item_id = g.item_id AND p.site_id = g.site_id WHERE p.held + p.committed + p.dealt + g.quantity > p.cap + p.backorder_cap) THEN
		RETURN false;
	END IF;
	RETURN distsync_internal.inventory_fold(item_ids, site_ids) > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_fold_for(distsync_internal.inventory_grant[], bigint[], bigint[]) IS
	'Takes back the slots of these pools if grants say short or are more than the rows have. Returns whether it did: then decide anew. The caller holds the pools'' locks.';

-- inventory_gather does the moving of promises from slots into their pool's row, before the row gives back or commits that much.
CREATE FUNCTION distsync_internal.inventory_gather(item_id bigint, site_id bigint, held numeric, committed numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	p record;
	one smallint;
	more_held numeric;
	more_committed numeric;
BEGIN
	SELECT x.slots, x.held, x.committed INTO p FROM dist.stock_pool x WHERE x.item_id = inventory_gather.item_id AND x.site_id = inventory_gather.site_id;
	more_held := greatest(0, inventory_gather.held - p.held);
	more_committed := greatest(0, inventory_gather.committed - p.committed);
	IF p.slots IS NULL OR p.slots = 0 OR more_held = 0 AND more_committed = 0 THEN
		RETURN;
	END IF;
	SELECT s.slot INTO one FROM dist.stock_pool_slot s
	WHERE s.item_id = inventory_gather.item_id AND s.site_id = inventory_gather.site_id AND s.held >= more_held AND s.committed >= more_committed
	LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED;
	IF one IS NULL THEN
		PERFORM distsync_internal.inventory_fold(ARRAY[inventory_gather.item_id], ARRAY[inventory_gather.site_id]);
		RETURN;
	END IF;
	UPDATE dist.stock_pool_slot s SET held = s.held - more_held, committed = s.committed - more_committed, cap = s.cap - more_held - more_committed
	WHERE s.item_id = inventory_gather.item_id AND s.site_id = inventory_gather.site_id AND s.slot = one;
	UPDATE dist.stock_pool x SET held = x.held + more_held, committed = x.committed + more_committed, dealt = x.dealt - more_held - more_committed
	WHERE x.item_id = inventory_gather.item_id AND x.site_id = inventory_gather.site_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_gather(bigint, bigint, numeric, numeric) IS
	'Sees to it that a pool''s row has that much held and committed of what is promised of it, base units: from one slot that has enough and that nobody is at, otherwise from all. The caller holds the pool''s lock.';

-- inventory_deal does the dealing out of a locked pool: half of what it has, in equal shares; a share serves several calls, or there are
-- none. Slots that somebody is at keep what they have.
CREATE FUNCTION distsync_internal.inventory_deal(item_id bigint, site_id bigint, quantity numeric, more boolean) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	p record;
	n integer;
	share numeric;
	given numeric;
BEGIN
	SELECT x.cap + x.backorder_cap - x.held - x.committed - x.dealt AS free, x.shortfall, x.slots INTO p
	FROM dist.stock_pool x WHERE x.item_id = inventory_deal.item_id AND x.site_id = inventory_deal.site_id;
	n := least(COALESCE(current_setting('distsync.slots_max', true)::integer, 64), greatest(16, CASE WHEN more THEN 2 ELSE 1 END * p.slots), div(p.free, 8 * inventory_deal.quantity));
	IF p.shortfall > 0 OR n < 2 THEN
		RETURN 0;
	END IF;
	share := p.free / (2 * n);
	share := trunc(share, CASE WHEN share < 1 THEN 6 ELSE 0 END);
	-- only who has the pool's lock adds slots; ON CONFLICT would wait for everybody who promises from one
	INSERT INTO dist.stock_pool_slot (item_id, site_id, slot, cap)
	SELECT inventory_deal.item_id, inventory_deal.site_id, s.slot, 0 FROM generate_series(0, n - 1) s(slot)
	WHERE NOT EXISTS (SELECT FROM dist.stock_pool_slot y WHERE y.item_id = inventory_deal.item_id AND y.site_id = inventory_deal.site_id AND y.slot = s.slot);
	WITH s AS MATERIALIZED (
		SELECT y.slot, share - (y.cap - y.held - y.committed) AS more FROM dist.stock_pool_slot y
		WHERE y.item_id = inventory_deal.item_id AND y.site_id = inventory_deal.site_id AND y.slot < n AND y.cap - y.held - y.committed < share
		ORDER BY y.slot FOR NO KEY UPDATE SKIP LOCKED
	), u AS (
		UPDATE dist.stock_pool_slot y SET cap = y.cap + s.more, changed_at = clock_timestamp() FROM s
		WHERE y.item_id = inventory_deal.item_id AND y.site_id = inventory_deal.site_id AND y.slot = s.slot RETURNING s.more
	)
	SELECT COALESCE(sum(u.more), 0) INTO given FROM u;
	UPDATE dist.stock_pool x SET slots = greatest(x.slots, n), dealt = x.dealt + given, version = x.version + 1
	WHERE x.item_id = inventory_deal.item_id AND x.site_id = inventory_deal.site_id;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_deal(bigint, bigint, numeric, boolean) IS
	'Deals a pool out to slots, at most distsync.slots_max: quantity is what one call asks for, base units, and a share serves at least four of them; more: to twice as many slots as it has, because somebody is at each of them. The caller holds the pool''s lock. Returns how many slots; 0 = there is too little, nothing is dealt.';

-- inventory_hot_for does the reading of the setting, also where the library is not loaded yet.
CREATE FUNCTION distsync_internal.inventory_hot_for() RETURNS interval
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE(current_setting('distsync.hot_for', true), '60s')::interval;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_hot_for() IS 'The setting distsync.hot_for: how long slots stay after the last promise from them.';

-- inventory_cold does the listing of pools that nobody has promised from slots of for a while.
CREATE FUNCTION distsync_internal.inventory_cold(max_rows integer, OUT items bigint[], OUT sites bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT s.item_id, s.site_id FROM dist.stock_pool_slot s GROUP BY s.item_id, s.site_id
		HAVING max(s.changed_at) < clock_timestamp() - distsync_internal.inventory_hot_for() LIMIT max_rows) k;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_cold(integer) IS 'Pools, as two arrays of equal length, with slots that nothing was promised from for distsync.hot_for; NULL = none.';

-- inventory_cool does the end of slots of pools that are not hot any more.
CREATE FUNCTION distsync_internal.inventory_cool(item_ids bigint[], site_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_fold(item_ids, site_ids);
	UPDATE dist.stock_pool p SET waited_us = 0 FROM unnest(item_ids, site_ids) AS k(item_id, site_id) WHERE p.item_id = k.item_id AND p.site_id = k.site_id AND p.waited_us > 0;
	DELETE FROM dist.stock_pool_slot s USING unnest(item_ids, site_ids) AS k(item_id, site_id) WHERE s.item_id = k.item_id AND s.site_id = k.site_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_cool(bigint[], bigint[]) IS 'Takes the slots of these pools away. The caller holds the pools'' locks.';

-- hot_items does the showing of pools that are dealt out to slots.
CREATE FUNCTION distsync.hot_items() RETURNS TABLE (item text, site text, slots integer, free numeric, free_in_slots numeric, least_share numeric, promised_in_slots numeric, waited interval, last_promise_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT i.sku, t.code, p.slots::integer, trim_scale(p.cap + p.backorder_cap - p.held - p.committed - p.dealt), trim_scale(s.free), trim_scale(s.least), trim_scale(s.promised), p.waited_us * interval '1 microsecond', s.changed_at
	FROM (SELECT y.item_id, y.site_id, sum(y.cap - y.held - y.committed) AS free, min(y.cap - y.held - y.committed) AS least, sum(y.held + y.committed) AS promised, max(y.changed_at) AS changed_at
		FROM dist.stock_pool_slot y GROUP BY y.item_id, y.site_id) s
	JOIN dist.stock_pool p ON p.item_id = s.item_id AND p.site_id = s.site_id
	JOIN dist.item i ON i.item_id = p.item_id JOIN dist.site t ON t.site_id = p.site_id
	ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION distsync.hot_items() IS
	'Items at sites that so many clients promise from that their pool was dealt out to slots, base units: slots (0 = somebody has taken them back, until the next one deals), free in the pool''s row, free in all slots together, the smallest free share, promised from slots; how long promises waited for the row, moving average; last promise from a slot. Reads only.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('hot_items', '{reader,operator,admin}');
