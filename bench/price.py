"""Figures of prices: over the protocol, inside the server, in bulk, as data grows, and of what is written."""
import os
import statistics
import sys
import time

import calls
from inside import have, in_turns, median_of
from price_world import LINES, ORDERS, World

PUBLISHED = 1000000     # rates that price_publish_s loads


def big(cluster):
    """big is the world that figures are measured in."""
    return World(cluster, "full" if cluster.full else "quick")


# --- over the protocol: 2 clients, prepared, random keys. Sessions of applications live for hours: each turn begins with new ones, which
# have seen every customer and most items when it counts

WARM = 30       # seconds

def price_call(cluster, report):
    """price_call prices one line of a random customer and item, against an empty C function. What new sessions do at first is told beside it."""
    world = big(cluster)
    calls.floor(cluster, "floor_price", "distsync.price")
    script = world.keys() + "SELECT * FROM %s('PC-' || :c, 'PI-' || :i);\n"
    ours, peer, ratio = cluster.compare(script % "distsync.price", script % "floor_price", clients=2, seconds=8, rounds=3, warm=WARM)
    print("price_call: %d tps in the first 8 s of new sessions" % cluster.pgbench(script % "distsync.price", 2, 8), file=sys.stderr)
    report(round(ours), "tps", peer="empty C function", peer_value=round(peer), ratio=round(ratio, 4))


def price_call_peer(cluster, report):
    """price_call_peer is the same against SQL written by hand."""
    world = big(cluster).peer()
    script = world.keys() + "SELECT * FROM %s('PC-' || :c, 'PI-' || :i);\n"
    ours, peer, ratio = cluster.compare(script % "distsync.price", script % "peer.price", clients=2, seconds=8, rounds=3, warm=WARM)
    report(round(ours), "tps", peer="SQL by hand", peer_value=round(peer), ratio=round(ratio, 3))


# --- inside the server: a loop over random keys, less the same loop with an empty C function

def inside(cluster):
    """inside measures microseconds a line, ours and the peer's, of the same rounds."""
    world = big(cluster).peer()
    empty, ours, peer = world.empty(), world.loop("distsync.price", 200000), world.loop("peer.price", 3000)
    none, mine, theirs = in_turns(5, lambda n: empty(20000, n / 10), lambda n: ours(20000, n / 10), lambda n: peer(4000, n / 10))
    world.close()
    return [a - b for a, b in zip(mine, none)], [a - b for a, b in zip(theirs, none)]


def price_inprocess_us(cluster, report):
    """price_inprocess_us is microseconds a line."""
    mine, theirs = inside(cluster)
    report(round(statistics.median(mine), 2), "us", peer="SQL by hand", peer_value=round(statistics.median(theirs), 1), ratio=round(median_of(lambda a, b: b / a, mine, theirs), 2))


def price_inprocess_peer(cluster, report):
    """price_inprocess_peer is how many times as long the peer takes."""
    mine, theirs = inside(cluster)
    report(round(statistics.median(theirs), 1), "us", peer="price()", peer_value=round(statistics.median(mine), 2), ratio=round(median_of(lambda a, b: b / a, mine, theirs), 2))


def price_explain(cluster, report):
    """price_explain compares explain_price() with price()."""
    world = big(cluster)
    empty, ours, explain = world.empty(), world.loop("distsync.price", 200000), world.loop("distsync.explain_price", 10000)
    none, mine, all_of_it = in_turns(5, lambda n: empty(20000, n / 10), lambda n: ours(20000, n / 10), lambda n: explain(10000, n / 10))
    world.close()
    report(round(median_of(lambda a, b: a - b, all_of_it, none), 2), "us", peer="price()", peer_value=round(median_of(lambda a, b: a - b, mine, none), 2),
           ratio=round(median_of(lambda e, m, z: (e - z) / (m - z), all_of_it, mine, none), 2))


# --- many lines: one connection, one core

def order_rate(world, schema, orders):
    """order_rate makes a measure of prices() of so many orders with a thousand lines, each of a customer chosen anew; all items are seen before."""
    sql = """SELECT count(p.outcome) FROM bench.purchase o, LATERAL %s.prices('PC-' || bench.pick(o.n + $3::bigint * 1000, %d), o.lines) p
        WHERE o.n > $1::integer AND o.n <= $2::integer""" % (schema, world.customers)

    def measure(number, first=None, count=orders):
        first = number * orders % ORDERS if first is None else first
        return world.rate(count * LINES, sql, str(first), str(first + count), str(number))

    measure(-1, 0, ORDERS if schema == "distsync" else orders)
    return measure


def price_order_lines(cluster, report):
    """price_order_lines prices orders of a thousand lines, each of another customer."""
    world = big(cluster).peer()
    ours, peer = order_rate(world, "distsync", 20), order_rate(world, "peer", 4)
    mine, theirs = in_turns(5, ours, peer)
    world.close()
    report(round(statistics.median(mine)), "lines/s", peer="SQL by hand", peer_value=round(statistics.median(theirs)), ratio=round(median_of(lambda a, b: a / b, mine, theirs), 2))


