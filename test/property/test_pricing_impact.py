"""price_impact() is pricing every open line twice: random worlds, random open documents, random drafts; each document is asked with option drafts and without it.

SEED=n repeats a run, CASES=n prices so many open lines, WORLD=n one world only.
"""
from collections import Counter
from fractions import Fraction
import json
import random
import unittest

from pricing_arithmetic import round_minor
from pricing_cases import Case
from pricing_database import SOURCE, Difference, Loaded, exact, instant_sql, literal, prices_sql, psql
from pricing_drafts import Drafts
from pricing_open import Documents, insert_sql
from pricing_questions import Questions, decimal
from pricing_test import ONLY, PricesTest, count, seed
from pricing_world import read, text_of

SEED = seed(7)
CASES = count("CASES", 1500)
SCENARIOS = 4       # of a world
DOCUMENTS = 40      # open in each


def question_of(document, at, used):
    """What is asked of prices() for a document; used: what all took of agreed volumes."""
    lines = Documents.counted(document)
    options = dict(document["options"], document_type=document["kind"], document_key=document["number"], commitment="order")
    if document["used"]:
        options["used"] = {code: {name: decimal(all_of_it - own) for name, all_of_it, own in zip(("quantity", "amount"), used[code], mine)} for code, mine in document["used"].items()}
    return {"customer": document["customer"], "at": document["at"] if at is None else at, "phase": None, "options": options,
            "lines": [{k: line[k] for k in ("item", "quantity", "unit", "site") if k in line} for line in lines]}


def outcome_of(old, new):
    """In which direction a line goes; None where its price stays."""
    if old["outcome"] != new["outcome"]:
        return "lost" if new["outcome"] == "no_price" else "gained"
    if old["outcome"] == "no_price":
        return None
    before, after = ((row["unit_price"] / row["price_per"], row["net_amount"]) for row in (old, new))
    return None if before == after else "raised" if after > before else "lowered"


# other tests of the database have open orders of their own
OTHERS_AWAY = "SET LOCAL session_replication_role = replica;\nDELETE FROM dist.order_line;\nDELETE FROM dist.sales_order;\nSET LOCAL session_replication_role = origin;\n"


