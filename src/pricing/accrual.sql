-- What accrues below the invoice line: rebates that we owe the customer, claims that the supplier owes us. Which ladders count is decided in C,
-- as for prices; here are the tiers over a period, the amounts, and what is written, once for each agreement and invoice line.

CREATE TYPE distsync_internal.accrual_rate AS (
	ordinal		integer,
	slot		text,
	place		integer,
	agreement_id	bigint,
	agreement	text,
	version_no	integer,
	combine		text,
	stack_group	text,
	currency	text,
	tier_measure	text,
	tier_basis	text,
	incremental	boolean,
	ladder		text,
	line_key	text,
	calc		text,
	value		numeric,
	per_num		numeric,
	per_den		numeric,
	tier		numeric,
	base_amount	numeric,
	cost		numeric
);
COMMENT ON TYPE distsync_internal.accrual_rate IS 'A tier of a ladder that may accrue for a line: place of its agreement in the policy''s order; an amount is value × per_den / per_num a base unit; tier NULL = any; calc NULL = the agreement would stand here, but there is no exchange rate for its currency; base_amount: net amount of the line in currency; cost of a base unit in it, NULL = not known or not asked.';

-- pricing_accrual_rates does the finding of the ladders that may accrue for the lines of an invoice.
CREATE FUNCTION distsync_internal.pricing_accrual_rates(customer_id bigint, lines jsonb, amounts numeric[], at timestamptz, options jsonb) RETURNS SETOF distsync_internal.accrual_rate
AS 'MODULE_PATHNAME', 'ds_sql_pricing_accrual_rates' LANGUAGE c STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.pricing_accrual_rates(bigint, jsonb, numeric[], timestamptz, jsonb) IS
	'Tiers, lowest first, of the ladder that counts of each rebate and claim agreement for lines as in prices(), whose net amounts are amounts. Options and errors as in prices().';

CREATE TYPE distsync_internal.accrual_row AS (
	ordinal		integer,
	kind		text,
	agreement_id	bigint,
	agreement	text,
	version_no	integer,
	line_key	text,
	ladder		text,
	adjusts		boolean,
	quantity	numeric,
	base_amount	numeric,
	amount		numeric,
	currency	text,
	skipped		text
);
COMMENT ON TYPE distsync_internal.accrual_row IS 'What accrues for a line: amount below 0 = we owe it; ladder NULL = no period is counted; adjusts: earlier lines rated again; skipped, and then amount is NULL: no_cost = a claim that could not be computed, no_rate = no exchange rate for the agreement''s currency.';

-- pricing_tier_at does the finding of the tier that a measure reaches. What has no tier is reached by every measure.
CREATE FUNCTION distsync_internal.pricing_tier_at(tiers distsync_internal.accrual_rate[], measure numeric) RETURNS distsync_internal.accrual_rate
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t distsync_internal.accrual_rate;
	reached distsync_internal.accrual_rate;
BEGIN
	FOREACH t IN ARRAY tiers LOOP
		EXIT WHEN t.tier > measure;
		reached := t;
	END LOOP;
	RETURN reached;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_tier_at(distsync_internal.accrual_rate[], numeric) IS 'Highest tier (lowest first in tiers) that a measure reaches; all NULL = none.';

