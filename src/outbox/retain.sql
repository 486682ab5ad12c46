-- What is kept, and for how long: sync.partition_policy says. Whole partitions go where they can, rows in small numbers where they must.
-- Nothing goes that is not consumed: no row that is not routed, no event that waits somewhere, no dead letter that people have not seen.

-- outbox_retain_captured does the dropping of outbox partitions whose rows are all in the stream.
CREATE FUNCTION distsync_internal.outbox_retain_captured(t timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
	routed pg_snapshot := (SELECT c.snapshot FROM sync.router_cursor c WHERE c.router = 'main' AND c.target IS NULL);
	waiting boolean;
	n integer := 0;
BEGIN
	IF routed IS NULL THEN
		RETURN 0;
	END IF;
	FOR p IN SELECT o.table_name, x.partition FROM sync.partition_policy o
			 CROSS JOIN LATERAL distsync_internal.schema_old_partitions(o.table_name, t - o.retention) AS x(partition)
			 WHERE o.table_name IN ('sync.outbox_customer', 'sync.outbox_item') AND o.kind = 'time' AND o.retention IS NOT NULL
	LOOP
		-- %s is the quoted name of a partition out of the catalog
		EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE NOT pg_visible_in_snapshot(xid, $1))', p.partition) INTO waiting USING routed;
		IF NOT waiting AND distsync_internal.schema_drop_partition(p.table_name, p.partition) THEN
			n := n + 1;
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_retain_captured(timestamptz) IS 'Drops partitions of the outboxes that are older than the policy keeps them and wholly routed. Returns how many.';

-- outbox_retain_rows does the deletion of what is older than kept in the stream and behind it, a few rows at a time and the oldest first.
CREATE FUNCTION distsync_internal.outbox_retain_rows(t timestamptz, max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keep_event interval := (SELECT o.retention FROM sync.partition_policy o WHERE o.table_name = 'sync.event');
	keep_delivery interval := (SELECT o.retention FROM sync.partition_policy o WHERE o.table_name = 'sync.delivery');
	gone bigint[];
	n integer := 0;
	k integer;
BEGIN
	SELECT array_agg(o.delivery_id) INTO gone
	FROM (SELECT d.delivery_id, d.state, d.created_at FROM sync.delivery d ORDER BY d.delivery_id LIMIT max_rows) o
	WHERE o.created_at < t - keep_delivery AND o.state NOT IN ('queued', 'parked')
		AND NOT EXISTS (SELECT FROM sync.dead_letter x WHERE x.delivery_id = o.delivery_id AND x.resolution IN ('open', 'requeued'));
	IF gone IS NOT NULL THEN
		DELETE FROM sync.attempt a WHERE a.delivery_id = ANY (gone);
		DELETE FROM sync.dead_letter x WHERE x.delivery_id = ANY (gone);
		DELETE FROM sync.delivery d WHERE d.delivery_id = ANY (gone);
		n := cardinality(gone);
	END IF;
	DELETE FROM sync.event e WHERE e.position IN (
		SELECT o.position FROM (SELECT v.position, v.routed_at FROM sync.event v ORDER BY v.position LIMIT max_rows) o
		WHERE o.routed_at < t - keep_event AND NOT EXISTS (SELECT FROM sync.delivery d WHERE d.position = o.position));
	GET DIAGNOSTICS k = ROW_COUNT;
	DELETE FROM sync.latency h WHERE (h.flow, h.minute, h.bucket) IN (SELECT o.flow, o.minute, o.bucket FROM sync.latency o WHERE o.minute < t - interval '90 days' LIMIT max_rows);
	RETURN n + k;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_retain_rows(timestamptz, integer) IS
	'Deletes finished deliveries with their attempts, and events that no delivery needs, older than sync.partition_policy keeps them: of the oldest max_rows of each. Returns how many.';

-- outbox_retain does the round of housekeeping: seldom, unless the last round found much.
CREATE FUNCTION distsync_internal.outbox_retain(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	n integer;
BEGIN
	IF EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'outbox retention' AND p.updated_at BETWEEN t - interval '10 minutes' AND t AND p.done < p.total) THEN
		RETURN 0;
	END IF;
	n := distsync_internal.outbox_retain_captured(t) + distsync_internal.outbox_retain_rows(t, max_rows);
	INSERT INTO sync.progress (operation, phase, done, total, started_at, updated_at) VALUES ('outbox retention', 'last round', n, max_rows, t, clock_timestamp())
	ON CONFLICT (operation) DO UPDATE SET done = excluded.done, total = excluded.total, started_at = excluded.started_at, updated_at = excluded.updated_at;
	RETURN CASE WHEN n >= max_rows THEN n ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_retain(integer) IS 'Clerk task: every ten minutes, drops and deletes what is consumed and older than sync.partition_policy says. Returns rows, when there may be more at once.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('clerk', 'outbox_retain', 800, 'distsync_internal.outbox_retain');
