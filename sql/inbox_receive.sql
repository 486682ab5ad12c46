-- inbox_receive: the door for messages: known source, size, signature of every scheme, time, id, once; refusals are answers.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS distsync;
\o /dev/null
SELECT distsync.setup();
\o
\set VERBOSITY terse
INSERT INTO sync.system (code, kind) VALUES ('ibr_partner', 'shop');

-- what add_source refuses, and what it keeps
SELECT distsync.add_source('ibr standard', 'ibr_partner');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_nobody');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_partner');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_partner', '{"secrets": "x"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_partner', '{"secret": "whsec_short"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_partner', '{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "scheme": "md5"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_partner', '{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "max_body": -1}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibr_standard', 'ibr_partner', '{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "entity": "nonsense"}');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM sync.source WHERE code LIKE 'ibr%';
SELECT distsync.add_source('ibr_standard', 'ibr_partner', '{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}') IS NOT NULL AS added;
SELECT distsync.add_source('ibr_' || scheme, 'ibr_partner', jsonb_build_object('scheme', scheme, 'secret', 'hush')) IS NOT NULL AS added
FROM unnest('{github,shopify,stripe,hmac_sha256_hex}'::text[]) scheme;
SELECT distsync.add_source('ibr_none', 'ibr_partner', '{"scheme": "none", "max_body": 100}') IS NOT NULL AS added;
SELECT distsync.add_source('ibr_none', 'ibr_partner', '{"tolerance": "1 minute"}') IS NOT NULL AS changed;
SELECT scheme, max_body, tolerance FROM sync.source WHERE code = 'ibr_none';

-- message makes headers that a scheme signs; take gives them to the door
CREATE FUNCTION pg_temp.message(source text, id text, body bytea, ago interval DEFAULT '0') RETURNS jsonb LANGUAGE sql AS $$
	SELECT COALESCE(jsonb_object_agg(initcap(split_part(l, ': ', 1)), substr(l, strpos(l, ': ') + 2)), '{}')
	FROM sync.source s, sync.secret k, unnest(distsync_internal.http_sign(s.scheme, ARRAY[k.secret], id, extract(epoch FROM clock_timestamp() - ago)::bigint, body)) l
	WHERE s.code = source AND k.kind = 'source' AND k.code = source AND upper_inf(k.valid)
$$;
CREATE FUNCTION pg_temp.take(source text, headers jsonb, body bytea) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', r.outcome, r.reason, r.sqlstate) FROM distsync.receive(source, headers, body) r
$$;
CREATE TEMP TABLE vector (source text, id_header text, body bytea);
INSERT INTO vector VALUES ('ibr_standard', NULL, '{"a": 1}'), ('ibr_github', 'X-GitHub-Delivery', '{"a": 1}'), ('ibr_shopify', 'X-Shopify-Event-Id', '{"a": 1}'),
	('ibr_stripe', NULL, '{"id": "evt_1"}'), ('ibr_hmac_sha256_hex', 'X-Message-Id', '{"a": 1}');

-- every scheme: valid, again, tampered, without signature
SELECT v.source, pg_temp.take(v.source, h, v.body) AS first, pg_temp.take(v.source, h, v.body) AS again,
	pg_temp.take(v.source, h, v.body || ' ') AS tampered, pg_temp.take(v.source, h - 'Webhook-Signature' - 'X-Hub-Signature-256' - 'X-Shopify-Hmac-Sha256' - 'Stripe-Signature' - 'X-Signature', v.body) AS bare
FROM vector v, LATERAL (SELECT pg_temp.message(v.source, 'm1', v.body) || CASE WHEN v.id_header IS NULL THEN '{}' ELSE jsonb_build_object(v.id_header, 'm1') END) m(h);
SELECT source, left(message_id, 11) AS message_id, state, sqlstate FROM sync.inbox WHERE source LIKE 'ibr%' ORDER BY source COLLATE "C", inbox_id;
-- old, early, and signed with another key
SELECT pg_temp.take('ibr_standard', pg_temp.message('ibr_standard', 'm2', 'x', '6 minutes'), 'x') AS old,
	pg_temp.take('ibr_standard', pg_temp.message('ibr_standard', 'm2', 'x', '-6 minutes'), 'x') AS early,
	pg_temp.take('ibr_standard', pg_temp.message('ibr_standard', 'm2', 'x', '4 minutes'), 'x') AS late_enough,
	pg_temp.take('ibr_stripe', pg_temp.message('ibr_stripe', 'm2', '{"id": "evt_2"}', '6 minutes'), '{"id": "evt_2"}') AS stripe_old;
-- rotation: the old key holds for the grace period, not without one; a new one can be made here
CREATE TEMP TABLE signed AS SELECT pg_temp.message('ibr_standard', 'm3', 'y') AS old;
SELECT distsync.rotate_source_secret('ibr_standard', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD');
SELECT pg_temp.take('ibr_standard', old, 'y') AS old_key, pg_temp.take('ibr_standard', pg_temp.message('ibr_standard', 'm4', 'y'), 'y') AS new_key FROM signed;
SELECT distsync.rotate_source_secret('ibr_standard', NULL, '{"grace": "0"}') ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS made;
SELECT pg_temp.take('ibr_standard', old, 'y') AS old_key, pg_temp.take('ibr_standard', pg_temp.message('ibr_standard', 'm5', 'y'), 'y') AS new_key FROM signed;
SELECT distsync.rotate_source_secret('ibr_nobody');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.rotate_source_secret('ibr_none', 'x', '{"grace": "-1 day"}');
\echo :LAST_ERROR_SQLSTATE

-- unknown, inactive, oversize, nonsense for headers, no id
SELECT pg_temp.take('ibr_nobody', '{}', 'x') AS unknown, pg_temp.take(NULL, NULL, NULL) AS nothing;
SELECT pg_temp.take('ibr_none', '{"webhook-id": "n1"}', convert_to(repeat('x', 101), 'UTF8')) AS oversize, pg_temp.take('ibr_none', '{"webhook-id": "n1"}', convert_to(repeat('x', 100), 'UTF8')) AS fits;
SELECT h, pg_temp.take('ibr_none', h, '{}') FROM unnest(ARRAY['[]', '{"a": 1}', '{"A": "1", "a": "2"}', '{}', '{"webhook-id": ""}', 'null']::jsonb[]) h;
SELECT pg_temp.take('ibr_none', jsonb_build_object('webhook-id', repeat('i', 256)), '{}') AS long_id, pg_temp.take('ibr_none', jsonb_build_object('x-filler', repeat('f', 70000)), '{}') AS long_headers;
SELECT distsync.add_source('ibr_none', 'ibr_partner', '{"status": "inactive"}') IS NOT NULL AS changed;
SELECT pg_temp.take('ibr_none', '{"webhook-id": "n2"}', 'x') AS inactive;
SELECT distsync.add_source('ibr_none', 'ibr_partner', '{"status": "active", "max_body": 10000}') IS NOT NULL AS changed;
-- the id of a CloudEvent counts where no header has one; a body that is no JSON goes under its hash
SELECT pg_temp.take('ibr_none', '{}', '{"specversion": "1.0", "id": "ce-1", "type": "x", "data": {}}') AS event,
	pg_temp.take('ibr_none', '{}', '{"specversion": "1.0", "id": "ce-1", "type": "x", "data": {}}') AS again, pg_temp.take('ibr_none', '{}', '{broken') AS broken, pg_temp.take('ibr_none', '{}', '{broken') AS broken_again;
SELECT left(message_id, 11) AS message_id FROM sync.inbox WHERE source = 'ibr_none' ORDER BY inbox_id;

-- the same id with another body: refused, kept with its bytes, an exception; the same conflict again is kept once
SELECT pg_temp.take('ibr_none', '{"webhook-id": "c1"}', 'one') AS one, pg_temp.take('ibr_none', '{"webhook-id": "c1"}', 'two') AS two, pg_temp.take('ibr_none', '{"webhook-id": "c1"}', 'two') AS two_again, pg_temp.take('ibr_none', '{"webhook-id": "c1"}', 'one') AS one_again;
SELECT convert_from(body, 'UTF8') AS body, state, sqlstate, error ->> 'field' AS field FROM sync.inbox WHERE source = 'ibr_none' AND message_id = 'c1' ORDER BY inbox_id;
SELECT kind, trace_key, seen, state FROM sync.exception WHERE trace_key LIKE 'inbox:ibr%' ORDER BY 1, 2;
-- the look over a body before the parser: depth and keys as they are meant; it reads bytes of any kind to their end
SELECT body, distsync_internal.inbox_scan(convert_to(body, 'UTF8'), 3) FROM (VALUES ('{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}'), ('[[[1]]]'), ('[[[[1]]]]'), ('{"a": "[[[[{{{{"}'), ('{"a": 1, "b": 2, "a": 3}'), ('[{"x": {"k": 1, "k": 2}}]'),
	('{"\u0061": 1, "a": 2}'), ('{"\ud83d\ude00": 1, "😀": 2}'), ('{"\ud83d": 1, "\ud83d": 2}'), ('{"\ud83d": 1, "\ude00": 2}'), ('{"\u0000": 1, "\u0000": 2}'), ('{"a\"b": 1, "a\u0022b": 2}'), ('{"\n": 1, "n": 2}'), ('{"a\\": 1, "a": 2}'),
	('{"": 1, "": 2}'), ('{"a"'), ('{"a\'), ('{"a\u12'), ('}{'), (']]]]'), ('{,,,"a","a"}'), (''), ('"')) v(body);
SELECT distsync_internal.inbox_scan('\x7b2261ff22', 3) AS encoding, distsync_internal.inbox_scan('\x7b00', 3) AS nul, distsync_internal.inbox_scan('\xeda080', 3) AS surrogate;
SELECT distsync_internal.inbox_scan('', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.inbox_scan(convert_to('{' || string_agg(format('"%s": 1', n % 9999), ',') || '}', 'UTF8'), 3) FROM generate_series(1, 10000) n;
-- parts of a key can not be shifted
SELECT distsync_internal.inbox_key('ab', 'c') = distsync_internal.inbox_key('a', 'bc') AS collide;

-- secrets are cut out of what is kept, bytes of any kind are kept as they are
SELECT pg_temp.take('ibr_none', '{"webhook-id": "s1", "Authorization": "Bearer secret", "Cookie": "c=1", "X-Api-Key": "k", "User-Agent": "shop"}', '\x00ff') AS taken;
SELECT headers, body FROM sync.inbox WHERE source = 'ibr_none' AND message_id = 's1';

-- what was refused is counted, with a sample; names nobody has fill no table
SELECT outcome FROM distsync.receive('ibr_big', '{"Authorization": "x"}', convert_to(repeat('x', 20000), 'UTF8'));
SELECT source, reason, sum(n) AS n, bool_and(sample_headers IS NOT NULL) AS headers, max(octet_length(sample_body)) AS bytes FROM sync.refused WHERE source LIKE 'ibr%' OR source = '' GROUP BY 1, 2 ORDER BY source COLLATE "C", reason COLLATE "C";
SELECT sample_headers FROM sync.refused WHERE source = 'ibr_big';
DO $$ BEGIN FOR i IN 1 .. 120 LOOP PERFORM distsync.receive('ibr_scan_' || i, '{}', ''); END LOOP; END $$;
SELECT max(names) <= 101 AS bounded, sum(n) AS n FROM (SELECT count(*) AS names, sum(n) FILTER (WHERE source LIKE 'ibr\_scan%' OR source = '*') AS n FROM sync.refused WHERE reason = 'unknown_source' GROUP BY hour) h;

-- who may: an integrator calls the door and sees nothing
CREATE ROLE regress_ibr_gateway;
GRANT distsync_integrator TO regress_ibr_gateway;
SET ROLE regress_ibr_gateway;
SELECT outcome FROM distsync.receive('ibr_none', '{"webhook-id": "g1"}', 'x');
SELECT count(*) FROM sync.inbox;
SELECT count(*) FROM sync.secret;
SELECT distsync.add_source('ibr_x', 'ibr_partner', '{"scheme": "none"}');
RESET ROLE;
DROP ROLE regress_ibr_gateway;

DELETE FROM sync.inbox WHERE source LIKE 'ibr%';
DELETE FROM sync.dedupe WHERE source LIKE 'ibr%';
DELETE FROM sync.refused;
DELETE FROM sync.exception WHERE trace_key LIKE 'inbox:ibr%';
DELETE FROM sync.secret WHERE code LIKE 'ibr%';
DELETE FROM sync.source WHERE code LIKE 'ibr%';
