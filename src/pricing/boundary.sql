-- Prices that start or end with time alone: whom and what an instant may concern, as things are held true now, and the telling of it.

-- pricing_version_edge does the naming of whom and what the start or end of a version, of its rates or of its assignments may concern.
CREATE FUNCTION distsync_internal.pricing_version_edge(id bigint, instant timestamptz) RETURNS jsonb[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	agreement bigint := (SELECT v.agreement_id FROM dist.agreement_version v WHERE v.version_id = id);
	sets bigint[];
	targets bigint[];
	buyers jsonb;
	blocks jsonb[];
BEGIN
	sets := ARRAY(SELECT DISTINCT v.rate_set_id FROM dist.agreement_version v
		WHERE v.version_id = id AND v.status = 'published' AND upper_inf(v.known) AND instant IN (lower(v.valid), upper(v.valid)));
	IF cardinality(sets) > 0 THEN
		RETURN ARRAY(SELECT distsync_internal.pricing_version_blocks(agreement, sets, 'infinity'));
	END IF;
	sets := ARRAY(SELECT DISTINCT v.rate_set_id FROM dist.agreement_version v WHERE (v.version_id = id OR v.rate_set_id = id) AND v.status = 'published' AND upper_inf(v.known));
	IF id = ANY (sets) AND EXISTS (SELECT FROM dist.rate_part p WHERE p.version_id = id AND p.dated) THEN
		blocks := ARRAY(SELECT distsync_internal.pricing_version_blocks(agreement, ARRAY[id], 'infinity', instant));
	END IF;
	buyers := (SELECT jsonb_agg(DISTINCT jsonb_build_object('who_kind', s.who_kind, 'who', s.who_key)) FROM dist.agreement_assignment s
		WHERE s.agreement_id = agreement AND upper_inf(s.known) AND instant IN (lower(s.valid), upper(s.valid)));
	targets := distsync_internal.pricing_shared_targets(sets);
	IF buyers IS NOT NULL AND cardinality(targets) IS DISTINCT FROM 0 THEN
		blocks := blocks || distsync_internal.pricing_block(buyers, CASE WHEN targets IS NOT NULL THEN distsync_internal.pricing_whats(targets) END);
	END IF;
	RETURN COALESCE(blocks, '{}');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_version_edge(bigint, timestamptz) IS
	'Blocks of buyers × items that a version, the rates of a rate set, or assignments that start or end at an instant may concern; none where nothing of it is held true.';

-- pricing_edge_scope does the naming of whom and what one instant may concern, for things of one cause.
CREATE FUNCTION distsync_internal.pricing_edge_scope(instant timestamptz, cause text, keys text[], version_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	blocks jsonb[];
BEGIN
	IF pricing_edge_scope.cause = 'version' THEN
		blocks := distsync_internal.pricing_version_edge(pricing_edge_scope.version_id, instant);
	ELSIF pricing_edge_scope.cause = 'member' THEN
		blocks := ARRAY(SELECT distsync_internal.pricing_block(distsync_internal.pricing_parties(m.parties), CASE WHEN t.targets IS NOT NULL THEN distsync_internal.pricing_whats(t.targets) END)
			FROM (SELECT x.group_id, array_agg(x.party_id) AS parties FROM dist.party_member x JOIN dist.party p ON p.party_id = x.party_id
				WHERE p.code = ANY (keys) AND upper_inf(x.known) AND instant IN (lower(x.valid), upper(x.valid)) GROUP BY 1 ORDER BY 1) m
			CROSS JOIN LATERAL (SELECT distsync_internal.pricing_shared_targets(distsync_internal.pricing_sets_of(distsync_internal.pricing_group_agreements(ARRAY[m.group_id], 'infinity'), 'infinity')) AS targets) t
			WHERE cardinality(t.targets) IS DISTINCT FROM 0);
	ELSIF pricing_edge_scope.cause = 'cost' THEN
		blocks := ARRAY(SELECT distsync_internal.pricing_block('[{"who_kind": "all", "who": ""}]', c.list)
			FROM (SELECT jsonb_agg(jsonb_build_object('what_kind', 'item', 'what', i.sku) ORDER BY i.sku COLLATE "C") AS list FROM dist.item i
				WHERE i.sku = ANY (keys) AND EXISTS (SELECT FROM dist.item_cost x WHERE x.item_id = i.item_id AND x.kind = 'average' AND upper_inf(x.known) AND instant IN (lower(x.valid), upper(x.valid)))) c
			WHERE c.list IS NOT NULL);
	ELSIF pricing_edge_scope.cause = 'exchange_rate' THEN
		blocks := ARRAY(SELECT b.block FROM (SELECT array_agg(DISTINCT y.c) AS currencies FROM dist.exchange_rate x, unnest(ARRAY[x.from_currency, x.to_currency]) y(c)
				WHERE x.from_currency || '/' || x.to_currency = ANY (keys) AND x.kind = 'spot' AND upper_inf(x.known) AND instant IN (lower(x.valid), upper(x.valid))) e
			CROSS JOIN LATERAL distsync_internal.pricing_money_scope(e.currencies, 'infinity') m
			CROSS JOIN LATERAL (SELECT distsync_internal.pricing_block(m.buyers, m.items) AS block WHERE m.buyers IS NOT NULL
				UNION ALL SELECT v FROM unnest(m.agreement_ids) a CROSS JOIN LATERAL distsync_internal.pricing_version_blocks(a, distsync_internal.pricing_sets_of(ARRAY[a], 'infinity'), 'infinity') v) b);
	ELSE
		blocks := ARRAY(SELECT distsync_internal.pricing_block(jsonb_build_array(jsonb_build_object('who_kind', 'customer', 'who', k.code)), k.list)
			FROM (SELECT p.code, jsonb_agg(DISTINCT jsonb_build_object('what_kind', 'item', 'what', i.sku)) AS list FROM dist.price_lock x JOIN dist.party p ON p.party_id = x.customer_id
				JOIN dist.item i ON i.item_id = x.item_id WHERE p.code = ANY (keys) AND instant IN (lower(x.valid), upper(x.valid)) GROUP BY 1 ORDER BY 1) k);
	END IF;
	RETURN distsync_internal.pricing_fit(blocks);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_edge_scope(timestamptz, text, text[], bigint) IS
	'Blocks of buyers × items that may have another price from an instant on, because of what of dist.price_boundary (cause, keys or version) is still held true; an empty list where nothing is.';

-- pricing_edges does the gathering of boundaries: those of one instant and cause together, as many names as an event has.
CREATE FUNCTION distsync_internal.pricing_edges(after timestamptz, until timestamptz, due boolean, max_rows integer)
RETURNS TABLE (at timestamptz, cause text, keys text[], version_id bigint, edge text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT g.at, g.cause, array_agg(g.key ORDER BY g.key COLLATE "C"), g.version_id, CASE WHEN min(g.edge) = max(g.edge) THEN min(g.edge) END
	FROM (SELECT b.*, (row_number() OVER (PARTITION BY b.at, b.cause, b.version_id ORDER BY b.key COLLATE "C", b.edge) - 1) / distsync_internal.pricing_names_limit() AS part
		FROM dist.price_boundary b WHERE b.at <= until AND b.at > after AND (NOT due OR b.fired_at IS NULL)
			AND b.at <= (SELECT max(x.at) FROM (SELECT y.at FROM dist.price_boundary y WHERE y.at <= until AND y.at > after AND (NOT due OR y.fired_at IS NULL) ORDER BY y.at LIMIT max_rows) x)) g
	GROUP BY g.at, g.cause, g.version_id, g.part ORDER BY g.at, g.cause, g.version_id, g.part;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_edges(timestamptz, timestamptz, boolean, integer) IS
	'What starts or ends after one instant and not after another, in order: whole instants, the last the one of row max_rows of dist.price_boundary; due: only what has not been told.';

-- pricing_boundaries does the telling of prices that start or end now without a write.
CREATE FUNCTION distsync_internal.pricing_boundaries(max_rows integer DEFAULT 100) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b record;
	v record;
	scope jsonb;
	n integer := 0;
BEGIN
	IF NOT pg_try_advisory_xact_lock(hashtextextended('distsync.pricing:boundaries', 0)) THEN
		RETURN 0;
	END IF;
	FOR b IN SELECT * FROM distsync_internal.pricing_edges('-infinity', clock_timestamp(), true, max_rows) LOOP
		UPDATE dist.price_boundary p SET fired_at = clock_timestamp() WHERE p.version_id = b.version_id AND p.at = b.at AND p.cause = b.cause AND p.key = ANY (b.keys) AND p.fired_at IS NULL;
		scope := distsync_internal.pricing_edge_scope(b.at, b.cause, b.keys, b.version_id);
		-- what is no longer held true starts and ends for nobody
		IF scope <> '[]' THEN
			SELECT a.code, x.version_no INTO v FROM dist.agreement_version x JOIN dist.agreement a ON a.agreement_id = x.agreement_id WHERE x.version_id = b.version_id;
			PERFORM distsync_internal.base_emit('customer', 0, 'price.boundary', CASE WHEN v.code IS NULL THEN 'price_change' ELSE 'agreement' END, COALESCE(v.code, b.cause),
				jsonb_strip_nulls(jsonb_build_object('at', b.at, 'cause', b.cause, 'edge', b.edge, 'agreement', v.code, 'version', v.version_no))
					|| jsonb_build_object('scope', scope, 'truncated', scope @> '[{"truncated": true}]'));
			n := n + 1;
		END IF;
	END LOOP;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_boundaries(integer) IS
	'Clerk task: emits price.boundary for versions, assignments, rates, memberships, costs, exchange rates and price locks that start or end now, with whom and what it may concern. Returns how many.';

-- pricing_next_boundary does the answer to "when is the next one".
CREATE FUNCTION distsync_internal.pricing_next_boundary() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT min(at) FROM dist.price_boundary WHERE fired_at IS NULL
$$;
COMMENT ON FUNCTION distsync_internal.pricing_next_boundary() IS 'Instant of the next start or end of a price, NULL = none.';
