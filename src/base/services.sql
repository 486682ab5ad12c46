-- What every room needs and no room owns: events, audit, exceptions, idempotency, hooks.

-- base_ring does the choice of who sends the NOTIFY of an outbox row: the courier just after commit where there is one, because a
-- NOTIFY inside every writer takes a lock over its commit.
CREATE FUNCTION distsync_internal.base_ring() RETURNS text
AS 'MODULE_PATHNAME', 'ds_sql_base_ring' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.base_ring() IS 'courier | trigger | none, from the setting distsync.notify and whether the library is preloaded.';

-- base_mute does the switching of capture for a load of history. It runs no SQL.
CREATE FUNCTION distsync_internal.base_mute(mute boolean) RETURNS boolean
LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'ds_sql_base_mute';
COMMENT ON FUNCTION distsync_internal.base_mute(boolean) IS
	'Keeps the capture triggers silent until it is called with false, the subtransaction is rolled back or the transaction ends. Returns what was before.';

-- base_passing does the telling of errors that are nobody's fault but the moment's: whoever would note an error and go on must raise these.
CREATE FUNCTION distsync_internal.base_passing(sqlstate text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT left(sqlstate, 2) IN ('08', '40', '53', '57', '58') OR sqlstate IN ('55P03', '55006', 'XX001', 'XX002')
$$;
COMMENT ON FUNCTION distsync_internal.base_passing(text) IS
	'True for errors that a later try may not meet, and for those of a server in need: classes 08, 40, 53, 57, 58 (connection, conflict, resources, ended by somebody, input and output), 55P03 and 55006 (lock not available, object in use), XX001 and XX002 (broken data). All others are the document''s, or ours to mend.';

-- base_emit does the writing of a document event into the outbox, in the caller's commit, with its data.
CREATE FUNCTION distsync_internal.base_emit(group_name text, group_id bigint, event_type text, entity text, entity_key text, body jsonb,
	correlation_id uuid DEFAULT NULL, causation_id uuid DEFAULT NULL, origin text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	id uuid := gen_random_uuid();
BEGIN
	IF group_name = 'item' THEN
		INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, body, message_id, correlation_id, causation_id, origin, ring)
		VALUES ('document', event_type, entity, entity_key, COALESCE(group_id, 0), body, id, correlation_id, causation_id, origin, distsync_internal.base_ring());
	ELSE
		INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, body, message_id, correlation_id, causation_id, origin, ring)
		VALUES ('document', event_type, entity, entity_key, COALESCE(group_id, 0), body, id, correlation_id, causation_id, origin, distsync_internal.base_ring());
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_emit(text, bigint, text, text, text, jsonb, uuid, uuid, text) IS
	'Writes a document event: group customer or item and its id, type, entity, business key, data, correlation, causation, system it came from. Returns the message id, constant from here on.';

-- base_mark does the noting that the state of some entities may have changed, where no capture trigger sees what changed it.
CREATE FUNCTION distsync_internal.base_mark(group_name text, event_type text, entity text, keys bigint[], group_ids bigint[], again boolean DEFAULT false) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	why jsonb := CASE WHEN again THEN '{"again": true}' END;
	n integer;
BEGIN
	IF group_name = 'item' THEN
		INSERT INTO sync.outbox_item (kind, event_type, entity, entity_key, item_id, body, ring)
		SELECT 'state', base_mark.event_type, base_mark.entity, k.key::text, COALESCE(k.id, 0), why, distsync_internal.base_ring() FROM unnest(keys, group_ids) k(key, id) ORDER BY k.key;
	ELSE
		INSERT INTO sync.outbox_customer (kind, event_type, entity, entity_key, customer_id, body, ring)
		SELECT 'state', base_mark.event_type, base_mark.entity, k.key::text, COALESCE(k.id, 0), why, distsync_internal.base_ring() FROM unnest(keys, group_ids) k(key, id) ORDER BY k.key;
	END IF;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_mark(text, text, text, bigint[], bigint[], boolean) IS
	'Leaves markers of a state event in the outbox of a group (customer or item): keys as its renderer takes them, ids of the group beside them. again: told even if the state is what was told last. Returns how many.';

