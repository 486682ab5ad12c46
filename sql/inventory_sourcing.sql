-- Which site serves a line first: a chain of rules, as an option or as a default of company and channel.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('item', '[{"sku":"SRC-A","base_unit":"EA"},{"sku":"SRC-P","base_unit":"EA"}]', 'distsync');
SELECT * FROM distsync.apply('item', '{"sku":"SRC-K","base_unit":"EA","kit":true,"components":[{"sku":"SRC-A","quantity":2},{"sku":"SRC-P","quantity":1}]}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"SRC","name":"s","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"SRC-1","name":"1","company":"SRC","rank":1},{"code":"SRC-2","name":"2","company":"SRC","rank":2},{"code":"SRC-3","name":"3","company":"SRC","rank":3},{"code":"SRC-4","name":"4","company":"SRC","rank":3}]', 'distsync');
SELECT * FROM distsync.apply_all('channel', '[{"code":"SRC-WEB","name":"w"},{"code":"SRC-SHOP","name":"s"}]', 'distsync');
SELECT distsync.add_system('src-wms', 'wms');
SELECT * FROM distsync.apply_all('stock_event', '[{"event_id":"src1","kind":"count","sku":"SRC-A","site":"SRC-1","quantity":4,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"src2","kind":"count","sku":"SRC-A","site":"SRC-2","quantity":6,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"src3","kind":"count","sku":"SRC-A","site":"SRC-3","quantity":9,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"src4","kind":"count","sku":"SRC-A","site":"SRC-4","quantity":9,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"src5","kind":"count","sku":"SRC-P","site":"SRC-1","quantity":1,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"src6","kind":"count","sku":"SRC-P","site":"SRC-2","quantity":9,"event_at":"2024-01-10T10:00:00Z"},
	{"event_id":"src7","kind":"count","sku":"SRC-P","site":"SRC-4","quantity":9,"event_at":"2024-01-10T10:00:00Z"}]', 'src-wms');
\o
-- who would serve it, without taking anything: the same decision as a preview
CREATE FUNCTION pg_temp.served(sku text, quantity numeric, options jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', p.outcome, s.code, trim_scale(p.base_quantity)), ', ' ORDER BY s.code) FROM dist.item i,
		distsync_internal.inventory_preview(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', i.item_id, 'base_quantity', quantity)),
			distsync_internal.inventory_reserve_options(options) || '{"kits":true}') p LEFT JOIN dist.site s ON s.site_id = p.site_id WHERE i.sku = served.sku $$;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
SELECT q, o, pg_temp.served('SRC-A', q, o) FROM unnest(ARRAY[3, 5, 7, 12, 29]) q, unnest(ARRAY['{}', '{"sourcing":["rank"]}', '{"sourcing":["fewest_splits"]}', '{"sourcing":["most_available"]}',
	'{"sourcing":["preferred","fewest_splits"],"preferred":["SRC-2","SRC-4"]}', '{"sourcing":["whole","preferred"],"preferred":["SRC-4"],"split":false}']::jsonb[]) o ORDER BY q, o::text COLLATE "C";
-- a kit comes from the site where there are enough of all its components
SELECT q, o, pg_temp.served('SRC-K', q, o) FROM unnest(ARRAY[1, 3, 8]) q, unnest(ARRAY['{}', '{"sourcing":["most_available"]}', '{"sourcing":["preferred"],"preferred":["SRC-3","SRC-4"]}']::jsonb[]) o ORDER BY q, o::text COLLATE "C";
-- defaults: the most particular rule; what the call says comes first
SELECT outcome FROM distsync.apply_all('sourcing_rule', '[{"company":"SRC","rules":["preferred","rank"],"preferred":["SRC-3"]},{"company":"SRC","channel":"SRC-WEB","rules":["most_available"]},{"channel":"SRC-SHOP","rules":["fewest_splits","preferred"],"preferred":["SRC-4"]}]', 'src-wms');
SELECT o, pg_temp.served('SRC-A', 5, o) FROM unnest(ARRAY['{}', '{"company":"SRC"}', '{"company":"SRC","channel":"SRC-WEB"}', '{"channel":"SRC-WEB"}', '{"channel":"SRC-SHOP"}', '{"company":"SRC","channel":"SRC-SHOP"}', '{"company":"SRC","sourcing":["rank"]}',
	'{"company":"SRC","preferred":["SRC-2"]}']::jsonb[]) o ORDER BY o::text COLLATE "C";
SELECT ordinal, outcome, site, quantity FROM distsync.reserve('[{"item":"SRC-A","quantity":8},{"item":"SRC-A","quantity":8},{"item":"SRC-K","quantity":2}]', '{"company":"SRC","holder":"src","commit":true}');
SELECT * FROM broken;
SELECT outcome FROM distsync.apply('sourcing_rule', '{"company":"SRC","rules":null}', 'src-wms');
SELECT r.rules, cardinality(r.preferred) AS preferred FROM dist.sourcing_rule r ORDER BY r.rules;
SELECT outcome FROM distsync.apply_all('sourcing_rule', '[{"company":"SRC"},{"company":"SRC","channel":"SRC-WEB"},{"channel":"SRC-SHOP"}]', 'src-wms', NULL, '{"operation":"deactivate"}');
SELECT count(*) FROM dist.sourcing_rule;
-- what cannot be
SELECT o->>'rules' AS rules, a.outcome, a.sqlstate, a.field, a.message FROM unnest(ARRAY['{"company":"SRC-NOT"}', '{"channel":"SRC-NOT"}', '{"rules":["rank","rank","rank","rank","rank","rank"]}', '{"rules":["cheapest"]}', '{"preferred":["SRC-1","SRC-NOT"]}']::jsonb[]) WITH ORDINALITY x(o, n),
	distsync.apply_all('sourcing_rule', jsonb_build_array(o), 'src-wms', NULL, '{"on_error":"collect"}') a ORDER BY x.n;
SELECT * FROM distsync.reserve('[{"item":"SRC-A","quantity":1}]', '{"sourcing":["cheapest"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"SRC-A","quantity":1}]', '{"preferred":"SRC-1"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"SRC-A","quantity":1}]', '{"preferred":["SRC-NOT"]}');
\echo :LAST_ERROR_SQLSTATE
