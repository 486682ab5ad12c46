-- Lists inside master documents: roles and groups of a party; units, identifiers and components of an item. A list that a document has
-- replaces the one before; without it nothing changes.

-- master_check_lists does the finding of codes in lists that nobody knows, and of a base unit that would change under the stock.
CREATE FUNCTION distsync_internal.master_check_lists(target text, docs jsonb, source text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF target = 'item' THEN
		RETURN QUERY SELECT * FROM distsync_internal.master_check_item(docs, source);
	ELSIF target = 'party' THEN
		RETURN QUERY SELECT * FROM distsync_internal.master_check_policy(docs);
	ELSIF target IN ('currency', 'unit') THEN
		RETURN QUERY SELECT r.* FROM jsonb_array_elements(docs) d,
			distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', d -> 'doc' ->> target, 'SD002', target, format('"%s" is no code of a %s', d -> 'doc' ->> target, target),
				CASE target WHEN 'unit' THEN 'Send 1 to 12 letters, digits or . _ / -, for example EA.' ELSE 'Send the ISO 4217 code, three capitals.' END) r
		WHERE d -> 'doc' ->> target !~ CASE target WHEN 'unit' THEN '^[A-Za-z0-9_./-]{1,12}$' ELSE '^[A-Z]{3}$' END;
	ELSIF target = 'calendar' THEN
		RETURN QUERY SELECT r.* FROM jsonb_array_elements(docs) d,
			distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', d -> 'doc' ->> 'code', 'SD002', 'weekdays', 'weekdays must be a list of 1 to 7',
				'Send ISO weekdays, for example [1, 2, 3, 4, 5] for Monday to Friday.') r
		WHERE d -> 'doc' ? 'weekdays' AND d -> 'doc' -> 'weekdays' <> 'null'
			AND NOT COALESCE(d -> 'doc' -> 'weekdays' <@ '[1, 2, 3, 4, 5, 6, 7]' AND jsonb_typeof(d -> 'doc' -> 'weekdays') = 'array', false);
		RETURN QUERY SELECT r.* FROM jsonb_array_elements(docs) d,
			distsync_internal.master_result((d ->> 'ordinal')::integer, 'rejected', d -> 'doc' ->> 'code', 'SD002', 'cut_off', format('"%s" is no time of day', d -> 'doc' ->> 'cut_off'),
				'Send HH:MM, for example 16:00.') r
		WHERE d -> 'doc' ->> 'cut_off' !~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_check_lists(text, jsonb, text) IS 'Rejections of master documents for what their lists and policies say.';

-- master_check_item does that for items.
CREATE FUNCTION distsync_internal.master_check_item(docs jsonb, source text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (SELECT * FROM distsync_internal.master_input('item', docs, source)),
	part AS (
		SELECT i.ordinal, i.key, l.list, e.value, e.n - 1 AS n
		FROM input i CROSS JOIN (VALUES ('units'), ('identifiers'), ('components')) l(list)
		CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(i.doc -> l.list) = 'array' THEN i.doc -> l.list END) WITH ORDINALITY e(value, n)),
	named AS (
		SELECT p.ordinal, p.key, format('%s[%s].%s', p.list, p.n, f.field) AS field, f.kind, p.value ->> f.field AS code
		FROM part p JOIN (VALUES ('units', 'unit', 'unit'), ('identifiers', 'unit', 'unit'), ('identifiers', 'party', 'party'), ('components', 'sku', 'item')) f(list, field, kind)
			ON f.list = p.list AND p.value ->> f.field IS NOT NULL),
	unknown AS (
		SELECT n.* FROM named n JOIN distsync_internal.master_units(ARRAY(SELECT m.code FROM named m WHERE m.kind = 'unit'), source) u ON u.code = n.code WHERE n.kind = 'unit' AND u.id IS NULL
		UNION ALL
		SELECT n.* FROM named n JOIN distsync_internal.master_parties(ARRAY(SELECT m.code FROM named m WHERE m.kind = 'party'), source) u ON u.code = n.code WHERE n.kind = 'party' AND u.id IS NULL
		UNION ALL
		SELECT n.* FROM named n JOIN distsync_internal.master_items(ARRAY(SELECT m.code FROM named m WHERE m.kind = 'item'), source) u ON u.code = n.code
		WHERE n.kind = 'item' AND u.id IS NULL AND NOT EXISTS (SELECT FROM input b WHERE b.key = n.code))
	SELECT r.* FROM unknown u, distsync_internal.master_result(u.ordinal, 'rejected', u.key, CASE WHEN u.kind = 'unit' THEN 'SD004' ELSE 'SD001' END, u.field,
		format('unknown %s "%s"', u.kind, u.code), format('Send the %s first, correct the code, or add a cross-reference for it.', u.kind)) r
	UNION ALL
	SELECT r.* FROM input i JOIN dist.item t ON t.sku = i.key
	JOIN distsync_internal.master_units(ARRAY(SELECT x.doc ->> 'base_unit' FROM input x), source) u ON u.code = i.doc ->> 'base_unit' AND u.id <> t.base_unit,
		distsync_internal.master_result(i.ordinal, 'rejected', i.key, 'SD004', 'base_unit', format('base unit of item "%s" is %s and stays so', i.key, t.base_unit),
		'Stock and prices count in the base unit. Add the new unit to units, or make a new item and name it as successor.') r
	UNION ALL
	-- as many as a price reads: MAX_UNITS of src/pricing/load_item.c
	SELECT r.* FROM input i, distsync_internal.master_result(i.ordinal, 'rejected', i.key, 'SD006', 'units', format('%s units of one item, at most 1024 are taken', jsonb_array_length(i.doc -> 'units')),
		'Leave out units that nobody uses.') r
	WHERE jsonb_typeof(i.doc -> 'units') = 'array' AND jsonb_array_length(i.doc -> 'units') > 1024
