-- Whoever asks and whoever promises say the same: holds of one's own, companies, quotas over time and of kits, units, items that are blocked.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
SET timezone = 'UTC';
\o /dev/null
SELECT distsync.add_system('agr-wms', 'wms'), distsync.add_system('agr-erp', 'erp');
SELECT * FROM distsync.apply_all('unit', '[{"unit":"AGR-EA","scale":0},{"unit":"AGR-BX","scale":0},{"unit":"AGR-PK","scale":1}]', 'distsync');
SELECT * FROM distsync.apply_all('company', '[{"code":"AGR","name":"a","currency":"USD"},{"code":"AGR-T","name":"t","currency":"USD"}]', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"AGR-1","company":"AGR","rank":1},{"code":"AGR-2","company":"AGR","rank":2},{"code":"AGR-T1","company":"AGR-T","rank":3}]', 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"AGR-C","name":"c"},{"code":"AGR-D","name":"d"}]', 'distsync');
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'AGR-' || s, 'base_unit', 'AGR-EA', 'units', '[{"unit":"AGR-BX","numerator":12,"denominator":1},{"unit":"AGR-PK","numerator":5,"denominator":1}]'::jsonb)) FROM unnest('{OWN,CO,QU,UN,BL,BX}'::text[]) s), 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"AGR-KIT","base_unit":"AGR-EA","kit":true,"units":[{"unit":"AGR-BX","numerator":4,"denominator":1}],"components":[{"sku":"AGR-QU","quantity":2},{"sku":"AGR-UN","quantity":1}]}]', 'distsync');
CREATE FUNCTION pg_temp.count(item text, site text, quantity numeric) RETURNS void LANGUAGE sql AS $$
	SELECT FROM distsync.apply('stock_event', jsonb_build_object('event_id', gen_random_uuid(), 'kind', 'count', 'sku', item, 'site', site, 'quantity', quantity::text, 'event_at', clock_timestamp()), 'agr-wms') $$;
SELECT pg_temp.count(i, s, q) FROM (VALUES ('AGR-OWN', 'AGR-1', 10), ('AGR-OWN', 'AGR-2', 6), ('AGR-CO', 'AGR-1', 2), ('AGR-CO', 'AGR-T1', 50), ('AGR-QU', 'AGR-1', 30), ('AGR-QU', 'AGR-2', 10), ('AGR-UN', 'AGR-1', 13), ('AGR-UN', 'AGR-2', 13), ('AGR-BL', 'AGR-1', 9), ('AGR-BX', 'AGR-1', 7.5)) v(i, s, q);
SELECT * FROM distsync.apply_all('supply', '[{"kind":"purchase","reference":"PO-AGR/1","sku":"AGR-OWN","site":"AGR-2","quantity":20,"expected_at":"2998-01-01T00:00:00Z"},{"kind":"purchase","reference":"PO-AGR/2","sku":"AGR-QU","site":"AGR-2","quantity":20,"expected_at":"2998-01-01T00:00:00Z"}]', 'agr-erp');
\o
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();

-- a holder whose stock was taken away: four are there, and no more for him either; what both truths say has his holds in it too
SELECT outcome FROM distsync.reserve('[{"item":"AGR-OWN","quantity":10,"site":"AGR-1"}]', '{"holder":"agr-a"}');
SELECT pg_temp.count('AGR-OWN', 'AGR-1', 4);
SELECT o, outcome, projected, atp_phys, atp FROM unnest('{"{}","{\"holder\":\"agr-a\"}","{\"holder\":\"agr-b\"}"}'::jsonb[]) o, distsync.atp('AGR-OWN', 10, NULL, 'AGR-1', NULL, o);
SELECT t->>'term' AS term, t->'quantity' AS quantity FROM jsonb_array_elements(distsync.explain_atp('AGR-OWN', 1, NULL, 'AGR-1', NULL, '{"holder":"agr-a"}')->'sites'->0->'terms') t WHERE (t->>'quantity')::numeric <> 0;
-- what he is promised for a later date does not count against him, neither now nor then
SELECT outcome FROM distsync.reserve('[{"item":"AGR-OWN","quantity":22,"site":"AGR-2"}]', '{"holder":"agr-a","mode":"one_date"}');
SELECT o, t, a.projected, a.atp FROM unnest('{"{}","{\"holder\":\"agr-a\"}"}'::jsonb[]) o, unnest('{NULL,2998-01-01}'::timestamptz[]) t, distsync.atp('AGR-OWN', 1, NULL, 'AGR-2', t, o) a;
SELECT CASE WHEN moment > now() + interval '1 day' THEN moment END AS moment, supply, demand, projected, atp, detail FROM distsync.atp_timeline('AGR-OWN', 'AGR-2', NULL, '{"holder":"agr-a"}');

