-- Why a price that was charged is not ours: suspects in a fixed order, the first that gives the number that was charged, exactly, is it.

-- pricing_try does the asking of a suspect: what would come out.
CREATE FUNCTION distsync_internal.pricing_try(ctx jsonb, change jsonb) RETURNS distsync_internal.price_result
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found distsync_internal.price_result;
	line jsonb := jsonb_strip_nulls(jsonb_build_object('item_id', ctx->'item_id', 'quantity', COALESCE(change->'quantity', ctx->'quantity'), 'unit', COALESCE(change->'unit', ctx->'unit'), 'site', CASE WHEN change ? 'site' THEN change->'site' ELSE ctx->'site' END));
	options jsonb := COALESCE(change->'options', ctx->'options');
	known_at jsonb := COALESCE(change->'known_at', ctx->'known_at');
BEGIN
	IF known_at <> 'null' THEN
		options := options || jsonb_build_object('known_at', known_at);
	END IF;
	SELECT * INTO found FROM distsync_internal.pricing_suppose(COALESCE((change->>'customer_id')::bigint, (ctx->>'customer_id')::bigint),
		jsonb_build_array(line) || CASE WHEN (change->>'alone')::boolean THEN '[]' ELSE ctx->'peers' END, COALESCE((change->>'at')::timestamptz, (ctx->>'at')::timestamptz), options, COALESCE(change->'suppose', '{}')) p
	WHERE p.ordinal = 1;
	RETURN found;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_try(jsonb, jsonb) IS 'The price of a checked line (ctx of pricing_cause()) with what a suspect changes in the question.';

-- pricing_won does the short telling of who made a price.
CREATE FUNCTION distsync_internal.pricing_won(p distsync_internal.price_result) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_strip_nulls(jsonb_build_object('unit_price', p.unit_price, 'price_per', NULLIF(p.price_per, 1), 'code', p.code, 'agreement', p.agreement)) || COALESCE((
		SELECT jsonb_build_object('version', s->'version', 'line', s->'line', 'slot', s->'slot') FROM jsonb_array_elements(p.detail->'steps') WITH ORDINALITY x(s, n)
		WHERE s->>'agreement' = p.agreement ORDER BY x.n DESC LIMIT 1), '{}');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_won(distsync_internal.price_result) IS 'A price in short: unit_price, price_per if it is not 1, code, and agreement, version, line and slot of what decided it.';

-- pricing_suspects does the naming of the suspects of one kind.
CREATE FUNCTION distsync_internal.pricing_suspects(kind text, ctx jsonb) RETURNS SETOF distsync_internal.price_suspect
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CASE kind
		WHEN 'lock' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_lock(ctx);
		WHEN 'time' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_time(ctx);
		WHEN 'new' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_new(ctx);
		WHEN 'tier' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_tier(ctx);
		WHEN 'unit' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_unit(ctx);
		WHEN 'exchange' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_exchange(ctx);
		WHEN 'party' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_party(ctx);
		WHEN 'rounding' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_rounding(ctx);
		WHEN 'twice' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_twice(ctx);
		WHEN 'tax' THEN RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_tax(ctx);
		ELSE RETURN QUERY SELECT * FROM distsync_internal.pricing_suspect_slot(ctx, kind);
	END CASE;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_suspects(text, jsonb) IS 'Suspects of a kind: lock, time, tier, unit, exchange, list_price, party, rounding, missing_discount, twice, tax, contract_ignored, new.';

-- pricing_cause does the search for the cause. What a lock has fixed is not asked again, except what happens to a price after it is found.
CREATE FUNCTION distsync_internal.pricing_cause(ctx jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	charged numeric := (ctx->>'charged')::numeric;
	unlocked jsonb := jsonb_build_object('options', (ctx->'options') - '{document_type,document_key}'::text[]);
	kind text;
	s distsync_internal.price_suspect;
	p distsync_internal.price_result;
BEGIN
	FOREACH kind IN ARRAY '{lock,time,tier,unit,exchange,list_price,party,rounding,missing_discount,twice,tax,contract_ignored,new}'::text[] LOOP
		FOR s IN SELECT * FROM distsync_internal.pricing_suspects(kind, ctx) LOOP
			IF s.change ? 'gives' THEN
				IF (s.change->>'gives')::numeric = charged THEN
					RETURN jsonb_build_object('cause', s.cause, 'supposed', s.told, 'gives', jsonb_build_object('unit_price', charged));
				END IF;
				CONTINUE;
			END IF;
			IF (ctx->'detail'->>'locked')::boolean AND NOT s.change ? 'options' AND kind NOT IN ('unit', 'tax', 'rounding') THEN
				s.change := s.change || unlocked;
			END IF;
			p := distsync_internal.pricing_try(ctx, s.change);
			IF p.outcome = 'priced' AND p.unit_price = charged * p.price_per THEN
				RETURN jsonb_build_object('cause', s.cause, 'supposed', s.told, 'gives', distsync_internal.pricing_won(p));
			END IF;
		END LOOP;
	END LOOP;
	RETURN jsonb_build_object('cause', CASE WHEN ctx->>'override' IS NOT NULL THEN 'override' WHEN ctx->'row'->>'outcome' = 'no_price' THEN 'no_price' ELSE 'unknown' END);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_cause(jsonb) IS
	'The first suspect that gives the price that was charged: cause, supposed, gives. ctx: customer_id, item_id, quantity, unit, site, at, known_at, options, peers (the other lines of the document that count together with it), parties, charged (for one unit), price_per, minor_units, tax_percent, override, and of our answer row and detail with the whole waterfall. Without one override (where somebody said so), no_price or unknown.';
