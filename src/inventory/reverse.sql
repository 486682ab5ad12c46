-- Reversals, and those that are told before their original: they wait for it, and are applied with it.

-- inventory_reverse does the posting of reversals, under the pools' locks and after the events of the call: those of the call, and
-- those that waited for an event of it. Where the original is not known yet, or is seen now at a site that we have not locked, the
-- reversal waits.
CREATE FUNCTION distsync_internal.inventory_reverse(told distsync_internal.inventory_event[], source text, correlation_id uuid, items bigint[], sites bigint[],
	OUT movements distsync_internal.inventory_movement[], OUT faults jsonb, OUT waits integer[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	batch distsync_internal.inventory_event[] := ARRAY(SELECT e FROM unnest(told) e WHERE e.kind = 'reverse' ORDER BY e.ordinal);
	-- what is known now and may have been waited for
	new_items bigint[] := ARRAY(SELECT e.item_id FROM unnest(told) e WHERE e.kind <> 'reverse' ORDER BY e.ordinal);
	new_keys text[] := ARRAY(SELECT e.event_key FROM unnest(told) e WHERE e.kind <> 'reverse' ORDER BY e.ordinal);
	legs distsync_internal.inventory_movement[];
	late integer[];
BEGIN
	movements := '{}';
	IF cardinality(batch) > 0 THEN
		-- what others told while we waited for the locks may have reversed the same
		SELECT jsonb_object_agg(e.ordinal, jsonb_build_array(e.sqlstate, e.field, e.message, e.hint)) INTO faults
		FROM unnest(distsync_internal.inventory_reversals(batch, source)) e WHERE e.outcome = 'rejected';
		batch := ARRAY(SELECT e FROM unnest(batch) e WHERE faults->e.ordinal::text IS NULL);
	END IF;
	LOOP
		IF EXISTS (SELECT FROM dist.stock_reversal) THEN
			batch := batch || distsync_internal.inventory_reversals_due(new_items, new_keys, source);
		END IF;
		EXIT WHEN cardinality(batch) = 0;
		legs := COALESCE(distsync_internal.inventory_movements(batch, source, correlation_id), '{}');
		late := ARRAY(SELECT e.ordinal FROM unnest(batch) e
			WHERE NOT EXISTS (SELECT FROM unnest(legs) m WHERE m.ordinal = e.ordinal)
				OR EXISTS (SELECT FROM unnest(legs) m WHERE m.ordinal = e.ordinal AND NOT EXISTS (SELECT FROM unnest(items, sites) k(item_id, site_id) WHERE k.item_id = m.item_id AND k.site_id = m.site_id))
				-- a shipment that never happened gives back what was promised, wherever that is
				OR EXISTS (SELECT FROM unnest(legs) m JOIN dist.demand d ON d.demand_key = m.reference AND d.item_id = m.item_id
					WHERE m.ordinal = e.ordinal AND NOT EXISTS (SELECT FROM unnest(items, sites) k(item_id, site_id) WHERE k.item_id = d.item_id AND k.site_id = d.site_id)));
		PERFORM distsync_internal.inventory_wait(ARRAY(SELECT e FROM unnest(batch) e WHERE e.ordinal = ANY (late)), source, correlation_id);
		legs := ARRAY(SELECT m FROM unnest(legs) m WHERE m.ordinal <> ALL (late));
		PERFORM distsync_internal.inventory_post(legs);
		movements := movements || legs;
		-- a reversal that is posted now may be reversed itself
		SELECT COALESCE(array_agg(e.item_id), '{}'), COALESCE(array_agg(e.event_key), '{}') INTO new_items, new_keys FROM unnest(batch) e WHERE e.ordinal <> ALL (late);
		batch := '{}';
	END LOOP;
	waits := ARRAY(SELECT e.ordinal FROM unnest(told) e JOIN dist.stock_reversal w ON w.item_id = e.item_id AND w.source = inventory_reverse.source AND w.reverses = e.reverses AND w.event_key = e.event_key
		WHERE e.kind = 'reverse');
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reverse(distsync_internal.inventory_event[], text, uuid, bigint[], bigint[]) IS
	'Posts the reversals of a call, whose other events are posted already, and those that waited for these. items, sites: the pools that the caller has locked. Returns what was posted; faults {"ordinal": [sqlstate, field, message, hint]} of reversals that are not written; ordinals of those that wait in dist.stock_reversal. Errors: SD006 too many wait.';

-- inventory_reversals_due does the taking of reversals that waited for these events. One that waited for a count was in vain: a count
-- is not undone.
CREATE FUNCTION distsync_internal.inventory_reversals_due(item_ids bigint[], event_keys text[], source text) RETURNS distsync_internal.inventory_event[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	due distsync_internal.inventory_event[] := '{}';
	w record;
	e distsync_internal.inventory_event;
	fault text[];
BEGIN
	FOR w IN
		DELETE FROM dist.stock_reversal x USING (SELECT DISTINCT u.item_id, u.event_key FROM unnest(item_ids, event_keys) u(item_id, event_key)) k
		WHERE x.item_id = k.item_id AND x.source = inventory_reversals_due.source AND x.reverses = k.event_key
		RETURNING x.*
	LOOP
		e := NULL;
		e.ordinal := -1 - cardinality(due);
		e.kind := 'reverse';
		e.item_id := w.item_id;
		e.site_id := w.site_id;
		e.event_key := w.event_key;
		e.reverses := w.reverses;
		e.stream := w.stream;
		e.sequence := w.sequence;
		SELECT ARRAY[r.sqlstate, r.message] INTO fault FROM unnest(distsync_internal.inventory_reversals(ARRAY[e], inventory_reversals_due.source)) r WHERE r.outcome = 'rejected';
		PERFORM distsync_internal.base_exception_close('reversal_waiting', concat_ws(':', inventory_reversals_due.source, w.event_key), 'its event came');
		IF fault IS NULL THEN
			due := due || e;
		ELSE
			PERFORM distsync_internal.base_exception('reversal_refused', concat_ws(':', inventory_reversals_due.source, w.event_key), 'stock', 'warning', NULL, 'stock_event', w.event_key,
				jsonb_build_object('source', inventory_reversals_due.source, 'event_id', w.event_key, 'reverses', w.reverses, 'sku', (SELECT i.sku FROM dist.item i WHERE i.item_id = w.item_id), 'message', fault[2]));
		END IF;
	END LOOP;
	RETURN due;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reversals_due(bigint[], text[], text) IS
	'Takes the reversals that wait for these events (arrays of equal length) of a source out of dist.stock_reversal, closes their exceptions and returns them as events with ordinals below 0. Those that cannot be become the exception reversal_refused.';

-- inventory_wait does the putting aside of reversals whose original is not known yet. How many may wait is bounded: a source that
-- reverses what it never told must not fill the table.
CREATE FUNCTION distsync_internal.inventory_wait(reversals distsync_internal.inventory_event[], source text, correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most bigint := COALESCE(NULLIF(current_setting('distsync.reversals_waiting', true), '')::integer, 100000);
	n bigint;
BEGIN
	IF cardinality(reversals) = 0 THEN
		RETURN;
	END IF;
	n := cardinality(reversals) + (SELECT count(*) FROM (SELECT FROM dist.stock_reversal w WHERE w.source = inventory_wait.source LIMIT most) x);
	IF n > most THEN
		RAISE EXCEPTION USING ERRCODE = 'SD006', MESSAGE = format('too many reversals of source "%s" wait for events that were never told', source), COLUMN = 'reverses', TABLE = 'stock_event',
			DETAIL = format('Field: reverses. %s would wait, %s may (distsync.reversals_waiting).', n, most), HINT = 'Let the source send the events first, or delete from dist.stock_reversal what will never come.';
	END IF;
	INSERT INTO dist.stock_reversal (item_id, source, reverses, event_key, site_id, stream, sequence, correlation_id)
	SELECT e.item_id, inventory_wait.source, e.reverses, e.event_key, e.site_id, e.stream, e.sequence, inventory_wait.correlation_id
	FROM unnest(reversals) e ORDER BY e.item_id, e.reverses COLLATE "C"
	ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_wait(distsync_internal.inventory_event[], text, uuid) IS 'Puts reversals into dist.stock_reversal. Errors: SD006 more than distsync.reversals_waiting of the source would wait.';

-- inventory_reversal_sweep does the look at what waits, for the clerk, once a minute: what has an original after all (told at the same
-- time, at another site) is applied, what waits for too long is shown to people.
CREATE FUNCTION distsync_internal.inventory_reversal_sweep(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
	patience interval := COALESCE(NULLIF(current_setting('distsync.reversal_patience', true), ''), '1 day')::interval;
	s record;
	k record;
	moved distsync_internal.inventory_movement[];
	n integer := 0;
BEGIN
	IF NOT EXISTS (SELECT FROM dist.stock_reversal) OR EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'stock reversals' AND p.updated_at BETWEEN t - interval '1 minute' AND t) THEN
		RETURN 0;
	END IF;
	INSERT INTO sync.progress AS p (operation, started_at, updated_at) VALUES ('stock reversals', t, t) ON CONFLICT (operation) DO UPDATE SET updated_at = excluded.updated_at;
	-- the legs of all at once: locks are taken in one order
	SELECT array_agg(o.item_id) AS items, array_agg(o.site_id) AS sites, array_agg(DISTINCT o.reference) FILTER (WHERE o.reference IS NOT NULL) AS keys INTO k
	FROM (SELECT x.source, x.item_id, x.reverses FROM dist.stock_reversal x ORDER BY x.recorded_at LIMIT max_rows) w
	JOIN dist.stock_event o ON o.item_id = w.item_id AND o.source = w.source AND o.event_key = w.reverses AND o.kind <> 'offset';
	IF k.items IS NOT NULL THEN
		SELECT l.items, l.sites, k.keys INTO k FROM distsync_internal.inventory_lock_demand(k.keys, k.items, k.sites) l;
	END IF;
	FOR s IN
		SELECT w.source, array_agg(w.item_id) AS items, array_agg(w.reverses) AS keys
		FROM dist.stock_reversal w
		JOIN dist.stock_event o ON o.item_id = w.item_id AND o.source = w.source AND o.event_key = w.reverses AND o.kind <> 'offset'
			AND EXISTS (SELECT FROM unnest(k.items, k.sites) u(item_id, site_id) WHERE u.item_id = o.item_id AND u.site_id = o.site_id)
			AND NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = o.reference AND d.item_id = o.item_id AND NOT EXISTS (SELECT FROM unnest(k.items, k.sites) u(item_id, site_id) WHERE u.item_id = d.item_id AND u.site_id = d.site_id))
		GROUP BY w.source ORDER BY w.source COLLATE "C"
	LOOP
		moved := distsync_internal.inventory_movements(distsync_internal.inventory_reversals_due(s.items, s.keys, s.source), s.source, NULL);
		IF moved IS NOT NULL THEN
			PERFORM distsync_internal.inventory_post(moved);
			PERFORM distsync_internal.inventory_progress(moved);
			PERFORM distsync_internal.inventory_refresh(k.items, k.sites);
			n := n + cardinality(moved);
		END IF;
	END LOOP;
	FOR k IN
		SELECT w.*, i.sku, s.code AS site, c.code AS company FROM dist.stock_reversal w
		JOIN dist.item i ON i.item_id = w.item_id JOIN dist.site s ON s.site_id = w.site_id JOIN dist.company c ON c.company_id = s.company_id
		WHERE w.recorded_at < t - patience
			AND NOT EXISTS (SELECT FROM sync.exception e WHERE e.kind = 'reversal_waiting' AND e.trace_key = concat_ws(':', w.source, w.event_key) AND e.state IN ('open', 'acknowledged'))
		ORDER BY w.recorded_at LIMIT max_rows
	LOOP
		PERFORM distsync_internal.base_exception('reversal_waiting', concat_ws(':', k.source, k.event_key), 'stock', 'warning', k.company, 'stock_event', k.event_key,
			jsonb_build_object('source', k.source, 'event_id', k.event_key, 'reverses', k.reverses, 'sku', k.sku, 'site', k.site, 'since', k.recorded_at), NULL, NULL, NULL, k.correlation_id);
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reversal_sweep(integer) IS
	'Clerk task, once a minute while something waits: applies waiting reversals whose event is there, opens the exception reversal_waiting for those that wait for longer than distsync.reversal_patience. Returns movements posted.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('clerk', 'inventory_reversals', 'distsync_internal.inventory_reversal_sweep');
