-- Buyer profiles: customers with the same profile have the same prices, so one sheet serves them all. A profile holds everything of a
-- customer that a price without ship-to, job and document can depend on; what depends on the item, the policy and time is the same for
-- all customers of one snapshot.

-- pricing_profiles does the finding of the profile of each customer that may buy. The planner knows nothing of how many rows each step has: it
-- would take them one by one, or compile the query for longer than it runs.
CREATE FUNCTION distsync_internal.pricing_profiles(at timestamptz, known_at timestamptz, customers bigint[] DEFAULT NULL) RETURNS TABLE (customer_id bigint, code text, profile bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
	at timestamptz := pricing_profiles.at;
	closed timestamptz := least(pricing_profiles.at, COALESCE(pricing_profiles.known_at, 'infinity'));
	known_at timestamptz := pricing_profiles.known_at;
BEGIN
	RETURN QUERY
	WITH buyer AS MATERIALIZED (
		SELECT p.party_id, p.code, p.currency, p.price_class FROM dist.party p
		WHERE p.status = 'active' AND (customers IS NULL AND EXISTS (SELECT FROM dist.party_role r WHERE r.party_id = p.party_id AND r.role = 'sold_to') OR p.party_id = ANY (customers))
	), place AS MATERIALIZED (
		SELECT b.party_id, c.ancestor_id, c.depth, c.valid FROM buyer b JOIN dist.party_ancestor c ON c.party_id = b.party_id
	), chain AS MATERIALIZED (SELECT l.party_id, l.ancestor_id, l.depth FROM place l WHERE l.valid @> closed),
	held AS MATERIALIZED (
		SELECT h.party_id, h.depth, g.kind, g.code, m.valid FROM chain h JOIN dist.party_member m ON m.party_id = h.ancestor_id JOIN dist.party_group g ON g.group_id = m.group_id
		WHERE CASE WHEN known_at IS NULL THEN upper_inf(m.known) ELSE m.known @> known_at END
	), who AS MATERIALIZED (
		SELECT b.party_id, 'customer' AS kind, b.code, 0 AS depth FROM buyer b
		UNION ALL SELECT h.party_id, 'parent', p.code, h.depth FROM chain h JOIN dist.party p ON p.party_id = h.ancestor_id WHERE h.depth > 0
		UNION ALL SELECT b.party_id, 'price_class', b.price_class, 0 FROM buyer b WHERE b.price_class IS NOT NULL
		UNION ALL SELECT m.party_id, m.kind, m.code, min(m.depth) FROM held m WHERE m.valid @> at GROUP BY 1, 2, 3
	), part AS (
		SELECT w.party_id, ROW('shared', s.agreement_id, w.kind, w.depth, s.rank, s.blocking, s.valid)::text AS line FROM who w
		JOIN dist.agreement_assignment s ON s.who_kind = w.kind AND s.who_key = w.code WHERE CASE WHEN known_at IS NULL THEN upper_inf(s.known) ELSE s.known @> known_at END
		UNION ALL
		SELECT h.party_id, ROW('own', h.ancestor_id, h.depth)::text FROM chain h
		WHERE EXISTS (SELECT FROM dist.rate_part r WHERE r.customer_id = h.ancestor_id AND (r.ended_at IS NULL OR r.ended_at > known_at))
		UNION ALL
		SELECT e.party_id, ROW('until', min(e.edge))::text FROM (
			SELECT m.party_id, x.edge FROM held m CROSS JOIN LATERAL (VALUES (lower(m.valid)), (upper(m.valid))) x(edge)
			UNION ALL SELECT l.party_id, x.edge FROM place l CROSS JOIN LATERAL (VALUES (lower(l.valid)), (upper(l.valid))) x(edge) WHERE x.edge <= known_at OR known_at IS NULL) e
		WHERE e.edge > at GROUP BY 1
	)
	SELECT b.party_id, b.code, sha256(convert_to(concat_ws(E'\n', b.currency, string_agg(t.line, E'\n' ORDER BY t.line COLLATE "C")), 'UTF8'))
	FROM buyer b LEFT JOIN part t ON t.party_id = b.party_id GROUP BY b.party_id, b.code, b.currency ORDER BY b.code COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_profiles(timestamptz, timestamptz, bigint[]) IS
	'Active customers (role sold_to, or those given) with a hash of what their prices depend on at an instant, as known (NULL = now): currency; assignments that reach them, with kind, depth, rank and period; parties of the chain with own rates; the first instant at which memberships or parents change. Equal hashes: equal prices and equal valid_until.';
