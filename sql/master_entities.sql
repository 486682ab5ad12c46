-- Master data through the door: what documents become, what is refused, what is told.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
\set SHOW_CONTEXT never
INSERT INTO sync.system (code, kind) VALUES ('ma-erp', 'erp');
INSERT INTO sync.xref (system, entity, external_id, code) VALUES ('ma-erp', 'party', '0000100', 'MA-C'), ('ma-erp', 'unit', 'ST', 'EA'), ('ma-erp', 'item', 'MAT-1', 'MA-A'), ('ma-erp', 'party', '0000101', 'MA-C');
\o /dev/null
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"},{"currency":"JPY","minor_units":0}]', 'distsync');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"},{"unit":"KG"},{"unit":"DZ3"}]', 'distsync');
\o
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('company', '[{"code":"MA-US","name":"US Inc","currency":"USD","tz":"America/New_York"},{"code":"MA-AT","name":"AT GmbH","currency":"EUR"}]', 'ma-erp');
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('category', '[{"code":"MA-PUMPS","parent":"MA-HW"},{"code":"MA-HW","name":"Hardware"}]', 'ma-erp');
SELECT outcome, entity_key FROM distsync.apply('calendar', '{"code":"MA-CAL","tz":"America/New_York","weekdays":[5,4,3,2,1],"cut_off":"15:30"}', 'ma-erp');
-- a parent may come later in the same call; a sender's own name is translated
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('party', '[{"code":"MA-S","name":"Ship-to","kind":"ship_to","parent":"0000100","roles":["ship_to"]},{"code":"0000100","name":"Customer","roles":["sold_to","bill_to"],"groups":[{"kind":"segment","code":"MA-gold"}],"parent":"MA-G","plant":"7"},{"code":"MA-G","name":"Group","kind":"group"}]', 'ma-erp');
SELECT ordinal, outcome, entity_key FROM distsync.apply('party', '{"code":"MA-V","name":"Vendor","roles":["vendor"]}', 'ma-erp');
SELECT p.code, p.name, p.kind, a.code AS parent, p.ext, (SELECT array_agg(r.role ORDER BY r.role COLLATE "C") FROM dist.party_role r WHERE r.party_id = p.party_id) AS roles
FROM dist.party p LEFT JOIN dist.party a ON a.party_id = p.parent_id WHERE p.code LIKE 'MA-%' ORDER BY p.code COLLATE "C";
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('item', '[{"sku":"MAT-1","name":"Pump","base_unit":"ST","category":"MA-PUMPS","brand":"acme","family":"pumps","vendor":"MA-V","weight":"12.500","units":[{"unit":"BX","numerator":12},{"unit":"DZ3","numerator":1,"denominator":3}],"identifiers":[{"kind":"gtin","identifier":"04012345678901","unit":"BX"},{"kind":"buyer_part","party":"MA-C","identifier":"X-1"}]},{"sku":"MA-K","base_unit":"EA","kit":true,"components":[{"sku":"MA-A","quantity":2}]},{"sku":"MA-B","base_unit":"KG","variant_of":"MA-A"}]', 'ma-erp');
SELECT ordinal, outcome, entity_key FROM distsync.apply_all('site', '[{"code":"MA-W","company":"MA-US","calendar":"MA-CAL","tz":"America/New_York"},{"code":"MA-D","company":"MA-US","kind":"vendor","vendor":"MA-V","can_ship":false}]', 'ma-erp');
SELECT outcome FROM distsync.apply('carrier', '{"code":"MA-UPS","calendar":"MA-CAL"}', 'ma-erp');
SELECT outcome FROM distsync.apply('channel', '{"code":"MA-SHOP","company":"MA-US"}', 'ma-erp');

