-- What keeps published prices as they are past the verbs: TRUNCATE is refused, a version that is ended by hand is told to the caches; and drafts that nobody wants are dropped.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('pg-erp', 'erp');
\o /dev/null
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'pg-erp');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'pg-erp');
SELECT distsync.apply('company', '{"code":"PG-US","name":"us","currency":"USD"}', 'pg-erp');
SELECT distsync.apply_all('party', '[{"code":"PG-C","name":"c"},{"code":"PG-D","name":"d"}]', 'pg-erp');
SELECT distsync.apply_all('item', '[{"sku":"PG-A","name":"a","base_unit":"EA"},{"sku":"PG-B","name":"b","base_unit":"EA"}]', 'pg-erp');
SELECT distsync.apply_all('agreement', '[
	{"code":"PG-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PG-A","value":10}]},
	{"code":"PG-K","slot":"contract","currency":"USD","rates":[{"customer":"PG-C","what":"PG-A","value":8}]}]', 'pg-erp');
\o
CREATE FUNCTION pg_temp.moved(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	clock bigint := (SELECT n FROM dist.epoch WHERE domain = 'clock');
BEGIN
	EXECUTE statement;
	RETURN ARRAY(SELECT COALESCE(p.code, CASE WHEN e.domain = 'price' AND e.bucket = 0 THEN 'shared' ELSE e.domain END)
		FROM dist.epoch e LEFT JOIN dist.party p ON e.domain = 'price' AND p.code LIKE 'PG-%' AND e.bucket = 1 + p.party_id % 256 WHERE e.n > clock ORDER BY 1);
END
$$;
-- TRUNCATE has no rows to look at: it is refused where anything published has rates there
TRUNCATE dist.customer_rate;
TRUNCATE dist.book_rate, dist.customer_rate;
TRUNCATE dist.rate_part;
TRUNCATE dist.agreement_version CASCADE;
SELECT unit_price FROM distsync.price('PG-C', 'PG-A', options => '{"company":"PG-US"}');
-- an empty table may be emptied
BEGIN;
ALTER TABLE dist.book_rate DISABLE TRIGGER ALL;
DELETE FROM dist.book_rate;
ALTER TABLE dist.book_rate ENABLE TRIGGER ALL;
TRUNCATE dist.book_rate;
ROLLBACK;
-- a version that is ended, or held again, by hand: this backend has its price in memory, and must not answer from there
SELECT pg_temp.moved($s$UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), clock_timestamp()), status = 'withdrawn' FROM dist.agreement a WHERE a.agreement_id = v.agreement_id AND a.code = 'PG-K'$s$);
SELECT unit_price, agreement FROM distsync.price('PG-C', 'PG-A', options => '{"company":"PG-US"}');
SELECT pg_temp.moved($s$UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), NULL), status = 'published' FROM dist.agreement a WHERE a.agreement_id = v.agreement_id AND a.code = 'PG-K'$s$);
SELECT unit_price, agreement FROM distsync.price('PG-C', 'PG-A', options => '{"company":"PG-US"}');
SELECT pg_temp.moved($s$UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), clock_timestamp()) FROM dist.agreement a WHERE a.agreement_id = v.agreement_id AND a.code = 'PG-LIST'$s$);
SELECT outcome, code FROM distsync.price('PG-D', 'PG-A', options => '{"company":"PG-US"}');
SELECT pg_temp.moved($s$UPDATE dist.agreement_version v SET known = tstzrange(lower(v.known), NULL) FROM dist.agreement a WHERE a.agreement_id = v.agreement_id AND a.code = 'PG-LIST'$s$);
SELECT unit_price FROM distsync.price('PG-D', 'PG-A', options => '{"company":"PG-US"}');
-- what changes nothing that prices read moves nothing; the verbs move each row once
SELECT pg_temp.moved($s$UPDATE dist.agreement_version v SET approved_by = 'x' FROM dist.agreement a WHERE a.agreement_id = v.agreement_id AND a.code = 'PG-K'$s$);
SELECT e.n AS n FROM dist.epoch e WHERE e.domain = 'clock' \gset
SELECT outcome FROM distsync.apply_all('agreement', '[{"code":"PG-K","rates":[{"customer":"PG-C","what":"PG-A","value":7}]},{"code":"PG-LIST","rates":[{"what":"PG-A","value":11}]}]', 'pg-erp');
SELECT e.n - :n AS moves FROM dist.epoch e WHERE e.domain = 'clock';
-- a filter that somebody damaged: slower, and neither a crash nor another price
BEGIN;
CREATE FUNCTION pg_temp.damaged(f bytea) RETURNS numeric[] LANGUAGE plpgsql AS $$
BEGIN
	UPDATE dist.rate_part SET filter = f;
	PERFORM distsync_internal.base_touch_prices(ARRAY(SELECT generate_series(0, 256)), '{}');
	RETURN ARRAY(SELECT p.unit_price FROM distsync.prices('PG-C', '[{"item":"PG-A"},{"item":"PG-B"}]', options => '{"company":"PG-US"}') p);
