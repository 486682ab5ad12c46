-- The write side of prices: what the door takes and refuses, versions over shared rates, both time axes, publication, what never changes.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('pp-erp', 'erp');
INSERT INTO sync.xref (system, entity, external_id, code) VALUES ('pp-erp', 'party', '4711', 'PP-C');
\o /dev/null
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"}]', 'pp-erp');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"},{"unit":"PAL"}]', 'pp-erp');
SELECT distsync.apply_all('company', '[{"code":"PP-US","name":"us","currency":"USD"}]', 'pp-erp');
SELECT distsync.apply_all('party', '[{"code":"PP-P","name":"p"},{"code":"PP-C","name":"c","parent":"PP-P"},{"code":"PP-V","name":"v"}]', 'pp-erp');
SELECT distsync.apply('category', '{"code":"PP-K"}', 'pp-erp');
SELECT distsync.apply('site', '{"code":"PP-W","company":"PP-US"}', 'pp-erp');
SELECT distsync.apply('channel', '{"code":"PP-SHOP"}', 'pp-erp');
SELECT distsync.apply_all('item', '[{"sku":"PP-A","base_unit":"EA","category":"PP-K","units":[{"unit":"BX","numerator":12}]},{"sku":"PP-B","base_unit":"EA"}]', 'pp-erp');
\o
CREATE TEMP VIEW version AS
	SELECT a.code, v.version_no AS no, v.status, v.valid, upper_inf(v.known) AS held, o.version_no AS rates_of, s.version_no AS follows, v.priority
	FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) LEFT JOIN dist.agreement_version o ON o.version_id = v.rate_set_id LEFT JOIN dist.agreement_version s ON s.version_id = v.supersedes_id
	WHERE a.code LIKE 'PP-%' ORDER BY a.code COLLATE "C", v.version_no;
CREATE TEMP VIEW part AS
	SELECT a.code, v.version_no AS no, p.code AS customer, r.rates, r.ended_at IS NULL AS held
	FROM dist.rate_part r JOIN dist.agreement a USING (agreement_id) JOIN dist.agreement_version v USING (version_id) LEFT JOIN dist.party p ON p.party_id = r.customer_id
	WHERE a.code LIKE 'PP-%' ORDER BY a.code COLLATE "C", v.version_no, p.code COLLATE "C" NULLS FIRST;
