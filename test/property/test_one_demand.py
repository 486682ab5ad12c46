"""One line, many voices: our reservation, the ERP's order line, the warehouse's allocation, the shipment, its posting in the book, what is cancelled
and what never happened, told in every order. After each of them the line is counted once: what may be promised is what there was, less the most
that anybody says is wanted, or that has left.

SEED=n repeats a run (which way each of them is told in, and where).
"""
import itertools
import random
import unittest

from test_inventory import SEED, BROKEN, COLD, HOT, events, literal, psql, reserve

STOCK = 20
# what each voice says of the line, in all: wanted by us, wanted in the ERP, allocated in the warehouse, gone; then cancelled down to what is gone
SAYS = {"reserved": 5, "ordered": 6, "allocated": 4, "shipped": 3}
AT = {"allocated": "2024-01-03T00:00:00Z", "shipped": "2024-01-04T00:00:00Z", "unallocated": "2024-01-05T00:00:00Z"}


def orders(names, rules):
    """All orders of names in which the second of each pair of rules does not come before the first."""
    return [order for order in itertools.permutations(names) if all(order.index(a) < order.index(b) for a, b in rules)]


class Line:
    """A line of an order for an item of its own, and what is told of it: each step is its SQL and what it changes in the words of the oracle."""

    def __init__(self, rng, name, undoes):
        self.sku, self.key, self.name = f"ONE-{name}", f"PROP/ONE{name}/1", name
        self.said = {"reserved": 0, "ordered": 0, "allocated": 0, "shipped": 0}
        self.by_event = rng.random() < 0.5  # the warehouse allocates by moving stock, otherwise by a document
        self.ships_by_event = undoes or rng.random() < 0.5  # otherwise by a shipment, whose document the book will name
        self.undone = False
        self.reference = self.key if self.ships_by_event else f"SH{name}"
        self.hot = rng.random() < 0.2

    def open(self):
        counts = [{"event_id": f"{self.name}-{side}", "sku": self.sku, "site": "PROP-S1", "kind": "count", "quantity": STOCK, "event_at": "2024-01-02T00:00:00Z"} for side in ("wms", "erp")]
        return (f"SELECT outcome FROM distsync.apply('item', {literal({'sku': self.sku, 'base_unit': 'EA'})}, 'distsync');\n" + events(counts[:1]) + events(counts[1:], "prop-erp")
                + (HOT if self.hot else COLD))

    def event(self, step, source="prop-wms", **doc):
        return events([dict({"event_id": f"{self.name}-{step}", "sku": self.sku, "site": "PROP-S1", "event_at": AT.get(step, "2024-01-06T00:00:00Z"), "reference": self.key}, **doc)], source)

    def document(self, entity, source, **doc):
        return f"SELECT outcome FROM distsync.apply('{entity}', {literal(dict({'demand_key': self.key, 'sku': self.sku, 'site': 'PROP-S1'}, **doc))}, '{source}');\n"

    def verb(self, call):
        return f"SELECT ({call}) IS NULL FROM dist.item i, dist.site s WHERE i.sku = '{self.sku}' AND s.code = 'PROP-S1';\n"

    def allocate(self, step, quantity):
        moved = {"to_state": "allocated"} if quantity > 0 else {"state": "allocated", "to_state": "available"}
        self.said["allocated"] += quantity
        if self.by_event:
            return self.event(step, kind="transfer", quantity=abs(quantity), **moved)
        return self.document("demand", "prop-wms", allocated=max(0, self.said["allocated"]))

    def step(self, name):
        """What is told, and from then on."""
        if name == "reserved":
            self.said["reserved"] = SAYS[name]
            return reserve([{"item": self.sku, "quantity": SAYS[name], "site": "PROP-S1", "demand_key": self.key}], commit=True)
        if name == "ordered":
            self.said["ordered"] = SAYS[name]
            return self.document("demand", "prop-erp", ordered=SAYS[name])
        if name == "allocated":
            return self.allocate(name, SAYS[name])
        if name == "unallocated":
            return self.allocate(name, SAYS["shipped"] - SAYS["allocated"])
        if name == "shipped":
            self.said["shipped"] += 0 if self.undone else SAYS[name]
            if self.ships_by_event:
                return self.event(name, kind="ship", quantity=SAYS[name], **({"state": "allocated"} if self.by_event else {}))
            return self.verb(f"SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, '{self.key}', {SAYS[name]}, '{AT[name]}', 'prop-wms', '{self.reference}')")
        if name == "posted":
            return self.event(name, "prop-erp", kind="ship", quantity=SAYS["shipped"], reference=self.reference)
        if name == "unshipped":
            # a reversal that is told first waits
            self.undone, self.said["shipped"] = True, 0
            return self.event(name, kind="reverse", reverses=f"{self.name}-shipped")
        assert name == "cancelled", name
        given = max(0, self.said["reserved"] - SAYS["shipped"])
        self.said["ordered"] = SAYS["shipped"]
        self.said["reserved"] -= given
        return self.document("demand", "prop-erp", ordered=SAYS["shipped"]) + (self.verb(f"SELECT distsync_internal.inventory_release('{self.key}', {given})") if given else "")

    def may_be_promised(self):
        return STOCK - max(self.said.values())


