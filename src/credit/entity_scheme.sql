-- The entity aging_scheme: days late into buckets, by name.

-- credit_check_scheme does the checks of one scheme.
CREATE FUNCTION distsync_internal.credit_check_scheme(d jsonb) RETURNS distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doc jsonb := d -> 'doc';
	known boolean := EXISTS (SELECT FROM dist.aging_scheme s WHERE s.code = d -> 'doc' ->> 'code');
	why text;
BEGIN
	IF jsonb_typeof(doc -> 'buckets') = 'array' THEN
		why := CASE
			WHEN jsonb_array_length(doc -> 'buckets') NOT BETWEEN 1 AND 24 THEN format('%s buckets', jsonb_array_length(doc -> 'buckets'))
			WHEN EXISTS (SELECT FROM (SELECT (b.value ->> 'days')::bigint AS days, lag((b.value ->> 'days')::bigint) OVER (ORDER BY b.place) AS before FROM jsonb_array_elements(doc -> 'buckets') WITH ORDINALITY b(value, place)) x
				WHERE x.days <= x.before OR x.days > 36500) THEN 'days are not ascending, or more than 36500'
			END;
	ELSIF doc ? 'buckets' OR NOT known THEN
		why := 'a scheme needs buckets';
	END IF;
	IF why IS NOT NULL THEN
		RETURN distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', doc ->> 'code', 'SD002', 'buckets', why, 'Send the last day of each bucket but the last, ascending, at most 24: [{"days":30},{"days":60}].');
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_check_scheme(jsonb) IS 'Row with outcome rejected (SD002) for a scheme document {ordinal, doc} whose buckets are missing or not ascending, else NULL.';

-- credit_apply_scheme does the handling of the entity.
CREATE FUNCTION distsync_internal.credit_apply_scheme(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d jsonb;
	doc jsonb;
	bad distsync_internal.apply_result;
	n integer;
	before jsonb;
BEGIN
	FOR d IN SELECT x FROM jsonb_array_elements(docs) x ORDER BY (x ->> 'ordinal')::integer LOOP
		doc := d -> 'doc';
		before := (SELECT to_jsonb(s) FROM dist.aging_scheme s WHERE s.code = doc ->> 'code');
		IF ctx ->> 'operation' = 'deactivate' THEN
			DELETE FROM dist.aging_scheme s WHERE s.code = doc ->> 'code';
		ELSE
			bad := distsync_internal.credit_check_scheme(d);
			IF bad.outcome IS NOT NULL THEN
				RETURN NEXT bad;
				CONTINUE;
			END IF;
			INSERT INTO dist.aging_scheme AS s (code, name, edges, by)
			SELECT doc ->> 'code', COALESCE(CASE WHEN doc ? 'name' THEN COALESCE(doc ->> 'name', '') END, o.name, ''),
				COALESCE((SELECT array_agg((b ->> 'days')::integer ORDER BY (b ->> 'days')::integer) FROM jsonb_array_elements(NULLIF(doc -> 'buckets', 'null')) b), o.edges), COALESCE(doc ->> 'by', CASE WHEN NOT doc ? 'by' THEN o.by END, 'due')
			FROM (SELECT) one LEFT JOIN dist.aging_scheme o ON o.code = doc ->> 'code'
			ON CONFLICT (code) DO UPDATE SET name = excluded.name, edges = excluded.edges, by = excluded.by, version = s.version + 1
			WHERE (s.name, s.edges, s.by) IS DISTINCT FROM (excluded.name, excluded.edges, excluded.by);
		END IF;
		GET DIAGNOSTICS n = ROW_COUNT;
		IF n > 0 THEN
			PERFORM distsync_internal.base_audit('apply', 'aging_scheme', doc ->> 'code', before, (SELECT to_jsonb(s) FROM dist.aging_scheme s WHERE s.code = doc ->> 'code'), doc ->> 'reason', (ctx ->> 'correlation_id')::uuid);
		END IF;
		RETURN NEXT distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN n > 0 THEN 'applied' ELSE 'unchanged' END, doc ->> 'code');
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_apply_scheme(jsonb, jsonb) IS 'Handler of the entity aging_scheme; rejects as credit_check_scheme() says. deactivate takes the scheme away.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'aging_scheme', 'distsync_internal.credit_apply_scheme');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('aging_scheme', '{code}', 'credit', 'Days late into buckets, by name: options.scheme of aging() and agings(); the scheme default counts where none is named.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('aging_scheme', 'code', 'code', true, 'any', 'Business code.', NULL, false),
	('aging_scheme', 'name', 'text', false, 'any', 'What people call it.', NULL, false),
	('aging_scheme', 'buckets', 'list', false, 'any', 'Buckets but the last, ascending: 30, 60, 90 days = 1-30, 31-60, 61-90, 91+.', NULL, true),
	('aging_scheme', 'buckets[].days', 'integer', true, 'positive', 'Last day of the bucket.', NULL, false),
	('aging_scheme', 'by', 'code', false, 'any', 'From which day on days are counted, absent = due.', '{due,posting}', false),
	('aging_scheme', 'reason', 'text', false, 'any', 'Why it changes.', NULL, false);
