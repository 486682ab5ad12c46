-- History: stock as of any instant, and balances made anew from nothing but what was told.

-- inventory_folded does the fold of what was told: the events there are, and the checkpoint of those that are not kept any more. It is
-- the one place that says what a balance is.
CREATE FUNCTION distsync_internal.inventory_folded(first_item bigint, last_item bigint, for_site bigint, as_of timestamptz, known_at timestamptz)
RETURNS TABLE (item_id bigint, site_id bigint, perspective text, state text, lot text, owner_id bigint, quantity numeric, last_event_at timestamptz, counted_at timestamptz, kept_from timestamptz, known_from timestamptz)
LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT x.item_id, x.site_id, x.perspective, x.state, x.lot, x.owner_id, sum(x.quantity), max(x.event_at), max(x.counted_at), max(x.kept_from), max(x.known_from)
	FROM (
		SELECT e.item_id, e.site_id, e.perspective, e.state, e.lot, e.owner_id, e.quantity, e.event_at, CASE WHEN e.kind = 'count' THEN e.event_at END AS counted_at,
			NULL::timestamptz AS kept_from, NULL::timestamptz AS known_from
		FROM dist.stock_event e
		WHERE (first_item IS NULL OR e.item_id BETWEEN first_item AND last_item) AND (for_site IS NULL OR e.site_id = for_site)
			AND (inventory_folded.as_of IS NULL OR e.event_at <= inventory_folded.as_of) AND (inventory_folded.known_at IS NULL OR e.recorded_at <= inventory_folded.known_at)
		UNION ALL
		SELECT c.item_id, c.site_id, c.perspective, c.state, c.lot, c.owner_id, c.quantity, c.last_event_at, c.counted_at, c.last_event_at, c.as_of
		FROM dist.stock_checkpoint c
		WHERE (first_item IS NULL OR c.item_id BETWEEN first_item AND last_item) AND (for_site IS NULL OR c.site_id = for_site)) x
	GROUP BY x.item_id, x.site_id, x.perspective, x.state, x.lot, x.owner_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_folded(bigint, bigint, bigint, timestamptz, timestamptz) IS
	'Balances as the fold of checkpoint and events: of items from first to last (NULL = all), of a site (NULL = all), with events that happened up to as_of and were known at known_at (NULL = all); base units. kept_from, known_from: where there is a checkpoint, the instants before which nothing can be said of that key (NULL = no checkpoint).';

