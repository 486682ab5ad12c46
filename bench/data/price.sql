-- price.sql: a distributor's prices, written past the doors: :customers × 500 contract rates, :book_rates shared rates, :items items.
--
-- Everything is arithmetic on numbers, so that every machine gets the same rows and the same prices. The rows are what the doors
-- would have written; the ids are given, and the sequences set past them. It wants an empty database and a superuser: triggers and
-- foreign keys are off while it runs.
\set ON_ERROR_STOP on
SET session_replication_role = replica;
SET synchronous_commit = off;
SET client_min_messages = warning;
\set parents :customers / 10
\set groups :customers / 100
\set roots greatest(1, :customers / 1000)
\set families :items / 20

CREATE TEMP TABLE scale AS
SELECT :customers AS customers, :items AS items, :book_rates AS book_rates, :customers AS parent0, :customers + :parents AS group0, :customers + :parents + :groups AS root0,
	:customers + :parents + :groups + :roots AS vendor0, t.item0, t.item0 + :items AS category0, t.item0 + :items + 1110 AS brand0, t.item0 + :items + 1310 AS family0, t.item0 + :items + 1310 + :families AS vendor_target0
FROM (SELECT COALESCE(max(target_id), 0) AS item0 FROM dist.target) t;
CREATE FUNCTION pg_temp.list_price(i bigint) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN 5 + (i * 7919 % 20000) * 0.01;

-- master data
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.unit (unit) VALUES ('EA'), ('CS'), ('PL') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (company_id, code, name, currency) VALUES (1, 'B', 'Bench', 'USD');
INSERT INTO dist.rounding (rounding, scale) VALUES ('CENT', 2) ON CONFLICT DO NOTHING;

-- parties: customers PC-, under parents PP- of ten, under groups PG- of ten, under roots PR- of ten; vendors PV-
INSERT INTO dist.party (party_id, code, name, currency, parent_id, price_class)
SELECT n, 'PC-' || n, 'Customer ' || n, 'USD', s.parent0 + 1 + n * 7919 % (:parents), CASE WHEN n % 10 < 7 THEN 'C-' || 1 + (n / 10 + n) % 10 END FROM scale s, generate_series(1, s.customers) n;
INSERT INTO dist.party (party_id, code, name, currency, parent_id)
SELECT s.parent0 + n, 'PP-' || n, 'Parent ' || n, 'USD', s.group0 + 1 + n * 31 % (:groups) FROM scale s, generate_series(1, :parents) n
UNION ALL SELECT s.group0 + n, 'PG-' || n, 'Group ' || n, 'USD', s.root0 + 1 + n % (:roots) FROM scale s, generate_series(1, :groups) n
UNION ALL SELECT s.root0 + n, 'PR-' || n, 'Root ' || n, 'USD', NULL FROM scale s, generate_series(1, :roots) n
UNION ALL SELECT s.vendor0 + n, 'PV-' || n, 'Vendor ' || n, 'USD', NULL FROM scale s, generate_series(1, 100) n;
INSERT INTO dist.party_role (party_id, role) SELECT party_id, CASE WHEN code LIKE 'PV-%' THEN 'vendor' ELSE 'sold_to' END FROM dist.party;
INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth)
WITH RECURSIVE up AS (
	SELECT party_id, party_id AS ancestor_id, parent_id, 0 AS depth FROM dist.party
	UNION ALL SELECT u.party_id, p.party_id, p.parent_id, u.depth + 1 FROM up u JOIN dist.party p ON p.party_id = u.parent_id)
SELECT party_id, ancestor_id, depth FROM up ORDER BY party_id, depth;

