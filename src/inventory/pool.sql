-- Pools: the promise counter of an item at a site. Its row lock comes before everything else of the key, in the order of (item_id,
-- site_id), so that calls wait for each other but never in a circle. Before the pools comes the lock of the demands a call speaks of:
-- only who has it may bring a demand to another site, so the sites of a demand that is locked are known.

-- inventory_lock does the locking of pools, sorted; pools that are missing are made.
CREATE FUNCTION distsync_internal.inventory_lock(item_ids bigint[], site_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.stock_pool (item_id, site_id)
	SELECT DISTINCT k.item_id, k.site_id FROM unnest(item_ids, site_ids) AS k(item_id, site_id)
	WHERE NOT EXISTS (SELECT FROM dist.stock_pool p WHERE p.item_id = k.item_id AND p.site_id = k.site_id)
	ORDER BY 1, 2
	ON CONFLICT DO NOTHING;
	PERFORM FROM dist.stock_pool p
	JOIN (SELECT DISTINCT u.item_id, u.site_id FROM unnest(item_ids, site_ids) AS u(item_id, site_id)) k ON p.item_id = k.item_id AND p.site_id = k.site_id
	ORDER BY p.item_id, p.site_id
	FOR NO KEY UPDATE OF p;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lock(bigint[], bigint[]) IS
	'Locks the pools of pairs of item and site (arrays of equal length) in their order, until the end of the transaction. Call it once with all keys of a request, before anything else of them is touched.';

-- inventory_lock_demand does the locking of demands, then of every pool where they are spoken of, and of further pools. The unit is the
-- order, the key up to its last slash, in 4,096 classes: what a call can lock is bounded, and two orders seldom share a class.
CREATE FUNCTION distsync_internal.inventory_lock_demand(demand_keys text[], more_items bigint[], more_sites bigint[], OUT items bigint[], OUT sites bigint[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('distsync.demand'), c.class)
	FROM (SELECT DISTINCT hashtext(regexp_replace(u, '/[^/]*$', '')) & 4095 AS class FROM unnest(demand_keys) u WHERE u IS NOT NULL ORDER BY 1) c;
	-- a statement of its own, so that it sees what was committed while we waited
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT d.item_id, d.site_id FROM dist.demand d WHERE d.demand_key = ANY (demand_keys)
		UNION SELECT u.item_id, u.site_id FROM unnest(more_items, more_sites) AS u(item_id, site_id) WHERE u.item_id IS NOT NULL AND u.site_id IS NOT NULL) k;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lock_demand(text[], bigint[], bigint[]) IS
	'Locks demands by key, the pools where they stand and the given pairs of item and site, until the end of the transaction; returns all pairs as two arrays, NULL if there is none. Call it once with all keys of a request, before anything else of them is touched; a second call for a part of them locks nothing new.';

-- inventory_expire does the ending of holds that are past their instant, under the pools' locks: from expires_at on they are gone.
CREATE FUNCTION distsync_internal.inventory_expire(item_ids bigint[], site_ids bigint[], t timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	PERFORM distsync_internal.inventory_fold_due(item_ids, site_ids, t);
	WITH due AS (
		SELECT r.reservation_id, r.item_id, r.site_id, r.demand_key, r.quantity - r.committed AS freed
		FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(item_ids, site_ids) AS u(item_id, site_id)) k
		JOIN dist.reservation r ON r.item_id = k.item_id AND r.site_id = k.site_id AND r.state = 'held' AND r.expires_at <= t
	), gone AS (
		-- what was committed of it stays committed
		UPDATE dist.reservation r
		SET state = CASE WHEN r.committed = 0 THEN 'expired' WHEN r.committed = r.shipped THEN 'shipped' ELSE 'committed' END,
			quantity = CASE WHEN r.committed = 0 THEN r.quantity ELSE r.committed END, expires_at = CASE WHEN r.committed = 0 THEN r.expires_at END,
			ended_at = CASE WHEN r.committed = r.shipped THEN t END
		FROM due WHERE r.item_id = due.item_id AND r.reservation_id = due.reservation_id
	), pools AS (
		UPDATE dist.stock_pool p SET held = p.held - d.freed, version = p.version + 1, changed_at = greatest(t, p.changed_at + interval '1 microsecond')
		FROM (SELECT item_id, site_id, sum(freed) AS freed FROM due GROUP BY item_id, site_id) d
		WHERE p.item_id = d.item_id AND p.site_id = d.site_id
	), demands AS (
		UPDATE dist.demand y SET reserved = y.reserved - d.freed,
			status = distsync_internal.inventory_demand_status(y.reserved - d.freed, y.ordered, y.allocated, y.shipped)
		FROM (SELECT item_id, site_id, demand_key, sum(freed) AS freed FROM due WHERE demand_key IS NOT NULL GROUP BY item_id, site_id, demand_key) d
		WHERE y.demand_key = d.demand_key AND y.item_id = d.item_id AND y.site_id = d.site_id
	)
	SELECT count(*) INTO n FROM due;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_expire(bigint[], bigint[], timestamptz) IS
	'Ends the holds of these pools whose expires_at has come at t, a clock read under the pools'' locks, and gives back what they held. Returns how many ended.';

-- inventory_demand_status does the state of a demand from its totals.
CREATE FUNCTION distsync_internal.inventory_demand_status(reserved numeric, ordered numeric, allocated numeric, shipped numeric) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN greatest(reserved, ordered, allocated) > shipped THEN 'open' WHEN shipped > 0 THEN 'done' ELSE 'cancelled' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_demand_status(numeric, numeric, numeric, numeric) IS 'open | done | cancelled, from the totals of a demand line in base units.';

-- inventory_too_large does the refusal of a number that has no place in the books. What is told one by one is checked when it is read;
-- what it adds up to is known under the locks only, and then it is the call that is refused.
CREATE FUNCTION distsync_internal.inventory_too_large(item_id bigint, site_id bigint, quantity numeric) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sku text := (SELECT i.sku FROM dist.item i WHERE i.item_id = inventory_too_large.item_id);
	code text := (SELECT s.code FROM dist.site s WHERE s.site_id = inventory_too_large.site_id);
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('stock of item "%s" at site "%s" becomes too large', sku, code), COLUMN = 'quantity',
		DETAIL = format('Field: quantity. It would be %s base units; they have fourteen digits before the point and six after.', trim_scale(quantity)),
		HINT = 'Correct the quantity, or count the stock.';
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_too_large(bigint, bigint, numeric) IS 'Raises SD002: what an item at a site comes to, base units, is 10^14 or more. Returns nothing: for expressions.';

-- inventory_refresh does the deriving of cap and shortfall anew, after anything about these keys has changed. A fact that takes away
-- what is promised is no error: the shortfall says how much, blocks new promises and is an exception until it is cured.
CREATE FUNCTION distsync_internal.inventory_refresh(item_ids bigint[], site_ids bigint[], correlation_id uuid DEFAULT NULL, dates boolean DEFAULT true, restores boolean DEFAULT true, at timestamptz DEFAULT clock_timestamp()) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	-- one instant for all: a hold that ends between two readings of the clock would be neither ended nor watched for
	t timestamptz := at;
	redated jsonb;
	c record;
	grown jsonb := '[]';
BEGIN
	dates := distsync_internal.inventory_expire(item_ids, site_ids, t) > 0 OR dates;
	PERFORM distsync_internal.inventory_fold_tight(item_ids, site_ids, t);
	SELECT jsonb_object_agg(concat_ws(':', p.item_id, p.site_id), d.was) INTO redated
	FROM (SELECT DISTINCT x.item_id, x.site_id FROM unnest(item_ids, site_ids) AS x(item_id, site_id)) u JOIN dist.stock_pool p ON p.item_id = u.item_id AND p.site_id = u.site_id AND p.waiting AND dates
	CROSS JOIN LATERAL (SELECT distsync_internal.inventory_redate(p.item_id, p.site_id, t) AS was) d;
	FOR c IN
		WITH k AS MATERIALIZED (
			SELECT array_agg(u.item_id) AS items, array_agg(u.site_id) AS sites
			FROM (SELECT DISTINCT x.item_id, x.site_id FROM unnest(item_ids, site_ids) AS x(item_id, site_id)) u
		), n AS MATERIALIZED (
			SELECT m.item_id, m.site_id, m.turns_at, m.due, m.phys + m.outside AS phys, m.book + m.in_flight AS book, m.future, distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, 'conservative', NULL) + m.low AS cap,
				p.held + p.committed + p.dealt AS promised, m.cap_until, m.low, m.inbound, p.shortfall AS was, m.backorder, m.safety, m.ruled
			FROM k CROSS JOIN LATERAL distsync_internal.inventory_terms(k.items, k.sites, t) m
			JOIN dist.stock_pool p ON p.item_id = m.item_id AND p.site_id = m.site_id
		), u AS (
			UPDATE dist.stock_pool p SET shortfall = greatest(0, n.promised - n.cap - n.safety - n.backorder), backorder_cap = n.backorder, safety = n.safety, ruled = n.ruled, phys = n.phys, book = n.book,
				cap = CASE WHEN greatest(abs(n.cap), abs(n.phys), abs(n.book)) < 1e14 THEN n.cap ELSE distsync_internal.inventory_too_large(n.item_id, n.site_id, greatest(abs(n.cap), abs(n.phys), abs(n.book))) END, due = n.due, low = n.low, inbound = n.inbound,
				ahead = n.future, valid_until = n.turns_at, cap_until = n.cap_until,
				version = p.version + 1, changed_at = greatest(t, p.changed_at + interval '1 microsecond')
			FROM n WHERE p.item_id = n.item_id AND p.site_id = n.site_id
			RETURNING p.item_id, p.site_id, p.shortfall, n.was, n.promised, n.cap, n.low, p.waiting OR n.promised > n.cap + n.safety AS queue
		)
		SELECT u.* FROM u WHERE u.shortfall <> u.was OR u.queue ORDER BY u.item_id, u.site_id
	LOOP
		IF c.queue AND dates THEN
			PERFORM distsync_internal.inventory_repromise(c.item_id, c.site_id, t, true, inventory_refresh.correlation_id, redated->concat_ws(':', c.item_id, c.site_id));
		END IF;
		IF c.shortfall > c.was AND c.promised > 0 THEN
			-- what is soft may cure it: then it is told what is left
			grown := grown || jsonb_build_object('item_id', c.item_id, 'site_id', c.site_id, 'shortfall', c.shortfall, 'was', c.was);
		ELSIF c.shortfall <> c.was OR c.shortfall > 0 THEN
			PERFORM distsync_internal.inventory_shortfall(c.item_id, c.site_id, c.was, inventory_refresh.correlation_id);
		END IF;
	END LOOP;
	IF grown <> '[]' THEN
		PERFORM distsync_internal.inventory_cure(ARRAY(SELECT (g->>'item_id')::bigint FROM jsonb_array_elements(grown) WITH ORDINALITY x(g, n) ORDER BY n), ARRAY(SELECT (g->>'site_id')::bigint FROM jsonb_array_elements(grown) WITH ORDINALITY x(g, n) ORDER BY n),
			item_ids, site_ids, inventory_refresh.correlation_id);
		PERFORM distsync_internal.inventory_shortfall(p.item_id, p.site_id, (g->>'was')::numeric, inventory_refresh.correlation_id)
		FROM jsonb_array_elements(grown) WITH ORDINALITY x(g, n) JOIN dist.stock_pool p ON p.item_id = (g->>'item_id')::bigint AND p.site_id = (g->>'site_id')::bigint AND p.shortfall = (g->>'shortfall')::numeric;
	END IF;
	IF restores AND EXISTS (SELECT FROM dist.reallocation_rule r WHERE r.restores) THEN
		FOR c IN SELECT p.item_id, p.site_id FROM (SELECT DISTINCT x.item_id, x.site_id FROM unnest(item_ids, site_ids) AS x(item_id, site_id)) u
			JOIN dist.stock_pool p ON p.item_id = u.item_id AND p.site_id = u.site_id AND p.waiting AND p.shortfall = 0 ORDER BY p.item_id, p.site_id
		LOOP
			IF distsync_internal.inventory_restore(c.item_id, c.site_id, false, inventory_refresh.correlation_id) THEN
				PERFORM distsync_internal.inventory_refresh(ARRAY[c.item_id], ARRAY[c.site_id], inventory_refresh.correlation_id);
			END IF;
		END LOOP;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_refresh(bigint[], bigint[], uuid, boolean, boolean, timestamptz) IS
	'Derives cap, shortfall and valid_until of these pools from what is now true, after expiring holds; where less is left than is promised it takes from soft promises (inventory_cure), opens or closes the exception shortfall, and dates anew what waits for supply (dates false: only if holds have ended; for who makes a promise that moves no other), and gives back what rules restore (restores false: not; for who is promised what is free now). at: the instant, for who has decided as of it. The caller holds the pools'' locks.';

