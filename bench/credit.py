"""Figures of credit: the decision, how it grows with open items, aging of everybody."""
import statistics
import time

import calls
from inside import Inside, in_turns, median_of

OPTIONS = "'{\"company\":\"B\"}'"
WIDE = 20  # accounts with 10,000 open items, beside 100 with 10
# a loop over random customers of a kind, in microseconds a call
LOOP = """CREATE OR REPLACE FUNCTION bench.credit(prefix text, keys integer, n integer, seed double precision) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	r record;
	customer text;
	began double precision;
BEGIN
	PERFORM setseed(seed);
	began := bench.spent();
	FOR x IN 1..n LOOP
		customer := prefix || 1 + floor(random() * keys)::integer;
		SELECT * INTO r FROM distsync.credit(customer, 100, 'USD', %s);
	END LOOP;
	RETURN (bench.spent() - began) / n;
END
$$""" % OPTIONS


class Credit(Inside):
    """The receivables of all customers, and one session in them."""

    def __init__(self, cluster):
        self.customers = 1000000 if cluster.full else 100000
        super().__init__(cluster, "credit_full" if cluster.full else "credit_quick")

    def load(self):
        """load makes the data set."""
        self.cluster.script("bench/data/credit.sql", customers=self.customers, wide=WIDE)
        self.cluster.script("bench/data/inside.sql")
        self.cluster.sql(LOOP)
        # what a server that runs for hours has in memory: every customer was asked for before
        self.cluster.sql("SELECT count(r.outcome) FROM generate_series(1, %d) i, distsync.credit('CC-' || i, 100, 'USD', %s) r" % (self.customers, OPTIONS))

    def loop(self, prefix, keys):
        """loop makes a measure of credit() of random customers of a kind."""
        return lambda number: self.one("SELECT bench.credit($1, $2, 20000, $3)", prefix, str(keys), str(number / 10))


def credit_call(cluster, report):
    """credit_call asks for a random customer."""
    world = Credit(cluster)
    world.close()
    calls.call(cluster, report, "credit", "SELECT * FROM distsync.credit('CC-' || :c, 100, 'USD', %s);\n" % OPTIONS, "\\set c random(1, %d)\n" % world.customers)


def credit_growth(cluster, report):
    """credit_growth compares accounts with 10,000 open items with those with 10: the same amount, over the same 120 days, late by the same rules."""
    world = Credit(cluster)
    small, large = (found[1:] for found in in_turns(6, world.loop("CN-", 100), world.loop("CW-", WIDE)))
    world.close()
    report(round(statistics.median(large), 2), "us", peer="10 open items", peer_value=round(statistics.median(small), 2), ratio=round(median_of(lambda a, b: a / b, large, small), 2))


def aging_all(cluster, report):
    """aging_all is the aging of every customer at this day, until its last row is read; it must add up to what is open."""
    world = Credit(cluster)
    world.close()
    times = []
    for _ in range(4):
        began = time.monotonic()
        total = cluster.sql("SELECT sum(amount) || ' ' || sum(items) FROM distsync.agings()")
        times.append(time.monotonic() - began)
    there = cluster.sql("SELECT sum(CASE WHEN kind = 'payment' THEN -open_amount ELSE open_amount END) || ' ' || count(*) FROM dist.open_item WHERE open_amount > 0")
    if total != there:
        raise SystemExit("the aging is %s and there is %s" % (total, there))
    report(round(statistics.median(times[1:]), 2), "s")


FIGURES = {
    "credit_call": credit_call,
    "credit_growth": credit_growth,
    "aging_all_s": aging_all,
}
