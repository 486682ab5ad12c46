-- Goods that come back: into a state that is not promised, from there into the state in which they were found, or out of the books again.

-- inventory_take_back does the movements of goods that came back.
CREATE FUNCTION distsync_internal.inventory_take_back(moves jsonb, site_id bigint, happened_at timestamptz, source text, reference text, correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	k record;
	native boolean := EXISTS (SELECT FROM sync.ownership o WHERE o.domain = 'stock' AND o.system = 'distsync' AND o.mode = 'native' AND o.valid @> statement_timestamp()
		AND o.company IN ('*', (SELECT c.code FROM dist.site s JOIN dist.company c ON c.company_id = s.company_id WHERE s.site_id = inventory_take_back.site_id)));
BEGIN
	IF (SELECT s.kind FROM dist.site s WHERE s.site_id = inventory_take_back.site_id) = 'vendor' THEN
		RETURN;
	END IF;
	SELECT * INTO k FROM distsync_internal.inventory_lock_demand(NULL, ARRAY(SELECT DISTINCT m.item_id FROM jsonb_to_recordset(moves) m(item_id bigint) ORDER BY m.item_id),
		ARRAY(SELECT inventory_take_back.site_id FROM (SELECT DISTINCT m.item_id FROM jsonb_to_recordset(moves) m(item_id bigint)) d));
	PERFORM distsync_internal.inventory_post(ARRAY(
		SELECT ROW(1, m.item_id, inventory_take_back.site_id, p.perspective, l.state, m.lot, 0, CASE WHEN m.from_state IS NULL THEN 'receive' WHEN m.to_state IS NULL THEN 'delta' ELSE 'transfer' END, l.sign * m.quantity, NULL,
			inventory_take_back.happened_at, inventory_take_back.source, '', NULL, inventory_take_back.reference, NULL, NULL, NULL, inventory_take_back.correlation_id)::distsync_internal.inventory_movement
		FROM (SELECT x.item_id, x.lot, x.from_state, x.to_state, sum(x.quantity) AS quantity FROM jsonb_to_recordset(moves) x(item_id bigint, lot text, from_state text, to_state text, quantity numeric) GROUP BY 1, 2, 3, 4) m
		CROSS JOIN LATERAL (SELECT ARRAY(SELECT DISTINCT b.perspective FROM dist.stock_balance b WHERE b.item_id = m.item_id AND b.site_id = inventory_take_back.site_id) AS known) w
		CROSS JOIN LATERAL (VALUES ('phys', w.known <> '{book}'), ('book', native AND w.known <> '{phys}')) p(perspective, wanted)
		CROSS JOIN LATERAL (VALUES (m.from_state, -1), (m.to_state, 1)) l(state, sign)
		WHERE p.wanted AND l.state IS NOT NULL AND m.quantity > 0
		ORDER BY m.item_id, p.perspective, m.lot COLLATE "C", l.state COLLATE "C"));
	PERFORM distsync_internal.inventory_refresh(k.items, k.sites, inventory_take_back.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_back(jsonb, bigint, timestamptz, text, text, uuid) IS
	'Moves goods that a customer sent back, [{"item_id", "lot", "from_state" (null = they come in), "to_state" (null = they leave our books), "quantity" above 0 in base units}] at a site: physical unless only the book knows the item there, book only where stock is native; a book of somebody else''s he moves himself. reference: document that the book will name too. Locks the pools, last of all locks, and refreshes them.';
