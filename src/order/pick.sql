-- Checkpoints of credit after an order was taken: when it is released for picking, and when a command ships it. What does not pass is held, which is an answer.

-- order_covered does the question whether somebody has let an order go against the rules, for at least what it counts now.
CREATE FUNCTION distsync_internal.order_covered(customer_id bigint, order_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((SELECT (o.decision -> 'released' ->> 'covers')::numeric >= o.exposure_amount FROM dist.sales_order o WHERE o.customer_id = order_covered.customer_id AND o.order_id = order_covered.order_id), false);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_covered(bigint, bigint) IS 'Whether the last release of an order was on somebody''s authority, against the rules, for at least what it counts as open order.';

-- order_checkpoint does the looking again at an order that counts already: as long as its account stands well, or the order itself would be
-- let go (paid in advance, a rule that releases, on authority), it passes. What its owner took without asking us passes as well.
CREATE FUNCTION distsync_internal.order_checkpoint(customer_id bigint, order_id bigint, checkpoint text, source text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	ctx jsonb;
	decision jsonb;
	later boolean;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = order_checkpoint.customer_id AND s.order_id = order_checkpoint.order_id;
	later := distsync_internal.credit_later(o.account_id, o.ship_on);
	IF o.account_id IS NULL OR o.credit_state NOT IN ('approved', 'released') OR o.exposure_amount = 0 OR (o.decision -> 'credit' ->> 'outcome' = 'approved' OR o.decision ? 'released') IS NOT TRUE
		OR COALESCE(o.policy ->> 'credit_at', 'ship') = 'entry' AND NOT later OR o.policy ->> 'credit_at' = 'pick' AND order_checkpoint.checkpoint <> 'pick' AND NOT later THEN
		RETURN NULL;
	END IF;
	ctx := jsonb_build_object('at', clock_timestamp(), 'order_id', o.order_id, 'customer_id', o.customer_id, 'payment_terms', o.payment_terms, 'checkpoint', order_checkpoint.checkpoint,
		'deposit', distsync_internal.credit_deposit(o.customer_id, o.account_id, o.company_id, o.order_number));
	-- what is picked or ships before its day has come counts from now on
	IF (later OR distsync_internal.credit_decide(o.account_id, 0, ctx) ->> 'outcome' = 'held') AND NOT distsync_internal.order_covered(o.customer_id, o.order_id) THEN
		PERFORM distsync_internal.credit_give_back(o.account_id, o.exposure_amount, 'open_orders', o.ship_on, o.order_id);
		decision := distsync_internal.credit_decide(o.account_id, o.exposure_amount, ctx);
		PERFORM distsync_internal.credit_count(o.account_id, o.exposure_amount, 'open_orders', o.ship_on, o.order_id);
	END IF;
	IF decision ->> 'outcome' IS DISTINCT FROM 'held' THEN
		PERFORM distsync_internal.order_ship_day_set(o.customer_id, o.order_id, NULL) WHERE later;
		UPDATE dist.sales_order s SET checked_at = clock_timestamp() WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
		RETURN NULL;
	END IF;
	PERFORM distsync_internal.credit_record(o.account_id, o.order_id, order_checkpoint.checkpoint, 'held', decision);
	-- it waits for room now, not for its day
	PERFORM distsync_internal.order_ship_day_set(o.customer_id, o.order_id, NULL) WHERE later;
	PERFORM distsync_internal.order_hold_again(o.customer_id, o.order_id, o.exposure_amount, decision, order_checkpoint.checkpoint, source);
	-- what is on its way to the dock is not given to others
	IF o.picked_at IS NULL AND order_checkpoint.checkpoint = 'pick' THEN
		PERFORM distsync_internal.order_lock_stock(o.customer_id, o.order_id);
		PERFORM distsync_internal.order_keep_stock(o.customer_id, o.order_id);
	END IF;
	PERFORM distsync_internal.order_settle(o.account_id, order_checkpoint.checkpoint, jsonb_build_object('correlation_id', o.correlation_id));
	RETURN decision;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_checkpoint(bigint, bigint, text, text) IS
	'Looks at the credit of an order that goes on, at a checkpoint (pick | ship) that its policy credit_at has, and at each where its day had not come inside a horizon (it counts from then on): NULL = it passes (checked_at); else it is held now, what waited for its room goes on, and the decision says why. The caller holds the locks of order_lock(); for ship nothing more is locked.';

-- order_stopped does the answer about an order that is held: who holds it, why, and what would lift it.
CREATE FUNCTION distsync_internal.order_stopped(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT jsonb_build_object('order_number', s.order_number, 'outcome', 'held', 'state', s.state, 'correlation_id', s.correlation_id,
		'reasons', COALESCE((SELECT jsonb_agg(r ORDER BY h.hold_id) FROM dist.hold h, jsonb_array_elements(h.reasons) r WHERE h.customer_id = s.customer_id AND h.order_id = s.order_id AND h.released_at IS NULL),
			CASE WHEN EXISTS (SELECT FROM dist.order_offer f WHERE f.customer_id = s.customer_id AND f.order_id = s.order_id AND f.state = 'open') THEN '[{"rule":"offer_open"}]' ELSE '[{"rule":"redecide"}]' END::jsonb))
		FROM dist.sales_order s WHERE s.customer_id = order_stopped.customer_id AND s.order_id = order_stopped.order_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_stopped(bigint, bigint) IS 'Answer {order_number, outcome: held, state, reasons, correlation_id} about a held order: reasons of its live holds, or offer_open, or redecide (the clerk decides it again).';

-- order_check_out does what a command must pass before it ships.
CREATE FUNCTION distsync_internal.order_check_out(s jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	customer bigint := (s ->> 'customer_id')::bigint;
	id bigint := (s ->> 'order_id')::bigint;
	decision jsonb;
BEGIN
	IF (SELECT (o.policy ->> 'ship_complete')::boolean FROM dist.sales_order o WHERE o.customer_id = customer AND o.order_id = id)
		AND NOT (distsync_internal.order_ship_values(s || jsonb_build_object('moved', (SELECT jsonb_agg(to_jsonb(m)) FROM distsync_internal.order_ship_moved(s) m)))).complete THEN
		PERFORM distsync_internal.order_refuse('SD002', 'lines', format('order "%s" ships as a whole', s ->> 'order_number'), 'Ship all that is left of it, or change the order: cut what will not come.');
	END IF;
	decision := distsync_internal.order_checkpoint(customer, id, 'ship', source);
	RETURN CASE WHEN decision IS NOT NULL THEN distsync_internal.order_stopped(customer, id) || jsonb_build_object('shipment_number', s -> 'doc' -> 'shipment_number', 'cure', decision -> 'cure') END;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_check_out(jsonb, text) IS
	'The checks of a shipment that a command brings and that could be booked: NULL = it may leave; else the answer of ship(): held, with reasons and cure. Errors: SD002 policy ship_complete, and something would be left.';

-- order_unpromised does the list of what is not there yet of an order that ships as a whole.
CREATE FUNCTION distsync_internal.order_unpromised(customer_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o jsonb := distsync_internal.order_again(order_unpromised.customer_id, order_unpromised.order_id);
BEGIN
	IF (o -> 'policy' ->> 'ship_complete')::boolean IS NOT TRUE THEN
		RETURN '[]';
	END IF;
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('rule', 'ship_complete', 'line', l -> 'line', 'item', l -> 'item', 'lacks', (l ->> 'base_quantity')::numeric - (l ->> 'cancelled')::numeric - (l ->> 'had')::numeric) ORDER BY (l ->> 'line')::integer), '[]')
		FROM jsonb_array_elements(distsync_internal.order_had(o) -> 'lines') l WHERE (l ->> 'base_quantity')::numeric - (l ->> 'cancelled')::numeric > (l ->> 'had')::numeric);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_unpromised(bigint, bigint) IS 'Lines of an order with policy ship_complete that are not promised in full: [{rule: ship_complete, line, item, lacks (base units)}]; [] where there is none, or the policy is another.';

-- pick_order does the releasing of an order to the warehouse.
CREATE FUNCTION distsync.pick_order(order_number text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('order_number', order_number, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	source text := distsync_internal.order_source(options, true);
	answer jsonb := distsync_internal.base_answered(source, 'pick_order', options ->> 'idempotency_key', request);
	f record;
	o record;
	decision jsonb;
	lacks jsonb;
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(pick_order.order_number, options, '{idempotency_key:text,source:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	PERFORM distsync_internal.order_redecide_alone(f.customer_id, f.order_id);
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	IF o.state NOT IN ('accepted', 'sent', 'booked', 'held') THEN
		PERFORM distsync_internal.order_refuse_state(o.order_number, o.state, 'picked', 'Nothing of it is left to pick.');
	END IF;
	decision := CASE WHEN o.state <> 'held' THEN distsync_internal.order_checkpoint(f.customer_id, f.order_id, 'pick', source) END;
	IF o.state = 'held' OR decision IS NOT NULL THEN
		answer := distsync_internal.order_stopped(f.customer_id, f.order_id) || jsonb_strip_nulls(jsonb_build_object('cure', decision -> 'cure'));
	ELSE
		lacks := distsync_internal.order_unpromised(f.customer_id, f.order_id);
		IF lacks = '[]' AND o.picked_at IS NULL THEN
			-- what is picked counts, also what nobody asks about
			PERFORM distsync_internal.order_ship_day_set(f.customer_id, f.order_id, NULL);
			UPDATE dist.sales_order s SET picked_at = clock_timestamp(), version = s.version + 1 WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
			PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.pick_released', '{}', jsonb_build_object('source', NULLIF(source, 'distsync')));
		END IF;
		answer := (SELECT jsonb_build_object('order_number', s.order_number, 'outcome', CASE WHEN lacks = '[]' THEN 'ok' ELSE 'waiting' END, 'state', s.state, 'reasons', lacks, 'picked_at', s.picked_at, 'correlation_id', s.correlation_id)
			FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id);
	END IF;
	PERFORM distsync_internal.order_settle(f.account_id, 'pick_order', jsonb_build_object('correlation_id', o.correlation_id));
	PERFORM distsync_internal.base_audit('pick_order', 'order', f.company || '/' || o.order_number, jsonb_build_object('state', o.state, 'picked_at', o.picked_at), answer, NULL, o.correlation_id);
	-- what waits for goods is asked again
	IF answer ->> 'outcome' <> 'waiting' THEN
		PERFORM distsync_internal.base_answer(source, 'pick_order', options ->> 'idempotency_key', request, answer);
	END IF;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.pick_order(text, jsonb) IS
	'Releases an order to the warehouse, past the checkpoint of credit at picking; an order that credit has let go is decided again first. Options: company, source (a warehouse may be), idempotency_key. Returns {order_number, outcome ok | held (by whom and why, with cure; it is held now) | waiting (policy ship_complete, and something of it is not promised; the key is not burnt), state, reasons, picked_at, correlation_id}. Emits order.pick_released, or order.held. Errors: SD001, SD010 key with another request, SD022 source, SD070 shipped, cancelled, rejected or closed.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('pick_order', '{order_entry,integrator,operator,admin}');
