-- Publishing: what the event stock.atp_changed says, read when it is told and not when it was caused.

-- inventory_render does the rendering of stock.atp_changed for items: what each site and each channel may sell now.
CREATE FUNCTION distsync_internal.inventory_render(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := statement_timestamp();
BEGIN
	RETURN QUERY
	WITH k AS MATERIALIZED (
		SELECT i.item_id, i.sku, i.base_unit FROM dist.item i WHERE i.item_id = ANY (ARRAY(SELECT u::bigint FROM unnest(keys) u WHERE u ~ '^[0-9]{1,18}$'))
	), p AS MATERIALIZED (
		SELECT k.item_id, s.site_id, s.code, s.company_id FROM k JOIN dist.stock_pool x ON x.item_id = k.item_id JOIN dist.site s ON s.site_id = x.site_id AND s.can_promise AND s.status = 'active'
	), v AS MATERIALIZED (
		SELECT s.site_id, d.doubt FROM (SELECT DISTINCT p.site_id FROM p) s CROSS JOIN LATERAL distsync_internal.inventory_doubt(s.site_id, at) d
	), n AS MATERIALIZED (
		SELECT p.item_id, p.code, p.company_id, m.known_at, o.mode,
			greatest(0, distsync_internal.inventory_base(m.phys, m.book, m.in_flight, m.outside, o.mode, v.doubt) + m.low + m.backorder - m.held - m.committed) AS atp
		FROM (SELECT array_agg(item_id) AS items, array_agg(site_id) AS sites FROM p) a
		CROSS JOIN LATERAL distsync_internal.inventory_now(a.items, a.sites, at) m
		JOIN p ON p.item_id = m.item_id AND p.site_id = m.site_id
		JOIN v ON v.site_id = p.site_id
		CROSS JOIN (VALUES ('conservative'), ('physical'), ('book')) o(mode)
	), total AS MATERIALIZED (
		SELECT n.item_id, max(n.known_at) AS known_at, sum(n.atp) FILTER (WHERE n.mode = 'conservative') AS atp,
			jsonb_agg(jsonb_build_object('site', n.code, 'atp', n.atp) ORDER BY n.code COLLATE "C") FILTER (WHERE n.mode = 'conservative') AS sites
		FROM n GROUP BY n.item_id
	)
	SELECT k.item_id::text, k.sku, NULL::bigint, jsonb_build_object('sku', k.sku, 'unit', k.base_unit, 'atp', COALESCE(t.atp, 0), 'known_at', t.known_at, 'sites', COALESCE(t.sites, '[]'),
		'channels', COALESCE((SELECT jsonb_agg(jsonb_build_object('channel', c.code, 'quantity', distsync_internal.inventory_shown(
				COALESCE(CASE WHEN EXISTS (SELECT FROM dist.stock_quota q WHERE q.item_id = k.item_id)
					THEN (SELECT o.offer FROM distsync_internal.inventory_quota_offer(k.item_id, ARRAY(SELECT p.site_id FROM p WHERE p.item_id = k.item_id AND (c.company_id IS NULL OR p.company_id = c.company_id)),
						NULL, c.channel_id, at, at, jsonb_build_object('mode', ci.mode)) o)
					ELSE (SELECT sum(n.atp) FROM n WHERE n.item_id = k.item_id AND n.mode = ci.mode AND (c.company_id IS NULL OR n.company_id = c.company_id)) END, 0), ci.buffer, ci.cap, ci.threshold)) ORDER BY c.code COLLATE "C")
			FROM dist.channel_item ci JOIN dist.channel c ON c.channel_id = ci.channel_id WHERE ci.item_id = k.item_id), '[]'))
	FROM k LEFT JOIN total t ON t.item_id = k.item_id;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_render(text[]) IS
	'Renderer of stock.atp_changed: keys are item ids; entity_key is the SKU, body {"sku","unit","atp","known_at","sites":[{"site","atp"}],"channels":[{"channel","quantity"}]} in base units; a channel within its quotas. Reads only.';

-- inventory_shown does what a channel is shown of an availability.
CREATE FUNCTION distsync_internal.inventory_shown(atp numeric, buffer numeric, cap numeric, threshold numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN greatest(0, atp - buffer) < threshold THEN 0 ELSE least(greatest(0, atp - buffer), cap) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shown(numeric, numeric, numeric, numeric) IS 'Availability less buffer, nothing below the threshold, never above cap (NULL = no cap); base units.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('render', 'stock.atp_changed', 'distsync_internal.inventory_render');
