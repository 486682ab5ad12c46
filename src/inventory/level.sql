-- Levels: how much there is, as a warehouse lists it. A level is a count; a snapshot is a list of all of them at one instant, and what it
-- does not list was not there.

-- inventory_level_scope_of does the reading of the scope of a snapshot of stock.
CREATE FUNCTION distsync_internal.inventory_level_scope_of(scope jsonb, ctx jsonb, OUT site_id bigint, OUT site text, OUT state text, OUT perspective text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fault text[];
BEGIN
	fault := CASE WHEN EXISTS (SELECT FROM jsonb_each(scope) s WHERE s.key NOT IN ('site', 'state', 'perspective') OR jsonb_typeof(s.value) <> 'string') OR NOT scope ? 'site' THEN
		ARRAY['SD005', 'the scope of a snapshot of stock is a site, and perhaps a state and a perspective', 'Send {"site": "DC1"} or {"site": "DC1", "state": "available"}.'] END;
	SELECT m.id, s.code INTO site_id, site FROM distsync_internal.master_sites(ARRAY[scope ->> 'site'], ctx ->> 'source') m JOIN dist.site s ON s.site_id = m.id;
	state := scope ->> 'state';
	perspective := COALESCE(scope ->> 'perspective', CASE WHEN ctx -> 'system' ->> 'kind' IN ('wms', 'third_party') THEN 'phys' WHEN ctx -> 'system' ->> 'kind' = 'erp' THEN 'book' END);
	fault := COALESCE(fault, CASE
		WHEN site_id IS NULL THEN ARRAY['SD001', format('unknown site "%s"', scope ->> 'site'), 'Send the site first, correct the code, or add a cross-reference for it.']
		WHEN state IS NOT NULL AND NOT EXISTS (SELECT FROM dist.stock_state s WHERE s.state = inventory_level_scope_of.state) THEN ARRAY['SD001', format('unknown stock state "%s"', state), 'Use a state of dist.stock_state.']
		WHEN perspective IS NULL OR perspective NOT IN ('book', 'phys') THEN ARRAY['SD005', 'the perspective of the snapshot is not known', 'Say perspective book or phys in the scope: this source is neither an ERP nor a warehouse.'] END);
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = fault[1], MESSAGE = fault[2], DETAIL = 'Field: options.scope.', HINT = fault[3], COLUMN = 'options.scope';
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_level_scope_of(jsonb, jsonb) IS 'Site (id and code), state (NULL = all) and perspective that a snapshot of stock is about. Errors: SD001, SD005 naming options.scope.';

-- inventory_level_key does the key of a level, of our codes: the same for what is listed and for what may be absent.
CREATE FUNCTION distsync_internal.inventory_level_key(site text, sku text, perspective text, state text, lot text, owner text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_build_array(site, sku, perspective, state, lot, owner)::text
$$;
COMMENT ON FUNCTION distsync_internal.inventory_level_key(text, text, text, text, text, text) IS 'Key of a stock_level: a JSON array of site, sku, perspective, state, lot (empty = none), owner (empty = ours).';

-- inventory_level_scope does the listing of what there was, by what we know, at the instant of a snapshot within its scope.
CREATE FUNCTION distsync_internal.inventory_level_scope(scope jsonb, ctx jsonb) RETURNS TABLE (entity_key text, doc jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
	instant timestamptz := (ctx ->> 'as_of')::timestamptz;
BEGIN
	SELECT * INTO o FROM distsync_internal.inventory_level_scope_of(scope, ctx);
	RETURN QUERY
	SELECT distsync_internal.inventory_level_key(o.site, i.sku, b.perspective, b.state, b.lot, COALESCE(p.code, '')),
		jsonb_build_object('sku', i.sku, 'site', o.site, 'perspective', b.perspective, 'state', b.state, 'lot', b.lot, 'quantity', 0) || CASE WHEN p.code IS NULL THEN '{}' ELSE jsonb_build_object('owner', p.code) END
	FROM dist.stock_balance b
	JOIN dist.item i ON i.item_id = b.item_id
	LEFT JOIN dist.party p ON p.party_id = b.owner_id
	WHERE b.site_id = o.site_id AND b.perspective = o.perspective AND (o.state IS NULL OR b.state = o.state)
		AND b.quantity <> CASE WHEN b.last_event_at < instant THEN 0 ELSE COALESCE((SELECT sum(e.quantity) FROM dist.stock_event e
			WHERE e.item_id = b.item_id AND e.site_id = b.site_id AND (e.event_at > instant OR e.event_at = instant AND e.kind NOT IN ('count', 'offset'))
				AND e.perspective = b.perspective AND e.state = b.state AND e.lot = b.lot AND e.owner_id = b.owner_id), 0) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_level_scope(jsonb, jsonb) IS
	'Handler stock_level.scope: balances of a site, perhaps of a state, that were not 0 at as_of, as levels of quantity 0 that would say so. Errors: SD001, SD005 naming options.scope.';

-- inventory_level_events does the turning of levels into counts, with the keys of levels, in our codes as far as they are known.
CREATE FUNCTION distsync_internal.inventory_level_events(docs jsonb, ctx jsonb) RETURNS TABLE (ordinal integer, entity_key text, event jsonb, outside boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o record;
	usual text := CASE WHEN ctx -> 'system' ->> 'kind' IN ('wms', 'third_party') THEN 'phys' WHEN ctx -> 'system' ->> 'kind' = 'erp' THEN 'book' END;
BEGIN
	SELECT NULL::bigint AS site_id, NULL::text AS state, NULL::text AS perspective INTO o;
	IF ctx ? 'scope' THEN
		SELECT s.site_id, s.state, s.perspective INTO o FROM distsync_internal.inventory_level_scope_of(ctx -> 'scope', ctx) s;
	END IF;
	RETURN QUERY
	WITH d AS MATERIALIZED (
		SELECT (e ->> 'ordinal')::integer AS n, e -> 'doc' AS doc, x.* FROM jsonb_array_elements(docs) e
		CROSS JOIN LATERAL jsonb_to_record(e -> 'doc') AS x(sku text, site text, state text, perspective text, lot text, owner text, counted_at text)
	)
	SELECT d.n, k.key, jsonb_strip_nulls(jsonb_build_object('event_id', k.key || '@' || COALESCE(ctx ->> 'snapshot', CASE WHEN ctx ? 'scope' THEN ctx ->> 'as_of' ELSE d.counted_at END), 'kind', 'count',
			'perspective', d.perspective, 'sku', d.sku, 'site', d.site, 'state', d.state, 'lot', d.lot, 'owner', d.owner, 'quantity', d.doc -> 'quantity', 'unit', d.doc -> 'unit', 'expires_on', d.doc -> 'expires_on',
			'event_at', CASE WHEN ctx ? 'scope' THEN ctx ->> 'as_of' ELSE d.counted_at END)),
		(s.id <> o.site_id OR COALESCE(d.state, 'available') <> o.state OR COALESCE(d.perspective, usual) <> o.perspective) IS TRUE
	FROM d
	LEFT JOIN distsync_internal.master_items(ARRAY(SELECT DISTINCT c.sku FROM d c), ctx ->> 'source') i ON i.code = d.sku
	LEFT JOIN dist.item t ON t.item_id = i.id
	LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT DISTINCT c.site FROM d c), ctx ->> 'source') s ON s.code = d.site
	LEFT JOIN dist.site y ON y.site_id = s.id
	LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT DISTINCT c.owner FROM d c), ctx ->> 'source') p ON p.code = d.owner
	LEFT JOIN dist.party w ON w.party_id = p.id
	CROSS JOIN LATERAL (SELECT distsync_internal.inventory_level_key(COALESCE(y.code, d.site), COALESCE(t.sku, d.sku), COALESCE(d.perspective, usual, ''), COALESCE(d.state, 'available'), COALESCE(d.lot, ''), COALESCE(w.code, d.owner, ''))) k(key);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_level_events(jsonb, jsonb) IS
	'stock_level documents as counts (stock_event documents): at as_of of the snapshot, or counted_at. The event_id is the key and the name of the snapshot, or the instant. outside: not within the scope.';

