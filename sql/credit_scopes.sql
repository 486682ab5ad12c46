-- Rules of several scopes for one customer: only an exclusion disarms, a nearer block is the more specific threshold, a warning never
-- takes the place of a block.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SET timezone = 'UTC';
INSERT INTO sync.system (code, kind) VALUES ('CS-ERP', 'erp');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'CS-ERP');
SELECT distsync.apply('company', '{"code":"CS","name":"Scopes","currency":"USD"}', 'CS-ERP');
SELECT distsync.apply('party', '{"code":"CS-C","name":"customer"}', 'CS-ERP');
SELECT distsync.apply('party_group', '{"code":"CS-G","kind":"segment","name":"group"}', 'CS-ERP');
INSERT INTO dist.party_member (group_id, party_id) SELECT g.group_id, p.party_id FROM dist.party_group g, dist.party p WHERE g.code = 'CS-G' AND p.code = 'CS-C';
SELECT distsync.apply('credit_account', '{"code":"CS-C","customer":"CS-C","company":"CS"}', 'CS-ERP');
\o
-- with does a decision about an order of 100 under the rules [action, scope, threshold] alone; the rules do not stay
CREATE FUNCTION pg_temp.with(rules jsonb) RETURNS TABLE (outcome text, failing text[], warnings text[]) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO dist.credit_rule (code, type, scope_kind, scope_key, threshold, action)
	SELECT 'CS-' || (r ->> 0) || '-' || (r ->> 1), 'order_amount', r ->> 1, CASE r ->> 1 WHEN 'customer' THEN 'CS-C' WHEN 'group' THEN 'CS-G' ELSE '' END, (r ->> 2)::numeric, r ->> 0 FROM jsonb_array_elements(rules) r;
	RETURN QUERY SELECT c.outcome, ARRAY(SELECT r ->> 'code' FROM jsonb_array_elements(c.reasons) r), ARRAY(SELECT r ->> 'code' FROM jsonb_array_elements(c.detail -> 'warnings') r) FROM distsync.credit('CS-C', 100, options => '{"company":"CS"}') c;
	DELETE FROM dist.credit_rule r WHERE r.code LIKE 'CS-%';
END $$;
SELECT x.rules, w.* FROM (VALUES (1, '[["block","all",50]]'::jsonb),
	(2, '[["block","all",50],["warn","customer",10]]'), (3, '[["block","all",50],["warn","group",10]]'), (4, '[["warn","all",10],["block","customer",50]]'),
	(5, '[["block","all",50],["block","customer",500]]'), (6, '[["block","all",500],["block","group",50]]'), (7, '[["block","all",50],["block","group",500],["block","customer",60]]'),
	(8, '[["block","all",50],["exclude","all",0]]'), (9, '[["block","all",50],["exclude","customer",0]]'), (10, '[["block","customer",50],["exclude","all",0]]'), (11, '[["block","group",50],["exclude","customer",0],["warn","all",10]]'),
	(12, '[["block","all",50],["release","customer",100]]'), (13, '[["block","all",50],["release","all",90],["release","customer",100]]'), (14, '[["warn","all",10],["warn","customer",500]]')) x(n, rules), pg_temp.with(x.rules) w ORDER BY n;
