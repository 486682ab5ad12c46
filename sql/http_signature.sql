-- http_signature: signing and verifying, against vectors made by others: the npm package standardwebhooks 1.1.1, the
-- specification of Standard Webhooks, GitHub's documentation, and HMAC by Python and openssl (Stripe, Shopify, plain).
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS distsync;
RESET client_min_messages;

-- headers_of makes of header lines what http_verify takes.
CREATE FUNCTION pg_temp.headers_of(lines text[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_catalog.jsonb_object_agg(split_part(l, ': ', 1), substr(l, strpos(l, ': ') + 2)) FROM unnest(lines) AS l
$$;

CREATE TEMP TABLE key AS SELECT
	distsync_internal.http_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') AS new,
	distsync_internal.http_secret('whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD') AS old;

-- each vector: what we sign equals what they signed, and we accept it
CREATE TEMP TABLE vector (label text, scheme text, secrets bytea[], body bytea, expected text);
INSERT INTO vector SELECT 'specification', 'standard', ARRAY[new], '{"test": 2432232314}', 'webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=' FROM key;
INSERT INTO vector SELECT 'empty body', 'standard', ARRAY[new], '', 'webhook-signature: v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A=' FROM key;
INSERT INTO vector SELECT 'UTF-8, two keys', 'standard', ARRAY[new, old], convert_to('Größe "12½" ☃', 'UTF8'),
	'webhook-signature: v1,msRyaokJPrQ648t2Zawgu0bXr+7NASGrENYcKaXmGOA= v1,u1z2UZlJcRYMYnMHImc83YHWosGYAkpE2KsiWw2WN5w=' FROM key;
INSERT INTO vector VALUES
	('documentation', 'github', ARRAY['It''s a Secret to Everybody'::bytea], 'Hello, World!',
		'x-hub-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'),
	('openssl', 'stripe', ARRAY['whsec_test_secret'::bytea], '{"id":"evt_1"}',
		'stripe-signature: t=1614265330,v1=e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa'),
	('all 256 bytes', 'shopify', ARRAY['hush'::bytea], (SELECT decode(string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i), 'hex') FROM generate_series(0, 255) i),
		'x-shopify-hmac-sha256: gKlNA7mEX0pm0mBIt8Ba3wT8Ygeq/keY3nxGhvY17h0='),
	('key beyond a block', 'hmac_sha256_hex', ARRAY[convert_to(repeat('k', 100), 'UTF8')], 'body',
		'x-signature: a3306f78bc603683d9d9d98b9304be3e3e99497c42e660d7b00f6698b0df4e89');
SELECT label, scheme, lines[cardinality(lines)] = expected AS signs_alike,
	coalesce(distsync_internal.http_verify(scheme, secrets, pg_temp.headers_of(lines), body, 300, to_timestamp(1614265330)), 'valid') AS verifies
FROM vector, LATERAL (SELECT distsync_internal.http_sign(scheme, secrets, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, body) AS lines) s;
SELECT distsync_internal.http_sign('standard', ARRAY[new], 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}') FROM key;
SELECT distsync_internal.http_sign('none', '{}', 'x', 1, 'x') AS nothing, distsync_internal.http_verify('none', '{}', '{}', 'x', 0, now()) AS valid;

-- what is wrong with a message has a name
CREATE TEMP TABLE good AS SELECT pg_temp.headers_of(distsync_internal.http_sign('standard', ARRAY[new], 'msg_1', 1614265330, 'body')) AS h FROM key;
CREATE FUNCTION pg_temp.verdict(headers jsonb, seconds int DEFAULT 0, body bytea DEFAULT 'body', secrets bytea[] DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(distsync_internal.http_verify('standard', coalesce(secrets, ARRAY[new]), headers, body, 300, to_timestamp(1614265330 + seconds)), 'valid') FROM key
$$;
SELECT pg_temp.verdict(h) AS untouched,
	pg_temp.verdict(h, 300) AS late, pg_temp.verdict(h, 301) AS too_late, pg_temp.verdict(h, -300) AS early, pg_temp.verdict(h, -301) AS too_early,
	pg_temp.verdict(h, body => 'Body') AS body_changed,
	pg_temp.verdict(h, secrets => ARRAY[old]) AS other_key, pg_temp.verdict(h, secrets => ARRAY[old, new]) AS both_keys, pg_temp.verdict(h, secrets => '{}') AS no_key
FROM good, key \gx
SELECT pg_temp.verdict('{}') AS no_headers,
	pg_temp.verdict('[]') AS array_,
	pg_temp.verdict('"x"') AS scalar,
	pg_temp.verdict(h - 'webhook-signature') AS no_signature,
	pg_temp.verdict(h - 'webhook-timestamp') AS no_timestamp,
	pg_temp.verdict(h - 'webhook-id') AS no_id,
	pg_temp.verdict(h || '{"webhook-id": "msg_2"}') AS other_id,
	pg_temp.verdict(h || '{"webhook-id": "msg.1"}') AS dot_in_id,
	pg_temp.verdict(h || '{"webhook-timestamp": "1614265331"}') AS other_time,
	pg_temp.verdict(h || '{"webhook-timestamp": "01614265330"}') AS time_with_zero,
	pg_temp.verdict(h || '{"webhook-timestamp": 1614265330}') AS time_as_number,
	pg_temp.verdict(h || '{"webhook-timestamp": ["1614265330"]}') AS time_twice,
	pg_temp.verdict(h || '{"webhook-signature": ""}') AS empty_signature,
	pg_temp.verdict(h || '{"webhook-signature": "v1,"}') AS no_digest,
	pg_temp.verdict(h || '{"webhook-signature": "v1,AAAA"}') AS short_digest,
	pg_temp.verdict(h || jsonb_build_object('webhook-signature', replace(h ->> 'webhook-signature', 'v1,', 'v1a,'))) AS other_version,
	pg_temp.verdict(h || jsonb_build_object('webhook-signature', 'v1a,abc v1,AAAA ' || (h ->> 'webhook-signature') || ' v2,x')) AS among_others,
	pg_temp.verdict(h || jsonb_build_object('webhook-signature', repeat((h ->> 'webhook-signature') || ' ', 17))) AS seventeen,
	pg_temp.verdict(h || jsonb_build_object('webhook-signature', (h ->> 'webhook-signature') || repeat(' ', 4096))) AS huge,
	pg_temp.verdict((SELECT jsonb_object_agg(replace(k, 'webhook', 'svix'), v) FROM jsonb_each(h) AS e(k, v))) AS svix_names
FROM good \gx

-- id and time can't be divided another way: "a" + "1.x" is not "a.1" + "x"
SELECT distsync_internal.http_sign('standard', ARRAY[new], 'a.1', 1614265330, 'x') FROM key;

-- a thousand changes of one bit each, in body, signature, id and time: none passes
SELECT count(*) AS tampered, count(*) FILTER (WHERE v = 'valid') AS passed, count(*) FILTER (WHERE v IS NULL) AS unknown
FROM (
	SELECT n, pg_temp.verdict(
		CASE n % 4
			WHEN 1 THEN h || jsonb_build_object('webhook-signature', 'v1,' || encode(set_bit(digest, n % 256, 1 - get_bit(digest, n % 256)), 'base64'))
			WHEN 2 THEN h || jsonb_build_object('webhook-id', 'msg_' || n)
			WHEN 3 THEN h || jsonb_build_object('webhook-timestamp', (1614265330 + 1 + n % 250)::text)
			ELSE h END,
		body => CASE n % 4 WHEN 0 THEN set_bit(b.body, n % 8000, 1 - get_bit(b.body, n % 8000)) ELSE b.body END) AS v
	FROM (SELECT convert_to(repeat('0123456789', 100), 'UTF8') AS body) AS b
	CROSS JOIN key
	CROSS JOIN LATERAL (SELECT pg_temp.headers_of(distsync_internal.http_sign('standard', ARRAY[new], 'msg_1', 1614265330, b.body)) AS h) AS s
	CROSS JOIN LATERAL (SELECT decode(substr(h ->> 'webhook-signature', 4), 'base64') AS digest) AS d
	CROSS JOIN generate_series(4, 1003) AS n
) AS t;

-- the other schemes
CREATE FUNCTION pg_temp.verdict_of(scheme text, headers jsonb, at bigint DEFAULT 1614265330) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(distsync_internal.http_verify(scheme, secrets, headers, body, 300, to_timestamp(at)), 'valid') FROM vector v WHERE v.scheme = $1
$$;
SELECT pg_temp.verdict_of('github', '{}') AS no_signature,
	pg_temp.verdict_of('github', '{"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}', 0) AS at_any_time,
	pg_temp.verdict_of('github', '{"x-hub-signature-256": "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17"}') AS capitals,
	pg_temp.verdict_of('github', '{"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18"}') AS wrong,
	pg_temp.verdict_of('github', '{"x-hub-signature-256": "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}') AS no_prefix,
	pg_temp.verdict_of('github', '{"x-hub-signature-256": "sha1=757107ea0eb2509fc211221cce984b8a37570b6d"}') AS sha1,
	pg_temp.verdict_of('shopify', '{"x-shopify-hmac-sha256": "gKlNA7mEX0pm0mBIt8Ba3wT8Ygeq/keY3nxGhvY17h1="}') AS unused_bits,
	pg_temp.verdict_of('shopify', '{"x-shopify-hmac-sha256": "hKlNA7mEX0pm0mBIt8Ba3wT8Ygeq/keY3nxGhvY17h0="}') AS wrong_base64,
	pg_temp.verdict_of('stripe', '{"stripe-signature": "v1=e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa"}') AS no_time,
	pg_temp.verdict_of('stripe', '{"stripe-signature": "t=1614265330,v0=e135"}') AS no_v1,
	pg_temp.verdict_of('stripe', '{"stripe-signature": "t=1614265330,t=1614265331,v1=e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa"}') AS two_times,
	pg_temp.verdict_of('stripe', '{"stripe-signature": "t=1614265330,v1=00,v1=e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa,v0=x"}') AS among_others,
	pg_temp.verdict_of('stripe', '{"stripe-signature": "t=1614265330,v1=e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa"}', 1614265631) AS old,
	pg_temp.verdict_of('stripe', '{"stripe-signature": "t=1614265330,v1=e135cdbed3dda004bf8a2fb350f2541d299393c770e0b9e6e319dc595e9072aa"}', 1614265029) AS from_the_future \gx

-- NULL never means valid, and secrets are checked where they are stored
\set SHOW_CONTEXT never
SELECT distsync_internal.http_verify('standard', NULL, '{}', '', 300, now());
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.http_verify('standard', '{}', '{}', NULL, 300, now());
SELECT distsync_internal.http_verify('md5', '{}', '{}', '', 300, now());
SELECT distsync_internal.http_verify('github', ARRAY[''::bytea], '{}', '', 300, now());
SELECT distsync_internal.http_sign('standard', '{}', 'msg_1', 1, '');
SELECT distsync_internal.http_sign('standard', ARRAY['k'::bytea], E'msg\r\nX-Evil: 1', 1, '');
SELECT distsync_internal.http_sign('standard', ARRAY['k'::bytea], 'msg_1', 1614265330000000, '');
SELECT distsync_internal.http_secret('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
SELECT distsync_internal.http_secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!');
SELECT distsync_internal.http_secret('whsec_' || encode(repeat('k', 23)::bytea, 'base64'));
SELECT distsync_internal.http_secret('whsec_' || replace(encode(repeat('k', 65)::bytea, 'base64'), E'\n', ''));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.http_secret('whsec_' || repeat('k', 1000));
SELECT distsync_internal.http_secret('whsec_');
SELECT length(distsync_internal.http_secret('whsec_' || encode(repeat('k', 24)::bytea, 'base64'))) AS shortest,
	length(distsync_internal.http_secret('whsec_' || replace(encode(repeat('k', 64)::bytea, 'base64'), E'\n', ''))) AS longest;
