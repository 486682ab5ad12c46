-- Facts with both time axes: exchange rates and item costs. Each holds from its instant until the next one; what we believed before
-- stays on record with the time until which we did (known). Also groups of parties, which need no more than a name.

INSERT INTO distsync_internal.document_entity (entity, key_fields, domain, description) VALUES
	('exchange_rate', '{from_currency,to_currency,kind,valid_from}', 'currency', 'How many units of one currency one unit of another is worth, from an instant on.'),
	('item_cost', '{company,sku,site,kind,valid_from}', 'cost', 'What an item costs us, by company, site and kind, from an instant on.'),
	('party_group', '{kind,code}', 'party', 'A set of parties that prices or limits may name.');
INSERT INTO distsync_internal.document_field (entity, field, type, required, sign, description, choices) VALUES
	('exchange_rate', 'from_currency', 'currency', true, 'any', 'Currency converted from.', NULL),
	('exchange_rate', 'to_currency', 'currency', true, 'any', 'Currency converted to.', NULL),
	('exchange_rate', 'kind', 'code', false, 'any', 'spot, average, budget ...; spot if left out.', NULL),
	('exchange_rate', 'rate', 'number', true, 'positive', 'Units of to_currency for one of from_currency.', NULL),
	('exchange_rate', 'valid_from', 'instant', true, 'any', 'From when it holds, until the next one.', NULL),
	('item_cost', 'company', 'code', true, 'any', 'Code of the company.', NULL),
	('item_cost', 'sku', 'code', true, 'any', 'The item.', NULL),
	('item_cost', 'site', 'code', false, 'any', 'Code of the site, every site of the company if left out.', NULL),
	('item_cost', 'kind', 'text', false, 'any', 'Kind of cost, average if left out.', '{average,standard,replacement,after_claim}'),
	('item_cost', 'unit', 'unit', false, 'any', 'Unit the cost is for, the base unit if left out.', NULL),
	('item_cost', 'cost', 'price', true, 'nonnegative', 'Cost of one unit.', NULL),
	('item_cost', 'currency', 'currency', true, 'any', 'Its currency.', NULL),
	('item_cost', 'valid_from', 'instant', true, 'any', 'From when it holds, until the next one.', NULL),
	('party_group', 'kind', 'text', true, 'any', 'Kind.', '{buying_group,price_class,segment,region}'),
	('party_group', 'code', 'code', true, 'any', 'Business code.', NULL),
	('party_group', 'name', 'text', false, 'any', 'Name for people.', NULL);

-- master_told_rates does the reading of exchange rate documents: of two for one instant the later one counts.
CREATE FUNCTION distsync_internal.master_told_rates(docs jsonb) RETURNS TABLE (f text, o text, kind text, rate numeric, start timestamptz, ordinal integer)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT DISTINCT ON (1, 2, 3, 5) d -> 'doc' ->> 'from_currency', d -> 'doc' ->> 'to_currency', COALESCE(d -> 'doc' ->> 'kind', 'spot'),
		(d -> 'doc' ->> 'rate')::numeric(24,12), (d -> 'doc' ->> 'valid_from')::timestamptz, (d ->> 'ordinal')::integer
	FROM jsonb_array_elements(docs) d ORDER BY 1, 2, 3, 5, 6 DESC
$$;
COMMENT ON FUNCTION distsync_internal.master_told_rates(jsonb) IS 'Exchange rate documents as rows: from, to, kind, rate, start, ordinal.';

