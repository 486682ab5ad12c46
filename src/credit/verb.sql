-- The verbs people and applications call: may this customer have more, and why.

-- credit_find does the look-up of a customer and his account for a verb. Verbs name customers by code; options may name company and job.
CREATE FUNCTION distsync_internal.credit_find(customer text, options jsonb, known text[]) RETURNS TABLE (customer_id bigint, company_id bigint, payer_id bigint, account_id bigint)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF options IS NULL OR options <> '{}' THEN
		options := distsync_internal.base_options(options, known);
	END IF;
	PERFORM distsync_internal.master_scope_only(options, '{company,job,at,buckets,by,scheme}', 'options.');
	customer_id := distsync_internal.master_party(distsync_internal.base_required('customer', customer), 'customer', options ->> 'source');
	IF options ->> 'company' IS NOT NULL THEN
		company_id := distsync_internal.master_company(options ->> 'company', 'options.company');
	ELSE
		SELECT max(c.company_id) INTO company_id FROM dist.company c WHERE c.status = 'active' HAVING count(*) = 1;
	END IF;
	payer_id := (SELECT COALESCE(p.payer_id, p.party_id) FROM dist.party p WHERE p.party_id = credit_find.customer_id);
	-- who pays for several has the items of all of them
	PERFORM distsync_internal.master_scope_check(payer_id, customer, 'customer');
	account_id := distsync_internal.credit_account_for(customer_id, company_id, options
		|| CASE WHEN options ->> 'job' IS NULL THEN '{}' ELSE jsonb_build_object('job_id', distsync_internal.master_party(options ->> 'job', 'options.job')) END);
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_find(text, jsonb, text[]) IS
	'Ids of a customer, of options.company (the only active one if not named, else NULL), of his payer and of his account (NULL = none), after a check of the options. Errors: SD001 unknown code, SD002 and SD005 options, SD012 customer or payer not in the caller''s scope.';

