-- How an account stands: the decision for no further amount. It is written where it changes, so that the change is told.

-- credit_stand does the looking at how accounts stand, and the writing where that is other than before.
CREATE FUNCTION distsync_internal.credit_stand(account_ids bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	a record;
	n integer := 0;
BEGIN
	FOR a IN SELECT x.account_id, x.code, x.standing, x.standing_why, x.due_at, (d.decision ->> 'valid_until')::timestamptz AS until, s.standing AS now_standing, s.why AS now_why
		FROM dist.credit_account x
		CROSS JOIN LATERAL distsync_internal.credit_decide(x.account_id, 0, jsonb_build_object('at', clock_timestamp())) AS d(decision)
		CROSS JOIN LATERAL (
			SELECT CASE WHEN bool_or(r.value ->> 'rule' = 'account_status') THEN 'blocked' WHEN bool_or(r.held) THEN 'held' WHEN count(*) > 0 THEN 'warned' ELSE 'approved' END AS standing,
				COALESCE(array_agg(DISTINCT COALESCE(r.value ->> 'code', r.value ->> 'rule') COLLATE "C" ORDER BY COALESCE(r.value ->> 'code', r.value ->> 'rule') COLLATE "C"), '{}') AS why
			FROM (SELECT h.value, true AS held FROM jsonb_array_elements(d.decision -> 'reasons') h UNION ALL SELECT w.value, false FROM jsonb_array_elements(d.decision -> 'warnings') w) r) f
		-- a limit that is passed because a rule releases binds those below all the same
		CROSS JOIN LATERAL (SELECT f.standing, CASE WHEN 'limit' = ANY (f.why) OR ((d.decision #>> '{accounts,0,exposure}')::numeric > (d.decision #>> '{accounts,0,limit}')::numeric) IS NOT TRUE THEN f.why
			ELSE ARRAY(SELECT y COLLATE "C" FROM unnest(f.why || 'limit'::text) y ORDER BY 1) END AS why) s
		WHERE x.account_id = ANY (account_ids)
	LOOP
		IF (a.standing, a.standing_why) IS DISTINCT FROM (a.now_standing, a.now_why) THEN
			UPDATE dist.credit_account x SET standing = a.now_standing, standing_why = a.now_why, version = x.version + 1 WHERE x.account_id = a.account_id;
			n := n + 1;
			-- limits and blocks bind all below
			IF (('limit' = ANY (a.standing_why)) <> ('limit' = ANY (a.now_why)) OR ('account_status' = ANY (a.standing_why)) <> ('account_status' = ANY (a.now_why))) AND EXISTS (SELECT FROM dist.credit_account x WHERE x.parent_id = a.account_id) THEN
				PERFORM distsync_internal.credit_sweep_start('tree', a.code);
			END IF;
		END IF;
		-- what time will change the clerk looks at then: a day on which something has been late too long, a review, a rule that begins
		IF a.until < COALESCE(a.due_at, 'infinity') THEN
			UPDATE dist.credit_account x SET due_at = a.until WHERE x.account_id = a.account_id;
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_stand(bigint[]) IS
	'Sets standing (approved | warned | held | blocked) and standing_why of accounts to what a decision for no further amount says now; only what changes is written and told (credit.status_changed). due_at comes forward to the first instant at which time alone changes that. Where a limit or block of an account with others below it begins or ends to bind, a sweep tells those. The caller holds their locks. Returns how many changed.';

-- credit_crossed does the same for an account that has just taken an amount, where that can have changed it.
CREATE FUNCTION distsync_internal.credit_crossed(account_id bigint, decision jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF decision ->> 'passed_by' IS NOT NULL THEN
		PERFORM distsync_internal.credit_stand(distsync_internal.credit_chain(credit_crossed.account_id));
		-- it may be over a limit now, as after a fact
		PERFORM distsync_internal.credit_watch(credit_crossed.account_id);
	ELSIF decision -> 'warnings' <> '[]' OR EXISTS (SELECT FROM dist.credit_account a WHERE a.account_id = credit_crossed.account_id AND a.standing <> 'approved') THEN
		PERFORM distsync_internal.credit_stand(ARRAY[credit_crossed.account_id]);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_crossed(bigint, jsonb) IS
	'credit_stand() for an account whose decision to take more was approved: it changes nothing unless a rule warned or let it pass (then for all above it too, and over_limit is opened where a limit is passed), or the account did not stand well. The caller holds the lock.';