-- groups of parties: most membership is the parents'; some of it has ended, some has not begun
INSERT INTO dist.party_group (group_id, kind, code)
SELECT n, 'buying_group', 'BG-' || n FROM generate_series(1, 12) n
UNION ALL SELECT 12 + n, 'price_class', 'C-' || n FROM generate_series(1, 10) n
UNION ALL SELECT 22 + n, 'region', 'R-' || n FROM generate_series(1, 8) n;
INSERT INTO dist.party_member (party_id, group_id, valid, known)
SELECT m.party_id, m.group_id, m.valid::tstzrange, '[2020-01-01 00:00+00,)' FROM (
	SELECT s.parent0 + n AS party_id, 1 + n / 2 % 12 AS group_id, '(,)' AS valid FROM scale s, generate_series(2, :parents, 2) n
	UNION ALL SELECT s.parent0 + n, 23 + n % 8, '(,)' FROM scale s, generate_series(1, :parents) n
	UNION ALL SELECT s.group0 + n, 13 + n % 10, '(,)' FROM scale s, generate_series(1, :groups) n WHERE n % 3 = 0
	UNION ALL SELECT n, 1 + n / 10 % 12, '[2021-01-01 00:00+00,)' FROM scale s, generate_series(3, s.customers, 10) n
	UNION ALL SELECT n, 1 + n / 100 % 12, '[2020-01-01 00:00+00,2024-01-01 00:00+00)' FROM scale s, generate_series(7, s.customers, 100) n
	UNION ALL SELECT n, 1 + n / 100 % 12, '[2034-01-01 00:00+00,)' FROM scale s, generate_series(8, s.customers, 100) n) m;

-- items: ten categories of ten of ten, 200 brands, families of twenty, 100 vendors; sold by piece, case and pallet
INSERT INTO dist.category (category_id, code, parent_id)
SELECT n, 'PX-' || n, NULL FROM generate_series(1, 10) n
UNION ALL SELECT 11 + n, 'PX-' || 11 + n, 1 + n % 10 FROM generate_series(0, 99) n
UNION ALL SELECT 111 + n, 'PX-' || 111 + n, 11 + n % 100 FROM generate_series(0, 999) n;
INSERT INTO dist.item (item_id, sku, name, base_unit, category_id, brand, family, vendor_id, weight)
SELECT i, 'PI-' || i, 'Item ' || i, 'EA', 111 + i * 37 % 1000, 'BR-' || 1 + i * 7919 / 1000 % 200, 'FA-' || 1 + (i - 1) / 20, s.vendor0 + 1 + (i - 1) / 20 % 100, 1 + i % 50
FROM scale s, generate_series(1::bigint, s.items) i;
INSERT INTO dist.item_unit (item_id, unit, numerator) SELECT i, u.unit, u.n FROM scale s, generate_series(1, s.items) i, (VALUES ('CS', 12), ('PL', 480)) u(unit, n);

-- targets, in this order: items, categories, brands, families, vendors, all (which may be there)
INSERT INTO dist.target (target_id, what_kind, what_key)
SELECT s.item0 + i, 'item', i::text FROM scale s, generate_series(1, s.items) i
UNION ALL SELECT s.category0 + n, 'category', n::text FROM scale s, generate_series(1, 1110) n
UNION ALL SELECT s.brand0 + n, 'brand', 'BR-' || n FROM scale s, generate_series(1, 200) n
UNION ALL SELECT s.family0 + n, 'family', 'FA-' || n FROM scale s, generate_series(1, :families) n
UNION ALL SELECT s.vendor_target0 + n, 'vendor', (s.vendor0 + n)::text FROM scale s, generate_series(1, 100) n
UNION ALL SELECT s.vendor_target0 + 101, 'all', '' FROM scale s ON CONFLICT (what_kind, what_key) DO NOTHING;
INSERT INTO dist.item_target (item_id, target_id, what_kind, what_key, depth)
SELECT i.item_id, k.* FROM scale s, (SELECT target_id FROM dist.target WHERE what_kind = 'all') whole, dist.item i JOIN dist.category leaf USING (category_id) JOIN dist.category mid ON mid.category_id = leaf.parent_id, LATERAL (VALUES
	(s.item0 + i.item_id, 'item', i.item_id::text, 0),
	(s.category0 + leaf.category_id, 'category', leaf.category_id::text, 0),
	(s.category0 + mid.category_id, 'category', mid.category_id::text, 1),
	(s.category0 + mid.parent_id, 'category', mid.parent_id::text, 2),
	(s.brand0 + substr(i.brand, 4)::bigint, 'brand', i.brand, 0),
	(s.family0 + substr(i.family, 4)::bigint, 'family', i.family, 0),
	(s.vendor_target0 + i.vendor_id - s.vendor0, 'vendor', i.vendor_id::text, 0),
	(whole.target_id, 'all', '', 0)) k;

