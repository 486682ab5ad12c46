-- Impact: which open lines a draft would change, and by how much.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
INSERT INTO sync.system (code, kind) VALUES ('im-erp', 'erp');
SELECT count(*) FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2}]', 'im-erp');
SELECT count(*) FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'im-erp');
SELECT outcome FROM distsync.apply('company', '{"code":"IM-US","name":"Impact Inc","currency":"USD"}', 'im-erp');
SELECT count(*) FROM distsync.apply_all('party', '[{"code":"IM-P","name":"P"},{"code":"IM-C","name":"C","parent":"IM-P","roles":["sold_to"]},{"code":"IM-D","name":"D","roles":["sold_to"]}]', 'im-erp');
SELECT count(*) FROM distsync.apply_all('item', '[{"sku":"IM-A","name":"A","base_unit":"EA","units":[{"unit":"BX","numerator":12}]},{"sku":"IM-B","name":"B","base_unit":"EA"},{"sku":"IM-Z","name":"Z","base_unit":"EA"}]', 'im-erp');
SELECT count(*) FROM distsync.apply_all('agreement', '[
	{"code":"IM-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"IM-A","value":"10"},{"what":"IM-B","value":"20"},{"what":"IM-Z","value":"5"}]},
	{"code":"IM-BOOK","slot":"book","currency":"USD","assignments":[{"who_kind":"customer","who":"IM-D"}],"rates":[{"what":"IM-B","value":"18"}]},
	{"code":"IM-K","slot":"contract","currency":"USD","rates":[{"customer":"IM-P","what":"IM-B","calc":"percent_off","value":"10","base":"IM-BOOK"}]}]', 'im-erp');
SELECT order_number, net_amount FROM distsync.submit_order('{"order_number":"IM-1","company":"IM-US","customer":"IM-C","lines":[{"item":"IM-A","quantity":2,"unit":"BX"},{"item":"IM-B","quantity":3},{"item":"IM-Z","quantity":1}]}');
SELECT order_number, net_amount FROM distsync.submit_order('{"order_number":"IM-2","company":"IM-US","customer":"IM-D","lines":[{"item":"IM-B","quantity":10}]}');
SELECT order_number, net_amount FROM distsync.submit_order('{"order_number":"IM-3","company":"IM-US","customer":"IM-D","lines":[{"item":"IM-Z","quantity":10}]}');
-- a quote with a promised price, and four of the ten of the second order have left
INSERT INTO dist.sales_order (customer_id, company_id, order_number, kind, source, payer_id, currency, ordered_at, state, correlation_id)
	SELECT o.customer_id, o.company_id, 'IM-Q', 'quote', o.source, o.payer_id, o.currency, o.ordered_at, 'accepted', gen_random_uuid() FROM dist.sales_order o WHERE o.order_number = 'IM-2';
INSERT INTO dist.order_line (customer_id, order_id, line_no, item_id, requested_item_id, quantity, requested_quantity, unit, base_quantity, unit_price, net_amount)
	SELECT q.customer_id, q.order_id, 1, l.item_id, l.item_id, 5, 5, 'EA', 5, 17, 85 FROM dist.sales_order q, dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) WHERE q.order_number = 'IM-Q' AND o.order_number = 'IM-2';
SELECT outcome FROM distsync.apply('price_lock', '{"customer":"IM-D","document_type":"quote","document_key":"IM-Q","item":"IM-B","unit":"EA","unit_price":"17","currency":"USD","reason":"promised","approved_by":"ann"}', 'im-erp');
UPDATE dist.order_line l SET shipped_quantity = 4 FROM dist.sales_order o WHERE o.customer_id = l.customer_id AND o.order_id = l.order_id AND o.order_number = 'IM-2';
-- nothing there, nothing to say
SELECT * FROM distsync.price_impact('IM-NOBODY');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.price_impact('IM-BOOK');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.price_impact(NULL);
\echo :LAST_ERROR_SQLSTATE
-- a book becomes cheaper: so does the contract that starts from its price, for who is below the party it names; the promise stays
SELECT outcome FROM distsync.apply('agreement', '{"code":"IM-BOOK","publish":false,"valid_from":"2000-01-01","rates":[{"what":"IM-B","value":"15"}]}', 'im-erp');
CREATE VIEW pg_temp.shown AS SELECT i.customer, i.document_kind AS kind, i.document, i.line, i.item, i.quantity, i.unit, i.old_unit_price AS old_price, i.old_net_amount AS old_net, i.new_unit_price AS new_price, i.new_net_amount AS new_net,
	i.delta, i.outcome, i.code, i.detail->>'old_agreement' AS was, i.detail->>'new_agreement' AS now FROM distsync.price_impact('IM-BOOK') i;
SELECT * FROM pg_temp.shown;
SELECT customer, document, line, outcome, new_unit_price FROM distsync.price_impact('IM-BOOK', '{"unchanged":true}');
SELECT customer, document, line, outcome FROM distsync.price_impact('IM-BOOK', '{"customer":"IM-C"}');
-- before the draft begins
SELECT count(*) FROM distsync.price_impact('IM-BOOK', '{"at":"1999-12-31T00:00:00Z"}');
SELECT count(*) FROM distsync.price_impact('IM-BOOK', '{"at_document_date":true,"version":2}');
SELECT * FROM distsync.price_impact_summary('IM-BOOK');
-- discounts off the sum reach lines that the draft does not name
SELECT count(*) FROM distsync.apply_all('agreement', '[
	{"code":"IM-SUM","slot":"order","currency":"USD","combine":"override","assignments":[{"who_kind":"all"}],"rates":[{"what_kind":"all","calc":"amount_off","value":"10","min_quantity":"200"}],"tier_measure":"amount"}]', 'im-erp');
SELECT outcome FROM distsync.apply('agreement', '{"code":"IM-LIST","publish":false,"rates":[{"what":"IM-A","value":"5"},{"what":"IM-Z","value":"5"}]}', 'im-erp');
SELECT i.document, i.line, i.old_unit_price, i.old_net_amount, i.new_unit_price, i.new_net_amount, i.delta, i.outcome, i.code FROM distsync.price_impact('IM-LIST') i;
-- after publication nothing is left to change
SELECT version_no FROM distsync.publish('IM-LIST', '{"supersede":true}');
SELECT * FROM distsync.price_impact('IM-LIST');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT * FROM distsync.price_impact('IM-BOOK', '{"customer":"IM-NOBODY"}');
SELECT * FROM distsync.price_impact('IM-BOOK', '{"when":"now"}');
SELECT * FROM distsync.price_impact('IM-BOOK', '{"version":1}');
SET ROLE distsync_reader;
SELECT * FROM distsync.price_impact('IM-BOOK');
RESET ROLE;
-- the other tests find the books as they should be
SELECT distsync.withdraw('IM-SUM');
UPDATE dist.order_line l SET shipped_quantity = 0 FROM dist.sales_order o WHERE o.customer_id = l.customer_id AND o.order_id = l.order_id AND o.order_number = 'IM-2';
DELETE FROM dist.order_line l USING dist.sales_order o WHERE o.customer_id = l.customer_id AND o.order_id = l.order_id AND o.order_number = 'IM-Q';
DELETE FROM dist.sales_order o WHERE o.order_number = 'IM-Q';
SELECT * FROM distsync.verify() v WHERE v.entity_key LIKE 'IM-%' OR v.entity LIKE 'order%';
