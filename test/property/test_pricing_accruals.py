"""Rebates and claims: what invoices and memos of random worlds accrue against the oracle of pricing_accruals.py, and the oracle judged by hand.

SEED=n other worlds, ACCRUALS=n so many documents (400 if not said), WORLD=n one world only. A difference is told with its document, both answers and the agreements of its world.
"""
from collections import Counter
from fractions import Fraction
from itertools import permutations
import json
import random
import unittest

from pricing_accruals import Books
from pricing_cases import Case
from pricing_database import SOURCE, Difference, Loaded, exact, literal, psql
from pricing_questions import AMOUNTS, boundaries, decimal
from pricing_test import ONLY, PricesTest, count, seed, worlds
from pricing_world import instant, read, text_of
from test_pricing import plain, short
from test_pricing_oracle import ALL, POLICY, agreement, masters

SEED = seed(22)
DOCUMENTS = count("ACCRUALS", 400)
OF_A_WORLD = 50
COMBINES = ("override", "best", "best", "additive", "additive", "compound", "exclusive", "always")
ACCRUE = [{"slot": "rebate", "combine": "accrue"}, {"slot": "claim", "combine": "accrue"}]
FIELDS = ("agreement", "kind", "document", "version", "line", "quantity", "base", "amount", "currency")


class AccrualCase(Case):
    """A world with rebates and claims beside everything else; all companies keep their books in one currency."""

    def masters(self):
        super().masters()
        for d in self.documents("company"):
            d["currency"] = self.money[0]

    def corrections(self):
        self.heads.update((d["code"], d) for d in [self.below(self.names(f"Y{place:02}"), self.pick("rebate", "rebate", "claim")) for place in range(self.rng.randrange(4, 9))])
        self.first.append(("agreement", [d for d in self.heads.values() if d["slot"] in ("rebate", "claim")]))

    def below(self, code, slot):
        period = slot == "rebate" and self.some(0.75)
        return {"code": code, "slot": slot, "company": self.pick(*[None] * 9, *self.companies), "currency": self.pick(*self.money[:1] * 6, *self.money), "tz": "UTC", "combine": self.pick(*COMBINES),
                "stack_group": self.pick("", "g1", "g2", "Z"), "priority": self.pick(0, 0, 5), "tier_measure": self.pick("quantity", "amount"), "tier_basis": "period" if period else "line",
                "tier_mode": self.pick("all_units", "incremental") if slot == "rebate" else "all_units", "fx_allowed": self.some(0.9), "publish": True, "assignments": self.assignments("order"),
                "rates": self.rates_below(slot), **(self.period() if self.some(0.12) else {})}

    def rates_below(self, slot):
        rates = []
        for what in self.rng.sample(range(4), self.pick(1, 1, 2)):
            kind, keys = (("all", [None]), ("category", [self.names("K1"), self.names("K3")]), ("item", self.skus), ("brand", [self.names("B1")]))[what]
            target = self.pick(*keys)
            units = [None] * 3 + ([u["unit"] for u in self.items[target]["units"]] + [self.items[target]["base_unit"]] if kind == "item" else [])
            head = {"what_kind": kind, "what": target, "unit": self.pick(*units), **({"customer": self.pick(*self.customers)} if self.some(0.25) else {}), **(self.period() if self.some(0.08) else {})}
            for tier in [None] if self.some(0.4) else sorted(self.rng.sample((None, "2", "10", "50", "200", "1000"), self.pick(2, 3)), key=lambda t: float(t or 0)):
                calc = self.pick("percent_off", "amount_off", *(["net"] * 3 if slot == "claim" else ["percent_off"]))
                value = self.pick(*{"percent_off": ("2", "3.5", "0.3333333333", "100"), "amount_off": ("0.25", "1.005", "0.0333"), "net": ("4", "6.25", "20")}[calc])
                rates.append(dict(head, line=f"L{len(rates)}", min_quantity=tier, calc=calc, value=value, **({"price_per": self.pick(1, 100)} if calc != "percent_off" and self.some(0.2) else {})))
        return rates