END
$$;
SELECT f, pg_temp.damaged(f) FROM unnest('{"","\\x01","\\x02","\\x0100","\\x01280000000000000000ffffffff00","\\x01ff0000000000000000ffffffff0000000000000000","\\x010000000000000000000100000000000000000000ffffffffffffffffff","\\x01010000000000000000000000700000000000000000000000","\\x09ffff"}'::bytea[]) f;
ROLLBACK;
-- a draft that nobody wants: gone with its rates, and it does not count in the search for circles any more
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PG-X","slot":"book","currency":"USD","publish":false,"rates":[{"what":"PG-A","calc":"reference","base":"PG-LIST"},{"customer":"PG-C","what":"PG-B","value":1}]}', 'pg-erp');
SELECT sqlstate, message FROM distsync.apply('agreement', '{"code":"PG-LIST","rates":[{"what":"PG-A","calc":"reference","base":"PG-X"}]}', 'pg-erp', options => '{"on_error":"collect"}');
SELECT distsync.drop_draft('PG-X', '{"reason":"not wanted"}');
SELECT distsync.drop_draft('PG-X');
SELECT distsync.drop_draft('PG-NONE');
SELECT count(*) FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PG-X';
SELECT (SELECT count(*) FROM dist.customer_rate r WHERE NOT EXISTS (SELECT FROM dist.agreement_version v WHERE v.rate_set_id = r.version_id))
	+ (SELECT count(*) FROM dist.book_rate r WHERE NOT EXISTS (SELECT FROM dist.agreement_version v WHERE v.rate_set_id = r.version_id))
	+ (SELECT count(*) FROM dist.rate_base r WHERE NOT EXISTS (SELECT FROM dist.agreement_version v WHERE v.rate_set_id = r.version_id)) AS left;
SELECT verb, entity_key, before, reason FROM sync.audit WHERE verb = 'drop_draft' ORDER BY at, audit_id;
SELECT outcome, detail - 'published_at' AS detail FROM distsync.apply('agreement', '{"code":"PG-X","assignments":[{"who_kind":"all"}],"rates":[{"what":"PG-A","value":3}]}', 'pg-erp');
-- drafts are dropped newest first; rates that another version stands on stay
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PG-X","publish":false,"priority":1,"rates":[{"what":"PG-A","value":4}]}', 'pg-erp');
SELECT outcome, detail - 'published_at' AS detail FROM distsync.apply('agreement', '{"code":"PG-X","publish":true,"priority":2}', 'pg-erp');
SELECT outcome, detail FROM distsync.apply('agreement', '{"code":"PG-X","publish":false,"priority":3}', 'pg-erp');
SELECT distsync.drop_draft('PG-X');
SELECT distsync.drop_draft('PG-X');
SELECT v.version_no AS no, v.status, v.priority, upper_inf(v.known) AS held, (SELECT count(*) FROM dist.book_rate r WHERE r.version_id = v.rate_set_id) AS rates FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PG-X' ORDER BY 1;
SELECT unit_price FROM distsync.price('PG-D', 'PG-A', options => '{"company":"PG-US","without":["list"]}');
SELECT distsync.drop_draft('PG-X');
