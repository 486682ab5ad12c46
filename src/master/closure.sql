-- Closures: who is above a party, and what a price may name to mean an item. Kept over time by triggers: a change closes the old
-- interval at the stamp of the price clock and opens a new one, so that yesterday's answers do not move.

-- master_ancestors does the walk up from parties as they are now: itself, parent, and so on. A circle ends it at depth 16, and the
-- writer of it gets an error.
CREATE FUNCTION distsync_internal.master_ancestors(party_ids bigint[]) RETURNS TABLE (party_id bigint, ancestor_id bigint, depth smallint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE up AS (
		SELECT p.party_id, p.party_id AS ancestor_id, 0 AS depth FROM dist.party p WHERE p.party_id = ANY (party_ids)
		UNION ALL
		SELECT u.party_id, p.parent_id, u.depth + 1 FROM up u JOIN dist.party p ON p.party_id = u.ancestor_id
		WHERE p.parent_id IS NOT NULL AND u.depth < 17)
	SELECT u.party_id, u.ancestor_id, u.depth::smallint FROM up u
$$;
COMMENT ON FUNCTION distsync_internal.master_ancestors(bigint[]) IS 'Parties with themselves (depth 0) and everything above them as it is now, at most 17 steps.';

-- master_below does the listing of parties and all below them as they are now.
CREATE FUNCTION distsync_internal.master_below(party_ids bigint[]) RETURNS bigint[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE down AS (
		SELECT p.party_id, 0 AS depth FROM dist.party p WHERE p.party_id = ANY (party_ids)
		UNION
		SELECT p.party_id, d.depth + 1 FROM down d JOIN dist.party p ON p.parent_id = d.party_id WHERE d.depth < 17)
	SELECT COALESCE(array_agg(DISTINCT d.party_id), '{}') FROM down d
$$;
COMMENT ON FUNCTION distsync_internal.master_below(bigint[]) IS 'Parties and everything below them as it is now, at most 17 steps.';

-- master_close_parties does the moving of the closure for parties, which are given with all below them.
CREATE FUNCTION distsync_internal.master_close_parties(below bigint[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	circle text;
BEGIN
	SELECT p.code INTO circle FROM distsync_internal.master_ancestors(below) a JOIN dist.party p ON p.party_id = a.party_id WHERE a.depth > 16 ORDER BY p.code COLLATE "C" LIMIT 1;
	IF circle IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('party "%s" is above itself, or has more than 16 parties above it', circle), COLUMN = 'parent',
			DETAIL = 'Field: parent.', HINT = 'Correct the parents: from every party the way up must end.';
	END IF;
	UPDATE dist.party_ancestor c SET valid = tstzrange(lower(c.valid), greatest(t, lower(c.valid) + interval '1 microsecond'))
	WHERE c.party_id = ANY (below) AND upper_inf(c.valid)
		AND (c.party_id, c.ancestor_id, c.depth) NOT IN (SELECT n.party_id, n.ancestor_id, n.depth FROM distsync_internal.master_ancestors(below) n);
	-- a party that is new has always been where it is: prices and limits of before it came must find it
	INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth, valid)
	SELECT n.party_id, n.ancestor_id, n.depth, tstzrange(CASE WHEN k.party_id IS NOT NULL THEN greatest(t, o.ended) END, NULL)
	FROM distsync_internal.master_ancestors(below) n
	LEFT JOIN (SELECT DISTINCT c.party_id FROM dist.party_ancestor c WHERE c.party_id = ANY (below) AND c.ancestor_id = c.party_id) k ON k.party_id = n.party_id
	LEFT JOIN (SELECT c.party_id, c.ancestor_id, max(upper(c.valid)) AS ended, bool_or(upper_inf(c.valid)) AS current
		FROM dist.party_ancestor c WHERE c.party_id = ANY (below) GROUP BY 1, 2) o ON o.party_id = n.party_id AND o.ancestor_id = n.ancestor_id
	WHERE o.current IS NOT TRUE;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_close_parties(bigint[], timestamptz) IS
	'Brings dist.party_ancestor up to date for parties (with all below them: master_below()): changed rows end at the stamp, new ones begin there (for a new party: always). Errors: SD002 a circle, or more than 16 levels.';

-- master_targets does the listing of everything a price may name to mean an item, as it is now.
CREATE FUNCTION distsync_internal.master_targets(item_ids bigint[]) RETURNS TABLE (item_id bigint, what_kind text, what_key text, depth smallint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE chosen AS MATERIALIZED (SELECT i.* FROM dist.item i WHERE i.item_id = ANY (item_ids)),
	variant AS (
		SELECT i.item_id, i.variant_of_id AS above, 1 AS depth FROM chosen i WHERE i.variant_of_id IS NOT NULL
		UNION ALL
		SELECT v.item_id, p.variant_of_id, v.depth + 1 FROM variant v JOIN dist.item p ON p.item_id = v.above WHERE p.variant_of_id IS NOT NULL AND v.depth < 16),
	category AS (
		SELECT i.item_id, i.category_id AS above, 0 AS depth FROM chosen i WHERE i.category_id IS NOT NULL
		UNION ALL
		SELECT c.item_id, k.parent_id, c.depth + 1 FROM category c JOIN dist.category k ON k.category_id = c.above WHERE k.parent_id IS NOT NULL AND c.depth < 32)
	SELECT i.item_id, 'item', i.item_id::text, 0::smallint FROM chosen i
	UNION ALL SELECT v.item_id, 'variant_parent', v.above::text, min(v.depth)::smallint FROM variant v GROUP BY v.item_id, v.above
	UNION ALL SELECT c.item_id, 'category', c.above::text, min(c.depth)::smallint FROM category c GROUP BY c.item_id, c.above
	UNION ALL SELECT i.item_id, 'brand', i.brand, 0::smallint FROM chosen i WHERE i.brand <> ''
	UNION ALL SELECT i.item_id, 'family', i.family, 0::smallint FROM chosen i WHERE i.family <> ''
	UNION ALL SELECT i.item_id, 'vendor', i.vendor_id::text, 0::smallint FROM chosen i WHERE i.vendor_id IS NOT NULL
	UNION ALL SELECT i.item_id, 'all', '', 0::smallint FROM chosen i
$$;
COMMENT ON FUNCTION distsync_internal.master_targets(bigint[]) IS 'Items with everything that means them now: itself, variant parents, categories with their distance, brand, family, vendor, all.';

-- master_make_targets does the giving of numbers to what has none yet. Always under the price clock: two who make the same one at once
-- would wait for each other's commit, and must not wait for the clock after that.
CREATE FUNCTION distsync_internal.master_make_targets(kinds text[], keys text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.target (what_kind, what_key)
	SELECT DISTINCT n.kind, n.key FROM unnest(kinds, keys) n(kind, key)
	WHERE NOT EXISTS (SELECT FROM dist.target g WHERE g.what_kind = n.kind AND g.what_key = n.key)
	ORDER BY 1, 2 ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_make_targets(text[], text[]) IS 'Adds to dist.target what is missing of these kinds and keys (arrays of equal length). The caller holds the price clock.';

-- master_close_items does the moving of the closure for items.
CREATE FUNCTION distsync_internal.master_close_items(item_ids bigint[], t timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.master_make_targets(array_agg(m.what_kind), array_agg(m.what_key))
	FROM (SELECT DISTINCT n.what_kind, n.what_key FROM distsync_internal.master_targets(item_ids) n) m;
	UPDATE dist.item_target c SET valid = tstzrange(lower(c.valid), greatest(t, lower(c.valid) + interval '1 microsecond'))
	WHERE c.item_id = ANY (item_ids) AND upper_inf(c.valid)
		AND (c.item_id, c.what_kind, c.what_key, c.depth) NOT IN (SELECT n.item_id, n.what_kind, n.what_key, n.depth FROM distsync_internal.master_targets(item_ids) n);
	INSERT INTO dist.item_target (item_id, target_id, what_kind, what_key, depth, valid)
	SELECT n.item_id, g.target_id, n.what_kind, n.what_key, n.depth, tstzrange(CASE WHEN k.item_id IS NOT NULL THEN greatest(t, o.ended) END, NULL)
	FROM distsync_internal.master_targets(item_ids) n
	JOIN dist.target g ON g.what_kind = n.what_kind AND g.what_key = n.what_key
	LEFT JOIN (SELECT DISTINCT c.item_id FROM dist.item_target c WHERE c.item_id = ANY (item_ids) AND c.what_kind = 'all') k ON k.item_id = n.item_id
	LEFT JOIN (SELECT c.item_id, c.what_kind, c.what_key, max(upper(c.valid)) AS ended, bool_or(upper_inf(c.valid)) AS current
		FROM dist.item_target c WHERE c.item_id = ANY (item_ids) GROUP BY 1, 2, 3) o ON o.item_id = n.item_id AND o.what_kind = n.what_kind AND o.what_key = n.what_key
	WHERE o.current IS NOT TRUE;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_close_items(bigint[], timestamptz) IS
	'Brings dist.item_target, and dist.target, up to date for items: changed rows end at the stamp, new ones begin there (for a new item: always).';

-- master_open does the opening of a new party's or item's place from the beginning of time, also where its parent was set a moment later.
CREATE FUNCTION distsync_internal.master_open(target text, ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF target = 'party' THEN
		UPDATE dist.party_ancestor c SET valid = tstzrange(NULL, NULL) WHERE c.party_id = ANY (ids) AND upper_inf(c.valid) AND NOT lower_inf(c.valid);
	ELSIF target = 'item' THEN
		UPDATE dist.item_target c SET valid = tstzrange(NULL, NULL) WHERE c.item_id = ANY (ids) AND upper_inf(c.valid) AND NOT lower_inf(c.valid);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_open(text, bigint[]) IS 'Makes the closure rows of parties or items that were created in this call hold since always.';

-- master_party_inserted does the placing of new parties, whoever made them.
CREATE FUNCTION distsync_internal.master_party_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT c.party_id FROM come c);
BEGIN
	-- the trigger of a statement also runs where no row came
	IF cardinality(ids) > 0 THEN
		PERFORM distsync_internal.master_close_parties(ids, distsync_internal.base_touch_prices(distsync_internal.base_buckets(ids), '{}'));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_party_inserted() IS 'Statement trigger of dist.party: keeps dist.party_ancestor.';

-- master_party_updated does the moving of parties whose parent changed, and tells prices of the fields that they read.
CREATE FUNCTION distsync_internal.master_party_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- a set operation, because a join of transition tables is planned for the few rows of the first call
	moved bigint[] := ARRAY(SELECT m.party_id FROM (SELECT c.party_id, c.parent_id FROM come c EXCEPT SELECT g.party_id, g.parent_id FROM gone g) m);
	named bigint[] := ARRAY(SELECT m.party_id FROM (SELECT c.party_id, c.code FROM come c EXCEPT SELECT g.party_id, g.code FROM gone g) m);
	own bigint[] := ARRAY(SELECT m.party_id FROM (SELECT c.party_id, c.currency, c.price_class FROM come c EXCEPT SELECT g.party_id, g.currency, g.price_class FROM gone g) m);
	stamp timestamptz;
BEGIN
	IF cardinality(moved || named || own) > 0 THEN
		-- the clock first: who is below whom must not change while we look
		stamp := distsync_internal.base_touch_prices(distsync_internal.base_buckets(own), '{}');
	END IF;
	IF cardinality(moved || named) > 0 THEN
		named := distsync_internal.master_below(moved || named);
		moved := distsync_internal.master_below(moved);
		stamp := distsync_internal.base_touch_prices(distsync_internal.base_buckets(named), '{}');
	END IF;
	IF cardinality(moved) > 0 THEN
		PERFORM distsync_internal.master_close_parties(moved, stamp);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_party_updated() IS
	'Statement trigger of dist.party: keeps dist.party_ancestor, and moves the price epoch of parties whose currency or price class changed, and of those whose parent or code changed with all below them.';

-- master_party_deleted does the taking away of parties that are gone.
CREATE FUNCTION distsync_internal.master_party_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT g.party_id FROM gone g);
BEGIN
	IF cardinality(ids) > 0 THEN
		PERFORM distsync_internal.base_touch_prices(distsync_internal.base_buckets(ids), '{}');
		DELETE FROM dist.party_ancestor c WHERE c.party_id = ANY (ids) OR c.ancestor_id = ANY (ids);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_party_deleted() IS 'Statement trigger of dist.party: keeps dist.party_ancestor.';

-- master_item_inserted does the placing of new items, whoever made them.
CREATE FUNCTION distsync_internal.master_item_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT c.item_id FROM come c);
BEGIN
	-- the trigger of a statement also runs where no row came
	IF cardinality(ids) > 0 THEN
		PERFORM distsync_internal.master_close_items(ids, distsync_internal.base_touch_prices('{}', distsync_internal.base_buckets(ids)));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_item_inserted() IS 'Statement trigger of dist.item: keeps dist.item_target.';

-- master_item_updated does the moving of items that changed category, brand, family, vendor or parent, and of the variants below them,
-- and tells prices of the other fields that they read.
CREATE FUNCTION distsync_internal.master_item_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moved bigint[] := ARRAY(SELECT d.item_id FROM (
		SELECT c.item_id, c.category_id, c.brand, c.family, c.vendor_id, c.variant_of_id FROM come c
		EXCEPT SELECT g.item_id, g.category_id, g.brand, g.family, g.vendor_id, g.variant_of_id FROM gone g) d);
	own bigint[] := ARRAY(SELECT d.item_id FROM (
		SELECT c.item_id, c.sku, c.base_unit, c.weight, c.catch_weight, c.tax_class FROM come c
		EXCEPT SELECT g.item_id, g.sku, g.base_unit, g.weight, g.catch_weight, g.tax_class FROM gone g) d);
	stamp timestamptz;
BEGIN
	IF cardinality(moved || own) > 0 THEN
		stamp := distsync_internal.base_touch_prices('{}', distsync_internal.base_buckets(moved || own));
	END IF;
	IF cardinality(moved) > 0 THEN
		moved := ARRAY(WITH RECURSIVE variant AS (
			SELECT m AS item_id FROM unnest(moved) m UNION SELECT i.item_id FROM variant v JOIN dist.item i ON i.variant_of_id = v.item_id)
			SELECT v.item_id FROM variant v);
		stamp := distsync_internal.base_touch_prices('{}', distsync_internal.base_buckets(moved));
		PERFORM distsync_internal.master_close_items(moved, stamp);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_item_updated() IS
	'Statement trigger of dist.item: keeps dist.item_target, and moves the price epoch of items of which a field changed that prices read.';

-- master_item_deleted does the taking away of items that are gone.
CREATE FUNCTION distsync_internal.master_item_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT g.item_id FROM gone g);
BEGIN
	IF cardinality(ids) > 0 THEN
		PERFORM distsync_internal.base_touch_prices('{}', distsync_internal.base_buckets(ids));
		DELETE FROM dist.item_target c WHERE c.item_id = ANY (ids);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_item_deleted() IS 'Statement trigger of dist.item: keeps dist.item_target.';

-- master_category_changed does the same for the items in the subtrees of categories that moved.
CREATE FUNCTION distsync_internal.master_category_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT d.category_id FROM (SELECT c.category_id, c.parent_id FROM come c EXCEPT SELECT g.category_id, g.parent_id FROM gone g) d);
BEGIN
	IF cardinality(ids) = 0 THEN
		RETURN NULL;
	END IF;
	-- the clock first: what lies below must not change while we look
	PERFORM distsync_internal.base_lock_prices();
	ids := ARRAY(WITH RECURSIVE moved AS (
		SELECT m AS category_id FROM unnest(ids) m UNION SELECT k.category_id FROM moved m JOIN dist.category k ON k.parent_id = m.category_id)
		SELECT i.item_id FROM moved m JOIN dist.item i ON i.category_id = m.category_id);
	IF cardinality(ids) > 0 THEN
		PERFORM distsync_internal.master_close_items(ids, distsync_internal.base_touch_prices('{}', distsync_internal.base_buckets(ids)));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_category_changed() IS 'Statement trigger of dist.category: keeps dist.item_target of the items below.';

-- master_triggers does the setting of the triggers above; part of setup().
CREATE FUNCTION distsync_internal.master_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CREATE OR REPLACE TRIGGER party_insert_trg AFTER INSERT ON dist.party REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_party_inserted();
	CREATE OR REPLACE TRIGGER party_update_trg AFTER UPDATE ON dist.party REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_party_updated();
	CREATE OR REPLACE TRIGGER party_delete_trg AFTER DELETE ON dist.party REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_party_deleted();
	CREATE OR REPLACE TRIGGER item_insert_trg AFTER INSERT ON dist.item REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_item_inserted();
	CREATE OR REPLACE TRIGGER item_update_trg AFTER UPDATE ON dist.item REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_item_updated();
	CREATE OR REPLACE TRIGGER item_delete_trg AFTER DELETE ON dist.item REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_item_deleted();
	CREATE OR REPLACE TRIGGER category_update_trg AFTER UPDATE ON dist.category REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION distsync_internal.master_category_changed();
	PERFORM distsync_internal.master_touch_triggers();
	PERFORM distsync_internal.base_watch_codes('dist', 'site');
END
$$;
COMMENT ON FUNCTION distsync_internal.master_triggers() IS 'Part of setup(): creates the triggers that keep the closures and move the price epoch.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'master', 10, 'distsync_internal.master_triggers');

-- master_verify does the proof that the closures say what the tables say.
CREATE FUNCTION distsync_internal.master_verify() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH should AS MATERIALIZED (SELECT * FROM distsync_internal.master_ancestors(ARRAY(SELECT p.party_id FROM dist.party p))),
	held AS MATERIALIZED (SELECT c.party_id, c.ancestor_id, c.depth FROM dist.party_ancestor c WHERE upper_inf(c.valid))
	SELECT 'party_closure', 'party', COALESCE(p.code, d.party_id::text), jsonb_build_object('ancestor_id', d.ancestor_id, 'depth', d.depth, 'held', d.held)
	FROM ((SELECT s.*, false AS held FROM (TABLE should EXCEPT TABLE held) s) UNION ALL (SELECT h.*, true FROM (TABLE held EXCEPT TABLE should) h)) d
	LEFT JOIN dist.party p ON p.party_id = d.party_id
	UNION ALL
	SELECT 'item_closure', 'item', COALESCE(i.sku, d.item_id::text), jsonb_build_object('what_kind', d.what_kind, 'what_key', d.what_key, 'held', d.held)
	FROM (
		SELECT s.*, false AS held FROM (
			SELECT * FROM distsync_internal.master_targets(ARRAY(SELECT i.item_id FROM dist.item i))
			EXCEPT SELECT c.item_id, g.what_kind, g.what_key, c.depth FROM dist.item_target c JOIN dist.target g ON g.target_id = c.target_id WHERE upper_inf(c.valid)) s
		UNION ALL
		SELECT h.*, true FROM (
			SELECT c.item_id, c.what_kind, c.what_key, c.depth FROM dist.item_target c WHERE upper_inf(c.valid)
			EXCEPT SELECT * FROM distsync_internal.master_targets(ARRAY(SELECT i.item_id FROM dist.item i))) h) d
	LEFT JOIN dist.item i ON i.item_id = d.item_id
$$;
COMMENT ON FUNCTION distsync_internal.master_verify() IS 'Invariants of master data: the closures of parties and items equal what the tables say. No row = fine.';
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('verify', 'master', 'distsync_internal.master_verify');
