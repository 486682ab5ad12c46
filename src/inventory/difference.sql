-- Differences: what counts found more or less than was known, and what that is worth.

-- inventory_told_before does the look for anything that was told of a key before an event: the first is an opening balance.
CREATE FUNCTION distsync_internal.inventory_told_before(item_id bigint, site_id bigint, perspective text, state text, lot text, owner_id bigint, event_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN EXISTS (SELECT FROM dist.stock_event o WHERE o.item_id = inventory_told_before.item_id AND o.site_id = inventory_told_before.site_id AND o.event_id < inventory_told_before.event_id
			AND o.perspective = inventory_told_before.perspective AND o.state = inventory_told_before.state AND o.lot = inventory_told_before.lot AND o.owner_id = inventory_told_before.owner_id)
		OR EXISTS (SELECT FROM dist.stock_checkpoint c WHERE c.item_id = inventory_told_before.item_id AND c.site_id = inventory_told_before.site_id
			AND c.perspective = inventory_told_before.perspective AND c.state = inventory_told_before.state AND c.lot = inventory_told_before.lot AND c.owner_id = inventory_told_before.owner_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_told_before(bigint, bigint, text, text, text, bigint, bigint) IS 'Whether any event of this balance was told before the named one.';

-- inventory_counted does the telling of differences that are worth it: only of the voice that leads at a site, the warehouse where
-- there is one, because the book counts what the warehouse has counted; and only of what is ours.
CREATE FUNCTION distsync_internal.inventory_counted(movements distsync_internal.inventory_movement[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	least_value numeric := COALESCE(NULLIF(current_setting('distsync.count_difference', true), '')::numeric, 100);
	c record;
BEGIN
	IF least_value < 0 OR NOT EXISTS (SELECT FROM unnest(movements) m WHERE m.kind = 'count') THEN
		RETURN;
	END IF;
	FOR c IN
		SELECT m.*, e.quantity AS difference, i.sku, s.code AS site, y.code AS company, round(e.quantity * v.cost, 4) AS value, v.currency
		FROM unnest(movements) m
		JOIN dist.stock_event e ON e.item_id = m.item_id AND e.site_id = m.site_id AND e.event_at = m.event_at AND e.kind = 'count' AND e.quantity <> 0
			AND e.perspective = m.perspective AND e.state = m.state AND e.lot = m.lot AND e.owner_id = m.owner_id AND e.source = m.source AND e.event_key = m.event_key
		JOIN dist.stock_state t ON t.state = m.state AND t.owned
		JOIN dist.site s ON s.site_id = m.site_id
		JOIN dist.company y ON y.company_id = s.company_id
		JOIN dist.item i ON i.item_id = m.item_id
		CROSS JOIN LATERAL distsync_internal.master_cost(m.item_id, s.company_id, m.site_id, m.event_at) v
		WHERE m.kind = 'count' AND m.owner_id = 0 AND abs(e.quantity * v.cost) >= least_value
			AND (m.perspective = 'phys' OR NOT EXISTS (SELECT FROM dist.stock_balance b WHERE b.item_id = m.item_id AND b.site_id = m.site_id AND b.perspective = 'phys'))
			AND distsync_internal.inventory_told_before(e.item_id, e.site_id, e.perspective, e.state, e.lot, e.owner_id, e.event_id)
		ORDER BY m.ordinal
	LOOP
		PERFORM distsync_internal.base_exception('count_difference', concat_ws(':', c.source, c.event_key), 'stock', 'warning', c.company, 'item_site', c.sku || '@' || c.site,
			jsonb_strip_nulls(jsonb_build_object('sku', c.sku, 'site', c.site, 'perspective', c.perspective, 'state', c.state, 'lot', NULLIF(c.lot, ''), 'counted_at', c.event_at, 'counted', c.counted,
				'known', c.counted - c.difference, 'value', c.value, 'source', c.source, 'event_id', c.event_key)), c.difference, abs(c.value), c.currency, c.correlation_id);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_counted(distsync_internal.inventory_movement[]) IS
	'Opens the exception count_difference for each count among these movements, which are posted, that differs from what was known by at least the value of distsync.count_difference.';

CREATE TYPE distsync_internal.inventory_difference AS (
	item		text,
	site		text,
	perspective	text,
	state		text,
	lot			text,
	owner		text,
	counted_at	timestamptz,
	counted		numeric,
	known		numeric,
	difference	numeric,
	unit		text,
	value		numeric,
	currency	text,
	source		text,
	event_id	text,
	recorded_at	timestamptz
);
COMMENT ON TYPE distsync_internal.inventory_difference IS 'A count that found something else than was known: codes, lot ('''' = none), owner (NULL = us), quantities in the base unit (difference = counted - known), its value by the cost of then, with its sign (NULL = no cost, or not ours), source and its name of the count, when we learnt of it.';

-- count_differences does the listing of what counts found, with its value.
CREATE FUNCTION distsync.count_differences(item text DEFAULT NULL, site text DEFAULT NULL, from_at timestamptz DEFAULT NULL, to_at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.inventory_difference
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
	wanted jsonb := distsync_internal.base_options(count_differences.options, '{perspective:book|phys,limit:integer:1:100000}');
	for_item bigint := CASE WHEN count_differences.item IS NOT NULL THEN distsync_internal.master_item(count_differences.item, 'item') END;
	for_site bigint := CASE WHEN count_differences.site IS NOT NULL THEN distsync_internal.master_site(count_differences.site, 'site') END;
BEGIN
	RETURN QUERY
	SELECT i.sku, s.code, e.perspective, e.state, e.lot, p.code, e.event_at, e.counted, e.counted - e.quantity, e.quantity, i.base_unit, round(e.quantity * v.cost, 4), v.currency, e.source, e.event_key, e.recorded_at
	FROM dist.stock_event e
	JOIN dist.item i ON i.item_id = e.item_id
	JOIN dist.site s ON s.site_id = e.site_id
	JOIN dist.stock_state t ON t.state = e.state
	LEFT JOIN dist.party p ON p.party_id = e.owner_id AND e.owner_id <> 0
	LEFT JOIN LATERAL distsync_internal.master_cost(e.item_id, s.company_id, e.site_id, e.event_at) v ON t.owned AND e.owner_id = 0
	WHERE e.kind = 'count' AND e.quantity <> 0 AND (for_item IS NULL OR e.item_id = for_item) AND (for_site IS NULL OR e.site_id = for_site)
		AND (count_differences.from_at IS NULL OR e.event_at >= count_differences.from_at) AND (count_differences.to_at IS NULL OR e.event_at < count_differences.to_at)
		AND (wanted->>'perspective' IS NULL OR e.perspective = wanted->>'perspective')
		AND distsync_internal.inventory_told_before(e.item_id, e.site_id, e.perspective, e.state, e.lot, e.owner_id, e.event_id)
	ORDER BY abs(round(e.quantity * v.cost, 4)) DESC NULLS LAST, e.event_at DESC, i.sku COLLATE "C", s.code COLLATE "C", e.source COLLATE "C", e.event_key COLLATE "C"
	LIMIT COALESCE((wanted->>'limit')::integer, 1000);
END
$$;
COMMENT ON FUNCTION distsync.count_differences(text, text, timestamptz, timestamptz, jsonb) IS
	'What counts found more or less than was known, of an item (NULL = all) at a site (NULL = all), counted in [from_at, to_at) (NULL = open), the most valuable first. A count that later events of before it moved shows the difference as it was when it was told. Options: perspective book | phys, limit (1,000). Reads only. Errors: SD001 unknown item or site, SD002 option.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('count_differences', '{reader,integrator,operator,admin}');
