-- Ingesting: from checked events to movements, supply and demand.

-- inventory_movements does the turning of events into movements: one or two legs each; a reversal mirrors every leg of its original,
-- at the original's time, because it says that it never happened.
CREATE FUNCTION distsync_internal.inventory_movements(events distsync_internal.inventory_event[], source text, correlation_id uuid) RETURNS distsync_internal.inventory_movement[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(m.movement ORDER BY m.ordinal) FROM (
		SELECT e.ordinal, ROW(e.ordinal, e.item_id, CASE l.leg WHEN 2 THEN COALESCE(e.to_site_id, e.site_id) ELSE e.site_id END, e.perspective, CASE l.leg WHEN 2 THEN e.to_state ELSE e.state END,
			e.lot, e.owner_id, e.kind, CASE WHEN e.kind = 'count' THEN NULL WHEN l.leg = 1 AND e.kind IN ('ship', 'transfer') THEN -e.quantity ELSE e.quantity END,
			CASE WHEN e.kind = 'count' THEN e.quantity END, e.event_at, source, e.stream, e.sequence, e.reference, e.event_key, NULL, e.expires_on, correlation_id)::distsync_internal.inventory_movement AS movement
		FROM unnest(events) e JOIN (VALUES (1), (2)) l(leg) ON l.leg = 1 OR e.kind = 'transfer'
		WHERE e.outcome IS NULL AND e.kind <> 'reverse'
		UNION ALL
		SELECT e.ordinal, ROW(e.ordinal, e.item_id, o.site_id, o.perspective, o.state, o.lot, o.owner_id, 'reverse', -o.quantity, NULL, o.event_at, source, e.stream, e.sequence, o.reference, e.event_key,
			o.event_id, NULL, correlation_id)::distsync_internal.inventory_movement
		FROM unnest(events) e CROSS JOIN LATERAL distsync_internal.inventory_original(e.item_id, inventory_movements.source, e.reverses) o
		WHERE e.outcome IS NULL AND e.kind = 'reverse') m
$$;
COMMENT ON FUNCTION distsync_internal.inventory_movements(distsync_internal.inventory_event[], text, uuid) IS 'Movements of the events that are to be applied: transfers have two legs, reversals those of their original with the sign turned.';

-- inventory_progress does what movements mean for supply and demand: a receipt fulfils the supply it names, a shipment the demand it
-- names, also one that nobody has spoken of yet. Only the voice that leads at a site counts: the warehouse where there is one. Most references name neither.
CREATE FUNCTION distsync_internal.inventory_progress(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m record;
BEGIN
	PERFORM distsync_internal.inventory_receive(r.item_id, r.site_id, r.reference, r.received)
	FROM (SELECT u.item_id, u.site_id, u.reference, sum(u.quantity) AS received
		FROM unnest(movements) u
		WHERE u.reference IS NOT NULL AND u.kind IN ('receive', 'reverse') AND EXISTS (SELECT FROM dist.supply s WHERE s.item_id = u.item_id AND s.site_id = u.site_id AND s.reference = u.reference)
			AND distsync_internal.inventory_is_receipt(u.kind, u.item_id, u.site_id, u.event_at, u.corrects_id)
			AND (u.perspective = 'phys' OR NOT EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = u.item_id AND b.site_id = u.site_id AND b.perspective = 'phys'))
		GROUP BY u.item_id, u.site_id, u.reference ORDER BY u.item_id, u.site_id, u.reference) r
	WHERE r.received <> 0;
	PERFORM distsync_internal.inventory_land(movements);
	PERFORM distsync_internal.inventory_allocate_stock(movements);
	FOR m IN
		SELECT u.item_id, u.site_id, u.reference, -sum(u.quantity) AS shipped,
			EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = u.reference AND d.item_id = u.item_id) AND NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = u.reference AND d.item_id = u.item_id AND d.shipped > 0) AS spoken
		FROM unnest(movements) u
		WHERE u.reference IS NOT NULL AND (u.kind = 'ship' OR u.kind = 'reverse' AND distsync_internal.inventory_undoes_ship(u.item_id, u.site_id, u.event_at, u.corrects_id))
			AND distsync_internal.inventory_names_demand(u.reference, u.item_id)
			AND (u.perspective = 'phys' OR NOT EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = u.item_id AND b.site_id = u.site_id AND b.perspective = 'phys'))
		GROUP BY u.item_id, u.site_id, u.reference ORDER BY u.item_id, u.site_id, u.reference
	LOOP
		IF m.shipped > 0 THEN
			PERFORM distsync_internal.inventory_consume(m.item_id, m.site_id, m.reference, m.shipped);
		ELSIF m.shipped < 0 THEN
			PERFORM distsync_internal.inventory_unship(m.item_id, m.site_id, m.reference, -m.shipped);
		END IF;
		PERFORM distsync_internal.inventory_over_shipped(m.item_id, m.reference, NULL, m.spoken);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_progress(distsync_internal.inventory_movement[]) IS
	'Moves supply.received by receipts whose reference is the supply''s, takes what has arrived out of transit, consumes the demand whose key is the reference of a shipment, gives it back where a shipment never happened, and notes what the warehouse has allocated to a demand. The caller holds the locks of demands and pools.';

