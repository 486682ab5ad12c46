"""check_price_peer.py: holds the peer against the oracle of the property tests, in random worlds of what it can decide.

PGDATABASE names a database that is set up and has nothing in it, price_peer.sql included. SEED=n repeats a run, WORLDS=n makes so many worlds of 300 lines.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "test", "property"))
from pricing_cases import Case
from pricing_database import SOURCE, Loaded, exact, instant_sql, literal, naming, psql
from pricing_oracle import prices
from pricing_questions import Questions, asked

FIELDS = ("outcome", "code", "unit_price", "price_per", "net_amount", "currency", "agreement", "valid_until")
PLAIN = {"tier_measure": "quantity", "tier_basis": "line", "tier_mode": "all_units", "tier_scope": "own", "price_date": "order", "fx_allowed": False, "tax_included": False,
         "commit_quantity": None, "commit_amount": None, "cap_behavior": "continue"}
CALCS = ("net", "percent_off", "amount_off")


def plain_rate(rate, slot):
    """A rate of the kinds that the peer knows."""
    rate = {name: value for name, value in rate.items() if name not in ("base", "min_margin", "value2", "free_item", "percent")}
    if rate["calc"] not in CALCS or slot == "list" and rate["calc"] != "net":
        rate.update(calc="net", value="0" if slot == "guard" else "9.75")
    if slot == "adjustment":
        rate["unit"] = None
    return rate


class PlainCase(Case):
    """A world of prices without what the peer does not know."""

    def __init__(self, seed, names):
        super().__init__(seed, names, wide=False)
        self.places = {code: place for place, code in enumerate(sorted(self.heads))}
        for phase in (self.first, self.later):
            phase[:] = [(entity, [d for d in map(getattr(self, "plain_" + entity, lambda d: d), many) if d]) for entity, many in phase]
        self.phases = [self.first, self.later]
        self.used = {}

    def plain_party(self, d):
        return dict(d, currency=d["currency"] or self.money[0]) if "currency" in d else d

    def plain_item(self, d):
        return dict(d, units=[{k: v for k, v in u.items() if k != "sell_multiple"} for u in d["units"]]) if "units" in d else d

    def plain_agreement(self, d):
        slot = self.heads[d["code"]]["slot"]
        if slot == "order":
            return None
        if "rates" not in d:
            return d
        d = dict(d, **PLAIN, rates=[plain_rate(r, slot) for r in d["rates"]])
        if d["rounding"] == self.names("STEP"):
            d["rounding"] = None
        if slot == "promotion" and d["combine"] in ("additive", "compound"):
            d["combine"] = "override"
        if slot == "adjustment":
            d["priority"] = self.places[d["code"]]
        return d


def peer_sql(question):
    """A question as price() of the peer takes it, or prices() where it has many lines."""
    line = question["lines"][0]
    if len(question["lines"]) > 1:
        return f"SELECT to_jsonb(p) FROM peer.prices({literal(question['customer'])}, {literal(question['lines'])}, {instant_sql(question['at'])}) p ORDER BY p.ordinal;\n"
    unit = literal(line["unit"]) if "unit" in line else "NULL"
    return f"SELECT to_jsonb(p) FROM peer.price({literal(question['customer'])}, {literal(line['item'])}, {line['quantity']}, {unit}, {instant_sql(question['at'])}) p;\n"


def questions_of(case, world):
    """300 lines, alone and together, about now, without options."""
    found = []
    for question in Questions(case, world).many(300):
        lines = [dict({k: v for k, v in line.items() if k in ("item", "unit")}, quantity=line["quantity"].lstrip("-")) for line in question["lines"]]
        found.append(dict(question, lines=lines, phase=None, options={}))
    return found


def check(seed, names, policy):
    """The lines of one world that the peer answers otherwise than the oracle."""
    from pricing_world import read
    case = PlainCase(seed, names)
    questions = questions_of(case, read(case.phases, {}))
    extra = [("refresh", "SELECT peer.refresh();\n")] + [(f"peer{n}", peer_sql(question)) for n, question in enumerate(questions)]
    loaded = Loaded(case.phases, {}, names, questions[:1], extra)
    wrong = lines = 0
    for n, question in enumerate(questions):
        rows = loaded.rows(f"peer{n}")
        wanted = prices(loaded.world, policy, asked(question))
        for place, one in enumerate(wanted):
            lines += 1
            row = rows[place] if place < len(rows) and isinstance(rows[place], dict) else None
            said = row and dict(row, valid_until=loaded.stamps.told(row.get("valid_until")))
            differs = [f for f in FIELDS if said is None or said.get(f) != one[f]]
            if differs:
                wrong += 1
                if wrong <= 3:
                    print(f"world {seed}: {question['customer']} {question['lines'][place]} at {question['at']}: {differs}\n  peer   {said and {f: str(said.get(f)) for f in FIELDS} or rows}\n"
                          f"  oracle {({f: str(one[f]) for f in FIELDS})}\n  steps  {one['steps']}\n  losers {one['losers'][:4]}")
    loaded.forget()
    return wrong, lines


def main():
    seed = int(os.environ.get("SEED") or random.randrange(10**9))
    print(f"SEED={seed}", flush=True)
    out = psql(f"SELECT distsync.add_system('{SOURCE}', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = '{SOURCE}');\n\\echo @@policy\nSELECT document FROM dist.price_policy ORDER BY policy_version DESC LIMIT 1;\n")
    policy, names = exact(out["policy"][0]), naming()
    wrong = lines = 0
    for n in range(int(os.environ.get("WORLDS") or 20)):
        found = check(seed + n, next(names), policy)
        wrong, lines = wrong + found[0], lines + found[1]
    print(f"{lines} lines, {wrong} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
