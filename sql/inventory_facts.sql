-- What others tell, told badly: shipments of lots and of stock that is not ours, order lines that change their item, receipts before their supply,
-- supply and demand that end, come back, or mean the same.
SET client_min_messages = warning;
\set SHOW_CONTEXT never
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
SELECT distsync.add_system('fct-erp', 'erp'), distsync.add_system('fct-wms', 'wms'), distsync.add_system('fct-wms2', 'wms');
SELECT * FROM distsync.apply('currency', '{"currency":"USD","minor_units":2}', 'distsync');
SELECT * FROM distsync.apply('unit', '{"unit":"EA"}', 'distsync');
SELECT * FROM distsync.apply('company', '{"code":"FCT","name":"Facts","currency":"USD"}', 'distsync');
SELECT * FROM distsync.apply_all('site', '[{"code":"FCT-1","company":"FCT","rank":1},{"code":"FCT-2","company":"FCT","rank":2}]', 'distsync');
SELECT * FROM distsync.apply_all('item', (SELECT jsonb_agg(jsonb_build_object('sku', 'FCT-' || x, 'base_unit', 'EA', 'serial_controlled', x = 'S', 'lot_controlled', x = 'LC')) FROM unnest('{A,B,C,D,E,S,O1,O2,O3,P1,P2,P3,P4,P5,P6,Q1,Q2,Q3,R1,R2,R3,LC,T1,T2,T3,N}'::text[]) x), 'distsync');
SELECT * FROM distsync.apply_all('party', '[{"code":"FCT-CUST","name":"Customer","roles":["sold_to","payer"],"currency":"USD"},{"code":"FCT-VEND","name":"Vendor","roles":["vendor"],"currency":"USD"}]', 'distsync');
\o
SET timezone = 'UTC';
CREATE TEMP SEQUENCE told;
CREATE FUNCTION pg_temp.apply(entity text, docs jsonb, source text DEFAULT 'fct-erp', options jsonb DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', outcome, sqlstate, field, message) FROM distsync.apply_all(entity, CASE jsonb_typeof(docs) WHEN 'array' THEN docs ELSE jsonb_build_array(docs) END, source, NULL, options) $$;
CREATE FUNCTION pg_temp.event(kind text, sku text, quantity numeric, more jsonb DEFAULT '{}', source text DEFAULT 'fct-wms') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.apply('stock_event', jsonb_strip_nulls(jsonb_build_object('event_id', 'fct-' || nextval('told'), 'kind', kind, 'sku', sku, 'site', 'FCT-1', 'quantity', quantity, 'event_at', clock_timestamp()) || more), source) $$;
CREATE FUNCTION pg_temp.ship(sku text, lines jsonb, number text, shipped_at timestamptz DEFAULT clock_timestamp()) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT pg_temp.apply('shipment', jsonb_build_object('company', 'FCT', 'shipment_number', number, 'customer', 'FCT-CUST', 'site', 'FCT-1', 'shipped_at', shipped_at,
		'lines', (SELECT jsonb_agg(l || jsonb_build_object('sku', sku)) FROM jsonb_array_elements(lines) l)), 'fct-wms') $$;
CREATE TEMP VIEW stock AS SELECT i.sku, s.code AS site, b.perspective AS side, b.state, b.lot, p.code AS owner, b.quantity::float AS quantity
FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) LEFT JOIN dist.party p ON p.party_id = b.owner_id WHERE i.sku LIKE 'FCT-%' AND b.quantity <> 0 ORDER BY 1, 2, 3, 4, 5, 6;
CREATE TEMP VIEW owed AS SELECT d.demand_key, i.sku, s.code AS site, d.reserved::float, d.ordered::float, d.allocated::float, d.shipped::float, d.status FROM dist.demand d JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE 'FCT-%' ORDER BY 1, 2, 3;
CREATE TEMP VIEW coming AS SELECT i.sku, x.kind, x.reference, x.quantity::float, x.received::float, x.status FROM dist.supply x JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'FCT-%' ORDER BY 1, 2, 3;
CREATE TEMP VIEW wrong AS SELECT kind, trace_key, delta::float FROM sync.exception WHERE state IN ('open', 'acknowledged') AND trace_key LIKE '%FCT%' ORDER BY 1, 2;
CREATE TEMP VIEW broken AS SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_stock() UNION ALL SELECT invariant, entity_key, detail FROM distsync_internal.inventory_verify_promises();
CREATE FUNCTION pg_temp.atp(sku text, site text DEFAULT 'FCT-1') RETURNS float LANGUAGE sql AS $$SELECT atp::float FROM distsync.atp(sku, 1, NULL, site)$$;
CREATE FUNCTION pg_temp.later(sku text) RETURNS float LANGUAGE sql AS $$SELECT atp::float FROM distsync.atp(sku, 1, NULL, 'FCT-1', clock_timestamp() + interval '30 days')$$;

