-- The proof of a price: its document, its hash, and what verify_proof() says later of either.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('pz-erp', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"SEK","minor_units":2}]', 'pz-erp');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"},{"unit":"PL"}]', 'pz-erp');
SELECT outcome FROM distsync.apply('company', '{"code":"PZ-US","name":"Proof Inc","currency":"USD"}', 'pz-erp');
SELECT outcome FROM distsync.apply_all('site', '[{"code":"PZ-S1","company":"PZ-US"}]', 'pz-erp');
SELECT outcome FROM distsync.apply_all('party', '[{"code":"PZ-P","name":"Parent"},{"code":"PZ-C","name":"Child","parent":"PZ-P","roles":["sold_to"],"currency":"USD"},{"code":"PZ-T","name":"Ship-to","kind":"ship_to","roles":["ship_to"]}]', 'pz-erp');
SELECT outcome FROM distsync.apply('category', '{"code":"PZ-K","name":"Goods"}', 'pz-erp');
SELECT outcome FROM distsync.apply_all('item', '[{"sku":"PZ-A","base_unit":"EA","category":"PZ-K","weight":"0.5","tax_class":"T1","units":[{"unit":"BX","numerator":12,"sell_multiple":"2"},{"unit":"PL","numerator":480}]},
	{"sku":"PZ-B","base_unit":"EA","weight":"2"},{"sku":"PZ-Z","base_unit":"EA"}]', 'pz-erp');
