-- What pricing tells others of what is written, and what must always hold.

-- pricing_render does the rendering of price.changed: what was written, whom and what it may concern, and of an agreement what it holds now.
CREATE FUNCTION distsync_internal.pricing_render(keys text[]) RETURNS TABLE (key text, entity_key text, customer_id bigint, body jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT k, k, 0::bigint, jsonb_build_object('change', c.change_id, 'at', c.at, 'cause', c.cause, 'scope', s.scope, 'truncated', s.scope @> '[{"truncated": true}]')
		|| CASE WHEN a.code IS NULL THEN '{}' ELSE jsonb_build_object('agreement', a.code, 'slot', a.slot, 'currency', a.currency, 'status', a.status,
			'changed', (SELECT COALESCE(jsonb_agg(v.version_no ORDER BY v.version_no), '[]') FROM dist.agreement_version v WHERE v.version_id = ANY (c.version_ids)),
			'versions', (SELECT COALESCE(jsonb_agg(jsonb_build_object('version', v.version_no, 'valid_from', lower(v.valid), 'valid_to', upper(v.valid), 'published_at', v.published_at, 'sha256', encode(v.content_sha256, 'hex'))
				ORDER BY v.version_no), '[]') FROM dist.agreement_version v WHERE v.agreement_id = a.agreement_id AND v.status = 'published' AND upper_inf(v.known))) END
	FROM unnest(keys) k JOIN dist.price_change c ON c.change_id = k::bigint LEFT JOIN dist.agreement a ON a.agreement_id = c.agreement_id
	CROSS JOIN LATERAL (SELECT distsync_internal.pricing_change_scope(c.change_id) AS scope) s
	WHERE s.scope <> '[]'
$$;
COMMENT ON FUNCTION distsync_internal.pricing_render(text[]) IS
	'Renderer of price.changed: keys are change ids of dist.price_change; nothing where nobody is concerned. Data: change, at, cause, scope [{"buyers","buyer_count","items","item_count","truncated"}], truncated; of an agreement also agreement, slot, currency, status, changed (version numbers) and the versions it holds true now.';

-- pricing_verify does the check of what must always hold for prices.
CREATE FUNCTION distsync_internal.pricing_verify() RETURNS TABLE (invariant text, entity text, entity_key text, detail jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'price.content', 'agreement', a.code, jsonb_build_object('version', v.version_no, 'stored', encode(v.content_sha256, 'hex'))
	FROM dist.agreement_version v JOIN dist.agreement a ON a.agreement_id = v.agreement_id
	WHERE v.status = 'published' AND v.content_sha256 IS DISTINCT FROM distsync_internal.pricing_hash(v.rate_set_id)
	UNION ALL
	SELECT 'price.rate_owner', 'agreement_version', r.version_id::text, jsonb_build_object('rates', count(*))
	FROM dist.customer_rate r WHERE NOT EXISTS (SELECT FROM dist.agreement_version v WHERE v.version_id = r.version_id) GROUP BY r.version_id
	UNION ALL
	SELECT 'price.rate_owner', 'agreement_version', r.version_id::text, jsonb_build_object('rates', count(*))
	FROM dist.book_rate r WHERE NOT EXISTS (SELECT FROM dist.agreement_version v WHERE v.version_id = r.version_id) GROUP BY r.version_id
	UNION ALL
	SELECT 'price.rate_customer', 'party', r.customer_id::text, jsonb_build_object('rates', count(*))
	FROM dist.customer_rate r WHERE NOT EXISTS (SELECT FROM dist.party p WHERE p.party_id = r.customer_id) GROUP BY r.customer_id
	UNION ALL
	SELECT 'price.rate_part', 'agreement_version', COALESCE(s.set_id, p.version_id)::text, jsonb_build_object('customer_id', COALESCE(s.customer_id, p.customer_id), 'rates', s.rates, 'told', p.rates,
		'filter', s.filter IS NOT DISTINCT FROM p.filter, 'held', s.held, 'ended_at', p.ended_at)
	FROM (
		SELECT v.set_id, r.customer_id, v.held, count(*) AS rates, bool_or(r.dated) AS dated, array_agg(DISTINCT t.what_kind ORDER BY t.what_kind) AS what_kinds,
			distsync_internal.pricing_filter(array_agg(DISTINCT r.target_id)) AS filter
		FROM (SELECT x.rate_set_id AS set_id, bool_or(x.status = 'published' AND upper_inf(x.known)) AS held FROM dist.agreement_version x WHERE x.published_at IS NOT NULL GROUP BY 1) v
		JOIN (SELECT c.version_id, c.customer_id, c.target_id, c.valid_from IS NOT NULL OR c.valid_to IS NOT NULL AS dated FROM dist.customer_rate c
			UNION ALL SELECT b.version_id, 0, b.target_id, b.valid_from IS NOT NULL OR b.valid_to IS NOT NULL FROM dist.book_rate b) r ON r.version_id = v.set_id
		JOIN dist.target t ON t.target_id = r.target_id
		GROUP BY 1, 2, 3
	) s FULL JOIN dist.rate_part p ON p.version_id = s.set_id AND p.customer_id = s.customer_id
	WHERE (s.rates, s.dated, s.what_kinds, s.filter) IS DISTINCT FROM (p.rates, p.dated, p.what_kinds, p.filter) OR s.held <> (p.ended_at IS NULL)
	UNION ALL
	SELECT 'price.rate_page', 'agreement_version', COALESCE(l.set_id, p.version_id)::text, jsonb_build_object('customer_id', COALESCE(l.customer_id, p.customer_id), 'page', COALESCE(l.page, p.page))
	FROM (SELECT v.set_id, g.* FROM (SELECT DISTINCT x.rate_set_id AS set_id FROM dist.agreement_version x WHERE x.published_at IS NOT NULL) v CROSS JOIN LATERAL distsync_internal.pricing_pages(v.set_id) g) l
	FULL JOIN (SELECT g.*, t.page_shift FROM dist.rate_page g JOIN dist.rate_part t ON t.version_id = g.version_id AND t.customer_id = g.customer_id) p
		ON p.version_id = l.set_id AND p.customer_id = l.customer_id AND p.page = l.page
	WHERE (l.page_shift, l.bytes) IS DISTINCT FROM (p.page_shift, p.bytes)
	UNION ALL
	SELECT 'price.assignment', 'agreement', a.code, jsonb_build_object('who_kind', s.who_kind, 'who', s.who_key)
	FROM dist.agreement_assignment s JOIN dist.agreement a ON a.agreement_id = s.agreement_id
	WHERE upper_inf(s.known) AND CASE WHEN s.who_kind IN ('customer', 'ship_to', 'job', 'parent') THEN NOT EXISTS (SELECT FROM dist.party p WHERE p.code = s.who_key)
		WHEN s.who_kind = 'channel' THEN NOT EXISTS (SELECT FROM dist.channel h WHERE h.code = s.who_key) ELSE s.who_kind = 'all' AND s.who_key <> '' END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_verify() IS
	'Invariants of prices: the rates of a published version still have the hash they were published with; every rate has its version and its party; the parts of published rate sets are complete, their filters know every target, and they say rightly whether they are held; their pages say what the rates say; who an agreement is assigned to is there. No row = all hold.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('render', 'price.changed', 100, 'distsync_internal.pricing_render'),
	('clerk', 'price_boundaries', 200, 'distsync_internal.pricing_boundaries'),
	('clerk', 'price_boundaries.next_due', 200, 'distsync_internal.pricing_next_boundary'),
	('verify', 'pricing', 100, 'distsync_internal.pricing_verify');