$$;
COMMENT ON FUNCTION distsync_internal.master_check_item(jsonb, text) IS 'Rejections of item documents: unknown unit (SD004), party or component (SD001) in a list, too many units (SD006), another base unit (SD004).';

-- master_write_roles does the replacing of party roles.
CREATE FUNCTION distsync_internal.master_write_roles(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, p.party_id, i.doc -> 'roles' AS roles
		FROM distsync_internal.master_input('party', docs, ctx ->> 'source') i JOIN dist.party p ON p.code = i.key WHERE i.doc ? 'roles'),
	wanted AS MATERIALIZED (
		SELECT DISTINCT i.ordinal, i.party_id, r.role FROM input i, jsonb_array_elements_text(CASE WHEN jsonb_typeof(i.roles) = 'array' THEN i.roles END) r(role)),
	gone AS (
		DELETE FROM dist.party_role r USING input i WHERE r.party_id = i.party_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE w.party_id = r.party_id AND w.role = r.role) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.party_role (party_id, role) SELECT w.party_id, w.role FROM wanted w ON CONFLICT DO NOTHING RETURNING party_id)
	SELECT g.ordinal FROM gone g
	UNION
	SELECT i.ordinal FROM come c JOIN input i ON i.party_id = c.party_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_roles(jsonb, jsonb) IS 'Replaces the roles of parties whose documents have some. Returns the ordinals that changed.';

-- master_changed_groups does the finding of the parties whose list of groups differs from what they are members of.
CREATE FUNCTION distsync_internal.master_changed_groups(docs jsonb, source text) RETURNS TABLE (ordinal integer, party_id bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, p.party_id, CASE WHEN jsonb_typeof(i.doc -> 'groups') = 'array' THEN i.doc -> 'groups' ELSE '[]' END AS groups
		FROM distsync_internal.master_input('party', docs, source) i JOIN dist.party p ON p.code = i.key WHERE i.doc ? 'groups'),
	wanted AS MATERIALIZED (
		SELECT DISTINCT i.ordinal, i.party_id, e ->> 'kind' AS kind, e ->> 'code' AS code FROM input i, jsonb_array_elements(i.groups) e),
	held AS MATERIALIZED (
		SELECT i.ordinal, m.party_id, g.kind, g.code FROM input i JOIN dist.party_member m ON m.party_id = i.party_id AND upper_inf(m.known) AND upper_inf(m.valid)
		JOIN dist.party_group g ON g.group_id = m.group_id)
	SELECT DISTINCT d.ordinal, d.party_id FROM ((TABLE wanted EXCEPT TABLE held) UNION ALL (TABLE held EXCEPT TABLE wanted)) d
$$;
COMMENT ON FUNCTION distsync_internal.master_changed_groups(jsonb, text) IS 'Party documents whose groups are not those that the party is a member of now.';

