-- Holds and the queue of what waits: placing, ending, in which order it is tried, and the locks of whoever tries it.

-- credit_hold does the placing of a hold. What is held is shown as demand and never counted: else a payment could not free it.
CREATE FUNCTION distsync_internal.credit_hold(account_id bigint, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	held numeric := COALESCE((ctx ->> 'amount')::numeric, 0);
	id bigint;
BEGIN
	IF credit_hold.account_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_lock(ARRAY[credit_hold.account_id]);
		PERFORM distsync_internal.credit_add(credit_hold.account_id, held_demand => held, due_at => (ctx ->> 'valid_until')::timestamptz);
	END IF;
	INSERT INTO dist.hold (customer_id, order_id, company_id, order_number, account_id, kind, owner, reasons, amount, priority, payment_terms, ship_on, checkpoint, queued_at, placed_by, review_at)
	VALUES ((ctx ->> 'customer_id')::bigint, (ctx ->> 'order_id')::bigint, (ctx ->> 'company_id')::bigint, ctx ->> 'order_number', credit_hold.account_id, COALESCE(ctx ->> 'kind', 'auto'), COALESCE(ctx ->> 'owner', 'credit'),
		COALESCE(ctx -> 'reasons', '[]'), held, COALESCE((ctx ->> 'priority')::integer, 100), ctx ->> 'payment_terms', (ctx ->> 'ship_on')::date, COALESCE(ctx ->> 'checkpoint', 'entry'),
		COALESCE((ctx ->> 'queued_at')::timestamptz, clock_timestamp()), COALESCE(ctx ->> 'placed_by', session_user), (ctx ->> 'review_at')::timestamptz)
	RETURNING hold_id INTO id;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_hold(bigint, jsonb) IS
	'Places a hold on an order: account (NULL = none), ctx {customer_id (sold-to), order_id, company_id, order_number, amount in the account''s currency, reasons, kind auto|forced|manual, owner, priority, payment_terms (that the order asks for), ship_on (of the order), checkpoint entry|change|pick|ship|hand|reversal|horizon, queued_at (its place among what waits, absent = now), placed_by, review_at, valid_until}. Returns its id.';

-- credit_hold_end does the ending of a hold, whoever ends it.
CREATE FUNCTION distsync_internal.credit_hold_end(customer_id bigint, hold_id bigint, released_by text, reason text) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	h record;
BEGIN
	UPDATE dist.hold x SET released_at = clock_timestamp(), released_by = credit_hold_end.released_by, release_reason = credit_hold_end.reason
	WHERE x.customer_id = credit_hold_end.customer_id AND x.hold_id = credit_hold_end.hold_id AND x.released_at IS NULL
	RETURNING x.account_id, x.amount INTO h;
	IF h.account_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_add(h.account_id, held_demand => -h.amount);
	END IF;
	RETURN h.amount;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_hold_end(bigint, bigint, text, text) IS
	'Ends a hold and takes its amount out of the held demand; the caller holds the account''s lock. Returns the amount, NULL if it had ended before.';

-- credit_nothing_moved does the counting of orders that wait though nothing of them is counted, in their account and all above it: all of
-- such an order was billed before it left. Whoever makes room looks where something waits, and need not read what waits elsewhere.
CREATE FUNCTION distsync_internal.credit_nothing_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		UPDATE dist.credit_account a SET held_nothing = a.held_nothing - 1
		WHERE a.account_id = ANY (distsync_internal.credit_chain(OLD.account_id)) AND OLD.amount = 0 AND OLD.kind = 'auto' AND OLD.released_at IS NULL;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		UPDATE dist.credit_account a SET held_nothing = a.held_nothing + 1
		WHERE a.account_id = ANY (distsync_internal.credit_chain(NEW.account_id)) AND NEW.amount = 0 AND NEW.kind = 'auto' AND NEW.released_at IS NULL;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_nothing_moved() IS 'Row trigger of dist.hold, for live automatic holds with amount 0 that come, go or move to another account: held_nothing of the account and of all above it. The caller of the statement holds their locks.';

-- credit_waiting does the list of what waits in the tree of an account, in the order in which it is to be tried: that of the top of the
-- tree, so that it is the same whoever of its members made the room.
CREATE FUNCTION distsync_internal.credit_waiting(member_id bigint, after jsonb DEFAULT NULL, most integer DEFAULT NULL)
RETURNS TABLE (customer_id bigint, hold_id bigint, order_id bigint, company_id bigint, order_number text, account_id bigint, amount numeric, priority integer, queued_at timestamptz, rank numeric, payment_terms text, ship_on date)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH RECURSIVE chain (ids) AS MATERIALIZED (SELECT distsync_internal.credit_chain(credit_waiting.member_id)),
	down (account_id) AS (
		SELECT c.ids[cardinality(c.ids)] FROM chain c
		UNION
		SELECT a.account_id FROM down d JOIN dist.credit_account a ON a.parent_id = d.account_id
		-- what is not held anywhere below needs no look
		WHERE a.held_demand > 0 OR a.held_nothing > 0 OR a.account_id = ANY ((SELECT c.ids FROM chain c)::bigint[])
	)
	SELECT h.customer_id, h.hold_id, h.order_id, h.company_id, h.order_number, h.account_id, h.amount, h.priority, h.queued_at, r.rank, h.payment_terms, h.ship_on
	FROM down d
	-- from the accounts to what waits in them, whatever is known of the table
	CROSS JOIN LATERAL (SELECT x.* FROM dist.hold x WHERE x.account_id = d.account_id AND x.released_at IS NULL AND x.kind = 'auto' AND x.owner = 'credit' OFFSET 0) h
	CROSS JOIN (SELECT a.release_order FROM dist.credit_account a, chain c WHERE a.account_id = c.ids[cardinality(c.ids)]) p
	CROSS JOIN LATERAL (SELECT CASE p.release_order WHEN 'priority' THEN h.priority WHEN 'best_fit' THEN -h.amount ELSE 0 END AS rank) r
	WHERE NOT EXISTS (SELECT FROM dist.hold o WHERE o.order_id = h.order_id AND o.released_at IS NULL AND o.hold_id <> h.hold_id OFFSET 0)
		AND (after IS NULL OR (r.rank, h.queued_at, h.order_id) > ((after ->> 'rank')::numeric, (after ->> 'queued_at')::timestamptz, (after ->> 'order_id')::bigint))
	ORDER BY r.rank, h.queued_at, h.order_id
	LIMIT most;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_waiting(bigint, jsonb, integer) IS
	'Automatic credit holds in the whole tree of an account that nothing else holds, in the order of release of the top of the tree: date | priority | best_fit (largest first) | prefix (by date); after {rank, queued_at, order_id} (NULL = from the first), at most so many (NULL = all).';

-- credit_open_below does the list of accounts of trees that have open orders.
CREATE FUNCTION distsync_internal.credit_open_below(account_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE down (account_id) AS (
			SELECT c.ids[cardinality(c.ids)] FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_chain(u.id) AS c(ids)
			UNION
			SELECT a.account_id FROM down d JOIN dist.credit_account a ON a.parent_id = d.account_id WHERE a.open_orders > 0)
		SELECT d.account_id FROM down d ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_open_below(bigint[]) IS 'Ids of the tops of the trees of these accounts and of all in them that have open orders.';

-- credit_lock_tree does the locking for whoever makes room: the accounts, those above, and every account of their trees where something
-- waits; for whoever takes room away also those whose orders were let go last. Leaves come before roots, so all of it must be known before
-- the first lock is taken.
CREATE FUNCTION distsync_internal.credit_lock_tree(account_ids bigint[], lost bigint[] DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.credit_lock((
		SELECT array_agg(DISTINCT x.id) FROM (
			SELECT u.id FROM unnest(account_ids || lost) AS u(id)
			UNION ALL
			SELECT w.account_id FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_waiting(u.id) w
			UNION ALL
			SELECT g.account_id FROM distsync_internal.credit_let_go(distsync_internal.credit_open_below(lost), NULL, 101) g WHERE lost <> '{}') x));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_lock_tree(bigint[], bigint[]) IS
	'Locks accounts, all above them and all accounts of their trees with waiting orders, leaves first; of the trees of lost (accounts that lose room) also those of the hundred orders let go last. Called before anything else is locked by what may release orders or hold them again.';

-- credit_try_lock does the locking of an account that began to wait after the locks were taken: without waiting, for that would be
-- against the order of locks. Whoever has it is about to change it and the clerk comes back.
CREATE FUNCTION distsync_internal.credit_try_lock(account_id bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	chain bigint[] := distsync_internal.credit_chain(credit_try_lock.account_id);
BEGIN
	RETURN cardinality(chain) = (SELECT count(*) FROM (SELECT a.account_id FROM dist.credit_account a WHERE a.account_id = ANY (chain) FOR NO KEY UPDATE SKIP LOCKED) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_try_lock(bigint) IS 'Locks an account and all above it if nobody else has one of them; tells whether it did.';

-- credit_deposit does the sum of what has been paid in advance for an order and is still open: by its payer or in the tree of its account,
-- for anybody can name a number.
CREATE FUNCTION distsync_internal.credit_deposit(customer_id bigint, account_id bigint, company_id bigint, order_number text, currency text DEFAULT NULL) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	own record;
	chain bigint[];
	total numeric := 0;
	d record;
	r record;
BEGIN
	FOR d IN SELECT p.customer_id, i.account_id, i.currency, i.open_amount, a.currency AS account_currency, i.account_amount
		FROM dist.payment p
		JOIN dist.open_item i ON i.customer_id = p.customer_id AND i.company_id = p.company_id AND i.kind = 'deposit' AND i.document_number = p.payment_number AND i.open_amount > 0
		JOIN dist.credit_account a ON a.account_id = i.account_id
		WHERE p.company_id = credit_deposit.company_id AND p.order_number = credit_deposit.order_number AND p.kind = 'deposit'
	LOOP
		IF own IS NULL THEN
			SELECT COALESCE(b.payer_id, b.party_id) AS payer, a.customer_id, COALESCE(credit_deposit.currency, a.currency) AS currency INTO own
			FROM dist.party b LEFT JOIN dist.credit_account a ON a.account_id = credit_deposit.account_id WHERE b.party_id = credit_deposit.customer_id;
			chain := distsync_internal.credit_chain(credit_deposit.account_id);
		END IF;
		CONTINUE WHEN d.customer_id IS DISTINCT FROM own.payer AND d.customer_id IS DISTINCT FROM own.customer_id
			AND (SELECT x[cardinality(x)] FROM distsync_internal.credit_chain(d.account_id) x) IS DISTINCT FROM chain[cardinality(chain)];
		total := total + CASE own.currency WHEN d.currency THEN d.open_amount WHEN d.account_currency THEN d.account_amount ELSE 0 END;
	END LOOP;
	-- what has left of the order and is not billed waits for the same money
	IF total > 0 AND credit_deposit.currency IS NULL THEN
		FOR r IN SELECT h.function FROM distsync_internal.handler h WHERE h.kind = 'unbilled' ORDER BY h.ordinal, h.name COLLATE "C" LOOP
			-- %s is a function out of the registry: base checks that it is a name of ours
			EXECUTE format('SELECT $4 - %s($1, $2, $3)', r.function) INTO total USING credit_deposit.customer_id, credit_deposit.company_id, credit_deposit.order_number, total;
		END LOOP;
	END IF;
	RETURN total;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_deposit(bigint, bigint, bigint, text, text) IS
	'Open deposits for an order (sold-to, account or NULL, company, number) that its payer or somebody in the tree of its account has paid, in a currency; NULL = the account''s, less what of the order has left and is not billed. One that is neither paid nor counted in that currency is left out.';

-- credit_wake does the calling of the clerk at commit, where there is one.
CREATE FUNCTION distsync_internal.credit_wake() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF to_regprocedure('distsync_internal.worker_wake(text)') IS NOT NULL THEN
		PERFORM distsync_internal.worker_wake('clerk');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_wake() IS 'Wakes the clerk at commit.';
