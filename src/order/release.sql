-- Letting an order go on by people: each owner of holds lifts his own, with a reason and, where it takes one, an authority on record.

-- order_release_owner does the choice of whose holds a release lifts: the owner named, else the only one besides credit.
CREATE FUNCTION distsync_internal.order_release_owner(customer_id bigint, order_id bigint, order_number text, owner text, authority text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	owners text[];
	by_people text[];
BEGIN
	SELECT array_agg(DISTINCT h.owner), array_agg(DISTINCT h.owner) FILTER (WHERE h.kind <> 'auto' OR h.owner <> 'credit') INTO owners, by_people
	FROM dist.hold h WHERE h.customer_id = order_release_owner.customer_id AND h.order_id = order_release_owner.order_id AND h.released_at IS NULL;
	IF owners IS NULL OR order_release_owner.owner <> ALL (owners) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD061', MESSAGE = format('order "%s" is not held%s', order_number, ' by "' || order_release_owner.owner || '"'), COLUMN = CASE WHEN owners IS NULL THEN 'order_number' ELSE 'options.owner' END,
			DETAIL = format('Field: %s. Held by: %s.', CASE WHEN owners IS NULL THEN 'order_number' ELSE 'options.owner' END, COALESCE(array_to_string(owners, ', '), 'nobody')), HINT = 'There is nothing to release.';
	ELSIF order_release_owner.owner IS NULL AND cardinality(by_people) > 1 THEN
		PERFORM distsync_internal.order_refuse('SD005', 'options.owner', format('order "%s" is held by several owners', order_number), format('Name one of %s in options.owner: each lifts his own holds.', array_to_string(by_people, ', ')));
	END IF;
	owner := COALESCE(order_release_owner.owner, by_people[1], 'credit');
	IF authority IS NULL AND EXISTS (SELECT FROM dist.hold h WHERE h.customer_id = order_release_owner.customer_id AND h.order_id = order_release_owner.order_id AND h.released_at IS NULL
			AND h.kind = 'forced' AND h.owner = order_release_owner.owner) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD060', MESSAGE = format('order "%s" is held by force', order_number), COLUMN = 'options.authority',
			DETAIL = format('Field: options.authority. Owner: %s.', order_release_owner.owner), HINT = format('Name in options.authority on whose authority "%s" lifts it.', order_release_owner.owner);
	END IF;
	RETURN owner;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_release_owner(bigint, bigint, text, text, text) IS
	'Owner whose holds of an order are lifted: the one named, else the only one that holds it besides credit''s automatic hold. Errors: SD005 several hold it and none is named, SD060 a forced hold and no authority, SD061 not held, or not by the owner named.';

-- order_lift does the ending of the holds that an owner''s people placed. What they carried of the order's amount stays with the holds that
-- are left.
CREATE FUNCTION distsync_internal.order_lift(customer_id bigint, order_id bigint, owner text, reason text) RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	account bigint := (SELECT o.account_id FROM dist.sales_order o WHERE o.customer_id = order_lift.customer_id AND o.order_id = order_lift.order_id);
	carried numeric;
BEGIN
	SELECT sum(distsync_internal.credit_hold_end(h.customer_id, h.hold_id, session_user::text, order_lift.reason)) INTO carried
	FROM dist.hold h WHERE h.customer_id = order_lift.customer_id AND h.order_id = order_lift.order_id AND h.released_at IS NULL AND h.owner = order_lift.owner AND (h.kind <> 'auto' OR h.owner <> 'credit');
	IF carried > 0 THEN
		UPDATE dist.hold h SET amount = h.amount + carried, account_id = account
		WHERE h.customer_id = order_lift.customer_id AND h.hold_id = (SELECT x.hold_id FROM dist.hold x WHERE x.customer_id = order_lift.customer_id AND x.order_id = order_lift.order_id AND x.released_at IS NULL
			ORDER BY x.kind = 'auto' DESC, x.placed_at, x.hold_id LIMIT 1);
		IF FOUND THEN
			PERFORM distsync_internal.credit_add(account, held_demand => carried);
		END IF;
	END IF;
	RETURN ARRAY(SELECT DISTINCT h.owner FROM dist.hold h WHERE h.customer_id = order_lift.customer_id AND h.order_id = order_lift.order_id AND h.released_at IS NULL AND (h.kind <> 'auto' OR h.owner <> 'credit') ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_lift(bigint, bigint, text, text) IS
	'Ends the manual and forced holds of an owner; the automatic hold of credit stays. Returns the other owners whose people hold the order still. The caller holds the locks of order_lock().';

-- order_release_credit does the part of credit in a release: within the rules as it is, beyond them only on credit's own authority. What
-- another owner has let go and credit does not allow waits for credit alone.
CREATE FUNCTION distsync_internal.order_release_credit(customer_id bigint, order_id bigint, held numeric, owner text, authority text, reason text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	decision jsonb;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = order_release_credit.customer_id AND s.order_id = order_release_credit.order_id;
	decision := distsync_internal.credit_decide(o.account_id, held, jsonb_build_object('at', clock_timestamp(), 'payment_terms', o.payment_terms, 'ship_on', o.ship_on, 'order_id', o.order_id, 'customer_id', o.customer_id, 'deposit', distsync_internal.credit_deposit(o.customer_id, o.account_id, o.company_id, o.order_number)));
	IF decision ->> 'outcome' = 'approved' OR order_release_credit.owner = 'credit' AND authority IS NOT NULL THEN
		PERFORM distsync_internal.order_end_holds(o.customer_id, o.order_id, reason);
		PERFORM distsync_internal.credit_count(o.account_id, held, 'open_orders', o.ship_on, o.order_id);
		decision := decision || jsonb_build_object('authority', authority);
		PERFORM distsync_internal.credit_record(o.account_id, o.order_id, 'release_order', 'released', decision);
	ELSIF order_release_credit.owner = 'credit' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD060', MESSAGE = format('credit does not allow order "%s"', o.order_number), COLUMN = 'options.authority',
			DETAIL = format('Field: options.authority. Reasons: %s.', decision -> 'reasons'),
			HINT = format('%sName in options.authority on whose authority it goes on all the same.', CASE WHEN decision ->> 'cure' IS NOT NULL THEN format('A payment of %s %s lifts it. ', decision ->> 'cure', decision ->> 'currency') ELSE '' END);
	ELSIF NOT EXISTS (SELECT FROM dist.hold h WHERE h.customer_id = o.customer_id AND h.order_id = o.order_id AND h.released_at IS NULL) THEN
		PERFORM distsync_internal.credit_hold(o.account_id, jsonb_build_object('customer_id', o.customer_id, 'order_id', o.order_id, 'company_id', o.company_id, 'order_number', o.order_number, 'amount', held,
			'priority', o.policy -> 'priority', 'payment_terms', o.payment_terms, 'ship_on', o.ship_on, 'placed_by', 'distsync', 'reasons', decision -> 'reasons', 'valid_until', decision -> 'valid_until'));
	ELSE
		-- beside the other's it had none of its own
		UPDATE dist.hold h SET reasons = decision -> 'reasons' WHERE h.customer_id = o.customer_id AND h.order_id = o.order_id AND h.released_at IS NULL AND h.kind = 'auto' AND h.owner = 'credit';
	END IF;
	RETURN decision;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_release_credit(bigint, bigint, numeric, text, text, text) IS
	'Decides about an amount (account''s currency) of an order that only credit may still hold: approved, or on the authority of the owner credit, its holds end and it counts as open order; where another owner let go it waits with an automatic hold, which says why. Returns the decision, with authority where it went on. Errors: SD060 the owner is credit, it does not fit and nobody''s authority is named.';

-- order_release_end does the end of a release: its audit, what it makes room for, its answer.
CREATE FUNCTION distsync_internal.order_release_end(customer_id bigint, order_id bigint, done jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	answer jsonb;
BEGIN
	SELECT s.* INTO o FROM dist.sales_order s WHERE s.customer_id = order_release_end.customer_id AND s.order_id = order_release_end.order_id;
	PERFORM distsync_internal.base_audit('release_order', 'order', (done ->> 'company') || '/' || o.order_number, jsonb_build_object('state', done -> 'before', 'credit_state', done -> 'credit_before'),
		jsonb_build_object('state', o.state, 'owner', done -> 'owner', 'authority', done -> 'authority', 'against', done -> 'against'), done ->> 'reason', o.correlation_id);
	PERFORM distsync_internal.order_settle((done ->> 'account_id')::bigint, 'release_order', jsonb_build_object('correlation_id', o.correlation_id));
	answer := (SELECT jsonb_build_object('order_number', s.order_number, 'state', s.state, 'credit_state', s.credit_state, 'correlation_id', s.correlation_id)
		|| CASE WHEN s.state = 'held' AND s.credit_state <> 'released' THEN jsonb_build_object('held_by', (SELECT jsonb_agg(DISTINCT h.owner) FROM dist.hold h WHERE h.customer_id = s.customer_id AND h.order_id = s.order_id AND h.released_at IS NULL)) ELSE '{}' END
		FROM dist.sales_order s WHERE s.customer_id = order_release_end.customer_id AND s.order_id = order_release_end.order_id);
	PERFORM distsync_internal.base_answer(done ->> 'source', 'release_order', done ->> 'key', done -> 'request', answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_release_end(bigint, bigint, jsonb) IS
	'Audits a release, lets go of what fits beside it, keeps and returns its answer; done {source, request, key, reason, company, account_id, before, credit_before, owner, authority, against}. The caller holds the locks of order_lock().';

-- release_order does the letting go of an order by people, with reason and authority on record.
CREATE FUNCTION distsync.release_order(order_number text, reason text, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('order_number', order_number, 'reason', reason, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	source text := distsync_internal.order_source(options);
	answer jsonb := distsync_internal.base_answered(source, 'release_order', options ->> 'idempotency_key', request);
	f record;
	o record;
	held numeric;
	owner text;
	others text[];
	decision jsonb;
	authority text := distsync_internal.base_said(options ->> 'authority');
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	IF distsync_internal.base_said(reason) IS NULL THEN
		PERFORM distsync_internal.order_refuse('SD005', 'reason', 'a release needs a reason', 'Say why.');
	END IF;
	SELECT * INTO f FROM distsync_internal.order_find(release_order.order_number, options, '{authority:text,owner:text,idempotency_key:text,source:text}');
	PERFORM distsync_internal.order_lock(f.customer_id, f.order_id, f.account_id);
	SELECT * INTO o FROM dist.sales_order s WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
	-- credit has let it go, and it is to be decided again: that is all it needs, unless it is held by that
	IF o.redecide_at IS NOT NULL AND o.state = 'held' AND o.credit_state = 'released' AND distsync_internal.order_redecide_alone(f.customer_id, f.order_id) <> 'held' THEN
		RETURN distsync_internal.order_release_end(f.customer_id, f.order_id, jsonb_build_object('source', source, 'request', request, 'key', options -> 'idempotency_key', 'reason', reason, 'company', f.company, 'account_id', f.account_id, 'before', o.state, 'credit_before', o.credit_state));
	END IF;
	owner := distsync_internal.order_release_owner(f.customer_id, f.order_id, o.order_number, options ->> 'owner', authority);
	SELECT sum(h.amount) INTO held FROM dist.hold h WHERE h.customer_id = f.customer_id AND h.order_id = f.order_id AND h.released_at IS NULL;
	others := distsync_internal.order_lift(f.customer_id, f.order_id, owner, reason);
	IF others = '{}' AND f.account_id IS NOT NULL THEN
		decision := distsync_internal.order_release_credit(f.customer_id, f.order_id, held, owner, authority, reason);
	END IF;
	IF EXISTS (SELECT FROM dist.hold h WHERE h.customer_id = f.customer_id AND h.order_id = f.order_id AND h.released_at IS NULL) THEN
		UPDATE dist.sales_order s SET version = s.version + 1 WHERE s.customer_id = f.customer_id AND s.order_id = f.order_id;
		PERFORM distsync_internal.order_emit(f.customer_id, f.order_id, 'order.held', jsonb_build_object('reasons', (SELECT jsonb_agg(r ORDER BY h.hold_id) FROM dist.hold h, jsonb_array_elements(h.reasons) r
			WHERE h.customer_id = f.customer_id AND h.order_id = f.order_id AND h.released_at IS NULL)));
	ELSE
		PERFORM distsync_internal.order_resume(f.customer_id, f.order_id, CASE WHEN f.account_id IS NULL THEN 0 ELSE held END,
			jsonb_strip_nulls(jsonb_build_object('released_by', session_user, 'authority', authority, 'reason', reason, 'covers', CASE WHEN decision ->> 'outcome' = 'held' THEN held END)), '{}');
		-- what has to be decided again is, here and now
		PERFORM distsync_internal.order_redecide_alone(f.customer_id, f.order_id);
	END IF;
	RETURN distsync_internal.order_release_end(f.customer_id, f.order_id, jsonb_build_object('source', source, 'request', request, 'key', options -> 'idempotency_key', 'reason', reason, 'company', f.company, 'account_id', f.account_id,
		'before', o.state, 'credit_before', o.credit_state, 'owner', owner, 'authority', authority, 'against', decision -> 'reasons'));
END
$$;
COMMENT ON FUNCTION distsync.release_order(text, text, jsonb) IS
	'Ends the holds of one owner (options.owner; absent: the only one besides credit''s own) with reason and authority on record. Holds of other owners stay and the order with them; where nothing else holds it credit decides, and what it does not allow goes on only on the authority of its owner, else waits for credit. A forced hold always takes an authority. What has to be decided again (price, stock) is decided in the same call, also of an order that credit had let go before. Emits order.released, order.offer (state held, credit_state released), or order.held with what holds it still. Options: company, owner, authority, source, idempotency_key. Returns {order_number, state, credit_state, correlation_id, held_by (where it is held still)}. Blanks are no reason and no authority. Errors: SD001, SD005 no reason or several owners, SD060 credit does not allow it or a forced hold, and no authority is named, SD010 key with another request, SD022 source, SD061 not held, or not by that owner.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('release_order', '{operator,admin}');
