-- Publishing: what the event stock.atp_changed says, read when it is told and not when it was caused. What it says depends on nothing but
-- rows whose changes are captured (src/schema/capture.sql) or marked (mark.sql), so that what was told last is true until the next marker.

-- inventory_shown does what a channel is shown of an availability.
CREATE FUNCTION distsync_internal.inventory_shown(atp numeric, buffer numeric, cap numeric, threshold numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN greatest(0, atp - buffer) < threshold THEN 0 ELSE least(greatest(0, atp - buffer), cap) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_shown(numeric, numeric, numeric, numeric) IS 'Availability less buffer, nothing below the threshold, never above cap (NULL = no cap); base units.';

CREATE TYPE distsync_internal.inventory_offer AS (
	item_id		bigint,
	site_id		bigint,
	code		text,
	company_id	bigint,
	mode		text,
	atp			numeric,
	known_at	timestamptz
);
COMMENT ON TYPE distsync_internal.inventory_offer IS 'What a site (with its code and company) may sell of an item in a mode, base units, and the stamp of the last change of it.';

-- inventory_kits_of does the way from items to the kits that have them in them, as far as some channel sells those.
CREATE FUNCTION distsync_internal.inventory_kits_of(items bigint[]) RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE up AS (
		SELECT c.kit_id, 1 AS depth FROM dist.item_component c WHERE c.component_id = ANY (items)
		UNION
		SELECT c.kit_id, u.depth + 1 FROM up u JOIN dist.item_component c ON c.component_id = u.kit_id WHERE u.depth < 16
	)
	SELECT DISTINCT u.kit_id FROM up u WHERE EXISTS (SELECT FROM dist.channel_item c WHERE c.item_id = u.kit_id)
$$;
COMMENT ON FUNCTION distsync_internal.inventory_kits_of(bigint[]) IS 'Kits in a channel that contain one of these items, directly or in a kit (16 deep at most).';

-- inventory_site_atp does what each site may sell of items and kits, now, in each mode that somebody asks for. A kit is as many as the
-- scarcest of its components allows, where the site has all of them. Streams are doubtful when the clerk has said so. What a pool says
-- is taken as it stands, as inventory_now() would, which has to be asked where it is hot or time has passed it: a courier on a busy
-- server does this all the time.
CREATE FUNCTION distsync_internal.inventory_site_atp(items bigint[], at timestamptz) RETURNS SETOF distsync_internal.inventory_offer
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH part AS MATERIALIZED (
		SELECT i.item_id AS whole_id, i.item_id, 1::numeric AS per, false AS kit, 1::bigint AS parts, i.status = 'active' AS active FROM dist.item i WHERE i.item_id = ANY (items) AND NOT i.kit
		UNION ALL
		SELECT i.item_id, c.item_id, c.per, true, count(*) OVER (PARTITION BY i.item_id), i.status = 'active' AND x.status = 'active' FROM dist.item i CROSS JOIN LATERAL distsync_internal.inventory_components(i.item_id) c JOIN dist.item x ON x.item_id = c.item_id WHERE i.item_id = ANY (items) AND i.kit
	), asked AS MATERIALIZED (
		SELECT u AS whole_id, 'conservative' AS mode FROM unnest(items) u
		UNION SELECT c.item_id, c.mode FROM dist.channel_item c WHERE c.item_id = ANY (items)
	), place AS MATERIALIZED (
		SELECT s.site_id, s.code, s.company_id, EXISTS (SELECT FROM dist.stock_stream v WHERE v.perspective = 'phys' AND v.doubt_site IN (s.site_id, 0)) AS doubtful
		FROM dist.site s WHERE s.can_promise AND s.status = 'active'
	), pool AS MATERIALIZED (
		SELECT x.item_id, x.site_id, x.phys, x.book, x.low + x.backorder_cap - x.held - x.committed AS rest, x.changed_at, x.slots > 0 OR x.valid_until <= inventory_site_atp.at AS past
		FROM (SELECT DISTINCT p.item_id FROM part p) k JOIN dist.stock_pool x ON x.item_id = k.item_id
	), n AS MATERIALIZED (
		SELECT p.item_id, p.site_id, p.phys, p.book, p.rest, p.changed_at FROM pool p WHERE p.past IS NOT TRUE
		UNION ALL
		SELECT m.item_id, m.site_id, m.phys + m.outside, m.book + m.in_flight, m.low + m.backorder - m.held - m.committed, m.known_at
		FROM (SELECT array_agg(q.item_id) AS items, array_agg(q.site_id) AS sites FROM pool q WHERE q.past HAVING count(*) > 0) a
		CROSS JOIN LATERAL distsync_internal.inventory_now(a.items, a.sites, inventory_site_atp.at) m
	), o AS (
		SELECT p.whole_id, p.parts, p.kit, p.per, p.active, l.site_id, l.code, l.company_id, a.mode, n.changed_at, greatest(0, n.rest + CASE a.mode
			WHEN 'conservative' THEN COALESCE(least(n.phys, n.book), 0)
			ELSE distsync_internal.inventory_base(n.phys, n.book, 0, 0, a.mode, CASE WHEN l.doubtful THEN 'stale' END) END) AS atp
		FROM part p JOIN asked a ON a.whole_id = p.whole_id JOIN n ON n.item_id = p.item_id JOIN place l ON l.site_id = n.site_id
	)
	SELECT o.whole_id, o.site_id, o.code, o.company_id, o.mode, min(CASE WHEN NOT o.active THEN 0 WHEN o.kit THEN floor(o.atp / o.per) ELSE o.atp END), max(o.changed_at)
	FROM o GROUP BY o.whole_id, o.parts, o.site_id, o.code, o.company_id, o.mode
	HAVING count(*) = o.parts;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_site_atp(bigint[], timestamptz) IS
	'Availability of items and kits at each site that may promise them, at an instant that is now: base units (kits: whole ones), conservative and in the modes of the channels that sell them (physical | book), without quotas, as channels are told.';

-- inventory_within_share does the cutting of what sites have to the share of a channel, as atp() with option channel does.
CREATE FUNCTION distsync_internal.inventory_within_share(item_id bigint, channel_id bigint, site_ids bigint[], amounts numeric[], everywhere numeric, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
		WITH q AS MATERIALIZED (
			SELECT * FROM distsync_internal.inventory_quota_frees(inventory_within_share.item_id, 0::bigint || site_ids, NULL, inventory_within_share.channel_id, ARRAY[inventory_within_share.at], NULL, inventory_within_share.at) f
		)
		SELECT least((SELECT COALESCE(sum(CASE WHEN q.free IS NOT NULL THEN least(s.atp, q.free) ELSE greatest(0, s.atp - COALESCE(q.aside, 0)) END), 0) FROM unnest(site_ids, amounts) s(site_id, atp) LEFT JOIN q ON q.site_id = s.site_id),
			COALESCE(z.free, greatest(0, everywhere - COALESCE(z.aside, 0))))
		FROM (SELECT) o LEFT JOIN q z ON z.site_id = 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_within_share(bigint, bigint, bigint[], numeric[], numeric, timestamptz) IS
	'What a channel may sell under the quotas of an item, base units, of what sites have (arrays of equal length) and what there is at all sites.';

-- inventory_channels does what each channel is shown of items, out of what sites may sell.
CREATE FUNCTION distsync_internal.inventory_channels(items bigint[], offers distsync_internal.inventory_offer[], at timestamptz) RETURNS TABLE (item_id bigint, channel_id bigint, code text, quantity numeric)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH n AS MATERIALIZED (SELECT o.* FROM unnest(offers) o
	), c AS MATERIALIZED (
		SELECT ci.*, ch.code, ch.company_id, i.kit, distsync_internal.inventory_shared(ci.item_id, i.kit) <> '{}' AS shares
		FROM dist.channel_item ci JOIN dist.channel ch ON ch.channel_id = ci.channel_id JOIN dist.item i ON i.item_id = ci.item_id WHERE ci.item_id = ANY (items)
	), sums AS (
		SELECT c.item_id, c.channel_id, c.code, c.buffer, c.cap, c.threshold, c.shares, c.kit, c.mode, sum(n.atp) AS everywhere, sum(n.atp) FILTER (WHERE n.company_id = c.company_id OR c.company_id IS NULL) AS atp,
			array_agg(n.site_id ORDER BY n.code) FILTER (WHERE n.company_id = c.company_id OR c.company_id IS NULL) AS sites,
			array_agg(n.atp ORDER BY n.code) FILTER (WHERE n.company_id = c.company_id OR c.company_id IS NULL) AS amounts
		FROM c LEFT JOIN n ON n.item_id = c.item_id AND n.mode = c.mode
		GROUP BY c.item_id, c.channel_id, c.code, c.buffer, c.cap, c.threshold, c.shares, c.kit, c.mode
	)
	SELECT s.item_id, s.channel_id, s.code, distsync_internal.inventory_shown(COALESCE(CASE WHEN s.shares AND s.kit AND s.sites IS NOT NULL
		-- what components have set aside is in no number of the kit: it is reckoned as atp() does
		THEN (SELECT least(w.atp, s.atp) FROM distsync_internal.inventory_walk(s.item_id, true, s.sites, inventory_channels.at, jsonb_build_object('mode', s.mode, 'channel_id', s.channel_id, 'customer_id', NULL)) w ORDER BY w.moment LIMIT 1)
		WHEN s.shares AND s.sites IS NOT NULL
		THEN distsync_internal.inventory_within_share(s.item_id, s.channel_id, s.sites, s.amounts, s.everywhere, inventory_channels.at) ELSE s.atp END, 0), s.buffer, s.cap, s.threshold) FROM sums s;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_channels(bigint[], distsync_internal.inventory_offer[], timestamptz) IS 'What each channel that sells one of these items is shown of it, of what sites may sell at an instant that is now, base units.';

-- inventory_render_whole does the rendering of stock.atp_changed, of any item: what each site and each channel may sell now. It adds the kits that channels
-- sell and that have one of the items in them. Of a kit that no channel sells, and of which none was told, there is nothing to say.
CREATE FUNCTION distsync_internal.inventory_render_whole(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := statement_timestamp();
	asked bigint[] := ARRAY(SELECT u::bigint FROM unnest(keys) u WHERE u ~ '^[0-9]{1,18}$');
	items bigint[] := ARRAY(SELECT unnest(asked) UNION SELECT distsync_internal.inventory_kits_of(asked));
	offers distsync_internal.inventory_offer[] := ARRAY(SELECT o FROM distsync_internal.inventory_site_atp(items, at) o);
BEGIN
	RETURN QUERY
	WITH total AS MATERIALIZED (
		SELECT n.item_id, max(n.known_at) AS known_at, trim_scale(sum(n.atp)) AS atp, jsonb_agg(jsonb_build_object('site', n.code, 'atp', trim_scale(n.atp)) ORDER BY n.code COLLATE "C") AS sites
		FROM unnest(offers) n WHERE n.mode = 'conservative' GROUP BY n.item_id
	), shown AS MATERIALIZED (
		SELECT c.item_id, jsonb_agg(jsonb_build_object('channel', c.code, 'quantity', trim_scale(c.quantity)) ORDER BY c.code COLLATE "C") AS channels
		FROM distsync_internal.inventory_channels(items, offers, at) c GROUP BY c.item_id
	)
	SELECT i.item_id::text, i.sku, NULL::bigint, jsonb_build_object('sku', i.sku, 'unit', i.base_unit, 'atp', COALESCE(t.atp, 0), 'known_at', t.known_at, 'sites', COALESCE(t.sites, '[]'), 'channels', COALESCE(s.channels, '[]'))
	FROM dist.item i LEFT JOIN total t ON t.item_id = i.item_id LEFT JOIN shown s ON s.item_id = i.item_id
	WHERE i.item_id = ANY (items) AND (NOT i.kit OR s.channels IS NOT NULL OR EXISTS (SELECT FROM dist.channel_availability a WHERE a.item_id = i.item_id));
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_render_whole(text[]) IS
	'Renderer of stock.atp_changed: keys are item ids, kits that contain them are added; entity_key is the SKU, body {"sku","unit","atp","known_at","sites":[{"site","atp"}],"channels":[{"channel","quantity"}]} in base units; a channel within its quotas. Reads only.';

-- inventory_render does the same, in C where the rows of an item's pools say all there is.
CREATE FUNCTION distsync_internal.inventory_render(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb)
AS 'MODULE_PATHNAME', 'ds_sql_inventory_render' LANGUAGE c STABLE STRICT ROWS 100 SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION distsync_internal.inventory_render(text[]) IS
	'Renderer of stock.atp_changed: keys and rows as inventory_render_whole(), which is asked for what takes more than a few look-ups (kits and what is in them, pools that time has passed, channels that look at one truth or have shares).';

-- inventory_told does the keeping of what channels were told, in the commit that tells them.
CREATE FUNCTION distsync_internal.inventory_told(entity_keys text[], versions bigint[], bodies jsonb[], told_at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	WITH t AS MATERIALIZED (
		-- an item may be told more than once: the last one holds. What could not be rendered tells nothing.
		SELECT DISTINCT ON (i.item_id) i.item_id, u.version, u.body -> 'channels' AS channels
		FROM unnest(entity_keys, versions, bodies) u(sku, version, body) JOIN dist.item i ON i.sku = u.sku WHERE u.body ? 'channels' ORDER BY i.item_id, u.version DESC
	), told AS MATERIALIZED (
		SELECT t.item_id, c.channel_id, (e ->> 'quantity')::numeric AS quantity, t.version FROM t CROSS JOIN LATERAL jsonb_array_elements(t.channels) e JOIN dist.channel c ON c.code = e ->> 'channel'
	), gone AS (
		DELETE FROM dist.channel_availability a USING t
		WHERE a.item_id = t.item_id AND NOT EXISTS (SELECT FROM told o WHERE o.item_id = a.item_id AND o.channel_id = a.channel_id)
	)
	INSERT INTO dist.channel_availability AS a (item_id, channel_id, quantity, version, told_at)
	SELECT o.item_id, o.channel_id, o.quantity, o.version, inventory_told.told_at FROM told o ORDER BY o.item_id, o.channel_id
	ON CONFLICT ON CONSTRAINT channel_availability_pk DO UPDATE SET quantity = excluded.quantity, version = excluded.version, told_at = excluded.told_at;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_told(text[], bigint[], jsonb[], timestamptz) IS 'Handler of kind told for stock.atp_changed: keeps dist.channel_availability. Only the router calls it.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('render', 'stock.atp_changed', 'distsync_internal.inventory_render'),
	('told', 'stock.atp_changed', 'distsync_internal.inventory_told');
