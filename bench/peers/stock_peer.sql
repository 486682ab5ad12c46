-- stock_peer.sql: what a good developer would write by hand instead of the engine: promises, stock events, a timeline, the fold.
--
-- peer.reserve() and peer.reserve_all(): a guarded UPDATE of a counter and the row of the reservation, in one function; ids, not codes.
-- They do not: expire, commit or give back; know two truths, supply, demand of others, units, several sites, partial answers, why
-- there was not enough; keep an audit or idempotency keys; tell anybody that availability changed.
--
-- peer.bare_event: the event table with its primary key, unpartitioned. An INSERT into it does not: check anything, know what was told
-- before, move a balance.
--
-- peer.stock_events(): a feed in three statements: the events, twice told once, and the balances. It does not: check types, units or
-- owners, answer for each document, keep counts as barriers (a count is the difference to the balance of now), net what is in flight,
-- move supply, demand or what may be promised, find gaps in a stream, reverse, tell anybody.
--
-- peer.timeline(): supply and demand of an item at a site with the running sum and what may be promised (looks ahead, never below 0). It
-- does not: count reservations, know two truths, overdue or uncertain supply, lots, name the documents of a row, add up over sites.
--
-- peer.fold(): balances from the events, from zero, into an empty table. It does not: rebuild what may be promised, lock anybody out.
\set ON_ERROR_STOP on
CREATE SCHEMA peer;

