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

-- credit_item_move does the moving of an item to another account: what it is worth and when it is due goes with it.
CREATE FUNCTION distsync_internal.credit_item_move(customer_id bigint, open_item_id bigint, account_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
	parts distsync_internal.credit_part[] := distsync_internal.credit_item_parts(credit_item_move.customer_id, credit_item_move.open_item_id);
	disputed numeric;
	day record;
	due distsync_internal.credit_due;
BEGIN
	SELECT o.* INTO i FROM dist.open_item o WHERE o.customer_id = credit_item_move.customer_id AND o.open_item_id = credit_item_move.open_item_id;
	disputed := round(i.account_total * i.disputed_amount / i.amount, 4);
	SELECT d.today, d.tz INTO day FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_day(a.customer_id, a.company_id, clock_timestamp()) d WHERE a.account_id = i.account_id;
	IF parts <> '{}' THEN
		due := distsync_internal.credit_due_move(i.account_id, parts, '{}', day.today);
	END IF;
	PERFORM distsync_internal.credit_item_term(i.account_id, i.kind, -i.account_amount, -disputed, due => due);
	UPDATE dist.open_item o SET account_id = credit_item_move.account_id WHERE o.customer_id = i.customer_id AND o.open_item_id = i.open_item_id;
	SELECT d.today, d.tz INTO day FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_day(a.customer_id, a.company_id, clock_timestamp()) d WHERE a.account_id = credit_item_move.account_id;
	due := NULL;
	IF parts <> '{}' THEN
		due := distsync_internal.credit_due_move(credit_item_move.account_id, '{}', parts, day.today);
	END IF;
	PERFORM distsync_internal.credit_item_term(credit_item_move.account_id, i.kind, i.account_amount, disputed,
		(SELECT (min(p.due_on) + 1)::timestamp AT TIME ZONE day.tz FROM unnest(parts) p WHERE p.due_on >= day.today), due);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_item_move(bigint, bigint, bigint) IS 'Moves an item to another account of the same currency: counters and what is due by day, in both trees. The caller holds the locks.';

-- credit_company_day does the day of an instant in a company.
CREATE FUNCTION distsync_internal.credit_company_day(company_id bigint, at timestamptz) RETURNS date
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (credit_company_day.at AT TIME ZONE COALESCE((SELECT c.tz FROM dist.company c WHERE c.company_id = credit_company_day.company_id), 'UTC'))::date;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_company_day(bigint, timestamptz) IS 'Day of an instant in the time zone of a company.';

-- credit_payers does the look-up of who pays a document, whoever that is: rooms that post documents say it.
CREATE FUNCTION distsync_internal.credit_payers(company_id bigint, kinds text[], document_number text) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	h record;
BEGIN
	FOR h IN SELECT r.function FROM distsync_internal.handler r WHERE r.kind = 'payer' ORDER BY r.ordinal, r.name COLLATE "C" LOOP
		RETURN QUERY EXECUTE format('SELECT %s($1, $2, $3)', h.function) USING company_id, kinds, document_number;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_payers(bigint, text[], text) IS 'Parties that pay a document of a company with that number, of one of the kinds of open items; of money, who paid it.';

-- credit_payer_of_money does it for payments and deposits.
CREATE FUNCTION distsync_internal.credit_payer_of_money(company_id bigint, kinds text[], document_number text) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF kinds && '{payment,deposit,refund}' THEN
		RETURN QUERY SELECT p.customer_id FROM dist.payment p WHERE p.company_id = credit_payer_of_money.company_id AND p.payment_number = credit_payer_of_money.document_number;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_payer_of_money(bigint, text[], text) IS 'Handler of kind payer: who paid a payment or deposit.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('payer', 'payment', 'distsync_internal.credit_payer_of_money');

-- credit_apply_wrong does the looking for what stands against an application, before anything is written.
CREATE FUNCTION distsync_internal.credit_apply_wrong(customer_id bigint, from_item_id bigint, to_item_id bigint, amount numeric, discount numeric, write_off numeric, supersede boolean)
RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	t record;
	free numeric;
	free_to numeric;
BEGIN
	SELECT o.* INTO f FROM dist.open_item o WHERE o.customer_id = credit_apply_wrong.customer_id AND o.open_item_id = from_item_id;
	SELECT o.* INTO t FROM dist.open_item o WHERE o.customer_id = credit_apply_wrong.customer_id AND o.open_item_id = to_item_id;
	-- what we have only supposed gives way to what the owner says
	free := f.open_amount + CASE WHEN supersede THEN distsync_internal.credit_supposed(f.customer_id, f.open_item_id) ELSE 0 END;
	free_to := t.open_amount + CASE WHEN supersede THEN distsync_internal.credit_supposed(t.customer_id, t.open_item_id) ELSE 0 END;
	RETURN CASE
		WHEN f.currency <> t.currency THEN ARRAY['SD003', 'currency', 'items of different currencies can not be applied to each other', 'Book the exchange in the ledger that owns it and send its documents.',
			format('%s %s is in %s, %s %s in %s.', f.kind, f.document_number, f.currency, t.kind, t.document_number, t.currency)]
		WHEN t.voided OR f.voided THEN ARRAY['SD063', CASE WHEN t.voided THEN 'invoice' ELSE 'payment' END, format('%s "%s" is void', CASE WHEN t.voided THEN t.kind ELSE f.kind END, CASE WHEN t.voided THEN t.document_number ELSE f.document_number END),
			'Nothing can be applied to or from what is void: apply it to the document that took its place.', '']
		WHEN f.kind IN ('payment', 'deposit') AND EXISTS (SELECT FROM dist.payment p WHERE p.company_id = f.company_id AND p.reverses_number = f.document_number) THEN
			ARRAY['SD064', 'payment', format('payment "%s" was taken back', f.document_number), 'A payment that bounced pays nothing: apply the one that took its place.', '']
		WHEN credit_apply_wrong.amount > free OR credit_apply_wrong.amount + discount + write_off > free_to THEN ARRAY['SD062', 'amount', 'more would be applied than is open', 'Apply at most what is open on both sides.',
			format('%s asked%s, %s%s open of %s %s.', credit_apply_wrong.amount, CASE WHEN discount + write_off > 0 THEN format(' with %s left unpaid', discount + write_off) ELSE '' END,
				CASE WHEN f.open_item_id IS NOT NULL THEN format('%s open of %s %s, ', free, f.kind, f.document_number) ELSE '' END, free_to, t.kind, t.document_number)]
		END;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_wrong(bigint, bigint, bigint, numeric, numeric, numeric, boolean) IS
	'What stands against applying an amount of one item of a payer (NULL = no money) to another: {sqlstate, field, message, hint, detail}, NULL = nothing. SD003 currencies differ, SD062 more than is open, SD063 one of them is void, SD064 the payment was taken back. supersede: provisional applications of both count as open.';

-- credit_supposed does the sum of what is applied to or from an item only provisionally.
CREATE FUNCTION distsync_internal.credit_supposed(customer_id bigint, open_item_id bigint) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (SELECT COALESCE(sum(CASE WHEN a.to_item_id = credit_supposed.open_item_id THEN a.amount + a.discount + a.write_off ELSE a.amount END), 0)
		FROM dist.application a JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id AND t.kind <> 'refund'
		WHERE a.customer_id = credit_supposed.customer_id AND credit_supposed.open_item_id IN (a.from_item_id, a.to_item_id) AND a.provisional);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_supposed(bigint, bigint) IS 'What of an item is applied only provisionally, reversals counted, refunds aside.';

-- credit_apply_book does the writing of an application that was found right, and moves both items.
CREATE FUNCTION distsync_internal.credit_apply_book(customer_id bigint, from_item_id bigint, to_item_id bigint, amount numeric, discount numeric, write_off numeric, told jsonb, ctx jsonb)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	t record;
	id bigint;
BEGIN
	SELECT o.* INTO f FROM dist.open_item o WHERE o.customer_id = credit_apply_book.customer_id AND o.open_item_id = from_item_id;
	SELECT o.* INTO t FROM dist.open_item o WHERE o.customer_id = credit_apply_book.customer_id AND o.open_item_id = to_item_id;
	-- history was applied when it happened, not when we learnt of it
	INSERT INTO dist.application (customer_id, from_item_id, to_item_id, kind, company_id, amount, discount, write_off, realised, currency, effective_on, provisional, application_key, reason, source)
	SELECT t.customer_id, f.open_item_id, t.open_item_id, COALESCE(told ->> 'kind', 'apply'), t.company_id, credit_apply_book.amount, credit_apply_book.discount, credit_apply_book.write_off, COALESCE((told ->> 'realised')::numeric, 0), t.currency,
		greatest((told ->> 'effective_on')::date, distsync_internal.credit_company_day(t.company_id, CASE WHEN (ctx ->> 'backfill')::boolean OR told ? 'effective_on' THEN greatest(f.posted_at, t.posted_at) ELSE greatest(f.posted_at, t.posted_at, clock_timestamp()) END)),
		a.mode = 'mirrored' AND NOT told ? 'application_key' AND NOT told ? 'kind', told ->> 'application_key', told ->> 'reason', COALESCE(ctx ->> 'source', 'distsync')
	FROM dist.credit_account a WHERE a.account_id = t.account_id
	RETURNING application_id INTO id;
	IF credit_apply_book.amount > 0 AND f.open_item_id IS NOT NULL THEN
		PERFORM distsync_internal.credit_item_set(f.customer_id, f.open_item_id, f.open_amount - credit_apply_book.amount);
	END IF;
	PERFORM distsync_internal.credit_item_set(t.customer_id, t.open_item_id, t.open_amount - credit_apply_book.amount - credit_apply_book.discount - credit_apply_book.write_off);
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_book(bigint, bigint, bigint, numeric, numeric, numeric, jsonb, jsonb) IS
	'Writes an application (from NULL = no money) and moves items and counters. told: effective_on (absent = today in the company, of history when both were there; never before both were posted), realised, application_key, reason, kind. Provisional where the account is mirrored and it is not the owner''s. Returns its id.';

-- credit_apply does the application of a part of a payment, deposit or credit memo to an invoice.
CREATE FUNCTION distsync_internal.credit_apply(customer_id bigint, from_item_id bigint, to_item_id bigint, amount numeric, ctx jsonb, discount numeric DEFAULT 0, write_off numeric DEFAULT 0, told jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	why text[] := distsync_internal.credit_apply_wrong(customer_id, from_item_id, to_item_id, amount, discount, write_off, false);
BEGIN
	IF why IS NOT NULL AND NOT (why[1] = 'SD064' AND told ? 'reversal') THEN
		RAISE EXCEPTION USING ERRCODE = why[1], MESSAGE = why[3], COLUMN = why[2], DETAIL = rtrim(format('Field: %s. %s', why[2], why[5])), HINT = why[4];
	END IF;
	RETURN distsync_internal.credit_apply_book(customer_id, from_item_id, to_item_id, amount, discount, write_off, told - 'reversal', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply(bigint, bigint, bigint, numeric, jsonb, numeric, numeric, jsonb) IS
	'Applies an amount of one item of a payer to another, with cash discount and write-off, and moves both and the counters; provisional where the account is mirrored. told as credit_apply_book(); reversal: the money goes back itself. Returns the id of the application. Errors: SD003 currencies differ, SD062 more than is open, SD063 void, SD064 the payment was taken back.';

-- credit_unapply_one does the taking back of one application by a row of its own.
CREATE FUNCTION distsync_internal.credit_unapply_one(customer_id bigint, application_id bigint, told jsonb, ctx jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	id bigint;
BEGIN
	SELECT x.* INTO a FROM dist.application x WHERE x.customer_id = credit_unapply_one.customer_id AND x.application_id = credit_unapply_one.application_id;
	INSERT INTO dist.application (customer_id, from_item_id, to_item_id, kind, company_id, amount, discount, write_off, realised, currency, effective_on, provisional, reverses_id, application_key, reason, source)
	VALUES (a.customer_id, a.from_item_id, a.to_item_id, a.kind, a.company_id, -a.amount, -a.discount, -a.write_off, COALESCE((told ->> 'realised')::numeric, -a.realised), a.currency,
		greatest(a.effective_on, COALESCE((told ->> 'effective_on')::date, distsync_internal.credit_company_day(a.company_id, clock_timestamp()))), a.provisional, a.application_id, told ->> 'application_key', told ->> 'reason', COALESCE(ctx ->> 'source', 'distsync'))
	RETURNING application_id INTO id;
	PERFORM distsync_internal.credit_item_set(i.customer_id, i.open_item_id, i.open_amount + a.amount + CASE WHEN i.open_item_id = a.to_item_id THEN a.discount + a.write_off ELSE 0 END)
	FROM dist.open_item i WHERE i.customer_id = a.customer_id AND (i.open_item_id = a.to_item_id OR i.open_item_id = a.from_item_id AND a.amount > 0);
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_unapply_one(bigint, bigint, jsonb, jsonb) IS
	'Takes back an application that was not taken back before, by a row with its signs turned; both sides are open again as before. told: effective_on (absent = today in the company; never before the application), realised, application_key, reason. Returns the id of the row.';

-- credit_live does the list of applications that nothing has taken back.
CREATE FUNCTION distsync_internal.credit_live(customer_id bigint, from_item_id bigint, to_item_id bigint) RETURNS TABLE (application_id bigint, from_id bigint, to_id bigint, amount numeric, discount numeric, write_off numeric, effective_on date, provisional boolean, of_owner boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT p.application_id, p.from_item_id, p.to_item_id, p.amount, p.discount, p.write_off, p.effective_on, p.provisional, p.application_key IS NOT NULL
	FROM dist.application p JOIN dist.open_item o ON o.customer_id = p.customer_id AND o.open_item_id = p.to_item_id AND o.kind <> 'refund'
	WHERE p.customer_id = credit_live.customer_id AND p.reverses_id IS NULL AND p.kind = 'apply'
		AND (p.from_item_id = credit_live.from_item_id OR p.to_item_id = credit_live.to_item_id)
		AND NOT EXISTS (SELECT FROM dist.application r WHERE r.customer_id = p.customer_id AND r.reverses_id = p.application_id)
	ORDER BY p.application_id DESC;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_live(bigint, bigint, bigint) IS 'Applications from an item, or to another (NULL = none), that stand, the last first; money that went back is not among them.';

-- credit_unapply does the taking back of every application of a payment or memo, each by a row of its own; what went back stays gone.
CREATE FUNCTION distsync_internal.credit_unapply(customer_id bigint, from_item_id bigint, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	n integer := 0;
BEGIN
	FOR a IN SELECT * FROM distsync_internal.credit_live(credit_unapply.customer_id, credit_unapply.from_item_id, NULL) LOOP
		PERFORM distsync_internal.credit_unapply_one(credit_unapply.customer_id, a.application_id, '{}', ctx);
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
			AND NOT distsync_internal.credit_owner_spoke(o.customer_id, from_item_id, o.open_item_id)
		ORDER BY o.due_on, o.posted_at, o.document_number
	LOOP
		EXIT WHEN rest <= 0;
		part := least(rest, t.free);
		PERFORM distsync_internal.credit_pay(credit_apply_oldest.customer_id, from_item_id, t.open_item_id, part, ctx);
		rest := rest - part;
	END LOOP;
	RETURN rest;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_oldest(bigint, bigint, jsonb, numeric) IS
	'Applies what is open of an item to the payer''s invoices and debit memos in that company and currency, longest due first, not to what is in dispute, nor to what its owner has applied it to; keep stays open. Returns what is left beside it.';

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
		PERFORM distsync_internal.credit_pay(credit_apply_waiting.customer_id, w.open_item_id, to_item_id, least(left_open, w.open_amount, COALESCE(w.told, w.open_amount)), ctx);
		SELECT o.open_amount INTO left_open FROM dist.open_item o WHERE o.customer_id = credit_apply_waiting.customer_id AND o.open_item_id = to_item_id;
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
	INSERT INTO dist.open_item (customer_id, account_id, company_id, kind, document_number, currency, amount, open_amount, account_total, account_amount, posted_at, due_on, dunning_level, discount_amount, discount_until)
	VALUES (credit_post_item.customer_id, credit_post_item.account_id, credit_post_item.company_id, credit_post_item.kind, credit_post_item.document_number, credit_post_item.currency,
		amount, amount, total, total, credit_post_item.posted_at, CASE WHEN owed THEN credit_post_item.due_on END, COALESCE((ctx ->> 'dunning_level')::smallint, 0),
		COALESCE((ctx ->> 'discount_amount')::numeric, 0), (ctx ->> 'discount_until')::date)
	RETURNING open_item_id INTO id;
	SELECT * INTO day FROM distsync_internal.credit_day(a.customer_id, a.company_id, clock_timestamp());
	IF owed AND credit_post_item.due_on IS NOT NULL THEN
		due := distsync_internal.credit_due_move(credit_post_item.account_id, '{}', ARRAY[ROW(credit_post_item.due_on, total, 0)::distsync_internal.credit_part], day.today);
	END IF;
	PERFORM distsync_internal.credit_item_term(credit_post_item.account_id, credit_post_item.kind, total, 0,
		CASE WHEN owed AND credit_post_item.due_on >= day.today THEN (credit_post_item.due_on + 1)::timestamp AT TIME ZONE day.tz END, due);
	IF ctx ? 'instalments' THEN
		PERFORM distsync_internal.credit_item_plan(credit_post_item.customer_id, id, ctx -> 'instalments');
	END IF;
	IF kind IN ('invoice', 'debit_memo') THEN
		PERFORM distsync_internal.credit_apply_waiting(credit_post_item.customer_id, id, ctx);
	END IF;
	RETURN id;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_post_item(bigint, bigint, bigint, text, text, text, numeric, timestamptz, date, jsonb) IS
	'Posts an item: payer, account, company, kind (invoice, debit_memo, credit_memo, payment, deposit, refund), number, currency, amount, posting instant, due date (only of what is owed to us). Locks the account (for an invoice the payer''s general one too), moves its counters and what is due by day, applies waiting money to an invoice. ctx: source, order_number, dunning_level, discount_amount and discount_until, instalments. Returns its id, NULL for an amount of 0. Errors: SD003 no rate.';
