"""Charges: the engine against the oracle of pricing_charges.py over random worlds, and the oracle judged by hand.

SEED=n other worlds, CHARGES=n so many orders (1,200 if not said), WORLD=n one world only. A difference is told with its question, both answers and the charges of its world.
"""
from collections import Counter
from fractions import Fraction
import json
import random
import unittest

from pricing_cases import Case
from pricing_charges import charges
from pricing_database import Difference, Loaded, instant_sql, literal, options_sql
from pricing_questions import Questions, asked
from pricing_test import ONLY, PricesTest, count, seed, worlds
from pricing_world import read, text_of
from test_pricing import plain, short
from test_pricing_oracle import ALL, LIST, POLICY, agreement, masters

SEED = seed(22)
ORDERS = count("CHARGES", 1200)
OF_A_WORLD = 120
COMBINES = ("override", "override", "best", "additive", "additive", "compound", "compound", "exclusive", "always")
CONTEXTS = ({"zone": "1"}, {"zone": "2", "carrier": "fast"}, {"zone": "1", "freight_terms": "collect"}, {"zone": "2", "freight_terms": "third_party"}, {"freight_terms": "prepaid"}, {})
CONDITIONS = (None, None, None, None, {"zone": "1"}, {"zone": "2"}, {"carrier": "fast"})


class ChargeCase(Case):
    """A world with charges beside everything else."""

    def corrections(self):
        """After everything else; some are corrected later."""
        super().corrections()
        documents = [self.charge(self.names(f"X{place:02}")) for place in range(self.rng.randrange(3, 8))]
        self.heads.update((d["code"], d) for d in documents)
        self.first.append(("agreement", documents))
        self.later.append(("agreement", [dict(d, rates=self.charge_rates(), **(self.period() if self.some(0.5) else {})) for d in self.rng.sample(documents, 1)]))

    def charge(self, code):
        return {"code": code, "slot": "charge", "charge_kind": self.pick(None, "fee", "freight", "freight", "freight", "minimum_order"), "tax_class": self.pick(None, "T1"), "tz": "UTC",
                "company": self.pick(*[None] * 15, *self.companies), "currency": self.pick(*self.money, *self.money[:1] * 12), "combine": self.pick(*COMBINES), "stack_group": self.pick("", "", "g1", "Z"),
                "priority": self.pick(0, 0, 5), "tier_measure": self.pick("quantity", "amount", "weight", "weight"), "fx_allowed": self.some(0.9), "publish": True,
                "assignments": self.assignments("order"), "rates": self.charge_rates(), **(self.period() if self.some(0.12) else {})}

    def charge_rates(self):
        rates = []
        for what in self.rng.sample(range(4), self.pick(1, 1, 2)):
            kind, keys = (("all", [None]), ("category", [self.names("K1"), self.names("K3")]), ("item", self.skus), ("brand", [self.names("B1")]))[what]
            head = {"what_kind": kind, "what": self.pick(*keys), "condition": self.pick(*CONDITIONS), "channel": self.pick(*[None] * 8, *self.channels),
                    **({"customer": self.pick(*self.customers, *self.ship_tos)} if self.some(0.15) else {}), **(self.period() if self.some(0.1) else {})}
            for tier in [None] if self.some(0.5) else sorted(self.rng.sample((None, "1", "5", "10", "50", "100"), self.pick(1, 2, 3)), key=lambda t: float(t or 0)):
                rates.append(dict(head, line=f"L{len(rates)}", min_quantity=tier, **self.charge_numbers()))
        return rates

    def charge_numbers(self):
        calc = self.pick("net", "net", "per_weight", "per_weight", "formula", "percent_off", "percent_off", "amount_off")
        value = {"net": ("9.5", "15", "0", "4.995"), "per_weight": ("0.25", "1.3333333333", "12"), "formula": ("0.03", "0.015", "0"), "percent_off": ("-8.5", "50", "100", "-10", "12.5"),
                 "amount_off": ("-2.25", "5", "1", "20")}[calc]
        found = {"calc": calc, "value": self.pick(*value)}
        if calc == "formula":
            found["value2"] = self.pick(None, "2", "-1", "0.5")
        if calc != "formula" and self.some(0.2):
            found["price_per"] = self.pick(1, 100)
        if calc in ("net", "per_weight", "formula"):
            found.update({"floor_price": "10"} if self.some(0.3) else {}, **({"ceiling_price": self.pick("8", "60")} if self.some(0.3) else {}))
        return found


