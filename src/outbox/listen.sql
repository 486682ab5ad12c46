-- For those who come to us: partners that fetch their deliveries, and listeners that were away and ask what they missed.

-- fetch does the handing out of deliveries to a partner that polls; each belongs to him until his lease ends.
CREATE FUNCTION distsync.fetch(endpoint text, n integer DEFAULT 100, lease interval DEFAULT '1 minute')
RETURNS TABLE (delivery_id bigint, lease_id uuid, message_id uuid, event_type text, entity text, entity_key text, attempt integer, body jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	id bigint := distsync_internal.outbox_endpoint("fetch".endpoint);
	t timestamptz := clock_timestamp();
BEGIN
	IF (SELECT p.kind FROM sync.endpoint p WHERE p.endpoint_id = id) <> 'pull' THEN
		PERFORM distsync_internal.outbox_refuse('SD080', format('endpoint "%s" is sent to', "fetch".endpoint), 'endpoint', 'Its kind is http.', 'Add an endpoint with option kind = pull for a partner that fetches.');
	END IF;
	IF "fetch".n IS NULL OR "fetch".n NOT BETWEEN 1 AND 1000 OR "fetch".lease IS NULL OR "fetch".lease NOT BETWEEN '1 second' AND '1 day' THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'n must be between 1 and 1000, lease between 1 second and 1 day', 'n', NULL, 'Fetch again for more, or acknowledge sooner.');
	END IF;
	PERFORM distsync_internal.outbox_sweep(t);
	RETURN QUERY
	SELECT d.delivery_id, c.lease, d.message_id, e.event_type, e.entity, e.entity_key, d.attempts + 1, convert_from(COALESCE(d.body, e.body), 'UTF8')::jsonb
	FROM distsync_internal.outbox_lease('pull', id, "fetch".n, "fetch".lease, t) c
	JOIN sync.delivery d ON d.delivery_id = c.delivery_id
	JOIN sync.event e ON e.position = d.position
	ORDER BY d.delivery_id;
END
$$;
COMMENT ON FUNCTION distsync.fetch(text, integer, interval) IS
	'Up to n due deliveries of an endpoint of kind pull, at most one of each lane, leased to the caller. Acknowledge each with ack() or nack() and its lease_id before the lease ends; otherwise it is handed out again, with the same message_id. body is the CloudEvent. Errors: SD001, SD002, SD080 endpoint is not of kind pull.';

-- outbox_settle does the taking of a fetching partner's answer as if it were HTTP.
CREATE FUNCTION distsync_internal.outbox_settle(delivery_ids bigint[], lease_ids uuid[], status integer, error text, retry_after integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n integer := COALESCE(cardinality(delivery_ids), 0);
	held integer;
BEGIN
	IF n <> COALESCE(cardinality(lease_ids), 0) THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'delivery_ids and lease_ids must have the same length', 'lease_ids', format('%s and %s.', n, COALESCE(cardinality(lease_ids), 0)), 'Pass both as fetch() returned them.');
	END IF;
	held := distsync_internal.outbox_finish(delivery_ids, lease_ids, array_fill(status, ARRAY[n]), array_fill(0, ARRAY[n]), array_fill(error, ARRAY[n]), array_fill(retry_after, ARRAY[n]),
		array_fill(NULL::text, ARRAY[n]), array_fill(NULL::bytea, ARRAY[n]), array_fill(NULL::bigint, ARRAY[n]), array_fill(NULL::bigint, ARRAY[n]), array_fill(NULL::bigint, ARRAY[n]),
		array_fill(NULL::bigint, ARRAY[n]), array_fill(NULL::bigint, ARRAY[n]));
	PERFORM distsync_internal.worker_wake('courier');
	RETURN held;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_settle(bigint[], uuid[], integer, text, integer) IS 'Finishes fetched deliveries with a status. Returns how many leases still held.';

