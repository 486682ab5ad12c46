-- credit_world.sql: the small world of t/091_credit_fire.pl, few accounts below two groups, so that everybody wants the same money, and the ledger of
-- what clients were told. A line of the ledger is written in the transaction of the answer, under the locks of its account: it lasts exactly if what
-- was done does, and its instant is in the order of the locks.
\set ON_ERROR_STOP 1
SELECT distsync.add_system('erp', 'erp'), distsync.add_system('wms', 'wms'), distsync.add_system('shop', 'shop');
SELECT distsync.own('order', 'erp');
SELECT * FROM distsync.apply('currency', '{"currency":"USD"}', 'erp');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'erp');
SELECT * FROM distsync.apply('company', '{"code":"C","name":"c","currency":"USD"}', 'erp');
SELECT * FROM distsync.apply_all('site', '[{"code":"S1","name":"one","company":"C","rank":1},{"code":"S2","name":"two","company":"C","rank":2}]', 'erp');

CREATE SCHEMA fire;

-- account: the leaves carry one customer each, groups stand above. Of clean ones nothing is told that passes a limit by itself, and no rule or
-- authority lets anything pass, and nothing is held when it leaves: exposure beyond the highest limit that ever stood is a command that passed it. Of the others anything.
CREATE TABLE fire.account (code text PRIMARY KEY, parent text, clean boolean NOT NULL, limit_amount numeric, highest numeric, release_order text NOT NULL, policy jsonb NOT NULL DEFAULT '{}', weight integer NOT NULL, horizon integer);
INSERT INTO fire.account (code, parent, clean, limit_amount, release_order, policy, weight) VALUES
	('G1', NULL, true, 2500, 'date', '{}', 0), ('A1', 'G1', true, 1200, 'date', '{"credit_at":"pick"}', 6), ('A2', 'G1', true, 1200, 'date', '{"held_stock":"none","credit_at":"pick"}', 4), ('A3', 'G1', true, NULL, 'date', '{"credit_at":"pick"}', 3),
	('S1', NULL, true, 1000, 'best_fit', '{"credit_at":"pick"}', 6),
	('G2', NULL, false, 3000, 'priority', '{}', 0), ('B1', 'G2', false, 1500, 'date', '{"answer_within":"2 seconds"}', 4), ('B2', 'G2', false, 1500, 'date', '{"held_stock":"none","offer_within":"2 seconds"}', 4), ('B3', 'G2', false, NULL, 'date', '{}', 2),
	('S2', NULL, false, 1000, 'prefix', '{"on_hold":"refuse"}', 1), ('S3', NULL, false, 800, 'prefix', '{}', 2);
-- those that count open orders when they ship soon; their customers order for days to come, and days pass for them
INSERT INTO fire.account (code, parent, clean, limit_amount, release_order, policy, weight, horizon) VALUES
	('G3', NULL, false, 2000, 'date', '{}', 0, 6), ('H1', 'G3', false, 900, 'date', '{}', 4, 3), ('H2', 'G3', false, 1200, 'date', '{"credit_at":"entry"}', 3, NULL), ('H3', NULL, false, 700, 'priority', '{"held_stock":"none"}', 4, 4);
UPDATE fire.account SET highest = limit_amount;
SELECT * FROM distsync.apply_all('party', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('code', a.code, 'name', a.code, 'currency', 'USD', 'roles', '["sold_to","payer"]'::jsonb, 'order_policy', NULLIF(a.policy, '{}')))) FROM fire.account a), 'erp');
SELECT * FROM distsync.apply_all('credit_account', (SELECT jsonb_agg(jsonb_build_object('code', a.code, 'customer', a.code, 'currency', 'USD', 'parent', a.parent, 'release_order', a.release_order, 'approved_by', 'start', 'horizon_days', a.horizon)
	|| CASE WHEN a.limit_amount IS NULL THEN '{}' ELSE jsonb_build_object('limit', a.limit_amount) END ORDER BY a.parent NULLS FIRST) FROM fire.account a), 'erp');

-- item: prices and quantities are whole numbers, so that every part of an order is worth what can be counted on fingers; there is little of RARE
CREATE TABLE fire.item (sku text PRIMARY KEY, price numeric NOT NULL, stock numeric NOT NULL);
INSERT INTO fire.item VALUES ('X1', 10, 1000000), ('X2', 7, 1000000), ('X3', 25, 1000000), ('X4', 60, 1000000), ('RARE', 15, 20);
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', i.sku, 'base_unit', 'EA')) FROM fire.item i), 'erp');
SELECT * FROM distsync.apply('agreement', (SELECT jsonb_build_object('code', 'LIST', 'slot', 'list', 'company', 'C', 'currency', 'USD', 'valid_from', '2020-01-01', 'assignments', '[{"who_kind":"all"}]'::jsonb, 'publish', true,
	'rates', jsonb_agg(jsonb_build_object('what', i.sku, 'value', i.price::text))) FROM fire.item i), 'erp');
SELECT * FROM distsync.apply_all('stock_event', (SELECT jsonb_agg(jsonb_build_object('event_id', 'E' || i.sku || s, 'event_at', '2026-01-01T00:00:00Z', 'kind', 'count', 'sku', i.sku, 'site', s, 'quantity', i.stock)) FROM fire.item i, unnest('{S1,S2}'::text[]) s), 'wms');

-- one client at a time has its row: where a backend is killed, the next one waits until it is really gone
CREATE TABLE fire.client (client integer PRIMARY KEY);
CREATE SEQUENCE fire.number;
-- told: what a client asked and what it was answered. at: when, under the locks of the account; decided_at: when it made its first decision.
CREATE TABLE fire.told (id bigint PRIMARY KEY DEFAULT nextval('fire.number'), at timestamptz NOT NULL DEFAULT clock_timestamp(), xid xid NOT NULL DEFAULT pg_current_xact_id()::xid, client integer NOT NULL, verb text NOT NULL,
	key text, account text, number text, amount numeric, asked jsonb, answer jsonb, decided_at timestamptz);
CREATE INDEX told_key_idx ON fire.told (client, verb) WHERE key IS NOT NULL;
CREATE INDEX told_number_idx ON fire.told (verb, number);
-- what stood at the beginning was told too
INSERT INTO fire.told (client, verb, account, amount) SELECT 0, 'limit', a.code, a.limit_amount FROM fire.account a;
