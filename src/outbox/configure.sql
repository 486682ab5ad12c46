-- Who gets what: systems, endpoints and their keys, routes. Each verb adds or changes, and says so in the audit.

-- outbox_refuse does the raising of an error about one argument or option.
CREATE FUNCTION distsync_internal.outbox_refuse(code text, message text, field text, detail text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message, DETAIL = concat('Field: ', field, '.', ' ' || detail), HINT = hint;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_refuse(text, text, text, text, text) IS 'Raises the SQLSTATE with message, a detail that names the field, and hint.';

-- outbox_endpoint does the look-up of an endpoint by its code.
CREATE FUNCTION distsync_internal.outbox_endpoint(endpoint text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id bigint;
BEGIN
	SELECT e.endpoint_id INTO id FROM sync.endpoint e WHERE e.code = endpoint;
	IF id IS NULL THEN
		PERFORM distsync_internal.outbox_refuse('SD001', format('unknown endpoint "%s"', left(endpoint, 80)), 'endpoint', NULL, 'Add it with distsync.add_endpoint(), or see sync.endpoint.');
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_endpoint(text) IS 'Id of an endpoint by its code. Errors: SD001.';

-- add_system does the adding of a system we exchange with, or changes it.
CREATE FUNCTION distsync.add_system(code text, kind text, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	was jsonb;
	is_now jsonb;
BEGIN
	options := distsync_internal.base_options(options, '{name,tz,currency,status}');
	IF COALESCE(add_system.code, '') !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('system code "%s" is not allowed', add_system.code), 'code', NULL, 'Use 1 to 63 letters, digits, dots, hyphens or underscores.');
	END IF;
	IF options ? 'tz' AND NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = options ->> 'tz') THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('unknown time zone "%s"', options ->> 'tz'), 'options.tz', NULL, 'Use a name of pg_timezone_names.');
	END IF;
	SELECT to_jsonb(s) INTO was FROM sync.system s WHERE s.code = add_system.code;
	BEGIN
		INSERT INTO sync.system AS s (code, kind, name, tz, currency, status)
		VALUES (add_system.code, add_system.kind, COALESCE(options ->> 'name', was ->> 'name', ''), COALESCE(options ->> 'tz', was ->> 'tz', 'UTC'),
			CASE WHEN options ? 'currency' THEN options ->> 'currency' ELSE was ->> 'currency' END, COALESCE(options ->> 'status', was ->> 'status', 'active'))
		ON CONFLICT (code) DO UPDATE SET kind = excluded.kind, name = excluded.name, tz = excluded.tz, currency = excluded.currency, status = excluded.status
		RETURNING to_jsonb(s) INTO is_now;
	EXCEPTION WHEN check_violation OR not_null_violation THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'kind or status of the system is not one of the known ones', 'kind', format('kind "%s", status "%s".', add_system.kind, options ->> 'status'),
			'Kind: erp, wms, third_party, crm, cpq, shop, marketplace, edi, transport, credit, bank, portal or other. Status: active or inactive.');
	END;
	IF was IS DISTINCT FROM is_now THEN
		PERFORM distsync_internal.base_audit('add_system', 'system', add_system.code, was, is_now);
	END IF;
	RETURN add_system.code;
END
$$;
COMMENT ON FUNCTION distsync.add_system(text, text, jsonb) IS
	'Adds a system that we exchange with, or changes the one with this code. kind: erp | wms | third_party | crm | cpq | shop | marketplace | edi | transport | credit | bank | portal | other. options: name, tz (of dates sent without one), currency (of amounts sent without one), status (active | inactive). Returns the code. Errors: SD002.';

