-- What is open, how old, what happened: items, aging in buckets that are data, statements. As of any day, as it is known now.

-- open_items does the list of what is open.
CREATE FUNCTION distsync.open_items(customer text, options jsonb DEFAULT '{}')
RETURNS TABLE (company text, kind text, document_number text, posted_at timestamptz, due_on date, days_late integer, currency text, amount numeric, open_amount numeric, disputed_amount numeric, dunning_level smallint, discount_amount numeric, discount_until date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.code, i.kind, i.document_number, i.posted_at, i.due_on, greatest(d.today - i.due_on, 0), i.currency, i.amount,
		CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -i.open_amount ELSE i.open_amount END, i.disputed_amount, i.dunning_level,
		CASE WHEN d.today <= i.discount_until THEN least(distsync_internal.credit_discount_left(i.customer_id, i.open_item_id), i.open_amount) END, CASE WHEN d.today <= i.discount_until THEN i.discount_until END
	FROM distsync_internal.credit_find(customer, options, '{company:text,source:text}') f
	JOIN dist.open_item i ON i.customer_id = f.payer_id AND i.open_amount > 0 AND (options ->> 'company' IS NULL OR i.company_id = f.company_id)
	JOIN dist.company c ON c.company_id = i.company_id
	CROSS JOIN LATERAL distsync_internal.credit_day(i.customer_id, i.company_id, statement_timestamp()) d
	ORDER BY i.due_on NULLS LAST, i.posted_at, i.document_number
$$;
COMMENT ON FUNCTION distsync.open_items(text, jsonb) IS
	'What is open of the customer''s payer, longest due first: open amount in the item''s currency, negative where it is in his favour; days late by the company''s calendar day; the cash discount that a payment today may take, and until when (NULL = none). Of instalments due_on is the invoice''s; aging() counts each on its own day. Options: company. Errors: SD001.';

-- credit_day_asked does the check of the day that is asked about.
CREATE FUNCTION distsync_internal.credit_day_asked(as_of date) RETURNS date
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT isfinite(as_of) THEN
		PERFORM distsync_internal.credit_command_refuse('SD002', 'as_of', format('"%s" is not a day', as_of), '', 'Send a day as YYYY-MM-DD, or null for today.');
	END IF;
	RETURN as_of;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_day_asked(date) IS 'The day asked about, NULL = today. Errors: SD002 infinity.';

-- credit_scheme does the reading of buckets: those of the options, else of the scheme named, else of the scheme default, else 30, 60, 90.
CREATE FUNCTION distsync_internal.credit_scheme(options jsonb) RETURNS TABLE (edges integer[], posting boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	own integer[];
	told text;
BEGIN
	SELECT x.edges, x.by INTO own, told FROM dist.aging_scheme x WHERE x.code = COALESCE(options ->> 'scheme', 'default');
	IF options ->> 'scheme' IS NOT NULL AND own IS NULL THEN
		PERFORM distsync_internal.master_unknown('aging scheme', options ->> 'scheme', 'options.scheme', NULL);
	END IF;
	IF options ? 'buckets' AND (jsonb_array_length(options -> 'buckets') > 24 OR EXISTS (SELECT FROM (SELECT b.value::bigint AS days, lag(b.value::bigint) OVER (ORDER BY b.place) AS before
			FROM jsonb_array_elements_text(options -> 'buckets') WITH ORDINALITY b(value, place)) x WHERE x.days <= x.before OR x.days NOT BETWEEN 1 AND 36500)) THEN
		PERFORM distsync_internal.credit_command_refuse('SD002', 'options.buckets', format('buckets can not be %s', left((options -> 'buckets')::text, 100)), '', 'Send the last day of each bucket but the last, ascending, from 1 to 36500, at most 24, for example [30, 60, 90].');
	END IF;
	edges := ARRAY(SELECT 1 UNION SELECT e.days + 1 FROM unnest(CASE WHEN options ? 'buckets' THEN ARRAY(SELECT b::integer FROM jsonb_array_elements_text(options -> 'buckets') b) ELSE COALESCE(own, '{30,60,90}') END) AS e(days) ORDER BY 1);
	posting := COALESCE(options ->> 'by', told, 'due') = 'posting';
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_scheme(jsonb) IS 'First days of buckets, ascending, and whether days count from the posting day: options buckets and by before options.scheme (absent = default). Errors: SD001 unknown scheme, SD002 buckets that do not ascend.';

-- credit_open_at does the picture of the sub-ledger of a payer at the end of a day, known as we know it now, instalment by instalment.
CREATE FUNCTION distsync_internal.credit_open_at(payer_id bigint, company_id bigint, as_of date)
RETURNS TABLE (open_item_id bigint, kind text, currency text, posted_on date, due_on date, open_amount numeric)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT i.open_item_id, i.kind, i.currency, i.posted_on, COALESCE(p.due_on, i.due_on), CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -1 ELSE 1 END * COALESCE(p.amount, i.left_open)
	FROM (
		SELECT o.*, (o.posted_at AT TIME ZONE c.tz)::date AS posted_on, o.amount - COALESCE((SELECT sum(a.amount + CASE WHEN a.to_item_id = o.open_item_id THEN a.discount + a.write_off ELSE 0 END)
				FROM dist.application a WHERE a.customer_id = o.customer_id AND o.open_item_id IN (a.from_item_id, a.to_item_id) AND a.effective_on <= credit_open_at.as_of), 0) AS left_open
		FROM dist.open_item o JOIN dist.company c ON c.company_id = o.company_id
		WHERE o.customer_id = credit_open_at.payer_id AND (credit_open_at.company_id IS NULL OR o.company_id = credit_open_at.company_id)
			AND (o.posted_at AT TIME ZONE c.tz)::date <= credit_open_at.as_of) i
	LEFT JOIN LATERAL unnest(distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.amount, i.left_open, 0)) p ON true
$$;
COMMENT ON FUNCTION distsync_internal.credit_open_at(bigint, bigint, date) IS
	'Items of a payer with what was open of them at the end of a day, in their currency, negative where in his favour, a row for each day on which a part was due; what was applied, taken back or voided later is not counted.';

-- aging does the sorting of what is open by how late it is, on any day.
CREATE FUNCTION distsync.aging(customer text, as_of date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (currency text, bucket text, from_day integer, to_day integer, amount numeric, items bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH f AS (SELECT x.*, COALESCE(distsync_internal.credit_day_asked(aging.as_of), (SELECT d.today FROM distsync_internal.credit_day(x.payer_id, x.company_id, statement_timestamp()) d)) AS day FROM distsync_internal.credit_find(customer, options, '{buckets:integers!,by:due|posting,scheme:text,company:text,source:text}') x),
	s AS (SELECT x.* FROM f CROSS JOIN distsync_internal.credit_scheme(options) x),
	bucket AS (SELECT b.from_day, lead(b.from_day) OVER (ORDER BY b.from_day) - 1 AS to_day FROM s, unnest(s.edges) AS b(from_day)),
	item AS (
		SELECT o.open_item_id, o.currency, o.open_amount, o.kind IN ('payment', 'deposit', 'credit_memo') AS unapplied, f.day - CASE WHEN s.posting THEN o.posted_on ELSE o.due_on END AS age
		FROM f CROSS JOIN s CROSS JOIN LATERAL distsync_internal.credit_open_at(f.payer_id, CASE WHEN options ->> 'company' IS NOT NULL THEN f.company_id END, f.day) o
		WHERE o.open_amount <> 0
	)
	SELECT i.currency, CASE WHEN i.unapplied THEN 'unapplied' WHEN NOT i.unapplied AND i.age <= 0 THEN 'current' WHEN b.to_day IS NULL THEN b.from_day || '+' ELSE b.from_day || '-' || b.to_day END,
		b.from_day, b.to_day, sum(i.open_amount), count(DISTINCT i.open_item_id)
	FROM item i LEFT JOIN bucket b ON NOT i.unapplied AND i.age >= b.from_day AND (b.to_day IS NULL OR i.age <= b.to_day)
	GROUP BY i.currency, i.unapplied, NOT i.unapplied AND i.age <= 0, b.from_day, b.to_day
	ORDER BY i.currency, i.unapplied, b.from_day NULLS FIRST
$$;
COMMENT ON FUNCTION distsync.aging(text, date, jsonb) IS
	'What was open of the customer''s payer at the end of a day (NULL = today) by days late: current, 1-30, 31-60, 61-90, 91+ and unapplied (payments, deposits, credit memos, negative); the buckets add up to the balance; instalments count each on its day (items: how many have something in the bucket). Options: scheme (a code of aging_scheme, absent = default), buckets [30,60,90] and by due | posting before it, company. Errors: SD001 unknown code, SD002 option, buckets or day.';

-- credit_agings_asked does the reading of what agings() is asked: the day, or each day that it is today for some parties.
CREATE FUNCTION distsync_internal.credit_agings_asked(as_of date, options jsonb)
RETURNS TABLE (day date, posting boolean, companies bigint[], tzs text[], edges integer[], ends timestamptz[], party_tzs text[], planned boolean, later boolean)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	o jsonb := distsync_internal.base_options(options, '{buckets:integers!,by:due|posting,scheme:text,company:text,source:text}');
	named bigint := distsync_internal.master_company(o ->> 'company', 'options.company', o ->> 'source');
	asked date := distsync_internal.credit_day_asked(as_of);
	own_tz text := (SELECT max(c.tz) FROM dist.company c WHERE c.company_id = named OR named IS NULL AND c.status = 'active' HAVING count(*) = 1);
BEGIN
	RETURN QUERY
	SELECT d.day, s.posting, c.ids, c.tzs, s.edges, c.ends, d.zones, EXISTS (SELECT FROM dist.instalment), EXISTS (SELECT FROM dist.application a WHERE a.effective_on > d.day)
	FROM distsync_internal.credit_scheme(o) s CROSS JOIN (
			SELECT COALESCE(asked, (statement_timestamp() AT TIME ZONE own_tz)::date) AS day, NULL::text[] AS zones WHERE asked IS NOT NULL OR own_tz IS NOT NULL
			UNION ALL
			-- without a company, today is the payer's: zones are few, and days are three at most
			SELECT (statement_timestamp() AT TIME ZONE z.tz)::date, array_agg(z.tz) FROM (SELECT DISTINCT p.tz FROM dist.party p WHERE asked IS NULL AND own_tz IS NULL) z GROUP BY 1) d
		CROSS JOIN LATERAL (SELECT array_agg(x.company_id) AS ids, array_agg(x.tz) AS tzs, array_agg((d.day + 1)::timestamp AT TIME ZONE x.tz) AS ends FROM dist.company x WHERE x.company_id = named OR named IS NULL) c;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_agings_asked(date, jsonb) IS
	'What agings() reads, a row a day: the day, whether posting days count, companies with their zones and the end of the day in each, first days of buckets, zones of the parties whose day it is (NULL = all), whether there are instalments at all and whether anything was applied later. Errors: those of agings().';

-- agings does the same for every payer at once, in C: what is open is read once, as it lies, and added up in a table that work_mem bounds.
CREATE FUNCTION distsync.agings(as_of date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (customer text, currency text, bucket text, from_day integer, to_day integer, amount numeric, items bigint)
LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100000 SET search_path = pg_catalog, pg_temp SET work_mem = '128MB' SET jit = off
AS 'MODULE_PATHNAME', 'ds_sql_credit_agings';
COMMENT ON FUNCTION distsync.agings(date, jsonb) IS
	'aging() of every payer who had something open at the end of a day (NULL = today), in no order: customer is the payer''s code, the other columns are those of aging(). as_of may be any day: what was applied, taken back or voided later is not counted. Options: scheme, buckets [30,60,90], by due | posting, company, source. Errors: SD001 unknown company or scheme, SD002 option, buckets or day.';

-- statement does the account of what happened between two days.
CREATE FUNCTION distsync.statement(customer text, from_day date DEFAULT NULL, to_day date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (currency text, day date, kind text, document_number text, amount numeric, balance numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	WITH f AS (SELECT x.*, COALESCE(to_day, (SELECT d.today FROM distsync_internal.credit_day(x.payer_id, x.company_id, statement_timestamp()) d)) AS last FROM distsync_internal.credit_find(customer, options, '{company:text,source:text}') x),
	item AS (
		SELECT i.customer_id, i.open_item_id, i.currency, i.kind, i.document_number, i.amount, i.posted_at, c.tz, CASE WHEN i.kind IN ('payment', 'deposit', 'credit_memo') THEN -1 ELSE 1 END AS sign, f.last
		FROM f
		JOIN dist.open_item i ON i.customer_id = f.payer_id AND (options ->> 'company' IS NULL OR i.company_id = f.company_id)
		JOIN dist.company c ON c.company_id = i.company_id
	), entry AS (
		SELECT i.currency, (i.posted_at AT TIME ZONE i.tz)::date AS day, 1 AS step, i.posted_at, i.kind, i.document_number, i.sign * i.amount AS amount, i.last FROM item i
		UNION ALL
		-- what makes less of the balance without money
		SELECT i.currency, a.effective_on, 2, a.effective_on::timestamp AT TIME ZONE i.tz, u.kind, i.document_number, -i.sign * sum(u.amount), i.last
		FROM item i JOIN dist.application a ON a.customer_id = i.customer_id AND a.to_item_id = i.open_item_id
		CROSS JOIN LATERAL (VALUES ('discount', a.discount), ('write_off', a.write_off), ('void', CASE WHEN a.kind = 'void' THEN a.amount ELSE 0 END)) u(kind, amount)
		WHERE u.amount <> 0
		GROUP BY i.currency, a.effective_on, i.tz, u.kind, i.document_number, i.sign, i.last, i.kind HAVING sum(u.amount) <> 0
	), row AS (
		SELECT e.currency, from_day - 1 AS day, 0 AS step, '-infinity'::timestamptz AS posted_at, 'opening' AS kind, '' AS document_number, sum(e.amount) AS amount
		FROM entry e WHERE e.day < from_day GROUP BY e.currency
		UNION ALL
		SELECT e.currency, e.day, e.step, e.posted_at, e.kind, e.document_number, e.amount FROM entry e WHERE (from_day IS NULL OR e.day >= from_day) AND e.day <= e.last
	)
	SELECT r.currency, r.day, r.kind, r.document_number, r.amount, sum(r.amount) OVER (PARTITION BY r.currency ORDER BY r.day, r.step, r.posted_at, r.kind, r.document_number)
	FROM row r ORDER BY r.currency, r.day, r.step, r.posted_at, r.kind, r.document_number
$$;
COMMENT ON FUNCTION distsync.statement(text, date, date, jsonb) IS
	'Documents of the customer''s payer between two days (NULL = from the first, up to today) with the running balance: invoice, debit_memo, credit_memo, payment, deposit, refund, and what makes less of them without money, on its posting day: discount, write_off, void (a document taken back). A row opening carries what was before; the balance of a day is that of aging(). Options: company. Errors: SD001.';

INSERT INTO distsync_internal.verb (name, roles) VALUES
	('open_items', '{reader,order_entry,operator,admin,portal}'),
	('aging', '{reader,order_entry,operator,admin,portal}'),
	('agings', '{reader,operator,admin}'),
	('statement', '{reader,order_entry,operator,admin,portal}');
