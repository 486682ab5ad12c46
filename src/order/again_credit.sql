-- Credit of an order that is decided again: more than it counts is decided as a whole, and what does not fit is held.

-- order_take_again does the counting of what an order counts now. Less is given back; for more the whole order is decided again.
CREATE FUNCTION distsync_internal.order_take_again(o jsonb, counted numeric, verb text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account bigint := (o ->> 'account_id')::bigint;
	s record;
	decision jsonb;
	taken numeric := counted;
	day date := (o ->> 'ship_on')::date;
BEGIN
	-- a day that has come, or that nobody asks for, is none
	SELECT x.exposure_amount, x.credit_state, x.ship_on, CASE WHEN x.ship_on > (clock_timestamp() AT TIME ZONE (o ->> 'tz'))::date AND distsync_internal.credit_horizons(account) THEN x.ship_on END AS to_come INTO s FROM dist.sales_order x WHERE x.customer_id = (o ->> 'customer_id')::bigint AND x.order_id = (o ->> 'order_id')::bigint;
	IF account IS NULL OR s.credit_state NOT IN ('approved', 'released') OR counted = s.exposure_amount AND s.ship_on IS NOT DISTINCT FROM day THEN
		RETURN NULL;
	ELSIF counted <= s.exposure_amount AND COALESCE(day, '-infinity') >= COALESCE(s.to_come, '-infinity') THEN
		PERFORM distsync_internal.credit_give_back(account, s.exposure_amount, 'open_orders', s.ship_on, (o ->> 'order_id')::bigint);
		PERFORM distsync_internal.credit_count(account, counted, 'open_orders', day, (o ->> 'order_id')::bigint);
	ELSE
		PERFORM distsync_internal.credit_give_back(account, s.exposure_amount, 'open_orders', s.ship_on, (o ->> 'order_id')::bigint);
		decision := distsync_internal.credit_take(account, counted, distsync_internal.order_credit_context(o || jsonb_build_object('verb', verb)));
		taken := CASE WHEN decision ->> 'outcome' = 'approved' THEN counted ELSE 0 END;
	END IF;
	UPDATE dist.sales_order x SET exposure_amount = taken, ship_on = day WHERE x.customer_id = (o ->> 'customer_id')::bigint AND x.order_id = (o ->> 'order_id')::bigint;
	RETURN decision;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_take_again(jsonb, numeric, text) IS
	'Makes a document of order_again() count so much (the account''s currency) as open order, on the day ship_on: less is given back; for more, or an earlier day, credit decides about all of it, and where it does not fit nothing counts and the caller holds the order. Returns the decision, NULL where there was none. An order that is held, or has no account, stays as it is. The caller holds the locks of order_lock().';

-- order_hold_again does the holding of an order that had gone on, or was about to.
CREATE FUNCTION distsync_internal.order_hold_again(customer_id bigint, order_id bigint, amount numeric, decision jsonb, checkpoint text, source text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = order_hold_again.customer_id AND s.order_id = order_hold_again.order_id;
	IF o.exposure_amount > 0 THEN
		PERFORM distsync_internal.credit_give_back(o.account_id, o.exposure_amount, 'open_orders', o.ship_on, o.order_id);
	END IF;
	PERFORM distsync_internal.order_end_offer(o.customer_id, o.order_id, 'withdrawn');
	PERFORM distsync_internal.credit_hold(o.account_id, jsonb_build_object('customer_id', o.customer_id, 'order_id', o.order_id, 'company_id', o.company_id, 'order_number', o.order_number, 'amount', amount,
		'priority', o.policy -> 'priority', 'payment_terms', o.payment_terms, 'ship_on', o.ship_on, 'checkpoint', checkpoint, 'placed_by', 'distsync', 'reasons', decision -> 'reasons', 'valid_until', decision -> 'valid_until'));
	UPDATE dist.sales_order s SET state = 'held', credit_state = 'held', exposure_amount = 0, version = s.version + 1, answer_due_at = NULL, redecide_at = NULL,
		decision = s.decision || CASE WHEN o.state = 'held' THEN '{}' ELSE jsonb_build_object('resume', o.state) END
	WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
	PERFORM distsync_internal.order_emit(o.customer_id, o.order_id, 'order.held', jsonb_build_object('reasons', decision -> 'reasons', 'cure', decision -> 'cure', 'checkpoint', checkpoint),
		jsonb_build_object('source', NULLIF(source, 'distsync')));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_hold_again(bigint, bigint, numeric, jsonb, text, text) IS
	'Holds an order with a decision of credit at a checkpoint (entry | change | pick | ship): what it counts becomes held demand of that amount, it goes back to its state when it is let go; emits order.held with reasons, cure and checkpoint. The caller holds the locks of order_lock(), says with order_keep_stock() what becomes of its stock and goes on with order_settle().';
