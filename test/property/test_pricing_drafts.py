"""What-if is publish, then ask: random worlds, random drafts, each asked with option drafts and again after publish() in a transaction that is rolled back.

SEED=n repeats a run, CASES=n asks so many lines, WORLD=n one world only.
"""
from collections import Counter
import json
import random
import unittest

from pricing_cases import Case
from pricing_database import SOURCE, Difference, Loaded, exact, literal, price_sql, prices_sql, psql, single
from pricing_drafts import Drafts
from pricing_questions import Questions
from pricing_test import PricesTest, count, seed, worlds
from pricing_world import read

SEED = seed(14)
CASES = count("CASES", 3000)
SCENARIOS = 5       # of a world
LINES = 40          # asked in each
EXPLAINED = 4       # of them also alone, with their steps


def told(line):
    """An answer without the instant that it was known at and the proof, which names it; losers in any order."""
    if line.startswith(("ERROR", "DETAIL", "HINT", "LOCATION")):
        return line
    row = exact(line)
    row.pop("known_at", None)
    row.pop("proof", None)
    losers = (row.get("detail") or {}).get("losers")
    if losers:
        losers.sort(key=str)
    return row


class Drafted(PricesTest):
    seed = SEED

    def test_what_if_is_publish_then_ask(self):
        seen = Counter()
        for number in worlds(CASES // (SCENARIOS * LINES)):
            self.policy_of(number)
            self.one_world(number, seen)
        print(dict(seen), flush=True)
        # a test whose drafts never change a price would say nothing
        self.assertGreater(seen["changed"], seen["lines"] / 50)

    def one_world(self, number, seen):
        case = Case(f"{SEED}-{number}", next(self.names))
        world, drafts = read(case.phases, case.used), Drafts(case)
        questions = Questions(case, world)
        loaded = Loaded(case.phases, case.used, case.names, [questions.one(1)])
        try:
            for scenario in range(SCENARIOS):
                documents = drafts.one()
                asked = [dict(q, phase=None) for q in questions.many(LINES)]
                self.one_scenario(f"SEED={SEED} WORLD={number} scenario {scenario}", documents, asked, seen)
        finally:
            loaded.forget()

    def one_scenario(self, name, documents, questions, seen):
        codes = [d["code"] for d in documents]
        alone = [one for q in questions[:EXPLAINED] for one in [single(q, 0)] if one]
        ask = [prices_sql(q) for q in questions] + [price_sql(one, "explain_price") for one in alone]
        what_if = [prices_sql(with_drafts(q, codes)) for q in questions] + [price_sql(with_drafts(one, codes), "explain_price") for one in alone]
        script = f"\\echo @@draft\nSELECT outcome FROM distsync.apply_all('agreement', {literal(documents)}, '{SOURCE}');\n"
        for part, statements in (("before", ask), ("drafts", what_if)):
            script += "".join(f"\\echo @@{part} {n}\n{sql}" for n, sql in enumerate(statements))
        script += "BEGIN;\n\\echo @@publish\n" + "".join(f"SELECT version_no FROM distsync.publish({literal(code)}, '{{\"supersede\": true}}');\n" for code in codes)
        script += "".join(f"\\echo @@published {n}\n{sql}" for n, sql in enumerate(ask)) + "ROLLBACK;\n"
        script += f"\\echo @@gone\nSELECT outcome FROM distsync.apply_all('agreement', {literal([{'code': c, 'status': 'inactive'} for c in codes if '-D' in c])}, '{SOURCE}');\n"
        out = psql(script)
        if set(out["draft"]) != {"applied"}:
            # a circle with what another draft starts from: publish() would not take it either
            seen["refused"] += 1
            return
        self.assertEqual([line for line in out["publish"] if not line.isdigit()], [], f"{name} {json.dumps(documents)}")
        for n in range(len(ask)):
            before, drafted, published = ([told(line) for line in out[f"{part} {n}"]] for part in ("before", "drafts", "published"))
            seen["lines"] += len(drafted)
            seen["changed"] += sum(core(a) != core(b) for a, b in zip(before, drafted))
            if drafted != published:
                raise Difference(f"{name}: {what_if[n]}\nwith drafts {drafted}\npublished {published}\ndrafts {json.dumps(documents)}")


def core(row):
    return [row.get(f) for f in ("outcome", "unit_price", "price_per", "net_amount")] if isinstance(row, dict) else row


def with_drafts(question, codes):
    return dict(question, options=dict(question["options"], drafts=codes))


if __name__ == "__main__":
    unittest.main()
