-- Lots that expire: what they leave of the projection when, by the day of the site; what is promised before takes them first, and who comes
-- too late for them keeps nobody from them.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT * FROM distsync.apply_all('site', '[{"code":"EXP-1","name":"e","company":"INV","tz":"America/New_York"},{"code":"EXP-2","name":"f","company":"INV"}]', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"EXP-A","base_unit":"EA"},{"sku":"EXP-B","base_unit":"EA"},{"sku":"EXP-C","base_unit":"EA"}]', 'distsync');
CREATE FUNCTION pg_temp.tell(sku text, site text, kind text, quantity numeric, more jsonb DEFAULT '{}', source text DEFAULT 'inv-wms') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT outcome FROM distsync.apply('stock_event', jsonb_build_object('event_id', gen_random_uuid(), 'kind', kind, 'sku', sku, 'site', site, 'quantity', quantity, 'event_at', '2024-01-10T10:00:00Z') || more, source) $$;
CREATE VIEW pg_temp.ahead AS SELECT i.sku, CASE WHEN t.moment < '2900-01-01' THEN 'now' ELSE to_char(t.moment, 'YYYY-MM-DD HH24:MI') END AS moment, t.supply, t.demand, t.projected, t.atp,
	(SELECT string_agg(format('%s %s %s', d->>'kind', d->>'reference', d->>'change'), ', ' ORDER BY n) FROM jsonb_array_elements(t.detail) WITH ORDINALITY x(d, n)) AS what, t.moment AS at
	FROM dist.item i CROSS JOIN LATERAL distsync.atp_timeline(i.sku, 'EXP-1') t WHERE i.sku LIKE 'EXP-%';
