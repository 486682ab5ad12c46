-- Agreed volumes: orders take them, caps stop, warn or let pass, tiers rise over the orders of a period; what is cancelled, cut, rejected or
-- credited comes back; bills correct; the same said again counts once; a fact beyond a volume is counted and opens an exception.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OV-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OV', 'OV-ERP');
\o /dev/null
SELECT distsync.apply_all('currency', '[{"currency":"USD"},{"currency":"EUR"}]', 'OV-ERP');
SELECT distsync.apply('exchange_rate', '{"from_currency":"EUR","to_currency":"USD","rate":1.25,"valid_from":"2020-01-01"}', 'OV-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX","scale":0}]', 'OV-ERP');
SELECT distsync.apply('company', '{"code":"OV","name":"Volume test","currency":"USD"}', 'OV-ERP');
SELECT distsync.apply_all('party', '[{"code":"OV-C","name":"Customer","currency":"USD"},{"code":"OV-D","name":"Other","currency":"USD","order_policy":{"shortage":"cut"}}]', 'OV-ERP');
SELECT distsync.apply('site', '{"code":"OV-W","name":"one","company":"OV"}', 'OV-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OV-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":10,"denominator":1}]},{"sku":"OV-B","name":"B","base_unit":"EA"},{"sku":"OV-T","name":"T","base_unit":"EA"},{"sku":"OV-E","name":"E","base_unit":"EA"},{"sku":"OV-M","name":"M","base_unit":"EA"},{"sku":"OV-N","name":"N","base_unit":"EA"}]', 'OV-ERP');
SELECT distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', s, 'kind', 'receive', 'sku', s, 'site', 'OV-W', 'quantity', CASE s WHEN 'OV-N' THEN 30 ELSE 10000 END, 'event_at', '2024-01-01T00:00:00Z'))
	FROM unnest('{OV-A,OV-B,OV-T,OV-E,OV-M,OV-N}'::text[]) s), 'OV-ERP');
SELECT distsync.apply_all('agreement', '[
	{"code":"OV-LIST","slot":"list","company":"OV","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,
	 "rates":[{"what":"OV-A","value":"10"},{"what":"OV-B","value":"20"},{"what":"OV-T","value":"5"},{"what":"OV-E","value":"4"},{"what":"OV-N","value":"10"}]},
	{"code":"OV-STOP","slot":"contract","company":"OV","currency":"USD","valid_from":"2020-01-01","commit_quantity":"100","cap_behavior":"stop","publish":true,"rates":[{"customer":"OV-C","what":"OV-A","value":"8"},{"customer":"OV-D","what":"OV-A","value":"8"},{"customer":"OV-D","what":"OV-N","value":"8"}]},
	{"code":"OV-MONEY","slot":"contract","company":"OV","currency":"EUR","fx_allowed":true,"valid_from":"2020-01-01","commit_amount":"100","cap_behavior":"stop","publish":true,"rates":[{"customer":"OV-C","what":"OV-B","value":"8"}]},
	{"code":"OV-WARN","slot":"contract","company":"OV","currency":"USD","valid_from":"2020-01-01","commit_quantity":"10","cap_behavior":"warn","publish":true,"rates":[{"customer":"OV-C","what":"OV-E","value":"3"}]},
	{"code":"OV-GO","slot":"contract","company":"OV","currency":"USD","valid_from":"2020-01-01","commit_quantity":"10","cap_behavior":"continue","publish":true,"rates":[{"customer":"OV-D","what":"OV-E","value":"3"}]},
	{"code":"OV-TIER","slot":"contract","company":"OV","currency":"USD","valid_from":"2020-01-01","tier_basis":"period","publish":true,"rates":[{"customer":"OV-C","what":"OV-T","value":"4"},{"customer":"OV-C","what":"OV-T","value":"3","min_quantity":"50"},{"customer":"OV-C","what":"OV-T","value":"2","min_quantity":"100"}]},
	{"code":"OV-ONLY","slot":"contract","company":"OV","currency":"USD","valid_from":"2020-01-01","commit_quantity":"10","publish":true,"rates":[{"customer":"OV-C","what":"OV-M","value":"1"}]}]', 'OV-ERP');
