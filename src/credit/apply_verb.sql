-- Applying money by hand, where the ledger is ours: what a command may not do is refused by name, and then nothing of it is done.

-- credit_command_refuse does the refusing.
CREATE FUNCTION distsync_internal.credit_command_refuse(sqlstate text, field text, message text, detail text, hint text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = sqlstate, MESSAGE = message, COLUMN = field, DETAIL = rtrim(format('Field: %s. %s', field, detail)), HINT = hint;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_command_refuse(text, text, text, text, text) IS 'Raises an error of the room, with its field in the detail.';

-- credit_command_payment does the look-up of the payment or memo of a command.
CREATE FUNCTION distsync_internal.credit_command_payment(payment text, options jsonb) RETURNS TABLE (customer_id bigint, open_item_id bigint, company_id bigint, company text)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	i record;
BEGIN
	company_id := CASE WHEN options ->> 'company' IS NOT NULL THEN distsync_internal.master_company(options ->> 'company', 'options.company')
		ELSE (SELECT max(c.company_id) FROM dist.company c WHERE c.status = 'active' HAVING count(*) = 1) END;
	IF company_id IS NULL THEN
		PERFORM distsync_internal.credit_command_refuse('SD005', 'options.company', 'no company is named', 'There are several.', 'Name the company of the payment in options.company.');
	END IF;
	company := (SELECT c.code FROM dist.company c WHERE c.company_id = credit_command_payment.company_id);
	SELECT * INTO i FROM distsync_internal.credit_item_of(company_id, CASE options ->> 'kind' WHEN 'credit_memo' THEN '{credit_memo}'::text[] ELSE '{payment,deposit}' END, payment, NULL);
	IF i.open_item_id IS NULL THEN
		PERFORM distsync_internal.credit_command_refuse('SD001', 'payment', format('unknown payment "%s"', left(payment, 255)), '', 'Name a payment or deposit of the company, or with options.kind credit_memo a memo.');
	END IF;
	customer_id := i.customer_id;
	open_item_id := i.open_item_id;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_command_payment(text, jsonb) IS 'Item of the payment, deposit or (options.kind credit_memo) memo that a command names, its payer and company. Errors: SD001, SD005 company not named.';

-- credit_command_amount does the reading of an amount that a command tells.
CREATE FUNCTION distsync_internal.credit_command_amount(told jsonb, field text) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(told) NOT IN ('number', 'string') OR told #>> '{}' !~ '^[0-9]{1,16}(\.[0-9]{1,4}0*)?$' THEN
		PERFORM distsync_internal.credit_command_refuse('SD002', field, format('"%s" is not an amount', left(told #>> '{}', 40)), '', 'Send a decimal number that is not negative, with at most 4 decimals.');
	END IF;
	RETURN (told #>> '{}')::numeric;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_command_amount(jsonb, text) IS 'An amount that a command tells, not negative, NULL if absent. Errors: SD002 naming the field, also for null.';

-- credit_command_lines does the reading of the lines of a command.
CREATE FUNCTION distsync_internal.credit_command_lines(lines jsonb, customer_id bigint, company_id bigint) RETURNS TABLE (place integer, item_id bigint, invoice text, amount numeric, discount numeric, write_off numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	i record;
	wrong text;
BEGIN
	IF jsonb_typeof(lines) IS DISTINCT FROM 'array' OR jsonb_array_length(CASE WHEN jsonb_typeof(lines) = 'array' THEN lines ELSE '[]' END) NOT BETWEEN 1 AND 1000 THEN
		PERFORM distsync_internal.credit_command_refuse('SD005', 'lines', 'lines must be a list of 1 to 1000', '', 'Send [{"invoice":"…","amount":…}].');
	END IF;
	FOR l IN SELECT x.value AS doc, x.place::integer - 1 AS place FROM jsonb_array_elements(credit_command_lines.lines) WITH ORDINALITY x(value, place) ORDER BY x.place LOOP
		IF jsonb_typeof(l.doc) <> 'object' OR jsonb_typeof(l.doc -> 'invoice') IS DISTINCT FROM 'string' THEN
			PERFORM distsync_internal.credit_command_refuse('SD005', format('lines[%s].invoice', l.place), 'a line names its invoice', '', 'Send [{"invoice":"…","amount":…}].');
		END IF;
		wrong := (SELECT min(k.key COLLATE "C") FROM jsonb_object_keys(l.doc) k(key) WHERE k.key <> ALL ('{invoice,amount,discount,write_off}'));
		IF wrong IS NOT NULL THEN
			PERFORM distsync_internal.credit_command_refuse('SD005', format('lines[%s].%s', l.place, wrong), format('unknown field "%s"', left(wrong, 255)), '', 'A line has invoice, amount, discount and write_off.');
		END IF;
		place := l.place;
		invoice := l.doc ->> 'invoice';
		amount := COALESCE(distsync_internal.credit_command_amount(NULLIF(l.doc -> 'amount', 'null'), format('lines[%s].amount', l.place)), 0);
		discount := COALESCE(distsync_internal.credit_command_amount(NULLIF(l.doc -> 'discount', 'null'), format('lines[%s].discount', l.place)), 0);
		write_off := COALESCE(distsync_internal.credit_command_amount(NULLIF(l.doc -> 'write_off', 'null'), format('lines[%s].write_off', l.place)), 0);
		IF amount = 0 THEN
			PERFORM distsync_internal.credit_command_refuse('SD005', format('lines[%s].amount', l.place), 'a line needs an amount', '', 'Send how much of the payment is for this invoice.');
		END IF;
		SELECT * INTO i FROM distsync_internal.credit_item_of(credit_command_lines.company_id, '{invoice,debit_memo}', invoice, credit_command_lines.customer_id);
		IF i.open_item_id IS NULL THEN
			PERFORM distsync_internal.credit_command_refuse('SD001', format('lines[%s].invoice', l.place), format('unknown invoice "%s"', left(invoice, 255)), '', 'Send the invoice first, or correct its number.');
		ELSIF i.customer_id <> credit_command_lines.customer_id THEN
			PERFORM distsync_internal.credit_command_refuse('SD065', format('lines[%s].invoice', l.place), format('invoice "%s" is another payer''s', left(invoice, 255)), '', 'Money pays what its payer owes: refund it, or book it for the other payer.');
		END IF;
		item_id := i.open_item_id;
		RETURN NEXT;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_command_lines(jsonb, bigint, bigint) IS
	'Lines [{invoice, amount, discount, write_off}] of apply_payment() with the items of their invoices. Errors: SD001, SD002, SD005, SD065, naming lines[n].field.';

-- credit_command_lock does the locking of every account that applying a payment to items may move; mirrored ones are not ours.
CREATE FUNCTION distsync_internal.credit_command_lock(customer_id bigint, from_item_id bigint, item_ids bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	accounts bigint[] := '{}';
	reached bigint[];
	mirrored text;
BEGIN
	LOOP
		-- what is reached may have changed until the locks were there
		reached := ARRAY(SELECT DISTINCT a.id FROM unnest(item_ids || NULL::bigint) AS t(id)
			CROSS JOIN LATERAL unnest(distsync_internal.credit_application_reaches(credit_command_lock.customer_id, credit_command_lock.from_item_id, t.id)) AS a(id));
		EXIT WHEN reached <@ accounts;
		accounts := reached;
		PERFORM distsync_internal.credit_lock_tree(accounts);
	END LOOP;
	mirrored := (SELECT min(a.code COLLATE "C") FROM dist.open_item i JOIN dist.credit_account a ON a.account_id = i.account_id
		WHERE i.customer_id = credit_command_lock.customer_id AND i.open_item_id = ANY (item_ids || credit_command_lock.from_item_id) AND a.mode = 'mirrored');
	IF mirrored IS NOT NULL THEN
		PERFORM distsync_internal.credit_command_refuse('SD011', 'payment', format('the receivables of account "%s" are kept elsewhere', mirrored), '', 'Apply it in the ledger that owns them; it sends its applications.');
	END IF;
	RETURN accounts;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_command_lock(bigint, bigint, bigint[]) IS 'Locks the accounts that applying an item to others may move and returns them. Errors: SD011 one of them is mirrored.';

-- credit_command_answer does the answer of both commands, their audit and the key.
CREATE FUNCTION distsync_internal.credit_command_answer(verb text, request jsonb, f jsonb, ids bigint[], options jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	answer jsonb;
BEGIN
	answer := (SELECT jsonb_build_object('payment', i.document_number, 'kind', i.kind, 'currency', i.currency, 'amount', i.amount, 'unapplied', i.open_amount,
			'applications', (SELECT COALESCE(jsonb_agg(jsonb_build_object('invoice', t.document_number, 'amount', a.amount, 'discount', a.discount, 'write_off', a.write_off, 'open_amount', t.open_amount) ORDER BY u.n), '[]')
				FROM unnest(ids) WITH ORDINALITY u(id, n) JOIN dist.application a ON a.customer_id = i.customer_id AND a.application_id = u.id JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id))
		FROM dist.open_item i WHERE i.customer_id = (f ->> 'customer_id')::bigint AND i.open_item_id = (f ->> 'open_item_id')::bigint);
	PERFORM distsync_internal.base_audit(verb, 'payment', (f ->> 'company') || '/' || (answer ->> 'payment'), NULL, answer - 'payment', options ->> 'reason');
	PERFORM distsync_internal.base_emit('customer', (f ->> 'customer_id')::bigint, 'payment.applied', 'payment', (f ->> 'company') || '/' || (answer ->> 'payment'), jsonb_build_object('company', f -> 'company', 'payment_number', answer -> 'payment') || (answer - 'payment'));
	PERFORM distsync_internal.base_answer('distsync', verb, options ->> 'idempotency_key', request, answer);
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_command_answer(text, jsonb, jsonb, bigint[], jsonb) IS 'Answer {payment, kind, currency, amount, unapplied, applications [{invoice, amount, discount, write_off, open_amount}]} of a command on an item {customer_id, open_item_id, company} that wrote these applications; audits it, emits payment.applied, stores it under its key.';

-- apply_payment does the applying of a payment to invoices.
CREATE FUNCTION distsync.apply_payment(payment text, lines jsonb, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('payment', payment, 'lines', lines, 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	answer jsonb := distsync_internal.base_answered('distsync', 'apply_payment', options ->> 'idempotency_key', request);
	f record;
	l record;
	accounts bigint[];
	ids bigint[] := '{}';
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	options := distsync_internal.base_options(options, '{company:text,kind:payment|credit_memo,reason:text,idempotency_key:text:1:255}');
	SELECT * INTO f FROM distsync_internal.credit_command_payment(distsync_internal.base_required('payment', payment), options);
	accounts := distsync_internal.credit_command_lock(f.customer_id, f.open_item_id, ARRAY(SELECT x.item_id FROM distsync_internal.credit_command_lines(lines, f.customer_id, f.company_id) x));
	FOR l IN SELECT * FROM distsync_internal.credit_command_lines(lines, f.customer_id, f.company_id) x ORDER BY x.place LOOP
		IF l.write_off > 0 AND distsync_internal.base_said(options ->> 'reason') IS NULL THEN
			PERFORM distsync_internal.credit_command_refuse('SD005', 'options.reason', 'a write-off needs a reason', '', 'Say in options.reason why it is written off.');
		ELSIF l.discount > distsync_internal.credit_discount_left(f.customer_id, l.item_id) THEN
			PERFORM distsync_internal.credit_command_refuse('SD062', format('lines[%s].discount', l.place), format('invoice "%s" has no such discount', l.invoice),
				format('%s asked, %s left.', l.discount, distsync_internal.credit_discount_left(f.customer_id, l.item_id)), 'Grant at most what is left of its cash discount; write the rest off, with a reason.');
		END IF;
		ids := ids || distsync_internal.credit_apply(f.customer_id, f.open_item_id, l.item_id, l.amount, '{}', l.discount, l.write_off, jsonb_strip_nulls(jsonb_build_object('reason', options -> 'reason')));
	END LOOP;
	PERFORM distsync_internal.credit_settle(accounts, 'apply_payment', '{}');
	RETURN distsync_internal.credit_command_answer('apply_payment', request, to_jsonb(f), ids, options);
END
$$;
COMMENT ON FUNCTION distsync.apply_payment(text, jsonb, jsonb) IS
	'Applies a payment, deposit or (options.kind credit_memo) credit memo to invoices of its payer, where the receivables are ours: lines [{invoice, amount, discount, write_off}] in the payment''s currency, all or nothing. Lets go in the same transaction of what waits and fits then. Options: company (where there are several), kind payment | credit_memo, reason (a write-off needs one), idempotency_key. Returns {payment, kind, currency, amount, unapplied, applications}. Errors: SD001 unknown, SD002 amount, SD003 currencies differ, SD005 lines or options, SD010 key with another request, SD011 mirrored account, SD062 more than is open or discount than there is, SD063 void, SD064 the payment was taken back, SD065 other payer.';

-- unapply_payment does the taking back of that.
CREATE FUNCTION distsync.unapply_payment(payment text, invoices text[] DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	request jsonb := jsonb_build_object('payment', payment, 'invoices', to_jsonb(invoices), 'options', CASE WHEN jsonb_typeof(options) = 'object' THEN options - 'idempotency_key' ELSE options END);
	answer jsonb := distsync_internal.base_answered('distsync', 'unapply_payment', options ->> 'idempotency_key', request);
	f record;
	accounts bigint[];
	live bigint[];
	missing text;
	ids bigint[];
BEGIN
	IF answer IS NOT NULL THEN
		RETURN answer;
	END IF;
	options := distsync_internal.base_options(options, '{company:text,kind:payment|credit_memo,reason:text,idempotency_key:text:1:255}');
	SELECT * INTO f FROM distsync_internal.credit_command_payment(distsync_internal.base_required('payment', payment), options);
	accounts := distsync_internal.credit_command_lock(f.customer_id, f.open_item_id, '{}');
	live := ARRAY(SELECT l.application_id FROM distsync_internal.credit_live(f.customer_id, f.open_item_id, NULL) l JOIN dist.open_item t ON t.customer_id = f.customer_id AND t.open_item_id = l.to_id
		WHERE invoices IS NULL OR t.document_number = ANY (invoices));
	missing := (SELECT min(u.number COLLATE "C") FROM unnest(invoices) AS u(number) WHERE NOT EXISTS (SELECT FROM dist.application a JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id
		WHERE a.customer_id = f.customer_id AND a.application_id = ANY (live) AND t.document_number = u.number));
	IF missing IS NOT NULL OR live = '{}' THEN
		PERFORM distsync_internal.credit_command_refuse('SD064', CASE WHEN missing IS NULL THEN 'payment' ELSE 'invoices' END, format('nothing of payment "%s" is applied%s', payment, ' to "' || left(missing, 255) || '"'), '',
			'It was taken back before, or never applied: look at open_items() and statement().');
	END IF;
	ids := ARRAY(SELECT distsync_internal.credit_unapply_one(f.customer_id, u.id, jsonb_strip_nulls(jsonb_build_object('reason', options -> 'reason')), '{}') FROM (SELECT x.id FROM unnest(live) WITH ORDINALITY x(id, n) ORDER BY x.n) u);
	PERFORM distsync_internal.credit_settle(accounts, 'unapply_payment', '{}');
	RETURN distsync_internal.credit_command_answer('unapply_payment', request, to_jsonb(f), ids, options);
END
$$;
COMMENT ON FUNCTION distsync.unapply_payment(text, text[], jsonb) IS
	'Takes back by rows what a payment, deposit or credit memo is applied to (invoices NULL = all of it), with discounts and write-offs: the money is unapplied, the invoices are open again. What went back to the payer stays. Options: company, kind payment | credit_memo, reason, idempotency_key. Returns as apply_payment(), amounts negative. Errors: SD001 unknown, SD005 options, SD010 key with another request, SD011 mirrored account, SD064 nothing of it is applied (any more).';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('apply_payment', '{operator,admin}'),
	('unapply_payment', '{operator,admin}');