-- a shipment takes the lot that it names, in parts; the count that follows finds it so
SELECT pg_temp.event('receive', 'FCT-A', 100, '{"lot":"L1"}'), pg_temp.event('receive', 'FCT-A', 30, '{"lot":"L2"}');
SELECT pg_temp.ship('FCT-A', '[{"quantity":40,"lot":"L1"},{"quantity":5,"lot":"L2"}]', 'FCT-SH1');
SELECT * FROM stock WHERE sku = 'FCT-A';
SELECT pg_temp.event('count', 'FCT-A', 60, '{"lot":"L1"}'), pg_temp.atp('FCT-A');
-- one that names none: loose stock first, then lots, what expires first; what nobody knew of is owed
SELECT pg_temp.event('receive', 'FCT-B', 5), pg_temp.event('receive', 'FCT-B', 10, '{"lot":"B9"}'), pg_temp.event('receive', 'FCT-B', 10, '{"lot":"B2","expires_on":"2999-06-01"}'), pg_temp.event('receive', 'FCT-B', 10, '{"lot":"B1","expires_on":"2999-12-01"}');
SELECT pg_temp.ship('FCT-B', '[{"quantity":18}]', 'FCT-SH2');
SELECT * FROM stock WHERE sku = 'FCT-B';
SELECT pg_temp.ship('FCT-B', '[{"quantity":20}]', 'FCT-SH3');
SELECT * FROM stock WHERE sku = 'FCT-B';
-- a lot that nobody has heard of, and one that waited for inspection: what is told is what left
SELECT pg_temp.event('receive', 'FCT-C', 10, '{"lot":"C1"}'), pg_temp.event('receive', 'FCT-C', 10, '{"lot":"C2","state":"quality"}');
SELECT pg_temp.ship('FCT-C', '[{"quantity":4,"lot":"C2"},{"quantity":3,"lot":"C3"}]', 'FCT-SH4');
SELECT * FROM stock WHERE sku = 'FCT-C';
-- goods of a vendor are consumed where ours do not do, by state and owner
SELECT pg_temp.event('receive', 'FCT-D', 6), pg_temp.event('receive', 'FCT-D', 20, '{"state":"vendor_managed","owner":"FCT-VEND"}');
SELECT pg_temp.ship('FCT-D', '[{"quantity":10}]', 'FCT-SH5'), pg_temp.atp('FCT-D');
SELECT * FROM stock WHERE sku = 'FCT-D';
SELECT e.kind, e.state, p.code AS owner, e.quantity::float, e.reference FROM dist.stock_event e JOIN dist.item i USING (item_id) LEFT JOIN dist.party p ON p.party_id = e.owner_id WHERE i.sku = 'FCT-D' AND e.kind = 'ship' ORDER BY 2;
-- what was set aside of a lot leaves first
SELECT pg_temp.event('receive', 'FCT-E', 20, '{"lot":"E1"}'), pg_temp.event('receive', 'FCT-E', 20, '{"lot":"E2"}'), pg_temp.event('transfer', 'FCT-E', 8, '{"lot":"E2","to_state":"allocated"}'),
	pg_temp.apply('demand', '{"demand_key":"FCT/E/1","sku":"FCT-E","site":"FCT-1","ordered":10,"allocated":8,"phys_allocated":true}', 'fct-wms');
SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, 'FCT/E/1', 10, clock_timestamp(), 'fct-wms', 'FCT-SH6', lot => 'E2') FROM dist.item i, dist.site s WHERE i.sku = 'FCT-E' AND s.code = 'FCT-1';
SELECT * FROM stock WHERE sku = 'FCT-E';
-- and where that is told after it left, the lot has what it had
SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, 'FCT/E/2', 6, clock_timestamp(), 'fct-wms', 'FCT-SH6B', lot => 'E1') FROM dist.item i, dist.site s WHERE i.sku = 'FCT-E' AND s.code = 'FCT-1';
SELECT pg_temp.event('transfer', 'FCT-E', 6, '{"lot":"E1","to_state":"allocated","reference":"FCT/E/2"}');
SELECT * FROM stock WHERE sku = 'FCT-E';
-- a serial that left is not there twice when it comes back
SELECT pg_temp.event('receive', 'FCT-S', 1, '{"lot":"S-1"}');
SELECT pg_temp.ship('FCT-S', '[{"quantity":1,"lot":"S-1"}]', 'FCT-SH7');
SELECT pg_temp.event('receive', 'FCT-S', 1, '{"lot":"S-1","state":"returns","site":"FCT-2"}');
SELECT * FROM stock WHERE sku = 'FCT-S';
SELECT * FROM wrong;
-- where we keep the book, it gives up the same, from what it knows of
BEGIN;
INSERT INTO sync.ownership (domain, company, system, mode) VALUES ('stock', 'FCT', 'distsync', 'native'), ('stock', 'FCT', 'fct-wms', 'native'), ('stock', 'FCT', 'fct-erp', 'native');
SELECT pg_temp.event('receive', 'FCT-A', 25, '{"perspective":"book"}', 'fct-erp'), pg_temp.ship('FCT-A', '[{"quantity":10,"lot":"L1"}]', 'FCT-SH8');
SELECT * FROM stock WHERE sku = 'FCT-A';
ROLLBACK;

-- the owner of an order says another item of a line: what it was is owed no more
SELECT pg_temp.event('receive', 'FCT-O1', 100), pg_temp.event('receive', 'FCT-O2', 100), pg_temp.event('receive', 'FCT-O3', 100);
SELECT pg_temp.apply('order', '{"company":"FCT","order_number":"E1","customer":"FCT-CUST","currency":"USD","lines":[{"line":1,"item":"FCT-O1","quantity":10,"unit_price":1},{"line":2,"item":"FCT-O3","quantity":4,"unit_price":1}]}');
SELECT count(*) FROM distsync.reserve('[{"item":"FCT-O1","quantity":6,"site":"FCT-1","demand_key":"FCT/E1/1"}]', '{"holder":"E1","commit":true}');
SELECT * FROM owed WHERE sku LIKE 'FCT-O%';
SELECT pg_temp.apply('order', '{"company":"FCT","order_number":"E1","lines":[{"line":1,"item":"FCT-O2","quantity":12,"unit_price":1},{"line":2,"item":"FCT-O3","quantity":4,"unit_price":1}]}');
SELECT * FROM owed WHERE sku LIKE 'FCT-O%';
SELECT pg_temp.atp('FCT-O1'), pg_temp.atp('FCT-O2'), pg_temp.atp('FCT-O3');
-- what has left of it stays told, and is no part of what the line still wants
SELECT pg_temp.apply('shipment', '{"company":"FCT","shipment_number":"FCT-SH9","order_number":"E1","site":"FCT-1","lines":[{"order_line":1,"quantity":5}]}', 'fct-wms');
SELECT pg_temp.apply('order', '{"company":"FCT","order_number":"E1","lines":[{"line":1,"item":"FCT-O1","quantity":12,"unit_price":1},{"line":2,"item":"FCT-O3","quantity":4,"unit_price":1}]}');
SELECT * FROM owed WHERE sku LIKE 'FCT-O%';
SELECT pg_temp.atp('FCT-O1'), pg_temp.atp('FCT-O2'), pg_temp.atp('FCT-O3');
SELECT pg_temp.apply('order', '{"company":"FCT","order_number":"E1","state":"cancelled"}');
SELECT * FROM owed WHERE sku LIKE 'FCT-O%';
SELECT pg_temp.atp('FCT-O1'), pg_temp.atp('FCT-O2'), pg_temp.atp('FCT-O3');
-- and an order of ours that its owner books with another item
SELECT pg_temp.apply('agreement', '{"code":"FCT-LIST","slot":"list","company":"FCT","currency":"USD","valid_from":"2020-01-01","assignments":[{"who_kind":"all"}],"publish":true,"rates":[{"what":"FCT-O1","value":"1"},{"what":"FCT-O2","value":"1"}]}');
SELECT state FROM distsync.submit_order('{"company":"FCT","customer":"FCT-CUST","order_number":"O1","lines":[{"item":"FCT-O1","quantity":7}]}', 'fct-o1');
SELECT pg_temp.apply('order', '{"company":"FCT","order_number":"O1","lines":[{"line":1,"item":"FCT-O2","quantity":7,"unit_price":1}]}');
SELECT * FROM owed WHERE demand_key = 'FCT/O1/1';
SELECT pg_temp.atp('FCT-O1'), pg_temp.atp('FCT-O2');
-- also one that no site knows of
SELECT pg_temp.apply('order', '{"company":"FCT","order_number":"O1","lines":[{"line":1,"item":"FCT-N","quantity":7,"unit_price":1}]}');
SELECT * FROM owed WHERE demand_key = 'FCT/O1/1';

