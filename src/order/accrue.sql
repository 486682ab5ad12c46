-- What an invoice means below its lines: pricing accrues rebates and claims for what was billed or credited.

-- order_invoice_accrue does the asking of pricing about the lines of an invoice or memo that is being recorded.
CREATE FUNCTION distsync_internal.order_invoice_accrue(v jsonb, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	payer bigint := (v ->> 'payer_id')::bigint;
	company text := (SELECT c.code FROM dist.company c WHERE c.company_id = (v ->> 'company_id')::bigint);
	sign integer := CASE WHEN v ->> 'kind' = 'credit_memo' THEN -1 ELSE 1 END;
	-- what is corrected was decided on the day of its invoice
	corrected timestamptz := (SELECT i.issued_at FROM dist.invoice i WHERE sign < 0 AND i.company_id = (v ->> 'company_id')::bigint AND i.kind = 'invoice' AND i.invoice_number = v -> 'doc' ->> 'corrects');
	lines jsonb := (
		SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', l -> 'place', 'item_id', l -> 'item_id', 'quantity', sign * round((l ->> 'base_quantity')::numeric, 6), 'net_amount', sign * (l ->> 'net')::numeric, 'site', s.code)) ORDER BY (l ->> 'place')::integer)
		FROM jsonb_array_elements(v -> 'lines') l
		LEFT JOIN dist.order_line t ON t.customer_id = (v ->> 'customer_id')::bigint AND t.order_id = (v ->> 'order_id')::bigint AND t.line_no = (l ->> 'line')::integer
		LEFT JOIN dist.site s ON s.site_id = t.site_id
		WHERE l ->> 'item_id' IS NOT NULL);
BEGIN
	IF lines IS NULL THEN
		RETURN 0;
	END IF;
	RETURN distsync_internal.pricing_accrue(payer, COALESCE((v ->> 'sold_to_id')::bigint, payer), concat_ws('/', company, v ->> 'kind', v -> 'doc' ->> 'invoice_number'), lines, COALESCE(corrected, (v ->> 'issued_at')::timestamptz),
		(SELECT jsonb_strip_nulls(jsonb_build_object('company', company, 'currency', v -> 'doc' -> 'currency', 'ship_to', p.code, 'job', j.code, 'channel', h.code))
			FROM (SELECT 1) one LEFT JOIN dist.sales_order o ON o.customer_id = (v ->> 'customer_id')::bigint AND o.order_id = (v ->> 'order_id')::bigint
			LEFT JOIN dist.party p ON p.party_id = o.ship_to_id LEFT JOIN dist.party j ON j.party_id = o.job_id LEFT JOIN dist.channel h ON h.channel_id = o.channel_id),
		CASE WHEN corrected IS NOT NULL THEN concat_ws('/', company, 'invoice', v -> 'doc' ->> 'corrects') END, ctx || jsonb_strip_nulls(jsonb_build_object('correlation_id', v -> 'correlation_id')));
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_accrue(jsonb, jsonb) IS
	'Accrues rebates and claims for a read invoice or memo: its lines with an item, as the order''s parties and sites say, at the date of the invoice ; a credit memo takes back, if it corrects a known invoice what accrued there, at the date of that one. Returns how many rows were written.';
