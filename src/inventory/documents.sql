-- Documents about an item at a site: what they share, and what channels may sell. Each is a fact of its owner: absent fields stay, null clears.

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
	('supply', 'received', 'quantity', false, 'nonnegative', 'Arrived so far, where no receipts are sent; absent = what receipts that name the reference say, also those told before it.', NULL, false),
	('supply', 'unit', 'unit', false, 'any', 'Unit of the quantities, default the base unit.', NULL, false),
	('supply', 'expected_at', 'instant', false, 'any', 'When it should arrive. Once that has passed it counts for nothing until a new date is sent.', NULL, true),
	('supply', 'confidence', 'number', false, 'nonnegative', 'Share of it to count on, 0 to 1, default 1.', NULL, false),
	('supply', 'status', 'code', false, 'any', 'Default open. Cancelled, or done although not all has come, stays so until another is sent.', '{open,done,cancelled}', false),
	('demand', 'demand_key', 'code', true, 'any', 'Identity of the line: company/order/line. The same line in another system is the same demand.', NULL, false),
	('demand', 'sku', 'code', true, 'any', 'Item, or a kit: then quantities are kits, and each component is a demand of this key.', NULL, false),
	('demand', 'site', 'code', true, 'any', 'Site that serves it.', NULL, false),
	('demand', 'customer', 'code', false, 'any', 'Who wants it.', NULL, false),
	('demand', 'ordered', 'quantity', false, 'nonnegative', 'Ordered in all, shipped ones included, less what was cancelled; 0 = the line is cancelled, what we promised it is given back.', NULL, false),
	('demand', 'allocated', 'quantity', false, 'nonnegative', 'Allocated by the warehouse in all, shipped ones included.', NULL, false),
	('demand', 'phys_allocated', 'boolean', false, 'any', 'The allocated stock has left the state available in the warehouse''s numbers.', NULL, false),
	('demand', 'unit', 'unit', false, 'any', 'Unit of the quantities, default the base unit.', NULL, false),
	('demand', 'required_at', 'instant', false, 'any', 'When it is wanted; null = now.', NULL, false),
	('demand', 'priority', 'integer', false, 'nonnegative', 'Lower is served first.', NULL, false),
	('channel_item', 'channel', 'code', true, 'any', 'Channel.', NULL, false),
	('channel_item', 'sku', 'code', true, 'any', 'Item.', NULL, false),
	('channel_item', 'buffer', 'quantity', false, 'nonnegative', 'Base units held back, default 0.', NULL, false),
	('channel_item', 'cap', 'quantity', false, 'nonnegative', 'Never show more base units than this; null = no cap.', NULL, false),
	('channel_item', 'threshold', 'quantity', false, 'nonnegative', 'Below so many base units show nothing, default 0.', NULL, false),
	('channel_item', 'mode', 'code', false, 'any', 'Which truth it is told, default conservative.', '{physical,book,conservative}', false);
