-- The entity application: what the ledger that owns the receivables has set against what. It takes the place of what we have only supposed.

-- credit_owner_spoke does the question whether the owner has ever told what he does with a payment and an invoice.
CREATE FUNCTION distsync_internal.credit_owner_spoke(customer_id bigint, from_item_id bigint, to_item_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN EXISTS (SELECT FROM dist.application a WHERE a.customer_id = credit_owner_spoke.customer_id AND a.from_item_id = credit_owner_spoke.from_item_id
		AND a.to_item_id = credit_owner_spoke.to_item_id AND a.application_key IS NOT NULL);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_owner_spoke(bigint, bigint, bigint) IS 'Whether the owner has told an application of one item to another, or taken one back: then we suppose nothing between them any more.';

-- credit_suppose does the provisional application of what is left of a payment, from nothing: what the owner tells decides alone, not when.
CREATE FUNCTION distsync_internal.credit_suppose(customer_id bigint, from_item_id bigint, ctx jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	f record;
	kept numeric;
BEGIN
	SELECT i.*, p.remittance INTO f FROM dist.open_item i JOIN dist.payment p ON p.company_id = i.company_id AND p.payment_number = i.document_number
	WHERE i.customer_id = credit_suppose.customer_id AND i.open_item_id = credit_suppose.from_item_id AND i.kind = 'payment' AND i.open_amount > 0;
	IF NOT FOUND OR EXISTS (SELECT FROM dist.application a WHERE a.customer_id = f.customer_id AND a.from_item_id = f.open_item_id AND a.reverses_id IS NOT NULL AND a.application_key IS NOT NULL) THEN
		RETURN;
	END IF;
	SELECT r.kept INTO kept FROM distsync_internal.credit_apply_remittance(f.customer_id, f.open_item_id, f.remittance, ctx || jsonb_build_object('company_id', f.company_id, 'currency', f.currency)) r;
	PERFORM distsync_internal.credit_apply_oldest(f.customer_id, f.open_item_id, ctx, kept);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_suppose(bigint, bigint, jsonb) IS
	'Applies what is left of a payment by its remittance and then to what is due longest, leaving out what the owner has told; nothing where he has taken an application of it back: then it is unapplied, as he says. The caller holds the locks.';

-- credit_supersede does the taking back of what we have supposed of a payment, and of what stands in the way on the invoice.
CREATE FUNCTION distsync_internal.credit_supersede(customer_id bigint, from_item_id bigint, to_item_id bigint, need numeric, ctx jsonb) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	others bigint[] := '{}';
BEGIN
	-- the day of what is taken back, so that it has never been
	FOR a IN SELECT * FROM distsync_internal.credit_live(credit_supersede.customer_id, credit_supersede.from_item_id, NULL) l WHERE l.provisional LOOP
		PERFORM distsync_internal.credit_unapply_one(credit_supersede.customer_id, a.application_id, jsonb_build_object('effective_on', a.effective_on, 'reason', 'superseded'), ctx);
	END LOOP;
	IF need > (SELECT o.open_amount FROM dist.open_item o WHERE o.customer_id = credit_supersede.customer_id AND o.open_item_id = credit_supersede.to_item_id) THEN
		FOR a IN SELECT * FROM distsync_internal.credit_live(credit_supersede.customer_id, NULL, credit_supersede.to_item_id) l WHERE l.provisional LOOP
			PERFORM distsync_internal.credit_unapply_one(credit_supersede.customer_id, a.application_id, jsonb_build_object('effective_on', a.effective_on, 'reason', 'superseded'), ctx);
			others := others || a.from_id;
		END LOOP;
	END IF;
	RETURN ARRAY(SELECT o.open_item_id FROM dist.open_item o WHERE o.customer_id = credit_supersede.customer_id AND o.open_item_id = ANY (others) ORDER BY o.posted_at, o.document_number);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_supersede(bigint, bigint, bigint, numeric, jsonb) IS
	'Takes back by rows all provisional applications of an item, and those of others to an invoice that has less than need open. Returns the items of those others, in the order in which they were posted. The caller holds the locks.';

-- credit_application_reaches does the finding of the accounts that an application may move.
CREATE FUNCTION distsync_internal.credit_application_reaches(customer_id bigint, from_item_id bigint, to_item_id bigint) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	moved bigint[];
BEGIN
	moved := ARRAY(SELECT credit_application_reaches.from_item_id UNION SELECT l.from_id FROM distsync_internal.credit_live(credit_application_reaches.customer_id, NULL, credit_application_reaches.to_item_id) l);
	RETURN ARRAY(
		SELECT DISTINCT i.account_id
		FROM dist.open_item i
		WHERE i.customer_id = credit_application_reaches.customer_id AND i.open_item_id IN (
			SELECT credit_application_reaches.to_item_id
			UNION SELECT unnest(moved)
			UNION SELECT l.to_id FROM unnest(moved) AS m(id) CROSS JOIN LATERAL distsync_internal.credit_live(credit_application_reaches.customer_id, m.id, NULL) l
			UNION SELECT t.open_item_id FROM dist.open_item f JOIN dist.payment p ON p.company_id = f.company_id AND p.payment_number = f.document_number
				CROSS JOIN LATERAL jsonb_array_elements(p.remittance) r
				JOIN dist.open_item t ON t.customer_id = f.customer_id AND t.company_id = f.company_id AND t.kind IN ('invoice', 'debit_memo') AND t.document_number = r ->> 'invoice'
				WHERE f.customer_id = credit_application_reaches.customer_id AND f.open_item_id = ANY (moved) AND f.kind = 'payment')
		ORDER BY i.account_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_application_reaches(bigint, bigint, bigint) IS
	'Ids of the accounts of two items of a payer (NULL = none), and of all that would be applied anew if what stands on them provisionally gave way.';

-- credit_item_of does the look-up of an item of the sub-ledger by the number of its document, and of its payer.
CREATE FUNCTION distsync_internal.credit_item_of(company_id bigint, kinds text[], document_number text, payer_id bigint) RETURNS TABLE (customer_id bigint, open_item_id bigint)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT i.customer_id, i.open_item_id
	FROM (SELECT credit_item_of.payer_id AS id, 0 AS step
		  UNION ALL SELECT p.id, 1 FROM distsync_internal.credit_payers(credit_item_of.company_id, credit_item_of.kinds, credit_item_of.document_number) AS p(id)) x
	JOIN dist.open_item i ON i.customer_id = x.id AND i.company_id = credit_item_of.company_id AND i.kind = ANY (kinds) AND i.document_number = credit_item_of.document_number
	ORDER BY x.step, i.kind COLLATE "C" DESC, i.customer_id LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_item_of(bigint, text[], text, bigint) IS 'Item of a document by company, kinds and number: that of a payer if he has one (NULL = any), else whose it is; no row where there is none.';

-- credit_check_application does the look-ups of an application document, and the checks that need no lock.
CREATE FUNCTION distsync_internal.credit_check_application(d jsonb, OUT bad distsync_internal.apply_result, OUT known jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := jsonb_strip_nulls(d -> 'doc');
	company bigint := (d ->> 'company_id')::bigint;
	payer bigint := (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = (d ->> 'customer_id')::bigint);
	whole numeric := COALESCE((doc ->> 'amount')::numeric, 0) + COALESCE((doc ->> 'discount')::numeric, 0) + COALESCE((doc ->> 'write_off')::numeric, 0);
	f record;
	t record;
	original record;
	why text[];
	unfit text[];
BEGIN
	why := CASE
		WHEN company IS NULL THEN ARRAY['SD001', 'company', format('unknown company "%s"', doc ->> 'company'), 'Send the company first.']
		WHEN doc ? 'customer' AND payer IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', doc ->> 'customer'), 'Send the party first.']
		WHEN doc ? 'reverses' AND doc ?| '{payment,credit_memo,invoice,amount,discount,write_off}' THEN
			ARRAY['SD005', 'reverses', 'a reversal takes back the whole application and says nothing else of it', 'Leave out documents and amounts; to apply another amount send a new application.']
		WHEN doc ? 'reverses' THEN NULL
		WHEN doc ? 'payment' AND doc ? 'credit_memo' THEN ARRAY['SD005', 'credit_memo', 'an application is from a payment or from a credit memo', 'Send two applications.']
		WHEN NOT doc ? 'invoice' THEN ARRAY['SD005', 'invoice', 'an application needs an invoice', 'Name what is paid, or written off.']
		WHEN whole = 0 THEN ARRAY['SD005', 'amount', 'an application needs an amount', 'Send amount, discount or write_off.']
		WHEN (COALESCE((doc ->> 'amount')::numeric, 0) > 0) <> (doc ?| '{payment,credit_memo}') THEN ARRAY['SD005', CASE WHEN doc ?| '{payment,credit_memo}' THEN 'amount' ELSE 'payment' END,
			'an amount comes from a payment or credit memo', 'Send both, or neither: discount and write_off alone need no payment.']
		WHEN doc ? 'currency' AND NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = doc ->> 'currency') THEN
			ARRAY['SD003', 'currency', format('unknown currency "%s"', doc ->> 'currency'), 'Send the currency first, or correct it.']
		END;
	IF why IS NOT NULL THEN
		bad := distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', (doc ->> 'company') || '/' || (doc ->> 'application_number'), why[1], why[2], why[3], why[4]);
		RETURN;
	END IF;
	IF doc ? 'reverses' THEN
		SELECT a.customer_id, a.application_id, a.from_item_id, a.to_item_id, a.reverses_id INTO original FROM dist.application a WHERE a.company_id = company AND a.application_key = doc ->> 'reverses';
		unfit := CASE
			WHEN original.application_id IS NULL THEN ARRAY['SD001', 'reverses', format('unknown application "%s"', doc ->> 'reverses')]
			WHEN original.customer_id <> payer THEN ARRAY['SD065', 'customer', format('application "%s" is another payer''s', doc ->> 'reverses')]
			WHEN original.reverses_id IS NOT NULL OR EXISTS (SELECT FROM dist.application r WHERE r.customer_id = original.customer_id AND r.reverses_id = original.application_id) THEN
				ARRAY['SD064', 'reverses', format('application "%s" was taken back before, or takes one back itself', doc ->> 'reverses')] END;
		-- voiding its document has done it already
		IF unfit[1] = 'SD064' AND EXISTS (SELECT FROM dist.application r WHERE r.customer_id = original.customer_id AND r.reverses_id = original.application_id AND r.reason = 'void' AND r.application_key IS NULL) THEN
			d := d || '{"done":true}';
		END IF;
		known := d || jsonb_build_object('payer_id', original.customer_id, 'from_item_id', original.from_item_id, 'to_item_id', original.to_item_id, 'application_id', original.application_id, 'unfit', unfit);
		RETURN;
	END IF;
	SELECT * INTO f FROM distsync_internal.credit_item_of(company, CASE WHEN doc ? 'payment' THEN '{payment,deposit}'::text[] ELSE '{credit_memo}' END, COALESCE(doc ->> 'payment', doc ->> 'credit_memo'), payer);
	SELECT * INTO t FROM distsync_internal.credit_item_of(company, '{invoice,debit_memo}', doc ->> 'invoice', COALESCE(payer, f.customer_id));
	unfit := CASE
		WHEN doc ?| '{payment,credit_memo}' AND f.open_item_id IS NULL THEN ARRAY['SD001', CASE WHEN doc ? 'payment' THEN 'payment' ELSE 'credit_memo' END, format('unknown %s "%s"', CASE WHEN doc ? 'payment' THEN 'payment' ELSE 'credit memo' END, COALESCE(doc ->> 'payment', doc ->> 'credit_memo'))]
		WHEN t.open_item_id IS NULL THEN ARRAY['SD001', 'invoice', format('unknown invoice "%s"', doc ->> 'invoice')]
		WHEN f.customer_id <> t.customer_id OR t.customer_id <> payer THEN ARRAY['SD065', 'invoice', format('invoice "%s" is another payer''s', doc ->> 'invoice')]
		WHEN doc ->> 'currency' <> (SELECT i.currency FROM dist.open_item i WHERE i.customer_id = t.customer_id AND i.open_item_id = t.open_item_id) THEN
			ARRAY['SD003', 'currency', format('invoice "%s" is in another currency', doc ->> 'invoice')]
		END;
	known := d || jsonb_build_object('payer_id', COALESCE(t.customer_id, f.customer_id, payer), 'from_item_id', f.open_item_id, 'to_item_id', t.open_item_id, 'unfit', unfit);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_check_application(jsonb) IS
	'Reads an application document {ordinal, doc, customer_id, company_id}: bad = its row with outcome rejected (SD001, SD003, SD005), or known = the document with payer_id, from_item_id, to_item_id, application_id (of what it reverses), unfit {sqlstate, field, message} where it does not fit what we know: SD001 unknown document, SD003 currency, SD064 taken back before, SD065 other payer.';

-- credit_post_application does the booking of one application, or says what stands against it.
CREATE FUNCTION distsync_internal.credit_post_application(d jsonb, ctx jsonb) RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := jsonb_strip_nulls(d -> 'doc');
	payer bigint := (d ->> 'payer_id')::bigint;
	source_item bigint := (d ->> 'from_item_id')::bigint;
	target bigint := (d ->> 'to_item_id')::bigint;
	amount numeric := COALESCE((doc ->> 'amount')::numeric, 0);
	discount numeric := COALESCE((doc ->> 'discount')::numeric, 0);
	write_off numeric := COALESCE((doc ->> 'write_off')::numeric, 0);
	told jsonb := jsonb_strip_nulls(jsonb_build_object('application_key', doc -> 'application_number', 'effective_on', COALESCE(doc ->> 'posted_on', distsync_internal.credit_company_day((d ->> 'company_id')::bigint, clock_timestamp())::text),
		'realised', doc -> 'realised', 'reason', doc -> 'reason'));
	why text[] := (SELECT array_agg(x ORDER BY n) FROM jsonb_array_elements_text(NULLIF(d -> 'unfit', 'null')) WITH ORDINALITY u(x, n));
	others bigint[];
	id bigint;
BEGIN
	IF why IS NULL AND NOT doc ? 'reverses' THEN
		why := distsync_internal.credit_apply_wrong(payer, source_item, target, amount, discount, write_off, true);
	END IF;
	IF why IS NOT NULL THEN
		RETURN why;
	ELSIF doc ? 'reverses' THEN
		PERFORM distsync_internal.credit_supersede(payer, source_item, NULL, NULL, ctx);
		PERFORM distsync_internal.credit_unapply_one(payer, (d ->> 'application_id')::bigint, told, ctx);
		RETURN NULL;
	END IF;
	others := distsync_internal.credit_supersede(payer, source_item, target, amount + discount + write_off, ctx);
	PERFORM distsync_internal.credit_apply_book(payer, source_item, target, amount, discount, write_off, told, ctx);
	FOREACH id IN ARRAY others || source_item LOOP
		PERFORM distsync_internal.credit_suppose(payer, id, ctx);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_post_application(jsonb, jsonb) IS
	'Books an application that was read under the locks of what it reaches: what we had supposed gives way by rows of its own, what is left of the payments is supposed anew. Returns {sqlstate, field, message, …} where it does not fit, and then changes nothing.';

-- credit_application_same does the comparing of an application that is known with what is told again.
CREATE FUNCTION distsync_internal.credit_application_same(d jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT CASE WHEN d -> 'doc' ->> 'reverses' IS NOT NULL THEN a.reverses_id IS NOT DISTINCT FROM (d ->> 'application_id')::bigint
			ELSE a.reverses_id IS NULL AND (a.customer_id, a.to_item_id, a.amount, a.discount, a.write_off) = ((d ->> 'payer_id')::bigint, (d ->> 'to_item_id')::bigint, COALESCE((d -> 'doc' ->> 'amount')::numeric, 0),
				COALESCE((d -> 'doc' ->> 'discount')::numeric, 0), COALESCE((d -> 'doc' ->> 'write_off')::numeric, 0)) AND a.from_item_id IS NOT DISTINCT FROM (d ->> 'from_item_id')::bigint END
		FROM dist.application a WHERE a.company_id = (d ->> 'company_id')::bigint AND a.application_key = d -> 'doc' ->> 'application_number');
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_application_same(jsonb) IS 'Whether a read application document says what is booked under its number; NULL = nothing is.';

-- credit_application_row does one application under the locks: its booking, its exception, its event, its row.
CREATE FUNCTION distsync_internal.credit_application_row(d jsonb, ctx jsonb) RETURNS distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'application_number');
	same boolean := distsync_internal.credit_application_same(d);
	why text[];
	event jsonb;
BEGIN
	IF same OR d ? 'done' THEN
		RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'unchanged', key);
	ELSIF NOT same THEN
		RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', key, 'SD005', 'application_number', 'application is known with other documents or amounts', 'What was applied is not changed: send a reversal and a new application.');
	END IF;
	why := distsync_internal.credit_post_application(d, ctx);
	IF why IS NOT NULL THEN
		PERFORM distsync_internal.base_exception('application_refused', key, 'credit', 'warning', d -> 'doc' ->> 'company', 'application', key,
			jsonb_build_object('sqlstate', why[1], 'field', why[2], 'message', why[3], 'document', d -> 'doc', 'effect', 'none'), NULL, (d -> 'doc' ->> 'amount')::numeric, d -> 'doc' ->> 'currency', (ctx ->> 'correlation_id')::uuid);
		RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'applied', key, detail => jsonb_build_object('exception', 'application_refused', 'sqlstate', why[1], 'field', why[2], 'message', why[3]));
	END IF;
	PERFORM distsync_internal.base_exception_close('application_refused', key, 'fits now');
	event := (SELECT jsonb_strip_nulls(jsonb_build_object('customer', p.code, 'payment', CASE WHEN f.kind <> 'credit_memo' THEN f.document_number END, 'credit_memo', CASE WHEN f.kind = 'credit_memo' THEN f.document_number END, 'invoice', t.document_number, 'currency', a.currency, 'amount', a.amount,
			'discount', a.discount, 'write_off', a.write_off, 'realised', a.realised, 'posted_on', a.effective_on, 'reverses', d -> 'doc' -> 'reverses', 'open_amount', t.open_amount, 'unapplied', f.open_amount))
		FROM dist.application a JOIN dist.party p ON p.party_id = a.customer_id JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id
		LEFT JOIN dist.open_item f ON f.customer_id = a.customer_id AND f.open_item_id = a.from_item_id
		WHERE a.company_id = (d ->> 'company_id')::bigint AND a.application_key = d -> 'doc' ->> 'application_number');
	IF NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
		PERFORM distsync_internal.base_emit('customer', (d ->> 'payer_id')::bigint, 'application.posted', 'application', key,
			jsonb_build_object('company', d -> 'doc' -> 'company', 'application_number', d -> 'doc' -> 'application_number') || event, (ctx ->> 'correlation_id')::uuid, (ctx ->> 'causation_id')::uuid, ctx ->> 'source');
	END IF;
	RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'applied', key, detail => event);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_application_row(jsonb, jsonb) IS
	'Books a read application and answers its row: applied, unchanged, rejected (SD005 known with other content). What does not fit opens application_refused and changes nothing else. Emits application.posted, but not for history.';

