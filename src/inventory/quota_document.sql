-- Quotas as documents: what is set aside of an item, for whom, where, and when.

-- inventory_check_quota does the finding of what is wrong in documents of quotas.
CREATE FUNCTION distsync_internal.inventory_check_quota(docs jsonb, source text)
RETURNS TABLE (ordinal integer, doc jsonb, item_id bigint, site_id bigint, scope_key text, period tstzrange, quantity numeric, fault text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.ordinal, r.doc, r.item_id, COALESCE(r.site_id, 0), k.key, CASE WHEN t.ends <= t.starts THEN NULL ELSE tstzrange(t.starts, t.ends) END, q.quantity, COALESCE(r.fault, CASE
		WHEN k.key IS NULL THEN ARRAY['SD001', 'scope_key', format('unknown %s "%s"', r.doc->>'scope_kind', r.doc->>'scope_key'), 'Send it first, correct the code, or add a cross-reference for it.']
		WHEN t.ends <= t.starts THEN ARRAY['SD002', 'valid_to', 'a quota ends after it begins', 'Correct valid_from or valid_to.']
		WHEN r.doc->>'quantity' IS NOT NULL AND q.quantity IS NULL THEN ARRAY['SD002', 'quantity', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
		WHEN q.quantity < old.used THEN ARRAY['SD002', 'quantity', format('%s are promised from it already', trim_scale(old.used)), 'Send at least so much, or release promises first.']
		WHEN old.quota_id IS NULL AND q.quantity IS NULL THEN ARRAY['SD005', 'quantity', 'field "quantity" is missing', 'The first document of a quota must have it.'] END)
	FROM distsync_internal.inventory_read_lines(docs, inventory_check_quota.source) r
	CROSS JOIN LATERAL (SELECT distsync_internal.master_exact((r.doc->>'quantity')::numeric, r.numerator, r.denominator) AS quantity) q
	CROSS JOIN LATERAL (SELECT (r.doc->>'valid_from')::timestamptz AS starts, (r.doc->>'valid_to')::timestamptz AS ends) t
	CROSS JOIN LATERAL (SELECT CASE r.doc->>'scope_kind' WHEN 'collective' THEN '*'
		WHEN 'customer' THEN (SELECT p.code FROM distsync_internal.master_parties(ARRAY[r.doc->>'scope_key'], inventory_check_quota.source) m JOIN dist.party p ON p.party_id = m.id)
		WHEN 'channel' THEN (SELECT c.code FROM distsync_internal.master_channels(ARRAY[r.doc->>'scope_key'], inventory_check_quota.source) m JOIN dist.channel c ON c.channel_id = m.id)
		WHEN 'region' THEN (SELECT g.code FROM dist.party_group g WHERE g.kind = 'region' AND g.code = r.doc->>'scope_key') END AS key) k
	LEFT JOIN LATERAL (SELECT o.quota_id, distsync_internal.inventory_quota_used(o.item_id, o.quota_id, clock_timestamp()) AS used FROM dist.stock_quota o
		WHERE o.item_id = r.item_id AND o.site_id = COALESCE(r.site_id, 0) AND o.scope_kind = r.doc->>'scope_kind' AND o.scope_key = k.key AND lower(o.period) IS NOT DISTINCT FROM t.starts) old ON true
	ORDER BY r.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_quota(jsonb, text) IS 'Documents of stock_quota with ids, our codes, base units, and {sqlstate, field, message, hint} of what is wrong with each.';

-- inventory_write_quota does the writing of one quota.
CREATE FUNCTION distsync_internal.inventory_write_quota(doc jsonb, item_id bigint, site_id bigint, scope_key text, period tstzrange, quantity numeric, off boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF off THEN
		DELETE FROM dist.stock_quota_shipped s USING dist.stock_quota q WHERE s.item_id = q.item_id AND s.quota_id = q.quota_id AND q.item_id = inventory_write_quota.item_id AND q.site_id = inventory_write_quota.site_id
			AND q.scope_kind = doc->>'scope_kind' AND q.scope_key = inventory_write_quota.scope_key AND lower(q.period) IS NOT DISTINCT FROM lower(inventory_write_quota.period);
		DELETE FROM dist.stock_quota q WHERE q.item_id = inventory_write_quota.item_id AND q.site_id = inventory_write_quota.site_id AND q.scope_kind = doc->>'scope_kind' AND q.scope_key = inventory_write_quota.scope_key
			AND lower(q.period) IS NOT DISTINCT FROM lower(inventory_write_quota.period);
		RETURN;
	END IF;
	UPDATE dist.stock_quota q SET quantity = COALESCE(inventory_write_quota.quantity, q.quantity), consumed = distsync_internal.inventory_quota_used(q.item_id, q.quota_id, clock_timestamp()), period = CASE WHEN doc ? 'valid_to' THEN inventory_write_quota.period ELSE q.period END, turns_at = '-infinity'
	WHERE q.item_id = inventory_write_quota.item_id AND q.site_id = inventory_write_quota.site_id AND q.scope_kind = doc->>'scope_kind' AND q.scope_key = inventory_write_quota.scope_key
		AND lower(q.period) IS NOT DISTINCT FROM lower(inventory_write_quota.period);
	IF NOT FOUND THEN
		INSERT INTO dist.stock_quota (item_id, site_id, scope_kind, scope_key, period, quantity)
		VALUES (inventory_write_quota.item_id, inventory_write_quota.site_id, doc->>'scope_kind', inventory_write_quota.scope_key, inventory_write_quota.period, inventory_write_quota.quantity);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write_quota(jsonb, bigint, bigint, text, tstzrange, numeric, boolean) IS 'Inserts, changes or (off) deletes one quota, base units.';

-- inventory_apply_quota does the entity handler of stock_quota. The pools of the item are derived anew, because they say that there are
-- quotas.
CREATE FUNCTION distsync_internal.inventory_apply_quota(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	l record;
	kinds bigint[];
	items bigint[];
	sites bigint[];
	bad boolean;
BEGIN
	SELECT array_agg(DISTINCT c.item_id) FILTER (WHERE c.fault IS NULL), bool_or(c.fault IS NOT NULL) AND ctx->>'on_error' IS DISTINCT FROM 'collect' INTO kinds, bad
	FROM distsync_internal.inventory_check_quota(docs, source) c;
	IF kinds IS NOT NULL AND NOT bad THEN
		-- whoever brings the first quota of an item has no row to lock: the class of the item is locked for all
		PERFORM pg_advisory_xact_lock(hashtext('distsync.quota'), (u & 4095)::integer) FROM (SELECT DISTINCT k & 4095 AS u FROM unnest(kinds) k ORDER BY 1) c;
		PERFORM distsync_internal.inventory_quota_lock(kinds);
		SELECT array_agg(p.item_id), array_agg(p.site_id) INTO items, sites FROM dist.stock_pool p WHERE p.item_id = ANY (kinds);
		IF items IS NOT NULL THEN
			PERFORM distsync_internal.inventory_lock(items, sites);
		END IF;
	END IF;
	FOR l IN SELECT * FROM distsync_internal.inventory_check_quota(docs, source) LOOP
		IF l.fault IS NULL AND NOT bad THEN
			PERFORM distsync_internal.inventory_write_quota(l.doc, l.item_id, l.site_id, l.scope_key, l.period, l.quantity, ctx->>'operation' = 'deactivate');
		END IF;
		RETURN NEXT distsync_internal.inventory_result(l.ordinal, concat_ws('/', l.doc->>'sku', l.doc->>'site', l.doc->>'scope_kind', l.doc->>'scope_key'), l.fault);
	END LOOP;
	IF items IS NOT NULL AND NOT bad THEN
		PERFORM distsync_internal.inventory_refresh(items, sites, (ctx->>'correlation_id')::uuid);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_quota(jsonb, jsonb) IS 'Entity handler of stock_quota: a share of an item that is set aside; operation deactivate takes it away.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'stock_quota', 'distsync_internal.inventory_apply_quota');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('stock_quota', '{sku,site,scope_kind,scope_key,valid_from}', 'stock', 'A share of an item that is set aside for a customer, a channel or a region, or collectively for all who have none.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('stock_quota', 'sku', 'code', true, 'any', 'Item.', NULL, false),
	('stock_quota', 'site', 'code', false, 'any', 'Site, all sites together if left out.', NULL, false),
	('stock_quota', 'scope_kind', 'code', true, 'any', 'For whom: a customer with those below it, a channel, a region (group of parties), or all who have no share.', '{customer,channel,region,collective}', false),
	('stock_quota', 'scope_key', 'code', false, 'any', 'Code of the customer, channel or region; none for collective.', NULL, false),
	('stock_quota', 'unit', 'unit', false, 'any', 'Unit of the quantity, default the base unit.', NULL, false),
	('stock_quota', 'quantity', 'quantity', false, 'nonnegative', 'How much is set aside, with what is consumed of it.', NULL, true),
	('stock_quota', 'valid_from', 'instant', false, 'any', 'From when on, always if left out.', NULL, false),
	('stock_quota', 'valid_to', 'instant', false, 'any', 'Until when, for ever if left out.', NULL, false);
