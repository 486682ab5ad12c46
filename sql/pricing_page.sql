-- Pages of rates: publication lays them out, prices are the same with them, without them and through SQL; verify() tells damage.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
INSERT INTO sync.system (code, kind) VALUES ('pq-erp', 'erp');
SELECT distsync.apply_all('currency', '[{"currency":"USD","minor_units":2}]', 'pq-erp');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'pq-erp');
SELECT distsync.apply('company', '{"code":"PQ-US","name":"Pages Inc","currency":"USD"}', 'pq-erp');
SELECT distsync.apply_all('channel', '[{"code":"PQ-WEB","name":"Web"}]', 'pq-erp');
SELECT distsync.apply_all('party', '[{"code":"PQ-C","name":"Customer","currency":"USD","roles":["sold_to"]}]', 'pq-erp');
SELECT distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'PQ-' || n, 'name', 'Item', 'base_unit', 'EA', 'brand', 'PQ-B' || n % 7, 'weight', '1.5', 'units', '[{"unit":"BX","numerator":12,"denominator":1}]'::jsonb)) FROM generate_series(1, 2000) n), 'pq-erp');
\o
-- a list over all items, with everything that a rate may have somewhere in it; a contract with few
SELECT outcome, message FROM distsync.apply('agreement', jsonb_build_object('code', 'PQ-LIST', 'slot', 'list', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', (
	SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('line', 'L' || n || '/' || t, 'what', 'PQ-' || n, 'value', (n * 7919 % 10007 * 0.01 + 1) * (10 - t) / 10, 'min_quantity', CASE WHEN t > 0 THEN t * 10 END,
		'unit', CASE WHEN n % 5 = 0 THEN 'BX' END, 'price_per', CASE n % 11 WHEN 0 THEN 100 WHEN 1 THEN 1000 END, 'floor_price', CASE WHEN n % 13 = 0 THEN 0.5 END, 'ceiling_price', CASE WHEN n % 17 = 0 THEN 70 END,
		'min_margin', CASE WHEN n % 19 = 0 THEN 0.1 END, 'valid_from', CASE WHEN n % 23 = 0 THEN '2020-01-01' END, 'valid_to', CASE WHEN n % 29 = 0 THEN '2035-12-31' END,
		'channel', CASE WHEN n % 31 = 0 THEN 'PQ-WEB' END, 'condition', CASE WHEN n % 37 = 0 THEN '{"tier": "gold", "n": [1, 2.50]}'::jsonb END)))
	FROM generate_series(1, 2000) n, generate_series(0, n % 3) t)), 'pq-erp');
SELECT outcome, message FROM distsync.apply('agreement', '{"code":"PQ-PROMO","slot":"promotion","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PQ-8","calc":"buy_get","value":"10","value2":"2","free_item":"PQ-9"},
	{"what":"PQ-10","calc":"buy_get","value":"10","value2":"2","percent":"50"},{"what_kind":"brand","what":"PQ-B3","calc":"formula","value":"0.9","value2":"-0.25"}]}', 'pq-erp');
SELECT outcome, message FROM distsync.apply('agreement', '{"code":"PQ-K","slot":"contract","currency":"USD","rates":[{"customer":"PQ-C","what":"PQ-1","value":"12345678901234.0123456789"},{"customer":"PQ-C","what":"PQ-2000","calc":"percent_off","value":"3.5","base":"PQ-LIST"}]}', 'pq-erp');
CREATE FUNCTION pg_temp.answers() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg((to_jsonb(p) - '{as_of,known_at}'::text[])::text, E'\n' ORDER BY p.ordinal)) FROM distsync.prices('PQ-C', (
		SELECT jsonb_agg(jsonb_build_object('item', 'PQ-' || n, 'quantity', q, 'unit', CASE WHEN n % 3 = 0 THEN 'BX' ELSE 'EA' END) ORDER BY n, q) FROM generate_series(1, 2000) n, (VALUES (1), (12), (25)) v(q)), '2027-01-01 00:00+00',
		('{"company": "PQ-US", "channel": "PQ-WEB", "context": {"tier": "gold", "n": [1, 2.5]}}')::jsonb) p
$$;
-- several pages of the list, one of the contract; a page is at most 8 kB
SELECT a.code, count(*) > 1 AS several, max(length(g.bytes)) < 8000 AS fits, bool_and(p.page_shift IS NOT NULL) AS told FROM dist.rate_page g JOIN dist.rate_part p USING (version_id, customer_id) JOIN dist.agreement a USING (agreement_id)
WHERE a.code LIKE 'PQ-%' GROUP BY 1 ORDER BY 1;
SELECT pg_temp.answers() AS with_pages \gset
SELECT count(DISTINCT unit_price) > 1000 AS many FROM distsync.prices('PQ-C', (SELECT jsonb_agg(jsonb_build_object('item', 'PQ-' || n)) FROM generate_series(1, 2000) n), options => '{"company":"PQ-US"}') WHERE outcome = 'priced';
SELECT unit_price, agreement FROM distsync.price('PQ-C', 'PQ-1', options => '{"company":"PQ-US"}');
SET distsync.price_through_sql = on;
SELECT pg_temp.answers() = :'with_pages' AS same_through_sql;
SELECT count(*) AS pages_differ_through_sql FROM dist.agreement a JOIN dist.agreement_version v USING (agreement_id) CROSS JOIN LATERAL distsync_internal.pricing_pages(v.rate_set_id) l
	LEFT JOIN dist.rate_page g ON g.version_id = v.rate_set_id AND g.customer_id = l.customer_id AND g.page = l.page AND g.bytes = l.bytes WHERE a.code LIKE 'PQ-%' AND g.page IS NULL;
