-- reconcile('prices'): charges that differ from what we hold true become exceptions, and close when either side is put right.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('rcp-erp', 'erp'), ('rcp-shop', 'shop');
SELECT * FROM distsync.apply_all('currency', '[{"currency":"USD","minor_units":2},{"currency":"EUR","minor_units":2}]', 'rcp-erp');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"EA"},{"unit":"BX"}]', 'rcp-erp');
SELECT * FROM distsync.apply('company', '{"code":"RCP","name":"Prices Inc","currency":"USD"}', 'rcp-erp');
SELECT * FROM distsync.apply('site', '{"code":"RCP-W","name":"w","company":"RCP"}', 'rcp-erp');
SELECT * FROM distsync.apply('channel', '{"code":"RCP-WEB","name":"shop"}', 'rcp-erp');
SELECT * FROM distsync.apply_all('party', '[{"code":"RCP-C","name":"Customer","roles":["sold_to"]},{"code":"RCP/2","name":"Slash","roles":["sold_to"]}]', 'rcp-erp');
SELECT * FROM distsync.apply_all('item', '[{"sku":"RCP-A","name":"A","base_unit":"EA","family":"RCP-F","units":[{"unit":"BX","numerator":12}]},{"sku":"RCP-B","name":"B","base_unit":"EA","family":"RCP-F"},{"sku":"RCP-D","name":"D","base_unit":"EA"}]', 'rcp-erp');
SELECT * FROM distsync.apply_all('agreement', '[{"code":"RCP-L","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"RCP-A","value":"100"},{"what":"RCP-B","value":"50"},{"what":"RCP-D","value":"7"}]},
	{"code":"RCP-K","slot":"contract","currency":"USD","tier_basis":"family_order","rates":[{"customer":"RCP-C","what":"RCP-A","value":"90"},{"customer":"RCP-C","what":"RCP-A","value":"80","min_quantity":"10"}]}]', 'rcp-erp');
INSERT INTO sync.reconcile_job (code, domain, grace, options) VALUES ('rcp', 'price', '0', '{"customer": "RCP-C"}'), ('rcp_shop', 'price', '0', '{"channel": "RCP-WEB"}');
\o
CREATE FUNCTION pg_temp.charge(customer text, document text, price text, item text DEFAULT 'RCP-A', more jsonb DEFAULT '{}') RETURNS text
LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('observed_price', jsonb_build_object('customer', customer, 'channel', 'RCP-WEB', 'document_type', 'order', 'document_key', document, 'line', 1, 'item', item, 'unit_price', price,
		'currency', 'USD', 'company', 'RCP', 'priced_at', clock_timestamp()) || more, 'rcp-shop')
$$;
CREATE FUNCTION pg_temp.open(job text) RETURNS TABLE (kind text, key text, entity text, entity_key text, severity text, state text, delta numeric, money numeric, currency text, seen bigint, cause text, loser text)
LANGUAGE sql AS $$
	SELECT e.kind, e.trace_key, e.entity, e.entity_key, e.severity, e.state, e.delta, e.money_at_risk, e.currency, e.seen, e.detail->>'cause', e.detail->>'loser'
	FROM distsync.exceptions('{"domain": "price", "state": "all", "limit": 1000}') e WHERE e.detail->>'job' = open.job ORDER BY e.trace_key COLLATE "C", e.exception_id
$$;
-- the shop: below the contract; above it; right; the owner's order: below the contract, right in the order's tier; his invoice for half of it
SELECT pg_temp.charge('RCP-C', 'S1', '72', more => '{"quantity": 3}'), pg_temp.charge('RCP-C', 'S2', '100'), pg_temp.charge('RCP-C', 'S3', '90'), pg_temp.charge('RCP/2', 'S/4', '99');
SELECT outcome FROM distsync.apply_all('order', '[
	{"company":"RCP","order_number":"RCP-1","customer":"RCP-C","lines":[{"line":1,"item":"RCP-A","quantity":6,"unit_price":"80"},{"line":2,"item":"RCP-B","quantity":6,"unit_price":"50"}]},
	{"company":"RCP","order_number":"RCP-2","customer":"RCP-C","lines":[{"line":1,"item":"RCP-A","quantity":5,"unit_price":"80"},{"line":2,"item":"RCP-D","quantity":5,"unit_price":"6.5"}]}]', 'rcp-erp');
SELECT compared, differing, opened, closed, money_at_risk, currency, detail FROM distsync.reconcile('rcp');
SELECT * FROM pg_temp.open('rcp');
-- told once, counted again
SELECT compared, differing, opened, closed FROM distsync.reconcile('rcp');
SELECT key, seen FROM pg_temp.open('rcp');
SELECT count(*) FROM sync.outbox_customer WHERE event_type = 'exception.opened' AND body ->> 'trace_key' LIKE 'rcp:%';
-- an invoice takes the place of its order's lines: half of them, in the order's tier, by the box, one of them wrong
SELECT outcome FROM distsync.apply_all('invoice', '[
	{"company":"RCP","invoice_number":"RCP-I1","order_number":"RCP-1","currency":"USD","net_amount":400,"lines":[{"order_line":1,"quantity":5,"unit":"EA","unit_price":80,"net_amount":400}]},
	{"company":"RCP","invoice_number":"RCP-I2","order_number":"RCP-2","currency":"USD","net_amount":400,"lines":[{"order_line":1,"quantity":5,"unit":"EA","unit_price":80,"net_amount":400},{"description":"freight","net_amount":0}]},
	{"company":"RCP","invoice_number":"RCP-I3","customer":"RCP-C","currency":"USD","net_amount":960,"lines":[{"sku":"RCP-A","quantity":1,"unit":"BX","unit_price":960,"net_amount":960}]}]', 'rcp-erp');