-- outbox_without_tokens does the leaving out of what header lines say: a token may stand there, and many read the audit.
CREATE FUNCTION distsync_internal.outbox_without_tokens(endpoint jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT endpoint || jsonb_build_object('headers', (SELECT COALESCE(jsonb_agg(split_part(h.value, ':', 1) ORDER BY h.ordinality), '[]') FROM jsonb_array_elements_text(endpoint -> 'headers') WITH ORDINALITY h))
$$;
COMMENT ON FUNCTION distsync_internal.outbox_without_tokens(jsonb) IS 'An endpoint''s row with the names of its header lines only.';

-- outbox_check_endpoint does the checking of what add_endpoint is given, before anything is written.
CREATE FUNCTION distsync_internal.outbox_check_endpoint(endpoint text, system text, url text, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	refused text;
	line text;
BEGIN
	IF COALESCE(endpoint, '') !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
		PERFORM distsync_internal.outbox_refuse('SD080', format('endpoint code "%s" is not allowed', endpoint), 'code', NULL, 'Use 1 to 63 letters, digits, dots, hyphens or underscores.');
	END IF;
	IF NOT EXISTS (SELECT FROM sync.system s WHERE s.code = outbox_check_endpoint.system) THEN
		PERFORM distsync_internal.outbox_refuse('SD001', format('unknown system "%s"', system), 'system', NULL, 'Add it with distsync.add_system() first.');
	END IF;
	IF COALESCE(options ->> 'kind', 'http') = 'http' THEN
		refused := distsync_internal.http_check_url(url, COALESCE((options ->> 'allow_http')::boolean, false), COALESCE((options ->> 'allow_private')::boolean, false));
		IF refused IS NOT NULL THEN
			PERFORM distsync_internal.outbox_refuse(CASE WHEN refused IN ('missing', 'too_long', 'control_character', 'non_ascii', 'malformed', 'scheme', 'userinfo', 'fragment', 'host', 'port') THEN 'SD080' ELSE 'SD081' END,
				format('endpoint address is refused: %s', refused), 'url', NULL,
				CASE refused WHEN 'scheme' THEN 'Use https, or set option allow_http for a partner inside your own network.'
					ELSE 'Use a public https address, or set option allow_private for a partner inside your own network.' END);
		END IF;
	END IF;
	IF options ? 'headers' AND jsonb_typeof(options -> 'headers') <> 'array' THEN
		PERFORM distsync_internal.outbox_refuse('SD080', 'headers must be an array of lines', 'options.headers', NULL, 'Write ["Name: value"].');
	END IF;
	FOR line IN SELECT jsonb_array_elements_text(options -> 'headers') LOOP
		refused := COALESCE(distsync_internal.http_check_header(line),
			CASE WHEN lower(split_part(line, ':', 1)) IN ('content-type', 'user-agent', 'idempotency-key') OR lower(line) LIKE 'webhook-%' THEN 'reserved_name' END);
		IF refused IS NOT NULL THEN
			PERFORM distsync_internal.outbox_refuse('SD080', format('header line is refused: %s', refused), 'options.headers', NULL, 'Write "Name: value"; names that distsync sets itself are not allowed.');
		END IF;
	END LOOP;
	IF options ? 'retry_policy' AND NOT EXISTS (SELECT FROM sync.retry_policy p WHERE p.code = options ->> 'retry_policy') THEN
		PERFORM distsync_internal.outbox_refuse('SD001', format('unknown retry policy "%s"', options ->> 'retry_policy'), 'options.retry_policy', NULL, 'Use standard, quick, once, or add a row to sync.retry_policy.');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_check_endpoint(text, text, text, jsonb) IS 'Checks code, system, address, headers and retry policy. Errors: SD001, SD080, SD081.';

-- outbox_secret does the decoding of a key as its scheme writes it.
CREATE FUNCTION distsync_internal.outbox_secret(scheme text, secret text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE scheme WHEN 'standard' THEN distsync_internal.http_secret(secret) ELSE convert_to(secret, 'UTF8') END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_secret(text, text) IS 'Bytes of a key: "whsec_" and base64 for scheme standard, otherwise the text itself. Errors: SD002.';

-- add_endpoint does the adding of an address that events go to, or changes it.
CREATE FUNCTION distsync.add_endpoint(code text, system text, url text, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	was jsonb;
	e sync.endpoint%ROWTYPE;
BEGIN
	options := distsync_internal.base_options(options, '{kind:http|pull!,method:POST|PUT|PATCH!,headers,scheme:standard|github|shopify|stripe|hmac_sha256_hex|none!,secret:text!,retry_policy:text!,timeout:interval!:10 ms:5 minutes,connect_timeout:interval!:10 ms:1 minute,max_inflight:integer!:1:1000,max_response:integer!:0:1048576,allow_http:boolean!,allow_private:boolean!,disable_after:interval!}');
	SELECT * INTO e FROM sync.endpoint p WHERE p.code = add_endpoint.code FOR UPDATE;
	was := CASE WHEN e.endpoint_id IS NOT NULL THEN to_jsonb(e) END;
	BEGIN
		PERFORM distsync_internal.outbox_check_endpoint(add_endpoint.code, add_endpoint.system, add_endpoint.url, COALESCE(was, '{}') || options);
		-- the options are the columns: absent ones stay as they are, or take their defaults
		e := jsonb_populate_record(e, jsonb_build_object('kind', 'http', 'method', 'POST', 'headers', '[]'::jsonb, 'scheme', 'standard', 'retry_policy', 'standard', 'timeout', '15 seconds',
				'connect_timeout', '5 seconds', 'max_inflight', 32, 'max_response', 16384, 'allow_http', false, 'allow_private', false, 'disable_after', '5 days', 'state', 'active')
			|| COALESCE(was, '{}') || (options - 'secret') || jsonb_build_object('code', add_endpoint.code, 'system', add_endpoint.system, 'url', add_endpoint.url));
		IF was IS NULL THEN
			INSERT INTO sync.endpoint (code, system, kind, url, method, headers, scheme, retry_policy, timeout, connect_timeout, max_inflight, max_response, allow_http, allow_private, state, disable_after)
			VALUES (e.code, e.system, e.kind, e.url, e.method, e.headers, e.scheme, e.retry_policy, e.timeout, e.connect_timeout, e.max_inflight, e.max_response, e.allow_http, e.allow_private, e.state, e.disable_after);
		ELSE
			UPDATE sync.endpoint p SET system = e.system, kind = e.kind, url = e.url, method = e.method, headers = e.headers, scheme = e.scheme, retry_policy = e.retry_policy, timeout = e.timeout,
				connect_timeout = e.connect_timeout, max_inflight = e.max_inflight, max_response = e.max_response, allow_http = e.allow_http, allow_private = e.allow_private, disable_after = e.disable_after
			WHERE p.code = add_endpoint.code;
		END IF;
	EXCEPTION WHEN check_violation OR not_null_violation OR data_exception THEN
		PERFORM distsync_internal.outbox_refuse('SD080', 'an option of the endpoint is not allowed', 'options', SQLERRM || '.', 'See the comment of distsync.add_endpoint for the options and sync.endpoint for their limits.');
	END;
	IF options ? 'secret' THEN
		PERFORM distsync_internal.outbox_set_secret(e.code, distsync_internal.outbox_secret(e.scheme, options ->> 'secret'), '0');
	ELSIF e.scheme <> 'none' AND e.kind = 'http' AND NOT EXISTS (SELECT FROM sync.secret s WHERE s.kind = 'endpoint' AND s.code = e.code) THEN
		PERFORM distsync_internal.outbox_refuse('SD080', format('endpoint "%s" has no key to sign with', e.code), 'options.secret', NULL, 'Pass option secret ("whsec_" and base64 for scheme standard), or scheme none.');
	END IF;
	PERFORM distsync_internal.base_audit('add_endpoint', 'endpoint', e.code, distsync_internal.outbox_without_tokens(was),
		(SELECT distsync_internal.outbox_without_tokens(to_jsonb(p)) FROM sync.endpoint p WHERE p.code = e.code));
	PERFORM distsync_internal.worker_wake('courier');
	RETURN e.code;
END
$$;
COMMENT ON FUNCTION distsync.add_endpoint(text, text, text, jsonb) IS
	'Adds an address of a system that events are sent to, or changes the one with this code. options: secret (key to sign with: "whsec_" and base64 for scheme standard), scheme (standard | github | shopify | stripe | hmac_sha256_hex | none), kind (http | pull: the partner fetches, url NULL), method (POST | PUT | PATCH), headers (lines), retry_policy, timeout, connect_timeout, max_inflight, max_response (bytes of the answer kept), allow_http, allow_private, disable_after. Returns the code. Errors: SD001 unknown system or policy, SD002 unknown option or bad key, SD080 not allowed, SD081 address refused.';

-- outbox_set_secret does the putting of a new key in force. The old ones go on for a while, so that the partner can change at leisure.
CREATE FUNCTION distsync_internal.outbox_set_secret(endpoint text, new_secret bytea, overlap interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t timestamptz := clock_timestamp();
BEGIN
	-- the CHECK of the table would show the row, and with it the key, to the log
	IF new_secret IS NULL OR octet_length(new_secret) NOT BETWEEN 1 AND 4096 THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'secret must have 1 to 4096 bytes', 'secret', NULL, 'Use 32 random bytes.');
	END IF;
	IF EXISTS (SELECT FROM sync.secret s WHERE s.kind = 'endpoint' AND s.code = endpoint AND s.secret = new_secret AND upper_inf(s.valid)) THEN
		RETURN;
	END IF;
	DELETE FROM sync.secret s WHERE s.kind = 'endpoint' AND s.code = endpoint AND (upper(s.valid) <= t OR overlap <= '0');
	UPDATE sync.secret s SET valid = tstzrange(lower(s.valid), t + overlap) WHERE s.kind = 'endpoint' AND s.code = endpoint AND COALESCE(upper(s.valid), 'infinity') > t + overlap;
	INSERT INTO sync.secret (kind, code, secret, valid) VALUES ('endpoint', endpoint, new_secret, tstzrange(t, NULL));
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_set_secret(text, bytea, interval) IS 'Makes a key the newest of an endpoint; older ones end after overlap, at once when it is 0.';

-- add_route does the adding of a rule which events an endpoint gets, or changes it.
CREATE FUNCTION distsync.add_route(code text, endpoint text, event_type text, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	was jsonb;
	r sync.route%ROWTYPE;
BEGIN
	options := distsync_internal.base_options(options, '{filter,ordering:entity|none!,on_block:block|skip|latest!,mapping:text,slo:interval,status:active|inactive!}');
	IF COALESCE(add_route.code, '') !~ '^[A-Za-z0-9_.-]{1,63}$' THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('route code "%s" is not allowed', add_route.code), 'code', NULL, 'Use 1 to 63 letters, digits, dots, hyphens or underscores.');
	END IF;
	IF COALESCE(add_route.event_type, '') !~ '^[a-z0-9_.*]{1,200}$' THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('event type "%s" is not allowed', left(add_route.event_type, 80)), 'event_type', NULL, 'Write a type such as order.accepted, or a pattern such as order.* or *.');
	END IF;
	SELECT to_jsonb(o) INTO was FROM sync.route o WHERE o.code = add_route.code FOR UPDATE;
	BEGIN
		r := jsonb_populate_record(r, jsonb_build_object('ordering', 'entity', 'status', 'active',
				'on_block', CASE WHEN EXISTS (SELECT FROM distsync_internal.handler h WHERE h.kind = 'render' AND h.name = add_route.event_type) THEN 'latest' ELSE 'block' END)
			|| COALESCE(was, '{}') || options || jsonb_build_object('code', add_route.code, 'endpoint_id', distsync_internal.outbox_endpoint(endpoint), 'event_type', add_route.event_type));
		INSERT INTO sync.route (code, endpoint_id, event_type, filter, ordering, on_block, mapping, slo, status)
		VALUES (r.code, r.endpoint_id, r.event_type, r.filter, r.ordering, r.on_block, r.mapping, r.slo, r.status)
		ON CONFLICT (code) DO UPDATE SET endpoint_id = excluded.endpoint_id, event_type = excluded.event_type, filter = excluded.filter, ordering = excluded.ordering,
			on_block = excluded.on_block, mapping = excluded.mapping, slo = excluded.slo, status = excluded.status;
	EXCEPTION WHEN check_violation OR not_null_violation OR data_exception OR syntax_error THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'an option of the route is not allowed', 'options', SQLERRM || '.', 'See the comment of distsync.add_route for the options.');
	END;
	PERFORM distsync_internal.base_audit('add_route', 'route', r.code, was, (SELECT to_jsonb(o) FROM sync.route o WHERE o.code = r.code));
	RETURN r.code;
END
$$;
COMMENT ON FUNCTION distsync.add_route(text, text, text, jsonb) IS
	'Adds a route: events of a type (or pattern: order.*, *) go to an endpoint; or changes the one with this code. It holds for events routed from now on. options: filter (jsonpath on the data: finds something, or is true), ordering (entity: events of one entity arrive in order | none), on_block (block | skip | latest: what happens behind a failed delivery; states take latest by default, documents block), mapping, slo (commit to receipt), status (active | inactive). Returns the code. Errors: SD001 unknown endpoint, SD002.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('add_system', '{admin}'), ('add_endpoint', '{admin}'), ('add_route', '{admin}');