CREATE FUNCTION pg_temp.moved(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	clock bigint := (SELECT n FROM dist.epoch WHERE domain = 'clock');
BEGIN
	EXECUTE statement;
	RETURN ARRAY(SELECT COALESCE(p.code, CASE WHEN e.domain = 'price' AND e.bucket = 0 THEN 'shared' ELSE e.domain END)
		FROM dist.epoch e LEFT JOIN dist.party p ON e.domain = 'price' AND p.code LIKE 'PP-%' AND e.bucket = 1 + p.party_id % 256 WHERE e.n > clock ORDER BY 1);
END
$$;
-- a list and a contract whose rates start from it, in one call and in any order; the buckets of those concerned move, no others
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply_all('agreement', '[
	{"code":"PP-KON","slot":"contract","currency":"USD","tz":"America/New_York","priority":"3",
	 "rates":[{"customer":"PP-P","what_kind":"category","what":"PP-K","calc":"percent_off","value":"10","base":"PP-LIST"},{"customer":"4711","what":"PP-A","value":"80","min_quantity":"20"}]},
	{"code":"PP-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],
	 "rates":[{"what":"PP-A","value":"100","min_quantity":0},{"what":"PP-A","value":"90","min_quantity":"10"},{"what":"PP-A","unit":"BX","value":"1000"},{"what_kind":"brand","what":"PP-NEW","value":"5"}]}]', 'pp-erp')$s$);
SELECT * FROM version;
SELECT * FROM part;
SELECT r.line_key, g.what_kind, r.unit, r.min_quantity, r.value, r.price_per FROM dist.book_rate r JOIN dist.target g USING (target_id) JOIN dist.agreement_version v USING (version_id) JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PP-LIST' ORDER BY 1;
SELECT a.code, b.code AS base FROM dist.rate_base r JOIN dist.agreement_version v USING (version_id) JOIN dist.agreement a USING (agreement_id) JOIN dist.agreement b ON b.agreement_id = r.base_agreement_id WHERE a.code LIKE 'PP-%';
-- a new version within a year: a date is a whole day in the agreement's zone; what it cuts lives on over the same rates, with the same terms
SELECT outcome, detail - 'published_at' AS detail FROM distsync.apply('agreement', '{"code":"PP-KON","valid_from":"2031-01-01","valid_to":"2031-12-31","rates":[{"customer":"PP-C","what":"PP-A","value":"70","valid_to":"2031-06-30"}]}', 'pp-erp');
SELECT * FROM version WHERE code = 'PP-KON';
-- only what newly holds is told when it starts and ends
SELECT v.version_no AS no, b.at, b.edge FROM dist.price_boundary b JOIN dist.agreement_version v USING (version_id) JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PP-KON' ORDER BY b.at, v.version_no, b.edge;
-- other terms, or another period: a version over the same rates; the same again is nothing
SELECT outcome, detail - 'published_at' AS detail FROM distsync.apply('agreement', '{"code":"PP-KON","priority":5,"valid_to":"2032-12-31"}', 'pp-erp');
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('agreement', '{"code":"PP-KON","priority":5,"valid_to":"2032-12-31","tier_scope":"own","rounding":null}', 'pp-erp')$s$);
SELECT * FROM version WHERE code = 'PP-KON' AND held;
-- rates that are sent again are no news either, whatever their order; a draft that is sent again to be published is
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PP-LIST","rates":[{"line":"4","what_kind":"brand","what":"PP-NEW","value":"5.00"},{"line":"1","what":"PP-A","value":100},{"line":"2","what":"PP-A","value":"90","min_quantity":"10"},{"line":"3","what":"PP-A","unit":"BX","value":"1000"}]}', 'pp-erp');
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PP-DR","slot":"book","currency":"USD","publish":false,"rates":[{"what":"PP-A","value":"5"}]}', 'pp-erp');
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PP-DR","publish":false,"rates":[{"what":"PP-A","value":"5"}]}', 'pp-erp');
SELECT outcome, detail - 'published_at' AS detail FROM distsync.apply('agreement', '{"code":"PP-DR","rates":[{"what":"PP-A","value":"5"}]}', 'pp-erp');
-- the head alone moves nothing; slot, company, currency and zone stay
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('agreement', '{"code":"PP-KON","name":"Contract","vendor":"PP-V"}', 'pp-erp')$s$);
SELECT f, (SELECT sqlstate || ' ' || field || ': ' || message FROM distsync.apply('agreement', '{"code":"PP-KON"}'::jsonb || f, 'pp-erp', options => '{"on_error":"collect"}'))
FROM unnest(ARRAY['{"slot":"list"}', '{"company":"PP-US"}', '{"currency":"EUR"}', '{"tz":"UTC"}']::jsonb[]) f;
-- who may use it: what changes is superseded, what stays is not touched
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('agreement', '{"code":"PP-LIST","assignments":[{"who_kind":"all"},{"who_kind":"customer","who":"4711","rank":5,"blocking":true,"valid_from":"2030-01-01"},{"who_kind":"price_class","who":"gold"}]}', 'pp-erp')$s$);
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('agreement', '{"code":"PP-LIST","assignments":[{"who_kind":"all"},{"who_kind":"customer","who":"PP-C","rank":6,"blocking":true,"valid_from":"2030-01-01"}]}', 'pp-erp')$s$);
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('agreement', '{"code":"PP-LIST","assignments":[{"who_kind":"customer","who":"PP-C","rank":"6","blocking":true,"valid_from":"2030-01-01"},{"who_kind":"all"}]}', 'pp-erp')$s$);
SELECT s.who_kind, s.who_key, s.rank, s.blocking, s.valid, upper_inf(s.known) AS held FROM dist.agreement_assignment s JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PP-LIST' ORDER BY 1, 2, 3;
-- inactive ends what is held, active publishes it again, over the same rates and periods
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('agreement', '{"code":"PP-KON","status":"inactive"}', 'pp-erp')$s$);
SELECT * FROM version WHERE code = 'PP-KON' AND (held OR status = 'withdrawn');
SELECT * FROM part WHERE code = 'PP-KON';
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PP-KON","status":"active"}', 'pp-erp');
SELECT * FROM version WHERE code = 'PP-KON' AND held;
SELECT * FROM part WHERE code = 'PP-KON';
-- what the door refuses, each with its name; nothing of it is written
CREATE FUNCTION pg_temp.refused(rate text, slot text DEFAULT 'contract') RETURNS text LANGUAGE sql AS $$
	SELECT COALESCE(sqlstate || ' ' || field || ': ' || message, outcome) FROM distsync.apply('agreement', jsonb_build_object('code', 'PP-BAD', 'slot', slot, 'currency', 'USD', 'publish', false,
		'rates', jsonb_build_array('{"what":"PP-A","value":1}'::jsonb || rate::jsonb)), 'pp-erp', options => '{"on_error":"collect"}') $$;
