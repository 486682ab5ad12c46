-- Units and currencies: exact factors, exact conversions, or an error; never a rounded quantity.

-- master_unit_factor does the look-up of a rational factor: quantity in base units = quantity × numerator / denominator.
CREATE FUNCTION distsync_internal.master_unit_factor(item_id bigint, unit text, field text DEFAULT 'unit', OUT numerator bigint, OUT denominator bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	base text;
BEGIN
	SELECT i.base_unit INTO base FROM dist.item i WHERE i.item_id = master_unit_factor.item_id;
	IF unit IS NULL OR unit = base THEN
		numerator := 1;
		denominator := 1;
		RETURN;
	END IF;
	SELECT u.numerator, u.denominator INTO master_unit_factor.numerator, master_unit_factor.denominator
	FROM dist.item_unit u WHERE u.item_id = master_unit_factor.item_id AND u.unit = master_unit_factor.unit;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD004', COLUMN = field,
			MESSAGE = format('item "%s" has no unit "%s"', (SELECT i.sku FROM dist.item i WHERE i.item_id = master_unit_factor.item_id), left(unit, 255)),
			DETAIL = format('Field: %s. Known: %s.', field, (SELECT string_agg(k.unit, ', ' ORDER BY k.unit COLLATE "C")
				FROM (SELECT base UNION ALL SELECT u.unit FROM dist.item_unit u WHERE u.item_id = master_unit_factor.item_id) k(unit))),
			HINT = 'Use one of the known units, or send the item with this unit and its factor first.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_unit_factor(bigint, text, text) IS
	'Factor of a unit of an item as numerator and denominator: base units = quantity × numerator / denominator. NULL or base unit: 1/1. field: what the error names. Errors: SD004 unknown unit.';

-- master_exact does the division of a quantity by a denominator, or says (NULL) that it does not come out even at six decimals.
CREATE FUNCTION distsync_internal.master_exact(quantity numeric, numerator bigint, denominator bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN mod(quantity * numerator * 1000000, denominator) = 0 AND abs(quantity * numerator) < 100000000000000::numeric * denominator
		THEN div(quantity * numerator * 1000000, denominator) * 0.000001 END
$$;
COMMENT ON FUNCTION distsync_internal.master_exact(numeric, bigint, bigint) IS 'quantity × numerator / denominator if it is exact at six decimals and below 10^14, otherwise NULL.';

-- master_to_base does the conversion of a quantity into the item's base unit, exactly.
CREATE FUNCTION distsync_internal.master_to_base(item_id bigint, quantity numeric, unit text, field text DEFAULT 'quantity') RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	result numeric;
BEGIN
	SELECT * INTO f FROM distsync_internal.master_unit_factor(item_id, unit);
	result := distsync_internal.master_exact(quantity, f.numerator, f.denominator);
	IF result IS NULL AND quantity IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', COLUMN = field,
			MESSAGE = format('quantity %s %s is no exact number of base units', quantity, unit),
			DETAIL = format('Field: %s. Item "%s", factor %s/%s; base units have six decimals and fourteen digits before them.', field,
				(SELECT i.sku FROM dist.item i WHERE i.item_id = master_to_base.item_id), f.numerator, f.denominator),
			HINT = 'Send the quantity in the base unit, or a quantity that comes out even.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_to_base(bigint, numeric, text, text) IS
	'Quantity in base units of the item, exact at six decimals; unit NULL = base unit. field: what the error names. Errors: SD004 unknown unit, SD002 not exact or too large.';

-- master_rate does the look-up of an exchange rate: the direct one, else the inverse of the opposite one, as a fraction.
CREATE FUNCTION distsync_internal.master_rate(from_currency text, to_currency text, at timestamptz, OUT multiply numeric, OUT divide numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	divide := 1;
	IF from_currency = to_currency THEN
		multiply := 1;
		RETURN;
	END IF;
	SELECT r.rate INTO multiply FROM dist.exchange_rate r
	WHERE r.from_currency = master_rate.from_currency AND r.to_currency = master_rate.to_currency AND r.kind = 'spot'
		AND r.valid @> master_rate.at AND upper_inf(r.known);
	IF multiply IS NULL THEN
		SELECT 1, r.rate INTO multiply, divide FROM dist.exchange_rate r
		WHERE r.from_currency = master_rate.to_currency AND r.to_currency = master_rate.from_currency AND r.kind = 'spot'
			AND r.valid @> master_rate.at AND upper_inf(r.known);
	END IF;
	IF multiply IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD003', COLUMN = 'currency',
			MESSAGE = CASE WHEN EXISTS (SELECT FROM dist.currency c WHERE c.currency = from_currency) THEN format('no exchange rate from %s to %s', from_currency, COALESCE(to_currency, 'NULL'))
				ELSE format('unknown currency "%s"', left(from_currency, 80)) END,
			DETAIL = format('Field: currency. Asked for %s.', at),
			HINT = 'Send an exchange_rate that is valid then, or send the amount in the currency that is wanted.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_rate(text, text, timestamptz) IS
	'Spot rate valid at an instant as we know it now: converted = amount × multiply / divide. Uses the opposite rate where there is no direct one. Errors: SD003 no rate.';

-- master_convert does the conversion of an amount, rounded once, half away from zero, to the minor units of the target currency.
CREATE FUNCTION distsync_internal.master_convert(amount numeric, from_currency text, to_currency text, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	scale numeric;
BEGIN
	IF from_currency = to_currency THEN
		RETURN amount;
	END IF;
	SELECT * INTO f FROM distsync_internal.master_rate(from_currency, to_currency, at);
	-- in whole minor units, so that the quotient is rounded once and not by the division first
	scale := power(10::numeric, (SELECT c.minor_units FROM dist.currency c WHERE c.currency = to_currency));
	RETURN round(sign(amount) * div(2 * scale * abs(amount) * f.multiply + f.divide, 2 * f.divide) / scale, 4);
END
$$;
COMMENT ON FUNCTION distsync_internal.master_convert(numeric, text, text, timestamptz) IS
	'Amount in another currency at the spot rate of an instant, rounded to that currency''s minor units; the same currency: unchanged. Errors: SD003 no rate.';

-- master_due_instant does the turning of a date-only end into an instant: the end of that day in a time zone.
CREATE FUNCTION distsync_internal.master_due_instant(due_on date, tz text) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (due_on + 1)::timestamp AT TIME ZONE tz
$$;
COMMENT ON FUNCTION distsync_internal.master_due_instant(date, text) IS 'First instant after a day in a time zone: what is due on, or valid through, that day ends there (half-open).';
