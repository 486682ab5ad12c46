-- The entity payment: a fact of bank or ledger. It releases what fits of the held orders in its own transaction and never fails for it.

-- credit_check_payment does the checks of one payment and completes it with what it refers to.
CREATE FUNCTION distsync_internal.credit_check_payment(d jsonb, ctx jsonb, OUT bad distsync_internal.apply_result, OUT known jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	company bigint := (d ->> 'company_id')::bigint;
	payer bigint := (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = (d ->> 'customer_id')::bigint);
	old record;
	original record;
	why text[];
BEGIN
	SELECT * INTO old FROM dist.payment p WHERE p.company_id = company AND p.payment_number = doc ->> 'payment_number';
	SELECT * INTO original FROM dist.payment p WHERE p.company_id = company AND p.payment_number = doc ->> 'reverses' AND p.kind <> 'refund';
	payer := COALESCE(payer, original.customer_id);
	why := CASE
		WHEN company IS NULL THEN ARRAY['SD001', 'company', format('unknown company "%s"', doc ->> 'company'), 'Send the company first.']
		WHEN doc ->> 'customer' IS NOT NULL AND d ->> 'customer_id' IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', doc ->> 'customer'), 'Send the party first.']
		WHEN old.payment_id IS NULL AND doc ->> 'reverses' IS NOT NULL AND original.payment_id IS NULL THEN
			ARRAY['SD001', 'reverses', format('unknown payment "%s"', doc ->> 'reverses'), 'Send the payment before its reversal.']
		WHEN payer IS NULL THEN ARRAY['SD005', 'customer', 'a payment needs a customer', 'Name the party that paid.']
		WHEN doc ->> 'amount' IS NULL THEN ARRAY['SD005', 'amount', 'a payment needs an amount', 'Send the amount received.']
		WHEN NOT EXISTS (SELECT FROM dist.currency c WHERE c.currency = doc ->> 'currency') THEN
			ARRAY['SD003', 'currency', format('unknown currency "%s"', doc ->> 'currency'), 'Send the currency first, or correct it.']
		WHEN old.payment_id IS NOT NULL AND (old.customer_id, old.currency, old.amount) IS DISTINCT FROM (payer, doc ->> 'currency', (doc ->> 'amount')::numeric) THEN
			ARRAY['SD005', 'payment_number', format('payment "%s" is known with %s %s', old.payment_number, old.amount, old.currency), 'Money that was booked is not changed: send a reversal and a new payment.']
		WHEN old.payment_id IS NULL AND original.payment_id IS NOT NULL AND (original.customer_id, original.currency, original.amount) IS DISTINCT FROM (payer, doc ->> 'currency', (doc ->> 'amount')::numeric) THEN
			ARRAY['SD002', 'amount', format('payment "%s" was %s %s', original.payment_number, original.amount, original.currency), 'A reversal takes back the whole payment of the same payer; send a refund for a part of it.']
		END;
	IF why IS NOT NULL THEN
		bad := distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', (doc ->> 'company') || '/' || (doc ->> 'payment_number'), why[1], why[2], why[3], why[4]);
	ELSE
		known := d || jsonb_build_object('payer_id', payer, 'kind', COALESCE(original.kind, doc ->> 'kind', 'payment'), 'known', old.payment_id IS NOT NULL,
			'reversed_before', EXISTS (SELECT FROM dist.payment p WHERE p.company_id = company AND p.reverses_number = doc ->> 'reverses'));
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_check_payment(jsonb, jsonb) IS
	'Checks a payment document {ordinal, doc, customer_id, company_id}: bad = its row with outcome rejected (SD001, SD002, SD003, SD005), or known = the document with payer_id, kind, known (booked before), reversed_before.';

-- credit_resolve does the look-up of customers and companies for documents of money.
CREATE FUNCTION distsync_internal.credit_resolve(docs jsonb, source text) RETURNS SETOF jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT x || jsonb_build_object('customer_id', p.id, 'company_id', c.id)
	FROM jsonb_array_elements(docs) x
	LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT y -> 'doc' ->> 'customer' FROM jsonb_array_elements(docs) y), credit_resolve.source) p ON p.code = x -> 'doc' ->> 'customer'
	LEFT JOIN distsync_internal.master_companies(ARRAY(SELECT y -> 'doc' ->> 'company' FROM jsonb_array_elements(docs) y), credit_resolve.source) c ON c.code = x -> 'doc' ->> 'company'
	ORDER BY (x ->> 'ordinal')::integer
