-- Rules of sourcing: which of several sites serves a line first, as options of a call or as a default for a company and a channel.

-- inventory_sourcing_options does the checking of options.sourcing and preferred, and the turning of sites into ids.
CREATE FUNCTION distsync_internal.inventory_sourcing_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	bad text := CASE
		WHEN options ? 'sourcing' AND (jsonb_typeof(options->'sourcing') <> 'array' OR NOT options->'sourcing' <@ '["whole","preferred","fewest_splits","most_available","rank"]' OR jsonb_array_length(options->'sourcing') NOT BETWEEN 1 AND 5) THEN 'sourcing'
		WHEN options ? 'preferred' AND (jsonb_typeof(options->'preferred') <> 'array' OR jsonb_path_exists(options->'preferred', 'strict $[*] ? (@.type() != "string")') OR jsonb_array_length(options->'preferred') > 100) THEN 'preferred' END;
BEGIN
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('option "%s" cannot be %s', bad, left((options->bad)::text, 80)), COLUMN = 'options.' || bad,
			DETAIL = format('Field: options.%s.', bad), HINT = CASE bad WHEN 'sourcing' THEN 'Send a list of rules: whole, preferred, fewest_splits, most_available, rank.' ELSE 'Send a list of at most 100 site codes.' END;
	END IF;
	IF options ? 'preferred' THEN
		options := options || jsonb_build_object('preferred_ids', (SELECT COALESCE(jsonb_agg(distsync_internal.master_site(p.code, format('options.preferred[%s]', p.n - 1), options->>'source') ORDER BY p.n), '[]')
			FROM jsonb_array_elements_text(options->'preferred') WITH ORDINALITY p(code, n)));
		-- who names sites wants them first
		options := '{"sourcing": ["preferred", "whole", "rank"]}' || options;
	END IF;
	RETURN options;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_sourcing_options(jsonb) IS 'Options with preferred_ids for the sites of preferred, which come first if sourcing does not say otherwise. Errors: SD001 unknown site, SD002 no list of known rules or of sites.';

-- inventory_sourced does the look-up of the default for calls that do not say how sites are chosen.
CREATE FUNCTION distsync_internal.inventory_sourced(lines distsync_internal.inventory_line[], options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
BEGIN
	IF options ?& '{sourcing,preferred_ids}' OR NOT EXISTS (SELECT FROM unnest(lines) u WHERE u.site_id IS NULL) THEN
		RETURN options;
	END IF;
	SELECT s.rules, s.preferred INTO r FROM dist.sourcing_rule s
	WHERE s.company_id IN (0, (options->>'company_id')::bigint) AND s.channel_id IN (0, (options->>'channel_id')::bigint)
	ORDER BY s.company_id = 0, s.channel_id = 0 LIMIT 1;
	RETURN CASE WHEN FOUND THEN jsonb_build_object('sourcing', r.rules, 'preferred_ids', r.preferred) || options ELSE options END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_sourced(distsync_internal.inventory_line[], jsonb) IS 'Options with sourcing and preferred_ids, where they are missing, as the rule of company_id and channel_id says: the most particular one.';

-- inventory_check_sourcing_rule does the finding of what is wrong in documents of sourcing rules.
CREATE FUNCTION distsync_internal.inventory_check_sourcing_rule(docs jsonb, source text) RETURNS TABLE (ordinal integer, doc jsonb, company_id bigint, channel_id bigint, preferred bigint[], fault text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH d AS MATERIALIZED (SELECT (e->>'ordinal')::integer AS ordinal, e->'doc' AS doc FROM jsonb_array_elements(docs) e),
	w AS MATERIALIZED (SELECT d.ordinal, p.code, p.n FROM d CROSS JOIN LATERAL jsonb_array_elements_text(NULLIF(d.doc->'preferred', 'null')) WITH ORDINALITY p(code, n)),
	s AS (SELECT w.ordinal, array_agg(m.id ORDER BY w.n) AS ids, min(w.code COLLATE "C") FILTER (WHERE m.id IS NULL) AS unknown, count(*) AS n
		FROM w LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT DISTINCT x.code FROM w x), inventory_check_sourcing_rule.source) m ON m.code = w.code GROUP BY w.ordinal)
	SELECT d.ordinal, d.doc, y.company_id, c.id, COALESCE(s.ids, '{}'), CASE
		WHEN d.doc->>'company' IS NOT NULL AND y.company_id IS NULL THEN ARRAY['SD001', 'company', format('unknown company "%s"', d.doc->>'company'), 'Send the company first, or correct the code.']
		WHEN d.doc->>'channel' IS NOT NULL AND c.id IS NULL THEN ARRAY['SD001', 'channel', format('unknown channel "%s"', d.doc->>'channel'), 'Send the channel first, correct the code, or add a cross-reference for it.']
		WHEN s.unknown IS NOT NULL THEN ARRAY['SD001', 'preferred', format('unknown site "%s"', s.unknown), 'Send the site first, correct the code, or add a cross-reference for it.']
		WHEN s.n > 100 THEN ARRAY['SD002', 'preferred', format('%s sites are too many', s.n), 'Name at most 100 sites.']
		WHEN cardinality(s.ids) <> (SELECT count(DISTINCT u) FROM unnest(s.ids) u) THEN ARRAY['SD002', 'preferred', 'a site is named twice', 'Name each site once.']
		WHEN jsonb_array_length(NULLIF(d.doc->'rules', 'null')) <> (SELECT count(DISTINCT u) FROM jsonb_array_elements_text(NULLIF(d.doc->'rules', 'null')) u) THEN ARRAY['SD002', 'rules', 'a rule is named twice', 'Name each rule once.'] END
	FROM d LEFT JOIN s ON s.ordinal = d.ordinal
	LEFT JOIN dist.company y ON y.code = d.doc->>'company'
	LEFT JOIN distsync_internal.master_channels(ARRAY(SELECT DISTINCT x.doc->>'channel' FROM d x), inventory_check_sourcing_rule.source) c ON c.code = d.doc->>'channel'
	ORDER BY d.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_sourcing_rule(jsonb, text) IS 'Documents of sourcing_rule with ids and {sqlstate, field, message, hint} of what is wrong with each.';

