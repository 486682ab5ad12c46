-- Reallocation: a fact that leaves less than is promised takes from what is soft, in the order of strategies, priorities and dates; what is hard
-- stays, and the exception says who is short. Rules, previews, what is given back, kits, take-over.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"REA-A","base_unit":"EA"},{"sku":"REA-B","base_unit":"EA"},{"sku":"REA-C","base_unit":"EA"},{"sku":"REA-D","base_unit":"EA"},{"sku":"REA-T","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"REA-K","base_unit":"EA","kit":true,"components":[{"sku":"REA-C","quantity":2},{"sku":"REA-D","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"REA-P1","name":"one"},{"code":"REA-P2","name":"two"}]', 'distsync');
SELECT * FROM distsync.apply('channel', '{"code":"REA-WEB","name":"web"}', 'distsync');
\o
CREATE SEQUENCE pg_temp.told;
CREATE FUNCTION pg_temp.count(sku text, quantity numeric, site text DEFAULT 'INV-1') RETURNS text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', 'rea-' || nextval('pg_temp.told'), 'kind', 'count', 'sku', sku, 'site', site, 'quantity', quantity, 'event_at', timestamptz '2024-01-01Z' + currval('pg_temp.told') * interval '1 minute'), 'inv-wms') $$;
CREATE FUNCTION pg_temp.take(sku text, who text, quantity numeric, more jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(outcome || ' ' || quantity, ', ') FROM distsync.reserve(jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', sku, 'quantity', quantity, 'demand_key', more->'demand_key', 'site', more->'site'))), jsonb_build_object('holder', who, 'ttl', '1 hour') || (more - '{demand_key,site}'::text[])) $$;
CREATE TEMP VIEW held AS SELECT i.sku, r.holder, r.kind, r.priority, r.state, trim_scale(r.quantity) AS quantity, trim_scale(r.committed) AS committed, trim_scale(r.lost) AS lost, r.reason FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'REA-%' ORDER BY i.sku, r.holder, r.reservation_id;
CREATE TEMP VIEW pool AS SELECT i.sku, s.code AS site, trim_scale(p.cap) AS cap, trim_scale(p.held) AS held, trim_scale(p.committed) AS committed, trim_scale(p.shortfall) AS shortfall FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'REA-%' ORDER BY 1, 2;
CREATE TEMP VIEW short AS SELECT e.entity_key, e.state, trim_scale(e.delta) AS short, l.value - 'required_at' AS line FROM sync.exception e LEFT JOIN LATERAL jsonb_array_elements(e.details->'lines') WITH ORDINALITY l(value, n) ON true WHERE e.kind = 'shortfall' AND e.entity_key LIKE 'REA-%' ORDER BY e.exception_id, l.n;
CREATE TEMP TABLE seen AS SELECT COALESCE(max(outbox_id), 0) AS id FROM sync.outbox_item;
CREATE FUNCTION pg_temp.told() RETURNS TABLE (sku text, reason text, holder text, was text, quantity text, state text) LANGUAGE sql AS $$
	WITH o AS (SELECT x.* FROM sync.outbox_item x, seen WHERE x.outbox_id > seen.id AND x.event_type = 'stock.reservation_changed'), u AS (UPDATE seen SET id = (SELECT max(outbox_id) FROM sync.outbox_item))
	SELECT o.body->>'sku', o.body->>'reason', r->>'holder', r->>'was', r->>'quantity', r->>'state' FROM o, jsonb_array_elements(o.body->'reservations') WITH ORDINALITY x(r, n) ORDER BY o.outbox_id, x.n $$;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();

-- a count leaves less than is promised: soft ones lose, the least important first, in part or as a whole; nobody is asked, all are told
SELECT pg_temp.count('REA-A', 20);
SELECT pg_temp.take('REA-A', 'hard', 6, '{"customer":"REA-P1"}'), pg_temp.take('REA-A', 'soft 5', 4, '{"kind":"soft","priority":5}'), pg_temp.take('REA-A', 'soft 9', 4, '{"kind":"soft","priority":9,"commit":true}'), pg_temp.take('REA-A', 'soft 8', 4, '{"kind":"soft","priority":8}');
SELECT pg_temp.count('REA-A', 13);
SELECT * FROM held;
SELECT * FROM pg_temp.told();
SELECT * FROM pool WHERE cap <> 0;
SELECT count(*) AS exceptions FROM short;
SELECT DISTINCT r.detail->>'reason' AS reason FROM distsync.reservation_status(NULL, '{"item":"REA-A"}') r WHERE r.holder = 'soft 8';
-- what is hard stays: the exception says who is short, in the order in which they are short
SELECT pg_temp.count('REA-A', 15);
SELECT pg_temp.take('REA-A', 'hard 2', 2, '{"customer":"REA-P2","priority":7,"demand_key":"INV/REA-1/1","commit":true}');
SELECT pg_temp.count('REA-A', 3);
SELECT * FROM held;
SELECT * FROM short;
SELECT pg_temp.take('REA-A', 'late', 1, '{"kind":"soft"}');
-- somebody goes: the owner sees who is short now
SELECT state FROM distsync.release_reservation((SELECT reservation_id FROM dist.reservation WHERE holder = 'hard' AND kind = 'hard'), 2);
SELECT * FROM short;
SELECT pg_temp.count('REA-A', 8);
SELECT DISTINCT entity_key, state FROM short;

-- an order of the ERP, too; what an order wants anyway is not taken from it
SELECT pg_temp.count('REA-B', 10);
SELECT pg_temp.take('REA-B', 'ordered', 5, '{"kind":"soft","priority":200,"demand_key":"INV/REA-2/1"}'), pg_temp.take('REA-B', 'cart', 5, '{"kind":"soft"}');
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"INV/REA-2/1","sku":"REA-B","site":"INV-1","ordered":5}', 'inv-erp');
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"INV/REA-3/1","sku":"REA-B","site":"INV-1","ordered":3,"customer":"REA-P2"}', 'inv-erp');
SELECT holder, state, quantity, lost FROM held WHERE sku = 'REA-B';
-- by hand: a preview says the same as the thing itself, and what was lost comes back
SELECT pg_temp.count('REA-B', 12);
CREATE TEMP TABLE preview AS SELECT item, site, holder, demand_key, kind, strategy, priority, had, quantity, short, outcome FROM distsync.reallocate('REA-B', NULL, '{"dry_run":true}');
SELECT * FROM preview;
SELECT holder, state, quantity, lost FROM held WHERE sku = 'REA-B';
SELECT count(*) AS differ FROM (SELECT item, site, holder, demand_key, kind, strategy, priority, had, quantity, short, outcome FROM distsync.reallocate('REA-B', 'INV-1', '{"idempotency_key":"rea","source":"inv-erp"}') EXCEPT SELECT * FROM preview) d;
SELECT count(*) FROM distsync.reallocate('REA-B', 'INV-1', '{"idempotency_key":"rea","source":"inv-erp"}');
SELECT holder, state, quantity, lost FROM held WHERE sku = 'REA-B';
SELECT * FROM pg_temp.told() WHERE sku = 'REA-B';
-- switched off for an item, and for a session
SELECT outcome FROM distsync.apply('item_site', '{"sku":"REA-B","site":"INV-1","reallocates":false}', 'inv-erp');
SELECT pg_temp.count('REA-B', 9);
SELECT entity_key, short FROM short WHERE entity_key LIKE 'REA-B%' AND state = 'open';
SELECT outcome FROM distsync.apply('item_site', '{"sku":"REA-B","site":"INV-1"}', 'inv-erp', NULL, '{"operation":"deactivate"}');
SELECT count(*) > 0 AS moved FROM distsync.reallocate() WHERE outcome = 'lost' AND item = 'REA-B';
SELECT holder, state, quantity, lost FROM held WHERE sku = 'REA-B';
SELECT entity_key, state FROM short WHERE entity_key LIKE 'REA-B%';

