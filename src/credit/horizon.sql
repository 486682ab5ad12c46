-- The horizon of an account: orders that ship later than so many days from today count when their day comes. What is to come is kept by
-- day; a decision reads what the account keeps of it and the first day. Which orders those are, the room of orders says.

-- credit_horizons does the question whether an account, or one above it, has a horizon: else nobody needs to know when an order ships.
CREATE FUNCTION distsync_internal.credit_horizons(account_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN credit_horizons.account_id IS NOT NULL AND EXISTS (SELECT FROM dist.credit_account a WHERE a.account_id = ANY (distsync_internal.credit_chain(credit_horizons.account_id)) AND a.horizon_days IS NOT NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizons(bigint) IS 'Whether an account or one above it has a horizon (NULL account: no).';

-- credit_horizon_at does the picture of the horizon of an account at an instant.
CREATE FUNCTION distsync_internal.credit_horizon_at(account_id bigint, at timestamptz, supposed jsonb DEFAULT NULL) RETURNS TABLE (inside_on date, later numeric, changes_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT h.inside_on, h.later_amount - COALESCE(c.amount, 0) + COALESCE(s.amount, 0), (least(n.ship_on, s.ship_on) - h.horizon_days)::timestamp AT TIME ZONE h.tz
	FROM (SELECT a.account_id, a.horizon_days, a.later_amount, d.today + a.horizon_days AS inside_on, d.tz
		  FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_day(a.customer_id, a.company_id, credit_horizon_at.at) d
		  WHERE a.account_id = credit_horizon_at.account_id AND a.horizon_days IS NOT NULL) h
	-- what has come inside since the clerk looked
	CROSS JOIN LATERAL (SELECT sum(x.amount) AS amount FROM dist.open_order_day x WHERE x.account_id = h.account_id AND x.ship_on <= h.inside_on) c
	CROSS JOIN LATERAL (SELECT (SELECT x.ship_on FROM dist.open_order_day x WHERE x.account_id = h.account_id AND x.ship_on > h.inside_on ORDER BY x.ship_on LIMIT 1) AS ship_on) n
	CROSS JOIN LATERAL (SELECT sum(x.value::numeric) AS amount, min(x.key::date) AS ship_on FROM jsonb_each_text(COALESCE(credit_horizon_at.supposed, '{}')) x WHERE x.key::date > h.inside_on) s;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_at(bigint, timestamptz, jsonb) IS
	'Of an account with a horizon (else no row), at an instant: last day whose orders count, what of its open orders ships later and does not, instant at which the next of them counts (NULL = none is to come). supposed: what is added to days, {day: amount}.';

-- credit_later does the question whether an order that ships on a day does not count yet, in an account or one above it.
CREATE FUNCTION distsync_internal.credit_later(account_id bigint, ship_on date) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN credit_later.ship_on IS NOT NULL AND EXISTS (SELECT FROM unnest(distsync_internal.credit_chain(credit_later.account_id)) AS c(id)
		CROSS JOIN LATERAL distsync_internal.credit_horizon_at(c.id, clock_timestamp()) h WHERE h.inside_on < credit_later.ship_on);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_later(bigint, date) IS 'Whether a day (NULL = today) is beyond the horizon of an account or of one above it now.';

-- credit_horizon_move does the counting of an amount on the day it ships, in every account of a chain for which that day is to come. The
-- day on which the clerk has looked last decides, and how far an account has read its orders, so that what is taken out was put in.
CREATE FUNCTION distsync_internal.credit_horizon_move(chain bigint[], ship_on date, amount numeric, order_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
BEGIN
	-- days on which nothing has come in are done with: what is inside when it is taken never comes in
	UPDATE dist.credit_account x SET horizon_on = h.upto
	FROM (SELECT c.account_id, least(d.today + c.horizon_days, (SELECT min(k.ship_on) - 1 FROM dist.open_order_day k WHERE k.account_id = c.account_id)) AS upto
		FROM dist.credit_account c CROSS JOIN LATERAL distsync_internal.credit_day(c.customer_id, c.company_id, clock_timestamp()) d
		WHERE c.account_id = ANY (chain) AND c.horizon_on IS NOT NULL AND c.horizon_to IS NULL AND credit_horizon_move.amount > 0 OFFSET 0) h
	WHERE x.account_id = h.account_id AND x.horizon_on < h.upto;
	FOR a IN SELECT x.account_id, (credit_horizon_move.ship_on - x.horizon_days)::timestamp AT TIME ZONE d.tz AS counts_at
		FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_day(x.customer_id, x.company_id, clock_timestamp()) d
		WHERE x.account_id = ANY (chain) AND x.horizon_on < credit_horizon_move.ship_on
			AND (x.horizon_to IS NULL OR x.horizon_to < credit_horizon_move.ship_on OR (chain[1], credit_horizon_move.order_id) <= (x.horizon_account, x.horizon_order))
		ORDER BY x.account_id
	LOOP
		DELETE FROM dist.open_order_day d WHERE d.account_id = a.account_id AND d.ship_on = credit_horizon_move.ship_on AND d.amount = -credit_horizon_move.amount;
		IF NOT FOUND THEN
			UPDATE dist.open_order_day d SET amount = d.amount + credit_horizon_move.amount WHERE d.account_id = a.account_id AND d.ship_on = credit_horizon_move.ship_on;
			IF NOT FOUND THEN
				INSERT INTO dist.open_order_day (account_id, ship_on, amount) VALUES (a.account_id, credit_horizon_move.ship_on, credit_horizon_move.amount);
			END IF;
		END IF;
		UPDATE dist.credit_account x SET later_amount = x.later_amount + credit_horizon_move.amount, due_at = CASE WHEN credit_horizon_move.amount > 0 THEN least(x.due_at, a.counts_at) ELSE x.due_at END
		WHERE x.account_id = a.account_id;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_move(bigint[], date, numeric, bigint) IS
	'Adds an amount of an order (negative takes away) to what ships on a day, in those of these accounts (that of the order first) that have a horizon which had not come so far, and have read the order; the clerk comes when it has. The caller holds their locks.';

-- credit_below does the list of accounts and of all below them that have open orders or something held.
CREATE FUNCTION distsync_internal.credit_below(account_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE down (account_id) AS (
			SELECT u.id FROM unnest(account_ids) AS u(id)
			UNION
			SELECT a.account_id FROM down d JOIN dist.credit_account a ON a.parent_id = d.account_id WHERE a.open_orders > 0 OR a.held_demand > 0)
		SELECT d.account_id FROM down d ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_below(bigint[]) IS 'Ids of these accounts and of all below them that have open orders or something held.';

-- credit_horizon_anew does the beginning of the reading of the open orders of accounts: what ships after a day and up to another is taken
-- out of their days, and counts at once until it is read.
CREATE FUNCTION distsync_internal.credit_horizon_anew(account_ids bigint[], upto date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	DELETE FROM dist.open_order_day d WHERE d.account_id = ANY (account_ids) AND d.ship_on <= credit_horizon_anew.upto;
	UPDATE dist.credit_account x SET horizon_to = credit_horizon_anew.upto, horizon_account = 0, horizon_order = 0, due_at = clock_timestamp(),
		later_amount = COALESCE((SELECT sum(d.amount) FROM dist.open_order_day d WHERE d.account_id = x.account_id), 0)
	WHERE x.account_id = ANY (account_ids);
	PERFORM distsync_internal.credit_horizon_read(i, COALESCE(NULLIF(current_setting('distsync.release_inline', true), '')::integer, 100)) FROM unnest(account_ids) AS i;
	PERFORM distsync_internal.credit_wake();
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_anew(bigint[], date) IS
	'Reads the open orders of accounts with a horizon, and of all below them, that ship up to a day: at most distsync.release_inline here, the rest by the clerk. What is not read counts at once. The caller holds the locks of the accounts, and so of all below them that move.';

-- credit_horizon_told does what follows when the horizon of an account is another. A shorter one reads the days between, a longer one has
-- only come further. What that counts at once holds nothing again: people, or the owner of the account, have changed it.
CREATE FUNCTION distsync_internal.credit_horizon_told(account_id bigint, fresh boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
BEGIN
	SELECT x.horizon_on, x.horizon_to, d.today + x.horizon_days AS inside_on INTO a
	FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_day(x.customer_id, x.company_id, clock_timestamp()) d WHERE x.account_id = credit_horizon_told.account_id;
	IF a.inside_on IS NULL OR a.inside_on >= a.horizon_on AND NOT fresh THEN
		DELETE FROM dist.open_order_day d WHERE d.account_id = credit_horizon_told.account_id AND d.ship_on <= COALESCE(a.inside_on, 'infinity');
	END IF;
	UPDATE dist.credit_account x SET horizon_on = a.inside_on, due_at = clock_timestamp(), later_amount = COALESCE((SELECT sum(d.amount) FROM dist.open_order_day d WHERE d.account_id = x.account_id), 0),
		horizon_to = k.upto, horizon_account = CASE WHEN k.upto IS NOT NULL THEN x.horizon_account END, horizon_order = CASE WHEN k.upto IS NOT NULL THEN x.horizon_order END
	FROM (SELECT CASE WHEN a.inside_on < a.horizon_to THEN a.horizon_to END AS upto) k WHERE x.account_id = credit_horizon_told.account_id;
	IF fresh OR a.inside_on < a.horizon_on THEN
		PERFORM distsync_internal.credit_horizon_anew(ARRAY[credit_horizon_told.account_id], CASE WHEN fresh THEN 'infinity' ELSE greatest(a.horizon_to, a.horizon_on) END);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_told(bigint, boolean) IS
	'Reckons what is to come of an account whose horizon_days are others, from today on (fresh: it had no horizon); orders that have to be read for it as credit_horizon_anew(). The clerk looks next. The caller holds the lock of the account.';

-- credit_horizon_next does the list of the next orders that an account has to read, in the order of accounts and orders.
CREATE FUNCTION distsync_internal.credit_horizon_next(account_id bigint, most integer) RETURNS TABLE (customer_id bigint, order_id bigint, carrier_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	h record;
BEGIN
	SELECT x.horizon_account, x.horizon_order INTO a FROM dist.credit_account x WHERE x.account_id = credit_horizon_next.account_id AND x.horizon_to IS NOT NULL;
	IF FOUND THEN
		FOR h IN SELECT r.function FROM distsync_internal.handler r WHERE r.kind = 'open_next' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
			RETURN QUERY EXECUTE format('SELECT * FROM %s($1, $2, $3, $4)', h.function) USING distsync_internal.credit_below(ARRAY[credit_horizon_next.account_id]), a.horizon_account, a.horizon_order, most;
		END LOOP;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_next(bigint, integer) IS
	'Next open or held orders that an account with a horizon has to read, of itself and all below it, at most so many, none where it has read all: handlers of kind open_next(account_ids, after_account, after_order, most).';

-- credit_horizon_read does the reading of the next orders of an account: they count from now on when their day comes.
CREATE FUNCTION distsync_internal.credit_horizon_read(account_id bigint, most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n record;
	h record;
	customers bigint[] := '{}';
	orders bigint[] := '{}';
	locked bigint[] := '{}';
	last_account bigint;
	read_all boolean := true;
BEGIN
	IF NOT EXISTS (SELECT FROM dist.credit_account x WHERE x.account_id = credit_horizon_read.account_id AND x.horizon_to IS NOT NULL) THEN
		RETURN 0;
	END IF;
	-- under the lock of the account no order below it moves
	FOR n IN SELECT x.* FROM distsync_internal.credit_horizon_next(credit_horizon_read.account_id, most + 1) x LOOP
		read_all := cardinality(orders) < most AND (n.carrier_id = ANY (locked) OR distsync_internal.credit_try_lock(n.carrier_id));
		EXIT WHEN NOT read_all;
		last_account := n.carrier_id;
		locked := CASE WHEN n.carrier_id = ANY (locked) THEN locked ELSE locked || n.carrier_id END;
		customers := customers || n.customer_id;
		orders := orders || n.order_id;
	END LOOP;
	FOR h IN SELECT r.function FROM distsync_internal.handler r WHERE r.kind = 'open_days' AND orders <> '{}' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
		EXECUTE format('INSERT INTO dist.open_order_day AS d (account_id, ship_on, amount) SELECT x.account_id, o.ship_on, o.amount FROM %s($1, $2, $3) o JOIN dist.credit_account x ON x.account_id = $1 AND o.ship_on > x.horizon_on AND o.ship_on <= x.horizon_to '
			'ON CONFLICT (account_id, ship_on) DO UPDATE SET amount = d.amount + excluded.amount', h.function)
		USING credit_horizon_read.account_id, customers, orders;
	END LOOP;
	UPDATE dist.credit_account x SET horizon_to = CASE WHEN NOT read_all THEN x.horizon_to END, horizon_account = CASE WHEN NOT read_all THEN COALESCE(last_account, x.horizon_account) END,
		horizon_order = CASE WHEN NOT read_all THEN COALESCE(orders[cardinality(orders)], x.horizon_order) END, due_at = clock_timestamp(),
		later_amount = COALESCE((SELECT sum(d.amount) FROM dist.open_order_day d WHERE d.account_id = x.account_id), 0)
	WHERE x.account_id = credit_horizon_read.account_id;
	RETURN cardinality(orders);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_read(bigint, integer) IS
	'Reads the next orders (at most so many) of an account that has not read all: handlers of kind open_days(account_id, customer_ids, order_ids) put down on which day each ships, where nobody has, and say what ships on each day. Returns how many it read; the clerk comes back for the rest, and for those of accounts that somebody else has locked. The caller holds the account''s lock.';

-- credit_horizon_known does the question whether somebody else than an account has put down when an order ships.
CREATE FUNCTION distsync_internal.credit_horizon_known(account_id bigint, carrier_id bigint, order_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN EXISTS (SELECT FROM dist.credit_account x WHERE x.account_id = ANY (distsync_internal.credit_chain(credit_horizon_known.carrier_id)) AND x.account_id <> credit_horizon_known.account_id AND x.horizon_on IS NOT NULL
		AND (COALESCE(x.horizon_to, '-infinity') < 'infinity' OR (credit_horizon_known.carrier_id, credit_horizon_known.order_id) <= (x.horizon_account, x.horizon_order)));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_known(bigint, bigint, bigint) IS 'Whether an order of an account (carrier_id) has been read by another account with a horizon than account_id, so that its day is put down.';

-- credit_reading does the list of the accounts whose orders accounts have to read next: the clerk locks them first.
CREATE FUNCTION distsync_internal.credit_reading(account_ids bigint[], most integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(SELECT DISTINCT n.carrier_id FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_horizon_next(a.account_id, most) n WHERE a.account_id = ANY (account_ids) AND a.horizon_to IS NOT NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_reading(bigint[], integer) IS 'Ids of the accounts of the orders, at most so many each, that accounts with a horizon have to read next.';

-- credit_horizon_roll does the coming in of days: what ships on them counts from now on.
CREATE FUNCTION distsync_internal.credit_horizon_roll(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	come numeric;
BEGIN
	SELECT x.horizon_on, h.inside_on INTO a FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_horizon_at(x.account_id, clock_timestamp()) h
	-- while it counts more than there is, nobody has to wait for it
	WHERE x.account_id = credit_horizon_roll.account_id AND x.horizon_to IS NULL;
	IF NOT FOUND OR a.inside_on <= a.horizon_on THEN
		RETURN NULL;
	END IF;
	WITH gone AS (DELETE FROM dist.open_order_day d WHERE d.account_id = credit_horizon_roll.account_id AND d.ship_on <= a.inside_on RETURNING d.amount)
	SELECT COALESCE(sum(g.amount), 0) INTO come FROM gone g;
	UPDATE dist.credit_account x SET horizon_on = a.inside_on, later_amount = x.later_amount - come WHERE x.account_id = credit_horizon_roll.account_id;
	RETURN CASE WHEN come > 0 THEN jsonb_build_object('after', a.horizon_on, 'upto', a.inside_on) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_roll(bigint) IS
	'Moves the horizon of an account to today: what ships up to it counts. Returns {after, upto}, the days that have come in, NULL where nothing ships on them, or its orders are being read. The caller holds the account''s lock and goes on with credit_rehold() {ship}.';

-- credit_coming does the list of the accounts whose orders have come inside the horizons of others or their own: the clerk locks them first.
CREATE FUNCTION distsync_internal.credit_coming(account_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(SELECT DISTINCT g.account_id FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_horizon_at(a.account_id, clock_timestamp()) h
		CROSS JOIN LATERAL distsync_internal.credit_let_go(distsync_internal.credit_below(ARRAY[a.account_id]), NULL, 101, jsonb_build_object('after', a.horizon_on, 'upto', h.inside_on)) g
		WHERE a.account_id = ANY (account_ids) AND a.horizon_on < h.inside_on AND a.horizon_to IS NULL AND EXISTS (SELECT FROM dist.open_order_day d WHERE d.account_id = a.account_id AND d.ship_on <= h.inside_on));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_coming(bigint[]) IS 'Ids of the accounts of at most 101 orders each that have come inside the horizons of accounts since the clerk looked.';
