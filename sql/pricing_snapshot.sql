-- Snapshots of prices: buckets and root that a channel can compute, what differs, and whose prices are in it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
-- in a world that has nobody and nothing else, for as long as the transaction lasts
BEGIN;
UPDATE dist.item SET status = 'inactive' WHERE status = 'active';
UPDATE dist.party SET status = 'inactive' WHERE status = 'active';
SELECT distsync.add_system('ps-erp', 'erp');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'ps-erp');
SELECT distsync.apply_all('unit', '[{"unit":"EA"}]', 'ps-erp');
SELECT distsync.apply('company', '{"code":"PS-US","name":"us","currency":"USD"}', 'ps-erp');
SELECT distsync.apply_all('channel', '[{"code":"PS-WEB"},{"code":"PS-EDI"}]', 'ps-erp');
SELECT distsync.apply_all('party', '[{"code":"PS-A","name":"a","roles":["sold_to"]},{"code":"PS-B","name":"b","roles":["sold_to"]},{"code":"PS-C","name":"c","roles":["sold_to"],"groups":[{"kind":"buying_group","code":"PS-G"}]},
	{"code":"PS-D","name":"d","roles":["sold_to"],"parent":"PS-C"},{"code":"PS-E","name":"e","roles":["sold_to"],"status":"inactive"},{"code":"PS-V","name":"v","roles":["vendor"]}]', 'ps-erp');
