"""The pricing engine against the oracle: random worlds, loaded through the write door, asked near every boundary.

SEED=n asks in other worlds (make soak takes new ones each time), CASES=n asks that many lines (10,000 if not said), WORLD=n one world only,
DIFFERENCES=n goes on until so many worlds differ, SHRINK=0 tells a difference as it is, SKIP=valid_until,losers leaves fields out. A difference is told with its world, question,
both answers and the few agreements it needs.
"""
from collections import Counter
from fractions import Fraction
import json
import os
import random
import unittest

from pricing_cases import Case, policies
from pricing_database import SOURCE, Difference, Loaded, bare, exact, literal, price_sql, prices_sql, sheet_sql, psql, renamed, single
from pricing_oracle import prices
from pricing_questions import Questions, asked
from pricing_test import PricesTest, count, seed, worlds
from pricing_world import read, text_of

SEED = seed(22)
CASES = count("CASES", 10000)
ENOUGH = int(os.environ.get("DIFFERENCES") or 1)
LINES = 500         # of a world
SHEETS = 3          # sheets of a world that are compared with single prices
EXPLAINED = 25      # lines of a world that are also asked one by one, with their steps
SKIP = os.environ.get("SKIP", "").split(",")
FIELDS = [f for f in ("outcome", "code", "unit_price", "price_per", "net_amount", "currency", "agreement", "valid_until") if f not in SKIP]
STEPS = ("list", "book", "contract", "promotion", "adjustment")


def differs(row, one, stamps):
    """The fields of a row that are not what the oracle says."""
    said = dict(row, valid_until=stamps.told(row.get("valid_until")))
    wrong = [f for f in FIELDS if said.get(f) != one[f]]
    if one["outcome"] == "no_price" and one["losers"] and one["code"] != "ambiguous" and "near_misses" not in SKIP and not (row.get("detail") or {}).get("near_misses"):
        wrong.append("near_misses")
    return wrong


def unequal_steps(row, one, world):
    """What explain says otherwise than the oracle: the steps, and who lost for which reason."""
    detail, order = row.get("detail") or {}, {v.agreement for v in world.versions if v.slot == "order"}
    said = [s for s in detail.get("steps") or () if s.get("slot") in STEPS]
    wanted = one["steps"]
    found = []
    same = [[(s["slot"], s["agreement"], s.get("version"), s.get("line")) for s in steps] for steps in (said, wanted)]
    if "steps" not in SKIP and (same[0] != same[1] or any(abs(Fraction(a["after"]) - b["after"]) > Fraction(1, 10**6) for a, b in zip(said, wanted))):
        found.append(f"steps differ: engine {plain(said)}\n  oracle {plain(wanted)}")
    lost = Counter((x["agreement"], x.get("version"), x["line"], x["reason"]) for x in detail.get("losers") or () if x["agreement"] not in order)
    expected = Counter(x for x in one["losers"] if x[0] not in order)
    if "losers" not in SKIP and lost != expected:
        found.append(f"losers differ: engine only {sorted(lost - expected, key=str)}\n  oracle only {sorted(expected - lost, key=str)}")
    return found


def short(value):
    """A document without what is nothing."""
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items() if v is not None}
    return [short(v) for v in value] if isinstance(value, list) else value


def plain(value):
    """Something to read: exact numbers as decimals where they are."""
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):.10g} ({value})"
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def core(row, fields=("outcome", "code", "unit_price", "price_per", "net_amount", "currency", "agreement", "valid_until", "item", "quantity", "unit")):
    return {f: row.get(f) for f in fields} if isinstance(row, dict) else row


def bought(row):
    return core(row, ("outcome", "unit_price", "price_per", "net_amount", "currency", "agreement"))


