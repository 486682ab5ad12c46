-- Invoices that their owner takes back, and what is billed again: every amount goes on standing in one place.

-- order_invoice_unbill does the taking back of what a void invoice had billed of its order's lines: it is unbilled again where it has left, and
-- open again, or waits again, where it has not.
CREATE FUNCTION distsync_internal.order_invoice_unbill(payer_id bigint, invoice_id bigint) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o record;
	l record;
	part numeric;
	unbilled numeric := 0;
	ahead numeric := 0;
BEGIN
	SELECT s.customer_id, s.order_id, s.account_id, s.state, s.credit_state, s.ship_on, i.billed, (s.decision ->> 'account_amount')::numeric AS account_amount, s.gross_amount, m.minor_units INTO o
	FROM dist.invoice i JOIN dist.sales_order s ON s.order_id = i.order_id LEFT JOIN dist.credit_account a ON a.account_id = s.account_id LEFT JOIN dist.currency m ON m.currency = a.currency
	WHERE i.customer_id = order_invoice_unbill.payer_id AND i.invoice_id = order_invoice_unbill.invoice_id AND i.billed IS NOT NULL;
	FOR l IN
		WITH billed AS (SELECT x.*, least((n.value)::numeric, x.invoiced_quantity) AS back FROM jsonb_each_text(o.billed) n JOIN dist.order_line x ON x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.line_no = n.key::integer),
		put AS (UPDATE dist.order_line x SET invoiced_quantity = x.invoiced_quantity - b.back FROM billed b WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.line_no = b.line_no RETURNING x.line_no)
		-- divided once, and last: half a cent is half a cent
		SELECT b.line_no, (b.net_amount + b.tax_amount) * o.account_amount AS worth, NULLIF(b.base_quantity * o.gross_amount, 0) AS per,
			greatest(b.shipped_quantity - b.invoiced_quantity + b.back, 0) - greatest(b.shipped_quantity - b.invoiced_quantity, 0) AS left_again,
			greatest(b.base_quantity - b.cancelled_quantity - greatest(b.shipped_quantity, b.invoiced_quantity - b.back), 0) - greatest(b.base_quantity - b.cancelled_quantity - greatest(b.shipped_quantity, b.invoiced_quantity), 0) AS open_again
		FROM billed b JOIN put p USING (line_no) ORDER BY b.line_no
	LOOP
		part := COALESCE(round(l.worth * l.left_again / l.per, o.minor_units), 0);
		UPDATE dist.shipment h SET unbilled_amount = h.unbilled_amount + part
		WHERE h.customer_id = o.customer_id AND part > 0 AND h.shipment_id = (SELECT s.shipment_id FROM dist.shipment s JOIN dist.shipment_line x ON x.customer_id = s.customer_id AND x.shipment_id = s.shipment_id AND x.order_line_no = l.line_no
			WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id ORDER BY s.shipped_at DESC, s.shipment_id DESC LIMIT 1);
		unbilled := unbilled + CASE WHEN FOUND THEN part ELSE 0 END;
		ahead := ahead + COALESCE(l.worth * l.open_again / l.per, 0);
	END LOOP;
	ahead := round(ahead, COALESCE(o.minor_units, 0));
	IF unbilled > 0 THEN
		PERFORM distsync_internal.credit_count(o.account_id, unbilled, 'unbilled');
	END IF;
	IF ahead > 0 AND o.credit_state IN ('approved', 'released') THEN
		UPDATE dist.sales_order s SET exposure_amount = s.exposure_amount + ahead WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id;
		PERFORM distsync_internal.credit_count(o.account_id, ahead, 'open_orders', o.ship_on, o.order_id);
	ELSIF ahead > 0 AND o.credit_state = 'held' THEN
		UPDATE dist.hold h SET amount = h.amount + ahead WHERE h.customer_id = o.customer_id AND h.hold_id = (SELECT x.hold_id FROM dist.hold x
			WHERE x.customer_id = o.customer_id AND x.order_id = o.order_id AND x.account_id IS NOT NULL AND x.released_at IS NULL ORDER BY x.amount DESC, x.hold_id LIMIT 1);
		PERFORM distsync_internal.credit_add(o.account_id, held_demand => ahead);
	END IF;
	UPDATE dist.sales_order s SET state = 'shipped', version = s.version + 1 WHERE s.customer_id = o.customer_id AND s.order_id = o.order_id AND s.state = 'closed'
		AND EXISTS (SELECT FROM dist.order_line x WHERE x.customer_id = s.customer_id AND x.order_id = s.order_id AND x.shipped_quantity > x.invoiced_quantity);
	RETURN unbilled + ahead;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_unbill(bigint, bigint) IS
	'Takes what an invoice had billed off the invoiced quantities of its order''s lines, so that another may bill it: what has left is unbilled again, at the order''s prices, what has not is open, or held, again; a closed order is shipped again. Returns what counts again, in the account''s currency. The caller holds the locks of account and order.';