-- ack does the receipt of fetched deliveries.
CREATE FUNCTION distsync.ack(delivery_ids bigint[], lease_ids uuid[]) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT distsync_internal.outbox_settle(delivery_ids, lease_ids, 200, NULL, -1)
$$;
COMMENT ON FUNCTION distsync.ack(bigint[], uuid[]) IS 'Acknowledges fetched deliveries. Returns how many leases still held; a delivery whose lease had ended comes again. Errors: SD002.';

-- nack does the return of fetched deliveries that could not be taken.
CREATE FUNCTION distsync.nack(delivery_ids bigint[], lease_ids uuid[], reason text, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	options := distsync_internal.base_options(options, '{reject:boolean,retry_after:integer}');
	RETURN distsync_internal.outbox_settle(delivery_ids, lease_ids, CASE WHEN (options ->> 'reject')::boolean THEN 422 ELSE 503 END, reason, COALESCE((options ->> 'retry_after')::integer, -1));
END
$$;
COMMENT ON FUNCTION distsync.nack(bigint[], uuid[], text, jsonb) IS
	'Gives fetched deliveries back: they come again by the schedule of the endpoint. options: reject true (will never be taken: dead letter at once), retry_after (seconds). Returns how many leases still held. Errors: SD002.';

-- outbox_position does the reading of a position that events_since() gave.
CREATE FUNCTION distsync_internal.outbox_position(since text, last_position bigint, oldest bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	place bigint;
BEGIN
	IF since IS NULL THEN
		RETURN 0;
	END IF;
	IF since !~ '^e[0-9]{1,18}$' THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('"%s" is no position of the stream', since), 'since', NULL, 'Pass a next_position that events_since() returned, NULL for the beginning, or latest.');
	END IF;
	place := substr(since, 2)::bigint;
	IF place > last_position THEN
		PERFORM distsync_internal.outbox_refuse('SD083', 'the position is ahead of the stream', 'since', format('It is %s, the stream ends at e%s.', since, last_position),
			'This server was restored to an earlier state: read the state you mirror anew and go on from latest.');
	END IF;
	IF place + 1 < oldest THEN
		PERFORM distsync_internal.outbox_refuse('SD083', 'the events after the position are gone', 'since', format('It is %s, the oldest event kept is e%s.', since, oldest),
			'You were away longer than events are kept: read the state you mirror anew and go on from latest.');
	END IF;
	RETURN place;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_position(text, bigint, bigint) IS 'Number of a position. Errors: SD002 no position, SD083 ahead of the stream or gone.';

-- outbox_scope_events does the answer to "what did I miss" for a restricted caller: what happened to his customer, not what we say of it to
-- others. His positions are messages, so that they do not tell how much happens to everybody else.
CREATE FUNCTION distsync_internal.outbox_scope_events(since text, customer bigint, options jsonb)
RETURNS TABLE (next_position text, "position" bigint, message_id uuid, event_type text, entity text, entity_key text, entity_version text, at timestamptz, body jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	told CONSTANT text[] := '{order,return,invoice,payment}';
	place bigint := 0;
BEGIN
	IF since = 'latest' THEN
		place := COALESCE((SELECT max(e.position) - 1 FROM sync.event e WHERE e.customer_id = customer AND e.entity = ANY (told)), 0);
	ELSIF since IS NOT NULL THEN
		IF since !~ '^m[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
			PERFORM distsync_internal.outbox_refuse('SD002', format('"%s" is no position of the stream', left(since, 80)), 'since', NULL, 'Pass a next_position that events_since() returned, NULL for the beginning, or latest.');
		END IF;
		place := (SELECT e.position FROM sync.event e WHERE e.message_id = substr(since, 2)::uuid AND e.customer_id = customer AND e.entity = ANY (told));
		IF place IS NULL THEN
			PERFORM distsync_internal.outbox_refuse('SD083', 'the position is no longer kept', 'since', NULL, 'You were away longer than events are kept, or this server was restored: ask for the state anew and go on from latest.');
		END IF;
	END IF;
	RETURN QUERY
	SELECT 'm' || e.message_id, NULL::bigint, e.message_id, e.event_type, e.entity, e.entity_key, NULL::text, e.at, NULL::jsonb
	FROM sync.event e
	WHERE e.position > place AND e.customer_id = customer AND e.entity = ANY (told)
		AND (NOT options ? 'event_type' OR e.event_type LIKE distsync_internal.outbox_pattern(options ->> 'event_type'))
		AND (NOT options ? 'entity' OR e.entity = options ->> 'entity') AND (NOT options ? 'entity_key' OR e.entity_key = options ->> 'entity_key')
	ORDER BY e.position LIMIT COALESCE((options ->> 'limit')::integer, 1000);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_scope_events(text, bigint, jsonb) IS
	'Events of a customer after a position, as a restricted caller may hear them: of orders, returns, invoices and payments, without body, place and version. Errors: SD002 no position, SD083 one that is not kept, or not his.';

-- events_since does the answer to "what did I miss". Positions are given by the one router in the order of its commits, so what is
-- committed later has a higher one: no event is passed over.
CREATE FUNCTION distsync.events_since(since text DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (next_position text, "position" bigint, message_id uuid, event_type text, entity text, entity_key text, entity_version text, at timestamptz, body jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	last_position bigint := COALESCE((SELECT c.position FROM sync.router_cursor c WHERE c.router = 'main'), 0);
	place bigint;
	customer bigint;
	n integer;
BEGIN
	options := distsync_internal.base_options(options, '{event_type:text,entity:text,entity_key:text,customer:text,limit:integer:1:10000}');
	IF distsync.restricted() THEN
		PERFORM distsync_internal.base_required('options.customer', options ->> 'customer');
	END IF;
	IF options ? 'customer' THEN
		customer := distsync_internal.master_party(options ->> 'customer', 'customer');
	END IF;
	IF distsync.restricted() THEN
		RETURN QUERY SELECT * FROM distsync_internal.outbox_scope_events(since, customer, options);
		RETURN;
	END IF;
	n := COALESCE((options ->> 'limit')::integer, 1000);
	place := CASE since WHEN 'latest' THEN last_position - 1 ELSE distsync_internal.outbox_position(since, last_position, (SELECT min(e.position) FROM sync.event e)) END;
	RETURN QUERY
	SELECT 'e' || e.position, e.position, e.message_id, e.event_type, e.entity, e.entity_key, format('%s.%s', e.incarnation, e.entity_version), e.at, convert_from(e.body, 'UTF8')::jsonb
	FROM sync.event e
	WHERE e.position > place
		AND (NOT options ? 'event_type' OR e.event_type LIKE distsync_internal.outbox_pattern(options ->> 'event_type'))
		AND (NOT options ? 'entity' OR e.entity = options ->> 'entity') AND (NOT options ? 'entity_key' OR e.entity_key = options ->> 'entity_key')
		AND (customer IS NULL OR e.customer_id = customer)
	ORDER BY e.position LIMIT n;
END
$$;
COMMENT ON FUNCTION distsync.events_since(text, jsonb) IS
	'Events after a position (opaque: the next_position of the last row you have; NULL: from the oldest kept; latest: only the newest, to start from now), in the order of the stream, safe with late commits. options: event_type (or pattern), entity, entity_key, customer (code), limit (1,000; at most 10,000). body is the CloudEvent. No row: nothing new. A caller who is restricted to a customer scope must name a customer of it, and hears of his orders, returns, invoices and payments that something happened: body, position and entity_version are NULL, what became of it the verbs tell. Errors: SD001 unknown customer, SD002, SD005 restricted and no customer, SD012 not in scope, SD083 position ahead of the stream or no longer kept.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('fetch', '{integrator,admin}'), ('ack', '{integrator,admin}'), ('nack', '{integrator,admin}'),
	('events_since', '{integrator,operator,admin,portal}');
