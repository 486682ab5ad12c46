-- Promises and stock events are written past the executor, where that is the same as a statement. Whatever users do to a table that a
-- statement would heed closes the short way: one change after the other, to each table that is written, and to its partitions.
SET client_min_messages = error;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET track_functions = 'all';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"ROW-A","base_unit":"EA"},{"sku":"ROW-B","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"row1","kind":"count","sku":"ROW-A","site":"INV-1","quantity":100,"event_at":"2024-01-10T10:00:00Z","stream":"row","sequence":1},
	{"event_id":"row2","kind":"count","sku":"ROW-B","site":"INV-1","quantity":100,"event_at":"2024-01-10T10:00:00Z","stream":"row","sequence":2}]', 'inv-wms');
SELECT * FROM distsync.reserve('[{"item":"ROW-A","quantity":1,"site":"INV-1"}]');
-- of the second item promises come from slots
SET distsync.hot_wait = 0;
SELECT * FROM distsync.reserve('[{"item":"ROW-B","quantity":1,"site":"INV-1"}]');
RESET distsync.hot_wait;
\o
CREATE FUNCTION pg_temp.heard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW END; END $$;
CREATE FUNCTION pg_temp.whole(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_xact_user_functions WHERE funcname = name $$;

CREATE FUNCTION pg_temp.in_slots() RETURNS numeric LANGUAGE sql AS $$ SELECT sum(y.held) FROM dist.stock_pool_slot y JOIN dist.item i USING (item_id) WHERE i.sku = 'ROW-B' $$;

-- what is tried once: a promise, one from slots, or an event that goes on in its stream; the way it went, or the error
CREATE FUNCTION pg_temp.go(verb text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	whole text := CASE verb WHEN 'event' THEN 'inventory_apply_events_whole' ELSE 'inventory_reserve_whole' END;
	before bigint := pg_temp.whole(whole);
	slots numeric := pg_temp.in_slots();
	said text;
BEGIN
	IF verb <> 'event' THEN
		said := (SELECT outcome FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', CASE verb WHEN 'promise' THEN 'ROW-A' ELSE 'ROW-B' END, 'quantity', 1, 'site', 'INV-1'))));
	ELSE
		said := (SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"row3","kind":"delta","sku":"ROW-A","site":"INV-1","quantity":1,"event_at":"2024-01-11T10:00:00Z","stream":"row","sequence":3}', 'inv-wms'));
	END IF;
	IF said NOT IN ('reserved', 'applied') THEN
		RETURN said;
	END IF;
	RETURN CASE WHEN pg_temp.whole(whole) > before THEN 'whole' WHEN verb = 'slot' AND slots = pg_temp.in_slots() THEN 'pool' ELSE 'direct' END;
END
$$;

-- a change, the verbs after it, and everything undone
CREATE FUNCTION pg_temp.try(change text, verbs text[] = '{promise,slot,event}', OUT promise text, OUT slot text, OUT event text) LANGUAGE plpgsql AS $$
DECLARE
	verb text;
	way text;
BEGIN
	FOREACH verb IN ARRAY verbs LOOP
		BEGIN
			EXECUTE change;
			BEGIN
				way := pg_temp.go(verb);
			EXCEPTION WHEN others THEN
				way := SQLSTATE;
			END;
			RAISE EXCEPTION USING ERRCODE = 'RR000';
		EXCEPTION WHEN SQLSTATE 'RR000' THEN
			promise := CASE verb WHEN 'promise' THEN way ELSE promise END;
			slot := CASE verb WHEN 'slot' THEN way ELSE slot END;
			event := CASE verb WHEN 'event' THEN way ELSE event END;
		END;
	END LOOP;
END
$$;
SELECT * FROM pg_temp.try('SELECT');

-- the tables, the partition of now or those by hash, and for each a column and the key
CREATE TEMP TABLE written (n integer, label text, rels regclass[], col text, keys text);
INSERT INTO written SELECT t.n, t.name, ARRAY[t.name::regclass], t.col, (SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, n), pg_attribute a
	WHERE i.indrelid = t.name::regclass AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.attnum)
FROM (VALUES (1, 'dist.stock_pool', 'valid_until'), (2, 'dist.reservation', 'channel_id'), (3, 'sync.audit', 'reason'), (5, 'dist.stock_event', 'reference'), (7, 'dist.stock_balance', 'counted_at'), (8, 'dist.stock_stream', 'gap_from'), (9, 'sync.dedupe', 'inbox_id'), (11, 'dist.stock_pool_slot', 'valid_until')) t(n, name, col);
INSERT INTO written SELECT w.n + 1, 'part of ' || w.label, array_agg(i.inhrelid::regclass), w.col, w.keys FROM written w JOIN pg_inherits i ON i.inhparent = w.rels[1]
GROUP BY w.n, w.label, w.col, w.keys;

CREATE TEMP TABLE change (n integer GENERATED ALWAYS AS IDENTITY, what text, ddl text, parents boolean, parts boolean, divided boolean DEFAULT true);
INSERT INTO change (what, ddl, parents, parts) VALUES
	('row trigger', 'CREATE TRIGGER u_trg AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION pg_temp.heard()', true, true),
	('statement trigger', 'CREATE TRIGGER u_trg BEFORE INSERT OR UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.heard()', true, true),
	('trigger for replicas', 'CREATE TRIGGER u_trg AFTER INSERT OR UPDATE ON %1$s FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.heard(); ALTER TABLE %1$s ENABLE REPLICA TRIGGER u_trg', true, false),
	('delete trigger', 'CREATE TRIGGER u_trg AFTER DELETE ON %s FOR EACH ROW EXECUTE FUNCTION pg_temp.heard()', true, true),
	('triggers disabled', 'ALTER TABLE %s DISABLE TRIGGER USER', true, true),
	('triggers always', 'DO $d$ DECLARE t name; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = ''%1$s''::regclass AND NOT tgisinternal LOOP EXECUTE format(''ALTER TABLE %1$s ENABLE ALWAYS TRIGGER %%I'', t); END LOOP; END $d$', true, false),
	('another event captured', 'CREATE TRIGGER u_trg AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.outbox_capture(''state'', ''u.changed'', ''item'', ''item'', ''item_id'', ''item_id'', '''')', true, false),
	('column', 'ALTER TABLE %s ADD u text', true, false),
	('column with default', 'ALTER TABLE %s ADD u text DEFAULT ''u''', true, false),
	('default of ours', 'ALTER TABLE %s ALTER %s SET DEFAULT NULL', true, true),
	('generated column', 'ALTER TABLE %s ADD u text GENERATED ALWAYS AS (''u'') STORED', true, false),
	('column retyped', 'ALTER TABLE %s ALTER %s TYPE jsonb USING NULL', true, false),
	('check that holds', 'ALTER TABLE %s ADD CONSTRAINT u_chk CHECK (true)', true, true),
	('check that fails', 'ALTER TABLE %s ADD CONSTRAINT u_chk CHECK (false) NOT VALID', true, true),
	('not null that fails', 'TRUNCATE %1$s CASCADE; ALTER TABLE %1$s ALTER %2$s SET NOT NULL', true, true),
	('row security', 'ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', true, true),
	('rule', 'CREATE RULE u_rule AS ON DELETE TO %s DO ALSO NOTHING', true, true),
	('index', 'CREATE INDEX ON %s (%s)', true, true),
	('partial index', 'CREATE INDEX ON %1$s (%2$s) WHERE %2$s IS NOT NULL', true, true),
	('index of an expression', 'CREATE INDEX ON %s ((1))', true, true),
	('index of another kind', 'CREATE INDEX ON %s USING hash (%s)', true, true),
	('deferrable key', 'ALTER TABLE %1$s ADD UNIQUE (%3$s) DEFERRABLE', true, true),
	('foreign key to it', 'CREATE TEMP TABLE u (LIKE %1$s); DROP TABLE u; CREATE TABLE public.u (LIKE %1$s, FOREIGN KEY (%3$s) REFERENCES %1$s (%3$s))', true, false),
	('another owner', 'ALTER TABLE %s OWNER TO CURRENT_USER', false, true),
	('published without identity', 'ALTER TABLE %1$s REPLICA IDENTITY NOTHING; CREATE PUBLICATION u FOR TABLE %1$s', true, false);
INSERT INTO change (what, ddl, parents, parts, divided) VALUES
	('identity column', 'ALTER TABLE %s ADD u bigint GENERATED ALWAYS AS IDENTITY', true, false, false),
	('unlogged', 'ALTER TABLE %s SET UNLOGGED', true, true, false);

CREATE TEMP TABLE tried AS
SELECT c.n, c.what, w.n AS place, w.label, t.promise, t.slot, t.event FROM change c
JOIN written w ON CASE WHEN w.label LIKE 'part of %' THEN c.parts ELSE c.parents AND (c.divided OR NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = w.rels[1])) END
CROSS JOIN LATERAL (SELECT string_agg(format(c.ddl, r, w.col, w.keys), '; ') AS ddl FROM unnest(w.rels) r) d CROSS JOIN LATERAL pg_temp.try(d.ddl, CASE w.label WHEN 'dist.stock_pool_slot' THEN ARRAY['slot'] ELSE ARRAY['promise', 'event'] END) t;
\pset format unaligned
SELECT what, way, string_agg(label, ', ' ORDER BY place) FILTER (WHERE verb <> 'event') AS promise, string_agg(label, ', ' ORDER BY place) FILTER (WHERE verb = 'event') AS event
FROM tried CROSS JOIN LATERAL (VALUES ('promise', promise), ('slot', slot), ('event', event)) v(verb, way) WHERE way <> 'direct' GROUP BY n, what, way ORDER BY n, way;
\pset format aligned
SELECT string_agg(what, ', ' ORDER BY what) AS heeded_by_nobody FROM (SELECT what FROM tried GROUP BY what HAVING bool_and(COALESCE(promise, 'direct') = 'direct' AND COALESCE(slot, 'direct') = 'direct' AND COALESCE(event, 'direct') = 'direct')) t;

-- where others write the same rows, this session only replays; and a partition may be somewhere else
SELECT * FROM pg_temp.try('SET LOCAL session_replication_role = replica');
SELECT * FROM pg_temp.try('SET LOCAL session_replication_role = local');
SELECT t.name, f.* FROM (VALUES ('sync.audit'), ('dist.stock_event')) t(name) CROSS JOIN LATERAL pg_temp.try(format($x$DO $d$ DECLARE part regclass; BEGIN
	ALTER TABLE %1$s DROP CONSTRAINT %2$s;
	FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = '%1$s'::regclass LOOP EXECUTE format('ALTER TABLE %1$s DETACH PARTITION %%s', part); END LOOP;
	CREATE FOREIGN DATA WRAPPER u_fdw; CREATE SERVER u_server FOREIGN DATA WRAPPER u_fdw; CREATE FOREIGN TABLE public.u PARTITION OF %1$s DEFAULT SERVER u_server;
END $d$ $x$, t.name, split_part(t.name, '.', 2) || '_pk')) f;
SELECT * FROM pg_temp.try('SELECT');
