"""What availability takes into account, against an oracle written from docs/inventory.md: stock, supply and demand, safety stock, backorders, replenishment, fences, lots that expire, goods in quality.

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
            "inspection_days": rng.choice((-1, 0, 2, 4)), "safety": rng.choice((1, 2, 5)), "backorder_cap": rng.choice((1, 4)), "lead_days": rng.choice((1, 3, 7)), "supply_grace_days": rng.choice((1, 2, 5)), "demand_fence_days": rng.choice((0, 2, 4)),
        }.items() if rng.random() < 0.4}
        # what came into quality when, and how much of it has been released: what came first
        self.quality = [(rng.randrange(-20, 0), rng.choice((1000, 3000, 8000))) for _ in range(rng.randrange(4))] if rng.random() < 0.5 else []
        self.released = min(rng.choice((0, 0, 500, 4000)), sum(quantity for _, quantity in self.quality))
        self.stock += self.released
        # the day on which each lot expires, counted from the site's today, and how much of it there is; several may go on one day
        self.lots = [(day, rng.choice((1000, 4000, 12500))) for day in rng.choices(range(11), k=rng.randrange(1, 5))] if rng.random() < 0.5 else []
        if self.lots:
            self.rules.pop("safety", None)
            self.rules.pop("backorder_cap", None)

    def gone(self):
        """When lots are gone: from the end of their day on, in quarters of a day."""
        return [(Site.midnight + 4 * day, quantity) for day, quantity in self.lots]

    def spoils(self):
        """The instants at which something of a lot is left that nobody has taken."""
        sums = self.walk()
        moments = sorted(sums)
        return [at for at, before in zip(moments[1:], moments) if sums[at] - sums[before] != sum(quantity for when, quantity in self.changes() if when == at)]

    def walk(self, extra=0, wanted_at=None):
        """The running sum at each instant at which something happens: what leaves takes what expires first, loose stock last. extra leaves at wanted_at beside what is known."""
        fence = self.rules.get("demand_fence_days")
        lots = sorted(self.gone())
        loose = self.stock
        happens = [(0, 1, -quantity) for at, quantity in self.demand if at <= 0 and (fence is None or at + 4 * fence > 0)]
        happens += [(at, 1, quantity) for at, quantity in self.changes()] + [(at, 0, 0) for at, _ in lots]
        happens += [] if wanted_at is None else [(wanted_at, 1, -extra)]
        sums = {0: loose + sum(quantity for _, quantity in lots)}
        for at, _, quantity in sorted(happens):
            lots = [(end, rest) for end, rest in lots if end > at]
            if quantity >= 0:
                loose += quantity
            for n, (end, rest) in enumerate(lots):
                taken = min(rest, max(0, -quantity))
                lots[n] = (end, rest - taken)
                quantity += taken
            loose += min(0, quantity)
            sums[at] = loose + sum(rest for _, rest in lots)
        return sums

    def changes(self):
        """What comes and goes after now: (instant, quantity)."""
        grace = 4 * self.rules.get("supply_grace_days", 0)
        coming = [(at if at > 0 else at + grace, quantity * sure // 1000) for at, quantity, sure in self.supply]
        days = self.rules.get("inspection_days", 1)
        out = self.released
        for at, quantity in sorted(self.quality) if days >= 0 else []:
            out, quantity = max(0, out - quantity), max(0, quantity - out)
            coming += [(at + 4 * days if at + 4 * days > 0 else at + 4 * (days + self.rules.get("supply_grace_days", 0)), quantity)] if quantity > 0 else []
        return [(at, quantity) for at, quantity in coming + [(at, -quantity) for at, quantity in self.demand] if at > 0]

    def projected(self, instant):
        """The running sum at an instant."""
        sums = self.walk()
        return sums[max(at for at in sums if at <= instant)]

    def atp(self, instant):
        """What may be promised from an instant on; None = any quantity."""
        lead = self.rules.get("lead_days")
        if lead is not None and instant > 4 * lead:
            return None
        if self.lots:
            # the most that leaves nobody with less than he has, or lacks, without it
            before = self.walk(0, instant)
            least, most = 0, 10**6
            while least < most:
                middle = (least + most + 1) // 2
                after = self.walk(middle, instant)
                if all(after[at] >= min(0, before[at]) for at in before if at >= instant and (lead is None or at <= 4 * lead)):
                    least = middle
                else:
                    most = middle - 1
            return least
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
        # where it is around noon: days do not change while the test runs
        zone = psql("SELECT 'Etc/GMT' || to_char(extract(hour FROM now() AT TIME ZONE 'UTC') - 12, 'SGFM00');")[0].replace("+0", "+").replace("-0", "-")
        psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\n"
             "SELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\nSELECT outcome FROM distsync.apply('unit', '{\"unit\":\"EA\"}', 'distsync');\n"
             "SELECT outcome FROM distsync.apply('company', '{\"code\":\"PROP\",\"name\":\"p\",\"currency\":\"USD\"}', 'distsync');\n"
             f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': f'RULE-S{i}', 'name': 's', 'company': 'PROP', 'rank': i, 'tz': zone} for i in (1, 2)])}, 'distsync');\n")

    def tell(self, case, sites):
        """Tells the database of an item, in any order: stock, supply, demand and rules."""
        sku = f"RULE-{case}"
        self.rng.shuffle(order := ["stock", "supply", "demand", "rules"])
        script = f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA'})}, 'distsync');\n"
        for name in order:
            for number, site in enumerate(sites, 1):
                key = {"sku": sku, "site": f"RULE-S{number}"}
                if name == "stock":
                    script += events([dict(key, event_id=f"rule{case}-{number}", kind="count", quantity=(site.stock - site.released) / 1000, event_at="2024-01-01T00:00:00Z")] + [
                        dict(key, event_id=f"rule{case}-{number}l{n}", kind="receive", quantity=quantity / 1000, lot=f"L{n}", expires_on=self.days[day], event_at="2024-01-02T00:00:00Z") for n, (day, quantity) in enumerate(site.lots)] + [
                        dict(key, event_id=f"rule{case}-{number}q{n}", kind="receive", state="quality", quantity=quantity / 1000, event_at=self.at(at)) for n, (at, quantity) in enumerate(site.quality)] + [
                        dict(key, event_id=f"rule{case}-{number}r", kind="transfer", state="quality", quantity=site.released / 1000, event_at=self.at(0)) for _ in range(site.released > 0)])
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

    def promise(self, sku, code, site, where):
        """A promise on one date, at the site or from an instant on, has the first on which there is enough; nothing is kept of it."""
        moments = sorted({0} | {at for at, _ in site.changes()} | {at for at, _ in site.gone()})
        for quantity in (500, 3000, 9000):
            for asked in (0, 9, 21):
                first = [at for at in [asked] + [at for at in moments if at > asked] if site.atp(at) >= quantity]
                line = {"item": sku, "site": code, "quantity": quantity / 1000, "requested_at": self.at(asked) if asked else None}
                got = psql(f"BEGIN;\nSELECT outcome, round(extract(epoch FROM (detail ->> 'promised_at')::timestamptz - {self.at(0)!r}::timestamptz) / 21600, 6) FROM distsync.reserve({literal([line])}, '{{\"mode\":\"one_date\"}}');\n"
                           + BROKEN + ";\nROLLBACK;")
                self.assertEqual(len(got), 1, where)
                outcome, at = got[0].split("|")
                self.assertEqual(outcome, "reserved" if first else "short", (where, code, quantity, asked, got))
                if first:
                    self.assertTrue(abs(float(at) - first[0]) < 1e-4 or first[0] == 0 and 0 <= float(at) < 1, (where, code, quantity, asked, got, first))

    def test_against_the_oracle(self):
        """Numbers now and later at each site and over both, timelines, the terms of the explanation, and what a promise takes."""
        self.rng = random.Random(SEED)
        lines = psql("SELECT n, to_json(date_trunc('hour', now()) + n * interval '6 hours') #>> '{}' FROM generate_series(-24, 60) n;")
        self.instants = {int(line.split("|")[0]): line.split("|")[1] for line in lines}
        lines = psql("SELECT n, (now() AT TIME ZONE tz)::date + n, extract(epoch FROM ((now() AT TIME ZONE tz)::date + 1)::timestamp AT TIME ZONE tz - date_trunc('hour', now())) / 21600 FROM dist.site, generate_series(0, 10) n WHERE code = 'RULE-S1';")
        self.days = {int(line.split("|")[0]): line.split("|")[1] for line in lines}
        Site.midnight = float(lines[0].split("|")[2])
        for case in range(CASES):
            sites = [Site(self.rng), Site(self.rng)]
            sku = self.tell(case, sites)
            where = (case, [vars(site) for site in sites])
            for code, asked in (("'RULE-S1'", sites[:1]), ("'RULE-S2'", sites[1:]), ("NULL", sites)):
                got = psql("".join(f"SELECT trim_scale(a.atp), trim_scale(a.projected) FROM distsync.atp('{sku}', 1, NULL, {code}, {'NULL' if t == 0 else repr(self.at(t))}) a;\n" for t in ASKED))
                self.assertEqual(got, [total(s.atp(t) for s in asked) + "|" + total(s.projected(t) for s in asked) for t in ASKED], where)
                # a timeline says the same at each of its moments; replenishment counts from now and not from the hour, so that its own moment is left out
                got = psql(f"SELECT trim_scale(atp), trim_scale(projected) FROM distsync.atp_timeline('{sku}', {code}) WHERE NOT detail @> '[{{\"kind\": \"lead_time\"}}]';")
                moments = sorted({0} | {at for s in asked for at, _ in s.changes()} | {at for s in asked for at in s.spoils()})
                self.assertEqual(got, [total(s.atp(t) for s in asked) + "|" + total(s.projected(t) for s in asked) for t in moments], where)
                # in C it is the same as from all that is known
                got = psql(f"SELECT * FROM (SELECT string_agg(x::text, chr(10)) AS rows FROM distsync.atp_timeline('{sku}', {code}) x) a, (SELECT string_agg(x::text, chr(10)) AS rows FROM distsync_internal.inventory_timeline_whole('{sku}', {code}, NULL, '{{}}') x) w "
                           "WHERE a.rows IS DISTINCT FROM w.rows;")
                self.assertEqual(got, [], where)
            got = psql("".join(f"SELECT count(*) FROM jsonb_array_elements(distsync.explain_atp('{sku}', 1, NULL, NULL, {'NULL' if t == 0 else repr(self.at(t))})->'sites') s "
                               "WHERE (s->>'atp')::numeric <> (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') x);\n" for t in ASKED))
            self.assertEqual(got, ["0"] * len(ASKED), where)
            for site, code in zip(sites, ("RULE-S1", "RULE-S2")):
                if site.lots and "lead_days" not in site.rules:
                    self.promise(sku, code, site, where)
            got = psql(f"SELECT COALESCE(sum(quantity) FILTER (WHERE outcome <> 'short'), 0)::float8 FROM distsync.reserve({literal([{'item': sku, 'quantity': 100000}])}, '{{\"mode\":\"take_up_to\"}}');")
            self.assertEqual(got, [total(s.atp(0) for s in sites)], where)
        self.assertEqual(psql(BROKEN + ";"), [])


if __name__ == "__main__":
    unittest.main()