-- a site of another company is not promised where one is named, not even with lines that name no site
SELECT ordinal, outcome, site, quantity, available, detail->'available_at' AS available_at FROM distsync.reserve('[{"item":"AGR-CO","quantity":5,"site":"AGR-T1"}]', '{"company":"AGR"}');
SELECT ordinal, outcome, site, quantity, available FROM distsync.reserve('[{"item":"AGR-CO","quantity":5,"site":"AGR-T1"},{"item":"AGR-CO","quantity":5}]', '{"company":"AGR","mode":"take_up_to"}');
SELECT a.outcome, a.atp, distsync.explain_atp('AGR-CO', 5, NULL, 'AGR-T1', NULL, '{"company":"AGR"}')->'sites' AS sites FROM distsync.atp('AGR-CO', 5, NULL, 'AGR-T1', NULL, '{"company":"AGR"}') a;
SELECT outcome, site FROM distsync.reserve('[{"item":"AGR-CO","quantity":5,"site":"AGR-T1"}]', '{"company":"AGR-T"}');

-- units: two boxes of twelve over two sites of thirteen are one at each; what is finer than its unit is refused
SELECT outcome, site, quantity, available, detail->'base_quantity' AS base FROM distsync.reserve('[{"item":"AGR-UN","quantity":2,"unit":"AGR-BX"}]', '{"holder":"agr-u"}');
SELECT outcome, quantity, available FROM distsync.reserve('[{"item":"AGR-UN","quantity":1,"unit":"AGR-BX"}]', '{"mode":"take_up_to"}');
SELECT u, a.atp, (SELECT sum(r.quantity) FILTER (WHERE r.outcome <> 'short') FROM distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'AGR-UN', 'quantity', 900, 'unit', u)), '{"mode":"take_up_to","ttl":"1 millisecond"}') r) AS promised
FROM unnest('{AGR-PK,AGR-EA}'::text[]) u, distsync.atp('AGR-UN', 1, u) a;
SELECT pg_sleep(0.01) IS NULL AS slept;
SELECT count(*) FROM distsync.release_reservations(NULL, '{"holder":"agr-u"}');
SELECT outcome, site, quantity, available FROM distsync.reserve('[{"item":"AGR-UN","quantity":2.6,"unit":"AGR-PK"}]', '{"ttl":"1 millisecond"}');
SELECT outcome, atp FROM distsync.atp('AGR-BX', 7, NULL, 'AGR-1');
SELECT moment > now() AS later, projected, atp FROM distsync.atp_timeline('AGR-BX', 'AGR-1');
SELECT * FROM distsync.reserve('[{"item":"AGR-UN","quantity":0.5}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"AGR-UN","quantity":0.5,"unit":"AGR-BX"}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.reserve('[{"item":"AGR-UN","quantity":0.1,"unit":"AGR-PK"}]');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM distsync.atp('AGR-UN', 7.5, NULL, 'AGR-1');
\echo :LAST_ERROR_SQLSTATE

-- quotas: what a holder has taken of his share is his; a kit keeps within those of its components; the timeline says what is said of each instant
SELECT outcome FROM distsync.apply_all('stock_quota', '[{"sku":"AGR-QU","scope_kind":"customer","scope_key":"AGR-C","quantity":10},{"sku":"AGR-QU","scope_kind":"collective","quantity":9,"valid_to":"2998-02-01T00:00:00Z"}]', 'agr-erp');
SELECT outcome FROM distsync.reserve('[{"item":"AGR-QU","quantity":8}]', '{"customer":"AGR-C","holder":"agr-q"}');
SELECT o, atp, detail->'quota' AS quota FROM unnest('{"{\"customer\":\"AGR-C\"}","{\"customer\":\"AGR-C\",\"holder\":\"agr-q\"}","{\"customer\":\"AGR-D\"}","{}"}'::jsonb[]) o, distsync.atp('AGR-QU', 1, NULL, NULL, NULL, o);
SELECT o, CASE WHEN t.moment > now() + interval '1 day' THEN t.moment END AS moment, t.projected, t.atp, t.detail, a.atp = t.atp AS same FROM unnest('{"{\"customer\":\"AGR-C\"}","{\"customer\":\"AGR-D\"}"}'::jsonb[]) o, distsync.atp_timeline('AGR-QU', NULL, NULL, o) t, distsync.atp('AGR-QU', 1, NULL, NULL, t.moment, o) a;
SELECT o, q, a.outcome, a.atp, CASE WHEN a.available_at > now() + interval '1 day' THEN a.available_at END AS later, a.detail->'quota' AS quota, r.outcome AS reserve, r.detail->'available_at' AS its
FROM unnest('{"{\"customer\":\"AGR-C\"}","{\"customer\":\"AGR-D\"}"}'::jsonb[]) o, unnest(ARRAY[5, 20]) q, distsync.atp('AGR-KIT', q, NULL, NULL, NULL, o) a, distsync.reserve(jsonb_build_array(jsonb_build_object('item', 'AGR-KIT', 'quantity', q)), o || '{"mode":"all_or_none"}') r;
SELECT e->'answer'->'atp' AS atp, e->'quota' AS quota, (SELECT jsonb_agg(s->'atp') FROM jsonb_array_elements(e->'sites') s) AS sites FROM distsync.explain_atp('AGR-KIT', 1, NULL, NULL, NULL, '{"customer":"AGR-C"}') e;
-- and so does what a channel is shown of it
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"QUO-SHOP","sku":"AGR-KIT"}', 'agr-erp');
SELECT r.body->'atp' AS told, r.body->'channels' AS channels, (SELECT atp FROM distsync.atp('AGR-KIT', 1, NULL, NULL, NULL, '{"channel":"QUO-SHOP"}')) FROM dist.item i, distsync_internal.inventory_render(ARRAY[i.item_id::text]) r WHERE i.sku = 'AGR-QU' AND r.entity_key = 'AGR-KIT';
SELECT outcome, site, quantity FROM distsync.reserve('[{"item":"AGR-KIT","quantity":1,"unit":"AGR-BX"}]', '{"mode":"take_up_to"}');
-- what has left of a share stays used, until it turns out not to have left
SELECT outcome FROM distsync.reserve('[{"item":"AGR-QU","quantity":2,"demand_key":"AGR/9/1","site":"AGR-1"}]', '{"customer":"AGR-C","commit":true}');
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"agr-ship","kind":"ship","sku":"AGR-QU","site":"AGR-1","quantity":2,"reference":"AGR/9/1","event_at":"2024-02-01T00:00:00Z"}', 'agr-wms');
SELECT s.quantity, r.state, (SELECT atp FROM distsync.atp('AGR-QU', 1, NULL, NULL, NULL, '{"customer":"AGR-C"}')) FROM dist.reservation r JOIN dist.stock_quota_shipped s ON s.item_id = r.item_id AND s.quota_id = ANY (r.quota_ids) WHERE r.demand_key = 'AGR/9/1';
SELECT outcome FROM distsync.apply('stock_event', '{"event_id":"agr-back","kind":"reverse","reverses":"agr-ship","sku":"AGR-QU","site":"AGR-1","event_at":"2024-02-02T00:00:00Z"}', 'agr-wms');
SELECT s.quantity, r.state, (SELECT atp FROM distsync.atp('AGR-QU', 1, NULL, NULL, NULL, '{"customer":"AGR-C"}')) FROM dist.reservation r JOIN dist.stock_quota_shipped s ON s.item_id = r.item_id AND s.quota_id = ANY (r.quota_ids) WHERE r.demand_key = 'AGR/9/1';

