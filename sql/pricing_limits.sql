-- What is too much is refused and never left out: free goods, bands, targets, units, ancestors, memberships, rates.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('pl-erp', 'erp');
\o /dev/null
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'pl-erp');
SELECT distsync.apply_all('unit', (SELECT jsonb_agg(jsonb_build_object('unit', u)) FROM (SELECT 'EA' UNION ALL SELECT 'L' || i FROM generate_series(1, 1025) i) x(u)), 'pl-erp');
SELECT distsync.apply('company', '{"code":"PL-US","name":"us","currency":"USD"}', 'pl-erp');
SELECT distsync.apply_all('party', '[{"code":"PL-C","name":"c"}]', 'pl-erp');
SELECT distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', s, 'name', s, 'base_unit', 'EA')) FROM (SELECT 'PL-A' UNION ALL SELECT 'PL-G' || i FROM generate_series(1, 65) i) x(s)), 'pl-erp');
\o
CREATE FUNCTION pg_temp.asked(quantity numeric DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	detail text;
	hint text;
BEGIN
	SELECT p.unit_price INTO answer FROM distsync.price('PL-C', 'PL-A', quantity, options => '{"company":"PL-US"}') p;
	RETURN answer;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' / ', SQLSTATE, SQLERRM, detail, hint);
END
$$;
-- a ladder whose bands each have a price of their own: 1,000 of them
SELECT outcome FROM distsync.apply('agreement', jsonb_build_object('code', 'PL-LIST', 'slot', 'list', 'currency', 'USD', 'tier_mode', 'incremental', 'assignments', '[{"who_kind":"all"}]'::jsonb,
	'rates', (SELECT jsonb_agg(jsonb_build_object('what', 'PL-A', 'min_quantity', i, 'value', 2000 - i)) FROM generate_series(1, 1000) i)), 'pl-erp');
-- n units: one each at 1,999, 1,998 ..., and the part below the lowest tier at the lowest tier's price
SELECT n, pg_temp.asked(n) AS price, round((1999 + (SELECT sum(2000 - i) FROM generate_series(1, n - 1) i))::numeric / n, 4) AS by_hand FROM unnest('{2,255,256,257,258,300,1000}'::integer[]) n;
-- what is read of an item and of a party: as much as may be, and one more
CREATE FUNCTION pg_temp.grow(statement text, n integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement USING n;
	PERFORM distsync_internal.base_touch_prices(ARRAY(SELECT generate_series(0, 256)), ARRAY(SELECT generate_series(1, 256)));
	RETURN pg_temp.asked();
END
$$;
BEGIN;
ALTER TABLE dist.item_target DROP CONSTRAINT item_target_excl;
ALTER TABLE dist.party_ancestor DROP CONSTRAINT party_ancestor_excl;
ALTER TABLE dist.party_member DROP CONSTRAINT party_member_excl;
INSERT INTO dist.party_group (kind, code) VALUES ('region', 'PL-R');
SELECT pg_temp.grow($s$INSERT INTO dist.item_target (item_id, target_id, what_kind, what_key, depth, valid)
	SELECT t.item_id, t.target_id, 'brand', 'PL', 0, tstzrange('2020-01-01'::timestamptz + n * interval '1 hour', '2020-01-01'::timestamptz + (n + 1) * interval '1 hour')
	FROM dist.item i JOIN dist.item_target t ON t.item_id = i.item_id AND t.what_kind = 'item', generate_series(1, $1 - (SELECT count(*) FROM dist.item_target x WHERE x.item_id = i.item_id)) n WHERE i.sku = 'PL-A'$s$, m) FROM unnest('{4095,4096}'::integer[]) m;
DELETE FROM dist.item_target WHERE what_key = 'PL';
SELECT pg_temp.grow($s$INSERT INTO dist.item_unit (item_id, unit, numerator) SELECT i.item_id, 'L' || n, 2 FROM dist.item i, generate_series((SELECT count(*) + 1 FROM dist.item_unit u WHERE u.item_id = i.item_id), $1) n WHERE i.sku = 'PL-A'$s$, m) FROM unnest('{1024,1025}'::integer[]) m;
DELETE FROM dist.item_unit u USING dist.item i WHERE i.item_id = u.item_id AND i.sku = 'PL-A';
SELECT pg_temp.grow($s$INSERT INTO dist.party_ancestor (party_id, ancestor_id, depth, valid) SELECT p.party_id, -n, 1, tstzrange('2020-01-01'::timestamptz, '2020-01-02') FROM dist.party p, generate_series((SELECT count(*) FROM dist.party_ancestor a WHERE a.party_id = p.party_id), $1) n WHERE p.code = 'PL-C'$s$, m) FROM unnest('{4096,4097}'::integer[]) m;
DELETE FROM dist.party_ancestor a WHERE a.ancestor_id < 0;
SELECT pg_temp.grow($s$INSERT INTO dist.party_member (party_id, group_id, valid) SELECT p.party_id, g.group_id, tstzrange('2020-01-01'::timestamptz, '2020-01-02') FROM dist.party p, dist.party_group g, generate_series((SELECT count(*) + 1 FROM dist.party_member m WHERE m.party_id = p.party_id), $1) n WHERE p.code = 'PL-C' AND g.code = 'PL-R'$s$, m) FROM unnest('{65536,65537}'::integer[]) m;
ROLLBACK;
CREATE FUNCTION pg_temp.load(first integer, last integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value, min_quantity)
	SELECT v.version_id, p.party_id, t.target_id, n::text, 'net', 1, n FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id), dist.party p, dist.item i JOIN dist.item_target t USING (item_id), generate_series(first, last) n
	WHERE a.code = 'PL-MANY' AND p.code = 'PL-C' AND i.sku = 'PL-A' AND t.what_kind = 'item' $$;
