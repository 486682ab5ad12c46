-- The door: what is news and what is not, keys, owners, snapshots. Shown with parties and items, valid for every entity.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
\set SHOW_CONTEXT never
INSERT INTO sync.system (code, kind) VALUES ('da-erp', 'erp'), ('da-crm', 'crm'), ('da-shop', 'shop');
\o /dev/null
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'distsync');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'distsync');
\o
-- ---- versions: whole documents ----
SELECT ordinal, outcome, entity_key FROM distsync.apply('party', '{"code":"DA-1","name":"Five","segment":"a","version":5}', 'da-erp');
SELECT ordinal, outcome FROM distsync.apply('party', '{"code":"DA-1","name":"Four","version":4}', 'da-erp');
SELECT ordinal, outcome FROM distsync.apply('party', '{"code":"DA-1","name":"Five","segment":"a","version":5}', 'da-erp');
SELECT ordinal, outcome FROM distsync.apply('party', '{"code":"DA-1","name":"Six","segment":null,"version":6}', 'da-erp');
-- each source counts for itself
SELECT ordinal, outcome FROM distsync.apply('party', '{"code":"DA-1","price_class":"gold","version":1}', 'da-crm');
SELECT name, segment, price_class FROM dist.party WHERE code = 'DA-1';
-- several versions in one call, in any order; the second document of a party waits for the first
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('party', '[{"code":"DA-2","name":"two","version":2},{"code":"DA-3","name":"x","version":1},{"code":"DA-2","name":"one","version":1},{"code":"DA-2","name":"three","version":3}]', 'da-erp');
SELECT code, name FROM dist.party WHERE code IN ('DA-2', 'DA-3') ORDER BY code;
-- times instead of numbers; an equal time is no reason to ignore what may be another change
SELECT outcome FROM distsync.apply('item', '{"sku":"DA-A","base_unit":"EA","name":"noon","updated_at":"2026-05-01T12:00:00+02:00"}', 'da-erp');
SELECT outcome FROM distsync.apply('item', '{"sku":"DA-A","name":"before noon","updated_at":"2026-05-01T09:59:59Z"}', 'da-erp');
SELECT outcome FROM distsync.apply('item', '{"sku":"DA-A","name":"noon again","updated_at":"2026-05-01T10:00:00Z"}', 'da-erp');
SELECT sku, name FROM dist.item WHERE sku = 'DA-A';
-- without versions the last one wins, as it came
SELECT ordinal, outcome FROM distsync.apply_all('item', '[{"sku":"DA-B","base_unit":"EA","name":"first"},{"sku":"DA-B","brand":"b"},{"sku":"DA-B","name":"last"}]', 'da-erp');
SELECT name, brand FROM dist.item WHERE sku = 'DA-B';
-- what came too late is counted
SELECT entity, entity_key, source, version, stale FROM sync.entity_version WHERE source LIKE 'da-%' AND stale > 0 ORDER BY entity COLLATE "C", entity_key COLLATE "C", source;

-- ---- versions: patches, judged by field ----
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","name":"n3","segment":"s3","version":3}', 'da-shop', options => '{"mode":"patch"}');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","segment":"s5","version":5}', 'da-shop', options => '{"mode":"patch"}');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","name":"n4","segment":"s4","price_class":"p4","version":4}', 'da-shop', options => '{"mode":"patch"}');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","segment":"s2","version":2}', 'da-shop', options => '{"mode":"patch"}');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","segment":"s5","version":5}', 'da-shop', options => '{"mode":"patch"}');
SELECT name, segment, price_class FROM dist.party WHERE code = 'DA-P';
-- a whole document covers every field, but not what a patch knew later
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","name":"whole","segment":"whole","version":4.5}', 'da-shop');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","name":"n4","version":4}', 'da-shop', options => '{"mode":"patch"}');
SELECT name, segment, price_class FROM dist.party WHERE code = 'DA-P';
-- unknown fields too, one by one
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","x":6,"y":6,"version":6}', 'da-shop', options => '{"mode":"patch"}');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","y":5,"z":5,"version":5}', 'da-shop', options => '{"mode":"patch"}');
SELECT ext FROM dist.party WHERE code = 'DA-P';
-- what a source sends may be said once
INSERT INTO sync.source (code, system, sends) VALUES ('da-shop', 'da-shop', 'patch');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","segment":"s4","name":"n7","version":7}', 'da-shop');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-P","segment":"s6","name":"n6","version":6}', 'da-shop');
SELECT name, segment FROM dist.party WHERE code = 'DA-P';

