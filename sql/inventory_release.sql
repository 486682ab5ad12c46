-- Goods in quality, in returns and in transit: expected to be released, so that they go on covering whoever was promised them.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply('calendar', '{"code":"REL-CAL","tz":"America/New_York","weekdays":[1,2,3,4,5],"days":[{"day":"2998-12-25","open":false}]}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"REL-1","name":"r","company":"INV"},{"code":"REL-2","name":"r","company":"INV","calendar":"REL-CAL"}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"REL-A","base_unit":"EA"},{"sku":"REL-B","base_unit":"EA"},{"sku":"REL-C","base_unit":"EA"},{"sku":"REL-D","base_unit":"EA"}]', 'distsync');
CREATE FUNCTION pg_temp.tell(sku text, site text, kind text, quantity numeric, state text DEFAULT 'available', more jsonb DEFAULT '{}', source text DEFAULT 'inv-wms', ago interval DEFAULT '0') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', gen_random_uuid(), 'kind', kind, 'sku', sku, 'site', site, 'quantity', quantity, 'state', state, 'event_at', statement_timestamp() - ago) || more, source) $$;
CREATE FUNCTION pg_temp.ahead(sku text, site text) RETURNS TABLE (days numeric, supply numeric, projected numeric, atp numeric, what text) LANGUAGE sql AS $$
	SELECT CASE WHEN t.moment > now() + interval '100 days' THEN 400 ELSE round(extract(epoch FROM t.moment - statement_timestamp()) / 86400, 1) END, t.supply, t.projected, t.atp,
		(SELECT string_agg(format('%s %s %s', d->>'kind', d->>'reference', d->>'change'), ', ' ORDER BY n) FROM jsonb_array_elements(t.detail) WITH ORDINALITY x(d, n)) FROM distsync.atp_timeline(sku, site) t ORDER BY t.moment $$;
