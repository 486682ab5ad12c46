-- More lists inside master documents: days of a calendar, transit times of a carrier, successors of an item. And the names that other
-- systems use for our things.

INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices) VALUES
	('calendar', 'days', 'list', false, 'any', 'Days that differ from the weekly pattern; the list replaces the one before.', NULL),
	('calendar', 'days[].day', 'date', true, 'any', 'The day, in the calendar''s time zone.', NULL),
	('calendar', 'days[].open', 'boolean', true, 'any', 'Whether work is done.', NULL),
	('calendar', 'days[].cut_off', 'code', false, 'any', 'Cut-off of that day, HH:MM; the calendar''s if left out.', NULL),
	('carrier', 'transit', 'list', false, 'any', 'Transit times; the list replaces the one before.', NULL),
	('carrier', 'transit[].site', 'code', true, 'any', 'Code of the site where it starts.', NULL),
	('carrier', 'transit[].zone', 'code', true, 'any', 'Destination: country, or country-region.', NULL),
	('carrier', 'transit[].days', 'integer', true, 'nonnegative', 'Working days of the carrier.', NULL),
	('item', 'successors', 'list', false, 'any', 'Items that follow it or may stand in for it; the list replaces the one before.', NULL),
	('item', 'successors[].sku', 'code', true, 'any', 'The other item.', NULL),
	('item', 'successors[].kind', 'text', false, 'any', 'successor if left out.', '{successor,substitute}'),
	('item', 'successors[].rank', 'integer', false, 'positive', 'Order in which substitutes are tried, 1 if left out.', NULL);

-- master_check_relations does the finding of what is wrong in these lists.
CREATE FUNCTION distsync_internal.master_check_relations(target text, docs jsonb, source text) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (SELECT i.* FROM distsync_internal.master_input(target, docs, source) i WHERE target IN ('calendar', 'carrier', 'item')),
	part AS MATERIALIZED (
		SELECT i.ordinal, i.key, l.list, e.value, e.n - 1 AS n
		FROM input i CROSS JOIN (VALUES ('calendar', 'days'), ('carrier', 'transit'), ('item', 'successors')) l(entity, list)
		CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(i.doc -> l.list) = 'array' THEN i.doc -> l.list END) WITH ORDINALITY e(value, n)
		WHERE l.entity = target),
	fault AS (
		SELECT p.ordinal, p.key, format('days[%s].cut_off', p.n) AS field, 'SD002' AS sqlstate, format('"%s" is no time of day', p.value ->> 'cut_off') AS message,
			'Send HH:MM, for example 16:00.' AS hint
		FROM part p WHERE p.list = 'days' AND p.value ->> 'cut_off' !~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$'
		UNION ALL
		SELECT p.ordinal, p.key, format('transit[%s].days', p.n), 'SD002', format('%s days are too many', p.value ->> 'days'), 'Check the value.'
		FROM part p WHERE p.list = 'transit' AND (p.value ->> 'days')::numeric > 1000
		UNION ALL
		SELECT p.ordinal, p.key, format('transit[%s].site', p.n), 'SD001', format('unknown site "%s"', p.value ->> 'site'), 'Send the site first, correct the code, or add a cross-reference for it.'
		FROM part p JOIN distsync_internal.master_sites(ARRAY(SELECT x.value ->> 'site' FROM part x), source) s ON s.code = p.value ->> 'site' WHERE p.list = 'transit' AND s.id IS NULL
		UNION ALL
		SELECT p.ordinal, p.key, format('successors[%s].rank', p.n), 'SD002', format('rank %s is too large', p.value ->> 'rank'), 'Check the value.'
		FROM part p WHERE p.list = 'successors' AND (p.value ->> 'rank')::numeric > 32767
		UNION ALL
		SELECT p.ordinal, p.key, format('successors[%s].sku', p.n), CASE WHEN s.id IS NULL THEN 'SD001' ELSE 'SD002' END,
			CASE WHEN s.id IS NULL THEN format('unknown item "%s"', p.value ->> 'sku') ELSE format('item "%s" can''t follow itself', p.key) END,
			'Send the other item first, or correct the code.'
		FROM part p JOIN distsync_internal.master_items(ARRAY(SELECT x.value ->> 'sku' FROM part x), source) s ON s.code = p.value ->> 'sku' LEFT JOIN dist.item me ON me.sku = p.key
		WHERE p.list = 'successors' AND (s.id = me.item_id OR s.id IS NULL AND (p.value ->> 'sku' = p.key OR NOT EXISTS (SELECT FROM input b WHERE b.key = p.value ->> 'sku'))))
	SELECT r.* FROM fault f, distsync_internal.master_result(f.ordinal, 'rejected', f.key, f.sqlstate, f.field, f.message, f.hint) r
$$;
COMMENT ON FUNCTION distsync_internal.master_check_relations(text, jsonb, text) IS 'Rejections of calendar, carrier and item documents for what days, transit and successors say.';

