-- What happens when a row enters the outbox: the courier is woken at commit, and where no courier rings, the writer does.

-- outbox_wake does the waking of the courier at the commit of whoever wrote.
CREATE FUNCTION distsync_internal.outbox_wake() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.worker_wake('courier');
	RETURN NULL;
END
$$;
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

-- outbox_set_triggers does the part of setup() that depends on the extension: what teardown() takes away.
CREATE FUNCTION distsync_internal.outbox_set_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CREATE OR REPLACE TRIGGER outbox_customer_wake_trg AFTER INSERT ON sync.outbox_customer FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_wake();
	CREATE OR REPLACE TRIGGER outbox_item_wake_trg AFTER INSERT ON sync.outbox_item FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_wake();
	CREATE OR REPLACE TRIGGER outbox_customer_ring_trg AFTER INSERT ON sync.outbox_customer FOR EACH ROW WHEN (NEW.ring = 'trigger') EXECUTE FUNCTION distsync_internal.outbox_ring_row();
	CREATE OR REPLACE TRIGGER outbox_item_ring_trg AFTER INSERT ON sync.outbox_item FOR EACH ROW WHEN (NEW.ring = 'trigger') EXECUTE FUNCTION distsync_internal.outbox_ring_row();
END
$$;
COMMENT ON FUNCTION distsync_internal.outbox_set_triggers() IS 'Part of setup(): the triggers on the outboxes.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('trigger', 'outbox', 'distsync_internal.outbox_set_triggers');