CREATE FUNCTION pg_temp.broken() RETURNS SETOF text LANGUAGE sql AS $$ SELECT x::text FROM distsync_internal.inventory_verify_stock() x UNION ALL SELECT x::text FROM distsync_internal.inventory_verify_promises() x $$;
SELECT * FROM pg_temp.tell('EXP-A', 'EXP-1', 'receive', 50, '{"lot":"L1","expires_on":"2998-12-10"}');
SELECT * FROM pg_temp.tell('EXP-A', 'EXP-1', 'receive', 20, '{"lot":"L2","expires_on":"2999-01-31"}');
\o
-- as long as nobody wants it: all of each lot goes when the day after begins in New York
SELECT moment, supply, demand, projected, atp, what FROM pg_temp.ahead WHERE sku = 'EXP-A' ORDER BY at;
SELECT t AS at, outcome, on_hand, projected, atp FROM unnest(ARRAY[NULL, '2998-12-11 04:59Z', '2998-12-11 05:00Z', '2999-03-01']::timestamptz[]) t, distsync.atp('EXP-A', 60, NULL, 'EXP-1', t);
-- a later demand that no lot reaches keeps nobody from the lots before; with supply it is covered, and not by them
\o /dev/null
SELECT * FROM distsync.apply('demand', '{"demand_key":"INV/EXP/1","sku":"EXP-A","site":"EXP-1","ordered":30,"required_at":"2999-02-15T00:00:00Z"}', 'inv-erp');
\o
SELECT p.cap, p.low, p.ruled FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'EXP-A';
SELECT moment, supply, demand, projected, atp, what FROM pg_temp.ahead WHERE sku = 'EXP-A' ORDER BY at;
-- loose stock is for that demand: how much of the rest may be promised follows, told by the short way or not
SELECT * FROM pg_temp.tell('EXP-A', 'EXP-1', 'receive', 10);
SELECT p.cap, p.low FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'EXP-A';
SELECT * FROM pg_temp.tell('EXP-A', 'EXP-1', 'receive', 25);
SELECT p.cap, p.low FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'EXP-A';
SELECT * FROM pg_temp.tell('EXP-A', 'EXP-1', 'delta', -30);
SELECT p.cap, p.low FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'EXP-A';
SELECT outcome, available FROM distsync.reserve('[{"item":"EXP-A","quantity":71,"site":"EXP-1"}]', '{"holder":"exp"}');
SELECT * FROM pg_temp.broken();
-- what binds is named, and the terms add up
SELECT t AS at, e->'answer'->>'atp' AS answer, s->>'projected' AS projected, s->>'atp' AS atp, (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') x) AS sum,
	(SELECT x->>'quantity' FROM jsonb_array_elements(s->'terms') x WHERE x->>'term' = 'lots that expire until then') AS expire, (s->'binds') - '{documents}'::text[] AS binds
FROM unnest(ARRAY[NULL, '2998-12-20', '2999-02-01', '2999-03-01']::timestamptz[]) t, distsync.explain_atp('EXP-A', 1, NULL, 'EXP-1', t) e, jsonb_array_elements(e->'sites') s;
-- promises take what expires first: of those for a later date, before it is gone; then not
\o /dev/null
SELECT * FROM pg_temp.tell('EXP-B', 'EXP-1', 'receive', 40, '{"lot":"L3","expires_on":"2998-12-10"}');
SELECT * FROM pg_temp.tell('EXP-B', 'EXP-1', 'receive', 10);
SELECT * FROM distsync.apply('supply', '{"kind":"purchase","reference":"EXP-P/1","sku":"EXP-B","site":"EXP-1","quantity":15,"expected_at":"2999-01-05T00:00:00Z"}', 'inv-erp');
\o
SELECT r.holder, r.outcome, r.quantity, r.detail->>'promised_at' AS promised FROM (VALUES (1, 30, '2998-12-01', 'b1'), (2, 30, '2998-12-11 05:00Z', 'b2'), (3, 20, '2998-12-11 05:00Z', 'b3')) q(n, quantity, wanted, holder)
CROSS JOIN LATERAL (SELECT q.holder, x.* FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'EXP-B', 'quantity', q.quantity, 'site', 'EXP-1', 'requested_at', q.wanted)), jsonb_build_object('mode', 'one_date', 'holder', q.holder)) x) r ORDER BY q.n;
SELECT moment, supply, demand, projected, atp, what FROM pg_temp.ahead WHERE sku = 'EXP-B' ORDER BY at;
SELECT outcome, quantity, detail->>'promised_at' < '2900' AS now FROM distsync.reserve('[{"item":"EXP-B","quantity":15,"site":"EXP-1"}]', '{"mode":"schedule","holder":"b4"}');
SELECT moment, supply, demand, projected, atp, what FROM pg_temp.ahead WHERE sku = 'EXP-B' ORDER BY at;
-- the lot turns out to expire before: who counted on it is dated anew
\o /dev/null
SELECT * FROM pg_temp.tell('EXP-B', 'EXP-1', 'delta', 0.5, '{"lot":"L3","expires_on":"2998-11-10"}');
\o
SELECT r.holder, r.quantity, r.kind, r.promised_at < '2900-01-01' AS now, CASE WHEN r.promised_at > '2900-01-01' THEN r.promised_at END AS promised_at FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku = 'EXP-B' ORDER BY r.holder, r.promised_at;
SELECT * FROM pg_temp.broken();
-- the day is that of the site: here it is over at once elsewhere
\o /dev/null
SELECT * FROM pg_temp.tell('EXP-C', 'EXP-1', 'receive', 5, jsonb_build_object('lot', 'L4', 'expires_on', (now() AT TIME ZONE 'Pacific/Kiritimati')::date - 1));
\o
SELECT count(*) FROM distsync.apply_all('site', '[{"code":"EXP-1","tz":"Pacific/Kiritimati"}]', 'distsync');
SELECT atp, on_hand FROM distsync.atp('EXP-C', 1, NULL, 'EXP-1');
SELECT a.moment FROM pg_temp.ahead a WHERE a.sku = 'EXP-A' AND a.what LIKE 'expiry L1%';
SELECT count(*) FROM distsync.apply_all('site', '[{"code":"EXP-1","tz":"Pacific/Pago_Pago"}]', 'distsync');
SELECT atp, on_hand FROM distsync.atp('EXP-C', 1, NULL, 'EXP-1');
SELECT * FROM pg_temp.broken();
-- who wants a longer life sees it gone earlier
SELECT t AS at, atp, projected FROM unnest(ARRAY['2998-10-31', '2998-11-30', '2999-01-15']::timestamptz[]) t, distsync.atp('EXP-A', 1, NULL, 'EXP-1', t, '{"min_shelf_days":30}');
SELECT count(*) FROM (VALUES ('b1'), ('b3'), ('b4')) h(holder) CROSS JOIN LATERAL distsync.release_reservations(NULL, jsonb_build_object('holder', h.holder));
SELECT * FROM pg_temp.broken();
-- several lots that go on one day go once, and each is named; who comes before is promised all of them
\o /dev/null
SELECT * FROM distsync.apply('item', '{"sku":"EXP-D","base_unit":"EA"}', 'distsync');
SELECT pg_temp.tell('EXP-D', 'EXP-1', 'receive', 10, jsonb_build_object('lot', 'D' || n, 'expires_on', CASE WHEN n < 4 THEN '2998-12-10' ELSE '2999-03-31' END)) FROM generate_series(1, 6) n;
SELECT * FROM distsync.apply('demand', '{"demand_key":"INV/EXP/D","sku":"EXP-D","site":"EXP-1","ordered":50,"required_at":"2999-02-15T00:00:00Z"}', 'inv-erp');
\o
SELECT moment, supply, demand, projected, atp, what FROM pg_temp.ahead WHERE sku = 'EXP-D' ORDER BY at;
SELECT p.cap, p.low, p.ruled FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'EXP-D';
SELECT outcome, quantity FROM distsync.reserve('[{"item":"EXP-D","quantity":30,"site":"EXP-1"}]');
SELECT * FROM pg_temp.broken();
