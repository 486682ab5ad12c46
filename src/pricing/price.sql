-- The verbs: price, prices, explain_price. All are reads: they write nothing, run on a standby, and answer from the caller's snapshot.
-- The engine is C (README.md of this room): it reads tables and indexes itself, or through base/reader.c where that is not safe.

CREATE TYPE distsync_internal.price_result AS (
	ordinal		integer,
	outcome		text,
	item		text,
	quantity	numeric,
	unit		text,
	unit_price	numeric,
	currency	text,
	price_per	integer,
	net_amount	numeric,
	agreement	text,
	valid_until	timestamptz,
	as_of		timestamptz,
	known_at	timestamptz,
	code		text,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.price_result IS 'A priced line: unit_price is for price_per units; net_amount is quantity × unit_price / price_per, rounded to the currency, less what an order discount takes.';

-- pricing_options does the check of the options of the verbs below.
CREATE FUNCTION distsync_internal.pricing_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	options := distsync_internal.base_options(options,
		'{currency:text,company:text,channel:text,site:text,ship_to:text,job:text,context:object,document_type:text,document_key:text,known_at:instant,requested_ship:instant,ship:instant,invoice:instant,tax_rates:object,without,commitment:line|order|fact,used:object,depth:internal|customer,drafts,source:text}');
	IF jsonb_typeof(options->'without') <> 'null' AND NOT (jsonb_typeof(options->'without') = 'array'
		AND options->'without' <@ '["list", "book", "contract", "promotion", "adjustment", "guard", "order", "charge", "rebate", "claim"]') THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = format('without cannot be %s', left((options->'without')::text, 80)), COLUMN = 'options.without', DETAIL = 'Field: options.without.',
			HINT = 'Send a list of slots to leave out, for example ["promotion", "adjustment"].';
	END IF;
	IF jsonb_typeof(options->'drafts') NOT IN ('array', 'null') OR jsonb_typeof(options->'drafts') = 'array' AND options->>'known_at' IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = CASE WHEN jsonb_typeof(options->'drafts') = 'array' THEN 'drafts count as if they were published now, which was not known then' ELSE 'drafts is not a list' END,
			COLUMN = 'options.drafts', DETAIL = 'Field: options.drafts.', HINT = 'Send a list such as ["SPRING"] or [{"agreement": "SPRING", "version": 3}], without known_at.';
	END IF;
	RETURN options;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_options(jsonb) IS 'Options of price(), prices() and explain_price(), checked. Errors: SD002, SD005.';

-- pricing_scope_options does the check of what a restricted caller may ask for: what others pay, drafts and locks are not for him.
CREATE FUNCTION distsync_internal.pricing_scope_options(options jsonb) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM distsync_internal.master_scope_only(options, '{currency,company,site,ship_to,job,depth}', 'options.');
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_scope_options(jsonb) IS 'Nothing for who is not restricted to a customer scope. Errors: SD012 naming the option that is not for him.';

-- pricing_find does the look-up of a code that is none of ours: the name another system uses, or the error that names the field.
CREATE FUNCTION distsync_internal.pricing_find(kind text, code text, field text, source text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE kind
		WHEN 'party' THEN distsync_internal.master_party(code, field, source)
		WHEN 'item' THEN distsync_internal.master_item(code, field, source)
		WHEN 'site' THEN distsync_internal.master_site(code, field, source)
		WHEN 'company' THEN distsync_internal.master_company(code, field, source)
		WHEN 'channel' THEN distsync_internal.master_channel(code, field, source) END;
END
$$;
COMMENT ON FUNCTION distsync_internal.pricing_find(text, text, text, text) IS 'Id of a party, item, site, company or channel by our code or the name a system uses. Errors: SD001 naming the field.';

-- pricing_prices does the same for a customer's id, for other rooms.
CREATE FUNCTION distsync_internal.pricing_prices(customer_id bigint, lines jsonb, at timestamptz, options jsonb) RETURNS SETOF distsync_internal.price_result
AS 'MODULE_PATHNAME', 'ds_sql_pricing_prices_of' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync_internal.pricing_prices(bigint, jsonb, timestamptz, jsonb) IS
	'Prices the lines [{"item" or "item_id","quantity","unit","site"}] of one customer at an instant; options and errors as in prices().';

-- prices does the pricing of an order: the primitive.
CREATE FUNCTION distsync.prices(customer text, lines jsonb, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.price_result
AS 'MODULE_PATHNAME', 'ds_sql_pricing_prices' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.prices(text, jsonb, timestamptz, jsonb) IS
	'Prices the lines [{"item","quantity","unit","site","weight","return"}] for a customer, one row a line in order. outcome priced | no_price; unit_price is for price_per units of unit; net_amount is rounded to the currency; valid_until is the first instant at which time alone can change the answer; as_of when it applies, known_at what was known; code says why. options: currency, company, channel, site, ship_to, job, context (what conditions look at), document_type and document_key (a locked price), requested_ship, ship, invoice (dates some agreements price by), tax_rates (percent by tax class), without (slots to leave out), commitment (line: each line by itself, order: one after the other, as an order takes agreed volumes, fact: caps stop nothing), used (volumes told instead of read: {"agreement":{"quantity","amount"}}), known_at, drafts (agreements whose newest draft counts as if it had been published now), source. Errors: SD001 unknown code, SD002 quantity or option, SD003 currency, SD004 unit, SD005 lines; of drafts those of publish().';

-- price does the pricing of one line: a bulk of one.
CREATE FUNCTION distsync.price(customer text, item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS distsync_internal.price_result
AS 'MODULE_PATHNAME', 'ds_sql_pricing_price' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.price(text, text, numeric, text, timestamptz, jsonb) IS
	'What does it cost: price of a quantity of an item for a customer at an instant (default now). Columns, options and errors as in prices(). A missing price is the outcome no_price with a code and near misses, never 0.';

CREATE TYPE distsync_internal.price_sheet_row AS (
	item		text,
	unit		text,
	quantity	numeric,
	unit_price	numeric,
	currency	text,
	price_per	integer,
	agreement	text,
	valid_until	timestamptz,
	code		text
);
COMMENT ON TYPE distsync_internal.price_sheet_row IS 'A row of a price sheet: unit_price is for price_per units of unit, where quantity units are bought; the columns are those of price().';

-- price_sheet does the pricing of one base unit of everything: what a channel shows a customer.
CREATE FUNCTION distsync.price_sheet(customer text, as_of timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.price_sheet_row
AS 'MODULE_PATHNAME', 'ds_sql_pricing_sheet' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.price_sheet(text, timestamptz, jsonb) IS
	'What one base unit of each active item costs a customer at an instant (default now), by itself: a row for each that has a price, in no order, with what price() answers. Options and errors as in prices(); discounts off the sum of an order do not count.';

-- explain_price does the same decision and shows all of it.
CREATE FUNCTION distsync.explain_price(customer text, item text, quantity numeric DEFAULT 1, unit text DEFAULT NULL, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
AS 'MODULE_PATHNAME', 'ds_sql_pricing_explain' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.explain_price(text, text, numeric, text, timestamptz, jsonb) IS
	'Why this price: the row of price() as jsonb, its detail with every step of the waterfall (slot, agreement, version, line, price before and after) and every rate that did not count with the first reason; proof is the hash that prove_prices() gives for the line. Internal: shows cost and floor. options.depth customer: the same price as a customer may hear it: the list and what the price is made of, without cost, floor, ceiling, what did not count and whose volume is used how far. Errors: those of prices(), 42501 the whole depth for who may only take orders (distsync_order_entry).';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('price', '{reader,order_entry,integrator,operator,admin,portal}'),
	('prices', '{reader,order_entry,integrator,operator,admin,portal}'),
	('price_sheet', '{reader,order_entry,integrator,operator,admin,portal}'),
	('explain_price', '{reader,order_entry,operator,admin,portal}');
