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
-- day on which the clerk has looked last decides, so that what is taken out was put in.
CREATE FUNCTION distsync_internal.credit_horizon_move(chain bigint[], ship_on date, amount numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
BEGIN
	FOR a IN SELECT x.account_id, (credit_horizon_move.ship_on - x.horizon_days)::timestamp AT TIME ZONE d.tz AS counts_at
		FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_day(x.customer_id, x.company_id, clock_timestamp()) d
		WHERE x.account_id = ANY (chain) AND x.horizon_on < credit_horizon_move.ship_on ORDER BY x.account_id
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
COMMENT ON FUNCTION distsync_internal.credit_horizon_move(bigint[], date, numeric) IS
	'Adds an amount (negative takes away) to what ships on a day, in those of these accounts that have a horizon which had not come so far; the clerk comes when it has. The caller holds their locks.';

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

-- credit_horizon_told does the beginning anew of what is to come, where a horizon or the place of an account in its tree is another. The
-- room of orders first says on which day those orders ship of which nobody else below has put the days down: accounts below are not locked.
-- What a longer horizon counts at once holds nothing again: people, or the owner of the account, have changed it.
CREATE FUNCTION distsync_internal.credit_horizon_told(account_ids bigint[], anew boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	mine bigint[] := ARRAY(SELECT x.account_id FROM dist.credit_account x WHERE x.account_id IN (SELECT c.id FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL unnest(distsync_internal.credit_chain(u.id)) AS c(id))
		AND (x.horizon_days IS NOT NULL OR x.account_id = ANY (account_ids)) ORDER BY x.account_id);
	a record;
	h record;
	below bigint[];
BEGIN
	PERFORM distsync_internal.base_hook('credit.horizon_changed', jsonb_build_object('accounts', (SELECT COALESCE(jsonb_agg(b.id), '[]') FROM unnest(distsync_internal.credit_below(account_ids)) AS b(id)
		WHERE NOT EXISTS (SELECT FROM dist.credit_account x WHERE x.account_id = ANY (distsync_internal.credit_chain(b.id)) AND x.horizon_days IS NOT NULL AND x.account_id <> ALL (mine)))));
	FOR a IN SELECT x.account_id, x.horizon_days, CASE WHEN anew AND x.account_id = ANY (account_ids) THEN d.today + x.horizon_days ELSE x.horizon_on END AS horizon_on
		FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_day(x.customer_id, x.company_id, clock_timestamp()) d WHERE x.account_id = ANY (mine) ORDER BY x.account_id
	LOOP
		DELETE FROM dist.open_order_day d WHERE d.account_id = a.account_id;
		IF a.horizon_days IS NOT NULL THEN
			below := distsync_internal.credit_below(ARRAY[a.account_id]);
			FOR h IN SELECT r.function FROM distsync_internal.handler r WHERE r.kind = 'open_days' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
				EXECUTE format('INSERT INTO dist.open_order_day AS d (account_id, ship_on, amount) SELECT $1, o.ship_on, o.amount FROM %s($2, $3) o ON CONFLICT (account_id, ship_on) DO UPDATE SET amount = d.amount + excluded.amount', h.function)
				USING a.account_id, below, a.horizon_on;
			END LOOP;
		END IF;
		UPDATE dist.credit_account x SET horizon_on = CASE WHEN x.horizon_days IS NOT NULL THEN a.horizon_on END, due_at = clock_timestamp(),
			later_amount = COALESCE((SELECT sum(d.amount) FROM dist.open_order_day d WHERE d.account_id = x.account_id), 0)
		WHERE x.account_id = a.account_id;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_horizon_told(bigint[], boolean) IS
	'Reckons what is to come of accounts, and of those above them, anew (anew: of these accounts from today on, for a horizon that has changed; else from the day the clerk had come to): hook credit.horizon_changed {accounts} lets rooms say when each order ships, handlers of kind open_days(account_ids, after) say what ships on each day after one. The clerk looks next. The caller holds the locks of the accounts, and so of all below them that move.';

-- credit_horizon_roll does the coming in of days: what ships on them counts from now on.
CREATE FUNCTION distsync_internal.credit_horizon_roll(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	come numeric;
BEGIN
	SELECT x.horizon_on, h.inside_on INTO a FROM dist.credit_account x CROSS JOIN LATERAL distsync_internal.credit_horizon_at(x.account_id, clock_timestamp()) h WHERE x.account_id = credit_horizon_roll.account_id;
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
	'Moves the horizon of an account to today: what ships up to it counts. Returns {after, upto}, the days that have come in, NULL where nothing ships on them. The caller holds the account''s lock and goes on with credit_rehold() {ship}.';

-- credit_coming does the list of the accounts whose orders have come inside the horizons of others or their own: the clerk locks them first.
CREATE FUNCTION distsync_internal.credit_coming(account_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(SELECT DISTINCT g.account_id FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_horizon_at(a.account_id, clock_timestamp()) h
		CROSS JOIN LATERAL distsync_internal.credit_let_go(distsync_internal.credit_below(ARRAY[a.account_id]), NULL, 101, jsonb_build_object('after', a.horizon_on, 'upto', h.inside_on)) g
		WHERE a.account_id = ANY (account_ids) AND a.horizon_on < h.inside_on AND EXISTS (SELECT FROM dist.open_order_day d WHERE d.account_id = a.account_id AND d.ship_on <= h.inside_on));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_coming(bigint[]) IS 'Ids of the accounts of at most 101 orders each that have come inside the horizons of accounts since the clerk looked.';
