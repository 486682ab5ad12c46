-- On which day an order ships, for accounts that count open orders when their day comes inside a horizon: the first day on which something
-- of it is wanted. An order of which a line is wanted at once, or something has left, or that is picked, and any whose accounts have no horizon, has no day.

-- order_ship_on does the day of a document of the steps of deciding.
CREATE FUNCTION distsync_internal.order_ship_on(o jsonb) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT distsync_internal.credit_horizons((o ->> 'account_id')::bigint) THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT CASE WHEN bool_and(x.on IS NOT NULL AND COALESCE((l ->> 'shipped')::numeric, 0) = 0) AND min(x.on) > (clock_timestamp() AT TIME ZONE (o ->> 'tz'))::date THEN min(x.on) END
		FROM jsonb_array_elements(o -> 'lines') l
		CROSS JOIN LATERAL (SELECT (COALESCE((l ->> 'requested_at')::timestamptz, (o ->> 'requested_at')::timestamptz) AT TIME ZONE (o ->> 'tz'))::date) x("on")
		WHERE l ->> 'disposition' IS DISTINCT FROM 'reject' AND ((l ->> 'base_quantity')::numeric > COALESCE((l ->> 'cancelled')::numeric, 0) OR (l ->> 'shipped')::numeric > 0));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_on(jsonb) IS
	'Day of the company on which a read or decided order {account_id, tz, requested_at, lines} ships: the first on which what is open of its lines is wanted. NULL = at once, today, something of it has left, or none of its accounts has a horizon.';

-- order_ship_day does the same for an order that is kept.
CREATE FUNCTION distsync_internal.order_ship_day(customer_id bigint, order_id bigint) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
BEGIN
	SELECT s.account_id, s.picked_at, c.tz INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_ship_day.customer_id AND s.order_id = order_ship_day.order_id;
	IF o.picked_at IS NOT NULL OR NOT distsync_internal.credit_horizons(o.account_id) THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT CASE WHEN bool_and(l.requested_at IS NOT NULL AND l.shipped_quantity = 0) AND min(x.on) > (clock_timestamp() AT TIME ZONE o.tz)::date THEN min(x.on) END
		FROM dist.order_line l CROSS JOIN LATERAL (SELECT (l.requested_at AT TIME ZONE o.tz)::date) x("on")
		WHERE l.customer_id = order_ship_day.customer_id AND l.order_id = order_ship_day.order_id AND l.disposition <> 'reject' AND (l.base_quantity > l.cancelled_quantity OR l.shipped_quantity > 0));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_day(bigint, bigint) IS 'Day of the company on which an order ships by its lines as they are kept, as order_ship_on(); NULL where it is picked.';

