-- world.sql: the small world of t/045_stock_fire.pl, few items, so that everybody wants the same, and the ledger of what clients were told.
-- A line of the ledger is written in the transaction of the answer: it lasts exactly if the promise does.
\set ON_ERROR_STOP 1
SELECT distsync.add_system('erp', 'erp'), distsync.add_system('wms', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"S1","name":"one","company":"C","rank":1},{"code":"S2","name":"two","company":"C","rank":2},{"code":"S3","name":"three","company":"C","rank":2}]', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"P1","name":"one","roles":["sold_to","payer"],"currency":"USD"},{"code":"P2","name":"two","roles":["sold_to","payer"],"currency":"USD"}]', 'distsync');
SELECT * FROM distsync.apply('channel', '{"code":"WEB","name":"web"}', 'distsync');

CREATE SCHEMA fire;

-- items: of clean ones only facts are told that take away nothing that is promised, so that any promise beyond stock is an oversell;
-- of the others anything. box: it has the unit BX of twelve. rests: it is reserved in parts of a hundredth.
CREATE TABLE fire.item (sku text PRIMARY KEY, sites text[] NOT NULL, clean boolean NOT NULL, twin boolean NOT NULL DEFAULT false, rests boolean NOT NULL DEFAULT false, lots boolean NOT NULL DEFAULT false,
	backorder numeric NOT NULL DEFAULT 0, opening numeric NOT NULL, weight integer NOT NULL);
INSERT INTO fire.item (sku, sites, clean, twin, rests, lots, backorder, opening, weight) VALUES
	('HOT', '{S1}', true, false, false, false, 0, 150, 8), ('PAIR', '{S1,S2,S3}', true, true, false, false, 0, 40, 4), ('FRAC', '{S1,S2}', true, false, true, false, 0, 20, 3),
	('BACK', '{S2}', true, false, false, false, 25, 30, 2), ('KA', '{S1,S2}', true, false, false, false, 0, 80, 2), ('KB', '{S1,S2}', true, false, false, false, 0, 40, 2),
	('D1', '{S1,S2,S3}', false, true, false, false, 0, 40, 4), ('D2', '{S1,S2,S3}', false, false, false, false, 0, 40, 4), ('LOT', '{S1,S2}', false, false, false, true, 0, 0, 2), ('QUO', '{S1,S2}', false, false, false, false, 0, 100, 3);
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', i.sku, 'base_unit', 'EA', 'units', '[{"unit":"BX","numerator":12,"denominator":1}]'::jsonb)) FROM fire.item i), 'distsync');
-- kits: one of clean components, one of others, which the ERP orders too
CREATE TABLE fire.part (kit text NOT NULL, sku text NOT NULL, per numeric NOT NULL, PRIMARY KEY (kit, sku));
INSERT INTO fire.part VALUES ('KIT', 'KA', 2), ('KIT', 'KB', 1), ('SET', 'D1', 1), ('SET', 'D2', 2);
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(k.doc) FROM (SELECT jsonb_build_object('sku', p.kit, 'base_unit', 'EA', 'kit', true, 'components', jsonb_agg(jsonb_build_object('sku', p.sku, 'quantity', p.per))) AS doc FROM fire.part p GROUP BY p.kit) k), 'distsync');
SELECT * FROM distsync.apply('item_site', '{"sku":"BACK","site":"S2","backorder_cap":25}', 'erp');
SELECT * FROM distsync.apply_all('stock_quota', '[{"sku":"QUO","scope_kind":"channel","scope_key":"WEB","quantity":60},{"sku":"QUO","scope_kind":"customer","scope_key":"P1","quantity":40},{"sku":"QUO","scope_kind":"collective","quantity":50}]', 'erp');

