-- What the router reads between two snapshots and what events it makes of it, against a statement that says the same: late and running
-- transactions, pieces of a window, markers of one entity in both outboxes, who rings, whose news it is, states that come along.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.pause('regress: the test is the courier');
SELECT distsync_internal.outbox_route(100000);
SELECT distsync_internal.outbox_route(100000);
\o
CREATE TABLE public.obw_written (n integer PRIMARY KEY, xid xid8 NOT NULL);
-- write leaves documents and markers in both outboxes; what they are follows from the seed. Some keys have to be escaped, some are long.
CREATE FUNCTION pg_temp.write(seed integer, rows integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	INSERT INTO public.obw_written VALUES (seed, pg_current_xact_id());
	FOR r IN
		SELECT h.at, h.item, CASE WHEN h.a % 4 = 0 THEN 'document' ELSE 'state' END AS kind, 'obw.' || h.a % 3 AS event_type, 'obw' || h.b % 2 AS entity,
			CASE h.b % 11 WHEN 10 THEN E'"\\\n' WHEN 9 THEN repeat('long', 800) ELSE (h.b % 11)::text END AS key, h.a AS id, CASE WHEN h.a % 4 = 0 AND h.b % 7 > 0 THEN jsonb_build_object('n', h.b, 'long', repeat(md5(h.b::text), h.b % 200)) WHEN h.b % 13 = 0 THEN '{"again": true}' END AS body,
			CASE WHEN h.a % 5 = 0 OR h.a % 4 = 0 THEN md5(h.a::text)::uuid ELSE '00000000-0000-0000-0000-000000000000' END AS message, CASE WHEN h.a % 3 = 0 THEN md5(h.b::text)::uuid END AS cor, CASE WHEN h.b % 3 = 0 THEN md5(h.b::text)::uuid END AS cau,
			CASE WHEN h.b % 5 > 0 THEN CASE WHEN h.b % 17 = 0 THEN 'OTHER' ELSE 'OBW' END END AS origin, CASE WHEN h.b % 4 = 0 THEN 'courier' ELSE 'none' END AS ring
		FROM (SELECT now() - interval '1 minute' * (('x' || substr(d, 24, 4))::bit(16)::integer % 50) AS at, ('x' || substr(d, 1, 2))::bit(8)::integer % 2 = 0 AS item, ('x' || substr(d, 3, 6))::bit(24)::integer AS a, ('x' || substr(d, 9, 6))::bit(24)::integer AS b
			  FROM generate_series(1, rows) g CROSS JOIN LATERAL md5(seed || '-' || g) d) h
	LOOP
		IF r.item THEN
			INSERT INTO sync.outbox_item (at, kind, event_type, entity, entity_key, item_id, body, message_id, correlation_id, causation_id, origin, ring) VALUES (r.at, r.kind, r.event_type, r.entity, r.key, r.id, r.body, r.message, r.cor, r.cau, r.origin, r.ring);
		ELSE
			INSERT INTO sync.outbox_customer (at, kind, event_type, entity, entity_key, customer_id, body, message_id, correlation_id, causation_id, origin, ring) VALUES (r.at, r.kind, r.event_type, r.entity, r.key, r.id, r.body, r.message, r.cor, r.cau, r.origin, r.ring);
		END IF;
	END LOOP;
END
$$;
\o /dev/null
SELECT pg_temp.write(1, 40);
SELECT pg_temp.write(2, 40);
SELECT pg_temp.write(3, 40);
SELECT pg_temp.write(4, 300);
SELECT pg_temp.write(5, 40);
SELECT pg_temp.write(6, 40);
\o
-- states of obw.1: none of 3, whose customer it is of 4, with 5 comes E, 6 has another key, 7 fails; obw.2 has no renderer
CREATE FUNCTION distsync_internal.regress_obw(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb) LANGUAGE sql STABLE AS $$
	SELECT k, CASE k WHEN '6' THEN 'six' WHEN '2' THEN NULL ELSE k END, CASE k WHEN '4' THEN 44 END, jsonb_build_object('k', k, 'n', 1 / CASE k WHEN '7' THEN 0 ELSE 1 END) FROM unnest(keys) k WHERE k <> '3'
	UNION ALL SELECT 'E', 'extra', 5, '{"with": 5}' WHERE '5' = ANY (keys) $$;
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('render', 'obw.1', 'distsync_internal.regress_obw');
-- composed does the events of what is read, by a statement
CREATE FUNCTION pg_temp.composed(pieces distsync_internal.outbox_piece[]) RETURNS SETOF distsync_internal.outbox_draft LANGUAGE sql AS $$
	WITH piece AS MATERIALIZED (
		SELECT p.*, row_number() OVER (ORDER BY p.clock, p.lane_group, p.outbox_id) AS ordinal
		FROM (SELECT u.*, max(u.at) OVER (PARTITION BY u.lane_group ORDER BY u.outbox_id) AS clock FROM unnest(pieces) u) p
	), marker AS MATERIALIZED (
		SELECT * FROM piece p WHERE p.kind = 'state'
	), rendered AS MATERIALIZED (
		SELECT DISTINCT ON (t.event_type, t.entity, r.key) t.event_type, t.entity, r.*
		FROM (SELECT m.event_type, m.entity, array_agg(DISTINCT m.entity_key) AS keys FROM marker m GROUP BY m.event_type, m.entity) t
		CROSS JOIN LATERAL distsync_internal.outbox_render_state(t.event_type, t.entity, t.keys) r
		ORDER BY t.event_type, t.entity, r.key
	)
	SELECT p.ordinal, p.at, p.event_type, p.entity, p.entity_key, CASE p.lane_group WHEN 'customer' THEN p.group_id ELSE 0 END, p.body,
		p.message_id, p.correlation_id, p.causation_id, p.origin, p.ring = 'courier', NULL::text, false, false
	FROM piece p WHERE p.kind = 'document'
	UNION ALL
	SELECT m.ordinal, m.first_at, m.event_type, m.entity, r.entity_key, COALESCE(r.customer_id, CASE m.lane_group WHEN 'customer' THEN m.group_id ELSE 0 END), r.body,
		m.message_id, m.correlation_id, m.causation_id, m.origin, m.ring = 'courier', r.error, true, m.body IS NOT NULL
	FROM marker m JOIN rendered r ON r.event_type = m.event_type AND r.entity = m.entity AND r.key = m.entity_key
	UNION ALL
	SELECT l.ordinal, l.first_at, r.event_type, r.entity, r.entity_key, COALESCE(r.customer_id, 0), r.body, '00000000-0000-0000-0000-000000000000', NULL, NULL, NULL, l.ring, r.error, true, false
	FROM (SELECT x.event_type, x.entity, max(x.ordinal) AS ordinal, max(x.first_at) AS first_at, bool_or(x.ring = 'courier') AS ring FROM marker x GROUP BY x.event_type, x.entity) l
	JOIN rendered r ON r.event_type = l.event_type AND r.entity = l.entity
	WHERE NOT EXISTS (SELECT FROM marker x WHERE x.event_type = r.event_type AND x.entity = r.entity AND x.entity_key = r.key) $$;
-- compare does both ways, from some places on, in pieces of some size
CREATE FUNCTION pg_temp.compare(before pg_snapshot, target pg_snapshot, step integer, done_customer bigint, done_item bigint, room integer) RETURNS TABLE (customers integer, items integer, drafts bigint, states bigint, added bigint, unlike bigint, new_ids boolean) LANGUAGE plpgsql AS $$
DECLARE
	late xid8[] := distsync_internal.outbox_late(before, target);
	pieces distsync_internal.outbox_piece[] := ARRAY(SELECT p FROM distsync_internal.outbox_read_customer(before, target, late, done_customer, step) p UNION ALL SELECT p FROM distsync_internal.outbox_read_item(before, target, late, done_item, step) p);
	said record;
BEGIN
	SELECT * INTO said FROM distsync_internal.outbox_drafts(before, target, late, done_customer, done_item, step, room);
	RETURN QUERY
	WITH a AS (
		-- an id that nobody gave is a new one
		SELECT u.ordinal, u.at, u.event_type, u.entity, u.entity_key, u.customer_id, u.body, CASE WHEN EXISTS (SELECT FROM unnest(pieces) p WHERE p.message_id = u.message_id) THEN u.message_id END AS message_id,
			u.correlation_id, u.causation_id, u.origin, u.ring, u.error, u.state, u.again FROM unnest(said.drafts) u
	), b AS (
		SELECT u.ordinal, u.at, u.event_type, u.entity, u.entity_key, u.customer_id, u.body, NULLIF(u.message_id, '00000000-0000-0000-0000-000000000000') AS message_id,
			u.correlation_id, u.causation_id, u.origin, u.ring, u.error, u.state, u.again FROM pg_temp.composed(pieces) u
	)
	SELECT said.customers, said.items, (SELECT count(*) FROM a), (SELECT count(*) FROM a WHERE a.state), (SELECT count(*) FROM a WHERE a.entity_key = 'extra'),
		(SELECT count(*) FROM (SELECT * FROM a EXCEPT ALL SELECT * FROM b) x) + (SELECT count(*) FROM (SELECT * FROM b EXCEPT ALL SELECT * FROM a) x)
			+ (said.customers + said.items <> cardinality(pieces) OR said.last_customer IS DISTINCT FROM (SELECT greatest(done_customer, max(p.outbox_id)) FROM unnest(pieces) p WHERE p.lane_group = 'customer')
				OR said.last_item IS DISTINCT FROM (SELECT greatest(done_item, max(p.outbox_id)) FROM unnest(pieces) p WHERE p.lane_group = 'item'))::integer,
		(SELECT bool_and(u.message_id <> '00000000-0000-0000-0000-000000000000') FROM unnest(said.drafts) u);
END
$$;
-- 2 ran when the router last looked, 5 runs now, 6 begins later; and: nothing, all, all but the one that is late
SELECT x[1] AS x1, x[2] AS x2, x[3] AS x3, x[5] AS x5, x[6] AS x6 FROM (SELECT array_agg(w.xid::text::bigint ORDER BY w.n) AS x FROM public.obw_written w) v \gset
SELECT percentile_disc(0.4) WITHIN GROUP (ORDER BY outbox_id) AS some_customer FROM sync.outbox_customer WHERE event_type LIKE 'obw%' \gset
SELECT percentile_disc(0.6) WITHIN GROUP (ORDER BY outbox_id) AS some_item FROM sync.outbox_item WHERE event_type LIKE 'obw%' \gset
CREATE TEMP TABLE window_of (n integer, before pg_snapshot, target pg_snapshot);
INSERT INTO window_of VALUES (1, format('%s:%s:%s', :x2, :x3, :x2)::pg_snapshot, format('%s:%s:%s', :x5, :x6, :x5)::pg_snapshot), (2, format('%s:%s:', :x6 + 1, :x6 + 1)::pg_snapshot, format('%s:%s:', :x6 + 1, :x6 + 1)::pg_snapshot),
	(3, format('%s:%s:', :x1, :x1)::pg_snapshot, format('%s:%s:', :x6 + 1, :x6 + 1)::pg_snapshot), (4, format('%s:%s:%s', :x2, :x6 + 1, :x2)::pg_snapshot, format('%s:%s:', :x6 + 1, :x6 + 1)::pg_snapshot);
SELECT w.n, s.step, c.* FROM window_of w, unnest('{1,3,30,1000}'::integer[]) s(step) CROSS JOIN LATERAL pg_temp.compare(w.before, w.target, s.step, 0, 0, 100000) c ORDER BY 1, 2;
SELECT w.n, s.step, c.* FROM window_of w, unnest('{3,1000}'::integer[]) s(step) CROSS JOIN LATERAL pg_temp.compare(w.before, w.target, s.step, :some_customer, :some_item, 100000) c ORDER BY 1, 2;
-- more entities than there is room for; and a table that somebody has put more on
SELECT w.n, r.room, c.customers, c.items, c.unlike FROM window_of w, unnest('{0,5,60}'::integer[]) r(room) CROSS JOIN LATERAL pg_temp.compare(w.before, w.target, 30, 0, 0, r.room) c WHERE w.n IN (1, 3) ORDER BY 1, 2;
BEGIN;
ALTER TABLE sync.outbox_item FORCE ROW LEVEL SECURITY;
SELECT w.n, c.customers, c.items, c.unlike FROM window_of w CROSS JOIN LATERAL pg_temp.compare(w.before, w.target, 30, 0, 0, 100000) c WHERE w.n = 1;
ROLLBACK;
SELECT * FROM window_of w CROSS JOIN LATERAL distsync_internal.outbox_drafts(w.before, w.target, '{}', 0, 0, 0, 1) d;
-- all of it goes into the stream
\o /dev/null
SELECT distsync_internal.outbox_route(50);
SELECT distsync_internal.outbox_route(50);
SELECT distsync_internal.outbox_route(50);
SELECT distsync_internal.outbox_route(50);
SELECT distsync_internal.outbox_route(1000);
SELECT distsync_internal.outbox_route(2147483647);
\o
SELECT count(*) AS documents_missing FROM (SELECT message_id FROM sync.outbox_customer WHERE event_type LIKE 'obw%' AND kind = 'document' UNION ALL SELECT message_id FROM sync.outbox_item WHERE event_type LIKE 'obw%' AND kind = 'document') o
WHERE NOT EXISTS (SELECT FROM sync.event e WHERE e.message_id = o.message_id);
SELECT count(DISTINCT (entity, entity_key)) AS entities FROM sync.event WHERE event_type LIKE 'obw%';
DELETE FROM distsync_internal.handler WHERE name = 'obw.1';
DROP FUNCTION distsync_internal.regress_obw(text[]);
DROP TABLE public.obw_written;
