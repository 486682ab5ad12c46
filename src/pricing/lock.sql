-- The door for price locks: a price promised for one document, whatever agreements say later.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('price_lock', '{customer,document_type,document_key,item,unit,min_quantity}', 'agreement', 'A price promised for a quote, order or return. A later document for the same quantity replaces it; deactivate ends it.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('price_lock', 'customer', 'code', true, 'any', 'The customer.', NULL, false),
	('price_lock', 'document_type', 'text', true, 'any', 'Type of the document.', '{quote,order,return}', false),
	('price_lock', 'document_key', 'code', true, 'any', 'Its number.', NULL, false),
	('price_lock', 'item', 'code', true, 'any', 'The item.', NULL, false),
	('price_lock', 'unit', 'unit', false, 'any', 'Unit of price and quantities, the base unit if left out.', NULL, false),
	('price_lock', 'min_quantity', 'quantity', false, 'nonnegative', 'From this quantity on, 0 if left out.', NULL, false),
	('price_lock', 'max_quantity', 'quantity', false, 'nonnegative', 'Up to this quantity, without end if left out.', NULL, false),
	('price_lock', 'unit_price', 'price', false, 'nonnegative', 'The promised price, for price_per units.', NULL, true),
	('price_lock', 'currency', 'currency', false, 'any', 'Its currency.', NULL, true),
	('price_lock', 'price_per', 'integer', false, 'positive', 'The price is for 1, 100 or 1000 units.', '{1,100,1000}', false),
	('price_lock', 'valid_from', 'instant_or_date', false, 'any', 'From when it holds; a date is its first day in the customer''s time zone.', NULL, false),
	('price_lock', 'valid_to', 'instant_or_date', false, 'any', 'Until when; a date is its last day.', NULL, false),
	('price_lock', 'proof', 'text', false, 'any', 'The proof of the price when it was promised, 64 hexadecimal digits: see docs/price_proof.md.', NULL, false),
	('price_lock', 'reason', 'text', false, 'any', 'Why.', NULL, true),
	('price_lock', 'approved_by', 'text', false, 'any', 'On whose authority.', NULL, true);

-- pricing_lock_rows does the reading of price lock documents over what is there.
CREATE FUNCTION distsync_internal.pricing_lock_rows(docs jsonb, source text)
RETURNS TABLE (ordinal integer, key text, id bigint, doc jsonb, customer_id bigint, item_id bigint, row_now jsonb, row_then jsonb, fault text, sqlstate text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (SELECT (d->>'ordinal')::integer AS ordinal, d->'doc' AS doc FROM jsonb_array_elements(docs) d),
	named AS (
		SELECT t.ordinal, t.doc, c.id AS customer_id, i.id AS item_id, p.tz, CASE WHEN t.doc->>'unit' IS NULL THEN COALESCE(i.unit, m.base_unit) ELSE u.id END AS unit, m.base_unit,
			COALESCE((t.doc->>'min_quantity')::numeric(20,6), 0) AS min_quantity
		FROM told t
		LEFT JOIN distsync_internal.master_parties(ARRAY(SELECT x.doc->>'customer' FROM told x), source) c ON c.code = t.doc->>'customer'
		LEFT JOIN dist.party p ON p.party_id = c.id
		LEFT JOIN distsync_internal.master_items(ARRAY(SELECT x.doc->>'item' FROM told x), source) i ON i.code = t.doc->>'item'
		LEFT JOIN dist.item m ON m.item_id = i.id
		LEFT JOIN distsync_internal.master_units(ARRAY(SELECT x.doc->>'unit' FROM told x), source) u ON u.code = t.doc->>'unit')
	SELECT n.ordinal, concat_ws('/', n.doc->>'customer', n.doc->>'document_type', n.doc->>'document_key', n.doc->>'item', n.unit, trim_scale(n.min_quantity)), k.price_lock_id, n.doc, n.customer_id, n.item_id,
		to_jsonb(k), o.row_then || jsonb_build_object('customer_id', n.customer_id, 'item_id', n.item_id, 'unit', n.unit, 'min_quantity', n.min_quantity, 'valid', v.valid,
			'document_type', n.doc->'document_type', 'document_key', n.doc->'document_key', 'proof_sha256', CASE WHEN n.doc ? 'proof' THEN '\x' || lower(n.doc->>'proof') ELSE to_jsonb(k)->>'proof_sha256' END),
		f.fault, CASE WHEN f.fault IN ('customer', 'item') THEN 'SD001' WHEN f.fault = 'unit' THEN 'SD004' WHEN f.fault IN ('unit_price', 'currency', 'reason', 'approved_by') THEN 'SD005' ELSE 'SD002' END
	FROM named n
	LEFT JOIN LATERAL (SELECT x.* FROM dist.price_lock x WHERE x.customer_id = n.customer_id AND x.document_type = n.doc->>'document_type' AND x.document_key = n.doc->>'document_key'
		AND x.item_id = n.item_id AND x.unit = n.unit AND x.min_quantity = n.min_quantity ORDER BY x.valid DESC LIMIT 1) k ON true
	CROSS JOIN LATERAL distsync_internal.pricing_overlay(to_jsonb(k), '{"max_quantity": null, "unit_price": null, "currency": null, "price_per": 1, "reason": null, "approved_by": null}', n.doc) o(row_then)
	CROSS JOIN LATERAL distsync_internal.pricing_period(n.doc, COALESCE(n.tz, 'UTC'), k.valid) v(valid)
	CROSS JOIN LATERAL (SELECT CASE WHEN n.customer_id IS NULL THEN 'customer' WHEN n.item_id IS NULL THEN 'item'
		WHEN n.unit IS NULL OR n.unit <> n.base_unit AND NOT EXISTS (SELECT FROM dist.item_unit w WHERE w.item_id = n.item_id AND w.unit = n.unit) THEN 'unit'
		WHEN row_then->>'unit_price' IS NULL THEN 'unit_price' WHEN row_then->>'currency' IS NULL THEN 'currency' WHEN row_then->>'reason' IS NULL THEN 'reason'
		WHEN row_then->>'approved_by' IS NULL THEN 'approved_by' WHEN (row_then->>'max_quantity')::numeric < n.min_quantity THEN 'max_quantity' WHEN isempty(v.valid) THEN 'valid_to' WHEN n.doc->>'proof' !~* '^[0-9a-f]{64}$' THEN 'proof' END) f(fault)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lock_rows(jsonb, text) IS 'Price lock documents as rows: the lock there is (row_now, id), the one that is to be (row_then), and the field that cannot be taken.';

-- pricing_apply_price_lock does the taking of price locks.
CREATE FUNCTION distsync_internal.pricing_apply_price_lock(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := ctx->>'source';
	ending boolean := ctx->>'operation' = 'deactivate';
	x record;
	bad integer[] := '{}';
	stamp timestamptz;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.pricing:price_lock', 0));
	FOR x IN SELECT * FROM distsync_internal.pricing_lock_rows(docs, source) r WHERE r.fault IS NOT NULL AND (NOT ending OR r.sqlstate IN ('SD001', 'SD004')) OR ending AND r.id IS NULL LOOP
		bad := bad || x.ordinal;
		RETURN NEXT distsync_internal.master_result(x.ordinal, 'rejected', x.key, COALESCE(x.sqlstate, 'SD001'), COALESCE(x.fault, 'document_key'), CASE
			WHEN x.fault IS NULL OR ending AND x.sqlstate = 'SD005' THEN 'there is no such price lock' WHEN x.sqlstate = 'SD005' THEN format('field "%s" is missing', x.fault)
			WHEN x.sqlstate IN ('SD001', 'SD004') THEN format('%s "%s" is not known', x.fault, x.doc->>x.fault)
			WHEN x.fault = 'proof' THEN 'proof has not 64 hexadecimal digits' ELSE format('%s is below the start', x.fault) END,
			'Correct the document, or send what it names first; a unit must be one of the item''s.');
	END LOOP;
	IF cardinality(bad) > 0 AND ctx->>'on_error' IS DISTINCT FROM 'collect' THEN
		RETURN;
	END IF;
	FOR x IN SELECT r.*, (jsonb_populate_record(NULL::dist.price_lock, r.row_then)).*, NOT (r.row_now IS NOT NULL AND jsonb_populate_record(NULL::dist.price_lock, r.row_now)
			IS NOT DISTINCT FROM jsonb_populate_record(NULL::dist.price_lock, r.row_now || r.row_then)) AS changed
		FROM distsync_internal.pricing_lock_rows(docs, source) r WHERE r.ordinal <> ALL (bad) ORDER BY r.ordinal
	LOOP
		stamp := CASE WHEN x.changed OR ending THEN distsync_internal.base_touch_prices(distsync_internal.base_buckets(ARRAY[x.customer_id]), '{}') END;
		IF ending THEN
			DELETE FROM dist.price_lock k WHERE k.customer_id = x.customer_id AND k.price_lock_id = x.id AND lower(k.valid) >= stamp;
			UPDATE dist.price_lock k SET valid = k.valid * tstzrange(NULL, stamp) WHERE k.customer_id = x.customer_id AND k.price_lock_id = x.id AND NOT upper(k.valid) <= stamp IS TRUE;
		ELSIF x.changed AND x.id IS NOT NULL THEN
			UPDATE dist.price_lock k SET max_quantity = x.max_quantity, unit_price = x.unit_price, currency = x.currency, price_per = x.price_per, valid = x.valid, proof_sha256 = x.proof_sha256, reason = x.reason,
				approved_by = x.approved_by
			WHERE k.customer_id = x.customer_id AND k.price_lock_id = x.id;
		ELSIF x.changed THEN
			INSERT INTO dist.price_lock (customer_id, document_type, document_key, item_id, unit, min_quantity, max_quantity, unit_price, currency, price_per, valid, proof_sha256, reason, approved_by)
			VALUES (x.customer_id, x.document_type, x.document_key, x.item_id, x.unit, x.min_quantity, x.max_quantity, x.unit_price, x.currency, x.price_per, x.valid, x.proof_sha256, x.reason, x.approved_by);
		END IF;
		RETURN NEXT distsync_internal.master_result(x.ordinal, CASE WHEN x.changed OR ending THEN 'applied' ELSE 'unchanged' END, x.key);
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_price_lock(jsonb, jsonb) IS 'Entity handler of price_lock. Rejections: SD001 customer or item, SD004 unit, SD002 a quantity or period, SD005 a field that a new one needs.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES ('entity', 'price_lock', 'distsync_internal.pricing_apply_price_lock');
