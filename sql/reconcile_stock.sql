-- reconcile('stock'): the book against the warehouse, movements in flight netted, exceptions opened and closed.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
\o
SET timezone = 'UTC';
\set VERBOSITY default
\set SHOW_CONTEXT never
INSERT INTO dist.currency (currency) VALUES ('USD'), ('EUR') ON CONFLICT DO NOTHING;
INSERT INTO dist.unit (unit) VALUES ('EA'), ('BX') ON CONFLICT DO NOTHING;
INSERT INTO dist.company (code, name, currency) VALUES ('RCN', 'Reconcile Inc', 'USD'), ('RCNEU', 'Reconcile SE', 'EUR');
-- a job of its own, so that the stock of other tests is not compared
INSERT INTO sync.reconcile_job (code, domain, options) VALUES ('rcn', 'stock', '{"company": "RCN"}'), ('rcn_credit', 'credit', '{}'), ('rcn_second', 'stock', '{"site": "RCN/W3"}');
INSERT INTO dist.site (code, company_id) SELECT s, company_id FROM dist.company, unnest(ARRAY['RCN-W1', 'RCN-W2', 'RCN/W3']) s WHERE code = 'RCN';
INSERT INTO dist.site (code, company_id) SELECT 'RCN-E1', company_id FROM dist.company WHERE code = 'RCNEU';
INSERT INTO dist.item (sku, base_unit) SELECT 'RCN-' || i, 'EA' FROM generate_series(1, 12) i;
INSERT INTO dist.item_unit (item_id, unit, numerator) SELECT item_id, 'BX', 10 FROM dist.item WHERE sku = 'RCN-1';
-- company cost by the box; the site knows better for one item
INSERT INTO dist.item_cost (item_id, company_id, unit, cost, currency, valid)
SELECT item_id, company_id, CASE i.sku WHEN 'RCN-1' THEN 'BX' ELSE 'EA' END, CASE i.sku WHEN 'RCN-1' THEN 25 ELSE 4 END, 'USD', tstzrange(NULL, NULL)
FROM dist.item i, dist.company c WHERE i.sku LIKE 'RCN-%' AND i.sku <> 'RCN-5' AND c.code = 'RCN';
INSERT INTO dist.item_cost (item_id, company_id, site_id, unit, cost, currency, valid)
SELECT item_id, s.company_id, s.site_id, 'EA', 7, 'USD', tstzrange(NULL, NULL) FROM dist.item i, dist.site s WHERE i.sku = 'RCN-2' AND s.code = 'RCN-W1';

CREATE FUNCTION pg_temp.balance(sku text, site text, perspective text, quantity numeric, state text DEFAULT 'available', lot text DEFAULT '', counted timestamptz DEFAULT NULL) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO dist.stock_balance (item_id, site_id, perspective, state, lot, quantity, last_event_at, counted_at)
	SELECT i.item_id, s.site_id, balance.perspective, balance.state, balance.lot, balance.quantity, now(), counted
	FROM dist.item i, dist.site s WHERE i.sku = balance.sku AND s.code = balance.site
	ON CONFLICT ON CONSTRAINT stock_balance_pk DO UPDATE SET quantity = excluded.quantity, counted_at = excluded.counted_at
$$;
CREATE FUNCTION pg_temp.move(sku text, site text, perspective text, quantity numeric, reference text, age interval DEFAULT '1 minute', kind text DEFAULT 'delta') RETURNS void
LANGUAGE sql AS $$
	INSERT INTO dist.stock_event (item_id, recorded_at, event_at, kind, perspective, site_id, state, quantity, source, reference)
	SELECT i.item_id, clock_timestamp() - age, clock_timestamp() - age, move.kind, move.perspective, s.site_id, 'available', move.quantity, 'rcn', move.reference
	FROM dist.item i, dist.site s WHERE i.sku = move.sku AND s.code = move.site