-- master_write_days does the replacing of a calendar's days.
CREATE FUNCTION distsync_internal.master_write_days(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, c.calendar_id, i.doc -> 'days' AS days
		FROM distsync_internal.master_input('calendar', docs, ctx ->> 'source') i JOIN dist.calendar c ON c.code = i.key WHERE i.doc ? 'days'),
	wanted AS MATERIALIZED (
		SELECT DISTINCT ON (i.calendar_id, (e.value ->> 'day')::date) i.ordinal, i.calendar_id, (e.value ->> 'day')::date AS day, (e.value ->> 'open')::boolean AS open,
			(e.value ->> 'cut_off')::time AS cut_off
		FROM input i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.days) = 'array' THEN i.days END) WITH ORDINALITY e(value, n)
		ORDER BY i.calendar_id, (e.value ->> 'day')::date, e.n DESC),
	gone AS (
		DELETE FROM dist.calendar_day d USING input i WHERE d.calendar_id = i.calendar_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE w.calendar_id = d.calendar_id AND w.day = d.day) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.calendar_day AS o (calendar_id, day, open, cut_off) SELECT w.calendar_id, w.day, w.open, w.cut_off FROM wanted w
		ON CONFLICT (calendar_id, day) DO UPDATE SET open = excluded.open, cut_off = excluded.cut_off
		WHERE (o.open, o.cut_off) IS DISTINCT FROM (excluded.open, excluded.cut_off) RETURNING calendar_id)
	SELECT g.ordinal FROM gone g UNION SELECT i.ordinal FROM come c JOIN input i ON i.calendar_id = c.calendar_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_days(jsonb, jsonb) IS 'Replaces the special days of calendars whose documents have some. Returns the ordinals that changed.';

-- master_write_transit does the replacing of a carrier's transit times.
CREATE FUNCTION distsync_internal.master_write_transit(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, c.carrier_id, i.doc -> 'transit' AS transit
		FROM distsync_internal.master_input('carrier', docs, ctx ->> 'source') i JOIN dist.carrier c ON c.code = i.key WHERE i.doc ? 'transit'),
	element AS MATERIALIZED (
		SELECT i.ordinal, i.carrier_id, e.value, e.n FROM input i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.transit) = 'array' THEN i.transit END) WITH ORDINALITY e(value, n)),
	wanted AS MATERIALIZED (
		SELECT DISTINCT ON (e.carrier_id, s.id, e.value ->> 'zone') e.carrier_id, s.id AS site_id, e.value ->> 'zone' AS zone, (e.value ->> 'days')::smallint AS days
		FROM element e JOIN distsync_internal.master_sites(ARRAY(SELECT x.value ->> 'site' FROM element x), ctx ->> 'source') s ON s.code = e.value ->> 'site'
		ORDER BY e.carrier_id, s.id, e.value ->> 'zone', e.n DESC),
	gone AS (
		DELETE FROM dist.transit_time t USING input i WHERE t.carrier_id = i.carrier_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE (w.carrier_id, w.site_id, w.zone) = (t.carrier_id, t.site_id, t.zone)) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.transit_time AS o (carrier_id, site_id, zone, days) SELECT w.carrier_id, w.site_id, w.zone, w.days FROM wanted w
		ON CONFLICT (carrier_id, site_id, zone) DO UPDATE SET days = excluded.days WHERE o.days <> excluded.days RETURNING carrier_id)
	SELECT g.ordinal FROM gone g UNION SELECT i.ordinal FROM come c JOIN input i ON i.carrier_id = c.carrier_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_transit(jsonb, jsonb) IS 'Replaces the transit times of carriers whose documents have some. Returns the ordinals that changed.';

-- master_write_successors does the replacing of an item's successors and substitutes.
CREATE FUNCTION distsync_internal.master_write_successors(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer)
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH input AS MATERIALIZED (
		SELECT i.ordinal, p.item_id, i.doc -> 'successors' AS successors
		FROM distsync_internal.master_input('item', docs, ctx ->> 'source') i JOIN dist.item p ON p.sku = i.key WHERE i.doc ? 'successors'),
	element AS MATERIALIZED (
		SELECT i.ordinal, i.item_id, e.value, e.n FROM input i, jsonb_array_elements(CASE WHEN jsonb_typeof(i.successors) = 'array' THEN i.successors END) WITH ORDINALITY e(value, n)),
	wanted AS MATERIALIZED (
		SELECT DISTINCT ON (e.item_id, s.id, COALESCE(e.value ->> 'kind', 'successor')) e.item_id, s.id AS successor_id, COALESCE(e.value ->> 'kind', 'successor') AS kind,
			COALESCE((e.value ->> 'rank')::smallint, 1::smallint) AS rank
		FROM element e JOIN distsync_internal.master_items(ARRAY(SELECT x.value ->> 'sku' FROM element x), ctx ->> 'source') s ON s.code = e.value ->> 'sku'
		ORDER BY e.item_id, s.id, COALESCE(e.value ->> 'kind', 'successor'), e.n DESC),
	gone AS (
		DELETE FROM dist.item_supersession t USING input i WHERE t.item_id = i.item_id
			AND NOT EXISTS (SELECT FROM wanted w WHERE (w.item_id, w.successor_id, w.kind) = (t.item_id, t.successor_id, t.kind)) RETURNING i.ordinal),
	come AS (
		INSERT INTO dist.item_supersession AS o (item_id, successor_id, kind, rank) SELECT w.item_id, w.successor_id, w.kind, w.rank FROM wanted w
		ON CONFLICT (item_id, successor_id, kind) DO UPDATE SET rank = excluded.rank WHERE o.rank <> excluded.rank RETURNING item_id)
	SELECT g.ordinal FROM gone g UNION SELECT i.ordinal FROM come c JOIN input i ON i.item_id = c.item_id
