-- status(), health(), doctor(), metrics(), objectives, progress: what is said when something is wrong.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
\set VERBOSITY default
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SELECT v, distsync_internal.ops_age(v) FROM unnest(ARRAY['0.42 s', '31 s', '4 min', '5 h', '3 days', '-1 s', NULL]::interval[]) v;
-- a row of doctor() that is fine says nothing about mending; one that is not says what to do
SELECT count(*) FROM distsync.doctor() WHERE ok IS NULL OR check_name IS NULL OR detail IS NULL OR ok AND (hint IS NOT NULL OR sql_to_fix IS NOT NULL) OR NOT ok AND hint IS NULL;
SELECT check_name, ok FROM distsync.doctor() WHERE check_name IN ('owner may look', 'setup', 'version', 'preload', 'roles', 'role attributes', 'grants on functions', 'grants on tables', 'members', 'owner', 'partitions ahead', 'clock');
-- what was found to be wrong, check by check, in one transaction that ends in nothing
BEGIN;
DELETE FROM sync.dead_letter;
DELETE FROM sync.inbox;
DELETE FROM sync.refused;
DELETE FROM sync.reconcile_run;
DELETE FROM sync.latency;
DELETE FROM sync.exception;
DELETE FROM sync.progress;
CREATE ROLE regress_ops_other;
GRANT EXECUTE ON FUNCTION distsync.status() TO PUBLIC;
REVOKE EXECUTE ON FUNCTION distsync.health() FROM distsync_operator;
GRANT SELECT ON sync.secret TO distsync_admin;
ALTER ROLE distsync_reader LOGIN;
ALTER TABLE dist.channel OWNER TO regress_ops_other;
CREATE SCHEMA regress_ops;
CREATE FUNCTION regress_ops.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
ALTER FUNCTION regress_ops.spy() OWNER TO regress_ops_other;
CREATE TRIGGER inbox_spy_trg AFTER INSERT ON sync.inbox FOR EACH ROW EXECUTE FUNCTION regress_ops.spy();
CREATE RULE outbox_none AS ON DELETE TO sync.outbox_item DO INSTEAD NOTHING;
ALTER EXTENSION btree_gist ADD TABLE dist.carrier;
INSERT INTO sync.outbox_customer (at, kind, event_type, entity, entity_key) VALUES ('2001-01-01', 'document', 'order.accepted', 'order', 'OPS-1');
UPDATE dist.epoch SET stamped_at = clock_timestamp() + interval '1 hour' WHERE domain = 'clock';
UPDATE sync.partition_policy SET ahead = 3 WHERE table_name = 'sync.audit';
INSERT INTO sync.endpoint (code, system, url, failing_since) VALUES ('ops-wms-2', 'wms', 'https://wms.example', clock_timestamp() - interval '4 minutes');
INSERT INTO sync.endpoint (code, system, url, state, state_reason) VALUES ('ops-shop', 'shop', 'https://shop.example', 'disabled', '410 Gone');
INSERT INTO sync.dead_letter (delivery_id, endpoint_id, lane_key, reason, attempts, died_at) SELECT 1, endpoint_id, 'order/1', 'exhausted', 9, clock_timestamp() - interval '2 hours' FROM sync.endpoint WHERE code = 'ops-wms-2';
INSERT INTO sync.inbox (source, message_id, received_at, headers, body, body_sha256, state, sqlstate) VALUES ('ops', 'm1', clock_timestamp() - interval '1 hour', '{}', '', '', 'quarantined', 'SD001'), ('ops', 'm2', clock_timestamp() - interval '9 minutes', '{}', '', '', 'received', NULL);
INSERT INTO dist.stock_stream (source, stream, gap_from, gap_since) VALUES ('ops', 'moves', 17, clock_timestamp() - interval '30 minutes');
UPDATE sync.schema_version SET applied_at = applied_at - interval '3 days';
INSERT INTO sync.latency (flow, minute, bucket, n, sum_us) VALUES ('price', date_trunc('minute', clock_timestamp()), 60, 90, 90 * 32768), ('price', date_trunc('minute', clock_timestamp()), 100, 10, 10 * 33554432::bigint);
SELECT check_name, regexp_replace(regexp_replace(detail, '_p[0-9]{10}', '_pYYYYMMDDHH'), '[0-9]+ (rows|d$)', 'N \1', 'g') AS detail FROM distsync.doctor()
WHERE NOT ok AND (check_name IN ('role attributes', 'grants on functions', 'grants on tables', 'members', 'owner', 'foreign trigger', 'foreign rule', 'partitions ahead', 'clock', 'outbox', 'reconcile stock', 'verify')
	OR check_name = 'default partition' AND detail LIKE '%outbox_customer%' OR check_name = 'objective' AND detail LIKE 'price%');