SELECT r, pg_temp.refused(r) FROM unnest(ARRAY['{"customer":"NOBODY"}', '{"what":"NOTHING"}', '{"what":null}', '{"what_kind":"all"}', '{"what_kind":"category","what":"NONE"}', '{"channel":"NONE"}', '{"site":"NONE"}', '{"unit":"XX"}', '{"unit":"PAL"}', '{"base":"NONE"}',
	'{"min_quantity":-1}', '{"value":-1}', '{"value":"NaN"}', '{"value":"Infinity"}', '{"value":null}', '{"value":0.12345678901}', '{"value":1e14}', '{"calc":"formula","value":1,"value2":-1e14}', '{"price_per":10}', '{"calc":"percent_off","value":101}', '{"calc":"percent_off","value":-1}', '{"calc":"amount_off","value":-1}',
	'{"calc":"margin","value":100}', '{"calc":"formula","value":-1}', '{"calc":"reference"}', '{"calc":"buy_get","value":10,"value2":1}', '{"percent":10}', '{"min_margin":1}', '{"condition":[1]}', '{"valid_from":"2030-01-02","valid_to":"2030-01-01"}',
	'{"floor_price":-1}', '{"calc":"haggle"}']) r;
SELECT r, pg_temp.refused(r, 'promotion') FROM unnest(ARRAY['{"calc":"buy_get","value":0,"value2":1}', '{"calc":"buy_get","value":10}', '{"calc":"buy_get","value":10,"value2":1,"percent":101}', '{"calc":"buy_get","value":10,"value2":1,"free_item":"NOTHING"}']) r;
SELECT count(*) FROM dist.agreement WHERE code = 'PP-BAD';
BEGIN;
SELECT r, pg_temp.refused(r, 'adjustment') FROM unnest(ARRAY['{"calc":"percent_off","value":-1000}', '{"calc":"percent_off","value":-1001}', '{"calc":"amount_off","value":-1}']) r;
ROLLBACK;
-- two rates that nothing separates, and whole documents or nothing
SELECT ordinal, outcome, sqlstate, field, message FROM distsync.apply_all('agreement', '[
	{"code":"PP-T1","slot":"book","currency":"USD","rates":[{"what":"PP-A","value":1},{"what":"PP-B","value":1},{"what":"PP-A","unit":"EA","value":2}]},
	{"code":"PP-T2","slot":"book","currency":"USD","rates":[{"what":"PP-A","value":1,"valid_to":"2030-06-01T00:00:00Z"},{"what":"PP-A","value":2,"valid_from":"2030-05-31T00:00:00Z"}]},
	{"code":"PP-T3","slot":"book","currency":"USD","rates":[{"line":"x","what":"PP-A","value":1},{"line":"x","what":"PP-A","value":2,"min_quantity":5}]},
	{"code":"PP-T4","slot":"book","currency":"USD","assignments":[{"who_kind":"customer","who":"NOBODY"}],"rates":[{"what":"PP-A","value":1}]},
	{"code":"PP-T5","slot":"book","currency":"USD","assignments":[{"who_kind":"all"},{"who_kind":"all","rank":3}]},
	{"code":"PP-T6","slot":"book","currency":"USD","valid_from":"2030-01-02","valid_to":"2030-01-01","rates":[]},
	{"code":"PP-T7","slot":"book","currency":"USD","rounding":"NONE"},
	{"code":"PP-T8","currency":"USD"},
	{"code":"PP-T9","slot":"book","currency":"USD","rates":[{"what":"PP-A","calc":"reference","base":"PP-T8"}]},
	{"code":"PP-T0","slot":"book","currency":"USD","rates":[{"what":"PP-A","value":1,"valid_to":"2030-06-01T00:00:00Z"},{"what":"PP-A","value":2,"valid_from":"2030-06-01T00:00:00Z"}]}]',
	'pp-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT code FROM dist.agreement WHERE code LIKE 'PP-T%';