-- order_ship_day_set does the move of what an order counts, or waits with, to another day.
CREATE FUNCTION distsync_internal.order_ship_day_set(customer_id bigint, order_id bigint, day date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
BEGIN
	SELECT s.account_id, s.exposure_amount, s.ship_on INTO o FROM dist.sales_order s WHERE s.customer_id = order_ship_day_set.customer_id AND s.order_id = order_ship_day_set.order_id;
	IF o.ship_on IS NOT DISTINCT FROM day THEN
		RETURN;
	END IF;
	IF o.account_id IS NOT NULL AND o.exposure_amount > 0 THEN
		PERFORM distsync_internal.credit_give_back(o.account_id, o.exposure_amount, 'open_orders', o.ship_on);
		PERFORM distsync_internal.credit_count(o.account_id, o.exposure_amount, 'open_orders', day);
	END IF;
	UPDATE dist.sales_order s SET ship_on = day WHERE s.customer_id = order_ship_day_set.customer_id AND s.order_id = order_ship_day_set.order_id;
	UPDATE dist.hold h SET ship_on = day WHERE h.customer_id = order_ship_day_set.customer_id AND h.order_id = order_ship_day_set.order_id AND h.released_at IS NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_day_set(bigint, bigint, date) IS 'Counts an order, and its live holds, on another day (NULL = at once), whatever the limit says. The caller holds the locks of its account and of it.';

-- order_horizon_changed does the setting of the day of every open order of accounts: the hook of the credit room, which then adds up days
-- anew.
CREATE FUNCTION distsync_internal.order_horizon_changed(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(context -> 'accounts') e);
BEGIN
	-- all of them in the order of locks on orders
	PERFORM FROM dist.sales_order s WHERE s.account_id = ANY (ids) AND (s.exposure_amount > 0 OR s.credit_state = 'held') ORDER BY s.order_id FOR NO KEY UPDATE OF s;
	WITH d AS MATERIALIZED (
		SELECT s.customer_id, s.order_id, distsync_internal.order_ship_day(s.customer_id, s.order_id) AS day
		FROM dist.sales_order s WHERE s.account_id = ANY (ids) AND (s.exposure_amount > 0 OR s.credit_state = 'held')
	), h AS (
		UPDATE dist.hold h SET ship_on = d.day FROM d WHERE h.customer_id = d.customer_id AND h.order_id = d.order_id AND h.released_at IS NULL AND h.ship_on IS DISTINCT FROM d.day
	)
	UPDATE dist.sales_order s SET ship_on = d.day FROM d WHERE s.customer_id = d.customer_id AND s.order_id = d.order_id AND s.ship_on IS DISTINCT FROM d.day;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_horizon_changed(jsonb) IS
	'Hook credit.horizon_changed {accounts}: says anew on which day each open or held order of accounts ships, and its live holds. Counts nothing: the room of credit does, when all of them are said. Takes the rows of the orders by id.';

-- order_open_days does the adding up of open orders by the day they ship.
CREATE FUNCTION distsync_internal.order_open_days(account_ids bigint[], after date) RETURNS TABLE (ship_on date, amount numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT o.ship_on, sum(o.exposure_amount) FROM dist.sales_order o WHERE o.account_id = ANY (account_ids) AND o.exposure_amount > 0 AND o.ship_on > after GROUP BY o.ship_on;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_open_days(bigint[], date) IS 'Handler of kind open_days: what open orders of accounts count on each day after one.';

-- order_verify_days does the check of what accounts keep of days to come.
CREATE FUNCTION distsync_internal.order_verify_days() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree (root, horizon_on, account_id) AS (
		SELECT a.account_id, a.horizon_on, a.account_id FROM dist.credit_account a WHERE a.horizon_on IS NOT NULL
		UNION ALL
		SELECT t.root, t.horizon_on, a.account_id FROM tree t JOIN dist.credit_account a ON a.parent_id = t.account_id
	), day AS (
		SELECT t.root, o.ship_on, sum(o.exposure_amount) AS amount FROM tree t JOIN dist.sales_order o ON o.account_id = t.account_id AND o.exposure_amount > 0 AND o.ship_on > t.horizon_on GROUP BY t.root, o.ship_on
	)
	SELECT 'open_order_day', 'credit_account', (SELECT a.code FROM dist.credit_account a WHERE a.account_id = COALESCE(d.root, k.account_id)) || '/' || COALESCE(d.ship_on, k.ship_on), jsonb_build_object('orders', d.amount, 'amount', k.amount)
	FROM day d FULL JOIN dist.open_order_day k ON k.account_id = d.root AND k.ship_on = d.ship_on
	WHERE d.amount IS DISTINCT FROM k.amount
	UNION ALL
	SELECT 'later_amount', 'credit_account', a.code, jsonb_build_object('later_amount', a.later_amount, 'days', s.amount, 'open_orders', a.open_orders)
	FROM dist.credit_account a LEFT JOIN (SELECT k.account_id, sum(k.amount) AS amount FROM dist.open_order_day k GROUP BY k.account_id) s ON s.account_id = a.account_id
	WHERE a.later_amount <> COALESCE(s.amount, 0) OR a.later_amount > a.open_orders
	UNION ALL
	SELECT 'hold_day', 'order', o.order_number, jsonb_build_object('ship_on', o.ship_on, 'hold', h.hold_id, 'hold_ship_on', h.ship_on)
	FROM dist.hold h JOIN dist.sales_order o ON o.customer_id = h.customer_id AND o.order_id = h.order_id
	WHERE h.released_at IS NULL AND h.account_id IS NOT NULL AND h.ship_on IS DISTINCT FROM o.ship_on
$$;
COMMENT ON FUNCTION distsync_internal.order_verify_days() IS
	'Days of accounts with a horizon that are not the sum of the open orders of their tree that ship on them, accounts that keep another sum of their days, live holds that ship on another day than their order.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('hook', 'credit.horizon_changed', 100, 'distsync_internal.order_horizon_changed'),
	('open_days', 'order', 100, 'distsync_internal.order_open_days');
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('verify', 'order_days', 'distsync_internal.order_verify_days');