-- inventory_catch_up does the refresh of those locked pools that time has passed: due holds end, overdue supply no longer counts.
CREATE FUNCTION distsync_internal.inventory_catch_up(item_ids bigint[], site_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	late_items bigint[];
	late_sites bigint[];
BEGIN
	SELECT array_agg(p.item_id), array_agg(p.site_id) INTO late_items, late_sites
	FROM (SELECT DISTINCT u.item_id, u.site_id FROM unnest(item_ids, site_ids) AS u(item_id, site_id)) k
	JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND (p.valid_until <= clock_timestamp()
		OR p.slots > 0 AND EXISTS (SELECT FROM dist.stock_pool_slot y WHERE y.item_id = p.item_id AND y.site_id = p.site_id AND y.valid_until <= clock_timestamp()));
	IF late_items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_refresh(late_items, late_sites);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_catch_up(bigint[], bigint[]) IS 'Refreshes those of these pools whose valid_until, or that of one of their slots, has come. The caller holds their locks.';

-- inventory_shortfall does the telling of a shortfall, with who is short: only where something is owed, because negative stock nobody
-- waits for breaks no promise. Where nothing of it changed, nothing is told.
CREATE FUNCTION distsync_internal.inventory_shortfall(item_id bigint, site_id bigint, was numeric, correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c record;
	trace_key text;
	details jsonb;
BEGIN
	SELECT p.shortfall, p.held + p.committed + p.dealt AS promised, p.cap, p.low, i.sku, s.code AS site, y.code AS company INTO c
	FROM dist.stock_pool p JOIN dist.item i ON i.item_id = p.item_id JOIN dist.site s ON s.site_id = p.site_id JOIN dist.company y ON y.company_id = s.company_id
	WHERE p.item_id = inventory_shortfall.item_id AND p.site_id = inventory_shortfall.site_id;
	trace_key := c.sku || '@' || c.site;
	IF c.shortfall > 0 AND (c.promised > 0 OR c.low < 0) THEN
		details := jsonb_build_object('sku', c.sku, 'site', c.site, 'short', c.shortfall, 'promised', c.promised, 'may_be_promised', c.cap, 'demand_of_others', greatest(0, -c.low),
			'lines', distsync_internal.inventory_short_lines(inventory_shortfall.item_id, inventory_shortfall.site_id, clock_timestamp()));
		IF c.shortfall <> was OR NOT EXISTS (SELECT FROM sync.exception e WHERE e.kind = 'shortfall' AND e.trace_key = c.sku || '@' || c.site AND e.state IN ('open', 'acknowledged') AND e.details->'lines' = details->'lines') THEN
			PERFORM distsync_internal.base_exception('shortfall', trace_key, 'stock', 'error', c.company, 'item_site', trace_key, details, c.shortfall, NULL, NULL, inventory_shortfall.correlation_id);
		END IF;
	ELSIF was > 0 THEN
		PERFORM distsync_internal.base_exception_close('shortfall', trace_key, 'stock covers what is promised again');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shortfall(bigint, bigint, numeric, uuid) IS
	'Opens, renews or closes the exception shortfall of an item at a site, which was that short before (base units): details {"sku", "site", "short", "promised", "may_be_promised", "demand_of_others", "lines": as inventory_short_lines() says}.';

-- inventory_waits does the look whether a promise of a pool is not covered yet, or is for a later date.
CREATE FUNCTION distsync_internal.inventory_waits(item_id bigint, site_id bigint, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM dist.reservation r WHERE r.item_id = inventory_waits.item_id AND r.site_id = inventory_waits.site_id AND r.state IN ('held', 'committed')
		AND (r.state = 'committed' OR r.committed > r.shipped OR r.expires_at IS NULL OR r.expires_at > inventory_waits.at) AND (r.kind IN ('inbound', 'planned') OR r.promised_at IS NULL OR r.promised_at > inventory_waits.at))
		OR EXISTS (SELECT FROM distsync_internal.inventory_restorable(inventory_waits.item_id, inventory_waits.site_id, inventory_waits.at));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_waits(bigint, bigint, timestamptz) IS 'Whether a live promise of an item at a site is inbound or planned, has no date or one to come, or has lost something that is to be given back by itself.';

-- inventory_derive does the deriving of locked pools from the books: counters from the reservations, the rest from the terms.
CREATE FUNCTION distsync_internal.inventory_derive(items bigint[], sites bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.inventory_fold(items, sites);
	UPDATE dist.stock_pool p SET held = x.held, committed = x.committed, shortfall = greatest(p.shortfall, x.held + x.committed - p.cap - p.safety - p.backorder_cap)
	FROM (SELECT k.item_id, k.site_id, COALESCE(sum(r.quantity - r.committed), 0) AS held, COALESCE(sum(r.committed - r.shipped), 0) AS committed
		FROM unnest(items, sites) k(item_id, site_id)
		LEFT JOIN dist.reservation r ON r.item_id = k.item_id AND r.site_id = k.site_id AND r.state IN ('held', 'committed') GROUP BY k.item_id, k.site_id) x
	WHERE p.item_id = x.item_id AND p.site_id = x.site_id AND (p.held <> x.held OR p.committed <> x.committed);
	UPDATE dist.stock_pool p SET waiting = true FROM unnest(items, sites) k(item_id, site_id)
	WHERE p.item_id = k.item_id AND p.site_id = k.site_id AND NOT p.waiting AND distsync_internal.inventory_waits(p.item_id, p.site_id, clock_timestamp());
	PERFORM distsync_internal.inventory_refresh(items, sites);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_derive(bigint[], bigint[]) IS 'Derives these pools (arrays of equal length) anew from balances, supply, demand and reservations. The caller holds their locks.';

-- inventory_rebuild does the deriving of pools from the books, from zero: for people who changed the books by hand.
CREATE FUNCTION distsync_internal.inventory_rebuild(sku text DEFAULT NULL, site text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	items bigint[];
	sites bigint[];
BEGIN
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT item_id, site_id FROM dist.stock_pool UNION SELECT item_id, site_id FROM dist.stock_balance UNION SELECT item_id, site_id FROM dist.supply
		UNION SELECT item_id, site_id FROM dist.demand UNION SELECT item_id, site_id FROM dist.reservation WHERE state IN ('held', 'committed')) k
	JOIN dist.item i ON i.item_id = k.item_id AND (i.sku = inventory_rebuild.sku OR inventory_rebuild.sku IS NULL)
	JOIN dist.site s ON s.site_id = k.site_id AND (s.code = inventory_rebuild.site OR inventory_rebuild.site IS NULL);
	IF items IS NULL THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.inventory_lock(items, sites);
	PERFORM distsync_internal.inventory_derive(items, sites);
	RETURN cardinality(items);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_rebuild(text, text) IS 'Derives the pools of an item (NULL = all) at a site (NULL = all) anew from balances, supply, demand and reservations. Returns how many. For use after the books were changed by hand.';

-- inventory_is_stuck does the look whether a pool could not be derived a moment ago: to try it again at once would only fail again.
CREATE FUNCTION distsync_internal.inventory_is_stuck(item_id bigint, site_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM sync.exception e WHERE e.kind = 'stock_stuck' AND e.state IN ('open', 'acknowledged') AND e.last_seen_at > clock_timestamp() - interval '1 minute'
		AND e.trace_key = distsync_internal.inventory_item_site(inventory_is_stuck.item_id, inventory_is_stuck.site_id));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_is_stuck(bigint, bigint) IS 'Whether the sweep failed at a pool within the last minute: an open exception stock_stuck says so.';

-- inventory_item_site does the name under which exceptions know an item at a site.
CREATE FUNCTION distsync_internal.inventory_item_site(item_id bigint, site_id bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT i.sku || '@' || s.code FROM dist.item i, dist.site s WHERE i.item_id = inventory_item_site.item_id AND s.site_id = inventory_item_site.site_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_item_site(bigint, bigint) IS 'SKU@SITE of an item at a site.';

-- inventory_refresh_each does the refresh of locked pools for the sweep: one that fails keeps no other from what time has changed.
CREATE FUNCTION distsync_internal.inventory_refresh_each(item_ids bigint[], site_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
BEGIN
	BEGIN
		PERFORM distsync_internal.inventory_refresh(item_ids, site_ids);
		PERFORM distsync_internal.base_exception_close('stock_stuck', e.trace_key, 'the pool could be derived') FROM sync.exception e
		WHERE e.kind = 'stock_stuck' AND e.state IN ('open', 'acknowledged')
			AND e.trace_key IN (SELECT distsync_internal.inventory_item_site(u.item_id, u.site_id) FROM unnest(item_ids, site_ids) u(item_id, site_id));
		RETURN;
	EXCEPTION WHEN OTHERS THEN
		-- what the whole transaction has to repeat is no fault of a pool
		IF distsync_internal.base_passing(SQLSTATE) THEN
			RAISE;
		END IF;
		IF cardinality(item_ids) = 1 THEN
			PERFORM distsync_internal.base_exception('stock_stuck', t.trace_key, 'stock', 'error', NULL, 'item_site', t.trace_key, jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM))
			FROM (SELECT distsync_internal.inventory_item_site(item_ids[1], site_ids[1]) AS trace_key) t;
			RETURN;
		END IF;
	END;
	FOR k IN SELECT DISTINCT u.item_id, u.site_id FROM unnest(item_ids, site_ids) u(item_id, site_id) ORDER BY 1, 2 LOOP
		PERFORM distsync_internal.inventory_refresh_each(ARRAY[k.item_id], ARRAY[k.site_id]);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_refresh_each(bigint[], bigint[]) IS
	'Refreshes these pools together, or where that fails each alone: what fails then opens the exception stock_stuck of its item and site (details: sqlstate, message), which closes when it succeeds. The caller holds the pools'' locks.';

-- inventory_sweep does what time alone changes, for the clerk: ends holds nobody asked about, and re-derives pools whose supply came
-- due or whose lots expired. Answers are exact without it; it keeps counters and listeners current.
CREATE FUNCTION distsync_internal.inventory_sweep(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	items bigint[];
	sites bigint[];
	cold record;
BEGIN
	SELECT * INTO cold FROM distsync_internal.inventory_cold(max_rows);
	-- to take back the slots of a hot pool is dear: its holds end together, once a second
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT x.item_id, x.site_id, x.valid_until FROM dist.stock_pool x
		WHERE x.valid_until IS NOT NULL AND x.valid_until <= (SELECT clock_timestamp()) AND NOT distsync_internal.inventory_is_stuck(x.item_id, x.site_id) AND (x.slots = 0 OR x.valid_until <= clock_timestamp() - interval '1 second' OR x.cap_until <= clock_timestamp())
		UNION SELECT y.item_id, y.site_id, y.valid_until FROM dist.stock_pool_slot y WHERE y.valid_until <= (SELECT clock_timestamp()) - interval '1 second' AND NOT distsync_internal.inventory_is_stuck(y.item_id, y.site_id)
		ORDER BY 3 LIMIT max_rows) k;
	IF items IS NULL AND cold.items IS NULL THEN
		RETURN 0;
	END IF;
	-- both at once: pools have one order
	PERFORM distsync_internal.inventory_lock(items || cold.items, sites || cold.sites);
	IF cold.items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_cool(cold.items, cold.sites);
	END IF;
	IF items IS NOT NULL THEN
		PERFORM distsync_internal.inventory_refresh_each(items, sites);
	END IF;
	RETURN COALESCE(cardinality(items), 0) + COALESCE(cardinality(cold.items), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_sweep(integer) IS 'Clerk task: expires due holds, re-derives pools that time has changed, takes slots from pools that are not hot any more. A pool that cannot be derived is left for a minute, and an exception tells of it. Returns the number of pools treated.';

-- inventory_sweep_due does the answer to "when is there work again".
CREATE FUNCTION distsync_internal.inventory_sweep_due() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT least((SELECT p.valid_until FROM dist.stock_pool p WHERE p.valid_until IS NOT NULL AND p.slots = 0 AND NOT distsync_internal.inventory_is_stuck(p.item_id, p.site_id) ORDER BY p.valid_until LIMIT 1),
		(SELECT min(s.valid_until) + interval '1 second' FROM dist.stock_pool_slot s WHERE s.valid_until IS NOT NULL AND NOT distsync_internal.inventory_is_stuck(s.item_id, s.site_id)),
		(SELECT min(e.last_seen_at) + interval '1 minute' FROM sync.exception e WHERE e.kind = 'stock_stuck' AND e.state IN ('open', 'acknowledged')),
		(SELECT least(min(p.cap_until), min(p.valid_until) + interval '1 second') FROM (SELECT DISTINCT s.item_id, s.site_id FROM dist.stock_pool_slot s) k JOIN dist.stock_pool p ON p.item_id = k.item_id AND p.site_id = k.site_id AND p.slots > 0 WHERE NOT distsync_internal.inventory_is_stuck(p.item_id, p.site_id)),
		(SELECT min(h.changed_at) + distsync_internal.inventory_hot_for() FROM (SELECT max(s.changed_at) AS changed_at FROM dist.stock_pool_slot s GROUP BY s.item_id, s.site_id) h))
$$;
COMMENT ON FUNCTION distsync_internal.inventory_sweep_due() IS 'Earliest instant at which a hold expires, a pool changes by time alone or a hot one may have cooled down; NULL = none.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('clerk', 'inventory_sweep', 'distsync_internal.inventory_sweep'),
	('clerk', 'inventory_sweep.next_due', 'distsync_internal.inventory_sweep_due');
