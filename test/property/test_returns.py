"""Returns under fire and to the last cent: real connections (a psql process each) authorise, receive, inspect, credit, cancel, tell facts, pay and void at once.

SEED=n repeats a run. Of a line never more comes back by command than has left, what is credited is never more than was charged and all of it when all came back, in whatever
parts; nobody locks in circles; the verify handlers of the rooms say so.
"""
import os
import random
import unittest

from test_orders import literal, psql, together

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
CHECKS = ("order_verify_returns", "order_verify_exposure", "order_verify_orders", "credit_verify_counters", "credit_verify_items", "order_verify_volumes", "pricing_verify_accruals")
BROKEN = " UNION ALL ".join(f"SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.{check}()" for check in CHECKS) + ";\n"
# what people do wrong: too much, too late, not there, not billed; and what is to be brought again
SAID = ("SD001", "SD002", "SD075", "40001", "SD008")


def apply(entity, *documents):
    return f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(list(documents))}, '{'distsync' if entity == 'invoice' else 'pr-erp'}');\n"


class Returns(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.rng = random.Random(SEED)
        print(f"SEED={SEED}", flush=True)
        out = psql("CREATE EXTENSION IF NOT EXISTS distsync CASCADE;\nSELECT distsync.setup();\n"
                   "SELECT distsync.add_system('pr-erp', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = 'pr-erp');\n"
                   + apply("currency", {"currency": "USD"}) + apply("unit", {"unit": "EA"}) + apply("company", {"code": "PR", "name": "Returns", "currency": "USD"})
                   + "SELECT distsync.own('invoice', 'distsync', '{\"company\":\"PR\",\"mode\":\"native\"}');\n"
                   + "SELECT distsync.own('order', 'pr-erp', '{\"company\":\"PR\"}');\n"
                   + apply("site", {"code": "PR-W", "name": "w", "company": "PR"})
                   + apply("item", *[{"sku": f"PR-{i}", "name": i, "base_unit": "EA"} for i in "AB"])
                   + apply("party", *[{"code": f"PR-C{i}", "name": "c", "currency": "USD"} for i in range(2)])
                   + apply("credit_account", {"code": "PR-G", "customer": "PR-C0", "company": "PR", "limit": "1000000"}, {"code": "PR-C1", "customer": "PR-C1", "company": "PR", "limit": "1000000", "parent": "PR-G"})
                   + apply("agreement", {"code": "PR-REB", "slot": "rebate", "currency": "USD", "company": "PR", "valid_from": "2020-01-01", "publish": True, "stack_group": "pr", "assignments": [{"who_kind": "all"}],
                                         "rates": [{"what": "PR-A", "calc": "percent_off", "value": "7"}]})
                   + apply("stock_event", *[{"event_id": f"pr-{i}-{SEED}", "kind": "count", "sku": f"PR-{i}", "site": "PR-W", "quantity": 100000, "event_at": "2026-01-01T00:00:00Z"} for i in "AB"]))
        assert not [line for line in out if line.startswith("ERROR")], out

    def take_order(self, number, customer, billed=True):
        """An order of its owner that has shipped and is billed in odd parts at odd prices; returns {line: quantity}."""
        rng = self.rng
        lines = {n: rng.randint(2, 9) for n in range(1, rng.randint(2, 4))}
        script = apply("order", {"company": "PR", "order_number": number, "customer": customer,
                                 "lines": [{"line": n, "item": "PR-" + rng.choice("AB"), "quantity": q, "unit_price": "3.33"} for n, q in lines.items()]})
        script += apply("shipment", {"company": "PR", "shipment_number": number, "order_number": number, "site": "PR-W", "lines": [{"order_line": n, "quantity": q} for n, q in lines.items()]})
        if billed:
            parts = [{}, {}]
            for n, q in lines.items():
                first = rng.randint(0, q)
                parts[0][n], parts[1][n] = first, q - first
            for i, part in enumerate(parts):
                told = [{"order_line": n, "quantity": q, "net_amount": f"{rng.randint(1, 999) / 100:.2f}", "tax_amount": f"{rng.randint(0, 99) / 100:.2f}"} for n, q in part.items() if q]
                if told:
                    net, tax = (sum(round(float(line[f]) * 100) for line in told) for f in ("net_amount", "tax_amount"))
                    script += apply("invoice", {"company": "PR", "invoice_number": f"{number}.{i}", "order_number": number, "currency": "USD", "net_amount": f"{net / 100:.2f}", "tax_amount": f"{tax / 100:.2f}", "lines": told})
        out = psql(script)
        self.assertEqual([line for line in out if line != "applied"], [])
        return lines

    def right(self):
        self.assertEqual(psql(BROKEN), [], f"SEED={SEED}")

    def test_all_that_comes_back_is_credited_with_what_was_charged(self):
        """In whatever parts, over however many returns and invoices: the memos of an invoice add up to it."""
        rng = self.rng
        for turn in range(int(os.environ.get("RETURNS") or 6) * int(os.environ.get("TIMES") or 1)):
            number = f"PR-E{turn}-{SEED}"
            left = self.take_order(number, f"PR-C{turn % 2}")
            n = 0
            while left:
                n += 1
                asked = {line: rng.randint(1, q) for line, q in left.items() if rng.random() < 0.7} or {min(left): left[min(left)]}
                name = f"{number}-{n}"
                kept = {line: rng.randint(0, q) if rng.random() < 0.3 else q for line, q in asked.items()}
                found = [{"line": i + 1, "outcome": rng.choice(("restock", "scrap")), "quantity": kept[line]} for i, line in enumerate(asked) if kept[line]]
                found += [{"line": i + 1, "outcome": "refuse", "quantity": q - kept[line]} for i, (line, q) in enumerate(asked.items()) if q > kept[line]]
                script = f"SELECT 1 FROM distsync.authorise_return({literal({'company': 'PR', 'return_number': name, 'order_number': number, 'lines': [{'order_line': line, 'quantity': q} for line, q in asked.items()]})}) r;\n"
                script += f"SELECT 1 FROM distsync.receive_return('{name}') r;\nSELECT 1 FROM distsync.inspect_return('{name}', {literal(found)}) r;\n"
                script += f"SELECT 1 FROM distsync.credit_return('{name}') r;\n" if any(kept.values()) else ""
                self.assertEqual([line for line in psql(script) if line != "1"], [], f"SEED={SEED} {name}")
                left = {line: q - kept.get(line, 0) for line, q in left.items() if q > kept.get(line, 0)}
            out = psql(f"SELECT i.invoice_number, i.net_amount, i.tax_amount, m.net, m.tax FROM dist.invoice i LEFT JOIN LATERAL (SELECT sum(x.net_amount) AS net, sum(x.tax_amount) AS tax FROM dist.invoice x "
                       f"WHERE x.company_id = i.company_id AND x.corrects_number = i.invoice_number AND x.kind = 'credit_memo') m ON true WHERE i.kind = 'invoice' AND i.invoice_number LIKE '{number}.%' "
                       "AND (m.net, m.tax) IS DISTINCT FROM (i.net_amount, i.tax_amount);\n"
                       f"SELECT document_number, open_amount FROM dist.open_item WHERE document_number LIKE '{number}%' AND open_amount <> 0;\n")
            self.assertEqual(out, [], f"SEED={SEED} {number}")
        self.right()

    def test_many_at_once(self):
        """Everything that can be done to the returns of few orders, by many at once."""
        rng, many, steps = self.rng, int(os.environ.get("CLIENTS") or 6), int(os.environ.get("STEPS") or 30)
        orders = {f"PR-F{i}-{SEED}": self.take_order(f"PR-F{i}-{SEED}", f"PR-C{i % 2}", billed=i != 2) for i in range(3)}
        names = []
        scripts = []
        for client in range(many):
            script = ""
            for step in range(steps):
                number = rng.choice(list(orders))
                line = rng.choice(list(orders[number]))
                own = f"PR-{client}-{step}-{SEED}"
                known = rng.choice(names[-12:] or [own])
                script += rng.choice((
                    lambda: names.append(own) or f"SELECT 1 FROM distsync.authorise_return({literal({'company': 'PR', 'return_number': own, 'order_number': number, 'lines': [{'order_line': line, 'quantity': rng.randint(1, 3)}]})}) r;\n",
                    lambda: f"SELECT 1 FROM distsync.receive_return('{known}') r;\n",
                    lambda: f"SELECT 1 FROM distsync.receive_return('{known}', '[{{\"line\":1,\"quantity\":1}}]') r;\n",
                    lambda: f"SELECT 1 FROM distsync.inspect_return('{known}', {literal([{'line': 1, 'outcome': rng.choice(('restock', 'scrap', 'refuse')), 'quantity': rng.randint(1, 2)}])}) r;\n",
                    lambda: f"SELECT 1 FROM distsync.credit_return('{known}') r;\n",
                    lambda: f"SELECT 1 FROM distsync.credit_return('{known}') r;\n",
                    lambda: f"SELECT 1 FROM distsync.cancel_return('{known}', 'why') r;\n",
                    lambda: apply("return", {"company": "PR", "return_number": known, "order_number": number, "site": "PR-W", "lines": [{"order_line": line, "received": 1, "restocked": 1}]}).replace("outcome", "1"),
                    lambda: apply("invoice", {"company": "PR", "invoice_number": f"M{own}", "kind": "credit_memo", "order_number": number, "corrects": f"{number}.0", "return_number": known, "currency": "USD", "net_amount": "0.01"}).replace("SELECT outcome", "SELECT 1"),
                    lambda: apply("payment", {"company": "PR", "payment_number": own, "customer": f"PR-C{list(orders).index(number) % 2}", "currency": "USD", "amount": "1", "remittance": [{"invoice": f"{number}.0", "amount": "1"}]}).replace("SELECT outcome", "SELECT 1"),
                    lambda: "SELECT 1 FROM distsync_internal.order_clerk_returns(10) r;\n"))()
            scripts.append(script)
        out = [line for line in together(scripts) if line != "1"]
        self.assertEqual([line for line in out if line.startswith("ERROR") and not any(code in line for code in SAID)], [], f"SEED={SEED}")
        self.right()


if __name__ == "__main__":
    unittest.main()
