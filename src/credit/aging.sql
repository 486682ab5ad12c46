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
	edges := ARRAY(SELECT 1 UNION SELECT e.days + 1 FROM unnest(CASE WHEN options ? 'buckets' THEN ARRAY(SELECT b::integer FROM jsonb_array_elements_text(options -> 'buckets') b) ELSE COALESCE(own, '{30,60,90}') END) AS e(days) ORDER BY 1);
	posting := COALESCE(options ->> 'by', told, 'due') = 'posting';
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION distsync_internal.credit_scheme(jsonb) IS 'First days of buckets, ascending, and whether days count from the posting day: options buckets and by before options.scheme (absent = default). Errors: SD001 unknown scheme.';

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
	WITH f AS (SELECT x.*, COALESCE(aging.as_of, (SELECT d.today FROM distsync_internal.credit_day(x.payer_id, x.company_id, statement_timestamp()) d)) AS day FROM distsync_internal.credit_find(customer, options, '{buckets:integers!,by:due|posting,scheme:text,company:text,source:text}') x),
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
	'What was open of the customer''s payer at the end of a day (NULL = today) by days late: current, 1-30, 31-60, 61-90, 91+ and unapplied (payments, deposits, credit memos, negative); the buckets add up to the balance; instalments count each on its day (items: how many have something in the bucket). Options: scheme (a code of aging_scheme, absent = default), buckets [30,60,90] and by due | posting before it, company. Errors: SD001 unknown code, SD002 option.';

-- agings does the same for every payer at once. Who owes what is sorted and not hashed: memory stays within work_mem however many there
-- are. One statement returns everything: each further one would keep all rows once more.
CREATE FUNCTION distsync.agings(as_of date DEFAULT NULL, options jsonb DEFAULT '{}')
RETURNS TABLE (customer text, currency text, bucket text, from_day integer, to_day integer, amount numeric, items bigint)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 100000 SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET enable_hashagg = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
	o jsonb := distsync_internal.base_options(options, '{buckets:integers!,by:due|posting,scheme:text,company:text,source:text}');
	named bigint := distsync_internal.master_company(o ->> 'company', 'options.company', o ->> 'source');
	posting boolean := (SELECT s.posting FROM distsync_internal.credit_scheme(o) s);
	edges integer[] := (SELECT s.edges FROM distsync_internal.credit_scheme(o) s);
	own_tz text := (SELECT max(c.tz) FROM dist.company c WHERE c.company_id = named OR named IS NULL AND c.status = 'active' HAVING count(*) = 1);
	zones text[] := ARRAY[NULL];
	zone text;
	day date;
	ids bigint[];
	ends timestamptz[];
	tzs text[];
BEGIN
	IF as_of IS NULL AND own_tz IS NULL THEN
		-- without a company, today is the payer's: zones are few
		zones := ARRAY(SELECT DISTINCT p.tz FROM dist.party p);
	END IF;
	FOREACH zone IN ARRAY zones LOOP
		day := COALESCE(agings.as_of, (statement_timestamp() AT TIME ZONE COALESCE(zone, own_tz))::date);
		SELECT array_agg(c.company_id), array_agg((day + 1)::timestamp AT TIME ZONE c.tz), array_agg(c.tz) INTO ids, ends, tzs FROM dist.company c WHERE c.company_id = named OR named IS NULL;
		RETURN QUERY
		WITH later AS (
			-- what was applied after that day was open then
			SELECT x.customer_id, x.item, sum(x.amount) AS amount
			FROM dist.application a CROSS JOIN LATERAL (VALUES (a.customer_id, a.from_item_id, a.amount), (a.customer_id, a.to_item_id, a.amount + a.discount + a.write_off)) x(customer_id, item, amount)
			WHERE a.effective_on > day AND x.item IS NOT NULL
			GROUP BY x.customer_id, x.item HAVING sum(x.amount) <> 0
		), planned AS (
			SELECT DISTINCT n.customer_id, n.open_item_id FROM dist.instalment n
		), part AS (
			-- an item counts once: as it is open now, or as it was and is not any more
			SELECT i.customer_id, i.currency, i.kind, i.posted_at, i.due_on, i.company_id, i.open_amount AS amount, 1 AS items FROM dist.open_item i
			WHERE i.open_amount > 0 AND NOT EXISTS (SELECT FROM planned n WHERE n.customer_id = i.customer_id AND n.open_item_id = i.open_item_id)
			UNION ALL
			SELECT i.customer_id, i.currency, i.kind, i.posted_at, i.due_on, i.company_id, l.amount, CASE 0::numeric WHEN i.open_amount THEN 1 WHEN i.open_amount + l.amount THEN -1 ELSE 0 END
			FROM later l JOIN dist.open_item i ON i.customer_id = l.customer_id AND i.open_item_id = l.item
			WHERE NOT EXISTS (SELECT FROM planned n WHERE n.customer_id = i.customer_id AND n.open_item_id = i.open_item_id)
			UNION ALL
			SELECT i.customer_id, i.currency, i.kind, i.posted_at, p.due_on, i.company_id, p.amount,
				CASE row_number() OVER (PARTITION BY i.customer_id, i.open_item_id, width_bucket(day - CASE WHEN posting THEN (i.posted_at AT TIME ZONE tzs[array_position(ids, i.company_id)])::date ELSE p.due_on END, edges)) WHEN 1 THEN 1 ELSE 0 END
			FROM planned n JOIN dist.open_item i ON i.customer_id = n.customer_id AND i.open_item_id = n.open_item_id LEFT JOIN later l ON l.customer_id = i.customer_id AND l.item = i.open_item_id
			CROSS JOIN LATERAL unnest(distsync_internal.credit_parts(i.customer_id, i.open_item_id, i.due_on, i.amount, i.amount, i.open_amount + COALESCE(l.amount, 0), 0)) p
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
	'aging() of every payer who had something open at the end of a day (NULL = today), in no order: customer is the payer''s code, the other columns are those of aging(). as_of may be any day: what was applied, taken back or voided later is not counted. Options: scheme, buckets [30,60,90], by due | posting, company, source. Errors: SD001 unknown company or scheme, SD002 option.';

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
