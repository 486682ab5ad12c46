-- The door for used volumes: what the owner of an agreement counts as used of it, up to an instant.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('commitment', '{agreement}', 'agreement', 'What is used of an agreement''s volume, as its owner counts it up to an instant: an opening balance, or his last word. Documents placed later are added by us. deactivate forgets it.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('commitment', 'agreement', 'code', true, 'any', 'The agreement.', NULL, false),
	('commitment', 'used_quantity', 'quantity', false, 'nonnegative', 'Used, base units, 0 if left out.', NULL, false),
	('commitment', 'used_amount', 'amount', false, 'nonnegative', 'Used, in the agreement''s currency, 0 if left out.', NULL, false),
	('commitment', 'as_of', 'instant', false, 'any', 'Up to when: what was placed until then is in the numbers. Now if left out, never later than now.', NULL, false);

-- pricing_commitment_tell does the taking of one word of the owner. Tells whether anything changed.
CREATE FUNCTION distsync_internal.pricing_commitment_tell(agreement_id bigint, doc jsonb, as_of timestamptz) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	c record;
	n record;
BEGIN
	SELECT x.* INTO c FROM dist.commitment x WHERE x.agreement_id = pricing_commitment_tell.agreement_id;
	SELECT CASE WHEN as_of IS NULL OR doc -> 'used_quantity' = 'null' THEN 0 ELSE COALESCE((doc ->> 'used_quantity')::numeric, c.told_quantity) END AS quantity,
		CASE WHEN as_of IS NULL OR doc -> 'used_amount' = 'null' THEN 0 ELSE COALESCE((doc ->> 'used_amount')::numeric, c.told_amount) END AS amount INTO n;
	UPDATE dist.commitment x SET quantity = n.quantity + u.quantity, amount = n.amount + u.amount, told_quantity = n.quantity, told_amount = n.amount, told_at = as_of
	FROM (SELECT COALESCE(sum(w.quantity), 0) AS quantity, COALESCE(sum(w.amount), 0) AS amount FROM dist.commitment_use w WHERE w.agreement_id = c.agreement_id AND (as_of IS NULL OR w.used_at > as_of)) u
	WHERE x.agreement_id = c.agreement_id AND (c.told_quantity, c.told_amount, c.told_at) IS DISTINCT FROM (n.quantity, n.amount, as_of);
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_commitment_tell(bigint, jsonb, timestamptz) IS 'Sets what the owner told of a volume up to as_of (NULL = nothing any more) and counts it again; the caller holds its lock.';

-- pricing_apply_commitment does the taking of used volumes.
CREATE FUNCTION distsync_internal.pricing_apply_commitment(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ending boolean := ctx ->> 'operation' = 'deactivate';
	late timestamptz := clock_timestamp();
	failed boolean := false;
	x record;
	changed boolean;
BEGIN
	FOR x IN SELECT (d ->> 'ordinal')::integer AS ordinal, d -> 'doc' ->> 'agreement' AS code, a.agreement_id FROM jsonb_array_elements(docs) d LEFT JOIN dist.agreement a ON a.code = d -> 'doc' ->> 'agreement'
		WHERE a.agreement_id IS NULL OR (d -> 'doc' ->> 'as_of')::timestamptz > late ORDER BY 1
	LOOP
		failed := true;
		RETURN NEXT distsync_internal.master_result(x.ordinal, 'rejected', x.code, CASE WHEN x.agreement_id IS NULL THEN 'SD001' ELSE 'SD002' END, CASE WHEN x.agreement_id IS NULL THEN 'agreement' ELSE 'as_of' END,
			CASE WHEN x.agreement_id IS NULL THEN format('agreement "%s" is not known', x.code) ELSE 'what is used in the future is not known' END,
			CASE WHEN x.agreement_id IS NULL THEN 'Send the agreement first.' ELSE 'Send as_of up to now, or leave it out.' END);
	END LOOP;
	IF failed AND ctx ->> 'on_error' IS DISTINCT FROM 'collect' THEN
		RETURN;
	END IF;
	PERFORM distsync_internal.pricing_commitment_lock(ARRAY(SELECT a.agreement_id FROM jsonb_array_elements(docs) d JOIN dist.agreement a ON a.code = d -> 'doc' ->> 'agreement'));
	FOR x IN SELECT (d ->> 'ordinal')::integer AS ordinal, a.code, a.agreement_id, d -> 'doc' AS doc, (d -> 'doc' ->> 'as_of')::timestamptz AS as_of
		FROM jsonb_array_elements(docs) d JOIN dist.agreement a ON a.code = d -> 'doc' ->> 'agreement' WHERE (d -> 'doc' ->> 'as_of')::timestamptz > late IS NOT TRUE ORDER BY 1
	LOOP
		changed := distsync_internal.pricing_commitment_tell(x.agreement_id, x.doc, CASE WHEN ending THEN NULL ELSE COALESCE(x.as_of, clock_timestamp()) END);
		PERFORM distsync_internal.pricing_commitment_watch(ARRAY[x.agreement_id], late, NOT COALESCE((ctx ->> 'backfill')::boolean, false), jsonb_build_object('by', ctx -> 'source'));
		RETURN NEXT distsync_internal.master_result(x.ordinal, CASE WHEN changed THEN 'applied' ELSE 'unchanged' END, x.code);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_commitment(jsonb, jsonb) IS 'Entity handler of commitment: takes the owner''s count of a volume. Rejections: SD001 agreement, SD002 as_of later than now.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'commitment', 'distsync_internal.pricing_apply_commitment');