$$;
COMMENT ON FUNCTION distsync_internal.credit_resolve(jsonb, text) IS 'Documents {ordinal, doc} in their order, with customer_id and company_id of their codes (null = unknown or absent).';

-- credit_gone_from does the finding of the accounts that lost room by a reversal or a refund.
CREATE FUNCTION distsync_internal.credit_gone_from(payer_id bigint, company_id bigint, doc jsonb) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		SELECT i.account_id FROM dist.open_item i
		WHERE i.customer_id = credit_gone_from.payer_id AND i.company_id = credit_gone_from.company_id AND i.kind = 'refund' AND i.document_number = doc ->> 'payment_number'
		UNION
		SELECT unnest(ARRAY[f.account_id, t.account_id])
		FROM dist.open_item f
		LEFT JOIN dist.application a ON a.customer_id = f.customer_id AND a.from_item_id = f.open_item_id
		LEFT JOIN dist.open_item t ON t.customer_id = a.customer_id AND t.open_item_id = a.to_item_id AND t.kind <> 'refund'
		WHERE f.customer_id = credit_gone_from.payer_id AND f.company_id = credit_gone_from.company_id AND f.kind IN ('payment', 'deposit') AND f.document_number = doc ->> 'reverses'
		EXCEPT SELECT NULL
		ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_gone_from(bigint, bigint, jsonb) IS 'Ids of the accounts of a booked reversal or refund {payment_number, reverses}, of the payment it takes back and of what that had paid.';

