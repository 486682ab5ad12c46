-- price.sql: :rates contract rates (500 a customer), a fifth as many list rates, 100,000 items, customers in a hierarchy four deep.
\set customers :rates / 500
INSERT INTO dist.currency (currency) VALUES ('USD') ON CONFLICT DO NOTHING;
INSERT INTO dist.unit (unit) VALUES ('EA') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (code, name, currency) VALUES ('B', 'Bench', 'USD') ON CONFLICT DO NOTHING;
ALTER TABLE dist.item DISABLE TRIGGER USER;
ALTER TABLE dist.party DISABLE TRIGGER USER;
INSERT INTO dist.category (code) SELECT 'PX-' || i FROM generate_series(1, 100) i;
INSERT INTO dist.item (sku, base_unit, category_id, brand)
SELECT 'PI-' || i, 'EA', (SELECT min(category_id) FROM dist.category WHERE code LIKE 'PX-%') + i % 100, 'BR-' || i % 50 FROM generate_series(1, 100000) i;
INSERT INTO dist.item_target (item_id, what_kind, what_key, depth)
SELECT item_id, k.kind, k.key, k.depth FROM dist.item,
	LATERAL (VALUES ('item', item_id::text, 0), ('category', category_id::text, 0), ('brand', brand, 0), ('all', '', 0)) k(kind, key, depth)
WHERE sku LIKE 'PI-%';
INSERT INTO dist.party (code, name) SELECT 'PC-' || i, 'Customer ' || i FROM generate_series(1, :customers) i;
INSERT INTO dist.party (code, name) SELECT 'PP-' || i, 'Parent ' || i FROM generate_series(1, 100) i;
INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth) SELECT party_id, party_id, 0 FROM dist.party WHERE code ~ '^P[CP]-';
INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth)
SELECT c.party_id, p.party_id, d FROM dist.party c, generate_series(1, 3) d JOIN dist.party p ON true
WHERE c.code LIKE 'PC-%' AND p.code = 'PP-' || 1 + (substr(c.code, 4)::int * 7 + d) % 100;
INSERT INTO dist.agreement (code, slot, currency) VALUES ('B-LIST', 'list', 'USD'), ('B-CONTRACT', 'contract', 'USD');
INSERT INTO dist.agreement_assignment (agreement_id, who_kind, who_key) SELECT agreement_id, 'all', '' FROM dist.agreement WHERE code = 'B-LIST';
INSERT INTO dist.agreement_version (version_id, rate_set_id, agreement_id, version_no, status, valid, published_at)
SELECT n, n, agreement_id, 1, 'published', '[2020-01-01,)', now() FROM (SELECT nextval('dist.agreement_version_version_id_seq') AS n, agreement_id FROM dist.agreement WHERE code LIKE 'B-%') x;
INSERT INTO dist.book_rate (version_id, line_key, what_kind, what_key, unit, min_quantity, calc, value)
SELECT v.version_id, i.sku || '/' || t, 'item', i.item_id::text, 'EA', t, 'net', 100 - t
FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id), dist.item i, unnest(ARRAY[0, 10]) t
WHERE a.code = 'B-LIST' AND i.sku LIKE 'PI-%';
INSERT INTO dist.customer_rate (customer_id, version_id, line_key, what_kind, what_key, unit, calc, value)
SELECT c.party_id, v.version_id, c.code || '/' || n, 'item', (first.id + (substr(c.code, 4)::bigint * 7919 + n * 199) % 100000)::text, 'EA', 'net', 80 + n % 10
FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id), dist.party c, generate_series(1, 500) n, (SELECT min(item_id) AS id FROM dist.item WHERE sku LIKE 'PI-%') first
WHERE a.code = 'B-CONTRACT' AND c.code LIKE 'PC-%' ON CONFLICT DO NOTHING;
ALTER TABLE dist.item ENABLE TRIGGER USER;
ALTER TABLE dist.party ENABLE TRIGGER USER;
VACUUM ANALYZE dist.item, dist.item_target, dist.party, dist.party_ancestor, dist.customer_rate, dist.book_rate, dist.agreement, dist.agreement_version, dist.agreement_assignment;
