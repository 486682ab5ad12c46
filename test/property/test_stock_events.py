"""Stock events taken in C against the whole way in SQL: random feeds into two worlds, told the same, must leave the same.

The worlds are two sets of items, of systems and of documents whose names differ in one letter. One is told with the short ways off
(distsync.price_through_sql); everything that is answered and everything that is kept must be equal but for that letter, surrogate ids and
clocks. SEED=n repeats a run.
"""
import datetime
import json
import os
import random
import subprocess
import unittest

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
WORLDS = {"q": "off", "w": "on"}  # the letter of a world, and whether it goes through SQL
ITEMS = 6
QUIET = "SET client_min_messages = warning;\nSET timezone = 'UTC';\n\\set VERBOSITY verbose\n"
BROKEN = ("SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.inventory_verify_stock() "
          "UNION ALL SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.inventory_verify_promises()")

# what is kept of a world, without what a clock or a sequence has made
KEPT = {
    "balances": "SELECT sku, s.code, perspective, state, lot, owner_id, quantity, last_event_at, counted_at, expires_on FROM dist.stock_balance b JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "pools": "SELECT sku, s.code, cap, held, committed, shortfall, backorder_cap, safety, ruled, phys, book, due, low, ahead, slots, CASE WHEN valid_until > '2090-01-01' THEN valid_until::text ELSE (valid_until IS NOT NULL)::text END FROM dist.stock_pool p JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "events": "SELECT sku, s.code, event_key, event_at, e.kind, perspective, lot, owner_id, state, quantity, counted, source, stream, sequence, reference, corrects_id IS NOT NULL "
              "FROM dist.stock_event e JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "in flight": "SELECT sku, s.code, reference, phys, book, event_at FROM dist.stock_in_flight f JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "supply": "SELECT sku, s.code, kind, reference, quantity, received, u.status FROM dist.supply u JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "demand": "SELECT sku, s.code, demand_key, reserved, ordered, allocated, shipped, d.status FROM dist.demand d JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "reservations": "SELECT sku, s.code, holder, demand_key, quantity, committed, shipped, state FROM dist.reservation r JOIN item USING (item_id) JOIN dist.site s USING (site_id)",
    "streams": "SELECT source, stream, perspective, s.code, next_sequence, ahead, gap_from, CASE WHEN stream <> '' THEN last_event_at END FROM dist.stock_stream t LEFT JOIN dist.site s USING (site_id) WHERE source LIKE 'ev%s-%%'",
    "exceptions": "SELECT kind, trace_key, state, seen, delta, regexp_replace(details::text, '\"(was|promised_at)\": \"[^\"]*\"', '\"\\1\": \"then\"', 'g') FROM sync.exception WHERE trace_key ~* 'EV%s-'",
    "reversals": "SELECT sku, source, reverses, event_key FROM dist.stock_reversal w JOIN item USING (item_id)",
    "keys": "SELECT source, encode(body_sha256, 'hex') IS NOT NULL, count(*) FROM sync.dedupe WHERE source LIKE 'ev%s-%%' GROUP BY 1, 2",
}