-- master_lay_rates does the laying of rates over the timeline that we hold true now.
CREATE FUNCTION distsync_internal.master_lay_rates(docs jsonb, t timestamptz) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (SELECT * FROM distsync_internal.master_told_rates(docs)),
	held AS MATERIALIZED (
		SELECT r.* FROM dist.exchange_rate r WHERE upper_inf(r.known) AND EXISTS (SELECT FROM told d WHERE d.f = r.from_currency AND d.o = r.to_currency AND d.kind = r.kind)),
	line AS (
		SELECT s.f, s.o, s.kind, s.rate, tstzrange(s.start, least(lead(s.start) OVER (PARTITION BY s.f, s.o, s.kind ORDER BY s.start NULLS FIRST), s.until)) AS valid
		FROM (
			SELECT d.f, d.o, d.kind, d.rate, d.start, NULL::timestamptz AS until FROM told d
			UNION ALL
			SELECT h.from_currency, h.to_currency, h.kind, h.rate, lower(h.valid), upper(h.valid) FROM held h
			WHERE NOT EXISTS (SELECT FROM told d WHERE d.f = h.from_currency AND d.o = h.to_currency AND d.kind = h.kind AND d.start = lower(h.valid))) s),
	ended AS (
		UPDATE dist.exchange_rate r SET known = tstzrange(lower(r.known), t) FROM held h WHERE r.exchange_rate_id = h.exchange_rate_id
			AND NOT EXISTS (SELECT FROM line l WHERE l.f = h.from_currency AND l.o = h.to_currency AND l.kind = h.kind AND l.rate = h.rate AND l.valid = h.valid)
		RETURNING r.exchange_rate_id)
	INSERT INTO dist.exchange_rate (from_currency, to_currency, kind, rate, valid, known)
	SELECT l.f, l.o, l.kind, l.rate, l.valid, tstzrange(t, NULL) FROM line l
	WHERE (SELECT count(*) FROM ended) >= 0
		AND NOT EXISTS (SELECT FROM held h WHERE l.f = h.from_currency AND l.o = h.to_currency AND l.kind = h.kind AND l.rate = h.rate AND l.valid = h.valid)
$$;
COMMENT ON FUNCTION distsync_internal.master_lay_rates(jsonb, timestamptz) IS 'Writes exchange rates that are known from a stamp on.';

-- master_apply_exchange_rate does the taking of exchange rates: what we held true before stays on record.
CREATE FUNCTION distsync_internal.master_apply_exchange_rate(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fresh integer[];
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		PERFORM distsync_internal.master_deactivated('exchange_rate', docs);
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.master:exchange_rate', 0));
	fresh := ARRAY(SELECT d.ordinal FROM distsync_internal.master_told_rates(docs) d
		WHERE NOT EXISTS (SELECT FROM dist.exchange_rate h WHERE upper_inf(h.known) AND d.f = h.from_currency AND d.o = h.to_currency AND d.kind = h.kind AND d.rate = h.rate AND d.start = lower(h.valid)));
	IF cardinality(fresh) > 0 THEN
		PERFORM distsync_internal.master_lay_rates(docs, distsync_internal.base_touch_prices('{0}', '{}'));
	END IF;
	RETURN QUERY SELECT r.* FROM jsonb_array_elements(docs) d
	CROSS JOIN LATERAL distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN (d ->> 'ordinal')::integer = ANY (fresh) THEN 'applied' ELSE 'unchanged' END, NULL) r;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_apply_exchange_rate(jsonb, jsonb) IS
	'Entity handler of exchange_rate: a rate holds from valid_from until the next one of the same pair and kind; earlier beliefs stay with their known time.';

