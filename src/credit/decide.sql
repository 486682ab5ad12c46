-- The credit decision: a read. Precedence: forced holds and blocks; prepaid orders and releasing rules pass; then any failing rule holds.

-- credit_forced does the list of what only people or the owner lift: blocked accounts in the tree, forced holds of the order.
CREATE FUNCTION distsync_internal.credit_forced(account_id bigint, order_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT COALESCE(jsonb_agg(x.reason ORDER BY x.place, x.placed_at, x.reason), '[]')
	FROM (SELECT c.place, NULL::timestamptz AS placed_at, jsonb_build_object('rule', 'account_status', 'account', a.code, 'status', a.status, 'reason', a.status_reason) AS reason
		  FROM unnest(distsync_internal.credit_chain(credit_forced.account_id)) WITH ORDINALITY c(id, place) JOIN dist.credit_account a ON a.account_id = c.id WHERE a.status <> 'open'
		  UNION ALL
		  SELECT 1000, h.placed_at, jsonb_build_object('rule', h.kind || '_hold', 'owner', h.owner, 'placed_at', h.placed_at, 'placed_by', h.placed_by, 'reasons', h.reasons)
		  FROM dist.hold h WHERE h.order_id = credit_forced.order_id AND h.released_at IS NULL AND (h.kind <> 'auto' OR h.owner <> 'credit')) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_forced(bigint, bigint) IS 'Reasons that no payment lifts: accounts of the tree that are blocked or closed, forced and manual holds of an order; leaf first, oldest hold first.';

-- credit_cure does the rounding up of a payment to what can be paid.
CREATE FUNCTION distsync_internal.credit_cure(pay numeric, currency text) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT trunc(ceil(pay * 10::numeric ^ m.units) / 10::numeric ^ m.units, m.units)
	FROM (SELECT COALESCE((SELECT c.minor_units FROM dist.currency c WHERE c.currency = credit_cure.currency), 2)::integer AS units) m);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_cure(numeric, text) IS 'An amount rounded up to the minor units of its currency.';