$$;
\o /dev/null
-- agree; the warehouse says allocated where the book says available
SELECT pg_temp.balance('RCN-1', 'RCN-W1', 'book', 100), pg_temp.balance('RCN-1', 'RCN-W1', 'phys', 90), pg_temp.balance('RCN-1', 'RCN-W1', 'phys', 10, 'allocated');
-- differ, no movement explains it; in transit is in no building
SELECT pg_temp.balance('RCN-2', 'RCN-W1', 'book', 50), pg_temp.balance('RCN-2', 'RCN-W1', 'phys', 47), pg_temp.balance('RCN-2', 'RCN-W1', 'book', 20, 'in_transit');
-- shipped, not yet posted
SELECT pg_temp.balance('RCN-3', 'RCN-W1', 'book', 30), pg_temp.balance('RCN-3', 'RCN-W1', 'phys', 22), pg_temp.move('RCN-3', 'RCN-W1', 'phys', -8, 'SO-1/1', kind => 'ship');
-- received by the book, not yet by the warehouse, in part
SELECT pg_temp.balance('RCN-4', 'RCN-W1', 'book', 40), pg_temp.balance('RCN-4', 'RCN-W1', 'phys', 34), pg_temp.move('RCN-4', 'RCN-W1', 'book', 10, 'PO-1/1'),
	pg_temp.move('RCN-4', 'RCN-W1', 'phys', 4, 'PO-1/1');
-- the same reference, but old: nothing is on its way any more
SELECT pg_temp.balance('RCN-5', 'RCN-W1', 'book', 12), pg_temp.balance('RCN-5', 'RCN-W1', 'phys', 7), pg_temp.move('RCN-5', 'RCN-W1', 'phys', -5, 'SO-2/1', '1 hour');
-- old and young under one reference: only the young part is netted
SELECT pg_temp.balance('RCN-6', 'RCN-W1', 'book', 60), pg_temp.balance('RCN-6', 'RCN-W1', 'phys', 44), pg_temp.move('RCN-6', 'RCN-W1', 'phys', -15, 'ADJ', '1 hour'), pg_temp.move('RCN-6', 'RCN-W1', 'phys', -1, 'ADJ');
-- a count is no movement; a movement from before the book's last count has been seen by it
SELECT pg_temp.balance('RCN-7', 'RCN-W1', 'book', 9), pg_temp.balance('RCN-7', 'RCN-W1', 'phys', 8), pg_temp.move('RCN-7', 'RCN-W1', 'phys', -1, 'CNT-1', kind => 'count');
SELECT pg_temp.balance('RCN-8', 'RCN-W1', 'book', 9, counted => clock_timestamp()), pg_temp.balance('RCN-8', 'RCN-W1', 'phys', 6), pg_temp.move('RCN-8', 'RCN-W1', 'phys', -3, 'SO-3/1');
-- a movement never makes a difference, nor turns one round
SELECT pg_temp.balance('RCN-9', 'RCN-W1', 'book', 5), pg_temp.balance('RCN-9', 'RCN-W1', 'phys', 5), pg_temp.move('RCN-9', 'RCN-W1', 'phys', -2, 'SO-4/1');
-- lots: kept by both sides, so compared; kept by one side, so summed
SELECT pg_temp.balance('RCN-10', 'RCN-W1', 'book', 5, lot => 'A'), pg_temp.balance('RCN-10', 'RCN-W1', 'book', 5, lot => 'B'),
	pg_temp.balance('RCN-10', 'RCN-W1', 'phys', 6, lot => 'A'), pg_temp.balance('RCN-10', 'RCN-W1', 'phys', 4, lot => 'B');
