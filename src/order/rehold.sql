-- Orders that credit holds again, because the money is gone that had let them go, or their day has come inside a horizon.

-- order_let_go does the list of open orders that credit has let go, for the room of credit: the last first. What its owner took without
-- asking us is his; what somebody let go on his own authority, against the rules, stays let go as far as he said.
CREATE FUNCTION distsync_internal.order_let_go(account_ids bigint[], after jsonb, most integer, ship jsonb)
RETURNS TABLE (customer_id bigint, order_id bigint, company_id bigint, company text, order_number text, account_id bigint, amount numeric, priority integer, let_go_at timestamptz, taken_at timestamptz, payment_terms text, ship_on date)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT o.customer_id, o.order_id, o.company_id, c.code, o.order_number, o.account_id, o.exposure_amount, x.priority, x.let_go_at, o.recorded_at, o.payment_terms, o.ship_on
	FROM dist.sales_order o
	JOIN dist.company c ON c.company_id = o.company_id
	CROSS JOIN LATERAL (SELECT CASE WHEN o.policy ->> 'priority' ~ '^-?[0-9]{1,9}$' THEN (o.policy ->> 'priority')::integer ELSE 100 END AS priority,
		COALESCE((SELECT max(h.released_at) FROM dist.hold h WHERE h.order_id = o.order_id AND h.customer_id = o.customer_id), o.recorded_at) AS let_go_at) x
	WHERE o.account_id = ANY (account_ids) AND o.exposure_amount > 0 AND o.kind = 'order' AND o.credit_state IN ('approved', 'released') AND o.state IN ('accepted', 'sent', 'booked', 'held')
		AND (o.decision -> 'credit' ->> 'outcome' = 'approved' OR o.decision ? 'released')
		AND COALESCE((o.decision -> 'released' ->> 'covers')::numeric, 0) < o.exposure_amount
		AND (ship IS NULL OR o.ship_on > (ship ->> 'after')::date AND o.ship_on <= (ship ->> 'upto')::date)
		AND (after IS NULL OR (x.priority, x.let_go_at, c.code COLLATE "C", o.order_number COLLATE "C") < ((after ->> 'priority')::integer, (after ->> 'let_go_at')::timestamptz, after ->> 'company' COLLATE "C", after ->> 'order_number' COLLATE "C"))
	ORDER BY x.priority DESC, x.let_go_at DESC, c.code COLLATE "C" DESC, o.order_number COLLATE "C" DESC
	LIMIT most;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_let_go(bigint[], jsonb, integer, jsonb) IS
	'Handler of kind let_go: open orders of accounts that credit approved or released, without those taken by their owner and those that an authority lets go against the rules for at least what is left of them; columns and order as credit_let_go().';

-- order_unbilled does the telling of what of an order has left and is not billed: it waits for the deposit as well.
CREATE FUNCTION distsync_internal.order_unbilled(customer_id bigint, company_id bigint, order_number text) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((SELECT sum(h.unbilled_amount) FROM dist.sales_order o JOIN dist.shipment h ON h.customer_id = o.customer_id AND h.order_id = o.order_id
		WHERE o.customer_id = order_unbilled.customer_id AND o.company_id = order_unbilled.company_id AND o.order_number = order_unbilled.order_number AND o.kind = 'order'), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_unbilled(bigint, bigint, text) IS 'Handler of kind unbilled: what of an order (sold-to, company, number) has left and is not billed, in its account''s currency; 0 = nothing.';

-- order_credit_reheld does the stopping of orders that credit holds again: the hook of the credit room.
CREATE FUNCTION distsync_internal.order_credit_reheld(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r jsonb;
BEGIN
	-- all of them in the order of locks on orders; whoever notes an answer has taken only the order
	PERFORM FROM dist.sales_order s JOIN jsonb_array_elements(context -> 'orders') x ON s.customer_id = (x ->> 'customer_id')::bigint AND s.order_id = (x ->> 'order_id')::bigint
	ORDER BY s.order_id FOR NO KEY UPDATE OF s;
	FOR r IN SELECT x FROM jsonb_array_elements(context -> 'orders') x LOOP
		-- it is decided and offered again when it goes on
		PERFORM distsync_internal.order_end_offer((r ->> 'customer_id')::bigint, (r ->> 'order_id')::bigint, 'withdrawn');
		UPDATE dist.sales_order s SET state = 'held', credit_state = 'held', exposure_amount = 0, answer_due_at = NULL, redecide_at = NULL, version = s.version + 1,
			decision = s.decision || CASE WHEN s.state = 'held' THEN '{}' ELSE jsonb_build_object('resume', s.state) END
		WHERE s.customer_id = (r ->> 'customer_id')::bigint AND s.order_id = (r ->> 'order_id')::bigint;
		PERFORM distsync_internal.order_emit((r ->> 'customer_id')::bigint, (r ->> 'order_id')::bigint, 'order.held',
			jsonb_strip_nulls(jsonb_build_object('reasons', r -> 'reasons', 'cure', r -> 'cure', 'checkpoint', r -> 'checkpoint', 'held_by', COALESCE(context ->> 'verb', 'credit'), 'cause', context -> 'correlation_id')),
			jsonb_strip_nulls(jsonb_build_object('causation_id', context -> 'causation_id')));
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_credit_reheld(jsonb) IS
	'Hook credit.reheld: orders [{customer_id, order_id, checkpoint, reasons, cure}] are held, with the state they go back to; their stock stays promised; order.held tells their owner to stop. Takes the rows of the orders by id, no stock.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('let_go', 'order', 'distsync_internal.order_let_go'),
	('unbilled', 'order', 'distsync_internal.order_unbilled'),
	('hook', 'credit.reheld', 'distsync_internal.order_credit_reheld');
