-- What is wrong with a document of an agreement, found before anything of it is written.

-- pricing_check_head does the finding of the first thing wrong with the agreement itself.
CREATE FUNCTION distsync_internal.pricing_check_head(doc jsonb, head jsonb, OUT sqlstate text, OUT field text, OUT message text, OUT hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fixed text := (SELECT f.column_name FROM (VALUES (1, 'slot'), (2, 'company_id'), (3, 'currency'), (4, 'tz'), (5, 'charge_kind'), (6, 'tax_class')) f(no, column_name)
		WHERE head->'was' <> 'null' AND head #> ARRAY['was', f.column_name] IS DISTINCT FROM head->f.column_name
			AND EXISTS (SELECT FROM dist.agreement_version v WHERE v.agreement_id = (head->>'agreement_id')::bigint AND v.published_at IS NOT NULL) ORDER BY f.no LIMIT 1);
	missing text := (SELECT m FROM unnest('{slot,currency}'::text[]) m WHERE head->>m IS NULL LIMIT 1);
BEGIN
	IF missing IS NOT NULL AND doc - '{code,status,schema}'::text[] = '{}' THEN
		sqlstate := 'SD001'; field := 'code'; message := format('agreement "%s" is not known', doc->>'code'); hint := 'What was never sent can''t be made inactive: check the code.';
	ELSIF missing IS NOT NULL THEN
		sqlstate := 'SD005'; field := missing; message := format('field "%s" is missing', missing); hint := 'The first document of an agreement must have it; later ones may leave it out.';
	ELSIF doc->>'company' IS NOT NULL AND head->>'company_id' IS NULL THEN
		sqlstate := 'SD001'; field := 'company'; message := format('company "%s" is not known', doc->>'company'); hint := 'Send the company first: distsync.apply(''company'', ...).';
	ELSIF doc->>'vendor' IS NOT NULL AND head->>'vendor_id' IS NULL THEN
		sqlstate := 'SD001'; field := 'vendor'; message := format('vendor "%s" is not known', doc->>'vendor'); hint := 'Send the vendor first: distsync.apply(''party'', ...).';
	ELSIF doc->>'rounding' IS NOT NULL AND NOT EXISTS (SELECT FROM dist.rounding x WHERE x.rounding = doc->>'rounding') THEN
		sqlstate := 'SD001'; field := 'rounding'; message := format('rounding "%s" is not known', doc->>'rounding'); hint := 'Send the rounding first: distsync.apply(''rounding'', ...).';
	ELSIF COALESCE(head->>'charge_kind', head->>'tax_class') IS NOT NULL AND head->>'slot' <> 'charge' THEN
		sqlstate := 'SD002'; field := CASE WHEN head->>'charge_kind' IS NOT NULL THEN 'charge_kind' ELSE 'tax_class' END; message := format('%s stands only in the slot charge, not in %s', field, head->>'slot');
		hint := 'Leave it out, or make the agreement a charge.';
	ELSIF fixed IS NOT NULL THEN
		sqlstate := 'SD052'; field := replace(fixed, '_id', ''); message := format('%s of agreement "%s" cannot change: a version is published', replace(fixed, '_id', ''), doc->>'code');
		hint := 'Leave the field as it was, or make another agreement with a code of its own.';
	ELSIF (doc->>'priority')::numeric NOT BETWEEN -2147483648 AND 2147483647 THEN
		sqlstate := 'SD002'; field := 'priority'; message := format('priority %s is too large', doc->>'priority'); hint := 'Check the value.';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_head(jsonb, jsonb) IS 'First thing wrong with the head and the terms of an agreement document; all NULL where it can be taken. head: of pricing_head().';

-- pricing_assignment_rows does the reading of who a document says may use the agreement.
CREATE FUNCTION distsync_internal.pricing_assignment_rows(doc jsonb, source text, tz text)
RETURNS TABLE (n bigint, d jsonb, who_kind text, who_key text, rank numeric, blocking boolean, valid tstzrange)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH x AS MATERIALIZED (
		SELECT a.ordinality - 1 AS n, a.value AS d, a.value->>'who_kind' AS kind, a.value->>'who' AS who
		FROM jsonb_array_elements(CASE WHEN jsonb_typeof(doc->'assignments') = 'array' THEN doc->'assignments' ELSE '[]' END) WITH ORDINALITY a
	), parties AS MATERIALIZED (
		SELECT * FROM distsync_internal.master_parties(ARRAY(SELECT x.who FROM x WHERE x.kind IN ('customer', 'ship_to', 'job', 'parent')), source)
	), channels AS MATERIALIZED (SELECT * FROM distsync_internal.master_channels(ARRAY(SELECT x.who FROM x WHERE x.kind = 'channel'), source))
	SELECT x.n, x.d, x.kind, CASE WHEN x.kind = 'all' THEN '' WHEN x.kind = 'channel' THEN h.code WHEN x.kind IN ('customer', 'ship_to', 'job', 'parent') THEN p.code ELSE NULLIF(x.who, '') END,
		COALESCE((x.d->>'rank')::numeric, 100), COALESCE((x.d->>'blocking')::boolean, false), distsync_internal.pricing_period(x.d, pricing_assignment_rows.tz)
	FROM x
	LEFT JOIN parties q ON x.kind IN ('customer', 'ship_to', 'job', 'parent') AND q.code = x.who LEFT JOIN dist.party p ON p.party_id = q.id
	LEFT JOIN channels c ON x.kind = 'channel' AND c.code = x.who LEFT JOIN dist.channel h ON h.channel_id = c.id;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_assignment_rows(jsonb, text, text) IS 'Assignments of an agreement document: n from 0, d itself, our codes (NULL = nobody knows it), rank, period.';

-- pricing_check_assignments does the finding of the first thing wrong with them. Groups and classes need not exist yet.
CREATE FUNCTION distsync_internal.pricing_check_assignments(doc jsonb, source text, tz text, OUT sqlstate text, OUT field text, OUT message text, OUT hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	WITH x AS MATERIALIZED (SELECT * FROM distsync_internal.pricing_assignment_rows(doc, source, tz)),
	twin AS (
		SELECT x.n, lag(x.n) OVER w AS before, COALESCE(lower(x.valid), '-infinity') < max(COALESCE(upper(x.valid), 'infinity')) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bad
		FROM x WINDOW w AS (PARTITION BY x.who_kind, x.who_key ORDER BY lower(x.valid) NULLS FIRST, x.n)),
	fault AS (
		SELECT x.n, q.* FROM x JOIN twin t USING (n) CROSS JOIN LATERAL (SELECT * FROM (VALUES
			(1, 'SD005', 'who', format('%s without who', x.who_kind), x.who_kind <> 'all' AND COALESCE(x.d->>'who', '') = ''),
			(2, 'SD002', 'who', 'all names everybody', x.who_kind = 'all' AND COALESCE(x.d->>'who', '') <> ''),
			(3, 'SD001', 'who', format('%s "%s" is not known', x.who_kind, x.d->>'who'), x.who_key IS NULL),
			(4, 'SD002', 'rank', format('rank %s is too large', x.rank), x.rank NOT BETWEEN -2147483648 AND 2147483647),
			(5, 'SD002', 'valid_to', 'valid_to is not after valid_from', isempty(x.valid)),
			(6, 'SD008', 'who', format('assignments[%s] and assignments[%s] name the same buyer at the same time', t.before, t.n), t.bad)
		) v(no, sqlstate, field, problem, bad) WHERE v.bad ORDER BY v.no LIMIT 1) q)
	SELECT f.sqlstate, format('assignments[%s].%s', f.n, f.field), f.problem, 'Correct this assignment, or send what it names first; nothing of the document was taken.'
	INTO sqlstate, field, message, hint FROM fault f ORDER BY f.n LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_assignments(jsonb, text, text) IS 'First assignment of a document that cannot be taken: SQLSTATE, field, message, hint; no value where all can.';

-- pricing_check_agreement does the finding of the first thing wrong with a document.
CREATE FUNCTION distsync_internal.pricing_check_agreement(doc jsonb, source text, codes text[], OUT sqlstate text, OUT field text, OUT message text, OUT hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	head jsonb := distsync_internal.pricing_head(doc, source);
	newest jsonb := distsync_internal.pricing_newest((head->>'agreement_id')::bigint);
	rates distsync_internal.price_rate[];
BEGIN
	SELECT * INTO sqlstate, field, message, hint FROM distsync_internal.pricing_check_head(doc, head);
	IF sqlstate IS NULL AND doc ? 'assignments' THEN
		SELECT * INTO sqlstate, field, message, hint FROM distsync_internal.pricing_check_assignments(doc, source, head->>'tz');
	END IF;
	IF sqlstate IS NULL AND isempty(distsync_internal.pricing_period(doc, head->>'tz', CASE WHEN NOT doc ? 'rates' THEN (newest->>'valid')::tstzrange END)) THEN
		sqlstate := 'SD002'; field := 'valid_to'; message := 'valid_to is not after valid_from'; hint := 'Give a period that contains at least one instant; periods are half-open.';
	END IF;
	IF sqlstate IS NULL THEN
		SELECT 'SD052', f.field, f.problem, 'Leave the term out: docs/charges.md says what this slot decides.' INTO sqlstate, field, message, hint
		FROM distsync_internal.pricing_terms_fault(head->>'slot', distsync_internal.pricing_terms(doc, newest)) f WHERE f.field IS NOT NULL;
	END IF;
	IF sqlstate IS NULL AND (doc->>'publish')::boolean AND source = 'distsync' AND head->>'approval' = 'second_person' THEN
		sqlstate := 'SD052'; field := 'publish'; message := format('agreement "%s" needs the approval of a second person', doc->>'code');
		hint := 'Send it with publish false; then somebody else calls distsync.publish() with approved_by, or distsync.approve().';
	END IF;
	IF sqlstate IS NULL AND doc ? 'rates' THEN
		rates := distsync_internal.pricing_rate_rows(doc, source, head->>'tz');
		SELECT r.sqlstate, r.field, r.problem, 'Correct this rate, or send what it names first; nothing of the document was taken.' INTO sqlstate, field, message, hint
		FROM distsync_internal.pricing_rate_faults(rates, head->>'slot', codes) r WHERE r.sqlstate IS NOT NULL;
	END IF;
	IF sqlstate IS NULL AND cardinality(rates) > distsync_internal.pricing_most_rates()
		AND EXISTS (SELECT FROM unnest(rates) r GROUP BY r.customer_id, r.what_kind, r.what_key HAVING count(*) > distsync_internal.pricing_most_rates()) THEN
		sqlstate := 'SD006'; field := 'rates'; message := format('more than %s rates for one buyer and target', distsync_internal.pricing_most_rates()); hint := 'Spread the rates over several agreements.';
	END IF;
	IF sqlstate IS NULL AND doc ? 'rates' THEN
		SELECT 'SD008', t.field, t.problem, 'Keep one rate for each tier, and one key for each line.' INTO sqlstate, field, message, hint
		FROM distsync_internal.pricing_rate_twins(rates) t WHERE t.field IS NOT NULL;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_check_agreement(jsonb, text, text[]) IS
	'First thing wrong with an agreement document: SQLSTATE, field, message, hint; all NULL where it can be taken. codes: the agreements of the call.';

-- pricing_circles does the search for prices that start from each other. The new edges may be in dist.rate_base already or not.
CREATE FUNCTION distsync_internal.pricing_circles(from_codes text[], to_codes text[]) RETURNS TABLE (code text, base text, message text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE new AS MATERIALIZED (SELECT DISTINCT u.f, u.t FROM unnest(from_codes, to_codes) u(f, t) WHERE u.t IS NOT NULL),
	down AS (
		SELECT n.f AS root, n.f AS at, 0 AS depth FROM new n
		UNION
		SELECT d.root, e.t, d.depth + 1 FROM down d
		CROSS JOIN LATERAL (
			SELECT n.t FROM new n WHERE n.f = d.at
			UNION
			SELECT b.code FROM dist.agreement a JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id AND (v.status IN ('draft', 'approved') OR v.status = 'published' AND upper_inf(v.known))
			JOIN dist.rate_base r ON r.version_id = v.rate_set_id JOIN dist.agreement b ON b.agreement_id = r.base_agreement_id WHERE a.code = d.at) e
		WHERE d.depth < 9
	), up AS (
		SELECT n.f AS root, n.f AS at, 0 AS depth FROM new n
		UNION
		SELECT u.root, e.f, u.depth + 1 FROM up u
		CROSS JOIN LATERAL (
			SELECT n.f FROM new n WHERE n.t = u.at
			UNION
			SELECT a.code FROM dist.agreement b JOIN dist.rate_base r ON r.base_agreement_id = b.agreement_id
			JOIN dist.agreement_version v ON v.rate_set_id = r.version_id AND (v.status IN ('draft', 'approved') OR v.status = 'published' AND upper_inf(v.known))
			JOIN dist.agreement a ON a.agreement_id = v.agreement_id WHERE b.code = u.at) e
		WHERE u.depth < 9
	)
	SELECT d.root, (SELECT min(n.t COLLATE "C") FROM new n WHERE n.f = d.root),
		CASE WHEN bool_or(d.at = d.root AND d.depth > 0) THEN format('circular price reference: the price of agreement "%s" starts from itself', d.root)
			ELSE format('circular price reference, or one more than 8 deep, at agreement "%s"', d.root) END
	FROM down d GROUP BY d.root
	HAVING bool_or(d.at = d.root AND d.depth > 0) OR max(d.depth) + (SELECT max(u.depth) FROM up u WHERE u.root = d.root) > 8
$$;
COMMENT ON FUNCTION distsync_internal.pricing_circles(text[], text[]) IS
	'Agreements among from_codes whose rates, that start from to_codes (arrays of equal length), would lead round to themselves or more than 8 deep over published and draft versions: code, one of its bases, what is wrong (SD053).';