SELECT check_name, sql_to_fix FROM distsync.doctor() WHERE NOT ok AND check_name IN ('role attributes', 'grants on functions', 'grants on tables', 'members', 'owner', 'foreign trigger', 'foreign rule', 'partitions ahead', 'reconcile stock', 'verify');
SELECT ready, outbox_waiting > 0 AS outbox, outbox_oldest > '20 years' AS old, dead_letters, inbox_waiting, quarantined FROM distsync.health();
SELECT distsync.status() ~ '^(degraded|paused): .* · [0-9]+ workers? · outbox [0-9]+ \(oldest [0-9]+ d\) · 1 dead · inbox 1 \(1 quarantined\) · reconcile .* · [0-9]+ warnings: ' AS as_documented;
SELECT name, labels, value, type FROM distsync.metrics() WHERE name = 'distsync_stock_stream_doubtful' AND labels ->> 'source' = 'ops' OR name = 'distsync_flow_cases' ORDER BY name COLLATE "C", labels;
SELECT flow, total, good, ratio, met, budget_left, burn_5m, p50, p95, p99 FROM distsync.slo_status() WHERE flow = 'price';
ROLLBACK;
-- docs/operations.md, "Rows in a default partition"
BEGIN;
INSERT INTO sync.audit (at, role, verb, entity) VALUES ('2001-01-15', 'ops', 'ops_test', 'nothing');
LOCK TABLE sync.audit;
CREATE TEMP TABLE waiting AS TABLE sync.audit_default;
TRUNCATE sync.audit_default;
SELECT distsync_internal.schema_add_partition('sync.audit', 'sync.audit_p2001010100', '2001-01-01 00:00+00', '2001-02-01 00:00+00');
INSERT INTO sync.audit SELECT * FROM waiting;
SELECT tableoid::regclass, verb FROM sync.audit WHERE verb = 'ops_test';
SELECT detail FROM distsync.doctor() WHERE check_name = 'default partition' AND detail LIKE '%audit%';
ROLLBACK;
-- pause() is told
SELECT distsync.pause('ops test');
SELECT live, ready, state FROM distsync.health();
SELECT distsync.status() LIKE 'paused: %' AS paused;
UPDATE sync.instance SET paused_reason = NULL;
-- a check that fails is told, and stops no other; so is a source of metrics, and an invariant
CREATE FUNCTION distsync_internal.ops_test_broken() RETURNS TABLE (a text) LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken on purpose''; END';
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('doctor', 'ops_broken', 1, 'distsync_internal.ops_test_broken'), ('metric', 'ops_broken', 1, 'distsync_internal.ops_test_broken'), ('verify', 'ops_broken', 1, 'distsync_internal.ops_test_broken');
SELECT check_name, ok, detail FROM distsync.doctor() WHERE check_name IN ('ops_broken', 'setup');
SELECT labels, value FROM distsync.metrics() WHERE name = 'distsync_metric_errors' AND labels ->> 'source' IN ('house', 'ops_broken');
SELECT * FROM distsync.verify('nothing like it');
-- the text format: families in order, labels escaped, names the format forbids left out, a sample told twice written once
DELETE FROM distsync_internal.handler WHERE function = 'distsync_internal.ops_test_broken';
DROP FUNCTION distsync_internal.ops_test_broken();
CREATE FUNCTION distsync_internal.ops_test_metrics() RETURNS TABLE (name text, labels jsonb, value numeric, type text, help text) LANGUAGE sql AS $$
	VALUES ('ops_b_total', '{"path": "C:\\x \"y\"\nz", "a": "1"}'::jsonb, 1.50, 'counter', E'Two\nlines.'), ('ops_b_total', '{"a": "0"}', 2, 'counter', E'Two\nlines.'), ('ops_b_total', '{"a": "0"}', 1, 'counter', E'Two\nlines.'),
		('ops_a', '{}', 3, 'gauge', 'Plain.'), ('9bad', '{}', 1, 'gauge', 'No.'), ('ops_c', '{"bad-name": "x", "good": "y"}', 1, 'gauge', 'Half.'), ('ops_d', NULL, NULL, 'gauge', 'Nothing.')
$$;
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('metric', 'ops_test', 'distsync_internal.ops_test_metrics');
SELECT line FROM string_to_table(distsync.metrics_text(), E'\n') WITH ORDINALITY t(line, n) WHERE line ~ 'ops_[abcd]|9bad' ORDER BY n;
DELETE FROM distsync_internal.handler WHERE name = 'ops_test';
DROP FUNCTION distsync_internal.ops_test_metrics();
-- objectives
SELECT distsync.set_slo('ops_flow', '2 seconds', 0.95, '{"over": "1 day"}');
SELECT * FROM sync.slo WHERE flow = 'ops_flow';
SELECT distsync.set_slo('ops_flow', NULL);
SELECT count(*) FROM sync.slo WHERE flow = 'ops_flow';
SELECT distsync.set_slo('ops_flow', '-1 second');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.set_slo('ops_flow', '1 second', 'NaN');
\echo :LAST_ERROR_SQLSTATE
-- progress
INSERT INTO sync.progress VALUES ('ops load', 'rates', 25, 100, '2026-01-01 10:00', '2026-01-01 10:05'), ('ops open end', '', 5, NULL, '2026-01-01 10:00', '2026-01-01 10:05');
SELECT * FROM distsync.progress() WHERE operation LIKE 'ops %' ORDER BY operation;
DELETE FROM sync.progress WHERE operation LIKE 'ops %';
-- retention
INSERT INTO sync.idempotency VALUES ('ops', 'submit_order', 'old', '', '{}', clock_timestamp() - interval '50 days'), ('ops', 'submit_order', 'new', '', '{}', clock_timestamp());
DELETE FROM sync.progress WHERE operation = 'ops.retention';
SELECT distsync_internal.ops_retain(100) >= 1 AS worked, distsync_internal.ops_retain(100) AS again, distsync_internal.ops_retain(100) AS rests;
SELECT key FROM sync.idempotency WHERE source = 'ops';
DELETE FROM sync.idempotency WHERE source = 'ops';
-- who may look
SET ROLE distsync_reader;
SELECT distsync.status() <> '' AS status, (SELECT live FROM distsync.health()) AS live, (SELECT count(*) > 0 FROM distsync.metrics()) AS metrics;
SELECT * FROM distsync.doctor();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
