"""Orders and credit under fire: real connections (a psql process each) submit, cancel, ship, bill, pay and take payments back at once.

SEED=n repeats a run. No command passes a limit or an agreed volume, nothing stays held that fits once it is quiet, every amount is counted once; the verify
handlers of the rooms say so.
"""
import datetime
import json
import os
import random
import subprocess
import unittest

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
CHECKS = ("order_verify_exposure", "order_verify_orders", "credit_verify_counters", "credit_verify_items", "credit_verify_releases", "inventory_verify_promises",
          "order_verify_volumes", "pricing_verify_commitments", "order_verify_offers", "order_verify_days")
BROKEN = " UNION ALL ".join(f"SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.{check}()" for check in CHECKS) + ";\n"
# what waits although it fits: the clerk has come, nobody else holds it
FITS = """SELECT w.order_number FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_waiting(a.account_id) w
WHERE a.parent_id IS NULL AND distsync_internal.credit_decide(w.account_id, w.amount, jsonb_build_object('order_id', w.order_id, 'customer_id', w.customer_id, 'ship_on', w.ship_on)) ->> 'outcome' = 'approved';
"""
OVER = """SELECT a.code || ' ' || p.headroom FROM dist.credit_account a CROSS JOIN LATERAL distsync_internal.credit_position(a.account_id, now()) p WHERE p.headroom < 0 AND p.level = 0;
"""
# days pass for the accounts of test_changes: all that is to come is nearer
DAYS_PASS = """CREATE OR REPLACE FUNCTION public.days_pass(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[] := ARRAY(SELECT a.account_id FROM dist.credit_account a WHERE a.code IN ('PO-L', 'PO-M', 'PO-N'));
BEGIN
	PERFORM distsync_internal.credit_lock(ids);
	PERFORM FROM dist.sales_order o WHERE o.account_id = ANY (ids) ORDER BY o.order_id FOR UPDATE;
	UPDATE dist.order_line l SET requested_at = l.requested_at - make_interval(days => n) FROM dist.sales_order o WHERE o.order_id = l.order_id AND o.account_id = ANY (ids);
	UPDATE dist.sales_order o SET ship_on = o.ship_on - n, requested_at = o.requested_at - make_interval(days => n) WHERE o.account_id = ANY (ids);
	UPDATE dist.hold h SET ship_on = h.ship_on - n WHERE h.account_id = ANY (ids);
	UPDATE dist.open_order_day d SET ship_on = d.ship_on - n - 100000 WHERE d.account_id = ANY (ids);
	UPDATE dist.open_order_day d SET ship_on = d.ship_on + 100000 WHERE d.account_id = ANY (ids);
	UPDATE dist.credit_account a SET horizon_on = a.horizon_on - n, due_at = clock_timestamp() WHERE a.account_id = ANY (ids);
END $$;
"""
USED = "SELECT quantity, amount FROM dist.commitment JOIN dist.agreement USING (agreement_id) WHERE code = '{}';"
QUIET = "SET client_min_messages = warning;\n\\set VERBOSITY verbose\n"