\o
CREATE TEMP VIEW used AS SELECT a.code, c.quantity, c.amount FROM dist.commitment c JOIN dist.agreement a USING (agreement_id) WHERE a.code LIKE 'OV-%' ORDER BY 1;
CREATE TEMP VIEW uses AS SELECT a.code, u.document_key, u.line_no, u.quantity, u.amount FROM dist.commitment_use u JOIN dist.agreement a USING (agreement_id) WHERE a.code LIKE 'OV-%' ORDER BY 1, 2, 3;
CREATE TEMP VIEW broken AS SELECT * FROM distsync_internal.pricing_verify_commitments() UNION ALL SELECT * FROM distsync_internal.order_verify_volumes();
CREATE FUNCTION pg_temp.ordered(number text, customer text, lines text, more jsonb DEFAULT '{}') RETURNS TABLE (state text, line text, disposition text, quantity text, price text, net text, agreement text, code text)
LANGUAGE sql AS $$
	SELECT s.state, l ->> 'line', l ->> 'disposition', l ->> 'quantity', l ->> 'unit_price', l ->> 'net_amount', l ->> 'agreement', l ->> 'price_code'
	FROM distsync.submit_order(jsonb_build_object('company', 'OV', 'customer', customer, 'order_number', number, 'lines', lines::jsonb) || more, number) s, jsonb_array_elements(s.lines) l
$$;

-- stop: the contract's price while the line fits, the list's when it does not; the same key counts once; a preview counts nothing
SELECT l ->> 'unit_price' AS price, l ->> 'agreement' AS agreement FROM distsync.preview_order('{"company":"OV","customer":"OV-C","lines":[{"item":"OV-A","quantity":60}]}'), jsonb_array_elements(lines) l;
SELECT * FROM pg_temp.ordered('V1', 'OV-C', '[{"item":"OV-A","quantity":6,"unit":"BX"}]');
SELECT * FROM pg_temp.ordered('V1', 'OV-C', '[{"item":"OV-A","quantity":6,"unit":"BX"}]');
SELECT * FROM pg_temp.ordered('V2', 'OV-C', '[{"item":"OV-A","quantity":50}]');
SELECT * FROM pg_temp.ordered('V3', 'OV-C', '[{"item":"OV-A","quantity":40}]');
SELECT * FROM used;
SELECT * FROM uses;
-- an answer tells what was used when it was decided, and is asked again with it
SELECT unit_price, code, detail -> 'commitments' AS commitments FROM distsync.price('OV-C', 'OV-A', 1, options => '{"company":"OV"}');
SELECT unit_price, detail -> 'commitments' AS commitments FROM distsync.price('OV-C', 'OV-A', 1, options => '{"company":"OV","used":{"OV-STOP":{"quantity":"99","amount":480}}}');
SELECT unit_price FROM distsync.price('OV-C', 'OV-A', 1, options => '{"company":"OV","used":{"OV-STOP":{"quantity":"much"}}}');
\echo :LAST_ERROR_SQLSTATE
SELECT unit_price FROM distsync.price('OV-C', 'OV-A', 1, options => '{"company":"OV","commitment":"mine"}');
\echo :LAST_ERROR_SQLSTATE
-- what the customer expected is decided by the price that is left
SELECT * FROM pg_temp.ordered('V4', 'OV-C', '[{"item":"OV-A","quantity":10,"expected_price":8},{"item":"OV-B","quantity":1}]', '{"policy":{"price_mismatch":"reject"}}');
SELECT * FROM pg_temp.ordered('V5', 'OV-C', '[{"item":"OV-M","quantity":11},{"item":"OV-T","quantity":1}]');
-- cancelled comes back: the next one has it
SELECT distsync.cancel_order('V1', 'changed his mind', 'c1', '{"company":"OV"}') ->> 'state' AS state;
SELECT * FROM used WHERE code = 'OV-STOP';
SELECT * FROM broken;

