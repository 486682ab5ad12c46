"""Figures of stock: availability, promises one by one and in bulk, events, growth, rebuilding.

What is promised or told is durable: fsync and synchronous_commit are on, and the figures that write are wall time.
"""
import statistics
import sys
import time

import calls
from inside import have, in_turns, median_of
from stock_world import SITES, Stock

WARM = 3            # seconds of a turn that do not count: sessions are new, and what is hot must be found to be
SPREAD = 10000      # items of the load that a hot item is compared with
LINES = 100         # of a reservation in bulk
EVENTS = 10000      # of a feed
TIMELINES = 4
HISTORY = 1000000   # events that balances are rebuilt from
RESERVE = """SELECT 1 / (outcome = 'reserved')::integer AS reserved, reservation_id, expires_at
FROM distsync.reserve(('[{"item": "' || %s || '", "site": "B1", "quantity": 1}]')::jsonb, ('{"holder": "cart-' || :h || '"}')::jsonb);
"""


def big(cluster):
    """big is the world that figures are measured in."""
    return Stock(cluster, "full" if cluster.full else "quick")


# --- reading

def atp_call(cluster, report):
    """atp_call asks for one unit of a random item at a random site."""
    world = big(cluster)
    world.close()
    calls.call(cluster, report, "atp", "SELECT * FROM distsync.atp('SKU-' || :i, 1, 'EA', 'B' || :s);\n", world.keys())


def atp_timeline(cluster, report):
    """atp_timeline reads the timeline of 500 receipts and 500 orders to come, in a loop inside the server."""
    world = big(cluster).peer()
    if have(cluster, "atp_timeline_ms", "atp_timeline"):
        if cluster.sql("SELECT count(*) FROM dist.item WHERE sku LIKE 'TL-%'") == "0":
            cluster.script("bench/data/stock_timeline.sql", timelines=TIMELINES)
        mine, theirs = in_turns(6, timeline(world, "distsync.atp_timeline('TL-' || :n, 'B1')"),
                                timeline(world, "peer.timeline((SELECT item_id FROM dist.item WHERE sku = 'TL-' || :n), 1)"))
        report(round(statistics.median(mine[1:]), 2), "ms", peer="SQL by hand", peer_value=round(statistics.median(theirs[1:]), 2), ratio=round(median_of(lambda a, b: b / a, mine[1:], theirs[1:]), 2))
    world.close()


def timeline(world, call):
    """timeline makes a measure of one way to read a timeline, in ms of processor time."""
    def measure(_):
        began = world.one("SELECT bench.spent()")
        for number in range(1, TIMELINES + 1):
            if world.one("SELECT count(*) FROM " + call.replace(":n", str(number))) != 1001:
                raise SystemExit("the timeline is not whole")
        return (world.one("SELECT bench.spent()") - began) / 1000 / TIMELINES

    return measure


# --- promising

def reserve(cluster, world, clients, number):
    """reserve is how many reservations a second clients make of one item, new in each turn; afterwards they must add up."""
    code = world.hot(number)
    tps = cluster.pgbench(world.keys() + RESERVE % ("'%s'" % code), clients, 6, warm=WARM)
    world.exact(code)
    return tps


def reserve_hot(cluster, report, clients):
    """reserve_hot makes durable reservations of one item, against a guarded UPDATE and an INSERT in one function by hand."""
    world = big(cluster).peer()

    def peer(number):
        code = world.hot("%s-%s-peer" % (clients, number))
        item_id = cluster.sql("SELECT item_id FROM dist.item WHERE sku = '%s'" % code)
        return cluster.pgbench(world.keys() + "SELECT peer.reserve(%s, 1, 1, 'cart-' || :h);\n" % item_id, clients, 6, warm=WARM)

    theirs, mine = in_turns(3, peer, lambda n: reserve(cluster, world, clients, "%s-%s" % (clients, n)))
    world.close()
    report(round(statistics.median(mine)), "reservations/s", peer="guarded UPDATE", peer_value=round(statistics.median(theirs)), ratio=round(median_of(lambda a, b: a / b, mine, theirs), 3))


