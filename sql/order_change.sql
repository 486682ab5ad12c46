-- Orders that are changed before they have left: what is less is given back to the last unit and cent, what is more is priced, promised and asks credit.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('OG-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'OG', 'OG-ERP');
SELECT distsync.apply_all('currency', '[{"currency":"USD"}]', 'OG-ERP');
SELECT distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX","scale":0}]', 'OG-ERP');
SELECT distsync.apply('company', '{"code":"OG","name":"Changes","currency":"USD"}', 'OG-ERP');
SELECT distsync.apply_all('party', '[{"code":"OG-C","name":"Customer","currency":"USD"},{"code":"OG-V","name":"with a volume","currency":"USD"},{"code":"OG-F","name":"without account","currency":"USD"},{"code":"OG-S","name":"Shop","currency":"USD"}]', 'OG-ERP');
SELECT distsync.apply_all('site', '[{"code":"OG-W","name":"w","company":"OG"},{"code":"OG-X","name":"x","company":"OG"}]', 'OG-ERP');
SELECT distsync.apply_all('item', '[{"sku":"OG-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":6,"denominator":1}]},{"sku":"OG-B","name":"B","base_unit":"EA"},{"sku":"OG-D","name":"D","base_unit":"EA"},{"sku":"OG-N","name":"without price","base_unit":"EA"},
	{"sku":"OG-K","name":"kit","base_unit":"EA","kit":true,"components":[{"sku":"OG-A","quantity":2},{"sku":"OG-B","quantity":1}]}]', 'OG-ERP');
SELECT distsync.apply_all('agreement', '[{"code":"OG-LIST","slot":"list","company":"OG","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"OG-A","value":"10"},{"what":"OG-A","value":"8","min_quantity":"50"},{"what":"OG-B","value":"5"},{"what":"OG-D","value":"20"},{"what":"OG-K","value":"30"}]},
	{"code":"OG-DEAL","slot":"contract","company":"OG","currency":"USD","valid_from":"2020-01-01","commit_quantity":"10","cap_behavior":"stop","publish":true,"rates":[{"customer":"OG-V","what":"OG-D","value":"15"}]}]', 'OG-ERP');
SELECT distsync.apply_all('credit_account', '[{"code":"OG-C","customer":"OG-C","company":"OG","limit":1000},{"code":"OG-V","customer":"OG-V","company":"OG","limit":10000}]', 'OG-ERP');
SELECT distsync.apply_all('stock_event', '[{"event_id":"og-1","kind":"receive","sku":"OG-A","site":"OG-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"og-2","kind":"receive","sku":"OG-B","site":"OG-W","quantity":20,"event_at":"2026-01-01T00:00:00Z"},
	{"event_id":"og-3","kind":"receive","sku":"OG-D","site":"OG-W","quantity":100,"event_at":"2026-01-01T00:00:00Z"},{"event_id":"og-4","kind":"receive","sku":"OG-B","site":"OG-X","quantity":20,"event_at":"2026-01-01T00:00:00Z"}]', 'OG-ERP');
CREATE FUNCTION pg_temp.try(number text, lines jsonb, policy jsonb DEFAULT '{}', customer text DEFAULT 'OG-C') RETURNS TABLE (state text, credit text, gross numeric) LANGUAGE sql AS $$
	SELECT s.state, s.credit_state, s.gross_amount FROM distsync.submit_order(jsonb_build_object('company', 'OG', 'customer', customer, 'order_number', number, 'policy', policy, 'lines', lines)) s $$;
CREATE FUNCTION pg_temp.change(number text, document jsonb, options jsonb DEFAULT '{}') RETURNS TABLE (outcome text, state text, credit text, gross text, reasons jsonb, changes jsonb) LANGUAGE sql AS $$
	SELECT r ->> 'outcome', r ->> 'state', r ->> 'credit_state', r ->> 'gross_amount', jsonb_path_query_array(r -> 'reasons', '$[*].rule'), (SELECT jsonb_agg(jsonb_build_array(c -> 'line', c -> 'field', c -> 'before', c -> 'after')) FROM jsonb_array_elements(r -> 'changes') c)
	FROM distsync.change_order(number, document, '{"company":"OG"}' || options) r $$;
CREATE TEMP VIEW ln AS SELECT o.order_number, l.line_no AS line, i.sku, trim_scale(l.quantity) AS quantity, trim_scale(l.requested_quantity) AS asked, trim_scale(l.base_quantity) AS base, trim_scale(l.unit_price) AS price, l.net_amount AS net, l.disposition, trim_scale(l.shipped_quantity) AS shipped,
	(SELECT trim_scale(sum(r.quantity)) FROM dist.reservation r WHERE r.demand_key = 'OG/' || o.order_number || '/' || l.line_no AND r.item_id = l.item_id AND r.state IN ('held', 'committed')) AS promised
	FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.item i USING (item_id) JOIN dist.company c USING (company_id) WHERE c.code = 'OG' ORDER BY 1, 2;
CREATE TEMP VIEW acct AS SELECT code, open_orders, held_demand, unbilled FROM dist.credit_account WHERE code LIKE 'OG-%' ORDER BY 1;
CREATE TEMP VIEW pool AS SELECT i.sku, s.code AS site, trim_scale(p.cap) AS cap, trim_scale(p.held) AS held, trim_scale(p.committed) AS committed FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'OG-%' ORDER BY 1, 2;
CREATE TEMP VIEW uses AS SELECT u.document_key, u.line_no, trim_scale(u.quantity) AS quantity, u.amount FROM dist.commitment_use u JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'OG-DEAL' ORDER BY 1, 2;
CREATE TEMP VIEW wrong AS SELECT invariant, entity_key, detail FROM (SELECT * FROM distsync_internal.order_verify_exposure() UNION ALL SELECT * FROM distsync_internal.order_verify_orders() UNION ALL SELECT * FROM distsync_internal.order_verify_offers()
	UNION ALL SELECT * FROM distsync_internal.order_verify_volumes() UNION ALL SELECT * FROM distsync_internal.pricing_verify_commitments() UNION ALL SELECT * FROM distsync_internal.credit_verify_counters() UNION ALL SELECT * FROM distsync_internal.credit_verify_releases()) v;
\o
-- more, less, a new line, one cut; asked again the first answer; what is the same is no change
SELECT * FROM pg_temp.try('G1', '[{"item":"OG-A","quantity":10},{"item":"OG-B","quantity":4}]');
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":1,"quantity":20}]}', '{"idempotency_key":"og-a"}');
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":1,"quantity":20}]}', '{"idempotency_key":"og-a"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"quantity":21}]}', '{"company":"OG","idempotency_key":"og-a"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":1,"quantity":20}]}');
SELECT * FROM ln WHERE order_number = 'G1';
SELECT * FROM pool;
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM wrong;
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":1,"quantity":3},{"item":"OG-D","quantity":2},{"line":2,"cut":true}]}');
SELECT * FROM ln WHERE order_number = 'G1';
SELECT * FROM pool;
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM wrong;
-- a line that was cut is wanted after all
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":2,"quantity":1}]}');
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":2,"cut":true}]}');
SELECT * FROM ln WHERE order_number = 'G1' AND line = 2;
SELECT * FROM wrong;
-- the price of a quantity; what is not named keeps its own
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":1,"quantity":50}]}');
SELECT * FROM ln WHERE order_number = 'G1';
SELECT s ->> 'price_proof' IS NOT NULL AS proved, (SELECT count(DISTINCT l.price_proof) FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) WHERE o.order_number = 'G1') AS proofs,
	(SELECT bool_and(distsync.verify_proof('OG-C', encode(l.price_proof, 'hex')) ->> 'outcome' = 'verified') FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) WHERE o.order_number = 'G1') AS verified FROM distsync.order_status('G1', '{"company":"OG"}') s;