-- the lines of an order take one after the other, by their numbers, however they are sent
SELECT * FROM pg_temp.ordered('V6', 'OV-C', '[{"line":3,"item":"OV-A","quantity":5},{"line":1,"item":"OV-A","quantity":50},{"line":2,"item":"OV-A","quantity":11}]');
SELECT unit_price FROM distsync.prices('OV-C', '[{"item":"OV-T","quantity":60},{"item":"OV-T","quantity":60}]', options => '{"company":"OV"}');
SELECT unit_price FROM distsync.prices('OV-C', '[{"item":"OV-T","quantity":60},{"item":"OV-T","quantity":60}]', options => '{"company":"OV","commitment":"order"}');
SELECT * FROM used WHERE code = 'OV-STOP';
-- cut to what there is: only that counts
SELECT distsync.cancel_order('V6', 'test', NULL, '{"company":"OV"}') ->> 'state' AS state;
SELECT * FROM pg_temp.ordered('V7', 'OV-D', '[{"item":"OV-N","quantity":45}]');
SELECT * FROM uses WHERE document_key = 'OV/V7';
SELECT * FROM pg_temp.ordered('V8', 'OV-D', '[{"item":"OV-N","quantity":20}]');
SELECT count(*) FROM uses WHERE document_key = 'OV/V8';
-- an amount stops once it is used up, whatever the last order took; in the agreement's currency
SELECT * FROM pg_temp.ordered('V10', 'OV-C', '[{"item":"OV-B","quantity":12}]');
SELECT * FROM used WHERE code = 'OV-MONEY';
SELECT * FROM pg_temp.ordered('V11', 'OV-C', '[{"item":"OV-B","quantity":10}]');
SELECT * FROM used WHERE code = 'OV-MONEY';
SELECT * FROM pg_temp.ordered('V12', 'OV-C', '[{"item":"OV-B","quantity":1}]');
-- warn says so, continue does not
SELECT * FROM pg_temp.ordered('V13', 'OV-C', '[{"item":"OV-E","quantity":11}]');
SELECT * FROM pg_temp.ordered('V14', 'OV-D', '[{"item":"OV-E","quantity":11}]');
-- tiers of a period rise over the orders, and fall when one is taken back
SELECT * FROM pg_temp.ordered('T1', 'OV-C', '[{"item":"OV-T","quantity":40}]');
SELECT * FROM pg_temp.ordered('T2', 'OV-C', '[{"item":"OV-T","quantity":20}]');
SELECT * FROM pg_temp.ordered('T3', 'OV-C', '[{"item":"OV-T","quantity":30},{"item":"OV-T","quantity":10}]');
SELECT distsync.cancel_order('T1', 'test', NULL, '{"company":"OV"}') ->> 'state' AS state;
SELECT * FROM pg_temp.ordered('T4', 'OV-C', '[{"item":"OV-T","quantity":1}]');
SELECT * FROM used;
SELECT * FROM broken;

