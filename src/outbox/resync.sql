-- Telling again: what listeners should know once more although nothing changed, because a change was not captured, or because they
-- missed something that is no longer kept.

-- resync does the telling of the state of entities, whether or not it is what was told last.
CREATE FUNCTION distsync.resync(entity text, entity_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	finder text := (SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'keys' AND h.name = resync.entity ORDER BY h.ordinal LIMIT 1);
	t record;
	keys bigint[];
	ids bigint[];
	n integer := 0;
BEGIN
	options := distsync_internal.base_options(options, '{dry_run:boolean}');
	IF finder IS NULL THEN
		PERFORM distsync_internal.outbox_refuse('SD002', format('nothing of entity "%s" is told as a state', COALESCE(resync.entity, 'NULL')), 'entity',
			format('Known: %s.', (SELECT string_agg(h.name, ', ' ORDER BY h.name) FROM distsync_internal.handler h WHERE h.kind = 'keys')), 'Events of documents are sent again with distsync.replay().');
	END IF;
	-- %s is a function out of the registry: base checks that it is a name of ours
	EXECUTE format('SELECT array_agg(k.key), array_agg(k.group_id) FROM %s($1) k', finder) INTO keys, ids USING CASE WHEN resync.entity_key IS NOT NULL THEN ARRAY[resync.entity_key] END;
	IF keys IS NULL AND resync.entity_key IS NOT NULL THEN
		PERFORM distsync_internal.outbox_refuse('SD001', format('unknown %s "%s"', resync.entity, resync.entity_key), 'entity_key', 'Nothing has this code.', 'Correct the code, or leave it out for all.');
	END IF;
	IF keys IS NULL OR COALESCE((options ->> 'dry_run')::boolean, false) THEN
		RETURN COALESCE(cardinality(keys), 0);
	END IF;
	FOR t IN SELECT DISTINCT c.event_type, c.lane_group FROM distsync_internal.capture c WHERE c.entity = resync.entity AND c.kind = 'state' ORDER BY c.event_type LOOP
		n := n + distsync_internal.base_mark(t.lane_group, t.event_type, resync.entity, keys, ids, true);
	END LOOP;
	PERFORM distsync_internal.base_audit('resync', resync.entity, resync.entity_key, NULL, jsonb_build_object('entities', n));
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync.resync(text, text, jsonb) IS
	'Tells the state of entities again to all who listen: item (stock.atp_changed) or credit_account (credit.status_changed), by code (NULL = all), also where nothing has changed since it was told. For changes that no trigger saw (a subscription, session_replication_role, backfill), and after a failover that lost commits. options: dry_run (only counts). Returns how many. Errors: SD001 unknown code, SD002 entity without a state, option.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('resync', '{operator,admin}');

-- outbox_untold does the comparison of what was told with what would be told now, for some entities. Where a marker waits for the router
-- all is well, and so it is where the room says that time alone has changed a state and its clerk has not come by yet.
CREATE FUNCTION distsync_internal.outbox_untold(how_many integer) RETURNS TABLE (event_type text, entity text, entity_key text, detail jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	now_incarnation integer := (SELECT i.incarnation FROM sync.instance i);
	share float := (SELECT 100 * least(1, outbox_untold.how_many::float / greatest(1, count(*))) FROM sync.entity_clock c WHERE c.said IS NOT NULL);
	t record;
BEGIN
	FOR t IN
		SELECT h.name AS event_type, c.entity, k.function AS finder, array_agg(c.entity_key) AS keys
		FROM distsync_internal.handler h
		CROSS JOIN LATERAL (SELECT DISTINCT x.entity FROM distsync_internal.capture x WHERE x.event_type = h.name) e
		JOIN distsync_internal.handler k ON k.kind = 'keys' AND k.name = e.entity
		CROSS JOIN LATERAL (SELECT y.entity, y.entity_key, row_number() OVER () / 100 AS part FROM sync.entity_clock y TABLESAMPLE BERNOULLI (share) WHERE y.entity = e.entity AND y.said IS NOT NULL LIMIT outbox_untold.how_many) c
		WHERE h.kind = 'told' GROUP BY h.name, c.entity, k.function, c.part
	LOOP
		-- %s is a function out of the registry: base checks that it is a name of ours
		RETURN QUERY EXECUTE format($q$
			SELECT $1, $2, r.entity_key, jsonb_build_object('version', c.version, 'would_be_told', r.body)
			FROM (SELECT array_agg(k.key::text) AS keys FROM %s($3) k WHERE k.settled) a
			CROSS JOIN LATERAL distsync_internal.outbox_render_state($1, $2, a.keys) r
			JOIN sync.entity_clock c ON c.entity = $2 AND c.entity_key = r.entity_key AND c.entity_key = ANY ($3)
			WHERE r.key = ANY (a.keys) AND r.error IS NULL AND c.said <> '' AND NOT EXISTS (SELECT FROM generate_series(greatest(1, $4 - 100), $4) i WHERE c.said = distsync_internal.outbox_said(i, $1, r.body))
				AND NOT EXISTS (SELECT FROM %1$s(ARRAY[r.entity_key]) k CROSS JOIN LATERAL unnest(k.moved_by) u(key)
					WHERE distsync_internal.outbox_waiting($1, u.key)) $q$, t.finder) USING t.event_type, t.entity, t.keys, now_incarnation;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_untold(integer) IS
	'Entities among about so many, chosen at random (all, if there are no more), whose state is neither what was told last nor waits to be told. Only types that are told when they differ (handler told), and entities with a handler of kind keys.';

-- outbox_waiting does the look for a marker that the router has not come to.
CREATE FUNCTION distsync_internal.outbox_waiting(event_type text, key bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	c record;
BEGIN
	SELECT r.snapshot, r.target, r.system_identifier INTO c FROM sync.router_cursor r WHERE r.router = 'main';
	IF NOT FOUND OR c.target IS NOT NULL OR c.system_identifier <> (SELECT s.system_identifier FROM pg_control_system() s) THEN
		-- it is in the middle of a window, or has not looked at this server yet
		RETURN true;
	END IF;
	RETURN EXISTS (SELECT FROM sync.outbox o WHERE o.xid >= pg_snapshot_xmin(c.snapshot) AND NOT pg_visible_in_snapshot(o.xid, c.snapshot)
		AND o.kind = 'state' AND o.event_type = outbox_waiting.event_type AND o.entity_key = outbox_waiting.key::text);
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_waiting(text, bigint) IS 'Whether a marker of this type and key is to be routed.';
