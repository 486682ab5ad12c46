-- The door for roundings: how a unit price is rounded. What a published version names never changes.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('rounding', '{rounding}', 'agreement', 'A way to round a unit price, named by agreements. It cannot change once a published version names it.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('rounding', 'rounding', 'code', true, 'any', 'Code.', NULL, false),
	('rounding', 'scale', 'integer', false, 'nonnegative', 'Decimals of the unit price, 4 if left out.', '{0,1,2,3,4,5,6,7,8}', false),
	('rounding', 'mode', 'text', false, 'any', 'half_up if left out.', '{half_up,half_even,up,down}', false),
	('rounding', 'multiple', 'quantity', false, 'positive', 'Round to a multiple of it instead of to decimals.', NULL, false),
	('rounding', 'ending', 'quantity', false, 'nonnegative', 'Then end in it, for example 0.99.', NULL, false),
	('rounding', 'each_step', 'boolean', false, 'any', 'Round after each step of the waterfall as well.', NULL, false);

-- pricing_rounding_rows does the reading of rounding documents over what is there.
CREATE FUNCTION distsync_internal.pricing_rounding_rows(docs jsonb)
RETURNS TABLE (ordinal integer, rounding text, scale smallint, mode text, multiple numeric, ending numeric, each_step boolean, is_new boolean, changed boolean, fault text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.ordinal, n.rounding, n.scale, n.mode, n.multiple, n.ending, n.each_step, r.rounding IS NULL, d.differs,
		CASE WHEN n.multiple >= 1000000000000 THEN 'multiple' WHEN n.ending >= 1000000000000 THEN 'ending' WHEN n.ending >= COALESCE(n.multiple, 1) THEN 'ending'
			WHEN d.differs AND EXISTS (SELECT FROM dist.agreement_version v WHERE v.rounding = n.rounding AND v.published_at IS NOT NULL) THEN 'rounding' END
	FROM (SELECT (d->>'ordinal')::integer AS ordinal, d->'doc' AS doc FROM jsonb_array_elements(docs) d) t
	LEFT JOIN dist.rounding r ON r.rounding = t.doc->>'rounding'
	CROSS JOIN LATERAL (SELECT t.doc->>'rounding', (o->>'scale')::smallint, o->>'mode', (o->>'multiple')::numeric, (o->>'ending')::numeric, (o->>'each_step')::boolean
		FROM distsync_internal.pricing_overlay(to_jsonb(r), '{"scale": 4, "mode": "half_up", "multiple": null, "ending": null, "each_step": false}', t.doc) o) n(rounding, scale, mode, multiple, ending, each_step)
	CROSS JOIN LATERAL (SELECT (r.scale, r.mode, r.multiple, r.ending, r.each_step) IS DISTINCT FROM (n.scale, n.mode, n.multiple, n.ending, n.each_step) OR r.rounding IS NULL) d(differs)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_rounding_rows(jsonb) IS 'Rounding documents as rows, with whether they are new or change anything, and the field that cannot be taken (rounding: it is in use).';

-- pricing_apply_rounding does the taking of rounding documents.
CREATE FUNCTION distsync_internal.pricing_apply_rounding(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	failed boolean;
BEGIN
	IF ctx->>'operation' = 'deactivate' THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', COLUMN = 'operation', MESSAGE = 'rounding can''t be deactivated', DETAIL = 'Field: operation. It has no status.', HINT = 'Leave it alone: it does nothing unless an agreement names it.';
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.pricing:rounding', 0));
	RETURN QUERY SELECT m.* FROM distsync_internal.pricing_rounding_rows(docs) r CROSS JOIN LATERAL distsync_internal.master_result(r.ordinal, 'rejected', r.rounding,
		CASE r.fault WHEN 'rounding' THEN 'SD052' ELSE 'SD002' END, r.fault,
		CASE r.fault WHEN 'rounding' THEN format('rounding "%s" cannot change: a published version names it', r.rounding) ELSE format('%s %s is too large', r.fault, CASE r.fault WHEN 'multiple' THEN r.multiple ELSE r.ending END) END,
		CASE r.fault WHEN 'rounding' THEN 'Make another rounding with a code of its own, and new versions that name it.' ELSE 'Check the value; an ending is below the multiple, or below 1.' END) m
	WHERE r.fault IS NOT NULL;
	failed := FOUND;
	IF failed AND ctx->>'on_error' IS DISTINCT FROM 'collect' THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH told AS MATERIALIZED (SELECT * FROM distsync_internal.pricing_rounding_rows(docs) r WHERE r.fault IS NULL),
	written AS (
		INSERT INTO dist.rounding (rounding, scale, mode, multiple, ending, each_step)
		SELECT t.rounding, t.scale, t.mode, t.multiple, t.ending, t.each_step FROM told t WHERE t.changed ORDER BY t.rounding COLLATE "C"
		ON CONFLICT (rounding) DO UPDATE SET scale = excluded.scale, mode = excluded.mode, multiple = excluded.multiple, ending = excluded.ending, each_step = excluded.each_step)
	SELECT m.* FROM told t CROSS JOIN LATERAL distsync_internal.master_result(t.ordinal, CASE WHEN t.changed THEN 'applied' ELSE 'unchanged' END, t.rounding) m;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_rounding(jsonb, jsonb) IS 'Entity handler of rounding. Rejections: SD052 it is in use and would change, SD002 a value.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'rounding', 'distsync_internal.pricing_apply_rounding');