-- order_rebill_await does the keeping of an amount in exposure that is to be billed again: goods that left and are not billed any more.
CREATE FUNCTION distsync_internal.order_rebill_await(payer_id bigint, invoice_id bigint, amount numeric) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	v record;
BEGIN
	SELECT i.*, t.account_id INTO v FROM dist.invoice i JOIN dist.open_item t ON t.customer_id = i.customer_id AND t.company_id = i.company_id AND t.kind = i.kind AND t.document_number = i.invoice_number
	WHERE i.customer_id = order_rebill_await.payer_id AND i.invoice_id = order_rebill_await.invoice_id;
	IF NOT FOUND OR v.rebill <> 'none' THEN
		RETURN v.rebill;
	END IF;
	IF EXISTS (SELECT FROM dist.invoice x WHERE x.company_id = v.company_id AND x.rebills_number = v.invoice_number AND x.status = 'posted') THEN
		UPDATE dist.invoice i SET rebill = 'done' WHERE i.customer_id = v.customer_id AND i.invoice_id = v.invoice_id;
		RETURN 'done';
	END IF;
	UPDATE dist.invoice i SET rebill = 'awaited', rebill_amount = order_rebill_await.amount,
		rebill_due = clock_timestamp() + COALESCE(NULLIF(current_setting('distsync.rebill_patience', true), ''), '14 days')::interval WHERE i.customer_id = v.customer_id AND i.invoice_id = v.invoice_id;
	PERFORM distsync_internal.credit_add(v.account_id, unbilled => order_rebill_await.amount);
	RETURN 'awaited';
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rebill_await(bigint, bigint, numeric) IS
	'Counts an amount (the account''s currency) of a memo or void invoice as unbilled until the invoice comes that bills it again; nothing where it has come. Returns awaited | done. The caller holds the account''s lock.';