-- shipped moves nothing; billed counts as billed, the rest as ordered; a memo with a quantity gives back both, one without only money
SELECT outcome FROM distsync.apply('shipment', '{"company":"OV","shipment_number":"OV-S1","order_number":"T3","site":"OV-W","lines":[{"order_line":1,"quantity":30}]}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/T3';
SELECT outcome FROM distsync.apply('invoice', '{"company":"OV","invoice_number":"OV-I1","order_number":"T3","currency":"USD","net_amount":40,"lines":[{"order_line":1,"quantity":20,"net_amount":40}]}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/T3';
SELECT outcome FROM distsync.apply('invoice', '{"company":"OV","invoice_number":"OV-I1","order_number":"T3","currency":"USD","net_amount":40,"lines":[{"order_line":1,"quantity":20,"net_amount":40}]}', 'OV-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"OV","invoice_number":"OV-I2","order_number":"T3","currency":"USD","net_amount":45,"lines":[{"order_line":1,"quantity":15,"net_amount":45}]}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/T3';
SELECT outcome FROM distsync.apply('invoice', '{"company":"OV","invoice_number":"OV-CM1","kind":"credit_memo","corrects":"OV-I2","currency":"USD","net_amount":12,"lines":[{"order_line":1,"quantity":4,"net_amount":12}]}', 'OV-ERP');
SELECT outcome FROM distsync.apply('invoice', '{"company":"OV","invoice_number":"OV-CM2","kind":"credit_memo","corrects":"OV-I2","currency":"USD","net_amount":1,"lines":[{"order_line":1,"net_amount":1}]}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/T3';
SELECT * FROM broken;

-- the owner's orders count and are never refused: beyond the volume an exception opens, and closes when it is given back
SELECT * FROM used WHERE code = 'OV-STOP';
SELECT outcome FROM distsync.apply('order', '{"company":"OV","order_number":"F1","customer":"OV-C","lines":[{"item":"OV-A","quantity":90,"unit_price":8}]}', 'OV-ERP');
SELECT * FROM used WHERE code = 'OV-STOP';
SELECT kind, entity_key, state, delta, details - 'correlation_id' AS details FROM sync.exception WHERE kind = 'over_commitment' AND trace_key LIKE 'OV-%';
SELECT outcome FROM distsync.apply('order', '{"company":"OV","order_number":"F1","customer":"OV-C","lines":[{"item":"OV-A","quantity":90,"unit_price":8}]}', 'OV-ERP', options => '{"mode":"document"}');
SELECT * FROM used WHERE code = 'OV-STOP';
-- changed by its owner: what is less comes back, a new line takes, the agreement he names counts
SELECT outcome FROM distsync.apply('order', '{"company":"OV","order_number":"F1","customer":"OV-C","lines":[{"line":1,"item":"OV-A","quantity":20,"unit_price":8},{"line":2,"item":"OV-B","quantity":2,"unit_price":10,"agreement":"OV-TIER"}]}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/F1';
SELECT kind, entity_key, state FROM sync.exception WHERE kind = 'over_commitment' AND trace_key LIKE 'OV-%';
-- rejected by its owner: all comes back; taken after all: all counts again
SELECT outcome FROM distsync.apply('order', '{"company":"OV","order_number":"F1","state":"rejected","reason":"test"}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/F1';
SELECT outcome FROM distsync.apply('order', '{"company":"OV","order_number":"F1","state":"booked"}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/F1';
SELECT * FROM broken;

-- what would be history before we knew the item still counts for the agreement that is named
SELECT outcome FROM distsync.apply('order', '{"company":"OV","order_number":"F2","customer":"OV-C","ordered_at":"2021-01-05","lines":[{"item":"OV-A","quantity":3,"unit_price":8,"agreement":"OV-STOP"},{"item":"OV-A","quantity":3,"unit_price":8,"agreement":"OV-LIST"}]}', 'OV-ERP');
SELECT * FROM uses WHERE document_key = 'OV/F2';
SELECT line_no, agreement_code FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) WHERE order_number = 'F2' ORDER BY 1;
-- what the owner counts up to an instant takes the place of what we counted until then
SELECT outcome FROM distsync.apply('commitment', '{"agreement":"OV-STOP","used_quantity":70,"used_amount":"560","as_of":"2021-02-01T00:00:00Z"}', 'OV-ERP');
SELECT * FROM used WHERE code = 'OV-STOP';
SELECT outcome FROM distsync.apply('commitment', '{"agreement":"OV-STOP","used_quantity":5}', 'OV-ERP');
SELECT * FROM used WHERE code = 'OV-STOP';
SELECT * FROM pg_temp.ordered('V20', 'OV-C', '[{"item":"OV-A","quantity":95}]');
SELECT * FROM used WHERE code = 'OV-STOP';
SELECT outcome, sqlstate, field FROM distsync.apply_all('commitment', '[{"agreement":"OV-GONE"},{"agreement":"OV-STOP","as_of":"2999-01-01T00:00:00Z"},{"agreement":"OV-WARN","used_quantity":3}]', 'OV-ERP', options => '{"on_error":"collect"}');
SELECT outcome FROM distsync.apply('commitment', '{"agreement":"OV-STOP"}', 'OV-ERP', options => '{"operation":"deactivate"}');
SELECT * FROM used;
SELECT * FROM broken;
-- the checks see what is wrong
BEGIN;
UPDATE dist.commitment SET quantity = quantity + 1 WHERE agreement_id = (SELECT agreement_id FROM dist.agreement WHERE code = 'OV-TIER');
UPDATE dist.order_line SET net_amount = net_amount + 1 WHERE (customer_id, order_id) = (SELECT customer_id, order_id FROM dist.sales_order JOIN dist.company USING (company_id) WHERE order_number = 'T2' AND code = 'OV');
SELECT invariant, entity_key, detail -> 'quantity' AS quantity, detail -> 'line_amount' AS line_amount FROM broken ORDER BY 1;
ROLLBACK;
-- their volumes have moved since, and their prices are still proved
SELECT v ->> 'outcome' AS outcome, bool_or(p.document::jsonb -> 'request' ? 'used') AS told, count(*) > 10 AS many
FROM dist.price_proof p JOIN dist.party b ON b.party_id = p.customer_id CROSS JOIN LATERAL distsync.verify_proof(b.code, encode(p.proof_sha256, 'hex')) v WHERE b.code LIKE 'OV-%' GROUP BY 1;
-- the lines of a call one after the other are the same lines asked one by one, each with what the lines before it used
CREATE FUNCTION pg_temp.begins() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"OV-STOP":{"quantity":85},"OV-TIER":{"quantity":40},"OV-MONEY":{"amount":"90"},"OV-WARN":{"quantity":5}}'::jsonb $$;
CREATE FUNCTION pg_temp.in_turn(lines jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	l jsonb;
	p record;
	c jsonb;
	said jsonb := pg_temp.begins();
	answer text;
BEGIN
	FOR l IN SELECT x.value FROM jsonb_array_elements(lines) WITH ORDINALITY x(value, n) ORDER BY x.n LOOP
		SELECT * INTO p FROM distsync.price('OV-C', l ->> 'item', (l ->> 'quantity')::numeric, options => jsonb_build_object('company', 'OV', 'used', said));
		answer := concat_ws(' ', answer, p.unit_price, p.agreement, p.code);
		FOR c IN SELECT x FROM jsonb_array_elements(p.detail -> 'commitments') x LOOP
			said := said || jsonb_build_object(c ->> 'agreement', CASE WHEN (c ->> 'uses')::boolean THEN jsonb_build_object('quantity', (c ->> 'used_quantity')::numeric + (l ->> 'quantity')::numeric,
				'amount', (c ->> 'used_amount')::numeric + p.net_amount / CASE c ->> 'agreement' WHEN 'OV-MONEY' THEN 1.25 ELSE 1 END) ELSE jsonb_build_object('quantity', c -> 'used_quantity', 'amount', c -> 'used_amount') END);
		END LOOP;
	END LOOP;
	RETURN answer;
END $$;
\o /dev/null
SELECT setseed(0.5);
\o
SELECT count(*) AS calls, count(*) FILTER (WHERE pg_temp.in_turn(lines) <> together) AS differ, count(*) FILTER (WHERE together ~ 'OV-STOP.*OV-LIST') > 0 AS some_ran_out, count(*) FILTER (WHERE together ~ '4.00 OV-TIER.* 3.00 OV-TIER') > 0 AS some_rose
FROM generate_series(1, 200) n, LATERAL (
	SELECT jsonb_agg(jsonb_build_object('item', (ARRAY['OV-A', 'OV-B', 'OV-T', 'OV-E', 'OV-M'])[1 + floor(random() * 5)::integer], 'quantity', 1 + floor(random() * 12)::integer)) AS lines FROM generate_series(1, 8 + 0 * n)) q, LATERAL (
	SELECT string_agg(concat_ws(' ', p.unit_price, p.agreement, p.code), ' ' ORDER BY p.ordinal) AS together FROM distsync.prices('OV-C', lines, options => jsonb_build_object('company', 'OV', 'commitment', 'order', 'used', pg_temp.begins())) p) t;
-- who takes orders may ask with options, and in somebody else's words
SET ROLE distsync_order_entry;
SELECT unit_price FROM distsync.prices('OV-C', '[{"item":"OV-B"}]', options => '{"company":"OV","used":{"OV-MONEY":{"amount":0}}}');
SELECT unit_price FROM distsync.price('OV-C', 'OV-NOT', options => '{"company":"OV","used":{}}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