class Papers:
    """A stream of invoices and memos about a case."""

    def __init__(self, case, world):
        self.case, self.world, self.edges, self.rng = case, world, boundaries(world), random.Random(f"papers {case.seed}")
        self.known, self.early = [], []

    def one(self, number):
        case, rng = self.case, self.rng
        pool = self.known[-rng.choice((1, 2, 3, 9)):] + self.early
        corrects = rng.choice(pool) if pool and rng.random() < 0.5 else None
        if self.early and rng.random() < 0.3:
            paper = self.early.pop()
            self.known.append(paper)
            return dict(paper)
        at = rng.choice(self.edges) + rng.choice((-1, 0, 0, 1, 20 * 86400 * 10 ** 6)) if rng.random() < 0.4 else instant("2025-06-01")
        paper = {"number": case.names(f"N{number}"), "kind": "invoice", "customer": rng.choice(case.customers[:3]), "company": rng.choice(case.companies[:1] * 3 + case.companies), "currency": case.money[0], "at": at,
                 "corrects": None, "lines": [self.line() for _ in range(rng.choice((1, 1, 2, 4)))]}
        if corrects is None and rng.random() < 0.15:
            # its memos come first
            corrects = dict(paper, number=case.names(f"N{number}-LATE"), lines=[dict(line, unit=line["unit"] or case.items[line["item"]]["base_unit"]) for line in paper["lines"]], payer=paper["customer"])
            self.early.append(corrects)
        if corrects:
            paper.update(kind="credit_memo", corrects=corrects["number"], customer=corrects["customer"], company=corrects["company"], lines=[self.credit(corrects) for _ in range(rng.choice((1, 1, 2)))])
        elif rng.random() < 0.1:
            paper.update(kind=rng.choice(("credit_memo", "debit_memo")), corrects=rng.choice((None, case.names("N-UNKNOWN"))))
        for line in paper["lines"]:
            line["unit"] = line["unit"] or case.items[line["item"]]["base_unit"]
        if paper["kind"] == "invoice":
            self.known.append(paper)
        paper["payer"] = paper["customer"]
        return paper

    def credit(self, corrects):
        """A line of a memo: all or a part of a line, or whatever; with or without a quantity."""
        rng, line = self.rng, self.rng.choice(corrects["lines"])
        kind = rng.random()
        if kind < 0.3:
            return dict(line)
        if kind < 0.6 and line["quantity"] is not None:
            part = decimal(Fraction(line["quantity"]) / rng.choice((2, 4, 5)))
            exact_in_base = part and decimal(Fraction(part) * self.world.items[line["item"]].factor(line["unit"]))
            return dict(line, quantity=part if exact_in_base else line["quantity"], net=rng.choice((line["net"], "10", "33.3333")))
        return dict(self.line(), item=line["item"], unit=None)

    def line(self):
        rng, item = self.rng, self.case.items[self.rng.choice(self.case.skus)]
        unit = rng.choice([item["base_unit"]] + [u["unit"] for u in item["units"]])
        found = None
        while found is None or found == "0" or decimal(Fraction(found) * self.world.items[item["sku"]].factor(unit)) is None:
            found = decimal(Fraction(rng.choice(AMOUNTS)))
        return {"item": item["sku"], "unit": unit, "quantity": None if rng.random() < 0.1 else found, "net": rng.choice(("10", "99.99", "120.005", "1000", "0", "33.3333", "250.5"))}


def document_of(paper):
    document = {"company": paper["company"], "invoice_number": paper["number"], "kind": paper["kind"], "customer": paper["customer"], "corrects": paper["corrects"], "currency": paper["currency"],
                "issued_at": text_of(paper["at"]), "net_amount": str(sum((Fraction(line["net"]) for line in paper["lines"]), Fraction(0)) and decimal(sum(Fraction(line["net"]) for line in paper["lines"])) or "0"),
                "lines": [{k: v for k, v in {"sku": line["item"], "quantity": line["quantity"], "unit": line["unit"], "net_amount": line["net"]}.items() if v is not None} for line in paper["lines"]]}
    return {k: v for k, v in document.items() if v is not None}


def keys_of(papers, before):
    """Keys of the lines of documents and of the memos before them that correct one of them."""
    return ["/".join((p["company"], p["kind"], p["number"], "")) for p in papers + [p for p in before if p["corrects"] in [q["number"] for q in papers]]]