-- rules: the most particular one decides
SELECT entity_key, outcome, sqlstate, field FROM distsync.apply_all('reallocation_rule', '[{"code":"vip","strategy":"gain","kind":"soft","customer":"REA-P1"},{"code":"web","strategy":"lose","kind":"soft","channel":"REA-WEB","sku":"REA-T"},
	{"code":"b1","strategy":"lose","kind":"hard"},{"code":"b2","strategy":"gain","sku":"REA-NOT"},{"code":"b3"},{"code":"b4","strategy":"fill","priority_from":9,"priority_to":2}]', 'inv-erp', NULL, '{"on_error":"collect"}');
SELECT pg_temp.count('REA-T', 12);
SELECT pg_temp.take('REA-T', 'vip', 4, '{"kind":"soft","customer":"REA-P1","priority":500}'), pg_temp.take('REA-T', 'web', 4, '{"kind":"soft","channel":"REA-WEB","priority":1}'), pg_temp.take('REA-T', 'other', 4, '{"kind":"soft"}');
SELECT pg_temp.count('REA-T', 11);
-- who loses, loses all of it
SELECT holder, state, quantity, lost FROM held WHERE sku = 'REA-T';
SELECT holder, strategy, outcome FROM distsync.reallocate('REA-T', NULL, '{"dry_run":true}');
-- more than may be taken at once is for the clerk
SET distsync.reallocate_at_once = 1;
SELECT pg_temp.take('REA-T', 'w' || n, 1, '{"kind":"soft"}') FROM generate_series(1, 3) n;
SELECT pg_temp.count('REA-T', 5);
SELECT i.sku FROM dist.reallocation_due d JOIN dist.item i USING (item_id);
SELECT sum(shortfall) > 0 AS short FROM pool WHERE sku = 'REA-T';
SELECT distsync_internal.inventory_reallocate_sweep(100);
SELECT count(*) AS due FROM dist.reallocation_due;
SELECT holder, state, quantity, lost FROM held WHERE sku = 'REA-T';
RESET distsync.reallocate_at_once;

