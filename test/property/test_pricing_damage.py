"""Damage in what the engine reads: pages of rates, filters and page sizes of rate sets, and policies of random worlds get other bytes, members or values, and prices are asked.

Whatever is damaged, the answer is rows or an error that says so (XX001, or one of ours): never a crash, never an error of what happens to stumble over it. What is damaged is rolled back, and a backend
that has not seen it answers as before. SEED=n repeats a run, CASES=n damages so often (300 if not said), WORLD=n one world only.
"""
from collections import Counter
import json
import random
import re
import unittest

from pricing_cases import Case
from pricing_database import QUIET, Loaded, literal, price_sql, prices_sql, psql, single
from pricing_questions import Questions
from pricing_test import PricesTest, count, seed, worlds
from pricing_world import read
from test_pricing_input import Nonsense, Number, text

SEED = seed()
CASES = count("CASES", 300)
OF_A_WORLD = 150
AT_ONCE = 25
ALLOWED = re.compile(r"^ERROR:  (XX001|SD\d\d\d): ")
WHERE = {"page": ("rate_page", "bytes", "version_id, customer_id, page"), "filter": ("rate_part", "filter", "version_id, customer_id")}


def damaged(rng, data, other):
    """Bytes to which something happened; other: bytes of the same kind."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place, what = rng.randrange(len(data) + 1), rng.random()
        if what < 0.6 and place < len(data):
            data[place] = rng.choice((data[place] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255, 128, (data[place] + 1) % 256))
        elif what < 0.7:
            del data[place:]
        elif what < 0.8:
            del data[place:place + rng.choice((1, 2, 8))]
        elif what < 0.9:
            data[place:place] = rng.randbytes(rng.choice((1, 2, 8, 300)))
        else:
            start = rng.randrange(len(other) + 1)
            data[place:place + 16] = other[start:start + 16]
    return bytes(data)


class Damage(PricesTest):
    seed = SEED

    def test_damage_is_told(self):
        told, wrong = Counter(), {}
        for number in worlds(CASES // OF_A_WORLD):
            policy = self.policy_of(number)
            case = Case(f"{SEED} damage {number}", next(self.names))
            questions = Questions(case, read(case.phases, case.used))
            asked = [dict(questions.one(size), phase=None) for size in (3, 10)]
            loaded = Loaded(case.phases, case.used, case.names, asked)
            try:
                self.one_world(random.Random(f"damage {SEED} {number}"), loaded, policy, asked, told, wrong)
            finally:
                loaded.forget()
        print(dict(told.most_common()), flush=True)
        self.assertEqual([f"{error}\n{what}" for error, what in wrong.items()], [], f"SEED={SEED}")
        # a filter that is none excludes nothing, and a page that is not found is not needed: neither is ever refused
        self.assertGreater(min(told[what] for what in ("page read", "page refused", "filter read", "shift read", "policy read", "policy refused")), 0)

    def kept(self, names):
        """The bytes that there are, by kind: [(key, bytes)]."""
        found = {}
        for kind, (table, column, key) in WHERE.items():
            lines = psql(f"SELECT json_build_array(json_build_array({key}), encode({column}, 'hex')) FROM dist.{table} JOIN dist.agreement_version USING (version_id) JOIN dist.agreement a "
                         f"ON a.agreement_id = agreement_version.agreement_id WHERE starts_with(a.code, {literal(names.prefix)}) ORDER BY a.code, version_no, 1::text;\n".replace("version_id, customer_id", f"{table}.version_id, {table}.customer_id"))[""]
            found[kind] = [(key, bytes.fromhex(data)) for key, data in map(json.loads, lines)]
            self.assertTrue(found[kind], kind)
        return found

    def statements(self, rng, kept, policy):
        for _ in range(OF_A_WORLD):
            kind = rng.choice(("page", "page", "page", "filter", "policy"))
            if kind == "policy":
                document = Nonsense(rng).changed(json.loads(json.dumps(policy), parse_int=Number))
                yield kind, f"UPDATE dist.price_policy SET document = {literal(text(document))} WHERE policy_version = (SELECT max(policy_version) FROM dist.price_policy)"
                continue
            table, column, key = WHERE[kind]
            place, data = rng.choice(kept[kind])
            if kind == "filter" and rng.random() < 0.2:
                yield "shift", f"UPDATE dist.rate_part SET page_shift = {rng.choice((0, 3, 8, 16, 17, 24, 31))} WHERE ({key}) = ({', '.join(map(str, place))})"
                continue
            data = damaged(rng, data, rng.choice(kept[kind])[1])
            yield kind, f"UPDATE dist.{table} SET {column} = '\\x{data.hex()}' WHERE ({key}) = ({', '.join(map(str, place))})"

    def one_world(self, rng, loaded, policy, asked, told, wrong):
        stamp = psql("SELECT to_jsonb(clock_timestamp()) #>> '{}';\n")[""][0]
        past = [dict(q, options=dict(q["options"], known_at=stamp)) for q in asked]
        alone = [one for q in asked for place in range(len(q["lines"])) for one in [single(q, place)] if one][:3]
        ask = [prices_sql(q) for q in asked + past] + [price_sql(q, "explain_price") for q in alone]
        good = "".join(map(prices_sql, past))
        before = psql(good)[""]
        many = list(self.statements(rng, self.kept(loaded.names), policy))
        for start in range(0, len(many), AT_ONCE):
            script = ""
            for n, (_, statement) in enumerate(many[start:start + AT_ONCE]):
                # each in a backend of its own: what one has kept is not read again
                script += f"\\c -\n{QUIET}\\echo @@{n}\nBEGIN;\nSET LOCAL session_replication_role = replica;\n{statement};\n"
                script += "".join(f"SAVEPOINT q;\n{sql}ROLLBACK TO q;\n" for sql in ask) + "ROLLBACK;\n"
            out = psql(script + f"\\c -\n{QUIET}\\echo @@good\n{good}")
            for n, (kind, statement) in enumerate(many[start:start + AT_ONCE]):
                self.assertIn(str(n), out, f"SEED={SEED}: no answer after {statement}")
                errors = [line for line in out[str(n)] if "ERROR" in line or "server closed the connection" in line]
                told[f"{kind} {'refused' if errors else 'read'}"] += 1
                for error in errors:
                    if not ALLOWED.match(error):
                        wrong.setdefault(error, statement)
            self.assertEqual(out.get("good"), before, f"SEED={SEED}: another answer after damage")


if __name__ == "__main__":
    unittest.main()
