-- Reading the outbox: which rows have become visible since the router last looked, and what they say.
--
-- The router keeps a snapshot. What it has to route is what is visible now and was not visible then, so a writer that commits late is
-- never lost and none is waited for. The rows between two snapshots are a window; a large one is read in pieces, in the order of
-- outbox_id within each outbox. A writer takes that number while it holds the lock on what it writes about, so for one entity it is
-- the order of the commits; the order of transaction ids is not.

-- outbox_piece does the carrying of one captured row from the outbox to the router.
CREATE TYPE distsync_internal.outbox_piece AS (
	lane_group text, outbox_id bigint, at timestamptz, first_at timestamptz, kind text, event_type text, entity text, entity_key text, group_id bigint, body jsonb,
	message_id uuid, correlation_id uuid, causation_id uuid, origin text, ring text
);
COMMENT ON TYPE distsync_internal.outbox_piece IS 'What the router reads of the outbox: a document, or all markers of one entity in a window: outbox_id, at and ids of the last, first_at of the first, ring courier if one says so, body if one has it (told again), origin if all agree.';

-- outbox_draft does the carrying of one event that has its data but no place in the stream yet.
CREATE TYPE distsync_internal.outbox_draft AS (
	ordinal bigint, at timestamptz, event_type text, entity text, entity_key text, customer_id bigint, body jsonb,
	message_id uuid, correlation_id uuid, causation_id uuid, origin text, ring boolean, error text, state boolean, again boolean
);
COMMENT ON TYPE distsync_internal.outbox_draft IS 'An event with its data, before it gets version and position; error says why a renderer could not make the data, again that a state is told even if it has been told.';

-- outbox_snapshot does the taking of the snapshot of the calling statement. The caller's own transaction counts as running: it may
-- write more, and the server leaves its number out of the list.
CREATE FUNCTION distsync_internal.outbox_snapshot() RETURNS pg_snapshot
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s pg_snapshot := pg_current_snapshot();
	own xid8 := pg_current_xact_id_if_assigned();
BEGIN
	IF own IS NULL OR own >= pg_snapshot_xmax(s) THEN
		RETURN s;
	END IF;
	RETURN format('%s:%s:%s', least(own, pg_snapshot_xmin(s)), pg_snapshot_xmax(s),
		(SELECT string_agg(x::text, ',' ORDER BY x) FROM (SELECT pg_snapshot_xip(s) UNION SELECT own) AS xip(x)))::pg_snapshot;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_snapshot() IS 'Snapshot of the calling statement, with the own transaction among those that run.';

-- outbox_read_customer does, where window.c does not, the reading of one piece of a window from the customer outbox. What has happened to one entity is told at
-- the place of its last marker, so that a window tells it once, in however many pieces it is read. The planner knows nothing of a
-- snapshot, so it is kept from reading whole partitions.
CREATE FUNCTION distsync_internal.outbox_read_customer(before pg_snapshot, target pg_snapshot, late xid8[], after_id bigint, max_rows integer)
RETURNS SETOF distsync_internal.outbox_piece
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	RETURN QUERY
	(SELECT 'customer'::text, o.outbox_id, o.at, o.at, o.kind, o.event_type, o.entity, o.entity_key, o.customer_id, o.body, o.message_id, o.correlation_id, o.causation_id, o.origin, o.ring
		FROM (SELECT * FROM sync.outbox_customer x WHERE x.kind = 'document' AND x.xid >= pg_snapshot_xmax(before) AND x.xid < pg_snapshot_xmax(target) AND pg_visible_in_snapshot(x.xid, target)
			UNION ALL
			SELECT * FROM sync.outbox_customer x WHERE x.kind = 'document' AND x.xid = ANY (late)) o
		WHERE o.outbox_id > after_id
		ORDER BY o.outbox_id LIMIT max_rows)
	UNION ALL
	(SELECT 'customer', s.outbox_id, s.at, s.first_at, s.kind, s.event_type, s.entity, s.entity_key, s.customer_id, s.again, s.message_id, s.correlation_id, s.causation_id, s.one_origin, s.one_ring
		FROM (SELECT o.*, row_number() OVER (same ORDER BY o.outbox_id DESC) AS nth, min(o.at) OVER same AS first_at,
				CASE WHEN bool_or(o.ring = 'courier') OVER same THEN 'courier' ELSE o.ring END AS one_ring,
				CASE WHEN bool_or(o.body IS NOT NULL) OVER same THEN '{"again": true}'::jsonb END AS again,
				CASE WHEN count(*) OVER same = count(o.origin) OVER same AND min(o.origin) OVER same = max(o.origin) OVER same THEN o.origin END AS one_origin
			FROM (SELECT * FROM sync.outbox_customer x WHERE x.kind = 'state' AND x.xid >= pg_snapshot_xmax(before) AND x.xid < pg_snapshot_xmax(target) AND pg_visible_in_snapshot(x.xid, target)
				UNION ALL
				SELECT * FROM sync.outbox_customer x WHERE x.kind = 'state' AND x.xid = ANY (late)) o
			WINDOW same AS (PARTITION BY o.entity_key COLLATE "C", o.event_type COLLATE "C", o.entity COLLATE "C")) s
		WHERE s.nth = 1 AND s.outbox_id > after_id
		ORDER BY s.outbox_id LIMIT max_rows)
	ORDER BY 2 LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_read_customer(pg_snapshot, pg_snapshot, xid8[], bigint, integer) IS
	'What sync.outbox_customer says in rows visible in target and not in before: documents, and the markers of each entity as one; above outbox_id after_id, in its order, at most max_rows. late: transactions that ran in before and are visible in target.';

