-- Partitions of the append-only tables: made ahead of need, so that nothing is ever refused for want of one. What comes nevertheless
-- before its partition exists waits in the default partition.

-- schema_partition_name does the naming of a partition, the same on every server: parent, p, lower bound.
CREATE FUNCTION distsync_internal.schema_partition_name(parent text, kind text, lower_time timestamptz, lower_id bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT parent || '_p' || CASE kind
		WHEN 'id' THEN lower_id::text
		ELSE to_char(lower_time AT TIME ZONE 'UTC', 'YYYYMMDDHH24') END
$$;
COMMENT ON FUNCTION distsync_internal.schema_partition_name(text, text, timestamptz, bigint) IS
	'Qualified name of the partition of a parent table that starts at the given bound.';

-- schema_add_partition does the creation of one partition. It takes its lock under lock_timeout and leaves it for the next round if
-- somebody is in the way, because a busy table must not wait for housekeeping.
CREATE FUNCTION distsync_internal.schema_add_partition(parent text, partition text, lower_bound text, upper_bound text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
	IF to_regclass(partition) IS NOT NULL THEN
		RETURN false;
	END IF;
	-- %s is a name that schema_partition_name made of one out of sync.partition_policy, and a regclass
	EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', partition::text, parent::regclass, lower_bound, upper_bound);
	EXECUTE format('COMMENT ON TABLE %s IS %L', partition, format('Partition of %s from %s to %s.', parent, lower_bound, upper_bound));
	RETURN true;
EXCEPTION
	WHEN lock_not_available THEN
		RETURN false;
	WHEN check_violation THEN
		RAISE WARNING USING ERRCODE = 'SD002', MESSAGE = format('rows of partition "%s" already wait in the default partition', partition),
			HINT = 'They are safe there; move them when the table is quiet: see docs/operations.md.';
		RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_add_partition(text, text, text, text) IS
	'Creates one partition if it is missing. Returns false if it was there, a lock was in the way, or its rows already wait in the default partition.';

-- schema_drop_partition does the dropping of a partition, if nobody is in the way: housekeeping does not wait.
CREATE FUNCTION distsync_internal.schema_drop_partition(parent text, partition text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
	-- %s is a regclass
	EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent::regclass, partition::regclass);
	EXECUTE format('DROP TABLE %s', partition::regclass);
	RETURN true;
EXCEPTION
	WHEN lock_not_available OR object_in_use THEN
		RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_drop_partition(text, text) IS 'Drops a partition under a short lock_timeout. Returns false if somebody was in the way: the next round tries again.';

-- schema_old_partitions does the listing of partitions of a table that end before an instant.
CREATE FUNCTION distsync_internal.schema_old_partitions(parent text, before timestamptz) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT n.nspname || '.' || quote_ident(c.relname)
	FROM pg_inherits i
	JOIN pg_class c ON c.oid = i.inhrelid
	JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE i.inhparent = to_regclass(parent) AND NOT i.inhdetachpending AND pg_has_role(c.relowner, 'USAGE')
		AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= before
	ORDER BY c.relname COLLATE "C"
$$;
COMMENT ON FUNCTION distsync_internal.schema_old_partitions(text, timestamptz) IS 'Partitions by time that end at or before an instant, oldest first; never the default partition, nor one that people made and own.';

-- schema_ensure_partitions does what sync.partition_policy asks: every partition from now to "ahead" steps from now exists.
CREATE FUNCTION distsync_internal.schema_ensure_partitions(max_rows integer DEFAULT 100) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p record;
	low timestamptz;
	high timestamptz;
	first_id bigint;
	made integer := 0;
BEGIN
	FOR p IN SELECT * FROM sync.partition_policy ORDER BY table_name COLLATE "C"
	LOOP
		IF p.kind = 'time' THEN
			low := CASE WHEN p.step_time >= '1 month' THEN date_trunc('month', clock_timestamp(), 'UTC') ELSE date_trunc('day', clock_timestamp(), 'UTC') END;
			FOR i IN 0 .. p.ahead LOOP
				high := (low AT TIME ZONE 'UTC' + p.step_time) AT TIME ZONE 'UTC';
				made := made + distsync_internal.schema_add_partition(p.table_name,
					distsync_internal.schema_partition_name(p.table_name, 'time', low, NULL), low::text, high::text)::integer;
				low := high;
			END LOOP;
		ELSE
			first_id := distsync_internal.schema_top_id(p.table_name) / p.step_id * p.step_id;
			FOR i IN 0 .. p.ahead LOOP
				made := made + distsync_internal.schema_add_partition(p.table_name,
					distsync_internal.schema_partition_name(p.table_name, 'id', NULL, first_id + i * p.step_id),
					(first_id + i * p.step_id)::text, (first_id + (i + 1) * p.step_id)::text)::integer;
			END LOOP;
		END IF;
	END LOOP;
	RETURN 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_ensure_partitions(integer) IS
	'Clerk task: keeps partitions ready ahead of need, as sync.partition_policy says. Returns 0: there is never a reason to call again at once.';

-- schema_top_id does the look-up of the highest key of an id-partitioned table: one index probe.
CREATE FUNCTION distsync_internal.schema_top_id(parent text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	top bigint;
BEGIN
	CASE parent
		WHEN 'sync.inbox' THEN SELECT max(inbox_id) INTO top FROM sync.inbox;
		WHEN 'sync.event' THEN SELECT max(position) INTO top FROM sync.event;
		WHEN 'sync.delivery', 'sync.attempt' THEN SELECT max(delivery_id) INTO top FROM sync.delivery;
		ELSE
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('table "%s" is not partitioned by an id', parent),
				DETAIL = 'Field: sync.partition_policy.kind.', HINT = 'Set kind to "time" for this table.';
	END CASE;
	RETURN COALESCE(top, 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_top_id(text) IS 'Highest key of a table partitioned by id, 0 when empty.';

-- schema_default_partitions does the creation of default and hash partitions, once, for every partitioned parent.
CREATE FUNCTION distsync_internal.schema_default_partitions() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT n.nspname || '.' || c.relname AS name, p.partstrat
		FROM pg_partitioned_table p
		JOIN pg_class c ON c.oid = p.partrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('dist', 'sync')
		ORDER BY 1
	LOOP
		-- %s is a name out of the catalog, of our own schemas, or a number
		IF t.partstrat = 'r' AND to_regclass(t.name || '_default') IS NULL THEN
			EXECUTE format('CREATE TABLE %s PARTITION OF %s DEFAULT', t.name || '_default', t.name);
			EXECUTE format('COMMENT ON TABLE %s IS %L', t.name || '_default', format('Default partition of %s: empty while partitions are made in time.', t.name));
		ELSIF t.partstrat = 'h' THEN
			FOR i IN 0 .. 7 LOOP
				IF to_regclass(t.name || '_h' || i) IS NULL THEN
					EXECUTE format('CREATE TABLE %s PARTITION OF %s FOR VALUES WITH (MODULUS 8, REMAINDER %s)', t.name || '_h' || i, t.name, i);
					EXECUTE format('COMMENT ON TABLE %s IS %L', t.name || '_h' || i, format('Hash partition %s of %s.', i, t.name));
				END IF;
			END LOOP;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.schema_default_partitions() IS 'Part of setup(): default partition of each range-partitioned table, eight parts of each hash-partitioned one.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('clerk', 'partitions', 900, 'distsync_internal.schema_ensure_partitions');