def reserve_hot_16(cluster, report):
    """reserve_hot_16 is with 16 clients."""
    reserve_hot(cluster, report, 16)


def reserve_hot_64(cluster, report):
    """reserve_hot_64 is with 64 clients."""
    reserve_hot(cluster, report, 64)


def reserve_hot_spread(cluster, report):
    """reserve_hot_spread compares reservations of one hot item by 64 clients with the same over 10,000 items."""
    world = big(cluster).peer()
    script = world.keys(SPREAD) + RESERVE % "'SKU-' || :i"
    spread, hot = in_turns(3, lambda n: cluster.pgbench(script, 64, 6, warm=WARM), lambda n: reserve(cluster, world, 64, "spread-%s" % n))
    world.close()
    report(round(statistics.median(hot)), "reservations/s", peer="over 10,000 items", peer_value=round(statistics.median(spread)), ratio=round(median_of(lambda a, b: a / b, hot, spread), 3))


def reserve_bulk_lines(cluster, report):
    """reserve_bulk_lines makes durable reservations of 100 lines a call, random items and sites, 4 clients."""
    world = big(cluster).peer()
    script = world.keys() + "\\set n random(1, 1000)\nSELECT 1 / (count(*) = %d)::integer FROM bench.request q, LATERAL %%s r WHERE q.n = :n%%s;\n" % LINES
    ours = script % ("distsync.reserve(q.lines, ('{\"holder\": \"order-' || :h || '\"}')::jsonb)", " AND r.outcome = 'reserved'")
    peer = script % ("peer.reserve_all(q.items, q.sites, q.quantities, 'order-' || :h)", "")
    mine, theirs, ratio = cluster.compare(ours, peer, clients=4, seconds=5, rounds=3, warm=2)
    world.close()
    report(round(mine * LINES), "lines/s", peer="SQL by hand", peer_value=round(theirs * LINES), ratio=round(ratio, 3))


# --- what is told of stock

def feed_rate(world, source):
    """feed_rate makes a measure of two feeds, of one session: events a second."""
    def measure(number):
        began = time.monotonic()
        for part in (1, 2):
            if world.one("SELECT %s AND f.n = $1" % source, str(number * 2 + part)) < EVENTS:
                raise SystemExit("the feed was not applied as a whole")
        return 2 * EVENTS / (time.monotonic() - began)

    return measure


def stock_events_bulk(cluster, report):
    """stock_events_bulk tells of 10,000 events a call, one session. What feeds whose documents the book names too take is told beside it."""
    world = big(cluster).peer()
    ours = feed_rate(world, "count(*) FROM bench.feed f, LATERAL distsync.apply_all('stock_event', f.docs, 'bench-wms') r WHERE r.outcome = 'applied'")
    peer = feed_rate(world, "peer.stock_events(f.docs, 'bench-wms') FROM bench.feed f WHERE true")
    told = "feed-%d" % time.time()
    cluster.script("bench/data/stock_feed.sql", items=world.items, sites=SITES, feeds=8, references="false", name=told)
    mine, theirs = in_turns(4, ours, peer)
    cluster.script("bench/data/stock_feed.sql", items=world.items, sites=SITES, feeds=2, references="true", name=told + "-named")
    print("stock_events_bulk_s: %d events/s where shipments and receipts name their documents" % ours(0), file=sys.stderr)
    world.close()
    report(round(statistics.median(mine[1:])), "events/s", peer="SQL by hand", peer_value=round(statistics.median(theirs[1:])), ratio=round(median_of(lambda a, b: a / b, mine[1:], theirs[1:]), 3))


