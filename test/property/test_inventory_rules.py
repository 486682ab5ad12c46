"""What availability takes into account, against an oracle written from docs/inventory.md: stock, supply and demand, safety stock, backorders, replenishment, fences.

SEED=n repeats a run, CASES=n does so many items. Instants are whole quarters of a day from the hour of the run.
"""
import os
import random
import unittest

from test_inventory import BROKEN, events, literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
CASES = int(os.environ.get("CASES") or 15)
QUARTERS = [q for q in range(-24, 48) if q != 0]
ASKED = (0, 1, 2, 5, 9, 14, 21, 33, 60)


class Site:
    """What is known of an item at a site, quantities in thousandths; instants in quarters of a day from now."""

    def __init__(self, rng):
        self.stock = rng.choice((0, 3000, 10000, 25500))
        self.supply = [(rng.choice(QUARTERS), rng.choice((1000, 4000, 7500, 20000)), rng.choice((1000, 1000, 1000, 500))) for _ in range(rng.randrange(5))]
        self.demand = [(rng.choice(QUARTERS), rng.choice((500, 2000, 6000, 11000))) for _ in range(rng.randrange(5))]
        self.rules = {name: value for name, value in {
            "safety": rng.choice((1, 2, 5)), "backorder_cap": rng.choice((1, 4)), "lead_days": rng.choice((1, 3, 7)), "supply_grace_days": rng.choice((1, 2, 5)), "demand_fence_days": rng.choice((0, 2, 4)),
        }.items() if rng.random() < 0.4}

    def changes(self):
        """What comes and goes after now: (instant, quantity)."""
        grace = 4 * self.rules.get("supply_grace_days", 0)
        coming = [(at if at > 0 else at + grace, quantity * sure // 1000) for at, quantity, sure in self.supply]
        return [(at, quantity) for at, quantity in coming + [(at, -quantity) for at, quantity in self.demand] if at > 0]

    def projected(self, instant):
        """The running sum at an instant."""
        fence = self.rules.get("demand_fence_days")
        due = sum(quantity for at, quantity in self.demand if at <= 0 and (fence is None or at + 4 * fence > 0))
        return self.stock - due + sum(quantity for at, quantity in self.changes() if at <= instant)

    def atp(self, instant):
        """What may be promised from an instant on; None = any quantity."""
        lead = self.rules.get("lead_days")
        if lead is not None and instant > 4 * lead:
            return None
        ahead = [instant] + [at for at, _ in self.changes() if at > instant and (lead is None or at <= 4 * lead)]
        return max(0, min(map(self.projected, ahead)) + 1000 * (self.rules.get("backorder_cap", 0) - self.rules.get("safety", 0)))


def total(amounts):
    """The sum of amounts in thousandths as the database writes it; None = any quantity, which makes all of them so."""
    amounts = list(amounts)
    return "" if None in amounts else f"{sum(amounts) / 1000:g}"


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\n"
             "SELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\nSELECT outcome FROM distsync.apply('unit', '{\"unit\":\"EA\"}', 'distsync');\n"
             "SELECT outcome FROM distsync.apply('company', '{\"code\":\"PROP\",\"name\":\"p\",\"currency\":\"USD\"}', 'distsync');\n"
             f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': f'RULE-S{i}', 'name': 's', 'company': 'PROP', 'rank': i} for i in (1, 2)])}, 'distsync');\n")

    def tell(self, case, sites):
        """Tells the database of an item, in any order: stock, supply, demand and rules."""
        sku = f"RULE-{case}"
        self.rng.shuffle(order := ["stock", "supply", "demand", "rules"])
        script = f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA'})}, 'distsync');\n"
        for name in order:
            for number, site in enumerate(sites, 1):
                key = {"sku": sku, "site": f"RULE-S{number}"}
                if name == "stock":
                    script += events([dict(key, event_id=f"rule{case}-{number}", kind="count", quantity=site.stock / 1000, event_at="2024-01-01T00:00:00Z")])
                elif name == "supply":
                    documents = [dict(key, kind="purchase", reference=f"R{case}-{number}-{n}", quantity=quantity / 1000, confidence=sure / 1000, expected_at=self.at(at)) for n, (at, quantity, sure) in enumerate(site.supply)]
                    script += f"SELECT outcome FROM distsync.apply_all('supply', {literal(documents)}, 'prop-erp');\n" if documents else ""
                elif name == "demand":
                    documents = [dict(key, demand_key=f"PROP/R{case}-{number}/{n}", ordered=quantity / 1000, required_at=self.at(at)) for n, (at, quantity) in enumerate(site.demand)]
                    script += f"SELECT outcome FROM distsync.apply_all('demand', {literal(documents)}, 'prop-erp');\n" if documents else ""
                elif site.rules:
                    script += f"SELECT outcome FROM distsync.apply('item_site', {literal(dict(key, **site.rules))}, 'prop-erp');\n"
        self.assertEqual([line for line in psql(script) if line != "applied"], [])
        return sku

    def at(self, quarters):
        """An instant as the documents have it."""
        return self.instants[quarters]

    def test_against_the_oracle(self):
        """Numbers now and later at each site and over both, timelines, the terms of the explanation, and what a promise takes."""
        self.rng = random.Random(SEED)
        lines = psql("SELECT n, to_json(date_trunc('hour', now()) + n * interval '6 hours') #>> '{}' FROM generate_series(-24, 60) n;")
        self.instants = {int(line.split("|")[0]): line.split("|")[1] for line in lines}
        for case in range(CASES):
            sites = [Site(self.rng), Site(self.rng)]
            sku = self.tell(case, sites)
            where = (case, [vars(site) for site in sites])
            for code, asked in (("'RULE-S1'", sites[:1]), ("'RULE-S2'", sites[1:]), ("NULL", sites)):
                got = psql("".join(f"SELECT trim_scale(a.atp), trim_scale(a.projected) FROM distsync.atp('{sku}', 1, NULL, {code}, {'NULL' if t == 0 else repr(self.at(t))}) a;\n" for t in ASKED))
                self.assertEqual(got, [total(s.atp(t) for s in asked) + "|" + total(s.projected(t) for s in asked) for t in ASKED], where)
                # a timeline says the same at each of its moments; replenishment counts from now and not from the hour, so that its own moment is left out
                got = psql(f"SELECT trim_scale(atp), trim_scale(projected) FROM distsync.atp_timeline('{sku}', {code}) WHERE NOT detail @> '[{{\"kind\": \"lead_time\"}}]';")
                moments = sorted({0} | {at for s in asked for at, _ in s.changes()})
                self.assertEqual(got, [total(s.atp(t) for s in asked) + "|" + total(s.projected(t) for s in asked) for t in moments], where)
            got = psql("".join(f"SELECT count(*) FROM jsonb_array_elements(distsync.explain_atp('{sku}', 1, NULL, NULL, {'NULL' if t == 0 else repr(self.at(t))})->'sites') s "
                               "WHERE (s->>'atp')::numeric <> (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') x);\n" for t in ASKED))
            self.assertEqual(got, ["0"] * len(ASKED), where)
            got = psql(f"SELECT COALESCE(sum(quantity) FILTER (WHERE outcome <> 'short'), 0)::float8 FROM distsync.reserve({literal([{'item': sku, 'quantity': 100000}])}, '{{\"mode\":\"take_up_to\"}}');")
            self.assertEqual(got, [total(s.atp(0) for s in sites)], where)
        self.assertEqual(psql(BROKEN + ";"), [])


if __name__ == "__main__":
    unittest.main()