-- inventory_zeroes_too_many does the guard against a list that is not whole: so much of the stock of a scope is not lost at once.
CREATE FUNCTION distsync_internal.inventory_zeroes_too_many(absent bigint, ctx jsonb, sample jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most numeric := COALESCE(NULLIF(current_setting('distsync.snapshot_zero_share', true), '')::numeric, 30);
	o record;
	known bigint;
	trace text;
BEGIN
	SELECT * INTO o FROM distsync_internal.inventory_level_scope_of(ctx -> 'scope', ctx);
	trace := concat_ws(':', ctx ->> 'source', o.site, o.perspective, o.state);
	SELECT greatest(count(*), absent) INTO known FROM dist.stock_balance b WHERE b.site_id = o.site_id AND b.perspective = o.perspective AND (o.state IS NULL OR b.state = o.state) AND b.quantity <> 0;
	IF absent <= 10 OR absent * 100 <= known * most OR COALESCE((ctx ->> 'allow_empty')::boolean, false) THEN
		PERFORM distsync_internal.base_exception_close('snapshot_zeroes', trace, 'a later snapshot was taken');
		RETURN false;
	END IF;
	PERFORM distsync_internal.base_exception('snapshot_zeroes', trace, 'stock', 'error', (SELECT c.code FROM dist.site s JOIN dist.company c ON c.company_id = s.company_id WHERE s.site_id = o.site_id), 'site', o.site,
		jsonb_strip_nulls(jsonb_build_object('source', ctx ->> 'source', 'site', o.site, 'perspective', o.perspective, 'state', o.state, 'as_of', ctx ->> 'as_of', 'snapshot', ctx ->> 'snapshot', 'absent', absent, 'known', known,
			'share_allowed', most, 'sample', sample)), absent, NULL, NULL, (ctx ->> 'correlation_id')::uuid);
	RETURN true;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_zeroes_too_many(bigint, jsonb, jsonb) IS
	'Whether a snapshot would count more balances to 0 than the share of those in its scope that distsync.snapshot_zero_share (percent) allows, more than 10, and nobody said allow_empty: then the exception snapshot_zeroes is open, else closed.';

-- inventory_apply_levels does the entity handler of stock_level.
CREATE FUNCTION distsync_internal.inventory_apply_levels(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	events jsonb;
	keys jsonb;
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		RETURN QUERY SELECT (d ->> 'ordinal')::integer, 'rejected', NULL::text, 'SD005', 'options.operation', 'stock is not deactivated', 'Count it: send quantity 0.', NULL::jsonb FROM jsonb_array_elements(docs) d;
		RETURN;
	ELSIF ctx ->> 'operation' = 'zero' AND distsync_internal.inventory_zeroes_too_many(jsonb_array_length(docs), ctx, (SELECT jsonb_agg((d -> 'doc') - 'quantity'::text) FROM (SELECT d FROM jsonb_array_elements(docs) d LIMIT 10) x)) THEN
		RETURN QUERY SELECT (d ->> 'ordinal')::integer, 'rejected', NULL::text, 'SD006', 'options.absent', format('the snapshot would count %s balances to 0', jsonb_array_length(docs)),
			'Look at the snapshot, and send the missing levels; if they are really gone, send it again with allow_empty: true.', NULL::jsonb FROM jsonb_array_elements(docs) d;
		RETURN;
	END IF;
	SELECT jsonb_agg(jsonb_build_object('ordinal', e.ordinal, 'doc', e.event) ORDER BY e.ordinal) FILTER (WHERE NOT e.outside), jsonb_object_agg(e.ordinal, e.entity_key) INTO events, keys
	FROM distsync_internal.inventory_level_events(docs, ctx) e;
	RETURN QUERY SELECT (d ->> 'ordinal')::integer, 'rejected', keys ->> (d ->> 'ordinal'), 'SD002', 'site', 'the level is not within the scope of the snapshot', 'Send it in a snapshot of its own site and state.', NULL::jsonb
	FROM jsonb_array_elements(docs) d WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(events) e WHERE e -> 'ordinal' = d -> 'ordinal');
	IF events IS NOT NULL THEN
		RETURN QUERY SELECT r.ordinal, r.outcome, keys ->> r.ordinal::text, r.sqlstate, CASE r.field WHEN 'event_at' THEN 'counted_at' WHEN 'event_id' THEN 'quantity' ELSE r.field END, r.message, r.hint, r.detail
		FROM distsync_internal.inventory_apply_events(events, ctx) r;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_levels(jsonb, jsonb) IS
	'Entity handler of stock_level: each is a count. Of a snapshot, levels that are absent are counted as 0 at as_of (operation zero), unless too many are: then each is rejected (SD006) and the exception snapshot_zeroes is open.';

-- inventory_level_barrier does the noting of a snapshot that is whole: what is told later of the time before must not come back.
CREATE FUNCTION distsync_internal.inventory_level_barrier(context jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF context ->> 'absent' = 'zero' THEN
		INSERT INTO dist.stock_barrier (site_id, perspective, state, as_of, source, snapshot)
		SELECT o.site_id, o.perspective, COALESCE(o.state, ''), (context ->> 'as_of')::timestamptz, context ->> 'source', COALESCE(context ->> 'snapshot', context ->> 'as_of')
		FROM distsync_internal.inventory_level_scope_of(context -> 'scope', context) o
		ON CONFLICT DO NOTHING;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_level_barrier(jsonb) IS 'Hook snapshot.stock_level: notes in dist.stock_barrier that what the snapshot did not list was 0 at its instant.';

-- inventory_barriers does the counts of 0 that snapshots mean for keys that nobody knew of when they were taken: an event of the time
-- before, told now, needs the count that comes after it.
CREATE FUNCTION distsync_internal.inventory_barriers(movements distsync_internal.inventory_movement[]) RETURNS distsync_internal.inventory_movement[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM dist.stock_barrier) THEN
		RETURN '{}';
	END IF;
	RETURN ARRAY(SELECT ROW(x.ordinal, x.item_id, x.site_id, x.perspective, x.state, x.lot, x.owner_id, 'count', NULL, 0, x.as_of, x.by_source, '', NULL, NULL, 'absent@' || x.snapshot, NULL, NULL, x.correlation_id)::distsync_internal.inventory_movement
		FROM (SELECT DISTINCT ON (m.item_id, m.site_id, m.perspective, m.state, m.lot, m.owner_id, y.as_of) m.*, y.as_of, y.source AS by_source, y.snapshot
			FROM unnest(movements) m
			CROSS JOIN LATERAL (SELECT b.as_of, b.source, b.snapshot FROM dist.stock_barrier b WHERE b.site_id = m.site_id AND b.perspective = m.perspective AND b.state IN ('', m.state)
				AND (b.as_of > m.event_at OR b.as_of = m.event_at AND m.kind <> 'count') ORDER BY b.as_of, b.state LIMIT 1) y
			WHERE NOT EXISTS (SELECT FROM dist.stock_event c WHERE c.item_id = m.item_id AND c.site_id = m.site_id AND c.event_at BETWEEN m.event_at AND y.as_of AND (c.event_at > m.event_at OR m.kind <> 'count') AND c.kind = 'count'
					AND c.perspective = m.perspective AND c.state = m.state AND c.lot = m.lot AND c.owner_id = m.owner_id)
				AND NOT EXISTS (SELECT FROM unnest(movements) c WHERE c.kind = 'count' AND c.event_at BETWEEN m.event_at AND y.as_of AND (c.event_at > m.event_at OR m.kind <> 'count') AND c.item_id = m.item_id AND c.site_id = m.site_id
					AND c.perspective = m.perspective AND c.state = m.state AND c.lot = m.lot AND c.owner_id = m.owner_id)
			ORDER BY m.item_id, m.site_id, m.perspective, m.state, m.lot, m.owner_id, y.as_of, m.ordinal) x);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_barriers(distsync_internal.inventory_movement[]) IS
	'Counts of 0, as movements, at the next snapshot after each of these movements that has no count between the two: whatever had such a key was not listed by it.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('entity', 'stock_level', 'distsync_internal.inventory_apply_levels'),
	('entity', 'stock_level.scope', 'distsync_internal.inventory_level_scope'),
	('hook', 'snapshot.stock_level', 'distsync_internal.inventory_level_barrier');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description, timed) VALUES
	('stock_level', '{site,sku}', 'stock', 'How much there is of an item at a site: a count, alone or in a snapshot in which what is absent is 0.', false);
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices) VALUES
	('stock_level', 'sku', 'code', true, 'any', 'Item.', NULL),
	('stock_level', 'site', 'code', true, 'any', 'Site.', NULL),
	('stock_level', 'perspective', 'code', false, 'any', 'Whose truth it is: book (ERP) or phys (warehouse). Default: by the kind of the system.', '{book,phys}'),
	('stock_level', 'state', 'code', false, 'any', 'Stock state, default available.', NULL),
	('stock_level', 'lot', 'name', false, 'any', 'Lot or serial number.', NULL),
	('stock_level', 'owner', 'code', false, 'any', 'Party that owns it, where it is not ours.', NULL),
	('stock_level', 'quantity', 'quantity', true, 'nonnegative', 'What was found.', NULL),
	('stock_level', 'unit', 'unit', false, 'any', 'Unit of the quantity, default the base unit.', NULL),
	('stock_level', 'counted_at', 'instant', false, 'any', 'When it was counted; in a snapshot as_of says it.', NULL),
	('stock_level', 'expires_on', 'date', false, 'any', 'Expiry of the lot.', NULL);
