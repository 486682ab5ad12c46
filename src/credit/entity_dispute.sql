-- The entity dispute: a claim against an invoice, opened and closed as its owner says.

-- credit_check_dispute does the checks of one dispute.
CREATE FUNCTION distsync_internal.credit_check_dispute(d jsonb, OUT bad distsync_internal.apply_result, OUT known jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	payer bigint := (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = (d ->> 'customer_id')::bigint);
	old record;
	item record;
	why text[];
BEGIN
	SELECT * INTO old FROM dist.dispute x WHERE x.customer_id = payer AND x.dispute_number = doc ->> 'dispute_number';
	SELECT * INTO item FROM dist.open_item o WHERE o.customer_id = payer AND o.company_id = (d ->> 'company_id')::bigint AND o.kind IN ('invoice', 'debit_memo') AND o.document_number = doc ->> 'invoice'
	ORDER BY o.kind DESC LIMIT 1;
	why := CASE
		WHEN d ->> 'company_id' IS NULL THEN ARRAY['SD001', 'company', format('unknown company "%s"', doc ->> 'company'), 'Send the company first.']
		WHEN payer IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', doc ->> 'customer'), 'Send the party first.']
		WHEN item.open_item_id IS NULL THEN ARRAY['SD001', 'invoice', format('unknown invoice "%s"', doc ->> 'invoice'), 'Send the invoice before a dispute of it.']
		WHEN old.dispute_id IS NULL AND doc ->> 'amount' IS NULL THEN ARRAY['SD005', 'amount', 'a new dispute needs an amount', 'Send the amount in dispute.']
		WHEN old.dispute_id IS NOT NULL AND old.open_item_id <> item.open_item_id THEN
			ARRAY['SD005', 'invoice', format('dispute "%s" is about another invoice', old.dispute_number), 'Close it and send a new one with another number.']
		WHEN item.voided AND old.dispute_id IS NULL THEN ARRAY['SD063', 'invoice', format('invoice "%s" is void', doc ->> 'invoice'), 'There is nothing to dispute: what is void is not owed.']
		WHEN doc ->> 'outcome' IS NOT NULL AND NOT COALESCE((doc ->> 'closed')::boolean, true) THEN ARRAY['SD005', 'closed', 'a dispute that has an outcome has ended', 'Leave closed out, or the outcome.']
		WHEN (doc ->> 'amount')::numeric > item.amount THEN ARRAY['SD002', 'amount', format('the invoice is only %s', item.amount), 'Dispute at most the amount of the invoice.']
		END;
	IF why IS NOT NULL THEN
		bad := distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', doc ->> 'dispute_number', why[1], why[2], why[3], why[4]);
	ELSE
		known := d || jsonb_build_object('payer_id', payer, 'open_item_id', item.open_item_id, 'account_id', item.account_id);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_check_dispute(jsonb) IS
	'Checks a dispute document {ordinal, doc, customer_id, company_id}: bad = its row with outcome rejected (SD001, SD002, SD005, SD063), or known = the document with payer_id, open_item_id, account_id.';

-- credit_write_dispute does the writing of one dispute and the counting of what is in dispute.
CREATE FUNCTION distsync_internal.credit_write_dispute(d jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	payer bigint := (d ->> 'payer_id')::bigint;
	item bigint := (d ->> 'open_item_id')::bigint;
	n integer;
BEGIN
	INSERT INTO dist.dispute AS x (customer_id, dispute_number, open_item_id, kind, amount, reason, closed_at, payment_number, outcome)
	SELECT payer, doc ->> 'dispute_number', item, COALESCE(doc ->> 'kind', o.kind, 'dispute'), COALESCE((doc ->> 'amount')::numeric, o.amount), COALESCE(doc ->> 'reason', o.reason, ''),
		CASE WHEN (doc ->> 'closed')::boolean OR doc ->> 'outcome' IS NOT NULL THEN COALESCE(o.closed_at, clock_timestamp()) WHEN NOT doc ? 'closed' THEN o.closed_at END,
		CASE WHEN doc ? 'payment' THEN doc ->> 'payment' ELSE o.payment_number END,
		CASE WHEN doc ->> 'outcome' IS NOT NULL THEN doc ->> 'outcome' WHEN doc ? 'outcome' OR doc ? 'closed' AND NOT COALESCE((doc ->> 'closed')::boolean, false) THEN NULL ELSE o.outcome END
	FROM (SELECT) one LEFT JOIN dist.dispute o ON o.customer_id = payer AND o.dispute_number = doc ->> 'dispute_number'
	ON CONFLICT (customer_id, dispute_number) DO UPDATE SET kind = excluded.kind, amount = excluded.amount, reason = excluded.reason, closed_at = excluded.closed_at,
		payment_number = excluded.payment_number, outcome = excluded.outcome
	WHERE (x.kind, x.amount, x.reason, x.closed_at, x.payment_number, x.outcome) IS DISTINCT FROM (excluded.kind, excluded.amount, excluded.reason, excluded.closed_at, excluded.payment_number, excluded.outcome);
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n > 0 THEN
		PERFORM distsync_internal.credit_item_set(payer, item, o.open_amount) FROM dist.open_item o WHERE o.customer_id = payer AND o.open_item_id = item;
	END IF;
	RETURN n > 0;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_write_dispute(jsonb) IS 'Writes a checked dispute and recounts what of its invoice is in dispute; the caller holds the account''s lock. Tells whether anything changed.';

-- credit_apply_dispute does the handling of the entity.
CREATE FUNCTION distsync_internal.credit_apply_dispute(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	c record;
	ready jsonb[] := '{}';
	accounts bigint[] := '{}';
	reached bigint[];
	changed boolean;
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		docs := (SELECT jsonb_agg(jsonb_set(x, '{doc,closed}', 'true')) FROM jsonb_array_elements(docs) x);
	END IF;
	FOR d IN SELECT r FROM distsync_internal.credit_resolve(docs, ctx ->> 'source') r LOOP
		SELECT * INTO c FROM distsync_internal.credit_check_dispute(d);
		IF (c.bad).outcome IS NOT NULL THEN
			RETURN NEXT c.bad;
		ELSE
			ready := ready || c.known;
		END IF;
	END LOOP;
	LOOP
		-- an account that was opened meanwhile may have taken the items over
		reached := ARRAY(SELECT DISTINCT i.account_id FROM unnest(ready) r JOIN dist.open_item i ON i.customer_id = (r ->> 'payer_id')::bigint AND i.open_item_id = (r ->> 'open_item_id')::bigint);
		EXIT WHEN reached <@ accounts;
		accounts := reached;
		PERFORM distsync_internal.credit_lock_tree(accounts);
	END LOOP;
	FOREACH d IN ARRAY ready LOOP
		changed := distsync_internal.credit_write_dispute(d);
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN changed THEN 'applied' ELSE 'unchanged' END, d -> 'doc' ->> 'dispute_number');
	END LOOP;
	PERFORM distsync_internal.credit_settle(accounts, 'dispute', ctx);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_dispute(jsonb, jsonb) IS 'Handler of the entity dispute; rejects as credit_check_dispute() says, releases what fits in the same transaction.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'dispute', 'distsync_internal.credit_apply_dispute');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('dispute', '{company,customer,dispute_number}', 'payment', 'A claim against an invoice: what of it is in dispute, and when it ended.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('dispute', 'company', 'code', true, 'any', 'Company of the invoice.', NULL, false),
	('dispute', 'customer', 'code', true, 'any', 'Customer; the invoice is his payer''s.', NULL, false),
	('dispute', 'dispute_number', 'code', true, 'any', 'Number of the dispute.', NULL, false),
	('dispute', 'invoice', 'code', true, 'any', 'Number of the invoice or debit memo.', NULL, false),
	('dispute', 'kind', 'code', false, 'any', 'A deduction was taken from a payment already.', '{dispute,deduction}', false),
	('dispute', 'amount', 'amount', false, 'positive', 'Amount in dispute, in the invoice''s currency.', NULL, true),
	('dispute', 'reason', 'text', false, 'any', 'Reason code.', NULL, false),
	('dispute', 'payment', 'code', false, 'any', 'Of a deduction: the payment that was short.', NULL, false),
	('dispute', 'outcome', 'code', false, 'any', 'How it ended, which ends it: a memo credits it, the customer owes it after all, it is written off, he takes it back. Memo and write-off are documents of their own.',
		'{credited,upheld,written_off,withdrawn}', false),
	('dispute', 'closed', 'boolean', false, 'any', 'true ends it, false opens it again.', NULL, false);
