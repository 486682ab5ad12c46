-- Steps: a unit says with how many decimals it is counted. What is asked for in a unit is promised in whole steps of it, at each site, and
-- in whole steps of the base unit: a box that lies half at one site and half at another is no box. Six decimals, as finely as stock is
-- kept, are no limit.

-- inventory_step does the reckoning of the smallest quantity that can be promised of an item in a unit.
CREATE FUNCTION distsync_internal.inventory_step(numerator numeric, denominator numeric, scale integer, base_scale integer) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN trim_scale(NULLIF(lcm(CASE WHEN scale < 6 THEN numerator * 10::numeric ^ (6 - scale) / gcd(numerator * 10::numeric ^ (6 - scale), denominator) ELSE 1 END, 10::numeric ^ (6 - base_scale)), 1) / 1000000);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_step(numeric, numeric, integer, integer) IS
	'Smallest quantity in base units that is whole in a unit of numerator / denominator base units counted with scale decimals, and in a base unit counted with base_scale; NULL = every quantity of six decimals is.';

-- inventory_in_steps does the cutting of a quantity to whole steps.
CREATE FUNCTION distsync_internal.inventory_in_steps(quantity numeric, step numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE(div(quantity, step) * step, quantity);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_in_steps(numeric, numeric) IS 'The part of a quantity that comes in whole steps (NULL = all of it), towards 0.';

-- inventory_steps does the steps of all lines of a call.
CREATE FUNCTION distsync_internal.inventory_steps(lines jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		SELECT COALESCE(jsonb_object_agg(s.ordinal, s.step) FILTER (WHERE s.step IS NOT NULL), '{}')
		FROM (SELECT COALESCE(l.ordinal, l.n) AS ordinal, distsync_internal.inventory_step(COALESCE(l.numerator, 1), COALESCE(l.denominator, 1), COALESCE(u.scale, 6), CASE WHEN i.kit THEN 0 ELSE b.scale END) AS step
			FROM ROWS FROM (jsonb_to_recordset(lines) AS (ordinal bigint, item_id bigint, unit text, numerator numeric, denominator numeric)) WITH ORDINALITY l(ordinal, item_id, unit, numerator, denominator, n)
			-- one by one: a guess of a hundred lines would be joined to all items there are
			CROSS JOIN LATERAL (SELECT x.base_unit, x.kit FROM dist.item x WHERE x.item_id = l.item_id LIMIT 1) i
			JOIN dist.unit b ON b.unit = i.base_unit LEFT JOIN dist.unit u ON u.unit = l.unit
			WHERE u.scale < 6 OR b.scale < 6 OR i.kit) s);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_steps(jsonb) IS '{ordinal: base units} of those lines [{"ordinal","item_id","unit"?,"numerator"?,"denominator"?}] that are promised in whole steps of a unit, and of kits (in kits).';
