-- What operators do with deliveries: close and open endpoints, change keys, give dead letters another chance, send again what was sent.

-- set_endpoint_state does the closing and opening of an endpoint by people.
CREATE FUNCTION distsync.set_endpoint_state(endpoint text, state text, reason text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	id bigint := distsync_internal.outbox_endpoint(endpoint);
	was text;
	n integer;
BEGIN
	IF COALESCE(state, '') NOT IN ('active', 'paused', 'disabled') THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('unknown state "%s" of an endpoint', state), 'state', NULL, 'Use active, paused or disabled.');
	END IF;
	IF state <> 'active' AND COALESCE(btrim(reason), '') = '' THEN
		PERFORM distsync_internal.outbox_refuse('SD005', 'closing an endpoint needs a reason', 'reason', NULL, 'Say why in a few words; doctor() shows it.');
	END IF;
	SELECT e.state INTO was FROM sync.endpoint e WHERE e.endpoint_id = id FOR UPDATE;
	n := distsync_internal.outbox_set_state(id, state, reason);
	IF state = 'active' THEN
		PERFORM distsync_internal.base_exception_close('endpoint_disabled', endpoint, 'opened by people');
	END IF;
	PERFORM distsync_internal.base_audit('set_endpoint_state', 'endpoint', endpoint, jsonb_build_object('state', was), jsonb_build_object('state', state), reason);
	PERFORM distsync_internal.worker_wake('courier');
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.set_endpoint_state(text, text, text) IS
	'Opens (active) or closes (paused, disabled: with a reason) an endpoint. What waits for a closed one is parked and goes on in its order when it opens. Returns how many deliveries were parked or freed. Errors: SD001 unknown endpoint, SD002 unknown state, SD005 no reason.';

-- rotate_secret does the change of an endpoint's key: both sign until the overlap ends.
CREATE FUNCTION distsync.rotate_secret(endpoint text, secret text DEFAULT NULL, overlap interval DEFAULT '24 hours') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	e record;
	fresh text := secret;
BEGIN
	PERFORM distsync_internal.outbox_endpoint(endpoint);
	SELECT p.code, p.scheme INTO e FROM sync.endpoint p WHERE p.code = endpoint FOR UPDATE;
	IF e.scheme = 'none' THEN
		PERFORM distsync_internal.outbox_refuse('SD080', format('endpoint "%s" signs nothing', endpoint), 'endpoint', 'Its scheme is none.', 'Set a scheme with distsync.add_endpoint() first.');
	END IF;
	IF overlap IS NULL OR overlap < '0' OR overlap > '30 days' THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'overlap must be between 0 and 30 days', 'overlap', format('It is %s.', overlap), 'Keep the old key as long as the partner needs to change his.');
	END IF;
	IF fresh IS NULL THEN
		fresh := encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), CASE e.scheme WHEN 'standard' THEN 'base64' ELSE 'hex' END);
		fresh := CASE e.scheme WHEN 'standard' THEN 'whsec_' || fresh ELSE fresh END;
	END IF;
	PERFORM distsync_internal.outbox_set_secret(endpoint, distsync_internal.outbox_secret(e.scheme, fresh), overlap);
	PERFORM distsync_internal.base_audit('rotate_secret', 'endpoint', endpoint, NULL, jsonb_build_object('overlap', overlap));
	RETURN fresh;
END
$$;
COMMENT ON FUNCTION distsync.rotate_secret(text, text, interval) IS
	'Puts a new key of an endpoint in force; the old ones sign beside it until overlap has passed (schemes standard and stripe; others sign with the newest only). Without secret one is made. Returns the key: give it to the partner, it is not shown again. Errors: SD001, SD002, SD080.';

