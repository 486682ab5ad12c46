-- Terms that an order asks for and that are not its payer's: the rule terms_change, as long as it waits.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CM-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'CMT', 'CM-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CM-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'CM-ERP');
SELECT distsync.apply('company', '{"code":"CMT","name":"Terms","currency":"USD"}', 'CM-ERP');
SELECT distsync.apply('party', '{"code":"CMT-C","name":"Customer","currency":"USD","payment_terms":"NET30"}', 'CM-ERP');
SELECT distsync.apply('site', '{"code":"CMT-W","name":"w","company":"CMT"}', 'CM-ERP');
SELECT distsync.apply('item', '{"sku":"CMT-A","name":"A","base_unit":"EA"}', 'CM-ERP');
SELECT distsync.apply('agreement', '{"code":"CMT-LIST","slot":"list","company":"CMT","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"CMT-A","value":"10"}]}', 'CM-ERP');
SELECT distsync.apply('credit_account', '{"code":"CMT-C","customer":"CMT-C","company":"CMT","limit":1000}', 'CM-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"cmt-1","kind":"receive","sku":"CMT-A","site":"CMT-W","quantity":1000,"event_at":"2026-01-01T00:00:00Z"}', 'CM-ERP');
SELECT distsync.apply('credit_rule', '{"code":"CMT-TERMS","type":"terms_change","scope_kind":"customer","scope_key":"CMT-C"}', 'CM-ERP');
\o
CREATE FUNCTION pg_temp.try(number text, terms jsonb) RETURNS TABLE (preview text, state text, rules jsonb) LANGUAGE sql AS $$
	SELECT p.state, s.state, jsonb_path_query_array(s.reasons, '$[*].rule')
	FROM (SELECT jsonb_build_object('company', 'CMT', 'customer', 'CMT-C', 'lines', '[{"item":"CMT-A","quantity":1}]'::jsonb) || terms) d(doc), distsync.preview_order(d.doc) p, distsync.submit_order(d.doc || jsonb_build_object('order_number', number)) s $$;
SELECT * FROM pg_temp.try('CMT-T1', '{}');
SELECT * FROM pg_temp.try('CMT-T2', '{"payment_terms":"NET30"}');
SELECT * FROM pg_temp.try('CMT-T3', '{"payment_terms":"NET60"}');
SELECT * FROM pg_temp.try('CMT-T4', '{"payment_terms":7}');
\echo :LAST_ERROR_SQLSTATE
-- money does not change it, nor does time; people do, or the payer's terms
SELECT outcome FROM distsync.apply('payment', '{"company":"CMT","payment_number":"CMT-P1","customer":"CMT-C","currency":"USD","amount":500}', 'CM-ERP');
SELECT s ->> 'state' AS state, s ->> 'payment_terms' AS terms, s -> 'holds' -> 0 -> 'reasons' -> 0 ->> 'rule' AS rule FROM distsync.order_status('CMT-T3', '{"company":"CMT"}') s;
SELECT distsync.release_order('CMT-T3', 'please', '{"company":"CMT"}');
\echo :LAST_ERROR_SQLSTATE
SELECT r ->> 'state' AS state FROM distsync.hold_order('CMT-T3', 'look', '{"company":"CMT","owner":"sales"}') r;
SELECT r ->> 'state' AS state, r -> 'held_by' AS held_by FROM distsync.release_order('CMT-T3', 'fine', '{"company":"CMT","owner":"sales"}') r;
SELECT outcome FROM distsync.apply('party', '{"code":"CMT-C","payment_terms":"NET60"}', 'CM-ERP');
SELECT outcome FROM distsync.apply('payment', '{"company":"CMT","payment_number":"CMT-P2","customer":"CMT-C","currency":"USD","amount":1}', 'CM-ERP');
SELECT s ->> 'state' AS state FROM distsync.order_status('CMT-T3', '{"company":"CMT"}') s;
-- the owner's order says its terms too
SELECT outcome FROM distsync.apply('order', '{"company":"CMT","order_number":"CMT-T9","customer":"CMT-C","payment_terms":"NET10","lines":[{"item":"CMT-A","quantity":1,"unit_price":10}]}', 'CM-ERP');
SELECT order_number, payment_terms FROM dist.sales_order WHERE order_number IN ('CMT-T1', 'CMT-T2', 'CMT-T3', 'CMT-T9') ORDER BY 1;
SELECT body ->> 'payment_terms' AS terms FROM sync.outbox WHERE entity_key = 'CMT/CMT-T3' AND event_type = 'order.held' ORDER BY outbox_id LIMIT 1;