-- receipts that are told before their supply have come
SELECT pg_temp.event('receive', 'FCT-P1', 7, '{"reference":"R1"}'), pg_temp.event('receive', 'FCT-P1', 1, '{"reference":"R1","event_id":"fct-back"}'), pg_temp.event('reverse', 'FCT-P1', NULL, '{"reverses":"fct-back","event_at":null}');
SELECT pg_temp.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'R1', 'sku', 'FCT-P1', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '5 days'));
SELECT * FROM coming WHERE sku = 'FCT-P1';
SELECT pg_temp.later('FCT-P1');
SELECT pg_temp.event('receive', 'FCT-P1', 3, '{"reference":"R1","event_id":"fct-rest"}');
SELECT * FROM coming WHERE sku = 'FCT-P1';
-- the book tells of the same goods: the warehouse leads
SELECT pg_temp.event('receive', 'FCT-P1', 3, '{"reference":"R1"}', 'fct-erp');
SELECT * FROM coming WHERE sku = 'FCT-P1';
-- a reversal that is reversed has come after all; what was no receipt takes nothing back
SELECT pg_temp.event('reverse', 'FCT-P1', NULL, '{"reverses":"fct-rest","event_id":"fct-undo","event_at":null}');
SELECT * FROM coming WHERE sku = 'FCT-P1';
SELECT pg_temp.event('reverse', 'FCT-P1', NULL, '{"reverses":"fct-undo","event_at":null}');
SELECT * FROM coming WHERE sku = 'FCT-P1';
SELECT pg_temp.event('delta', 'FCT-P1', 2, '{"reference":"R1","event_id":"fct-delta"}');
SELECT pg_temp.event('reverse', 'FCT-P1', NULL, '{"reverses":"fct-delta","event_at":null}');
SELECT * FROM coming WHERE sku = 'FCT-P1';
-- two supplies of one reference: what is expected first comes first; what never came was the last of it
SELECT pg_temp.apply('supply', jsonb_build_array(jsonb_build_object('kind', 'transfer', 'reference', '4711', 'sku', 'FCT-P2', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '5 days'),
	jsonb_build_object('kind', 'purchase', 'reference', '4711', 'sku', 'FCT-P2', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '6 days')));
