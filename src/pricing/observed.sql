-- The door for observed prices: what a channel, or somebody else's invoice, really charged. check_prices() compares it with what we say.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('observed_price', '{customer,channel,document_type,document_key,line}', 'observed_price',
	 'A price that a channel or an invoice really charged, for check_prices(). A later document of the same line replaces it; deactivate takes it back.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices, at_creation) VALUES
	('observed_price', 'customer', 'code', true, 'any', 'The customer it was charged to.', NULL, false),
	('observed_price', 'channel', 'code', false, 'any', 'The channel that charged it, none if left out.', NULL, false),
	('observed_price', 'document_type', 'text', true, 'any', 'Type of the document it stands on.', '{order,invoice,quote,cart}', false),
	('observed_price', 'document_key', 'code', true, 'any', 'Its number.', NULL, false),
	('observed_price', 'line', 'integer', true, 'positive', 'Its line.', NULL, false),
	('observed_price', 'item', 'code', false, 'any', 'The item.', NULL, true),
	('observed_price', 'quantity', 'quantity', false, 'any', 'Quantity in unit, 1 if left out; a negative one is a return.', NULL, false),
	('observed_price', 'unit', 'unit', false, 'any', 'Unit of quantity and price, the base unit if left out.', NULL, false),
	('observed_price', 'unit_price', 'price', false, 'nonnegative', 'Price charged, net of tax, for price_per units.', NULL, true),
	('observed_price', 'price_per', 'integer', false, 'positive', 'The price is for 1, 100 or 1000 units.', '{1,100,1000}', false),
	('observed_price', 'currency', 'currency', false, 'any', 'Its currency.', NULL, true),
	('observed_price', 'tax_percent', 'quantity', false, 'nonnegative', 'Tax on the line in percent: lets a price with tax be recognised.', NULL, false),
	('observed_price', 'priced_at', 'instant', false, 'any', 'When it was priced.', NULL, true),
	('observed_price', 'company', 'code', false, 'any', 'The company that sells.', NULL, false),
	('observed_price', 'ship_to', 'code', false, 'any', 'Where it goes.', NULL, false),
	('observed_price', 'job', 'code', false, 'any', 'The job it is for.', NULL, false),
	('observed_price', 'site', 'code', false, 'any', 'The site that serves it.', NULL, false),
	('observed_price', 'lock_type', 'text', false, 'any', 'Type of the document whose locked prices should hold, quote if left out.', '{quote,order,return}', false),
	('observed_price', 'lock_key', 'code', false, 'any', 'Its number.', NULL, false),
	('observed_price', 'context', 'json', false, 'any', 'What conditions of rates look at, as options.context of price().', NULL, false),
	('observed_price', 'requested_ship', 'instant', false, 'any', 'Requested ship date, where agreements price by it.', NULL, false),
	('observed_price', 'override', 'text', false, 'any', 'Why somebody set the price by hand.', NULL, false);