-- agreements: a list, 20 books, 10 promotions, 5 adjustments, a guard, and a contract for 89 of 100 customers, every parent and
-- every group
CREATE TEMP TABLE holder AS
SELECT row_number() OVER (ORDER BY p.party_id) AS h, p.party_id, p.code FROM dist.party p WHERE p.code LIKE 'PC-%' AND p.party_id % 100 >= 11 OR p.code LIKE 'PP-%' OR p.code LIKE 'PG-%' ORDER BY h;
INSERT INTO dist.agreement (agreement_id, code, slot, company_id, currency)
SELECT 1, 'LIST', 'list', NULL::bigint, 'USD'
UNION ALL SELECT 1 + n, 'BOOK-' || n, 'book', NULL, 'USD' FROM generate_series(1, 20) n
UNION ALL SELECT 21 + n, 'PROMO-' || n, 'promotion', NULL, 'USD' FROM generate_series(1, 10) n
UNION ALL SELECT 31 + n, 'ADJ-' || n, 'adjustment', NULL, 'USD' FROM generate_series(1, 5) n
UNION ALL SELECT 37, 'GUARD', 'guard', NULL, 'USD'
UNION ALL SELECT 100 + h, 'CT-' || code, 'contract', 1, 'USD' FROM holder;
INSERT INTO dist.agreement_assignment (agreement_id, who_kind, who_key, rank, valid, known)
SELECT a.agreement_id, a.who_kind, a.who_key, a.rank, '(,)', '[2020-01-01 00:00+00,)' FROM (
	SELECT 1 AS agreement_id, 'all' AS who_kind, '' AS who_key, 100 AS rank
	UNION ALL SELECT 1 + n, 'price_class', 'C-' || n, 100 FROM generate_series(1, 8) n
	UNION ALL SELECT 9 + n, 'buying_group', 'BG-' || n, 100 FROM generate_series(1, 8) n
	UNION ALL SELECT 17 + n, 'region', 'R-' || n, 90 FROM generate_series(1, 4) n
	UNION ALL SELECT 17 + n, 'region', 'R-' || 4 + n, 110 FROM generate_series(1, 4) n
	UNION ALL SELECT 21 + n, 'all', '', 100 FROM generate_series(1, 4) n
	UNION ALL SELECT 25 + n, 'region', 'R-' || n, 100 FROM generate_series(1, 3) n
	UNION ALL SELECT 28 + n, 'price_class', 'C-' || n, 100 FROM generate_series(1, 3) n
	UNION ALL SELECT 31 + n, 'all', '', 100 FROM generate_series(1, 3) n
	UNION ALL SELECT 35, 'price_class', 'C-' || n, 100 FROM generate_series(1, 5) n
	UNION ALL SELECT 36, 'buying_group', 'BG-' || n, 100 FROM generate_series(1, 6) n
	UNION ALL SELECT 37, 'all', '', 100) a;

-- versions: the list and the books have changed their terms over the same rates, a book's first version was superseded, some
-- promotions are over or to come, every tenth contract is renewed already
CREATE TEMP TABLE version AS
SELECT 1 AS version_id, 1 AS agreement_id, 1 AS version_no, '[2020-01-01 00:00+00,2024-01-01 00:00+00)'::tstzrange AS valid, '[2020-01-01 00:00+00,)'::tstzrange AS known, 1 AS rate_set_id,
	'override' AS combine, '' AS stack_group, 0 AS priority, NULL::text AS rounding
