-- Storing: events get version and place in the stream. Of types that a room wants told only when there is news (handler told), what was
-- told last is kept as a hash beside the version: a state that is still the same is no event. The hash knows the incarnation, so that
-- after a restore or a failover everything that changes is told anew.

-- outbox_said does the hash of a state. When it was known is no part of it.
CREATE FUNCTION distsync_internal.outbox_said(incarnation integer, event_type text, body jsonb) RETURNS text
AS 'MODULE_PATHNAME', 'ds_sql_outbox_said' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION distsync_internal.outbox_said(integer, text, jsonb) IS 'Hash of the data of a state event, without known_at: md5 of incarnation, type and data as text, one space between them.';

-- outbox_store does the giving of version and position, makes the bytes that partners get, and rings.
CREATE FUNCTION distsync_internal.outbox_store(drafts distsync_internal.outbox_draft[], last_position bigint, routed_at timestamptz) RETURNS integer
AS 'MODULE_PATHNAME', 'ds_sql_outbox_store' LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION distsync_internal.outbox_store(distsync_internal.outbox_draft[], bigint, timestamptz) IS
	'Appends events to the stream after last_position, without gaps, states that were told before left out; CloudEvents bytes, entity version (incarnation, n); NOTIFY where the courier rings; exception unrendered for what has no data; rooms are given what was told. Returns how many.';

-- outbox_told does the giving of what was told of a type to a room that keeps it. Should that fail, the stream goes on. The planner takes
-- thousands of events for a handful and would join them by nested loops.
CREATE FUNCTION distsync_internal.outbox_told(handler text, event_type text, entity_keys text[], versions bigint[], bodies jsonb[], told_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
BEGIN
	-- %s is a function out of the registry: base checks that it is a name of ours
	EXECUTE format('SELECT %s($1, $2, $3, $4)', handler) USING entity_keys, versions, bodies, told_at;
EXCEPTION WHEN OTHERS THEN
	IF distsync_internal.base_passing(SQLSTATE) THEN
		RAISE;
	END IF;
	PERFORM distsync_internal.base_exception('unkept', event_type, 'sync', 'error', NULL, 'event', event_type, jsonb_build_object('event_type', event_type, 'error', format('%s: %s', SQLSTATE, SQLERRM)));
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_told(text, text, text[], bigint[], jsonb[], timestamptz) IS
	'Calls a handler of kind told for events of its type, in the order of the stream: f(entity_keys text[], versions bigint[], bodies jsonb[], told_at timestamptz). One that fails opens the exception unkept.';