SELECT pg_temp.balance('RCN-11', 'RCN-W1', 'book', 10), pg_temp.balance('RCN-11', 'RCN-W1', 'phys', 6, lot => 'A'), pg_temp.balance('RCN-11', 'RCN-W1', 'phys', 4, lot => 'B');
-- known to the book only; states differ; a code with a slash; a site about which only one side speaks
SELECT pg_temp.balance('RCN-12', 'RCN-W1', 'book', 3), pg_temp.balance('RCN-12', 'RCN/W3', 'book', 7), pg_temp.balance('RCN-12', 'RCN/W3', 'phys', 7, 'quarantine'), pg_temp.balance('RCN-1', 'RCN-W2', 'book', 99);
\o
SELECT compared, differing, opened, closed, money_at_risk, currency, detail FROM distsync.reconcile('rcn');
SELECT trace_key, left_value, right_value, in_flight, delta, money_at_risk FROM sync.reconcile_difference WHERE run_id = (SELECT max(run_id) FROM sync.reconcile_run) ORDER BY trace_key COLLATE "C";
SELECT kind, trace_key, company, entity, entity_key, severity, state, delta, money_at_risk, currency, seen FROM distsync.exceptions('{"kind": "stock_difference", "company": "RCN"}');
SELECT detail - 'run' AS detail FROM distsync.exceptions('{"trace_key": "rcn:RCN-W1/RCN-6/available"}');
-- what a base unit is worth: by the box here, and the site knows better than the company
SELECT i.sku, s.code, c.* FROM dist.item i CROSS JOIN dist.site s CROSS JOIN LATERAL distsync_internal.master_cost(i.item_id, s.company_id, s.site_id, clock_timestamp()) c
WHERE i.sku IN ('RCN-1', 'RCN-2', 'RCN-5') AND s.code IN ('RCN-W1', 'RCN-W2') ORDER BY 1, 2;
-- told once
SELECT count(*) FROM sync.outbox_customer WHERE event_type = 'exception.opened' AND body ->> 'trace_key' = 'rcn:RCN-W1/RCN-2/available';
-- again: counted, not opened; one is mended, another moves, a tolerance forgives, money decides severity
\o /dev/null
SELECT pg_temp.balance('RCN-2', 'RCN-W1', 'phys', 50), pg_temp.balance('RCN-5', 'RCN-W1', 'phys', 2);
\o
SELECT compared, differing, opened, closed, money_at_risk FROM distsync.reconcile('rcn', '{"tolerance": 3, "error_above": 30}');
SELECT trace_key, severity, state, delta, seen FROM distsync.exceptions('{"kind": "stock_difference", "state": "all", "company": "RCN"}') ORDER BY trace_key COLLATE "C";
SELECT count(*) FROM sync.outbox_customer WHERE event_type = 'exception.closed' AND body ->> 'trace_key' = 'rcn:RCN-W1/RCN-2/available';
-- one site only: what is elsewhere is neither compared nor closed
SELECT compared, differing, opened, closed FROM distsync.reconcile('rcn', '{"site": "RCN/W3"}');
SELECT compared, differing, opened, closed FROM distsync.reconcile('rcn', '{"lots": "never", "tolerance_percent": 50}');