-- credit_apply_payment does the handling of the entity, in bulk: accounts are found and locked before the first payment is booked.
CREATE FUNCTION distsync_internal.credit_apply_payment(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	c record;
	ready jsonb[] := '{}';
	accounts bigint[] := '{}';
	reached bigint[];
	lost bigint[] := '{}';
	event jsonb;
	key text;
BEGIN
	IF ctx ->> 'operation' IN ('deactivate', 'snapshot') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('payments do not take the operation %s', ctx ->> 'operation'), DETAIL = 'Field: options.operation.',
			HINT = 'Send each payment once; take one back by a payment that reverses it.';
	END IF;
	FOR d IN SELECT r FROM distsync_internal.credit_resolve(docs, ctx ->> 'source') r LOOP
		SELECT * INTO c FROM distsync_internal.credit_check_payment(d, ctx);
		IF (c.bad).outcome IS NOT NULL THEN
			RETURN NEXT c.bad;
		ELSE
			ready := ready || (c.known || jsonb_build_object('account_id', distsync_internal.credit_ensure((c.known ->> 'payer_id')::bigint, (c.known ->> 'company_id')::bigint)));
		END IF;
	END LOOP;
	LOOP
		-- what they reach may have changed until the locks were there
		reached := ARRAY(SELECT DISTINCT a.id FROM unnest(ready) r, unnest(distsync_internal.credit_reaches((r ->> 'payer_id')::bigint, (r ->> 'company_id')::bigint, (r ->> 'account_id')::bigint, r -> 'doc')) AS a(id));
		EXIT WHEN reached <@ accounts;
		accounts := reached;
		PERFORM distsync_internal.credit_lock_tree(accounts, CASE WHEN EXISTS (SELECT FROM unnest(ready) r WHERE r -> 'doc' ->> 'reverses' IS NOT NULL OR r ->> 'kind' = 'refund') THEN accounts ELSE '{}' END);
	END LOOP;
	FOREACH d IN ARRAY ready LOOP
		key := (d -> 'doc' ->> 'company') || '/' || (d -> 'doc' ->> 'payment_number');
		-- looked at again under the lock: the same payment may come twice, in one call too; its number may be of another payer, whose account is not ours
		d := d || jsonb_build_object('reversed_before', EXISTS (SELECT FROM dist.payment p WHERE p.company_id = (d ->> 'company_id')::bigint AND p.reverses_number = d -> 'doc' ->> 'reverses'));
		event := CASE WHEN NOT EXISTS (SELECT FROM dist.payment p WHERE p.company_id = (d ->> 'company_id')::bigint AND p.payment_number = d -> 'doc' ->> 'payment_number') THEN distsync_internal.credit_post_payment(d, ctx) END;
		IF event IS NULL THEN
			SELECT * INTO c FROM distsync_internal.credit_check_payment(d, ctx);
			RETURN NEXT CASE WHEN (c.bad).outcome IS NOT NULL THEN c.bad ELSE distsync_internal.master_result((d ->> 'ordinal')::integer, 'unchanged', key) END;
			CONTINUE;
		END IF;
		IF event <> '{}' AND (d -> 'doc' ->> 'reverses' IS NOT NULL OR d ->> 'kind' = 'refund') THEN
			lost := lost || distsync_internal.credit_gone_from((d ->> 'payer_id')::bigint, (d ->> 'company_id')::bigint, d -> 'doc');
		END IF;
		IF event <> '{}' AND NOT COALESCE((ctx ->> 'backfill')::boolean, false) THEN
			PERFORM distsync_internal.base_emit('customer', (d ->> 'payer_id')::bigint, 'payment.applied', 'payment', key, event, (ctx ->> 'correlation_id')::uuid, (ctx ->> 'causation_id')::uuid, ctx ->> 'source');
		END IF;
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, 'applied', key, detail => event - 'company' - 'payment_number');
	END LOOP;
	PERFORM distsync_internal.credit_settle(accounts, 'payment', ctx, lost);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_payment(jsonb, jsonb) IS
	'Handler of the entity payment; rejects as credit_check_payment() says. A known payment is unchanged. Emits payment.applied and releases what fits in the same transaction; money that goes, by a reversal or a refund, holds again what it had let go.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'payment', 'distsync_internal.credit_apply_payment');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('payment', '{company,payment_number}', 'payment', 'Money that came in or went back, what it pays, or which payment it takes back.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('payment', 'company', 'code', true, 'any', 'Company that received it.', NULL, false),
	('payment', 'payment_number', 'code', true, 'any', 'Its number, unique in the company.', NULL, false),
	('payment', 'customer', 'code', false, 'any', 'Who paid, or for whom: his payer''s account is credited. May be absent in a reversal.', NULL, false),
	('payment', 'kind', 'code', false, 'any', 'payment pays what is open, deposit an order in advance, refund went back.', '{payment,deposit,refund}', false),
	('payment', 'order', 'code', false, 'any', 'For a deposit: number of the order it is for.', NULL, false),
	('payment', 'received_at', 'instant', false, 'any', 'Value date, absent = now.', NULL, false),
	('payment', 'currency', 'currency', true, 'any', 'Its currency.', NULL, false),
	('payment', 'amount', 'amount', true, 'positive', 'Amount received; a refund or reversal is positive too.', NULL, false),
	('payment', 'remittance', 'list', false, 'any', 'What it pays, in this order; the rest goes to what has been due longest.', NULL, false),
	('payment', 'remittance[].invoice', 'code', true, 'any', 'Number of the invoice or debit memo.', NULL, false),
	('payment', 'remittance[].amount', 'amount', false, 'positive', 'How much of it, absent = all that is left.', NULL, false),
	('payment', 'remittance[].deduction', 'amount', false, 'positive', 'What the payer has left out of it: in dispute, kind deduction, numbered payment/invoice.', NULL, false),
	('payment', 'remittance[].reason', 'text', false, 'any', 'Why he left it out, a reason code.', NULL, false),
	('payment', 'reverses', 'code', false, 'any', 'Number of the payment that it takes back (bounced).', NULL, false);
