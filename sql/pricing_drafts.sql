-- What-if: drafts count as if they had been published now; what publish() would say of a draft, the question says too.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('wi-erp', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2}]', 'wi-erp');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"}]', 'wi-erp');
SELECT outcome FROM distsync.apply('company', '{"code":"WI-US","name":"What if Inc","currency":"USD"}', 'wi-erp');
SELECT count(*) FROM distsync.apply_all('party', '[{"code":"WI-C","name":"C","roles":["sold_to"]},{"code":"WI-D","name":"D","roles":["sold_to"]}]', 'wi-erp');
SELECT count(*) FROM distsync.apply_all('item', '[{"sku":"WI-A","name":"A","base_unit":"EA"},{"sku":"WI-B","name":"B","base_unit":"EA"}]', 'wi-erp');
SELECT count(*) FROM distsync.apply_all('agreement', '[
	{"code":"WI-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"WI-A","value":"100"},{"what":"WI-B","value":"50"}]},
	{"code":"WI-K","slot":"contract","currency":"USD","rates":[{"customer":"WI-C","what":"WI-A","calc":"percent_off","value":"10"}]}]', 'wi-erp');
CREATE FUNCTION pg_temp.ask(customer text, options jsonb, at timestamptz DEFAULT '2026-01-01') RETURNS TABLE (item text, unit_price numeric, agreement text, code text, valid_until timestamptz) LANGUAGE sql AS
$$ SELECT p.item, p.unit_price, p.agreement, p.code, p.valid_until FROM distsync.prices(customer, '[{"item":"WI-A"},{"item":"WI-B"}]', at, '{"company":"WI-US"}' || options) p ORDER BY p.ordinal $$;
-- a draft changes nothing, and with it everything is as if it had been published: also what starts from its price, and when that ends
SELECT detail FROM distsync.apply('agreement', '{"code":"WI-LIST","publish":false,"valid_to":"2026-06-30","rates":[{"what":"WI-A","value":"200"}]}', 'wi-erp');
SELECT * FROM pg_temp.ask('WI-C', '{}');
SELECT * FROM pg_temp.ask('WI-C', '{"drafts":["WI-LIST"]}');
SELECT * FROM pg_temp.ask('WI-C', '{"drafts":["WI-LIST"]}', '2026-07-01');
SELECT s->>'agreement' AS agreement, s->>'version' AS version, s->>'after' AS after
FROM jsonb_array_elements(distsync.explain_price('WI-C', 'WI-A', at => '2026-07-01', options => '{"company":"WI-US","drafts":["WI-LIST"]}') #> '{detail,steps}') s;
-- nothing of it stays: neither of the draft, which still changes, nor in what is asked without it
UPDATE dist.book_rate r SET value = 300 FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'WI-LIST' AND v.version_no = 2 AND r.version_id = v.version_id;
SELECT unit_price FROM distsync.price('WI-D', 'WI-A', at => '2026-01-01', options => '{"company":"WI-US","drafts":["WI-LIST"]}');
SELECT unit_price FROM distsync.price('WI-D', 'WI-A', at => '2026-01-01', options => '{"company":"WI-US"}');
-- several drafts together, one named by its version; an agreement that is new, for a group of its own
SELECT count(*) FROM distsync.apply_all('agreement', '[
	{"code":"WI-K","publish":false,"rates":[{"customer":"WI-D","what":"WI-B","value":"7"},{"customer":"WI-C","what":"WI-B","value":"8"}]},
	{"code":"WI-NEW","slot":"promotion","currency":"USD","publish":false,"assignments":[{"who_kind":"customer","who":"WI-D"}],"rates":[{"what":"WI-B","value":"6"}]}]', 'wi-erp');
SELECT * FROM pg_temp.ask('WI-D', '{"drafts":["WI-LIST", {"agreement":"WI-K","version":2}, "WI-NEW"]}');
SELECT * FROM pg_temp.ask('WI-C', '{"drafts":["WI-K"]}');
SELECT * FROM pg_temp.ask('WI-C', '{"drafts":[]}');
-- the same through SQL, where tables cannot be read directly
SET distsync.price_through_sql = on;
SELECT * FROM pg_temp.ask('WI-D', '{"drafts":["WI-LIST", "WI-K", "WI-NEW"]}');
RESET distsync.price_through_sql;
-- the preview of an order
SELECT l->>'unit_price' AS unit_price, l->>'agreement' AS agreement FROM distsync.preview_order('{"company":"WI-US","customer":"WI-D","lines":[{"item":"WI-B","quantity":1}]}', '{"drafts":["WI-NEW"]}') p, jsonb_array_elements(p.lines) l;
SELECT l->>'unit_price' AS unit_price, l->>'agreement' AS agreement FROM distsync.preview_order('{"company":"WI-US","customer":"WI-D","lines":[{"item":"WI-B","quantity":1}]}') p, jsonb_array_elements(p.lines) l;
-- what cannot be published cannot be tried either
CREATE FUNCTION pg_temp.try(options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m text; d text;
BEGIN
	PERFORM pg_temp.ask('WI-C', options);
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || m || ' ' || d;
END $$;
SELECT pg_temp.try('{"drafts":"WI-LIST"}');
SELECT pg_temp.try('{"drafts":[3]}');
SELECT pg_temp.try('{"drafts":[{"agreement":"WI-K","number":2}]}');
SELECT pg_temp.try('{"drafts":["WI-LIST"],"known_at":"2026-01-01T00:00:00Z"}');
SELECT pg_temp.try(jsonb_build_object('drafts', (SELECT jsonb_agg('WI-LIST'::text) FROM generate_series(1, 101))));
SELECT pg_temp.try('{"drafts":["WI-NOBODY"]}');
SELECT pg_temp.try('{"drafts":[{"agreement":"WI-K","version":1}]}');
SELECT pg_temp.try('{"drafts":[{"agreement":"WI-K","version":9}]}');
SELECT count(*) FROM distsync.apply_all('agreement', '[{"code":"WI-GONE","slot":"book","currency":"USD","publish":false,"rates":[{"what":"WI-A","value":"1"}]},{"code":"WI-HEAD","slot":"book","currency":"USD"}]', 'wi-erp');
SELECT count(*) FROM distsync.apply('agreement', '{"code":"WI-GONE","status":"inactive"}', 'wi-erp');
SELECT pg_temp.try('{"drafts":["WI-GONE"]}');
SELECT pg_temp.try('{"drafts":["WI-LIST","WI-HEAD"]}');
-- rates that were loaded past the door: as publish() says it
CREATE FUNCTION pg_temp.same(code text) RETURNS TABLE (tried text, published text) LANGUAGE plpgsql AS $$
BEGIN
	tried := pg_temp.try(jsonb_build_object('drafts', jsonb_build_array(code)));
	BEGIN
		PERFORM distsync.publish(code, '{"supersede":true}');
		published := 'no error';
	EXCEPTION WHEN OTHERS THEN
		published := SQLSTATE || ' ' || SQLERRM;
	END;
	RETURN NEXT;
END $$;
SELECT count(*) FROM distsync.apply_all('agreement', '[{"code":"WI-BAD","slot":"book","currency":"USD","publish":false,"assignments":[{"who_kind":"all"}],"rates":[{"what":"WI-A","value":"1"}]},
	{"code":"WI-BASE","slot":"book","currency":"USD","publish":false,"assignments":[{"who_kind":"all"}],"rates":[{"what":"WI-A","calc":"reference","base":"WI-BAD"}]}]', 'wi-erp');
SELECT v.version_id AS bad FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'WI-BAD' \gset
BEGIN;
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value) SELECT r.version_id, r.target_id, 'twin', 'net', 2 FROM dist.book_rate r WHERE r.version_id = :bad;
SELECT * FROM pg_temp.same('WI-BAD');
ROLLBACK;
BEGIN;
INSERT INTO dist.book_rate (version_id, target_id, line_key, calc, value) VALUES (:bad, 1000000, 'gone', 'net', 2);
SELECT * FROM pg_temp.same('WI-BAD');
ROLLBACK;
BEGIN;
UPDATE dist.book_rate r SET calc = 'margin', value = 100 WHERE r.version_id = :bad;
SELECT * FROM pg_temp.same('WI-BAD');
ROLLBACK;
BEGIN;
UPDATE dist.book_rate r SET calc = 'reference', base_agreement_id = (SELECT a.agreement_id FROM dist.agreement a WHERE a.code = 'WI-BASE') WHERE r.version_id = :bad;
SELECT tried FROM pg_temp.same('WI-BAD');
ROLLBACK;
-- publish() does what was promised
SELECT count(*) FROM (SELECT distsync.publish(c, '{"supersede":true}') FROM unnest('{WI-LIST,WI-K,WI-NEW}'::text[]) c) p;
SELECT * FROM pg_temp.ask('WI-D', '{}');
SELECT * FROM distsync_internal.pricing_verify();