SELECT distsync.apply_all('item', '[{"sku":"PS-1","base_unit":"EA"},{"sku":"PS-2","base_unit":"EA"},{"sku":"PS-3","base_unit":"EA"},{"sku":"PS-4","base_unit":"EA","status":"inactive"}]', 'ps-erp');
SELECT distsync.apply_all('agreement', '[
	{"code":"PS-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"channel","who":"PS-WEB"}],"rates":[{"what":"PS-1","value":"10.50"},{"what":"PS-2","value":"0.12345678","price_per":1},{"what":"PS-4","value":"1"}]},
	{"code":"PS-BOOK","slot":"book","currency":"USD","assignments":[{"who_kind":"buying_group","who":"PS-G"}],"rates":[{"what":"PS-1","value":"9","valid_to":"2040-12-31"}]}]', 'ps-erp');
\o
-- for customers that are named: each its own; only what is active and has a price; the channel is asked for
SELECT snapshot AS first, at = '2030-01-01' AS at, rows, root_sha256, valid_until FROM distsync.snapshot('PS-WEB', '2030-01-01', '{"company":"PS-US","customers":["PS-C","PS-A"]}') \gset
\echo :rows :root_sha256 :valid_until
SELECT bucket, kind, customer, buyer, item, unit, quantity, unit_price, currency, price_per, line FROM distsync.snapshot_rows(:first);
SELECT count(*), sum(rows), count(DISTINCT sha256) FROM distsync.snapshot_buckets(:first);
SELECT bucket, rows, sha256 = encode(sha256(convert_to((SELECT string_agg(line || E'\n', '' ORDER BY line COLLATE "C") FROM distsync.snapshot_rows(:first, ARRAY[b.bucket])), 'UTF8')), 'hex') AS of_lines FROM distsync.snapshot_buckets(:first) b WHERE rows > 0;
SELECT encode(sha256(string_agg(decode(sha256, 'hex'), ''::bytea ORDER BY bucket)), 'hex') = :'root_sha256' AS root FROM distsync.snapshot_buckets(:first);
-- the same again is the same; another channel, or another instant, is not
SELECT root_sha256 = :'root_sha256' AS same, rows FROM distsync.snapshot('PS-WEB', '2030-01-01', '{"company":"PS-US","customers":["PS-A","PS-C","PS-A"]}');
SELECT root_sha256 = :'root_sha256' AS same, rows FROM distsync.snapshot('PS-EDI', '2030-01-01', '{"company":"PS-US","customers":["PS-A","PS-C"]}');
-- what was known then gives the same root for ever
SELECT stamped_at AS before FROM dist.epoch WHERE domain = 'clock' \gset
SELECT outcome FROM distsync.apply('agreement', '{"code":"PS-LIST","rates":[{"what":"PS-1","value":"11"},{"what":"PS-3","value":"3"}]}', 'ps-erp');
SELECT snapshot AS second, root_sha256 = :'root_sha256' AS same FROM distsync.snapshot('PS-WEB', '2030-01-01', '{"company":"PS-US","customers":["PS-A","PS-C"]}') \gset
\echo :same
SELECT s.root_sha256 = :'root_sha256' AS same, s.known_at = :'before' AS known_at FROM distsync.snapshot('PS-WEB', '2030-01-01', jsonb_build_object('company', 'PS-US', 'customers', '["PS-A","PS-C"]'::jsonb, 'known_at', to_jsonb(:'before'::timestamptz))) s;
-- what differs, between two of ours and from what a channel has
SELECT side, kind, buyer, item, unit_price FROM distsync.diff_snapshot(:second, :'first') ORDER BY buyer, item, side;
SELECT count(*) AS same FROM distsync.diff_snapshot(:second, (SELECT jsonb_agg(sha256 ORDER BY bucket) FROM distsync.snapshot_buckets(:second)));
SELECT side, kind, buyer, item, unit_price FROM distsync.diff_snapshot(:second, (SELECT jsonb_object_agg(bucket, upper(sha256)) FROM distsync.snapshot_buckets(:first))) ORDER BY bucket, line COLLATE "C";
SELECT bucket, side, kind, line FROM distsync.diff_snapshot(:second, jsonb_build_object((SELECT min(bucket) FROM distsync.snapshot_buckets(:second) WHERE rows = 0)::text, repeat('0', 64))) WHERE bucket <> 0 OR kind = 'empty';
-- one sheet for all who have the same prices: the first of them by code; a member and who is below it differ in distance
SELECT snapshot AS third, rows FROM distsync.snapshot('PS-WEB', '2030-01-01', '{"company":"PS-US"}') \gset
SELECT customer, buyer FROM distsync.snapshot_rows(:third) WHERE kind = 'buyer' ORDER BY customer;
SELECT buyer, item, unit_price FROM distsync.snapshot_rows(:third) WHERE kind = 'price' ORDER BY 1, 2;
-- a customer that moves is told with its sheet
SELECT outcome FROM distsync.apply('party', '{"code":"PS-B","groups":[{"kind":"buying_group","code":"PS-G"}]}', 'ps-erp');
SELECT snapshot AS fourth FROM distsync.snapshot('PS-WEB', '2030-01-01', '{"company":"PS-US"}') \gset
SELECT side, kind, customer, buyer, item, unit_price FROM distsync.diff_snapshot(:fourth, :'third') ORDER BY 1, 2, 3, 4, 5;
-- codes that need it are escaped
SELECT outcome FROM distsync.apply('item', jsonb_build_object('sku', E'PS-\\5', 'base_unit', 'EA'), 'ps-erp');
SELECT outcome FROM distsync.apply('agreement', jsonb_build_object('code', 'PS-X', 'slot', 'list', 'currency', 'USD', 'assignments', '[{"who_kind":"customer","who":"PS-A"}]'::jsonb, 'rates', jsonb_build_array(jsonb_build_object('what', E'PS-\\5', 'value', 5))), 'ps-erp');
SELECT snapshot AS fifth FROM distsync.snapshot('PS-EDI', '2030-01-01', '{"company":"PS-US","customers":["PS-A"]}') \gset
SELECT item, line FROM distsync.snapshot_rows(:fifth) WHERE kind = 'price';
-- what is refused
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	field text;
BEGIN
	EXECUTE statement;
	RETURN 'answered';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS field = COLUMN_NAME;
	RETURN format('%s %s: %s', SQLSTATE, field, SQLERRM);
END
$$;
SELECT pg_temp.refused(s) FROM unnest(ARRAY[
	$$SELECT * FROM distsync.snapshot(NULL)$$,
	$$SELECT * FROM distsync.snapshot('PS-NONE')$$,
	$$SELECT * FROM distsync.snapshot('PS-WEB', NULL, '{"customers":["PS-NOBODY"]}')$$,
	$$SELECT * FROM distsync.snapshot('PS-WEB', NULL, '{"customers":"PS-A"}')$$,
	$$SELECT * FROM distsync.snapshot('PS-WEB', NULL, '{"customers":[]}')$$,
	$$SELECT * FROM distsync.snapshot('PS-WEB', NULL, '{"customers":[1]}')$$,
	$$SELECT * FROM distsync.snapshot('PS-WEB', NULL, '{"company":"PS-US","customers":["PS-A","PS-B"],"max_rows":3}')$$,
	$$SELECT * FROM distsync.snapshot('PS-WEB', NULL, '{"ship_to":"PS-A"}')$$,
	$$SELECT * FROM distsync.snapshot_rows(-1)$$,
	$$SELECT * FROM distsync.snapshot_buckets(NULL)$$,
	$$SELECT * FROM distsync.diff_snapshot(-1, '{}')$$]) s;
SELECT b, pg_temp.refused(format('SELECT * FROM distsync.diff_snapshot(%s, %L)', :first, b)) FROM unnest(ARRAY['{"0":"x"}', '{"256":"00"}', '[]', '"x"', 'null', '-1', '{"01":"0000000000000000000000000000000000000000000000000000000000000000"}', '{}']) b;
SELECT pg_temp.refused(format('SELECT * FROM distsync.diff_snapshot(%s, NULL)', :first));
-- old ones go, the last of each channel stays
\o /dev/null
UPDATE dist.price_snapshot SET created_at = created_at - interval '40 days';
SELECT distsync_internal.pricing_snapshot_retain();
\o
SELECT c.code, count(*), max(s.snapshot_id) = max(CASE c.code WHEN 'PS-WEB' THEN :fourth ELSE :fifth END) AS last FROM dist.price_snapshot s JOIN dist.channel c USING (channel_id) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM dist.price_snapshot_bucket b WHERE NOT EXISTS (SELECT FROM dist.price_snapshot s WHERE s.snapshot_id = b.snapshot_id);
ROLLBACK;
