-- Supply, demand and what channels may sell, as documents. Each is a fact of its owner: absent fields stay, null clears.

-- inventory_result does the making of a row of apply_result.
CREATE FUNCTION distsync_internal.inventory_result(ordinal integer, key text, fault text[]) RETURNS distsync_internal.apply_result
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN ROW(ordinal, CASE WHEN fault IS NULL THEN 'applied' ELSE 'rejected' END, key, fault[1], fault[2], fault[3], fault[4], NULL)::distsync_internal.apply_result;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_result(integer, text, text[]) IS 'A row of apply_result: applied, or rejected with {sqlstate, field, message, hint}.';

-- inventory_read_lines does the resolving of item, site and unit for documents about an item at a site.
CREATE FUNCTION distsync_internal.inventory_read_lines(docs jsonb, source text, kits boolean DEFAULT false) RETURNS TABLE (ordinal integer, doc jsonb, item_id bigint, site_id bigint, numerator bigint, denominator bigint, fault text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH d AS MATERIALIZED (SELECT (e->>'ordinal')::integer AS ordinal, e->'doc' AS doc FROM jsonb_array_elements(docs) e)
	SELECT d.ordinal, d.doc, i.id, s.id, CASE WHEN COALESCE(d.doc->>'unit', i.unit, t.base_unit) = t.base_unit THEN 1 ELSE u.numerator END, CASE WHEN COALESCE(d.doc->>'unit', i.unit, t.base_unit) = t.base_unit THEN 1 ELSE u.denominator END,
		CASE WHEN i.id IS NULL THEN ARRAY['SD001', 'sku', format('unknown item "%s"', d.doc->>'sku'), 'Send the item first, correct the code, or add a cross-reference for it.']
			WHEN t.kit AND NOT kits THEN ARRAY['SD002', 'sku', format('item "%s" is a kit and has no stock of its own', d.doc->>'sku'), 'Send its components.']
			WHEN d.doc->>'site' IS NOT NULL AND s.id IS NULL THEN ARRAY['SD001', 'site', format('unknown site "%s"', d.doc->>'site'), 'Send the site first, correct the code, or add a cross-reference for it.']
			WHEN COALESCE(d.doc->>'unit', i.unit, t.base_unit) <> t.base_unit AND u.unit IS NULL THEN ARRAY['SD004', 'unit', format('item "%s" has no unit "%s"', d.doc->>'sku', d.doc->>'unit'), 'Use one of its units, or send the item with this unit first.'] END
	FROM d
	LEFT JOIN distsync_internal.master_items(ARRAY(SELECT DISTINCT c.doc->>'sku' FROM d c), inventory_read_lines.source) i ON i.code = d.doc->>'sku'
	LEFT JOIN dist.item t ON t.item_id = i.id
	LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT DISTINCT c.doc->>'site' FROM d c), inventory_read_lines.source) s ON s.code = d.doc->>'site'
	LEFT JOIN dist.item_unit u ON u.item_id = i.id AND u.unit = COALESCE(d.doc->>'unit', i.unit);
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_read_lines(jsonb, text, boolean) IS 'Documents with sku, site and unit: ids, factor to base units, and {sqlstate, field, message, hint} of what is wrong. kits: they may be about kits.';