def charges_sql(question):
    call = f"({literal(question['customer'])}, {literal(question['lines'])}, {instant_sql(question['at'])}, {options_sql(question)})"
    return f"SELECT jsonb_build_object('rows', (SELECT jsonb_agg(to_jsonb(c) ORDER BY c.ordinal) FROM distsync.charges{call} c), 'explain', distsync.explain_charges{call});\n"


def rows_of(said, currency):
    """The rows of charges() in the oracle's terms."""
    found = []
    for place, row in enumerate(said["rows"] or ()):
        detail = row["detail"]
        found.append({"agreement": row["agreement"], "kind": row["kind"], "amount": Fraction(row["amount"]), "code": row["code"], "would_be": detail.get("would_be"), "line": detail["line"],
                      "sum": Fraction(detail["sum"]), "weight": detail.get("weight"), "allocation": [(a["ordinal"], Fraction(a["amount"])) for a in detail["allocation"]]})
        if row["ordinal"] != place + 1 or row["currency"] != currency:
            found[-1]["ordinal"] = row["ordinal"], row["currency"]
    return found


def close(a, b):
    """Weights are shown with ten decimals."""
    return a is None and b is None or a is not None and b is not None and abs(a - b) < Fraction(1, 10 ** 9)


def alike(said, one):
    return dict(said, weight=None) == dict(one, weight=None) and close(said["weight"], one["weight"])


