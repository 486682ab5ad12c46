-- inbox_mapping: a partner's document becomes ours by rules; every rule can be tried; what does not fit names its field.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS distsync;
\o /dev/null
SELECT distsync.setup();
\o
\set VERBOSITY terse
INSERT INTO sync.system (code, kind, tz) VALUES ('ibm_wms', 'wms', 'Europe/Berlin');
INSERT INTO sync.xref (system, entity, external_id, code) VALUES ('ibm_wms', 'currency', '978', 'ZEU');

-- rules are proof-read when they are stored
SELECT distsync.add_mapping('ibm cur', 'currency', '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_mapping('ibm.cur', 'nonsense', '[{"to": "a", "const": 1}]');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT distsync.add_mapping('ibm.cur', 'currency', '[{"to": "currency", "from": "c"}, {"to": "name", "from": "n", "const": 1}]');
SELECT distsync.add_mapping('ibm.cur', 'currency', '[{"to": "lines", "each": "l", "rules": [{"to": "q", "from": "q", "typ": "number"}]}]');
\set VERBOSITY terse
CREATE FUNCTION pg_temp.wrong(rules jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM distsync.test_mapping('ibm.none', '{}', jsonb_build_object('rules', rules));
	RETURN 'fine';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT r AS rules, pg_temp.wrong(r) FROM unnest(ARRAY['{}', '[{"from": "a"}]', '[{"to": "A", "from": "a"}]', '[{"to": "a", "from": 1}]', '[{"to": "a", "from": "a", "type": "money"}]', '[{"to": "a", "from": "a", "on_missing": "guess"}]',
	'[{"to": "a", "from": "a", "lookup": "t"}]', '[{"to": "a", "from": "a", "xref": "item", "lookup": {}}]', '[{"to": "a", "each": "a"}]', '{"rules": [{"to": "a", "from": "a"}], "sql": "x"}']::jsonb[]) r;

-- one rule at a time: what it makes of a value
CREATE FUNCTION pg_temp.rule(rule jsonb, document jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', t ->> 'outcome', t ->> 'output', t ->> 'sqlstate', t ->> 'message')
	FROM jsonb_array_elements(distsync.test_mapping('ibm.none', document, jsonb_build_object('system', 'ibm_wms', 'rules', jsonb_build_object('lookups', '{"state": {"A": "active", "B": 2}}'::jsonb, 'rules', jsonb_build_array('{"to": "x"}' || rule)))) -> 'trace') t
$$;
SELECT rule, doc, pg_temp.rule(rule::jsonb, doc::jsonb) FROM (VALUES
	('{"from": "a.b.0"}', '{"a": {"b": [7, 8]}}'), ('{"from": "$.a"}', '{"a": null}'), ('{"from": "$$"}', '{"a": 1}'),
	('{"from": "a"}', '{}'), ('{"from": "a", "on_missing": "null"}', '{}'), ('{"from": "a", "on_missing": "error"}', '{}'), ('{"from": "a", "default": "d"}', '{}'), ('{"from": "a", "default": "d"}', '{"a": null}'),
	('{"const": {"k": 1}}', '{}'),
	('{"from": "a", "type": "number"}', '{"a": 19.990}'), ('{"from": "a", "type": "number"}', '{"a": "12345678901234567.89"}'), ('{"from": "a", "type": "number"}', '{"a": "1,5"}'), ('{"from": "a", "type": "number"}', '{"a": "NaN"}'),
	('{"from": "a", "type": "number"}', '{"a": "Infinity"}'), ('{"from": "a", "type": "number"}', '{"a": {}}'), ('{"from": "a", "type": "integer"}', '{"a": "12"}'), ('{"from": "a", "type": "integer"}', '{"a": 1.5}'), ('{"from": "a", "type": "negated"}', '{"a": "3.50"}'),
	('{"from": "a", "type": "text"}', '{"a": 12}'), ('{"from": "a", "type": "code"}', '{"a": " S1 "}'), ('{"from": "a", "type": "upper"}', '{"a": "eur"}'), ('{"from": "a", "type": "boolean"}', '{"a": "yes"}'), ('{"from": "a", "type": "boolean"}', '{"a": "maybe"}'),
	('{"from": "a", "type": "date"}', '{"a": "2026-02-28"}'), ('{"from": "a", "type": "date"}', '{"a": "2026-02-30"}'), ('{"from": "a", "type": "date", "format": "DD.MM.YYYY"}', '{"a": "01.02.2026"}'), ('{"from": "a", "type": "date", "format": "DD.MM.YYYY"}', '{"a": "31.02.2026"}'), ('{"from": "a", "type": "date"}', '{"a": "tomorrow"}'),
	('{"from": "a", "type": "instant"}', '{"a": "2026-07-01T10:00:00Z"}'), ('{"from": "a", "type": "instant"}', '{"a": "2026-07-01 10:00:00.123456"}'), ('{"from": "a", "type": "instant"}', '{"a": "2026-01-01T10:00:00+05:30"}'), ('{"from": "a", "type": "instant"}', '{"a": "soon"}'),
	('{"from": "a", "lookup": "state"}', '{"a": "A"}'), ('{"from": "a", "lookup": "state"}', '{"a": "Z"}'), ('{"from": "a", "lookup": "state", "default": "new"}', '{"a": "Z"}'), ('{"from": "a", "lookup": {"1": "one"}}', '{"a": 1}'),
	('{"from": "a", "xref": "currency"}', '{"a": 978}'), ('{"from": "a", "xref": "currency"}', '{"a": "840"}'), ('{"from": "a", "xref": "currency", "on_missing": "omit"}', '{"a": "840"}'),
	('{"each": "a", "rules": [{"to": "q.n", "from": "n", "type": "number"}, {"to": "all", "from": "$$.b"}]}', '{"a": [{"n": "1"}, {"n": "2"}], "b": 9}'), ('{"each": "a", "rules": [{"to": "q", "from": "n"}]}', '{"a": 5}')) v(rule, doc);

-- versions: the newest active one runs, a draft only in a test
SELECT distsync.add_mapping('ibm.cur', 'currency', '{"each": "rates", "skip_if": {"test": true}, "rules": [{"to": "currency", "from": "iso", "xref": "currency"}, {"to": "minor_units", "from": "$$.digits", "type": "integer", "default": 2}, {"to": "name", "from": "label"}]}');
SELECT distsync.add_mapping('ibm.cur', 'currency', '[{"to": "currency", "const": "ZZZ"}]', '{"status": "draft"}');
SELECT version, status FROM sync.mapping WHERE code = 'ibm.cur' ORDER BY version;
SELECT distsync_internal.mapping_run('ibm.cur', '{"digits": "3", "rates": [{"iso": "978", "label": "Euro"}, {"iso": "1", "test": true}]}', 'ibm_wms');
SELECT distsync.test_mapping('ibm.cur', '{}') -> 'documents' AS draft, distsync.test_mapping('ibm.cur', '{"rates": [{"iso": "978"}]}', '{"version": 1, "system": "ibm_wms"}') -> 'documents' AS first;
SELECT distsync.test_mapping('ibm.none', '{}');
\echo :LAST_ERROR_SQLSTATE

-- through the door: mapped and applied, or in quarantine with the field that did not fit
SELECT distsync.add_source('ibm_wms', 'ibm_wms', '{"scheme": "none", "mapping": "ibm.none"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_source('ibm_wms', 'ibm_wms', '{"scheme": "none", "mapping": "ibm.cur"}') IS NOT NULL AS added;
SELECT r.outcome FROM (VALUES ('x1', '{"digits": 3, "rates": [{"iso": 978, "label": "Euro"}]}'), ('x2', '{"rates": [{"iso": "840"}]}'), ('x3', '{"rates": 5}'), ('x4', '{"type": "rates", "specversion": "1.0", "data": {"rates": []}}')) m(id, body),
	distsync.receive('ibm_wms', jsonb_build_object('webhook-id', m.id), convert_to(m.body, 'UTF8')) r;
SELECT distsync_internal.inbox_apply(100) AS tried;
SELECT message_id, state, entity, entity_key, sqlstate, error ->> 'field' AS field, error ->> 'message' AS message FROM sync.inbox WHERE source = 'ibm_wms' ORDER BY inbox_id;
SELECT currency, minor_units, name FROM dist.currency WHERE currency = 'ZEU';
-- the cross-reference is added, the message played again
INSERT INTO sync.xref (system, entity, external_id, code) VALUES ('ibm_wms', 'currency', '840', 'ZUS');
SELECT message_id, outcome FROM distsync.replay_inbox(options => '{"source": "ibm_wms", "field": "currency"}');
SELECT message_id, outcome FROM distsync.replay_inbox(options => '{"source": "ibm_wms", "field": "currency", "dry_run": false}');
SELECT distsync_internal.inbox_apply(100) AS tried;
SELECT message_id, state, entity_key FROM sync.inbox WHERE message_id = 'x2' AND source = 'ibm_wms';

-- contracts
SELECT distsync.add_contract('ibm_doc', 1, '{"type": "object"}');
SELECT distsync.add_contract('ibm_doc', 1, '{"type": "object"}', '{"status": "deprecated", "sunset_at": "2027-01-01T00:00:00Z"}');
SELECT distsync.add_contract('ibm_doc', 1, '{"type": "array"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_contract('ibm_doc', 0, '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_contract('ibm_doc', 2, '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.add_contract('ibm_doc', 2, '{}', '{"sunset_at": "soon"}');
\echo :LAST_ERROR_SQLSTATE
SELECT name, version, status FROM sync.contract WHERE name = 'ibm_doc';

DELETE FROM sync.inbox WHERE source LIKE 'ibm%';
DELETE FROM sync.dedupe WHERE source LIKE 'ibm%';
DELETE FROM sync.exception WHERE trace_key LIKE 'inbox:ibm%';
DELETE FROM sync.source WHERE code LIKE 'ibm%';
DELETE FROM sync.mapping WHERE code LIKE 'ibm%';
DELETE FROM sync.contract WHERE name LIKE 'ibm%';
DELETE FROM sync.xref WHERE system = 'ibm_wms';
DELETE FROM dist.currency WHERE currency IN ('ZEU', 'ZUS');