CREATE FUNCTION pg_temp.broken() RETURNS SETOF text LANGUAGE sql AS $$ SELECT x::text FROM distsync_internal.inventory_verify_stock() x UNION ALL SELECT x::text FROM distsync_internal.inventory_verify_promises() x $$;
CREATE VIEW pg_temp.promised AS SELECT r.holder, r.quantity, r.kind, round(extract(epoch FROM r.promised_at - statement_timestamp()) / 86400, 1) AS days FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'REL-%' AND r.state = 'held';
SELECT * FROM distsync.apply('item_site', '{"sku":"REL-A","site":"REL-1","backorder_cap":50}', 'inv-erp');
SELECT * FROM distsync.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'REL-P/1', 'sku', 'REL-A', 'site', 'REL-1', 'quantity', 100, 'expected_at', now() + interval '3 days'), 'inv-erp');
SELECT * FROM distsync.reserve('[{"item":"REL-A","quantity":20,"site":"REL-1"}]', '{"holder":"b","ttl":"30 days"}');
SELECT * FROM distsync.reserve('[{"item":"REL-A","quantity":60,"site":"REL-1"}]', '{"holder":"d","ttl":"30 days","mode":"one_date"}');
\o
SELECT * FROM pg_temp.promised ORDER BY holder;
-- the purchase comes into quality: nobody loses his date, it is earlier
SELECT * FROM pg_temp.tell('REL-A', 'REL-1', 'receive', 100, 'quality', '{"reference":"REL-P/1"}');
SELECT s.status, s.received FROM dist.supply s WHERE s.reference = 'REL-P/1';
SELECT * FROM pg_temp.promised ORDER BY holder;
SELECT * FROM pg_temp.ahead('REL-A', 'REL-1');
SELECT count(*) FROM sync.exception WHERE kind IN ('promise_moved', 'shortfall') AND trace_key = 'REL-A@REL-1' AND state IN ('open', 'acknowledged');
-- part of it is released, part of it is found damaged: then the date of who counted on that is gone
SELECT * FROM pg_temp.tell('REL-A', 'REL-1', 'transfer', 30, 'quality');
SELECT * FROM pg_temp.promised ORDER BY holder;
SELECT * FROM pg_temp.tell('REL-A', 'REL-1', 'transfer', 60, 'quality', '{"to_state":"damaged"}');
SELECT * FROM pg_temp.promised ORDER BY holder;
SELECT count(*) FROM sync.exception WHERE kind = 'promise_moved' AND trace_key = 'REL-A@REL-1' AND state IN ('open', 'acknowledged');
SELECT * FROM pg_temp.broken();
-- what came first is released first: the rest is what came last; what is overdue counts within the grace, and the explanation says so
\o /dev/null
SELECT * FROM pg_temp.tell('REL-B', 'REL-1', 'receive', 10, 'quality', '{}', 'inv-wms', '60 hours');
SELECT * FROM pg_temp.tell('REL-B', 'REL-1', 'receive', 5, 'quality', '{"reference":"R5"}', 'inv-wms', '12 hours');
SELECT * FROM pg_temp.tell('REL-B', 'REL-1', 'transfer', 3, 'quality');
\o
SELECT * FROM pg_temp.ahead('REL-B', 'REL-1');
SELECT outcome FROM distsync.apply('item_site', '{"sku":"REL-B","site":"REL-1","supply_grace_days":5,"safety":1}', 'inv-erp');
SELECT * FROM pg_temp.ahead('REL-B', 'REL-1');
SELECT o->>'kind' AS kind, o->>'quantity' AS quantity, (o->>'counts_from') IS NOT NULL AS counts FROM jsonb_array_elements(distsync.explain_atp('REL-B', 1, NULL, 'REL-1')->'sites'->0->'overdue') o;
SELECT e->'answer'->>'atp' AS atp, (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(e->'sites'->0->'terms') t) AS sum, (SELECT t->>'quantity' FROM jsonb_array_elements(e->'sites'->0->'terms') t WHERE t->>'term' = 'supply until then') AS supply
FROM distsync.explain_atp('REL-B', 1, NULL, 'REL-1', now() + interval '10 days') e;
SELECT outcome FROM distsync.apply('item_site', '{"sku":"REL-B","site":"REL-1","inspection_days":-1}', 'inv-erp');
SELECT * FROM pg_temp.ahead('REL-B', 'REL-1');
-- returns and goods in transit only where it is said after how long; in transit a supply of the same name says it
\o /dev/null
SELECT * FROM pg_temp.tell('REL-C', 'REL-1', 'receive', 4, 'returns');
SELECT * FROM pg_temp.tell('REL-C', 'REL-1', 'delta', 6, 'in_transit', '{"reference":"T1"}');
SELECT * FROM pg_temp.tell('REL-C', 'REL-1', 'delta', 8, 'in_transit', '{"reference":"T2"}');
\o
SELECT * FROM pg_temp.ahead('REL-C', 'REL-1');
SELECT outcome FROM distsync.apply('item_site', '{"sku":"REL-C","site":"REL-1","returns_days":2,"transit_days":5}', 'inv-erp');
SELECT outcome FROM distsync.apply('supply', jsonb_build_object('kind', 'transfer', 'reference', 'T2', 'sku', 'REL-C', 'site', 'REL-1', 'quantity', 8, 'expected_at', now() + interval '3 days'), 'inv-erp');
SELECT * FROM pg_temp.ahead('REL-C', 'REL-1');
SELECT * FROM pg_temp.tell('REL-C', 'REL-1', 'receive', 8, 'available', '{"reference":"T2"}');
SELECT * FROM pg_temp.ahead('REL-C', 'REL-1');
-- what a state means may change: pools follow
BEGIN;
UPDATE dist.stock_state SET release_share = 0.5 WHERE state = 'returns';
SELECT * FROM pg_temp.ahead('REL-C', 'REL-1');
SELECT * FROM pg_temp.broken();
ROLLBACK;
-- the warehouse leads where one tells stock of the item, else the book
\o /dev/null
SELECT * FROM pg_temp.tell('REL-D', 'REL-1', 'receive', 9, 'quality', '{}', 'inv-erp');
SELECT * FROM pg_temp.tell('REL-D', 'REL-1', 'receive', 1, 'available', '{}', 'inv-erp');
\o
SELECT * FROM pg_temp.ahead('REL-D', 'REL-1');
SELECT * FROM pg_temp.tell('REL-D', 'REL-1', 'receive', 7, 'quality', jsonb_build_object('lot', 'L', 'expires_on', (now() AT TIME ZONE 'UTC')::date + 400));
SELECT * FROM pg_temp.ahead('REL-D', 'REL-1');
SELECT * FROM pg_temp.broken();
-- also where it has released all of it under a name that the book has not told yet, scrapped it, or counted none
\o /dev/null
SELECT * FROM distsync.apply('item', '{"sku":"REL-E","base_unit":"EA"}', 'distsync');
SELECT t FROM unnest(ARRAY['inv-wms', 'inv-erp']) s, pg_temp.tell('REL-E', 'REL-1', 'receive', 10, 'quality', '{"reference":"R10"}', s) t;
\o
SELECT * FROM pg_temp.ahead('REL-E', 'REL-1');
BEGIN;
SELECT * FROM pg_temp.tell('REL-E', 'REL-1', 'transfer', 10, 'quality', '{"reference":"T10"}');
SELECT * FROM pg_temp.ahead('REL-E', 'REL-1');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"REL-E","quantity":15,"site":"REL-1"}]', '{"mode":"one_date"}');
ROLLBACK;
BEGIN;
SELECT * FROM pg_temp.tell('REL-E', 'REL-1', 'delta', -10, 'quality');
SELECT * FROM pg_temp.ahead('REL-E', 'REL-1');
ROLLBACK;
SELECT * FROM pg_temp.tell('REL-E', 'REL-1', 'count', 0, 'quality');
SELECT * FROM pg_temp.ahead('REL-E', 'REL-1');
SELECT * FROM pg_temp.broken();
-- and from its first word on, whatever that is about
\o /dev/null
SELECT * FROM distsync.apply('item', '{"sku":"REL-F","base_unit":"EA"}', 'distsync');
SELECT * FROM pg_temp.tell('REL-F', 'REL-1', 'receive', 9, 'quality', '{}', 'inv-erp');
\o
SELECT supply, atp FROM pg_temp.ahead('REL-F', 'REL-1');
SELECT * FROM pg_temp.tell('REL-F', 'REL-1', 'receive', 2);
SELECT supply, atp FROM pg_temp.ahead('REL-F', 'REL-1');
SELECT * FROM pg_temp.broken();
-- working days of the site, at the same time of day: over a weekend, a holiday, and where it is never open
SELECT d AS days, distsync_internal.inventory_released_at(s.site_id, '2998-12-21 20:30:00Z', d) AT TIME ZONE 'America/New_York' AS at FROM dist.site s, unnest(ARRAY[0, 1, 2, 3, 4]) d WHERE s.code = 'REL-2';
SELECT distsync_internal.inventory_released_at(s.site_id, '2998-12-21 20:30:00Z', 2) FROM dist.site s WHERE s.code = 'REL-1';
SELECT outcome FROM distsync.apply('calendar', '{"code":"REL-CAL","weekdays":[]}', 'distsync');
SELECT distsync_internal.inventory_released_at(s.site_id, '2998-12-21 20:30:00Z', 1) FROM dist.site s WHERE s.code = 'REL-2';
-- wrong input
SELECT outcome, sqlstate, field, message FROM distsync.apply_all('item_site', '[{"sku":"REL-A","site":"REL-1","inspection_days":367},{"sku":"REL-A","site":"REL-1","returns_days":-2},{"sku":"REL-A","site":"REL-1","transit_days":1.5}]', 'inv-erp', NULL, '{"on_error":"collect"}');
\o /dev/null
SELECT * FROM distsync.release_reservations(NULL, '{"holder":"b"}');
SELECT * FROM distsync.release_reservations(NULL, '{"holder":"d"}');
\o
SELECT * FROM pg_temp.broken();
