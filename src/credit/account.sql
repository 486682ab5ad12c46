-- Credit accounts: which one carries a customer, the lock over it and those above it, the counters under that lock.

-- credit_account_for does the finding of the account that carries a customer in a company: the job's, the payer's, then those of the
-- parties above the payer. Of one party's accounts the one of the company beats the one for all, then the segment's the general one.
CREATE FUNCTION distsync_internal.credit_account_for(customer_id bigint, company_id bigint, options jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	WITH RECURSIVE up (party_id, parent_id, segment, step) AS (
		SELECT p.party_id, p.parent_id, COALESCE(options ->> 'segment', s.segment), 1
		FROM dist.party s
		JOIN dist.party p ON p.party_id = COALESCE((options ->> 'payer_id')::bigint, s.payer_id, s.party_id)
		WHERE s.party_id = credit_account_for.customer_id
		UNION ALL
		SELECT p.party_id, p.parent_id, up.segment, up.step + 1
		FROM up JOIN dist.party p ON p.party_id = up.parent_id
		WHERE up.step <= 16
	), candidate (party_id, segment, step) AS (
		SELECT up.party_id, up.segment, up.step FROM up
		UNION ALL
		SELECT (options ->> 'job_id')::bigint, '', 0 WHERE options ->> 'job_id' IS NOT NULL
	)
	SELECT a.account_id
	FROM candidate c
	JOIN dist.credit_account a ON a.customer_id = c.party_id AND a.company_id IN (0, COALESCE(credit_account_for.company_id, 0)) AND a.segment IN ('', c.segment)
	ORDER BY c.step, a.company_id = 0, a.segment = ''
	LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_account_for(bigint, bigint, jsonb) IS
	'Account that carries a customer in a company (NULL = only accounts of all companies), NULL if there is none. Options: job_id, segment, payer_id (who pays instead of the customer''s payer).';

-- credit_chain does the walk from an account up to the root of its tree.
CREATE FUNCTION distsync_internal.credit_chain(account_id bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	chain bigint[] := ARRAY[credit_chain.account_id];
	above bigint;
BEGIN
	LOOP
		SELECT a.parent_id INTO above FROM dist.credit_account a WHERE a.account_id = chain[cardinality(chain)];
		EXIT WHEN above IS NULL OR above = ANY (chain);
		chain := chain || above;
	END LOOP;
	RETURN chain;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_chain(bigint) IS 'Ids of an account and those above it, leaf first, root last.';

-- credit_lock does the locking of accounts and all above them, leaves before roots: the depth in the tree decides, then the id, so that
-- two callers never wait for each other. Who was hung below another parent meanwhile is locked again with its new chain.
CREATE FUNCTION distsync_internal.credit_lock(account_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted bigint[];
	locked bigint[] := '{}';
BEGIN
	LOOP
		SELECT array_agg(x.id ORDER BY x.depth DESC, x.id) INTO wanted
		FROM (SELECT DISTINCT c.id, cardinality(h.chain) - c.place AS depth
			  FROM unnest(account_ids) AS u(account_id)
			  CROSS JOIN LATERAL distsync_internal.credit_chain(u.account_id) AS h(chain)
			  CROSS JOIN LATERAL unnest(h.chain) WITH ORDINALITY AS c(id, place)) x
		WHERE x.id <> ALL (locked);
		EXIT WHEN wanted IS NULL;
		PERFORM a.account_id FROM dist.credit_account a JOIN unnest(wanted) WITH ORDINALITY AS w(id, place) ON w.id = a.account_id
		ORDER BY w.place FOR NO KEY UPDATE OF a;
		locked := locked || wanted;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_lock(bigint[]) IS
	'Locks the rows of these accounts and of all above them until the end of the transaction, leaves first. Everything that moves a counter calls it first.';

-- credit_part is what of an item is due on one day; credit_due what an account keeps of its days.
CREATE TYPE distsync_internal.credit_part AS (due_on date, amount numeric, disputed numeric);
COMMENT ON TYPE distsync_internal.credit_part IS 'What is open of an item on one due day, and what of that is in dispute, in the account''s currency.';
CREATE TYPE distsync_internal.credit_due AS (late_on date, late_amount numeric, late_disputed numeric, oldest_due_on date, next_due_on date, late_before numeric[]);
COMMENT ON TYPE distsync_internal.credit_due IS 'What an account keeps of its due days, as the columns of dist.credit_account with these names.';

-- credit_due_at does the reckoning of what an account keeps of its due days, rolled forward to a day. Days are added up once, as they pass.
CREATE FUNCTION distsync_internal.credit_due_at(account_id bigint, today date, moved numeric DEFAULT 0, moved_disputed numeric DEFAULT 0) RETURNS distsync_internal.credit_due
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	kept distsync_internal.credit_due;
BEGIN
	SELECT greatest(a.late_on, credit_due_at.today), a.late_amount + moved + COALESCE(s.amount, 0), a.late_disputed + moved_disputed + COALESCE(s.disputed, 0),
		(SELECT d.due_on FROM dist.open_due d WHERE d.account_id = a.account_id ORDER BY d.due_on LIMIT 1),
		(SELECT d.due_on FROM dist.open_due d WHERE d.account_id = a.account_id AND d.due_on >= greatest(a.late_on, credit_due_at.today) ORDER BY d.due_on LIMIT 1)
	INTO kept
	FROM dist.credit_account a
	CROSS JOIN LATERAL (SELECT sum(d.amount) AS amount, sum(d.disputed) AS disputed FROM dist.open_due d
		WHERE d.account_id = a.account_id AND d.due_on >= a.late_on AND d.due_on < credit_due_at.today) s
	WHERE a.account_id = credit_due_at.account_id;
	-- rules look back from several days: what they find is told here, so that they need not add up days
	IF kept.late_amount > 0 THEN
		kept.late_before := ARRAY(SELECT kept.late_amount - COALESCE(sum(d.amount) OVER (ORDER BY k.n), 0)
			FROM generate_series(0, least(kept.late_on - kept.oldest_due_on, 99)) k(n)
			LEFT JOIN dist.open_due d ON d.account_id = credit_due_at.account_id AND d.due_on = kept.late_on - k.n AND k.n > 0 ORDER BY k.n);
	END IF;
	RETURN kept;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_due_at(bigint, date, numeric, numeric) IS
	'What is to be kept of an account''s due days on a day (never before the day it has): amounts due before it and before each of at most 99 days before it, oldest and next due day. moved: what has changed of days before the one it has. The caller holds the account''s lock and writes it.';

-- credit_due_move does the moving of what is due from the days of an item to others, or on the same: rows of dist.open_due follow at once.
CREATE FUNCTION distsync_internal.credit_due_move(account_id bigint, before distsync_internal.credit_part[], after distsync_internal.credit_part[], today date) RETURNS distsync_internal.credit_due
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	p record;
	kept date := (SELECT a.late_on FROM dist.credit_account a WHERE a.account_id = credit_due_move.account_id);
	rest numeric;
	late numeric := 0;
	late_disputed numeric := 0;
BEGIN
	FOR p IN SELECT x.due_on, sum(x.amount) AS amount, sum(x.disputed) AS disputed
		FROM (SELECT b.due_on, -b.amount AS amount, -b.disputed AS disputed FROM unnest(before) b UNION ALL SELECT a.due_on, a.amount, a.disputed FROM unnest(after) a) x
		GROUP BY x.due_on HAVING sum(x.amount) <> 0 OR sum(x.disputed) <> 0
	LOOP
		UPDATE dist.open_due d SET amount = d.amount + p.amount, disputed = d.disputed + p.disputed
		WHERE d.account_id = credit_due_move.account_id AND d.due_on = p.due_on
		RETURNING d.amount INTO rest;
		IF NOT FOUND THEN
			INSERT INTO dist.open_due (account_id, due_on, amount, disputed) VALUES (credit_due_move.account_id, p.due_on, p.amount, p.disputed);
		ELSIF rest = 0 THEN
			DELETE FROM dist.open_due d WHERE d.account_id = credit_due_move.account_id AND d.due_on = p.due_on;
		END IF;
		IF p.due_on < kept THEN
			late := late + p.amount;
			late_disputed := late_disputed + p.disputed;
		END IF;
	END LOOP;
	RETURN distsync_internal.credit_due_at(credit_due_move.account_id, credit_due_move.today, late, late_disputed);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_due_move(bigint, distsync_internal.credit_part[], distsync_internal.credit_part[], date) IS
	'Takes the parts of an item as it was out of dist.open_due and puts those of it as it is there. Returns what the account is to keep, for credit_add(). The caller holds the account''s lock.';

-- credit_add does the moving of counters of an account and of all above it: a group owes what its members owe. What is due is looked at
-- where it is carried, so that only the account itself keeps its days.
CREATE FUNCTION distsync_internal.credit_add(account_id bigint, receivable numeric DEFAULT 0, credits numeric DEFAULT 0, unapplied numeric DEFAULT 0,
	deposits numeric DEFAULT 0, disputed numeric DEFAULT 0, unbilled numeric DEFAULT 0, open_orders numeric DEFAULT 0, held_demand numeric DEFAULT 0,
	due_at timestamptz DEFAULT NULL, due distsync_internal.credit_due DEFAULT NULL, ship_on date DEFAULT NULL, order_id bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	own boolean := (due).late_on IS NOT NULL;
	chain bigint[] := distsync_internal.credit_chain(credit_add.account_id);
BEGIN
	UPDATE dist.credit_account a
	SET receivable = a.receivable + credit_add.receivable, credits = a.credits + credit_add.credits, unapplied = a.unapplied + credit_add.unapplied,
		deposits = a.deposits + credit_add.deposits, disputed = a.disputed + credit_add.disputed, unbilled = a.unbilled + credit_add.unbilled,
		open_orders = a.open_orders + credit_add.open_orders, held_demand = a.held_demand + credit_add.held_demand,
		due_at = CASE WHEN a.account_id = credit_add.account_id THEN least(a.due_at, credit_add.due_at) ELSE a.due_at END,
		late_on = CASE WHEN own AND a.account_id = credit_add.account_id THEN (due).late_on ELSE a.late_on END,
		late_amount = CASE WHEN own AND a.account_id = credit_add.account_id THEN (due).late_amount ELSE a.late_amount END,
		late_disputed = CASE WHEN own AND a.account_id = credit_add.account_id THEN (due).late_disputed ELSE a.late_disputed END,
		oldest_due_on = CASE WHEN own AND a.account_id = credit_add.account_id THEN (due).oldest_due_on ELSE a.oldest_due_on END,
		next_due_on = CASE WHEN own AND a.account_id = credit_add.account_id THEN (due).next_due_on ELSE a.next_due_on END,
		late_before = CASE WHEN own AND a.account_id = credit_add.account_id THEN (due).late_before ELSE a.late_before END,
		version = a.version + 1
	WHERE a.account_id = ANY (chain);
	IF credit_add.ship_on IS NOT NULL AND credit_add.open_orders <> 0 THEN
		PERFORM distsync_internal.credit_horizon_move(chain, credit_add.ship_on, credit_add.open_orders, credit_add.order_id);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_add(bigint, numeric, numeric, numeric, numeric, numeric, numeric, numeric, numeric, timestamptz, distsync_internal.credit_due, date, bigint) IS
	'Adds to the counters of an account and of all above it, in the account''s currency; due_at moves the clerk''s next look at the account forward; due is what credit_due_move() says; ship_on is the day on which the open order order_id ships (NULL = at once), for accounts with a horizon. The caller holds the lock of credit_lock().';

-- credit_ensure does the opening of an account without limit for a payer that has none and now owes us something: what is owed must be
-- somewhere. Its code is the payer's, with the company's behind it.
CREATE FUNCTION distsync_internal.credit_ensure(customer_id bigint, company_id bigint, options jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found bigint := distsync_internal.credit_account_for(credit_ensure.customer_id, credit_ensure.company_id, credit_ensure.options);
BEGIN
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	INSERT INTO dist.credit_account (code, customer_id, company_id, currency)
	SELECT p.code || '/' || c.code, p.party_id, c.company_id, c.currency
	FROM dist.party s JOIN dist.party p ON p.party_id = COALESCE(s.payer_id, s.party_id), dist.company c
	WHERE s.party_id = credit_ensure.customer_id AND c.company_id = credit_ensure.company_id
	ON CONFLICT DO NOTHING
	RETURNING account_id INTO found;
	IF found IS NOT NULL THEN
		PERFORM distsync_internal.base_hook('credit.account_opened', jsonb_build_object('account_id', found));
	END IF;
	RETURN distsync_internal.credit_account_for(credit_ensure.customer_id, credit_ensure.company_id, credit_ensure.options);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_ensure(bigint, bigint, jsonb) IS
	'Account that carries a customer in a company; opens one without limit, in the company''s currency, where there is none. Options as credit_account_for().';

-- credit_limit_at does the reckoning of an account's own limit at an instant, and of the next instant at which it changes by itself.
CREATE FUNCTION distsync_internal.credit_limit_at(account_id bigint, at timestamptz, supposed jsonb DEFAULT NULL) RETURNS TABLE (amount numeric, ended boolean, changes_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT CASE WHEN count(*) FILTER (WHERE l.kind IN ('base', 'insured')) = 0 OR bool_or(l.valid @> credit_limit_at.at AND l.amount IS NULL) THEN NULL
			ELSE round(COALESCE(max(l.amount) FILTER (WHERE l.kind IN ('base', 'insured') AND l.valid @> credit_limit_at.at), 0)
				+ COALESCE(sum(l.amount) FILTER (WHERE l.kind IN ('temporary', 'seasonal') AND l.valid @> credit_limit_at.at), 0), 4) END,
		COALESCE(bool_or(l.kind = 'base') AND NOT bool_or(l.kind = 'base' AND l.valid @> credit_limit_at.at), false),
		least(min(lower(l.valid)) FILTER (WHERE lower(l.valid) > credit_limit_at.at), min(upper(l.valid)) FILTER (WHERE upper(l.valid) > credit_limit_at.at))
	FROM (SELECT x.kind, x.amount, x.valid FROM dist.credit_limit x WHERE x.account_id = credit_limit_at.account_id AND supposed IS NULL
		UNION ALL
		SELECT x.kind, x.amount, x.valid FROM jsonb_to_recordset(supposed) AS x(kind text, amount numeric, valid tstzrange)) l;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limit_at(bigint, timestamptz, jsonb) IS
	'Limit of an account at an instant in its currency: greatest(base, insured) + seasonal + temporary; NULL = unlimited, 0 = none; whether its base limits have ended or not begun; next instant at which a limit begins or ends. supposed: limits [{kind, amount, valid}] instead of its own, NULL = its own.';

-- credit_limits_keep does the keeping of what the limits of accounts say now in the accounts themselves, until time changes it: a decision
-- need not add them up. Of an instant that is a bound of a limit nothing is told.
CREATE FUNCTION distsync_internal.credit_limits_keep(account_ids bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz;
BEGIN
	-- in the order of all locks on accounts; a statement may change very many, and those above them are not written
	PERFORM FROM dist.credit_account a JOIN (SELECT u.id, cardinality(distsync_internal.credit_chain(u.id)) AS depth FROM unnest(account_ids) AS u(id)) x ON x.id = a.account_id
	ORDER BY x.depth DESC, x.id FOR NO KEY UPDATE OF a;
	at := clock_timestamp();
	UPDATE dist.credit_account a SET limit_amount = x.amount, limit_ended = x.ended, limit_from = at,
		limit_until = CASE WHEN EXISTS (SELECT FROM dist.credit_limit l WHERE l.account_id = a.account_id AND at IN (lower(l.valid), upper(l.valid))) THEN at ELSE x.changes_at END
	FROM (SELECT u.id, l.* FROM unnest(account_ids) AS u(id) CROSS JOIN LATERAL distsync_internal.credit_limit_at(u.id, at) l OFFSET 0) x
	WHERE a.account_id = x.id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_keep(bigint[]) IS 'Locks accounts, leaves first, and writes what their limits say at this moment, and until when, into limit_amount, limit_ended, limit_from and limit_until.';

-- credit_limits_come does that for accounts that got a limit.
CREATE FUNCTION distsync_internal.credit_limits_come() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_limits_keep(ARRAY(SELECT DISTINCT n.account_id FROM come n));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_come() IS 'Statement trigger of dist.credit_limit, INSERT: accounts keep what their limits say now.';

-- credit_limits_moved does that for accounts whose limits a statement has changed.
CREATE FUNCTION distsync_internal.credit_limits_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_limits_keep(ARRAY(SELECT n.account_id FROM come n UNION SELECT o.account_id FROM gone o));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_moved() IS 'Statement trigger of dist.credit_limit, UPDATE: accounts keep what their limits say now.';

-- credit_limits_gone does that for accounts that have lost a limit.
CREATE FUNCTION distsync_internal.credit_limits_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_limits_keep(ARRAY(SELECT DISTINCT o.account_id FROM gone o));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_gone() IS 'Statement trigger of dist.credit_limit, DELETE: accounts keep what their limits say now.';

-- credit_limits_emptied does that for all accounts, when all limits are gone.
CREATE FUNCTION distsync_internal.credit_limits_emptied() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.credit_limits_keep(ARRAY(SELECT a.account_id FROM dist.credit_account a));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_limits_emptied() IS 'Statement trigger of dist.credit_limit, TRUNCATE: accounts keep what their limits say now.';

-- credit_position does the picture of an account and those above it: every term of exposure, limit, headroom.
CREATE FUNCTION distsync_internal.credit_position(account_id bigint, at timestamptz, supposed jsonb DEFAULT NULL)
RETURNS TABLE (level integer, id bigint, code text, customer_id bigint, company_id bigint, currency text, status text, status_reason text, dunning_level smallint,
	review_on date, exclude_disputed boolean, terms jsonb, receivable numeric, exposure numeric, credit_limit numeric, headroom numeric, limit_ended boolean, changes_at timestamptz,
	horizon_days integer, inside_on date, later numeric, reading boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH RECURSIVE up AS (
		SELECT 0 AS level, a.* FROM dist.credit_account a WHERE a.account_id = credit_position.account_id
		UNION ALL
		SELECT up.level + 1, p.* FROM up JOIN dist.credit_account p ON p.account_id = up.parent_id WHERE up.level < 16
	), term AS (
		SELECT up.level, up.account_id, up.code, up.customer_id, up.company_id, up.currency, up.status, up.status_reason, up.dunning_level, up.review_on, up.exclude_disputed, x.limits,
			up.receivable + COALESCE(x.receivable, 0) AS receivable, up.unbilled + COALESCE(x.unbilled, 0) AS unbilled, up.open_orders + COALESCE(x.open_orders, 0) - COALESCE(h.later, 0) AS open_orders, up.unapplied + COALESCE(x.unapplied, 0) AS unapplied,
			up.deposits + COALESCE(x.deposits, 0) AS deposits, up.credits + COALESCE(x.credits, 0) AS credits, up.disputed + COALESCE(x.disputed, 0) AS disputed, up.horizon_days, up.horizon_to IS NOT NULL AS reading, h.inside_on, h.later, h.changes_at
		FROM up CROSS JOIN LATERAL jsonb_to_record(COALESCE(supposed -> up.account_id::text, '{}'))
			AS x(receivable numeric, unbilled numeric, open_orders numeric, unapplied numeric, deposits numeric, credits numeric, disputed numeric, limits jsonb, later jsonb)
		-- most accounts have no horizon, and are not asked
		LEFT JOIN LATERAL (SELECT g.* FROM distsync_internal.credit_horizon_at(up.account_id, credit_position.at, x.later) g WHERE up.horizon_days IS NOT NULL) h ON true
	), sum AS (
		SELECT t.*, t.receivable + t.unbilled + t.open_orders - t.unapplied - t.deposits - t.credits - CASE WHEN t.exclude_disputed THEN t.disputed ELSE 0 END AS exposure
		FROM term t
	)
	SELECT s.level, s.account_id, s.code, s.customer_id, s.company_id, s.currency, s.status, s.status_reason, s.dunning_level, s.review_on, s.exclude_disputed,
		jsonb_build_object('receivable', s.receivable, 'unbilled', s.unbilled, 'open_orders', s.open_orders, 'unapplied', -s.unapplied, 'deposits', -s.deposits,
			'credits', -s.credits, 'disputed', CASE WHEN s.exclude_disputed THEN -s.disputed ELSE 0 END),
		s.receivable, s.exposure, l.amount, l.amount - s.exposure, l.ended, least(l.changes_at, s.changes_at), s.horizon_days, s.inside_on, s.later, s.reading
	FROM sum s CROSS JOIN LATERAL distsync_internal.credit_limit_at(s.account_id, credit_position.at, s.limits) l
	ORDER BY s.level;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_position(bigint, timestamptz, jsonb) IS
	'An account (level 0) and those above it: signed terms of exposure that add up to exposure, limit (NULL unlimited), headroom (NULL unlimited), in the account''s currency; open orders without those beyond its horizon (inside_on: last day that counts; later: what ships after it; reading: only what has been read of that). supposed: what is added to the terms of accounts, and to days of later orders, and their limits, {id: {term: amount, later: {day: amount}, limits}}.';
