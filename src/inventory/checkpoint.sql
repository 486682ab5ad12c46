-- Checkpoints: what is left of stock events that are not kept any more. sync.partition_policy says how long they are kept.

-- inventory_forget does the dropping of one partition of stock events, its fold kept, in one commit. Old partitions do not change any
-- more, so nobody has to be locked out while it is folded; only the drop needs the table for itself, and does not wait for it.
CREATE FUNCTION distsync_internal.inventory_forget(partition text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
	-- %s is the quoted name of a partition out of the catalog
	EXECUTE format('INSERT INTO dist.stock_checkpoint AS c (item_id, site_id, perspective, state, lot, owner_id, as_of, quantity, last_event_at, counted_at)
		SELECT e.item_id, e.site_id, e.perspective, e.state, e.lot, e.owner_id, max(e.recorded_at), sum(e.quantity), max(e.event_at), max(e.event_at) FILTER (WHERE e.kind = ''count'')
		FROM %s e GROUP BY 1, 2, 3, 4, 5, 6
		ON CONFLICT ON CONSTRAINT stock_checkpoint_pk DO UPDATE SET quantity = c.quantity + excluded.quantity, as_of = greatest(c.as_of, excluded.as_of),
			last_event_at = greatest(c.last_event_at, excluded.last_event_at), counted_at = greatest(c.counted_at, excluded.counted_at)', partition);
	EXECUTE format('ALTER TABLE dist.stock_event DETACH PARTITION %s', partition);
	EXECUTE format('DROP TABLE %s', partition);
	RETURN true;
EXCEPTION
	WHEN lock_not_available OR object_in_use THEN
		RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_forget(text) IS
	'Adds the fold of a partition of dist.stock_event to the checkpoints and drops it. Returns false, with nothing changed, if somebody was in the way.';

-- inventory_retain does the round of forgetting: one partition at a time, the oldest first; where somebody is in the way, or nothing is
-- old enough, an hour passes.
CREATE FUNCTION distsync_internal.inventory_retain(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	until timestamptz := t - (SELECT y.retention FROM sync.partition_policy y WHERE y.table_name = 'dist.stock_event');
	oldest text;
	forgotten boolean := false;
BEGIN
	IF until IS NULL OR EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'stock retention' AND p.phase = 'waiting' AND p.updated_at BETWEEN t - interval '1 hour' AND t) THEN
		RETURN 0;
	END IF;
	SELECT o INTO oldest FROM distsync_internal.schema_old_partitions('dist.stock_event', until) o LIMIT 1;
	IF oldest IS NOT NULL THEN
		forgotten := distsync_internal.inventory_forget(oldest);
		DELETE FROM dist.stock_departure d WHERE d.recorded_at < until AND NOT EXISTS (SELECT FROM dist.stock_in_flight w WHERE w.item_id = d.item_id AND w.site_id = d.site_id AND w.reference = d.reference);
	END IF;
	INSERT INTO sync.progress AS p (operation, phase, done, started_at, updated_at) VALUES ('stock retention', CASE WHEN forgotten THEN 'forgetting' ELSE 'waiting' END, forgotten::integer, t, clock_timestamp())
	ON CONFLICT (operation) DO UPDATE SET phase = excluded.phase, done = p.done + excluded.done, updated_at = excluded.updated_at;
	RETURN forgotten::integer;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_retain(integer) IS
	'Clerk task: drops partitions of dist.stock_event older than sync.partition_policy keeps them (retention NULL = for ever), after adding their fold to dist.stock_checkpoint. Returns 1 when it dropped one and there may be another.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('clerk', 'inventory_retain', 810, 'distsync_internal.inventory_retain');
