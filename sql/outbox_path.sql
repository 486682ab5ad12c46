-- The path of an event: captured in the commit, routed into the stream and to lanes, claimed as a signed request, finished by its answer.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.pause('regress: the test is the courier');
-- what other tests left is routed first
SELECT distsync_internal.outbox_route(100000);
SELECT COALESCE(max(position), 0) AS start FROM sync.event \gset
\o
SELECT distsync.add_system('OBX-ERP', 'erp');
SELECT distsync.add_system('OBX-SHOP', 'shop', '{"name": "Shop", "tz": "Europe/Berlin", "currency": "EUR"}');
SELECT distsync.add_endpoint('obx-erp', 'OBX-ERP', 'https://erp.example.com/in', '{"secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "retry_policy": "quick"}');
SELECT distsync.add_endpoint('obx-shop', 'OBX-SHOP', 'https://shop.example.com/in', '{"scheme": "github", "secret": "s3cr3t", "headers": ["X-Tenant: 7"]}');
SELECT distsync.add_route('obx-erp-orders', 'obx-erp', 'obx_order.*');
SELECT distsync.add_route('obx-shop-big', 'obx-shop', 'obx_order.accepted', '{"filter": "$.amount > 100", "ordering": "none"}');
CREATE TEMP VIEW lane AS
	SELECT p.code AS endpoint, regexp_replace(l.lane_key, '^#.*', '#') AS lane_key, l.state, l.depth, l.failures, e.event_type AS head
	FROM sync.lane l JOIN sync.endpoint p USING (endpoint_id) JOIN sync.delivery d ON d.delivery_id = l.head_id JOIN sync.event e USING (position)
	WHERE p.code LIKE 'obx-%' ORDER BY 1, 2;
CREATE TEMP VIEW delivery AS
	SELECT p.code AS endpoint, e.event_type, e.entity_key, d.state, d.attempts
	FROM sync.delivery d JOIN sync.endpoint p USING (endpoint_id) JOIN sync.event e USING (position)
	WHERE p.code LIKE 'obx-%' ORDER BY d.delivery_id;
-- answer does what the courier does with everything it can claim
CREATE PROCEDURE pg_temp.answer(status int, retry_after int DEFAULT -1, reply text DEFAULT '') LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
	leases uuid[];
BEGIN
	SELECT array_agg(c.delivery_id), array_agg(c.lease) INTO ids, leases FROM distsync_internal.outbox_claim(100, gen_random_uuid()) c;
	RAISE NOTICE '% answered', (SELECT distsync_internal.outbox_finish(ids, leases, array_agg(status), array_agg(0), array_agg(''::text), array_agg(retry_after),
		array_agg(''::text), array_agg(convert_to(reply, 'UTF8')), array_agg(1::bigint), array_agg(1::bigint), array_agg(1::bigint), array_agg(1::bigint), array_agg(1::bigint)) FROM unnest(ids));
END
$$;
SET client_min_messages = notice;

-- two events of one order, one of another; a third order comes from the ERP itself and is no news to it
BEGIN;
SELECT distsync_internal.base_emit('customer', 1, 'obx_order.accepted', 'order', 'OBX-1', '{"amount": 50.00}', '00000000-0000-0000-0000-0000000000c1') IS NOT NULL AS emitted;
SELECT distsync_internal.base_emit('customer', 1, 'obx_order.held', 'order', 'OBX-1', '{"amount": 50.00}') IS NOT NULL AS emitted;
SELECT distsync_internal.base_emit('customer', 2, 'obx_order.accepted', 'order', 'OBX-2', '{"amount": 500}') IS NOT NULL AS emitted;
SELECT distsync_internal.base_emit('customer', 2, 'obx_order.accepted', 'order', 'OBX-3', '{"amount": 7}', NULL, NULL, 'OBX-ERP') IS NOT NULL AS emitted;
COMMIT;
-- what is rolled back never was
BEGIN;
SELECT distsync_internal.base_emit('customer', 1, 'obx_order.accepted', 'order', 'OBX-9', '{}') IS NOT NULL AS emitted;
ROLLBACK;
SELECT distsync_internal.outbox_route(100);
SELECT distsync_internal.outbox_route(100);
SELECT position - :start AS position, event_type, entity_key, entity_version, customer_id, origin,
	regexp_replace(regexp_replace(convert_from(body, 'UTF8'), '"id":"[^"]+"', '"id":"…"'), '"time":"[^"]+"', '"time":"…"') AS body
