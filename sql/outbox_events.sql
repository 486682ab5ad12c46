-- What an event must look like, byte for byte, by a statement of its own: odd characters, what is missing, many events of one entity;
-- what is news and what is not; the same where somebody has put a trigger on the stream.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'America/New_York';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.pause('regress: the test is the courier');
SELECT distsync_internal.outbox_route(100000);
SELECT distsync_internal.outbox_route(100000);
\o
SELECT position AS start FROM sync.router_cursor \gset

-- bytes does the CloudEvent of a row of the stream
CREATE FUNCTION pg_temp.bytes(e sync.event, data jsonb) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(concat('{"specversion":"1.0","id":"', e.message_id, '","source":', to_json('distsync/' || i.name), ',"type":', to_json(e.event_type),
		',"time":"', to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '","subject":', to_json(e.entity || '/' || e.entity_key),
		',"datacontenttype":"application/json","entity":', to_json(e.entity), ',"entityversion":"', i.incarnation, '.', e.entity_version, '"',
		',"correlationid":"' || e.correlation_id || '"', ',"causationid":"' || e.causation_id || '"', ',"data":', COALESCE(data, 'null'::jsonb), '}'), 'UTF8')
	FROM sync.instance i $$;
-- data does the data of an event out of its bytes
CREATE FUNCTION pg_temp.data(e sync.event) RETURNS jsonb LANGUAGE sql AS $$ SELECT convert_from(e.body, 'UTF8')::jsonb -> 'data' $$;
-- oes_odd does texts that JSON has to escape, or not
CREATE TABLE public.oes_odd AS SELECT row_number() OVER () AS n, t FROM (VALUES ('plain'), (''), ('a"b'), ('a\b'), ('a/b'), (E'a\nb\tc\rd\be\ff'), (E'\x01\x1f\x7f'), ('Größe Ⅷ'), ('日本語 🛢'), (U&'\2028\2029\FEFF'), ('{"a":1}'), ('''; --'), ('</script>&amp;'), (repeat('long ', 1000))) v(t);

-- documents of every oddness, from both outboxes, some with all ids and some with none, three of each entity in one window
INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, body, correlation_id, causation_id, origin, at)
SELECT 'document', 'oes' || substr(o.t, 1, 50), 'oes ' || o.t, substr(o.t, 1, 900), o.n, CASE o.n WHEN 3 THEN NULL WHEN 4 THEN 'null' WHEN 5 THEN '[]' WHEN 6 THEN '"x"' WHEN 7 THEN '12.500' ELSE jsonb_build_object(o.t || '!', o.t, 'n', 1.50, 'e', 1e30, 'd', 0.000001, 'z', null, 't', true, 'l', jsonb_build_array(o.t, o.n, '{}'::jsonb), 'known_at', r) END,
	CASE WHEN o.n % 2 = 0 THEN gen_random_uuid() END, CASE WHEN o.n % 3 = 0 THEN gen_random_uuid() END, CASE WHEN o.n % 5 = 0 THEN 'OES' END, clock_timestamp() - interval '1 second' * r
FROM public.oes_odd o, generate_series(1, 3) r;
INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, body, ring)
SELECT 'document', 'item.oes', 'oes ' || o.t, substr(o.t, 1, 900), 7, jsonb_build_object('long', repeat(md5(o.t), 300)), 'courier' FROM public.oes_odd o;
CREATE TEMP TABLE captured AS SELECT message_id, kind, event_type, entity, entity_key, customer_id, body, correlation_id, causation_id, origin, at FROM sync.outbox_customer WHERE entity LIKE 'oes %'
	UNION ALL SELECT message_id, kind, event_type, entity, entity_key, 0, body, correlation_id, causation_id, origin, at FROM sync.outbox_item WHERE entity LIKE 'oes %';
-- once with a trigger of somebody on the stream and on the clocks, taken back, and once without
CREATE FUNCTION pg_temp.seen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE VIEW pg_temp.compared AS
	SELECT count(*) AS events, count(DISTINCT e.position) AS places, max(e.position) - min(e.position) + 1 AS range,
		count(*) FILTER (WHERE e.body IS DISTINCT FROM pg_temp.bytes(e, c.body)) AS other_bytes,
		count(*) FILTER (WHERE ROW(e.event_type, e.entity, e.entity_key, e.customer_id, e.correlation_id, e.causation_id, e.origin, e.at) IS DISTINCT FROM ROW(c.event_type, c.entity, c.entity_key, c.customer_id, c.correlation_id, c.causation_id, c.origin, c.at)) AS other_columns,
		count(*) FILTER (WHERE e.incarnation IS DISTINCT FROM (SELECT i.incarnation FROM sync.instance i)) AS other_incarnation,
		count(*) FILTER (WHERE e.entity_version IS DISTINCT FROM (SELECT count(*) FROM sync.event v WHERE v.entity = e.entity AND v.entity_key = e.entity_key AND v.position <= e.position)) AS other_versions,
		(SELECT count(*) FROM sync.entity_clock k WHERE k.entity LIKE 'oes %' AND (k.version <> 4 OR k.said IS NOT NULL)) AS other_clocks
	FROM captured c LEFT JOIN sync.event e USING (message_id);
BEGIN;
CREATE TRIGGER oes_event AFTER INSERT ON sync.event FOR EACH ROW EXECUTE FUNCTION pg_temp.seen();
CREATE TRIGGER oes_clock BEFORE UPDATE ON sync.entity_clock FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.seen();
SELECT distsync_internal.outbox_route(1000);
TABLE pg_temp.compared;
SELECT md5(string_agg(concat(position, message_id, encode(body, 'hex'), (SELECT string_agg(c::text, ' ' ORDER BY c.entity, c.entity_key) FROM sync.entity_clock c WHERE c.entity LIKE 'oes %')), ' ' ORDER BY position)) AS by_statement FROM sync.event WHERE entity LIKE 'oes %' \gset
ROLLBACK;
SELECT distsync_internal.outbox_route(1000);
TABLE pg_temp.compared;
SELECT md5(string_agg(concat(position, message_id, encode(body, 'hex'), (SELECT string_agg(c::text, ' ' ORDER BY c.entity, c.entity_key) FROM sync.entity_clock c WHERE c.entity LIKE 'oes %')), ' ' ORDER BY position)) = :'by_statement' AS same_both_ways FROM sync.event WHERE entity LIKE 'oes %';
SELECT count(*) AS in_the_stream FROM sync.event WHERE position > :start;

-- the hash of a state: known_at is no part of it, wherever it stands
SELECT v.n, distsync_internal.outbox_said(3, 'oes ' || o.t, v.b) = md5(concat(3, ' ', 'oes ' || o.t, ' ', v.b - 'known_at')) AS same
FROM (VALUES (1, '{}'::jsonb), (2, '{"known_at": 1}'), (3, '{"known_at": 1, "longer_name": 2}'), (4, '{"a": 1, "known_at": {"b": [1, 2]}}'), (5, '{"a": "x", "known_at": "2024", "longer_name": {"known_at": 5}, "longest_of_names": null}'),
	(6, '{"a": 1.50, "b": true, "c": false, "d": null, "e": [], "f": {}, "g": -0.0, "h": 1e400}'), (7, '[]'), (8, '[1, {"known_at": 2}]')) v(n, b), public.oes_odd o WHERE o.n = 6 OR o.n = v.n ORDER BY 1, 2;
SELECT distsync_internal.outbox_said(1, 'oes', '{"a": 1}') = distsync_internal.outbox_said(2, 'oes', '{"a": 1}') AS incarnation_counts_not, distsync_internal.outbox_said(1, 'oes', '"x"') = md5('1 oes "x"') AS of_a_scalar;

-- news: a type that a room wants told when it differs. oes_state holds what is rendered, oes_kept what the room was given
CREATE TABLE public.oes_state (key text PRIMARY KEY, body jsonb);
CREATE TABLE public.oes_kept (entity_key text, version bigint, body jsonb, told_at timestamptz);
GRANT ALL ON public.oes_state, public.oes_kept, public.oes_odd TO PUBLIC;
INSERT INTO public.oes_state SELECT o.n::text, jsonb_build_object('n', o.n, o.t, o.t, 'known_at', 1, 'zzzzzzzzzzzz', o.n) FROM public.oes_odd o;
CREATE FUNCTION distsync_internal.regress_oes_render(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb) LANGUAGE sql STABLE AS
	$$ SELECT s.key, 'OES' || (SELECT substr(o.t, 1, 20) FROM public.oes_odd o WHERE o.n::text = s.key) || s.key, NULL::bigint, CASE WHEN s.body ? 'fails' THEN (s.body ->> 'fails')::int::text::jsonb ELSE s.body END FROM public.oes_state s WHERE s.key = ANY (keys) $$;
CREATE FUNCTION distsync_internal.regress_oes_told(entity_keys text[], versions bigint[], bodies jsonb[], told_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('oes.fails', true) <> '' THEN
		RAISE EXCEPTION USING ERRCODE = current_setting('oes.fails'), MESSAGE = 'the room keeps nothing';
	END IF;
	INSERT INTO public.oes_kept SELECT u.*, told_at FROM unnest(entity_keys, versions, bodies) u;
END $$;
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('render', 'oes.state', 'distsync_internal.regress_oes_render'), ('told', 'oes.state', 'distsync_internal.regress_oes_told');
CREATE FUNCTION pg_temp.mark(keys text[], again boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
	INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, body) SELECT 'state', 'oes.state', 'oes', k, CASE WHEN again THEN '{"again": true}'::jsonb END FROM unnest(keys) k $$;
-- told routes and shows what was told, whether it is what the statement says, and what is known of the clocks
CREATE FUNCTION pg_temp.told() RETURNS TABLE (events bigint, other_bytes bigint, other_said bigint, not_kept bigint, versions text) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT c.position FROM sync.router_cursor c);
BEGIN
	PERFORM distsync_internal.outbox_route(1000);
	RETURN QUERY SELECT count(*), count(*) FILTER (WHERE e.body IS DISTINCT FROM pg_temp.bytes(e, pg_temp.data(e))),
		count(*) FILTER (WHERE k.version <> e.entity_version OR k.said IS DISTINCT FROM CASE WHEN pg_temp.data(e) ? 'unrendered' THEN '' ELSE md5(concat(e.incarnation, ' ', e.event_type, ' ', pg_temp.data(e) - 'known_at')) END),
		count(*) FILTER (WHERE NOT EXISTS (SELECT FROM public.oes_kept r WHERE r.entity_key = e.entity_key AND r.version = e.entity_version AND r.body = pg_temp.data(e) AND r.told_at = e.routed_at)), string_agg(DISTINCT e.entity_version::text, ' ')
	FROM sync.event e LEFT JOIN sync.entity_clock k ON k.entity = e.entity AND k.entity_key = e.entity_key WHERE e.position > before AND e.event_type = 'oes.state';
END $$;
SELECT pg_temp.mark(ARRAY(SELECT n::text FROM public.oes_odd)) \g /dev/null
SELECT * FROM pg_temp.told();
-- the same is no news, nor is when it was known; what differs is, and what is asked for again
SELECT pg_temp.mark('{1,2,3,1}') \g /dev/null
SELECT * FROM pg_temp.told();
UPDATE public.oes_state SET body = jsonb_set(body, '{known_at}', '2');
SELECT pg_temp.mark(ARRAY(SELECT n::text FROM public.oes_odd)) \g /dev/null
SELECT * FROM pg_temp.told();
UPDATE public.oes_state SET body = jsonb_set(body, '{zzzzzzzzzzzz}', '"other"') WHERE key IN ('3', '7');
SELECT pg_temp.mark(ARRAY(SELECT n::text FROM public.oes_odd)) \g /dev/null
SELECT * FROM pg_temp.told();
SELECT pg_temp.mark('{5,6}', true) \g /dev/null
SELECT * FROM pg_temp.told();
-- what fails is told without its data, each time, under its key: what was told of the entity stands
UPDATE public.oes_state SET body = jsonb_set(body, '{fails}', '"x"') WHERE key = '4';
SELECT pg_temp.mark('{4,5}') \g /dev/null
SELECT * FROM pg_temp.told();
SELECT pg_temp.mark('{4}') \g /dev/null
SELECT * FROM pg_temp.told();
SELECT kind, trace_key, entity, entity_key, seen, details FROM sync.exception WHERE kind = 'unrendered' AND trace_key LIKE 'oes%';
UPDATE public.oes_state SET body = body - 'fails' WHERE key = '4';
SELECT pg_temp.mark('{4}') \g /dev/null
SELECT * FROM pg_temp.told();
-- a room that fails costs nothing but an exception; an error of the moment is raised, and all is there the next time
SET oes.fails = '22012';
UPDATE public.oes_state SET body = jsonb_set(body, '{n}', '99') WHERE key = '1';
SELECT pg_temp.mark('{1}') \g /dev/null
SELECT * FROM pg_temp.told();
SELECT kind, entity, entity_key, seen, details FROM sync.exception WHERE kind = 'unkept' AND trace_key = 'oes.state';
SET oes.fails = '40001';
UPDATE public.oes_state SET body = jsonb_set(body, '{n}', '98') WHERE key = '1';
SELECT pg_temp.mark('{1}') \g /dev/null
SELECT * FROM pg_temp.told();
RESET oes.fails;
SELECT * FROM pg_temp.told();
-- documents of a type that is kept are kept too, and leave the hash alone
SELECT said FROM sync.entity_clock WHERE entity = 'oes' AND entity_key = 'OESa"b3' \gset
SELECT distsync_internal.base_emit('customer', 5, 'oes.state', 'oes', 'OESa"b3', '{"told": "by hand"}') IS NOT NULL AS emitted;
SELECT events, other_bytes, not_kept, versions FROM pg_temp.told();
SELECT said = :'said' AS as_it_was, version FROM sync.entity_clock WHERE entity = 'oes' AND entity_key = 'OESa"b3';
-- more states than are kept as text, large ones, in one window
INSERT INTO public.oes_state SELECT 'L' || i, jsonb_build_object('n', i, 'text', (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 4000) j)) FROM generate_series(1, 150) i;
SELECT pg_temp.mark(ARRAY(SELECT 'L' || i FROM generate_series(1, 150) i)) \g /dev/null
CREATE OR REPLACE FUNCTION distsync_internal.regress_oes_render(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb) LANGUAGE sql STABLE AS
	$$ SELECT s.key, s.key, 9::bigint, s.body FROM public.oes_state s WHERE s.key = ANY (keys) $$;
SELECT * FROM pg_temp.told();
SELECT * FROM distsync_internal.outbox_verify() WHERE detail::text LIKE '%oes%';
DELETE FROM distsync_internal.handler WHERE name = 'oes.state';
DROP FUNCTION distsync_internal.regress_oes_render(text[]), distsync_internal.regress_oes_told(text[], bigint[], jsonb[], timestamptz);
DROP TABLE public.oes_state, public.oes_kept, public.oes_odd;
DELETE FROM sync.exception WHERE kind = 'unkept' AND trace_key = 'oes.state';