-- pricing_observed_rows does the reading of documents of observed prices over what is there.
CREATE FUNCTION distsync_internal.pricing_observed_rows(docs jsonb, source text)
RETURNS TABLE (ordinal integer, key text, doc jsonb, is_there boolean, row_now jsonb, row_then jsonb, fault text, sqlstate text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (SELECT (d->>'ordinal')::integer AS ordinal, d->'doc' AS doc FROM jsonb_array_elements(docs) d),
	party AS MATERIALIZED (SELECT p.* FROM distsync_internal.master_parties(ARRAY(SELECT x.doc->>k.field FROM told x CROSS JOIN unnest('{customer,ship_to,job}'::text[]) k(field)), source) p),
	named AS (
		SELECT t.ordinal, t.doc, c.id AS customer_id, CASE WHEN t.doc->>'channel' IS NULL THEN 0 ELSE h.id END AS channel_id, i.id AS item_id, u.id AS unit, i.unit AS item_unit, o.id AS company_id,
			s.id AS ship_to_id, j.id AS job_id, w.id AS site_id
		FROM told t
		LEFT JOIN party c ON c.code = t.doc->>'customer'
		LEFT JOIN party s ON s.code = t.doc->>'ship_to'
		LEFT JOIN party j ON j.code = t.doc->>'job'
		LEFT JOIN distsync_internal.master_channels(ARRAY(SELECT x.doc->>'channel' FROM told x), source) h ON h.code = t.doc->>'channel'
		LEFT JOIN distsync_internal.master_items(ARRAY(SELECT x.doc->>'item' FROM told x), source) i ON i.code = t.doc->>'item'
		LEFT JOIN distsync_internal.master_units(ARRAY(SELECT x.doc->>'unit' FROM told x), source) u ON u.code = t.doc->>'unit'
		LEFT JOIN distsync_internal.master_companies(ARRAY(SELECT x.doc->>'company' FROM told x), source) o ON o.code = t.doc->>'company'
		LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT x.doc->>'site' FROM told x), source) w ON w.code = t.doc->>'site'),
	laid AS MATERIALIZED (
		SELECT n.*, k.customer_id IS NOT NULL AS is_there, to_jsonb(k) AS row_now, distsync_internal.pricing_overlay(to_jsonb(k), '{"quantity": 1, "unit_price": null, "price_per": 1, "currency": null, "tax_percent": null,
				"priced_at": null, "lock_type": null, "lock_key": null, "context": null, "requested_ship": null, "override": null}', n.doc)
			|| jsonb_build_object('customer_id', n.customer_id, 'channel_id', n.channel_id, 'document_type', n.doc->'document_type', 'document_key', n.doc->'document_key', 'line_no', n.doc->'line', 'source', pricing_observed_rows.source,
				'item_id', COALESCE(n.item_id, k.item_id), 'unit', CASE WHEN n.doc->>'unit' IS NOT NULL THEN n.unit WHEN n.item_id IS NULL THEN k.unit ELSE COALESCE(n.item_unit, m.base_unit) END,
				'company_id', CASE WHEN n.doc ? 'company' THEN n.company_id ELSE k.company_id END, 'ship_to_id', CASE WHEN n.doc ? 'ship_to' THEN n.ship_to_id ELSE k.ship_to_id END,
				'job_id', CASE WHEN n.doc ? 'job' THEN n.job_id ELSE k.job_id END, 'site_id', CASE WHEN n.doc ? 'site' THEN n.site_id ELSE k.site_id END,
				'ext', COALESCE(k.ext, '{}') || COALESCE(n.doc->'ext', '{}')) AS row_then
		FROM named n
		LEFT JOIN dist.observed_price k ON k.customer_id = n.customer_id AND k.channel_id = n.channel_id AND k.document_type = n.doc->>'document_type' AND k.document_key = n.doc->>'document_key' AND k.line_no = (n.doc->>'line')::integer
		LEFT JOIN dist.item m ON m.item_id = n.item_id)
	SELECT l.ordinal, concat_ws('/', l.doc->>'customer', l.doc->>'channel', l.doc->>'document_type', l.doc->>'document_key', l.doc->>'line'), l.doc, l.is_there, l.row_now, l.row_then, f.fault,
		CASE WHEN f.fault IN ('customer', 'channel', 'item', 'company', 'ship_to', 'job', 'site') AND l.doc->>f.fault IS NOT NULL THEN 'SD001' WHEN f.fault = 'unit' THEN 'SD004' WHEN f.fault = 'currency' AND l.doc->>'currency' IS NOT NULL THEN 'SD003'
			WHEN f.fault IN ('quantity', 'tax_percent') THEN 'SD002' ELSE 'SD005' END
	FROM laid l
	CROSS JOIN LATERAL (SELECT CASE WHEN l.customer_id IS NULL THEN 'customer' WHEN l.channel_id IS NULL THEN 'channel' WHEN l.row_then->>'item_id' IS NULL OR l.doc->>'item' IS NOT NULL AND l.item_id IS NULL THEN 'item'
		WHEN l.doc->>'company' IS NOT NULL AND l.company_id IS NULL THEN 'company' WHEN l.doc->>'ship_to' IS NOT NULL AND l.ship_to_id IS NULL THEN 'ship_to'
		WHEN l.doc->>'job' IS NOT NULL AND l.job_id IS NULL THEN 'job' WHEN l.doc->>'site' IS NOT NULL AND l.site_id IS NULL THEN 'site'
		WHEN NOT EXISTS (SELECT FROM dist.item m LEFT JOIN dist.item_unit w ON w.item_id = m.item_id AND w.unit = l.row_then->>'unit'
			WHERE m.item_id = (l.row_then->>'item_id')::bigint AND (m.base_unit = l.row_then->>'unit' OR w.unit IS NOT NULL)) THEN 'unit'
		WHEN (l.row_then->>'quantity')::numeric = 0 THEN 'quantity' WHEN (l.row_then->>'tax_percent')::numeric >= 1000 THEN 'tax_percent' WHEN l.row_then->>'unit_price' IS NULL THEN 'unit_price'
		WHEN NOT EXISTS (SELECT FROM dist.currency y WHERE y.currency = l.row_then->>'currency') THEN 'currency' WHEN l.row_then->>'priced_at' IS NULL THEN 'priced_at' END) f(fault)
