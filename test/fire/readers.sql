-- readers.sql: what readers of t/045_stock_fire.pl ask, and what must be true of each answer by itself; and the act of a client, step().
\set ON_ERROR_STOP 1

-- read does a reading of availability: it never fails, never says more than it projects or than either truth has, and explains itself.
CREATE FUNCTION fire.read(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i fire.item := fire.some_item();
	at_site text := fire.one_of(VARIADIC i.sites);
	how integer := floor(6 * random());
	a record;
	e jsonb;
BEGIN
	IF how <= 2 THEN
		SELECT * INTO a FROM distsync.atp(i.sku, 1 + floor(30 * random())::integer, NULL, at_site) x;
		IF a.atp < 0 OR i.clean AND a.atp > 0 AND (a.atp > a.projected + i.backorder OR a.atp > a.atp_phys OR a.atp > a.atp_book) THEN
			RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = format('more of %s at %s may be promised than there is', i.sku, at_site), DETAIL = to_jsonb(a)::text;
		END IF;
	ELSIF how = 3 THEN
		e := distsync.explain_atp(i.sku, 5, NULL, CASE WHEN random() < .5 THEN at_site END, NULL, fire.one_of('{}'::text, '{"mode":"physical"}', '{"use_safety":true}', '{"channel":"WEB"}')::jsonb);
		IF EXISTS (SELECT FROM jsonb_array_elements(e->'sites') s WHERE (s->>'atp')::numeric <> (SELECT sum((t->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') t))
			OR e->>'quota' IS NULL AND (e->'answer'->>'atp')::numeric <> (SELECT sum((s->>'atp')::numeric) FROM jsonb_array_elements(e->'sites') s) THEN
			RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = format('terms of %s do not add up', i.sku), DETAIL = e::text;
		END IF;
	ELSIF how = 4 THEN
		PERFORM FROM distsync.atp(fire.one_of(i.sku, 'KIT', 'KIT'), 2, NULL, NULL, NULL, jsonb_build_object('holder', 'client ' || client, 'customer', 'P1', 'detail', true)) x, distsync.atp_timeline(i.sku, at_site) t, distsync.explain_atp('KIT') k;
	ELSE
		INSERT INTO fire.known (sku, site, known_at, stock)
		SELECT i.sku, at_site, max(x.known_at), jsonb_agg(to_jsonb(x) - 'known_at' ORDER BY x.perspective, x.state, x.lot) FROM distsync.stock_as_of(i.sku, at_site) x HAVING count(*) > 0;
	END IF;
	INSERT INTO fire.told (client, verb) VALUES (client, 'read');
END
$$;

-- counted is what pools and their slots count, beside what reservations add up to.
CREATE VIEW fire.counted AS
	SELECT i.sku, s.code AS site, p.cap, p.held + COALESCE(o.held, 0) AS held, p.committed + COALESCE(o.committed, 0) AS committed, COALESCE(r.held, 0) AS r_held, COALESCE(r.committed, 0) AS r_committed, p.slots, p.dealt, COALESCE(o.cap, 0) AS shares,
		(SELECT sum(e.quantity) FROM dist.stock_event e WHERE e.item_id = p.item_id AND e.site_id = p.site_id AND e.perspective = 'phys' AND e.state = 'available') AS stock
	FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id)
	LEFT JOIN (SELECT x.item_id, x.site_id, sum(x.held) AS held, sum(x.committed) AS committed, sum(x.cap) AS cap FROM dist.stock_pool_slot x GROUP BY 1, 2) o USING (item_id, site_id)
	LEFT JOIN (SELECT x.item_id, x.site_id, sum(x.quantity - x.committed) AS held, sum(x.committed - x.shipped) AS committed FROM dist.reservation x WHERE x.state IN ('held', 'committed') GROUP BY 1, 2) r USING (item_id, site_id);

-- look does the comparing of what pools count with what reservations say, and of clean items with what there is, in one snapshot.
CREATE FUNCTION fire.look(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c jsonb;
BEGIN
	SELECT to_jsonb(x) INTO c FROM fire.counted x JOIN fire.item i USING (sku)
	WHERE (x.held, x.committed, x.dealt) IS DISTINCT FROM (x.r_held, x.r_committed, x.shares) OR i.clean AND x.r_held + x.r_committed > x.stock + i.backorder LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'FIRE1', MESSAGE = 'counters, reservations and stock do not agree', DETAIL = c::text;
	END IF;
	INSERT INTO fire.told (client, verb) VALUES (client, 'look');
END
$$;

-- step does one random act of a client.
CREATE FUNCTION fire.step(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	dice integer := floor(random() * 100);
BEGIN
	PERFORM FROM fire.client c WHERE c.client = step.client FOR UPDATE;
	CASE
	WHEN dice < 22 THEN PERFORM fire.reserve(client, 1);
	WHEN dice < 25 THEN PERFORM fire.again(client);
	WHEN dice < 40 THEN PERFORM fire.reserve(client, 2 + floor(4 * random())::integer);
	WHEN dice < 60 THEN PERFORM fire.settle(client);
	WHEN dice < 66 THEN PERFORM fire.ship(client);
	WHEN dice < 78 THEN PERFORM fire.stock(client);
	WHEN dice < 82 THEN PERFORM fire.feed(client);
	WHEN dice < 87 THEN PERFORM fire.paper(client);
	WHEN dice < 98 THEN PERFORM fire.read(client);
	ELSE PERFORM distsync_internal.inventory_sweep(20);
	END CASE;
END
$$;
