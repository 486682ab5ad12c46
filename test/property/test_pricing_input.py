"""Nonsense for everything of prices that takes JSON: options, lines, policies, agreements, locks, suppositions.

Whatever comes in, the answer is rows or an error of ours that names its field and has a hint: never one of the server, never a crash; and a good question is answered afterwards as before.
SEED=n repeats a run, CASES=n asks that many times (1,500 if not said).
"""
import json
import random
import re
import unittest

from pricing_database import SOURCE, literal, psql
from pricing_test import PricesTest, count, seed

SEED = seed()
CASES = count("CASES", 1500)
AT_ONCE = 100
OURS = re.compile(r"^ERROR:  SD\d\d\d: ")
WORDS = ("", "x", "all", "item", "list", "USD", "EA", "net", "override", "best", "2031-01-01", "2031-01-01T00:00:00Z", "infinity", "-infinity", "NaN", "1e400", "0.1", "-1", "\u00e4\u20ac", "a" * 300,
         "%s", "'; SELECT 1", "\\u0000", "\n", "a" + "\u00e4" * 60, "\U0001f600" * 21, "\u0001EA\u00011\u00011\u0001-1\u00010", "item_id", "used", "drafts", "quantity")
NUMBERS = ("0", "-0", "1", "-1", "1.5", "1e3", "1e-30", "1e300", "99999999999999999999999999", "0.00000000000000000001", "2147483648", "-9223372036854775809")


class Number(str):
    """A number that keeps the digits it was written with."""


class Twice(dict):
    """An object that says its first member twice, the first time something else."""


