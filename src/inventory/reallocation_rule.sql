-- Rules of reallocation: whose promise comes first where stock does not do for all, and who may be taken something away. docs/inventory.md
-- says what each strategy means.

-- inventory_reallocation_of does the look-up of what rules say of a claim: the most particular one.
CREATE FUNCTION distsync_internal.inventory_reallocation_of(item_id bigint, kind text, customer_id bigint, channel_id bigint, priority integer, at timestamptz, OUT strategy text, OUT restores boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
	WITH RECURSIVE up AS (
		SELECT i.category_id, 0 AS depth FROM dist.item i WHERE i.item_id = inventory_reallocation_of.item_id
		UNION ALL
		SELECT c.parent_id, u.depth + 1 FROM up u JOIN dist.category c ON c.category_id = u.category_id WHERE u.depth < 32
	)
	SELECT r.strategy, r.restores INTO strategy, restores
	FROM dist.reallocation_rule r
	LEFT JOIN up u ON u.category_id = r.category_id
	LEFT JOIN dist.party_ancestor a ON a.party_id = inventory_reallocation_of.customer_id AND a.ancestor_id = r.customer_id AND a.valid @> inventory_reallocation_of.at
	WHERE (r.item_id IS NULL OR r.item_id = inventory_reallocation_of.item_id) AND (r.category_id IS NULL OR u.depth IS NOT NULL)
		AND (r.kind IS NULL OR r.kind = CASE inventory_reallocation_of.kind WHEN 'soft' THEN 'soft' ELSE 'hard' END) AND (r.channel_id IS NULL OR r.channel_id = inventory_reallocation_of.channel_id)
		AND (r.customer_id IS NULL OR a.depth IS NOT NULL)
		AND (r.group_id IS NULL OR EXISTS (SELECT FROM dist.party_member m WHERE m.party_id = inventory_reallocation_of.customer_id AND m.group_id = r.group_id AND m.valid @> inventory_reallocation_of.at AND upper_inf(m.known)))
		AND inventory_reallocation_of.priority BETWEEN COALESCE(r.priority_from, -2147483648) AND COALESCE(r.priority_to, 2147483647)
	ORDER BY r.item_id IS NULL, u.depth NULLS LAST, a.depth NULLS LAST, r.group_id IS NULL, r.channel_id IS NULL, r.kind IS NULL,
		COALESCE(r.priority_to, 2147483647)::bigint - COALESCE(r.priority_from, -2147483648), r.code COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_reallocation_of(bigint, text, bigint, bigint, integer, timestamptz) IS
	'Strategy, and whether what was lost is given back by itself, of the most particular rule for a promise of an item of this kind (anything but soft is hard), customer, channel and priority: item, then nearest category, nearest customer, group, channel, kind, narrowest range of priorities, code; NULL = no rule fits.';

-- inventory_strategy does the strategy of a claim, without a rule gain for what is hard and redistribute for what is soft. What is hard never
-- loses: a rule that would take it something away leaves it at gain.
CREATE FUNCTION distsync_internal.inventory_strategy(item_id bigint, kind text, customer_id bigint, channel_id bigint, priority integer, at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ruled text := (distsync_internal.inventory_reallocation_of(item_id, kind, customer_id, channel_id, priority, at)).strategy;
BEGIN
	RETURN CASE WHEN inventory_strategy.kind = 'soft' THEN COALESCE(ruled, 'redistribute') WHEN ruled IN ('win', 'improve') THEN ruled ELSE 'gain' END;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_strategy(bigint, text, bigint, bigint, integer, timestamptz) IS
	'win | improve | gain | redistribute | fill | lose for a promise of an item of this kind (anything but soft is hard), customer, channel and priority: as the most particular rule says (item, then nearest category, nearest customer, group, channel, kind, narrowest range of priorities, code), default gain, of soft ones redistribute.';

-- inventory_strategy_rank does the place of a strategy among the others.
CREATE FUNCTION distsync_internal.inventory_strategy_rank(strategy text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN array_position('{win,improve,gain,redistribute,fill,lose}', strategy);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_strategy_rank(text) IS 'Place of a strategy in the order in which claims are served, from 1.';

-- inventory_check_reallocation_rule does the finding of what is wrong in documents of rules.
CREATE FUNCTION distsync_internal.inventory_check_reallocation_rule(docs jsonb, source text)
RETURNS TABLE (ordinal integer, doc jsonb, item_id bigint, category_id bigint, customer_id bigint, group_id bigint, channel_id bigint, fault text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH d AS MATERIALIZED (SELECT (e->>'ordinal')::integer AS ordinal, e->'doc' AS doc FROM jsonb_array_elements(docs) e)
	SELECT d.ordinal, d.doc, i.id, c.category_id, p.id, g.group_id, h.id, CASE
		WHEN d.doc->>'sku' IS NOT NULL AND i.id IS NULL THEN ARRAY['SD001', 'sku', format('unknown item "%s"', d.doc->>'sku'), 'Send the item first, correct the code, or add a cross-reference for it.']
		WHEN d.doc->>'category' IS NOT NULL AND c.category_id IS NULL THEN ARRAY['SD001', 'category', format('unknown category "%s"', d.doc->>'category'), 'Send the category first, or correct the code.']
		WHEN d.doc->>'customer' IS NOT NULL AND p.id IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', d.doc->>'customer'), 'Send the party first, correct the code, or add a cross-reference for it.']
		WHEN d.doc->>'customer_group' IS NOT NULL AND g.n IS NULL THEN ARRAY['SD001', 'customer_group', format('unknown group "%s"', d.doc->>'customer_group'), 'Send the group first, or correct the code.']
		WHEN g.n > 1 THEN ARRAY['SD005', 'group_kind', format('%s groups have the code "%s"', g.n, d.doc->>'customer_group'), 'Say of which kind the group is.']
		WHEN d.doc->>'channel' IS NOT NULL AND h.id IS NULL THEN ARRAY['SD001', 'channel', format('unknown channel "%s"', d.doc->>'channel'), 'Send the channel first, correct the code, or add a cross-reference for it.']
		WHEN r.code IS NULL AND d.doc->>'strategy' IS NULL THEN ARRAY['SD005', 'strategy', 'field "strategy" is missing', 'The first document of a rule must have it.']
		WHEN COALESCE(d.doc->>'kind', r.kind) = 'hard' AND COALESCE(d.doc->>'strategy', r.strategy) IN ('redistribute', 'fill', 'lose')
			THEN ARRAY['SD002', 'strategy', format('what is hard never loses: it cannot be under "%s"', COALESCE(d.doc->>'strategy', r.strategy)), 'Use win, improve or gain, or a rule for kind soft.']
		WHEN (d.doc->>'priority_from')::numeric NOT BETWEEN 0 AND 2147483647 OR (d.doc->>'priority_to')::numeric NOT BETWEEN 0 AND 2147483647 OR (d.doc->>'priority_from')::numeric > (d.doc->>'priority_to')::numeric
			THEN ARRAY['SD002', 'priority_from', 'priorities from and to are no range', 'Send whole numbers from 0 on, the lower one as priority_from.'] END
	FROM d
	LEFT JOIN dist.reallocation_rule r ON r.code = d.doc->>'code'
	LEFT JOIN distsync_internal.master_items(ARRAY(SELECT DISTINCT x.doc->>'sku' FROM d x), inventory_check_reallocation_rule.source) i ON i.code = d.doc->>'sku'
	LEFT JOIN dist.category c ON c.code = d.doc->>'category'
	LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT DISTINCT x.doc->>'customer' FROM d x), inventory_check_reallocation_rule.source) p ON p.code = d.doc->>'customer'
	LEFT JOIN LATERAL (SELECT min(y.group_id) AS group_id, NULLIF(count(*), 0) AS n FROM dist.party_group y WHERE y.code = d.doc->>'customer_group' AND (d.doc->>'group_kind' IS NULL OR y.kind = d.doc->>'group_kind')) g ON true
	LEFT JOIN distsync_internal.master_channels(ARRAY(SELECT DISTINCT x.doc->>'channel' FROM d x), inventory_check_reallocation_rule.source) h ON h.code = d.doc->>'channel'
	ORDER BY d.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_reallocation_rule(jsonb, text) IS 'Documents of reallocation_rule with ids and {sqlstate, field, message, hint} of what is wrong with each.';

-- inventory_restore_later does the leaving of pools to the clerk where somebody has lost something: rules may have it given back now.
CREATE FUNCTION distsync_internal.inventory_restore_later() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM dist.reallocation_rule r WHERE r.restores) THEN
		RETURN;
	END IF;
	INSERT INTO dist.reallocation_due (item_id, site_id)
	SELECT DISTINCT r.item_id, r.site_id FROM dist.reservation r WHERE r.lost > 0 AND r.state IN ('held', 'committed')
		AND EXISTS (SELECT FROM dist.reallocation_rule x WHERE x.restores AND (x.item_id IS NULL OR x.item_id = r.item_id)) ORDER BY 1, 2 ON CONFLICT DO NOTHING;
	IF FOUND THEN
		PERFORM distsync_internal.worker_wake('clerk');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_restore_later() IS 'Notes the pools in which live reservations have lost something that rules may restore in dist.reallocation_due, and wakes the clerk.';

-- inventory_apply_reallocation_rule does the entity handler of reallocation_rule. It moves nothing by itself: the next reallocation goes by
-- it, and what was lost before is for the clerk.
CREATE FUNCTION distsync_internal.inventory_apply_reallocation_rule(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	l record;
	bad boolean := ctx->>'on_error' IS DISTINCT FROM 'collect' AND ctx->>'operation' IS DISTINCT FROM 'deactivate'
		AND EXISTS (SELECT FROM distsync_internal.inventory_check_reallocation_rule(docs, ctx->>'source') c WHERE c.fault IS NOT NULL);
BEGIN
	-- who takes something away meanwhile knows the rules, or is known here
	PERFORM pg_advisory_xact_lock(hashtext('distsync.reallocation_rule'), 0);
	FOR l IN SELECT * FROM distsync_internal.inventory_check_reallocation_rule(docs, ctx->>'source') c ORDER BY c.doc->>'code' COLLATE "C", c.ordinal LOOP
		IF ctx->>'operation' = 'deactivate' THEN
			l.fault := NULL;
			DELETE FROM dist.reallocation_rule r WHERE r.code = l.doc->>'code';
		ELSIF l.fault IS NULL AND NOT bad THEN
			INSERT INTO dist.reallocation_rule AS r (code, strategy, kind, item_id, category_id, customer_id, group_id, channel_id, priority_from, priority_to, restores)
			VALUES (l.doc->>'code', l.doc->>'strategy', l.doc->>'kind', l.item_id, l.category_id, l.customer_id, l.group_id, l.channel_id, (l.doc->>'priority_from')::integer, (l.doc->>'priority_to')::integer, COALESCE((l.doc->>'restores')::boolean, false))
			ON CONFLICT ON CONSTRAINT reallocation_rule_pk DO UPDATE SET strategy = COALESCE(excluded.strategy, r.strategy), kind = CASE WHEN l.doc ? 'kind' THEN excluded.kind ELSE r.kind END,
				item_id = CASE WHEN l.doc ? 'sku' THEN excluded.item_id ELSE r.item_id END, category_id = CASE WHEN l.doc ? 'category' THEN excluded.category_id ELSE r.category_id END,
				customer_id = CASE WHEN l.doc ? 'customer' THEN excluded.customer_id ELSE r.customer_id END, group_id = CASE WHEN l.doc ? 'customer_group' THEN excluded.group_id ELSE r.group_id END,
				channel_id = CASE WHEN l.doc ? 'channel' THEN excluded.channel_id ELSE r.channel_id END, priority_from = CASE WHEN l.doc ? 'priority_from' THEN excluded.priority_from ELSE r.priority_from END,
				priority_to = CASE WHEN l.doc ? 'priority_to' THEN excluded.priority_to ELSE r.priority_to END, restores = CASE WHEN l.doc ? 'restores' THEN excluded.restores ELSE r.restores END;
		END IF;
		RETURN NEXT distsync_internal.inventory_result(l.ordinal, l.doc->>'code', l.fault);
	END LOOP;
	IF NOT bad THEN
		PERFORM distsync_internal.inventory_restore_later();
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_reallocation_rule(jsonb, jsonb) IS 'Entity handler of reallocation_rule: whose promise comes first where stock does not do for all; operation deactivate takes the rule away.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'reallocation_rule', 'distsync_internal.inventory_apply_reallocation_rule');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('reallocation_rule', '{code}', 'stock', 'Whose promise comes first, and who may lose, where stock does not do for all that is promised.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('reallocation_rule', 'code', 'code', true, 'any', 'Name of the rule.', NULL, false),
	('reallocation_rule', 'strategy', 'code', false, 'any', 'What becomes of the promises it fits. Those that are hard never lose: for them win, improve or gain.', '{win,improve,gain,redistribute,fill,lose}', true),
	('reallocation_rule', 'kind', 'code', false, 'any', 'Kind of promises it is for, both if left out.', '{soft,hard}', false),
	('reallocation_rule', 'sku', 'code', false, 'any', 'Item it is for.', NULL, false),
	('reallocation_rule', 'category', 'code', false, 'any', 'Category of items it is for, with all below it.', NULL, false),
	('reallocation_rule', 'customer', 'code', false, 'any', 'Customer it is for, with all below it.', NULL, false),
	('reallocation_rule', 'customer_group', 'code', false, 'any', 'Group of customers it is for.', NULL, false),
	('reallocation_rule', 'group_kind', 'code', false, 'any', 'Kind of the group, where several have its code.', '{buying_group,price_class,segment,region}', false),
	('reallocation_rule', 'channel', 'code', false, 'any', 'Channel it is for.', NULL, false),
	('reallocation_rule', 'priority_from', 'integer', false, 'nonnegative', 'Lowest priority number it is for.', NULL, false),
	('reallocation_rule', 'priority_to', 'integer', false, 'nonnegative', 'Highest priority number it is for.', NULL, false),
	('reallocation_rule', 'restores', 'boolean', false, 'any', 'What those have lost whom it decides for is given back by itself as stock returns, before anybody else is promised anything; default false.', NULL, false);
