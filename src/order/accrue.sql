-- What an invoice means below its lines: pricing accrues rebates and claims for what was billed or credited. A fact is recorded whatever comes of
-- that: what could not accrue is told, and accrues later, once. README.md shows the states.

-- order_accrue_failed does the noting that a document could not accrue: with it nothing was written.
CREATE FUNCTION distsync_internal.order_accrue_failed(payer_id bigint, invoice_id bigint, error jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
	document text;
BEGIN
	UPDATE dist.invoice x SET accrual = 'failed' FROM dist.company c WHERE x.customer_id = payer_id AND x.invoice_id = order_accrue_failed.invoice_id AND c.company_id = x.company_id
	RETURNING c.code, x.kind, x.invoice_number, x.issued_at, x.currency, x.net_amount, x.correlation_id INTO i;
	document := concat_ws('/', i.code, i.kind, i.invoice_number);
	PERFORM distsync_internal.base_exception('accrual_failed', document, 'price', 'error', i.code, 'accrual', document,
		jsonb_strip_nulls(error || jsonb_build_object('document', document, 'issued_at', i.issued_at, 'currency', i.currency, 'net_amount', i.net_amount)), NULL, NULL, NULL, i.correlation_id);
	RETURN document;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_accrue_failed(bigint, bigint, jsonb) IS 'Marks a document as failed and opens accrual_failed with error {"sqlstate","message","detail","hint","field"}. Returns its key, company/kind/number.';

-- order_accrue_lines does the lines of a recorded document as pricing asks for them, NULL = none with an item; what is credited is below 0. A
-- line that corrects an invoice is asked where that was: memos know no order of an invoice that came later.
CREATE FUNCTION distsync_internal.order_accrue_lines(payer_id bigint, invoice_id bigint, corrected_payer bigint, corrected_id bigint, sold_to bigint, order_id bigint, sign integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
	RETURN (
	SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', l.line_no, 'item_id', l.item_id, 'quantity', sign * l.base_quantity, 'net_amount', sign * l.net_amount, 'site', s.code)) ORDER BY l.line_no)
	FROM dist.invoice_line l
	LEFT JOIN LATERAL (SELECT y.order_line_no FROM dist.invoice_line y WHERE corrected_id IS NOT NULL AND y.customer_id = corrected_payer AND y.invoice_id = corrected_id AND y.item_id = l.item_id ORDER BY y.line_no LIMIT 1) c ON true
	LEFT JOIN dist.order_line t ON t.customer_id = sold_to AND t.order_id = order_accrue_lines.order_id AND t.line_no = CASE WHEN corrected_id IS NULL THEN l.order_line_no ELSE c.order_line_no END
	LEFT JOIN dist.site s ON s.site_id = t.site_id
	WHERE l.customer_id = payer_id AND l.invoice_id = order_accrue_lines.invoice_id AND l.item_id IS NOT NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_accrue_lines(bigint, bigint, bigint, bigint, bigint, bigint, integer) IS
	'Lines of a document with an item, as pricing_accrue() takes them: quantities and amounts times sign, the site of the order''s line, which for a correction is that of the first line of the corrected invoice with the item.';

-- order_accrue_one does the accruing of one recorded document. A memo waits for the invoice that it corrects, so that both orders of arrival end alike.
CREATE FUNCTION distsync_internal.order_accrue_one(payer_id bigint, invoice_id bigint, alone boolean, ctx jsonb, OUT document text, OUT state text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	i record;
	lines jsonb;
BEGIN
	SELECT x.*, c.code AS company, COALESCE(t.sold_to_id, t.customer_id, x.sold_to_id, x.customer_id) AS sold_to, o.order_id AS decided_order, p.code AS ship_to, j.code AS job, h.code AS channel,
		t.customer_id AS corrected_payer, t.invoice_id AS corrected_id, t.issued_at AS corrected_at, t.accrual AS corrected INTO i
	FROM dist.invoice x JOIN dist.company c ON c.company_id = x.company_id
	LEFT JOIN dist.invoice t ON x.kind = 'credit_memo' AND t.company_id = x.company_id AND t.kind = 'invoice' AND t.invoice_number = x.corrects_number
	LEFT JOIN dist.sales_order o ON o.customer_id = COALESCE(t.sold_to_id, t.customer_id, x.sold_to_id, x.customer_id) AND o.order_id = CASE WHEN t.invoice_id IS NULL THEN x.order_id ELSE t.order_id END
	LEFT JOIN dist.party p ON p.party_id = o.ship_to_id LEFT JOIN dist.party j ON j.party_id = o.job_id LEFT JOIN dist.channel h ON h.channel_id = o.channel_id
	WHERE x.customer_id = payer_id AND x.invoice_id = order_accrue_one.invoice_id;
	document := concat_ws('/', i.company, i.kind, i.invoice_number);
	lines := distsync_internal.order_accrue_lines(payer_id, order_accrue_one.invoice_id, i.corrected_payer, i.corrected_id, i.sold_to, i.decided_order, CASE i.kind WHEN 'credit_memo' THEN -1 ELSE 1 END);
	state := 'done';
	IF lines IS NULL THEN
		NULL;
	ELSIF i.kind = 'credit_memo' AND i.corrects_number IS NOT NULL AND i.corrected IS DISTINCT FROM 'done' AND NOT (alone AND i.corrected IS NULL) THEN
		state := 'waiting';
	ELSE
		-- what is corrected was decided on the day of its invoice
		PERFORM distsync_internal.pricing_accrue(payer_id, i.sold_to, document, lines, COALESCE(i.corrected_at, i.issued_at),
			jsonb_strip_nulls(jsonb_build_object('company', i.company, 'currency', i.currency, 'ship_to', i.ship_to, 'job', i.job, 'channel', i.channel)),
			CASE WHEN i.corrected_at IS NOT NULL THEN concat_ws('/', i.company, 'invoice', i.corrects_number) END, ctx || jsonb_strip_nulls(jsonb_build_object('correlation_id', i.correlation_id)));
	END IF;
	IF i.accrual <> state THEN
		UPDATE dist.invoice x SET accrual = state WHERE x.customer_id = payer_id AND x.invoice_id = order_accrue_one.invoice_id;
		PERFORM distsync_internal.base_exception_close('accrual_failed', document, 'nothing fails any more');
		PERFORM distsync_internal.base_exception_close('accrual_waits', document, 'it has accrued') WHERE state = 'done';
	END IF;
	IF state = 'waiting' AND NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.base_exception('accrual_waits', document, 'price', 'warning', i.company, 'accrual', document, jsonb_build_object('document', document, 'corrects', concat_ws('/', i.company, 'invoice', i.corrects_number),
			'reason', CASE WHEN i.corrected IS NULL THEN 'invoice is not known' ELSE 'invoice has not accrued' END, 'currency', i.currency, 'net_amount', i.net_amount), NULL, NULL, NULL, i.correlation_id);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_accrue_one(bigint, bigint, boolean, jsonb) IS
	'Accrues a recorded invoice or memo: its lines with an item, as the order''s parties and sites say, at its date; a credit memo takes back what accrued for the invoice it corrects, asked as that one was. state: done, or waiting: its invoice is not known (alone = accrue all the same, as a line of its own) or has not accrued; then accrual_waits opens. Closes accrual_failed and accrual_waits.';

-- order_accrue_order does the putting of documents in order: as they came, a memo not before its invoice, and behind an invoice the memos that wait for it.
CREATE FUNCTION distsync_internal.order_accrue_order(INOUT payers bigint[], INOUT invoices bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	waiting bigint[] := ARRAY(SELECT m.invoice_id FROM unnest(payers, invoices) u(payer, invoice) JOIN dist.invoice x ON x.customer_id = u.payer AND x.invoice_id = u.invoice
		JOIN dist.invoice m ON m.company_id = x.company_id AND m.corrects_number = x.invoice_number AND m.accrual <> 'done'
		WHERE x.kind = 'invoice' AND m.kind = 'credit_memo' AND m.customer_id = x.customer_id AND m.invoice_id <> ALL (invoices));
BEGIN
	IF cardinality(invoices) + cardinality(waiting) <= 1 THEN
		RETURN;
	END IF;
	WITH told AS (
		SELECT min(u.n) AS n, u.invoice, max(u.payer) AS payer FROM unnest(payers, invoices) WITH ORDINALITY u(payer, invoice, n) GROUP BY u.invoice
		UNION ALL
		SELECT NULL, m.invoice_id, m.customer_id FROM dist.invoice m WHERE m.invoice_id = ANY (waiting) AND m.accrual <> 'done'
	), every AS (
		SELECT x.customer_id, x.invoice_id, x.issued_at, x.invoice_number, t.n, max(t.n) FILTER (WHERE x.kind = 'invoice')
			OVER (PARTITION BY x.company_id, CASE x.kind WHEN 'invoice' THEN x.invoice_number WHEN 'credit_memo' THEN x.corrects_number END) AS behind
		FROM told t JOIN dist.invoice x ON x.customer_id = t.payer AND x.invoice_id = t.invoice
	)
	SELECT array_agg(e.customer_id ORDER BY greatest(e.n, e.behind), e.n IS NULL OR e.behind > e.n, e.n, e.issued_at, e.invoice_number COLLATE "C"),
		array_agg(e.invoice_id ORDER BY greatest(e.n, e.behind), e.n IS NULL OR e.behind > e.n, e.n, e.issued_at, e.invoice_number COLLATE "C") INTO payers, invoices FROM every e;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_accrue_order(bigint[], bigint[]) IS 'Documents (payers[i], invoices[i]), each once, and the memos of the same payers that wait for one of them, in the order in which they accrue.';

-- order_accrue does the accruing of recorded documents: all in one subtransaction, and only where one fails, again without it.
CREATE FUNCTION distsync_internal.order_accrue(payers bigint[], invoices bigint[], alone boolean, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	one record;
	rows distsync_internal.apply_result[] := '{}';
	first integer := 1;
	last integer;
	at integer;
	code text;
	field text;
	message text;
	hint text;
	detail text;
BEGIN
	SELECT * INTO payers, invoices FROM distsync_internal.order_accrue_order(payers, invoices);
	last := cardinality(invoices);
	WHILE first <= cardinality(invoices) LOOP
		at := first;
		BEGIN
			WHILE at <= last LOOP
				one := distsync_internal.order_accrue_one(payers[at], invoices[at], alone, ctx);
				rows[at] := distsync_internal.master_result(at, CASE one.state WHEN 'done' THEN 'applied' ELSE 'waiting' END, one.document);
				at := at + 1;
			END LOOP;
			first := at;
			last := cardinality(invoices);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, field = COLUMN_NAME, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
			-- somebody was in the way, or the server is in need: that is no matter of this document
			IF distsync_internal.base_passing(code) THEN
				RAISE;
			ELSIF at > first THEN
				last := at - 1;
			ELSE
				field := COALESCE(NULLIF(field, ''), substring(detail FROM '^Field: ([^ ]+)\.( |$)'));
				hint := NULLIF(hint, '');
				rows[at] := distsync_internal.master_result(at, 'failed', distsync_internal.order_accrue_failed(payers[at], invoices[at],
					jsonb_build_object('sqlstate', code, 'field', field, 'message', message, 'hint', hint, 'detail', NULLIF(detail, ''))), code, field, message, hint);
				first := at + 1;
				last := cardinality(invoices);
			END IF;
		END;
	END LOOP;
	RETURN QUERY SELECT r.* FROM unnest(rows) r;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_accrue(bigint[], bigint[], boolean, jsonb) IS
	'Accrues recorded documents (payers[i], invoices[i]) and the memos that wait for them; one row a document (company/kind/number): applied, waiting, or failed with what was raised, and then nothing of it was written and accrual_failed is open. The caller has called pricing_lock_accruals(). Errors: what is no matter of a document (classes 40, 53, 55, 57, 58).';
