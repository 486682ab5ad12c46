-- Substitutes: where policy allows it, a line that can not be had as asked is of an item that may stand in for it, before it is priced and promised.

-- order_stand_in does the making of a line of another item out of one, in the same unit.
CREATE FUNCTION distsync_internal.order_stand_in(l jsonb, item_id bigint, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	n jsonb := distsync_internal.order_read_line(jsonb_build_object('line', l -> 'line', 'item', (SELECT i.sku FROM dist.item i WHERE i.item_id = order_stand_in.item_id), 'quantity', l -> 'quantity', 'unit', l -> 'unit'), (l ->> 'ordinal')::integer, source, 'UTC');
BEGIN
	RETURN l || (SELECT jsonb_object_agg(k, n -> k) FROM unnest('{item_id,item,numerator,denominator,status,base_quantity,components}'::text[]) k) || jsonb_build_object('disposition', 'substitute', 'requested_item_id', l -> 'item_id', 'requested_item', l -> 'item');
END
$$;
COMMENT ON FUNCTION distsync_internal.order_stand_in(jsonb, bigint, text) IS 'A read line with another item instead of its own (requested_item), the same quantity in the same unit, disposition substitute. Errors: as order_read_line().';

-- order_covers does the question whether stock covers a line in full, alone.
CREATE FUNCTION distsync_internal.order_covers(o jsonb, l jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN l ->> 'status' = 'active' AND (SELECT COALESCE(sum(p.base_quantity) FILTER (WHERE p.outcome IN ('reserved', 'partial')), 0) >= (l ->> 'base_quantity')::numeric
		FROM distsync_internal.inventory_preview(distsync_internal.order_wanted(o || jsonb_build_object('lines', jsonb_build_array(l))), distsync_internal.order_stock_options(o || jsonb_build_object('lines', jsonb_build_array(l)))) p);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_covers(jsonb, jsonb) IS 'Whether all of a read line could be promised now, as a read; no for an item that is not active.';

-- order_substitute does the choice for all lines.
CREATE FUNCTION distsync_internal.order_substitute(o jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	l jsonb;
	x record;
	other jsonb;
	found jsonb;
	lines jsonb := '[]';
BEGIN
	IF o -> 'policy' ->> 'substitute' IS DISTINCT FROM 'allow' THEN
		RETURN o;
	END IF;
	o := o || jsonb_build_object('order_number', COALESCE(o ->> 'order_number', 'preview'));
	FOR l IN SELECT t.value FROM jsonb_array_elements(o -> 'lines') WITH ORDINALITY t(value, place) ORDER BY t.place LOOP
		found := NULL;
		IF EXISTS (SELECT FROM dist.item_supersession s WHERE s.item_id = (l ->> 'item_id')::bigint AND s.valid @> statement_timestamp()) AND NOT distsync_internal.order_covers(o, l) THEN
			FOR x IN SELECT DISTINCT ON (s.rank, s.kind, i.sku COLLATE "C") i.item_id FROM dist.item_supersession s JOIN dist.item i ON i.item_id = s.successor_id AND i.status = 'active' AND NOT i.kit
				WHERE s.item_id = (l ->> 'item_id')::bigint AND s.valid @> statement_timestamp()
					AND (i.base_unit = l ->> 'unit' OR EXISTS (SELECT FROM dist.item_unit u WHERE u.item_id = i.item_id AND u.unit = l ->> 'unit')) ORDER BY s.rank, s.kind, i.sku COLLATE "C" LIMIT 20 LOOP
				other := distsync_internal.order_stand_in(l, x.item_id, o ->> 'source');
				IF distsync_internal.order_covers(o, other) THEN
					found := other;
					EXIT;
				END IF;
			END LOOP;
		END IF;
		lines := lines || COALESCE(found, l);
	END LOOP;
	RETURN o || jsonb_build_object('lines', lines);
END
$$;
COMMENT ON FUNCTION distsync_internal.order_substitute(jsonb) IS
	'By policy substitute = allow: a line whose item is not active, or that stock does not cover in full now, is of the first item (successors[] of the item: by rank, kind, SKU; no kit; at most 20 are looked at) in the same unit that stock covers; without one it stays. As a read: what is promised is decided under the locks.';