-- the same again changes nothing and tells nobody
SELECT count(*) AS events FROM sync.outbox WHERE entity_key LIKE 'MA-%';
SELECT ordinal, outcome FROM distsync.apply_all('item', '[{"sku":"MA-A","name":"Pump","weight":12.5,"units":[{"unit":"DZ3","numerator":"1","denominator":"3"},{"unit":"BX","numerator":12}]},{"sku":"MA-K","components":[{"sku":"MAT-1","quantity":"2.0"}]}]', 'ma-erp');
SELECT outcome FROM distsync.apply('party', '{"code":"MA-C","roles":["bill_to","sold_to"],"groups":[{"kind":"segment","code":"MA-gold"}]}', 'ma-erp');
SELECT count(*) AS events FROM sync.outbox WHERE entity_key LIKE 'MA-%';
-- absent = unchanged, null = cleared or back to the default, [] = none
SELECT outcome FROM distsync.apply('item', '{"sku":"MA-A","brand":null,"name":null,"units":[{"unit":"BX","numerator":12}],"identifiers":[{"kind":"gtin","identifier":"04012345678901","unit":"BX"}]}', 'ma-erp');
SELECT outcome FROM distsync.apply('party', '{"code":"MA-C","roles":[],"groups":null,"tz":null,"other":true}', 'ma-erp');
SELECT i.name, i.brand, i.family, (SELECT array_agg(u.unit) FROM dist.item_unit u WHERE u.item_id = i.item_id) AS units FROM dist.item i WHERE i.sku = 'MA-A';
SELECT p.tz, p.ext, (SELECT count(*) FROM dist.party_role r WHERE r.party_id = p.party_id) AS roles FROM dist.party p WHERE p.code = 'MA-C';
-- a membership that ended keeps its past, and what we knew of it before stays on record
SELECT g.code, upper_inf(m.known) AS held, upper_inf(m.valid) AS current, lower(m.valid) < upper(m.valid) AS past FROM dist.party_member m JOIN dist.party_group g USING (group_id) JOIN dist.party p USING (party_id) WHERE p.code = 'MA-C' ORDER BY held;
SELECT event_type, entity_key, body ->> 'name' AS name, body -> 'units' AS units, origin FROM sync.outbox WHERE entity_key = 'MA-A' ORDER BY at DESC, outbox_id DESC LIMIT 1;

-- what is refused, all in one call, and nothing of it written
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('item', '[{"sku":"MA-X1"},{"sku":"MA-X2","base_unit":"PALLET"},{"sku":"MA-X3","base_unit":"EA","vendor":"NOBODY"},{"sku":"MA-X4","base_unit":"EA","category":"NONE"},{"sku":"MA-X5","base_unit":"EA","variant_of":"MA-NONE"},{"sku":"MA-X6","base_unit":"EA","variant_of":"MA-X6"},{"sku":"MA-X7","base_unit":"EA","units":[{"unit":"BX","numerator":1},{"unit":"PAL","numerator":9}]},{"sku":"MA-X8","base_unit":"EA","identifiers":[{"kind":"buyer_part","party":"NOBODY","identifier":"1"}]},{"sku":"MA-X9","base_unit":"EA","components":[{"sku":"MA-NONE","quantity":1}]},{"sku":"MA-A","base_unit":"KG"},{"sku":"MA-X10","base_unit":"EA","min_shelf_days":3000000000}]', 'ma-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT count(*) FROM dist.item WHERE sku LIKE 'MA-X%';
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('party', '[{"code":"0000100","name":"a"},{"code":"0000101","name":"b"},{"code":"MA-N"},{"code":"MA-N2","name":"n","parent":"MA-NONE"},{"code":"MA-N3","name":"n","currency":"ABC"}]', 'ma-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('calendar', '[{"code":"MA-C1","weekdays":[0,1]},{"code":"MA-C2","cut_off":"25:00"},{"code":"MA-C3","weekdays":"all"}]', 'ma-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT sqlstate, field, message FROM distsync.apply('currency', '{"currency":"usd"}', 'ma-erp', options => '{"on_error":"collect"}');
SELECT sqlstate, field, message FROM distsync.apply('unit', '{"unit":"a box of twelve"}', 'ma-erp', options => '{"on_error":"collect"}');
SELECT * FROM distsync.apply('site', '{"code":"MA-Z","company":"MA-NONE"}', 'ma-erp');
\echo :LAST_ERROR_SQLSTATE
-- a circle of parents
SELECT * FROM distsync.apply('party', '{"code":"MA-G","parent":"MA-S"}', 'ma-erp');
\echo :LAST_ERROR_SQLSTATE
-- deactivate
SELECT outcome FROM distsync.apply('item', '{"sku":"MA-K"}', 'ma-erp', options => '{"operation":"deactivate"}');
SELECT outcome, sqlstate FROM distsync.apply('item', '{"sku":"MA-NONE"}', 'ma-erp', options => '{"operation":"deactivate","on_error":"collect"}');
SELECT status FROM dist.item WHERE sku = 'MA-K';
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'ma-erp', options => '{"operation":"deactivate"}');
\echo :LAST_ERROR_SQLSTATE
-- backfill tells nobody
SELECT outcome FROM distsync.apply('party', '{"code":"MA-OLD","name":"From the archive"}', 'ma-erp', options => '{"backfill":true}');
SELECT count(*) AS events FROM sync.outbox WHERE entity_key = 'MA-OLD';

-- ---- look-ups ----
SELECT distsync_internal.master_item('MA-A') = distsync_internal.master_item('04012345678901') AS by_gtin, distsync_internal.master_item('MA-A') = distsync_internal.master_item('MAT-1', 'item', 'ma-erp') AS by_xref,
	distsync_internal.master_party('0000100', 'customer', 'ma-erp') = distsync_internal.master_party('MA-C') AS party, distsync_internal.master_party(NULL) AS nothing;
SELECT code, id IS NOT NULL AS known, unit FROM distsync_internal.master_items('{MA-A,MAT-1,04012345678901,NONE,MA-A,NULL}', 'ma-erp') ORDER BY code COLLATE "C";
SELECT distsync_internal.master_item('MAT-1', 'lines[2].item');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.master_site('NONE', 'site', 'ma-erp');
\echo :LAST_ERROR_SQLSTATE

-- ---- units: exact or an error ----
\o /dev/null
SELECT distsync.apply('item', '{"sku":"MA-A","units":[{"unit":"BX","numerator":12},{"unit":"DZ3","numerator":1,"denominator":3}]}', 'ma-erp');
\o
SELECT * FROM distsync_internal.master_unit_factor(distsync_internal.master_item('MA-A'), 'DZ3');
SELECT distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), 2.5, 'BX'), distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), -3, 'DZ3'),
	distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), 7, NULL), distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), 0.000003, 'DZ3');