def start(script):
    process = subprocess.Popen(["psql", "-XqAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    process.stdin.write(QUIET + script)
    process.stdin.close()
    return process


def together(scripts):
    """Runs scripts at once, a connection each; returns all their lines."""
    lines = []
    for process in [start(script) for script in scripts]:
        lines += process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
    return lines


def psql(script):
    return together([script])


def literal(value):
    return "'" + json.dumps(value).replace("'", "''") + "'"


def apply(entity, *documents):
    return f"SELECT outcome FROM distsync.apply_all('{entity}', {literal(list(documents))}, 'po-erp');\n"


def submit(number, customer, quantity, **more):
    document = dict({"company": "PO", "customer": customer, "order_number": number, "lines": [{"item": "PO-A", "quantity": quantity}]}, **more)
    return f"SELECT state FROM distsync.submit_order({literal(document)}, '{number}');\n"


class Orders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        out = psql("SELECT distsync.add_system('po-erp', 'erp');\n"
                   + apply("currency", {"currency": "USD"}) + apply("unit", {"unit": "EA"})
                   + apply("company", {"code": "PO", "name": "p", "currency": "USD"})
                   + apply("party", *[{"code": f"PO-{c}", "name": c, "currency": "USD"} for c in ("G", "X", "Y", "H", "P", "Q", "V", "W")])
                   + apply("site", {"code": "PO-W", "name": "w", "company": "PO"}) + apply("item", *[{"sku": sku, "base_unit": "EA"} for sku in ("PO-A", "PO-B", "PO-C")])
                   + apply("agreement", {"code": "PO-LIST", "slot": "list", "company": "PO", "currency": "USD", "assignments": [{"who_kind": "all"}], "publish": True, "rates": [{"what": "PO-A", "value": "1"}, {"what": "PO-B", "value": "10"}, {"what": "PO-C", "value": "10"}]},
                           *[{"code": code, "slot": "contract", "company": "PO", "currency": "USD", "publish": True, "commit_quantity": 1000, "rates": [{"customer": c, "what": what, "value": "8"} for c in ("PO-V", "PO-W")]}
                             for code, what in (("PO-ONE", "PO-B"), ("PO-MIX", "PO-C"))])
                   + apply("stock_event", *[{"event_id": sku, "kind": "receive", "sku": sku, "site": "PO-W", "quantity": 1000000, "event_at": "2024-01-01T00:00:00Z"} for sku in ("PO-A", "PO-B", "PO-C")])
                   + apply("credit_account", {"code": "PO-G", "customer": "PO-G", "currency": "USD", "limit": 1000},
                           {"code": "PO-X", "customer": "PO-X", "company": "PO", "parent": "PO-G"}, {"code": "PO-Y", "customer": "PO-Y", "company": "PO", "parent": "PO-G", "limit": 800})
                   + apply("credit_account", {"code": "PO-H", "customer": "PO-H", "currency": "USD", "limit": 2000, "release_order": "best_fit"},
                           {"code": "PO-P", "customer": "PO-P", "company": "PO", "parent": "PO-H", "limit": 1500}, {"code": "PO-Q", "customer": "PO-Q", "company": "PO", "parent": "PO-H"}))
        assert not [line for line in out if "ERROR" in line], out

    def assert_whole(self):
        psql("SELECT distsync_internal.credit_clerk(100);\n" * 5)
        self.assertEqual(psql(BROKEN), [])
        self.assertEqual(psql(FITS), [])

    def test_one_limit(self):
        """12 clients, 5 orders of 60 each, under one group's limit of 1000 through two accounts: 16 pass."""
        out = together(["".join(submit(f"R{client}-{i}", "PO-" + "XY"[client % 2], 60) for i in range(5)) for client in range(12)])
        self.assertEqual(sorted(set(out)), ["accepted", "held"])
        self.assertEqual(out.count("accepted"), 16)
        self.assertEqual(psql("SELECT open_orders, held_demand FROM dist.credit_account WHERE code = 'PO-G';"), ["960.0000|2640.0000"])
        self.assert_whole()
        # cancelling makes room for others, at once and from many sides
        numbers = psql("SELECT order_number FROM dist.sales_order WHERE order_number LIKE 'R%' AND credit_state = 'approved' ORDER BY 1;")
        out = together(["".join(f"SELECT distsync.cancel_order('{n}', 'test') ->> 'state';\n" for n in numbers[k::4]) for k in range(4)])
        self.assertEqual(set(out), {"cancelled"})
        self.assert_whole()
        self.assertEqual(psql("SELECT open_orders FROM dist.credit_account WHERE code = 'PO-G';"), ["960.0000"])

    def test_kits(self):
        """Six clients order kits and their components, ship them whole or in parts, and cancel, where there are few: nothing is promised or shipped twice, kits are whole, nobody waits in a circle."""
        rng = random.Random(SEED)
        out = psql(apply("party", {"code": "PO-K", "name": "k", "currency": "USD"}) + apply("credit_account", {"code": "PO-K", "customer": "PO-K", "company": "PO", "currency": "USD", "limit": 700}) + apply("item", {"sku": "PO-KX", "base_unit": "EA"}, {"sku": "PO-KY", "base_unit": "EA"}) + apply("item", {"sku": "PO-KIT", "base_unit": "EA", "kit": True, "components": [{"sku": "PO-KY", "quantity": 1}, {"sku": "PO-KX", "quantity": 3}]})
                   + apply("agreement", {"code": "PO-KITS", "slot": "list", "company": "PO", "currency": "USD", "assignments": [{"who_kind": "all"}], "publish": True, "rates": [{"what": "PO-KIT", "value": "20"}, {"what": "PO-KX", "value": "5"}]})
                   + apply("stock_event", {"event_id": "kx", "kind": "receive", "sku": "PO-KX", "site": "PO-W", "quantity": 160, "event_at": "2024-01-01T00:00:00Z"},
                           {"event_id": "ky", "kind": "receive", "sku": "PO-KY", "site": "PO-W", "quantity": 55, "event_at": "2024-01-01T00:00:00Z"}))
        self.assertEqual([line for line in out if "ERROR" in line or line == "rejected"], [])
        scripts = []
        for client in range(6):
            script, orders = [], []
            for i in range(16):
                what = rng.choice(["submit", "submit", "whole", "part", "part", "cancel", "owner"])
                if what == "submit" or not orders:
                    orders.append(f"K{client}-{i}")
                    lines = [{"item": "PO-KIT", "quantity": rng.randint(1, 4)}, {"item": "PO-KX", "quantity": rng.randint(1, 3)}][:rng.choice((1, 2))]
                    script.append(submit(orders[-1], "PO-K", 0, lines=lines, policy={"shortage": rng.choice(("backorder", "cut", "reject")), "held_stock": rng.choice(("keep", "none"))}))
                elif what == "cancel":
                    script.append(f"SELECT distsync.cancel_order('{orders.pop(rng.randrange(len(orders)))}', 'test') ->> 'state';\n")
                elif what == "owner":
                    script.append(apply("order", {"company": "PO", "order_number": rng.choice(orders), "lines": [{"line": 1, "item": "PO-KIT", "quantity": rng.randint(1, 3), "unit_price": 20}]}))
                else:
                    line = {"order_line": 1, "quantity": rng.randint(1, 3)} if what == "whole" else {"order_line": 1, "sku": rng.choice(("PO-KX", "PO-KY")), "quantity": rng.randint(1, 4)}
                    document = {"company": "PO", "shipment_number": f"K{client}-S{i}", "order_number": rng.choice(orders), "site": "PO-W", "lines": [line]}
                    # as a command, or as a fact that is never refused
                    script.append(f"SELECT distsync.ship({literal(document)}) ->> 'state';\n" if rng.random() < .7 else apply("shipment", document))
            scripts.append("".join(script))
        out = together(scripts)
        self.assertEqual([line for line in out if line.startswith("ERROR") and not any(code in line for code in ("SD002", "SD070", "SD001"))], [])
        self.assertEqual(psql("SELECT count(DISTINCT kit_group) > 3 FROM dist.reservation WHERE demand_key LIKE 'PO/K%';"), ["t"])
        self.assert_whole()
        # what is left when all is cancelled is what has shipped
        psql("SELECT distsync.cancel_order(o.order_number, 'end') FROM dist.sales_order o WHERE o.order_number LIKE 'K%' AND o.state NOT IN ('cancelled', 'rejected', 'closed', 'shipped', 'refused') ORDER BY 1;")
        self.assertEqual(psql("SELECT r.reservation_id FROM dist.reservation r WHERE r.demand_key LIKE 'PO/K%' AND r.state IN ('held', 'committed');"), [])
        self.assertEqual(psql("SELECT demand_key, i.sku FROM dist.demand d JOIN dist.item i USING (item_id) WHERE demand_key LIKE 'PO/K%' AND greatest(d.reserved, d.ordered) > d.shipped;"), [])
        self.assert_whole()

    def changer(self, client, seed):
        """The script of a client that changes, picks, answers, ships, stops and cancels orders, its own and those of others; one of them is the clerk, and the owner of prices."""
        rng = random.Random(seed)
        script = []

        def day():
            """When it is wanted: at once, inside or beyond the horizons."""
            return rng.choice((None, str(datetime.date.today() + datetime.timedelta(rng.randint(1, 15)))))
        for i in range(40):
            some = "FROM (SELECT x.order_number FROM dist.sales_order x WHERE x.order_number LIKE 'C_-%' AND x.state NOT IN ('cancelled', 'shipped') ORDER BY random() LIMIT 1) o;\n"
            lines = [{"item": rng.choice(("PO-CK", "PO-CX", "PO-CX")), "quantity": rng.randint(1, 6)} for _ in range(rng.choice((1, 2)))]
            what = rng.choice(["submit", "submit", "submit", "submit", "change", "change", "change", "pick", "answer", "ship", "fact", "cancel", "stop", "pay", "reverse", "limit", "limit", "limit"])
            if client == 0:
                if rng.random() < .5:
                    script.append(f"SELECT public.days_pass({rng.randint(1, 3)});\n")
                script.append("".join(f"SELECT distsync_internal.order_clerk_{task}(1);\n" for task in ("redecide", "kept", "lapsed", "moved")) + "SELECT distsync_internal.credit_clerk(10);\n")
                script.append(apply("agreement", {"code": "PO-CHANGES", "slot": "list", "company": "PO", "currency": "USD", "assignments": [{"who_kind": "all"}], "publish": True,
                                                  "rates": [{"what": "PO-CK", "value": str(rng.randint(18, 22))}, {"what": "PO-CX", "value": str(rng.randint(4, 6))}]}))
            elif what == "submit":
                policy = {"shortage": rng.choice(("backorder", "cut", "reject")), "held_stock": rng.choice(("keep", "soft", "none")), "reprice": rng.choice(("keep", "offer", "offer", "take")), "repromise": rng.choice(("offer", "take")), "priority": rng.randint(1, 3)}
                policy.update(rng.choice(({}, {"keep_for": "1 second"}, {"offer_within": "1 second"}, {"on_hold": "refuse"}, {"all_or_none": True}, {"ship_complete": True})))
                script.append(submit(f"C{client}-{i}", f"PO-{rng.choice('MN')}", 0, lines=lines, policy=policy, requested_at=day()))
            elif what == "change":
                told = rng.choice(([{"line": 1, "quantity": rng.randint(1, 8)}], [{"line": 1, "cut": True}], lines[:1], [{"line": 1, "quantity": rng.randint(1, 8), "requested_at": day()}] + lines[:1]))
                script.append(f"SELECT distsync.change_order(o.order_number, {literal({'lines': told})}) ->> 'outcome' {some}")
            elif what == "pick":
                script.append(f"SELECT distsync.pick_order(o.order_number) ->> 'outcome' {some}")
            elif what == "answer":
                script.append(f"SELECT distsync.answer_offer(order_number, {rng.choice(('true', 'true', 'false'))}) ->> 'state' FROM dist.sales_order JOIN dist.order_offer f USING (customer_id, order_id) WHERE f.state = 'open' ORDER BY random() LIMIT 1;\n")
            elif what in ("ship", "fact"):
                document = literal({"company": "PO", "shipment_number": f"C{client}-S{i}", "site": "PO-W", "lines": [{"order_line": 1, "quantity": rng.randint(1, 3)}]}) + "::jsonb || jsonb_build_object('order_number', o.order_number)"
                script.append(f"SELECT distsync.ship({document}) ->> 'state' {some}" if what == "ship" else f"SELECT (distsync.apply('shipment', {document}, 'po-erp')).outcome {some}")
            elif what == "cancel":
                script.append(f"SELECT distsync.cancel_order(o.order_number, 'test') ->> 'state' {some}")
            elif what == "stop":
                script.append("SELECT distsync." + rng.choice(("hold_order(o.order_number, 'look')", "release_order(o.order_number, 'fine')", "release_order(o.order_number, 'fine', '{\"authority\":\"boss\"}')")) + f" ->> 'state' {some}")
            elif what == "limit":
                script.append(apply("credit_account", dict({"code": f"PO-{rng.choice('MN')}", "limit": rng.choice((30, 150, 400))}, **rng.choice(({}, {"horizon_days": rng.choice((None, 2, 6))})))))
            else:
                payment = {"company": "PO", "payment_number": f"C{client}-M{i}", "customer": f"PO-{rng.choice('MN')}", "currency": "USD", "amount": rng.randint(1, 100)}
                script.append(apply("payment", payment) + (apply("payment", dict(payment, payment_number=f"C{client}-R{i}", reverses=payment["payment_number"])) if what == "reverse" else ""))
        return "".join(script)

    def test_changes(self):
        """Six clients change orders, pick, ship and stop them, answer offers and pay, while prices move, days pass and the clerk decides again: nothing is promised, counted or offered twice, nobody waits in a circle."""
        out = psql(DAYS_PASS + apply("party", *[{"code": f"PO-{c}", "name": c, "currency": "USD"} for c in "LMN"]) + apply("item", {"sku": "PO-CX", "base_unit": "EA"}, {"sku": "PO-CY", "base_unit": "EA"})
                   + apply("item", {"sku": "PO-CK", "base_unit": "EA", "kit": True, "components": [{"sku": "PO-CY", "quantity": 1}, {"sku": "PO-CX", "quantity": 3}]})
                   + apply("agreement", {"code": "PO-CHANGES", "slot": "list", "company": "PO", "currency": "USD", "assignments": [{"who_kind": "all"}], "publish": True, "rates": [{"what": "PO-CK", "value": "20"}, {"what": "PO-CX", "value": "5"}]},
                           {"code": "PO-CDEAL", "slot": "contract", "company": "PO", "currency": "USD", "publish": True, "commit_quantity": 20, "rates": [{"customer": "PO-M", "what": "PO-CX", "value": "3"}, {"customer": "PO-N", "what": "PO-CX", "value": "3"}]})
                   + apply("credit_account", {"code": "PO-L", "customer": "PO-L", "currency": "USD", "limit": 400, "horizon_days": 8}) + apply("credit_account", *[{"code": f"PO-{c}", "customer": f"PO-{c}", "company": "PO", "parent": "PO-L", "limit": 150, "horizon_days": 4} for c in "MN"])
                   + apply("stock_event", *[{"event_id": sku, "kind": "receive", "sku": sku, "site": "PO-W", "quantity": quantity, "event_at": "2024-01-01T00:00:00Z"} for sku, quantity in (("PO-CX", 90), ("PO-CY", 25))]))
        self.assertEqual([line for line in out if "ERROR" in line or line == "rejected"], [])
        out = together([self.changer(client, SEED * 7 + client) for client in range(6)])
        self.assertEqual([line for line in out if line.startswith("ERROR") and not any(code in line for code in ("SD001", "SD002", "SD005", "SD060", "SD061", "SD070"))], [])
        again = "".join(f"SELECT distsync_internal.order_clerk_{task}(1);\n" for task in ("redecide", "kept", "lapsed", "moved"))
        psql("UPDATE dist.sales_order SET keep_until = now() WHERE keep_until IS NOT NULL; UPDATE dist.order_offer SET lapses_at = now() WHERE state = 'open' AND offer_id % 2 = 0;\n" + again * 60)
        self.assertEqual(psql("SELECT kind || details FROM sync.exception WHERE kind IN ('redecide_failed', 'release_failed', 'rehold_failed') AND state = 'open';"), [])
        self.assert_whole()
        self.assertEqual(psql("SELECT count(*) > 0 FROM dist.sales_order WHERE order_number LIKE 'C_-%' AND ship_on IS NOT NULL;"), ["t"])
        over = psql(OVER)
        self.assertEqual(len(over), int(psql("SELECT count(*) FROM sync.exception WHERE kind = 'over_limit' AND state = 'open';")[0]), over)
        # room for all: what waits is let go, decided again and answered, from many sides
        psql(apply("agreement", {"code": "PO-CHANGES", "slot": "list", "company": "PO", "currency": "USD", "assignments": [{"who_kind": "all"}], "publish": True, "rates": [{"what": "PO-CK", "value": "25"}, {"what": "PO-CX", "value": "7"}]})
             + apply("credit_account", *[{"code": f"PO-{c}", "limit": 100000} for c in "LMN"]))
        answer = "SELECT distsync.answer_offer(order_number, offer_id % 3 > 0) ->> 'state' FROM dist.sales_order JOIN dist.order_offer f USING (customer_id, order_id) WHERE f.state = 'open' ORDER BY random() LIMIT 1;\n"
        out = together([again * 15 + (answer + again) * 15 for _ in range(3)])
        self.assertEqual([line for line in out if line.startswith("ERROR") and "SD070" not in line], [])
        psql(again * 30)
        self.assert_whole()
        # what is left when all is cancelled is what has shipped
        psql("SELECT distsync.cancel_order(o.order_number, 'end') FROM dist.sales_order o WHERE o.order_number LIKE 'C%' AND o.state NOT IN ('cancelled', 'rejected', 'closed', 'shipped') ORDER BY 1;")
        self.assertEqual(psql("SELECT r.demand_key FROM dist.reservation r WHERE r.demand_key LIKE 'PO/C%' AND r.state IN ('held', 'committed');"), [])
        self.assertEqual(psql("SELECT demand_key, i.sku FROM dist.demand d JOIN dist.item i USING (item_id) WHERE demand_key LIKE 'PO/C%' AND greatest(d.reserved, d.ordered) > d.shipped;"), [])
        self.assertEqual(psql("SELECT code, open_orders, held_demand FROM dist.credit_account WHERE code IN ('PO-M', 'PO-N') AND open_orders + held_demand <> 0;"), [])
        self.assert_whole()

    def client(self, name, seed):
        """The script of one client: a random mixture over orders of its own."""
        rng = random.Random(seed)
        script, orders, payments = [], [], []
        for i in range(20):
            what = rng.choice(["submit", "submit", "submit", "ship", "cancel", "bill", "pay", "pay", "reverse"])
            if what == "submit" or not orders:
                orders.append(f"{name}-{i}")
                script.append(submit(orders[-1], rng.choice(["PO-P", "PO-Q"]), rng.randint(1, 400)))
            elif what == "ship":
                script.append(f"SELECT distsync.ship({literal({'company': 'PO', 'shipment_number': f'{name}-S{i}', 'order_number': rng.choice(orders), 'site': 'PO-W', 'lines': [{'order_line': 1, 'quantity': rng.randint(1, 200)}]})}) ->> 'state';\n")
            elif what == "cancel":
                script.append(f"SELECT distsync.cancel_order('{rng.choice(orders)}', 'test') ->> 'state';\n")
            elif what == "bill":
                script.append(apply("invoice", {"company": "PO", "invoice_number": f"{name}-I{i}", "order_number": rng.choice(orders), "terms": "NET30", "currency": "USD", "net_amount": rng.randint(1, 200)}))
            elif what == "pay":
                payments.append((f"{name}-M{i}", rng.choice(["PO-P", "PO-Q"]), rng.randint(1, 300)))
                script.append(apply("payment", {"company": "PO", "payment_number": payments[-1][0], "customer": payments[-1][1], "currency": "USD", "amount": payments[-1][2]}))
            elif payments:
                number, customer, amount = payments.pop(rng.randrange(len(payments)))
                script.append(apply("payment", {"company": "PO", "payment_number": number + "-R", "customer": customer, "currency": "USD", "amount": amount, "reverses": number}))
        return "".join(script)

    def test_mixture(self):
        """Six clients do all of it at once. A bill or a payment taken back may pass a limit, it happened; a command never does."""
        out = together([self.client(f"M{c}", SEED + c) for c in range(6)])
        errors = [line for line in out if line.startswith("ERROR")]
        # what a command may be told: too much to ship, held or ended
        self.assertEqual([line for line in errors if "SD002" not in line and "SD070" not in line and "SD008" not in line], [])
        self.assertGreater(out.count("accepted") + out.count("held"), 0)
        self.assert_whole()
        over = psql(OVER)
        self.assertEqual(len(over), int(psql("SELECT count(*) FROM sync.exception WHERE kind = 'over_limit' AND state = 'open';")[0]), over)

    def test_one_volume(self):
        """12 clients, 5 orders of 60 each, for an agreed volume of 1000: 16 get its price, whoever they are; who cancels makes room for as many."""
        def race(name):
            out = together(["".join(submit(f"{name}{client}-{i}", "PO-" + "VW"[client % 2], 60, lines=[{"item": "PO-B", "quantity": 60}]) for i in range(5)) for client in range(12)])
            self.assertEqual(set(out), {"accepted"})
        race("B")
        priced = "SELECT agreement_code, unit_price::real, count(*) FROM dist.order_line JOIN dist.sales_order USING (customer_id, order_id) WHERE order_number LIKE '{}%' AND state = 'accepted' GROUP BY 1, 2 ORDER BY 1;"
        self.assertEqual(psql(priced.format("B")), ["PO-LIST|10|44", "PO-ONE|8|16"])
        self.assertEqual(psql(USED.format("PO-ONE")), ["960.000000|7680.0000"])
        numbers = psql("SELECT order_number FROM dist.sales_order JOIN dist.order_line USING (customer_id, order_id) WHERE agreement_code = 'PO-ONE' ORDER BY 1;")
        out = together(["".join(f"SELECT distsync.cancel_order('{n}', 'test') ->> 'state';\n" for n in numbers[k:12:4]) for k in range(4)])
        self.assertEqual(out, ["cancelled"] * 12)
        self.assertEqual(psql(USED.format("PO-ONE")), ["240.000000|1920.0000"])
        race("D")
        self.assertEqual(psql(priced.format("D")), ["PO-LIST|10|48", "PO-ONE|8|12"])
        self.assertEqual(psql(BROKEN), [])

    def buyer(self, name, seed):
        """The script of one client who orders, cancels, has shipped and billed, and sends back, over orders of his own."""
        rng = random.Random(seed)
        script, orders, billed = [], {}, {}
        for i in range(25):
            what = rng.choice(["submit", "submit", "submit", "cancel", "bill", "memo", "answer"])
            if what == "submit" or not orders:
                number = f"{name}-{i}"
                orders[number] = [rng.randint(1, 150) for _ in range(rng.randint(1, 3))]
                script.append(submit(number, rng.choice(["PO-V", "PO-W"]), 0, lines=[{"item": "PO-C", "quantity": q} for q in orders[number]]))
            elif what == "cancel":
                script.append(f"SELECT distsync.cancel_order('{rng.choice(sorted(orders))}', 'test') ->> 'state';\n")
            elif what == "bill":
                number = rng.choice(sorted(orders))
                place = rng.randrange(len(orders[number]))
                if (number, place) not in billed:
                    quantity = billed[number, place] = rng.randint(1, orders[number][place])
                    script.append(apply("invoice", {"company": "PO", "invoice_number": f"{name}-I{i}", "order_number": number, "currency": "USD", "net_amount": quantity * 7,
                                                    "lines": [{"order_line": place + 1, "quantity": quantity, "net_amount": quantity * 7}]}))
            elif what == "memo" and billed:
                number, place = rng.choice(sorted(billed))
                quantity = rng.randint(1, billed[number, place])
                script.append(apply("invoice", {"company": "PO", "invoice_number": f"{name}-C{i}", "kind": "credit_memo", "order_number": number, "currency": "USD", "net_amount": quantity * 7,
                                                "lines": [{"order_line": place + 1, "quantity": quantity, "net_amount": quantity * 7}]}))
            elif what == "answer":
                script.append(apply("order", {"company": "PO", "order_number": rng.choice(sorted(orders)), "state": rng.choice(["booked", "rejected"])}))
        return "".join(script)

    def test_volume_mixture(self):
        """Six clients do all of it at once: what commands took never passes the volume (facts may: a cancelled order that is booked or billed after all)."""
        out = together([self.buyer(f"N{c}", SEED + c) for c in range(6)])
        errors = [line for line in out if line.startswith("ERROR")]
        self.assertEqual([line for line in errors if "SD070" not in line], [])
        self.assertGreater(out.count("accepted"), 0)
        self.assertEqual(psql(BROKEN), [])
        # whose price it was is who uses it
        self.assertEqual(psql("""SELECT o.order_number, l.line_no FROM dist.order_line l JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.item USING (item_id)
            WHERE sku = 'PO-C' AND (l.agreement_code = 'PO-MIX') <> EXISTS (SELECT FROM dist.commitment_use u WHERE u.document_key = 'PO/' || o.order_number AND u.line_no = l.line_no);"""), [])
        over = psql("SELECT 1 FROM dist.commitment JOIN dist.agreement USING (agreement_id) WHERE code = 'PO-MIX' AND quantity > 1000;")
        self.assertEqual(len(over), int(psql("SELECT count(*) FROM sync.exception WHERE kind = 'over_commitment' AND trace_key = 'PO-MIX' AND state = 'open';")[0]))


if __name__ == "__main__":
    unittest.main()
