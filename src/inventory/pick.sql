-- Picking: which of the stock that a perspective knows has left with a shipment. A shipment names an item and perhaps a lot; whose goods they
-- were, and in which state, follows from what there is.

-- inventory_pick does the choice: what was set aside for the line first; then the lot that is named, wherever it lies, or, where none is, loose
-- stock before lots, those that expire first before others; ours before what belongs to somebody else. What nobody knew of is taken all the
-- same: the goods are gone.
CREATE FUNCTION distsync_internal.inventory_pick(item_id bigint, site_id bigint, perspective text, lot text, quantity numeric, allocated numeric, event_at timestamptz)
RETURNS TABLE (state text, from_lot text, owner_id bigint, taken numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH known AS MATERIALIZED (
		SELECT b.state, b.lot, b.owner_id, b.quantity, b.state = 'allocated' AS aside, s.promisable, p.code COLLATE "C" AS owner, b.expires_on, b.lot <> inventory_pick.lot AS other, z.tz
		FROM dist.stock_balance b JOIN dist.stock_state s ON s.state = b.state JOIN dist.site z ON z.site_id = b.site_id LEFT JOIN dist.party p ON p.party_id = b.owner_id
		WHERE b.item_id = inventory_pick.item_id AND b.site_id = inventory_pick.site_id AND b.perspective = inventory_pick.perspective AND s.physical
	), part AS (
		SELECT w.aside, w.quantity FROM (VALUES (true, inventory_pick.allocated), (false, inventory_pick.quantity - inventory_pick.allocated)) w(aside, quantity) WHERE w.quantity > 0
	), pile AS (
		SELECT w.aside, w.quantity AS wanted, k.state, k.lot, k.owner_id, k.quantity,
			sum(k.quantity) OVER (PARTITION BY w.aside ORDER BY k.other AND inventory_pick.lot <> '', NOT k.promisable, k.state <> 'available', k.state COLLATE "C", k.owner NULLS FIRST, k.lot <> '',
				k.expires_on < (inventory_pick.event_at AT TIME ZONE k.tz)::date NULLS FIRST, k.expires_on, k.lot COLLATE "C" ROWS UNBOUNDED PRECEDING) AS until
		FROM part w JOIN known k ON k.quantity > 0 AND k.aside = w.aside AND (w.aside OR k.promisable OR NOT k.other AND k.lot <> '') AND (inventory_pick.lot IN ('', k.lot) OR k.lot = '')
	), found AS (
		SELECT p.aside, p.state, p.lot, p.owner_id, least(p.until, p.wanted) - (p.until - p.quantity) AS taken FROM pile p WHERE p.until - p.quantity < p.wanted
	), short AS (
		SELECT w.aside, CASE WHEN w.aside THEN 'allocated' ELSE 'available' END, CASE WHEN EXISTS (SELECT FROM known k WHERE k.lot <> '') OR NOT EXISTS (SELECT FROM known) THEN inventory_pick.lot ELSE '' END, 0::bigint,
			w.quantity - COALESCE((SELECT sum(f.taken) FROM found f WHERE f.aside = w.aside), 0) AS taken
		FROM part w
	)
	SELECT u.state, u.lot, u.owner_id, sum(u.taken) FROM (SELECT * FROM found UNION ALL SELECT * FROM short s WHERE s.taken > 0) u GROUP BY u.state, u.lot, u.owner_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_pick(bigint, bigint, text, text, numeric, numeric, timestamptz) IS
	'The stock of a perspective that a shipment takes: state, lot, owner (0 = us) and base units, which add up to quantity. lot: the one that is named, '''' = none; allocated: part of quantity that leaves the state allocated. Where there is not enough, the rest is of the lot that is named (of none, where the perspective keeps no lots), ours and available, below 0. The caller holds the pool''s lock.';
