-- The verbs charges and explain_charges: freight, fees and minimum-order charges beside the lines of an order. Both are reads, in C.

CREATE TYPE distsync_internal.charge_result AS (
	ordinal		integer,
	agreement	text,
	kind		text,
	amount		numeric,
	currency	text,
	tax_class	text,
	code		text,
	valid_until	timestamptz,
	as_of		timestamptz,
	known_at	timestamptz,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.charge_result IS 'A charge of an order: kind fee, freight or minimum_order; amount in currency, rounded to it, below 0 = an allowance; code ok, or collect: somebody else pays, amount is 0.';

-- charges does the charges of an order.
CREATE FUNCTION distsync.charges(customer text, lines jsonb, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS SETOF distsync_internal.charge_result
AS 'MODULE_PATHNAME', 'ds_sql_pricing_charges' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.charges(text, jsonb, timestamptz, jsonb) IS
	'Freight, fees and minimum-order charges of an order, one row for each agreement that applies (none = nothing is charged). lines, options and errors as in prices(); options.context holds what rates ask for (zone, carrier); its freight_terms collect or third_party: freight is told, not charged. kind, amount in currency (below 0 = an allowance), tax_class of the agreement, code ok or collect; detail: rate, sum and weight of the lines it names, allocation [{"ordinal","amount"}] that sums to the amount, near_misses, no_price (lines without a price take no part), no_weight, would_be.';

-- explain_charges does the same decision and shows all of it.
CREATE FUNCTION distsync.explain_charges(customer text, lines jsonb, at timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
AS 'MODULE_PATHNAME', 'ds_sql_pricing_explain_charges' LANGUAGE c STABLE PARALLEL SAFE;
COMMENT ON FUNCTION distsync.explain_charges(text, jsonb, timestamptz, jsonb) IS
	'Why these charges: {"lines","charges","total","losers","currency","as_of","known_at","valid_until","policy_version"}: the lines as they stand before charges, the rows of charges(), and every rate of a charge that did not count with its first reason.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('charges', '{reader,order_entry,integrator,operator,admin}'),
	('explain_charges', '{reader,operator,admin}');
