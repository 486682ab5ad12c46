-- What publish() warns of: rates of other agreements that nothing but their content separates from these.

-- pricing_lint does the search for them: same slot, same buyer, same target, same tier.
CREATE FUNCTION distsync_internal.pricing_lint(id bigint) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH other AS MATERIALIZED (
		SELECT a.code, o.rate_set_id, m.rate_set_id AS mine, x.agreement_id AS mine_id, a.agreement_id
		FROM dist.agreement_version m JOIN dist.agreement x ON x.agreement_id = m.agreement_id
		JOIN dist.agreement a ON a.agreement_id <> x.agreement_id AND a.slot = x.slot AND a.currency = x.currency AND a.company_id IS NOT DISTINCT FROM x.company_id
		JOIN dist.agreement_version o ON o.agreement_id = a.agreement_id AND o.status = 'published' AND upper_inf(o.known) AND o.valid && m.valid AND o.priority = m.priority
		WHERE m.version_id = id
	), own AS (
		SELECT o.code, r.customer_id, r.target_id, r.min_quantity
		FROM other o JOIN dist.rate_part p ON p.version_id = o.rate_set_id AND p.customer_id > 0
		JOIN dist.customer_rate r ON r.version_id = o.mine AND r.customer_id = p.customer_id
		JOIN dist.customer_rate q ON q.version_id = o.rate_set_id AND q.customer_id = r.customer_id AND q.target_id = r.target_id
			AND (q.channel_id, q.site_id, q.unit, q.min_quantity) IS NOT DISTINCT FROM (r.channel_id, r.site_id, r.unit, r.min_quantity)
			AND tstzrange(q.valid_from, q.valid_to) && tstzrange(r.valid_from, r.valid_to)
		LIMIT 100
	), shared AS (
		SELECT o.code, NULL::bigint, r.target_id, r.min_quantity
		FROM other o JOIN dist.book_rate r ON r.version_id = o.mine
		JOIN dist.book_rate q ON q.version_id = o.rate_set_id AND q.target_id = r.target_id
			AND (q.channel_id, q.site_id, q.unit, q.min_quantity) IS NOT DISTINCT FROM (r.channel_id, r.site_id, r.unit, r.min_quantity)
			AND tstzrange(q.valid_from, q.valid_to) && tstzrange(r.valid_from, r.valid_to)
		WHERE EXISTS (SELECT FROM dist.agreement_assignment s JOIN dist.agreement_assignment t USING (who_kind, who_key)
			WHERE s.agreement_id = o.mine_id AND t.agreement_id = o.agreement_id AND upper_inf(s.known) AND upper_inf(t.known) AND s.valid && t.valid AND s.rank = t.rank)
		LIMIT 100
	)
	SELECT COALESCE(jsonb_agg(x.clash ORDER BY x.clash), '[]')
	FROM (
		SELECT jsonb_build_object('agreement', c.code, 'customer', p.code, 'what', g.what_kind || ':' || COALESCE(i.sku, k.code, v.code, g.what_key), 'min_quantity', trim_scale(c.min_quantity)) AS clash
		FROM (TABLE own UNION ALL TABLE shared) c(code, customer_id, target_id, min_quantity)
		JOIN dist.target g ON g.target_id = c.target_id
		LEFT JOIN dist.party p ON p.party_id = c.customer_id
		LEFT JOIN dist.item i ON i.item_id = CASE WHEN g.what_kind IN ('item', 'variant_parent') THEN g.what_key::bigint END
		LEFT JOIN dist.category k ON k.category_id = CASE WHEN g.what_kind = 'category' THEN g.what_key::bigint END
		LEFT JOIN dist.party v ON v.party_id = CASE WHEN g.what_kind = 'vendor' THEN g.what_key::bigint END
		LIMIT 100
	) x
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lint(bigint) IS
	'Up to 100 rates of other published agreements that differ from a version''s only by content ties: [{"agreement","customer" (null = shared, assigned to the same buyer at the same rank),"what","min_quantity"}].';