-- outbox_read_item does the same for the item outbox.
CREATE FUNCTION distsync_internal.outbox_read_item(before pg_snapshot, target pg_snapshot, late xid8[], after_id bigint, max_rows integer)
RETURNS SETOF distsync_internal.outbox_piece
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	RETURN QUERY
	(SELECT 'item'::text, o.outbox_id, o.at, o.at, o.kind, o.event_type, o.entity, o.entity_key, o.item_id, o.body, o.message_id, o.correlation_id, o.causation_id, o.origin, o.ring
		FROM (SELECT * FROM sync.outbox_item x WHERE x.kind = 'document' AND x.xid >= pg_snapshot_xmax(before) AND x.xid < pg_snapshot_xmax(target) AND pg_visible_in_snapshot(x.xid, target)
			UNION ALL
			SELECT * FROM sync.outbox_item x WHERE x.kind = 'document' AND x.xid = ANY (late)) o
		WHERE o.outbox_id > after_id
		ORDER BY o.outbox_id LIMIT max_rows)
	UNION ALL
	(SELECT 'item', s.outbox_id, s.at, s.first_at, s.kind, s.event_type, s.entity, s.entity_key, s.item_id, s.again, s.message_id, s.correlation_id, s.causation_id, s.one_origin, s.one_ring
		FROM (SELECT o.*, row_number() OVER (same ORDER BY o.outbox_id DESC) AS nth, min(o.at) OVER same AS first_at,
				CASE WHEN bool_or(o.ring = 'courier') OVER same THEN 'courier' ELSE o.ring END AS one_ring,
				CASE WHEN bool_or(o.body IS NOT NULL) OVER same THEN '{"again": true}'::jsonb END AS again,
				CASE WHEN count(*) OVER same = count(o.origin) OVER same AND min(o.origin) OVER same = max(o.origin) OVER same THEN o.origin END AS one_origin
			FROM (SELECT * FROM sync.outbox_item x WHERE x.kind = 'state' AND x.xid >= pg_snapshot_xmax(before) AND x.xid < pg_snapshot_xmax(target) AND pg_visible_in_snapshot(x.xid, target)
				UNION ALL
				SELECT * FROM sync.outbox_item x WHERE x.kind = 'state' AND x.xid = ANY (late)) o
			WINDOW same AS (PARTITION BY o.entity_key COLLATE "C", o.event_type COLLATE "C", o.entity COLLATE "C")) s
		WHERE s.nth = 1 AND s.outbox_id > after_id
		ORDER BY s.outbox_id LIMIT max_rows)
	ORDER BY 2 LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_read_item(pg_snapshot, pg_snapshot, xid8[], bigint, integer) IS
	'What sync.outbox_item says in rows visible in target and not in before, as outbox_read_customer.';

