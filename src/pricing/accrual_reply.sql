-- The entity accrual_reply: what the other side says to an accrual. A supplier takes a claim, settles it or refuses it with a reason (X12 849
-- comes in through a mapping), our own ledger says that a rebate was paid.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('accrual_reply', '{agreement,document}', 'accrual', 'The answer to a claim or rebate that accrued: taken, settled, refused.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('accrual_reply', 'agreement', 'code', true, 'any', 'Agreement under which it accrued.', NULL, false),
	('accrual_reply', 'document', 'text', true, 'any', 'What it accrued for, as dist.accrual and accrual.recorded say it: company/kind/number/line.', NULL, false),
	('accrual_reply', 'status', 'text', true, 'any', 'claimed: sent and taken; settled and rejected end it. What is settled stays so.', '{claimed,settled,rejected}', false),
	('accrual_reply', 'amount', 'amount', false, 'any', 'What is settled, in the currency and with the sign of the accrual; all of it if left out.', NULL, false),
	('accrual_reply', 'reason', 'text', false, 'any', 'Why it was cut or rejected.', NULL, false);

-- pricing_take_reply does the taking of one reply: what is wrong with it, or the change of its accrual.
CREATE FUNCTION distsync_internal.pricing_take_reply(ordinal integer, doc jsonb, ctx jsonb) RETURNS distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	key text := (doc ->> 'agreement') || '/' || (doc ->> 'document');
	a record;
	settled numeric;
	why text[];
BEGIN
	SELECT x.customer_id, x.accrual_id, x.kind, x.amount, x.currency, x.status, x.settled_amount, x.reason, x.document_key, g.code INTO a FROM dist.agreement g JOIN dist.accrual x ON x.agreement_id = g.agreement_id
	WHERE g.code = doc ->> 'agreement' AND x.document_key = doc ->> 'document' ORDER BY x.accrual_id LIMIT 1 FOR UPDATE OF x;
	settled := CASE doc ->> 'status' WHEN 'settled' THEN COALESCE((doc ->> 'amount')::numeric, a.amount) END;
	why := CASE
		WHEN a.accrual_id IS NULL THEN ARRAY['SD001', 'document', format('nothing accrued under "%s" for "%s"', doc ->> 'agreement', doc ->> 'document'), 'Send the invoice first; name agreement and document as accrual.recorded does.']
		WHEN a.status = 'settled' AND (doc ->> 'status' <> 'settled' OR settled <> a.settled_amount) THEN
			ARRAY['SD005', 'status', format('it is settled with %s', a.settled_amount), 'What is settled stays so: what is given back later comes with a credit memo.']
		WHEN doc ->> 'status' <> 'settled' AND doc ->> 'amount' IS NOT NULL THEN ARRAY['SD002', 'amount', format('%s has no amount', doc ->> 'status'), 'Send an amount only with status settled.']
		WHEN settled <> 0 AND (sign(settled) <> sign(a.amount) OR abs(settled) > abs(a.amount)) THEN
			ARRAY['SD002', 'amount', format('%s is more than what accrued, %s', settled, a.amount), 'Send what is settled of it, with its sign.']
		WHEN doc ->> 'status' = 'rejected' AND COALESCE(doc ->> 'reason', '') = '' THEN ARRAY['SD005', 'reason', 'rejected without a reason', 'Say why it was rejected.'] END;
	IF why IS NOT NULL THEN
		RETURN distsync_internal.master_result(ordinal, 'rejected', key, why[1], why[2], why[3], why[4]);
	ELSIF (a.status, a.settled_amount, a.reason) IS NOT DISTINCT FROM (doc ->> 'status', settled, doc ->> 'reason') THEN
		RETURN distsync_internal.master_result(ordinal, 'unchanged', key);
	END IF;
	UPDATE dist.accrual x SET status = doc ->> 'status', settled_amount = settled, reason = doc ->> 'reason' WHERE x.customer_id = a.customer_id AND x.accrual_id = a.accrual_id;
	IF doc ->> 'status' = 'rejected' OR settled <> a.amount THEN
		PERFORM distsync_internal.base_exception('accrual_short', key, 'price', 'warning', split_part(a.document_key, '/', 1), 'accrual', a.document_key,
			jsonb_build_object('agreement', a.code, 'kind', a.kind, 'status', doc ->> 'status', 'reason', doc ->> 'reason', 'accrued', a.amount, 'settled', settled), settled - a.amount,
			abs(a.amount - COALESCE(settled, 0)), a.currency);
	ELSE
		PERFORM distsync_internal.base_exception_close('accrual_short', key, format('the other side says %s', doc ->> 'status'));
	END IF;
	PERFORM distsync_internal.base_emit('customer', a.customer_id, 'accrual.' || (doc ->> 'status'), 'accrual', a.document_key,
		jsonb_build_object('agreement', a.code, 'document', a.document_key, 'kind', a.kind, 'amount', a.amount, 'settled_amount', settled, 'currency', a.currency, 'reason', doc ->> 'reason'), NULL, NULL, ctx ->> 'source');
	RETURN distsync_internal.master_result(ordinal, 'applied', key);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_take_reply(integer, jsonb, jsonb) IS
	'Takes a checked document of accrual_reply: sets status, settled amount and reason, emits accrual.claimed, accrual.settled or accrual.rejected, and opens accrual_short where less comes than accrued (closes it where it does not). Rejections: SD001 nothing accrued, SD002 amount, SD005 settled, or no reason.';

-- pricing_apply_accrual_reply does the handling of the entity.
CREATE FUNCTION distsync_internal.pricing_apply_accrual_reply(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', COLUMN = 'operation', MESSAGE = 'accrual_reply can''t be deactivated', DETAIL = 'Field: operation. It has no status of its own.', HINT = 'Send the other side''s next answer.';
	END IF;
	-- in one order, whatever the order of the call
	FOR d IN SELECT e FROM jsonb_array_elements(docs) e ORDER BY (e -> 'doc' ->> 'agreement') COLLATE "C", (e -> 'doc' ->> 'document') COLLATE "C", (e ->> 'ordinal')::integer LOOP
		RETURN NEXT distsync_internal.pricing_take_reply((d ->> 'ordinal')::integer, d -> 'doc', ctx);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_accrual_reply(jsonb, jsonb) IS 'Entity handler of accrual_reply, one document after the other: see pricing_take_reply().';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'accrual_reply', 'distsync_internal.pricing_apply_accrual_reply');