-- pricing_tier_gives does what a tier gives for a quantity in base units and a net amount, exact to 40 decimals; nothing where there is none.
CREATE FUNCTION distsync_internal.pricing_tier_gives(t distsync_internal.accrual_rate, quantity numeric, base_amount numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE
		WHEN t.calc IS NULL THEN 0
		WHEN t.slot = 'claim' AND t.calc <> 'amount_off' AND t.cost IS NULL THEN NULL
		WHEN t.slot = 'rebate' AND t.calc = 'percent_off' THEN base_amount * t.value * 0.01
		WHEN t.calc = 'percent_off' THEN quantity * t.cost * t.value * 0.01
		WHEN t.calc = 'amount_off' THEN round(quantity * t.value * t.per_den, 40) / t.per_num
		-- the supplier's net price: what the goods cost us more than that
		WHEN t.cost * t.per_num > t.value * t.per_den THEN quantity * t.cost - round(quantity * t.value * t.per_den, 40) / t.per_num
		ELSE 0 END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_tier_gives(distsync_internal.accrual_rate, numeric, numeric) IS
	'What a tier of a rebate or claim gives for base units and a net amount in its currency, not rounded; NULL = it needs a cost and has none.';

-- pricing_bands_give does the same over the bands of an incremental ladder: each part of the measure between low and high at its own tier.
CREATE FUNCTION distsync_internal.pricing_bands_give(tiers distsync_internal.accrual_rate[], low numeric, high numeric, quantity numeric, base_amount numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	total numeric := 0;
	part numeric;
	i integer;
BEGIN
	IF low = high THEN
		RETURN distsync_internal.pricing_tier_gives(distsync_internal.pricing_tier_at(tiers, low), quantity, base_amount);
	END IF;
	FOR i IN 1 .. cardinality(tiers) LOOP
		part := least(high, COALESCE(tiers[i + 1].tier, high)) - greatest(low, COALESCE(tiers[i].tier, low));
		IF part > 0 THEN
			total := total + part * distsync_internal.pricing_tier_gives(tiers[i], quantity, base_amount);
		END IF;
	END LOOP;
	RETURN round(total, 40) / (high - low);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_bands_give(distsync_internal.accrual_rate[], numeric, numeric, numeric, numeric) IS
	'What the bands of a ladder give for base units and a net amount that lie between two measures, not rounded. Below the lowest tier nothing is given.';

-- pricing_ladder_gives does the amounts of one ladder for a line: its own, and what earlier lines are adjusted by. NULL own = it takes no part.
CREATE FUNCTION distsync_internal.pricing_ladder_gives(tiers distsync_internal.accrual_rate[], quantity numeric, base_amount numeric, volume jsonb, OUT own numeric, OUT adjusted numeric,
	OUT t distsync_internal.accrual_rate, OUT skipped text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x distsync_internal.accrual_rate := tiers[1];
	minor integer := (SELECT c.minor_units FROM dist.currency c WHERE c.currency = x.currency);
	added numeric := CASE x.tier_measure WHEN 'amount' THEN base_amount ELSE quantity END;
	before_quantity numeric := COALESCE((volume ->> 'quantity')::numeric, 0);
	before_amount numeric := COALESCE((volume ->> 'base_amount')::numeric, 0);
	start numeric := CASE x.tier_measure WHEN 'amount' THEN before_amount ELSE before_quantity END;
BEGIN
	adjusted := 0;
	IF x.slot = 'claim' AND quantity = 0 THEN
		RETURN;
	ELSIF x.tier_basis = 'line' THEN
		t := distsync_internal.pricing_tier_at(tiers, abs(added));
		IF t.calc IS NULL THEN
			RETURN;
		END IF;
		own := round(CASE WHEN x.incremental THEN distsync_internal.pricing_bands_give(tiers, 0, abs(added), quantity, base_amount) ELSE distsync_internal.pricing_tier_gives(t, quantity, base_amount) END, minor);
		skipped := CASE WHEN own IS NULL THEN 'no_cost' END;
		RETURN;
	END IF;
	t := distsync_internal.pricing_tier_at(tiers, start + added);
	IF x.incremental THEN
		-- of a volume that is empty again nothing is left to the cent
		own := CASE WHEN before_quantity + quantity = 0 AND before_amount + base_amount = 0 THEN COALESCE((volume ->> 'amount')::numeric, 0)
			ELSE round(distsync_internal.pricing_bands_give(tiers, least(start, start + added), greatest(start, start + added), quantity, base_amount), minor) END;
	ELSE
		adjusted := round(distsync_internal.pricing_tier_gives(t, before_quantity, before_amount), minor);
		own := round(distsync_internal.pricing_tier_gives(t, before_quantity + quantity, before_amount + base_amount), minor) - adjusted;
		adjusted := adjusted + COALESCE((volume ->> 'amount')::numeric, 0);
	END IF;
	IF t.calc IS NULL THEN
		t := x;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_ladder_gives(distsync_internal.accrual_rate[], numeric, numeric, jsonb) IS
	'Amounts of a ladder for a line, rounded: own NULL = no tier is reached and no period counted, nothing to claim for, or (skipped) no cost is known; adjusted: what earlier lines get more at the tier now reached. volume {"quantity","base_amount","amount"}: as in dist.accrual_volume. t: the tier reached, else the lowest.';
