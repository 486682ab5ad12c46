-- Letting go of what fits as soon as it fits, in the transaction that made room, and never failing it.

-- credit_try does the deciding again of one waiting order; what fits takes its exposure at once.
CREATE FUNCTION distsync_internal.credit_try(w jsonb, verb text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account bigint := (w ->> 'account_id')::bigint;
	customer bigint := (w ->> 'customer_id')::bigint;
	id bigint := (w ->> 'order_id')::bigint;
	amount numeric := (w ->> 'amount')::numeric;
	decision jsonb;
BEGIN
	decision := distsync_internal.credit_decide(account, amount, jsonb_build_object('at', clock_timestamp(), 'order_id', id, 'customer_id', customer, 'payment_terms', w -> 'payment_terms', 'ship_on', w -> 'ship_on',
		'deposit', distsync_internal.credit_deposit(customer, account, (w ->> 'company_id')::bigint, w ->> 'order_number')));
	IF decision ->> 'outcome' <> 'approved' THEN
		RETURN jsonb_build_object('outcome', CASE WHEN decision -> 'reasons' @> '[{"rule":"limit"}]' THEN 'kept' ELSE 'held' END);
	ELSIF distsync_internal.credit_hold_end(customer, (w ->> 'hold_id')::bigint, 'distsync', verb) IS NULL THEN
		RETURN '{"outcome":"gone"}';
	END IF;
	PERFORM distsync_internal.credit_add(account, open_orders => amount, ship_on => (w ->> 'ship_on')::date, order_id => (w ->> 'order_id')::bigint);
	PERFORM distsync_internal.credit_crossed(account, decision);
	PERFORM distsync_internal.credit_record(account, id, verb, 'released', decision);
	RETURN jsonb_build_object('outcome', 'released', 'order', jsonb_build_object('customer_id', customer, 'order_id', id, 'hold_id', w -> 'hold_id', 'amount', amount));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_try(jsonb, text) IS
	'Decides a row of credit_waiting() again and lifts its hold where it is approved. Returns {outcome: released | held | kept (a limit keeps it) | gone (its hold had ended), order {customer_id, order_id, hold_id, amount}}.';

-- credit_try_alone does the same for an order that may fail: then nothing of it happens, and what failed is told.
CREATE FUNCTION distsync_internal.credit_try_alone(w jsonb, ctx jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tried jsonb;
BEGIN
	tried := distsync_internal.credit_try(w, ctx ->> 'verb');
	IF tried ? 'order' THEN
		PERFORM distsync_internal.base_hook('credit.released', ctx || jsonb_build_object('orders', jsonb_build_array(tried -> 'order'), 'account_id', w -> 'account_id'));
	END IF;
	RETURN tried;
EXCEPTION WHEN OTHERS THEN
	IF distsync_internal.base_passing(SQLSTATE) THEN
		RAISE;
	END IF;
	RETURN jsonb_build_object('outcome', 'failed', 'order', jsonb_build_object('order_number', w -> 'order_number', 'sqlstate', SQLSTATE, 'message', SQLERRM));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_try_alone(jsonb, jsonb) IS
	'credit_try() and the hook credit.released for it, in a subtransaction: outcome failed with order {order_number, sqlstate, message} where that raises. What is in the way or takes the server down is raised.';

-- credit_reevaluate does the trying of what waits in a tree, one order after the other. Beyond a number of orders the clerk goes on from
-- where it stopped, while whoever makes more room begins with the first again. It waits for no lock: the caller has taken those of
-- credit_lock_tree() before.
CREATE FUNCTION distsync_internal.credit_reevaluate(account_id bigint, ctx jsonb DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	chain bigint[] := distsync_internal.credit_chain(credit_reevaluate.account_id);
	most integer := COALESCE(NULLIF(current_setting('distsync.release_inline', true), '')::integer, 100);
	own jsonb := jsonb_build_object('verb', 'credit_reevaluate') || (ctx - 'continue');
	top record;
	w record;
	tried jsonb;
	n integer := 0;
	released jsonb := '[]';
	failed jsonb := '[]';
	walk jsonb := '{}';
	-- the least amount that the limits of an account have kept: a larger one need not be decided
	kept jsonb := '{}';
BEGIN
	SELECT a.account_id, a.code, a.release_order, a.due_at, a.waiting_from INTO top FROM dist.credit_account a WHERE a.account_id = chain[cardinality(chain)];
	IF ctx ? 'continue' THEN
		walk := COALESCE(CASE WHEN (ctx ->> 'continue')::boolean THEN top.waiting_from ELSE top.waiting_from - '{rank,queued_at,order_id,until,again}'::text[] END, '{}');
		most := CASE WHEN most = 0 THEN 100 ELSE most END;
	END IF;
	FOR w IN SELECT * FROM distsync_internal.credit_waiting(credit_reevaluate.account_id, CASE WHEN walk ? 'rank' THEN walk END, most + 1) LOOP
		n := n + 1;
		EXIT WHEN n > most;
		walk := walk || jsonb_build_object('rank', w.rank, 'queued_at', w.queued_at, 'order_id', w.order_id);
		IF NOT distsync_internal.credit_try_lock(w.account_id) THEN
			walk := walk || '{"again":true}';
			EXIT WHEN top.release_order = 'prefix';
			CONTINUE;
		END IF;
		CONTINUE WHEN w.amount >= (kept ->> w.account_id::text)::numeric AND w.ship_on IS NULL AND distsync_internal.credit_deposit(w.customer_id, w.account_id, w.company_id, w.order_number) = 0;
		tried := CASE WHEN walk ? 'careful' THEN distsync_internal.credit_try_alone(to_jsonb(w), own) ELSE distsync_internal.credit_try(to_jsonb(w), own ->> 'verb') END;
		IF tried ->> 'outcome' = 'kept' THEN
			EXIT WHEN top.release_order = 'prefix';
			kept := kept || jsonb_build_object(w.account_id::text, w.amount);
		ELSIF tried ->> 'outcome' = 'released' THEN
			released := released || (tried -> 'order');
		ELSIF tried ->> 'outcome' = 'failed' THEN
			failed := failed || (tried -> 'order');
		END IF;
	END LOOP;
	PERFORM distsync_internal.credit_walked(top.account_id, top.code, CASE WHEN n > most THEN walk || jsonb_build_object('until', top.due_at) || CASE WHEN most > 0 THEN '{}' ELSE '{"again":true}'::jsonb END ELSE walk - 'rank' END, top.waiting_from, failed);
	IF released <> '[]' AND NOT walk ? 'careful' THEN
		PERFORM distsync_internal.base_hook('credit.released', own || jsonb_build_object('orders', released, 'account_id', credit_reevaluate.account_id));
	END IF;
	RETURN jsonb_array_length(released);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_reevaluate(bigint, jsonb) IS
	'Decides again what waits in the tree of an account and lifts the automatic holds of what fits, cumulatively, in this transaction; calls the hook credit.released {orders [{customer_id, order_id, hold_id, amount}], account_id, ctx}. Beyond distsync.release_inline orders the clerk goes on. Returns how many orders it let go. The caller has called credit_lock_tree(). ctx: verb, correlation_id, causation_id, continue (of the clerk: true goes on from where it was left).';

-- credit_walked does the noting of how far trying what waits has come, and what becomes of what failed: the clerk comes back for it.
CREATE FUNCTION distsync_internal.credit_walked(account_id bigint, code text, walk jsonb, before jsonb, failed jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF failed <> '[]' THEN
		walk := walk || '{"failed":true}';
		PERFORM distsync_internal.base_exception('release_failed', code, 'credit', 'error', NULL, 'credit_account', code, jsonb_build_object('orders', failed));
	END IF;
	IF walk ? 'rank' OR walk ? 'again' THEN
		UPDATE dist.credit_account a SET due_at = clock_timestamp(), waiting_from = NULLIF(CASE WHEN walk ? 'rank' THEN walk ELSE walk - '{queued_at,order_id,until,again}'::text[] END, '{}') WHERE a.account_id = credit_walked.account_id;
		PERFORM distsync_internal.credit_wake();
	ELSIF walk ? 'failed' THEN
		UPDATE dist.credit_account a SET due_at = least(a.due_at, clock_timestamp() + interval '5 minutes'), waiting_from = '{"careful":true}' WHERE a.account_id = credit_walked.account_id;
		PERFORM distsync_internal.credit_wake();
	ELSIF before IS NOT NULL THEN
		UPDATE dist.credit_account a SET waiting_from = NULL WHERE a.account_id = credit_walked.account_id;
		IF before ? 'careful' THEN
			PERFORM distsync_internal.base_exception_close('release_failed', code, 'what fits has gone on');
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_walked(bigint, text, jsonb, jsonb, jsonb) IS
	'Notes at the top of a tree where trying has stopped (walk: rank, queued_at, order_id, until; again, careful, failed; no rank = at the end) and calls the clerk for the rest. before: what was noted. failed: orders that could not be let go; opens release_failed and lets the clerk come back in five minutes.';

-- credit_release does the trying for several accounts, once for each tree where something waits, so that no error of it fails the caller:
-- then nothing is let go here, people are told, and the clerk tries order by order.
CREATE FUNCTION distsync_internal.credit_release(account_ids bigint[], ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids bigint[];
	tops bigint[];
	id bigint;
	n integer := 0;
	failed_with text;
	said text;
	more text;
BEGIN
	SELECT array_agg(x.id ORDER BY x.top), array_agg(x.top ORDER BY x.top) INTO ids, tops
	FROM (SELECT DISTINCT ON (c.ids[cardinality(c.ids)]) u.id, c.ids[cardinality(c.ids)] AS top, c.ids
		  FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_chain(u.id) AS c(ids) ORDER BY c.ids[cardinality(c.ids)], u.id) x
	JOIN dist.credit_account t ON t.account_id = x.top
	WHERE t.held_demand > 0 OR t.held_nothing > 0 OR t.waiting_from IS NOT NULL OR EXISTS (SELECT FROM dist.hold h WHERE h.account_id = ANY (x.ids) AND h.released_at IS NULL);
	IF ids IS NULL THEN
		RETURN 0;
	END IF;
	BEGIN
		FOREACH id IN ARRAY ids LOOP
			n := n + distsync_internal.credit_reevaluate(id, ctx);
		END LOOP;
		RETURN n;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS failed_with = RETURNED_SQLSTATE, said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
		IF distsync_internal.base_passing(failed_with) THEN
			RAISE;
		END IF;
	END;
	UPDATE dist.credit_account a SET due_at = clock_timestamp() + CASE WHEN ctx ? 'continue' THEN interval '5 minutes' ELSE interval '0' END, waiting_from = '{"careful":true}' WHERE a.account_id = ANY (tops);
	PERFORM distsync_internal.base_exception('release_failed', a.code, 'credit', 'error', NULL, 'credit_account', a.code, jsonb_build_object('verb', ctx -> 'verb', 'sqlstate', failed_with, 'message', said, 'detail', more),
		correlation_id => (ctx ->> 'correlation_id')::uuid) FROM dist.credit_account a WHERE a.account_id = ANY (tops);
	PERFORM distsync_internal.credit_wake();
	RETURN 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_release(bigint[], jsonb) IS
	'credit_reevaluate() for these accounts, once a tree, all of it undone where it raises: then release_failed is opened and the clerk tries order by order. Returns how many orders were released. Errors: what is in the way (40001, 40P01, 55P03) and what takes the server down.';

-- credit_settle does what follows when money or a claim has moved: what has to wait again, what waits, then exceptions.
CREATE FUNCTION distsync_internal.credit_settle(account_ids bigint[], verb text, ctx jsonb, lost bigint[] DEFAULT '{}') RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own jsonb := jsonb_strip_nulls(jsonb_build_object('verb', verb, 'correlation_id', ctx -> 'correlation_id', 'causation_id', ctx -> 'causation_id'));
	id bigint;
	n integer;
BEGIN
	IF COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		RETURN 0;
	END IF;
	IF lost <> '{}' THEN
		PERFORM distsync_internal.credit_rehold(lost, own);
	END IF;
	n := distsync_internal.credit_release(account_ids, own);
	FOR id IN SELECT DISTINCT u.id FROM unnest(account_ids) AS u(id) ORDER BY u.id LOOP
		PERFORM distsync_internal.credit_watch(id, (ctx ->> 'correlation_id')::uuid);
	END LOOP;
	PERFORM distsync_internal.credit_stand(ARRAY(SELECT DISTINCT c.id FROM unnest(account_ids) AS u(id), unnest(distsync_internal.credit_chain(u.id)) AS c(id)));
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_settle(bigint[], text, jsonb, bigint[]) IS
	'After facts have moved accounts (locked by credit_lock_tree): holds again what was let go in accounts that lost room, releases what fits, opens or closes over_limit, notes and tells how they and those above them stand. Nothing in a backfill. Returns how many orders were released.';
