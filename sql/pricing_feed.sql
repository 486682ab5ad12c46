-- What pricing tells channels: events that name buyers × items, and price_changes().
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('pf-erp', 'erp');
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"},{"currency":"QFA"},{"currency":"QFB"}]', 'pf-erp');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'pf-erp');
SELECT distsync.apply('company', '{"code":"PF-US","name":"us","currency":"USD"}', 'pf-erp');
SELECT distsync.apply_all('category', '[{"code":"PF-K"},{"code":"PF-L","parent":"PF-K"}]', 'pf-erp');
SELECT distsync.apply_all('party', '[{"code":"PF-P","name":"p"},{"code":"PF-C","name":"c","parent":"PF-P"},{"code":"PF-D","name":"d"},{"code":"PF-S","name":"s","parent":"PF-C","kind":"ship_to"}]', 'pf-erp');
SELECT distsync.apply_all('item', '[{"sku":"PF-A","base_unit":"EA","category":"PF-L"},{"sku":"PF-B","base_unit":"EA"},{"sku":"PF-V","base_unit":"EA","variant_of":"PF-B","brand":"PF-BRAND"}]', 'pf-erp');
SELECT distsync.apply('channel', '{"code":"PF-WEB"}', 'pf-erp');
CREATE FUNCTION pg_temp.route() RETURNS void LANGUAGE plpgsql AS $$ BEGIN WHILE distsync_internal.outbox_route(100000) > 0 LOOP NULL; END LOOP; END $$;
SELECT pg_temp.route();
\o
CREATE TEMP TABLE mark AS SELECT stamped_at AS stamp FROM dist.epoch WHERE domain = 'clock';
-- what has come since the last look, without instants: writes and, in the order of time, what starts and ends
CREATE FUNCTION pg_temp.told() RETURNS TABLE (kind text, cause text, agreement text, version integer, who text, what text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT c.kind, c.cause, c.agreement, c.version, c.who_kind || ':' || c.who, c.what_kind || ':' || c.what FROM distsync.price_changes((SELECT stamp FROM mark)) c;
	UPDATE mark SET stamp = e.stamped_at FROM dist.epoch e WHERE e.domain = 'clock';
END
$$;
-- an agreement: those it is assigned to × the items of its shared rates, buyers of own rates × theirs, and who starts from it
\o /dev/null
SELECT distsync.apply_all('agreement', '[
	{"code":"PF-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"buying_group","who":"PF-G"},{"who_kind":"channel","who":"PF-WEB"}],"rates":[{"what":"PF-A","value":"100"},{"what_kind":"brand","what":"PF-BRAND","value":"7"},{"customer":"PF-D","what":"PF-B","value":"3"}]},
	{"code":"PF-KON","slot":"contract","currency":"USD","rates":[{"customer":"PF-P","what_kind":"category","what":"PF-K","calc":"percent_off","value":"10","base":"PF-LIST"}]}]', 'pf-erp');
\o
SELECT * FROM pg_temp.told();
-- a new version of the base moves what starts from it; a withdrawn agreement is told to those who had it
\o /dev/null
SELECT distsync.apply('agreement', '{"code":"PF-LIST","rates":[{"what":"PF-A","value":"110"}]}', 'pf-erp');
\o
SELECT * FROM pg_temp.told();
SELECT distsync.withdraw('PF-KON');
SELECT * FROM pg_temp.told();
-- who is given an agreement and who loses it; a rank that changes is a change too
SELECT outcome FROM distsync.apply('agreement', '{"code":"PF-LIST","assignments":[{"who_kind":"channel","who":"PF-WEB","rank":7},{"who_kind":"parent","who":"PF-P"}]}', 'pf-erp');
SELECT * FROM pg_temp.told();
-- parties: a group that no agreement names is nothing; one that is named, a parent, a class
SELECT count(outcome) FROM distsync.apply('agreement', '{"code":"PF-LIST","assignments":[{"who_kind":"region","who":"PF-R"}]}', 'pf-erp');
SELECT count(*) FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('party', '{"code":"PF-C","groups":[{"kind":"buying_group","code":"PF-G2"}]}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('party', '{"code":"PF-C","groups":[{"kind":"region","code":"PF-R"}]}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('party', '{"code":"PF-C","parent":null,"price_class":"PF-X"}', 'pf-erp');
SELECT DISTINCT * FROM pg_temp.told() ORDER BY 1, 2, 5;
-- items: what means them, their units and weight; a category takes its items along
SELECT count(outcome) FROM distsync.apply('item', '{"sku":"PF-B","weight":2,"units":[{"unit":"BX","numerator":6}]}', 'pf-erp');
SELECT DISTINCT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('category', '{"code":"PF-L","parent":null}', 'pf-erp');
SELECT DISTINCT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('item', '{"sku":"PF-B","name":"nothing of it"}', 'pf-erp');
SELECT * FROM pg_temp.told();
-- money: a rate between currencies that no agreement converts is nothing, and one that does is told with what it is for
SELECT count(outcome) FROM distsync.apply('exchange_rate', '{"from_currency":"QFA","to_currency":"QFB","rate":2,"valid_from":"2020-01-01"}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('agreement', '{"code":"PF-FX","slot":"book","currency":"QFB","fx_allowed":true,"assignments":[{"who_kind":"customer","who":"PF-D"}],"rates":[{"what":"PF-V","value":"1"}]}', 'pf-erp');
SELECT count(*) FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('exchange_rate', '{"from_currency":"QFA","to_currency":"QFB","rate":3,"valid_from":"2020-01-01"}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('item_cost', '{"company":"PF-US","sku":"PF-A","cost":5,"currency":"USD","valid_from":"2020-01-01"}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('item_cost', '{"company":"PF-US","sku":"PF-A","kind":"standard","cost":5,"currency":"USD","valid_from":"2020-01-01"}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT count(outcome) FROM distsync.apply('price_lock', '{"customer":"PF-D","document_type":"quote","document_key":"PF-Q","item":"PF-A","unit_price":1,"currency":"USD","reason":"r","approved_by":"a"}', 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT distsync.publish_policy('{"shipped":"best_price"}') > 1 AS policy;
SELECT * FROM pg_temp.told();
SELECT distsync.publish_policy('{"shipped":"specificity_first"}') > 2 AS policy;
SELECT count(*) FROM pg_temp.told();
-- the events say the same, once for each change
\o /dev/null
SELECT pg_temp.route();
\o
SELECT event_type, entity, body->'data'->>'cause' AS cause, body->'data'->>'agreement' AS agreement, body->'data'->'changed' AS changed, body->'data'->'truncated' AS truncated, body->'data'->'scope' AS scope
FROM distsync.events_since(NULL, '{"event_type":"price.changed","limit":10000}') e
WHERE body->'data'->>'agreement' IN ('PF-LIST', 'PF-KON') AND body->'data'->>'cause' = 'version' ORDER BY position;
SELECT count(*) > 0 AND count(*) = (SELECT count(*) FROM dist.price_change c WHERE distsync_internal.pricing_change_scope(c.change_id) <> '[]' AND c.at > (SELECT min(at) FROM dist.price_change x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PF-LIST')) AS each_change_once
FROM distsync.events_since(NULL, '{"event_type":"price.changed","limit":10000}') e WHERE (body->'data'->>'at')::timestamptz > (SELECT min(at) FROM dist.price_change x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PF-LIST');
-- for one buyer, one item
SELECT DISTINCT cause, agreement, who_kind, who, what_kind, what FROM distsync.price_changes((SELECT min(at) - interval '1 microsecond' FROM dist.price_change x JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PF-LIST'), '{"customer":"PF-D","item":"PF-V"}') ORDER BY 1, 2, 3, 4, 5, 6;
-- lists that would be too long are "all"; long lists of single things are several changes
\o /dev/null
SELECT count(*) FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'PF-N' || lpad(n::text, 4, '0'), 'base_unit', 'EA')) FROM generate_series(1, 1001) n), 'pf-erp');
\o
SELECT count(*), min(what), max(what) FROM pg_temp.told();
SELECT cause, count(*), max(jsonb_array_length(items)) AS longest FROM dist.price_change WHERE items @> '[{"what": "PF-N0001"}]' OR items @> '[{"what": "PF-N1001"}]' GROUP BY 1;
SELECT outcome FROM distsync.apply('agreement', jsonb_build_object('code', 'PF-LONG', 'slot', 'book', 'currency', 'USD', 'assignments', '[{"who_kind":"customer","who":"PF-D"}]'::jsonb,
	'rates', (SELECT jsonb_agg(jsonb_build_object('what', 'PF-N' || lpad(n::text, 4, '0'), 'value', n)) FROM generate_series(1, 1001) n)), 'pf-erp');
SELECT * FROM pg_temp.told();
SELECT body->'scope' AS scope, body->'truncated' AS truncated FROM distsync_internal.pricing_render(ARRAY(SELECT c.change_id::text FROM dist.price_change c JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PF-LONG' AND c.cause = 'version'));
-- with time alone: told by the clerk once, and by price_changes() to whoever asks from before
\o /dev/null
SELECT distsync_internal.pricing_boundaries(100000);
SELECT pg_temp.route();
SELECT to_jsonb(clock_timestamp() + interval '3 s') #>> '{}' AS soon, clock_timestamp() AS began \gset
SELECT distsync.apply_all('agreement', jsonb_build_array(
	jsonb_build_object('code', 'PF-SOON', 'slot', 'book', 'currency', 'USD', 'valid_from', :'soon', 'assignments', '[{"who_kind":"customer","who":"PF-D"}]'::jsonb, 'rates', '[{"what":"PF-A","value":"1"}]'::jsonb),
	jsonb_build_object('code', 'PF-RATE', 'slot', 'book', 'currency', 'USD', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', jsonb_build_array('{"what":"PF-A","value":"2"}'::jsonb, jsonb_build_object('what', 'PF-B', 'value', 1, 'valid_to', :'soon'))),
	jsonb_build_object('code', 'PF-GONE', 'slot', 'book', 'currency', 'USD', 'valid_from', :'soon', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'rates', '[{"what":"PF-B","value":"1"}]'::jsonb),
	jsonb_build_object('code', 'PF-LIST', 'assignments', jsonb_build_array('{"who_kind":"region","who":"PF-R"}'::jsonb, jsonb_build_object('who_kind', 'customer', 'who', 'PF-D', 'valid_from', :'soon')))), 'pf-erp');
SELECT distsync.withdraw('PF-GONE');
SELECT distsync.apply('item_cost', jsonb_build_object('company', 'PF-US', 'sku', 'PF-V', 'cost', 5, 'currency', 'USD', 'valid_from', :'soon'), 'pf-erp');
SELECT distsync.apply('exchange_rate', jsonb_build_object('from_currency', 'QFA', 'to_currency', 'QFB', 'rate', 4, 'valid_from', :'soon'), 'pf-erp');
INSERT INTO dist.party_member (party_id, group_id, valid) SELECT p.party_id, g.group_id, tstzrange(:'soon', NULL) FROM dist.party p, dist.party_group g WHERE p.code = 'PF-D' AND g.code = 'PF-R';
SELECT stamped_at AS written FROM dist.epoch WHERE domain = 'clock' \gset
SELECT pg_sleep(greatest(0, extract(epoch FROM :'soon'::timestamptz - clock_timestamp())) + 0.01);
\o
SELECT DISTINCT c.kind, c.cause, c.agreement, c.version, c.who_kind || ':' || c.who AS who, c.what_kind || ':' || c.what AS what
FROM distsync.price_changes(:'written', jsonb_build_object('as_of', :'began'::timestamptz)) c WHERE c.kind = 'boundary' ORDER BY 2, 3, 5, 6;
SELECT distsync_internal.pricing_boundaries(100000) AS told, distsync_internal.pricing_boundaries(100000) AS again;
\o /dev/null
SELECT pg_temp.route();
\o
SELECT entity, entity_key, (body->'data') - 'at' AS data FROM distsync.events_since(NULL, '{"event_type":"price.boundary","limit":10000}') e WHERE (body->'data'->>'at')::timestamptz = :'soon' ORDER BY entity COLLATE "C", entity_key COLLATE "C";
SELECT count(*) FROM distsync.price_changes(:'written') c WHERE c.kind <> 'boundary';
-- what cannot be asked
CREATE FUNCTION pg_temp.refused(since timestamptz, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	field text;
BEGIN
	PERFORM FROM distsync.price_changes(since, options);
	RETURN 'answered';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS field = COLUMN_NAME;
	RETURN format('%s %s: %s', SQLSTATE, field, SQLERRM);
END
$$;
SELECT pg_temp.refused(NULL, '{}');
SELECT pg_temp.refused('2020-01-01', '{}');
SELECT pg_temp.refused(now(), '{"as_of":"2020-01-01"}') LIKE 'SD083 since: %' AS too_long_ago;
SELECT o, pg_temp.refused(now(), o) FROM unnest(ARRAY['{"after":"p1"}', '{"after":"p999999999999.1"}', '{"after":"p0.1"}', '{"limit":0}', '{"customer":"PF-NOBODY"}', '{"item":"PF-NOTHING"}', '{"as_of":"soon"}', '{"who":1}']::jsonb[]) o;
-- what is older than kept goes, the last change stays
\o /dev/null
UPDATE dist.price_change SET at = at - interval '40 days';
UPDATE dist.price_boundary SET at = at - interval '40 days' WHERE fired_at IS NOT NULL;
SELECT distsync_internal.pricing_feed_retain(100000);
\o
SELECT count(*), (SELECT count(*) FROM dist.price_boundary WHERE fired_at IS NOT NULL) AS told FROM dist.price_change;
SELECT outcome FROM distsync.apply_all('agreement', '[{"code":"PF-LIST","status":"inactive"},{"code":"PF-RATE","status":"inactive"},{"code":"PF-SOON","status":"inactive"},{"code":"PF-FX","status":"inactive"},{"code":"PF-LONG","status":"inactive"}]', 'pf-erp');
