-- The HTTP room: what we connect to and send, and how messages are signed. Pure functions of their arguments; the driver
-- itself is C in the worker and has no SQL, because nothing calls out from inside a transaction.

-- http_check_url tells why a URL can't be an endpoint, when it is defined; the driver asks again when it sends.
CREATE FUNCTION distsync_internal.http_check_url(url text, allow_http boolean, allow_private boolean) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_http_check_url';
COMMENT ON FUNCTION distsync_internal.http_check_url(text, boolean, boolean) IS
	'NULL: the URL may be an endpoint. Otherwise why not: missing, too_long (2,048 characters), control_character, non_ascii (write a name in punycode), malformed, scheme, userinfo, fragment, host, port, inner_name, or a reason of http_address_refused for a literal address. Names are not resolved: the guard proper judges each address at connect time. NULL flags mean false.';

-- http_address_refused tells what the address guard says of an address, in any spelling the C library connects to.
CREATE FUNCTION distsync_internal.http_address_refused(addr text, allow_private boolean DEFAULT false) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_http_address_refused';
COMMENT ON FUNCTION distsync_internal.http_address_refused(text, boolean) IS
	'NULL: workers connect to the address. Otherwise why not: private, loopback, carrier_nat (these three open with allow_private), metadata, link_local, this_network, multicast, reserved, nat64, 6to4 ..., missing, not_an_address. A v4-mapped IPv6 address is judged as the IPv4 address inside.';

-- http_check_header tells why a header line can't be sent, when it is defined; the driver asks again when it sends.
CREATE FUNCTION distsync_internal.http_check_header(line text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_http_check_header';
COMMENT ON FUNCTION distsync_internal.http_check_header(text) IS
	'NULL: the line "Name: value" may be sent. Otherwise why not: missing, too_long (8,192 bytes), folded, control_character (also a line break), name, empty_value, reserved_name (framing and connection headers, which are the driver''s).';

-- http_sign makes the header lines of a signature; every live secret signs where the scheme allows it, so keys can be rotated.
CREATE FUNCTION distsync_internal.http_sign(scheme text, secrets bytea[], message_id text, ts bigint, body bytea) RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_http_sign';
COMMENT ON FUNCTION distsync_internal.http_sign(text, bytea[], text, bigint, bytea) IS
	'Header lines "name: value" that sign a message. Schemes: standard (webhook-id, webhook-timestamp, webhook-signature), github (x-hub-signature-256), shopify (x-shopify-hmac-sha256), stripe (stripe-signature), hmac_sha256_hex (x-signature), none (no line). secrets: keys as bytes, the newest first; standard and stripe sign with all, the others with the first. ts: seconds since 1970, new for each attempt. message_id: visible ASCII without a dot. Errors: SD002.';

-- http_verify judges the signature of what a partner sent.
CREATE FUNCTION distsync_internal.http_verify(scheme text, secrets bytea[], headers jsonb, body bytea, tolerance_s integer, at timestamptz) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_http_verify';
COMMENT ON FUNCTION distsync_internal.http_verify(text, bytea[], jsonb, bytea, integer, timestamptz) IS
	'NULL: valid. Otherwise signature_missing, signature_invalid, timestamp_missing, timestamp_stale (more than tolerance_s seconds before or after at; standard and stripe only, the other schemes sign no time and rely on deduplication) or header_invalid. headers: an object of strings with lower-case names. body: the raw bytes. Any secret and any presented signature may match. No argument may be NULL. Errors: SD002.';

-- http_secret decodes a Standard Webhooks key where it is stored, so that signing has bytes.
CREATE FUNCTION distsync_internal.http_secret(secret text) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ds_sql_http_secret';
COMMENT ON FUNCTION distsync_internal.http_secret(text) IS
	'The key in a Standard Webhooks secret: "whsec_" and the base64 of 24 to 64 bytes. Keys of other schemes are stored as their bytes. NULL for NULL. Errors: SD002, which never shows the secret.';
