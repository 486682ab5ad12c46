"""Nonsense for everything of prices that takes JSON: options, lines, policies, agreements, locks.

Whatever comes in, the answer is rows or an error of ours with a hint: never one of the server, never a crash. SEED=n repeats a run, CASES=n asks that many times (1,500 if not said).
"""
import json
import os
import random
import re
import unittest

from pricing_database import SOURCE, literal, naming, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
CASES = int(os.environ.get("CASES") or 1500)
AT_ONCE = 100
OURS = re.compile(r"^ERROR:  SD\d\d\d: ")
WORDS = ("", "x", "all", "item", "list", "USD", "EA", "net", "override", "best", "2031-01-01", "2031-01-01T00:00:00Z", "infinity", "-infinity", "NaN", "1e400", "0.1", "-1", "\u00e4\u20ac", "a" * 300,
         "%s", "'; SELECT 1", "\\u0000", "\n")
NUMBERS = ("0", "-0", "1", "-1", "1.5", "1e3", "1e-30", "1e300", "99999999999999999999999999", "0.00000000000000000001", "2147483648", "-9223372036854775809")


class Number(str):
    """A number that keeps the digits it was written with."""


def text(value):
    """JSON text; Number has no quotes."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(json.dumps(k) + ": " + text(v) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return json.dumps(value)


class Nonsense:
    """Random JSON, and good JSON that something happened to."""

    def __init__(self, rng):
        self.rng = rng

    def value(self, depth=0):
        kind = self.rng.random()
        if depth > 3 or kind < 0.6:
            return self.rng.choice((None, True, False, self.rng.choice(WORDS), self.rng.choice(WORDS), Number(self.rng.choice(NUMBERS)), [], {}))
        if kind < 0.8:
            return [self.value(depth + 1) for _ in range(self.rng.choice((0, 1, 2, 5)))]
        return {self.rng.choice(WORDS): self.value(depth + 1) for _ in range(self.rng.choice((0, 1, 2, 5)))}

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
            else:
                inside[path[-1]] = self.value()
        return value


class Input(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        out = psql(f"SELECT distsync.add_system('{SOURCE}', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = '{SOURCE}');\n")
        assert not [line for part in out.values() for line in part if "ERROR" in line], out
        cls.names = next(naming())
        n, money = cls.names, cls.names.currencies["U"]
        cls.agreement = {"code": n("A"), "slot": "contract", "currency": money, "tz": "Asia/Kolkata", "priority": 1, "combine": "override", "tier_measure": "quantity", "valid_from": "2020-01-01",
                         "assignments": [{"who_kind": "customer", "who": n("C"), "rank": 5}],
                         "rates": [{"line": "1", "customer": n("C"), "what": n("I"), "unit": "EA", "min_quantity": "5", "value": "9.99", "floor_price": "1", "condition": {"a": 1}},
                                   {"line": "2", "what_kind": "all", "calc": "percent_off", "value": "5", "price_per": 100, "min_margin": "0.1", "valid_to": "2030-01-01"}]}
        cls.lock = {"customer": n("C"), "document_type": "quote", "document_key": "Q", "item": n("I"), "unit": "EA", "min_quantity": "1", "max_quantity": "9", "unit_price": "3", "currency": money,
                    "price_per": 1, "valid_from": "2020-01-01", "valid_to": "2030-01-01", "reason": "r", "approved_by": "a"}
        cls.options = {"currency": money, "company": n("O"), "channel": n("H"), "site": n("S"), "ship_to": n("C"), "job": n("C"), "context": {"a": 1}, "document_type": "quote", "document_key": "Q",
                       "known_at": "2031-01-01T00:00:00Z", "requested_ship": "2031-01-01T00:00:00Z", "tax_rates": {"T": 20}, "without": ["promotion"], "source": SOURCE}
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
        psql(f"SELECT distsync.apply('agreement', {literal({'code': cls.names('A'), 'status': 'inactive'})}, '{SOURCE}');\n")

    def statements(self, rng):
        bad, n = Nonsense(rng), self.names
        good = {"options": self.options, "lines": self.lines, "policy": self.policy, "agreement": self.agreement, "price_lock": self.lock}
        for _ in range(CASES):
            what = rng.choice(sorted(good))
            said = literal(text(bad.changed(good[what])))
            if what == "options":
                yield f"SELECT outcome FROM distsync.price('{n('C')}', '{n('I')}', options => {said})"
            elif what == "lines":
                yield f"SELECT outcome FROM distsync.prices('{n('C')}', {said})"
            elif what == "policy":
                yield f"SELECT distsync.publish_policy({said}) > 0; SELECT outcome FROM distsync.prices('{n('C')}', {literal(self.lines)}, options => {literal(self.options)})"
            else:
                yield f"SELECT outcome FROM distsync.apply('{what}', {said}, '{SOURCE}'); SELECT outcome FROM distsync.price('{n('C')}', '{n('I')}', 7)"

    def test_nonsense_is_refused_by_name(self):
        """Each statement stands in a transaction of its own that is rolled back."""
        many, told, wrong = list(self.statements(random.Random(f"input {SEED}"))), {"rows": 0, "errors": 0}, {}
        for start in range(0, len(many), AT_ONCE):
            part = many[start:start + AT_ONCE]
            out = psql("".join(f"\\echo @@{n}\nBEGIN;\n{statement};\nROLLBACK;\n" for n, statement in enumerate(part)))
            for n, statement in enumerate(part):
                lines = out.get(str(n))
                self.assertIsNotNone(lines, f"SEED={SEED}: no answer to {statement}")
                # what follows the first error of a transaction says nothing
                errors = [line for line in lines if "ERROR" in line and "25P02" not in line]
                told["errors" if errors else "rows"] += 1
                if errors and not (all(map(OURS.match, errors)) and any(line.startswith("HINT: ") for line in lines)) or "server closed the connection" in "\n".join(lines):
                    wrong.setdefault(errors[0] if errors else "", f"{statement}\n" + "\n".join(lines[:12]))
        print(told, flush=True)
        self.assertEqual(list(wrong.values()), [], f"SEED={SEED}")
        self.assertGreater(min(told.values()), 0)
