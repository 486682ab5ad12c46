-- What accrues for an invoice, as a read, and as what is written when it is recorded.

-- pricing_accruals_of does the accruals of one line, by agreement: which of them stand together, and their amounts.
CREATE FUNCTION distsync_internal.pricing_accruals_of(rates distsync_internal.accrual_rate[], quantity numeric, volumes jsonb) RETURNS SETOF distsync_internal.accrual_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH ladder AS MATERIALIZED (
		SELECT r.slot, r.place, (array_agg(r ORDER BY r.tier NULLS FIRST)) AS tiers FROM unnest(rates) r GROUP BY r.slot, r.place
	), given AS MATERIALIZED (
		SELECT l.slot, l.place, (l.tiers[1]).combine AS combine, (l.tiers[1]).stack_group AS stack_group, (l.tiers[1]).base_amount AS base_amount, (l.tiers[1]).tier_basis AS basis, g.*
		FROM ladder l CROSS JOIN LATERAL distsync_internal.pricing_ladder_gives(l.tiers, quantity, (l.tiers[1]).base_amount, volumes -> ((l.tiers[1]).agreement_id || ' ' || (l.tiers[1]).ladder)) g
	), part AS MATERIALIZED (
		SELECT g.*, min(g.place) FILTER (WHERE g.combine = 'exclusive') OVER (PARTITION BY g.slot) AS alone,
			first_value(g.combine) OVER (PARTITION BY g.slot, g.stack_group, g.combine = 'always' ORDER BY g.place) AS mode
		FROM given g WHERE g.own IS NOT NULL
	), standing AS (
		SELECT p.*, row_number() OVER (PARTITION BY p.slot, p.stack_group, p.combine ORDER BY CASE WHEN p.combine = 'best' THEN -abs(p.own) END, p.place) AS nth FROM part p
	)
	SELECT (s.t).ordinal, s.slot, (s.t).agreement_id, (s.t).agreement, (s.t).version_no, (s.t).line_key, CASE s.basis WHEN 'period' THEN (s.t).ladder END, a.adjusts,
		CASE WHEN a.adjusts THEN 0 ELSE quantity END, CASE WHEN a.adjusts THEN 0 ELSE s.base_amount END, CASE s.slot WHEN 'rebate' THEN -a.amount ELSE a.amount END, (s.t).currency, NULL::text
	FROM standing s CROSS JOIN LATERAL (VALUES (true, s.adjusted), (false, s.own)) a(adjusts, amount)
	WHERE (NOT a.adjusts OR a.amount <> 0) AND CASE WHEN s.combine = 'always' THEN true WHEN s.alone IS NOT NULL THEN s.place = s.alone
		ELSE s.combine = s.mode AND (s.combine NOT IN ('override', 'best') OR s.nth = 1) END
	UNION ALL
	SELECT (g.t).ordinal, g.slot, (g.t).agreement_id, (g.t).agreement, (g.t).version_no, (g.t).line_key, NULL, false, quantity, g.base_amount, NULL, (g.t).currency, g.skipped
	FROM given g WHERE g.skipped IS NOT NULL
	ORDER BY 2, 4, 8 DESC;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_accruals_of(distsync_internal.accrual_rate[], numeric, jsonb) IS
	'Accruals of one line with a quantity in base units (below 0 = taken back), by slot and agreement code. rates: of pricing_accrual_rates(); volumes: {"agreement_id ladder": as in pricing_ladder_gives()}.';

-- pricing_accruals does the accruals of an invoice, line after line: what a line adds to a volume counts for those after it. A correction takes
-- back under those agreements that accrued for the item on the invoice it corrects, whatever stands against them now.
CREATE FUNCTION distsync_internal.pricing_accruals(payer_id bigint, customer_id bigint, lines jsonb, at timestamptz, options jsonb, corrects text) RETURNS SETOF distsync_internal.accrual_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	accrued distsync_internal.accrual_left[] := CASE WHEN corrects IS NOT NULL THEN distsync_internal.pricing_accrued(payer_id, corrects) END;
	found distsync_internal.accrual_row[];
	rates distsync_internal.accrual_rate[];
	mine distsync_internal.accrual_rate[];
	volumes jsonb;
	r distsync_internal.accrual_row;
	n integer;
	key text;