FROM sync.event WHERE position > :start ORDER BY position;
SELECT count(*) AS valid FROM sync.event WHERE position > :start AND convert_from(body, 'UTF8')::jsonb ->> 'id' = message_id::text;
TABLE delivery;
TABLE lane;

-- one request a lane; the header lines verify with the key
SELECT c.method, c.url, c.timeout_ms, c.connect_timeout_ms, c.max_response, c.allow_http, c.allow_private, regexp_replace(c.headers::text, '([0-9a-f-]{36}|[0-9]{10}|v1,[^"]+|sha256=[0-9a-f]+)', '…', 'g') AS headers,
	distsync_internal.http_verify(CASE WHEN c.url LIKE '%erp%' THEN 'standard' ELSE 'github' END, ARRAY[convert_to(CASE WHEN c.url LIKE '%erp%' THEN '012345678901234567890123' ELSE 's3cr3t' END, 'UTF8')],
		(SELECT jsonb_object_agg(split_part(h, ': ', 1), split_part(h, ': ', 2)) FROM unnest(c.headers) h), c.body, 300, clock_timestamp()) AS refused
FROM distsync_internal.outbox_claim(100, gen_random_uuid()) c ORDER BY c.url, c.delivery_id;
SELECT count(*) AS nothing_more FROM distsync_internal.outbox_claim(100, gen_random_uuid());
TABLE lane;
-- the sender dies: its leases run out, the tries count
UPDATE sync.lane l SET lease_until = clock_timestamp() - interval '1 second' FROM sync.endpoint p WHERE p.endpoint_id = l.endpoint_id AND p.code LIKE 'obx-%' AND l.state = 'leased';
CALL pg_temp.answer(200, reply => '{"order_number": "4711"}');
TABLE lane;
TABLE delivery;
SELECT e.event_type, a.attempt_no, a.status, a.verdict, convert_from(a.response_body, 'UTF8') AS reply
FROM sync.attempt a JOIN sync.delivery d USING (delivery_id) JOIN sync.endpoint p USING (endpoint_id) JOIN sync.event e USING (position) WHERE p.code LIKE 'obx-%' ORDER BY a.delivery_id, a.attempt_no;
CALL pg_temp.answer(204);
TABLE lane;
SELECT flow, sum(n) FROM sync.latency WHERE flow LIKE 'obx-%' GROUP BY 1 ORDER BY 1;

-- a result without its lease changes nothing
SELECT distsync_internal.base_emit('customer', 1, 'obx_order.late', 'order', 'OBX-1', '{}') IS NOT NULL AS emitted;
SELECT distsync_internal.outbox_route(100);
SELECT delivery_id, lease FROM distsync_internal.outbox_claim(100, gen_random_uuid()) \gset
SELECT distsync_internal.outbox_finish(ARRAY[:delivery_id], ARRAY[gen_random_uuid()], '{200}', '{0}', '{NULL}', '{-1}', '{NULL}', '{NULL}', '{1}', '{1}', '{1}', '{1}', '{1}');
TABLE lane;
SELECT distsync_internal.outbox_finish(ARRAY[:delivery_id], ARRAY[:'lease'::uuid], '{200}', '{0}', '{NULL}', '{-1}', '{NULL}', '{NULL}', '{1}', '{1}', '{1}', '{1}', '{1}');
SELECT verdict FROM sync.attempt WHERE delivery_id = :delivery_id ORDER BY verdict;
TABLE lane;
SELECT distsync_internal.outbox_finish('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');