class Pricing(PricesTest):
    seed = SEED

    # --- the engine is the oracle

    def test_engine_is_the_oracle(self):
        numbers = worlds(CASES // LINES)
        asked_before, codes, told = [], Counter(), []
        for place, policy in enumerate(self.policies):
            mine = [number for number in numbers if number % len(self.policies) == place]
            if mine:
                self.publish(policy)
            for number in mine:
                try:
                    asked_before.append(self.one_world(number, policy, codes))
                except Difference as difference:
                    told.append(f"SEED={SEED} WORLD={number}\n{difference}")
                if len(told) >= ENOUGH:
                    self.fail("\n\n".join(told))
        self.assertEqual(told, [])
        print(dict(codes.most_common()), flush=True)
        self.later_writes_change_nothing(asked_before)

    def one_world(self, number, policy, codes):
        """Loads a world, asks, compares. Returns what is asked again when everything has changed."""
        case = Case(f"{SEED}-{number}", next(self.names))
        questions = Questions(case, read(case.phases, case.used)).many(LINES)
        rng, extra = random.Random(f"explain {SEED}-{number}"), []
        alone = [(n, place, one) for n, q in enumerate(questions) for place in range(len(q["lines"])) for one in [single(q, place)] if one]
        alone = rng.sample(alone, min(EXPLAINED, len(alone)))
        for n, place, one in alone:
            extra += [(f"price {n} {place}", price_sql(one)), (f"explain {n} {place}", price_sql(one, "explain_price"))]
        sheets = rng.sample(alone, min(SHEETS, len(alone)))
        extra += [(f"sheet {n} {place}", sheet_sql(one, case.names.prefix)) for n, place, one in sheets]
        untouched = questions[:20] if number % 4 == 0 else []
        loaded = Loaded(case.phases, case.used, case.names, questions, extra + (inapplicable(case, untouched) if untouched else []))
        try:
            for n, question in enumerate(questions):
                self.compare(case, policy, question, loaded, loaded.rows(n))
                codes.update(row["code"] for row in loaded.rows(n))
            for n, place, one in alone:
                for name in ("price", "explain"):
                    self.compare(case, policy, one, loaded, loaded.rows(f"{name} {n} {place}"), name)
                if not case.wide:
                    self.assertEqual(core(loaded.rows(f"price {n} {place}")[0]), core(loaded.rows(n)[place]), f"bulk is not single: WORLD={number} {questions[n]}")
            for n, place, one in sheets:
                said = loaded.parts[f"sheet {n} {place}"]
                self.assertEqual([line for line in said if not line.startswith("rows|")], [], f"the sheet is not what price() says: WORLD={number} {one}")
                codes["on a sheet"] += int(said[-1].split("|")[1])
            for n, question in enumerate(untouched):
                self.assertEqual(*[[bought(row) for row in loaded.rows(name)] for name in (f"again {n}", n)], f"inapplicable rates changed something: WORLD={number} {question}")
        finally:
            loaded.forget()
        if number % 8 == 0:
            self.same_when_shuffled(case, questions, loaded, rng)
        return number, loaded, questions[:6]

    def compare(self, case, policy, question, loaded, rows, asking="prices"):
        """One question: the engine's rows and the oracle's answers; a difference is made small and told."""
        answers = prices(loaded.world, policy, asked(question))
        alike = len(rows) == len(answers) and all(isinstance(row, dict) and not differs(row, one, loaded.stamps) for row, one in zip(rows, answers))
        if not alike or asking == "explain" and unequal_steps(rows[0], answers[0], loaded.world):
            loaded.forget()
            raise Difference(self.shrunk(case, policy, question, asking))

    def shrunk(self, case, policy, question, asking):
        """Leaves out lines and agreements as long as there is a difference, and tells it."""
        phases = case.phases
        told = self.attempt(case, policy, phases, question, asking)
        if told is None:
            return f"a difference that does not come again alone, {asking}: {json.dumps(question)}"
        if os.environ.get("SHRINK") != "0":
            for line in question["lines"] if len(question["lines"]) > 1 else ():
                again = self.attempt(case, policy, phases, dict(question, lines=[line]), asking)
                if again:
                    told, question = again, dict(question, lines=[line])
                    break
            for code in sorted(case.heads, reverse=True):
                fewer = case.without(code, phases)
                again = fewer and self.attempt(case, policy, fewer, question, asking)
                if again:
                    told, phases = again, fewer
        items = {line["item"] for line in question["lines"]}
        named = {(t.kind, t.what) for t in read(phases).targets if t.item in items}
        left = [dict(d, rates=[r for r in d.get("rates", ()) if (r["what_kind"], r["what"] or "") in named])
                for phase in phases for entity, many in phase if entity == "agreement" for d in many]
        return "\n".join([told, "policy " + json.dumps(policy), "agreements, as generated, with the rates that name the items:"] + [json.dumps(short(d)) for d in left])

    def attempt(self, case, policy, phases, question, asking):
        """Asks one question of a reduced world under new names; None where both agree, else both answers."""
        names = next(self.names)
        question = renamed(question, case.names, names)
        phases = renamed(phases, case.names, names)
        codes = {d["code"] for phase in phases for entity, many in phase if entity == "agreement" for d in many}
        used = {code: value for code, value in ((names.prefix + c[len(case.names.prefix):], v) for c, v in case.used.items()) if code in codes}
        extra = [] if asking == "prices" else [("one", price_sql(question, "explain_price" if asking == "explain" else "price"))]
        try:
            loaded = Loaded(phases, used, names, [question], extra)
        except Difference:
            return None
        loaded.forget()
        rows, answers, found = loaded.rows("one" if extra else 0), prices(loaded.world, policy, asked(question)), []
        if len(rows) != len(answers) or not all(isinstance(row, dict) for row in rows):
            found, rows = ["engine: " + " ".join(map(str, rows))], []
        for n, (row, one) in enumerate(zip(rows, answers)):
            fields, steps = differs(row, one, loaded.stamps), unequal_steps(row, one, loaded.world) if asking == "explain" else []
            if fields or steps:
                found += [f"line {n + 1} differs in {fields}", f"  engine {plain(core(row, FIELDS))}", f"  oracle {plain(core(dict(one, valid_until=text_of(one['valid_until'])), FIELDS))}",
                          f"  oracle's steps {plain(one['steps'])}", f"  oracle's losers {one['losers']}", f"  engine's detail {plain(row.get('detail'))}"] + steps
        text = "\n".join([f"{asking}: {json.dumps(question)} at {text_of(question['at'])}"] + found).replace(names.prefix, case.names.prefix)
        for kind, code in names.currencies.items():
            text = text.replace(code, case.names.currencies[kind])
        return text if found else None

    # --- invariants that need no oracle

    def same_when_shuffled(self, case, questions, loaded, rng):
        """The same world, told in another order, under other ids: the same answers."""
        names = next(self.names)
        used = {names.prefix + code[len(case.names.prefix):]: value for code, value in case.used.items()}
        other = Loaded(renamed(case.shuffled(rng), case.names, names), used, names, renamed(questions, case.names, names))
        other.forget()
        for n, question in enumerate(questions):
            rows = [[bare(core(dict(row, valid_until=one.stamps.told(row["valid_until"]))), one.names) for row in one.rows(n)] for one in (loaded, other)]
            self.assertEqual(*rows, f"shuffled: {question}")

    def later_writes_change_nothing(self, asked_before):
        """With known_at fixed: agreements are withdrawn, other policies published, and every answer is what it was."""
        script = []
        for number, loaded, questions in asked_before:
            for n, question in enumerate(questions):
                stamp = loaded.parts[f"k{len(loaded.phases) - 1 if question['phase'] is None else question['phase']}"][0]
                script.append(f"\\echo @@{number} {n}\n" + prices_sql(dict(question, phase=None, options=dict(question["options"], known_at=stamp))))
        parts = psql("".join(script))
        for number, loaded, questions in asked_before:
            for n, question in enumerate(questions):
                self.assertEqual([core(exact(line)) for line in parts[f"{number} {n}"]], [core(row) for row in loaded.rows(n)], f"SEED={SEED} WORLD={number} {question}")


def inapplicable(case, questions):
    """Rates that nobody asks for: another channel, a stranger, a condition never met; and the same questions again after them."""
    n, more = case.names, []
    for slot in ("list", "book", "contract", "promotion", "adjustment", "guard"):
        head = {"slot": slot, "currency": case.money[0], "publish": True, "combine": "exclusive", "priority": 9}
        rate = {"what_kind": "all", "value": "0.01", "floor_price": "999"}
        more += [dict(head, code=n(f"N1{slot}"), assignments=[{"who_kind": "channel", "who": n("NEVER")}], rates=[rate]),
                 dict(head, code=n(f"N2{slot}"), assignments=[], rates=[dict(rate, customer=n("STRANGER"))]),
                 dict(head, code=n(f"N3{slot}"), assignments=[{"who_kind": "all"}], rates=[dict(rate, condition={"never": True})])]
    documents = [("channel", [{"code": n("NEVER")}]), ("party", [{"code": n("STRANGER"), "name": "stranger"}]), ("agreement", more)]
    gone = [("agreement", [{"code": d["code"], "status": "inactive"} for d in more])]
    load = [[(f"load more {entity}", f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(many)}, '{SOURCE}') WHERE outcome NOT IN ('applied', 'unchanged');\n")
             for entity, many in part] for part in (documents, gone)]
    return load[0] + [(f"again {number}", prices_sql(question)) for number, question in enumerate(questions)] + load[1]


if __name__ == "__main__":
    unittest.main()