-- people
SELECT exception_id AS id FROM distsync.exceptions('{"trace_key": "rcn:RCN-W1/RCN-12/available"}') \gset
SELECT exception_id AS other FROM distsync.exceptions('{"trace_key": "rcn:RCN-W1/RCN-6/available", "state": "all", "limit": 1}') \gset
SELECT kind, trace_key, state, resolved_at IS NULL AS still_open, resolved_by = session_user AS by_me FROM distsync.resolve_exception(:id, 'acknowledged', 'counting tonight');
SELECT state, seen FROM distsync.exceptions('{"trace_key": "rcn:RCN-W1/RCN-12/available"}');
SELECT state FROM distsync.resolve_exception(:id, 'suppressed', 'known: moved to the outlet');
SELECT state FROM distsync.resolve_exception(:id, 'suppressed', 'known: moved to the outlet');
SELECT detail -> 'suppressed' AS suppressed FROM distsync.reconcile('rcn');
SELECT state, seen FROM distsync.exceptions('{"trace_key": "rcn:RCN-W1/RCN-12/available", "state": "all"}');
-- another difference is another matter; gone, it ends
\o /dev/null
SELECT pg_temp.balance('RCN-12', 'RCN-W1', 'book', 4);
\o
SELECT detail -> 'suppressed' AS suppressed FROM distsync.reconcile('rcn');
\o /dev/null
SELECT pg_temp.balance('RCN-12', 'RCN-W1', 'book', 0);
SELECT distsync.reconcile('rcn');
\o
SELECT state, delta FROM distsync.exceptions('{"trace_key": "rcn:RCN-W1/RCN-12/available", "state": "all"}');
SELECT verb, entity, after, reason FROM sync.audit WHERE entity = 'exception' AND entity_key = :'id' ORDER BY audit_id;
SELECT event_type, body ->> 'state' AS state FROM sync.outbox_customer WHERE entity = 'exception' AND entity_key = :'id' ORDER BY outbox_id;
-- what is refused
\set VERBOSITY sqlstate
SELECT distsync.resolve_exception(:id, 'resolved', 'too late');
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.resolve_exception(:other, 'fixed', 'no such word');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.resolve_exception(:other, 'resolved', ' ');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.resolve_exception(-1, 'resolved', 'nothing there');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.exceptions('{"status": "open"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.exceptions('{"state": "shut"}');
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY terse
SELECT distsync.reconcile('stoc');
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn_credit');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"tolerance": "3"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"grace": "soon"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"grace": "-1 minute"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"sites": "RCN-W1"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"site": "RCN-W9"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"company": "RCNX"}');
\echo :LAST_ERROR_SQLSTATE
SELECT distsync.reconcile('rcn', '{"lots": "some"}');
\echo :LAST_ERROR_SQLSTATE
-- another job keeps exceptions of its own
SELECT compared, differing, opened, closed FROM distsync.reconcile('rcn_second');
SELECT trace_key, delta FROM distsync.exceptions('{"kind": "stock_difference"}') WHERE trace_key LIKE 'rcn%' AND trace_key LIKE '%W3%' ORDER BY trace_key COLLATE "C";
-- two currencies have no sum
\o /dev/null
INSERT INTO dist.item_cost (item_id, company_id, unit, cost, currency, valid) SELECT item_id, company_id, 'EA', 2, 'EUR', tstzrange(NULL, NULL) FROM dist.item, dist.company WHERE sku = 'RCN-5' AND code = 'RCN';
\o
SELECT differing, money_at_risk, currency, detail -> 'money_at_risk' AS money FROM distsync.reconcile('rcn');
-- a role that may only read
SET ROLE distsync_reader;
SELECT count(*) > 0 AS lists FROM distsync.exceptions();
SELECT distsync.reconcile('rcn');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
SELECT * FROM distsync_internal.reconcile_verify();
-- another company: one side only speaks, then nothing differs
\o /dev/null
SELECT pg_temp.balance('RCN-1', 'RCN-E1', 'book', 1);
\o
SELECT compared, differing, detail -> 'sites_of_one_side' AS one_side FROM distsync.reconcile('rcn', '{"company": "RCNEU"}');
SELECT s, distsync_internal.reconcile_gap(s) FROM unnest(ARRAY['*/15 * * * *', '0 2 * * *', '30 * * * *', '* * * * *', '0 */6 * * *', '0 3 * * 1', '10 seconds']) s;
-- runs are forgotten after 90 days, but for the last of a job
UPDATE sync.reconcile_run SET started_at = started_at - interval '100 days' WHERE job IN ('rcn', 'rcn_second');
SELECT distsync_internal.reconcile_retain(1000) > 0 AS forgot, distsync_internal.reconcile_retain(1000) AS more;
SELECT job, count(*) FROM sync.reconcile_run WHERE job LIKE 'rcn%' GROUP BY job ORDER BY job;
-- leave nothing behind
DELETE FROM sync.exception WHERE kind = 'stock_difference' AND trace_key LIKE 'rcn%';
DELETE FROM sync.reconcile_job WHERE code LIKE 'rcn%';
DELETE FROM sync.reconcile_run WHERE job LIKE 'rcn%';
DELETE FROM dist.stock_balance b USING dist.item i WHERE i.item_id = b.item_id AND i.sku LIKE 'RCN-%';
DELETE FROM dist.stock_event b USING dist.item i WHERE i.item_id = b.item_id AND i.sku LIKE 'RCN-%';