SELECT outcome FROM distsync.apply_all('exchange_rate', '[{"from_currency":"SEK","to_currency":"USD","rate":"1.25","valid_from":"2020-01-01"}]', 'pz-erp');
SELECT outcome FROM distsync.apply_all('item_cost', '[{"sku":"PZ-A","company":"PZ-US","cost":"40","currency":"USD","unit":"EA","valid_from":"2020-01-01"}]', 'pz-erp');
SELECT outcome FROM distsync.apply_all('agreement', '[
	{"code":"PZ-LIST","slot":"list","currency":"SEK","fx_allowed":true,"assignments":[{"who_kind":"all"}],"rates":[{"what":"PZ-A","value":"80"},{"what":"PZ-B","calc":"per_weight","value":"3"}]},
	{"code":"PZ-K1","slot":"contract","currency":"USD","rates":[{"customer":"PZ-P","what_kind":"category","what":"PZ-K","calc":"percent_off","value":"10","floor_price":"50"},{"customer":"PZ-C","what":"PZ-A","unit":"PL","value":"30000","min_quantity":"1"}]},
	{"code":"PZ-K2","slot":"promotion","currency":"USD","commit_quantity":"1000","cap_behavior":"stop","assignments":[{"who_kind":"all"}],"rates":[{"what":"PZ-A","value":"88.8"}]},
	{"code":"PZ-ADJ","slot":"adjustment","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"PZ-A","calc":"percent_off","value":"-2.5"}]}]', 'pz-erp');

-- a document says everything that decided, in codes, and its hash is that of its text
SELECT distsync.prove_prices('PZ-C', '[{"item":"PZ-A","quantity":"20.00","unit":"BX","site":"PZ-S1"},{"item":"PZ-B","quantity":-3},{"item":"PZ-Z"}]', '2026-03-01T12:00:00Z',
	'{"company":"PZ-US","ship_to":"PZ-T","ship":"2026-03-05T00:00:00+02","context":{"tier":"gold"},"tax_rates":{"T1":"20"}}') AS told \gset
SELECT :'told'::jsonb ->> 'proof' = encode(sha256(convert_to((:'told'::jsonb -> 'document')::text, 'UTF8')), 'hex') AS hash_of_its_text;
SELECT regexp_replace(jsonb_pretty((:'told'::jsonb -> 'document') #- '{request,known_at}' #- '{policy}'), '"sha256": "[0-9a-f]{64}"', '"sha256": "(64 digits)"', 'g') AS document;
SELECT d #>> '{lines,0,steps,0,sha256}' = encode(v.content_sha256, 'hex') AS rates, d #>> '{policy,sha256}' = encode(p.sha256, 'hex') AS policy, d #>> '{request,known_at}' IS NOT NULL AS known
FROM (SELECT :'told'::jsonb -> 'document' AS d) x, dist.agreement a JOIN dist.agreement_version v USING (agreement_id), (SELECT sha256 FROM dist.price_policy ORDER BY policy_version DESC LIMIT 1) p WHERE a.code = 'PZ-LIST';
-- the same question in other words is the same question; the session's zone says nothing
SET timezone = 'Asia/Kolkata';
SELECT p ->> 'proof' = :'told'::jsonb ->> 'proof' AS same
FROM distsync.prove_prices('PZ-C', '[{"item":"PZ-A","quantity":20,"unit":"BX","site":"PZ-S1"},{"item":"PZ-B","quantity":"-3.0","unit":"EA"},{"item":"PZ-Z","quantity":1}]', '2026-03-01T17:30:00+05:30',
	'{"currency":"USD","company":"PZ-US","ship_to":"PZ-T","ship":"2026-03-04T22:00:00Z","requested_ship":"2026-03-01T12:00:00Z","context":{"tier":"gold"},"tax_rates":{"T1":"20"}}') p;
SELECT outcome FROM distsync.apply('channel', '{"code":"PZ-WEB"}', 'pz-erp');
INSERT INTO sync.xref (system, entity, external_id, code) VALUES ('pz-erp', 'channel', 'shop 1', 'PZ-WEB'), ('pz-erp', 'party', 'C 1', 'PZ-C'), ('pz-erp', 'item', 'A 1', 'PZ-A');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PZ-CH","slot":"promotion","currency":"USD","assignments":[{"who_kind":"channel","who":"PZ-WEB"}],"rates":[{"what":"PZ-A","value":"60"}]}', 'pz-erp');
SELECT o.p ->> 'proof' = t.p ->> 'proof' AS same, t.p #>> '{document,lines,0,agreement}' AS agreement
FROM distsync.prove_prices('PZ-C', '[{"item":"PZ-A"}]', '2026-03-01', '{"company":"PZ-US","channel":"PZ-WEB"}') o(p), distsync.prove_prices('C 1', '[{"item":"A 1"}]', '2026-03-01', '{"company":"PZ-US","channel":"shop 1","source":"pz-erp"}') t(p);
SELECT p #> '{document,request,lines}' AS one_site_for_all FROM distsync.prove_prices('PZ-C', '[{"item":"PZ-A"},{"item":"PZ-B","weight":"1.50"}]', options => '{"company":"PZ-US","site":"PZ-S1"}') p;
RESET timezone;
-- one is a bulk of one, and explain_price() proves the same
SELECT e ->> 'proof' = p ->> 'proof' AS same FROM distsync.explain_price('PZ-C', 'PZ-A', 3, 'BX', '2026-03-01', '{"company":"PZ-US"}') e,
	distsync.prove_prices('PZ-C', '[{"item":"PZ-A","quantity":3,"unit":"BX"}]', '2026-03-01', '{"company":"PZ-US"}') p;
SELECT e ->> 'proof' = p ->> 'proof' AS same, e ->> 'code' AS code FROM distsync.explain_price('PZ-C', 'PZ-Z', 1, NULL, '2026-03-01', '{"company":"PZ-US"}') e,
	distsync.prove_prices('PZ-C', '[{"item":"PZ-Z"}]', '2026-03-01', '{"company":"PZ-US"}') p;

-- whatever has a history may change: prices, hierarchy, costs, exchange rates, policy, what the item means
SELECT distsync.prove_prices('PZ-C', '[{"item":"PZ-A","quantity":20,"unit":"BX"}]', '2026-03-01', '{"company":"PZ-US"}') AS box \gset
SELECT distsync.verify_proof('PZ-C', :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') ->> 'outcome' AS now;
SELECT count(*) FROM distsync.apply_all('agreement', '[{"code":"PZ-LIST","rates":[{"what":"PZ-A","value":"70"}]},{"code":"PZ-K1","status":"inactive"},{"code":"PZ-K2","rates":[{"what":"PZ-A","value":"85"}]}]', 'pz-erp');
SELECT count(*) FROM distsync.apply_all('exchange_rate', '[{"from_currency":"SEK","to_currency":"USD","rate":"1.5","valid_from":"2020-01-01"}]', 'pz-erp');
SELECT count(*) FROM distsync.apply_all('item_cost', '[{"sku":"PZ-A","company":"PZ-US","cost":"60","currency":"USD","unit":"EA","valid_from":"2020-01-01"}]', 'pz-erp');
SELECT outcome FROM distsync.apply('party', '{"code":"PZ-C","parent":null}', 'pz-erp');
SELECT outcome FROM distsync.apply('item', '{"sku":"PZ-A","category":null}', 'pz-erp');
SELECT document AS policy FROM dist.price_policy ORDER BY policy_version DESC LIMIT 1 \gset
SELECT distsync.publish_policy('{"shipped":"best_price"}') IS NULL AS failed;
-- and what was not looked at: the weight of an item that is priced by the piece
SELECT outcome FROM distsync.apply('item', '{"sku":"PZ-A","weight":"0.75"}', 'pz-erp');
SELECT v ->> 'outcome' AS outcome, v ->> 'proof_now' = :'box'::jsonb ->> 'proof' AS same_bytes, v -> 'differences' AS differences
FROM distsync.verify_proof('PZ-C', :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') v;
SELECT unit_price FROM distsync.price('PZ-C', 'PZ-A', 20, 'BX', '2026-03-01', '{"company":"PZ-US"}');
SELECT distsync.publish_policy(:'policy'::jsonb) IS NULL AS failed;

-- what has none is named, and not blamed on prices: factor, weight, tax class, family, class, lock
SELECT outcome FROM distsync.apply('item', '{"sku":"PZ-A","units":[{"unit":"BX","numerator":10,"sell_multiple":"2"},{"unit":"PL","numerator":480}]}', 'pz-erp');
SELECT v ->> 'outcome' AS outcome, d ->> 'path' AS path, d -> 'was' AS was, d -> 'now' AS now
FROM distsync.verify_proof('PZ-C', :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') v, jsonb_array_elements(v -> 'differences') d WHERE d ->> 'path' ~ 'inputs';
SELECT outcome FROM distsync.apply('item', '{"sku":"PZ-A","units":[{"unit":"BX","numerator":12,"sell_multiple":"2"},{"unit":"PL","numerator":480}]}', 'pz-erp');
SELECT distsync.verify_proof('PZ-C', :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') ->> 'outcome' AS put_back;
SELECT outcome FROM distsync.apply('item', '{"sku":"PZ-A","units":[{"unit":"PL","numerator":480}]}', 'pz-erp');
SELECT v ->> 'outcome' AS outcome, v -> 'proof_now' AS proof_now, v -> 'differences' AS differences FROM distsync.verify_proof('PZ-C', :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') v;
SELECT outcome FROM distsync.apply('item', '{"sku":"PZ-A","units":[{"unit":"BX","numerator":12},{"unit":"PL","numerator":480}]}', 'pz-erp');

CREATE FUNCTION pg_temp.after(lines jsonb, change text, options jsonb DEFAULT '{}') RETURNS TABLE (outcome text, path text, was jsonb, now jsonb) LANGUAGE plpgsql AS $$
DECLARE
	told jsonb := distsync.prove_prices('PZ-C', lines, '2026-03-01', '{"company":"PZ-US"}' || options);
	v jsonb;
BEGIN
	EXECUTE change;
	v := distsync.verify_proof('PZ-C', told ->> 'proof', told -> 'document');
	RETURN QUERY SELECT v ->> 'outcome', d ->> 'path', d -> 'was', d -> 'now' FROM jsonb_array_elements(v -> 'differences') d WHERE d ->> 'path' ~ 'inputs';
END
$$;
SELECT * FROM pg_temp.after('[{"item":"PZ-B"}]', $$SELECT distsync.apply('item', '{"sku":"PZ-B","weight":"2.5"}', 'pz-erp')$$);
SELECT outcome FROM distsync.apply('agreement', '{"code":"PZ-LIST","rates":[{"what":"PZ-A","value":"70"},{"what":"PZ-B","calc":"per_weight","value":"3"}]}', 'pz-erp');
SELECT * FROM pg_temp.after('[{"item":"PZ-B"}]', $$SELECT distsync.apply('item', '{"sku":"PZ-B","weight":"3"}', 'pz-erp')$$);
SELECT count(*) AS weight_of_the_line_itself FROM pg_temp.after('[{"item":"PZ-B","weight":"7"}]', $$SELECT distsync.apply('item', '{"sku":"PZ-B","weight":"3.5"}', 'pz-erp')$$);
SELECT * FROM pg_temp.after('[{"item":"PZ-A"}]', $$SELECT distsync.apply('party', '{"code":"PZ-C","price_class":"GOLD"}', 'pz-erp')$$);
SELECT count(*) AS used_volume_is_told FROM pg_temp.after('[{"item":"PZ-A"}]', $$INSERT INTO dist.commitment (agreement_id, quantity, amount) SELECT agreement_id, 1000, 88800 FROM dist.agreement WHERE code = 'PZ-K2'$$);
SELECT * FROM pg_temp.after('[{"item":"PZ-A"}]', $$SELECT distsync.apply('price_lock', '{"customer":"PZ-C","document_type":"quote","document_key":"PZ-Q1","item":"PZ-A","unit_price":"66","currency":"USD","valid_from":"2026-01-01","valid_to":"2026-12-31","reason":"promised","approved_by":"ann"}', 'pz-erp')$$, '{"document_key":"PZ-Q1"}');
SELECT * FROM pg_temp.after('[{"item":"PZ-A"}]', $$SELECT distsync.apply('price_lock', '{"customer":"PZ-C","document_type":"quote","document_key":"PZ-Q1","item":"PZ-A","unit_price":"67"}', 'pz-erp')$$, '{"document_key":"PZ-Q1"}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PZ-TAX","slot":"contract","currency":"USD","tax_included":true,"rates":[{"customer":"PZ-C","what":"PZ-A","value":"60"}]}', 'pz-erp');
SELECT * FROM pg_temp.after('[{"item":"PZ-A"}]', $$SELECT distsync.apply('item', '{"sku":"PZ-A","tax_class":"T2"}', 'pz-erp')$$, '{"tax_rates":{"T1":"20","T2":"5"}}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"PZ-FAM","slot":"contract","currency":"USD","tier_basis":"family_order","rates":[{"customer":"PZ-C","what":"PZ-A","value":"55","min_quantity":"5"}]}', 'pz-erp');
SELECT * FROM pg_temp.after('[{"item":"PZ-A","quantity":4},{"item":"PZ-B","quantity":4}]', $$SELECT distsync.apply_all('item', '[{"sku":"PZ-A","family":"F"},{"sku":"PZ-B","family":"F"}]', 'pz-erp')$$, '{"tax_rates":{"T1":"20","T2":"5"}}');

-- a changed document is refused under its proof; under a hash of its own it does not come out
SELECT distsync.prove_prices('PZ-C', '[{"item":"PZ-A"}]', '2026-03-01', '{"company":"PZ-US"}') AS one \gset
SELECT jsonb_set(:'one'::jsonb -> 'document', '{lines,0,unit_price}', '1.00') AS forged \gset
SELECT distsync.verify_proof('PZ-C', :'one'::jsonb ->> 'proof', :'forged');
\echo :LAST_ERROR_SQLSTATE
SELECT encode(sha256(convert_to(:'forged', 'UTF8')), 'hex') AS hash \gset
SELECT v ->> 'outcome' AS outcome, v -> 'differences' AS differences FROM distsync.verify_proof('PZ-C', :'hash', :'forged') v;
-- named errors
SELECT distsync.verify_proof('PZ-C', 'abc');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.verify_proof('PZ-C', repeat('0', 64));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.verify_proof('PZ-NOBODY', repeat('0', 64));
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.verify_proof('PZ-P', :'one'::jsonb ->> 'proof', :'one'::jsonb -> 'document');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.verify_proof('PZ-C', encode(sha256('[1]'), 'hex'), '[1]');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.prove_prices('PZ-C', '[]');
\echo :LAST_ERROR_SQLSTATE
-- what is not published yet may still change: a price with drafts is answered without a proof
SELECT outcome FROM distsync.apply('agreement', '{"code":"PZ-TAX","publish":false,"rates":[{"customer":"PZ-C","what":"PZ-A","value":"61"}]}', 'pz-erp');
SELECT distsync.prove_prices('PZ-C', '[{"item":"PZ-A"}]', '2026-03-01', '{"company":"PZ-US","drafts":["PZ-TAX"]}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.explain_price('PZ-C', 'PZ-A', at => '2026-03-01', options => '{"company":"PZ-US","drafts":["PZ-TAX"]}') ? 'proof' AS proved;
SELECT distsync.prove_prices(NULL, '[{"item":"PZ-A"}]');
\echo :LAST_ERROR_SQLSTATE

-- a lock may name the proof of what was promised, and while it holds the proof is kept
SELECT outcome, sqlstate, field FROM distsync.apply('price_lock', '{"customer":"PZ-C","document_type":"quote","document_key":"PZ-Q2","item":"PZ-A","unit_price":"66","currency":"USD","reason":"promised","approved_by":"ann","proof":"abc"}', 'pz-erp', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('price_lock', jsonb_build_object('customer', 'PZ-C', 'document_type', 'quote', 'document_key', 'PZ-Q2', 'item', 'PZ-A', 'unit_price', '66', 'currency', 'USD', 'reason', 'promised', 'approved_by', 'ann',
	'proof', upper(:'one'::jsonb ->> 'proof')), 'pz-erp');
SELECT outcome FROM distsync.apply('price_lock', '{"customer":"PZ-C","document_type":"quote","document_key":"PZ-Q2","item":"PZ-A","unit_price":"65"}', 'pz-erp');
SELECT encode(proof_sha256, 'hex') = :'one'::jsonb ->> 'proof' AS named, unit_price FROM dist.price_lock WHERE document_key = 'PZ-Q2';
SELECT distsync_internal.pricing_keep_proof(party_id, p ->> 'proof', p -> 'document') FROM dist.party, (VALUES (:'one'::jsonb), (:'box')) x(p) WHERE code = 'PZ-C';
SELECT distsync.verify_proof('PZ-C', upper(:'one'::jsonb ->> 'proof')) ->> 'outcome' AS stored;
UPDATE dist.price_proof SET stored_at = stored_at - interval '3 years' WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
BEGIN;
DELETE FROM sync.progress WHERE operation = 'price proof retention';
SELECT distsync_internal.pricing_proof_retain(1000) AS more;
COMMIT;
SELECT encode(proof_sha256, 'hex') = :'one'::jsonb ->> 'proof' AS kept FROM dist.price_proof WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
SELECT outcome FROM distsync.apply('price_lock', '{"customer":"PZ-C","document_type":"quote","document_key":"PZ-Q2","item":"PZ-A"}', 'pz-erp', options => '{"operation":"deactivate"}');
BEGIN;
DELETE FROM sync.progress WHERE operation = 'price proof retention';
SELECT distsync_internal.pricing_proof_retain(1000) AS more;
COMMIT;
SELECT count(*) AS kept FROM dist.price_proof WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
-- storing one again keeps it for longer; one that was changed is found
SELECT distsync_internal.pricing_keep_proof(party_id, :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') FROM dist.party WHERE code = 'PZ-C';
UPDATE dist.price_proof SET stored_at = '2020-01-01' WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
SELECT distsync_internal.pricing_keep_proof(party_id, :'box'::jsonb ->> 'proof', :'box'::jsonb -> 'document') FROM dist.party WHERE code = 'PZ-C';
SELECT count(*), bool_and(stored_at > '2026-01-01') AS renewed FROM dist.price_proof WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
SELECT count(*) FROM distsync_internal.pricing_verify_proofs();
UPDATE dist.price_proof SET document = (document::jsonb || '{"more":1}')::text::json WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
SELECT invariant, entity, entity_key = :'box'::jsonb ->> 'proof' AS named FROM distsync_internal.pricing_verify_proofs();
SELECT distsync.verify_proof('PZ-C', :'box'::jsonb ->> 'proof') IS NULL;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM dist.price_proof WHERE customer_id = (SELECT party_id FROM dist.party WHERE code = 'PZ-C');
-- a publication that was taken back leaves nothing behind: neither its rates nor their hash
SELECT detail FROM distsync.apply('agreement', '{"code":"PZ-BACK","slot":"list","currency":"USD","publish":false,"assignments":[{"who_kind":"all"}],"rates":[{"what":"PZ-Z","value":"7"}]}', 'pz-erp');
BEGIN;
SAVEPOINT publication;
SELECT version_no FROM distsync.publish('PZ-BACK');
SELECT s ->> 'after' AS after, s ->> 'sha256' AS before FROM (SELECT distsync.prove_prices('PZ-C', '[{"item":"PZ-Z"}]', '2030-01-01', '{"company":"PZ-US"}') #> '{document,lines,0,steps,0}' AS s) x \gset first_
ROLLBACK TO publication;
UPDATE dist.book_rate SET value = 8 WHERE version_id = (SELECT v.version_id FROM dist.agreement_version v JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'PZ-BACK');
SELECT version_no FROM distsync.publish('PZ-BACK');
COMMIT;
SELECT :first_after AS was, s ->> 'after' AS now, s ->> 'sha256' <> :'first_before' AS other_hash FROM (SELECT distsync.prove_prices('PZ-C', '[{"item":"PZ-Z"}]', '2030-01-01', '{"company":"PZ-US"}') #> '{document,lines,0,steps,0}' AS s) x;
-- nothing of this stays in others' way
DELETE FROM dist.commitment c USING dist.agreement a WHERE a.agreement_id = c.agreement_id AND a.code = 'PZ-K2';
SELECT count(*) FROM distsync.apply_all('agreement', '[{"code":"PZ-LIST","status":"inactive"},{"code":"PZ-K2","status":"inactive"},{"code":"PZ-ADJ","status":"inactive"},{"code":"PZ-TAX","status":"inactive"},{"code":"PZ-FAM","status":"inactive"},{"code":"PZ-CH","status":"inactive"},{"code":"PZ-BACK","status":"inactive"}]', 'pz-erp');
