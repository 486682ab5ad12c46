-- A promise is taken as of the instant for which it was decided: supply that falls due between the two makes the pool smaller, and fails nobody who
-- was granted what was there. It is the next one who finds it gone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
\o /dev/null
CREATE EXTENSION IF NOT EXISTS distsync;
SELECT distsync.setup();
INSERT INTO sync.system (code, kind) VALUES ('IDU-ERP', 'erp');
SELECT distsync.apply('currency', '{"currency":"USD"}', 'IDU-ERP'), distsync.apply('unit', '{"unit":"EA"}', 'IDU-ERP'), distsync.apply('company', '{"code":"IDU","name":"Due","currency":"USD"}', 'IDU-ERP');
SELECT distsync.apply('site', '{"code":"IDU-W","name":"w","company":"IDU"}', 'IDU-ERP'), distsync.apply('item', '{"sku":"IDU-A","base_unit":"EA"}', 'IDU-ERP');
SELECT distsync.apply('stock_event', '{"event_id":"idu-1","kind":"receive","sku":"IDU-A","site":"IDU-W","quantity":10,"event_at":"2026-01-01T00:00:00Z"}', 'IDU-ERP');
-- the line that is promised was told before, and somebody else wants as much the day before it
SELECT distsync.apply_all('demand', jsonb_build_array(jsonb_build_object('demand_key', 'IDU-D', 'sku', 'IDU-A', 'site', 'IDU-W', 'ordered', 10, 'required_at', now() + interval '2 days'),
	jsonb_build_object('demand_key', 'IDU/1/1', 'sku', 'IDU-A', 'site', 'IDU-W', 'ordered', 10, 'required_at', now() + interval '3 days')), 'IDU-ERP');
-- whoever promises takes until the supply is due
CREATE FUNCTION pg_temp.until_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(extract(epoch FROM s.expected_at - clock_timestamp()) + 0.01) FROM dist.supply s WHERE s.item_id = NEW.item_id AND s.reference = 'IDU-PO/1';
	RETURN NULL;
END $$;
CREATE TRIGGER zz_until_due AFTER UPDATE ON dist.demand FOR EACH ROW EXECUTE FUNCTION pg_temp.until_due();
\o
SELECT outcome FROM distsync.apply('supply', jsonb_build_object('kind', 'purchase', 'reference', 'IDU-PO/1', 'sku', 'IDU-A', 'site', 'IDU-W', 'quantity', 10, 'expected_at', clock_timestamp() + interval '2 seconds'), 'IDU-ERP');
SELECT outcome, (SELECT s.expected_at > clock_timestamp() FROM dist.supply s WHERE s.reference = 'IDU-PO/1') AS ahead FROM distsync.reserve('[{"item":"IDU-A","site":"IDU-W","quantity":10,"demand_key":"IDU/1/1"}]', '{"mode":"one_date"}');
DROP TRIGGER zz_until_due ON dist.demand;
SELECT outcome, available FROM distsync.reserve('[{"item":"IDU-A","site":"IDU-W","quantity":1}]');
SELECT trim_scale(p.cap) AS cap, trim_scale(p.held) AS held, trim_scale(p.shortfall) AS shortfall FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku = 'IDU-A';
SELECT kind FROM sync.exception WHERE entity_key LIKE 'IDU%' AND state = 'open' ORDER BY 1;