def price_random_lines(cluster, report):
    """price_random_lines prices random customers and items in one statement."""
    world = big(cluster).peer()
    sql = "SELECT count(p.outcome) FROM (SELECT * FROM bench.pair WHERE n <= $1::integer OFFSET 0) k, LATERAL %s.price(k.customer, k.item) p"
    mine, theirs = in_turns(6, lambda n: world.rate(100000, sql % "distsync", "100000"), lambda n: world.rate(10000, sql % "peer", "10000"))
    world.close()
    report(round(statistics.median(mine[1:])), "lines/s", peer="SQL by hand", peer_value=round(statistics.median(theirs[1:])), ratio=round(median_of(lambda a, b: a / b, mine[1:], theirs[1:]), 2))


def price_sheet(cluster, report):
    """price_sheet makes the sheet of all items for one customer, another one each time."""
    world = big(cluster)
    if have(cluster, "price_sheet_s", "price_sheet"):
        def sheet(number):
            began = time.monotonic()
            if world.one("SELECT count(*) FROM distsync.price_sheet($1, statement_timestamp())", "PC-%d" % (1 + number * 7919 % world.customers)) < world.items * 0.9:
                raise SystemExit("the sheet is not whole")
            return time.monotonic() - began

        mine, = in_turns(8, sheet)
        report(round(statistics.median(mine[1:]), 3), "s")
    world.close()


# --- growth: the same against a world with a hundredth of the rates

def growth(cluster, measure):
    """growth measures both worlds in turns: measure(world) is a function of the round's number."""
    worlds = [World(cluster, "small"), big(cluster)]
    small, large = in_turns(5, *[measure(world) for world in worlds])
    for world in worlds:
        world.close()
    return statistics.median(large), statistics.median(small), median_of(lambda a, b: a / b, large, small)


def price_growth(cluster, report):
    """price_growth compares single prices of random keys."""
    def measure(world):
        empty, ours = world.empty(), world.loop("distsync.price", 200000)
        return lambda n: ours(20000, n / 10) - empty(20000, n / 10)

    large, small, ratio = growth(cluster, measure)
    report(round(large, 2), "us", peer="a hundredth of the rates" if cluster.full else "a tenth of the rates", peer_value=round(small, 2), ratio=round(ratio, 2))


def price_order_growth(cluster, report):
    """price_order_growth compares orders of a thousand lines."""
    def measure(world):
        ours = order_rate(world, "distsync", 20)
        return lambda n: 1000000 / ours(n)

    large, small, ratio = growth(cluster, measure)
    report(round(large, 2), "us", peer="a hundredth of the rates" if cluster.full else "a tenth of the rates", peer_value=round(small, 2), ratio=round(ratio, 2))


# --- what is written

def price_impact(cluster, report):
    """price_impact tells what a draft promotion of many items does to the open orders."""
    world = big(cluster)
    if have(cluster, "price_impact_s", "price_impact"):
        lines = 1000000 if cluster.full else 100000
        if cluster.sql("SELECT count(*) FROM dist.agreement WHERE code = 'IMPACT'") == "0":
            cluster.script("bench/data/price_open.sql", customers=world.customers, items=world.items, lines=lines)
        def impact(_):
            began = time.monotonic()
            if world.one("SELECT count(*) FROM distsync.price_impact('IMPACT')") == 0:
                raise SystemExit("no line is affected")
            return time.monotonic() - began

        mine, = in_turns(3, impact)
        report(round(statistics.median(mine), 2), "s")
    world.close()


def price_publish(cluster, report):
    """price_publish loads a contract of a million rates with COPY and publishes it. The data set is another one after that."""
    world = big(cluster)
    world.close()
    cluster.sql("DROP SCHEMA IF EXISTS peer CASCADE", "DROP INDEX IF EXISTS dist.peer_book_rate, dist.peer_customer_rate")
    path = os.path.join(cluster.work, "out", "rates.tsv")
    cluster.script("bench/data/price_draft.sql", customers=world.customers, rates=PUBLISHED)
    cluster.sql("\\copy (SELECT * FROM bench.draft_rate) TO '%s'" % path)
    began = time.monotonic()
    cluster.sql("\\copy dist.customer_rate (version_id, customer_id, target_id, line_key, calc, value, unit) FROM '%s'" % path)
    loaded = time.monotonic() - began
    cluster.sql("SELECT version_no FROM distsync.publish('DRAFT')")
    took = time.monotonic() - began
    os.remove(path)
    cluster.forget()
    report(round(took, 1), "s", peer="COPY alone", peer_value=round(loaded, 1), ratio=round(took / loaded, 2))


FIGURES = {
    "price_call": price_call,
    "price_call_peer": price_call_peer,
    "price_inprocess_us": price_inprocess_us,
    "price_inprocess_peer": price_inprocess_peer,
    "price_order_lines_s": price_order_lines,
    "price_random_lines_s": price_random_lines,
    "price_sheet_s": price_sheet,
    "price_growth": price_growth,
    "price_order_growth": price_order_growth,
    "price_explain": price_explain,
    "price_impact_s": price_impact,
    "price_publish_s": price_publish,
}
