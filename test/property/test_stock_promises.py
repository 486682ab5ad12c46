"""Promises of random worlds, step by step, against the oracle of stock_promises.py: what a call is granted, what its preview said, and
to which dates all promises have moved after every step.

SEED=n repeats a run, WORLD=n plays one world, WORLDS=n (or TIMES=n as many as usual) says how many.
"""
import json
import os
import random
import re
import unittest

from stock_promises import DATED, Pool, World
from test_inventory import BROKEN, literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
WORLDS = int(os.environ.get("WORLDS") or 40 * int(os.environ.get("TIMES") or 1))
SITES = ("PROP-P1", "PROP-P2")
DAY = "CASE WHEN {0} < now() + interval '1 day' THEN 0 ELSE extract(day FROM {0} - '2998-12-31T00:00:00Z'::timestamptz)::integer END"
SHOWN = f"COALESCE(jsonb_agg(jsonb_build_array(p.ordinal, s.code, trim_scale(p.base_quantity), {DAY.format('p.promised_at')}) ORDER BY p.ordinal, p.promised_at, s.code) FILTER (WHERE p.outcome IN ('reserved', 'partial')), 'null')"
LIVE = f"""SELECT COALESCE(jsonb_agg(jsonb_build_array(r.holder, i.sku, s.code, trim_scale(r.quantity), {DAY.format('r.promised_at')}, r.kind = 'inbound') ORDER BY r.holder, i.sku, s.code, r.quantity, r.promised_at), '[]')
    FROM dist.reservation r JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id) WHERE i.sku LIKE '{{}}-%' AND r.state IN ('held', 'committed');
"""


def instant(day):
    return f"2999-01-{day:02}T00:00:00Z" if day else "2024-01-01T00:00:00Z"


class Steps:
    """A random world: the script that plays it, and what the oracle says of each step."""

    def __init__(self, number):
        self.rng = rng = random.Random(f"{SEED}/{number}")
        self.name = f"PRM{number}"
        self.x, self.y, self.kit = (f"{self.name}-{letter}" for letter in "XYZ")
        self.world = World(SITES, {self.kit: {self.x: 2, self.y: 1}})
        self.script = (f"SELECT count(*) FROM distsync.apply_all('item', {literal([{'sku': self.x, 'base_unit': 'EA'}, {'sku': self.y, 'base_unit': 'EA'}])}, 'distsync');\n"
                       f"SELECT outcome FROM distsync.apply('item', {literal({'sku': self.kit, 'base_unit': 'EA', 'kit': True, 'components': [{'sku': self.x, 'quantity': 2}, {'sku': self.y, 'quantity': 1}]})}, 'distsync');\n")
        self.expected = []
        for item in (self.x, self.y):
            for site in SITES:
                self.world.pools[item, site] = Pool()
                self.stock(item, site)
        rules = rng.random() < 0.4
        for step in range(rng.randrange(8, 26)):
            act = rng.choice([self.reserve] * 5 + [self.supply] * 3 + [self.demand, self.stock, self.release] + [self.rule] * rules)
            if act in (self.reserve, self.release):
                act(step)
            else:
                act(*rng.choice(list(self.world.pools)))

    def tell(self, entity, document, source, key):
        self.script += f"SELECT outcome FROM distsync.apply('{entity}', {literal(document)}, '{source}');\n"
        self.world.refresh([key])
        self.after(["applied"], document)

    def after(self, said, what):
        """What is to be seen after a step."""
        self.script += LIVE.format(self.name)
        live = [[p.holder, *p.key, p.quantity, p.date, p.later] for p in self.world.promises]
        self.expected.append((said, live, what))

    def stock(self, item, site):
        pool = self.world.pools[item, site]
        pool.stock = self.rng.choice((0, 3, 8, 20))
        self.tell("stock_event", {"event_id": f"{self.name}-{len(self.expected)}", "kind": "count", "sku": item, "site": site, "quantity": pool.stock, "event_at": f"2024-02-01T00:{len(self.expected):02}:00Z"}, "prop-wms", (item, site))

    def supply(self, item, site):
        pool = self.world.pools[item, site]
        reference = f"{site}-{self.rng.randrange(6)}"
        day, quantity = self.rng.randrange(1, 25), self.rng.choice((0, 2, 5, 10, 15))
        pool.supply[reference] = (day, quantity)
        self.tell("supply", {"kind": "purchase", "reference": reference, "sku": item, "site": site, "quantity": quantity, "expected_at": instant(day), "status": "open"}, "prop-erp", (item, site))

    def demand(self, item, site):
        pool = self.world.pools[item, site]
        key = f"PROP/{self.name}-{site[-1]}{self.rng.randrange(3)}/1"
        day, quantity = self.rng.choice((0, 4, 9, 14)), self.rng.choice((0, 1, 4))
        pool.demand[key] = (day, quantity)
        self.tell("demand", {"demand_key": key, "sku": item, "site": site, "ordered": quantity, "required_at": instant(day)}, "prop-erp", (item, site))

    def rule(self, item, site):
        pool = self.world.pools[item, site]
        pool.safety, pool.backorder = self.rng.choice((0, 0, 2)), self.rng.choice((0, 6, 30))
        self.tell("item_site", {"sku": item, "site": site, "safety": pool.safety, "backorder_cap": pool.backorder}, "prop-erp", (item, site))

    def release(self, step):
        holders = sorted({p.holder for p in self.world.promises})
        if not holders:
            return
        holder = self.rng.choice(holders)
        keys = {p.key for p in self.world.promises if p.holder == holder}
        self.world.promises = [p for p in self.world.promises if p.holder != holder]
        self.world.refresh(keys)
        self.script += f"SELECT count(*) > 0 FROM distsync.release_reservations(NULL, '{{\"holder\":\"{holder}\"}}');\n"
        self.after(["t"], f"release {holder}")

    def reserve(self, step):
        rng = self.rng
        holder = f"h{rng.randrange(1000):03}-{step:02}"
        ask = {"mode": rng.choice(DATED + DATED + ("all_or_none", "take_up_to")), "split": rng.random() < 0.75, "use_safety": rng.random() < 0.15, "priority": rng.choice((100, 100, 7))}
        if ask["mode"] == "schedule" and rng.random() < 0.4:
            ask["max_parts"] = rng.choice((1, 2, 3))
        lines = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            line = {"item": rng.choice((self.x, self.x, self.y, self.kit)), "quantity": rng.choice((1, 2, 4, 9, 16))}
            if rng.random() < 0.15:
                line["site"] = rng.choice(SITES)
            if rng.random() < 0.15:
                line["day"] = rng.randrange(1, 20)
            lines.append(line)
        # without kits the lines of an item are served before those of the next
        if not any(line["item"] == self.kit for line in lines):
            lines.sort(key=lambda line: line["item"])
        told = [dict({k: v for k, v in line.items() if k != "day"}, **({"requested_at": instant(line["day"])} if "day" in line else {})) for line in lines]
        options = literal(dict(ask, holder=holder))
        asked = f"(distsync_internal.inventory_wanted({literal(told)}, NULL)).wanted, distsync_internal.inventory_reserve_options({options})"
        self.script += "".join(f"SELECT {SHOWN} FROM distsync_internal.{verb}({asked}) p LEFT JOIN dist.site s USING (site_id);\n" for verb in ("inventory_preview", "inventory_reserve"))
        granted = self.world.reserve(holder, lines, ask)
        granted = granted and sorted(([ordinal, site, quantity, day] for ordinal, site, quantity, day in granted), key=lambda g: (g[0], DATE_LAST if g[3] is None else g[3], g[1]))
        self.after([granted, granted], (told, ask))


