-- Storing: events get version and place in the stream. Of types that a room wants told only when there is news (handler told), what was
-- told last is kept as a hash beside the version: a state that is still the same is no event. The hash knows the incarnation, so that
-- after a restore or a failover everything that changes is told anew.

-- outbox_said does the hash of a state. When it was known is no part of it.
CREATE FUNCTION distsync_internal.outbox_said(incarnation integer, event_type text, body jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN md5(concat(incarnation, ' ', event_type, ' ', body - 'known_at'));
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_said(integer, text, jsonb) IS 'Hash of the data of a state event, without known_at.';

-- outbox_news does the leaving out of states that were told before.
CREATE FUNCTION distsync_internal.outbox_news(drafts distsync_internal.outbox_draft[], incarnation integer) RETURNS distsync_internal.outbox_draft[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
	types text[] := ARRAY(SELECT h.name FROM distsync_internal.handler h WHERE h.kind = 'told');
BEGIN
	IF NOT EXISTS (SELECT FROM unnest(drafts) d WHERE d.state AND d.event_type = ANY (types)) THEN
		RETURN drafts;
	END IF;
	-- each by its key: a plan that is kept would look for every entity in the list of all keys
	RETURN ARRAY(
		WITH c AS MATERIALIZED (
			SELECT k.entity, k.entity_key, y.said FROM (SELECT DISTINCT d.entity, d.entity_key FROM unnest(drafts) d WHERE d.state AND NOT d.again AND d.error IS NULL AND d.event_type = ANY (types)) k
			CROSS JOIN LATERAL (SELECT z.said FROM sync.entity_clock z WHERE z.entity = k.entity AND z.entity_key = k.entity_key AND z.said IS NOT NULL OFFSET 0) y
		)
		SELECT (y.ordinal, y.at, y.event_type, y.entity, y.entity_key, y.customer_id, y.body, y.message_id, y.correlation_id, y.causation_id, y.origin, y.ring, y.error, y.state, y.again, y.now)::distsync_internal.outbox_draft
		FROM (SELECT x.*, CASE WHEN x.state AND x.event_type = ANY (types) THEN CASE WHEN x.error IS NULL THEN distsync_internal.outbox_said(outbox_news.incarnation, x.event_type, x.body) ELSE '' END END AS now
			FROM unnest(drafts) x OFFSET 0) y
		LEFT JOIN c ON c.entity = y.entity AND c.entity_key = y.entity_key
		WHERE c.said IS NULL OR y.again OR y.error IS NOT NULL OR y.now IS DISTINCT FROM c.said);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_news(distsync_internal.outbox_draft[], integer) IS 'The drafts without those whose state was told last and is told only when it differs.';

-- outbox_store does the giving of version and position, makes the bytes that partners get, and rings.
CREATE FUNCTION distsync_internal.outbox_store(drafts distsync_internal.outbox_draft[], last_position bigint, routed_at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
	i record;
	n integer;
BEGIN
	SELECT name, incarnation INTO i FROM sync.instance;
	drafts := distsync_internal.outbox_news(drafts, i.incarnation);
	WITH draft AS MATERIALIZED (
		SELECT d.*, row_number() OVER (ORDER BY d.ordinal, d.entity_key COLLATE "C") AS place,
			row_number() OVER (PARTITION BY d.entity, d.entity_key ORDER BY d.ordinal) AS nth, count(*) OVER (PARTITION BY d.entity, d.entity_key) AS of
		FROM unnest(drafts) d
	), clock AS (
		INSERT INTO sync.entity_clock AS c (entity, entity_key, version, said)
		SELECT d.entity, d.entity_key, count(*), max(d.said) FROM draft d GROUP BY 1, 2 ORDER BY 1, 2
		ON CONFLICT (entity, entity_key) DO UPDATE SET version = c.version + excluded.version, said = COALESCE(excluded.said, c.said)
		RETURNING c.entity, c.entity_key, c.version
	)
	INSERT INTO sync.event (position, message_id, at, routed_at, event_type, entity, entity_key, incarnation, entity_version, customer_id, correlation_id, causation_id, origin, body)
	SELECT last_position + d.place, d.message_id, d.at, outbox_store.routed_at, d.event_type, d.entity, d.entity_key, i.incarnation, c.version - d.of + d.nth, d.customer_id,
		d.correlation_id, d.causation_id, d.origin,
		convert_to(concat('{"specversion":"1.0","id":"', d.message_id, '","source":', to_json('distsync/' || i.name), ',"type":', to_json(d.event_type),
			',"time":"', to_char(d.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '","subject":', to_json(d.entity || '/' || d.entity_key),
			',"datacontenttype":"application/json","entity":', to_json(d.entity), ',"entityversion":"', i.incarnation, '.', c.version - d.of + d.nth, '"',
			',"correlationid":"' || d.correlation_id || '"', ',"causationid":"' || d.causation_id || '"', ',"data":', COALESCE(d.body, 'null'::jsonb), '}'), 'UTF8')
	FROM draft d
	JOIN clock c ON c.entity = d.entity AND c.entity_key = d.entity_key
	ORDER BY d.place;
	GET DIAGNOSTICS n = ROW_COUNT;
	PERFORM pg_notify(c.channel, format('{"id":"%s","type":%s}', d.message_id, c.type)) FROM unnest(drafts) d
	JOIN (SELECT k.event_type, 'distsync_' || distsync_internal.outbox_domain(k.event_type) AS channel, to_json(k.event_type) AS type FROM (SELECT DISTINCT r.event_type FROM unnest(drafts) r WHERE r.ring) k OFFSET 0) c ON c.event_type = d.event_type
	WHERE d.ring AND c.channel IS NOT NULL ORDER BY d.ordinal;
	PERFORM distsync_internal.base_exception('unrendered', d.event_type || ' ' || d.entity_key, 'sync', 'error', NULL, d.entity, d.entity_key,
		jsonb_build_object('event_type', d.event_type, 'error', d.error))
	FROM unnest(drafts) d WHERE d.error IS NOT NULL;
	PERFORM distsync_internal.outbox_told(drafts, last_position + 1, last_position + n, routed_at);
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_store(distsync_internal.outbox_draft[], bigint, timestamptz) IS
	'Appends events to the stream after last_position, without gaps, states that were told before left out; CloudEvents bytes, entity version (incarnation, n); NOTIFY where the courier rings; rooms are given what was told. Returns how many.';

-- outbox_told does the giving of what was told to the rooms that keep it. Should that fail, the stream goes on.
CREATE FUNCTION distsync_internal.outbox_told(drafts distsync_internal.outbox_draft[], first_position bigint, last_position bigint, told_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT h.function, h.name, array_agg(e.entity_key ORDER BY e.position) AS keys, array_agg(e.entity_version ORDER BY e.position) AS versions,
			array_agg(COALESCE(d.body, 'null') ORDER BY e.position) AS bodies
		FROM distsync_internal.handler h JOIN sync.event e ON e.position BETWEEN first_position AND last_position AND e.event_type = h.name JOIN unnest(drafts) d ON d.message_id = e.message_id
		WHERE h.kind = 'told' GROUP BY h.function, h.ordinal, h.name ORDER BY h.ordinal, h.name
	LOOP
		BEGIN
			-- %s is a function out of the registry: base checks that it is a name of ours
			EXECUTE format('SELECT %s($1, $2, $3, $4)', t.function) USING t.keys, t.versions, t.bodies, told_at;
		EXCEPTION WHEN OTHERS THEN
			IF distsync_internal.base_passing(SQLSTATE) THEN
				RAISE;
			END IF;
			PERFORM distsync_internal.base_exception('unkept', t.name, 'sync', 'error', NULL, 'event', t.name, jsonb_build_object('event_type', t.name, 'error', format('%s: %s', SQLSTATE, SQLERRM)));
		END;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_told(distsync_internal.outbox_draft[], bigint, bigint, timestamptz) IS
	'Calls the handlers of kind told for the events between two positions: f(entity_keys text[], versions bigint[], bodies jsonb[], told_at timestamptz). One that fails opens the exception unkept.';
