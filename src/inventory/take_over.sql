-- Take-over: who is more important and finds too little takes soft holds of those who are less, under the locks of his call, so much as he
-- lacks and no more; or nothing, if that does not do.

-- inventory_takes_over does the question whether a call may take over: it says so, or a rule makes what it asks for win.
CREATE FUNCTION distsync_internal.inventory_takes_over(lines distsync_internal.inventory_line[], options jsonb, at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN options ? 'take_over' THEN (options->>'take_over')::boolean
		ELSE EXISTS (SELECT FROM dist.reallocation_rule r WHERE r.strategy = 'win') AND NOT EXISTS (SELECT FROM unnest(lines) l
			WHERE distsync_internal.inventory_strategy(l.item_id, COALESCE(options->>'kind', 'hard'), (options->>'customer_id')::bigint, (options->>'channel_id')::bigint, COALESCE((options->>'priority')::integer, 100), inventory_takes_over.at) <> 'win') END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_takes_over(distsync_internal.inventory_line[], jsonb, timestamptz) IS
	'Whether a call (options as inventory_reserve(), take_over true | false) may take soft holds of less important ones; where it does not say, whether rules make all that it asks for win.';

-- inventory_takeable does the sum of what may be taken over in each pool.
CREATE FUNCTION distsync_internal.inventory_takeable(items bigint[], sites bigint[], priority integer, holder text, at timestamptz) RETURNS TABLE (item_id bigint, site_id bigint, quantity numeric)
LANGUAGE plpgsql STABLE ROWS 3 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT u.item_id, u.site_id, sum(c.takeable) FROM (SELECT DISTINCT x.item_id, x.site_id FROM unnest(items, sites) x(item_id, site_id)) u
	CROSS JOIN LATERAL distsync_internal.inventory_claims(u.item_id, u.site_id, inventory_takeable.at, true) c
	WHERE c.takeable > 0 AND c.priority > inventory_takeable.priority AND c.holder IS DISTINCT FROM inventory_takeable.holder GROUP BY u.item_id, u.site_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_takeable(bigint[], bigint[], integer, text, timestamptz) IS
	'What soft holds of a higher priority number, of other holders, have that may be taken from them in each of these pools (arrays of equal length); base units.';

-- inventory_take_soft does the taking of a quantity in one pool, from the last claim on.
CREATE FUNCTION distsync_internal.inventory_take_soft(item_id bigint, site_id bigint, quantity numeric, priority integer, holder text, items bigint[], sites bigint[], correlation_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c record;
	rest numeric := quantity;
	one jsonb;
	changes jsonb := '[]';
BEGIN
	FOR c IN SELECT x.reservation_id, x.takeable FROM distsync_internal.inventory_claims(inventory_take_soft.item_id, inventory_take_soft.site_id, clock_timestamp(), true) x
		WHERE x.takeable > 0 AND x.priority > inventory_take_soft.priority AND x.holder IS DISTINCT FROM inventory_take_soft.holder ORDER BY x.place DESC
	LOOP
		EXIT WHEN rest <= 0;
		one := distsync_internal.inventory_lose(c.reservation_id, least(rest, c.takeable), 'taken_over', items, sites);
		IF one IS NOT NULL THEN
			changes := changes || one;
			rest := rest - ((one->>'was')::numeric - (one->>'quantity')::numeric);
		END IF;
	END LOOP;
	PERFORM distsync_internal.inventory_tell_lost(inventory_take_soft.item_id, inventory_take_soft.site_id, 'taken_over', changes, inventory_take_soft.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_soft(bigint, bigint, numeric, integer, text, bigint[], bigint[], uuid) IS
	'Takes up to a quantity (base units) from soft holds of a pool with a higher priority number, of other holders, and tells them. items, sites: all pools that are locked; the caller refreshes them.';

-- inventory_lacks does the first guess of how much to take where: what is asked for beyond what is free, at the first sites that have it.
CREATE FUNCTION distsync_internal.inventory_lacks(stock distsync_internal.inventory_line[], free distsync_internal.inventory_free[], takeable jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		WITH t AS (SELECT (x->>'item_id')::bigint AS item_id, (x->>'site_id')::bigint AS site_id, (x->>'quantity')::numeric AS quantity FROM jsonb_array_elements(takeable) x),
		l AS (SELECT u.item_id, sum(u.quantity) AS asked, CASE WHEN min(u.site_id) = max(u.site_id) AND count(u.site_id) = count(*) THEN min(u.site_id) END AS site_id FROM unnest(stock) u GROUP BY u.item_id),
		f AS (SELECT f.item_id, f.site_id, f.n, greatest(0, f.free) AS free, COALESCE(t.quantity, 0) AS takeable, l.asked
			FROM unnest(free) WITH ORDINALITY f(item_id, site_id, code, free, n) JOIN l ON l.item_id = f.item_id AND (l.site_id IS NULL OR l.site_id = f.site_id) LEFT JOIN t ON t.item_id = f.item_id AND t.site_id = f.site_id),
		g AS (SELECT f.*, greatest(0, least(f.takeable, f.asked - sum(f.free) OVER (PARTITION BY f.item_id) - COALESCE(sum(f.takeable) OVER (PARTITION BY f.item_id ORDER BY f.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))) AS quantity FROM f)
		SELECT COALESCE(jsonb_agg(jsonb_build_object('item_id', g.item_id, 'site_id', g.site_id, 'quantity', g.quantity)), '[]') FROM g WHERE g.quantity > 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_lacks(distsync_internal.inventory_line[], distsync_internal.inventory_free[], jsonb) IS
	'[{"item_id","site_id","quantity"}] of what lines (kits taken apart) lack beyond what is free, base units, out of takeable in the same form.';

-- inventory_take_plan does the reckoning of how much to take where, as a read: as little as seems to do, and where rules of sourcing want it
-- otherwise, what they would grant out of all that may be taken.
CREATE FUNCTION distsync_internal.inventory_take_plan(wanted distsync_internal.inventory_line[], options jsonb, takeable jsonb, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stock distsync_internal.inventory_line[] := distsync_internal.inventory_expanded(wanted, options->'parts');
	free distsync_internal.inventory_free[] := distsync_internal.inventory_free(stock, options, at);
	plan jsonb := distsync_internal.inventory_lacks(stock, free, takeable);
	grants distsync_internal.inventory_grant[];
BEGIN
	IF plan <> '[]' THEN
		grants := distsync_internal.inventory_decide(wanted, options || jsonb_build_object('taken', plan), at);
		IF NOT EXISTS (SELECT FROM unnest(grants) g WHERE g.outcome <> 'reserved') THEN
			RETURN plan;
		END IF;
	END IF;
	grants := distsync_internal.inventory_decide(wanted, options || jsonb_build_object('taken', takeable), at);
	-- what is granted beyond what is free is what has to be taken
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('item_id', g.item_id, 'site_id', g.site_id, 'quantity', g.quantity - greatest(0, f.free))), '[]')
		FROM (SELECT x.item_id, x.site_id, sum(x.quantity) AS quantity FROM unnest(grants) x WHERE x.outcome IN ('reserved', 'partial') GROUP BY 1, 2) g
		JOIN unnest(free) f ON f.item_id = g.item_id AND f.site_id = g.site_id WHERE g.quantity > greatest(0, f.free));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_plan(distsync_internal.inventory_line[], jsonb, jsonb, timestamptz) IS
	'[{"item_id","site_id","quantity"}]: what has to be taken of takeable (the same form) so that lines get what they lack, base units; an empty list where all of it does not do. Reads only.';

-- inventory_promised_at does the sum of what is promised in a pool, wherever it is counted.
CREATE FUNCTION distsync_internal.inventory_promised_at(item_id bigint, site_id bigint) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT p.held + p.committed + COALESCE((SELECT sum(s.held + s.committed) FROM dist.stock_pool_slot s WHERE s.item_id = p.item_id AND s.site_id = p.site_id), 0)
		FROM dist.stock_pool p WHERE p.item_id = inventory_promised_at.item_id AND p.site_id = inventory_promised_at.site_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_promised_at(bigint, bigint) IS 'Held and committed of an item at a site, in the row of its pool and in its slots, base units.';

-- inventory_take_over does the taking and the decision anew. Kits lose all their components or none, so that the plan may not hold: then
-- everything is put back.
CREATE FUNCTION distsync_internal.inventory_take_over(wanted distsync_internal.inventory_line[], options jsonb, items bigint[], sites bigint[], without distsync_internal.inventory_grant[], at timestamptz) RETURNS distsync_internal.inventory_grant[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	important integer := COALESCE((options->>'priority')::integer, 100);
	who text := COALESCE(options->>'holder', session_user);
	had numeric := (SELECT COALESCE(sum(g.quantity), 0) FROM unnest(without) g WHERE g.outcome IN ('reserved', 'partial'));
	takeable jsonb := (SELECT COALESCE(jsonb_agg(to_jsonb(t)), '[]') FROM distsync_internal.inventory_takeable(items, sites, important, who, at) t);
	plan jsonb := CASE WHEN takeable = '[]' THEN takeable ELSE distsync_internal.inventory_take_plan(wanted, options, takeable, at) END;
	grants distsync_internal.inventory_grant[];
	t timestamptz;
	p record;
BEGIN
	IF plan = '[]' THEN
		RETURN without;
	END IF;
	plan := (SELECT jsonb_agg(x.value || jsonb_build_object('had', distsync_internal.inventory_promised_at((x.value->>'item_id')::bigint, (x.value->>'site_id')::bigint))) FROM jsonb_array_elements(plan) x);
	BEGIN
		FOR p IN SELECT x.* FROM jsonb_to_recordset(plan) x(item_id bigint, site_id bigint, quantity numeric, had numeric) ORDER BY x.item_id, x.site_id LOOP
			-- what a kit has lost in another pool it has lost here
			PERFORM distsync_internal.inventory_take_soft(p.item_id, p.site_id, p.quantity - (p.had - distsync_internal.inventory_promised_at(p.item_id, p.site_id)), important, who, items, sites, (options->>'correlation_id')::uuid);
		END LOOP;
		-- as of an instant before the pools catch up, as inventory_reserve() decides: a hold that ends meanwhile is in their rows
		t := clock_timestamp();
		-- what was taken is not given back to who has lost it just now
		PERFORM distsync_internal.inventory_refresh(items, sites, (options->>'correlation_id')::uuid, true, false);
		grants := distsync_internal.inventory_decide(wanted, options, t);
		IF (SELECT COALESCE(sum(g.quantity), 0) FROM unnest(grants) g WHERE g.outcome IN ('reserved', 'partial')) > had THEN
			RETURN grants;
		END IF;
		RAISE EXCEPTION USING ERRCODE = 'SD045', MESSAGE = 'a take-over that does not do changes nothing', DETAIL = 'Everything it moved is put back.', HINT = 'Ask for less, or without take_over.';
	EXCEPTION WHEN SQLSTATE 'SD045' THEN
		RETURN without;
	END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_take_over(distsync_internal.inventory_line[], jsonb, bigint[], bigint[], distsync_internal.inventory_grant[], timestamptz) IS
	'Grants for lines that were short (without), with what is taken from soft holds of less important ones; without itself, and nothing taken, if that does not do more. Options as inventory_reserve(); the caller holds the locks of items and sites.';