SELECT distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), 1, 'DZ3');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), 1, 'KG');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync_internal.master_to_base(distsync_internal.master_item('MA-A'), 99999999999999, 'BX');
\echo :LAST_ERROR_SQLSTATE

-- ---- money ----
SELECT ordinal, outcome FROM distsync.apply_all('exchange_rate', '[{"from_currency":"EUR","to_currency":"USD","rate":1.1,"valid_from":"2026-01-01T00:00:00Z"},{"from_currency":"EUR","to_currency":"USD","rate":"1.2","valid_from":"2026-02-01T00:00:00Z"},{"from_currency":"USD","to_currency":"JPY","rate":155.55,"valid_from":"2026-01-01T00:00:00Z"}]', 'ma-erp');
SELECT ordinal, outcome FROM distsync.apply_all('exchange_rate', '[{"from_currency":"EUR","to_currency":"USD","rate":1.10,"valid_from":"2026-01-01T01:00:00+01:00"},{"from_currency":"EUR","to_currency":"USD","rate":1.15,"valid_from":"2026-01-15T00:00:00Z"}]', 'ma-erp');
SELECT rate, valid AS holds, upper_inf(known) AS believed FROM dist.exchange_rate WHERE to_currency = 'USD' ORDER BY lower(valid), upper_inf(known), upper(valid);
SELECT distsync_internal.master_convert(100.005, 'EUR', 'USD', '2026-01-20') AS rounded_once, distsync_internal.master_convert(-1.15, 'USD', 'EUR', '2026-01-20') AS inverse,
	distsync_internal.master_convert(10, 'USD', 'JPY', '2026-01-20') AS no_minor_units, distsync_internal.master_convert(0.005, 'EUR', 'USD', '2026-02-01') AS half, distsync_internal.master_convert(1.23456, 'EUR', 'EUR', '2020-01-01') AS same;
SELECT distsync_internal.master_convert(1, 'EUR', 'USD', '2025-12-31');
\echo :LAST_ERROR_SQLSTATE
SELECT sqlstate, field FROM distsync.apply('exchange_rate', '{"from_currency":"EUR","to_currency":"USD","rate":"NaN","valid_from":"2026-01-01"}', 'ma-erp', options => '{"on_error":"collect"}');
SELECT distsync_internal.master_due_instant('2026-03-29', 'Europe/Vienna') AT TIME ZONE 'UTC' AS due;