-- outbox_put_back does the return of deliveries to the lanes they left.
CREATE FUNCTION distsync_internal.outbox_put_back(deliveries bigint[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM sync.lane l JOIN sync.delivery d ON d.endpoint_id = l.endpoint_id AND d.lane_key = l.lane_key
	WHERE d.delivery_id = ANY (deliveries) ORDER BY l.endpoint_id, l.lane_key FOR UPDATE OF l;
	UPDATE sync.delivery d SET state = CASE p.state WHEN 'active' THEN 'queued' ELSE 'parked' END, finished_at = NULL
	FROM sync.endpoint p WHERE p.endpoint_id = d.endpoint_id AND d.delivery_id = ANY (deliveries);
	-- a lane that waits behind its dead head counts it already
	INSERT INTO sync.lane AS l (endpoint_id, lane_key, state, head_id, depth, due_at)
	SELECT d.endpoint_id, d.lane_key, CASE p.state WHEN 'active' THEN 'ready' ELSE 'blocked' END, min(d.delivery_id), count(*), t
	FROM sync.delivery d
	JOIN sync.endpoint p ON p.endpoint_id = d.endpoint_id
	WHERE d.delivery_id = ANY (deliveries)
	GROUP BY d.endpoint_id, d.lane_key, p.state
	ORDER BY d.endpoint_id, d.lane_key
	ON CONFLICT (endpoint_id, lane_key) DO UPDATE SET
		depth = l.depth + excluded.depth - CASE WHEN l.head_id = ANY (deliveries) THEN 1 ELSE 0 END,
		head_id = CASE l.state WHEN 'leased' THEN l.head_id ELSE least(l.head_id, excluded.head_id) END,
		state = CASE WHEN l.state = 'leased' THEN l.state WHEN l.head_id = ANY (deliveries) OR l.state <> 'blocked' THEN excluded.state ELSE l.state END,
		due_at = CASE l.state WHEN 'leased' THEN l.due_at ELSE t END,
		failures = CASE l.state WHEN 'leased' THEN l.failures ELSE 0 END;
	-- a lane that waits behind another dead head goes on waiting
	UPDATE sync.lane l SET head_id = d.delivery_id, state = 'blocked'
	FROM (SELECT x.endpoint_id, x.lane_key, min(x.delivery_id) AS delivery_id FROM sync.delivery x
		  JOIN sync.dead_letter y ON y.delivery_id = x.delivery_id AND y.resolution = 'open'
		  JOIN sync.route r ON r.route_id = x.route_id AND r.on_block = 'block'
		  WHERE x.state = 'dead' AND (x.endpoint_id, x.lane_key) IN (SELECT z.endpoint_id, z.lane_key FROM sync.delivery z WHERE z.delivery_id = ANY (deliveries))
		  GROUP BY 1, 2) d
	WHERE l.endpoint_id = d.endpoint_id AND l.lane_key = d.lane_key AND l.state <> 'leased' AND d.delivery_id < l.head_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_put_back(bigint[], timestamptz) IS 'Queues dead deliveries again, in their old place of their lanes, with a new schedule.';

-- outbox_pass_over does the going on of lanes behind dead heads that people have given up.
CREATE FUNCTION distsync_internal.outbox_pass_over(deliveries bigint[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM sync.lane l WHERE l.head_id = ANY (deliveries) AND l.state = 'blocked' ORDER BY l.endpoint_id, l.lane_key FOR UPDATE;
	DELETE FROM sync.lane l WHERE l.head_id = ANY (deliveries) AND l.state = 'blocked' AND l.depth = 1;
	UPDATE sync.lane l SET head_id = n.next_id, depth = l.depth - 1, state = CASE p.state WHEN 'active' THEN 'ready' ELSE 'blocked' END, due_at = t, failures = 0
	FROM sync.lane b
	JOIN sync.endpoint p ON p.endpoint_id = b.endpoint_id
	CROSS JOIN LATERAL (SELECT d.delivery_id AS next_id FROM sync.delivery d
						WHERE d.endpoint_id = b.endpoint_id AND d.lane_key = b.lane_key AND d.state IN ('queued', 'parked') ORDER BY d.delivery_id LIMIT 1) n
	WHERE l.endpoint_id = b.endpoint_id AND l.lane_key = b.lane_key AND l.head_id = ANY (deliveries) AND l.state = 'blocked';
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_pass_over(bigint[], timestamptz) IS 'Lets the lanes blocked by the given dead deliveries go on with what is behind them.';

-- requeue does the end of dead letters: another chance, or none.
CREATE FUNCTION distsync.requeue(options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
	t timestamptz := clock_timestamp();
	give_up boolean := options ->> 'resolution' = 'ignored';
	chosen bigint[];
BEGIN
	options := distsync_internal.base_options(options, '{endpoint:text,delivery:integer:1:999999999999999999,entity:text,entity_key:text,event_type:text,reason:text,limit:integer:1,resolution:requeued|ignored,dry_run:boolean}');
	SELECT array_agg(c.delivery_id) INTO chosen FROM (
		SELECT x.delivery_id
		FROM sync.dead_letter x
		JOIN sync.delivery d ON d.delivery_id = x.delivery_id
		JOIN sync.event e ON e.position = d.position
		WHERE x.resolution = 'open' AND d.state = 'dead'
			AND (NOT options ? 'endpoint' OR x.endpoint_id = distsync_internal.outbox_endpoint(options ->> 'endpoint'))
			AND (NOT options ? 'delivery' OR x.delivery_id = (options ->> 'delivery')::bigint)
			AND (NOT options ? 'entity' OR e.entity = options ->> 'entity') AND (NOT options ? 'entity_key' OR e.entity_key = options ->> 'entity_key')
			AND (NOT options ? 'event_type' OR e.event_type LIKE distsync_internal.outbox_pattern(options ->> 'event_type'))
			AND (NOT options ? 'reason' OR x.reason = options ->> 'reason')
		ORDER BY x.delivery_id LIMIT COALESCE((options ->> 'limit')::integer, 10000)
		FOR UPDATE OF x) c;
	IF chosen IS NULL OR COALESCE((options ->> 'dry_run')::boolean, false) THEN
		RETURN COALESCE(cardinality(chosen), 0);
	END IF;
	UPDATE sync.dead_letter SET resolution = CASE WHEN give_up THEN 'ignored' ELSE 'requeued' END, resolved_at = t, resolved_by = COALESCE(NULLIF(current_setting('distsync.app_user', true), ''), session_user)
	WHERE delivery_id = ANY (chosen);
	IF give_up THEN
		PERFORM distsync_internal.outbox_pass_over(chosen, t);
	ELSE
		PERFORM distsync_internal.outbox_put_back(chosen, t);
	END IF;
	PERFORM distsync_internal.base_exception_close('dead_letter', p.code, 'no dead letter is open')
	FROM sync.endpoint p
	WHERE p.endpoint_id IN (SELECT d.endpoint_id FROM sync.delivery d WHERE d.delivery_id = ANY (chosen))
		AND NOT EXISTS (SELECT FROM sync.dead_letter x WHERE x.endpoint_id = p.endpoint_id AND x.resolution = 'open');
	PERFORM distsync_internal.base_audit('requeue', 'dead_letter', NULL, NULL, options || jsonb_build_object('deliveries', cardinality(chosen)));
	PERFORM distsync_internal.worker_wake('courier');
	RETURN cardinality(chosen);
EXCEPTION
	WHEN invalid_text_representation OR numeric_value_out_of_range THEN
		PERFORM distsync_internal.outbox_refuse('SD002', 'an option has the wrong type', 'options', SQLERRM || '.', 'delivery and limit are numbers, dry_run is a boolean.');
END
$$;
COMMENT ON FUNCTION distsync.requeue(jsonb) IS
	'Sends dead letters again, with their bytes and webhook-id, in their old place of their lanes. options choose: endpoint, delivery, entity, entity_key, event_type (or pattern), reason (exhausted | rejected), limit (10,000); resolution ignored gives them up and lets blocked lanes go on; dry_run only counts. Returns how many. Errors: SD001, SD002.';

-- outbox_pattern does the making of a LIKE pattern from an event type with asterisks.
CREATE FUNCTION distsync_internal.outbox_pattern(event_type text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT replace(replace(replace(event_type, '\', '\\'), '_', '\_'), '*', '%')
$$;
COMMENT ON FUNCTION distsync_internal.outbox_pattern(text) IS 'LIKE pattern of an event type in which * stands for anything.';

-- outbox_replay_choose does the choice of what a replay sends: events that the endpoint's routes want, once each. Of a state only the
-- newest event is worth telling: an old one would bring back an old price.
CREATE FUNCTION distsync_internal.outbox_replay_choose(id bigint, options jsonb) RETURNS TABLE ("position" bigint, route_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.position, c.route_id FROM (
		SELECT DISTINCT ON (e.position) e.position, r.route_id
		FROM sync.event e
		JOIN sync.endpoint p ON p.endpoint_id = id
		JOIN sync.route r ON r.endpoint_id = id AND r.status = 'active' AND e.event_type LIKE distsync_internal.outbox_pattern(r.event_type)
		WHERE (NOT options ? 'event_type' OR e.event_type LIKE distsync_internal.outbox_pattern(options ->> 'event_type'))
			AND (NOT options ? 'entity' OR e.entity = options ->> 'entity') AND (NOT options ? 'entity_key' OR e.entity_key = options ->> 'entity_key')
			AND (NOT options ? 'from_position' OR e.position >= (options ->> 'from_position')::bigint) AND (NOT options ? 'to_position' OR e.position <= (options ->> 'to_position')::bigint)
			AND (NOT options ? 'from' OR e.at >= (options ->> 'from')::timestamptz) AND (NOT options ? 'to' OR e.at < (options ->> 'to')::timestamptz)
			AND e.origin IS DISTINCT FROM p.system AND distsync_internal.outbox_wants(r.filter, e.body)
			AND NOT (r.on_block = 'latest' AND EXISTS (SELECT FROM sync.event n WHERE n.entity = e.entity AND n.entity_key = e.entity_key AND n.position > e.position AND n.event_type = e.event_type))
			AND NOT EXISTS (SELECT FROM sync.delivery d WHERE d.position = e.position AND d.endpoint_id = id AND d.state IN ('queued', 'parked'))
		ORDER BY e.position, r.route_id) c
	ORDER BY c.position
	LIMIT COALESCE((options ->> 'limit')::integer, 10000)
$$;
COMMENT ON FUNCTION distsync_internal.outbox_replay_choose(bigint, jsonb) IS 'Events that replay() sends to an endpoint, with the route that wants each: not those that wait already, of states only the newest.';

-- replay does the sending of events once more, with their bytes and their webhook-id: a partner that has them can tell.
CREATE FUNCTION distsync.replay(endpoint text, options jsonb DEFAULT '{}') RETURNS TABLE (events bigint, first_position bigint, last_position bigint, queued boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
	id bigint := distsync_internal.outbox_endpoint(replay.endpoint);
	t timestamptz := clock_timestamp();
	chosen bigint[];
	routes bigint[];
	made bigint[];
BEGIN
	options := distsync_internal.base_options(options, '{event_type:text,entity:text,entity_key:text,from_position:integer:0:999999999999999999,to_position:integer:0:999999999999999999,from:instant,to:instant,limit:integer:1,dry_run:boolean}');
	SELECT array_agg(c.position ORDER BY c.position), array_agg(c.route_id ORDER BY c.position) INTO chosen, routes FROM distsync_internal.outbox_replay_choose(id, options) c;
	queued := NOT COALESCE((options ->> 'dry_run')::boolean, true) AND chosen IS NOT NULL;
	IF queued THEN
		WITH inserted AS (
			INSERT INTO sync.delivery (position, route_id, endpoint_id, lane_key, state, created_at, event_at, message_id, replay_of)
			SELECT e.position, r.route_id, id, CASE r.ordering WHEN 'entity' THEN e.entity || '/' || e.entity_key ELSE format('#%s.%s', e.position, r.route_id) END,
				CASE p.state WHEN 'active' THEN 'queued' ELSE 'parked' END, t, t, e.message_id,
				(SELECT max(d.delivery_id) FROM sync.delivery d WHERE d.position = e.position AND d.endpoint_id = id)
			FROM unnest(chosen, routes) AS c("position", route_id)
			JOIN sync.event e ON e.position = c.position
			JOIN sync.route r ON r.route_id = c.route_id
			JOIN sync.endpoint p ON p.endpoint_id = id
			ORDER BY e.position
			RETURNING delivery_id
		)
		SELECT array_agg(delivery_id) INTO made FROM inserted;
		PERFORM distsync_internal.outbox_enqueue(made, t);
		PERFORM distsync_internal.base_audit('replay', 'endpoint', replay.endpoint, NULL, options || jsonb_build_object('events', cardinality(chosen)));
		PERFORM distsync_internal.worker_wake('courier');
	END IF;
	events := COALESCE(cardinality(chosen), 0);
	first_position := chosen[1];
	last_position := chosen[cardinality(chosen)];
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync.replay(text, jsonb) IS
	'Sends events of the stream to an endpoint once more, or for the first time to a new one: those its active routes want, original bytes and webhook-id, through the lanes. It only counts until option dry_run is false. options: event_type (or pattern), entity, entity_key, from_position, to_position, from, to (when captured), limit (10,000), dry_run (true). Of states only the newest is sent. Returns one row. Errors: SD001, SD002.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('set_endpoint_state', '{operator,admin}'), ('rotate_secret', '{admin}'), ('requeue', '{operator,admin}'), ('replay', '{operator,admin}');
