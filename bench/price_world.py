"""Worlds of prices that all price figures share, and loops over random keys inside the server, timed by its processor time.

What others do on the machine does not count in that; everything is in memory, so that there is nothing else to wait for.
"""
import calls
from inside import Inside

# customers (500 contract rates each), shared rates, items
WORLDS = {"small": (200, 20000, 1000), "quick": (2000, 200000, 100000), "full": (20000, 2000000, 100000)}
ORDERS = 100
LINES = 1000
LOOP = """CREATE OR REPLACE FUNCTION bench.%(name)s(n integer, seed double precision) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	r record;
	customer text;
	item text;
	began double precision;
BEGIN
	PERFORM setseed(seed);
	began := bench.spent();
	FOR x IN 1..n LOOP
		customer := 'PC-' || 1 + floor(random() * %(customers)d)::integer;
		item := 'PI-' || 1 + floor(random() * %(items)d)::integer;
		SELECT * INTO r FROM %(call)s(customer, item);
	END LOOP;
	RETURN (bench.spent() - began) / n;
END
$$"""


class World(Inside):
    """A data set of prices in a database of the run, and one session in it."""

    def __init__(self, cluster, name):
        self.customers, self.shared, self.items = WORLDS[name]
        super().__init__(cluster, "price_" + name)

    def load(self):
        """load makes the data set."""
        self.cluster.script("bench/data/price.sql", customers=self.customers, book_rates=self.shared, items=self.items)
        self.cluster.script("bench/data/price_order.sql", customers=self.customers, items=self.items, orders=ORDERS, lines=LINES)

    def peer(self):
        """peer makes the hand-written price functions ready."""
        self.go()
        if self.cluster.sql("SELECT to_regnamespace('peer') IS NULL") == "t":
            self.cluster.script("bench/peers/price_peer.sql")
            self.cluster.sql("SELECT peer.refresh()", "VACUUM ANALYZE")
        return self

    def keys(self):
        """keys chooses a random customer and item in a pgbench script."""
        return "\\set c random(1, %d)\n\\set i random(1, %d)\n" % (self.customers, self.items)

    def rate(self, lines, sql, *parameters):
        """rate runs a statement that prices so many lines, and says so, and returns lines a second of processor time."""
        began = self.one("SELECT bench.spent()")
        counted = self.one(sql, *parameters)
        if counted != lines:
            raise SystemExit("%d of %d lines were answered" % (counted, lines))
        return lines * 1000000 / (self.one("SELECT bench.spent()") - began)

    def loop(self, call, warm):
        """loop makes a loop that calls a function with random customers and items, warms it up, and returns loop(n, seed) in µs a call."""
        name = call.replace(".", "_")
        self.session.run(LOOP % {"name": name, "customers": self.customers, "items": self.items, "call": call})

        def measure(n, seed):
            return self.one("SELECT bench.%s($1, $2)" % name, str(n), str(seed))

        measure(warm, 0.5)
        return measure

    def empty(self):
        """empty makes the loop whose function, in C, returns the same row and decides nothing."""
        self.go()
        calls.floor(self.cluster, "floor_price", "distsync.price")
        return self.loop("floor_price", 10000)
