-- reconcile(): runs a job, keeps what it found, opens an exception for each difference and closes those whose sides agree again.

-- reconcile does one run of a job. Runs of one job take turns; a run is one transaction, so it is there in full or not at all.
CREATE FUNCTION distsync.reconcile(job text, options jsonb DEFAULT '{}')
RETURNS TABLE (run_id bigint, compared bigint, differing bigint, opened bigint, closed bigint, money_at_risk numeric, currency text, detail jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	j sync.reconcile_job%ROWTYPE;
	setting jsonb;
	kept record;
	told record;
BEGIN
	IF to_regclass('sync.reconcile_job') IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD030', MESSAGE = 'distsync is not set up in this database', DETAIL = format('Database: %s.', current_database()), HINT = 'Call distsync.setup() first.';
	END IF;
	SELECT * INTO j FROM sync.reconcile_job r WHERE r.code = job;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('reconciliation job "%s" is not known', job),
			DETAIL = format('Field: job. Known are %s.', (SELECT string_agg(r.code, ', ' ORDER BY r.code) FROM sync.reconcile_job r)),
			HINT = 'Name one of them, or add a row to sync.reconcile_job.';
	END IF;
	IF j.domain NOT IN ('stock', 'price') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD091', MESSAGE = format('this version does not compare the domain "%s"', j.domain),
			DETAIL = format('Field: job. Job "%s" is of that domain, and only stock and price are compared.', job), HINT = 'Delete the job from sync.reconcile_job, or set its domain to stock or price.';
	END IF;
	setting := CASE j.domain WHEN 'stock' THEN distsync_internal.reconcile_stock_setting(job, COALESCE(reconcile.options, '{}')) ELSE distsync_internal.reconcile_price_setting(job, COALESCE(reconcile.options, '{}')) END;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.reconcile:' || job, 0));
	INSERT INTO sync.reconcile_run AS r (job, started_at) VALUES (job, clock_timestamp()) RETURNING r.run_id INTO run_id;
	IF j.domain = 'stock' THEN
		kept := distsync_internal.reconcile_stock_keep(run_id, job, setting);
		told := distsync_internal.reconcile_tell(run_id, job, '{stock_difference}', 'stock', setting);
	ELSE
		kept := distsync_internal.reconcile_price_keep(run_id, job, setting);
		told := distsync_internal.reconcile_tell(run_id, job, '{price_drift,below_contract}', 'price', setting);
	END IF;
	SELECT kept.compared, kept.differing, told.opened, told.closed INTO compared, differing, opened, closed;
	SELECT CASE WHEN count(*) = 1 THEN min(x.sum) END, CASE WHEN count(*) = 1 THEN min(x.currency) END, COALESCE(jsonb_object_agg(x.currency, x.sum), '{}')
	INTO money_at_risk, currency, detail
	FROM (SELECT d.currency, sum(d.money_at_risk) FROM sync.reconcile_difference d WHERE d.run_id = reconcile.run_id AND d.currency IS NOT NULL GROUP BY d.currency) x;
	UPDATE sync.reconcile_run r SET finished_at = clock_timestamp(), compared = reconcile.compared, differing = reconcile.differing, opened = reconcile.opened,
		closed = reconcile.closed, money_at_risk = reconcile.money_at_risk, currency = reconcile.currency
	WHERE r.run_id = reconcile.run_id;
	detail := jsonb_build_object('job', job, 'money_at_risk', detail, 'suppressed', told.suppressed) || CASE j.domain WHEN 'stock' THEN jsonb_build_object('without_cost', to_jsonb(kept) -> 'without_cost',
			'sites_of_one_side', (SELECT COALESCE(jsonb_agg(o.code ORDER BY o.code COLLATE "C"), '[]') FROM distsync_internal.reconcile_stock_sites(setting) o WHERE o.sides = 1))
		ELSE distsync_internal.reconcile_price_detail(run_id) END;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync.reconcile(text, jsonb) IS
	'Runs a job of sync.reconcile_job now. For domain stock: the ERP''s book against the physical stock of the warehouses, per item, site, group of states, lot and owner; movements within the grace that the other side has not shown (matched by reference, both directions) are netted. Opens exceptions stock_difference, counts those seen again, closes those not seen. Options, over the job''s own: tolerance (base units), tolerance_percent, grace, lookback, company, site, state_groups, lots, error_above (money). For domain price: what channels, orders and invoices charged against what we say (check_prices()); opens below_contract where we lose against a contract, a lock or a floor, else price_drift. Options: tolerance (money a line), grace, lookback, source, channel, customer, tax_rates, error_above. One row: keys or lines compared, differing, exceptions opened and closed, money at risk (NULL if there are several currencies: see detail). Errors: SD001 unknown job, company, site, channel or customer, SD002 option, SD091 domain not compared by this version.';

-- reconcile_stock_keep does the comparison and keeps each difference. The statement is the snapshot: balances and movements fit.
CREATE FUNCTION distsync_internal.reconcile_stock_keep(run_id bigint, job text, setting jsonb, OUT compared bigint, OUT differing bigint, OUT without_cost bigint) RETURNS record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH c AS MATERIALIZED (
		SELECT * FROM distsync_internal.reconcile_stock_compare(reconcile_stock_keep.setting, clock_timestamp())
	), kept AS (
		INSERT INTO sync.reconcile_difference (run_id, trace_key, left_value, right_value, in_flight, delta, money_at_risk, currency, company, entity_key, details)
		SELECT reconcile_stock_keep.run_id, reconcile_stock_keep.job || ':' || c.trace_key, c.book, c.phys, c.in_flight, c.delta, c.money, c.currency, c.company, c.sku,
			jsonb_strip_nulls(jsonb_build_object('job', reconcile_stock_keep.job, 'run', reconcile_stock_keep.run_id, 'site', c.site, 'sku', c.sku, 'state_group', c.state_group,
				'lot', nullif(c.lot, ''), 'owner', c.owner, 'book', c.book, 'phys', c.phys, 'in_flight', c.in_flight, 'waiting', c.waiting))
		FROM c WHERE c.trace_key IS NOT NULL
		RETURNING money_at_risk
	)
	SELECT (SELECT max(c.compared) FROM c), count(*), count(*) FILTER (WHERE kept.money_at_risk IS NULL) INTO compared, differing, without_cost FROM kept;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_stock_keep(bigint, text, jsonb) IS
	'Part of reconcile(): writes sync.reconcile_difference of a run. Returns keys compared, keys differing, and how many of these have no cost.';

-- reconcile_tell does the telling to people: an exception for each difference of the run, in one order so that nobody deadlocks. What
-- people suppressed stays so while the difference is the same; a difference that is gone ends its exception, suppressed or not.
CREATE FUNCTION distsync_internal.reconcile_tell(run_id bigint, job text, kinds text[], domain text, setting jsonb, OUT opened bigint, OUT closed bigint, OUT suppressed bigint) RETURNS record
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	d record;
BEGIN
	opened := 0; closed := 0; suppressed := 0;
	FOR d IN
		SELECT f.*, k.kind, o.exception_id IS NULL AS fresh, s.exception_id IS NOT NULL AS silent
		FROM sync.reconcile_difference f
		CROSS JOIN LATERAL (SELECT COALESCE(f.details ->> 'kind', reconcile_tell.kinds[1])) k(kind)
		LEFT JOIN sync.exception o ON o.kind = k.kind AND o.trace_key = f.trace_key AND o.state IN ('open', 'acknowledged')
		LEFT JOIN LATERAL (SELECT x.exception_id FROM sync.exception x WHERE x.kind = k.kind AND x.trace_key = f.trace_key AND x.state = 'suppressed' AND x.delta = f.delta LIMIT 1) s ON true
		WHERE f.run_id = reconcile_tell.run_id
		ORDER BY f.trace_key COLLATE "C"
	LOOP
		IF d.fresh AND d.silent THEN
			suppressed := suppressed + 1;
			CONTINUE;
		END IF;
		PERFORM distsync_internal.base_exception(d.kind, d.trace_key, reconcile_tell.domain,
			CASE WHEN d.money_at_risk > (reconcile_tell.setting ->> 'error_above')::numeric THEN 'error' ELSE 'warning' END,
			d.company, COALESCE(d.details ->> 'entity', 'item'), d.entity_key, d.details, d.delta, d.money_at_risk, d.currency);
		opened := opened + d.fresh::integer;
	END LOOP;
	FOR d IN
		SELECT e.kind, e.trace_key, e.exception_id, e.state FROM sync.exception e
		WHERE e.kind = ANY (reconcile_tell.kinds) AND e.state IN ('open', 'acknowledged', 'suppressed') AND e.details ->> 'job' = reconcile_tell.job
			AND (reconcile_tell.setting ->> 'site' IS NULL OR e.details ->> 'site' = reconcile_tell.setting ->> 'site')
			AND (reconcile_tell.setting ->> 'company' IS NULL OR e.company = reconcile_tell.setting ->> 'company')
			AND (reconcile_tell.setting -> 'scope' IS NULL OR e.details @> (reconcile_tell.setting -> 'scope'))
			AND NOT EXISTS (SELECT FROM sync.reconcile_difference f WHERE f.run_id = reconcile_tell.run_id AND f.trace_key = e.trace_key AND COALESCE(f.details ->> 'kind', e.kind) = e.kind)
		ORDER BY e.trace_key COLLATE "C", e.exception_id
	LOOP
		IF d.state = 'suppressed' THEN
			UPDATE sync.exception e SET state = 'auto_resolved', resolved_at = clock_timestamp() WHERE e.exception_id = d.exception_id;
		ELSE
			PERFORM distsync_internal.base_exception_close(d.kind, d.trace_key, format('the sides agree again, found by run %s', reconcile_tell.run_id));
			closed := closed + 1;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.reconcile_tell(bigint, text, text[], text, jsonb) IS
	'Part of reconcile(): exceptions for the differences of a run, of the kind that details name, else the first of kinds; those of these kinds that the run did not find again are closed, within the setting''s site, company and scope (what their details must contain). Returns how many were opened, closed, and kept silent because people suppressed them.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('reconcile', '{operator,admin}');