def stock_event_single(cluster, report):
    """stock_event_single tells of receipts one by one, 16 clients, against an INSERT into a bare copy of the table."""
    world = big(cluster).peer()
    ours = """SELECT 1 / (outcome = 'applied')::integer FROM distsync.apply('stock_event', ('{"event_id": "E-' || :h || '", "kind": "receive", "sku": "SKU-' || :i || '", "site": "B' || :s || '", "quantity": 1, "event_at": "'
        || now()::text || '"}')::jsonb, 'bench-wms');\n"""
    peer = """INSERT INTO peer.bare_event (item_id, event_key, event_at, kind, perspective, site_id, state, quantity, source)
        VALUES (:i, 'E-' || :h, now(), 'receive', 'phys', :s, 'available', 1, 'bench-wms');\n"""
    mine, theirs, ratio = cluster.compare(*[world.keys() + script.replace("\n        ", " ") for script in (ours, peer)], clients=16, seconds=6, rounds=3, warm=2)
    world.close()
    report(round(mine), "events/s", peer="INSERT into a bare table", peer_value=round(theirs), ratio=round(ratio, 3))


def stock_growth(cluster, report):
    """stock_growth compares atp() and single events of random item-sites with those of a world of a hundredth; the worse one counts."""
    worlds = [Stock(cluster, "middle" if cluster.full else "small"), big(cluster)]
    rate, ratios = 2000, []
    for what, unit in (("atp", lambda world: world.atp(20000)), ("event", lambda world: world.single(1000))):
        measures = [unit(world) for world in worlds]
        runs = [(lambda n, f=f: f(rate, n / 10)) if what == "atp" else (lambda n, f=f: f(rate // 2, "growth-%d-%d" % (time.time(), n))) for f in measures]
        small, large = in_turns(5, *runs)
        ratios.append((median_of(lambda a, b: a / b, large, small), statistics.median(large), statistics.median(small)))
        print("stock_growth: %s %.1f us, in the small world %.1f us" % (what, ratios[-1][1], ratios[-1][2]), file=sys.stderr)
    for world in worlds:
        world.close()
    ratio, large, small = max(ratios)
    report(round(large, 1), "us", peer="a hundredth of the item-sites", peer_value=round(small, 1), ratio=round(ratio, 2))


def stock_rebuild(cluster, report):
    """stock_rebuild makes all balances anew from a million events, against their sum by SQL."""
    world = Stock(cluster, "quick", "rebuild").peer()
    cluster.script("bench/data/stock_history.sql", items=world.items, sites=SITES, events=HISTORY)

    def wall(sql):
        def measure(_):
            began = time.monotonic()
            world.one(sql)
            return time.monotonic() - began

        return measure

    mine, theirs = in_turns(2, wall("SELECT count(*) FROM distsync.rebuild_stock()"), wall("SELECT peer.fold()"))
    wrong = world.one("""SELECT count(*) FROM dist.stock_balance b FULL JOIN peer.folded f USING (item_id, site_id, perspective, state, lot, owner_id)
        WHERE b.quantity IS DISTINCT FROM f.quantity""")
    if wrong:
        raise SystemExit("%d balances are not the sum of their events" % wrong)
    world.close()
    cluster.forget()
    report(round(statistics.median(mine), 2), "s", peer="sum by SQL", peer_value=round(statistics.median(theirs), 2), ratio=round(median_of(lambda a, b: a / b, mine, theirs), 2))


FIGURES = {
    "atp_call": atp_call,
    "atp_timeline_ms": atp_timeline,
    "reserve_hot_16": reserve_hot_16,
    "reserve_hot_64": reserve_hot_64,
    "reserve_hot_spread": reserve_hot_spread,
    "reserve_bulk_lines_s": reserve_bulk_lines,
    "stock_events_bulk_s": stock_events_bulk,
    "stock_event_single": stock_event_single,
    "stock_growth": stock_growth,
    "stock_rebuild_s": stock_rebuild,
}