SELECT outcome, sqlstate, field, message, hint FROM distsync.apply('item', jsonb_build_object('sku', 'PL-A', 'units', (SELECT jsonb_agg(jsonb_build_object('unit', 'L' || i, 'numerator', 2)) FROM generate_series(1, 1025) i)), 'pl-erp',
	options => '{"on_error":"collect"}');
-- rates for one buyer and target: refused at the door, again at publication, and by a price that meets what came in past both
SELECT outcome, sqlstate, field, message, hint FROM distsync.apply('agreement', jsonb_build_object('code', 'PL-MANY', 'slot', 'contract', 'currency', 'USD',
	'rates', (SELECT jsonb_agg(jsonb_build_object('customer', 'PL-C', 'what', 'PL-A', 'min_quantity', i, 'value', 1)) FROM generate_series(1, 100001) i)), 'pl-erp', options => '{"on_error":"collect"}');
BEGIN;
SELECT outcome FROM distsync.apply('agreement', '{"code":"PL-MANY","slot":"contract","currency":"USD","publish":false,"rates":[]}', 'pl-erp');
SAVEPOINT rates;
SELECT pg_temp.load(1, 100001);
SELECT version_no FROM distsync.publish('PL-MANY');
ROLLBACK TO rates;
SELECT pg_temp.load(1, 100000);
SELECT version_no FROM distsync.publish('PL-MANY');
ALTER TABLE dist.customer_rate DISABLE TRIGGER customer_rate_guard_insert_trg;
SELECT pg_temp.load(100001, 100001);
SELECT pg_temp.asked();
ROLLBACK;
-- what a message shows of a long text ends between two characters; an id that no item can have is no item
CREATE FUNCTION pg_temp.refused(lines jsonb, options jsonb) RETURNS TABLE (state text, message text, detail text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM distsync.prices('PL-C', lines, options => options);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN QUERY SELECT SQLSTATE, convert_from(convert_to(SQLERRM, 'UTF8'), 'UTF8'), refused.detail;
END
$$;
SELECT r.* FROM (VALUES (1, jsonb_build_object('unit', 'a' || repeat('ä', 60)), '{}'::jsonb), (2, jsonb_build_object('quantity', 'a' || repeat('ä', 60)), '{}'), (3, '{}', jsonb_build_object('currency', 'a' || repeat('ä', 60))),
	(4, '{"item_id": 99999999999999999999}', '{}'), (5, '{"item_id": 1.5}', '{}'), (6, '{"item_id": -1}', '{}')) q(n, line, options), pg_temp.refused(jsonb_build_array('{"item": "PL-A"}' || q.line), '{"company":"PL-US"}' || q.options) r ORDER BY q.n;
-- every free good is told: five, and then more than rates can take part in one price
CREATE FUNCTION pg_temp.give(first integer, last integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM distsync.apply_all('agreement', (SELECT jsonb_agg(jsonb_build_object('code', 'PL-F' || i, 'slot', 'promotion', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb,
		'rates', jsonb_build_array(jsonb_build_object('what', 'PL-A', 'calc', 'buy_get', 'value', 10, 'value2', i, 'free_item', 'PL-G' || i)))) FROM generate_series(first, last) i), 'pl-erp') $$;
SELECT pg_temp.give(1, 5);
SELECT f FROM jsonb_array_elements((distsync.explain_price('PL-C', 'PL-A', 20, options => '{"company":"PL-US"}')) #> '{detail,free_goods}') f ORDER BY f->>'item';
SELECT pg_temp.give(6, 63);
SELECT count(*), sum((f->>'quantity')::numeric) FROM jsonb_array_elements((distsync.explain_price('PL-C', 'PL-A', 10, options => '{"company":"PL-US"}')) #> '{detail,free_goods}') f;
-- what is told is jsonb byte for byte as the server would write it, long arrays (offsets) and escaped texts too
SELECT name, record_image_eq(ROW(x), ROW(x::text::jsonb)) AS same_bytes FROM (VALUES ('explained', distsync.explain_price('PL-C', 'PL-A', 10, options => '{"company":"PL-US"}')),
	('without', distsync.explain_price('PL-C', 'PL-G1', 1, options => '{"company":"PL-US"}')), ('price', (SELECT p.detail FROM distsync.price('PL-C', 'PL-A', 10, options => '{"company":"PL-US"}') p))) v(name, x);
SELECT pg_temp.give(64, 64);
SELECT pg_temp.asked(10);
-- a text that reads like a name of the cache's own is a text: here the family of one item is what the units of the next are kept by
SELECT count(*) AS sent FROM distsync.apply_all('item', '[{"sku":"PL-U1","base_unit":"EA","family":"\u0001L1\u000112\u00011\u0001-1\u00010"},{"sku":"PL-U2","base_unit":"EA","units":[{"unit":"L1","numerator":"12"}]}]', 'pl-erp') WHERE outcome = 'applied';
\c -
SET client_min_messages = warning;
SELECT outcome, item, unit, code FROM distsync.prices('PL-C', '[{"item":"PL-U1"},{"item":"PL-U2","unit":"L1"}]', options => '{"company":"PL-US"}');
