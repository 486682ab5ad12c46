-- inbox_apply: the clerk's half: exactly once, in order within a source, bad messages set aside with their bytes, errors that pass tried again; replay and discard.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS distsync;
\o /dev/null
SELECT distsync.setup();
\o
\set VERBOSITY terse
INSERT INTO sync.system (code, kind) VALUES ('iba_erp', 'erp');
SELECT distsync.add_source('iba_a', 'iba_erp', '{"scheme": "none", "max_attempts": 3}') IS NOT NULL AS added;
SELECT distsync.add_source('iba_b', 'iba_erp', '{"scheme": "none", "entity": "currency"}') IS NOT NULL AS added;
CREATE FUNCTION pg_temp.take(source text, id text, body text) RETURNS text LANGUAGE sql AS $$
	SELECT r.outcome FROM distsync.receive(source, jsonb_build_object('webhook-id', id), convert_to(body, 'UTF8')) r
$$;
-- work lets the clerk's task run until nothing is due
CREATE FUNCTION pg_temp.work() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	n integer;
	total integer := 0;
BEGIN
	LOOP
		n := distsync_internal.inbox_apply(100);
		total := total + n;
		EXIT WHEN n = 0;
	END LOOP;
	RETURN total;
END $$;
CREATE VIEW pg_temp.inbox AS SELECT inbox_id, source, message_id, state, entity, entity_key, outcome, attempts, sqlstate, error ->> 'field' AS field, error ->> 'message' AS message FROM sync.inbox WHERE source LIKE 'iba%';

-- the forms a message may have
SELECT pg_temp.take('iba_a', 'e1', '{"specversion": "1.0", "id": "x", "type": "currency.changed", "source": "erp", "data": {"currency": "XAA", "name": "one"}}'),
	pg_temp.take('iba_a', 'e2', '{"type": "currency", "data": [{"currency": "XAB"}, {"currency": "XAC"}]}'),
	pg_temp.take('iba_a', 'e3', '{"schema": "currency/1", "currency": "XAD"}'),
	pg_temp.take('iba_b', 'e4', '{"currency": "XAE"}'),
	pg_temp.take('iba_b', 'e5', '[{"currency": "XAF"}, {"currency": "XAG"}]'),
	pg_temp.take('iba_b', 'e6', '[]'),
	pg_temp.take('iba_a', 'e7', '{"schema": "currency/1", "currency": "XAD"}');
SELECT pg_temp.work() AS tried;
SELECT source, message_id, state, entity, entity_key, outcome, attempts FROM pg_temp.inbox ORDER BY inbox_id;
SELECT string_agg(currency, ' ' ORDER BY currency) FROM dist.currency WHERE currency LIKE 'XA_';
SELECT pg_temp.work() AS tried;
SELECT flow, sum(n) > 0 AS counted FROM sync.latency WHERE flow = 'receive' GROUP BY flow;
-- correlation goes from the message to the audit and the events; the same message again is a duplicate
SELECT pg_temp.take('iba_a', 'e1', '{"specversion": "1.0", "id": "x", "type": "currency.changed", "source": "erp", "data": {"currency": "XAA", "name": "one"}}');

-- what can not be applied is set aside, one by one, each with its own SQLSTATE; the good one behind them goes on
SELECT outcome FROM distsync.receive('iba_a', '{"webhook-id": "b01"}', '\x7b22c3287d');
SELECT id, pg_temp.take('iba_a', id, body) FROM (VALUES
	('b02', '{"schema": "currency/1", "currency": '),
	('b03', '{"schema": "currency/1", "currency": "XBA", "name": "\u0000"}'),
	('b04', '{"schema": "currency/1", "currency": "XBA", "name": "\ud800"}'),
	('b05', repeat('[', 10000)),
	('b06', repeat('{"a":', 65) || '1' || repeat('}', 65)),
	('b07', '{"schema": "currency/1", "currency": "XBA", "minor_units": 2, "minor_units": 3}'),
	('b08', '{"schema": "currency/1", "currency": "XBA", "minor_unit\u0073": 2, "minor_units": 3}'),
	('b09', '{"schema": "currency/1", "currency": "XBA", "minor_units": NaN}'),
	('b10', '{"schema": "currency/1", "currency": "XBA", "minor_units": "NaN"}'),
	('b11', '{"schema": "currency/1", "currency": "XBA", "minor_units": 1e400}'),
	('b12', '{"schema": "currency/1", "currency": "XBA", "minor_units": 1e1000000}'),
	('b13', '{"schema": "nonsense/1", "a": 1}'),
	('b14', '{"a": 1}'),
	('b15', '"text"'),
	('b16', '{"type": "currency", "data": null}'),
	('b17', ''),
	('b19', '{"schema": "currency/1", "currency": "XBB"}')) v(id, body);
