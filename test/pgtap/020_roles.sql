-- Who may do what: the verbs as the rooms register them, the tables as schema_grant() gives them, secrets to nobody; and a day of
-- order entry by somebody who may do that and nothing else.
BEGIN;
SELECT plan(45);
SET LOCAL client_min_messages = warning;

CREATE TEMP VIEW person AS
	SELECT r.oid, r.rolname, substr(r.rolname, 10) AS short FROM pg_roles r
	WHERE r.rolname IN ('distsync_reader', 'distsync_order_entry', 'distsync_integrator', 'distsync_operator', 'distsync_admin', 'distsync_portal');
CREATE TEMP VIEW verb AS
	SELECT p.oid, p.proname AS name, p.oid::regprocedure::text AS signature, v.roles
	FROM pg_proc p LEFT JOIN distsync_internal.verb v ON v.name = p.proname
	WHERE p.pronamespace = 'distsync'::regnamespace;
CREATE TEMP VIEW book AS
	SELECT c.oid, n.nspname, n.nspname || '.' || c.relname AS name, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname IN ('dist', 'sync', 'distsync_internal') AND c.relkind IN ('r', 'p', 'v', 'm', 'S');

-- ---- verbs -----------------------------------------------------------------------------------------------------------
SELECT is((SELECT count(*)::int FROM person), 6, 'there are six roles for people and programs');
SELECT is_empty($$SELECT signature FROM verb WHERE roles IS NULL$$, 'every function of distsync is registered, also those that only a superuser may call');
SELECT is_empty($$SELECT v.name, r FROM distsync_internal.verb v, unnest(v.roles) r WHERE r <> 'public' AND r NOT IN (SELECT short FROM person)$$, 'no verb is registered for a role that does not exist');
SELECT is_empty($$SELECT p.rolname, v.signature, p.short = ANY (v.roles) AS registered, has_function_privilege(p.oid, v.oid, 'EXECUTE') AS held
	FROM person p CROSS JOIN verb v WHERE (p.short = ANY (v.roles)) IS DISTINCT FROM has_function_privilege(p.oid, v.oid, 'EXECUTE')$$,
	'role by verb: what is registered is what is held');
SELECT is_empty($$SELECT v.signature, a.grantee::regrole FROM verb v JOIN pg_proc p ON p.oid = v.oid, aclexplode(p.proacl) a
	WHERE a.grantee NOT IN (SELECT oid FROM person) AND a.grantee NOT IN (p.proowner, 'distsync_owner'::regrole) AND NOT (a.grantee = 0 AND 'public' = ANY (v.roles))$$, 'nobody else holds a verb');
SELECT is_empty($$SELECT p.rolname, f.oid::regprocedure FROM person p CROSS JOIN pg_proc f
	WHERE f.pronamespace = 'distsync_internal'::regnamespace AND has_function_privilege(p.oid, f.oid, 'EXECUTE')$$, 'no role may call an internal function');
SELECT is_empty($$SELECT p.rolname FROM person p WHERE has_schema_privilege(p.oid, 'distsync_internal', 'USAGE') OR NOT has_schema_privilege(p.oid, 'distsync', 'USAGE')$$,
	'each role sees the verbs and none what is behind them');
SELECT is_empty($$SELECT a.rolname, b.rolname FROM person a CROSS JOIN person b WHERE a.oid <> b.oid AND pg_has_role(a.oid, b.oid, 'MEMBER')
	UNION ALL SELECT a.rolname, 'distsync_owner' FROM person a WHERE pg_has_role(a.oid, 'distsync_owner', 'MEMBER')$$, 'no role is a member of another, or of the owner');
SELECT is_empty($$SELECT v.signature FROM verb v WHERE v.roles && '{reader,order_entry}' AND v.name NOT IN (
		'restricted', 'in_scope', 'scope',
		'price', 'prices', 'price_sheet', 'explain_price', 'check_prices', 'prove_prices', 'verify_proof', 'charges', 'explain_charges', 'pocket_price', 'atp', 'atp_timeline', 'explain_atp', 'hot_items', 'stock_as_of', 'published_stock', 'count_differences', 'credit', 'explain_credit', 'credit_what_if', 'open_items', 'aging', 'agings', 'statement', 'exceptions',
		'preview_order', 'order_status', 'reservation_status', 'version', 'status', 'health', 'metrics', 'metrics_text', 'slo_status', 'progress',
		'submit_order', 'cancel_order', 'change_order', 'pick_order', 'answer_offer', 'ship', 'hold_order', 'return_status', 'authorise_return', 'receive_return', 'inspect_return', 'cancel_return', 'reserve', 'commit_reservation', 'commit_reservations', 'release_reservation', 'release_reservations', 'extend_reservation')$$,
	'readers read and order entry takes orders: no verb of set-up, doors or delivery is theirs');