-- credit_amount does the conversion of an asked amount into the account's currency.
CREATE FUNCTION distsync_internal.credit_amount(account_id bigint, amount numeric, currency text, at timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	own text := (SELECT a.currency FROM dist.credit_account a WHERE a.account_id = credit_amount.account_id);
BEGIN
	IF amount IS NULL OR amount >= 'Infinity' OR amount < 0 THEN
		RAISE EXCEPTION USING ERRCODE = 'SD002', MESSAGE = 'amount must be a number that is not negative',
			DETAIL = format('Field: amount. It is %s.', COALESCE(amount::text, 'null')), HINT = 'Ask with the gross amount of the order, 0 to see how the account stands.';
	END IF;
	IF currency IS NULL OR currency = own THEN
		RETURN amount;
	END IF;
	RETURN round(distsync_internal.master_convert(amount, currency, own, at), (SELECT c.minor_units FROM dist.currency c WHERE c.currency = own));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_amount(bigint, numeric, text, timestamptz) IS
	'An amount in a currency (NULL = the account''s) as an amount in the account''s currency. Errors: SD002 negative or no number, SD003 no rate.';

-- credit_answer does the decision behind the verbs, as one document.
CREATE FUNCTION distsync_internal.credit_answer(customer text, amount numeric, currency text, options jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	f record;
	at timestamptz;
BEGIN
	SELECT * INTO f FROM distsync_internal.credit_find(customer, options, '{company:text,job:text,segment:text,at:instant,source:text}');
	at := COALESCE((options ->> 'at')::timestamptz, statement_timestamp());
	IF f.account_id IS NULL AND f.company_id IS NULL AND EXISTS (SELECT FROM dist.credit_account a WHERE a.customer_id IN (f.customer_id, f.payer_id) AND a.company_id <> 0) THEN
		RAISE EXCEPTION USING ERRCODE = 'SD005', MESSAGE = format('customer "%s" has accounts by company', customer), COLUMN = 'options.company',
			DETAIL = 'Field: options.company. There are several companies and none is named.', HINT = 'Name the company that would sell in options.company.';
	ELSIF f.account_id IS NULL THEN
		RETURN jsonb_build_object('outcome', 'no_account', 'reasons', '[]'::jsonb, 'as_of', at, 'customer', customer, 'known_at', statement_timestamp());
	END IF;
	RETURN distsync_internal.credit_decide(f.account_id, distsync_internal.credit_amount(f.account_id, credit_answer.amount, credit_answer.currency, at),
		jsonb_build_object('at', at, 'customer_id', f.customer_id)) || jsonb_build_object('customer', customer, 'known_at', statement_timestamp(), 'account_id', f.account_id);
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_answer(text, numeric, text, jsonb) IS 'credit_decide() for a customer code, with customer, known_at and account_id; outcome no_account where nothing carries him. Errors: SD001, SD002, SD003, SD005 company not named.';

-- credit_scope_answer does the telling of a decision to a restricted caller: an account above his own is somebody else's.
CREATE FUNCTION distsync_internal.credit_scope_answer(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT distsync.restricted() THEN
		RETURN d;
	ELSIF distsync.in_scope((SELECT a.customer_id FROM dist.credit_account a WHERE a.code = d ->> 'account')) THEN
		RETURN jsonb_strip_nulls(d - '{accounts,rules,warnings,passed_by}'::text[])
			|| jsonb_build_object('reasons', (SELECT COALESCE(jsonb_agg(jsonb_build_object('rule', r -> 'rule')), '[]') FROM jsonb_array_elements(d -> 'reasons') r));
	END IF;
	RETURN jsonb_build_object('outcome', d -> 'outcome', 'reasons', (SELECT COALESCE(jsonb_agg(jsonb_build_object('rule', r -> 'rule')), '[]') FROM jsonb_array_elements(d -> 'reasons') r),
		'cure', d -> 'cure', 'currency', d -> 'currency', 'amount', d -> 'amount', 'valid_until', d -> 'valid_until', 'as_of', d -> 'as_of', 'known_at', d -> 'known_at');
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_scope_answer(jsonb) IS
	'The document of credit_answer(); of a restricted caller without other accounts, thresholds and warnings, and without limit and exposure where the binding account is not in his scope.';

-- credit_row is the answer of credit().
CREATE TYPE distsync_internal.credit_row AS (
	outcome		text,
	account		text,
	currency	text,
	credit_limit	numeric,
	exposure	numeric,
	headroom	numeric,
	reasons		jsonb,
	cure		numeric,
	valid_until	timestamptz,
	as_of		timestamptz,
	known_at	timestamptz,
	detail		jsonb
);
COMMENT ON TYPE distsync_internal.credit_row IS 'Answer of credit(): outcome approved | held | no_account; account that binds, its currency, limit (NULL unlimited), exposure and headroom; reasons against it; cure: the payment that lifts them (NULL = none does); valid_until: first instant at which time alone changes the answer; as_of: instant asked; known_at: when it was read; detail: amount asked, terms of exposure that are not 0, horizon {days, inside_on (last day whose orders count), later (open orders that ship after it)} of an account that has one, accounts of the tree if there are several, warnings if there are any, passed_by (prepaid, or the rule that releases).';

-- credit_row does the row of a decision.
CREATE FUNCTION distsync_internal.credit_row(d jsonb) RETURNS distsync_internal.credit_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	answer distsync_internal.credit_row;
BEGIN
	SELECT d ->> 'outcome', d ->> 'account', d ->> 'currency', m.credit_limit, m.total, m.headroom, d -> 'reasons', m.cure,
		(d ->> 'valid_until')::timestamptz, (d ->> 'as_of')::timestamptz, (d ->> 'known_at')::timestamptz,
		jsonb_strip_nulls(jsonb_build_object('terms', (SELECT jsonb_object_agg(t.key, t.value) FROM jsonb_each(d -> 'exposure') t WHERE (t.value #>> '{}')::numeric <> 0), 'amount', d -> 'amount', 'passed_by', d -> 'passed_by',
			'horizon', jsonb_path_query_first(d, '$.accounts[*] ? (@.account == $.account).horizon'), 'accounts', CASE WHEN jsonb_array_length(d -> 'accounts') > 1 THEN d -> 'accounts' END, 'warnings', NULLIF(d -> 'warnings', '[]')))
	INTO answer
	FROM (SELECT round(x.l, greatest(min_scale(x.l), 2)) AS credit_limit, round(x.t, greatest(min_scale(x.t), 2)) AS total, round(x.h, greatest(min_scale(x.h), 2)) AS headroom,
		round(x.c, greatest(min_scale(x.c), 2)) AS cure
		FROM (SELECT (d ->> 'limit')::numeric AS l, (d ->> 'total')::numeric AS t, (d ->> 'headroom')::numeric AS h, (d ->> 'cure')::numeric AS c) x) AS m;
	RETURN answer;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_row(jsonb) IS 'The row of credit() of what credit_answer() says.';

-- credit_whole does the answer of credit() from everything that is known.
CREATE FUNCTION distsync_internal.credit_whole(customer text, amount numeric, currency text, options jsonb) RETURNS distsync_internal.credit_row
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN distsync_internal.credit_row(distsync_internal.credit_scope_answer(distsync_internal.credit_answer(credit_whole.customer, credit_whole.amount, credit_whole.currency, credit_whole.options)));
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_whole(text, numeric, text, jsonb) IS 'The answer of credit(), which asks it what a few look-ups cannot answer. Same arguments, same errors.';

-- credit does the answer to "may this customer have that much more": a read. It runs no SQL but what credit_whole() runs, which pins a path of
-- its own.
CREATE FUNCTION distsync.credit(customer text, amount numeric DEFAULT 0, currency text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS distsync_internal.credit_row
AS 'MODULE_PATHNAME', 'ds_sql_credit' LANGUAGE c STABLE;
COMMENT ON FUNCTION distsync.credit(text, numeric, text, jsonb) IS
	'May a customer owe an amount more? One row: outcome approved | held | no_account (nothing limits him); account that binds (the one with the least headroom in its tree), its limit (NULL unlimited, 0 none), exposure and headroom in its currency, every reason against it, cure = the payment that lifts them (NULL none does), valid_until = first instant at which time alone can change it. amount is gross, in currency (NULL = the account''s). Options: company (needed where there are several and accounts are by company), job, segment, at, source. Reads only. Errors: SD001 unknown code, SD002 amount or option, SD003 no rate, SD005 no customer, or company not named.';

-- explain_credit does the same decision with everything it was made from.
CREATE FUNCTION distsync.explain_credit(customer text, amount numeric DEFAULT 0, currency text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT (d - 'account_id') || CASE WHEN d ->> 'account_id' IS NULL THEN '{}' ELSE jsonb_build_object(
		'limits', (SELECT COALESCE(jsonb_agg(jsonb_build_object('account', a.code, 'kind', l.kind, 'amount', l.amount, 'from', lower(l.valid), 'to', upper(l.valid),
				'counts', l.valid @> (d ->> 'as_of')::timestamptz, 'approved_by', l.approved_by, 'approved_at', l.approved_at, 'reason', l.reason) ORDER BY a.code, l.kind, lower(l.valid)), '[]')
			FROM dist.credit_limit l JOIN dist.credit_account a ON a.account_id = l.account_id
			WHERE a.account_id = ANY (distsync_internal.credit_chain((d ->> 'account_id')::bigint))),
		'held', (SELECT COALESCE(jsonb_agg(jsonb_build_object('order_number', h.order_number, 'amount', h.amount, 'kind', h.kind, 'placed_at', h.placed_at, 'reasons', h.reasons)
				ORDER BY h.placed_at, h.order_id), '[]')
			FROM dist.hold h WHERE h.account_id = (d ->> 'account_id')::bigint AND h.released_at IS NULL)) END
	FROM distsync_internal.credit_answer($1, $2, $3, $4) AS d
$$;
COMMENT ON FUNCTION distsync.explain_credit(text, numeric, text, jsonb) IS
	'The decision of credit() with its proof: exposure (signed terms of the binding account, they add up to total), accounts of the tree, limits with authority, every rule with its number beside its threshold, what is held. Arguments and errors as credit().';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('credit', '{reader,order_entry,integrator,operator,admin,portal}'),
	('explain_credit', '{reader,order_entry,operator,admin}');