-- master_write_groups does the replacing of memberships: what we held true is closed at the stamp and stays on record; what ends, ends
-- then in business too, so that a price of yesterday still finds it.
CREATE FUNCTION distsync_internal.master_write_groups(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	ordinals integer[];
	parties bigint[];
	t timestamptz;
	since timestamptz;
BEGIN
	SELECT array_agg(c.ordinal), array_agg(c.party_id) INTO ordinals, parties FROM distsync_internal.master_changed_groups(docs, ctx ->> 'source') c;
	IF parties IS NULL THEN
		RETURN;
	END IF;
	t := distsync_internal.base_touch_prices(distsync_internal.base_buckets(parties), '{}');
	since := CASE WHEN (ctx ->> 'backfill')::boolean THEN NULL ELSE t END;
	INSERT INTO dist.party_group (kind, code)
	SELECT DISTINCT g.value ->> 'kind', g.value ->> 'code'
	FROM jsonb_array_elements(docs) d, jsonb_array_elements(CASE WHEN jsonb_typeof(d -> 'doc' -> 'groups') = 'array' THEN d -> 'doc' -> 'groups' END) g
	WHERE NOT EXISTS (SELECT FROM dist.party_group k WHERE k.kind = g.value ->> 'kind' AND k.code = g.value ->> 'code')
	ORDER BY 1, 2 ON CONFLICT DO NOTHING;
	WITH wanted AS MATERIALIZED (
		SELECT DISTINCT p.party_id, g.group_id
		FROM distsync_internal.master_input('party', docs, ctx ->> 'source') i JOIN dist.party p ON p.code = i.key AND p.party_id = ANY (parties)
		CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(i.doc -> 'groups') = 'array' THEN i.doc -> 'groups' END) e
		JOIN dist.party_group g ON g.kind = e ->> 'kind' AND g.code = e ->> 'code'),
	held AS MATERIALIZED (
		SELECT m.party_id, m.group_id, m.valid FROM dist.party_member m WHERE m.party_id = ANY (parties) AND upper_inf(m.known) AND upper_inf(m.valid)),
	gone AS (
		UPDATE dist.party_member m SET known = tstzrange(lower(m.known), t) FROM held h
		WHERE m.party_id = h.party_id AND m.group_id = h.group_id AND m.valid = h.valid AND upper_inf(m.known)
			AND NOT EXISTS (SELECT FROM wanted w WHERE w.party_id = h.party_id AND w.group_id = h.group_id)
		RETURNING m.party_id, m.group_id, lower(m.valid) AS start)
	INSERT INTO dist.party_member (party_id, group_id, valid, known)
	SELECT g.party_id, g.group_id, tstzrange(g.start, t), tstzrange(t, NULL) FROM gone g WHERE g.start IS NULL OR g.start < t
	UNION ALL
	SELECT w.party_id, w.group_id, tstzrange(CASE WHEN o.ended IS NULL THEN since ELSE greatest(t, o.ended) END, NULL), tstzrange(t, NULL)
	FROM wanted w
	LEFT JOIN LATERAL (SELECT max(upper(m.valid)) AS ended FROM dist.party_member m WHERE m.party_id = w.party_id AND m.group_id = w.group_id AND upper_inf(m.known)) o ON true
	WHERE NOT EXISTS (SELECT FROM held h WHERE h.party_id = w.party_id AND h.group_id = w.group_id);
	RETURN QUERY SELECT unnest(ordinals);
END
$$;
COMMENT ON FUNCTION distsync_internal.master_write_groups(jsonb, jsonb) IS
	'Replaces the group memberships of parties whose documents have some; a new one holds from the stamp (backfill: always), an ended one until the stamp; what was held true before stays with its known time. Returns the ordinals that changed.';

-- master_write_units does the replacing of an item's other units.
CREATE FUNCTION distsync_internal.master_write_units(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, p.item_id, p.base_unit, i.doc -> 'units' AS units
		FROM distsync_internal.master_input('item', docs, ctx ->> 'source') i JOIN dist.item p ON p.sku = i.key WHERE i.doc ? 'units'),
	element AS MATERIALIZED (
		SELECT i.ordinal, i.item_id, i.base_unit, e.value, e.n FROM input i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.units) = 'array' THEN i.units END) WITH ORDINALITY e(value, n)),
	wanted AS MATERIALIZED (
		SELECT DISTINCT ON (e.item_id, u.id) e.ordinal, e.item_id, u.id AS unit, (e.value ->> 'numerator')::bigint AS numerator,
			COALESCE((e.value ->> 'denominator')::bigint, 1) AS denominator, (e.value ->> 'sell_multiple')::numeric AS sell_multiple
		FROM element e JOIN distsync_internal.master_units(ARRAY(SELECT x.value ->> 'unit' FROM element x), ctx ->> 'source') u ON u.code = e.value ->> 'unit'
		WHERE u.id <> e.base_unit
		ORDER BY e.item_id, u.id, e.n DESC),
	gone AS (
		DELETE FROM dist.item_unit r USING input i WHERE r.item_id = i.item_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE w.item_id = r.item_id AND w.unit = r.unit) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.item_unit AS o (item_id, unit, numerator, denominator, sell_multiple)
		SELECT w.item_id, w.unit, w.numerator, w.denominator, w.sell_multiple FROM wanted w
		ON CONFLICT (item_id, unit) DO UPDATE SET numerator = excluded.numerator, denominator = excluded.denominator, sell_multiple = excluded.sell_multiple
		WHERE (o.numerator, o.denominator, o.sell_multiple) IS DISTINCT FROM (excluded.numerator, excluded.denominator, excluded.sell_multiple)
		RETURNING item_id)
	SELECT g.ordinal FROM gone g
	UNION
	SELECT i.ordinal FROM come c JOIN input i ON i.item_id = c.item_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_units(jsonb, jsonb) IS 'Replaces the other units of items whose documents have some. Returns the ordinals that changed.';

