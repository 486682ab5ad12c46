-- Crediting returns: what was charged for what came back and is ours, exactly. Where we bill, a memo goes the way of all invoices, with volumes,
-- accruals and exposure; where an owner bills he is asked for one, and his memo, a fact, closes the request. Money moves with the memo only.

-- order_bills does the telling of whether we bill for a company, or somebody else does.
CREATE FUNCTION distsync_internal.order_bills(company text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM sync.ownership w WHERE w.domain = 'invoice' AND w.system = 'distsync' AND w.company IN ('*', order_bills.company) AND w.valid @> statement_timestamp());
END
$$;
COMMENT ON FUNCTION distsync_internal.order_bills(text) IS 'Whether invoices of a company are ours: own(''invoice'', ''distsync'').';

-- order_return_billed does the list of what invoices charged for a line of an order: their own lines, or, of one without lines, its share by the
-- order's prices, so that the shares of all that it billed add up to it.
CREATE FUNCTION distsync_internal.order_return_billed(customer_id bigint, order_id bigint, line_no integer) RETURNS TABLE (payer_id bigint, invoice_number text, issued_at timestamptz, currency text, quantity numeric, net numeric, tax numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH bill AS (
		SELECT i.*, m.minor_units, NOT EXISTS (SELECT FROM dist.invoice_line x WHERE x.customer_id = i.customer_id AND x.invoice_id = i.invoice_id) AS bare
		FROM dist.invoice i JOIN dist.currency m ON m.currency = i.currency
		WHERE i.order_id = order_return_billed.order_id AND i.kind = 'invoice' AND i.status = 'posted'
			-- what a memo of its own credits in full is billed by nobody any more
			AND i.gross_amount > COALESCE((SELECT sum(m.gross_amount) FROM dist.invoice m WHERE m.company_id = i.company_id AND m.corrects_number = i.invoice_number AND m.kind = 'credit_memo' AND m.status = 'posted' AND m.return_number IS NULL), 0)
	), lined AS (
		SELECT x.customer_id, x.invoice_id, x.order_line_no, sum(x.base_quantity) AS quantity, sum(x.net_amount) AS net, sum(x.tax_amount) AS tax
		FROM bill b JOIN dist.invoice_line x ON x.customer_id = b.customer_id AND x.invoice_id = b.invoice_id WHERE x.order_line_no IS NOT NULL GROUP BY 1, 2, 3
	), spread AS (
		SELECT b.invoice_id, b.net_amount, b.tax_amount, b.minor_units, l.line_no, q.quantity, l.net_amount * q.quantity / NULLIF(l.base_quantity, 0) AS net, l.tax_amount * q.quantity / NULLIF(l.base_quantity, 0) AS tax
		FROM bill b JOIN dist.order_line l ON l.customer_id = order_return_billed.customer_id AND l.order_id = order_return_billed.order_id
		CROSS JOIN LATERAL (SELECT (b.billed ->> l.line_no::text)::numeric AS quantity) q
		WHERE b.bare AND q.quantity > 0
	), share AS (
		SELECT s.invoice_id, s.line_no, s.quantity, round(s.net_amount * sum(s.net) OVER w / NULLIF(sum(s.net) OVER (PARTITION BY s.invoice_id), 0), s.minor_units) AS net_upto,
			round(s.tax_amount * sum(s.tax) OVER w / NULLIF(sum(s.tax) OVER (PARTITION BY s.invoice_id), 0), s.minor_units) AS tax_upto
		FROM spread s WINDOW w AS (PARTITION BY s.invoice_id ORDER BY s.line_no)
	)
	SELECT b.customer_id, b.invoice_number, b.issued_at, b.currency, n.quantity, n.net, n.tax FROM bill b JOIN lined n ON n.customer_id = b.customer_id AND n.invoice_id = b.invoice_id WHERE n.order_line_no = order_return_billed.line_no AND n.quantity > 0
	UNION ALL
	SELECT b.customer_id, b.invoice_number, b.issued_at, b.currency, h.quantity, h.net, h.tax
	FROM bill b JOIN (SELECT s.invoice_id, s.line_no, s.quantity, COALESCE(s.net_upto - lag(s.net_upto, 1, 0::numeric) OVER w, 0) AS net, COALESCE(s.tax_upto - lag(s.tax_upto, 1, 0::numeric) OVER w, 0) AS tax
		FROM share s WINDOW w AS (PARTITION BY s.invoice_id ORDER BY s.line_no)) h ON h.invoice_id = b.invoice_id WHERE h.line_no = order_return_billed.line_no;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_billed(bigint, bigint, integer) IS
	'What invoices that stand charged for a line of an order: payer, invoice, base units, net and tax in its currency. Not those that memos of their own credit in full; of invoices without lines, their shares by the order''s prices.';

-- order_return_charged does the telling of what is still charged of that: less what memos and other returns have credited.
CREATE FUNCTION distsync_internal.order_return_charged(customer_id bigint, order_id bigint, line_no integer) RETURNS TABLE (payer_id bigint, invoice_number text, issued_at timestamptz, currency text, minor_units smallint, quantity numeric, net numeric, tax numeric)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT b.payer_id, b.invoice_number, b.issued_at, b.currency, m.minor_units::smallint, b.quantity - COALESCE(k.quantity, 0) - COALESCE(c.quantity, 0), b.net - COALESCE(k.net, 0) - COALESCE(c.net, 0), b.tax - COALESCE(k.tax, 0) - COALESCE(c.tax, 0)
	FROM distsync_internal.order_return_billed(order_return_charged.customer_id, order_return_charged.order_id, order_return_charged.line_no) b
	JOIN dist.currency m ON m.currency = b.currency
	JOIN dist.sales_order o ON o.customer_id = order_return_charged.customer_id AND o.order_id = order_return_charged.order_id
	LEFT JOIN LATERAL (SELECT sum(x.quantity) AS quantity, sum(x.net_amount) AS net, sum(x.tax_amount) AS tax FROM dist.return_credit x
		WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.order_line_no = order_return_charged.line_no AND x.corrects_number = b.invoice_number AND x.state <> 'void') k ON true
	LEFT JOIN LATERAL (SELECT sum(y.base_quantity) AS quantity, sum(y.net_amount) AS net, sum(y.tax_amount) AS tax FROM dist.invoice i JOIN dist.invoice_line y ON y.customer_id = i.customer_id AND y.invoice_id = i.invoice_id
		WHERE i.company_id = o.company_id AND i.corrects_number = b.invoice_number AND i.kind = 'credit_memo' AND i.status = 'posted' AND i.return_number IS NULL AND y.order_line_no = order_return_charged.line_no) c ON true
	WHERE b.quantity > COALESCE(k.quantity, 0) + COALESCE(c.quantity, 0)
		-- its owner may have credited more than it charged
		AND b.net + b.tax >= COALESCE(k.net + k.tax, 0) + COALESCE(c.net + c.tax, 0)
	ORDER BY b.issued_at, b.invoice_number COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_charged(bigint, bigint, integer) IS
	'What is still charged for a line of an order, in the order in which it was billed: payer, invoice, base units, net and tax in its currency, less what memos for the line and returns (also where a memo is only asked for) have credited.';

-- order_return_ask does the reckoning of a credit: rows of dist.return_credit for what is ours and not yet credited, as far as it was billed. The
-- last part of what an invoice charged takes what is left of it, so that parts add up to the whole.
CREATE FUNCTION distsync_internal.order_return_ask(customer_id bigint, return_id bigint) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	c record;
	rest numeric;
	part numeric;
	id bigint;
	ids bigint[] := '{}';
BEGIN
	FOR l IN SELECT x.* FROM dist.return_line x WHERE x.customer_id = order_return_ask.customer_id AND x.return_id = order_return_ask.return_id AND x.order_line_no IS NOT NULL
		AND x.restocked + x.scrapped > x.credited + x.requested ORDER BY x.line_no
	LOOP
		rest := l.restocked + l.scrapped - l.credited - l.requested;
		FOR c IN SELECT * FROM distsync_internal.order_return_charged(l.customer_id, l.order_id, l.order_line_no) LOOP
			EXIT WHEN rest <= 0;
			part := least(rest, c.quantity);
			INSERT INTO dist.return_credit (customer_id, return_id, line_no, order_id, order_line_no, corrects_number, quantity, currency, net_amount, tax_amount, state)
			VALUES (l.customer_id, l.return_id, l.line_no, l.order_id, l.order_line_no, c.invoice_number, part, c.currency, CASE WHEN part = c.quantity THEN c.net ELSE round(c.net * part / c.quantity, c.minor_units) END,
				CASE WHEN part = c.quantity THEN c.tax ELSE round(c.tax * part / c.quantity, c.minor_units) END, 'requested')
			RETURNING credit_id INTO id;
			ids := ids || id;
			rest := rest - part;
		END LOOP;
		UPDATE dist.return_line x SET requested = x.restocked + x.scrapped - x.credited - rest WHERE x.customer_id = l.customer_id AND x.return_id = l.return_id AND x.line_no = l.line_no;
	END LOOP;
	RETURN ids;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_ask(bigint, bigint) IS 'Notes what is to be credited of a return, by the invoices that charged it, as requested. Returns the ids; the caller holds the locks of order and return.';

-- order_return_memos does the writing of the memos that credit it: one for each invoice, as invoice documents.
CREATE FUNCTION distsync_internal.order_return_memos(customer_id bigint, return_id bigint, credit_ids bigint[], first_number text, issued_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	r record;
	number text;
	n integer;
	docs jsonb := '[]';
BEGIN
	SELECT x.*, c.code AS company INTO r FROM dist.customer_return x JOIN dist.company c ON c.company_id = x.company_id WHERE x.customer_id = order_return_memos.customer_id AND x.return_id = order_return_memos.return_id;
	n := (SELECT count(DISTINCT i.invoice_number) FROM dist.invoice i WHERE i.company_id = r.company_id AND i.kind = 'credit_memo' AND i.return_number = r.return_number);
	FOR m IN
		SELECT k.corrects_number, i.currency, i.gross_amount, i.customer_id AS payer_id, o.payer_id AS order_payer, o.order_number, sum(k.net_amount) AS net, sum(k.tax_amount) AS tax, min(i.issued_at) AS billed_at,
			jsonb_agg(jsonb_strip_nulls(jsonb_build_object('order_line', k.order_line_no, 'sku', t.sku, 'quantity', k.quantity, 'unit', t.base_unit, 'unit_price', y.unit_price, 'price_per', y.price_per, 'net_amount', k.net_amount,
				'tax_code', y.tax_code, 'tax_amount', k.tax_amount)) ORDER BY k.line_no) AS lines
		FROM dist.return_credit k
		JOIN dist.return_line l ON l.customer_id = k.customer_id AND l.return_id = k.return_id AND l.line_no = k.line_no
		JOIN dist.item t ON t.item_id = l.item_id
		JOIN dist.order_line y ON y.customer_id = k.customer_id AND y.order_id = k.order_id AND y.line_no = k.order_line_no
		JOIN dist.sales_order o ON o.customer_id = k.customer_id AND o.order_id = k.order_id
		JOIN dist.invoice i ON i.company_id = r.company_id AND i.kind = 'invoice' AND i.invoice_number = k.corrects_number
		WHERE k.customer_id = r.customer_id AND k.credit_id = ANY (credit_ids)
		GROUP BY k.corrects_number, i.currency, i.gross_amount, i.customer_id, o.payer_id, o.order_number ORDER BY min(i.issued_at), k.corrects_number COLLATE "C"
	LOOP
		IF m.net + m.tax > m.gross_amount - COALESCE((SELECT sum(i.gross_amount) FROM dist.invoice i WHERE i.company_id = r.company_id AND i.corrects_number = m.corrects_number AND i.kind = 'credit_memo' AND i.status = 'posted'), 0) THEN
			PERFORM distsync_internal.order_return_refuse_state(r.return_number, r.state, format('is more than is left of invoice "%s"', m.corrects_number), 'Memos have credited the invoice already: credit the rest by a memo with return_number.');
		END IF;
		LOOP
			n := n + 1;
			number := CASE WHEN docs = '[]' AND first_number IS NOT NULL THEN first_number ELSE r.return_number || CASE WHEN n > 1 THEN '-' || n ELSE '' END END;
			EXIT WHEN docs = '[]' AND first_number IS NOT NULL OR NOT EXISTS (SELECT FROM dist.invoice i WHERE i.company_id = r.company_id AND i.kind = 'credit_memo' AND i.invoice_number = number);
		END LOOP;
		docs := docs || jsonb_strip_nulls(jsonb_build_object('company', r.company, 'invoice_number', number, 'kind', 'credit_memo', 'order_number', m.order_number, 'corrects', m.corrects_number, 'return_number', r.return_number,
			'customer', CASE WHEN m.payer_id <> m.order_payer THEN (SELECT p.code FROM dist.party p WHERE p.party_id = m.payer_id) END, 'issued_at', issued_at, 'currency', m.currency, 'net_amount', m.net, 'tax_amount', m.tax,
			'gross_amount', m.net + m.tax, 'lines', m.lines));
	END LOOP;
	RETURN docs;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_memos(bigint, bigint, bigint[], text, timestamptz) IS
	'Memos, as documents of the entity invoice, for rows of dist.return_credit: one for each invoice that they correct, numbered after the return (first_number: the first). Errors: SD075 an invoice has less left than it charged, because other memos credit it.';

-- order_return_accounts does the finding of the accounts that the memos of a return may touch.
CREATE FUNCTION distsync_internal.order_return_accounts(customer_id bigint, order_id bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(SELECT DISTINCT a.id FROM dist.sales_order o LEFT JOIN dist.invoice i ON i.order_id = o.order_id AND i.kind = 'invoice'
		CROSS JOIN LATERAL unnest(distsync_internal.credit_reaches(COALESCE(i.customer_id, o.payer_id), o.company_id, o.account_id, jsonb_build_object('corrects', i.invoice_number)) || o.account_id) AS a(id)
		WHERE o.customer_id = order_return_accounts.customer_id AND o.order_id = order_return_accounts.order_id AND a.id IS NOT NULL ORDER BY a.id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_accounts(bigint, bigint) IS 'Ids of the credit accounts that memos for the invoices of an order may touch.';

-- credit_return does the crediting of what came back and is ours.
CREATE FUNCTION distsync.credit_return(return_number text, idempotency_key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('return_number', return_number, 'options', options);
	source text := distsync_internal.order_source(options);
	answer jsonb := distsync_internal.base_answered(source, 'credit_return', idempotency_key, request);
	f record;
	r record;
	ids bigint[];
	memos jsonb;
	accounts bigint[] := '{}';
	reached bigint[];
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	SELECT * INTO f FROM distsync_internal.order_return_find(credit_return.return_number, options, '{source:text,memo_number:text,issued_at:instant}');
	LOOP
		reached := distsync_internal.order_return_accounts(f.customer_id, f.order_id);
		EXIT WHEN reached <@ accounts;
		accounts := reached;
		PERFORM distsync_internal.credit_lock_tree(accounts);
	END LOOP;
	PERFORM distsync_internal.order_return_lock(ARRAY[f.order_id], ARRAY[f.return_id]);
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.customer_id = f.customer_id AND x.return_id = f.return_id;
	ids := distsync_internal.order_return_ask(f.customer_id, f.return_id);
	IF ids = '{}' THEN
		PERFORM distsync_internal.order_return_refuse_state(r.return_number, r.state, 'nothing of it can be credited now', CASE
			WHEN r.order_id IS NULL THEN 'We do not know what was charged for it: send a credit memo with return_number.'
			WHEN EXISTS (SELECT FROM dist.return_line l WHERE l.customer_id = f.customer_id AND l.return_id = f.return_id AND l.requested > 0) THEN 'A memo is asked for: it is credited when that comes.'
			WHEN r.state = 'inspected' THEN 'It is credited when it has been billed, line by line.'
			WHEN r.state IN ('credited', 'closed') THEN 'All that is ours of it is credited.' ELSE 'Receive and inspect it first; what was refused is not credited.' END);
	END IF;
	memos := distsync_internal.order_return_memos(f.customer_id, f.return_id, ids, options ->> 'memo_number', (options ->> 'issued_at')::timestamptz);
	PERFORM distsync_internal.order_return_post(f.customer_id, f.return_id, f.company, memos, source);
	answer := distsync_internal.order_return_answer(f.customer_id, f.return_id, 'credit_return', f.company, r.state, jsonb_build_object('memos',
		(SELECT jsonb_agg(jsonb_build_object('memo_number', CASE WHEN distsync_internal.order_bills(f.company) THEN m -> 'invoice_number' END, 'corrects', m -> 'corrects', 'currency', m -> 'currency', 'net_amount', m -> 'net_amount', 'tax_amount', m -> 'tax_amount',
			'gross_amount', m -> 'gross_amount') ORDER BY n) FROM jsonb_array_elements(memos) WITH ORDINALITY u(m, n))), NULL, source, idempotency_key, request);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync.credit_return(text, text, jsonb) IS
	'Credits what was found ours of a return, at what was charged for it. Where we bill (own(''invoice'', ''distsync'')) a memo for each invoice is posted: receivables, volumes and accruals go back, what waits for room goes on. Else credit_memo.requested is emitted, and the owner''s memo with return_number closes it. Options: company, source, memo_number (of the first memo, where we bill), issued_at. Returns the return with memos [{memo_number, corrects, currency, net_amount, tax_amount, gross_amount}]. Errors: SD001, SD002, SD005, SD008 memo number taken, SD010, SD022, SD075 nothing can be credited now.';

-- order_return_post does the posting of memos where we bill, and the asking for them where somebody else does.
CREATE FUNCTION distsync_internal.order_return_post(customer_id bigint, return_id bigint, company text, memos jsonb, source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	bad distsync_internal.apply_result;
	r record;
BEGIN
	IF NOT distsync_internal.order_bills(company) THEN
		PERFORM distsync_internal.order_return_emit(order_return_post.customer_id, order_return_post.return_id, 'credit_memo.requested', jsonb_build_object('memos', (SELECT jsonb_agg(m - 'invoice_number' ORDER BY n) FROM jsonb_array_elements(memos) WITH ORDINALITY u(m, n))));
		RETURN;
	END IF;
	SELECT x.correlation_id, x.company_id INTO r FROM dist.customer_return x WHERE x.customer_id = order_return_post.customer_id AND x.return_id = order_return_post.return_id;
	IF EXISTS (SELECT FROM dist.invoice i JOIN jsonb_array_elements(memos) m ON i.invoice_number = m ->> 'invoice_number' WHERE i.company_id = r.company_id AND i.kind = 'credit_memo') THEN
		PERFORM distsync_internal.order_refuse('SD008', 'options.memo_number', 'a credit memo with this number exists', 'Give another number, or leave it out.');
	END IF;
	SELECT x.* INTO bad FROM distsync_internal.order_apply_invoice((SELECT jsonb_agg(jsonb_build_object('ordinal', n, 'doc', m) ORDER BY n) FROM jsonb_array_elements(memos) WITH ORDINALITY u(m, n)),
		jsonb_build_object('source', order_return_post.source, 'correlation_id', r.correlation_id)) x WHERE x.outcome <> 'applied' ORDER BY x.ordinal LIMIT 1;
	IF FOUND THEN
		PERFORM distsync_internal.order_refuse(COALESCE(bad.sqlstate, 'SD005'), COALESCE(bad.field, 'memo'), COALESCE(bad.message, 'the memo was not taken'), COALESCE(bad.hint, 'Correct what the memo says.'));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_post(bigint, bigint, text, jsonb, text) IS
	'Posts the memos of order_return_memos() where invoices of the company are ours, else emits credit_memo.requested with them. The caller holds the locks of accounts, order and return. Errors: SD008 number taken, and those of the entity invoice.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('credit_return', '{integrator,operator,admin}');