-- ---- a rejected document leaves no version behind ----
SELECT outcome, sqlstate, field FROM distsync.apply('item', '{"sku":"DA-C","base_unit":"??","version":9}', 'da-erp', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('item', '{"sku":"DA-C","base_unit":"EA","version":8}', 'da-erp');

-- ---- idempotency keys ----
SELECT outcome, entity_key FROM distsync.apply('party', '{"code":"DA-K","name":"once"}', 'da-erp', 'key-1');
SELECT outcome, entity_key FROM distsync.apply('party', '{"name":"once","code":"DA-K"}', 'da-erp', 'key-1');
SELECT * FROM distsync.apply('party', '{"code":"DA-K","name":"twice"}', 'da-erp', 'key-1');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply('item', '{"sku":"DA-A"}', 'da-erp', 'key-1');
\echo :LAST_ERROR_SQLSTATE
SELECT outcome, entity_key FROM distsync.apply('party', '{"code":"DA-K","name":"twice"}', 'da-crm', 'key-1');
SELECT * FROM distsync.apply('party', '{"code":"DA-K"}', 'da-erp', repeat('k', 256));
\echo :LAST_ERROR_SQLSTATE
-- what was refused burns no key
SELECT outcome, sqlstate FROM distsync.apply('party', '{"code":"DA-L"}', 'da-erp', 'key-2', '{"on_error":"collect"}');
SELECT outcome, sqlstate FROM distsync.apply('party', '{"code":"DA-L","name":"better"}', 'da-erp', 'key-2', '{"on_error":"collect"}');

-- ---- ownership ----
SELECT distsync.own('party', 'da-nobody');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT distsync.own('parties', 'da-erp');
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.own('party', 'da-erp', '{"attribute":"shoe_size"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.own('party', 'da-erp', '{"steward":"credit desk"}');
SELECT distsync.own('party', 'da-crm', '{"attribute":"segment"}');
SELECT * FROM distsync.apply('party', '{"code":"DA-K","name":"not mine"}', 'da-shop');
\echo :LAST_ERROR_SQLSTATE
-- people are no exception
SELECT outcome, sqlstate FROM distsync.apply('party', '{"code":"DA-K","name":"not mine"}', 'distsync', options => '{"on_error":"collect"}');
-- the CRM owns one field, and is told what was left out; the ERP owns the rest
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-K","name":"crm","segment":"crm"}', 'da-crm');
SELECT outcome, detail FROM distsync.apply('party', '{"code":"DA-K","name":"erp","segment":"erp"}', 'da-erp');
SELECT outcome, sqlstate, field, message FROM distsync.apply('party', '{"code":"DA-K","segment":"erp"}', 'da-erp', options => '{"on_error":"collect"}');
SELECT outcome, sqlstate FROM distsync.apply('party', '{"code":"DA-K"}', 'da-crm', options => '{"operation":"deactivate","on_error":"collect"}');
SELECT name, segment FROM dist.party WHERE code = 'DA-K';
SELECT distsync.own('party', 'da-shop', '{"shared":true}');
SELECT outcome FROM distsync.apply('party', '{"code":"DA-K","name":"shop"}', 'da-shop');
SELECT distsync.own('party', 'distsync');
SELECT outcome, sqlstate FROM distsync.apply('party', '{"code":"DA-K","name":"erp"}', 'da-erp', options => '{"on_error":"collect"}');
SELECT attribute, system, mode, steward, upper_inf(valid) AS current FROM sync.ownership WHERE domain = 'party' ORDER BY lower(valid), system;
SELECT verb, entity_key, after -> 0 ->> 'system' AS owner FROM sync.audit WHERE verb = 'own' AND entity_key LIKE 'party%' ORDER BY audit_id;
SELECT distsync.own('party', 'distsync', '{"end":true}'), distsync.own('party', 'da-crm', '{"attribute":"segment","end":true}');
-- by company
\o /dev/null
SELECT distsync.apply_all('company', '[{"code":"DA-US","name":"US","currency":"USD"},{"code":"DA-EU","name":"EU","currency":"USD"}]', 'distsync');
\o
SELECT distsync.own('site', 'da-erp'), distsync.own('site', 'da-shop', '{"company":"DA-EU"}');
SELECT ordinal, outcome, sqlstate, message FROM distsync.apply_all('site', '[{"code":"DA-W1","company":"DA-US"},{"code":"DA-W2","company":"DA-EU"}]', 'da-erp', options => '{"on_error":"collect"}');
SELECT ordinal, outcome, sqlstate FROM distsync.apply_all('site', '[{"code":"DA-W3","company":"DA-US"},{"code":"DA-W2","company":"DA-EU"}]', 'da-shop', options => '{"on_error":"collect"}');
SELECT distsync.own('site', 'da-erp', '{"end":true}'), distsync.own('site', 'da-shop', '{"company":"DA-EU","end":true}');

-- ---- snapshots ----
\o /dev/null
SELECT distsync.apply_all('item', '[{"sku":"DA-S1","base_unit":"EA","brand":"snap"},{"sku":"DA-S2","base_unit":"EA","brand":"snap"},{"sku":"DA-S3","base_unit":"EA","brand":"other"}]', 'da-erp', options => '{"backfill":true}');
UPDATE sync.entity_version SET received_at = '2026-01-01' WHERE entity_key LIKE 'DA-S%';
SELECT distsync.apply('item', '{"sku":"DA-S4","base_unit":"EA","brand":"snap"}', 'da-erp');
SELECT distsync.apply('item', '{"sku":"DA-S5","base_unit":"EA","brand":"snap","name":"new","updated_at":"2026-03-01T00:00:00Z"}', 'da-erp');
SELECT distsync.apply('item', '{"sku":"DA-S6","base_unit":"EA","brand":"snap","updated_at":"2026-01-15T00:00:00Z"}', 'da-erp');
\o
-- S2 and S6 are gone; S3 is out of scope; S4 and S5 are newer than the list
SELECT ordinal, outcome, entity_key, detail FROM distsync.apply_all('item', '[{"sku":"DA-S1","name":"listed"},{"sku":"DA-S5","name":"old"}]', 'da-erp',
	options => '{"operation":"snapshot","scope":{"brand":"snap"},"as_of":"2026-02-01T00:00:00Z","absent":"deactivate"}');
SELECT sku, name, status FROM dist.item WHERE sku LIKE 'DA-S%' ORDER BY sku;
-- and what the list settled stays so against older news
SELECT outcome FROM distsync.apply('item', '{"sku":"DA-S6","status":"active","updated_at":"2026-01-20T00:00:00Z"}', 'da-erp');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"DA-S1","name":"older list"}]', 'da-erp', options => '{"operation":"snapshot","scope":{"brand":"snap"},"as_of":"2026-01-10T00:00:00Z","absent":"ignore"}');
SELECT * FROM distsync.apply_all('item', '[]', 'da-erp', options => '{"operation":"snapshot","scope":{"brand":"snap"},"as_of":"2026-02-02T00:00:00Z","absent":"deactivate"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"}]', 'da-erp', options => '{"operation":"snapshot","scope":{},"as_of":"2026-02-02T00:00:00Z","absent":"deactivate"}');
\echo :LAST_ERROR_SQLSTATE

-- ---- who may, and what stays on record ----
CREATE ROLE regress_door_reader IN ROLE distsync_reader;
SET ROLE regress_door_reader;
SELECT * FROM distsync.apply('party', '{"code":"DA-1"}', 'da-erp');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
DROP ROLE regress_door_reader;
CREATE ROLE regress_door_integrator IN ROLE distsync_integrator;
SET ROLE regress_door_integrator;
SELECT outcome FROM distsync.apply('party', '{"code":"DA-1","name":"by the integrator"}', 'da-erp');
RESET ROLE;
DROP ROLE regress_door_integrator;
SELECT outcome FROM distsync.apply('party', '{"code":"DA-1","name":"by hand"}', 'distsync');
SELECT verb, entity, entity_key, after FROM sync.audit WHERE verb = 'apply' AND entity_key = 'DA-1';
-- other tests count companies
DELETE FROM dist.site WHERE code LIKE 'DA-%';
DELETE FROM dist.company WHERE code LIKE 'DA-%';
