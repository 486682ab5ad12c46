-- Ownership: which system may say what. No row for a domain and company means that every known system may write it.

-- door_owner does the answer for one domain, attribute and company: NULL nobody was named, true the source is an owner, false it is not.
-- Rows for the company decide; where it has none, those for every company do.
CREATE FUNCTION distsync_internal.door_owner(domain text, attribute text, company text, source text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT bool_or(o.system = door_owner.source)
	FROM sync.ownership o
	WHERE o.domain = door_owner.domain AND o.attribute = door_owner.attribute AND o.valid @> clock_timestamp()
	GROUP BY o.company
	HAVING o.company IN (door_owner.company, '*')
	ORDER BY o.company = '*'
	LIMIT 1
$$;
COMMENT ON FUNCTION distsync_internal.door_owner(text, text, text, text) IS 'Whether a source owns an attribute (* = the whole) of a domain for a company code; NULL = nobody was named.';

-- door_ownership does the judgement of a call's documents: refused ones, and the fields that are taken out because they are another's.
CREATE FUNCTION distsync_internal.door_ownership(target text, ctx jsonb, docs jsonb, companies text[]) RETURNS TABLE (ordinal integer, refused boolean, unowned text[], company text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (
		SELECT (d.value ->> 'ordinal')::integer AS ordinal, d.value -> 'doc' AS doc, COALESCE(companies[d.n], ctx ->> 'company', '*') AS company
		FROM jsonb_array_elements(docs) WITH ORDINALITY d(value, n)),
	rule AS MATERIALIZED (
		SELECT c.company, e.key_fields, COALESCE(distsync_internal.door_owner(e.domain, '*', c.company, ctx ->> 'source'), true) AS whole,
			a.mine, a.others
		FROM (SELECT DISTINCT t.company FROM told t) c
		JOIN distsync_internal.document_entity e ON e.entity = target
		CROSS JOIN LATERAL (
			SELECT COALESCE(array_agg(x.attribute) FILTER (WHERE x.owner), '{}') AS mine, COALESCE(array_agg(x.attribute) FILTER (WHERE NOT x.owner), '{}') AS others
			FROM (SELECT o.attribute, distsync_internal.door_owner(e.domain, o.attribute, c.company, ctx ->> 'source') AS owner
				FROM sync.ownership o WHERE o.domain = e.domain AND o.attribute <> '*' GROUP BY o.attribute) x) a),
	judged AS (
		SELECT t.ordinal, t.company, r.whole, p.n AS parts, p.unowned
		FROM told t JOIN rule r USING (company)
		CROSS JOIN LATERAL (
			SELECT count(*) AS n, COALESCE(array_agg(k ORDER BY k COLLATE "C") FILTER (WHERE CASE WHEN r.whole THEN k = ANY (r.others) ELSE k <> ALL (r.mine) END), '{}') AS unowned
			FROM distsync_internal.door_parts(t.doc, r.key_fields) k) p)
	SELECT j.ordinal, CASE WHEN j.parts = 0 OR ctx ->> 'operation' = 'deactivate' THEN NOT j.whole ELSE cardinality(j.unowned) = j.parts END, j.unowned, j.company
	FROM judged j WHERE NOT j.whole OR cardinality(j.unowned) > 0
$$;
COMMENT ON FUNCTION distsync_internal.door_ownership(text, jsonb, jsonb, text[]) IS
	'Documents of a call that the source may not write as they are: refused = none of it, else the fields (unowned) that another system owns.';

-- own does the naming of who owns a domain, from now on; who owned the same before, does so no longer, unless it is shared.
CREATE FUNCTION distsync.own(domain text, system text, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	t timestamptz := clock_timestamp();
	what text := COALESCE(options ->> 'attribute', '*');
	whose text := COALESCE(options ->> 'company', '*');
	as_mode text := COALESCE(options ->> 'mode', CASE WHEN own.system = 'distsync' THEN 'native' ELSE 'mirrored' END);
	ending boolean;
	before jsonb;
BEGIN
	PERFORM distsync_internal.door_check_own(own.domain, own.system, what, whose, as_mode, options);
	ending := COALESCE((options ->> 'end')::boolean, false);
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.own:' || own.domain, 0));
	t := greatest(t, (SELECT max(lower(o.valid)) FROM sync.ownership o WHERE o.domain = own.domain AND o.attribute = what AND o.company = whose) + interval '1 microsecond');
	SELECT jsonb_agg(to_jsonb(o) ORDER BY o.system) INTO before FROM sync.ownership o
	WHERE o.domain = own.domain AND o.attribute = what AND o.company = whose AND upper_inf(o.valid);
	UPDATE sync.ownership o SET valid = tstzrange(lower(o.valid), t)
	WHERE o.domain = own.domain AND o.attribute = what AND o.company = whose AND upper_inf(o.valid)
		AND (o.system = own.system OR NOT ending AND NOT COALESCE((options ->> 'shared')::boolean, false));
	IF ending THEN
		IF NOT FOUND THEN
			PERFORM distsync_internal.door_refuse('SD001', 'system', format('system "%s" does not own "%s"', own.system, own.domain), 'Look into sync.ownership.');
		END IF;
	ELSE
		INSERT INTO sync.ownership (domain, attribute, company, system, mode, steward, valid)
		VALUES (own.domain, what, whose, own.system, as_mode, options ->> 'steward', tstzrange(t, NULL));
	END IF;
	PERFORM distsync_internal.base_audit('own', 'ownership', concat_ws('/', own.domain, what, whose), before,
		(SELECT jsonb_agg(to_jsonb(o) ORDER BY o.system) FROM sync.ownership o WHERE o.domain = own.domain AND o.attribute = what AND o.company = whose AND upper_inf(o.valid)),
		options ->> 'reason');
	RETURN format('%s %s %s%s%s', own.system, CASE WHEN ending THEN 'no longer owns' ELSE 'owns' END, own.domain,
		CASE WHEN what = '*' THEN '' ELSE '.' || what END, CASE WHEN whose = '*' THEN '' ELSE ' of ' || whose END);
END
$$;
COMMENT ON FUNCTION distsync.own(text, text, jsonb) IS
	'Makes a system the owner of a domain from now on: only owners may write it. system: a code of sync.system, or distsync = we are. options: company (code, default every), attribute (a field of the domain, default all), mode mirrored | native, shared (others stay owners), end (it is no owner any more), steward, reason. Audited. Returns a line of text. Errors: SD001 unknown domain, attribute or company, SD022 unknown system, SD005 wrong option.';

-- door_check_own does the check of the arguments of own().
CREATE FUNCTION distsync_internal.door_check_own(domain text, system text, attribute text, company text, mode text, options jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_options(options, '{company:text,attribute:text,mode:text,shared:boolean,end:boolean,steward:text,reason:text}');
	IF NOT EXISTS (SELECT FROM distsync_internal.document_entity e WHERE e.domain = door_check_own.domain) THEN
		PERFORM distsync_internal.door_refuse('SD001', 'domain', format('unknown domain "%s"', domain),
			format('Known: %s.', (SELECT string_agg(DISTINCT e.domain, ', ' ORDER BY e.domain) FROM distsync_internal.document_entity e)));
	ELSIF system IS DISTINCT FROM 'distsync' AND NOT EXISTS (SELECT FROM sync.system s WHERE s.code = door_check_own.system) THEN
		PERFORM distsync_internal.door_refuse('SD022', 'system', format('unknown system "%s"', system), 'Add it with add_system() first, or name "distsync" if the books are yours.');
	ELSIF attribute <> '*' AND NOT EXISTS (SELECT FROM distsync_internal.document_field f JOIN distsync_internal.document_entity e USING (entity)
		WHERE e.domain = door_check_own.domain AND f.field = door_check_own.attribute) THEN
		PERFORM distsync_internal.door_refuse('SD001', 'options.attribute', format('no document of domain "%s" has a field "%s"', domain, attribute), 'Name a field of its documents, or leave it out.');
	ELSIF company <> '*' AND NOT EXISTS (SELECT FROM dist.company c WHERE c.code = door_check_own.company) THEN
		PERFORM distsync_internal.door_refuse('SD001', 'options.company', format('unknown company "%s"', company), 'Send the company first, or leave it out.');
	ELSIF mode NOT IN ('mirrored', 'native') THEN
		PERFORM distsync_internal.door_refuse('SD005', 'options.mode', format('option "mode" can''t be "%s"', mode), 'Send mirrored (its numbers are taken as they are) or native (ours are).');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.door_check_own(text, text, text, text, text, jsonb) IS 'Checks the arguments of own(). Errors: SD001, SD005, SD022 naming the argument.';

INSERT INTO distsync_internal.verb (name, roles) VALUES ('own', '{admin}');

-- door_triggers does the setting of the triggers of this room: who sends and who owns is remembered between calls.
CREATE FUNCTION distsync_internal.door_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.base_watch_codes('sync', 'system');
	PERFORM distsync_internal.base_watch_codes('sync', 'ownership');
END
$$;
COMMENT ON FUNCTION distsync_internal.door_triggers() IS 'Part of setup(): triggers of this room.';
INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'door', 20, 'distsync_internal.door_triggers');