$$;
COMMENT ON FUNCTION distsync_internal.pricing_observed_rows(jsonb, text) IS 'Documents of observed prices as rows: the one there is (row_now), the one that is to be (row_then), and the field that cannot be taken.';

-- pricing_apply_observed_price does the taking of observed prices: of two documents for one line in a call the later one counts.
CREATE FUNCTION distsync_internal.pricing_apply_observed_price(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := ctx->>'source';
	ending boolean := ctx->>'operation' = 'deactivate';
	bad integer[];
BEGIN
	RETURN QUERY
	SELECT m.* FROM distsync_internal.pricing_observed_rows(docs, source) r
	CROSS JOIN LATERAL distsync_internal.master_result(r.ordinal, 'rejected', r.key, CASE WHEN ending THEN 'SD001' ELSE r.sqlstate END, CASE WHEN ending AND r.fault NOT IN ('customer', 'channel') THEN 'line' ELSE COALESCE(r.fault, 'line') END, CASE
		WHEN ending THEN 'there is no such observed price' WHEN r.sqlstate IN ('SD001', 'SD003') THEN format('%s "%s" is not known', r.fault, r.doc->>r.fault)
		WHEN r.sqlstate = 'SD004' THEN format('the item has no unit "%s"', COALESCE(r.doc->>'unit', r.row_then->>'unit')) WHEN r.sqlstate = 'SD002' THEN format('%s %s is out of range', r.fault, r.row_then->>r.fault) ELSE format('field "%s" is missing', r.fault) END,
		'Correct the document, or send what it names first; a unit must be one of the item''s.') m
	WHERE CASE WHEN ending THEN NOT r.is_there ELSE r.fault IS NOT NULL END;
	IF FOUND AND ctx->>'on_error' IS DISTINCT FROM 'collect' THEN
		RETURN;
	END IF;
	RETURN QUERY
	WITH told AS MATERIALIZED (
		SELECT r.ordinal, r.key, r.is_there, r.row_now, r.row_then, x.* FROM distsync_internal.pricing_observed_rows(docs, source) r
		CROSS JOIN LATERAL jsonb_populate_record(NULL::dist.observed_price, COALESCE(r.row_now, '{}') || jsonb_build_object('recorded_at', clock_timestamp()) || r.row_then) x
		WHERE CASE WHEN ending THEN r.is_there ELSE r.fault IS NULL END),
	news AS MATERIALIZED (
		SELECT DISTINCT ON (t.customer_id, t.channel_id, t.document_type, t.document_key, t.line_no) t.* FROM told t
		WHERE ending OR NOT t.is_there OR jsonb_populate_record(NULL::dist.observed_price, t.row_now - 'source') IS DISTINCT FROM jsonb_populate_record(NULL::dist.observed_price, (t.row_now || t.row_then) - 'source')
		ORDER BY t.customer_id, t.channel_id, t.document_type, t.document_key, t.line_no, t.ordinal DESC),
	gone AS (
		DELETE FROM dist.observed_price o USING news n WHERE ending AND (o.customer_id, o.channel_id, o.document_type, o.document_key, o.line_no) = (n.customer_id, n.channel_id, n.document_type, n.document_key, n.line_no)),
	kept AS (
		INSERT INTO dist.observed_price SELECT n.customer_id, n.channel_id, n.document_type, n.document_key, n.line_no, n.item_id, n.quantity, n.unit, n.unit_price, n.price_per, n.currency, n.tax_percent, n.priced_at, n.company_id,
			n.ship_to_id, n.job_id, n.site_id, CASE WHEN n.lock_key IS NOT NULL THEN COALESCE(n.lock_type, 'quote') END, n.lock_key, n.context, n.requested_ship, n.override, n.source, n.recorded_at, n.ext FROM news n WHERE NOT ending
		ON CONFLICT ON CONSTRAINT observed_price_pk DO UPDATE SET item_id = excluded.item_id, quantity = excluded.quantity, unit = excluded.unit, unit_price = excluded.unit_price, price_per = excluded.price_per,
			currency = excluded.currency, tax_percent = excluded.tax_percent, priced_at = excluded.priced_at, company_id = excluded.company_id, ship_to_id = excluded.ship_to_id, job_id = excluded.job_id, site_id = excluded.site_id,
			lock_type = excluded.lock_type, lock_key = excluded.lock_key, context = excluded.context, requested_ship = excluded.requested_ship, override = excluded.override, source = excluded.source, ext = excluded.ext)
	SELECT m.* FROM told t CROSS JOIN LATERAL distsync_internal.master_result(t.ordinal, CASE WHEN EXISTS (SELECT FROM news n WHERE n.ordinal = t.ordinal) THEN 'applied' ELSE 'unchanged' END, t.key) m;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_apply_observed_price(jsonb, jsonb) IS
	'Entity handler of observed_price. Rejections: SD001 a code nobody knows, SD002 a quantity of 0 or a tax from 1000 % on, SD003 currency, SD004 unit, SD005 a field that a new one needs.';

-- pricing_observed_retain does the forgetting of what was told longer ago than distsync.observed_price_retention.
CREATE FUNCTION distsync_internal.pricing_observed_retain(max_rows integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keep interval := COALESCE(NULLIF(current_setting('distsync.observed_price_retention', true), ''), '400d')::interval;
	n integer;
BEGIN
	IF keep <= interval '0' THEN
		RETURN 0;
	END IF;
	DELETE FROM dist.observed_price o USING (SELECT x.customer_id, x.channel_id, x.document_type, x.document_key, x.line_no FROM dist.observed_price x WHERE x.recorded_at < clock_timestamp() - keep
		ORDER BY x.recorded_at LIMIT greatest(max_rows, 1)) old
	WHERE (o.customer_id, o.channel_id, o.document_type, o.document_key, o.line_no) = (old.customer_id, old.channel_id, old.document_type, old.document_key, old.line_no);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_observed_retain(integer) IS 'Clerk task: deletes observed prices that were told longer ago than distsync.observed_price_retention (0 = never), at most max_rows at a time. Returns how many.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES
	('entity', 'observed_price', 100, 'distsync_internal.pricing_apply_observed_price'),
	('clerk', 'observed_price_retain', 920, 'distsync_internal.pricing_observed_retain');
