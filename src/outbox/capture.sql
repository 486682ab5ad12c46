-- What happens when the books change: statement triggers note it in the outbox, in the same commit. And when a row enters the outbox:
-- the courier is woken at commit, and where no courier rings, the writer does.

-- outbox_capture does the noting of what a statement changed, as distsync_internal.capture says. It pins its path in C: every name in
-- its statements is qualified.
CREATE FUNCTION distsync_internal.outbox_capture() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'ds_sql_outbox_capture';
COMMENT ON FUNCTION distsync_internal.outbox_capture() IS
	'Statement trigger with transition tables new_rows and old_rows. Arguments: kind, event type, entity, group, key column, group column, watched columns (see distsync_internal.capture). Writes markers or documents into the outbox as the owner of the table. Where distsync.capture is verb, it notes what the functions of the extension change, and nothing else.';

-- outbox_row does the making of a document event out of a row that was changed outside the verbs. Surrogate ids stay inside.
CREATE FUNCTION distsync_internal.outbox_row(changed jsonb, key_column text, group_column text, operation text, OUT key text, OUT id bigint, OUT body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT COALESCE(changed ->> key_column, ''), (changed ->> group_column)::bigint,
		(SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed) c WHERE c.key NOT LIKE '%\_id' OR c.key = 'correlation_id')
			|| jsonb_build_object('operation', operation, 'changed_by', session_user, 'outside_the_verbs', true)
$$;
COMMENT ON FUNCTION distsync_internal.outbox_row(jsonb, text, text, text) IS 'Key, group id and data of the event that tells of a row changed by hand: its columns without surrogate ids, operation (insert | update | delete), changed_by.';

-- outbox_wake does the waking of the courier at the commit of whoever wrote. It runs no SQL.
CREATE FUNCTION distsync_internal.outbox_wake() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'ds_sql_outbox_wake';
COMMENT ON FUNCTION distsync_internal.outbox_wake() IS 'Statement trigger on the outboxes: wakes the courier at commit.';

-- outbox_ring_row does the NOTIFY of a row whose writer has to ring.
CREATE FUNCTION distsync_internal.outbox_ring_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.outbox_ring(NEW.event_type, NEW.message_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_ring_row() IS 'Row trigger on the outboxes for rows with ring = trigger: NOTIFY in the writer''s transaction.';

-- outbox_set_capture does the triggers of one captured table and of its partitions, which statements may name directly.
CREATE FUNCTION distsync_internal.outbox_set_capture(captured text, event_type text, arguments text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
	args text := (SELECT string_agg(quote_literal(a), ', ' ORDER BY n) FROM unnest(arguments) WITH ORDINALITY u(a, n));
	what text := split_part(replace(event_type, '.', '_'), '_', 1);
BEGIN
	FOR t IN SELECT c.oid::regclass AS name, c.relname FROM pg_partition_tree(to_regclass(captured)) p JOIN pg_class c ON c.oid = p.relid
			 UNION SELECT c.oid::regclass, c.relname FROM pg_class c WHERE c.oid = to_regclass(captured)
	LOOP
		-- %s is a regclass, the arguments are quoted above
		EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_capture(%s)',
			format('%s_%s_insert_trg', t.relname, what), t.name, args);
		EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_capture(%s)',
			format('%s_%s_update_trg', t.relname, what), t.name, args);
		EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_capture(%s)',
			format('%s_%s_delete_trg', t.relname, what), t.name, args);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_set_capture(text, text, text[]) IS 'Makes the three capture triggers of a table and each of its partitions: named table, first word of the event type, event.';

-- outbox_set_triggers does the part of setup() that depends on the extension: what teardown() takes away.
CREATE FUNCTION distsync_internal.outbox_set_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
BEGIN
	FOR c IN SELECT * FROM distsync_internal.capture x ORDER BY x.table_name, x.event_type LOOP
		PERFORM distsync_internal.outbox_set_capture(c.table_name, c.event_type,
			ARRAY[c.kind, c.event_type, c.entity, c.lane_group, c.key_column, c.group_column, array_to_string(c.watch, ',')]);
	END LOOP;
	CREATE OR REPLACE TRIGGER outbox_customer_wake_trg AFTER INSERT ON sync.outbox_customer FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_wake();
	CREATE OR REPLACE TRIGGER outbox_item_wake_trg AFTER INSERT ON sync.outbox_item FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_wake();
	CREATE OR REPLACE TRIGGER outbox_customer_ring_trg AFTER INSERT ON sync.outbox_customer FOR EACH ROW WHEN (NEW.ring = 'trigger') EXECUTE FUNCTION distsync_internal.outbox_ring_row();
	CREATE OR REPLACE TRIGGER outbox_item_ring_trg AFTER INSERT ON sync.outbox_item FOR EACH ROW WHEN (NEW.ring = 'trigger') EXECUTE FUNCTION distsync_internal.outbox_ring_row();
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_set_triggers() IS 'Part of setup(): the triggers that capture changes, and those on the outboxes.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('trigger', 'outbox', 'distsync_internal.outbox_set_triggers');