CREATE TABLE peer.pool (
	item_id		bigint NOT NULL,
	site_id		bigint NOT NULL,
	stock		numeric(20,6) NOT NULL,
	held		numeric(20,6) NOT NULL DEFAULT 0,
	PRIMARY KEY (item_id, site_id),
	CHECK (held BETWEEN 0 AND stock)
) WITH (fillfactor = 50);
INSERT INTO peer.pool (item_id, site_id, stock) SELECT item_id, site_id, sum(quantity) FROM dist.stock_balance WHERE perspective = 'phys' GROUP BY item_id, site_id;
CREATE TABLE peer.reservation (
	reservation_id	bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	item_id		bigint NOT NULL,
	site_id		bigint NOT NULL,
	holder		text NOT NULL,
	quantity	numeric(20,6) NOT NULL,
	state		text NOT NULL DEFAULT 'held',
	expires_at	timestamptz NOT NULL DEFAULT clock_timestamp() + interval '15 minutes',
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- reserve does the promise of one line. The counter comes last: its lock is held for as short as can be, until the commit is durable.
CREATE FUNCTION peer.reserve(item bigint, site bigint, wanted numeric, who text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	id bigint;
BEGIN
	INSERT INTO peer.reservation (item_id, site_id, holder, quantity) VALUES (item, site, who, wanted) RETURNING reservation_id INTO id;
	UPDATE peer.pool p SET held = p.held + wanted WHERE p.item_id = item AND p.site_id = site AND p.stock - p.held >= wanted;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'not enough stock';
	END IF;
	RETURN id;
END
$$;

-- reserve_all does the promise of many lines, all or none. The counters are locked in their order, so that calls do not wait in a circle.
CREATE FUNCTION peer.reserve_all(items bigint[], sites bigint[], quantities numeric[], who text) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
DECLARE
	wanted integer;
	taken integer;
BEGIN
	RETURN QUERY INSERT INTO peer.reservation (item_id, site_id, holder, quantity) SELECT u.item_id, u.site_id, who, u.quantity FROM unnest(items, sites, quantities) u(item_id, site_id, quantity) RETURNING reservation_id;
	WITH k AS MATERIALIZED (
		SELECT u.item_id, u.site_id, sum(u.quantity) AS quantity FROM unnest(items, sites, quantities) u(item_id, site_id, quantity) GROUP BY u.item_id, u.site_id
	), l AS MATERIALIZED (
		SELECT p.item_id, p.site_id, k.quantity FROM peer.pool p JOIN k ON p.item_id = k.item_id AND p.site_id = k.site_id ORDER BY p.item_id, p.site_id FOR NO KEY UPDATE OF p
	), t AS (
		UPDATE peer.pool p SET held = p.held + l.quantity FROM l WHERE p.item_id = l.item_id AND p.site_id = l.site_id AND p.stock - p.held >= l.quantity RETURNING 1
	)
	SELECT (SELECT count(*) FROM k), (SELECT count(*) FROM t) INTO wanted, taken;
	IF taken <> wanted THEN
		RAISE EXCEPTION 'not enough stock';
	END IF;
END
$$;

CREATE TABLE peer.bare_event (LIKE dist.stock_event INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING CONSTRAINTS, PRIMARY KEY (item_id, site_id, event_at, event_id, recorded_at));
CREATE TABLE peer.stock_event (LIKE dist.stock_event INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING CONSTRAINTS, PRIMARY KEY (item_id, site_id, event_at, event_id, recorded_at));
ALTER TABLE peer.stock_event ADD leg smallint NOT NULL DEFAULT 1, ADD UNIQUE (source, event_key, leg);
CREATE TABLE peer.stock_balance (LIKE dist.stock_balance INCLUDING DEFAULTS INCLUDING CONSTRAINTS, PRIMARY KEY (item_id, site_id, perspective, state, lot, owner_id)) WITH (fillfactor = 70);
INSERT INTO peer.stock_balance SELECT * FROM dist.stock_balance WHERE perspective = 'phys';

-- stock_events does a feed of a warehouse.
CREATE FUNCTION peer.stock_events(docs jsonb, sender text) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	told bigint;
BEGIN
	WITH d AS MATERIALIZED (
		SELECT x.*, i.item_id, s.site_id, t.site_id AS to_site_id
		FROM jsonb_to_recordset(docs) x(event_id text, kind text, sku text, site text, to_site text, quantity numeric, event_at timestamptz, stream text, sequence bigint, reference text)
		JOIN dist.item i ON i.sku = x.sku JOIN dist.site s ON s.code = x.site LEFT JOIN dist.site t ON t.code = x.to_site
	), m AS (
		SELECT d.*, 1 AS leg, CASE WHEN d.kind IN ('ship', 'transfer') THEN -d.quantity WHEN d.kind = 'count' THEN d.quantity - COALESCE(b.quantity, 0) ELSE d.quantity END AS change
		FROM d LEFT JOIN peer.stock_balance b ON d.kind = 'count' AND b.item_id = d.item_id AND b.site_id = d.site_id AND b.perspective = 'phys' AND b.state = 'available' AND b.lot = '' AND b.owner_id = 0
		UNION ALL
		SELECT d.*, 2, d.quantity FROM d WHERE d.kind = 'transfer'
	), e AS (
		INSERT INTO peer.stock_event (item_id, event_key, leg, event_at, kind, perspective, site_id, state, quantity, counted, source, stream, sequence, reference)
		SELECT m.item_id, m.event_id, m.leg, m.event_at, m.kind, 'phys', CASE m.leg WHEN 1 THEN m.site_id ELSE m.to_site_id END, 'available', m.change, CASE WHEN m.kind = 'count' THEN m.quantity END, sender, m.stream, m.sequence, m.reference
		FROM m ON CONFLICT (source, event_key, leg) DO NOTHING
		RETURNING item_id, site_id, quantity, event_at, kind
	), b AS (
		INSERT INTO peer.stock_balance AS b (item_id, site_id, perspective, state, quantity, last_event_at, counted_at)
		SELECT e.item_id, e.site_id, 'phys', 'available', sum(e.quantity), max(e.event_at), max(e.event_at) FILTER (WHERE e.kind = 'count') FROM e GROUP BY e.item_id, e.site_id ORDER BY e.item_id, e.site_id
		ON CONFLICT (item_id, site_id, perspective, state, lot, owner_id) DO UPDATE SET quantity = b.quantity + excluded.quantity, version = b.version + 1,
			last_event_at = greatest(b.last_event_at, excluded.last_event_at), counted_at = greatest(b.counted_at, excluded.counted_at)
	)
	SELECT count(*) INTO told FROM e;
	RETURN told;
END
$$;

-- timeline does what is to come of an item at a site.
CREATE FUNCTION peer.timeline(item bigint, site bigint) RETURNS TABLE (moment timestamptz, supply numeric, demand numeric, projected numeric, atp numeric)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH r AS (
		SELECT x.moment, sum(x.supply) AS supply, sum(x.demand) AS demand, sum(sum(x.supply - x.demand)) OVER (ORDER BY x.moment) AS projected
		FROM (SELECT statement_timestamp() AS moment, sum(b.quantity) AS supply, 0 AS demand FROM dist.stock_balance b WHERE b.item_id = item AND b.site_id = site AND b.perspective = 'phys' AND b.state = 'available'
			UNION ALL SELECT s.expected_at, s.quantity - s.received, 0 FROM dist.supply s WHERE s.item_id = item AND s.site_id = site AND s.status = 'open' AND s.expected_at > statement_timestamp()
			UNION ALL SELECT greatest(d.required_at, statement_timestamp()), 0, d.ordered - d.shipped FROM dist.demand d WHERE d.item_id = item AND d.site_id = site AND d.status = 'open') x
		GROUP BY x.moment
	)
	SELECT r.moment, r.supply, r.demand, r.projected, greatest(0, min(r.projected) OVER (ORDER BY r.moment DESC)) FROM r ORDER BY r.moment;
END
$$;

-- fold does the balances from all events.
CREATE FUNCTION peer.fold() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	DROP TABLE IF EXISTS peer.folded;
	CREATE TABLE peer.folded (LIKE dist.stock_balance INCLUDING DEFAULTS, PRIMARY KEY (item_id, site_id, perspective, state, lot, owner_id));
	INSERT INTO peer.folded (item_id, site_id, perspective, state, lot, owner_id, quantity, last_event_at, counted_at)
	SELECT item_id, site_id, perspective, state, lot, owner_id, sum(quantity), max(event_at), max(event_at) FILTER (WHERE kind = 'count') FROM dist.stock_event GROUP BY 1, 2, 3, 4, 5, 6;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END
$$;
VACUUM ANALYZE peer.pool, peer.stock_balance;
