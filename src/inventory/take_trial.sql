-- Take-over as a read: what a call would get if it took over what it may, without taking it. For previews, which say what the call would do.

-- inventory_take_trial_kit does the reckoning of how many whole kits one reservation of a component would lose.
CREATE FUNCTION distsync_internal.inventory_take_trial_kit(kit_group bigint, quantity numeric, per numeric, gone jsonb, items bigint[], sites bigint[]) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT least(ceil(inventory_take_trial_kit.quantity / per), min(floor((k.quantity - k.shipped - COALESCE((gone->>k.reservation_id::text)::numeric, 0)) / k.kit_per)))
		FROM dist.reservation k WHERE k.kit_group = inventory_take_trial_kit.kit_group AND k.state IN ('held', 'committed')
		HAVING bool_and(EXISTS (SELECT FROM unnest(items, sites) u(item_id, site_id) WHERE u.item_id = k.item_id AND u.site_id = k.site_id)) AND bool_and(k.kind = 'soft'));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_trial_kit(bigint, numeric, numeric, jsonb, bigint[], bigint[]) IS
	'Whole kits that the kit of a reservation, of which a component has per base units in each, would lose for a quantity of that component, as inventory_lose() takes them; gone: {reservation: base units that are lost already}; NULL = none, because it is not soft or a pool of it is not among those given.';

-- inventory_take_trial does the reckoning of what a plan would take, one reservation after the other, the last claim first.
CREATE FUNCTION distsync_internal.inventory_take_trial(plan jsonb, priority integer, holder text, items bigint[], sites bigint[], at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	p record;
	c record;
	gone jsonb := '{}';
	rest numeric;
	part numeric;
BEGIN
	FOR p IN SELECT x.* FROM jsonb_to_recordset(plan) x(item_id bigint, site_id bigint, quantity numeric) ORDER BY x.item_id, x.site_id LOOP
		-- what a kit has lost in another pool it has lost here
		rest := p.quantity - (SELECT COALESCE(sum(l.value::numeric), 0) FROM jsonb_each_text(gone) l JOIN dist.reservation r ON r.reservation_id = l.key::bigint WHERE r.item_id = p.item_id AND r.site_id = p.site_id);
		FOR c IN SELECT x.reservation_id, x.takeable, r.kit_group, r.kit_per FROM distsync_internal.inventory_claims(p.item_id, p.site_id, inventory_take_trial.at, true) x
			JOIN dist.reservation r ON r.item_id = p.item_id AND r.reservation_id = x.reservation_id
			WHERE x.takeable > 0 AND x.priority > inventory_take_trial.priority AND x.holder IS DISTINCT FROM inventory_take_trial.holder ORDER BY x.place DESC
		LOOP
			EXIT WHEN rest <= 0;
			part := least(rest, c.takeable - COALESCE((gone->>c.reservation_id::text)::numeric, 0));
			CONTINUE WHEN part <= 0;
			IF c.kit_group IS NULL THEN
				gone := gone || jsonb_build_object(c.reservation_id, part);
				rest := rest - part;
			ELSE
				part := distsync_internal.inventory_take_trial_kit(c.kit_group, part, c.kit_per, gone, items, sites);
				CONTINUE WHEN COALESCE(part, 0) <= 0;
				gone := gone || (SELECT jsonb_object_agg(k.reservation_id, COALESCE((gone->>k.reservation_id::text)::numeric, 0) + part * k.kit_per) FROM dist.reservation k WHERE k.kit_group = c.kit_group AND k.state IN ('held', 'committed'));
				rest := rest - part * c.kit_per;
			END IF;
		END LOOP;
	END LOOP;
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('item_id', x.item_id, 'site_id', x.site_id, 'quantity', x.quantity)), '[]')
		FROM (SELECT r.item_id, r.site_id, sum(l.value::numeric) AS quantity FROM jsonb_each_text(gone) l JOIN dist.reservation r ON r.reservation_id = l.key::bigint GROUP BY r.item_id, r.site_id) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_trial(jsonb, integer, text, bigint[], bigint[], timestamptz) IS
	'[{"item_id","site_id","quantity"}], base units: what inventory_take_soft() would take for a plan in the same form from soft holds with a higher priority number, of other holders; of kits also in other pools. items, sites: all pools that the call would lock. Reads only.';

-- inventory_would_take_over does the decision anew with that, as inventory_take_over() does.
CREATE FUNCTION distsync_internal.inventory_would_take_over(wanted distsync_internal.inventory_line[], options jsonb, without distsync_internal.inventory_grant[], at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	important integer := COALESCE((options->>'priority')::integer, 100);
	who text := COALESCE(options->>'holder', session_user);
	stock distsync_internal.inventory_line[] := distsync_internal.inventory_expanded(wanted, options->'parts');
	had numeric := (SELECT COALESCE(sum(g.quantity), 0) FROM unnest(without) g WHERE g.outcome IN ('reserved', 'partial'));
	k record;
	plan jsonb;
	grants distsync_internal.inventory_grant[];
BEGIN
	SELECT array_agg(x.item_id) AS items, array_agg(x.site_id) AS sites INTO k
	FROM (SELECT y.* FROM distsync_internal.inventory_line_pools(stock, (options->>'company_id')::bigint) y
		UNION SELECT d.item_id, d.site_id FROM dist.demand d WHERE d.demand_key IN (SELECT u.demand_key FROM unnest(stock) u)) x;
	plan := (SELECT COALESCE(jsonb_agg(to_jsonb(t)), '[]') FROM distsync_internal.inventory_takeable(k.items, k.sites, important, who, inventory_would_take_over.at) t);
	plan := CASE WHEN plan = '[]' THEN plan ELSE distsync_internal.inventory_take_plan(wanted, options, plan, inventory_would_take_over.at) END;
	IF plan = '[]' THEN
		RETURN without;
	END IF;
	plan := distsync_internal.inventory_take_trial(plan, important, who, k.items, k.sites, inventory_would_take_over.at);
	grants := distsync_internal.inventory_decide(wanted, options || jsonb_build_object('taken', plan), inventory_would_take_over.at);
	RETURN CASE WHEN (SELECT COALESCE(sum(g.quantity), 0) FROM unnest(grants) g WHERE g.outcome IN ('reserved', 'partial')) > had THEN grants ELSE without END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_would_take_over(distsync_internal.inventory_line[], jsonb, distsync_internal.inventory_grant[], timestamptz) IS
	'Grants that inventory_take_over() would give lines that were short (without), parts in options; without itself, if that does not do more. Reads only.';