-- base_audit does the keeping of who did what.
CREATE FUNCTION distsync_internal.base_audit(verb text, entity text, entity_key text, before jsonb, after jsonb, reason text DEFAULT NULL, correlation_id uuid DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO sync.audit (role, app_user, verb, entity, entity_key, before, after, reason, correlation_id)
	VALUES (session_user, current_setting('distsync.app_user', true), verb, entity, entity_key, before, after, reason, correlation_id)
$$;
COMMENT ON FUNCTION distsync_internal.base_audit(text, text, text, jsonb, jsonb, text, uuid) IS
	'Appends to sync.audit: session role and application user, verb, entity and key, state before and after, reason, correlation.';

-- base_exception does the opening of a business exception, or counts it again where it is open already.
CREATE FUNCTION distsync_internal.base_exception(kind text, trace_key text, domain text, severity text, company text, entity text, entity_key text,
	details jsonb, delta numeric DEFAULT NULL, money_at_risk numeric DEFAULT NULL, currency text DEFAULT NULL, correlation_id uuid DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
	id bigint;
	fresh boolean;
BEGIN
	INSERT INTO sync.exception AS e (kind, trace_key, domain, severity, company, entity, entity_key, details, delta, money_at_risk, currency, first_seen_at, last_seen_at, correlation_id)
	VALUES (base_exception.kind, base_exception.trace_key, base_exception.domain, base_exception.severity, base_exception.company, base_exception.entity, base_exception.entity_key,
		COALESCE(base_exception.details, '{}'), base_exception.delta, base_exception.money_at_risk, base_exception.currency, t, t, base_exception.correlation_id)
	ON CONFLICT (kind, trace_key) WHERE state IN ('open', 'acknowledged') DO UPDATE
	SET seen = e.seen + 1, last_seen_at = excluded.last_seen_at, details = excluded.details, delta = excluded.delta,
		money_at_risk = excluded.money_at_risk, severity = excluded.severity
	RETURNING exception_id, seen = 1 INTO id, fresh;
	IF fresh THEN
		PERFORM distsync_internal.base_emit('customer', 0, 'exception.opened', 'exception', id::text,
			jsonb_build_object('exception', id, 'kind', base_exception.kind, 'trace_key', base_exception.trace_key, 'domain', base_exception.domain, 'severity', base_exception.severity,
				'entity', base_exception.entity, 'entity_key', base_exception.entity_key, 'details', base_exception.details, 'delta', base_exception.delta,
				'money_at_risk', base_exception.money_at_risk, 'currency', base_exception.currency), base_exception.correlation_id);
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_exception(text, text, text, text, text, text, text, jsonb, numeric, numeric, text, uuid) IS
	'Opens a business exception, or raises the count of the open one with the same kind and trace key. Emits exception.opened the first time. Returns its id.';

-- base_exception_close does the closing of an exception whose cause has gone.
CREATE FUNCTION distsync_internal.base_exception_close(kind text, trace_key text, resolution text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
BEGIN
	UPDATE sync.exception e SET state = 'auto_resolved', resolved_at = clock_timestamp(), resolved_by = 'distsync', resolution = base_exception_close.resolution
	WHERE e.kind = base_exception_close.kind AND e.trace_key = base_exception_close.trace_key AND e.state IN ('open', 'acknowledged')
	RETURNING exception_id INTO id;
	IF id IS NULL THEN
		RETURN false;
	END IF;
	PERFORM distsync_internal.base_emit('customer', 0, 'exception.closed', 'exception', id::text,
		jsonb_build_object('exception', id, 'kind', base_exception_close.kind, 'trace_key', base_exception_close.trace_key, 'resolution', base_exception_close.resolution));
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_exception_close(text, text, text) IS
	'Closes the open exception of a kind and trace key as auto_resolved and emits exception.closed. Returns whether there was one.';

-- base_answered does the look-up of a command's first answer. It locks the key first, so that two calls with one key run one after
-- the other; the lock order of every command starts here.
CREATE FUNCTION distsync_internal.base_answered(source text, verb text, key text, request jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found_hash bytea;
	found_answer jsonb;
BEGIN
	IF key IS NULL THEN
		RETURN NULL;
	END IF;
	IF length(base_answered.key) NOT BETWEEN 1 AND 255 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'idempotency key must have 1 to 255 characters', COLUMN = 'idempotency_key',
			DETAIL = format('Field: idempotency_key. It has %s.', length(base_answered.key)), HINT = 'Send a shorter key, for example a UUID.';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended(format('distsync.key:%s:%s:%s', length(base_answered.source), base_answered.source, base_answered.verb) || ':' || base_answered.key, 0));
	SELECT i.request_sha256, i.answer INTO found_hash, found_answer
	FROM sync.idempotency i
	WHERE i.source = base_answered.source AND i.verb = base_answered.verb AND i.key = base_answered.key;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF found_hash <> sha256(convert_to(request::text, 'UTF8')) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD010', MESSAGE = 'idempotency key was used with another request', COLUMN = 'idempotency_key',
			DETAIL = format('Field: idempotency_key. Verb %s, source %s, key "%s".', base_answered.verb, base_answered.source, base_answered.key),
			HINT = 'Use a new key for a new request; repeat a request byte for byte to get its first answer.';
	END IF;
	RETURN found_answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_answered(text, text, text, jsonb) IS
	'First answer given to (source, verb, key), NULL if there is none; locks the key until the end of the transaction. Errors: SD010 same key, other request; SD002 key too long.';

-- base_answer does the storing of a command's answer under its key.
CREATE FUNCTION distsync_internal.base_answer(source text, verb text, key text, request jsonb, answer jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO sync.idempotency (source, verb, key, request_sha256, answer, answered_at)
	SELECT source, verb, key, sha256(convert_to(request::text, 'UTF8')), answer, clock_timestamp()
	WHERE key IS NOT NULL
$$;
COMMENT ON FUNCTION distsync_internal.base_answer(text, text, text, jsonb, jsonb) IS 'Stores the answer of a command under (source, verb, key); nothing without a key.';

-- base_hook does the call of everything that other rooms registered for a hook point.
CREATE FUNCTION distsync_internal.base_hook(point text, context jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	h record;
	n integer := 0;
BEGIN
	FOR h IN SELECT function FROM distsync_internal.handler WHERE kind = 'hook' AND name = point ORDER BY ordinal, function LOOP
		EXECUTE format('SELECT %s($1)', h.function) USING context;
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_hook(text, jsonb) IS 'Calls the functions registered for a hook point, in order, each with the context. Returns how many.';

-- base_touch_epoch does the moving of an epoch row: called by every writer of a domain, under the row's lock.
CREATE FUNCTION distsync_internal.base_touch_epoch(domain text, bucket integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	UPDATE dist.epoch e SET n = e.n + 1, stamped_at = greatest(clock_timestamp(), e.stamped_at + interval '1 microsecond')
	WHERE e.domain = base_touch_epoch.domain AND e.bucket = base_touch_epoch.bucket
$$;
COMMENT ON FUNCTION distsync_internal.base_touch_epoch(text, integer) IS 'Moves the epoch of a domain that has no clock of its own: credit, bucket 0. What prices depend on moves with base_touch_prices().';

-- base_lock_prices does the locking of the price clock: from here to its commit nobody else writes what prices depend on.
CREATE FUNCTION distsync_internal.base_lock_prices() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM dist.epoch e WHERE e.domain = 'clock' AND e.bucket = 0 FOR UPDATE;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_lock_prices() IS 'Locks the price clock until the end of the transaction, without moving it. Take every other lock of the call before it.';

-- base_codes_changed does the moving of the epoch of codes, for triggers on small tables that backends remember.
CREATE FUNCTION distsync_internal.base_codes_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_touch_epoch('codes', 0);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_codes_changed() IS 'Statement trigger: what backends remember of sites, states of stock, systems and owners is old.';

-- base_watch_codes does the setting of that trigger on a table.
CREATE FUNCTION distsync_internal.base_watch_codes(schema_name text, table_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I.%I FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.base_codes_changed()', table_name || '_codes_trg', schema_name, table_name);
	EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER %I', schema_name, table_name, table_name || '_codes_trg');
END
$$;
COMMENT ON FUNCTION distsync_internal.base_watch_codes(text, text) IS 'Part of setup(): the trigger by which backends learn that a small table of codes has changed, also in the role of a replica.';

-- base_epoch_moved does the noting of a move in shared memory, for backends that remember numbers.
CREATE FUNCTION distsync_internal.base_epoch_moved() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'ds_sql_base_epoch_moved';
COMMENT ON FUNCTION distsync_internal.base_epoch_moved() IS 'Trigger on dist.epoch: notes, before the commit, that rows backends remember have moved. Does nothing where the library is not preloaded.';

-- base_epoch_triggers does the setting of that trigger. What prices depend on moves often, and nobody remembers its numbers.
CREATE FUNCTION distsync_internal.base_epoch_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CREATE OR REPLACE TRIGGER epoch_moved_trg AFTER INSERT OR UPDATE ON dist.epoch FOR EACH ROW WHEN (NEW.domain IN ('credit', 'codes')) EXECUTE FUNCTION distsync_internal.base_epoch_moved();
	CREATE OR REPLACE TRIGGER epoch_gone_trg AFTER DELETE ON dist.epoch FOR EACH ROW EXECUTE FUNCTION distsync_internal.base_epoch_moved();
	CREATE OR REPLACE TRIGGER epoch_emptied_trg AFTER TRUNCATE ON dist.epoch FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.base_epoch_moved();
	-- what comes by replication too
	ALTER TABLE dist.epoch ENABLE ALWAYS TRIGGER epoch_moved_trg, ENABLE ALWAYS TRIGGER epoch_gone_trg, ENABLE ALWAYS TRIGGER epoch_emptied_trg;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_epoch_triggers() IS 'Part of setup(): the triggers that note moves of dist.epoch.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'base', 5, 'distsync_internal.base_epoch_triggers');

-- base_touch_prices does the moving of the price clock and of the epoch rows of what a writer is about to change. The stamp is taken under
-- the clock's lock, in a statement of its own, so that writers commit in the order of their stamps.
CREATE FUNCTION distsync_internal.base_touch_prices(price_buckets integer[], item_buckets integer[]) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moved bigint;
	stamp timestamptz;
BEGIN
	PERFORM FROM dist.epoch e WHERE e.domain = 'clock' AND e.bucket = 0 FOR UPDATE;
	UPDATE dist.epoch e SET n = e.n + 1, stamped_at = greatest(clock_timestamp(), e.stamped_at + interval '1 microsecond')
	WHERE e.domain = 'clock' AND e.bucket = 0 RETURNING e.n, e.stamped_at INTO moved, stamp;
	UPDATE dist.epoch e SET n = moved, stamped_at = stamp
	WHERE e.domain = 'price' AND e.bucket = ANY (price_buckets) OR e.domain = 'item' AND e.bucket = ANY (item_buckets);
	RETURN stamp;
END
$$;
COMMENT ON FUNCTION distsync_internal.base_touch_prices(integer[], integer[]) IS
	'Moves the price clock, and the epoch rows of these buckets to its number: price 0 = shared, 1 + party_id mod 256; item 1 + item_id mod 256. Call it before the change, with the locks of the call taken; the stamp it returns is the instant of the change. It holds the clock until the end of the transaction and may be called again in it.';

-- base_buckets does the turning of ids into the buckets of their epoch rows.
CREATE FUNCTION distsync_internal.base_buckets(ids bigint[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY(SELECT DISTINCT 1 + (i % 256)::integer FROM unnest(ids) i WHERE i IS NOT NULL ORDER BY 1)
$$;
COMMENT ON FUNCTION distsync_internal.base_buckets(bigint[]) IS 'Buckets of parties or items: 1 + id mod 256, each once, in order.';