UNION ALL SELECT 2, 1, 2, '[2024-01-01 00:00+00,2033-01-01 00:00+00)', '[2020-01-01 00:00+00,)', 1, 'override', '', 0, NULL
UNION ALL SELECT 3, 1, 3, '[2033-01-01 00:00+00,)', '[2020-01-01 00:00+00,)', 1, 'override', '', 0, NULL
UNION ALL SELECT 10 + n, 1 + n, 1, '[2022-01-01 00:00+00,)', '[2021-12-01 00:00+00,2024-12-01 00:00+00)', 10 + n, 'override', '', 0, NULL FROM generate_series(1, 20) n
UNION ALL SELECT 30 + n, 1 + n, 2, '[2022-01-01 00:00+00,2025-01-01 00:00+00)', '[2024-12-01 00:00+00,)', 10 + n, 'override', '', 0, NULL FROM generate_series(1, 20) n
UNION ALL SELECT 50 + n, 1 + n, 3, '[2025-01-01 00:00+00,2032-01-01 00:00+00)', '[2024-12-01 00:00+00,)', 10 + n, 'override', '', n % 3, CASE WHEN n % 4 = 0 THEN 'CENT' END FROM generate_series(1, 20) n
UNION ALL SELECT 100 + n, 21 + n, 1, CASE n WHEN 4 THEN '[2024-01-01 00:00+00,2024-04-01 00:00+00)' WHEN 7 THEN '[2024-01-01 00:00+00,2024-04-01 00:00+00)'
		WHEN 3 THEN '[2034-01-01 00:00+00,)' WHEN 10 THEN '[2031-06-01 00:00+00,2031-09-01 00:00+00)' ELSE '[2026-01-01 00:00+00,2031-01-01 00:00+00)' END::tstzrange,
	'[2020-01-01 00:00+00,)', 100 + n, CASE n WHEN 2 THEN 'exclusive' ELSE 'override' END, '', 0, NULL FROM generate_series(1, 10) n
UNION ALL SELECT 200 + n, 31 + n, 1, '[2025-01-01 00:00+00,)', '[2020-01-01 00:00+00,)', 200 + n, (ARRAY['compound', 'additive', 'always', 'best', 'best'])[n],
	(ARRAY['brand', 'season', '', 'loyalty', 'loyalty'])[n], 0, NULL FROM generate_series(1, 5) n
UNION ALL SELECT 300, 37, 1, '[2025-01-01 00:00+00,)', '[2020-01-01 00:00+00,)', 300, 'override', '', 0, NULL
UNION ALL SELECT 1000 + h, 100 + h, 1, '[2025-01-01 00:00+00,2035-01-01 00:00+00)', '[2020-01-01 00:00+00,)', 1000 + h, CASE WHEN h % 25 = 0 THEN 'exclusive' ELSE 'override' END, '', 0,
	CASE WHEN h % 2 = 0 THEN 'CENT' END FROM holder
UNION ALL SELECT 1000 + s.customers + h, 100 + h, 2, '[2035-01-01 00:00+00,)', '[2020-01-01 00:00+00,)', 1000 + h, 'override', '', 0, NULL FROM scale s, holder WHERE h % 10 = 0;
INSERT INTO dist.agreement_version (version_id, agreement_id, version_no, status, valid, known, rate_set_id, combine, stack_group, priority, rounding, published_at, drafted_by)
SELECT version_id, agreement_id, version_no, 'published', valid, known, rate_set_id, combine, stack_group, priority, rounding, lower(known), 'bench' FROM version;

-- shared rates: the list has 2 to 4 tiers an item, or 1 to 2 where :book_rates leaves no room, and lacks one item in a thousand
\ir price_book.sql
-- contract rates: 425 net prices of 213 items in ladders of 1, 2, 3 tiers, 50 percentages by category, 25 by brand
\ir price_contract.sql