class Charges(PricesTest):
    seed = SEED

    def test_engine_is_the_oracle(self):
        counted = Counter()
        for number in worlds(ORDERS // OF_A_WORLD):
            self.one_world(number, self.policy_of(number, {"slot": "charge", "combine": "charge"}), next(self.names), counted)
        print(dict(counted.most_common()), flush=True)
        for what in ("ok", "collect", "below_tier", "lower_tier", "outranked", "excluded", "condition", "no_weight"):
            self.assertTrue(ONLY or counted[what], f"no case of {what}")

    def one_world(self, number, policy, names, counted):
        case = ChargeCase(f"charges {SEED}-{number}", names, wide=number % 2 == 1)
        stream, rng, questions = Questions(case, read(case.phases, case.used)), random.Random(f"contexts {SEED}-{number}"), []
        for _ in range(OF_A_WORLD):
            question = stream.one(rng.choice((1, 2, 4, 7)))
            question["options"].pop("document_key", None)
            if rng.random() < 0.7:
                question["options"]["currency"] = case.money[0]
            question["options"]["context"] = rng.choice(CONTEXTS)
            if "without" in question["options"] and rng.random() < 0.3:
                question["options"]["without"] = ["charge"]
            for line in question["lines"]:
                if rng.random() < 0.1 and not line["quantity"].startswith("-") and len(question["lines"]) > 1:
                    line["quantity"] = "-" + line["quantity"]
            questions.append(question)
        loaded = Loaded(case.phases, case.used, names, questions[:1], [(f"charges {n}", charges_sql(q)) for n, q in enumerate(questions)])
        loaded.forget()
        for n, question in enumerate(questions):
            said = loaded.rows(f"charges {n}")
            one = charges(loaded.world, policy, asked(question))
            wrong = [f"engine: {said}"] if len(said) != 1 or not isinstance(said[0], dict) else self.unequal(said[0], one, loaded)
            if wrong:
                told = [d for phase in case.phases for entity, many in phase if entity == "agreement" for d in many if d.get("slot") == "charge"]
                raise Difference("\n".join([f"SEED={SEED} WORLD={number} at {text_of(question['at'])}: {json.dumps(question)}"] + wrong + ["policy " + json.dumps(policy)] + [json.dumps(short(d)) for d in told]))
            counted.update([row["code"] for row in one["charges"]] + [loser[3] for loser in one["losers"]])

    def unequal(self, said, one, loaded):
        explain, wrong = said["explain"], []
        rows = rows_of(said, explain["currency"])
        if len(rows) != len(one["charges"]) or not all(alike(a, b) for a, b in zip(rows, one["charges"])):
            wrong += [f"charges differ: engine {plain(rows)}", f"  oracle {plain(one['charges'])}"]
        if [c["agreement"] for c in explain["charges"]] != [row["agreement"] for row in rows] or Fraction(explain["total"]) != sum((row["amount"] for row in rows), Fraction(0)):
            wrong.append(f"explain has other charges: {plain(explain['charges'])}")
        lost, expected = Counter((x["agreement"], x["version"], x["line"], x["reason"]) for x in explain["losers"]), Counter(one["losers"])
        if lost != expected:
            wrong.append(f"losers differ: engine only {sorted(lost - expected)} oracle only {sorted(expected - lost)}")
        if [line.get("net_amount") for line in explain["lines"]] != one["net_amounts"]:
            wrong.append(f"lines differ: {plain(explain['lines'])} {plain(one['net_amounts'])}")
        for row in said["rows"] or ():
            if loaded.stamps.told(row["valid_until"]) != one["valid_until"]:
                wrong.append(f"valid_until {row['valid_until']} is not {text_of(one['valid_until'])}")
            if sum((Fraction(a["amount"]) for a in row["detail"]["allocation"]), Fraction(0)) != Fraction(row["amount"]):
                wrong.append(f"parts do not sum: {row['detail']['allocation']}")
        return wrong


class ByHand(unittest.TestCase):
    """The oracle itself, with numbers worked out on paper from the definition."""

    def ask(self, agreements, *lines, context=None, **options):
        world = read([masters() + [("agreement", [LIST] + agreements)]])
        policy = dict(POLICY, slots=POLICY["slots"] + [{"slot": "charge", "combine": "charge"}])
        question = {"customer": "KID", "at": 1600000000000000, "phase": None, "options": dict({"company": "US", "context": context or {}}, **options), "lines": [dict({"item": "A"}, **line) for line in lines or ({},)]}
        return [(row["agreement"], row["amount"]) for row in charges(world, policy, asked(question))["charges"]]

    @staticmethod
    def charge(code, *rates, kind="freight", **more):
        return dict(agreement(code, "charge", assignments=ALL, charge_kind=kind, **more), rates=[dict({"what_kind": "all", "line": str(n)}, **rate) for n, rate in enumerate(rates)])

    def test_weight_breaks_and_limits(self):
        freight = self.charge("F", {"calc": "net", "value": "9.5"}, {"calc": "per_weight", "value": "25", "price_per": 100, "floor_price": "10", "min_quantity": "30"}, tier_measure="weight")
        self.assertEqual([self.ask([freight], {"quantity": q}) for q in ("59", "60", "90")], [[("F", Fraction("9.5"))], [("F", 10)], [("F", Fraction("11.25"))]])
        self.assertEqual(self.ask([freight], {"item": "B"}), [("F", Fraction("9.5"))])

    def test_surcharges_and_allowances(self):
        freight = self.charge("F", {"calc": "net", "value": "20"}, combine="compound")
        fuel, half = (self.charge(code, {"calc": "percent_off", "value": value}, combine="compound") for code, value in (("A1", "-10"), ("A2", "50")))
        self.assertEqual(self.ask([freight, fuel, half]), [("F", 20), ("A1", 2), ("A2", -11)])
        added = [dict(d, combine="additive") for d in (freight, fuel, half)]
        self.assertEqual(self.ask(added), [("F", 20), ("A1", 2), ("A2", -10)])
        gift = self.charge("A3", {"calc": "amount_off", "value": "50"}, combine="compound")
        self.assertEqual(self.ask([freight, gift]), [("F", 20), ("A3", -20)])

    def test_kinds_stand_apart(self):
        free = self.charge("FREE", {"calc": "net", "value": "0"}, combine="exclusive")
        small = self.charge("SMALL", {"value": "15"}, {"value": "0", "min_quantity": "100"}, kind="minimum_order", tier_measure="amount")
        freight = self.charge("F", {"calc": "net", "value": "20"})
        self.assertEqual(self.ask([free, small, freight], {"quantity": "9"}), [("FREE", 0), ("SMALL", 15)])
        self.assertEqual(self.ask([free, small, freight], {"quantity": "10"}), [("FREE", 0), ("SMALL", 0)])
        self.assertEqual(self.ask([small, freight], context={"freight_terms": "collect"}), [("F", 0), ("SMALL", 15)])


if __name__ == "__main__":
    unittest.main()