SELECT compared, differing, opened, closed FROM distsync.reconcile('rcp');
SELECT kind, key, entity, entity_key, state, delta, cause FROM pg_temp.open('rcp');
-- the shop puts one right, takes one back; we put the contract right for another: 80 was agreed
SELECT pg_temp.charge('RCP-C', 'S2', '90');
SELECT outcome FROM distsync.apply('observed_price', '{"customer":"RCP-C","channel":"RCP-WEB","document_type":"order","document_key":"S1","line":1}', 'rcp-shop', options => '{"operation": "deactivate"}');
SELECT outcome FROM distsync.apply('agreement', '{"code":"RCP-K","rates":[{"customer":"RCP-C","what":"RCP-A","value":"80"}]}', 'rcp-erp');
SELECT compared, differing, opened, closed, money_at_risk, detail -> 'causes' AS causes, detail -> 'we_lose' AS we_lose FROM distsync.reconcile('rcp');
SELECT kind, key, state, delta, cause, loser FROM pg_temp.open('rcp');
SELECT cause, side, amount_at_risk, loser FROM distsync.check_prices('{"customer": "RCP-C", "document_key": "RCP-I2"}');
-- what is open is looked at however old it is; a difference within the tolerance is none; money decides severity
SELECT compared, differing, opened, closed FROM distsync.reconcile('rcp', '{"lookback": "0", "error_above": 5}');
SELECT key, severity, state, seen FROM pg_temp.open('rcp') WHERE state = 'open';
SELECT differing, closed FROM distsync.reconcile('rcp', '{"tolerance": 9.99}');
SELECT differing, opened FROM distsync.reconcile('rcp', '{"tolerance": 10}');
-- another job keeps its own, with codes that have slashes; the grace leaves alone what is new
SELECT compared, differing, opened FROM distsync.reconcile('rcp_shop', '{"grace": "1 hour"}');
SELECT compared, differing, opened FROM distsync.reconcile('rcp_shop');
SELECT kind, key, delta, cause FROM pg_temp.open('rcp_shop');
-- somebody knows about it: silent while it is the same
SELECT exception_id AS id FROM distsync.exceptions('{"kind": "price_drift", "trace_key": "rcp_shop:observed/RCP/RCP-WEB/RCP\\/2/order/S\\/4/1"}') \gset
SELECT state FROM distsync.resolve_exception(:id, 'suppressed', 'goodwill');
SELECT opened, detail -> 'suppressed' AS suppressed FROM distsync.reconcile('rcp_shop');
SELECT pg_temp.charge('RCP/2', 'S/4', '98');
SELECT opened, detail -> 'suppressed' AS suppressed FROM distsync.reconcile('rcp_shop');
-- volumes count as they were: the first order got the contract's price and used most of it, the second got the list's; a third was sold too cheap
SELECT outcome FROM distsync.apply('agreement', '{"code":"RCP-V","slot":"contract","currency":"USD","commit_quantity":10,"rates":[{"customer":"RCP/2","what":"RCP-D","value":"5"}]}', 'rcp-erp');
SELECT outcome FROM distsync.apply('order', '{"company":"RCP","order_number":"RCP-5","customer":"RCP/2","lines":[{"line":1,"item":"RCP-D","quantity":8,"unit_price":"5"}]}', 'rcp-erp');
SELECT outcome FROM distsync.apply('order', '{"company":"RCP","order_number":"RCP-6","customer":"RCP/2","lines":[{"line":1,"item":"RCP-D","quantity":8,"unit_price":"7","agreement":"RCP-L"}]}', 'rcp-erp');
SELECT outcome FROM distsync.apply('order', '{"company":"RCP","order_number":"RCP-7","customer":"RCP/2","lines":[{"line":1,"item":"RCP-D","quantity":8,"unit_price":"5","agreement":"RCP-L"}]}', 'rcp-erp');
SELECT a.code, c.quantity FROM dist.commitment c JOIN dist.agreement a USING (agreement_id) WHERE a.code = 'RCP-V';
SELECT document_key, charged, expected, amount_at_risk, cause FROM distsync.check_prices('{"customer": "RCP/2", "source": "order"}');
-- what is refused
\set VERBOSITY terse
SELECT distsync.reconcile('rcp', '{"customer": "RCP-Q"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcp', '{"tolerance": "3"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcp', '{"lots": "never"}');
\echo :LAST_ERROR_SQLSTATE
-- the shipped job is there to be scheduled
SELECT domain, schedule FROM sync.reconcile_job WHERE code = 'prices';
SELECT * FROM distsync_internal.reconcile_verify();
DELETE FROM sync.reconcile_job WHERE code LIKE 'rcp%';