-- a window larger than asked for is read in pieces, in order
SELECT position AS before FROM sync.router_cursor \gset
SELECT count(distsync_internal.base_emit('customer', 1, 'obx_piece', 'piece', (i % 3)::text, jsonb_build_object('i', i))) FROM generate_series(1, 7) i;
SELECT distsync_internal.outbox_route(3), target IS NOT NULL AS more, position - :before AS routed FROM sync.router_cursor;
SELECT target IS NOT NULL AS more, position - :before AS routed FROM sync.router_cursor;
-- what comes meanwhile belongs to the next window
SELECT count(distsync_internal.base_emit('customer', 1, 'obx_piece', 'piece', '0', jsonb_build_object('i', 8)));
SELECT distsync_internal.outbox_route(3);
SELECT distsync_internal.outbox_route(3);
SELECT distsync_internal.outbox_route(3);
SELECT target IS NOT NULL AS more, position - :before AS routed FROM sync.router_cursor;
SELECT string_agg(convert_from(body, 'UTF8')::jsonb #>> '{data,i}', ' ' ORDER BY position) AS i, string_agg(entity_version::text, ' ' ORDER BY position) AS versions FROM sync.event WHERE position > :before;

-- another server (logical restore): its transaction ids mean nothing here; what was not routed there is routed once, the rest is not again
SELECT count(distsync_internal.base_emit('customer', 1, 'obx_moved', 'moved', i::text, '{}')) FROM generate_series(1, 2) i;
UPDATE sync.router_cursor SET system_identifier = 1;
SELECT distsync_internal.outbox_route(100) > 0 AS routed;
SELECT distsync_internal.outbox_route(100);
SELECT distsync_internal.outbox_route(100);
SELECT count(*) FROM sync.event WHERE entity = 'moved';
SELECT count(*) FILTER (WHERE xid = '0') > 0 AS routed_there, bool_and(system_identifier <> 1) AS stamped FROM sync.outbox_customer, sync.router_cursor;
SELECT count(*) AS doubled FROM (SELECT message_id FROM sync.event GROUP BY 1 HAVING count(*) > 1) d;

-- markers of one entity become one event; without a renderer it tells the key; a renderer that fails hides nobody else
INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, origin) SELECT 'state', 'obx_state', 'thing', k, 0, o FROM (VALUES ('1', 'A'), ('2', 'A'), ('1', 'A'), ('2', 'B'), ('1', 'A')) v(k, o);
SELECT distsync_internal.outbox_route(100);
SELECT entity_key, entity_version, origin, convert_from(body, 'UTF8')::jsonb -> 'data' AS data FROM sync.event WHERE event_type = 'obx_state' ORDER BY position;
-- also where a window is read in pieces: one event, at the place of the last marker, with the time of the first, of nobody in particular
SELECT position AS before FROM sync.router_cursor \gset
INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, origin, at) SELECT 'state', 'obx_piece', 'thing', k, 0, o, now() - interval '1 hour' FROM (VALUES ('1', 'A'), ('2', 'A'), ('3', 'A')) v(k, o);
INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, origin, ring) SELECT 'state', 'obx_piece', 'thing', k, 0, o, 'courier' FROM (VALUES ('1', 'A'), ('2', 'B')) v(k, o);
INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, origin, body) SELECT 'document', 'obx_piece', 'thing', '1', 0, 'A', '{}' FROM generate_series(1, 2);
SELECT distsync_internal.outbox_route(1);
SELECT distsync_internal.outbox_route(1);
SELECT distsync_internal.outbox_route(1);
SELECT distsync_internal.outbox_route(1);
SELECT distsync_internal.outbox_route(1);
SELECT distsync_internal.outbox_route(1);
SELECT position - :before AS place, entity_key, at < now() - interval '1 minute' AS first_time, origin, convert_from(body, 'UTF8')::jsonb -> 'data' AS data FROM sync.event WHERE position > :before ORDER BY position;
CREATE FUNCTION distsync_internal.regress_render(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb) LANGUAGE sql STABLE AS
	$$SELECT k, 'T-' || k, 7::bigint, jsonb_build_object('half', 10 / (k::int - 2)) FROM unnest(keys) k WHERE k <> '3'$$;
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('render', 'obx_state', 'distsync_internal.regress_render');
INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id) SELECT 'state', 'obx_state', 'thing', k, 0 FROM unnest('{1,2,3,4}'::text[]) k;
SELECT distsync_internal.outbox_route(100);
SELECT entity_key, customer_id, convert_from(body, 'UTF8')::jsonb -> 'data' AS data FROM sync.event WHERE event_type = 'obx_state' AND position > (SELECT max(position) - 4 FROM sync.event) AND at > now() - interval '1 hour' ORDER BY position DESC LIMIT 3;
SELECT trace_key, state, details ->> 'error' AS error FROM sync.exception WHERE kind = 'unrendered' AND trace_key LIKE 'obx%';
DELETE FROM distsync_internal.handler WHERE name = 'obx_state';
DROP FUNCTION distsync_internal.regress_render(text[]);
