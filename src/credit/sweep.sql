-- Changes that many accounts must see: nobody locks them all for it. The clerk has them looked at again, a few at a time.

-- credit_sweep_start does the noting of such a change; one that is on its way for the same accounts begins anew.
CREATE FUNCTION distsync_internal.credit_sweep_start(kind text, key text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO dist.credit_sweep AS s (scope_kind, scope_key) VALUES (kind, key)
	ON CONFLICT (scope_kind, scope_key) DO UPDATE SET waiting = true, after_account = 0, n = s.n + 1, started_at = excluded.started_at;
	PERFORM distsync_internal.credit_wake();
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_sweep_start(text, text) IS
	'Has the clerk look again at the accounts of a scope: customer or group (code), all, tree (account code: it and all below). Locks nothing but its own row, after any account.';

-- credit_parties_moved does the noting of parties whose status changed: rules may ask for it, of who owes and of who orders.
CREATE FUNCTION distsync_internal.credit_parties_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most CONSTANT integer := 20;
	moved bigint[] := ARRAY(SELECT n.party_id FROM come n JOIN gone o ON o.party_id = n.party_id AND o.status IS DISTINCT FROM n.status LIMIT most + 1);
	code text;
BEGIN
	IF cardinality(moved) > most THEN
		PERFORM distsync_internal.credit_sweep_start('all', '');
		RETURN NULL;
	END IF;
	FOR code IN
		WITH RECURSIVE up AS (
			SELECT m.id FROM unnest(moved) AS m(id)
			UNION
			SELECT x.id FROM up JOIN dist.party p ON p.party_id = up.id CROSS JOIN LATERAL (VALUES (p.payer_id), (p.parent_id)) AS x(id) WHERE x.id IS NOT NULL)
		SELECT p.code FROM up JOIN dist.party p ON p.party_id = up.id WHERE EXISTS (SELECT FROM dist.credit_account a WHERE a.customer_id = up.id) ORDER BY p.code
	LOOP
		PERFORM distsync_internal.credit_sweep_start('customer', code);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_parties_moved() IS
	'Statement trigger: the clerk looks again at the accounts of parties whose status changed, of who pays for them and of who stands above; at all, where they are more than 20.';

-- credit_sweep_next does the finding of the next accounts of a sweep.
CREATE FUNCTION distsync_internal.credit_sweep_next(kind text, key text, waiting boolean, after_account bigint, most integer) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	scope bigint[];
BEGIN
	IF kind = 'tree' THEN
		WITH RECURSIVE down AS (
			SELECT a.account_id FROM dist.credit_account a WHERE a.code = key
			UNION
			SELECT a.account_id FROM down d JOIN dist.credit_account a ON a.parent_id = d.account_id)
		SELECT array_agg(d.account_id) INTO scope FROM down d;
	ELSIF kind = 'customer' THEN
		SELECT array_agg(a.account_id) INTO scope FROM dist.party p JOIN dist.credit_account a ON a.customer_id = p.party_id WHERE p.code = key;
	ELSIF kind = 'group' THEN
		SELECT array_agg(DISTINCT a.account_id) INTO scope FROM dist.party_group g JOIN dist.party_member m ON m.group_id = g.group_id JOIN dist.credit_account a ON a.customer_id = m.party_id WHERE g.code = key;
	ELSIF credit_sweep_next.waiting THEN
		RETURN ARRAY(SELECT DISTINCT h.account_id FROM dist.hold h WHERE h.released_at IS NULL AND h.account_id > credit_sweep_next.after_account ORDER BY h.account_id LIMIT most);
	ELSE
		RETURN ARRAY(SELECT a.account_id FROM dist.credit_account a WHERE a.account_id > credit_sweep_next.after_account ORDER BY a.account_id LIMIT most);
	END IF;
	RETURN ARRAY(SELECT i FROM unnest(scope) i WHERE i > credit_sweep_next.after_account
		AND (NOT credit_sweep_next.waiting OR EXISTS (SELECT FROM dist.hold h WHERE h.account_id = i AND h.released_at IS NULL)) ORDER BY i LIMIT most);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_sweep_next(text, text, boolean, bigint, integer) IS 'Ids of the next accounts of a scope after one, at most so many, with waiting only those where something waits.';

-- credit_clerk_sweep does the next step of the oldest sweep. Accounts are locked before its row: who notes a change has locked accounts.
CREATE FUNCTION distsync_internal.credit_clerk_sweep(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s record;
	ids bigint[];
BEGIN
	SELECT * INTO s FROM dist.credit_sweep x ORDER BY x.sweep_id LIMIT 1;
	-- what is due at its instant is not to stand behind a sweep
	IF NOT FOUND OR (SELECT count(*) FROM (SELECT FROM dist.credit_account a WHERE a.due_at <= (SELECT clock_timestamp()) LIMIT 200) d) >= 200 THEN
		RETURN 0;
	END IF;
	ids := distsync_internal.credit_sweep_next(s.scope_kind, s.scope_key, s.waiting, s.after_account, least(greatest(max_rows, 1), 200));
	IF ids = '{}' AND s.waiting THEN
		UPDATE dist.credit_sweep x SET waiting = false, after_account = 0 WHERE x.sweep_id = s.sweep_id AND x.n = s.n;
	ELSIF ids = '{}' THEN
		DELETE FROM dist.credit_sweep x WHERE x.sweep_id = s.sweep_id AND x.n = s.n;
	ELSE
		PERFORM distsync_internal.credit_lock(ids);
		UPDATE dist.credit_account a SET due_at = clock_timestamp() WHERE a.account_id = ANY (ids) AND (a.due_at > clock_timestamp() OR a.due_at IS NULL);
		UPDATE dist.credit_sweep x SET after_account = (SELECT max(i) FROM unnest(ids) i) WHERE x.sweep_id = s.sweep_id AND x.n = s.n;
	END IF;
	RETURN 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_clerk_sweep(integer) IS
	'Task of the clerk: the next accounts of the oldest sweep are due now, at most max_rows and 200; none while 200 are due already. Returns 1 if there was a sweep to go on with.';

-- credit_clerk_sweep_due does the telling of when there is a sweep to go on with.
CREATE FUNCTION distsync_internal.credit_clerk_sweep_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(s.started_at) FROM dist.credit_sweep s
$$;
COMMENT ON FUNCTION distsync_internal.credit_clerk_sweep_due() IS 'When the oldest sweep began, NULL = there is none.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('clerk', 'credit_sweep', 31, 'distsync_internal.credit_clerk_sweep'),
	('clerk', 'credit_sweep.next_due', 31, 'distsync_internal.credit_clerk_sweep_due');