def call_sql(papers, before):
    """A call with some documents, and what accrued for them and for the memos before them that correct one of them."""
    return (f"SELECT jsonb_build_object('outcomes', jsonb_agg(outcome), 'messages', jsonb_agg(message)) FROM distsync.apply_all('invoice', {literal([document_of(p) for p in papers])}, '{SOURCE}');\n"
            "SELECT jsonb_build_object('rows', (SELECT jsonb_agg(jsonb_build_object('agreement', g.code, 'kind', a.kind, 'document', a.document_key, 'version', a.version_no, 'line', a.line_key, 'quantity', a.quantity, "
            "'base', a.base_amount, 'amount', a.amount, 'currency', a.currency)) FROM dist.accrual a JOIN dist.agreement g USING (agreement_id) "
            f"WHERE EXISTS (SELECT FROM jsonb_array_elements_text({literal(keys_of(papers, before))}) k WHERE starts_with(a.document_key, k))));\n")


def in_base(world, paper):
    """A document in the oracle's terms."""
    lines = [{"item": line["item"], "net": Fraction(line["net"]), "quantity": None if line["quantity"] is None else Fraction(line["quantity"]) * world.items[line["item"]].factor(line["unit"])} for line in paper["lines"]]
    return dict(paper, lines=lines)


def counted(rows):
    return Counter(tuple(row[f] if f not in ("quantity", "base", "amount") else Fraction(row[f]) for f in FIELDS) for row in rows)


