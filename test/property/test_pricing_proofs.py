"""Proofs of prices: random worlds are asked and proved, then everything changes, and every proof still comes out to the same bytes.

SEED=n repeats a run, CASES=n proves in a world for each 1,250 of them (10,000 if not said).
"""
import hashlib
import json
import random
import unittest

from pricing_cases import Case
from pricing_database import SOURCE, exact, literal, load_script, prices_call, prices_sql, price_sql, psql, rounds, single
from pricing_questions import Questions
from pricing_test import PricesTest, count, seed
from pricing_world import instant, read

SEED = seed()
WORLDS = max(4, count("CASES", 10000) // 1250)
LINES = 120         # of a world
ALONE = 10          # lines of a world that are also explained
UNRELATED = 10000   # changes that concern nobody who was asked
SAID = ("outcome", "code", "unit_price", "price_per", "net_amount", "agreement", "valid_until")


def prove_sql(question):
    return f"SELECT p->>'proof', p->'document' FROM {prices_call(question).replace('distsync.prices', 'distsync.prove_prices', 1)} p;\n"


def apply_sql(name, entity, documents):
    return f"\\echo @@{name}\nSELECT outcome FROM distsync.apply_all('{entity}', {literal(documents)}, '{SOURCE}') WHERE outcome NOT IN ('applied', 'unchanged');\n"


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()


def leaves(value, path=()):
    """The paths of a document's single values."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in leaves(v, path + (k,))]
    if isinstance(value, list):
        return [p for k, v in enumerate(value) for p in leaves(v, path + (k,))]
    return [path]


def changed(document, path):
    """The document with another value at a path."""
    copy = json.loads(json.dumps(document))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = 987654 if isinstance(place[path[-1]], (int, float)) and not isinstance(place[path[-1]], bool) else "forged"
    return copy


class Proofs(PricesTest):
    seed = SEED

    def quiet(self, parts, start=""):
        """Nothing was refused and nothing failed in the parts of a session."""
        wrong = {name: lines[:3] for name, lines in parts.items() if name.startswith(start) and lines}
        self.assertEqual(wrong, {}, f"SEED={SEED}")

    def test_proofs_hold_whatever_comes_later(self):
        proofs = []
        for number in range(WORLDS):
            self.policy_of(number)
            proofs += self.one_world(number)
        print(f"{len(proofs)} proofs of {sum(len(json.loads(text)['lines']) for _, _, text in proofs)} lines", flush=True)
        self.change_much()
        self.verify(proofs)
        self.forge(proofs)

    def one_world(self, number):
        """Loads a world, proves its questions, corrects and withdraws it. Returns [(customer, proof, document)]."""
        case, rng = Case(f"{SEED}-{number}", next(self.names)), random.Random(f"proofs {SEED}-{number}")
        questions = [dict(q, phase=q["phase"] and 0) for q in Questions(case, read(case.phases, case.used)).many(LINES)]
        alone = [one for q in questions for place in range(len(q["lines"])) for one in [single(q, place)] if one]
        alone = rng.sample(alone, min(ALONE, len(alone)))
        script = [load_script([case.first], case.used, case.names, prices_call(dict(questions[0], phase=None)))]
        for n, question in enumerate(questions):
            script.append(f"\\echo @@prices {n}\n{prices_sql(question)}\\echo @@proof {n}\n{prove_sql(question)}")
        for n, question in enumerate(alone):
            script.append(f"\\echo @@alone {n}\n{price_sql(question, 'explain_price')}{prove_sql(question)}")
        for entity, many in case.later:
            script += [apply_sql(f"load later {entity}", entity, part) for part in rounds(entity, many)]
        script.append(apply_sql("load gone", "agreement", [{"code": code, "status": "inactive"} for code in sorted(case.heads)]))
        parts = psql("".join(script))
        self.quiet(parts, "load")
        found = []
        for n, question in enumerate(questions):
            proof, text = parts[f"proof {n}"][0].split("|", 1)
            self.assertEqual(hashed(text), proof, f"SEED={SEED} WORLD={number} {question}")
            self.says_the_answer([exact(line) for line in parts[f"prices {n}"]], exact(text), question)
            found.append((question["customer"], proof, text))
        for n, question in enumerate(alone):
            row, line = parts[f"alone {n}"]
            self.assertEqual(json.loads(row)["proof"], line.split("|", 1)[0], f"explain_price proves otherwise: SEED={SEED} WORLD={number} {question}")
        return found

    def says_the_answer(self, rows, document, question):
        """The lines of a document are the rows of prices()."""
        self.assertEqual(len(rows), len(document["lines"]))
        for row, line in zip(rows, document["lines"]):
            for field in SAID:
                said, answered = line.get(field), row[field]
                if field == "valid_until":
                    said, answered = said and instant(said), answered and instant(answered)
                elif row["outcome"] == "no_price" and field == "price_per":
                    continue
                self.assertEqual(said, answered, f"SEED={SEED} {field} of {question}")

    def change_much(self):
        """Changes that concern nobody who was asked, the policy of everybody, and what is used of volumes."""
        n = next(self.names)
        script = [apply_sql("load unrelated", "party", [{"code": n(f"X{i}"), "name": "unrelated"} for i in range(UNRELATED // 4)]),
                  apply_sql("load unrelated", "item", [{"sku": n(f"X{i}"), "base_unit": "EA"} for i in range(UNRELATED // 4)]),
                  apply_sql("load unrelated", "currency", [{"currency": n.currencies["U"], "minor_units": 2}]),
                  apply_sql("load unrelated", "agreement", [{"code": n(f"A{i}"), "slot": "contract", "currency": n.currencies["U"], "publish": True,
                                                             "rates": [{"customer": n(f"X{i}"), "what": n(f"X{j}"), "value": str(1 + j)} for j in range(UNRELATED // 200)]} for i in range(100)])]
        script.append("\\echo @@volumes\nUPDATE dist.commitment SET quantity = quantity + 7, amount = amount + 70;\n")
        script.append(f"\\echo @@policy\nSELECT distsync.publish_policy({literal(self.policies[3])}::jsonb) IS NULL;\n")
        parts = psql("".join(script))
        self.assertEqual(parts.pop("policy"), ["f"])
        self.quiet(parts)

    def verify(self, proofs):
        """Every proof comes out again, in another time zone too."""
        script = ["SET timezone = 'Asia/Kolkata';\nSET datestyle = 'German';\n"]
        script += [f"\\echo @@{n}\nSELECT distsync.verify_proof({literal(customer)}, '{proof}', {literal(text)});\n" for n, (customer, proof, text) in enumerate(proofs)]
        parts = psql("".join(script))
        for n, (_, proof, text) in enumerate(proofs):
            self.assertTrue(parts[str(n)][0].startswith("{"), f"SEED={SEED} {parts[str(n)]}\n{text}")
            told = json.loads(parts[str(n)][0])
            self.assertEqual((told["outcome"], told["proof_now"], told["differences"]), ("verified", proof, []), f"SEED={SEED} {text}")

    def forge(self, proofs):
        """A changed document is refused under its proof, and under a hash of its own it does not come out."""
        rng, forged = random.Random(f"forge {SEED}"), []
        for customer, proof, text in rng.sample(proofs, min(60, len(proofs))):
            document = json.loads(text)
            path = rng.choice([p for p in leaves(document) if p[0] in ("lines", "inputs", "policy")])
            forged.append((customer, proof, path, literal(changed(document, path))))
        script = []
        for n, (customer, proof, _, text) in enumerate(forged):
            script.append(f"\\echo @@{n}\nSELECT distsync.verify_proof({literal(customer)}, '{proof}', {text});\n"
                          f"SELECT distsync.verify_proof({literal(customer)}, encode(sha256(convert_to(({text}::jsonb)::text, 'UTF8')), 'hex'), {text});\n")
        parts = psql("".join(script))
        for n, (_, _, path, text) in enumerate(forged):
            said = parts[str(n)]
            told = json.loads(next(line for line in said if line.startswith("{")))
            self.assertIn("SD002", said[0], f"SEED={SEED} {said}")
            self.assertIn(told["outcome"], ("differs", "inputs_changed") if "inputs" in path else ("differs",), f"SEED={SEED} {path} {text}")
            self.assertTrue(any(d["path"].startswith(path[0]) for d in told["differences"]), f"SEED={SEED} {path} {told}")


if __name__ == "__main__":
    unittest.main()
