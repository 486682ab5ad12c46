-- The invariants hold after all that went before, and notice what is damaged; doctor, metrics, and what is kept for how long.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.pause('regress: the test is the courier');
SELECT distsync_internal.outbox_route(100000);
SELECT distsync.add_system('OBK', 'crm');
SELECT distsync.add_endpoint('obk', 'OBK', 'https://crm.example.com/', '{"secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "retry_policy": "once"}');
SELECT distsync.add_route('obk', 'obk', 'obk.*');
SELECT distsync_internal.base_emit('customer', 0, 'obk.a', 'obk', k, '{}') FROM unnest('{1,1,1,2}'::text[]) k;
SELECT distsync_internal.outbox_route(100);
-- 1: delivered, 2: dead
SELECT array_agg(c.delivery_id ORDER BY d.lane_key) AS ids, array_agg(c.lease ORDER BY d.lane_key) AS leases
FROM distsync_internal.outbox_lease('http', distsync_internal.outbox_endpoint('obk'), 10, NULL, clock_timestamp()) c JOIN sync.delivery d USING (delivery_id) \gset
\o
SELECT distsync_internal.outbox_finish(:'ids', :'leases', '{200,404}', '{0,0}', '{NULL,NULL}', '{-1,-1}', '{NULL,NULL}', '{NULL,NULL}', '{1,1}', '{1,1}', '{1,1}', '{1,1}', '{1,1}');
SELECT * FROM distsync_internal.outbox_verify();
-- found shows which invariants a damage breaks, and takes it back
CREATE PROCEDURE pg_temp.found(damage text) LANGUAGE plpgsql AS $$
DECLARE
	names text;
BEGIN
	BEGIN
		EXECUTE damage;
		SELECT string_agg(DISTINCT invariant, ', ' ORDER BY invariant) INTO names FROM distsync_internal.outbox_verify();
		RAISE EXCEPTION 'take it back' USING ERRCODE = 'P0099';
	EXCEPTION WHEN SQLSTATE 'P0099' THEN
		RAISE NOTICE '%', names;
	END;
END
$$;
SET client_min_messages = notice;
\set SHOW_CONTEXT never
CALL pg_temp.found($$UPDATE sync.lane SET depth = depth + 1 WHERE lane_key = 'obk/1'$$);
CALL pg_temp.found($$DELETE FROM sync.lane WHERE lane_key = 'obk/1'$$);
CALL pg_temp.found($$UPDATE sync.lane l SET head_id = (SELECT max(delivery_id) FROM sync.delivery d WHERE d.lane_key = l.lane_key) WHERE lane_key = 'obk/1'$$);
CALL pg_temp.found($$DELETE FROM sync.dead_letter x USING sync.delivery d WHERE d.delivery_id = x.delivery_id AND d.lane_key = 'obk/2'$$);
CALL pg_temp.found($$UPDATE sync.delivery SET state = 'delivered', finished_at = 'epoch' WHERE delivery_id = (SELECT max(delivery_id) FROM sync.delivery WHERE lane_key = 'obk/1')$$);
CALL pg_temp.found($$DELETE FROM sync.event WHERE position = (SELECT max(position) - 1 FROM sync.event WHERE entity = 'obk')$$);
CALL pg_temp.found($$UPDATE sync.event SET entity_version = 1 WHERE entity = 'obk' AND entity_key = '1'$$);
CALL pg_temp.found($$UPDATE sync.lane SET state = 'leased', lease = '00000000-0000-0000-0000-000000000001', lease_until = now() WHERE lane_key LIKE 'obk/%'$$);
CALL pg_temp.found($$SELECT$$);

-- doctor
SELECT check_name, ok, regexp_replace(detail, 'since .*', 'since …') AS detail, sql_to_fix FROM distsync_internal.outbox_doctor() WHERE detail LIKE '%obk%' OR check_name LIKE 'outbox.capture%' ORDER BY 1;
BEGIN;
SELECT distsync.set_endpoint_state('obk', 'paused', 'moving house');
UPDATE sync.secret SET valid = tstzrange(NULL, '2020-01-01Z') WHERE code = 'obk';
ALTER TABLE dist.stock_balance DISABLE TRIGGER stock_balance_stock_update_trg;
DROP TRIGGER payment_payment_delete_trg ON dist.payment;
SELECT check_name, ok, regexp_replace(detail, 'since .*', 'since …') AS detail, sql_to_fix FROM distsync_internal.outbox_doctor() WHERE detail LIKE '%obk%' OR check_name LIKE 'outbox.capture%' ORDER BY 1, 3;
ROLLBACK;