-- ---- cost ----
SELECT ordinal, outcome FROM distsync.apply_all('item_cost', '[{"company":"MA-US","sku":"MA-A","cost":"7.10","currency":"USD","valid_from":"2026-01-01T00:00:00Z"},{"company":"MA-US","sku":"MA-A","site":"MA-W","unit":"BX","cost":80,"currency":"USD","valid_from":"2026-01-01T00:00:00Z"}]', 'ma-erp');
SELECT ordinal, outcome, sqlstate, field FROM distsync.apply_all('item_cost', '[{"company":"MA-US","sku":"MA-A","cost":7.1,"currency":"USD","valid_from":"2026-01-01T00:00:00Z"},{"company":"MA-US","sku":"MA-A","cost":7.2,"currency":"USD","valid_from":"2026-03-01T00:00:00Z"},{"company":"MA-US","sku":"MA-A","unit":"KG","cost":1,"currency":"USD","valid_from":"2026-01-01T00:00:00Z"},{"company":"MA-US","sku":"MA-A","site":"NONE","cost":1,"currency":"USD","valid_from":"2026-01-01T00:00:00Z"},{"company":"MA-US","sku":"MA-A","cost":-1,"currency":"USD","valid_from":"2026-04-01T00:00:00Z"}]', 'ma-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT c.site_id = 0 AS every_site, c.unit, c.cost, c.valid, upper_inf(c.known) AS believed FROM dist.item_cost c JOIN dist.item i USING (item_id) WHERE i.sku = 'MA-A' ORDER BY 1, lower(c.valid), upper_inf(c.known), upper(c.valid);
SELECT ordinal, outcome FROM distsync.apply_all('party_group', '[{"kind":"region","code":"MA-north","name":"North"},{"kind":"segment","code":"MA-gold"}]', 'ma-erp');
-- ---- days, transit, successors, names of others ----
SELECT outcome FROM distsync.apply('calendar', '{"code":"MA-CAL","days":[{"day":"2026-12-24","open":true,"cut_off":"11:00"},{"day":"2026-12-25","open":false}]}', 'ma-erp');
SELECT outcome FROM distsync.apply('calendar', '{"code":"MA-CAL","days":[{"day":"2026-12-25","open":false},{"day":"2026-12-24","open":true,"cut_off":"11:00"}]}', 'ma-erp');
SELECT outcome FROM distsync.apply('carrier', '{"code":"MA-UPS","transit":[{"site":"MA-W","zone":"US-CA","days":4},{"site":"MA-W","zone":"US-NY","days":1}]}', 'ma-erp');
SELECT outcome FROM distsync.apply('item', '{"sku":"MA-K","successors":[{"sku":"MA-B"},{"sku":"MA-A","kind":"substitute","rank":2}]}', 'ma-erp');
SELECT outcome FROM distsync.apply('item', '{"sku":"MA-K","successors":[{"sku":"MA-B"}]}', 'ma-erp');
SELECT d.day = '2026-12-24' AS eve, d.open, d.cut_off FROM dist.calendar_day d JOIN dist.calendar c USING (calendar_id) WHERE c.code = 'MA-CAL' ORDER BY d.day;
SELECT t.zone, t.days FROM dist.transit_time t JOIN dist.carrier c USING (carrier_id) WHERE c.code = 'MA-UPS' ORDER BY t.zone;
SELECT i.sku, s.kind, s.rank FROM dist.item_supersession s JOIN dist.item i ON i.item_id = s.successor_id ORDER BY i.sku;
SELECT sqlstate, field, message FROM distsync.apply('calendar', '{"code":"MA-CAL","days":[{"day":"2026-12-24","open":true,"cut_off":"noon"}]}', 'ma-erp', options => '{"on_error":"collect"}');
SELECT sqlstate, field, message FROM distsync.apply('carrier', '{"code":"MA-UPS","transit":[{"site":"NONE","zone":"US","days":1}]}', 'ma-erp', options => '{"on_error":"collect"}');
SELECT ordinal, sqlstate, field, message FROM distsync.apply_all('item', '[{"sku":"MA-K","successors":[{"sku":"MA-K"}]},{"sku":"MA-B","successors":[{"sku":"MA-A"},{"sku":"NONE"}]}]', 'ma-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT ordinal, outcome, entity_key, sqlstate, field FROM distsync.apply_all('xref', '[{"system":"ma-erp","entity":"party","external_id":"77","code":"MA-V"},{"system":"ma-erp","entity":"party","external_id":"78"},{"system":"nobody","entity":"party","external_id":"1","code":"x"},{"system":"ma-erp","entity":"item","external_id":"MAT-1","code":"MA-A"}]', 'ma-erp', options => '{"on_error":"collect"}') ORDER BY ordinal;
SELECT distsync_internal.master_party('77', 'customer', 'ma-erp') = distsync_internal.master_party('MA-V') AS found;
SELECT outcome FROM distsync.apply('xref', '{"system":"ma-erp","entity":"party","external_id":"77"}', 'ma-erp', options => '{"operation":"deactivate"}');
SELECT distsync_internal.master_party('77', 'customer', 'ma-erp');
\echo :LAST_ERROR_SQLSTATE
-- other tests count companies
DELETE FROM dist.item_cost c USING dist.company k WHERE k.company_id = c.company_id AND k.code LIKE 'MA-%';
DELETE FROM dist.carrier WHERE code LIKE 'MA-%';
DELETE FROM dist.site WHERE code LIKE 'MA-%';
DELETE FROM dist.channel WHERE code LIKE 'MA-%';
DELETE FROM dist.company WHERE code LIKE 'MA-%';
DELETE FROM dist.exchange_rate WHERE to_currency IN ('USD', 'JPY');