-- credit_apply_application does the handling of the entity, in bulk.
CREATE FUNCTION distsync_internal.credit_apply_application(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	c record;
	ready jsonb[] := '{}';
	accounts bigint[] := '{}';
	reached bigint[];
BEGIN
	IF ctx ->> 'operation' IN ('deactivate', 'snapshot') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('applications do not take the operation %s', ctx ->> 'operation'), DETAIL = 'Field: options.operation.',
			HINT = 'Send each application once; take one back by an application that reverses it.';
	END IF;
	FOR d IN SELECT r FROM distsync_internal.credit_resolve(docs, ctx ->> 'source') r LOOP
		SELECT * INTO c FROM distsync_internal.credit_check_application(d);
		IF (c.bad).outcome IS NOT NULL THEN
			RETURN NEXT c.bad;
		ELSE
			ready := ready || d;
		END IF;
	END LOOP;
	LOOP
		-- what they reach may have changed until the locks were there
		reached := ARRAY(SELECT DISTINCT a.id FROM unnest(ready) r CROSS JOIN LATERAL distsync_internal.credit_check_application(r) k
			CROSS JOIN LATERAL unnest(distsync_internal.credit_application_reaches((k.known ->> 'payer_id')::bigint, (k.known ->> 'from_item_id')::bigint, (k.known ->> 'to_item_id')::bigint)) AS a(id));
		EXIT WHEN reached <@ accounts;
		accounts := reached;
		PERFORM distsync_internal.credit_lock_tree(accounts);
	END LOOP;
	FOREACH d IN ARRAY ready LOOP
		-- read again under the locks: what it takes back may have come in this call
		SELECT * INTO c FROM distsync_internal.credit_check_application(d);
		RETURN NEXT distsync_internal.credit_application_row(c.known, ctx);
	END LOOP;
	PERFORM distsync_internal.credit_settle(accounts, 'application', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_application(jsonb, jsonb) IS
	'Handler of the entity application; rejects as credit_check_application() says. What does not fit what is known is the exception application_refused and changes nothing. Releases what fits in the same transaction.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'application', 'distsync_internal.credit_apply_application');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('application', '{company,application_number}', 'payment', 'What the ledger has set against what: a payment or credit memo against an invoice, with discount and write-off, or the taking back of such.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('application', 'company', 'code', true, 'any', 'Company of both documents.', NULL, false),
	('application', 'application_number', 'code', true, 'any', 'The owner''s own number of it, unique in the company.', NULL, false),
	('application', 'customer', 'code', false, 'any', 'Customer; both documents are his payer''s. Absent = whose they are.', NULL, false),
	('application', 'payment', 'code', false, 'any', 'Number of the payment or deposit.', NULL, false),
	('application', 'credit_memo', 'code', false, 'any', 'Number of the credit memo, instead of a payment.', NULL, false),
	('application', 'invoice', 'code', false, 'any', 'Number of the invoice or debit memo.', NULL, false),
	('application', 'currency', 'currency', false, 'any', 'Currency of both documents; absent = theirs.', NULL, false),
	('application', 'amount', 'amount', false, 'nonnegative', 'Taken from the payment or memo.', NULL, false),
	('application', 'discount', 'amount', false, 'nonnegative', 'Cash discount granted with it; needs no payment.', NULL, false),
	('application', 'write_off', 'amount', false, 'nonnegative', 'Written off with it; needs no payment.', NULL, false),
	('application', 'realised', 'amount', false, 'any', 'Exchange difference realised with it, in the account''s currency; kept, it moves nothing.', NULL, false),
	('application', 'posted_on', 'date', false, 'any', 'Posting day, absent = today in the company; it counts from then on, not before both documents were there.', NULL, false),
	('application', 'reason', 'text', false, 'any', 'Why.', NULL, false),
	('application', 'reverses', 'code', false, 'any', 'Number of the application that it takes back; then documents and amounts are left out.', NULL, false);
