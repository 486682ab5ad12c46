"""check_prices() finds the cause: random worlds, documents priced with one known fault, and nothing found where there is none.

What was charged is made by asking the engine another question, or by supposing that something went wrong. The cause that is named may be another one: then it gives the same number,
which is asked of the engine again. SEED=n repeats a run, CASES=n checks so many lines, WORLD=n one world only.
"""
from collections import Counter
from fractions import Fraction
import json
import os
import random
import unittest

from pricing_cases import Case
from pricing_database import SOURCE, Loaded, exact, literal, psql
from pricing_questions import Questions, decimal
from pricing_test import ONLY, PricesTest, count, seed
from pricing_world import read, text_of

SEED = seed(77)
CASES = count("CASES", 300)
ENOUGH = int(os.environ.get("DIFFERENCES") or 1)
DOCUMENTS = 60      # of a world
TAXES = {"T1": "20", "T2": "7.5"}
FAULTS = ("right", "right", "superseded", "expired", "tier", "alone", "unit", "exchange", "list_price", "contract", "discount", "twice", "rounding", "tax", "lock", "customer", "channel", "site", "late", "later")
UNNAMED = ("unknown", "no_price", "override")


class Document:
    """A document as the channel priced it: question, and the question that its fault makes of it."""

    def __init__(self, number, case, world, questions, edges):
        rng = self.rng = questions.rng
        self.terms = {}
        for phase in case.phases:
            for entity, many in phase:
                for document in many if entity == "agreement" else ():
                    self.terms.setdefault(document["code"], []).append(document)
        self.key, self.fault = case.names(f"D{number}"), rng.choice(FAULTS)
        question = questions.one(rng.choice((1, 1, 2, 4)))
        self.customer, self.place = question["customer"], 0
        self.lines = [{k: v for k, v in line.items() if k != "weight"} for line in question["lines"]]
        options = {k: v for k, v in question["options"].items() if k not in ("ship", "invoice", "without", "tax_rates")}
        options.setdefault("currency", case.money[0])
        site = options.pop("site", None)
        for line in self.lines:
            line.setdefault("unit", case.items[line["item"]]["base_unit"])
            if site and "site" not in line:
                line["site"] = site
        self.options = options
        self.at, self.known = ("k0", "k0") if self.fault in ("late", "later") else ("k1", "k1")
        self.percent = rng.choice(list(TAXES.values())) if self.fault == "tax" else None
        self.wrong(case, world, edges)

    def wrong(self, case, world, edges):
        """What is asked instead: customer, lines, at, known_at, options and what is supposed."""
        rng, line = self.rng, dict(self.lines[0])
        ask = {"customer": self.customer, "lines": [dict(x) for x in self.lines], "at": f":'{self.at}'", "known": self.known, "options": dict(self.options), "suppose": {}}
        bare = {k: v for k, v in self.options.items() if k not in ("document_key", "document_type")}
        item, factor = case.items[line["item"]], world.items[line["item"]].factor
        if self.fault == "superseded":
            ask["known"] = "k0"
        elif self.fault == "expired":
            ask["at"] = literal(text_of(rng.choice([e for e in edges]) + rng.choice((-1, 0))))
            ask["suppose"] = "spot"
        elif self.fault == "tier":
            while True:
                found = decimal(Fraction(rng.choice(("1", "3", "5", "10", "12", "24", "99", "100", "144", "300"))) / factor(line["unit"]))
                if found and found != "0":
                    break
                line["unit"] = item["base_unit"]
            if line["unit"] == self.lines[0]["unit"]:
                ask["lines"][0]["quantity"] = "-" + found if line["quantity"].startswith("-") else found
        elif self.fault == "alone":
            ask["lines"] = ask["lines"][:1]
        elif self.fault == "unit":
            other = [u for u in [item["base_unit"]] + [u["unit"] for u in item["units"]] if u != line["unit"] and decimal(Fraction(line["quantity"]) * factor(u))]
            if other:
                ask["lines"][0]["unit"] = rng.choice(other)
        elif self.fault == "site":
            ask["lines"][0]["site"] = rng.choice(case.sites)
        elif self.fault == "customer":
            above = [a.ancestor for a in world.ancestors if a.party == self.customer and a.depth and a.valid[1] is None]
            ask.update(customer=rng.choice(above) if above else self.customer, options={k: v for k, v in bare.items() if k not in ("ship_to", "job")})
        elif self.fault == "lock":
            ask["options"] = bare
        elif self.fault == "channel":
            ask["options"] = dict(self.options, channel=rng.choice(case.channels))
        elif self.fault in ("list_price", "contract", "discount"):
            ask["options"] = dict(bare, without={"list_price": ["book", "contract", "promotion", "adjustment", "guard", "order"], "contract": ["contract"]}.get(self.fault) or rng.choice((["promotion"], ["adjustment"])))
        elif self.fault == "later":
            ask["known"] = "k1"
        else:
            ask["suppose"] = {"exchange": lambda: {"exchange": rng.choice(("none", "inverse"))}, "twice": lambda: {"twice": rng.choice(("promotion", "adjustment")), "compound": rng.choice((True, False))},
                              "rounding": lambda: rng.choice(({"each_step": True}, {"mode": rng.choice(("up", "down", "half_even"))}, {"scale": rng.choice((0, 1, 2, 3)), "mode": rng.choice(("half_up", "down"))})),
                              "tax": lambda: rng.choice(({"times": 100 + Fraction(self.percent), "over": 100}, {"times": 100, "over": 100 + Fraction(self.percent)}))}.get(self.fault, dict)()
        self.ask = ask

    def sql(self, ask):
        options = literal(dict(ask["options"], tax_rates=TAXES)) + f"::jsonb || jsonb_build_object('known_at', :'{ask['known']}')"
        suppose = f"jsonb_build_object('exchange', :'{self.at}')" if ask["suppose"] == "spot" else literal({k: str(v) if isinstance(v, Fraction) and v.denominator == 1 else float(v) if isinstance(v, Fraction) else v for k, v in ask["suppose"].items()})
        return (f"SELECT to_jsonb(p) FROM dist.party c, distsync_internal.pricing_suppose(c.party_id, {literal(ask['lines'])}, {ask['at']}::timestamptz, {options}, {suppose}::jsonb) p "
                f"WHERE c.code = {literal(ask['customer'])} AND p.ordinal = 1;\n")

    def asked(self):
        """What is asked rightly."""
        return {"customer": self.customer, "lines": self.lines, "at": f":'{self.at}'", "known": self.known, "options": self.options, "suppose": {}}

    def observed(self, line, number, price, stamps):
        found = {"customer": self.customer, "document_type": "order", "document_key": self.key, "line": number, "item": line["item"], "quantity": line["quantity"], "unit": line["unit"],
                 "unit_price": price, "currency": self.options["currency"], "priced_at": stamps[self.at], "tax_percent": self.percent, "site": line.get("site")}
        found.update({k: self.options[k] for k in ("company", "channel", "ship_to", "job", "context", "requested_ship") if k in self.options})
        if "document_key" in self.options:
            found.update(lock_key=self.options["document_key"], lock_type=self.options.get("document_type", "quote"))
        return {k: v for k, v in found.items() if v is not None}