SELECT event_type, jsonb_array_length(body -> 'changes') AS changes, body -> 'gross_amount' AS gross FROM sync.outbox WHERE entity_key = 'OG/G1' ORDER BY outbox_id;
SELECT verb, before -> 'gross_amount' AS before, after -> 'gross_amount' AS after FROM sync.audit WHERE entity_key = 'OG/G1' AND verb = 'change_order' ORDER BY audit_id;

-- dates: the line's, and the order's for the lines that follow it; where to
SELECT * FROM pg_temp.change('G1', '{"requested_at":"2030-01-01","lines":[{"line":3,"requested_at":"2030-06-01"}]}');
SELECT * FROM pg_temp.change('G1', '{"requested_at":"2030-02-01","ship_to":"OG-S"}');
SELECT o.requested_at, p.code, (SELECT array_agg(l.requested_at ORDER BY l.line_no) FROM dist.order_line l WHERE l.order_id = o.order_id AND l.base_quantity > 0) AS lines FROM dist.sales_order o JOIN dist.party p ON p.party_id = o.ship_to_id WHERE o.order_number = 'G1';
SELECT * FROM ln WHERE order_number = 'G1';
SELECT * FROM pool;
SELECT * FROM wrong;

-- what can not be
SELECT distsync.change_order('G1', '{}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"customer":"OG-F"}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"unit_price":1}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":9,"item":"OG-A","quantity":1,"net_amount":1}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"item":"OG-B","quantity":1}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"unit":"BX","quantity":1}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"quantity":-1}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"quantity":1},{"line":1,"quantity":2}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":7,"quantity":1}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"cut":true},{"line":3,"quantity":0}]}', '{"company":"OG"}');
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"quantity":1}]}', '{"company":"OG","source":"OG-ERP"}');
SELECT distsync.change_order('G0', '{"lines":[{"line":1,"quantity":1}]}', '{"company":"OG"}');
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":9,"item":"OG-N","quantity":1},{"line":1,"quantity":7}]}', '{"idempotency_key":"og-b"}');
SELECT * FROM pg_temp.change('G1', '{"lines":[{"line":1,"quantity":7}]}', '{"idempotency_key":"og-b"}');
SELECT * FROM wrong;
SELECT r ->> 'state' AS state FROM distsync.cancel_order('G1', 'x', NULL, '{"company":"OG"}') r;
SELECT distsync.change_order('G1', '{"lines":[{"line":1,"quantity":1}]}', '{"company":"OG"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pool;
SELECT * FROM acct WHERE code = 'OG-C';

-- short: back-ordered, cut to whole boxes, refused; or all or none
SELECT * FROM pg_temp.try('G2', '[{"item":"OG-B","quantity":5}]', '{}', 'OG-F');
SELECT * FROM pg_temp.change('G2', '{"lines":[{"line":1,"quantity":50}]}');
SELECT * FROM ln WHERE order_number = 'G2';
SELECT d.site_id IS NOT NULL AS at, trim_scale(d.ordered) AS ordered, trim_scale(d.reserved) AS reserved FROM dist.demand d WHERE d.demand_key = 'OG/G2/1' AND d.reserved > 0 ORDER BY d.reserved;
SELECT * FROM pg_temp.change('G2', '{"lines":[{"line":1,"quantity":45}]}');
SELECT sum(trim_scale(d.ordered)) AS ordered FROM dist.demand d WHERE d.demand_key = 'OG/G2/1';
SELECT * FROM pg_temp.change('G2', '{"lines":[{"line":1,"quantity":6}]}');
SELECT * FROM ln WHERE order_number = 'G2';
SELECT * FROM pool WHERE sku = 'OG-B';
SELECT * FROM pg_temp.try('G3', '[{"item":"OG-A","quantity":2,"unit":"BX"}]', '{"shortage":"cut"}', 'OG-F');
SELECT * FROM pg_temp.change('G3', '{"lines":[{"line":1,"quantity":20}]}');
SELECT * FROM ln WHERE order_number = 'G3';
SELECT * FROM pg_temp.change('G3', '{"lines":[{"line":1,"quantity":17}]}');
SELECT * FROM pg_temp.change('G3', '{"lines":[{"line":1,"quantity":1}]}');
SELECT * FROM pg_temp.try('G4', '[{"item":"OG-A","quantity":1}]', '{"shortage":"reject"}', 'OG-F');
SELECT * FROM pg_temp.change('G4', '{"lines":[{"line":1,"quantity":200}]}');
SELECT * FROM pg_temp.try('G5', '[{"item":"OG-A","quantity":1}]', '{"all_or_none":true}', 'OG-F');
SELECT * FROM pg_temp.change('G5', '{"lines":[{"line":1,"quantity":200},{"item":"OG-B","quantity":1}]}');
SELECT * FROM ln WHERE order_number IN ('G3', 'G4', 'G5');
SELECT * FROM pool;
SELECT * FROM wrong;

-- kits, in whole ones
SELECT * FROM pg_temp.try('G6', '[{"item":"OG-K","quantity":2}]', '{}', 'OG-F');
SELECT * FROM pg_temp.change('G6', '{"lines":[{"line":1,"quantity":4}]}');
SELECT i.sku, trim_scale(sum(r.quantity)) AS promised FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE r.demand_key = 'OG/G6/1' AND r.state = 'committed' GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.change('G6', '{"lines":[{"line":1,"quantity":1}]}');
SELECT i.sku, trim_scale(sum(r.quantity)) AS promised FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE r.demand_key = 'OG/G6/1' AND r.state = 'committed' GROUP BY 1 ORDER BY 1;
SELECT distsync.change_order('G6', '{"lines":[{"line":1,"quantity":1.5}]}', '{"company":"OG"}');
\echo :LAST_ERROR_SQLSTATE

-- credit: more than it allows is held, all of it; less goes on again; or the change is refused
SELECT * FROM pg_temp.try('G7', '[{"item":"OG-D","quantity":40}]');
SELECT * FROM pg_temp.change('G7', '{"lines":[{"line":1,"quantity":60}]}');
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM ln WHERE order_number = 'G7';
SELECT event_type, body ->> 'checkpoint' AS checkpoint, body -> 'cure' AS cure FROM sync.outbox WHERE entity_key = 'OG/G7' ORDER BY outbox_id;
SELECT * FROM wrong;
SELECT * FROM pg_temp.change('G7', '{"lines":[{"line":1,"quantity":55}]}');
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM pg_temp.change('G7', '{"lines":[{"line":1,"quantity":50}]}');
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM pg_temp.try('G8', '[{"item":"OG-B","quantity":1}]', '{"on_hold":"refuse"}');
SELECT * FROM pg_temp.change('G7', '{"lines":[{"line":1,"quantity":30}]}');
SELECT * FROM pg_temp.try('G9', '[{"item":"OG-D","quantity":10}]', '{"on_hold":"refuse"}');
SELECT * FROM pg_temp.change('G9', '{"lines":[{"line":1,"quantity":30}]}');
SELECT * FROM ln WHERE order_number IN ('G7', 'G9');
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM pool WHERE sku = 'OG-D';
SELECT * FROM wrong;
-- one that gave its stock back takes none while it is held; less of a held one may go on
SELECT * FROM pg_temp.try('GA', '[{"item":"OG-D","quantity":20}]', '{"held_stock":"none"}');
SELECT * FROM pg_temp.change('GA', '{"lines":[{"line":1,"quantity":25}]}');
SELECT * FROM pool WHERE sku = 'OG-D';
SELECT * FROM pg_temp.change('GA', '{"lines":[{"line":1,"quantity":10}]}');
SELECT distsync_internal.order_clerk_redecide(1);
SELECT * FROM ln WHERE order_number = 'GA';
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM wrong;

-- another price than expected: told, held for people, refused
SELECT * FROM pg_temp.try('GB', '[{"item":"OG-B","quantity":1}]', '{"price_mismatch":"hold"}', 'OG-F');
SELECT * FROM pg_temp.change('GB', '{"lines":[{"line":1,"quantity":2,"expected_price":4}]}');
SELECT r ->> 'state' AS state FROM distsync.release_order('GB', 'agreed', '{"company":"OG"}') r;
SELECT * FROM pg_temp.try('GC', '[{"item":"OG-B","quantity":1}]', '{"price_mismatch":"reject"}', 'OG-F');
SELECT * FROM pg_temp.change('GC', '{"lines":[{"line":1,"quantity":2,"expected_price":4}]}');
SELECT * FROM wrong;

-- what has left stays: no less than that; what is left over is cut, and then all of it has shipped
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OG-C","limit":3000}', 'OG-ERP');
SELECT * FROM pg_temp.try('GD', '[{"item":"OG-A","quantity":10},{"item":"OG-B","quantity":2}]');
SELECT r ->> 'state' AS state FROM distsync.ship('{"company":"OG","shipment_number":"OG-S1","order_number":"GD","site":"OG-W","lines":[{"order_line":1,"quantity":4}]}') r;
SELECT distsync.change_order('GD', '{"lines":[{"line":1,"quantity":3}]}', '{"company":"OG"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM pg_temp.change('GD', '{"lines":[{"line":1,"quantity":6}]}');

SELECT * FROM ln WHERE order_number = 'GD';
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM wrong;
SELECT * FROM pg_temp.change('GD', '{"lines":[{"line":1,"cut":true},{"line":2,"cut":true}]}');
SELECT * FROM ln WHERE order_number = 'GD';
SELECT * FROM acct WHERE code = 'OG-C';
SELECT * FROM wrong;

-- what left although it was cut stays too
SELECT * FROM pg_temp.try('GF', '[{"item":"OG-A","quantity":2},{"item":"OG-B","quantity":1}]');
SELECT * FROM pg_temp.change('GF', '{"lines":[{"line":2,"cut":true}]}');
SELECT outcome FROM distsync.apply('shipment', '{"company":"OG","shipment_number":"OG-S2","order_number":"GF","site":"OG-W","lines":[{"order_line":2,"quantity":1}]}', 'OG-ERP');
SELECT * FROM pg_temp.change('GF', '{"lines":[{"line":2,"cut":true},{"line":1,"quantity":1}]}');
SELECT * FROM ln WHERE order_number = 'GF';
SELECT * FROM wrong;

-- agreed volumes: what is more takes of them, what is less gives back, what is beyond has the price that is left
SELECT * FROM pg_temp.try('GE', '[{"item":"OG-D","quantity":4}]', '{}', 'OG-V');
SELECT * FROM pg_temp.change('GE', '{"lines":[{"line":1,"quantity":10}]}');
SELECT * FROM uses;
SELECT * FROM wrong;
SELECT * FROM pg_temp.change('GE', '{"lines":[{"line":1,"quantity":6}]}');
SELECT * FROM uses;
SELECT * FROM pg_temp.change('GE', '{"lines":[{"line":1,"quantity":12}]}');
SELECT * FROM ln WHERE order_number = 'GE';
SELECT * FROM uses;
SELECT * FROM pg_temp.change('GE', '{"lines":[{"line":1,"quantity":5},{"item":"OG-D","quantity":3}]}');
SELECT * FROM ln WHERE order_number = 'GE';
SELECT * FROM uses;
SELECT * FROM wrong;
-- a tax that is told as it was is no change
SELECT * FROM pg_temp.try('GG', '[{"item":"OG-A","quantity":2,"tax_amount":1.5}]');
SELECT * FROM pg_temp.change('GG', '{"lines":[{"line":1,"quantity":2,"tax_amount":1.50}]}');
SELECT * FROM pg_temp.change('GG', '{"lines":[{"line":1,"tax_amount":1}]}');
-- a deposit covers what is left of an order and what has left of it and is not billed: not the rest a second time
SELECT outcome FROM distsync.apply_all('party', '[{"code":"OG-P","name":"pays in advance","currency":"USD"}]', 'OG-ERP');
SELECT outcome FROM distsync.apply('credit_account', '{"code":"OG-P","customer":"OG-P","company":"OG","limit":0}', 'OG-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"OG","payment_number":"OG-DEP","customer":"OG-P","kind":"deposit","order":"GH","currency":"USD","amount":100}', 'OG-ERP');
SELECT * FROM pg_temp.try('GH', '[{"item":"OG-D","quantity":5}]', '{}', 'OG-P');
SELECT r ->> 'state' AS state FROM distsync.ship('{"company":"OG","shipment_number":"OG-S9","order_number":"GH","site":"OG-W","lines":[{"order_line":1,"quantity":4}]}') r;
SELECT * FROM pg_temp.change('GH', '{"lines":[{"line":1,"quantity":6}]}');
SELECT outcome FROM distsync.apply('payment', '{"company":"OG","payment_number":"OG-DEP2","customer":"OG-P","kind":"deposit","order":"GH","currency":"USD","amount":20}', 'OG-ERP');
SELECT order_number, state, credit_state, exposure_amount FROM dist.sales_order WHERE order_number = 'GH';
SELECT * FROM wrong;
