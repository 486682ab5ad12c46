-- What master data tell the world when they change: the whole document, in codes, so that a listener needs nothing else.

-- master_document_party does the writing of a party's document.
CREATE FUNCTION distsync_internal.master_document_party(party_ids bigint[]) RETURNS TABLE (id bigint, key text, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT p.party_id, p.code, jsonb_build_object('code', p.code, 'name', p.name, 'kind', p.kind, 'parent', a.code, 'payer', y.code, 'currency', p.currency, 'tz', p.tz,
		'price_class', p.price_class, 'segment', p.segment, 'payment_terms', p.payment_terms, 'address', p.address, 'order_policy', p.order_policy, 'status', p.status,
		'roles', (SELECT COALESCE(jsonb_agg(r.role ORDER BY r.role COLLATE "C"), '[]') FROM dist.party_role r WHERE r.party_id = p.party_id),
		'groups', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', g.kind, 'code', g.code) ORDER BY g.kind COLLATE "C", g.code COLLATE "C"), '[]')
			FROM dist.party_member m JOIN dist.party_group g ON g.group_id = m.group_id WHERE m.party_id = p.party_id AND upper_inf(m.known)
				AND m.valid @> greatest(clock_timestamp(), (SELECT e.stamped_at FROM dist.epoch e WHERE e.domain = 'clock'))),
		'ext', p.ext)
	FROM dist.party p
	LEFT JOIN dist.party a ON a.party_id = p.parent_id
	LEFT JOIN dist.party y ON y.party_id = p.payer_id
	WHERE p.party_id = ANY (party_ids)
$$;
COMMENT ON FUNCTION distsync_internal.master_document_party(bigint[]) IS 'Documents of parties as they are now: id, code, document in codes.';

-- master_document_item does the writing of an item's document.
CREATE FUNCTION distsync_internal.master_document_item(item_ids bigint[]) RETURNS TABLE (id bigint, key text, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT i.item_id, i.sku, jsonb_build_object('sku', i.sku, 'name', i.name, 'base_unit', i.base_unit, 'category', c.code, 'brand', i.brand, 'family', i.family,
		'vendor', v.code, 'variant_of', p.sku, 'tax_class', i.tax_class, 'weight', i.weight, 'catch_weight', i.catch_weight, 'lot_controlled', i.lot_controlled,
		'serial_controlled', i.serial_controlled, 'min_shelf_days', i.min_shelf_days, 'kit', i.kit, 'status', i.status,
		'units', (SELECT COALESCE(jsonb_agg(jsonb_build_object('unit', u.unit, 'numerator', u.numerator, 'denominator', u.denominator, 'sell_multiple', u.sell_multiple)
			ORDER BY u.unit COLLATE "C"), '[]') FROM dist.item_unit u WHERE u.item_id = i.item_id),
		'identifiers', (SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', d.kind, 'party', w.code, 'identifier', d.identifier, 'unit', d.unit)
			ORDER BY d.kind COLLATE "C", w.code COLLATE "C", d.identifier COLLATE "C"), '[]')
			FROM dist.item_identifier d LEFT JOIN dist.party w ON w.party_id = d.party_id WHERE d.item_id = i.item_id),
		'components', (SELECT COALESCE(jsonb_agg(jsonb_build_object('sku', k.sku, 'quantity', o.quantity) ORDER BY k.sku COLLATE "C"), '[]')
			FROM dist.item_component o JOIN dist.item k ON k.item_id = o.component_id WHERE o.kit_id = i.item_id),
		'ext', i.ext)
	FROM dist.item i
	LEFT JOIN dist.category c ON c.category_id = i.category_id
	LEFT JOIN dist.party v ON v.party_id = i.vendor_id
	LEFT JOIN dist.item p ON p.item_id = i.variant_of_id
	WHERE i.item_id = ANY (item_ids)
$$;
COMMENT ON FUNCTION distsync_internal.master_document_item(bigint[]) IS 'Documents of items as they are now: id, SKU, document in codes.';