$$;
COMMENT ON FUNCTION distsync_internal.master_write_successors(jsonb, jsonb) IS 'Replaces the successors and substitutes of items whose documents have some. Returns the ordinals that changed.';

UPDATE distsync_internal.master_table SET extras = extras || '{master_write_successors}' WHERE entity = 'item';
UPDATE distsync_internal.master_table SET extras = '{master_write_days}' WHERE entity = 'calendar';
UPDATE distsync_internal.master_table SET extras = '{master_write_transit}' WHERE entity = 'carrier';

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('xref', '{system,entity,external_id}', 'xref', 'What one of our codes is called in another system.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('xref', 'system', 'code', true, 'any', 'Code of the other system.', NULL, false),
	('xref', 'entity', 'text', true, 'any', 'What it is a name for.', NULL, false),
	('xref', 'external_id', 'code', true, 'any', 'Its name there.', NULL, false),
	('xref', 'code', 'code', false, 'any', 'Our code.', NULL, true),
	('xref', 'status', 'text', false, 'any', 'merged: another of our codes stands for it now; retired and candidate are not used.', '{active,merged,retired,candidate}', false);

-- master_apply_xref does the taking of cross-references. Our code need not exist yet: the thing may come after its name.
CREATE FUNCTION distsync_internal.master_apply_xref(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (
		SELECT (d ->> 'ordinal')::integer AS ordinal, d -> 'doc' ->> 'system' AS system, d -> 'doc' ->> 'entity' AS entity, d -> 'doc' ->> 'external_id' AS external_id,
			d -> 'doc' ->> 'code' AS code, CASE WHEN ctx ->> 'operation' = 'deactivate' THEN 'retired' ELSE d -> 'doc' ->> 'status' END AS status
		FROM jsonb_array_elements(docs) d),
	judged AS MATERIALIZED (
		SELECT t.*, COALESCE(t.code, x.code) AS new_code, COALESCE(t.status, x.status, 'active') AS new_status, x.system IS NOT NULL AS held, x.code = COALESCE(t.code, x.code)
			AND x.status = COALESCE(t.status, x.status) AS same,
			CASE WHEN NOT EXISTS (SELECT FROM sync.system y WHERE y.code = t.system) THEN 'system' WHEN t.code IS NULL AND x.code IS NULL THEN 'code' END AS fault
		FROM told t LEFT JOIN sync.xref x ON x.system = t.system AND x.entity = t.entity AND x.external_id = t.external_id),
	written AS (
		INSERT INTO sync.xref AS x (system, entity, external_id, code, status)
		SELECT j.system, j.entity, j.external_id, j.new_code, j.new_status FROM judged j WHERE j.fault IS NULL AND j.same IS NOT TRUE
			AND (ctx ->> 'on_error' = 'collect' OR NOT EXISTS (SELECT FROM judged b WHERE b.fault IS NOT NULL))
		ORDER BY j.system, j.entity, j.external_id
		ON CONFLICT (system, entity, external_id) DO UPDATE SET code = excluded.code, status = excluded.status RETURNING x.system)
	SELECT r.* FROM judged j CROSS JOIN LATERAL distsync_internal.master_result(j.ordinal, CASE WHEN j.fault IS NOT NULL THEN 'rejected' WHEN j.same THEN 'unchanged' ELSE 'applied' END, NULL,
		CASE j.fault WHEN 'system' THEN 'SD001' WHEN 'code' THEN 'SD005' END, j.fault,
		CASE j.fault WHEN 'system' THEN format('unknown system "%s"', j.system) WHEN 'code' THEN 'field "code" is missing' END,
		CASE j.fault WHEN 'system' THEN 'Add it with add_system() first.' WHEN 'code' THEN 'Say which of our codes it means.' END) r
	WHERE (SELECT count(*) FROM written) >= 0
$$;
COMMENT ON FUNCTION distsync_internal.master_apply_xref(jsonb, jsonb) IS 'Entity handler of xref: names that other systems use; deactivate retires one.';
INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'xref', 'distsync_internal.master_apply_xref');