-- what is blocked is not promised, with a reason; what stands in for it is, what is promised already stays
SELECT outcome FROM distsync.reserve('[{"item":"AGR-BL","quantity":2}]', '{"holder":"agr-bl"}');
SELECT outcome FROM distsync.apply('channel_item', '{"channel":"QUO-SHOP","sku":"AGR-BL"}', 'agr-erp');
SELECT outcome FROM distsync.apply('item', '{"sku":"AGR-BL","status":"blocked","successors":[{"sku":"AGR-BX","kind":"substitute","rank":1}]}', 'distsync');
SELECT outcome, on_hand, projected, atp_phys, atp, available_at, detail->'status' AS status, detail #> '{substitutes,0,outcome}' AS substitute FROM distsync.atp('AGR-BL', 1, NULL, 'AGR-1', NULL, '{"substitutes":true}');
SELECT s->'atp' AS atp, s->'binds' AS binds, t AS term FROM distsync.explain_atp('AGR-BL') e, jsonb_array_elements(e->'sites') s, jsonb_array_elements(s->'terms') t WHERE t->>'term' LIKE '%blocked';
SELECT projected, atp FROM distsync.atp_timeline('AGR-BL');
SELECT r.body->'atp' AS told, r.body->'channels' AS channels FROM dist.item i, distsync_internal.inventory_render(ARRAY[i.item_id::text]) r WHERE i.sku = 'AGR-BL';
SELECT * FROM distsync.reserve('[{"item":"AGR-CO","quantity":1},{"item":"AGR-BL","quantity":1}]');
\echo :LAST_ERROR_SQLSTATE
SELECT c.state FROM dist.reservation r, distsync.commit_reservation(r.reservation_id) c WHERE r.holder = 'agr-bl';
-- a kit with it in it is not made either
SELECT outcome FROM distsync.apply('item', '{"sku":"AGR-UN","status":"inactive"}', 'distsync');
SELECT outcome, atp FROM distsync.atp('AGR-KIT');
SELECT outcome, available FROM distsync.reserve('[{"item":"AGR-KIT","quantity":1}]');
SELECT outcome FROM distsync.reserve('[{"item":"AGR-KIT","quantity":1}]', '{"mode":"one_date"}');
-- a vendor as a site: what it tells of is stock; what goes beyond is promised for the end of its lead time, and ships without stock of ours
\o /dev/null
SELECT * FROM distsync.apply('site', '{"code":"AGR-V","company":"AGR","kind":"vendor","rank":9}', 'distsync');
SELECT * FROM distsync.apply_all('item', '[{"sku":"AGR-DS","base_unit":"AGR-EA"},{"sku":"AGR-FEED","base_unit":"AGR-EA"}]', 'distsync');
SELECT pg_temp.count('AGR-DS', 'AGR-1', 4), pg_temp.count('AGR-FEED', 'AGR-V', 7);
SELECT * FROM distsync.apply_all('item_site', '[{"sku":"AGR-DS","site":"AGR-V","lead_days":5},{"sku":"AGR-FEED","site":"AGR-V","ship_days":2}]', 'agr-erp');
CREATE FUNCTION pg_temp.days(at text) RETURNS integer LANGUAGE sql AS $$ SELECT round(extract(epoch FROM at::timestamptz - now()) / 86400)::integer $$;
\o
SELECT outcome, atp, pg_temp.days(available_at::text) AS days FROM distsync.atp('AGR-DS', 10);
SELECT outcome, site, quantity, available, pg_temp.days(detail->>'promised_at') AS days FROM distsync.reserve('[{"item":"AGR-DS","quantity":10,"demand_key":"AGR/11/1"}]', '{"holder":"agr-ds","commit":true}');
SELECT outcome, site, quantity, pg_temp.days(detail->>'promised_at') AS days FROM distsync.reserve('[{"item":"AGR-DS","quantity":3}]', '{"mode":"take_up_to","split":false}');
SELECT outcome, site FROM distsync.reserve('[{"item":"AGR-DS","quantity":3}]', '{"company":"AGR-T"}');
SELECT outcome, site, quantity FROM distsync.reserve('[{"item":"AGR-FEED","quantity":7}]', '{"holder":"agr-feed"}');
SELECT outcome, quantity FROM distsync.reserve('[{"item":"AGR-FEED","quantity":1}]');
SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, 'AGR/11/1', 6, now(), 'agr-erp', 'AGR-S1') FROM dist.item i, dist.site s WHERE i.sku = 'AGR-DS' AND s.code = 'AGR-V';
SELECT s.code, r.kind, r.state, r.quantity FROM dist.reservation r JOIN dist.site s USING (site_id) WHERE r.demand_key = 'AGR/11/1' ORDER BY 1;
-- what leaves from another site than it was promised at is owed nowhere
SELECT outcome FROM distsync.reserve('[{"item":"AGR-BX","quantity":2,"site":"AGR-1","demand_key":"AGR/12/1"}]', '{"commit":true}');
SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, 'AGR/12/1', 2, '2024-02-03T00:00:00Z', 'agr-wms', 'AGR-S2') FROM dist.item i, dist.site s WHERE i.sku = 'AGR-BX' AND s.code = 'AGR-2';
SELECT s.code, d.reserved, d.shipped, d.status FROM dist.demand d JOIN dist.site s USING (site_id) WHERE d.demand_key = 'AGR/12/1' ORDER BY 1;
SELECT * FROM broken;
-- the renderer says in C what it says in SQL, of every item there is: in base units, by site and by channel, and the kits that come with it
WITH asked AS MATERIALIZED (SELECT array_agg(i.item_id::text) AS keys FROM dist.item i),
	fast AS MATERIALIZED (SELECT r.* FROM asked, distsync_internal.inventory_render(asked.keys) r), whole AS MATERIALIZED (SELECT r.* FROM asked, distsync_internal.inventory_render_whole(asked.keys) r)
SELECT f.key, f.entity_key, f.body, w.body FROM (SELECT DISTINCT * FROM fast) f FULL JOIN whole w ON w.key = f.key AND w.entity_key = f.entity_key AND w.body = f.body WHERE w.key IS NULL OR f.key IS NULL;
SELECT r.entity_key FROM distsync_internal.inventory_render(ARRAY['', 'x', NULL, '-1', '1234567890123456789']) r;
