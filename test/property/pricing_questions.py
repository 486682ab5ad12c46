"""Random questions about a world of pricing_cases: near boundaries of time and tier, in any unit, with any options.

A question is {"customer", "at", "phase", "lines", "options"} with text for numbers, so that it can be printed and sent; asked() makes it exact.
"""
from fractions import Fraction
import random

from pricing_world import instant, text_of, told

DAY = 86400 * 10 ** 6
AMOUNTS = ("1", "1", "1.5", "2", "3", "4.999999", "5", "9.999999", "10", "11", "12", "12.000001", "23.999997", "24", "30", "60", "99", "100", "120", "144", "300")


def asked(question):
    """A question in the oracle's terms: exact numbers, the instant until which it was known."""
    options = dict(question["options"])
    options["known_at"] = None if question["phase"] is None else told(question["phase"])
    options["tax_rates"] = {k: Fraction(v) for k, v in options.get("tax_rates", {}).items()}
    for name in ("requested_ship", "ship", "invoice"):
        if name in options:
            options[name] = instant(options[name])
    lines = [{k: Fraction(v) if k in ("quantity", "weight") else v for k, v in line.items()} for line in question["lines"]]
    return {"customer": question["customer"], "at": question["at"], "lines": lines, "options": options}


def decimal(number):
    """A fraction as decimal text, None where it has more than six decimals."""
    scaled = number * 10 ** 6
    if scaled.denominator != 1:
        return None
    sign, size = "-" if scaled < 0 else "", abs(scaled.numerator)
    return f"{sign}{size // 10 ** 6}.{size % 10 ** 6:06}".rstrip("0").rstrip(".")


def boundaries(world):
    """Every instant at which something of a world starts or ends, the calendar of the oracle's phases aside."""
    periods = [v.valid for v in world.versions] + [r.valid for v in world.versions for r in v.rates] + [a.valid for many in world.assignments.values() for a in many]
    periods += [row.valid for rows in (world.rates_of_exchange, world.costs, world.locks) for row in rows]
    edges = {edge for period in periods for edge in period if edge is not None}
    return sorted(edge for edge in edges if not told(-10) < edge < told(10))


class Questions:
    """A stream of questions about one case; the same seed gives the same stream."""

    def __init__(self, case, world):
        self.case, self.world, self.edges = case, world, boundaries(world)
        self.rng = random.Random(f"questions {case.seed}")

    def some(self, chance):
        return self.rng.random() < chance

    def instant(self):
        edge = self.rng.choice(self.edges)
        return edge + self.rng.choice((-1, 0, 0, 1, DAY * 20, -DAY * 20))

    def line(self, returned):
        """One line; quantities are those that come out even in base units."""
        rng, item = self.rng, self.case.items[self.rng.choice(self.case.skus)]
        unit = rng.choice([item["base_unit"]] + [u["unit"] for u in item["units"]])
        factor = self.world.items[item["sku"]].factor(unit)
        found = None
        while found is None or found == "0" or decimal(Fraction(found) * factor) is None:
            base = Fraction(rng.choice(AMOUNTS))
            found = decimal(base / factor if self.some(0.7) else base)
        line = {"item": item["sku"], "quantity": "-" + found if returned else found}
        if unit != item["base_unit"] or self.some(0.5):
            line["unit"] = unit
        if self.some(0.25):
            line["site"] = rng.choice(self.case.sites)
        if item["catch_weight"] and self.some(0.7):
            line["weight"] = rng.choice(("1.25", "10", "7.333333"))
        return line

    def options(self):
        case, rng = self.case, self.rng
        chances = {
            "currency": (0.6, lambda: rng.choice(case.money[:1] * 6 + case.money)), "channel": (0.5, lambda: rng.choice(case.channels)), "site": (0.4, lambda: rng.choice(case.sites)),
            "ship_to": (0.35, lambda: rng.choice(case.ship_tos)), "job": (0.2, lambda: rng.choice(case.jobs)),
            "context": (0.5, lambda: rng.choice(({"tier": "gold"}, {"tier": "gold", "flags": ["a", "b"], "deep": {"n": 1}}, {"flags": ["a"]}, {"tier": "iron"}))),
            "requested_ship": (0.3, lambda: text_of(self.instant())), "ship": (0.3, lambda: text_of(self.instant())), "invoice": (0.3, lambda: text_of(self.instant())),
            "tax_rates": (0.6, lambda: rng.choice(({"T1": "20", "T2": "7.5"}, {"T1": "0"}, {"T2": "8.875"}))),
            "without": (0.1, lambda: rng.sample(("promotion", "adjustment", "order"), rng.choice((1, 2))))}
        found = {"company": rng.choice(case.companies[:1] * 2 + case.companies)}
        found.update({name: make() for name, (chance, make) in chances.items() if self.some(chance)})
        return found

    def one(self, size):
        """A question of some lines; now and then about a promised price, now and then a return."""
        rng, at = self.rng, self.instant()
        returned = self.some(0.04)
        question = {"customer": rng.choice(self.case.customers), "at": at, "phase": rng.choice((None, None, None, 0, 1)),
                    "lines": [self.line(returned) for _ in range(size)], "options": self.options()}
        if returned:
            question["options"]["without"] = ["order"]
        if self.some(0.15):
            lock = rng.choice(self.case.lock_documents)
            question["customer"] = rng.choice((lock["customer"], lock["customer"], question["customer"]))
            question["options"].update(document_key=lock["document_key"], currency=lock["currency"])
            if lock["document_type"] != "quote" or self.some(0.3):
                question["options"]["document_type"] = lock["document_type"]
            question["lines"][0] = {"item": lock["item"], "unit": lock["unit"], "quantity": rng.choice(("1", "5", "10", "12", "3"))}
            question["at"] = rng.choice((instant(lock["valid_from"]), instant(lock["valid_from"]) - 1, instant(lock["valid_to"]) or at, at))
            if returned or decimal(Fraction(question["lines"][0]["quantity"]) * self.world.items[lock["item"]].factor(lock["unit"])) is None:
                question["lines"][0]["quantity"] = "-12" if returned else "12"
        return question

    def many(self, lines):
        """Questions with so many lines together."""
        found = []
        while lines > 0:
            size = min(lines, self.rng.choice((1, 3, 6, 8, 10)))
            found.append(self.one(size))
            lines -= size
        return found
