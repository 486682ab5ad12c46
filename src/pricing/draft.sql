-- What-if: drafts that count as if they had been published now. The engine lays them over what is held (overlay.c); here they are found
-- and proved, with the errors of publish().

-- pricing_draft_ids does the finding of the drafts that a list names: of an agreement the newest, or the version that is said.
CREATE FUNCTION distsync_internal.pricing_draft_ids(drafts jsonb, field text) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	x record;
	ids bigint[] := '{}';
BEGIN
	IF jsonb_array_length(drafts) > 100 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD006', MESSAGE = format('%s drafts in one question', jsonb_array_length(drafts)), COLUMN = field, DETAIL = format('Field: %s. At most 100.', field),
			HINT = 'Ask about fewer drafts at a time.';
	END IF;
	FOR x IN
		SELECT d.code, d.version, d.ok, a.agreement_id, a.status, (SELECT v.version_id FROM dist.agreement_version v WHERE v.agreement_id = a.agreement_id
			AND CASE WHEN d.version IS NULL THEN v.status IN ('draft', 'approved') ELSE v.version_no::text = d.version END ORDER BY v.version_no DESC LIMIT 1) AS id
		FROM (SELECT CASE jsonb_typeof(e) WHEN 'object' THEN e->>'agreement' WHEN 'string' THEN e #>> '{}' END AS code, CASE WHEN jsonb_typeof(e) = 'object' THEN e->>'version' END AS version,
				jsonb_typeof(e) = 'string' OR jsonb_typeof(e) = 'object' AND jsonb_typeof(e->'agreement') = 'string' AND e - '{agreement,version}'::text[] = '{}' AS ok
			FROM jsonb_array_elements(drafts) e) d
		LEFT JOIN dist.agreement a ON a.code = d.code
		ORDER BY d.code COLLATE "C", d.version
	LOOP
		IF NOT x.ok THEN
			RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'a draft is named by the code of its agreement', COLUMN = field, DETAIL = format('Field: %s.', field),
				HINT = 'Send a list such as ["SPRING"] or [{"agreement": "SPRING", "version": 3}].';
		ELSIF x.agreement_id IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD001', MESSAGE = format('agreement "%s" is not known', left(x.code, 60)), COLUMN = field, DETAIL = format('Field: %s.', field),
				HINT = 'Send it first: distsync.apply(''agreement'', ...).';
		ELSIF x.status = 'inactive' THEN
			RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = format('agreement "%s" is inactive', x.code), COLUMN = field, DETAIL = format('Field: %s.', field),
				HINT = 'Send it with status active first.';
		ELSIF x.id IS NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'SD052', MESSAGE = CASE WHEN x.version IS NULL THEN format('agreement "%s" has no draft', x.code) ELSE format('agreement "%s" has no version %s', x.code, left(x.version, 20)) END,
				COLUMN = field, DETAIL = format('Field: %s.', field), HINT = 'Send a new version with distsync.apply(''agreement'', ...) and "publish": false.';
		END IF;
		ids := ids || x.id;
	END LOOP;
	RETURN ids;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_draft_ids(jsonb, text) IS
	'Versions that a list names as drafts: ["code" or {"agreement","version"}], without a version the newest draft or approved one. Errors: SD001, SD002, SD006 more than 100, SD052 none, or inactive.';

-- pricing_drafts does the proof of them as well. Its plans are made for the sets at hand: there are small and large ones.
CREATE FUNCTION distsync_internal.pricing_drafts(drafts jsonb, field text) RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	ids bigint[] := distsync_internal.pricing_draft_ids(drafts, field);
BEGIN
	PERFORM distsync_internal.pricing_refuse_faults(id) FROM unnest(ids) id;
	PERFORM distsync_internal.pricing_refuse_circles(ids, true);
	RETURN ids;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_drafts(jsonb, text) IS
	'Versions that a list in a field names as drafts, proved as publish() would. Errors: those of pricing_draft_ids() and pricing_refuse_faults(), SD053 a circle of bases.';