-- master_document_site does the writing of a site's document.
CREATE FUNCTION distsync_internal.master_document_site(site_ids bigint[]) RETURNS TABLE (id bigint, key text, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT s.site_id, s.code, jsonb_build_object('code', s.code, 'name', s.name, 'company', c.code, 'kind', s.kind, 'parent', p.code, 'tz', s.tz, 'calendar', k.code,
		'vendor', v.code, 'can_promise', s.can_promise, 'can_ship', s.can_ship, 'rank', s.rank, 'status', s.status, 'ext', s.ext)
	FROM dist.site s
	JOIN dist.company c ON c.company_id = s.company_id
	LEFT JOIN dist.site p ON p.site_id = s.parent_id
	LEFT JOIN dist.calendar k ON k.calendar_id = s.calendar_id
	LEFT JOIN dist.party v ON v.party_id = s.vendor_id
	WHERE s.site_id = ANY (site_ids)
$$;
COMMENT ON FUNCTION distsync_internal.master_document_site(bigint[]) IS 'Documents of sites as they are now: id, code, document in codes.';

-- master_tell does the emitting of party.changed, item.changed and site.changed, in the order of their codes.
CREATE FUNCTION distsync_internal.master_tell(target text, ids text[], ctx jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
	n integer := 0;
BEGIN
	IF target NOT IN ('party', 'item', 'site') THEN
		RETURN 0;
	END IF;
	-- %I is one of the three names above
	FOR r IN EXECUTE format('SELECT d.id, d.key, d.body FROM distsync_internal.%I($1) d ORDER BY d.key COLLATE "C"', 'master_document_' || target) USING ids::bigint[] LOOP
		PERFORM distsync_internal.base_emit(CASE target WHEN 'item' THEN 'item' ELSE 'customer' END, CASE target WHEN 'site' THEN 0 ELSE r.id END,
			target || '.changed', target, r.key, r.body, (ctx ->> 'correlation_id')::uuid, (ctx ->> 'causation_id')::uuid, ctx ->> 'source');
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_tell(text, text[], jsonb) IS 'Emits <entity>.changed with the document of each row. Returns how many.';

-- master_scope does the listing of what a snapshot may find absent: every row in use whose document contains the scope.
CREATE FUNCTION distsync_internal.master_scope(target text, scope jsonb) RETURNS TABLE (entity_key text, doc jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m distsync_internal.master_table;
BEGIN
	SELECT * INTO m FROM distsync_internal.master_table t WHERE t.entity = target;
	-- %L is a field name of master_table
	RETURN QUERY EXECUTE format('SELECT d.key, jsonb_build_object(%L, d.key) FROM distsync_internal.%I(ARRAY(SELECT t.%I FROM dist.%I t WHERE t.status <> ''inactive'')) d WHERE d.body @> $1',
		m.key_field, 'master_document_' || target, m.id_column, m.table_name) USING scope;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_scope(text, jsonb) IS 'Keys of party, item or site in use whose documents contain the scope ({} = all), each with the document that names it.';

-- master_scope_party does it for party.
CREATE FUNCTION distsync_internal.master_scope_party(scope jsonb, ctx jsonb) RETURNS TABLE (entity_key text, doc jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_scope('party', scope) $$;
COMMENT ON FUNCTION distsync_internal.master_scope_party(jsonb, jsonb) IS 'Scope handler of party snapshots: see master_scope.';

-- master_scope_item does it for item.
CREATE FUNCTION distsync_internal.master_scope_item(scope jsonb, ctx jsonb) RETURNS TABLE (entity_key text, doc jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_scope('item', scope) $$;
COMMENT ON FUNCTION distsync_internal.master_scope_item(jsonb, jsonb) IS 'Scope handler of item snapshots: see master_scope.';

-- master_scope_site does it for site.
CREATE FUNCTION distsync_internal.master_scope_site(scope jsonb, ctx jsonb) RETURNS TABLE (entity_key text, doc jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM distsync_internal.master_scope('site', scope) $$;
COMMENT ON FUNCTION distsync_internal.master_scope_site(jsonb, jsonb) IS 'Scope handler of site snapshots: see master_scope.';
