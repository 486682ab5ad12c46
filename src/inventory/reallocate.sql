-- Reallocation: where stock does not do for all that is promised, what is soft goes to who comes first. Facts that leave less than is
-- promised do it by themselves for a bounded number of promises; the clerk does the rest, and people whenever they want.

CREATE TYPE distsync_internal.inventory_reallocated AS (
	item		text,
	site		text,
	reservation_id	bigint,
	demand_key	text,
	holder		text,
	customer	text,
	kind		text,
	strategy	text,
	priority	integer,
	required_at	timestamptz,
	had			numeric,
	quantity	numeric,
	short		numeric,
	unit		text,
	outcome		text
);
COMMENT ON TYPE distsync_internal.inventory_reallocated IS 'A claim after a reallocation, in the order in which claims are served: item, site, reservation (NULL = demand that nobody has promised, kind order), line, holder, customer, kind, strategy, priority, when wanted; what it had and has, not yet shipped, what stock does not cover of that (of demand: of what is wanted), base unit; outcome kept | lost | gained | short (kept, but not covered).';

-- inventory_lose does the taking of a quantity from one soft reservation; a kit loses whole kits, all components together.
CREATE FUNCTION distsync_internal.inventory_lose(reservation_id bigint, quantity numeric, reason text, items bigint[], sites bigint[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
	m record;
	kits numeric;
	got numeric;
	-- what of a kit has ended before is in pools that may not be locked
	ids bigint[] := ARRAY[inventory_lose.reservation_id];
BEGIN
	SELECT x.* INTO r FROM dist.reservation x WHERE x.reservation_id = inventory_lose.reservation_id;
	IF r.kit_group IS NULL THEN
		got := distsync_internal.inventory_give_back(r.item_id, r.reservation_id, inventory_lose.quantity, 'released');
	ELSE
		SELECT least(ceil(inventory_lose.quantity / r.kit_per), min(floor((k.quantity - k.shipped) / k.kit_per))) INTO kits FROM dist.reservation k
		WHERE k.kit_group = r.kit_group AND k.state IN ('held', 'committed')
		HAVING bool_and(EXISTS (SELECT FROM unnest(items, sites) u(item_id, site_id) WHERE u.item_id = k.item_id AND u.site_id = k.site_id)) AND bool_and(k.kind = 'soft');
		IF kits IS NULL OR kits = 0 THEN
			RETURN NULL;
		END IF;
		FOR m IN SELECT k.* FROM dist.reservation k WHERE k.kit_group = r.kit_group AND k.state IN ('held', 'committed') ORDER BY k.reservation_id LOOP
			ids := ids || m.reservation_id;
			PERFORM distsync_internal.inventory_give_back(m.item_id, m.reservation_id, kits * m.kit_per, 'released');
		END LOOP;
		got := kits * r.kit_per;
	END IF;
	-- whoever tells a rule that restores waits until it is known who has lost something, or we wait and know the rule
	PERFORM pg_advisory_xact_lock_shared(hashtext('distsync.reallocation_rule'), 0);
	UPDATE dist.reservation x SET reason = inventory_lose.reason, lost = CASE WHEN x.kit_group IS NULL AND x.state IN ('held', 'committed') THEN COALESCE(x.lost, 0) + got END
	WHERE x.reservation_id = ANY (ids);
	-- who is to get it back waits for it
	UPDATE dist.stock_pool p SET waiting = true WHERE p.item_id = r.item_id AND p.site_id = r.site_id AND NOT p.waiting AND EXISTS (SELECT FROM distsync_internal.inventory_restorable(r.item_id, r.site_id, clock_timestamp(), r.reservation_id));
	RETURN (SELECT jsonb_strip_nulls(jsonb_build_object('reservation_id', r.reservation_id, 'holder', r.holder, 'demand_key', r.demand_key, 'customer', (SELECT p.code FROM dist.party p WHERE p.party_id = r.customer_id),
		'kit', (SELECT i.sku FROM dist.item i WHERE i.item_id = r.kit_id), 'was', trim_scale(r.quantity), 'quantity', CASE WHEN x.state = 'released' THEN 0 ELSE trim_scale(x.quantity) END, 'state', x.state))
		FROM dist.reservation x WHERE x.reservation_id = r.reservation_id AND x.item_id = r.item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lose(bigint, numeric, text, bigint[], bigint[]) IS
	'Takes up to a quantity (base units) from a live soft reservation, held before committed, never what was shipped; why: reallocated | taken_over. items, sites: pools that are locked: a kit loses only if those of all its components are. The caller refreshes them. Returns {"reservation_id", "holder", "demand_key", "customer", "kit", "was", "quantity", "state"}, NULL if nothing was taken.';

-- inventory_regain does the giving back of what was taken from a reservation, within its quotas and what is free now.
CREATE FUNCTION distsync_internal.inventory_regain(item_id bigint, reservation_id bigint, quantity numeric) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
	r record;
	more numeric;
BEGIN
	SELECT x.* INTO r FROM dist.reservation x WHERE x.item_id = inventory_regain.item_id AND x.reservation_id = inventory_regain.reservation_id AND x.state IN ('held', 'committed');
	SELECT least(inventory_regain.quantity, r.lost, distsync_internal.inventory_unpromised(r.item_id, r.demand_key), p.cap + p.backorder_cap - p.held - p.committed - p.dealt,
		(SELECT min(q.quantity - distsync_internal.inventory_quota_used(q.item_id, q.quota_id, '-infinity')) FROM dist.stock_quota q WHERE q.item_id = r.item_id AND q.quota_id = ANY (r.quota_ids) AND q.period @> t)) INTO more
	FROM dist.stock_pool p WHERE p.item_id = r.item_id AND p.site_id = r.site_id;
	IF more IS NULL OR more <= 0 THEN
		RETURN NULL;
	END IF;
	UPDATE dist.reservation x SET quantity = x.quantity + more, committed = x.committed + CASE x.state WHEN 'committed' THEN more ELSE 0 END, lost = NULLIF(x.lost - more, 0), reason = CASE WHEN x.lost > more THEN x.reason END
	WHERE x.item_id = r.item_id AND x.reservation_id = r.reservation_id;
	UPDATE dist.stock_pool p SET held = p.held + CASE r.state WHEN 'held' THEN more ELSE 0 END, committed = p.committed + CASE r.state WHEN 'committed' THEN more ELSE 0 END WHERE p.item_id = r.item_id AND p.site_id = r.site_id;
	UPDATE dist.demand d SET reserved = d.reserved + more, status = distsync_internal.inventory_demand_status(d.reserved + more, d.ordered, d.allocated, d.shipped)
	WHERE d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id;
	IF r.quota_ids IS NOT NULL THEN
		PERFORM distsync_internal.inventory_quota_take(ARRAY[r.item_id], r.quota_ids, t);
	END IF;
	RETURN jsonb_strip_nulls(jsonb_build_object('reservation_id', r.reservation_id, 'holder', r.holder, 'demand_key', r.demand_key, 'customer', (SELECT p.code FROM dist.party p WHERE p.party_id = r.customer_id),
		'was', trim_scale(r.quantity), 'quantity', trim_scale(r.quantity + more), 'state', r.state));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_regain(bigint, bigint, numeric) IS
	'Gives a live reservation back up to a quantity (base units) of what was taken from it, as far as its pool and its quotas have it, and its order still wants it; held or committed as the rest of it is. The caller holds the locks and refreshes the pool. Returns as inventory_lose().';

-- inventory_restorable does the listing of those who lost something that is to be given back by itself, in the order of the claims. Of all
-- that is promised in a pool it looks at nothing else.
CREATE FUNCTION distsync_internal.inventory_restorable(item_id bigint, site_id bigint, at timestamptz, only_id bigint DEFAULT NULL) RETURNS TABLE (place bigint, reservation_id bigint, missing numeric, quotas boolean)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	IF NOT EXISTS (SELECT FROM dist.reservation x WHERE x.item_id = inventory_restorable.item_id AND x.site_id = inventory_restorable.site_id AND x.lost > 0 AND x.state IN ('held', 'committed'))
		OR NOT EXISTS (SELECT FROM dist.reallocation_rule x WHERE x.restores) THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH c AS MATERIALIZED (
		SELECT r.*, d.required_at, least(r.lost, distsync_internal.inventory_unpromised(r.item_id, r.demand_key)) AS missing, COALESCE(r.customer_id, 0) AS customer, COALESCE(r.channel_id, 0) AS channel
		FROM dist.reservation r LEFT JOIN dist.demand d ON d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id
		WHERE r.item_id = inventory_restorable.item_id AND r.site_id = inventory_restorable.site_id AND r.lost > 0 AND r.state IN ('held', 'committed')
			AND (r.state = 'committed' OR r.expires_at IS NULL OR r.expires_at > inventory_restorable.at) AND (only_id IS NULL OR r.reservation_id = only_id)
	), k AS MATERIALIZED (
		-- rules are looked up once for all whom they do not tell apart
		SELECT y.*, (distsync_internal.inventory_reallocation_of(inventory_restorable.item_id, y.kind, NULLIF(y.customer, 0), NULLIF(y.channel, 0), y.priority, inventory_restorable.at)).restores,
			distsync_internal.inventory_strategy_rank(distsync_internal.inventory_strategy(inventory_restorable.item_id, y.kind, NULLIF(y.customer, 0), NULLIF(y.channel, 0), y.priority, inventory_restorable.at)) AS rank
		FROM (SELECT DISTINCT c.kind, c.customer, c.channel, c.priority FROM c WHERE c.missing > 0) y
	)
	SELECT row_number() OVER (ORDER BY k.rank, c.priority, c.required_at NULLS FIRST, COALESCE(c.demand_key, c.holder) COLLATE "C", c.created_at, c.quantity - c.shipped DESC, c.reservation_id), c.reservation_id, c.missing, c.quota_ids IS NOT NULL
	FROM c JOIN k ON k.kind = c.kind AND k.customer = c.customer AND k.channel = c.channel AND k.priority = c.priority
	WHERE c.missing > 0 AND k.restores ORDER BY 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_restorable(bigint, bigint, timestamptz, bigint) IS
	'Live reservations of an item at a site that have lost something and whose rule restores it, in the order of the claims: base units, and whether they draw on quotas. only_id: of this one (NULL = of all).';

-- inventory_restore does the giving back of what stock has again: nobody loses for it. What draws on quotas needs their locks, which come
-- before those of pools: that is for the clerk.
CREATE FUNCTION distsync_internal.inventory_restore(item_id bigint, site_id bigint, with_quotas boolean, correlation_id uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c record;
	free numeric;
	one jsonb;
	changes jsonb := '[]';
BEGIN
	FOR c IN SELECT * FROM distsync_internal.inventory_restorable(inventory_restore.item_id, inventory_restore.site_id, clock_timestamp()) x ORDER BY x.place LOOP
		free := (SELECT p.cap - p.held - p.committed - p.dealt FROM dist.stock_pool p WHERE p.item_id = inventory_restore.item_id AND p.site_id = inventory_restore.site_id AND p.shortfall = 0);
		EXIT WHEN free IS NULL OR free <= 0;
		IF c.quotas AND NOT with_quotas THEN
			INSERT INTO dist.reallocation_due (item_id, site_id) VALUES (inventory_restore.item_id, inventory_restore.site_id) ON CONFLICT DO NOTHING;
			PERFORM distsync_internal.worker_wake('clerk');
			CONTINUE;
		END IF;
		one := distsync_internal.inventory_regain(inventory_restore.item_id, c.reservation_id, least(c.missing, free));
		changes := CASE WHEN one IS NULL THEN changes ELSE changes || one END;
	END LOOP;
	PERFORM distsync_internal.inventory_tell_lost(inventory_restore.item_id, inventory_restore.site_id, 'restored', changes, inventory_restore.correlation_id);
	RETURN changes <> '[]';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_restore(bigint, bigint, boolean, uuid) IS
	'Gives back what stock has again to those of inventory_restorable(), in their order, those with quotas only if their quotas are locked (else the pool is left to the clerk); tells them, reason restored. Returns whether anybody got anything: then the caller, who holds the pool''s lock, refreshes it.';

-- inventory_tell_lost does the telling of those who lost or got something back: one event a pool.
CREATE FUNCTION distsync_internal.inventory_tell_lost(item_id bigint, site_id bigint, reason text, changes jsonb, correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	sku text := (SELECT i.sku FROM dist.item i WHERE i.item_id = inventory_tell_lost.item_id);
	site text := (SELECT s.code FROM dist.site s WHERE s.site_id = inventory_tell_lost.site_id);
BEGIN
	IF changes = '[]' THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.base_emit('item', inventory_tell_lost.item_id, 'stock.reservation_changed', 'item', sku, jsonb_build_object('sku', sku, 'site', site, 'reason', inventory_tell_lost.reason, 'reservations', changes),
		inventory_tell_lost.correlation_id);
	PERFORM distsync_internal.base_audit('reallocate', 'item_site', sku || '@' || site, NULL, changes, inventory_tell_lost.reason, inventory_tell_lost.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_tell_lost(bigint, bigint, text, jsonb, uuid) IS
	'Emits stock.reservation_changed {"sku","site","reason","reservations":[{"reservation_id","holder","demand_key","customer","kit","was","quantity","state"}]} for changes that inventory_lose() and inventory_regain() return, and writes them to the audit; nothing for an empty list.';

-- inventory_reallocate_pool does the dividing of one locked pool: first what is taken, from the last claim on, then what is given back.
CREATE FUNCTION distsync_internal.inventory_reallocate_pool(item_id bigint, site_id bigint, gains boolean, most integer, items bigint[], sites bigint[], correlation_id uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c record;
	n integer := 0;
	one jsonb;
	changes jsonb := '[]';
	all_done boolean := true;
BEGIN
	FOR c IN
		SELECT s.reservation_id, s.gets - s.has AS change FROM distsync_internal.inventory_shares(inventory_reallocate_pool.item_id, inventory_reallocate_pool.site_id, clock_timestamp(), gains) s
		WHERE s.reservation_id IS NOT NULL AND s.gets <> s.has ORDER BY s.gets > s.has, CASE WHEN s.gets < s.has THEN -s.place ELSE s.place END
	LOOP
		IF n = most THEN
			all_done := false;
			EXIT;
		END IF;
		n := n + 1;
		one := CASE WHEN c.change < 0 THEN distsync_internal.inventory_lose(c.reservation_id, -c.change, 'reallocated', items, sites)
			ELSE distsync_internal.inventory_regain(inventory_reallocate_pool.item_id, c.reservation_id, c.change) END;
		all_done := all_done AND (one IS NOT NULL OR c.change > 0);
		changes := CASE WHEN one IS NULL THEN changes ELSE changes || one END;
	END LOOP;
	PERFORM distsync_internal.inventory_tell_lost(inventory_reallocate_pool.item_id, inventory_reallocate_pool.site_id, 'reallocated', changes, inventory_reallocate_pool.correlation_id);
	RETURN all_done;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reallocate_pool(bigint, bigint, boolean, integer, bigint[], bigint[], uuid) IS
	'Takes from the soft reservations of a pool what others come before, at most so many of them, and with gains gives others back what they had lost; tells them. items, sites: all pools that are locked. The caller refreshes them. Returns whether nothing is left to do.';

-- inventory_cure does what a fact does by itself where it leaves less than is promised. Whatever goes wrong in it is for the clerk: a fact
-- is never refused.
CREATE FUNCTION distsync_internal.inventory_cure(short_items bigint[], short_sites bigint[], items bigint[], sites bigint[], correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most integer := COALESCE(NULLIF(current_setting('distsync.reallocate_at_once', true), '')::integer, 100);
	k record;
	due_items bigint[] := '{}';
	due_sites bigint[] := '{}';
BEGIN
	IF most = 0 THEN
		RETURN;
	END IF;
	BEGIN
		FOR k IN
			SELECT u.item_id, u.site_id FROM unnest(short_items, short_sites) u(item_id, site_id) JOIN dist.item i ON i.item_id = u.item_id JOIN dist.site s ON s.site_id = u.site_id
			LEFT JOIN dist.item_site r ON r.item_id = u.item_id AND r.site_id = u.site_id WHERE COALESCE(r.reallocates, true) ORDER BY i.sku COLLATE "C", s.code COLLATE "C"
		LOOP
			IF NOT distsync_internal.inventory_reallocate_pool(k.item_id, k.site_id, false, most, items, sites, inventory_cure.correlation_id) THEN
				due_items := due_items || k.item_id;
				due_sites := due_sites || k.site_id;
			END IF;
		END LOOP;
		PERFORM distsync_internal.inventory_refresh(items, sites, inventory_cure.correlation_id);
	EXCEPTION WHEN OTHERS THEN
		RAISE WARNING USING ERRCODE = SQLSTATE, MESSAGE = format('promises were not reallocated: %s', SQLERRM), HINT = 'The clerk tries again.';
		due_items := short_items;
		due_sites := short_sites;
	END;
	IF due_items <> '{}' THEN
		INSERT INTO dist.reallocation_due (item_id, site_id) SELECT DISTINCT u.item_id, u.site_id FROM unnest(due_items, due_sites) u(item_id, site_id) ORDER BY 1, 2 ON CONFLICT DO NOTHING;
		PERFORM distsync_internal.worker_wake('clerk');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_cure(bigint[], bigint[], bigint[], bigint[], uuid) IS
	'Reallocates pools that have become short, where dist.item_site lets it, at most distsync.reallocate_at_once reservations of each, and refreshes all pools of the call (items, sites: those that are locked). What is left goes to dist.reallocation_due. Raises nothing but a warning.';

-- inventory_with_kits does the listing of pools with those of the kits that have components in them.
CREATE FUNCTION distsync_internal.inventory_with_kits(INOUT items bigint[], INOUT sites bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT array_agg(x.item_id), array_agg(x.site_id) INTO items, sites
	FROM (SELECT u.item_id, u.site_id FROM unnest(items, sites) u(item_id, site_id)
		UNION SELECT k.item_id, k.site_id FROM unnest(items, sites) u(item_id, site_id)
			JOIN dist.reservation r ON r.item_id = u.item_id AND r.site_id = u.site_id AND r.state IN ('held', 'committed') AND r.kit_group IS NOT NULL JOIN dist.reservation k ON k.kit_group = r.kit_group) x;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_with_kits(bigint[], bigint[]) IS 'Pairs of item and site (arrays of equal length) with those of all components of kits that are promised there.';

-- inventory_reallocate_sweep does the rest of what facts left to do, for the clerk.
CREATE FUNCTION distsync_internal.inventory_reallocate_sweep(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	due record;
	k record;
	p record;
BEGIN
	SELECT array_agg(d.item_id ORDER BY d.item_id, d.site_id) AS items, array_agg(d.site_id ORDER BY d.item_id, d.site_id) AS sites INTO due
	FROM (SELECT x.item_id, x.site_id FROM dist.reallocation_due x ORDER BY x.since LIMIT least(max_rows, 20)) d;
	IF due.items IS NULL THEN
		RETURN 0;
	END IF;
	SELECT * INTO k FROM distsync_internal.inventory_with_kits(due.items, due.sites);
	PERFORM distsync_internal.inventory_quota_lock(ARRAY(SELECT DISTINCT u FROM unnest(k.items) u));
	PERFORM distsync_internal.inventory_lock(k.items, k.sites);
	-- a rule that is told later finds pools that do not know of it
	UPDATE dist.stock_pool q SET waiting = true FROM unnest(due.items, due.sites) u(item_id, site_id)
	WHERE q.item_id = u.item_id AND q.site_id = u.site_id AND NOT q.waiting AND EXISTS (SELECT FROM distsync_internal.inventory_restorable(q.item_id, q.site_id, clock_timestamp()));
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
	FOR p IN
		SELECT u.item_id, u.site_id FROM unnest(due.items, due.sites) u(item_id, site_id) JOIN dist.item i ON i.item_id = u.item_id JOIN dist.site s ON s.site_id = u.site_id
		LEFT JOIN dist.item_site r ON r.item_id = u.item_id AND r.site_id = u.site_id
		JOIN dist.stock_pool q ON q.item_id = u.item_id AND q.site_id = u.site_id AND q.shortfall > 0 WHERE COALESCE(r.reallocates, true) ORDER BY i.sku COLLATE "C", s.code COLLATE "C"
	LOOP
		PERFORM distsync_internal.inventory_reallocate_pool(p.item_id, p.site_id, false, greatest(max_rows, 100), k.items, k.sites, NULL);
	END LOOP;
	PERFORM distsync_internal.inventory_restore(u.item_id, u.site_id, true, NULL) FROM unnest(due.items, due.sites) u(item_id, site_id);
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
	-- what cannot be taken now (a kit that was promised meanwhile) is for the next fact, or for people
	DELETE FROM dist.reallocation_due d USING unnest(due.items, due.sites) u(item_id, site_id) WHERE d.item_id = u.item_id AND d.site_id = u.site_id
		AND NOT EXISTS (SELECT FROM dist.stock_pool q WHERE q.item_id = d.item_id AND q.site_id = d.site_id AND q.shortfall > 0
			AND EXISTS (SELECT FROM distsync_internal.inventory_shares(d.item_id, d.site_id, clock_timestamp(), false) s JOIN dist.reservation r ON r.item_id = d.item_id AND r.reservation_id = s.reservation_id AND r.kit_group IS NULL WHERE s.gets < s.has));
	RETURN cardinality(due.items);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reallocate_sweep(integer) IS 'Clerk task: reallocates pools in dist.reallocation_due, at most 20 a call, and gives back there what rules restore. Returns how many it looked at.';

-- inventory_reallocate_due does the answer to "when is there work again".
CREATE FUNCTION distsync_internal.inventory_reallocate_due() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(d.since) FROM dist.reallocation_due d
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reallocate_due() IS 'Since when pools wait for a reallocation; NULL = none does.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('clerk', 'inventory_reallocate', 'distsync_internal.inventory_reallocate_sweep'),
	('clerk', 'inventory_reallocate.next_due', 'distsync_internal.inventory_reallocate_due');