SELECT sqlstate, field, message FROM distsync.apply('agreement', '{"code":"PP-NONE"}', 'pp-erp', options => '{"operation":"deactivate","on_error":"collect"}');
-- prices that start from each other: at the door, over drafts, and again at publication
SELECT ordinal, outcome, sqlstate, message FROM distsync.apply_all('agreement', '[
	{"code":"PP-R1","slot":"book","currency":"USD","rates":[{"what":"PP-A","calc":"reference","base":"PP-R2"}]},
	{"code":"PP-R2","slot":"book","currency":"USD","rates":[{"what":"PP-A","calc":"reference","base":"PP-R1"}]}]', 'pp-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT outcome FROM distsync.apply('agreement', '{"code":"PP-R1","slot":"book","currency":"USD","rates":[{"what":"PP-A","value":1}]}', 'pp-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PP-R2","slot":"book","currency":"USD","publish":false,"rates":[{"what":"PP-A","calc":"reference","base":"PP-R1"}]}', 'pp-erp');
SELECT sqlstate, message FROM distsync.apply('agreement', '{"code":"PP-R1","rates":[{"what":"PP-A","calc":"formula","value":1,"base":"PP-R2"}]}', 'pp-erp', options => '{"on_error":"collect"}');
SELECT sqlstate, message FROM distsync.apply('agreement', '{"code":"PP-R1","rates":[{"what":"PP-A","calc":"reference","base":"PP-R1"}]}', 'pp-erp', options => '{"on_error":"collect"}');
SELECT ordinal, outcome, sqlstate FROM distsync.apply_all('agreement', (SELECT jsonb_agg(jsonb_build_object('code', 'PP-D' || i, 'slot', 'book', 'currency', 'USD', 'rates',
	jsonb_build_array(jsonb_build_object('what', 'PP-A', 'calc', 'reference', 'base', CASE i WHEN 1 THEN 'PP-R1' ELSE 'PP-D' || i - 1 END)))) FROM generate_series(1, 8) i), 'pp-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT outcome, sqlstate, message FROM distsync.apply('agreement', '{"code":"PP-D9","slot":"book","currency":"USD","rates":[{"what":"PP-A","calc":"reference","base":"PP-D8"}]}', 'pp-erp', options => '{"on_error":"collect"}');
-- what people enter is a draft: two eyes, or four
SELECT sqlstate, field, message FROM distsync.apply('agreement', '{"code":"PP-4","slot":"list","currency":"USD","approval":"second_person","publish":true,"rates":[{"what":"PP-A","value":1}]}', 'distsync', options => '{"on_error":"collect"}');
SET distsync.app_user = 'ann';
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PP-4","slot":"list","currency":"USD","approval":"second_person","rates":[{"what":"PP-A","value":1}]}', 'distsync');
SELECT * FROM distsync.publish('PP-4');
SELECT * FROM distsync.publish('PP-4', '{"approved_by":"ann"}');
SELECT distsync.approve('PP-4');
SET distsync.app_user = 'bob';
SELECT distsync.approve('PP-4', '{"reason":"checked"}');
SELECT v.status, v.drafted_by, v.approved_by FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PP-4';
SELECT version_no, superseded, ambiguous FROM distsync.publish('PP-4');
RESET distsync.app_user;
SELECT * FROM distsync.publish('PP-4');
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PP-4","rates":[{"what":"PP-A","value":2}]}', 'distsync');
SELECT version_no FROM distsync.publish('PP-4', '{"approved_by":"bob"}');
SELECT version_no, superseded, ambiguous FROM distsync.publish('PP-4', '{"approved_by":"bob","supersede":true}');
-- rates of others that only their content separates
SELECT outcome FROM distsync.apply_all('agreement', '[{"code":"PP-L1","slot":"book","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PP-A","value":1},{"customer":"PP-C","what":"PP-B","value":2}]}]', 'pp-erp');
SELECT outcome FROM distsync.apply_all('agreement', '[{"code":"PP-L2","slot":"book","currency":"USD","publish":false,"assignments":[{"who_kind":"all"}],"rates":[{"what":"PP-A","value":3},{"customer":"PP-C","what":"PP-B","value":4}]}]', 'pp-erp');
SELECT ambiguous FROM distsync.publish('PP-L2');
-- withdraw
SELECT distsync.withdraw('PP-L2', '{"reason":"by mistake"}');
SELECT distsync.withdraw('PP-L2');
SELECT distsync.withdraw('PP-NONE');
SELECT a.status, v.status AS version, upper_inf(v.known) AS held FROM dist.agreement a JOIN dist.agreement_version v USING (agreement_id) WHERE a.code = 'PP-L2';
SELECT verb, entity_key, reason FROM sync.audit WHERE entity_key LIKE 'PP-%' AND verb <> 'apply' ORDER BY at, audit_id;
-- what was loaded past the door is proved before it is published
CREATE FUNCTION pg_temp.loaded(columns text, rates text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	said text;
BEGIN
	PERFORM distsync.apply('agreement', '{"code":"PP-RAW","slot":"contract","currency":"USD","rates":[]}', 'distsync');
	EXECUTE format('INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value%s) SELECT max(v.version_id), p.party_id, t.target_id, %s FROM dist.agreement_version v, dist.party p, dist.item i JOIN dist.item_target t USING (item_id)
		WHERE p.code = ''PP-C'' AND i.sku = ''PP-A'' AND t.what_kind = ''item'' GROUP BY p.party_id, t.target_id', columns, rates);
	EXECUTE format('INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value, valid_from, valid_to) SELECT max(v.version_id), p.party_id, t.target_id, ''z'', ''net'', 1, ''2030-01-01'', ''2030-02-01''
		FROM dist.agreement_version v, dist.party p, dist.item i JOIN dist.item_target t USING (item_id) WHERE p.code = ''PP-C'' AND i.sku = ''PP-A'' AND t.what_kind = ''item'' GROUP BY p.party_id, t.target_id');
	SELECT 'published ' || superseded INTO answer FROM distsync.publish('PP-RAW', '{"supersede":true}');
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN SQLSTATE LIKE 'SD%' THEN ' / ' || said ELSE '' END;
END
$$;
SELECT c, r, pg_temp.loaded(c, r) FROM (VALUES ('', $$'a', 'net', 1$$), (', min_quantity', $$'a', 'net', 1, 5$$), (', unit', $$'a', 'net', 1, 'PAL'$$), (', unit', $$'a', 'net', 1, 'BX'$$), (', channel_id', $$'a', 'net', 1, -1$$), (', site_id', $$'a', 'net', 1, -1$$),
	(', base_agreement_id', $$'a', 'reference', 1, -1$$), ('', $$'a', 'percent_off', 101$$), (', min_quantity', $$'a', 'net', 1, 0$$), (', unit, valid_to', $$'a', 'net', 1, 'EA', '2030-01-15'::timestamptz$$)) x(c, r);
SELECT * FROM version WHERE code = 'PP-RAW';
INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value) SELECT v.version_id, -1, -1, 'a', 'net', 1 FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PP-RAW' AND v.status = 'published' LIMIT 1;
SELECT outcome FROM distsync.apply('agreement', '{"code":"PP-SUR","slot":"adjustment","currency":"USD","rates":[]}', 'distsync');
INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value) SELECT v.version_id, p.party_id, g.target_id, 'a', 'percent_off', -5 FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id), dist.party p, dist.target g
WHERE a.code = 'PP-SUR' AND p.code = 'PP-C' AND g.what_kind = 'all';
SELECT version_no FROM distsync.publish('PP-SUR');
-- what is published never changes, whoever writes
UPDATE dist.book_rate r SET value = 1 FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE r.version_id = v.version_id AND a.code = 'PP-LIST';
DELETE FROM dist.book_rate r USING dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE r.version_id = v.version_id AND a.code = 'PP-LIST';
UPDATE dist.agreement_version v SET priority = 7 FROM dist.agreement a WHERE v.agreement_id = a.agreement_id AND a.code = 'PP-LIST';
DELETE FROM dist.agreement_version v USING dist.agreement a WHERE v.agreement_id = a.agreement_id AND a.code = 'PP-LIST';
UPDATE dist.agreement SET currency = 'EUR' WHERE code = 'PP-LIST';
UPDATE dist.price_policy SET document = '{}';
DELETE FROM dist.price_policy;
-- roundings
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('rounding', '[{"rounding":"PP-99","scale":2,"mode":"up","ending":"0.99"},{"rounding":"PP-5","multiple":"0.05"},{"rounding":"PP-X","ending":1},{"rounding":"PP-Y","scale":9},{"rounding":"PP-Z","multiple":0}]', 'pp-erp', options => '{"on_error":"collect"}') ORDER BY 1;
SELECT outcome FROM distsync.apply('agreement', '{"code":"PP-LIST","rounding":"PP-99"}', 'pp-erp');
SELECT outcome, sqlstate, message FROM distsync.apply('rounding', '{"rounding":"PP-99","mode":"down"}', 'pp-erp', options => '{"on_error":"collect"}');
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply_all('rounding', '[{"rounding":"PP-99","mode":"up"},{"rounding":"PP-5","multiple":"0.050"}]', 'pp-erp')$s$);
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('rounding', '{"rounding":"PP-5","each_step":true}', 'pp-erp')$s$);
UPDATE dist.rounding SET scale = 3 WHERE rounding = 'PP-99';
SELECT * FROM dist.rounding WHERE rounding LIKE 'PP-%' ORDER BY 1;
-- price locks
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('price_lock', '{"customer":"4711","document_type":"quote","document_key":"Q1","item":"PP-A","unit":"BX","unit_price":"900","currency":"USD","valid_to":"2031-01-31","reason":"won","approved_by":"bob"}', 'pp-erp')$s$);
SELECT pg_temp.moved($s$SELECT * FROM distsync.apply('price_lock', '{"customer":"4711","document_type":"quote","document_key":"Q1","item":"PP-A","unit":"BX","unit_price":"900.00","currency":"USD","valid_to":"2031-01-31","reason":"won","approved_by":"bob"}', 'pp-erp')$s$);
SELECT outcome, entity_key FROM distsync.apply('price_lock', '{"customer":"PP-C","document_type":"quote","document_key":"Q1","item":"PP-A","unit":"BX","unit_price":"899"}', 'pp-erp');
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('price_lock', '[{"customer":"NOBODY","document_type":"quote","document_key":"Q1","item":"PP-A"},{"customer":"PP-C","document_type":"quote","document_key":"Q2","item":"PP-A"},{"customer":"PP-C","document_type":"quote","document_key":"Q2","item":"PP-A","unit":"PAL","unit_price":1,"currency":"USD","reason":"r","approved_by":"b"}]', 'pp-erp', options => '{"on_error":"collect"}') ORDER BY 1;
SELECT k.document_key, k.unit, k.min_quantity, k.unit_price, k.currency, k.valid, k.reason, approved_by FROM dist.price_lock k JOIN dist.party p ON p.party_id = k.customer_id WHERE p.code = 'PP-C';
SELECT outcome, sqlstate FROM distsync.apply('price_lock', '{"customer":"PP-C","document_type":"quote","document_key":"Q1","item":"PP-A","unit":"BX"}', 'pp-erp', options => '{"operation":"deactivate"}');
SELECT outcome, sqlstate FROM distsync.apply('price_lock', '{"customer":"PP-C","document_type":"quote","document_key":"Q9","item":"PP-A"}', 'pp-erp', options => '{"operation":"deactivate","on_error":"collect"}');
SELECT upper(valid) <= clock_timestamp() + interval '1 second' AS ended FROM dist.price_lock k JOIN dist.party p ON p.party_id = k.customer_id WHERE p.code = 'PP-C';
-- policies
BEGIN;
SELECT pg_temp.moved($s$SELECT distsync.publish_policy('{"shipped":"priority_first"}', '{"reason":"ours"}')$s$);
SELECT pg_temp.moved($s$SELECT distsync.publish_policy('{"shipped":"priority_first"}')$s$);
SELECT distsync.publish_policy('{"below_tier":"lowest","rounding":{"scale":2}}') - max(policy_version) AS next FROM dist.price_policy;
SELECT document - 'slots' AS document, published_by = session_user AS by, published_at = (SELECT stamped_at FROM dist.epoch WHERE domain = 'clock') AS stamped FROM dist.price_policy ORDER BY policy_version DESC LIMIT 1;
ROLLBACK;
SELECT p, jsonb_path_query_array(distsync_internal.pricing_shipped_policy(p), '$.slots[*] ? (exists(@.pick) || exists(@.blocking))') AS slots, distsync_internal.pricing_shipped_policy(p) -> 'order' AS "order", distsync_internal.pricing_shipped_policy(p) ->> 'tie' AS tie
FROM unnest('{specificity_first,priority_first,highest_break_first,best_price,merge_by_rank,first_list_by_rank}'::text[]) p;
CREATE FUNCTION pg_temp.policy(document text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN distsync.publish_policy(document::jsonb)::text;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT p, pg_temp.policy(p) FROM unnest(ARRAY['[]', '{"shipped":"none"}', '{"sots":[]}', '{"slots":[]}', '{"slots":[{"slot":"list","combine":"best"}]}', '{"slots":[{"slot":"shelf","combine":"override"}]}', '{"slots":[{"slot":"list","combine":"override"},{"slot":"list","combine":"override"}]}',
	'{"slots":[{"slot":"list","combine":"override","pick":"worst"}]}', '{"slots":[{"slot":"list","combine":"override","blocking":1}]}', '{"slots":[{"slot":"list","combine":"override","x":1}]}', '{"who":["customer","customer"]}', '{"who":["nobody"]}', '{"what":"item"}',
	'{"order":["who","luck"]}', '{"tie":"coin"}', '{"below_tier":null}', '{"rounding":{"scale":9}}', '{"rounding":{"mode":"near"}}', '{"rounding":{"multiple":0}}', '{"rounding":{"ending":1}}', '{"rounding":{"each_step":true}}']) p;
SELECT invariant, entity, detail FROM distsync_internal.pricing_verify();
