-- Memos of returns: a memo that names a return closes what was asked for; a void one opens it again. Whether we wrote it or its owner did.

-- order_return_lock_memos does the locking of the returns that documents of the entity invoice are about, with their orders, before volumes.
CREATE FUNCTION distsync_internal.order_return_lock_memos(docs jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k record;
BEGIN
	SELECT array_agg(DISTINCT r.order_id) AS orders, array_agg(DISTINCT r.return_id) AS returns INTO k
	FROM jsonb_array_elements(docs) d
	LEFT JOIN dist.invoice i ON d -> 'doc' ->> 'status' = 'void' AND i.company_id = (d ->> 'company_id')::bigint AND i.kind = d ->> 'kind' AND i.invoice_number = d -> 'doc' ->> 'invoice_number'
	JOIN dist.customer_return r ON r.company_id = (d ->> 'company_id')::bigint AND r.return_number = COALESCE(i.return_number, d -> 'doc' ->> 'return_number');
	IF k.returns IS NOT NULL THEN
		PERFORM distsync_internal.order_return_lock(k.orders || ARRAY(SELECT (d ->> 'order_id')::bigint FROM jsonb_array_elements(docs) d WHERE d ->> 'order_id' IS NOT NULL), k.returns);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_lock_memos(jsonb) IS 'Locks the orders and returns that read invoice documents are about, each sorted; nothing where none names a return. Before it come accounts, after it volumes.';

-- order_return_memo does what a posted memo means for the return that it names.
CREATE FUNCTION distsync_internal.order_return_memo(payer_id bigint, invoice_id bigint, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	m record;
	r record;
	asked record;
	key text;
BEGIN
	SELECT i.*, c.code AS company INTO m FROM dist.invoice i JOIN dist.company c ON c.company_id = i.company_id WHERE i.customer_id = order_return_memo.payer_id AND i.invoice_id = order_return_memo.invoice_id;
	key := m.company || '/' || m.invoice_number;
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.company_id = m.company_id AND x.return_number = m.return_number;
	IF NOT FOUND THEN
		IF NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
			PERFORM distsync_internal.base_exception('memo_without_return', key, 'order', 'warning', m.company, 'invoice', key, jsonb_build_object('return_number', m.return_number), NULL, m.gross_amount, m.currency, m.correlation_id);
		END IF;
		RETURN;
	END IF;
	WITH done AS (
		UPDATE dist.return_credit k SET state = 'posted', memo_number = m.invoice_number, posted_at = clock_timestamp()
		WHERE k.customer_id = r.customer_id AND k.return_id = r.return_id AND k.state = 'requested' AND (m.corrects_number IS NULL OR k.corrects_number = m.corrects_number)
		RETURNING k.*
	), line AS (
		UPDATE dist.return_line l SET requested = l.requested - d.quantity, credited = l.credited + d.quantity
		FROM (SELECT x.line_no, sum(x.quantity) AS quantity FROM done x GROUP BY x.line_no) d WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id AND l.line_no = d.line_no
	)
	SELECT count(*) AS n, sum(d.net_amount + d.tax_amount) AS gross, min(d.currency) AS currency INTO asked FROM done d;
	IF asked.n = 0 THEN
		PERFORM distsync_internal.order_return_unasked(r.customer_id, r.return_id, m.customer_id, m.invoice_id);
	ELSIF asked.gross <> m.gross_amount OR asked.currency <> m.currency THEN
		PERFORM distsync_internal.base_exception('credit_differs', key, 'order', 'warning', m.company, 'invoice', key, jsonb_build_object('return_number', r.return_number, 'asked', asked.gross, 'asked_currency', asked.currency,
			'credited', m.gross_amount), m.gross_amount - asked.gross, abs(m.gross_amount - asked.gross), m.currency, m.correlation_id);
	END IF;
	PERFORM distsync_internal.order_return_advance(r.customer_id, r.return_id);
	PERFORM distsync_internal.order_return_tell(r.customer_id, r.return_id, 'return.credited', jsonb_build_object('memo', jsonb_build_object('memo_number', m.invoice_number, 'corrects', m.corrects_number, 'currency', m.currency,
		'net_amount', m.net_amount, 'tax_amount', m.tax_amount, 'gross_amount', m.gross_amount)), r.state, ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_memo(bigint, bigint, jsonb) IS
	'Closes what was asked for of the return that a posted memo (payer, id) names: what is asked for of the invoice it corrects, else all. Another amount opens credit_differs, a return that is not known memo_without_return. Emits return.credited. The caller holds the locks.';

-- order_return_unasked does the same for a memo that nobody has asked for: what it says of lines, else all that is ours and not credited.
CREATE FUNCTION distsync_internal.order_return_unasked(customer_id bigint, return_id bigint, payer_id bigint, invoice_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH m AS (
		SELECT i.invoice_number, i.corrects_number, i.currency, i.net_amount, i.tax_amount FROM dist.invoice i WHERE i.customer_id = order_return_unasked.payer_id AND i.invoice_id = order_return_unasked.invoice_id
	), told AS (
		SELECT (SELECT l.line_no FROM dist.return_line l WHERE l.customer_id = order_return_unasked.customer_id AND l.return_id = order_return_unasked.return_id AND (l.order_line_no = x.order_line_no OR x.order_line_no IS NULL AND l.item_id = x.item_id)
				ORDER BY l.restocked + l.scrapped > l.credited DESC, l.line_no LIMIT 1) AS line_no, x.base_quantity AS quantity, x.net_amount, x.tax_amount
		FROM dist.invoice_line x WHERE x.customer_id = order_return_unasked.payer_id AND x.invoice_id = order_return_unasked.invoice_id AND x.base_quantity > 0
	), part AS (
		SELECT t.line_no, sum(t.quantity) AS quantity, sum(t.net_amount) AS net, sum(t.tax_amount) AS tax FROM told t WHERE t.line_no IS NOT NULL GROUP BY t.line_no
		UNION ALL
		SELECT l.line_no, l.restocked + l.scrapped - l.credited, CASE WHEN row_number() OVER (ORDER BY l.line_no) = 1 THEN m.net_amount ELSE 0 END, CASE WHEN row_number() OVER (ORDER BY l.line_no) = 1 THEN m.tax_amount ELSE 0 END
		FROM dist.return_line l CROSS JOIN m WHERE l.customer_id = order_return_unasked.customer_id AND l.return_id = order_return_unasked.return_id AND l.restocked + l.scrapped > l.credited
			AND NOT EXISTS (SELECT FROM dist.invoice_line x WHERE x.customer_id = order_return_unasked.payer_id AND x.invoice_id = order_return_unasked.invoice_id)
	), kept AS (
		INSERT INTO dist.return_credit (customer_id, return_id, line_no, order_id, order_line_no, corrects_number, memo_number, quantity, currency, net_amount, tax_amount, state, posted_at)
		SELECT l.customer_id, l.return_id, l.line_no, l.order_id, l.order_line_no, m.corrects_number, m.invoice_number, p.quantity, m.currency, p.net, p.tax, 'posted', clock_timestamp()
		FROM part p CROSS JOIN m JOIN dist.return_line l ON l.customer_id = order_return_unasked.customer_id AND l.return_id = order_return_unasked.return_id AND l.line_no = p.line_no
	)
	UPDATE dist.return_line l SET credited = l.credited + p.quantity FROM part p WHERE l.customer_id = order_return_unasked.customer_id AND l.return_id = order_return_unasked.return_id AND l.line_no = p.line_no;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_unasked(bigint, bigint, bigint, bigint) IS
	'Notes what a memo (payer, id) that was not asked for credits of a return: by its lines with a quantity; without any line, all that is ours and not credited.';

-- order_return_unmemo does what a void memo means for the return that it named: it is not credited, and may be anew.
CREATE FUNCTION distsync_internal.order_return_unmemo(company_id bigint, return_number text, memo_number text, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
BEGIN
	SELECT x.* INTO r FROM dist.customer_return x WHERE x.company_id = order_return_unmemo.company_id AND x.return_number = order_return_unmemo.return_number;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	WITH undone AS (
		UPDATE dist.return_credit k SET state = 'void' WHERE k.customer_id = r.customer_id AND k.return_id = r.return_id AND k.state = 'posted' AND k.memo_number = order_return_unmemo.memo_number RETURNING k.line_no, k.quantity
	)
	UPDATE dist.return_line l SET credited = l.credited - d.quantity FROM (SELECT u.line_no, sum(u.quantity) AS quantity FROM undone u GROUP BY u.line_no) d
	WHERE l.customer_id = r.customer_id AND l.return_id = r.return_id AND l.line_no = d.line_no;
	PERFORM distsync_internal.order_return_advance(r.customer_id, r.return_id);
	PERFORM distsync_internal.order_return_tell(r.customer_id, r.return_id, 'return.credit_voided', jsonb_build_object('memo', jsonb_build_object('memo_number', order_return_unmemo.memo_number)), r.state, ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_return_unmemo(bigint, text, text, jsonb) IS 'Takes back what a memo that is void now had credited of a return. Emits return.credit_voided. The caller holds the locks.';