RESET distsync.price_through_sql;
SELECT count(*) AS wrong FROM distsync.verify('price.%') WHERE invariant = 'price.rate_page';
-- without pages every price is the same: they are only fast
BEGIN;
DELETE FROM dist.rate_page g USING dist.rate_part p JOIN dist.agreement a USING (agreement_id) WHERE g.version_id = p.version_id AND a.code LIKE 'PQ-%' AND g.page % 2 = 0;
\c -
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT md5(string_agg((to_jsonb(p) - '{as_of,known_at}'::text[])::text, E'\n' ORDER BY p.ordinal)) = :'with_pages' AS same_of_a_new_backend FROM distsync.prices('PQ-C', (
		SELECT jsonb_agg(jsonb_build_object('item', 'PQ-' || n, 'quantity', q, 'unit', CASE WHEN n % 3 = 0 THEN 'BX' ELSE 'EA' END) ORDER BY n, q) FROM generate_series(1, 2000) n, (VALUES (1), (12), (25)) v(q)), '2027-01-01 00:00+00',
		('{"company": "PQ-US", "channel": "PQ-WEB", "context": {"tier": "gold", "n": [1, 2.5]}}')::jsonb) p;
CREATE TEMP TABLE kept AS SELECT g.* FROM dist.rate_page g JOIN dist.rate_part p USING (version_id, customer_id) JOIN dist.agreement a USING (agreement_id) WHERE a.code LIKE 'PQ-%';
DELETE FROM dist.rate_page g USING kept k WHERE g.version_id = k.version_id AND g.customer_id = k.customer_id AND g.page = k.page;
SELECT md5(string_agg((to_jsonb(p) - '{as_of,known_at}'::text[])::text, E'\n' ORDER BY p.ordinal)) = :'with_pages' AS same_kept FROM distsync.prices('PQ-C', (
		SELECT jsonb_agg(jsonb_build_object('item', 'PQ-' || n, 'quantity', q, 'unit', CASE WHEN n % 3 = 0 THEN 'BX' ELSE 'EA' END) ORDER BY n, q) FROM generate_series(1, 2000) n, (VALUES (1), (12), (25)) v(q)), '2027-01-01 00:00+00',
		('{"company": "PQ-US", "channel": "PQ-WEB", "context": {"tier": "gold", "n": [1, 2.5]}}')::jsonb) p;
SELECT count(*) > 1 AS verify_misses_them FROM distsync.verify('price.%') WHERE invariant = 'price.rate_page';
-- a damaged page is an error that says so, at every length and with any byte changed: never a crash, never another price told as right
CREATE TEMP VIEW first AS SELECT k.* FROM kept k JOIN dist.rate_part p USING (version_id, customer_id) JOIN dist.agreement a USING (agreement_id), dist.item i JOIN dist.target t ON t.what_kind = 'item' AND t.what_key = i.item_id::text
	WHERE a.code = 'PQ-LIST' AND i.sku = 'PQ-37' AND k.page = t.target_id >> p.page_shift;
CREATE FUNCTION pg_temp.read(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO dist.rate_page SELECT k.customer_id, k.version_id, k.page, read.bytes FROM first k;
	PERFORM distsync.prices('PQ-C', (SELECT jsonb_agg(jsonb_build_object('item', 'PQ-' || n)) FROM generate_series(1, 60) n), '2027-01-01 00:00+00', jsonb_build_object('company', 'PQ-US', 'known_at', clock_timestamp()));
	RAISE EXCEPTION 'read';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
SELECT pg_temp.read(bytes) AS whole FROM first;
SELECT pg_temp.read(substr(bytes, 1, 40)) AS begun, pg_temp.read('') AS empty, pg_temp.read('\x02') AS other_layout, pg_temp.read('\x01ff0100') AS cut FROM first;
SELECT count(*) AS changed, bool_and(r.state IN ('P0001', 'XX001')) AS read_or_damaged, count(*) FILTER (WHERE r.state = 'XX001') > 0 AS some_damaged FROM first b,
	generate_series(0, 299) n, LATERAL (SELECT pg_temp.read(set_byte(bytes, n * 13 % length(bytes), (get_byte(bytes, n * 13 % length(bytes)) + 1 + n % 200) % 256)) AS state) r;
-- a condition that is no document
SELECT pg_temp.read(decode(replace(encode(bytes, 'hex'), encode('{"n"', 'hex'), encode('["n"', 'hex')), 'hex')) AS no_document FROM first;
INSERT INTO dist.rate_page SELECT * FROM kept;
SELECT count(*) AS wrong FROM distsync.verify('price.%') WHERE invariant = 'price.rate_page';
