"""Feeds of stock in any order: permuted, told twice, delayed, with gaps that are filled later, in parts of any size: the same stock.

Cases (FEEDS=, more with TIMES=) have an item each and are told many at once. stock_feeds.py is the oracle. SEED=n repeats a run.
"""
import json
import os
import random
import subprocess
import time
import unittest

import stock_feeds
from stock_feeds import SITES, SOURCES

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
CASES = int(float(os.environ.get("FEEDS") or 300) * float(os.environ.get("TIMES") or 1))
ROUNDS = (3, 100, 100)  # cases that are told at once: calls of few events go other ways than those of many
TELL = """SELECT format('%s %s %s', outcome, entity_key, message) FROM distsync.apply_all('stock_event', {documents}, '{source}', NULL, '{{"on_error":"collect"}}') WHERE outcome NOT IN ('applied', 'duplicate');
"""
BALANCES = """SELECT 'balance', i.sku, s.code, b.perspective, b.state, b.lot, COALESCE(p.code, ''), trim_scale(b.quantity) FROM dist.stock_balance b JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id)
    LEFT JOIN dist.party p ON p.party_id = b.owner_id WHERE i.sku LIKE '{name}-%';
"""
AS_OF = """SELECT 'as_of', a.n, x.site, x.perspective, x.state, x.lot, COALESCE(x.owner, ''), trim_scale(x.quantity) FROM (VALUES {asked}) a(n, sku, at, moment) LEFT JOIN moment m ON m.n = a.moment
    CROSS JOIN LATERAL distsync.stock_as_of(a.sku, NULL, a.at::timestamptz, jsonb_strip_nulls(jsonb_build_object('known_at', m.at))) x;
"""
WAITS = """SELECT 'waits', i.sku, s.code, trim_scale(t.in_flight) FROM (SELECT array_agg(p.item_id) AS items, array_agg(p.site_id) AS sites FROM dist.stock_pool p JOIN dist.item i USING (item_id) WHERE i.sku LIKE '{name}-%') k
    CROSS JOIN LATERAL distsync_internal.inventory_terms(k.items, k.sites, now()) t JOIN dist.item i ON i.item_id = t.item_id JOIN dist.site s ON s.site_id = t.site_id WHERE t.in_flight <> 0;
SELECT 'gap', source, stream, gap_from FROM dist.stock_stream WHERE stream LIKE '{name}-%' AND (gap_from IS NOT NULL OR ahead <> '{{}}');
SELECT 'reversal', event_key FROM dist.stock_reversal WHERE event_key LIKE '{name}-%';
DELETE FROM dist.stock_stream WHERE stream LIKE '{name}-%';
"""


def psql(script):
    """psql runs a script in a connection of its own; returns its lines."""
    done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"], input="SET client_min_messages = warning;\n" + script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.splitlines()


def literal(value):
    return "'" + json.dumps(value).replace("'", "''") + "'"


class StockFeeds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED} FEEDS={CASES}", flush=True)
        assert psql("SELECT distsync.add_system('feed-erp', 'erp'), distsync.add_system('feed-wms', 'wms'), distsync.add_system('feed-3pl', 'third_party') \\g /dev/null\n" + "".join(
            f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(documents)}, 'distsync') WHERE outcome NOT IN ('applied', 'unchanged');\n" for entity, documents in (
                ("currency", [{"currency": "USD"}]), ("unit", [{"unit": "EA"}]), ("company", [{"code": "FEED", "name": "f", "currency": "USD"}]),
                ("party", [{"code": "FEED-OWNER", "name": "o"}]), ("site", [{"code": site, "name": "s", "company": "FEED"} for site in SITES])))) == []

    def test_feeds(self):
        """Whatever order feeds come in: balances, what is in flight, and what is known of any instant, then and now, follow from what was told."""
        rng = random.Random(SEED)
        run = f"FEED{time.time_ns() // 1000000}"
        left = CASES
        while left > 0:
            name = f"{run}.{left}"
            cases = [stock_feeds.Case(rng, f"{name}-{n}") for n in range(min(rng.choice(ROUNDS), left))]
            self.check(rng, name, cases)
            left -= len(cases)
        self.assertEqual(psql("SELECT v FROM distsync_internal.inventory_verify_stock() v WHERE entity_key LIKE 'FEED%';"), [])
        self.assertEqual(psql("SELECT r FROM distsync.rebuild_stock(options => '{\"dry_run\":true}') r WHERE item LIKE 'FEED%';"), [])

    def check(self, rng, name, cases):
        """check tells a round of cases, a call of each at once, asks and compares."""
        calls = [stock_feeds.deliveries(rng, case) for case in cases]
        last = max(len(c) for c in calls)
        asked = [(n, stock_feeds.moment(rng.randrange(-1, 21)) if rng.random() < .8 else None, rng.choice((None, rng.randrange(last)))) for n in range(len(cases)) for _ in range(2)]
        values = ", ".join(f"({n}, '{cases[c].name}', {repr(at) if at else 'NULL'}, {'NULL::integer' if k is None else k})" for n, (c, at, k) in enumerate(asked))
        script = self.told(rng, cases, calls) + BALANCES.format(name=name) + AS_OF.format(asked=values) + WAITS.format(name=name)
        lines = [line.split("|") for line in psql(script)]
        self.assertEqual([line for line in lines if line[0] not in ("balance", "as_of", "waits")][:9], [], f"SEED={SEED}")
        found = {tuple(line[:-1]): line[-1] for line in lines}
        for n, case in enumerate(cases):
            wanted = {("balance", case.name, *key): str(quantity) for key, quantity in stock_feeds.balances(case.told).items()}
            wanted.update({("waits", case.name, site): str(quantity) for site, quantity in stock_feeds.in_flight(case.told).items() if quantity})
            for a, (c, at, k) in enumerate(asked):
                if c == n:
                    known = [e for call in (calls[n] if k is None else calls[n][:k + 1]) for e in call]
                    wanted.update({("as_of", str(a), *key): str(quantity) for key, quantity in stock_feeds.balances(known, at or "9999").items()})
            mine = {key: value for key, value in found.items() if key[1] == case.name or key[0] == "as_of" and asked[int(key[1])][0] == n}
            if mine != wanted:
                self.fail("\n".join([f"SEED={SEED}"] + [f"{key} {asked[int(key[1])][1:] if key[0] == 'as_of' else ''}: found {mine.get(key)}, wanted {wanted.get(key)}"
                    for key in sorted(mine.keys() | wanted.keys()) if mine.get(key) != wanted.get(key)] + [f"{k} {source} {json.dumps(doc)}" for k, call in enumerate(calls[n]) for source, doc in call]))

    @staticmethod
    def told(rng, cases, calls):
        """told is the script that tells of cases; it notes when each call of them was over."""
        script = f"SELECT outcome FROM distsync.apply_all('item', {literal([{'sku': case.name, 'base_unit': 'EA'} for case in cases])}, 'distsync') WHERE outcome <> 'applied';\nCREATE TEMP TABLE moment (n integer, at timestamptz);\n"
        for n in range(max(len(c) for c in calls)):
            for source in rng.sample(list(SOURCES), len(SOURCES)):
                documents = [doc for c in calls if n < len(c) for s, doc in c[n] if s == source]
                if documents:
                    script += TELL.format(documents=literal(documents), source=source)
            script += f"INSERT INTO moment VALUES ({n}, clock_timestamp());\n"
        return script


if __name__ == "__main__":
    unittest.main()
