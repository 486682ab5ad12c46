-- Replays: what is told again long after it was. Names of events are remembered as long as sync.inbox is kept; of what happened before
-- that, the events themselves say whether it was told.

-- inventory_told_already does the look for events whose names, though fresh, may have been taken and forgotten. Such an event was told
-- before it was forgotten, so it happened before that, or as far in the future as a clock may be wrong. Where the events of that time are
-- not kept any more either nobody knows. A count does no harm then, nor what comes before a count; anything else is refused.
CREATE FUNCTION distsync_internal.inventory_told_already(events distsync_internal.inventory_event[], source text, OUT twice integer[], OUT gone integer[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	until timestamptz := clock_timestamp() - greatest((SELECT y.retention FROM sync.partition_policy y WHERE y.table_name = 'sync.inbox'), interval '2 days') + interval '1 day';
BEGIN
	twice := '{}';
	gone := '{}';
	IF NOT EXISTS (SELECT FROM unnest(events) e WHERE e.outcome IS NULL AND (e.event_at < until OR e.kind = 'reverse')) THEN
		RETURN;
	END IF;
	twice := ARRAY(SELECT e.ordinal FROM unnest(events) e
		WHERE e.outcome IS NULL AND e.kind <> 'reverse' AND e.event_at < until AND EXISTS (SELECT FROM dist.stock_event o WHERE o.item_id = e.item_id AND o.site_id = e.site_id AND o.event_at = e.event_at
			AND o.source = inventory_told_already.source AND o.event_key = e.event_key AND o.kind <> 'offset')
		UNION ALL
		SELECT e.ordinal FROM unnest(events) e
		WHERE e.outcome IS NULL AND e.kind = 'reverse' AND EXISTS (SELECT FROM distsync_internal.inventory_original(e.item_id, inventory_told_already.source, e.reverses) o
			JOIN dist.stock_event c ON c.item_id = e.item_id AND c.site_id = o.site_id AND c.event_at = o.event_at AND c.corrects_id = o.event_id AND c.event_key = e.event_key));
	gone := ARRAY(SELECT e.ordinal FROM unnest(events) e
		WHERE e.outcome IS NULL AND e.kind NOT IN ('count', 'reverse') AND e.event_at < until AND e.ordinal <> ALL (twice) AND EXISTS (
			SELECT FROM (VALUES (e.site_id, e.state), (CASE e.kind WHEN 'transfer' THEN COALESCE(e.to_site_id, e.site_id) END, e.to_state)) l(site_id, state)
			JOIN dist.stock_checkpoint c ON c.item_id = e.item_id AND c.site_id = l.site_id AND c.perspective = e.perspective AND c.state = l.state AND c.lot = e.lot AND c.owner_id = e.owner_id
			LEFT JOIN dist.stock_balance b ON b.item_id = c.item_id AND b.site_id = c.site_id AND b.perspective = c.perspective AND b.state = c.state AND b.lot = c.lot AND b.owner_id = c.owner_id
			WHERE c.last_event_at >= e.event_at AND (b.counted_at > e.event_at) IS NOT TRUE));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_told_already(distsync_internal.inventory_event[], text) IS
	'Ordinals of those events still to be applied that were told before their names were forgotten (twice), and of those of which that is not known any more, because neither names nor events of that time are kept (gone).';

-- inventory_replays does the judging of a call's events by that.
CREATE FUNCTION distsync_internal.inventory_replays(events distsync_internal.inventory_event[], source text) RETURNS distsync_internal.inventory_event[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
BEGIN
	SELECT * INTO t FROM distsync_internal.inventory_told_already(events, source);
	IF cardinality(t.twice) = 0 AND cardinality(t.gone) = 0 THEN
		RETURN events;
	END IF;
	RETURN (SELECT array_agg(ROW(e.ordinal, e.event_key, e.kind, e.perspective, e.item_id, e.site_id, e.to_site_id, e.state, e.to_state, e.lot, e.owner_id, e.quantity, e.event_at, e.stream, e.sequence, e.reference,
			e.expires_on, e.reverses, e.hash, CASE WHEN e.ordinal = ANY (t.twice) THEN 'duplicate' WHEN g.gone THEN 'rejected' ELSE e.outcome END, CASE WHEN g.gone THEN 'SD043' ELSE e.sqlstate END, CASE WHEN g.gone THEN 'event_at' ELSE e.field END,
			CASE WHEN g.gone THEN format('event "%s" is too old: whether it was told before is not known any more', e.event_key) ELSE e.message END,
			CASE WHEN g.gone THEN 'Count the stock, or tell its correction as a delta of today.' ELSE e.hint END)::distsync_internal.inventory_event ORDER BY e.ordinal)
		FROM unnest(events) e CROSS JOIN LATERAL (SELECT e.ordinal = ANY (t.gone) AS gone) g);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_replays(distsync_internal.inventory_event[], text) IS 'Events with outcome duplicate where they were told before, rejected (SD043) where that is not known any more.';

-- inventory_original does the finding of the legs of an event by its name, for who reverses it. There is no index on names: an item has
-- few events of the minutes in which a name was taken, which the primary key sees without a look at the rows. Only where the name is
-- known and the event is not there (it was told again after its name was forgotten, or waited long for a lock) are all of the item looked through.
CREATE FUNCTION distsync_internal.inventory_original(item_id bigint, source text, event_key text)
RETURNS TABLE (event_id bigint, site_id bigint, event_at timestamptz, kind text, perspective text, state text, lot text, owner_id bigint, quantity numeric, reference text)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
	taken timestamptz := (SELECT d.seen_at FROM sync.dedupe d WHERE d.source = inventory_original.source AND d.key_hash = distsync_internal.inventory_event_hash(inventory_original.event_key));
	since timestamptz := COALESCE(taken - interval '1 second', '-infinity');
	until timestamptz := COALESCE(taken, clock_timestamp() - greatest((SELECT y.retention FROM sync.partition_policy y WHERE y.table_name = 'sync.inbox'), interval '2 days')) + interval '10 minutes';
BEGIN
	RETURN QUERY SELECT o.event_id, o.site_id, o.event_at, o.kind, o.perspective, o.state, o.lot, o.owner_id, o.quantity, o.reference FROM dist.stock_event o
		WHERE o.item_id = inventory_original.item_id AND o.recorded_at BETWEEN since AND until AND o.source = inventory_original.source AND o.event_key = inventory_original.event_key AND o.kind <> 'offset';
	IF NOT FOUND AND taken IS NOT NULL THEN
		RETURN QUERY SELECT o.event_id, o.site_id, o.event_at, o.kind, o.perspective, o.state, o.lot, o.owner_id, o.quantity, o.reference FROM dist.stock_event o
			WHERE o.item_id = inventory_original.item_id AND o.source = inventory_original.source AND o.event_key = inventory_original.event_key AND o.kind <> 'offset';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_original(bigint, text, text) IS
	'Legs of the event of an item that a source calls so; none if it was not told. Looks at the events recorded when the name was taken, or, where the name is not known, at those from before names were forgotten.';