-- parts, as publication writes them; :hashes = 1 also writes the hashes of the rates, which take longer than all the rest, otherwise
-- others stand in their place, which a proof reads as well
VACUUM ANALYZE dist.customer_rate, dist.book_rate;
INSERT INTO dist.rate_part (customer_id, version_id, agreement_id, rates, dated, what_kinds, filter)
SELECT r.customer_id, r.version_id, v.agreement_id, r.rates, r.dated, r.what_kinds, distsync_internal.pricing_filter(r.targets)
FROM (SELECT customer_id, version_id, sum(n) AS rates, bool_or(dated) AS dated, array_agg(DISTINCT what_kind ORDER BY what_kind) AS what_kinds, array_agg(target_id) AS targets
	FROM (SELECT customer_id, version_id, target_id, count(*) AS n, bool_or(valid_from IS NOT NULL OR valid_to IS NOT NULL) AS dated FROM dist.customer_rate GROUP BY 2, 1, 3) d JOIN dist.target USING (target_id) GROUP BY 1, 2
	UNION ALL
	SELECT 0, version_id, sum(n), bool_or(dated), array_agg(DISTINCT what_kind ORDER BY what_kind), array_agg(target_id)
	FROM (SELECT version_id, target_id, count(*) AS n, bool_or(valid_from IS NOT NULL OR valid_to IS NOT NULL) AS dated FROM dist.book_rate GROUP BY 1, 2) d JOIN dist.target USING (target_id) GROUP BY 2) r
JOIN version v USING (version_id);
CREATE TEMP TABLE laid (version_id bigint, customer_id bigint, page_shift smallint, page bigint, bytes bytea);
ALTER TABLE laid ALTER bytes SET STORAGE EXTERNAL;
INSERT INTO laid SELECT s.version_id, l.* FROM (SELECT DISTINCT version_id FROM dist.rate_part ORDER BY 1) s, LATERAL distsync_internal.pricing_pages(s.version_id) l;
INSERT INTO dist.rate_page (customer_id, version_id, page, bytes) SELECT customer_id, version_id, page, bytes FROM laid;
UPDATE dist.rate_part p SET page_shift = l.page_shift FROM (SELECT DISTINCT version_id, customer_id, page_shift FROM laid) l WHERE p.version_id = l.version_id AND p.customer_id = l.customer_id;
\if :{?hashes}
UPDATE dist.agreement_version v SET content_sha256 = h.hash
FROM (SELECT DISTINCT rate_set_id, distsync_internal.pricing_hash(rate_set_id) AS hash FROM (SELECT DISTINCT rate_set_id FROM version) s) h WHERE h.rate_set_id = v.rate_set_id;
\else
UPDATE dist.agreement_version v SET content_sha256 = sha256(int8send(v.rate_set_id)) FROM version n WHERE n.version_id = v.version_id;
\endif

-- instants still to come at which prices change without a write
INSERT INTO dist.price_boundary (at, version_id, edge)
SELECT e.at, v.version_id, e.edge FROM version v, LATERAL (VALUES (lower(v.valid), 'start'), (upper(v.valid), 'end')) e(at, edge) WHERE upper_inf(v.known) AND e.at > now()
UNION SELECT e.at, r.version_id, e.edge FROM dist.book_rate r, LATERAL (VALUES (r.valid_from, 'start'), (r.valid_to, 'end')) e(at, edge) WHERE e.at > now();

SELECT setval('dist.party_party_id_seq', max(party_id)) FROM dist.party \g /dev/null
SELECT setval('dist.party_group_group_id_seq', max(group_id)) FROM dist.party_group \g /dev/null
SELECT setval('dist.category_category_id_seq', max(category_id)) FROM dist.category \g /dev/null
SELECT setval('dist.item_item_id_seq', max(item_id)) FROM dist.item \g /dev/null
SELECT setval('dist.target_target_id_seq', max(target_id)) FROM dist.target \g /dev/null
SELECT setval('dist.company_company_id_seq', max(company_id)) FROM dist.company \g /dev/null
SELECT setval('dist.agreement_agreement_id_seq', max(agreement_id)) FROM dist.agreement \g /dev/null
SELECT setval('dist.agreement_version_version_id_seq', max(version_id)) FROM dist.agreement_version \g /dev/null
RESET session_replication_role;
VACUUM ANALYZE;