-- order_rebill_end does the ending of that.
CREATE FUNCTION distsync_internal.order_rebill_end(company_id bigint, document_number text, state text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	v record;
	n integer := 0;
BEGIN
	FOR v IN SELECT i.customer_id, i.invoice_id, i.rebill_amount, t.account_id, concat_ws('/', c.code, i.kind, i.invoice_number) AS document
		FROM dist.invoice i JOIN dist.company c ON c.company_id = i.company_id JOIN dist.open_item t ON t.customer_id = i.customer_id AND t.company_id = i.company_id AND t.kind = i.kind AND t.document_number = i.invoice_number
		WHERE i.company_id = order_rebill_end.company_id AND i.invoice_number = order_rebill_end.document_number AND i.rebill = 'awaited' ORDER BY i.invoice_id
	LOOP
		UPDATE dist.invoice i SET rebill = order_rebill_end.state, rebill_amount = 0, rebill_due = NULL WHERE i.customer_id = v.customer_id AND i.invoice_id = v.invoice_id;
		PERFORM distsync_internal.credit_add(v.account_id, unbilled => -v.rebill_amount);
		PERFORM distsync_internal.base_exception_close('rebill_missing', v.document, CASE order_rebill_end.state WHEN 'done' THEN 'it is billed again' ELSE 'it never will be' END);
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rebill_end(bigint, text, text) IS
	'Takes what awaits being billed again under a number out of unbilled: state done (it is billed) or none (it never will be). Returns how many documents it was. The caller holds the locks.';

-- order_clerk_rebills does the telling of what has waited too long to be billed again: money that nobody asks for.
CREATE FUNCTION distsync_internal.order_clerk_rebills(max_rows integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	v record;
	n integer := 0;
BEGIN
	FOR v IN SELECT i.*, c.code AS company FROM dist.invoice i JOIN dist.company c ON c.company_id = i.company_id
		WHERE i.rebill_due <= clock_timestamp() ORDER BY i.rebill_due, i.invoice_id LIMIT least(max_rows, 100) FOR NO KEY UPDATE OF i SKIP LOCKED
	LOOP
		UPDATE dist.invoice i SET rebill_due = NULL WHERE i.customer_id = v.customer_id AND i.invoice_id = v.invoice_id;
		PERFORM distsync_internal.base_exception('rebill_missing', concat_ws('/', v.company, v.kind, v.invoice_number), 'order', 'warning', v.company, 'invoice', v.company || '/' || v.invoice_number,
			jsonb_build_object('kind', v.kind, 'corrects', v.corrects_number, 'amount', v.gross_amount, 'currency', v.currency), NULL, v.gross_amount, v.currency, v.correlation_id);
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_rebills(integer) IS
	'Task of the clerk: opens rebill_missing, once, for memos and void invoices that have waited for longer than distsync.rebill_patience to be billed again; it closes when they are. Returns how many, at most 100 at once.';

-- order_clerk_rebills_due does the telling of when the next one has waited too long.
CREATE FUNCTION distsync_internal.order_clerk_rebills_due() RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(i.rebill_due) FROM dist.invoice i WHERE i.rebill_due IS NOT NULL
$$;
COMMENT ON FUNCTION distsync_internal.order_clerk_rebills_due() IS 'Earliest instant at which a document has waited too long to be billed again, NULL = none.';

-- order_rebill_reaches does the finding of the accounts where what an invoice bills again is counted.
CREATE FUNCTION distsync_internal.order_rebill_reaches(company_id bigint, document_number text) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(SELECT DISTINCT t.account_id FROM dist.invoice i JOIN dist.open_item t ON t.customer_id = i.customer_id AND t.company_id = i.company_id AND t.kind = i.kind AND t.document_number = i.invoice_number
		WHERE i.company_id = order_rebill_reaches.company_id AND i.invoice_number = order_rebill_reaches.document_number ORDER BY t.account_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_rebill_reaches(bigint, text) IS 'Ids of the accounts of the documents of a company with that number, whoever pays them.';

-- order_void_accruals does the taking back of what accrued for an invoice, as a memo that credits all of it would. What cannot be taken back is
-- told: the void is a fact all the same.
CREATE FUNCTION distsync_internal.order_void_accruals(payer_id bigint, invoice_id bigint, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	i record;
	document text;
	lines jsonb;
BEGIN
	SELECT x.*, c.code AS company, COALESCE(x.sold_to_id, x.customer_id) AS sold_to, p.code AS ship_to, j.code AS job, h.code AS channel INTO i
	FROM dist.invoice x JOIN dist.company c ON c.company_id = x.company_id
	LEFT JOIN dist.sales_order o ON o.customer_id = COALESCE(x.sold_to_id, x.customer_id) AND o.order_id = x.order_id
	LEFT JOIN dist.party p ON p.party_id = o.ship_to_id LEFT JOIN dist.party j ON j.party_id = o.job_id LEFT JOIN dist.channel h ON h.channel_id = o.channel_id
	WHERE x.customer_id = payer_id AND x.invoice_id = order_void_accruals.invoice_id;
	document := concat_ws('/', i.company, i.kind, i.invoice_number);
	-- what has not accrued yet never will
	UPDATE dist.invoice x SET accrual = 'done' WHERE x.customer_id = payer_id AND x.invoice_id = i.invoice_id AND x.accrual <> 'done';
	IF FOUND THEN
		PERFORM distsync_internal.base_exception_close('accrual_failed', document, 'the document is void'), distsync_internal.base_exception_close('accrual_waits', document, 'the document is void');
	END IF;
	IF cardinality(distsync_internal.pricing_accrued(payer_id, document)) = 0 THEN
		RETURN true;
	ELSIF i.kind <> 'invoice' THEN
		-- what a memo took back of an invoice that is void is gone for good
		IF i.kind <> 'credit_memo' OR NOT EXISTS (SELECT FROM dist.invoice t WHERE t.company_id = i.company_id AND t.kind = 'invoice' AND t.invoice_number = i.corrects_number AND t.status = 'void') THEN
			PERFORM distsync_internal.pricing_accrue_undo(payer_id, document, concat_ws('/', i.company, 'void_' || i.kind, i.invoice_number), ctx || jsonb_strip_nulls(jsonb_build_object('correlation_id', i.correlation_id)));
		END IF;
		RETURN true;
	END IF;
	lines := distsync_internal.order_accrue_lines(payer_id, i.invoice_id, payer_id, i.invoice_id, i.sold_to, i.order_id, -1);
	PERFORM distsync_internal.pricing_accrue(payer_id, i.sold_to, concat_ws('/', i.company, 'void', i.invoice_number), lines, i.issued_at,
		jsonb_strip_nulls(jsonb_build_object('company', i.company, 'currency', i.currency, 'ship_to', i.ship_to, 'job', i.job, 'channel', i.channel)), document, ctx || jsonb_strip_nulls(jsonb_build_object('correlation_id', i.correlation_id)));
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	-- somebody was in the way, or the server is in need: that is no matter of this document
	IF distsync_internal.base_passing(SQLSTATE) THEN
		RAISE;
	END IF;
	RETURN false;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_void_accruals(bigint, bigint, jsonb) IS
	'Takes back what accrued for an invoice that is void and is left after its memos, as document company/void/number; gives back what a void memo had taken back, as company/void_kind/number, unless its invoice is void itself; what waits or failed to accrue never will. Returns whether nothing stands that should not: false where it fails. The caller has called pricing_lock_accruals(). Errors: those of base_passing() only.';

-- order_invoice_void does the voiding of an invoice or memo that was posted.
CREATE FUNCTION distsync_internal.order_invoice_void(v jsonb, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := v -> 'doc';
	key text := (doc ->> 'company') || '/' || (doc ->> 'invoice_number');
	at timestamptz := COALESCE((v ->> 'voided_at')::timestamptz, clock_timestamp());
	i record;
	t record;
	again numeric;
BEGIN
	SELECT x.* INTO i FROM dist.invoice x WHERE x.company_id = (v ->> 'company_id')::bigint AND x.kind = v ->> 'kind' AND x.invoice_number = doc ->> 'invoice_number';
	SELECT o.* INTO t FROM dist.open_item o WHERE o.customer_id = i.customer_id AND o.company_id = i.company_id AND o.kind = i.kind AND o.document_number = i.invoice_number;
	UPDATE dist.invoice x SET status = 'void', voided_at = at WHERE x.customer_id = i.customer_id AND x.invoice_id = i.invoice_id;
	PERFORM distsync_internal.order_rebill_end(i.company_id, i.invoice_number, 'none');
	IF t.open_item_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_void(i.customer_id, t.open_item_id, distsync_internal.credit_company_day(i.company_id, at), ctx);
	END IF;
	again := distsync_internal.order_invoice_unbill(i.customer_id, i.invoice_id);
	IF i.return_number IS NOT NULL THEN
		PERFORM distsync_internal.order_return_unmemo(i.company_id, i.return_number, i.invoice_number, ctx);
	END IF;
	IF i.kind = 'invoice' AND (doc ->> 'rebill')::boolean THEN
		PERFORM distsync_internal.order_rebill_await(i.customer_id, i.invoice_id, greatest(t.account_total - again, 0));
	END IF;
	IF i.order_id IS NOT NULL THEN
		PERFORM distsync_internal.order_count_volume(o.customer_id, o.order_id, (doc ->> 'company') || '/' || o.order_number, NULL, true, ctx || jsonb_build_object('correlation_id', i.correlation_id))
		FROM dist.sales_order o WHERE o.order_id = i.order_id;
	END IF;
	IF NOT distsync_internal.order_void_accruals(i.customer_id, i.invoice_id, ctx) THEN
		PERFORM distsync_internal.base_exception('void_accrued', key, 'order', 'warning', doc ->> 'company', 'invoice', key,
			jsonb_build_object('kind', i.kind, 'effect', CASE i.kind WHEN 'credit_memo' THEN 'rebates and claims that it took back are not given again' ELSE 'rebates and claims that accrued for it stand' END), NULL, i.gross_amount, i.currency, i.correlation_id);
	END IF;
	IF NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.base_emit('customer', i.customer_id, 'invoice.voided', 'invoice', key,
			jsonb_build_object('company', doc -> 'company', 'invoice_number', i.invoice_number, 'kind', i.kind, 'voided_at', at, 'currency', i.currency, 'gross_amount', i.gross_amount, 'rebill', COALESCE((doc ->> 'rebill')::boolean, false)),
			i.correlation_id, (ctx ->> 'causation_id')::uuid, ctx ->> 'source');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_void(jsonb, jsonb) IS
	'Voids a posted invoice or memo: what was applied is unapplied, nothing of it is owed any more; rebill: its amount, or what of it the order''s lines do not count again, is unbilled until it is billed again. The order''s lines may be billed again, volumes and accruals go back. Emits invoice.voided; opens void_accrued where rebates and claims cannot go back. The caller holds the locks.';

-- order_invoice_known does the completing of a void document by what the invoice that we know says: its order and payer are the invoice's.
CREATE FUNCTION distsync_internal.order_invoice_known(v jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN v || COALESCE((SELECT jsonb_build_object('payer_id', i.customer_id, 'order_id', i.order_id, 'customer_id', COALESCE(o.customer_id, i.sold_to_id), 'order_number', o.order_number, 'account_id', o.account_id, 'shipment_id', i.shipment_id, 'own_payer', i.customer_id = o.payer_id)
		FROM dist.invoice i LEFT JOIN dist.sales_order o ON o.order_id = i.order_id
		WHERE i.company_id = (v ->> 'company_id')::bigint AND i.kind = v ->> 'kind' AND i.invoice_number = v -> 'doc' ->> 'invoice_number'), '{}');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_invoice_known(jsonb) IS 'A read invoice document with payer, order, shipment and account of the invoice that is recorded under its number, as it is where there is none.';

-- order_payer_of_invoice does the telling of who pays invoices and memos, for the room of credit.
CREATE FUNCTION distsync_internal.order_payer_of_invoice(company_id bigint, kinds text[], document_number text) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT DISTINCT i.customer_id FROM dist.invoice i
	WHERE i.company_id = order_payer_of_invoice.company_id AND i.kind = ANY (order_payer_of_invoice.kinds) AND i.invoice_number = order_payer_of_invoice.document_number ORDER BY i.customer_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.order_payer_of_invoice(bigint, text[], text) IS 'Handler of kind payer: parties that pay the invoices and memos of a company with that number.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('payer', 'invoice', 100, 'distsync_internal.order_payer_of_invoice'),
	('clerk', 'order_rebills', 46, 'distsync_internal.order_clerk_rebills'),
	('clerk', 'order_rebills.next_due', 46, 'distsync_internal.order_clerk_rebills_due');