-- outbox_late does the listing of transactions that ran when the router last looked and have committed since.
CREATE FUNCTION distsync_internal.outbox_late(before pg_snapshot, target pg_snapshot) RETURNS xid8[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_snapshot_xmin(before) = pg_snapshot_xmax(before) THEN
		RETURN '{}';
	END IF;
	RETURN ARRAY(SELECT x FROM pg_snapshot_xip(before) x WHERE pg_visible_in_snapshot(x, target));
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_late(pg_snapshot, pg_snapshot) IS 'Transactions running in the first snapshot and not running any more in the second.';

-- outbox_render_state does the making of the data of state events of one type, by the function that a room registered. Should that
-- fail, each key is tried alone, so that one bad row hides no other: what can't be rendered is still told, without its state.
CREATE FUNCTION distsync_internal.outbox_render_state(event_type text, entity text, keys text[])
RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb, error text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = on AS $$
#variable_conflict use_column
DECLARE
	renderer text;
	k text;
BEGIN
	SELECT h.function INTO renderer FROM distsync_internal.handler h WHERE h.kind = 'render' AND h.name = outbox_render_state.event_type ORDER BY h.ordinal LIMIT 1;
	IF renderer IS NULL THEN
		RETURN QUERY SELECT u, u, NULL::bigint, jsonb_build_object(outbox_render_state.entity, u), NULL::text FROM unnest(keys) u;
		RETURN;
	END IF;
	BEGIN
		-- %s is a function out of the registry: base checks that it is a name of ours
		RETURN QUERY EXECUTE format('SELECT r.key, COALESCE(r.entity_key, r.key), r.customer_id, r.body, NULL::text FROM %s($1) AS r(key, entity_key, customer_id, body)', renderer) USING keys;
	EXCEPTION WHEN OTHERS THEN
		IF distsync_internal.base_passing(SQLSTATE) THEN
			RAISE;
		ELSIF cardinality(keys) = 1 THEN
			RETURN QUERY SELECT keys[1], keys[1], NULL::bigint, jsonb_build_object(outbox_render_state.entity, keys[1], 'unrendered', true), format('%s: %s', SQLSTATE, SQLERRM);
			RETURN;
		END IF;
		FOREACH k IN ARRAY keys LOOP
			RETURN QUERY SELECT * FROM distsync_internal.outbox_render_state(outbox_render_state.event_type, outbox_render_state.entity, ARRAY[k]);
		END LOOP;
	END;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_render_state(text, text, text[]) IS
	'Data of the state events of a type for the given keys, from the handler of kind render: f(keys text[]) RETURNS (key, entity_key, customer_id, body). Without a handler the data is the key. It may add keys that change with these. error: why a key could not be rendered.';

-- outbox_drafts does the reading of a piece of a window, and the making of events: document events as they are, the markers of one
-- entity as one event that tells its state now, with the time of the first.
CREATE FUNCTION distsync_internal.outbox_drafts(before pg_snapshot, target pg_snapshot, late xid8[], done_customer bigint, done_item bigint, step integer, room integer,
	OUT customers integer, OUT items integer, OUT last_customer bigint, OUT last_item bigint, OUT drafts distsync_internal.outbox_draft[])
AS 'MODULE_PATHNAME', 'ds_sql_outbox_drafts' LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION distsync_internal.outbox_drafts(pg_snapshot, pg_snapshot, xid8[], bigint, bigint, integer, integer) IS
	'Events of what is visible in target and not in before, at most step documents and changed entities of each outbox above the outbox_id that is done; markers rendered in the snapshot of the calling statement. A marker that its renderer has nothing to say about gives no event; a key that its renderer adds to those it was asked for gives one. room: entities that may have markers in the window; with more, outbox_read_customer() and outbox_read_item() read. Returns how many were read of each outbox, up to which outbox_id, and the events. Errors: SD002 step outside of 1 to 1,000,000. late: transactions that ran in before and are visible in target.';
