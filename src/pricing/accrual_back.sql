-- What a credit memo takes back of what accrued for the invoice that it corrects: never more than accrued there, however many memos come.

CREATE TYPE distsync_internal.accrual_left AS (
	kind		text,
	agreement_id	bigint,
	agreement	text,
	version_no	integer,
	line_key	text,
	ladder		text,
	item_id		bigint,
	currency	text,
	minor_units	integer,
	quantity	numeric,
	base_amount	numeric,
	amount		numeric,
	back_quantity	numeric,
	back_base	numeric,
	back_money	numeric,
	back_amount	numeric
);
COMMENT ON TYPE distsync_internal.accrual_left IS 'What accrued for an item on an invoice under an agreement (ladder NULL = no period is counted), and what memos took back of it so far, with the sign of what accrued; back_money: the part of back_base that came without a quantity.';

-- pricing_accrued does the summing up of what accrued for a document, by item, and of what was taken back of it.
CREATE FUNCTION distsync_internal.pricing_accrued(payer_id bigint, document text) RETURNS distsync_internal.accrual_left[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(
		WITH line AS (
			SELECT a.*, false AS back FROM dist.accrual a
			WHERE a.customer_id = payer_id AND a.document_key COLLATE "C" >= document || '/' AND a.document_key COLLATE "C" < document || '0' AND substr(a.document_key, length(document) + 2) ~ '^[0-9]+$' AND a.item_id IS NOT NULL
			UNION ALL
			SELECT a.*, true FROM dist.accrual a WHERE a.customer_id = payer_id AND a.corrects = document AND a.item_id IS NOT NULL
		)
		SELECT (l.kind, l.agreement_id, g.code, max(l.version_no) FILTER (WHERE NOT l.back), min(l.line_key COLLATE "C") FILTER (WHERE NOT l.back), l.ladder, l.item_id, l.currency, c.minor_units,
			sum(l.quantity) FILTER (WHERE NOT l.back), sum(l.base_amount) FILTER (WHERE NOT l.back), sum(l.amount) FILTER (WHERE NOT l.back),
			-COALESCE(sum(l.quantity) FILTER (WHERE l.back), 0), -COALESCE(sum(l.base_amount) FILTER (WHERE l.back), 0), -COALESCE(sum(l.base_amount) FILTER (WHERE l.back AND l.quantity = 0), 0),
			-COALESCE(sum(l.amount) FILTER (WHERE l.back), 0))::distsync_internal.accrual_left
		FROM line l JOIN dist.agreement g ON g.agreement_id = l.agreement_id JOIN dist.currency c ON c.currency = l.currency
		GROUP BY l.kind, l.agreement_id, g.code, l.ladder, l.item_id, l.currency, c.minor_units
		HAVING bool_or(NOT l.back)
		ORDER BY l.ladder IS NOT NULL, l.kind, g.code COLLATE "C", l.ladder COLLATE "C");
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_accrued(bigint, text) IS 'What accrued for the lines of a document (company/kind/number) of a payer and was not adjusted later, by agreement, ladder and item, with what memos that correct it took back.';

-- pricing_share_back does the part of a line in what accrued without a period: of its quantity, or of its money. What all memos took back so far
-- is one rounded share of all they credited, so neither their number nor their order matters, and what is credited in full leaves nothing.
CREATE FUNCTION distsync_internal.pricing_share_back(ordinal integer, quantity numeric, x distsync_internal.accrual_left, rates distsync_internal.accrual_rate[]) RETURNS distsync_internal.accrual_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	goods numeric := greatest(quantity, least(x.back_quantity - x.quantity, 0));
	net numeric;
	percent boolean;
	money numeric := 0;
	part numeric;
	whole numeric;
	back numeric;
BEGIN
	SELECT y.base_amount, bool_or(y.line_key = x.line_key AND y.calc = 'percent_off') INTO net, percent FROM unnest(rates) y WHERE y.agreement_id = x.agreement_id GROUP BY y.base_amount;
	IF quantity = 0 THEN
		IF x.kind <> 'rebate' OR percent IS NOT TRUE OR x.base_amount = 0 THEN
			RETURN NULL;
		END IF;
		money := -net;
	ELSIF goods = 0 THEN
		RETURN NULL;
	END IF;
	-- the parts of all quantities and of all money, as one fraction between 0 and 1
	whole := COALESCE(NULLIF(x.quantity, 0), 1) * COALESCE(NULLIF(x.base_amount, 0), 1);
	part := CASE WHEN x.quantity = 0 THEN 0 ELSE (x.back_quantity - goods) * COALESCE(NULLIF(x.base_amount, 0), 1) END
		+ CASE WHEN x.base_amount = 0 THEN 0 ELSE (x.back_money + money) * COALESCE(NULLIF(x.quantity, 0), 1) END;
	part := greatest(least(part * sign(whole), abs(whole)), 0);
	back := round(round(x.amount * part, 40) / abs(whole), x.minor_units);
	RETURN (ordinal, x.kind, x.agreement_id, x.agreement, x.version_no, x.line_key, NULL, false, goods,
		CASE WHEN goods = quantity THEN COALESCE(net, round(round(x.base_amount * goods, 40) / x.quantity, x.minor_units)) ELSE round(round(COALESCE(net, x.base_amount * quantity / x.quantity) * goods, 40) / quantity, x.minor_units) END,
		x.back_amount - back, x.currency, NULL)::distsync_internal.accrual_row;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_share_back(integer, numeric, distsync_internal.accrual_left, distsync_internal.accrual_rate[]) IS
	'What a line of a correction takes back of what accrued under an agreement that counts no period: the share of its quantity (base units, below 0), at most what is left; without one that of its net amount (rates of the line), of rebates that are percentages. NULL = nothing.';

-- pricing_period_back does the same where a period is counted: the line goes through the volume again, with no more than the invoice put there.
CREATE FUNCTION distsync_internal.pricing_period_back(ordinal integer, quantity numeric, x distsync_internal.accrual_left, rates distsync_internal.accrual_rate[], volume jsonb) RETURNS SETOF distsync_internal.accrual_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	tiers distsync_internal.accrual_rate[] := ARRAY(SELECT y FROM unnest(rates) y WHERE y.agreement_id = x.agreement_id AND y.ladder = x.ladder AND y.tier_basis = 'period' ORDER BY y.tier NULLS FIRST);
	goods numeric := greatest(quantity, least(x.back_quantity - x.quantity, 0));
	net numeric := tiers[1].base_amount;
	rest numeric := x.base_amount - x.back_base;
	given numeric := -COALESCE((volume ->> 'amount')::numeric, 0);
	g record;
BEGIN
	IF cardinality(tiers) = 0 OR quantity <> 0 AND goods = 0 THEN
		RETURN;
	END IF;
	net := CASE WHEN goods = quantity THEN net ELSE round(round(net * goods, 40) / quantity, x.minor_units) END;
	net := greatest(least(rest + net, greatest(x.base_amount, 0)), least(x.base_amount, 0)) - rest;
	SELECT * INTO g FROM distsync_internal.pricing_ladder_gives(tiers, goods, net, volume);
	-- lines are rounded one by one: their cents must not add up to more than there is
	IF (g.t).incremental AND sign(g.own) <> sign(given) THEN
		g.own := sign(g.own) * least(abs(g.own), abs(given));
	END IF;
	IF g.adjusted <> 0 THEN
		RETURN NEXT (ordinal, x.kind, x.agreement_id, x.agreement, (g.t).version_no, (g.t).line_key, x.ladder, true, 0, 0, -g.adjusted, x.currency, NULL)::distsync_internal.accrual_row;
	END IF;
	RETURN NEXT (ordinal, x.kind, x.agreement_id, x.agreement, (g.t).version_no, (g.t).line_key, x.ladder, false, goods, net, -g.own, x.currency, NULL)::distsync_internal.accrual_row;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_period_back(integer, numeric, distsync_internal.accrual_left, distsync_internal.accrual_rate[], jsonb) IS
	'What a line of a correction takes back under a rebate that counts a period: quantity and net amount of the line, at most what is left of the invoice, go off the volume (as in pricing_ladder_gives()); incremental never gives more back than accrued for the volume.';

-- pricing_taken_back does all that a line of a correction takes back, and the noting of it for the lines after it.
CREATE FUNCTION distsync_internal.pricing_taken_back(ordinal integer, line jsonb, accrued distsync_internal.accrual_left[], rates distsync_internal.accrual_rate[], volumes jsonb,
	OUT rows distsync_internal.accrual_row[], OUT remain distsync_internal.accrual_left[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	quantity numeric := COALESCE((line ->> 'quantity')::numeric, 0);
	x distsync_internal.accrual_left;
	r distsync_internal.accrual_row;
	found distsync_internal.accrual_row[];
BEGIN
	rows := '{}';
	remain := '{}';
	FOREACH x IN ARRAY accrued LOOP
		IF x.item_id = (line ->> 'item_id')::bigint THEN
			found := CASE WHEN x.ladder IS NULL THEN ARRAY(SELECT s FROM distsync_internal.pricing_share_back(ordinal, quantity, x, rates) s WHERE s.kind IS NOT NULL)
				ELSE ARRAY(SELECT p FROM distsync_internal.pricing_period_back(ordinal, quantity, x, rates, volumes -> (x.agreement_id || ' ' || x.ladder)) p) END;
			FOREACH r IN ARRAY found LOOP
				x.back_quantity := x.back_quantity - r.quantity;
				x.back_base := x.back_base - r.base_amount;
				x.back_money := x.back_money - CASE WHEN r.quantity = 0 THEN r.base_amount ELSE 0 END;
				x.back_amount := x.back_amount - CASE WHEN r.adjusts THEN 0 ELSE r.amount END;
			END LOOP;
			rows := rows || found;
		END IF;
		remain := remain || x;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_taken_back(integer, jsonb, distsync_internal.accrual_left[], distsync_internal.accrual_rate[], jsonb) IS
	'Rows that a line {"item_id","quantity" below 0, "net_amount"} of a correction takes back of what accrued (pricing_accrued()), and what remains for the next line.';

-- pricing_accrue_undo does the giving back of what a document that is void did to what accrued: each of its rows with its signs turned, so that
-- what a memo had taken back of an invoice is as if it had not. What counts a period is rated again by the next document that comes.
CREATE FUNCTION distsync_internal.pricing_accrue_undo(payer_id bigint, document text, undone text, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	told jsonb;
	n integer;
BEGIN
	WITH back AS (
		INSERT INTO dist.accrual (customer_id, agreement_id, version_no, line_key, ladder, kind, document_key, corrects, item_id, quantity, base_amount, amount, currency, accrued_at)
		SELECT a.customer_id, a.agreement_id, a.version_no, a.line_key, a.ladder, a.kind, undone || substr(a.document_key, length(document) + 1), COALESCE(a.corrects, document), a.item_id, -a.quantity, -a.base_amount, -a.amount, a.currency, a.accrued_at
		FROM dist.accrual a WHERE a.customer_id = payer_id AND a.document_key COLLATE "C" >= document || '/' AND a.document_key COLLATE "C" < document || '0'
		RETURNING *
	), counted AS (
		INSERT INTO dist.accrual_volume AS v (customer_id, agreement_id, ladder, quantity, base_amount, amount)
		SELECT payer_id, b.agreement_id, b.ladder, sum(b.quantity), sum(b.base_amount), sum(b.amount) FROM back b WHERE b.ladder IS NOT NULL GROUP BY b.agreement_id, b.ladder ORDER BY 2, 3
		ON CONFLICT (customer_id, agreement_id, ladder) DO UPDATE SET quantity = v.quantity + excluded.quantity, base_amount = v.base_amount + excluded.base_amount, amount = v.amount + excluded.amount
	)
	SELECT count(*), jsonb_agg(jsonb_build_object('line', split_part(substr(b.document_key, length(undone) + 2), '/', 1)::integer, 'kind', b.kind, 'agreement', g.code, 'version', b.version_no, 'adjusts', b.item_id IS NULL, 'amount', b.amount, 'currency', b.currency)
		ORDER BY b.document_key COLLATE "C", b.kind, g.code COLLATE "C") FILTER (WHERE b.amount <> 0)
	INTO n, told FROM back b JOIN dist.agreement g ON g.agreement_id = b.agreement_id;
	IF told IS NOT NULL AND NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.base_emit('customer', payer_id, 'accrual.recorded', 'accrual', undone, jsonb_build_object('document', undone, 'accruals', told), (ctx ->> 'correlation_id')::uuid, (ctx ->> 'causation_id')::uuid, ctx ->> 'source');
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_accrue_undo(bigint, text, text, jsonb) IS
	'Writes the accruals of a document (company/kind/number) once more with their signs turned, as another one that corrects what it corrected, else itself, and counts them in their volumes; emits accrual.recorded. The caller has called pricing_lock_accruals(). ctx: source, backfill, correlation_id, causation_id. Returns how many rows.';
