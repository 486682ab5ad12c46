-- verify(): references that no foreign key guards, and how what it finds is kept.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
\set VERBOSITY default
\set SHOW_CONTEXT never
-- every id in the books has a foreign key, is proved by verify(), or is named here with its reason
SELECT n.nspname || '.' || c.relname || '.' || a.attname AS nobody_proves
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname IN ('dist', 'sync')
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.atttypid = 'bigint'::regtype AND a.attname ~ '_id$'
	AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey))
	AND NOT EXISTS (SELECT FROM distsync_internal.ops_references() r WHERE r.child = n.nspname || '.' || c.relname AND a.attname = ANY (r.child_columns))
	AND n.nspname || '.' || c.relname || '.' || a.attname NOT IN (
		'dist.stock_event.corrects_id',			-- the event it reverses may be archived
		'sync.attempt.delivery_id', 'sync.dead_letter.delivery_id', 'sync.dedupe.inbox_id', 'sync.lane.head_id',	-- partitions of the parent are dropped after retention
		'sync.partition_policy.step_id')		-- a width
ORDER BY 1;
-- no reference names a table or column that does not exist
SELECT r.child, r.child_columns FROM distsync_internal.ops_references() r
WHERE to_regclass(r.child) IS NULL OR to_regclass(r.parent) IS NULL OR cardinality(r.child_columns) <> cardinality(r.parent_columns)
	OR EXISTS (SELECT FROM unnest(r.child_columns) x WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.child::regclass AND a.attname = x))
	OR EXISTS (SELECT FROM unnest(r.parent_columns) x WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.parent::regclass AND a.attname = x));
-- orphans of many kinds; what refers to nothing by rule (0, NULL, distsync) is none
INSERT INTO dist.stock_event (item_id, event_at, kind, perspective, site_id, state, quantity, source) SELECT 987654321, now(), 'delta', 'phys', 0, 'available', 1, 'distsync' FROM generate_series(1, 3);
INSERT INTO dist.order_line (customer_id, order_id, line_no, item_id, requested_item_id, quantity, requested_quantity, unit, base_quantity, unit_price, net_amount)
VALUES (987654322, 987654323, 1, 987654321, 987654321, 1, 1, 'OPSU', 1, 1, 1);
INSERT INTO dist.reservation (item_id, request_id, site_id, holder, quantity) VALUES (987654321, gen_random_uuid(), 987654324, 'ops', 1);
INSERT INTO sync.source (code, system) VALUES ('ops_source', 'ops_nobody');
CREATE VIEW pg_temp.found AS SELECT * FROM distsync.verify('reference.%') WHERE entity NOT LIKE 'sync.outbox%' AND (entity_key LIKE '98765432%' OR entity_key IN ('OPSU', 'ops_nobody'));
SELECT invariant, entity, entity_key, detail FROM pg_temp.found ORDER BY invariant COLLATE "C", entity_key;
SELECT count(*) FROM distsync.verify('stock.%') WHERE invariant LIKE 'reference.%';
-- kept as exceptions, counted again, and closed when they are gone
SELECT count(*) > 0 AS found FROM distsync.verify('reference.reservation.%', '{"record": true}');
SELECT trace_key, severity, state, seen, detail FROM distsync.exceptions('{"kind": "invariant", "limit": 10000}') WHERE entity_key LIKE '98765432%' ORDER BY trace_key COLLATE "C";
SELECT count(*) > 0 AS found FROM distsync.verify('reference.%', '{"record": true}');
SELECT trace_key, state, seen FROM distsync.exceptions('{"kind": "invariant", "limit": 10000}') WHERE entity_key LIKE '98765432%' AND entity = 'dist.reservation' ORDER BY trace_key COLLATE "C";
SELECT check_name, ok, sql_to_fix FROM distsync.doctor() WHERE check_name = 'verify';
SELECT phase, done > 0 AS found FROM sync.progress WHERE operation = 'verify';
DELETE FROM dist.stock_event WHERE item_id = 987654321;
DELETE FROM dist.order_line WHERE item_id = 987654321;
DELETE FROM dist.reservation WHERE item_id = 987654321;
DELETE FROM sync.source WHERE code = 'ops_source';
-- the reservation told that the availability of its item changed
DELETE FROM sync.outbox_item WHERE item_id = 987654321;
SELECT * FROM pg_temp.found;
SELECT count(*) >= 0 AS ran FROM distsync.verify('reference.%', '{"record": true}');
SELECT state, count(*) FROM distsync.exceptions('{"kind": "invariant", "state": "all", "limit": 10000}') WHERE entity_key LIKE '98765432%' AND entity NOT LIKE 'sync.outbox%' GROUP BY state;
SELECT count(*) > 0 AS told FROM sync.outbox_customer WHERE event_type = 'exception.closed' AND body ->> 'trace_key' LIKE 'reference.%';
DELETE FROM sync.exception WHERE kind = 'invariant';
-- who may
SET ROLE distsync_reader;
SELECT * FROM distsync.verify();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
