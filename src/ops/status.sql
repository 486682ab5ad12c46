-- How is it? health() for programs, status() for people, progress() for those who wait.

-- health does the look that a load balancer or a monitor may take every second: few indexes, no catalog.
CREATE FUNCTION distsync.health()
RETURNS TABLE (live boolean, ready boolean, state text, reason text, workers integer, outbox_waiting bigint, outbox_oldest interval, deliveries_waiting bigint, deliveries_oldest interval,
	dead_letters bigint, inbox_waiting bigint, inbox_oldest interval, quarantined bigint, exceptions_open bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	may_send text := distsync_internal.instance_state();
	late CONSTANT interval := '5 minutes';
BEGIN
	live := true;
	workers := (SELECT count(*) FROM distsync_internal.ops_workers() w WHERE w.pid IS NOT NULL);
	IF NOT distsync_internal.ops_is_set_up() THEN
		ready := false; state := 'not set up'; reason := 'distsync.setup() has not run in this database';
		RETURN NEXT;
		RETURN;
	END IF;
	SELECT sum(w.rows), t - min(w.oldest_at) INTO outbox_waiting, outbox_oldest FROM distsync_internal.ops_outbox_waiting() w;
	SELECT COALESCE(sum(l.deliveries), 0), t - min(l.oldest_at) INTO deliveries_waiting, deliveries_oldest FROM distsync_internal.ops_lanes_waiting() l;
	SELECT count(*) INTO dead_letters FROM sync.dead_letter d WHERE d.resolution = 'open';
	SELECT count(*), t - min(i.received_at) INTO inbox_waiting, inbox_oldest FROM sync.inbox i WHERE i.state = 'received';
	SELECT count(*) INTO quarantined FROM sync.inbox i WHERE i.state = 'quarantined';
	SELECT count(*) INTO exceptions_open FROM sync.exception e WHERE e.state IN ('open', 'acknowledged');
	ready := (SELECT v.schema = v.schema_known FROM distsync.version() v);
	reason := CASE WHEN NOT ready THEN 'the schema is not the one this extension knows: run distsync.setup()' WHEN may_send <> 'active' THEN may_send
		WHEN workers < 3 THEN format('%s of 3 workers run', workers)
		WHEN outbox_oldest > late THEN format('the outbox has not been routed for %s', distsync_internal.ops_age(outbox_oldest))
		WHEN inbox_oldest > late THEN format('the inbox has not been applied for %s', distsync_internal.ops_age(inbox_oldest)) END;
	state := CASE WHEN may_send = 'standby' THEN 'standby' WHEN ready AND may_send <> 'active' THEN 'paused' WHEN reason IS NOT NULL THEN 'degraded' ELSE 'ok' END;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync.health() IS
	'One row, cheap. live: it answers. ready: decisions may be asked here (set up, schema known; a standby is ready). state ok | paused | standby | degraded | not set up, with the reason. Workers that run (launcher, courier, clerk: 3), outbox rows not yet routed and age of the oldest (100,000 of each outbox are counted at most), deliveries waiting and age of the oldest, open dead letters, messages waiting, age of the oldest, quarantined ones, open exceptions.';

-- ops_last_runs does the part of the status line about reconciliation.
CREATE FUNCTION distsync_internal.ops_last_runs() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT string_agg(format('reconcile%s %s', CASE WHEN x.n > 1 THEN ' ' || x.code END,
		CASE WHEN x.started_at IS NULL THEN 'never' WHEN x.differing = 0 THEN to_char(x.started_at, 'HH24:MI') || ' ok'
			ELSE format('%s %s of %s differ', to_char(x.started_at, 'HH24:MI'), x.differing, x.compared) END), ' · ' ORDER BY x.code COLLATE "C")
		FROM (SELECT j.code, r.started_at, r.differing, r.compared, count(*) OVER () AS n FROM sync.reconcile_job j
			  LEFT JOIN LATERAL (SELECT * FROM sync.reconcile_run y WHERE y.job = j.code ORDER BY y.started_at DESC LIMIT 1) r ON true) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_last_runs() IS 'Last run of each reconciliation job, for the status line: reconcile 02:00 ok.';

-- status does the one line that people read first. Its warnings are the rows of doctor() that are not ok.
CREATE FUNCTION distsync.status() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	h record;
	warnings text[];
BEGIN
	SELECT * INTO h FROM distsync.health();
	IF h.state = 'not set up' THEN
		RETURN 'not set up: ' || h.reason;
	END IF;
	warnings := ARRAY(SELECT CASE WHEN d.detail ~ '^[A-Z]' THEN rtrim(d.detail, '.') ELSE concat_ws(' ', d.check_name, d.detail) END FROM distsync.doctor() WITH ORDINALITY d WHERE NOT d.ok ORDER BY d.ordinality);
	RETURN concat_ws(' · ',
		CASE WHEN h.reason LIKE h.state || ':%' THEN h.reason WHEN h.state = 'standby' THEN h.state ELSE concat_ws(': ', h.state, h.reason) END,
		format('%s worker%s', h.workers, CASE WHEN h.workers = 1 THEN '' ELSE 's' END),
		format('outbox %s%s', h.outbox_waiting + h.deliveries_waiting, ' (oldest ' || distsync_internal.ops_age(greatest(h.outbox_oldest, h.deliveries_oldest)) || ')'),
		format('%s dead', h.dead_letters),
		format('inbox %s%s', h.inbox_waiting, CASE WHEN h.quarantined > 0 THEN format(' (%s quarantined)', h.quarantined) END),
		distsync_internal.ops_last_runs(),
		CASE WHEN h.exceptions_open > 0 THEN format('%s exception%s', h.exceptions_open, CASE WHEN h.exceptions_open = 1 THEN '' ELSE 's' END) END,
		CASE WHEN cardinality(warnings) > 0 THEN format('%s warning%s: %s', cardinality(warnings), CASE WHEN cardinality(warnings) = 1 THEN '' ELSE 's' END, warnings[1]) END);
END
$$;
COMMENT ON FUNCTION distsync.status() IS
	'One line: state and reason, workers, what waits to be sent and how old the oldest is, dead letters, inbox, last reconciliation, open exceptions, warnings with the first of them. distsync.doctor() has them all, distsync.health() the numbers.';

-- progress does the listing of long work, with an estimate of its end.
CREATE FUNCTION distsync.progress() RETURNS TABLE (operation text, phase text, done bigint, total bigint, percent numeric, started_at timestamptz, updated_at timestamptz, ends_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT p.operation, p.phase, p.done, p.total, round(100.0 * p.done / nullif(p.total, 0), 1), p.started_at, p.updated_at,
		CASE WHEN p.done > 0 AND p.done < p.total THEN p.started_at + (p.updated_at - p.started_at) * (p.total::double precision / p.done) END
	FROM sync.progress p ORDER BY p.started_at DESC, p.operation COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync.progress() IS 'Long work: operation, phase, units done and in all (NULL = unknown), percent, since when, when it last moved, estimated end (NULL when it has ended, not begun or nobody knows).';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('health', '{reader,integrator,operator,admin}'), ('status', '{reader,integrator,operator,admin}'), ('progress', '{reader,integrator,operator,admin}');
