-- Voiding: a document of the sub-ledger that its owner has taken back. What was applied is open again, nothing of the document is.

-- credit_void_reaches does the finding of the accounts that voiding a document may move.
CREATE FUNCTION distsync_internal.credit_void_reaches(payer_id bigint, company_id bigint, kind text, document_number text) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		SELECT DISTINCT a.id
		FROM dist.open_item i CROSS JOIN LATERAL unnest(distsync_internal.credit_application_reaches(i.customer_id, i.open_item_id, i.open_item_id)) AS a(id)
		WHERE i.customer_id = credit_void_reaches.payer_id AND i.company_id = credit_void_reaches.company_id AND i.kind = credit_void_reaches.kind AND i.document_number = credit_void_reaches.document_number
		ORDER BY a.id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_void_reaches(bigint, bigint, text, text) IS 'Ids of the accounts of a payer''s document and of all that is applied to or from it.';

-- credit_void does the voiding of an item: what was applied is taken back by rows, claims against it end, the rest goes by a row of its own.
CREATE FUNCTION distsync_internal.credit_void(customer_id bigint, open_item_id bigint, voided_on date, ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	a record;
	left_open numeric;
	told jsonb := jsonb_build_object('effective_on', credit_void.voided_on, 'reason', 'void');
	n integer := 0;
BEGIN
	-- what went back of a memo that is void was never owed to him: the refund is owed
	FOR a IN SELECT l.application_id FROM distsync_internal.credit_live(credit_void.customer_id, credit_void.open_item_id, credit_void.open_item_id) l
		UNION ALL SELECT p.application_id FROM dist.application p JOIN dist.open_item o ON o.customer_id = p.customer_id AND o.open_item_id = p.to_item_id AND o.kind = 'refund'
		WHERE p.customer_id = credit_void.customer_id AND p.from_item_id = credit_void.open_item_id AND p.kind = 'apply' AND p.reverses_id IS NULL
			AND NOT EXISTS (SELECT FROM dist.application r WHERE r.customer_id = p.customer_id AND r.reverses_id = p.application_id)
		ORDER BY 1 DESC
	LOOP
		PERFORM distsync_internal.credit_unapply_one(credit_void.customer_id, a.application_id, told, ctx);
		n := n + 1;
	END LOOP;
	UPDATE dist.dispute d SET closed_at = clock_timestamp(), outcome = 'withdrawn' WHERE d.customer_id = credit_void.customer_id AND d.open_item_id = credit_void.open_item_id AND d.closed_at IS NULL;
	SELECT i.open_amount INTO left_open FROM dist.open_item i WHERE i.customer_id = credit_void.customer_id AND i.open_item_id = credit_void.open_item_id;
	IF left_open > 0 THEN
		PERFORM distsync_internal.credit_apply_book(credit_void.customer_id, NULL, credit_void.open_item_id, left_open, 0, 0, told || '{"kind":"void"}', ctx);
	END IF;
	UPDATE dist.open_item i SET voided = true WHERE i.customer_id = credit_void.customer_id AND i.open_item_id = credit_void.open_item_id;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_void(bigint, bigint, date, jsonb) IS
	'Voids an item of a payer from a day on: applications to and from it are taken back by rows (what was paid is unapplied, what was refunded of it is owed), open disputes end as withdrawn, what is open then goes by a row of kind void. Returns how many applications it took back. The caller holds the locks of credit_void_reaches().';
