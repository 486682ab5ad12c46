-- Holding again: what money had let go and has not shipped waits again when the money goes, the last let go first, in the transaction that
-- takes the money away and never failing it. No lock on stock is taken: what is held again keeps what was promised to it.

-- credit_let_go does the list of open orders that credit has let go, the last first: rooms that keep orders say which.
CREATE FUNCTION distsync_internal.credit_let_go(account_ids bigint[], after jsonb DEFAULT NULL, most integer DEFAULT NULL, ship jsonb DEFAULT NULL)
RETURNS TABLE (customer_id bigint, order_id bigint, company_id bigint, company text, order_number text, account_id bigint, amount numeric, priority integer, let_go_at timestamptz, taken_at timestamptz, payment_terms text, ship_on date)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	h record;
BEGIN
	FOR h IN SELECT r.function FROM distsync_internal.handler r WHERE r.kind = 'let_go' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
		RETURN QUERY EXECUTE format('SELECT * FROM %s($1, $2, $3, $4)', h.function) USING account_ids, after, most, ship;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_let_go(bigint[], jsonb, integer, jsonb) IS
	'Open orders of accounts that credit has let go and that may be held again, in the order in which they are: the highest priority number first, then the last let go, then the highest number; amount is what has not shipped, taken_at when the order came. after {priority, let_go_at, company, order_number} (NULL = from the first), at most so many (NULL = all); ship {after, upto}: only those that ship on a day after one and up to another. Asks handlers of kind let_go(account_ids, after, most, ship).';