SELECT pg_temp.event('receive', 'FCT-P2', 8, '{"reference":"4711"}');
SELECT * FROM coming WHERE sku = 'FCT-P2';
SELECT pg_temp.event('receive', 'FCT-P2', 14, '{"reference":"4711","event_id":"fct-p2"}');
SELECT * FROM coming WHERE sku = 'FCT-P2';
SELECT pg_temp.event('reverse', 'FCT-P2', NULL, '{"reverses":"fct-p2","event_at":null}');
SELECT * FROM coming WHERE sku = 'FCT-P2';
-- the same where both are told after it
SELECT pg_temp.event('receive', 'FCT-P3', 14, '{"reference":"4711"}');
SELECT pg_temp.apply('supply', jsonb_build_array(jsonb_build_object('kind', 'transfer', 'reference', '4711', 'sku', 'FCT-P3', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '5 days'),
	jsonb_build_object('kind', 'purchase', 'reference', '4711', 'sku', 'FCT-P3', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '6 days')));
SELECT * FROM coming WHERE sku = 'FCT-P3';

-- a supply that was cancelled, or is done although not all has come, stays so until its owner says otherwise
SELECT pg_temp.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'R4', 'sku', 'FCT-P4', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '5 days', 'status', 'cancelled'));
SELECT pg_temp.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'R5', 'sku', 'FCT-P4', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '5 days', 'status', 'done', 'received', 8)),
	pg_temp.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'R6', 'sku', 'FCT-P4', 'site', 'FCT-1', 'quantity', 10, 'expected_at', now() + interval '5 days', 'received', 10));
SELECT pg_temp.apply('supply', (SELECT jsonb_agg(jsonb_build_object('kind', 'purchase', 'reference', r, 'sku', 'FCT-P4', 'expected_at', now() + interval '9 days')) FROM unnest('{R4,R5,R6}'::text[]) r));
SELECT * FROM coming WHERE sku = 'FCT-P4';
SELECT pg_temp.event('receive', 'FCT-P4', 1, '{"reference":"R4"}'), pg_temp.event('receive', 'FCT-P4', 1, '{"reference":"R5"}');
SELECT * FROM coming WHERE sku = 'FCT-P4';
-- more of it is wanted than has come; the owner opens what he had ended; null is the default
SELECT pg_temp.apply('supply', '[{"kind":"purchase","reference":"R6","sku":"FCT-P4","quantity":12},{"kind":"purchase","reference":"R4","sku":"FCT-P4","status":"open"},{"kind":"purchase","reference":"R5","sku":"FCT-P4","status":null}]');
SELECT * FROM coming WHERE sku = 'FCT-P4';
SELECT pg_temp.apply('supply', '{"kind":"purchase","reference":"R4","sku":"FCT-P4"}', 'fct-erp', '{"operation":"deactivate"}'), pg_temp.apply('supply', '{"kind":"purchase","reference":"R6","sku":"FCT-P4","received":null}');
SELECT * FROM coming WHERE sku = 'FCT-P4';

-- null clears what was said of a demand
SELECT pg_temp.apply('demand', jsonb_build_object('demand_key', 'FCT/Q1/1', 'sku', 'FCT-Q1', 'site', 'FCT-1', 'ordered', 10, 'allocated', 3, 'customer', 'FCT-CUST', 'required_at', now() + interval '20 days', 'priority', 7));
SELECT pg_temp.apply('demand', '{"demand_key":"FCT/Q1/1","sku":"FCT-Q1","site":"FCT-1","required_at":null,"customer":null,"priority":null,"allocated":null}');
SELECT d.required_at, d.customer_id, d.priority, d.ordered::float, d.allocated::float FROM dist.demand d WHERE d.demand_key = 'FCT/Q1/1';
-- the owner of a line cancels it: what we promised it is given back
SELECT pg_temp.event('receive', 'FCT-Q2', 50);
SELECT count(*) FROM distsync.reserve('[{"item":"FCT-Q2","quantity":10,"site":"FCT-1","demand_key":"FCT/Q2/1"},{"item":"FCT-Q2","quantity":5,"site":"FCT-1","demand_key":"FCT/Q2/2"},{"item":"FCT-Q2","quantity":3,"site":"FCT-1","demand_key":"FCT/Q2/3"}]', '{"holder":"Q2","commit":true}');
SELECT pg_temp.apply('demand', '[{"demand_key":"FCT/Q2/1","sku":"FCT-Q2","site":"FCT-1","ordered":10},{"demand_key":"FCT/Q2/1","sku":"FCT-Q2","site":"FCT-1","ordered":0}]'),
	pg_temp.apply('demand', '{"demand_key":"FCT/Q2/2","sku":"FCT-Q2","site":"FCT-1"}', 'fct-erp', '{"operation":"deactivate"}'), pg_temp.apply('demand', '{"demand_key":"FCT/Q2/3","sku":"FCT-Q2","site":"FCT-1","allocated":0}', 'fct-wms');
