-- Money that came in, or went back: its item, what it pays, and who may go on because of it, in one transaction.

-- credit_apply_remittance does the application of a payment to the invoices its remittance names. What does not fit is told.
CREATE FUNCTION distsync_internal.credit_apply_remittance(customer_id bigint, from_item_id bigint, remittance jsonb, ctx jsonb) RETURNS TABLE (kept numeric, mismatches jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	r record;
	rest numeric;
	part numeric;
	why text;
BEGIN
	kept := 0;
	mismatches := '[]';
	SELECT * INTO f FROM dist.open_item o WHERE o.customer_id = credit_apply_remittance.customer_id AND o.open_item_id = from_item_id;
	rest := f.open_amount;
	FOR r IN SELECT x.value ->> 'invoice' AS invoice, COALESCE((x.value ->> 'amount')::numeric, rest) AS told, x.place
		FROM jsonb_array_elements(remittance) WITH ORDINALITY x(value, place) ORDER BY x.place
	LOOP
		part := 0;
		why := NULL;
		SELECT o.open_item_id, o.open_amount, o.currency, o.voided INTO f FROM dist.open_item o
		WHERE o.customer_id = credit_apply_remittance.customer_id AND o.company_id = (ctx ->> 'company_id')::bigint AND o.kind IN ('invoice', 'debit_memo') AND o.document_number = r.invoice
		ORDER BY o.kind DESC LIMIT 1;
		IF NOT FOUND AND EXISTS (SELECT FROM distsync_internal.credit_payers((ctx ->> 'company_id')::bigint, '{invoice,debit_memo}', r.invoice)) THEN
			why := 'other payer';
		ELSIF f.open_item_id IS NULL THEN
			why := 'unknown';
			kept := kept + least(rest - kept, r.told);
		ELSIF f.currency <> ctx ->> 'currency' THEN
			why := 'currency';
		ELSIF f.voided THEN
			why := 'void';
		ELSIF distsync_internal.credit_owner_spoke(credit_apply_remittance.customer_id, from_item_id, f.open_item_id) THEN
			CONTINUE;
		ELSE
			part := least(rest - kept, r.told, f.open_amount);
			why := CASE WHEN part < r.told THEN CASE WHEN f.open_amount < r.told THEN 'more than is open' ELSE 'more than was paid' END END;
			IF part > 0 THEN
				PERFORM distsync_internal.credit_pay(credit_apply_remittance.customer_id, from_item_id, f.open_item_id, part, ctx);
				rest := rest - part;
			END IF;
		END IF;
		IF why IS NOT NULL THEN
			mismatches := mismatches || jsonb_build_object('invoice', r.invoice, 'told', r.told, 'applied', part, 'why', why);
		END IF;
	END LOOP;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_remittance(bigint, bigint, jsonb, jsonb) IS
	'Applies a payment''s item to the invoices of [{invoice, amount}] in their order. Returns what is kept for invoices not yet known, and an array of what did not fit {invoice, told, applied, why}. ctx: company_id, currency, source.';

-- credit_refund_from does the covering of money that went back, by what was in the payer's favour.
CREATE FUNCTION distsync_internal.credit_refund_from(customer_id bigint, refund_item_id bigint, ctx jsonb) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t record;
	f record;
	rest numeric;
BEGIN
	SELECT * INTO t FROM dist.open_item o WHERE o.customer_id = credit_refund_from.customer_id AND o.open_item_id = refund_item_id;
	rest := t.open_amount;
	FOR f IN SELECT o.open_item_id, o.open_amount FROM dist.open_item o
		WHERE o.account_id = t.account_id AND o.customer_id = t.customer_id AND o.company_id = t.company_id AND o.currency = t.currency AND o.due_on IS NULL AND o.open_amount > 0
			AND o.kind IN ('payment', 'credit_memo', 'deposit')
		ORDER BY o.kind = 'deposit', o.posted_at, o.document_number
	LOOP
		EXIT WHEN rest <= 0;
		PERFORM distsync_internal.credit_apply(credit_refund_from.customer_id, f.open_item_id, refund_item_id, least(rest, f.open_amount), ctx);
		rest := rest - least(rest, f.open_amount);
	END LOOP;
	RETURN rest;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_refund_from(bigint, bigint, jsonb) IS 'Sets a refund against the payer''s open payments, credit memos and deposits, oldest first. Returns what nothing covers: it is owed to us.';

-- credit_reverse does the taking back of a payment that bounced: its applications are reversed by rows, its money is set against the
-- reversal, and what it had paid is owed again.
CREATE FUNCTION distsync_internal.credit_reverse(customer_id bigint, company_id bigint, payment_number text, reversal_item_id bigint, ctx jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	item bigint;
	free numeric;
BEGIN
	SELECT o.open_item_id INTO item FROM dist.open_item o WHERE o.customer_id = credit_reverse.customer_id AND o.company_id = credit_reverse.company_id
		AND o.document_number = credit_reverse.payment_number AND o.kind IN ('payment', 'deposit');
	PERFORM distsync_internal.credit_unapply(credit_reverse.customer_id, item, ctx);
	PERFORM distsync_internal.credit_deduct_end(credit_reverse.customer_id, credit_reverse.company_id, credit_reverse.payment_number);
	SELECT least(f.open_amount, t.open_amount) INTO free FROM dist.open_item f, dist.open_item t
	WHERE f.customer_id = credit_reverse.customer_id AND f.open_item_id = item AND t.customer_id = credit_reverse.customer_id AND t.open_item_id = reversal_item_id;
	IF free > 0 THEN
		PERFORM distsync_internal.credit_apply(credit_reverse.customer_id, item, reversal_item_id, free, ctx, told => '{"reversal":true}');
	END IF;
	RETURN free IS NOT NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_reverse(bigint, bigint, text, bigint, jsonb) IS 'Reverses a payment or deposit of a payer: applications taken back by rows, the money set against the reversal''s item.';

-- credit_deduct does the noting of what a payer has left out with a reason: a deduction, in dispute until somebody says how it ends.
CREATE FUNCTION distsync_internal.credit_deduct(customer_id bigint, company_id bigint, payment_number text, remittance jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	r record;
	n integer := 0;
BEGIN
	FOR r IN SELECT i.customer_id, i.open_item_id, i.open_amount, x.value ->> 'invoice' AS invoice, sum((x.value ->> 'deduction')::numeric) AS amount, min(x.value ->> 'reason' COLLATE "C") AS reason
		FROM jsonb_array_elements(credit_deduct.remittance) x(value)
		JOIN dist.open_item i ON i.customer_id = credit_deduct.customer_id AND i.company_id = credit_deduct.company_id AND i.kind IN ('invoice', 'debit_memo') AND i.document_number = x.value ->> 'invoice'
		WHERE (x.value ->> 'deduction')::numeric > 0 AND i.open_amount > 0
		GROUP BY i.customer_id, i.open_item_id, i.open_amount, x.value ->> 'invoice' ORDER BY i.open_item_id
	LOOP
		INSERT INTO dist.dispute (customer_id, dispute_number, open_item_id, kind, amount, reason, payment_number)
		VALUES (r.customer_id, credit_deduct.payment_number || '/' || r.invoice, r.open_item_id, 'deduction', least(r.amount, r.open_amount), COALESCE(r.reason, ''), credit_deduct.payment_number)
		ON CONFLICT DO NOTHING;
		PERFORM distsync_internal.credit_item_set(r.customer_id, r.open_item_id, r.open_amount);
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_deduct(bigint, bigint, text, jsonb) IS
	'Opens a dispute of kind deduction, number payment/invoice, for each invoice of a remittance [{invoice, deduction, reason}] that is open still; at most what is. Returns how many. The caller has applied what was paid and holds the locks.';

-- credit_deduct_end does the ending of the deductions of a payment that bounced: nothing was paid, so nothing was left out.
CREATE FUNCTION distsync_internal.credit_deduct_end(customer_id bigint, company_id bigint, payment_number text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	d record;
BEGIN
	FOR d IN UPDATE dist.dispute x SET closed_at = clock_timestamp(), outcome = 'withdrawn' FROM dist.open_item i
		WHERE x.customer_id = credit_deduct_end.customer_id AND x.payment_number = credit_deduct_end.payment_number AND x.closed_at IS NULL
			AND i.customer_id = x.customer_id AND i.open_item_id = x.open_item_id AND i.company_id = credit_deduct_end.company_id
		RETURNING i.customer_id, i.open_item_id, i.open_amount
	LOOP
		PERFORM distsync_internal.credit_item_set(d.customer_id, d.open_item_id, d.open_amount);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_deduct_end(bigint, bigint, text) IS 'Ends the open deductions of a payment as withdrawn. The caller holds the locks.';

-- credit_post_payment does the booking of one payment that was checked.
CREATE FUNCTION distsync_internal.credit_post_payment(d jsonb, ctx jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	payer bigint := (d ->> 'payer_id')::bigint;
	company bigint := (d ->> 'company_id')::bigint;
	account bigint := (d ->> 'account_id')::bigint;
	number text := doc ->> 'payment_number';
	what text := d ->> 'kind';
	own jsonb := ctx || jsonb_build_object('company_id', company, 'currency', doc -> 'currency');
	received timestamptz := COALESCE((doc ->> 'received_at')::timestamptz, clock_timestamp());
	loaded boolean := COALESCE((ctx ->> 'backfill')::boolean, false);
	item bigint;
	told record;
BEGIN
	INSERT INTO dist.payment (customer_id, company_id, payment_number, kind, order_number, received_at, currency, amount, remittance, reverses_number, source, correlation_id, ext)
	VALUES (payer, company, number, CASE WHEN doc ->> 'reverses' IS NULL THEN what ELSE 'refund' END, doc ->> 'order', received, doc ->> 'currency', (doc ->> 'amount')::numeric,
		COALESCE(NULLIF(doc -> 'remittance', 'null'), '[]'), doc ->> 'reverses', ctx ->> 'source', (ctx ->> 'correlation_id')::uuid, COALESCE(doc -> 'ext', '{}'))
	ON CONFLICT ON CONSTRAINT payment_number_uq DO NOTHING;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	IF (d ->> 'reversed_before')::boolean AND loaded THEN
		RETURN '{}';
	ELSIF (d ->> 'reversed_before')::boolean THEN
		PERFORM distsync_internal.base_exception('payment_reversed_twice', (doc ->> 'company') || '/' || number, 'credit', 'warning', doc ->> 'company', 'payment', number,
			jsonb_build_object('reverses', doc -> 'reverses', 'effect', 'none: the payment had been reversed before'), NULL, (doc ->> 'amount')::numeric, doc ->> 'currency', (ctx ->> 'correlation_id')::uuid);
		RETURN '{}';
	END IF;
	item := distsync_internal.credit_post_item(payer, account, company, CASE WHEN doc ->> 'reverses' IS NULL THEN what ELSE 'refund' END, number, doc ->> 'currency', (doc ->> 'amount')::numeric, received,
		(SELECT x.today FROM distsync_internal.credit_day(payer, company, received) x), ctx);
	IF doc ->> 'reverses' IS NOT NULL THEN
		PERFORM distsync_internal.credit_reverse(payer, company, doc ->> 'reverses', item, own);
	ELSIF what = 'refund' THEN
		PERFORM distsync_internal.credit_refund_from(payer, item, own);
	ELSIF what = 'payment' THEN
		SELECT * INTO told FROM distsync_internal.credit_apply_remittance(payer, item, COALESCE(NULLIF(doc -> 'remittance', 'null'), '[]'), own);
		PERFORM distsync_internal.credit_deduct(payer, company, number, COALESCE(NULLIF(doc -> 'remittance', 'null'), '[]'));
		PERFORM distsync_internal.credit_apply_oldest(payer, item, own, told.kept);
		IF told.mismatches <> '[]' AND NOT loaded THEN
			PERFORM distsync_internal.base_exception('remittance_mismatch', (doc ->> 'company') || '/' || number, 'credit', 'warning', doc ->> 'company', 'payment', number,
				jsonb_build_object('mismatches', told.mismatches), NULL, (doc ->> 'amount')::numeric, doc ->> 'currency', (ctx ->> 'correlation_id')::uuid);
		END IF;
	END IF;
	RETURN (SELECT jsonb_build_object('company', doc -> 'company', 'payment_number', number, 'kind', what, 'customer', p.code, 'currency', doc -> 'currency', 'amount', (doc ->> 'amount')::numeric,
			'received_at', received, 'reverses', doc -> 'reverses', 'unapplied', i.open_amount,
			'applied', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', t.kind, 'number', t.document_number, 'amount', a.amount, 'open_amount', t.open_amount, 'provisional', a.provisional) ORDER BY a.application_id), '[]')
				FROM dist.application a JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id WHERE a.customer_id = payer AND a.from_item_id = item))
		FROM dist.open_item i, dist.party p WHERE i.customer_id = payer AND i.open_item_id = item AND p.party_id = payer);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_post_payment(jsonb, jsonb) IS
	'Books a checked payment {ordinal, doc, payer_id, company_id, account_id, kind, reversed_before}: row, item, application by remittance and then longest due, reversal by rows. Opens exceptions remittance_mismatch, payment_reversed_twice, but not for history. Returns the data of its event, NULL where somebody else has booked its number meanwhile.';
