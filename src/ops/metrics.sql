-- metrics(): numbers for dashboards. Every source is a handler of kind metric; other rooms add theirs.

-- metrics does the asking of every source. One that fails counts in distsync_metric_errors and stops no other.
CREATE FUNCTION distsync.metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	h record;
BEGIN
	FOR h IN SELECT r.name, r.function FROM distsync_internal.handler r WHERE r.kind = 'metric' AND distsync_internal.ops_is_set_up() ORDER BY r.ordinal, r.name COLLATE "C" LOOP
		BEGIN
			RETURN QUERY EXECUTE format('SELECT * FROM %s()', h.function);
			RETURN QUERY SELECT 'distsync_metric_errors'::text, jsonb_build_object('source', h.name), 0::numeric, 'gauge'::text, 'Whether a source of metrics failed when it was asked.'::text;
		EXCEPTION WHEN OTHERS THEN
			RETURN QUERY SELECT 'distsync_metric_errors'::text, jsonb_build_object('source', h.name), 1::numeric, 'gauge'::text, 'Whether a source of metrics failed when it was asked.'::text;
		END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync.metrics() IS
	'Numbers of all rooms: name (Prometheus style), labels (flat object), value, type (gauge | counter), help. Names do not change within a major version. Empty before setup().';

-- metrics_text does the writing in the text format of Prometheus, so that any exporter can pass it on as it is. One sample told by
-- two rooms is written once: twice would make the whole page invalid.
CREATE FUNCTION distsync.metrics_text() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		SELECT COALESCE(string_agg(f.family, '' ORDER BY f.name COLLATE "C"), '')
		FROM (SELECT m.name,
				format(E'# HELP %s %s\n# TYPE %s %s\n', m.name, replace(replace(min(m.help), '\', '\\'), E'\n', '\n'), m.name, min(m.type))
				|| string_agg(format(E'%s%s %s\n', m.name, '{' || l.pairs || '}', m.value), '' ORDER BY l.pairs COLLATE "C" NULLS FIRST) AS family
			FROM (SELECT DISTINCT ON (x.name, COALESCE(x.labels, '{}')) * FROM distsync.metrics() x ORDER BY x.name, COALESCE(x.labels, '{}'), x.value DESC NULLS LAST) m
			CROSS JOIN LATERAL (
				SELECT string_agg(format('%s="%s"', e.key, replace(replace(replace(e.value, '\', '\\'), '"', '\"'), E'\n', '\n')), ',' ORDER BY e.key COLLATE "C") AS pairs
				FROM jsonb_each_text(COALESCE(m.labels, '{}')) e WHERE e.key ~ '^[a-zA-Z_][a-zA-Z0-9_]*$' AND e.value IS NOT NULL) l
			WHERE m.name ~ '^[a-zA-Z_:][a-zA-Z0-9_:]*$' AND m.value IS NOT NULL
			GROUP BY m.name) f);
END
$$;
COMMENT ON FUNCTION distsync.metrics_text() IS 'metrics() in the text exposition format of Prometheus, version 0.0.4: families in order of name, labels in order, escaped. Names and labels that the format forbids are left out.';

-- ops_metrics does the house's own numbers: identity, workers, what nobody has routed, doubtful streams, how fast it was.
CREATE FUNCTION distsync_internal.ops_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY
	SELECT 'distsync_instance_active', '{}'::jsonb, (distsync_internal.instance_state() = 'active')::integer::numeric, 'gauge', 'Whether the workers of this database may send.'
	UNION ALL
	SELECT 'distsync_worker_up', jsonb_build_object('kind', w.kind), (w.pid IS NOT NULL)::integer, 'gauge', 'Whether a worker runs.' FROM distsync_internal.ops_workers() w
	UNION ALL
	SELECT 'distsync_worker_restarts_total', jsonb_build_object('kind', w.kind), w.restarts, 'counter', 'Restarts of a worker since the server started.' FROM distsync_internal.ops_workers() w WHERE w.restarts IS NOT NULL;
	RETURN QUERY
	SELECT m.* FROM distsync_internal.ops_outbox_waiting() w CROSS JOIN LATERAL (VALUES
		('distsync_outbox_waiting', jsonb_build_object('outbox', w.lane_group), w.rows::numeric, 'gauge', 'Outbox rows not yet routed; counts to 100000.'),
		('distsync_outbox_oldest_seconds', jsonb_build_object('outbox', w.lane_group), COALESCE(extract(epoch FROM t - w.oldest_at), 0), 'gauge', 'Age of the oldest outbox row not yet routed.')) m;
	RETURN QUERY
	SELECT 'distsync_stock_stream_doubtful', jsonb_build_object('source', s.source, 'stream', s.stream), (s.gap_from IS NOT NULL OR COALESCE(s.last_received_at + s.max_lag < t, false))::integer, 'gauge', 'Whether a stream of stock events has a gap or is silent.' FROM dist.stock_stream s
	UNION ALL
	SELECT m.* FROM distsync.slo_status() s CROSS JOIN LATERAL (VALUES
		('distsync_flow_seconds', jsonb_build_object('flow', s.flow, 'quantile', '0.5'), extract(epoch FROM s.p50), 'gauge', 'Duration of a flow over the window of its objective.'),
		('distsync_flow_seconds', jsonb_build_object('flow', s.flow, 'quantile', '0.95'), extract(epoch FROM s.p95), 'gauge', 'Duration of a flow over the window of its objective.'),
		('distsync_flow_seconds', jsonb_build_object('flow', s.flow, 'quantile', '0.99'), extract(epoch FROM s.p99), 'gauge', 'Duration of a flow over the window of its objective.'),
		('distsync_flow_cases', jsonb_build_object('flow', s.flow), s.total::numeric, 'gauge', 'Cases of a flow over the window of its objective.'),
		('distsync_slo_budget_left', jsonb_build_object('flow', s.flow), s.budget_left, 'gauge', 'Share of the error budget of an objective that is left.')) m
	WHERE s.total > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.ops_metrics() IS 'Handler of metrics(): instance, workers, outbox, streams of stock, flows.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('metrics', '{reader,integrator,operator,admin}'), ('metrics_text', '{reader,integrator,operator,admin}');
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('metric', 'house', 10, 'distsync_internal.ops_metrics');
