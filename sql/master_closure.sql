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
-- everything that an item may be called has a number, and keeps it
SELECT count(*) AS without FROM dist.item_target t JOIN dist.item i USING (item_id) LEFT JOIN dist.target g ON g.target_id = t.target_id AND g.what_kind = t.what_kind AND g.what_key = t.what_key
WHERE i.sku LIKE 'MC-%' AND g.target_id IS NULL;
-- the price clock moves with every change that may matter to a price, and only then
SELECT n AS before FROM dist.epoch WHERE domain = 'clock' \gset
\o /dev/null
SELECT distsync.apply('item', '{"sku":"MC-P","brand":"other"}', 'mc-erp');
\o
SELECT n = :before AS still FROM dist.epoch WHERE domain = 'clock';
UPDATE dist.item SET brand = 'third' WHERE sku = 'MC-P';
SELECT n > :before AS moved FROM dist.epoch WHERE domain = 'clock';
-- and with it the rows of what changed, no others: of a party and all below it if its parent or code changed, of itself otherwise
CREATE FUNCTION public.mc_moved(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	clock bigint := (SELECT n FROM dist.epoch WHERE domain = 'clock');
BEGIN
	EXECUTE statement;
	RETURN ARRAY(SELECT e.domain || COALESCE(' ' || p.code, ' ' || i.sku, CASE WHEN e.bucket = 0 THEN ' shared' ELSE ' other' END)
		FROM dist.epoch e LEFT JOIN dist.party p ON e.domain = 'price' AND p.code LIKE 'MC-%' AND e.bucket = 1 + p.party_id % 256
		LEFT JOIN dist.item i ON e.domain = 'item' AND i.sku LIKE 'MC-%' AND e.bucket = 1 + i.item_id % 256
		WHERE e.n > clock AND e.domain <> 'clock' ORDER BY 1);
END
$$;
SELECT s, public.mc_moved(s) FROM unnest(ARRAY[
	$s$UPDATE dist.party SET name = 'x', segment = 'y' WHERE code = 'MC-1'$s$,
	$s$UPDATE dist.party SET price_class = 'gold' WHERE code = 'MC-1'$s$,
	$s$UPDATE dist.party SET parent_id = (SELECT party_id FROM dist.party WHERE code = 'MC-1') WHERE code = 'MC-2'$s$,
	$s$UPDATE dist.party SET parent_id = (SELECT party_id FROM dist.party WHERE code = 'MC-2') WHERE code = 'MC-3'$s$,
	$s$UPDATE dist.party SET code = 'MC-2x' WHERE code = 'MC-2'$s$,
	$s$UPDATE dist.item SET name = 'x', lot_controlled = true WHERE sku = 'MC-P'$s$,
	$s$UPDATE dist.item SET weight = 2 WHERE sku = 'MC-P'$s$,
	$s$UPDATE dist.item SET variant_of_id = NULL WHERE sku = 'MC-V'$s$,
	$s$INSERT INTO dist.unit (unit) VALUES ('MC')$s$,
	$s$INSERT INTO dist.item_unit (item_id, unit, numerator) SELECT item_id, 'MC', 3 FROM dist.item WHERE sku = 'MC-V'$s$,
	$s$UPDATE dist.item_unit SET numerator = 3 WHERE unit = 'MC'$s$,
	$s$DELETE FROM dist.item_unit WHERE unit = 'MC'$s$,
	$s$INSERT INTO dist.party_group (kind, code) VALUES ('region', 'MC-R')$s$,
	$s$UPDATE dist.party_group SET name = 'x' WHERE code = 'MC-R'$s$,
	$s$INSERT INTO dist.party_member (party_id, group_id) SELECT p.party_id, g.group_id FROM dist.party p, dist.party_group g WHERE p.code = 'MC-3' AND g.code = 'MC-R'$s$,
	$s$INSERT INTO dist.channel (code) VALUES ('MC-W')$s$,
	$s$UPDATE dist.channel SET name = 'x' WHERE code = 'MC-W'$s$,
	$s$DELETE FROM dist.channel WHERE code = 'MC-W'$s$]) s;
-- a second write of a transaction is after the first; exchange rates and costs are known from the stamp on, and the same again moves nothing
BEGIN;
SELECT distsync_internal.base_touch_prices('{}', '{}') < distsync_internal.base_touch_prices('{}', '{}') AS later;
ROLLBACK;
\o /dev/null
SELECT distsync.apply('currency', '{"currency":"USD"}', 'mc-erp'), distsync.apply('currency', '{"currency":"XMC"}', 'mc-erp');
\o
CREATE FUNCTION public.mc_rate(rate text) RETURNS text LANGUAGE sql AS $$ SELECT outcome FROM distsync.apply('exchange_rate', jsonb_build_object('from_currency', 'XMC', 'to_currency', 'USD', 'rate', rate, 'valid_from', '2026-01-01T00:00:00Z'), 'mc-erp') $$;
SELECT r, public.mc_moved(format('SELECT public.mc_rate(%L)', r)) FROM unnest('{2,2.0,3}'::text[]) r;
SELECT x.rate::float8, lower(x.known) <= e.stamped_at AS stamped, upper_inf(x.known) AS held FROM dist.exchange_rate x, dist.epoch e WHERE x.from_currency = 'XMC' AND e.domain = 'clock' ORDER BY held;
DROP FUNCTION public.mc_moved(text), public.mc_rate(text);
DROP VIEW public.mc_up, public.mc_means;