DATE_LAST = 99


class Promises(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        out = psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\n"
                   "SELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\n"
                   "SELECT outcome FROM distsync.apply('unit', '{\"unit\":\"EA\"}', 'distsync');\n"
                   "SELECT outcome FROM distsync.apply('company', '{\"code\":\"PROP\",\"name\":\"p\",\"currency\":\"USD\"}', 'distsync');\n"
                   f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': site, 'name': 's', 'company': 'PROP', 'rank': rank} for rank, site in enumerate(SITES)])}, 'distsync');\n")
        assert not [line for line in out if "ERROR" in line], out

    def test_promises(self):
        """Stock, supply, demand and rules change between calls of every mode: each step is what the oracle says."""
        granted = moved = 0
        for number in range(WORLDS):
            if os.environ.get("WORLD") not in (None, str(number)):
                continue
            steps = Steps(number)
            out = [line for line in psql(steps.script) if line][2:]
            where = f"SEED={SEED} WORLD={number}"
            self.assertEqual([line for line in out if "ERROR" in line], [], where)
            out = [json.loads(line) if re.match(r"[\[{]|null$", line) else line for line in out]
            before = []
            for n, (said, live, what) in enumerate(steps.expected):
                got, out = out[:len(said) + 1], out[len(said) + 1:]
                self.assertEqual(got[:-1], said, f"{where} step {n}: {what}")
                self.assertEqual(sorted(got[-1], key=str), sorted(live, key=str), f"{where} step {n}: {what}")
                granted += said[0] is not None and len(said) == 2
                moved += len(said) == 1 and any(row not in live for row in before)
                before = live
            self.assertEqual(psql(BROKEN + ";"), [], where)
        if os.environ.get("WORLD") is None:
            self.assertGreater(granted, WORLDS)
            self.assertGreater(2 * moved, WORLDS)


if __name__ == "__main__":
    unittest.main()
