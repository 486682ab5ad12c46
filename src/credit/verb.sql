-- The verbs people and applications call: may this customer have more, why, what is open, how old, what happened.

-- credit_find does the look-up of a customer and his account for a verb. Verbs name customers by code; options may name company and job.
CREATE FUNCTION distsync_internal.credit_find(customer text, options jsonb, known text[]) RETURNS TABLE (customer_id bigint, company_id bigint, payer_id bigint, account_id bigint)
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF options IS NULL OR options <> '{}' THEN
		options := distsync_internal.base_options(options, known);
	END IF;
	PERFORM distsync_internal.master_scope_only(options, '{company,job,at,buckets,by}', 'options.');
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
COMMENT ON TYPE distsync_internal.credit_row IS 'Answer of credit(): outcome approved | held | no_account; account that binds, its currency, limit (NULL unlimited), exposure and headroom; reasons against it; cure: the payment that lifts them (NULL = none does); valid_until: first instant at which time alone changes the answer; as_of: instant asked; known_at: when it was read; detail: amount asked, terms of exposure that are not 0, accounts of the tree if there are several, warnings if there are any, passed_by (prepaid, or the rule that releases).';

-- credit_row does the row of a decision.
CREATE FUNCTION distsync_internal.credit_row(d jsonb) RETURNS distsync_internal.credit_row
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	answer distsync_internal.credit_row;
BEGIN
	SELECT d ->> 'outcome', d ->> 'account', d ->> 'currency', m.credit_limit, m.total, m.headroom, d -> 'reasons', m.cure,
		(d ->> 'valid_until')::timestamptz, (d ->> 'as_of')::timestamptz, (d ->> 'known_at')::timestamptz,
		jsonb_strip_nulls(jsonb_build_object('terms', (SELECT jsonb_object_agg(t.key, t.value) FROM jsonb_each(d -> 'exposure') t WHERE (t.value #>> '{}')::numeric <> 0), 'amount', d -> 'amount', 'passed_by', d -> 'passed_by',
			'accounts', CASE WHEN jsonb_array_length(d -> 'accounts') > 1 THEN d -> 'accounts' END, 'warnings', NULLIF(d -> 'warnings', '[]')))
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

-- credit does the answer to "may this customer have that much more": a read.
CREATE FUNCTION distsync.credit(customer text, amount numeric DEFAULT 0, currency text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS distsync_internal.credit_row
AS 'MODULE_PATHNAME', 'ds_sql_credit' LANGUAGE c STABLE;
COMMENT ON FUNCTION distsync.credit(text, numeric, text, jsonb) IS
	'May a customer owe an amount more? One row: outcome approved | held | no_account (nothing limits him); account that binds (the one with the least headroom in its tree), its limit (NULL unlimited, 0 none), exposure and headroom in its currency, every reason against it, cure = the payment that lifts them (NULL none does), valid_until = first instant at which time alone can change it. amount is gross, in currency (NULL = the account''s). Options: company (needed where there are several and accounts are by company), job, segment, at, source. Reads only. Errors: SD001 unknown code, SD002 amount or option, SD003 no rate, SD005 no customer, or company not named.';

-- explain_credit does the same decision with everything it was made from.
CREATE FUNCTION distsync.explain_credit(customer text, amount numeric DEFAULT 0, currency text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT (d - 'account_id') || CASE WHEN d ->> 'account_id' IS NULL THEN '{}' ELSE jsonb_build_object(
		'limits', (SELECT COALESCE(jsonb_agg(jsonb_build_object('account', a.code, 'kind', l.kind, 'amount', l.amount, 'from', lower(l.valid), 'to', upper(l.valid),
				'counts', l.valid @> (d ->> 'as_of')::timestamptz, 'approved_by', l.approved_by, 'reason', l.reason) ORDER BY a.code, l.kind, lower(l.valid)), '[]')
			FROM dist.credit_limit l JOIN dist.credit_account a ON a.account_id = l.account_id
			WHERE a.account_id = ANY (distsync_internal.credit_chain((d ->> 'account_id')::bigint))),
		'held', (SELECT COALESCE(jsonb_agg(jsonb_build_object('order_number', h.order_number, 'amount', h.amount, 'kind', h.kind, 'placed_at', h.placed_at, 'reasons', h.reasons)
				ORDER BY h.placed_at, h.order_id), '[]')
			FROM dist.hold h WHERE h.account_id = (d ->> 'account_id')::bigint AND h.released_at IS NULL)) END
	FROM distsync_internal.credit_answer($1, $2, $3, $4) AS d
$$;
COMMENT ON FUNCTION distsync.explain_credit(text, numeric, text, jsonb) IS
	'The decision of credit() with its proof: exposure (signed terms of the binding account, they add up to total), accounts of the tree, limits with authority, every rule with its number beside its threshold, what is held. Arguments and errors as credit().';

-- open_items does the list of what is open.
CREATE FUNCTION distsync.open_items(customer text, options jsonb DEFAULT '{}')
RETURNS TABLE (company text, kind text, document_number text, posted_at timestamptz, due_on date, days_late integer, currency text, amount numeric, open_amount numeric, disputed_amount numeric, dunning_level smallint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.code, i.kind, i.document_number, i.posted_at, i.due_on, greatest(d.today - i.due_on, 0), i.currency, i.amount,
		CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -i.open_amount ELSE i.open_amount END, i.disputed_amount, i.dunning_level
	FROM distsync_internal.credit_find(customer, options, '{company:text,source:text}') f
	JOIN dist.open_item i ON i.customer_id = f.payer_id AND i.open_amount > 0 AND (options ->> 'company' IS NULL OR i.company_id = f.company_id)
	JOIN dist.company c ON c.company_id = i.company_id
	CROSS JOIN LATERAL distsync_internal.credit_day(i.customer_id, i.company_id, statement_timestamp()) d
	ORDER BY i.due_on NULLS LAST, i.posted_at, i.document_number
$$;
COMMENT ON FUNCTION distsync.open_items(text, jsonb) IS
	'What is open of the customer''s payer, longest due first: open amount in the item''s currency, negative where it is in his favour; days late by the company''s calendar day. Options: company. Errors: SD001.';

-- credit_open_at does the picture of the sub-ledger of a payer at the end of a day, known as we know it now.
CREATE FUNCTION distsync_internal.credit_open_at(payer_id bigint, company_id bigint, as_of date)
RETURNS TABLE (open_item_id bigint, kind text, currency text, posted_on date, due_on date, open_amount numeric)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT i.open_item_id, i.kind, i.currency, (i.posted_at AT TIME ZONE c.tz)::date, i.due_on,
		CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -1 ELSE 1 END * (i.amount - COALESCE((SELECT sum(a.amount + CASE WHEN a.to_item_id = i.open_item_id THEN a.discount + a.write_off ELSE 0 END)
			FROM dist.application a WHERE a.customer_id = i.customer_id AND i.open_item_id IN (a.from_item_id, a.to_item_id)
				AND (a.applied_at AT TIME ZONE c.tz)::date <= credit_open_at.as_of), 0))
	FROM dist.open_item i JOIN dist.company c ON c.company_id = i.company_id
	WHERE i.customer_id = credit_open_at.payer_id AND (credit_open_at.company_id IS NULL OR i.company_id = credit_open_at.company_id)
		AND (i.posted_at AT TIME ZONE c.tz)::date <= credit_open_at.as_of
$$;
COMMENT ON FUNCTION distsync_internal.credit_open_at(bigint, bigint, date) IS
	'Items of a payer with what was open of them at the end of a day, in their currency, negative where in his favour; later applications are added back.';

-- aging does the sorting of what is open by how late it is, on any day.
CREATE FUNCTION distsync.aging(customer text, as_of date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (currency text, bucket text, from_day integer, to_day integer, amount numeric, items bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH edge AS (SELECT DISTINCT e.days::integer FROM jsonb_array_elements_text(COALESCE(options -> 'buckets', '[30, 60, 90]')) AS e(days)),
	bucket AS (SELECT b.from_day, lead(b.from_day) OVER (ORDER BY b.from_day) - 1 AS to_day FROM (SELECT 1 AS from_day UNION SELECT e.days + 1 FROM edge e) b),
	f AS (SELECT x.*, COALESCE(aging.as_of, (SELECT d.today FROM distsync_internal.credit_day(x.payer_id, x.company_id, statement_timestamp()) d)) AS day FROM distsync_internal.credit_find(customer, options, '{buckets:integers!,by:due|posting,company:text,source:text}') x),
	item AS (
		SELECT o.currency, o.open_amount, o.kind IN ('payment', 'deposit', 'credit_memo') AS unapplied,
			f.day - CASE WHEN options ->> 'by' = 'posting' THEN o.posted_on ELSE o.due_on END AS age
		FROM f CROSS JOIN LATERAL distsync_internal.credit_open_at(f.payer_id, CASE WHEN options ->> 'company' IS NOT NULL THEN f.company_id END, f.day) o
		WHERE o.open_amount <> 0
	)
	SELECT i.currency, CASE WHEN i.unapplied THEN 'unapplied' WHEN NOT i.unapplied AND i.age <= 0 THEN 'current' WHEN b.to_day IS NULL THEN b.from_day || '+' ELSE b.from_day || '-' || b.to_day END,
		b.from_day, b.to_day, sum(i.open_amount), count(*)
	FROM item i LEFT JOIN bucket b ON NOT i.unapplied AND i.age >= b.from_day AND (b.to_day IS NULL OR i.age <= b.to_day)
	GROUP BY i.currency, i.unapplied, NOT i.unapplied AND i.age <= 0, b.from_day, b.to_day
	ORDER BY i.currency, i.unapplied, b.from_day NULLS FIRST
$$;
COMMENT ON FUNCTION distsync.aging(text, date, jsonb) IS
	'What was open of the customer''s payer at the end of a day (NULL = today) by days late: current, 1-30, 31-60, 61-90, 91+ and unapplied (payments, deposits, credit memos, negative); the buckets add up to the balance. Options: buckets [30,60,90], by due | posting, company. Errors: SD001.';

-- agings does the same for every payer at once. Who owes what is sorted and not hashed: memory stays within work_mem however many there
-- are. One statement returns everything: each further one would keep all rows once more.
CREATE FUNCTION distsync.agings(as_of date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (customer text, currency text, bucket text, from_day integer, to_day integer, amount numeric, items bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100000 SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET enable_hashagg = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
	o jsonb := distsync_internal.base_options(options, '{buckets:integers!,by:due|posting,company:text,source:text}');
	named bigint := distsync_internal.master_company(o ->> 'company', 'options.company', o ->> 'source');
	posting boolean := COALESCE(o ->> 'by' = 'posting', false);
	edges integer[] := ARRAY(SELECT 1 UNION SELECT e.days::integer + 1 FROM jsonb_array_elements_text(COALESCE(o -> 'buckets', '[30, 60, 90]')) AS e(days) ORDER BY 1);
	own_tz text := (SELECT max(c.tz) FROM dist.company c WHERE c.company_id = named OR named IS NULL AND c.status = 'active' HAVING count(*) = 1);
	zones text[] := ARRAY[NULL];
	zone text;
	day date;
	ids bigint[];
	ends timestamptz[];
	earliest timestamptz;
	tzs text[];
BEGIN
	IF as_of IS NULL AND own_tz IS NULL THEN
		-- without a company, today is the payer's: zones are few
		zones := ARRAY(SELECT DISTINCT p.tz FROM dist.party p);
	END IF;
	FOREACH zone IN ARRAY zones LOOP
		day := COALESCE(agings.as_of, (statement_timestamp() AT TIME ZONE COALESCE(zone, own_tz))::date);
		SELECT array_agg(c.company_id), array_agg((day + 1)::timestamp AT TIME ZONE c.tz), array_agg(c.tz), min((day + 1)::timestamp AT TIME ZONE c.tz) INTO ids, ends, tzs, earliest FROM dist.company c WHERE c.company_id = named OR named IS NULL;
		RETURN QUERY
		WITH later AS (
			-- what was applied after that day was open then
			SELECT x.customer_id, x.item, sum(x.amount) AS amount
			FROM (SELECT a.customer_id, a.applied_at, u.item, u.amount FROM dist.application a
				CROSS JOIN LATERAL (VALUES (a.from_item_id, a.amount), (a.to_item_id, a.amount + a.discount + a.write_off)) u(item, amount)
				WHERE a.applied_at >= earliest) x
			JOIN dist.open_item i ON i.customer_id = x.customer_id AND i.open_item_id = x.item
			WHERE x.applied_at >= ends[array_position(ids, i.company_id)]
			GROUP BY x.customer_id, x.item HAVING sum(x.amount) <> 0
		), part AS (
			-- an item counts once: as it is open now, or as it was and is not any more
			SELECT i.customer_id, i.currency, i.kind, i.posted_at, i.due_on, i.company_id, i.open_amount AS amount, 1 AS items FROM dist.open_item i WHERE i.open_amount > 0
			UNION ALL
			SELECT i.customer_id, i.currency, i.kind, i.posted_at, i.due_on, i.company_id, l.amount, CASE 0::numeric WHEN i.open_amount THEN 1 WHEN i.open_amount + l.amount THEN -1 ELSE 0 END
			FROM later l JOIN dist.open_item i ON i.customer_id = l.customer_id AND i.open_item_id = l.item
		), placed AS (
			SELECT i.customer_id, i.currency, i.amount, i.items, CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -1
				ELSE width_bucket(day - CASE WHEN posting THEN (i.posted_at AT TIME ZONE tzs[array_position(ids, i.company_id)])::date ELSE i.due_on END, edges) END AS place
			FROM part i WHERE i.posted_at < ends[array_position(ids, i.company_id)]
		), grouped AS (
			SELECT g.customer_id, g.currency, g.place, sum(g.amount) AS amount, sum(g.items) AS items FROM placed g GROUP BY g.customer_id, g.currency, g.place HAVING sum(g.items) > 0
		), bucket AS (
			SELECT -1 AS place, 'unapplied' AS name, NULL::integer AS from_day, NULL::integer AS to_day
			UNION ALL
			SELECT 0, 'current', NULL, NULL
			UNION ALL
			SELECT b.place::integer, b.from_day || COALESCE('-' || (edges[b.place + 1] - 1), '+'), b.from_day, edges[b.place + 1] - 1 FROM unnest(edges) WITH ORDINALITY b(from_day, place)
		)
		SELECT p.code, g.currency, n.name, n.from_day, n.to_day, CASE g.place WHEN -1 THEN -g.amount ELSE g.amount END, g.items
		FROM grouped g JOIN dist.party p ON p.party_id = g.customer_id AND (zone IS NULL OR p.tz = zone) LEFT JOIN bucket n ON n.place = g.place;
	END LOOP;
END
$$;
COMMENT ON FUNCTION distsync.agings(date, jsonb) IS
	'aging() of every payer who had something open at the end of a day (NULL = today), in no order: customer is the payer''s code, the other columns are those of aging(). as_of may be any day: later applications are added back. Options: buckets [30,60,90], by due | posting, company, source. Errors: SD001 unknown company, SD002 option.';

-- statement does the account of what happened between two days.
CREATE FUNCTION distsync.statement(customer text, from_day date DEFAULT NULL, to_day date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (currency text, day date, kind text, document_number text, amount numeric, balance numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH f AS (SELECT x.*, COALESCE(to_day, (SELECT d.today FROM distsync_internal.credit_day(x.payer_id, x.company_id, statement_timestamp()) d)) AS last FROM distsync_internal.credit_find(customer, options, '{company:text,source:text}') x),
	entry AS (
		SELECT i.currency, (i.posted_at AT TIME ZONE c.tz)::date AS day, i.kind, i.document_number, i.posted_at,
			CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -i.amount ELSE i.amount END AS amount, f.last
		FROM f
		JOIN dist.open_item i ON i.customer_id = f.payer_id AND (options ->> 'company' IS NULL OR i.company_id = f.company_id)
		JOIN dist.company c ON c.company_id = i.company_id
	), row AS (
		SELECT e.currency, from_day - 1 AS day, 'opening' AS kind, '' AS document_number, '-infinity'::timestamptz AS posted_at, sum(e.amount) AS amount
		FROM entry e WHERE e.day < from_day GROUP BY e.currency
		UNION ALL
		SELECT e.currency, e.day, e.kind, e.document_number, e.posted_at, e.amount FROM entry e WHERE (from_day IS NULL OR e.day >= from_day) AND e.day <= e.last
	)
	SELECT r.currency, r.day, r.kind, r.document_number, r.amount, sum(r.amount) OVER (PARTITION BY r.currency ORDER BY r.posted_at, r.kind, r.document_number)
	FROM row r ORDER BY r.currency, r.posted_at, r.kind, r.document_number
$$;
COMMENT ON FUNCTION distsync.statement(text, date, date, jsonb) IS
	'Documents of the customer''s payer between two days (NULL = from the first, up to today) with the running balance; a row opening carries what was before. Options: company. Errors: SD001.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('credit', '{reader,order_entry,integrator,operator,admin,portal}'),
	('explain_credit', '{reader,order_entry,operator,admin}'),
	('open_items', '{reader,order_entry,operator,admin,portal}'),
	('aging', '{reader,order_entry,operator,admin,portal}'),
	('agings', '{reader,operator,admin}'),
	('statement', '{reader,order_entry,operator,admin,portal}');