-- credit_shaken does the list of accounts whose orders may have to wait because others lost room: themselves, and all below an account
-- above them that is over its limit.
CREATE FUNCTION distsync_internal.credit_shaken(account_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE down (account_id) AS (
			SELECT p.id FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_position(u.id, clock_timestamp()) p WHERE p.headroom < 0
			UNION
			SELECT a.account_id FROM down d JOIN dist.credit_account a ON a.parent_id = d.account_id WHERE a.open_orders > 0)
		SELECT d.account_id FROM down d UNION SELECT u.id FROM unnest(account_ids) AS u(id) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_shaken(bigint[]) IS 'Ids of these accounts and, where one of them or one above is over its limit, of all below that one that have open orders.';

-- credit_short does the question whether an account stands so that nothing more may go, whatever rule would let single orders pass.
CREATE FUNCTION distsync_internal.credit_short(account_id bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	decision jsonb := distsync_internal.credit_decide(credit_short.account_id, 0, jsonb_build_object('at', clock_timestamp()));
BEGIN
	RETURN decision -> 'reasons' <> '[]'
		OR EXISTS (SELECT FROM jsonb_array_elements(decision -> 'accounts') a WHERE (a ->> 'exposure')::numeric > (a ->> 'limit')::numeric)
		OR EXISTS (SELECT FROM jsonb_array_elements(decision -> 'rules') r WHERE r ->> 'action' = 'block' AND (r ->> 'failed')::boolean);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_short(bigint) IS 'Whether an account is over its limit or one above it is, a rule fails that blocks, or it is blocked: a decision about no further amount, without rules that release. The caller holds the lock.';

-- credit_rehold_ask does the asking whether an order would be let go now: what of it has not shipped leaves open orders, or comes back to
-- them where it would.
CREATE FUNCTION distsync_internal.credit_rehold_ask(c jsonb, out_already boolean) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account bigint := (c ->> 'account_id')::bigint;
	amount numeric := (c ->> 'amount')::numeric;
	decision jsonb;
BEGIN
	IF NOT out_already THEN
		PERFORM distsync_internal.credit_add(account, open_orders => -amount, ship_on => (c ->> 'ship_on')::date, order_id => (c ->> 'order_id')::bigint);
	END IF;
	decision := distsync_internal.credit_decide(account, amount, jsonb_build_object('at', clock_timestamp(), 'order_id', c -> 'order_id', 'customer_id', c -> 'customer_id', 'payment_terms', c -> 'payment_terms', 'ship_on', c -> 'ship_on',
		'deposit', distsync_internal.credit_deposit((c ->> 'customer_id')::bigint, account, (c ->> 'company_id')::bigint, c ->> 'order_number')));
	IF decision ->> 'outcome' = 'approved' THEN
		PERFORM distsync_internal.credit_add(account, open_orders => amount, ship_on => (c ->> 'ship_on')::date, order_id => (c ->> 'order_id')::bigint);
		RETURN NULL;
	END IF;
	RETURN decision;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_ask(jsonb, boolean) IS
	'Decides a row of credit_let_go() as if it waited: NULL where it would be let go (it fits, is paid in advance, or a rule lets it pass), its amount is an open order then; else the decision, and its amount is none. out_already: it is none before. The caller holds the locks.';

-- credit_rehold_place does the holding of an order that was asked about.
CREATE FUNCTION distsync_internal.credit_rehold_place(c jsonb, decision jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	account bigint := (c ->> 'account_id')::bigint;
	hold bigint;
	checkpoint text := COALESCE(c ->> 'checkpoint', 'reversal');
BEGIN
	hold := distsync_internal.credit_hold(account, jsonb_build_object('customer_id', c -> 'customer_id', 'order_id', c -> 'order_id', 'company_id', c -> 'company_id', 'order_number', c -> 'order_number', 'amount', c -> 'amount',
		'reasons', decision -> 'reasons', 'priority', c -> 'priority', 'payment_terms', c -> 'payment_terms', 'ship_on', c -> 'ship_on', 'checkpoint', checkpoint, 'queued_at', c -> 'taken_at', 'placed_by', 'distsync', 'valid_until', decision -> 'valid_until'));
	PERFORM distsync_internal.credit_record(account, (c ->> 'order_id')::bigint, checkpoint, 'held', decision);
	RETURN jsonb_build_object('customer_id', c -> 'customer_id', 'order_id', c -> 'order_id', 'hold_id', hold, 'account_id', account, 'amount', c -> 'amount', 'checkpoint', checkpoint, 'reasons', decision -> 'reasons', 'cure', decision -> 'cure');
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_place(jsonb, jsonb) IS
	'Places an automatic hold (checkpoint, absent = reversal) on a row of credit_let_go() whose amount has left open orders, in its old place among what waits, and keeps the decision. Returns {customer_id, order_id, hold_id, account_id, amount, checkpoint, reasons, cure}.';

-- credit_rehold_alone does both for an order that may fail: then nothing of it happens, and what failed is told.
CREATE FUNCTION distsync_internal.credit_rehold_alone(c jsonb, ctx jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	decision jsonb;
BEGIN
	decision := distsync_internal.credit_rehold_ask(c, false);
	IF decision IS NULL THEN
		RETURN '{}';
	END IF;
	PERFORM distsync_internal.base_hook('credit.reheld', ctx || jsonb_build_object('orders', jsonb_build_array(distsync_internal.credit_rehold_place(c, decision)), 'account_id', c -> 'account_id'));
	RETURN '{"held":true}';
EXCEPTION WHEN OTHERS THEN
	IF distsync_internal.base_passing(SQLSTATE) THEN
		RAISE;
	END IF;
	RETURN jsonb_build_object('failed', jsonb_build_object('order_number', c -> 'order_number', 'sqlstate', SQLSTATE, 'message', SQLERRM));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_alone(jsonb, jsonb) IS
	'Asks about an order, holds it and calls the hook credit.reheld for it, in a subtransaction. Returns {held: true}, {} where it is let go on, or {failed: {order_number, sqlstate, message}} where that raises. What is in the way or takes the server down is raised.';

-- credit_rehold_locked does the choice of the accounts whose orders are looked at: those of the next orders, if nobody else has them.
CREATE FUNCTION distsync_internal.credit_rehold_locked(account_ids bigint[], after jsonb, most integer, ship jsonb) RETURNS TABLE (ids bigint[], complete boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
BEGIN
	ids := '{}';
	complete := true;
	FOR id IN SELECT DISTINCT c.account_id FROM distsync_internal.credit_let_go(CASE WHEN ship IS NULL THEN distsync_internal.credit_shaken(account_ids) ELSE distsync_internal.credit_below(account_ids) END, after, most, ship) c ORDER BY 1 LOOP
		IF distsync_internal.credit_try_lock(id) THEN
			ids := ids || id;
		ELSE
			complete := false;
		END IF;
	END LOOP;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_locked(bigint[], jsonb, integer, jsonb) IS
	'Accounts of the next orders to be looked at that are locked now, without waiting for anybody; complete = false where somebody else has one. Most of them are locked already, by credit_lock_tree().';

-- credit_rehold_tell does the holding of what was asked about and has to wait. What fits after all, because larger ones wait now, goes on
-- as if nothing had been: the first let go first.
CREATE FUNCTION distsync_internal.credit_rehold_tell(asked jsonb[], at_end boolean, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	decision jsonb;
	kept jsonb := '{}';
	held jsonb := '[]';
BEGIN
	FOR n IN REVERSE cardinality(asked) .. 1 LOOP
		decision := CASE WHEN at_end AND cardinality(asked) > 1 THEN distsync_internal.credit_rehold_ask(asked[n] - 'decision', true) ELSE asked[n] -> 'decision' END;
		kept := kept || jsonb_build_object(n::text, decision);
	END LOOP;
	FOR n IN 1 .. cardinality(asked) LOOP
		IF kept -> n::text <> 'null' THEN
			held := held || distsync_internal.credit_rehold_place(asked[n] - 'decision', kept -> n::text);
		END IF;
	END LOOP;
	IF held <> '[]' THEN
		PERFORM distsync_internal.base_hook('credit.reheld', ctx || jsonb_build_object('orders', held));
		PERFORM distsync_internal.credit_stand(ARRAY(SELECT DISTINCT (r ->> 'account_id')::bigint FROM jsonb_array_elements(held) r));
	END IF;
	RETURN jsonb_array_length(held);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_tell(jsonb[], boolean, jsonb) IS
	'Holds rows of credit_let_go() with the decision of credit_rehold_ask(), in the order in which they were asked, but at the end of the walk not those that fit now that the others wait; calls the hook credit.reheld once. Returns how many it held.';

-- credit_rehold_ship does the choice of what a walk looks at: only at what has come inside a horizon, unless money has gone as well.
CREATE FUNCTION distsync_internal.credit_rehold_ship(before jsonb, ship jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF ship IS NULL OR before IS NOT NULL AND NOT before ? 'ship' THEN
		RETURN '{}';
	END IF;
	RETURN jsonb_build_object('ship', jsonb_build_object('after', least((before -> 'ship' ->> 'after')::date, (ship ->> 'after')::date), 'upto', greatest((before -> 'ship' ->> 'upto')::date, (ship ->> 'upto')::date)));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_ship(jsonb, jsonb) IS 'What a walk looks at, {ship {after, upto}} or {} (all), beside one that is under way (before, NULL = none).';

-- credit_rehold_walk does the walk over what was let go in a tree, the last first, until the accounts stand well again or nothing is left.
CREATE FUNCTION distsync_internal.credit_rehold_walk(account_ids bigint[], ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	place CONSTANT text[] := '{priority,let_go_at,company,order_number}';
	chain bigint[] := distsync_internal.credit_chain(account_ids[1]);
	most integer := COALESCE(NULLIF(current_setting('distsync.release_inline', true), '')::integer, 100);
	own jsonb;
	top record;
	c record;
	look record;
	tried jsonb;
	n integer := 0;
	held integer := 0;
	asked jsonb[] := '{}';
	failed jsonb := '[]';
	walk jsonb;
	fine bigint[] := '{}';
BEGIN
	SELECT a.account_id, a.code, a.holding_from INTO top FROM dist.credit_account a WHERE a.account_id = chain[cardinality(chain)];
	own := ctx - '{continue,ship}'::text[] || jsonb_build_object('account_id', top.account_id);
	walk := COALESCE(CASE WHEN ctx ? 'continue' THEN top.holding_from ELSE top.holding_from - place END, '{}') - 'again';
	walk := walk || jsonb_build_object('accounts', (SELECT jsonb_agg(DISTINCT x.id) FROM (SELECT u.id FROM unnest(account_ids) AS u(id) UNION SELECT e::bigint FROM jsonb_array_elements_text(walk -> 'accounts') e) x));
	IF ctx ? 'continue' THEN
		most := CASE WHEN most = 0 THEN 100 ELSE most END;
	ELSE
		walk := walk - 'ship' || distsync_internal.credit_rehold_ship(top.holding_from, ctx -> 'ship');
	END IF;
	SELECT * INTO look FROM distsync_internal.credit_rehold_locked(ARRAY(SELECT e::bigint FROM jsonb_array_elements_text(walk -> 'accounts') e), CASE WHEN walk ? 'order_number' THEN walk END, most + 1, walk -> 'ship');
	-- read under the locks
	FOR c IN SELECT g.*, CASE WHEN walk ? 'ship' THEN 'horizon' ELSE 'reversal' END AS checkpoint FROM distsync_internal.credit_let_go(look.ids, CASE WHEN walk ? 'order_number' THEN walk END, most + 1, walk -> 'ship') g LOOP
		n := n + 1;
		EXIT WHEN n > most;
		walk := walk || jsonb_build_object('priority', c.priority, 'let_go_at', c.let_go_at, 'company', c.company, 'order_number', c.order_number);
		CONTINUE WHEN c.account_id = ANY (fine);
		IF NOT distsync_internal.credit_short(c.account_id) THEN
			-- it gets no worse by what is held after it
			fine := fine || c.account_id;
		ELSIF walk ? 'careful' THEN
			tried := distsync_internal.credit_rehold_alone(to_jsonb(c), own);
			held := held + (tried ? 'held')::integer;
			failed := failed || COALESCE(tried -> 'failed', '[]');
		ELSE
			tried := distsync_internal.credit_rehold_ask(to_jsonb(c), false);
			asked := asked || CASE WHEN tried IS NOT NULL THEN to_jsonb(c) || jsonb_build_object('decision', tried) END;
		END IF;
	END LOOP;
	asked := array_remove(asked, NULL);
	held := held + distsync_internal.credit_rehold_tell(asked, n <= most, own);
	PERFORM distsync_internal.credit_rehold_walked(top.account_id, top.code, CASE WHEN n > most THEN walk ELSE walk - place END || CASE WHEN look.complete THEN '{}' ELSE '{"again":true}'::jsonb END, n > most, top.holding_from, failed);
	RETURN held;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_walk(bigint[], jsonb) IS
	'Holds again what credit has let go in accounts of one tree that stand badly now, the last let go first, until they stand well or nothing is left; calls the hook credit.reheld {orders [{customer_id, order_id, hold_id, account_id, amount, reasons, cure}], account_id, ctx}. Beyond distsync.release_inline orders the clerk goes on. Returns how many it held. The caller has called credit_lock_tree(). ctx: verb, correlation_id, causation_id, continue (of the clerk: goes on from where it was left), ship {after, upto} (days that have come inside the horizon of the accounts: only orders that ship on them, checkpoint horizon).';

-- credit_rehold_walked does the noting of how far that has come, and what becomes of what failed: the clerk comes back for it.
CREATE FUNCTION distsync_internal.credit_rehold_walked(account_id bigint, code text, walk jsonb, more boolean, before jsonb, failed jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF failed <> '[]' THEN
		PERFORM distsync_internal.base_exception('rehold_failed', code, 'credit', 'error', NULL, 'credit_account', code, jsonb_build_object('orders', failed));
	END IF;
	IF more OR walk ? 'again' THEN
		UPDATE dist.credit_account a SET due_at = clock_timestamp(), holding_from = walk WHERE a.account_id = credit_rehold_walked.account_id;
		PERFORM distsync_internal.credit_wake();
	ELSIF failed <> '[]' THEN
		UPDATE dist.credit_account a SET due_at = least(a.due_at, clock_timestamp() + interval '5 minutes'), holding_from = walk || '{"careful":true}' WHERE a.account_id = credit_rehold_walked.account_id;
		PERFORM distsync_internal.credit_wake();
	ELSIF before IS NOT NULL THEN
		UPDATE dist.credit_account a SET holding_from = NULL WHERE a.account_id = credit_rehold_walked.account_id;
		IF before ? 'careful' THEN
			PERFORM distsync_internal.base_exception_close('rehold_failed', code, 'what has to wait is held again');
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold_walked(bigint, text, jsonb, boolean, jsonb, jsonb) IS
	'Notes at the top of a tree where holding again has stopped (walk: accounts, ship, priority, let_go_at, company, order_number, again, careful), more = there is more to look at, and calls the clerk for the rest; before: what was noted. failed: orders that could not be held; opens rehold_failed and lets the clerk come back in five minutes.';

-- credit_rehold does the walk for several accounts, once for each tree, so that no error of it fails the caller: then nothing is held here,
-- people are told, and the clerk tries order by order.
CREATE FUNCTION distsync_internal.credit_rehold(account_ids bigint[], ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
	n integer := 0;
	failed_with text;
	said text;
	more text;
BEGIN
	FOR t IN SELECT c.ids[cardinality(c.ids)] AS top, array_agg(DISTINCT u.id) AS ids
		FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_chain(u.id) AS c(ids) GROUP BY 1 ORDER BY 1
	LOOP
		BEGIN
			n := n + distsync_internal.credit_rehold_walk(t.ids, ctx);
			CONTINUE;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS failed_with = RETURNED_SQLSTATE, said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
			IF distsync_internal.base_passing(failed_with) THEN
				RAISE;
			END IF;
		END;
		UPDATE dist.credit_account a SET due_at = clock_timestamp() + CASE WHEN ctx ? 'continue' THEN interval '5 minutes' ELSE interval '0' END, holding_from = jsonb_strip_nulls(jsonb_build_object('ship', ctx -> 'ship')) || jsonb_build_object('careful', true, 'accounts',
			(SELECT jsonb_agg(DISTINCT x.id) FROM (SELECT u.id FROM unnest(t.ids) AS u(id) UNION SELECT e::bigint FROM jsonb_array_elements_text(a.holding_from -> 'accounts') e) x)) WHERE a.account_id = t.top;
		PERFORM distsync_internal.base_exception('rehold_failed', a.code, 'credit', 'error', NULL, 'credit_account', a.code, jsonb_build_object('verb', ctx -> 'verb', 'sqlstate', failed_with, 'message', said, 'detail', more),
			correlation_id => (ctx ->> 'correlation_id')::uuid) FROM dist.credit_account a WHERE a.account_id = t.top;
		PERFORM distsync_internal.credit_wake();
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_rehold(bigint[], jsonb) IS
	'credit_rehold_walk() for these accounts, once a tree, all of a tree undone where it raises: then rehold_failed is opened and the clerk tries order by order. Returns how many orders were held. Errors: what is in the way (40001, 40P01, 55P03) and what takes the server down.';
