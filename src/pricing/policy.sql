-- How a price is decided is data: the policy in force is the published one with the highest number.

-- pricing_policy_seed does the publishing of the shipped policy where there is none yet. It runs at setup().
CREATE FUNCTION distsync_internal.pricing_policy_seed() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	document jsonb := '{
		"name": "most specific buyer, then most specific item, then explicit priority, then highest tier",
		"slots": [
			{"slot": "list", "combine": "override"},
			{"slot": "book", "combine": "override"},
			{"slot": "contract", "combine": "override"},
			{"slot": "promotion", "combine": "best"},
			{"slot": "adjustment", "combine": "stack"},
			{"slot": "guard", "combine": "clamp"}
		],
		"who": ["job", "ship_to", "customer", "parent", "buying_group", "price_class", "region", "channel", "all"],
		"what": ["item", "variant_parent", "family", "brand", "category", "vendor", "all"],
		"order": ["who", "list_rank", "what", "channel", "site", "unit", "currency", "priority", "min_quantity", "valid_from", "version_no"],
		"rounding": {"scale": 4, "mode": "half_up"}
	}';
BEGIN
	IF NOT EXISTS (SELECT FROM dist.price_policy) THEN
		INSERT INTO dist.price_policy (policy_version, document, sha256, published_at, published_by)
		VALUES (1, document, sha256(convert_to(document::text, 'UTF8')), clock_timestamp(), 'setup');
	END IF;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_policy_seed() IS 'Part of setup(): publishes the shipped price policy as version 1 where there is none.';

-- pricing_policy does the reading of the policy in force.
CREATE FUNCTION distsync_internal.pricing_policy() RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT document || jsonb_build_object('policy_version', policy_version)
	FROM dist.price_policy WHERE published_at IS NOT NULL
	ORDER BY policy_version DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_policy() IS 'The policy in force: its document with its number as policy_version.';

-- pricing_round_half_even does the rounding that numeric does not have: a tie goes to the even neighbour.
CREATE FUNCTION distsync_internal.pricing_round_half_even(value numeric, scale integer) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN abs(value - trunc(value, scale)) * 10::numeric ^ scale = 0.5 AND mod(trunc(value * 10::numeric ^ scale), 2) = 0 THEN trunc(value, scale)
		ELSE round(value, scale) END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_round_half_even(numeric, integer) IS 'Rounds to a number of decimals, ties to the even neighbour.';

-- pricing_round does the rounding of a unit price: by scale or to a multiple, then to an ending such as .99.
CREATE FUNCTION distsync_internal.pricing_round(value numeric, scale integer, mode text, multiple numeric, ending numeric) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	x numeric := CASE WHEN multiple IS NULL THEN value * 10::numeric ^ scale ELSE value / multiple END;
	r numeric;
BEGIN
	r := CASE mode
		WHEN 'up' THEN ceil(x)
		WHEN 'down' THEN floor(x)
		WHEN 'half_even' THEN distsync_internal.pricing_round_half_even(x, 0)
		ELSE round(x) END;
	r := CASE WHEN multiple IS NULL THEN round(r / 10::numeric ^ scale, scale) ELSE r * multiple END;
	IF ending IS NOT NULL THEN
		r := floor(r) + ending;
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_round(numeric, integer, text, numeric, numeric) IS
	'Rounds a unit price: value, decimals, mode half_up | half_even | up | down, multiple (instead of decimals) and ending, each NULL = none.';

INSERT INTO distsync_internal.handler (kind, name, ordinal, function) VALUES ('trigger', 'price_policy', 50, 'distsync_internal.pricing_policy_seed');