SELECT pg_temp.take('iba_b', 'b20', '{"schema": "unit/1", "unit": "EA"}');
SELECT pg_temp.work() AS tried;
SELECT message_id, state, sqlstate, field, CASE WHEN field IN ('body', 'type', 'data') THEN message END AS message FROM pg_temp.inbox WHERE message_id LIKE 'b%' ORDER BY inbox_id;
SELECT message_id, encode(body, 'escape') AS bytes FROM sync.inbox WHERE source = 'iba_a' AND message_id IN ('b01', 'b02') ORDER BY inbox_id;
SELECT string_agg(currency, ' ' ORDER BY currency) FROM dist.currency WHERE currency LIKE 'XB_';
SELECT kind, trace_key, seen, state, details ->> 'message_id' AS latest FROM sync.exception WHERE trace_key LIKE 'inbox:iba%' ORDER BY kind, trace_key COLLATE "C";
SELECT source, sqlstate, field, messages FROM sync.quarantine WHERE source LIKE 'iba%' AND sqlstate = 'SD006';
SELECT inbox_id IS NOT NULL AS shown, message_id, sqlstate, field, hint IS NOT NULL AS hint, headers, body FROM distsync.quarantine('{"source": "iba_a", "sqlstate": "SD007", "body": true}');
SELECT * FROM distsync.quarantine('{"limit": 0}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.quarantine('{"from": "yesterdayish"}');
\echo :LAST_ERROR_SQLSTATE

-- errors that may pass: tried again later, followers wait behind, and after max_attempts it is set aside and they go on
CREATE FUNCTION pg_temp.busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.currency = 'XCA' THEN RAISE EXCEPTION USING ERRCODE = TG_ARGV[0], MESSAGE = 'planted', HINT = 'Wait.'; END IF; RETURN NEW; END $$;
CREATE TRIGGER currency_busy_trg BEFORE INSERT ON dist.currency FOR EACH ROW EXECUTE FUNCTION pg_temp.busy('40001');
SELECT pg_temp.take('iba_a', 'c1', '{"schema": "currency/1", "currency": "XCA"}'), pg_temp.take('iba_a', 'c2', '{"schema": "currency/1", "currency": "XCB"}'), pg_temp.take('iba_b', 'c3', '{"currency": "XCC"}');
SELECT distsync_internal.inbox_apply(1) AS tried;
UPDATE sync.inbox SET next_at = next_at + interval '1 hour' WHERE source = 'iba_a' AND message_id = 'c1';
SELECT pg_temp.work() AS tried;
SELECT message_id, state, attempts, sqlstate FROM pg_temp.inbox WHERE message_id LIKE 'c%' ORDER BY inbox_id;
SELECT distsync_internal.inbox_next_due() > clock_timestamp() AS later;
UPDATE sync.inbox SET next_at = clock_timestamp() WHERE source = 'iba_a' AND message_id = 'c1';
SELECT distsync_internal.inbox_apply(1) AS tried;
SELECT attempts, next_at > received_at AS waits FROM sync.inbox WHERE source = 'iba_a' AND message_id = 'c1';
UPDATE sync.inbox SET next_at = clock_timestamp() WHERE source = 'iba_a' AND message_id = 'c1';
SELECT pg_temp.work() AS tried;
SELECT message_id, state, attempts, sqlstate, field FROM pg_temp.inbox WHERE message_id LIKE 'c%' ORDER BY inbox_id;
-- not the first of its transaction and met a lock: its try does not count, it is the first of the next one
DROP TRIGGER currency_busy_trg ON dist.currency;
CREATE TRIGGER currency_busy_trg BEFORE INSERT ON dist.currency FOR EACH ROW EXECUTE FUNCTION pg_temp.busy('55P03');
SELECT pg_temp.take('iba_b', 'd1', '{"currency": "XDA"}'), pg_temp.take('iba_b', 'd2', '{"currency": "XCA"}');
SELECT distsync_internal.inbox_apply(100) AS tried;
SELECT message_id, state, attempts, sqlstate FROM pg_temp.inbox WHERE message_id LIKE 'd%' ORDER BY inbox_id;
SELECT distsync_internal.inbox_apply(100) AS tried;
SELECT message_id, state, attempts, sqlstate FROM pg_temp.inbox WHERE message_id LIKE 'd%' ORDER BY inbox_id;
-- a cancelled message is no bad message
DROP TRIGGER currency_busy_trg ON dist.currency;
CREATE TRIGGER currency_busy_trg BEFORE INSERT ON dist.currency FOR EACH ROW EXECUTE FUNCTION pg_temp.busy('57014');
UPDATE sync.inbox SET next_at = NULL WHERE source = 'iba_b' AND message_id = 'd2';
SELECT distsync_internal.inbox_apply(100) AS tried;
SELECT message_id, state, attempts, sqlstate FROM pg_temp.inbox WHERE message_id LIKE 'd%' ORDER BY inbox_id;
DROP TRIGGER currency_busy_trg ON dist.currency;

-- replay: tried first, then for real; what is applied is not applied again
SELECT message_id, outcome, sqlstate FROM distsync.replay_inbox(options => '{"source": "iba_a", "sqlstate": "40001"}');
SELECT count(*) FROM dist.currency WHERE currency = 'XCA';
SELECT message_id, outcome FROM distsync.replay_inbox(options => '{"source": "iba_a", "sqlstate": "40001", "dry_run": false}');
UPDATE sync.inbox SET next_at = NULL WHERE source = 'iba_b' AND message_id = 'd2';
SELECT pg_temp.work() AS tried;
SELECT message_id, state, attempts, sqlstate, outcome FROM pg_temp.inbox WHERE message_id IN ('c1', 'd2') ORDER BY inbox_id;
SELECT kind, trace_key, seen, state FROM sync.exception WHERE trace_key LIKE 'inbox:iba_a:40001%';
\set VERBOSITY sqlstate
SELECT r.outcome FROM pg_temp.inbox i, distsync.replay_inbox(i.inbox_id) r WHERE i.message_id = 'c1';
\set VERBOSITY terse
\echo :LAST_ERROR_SQLSTATE
SELECT message_id, outcome, sqlstate FROM distsync.replay_inbox(options => '{"source": "iba_a", "limit": 3}');
SELECT * FROM distsync.replay_inbox(options => '{"source": "iba_a", "discard": true, "dry_run": false}');
\echo :LAST_ERROR_SQLSTATE
SELECT message_id, outcome FROM distsync.replay_inbox(options => '{"source": "iba_a", "sqlstate": "SD007", "discard": true, "dry_run": false, "reason": "test messages"}');
SELECT trace_key, state, resolution FROM sync.exception WHERE trace_key LIKE 'inbox:iba_a:SD007%';
-- a replayed message that fails in another way changes its exception
UPDATE sync.inbox SET body = '{"schema": "nonsense/1"}', body_sha256 = sha256('{"schema": "nonsense/1"}') WHERE source = 'iba_a' AND message_id = 'b02';
UPDATE sync.dedupe SET body_sha256 = sha256('{"schema": "nonsense/1"}') WHERE inbox_id = (SELECT inbox_id FROM pg_temp.inbox WHERE message_id = 'b02');
SELECT message_id, outcome FROM distsync.replay_inbox(options => '{"source": "iba_a", "message_id": "b02", "dry_run": false}');
SELECT pg_temp.work() AS tried;
SELECT message_id, state, sqlstate FROM pg_temp.inbox WHERE message_id = 'b02';
-- a conflict is played only by force, and then as a message of its own
SELECT pg_temp.take('iba_b', 'e4', '{"currency": "XAH"}');
SELECT message_id, outcome, sqlstate, message FROM distsync.replay_inbox(options => '{"source": "iba_b", "message_id": "e4", "dry_run": false}');
SELECT message_id, outcome FROM distsync.replay_inbox(options => '{"source": "iba_b", "message_id": "e4", "dry_run": false, "force": true, "reason": "the partner meant the second"}');
SELECT pg_temp.work() AS tried;
SELECT regexp_replace(message_id, '#.*', '#n') AS message_id, state, entity_key FROM pg_temp.inbox WHERE message_id LIKE 'e4%' ORDER BY inbox_id;

-- two sources share a call
SELECT count(pg_temp.take('iba_a', 'f' || n, '{"schema": "currency/1", "currency": "XF' || chr(64 + n) || '"}')), count(pg_temp.take('iba_b', 'f' || n, '{"currency": "XG' || chr(64 + n) || '"}')) FROM generate_series(1, 9) n;
SELECT distsync_internal.inbox_apply(2) AS tried;
SELECT source, string_agg(message_id, ' ' ORDER BY inbox_id) FROM pg_temp.inbox WHERE message_id LIKE 'f%' AND state = 'applied' GROUP BY source ORDER BY source;

-- nothing is in breach; the doctor sees the quarantine; every source is in the metrics
SELECT * FROM distsync_internal.inbox_verify_messages() WHERE detail::text LIKE '%iba%' OR invariant LIKE 'bytes%';
SELECT check_name, ok FROM distsync_internal.inbox_doctor() WHERE check_name = 'quarantine';
SELECT name, value FROM distsync_internal.inbox_metrics() WHERE labels ->> 'source' = 'iba_a' AND name <> 'distsync_inbox_oldest_seconds' ORDER BY 1;
-- verify finds what it is there for
UPDATE sync.inbox SET body = 'other' WHERE source = 'iba_a' AND message_id = 'e1';
UPDATE sync.inbox SET message_id = 'e1' WHERE source = 'iba_a' AND message_id = 'e2';
DELETE FROM sync.exception WHERE trace_key = 'inbox:iba_a:SD006:body';
SELECT invariant, count(*) FROM distsync_internal.inbox_verify_messages() GROUP BY 1 ORDER BY 1;

-- retention: in steps, then at rest
UPDATE sync.dedupe SET seen_at = seen_at - interval '91 days' WHERE source LIKE 'iba%';
SELECT count(*) > 20 AS many FROM sync.dedupe WHERE source LIKE 'iba%';
DELETE FROM sync.progress WHERE operation = 'inbox.retention';
SELECT distsync_internal.inbox_retention(10) AS cleared;
SELECT distsync_internal.inbox_retention(1000) > 10 AS cleared;
SELECT distsync_internal.inbox_retention(1000) AS cleared, (SELECT count(*) FROM sync.dedupe WHERE source LIKE 'iba%') AS left;
SELECT phase FROM sync.progress WHERE operation = 'inbox.retention';
-- the oldest partition goes when all of it is old and closed
UPDATE sync.inbox SET received_at = received_at - interval '91 days';
SELECT distsync_internal.inbox_drop_partition('90 days') AS dropped_while_open;
UPDATE sync.inbox SET state = 'ignored', applied_at = clock_timestamp() WHERE state IN ('quarantined', 'received');
SELECT distsync_internal.inbox_drop_partition('90 days') AS dropped;
SELECT distsync_internal.schema_ensure_partitions() AS again;
SELECT count(*) FROM sync.inbox;

DROP VIEW pg_temp.inbox;
DELETE FROM sync.exception WHERE trace_key LIKE 'inbox:iba%';
DELETE FROM sync.source WHERE code LIKE 'iba%';
DELETE FROM dist.currency WHERE currency ~ '^X[ABCDFG][A-Z]$';