CREATE TYPE distsync_internal.inventory_stock AS (
	item		text,
	site		text,
	perspective	text,
	state		text,
	lot			text,
	owner		text,
	quantity	numeric,
	unit		text,
	last_event_at	timestamptz,
	counted_at	timestamptz,
	as_of		timestamptz,
	known_at	timestamptz
);
COMMENT ON TYPE distsync_internal.inventory_stock IS 'A balance as of an instant: codes, lot ('''' = none), owner (NULL = us), quantity in the base unit, business time of the newest event and of the last count in it, the instant it holds for (NULL = with everything told), and the stamp it can be asked for again with (options.known_at).';

-- stock_as_of does the looking back: what there was at an instant, by what we know now or by what we knew then.
CREATE FUNCTION distsync.stock_as_of(item text DEFAULT NULL, site text DEFAULT NULL, as_of timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_stock
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	wanted jsonb := distsync_internal.base_options(stock_as_of.options, '{known_at:instant,perspective:book|phys,state:text,lot:text,owner:text}');
	known timestamptz := (wanted->>'known_at')::timestamptz;
	for_item bigint := CASE WHEN stock_as_of.item IS NOT NULL THEN distsync_internal.master_item(stock_as_of.item, 'item') END;
	for_site bigint := CASE WHEN stock_as_of.site IS NOT NULL THEN distsync_internal.master_site(stock_as_of.site, 'site') END;
	for_owner bigint := CASE WHEN wanted->>'owner' IS NOT NULL THEN distsync_internal.master_party(wanted->>'owner', 'options.owner') END;
	gone record;
BEGIN
	IF wanted->>'state' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.stock_state s WHERE s.state = wanted->>'state') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('unknown stock state "%s"', wanted->>'state'), COLUMN = 'options.state', DETAIL = 'Field: options.state.', HINT = 'Use a state of dist.stock_state.';
	END IF;
	SELECT max(c.last_event_at) AS kept_from, max(c.as_of) AS known_from INTO gone FROM dist.stock_checkpoint c
	WHERE (for_item IS NULL OR c.item_id = for_item) AND (for_site IS NULL OR c.site_id = for_site) AND (wanted->>'perspective' IS NULL OR c.perspective = wanted->>'perspective')
		AND (wanted->>'state' IS NULL OR c.state = wanted->>'state') AND (wanted->>'lot' IS NULL OR c.lot = wanted->>'lot') AND (for_owner IS NULL OR c.owner_id = for_owner);
	IF stock_as_of.as_of < gone.kept_from OR known < gone.known_from THEN
		RAISE EXCEPTION USING ERRCODE = 'SD043', MESSAGE = 'stock of that instant is not known any more', COLUMN = CASE WHEN stock_as_of.as_of < gone.kept_from THEN 'as_of' ELSE 'options.known_at' END,
			DETAIL = format('Field: %s. Events of this stock are kept from %s on; what was known is kept from %s on.', CASE WHEN stock_as_of.as_of < gone.kept_from THEN 'as_of' ELSE 'options.known_at' END, gone.kept_from, gone.known_from),
			HINT = 'Ask for a later instant. sync.partition_policy says for how long events of dist.stock_event are kept.';
	END IF;
	RETURN QUERY
	SELECT i.sku, s.code, f.perspective, f.state, f.lot, p.code, f.quantity, i.base_unit, f.last_event_at, f.counted_at, stock_as_of.as_of, COALESCE(least(known, q.changed_at), known)
	FROM distsync_internal.inventory_folded(for_item, for_item, for_site, stock_as_of.as_of, known) f
	JOIN dist.item i ON i.item_id = f.item_id
	JOIN dist.site s ON s.site_id = f.site_id
	LEFT JOIN dist.party p ON p.party_id = f.owner_id AND f.owner_id <> 0
	LEFT JOIN dist.stock_pool q ON q.item_id = f.item_id AND q.site_id = f.site_id
	WHERE (wanted->>'perspective' IS NULL OR f.perspective = wanted->>'perspective') AND (wanted->>'state' IS NULL OR f.state = wanted->>'state')
		AND (wanted->>'lot' IS NULL OR f.lot = wanted->>'lot') AND (for_owner IS NULL OR f.owner_id = for_owner)
	ORDER BY i.sku COLLATE "C", s.code COLLATE "C", f.perspective COLLATE "C", f.state COLLATE "C", f.lot COLLATE "C", p.code COLLATE "C" NULLS FIRST;
END
$$;
COMMENT ON FUNCTION distsync.stock_as_of(text, text, timestamptz, jsonb) IS
	'Balances of an item (NULL = all) at a site (NULL = all) as of a business instant, with what happened at it (NULL = with everything told: equal to dist.stock_balance). Options: known_at (only what we had been told by then: an answer''s own known_at gives the same answer for ever, and so does the known_at of atp()), perspective book | phys, state, lot, owner. A row for each key that was ever told of by then, also where it is 0; quantities in the base unit. Late events count where they belong: a count is a barrier also in the past. Reads only, also on a standby. Errors: SD001 unknown code, SD002 option, SD043 the instant lies before what is kept.';

CREATE TYPE distsync_internal.inventory_rebuilt AS (
	item		text,
	site		text,
	perspective	text,
	state		text,
	lot			text,
	owner		text,
	before		numeric,
	after		numeric
);
COMMENT ON TYPE distsync_internal.inventory_rebuilt IS 'A balance that was not the fold of its events: codes, lot ('''' = none), owner (NULL = us), base units before (NULL = there was none) and after (NULL = nothing was ever told of it). Equal numbers: only its instants were wrong. State in_flight (perspective NULL): what the warehouse had told of the document in lot and the book had not, before and after.';