def psql(script):
    """Runs a script in a connection of its own; returns its lines, errors among them."""
    done = subprocess.run(["psql", "-XqAt"], input=QUIET + script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.splitlines()


def literal(value):
    return "'" + json.dumps(value).replace("'", "''") + "'"


def plain(lines, world):
    """plain is what was said without the letter of the world and the line of the script."""
    kept = [line for line in lines if not line.startswith(("LOCATION:", "CONTEXT:", "SQL ", "PL/pgSQL"))]
    return [line.split("ERROR:", 1)[-1].replace(f"EV{world}-", "EV-").replace(f"ev{world}-", "ev-") for line in kept]


class Feed:
    """What is told, made by chance: each document for both worlds."""

    def __init__(self, rng):
        self.rng, self.told, self.number, self.sequence, self.applied = rng, [], 0, {}, []

    def event(self, kinds):
        rng = self.rng
        self.number += 1
        kind = rng.choice(kinds)
        event = {"event_id": f"e{self.number}", "kind": kind, "sku": f"EV%-{rng.randrange(ITEMS)}", "site": f"EV-S{rng.choice((1, 1, 2))}", "quantity": rng.choice((1, 2, 3, 7, "2.5", 0.125, 12)),
                 "event_at": f"2024-02-{rng.choice((1, 1, 2, 3)):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:00Z" if rng.random() < .3 else self.now()}
        if kind == "delta":
            event["quantity"] = rng.choice((-4, -1, 0, 1, 5, "-0.5"))
        if kind == "count":
            event["quantity"] = rng.randrange(60)
        if kind == "transfer":
            event[rng.choice(("to_site", "to_state"))] = None
            event["to_site" if "to_site" in event else "to_state"] = rng.choice(("EV-S1", "EV-S2")) if "to_site" in event else rng.choice(("quality", "damaged", "available", "in_transit"))
        if kind == "reverse":
            event = {"event_id": event["event_id"], "kind": kind, "sku": event["sku"], "site": event["site"], "reverses": rng.choice((self.applied or ["e0"])[-30:] + [f"e{self.number + n}" for n in range(1, 15)])}
        if rng.random() < .15:
            event["sku"] = event["sku"].replace("EV%-", "their-")
        if rng.random() < .1:
            event["site"] = event["site"].replace("EV-", "their-")
        for name, chance, values in (("lot", .15, ("L1", "L2")), ("owner", .08, ("EV-P1", "EV-P2")), ("state", .12, ("quality", "safety", "available", "consignment_in")), ("unit", .15, ("EA", "EV-BX")),
                                     ("expires_on", .05, ("2099-01-01", "2024-01-01")), ("reference", .3, ("R1", "R2", "R3", "EV%-PO-1", "EV%-PO-2", "EV%-1/O1/1", "EV%-1/O2/1")), ("note", .05, ("kept", {"deep": [1]})),
                                     ("perspective", .1, ("book", "phys"))):
            if rng.random() < chance and kind != "reverse":
                event[name] = rng.choice(values)
        if event["sku"].endswith("-5") and kind != "reverse" and rng.random() < .95:
            event.setdefault("lot", "L1")
        return event

    def now(self):
        return f"2024-03-{1 + self.number // 1440 % 28:02}T{self.number // 60 % 24:02}:{self.number % 60:02}:00+00:00"

    def spoil(self, event):
        """spoil makes one thing wrong with an event."""
        wrong = self.rng.choice(({"sku": "EV%-none"}, {"site": "nowhere"}, {"state": "nothing"}, {"quantity": -5}, {"unit": "XX"}, {"owner": "nobody"}, {"event_at": "2999-01-01T00:00:00Z"}, {"quantity": None},
                                 {"kind": "burn"}, {"event_at": "yesterday"}, {"quantity": "0.1234567"}, {"unit": "EV-BX", "quantity": "0.0000001"}))
        return dict(event, **wrong)

    def batch(self):
        rng = self.rng
        kinds = rng.choice((("receive", "ship", "delta"), ("receive", "ship", "delta", "transfer", "count"), ("count",), ("receive", "ship", "delta", "transfer", "count", "reverse")))
        docs = [self.event(kinds) for _ in range(rng.choice((1, 1, 2, 5, 20)))]
        stream = rng.choice((None, None, "A", "B"))
        for doc in docs if stream else ():
            number = self.sequence.get(stream, 1)
            self.sequence[stream] = number + rng.choice((1, 1, 1, 1, 2))
            doc.update(stream=stream, sequence=number)
        if self.told and rng.random() < .4:
            again = dict(rng.choice(self.told))
            if rng.random() < .3:
                again["quantity"] = 99
            docs.insert(rng.randrange(len(docs) + 1), again)
        if rng.random() < .2:
            docs.append(dict(rng.choice(docs)))
        self.told += docs
        if rng.random() < .2:
            docs[rng.randrange(len(docs))] = self.spoil(docs[0])
        if rng.random() < .2:
            rng.shuffle(docs)
        self.applied += [doc["event_id"] for doc in docs]
        return docs


class StockEvents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        cls.mark = f"{SEED % 10**6}-{os.getpid()}"
        script = ("SELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\n"
                  "SELECT outcome FROM distsync.apply_all('unit', '[{\"unit\":\"EA\"},{\"unit\":\"EV-BX\"}]', 'distsync');\n"
                  "SELECT outcome FROM distsync.apply('company', '{\"code\":\"EV\",\"name\":\"e\",\"currency\":\"USD\"}', 'distsync');\n"
                  f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': f'EV-S{i}', 'name': 's', 'company': 'EV', 'rank': i} for i in (1, 2)])}, 'distsync');\n"
                  f"SELECT outcome FROM distsync.apply_all('party', {literal([{'code': f'EV-P{i}', 'name': 'p', 'roles': ['vendor']} for i in (1, 2)])}, 'distsync');\n")
        for world in WORLDS:
            items = [{"sku": f"EV{world}-{i}", "base_unit": "EA", "serial_controlled": i == 4, "lot_controlled": i == 5, "units": [{"unit": "EV-BX", "numerator": 12, "denominator": 1}]} for i in range(ITEMS + 1)]
            costs = [{"sku": f"EV{world}-{i}", "company": "EV", "cost": "25", "currency": "USD", "unit": "EA", "valid_from": "2020-01-01T00:00:00Z"} for i in range(3)]
            names = [{"system": f"ev{world}-{source}", "entity": entity, "external_id": f"their-{name}", "code": code} for source in ("erp", "wms", "shop")
                     for entity, name, code in [("item", i, f"EV{world}-{i}") for i in range(ITEMS)] + [("site", f"S{i}", f"EV-S{i}") for i in (1, 2)]]
            script += (f"SELECT distsync.add_system('ev{world}-erp', 'erp'), distsync.add_system('ev{world}-wms', 'wms'), distsync.add_system('ev{world}-shop', 'shop');\n"
                       f"SELECT outcome FROM distsync.apply_all('item', {literal(items)}, 'distsync');\n"
                       f"SELECT outcome FROM distsync.apply_all('xref', {literal(names)}, 'distsync');\n"
                       f"SELECT outcome FROM distsync.apply_all('item_cost', {literal(costs)}, 'distsync');\n")
        out = psql(script)
        assert not [line for line in out if "ERROR" in line], out

    def tell(self, source, docs, on_error, one):
        """tell brings documents into both worlds, each in a transaction, with what it leaves for others; both must answer the same."""
        said = {}
        for world, through_sql in WORLDS.items():
            text = json.dumps(docs).replace("%", world).replace("'", "''")
            call = (f"distsync.apply('stock_event', ('{text}'::jsonb) -> 0, 'ev{world}-{source}', NULL, '{{\"on_error\":\"{on_error}\"}}')" if one else
                    f"distsync.apply_all('stock_event', '{text}', 'ev{world}-{source}', NULL, '{{\"on_error\":\"{on_error}\"}}')")
            said[world] = plain(psql(
                f"SET distsync.price_through_sql = {through_sql};\nBEGIN;\nSELECT r FROM {call} r;\n"
                "SELECT DISTINCT 'told of ' || i.sku FROM sync.outbox_item o JOIN dist.item i ON i.item_id = o.item_id WHERE o.xid = pg_current_xact_id() ORDER BY 1;\nCOMMIT;\n"), world)
        self.assertEqual(said["q"], said["w"], (source, docs))
        return said["q"]

    def both(self, statement):
        """both does a statement in both worlds."""
        said = [plain(psql(statement.replace("%", world)), world) for world in WORLDS]
        self.assertEqual(said[0], said[1], statement)

    def compare(self, feed):
        for what, query in KEPT.items():
            kept = []
            for world in WORLDS:
                rows = psql(f"WITH item AS (SELECT item_id, sku FROM dist.item WHERE sku LIKE 'EV{world}-%') SELECT x::text FROM ({query.replace('%s', world).replace('%%', '%')}) x ORDER BY x::text;")
                kept.append(sorted(plain(rows, world)))
            self.assertEqual(kept[0], kept[1], f"{what} after {feed.number} events")
        self.assertEqual(psql(BROKEN + ";"), [])

    def other(self, rng):
        """other is what is done between feeds: promises, orders of others, supply."""
        sku, site, key = f"EV%-{rng.randrange(ITEMS)}", f"EV-S{rng.choice((1, 2))}", f"EV%-1/O{rng.choice((1, 2))}/1"
        ids = f"(SELECT item_id FROM dist.item WHERE sku = '{sku}'), (SELECT site_id FROM dist.site WHERE code = '{site}')"
        return rng.choice((
            f"SELECT outcome, quantity FROM distsync.reserve('[{{\"item\":\"{sku}\",\"quantity\":3}}]', '{{\"holder\":\"EV%-h\"}}');",
            f"SELECT outcome, quantity FROM distsync.reserve('[{{\"item\":\"{sku}\",\"site\":\"{site}\",\"quantity\":2,\"demand_key\":\"{key}\"}}]', '{{\"holder\":\"EV%-h\",\"commit\":true}}');",
            f"SELECT outcome FROM distsync.apply('item_site', '{{\"sku\":\"{sku}\",\"site\":\"{site}\",\"safety\":{rng.choice((0, 3, 12))}}}', 'ev%-erp');",
            f"SELECT distsync_internal.inventory_demand({ids}, '{key}', NULL, {rng.randrange(6)}, '2999-01-01');",
            f"SELECT outcome FROM distsync.apply('supply', '{{\"kind\":\"purchase\",\"reference\":\"EV%-PO-{rng.choice((1, 2))}\",\"sku\":\"{sku}\",\"site\":\"{site}\",\"quantity\":20,\"expected_at\":\"2998-01-01T00:00:00Z\"}}', 'ev%-erp');"))

    def test_both_ways(self):
        """250 batches by chance, with everything else that moves pools between them."""
        rng = random.Random(SEED)
        feed = Feed(rng)
        opening = [{"event_id": f"o{p}{i}{s}", "kind": "count", "perspective": p, "sku": f"EV%-{i}", "site": f"EV-S{s}", "quantity": 40, "event_at": "2024-02-01T12:00:00Z"}
                   for i in range(ITEMS - 1) for s in (1, 2) for p in ("book", "phys") if (i, p) != (1, "book")]
        self.tell("wms", opening, "abort", False)
        for step in range(250):
            docs = feed.batch()
            self.tell(rng.choice(("wms", "wms", "wms", "erp", "shop")), docs, rng.choice(("abort", "collect")), len(docs) == 1 and rng.random() < .7)
            if rng.random() < .25:
                self.both(self.other(rng))
            if step % 25 == 24:
                self.compare(feed)

    def test_plain_feeds_go_the_short_way(self):
        """Plain events call no function of the whole way but what a session or a stream begins with: what slows them down unnoticed is found here."""
        now = datetime.datetime.now(datetime.timezone.utc)

        def docs(name, hour):
            return [{"event_id": f"{name}-{kind}", "kind": kind, "sku": f"EVq-{ITEMS}", "site": "EV-S1", "to_site": "EV-S2", "quantity": 1, "event_at": (now - datetime.timedelta(hours=9 - hour)).isoformat(), "lot": kind}
                    for kind in ("receive", "ship", "delta", "transfer", "count")]

        psql("".join(f"SELECT outcome FROM distsync.apply('stock_event', {literal(doc)}, 'evq-wms');\n" for doc in docs("warm", 1)))
        said = psql("SET track_functions = 'all';\nBEGIN;\n" + "".join(f"SELECT outcome FROM distsync.apply('stock_event', {literal(doc)}, 'evq-wms');\n" for doc in docs("one", 2))
                    + f"SELECT outcome FROM distsync.apply_all('stock_event', {literal(docs('all', 3))}, 'evq-wms');\n"
                    + "SELECT COALESCE(string_agg(DISTINCT funcname, ','), '') FROM pg_stat_xact_user_functions "
                      "WHERE (funcname LIKE 'inventory%' OR funcname LIKE 'door%') AND funcname NOT IN ('door_declared', 'inventory_streams');\n")
        self.assertEqual(said, ["applied"] * 10 + [""])

    def test_together(self):
        """The same events, in any order and in calls of any size, from 8 sessions at once, half of them the whole way: each is counted once, nobody waits in a circle."""
        rng = random.Random(SEED)
        docs = [{"event_id": f"t{n}", "kind": rng.choice(("receive", "ship", "delta", "transfer")), "sku": f"EVq-{rng.randrange(ITEMS)}", "site": f"EV-S{rng.choice((1, 2))}", "to_state": "quality",
                 "quantity": rng.randrange(1, 9), "event_at": "2024-05-01T00:00:00Z", "lot": "T"} for n in range(300)]
        scripts = []
        for client in range(8):
            left = rng.sample(docs, len(docs))
            script = f"SET distsync.price_through_sql = {'on' if client % 2 else 'off'};\n"
            while left:
                size = rng.choice((1, 2, 30))
                script += f"SELECT outcome FROM distsync.apply_all('stock_event', {literal(left[:size])}, 'evq-wms');\n"
                left = left[size:]
            scripts.append(QUIET + script)
        running = [subprocess.Popen(["psql", "-XqAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in scripts]
        for process, script in zip(running, scripts):
            process.stdin.write(script)
            process.stdin.close()
        said = []
        for process in running:
            said += process.stdout.read().splitlines()
            process.stdout.close()
            process.wait()
        self.assertEqual({word: said.count(word) for word in sorted(set(said))}, {"applied": 300, "duplicate": 7 * 300})
        wanted = sum({"receive": 1, "delta": 1, "ship": -1}.get(doc["kind"], 0) * doc["quantity"] for doc in docs)
        self.assertEqual(psql("SELECT sum(quantity) = %d, count(DISTINCT state) FROM dist.stock_balance WHERE lot = 'T';" % wanted), ["t|2"])
        self.assertEqual(psql(BROKEN + ";"), [])


if __name__ == "__main__":
    unittest.main()
