-- The verbs: price, prices, explain_price. All are reads: they write nothing, run on a standby, and answer from the caller's snapshot.

-- pricing_currency does the choice of the currency to price in: asked for, the buyer's, the company's; never a guess.
CREATE FUNCTION distsync_internal.pricing_currency(customer_id bigint, company_id bigint, options jsonb) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result text := options->>'currency';
BEGIN
	IF result IS NULL THEN
		SELECT COALESCE(p.currency, c.currency) INTO result
		FROM dist.party p LEFT JOIN dist.company c ON c.company_id = pricing_currency.company_id
		WHERE p.party_id = pricing_currency.customer_id;
	END IF;
	IF result IS NULL OR NOT EXISTS (SELECT FROM dist.currency x WHERE x.currency = result) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD003', MESSAGE = CASE WHEN result IS NULL THEN 'no currency to price in' ELSE format('currency "%s" is not known', left(result, 40)) END,
			DETAIL = 'Field: options.currency.', HINT = 'Give options.currency or options.company, or set the currency of the customer.';
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_currency(bigint, bigint, jsonb) IS 'Currency to price in: options.currency, else the customer''s, else the company''s. Error SD003.';

-- pricing_company does the choice of the selling company: named, or the only one there is.
CREATE FUNCTION distsync_internal.pricing_company(options jsonb) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF options ? 'company' THEN
		RETURN distsync_internal.master_company(options->>'company', 'options.company');
	END IF;
	RETURN (SELECT min(company_id) FROM dist.company WHERE status = 'active' HAVING count(*) = 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_company(jsonb) IS 'Company that sells: options.company, or the only active one; NULL where several could. Error SD001.';

-- pricing_known_at does the reading of the stamp of what was known: the newest of the epoch rows that concern the buyer.
CREATE FUNCTION distsync_internal.pricing_known_at(customer_id bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT max(stamped_at) FROM dist.epoch
	WHERE domain = 'price' AND bucket IN (0, 1 + (pricing_known_at.customer_id % 256)) OR domain = 'master' AND bucket = 0);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_known_at(bigint) IS 'Stamp of the newest price-relevant write that the caller''s snapshot sees for a customer.';

-- pricing_lock does the look-up of a price promised for a document, for one unit of the line.
CREATE FUNCTION distsync_internal.pricing_lock(customer_id bigint, line distsync_internal.price_line, currency text, at timestamptz, options jsonb) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT k.unit_price / k.price_per
	FROM dist.price_lock k
	WHERE options ? 'document_key' AND k.customer_id = pricing_lock.customer_id AND k.document_type = COALESCE(options->>'document_type', 'quote') AND k.document_key = options->>'document_key'
		AND k.item_id = line.item_id AND k.unit = line.unit AND k.currency = pricing_lock.currency AND k.valid @> pricing_lock.at
		AND line.quantity >= k.min_quantity AND (k.max_quantity IS NULL OR line.quantity <= k.max_quantity)
	ORDER BY k.min_quantity DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_lock(bigint, distsync_internal.price_line, text, timestamptz, jsonb) IS 'Price locked for options.document_type and document_key, for one unit; NULL = none.';

-- pricing_finish does the end of a decision: guard, rounding, extension, the row of the answer.
CREATE FUNCTION distsync_internal.pricing_finish(line distsync_internal.price_line, waterfall jsonb, currency text, policy jsonb) RETURNS distsync_internal.price_result
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
	r distsync_internal.price_result;
	price numeric := (waterfall->>'price')::numeric;
	rounding record;
	minor_units integer;
	guarded text;
BEGIN
	r.ordinal := line.ordinal;
	r.item := line.sku;
	r.quantity := line.quantity;
	r.unit := line.unit;
	r.currency := currency;
	r.price_per := 1;
	r.agreement := waterfall->>'agreement';
	IF price IS NULL THEN
		r.outcome := 'no_price';
		r.code := CASE WHEN jsonb_array_length(waterfall->'losers') = 0 THEN 'no_rate' ELSE waterfall #>> '{losers,0,reason}' END;
		r.detail := jsonb_build_object('near_misses', (SELECT COALESCE(jsonb_agg(x.value ORDER BY x.ordinality), '[]') FROM jsonb_array_elements(waterfall->'losers') WITH ORDINALITY x WHERE x.ordinality <= 5), 'policy_version', policy->'policy_version');
		RETURN r;
	END IF;
	IF NOT (waterfall->>'locked')::boolean THEN
		IF price < (waterfall->>'floor')::numeric THEN
			guarded := 'floor';
			price := (waterfall->>'floor')::numeric;
		ELSIF price > (waterfall->>'ceiling')::numeric THEN
			guarded := 'ceiling';
			price := (waterfall->>'ceiling')::numeric;
		END IF;
		SELECT x.scale, x.mode, x.multiple, x.ending INTO rounding FROM dist.rounding x WHERE x.rounding = waterfall->>'rounding';
		IF NOT FOUND THEN
			SELECT (policy #>> '{rounding,scale}')::integer AS scale, policy #>> '{rounding,mode}' AS mode, NULL::numeric AS multiple, NULL::numeric AS ending INTO rounding;
		END IF;
		price := distsync_internal.pricing_round(price, rounding.scale, rounding.mode, rounding.multiple, rounding.ending);
	END IF;
	r.outcome := 'priced';
	r.code := CASE WHEN (waterfall->>'locked')::boolean THEN 'locked' WHEN guarded IS NOT NULL THEN 'at_' || guarded ELSE 'ok' END;
	r.unit_price := round(price, 8);
	minor_units := (SELECT c.minor_units FROM dist.currency c WHERE c.currency = r.currency);
	r.net_amount := round(line.quantity * r.unit_price, minor_units);
	-- as many decimals as the price has, and at least those of the currency
	r.unit_price := round(r.unit_price, greatest(min_scale(r.unit_price), minor_units));
	r.detail := jsonb_build_object('list_price', waterfall->'list_price', 'policy_version', policy->'policy_version', 'guard', guarded);
	RETURN r;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_finish(distsync_internal.price_line, jsonb, text, jsonb) IS 'Turns a waterfall into the row of the answer: guard, rounding, net amount, code.';

-- pricing_prices does the whole decision for many lines of one buyer: what applies to him is found once, then each line is decided.
CREATE FUNCTION distsync_internal.pricing_prices(customer_id bigint, lines jsonb, at timestamptz, options jsonb, explain boolean DEFAULT false) RETURNS SETOF distsync_internal.price_result
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	policy jsonb := distsync_internal.pricing_policy();
	company_id bigint := distsync_internal.pricing_company(options);
	currency text := distsync_internal.pricing_currency(pricing_prices.customer_id, company_id, options);
	known_at timestamptz := (options->>'known_at')::timestamptz;
	stamp timestamptz := COALESCE(known_at, distsync_internal.pricing_known_at(pricing_prices.customer_id));
	resolved distsync_internal.price_line[] := distsync_internal.pricing_lines(lines, options->>'site', options->>'source');
	line distsync_internal.price_line;
	candidates distsync_internal.price_candidate[];
	waterfall jsonb;
	r distsync_internal.price_result;
BEGIN
	IF policy IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD030', MESSAGE = 'there is no published price policy', DETAIL = 'Table: dist.price_policy.', HINT = 'Call distsync.setup(), which publishes the shipped one.';
	END IF;
	SELECT array_agg(c) INTO candidates
	FROM distsync_internal.pricing_candidates(pricing_prices.customer_id, resolved, pricing_prices.at, known_at, policy, options, company_id, currency) c;
	FOREACH line IN ARRAY resolved LOOP
		waterfall := distsync_internal.pricing_waterfall(line, candidates, distsync_internal.pricing_lock(pricing_prices.customer_id, line, currency, pricing_prices.at, options),
			currency, pricing_prices.at, known_at, company_id, policy);
		r := distsync_internal.pricing_finish(line, waterfall, currency, policy);
		r.valid_until := distsync_internal.pricing_valid_until(candidates, line.ordinal, pricing_prices.at);
		r.as_of := pricing_prices.at;
		r.known_at := CASE WHEN stamp > '-infinity' THEN stamp END;
		IF explain THEN
			r.detail := waterfall || r.detail;
		END IF;
		RETURN NEXT r;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_prices(bigint, jsonb, timestamptz, jsonb, boolean) IS
	'Prices the lines [{"item","quantity","unit","site"}] of one customer at an instant; options as in price(). With explain, detail carries the waterfall.';

-- pricing_options does the check of the options of the verbs below.
CREATE FUNCTION distsync_internal.pricing_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN options = '{}' THEN options ELSE distsync_internal.base_options(options,
		'{currency:text,company:text,channel:text,site:text,ship_to:text,job:text,context:object,document_type:text,document_key:text,known_at:instant,source:text}') END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_options(jsonb) IS 'Options of price(), prices() and explain_price(), checked. Errors: SD002, SD005.';

-- prices does the pricing of an order: the primitive.
CREATE FUNCTION distsync.prices(customer text, lines jsonb, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.price_result
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.* FROM distsync_internal.pricing_prices(distsync_internal.master_party(distsync_internal.base_required('customer', prices.customer), 'customer', prices.options->>'source'), prices.lines,
		COALESCE(prices.at, statement_timestamp()), distsync_internal.pricing_options(prices.options)) r;
END
$$;
COMMENT ON FUNCTION distsync.prices(text, jsonb, timestamptz, jsonb) IS
	'Prices the lines [{"item","quantity","unit","site"}] for a customer, one row a line in order. outcome priced | no_price; unit_price is for price_per units of unit; net_amount is rounded to the currency; valid_until is the first instant at which time alone can change the answer; as_of when it applies, known_at what was known; code says why. options: currency, company, channel, site, ship_to, job, context, document_type and document_key (a locked price), known_at, source. Errors: SD001 unknown code, SD002 quantity, SD003 currency, SD004 unit, SD005 lines.';

-- price does the pricing of one line: a bulk of one.
CREATE FUNCTION distsync.price(customer text, item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS SETOF distsync_internal.price_result
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT r.* FROM distsync_internal.pricing_prices(distsync_internal.master_party(distsync_internal.base_required('customer', price.customer), 'customer', price.options->>'source'),
		jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', distsync_internal.base_required('item', price.item), 'quantity', price.quantity::text, 'unit', price.unit))),
		COALESCE(price.at, statement_timestamp()), distsync_internal.pricing_options(price.options)) r;
END
$$;
COMMENT ON FUNCTION distsync.price(text, text, numeric, text, timestamptz, jsonb) IS
	'What does it cost: price of a quantity of an item for a customer at an instant (default now). Columns, options and errors as in prices(). A missing price is the outcome no_price with a code and near misses, never 0.';

-- explain_price does the same decision and shows all of it.
CREATE FUNCTION distsync.explain_price(customer text, item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN (
	SELECT to_jsonb(r.*) FROM distsync_internal.pricing_prices(distsync_internal.master_party(distsync_internal.base_required('customer', explain_price.customer), 'customer', explain_price.options->>'source'),
		jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', distsync_internal.base_required('item', explain_price.item), 'quantity', explain_price.quantity::text, 'unit', explain_price.unit))),
		COALESCE(explain_price.at, statement_timestamp()), distsync_internal.pricing_options(explain_price.options), true) r);
END
$$;
COMMENT ON FUNCTION distsync.explain_price(text, text, numeric, text, timestamptz, jsonb) IS
	'Why this price: the row of price() as jsonb, its detail with every step of the waterfall (slot, agreement, version, line, price before and after) and every rate that did not count with the first reason. Internal: shows cost and floor.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('price', '{reader,order_entry,integrator,operator,admin}'),
	('prices', '{reader,order_entry,integrator,operator,admin}'),
	('explain_price', '{reader,operator,admin}');