-- inventory_unfolded does the finding of balances that are not the fold of what was told.
CREATE FUNCTION distsync_internal.inventory_unfolded(first_item bigint, last_item bigint, for_site bigint)
RETURNS TABLE (item_id bigint, site_id bigint, perspective text, state text, lot text, owner_id bigint, before numeric, after numeric, last_event_at timestamptz, counted_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
	cleared timestamptz := distsync_internal.inventory_kept_until('distsync.stock_retention', statement_timestamp());
BEGIN
	RETURN QUERY
	SELECT item_id, site_id, perspective, state, lot, owner_id, b.quantity, f.quantity, f.last_event_at, f.counted_at
	FROM (SELECT * FROM dist.stock_balance x WHERE x.item_id BETWEEN first_item AND last_item AND (for_site IS NULL OR x.site_id = for_site)) b
	FULL JOIN distsync_internal.inventory_folded(first_item, last_item, for_site, NULL, NULL) f USING (item_id, site_id, perspective, state, lot, owner_id)
	WHERE (b.quantity IS DISTINCT FROM f.quantity OR b.last_event_at IS DISTINCT FROM f.last_event_at OR b.counted_at IS DISTINCT FROM f.counted_at)
		-- what was cleared away (retain.sql) is not missed
		AND (b.quantity IS NOT NULL OR lot = '' OR f.quantity <> 0 OR f.last_event_at < cleared IS NOT TRUE);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_unfolded(bigint, bigint, bigint) IS
	'Balances of items from first to last, at a site (NULL = all), that differ from checkpoint and events: quantity before (NULL = no balance) and after (NULL = nothing was told), with the instants it should have.';

-- inventory_rebuild_balances does the setting of the balances of some items to their folds, where they differ. Expiry of a lot is no
-- matter of events: a balance that is new has that of its lot.
CREATE FUNCTION distsync_internal.inventory_rebuild_balances(first_item bigint, last_item bigint, for_site bigint, dry boolean)
RETURNS TABLE (item_id bigint, site_id bigint, perspective text, state text, lot text, owner_id bigint, before numeric, after numeric)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF dry THEN
		RETURN QUERY SELECT u.item_id, u.site_id, u.perspective, u.state, u.lot, u.owner_id, u.before, u.after FROM distsync_internal.inventory_unfolded(first_item, last_item, for_site) u;
		RETURN;
	END IF;
	RETURN QUERY
	WITH d AS MATERIALIZED (
		SELECT * FROM distsync_internal.inventory_unfolded(first_item, last_item, for_site)
	), gone AS (
		DELETE FROM dist.stock_balance b USING d
		WHERE d.after IS NULL AND b.item_id = d.item_id AND b.site_id = d.site_id AND b.perspective = d.perspective AND b.state = d.state AND b.lot = d.lot AND b.owner_id = d.owner_id
	), put AS (
		INSERT INTO dist.stock_balance AS b (item_id, site_id, perspective, state, lot, owner_id, quantity, last_event_at, counted_at, expires_on)
		SELECT d.item_id, d.site_id, d.perspective, d.state, d.lot, d.owner_id, d.after, d.last_event_at, d.counted_at,
			CASE WHEN d.before IS NULL AND d.lot <> '' THEN distsync_internal.inventory_lot_expiry(d.item_id, d.lot) END
		FROM d WHERE d.after IS NOT NULL
		ON CONFLICT ON CONSTRAINT stock_balance_pk DO UPDATE SET quantity = excluded.quantity, version = b.version + 1, last_event_at = excluded.last_event_at, counted_at = excluded.counted_at
	)
	SELECT d.item_id, d.site_id, d.perspective, d.state, d.lot, d.owner_id, d.before, d.after FROM d;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_rebuild_balances(bigint, bigint, bigint, boolean) IS
	'Sets balances of items from first to last, at a site (NULL = all), to the fold of their events; dry: changes nothing. Returns those that differ. The caller holds the pools'' locks, from before the statement, unless dry.';

-- inventory_keys does the listing of all pairs of item and site that anything was told of.
CREATE FUNCTION distsync_internal.inventory_keys(first_item bigint, last_item bigint, for_site bigint, OUT items bigint[], OUT sites bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
BEGIN
	SELECT array_agg(k.item_id), array_agg(k.site_id) INTO items, sites
	FROM (SELECT p.item_id, p.site_id FROM dist.stock_pool p WHERE p.item_id BETWEEN first_item AND last_item
		UNION SELECT b.item_id, b.site_id FROM dist.stock_balance b WHERE b.item_id BETWEEN first_item AND last_item
		UNION SELECT e.item_id, e.site_id FROM dist.stock_event e WHERE e.item_id BETWEEN first_item AND last_item
		UNION SELECT c.item_id, c.site_id FROM dist.stock_checkpoint c WHERE c.item_id BETWEEN first_item AND last_item
		UNION SELECT s.item_id, s.site_id FROM dist.supply s WHERE s.item_id BETWEEN first_item AND last_item
		UNION SELECT d.item_id, d.site_id FROM dist.demand d WHERE d.item_id BETWEEN first_item AND last_item
		UNION SELECT r.item_id, r.site_id FROM dist.reservation r WHERE r.item_id BETWEEN first_item AND last_item AND r.state IN ('held', 'committed')) k
	WHERE for_site IS NULL OR k.site_id = for_site;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_keys(bigint, bigint, bigint) IS 'Pairs of item and site, of items from first to last and a site (NULL = all), that have stock, events, supply, demand, reservations or a pool; NULL if there is none.';

-- inventory_rebuild_pools does the deriving of those pools that do not keep what is true: counters from the reservations, the rest from
-- the terms. Pools that are right stay untouched, so that nobody is told of nothing.
CREATE FUNCTION distsync_internal.inventory_rebuild_pools(items bigint[], sites bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	t timestamptz := clock_timestamp();
	bad_items bigint[];
	bad_sites bigint[];
BEGIN
	SELECT array_agg(p.item_id), array_agg(p.site_id) INTO bad_items, bad_sites
	FROM distsync_internal.inventory_terms(items, sites, t) m
	JOIN dist.stock_pool p ON p.item_id = m.item_id AND p.site_id = m.site_id
	CROSS JOIN LATERAL (SELECT COALESCE(sum(r.quantity - r.committed), 0) AS held, COALESCE(sum(r.committed - r.shipped), 0) AS committed
		FROM dist.reservation r WHERE r.item_id = p.item_id AND r.site_id = p.site_id AND r.state IN ('held', 'committed')) v
	WHERE p.valid_until <= t OR p.held <> v.held OR p.committed <> v.committed OR p.phys IS DISTINCT FROM m.phys + m.outside OR p.book IS DISTINCT FROM m.book + m.in_flight
		OR p.due <> m.due OR p.low <> m.low OR p.inbound <> m.inbound OR NOT p.waiting AND distsync_internal.inventory_waits(p.item_id, p.site_id, t) OR p.cap <> distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, 'conservative', NULL) + m.low
		OR (p.backorder_cap, p.safety, p.ruled) IS DISTINCT FROM (m.backorder, m.safety, m.ruled) OR p.shortfall <> greatest(0, p.held + p.committed - p.cap - p.safety - p.backorder_cap);
	IF bad_items IS NULL THEN
		RETURN 0;
	END IF;
	PERFORM distsync_internal.inventory_derive(bad_items, bad_sites);
	RETURN cardinality(bad_items);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_rebuild_pools(bigint[], bigint[]) IS
	'Derives those of these pools (arrays of equal length) that differ from their reservations and terms. The caller holds their locks. Returns how many.';

-- rebuild_stock does the making anew of balances from what was told, and of pools from balances, items in their order, a thousand at
-- once, so that it needs little memory. It is one transaction: whoever writes to these items waits for its end.
CREATE FUNCTION distsync.rebuild_stock(item text DEFAULT NULL, site text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_rebuilt
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	wanted jsonb := distsync_internal.base_options(rebuild_stock.options, '{dry_run:boolean,reason:text}');
	dry boolean := COALESCE((wanted->>'dry_run')::boolean, false);
	for_item bigint := CASE WHEN rebuild_stock.item IS NOT NULL THEN distsync_internal.master_item(rebuild_stock.item, 'item') END;
	for_site bigint := CASE WHEN rebuild_stock.site IS NOT NULL THEN distsync_internal.master_site(rebuild_stock.site, 'site') END;
	first_item bigint := COALESCE(for_item, 0);
	last_item bigint;
	keys record;
	balances bigint := 0;
	pools bigint := 0;
	flights bigint := 0;
	n bigint;
BEGIN
	LOOP
		SELECT max(i.item_id) INTO last_item FROM (SELECT x.item_id FROM dist.item x WHERE x.item_id >= first_item AND (for_item IS NULL OR x.item_id = for_item) ORDER BY x.item_id LIMIT 1000) i;
		EXIT WHEN last_item IS NULL;
		SELECT * INTO keys FROM distsync_internal.inventory_keys(first_item, last_item, for_site);
		IF keys.items IS NOT NULL AND NOT dry THEN
			PERFORM distsync_internal.inventory_lock(keys.items, keys.sites);
		END IF;
		-- statements of their own, so that they see what was committed while we waited
		RETURN QUERY
		SELECT i.sku, s.code, d.perspective, d.state, d.lot, p.code, d.before, d.after
		FROM distsync_internal.inventory_rebuild_balances(first_item, last_item, for_site, dry) d
		LEFT JOIN dist.item i ON i.item_id = d.item_id
		LEFT JOIN dist.site s ON s.site_id = d.site_id
		LEFT JOIN dist.party p ON p.party_id = d.owner_id AND d.owner_id <> 0
		ORDER BY i.sku COLLATE "C", s.code COLLATE "C", d.perspective COLLATE "C", d.state COLLATE "C", d.lot COLLATE "C", p.code COLLATE "C" NULLS FIRST;
		GET DIAGNOSTICS n = ROW_COUNT;
		balances := balances + n;
		RETURN QUERY
		SELECT i.sku, s.code, NULL, 'in_flight', d.reference, NULL, d.was_phys - d.was_book, d.phys - d.book FROM distsync_internal.inventory_unflown(keys.items, keys.sites, false) d
		LEFT JOIN dist.item i ON i.item_id = d.item_id LEFT JOIN dist.site s ON s.site_id = d.site_id ORDER BY i.sku COLLATE "C", s.code COLLATE "C", d.reference COLLATE "C";
		GET DIAGNOSTICS n = ROW_COUNT;
		flights := flights + n;
		IF keys.items IS NOT NULL AND NOT dry THEN
			IF n > 0 THEN
				PERFORM distsync_internal.inventory_net_anew(keys.items, keys.sites);
			END IF;
			pools := pools + distsync_internal.inventory_rebuild_pools(keys.items, keys.sites);
		END IF;
		first_item := last_item + 1;
	END LOOP;
	IF NOT dry THEN
		PERFORM distsync_internal.base_audit('rebuild_stock', 'stock_balance', concat_ws('@', COALESCE(rebuild_stock.item, '*'), COALESCE(rebuild_stock.site, '*')), NULL,
			jsonb_build_object('balances', balances, 'in_flight', flights, 'pools', pools), wanted->>'reason');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync.rebuild_stock(text, text, jsonb) IS
	'Makes the balances of an item (NULL = all) at a site (NULL = all) anew from checkpoint and events, from zero, then what is in flight, and derives the pools that do not keep what is true then. A row for each balance, and each movement in flight, that was changed, with the quantity before and after; no row = all were right, and nothing was written. Options: dry_run (tell, change nothing; also on a standby), reason (for the audit). Holds the pools'' locks until the end of the transaction, taken in their order: promises and events of these items wait. Audited. Errors: SD001 unknown item or site, SD002 option.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('stock_as_of', '{reader,order_entry,integrator,operator,admin}'), ('rebuild_stock', '{operator,admin}');
