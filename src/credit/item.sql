-- The sub-ledger: open items and what is applied to what. What is open of an item is its amount less its applications; a reversal is an
-- application of its own. Counters of the account move in the same breath, under its lock.

-- credit_parts does the splitting of what is open of an item by the days it is due: one where it has no instalments. What was paid
-- covers the earliest instalment first; what is in dispute is of what is due first of the rest.
CREATE FUNCTION distsync_internal.credit_parts(customer_id bigint, open_item_id bigint, due_on date, amount numeric, account_total numeric, open_amount numeric, disputed_amount numeric)
RETURNS distsync_internal.credit_part[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF credit_parts.due_on IS NULL OR credit_parts.open_amount = 0 THEN
		RETURN '{}';
	ELSIF NOT EXISTS (SELECT FROM dist.instalment n WHERE n.customer_id = credit_parts.customer_id AND n.open_item_id = credit_parts.open_item_id) THEN
		RETURN ARRAY[ROW(credit_parts.due_on, round(credit_parts.account_total * credit_parts.open_amount / credit_parts.amount, 4),
			round(credit_parts.account_total * credit_parts.disputed_amount / credit_parts.amount, 4))::distsync_internal.credit_part];
	END IF;
	-- up to its end, an instalment and all before it leave so much open; in the account's currency the last one ends at what is open of the item
	RETURN ARRAY(
		SELECT ROW(x.due_on, sum(round(credit_parts.account_total * x.upto / credit_parts.amount, 4) - round(credit_parts.account_total * x.down / credit_parts.amount, 4)),
			sum(round(credit_parts.account_total * least(x.upto, credit_parts.disputed_amount) / credit_parts.amount, 4)
				- round(credit_parts.account_total * least(x.down, credit_parts.disputed_amount) / credit_parts.amount, 4)))::distsync_internal.credit_part
		FROM (SELECT y.due_on, y.upto, lag(y.upto, 1, 0::numeric) OVER (ORDER BY y.place) AS down
			FROM (SELECT n.due_on, row_number() OVER w AS place,
					greatest(CASE WHEN lead(n.due_on) OVER w IS NULL THEN credit_parts.amount ELSE least(sum(n.amount) OVER w, credit_parts.amount) END
						- (credit_parts.amount - credit_parts.open_amount), 0) AS upto
				FROM dist.instalment n WHERE n.customer_id = credit_parts.customer_id AND n.open_item_id = credit_parts.open_item_id
				WINDOW w AS (ORDER BY n.due_on, n.instalment_no)) y) x
		GROUP BY x.due_on HAVING sum(x.upto - x.down) > 0 ORDER BY x.due_on);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_parts(bigint, bigint, date, numeric, numeric, numeric, numeric) IS
	'What is open of an item (its amounts as given: original and open and in dispute in its currency, original in the account''s) by due day, in the account''s currency; the parts add up to account_total × open / amount. Instalments as dist.instalment has them; what they leave of the amount is due with the last one.';

-- credit_item_parts does the same for an item as it is.
CREATE FUNCTION distsync_internal.credit_item_parts(customer_id bigint, open_item_id bigint) RETURNS distsync_internal.credit_part[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.account_total, i.open_amount, i.disputed_amount)
		FROM dist.open_item i WHERE i.customer_id = credit_item_parts.customer_id AND i.open_item_id = credit_item_parts.open_item_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_item_parts(bigint, bigint) IS 'What is open of an item by due day, in the account''s currency, as dist.open_due counts it; empty for what has no due date.';

-- credit_item_plan does the setting of the instalments of an item.
CREATE FUNCTION distsync_internal.credit_item_plan(customer_id bigint, open_item_id bigint, instalments jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	before distsync_internal.credit_part[] := distsync_internal.credit_item_parts(credit_item_plan.customer_id, credit_item_plan.open_item_id);
	a record;
BEGIN
	SELECT i.account_id, d.today, d.tz INTO a FROM dist.open_item i JOIN dist.credit_account c ON c.account_id = i.account_id
		CROSS JOIN LATERAL distsync_internal.credit_day(c.customer_id, c.company_id, clock_timestamp()) d
	WHERE i.customer_id = credit_item_plan.customer_id AND i.open_item_id = credit_item_plan.open_item_id;
	DELETE FROM dist.instalment n WHERE n.customer_id = credit_item_plan.customer_id AND n.open_item_id = credit_item_plan.open_item_id;
	INSERT INTO dist.instalment (customer_id, open_item_id, instalment_no, due_on, amount)
	SELECT credit_item_plan.customer_id, credit_item_plan.open_item_id, x.place, (x.value ->> 'due_on')::date, (x.value ->> 'amount')::numeric
	FROM jsonb_array_elements(credit_item_plan.instalments) WITH ORDINALITY x(value, place);
	PERFORM distsync_internal.credit_add(a.account_id,
		due_at => (SELECT (min(p.due_on) + 1)::timestamp AT TIME ZONE a.tz FROM unnest(distsync_internal.credit_item_parts(credit_item_plan.customer_id, credit_item_plan.open_item_id)) p WHERE p.due_on >= a.today),
		due => distsync_internal.credit_due_move(a.account_id, before, distsync_internal.credit_item_parts(credit_item_plan.customer_id, credit_item_plan.open_item_id), a.today));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_item_plan(bigint, bigint, jsonb) IS
	'Sets the instalments of an open item, [{due_on, amount}] in its currency and in their order ([] = none), and moves what is due by day with them. The caller has checked that they add up to its amount and holds the account''s lock.';

-- credit_item_term does the counting of an item's share in the counters: by its kind it is owed to us or by us.
CREATE FUNCTION distsync_internal.credit_item_term(account_id bigint, kind text, amount numeric, disputed numeric, due_at timestamptz DEFAULT NULL,
	due distsync_internal.credit_due DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM distsync_internal.credit_add(account_id,
		receivable => CASE WHEN kind IN ('invoice', 'debit_memo', 'refund') THEN amount ELSE 0 END,
		credits => CASE WHEN kind = 'credit_memo' THEN amount ELSE 0 END,
		unapplied => CASE WHEN kind = 'payment' THEN amount ELSE 0 END,
		deposits => CASE WHEN kind = 'deposit' THEN amount ELSE 0 END,
		disputed => disputed, due_at => due_at, due => due);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_item_term(bigint, text, numeric, numeric, timestamptz, distsync_internal.credit_due) IS
	'Adds an amount of an open item to the counter of its kind, and a disputed amount, in the account and all above it; due as credit_add().';

-- credit_item_set does the setting of what is open of an item. The amount in the account's currency follows from it alone, so that
-- applying and taking back leaves no trace.
CREATE FUNCTION distsync_internal.credit_item_set(customer_id bigint, open_item_id bigint, open_amount numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
	in_account numeric;
	claimed numeric;
	due distsync_internal.credit_due;
BEGIN
	SELECT * INTO i FROM dist.open_item o WHERE o.customer_id = credit_item_set.customer_id AND o.open_item_id = credit_item_set.open_item_id FOR NO KEY UPDATE;
	in_account := round(i.account_total * credit_item_set.open_amount / i.amount, 4);
	claimed := least(credit_item_set.open_amount, (SELECT COALESCE(sum(d.amount), 0) FROM dist.dispute d
		WHERE d.customer_id = credit_item_set.customer_id AND d.open_item_id = credit_item_set.open_item_id AND d.closed_at IS NULL));
	UPDATE dist.open_item o SET open_amount = credit_item_set.open_amount, account_amount = in_account, disputed_amount = claimed
	WHERE o.customer_id = credit_item_set.customer_id AND o.open_item_id = credit_item_set.open_item_id;
	IF i.due_on IS NOT NULL THEN
		due := distsync_internal.credit_due_move(i.account_id, distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.account_total, i.open_amount, i.disputed_amount),
			distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.account_total, credit_item_set.open_amount, claimed),
			(SELECT d.today FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_day(a.customer_id, a.company_id, clock_timestamp()) d WHERE a.account_id = i.account_id));
	END IF;
	PERFORM distsync_internal.credit_item_term(i.account_id, i.kind, in_account - i.account_amount,
		round(i.account_total * claimed / i.amount, 4) - round(i.account_total * i.disputed_amount / i.amount, 4), due => due);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_item_set(bigint, bigint, numeric) IS
	'Sets the open amount of an item (its currency) and moves the counters and what is due by day by the difference; what is in dispute is taken from the open disputes. The caller holds the account''s lock.';

-- credit_apply does the application of a part of a payment, deposit or credit memo to an invoice.
CREATE FUNCTION distsync_internal.credit_apply(customer_id bigint, from_item_id bigint, to_item_id bigint, amount numeric, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	t record;
	id bigint;
BEGIN
	SELECT * INTO f FROM dist.open_item o WHERE o.customer_id = credit_apply.customer_id AND o.open_item_id = from_item_id;
	SELECT * INTO t FROM dist.open_item o WHERE o.customer_id = credit_apply.customer_id AND o.open_item_id = to_item_id;
	IF f.currency <> t.currency THEN
		RAISE EXCEPTION USING ERRCODE = 'SD003', MESSAGE = 'items of different currencies can not be applied to each other',
			DETAIL = format('Field: currency. %s %s is in %s, %s %s in %s.', f.kind, f.document_number, f.currency, t.kind, t.document_number, t.currency),
			HINT = 'Book the exchange in the ledger that owns it and send its documents.';
	END IF;
	IF credit_apply.amount > least(f.open_amount, t.open_amount) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD062', MESSAGE = 'more would be applied than is open',
			DETAIL = format('Field: amount. %s asked, %s open of %s %s, %s open of %s %s.', credit_apply.amount, f.open_amount, f.kind, f.document_number, t.open_amount, t.kind, t.document_number),
			HINT = 'Apply at most what is open on both sides.';
	END IF;
	-- history was applied when it happened, not when we learnt of it
	INSERT INTO dist.application (customer_id, from_item_id, to_item_id, amount, currency, applied_at, provisional, source)
	SELECT credit_apply.customer_id, from_item_id, to_item_id, credit_apply.amount, f.currency,
		CASE WHEN (ctx ->> 'backfill')::boolean THEN greatest(f.posted_at, t.posted_at) ELSE clock_timestamp() END, a.mode = 'mirrored', COALESCE(ctx ->> 'source', 'distsync')
	FROM dist.credit_account a WHERE a.account_id = t.account_id
	RETURNING application_id INTO id;
	PERFORM distsync_internal.credit_item_set(credit_apply.customer_id, from_item_id, f.open_amount - credit_apply.amount);
	PERFORM distsync_internal.credit_item_set(credit_apply.customer_id, to_item_id, t.open_amount - credit_apply.amount);
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply(bigint, bigint, bigint, numeric, jsonb) IS
	'Applies an amount of one item of a payer to another and moves both and the counters; provisional where the account is mirrored. Returns the id of the application. Errors: SD003 currencies differ, SD062 more than is open.';

-- credit_unapply does the taking back of every application of a payment or memo, each by a row of its own; what went back stays gone.
CREATE FUNCTION distsync_internal.credit_unapply(customer_id bigint, from_item_id bigint, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	n integer := 0;
BEGIN
	FOR a IN SELECT p.* FROM dist.application p JOIN dist.open_item o ON o.customer_id = p.customer_id AND o.open_item_id = p.to_item_id AND o.kind <> 'refund'
		WHERE p.customer_id = credit_unapply.customer_id AND p.from_item_id = credit_unapply.from_item_id AND p.amount > 0
			AND NOT EXISTS (SELECT FROM dist.application r WHERE r.customer_id = p.customer_id AND r.reverses_id = p.application_id)
		ORDER BY p.application_id DESC
	LOOP
		INSERT INTO dist.application (customer_id, from_item_id, to_item_id, amount, discount, write_off, currency, provisional, reverses_id, source)
		VALUES (a.customer_id, a.from_item_id, a.to_item_id, -a.amount, -a.discount, -a.write_off, a.currency, a.provisional, a.application_id, COALESCE(ctx ->> 'source', 'distsync'));
		PERFORM distsync_internal.credit_item_set(i.customer_id, i.open_item_id, i.open_amount + a.amount + CASE WHEN i.open_item_id = a.to_item_id THEN a.discount + a.write_off ELSE 0 END)
		FROM dist.open_item i WHERE i.customer_id = a.customer_id AND i.open_item_id IN (a.from_item_id, a.to_item_id);
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_unapply(bigint, bigint, jsonb) IS 'Takes back all applications of an item of a payer by reversal rows; both sides are open again as before. Returns how many.';

-- credit_apply_oldest does the application of what is left of a payment to what has been due longest, leaving out what is in dispute.
CREATE FUNCTION distsync_internal.credit_apply_oldest(customer_id bigint, from_item_id bigint, ctx jsonb, keep numeric DEFAULT 0) RETURNS numeric
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	t record;
	rest numeric;
	part numeric;
BEGIN
	SELECT * INTO f FROM dist.open_item o WHERE o.customer_id = credit_apply_oldest.customer_id AND o.open_item_id = from_item_id;
	rest := f.open_amount - keep;
	FOR t IN SELECT o.open_item_id, o.open_amount - o.disputed_amount AS free FROM dist.open_item o
		WHERE o.account_id = f.account_id AND o.customer_id = f.customer_id AND o.company_id = f.company_id AND o.currency = f.currency AND o.open_amount > o.disputed_amount
			AND o.open_amount > 0 AND o.due_on IS NOT NULL AND o.kind IN ('invoice', 'debit_memo')
		ORDER BY o.due_on, o.posted_at, o.document_number
	LOOP
		EXIT WHEN rest <= 0;
		part := least(rest, t.free);
		PERFORM distsync_internal.credit_apply(credit_apply_oldest.customer_id, from_item_id, t.open_item_id, part, ctx);
		rest := rest - part;
	END LOOP;
	RETURN rest;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_oldest(bigint, bigint, jsonb, numeric) IS
	'Applies what is open of an item to the payer''s invoices and debit memos in that company and currency, longest due first, not to what is in dispute; keep stays open. Returns what is left beside it.';

-- credit_reaches does the finding of the accounts that a document of a payer reaches, so that they are locked before it is booked, and
-- looked at after: what it names may be owed on the account of a job, a segment or all companies.
CREATE FUNCTION distsync_internal.credit_reaches(payer_id bigint, company_id bigint, account_id bigint, doc jsonb) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		SELECT DISTINCT x.id FROM (
			SELECT credit_reaches.account_id AS id
			UNION ALL
			SELECT distsync_internal.credit_account_for(credit_reaches.payer_id, credit_reaches.company_id)
			UNION ALL
			SELECT i.account_id
			FROM (SELECT r ->> 'invoice' AS number FROM jsonb_array_elements(NULLIF(doc -> 'remittance', 'null')) r UNION SELECT doc ->> 'corrects') n
			JOIN dist.open_item i ON i.customer_id = credit_reaches.payer_id AND i.company_id = credit_reaches.company_id AND i.kind IN ('invoice', 'debit_memo') AND i.document_number = n.number
			UNION ALL
			SELECT h.account_id FROM dist.hold h WHERE h.company_id = credit_reaches.company_id AND h.order_number = doc ->> 'order' AND h.released_at IS NULL
			UNION ALL
			SELECT unnest(ARRAY[i.account_id, t.account_id])
			FROM dist.open_item i
			LEFT JOIN dist.application a ON a.customer_id = i.customer_id AND a.from_item_id = i.open_item_id
			LEFT JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id
			WHERE i.customer_id = credit_reaches.payer_id AND i.company_id = credit_reaches.company_id AND i.kind IN ('payment', 'deposit') AND i.document_number = doc ->> 'reverses') x
		WHERE x.id IS NOT NULL ORDER BY x.id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_reaches(bigint, bigint, bigint, jsonb) IS
	'Ids of the accounts whose items a document of a payer in a company may touch: its own, the payer''s general one, those of what its remittance or corrects names, those of the payment it reverses and of what that had paid, that on which the order of a deposit waits.';

-- credit_apply_waiting does the application of money that came before its invoice: payments that named it, deposits for its order.
CREATE FUNCTION distsync_internal.credit_apply_waiting(customer_id bigint, to_item_id bigint, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t record;
	w record;
	left_open numeric;
	n integer := 0;
BEGIN
	SELECT * INTO t FROM dist.open_item o WHERE o.customer_id = credit_apply_waiting.customer_id AND o.open_item_id = to_item_id;
	left_open := t.open_amount;
	FOR w IN SELECT o.open_item_id, o.open_amount, (SELECT sum((r ->> 'amount')::numeric) FROM jsonb_array_elements(p.remittance) r WHERE r ->> 'invoice' = t.document_number) AS told
		FROM dist.open_item o
		JOIN dist.payment p ON p.company_id = o.company_id AND p.payment_number = o.document_number
		-- money is on the payer's general account, also where the invoice is a job's
		WHERE o.account_id IN (t.account_id, distsync_internal.credit_account_for(t.customer_id, t.company_id)) AND o.customer_id = t.customer_id AND o.company_id = t.company_id AND o.currency = t.currency
			AND o.due_on IS NULL AND o.open_amount > 0 AND o.kind IN ('payment', 'deposit')
			AND (p.remittance @> jsonb_build_array(jsonb_build_object('invoice', t.document_number)) OR p.kind = 'deposit' AND p.order_number = ctx ->> 'order_number')
		ORDER BY o.posted_at, o.document_number
	LOOP
		EXIT WHEN left_open <= 0;
		PERFORM distsync_internal.credit_apply(credit_apply_waiting.customer_id, w.open_item_id, to_item_id, least(left_open, w.open_amount, COALESCE(w.told, w.open_amount)), ctx);
		left_open := left_open - least(left_open, w.open_amount, COALESCE(w.told, w.open_amount));
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_waiting(bigint, bigint, jsonb) IS
	'Applies to a new invoice the open payments whose remittance named it and the open deposits for its order (ctx.order_number). Returns how many.';

-- credit_post_item does the entry of a document into the sub-ledger: its open item and the counters of its account, converted once, at
-- the rate of its posting.
CREATE FUNCTION distsync_internal.credit_post_item(customer_id bigint, account_id bigint, company_id bigint, kind text, document_number text, currency text, amount numeric,
	posted_at timestamptz, due_on date, ctx jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	total numeric := amount;
	owed boolean := kind IN ('invoice', 'debit_memo', 'refund');
	day record;
	due distsync_internal.credit_due;
	id bigint;
BEGIN
	IF amount = 0 THEN
		RETURN NULL;
	END IF;
	PERFORM distsync_internal.credit_lock(CASE WHEN kind IN ('invoice', 'debit_memo') THEN distsync_internal.credit_reaches(credit_post_item.customer_id, credit_post_item.company_id, credit_post_item.account_id, '{}') ELSE ARRAY[credit_post_item.account_id] END);
	SELECT c.*, m.minor_units INTO a FROM dist.credit_account c JOIN dist.currency m ON m.currency = c.currency WHERE c.account_id = credit_post_item.account_id;
	IF credit_post_item.currency <> a.currency THEN
		total := round(distsync_internal.master_convert(amount, credit_post_item.currency, a.currency, credit_post_item.posted_at), a.minor_units);
	END IF;
	INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on, dunning_level)
	VALUES (credit_post_item.customer_id, credit_post_item.account_id, credit_post_item.company_id, credit_post_item.kind, credit_post_item.document_number, credit_post_item.currency,
		amount, amount, total, total, credit_post_item.posted_at, CASE WHEN owed THEN credit_post_item.due_on END, COALESCE((ctx ->> 'dunning_level')::smallint, 0))
	RETURNING open_item_id INTO id;
	SELECT * INTO day FROM distsync_internal.credit_day(a.customer_id, a.company_id, clock_timestamp());
	IF owed AND credit_post_item.due_on IS NOT NULL THEN
		due := distsync_internal.credit_due_move(credit_post_item.account_id, '{}', ARRAY[ROW(credit_post_item.due_on, total, 0)::distsync_internal.credit_part], day.today);
	END IF;
	PERFORM distsync_internal.credit_item_term(credit_post_item.account_id, credit_post_item.kind, total, 0,
		CASE WHEN owed AND credit_post_item.due_on >= day.today THEN (credit_post_item.due_on + 1)::timestamp AT TIME ZONE day.tz END, due);
	IF kind IN ('invoice', 'debit_memo') THEN
		PERFORM distsync_internal.credit_apply_waiting(credit_post_item.customer_id, id, ctx);
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_post_item(bigint, bigint, bigint, text, text, text, numeric, timestamptz, date, jsonb) IS
	'Posts an item: payer, account, company, kind (invoice, debit_memo, credit_memo, payment, deposit, refund), number, currency, amount, posting instant, due date (only of what is owed to us). Locks the account (for an invoice the payer''s general one too), moves its counters and what is due by day, applies waiting money to an invoice. ctx: source, order_number, dunning_level. Returns its id, NULL for an amount of 0. Errors: SD003 no rate.';
