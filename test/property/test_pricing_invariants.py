"""What holds of prices whatever the policy and the agreements are, on small worlds of their own and without the oracle.

SEED=n repeats a run.
"""
from fractions import Fraction as F
import random
import unittest

from pricing_arithmetic import round_minor
from pricing_cases import policies
from pricing_database import SOURCE, exact, literal, psql
from pricing_questions import decimal
from pricing_test import PricesTest, seed
from pricing_world import instant, text_of

SEED = seed()
AT = "'2015-06-01T00:00:00Z'"


class Invariants(PricesTest):
    seed = SEED

    def setUp(self):
        self.publish(dict(policies(random.Random(0))[0], rounding={"scale": 8, "mode": "half_up"}))
        self.rng, self.names = random.Random(f"{SEED} {self.id()}"), next(type(self).names)
        self.money, self.agreements = self.names.currencies["U"], []
        n = self.names
        units = [{"unit": "BX", "numerator": 12}, {"unit": "TH", "numerator": 1, "denominator": 3}, {"unit": "PK", "numerator": 5, "denominator": 2}]
        self.apply("currency", {"currency": self.money, "minor_units": 2})
        self.apply("unit", *[{"unit": unit} for unit in ("EA", "BX", "TH", "PK")])
        self.apply("company", {"code": n("CO"), "name": "c", "currency": self.money})
        self.apply("item", *[{"sku": n(f"I{i}"), "base_unit": "EA", "units": units} for i in range(4)])

    def tearDown(self):
        if self.agreements:
            self.apply("agreement", *[{"code": code, "status": "inactive"} for code in dict.fromkeys(self.agreements)])

    def apply(self, entity, *documents, **options):
        out = psql(f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(list(documents))}, '{SOURCE}', NULL, {literal(options)});\n")[""]
        self.assertEqual([line for line in out if line not in ("applied", "unchanged")], [])

    def agreement(self, code, slot, *rates, **more):
        self.agreements.append(self.names(code))
        self.apply("agreement", dict({"code": self.names(code), "slot": slot, "currency": self.money, "publish": True, "rates": list(rates)}, **more))

    def ask(self, customer, lines, at=AT, **options):
        options.setdefault("company", self.names("CO"))
        out = psql(f"SELECT to_jsonb(p) FROM distsync.prices({literal(self.names(customer))}, {literal(lines)}, {at}, {literal(options)}) p ORDER BY p.ordinal;\n")[""]
        self.assertEqual([line for line in out if not line.startswith("{")], [])
        return [exact(line) for line in out]

    def test_units_there_and_back(self):
        """A price told for any unit is the exact price for any other, and back; the amount of the same goods is the same."""
        n, factors = self.names, {"EA": F(1), "BX": F(12), "TH": F(1, 3), "PK": F(5, 2)}
        self.apply("party", {"code": n("C"), "name": "c", "roles": ["sold_to"]})
        for place, (unit, factor) in enumerate(factors.items()):
            value = self.rng.randrange(1, 10**6) * 15 * factor.numerator      # comes out even in every unit
            self.agreement(f"A{place}", "list", {"what": n(f"I{place}"), "unit": unit, "value": str(value)}, assignments=[{"who_kind": "all"}])
            rows = self.ask("C", [{"item": n(f"I{place}"), "unit": u, "quantity": decimal(30 / f)} for u, f in factors.items()])
            for row, other in zip(rows, factors.values()):
                self.assertEqual((row["outcome"], row["unit_price"]), ("priced", F(value) / factor * other), f"SEED={SEED} {unit} {row}")
            self.assertEqual({row["net_amount"] for row in rows}, {F(value) / factor * 30}, f"SEED={SEED} {unit}")

    def test_moving_between_groups_keeps_the_past(self):
        """Until the instant of the move the old group's price, from it on the new one's; the same for parents."""
        n = self.names
        self.apply("party", {"code": n("P1"), "name": "p"}, {"code": n("P2"), "name": "p"})
        self.apply("party", {"code": n("C"), "name": "c", "roles": ["sold_to"], "parent": n("P1"), "groups": [{"kind": "buying_group", "code": n("G1")}]}, backfill=True)
        self.agreement("A0", "list", {"what": n("I0"), "value": "100"}, {"what": n("I1"), "value": "100"}, assignments=[{"who_kind": "all"}])
        for place in (1, 2):
            self.agreement(f"G{place}", "book", {"what": n("I0"), "value": str(10 * place)}, assignments=[{"who_kind": "buying_group", "who": n(f"G{place}")}])
        self.agreement("K", "contract", *[{"customer": n(f"P{place}"), "what": n("I1"), "value": str(10 * place)} for place in (1, 2)])
        known = self.ask("C", [{"item": n("I0")}])[0]["known_at"]
        self.apply("party", {"code": n("C"), "parent": n("P2"), "groups": [{"kind": "buying_group", "code": n("G2")}]})
        moved = psql(f"SELECT to_jsonb(max(upper(m.valid))) #>> '{{}}' FROM dist.party_member m JOIN dist.party p USING (party_id) WHERE p.code = {literal(n('C'))};\n"
                     f"SELECT to_jsonb(max(upper(a.valid))) #>> '{{}}' FROM dist.party_ancestor a JOIN dist.party p USING (party_id) WHERE p.code = {literal(n('C'))};\n")[""]
        moved = [instant(edge) for edge in moved]
        for item, edge in zip(("I0", "I1"), moved):
            rows = [self.ask("C", [{"item": n(item)}], at, **options)[0] for at, options in (
                (AT, {}), (literal(text_of(edge - 1)), {}), (literal(text_of(edge)), {}), ("'2070-01-01T00:00:00Z'", {}), ("'2070-01-01T00:00:00Z'", {"known_at": known}))]
            self.assertEqual([row["unit_price"] for row in rows], [10, 10, 20, 20, 10], item)
            self.assertEqual(instant(rows[1]["valid_until"]), min(e for e in moved if e >= edge))

    def test_order_discounts_add_up(self):
        """What falls on the lines is the discount, to the last cent, and never more than the line."""
        n = self.names
        self.apply("party", {"code": n("C"), "name": "c", "roles": ["sold_to"]})
        self.agreement("A0", "list", *[{"what": n(f"I{i}"), "value": f"{self.rng.randrange(1, 999)}.{self.rng.randrange(100):02}", "price_per": self.rng.choice((1, 100, 1000))} for i in range(4)],
                       assignments=[{"who_kind": "all"}])
        for calc, value in (("percent_off", "3.3333"), ("percent_off", "100"), ("amount_off", "0.05"), ("amount_off", "7.77")):
            self.agreement("O", "order", {"what_kind": "all", "calc": calc, "value": value}, assignments=[{"who_kind": "customer", "who": n("C")}], tier_measure="amount")
            for _ in range(10):
                lines = [{"item": n(f"I{self.rng.randrange(4)}"), "quantity": str(self.rng.randrange(1, 40))} for _ in range(self.rng.randrange(1, 9))]
                rows = self.ask("C", lines)
                full = [round_minor(F(row["quantity"]) * row["unit_price"] / row["price_per"], 2) for row in rows]
                off = round_minor(sum(full) * F(value) / 100, 2) if calc == "percent_off" else min(F(value), sum(full))
                self.assertEqual(sum(full) - sum(row["net_amount"] for row in rows), off, f"SEED={SEED} {calc} {value} {lines}")
                self.assertTrue(all(0 <= row["net_amount"] <= whole for row, whole in zip(rows, full)), f"SEED={SEED} {rows}")

    def test_no_price_is_an_answer(self):
        """Nothing known: no_rate; something near: its reason and near misses; a price of 0 is a price."""
        n = self.names
        self.apply("party", {"code": n("C"), "name": "c", "roles": ["sold_to"]})
        self.agreement("A0", "list", {"what": n("I0"), "value": "5", "min_quantity": "10"}, {"what": n("I1"), "value": "0"}, assignments=[{"who_kind": "all"}])
        rows = self.ask("C", [{"item": n(f"I{i}")} for i in range(3)])
        self.assertEqual([(row["outcome"], row["code"], row["unit_price"], row["net_amount"]) for row in rows], [("no_price", "below_tier", None, None), ("priced", "ok", 0, 0), ("no_price", "no_rate", None, None)])
        self.assertTrue(rows[0]["detail"]["near_misses"])


if __name__ == "__main__":
    unittest.main()
