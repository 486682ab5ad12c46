-- Limits that take a second person: what people raise counts when somebody else has approved it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CX-ERP', 'erp');
INSERT INTO sync.ownership (domain, company, system) VALUES ('order', 'CX', 'CX-ERP');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CX-ERP');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'CX-ERP');
SELECT distsync.apply('company', '{"code":"CX","name":"Two","currency":"USD"}', 'CX-ERP');
SELECT distsync.apply_all('party', '[{"code":"CX-A","name":"a"},{"code":"CX-B","name":"b"},{"code":"CX-C","name":"c"}]', 'CX-ERP');
SELECT distsync.apply('site', '{"code":"CX-W","name":"w","company":"CX"}', 'CX-ERP');
SELECT distsync.apply('item', '{"sku":"CX-I","name":"I","base_unit":"EA"}', 'CX-ERP');
SELECT distsync.apply('agreement', '{"code":"CX-LIST","slot":"list","company":"CX","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"CX-I","value":"10"}]}', 'CX-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"cx-1","kind":"receive","sku":"CX-I","site":"CX-W","quantity":100000,"event_at":"2026-01-01T00:00:00Z"}', 'CX-ERP');
CREATE FUNCTION pg_temp.told(doc jsonb, who text DEFAULT 'ann', source text DEFAULT 'distsync') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('distsync.app_user', who, false);
	RETURN (SELECT outcome || COALESCE(' ' || sqlstate, '') FROM distsync.apply('credit_account', doc, source));
END $$;
CREATE FUNCTION pg_temp.approve(account text, who text, options jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('distsync.app_user', who, false);
	RETURN distsync.approve_limit(account, options) - 'limits';
END $$;
CREATE TEMP VIEW limits AS SELECT a.code, a.limit_amount, a.limit_approval, l.kind, l.amount, l.approved_by, l.reason FROM dist.credit_account a LEFT JOIN dist.credit_limit l ON l.account_id = a.account_id AND l.valid @> clock_timestamp() WHERE a.code LIKE 'CX-%' ORDER BY 1, 4;
CREATE TEMP VIEW proposals AS SELECT a.code, p.document, p.proposed_by, p.state, p.decided_by, p.reason, EXISTS (SELECT FROM sync.exception x WHERE x.kind = 'limit_unapproved' AND x.trace_key = a.code AND x.state = 'open') AS exception FROM dist.limit_proposal p JOIN dist.credit_account a USING (account_id) ORDER BY 1, p.proposal_id;
\o
-- a new account has no credit until somebody else has approved it
SELECT pg_temp.told('{"code":"CX-A","customer":"CX-A","company":"CX","limit_approval":"second_person","limit":100,"reason":"new customer"}');
SELECT * FROM limits;
SELECT * FROM proposals;
SELECT s.state, s.reasons -> 0 ->> 'rule' AS rule FROM distsync.submit_order('{"company":"CX","customer":"CX-A","order_number":"CX-1","lines":[{"item":"CX-I","quantity":8}]}') s;
SELECT pg_temp.approve('CX-A', 'ann');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.approve('CX-A', 'bob', '{"reason":"checked"}');
SELECT * FROM limits;
SELECT state, credit_state FROM dist.sales_order WHERE order_number = 'CX-1';
SELECT pg_temp.approve('CX-A', 'bob');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.approve_limit('CX-9');
\echo :LAST_ERROR_SQLSTATE
-- raised: the old one counts; told again: nothing new; another proposal takes its place; who approved is not for the document to say
SELECT pg_temp.told('{"code":"CX-A","limit":500,"approved_by":"cfo"}'), pg_temp.told('{"code":"CX-A","limit":500}'), pg_temp.told('{"code":"CX-A","limits":[{"amount":100},{"kind":"temporary","amount":50,"to":"2100-01-01","approved_by":"cfo"}]}', 'carl');
SELECT * FROM limits;
SELECT * FROM proposals;
SELECT pg_temp.approve('CX-A', 'ann', '{"idempotency_key":"cx-k","reason":"season"}') = pg_temp.approve('CX-A', 'ann', '{"idempotency_key":"cx-k","reason":"season"}') AS the_same;
SELECT * FROM limits;
-- lowered: at once, and what waits for approval is out of date; rejected, also by who made it
SELECT pg_temp.told('{"code":"CX-A","limit":900}'), pg_temp.told('{"code":"CX-A","limit":90}');
SELECT * FROM limits;
SELECT pg_temp.told('{"code":"CX-A","limits":[]}');
SELECT credit_limit FROM distsync.credit('CX-A', options => '{"company":"CX"}');
SELECT pg_temp.told('{"code":"CX-A","limit":null}');
SELECT pg_temp.approve('CX-A', 'ann', '{"reject":true,"reason":"no"}');
SELECT code, document, proposed_by, state, decided_by, reason, exception FROM proposals;
-- a limit that begins later is raised too, one that ends earlier is not
SELECT pg_temp.told('{"code":"CX-A","limit":100}'), pg_temp.approve('CX-A', 'bob') ->> 'state' AS state;
SELECT pg_temp.told('{"code":"CX-A","limits":[{"amount":100,"to":"2090-01-01T00:00:00Z"},{"amount":101,"from":"2090-01-01T00:00:00Z"}]}'), (SELECT count(*) FROM proposals WHERE state = 'open') AS before;
SELECT count(*) FROM proposals WHERE state = 'open';
SELECT pg_temp.told('{"code":"CX-A","limits":[{"amount":100,"to":"2090-01-01T00:00:00Z"}]}');
SELECT count(*) FROM proposals WHERE state = 'open';
-- to end it takes two as well
SELECT pg_temp.told('{"code":"CX-A","limit_approval":"none"}');
SELECT limit_approval FROM dist.credit_account WHERE code = 'CX-A';
SELECT pg_temp.approve('CX-A', 'bob') ->> 'state' AS state;
SELECT limit_approval FROM dist.credit_account WHERE code = 'CX-A';
SELECT pg_temp.told('{"code":"CX-A","limit":1000}');
SELECT limit_amount FROM dist.credit_account WHERE code = 'CX-A';
-- what the owner of credit tells is a fact
SELECT pg_temp.told('{"code":"CX-B","customer":"CX-B","company":"CX","limit_approval":"second_person","limit":100}', 'erp', 'CX-ERP'), pg_temp.told('{"code":"CX-B","limit":200}', 'erp', 'CX-ERP');
SELECT pg_temp.told('{"code":"CX-B","limit":300}'), pg_temp.told('{"code":"CX-B","limit":250}', 'erp', 'CX-ERP');
SELECT * FROM limits WHERE code = 'CX-B';
SELECT code, state, exception FROM proposals WHERE code = 'CX-B';
SELECT verb, reason, before -> 'proposed_by' AS proposed_by, after ->> 'state' AS state FROM sync.audit WHERE verb = 'approve_limit' ORDER BY audit_id;
SELECT * FROM distsync_internal.credit_verify_kept() WHERE entity_key LIKE 'CX%';
RESET distsync.app_user;
