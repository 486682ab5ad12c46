-- Kits: as many as the scarcest component at a site allows, now and later. Substitutes: what may stand in for what is not there.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"KIT-X","base_unit":"EA"},{"sku":"KIT-Y","base_unit":"EA"},{"sku":"KIT-Z","base_unit":"EA","units":[{"unit":"INV-BX","numerator":6,"denominator":1}]}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"KIT-IN","base_unit":"EA","kit":true,"components":[{"sku":"KIT-Y","quantity":2}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"KIT-A","base_unit":"EA","kit":true,"units":[{"unit":"INV-BX","numerator":4,"denominator":1}],"components":[{"sku":"KIT-X","quantity":3},{"sku":"KIT-IN","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"KIT-NONE","base_unit":"EA","kit":true}', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"kit1","kind":"count","sku":"KIT-X","site":"INV-1","quantity":20,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"kit2","kind":"count","sku":"KIT-Y","site":"INV-1","quantity":9,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"kit3","kind":"count","sku":"KIT-X","site":"INV-2","quantity":8,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"kit4","kind":"count","sku":"KIT-Y","site":"INV-2","quantity":100,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"kit5","kind":"count","sku":"KIT-Z","site":"INV-1","quantity":13,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-K/1","sku":"KIT-Y","site":"INV-1","quantity":3,"expected_at":"2998-01-01T00:00:00Z"},
	{"kind":"purchase","reference":"PO-K/2","sku":"KIT-X","site":"INV-1","quantity":30,"expected_at":"2998-02-01T00:00:00Z"},
	{"kind":"purchase","reference":"PO-K/3","sku":"KIT-Y","site":"INV-1","quantity":30,"expected_at":"2998-03-01T00:00:00Z"}]', 'inv-erp');
\o
-- three of X and two of Y (in a kit of its own) make one: 4 at the first site, 2 at the second, and never one of both
SELECT s AS site, outcome, quantity, on_hand, projected, atp_phys, atp, basis, available_at IS NOT NULL AS available, valid_until, detail FROM unnest('{INV-1,INV-2,NULL}'::text[]) s, distsync.atp('KIT-A', 5, NULL, s);
-- later: the next component that comes decides
SELECT q, outcome, CASE WHEN outcome = 'later' THEN available_at END AS available_at FROM unnest(ARRAY[4, 6, 7, 16, 17]) q, distsync.atp('KIT-A', q, NULL, 'INV-1');
SELECT t AS at, atp, projected FROM unnest('{2998-01-15,2998-02-15,2998-03-15}'::timestamptz[]) t, distsync.atp('KIT-A', 1, NULL, 'INV-1', t);
SELECT outcome, quantity, unit, atp FROM distsync.atp('KIT-A', 1, 'INV-BX', 'INV-1');
-- what is promised of a component is gone from the kit, but not for the holder
SELECT outcome FROM distsync.reserve('[{"item":"KIT-Y","quantity":4,"site":"INV-1"}]', '{"holder":"kit"}');
SELECT a.atp, b.atp AS own FROM distsync.atp('KIT-A', 1, NULL, 'INV-1') a, distsync.atp('KIT-A', 1, NULL, 'INV-1', NULL, '{"holder":"kit"}') b;
-- why: which component decides, with terms that add up
SELECT s->>'site' AS site, s->>'atp' AS kits, s->'binds' AS binds, c->>'item' AS item, c->>'per_kit' AS per_kit, c->>'kits' AS of_it, c->'why'->>'atp' AS atp,
	(SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(c->'why'->'terms') x) AS sum
FROM jsonb_array_elements(distsync.explain_atp('KIT-A')->'sites') s, jsonb_array_elements(s->'components') c;
-- a kit of nothing
SELECT outcome, on_hand, atp, basis, detail FROM distsync.atp('KIT-NONE');
-- substitutes, by rank, those that are sold in the unit
\o /dev/null
SELECT * FROM distsync.apply('item', '{"sku":"KIT-Y","successors":[{"sku":"KIT-Z","kind":"substitute","rank":2},{"sku":"KIT-X","kind":"substitute","rank":1},{"sku":"KIT-A","kind":"successor","rank":3}]}', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"KIT-X","successors":[{"sku":"KIT-Z"}]}', 'distsync');
\o
SELECT a.outcome, a.atp, s->>'item' AS item, s->>'kind' AS kind, s->>'outcome' AS its_outcome, s->>'atp' AS its_atp FROM distsync.atp('KIT-Y', 10, NULL, 'INV-1', NULL, '{"substitutes":true}') a, jsonb_array_elements(a.detail->'substitutes') s;
SELECT outcome, detail FROM distsync.atp('KIT-Y', 1, NULL, 'INV-1', NULL, '{"substitutes":true}');
SELECT outcome, detail FROM distsync.atp('KIT-Z', 100, 'INV-BX', 'INV-1', NULL, '{"substitutes":true}');
-- over time: whole kits at one site, with the documents of the components; at each moment what atp() says of it, and the running sum of what comes and goes
SELECT CASE WHEN moment > now() + interval '1 day' THEN moment END AS moment, supply, demand, projected, atp, unit, detail FROM distsync.atp_timeline('KIT-A', 'INV-1');
SELECT CASE WHEN moment > now() + interval '1 day' THEN moment END AS moment, supply, demand, projected, atp, jsonb_array_length(detail) AS documents FROM distsync.atp_timeline('KIT-A', NULL, NULL, '{"until":"2998-02-15T00:00:00Z"}');
SELECT s, t.* FROM unnest('{INV-1,INV-2,NULL}'::text[]) s, distsync.atp_timeline('KIT-A', s) t, distsync.atp('KIT-A', 1, NULL, s, t.moment) a WHERE (a.atp, a.projected) IS DISTINCT FROM (t.atp, t.projected);
SELECT t.moment, t.projected FROM (SELECT x.*, lag(x.projected) OVER (ORDER BY x.moment) + x.supply - x.demand AS summed FROM distsync.atp_timeline('KIT-A') x) t WHERE t.summed <> t.projected;
SELECT count(*) FROM distsync.atp_timeline('KIT-NONE');
SELECT jsonb_array_length(distsync.explain_atp('KIT-A', 1, NULL, 'INV-1')->'timeline') AS moments;
-- who takes over kits takes as many as he lacks, though two components are lacking
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"KIT-TX","base_unit":"EA"},{"sku":"KIT-TY","base_unit":"EA"},{"sku":"KIT-T","base_unit":"EA","kit":true,"components":[{"sku":"KIT-TX","quantity":2},{"sku":"KIT-TY","quantity":1}]}]', 'distsync');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"kit6","kind":"count","sku":"KIT-TX","site":"INV-1","quantity":20,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"kit7","kind":"count","sku":"KIT-TY","site":"INV-1","quantity":10,"event_at":"2024-01-10T10:00:00Z"}]', 'inv-wms');
SELECT * FROM distsync.reserve('[{"item":"KIT-T","quantity":6,"site":"INV-1"}]', '{"holder":"kit soft","kind":"soft"}');
\o
SELECT outcome, quantity FROM distsync.reserve('[{"item":"KIT-T","quantity":8,"site":"INV-1"}]', '{"holder":"kit first","priority":1,"take_over":true}');
SELECT i.sku, r.holder, r.quantity FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE r.holder LIKE 'kit %' AND r.state = 'held' ORDER BY r.holder, i.sku;
