"""The owner's applications in any order: invoices, payments, memos, what he applied, took back and applied elsewhere arrive shuffled, alone or in bulk; what had come too early
is sent again. In the end the same is open of each document as an independent sum says, whatever was supposed on the way.

SEED=n repeats a run, WORLDS and ORDERS how much.
"""
import os
import random
import unittest
from decimal import Decimal

from test_orders import literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
BROKEN = " UNION ALL ".join(f"SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.{check}()" for check in ("credit_verify_counters", "credit_verify_items")) + ";\n"


def apply(entity, *documents):
    return f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(list(documents))}, 'ao-erp', options => '{{\"on_error\":\"collect\"}}');\n"


class Applications(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        out = psql("CREATE EXTENSION IF NOT EXISTS distsync CASCADE;\nSELECT distsync.setup();\n"
                   "SELECT distsync.add_system('ao-erp', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = 'ao-erp');\n"
                   + apply("currency", {"currency": "USD"}) + apply("company", {"code": "AO", "name": "Applications", "currency": "USD"}))
        assert not [line for line in out if line.startswith("ERROR")], out

    def world(self, rng):
        """Documents and what the owner applied: all money in the end, some of it elsewhere first. Returns facts as functions of a suffix, and what is open then."""
        opened = {("invoice", f"I{n}"): Decimal(rng.randint(100, 900)) / 10 for n in range(rng.randint(2, 4))}
        money = {("payment" if n else "credit_memo", f"P{n}"): Decimal(rng.randint(50, 900)) / 10 for n in range(rng.randint(1, 3))}
        facts = [("invoice", {"invoice_number": name, "net_amount": str(amount), "issued_at": f"2026-01-0{n + 1}", "due_on": f"2026-02-{rng.randint(10, 20)}"}) for n, ((_, name), amount) in enumerate(opened.items())]
        for (kind, name), amount in money.items():
            if kind == "payment":
                told = [{"invoice": i} for _, i in rng.sample(list(opened), rng.randint(0, 2))]
                facts.append(("payment", {"payment_number": name, "amount": str(amount), "received_at": "2026-03-01", "remittance": told}))
            else:
                facts.append(("invoice", {"invoice_number": name, "kind": "credit_memo", "net_amount": str(amount), "issued_at": "2026-02-01"}))
        applied, wrong = [], []
        for key in money:
            left = money[key]
            for invoice in rng.sample(list(opened), len(opened)):
                amount = min(left, opened[invoice]) if rng.random() < 0.6 else min(left, opened[invoice], Decimal(rng.randint(1, 500)) / 10)
                if amount > 0:
                    applied.append((key, invoice, amount))
                    opened[invoice] -= amount
                    left -= amount
            if left:  # what no invoice takes has an invoice of its own: all money is applied in the end
                extra = ("invoice", f"X{key[1]}")
                facts.append(("invoice", {"invoice_number": extra[1], "net_amount": str(left), "issued_at": "2026-01-20", "due_on": "2026-02-25"}))
                applied.append((key, extra, left))
                opened[extra] = Decimal(0)
            if rng.random() < 0.5:
                wrong.append((key, rng.choice(list(opened)), Decimal(rng.randint(1, 50)) / 10))
        for n, (key, invoice, amount) in enumerate(applied):
            facts.append(("application", {"application_number": f"A{n}", key[0]: key[1], "invoice": invoice[1], "amount": str(amount)}))
        for n, (key, invoice, amount) in enumerate(wrong):
            facts.append(("application", {"application_number": f"W{n}", key[0]: key[1], "invoice": invoice[1], "amount": str(amount)}))
            facts.append(("application", {"application_number": f"WR{n}", "reverses": f"W{n}", "reason": "wrong invoice"}))
        return facts, {**opened, **{key: Decimal(0) for key in money}}

    @staticmethod
    def named(entity, document, suffix):
        """The document as one of this order of arrival: numbers of its own."""
        def new(value):
            return f"{value}{suffix}"
        document = {key: new(value) if key in ("invoice_number", "payment_number", "application_number", "payment", "invoice", "credit_memo", "reverses") else value for key, value in document.items()}
        if "remittance" in document:
            document["remittance"] = [{"invoice": new(r["invoice"])} for r in document["remittance"]]
        return dict(document, company="AO", customer=f"AO{suffix}", **({} if entity == "application" else {"currency": "USD"}))

    def test_any_order(self):
        for world in range(int(os.environ.get("WORLDS") or 5) * int(os.environ.get("TIMES") or 1)):
            rng = random.Random(f"{SEED}/{world}")
            facts, wanted = self.world(rng)
            for order in range(int(os.environ.get("ORDERS") or 6)):
                suffix = f"-{SEED}-{world}-{order}"
                shuffled = facts if order == 0 else rng.sample(facts, len(facts))
                script = apply("party", {"code": f"AO{suffix}", "name": "c", "currency": "USD"}) + apply("credit_account", {"code": f"AO{suffix}", "customer": f"AO{suffix}", "company": "AO", "mode": "mirrored"})
                for entity, document in shuffled:
                    script += apply(entity, self.named(entity, document, suffix))
                # what had come before what it is about is sent again, one by one or all at once
                again = [document for entity, document in shuffled if entity == "application"]
                for _ in range(3):
                    documents = [self.named("application", document, suffix) for document in again]
                    script += apply("application", *documents) if rng.random() < 0.5 else "".join(apply("application", document) for document in documents)
                script += f"\\echo @@\nSELECT i.kind, i.document_number, i.open_amount FROM dist.open_item i JOIN dist.party p ON p.party_id = i.customer_id WHERE p.code = 'AO{suffix}';\n"
                out = psql(script)
                self.assertEqual([line for line in out if line.startswith("ERROR")], [], f"SEED={SEED} world {world} order {order}")
                left = {(kind, number.removesuffix(suffix)): Decimal(amount) for kind, number, amount in (line.split("|") for line in out[out.index("@@") + 1:])}
                self.assertEqual({key: amount for key, amount in left.items() if amount}, {key: amount for key, amount in wanted.items() if amount}, f"SEED={SEED} world {world} order {order}: {shuffled}")
                self.assertEqual(set(left), set(wanted))
        self.assertEqual(psql(BROKEN), [], f"SEED={SEED}")


if __name__ == "__main__":
    unittest.main()
