-- Holding an order by people, and its going on once nothing holds it: by people (release.sql), or by credit through its hook.

-- order_go_on does the last step of letting an order go: it is where it would have been at once, and everybody is told.
CREATE FUNCTION distsync_internal.order_go_on(customer_id bigint, order_id bigint, extra jsonb, ctx jsonb, exposure numeric DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	native boolean;
	goes_to text;
BEGIN
	SELECT s.*, c.code AS company INTO o FROM dist.sales_order s JOIN dist.company c ON c.company_id = s.company_id WHERE s.customer_id = order_go_on.customer_id AND s.order_id = order_go_on.order_id;
	-- where orders are ours it is booked, as it would have been at once
	native := o.decision ->> 'resume' IS NULL AND 'distsync' = ANY (distsync_internal.order_owner(o.company));
	goes_to := CASE WHEN o.state <> 'held' THEN o.state ELSE COALESCE(o.decision ->> 'resume', CASE WHEN native THEN 'booked' ELSE 'accepted' END) END;
	UPDATE dist.sales_order s SET state = goes_to, redecide_at = NULL, keep_until = NULL, version = s.version + 1, credit_state = 'released', exposure_amount = s.exposure_amount + COALESCE(order_go_on.exposure, 0),
		decision = s.decision || CASE WHEN order_go_on.exposure IS NULL THEN '{}' ELSE jsonb_build_object('released', extra) END,
		answer_due_at = CASE WHEN goes_to IN ('accepted', 'sent') THEN clock_timestamp() + (s.policy ->> 'answer_within')::interval ELSE s.answer_due_at END,
		owner_number = CASE WHEN native AND goes_to = 'booked' THEN COALESCE(s.owner_number, s.order_number) ELSE s.owner_number END
	WHERE s.customer_id = order_go_on.customer_id AND s.order_id = order_go_on.order_id;
	PERFORM distsync_internal.order_emit(order_go_on.customer_id, order_go_on.order_id, 'order.released', extra - 'covers', ctx);
	IF native AND o.state = 'held' THEN
		PERFORM distsync_internal.order_emit(order_go_on.customer_id, order_go_on.order_id, 'order.booked', '{}', ctx);
	END IF;
	RETURN goes_to;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_go_on(bigint, bigint, jsonb, jsonb, numeric) IS
	'Moves an order that nothing holds to the state it waited for, with exposure that it has in open_orders from now on (NULL = it is counted already); emits order.released with extra fields (and order.booked where orders are ours). Returns its state.';

-- order_resume does the going on of an order whose last hold ended: it counts as open order. Where stock or price have to be decided again
-- the clerk does it, or the next verb that touches it, under the order of locks of its own: who lets it go may hold none of stock.
CREATE FUNCTION distsync_internal.order_resume(customer_id bigint, order_id bigint, exposure numeric, extra jsonb, ctx jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	again boolean;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = order_resume.customer_id AND s.order_id = order_resume.order_id;
	-- what was promised to its owner once keeps its price
	again := o.state = 'held' AND (o.decision ->> 'stock' IN ('released', 'soft') OR o.policy ->> 'reprice' IN ('offer', 'take') AND o.decision ->> 'resume' IS NULL);
	IF again THEN
		PERFORM distsync_internal.order_end_offer(order_resume.customer_id, order_resume.order_id, 'withdrawn');
		UPDATE dist.sales_order s SET credit_state = 'released', exposure_amount = s.exposure_amount + order_resume.exposure, decision = s.decision || jsonb_build_object('released', extra), redecide_at = clock_timestamp(), version = s.version + 1
		WHERE s.customer_id = order_resume.customer_id AND s.order_id = order_resume.order_id;
		PERFORM distsync_internal.order_emit(order_resume.customer_id, order_resume.order_id, 'order.credit_released', extra - 'covers', ctx);
		PERFORM distsync_internal.credit_wake();
		RETURN o.state;
	END IF;
	RETURN distsync_internal.order_go_on(order_resume.customer_id, order_resume.order_id, extra, ctx, order_resume.exposure);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_resume(bigint, bigint, numeric, jsonb, jsonb) IS
	'Lets an order without holds go on, with the exposure it now has in open_orders: order_go_on(); or, where it has not its stock any more or its policy prices it anew, emits order.credit_released with extra fields (without covers: what somebody''s authority let go against the rules) and leaves the rest to order_redecide(). Returns its state.';

-- order_credit_released does the going on of orders that credit let go: the hook of the credit room.
CREATE FUNCTION distsync_internal.order_credit_released(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r jsonb;
BEGIN
	FOR r IN SELECT x FROM jsonb_array_elements(context -> 'orders') x LOOP
		PERFORM distsync_internal.order_resume((r ->> 'customer_id')::bigint, (r ->> 'order_id')::bigint, (r ->> 'amount')::numeric,
			jsonb_strip_nulls(jsonb_build_object('released_by', COALESCE(context ->> 'verb', 'credit'), 'cause', context -> 'correlation_id')), jsonb_strip_nulls(jsonb_build_object('causation_id', context -> 'causation_id')));
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_credit_released(jsonb) IS 'Hook credit.released: orders [{customer_id, order_id, amount}] go on with that exposure, in the transaction that freed them.';

-- hold_order does the stopping of an order by people.
CREATE FUNCTION distsync.hold_order(order_number text, reason text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('order_number', order_number, 'reason', reason, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	source text := distsync_internal.order_source(options);
	answer jsonb := distsync_internal.base_answered(source, 'hold_order', options ->> 'idempotency_key', request);
	f record;
	o record;
	hold bigint;
	what text := COALESCE(options ->> 'kind', 'manual');
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	IF distsync_internal.base_said(reason) IS NULL OR what NOT IN ('manual', 'forced') THEN
		PERFORM distsync_internal.order_refuse('SD005', CASE WHEN distsync_internal.base_said(reason) IS NULL THEN 'reason' ELSE 'options.kind' END, 'a hold needs a reason and the kind manual or forced', 'Say why; leave options.kind out for manual.');
	ELSIF options ? 'owner' AND distsync_internal.base_said(options ->> 'owner') IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'options.owner', 'a hold has an owner', 'Name who may lift it, or leave options.owner out for credit.');
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(hold_order.order_number, options, '{kind:text,owner:text,review_at:instant,authority:text,idempotency_key:text,source:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT * INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	IF o.state NOT IN ('accepted', 'sent', 'booked', 'held') THEN
		PERFORM distsync_internal.order_refuse_state(o.order_number, o.state, 'held', 'Only what has not shipped can be stopped.');
	END IF;
	IF o.exposure_amount > 0 THEN
		PERFORM distsync_internal.credit_give_back(f.account_id, o.exposure_amount, 'open_orders', o.ship_on, o.order_id);
	END IF;
	hold := distsync_internal.credit_hold(f.account_id, jsonb_build_object('customer_id', f.customer_id, 'order_id', f.order_id, 'company_id', o.company_id, 'order_number', o.order_number, 'amount', o.exposure_amount,
		'kind', what, 'checkpoint', 'hand', 'owner', COALESCE(options ->> 'owner', 'credit'), 'priority', o.policy -> 'priority', 'payment_terms', o.payment_terms, 'ship_on', o.ship_on, 'review_at', options -> 'review_at', 'placed_by', COALESCE(options ->> 'authority', session_user),
		'reasons', jsonb_build_array(jsonb_build_object('rule', what || '_hold', 'reason', reason))));
	-- it is decided and offered again when it goes on
	PERFORM distsync_internal.order_end_offer(f.customer_id, f.order_id, 'withdrawn');
	UPDATE dist.sales_order s SET state = 'held', credit_state = CASE WHEN s.account_id IS NULL THEN 'none' ELSE 'held' END, exposure_amount = 0, version = s.version + 1, answer_due_at = NULL, redecide_at = NULL,
		decision = s.decision || CASE WHEN o.state = 'held' THEN '{}' ELSE jsonb_build_object('resume', o.state) END
	WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.held', jsonb_build_object('reasons', jsonb_build_array(jsonb_build_object('rule', what || '_hold', 'reason', reason))), jsonb_build_object('source', NULLIF(source, 'distsync')));
	PERFORM distsync_internal.base_audit('hold_order', 'order', f.company || '/' || o.order_number, jsonb_build_object('state', o.state, 'credit_state', o.credit_state),
		jsonb_build_object('state', 'held', 'kind', what, 'authority', options ->> 'authority', 'review_at', options ->> 'review_at'), reason, o.correlation_id);
	PERFORM distsync_internal.order_settle(f.account_id, 'hold_order', jsonb_build_object('correlation_id', o.correlation_id));
	answer := jsonb_build_object('order_number', o.order_number, 'state', 'held', 'hold', hold, 'correlation_id', o.correlation_id);
	PERFORM distsync_internal.base_answer(source, 'hold_order', options ->> 'idempotency_key', request, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.hold_order(text, text, jsonb) IS
	'Stops an order that has not shipped: its exposure becomes held demand, others that fit now go on, order.held is emitted. Options: company, kind manual | forced, owner, authority, review_at, source, idempotency_key. Returns {order_number, state, hold, correlation_id}. Errors: SD001, SD005, SD010 key with another request, SD022 source, SD070.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('hook', 'credit.released', 'distsync_internal.order_credit_released');
INSERT INTO distsync_internal.verb (name, roles) VALUES ('hold_order', '{order_entry,operator,admin}');