-- inventory_apply_sourcing_rule does the entity handler of sourcing_rule.
CREATE FUNCTION distsync_internal.inventory_apply_sourcing_rule(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	bad boolean := ctx->>'on_error' IS DISTINCT FROM 'collect' AND EXISTS (SELECT FROM distsync_internal.inventory_check_sourcing_rule(docs, ctx->>'source') c WHERE c.fault IS NOT NULL);
BEGIN
	FOR l IN SELECT * FROM distsync_internal.inventory_check_sourcing_rule(docs, ctx->>'source') c ORDER BY c.company_id, c.channel_id, c.ordinal LOOP
		IF l.fault IS NULL AND NOT bad AND ctx->>'operation' = 'deactivate' THEN
			DELETE FROM dist.sourcing_rule r WHERE r.company_id = COALESCE(l.company_id, 0) AND r.channel_id = COALESCE(l.channel_id, 0);
		ELSIF l.fault IS NULL AND NOT bad THEN
			INSERT INTO dist.sourcing_rule AS r (company_id, channel_id, rules, preferred)
			VALUES (COALESCE(l.company_id, 0), COALESCE(l.channel_id, 0), ARRAY(SELECT jsonb_array_elements_text(NULLIF(l.doc->'rules', 'null'))), l.preferred)
			ON CONFLICT ON CONSTRAINT sourcing_rule_pk DO UPDATE SET rules = CASE WHEN l.doc ? 'rules' THEN excluded.rules ELSE r.rules END, preferred = CASE WHEN l.doc ? 'preferred' THEN excluded.preferred ELSE r.preferred END;
		END IF;
		RETURN NEXT distsync_internal.inventory_result(l.ordinal, concat_ws('/', COALESCE(l.doc->>'company', '*'), COALESCE(l.doc->>'channel', '*')), l.fault);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_sourcing_rule(jsonb, jsonb) IS 'Entity handler of sourcing_rule: which site serves a line first; operation deactivate takes the rule away.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'sourcing_rule', 'distsync_internal.inventory_apply_sourcing_rule');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('sourcing_rule', '{company,channel}', 'stock', 'Which of several sites serves a line first, for a company and a channel.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('sourcing_rule', 'company', 'code', false, 'any', 'Company for which stock is promised, every one if left out.', NULL, false),
	('sourcing_rule', 'channel', 'code', false, 'any', 'Channel through which it is, every one if left out.', NULL, false),
	('sourcing_rule', 'rules', 'list', false, 'any', 'The first rule decides first; after the last one the rank of the site and its code do. Default whole, rank.', '{whole,preferred,fewest_splits,most_available,rank}', false),
	('sourcing_rule', 'preferred', 'list', false, 'any', 'Sites in the order in which the rule preferred wants them.', NULL, false);
