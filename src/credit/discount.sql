-- Cash discount: what a payment within its days may leave unpaid.

-- credit_discount does the reckoning of the discount that a part paid of an invoice takes: only where that closes the invoice.
CREATE FUNCTION distsync_internal.credit_discount(customer_id bigint, from_item_id bigint, to_item_id bigint, amount numeric) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN COALESCE((
		SELECT t.open_amount - credit_discount.amount
		FROM dist.open_item t JOIN dist.open_item f ON f.customer_id = t.customer_id AND f.open_item_id = credit_discount.from_item_id AND f.kind IN ('payment', 'deposit') AND f.currency = t.currency
		WHERE t.customer_id = credit_discount.customer_id AND t.open_item_id = credit_discount.to_item_id AND t.discount_amount > 0 AND t.disputed_amount = 0
			AND distsync_internal.credit_company_day(t.company_id, f.posted_at) <= t.discount_until
			AND t.open_amount - credit_discount.amount BETWEEN 0 AND distsync_internal.credit_discount_left(t.customer_id, t.open_item_id)), 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_discount(bigint, bigint, bigint, numeric) IS
	'Cash discount taken with a part of a payment or deposit: what it leaves open of the invoice, if the money was there by discount_until and no more is left open than the discount not yet taken; else 0. Nothing while the invoice is in dispute.';

-- credit_discount_left does the reckoning of how much discount of an invoice nobody has taken yet.
CREATE FUNCTION distsync_internal.credit_discount_left(customer_id bigint, open_item_id bigint) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT greatest(i.discount_amount - COALESCE((SELECT sum(a.discount) FROM dist.application a WHERE a.customer_id = i.customer_id AND a.to_item_id = i.open_item_id), 0), 0)
		FROM dist.open_item i WHERE i.customer_id = credit_discount_left.customer_id AND i.open_item_id = credit_discount_left.open_item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_discount_left(bigint, bigint) IS 'Cash discount of an item less what was granted of it.';

-- credit_pay does the application of money to an invoice, with the discount it takes.
CREATE FUNCTION distsync_internal.credit_pay(customer_id bigint, from_item_id bigint, to_item_id bigint, amount numeric, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN distsync_internal.credit_apply(credit_pay.customer_id, credit_pay.from_item_id, credit_pay.to_item_id, credit_pay.amount, ctx,
		distsync_internal.credit_discount(credit_pay.customer_id, credit_pay.from_item_id, credit_pay.to_item_id, credit_pay.amount));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_pay(bigint, bigint, bigint, numeric, jsonb) IS 'credit_apply() with the cash discount that credit_discount() says.';

-- credit_terms does the reading of terms: when it is due, and which discount is for whom pays earlier.
CREATE FUNCTION distsync_internal.credit_terms(terms text) RETURNS TABLE (net_days integer, percent numeric, discount_days integer)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	part text[] := regexp_match(terms, '(?i)^(?:([0-9]{1,2}(?:\.[0-9]{1,4})?)(?:%)?/([0-9]{1,3})[ ,]+)?net[ -]?([0-9]{1,3})$');
BEGIN
	RETURN QUERY SELECT part[3]::integer, part[1]::numeric, part[2]::integer;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_terms(text) IS 'Terms NETn or p/d NETn ("2/10 NET30"): due after n days, p percent discount within d days; NULLs for terms of another form.';