SELECT * FROM owed WHERE sku = 'FCT-Q2';
SELECT pg_temp.atp('FCT-Q2');
-- more is ordered after all than left: nothing is over any more
SELECT pg_temp.event('receive', 'FCT-Q3', 50), pg_temp.apply('demand', '{"demand_key":"FCT/Q3/1","sku":"FCT-Q3","site":"FCT-1","ordered":10}'), pg_temp.event('ship', 'FCT-Q3', 12, '{"reference":"FCT/Q3/1"}');
SELECT * FROM wrong;
SELECT pg_temp.apply('demand', '{"demand_key":"FCT/Q3/1","sku":"FCT-Q3","site":"FCT-1","ordered":12}');
SELECT * FROM wrong;

-- the warehouse names the lot of an item that is kept by lot; the book need not
SELECT pg_temp.event('receive', 'FCT-LC', 100, '{"lot":"L1"}'), pg_temp.event('count', 'FCT-LC', 100, '{}', 'fct-erp');
SELECT pg_temp.apply('stock_event', '{"event_id":"fct-lc","kind":"count","sku":"FCT-LC","site":"FCT-1","quantity":60,"event_at":"2024-01-01T00:00:00Z"}', 'fct-wms', '{"on_error":"collect"}');
SELECT pg_temp.event('count', 'FCT-LC', 60, '{"lot":"L1"}'), pg_temp.atp('FCT-LC');

-- goods on their way, told by the warehouse they left, have come when the one where they arrive says so, whoever speaks first
SELECT pg_temp.event('receive', 'FCT-T1', 100, '{"site":"FCT-2","lot":"T-1"}'), pg_temp.event('transfer', 'FCT-T1', 30, '{"site":"FCT-2","to_site":"FCT-1","to_state":"in_transit","reference":"TR1","lot":"T-1"}');
SELECT pg_temp.event('receive', 'FCT-T1', 12, '{"reference":"TR1","event_id":"fct-tr1"}', 'fct-wms2');
SELECT * FROM stock WHERE sku = 'FCT-T1';
SELECT pg_temp.event('receive', 'FCT-T1', 20, '{"reference":"TR1"}', 'fct-wms2');
SELECT * FROM stock WHERE sku = 'FCT-T1';
SELECT pg_temp.event('reverse', 'FCT-T1', NULL, '{"reverses":"fct-tr1","event_at":null}', 'fct-wms2');
SELECT * FROM stock WHERE sku = 'FCT-T1';
SELECT pg_temp.event('receive', 'FCT-T2', 12, '{"reference":"TR2"}', 'fct-wms2'), pg_temp.event('receive', 'FCT-T2', 100, '{"site":"FCT-2"}');
SELECT pg_temp.event('transfer', 'FCT-T2', 30, '{"site":"FCT-2","to_site":"FCT-1","to_state":"in_transit","reference":"TR2"}');
SELECT * FROM stock WHERE sku = 'FCT-T2';
-- who releases them himself has said so
SELECT pg_temp.event('receive', 'FCT-T3', 100, '{"site":"FCT-2"}'), pg_temp.event('transfer', 'FCT-T3', 30, '{"site":"FCT-2","to_site":"FCT-1","to_state":"in_transit","reference":"TR3"}'), pg_temp.event('transfer', 'FCT-T3', 30, '{"state":"in_transit","reference":"TR3"}');
SELECT * FROM stock WHERE sku = 'FCT-T3';
SELECT * FROM broken;