-- inventory_check_supply does the check of supply documents against what is known of them.
CREATE FUNCTION distsync_internal.inventory_check_supply(docs jsonb, source text)
RETURNS TABLE (ordinal integer, doc jsonb, item_id bigint, site_id bigint, old_site_id bigint, quantity numeric, received numeric, fault text[])
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.ordinal, r.doc, r.item_id, COALESCE(r.site_id, s.site_id), s.site_id, q.quantity, q.received, COALESCE(r.fault, CASE
		WHEN r.doc->>'quantity' IS NOT NULL AND q.quantity IS NULL THEN ARRAY['SD002', 'quantity', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
		WHEN r.doc->>'received' IS NOT NULL AND q.received IS NULL THEN ARRAY['SD002', 'received', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
		WHEN (r.doc->>'confidence')::numeric > 1 OR min_scale((r.doc->>'confidence')::numeric) > 4
			THEN ARRAY['SD002', 'confidence', format('%s is no share from 0 to 1 with at most four decimals', r.doc->>'confidence'), 'Send the share of the quantity to count on, for example 0.85.']
		WHEN s.supply_id IS NULL AND n.first AND r.site_id IS NULL THEN ARRAY['SD005', 'site', 'field "site" is missing', 'The first document of a supply must have it.']
		WHEN s.supply_id IS NULL AND n.first AND q.quantity IS NULL THEN ARRAY['SD005', 'quantity', 'field "quantity" is missing', 'The first document of a supply must have it.']
		WHEN s.supply_id IS NULL AND n.first AND r.doc->>'expected_at' IS NULL THEN ARRAY['SD005', 'expected_at', 'field "expected_at" is missing', 'The first document of a supply must have it.'] END)
	FROM distsync_internal.inventory_read_lines(docs, inventory_check_supply.source) r
	CROSS JOIN LATERAL (SELECT distsync_internal.master_exact((r.doc->>'quantity')::numeric, r.numerator, r.denominator) AS quantity,
		distsync_internal.master_exact((r.doc->>'received')::numeric, r.numerator, r.denominator) AS received) q
	CROSS JOIN LATERAL (SELECT NOT EXISTS (SELECT FROM jsonb_array_elements(docs) e WHERE (e->>'ordinal')::integer < r.ordinal AND e->'doc'->>'sku' = r.doc->>'sku'
		AND e->'doc'->>'kind' = r.doc->>'kind' AND e->'doc'->>'reference' = r.doc->>'reference') AS first) n
	LEFT JOIN dist.supply s ON s.item_id = r.item_id AND s.source = inventory_check_supply.source AND s.kind = r.doc->>'kind' AND s.reference = r.doc->>'reference'
	ORDER BY r.ordinal;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_check_supply(jsonb, text) IS 'Supply documents with ids, base units, the site they stood at before, and what is wrong with each.';

-- inventory_write_supply does the writing of one supply document.
CREATE FUNCTION distsync_internal.inventory_write_supply(doc jsonb, item_id bigint, site_id bigint, quantity numeric, received numeric, operation text, source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	cancelled boolean := operation = 'deactivate' OR doc->>'status' = 'cancelled';
BEGIN
	UPDATE dist.supply s SET site_id = COALESCE(inventory_write_supply.site_id, s.site_id), quantity = COALESCE(inventory_write_supply.quantity, s.quantity), received = COALESCE(inventory_write_supply.received, s.received),
		expected_at = COALESCE((doc->>'expected_at')::timestamptz, s.expected_at), confidence = CASE WHEN doc ? 'confidence' THEN COALESCE((doc->>'confidence')::numeric, 1) ELSE s.confidence END,
		status = CASE WHEN cancelled THEN 'cancelled' WHEN COALESCE(inventory_write_supply.received, s.received) >= COALESCE(inventory_write_supply.quantity, s.quantity) THEN 'done'
			WHEN doc->>'status' IS NOT NULL THEN doc->>'status' ELSE 'open' END
	WHERE s.item_id = inventory_write_supply.item_id AND s.source = inventory_write_supply.source AND s.kind = doc->>'kind' AND s.reference = doc->>'reference';
	IF NOT FOUND THEN
		INSERT INTO dist.supply (item_id, site_id, kind, reference, quantity, received, expected_at, confidence, status, source)
		VALUES (inventory_write_supply.item_id, inventory_write_supply.site_id, doc->>'kind', doc->>'reference', inventory_write_supply.quantity, COALESCE(inventory_write_supply.received, 0),
			(doc->>'expected_at')::timestamptz, COALESCE((doc->>'confidence')::numeric, 1),
			CASE WHEN cancelled THEN 'cancelled' WHEN COALESCE(inventory_write_supply.received, 0) >= inventory_write_supply.quantity THEN 'done' ELSE COALESCE(doc->>'status', 'open') END, inventory_write_supply.source);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write_supply(jsonb, bigint, bigint, numeric, numeric, text, text) IS 'Inserts or changes one supply, base units; operation deactivate cancels it.';

-- inventory_apply_supply does the entity handler of supply: what will come, by source, kind and reference.
CREATE FUNCTION distsync_internal.inventory_apply_supply(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	l record;
	items bigint[];
	sites bigint[];
	bad boolean;
BEGIN
	-- who brings a supply for the first time, or to another site, has its lock before the pools: so its site is known
	PERFORM pg_advisory_xact_lock(hashtext('distsync.supply'), c.class)
	FROM (SELECT DISTINCT hashtext(concat_ws('/', source, e->'doc'->>'kind', e->'doc'->>'reference')) & 4095 AS class FROM jsonb_array_elements(docs) e ORDER BY 1) c;
	SELECT array_agg(u.item_id) FILTER (WHERE c.fault IS NULL), array_agg(u.site_id) FILTER (WHERE c.fault IS NULL), bool_or(c.fault IS NOT NULL) INTO items, sites, bad
	FROM distsync_internal.inventory_check_supply(docs, source) c
	CROSS JOIN LATERAL (VALUES (c.item_id, c.site_id), (c.item_id, c.old_site_id)) u(item_id, site_id) WHERE u.site_id IS NOT NULL OR c.fault IS NOT NULL;
	bad := COALESCE(bad, false) AND ctx->>'on_error' IS DISTINCT FROM 'collect';
	IF items IS NOT NULL AND NOT bad THEN
		PERFORM distsync_internal.inventory_lock(items, sites);
	END IF;
	FOR l IN SELECT * FROM distsync_internal.inventory_check_supply(docs, source) LOOP
		IF l.fault IS NULL AND NOT bad THEN
			PERFORM distsync_internal.inventory_write_supply(l.doc, l.item_id, l.site_id, l.quantity, l.received, ctx->>'operation', source);
		END IF;
		RETURN NEXT distsync_internal.inventory_result(l.ordinal, concat_ws('/', l.doc->>'kind', l.doc->>'reference', l.doc->>'sku'), l.fault);
	END LOOP;
	IF items IS NOT NULL AND NOT bad THEN
		PERFORM distsync_internal.inventory_refresh(items, sites, (ctx->>'correlation_id')::uuid);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_supply(jsonb, jsonb) IS 'Entity handler of supply; operation deactivate cancels.';

-- inventory_apply_demand does the entity handler of demand: what a system that sends no orders says is wanted, or what the warehouse
-- has allocated to a line.
CREATE FUNCTION distsync_internal.inventory_apply_demand(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	l record;
	bad boolean := false;
	results distsync_internal.apply_result[] := '{}';
BEGIN
	FOR l IN
		SELECT r.ordinal, r.doc, COALESCE(r.fault, CASE WHEN distsync_internal.inventory_made_of(r.item_id) = '[]' THEN ARRAY['SD002', 'sku', format('kit "%s" has no components', r.doc->>'sku'), 'Send the kit with its components first.'] WHEN r.site_id IS NULL THEN ARRAY['SD005', 'site', 'field "site" is missing', 'Say which site serves the demand.']
			WHEN r.doc->>'ordered' IS NOT NULL AND distsync_internal.master_exact((r.doc->>'ordered')::numeric, r.numerator, r.denominator) IS NULL THEN ARRAY['SD002', 'ordered', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
			WHEN r.doc->>'allocated' IS NOT NULL AND distsync_internal.master_exact((r.doc->>'allocated')::numeric, r.numerator, r.denominator) IS NULL THEN ARRAY['SD002', 'allocated', 'quantity is no exact number of base units', 'Send the quantity in the base unit.']
			WHEN r.doc->>'customer' IS NOT NULL AND p.id IS NULL THEN ARRAY['SD001', 'customer', format('unknown party "%s"', r.doc->>'customer'), 'Send the party first, correct the code, or add a cross-reference for it.']
			WHEN (r.doc->>'priority')::numeric > 2147483647 THEN ARRAY['SD002', 'priority', format('%s is too large', r.doc->>'priority'), 'Send a whole number up to 2147483647; lower is served first.'] END) AS fault
		FROM distsync_internal.inventory_read_lines(docs, source, true) r
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT DISTINCT e->'doc'->>'customer' FROM jsonb_array_elements(docs) e), source) p ON p.code = r.doc->>'customer'
		ORDER BY r.ordinal
	LOOP
		bad := bad OR l.fault IS NOT NULL AND ctx->>'on_error' IS DISTINCT FROM 'collect';
		results := results || distsync_internal.inventory_result(l.ordinal, l.doc->>'demand_key', l.fault);
	END LOOP;
	IF NOT bad THEN
		PERFORM distsync_internal.inventory_lock_demand(array_agg(r.doc->>'demand_key'), array_agg(p.item_id), array_agg(r.site_id))
		FROM distsync_internal.inventory_read_lines(docs, source, true) r JOIN unnest(results) x ON x.ordinal = r.ordinal AND x.outcome = 'applied' CROSS JOIN LATERAL distsync_internal.inventory_taken_from(r.item_id, distsync_internal.inventory_made_of(r.item_id)) p;
		FOR l IN
			SELECT r.doc, p.item_id, r.site_id, distsync_internal.master_exact((r.doc->>'ordered')::numeric, r.numerator, r.denominator) * p.per AS ordered,
				distsync_internal.master_exact((r.doc->>'allocated')::numeric, r.numerator, r.denominator) * p.per AS allocated, distsync_internal.master_party(r.doc->>'customer', 'customer', source) AS customer_id
			FROM distsync_internal.inventory_read_lines(docs, source, true) r JOIN unnest(results) x ON x.ordinal = r.ordinal AND x.outcome = 'applied' CROSS JOIN LATERAL distsync_internal.inventory_taken_from(r.item_id, distsync_internal.inventory_made_of(r.item_id)) p
			ORDER BY p.item_id, r.site_id, r.ordinal
		LOOP
			PERFORM distsync_internal.inventory_write_demand(l.doc, l.item_id, l.site_id, l.ordered, l.allocated, l.customer_id, ctx->>'operation', source);
		END LOOP;
	END IF;
	RETURN QUERY SELECT x.* FROM unnest(results) x;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_demand(jsonb, jsonb) IS 'Entity handler of demand: ordered and allocated totals of a line, of a kit in kits: they are demands of its components; operation deactivate sets both to 0.';

-- inventory_write_demand does the writing of one demand document.
CREATE FUNCTION distsync_internal.inventory_write_demand(doc jsonb, item_id bigint, site_id bigint, ordered numeric, allocated numeric, customer_id bigint, operation text, source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	off boolean := operation = 'deactivate';
BEGIN
	PERFORM distsync_internal.inventory_demand(inventory_write_demand.item_id, inventory_write_demand.site_id, doc->>'demand_key', inventory_write_demand.customer_id,
		CASE WHEN off THEN 0 ELSE COALESCE(inventory_write_demand.ordered,
			(SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = doc->>'demand_key' AND d.item_id = inventory_write_demand.item_id), 0) END, (doc->>'required_at')::timestamptz, source);
	IF off OR inventory_write_demand.allocated IS NOT NULL OR doc ? 'phys_allocated' OR doc ? 'priority' THEN
		UPDATE dist.demand d SET allocated = CASE WHEN off THEN 0 ELSE COALESCE(inventory_write_demand.allocated, d.allocated) END,
			phys_allocated = CASE WHEN doc ? 'phys_allocated' THEN COALESCE((doc->>'phys_allocated')::boolean, false) ELSE d.phys_allocated END,
			priority = CASE WHEN doc ? 'priority' THEN COALESCE((doc->>'priority')::integer, 100) ELSE d.priority END,
			status = distsync_internal.inventory_demand_status(d.reserved, d.ordered, CASE WHEN off THEN 0 ELSE COALESCE(inventory_write_demand.allocated, d.allocated) END, d.shipped)
		WHERE d.demand_key = doc->>'demand_key' AND d.item_id = inventory_write_demand.item_id AND d.site_id = inventory_write_demand.site_id;
		PERFORM distsync_internal.inventory_spread(inventory_write_demand.item_id, doc->>'demand_key', (SELECT sum(d.ordered) FROM dist.demand d WHERE d.demand_key = doc->>'demand_key' AND d.item_id = inventory_write_demand.item_id), NULL);
		PERFORM distsync_internal.inventory_over_shipped(inventory_write_demand.item_id, doc->>'demand_key', NULL, true);
		PERFORM distsync_internal.inventory_refresh(array_agg(d.item_id), array_agg(d.site_id)) FROM dist.demand d WHERE d.demand_key = doc->>'demand_key' AND d.item_id = inventory_write_demand.item_id;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_write_demand(jsonb, bigint, bigint, numeric, numeric, bigint, text, text) IS 'Writes one demand document, base units.';

-- inventory_apply_channel_item does the entity handler of channel_item: what a channel sells, and how availability is shown to it.
CREATE FUNCTION distsync_internal.inventory_apply_channel_item(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	source text := ctx->>'source';
	l record;
	bad boolean;
	fault text[];
BEGIN
	bad := ctx->>'on_error' IS DISTINCT FROM 'collect' AND EXISTS (SELECT FROM distsync_internal.inventory_read_lines(docs, source, true) r
		LEFT JOIN distsync_internal.master_channels(ARRAY(SELECT DISTINCT e->'doc'->>'channel' FROM jsonb_array_elements(docs) e), source) c ON c.code = r.doc->>'channel' WHERE r.fault IS NOT NULL OR c.id IS NULL);
	FOR l IN
		SELECT r.*, c.id AS channel_id FROM distsync_internal.inventory_read_lines(docs, source, true) r
		LEFT JOIN distsync_internal.master_channels(ARRAY(SELECT DISTINCT e->'doc'->>'channel' FROM jsonb_array_elements(docs) e), source) c ON c.code = r.doc->>'channel'
		ORDER BY r.item_id, r.doc->>'channel', r.ordinal
	LOOP
		fault := COALESCE(l.fault, CASE WHEN l.channel_id IS NULL THEN ARRAY['SD001', 'channel', format('unknown channel "%s"', l.doc->>'channel'), 'Send the channel first, correct the code, or add a cross-reference for it.'] END);
		IF fault IS NULL AND NOT bad AND ctx->>'operation' = 'deactivate' THEN
			DELETE FROM dist.channel_item x WHERE x.item_id = l.item_id AND x.channel_id = l.channel_id;
		ELSIF fault IS NULL AND NOT bad THEN
			INSERT INTO dist.channel_item AS x (item_id, channel_id, buffer, cap, threshold, mode)
			VALUES (l.item_id, l.channel_id, COALESCE((l.doc->>'buffer')::numeric, 0), (l.doc->>'cap')::numeric, COALESCE((l.doc->>'threshold')::numeric, 0), COALESCE(l.doc->>'mode', 'conservative'))
			ON CONFLICT ON CONSTRAINT channel_item_pk DO UPDATE SET buffer = CASE WHEN l.doc ? 'buffer' THEN excluded.buffer ELSE x.buffer END, cap = CASE WHEN l.doc ? 'cap' THEN excluded.cap ELSE x.cap END,
				threshold = CASE WHEN l.doc ? 'threshold' THEN excluded.threshold ELSE x.threshold END, mode = CASE WHEN l.doc ? 'mode' THEN excluded.mode ELSE x.mode END;
		END IF;
		RETURN NEXT distsync_internal.inventory_result(l.ordinal, concat_ws('/', l.doc->>'channel', l.doc->>'sku'), fault);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.inventory_apply_channel_item(jsonb, jsonb) IS 'Entity handler of channel_item, quantities in base units (of a kit: whole ones); operation deactivate takes the item out of the channel.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('entity', 'supply', 'distsync_internal.inventory_apply_supply'),
	('entity', 'demand', 'distsync_internal.inventory_apply_demand'),
	('entity', 'channel_item', 'distsync_internal.inventory_apply_channel_item');
INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('supply', '{kind,reference,sku}', 'stock', 'Stock that will come: a line of a purchase order, a shipping notice, a transfer, a work order, a return.'),
	('demand', '{demand_key,sku}', 'stock', 'Stock that is wanted or allocated, for systems that do not send orders.'),
	('channel_item', '{channel,sku}', 'stock', 'An item that a channel sells, and how its availability is shown there.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('supply', 'kind', 'code', true, 'any', 'What it is.', '{purchase,notice,transfer,work_order,return}', false),
	('supply', 'reference', 'code', true, 'any', 'Document and line; receipts name it.', NULL, false),
	('supply', 'sku', 'code', true, 'any', 'Item.', NULL, false),
	('supply', 'site', 'code', false, 'any', 'Site where it arrives.', NULL, true),
	('supply', 'quantity', 'quantity', false, 'nonnegative', 'Expected in all.', NULL, true),
	('supply', 'received', 'quantity', false, 'nonnegative', 'Arrived so far, where no receipts are sent.', NULL, false),
	('supply', 'unit', 'unit', false, 'any', 'Unit of the quantities, default the base unit.', NULL, false),
	('supply', 'expected_at', 'instant', false, 'any', 'When it should arrive. Once that has passed it counts for nothing until a new date is sent.', NULL, true),
	('supply', 'confidence', 'number', false, 'nonnegative', 'Share of it to count on, 0 to 1, default 1.', NULL, false),
	('supply', 'status', 'code', false, 'any', 'Default open.', '{open,done,cancelled}', false),
	('demand', 'demand_key', 'code', true, 'any', 'Identity of the line: company/order/line. The same line in another system is the same demand.', NULL, false),
	('demand', 'sku', 'code', true, 'any', 'Item, or a kit: then quantities are kits, and each component is a demand of this key.', NULL, false),
	('demand', 'site', 'code', true, 'any', 'Site that serves it.', NULL, false),
	('demand', 'customer', 'code', false, 'any', 'Who wants it.', NULL, false),
	('demand', 'ordered', 'quantity', false, 'nonnegative', 'Ordered in all, shipped ones included, less what was cancelled.', NULL, false),
	('demand', 'allocated', 'quantity', false, 'nonnegative', 'Allocated by the warehouse in all, shipped ones included.', NULL, false),
	('demand', 'phys_allocated', 'boolean', false, 'any', 'The allocated stock has left the state available in the warehouse''s numbers.', NULL, false),
	('demand', 'unit', 'unit', false, 'any', 'Unit of the quantities, default the base unit.', NULL, false),
	('demand', 'required_at', 'instant', false, 'any', 'When it is wanted, default now.', NULL, false),
	('demand', 'priority', 'integer', false, 'nonnegative', 'Lower is served first.', NULL, false),
	('channel_item', 'channel', 'code', true, 'any', 'Channel.', NULL, false),
	('channel_item', 'sku', 'code', true, 'any', 'Item.', NULL, false),
	('channel_item', 'buffer', 'quantity', false, 'nonnegative', 'Base units held back, default 0.', NULL, false),
	('channel_item', 'cap', 'quantity', false, 'nonnegative', 'Never show more base units than this; null = no cap.', NULL, false),
	('channel_item', 'threshold', 'quantity', false, 'nonnegative', 'Below so many base units show nothing, default 0.', NULL, false),
	('channel_item', 'mode', 'code', false, 'any', 'Which truth it is told, default conservative.', '{physical,book,conservative}', false);