-- inventory_take_movements does the posting of movements and all that follows from them, under the pools' locks: reversals that are told
-- with them or waited for them, supply and demand, differences of counts, the pools.
CREATE FUNCTION distsync_internal.inventory_take_movements(moved distsync_internal.inventory_movement[], told distsync_internal.inventory_event[], source text, items bigint[], sites bigint[], correlation_id uuid,
	backfill boolean, OUT faults jsonb, OUT waits integer[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	-- plans that are kept know nothing of how many movements there are: for few that is right, and planning would take longer than all the rest
	plans text := CASE WHEN cardinality(moved) > 100 THEN set_config('plan_cache_mode', 'force_custom_plan', true) END;
	reversed record;
BEGIN
	PERFORM distsync_internal.inventory_post(moved);
	SELECT * INTO reversed FROM distsync_internal.inventory_reverse(told, source, inventory_take_movements.correlation_id, items, sites) r;
	moved := moved || reversed.movements;
	faults := reversed.faults;
	waits := reversed.waits;
	PERFORM distsync_internal.inventory_progress(moved);
	IF NOT backfill THEN
		PERFORM distsync_internal.inventory_counted(moved);
	END IF;
	PERFORM distsync_internal.inventory_refresh(items, sites, inventory_take_movements.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_movements(distsync_internal.inventory_movement[], distsync_internal.inventory_event[], text, bigint[], bigint[], uuid, boolean) IS
	'Posts movements and the reversals among these events, or that waited for them, moves supply and demand, tells differences and refreshes the pools (pairs of item and site). The caller holds the locks of the pools and has removed duplicates. Returns what inventory_reverse() says of reversals.';

-- inventory_apply_events_whole does the taking of stock events by statements: the whole way, which knows everything.
CREATE FUNCTION distsync_internal.inventory_apply_events_whole(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	plans text := CASE WHEN jsonb_array_length(docs) > 100 THEN set_config('plan_cache_mode', 'force_custom_plan', true) END;
	events distsync_internal.inventory_event[] := distsync_internal.inventory_read_events(docs, ctx->>'source');
	movements distsync_internal.inventory_movement[];
	twice integer[] := '{}';
	faults jsonb;
	waits integer[];
	items bigint[];
	sites bigint[];
BEGIN
	IF COALESCE(ctx->>'on_error', 'abort') = 'collect' OR NOT EXISTS (SELECT FROM unnest(events) e WHERE e.outcome = 'rejected') THEN
		events := distsync_internal.inventory_replays(distsync_internal.inventory_dedupe(distsync_internal.inventory_reversals(events, source), source), source);
		twice := distsync_internal.inventory_streams(events, source);
		PERFORM distsync_internal.inventory_refused(source, array_agg(e.stream ORDER BY e.ordinal), array_agg(e.sequence ORDER BY e.ordinal), (ctx->>'correlation_id')::uuid)
		FROM unnest(events) e WHERE e.outcome = 'rejected' AND e.sequence IS NOT NULL HAVING count(*) > 0;
		movements := distsync_internal.inventory_movements(ARRAY(SELECT e FROM unnest(events) e WHERE e.outcome IS NULL AND NOT e.ordinal = ANY (twice)), source, (ctx->>'correlation_id')::uuid);
		-- a reversal locks what it names too: so it and its original, told at the same time, see each other
		SELECT k.items, k.sites INTO items, sites FROM distsync_internal.inventory_lock_demand(ARRAY(SELECT DISTINCT m.reference FROM unnest(movements) m WHERE m.reference IS NOT NULL AND (m.kind IN ('ship', 'reverse') OR m.state = 'allocated')),
			ARRAY(SELECT m.item_id FROM unnest(movements) m) || ARRAY(SELECT e.item_id FROM unnest(events) e WHERE e.outcome IS NULL AND e.kind = 'reverse' ORDER BY e.ordinal),
			ARRAY(SELECT m.site_id FROM unnest(movements) m) || ARRAY(SELECT e.site_id FROM unnest(events) e WHERE e.outcome IS NULL AND e.kind = 'reverse' ORDER BY e.ordinal)) k;
		IF items IS NOT NULL THEN
			movements := ARRAY(SELECT m FROM unnest(movements) m WHERE m.kind <> 'reverse');
			SELECT d.faults, d.waits INTO faults, waits FROM distsync_internal.inventory_take_movements(movements, ARRAY(SELECT e FROM unnest(events) e WHERE e.outcome IS NULL AND NOT e.ordinal = ANY (twice)), source, items, sites,
				(ctx->>'correlation_id')::uuid, COALESCE((ctx->>'backfill')::boolean, false)) d;
			PERFORM distsync_internal.inventory_refused(source, array_agg(e.stream ORDER BY e.ordinal), array_agg(e.sequence ORDER BY e.ordinal), (ctx->>'correlation_id')::uuid, true)
			FROM unnest(events) e WHERE faults ? e.ordinal::text AND e.sequence IS NOT NULL HAVING count(*) > 0;
		END IF;
	END IF;
	RETURN QUERY SELECT e.ordinal, CASE WHEN e.ordinal = ANY (twice) THEN 'duplicate' WHEN f.fault IS NOT NULL THEN 'rejected' ELSE COALESCE(e.outcome, 'applied') END, e.event_key,
		COALESCE(f.fault->>0, e.sqlstate), COALESCE(f.fault->>1, e.field), COALESCE(f.fault->>2, e.message), COALESCE(f.fault->>3, e.hint), CASE WHEN e.ordinal = ANY (waits) THEN jsonb_build_object('waits_for', e.reverses) END
	FROM unnest(events) e CROSS JOIN LATERAL (SELECT faults->e.ordinal::text) f(fault);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_events_whole(jsonb, jsonb) IS
	'Takes stock events: resolves, dedupes by event_id and by number in the stream, posts, moves supply and demand, re-derives pools. Rows that are rejected are not written.';

-- inventory_apply_events does the entity handler of stock_event: in C where all events are plain, otherwise the whole way.
CREATE FUNCTION distsync_internal.inventory_apply_events(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'ds_sql_inventory_apply_events';
COMMENT ON FUNCTION distsync_internal.inventory_apply_events(jsonb, jsonb) IS
	'Entity handler of stock_event: the same as inventory_apply_events_whole(), faster where all events are plain.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'stock_event', 'distsync_internal.inventory_apply_events');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('stock_event', '{event_id}', 'stock', 'Something that happened to stock, or a count of it.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices) VALUES
	('stock_event', 'event_id', 'code', true, 'any', 'The sender''s own name of the event; told twice it counts once.', NULL),
	('stock_event', 'kind', 'code', true, 'any', 'What happened. count: what was found is what is there; reverse: another event never happened.', '{delta,count,receive,ship,transfer,reverse}'),
	('stock_event', 'perspective', 'code', false, 'any', 'Whose truth it is: book (ERP) or phys (warehouse). Default: by the kind of the system.', '{book,phys}'),
	('stock_event', 'sku', 'code', true, 'any', 'Item.', NULL),
	('stock_event', 'site', 'code', true, 'any', 'Site.', NULL),
	('stock_event', 'to_site', 'code', false, 'any', 'For a transfer: site it goes to.', NULL),
	('stock_event', 'state', 'code', false, 'any', 'Stock state, default available.', NULL),
	('stock_event', 'to_state', 'code', false, 'any', 'For a transfer: state it becomes. Without it and to_site stock is released: what is in quality, in_transit or returns becomes available.', NULL),
	('stock_event', 'lot', 'name', false, 'any', 'Lot or serial number; the warehouse must name it where an item is kept by lot (lot_controlled).', NULL),
	('stock_event', 'owner', 'code', false, 'any', 'Party that owns it, where it is not ours.', NULL),
	('stock_event', 'quantity', 'quantity', false, 'any', 'delta: the change, with its sign; count: what was found; otherwise what moved, above 0. Not for reverse.', NULL),
	('stock_event', 'unit', 'unit', false, 'any', 'Unit of the quantity, default the base unit.', NULL),
	('stock_event', 'event_at', 'instant', false, 'any', 'When it happened. Needed except for reverse, which has the time of its original.', NULL),
	('stock_event', 'stream', 'name', false, 'any', 'Numbered stream it belongs to.', NULL),
	('stock_event', 'sequence', 'integer', false, 'nonnegative', 'Its number in the stream.', NULL),
	('stock_event', 'reference', 'name', false, 'any', 'Document that both book and warehouse name: shipment, receipt. For receive: reference of the supply; for ship: key of the demand (company/order/line), if shipments come as stock events.', NULL),
	('stock_event', 'expires_on', 'date', false, 'any', 'Expiry of the lot.', NULL),
	('stock_event', 'reverses', 'name', false, 'any', 'For reverse: event_id of the event, of the same source and item. If it is not known yet, the reversal waits for it.', NULL);