-- metrics
SELECT name, labels, CASE WHEN name !~ 'seconds|position' THEN value END AS value, type FROM distsync_internal.outbox_metrics() WHERE labels ->> 'endpoint' = 'obk' OR labels ->> 'flow' = 'obk' OR labels = '{}' ORDER BY 1, 2::text;
SELECT count(*) FILTER (WHERE value < 0 OR value IS NULL) AS odd FROM distsync_internal.outbox_metrics();

-- what is kept: nothing goes that is not consumed
BEGIN;
DELETE FROM sync.progress WHERE operation = 'outbox retention';
SELECT distsync_internal.outbox_retain(100);
SELECT count(*) FROM sync.event WHERE entity = 'obk';
UPDATE sync.event SET routed_at = routed_at - interval '1 year';
UPDATE sync.delivery SET created_at = created_at - interval '1 year';
SELECT distsync_internal.outbox_retain(100);
SELECT count(*) AS not_again_at_once FROM sync.event WHERE entity = 'obk';
DELETE FROM sync.progress WHERE operation = 'outbox retention';
SELECT distsync_internal.outbox_retain(100000);
SELECT d.state, count(*) FROM sync.delivery d JOIN sync.event e USING (position) WHERE e.entity = 'obk' GROUP BY 1 ORDER BY 1;
SELECT count(*) AS unneeded FROM sync.event e WHERE NOT EXISTS (SELECT FROM sync.delivery d WHERE d.position = e.position);
SELECT count(*) AS orphans FROM sync.attempt a WHERE NOT EXISTS (SELECT FROM sync.delivery d WHERE d.delivery_id = a.delivery_id);
-- an old partition of the outbox goes when all of it is routed
SET ROLE distsync_owner;
CREATE TABLE sync.outbox_item_p2020010100 PARTITION OF sync.outbox_item FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z');
CREATE TABLE sync.outbox_item_p2020010200 PARTITION OF sync.outbox_item FOR VALUES FROM ('2020-01-02Z') TO ('2020-01-03Z');
INSERT INTO sync.outbox_item (xid, at, kind, event_type, entity, entity_key) VALUES ('3', '2020-01-01 10:00Z', 'document', 'obk.old', 'obk', '3'), ('999999999', '2020-01-02 10:00Z', 'document', 'obk.old', 'obk', '4');
RESET ROLE;
SELECT distsync_internal.outbox_retain_captured(clock_timestamp());
SELECT to_regclass('sync.outbox_item_p2020010100') AS routed, to_regclass('sync.outbox_item_p2020010200') AS not_routed;
ROLLBACK;
\o /dev/null
SELECT distsync.requeue('{"endpoint": "obk", "resolution": "ignored"}');
SELECT distsync_internal.outbox_finish(array_agg(c.delivery_id), array_agg(c.lease), '{200}', '{0}', '{NULL}', '{-1}', '{NULL}', '{NULL}', '{1}', '{1}', '{1}', '{1}', '{1}')
FROM distsync_internal.outbox_lease('http', distsync_internal.outbox_endpoint('obk'), 10, NULL, clock_timestamp()) c;
\o
SELECT * FROM distsync_internal.outbox_verify();

-- bad arguments: own codes, the field, a hint
\set VERBOSITY default
SELECT distsync.add_system('no spaces', 'erp');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_system('OBK', 'robot');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_system('OBK', 'crm', '{"timezone": "UTC"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_system('OBK', 'crm', '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'NOBODY', 'https://x.example.com/');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'http://x.example.com/', '{"scheme": "none"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://10.0.0.1/', '{"scheme": "none"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', '{"secret": "not a key"}');
\echo :LAST_ERROR_SQLSTATE
-- too long for the table, whose complaint would show it
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', jsonb_build_object('scheme', 'github', 'secret', repeat('long', 1025)));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', '{"scheme": "none", "headers": ["Host: other"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', '{"scheme": "none", "headers": ["webhook-id: mine"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', '{"scheme": "none", "max_inflight": 0}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', '{"scheme": "none", "timeout": "soon"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_endpoint('obk2', 'OBK', 'https://x.example.com/', '{"scheme": "none", "allow_http": "maybe"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_route('obk2', 'nobody', 'order.*');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_route('obk2', 'obk', 'Order Accepted');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_route('obk2', 'obk', 'order.*', '{"filter": "$.["}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_route('obk2', 'obk', 'order.*', '{"on_block": "panic"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.set_endpoint_state('obk', 'paused');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.rotate_secret('obk', overlap => '1 year');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.requeue('{"limit": "many"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.replay('obk', '{"from": "yesterday evening"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.fetch('obk');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.ack('{1}', '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.events_since('12');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY sqlstate
SELECT distsync.events_since('e999999999999');
SELECT distsync.events_since(NULL, '{"limit": 0}');
SELECT distsync.events_since(NULL, '{"customer": "nobody"}');
SELECT count(*) FROM sync.endpoint WHERE code = 'obk2';
