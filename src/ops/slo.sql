-- Objectives: how fast each flow is wanted, and how fast it was, from the histogram sync.latency.

-- slo_status does the reckoning over the histogram. A bucket is known by its upper end, so a case near the threshold counts as late.
CREATE FUNCTION distsync.slo_status()
RETURNS TABLE (flow text, threshold interval, objective numeric, over interval, total bigint, good bigint, ratio numeric, met boolean, budget_left numeric,
	burn_5m numeric, burn_1h numeric, burn_6h numeric, p50 interval, p95 interval, p99 interval)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	WITH f AS (
		SELECT COALESCE(s.flow, l.flow) AS flow, s.threshold, s.objective, COALESCE(s.over, interval '30 days') AS over
		FROM sync.slo s FULL JOIN (SELECT DISTINCT x.flow FROM sync.latency x) l ON l.flow = s.flow
	), h AS (
		SELECT f.flow, l.bucket, sum(l.n) AS n, f.objective,
			bool_or(power(2::numeric, l.bucket / 4.0) <= extract(epoch FROM f.threshold) * 1000000) AS fast,
			sum(l.n) FILTER (WHERE l.minute > clock_timestamp() - interval '5 minutes') AS n5, sum(l.n) FILTER (WHERE l.minute > clock_timestamp() - interval '1 hour') AS n60,
			sum(l.n) FILTER (WHERE l.minute > clock_timestamp() - interval '6 hours') AS n360
		FROM f JOIN sync.latency l ON l.flow = f.flow AND l.minute > clock_timestamp() - f.over
		GROUP BY f.flow, l.bucket, f.objective
	), c AS (
		SELECT h.*, sum(h.n) OVER (PARTITION BY h.flow ORDER BY h.bucket) AS upto, sum(h.n) OVER (PARTITION BY h.flow) AS whole FROM h
	), q AS (
		SELECT c.flow, max(c.whole) AS whole, sum(c.n) FILTER (WHERE c.fast) AS fast,
			sum(c.n5) AS t5, sum(c.n5) FILTER (WHERE NOT c.fast) AS b5, sum(c.n60) AS t60, sum(c.n60) FILTER (WHERE NOT c.fast) AS b60, sum(c.n360) AS t360, sum(c.n360) FILTER (WHERE NOT c.fast) AS b360,
			min(c.bucket) FILTER (WHERE c.upto >= 0.50 * c.whole) AS q50, min(c.bucket) FILTER (WHERE c.upto >= 0.95 * c.whole) AS q95, min(c.bucket) FILTER (WHERE c.upto >= 0.99 * c.whole) AS q99
		FROM c GROUP BY c.flow
	)
	SELECT f.flow, f.threshold, f.objective, f.over, COALESCE(q.whole, 0)::bigint, CASE WHEN f.threshold IS NOT NULL THEN COALESCE(q.fast, 0)::bigint END, r.ratio, COALESCE(r.ratio >= f.objective, true),
		round(1 - (1 - r.ratio) / (1 - f.objective), 4),
		round(COALESCE(q.b5, 0) / nullif(q.t5, 0) / (1 - f.objective), 2), round(COALESCE(q.b60, 0) / nullif(q.t60, 0) / (1 - f.objective), 2), round(COALESCE(q.b360, 0) / nullif(q.t360, 0) / (1 - f.objective), 2),
		make_interval(secs => power(2::double precision, q.q50 / 4.0) / 1000000), make_interval(secs => power(2::double precision, q.q95 / 4.0) / 1000000), make_interval(secs => power(2::double precision, q.q99 / 4.0) / 1000000)
	FROM f
	LEFT JOIN q ON q.flow = f.flow
	CROSS JOIN LATERAL (SELECT CASE WHEN f.threshold IS NOT NULL THEN round(COALESCE(q.fast, 0) / nullif(q.whole, 0), 6) END) AS r(ratio)
	ORDER BY f.flow COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync.slo_status() IS
	'A row for each flow with an objective or with cases: threshold, objective, window, cases in all and within the threshold, their share, whether the objective is met (true without cases or objective), share of the error budget left (negative = overspent), burn rates over 5 minutes, 1 and 6 hours (1 = the budget just lasts), median, 95th and 99th percentile over the window (upper ends of buckets a fourth of an octave wide).';

-- set_slo does the setting of an objective, or its removal.
CREATE FUNCTION distsync.set_slo(flow text, threshold interval, objective numeric DEFAULT 0.999, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	before jsonb := (SELECT to_jsonb(s) FROM sync.slo s WHERE s.flow = set_slo.flow);
	after jsonb;
BEGIN
	options := distsync_internal.base_options(options, '{over:interval}');
	IF COALESCE(btrim(set_slo.flow), '') = '' OR set_slo.threshold <= '0' OR COALESCE(round(set_slo.objective, 6) NOT BETWEEN 0.000001 AND 0.999999, true) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'an objective needs a flow, a threshold above 0 and a share between 0 and 1',
			DETAIL = format('Field: flow, threshold, objective. Values: %s, %s, %s.', set_slo.flow, set_slo.threshold, set_slo.objective), HINT = 'For example set_slo(''release'', ''5 minutes'', 0.999). A threshold of NULL removes the objective.';
	END IF;
	IF set_slo.threshold IS NULL THEN
		DELETE FROM sync.slo s WHERE s.flow = set_slo.flow;
	ELSE
		INSERT INTO sync.slo AS s (flow, threshold, objective, over)
		VALUES (set_slo.flow, set_slo.threshold, set_slo.objective, COALESCE((set_slo.options ->> 'over')::interval, '30 days'))
		ON CONFLICT (flow) DO UPDATE SET threshold = excluded.threshold, objective = excluded.objective, over = excluded.over
		RETURNING to_jsonb(s) INTO after;
	END IF;
	PERFORM distsync_internal.base_audit('set_slo', 'slo', set_slo.flow, before, after);
	RETURN set_slo.flow;
END
$$;
COMMENT ON FUNCTION distsync.set_slo(text, interval, numeric, jsonb) IS
	'Sets the objective of a flow: this share of its cases takes no longer than threshold. Options: over (window, 30 days). threshold NULL removes it. Flows are stock, release, price, order ... and codes of routes. Audited. Returns the flow. Errors: SD002.';

-- ops_retain does the forgetting of answers to commands, whose keys are unique for 40 days. The clerk calls at each of its rounds; once
-- nothing is left to do, an hour passes.
CREATE FUNCTION distsync_internal.ops_retain(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
	n integer;
BEGIN
	IF EXISTS (SELECT FROM sync.progress p WHERE p.operation = 'ops.retention' AND p.updated_at > t - interval '1 hour') THEN
		RETURN 0;
	END IF;
	DELETE FROM sync.idempotency i WHERE (i.source, i.verb, i.key) IN (SELECT x.source, x.verb, x.key FROM sync.idempotency x WHERE x.answered_at < t - interval '40 days' LIMIT max_rows);
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n = 0 THEN
		INSERT INTO sync.progress AS p (operation, phase, started_at, updated_at) VALUES ('ops.retention', 'done', t, clock_timestamp())
		ON CONFLICT (operation) DO UPDATE SET phase = excluded.phase, started_at = excluded.started_at, updated_at = excluded.updated_at;
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_retain(integer) IS 'Clerk task: deletes answers of commands older than 40 days, in steps of max_rows; once none is left it rests for an hour. Returns rows deleted.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('slo_status', '{reader,integrator,operator,admin}'), ('set_slo', '{operator,admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('clerk', 'ops_retain', 920, 'distsync_internal.ops_retain');
