-- Whom and what a change of prices may concern: blocks of buyers × items, by business codes. A block may name more than what really
-- changes, never less; a list that would be too long becomes "all".

-- pricing_names_limit does the saying of how many names a list of buyers or items has at most.
CREATE FUNCTION distsync_internal.pricing_names_limit() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 1000
$$;
COMMENT ON FUNCTION distsync_internal.pricing_names_limit() IS 'Most names in a list of buyers or items of a price event: beyond it the list is "all", and the event says truncated.';

-- pricing_read_limit does the saying of how many rates are read to name what a change is for.
CREATE FUNCTION distsync_internal.pricing_read_limit() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 100000
$$;
COMMENT ON FUNCTION distsync_internal.pricing_read_limit() IS 'Most rates that are read to name the items of a change: beyond it they are "all".';

-- pricing_touches does the question whether something was held true just before, at or just after a stamp.
CREATE FUNCTION distsync_internal.pricing_touches(known tstzrange, stamp timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (lower_inf(known) OR lower(known) <= stamp) AND (upper_inf(known) OR upper(known) >= stamp)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_touches(tstzrange, timestamptz) IS 'Whether a known period contains the stamp, or begins or ends at it; stamp infinity = it is held now.';

-- pricing_block does the making of one block. A list that is NULL or too long is everybody, or everything.
CREATE FUNCTION distsync_internal.pricing_block(buyers jsonb, items jsonb, buyer_count bigint DEFAULT NULL, item_count bigint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := distsync_internal.pricing_names_limit();
	all_buyers boolean := buyers IS NULL OR jsonb_array_length(buyers) > most;
	all_items boolean := items IS NULL OR jsonb_array_length(items) > most;
BEGIN
	RETURN jsonb_build_object(
		'buyers', CASE WHEN all_buyers THEN '[{"who_kind": "all", "who": ""}]' ELSE buyers END, 'buyer_count', COALESCE(buyer_count, jsonb_array_length(buyers)),
		'items', CASE WHEN all_items THEN '[{"what_kind": "all", "what": ""}]' ELSE items END, 'item_count', COALESCE(item_count, jsonb_array_length(items)),
		'truncated', all_buyers OR all_items);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_block(jsonb, jsonb, bigint, bigint) IS
	'{"buyers","buyer_count","items","item_count","truncated"} of two lists; NULL or too long = all, truncated; a count is null where nobody counted.';

-- pricing_whats does the naming of targets.
CREATE FUNCTION distsync_internal.pricing_whats(targets bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		SELECT COALESCE(jsonb_agg(jsonb_build_object('what_kind', n.what_kind, 'what', n.code) ORDER BY n.what_kind COLLATE "C", n.code COLLATE "C"), '[]')
		FROM (
			SELECT g.what_kind, COALESCE(i.sku, k.code, v.code, g.what_key) AS code FROM dist.target g
			LEFT JOIN dist.item i ON i.item_id = CASE WHEN g.what_kind IN ('item', 'variant_parent') THEN g.what_key::bigint END
			LEFT JOIN dist.category k ON k.category_id = CASE WHEN g.what_kind = 'category' THEN g.what_key::bigint END
			LEFT JOIN dist.party v ON v.party_id = CASE WHEN g.what_kind = 'vendor' THEN g.what_key::bigint END
			WHERE g.target_id = ANY (targets)) n);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_whats(bigint[]) IS '[{"what_kind","what"}] of targets, in the order of kind and code.';

-- pricing_parties does the naming of parties whose own rates, place or memberships are concerned.
CREATE FUNCTION distsync_internal.pricing_parties(party_ids bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT COALESCE(jsonb_agg(jsonb_build_object('who_kind', 'party', 'who', p.code) ORDER BY p.code COLLATE "C"), '[]') FROM dist.party p WHERE p.party_id = ANY (party_ids));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_parties(bigint[]) IS '[{"who_kind": "party","who"}] of parties, in the order of their codes.';

-- pricing_assigned does the naming of those who may use the shared rates of agreements.
CREATE FUNCTION distsync_internal.pricing_assigned(agreements bigint[], stamp timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (
		SELECT COALESCE(jsonb_agg(jsonb_build_object('who_kind', s.who_kind, 'who', s.who_key) ORDER BY s.who_kind COLLATE "C", s.who_key COLLATE "C"), '[]')
		FROM (SELECT DISTINCT x.who_kind, x.who_key FROM dist.agreement_assignment x
			WHERE x.agreement_id = ANY (agreements) AND distsync_internal.pricing_touches(x.known, stamp)) s);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_assigned(bigint[], timestamptz) IS '[{"who_kind","who"}] to whom agreements are assigned at a stamp, or were until it.';

-- pricing_sets_of does the listing of the rate sets that agreements hold true.
CREATE FUNCTION distsync_internal.pricing_sets_of(agreements bigint[], stamp timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(SELECT DISTINCT v.rate_set_id FROM dist.agreement_version v
		WHERE v.agreement_id = ANY (agreements) AND v.published_at IS NOT NULL AND distsync_internal.pricing_touches(v.known, stamp));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_sets_of(bigint[], timestamptz) IS 'Rate sets of the versions of agreements that are held true at a stamp, or were until it.';

-- pricing_shared_targets does the listing of what shared rates of rate sets are for. NULL: too many rates to read.
CREATE FUNCTION distsync_internal.pricing_shared_targets(sets bigint[], instant timestamptz DEFAULT NULL) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT COALESCE(sum(p.rates), 0) FROM dist.rate_part p WHERE p.version_id = ANY (sets) AND p.customer_id = 0) > distsync_internal.pricing_read_limit() THEN
		RETURN NULL;
	END IF;
	RETURN ARRAY(SELECT DISTINCT r.target_id FROM dist.book_rate r WHERE r.version_id = ANY (sets) AND (instant IS NULL OR instant IN (r.valid_from, r.valid_to)));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_shared_targets(bigint[], timestamptz) IS
	'Targets of the shared rates of rate sets, of those only that start or end at an instant where one is given; NULL = more rates than are read for it.';

-- pricing_own_blocks does the naming of buyers with own rates: buyers with the same items together. Where that would be many blocks, all
-- of them together.
CREATE FUNCTION distsync_internal.pricing_own_blocks(sets bigint[], instant timestamptz DEFAULT NULL) RETURNS TABLE (customers bigint[], targets bigint[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most integer := distsync_internal.pricing_names_limit();
BEGIN
	IF (SELECT COALESCE(sum(p.rates), 0) FROM dist.rate_part p WHERE p.version_id = ANY (sets) AND p.customer_id > 0) > distsync_internal.pricing_read_limit() THEN
		RETURN QUERY SELECT ARRAY(SELECT DISTINCT p.customer_id FROM dist.rate_part p WHERE p.version_id = ANY (sets) AND p.customer_id > 0), NULL::bigint[];
		RETURN;
	END IF;
	RETURN QUERY
	WITH buyer AS MATERIALIZED (
		SELECT r.customer_id, array_agg(DISTINCT r.target_id) AS own FROM dist.customer_rate r
		WHERE r.version_id = ANY (sets) AND (instant IS NULL OR instant IN (r.valid_from, r.valid_to)) GROUP BY 1
	), alike AS MATERIALIZED (SELECT b.own, array_agg(b.customer_id) AS many FROM buyer b GROUP BY b.own),
	whole AS (SELECT count(*) > 100 OR sum(cardinality(a.own) + cardinality(a.many)) > 4 * most AS one FROM alike a)
	SELECT a.many, a.own FROM alike a, whole w WHERE NOT w.one
	UNION ALL
	SELECT ARRAY(SELECT b.customer_id FROM buyer b), ARRAY(SELECT DISTINCT t FROM buyer b, unnest(b.own) t) FROM whole w WHERE w.one;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_own_blocks(bigint[], timestamptz) IS
	'Buyers of the own rates of rate sets with the targets of these rates, of those only that start or end at an instant where one is given; targets NULL = more rates than are read for it.';

-- pricing_followers does the listing of the agreements whose prices start from another one's, or from one that does.
CREATE FUNCTION distsync_internal.pricing_followers(agreement_id bigint, stamp timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE down AS (
			SELECT pricing_followers.agreement_id AS id, 0 AS depth
			UNION
			SELECT v.agreement_id, d.depth + 1 FROM down d JOIN dist.rate_base b ON b.base_agreement_id = d.id JOIN dist.agreement_version v ON v.rate_set_id = b.version_id
			WHERE d.depth < 8 AND v.published_at IS NOT NULL AND distsync_internal.pricing_touches(v.known, stamp))
		SELECT DISTINCT d.id FROM down d WHERE d.depth > 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_followers(bigint, timestamptz) IS 'Agreements with rates, held true at a stamp or until it, that start from the price in another agreement, directly or not.';

-- pricing_version_blocks does the naming of whom and what versions of one agreement are for: those it is assigned to × the items of shared
-- rates, buyers of own rates × their items, and the buyers of what starts from it × all these items.
CREATE FUNCTION distsync_internal.pricing_version_blocks(agreement_id bigint, sets bigint[], stamp timestamptz, instant timestamptz DEFAULT NULL) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	shared bigint[] := distsync_internal.pricing_shared_targets(sets, instant);
	named bigint[] := COALESCE(shared, '{}');
	over boolean := shared IS NULL;
	buyers jsonb;
	followers bigint[];
	o record;
BEGIN
	IF shared IS NULL OR cardinality(shared) > 0 THEN
		buyers := distsync_internal.pricing_assigned(ARRAY[agreement_id], stamp);
		IF buyers <> '[]' THEN
			RETURN NEXT distsync_internal.pricing_block(buyers, CASE WHEN shared IS NOT NULL THEN distsync_internal.pricing_whats(shared) END);
		END IF;
	END IF;
	FOR o IN SELECT * FROM distsync_internal.pricing_own_blocks(sets, instant) b WHERE cardinality(b.customers) > 0 ORDER BY b.customers LOOP
		RETURN NEXT distsync_internal.pricing_block(distsync_internal.pricing_parties(o.customers), CASE WHEN o.targets IS NOT NULL THEN distsync_internal.pricing_whats(o.targets) END);
		named := named || COALESCE(o.targets, '{}');
		over := over OR o.targets IS NULL;
	END LOOP;
	followers := distsync_internal.pricing_followers(agreement_id, stamp);
	IF cardinality(followers) > 0 AND (over OR cardinality(named) > 0) THEN
		buyers := distsync_internal.pricing_assigned(followers, stamp) || distsync_internal.pricing_parties(ARRAY(SELECT DISTINCT p.customer_id FROM dist.rate_part p
			WHERE p.version_id = ANY (distsync_internal.pricing_sets_of(followers, stamp)) AND p.customer_id > 0));
		IF buyers <> '[]' THEN
			RETURN NEXT distsync_internal.pricing_block(buyers, CASE WHEN NOT over THEN distsync_internal.pricing_whats(named) END);
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_version_blocks(bigint, bigint[], timestamptz, timestamptz) IS
	'Blocks of buyers × items that rate sets of an agreement may concern, with those of agreements whose prices start from it; an instant: only the rates that start or end at it.';

-- pricing_fit does the bounding of a whole scope.
CREATE FUNCTION distsync_internal.pricing_fit(blocks jsonb[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT sum(jsonb_array_length(b->'buyers') + jsonb_array_length(b->'items')) FROM unnest(blocks) b) > 5 * distsync_internal.pricing_names_limit() THEN
		RETURN jsonb_build_array(distsync_internal.pricing_block(NULL, NULL));
	END IF;
	RETURN to_jsonb(blocks);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_fit(jsonb[]) IS 'Blocks as one list; all × all, truncated, where they would have more than five times pricing_names_limit() names.';

-- pricing_change_scope does the naming of whom and what one change may concern.
CREATE FUNCTION distsync_internal.pricing_change_scope(change_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c record;
	agreements bigint[];
	targets bigint[];
BEGIN
	SELECT x.* INTO c FROM dist.price_change x WHERE x.change_id = pricing_change_scope.change_id;
	agreements := COALESCE(c.agreement_ids, ARRAY[c.agreement_id]);
	IF c.cause = 'version' THEN
		RETURN distsync_internal.pricing_fit(ARRAY(SELECT distsync_internal.pricing_version_blocks(c.agreement_id,
			ARRAY(SELECT DISTINCT v.rate_set_id FROM dist.agreement_version v WHERE v.version_id = ANY (c.version_ids)), c.at)));
	ELSIF c.buyers IS NULL THEN
		RETURN distsync_internal.pricing_fit(ARRAY(SELECT distsync_internal.pricing_version_blocks(a, distsync_internal.pricing_sets_of(ARRAY[a], c.at), c.at) FROM unnest(agreements) a));
	ELSIF c.items IS NULL THEN
		targets := distsync_internal.pricing_shared_targets(distsync_internal.pricing_sets_of(agreements, c.at));
		RETURN jsonb_build_array(distsync_internal.pricing_block(c.buyers, CASE WHEN targets IS NOT NULL THEN distsync_internal.pricing_whats(targets) END));
	END IF;
	RETURN jsonb_build_array(distsync_internal.pricing_block(c.buyers, c.items));
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_change_scope(bigint) IS 'Scope of a row of dist.price_change: a list of blocks {"buyers","buyer_count","items","item_count","truncated"}.';

-- pricing_group_agreements does the listing of the agreements that are assigned to groups.
CREATE FUNCTION distsync_internal.pricing_group_agreements(groups bigint[], stamp timestamptz) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ARRAY(SELECT DISTINCT s.agreement_id FROM dist.party_group g JOIN dist.agreement_assignment s ON s.who_kind = g.kind AND s.who_key = g.code
		WHERE g.group_id = ANY (groups) AND distsync_internal.pricing_touches(s.known, stamp) ORDER BY 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_group_agreements(bigint[], timestamptz) IS 'Agreements assigned to any of these groups at a stamp, or until it.';

-- pricing_money_scope does the naming of what exchange rates between currencies may concern: agreements that may be converted; where costs
-- are in one of the currencies, everything.
CREATE FUNCTION distsync_internal.pricing_money_scope(currencies text[], stamp timestamptz, OUT agreement_ids bigint[], OUT buyers jsonb, OUT items jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM dist.item_cost c WHERE c.currency = ANY (currencies) AND c.kind = 'average' AND distsync_internal.pricing_touches(c.known, stamp)) THEN
		buyers := '[{"who_kind": "all", "who": ""}]';
		items := '[{"what_kind": "all", "what": ""}]';
		RETURN;
	END IF;
	SELECT array_agg(DISTINCT a.agreement_id ORDER BY a.agreement_id) INTO agreement_ids FROM dist.agreement a JOIN dist.agreement_version v ON v.agreement_id = a.agreement_id
	WHERE a.currency = ANY (currencies) AND v.fx_allowed AND v.published_at IS NOT NULL AND distsync_internal.pricing_touches(v.known, stamp);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_money_scope(text[], timestamptz) IS
	'Agreements in one of these currencies that may be converted, at a stamp or until it (NULL = none); all buyers and items instead where an average cost is in one of them.';