-- credit_limits does the comparison of an amount with the limit of an account and of each one above it.
CREATE FUNCTION distsync_internal.credit_limits(account_id bigint, amount numeric, at timestamptz, supposed jsonb DEFAULT NULL, ship_on date DEFAULT NULL)
RETURNS TABLE (accounts jsonb, reasons jsonb, binding jsonb, changes_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	-- what ships beyond the horizon of an account takes nothing of it now
	WITH p AS (SELECT x.*, CASE WHEN x.inside_on < credit_limits.ship_on THEN 0 ELSE credit_limits.amount END AS asked FROM distsync_internal.credit_position(credit_limits.account_id, credit_limits.at, supposed) x),
	told AS (
		SELECT p.level, p.headroom, p.changes_at, p.credit_limit IS NOT NULL AND p.asked > p.headroom AS failed,
			jsonb_build_object('account', p.code, 'currency', p.currency, 'terms', p.terms, 'exposure', p.exposure, 'limit', p.credit_limit, 'headroom', p.headroom)
				|| CASE WHEN p.inside_on IS NULL THEN '{}' ELSE jsonb_build_object('horizon', jsonb_build_object('days', p.horizon_days, 'inside_on', p.inside_on, 'later', p.later) || CASE WHEN p.reading THEN '{"reading":true}'::jsonb ELSE '{}' END) END
				|| CASE WHEN p.inside_on < credit_limits.ship_on THEN '{"counts":0}'::jsonb ELSE '{}' END AS picture,
			jsonb_build_object('rule', 'limit', 'account', p.code, 'value', p.exposure + p.asked, 'threshold', p.credit_limit,
				'over', p.asked - p.headroom, 'pay', p.asked - p.headroom, 'currency', p.currency) AS reason
		FROM p
	)
	SELECT jsonb_agg(t.picture ORDER BY t.level), COALESCE(jsonb_agg(t.reason ORDER BY t.level) FILTER (WHERE t.failed), '[]'),
		(SELECT b.picture FROM told b ORDER BY b.headroom NULLS LAST, b.level LIMIT 1), min(t.changes_at)
	FROM told t;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits(bigint, numeric, timestamptz, jsonb, date) IS
	'Pictures of an account and those above it, the limits that an amount passes, the account with the least headroom, next instant at which a limit begins or ends, or an order comes inside a horizon; supposed as credit_position(); ship_on: day on which the order ships (NULL = at once), it counts nothing where that is beyond the horizon (picture: counts 0).';

-- credit_decide_whole does the decision whether an amount more is within what an account may owe, with every reason against it.
CREATE FUNCTION distsync_internal.credit_decide_whole(account_id bigint, amount numeric, ctx jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at timestamptz := COALESCE((ctx ->> 'at')::timestamptz, statement_timestamp());
	own record;
	forced jsonb := distsync_internal.credit_forced(credit_decide_whole.account_id, (ctx ->> 'order_id')::bigint);
	rules jsonb;
	failing jsonb;
	reasons jsonb;
	valid_until timestamptz;
	releasing text;
	prepaid boolean := amount > 0 AND COALESCE((ctx ->> 'deposit')::numeric, 0) >= amount;
	cure numeric;
BEGIN
	SELECT * INTO own FROM distsync_internal.credit_limits(credit_decide_whole.account_id, credit_decide_whole.amount, at, NULLIF(ctx -> 'supposed', 'null'), (ctx ->> 'ship_on')::date);
	SELECT COALESCE(jsonb_agg(jsonb_build_object('rule', r.type, 'code', r.code, 'action', r.action, 'failed', r.failed, 'value', r.value, 'threshold', r.threshold,
			'currency', r.currency, 'pay', r.pay) ORDER BY r.code), '[]'), min(r.changes_at), min(r.code) FILTER (WHERE r.action = 'release' AND NOT r.failed)
	INTO rules, valid_until, releasing
	FROM distsync_internal.credit_rule_results(credit_decide_whole.account_id, credit_decide_whole.amount, at, ctx) r;
	SELECT COALESCE(jsonb_agg(r - 'failed' - 'action'), '[]') INTO failing FROM jsonb_array_elements(rules) r WHERE (r ->> 'failed')::boolean AND r ->> 'action' = 'block';
	IF prepaid OR releasing IS NOT NULL THEN
		reasons := forced;
	ELSE
		reasons := forced || own.reasons || failing;
	END IF;
	SELECT CASE WHEN count(*) > 0 AND bool_and(r ->> 'pay' IS NOT NULL) THEN distsync_internal.credit_cure(max((r ->> 'pay')::numeric), own.binding ->> 'currency') END
	INTO cure FROM jsonb_array_elements(reasons) r;
	RETURN jsonb_build_object('outcome', CASE WHEN reasons = '[]' THEN 'approved' ELSE 'held' END, 'reasons', reasons,
		'warnings', (SELECT COALESCE(jsonb_agg(r - 'failed' - 'action'), '[]') FROM jsonb_array_elements(rules) r WHERE (r ->> 'failed')::boolean AND r ->> 'action' = 'warn'),
		'account', own.binding ->> 'account', 'currency', own.binding ->> 'currency', 'amount', amount, 'exposure', own.binding -> 'terms',
		'total', own.binding -> 'exposure', 'limit', own.binding -> 'limit', 'headroom', own.binding -> 'headroom', 'accounts', own.accounts, 'rules', rules,
		'passed_by', CASE WHEN prepaid THEN 'prepaid' ELSE releasing END, 'cure', cure, 'valid_until', least(valid_until, own.changes_at), 'as_of', at)
		|| CASE WHEN own.accounts @> '[{"counts":0}]' THEN jsonb_build_object('ship_on', ctx -> 'ship_on') ELSE '{}' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_decide_whole(bigint, numeric, jsonb) IS
	'Decides in SQL, as a read, whether an account may take an amount more (its currency): outcome approved | held, reasons, warnings, terms of exposure of the binding account and their total, limit and headroom (null unlimited), cure (the payment that lifts it, null = none does), valid_until. ctx: at, customer_id, order_id, deposit, payment_terms, ship_on (day on which the order ships, null = at once; told back where it is beyond a horizon), supposed (what credit_what_if() adds to accounts).';

-- credit_decide does the same, in C where it can: the tests hold both against each other. It runs no SQL but what credit_decide_whole() runs,
-- which pins a path of its own.
CREATE FUNCTION distsync_internal.credit_decide(account_id bigint, amount numeric, ctx jsonb DEFAULT '{}') RETURNS jsonb
AS 'MODULE_PATHNAME', 'ds_sql_credit_decide' LANGUAGE c STABLE;
COMMENT ON FUNCTION distsync_internal.credit_decide(bigint, numeric, jsonb) IS
	'Decides, as a read, whether an account may take an amount more: arguments and answer as credit_decide_whole(), which is asked for what takes more than a few look-ups (rules in other currencies, orders with holds of others, serializable transactions, a rule changed in this transaction).';

-- credit_record does the keeping of a decision with the inputs it was made from, so that it can be proved again.
CREATE FUNCTION distsync_internal.credit_record(account_id bigint, order_id bigint, verb text, outcome text, decision jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	id bigint;
BEGIN
	INSERT INTO dist.credit_decision (customer_id, account_id, order_id, verb, outcome, inputs, reasons, valid_until)
	SELECT a.customer_id, a.account_id, credit_record.order_id, credit_record.verb, credit_record.outcome, credit_record.decision - 'reasons',
		credit_record.decision -> 'reasons', (credit_record.decision ->> 'valid_until')::timestamptz
	FROM dist.credit_account a WHERE a.account_id = credit_record.account_id
	RETURNING decision_id INTO id;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_record(bigint, bigint, text, text, jsonb) IS 'Writes dist.credit_decision: account, order, verb, outcome, what credit_decide() answered. Returns its id.';

-- credit_take does the decision under the lock of the account and all above it, and where it is approved counts the amount as open order
-- all the way up: two clients can not both get the last dollar.
CREATE FUNCTION distsync_internal.credit_take(account_id bigint, amount numeric, ctx jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	decision jsonb;
BEGIN
	PERFORM distsync_internal.credit_lock(ARRAY[credit_take.account_id]);
	decision := distsync_internal.credit_decide(credit_take.account_id, amount, ctx || jsonb_build_object('at', clock_timestamp()));
	IF decision ->> 'outcome' = 'approved' AND amount > 0 THEN
		PERFORM distsync_internal.credit_add(credit_take.account_id, open_orders => amount, ship_on => (ctx ->> 'ship_on')::date, order_id => (ctx ->> 'order_id')::bigint);
		PERFORM distsync_internal.credit_crossed(credit_take.account_id, decision);
	END IF;
	RETURN decision || jsonb_build_object('decision_id', distsync_internal.credit_record(credit_take.account_id, (ctx ->> 'order_id')::bigint,
		COALESCE(ctx ->> 'verb', 'submit_order'), decision ->> 'outcome', decision));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_take(bigint, numeric, jsonb) IS
	'Locks an account and all above it, decides, and where approved counts the amount (account''s currency, >= 0) as open order in each of them; keeps the decision. Returns it with decision_id. ctx as credit_decide(), and verb.';

-- credit_count does the counting of a fact: an order or a shipment that has happened counts whatever the limit says.
CREATE FUNCTION distsync_internal.credit_count(account_id bigint, amount numeric, term text, ship_on date DEFAULT NULL, order_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_lock(ARRAY[credit_count.account_id]);
	PERFORM distsync_internal.credit_add(credit_count.account_id, unbilled => CASE WHEN term = 'unbilled' THEN amount ELSE 0 END,
		open_orders => CASE WHEN term = 'open_orders' THEN amount ELSE 0 END, ship_on => credit_count.ship_on, order_id => credit_count.order_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_count(bigint, numeric, text, date, bigint) IS
	'Adds an amount (negative gives back) to a term, open_orders (of an order order_id that ships on ship_on, NULL = at once) or unbilled, of an account and all above it, without asking the limit: for facts.';

-- credit_give_back does the return of exposure that will not come about.
CREATE FUNCTION distsync_internal.credit_give_back(account_id bigint, amount numeric, term text, ship_on date DEFAULT NULL, order_id bigint DEFAULT NULL) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT distsync_internal.credit_count(credit_give_back.account_id, -credit_give_back.amount, credit_give_back.term, credit_give_back.ship_on, credit_give_back.order_id)
$$;
COMMENT ON FUNCTION distsync_internal.credit_give_back(bigint, numeric, text, date, bigint) IS
	'Takes an amount out of a term, open_orders (of an order order_id that ships on ship_on) or unbilled, of an account and all above it. The caller goes on with credit_reevaluate(), what waits may fit now.';

-- credit_move does the move of an amount from one term to the next, so that it is counted once.
CREATE FUNCTION distsync_internal.credit_move(account_id bigint, amount numeric, from_term text, to_term text, ship_on date DEFAULT NULL, order_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_lock(ARRAY[credit_move.account_id]);
	PERFORM distsync_internal.credit_add(credit_move.account_id,
		unbilled => amount * ((to_term = 'unbilled')::int - (from_term = 'unbilled')::int),
		open_orders => amount * ((to_term = 'open_orders')::int - (from_term = 'open_orders')::int), ship_on => credit_move.ship_on, order_id => credit_move.order_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_move(bigint, numeric, text, text, date, bigint) IS
	'Moves an amount between open_orders (of an order order_id that ships on ship_on) and unbilled in an account and all above it. What becomes receivable is taken out of unbilled and posted as an item.';
