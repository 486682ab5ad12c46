"""Worlds of stock that all stock figures share: items at ten sites, with what both truths tell of them."""
import calls
from inside import Inside

# items, each at ten sites
WORLDS = {"small": 100, "middle": 1000, "quick": 10000, "full": 100000}
SITES = 10
LOOP = """CREATE OR REPLACE FUNCTION bench.%(name)s(n integer, seed double precision) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	r record;
	item text;
	site text;
	began double precision;
BEGIN
	PERFORM setseed(seed);
	began := bench.spent();
	FOR x IN 1..n LOOP
		item := 'SKU-' || 1 + floor(random() * %(items)d)::integer;
		site := 'B' || 1 + floor(random() * %(sites)d)::integer;
		SELECT * INTO r FROM %(call)s;
	END LOOP;
	RETURN (bench.spent() - began) / n;
END
$$"""
# single events, each in a transaction of its own
SINGLE = """CREATE OR REPLACE PROCEDURE bench.single(n integer, name text, INOUT spent double precision) LANGUAGE plpgsql AS $$
DECLARE
	told text;
	began double precision := bench.spent();
BEGIN
	FOR x IN 1..n LOOP
		SELECT a.outcome INTO told FROM distsync.apply('stock_event', jsonb_build_object('event_id', concat_ws('-', name, x), 'kind', 'receive', 'sku', 'SKU-' || 1 + floor(random() * %(items)d)::integer,
			'site', 'B' || 1 + floor(random() * %(sites)d)::integer, 'quantity', 1, 'event_at', clock_timestamp()), 'bench-wms') a;
		COMMIT;
		ASSERT told = 'applied';
	END LOOP;
	spent := (bench.spent() - began) / n;
END
$$"""


class Stock(Inside):
    """A data set of stock in a database of the run, and one session in it."""

    def __init__(self, cluster, name, purpose="stock"):
        self.items = WORLDS[name]
        super().__init__(cluster, purpose + "_" + name)

    def load(self):
        """load makes the data set."""
        self.cluster.script("bench/data/stock.sql", items=self.items, sites=SITES)
        self.cluster.script("bench/data/stock_ask.sql", items=self.items, sites=SITES)

    def peer(self):
        """peer makes the hand-written functions ready."""
        self.go()
        if self.cluster.sql("SELECT to_regnamespace('peer') IS NULL") == "t":
            self.cluster.script("bench/peers/stock_peer.sql")
        return self

    def hot(self, number):
        """hot makes a new item of which a billion lies at one site, for the engine and for the peer, and returns its code."""
        code = "HOT-%s" % number
        self.cluster.sql(
            "SELECT distsync.apply('item', jsonb_build_object('sku', '%s', 'base_unit', 'EA'), 'bench-erp')" % code,
            """SELECT distsync.apply('stock_event', jsonb_build_object('event_id', '%s', 'kind', 'count', 'sku', '%s', 'site', 'B1', 'quantity', 1000000000, 'event_at', now()), s)
            FROM unnest(ARRAY['bench-erp', 'bench-wms']) s""" % (code, code),
            "INSERT INTO peer.pool (item_id, site_id, stock) SELECT item_id, 1, 1000000000 FROM dist.item WHERE sku = '%s'" % code)
        return code

    def exact(self, code):
        """exact ends the run unless what may still be promised of a hot item is what there was less all reservations."""
        wrong = self.cluster.sql("""SELECT format('%%s promised, %%s left', r.promised, a.atp) FROM distsync.atp('%s', 1, 'EA', 'B1') a,
            (SELECT sum(r.quantity) AS promised FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku = '%s' AND r.state = 'held') r
            WHERE a.atp + r.promised IS DISTINCT FROM 1000000000""" % (code, code))
        if wrong:
            raise SystemExit("reservations of %s do not add up: %s" % (code, wrong))

    def keys(self, items=None):
        """keys chooses a random item, site and name in a pgbench script."""
        return "\\set i random(1, %d)\n\\set s random(1, %d)\n\\set h random(1, 1000000000000000)\n" % (items or self.items, SITES)

    def loop(self, call, warm):
        """loop makes a loop that makes a call for random items and sites, warms it up, and returns loop(n, seed) in µs a call."""
        name = call.split("(")[0].replace(".", "_")
        self.session.run(LOOP % {"name": name, "items": self.items, "sites": SITES, "call": call})

        def measure(n, seed):
            return self.one("SELECT bench.%s($1, $2)" % name, str(n), str(seed))

        measure(warm, 0.5)
        return measure

    def atp(self, warm):
        """atp makes the loop that asks for availability, less one whose function, in C, returns the same row and decides nothing."""
        self.go()
        calls.floor(self.cluster, "floor_atp", "distsync.atp")
        empty, ours = self.loop("floor_atp(item, site)", 10000), self.loop("distsync.atp(item, 1, 'EA', site)", warm)
        return lambda n, seed: ours(n, seed) - empty(n, seed)

    def single(self, warm):
        """single makes the loop of single events, warms it up, and returns single(n, name) in µs an event; names are unique."""
        self.go()
        self.session.run(SINGLE % {"items": self.items, "sites": SITES})

        def measure(n, name):
            return self.one("CALL bench.single($1, $2, NULL)", str(n), name)

        measure(warm, "warm")
        return measure
