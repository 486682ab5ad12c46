-- world.sql: what t/047_stock_refusals.pl asks wrongly about. Of each kind of thing one, and a reservation in each state. Nothing here changes by time.
\set ON_ERROR_STOP 1
SELECT distsync.add_system('erp', 'erp'), distsync.add_system('wms', 'wms'), distsync.add_system('desk', 'crm');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"},{"unit":"TH"},{"unit":"PC","scale":0}]', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"S1","name":"one","company":"C"},{"code":"S2","name":"two","company":"C"}]', 'distsync');
SELECT * FROM distsync.apply('party', '{"code":"P1","name":"one","roles":["sold_to","payer"],"currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply('channel', '{"code":"WEB","name":"web"}', 'distsync');
SELECT * FROM distsync.apply('carrier', '{"code":"VAN","name":"van"}', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"I1","base_unit":"EA","units":[{"unit":"BX","numerator":12,"denominator":1},{"unit":"TH","numerator":1,"denominator":3}]},{"sku":"I2","base_unit":"EA"},{"sku":"I3","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"KIT","base_unit":"EA","kit":true,"components":[{"sku":"I1","quantity":2},{"sku":"I2","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"EMPTY","base_unit":"EA","kit":true}', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"WHOLE","base_unit":"PC"},{"sku":"OFF","base_unit":"EA","status":"blocked"},{"sku":"OLD","base_unit":"EA","status":"inactive"}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"1","kind":"count","sku":"I1","site":"S1","quantity":1000,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"2","kind":"count","sku":"I2","site":"S1","quantity":1000,"event_at":"2024-01-01T00:00:00Z"},{"event_id":"5","kind":"count","sku":"I3","site":"S1","quantity":1000,"event_at":"2024-01-01T00:00:00Z"},
	{"event_id":"3","kind":"receive","sku":"I1","site":"S2","quantity":5,"event_at":"2024-01-01T00:00:00Z"}]', 'wms');
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"PO/1","sku":"I1","site":"S1","quantity":5,"expected_at":"2999-01-01T00:00:00Z"}', 'erp');
SELECT * FROM distsync.apply('demand', '{"demand_key":"C/9/1","sku":"I1","site":"S1","ordered":5,"required_at":"2999-01-01T00:00:00Z"}', 'erp');
SELECT * FROM distsync.apply('channel_item', '{"channel":"WEB","sku":"I1"}', 'erp');

CREATE SCHEMA refuse;
-- named: reservations by what became of them
CREATE TABLE refuse.named (name text PRIMARY KEY, id bigint NOT NULL);
INSERT INTO refuse.named SELECT h, (SELECT r.reservation_id FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'I1', 'quantity', 10, 'site', 'S1', 'demand_key', format('C/%s/1', h))), jsonb_build_object('holder', h, 'ttl', '300 days')) r)
FROM unnest('{held,released,void,committed,shipped,part}'::text[]) h;
INSERT INTO refuse.named SELECT 'swept', r.reservation_id FROM distsync.reserve('[{"item":"I3","quantity":10,"site":"S1"}]', '{"holder":"swept","ttl":"1 millisecond"}') r;
INSERT INTO refuse.named SELECT 'kit', min(r.reservation_id) FROM distsync.reserve('[{"item":"KIT","quantity":4,"site":"S1"}]', '{"holder":"kit","ttl":"300 days"}') r;
CREATE FUNCTION refuse.id(name text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT n.id FROM refuse.named n WHERE n.name = $1 $$;
SELECT pg_sleep(0.01);
SELECT distsync_internal.inventory_sweep(100);
INSERT INTO refuse.named SELECT 'expired', r.reservation_id FROM distsync.reserve('[{"item":"I3","quantity":10,"site":"S1"}]', '{"holder":"expired","ttl":"1 millisecond"}') r;
SELECT * FROM distsync.release_reservation(refuse.id('released'));
SELECT * FROM distsync.release_reservation(refuse.id('void'), NULL, '{"void":true}');
SELECT * FROM distsync.commit_reservations(jsonb_build_array(jsonb_build_object('reservation_id', refuse.id('committed')), jsonb_build_object('reservation_id', refuse.id('shipped'))));
SELECT * FROM distsync.commit_reservation(refuse.id('part'), 4, '{"keep_rest":true}');
SELECT * FROM distsync.apply('stock_event', '{"event_id":"4","kind":"ship","sku":"I1","site":"S1","quantity":10,"reference":"C/shipped/1","event_at":"2024-01-02T00:00:00Z"}', 'wms');
SELECT * FROM distsync.reserve('[{"item":"I1","quantity":1,"site":"S1"}]', '{"holder":"key","source":"erp","idempotency_key":"taken"}');
SELECT * FROM distsync.extend_reservation((SELECT r.reservation_id FROM dist.reservation r WHERE r.holder = 'key'), '300 days', '{"source":"erp","idempotency_key":"taken"}');
SELECT * FROM distsync.commit_reservation((SELECT r.reservation_id FROM dist.reservation r WHERE r.holder = 'key'), NULL, '{"source":"erp","idempotency_key":"taken"}');
SELECT * FROM distsync.commit_reservations(NULL, '{"holder":"key","source":"erp","idempotency_key":"taken"}');
SELECT * FROM distsync.release_reservation((SELECT r.reservation_id FROM distsync.reserve('[{"item":"I1","quantity":1,"site":"S1"}]', '{"holder":"key"}') r), NULL, '{"source":"erp","idempotency_key":"taken"}');
SELECT * FROM distsync.release_reservations(NULL, '{"holder":"key","source":"erp","idempotency_key":"taken"}');

-- kept: the content of all tables of dist and sync as it shall stay
CREATE TABLE refuse.kept (name text PRIMARY KEY, digest text NOT NULL);
CREATE FUNCTION refuse.digest(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	digest text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || COALESCE(md5(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C")), ''-'') FROM %s t', name) INTO digest;
	RETURN digest;
END
$$;
INSERT INTO refuse.kept SELECT c.oid::regclass::text, refuse.digest(c.oid::regclass::text) FROM pg_class c
WHERE c.relnamespace IN ('dist'::regnamespace, 'sync'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition;
-- changed does the naming of tables that are not as they shall stay.
CREATE FUNCTION refuse.changed() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(k.name, ' ' ORDER BY k.name) FROM refuse.kept k WHERE refuse.digest(k.name) <> k.digest $$;

-- attempt does a call that shall be refused: with an error, or with rows that say so. What it left is told, and undone in any case.
CREATE FUNCTION refuse.attempt(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	answer jsonb;
	changed text;
	state text;
	message text;
	detail text;
	hint text;
	field text;
BEGIN
	EXECUTE 'SELECT jsonb_agg(to_jsonb(x)) FROM (' || statement || ') x' INTO answer;
	-- who has no transaction id has written nothing
	changed := CASE WHEN pg_current_xact_id_if_assigned() IS NOT NULL THEN refuse.changed() END;
	RAISE EXCEPTION USING ERRCODE = 'RB001';
EXCEPTION
	WHEN SQLSTATE 'RB001' THEN
		RETURN jsonb_build_object('answer', answer, 'changed', changed);
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, field = COLUMN_NAME;
		RETURN jsonb_build_object('sqlstate', state, 'message', message, 'detail', detail, 'hint', hint, 'field', field);
END
$$;
