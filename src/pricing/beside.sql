-- What stands beside and below the price of a line (charges, rebates, claims) decides fewer things than a price: what a document says and
-- these slots would not look at is refused, so that no amount is ever silently wrong.

-- pricing_terms_fault does the finding of the first term that a slot does not decide.
CREATE FUNCTION distsync_internal.pricing_terms_fault(slot text, terms jsonb, OUT field text, OUT problem text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF slot NOT IN ('charge', 'rebate', 'claim') THEN
		RETURN;
	END IF;
	SELECT f.field, format('%s %s is not decided in the slot %s', f.field, terms ->> f.field, slot) INTO field, problem
	FROM (VALUES
		(1, 'tier_measure', slot <> 'charge' AND terms ->> 'tier_measure' = 'weight'),
		(2, 'tier_basis', CASE slot WHEN 'rebate' THEN terms ->> 'tier_basis' NOT IN ('line', 'period') ELSE terms ->> 'tier_basis' <> 'line' END),
		(3, 'tier_mode', slot <> 'rebate' AND terms ->> 'tier_mode' <> 'all_units'),
		(4, 'tier_scope', terms ->> 'tier_scope' <> 'own'),
		(5, 'tax_included', (terms ->> 'tax_included')::boolean),
		(6, 'rounding', terms ->> 'rounding' IS NOT NULL),
		(7, 'on_breach', terms ->> 'on_breach' <> 'clamp'),
		(8, 'commit_quantity', slot <> 'charge' AND terms ->> 'commit_quantity' IS NOT NULL),
		(9, 'commit_amount', slot <> 'charge' AND terms ->> 'commit_amount' IS NOT NULL)
	) f(no, field, bad) WHERE f.bad ORDER BY f.no LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_terms_fault(text, jsonb) IS
	'First term (columns of dist.agreement_version by name) that charges, rebates or claims do not decide: field and problem (SD052), NULL = none.';

-- pricing_limit_fault does the same for the base, floor, ceiling and margin of a rate.
CREATE FUNCTION distsync_internal.pricing_limit_fault(slot text, calc text, has_base boolean, floor_price numeric, ceiling_price numeric, min_margin numeric, OUT field text, OUT problem text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF slot NOT IN ('charge', 'rebate', 'claim') THEN
		RETURN;
	END IF;
	field := CASE WHEN has_base THEN 'base' WHEN min_margin IS NOT NULL THEN 'min_margin'
		WHEN slot = 'charge' AND calc NOT IN ('percent_off', 'amount_off') THEN NULL WHEN floor_price IS NOT NULL THEN 'floor_price' WHEN ceiling_price IS NOT NULL THEN 'ceiling_price' END;
	IF field IS NOT NULL THEN
		problem := format('%s is not decided for %s in the slot %s', field, calc, slot);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_limit_fault(text, text, boolean, numeric, numeric, numeric) IS
	'First of base, min_margin, floor_price and ceiling_price that a rate of charges, rebates or claims has and that is not decided there: field and problem (SD002), NULL = none.';

-- pricing_reject does the refusal of a version with such terms, whoever wrote it.
CREATE FUNCTION distsync_internal.pricing_reject(version_id bigint) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad record;
BEGIN
	SELECT f.field, f.problem INTO bad FROM dist.agreement_version v JOIN dist.agreement a ON a.agreement_id = v.agreement_id
	CROSS JOIN LATERAL distsync_internal.pricing_terms_fault(a.slot, to_jsonb(v)) f WHERE v.version_id = pricing_reject.version_id AND f.field IS NOT NULL;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = bad.problem, COLUMN = bad.field, DETAIL = format('Field: %s.', bad.field), HINT = 'Leave the term out: docs/charges.md says what this slot decides.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_reject(bigint) IS 'Refuses with SD052 to publish a version with terms that its slot does not decide.';