def text(value):
    """JSON text; Number has no quotes."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = [json.dumps(k) + ": " + text(v) for k, v in value.items()]
        first = [json.dumps(k) + ": []" for k in value][:1] if isinstance(value, Twice) else []
        return "{" + ", ".join(first + members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return json.dumps(value)


class Nonsense:
    """Random JSON, and good JSON that something happened to."""

    def __init__(self, rng):
        self.rng = rng

    def value(self, depth=0):
        kind = self.rng.random()
        if depth == 0 and kind < 0.03:
            return self.deep()
        if depth > 3 or kind < 0.6:
            return self.rng.choice((None, True, False, self.rng.choice(WORDS), self.rng.choice(WORDS), Number(self.rng.choice(NUMBERS)), [], {}))
        if kind < 0.8:
            return [self.value(depth + 1) for _ in range(self.rng.choice((0, 1, 2, 5)))]
        return {self.rng.choice(WORDS): self.value(depth + 1) for _ in range(self.rng.choice((0, 1, 2, 5)))}

    def deep(self):
        """Arrays or objects within each other."""
        value = self.value(4)
        for _ in range(self.rng.choice((10, 50, 200))):
            value = {"a": value} if self.rng.random() < 0.5 else [value]
        return value

    def places(self, value, path=()):
        yield path
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
            yield from self.places(inner, path + (key,))

    def changed(self, value):
        """Good JSON with a few of its parts replaced, taken away, added or doubled."""
        for _ in range(self.rng.choice((0, 1, 1, 2, 4))):
            value = json.loads(text(value), parse_float=Number, parse_int=Number)
            path = self.rng.choice(list(self.places(value)))
            if not path:
                value = self.value() if self.rng.random() < 0.1 else value
                continue
            inside, what = value, self.rng.random()
            for key in path[:-1]:
                inside = inside[key]
            if what < 0.15 and isinstance(inside, dict):
                del inside[path[-1]]
            elif what < 0.25 and isinstance(inside, dict):
                inside[self.rng.choice(WORDS)] = self.value()
            elif what < 0.35 and isinstance(inside, list):
                inside.append(inside[path[-1]])
            elif what < 0.4:
                inside[path[-1]] = Twice(inside[path[-1]]) if isinstance(inside[path[-1]], dict) else self.value()
            else:
                inside[path[-1]] = self.value()
        return value


class Input(PricesTest):
    seed = SEED

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = next(cls.names)
        n, money = cls.names, cls.names.currencies["U"]
        cls.agreement = {"code": n("A"), "slot": "contract", "currency": money, "tz": "Asia/Kolkata", "priority": 1, "combine": "override", "tier_measure": "quantity", "tier_basis": "period",
                         "valid_from": "2020-01-01", "commit_quantity": "100", "commit_amount": "1000", "cap_behavior": "warn", "tax_included": True,
                         "assignments": [{"who_kind": "customer", "who": n("C"), "rank": 5}],
                         "rates": [{"line": "1", "customer": n("C"), "what": n("I"), "unit": "EA", "min_quantity": "5", "value": "9.99", "floor_price": "1", "condition": {"a": 1}},
                                   {"line": "2", "what_kind": "all", "calc": "percent_off", "value": "5", "price_per": 100, "min_margin": "0.1", "valid_to": "2030-01-01"}]}
        cls.lock = {"customer": n("C"), "document_type": "quote", "document_key": "Q", "item": n("I"), "unit": "EA", "min_quantity": "1", "max_quantity": "9", "unit_price": "3", "currency": money,
                    "price_per": 1, "valid_from": "2020-01-01", "valid_to": "2030-01-01", "reason": "r", "approved_by": "a"}
        cls.options = {"currency": money, "company": n("O"), "channel": n("H"), "site": n("S"), "ship_to": n("C"), "job": n("C"), "context": {"a": 1}, "document_type": "quote", "document_key": "Q",
                       "known_at": "2031-01-01T00:00:00Z", "requested_ship": "2031-01-01T00:00:00Z", "tax_rates": {"T": 20}, "without": ["promotion"], "source": SOURCE,
                       "commitment": "order", "used": {n("A"): {"quantity": "5", "amount": 7.5}}, "depth": "internal"}
        cls.suppose = {"exchange": "none", "scale": 2, "mode": "up", "each_step": True, "times": "12", "over": 100, "twice": "contract", "compound": False}
        cls.asked = {k: v for k, v in cls.options.items() if k != "depth"}
        cls.drafting = {k: v for k, v in cls.asked.items() if k != "known_at"}
        cls.lines = [{"item": n("I"), "quantity": "3", "unit": "EA", "site": n("S"), "weight": "1.5"}, {"item": n("I"), "quantity": 2, "return": True}]
        cls.policy = {"name": "p", "slots": [{"slot": "list", "combine": "override"}, {"slot": "book", "combine": "override", "pick": "best", "blocking": True}, {"slot": "promotion", "combine": "if_lower"}],
                      "who": ["customer", "all"], "what": ["item", "all"], "order": ["who", "what"], "tie": "error", "below_tier": "lowest",
                      "rounding": {"scale": 2, "mode": "up", "multiple": "0.05", "ending": "0.02"}}
        for entity, documents in (("currency", [{"currency": money}]), ("unit", [{"unit": "EA"}]), ("company", [{"code": n("O"), "name": "o", "currency": money}]), ("site", [{"code": n("S"), "company": n("O")}]),
                                  ("channel", [{"code": n("H")}]), ("party", [{"code": n("C"), "name": "c"}]), ("item", [{"sku": n("I"), "base_unit": "EA", "tax_class": "T", "weight": "2"}]),
                                  ("agreement", [cls.agreement]), ("price_lock", [cls.lock])):
            lines = psql(f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(documents)}, '{SOURCE}');\n")[""]
            assert not set(lines) - {"applied", "unchanged"}, (entity, lines)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        psql(f"SELECT distsync.apply('agreement', {literal({'code': cls.names('A'), 'status': 'inactive'})}, '{SOURCE}');\n")

    def statements(self, rng):
        bad, n = Nonsense(rng), self.names
        good = {"options": self.options, "lines": self.lines, "policy": self.policy, "agreement": self.agreement, "price_lock": self.lock, "suppose": self.suppose, "drafts": self.options}
        for _ in range(CASES):
            what = rng.choice(sorted(good))
            explain = rng.random() < 0.5
            good["options"] = self.options if explain else self.asked
            said = literal(text(bad.changed(good[what])))
            if what == "options":
                verb = "SELECT distsync.explain_price" if explain else "SELECT outcome FROM distsync.price"
                yield f"{verb}('{n('C')}', '{n('I')}', 7, options => {said})"
            elif what == "drafts":
                yield f"SELECT outcome FROM distsync.price('{n('C')}', '{n('I')}', options => {literal(self.drafting)} || jsonb_build_object('drafts', {literal(text(bad.changed([n('A'), {'agreement': n('A'), 'version': 1}])))}::jsonb))"
            elif what == "lines":
                yield f"SELECT outcome FROM distsync.prices('{n('C')}', {said}, options => {literal({'tax_rates': {'T': '7.5'}})})"
            elif what == "policy":
                yield f"SELECT distsync.publish_policy({said}) > 0; SELECT outcome FROM distsync.prices('{n('C')}', {literal(self.lines)}, options => {literal(self.asked)})"
            elif what == "suppose":
                yield (f"SELECT outcome FROM distsync_internal.pricing_suppose((SELECT party_id FROM dist.party WHERE code = '{n('C')}'), {literal(self.lines)}, statement_timestamp(), {literal(self.asked)}, {said})")
            else:
                yield f"SELECT outcome FROM distsync.apply('{what}', {said}, '{SOURCE}'); SELECT outcome FROM distsync.price('{n('C')}', '{n('I')}', 7)"

    def good(self):
        """A question that nothing is wrong with."""
        return (f"SELECT to_jsonb(p) - '{{known_at,as_of}}'::text[] FROM distsync.prices('{self.names('C')}', {literal(self.lines)}, '2031-01-01T00:00:00Z', "
                f"{literal(dict(self.asked, known_at=self.known))}) p ORDER BY p.ordinal;\n")

    def test_nonsense_is_refused_by_name(self):
        """Each statement stands in a transaction of its own that is rolled back."""
        many, told, wrong = list(self.statements(random.Random(f"input {SEED}"))), {"rows": 0, "errors": 0}, {}
        self.known = psql("SELECT to_jsonb(clock_timestamp()) #>> '{}';\n")[""][0]
        first = psql(self.good())[""]
        self.assertEqual([json.loads(line)["outcome"] for line in first], ["priced"] * len(self.lines))
        for start in range(0, len(many), AT_ONCE):
            part = many[start:start + AT_ONCE]
            out = psql("".join(f"\\echo @@{n}\nBEGIN;\n{statement};\nROLLBACK;\n" for n, statement in enumerate(part)) + "\\echo @@good\n" + self.good())
            for n, statement in enumerate(part):
                lines = out.get(str(n))
                self.assertIsNotNone(lines, f"SEED={SEED}: no answer to {statement}")
                # what follows the first error of a transaction says nothing
                errors = [line for line in lines if "ERROR" in line and "25P02" not in line]
                told["errors" if errors else "rows"] += 1
                if errors and not self.named(statement, errors, lines) or "server closed the connection" in "\n".join(lines):
                    wrong.setdefault(errors[0] if errors else "", f"{statement}\n" + "\n".join(lines[:12]))
            self.assertEqual(out.get("good"), first, f"SEED={SEED}: another answer after nonsense")
        print(told, flush=True)
        self.assertEqual(list(wrong.values()), [], f"SEED={SEED}")
        self.assertGreater(min(told.values()), 0)

    @staticmethod
    def named(statement, errors, lines):
        """An error is ours, names its field and says what to do; what nobody but the check of prices sends may be the server's about a value."""
        if "pricing_suppose" in statement and all(re.match("^ERROR:  22", line) for line in errors):
            return True
        return all(map(OURS.match, errors)) and any(line.startswith("HINT: ") for line in lines) and any(line.startswith("DETAIL: ") for line in lines)