-- master_write_identifiers does the replacing of an item's other names; a name that another item had moves here.
CREATE FUNCTION distsync_internal.master_write_identifiers(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, p.item_id, i.doc -> 'identifiers' AS identifiers
		FROM distsync_internal.master_input('item', docs, ctx ->> 'source') i JOIN dist.item p ON p.sku = i.key WHERE i.doc ? 'identifiers'),
	element AS MATERIALIZED (
		SELECT i.ordinal, i.item_id, e.value, e.n
		FROM input i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.identifiers) = 'array' THEN i.identifiers END) WITH ORDINALITY e(value, n)),
	wanted AS MATERIALIZED (
		SELECT DISTINCT ON (e.value ->> 'kind', COALESCE(p.id, 0), e.value ->> 'identifier') e.ordinal, e.item_id, e.value ->> 'kind' AS kind,
			COALESCE(p.id, 0) AS party_id, e.value ->> 'identifier' AS identifier, u.id AS unit
		FROM element e
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT x.value ->> 'party' FROM element x), ctx ->> 'source') p ON p.code = e.value ->> 'party'
		LEFT JOIN distsync_internal.master_units(ARRAY(SELECT x.value ->> 'unit' FROM element x), ctx ->> 'source') u ON u.code = e.value ->> 'unit'
		ORDER BY e.value ->> 'kind', COALESCE(p.id, 0), e.value ->> 'identifier', e.ordinal DESC, e.n DESC),
	gone AS (
		DELETE FROM dist.item_identifier r USING input i WHERE r.item_id = i.item_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE (w.kind, w.party_id, w.identifier) = (r.kind, r.party_id, r.identifier)) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.item_identifier AS o (kind, party_id, identifier, item_id, unit)
		SELECT w.kind, w.party_id, w.identifier, w.item_id, w.unit FROM wanted w
		ON CONFLICT (kind, party_id, identifier) DO UPDATE SET item_id = excluded.item_id, unit = excluded.unit
		WHERE (o.item_id, o.unit) IS DISTINCT FROM (excluded.item_id, excluded.unit)
		RETURNING item_id)
	SELECT g.ordinal FROM gone g
	UNION
	SELECT i.ordinal FROM come c JOIN input i ON i.item_id = c.item_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_identifiers(jsonb, jsonb) IS 'Replaces the identifiers of items whose documents have some. Returns the ordinals that changed.';

-- master_write_components does the replacing of a kit's components.
CREATE FUNCTION distsync_internal.master_write_components(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, p.item_id, i.doc -> 'components' AS components
		FROM distsync_internal.master_input('item', docs, ctx ->> 'source') i JOIN dist.item p ON p.sku = i.key WHERE i.doc ? 'components'),
	element AS MATERIALIZED (
		SELECT i.ordinal, i.item_id, e.value, e.n
		FROM input i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.components) = 'array' THEN i.components END) WITH ORDINALITY e(value, n)),
	wanted AS MATERIALIZED (
		SELECT DISTINCT ON (e.item_id, c.id) e.ordinal, e.item_id, c.id AS component_id, (e.value ->> 'quantity')::numeric AS quantity
		FROM element e JOIN distsync_internal.master_items(ARRAY(SELECT x.value ->> 'sku' FROM element x), ctx ->> 'source') c ON c.code = e.value ->> 'sku'
		ORDER BY e.item_id, c.id, e.n DESC),
	gone AS (
		DELETE FROM dist.item_component r USING input i WHERE r.kit_id = i.item_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE w.item_id = r.kit_id AND w.component_id = r.component_id) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.item_component AS o (kit_id, component_id, quantity)
		SELECT w.item_id, w.component_id, w.quantity FROM wanted w
		ON CONFLICT (kit_id, component_id) DO UPDATE SET quantity = excluded.quantity WHERE o.quantity <> excluded.quantity
		RETURNING kit_id)
	SELECT g.ordinal FROM gone g
	UNION
	SELECT i.ordinal FROM come c JOIN input i ON i.item_id = c.kit_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_components(jsonb, jsonb) IS 'Replaces the components of kits whose documents have some. Returns the ordinals that changed.';
