-- Holding an order and letting it go on: by people with a reason and an authority, or by credit through its hook.

-- order_resume does the going on of an order whose last hold ended: it counts as open order, its stock is promised again where it was
-- given back, and everybody is told. Where stock must be promised the clerk does it, under the order of locks of its own.
CREATE FUNCTION distsync_internal.order_resume(customer_id bigint, order_id bigint, exposure numeric, extra jsonb, ctx jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	goes_to text;
BEGIN
	SELECT * INTO o FROM dist.sales_order s WHERE s.customer_id = order_resume.customer_id AND s.order_id = order_resume.order_id;
	goes_to := CASE WHEN o.state <> 'held' THEN o.state WHEN o.decision ->> 'stock' = 'released' THEN 'held' ELSE COALESCE(o.decision ->> 'resume', 'accepted') END;
	UPDATE dist.sales_order s SET credit_state = 'released', exposure_amount = s.exposure_amount + order_resume.exposure, state = goes_to, version = s.version + 1,
		answer_due_at = CASE WHEN goes_to = 'accepted' THEN clock_timestamp() + (s.policy ->> 'answer_within')::interval ELSE s.answer_due_at END,
		decision = s.decision || jsonb_build_object('released', extra)
	WHERE s.customer_id = order_resume.customer_id AND s.order_id = order_resume.order_id;
	IF goes_to <> 'held' THEN
		PERFORM distsync_internal.order_emit(order_resume.customer_id, order_resume.order_id, 'order.released', extra, ctx);
	ELSE
		PERFORM distsync_internal.credit_wake();
	END IF;
	RETURN goes_to;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_resume(bigint, bigint, numeric, jsonb, jsonb) IS
	'Lets an order without holds go on, with the exposure it now has in open_orders; emits order.released with extra fields, or leaves it to the clerk while its stock has to be promised again. Returns its state.';

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
	f record;
	o record;
	hold bigint;
	what text := COALESCE(options ->> 'kind', 'manual');
BEGIN
	IF COALESCE(reason, '') = '' OR what NOT IN ('manual', 'forced') THEN
		PERFORM distsync_internal.order_refuse('SD005', CASE WHEN COALESCE(reason, '') = '' THEN 'reason' ELSE 'options.kind' END, 'a hold needs a reason and the kind manual or forced', 'Say why; leave options.kind out for manual.');
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(hold_order.order_number, options, '{kind:text,owner:text,review_at:instant,authority:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT * INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	IF o.state NOT IN ('accepted', 'sent', 'booked', 'held') THEN
		PERFORM distsync_internal.order_refuse_state(o.order_number, o.state, 'held', 'Only what has not shipped can be stopped.');
	END IF;
	IF o.exposure_amount > 0 THEN
		PERFORM distsync_internal.credit_give_back(f.account_id, o.exposure_amount, 'open_orders');
	END IF;
	hold := distsync_internal.credit_hold(f.account_id, jsonb_build_object('customer_id', f.customer_id, 'order_id', f.order_id, 'company_id', o.company_id, 'order_number', o.order_number, 'amount', o.exposure_amount,
		'kind', what, 'owner', COALESCE(options ->> 'owner', 'credit'), 'priority', o.policy -> 'priority', 'review_at', options -> 'review_at', 'placed_by', COALESCE(options ->> 'authority', session_user),
		'reasons', jsonb_build_array(jsonb_build_object('rule', what || '_hold', 'reason', reason))));
	UPDATE dist.sales_order s SET state = 'held', credit_state = CASE WHEN s.account_id IS NULL THEN s.credit_state ELSE 'held' END, exposure_amount = 0, version = s.version + 1, answer_due_at = NULL,
		decision = s.decision || CASE WHEN o.state = 'held' THEN '{}' ELSE jsonb_build_object('resume', o.state) END
	WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.held', jsonb_build_object('reasons', jsonb_build_array(jsonb_build_object('rule', what || '_hold', 'reason', reason))));
	PERFORM distsync_internal.base_audit('hold_order', 'order', f.company || '/' || o.order_number, jsonb_build_object('state', o.state, 'credit_state', o.credit_state),
		jsonb_build_object('state', 'held', 'kind', what, 'authority', options ->> 'authority', 'review_at', options ->> 'review_at'), reason, o.correlation_id);
	PERFORM distsync_internal.order_settle(f.account_id, 'hold_order', jsonb_build_object('correlation_id', o.correlation_id));
	RETURN jsonb_build_object('order_number', o.order_number, 'state', 'held', 'hold', hold, 'correlation_id', o.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync.hold_order(text, text, jsonb) IS
	'Stops an order that has not shipped: its exposure becomes held demand, others that fit now go on, order.held is emitted. Options: company, kind manual | forced, owner, authority, review_at. Returns {order_number, state, hold, correlation_id}. Errors: SD001, SD005, SD070.';

-- order_release_decision does the decision of a release by people: within the rules as it is, beyond them only on somebody's authority.
CREATE FUNCTION distsync_internal.order_release_decision(account_id bigint, order_id bigint, customer_id bigint, company_id bigint, order_number text, amount numeric, authority text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	decision jsonb := distsync_internal.credit_decide(account_id, amount, jsonb_build_object('at', clock_timestamp(), 'customer_id', customer_id, 'deposit', distsync_internal.credit_deposit(company_id, order_number)));
BEGIN
	IF decision ->> 'outcome' <> 'approved' AND authority IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD060', MESSAGE = format('credit does not allow order "%s"', order_number), COLUMN = 'options.authority',
			DETAIL = format('Field: options.authority. Reasons: %s.', decision -> 'reasons'),
			HINT = format('%sName in options.authority on whose authority it goes on all the same.', CASE WHEN decision ->> 'cure' IS NOT NULL THEN format('A payment of %s %s lifts it. ', decision ->> 'cure', decision ->> 'currency') ELSE '' END);
	END IF;
	RETURN decision || jsonb_build_object('authority', authority);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_release_decision(bigint, bigint, bigint, bigint, text, numeric, text) IS 'Credit decision for a manual release. Errors: SD060 it does not fit and nobody''s authority is named.';

-- release_order does the letting go of an order by people, with reason and authority on record.
CREATE FUNCTION distsync.release_order(order_number text, reason text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	o record;
	held numeric;
	decision jsonb;
	authority text := options ->> 'authority';
	goes_to text;
BEGIN
	IF COALESCE(reason, '') = '' THEN
		PERFORM distsync_internal.order_refuse('SD005', 'reason', 'a release needs a reason', 'Say why.');
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(release_order.order_number, options, '{authority:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT * INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	SELECT sum(h.amount) INTO held FROM dist.hold h WHERE h.customer_id = f.customer_id AND h.order_id = f.order_id AND h.released_at IS NULL;
	IF o.state <> 'held' OR held IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD061', MESSAGE = format('order "%s" is not held', o.order_number), COLUMN = 'order_number', DETAIL = format('Field: order_number. State: %s.', o.state), HINT = 'There is nothing to release.';
	END IF;
	IF f.account_id IS NOT NULL THEN
		decision := distsync_internal.order_release_decision(f.account_id, f.order_id, f.customer_id, o.company_id, o.order_number, held, authority);
		PERFORM distsync_internal.order_end_holds(f.customer_id, f.order_id, reason);
		PERFORM distsync_internal.credit_count(f.account_id, held, 'open_orders');
		PERFORM distsync_internal.credit_record(f.account_id, f.order_id, 'release_order', 'released', decision);
	ELSE
		PERFORM distsync_internal.order_end_holds(f.customer_id, f.order_id, reason);
		held := 0;
	END IF;
	goes_to := distsync_internal.order_resume(f.customer_id, f.order_id, held, jsonb_strip_nulls(jsonb_build_object('released_by', session_user, 'authority', authority, 'reason', reason)), '{}');
	PERFORM distsync_internal.base_audit('release_order', 'order', f.company || '/' || o.order_number, jsonb_build_object('state', o.state, 'credit_state', o.credit_state),
		jsonb_build_object('state', goes_to, 'authority', authority, 'against', decision -> 'reasons'), reason, o.correlation_id);
	PERFORM distsync_internal.order_settle(f.account_id, 'release_order', jsonb_build_object('correlation_id', o.correlation_id));
	RETURN jsonb_build_object('order_number', o.order_number, 'state', goes_to, 'credit_state', 'released', 'correlation_id', o.correlation_id);
END
$$;
COMMENT ON FUNCTION distsync.release_order(text, text, jsonb) IS
	'Ends all holds of an order and lets it go on, with reason and, where credit does not allow it, authority on record; emits order.released. Options: company, authority. Returns {order_number, state, credit_state, correlation_id}. Errors: SD001, SD005 no reason, SD060 credit does not allow it and no authority is named, SD061 not held.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('hook', 'credit.released', 'distsync_internal.order_credit_released');
INSERT INTO distsync_internal.verb (name, roles) VALUES ('hold_order', '{order_entry,operator,admin}'), ('release_order', '{operator,admin}');