SELECT is_empty($$SELECT v.signature FROM verb v JOIN pg_proc p ON p.oid = v.oid WHERE 'reader' = ANY (v.roles) AND p.provolatile = 'v'
	AND v.name NOT IN ('health', 'metrics', 'metrics_text', 'status', 'progress')$$, 'what a reader may call writes nothing');

-- ---- tables ----------------------------------------------------------------------------------------------------------
SELECT is_empty($$SELECT p.rolname, b.name, r FROM person p CROSS JOIN book b, unnest('{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) r
	WHERE b.relkind <> 'S' AND has_table_privilege(p.oid, b.oid, r)
	UNION ALL
	SELECT p.rolname, b.name, r FROM person p CROSS JOIN book b, unnest('{USAGE,SELECT,UPDATE}'::text[]) r WHERE b.relkind = 'S' AND has_sequence_privilege(p.oid, b.oid, r)$$,
	'no role for people may do more to a table than read it');
SELECT set_eq($$SELECT p.short, b.name, t.attname, a.privilege_type FROM person p CROSS JOIN book b JOIN pg_attribute t ON t.attrelid = b.oid AND t.attnum > 0, aclexplode(t.attacl) a
	WHERE a.grantee = p.oid$$,
	$$SELECT r AS short, 'sync.endpoint' AS name, t.attname, 'SELECT' AS privilege_type FROM unnest('{reader,operator}'::text[]) r, pg_attribute t
	WHERE t.attrelid = 'sync.endpoint'::regclass AND t.attnum > 0 AND NOT t.attisdropped AND t.attname <> 'headers'$$,
	'of endpoints readers and operators see all but the header lines; there are no other grants on columns');
SELECT is_empty($$SELECT p.rolname, b.name FROM person p CROSS JOIN book b
	WHERE b.relkind <> 'S' AND p.short IN ('order_entry', 'integrator', 'portal') AND has_table_privilege(p.oid, b.oid, 'SELECT')$$, 'order entry, integrators and portals read no table: they have verbs');
SELECT is_empty($$SELECT p.rolname, b.name FROM person p CROSS JOIN book b WHERE b.nspname = 'distsync_internal' AND b.relkind <> 'S' AND has_table_privilege(p.oid, b.oid, 'SELECT')$$,
	'nobody reads the tables of distsync_internal');
SELECT is_empty($$SELECT p.rolname, b.name FROM person p CROSS JOIN book b JOIN pg_class c ON c.oid = b.oid
	WHERE NOT c.relispartition AND p.short IN ('reader', 'operator', 'admin') AND b.relkind <> 'S' AND b.nspname IN ('dist', 'sync')
		AND has_table_privilege(p.oid, b.oid, 'SELECT') = (b.name = ANY ('{sync.secret,sync.credential,sync.idempotency}'::text[])
			OR p.short = 'reader' AND b.name = ANY ('{sync.inbox,sync.refused,sync.attempt,sync.event,sync.delivery}'::text[])
			OR p.short IN ('reader', 'operator') AND b.name = 'sync.endpoint')$$,
	'readers, operators and admins read the books, but no secret and no stored answer, and readers no raw body');
SELECT is_empty($$SELECT p.rolname, c.oid::regclass FROM person p CROSS JOIN pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	JOIN book b ON b.oid = i.inhparent WHERE NOT has_table_privilege(p.oid, b.oid, 'SELECT') AND has_table_privilege(p.oid, c.oid, 'SELECT')$$,
	'a partition is no way around the grants of its table');

-- ---- a day of order entry ----------------------------------------------------------------------------------------------
SELECT distsync.add_system('rol-erp', 'erp');
SELECT is((SELECT string_agg(DISTINCT a.outcome, ',') FROM (
	SELECT outcome FROM distsync.apply('currency', '{"currency": "USD"}', 'rol-erp')
	UNION ALL SELECT outcome FROM distsync.apply('unit', '{"unit": "EA"}', 'rol-erp')) a WHERE a.outcome NOT IN ('applied', 'unchanged')), NULL, 'there are a currency and a unit');
SELECT is((SELECT outcome FROM distsync.apply('company', '{"code": "ROL-US", "name": "Roles, Inc.", "currency": "USD"}', 'rol-erp')), 'applied', 'a company');
SELECT is((SELECT outcome FROM distsync.apply('site', '{"code": "ROL-DC", "name": "Roles'' site", "company": "ROL-US"}', 'rol-erp')), 'applied', 'a site');
SELECT is((SELECT outcome FROM distsync.apply('item', '{"sku": "ROL-A", "name": "Roles'' item", "base_unit": "EA"}', 'rol-erp')), 'applied', 'an item');
SELECT is((SELECT outcome FROM distsync.apply('party', '{"code": "ROL-C", "name": "Roles'' customer", "roles": ["sold_to", "payer"], "currency": "USD"}', 'rol-erp')), 'applied', 'a customer');
SELECT is((SELECT outcome FROM distsync.apply('credit_account', '{"code": "ROL-AR", "customer": "ROL-C", "company": "ROL-US", "currency": "USD", "limit": "100"}', 'rol-erp')), 'applied', 'a limit');
SELECT is((SELECT outcome FROM distsync.apply('agreement', '{"code": "ROL-K", "slot": "contract", "currency": "USD", "rates": [{"customer": "ROL-C", "what": "ROL-A", "value": "10"}]}', 'rol-erp')),
	'applied', 'a price');
SELECT is((SELECT outcome FROM distsync.apply('stock_event', '{"event_id": "rol-1", "kind": "count", "perspective": "phys", "sku": "ROL-A", "site": "ROL-DC", "state": "available", "quantity": "40",
	"unit": "EA", "event_at": "2026-01-01T00:00:00Z"}', 'rol-erp')), 'applied', 'and stock');

-- what pgTAP needs to note a result belongs to whoever started the test
GRANT ALL ON ALL TABLES IN SCHEMA pg_temp TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA pg_temp TO PUBLIC;
CREATE ROLE rol_clerk LOGIN IN ROLE distsync_order_entry;
SET LOCAL SESSION AUTHORIZATION rol_clerk;
SELECT results_eq($$SELECT unit_price, net_amount FROM distsync.price('ROL-C', 'ROL-A', 4)$$, $$VALUES (10::numeric, 40::numeric)$$, 'order entry asks for the price');
SELECT results_eq($$SELECT outcome, atp FROM distsync.atp('ROL-A', 4, 'EA', 'ROL-DC')$$, $$VALUES ('available', 40::numeric)$$, 'asks for the stock');
SELECT results_eq($$SELECT outcome, headroom FROM distsync.credit('ROL-C', 40, 'USD', '{"company": "ROL-US"}')$$, $$VALUES ('approved', 100::numeric)$$, 'asks for the credit');
SELECT results_eq($$SELECT state, gross_amount FROM distsync.submit_order('{"order_number": "ROL-1", "company": "ROL-US", "customer": "ROL-C", "currency": "USD",
	"lines": [{"item": "ROL-A", "quantity": 4}]}', 'rol-1')$$, $$VALUES ('accepted', 40::numeric)$$, 'takes the order');
SELECT is(distsync.order_status('ROL-1', '{"company": "ROL-US"}') ->> 'state', 'accepted', 'and sees what became of it');
SELECT results_eq($$SELECT state, credit_state FROM distsync.submit_order('{"order_number": "ROL-2", "company": "ROL-US", "customer": "ROL-C", "currency": "USD",
	"lines": [{"item": "ROL-A", "quantity": 9}]}', 'rol-2')$$, $$VALUES ('held', 'held')$$, 'an order above the limit waits');
SELECT throws_ok($$SELECT distsync.release_order('ROL-2', 'he is a friend', '{"authority": "me"}')$$, '42501', NULL, 'whoever takes orders can not release them');
SELECT is(distsync.cancel_order('ROL-2', 'too much', 'rol-3') ->> 'state', 'cancelled', 'but cancel');
SELECT throws_ok($$SELECT distsync.apply('party', '{"code": "ROL-X"}', 'rol-erp')$$, '42501', NULL, 'order entry sends no facts');
SELECT throws_ok($$SELECT distsync.setup()$$, '42501', NULL, 'nor sets up');
SELECT throws_ok($$SELECT distsync.teardown()$$, '42501', NULL, 'nor tears down');
SELECT throws_ok($$SELECT distsync.add_endpoint('rol', 'rol-erp', 'https://example.com/')$$, '42501', NULL, 'nor sends the events elsewhere');
SELECT throws_ok($$SELECT * FROM distsync.explain_price('ROL-C', 'ROL-A')$$, '42501', NULL, 'nor sees cost and floor');
SELECT throws_ok($$SELECT distsync_internal.base_touch_epoch('price', 0)$$, '42501', NULL, 'nor calls what is behind the verbs');
SELECT throws_ok($$SELECT * FROM dist.sales_order$$, '42501', NULL, 'nor reads a table');
SELECT throws_ok($$SELECT * FROM sync.secret$$, '42501', NULL, 'nor a secret');
SELECT throws_ok($$INSERT INTO dist.credit_limit DEFAULT VALUES$$, '42501', NULL, 'nor writes a limit');
SELECT throws_ok($$UPDATE dist.sales_order SET credit_state = 'approved'$$, '42501', NULL, 'nor changes an order by hand');
SELECT throws_ok($$SET LOCAL ROLE distsync_owner$$, '42501', NULL, 'nor becomes the owner');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT a.role FROM sync.audit a WHERE a.verb = 'submit_order' AND a.entity_key = 'ROL-US/ROL-1'), 'rol_clerk', 'the audit knows who it was');
SELECT is_empty($$SELECT * FROM distsync.verify()$$, 'and the books are right');

SELECT * FROM finish();
ROLLBACK;
