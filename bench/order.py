"""submit_order and submit_order_p99_ms: durable orders of five lines, priced, promised, within credit and told, 16 clients."""
import glob
import os
import statistics

from inside import in_turns
from price_world import World

CLIENTS = 16
SECONDS = 8
WARM = 4            # seconds of a turn that do not count: sessions are new
ROUNDS = 3
PEER = "accounts"   # database of the peer
LINE = """{"line": %(n)d, "item": "PI-' || :i%(n)d || '", "quantity": ' || :q%(n)d || '}"""
SCRIPT = "".join("\\set i%d random(1, %%(items)d)\n\\set q%d random(1, 20)\n" % (n, n) for n in range(1, 6)) + """\\set c random(1, %(customers)d)
\\set h random(1, 1000000000000000)
SELECT 1 / (state = 'accepted')::integer AS accepted, order_number, gross_amount
FROM distsync.submit_order(('{"company": "B", "customer": "PC-' || :c || '", "customer_po": "PO-' || :h || '", "lines": [""" + ", ".join(LINE % {"n": n} for n in range(1, 6)) + """]}')::jsonb, 'key-' || :h);
"""


class Orders(World):
    """A world of prices in a database of its own, with stock, credit accounts and a system that listens."""

    def __init__(self, cluster, name):
        self.made = "order_" + name
        super().__init__(cluster, name)

    def load(self):
        """load makes the data set."""
        self.cluster.script("bench/data/price.sql", customers=self.customers, book_rates=self.shared, items=self.items)
        self.cluster.script("bench/data/order.sql", customers=self.customers)

    def go(self):
        """go makes the data set the database of this moment."""
        self.dataset = self.made
        return super().go()

    def script(self):
        """script is the order of one client."""
        return SCRIPT % {"items": self.items, "customers": self.customers}

    def whole(self):
        """whole ends the run unless every order has its lines, its stock, its credit and its event, and no invariant of orders is broken."""
        wrong = self.cluster.sql("""SELECT concat_ws(' ', orders, lines, promised, decided, told) FROM (SELECT (SELECT count(*) FROM dist.sales_order) AS orders, (SELECT count(*) FROM dist.order_line) AS lines,
            (SELECT count(*) FROM dist.reservation WHERE state = 'committed') AS promised, (SELECT count(*) FROM dist.credit_decision WHERE outcome = 'approved') AS decided,
            (SELECT count(*) FROM sync.outbox_customer WHERE event_type = 'order.accepted') AS told) n WHERE (lines, promised, decided, told) IS DISTINCT FROM (5 * orders, 5 * orders, orders, orders)""",
                                 "SELECT count(*) FROM distsync_internal.order_verify_exposure()")
        if wrong != "0":
            raise SystemExit("orders are not whole: " + wrong)


def timed(cluster, script, dsn, *options):
    """timed runs pgbench with a log of every transaction and returns transactions a second and their latencies in ms, without the first seconds."""
    out = os.path.join(cluster.work, "out")
    for old in glob.glob(os.path.join(out, "order_log*")):
        os.remove(old)
    command = ["pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(WARM + SECONDS), "-l", "--log-prefix", os.path.join(out, "order_log"), *options]
    if script:
        with open(os.path.join(out, "script.sql"), "w", encoding="utf-8") as file:
            file.write(script)
        command += ["-f", os.path.join(out, "script.sql")]
    cluster.call(command + [dsn])
    rows = []
    for path in glob.glob(os.path.join(out, "order_log*")):
        with open(path, encoding="utf-8") as file:
            rows += [(int(fields[4]) + int(fields[5]) / 1e6, int(fields[2]) / 1000) for fields in map(str.split, file)]
    last = max(at for at, _ in rows)
    latencies = sorted(ms for at, ms in rows if at > last - SECONDS)
    return len(latencies) / SECONDS, latencies


def submit_order(cluster, report):
    """submit_order compares orders with the statements of pgbench -N at scale 50, in turns, in one cluster; the 99th percentile is of the same turns."""
    world = Orders(cluster, "full" if cluster.full else "quick")
    peer = cluster.dsn.replace("dbname=" + world.made, "dbname=" + PEER)
    cluster.call(["createdb", "-h", cluster.run, "-U", "postgres", PEER])
    cluster.call(["pgbench", "-i", "-q", "-s", "50", peer])
    # segments of the WAL that loading has left are used again, as on a server that has run for a while: a new one is written and synced as zeros while all wait
    cluster.sql("CHECKPOINT")
    theirs, mine = in_turns(ROUNDS, lambda _: timed(cluster, None, peer, "-N")[0], lambda _: timed(cluster, world.script(), cluster.dsn))
    world.whole()
    world.close()
    cluster.call(["dropdb", "-h", cluster.run, "-U", "postgres", PEER])
    slow = statistics.median(latencies[int(len(latencies) * 0.99)] for _, latencies in mine)
    report(round(statistics.median(tps for tps, _ in mine)), "orders/s", peer="pgbench -N -s 50", peer_value=round(statistics.median(theirs)),
           ratio=round(statistics.median(a / b for (a, _), b in zip(mine, theirs)), 4))
    report(round(slow, 2), "ms", figure="submit_order_p99_ms")


FIGURES = {"submit_order": submit_order}
