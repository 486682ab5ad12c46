-- What this room tells to those who watch: metrics(), verify(); and how long it keeps its runs.

-- reconcile_gap does an estimate, from above, of the longest pause between two runs of a cron expression. It need not be exact: it
-- decides when silence is called silence, whoever the scheduler is.
CREATE FUNCTION distsync_internal.reconcile_gap(schedule text) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN schedule ~ '^[0-9]+ seconds?$' THEN schedule::interval
		WHEN NOT (f[3] = '*' AND f[4] = '*' AND f[5] = '*') THEN interval '31 days'
		WHEN f[2] ~ '^\*/[0-9]+$' THEN substr(f[2], 3)::integer * interval '1 hour'
		WHEN f[2] <> '*' THEN interval '1 day'
		WHEN f[1] = '*' THEN interval '1 minute'
		WHEN f[1] ~ '^\*/[0-9]+$' THEN substr(f[1], 3)::integer * interval '1 minute'
		ELSE interval '1 hour' END
	FROM (SELECT regexp_split_to_array(btrim(schedule), '\s+')) AS x(f)
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_gap(text) IS 'Longest pause between two runs of a cron expression, estimated from above.';

-- reconcile_metrics does the counting of differences and exceptions for dashboards.
CREATE FUNCTION distsync_internal.reconcile_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	WITH r AS (
		SELECT j.code, x.* FROM sync.reconcile_job j
		JOIN LATERAL (SELECT * FROM sync.reconcile_run y WHERE y.job = j.code ORDER BY y.started_at DESC LIMIT 1) x ON true
	)
	SELECT m.* FROM r CROSS JOIN LATERAL (VALUES
		('distsync_reconcile_compared', jsonb_build_object('job', r.code), r.compared::numeric, 'gauge', 'Keys compared by the last run of a reconciliation job.'),
		('distsync_reconcile_differing', jsonb_build_object('job', r.code), r.differing::numeric, 'gauge', 'Keys that differed in the last run of a reconciliation job.'),
		('distsync_reconcile_last_run_timestamp_seconds', jsonb_build_object('job', r.code), round(extract(epoch FROM r.started_at), 3), 'gauge', 'When a reconciliation job last ran, Unix time.')) m
	UNION ALL
	SELECT 'distsync_reconcile_money_at_risk', jsonb_build_object('job', r.code, 'currency', d.currency), sum(d.money_at_risk), 'gauge', 'Value of the differences of the last run of a reconciliation job.'
	FROM r JOIN sync.reconcile_difference d ON d.run_id = r.run_id WHERE d.currency IS NOT NULL GROUP BY r.code, d.currency
	UNION ALL
	SELECT 'distsync_exceptions_open', jsonb_build_object('domain', e.domain, 'kind', e.kind, 'severity', e.severity), count(*)::numeric, 'gauge', 'Business exceptions that are open or acknowledged.'
	FROM sync.exception e WHERE e.state IN ('open', 'acknowledged') GROUP BY e.domain, e.kind, e.severity;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_metrics() IS 'Handler of metrics(): last run of each job, open exceptions.';

-- reconcile_verify does the proof that a run says what it kept.
CREATE FUNCTION distsync_internal.reconcile_verify() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT 'reconcile.run_complete', 'reconcile_run', r.run_id::text, jsonb_build_object('job', r.job, 'differing', r.differing, 'kept', d.n, 'finished_at', r.finished_at)
	FROM sync.reconcile_run r
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM sync.reconcile_difference f WHERE f.run_id = r.run_id) d
	WHERE r.differing <> d.n OR r.finished_at IS NULL OR r.compared < r.differing;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_verify() IS 'Handler of verify(): reconcile.run_complete, a run counts exactly the differences it kept.';

-- reconcile_retain does the forgetting of old runs, with their differences; exceptions stay. The last run of a job is never forgotten.
CREATE FUNCTION distsync_internal.reconcile_retain(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer;
BEGIN
	DELETE FROM sync.reconcile_run r WHERE r.run_id IN (
		SELECT x.run_id FROM sync.reconcile_job j
		CROSS JOIN LATERAL (SELECT y.run_id FROM sync.reconcile_run y
			WHERE y.job = j.code AND y.started_at < least(clock_timestamp() - interval '90 days', (SELECT max(z.started_at) FROM sync.reconcile_run z WHERE z.job = j.code))
			ORDER BY y.started_at LIMIT greatest(1, reconcile_retain.max_rows / 10)) x);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_retain(integer) IS 'Clerk task: deletes runs older than 90 days and their differences, but never the last run of a job. Returns runs deleted.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('metric', 'reconcile', 600, 'distsync_internal.reconcile_metrics'),
	('verify', 'reconcile', 600, 'distsync_internal.reconcile_verify'),
	('clerk', 'reconcile_retain', 910, 'distsync_internal.reconcile_retain');