-- one client at a time has its row: where a backend is killed, the next one waits until it is really gone
CREATE TABLE fire.client (client integer PRIMARY KEY);
CREATE SEQUENCE fire.number;
-- told: what a client asked and what it was answered; id follows the order of the locks, because it is taken while they are held
CREATE TABLE fire.told (id bigint PRIMARY KEY DEFAULT nextval('fire.number'), client integer NOT NULL, verb text NOT NULL, key text, subject bigint, asked jsonb, answer jsonb);
CREATE INDEX told_key_idx ON fire.told (client, verb) WHERE key IS NOT NULL;
CREATE INDEX told_event_idx ON fire.told ((asked->>'event_id')) WHERE verb = 'event';
-- event: stock events that happened and are still to be told, in any order; those told stay here to be told again
CREATE TABLE fire.event (n bigint PRIMARY KEY, source text NOT NULL, doc jsonb NOT NULL, told boolean NOT NULL DEFAULT false);
CREATE INDEX event_waits_idx ON fire.event (n) WHERE NOT told;
-- stream: the last number of the stream in which both sources tell some of their events
CREATE TABLE fire.stream (source text PRIMARY KEY, last integer NOT NULL);
INSERT INTO fire.stream VALUES ('wms', 0), ('erp', 0);
-- known: what was in stock as of an instant, to be asked again when all is over
CREATE TABLE fire.known (sku text NOT NULL, site text NOT NULL, known_at timestamptz NOT NULL, stock jsonb NOT NULL);

-- happen does the noting of an event that happened. Its instant is its own, and often earlier than those of events before it.
CREATE FUNCTION fire.happen(source text, doc jsonb, numbered boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint := nextval('fire.number');
	sequence integer;
BEGIN
	IF numbered THEN
		UPDATE fire.stream s SET last = s.last + 1 WHERE s.source = happen.source RETURNING s.last INTO sequence;
		doc := doc || jsonb_build_object('stream', 'fire', 'sequence', sequence);
	END IF;
	INSERT INTO fire.event (n, source, doc) VALUES (n, source, jsonb_build_object('event_id', 'E' || n, 'event_at', timestamptz '2026-01-01 00:00Z' + (n + floor(random() * 400)) * interval '1 millisecond' + n % 1000 * interval '1 microsecond') || doc);
	RETURN n;
END
$$;

-- tell does the telling of events, in one call for each source; what was answered stands in the ledger.
CREATE FUNCTION fire.tell(client integer, numbers bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s record;
BEGIN
	FOR s IN SELECT e.source, jsonb_agg(e.doc ORDER BY random()) AS docs FROM fire.event e WHERE e.n = ANY (numbers) GROUP BY e.source ORDER BY random() LOOP
		INSERT INTO fire.told (client, verb, key, asked, answer)
		SELECT tell.client, 'event', s.source, s.docs->(r.ordinal - 1), to_jsonb(r) FROM distsync.apply_all('stock_event', s.docs, s.source, NULL, '{"on_error":"collect"}') r;
		EXIT;
	END LOOP;
	UPDATE fire.event e SET told = true WHERE e.n = ANY (numbers) AND e.source = s.source AND NOT e.told;
END
$$;

SELECT fire.tell(0, ARRAY(SELECT fire.happen('wms', jsonb_build_object('kind', 'count', 'sku', i.sku, 'site', s, 'quantity', i.opening)) FROM fire.item i, unnest(i.sites) s WHERE NOT i.lots));
SELECT fire.tell(0, ARRAY(SELECT fire.happen('erp', jsonb_build_object('kind', 'count', 'sku', i.sku, 'site', s, 'quantity', i.opening)) FROM fire.item i, unnest(i.sites) s WHERE i.twin));
SELECT fire.tell(0, ARRAY(SELECT fire.happen('wms', jsonb_build_object('kind', 'receive', 'sku', i.sku, 'site', s, 'quantity', 30, 'lot', l.lot, 'expires_on', (now() AT TIME ZONE 'UTC')::date + l.days))
	FROM fire.item i, unnest(i.sites) s, (VALUES ('L1', 400), ('L2', 30), ('L3', -2)) l(lot, days) WHERE i.lots));
-- what happens later is later than what was there: nobody counts the opening away
SELECT setval('fire.number', 10000);
