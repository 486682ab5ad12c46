-- Giving back: an order that is cancelled, rejected or not answered leaves exactly what it took: stock, agreed volumes, exposure, holds.

-- order_end_holds does the ending of all holds of an order.
CREATE FUNCTION distsync_internal.order_end_holds(customer_id bigint, order_id bigint, reason text) RETURNS integer
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT distsync_internal.order_end_offer(order_end_holds.customer_id, order_end_holds.order_id, 'withdrawn');
	SELECT count(distsync_internal.credit_hold_end(h.customer_id, h.hold_id, session_user::text, reason))::integer
	FROM dist.hold h WHERE h.customer_id = order_end_holds.customer_id AND h.order_id = order_end_holds.order_id AND h.released_at IS NULL
$$;
COMMENT ON FUNCTION distsync_internal.order_end_holds(bigint, bigint, text) IS 'Ends every live hold of an order with a reason, and withdraws its offer; the caller holds the locks of order_lock(). Returns how many.';

-- order_end does the ending of an order: what has not shipped is given back; what waited for the room is looked at by the caller.
CREATE FUNCTION distsync_internal.order_end(customer_id bigint, order_id bigint, state text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	l record;
	key text;
BEGIN
	SELECT s.*, c.code AS company INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id
	WHERE s.customer_id = order_end.customer_id AND s.order_id = order_end.order_id;
	PERFORM distsync_internal.order_end_holds(order_end.customer_id, order_end.order_id, order_end.state);
	IF o.account_id IS NOT NULL AND o.exposure_amount > 0 THEN
		PERFORM distsync_internal.credit_give_back(o.account_id, o.exposure_amount, 'open_orders', o.ship_on, o.order_id);
	END IF;
	PERFORM distsync_internal.order_lock_volume(o.company || '/' || o.order_number);
	PERFORM distsync_internal.order_lock_stock(order_end.customer_id, order_end.order_id);
	FOR l IN SELECT x.* FROM dist.order_line x WHERE x.customer_id = order_end.customer_id AND x.order_id = order_end.order_id ORDER BY x.item_id, x.line_no LOOP
		key := o.company || '/' || o.order_number || '/' || l.line_no;
		PERFORM distsync_internal.inventory_abandon(key, ARRAY(SELECT DISTINCT d.item_id FROM dist.demand d WHERE d.demand_key = key));
	END LOOP;
	UPDATE dist.order_line x SET cancelled_quantity = greatest(x.base_quantity - x.shipped_quantity, 0)
	WHERE x.customer_id = order_end.customer_id AND x.order_id = order_end.order_id;
	PERFORM distsync_internal.order_count_volume(order_end.customer_id, order_end.order_id, o.company || '/' || o.order_number);
	UPDATE dist.sales_order s SET state = (SELECT CASE WHEN order_end.state = 'closed' OR NOT bool_or(x.shipped_quantity > 0) THEN order_end.state WHEN bool_and(x.invoiced_quantity >= x.shipped_quantity) THEN 'closed' ELSE 'shipped' END
			FROM dist.order_line x WHERE x.customer_id = s.customer_id AND x.order_id = s.order_id),
		credit_state = CASE WHEN s.credit_state = 'held' THEN 'none' ELSE s.credit_state END, exposure_amount = 0, answer_due_at = NULL, redecide_at = NULL, keep_until = NULL, version = s.version + 1,
		decision = s.decision || jsonb_build_object('stock', 'released', 'ended', jsonb_build_object('state', order_end.state, 'reason', order_end.reason))
	WHERE s.customer_id = order_end.customer_id AND s.order_id = order_end.order_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_end(bigint, bigint, text, text) IS
	'Gives back the holds, exposure, agreed volumes and unshipped stock of an order and sets its state cancelled or rejected (shipped, if part of it has left, and closed, if that is billed) or closed. The caller has called order_lock() and goes on with order_settle().';

-- order_settle does what follows when an order gave room back: others may go on.
CREATE FUNCTION distsync_internal.order_settle(account_id bigint, verb text, ctx jsonb DEFAULT '{}') RETURNS integer
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN account_id IS NULL THEN 0 ELSE distsync_internal.credit_settle(ARRAY[account_id], verb, ctx) END
$$;
COMMENT ON FUNCTION distsync_internal.order_settle(bigint, text, jsonb) IS 'Releases what fits after an order moved exposure of an account (NULL = none). Returns how many orders were released.';

-- order_refuse_state does the refusal of a command that comes too late.
CREATE FUNCTION distsync_internal.order_refuse_state(order_number text, state text, what text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'SD070', MESSAGE = format('order "%s" is %s and can not be %s', order_number, state, what), COLUMN = 'order_number',
		DETAIL = format('Field: order_number. State: %s.', state), HINT = hint;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_refuse_state(text, text, text, text) IS 'Raises SD070 for an order whose state does not allow a command.';

-- cancel_order does the cancelling of what has not shipped.
CREATE FUNCTION distsync.cancel_order(order_number text, reason text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('order_number', order_number, 'reason', reason, 'options', options);
	source text;
	key_source text;
	answer jsonb;
	f record;
	o record;
	released integer;
BEGIN
	PERFORM distsync_internal.order_scope_order(order_number, options);
	source := distsync_internal.order_source(options);
	key_source := distsync_internal.order_key_source(source, order_number);
	answer := distsync_internal.base_answered(key_source, 'cancel_order', idempotency_key, request);
	IF answer IS NOT NULL THEN
		RETURN answer - CASE WHEN distsync.restricted() THEN 'released_orders' ELSE '' END;
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(cancel_order.order_number, options, '{source:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT * INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	IF o.state IN ('cancelled', 'rejected', 'closed', 'shipped') THEN
		PERFORM distsync_internal.order_refuse_state(o.order_number, o.state, 'cancelled', 'An order that has ended stays as it is; what has left comes back as a return.');
	END IF;
	PERFORM distsync_internal.order_end(f.customer_id, f.order_id, 'cancelled', reason);
	PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.cancelled', jsonb_build_object('reason', reason), jsonb_build_object('source', NULLIF(source, 'distsync')));
	released := distsync_internal.order_settle(f.account_id, 'cancel_order', jsonb_build_object('correlation_id', o.correlation_id));
	PERFORM distsync_internal.base_audit('cancel_order', 'order', f.company || '/' || o.order_number, jsonb_build_object('state', o.state, 'credit_state', o.credit_state, 'exposure_amount', o.exposure_amount),
		(SELECT jsonb_build_object('state', s.state) FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id), reason, o.correlation_id);
	answer := (SELECT jsonb_build_object('order_number', s.order_number, 'state', s.state, 'released_orders', released, 'correlation_id', s.correlation_id) FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id);
	PERFORM distsync_internal.base_answer(key_source, 'cancel_order', idempotency_key, request, answer);
	RETURN answer - CASE WHEN distsync.restricted() THEN 'released_orders' ELSE '' END;
END
$$;
COMMENT ON FUNCTION distsync.cancel_order(text, text, text, jsonb) IS
	'Cancels what has not shipped of an order: stock, exposure and holds are given back exactly, what waited for the room is released, order.cancelled is emitted. Options: company, source. Returns {order_number, state, released_orders, correlation_id}. Errors: SD001 unknown, SD005 ambiguous, SD010 key with another request, SD070 shipped, cancelled, rejected or closed.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('cancel_order', '{order_entry,integrator,operator,admin,portal}');
