-- The closures: who stands above whom, what a price may name to mean an item, and since when. Also when tables are changed directly.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
INSERT INTO sync.system (code, kind) VALUES ('mc-erp', 'erp');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT distsync.apply_all('party', '[{"code":"MC-1","name":"1"},{"code":"MC-2","name":"2","parent":"MC-1"},{"code":"MC-3","name":"3","parent":"MC-2"},{"code":"MC-9","name":"9"}]', 'mc-erp');
\o
CREATE VIEW public.mc_up AS
	SELECT p.code AS party, a.code AS ancestor, c.depth, lower_inf(c.valid) AS always, upper_inf(c.valid) AS current
	FROM dist.party_ancestor c JOIN dist.party p ON p.party_id = c.party_id JOIN dist.party a ON a.party_id = c.ancestor_id
	WHERE p.code LIKE 'MC-%' ORDER BY p.code COLLATE "C", c.depth, a.code COLLATE "C", lower(c.valid) NULLS FIRST;
-- a new party has always been where it is
SELECT * FROM public.mc_up;
-- a move closes and opens, for everything below too
\o /dev/null
SELECT distsync.apply('party', '{"code":"MC-2","parent":"MC-9"}', 'mc-erp');
\o
SELECT * FROM public.mc_up WHERE party <> 'MC-1';
-- and back: two periods, no overlap; what did not change was not touched
\o /dev/null
SELECT distsync.apply('party', '{"code":"MC-2","parent":"MC-1"}', 'mc-erp');
\o
SELECT party, ancestor, count(*) AS periods, count(*) FILTER (WHERE current) AS current FROM public.mc_up GROUP BY 1, 2 ORDER BY 1, 2;
-- directly, and several in one statement
UPDATE dist.party SET parent_id = NULL WHERE code IN ('MC-2', 'MC-3');
SELECT party, ancestor FROM public.mc_up WHERE current;
UPDATE dist.party SET name = name WHERE code LIKE 'MC-%';
SELECT invariant, entity_key FROM distsync_internal.master_verify() WHERE entity_key LIKE 'MC-%';
-- a party that goes takes its place along
DELETE FROM dist.party WHERE code = 'MC-9';
SELECT count(*) FROM public.mc_up WHERE party = 'MC-9' OR ancestor = 'MC-9';
\set SHOW_CONTEXT never
UPDATE dist.party a SET parent_id = b.party_id FROM dist.party b WHERE (a.code, b.code) IN (('MC-1', 'MC-3'), ('MC-3', 'MC-1'));
\echo :LAST_ERROR_SQLSTATE

CREATE VIEW public.mc_means AS
	SELECT i.sku, t.what_kind, CASE t.what_kind WHEN 'category' THEN (SELECT c.code FROM dist.category c WHERE c.category_id::text = t.what_key)
		WHEN 'item' THEN (SELECT o.sku FROM dist.item o WHERE o.item_id::text = t.what_key) WHEN 'variant_parent' THEN (SELECT o.sku FROM dist.item o WHERE o.item_id::text = t.what_key)
		WHEN 'vendor' THEN (SELECT p.code FROM dist.party p WHERE p.party_id::text = t.what_key) ELSE t.what_key END AS what, t.depth, lower_inf(t.valid) AS always, upper_inf(t.valid) AS current
	FROM dist.item_target t JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'MC-%'
	ORDER BY i.sku COLLATE "C", t.what_kind COLLATE "C", t.depth, 3, lower(t.valid) NULLS FIRST;
\o /dev/null
SELECT distsync.apply_all('category', '[{"code":"MC-A"},{"code":"MC-B","parent":"MC-A"},{"code":"MC-C","parent":"MC-B"},{"code":"MC-Z"}]', 'mc-erp');
SELECT distsync.apply_all('item', '[{"sku":"MC-V","base_unit":"EA","variant_of":"MC-P"},{"sku":"MC-P","base_unit":"EA","category":"MC-C","brand":"acme","vendor":"MC-1"}]', 'mc-erp');
\o
SELECT * FROM public.mc_means;
-- the tree moves under the item; the brand changes
\o /dev/null
SELECT distsync.apply('category', '{"code":"MC-B","parent":"MC-Z"}', 'mc-erp');
SELECT distsync.apply('item', '{"sku":"MC-P","brand":"other","vendor":null}', 'mc-erp');
\o
SELECT * FROM public.mc_means WHERE sku = 'MC-P';
SELECT invariant, entity_key FROM distsync_internal.master_verify() WHERE entity_key LIKE 'MC-%';
-- the epoch moves with every change that may matter to a price, and only then
SELECT n AS before FROM dist.epoch WHERE domain = 'master' AND bucket = 0 \gset
\o /dev/null
SELECT distsync.apply('item', '{"sku":"MC-P","brand":"other"}', 'mc-erp');
\o
SELECT n = :before AS still FROM dist.epoch WHERE domain = 'master' AND bucket = 0;
UPDATE dist.item SET brand = 'third' WHERE sku = 'MC-P';
SELECT n > :before AS moved FROM dist.epoch WHERE domain = 'master' AND bucket = 0;
DROP VIEW public.mc_up, public.mc_means;