-- master_costs does the reading of cost documents: ids for codes, the base unit where none is said, the site 0 for every site.
CREATE FUNCTION distsync_internal.master_costs(docs jsonb, source text) RETURNS TABLE (ordinal integer, item_id bigint, company_id bigint, site_id bigint, kind text,
	unit text, cost numeric, currency text, start timestamptz, fault text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (SELECT (d ->> 'ordinal')::integer AS ordinal, d -> 'doc' AS doc FROM jsonb_array_elements(docs) d)
	SELECT t.ordinal, i.id, c.id, CASE WHEN t.doc ->> 'site' IS NULL THEN 0 ELSE s.id END, COALESCE(t.doc ->> 'kind', 'average'), COALESCE(u.id, m.base_unit),
		(t.doc ->> 'cost')::numeric(20,8), t.doc ->> 'currency', (t.doc ->> 'valid_from')::timestamptz,
		CASE WHEN i.id IS NULL THEN 'sku' WHEN c.id IS NULL THEN 'company' WHEN t.doc ->> 'site' IS NOT NULL AND s.id IS NULL THEN 'site'
			WHEN t.doc ->> 'unit' IS NOT NULL AND u.id IS DISTINCT FROM m.base_unit AND NOT EXISTS (SELECT FROM dist.item_unit k WHERE k.item_id = i.id AND k.unit = u.id) THEN 'unit' END
	FROM told t
	LEFT JOIN distsync_internal.master_items(ARRAY(SELECT x.doc ->> 'sku' FROM told x), source) i ON i.code = t.doc ->> 'sku'
	LEFT JOIN dist.item m ON m.item_id = i.id
	LEFT JOIN distsync_internal.master_companies(ARRAY(SELECT x.doc ->> 'company' FROM told x), source) c ON c.code = t.doc ->> 'company'
	LEFT JOIN distsync_internal.master_sites(ARRAY(SELECT x.doc ->> 'site' FROM told x), source) s ON s.code = t.doc ->> 'site'
	LEFT JOIN distsync_internal.master_units(ARRAY(SELECT x.doc ->> 'unit' FROM told x), source) u ON u.code = t.doc ->> 'unit'
$$;
COMMENT ON FUNCTION distsync_internal.master_costs(jsonb, text) IS 'Cost documents as rows with ids; fault: the field whose code nobody knows.';

-- master_fresh_costs does the finding of the costs that say something new; of two for one instant the later one counts.
CREATE FUNCTION distsync_internal.master_fresh_costs(docs jsonb, source text) RETURNS TABLE (ordinal integer, item_id bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.ordinal, d.item_id
	FROM (SELECT DISTINCT ON (c.item_id, c.company_id, c.site_id, c.kind, c.start) c.* FROM distsync_internal.master_costs(docs, source) c
		ORDER BY c.item_id, c.company_id, c.site_id, c.kind, c.start, c.ordinal DESC) d
	WHERE NOT EXISTS (SELECT FROM dist.item_cost h WHERE upper_inf(h.known) AND h.item_id = d.item_id AND h.company_id = d.company_id AND h.site_id = d.site_id AND h.kind = d.kind
		AND lower(h.valid) = d.start AND (h.unit, h.cost, h.currency) = (d.unit, d.cost, d.currency))
$$;
COMMENT ON FUNCTION distsync_internal.master_fresh_costs(jsonb, text) IS 'Ordinals and items of checked cost documents that differ from what we hold true.';

-- master_lay_costs does the laying of checked costs over the timeline that we hold true now.
CREATE FUNCTION distsync_internal.master_lay_costs(docs jsonb, source text, t timestamptz) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	WITH told AS MATERIALIZED (
		SELECT DISTINCT ON (c.item_id, c.company_id, c.site_id, c.kind, c.start) c.* FROM distsync_internal.master_costs(docs, source) c
		ORDER BY c.item_id, c.company_id, c.site_id, c.kind, c.start, c.ordinal DESC),
	held AS MATERIALIZED (
		SELECT h.* FROM dist.item_cost h WHERE upper_inf(h.known)
			AND (h.item_id, h.company_id, h.site_id, h.kind) IN (SELECT d.item_id, d.company_id, d.site_id, d.kind FROM told d)),
	line AS MATERIALIZED (
		SELECT s.item_id, s.company_id, s.site_id, s.kind, s.unit, s.cost, s.currency,
			tstzrange(s.start, least(lead(s.start) OVER (PARTITION BY s.item_id, s.company_id, s.site_id, s.kind ORDER BY s.start NULLS FIRST), s.until)) AS valid
		FROM (
			SELECT d.item_id, d.company_id, d.site_id, d.kind, d.unit, d.cost, d.currency, d.start, NULL::timestamptz AS until FROM told d
			UNION ALL
			SELECT h.item_id, h.company_id, h.site_id, h.kind, h.unit, h.cost, h.currency, lower(h.valid), upper(h.valid) FROM held h
			WHERE NOT EXISTS (SELECT FROM told d WHERE (d.item_id, d.company_id, d.site_id, d.kind, d.start) = (h.item_id, h.company_id, h.site_id, h.kind, lower(h.valid)))) s),
	ended AS (
		UPDATE dist.item_cost c SET known = tstzrange(lower(c.known), t) FROM held h
		WHERE upper_inf(c.known) AND (c.item_id, c.company_id, c.site_id, c.kind, c.valid) = (h.item_id, h.company_id, h.site_id, h.kind, h.valid)
			AND NOT EXISTS (SELECT FROM line l WHERE (l.item_id, l.company_id, l.site_id, l.kind, l.valid, l.unit, l.cost, l.currency)
				= (h.item_id, h.company_id, h.site_id, h.kind, h.valid, h.unit, h.cost, h.currency))
		RETURNING c.item_id)
	INSERT INTO dist.item_cost (item_id, company_id, site_id, kind, unit, cost, currency, valid, known)
	SELECT l.item_id, l.company_id, l.site_id, l.kind, l.unit, l.cost, l.currency, l.valid, tstzrange(t, NULL) FROM line l
	WHERE (SELECT count(*) FROM ended) >= 0
		AND NOT EXISTS (SELECT FROM held h WHERE (l.item_id, l.company_id, l.site_id, l.kind, l.valid, l.unit, l.cost, l.currency)
			= (h.item_id, h.company_id, h.site_id, h.kind, h.valid, h.unit, h.cost, h.currency))
$$;
COMMENT ON FUNCTION distsync_internal.master_lay_costs(jsonb, text, timestamptz) IS 'Writes checked costs that are known from a stamp on.';

-- master_cost does the choice of what one base unit is worth, as we know it now: the site's cost before the company's, average before
-- standard. What is known now is what its index holds.
CREATE FUNCTION distsync_internal.master_cost(item_id bigint, company_id bigint, site_id bigint, at timestamptz) RETURNS TABLE (cost numeric, currency text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.cost * CASE WHEN c.unit = i.base_unit THEN 1 ELSE u.denominator::numeric / u.numerator END, c.currency
	FROM dist.item_cost c
	JOIN dist.item i ON i.item_id = c.item_id
	LEFT JOIN dist.item_unit u ON u.item_id = c.item_id AND u.unit = c.unit
	WHERE c.item_id = master_cost.item_id AND c.company_id = master_cost.company_id AND c.site_id IN (0, master_cost.site_id)
		AND c.valid @> master_cost.at AND upper_inf(c.known) AND (c.unit = i.base_unit OR u.unit IS NOT NULL)
	ORDER BY c.site_id = master_cost.site_id DESC, array_position(ARRAY['average', 'standard', 'replacement', 'after_claim'], c.kind)
	LIMIT 1
$$;
COMMENT ON FUNCTION distsync_internal.master_cost(bigint, bigint, bigint, timestamptz) IS 'Cost of one base unit at an instant and its currency, as known now: site before company; average, standard, replacement, after_claim. No row if there is none.';

-- master_apply_item_cost does the taking of costs.
CREATE FUNCTION distsync_internal.master_apply_item_cost(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := ctx ->> 'source';
	bad integer[];
	good jsonb;
	fresh integer[];
	items bigint[];
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		PERFORM distsync_internal.master_deactivated('item_cost', docs);
	END IF;
	PERFORM pg_advisory_xact_lock(hashtextextended('distsync.master:item_cost', 0));
	bad := ARRAY(SELECT c.ordinal FROM distsync_internal.master_costs(docs, source) c WHERE c.fault IS NOT NULL);
	RETURN QUERY SELECT r.* FROM distsync_internal.master_costs(docs, source) c JOIN jsonb_array_elements(docs) d ON (d ->> 'ordinal')::integer = c.ordinal,
		distsync_internal.master_result(c.ordinal, 'rejected', NULL, CASE c.fault WHEN 'unit' THEN 'SD004' ELSE 'SD001' END, c.fault,
			format('unknown %s "%s"', CASE c.fault WHEN 'sku' THEN 'item' ELSE c.fault END, d -> 'doc' ->> c.fault),
			'Send it first, correct the code, or add a cross-reference for it; a unit must be one of the item''s.') r
	WHERE c.fault IS NOT NULL;
	IF cardinality(bad) > 0 AND ctx ->> 'on_error' IS DISTINCT FROM 'collect' THEN
		RETURN;
	END IF;
	good := (SELECT COALESCE(jsonb_agg(d), '[]') FROM jsonb_array_elements(docs) d WHERE (d ->> 'ordinal')::integer <> ALL (bad));
	SELECT array_agg(f.ordinal), array_agg(f.item_id) INTO fresh, items FROM distsync_internal.master_fresh_costs(good, source) f;
	IF fresh IS NOT NULL THEN
		PERFORM distsync_internal.master_lay_costs(good, source, distsync_internal.base_touch_prices('{}', distsync_internal.base_buckets(items)));
	END IF;
	RETURN QUERY SELECT r.* FROM jsonb_array_elements(good) d
	CROSS JOIN LATERAL distsync_internal.master_result((d ->> 'ordinal')::integer, CASE WHEN (d ->> 'ordinal')::integer = ANY (fresh) THEN 'applied' ELSE 'unchanged' END, NULL) r;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_apply_item_cost(jsonb, jsonb) IS
	'Entity handler of item_cost: a cost holds from valid_from until the next one of the same company, site and kind; earlier beliefs stay with their known time.';

-- master_apply_party_group does the naming of groups.
CREATE FUNCTION distsync_internal.master_apply_party_group(docs jsonb, ctx jsonb) RETURNS SETOF distsync_internal.apply_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF ctx ->> 'operation' = 'deactivate' THEN
		PERFORM distsync_internal.master_deactivated('party_group', docs);
	END IF;
	RETURN QUERY
	WITH told AS (
		SELECT (d ->> 'ordinal')::integer AS ordinal, d -> 'doc' ->> 'kind' AS kind, d -> 'doc' ->> 'code' AS code, d -> 'doc' ->> 'name' AS name, d -> 'doc' ? 'name' AS named
		FROM jsonb_array_elements(docs) d),
	written AS (
		INSERT INTO dist.party_group AS g (kind, code, name) SELECT t.kind, t.code, COALESCE(t.name, '') FROM told t ORDER BY t.kind, t.code
		ON CONFLICT ON CONSTRAINT party_group_code_uq DO UPDATE SET name = excluded.name
		WHERE g.name <> excluded.name AND EXISTS (SELECT FROM told t WHERE t.kind = excluded.kind AND t.code = excluded.code AND t.named)
		RETURNING g.kind, g.code)
	SELECT r.* FROM told t LEFT JOIN written w USING (kind, code)
	CROSS JOIN LATERAL distsync_internal.master_result(t.ordinal, CASE WHEN w.code IS NULL THEN 'unchanged' ELSE 'applied' END, NULL) r;
END
$$;
COMMENT ON FUNCTION distsync_internal.master_apply_party_group(jsonb, jsonb) IS 'Entity handler of party_group.';

INSERT INTO distsync_internal.handler (kind, name, function) VALUES
	('entity', 'exchange_rate', 'distsync_internal.master_apply_exchange_rate'),
	('entity', 'item_cost', 'distsync_internal.master_apply_item_cost'),
	('entity', 'party_group', 'distsync_internal.master_apply_party_group');