class Accruals(PricesTest):
    seed = SEED

    def test_engine_is_the_oracle(self):
        found = Counter()
        for number in worlds(DOCUMENTS // OF_A_WORLD):
            self.one_world(number, self.policy_of(number, *ACCRUE), next(self.names), found)
        print(dict(found.most_common()), flush=True)
        self.assertEqual(psql("SELECT * FROM distsync_internal.pricing_verify_accruals() LIMIT 5;\n")[""], [])
        for what in ("rebate", "claim", "adjusted", "taken back", "waited", "waiting", "failed", "credited in full"):
            self.assertTrue(ONLY or found[what], f"no case of {what}")

    def one_world(self, number, policy, names, found):
        case = AccrualCase(f"accruals {SEED}-{number}", names, wide=False)
        world = read(case.phases, case.used)
        papers = Papers(case, world)
        asked = [papers.one(n) for n in range(OF_A_WORLD)]
        calls, rng = [], random.Random(f"calls {SEED}-{number}")
        while sum(map(len, calls)) < len(asked):
            start = sum(map(len, calls))
            calls.append(asked[start:start + rng.choice((1, 1, 2, 4))])
        nothing = {"customer": case.customers[0], "at": instant("2025-01-01"), "phase": None, "options": {"company": case.companies[0]}, "lines": [{"item": case.skus[0], "quantity": "1"}]}
        loaded = Loaded(case.phases, case.used, names, [nothing], [(f"call {n}", call_sql(call, sum(calls[:n], []))) for n, call in enumerate(calls)])
        books = Books(loaded.world, policy)
        loaded.forget()
        known = []
        for n, call in enumerate(calls):
            lines = loaded.parts[f"call {n}"]
            said = None if any("ERROR" in line for line in lines) else [exact(line) for line in lines]
            rows = books.record(*[in_base(loaded.world, paper) for paper in call])
            known += rows
            if said is None or set(said[0]["outcomes"]) != {"applied"}:
                raise Difference(f"SEED={SEED} WORLD={number} {json.dumps(call)}: {' '.join(lines)}")
            keys = tuple(keys_of(call, sum(calls[:n], [])))
            engine, oracle = counted(said[1]["rows"] or ()), counted([row for row in known if row["document"].startswith(keys)])
            if engine != oracle:
                raise Difference("\n".join([f"SEED={SEED} WORLD={number} {json.dumps(call)}", f"engine only {plain(sorted(engine - oracle, key=str))}", f"oracle only {plain(sorted(oracle - engine, key=str))}",
                                            "policy " + json.dumps(policy)] + [json.dumps(short(d)) for d in case.heads.values() if d["slot"] in ("rebate", "claim")]))
            found.update([row["kind"] for row in rows] + ["adjusted" for row in rows if row["document"].endswith("/tier")] + ["taken back" for row in rows if row["quantity"] < 0])
            found["waited"] += sum(not row["document"].startswith(tuple(keys_of(call, []))) for row in rows)
        found["waiting"] += len(books.waiting)
        found["failed"] += len(books.failed)
        found["credited in full"] += sum(back.goods == back.quantity > 0 for back in books.back.values())


class ByHand(unittest.TestCase):
    """The oracle itself, with numbers worked out on paper from the definition."""

    def run_papers(self, agreements, *papers):
        books = Books(read([masters() + [("agreement", agreements)]]), dict(POLICY, slots=POLICY["slots"] + ACCRUE))
        found = []
        for n, (net, quantity, *more) in enumerate(papers):
            corrects = more[0] if more else None
            paper = {"number": f"N{n}", "kind": "credit_memo" if corrects else "invoice", "payer": "KID", "customer": "KID", "company": "US", "currency": "USD", "at": instant("2020-06-01"), "corrects": corrects,
                     "lines": [{"item": "A", "net": Fraction(net), "quantity": quantity and Fraction(quantity)}]}
            found.append([(row["document"].split("/", 2)[2], row["amount"]) for row in books.record(paper)])
        return found

    @staticmethod
    def below(code, slot, *rates, **more):
        return dict(agreement(code, slot, assignments=ALL, **more), rates=[dict({"what_kind": "all", "line": str(n)}, **rate) for n, rate in enumerate(rates)])

    def test_period_tiers(self):
        tiers = ({"calc": "percent_off", "value": "2"}, {"calc": "percent_off", "value": "3", "min_quantity": "1000"})
        every = self.below("R", "rebate", *tiers, tier_basis="period", tier_measure="amount")
        self.assertEqual(self.run_papers([every], ("900", "9"), ("200", "2"), ("200", "2", "N0")), [[("N0/1", -18)], [("N1/1/tier", -9), ("N1/1", -6)], [("N2/1/tier", 11), ("N2/1", 4)]])
        part = dict(every, tier_mode="incremental")
        self.assertEqual(self.run_papers([part], ("900", "9"), ("200", "2"), ("200", "2", "N0")), [[("N0/1", -18)], [("N1/1", -5)], [("N2/1", 5)]])

    def test_ship_and_debit(self):
        claim = self.below("C", "claim", {"calc": "net", "value": "4.5"})
        self.assertEqual(self.run_papers([claim], ("100", "10"), ("20", "2", "N0"), ("5", None, "N0")), [[("N0/1", 15)], [("N1/1", -3)], []])
        self.assertEqual(self.run_papers([self.below("C", "claim", {"calc": "net", "value": "7"})], ("100", "10")), [[("N0/1", 0)]])

    def test_memos(self):
        """Ten pieces of which five cents accrue, credited in every order: as many memos as there are, the sum is what was credited of it."""
        each = self.below("R", "rebate", {"calc": "amount_off", "value": "0.005"})
        parts = [("3", "3", "N0"), ("3", "3", "N0"), ("3", "3", "N0")]
        self.assertEqual(self.run_papers([each], ("10", "10"), *parts), [[("N0/1", Fraction(-5, 100))], [("N1/1", Fraction(2, 100))], [("N2/1", Fraction(1, 100))], [("N3/1", Fraction(2, 100))]])
        for credited, left in ((("1", "1"), 4), (("9", "9"), 0), (("1", "1", "1", "1"), 3), (("7", "1", "12"), 0), (("2", "5", "2", "1"), 0)):
            for order in permutations(credited):
                rows = self.run_papers([each], ("10", "10"), *[(quantity, quantity, "N0") for quantity in order])
                self.assertEqual(sum(amount for paper in rows for _, amount in paper), Fraction(-left, 100), order)
        # money and goods: 40 percent and 8 of 10 pieces are all of it
        percent = self.below("R", "rebate", {"calc": "percent_off", "value": "10"})
        for order in permutations((("4", None, "N0"), ("8", "8", "N0"), ("1", None, "N0"))):
            self.assertEqual(sum(amount for paper in self.run_papers([percent], ("10", "10"), *order) for _, amount in paper), 0, order)
        # a memo before its invoice
        self.assertEqual(self.run_papers([each], ("4", "4", "N1"), ("10", "10")), [[], [("N1/1", Fraction(-5, 100)), ("N0/1", Fraction(2, 100))]])

    def test_groups(self):
        one, two = (self.below(code, "rebate", {"calc": "percent_off", "value": value}, combine="best") for code, value in (("R1", "2"), ("R2", "3")))
        self.assertEqual(self.run_papers([one, two], ("100", "1")), [[("N0/1", -3)]])
        self.assertEqual(self.run_papers([dict(one, combine="additive"), dict(two, combine="additive")], ("100", "1")), [[("N0/1", -2), ("N0/1", -3)]])
        self.assertEqual(self.run_papers([dict(one, combine="override"), dict(two, combine="override", stack_group="other")], ("100", "1")), [[("N0/1", -2), ("N0/1", -3)]])


if __name__ == "__main__":
    unittest.main()