BEGIN
	IF jsonb_array_length(lines) = 0 OR cardinality(accrued) = 0 THEN
		RETURN;
	END IF;
	-- a line without a quantity is asked as one unit: only the amount of it counts
	rates := ARRAY(SELECT x FROM distsync_internal.pricing_accrual_rates(customer_id,
		(SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('item_id', l -> 'item_id', 'quantity', COALESCE(NULLIF(abs((l ->> 'quantity')::numeric), 0), 1), 'site', l -> 'site')) ORDER BY o)
			FROM jsonb_array_elements(lines) WITH ORDINALITY e(l, o)),
		ARRAY(SELECT COALESCE((l ->> 'net_amount')::numeric, 0) FROM jsonb_array_elements(lines) WITH ORDINALITY e(l, o) ORDER BY o), at, options) x);
	volumes := (SELECT COALESCE(jsonb_object_agg(v.agreement_id || ' ' || v.ladder, jsonb_build_object('quantity', v.quantity, 'base_amount', v.base_amount, 'amount', v.amount)), '{}')
		FROM dist.accrual_volume v WHERE v.customer_id = payer_id AND v.agreement_id IN (SELECT x.agreement_id FROM unnest(rates) x WHERE x.tier_basis = 'period'));
	FOR n IN 1 .. jsonb_array_length(lines) LOOP
		mine := ARRAY(SELECT x FROM unnest(rates) x WHERE x.ordinal = n AND x.calc IS NOT NULL);
		RETURN QUERY SELECT DISTINCT n, x.slot, x.agreement_id, x.agreement, NULL::integer, NULL::text, NULL::text, false, 0::numeric, 0::numeric, NULL::numeric, x.currency, 'no_rate' FROM unnest(rates) x
			WHERE x.ordinal = n AND x.calc IS NULL AND (corrects IS NULL OR EXISTS (SELECT FROM unnest(accrued) y WHERE y.agreement_id = x.agreement_id AND y.item_id = (lines -> (n - 1) ->> 'item_id')::bigint));
		IF corrects IS NULL THEN
			found := ARRAY(SELECT x FROM distsync_internal.pricing_accruals_of(mine, COALESCE((lines -> (n - 1) ->> 'quantity')::numeric, 0), volumes) x);
		ELSE
			SELECT b.rows, b.remain INTO found, accrued FROM distsync_internal.pricing_taken_back(n, lines -> (n - 1), accrued, mine, volumes) b;
		END IF;
		FOREACH r IN ARRAY found LOOP
			IF r.ladder IS NOT NULL THEN
				key := r.agreement_id || ' ' || r.ladder;
				volumes := volumes || jsonb_build_object(key, jsonb_build_object('quantity', COALESCE((volumes #>> ARRAY[key, 'quantity'])::numeric, 0) + r.quantity,
					'base_amount', COALESCE((volumes #>> ARRAY[key, 'base_amount'])::numeric, 0) + r.base_amount, 'amount', COALESCE((volumes #>> ARRAY[key, 'amount'])::numeric, 0) + r.amount));
			END IF;
			RETURN NEXT r;
		END LOOP;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_accruals(bigint, bigint, jsonb, timestamptz, jsonb, text) IS
	'What accrues for lines [{"item_id","quantity" in base units, "net_amount","site"}] of an invoice of a customer that a payer pays, over the volumes so far; below 0 = taken back. corrects: document (company/kind/number) that the lines correct, NULL = none. A read. ordinal: place of the line from 1. Options (currency of the amounts) and errors as in prices().';

-- pricing_lock_accruals does the locking of what invoices of payers may accrue, in order, until the end of the transaction.
CREATE FUNCTION distsync_internal.pricing_lock_accruals(payers bigint[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM dist.agreement a WHERE a.slot IN ('rebate', 'claim')) THEN
		RETURN false;
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.pricing:accrual', b)) FROM (SELECT DISTINCT p % 64 AS b FROM unnest(payers) p ORDER BY 1) x;
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lock_accruals(bigint[]) IS 'Locks the volumes of payers, in 64 parts; call it once with all of a call, after the locks of accounts and before pricing_accrue(). Returns whether anything could accrue at all.';

-- pricing_accrue does the writing of what accrues for an invoice that is being recorded.
CREATE FUNCTION distsync_internal.pricing_accrue(payer_id bigint, customer_id bigint, document text, lines jsonb, at timestamptz, options jsonb, corrects text, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	found distsync_internal.accrual_row[];
	told jsonb;
	r distsync_internal.accrual_row;
BEGIN
	found := ARRAY(SELECT x FROM distsync_internal.pricing_accruals(payer_id, pricing_accrue.customer_id, lines, at, options, corrects) x);
	-- nobody can say what stands together, so nothing of the document accrues
	SELECT x.* INTO r FROM unnest(found) x WHERE x.skipped = 'no_rate' ORDER BY x.ordinal, x.agreement COLLATE "C" LIMIT 1;
	IF r.skipped IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD003', COLUMN = 'currency', MESSAGE = format('no exchange rate between %s and %s at the date of the document', r.currency, options ->> 'currency'),
			DETAIL = format('Field: currency. Agreement "%s", line %s of %s, at %s.', r.agreement, lines -> (r.ordinal - 1) ->> 'line', document, to_jsonb(at) #>> '{}'), HINT = 'Send the exchange rate; then distsync.accrue() does what is missing.';
	END IF;
	INSERT INTO dist.accrual (customer_id, agreement_id, version_no, line_key, ladder, kind, document_key, corrects, item_id, quantity, base_amount, amount, currency, accrued_at)
	SELECT payer_id, x.agreement_id, x.version_no, x.line_key, x.ladder, x.kind, document || '/' || (lines -> (x.ordinal - 1) ->> 'line') || CASE WHEN x.adjusts THEN '/tier' ELSE '' END, pricing_accrue.corrects,
		CASE WHEN NOT x.adjusts THEN (lines -> (x.ordinal - 1) ->> 'item_id')::bigint END, x.quantity, x.base_amount, x.amount, x.currency, at
	FROM unnest(found) x WHERE x.skipped IS NULL;
	INSERT INTO dist.accrual_volume AS v (customer_id, agreement_id, ladder, quantity, base_amount, amount)
	SELECT payer_id, x.agreement_id, x.ladder, sum(x.quantity), sum(x.base_amount), sum(x.amount) FROM unnest(found) x WHERE x.ladder IS NOT NULL GROUP BY x.agreement_id, x.ladder ORDER BY 2, 3
	ON CONFLICT (customer_id, agreement_id, ladder) DO UPDATE SET quantity = v.quantity + excluded.quantity, base_amount = v.base_amount + excluded.base_amount, amount = v.amount + excluded.amount;
	IF COALESCE((ctx ->> 'backfill')::boolean, false) OR cardinality(found) = 0 THEN
		RETURN cardinality(found);
	END IF;
	FOR r IN SELECT * FROM unnest(found) x WHERE x.skipped IS NOT NULL LOOP
		PERFORM distsync_internal.base_exception('claim_without_cost', r.agreement || '/' || document || '/' || (lines -> (r.ordinal - 1) ->> 'line'), 'price', 'warning', split_part(document, '/', 1), 'accrual',
			document || '/' || (lines -> (r.ordinal - 1) ->> 'line'), jsonb_build_object('agreement', r.agreement, 'reason', r.skipped, 'quantity', r.quantity));
	END LOOP;
	told := (SELECT jsonb_agg(jsonb_build_object('line', (lines -> (x.ordinal - 1) ->> 'line')::integer, 'kind', x.kind, 'agreement', x.agreement, 'version', x.version_no, 'adjusts', x.adjusts, 'amount', x.amount, 'currency', x.currency) ORDER BY n)
		FROM unnest(found) WITH ORDINALITY x(ordinal, kind, agreement_id, agreement, version_no, line_key, ladder, adjusts, quantity, base_amount, amount, currency, skipped, n) WHERE x.skipped IS NULL AND x.amount <> 0);
	IF told IS NOT NULL THEN
		PERFORM distsync_internal.base_emit('customer', payer_id, 'accrual.recorded', 'accrual', document, jsonb_build_object('document', document, 'accruals', told), (ctx ->> 'correlation_id')::uuid,
			(ctx ->> 'causation_id')::uuid, ctx ->> 'source');
	END IF;
	RETURN cardinality(found);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_accrue(bigint, bigint, text, jsonb, timestamptz, jsonb, text, jsonb) IS
	'Writes what accrues for a document (company/kind/number) whose lines also have "line", their number, or take back of the document that they correct: rows of dist.accrual and their volumes; emits accrual.recorded, opens claim_without_cost. The caller has called pricing_lock_accruals(). ctx: source, backfill, correlation_id, causation_id. Returns how many rows. Errors: SD003 no exchange rate for an agreement, and as in prices(); then nothing was written.';

-- pricing_verify_accruals does the check that volumes are the sums of what accrued, and that nothing was taken back beyond it.
CREATE FUNCTION distsync_internal.pricing_verify_accruals() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'accrual.volume', 'accrual', concat_ws('/', g.code, p.code, x.ladder), jsonb_build_object('quantity', v.quantity, 'base_amount', v.base_amount, 'amount', v.amount, 'rows', to_jsonb(x) - '{customer_id,agreement_id,ladder}'::text[])
	FROM (SELECT a.customer_id, a.agreement_id, a.ladder, sum(a.quantity) AS quantity, sum(a.base_amount) AS base_amount, sum(a.amount) AS amount FROM dist.accrual a WHERE a.ladder IS NOT NULL GROUP BY 1, 2, 3) x
	FULL JOIN dist.accrual_volume v ON v.customer_id = x.customer_id AND v.agreement_id = x.agreement_id AND v.ladder = x.ladder
	LEFT JOIN dist.agreement g ON g.agreement_id = COALESCE(x.agreement_id, v.agreement_id) LEFT JOIN dist.party p ON p.party_id = COALESCE(x.customer_id, v.customer_id)
	WHERE (x.quantity, x.base_amount, x.amount) IS DISTINCT FROM (v.quantity, v.base_amount, v.amount)
	UNION ALL
	SELECT 'accrual.taken_back', 'accrual', concat_ws('/', x.agreement, b.corrects, x.item_id), to_jsonb(x) - '{agreement_id,agreement,item_id}'::text[]
	FROM (SELECT DISTINCT a.customer_id, a.corrects FROM dist.accrual a WHERE a.corrects IS NOT NULL) b
	CROSS JOIN LATERAL unnest(distsync_internal.pricing_accrued(b.customer_id, b.corrects)) x
	WHERE x.back_quantity > x.quantity OR x.ladder IS NULL AND (abs(x.back_amount) > abs(x.amount) OR x.back_amount * x.amount < 0 OR x.back_quantity = x.quantity AND x.quantity > 0 AND x.back_money >= 0 AND x.back_amount <> x.amount)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_verify_accruals() IS
	'Invariants accrual.volume: every row of dist.accrual_volume is the sum of its accruals; accrual.taken_back: memos take back no more than accrued for an item of an invoice, and all of it where it is credited in full.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('verify', 'accruals', 101, 'distsync_internal.pricing_verify_accruals');
