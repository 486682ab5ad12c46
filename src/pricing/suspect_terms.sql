-- More suspects: somebody else's price, another rounding, discounts, tax.

-- pricing_suspect_slot does the suspect that some slots were not looked at.
CREATE FUNCTION distsync_internal.pricing_suspect_slot(ctx jsonb, cause text) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN QUERY
	SELECT pricing_suspect_slot.cause, jsonb_build_object('without', w), jsonb_build_object('options', (ctx->'options') - '{document_type,document_key}'::text[] || jsonb_build_object('without', COALESCE(NULLIF(ctx->'options'->'without', 'null'), '[]') || w))
	FROM jsonb_array_elements(CASE pricing_suspect_slot.cause WHEN 'list_price' THEN '[["book", "contract", "promotion", "adjustment", "guard", "order"]]'::jsonb WHEN 'contract_ignored' THEN '[["contract"]]'
		ELSE '[["promotion"], ["adjustment"], ["promotion", "adjustment"]]' END) WITH ORDINALITY x(w, place) ORDER BY x.place;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_slot(jsonb, text) IS 'Suspects list_price, contract_ignored or missing_discount: the price without the slots that come after the list, without contracts, or without promotions, adjustments, both.';

-- pricing_suspect_lock does the suspect that the lock of the document was not looked at.
CREATE FUNCTION distsync_internal.pricing_suspect_lock(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (ctx->'detail'->>'locked')::boolean THEN
		RETURN QUERY SELECT 'lock_ignored', jsonb_build_object('lock', ctx->'options'->'document_key'), jsonb_build_object('options', (ctx->'options') - '{document_type,document_key}'::text[]);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_lock(jsonb) IS 'Suspect lock_ignored: the price without the lock that holds.';

-- pricing_suspect_party does the suspects that the price is somebody else's: parents, other ship-tos, others below the same parent; or another channel's or site's.
CREATE FUNCTION distsync_internal.pricing_suspect_party(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	me bigint := (ctx->>'customer_id')::bigint;
	priced_at timestamptz := (ctx->>'at')::timestamptz;
	options jsonb := (ctx->'options') - '{document_type,document_key}'::text[];
	bare jsonb := options - '{ship_to,job}'::text[];
BEGIN
	RETURN QUERY
	WITH above AS MATERIALIZED (SELECT a.ancestor_id, a.depth FROM dist.party_ancestor a WHERE a.party_id = me AND a.depth > 0 AND a.valid @> priced_at),
	near AS MATERIALIZED (
		SELECT p.party_id, p.code, p.kind FROM dist.party p
		JOIN dist.party_ancestor a ON a.party_id = p.party_id AND a.valid @> priced_at AND a.depth = 1 AND a.ancestor_id IN (SELECT me UNION ALL SELECT b.ancestor_id FROM above b WHERE b.depth = 1)
		WHERE p.party_id <> me),
	s AS (
		SELECT 1 AS kind, u.depth AS n, p.code, 'other_customer' AS cause, jsonb_build_object('customer', p.code, 'depth', u.depth) AS told, jsonb_build_object('customer_id', p.party_id, 'options', bare) AS change
		FROM above u JOIN dist.party p ON p.party_id = u.ancestor_id
		UNION ALL
		SELECT 2, 0, '', 'other_customer', '{"without": ["ship_to", "job"]}', jsonb_build_object('options', bare) WHERE options ?| '{ship_to,job}'::text[]
		UNION ALL
		(SELECT 3, 0, n.code, 'other_customer', jsonb_build_object(n.kind, n.code), jsonb_build_object('options', options || jsonb_build_object(n.kind, n.code)) FROM near n
		 WHERE n.kind IN ('ship_to', 'job') AND n.code IS DISTINCT FROM options->>n.kind ORDER BY n.code COLLATE "C" LIMIT 8)
		UNION ALL
		(SELECT 4, 0, n.code, 'other_customer', jsonb_build_object('customer', n.code), jsonb_build_object('customer_id', n.party_id, 'options', bare) FROM near n WHERE n.kind NOT IN ('ship_to', 'job') ORDER BY n.code COLLATE "C" LIMIT 16)
		UNION ALL
		SELECT 7, 0, '', 'other_site', '{"without": ["site"]}', '{"site": null}' WHERE ctx->>'site' IS NOT NULL
		UNION ALL
		(SELECT 8, 0, w.code, 'other_site', jsonb_build_object('site', w.code), jsonb_build_object('site', w.code) FROM dist.site w
		 LEFT JOIN dist.company c ON c.company_id = w.company_id
		 WHERE w.code IS DISTINCT FROM ctx->>'site' ORDER BY c.code = options->>'company' DESC NULLS LAST, w.code COLLATE "C" LIMIT 8)
		UNION ALL
		SELECT 5, 0, '', 'other_channel', '{"without": ["channel"]}', jsonb_build_object('options', options - 'channel') WHERE options ? 'channel'
		UNION ALL
		(SELECT 6, 0, c.code, 'other_channel', jsonb_build_object('channel', c.code), jsonb_build_object('options', options || jsonb_build_object('channel', c.code)) FROM dist.channel c
		 WHERE c.code IS DISTINCT FROM options->>'channel' ORDER BY c.code COLLATE "C" LIMIT 8))
	SELECT s.cause, s.told, s.change FROM s ORDER BY s.kind, s.n, s.code COLLATE "C";
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_party(jsonb) IS
	'Suspects other_customer (parents, the nearest first; without ship-to and job; up to 8 other ship-tos and jobs, up to 16 parties below the customer or beside it) other_channel and other_site (none, up to 8 others).';

-- pricing_suspect_rounding does the suspects of rounding; those that cannot give the number that was charged are left out.
CREATE FUNCTION distsync_internal.pricing_suspect_rounding(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	charged numeric := (ctx->>'charged')::numeric;
	digits integer := min_scale(charged * (ctx->>'price_per')::integer);
	-- how far rounding has to move a price for it to be this one; a floor or a ceiling is rounded in the price's place, and how far is not known
	gap numeric := CASE WHEN COALESCE(ctx->'detail'->>'guard', '') IN ('at_floor', 'at_ceiling') THEN 0 ELSE abs(charged - (ctx->'detail'->>'resolved')::numeric) * COALESCE((ctx->'row'->>'price_per')::integer, 1) END;
	mean numeric;
BEGIN
	RETURN QUERY SELECT 'rounding', told, jsonb_build_object('suppose', told) FROM (VALUES (1, '{"each_step": true}'::jsonb), (2, '{"each_step": false}')) v(n, told) ORDER BY v.n;
	RETURN QUERY
	SELECT 'rounding', s.told, jsonb_build_object('suppose', s.told)
	FROM (
		SELECT 1 AS kind, 0 AS scale, m.n, jsonb_build_object('mode', m.mode) AS told FROM unnest('{half_up,half_even,up,down}'::text[]) WITH ORDINALITY m(mode, n)
		UNION ALL
		SELECT 2, z.scale, m.n, jsonb_build_object('scale', z.scale, 'mode', m.mode) FROM generate_series(0, 8) z(scale) CROSS JOIN unnest('{half_up,half_even,up,down}'::text[]) WITH ORDINALITY m(mode, n)
		WHERE z.scale >= digits AND gap <= 10::numeric ^ (- z.scale)) s
	ORDER BY s.kind, s.scale, s.n;
	IF (ctx->'row'->>'net_amount')::numeric IS NOT NULL THEN
		mean := COALESCE((ctx->'detail'->>'extension')::numeric, (ctx->'row'->>'net_amount')::numeric) / (ctx->>'quantity')::numeric;
		RETURN QUERY SELECT 'rounding', '{"from": "extension"}'::jsonb, jsonb_build_object('gives', CASE WHEN round(mean * (ctx->>'price_per')::integer, greatest(digits, (ctx->>'minor_units')::integer)) = charged * (ctx->>'price_per')::integer THEN charged ELSE mean END);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_rounding(jsonb) IS
	'Suspects rounding: at each step or only at the end, another mode, other decimals (8 = as good as not at all), or the rounded amount of the line divided by its quantity.';

-- pricing_suspect_twice does the suspects that a discount was taken twice, and that floor and ceiling were not looked at.
CREATE FUNCTION distsync_internal.pricing_suspect_twice(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	charged numeric := (ctx->>'charged')::numeric * (ctx->>'price_per')::integer;
	open numeric := (ctx->'detail'->>'resolved')::numeric * (ctx->>'price_per')::integer;
BEGIN
	RETURN QUERY
	SELECT 'doubled_discount', t.told, jsonb_build_object('suppose', t.told)
	FROM unnest('{contract,promotion,adjustment}'::text[]) WITH ORDINALITY s(slot, n) CROSS JOIN (VALUES (1, true), (2, false)) c(n, compound)
	CROSS JOIN LATERAL (SELECT jsonb_build_object('twice', s.slot, 'compound', c.compound)) t(told) ORDER BY s.n, c.n;
	IF ctx->'detail'->>'guard' IN ('at_floor', 'at_ceiling') THEN
		RETURN QUERY SELECT 'guard_ignored', jsonb_build_object('guard', ctx->'detail'->'guard'), jsonb_build_object('gives', CASE
			WHEN round(open, greatest(min_scale(charged), (ctx->>'minor_units')::integer)) = charged THEN (ctx->>'charged')::numeric ELSE open / (ctx->>'price_per')::integer END);
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_twice(jsonb) IS 'Suspects doubled_discount (what contract, promotion or adjustments take off once more, of the rest or of the whole) and guard_ignored (the price without floor and ceiling).';

-- pricing_suspect_tax does the suspects of tax: charged as if it were part of the net price, or taken out of it.
CREATE FUNCTION distsync_internal.pricing_suspect_tax(ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	percent numeric := COALESCE((ctx->>'tax_percent')::numeric, (ctx->'options'->'tax_rates'->>(SELECT i.tax_class FROM dist.item i WHERE i.item_id = (ctx->>'item_id')::bigint))::numeric);
BEGIN
	IF percent > 0 THEN
		RETURN QUERY
		SELECT 'tax', jsonb_build_object('tax', w.what, 'percent', trim_scale(percent)), jsonb_build_object('suppose', w.factor || r.rounding)
		FROM (VALUES (1, 'added', jsonb_build_object('times', 100 + percent, 'over', 100)), (2, 'taken_out', jsonb_build_object('times', 100, 'over', 100 + percent))) w(n, what, factor)
		CROSS JOIN (VALUES (1, '{}'::jsonb), (2, jsonb_build_object('scale', ctx->'minor_units', 'mode', 'half_up'))) r(n, rounding) ORDER BY w.n, r.n;
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspect_tax(jsonb) IS 'Suspects tax: the price with tax on it, or with tax taken out, rounded as usual or to the currency; nothing where no tax rate is told.';