def each(row):
    """A price for one unit."""
    return Fraction(row["unit_price"]) / row.get("price_per", 1)


def money(value):
    """A price as decimal text of at most eight places, None where it has more."""
    scaled = value * 10 ** 8
    return None if scaled.denominator != 1 else f"{scaled.numerator // 10 ** 8}.{scaled.numerator % 10 ** 8:08}"


class PriceCheck(PricesTest):
    seed = SEED

    def test_causes(self):
        seen, number, self.unexplained = Counter(), 0, []
        while seen["lines"] < CASES and (not ONLY or number == 0):
            self.policy_of(int(ONLY or number))
            self.one_world(int(ONLY or number), seen)
            number += 1
        print(dict(seen.most_common()), flush=True)
        self.assertEqual(len(self.unexplained), 0, "\n\n".join(self.unexplained[:ENOUGH]))
        # a test that names nothing would say nothing
        self.assertGreater(seen["named"], seen["lines"] / 8)

    def one_world(self, number, seen):
        case = Case(f"{SEED}-{number}", next(self.names))
        world = read(case.phases, case.used)
        questions = Questions(case, world)
        edges = [e for e in questions.edges if e < questions.edges[-1]]
        documents = [Document(n, case, world, questions, edges) for n in range(DOCUMENTS)]
        extra = [(f"{what} {n}", d.sql(ask)) for n, d in enumerate(documents) for what, ask in (("right", d.asked()), ("wrong", d.ask))]
        extra += [(f"rest {n}", d.sql(dict(d.asked(), lines=d.lines[k:] + d.lines[:k]))) for n, d in enumerate(documents) for k in range(1, len(d.lines))]
        loaded = Loaded(case.phases, case.used, case.names, [questions.one(1)], [(f"{name}", sql) for name, sql in extra])
        try:
            self.check(f"SEED={SEED} WORLD={number}", case, documents, loaded, seen)
        finally:
            loaded.forget()

    def check(self, name, case, documents, loaded, seen):
        stamps = {k: loaded.parts[k][0] for k in ("k0", "k1")}
        charged, told = {}, []
        for n, d in enumerate(documents):
            right, wrong = loaded.rows(f"right {n}")[0], loaded.rows(f"wrong {n}")[0]
            if not isinstance(wrong, dict) or not isinstance(right, dict):
                self.fail(f"{name} {d.fault} {d.asked()} {right} {wrong}")
            price = money(each(wrong)) if wrong["outcome"] == "priced" else None
            if price is not None:
                charged[d.key] = (d, right, wrong)
                told.append(d.observed(d.lines[0], 1, price, stamps))
                # the others of the document are there because tiers may count over them
                told += [d.observed(line, k + 2, "1", stamps) for k, line in enumerate(d.lines[1:])]
        out = psql(f"\\echo @@apply\nSELECT outcome, message FROM distsync.apply_all('observed_price', {literal(told)}, '{SOURCE}') WHERE outcome <> 'applied';\n"
                   f"\\echo @@check\nSELECT to_jsonb(c) FROM distsync.check_prices({literal({'since': '2000-01-01', 'limit': 100000, 'tax_rates': TAXES})}) c WHERE c.line_no = 1 AND starts_with(c.document_key, {literal(case.names.prefix)});\n"
                   "DELETE FROM dist.observed_price;\n")
        self.assertEqual((out["apply"], [line for line in out["check"] if not line.startswith("{")]), ([], []), name)
        found = {row["document_key"]: row for row in map(exact, out["check"])}
        for key, (d, right, wrong) in charged.items():
            seen["lines"] += 1
            self.one_line(f"{name} {d.fault}", d, right, wrong, found.get(key), seen)

    def one_line(self, name, d, right, wrong, row, seen):
        price = each(wrong)
        expected = each(right) if right["outcome"] == "priced" else None
        where = f"{name}\ncharged {price}, expected {expected}\n{json.dumps(d.asked(), default=str)}\n{json.dumps(d.ask, default=str)}\n{row}"
        if d.fault == "late":
            self.assertIn(row and (row["side"], row["cause"]), (None, ("our_correction", "late_correction")), where)
            seen["late"] += row is not None
            return
        if price == expected:
            # then it is right, unless we said something else later, which only those of k0 can meet
            self.assertTrue(row is None or d.at == "k0" and row["side"] == "our_correction", where)
            seen["agree"] += 1
            return
        if d.fault == "later" and expected is None:
            # what we could not say then is judged by what we say now
            self.assertIsNone(row, where)
            return
        self.assertIsNotNone(row, where)
        self.assertEqual((row["charged"], row["side"]), (price, "channel"), where)
        if d.fault == "later":
            self.assertEqual(row["cause"], "known_later", where)
        if expected is not None:
            self.assertEqual((row["expected"], row["difference"]), (expected, price - expected), where)
        seen[f"{d.fault}: {row['cause']}"] += 1
        if row["cause"] in UNNAMED:
            seen["unnamed"] += 1
            if not self.cannot(d, right, wrong) and not self.beyond(d):
                self.unexplained.append(where)
            return
        seen["named"] += 1
        gives = row["detail"].get("gives")
        if gives:
            self.assertEqual(each(gives), price, where)

    @staticmethod
    def beyond(d):
        """Eight other channels are suspected, and eight other sites, those of the company first: a database of many worlds has more."""
        if d.fault == "channel":
            mine, other = d.options.get("channel"), d.ask["options"]["channel"]
            query = "SELECT x.code FROM dist.channel x WHERE x.code IS DISTINCT FROM {0} ORDER BY x.code COLLATE \"C\" LIMIT 8"
        elif d.fault == "site":
            mine, other = d.lines[0].get("site"), d.ask["lines"][0]["site"]
            query = "SELECT x.code FROM dist.site x JOIN dist.company c USING (company_id) WHERE x.code IS DISTINCT FROM {0} ORDER BY c.code = {1} DESC, x.code COLLATE \"C\" LIMIT 8"
        else:
            return False
        return other not in psql(query.format(literal(mine) if mine else "NULL", literal(d.options["company"])) + ";\n")[""]

    @staticmethod
    def cannot(d, right, wrong):
        """What no supposition covers: where somebody stopped in a ladder that is incremental, counts amounts, or gives goods."""
        taking_part = [r for row in (right, wrong) for part in ("steps", "losers") for r in (row["detail"] or {}).get(part) or ()]
        return d.fault in ("tier", "alone") and (any(r["calc"] == "buy_get" for r in taking_part) or any(
            t.get("tier_mode") == "incremental" or t.get("tier_measure") == "amount" for r in taking_part for t in d.terms.get(r["agreement"], ())))


if __name__ == "__main__":
    unittest.main()