class Impact(PricesTest):
    seed = SEED

    def test_impact_is_pricing_twice(self):
        seen, number = Counter(), 0
        while seen["lines"] < CASES and (not ONLY or number == 0):
            self.policy_of(int(ONLY or number))
            self.one_world(int(ONLY or number), seen)
            number += 1
        print(dict(seen), flush=True)
        # a test whose drafts never change a price would say nothing
        self.assertGreater(seen["lowered"] + seen["raised"] + seen["lost"] + seen["gained"], seen["lines"] / 200)

    def one_world(self, number, seen):
        case = Case(f"{SEED}-{number}", next(self.names))
        world = read(case.phases, case.used)
        questions = Questions(case, world)
        documents, drafts = Documents(case, world, questions), Drafts(case)
        loaded = Loaded(case.phases, case.used, case.names, [questions.one(1)])
        try:
            for scenario in range(SCENARIOS):
                found = {(d["options"]["company"], d["kind"], d["number"]): d for d in (documents.one() for _ in range(DOCUMENTS))}
                self.one_scenario(f"SEED={SEED} WORLD={number} scenario {scenario}", drafts.one()[0], list(found.values()), documents.rng.choice((None, questions.instant())), world, seen)
        finally:
            loaded.forget()

    def one_scenario(self, name, draft, documents, at, world, seen):
        options = {"at_document_date": True} if at is None else {"at": text_of(at)}
        asked = [(d, q) for d in documents for q in [question_of(d, at, world.commitments)] if q["lines"]]
        script = f"\\echo @@draft\nSELECT outcome FROM distsync.apply_all('agreement', {literal([draft])}, '{SOURCE}');\nBEGIN;\n\\echo @@others\n{OTHERS_AWAY}\\echo @@insert\n{insert_sql(documents)}"
        for n, (_, question) in enumerate(asked):
            script += f"\\echo @@old {n}\n{prices_sql(question)}\\echo @@new {n}\n{prices_sql(dict(question, options=dict(question['options'], drafts=[draft['code']])))}"
        for part, more in (("impact", {}), ("everything", {"unchanged": True})):
            script += f"\\echo @@{part}\nSELECT to_jsonb(i) FROM distsync.price_impact({literal(draft['code'])}, {literal(dict(options, **more))}) i;\n"
        script += f"\\echo @@summary\nSELECT to_jsonb(s) FROM distsync.price_impact_summary({literal(draft['code'])}, {literal(options)}) s;\nROLLBACK;\n"
        script += f"\\echo @@gone\nSELECT outcome FROM distsync.apply_all('agreement', {literal([{'code': draft['code'], 'status': 'inactive'}] if '-D' in draft['code'] else [])}, '{SOURCE}');\n"
        out = psql(script)
        if out["draft"] != ["applied"]:
            seen["refused"] += 1
            return
        self.assertEqual(out["insert"], [], name)
        self.assertEqual([line for lines in out.values() for line in lines if line.startswith("ERROR")], [], f"{name} {json.dumps(draft)}")
        expected, all_of_them = {}, {}
        for n, (document, question) in enumerate(asked):
            sides = [[exact(line) for line in out[f"{side} {n}"]] for side in ("old", "new")]
            for line, old, new in zip(Documents.counted(document), *sides):
                key = (document["options"]["company"], document["kind"], document["number"], line["line"])
                if Documents.still_open(line):
                    seen["lines"] += 1
                    outcome = outcome_of(old, new)
                    all_of_them[key] = self.row(line, old, new, outcome or ("locked" if new["code"] == "locked" else "unchanged"), world)
                    if outcome:
                        seen[outcome] += 1
                        expected[key] = all_of_them[key]
        for part, wanted in (("impact", expected), ("everything", all_of_them)):
            told = [exact(line) for line in out[part]]
            found = {key_of(row): {k: row[k] for k in wanted.get(key_of(row), row)} for row in told}
            if found != wanted or len(found) != len(told):
                wrong = [(k, wanted.get(k), found.get(k)) for k in {*wanted, *found} if wanted.get(k) != found.get(k)]
                raise Difference(f"{name}: {part}, {len(wrong)} lines differ, among them (key, brute force, impact)\n" + "\n".join(map(str, wrong[:3]))
                                 + f"\ndraft {json.dumps(draft)}\nat {at and instant_sql(at)} {options}")
        self.summary(name, [exact(line) for line in out["impact"]], [exact(line) for line in out["summary"]])

    @staticmethod
    def row(line, old, new, outcome, world):
        """The row of a line."""
        delta = None
        if old["outcome"] == new["outcome"] == "priced":
            delta = round_minor((new["net_amount"] - old["net_amount"]) * Documents.still_open(line) / line["base"], world.currencies[new["currency"]])
        row = {"item": line["item"], "quantity": Fraction(line["quantity"]), "unit": line["unit"], "currency": new["currency"], "outcome": outcome, "code": new["code"], "delta": delta}
        for side, answer in (("old", old), ("new", new)):
            priced = answer["outcome"] == "priced"
            row.update({f"{side}_unit_price": answer["unit_price"], f"{side}_price_per": answer["price_per"] if priced else None, f"{side}_net_amount": answer["net_amount"]})
        return row

    def summary(self, name, rows, told):
        """The summary is the rows added up."""
        sums = {}
        for row in rows:
            one = sums.setdefault((row["customer"], row["currency"], row["detail"]["old_agreement"]), Counter(documents=set()))
            one["documents"] |= {(row["company"], row["document_kind"], row["document"])}
            one["lines"] += 1
            one[row["outcome"]] += 1
            one["delta"] += row["delta"] or 0
            one["at_risk"] -= min(row["delta"] or 0, 0)
        wanted = {key: [len(one["documents"])] + [one[f] for f in ("lines", "raised", "lowered", "lost", "gained", "delta", "at_risk")] for key, one in sums.items()}
        self.assertEqual({(s["customer"], s["currency"], s["replaces"]): [s[f] for f in ("documents", "lines", "raised", "lowered", "lost", "gained", "delta", "at_risk")] for s in told}, wanted, name)


def key_of(row):
    return row["company"], row["document_kind"], row["document"], row["line"]


if __name__ == "__main__":
    unittest.main()