-- a kit loses whole kits, of all its components; where their pools are not at hand, by the clerk
SELECT pg_temp.count('REA-C', 10), pg_temp.count('REA-D', 5);
SELECT pg_temp.take('REA-K', 'kit', 4, '{"kind":"soft"}');
SELECT pg_temp.count('REA-C', 7);
SELECT distsync_internal.inventory_reallocate_sweep(100) >= 0 AS swept;
SELECT sku, holder, state, quantity FROM held WHERE holder = 'kit';
SELECT * FROM pool WHERE sku IN ('REA-C', 'REA-D') AND site = 'INV-1';

-- take-over: so much as is lacking, of soft ones that are less important, the least important first; others are never touched
SELECT pg_temp.count('REA-T', 0), outcome FROM distsync.apply('item', '{"sku":"REA-U","base_unit":"EA"}', 'distsync');
SELECT pg_temp.count('REA-U', 10), pg_temp.count('REA-U', 3, 'INV-2');
SELECT pg_temp.take('REA-U', 'h', 3, '{"priority":300,"site":"INV-1"}'), pg_temp.take('REA-U', 's2', 3, '{"kind":"soft","priority":200,"site":"INV-1"}'), pg_temp.take('REA-U', 's3', 3, '{"kind":"soft","priority":300,"site":"INV-1"}'), pg_temp.take('REA-U', 's1', 3, '{"kind":"soft","priority":1,"site":"INV-2"}');
SELECT pg_temp.take('REA-U', 'no', 3, '{"priority":100}'), pg_temp.take('REA-U', 'same', 3, '{"priority":300,"take_over":true}'), pg_temp.take('REA-U', 'more', 8, '{"priority":100,"take_over":true}');
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-U';
SELECT pg_temp.take('REA-U', 'yes', 2, '{"priority":100,"take_over":true}');
SELECT pg_temp.take('REA-U', 'up to', 9, '{"priority":100,"take_over":true,"mode":"take_up_to"}');
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-U';
SELECT * FROM pg_temp.told() WHERE sku = 'REA-U';
-- by rule: who wins, takes over
SELECT outcome FROM distsync.apply('reallocation_rule', '{"code":"win","strategy":"win","customer":"REA-P2"}', 'inv-erp');
SELECT pg_temp.count('REA-U', 14), pg_temp.take('REA-U', 's4', 4, '{"kind":"soft","priority":400}');
SELECT pg_temp.take('REA-U', 'win', 3, '{"customer":"REA-P2"}');
SELECT holder, state, quantity, reason FROM held WHERE sku = 'REA-U' AND holder IN ('s4', 'win');
-- by rule: what was lost comes back by itself, by priority, before anybody else is promised anything; who has no such rule waits for reallocate()
SELECT outcome FROM distsync.apply('item', '{"sku":"REA-V","base_unit":"EA"}', 'distsync');
SELECT outcome FROM distsync.apply('reallocation_rule', '{"code":"back","strategy":"redistribute","kind":"soft","sku":"REA-V","priority_to":250,"restores":true}', 'inv-erp');
SELECT pg_temp.count('REA-V', 12), pg_temp.take('REA-V', 'v1', 4, '{"kind":"soft","priority":100,"site":"INV-1"}'), pg_temp.take('REA-V', 'v2', 4, '{"kind":"soft","priority":200,"site":"INV-1"}'), pg_temp.take('REA-V', 'v3', 4, '{"kind":"soft","priority":300,"site":"INV-1"}');
SELECT pg_temp.take('REA-V', 'v0', 4, '{"priority":10,"take_over":true,"site":"INV-1"}'), pg_temp.count('REA-V', 7);
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-V';
SELECT pg_temp.count('REA-V', 9);
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-V';
SELECT outcome, quantity FROM distsync.release_reservations(NULL, '{"holder":"v0"}');
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-V';
SELECT pg_temp.take('REA-V', 'late', 2, '{"site":"INV-1"}'), pg_temp.take('REA-V', 'late', 1, '{"site":"INV-1"}');
SELECT * FROM pg_temp.told() WHERE sku = 'REA-V';
-- under a quota the clerk does it
SELECT entity_key, outcome FROM distsync.apply('stock_quota', '{"sku":"REA-V","scope_kind":"customer","scope_key":"REA-P1","quantity":3,"from":"2024-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}', 'inv-erp');
SELECT pg_temp.count('REA-V', 12), pg_temp.take('REA-V', 'v4', 3, '{"kind":"soft","priority":240,"site":"INV-1","customer":"REA-P1"}'), pg_temp.count('REA-V', 8), pg_temp.count('REA-V', 12);
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-V' AND holder = 'v4';
SELECT distsync_internal.inventory_reallocate_sweep(100) > 0 AS swept;
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-V' AND holder = 'v4';
SELECT count(*) AS due FROM dist.reallocation_due;
SELECT distsync_internal.inventory_reallocate_sweep(100) >= 0 AS swept;
-- what is promised just now is not given back meanwhile: to a line that its owner has told, and to who takes over
SELECT outcome FROM distsync.apply('item', '{"sku":"REA-W","base_unit":"EA"}', 'distsync');
SELECT outcome FROM distsync.apply('reallocation_rule', '{"code":"back-w","strategy":"redistribute","kind":"soft","sku":"REA-W","restores":true}', 'inv-erp');
SELECT pg_temp.count('REA-W', 10), pg_temp.take('REA-W', 'w1', 10, '{"kind":"soft","site":"INV-1"}');
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"INV/REA-W/1","sku":"REA-W","site":"INV-1","ordered":4}', 'inv-erp');
SELECT pg_temp.take('REA-W', 'line', 4, '{"demand_key":"INV/REA-W/1","site":"INV-1","commit":true}');
SELECT pg_temp.take('REA-W', 'stronger', 3, '{"priority":1,"take_over":true,"site":"INV-1"}');
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-W';
SELECT * FROM pool WHERE sku = 'REA-W' AND site = 'INV-1';
SELECT outcome, quantity FROM distsync.release_reservations(NULL, '{"holder":"stronger"}');
SELECT holder, state, quantity, lost, reason FROM held WHERE sku = 'REA-W';
-- what its holder gives back himself does not come back, nor what its order does not want any more
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"REA-X","base_unit":"EA"},{"sku":"REA-Y","base_unit":"EA"},{"sku":"REA-Z","base_unit":"EA"}]', 'distsync');
SELECT outcome FROM distsync.apply_all('reallocation_rule', '[{"code":"back-x","strategy":"redistribute","kind":"soft","sku":"REA-X","restores":true},{"code":"back-y","strategy":"redistribute","kind":"soft","sku":"REA-Y","restores":true},{"code":"back-z","strategy":"redistribute","kind":"soft","sku":"REA-Z","restores":true}]', 'inv-erp');
SELECT pg_temp.count(x, 10), pg_temp.take(x, x, 10, jsonb_build_object('kind', 'soft', 'site', 'INV-1') || CASE x WHEN 'REA-Z' THEN '{"demand_key":"INV/REA-Z/1"}' ELSE '{}' END::jsonb), pg_temp.count(x, 6) FROM unnest(ARRAY['REA-X', 'REA-Y', 'REA-Z']) x;
SELECT c.quantity, c.committed FROM dist.reservation r, distsync.commit_reservation(r.reservation_id, 4) c WHERE r.holder = 'REA-X';
SELECT c.quantity, c.committed FROM dist.reservation r, distsync.release_reservation(r.reservation_id, 2) c WHERE r.holder = 'REA-Y';
SELECT outcome FROM distsync.apply('demand', '{"demand_key":"INV/REA-Z/1","sku":"REA-Z","site":"INV-1","ordered":7}', 'inv-erp');
SELECT pg_temp.count(x, 10) FROM unnest(ARRAY['REA-X', 'REA-Y', 'REA-Z']) x;
SELECT holder, state, quantity, committed, lost, reason FROM held WHERE sku IN ('REA-X', 'REA-Y', 'REA-Z');
-- a rule that is told after something was lost: the clerk looks where it was, and what stock does not cover yet comes back with it
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"REA-LA","base_unit":"EA"},{"sku":"REA-LB","base_unit":"EA"},{"sku":"REA-LC","base_unit":"EA"}]', 'distsync');
SELECT pg_temp.count(x, 10), pg_temp.take(x, x, 10, '{"kind":"soft","site":"INV-1"}'), pg_temp.count(x, 6) FROM unnest(ARRAY['REA-LA', 'REA-LB', 'REA-LC']) x;
SELECT pg_temp.count('REA-LA', 10);
SELECT outcome FROM distsync.apply_all('reallocation_rule', '[{"code":"late-a","strategy":"redistribute","kind":"soft","sku":"REA-LA","restores":true},{"code":"late-b","strategy":"redistribute","kind":"soft","sku":"REA-LB","restores":true}]', 'inv-erp');
SELECT i.sku FROM dist.reallocation_due d JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'REA-L%' ORDER BY 1;
SELECT distsync_internal.inventory_reallocate_sweep(100) > 0 AS swept;
SELECT holder, state, quantity, lost, reason FROM held WHERE sku LIKE 'REA-L%';
SELECT pg_temp.count(x, 9) FROM unnest(ARRAY['REA-LB', 'REA-LC']) x;
SELECT holder, state, quantity, lost, reason FROM held WHERE sku LIKE 'REA-L%';
SELECT * FROM pg_temp.told() WHERE sku LIKE 'REA-L%' AND reason = 'restored';
SELECT count(*) AS due FROM dist.reallocation_due;
SELECT * FROM broken;
\set VERBOSITY sqlstate
SELECT * FROM distsync.reallocate('REA-NOT');
SELECT * FROM distsync.reallocate(NULL, NULL, '{"limit":0}');
\set VERBOSITY default