class OneDemand(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        out = psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\n"
                   "SELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\n"
                   "SELECT outcome FROM distsync.apply('unit', '{\"unit\":\"EA\"}', 'distsync');\n"
                   "SELECT outcome FROM distsync.apply('company', '{\"code\":\"PROP\",\"name\":\"p\",\"currency\":\"USD\"}', 'distsync');\n"
                   f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': f'PROP-S{i}', 'name': 's', 'company': 'PROP', 'rank': i} for i in (1, 2)])}, 'distsync');\n")
        assert not [line for line in out if "ERROR" in line], out

    def tell(self, orders_of_steps, seen):
        """Tells a line in each of these orders and compares what may be promised after each step in which the oracle knows it; some lines a session."""
        rng = random.Random(SEED)
        lines = [(order, Line(rng, f"{seen}{n}", "unshipped" in order)) for n, order in enumerate(orders_of_steps)]
        while lines:
            part, lines = lines[:40], lines[40:]
            scripts, wanted = zip(*[self.script(*of) for of in part])
            out = psql("".join(scripts))
            told = [[text for text in out if text.startswith(f"LOOK {line.name} ")] for _, line in part]
            for (order, line), looked, wants in zip(part, told, wanted):
                self.assertEqual(looked, wants, (order, vars(line)))
            self.assertEqual([text for text in out if "ERROR" in text or text in ("rejected", "duplicate")], [])
        self.assertEqual(psql(BROKEN + ";"), [])

    def script(self, order, line):
        """What is told of a line in an order, with a look at it after each step, and what is to be seen."""
        script, wanted = line.open(), []
        for place, name in enumerate(order):
            script += line.step(name)
            early = not line.undone and "shipped" in order[:place + 1] and line.by_event and line.ships_by_event and "allocated" in order and "allocated" not in order[:place + 1]
            ahead = "posted" in order[:place + 1] and "shipped" not in order[:place + 1]
            # what left the state allocated before it came there, or the book before the warehouse, is known when both are told
            side = "'?'" if early else "atp_phys" if ahead else "concat_ws(' ', atp, atp_phys, atp_book)"
            script += f"SELECT 'LOOK {line.name} ' || {side} FROM distsync.atp('{line.sku}', 1, NULL, 'PROP-S1');\n"
            number = str(line.may_be_promised())
            wanted.append(f"LOOK {line.name} " + ("?" if early else number if ahead else " ".join([number] * 3)))
        script += f"SELECT 'LOOK {line.name} ' || count(*) FROM sync.exception WHERE kind = 'over_shipped' AND state = 'open' AND entity_key = '{line.key}';\n"
        return script, wanted + [f"LOOK {line.name} 0"]

    def test_every_order(self):
        """Reservation, order line, allocation, shipment, cancellation of what has not left, in the order and in the warehouse."""
        self.tell(orders(("reserved", "ordered", "allocated", "shipped", "cancelled", "unallocated"), [("ordered", "cancelled"), ("reserved", "cancelled"), ("allocated", "unallocated")]), "A")

    def test_posting_in_every_order(self):
        """The book posts the shipment, before or after anybody else speaks of it."""
        self.tell(orders(("reserved", "ordered", "allocated", "shipped", "posted"), []), "B")


    def test_what_never_happened_in_every_order(self):
        """A shipment is reversed, also before it is told: the line is owed again."""
        self.tell(orders(("reserved", "ordered", "allocated", "shipped", "unshipped"), []), "C")
        self.assertEqual(psql("SELECT DISTINCT state FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku LIKE 'ONE-C%';"), ["committed"])


if __name__ == "__main__":
    unittest.main()
