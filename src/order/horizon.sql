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
		PERFORM distsync_internal.credit_give_back(o.account_id, o.exposure_amount, 'open_orders', o.ship_on, order_ship_day_set.order_id);
		PERFORM distsync_internal.credit_count(o.account_id, o.exposure_amount, 'open_orders', day, order_ship_day_set.order_id);
	END IF;
	UPDATE dist.sales_order s SET ship_on = day WHERE s.customer_id = order_ship_day_set.customer_id AND s.order_id = order_ship_day_set.order_id;
	UPDATE dist.hold h SET ship_on = day WHERE h.customer_id = order_ship_day_set.customer_id AND h.order_id = order_ship_day_set.order_id AND h.released_at IS NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_ship_day_set(bigint, bigint, date) IS 'Counts an order, and its live holds, on another day (NULL = at once), whatever the limit says. The caller holds the locks of its account and of it.';

-- order_open_next does the list of the orders of accounts that credit has to read next.
CREATE FUNCTION distsync_internal.order_open_next(account_ids bigint[], after_account bigint, after_order bigint, most integer) RETURNS TABLE (customer_id bigint, order_id bigint, account_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT o.* FROM (SELECT u.id FROM unnest(account_ids) AS u(id) WHERE u.id >= after_account ORDER BY u.id) a
		CROSS JOIN LATERAL (SELECT s.customer_id, s.order_id, s.account_id FROM dist.sales_order s
			-- in the order of one index alone: of orders by id the planner might read all that are others'
			WHERE (s.account_id, s.order_id) > (a.id, CASE WHEN a.id = after_account THEN after_order ELSE 0 END) AND s.account_id <= a.id AND (s.exposure_amount > 0 OR s.credit_state = 'held')
			ORDER BY s.account_id, s.order_id LIMIT most) o
		LIMIT most;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_open_next(bigint[], bigint, bigint, integer) IS
	'Handler of kind open_next: the next open or held orders of accounts, by account and order, behind an order of an account, at most so many; reads no more than these of an index.';

-- order_open_days does the putting down of the day of orders, and adds up what is open of them by the day they ship.
CREATE FUNCTION distsync_internal.order_open_days(account_id bigint, customer_ids bigint[], order_ids bigint[]) RETURNS TABLE (ship_on date, amount numeric)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	-- all of them in the order of locks on orders
	PERFORM FROM dist.sales_order s JOIN unnest(customer_ids, order_ids) AS u(customer_id, order_id) ON u.customer_id = s.customer_id AND u.order_id = s.order_id ORDER BY s.order_id FOR NO KEY UPDATE OF s;
	PERFORM distsync_internal.order_ship_day_set(s.customer_id, s.order_id, distsync_internal.order_ship_day(s.customer_id, s.order_id))
	FROM unnest(customer_ids, order_ids) AS u(customer_id, order_id) JOIN dist.sales_order s ON s.customer_id = u.customer_id AND s.order_id = u.order_id
	WHERE NOT distsync_internal.credit_horizon_known(order_open_days.account_id, s.account_id, s.order_id);
	RETURN QUERY SELECT s.ship_on, sum(s.exposure_amount) FROM unnest(customer_ids, order_ids) AS u(customer_id, order_id) JOIN dist.sales_order s ON s.customer_id = u.customer_id AND s.order_id = u.order_id
		WHERE s.exposure_amount > 0 AND s.ship_on IS NOT NULL GROUP BY s.ship_on;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_open_days(bigint, bigint[], bigint[]) IS
	'Handler of kind open_days: says on which day each of these orders ships, and its live holds, where no account with a horizon but account_id has had it put down, and what they count on each day. Takes the rows of the orders by id. The caller holds the locks of their accounts.';

-- order_verify_days does the check of what accounts keep of days to come.
CREATE FUNCTION distsync_internal.order_verify_days() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE tree (root, horizon_on, horizon_to, horizon_account, horizon_order, account_id) AS (
		SELECT a.account_id, a.horizon_on, a.horizon_to, a.horizon_account, a.horizon_order, a.account_id FROM dist.credit_account a WHERE a.horizon_on IS NOT NULL
		UNION ALL
		SELECT t.root, t.horizon_on, t.horizon_to, t.horizon_account, t.horizon_order, a.account_id FROM tree t JOIN dist.credit_account a ON a.parent_id = t.account_id
	), day AS (
		-- what is not read so far counts at once
		SELECT t.root, o.ship_on, sum(o.exposure_amount) AS amount FROM tree t JOIN dist.sales_order o ON o.account_id = t.account_id AND o.exposure_amount > 0 AND o.ship_on > t.horizon_on
			AND (t.horizon_to IS NULL OR o.ship_on > t.horizon_to OR (o.account_id, o.order_id) <= (t.horizon_account, t.horizon_order))
		GROUP BY t.root, o.ship_on
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
	'Days of accounts with a horizon that are not the sum of the open orders of their tree that ship on them and are read, accounts that keep another sum of their days, live holds that ship on another day than their order.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('open_next', 'order', 100, 'distsync_internal.order_open_next'),
	('open_days', 'order', 100, 'distsync_internal.order_open_days');
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('verify', 'order_days', 'distsync_internal.order_verify_days');
