#!/usr/bin/python3
"""The ERP of the quickstart: takes orders, gives them its own number, and states facts about invoices and payments.

    erp.py --port 0 --secret whsec_… --door http://127.0.0.1:8080/in/erp --door-secret whsec_…

Actions: confirm_order, invoice, payment, send, fail (README.md).
"""
import sys

sys.dont_write_bytecode = True

import partner


class Erp(partner.Partner):
    """The ERP of the quickstart: takes orders, gives them its own number, sends facts."""

    name = "erp"
    facts = {"confirm_order": "order/1", "invoice": "invoice/1", "payment": "payment/1"}

    def __init__(self, arguments):
        super().__init__(arguments)
        self.order_numbers = {}  # reference of the order at distsync -> our number
        self.counters = {"ERP": 10000, "INV": 50000, "RCPT": 70000}

    def _next(self, series):
        self.counters[series] += 1
        return "%s-%d" % (series, self.counters[series])

    def receive(self, event):
        """receive books an order under a number of ours, the same one however often it is sent."""
        reference = reference_of(event)
        if reference is None:
            return 200, {"ok": True}
        if reference not in self.order_numbers:
            self.order_numbers[reference] = self._next("ERP")
        return 200, {"order_number": self.order_numbers[reference]}

    def complete(self, action, document):
        """complete adds our number to a fact that has none."""
        with self.lock:
            if action == "confirm_order":
                known = self.order_numbers.get(document.get("order_number"))
                if known:
                    document.setdefault("owner_number", known)
            elif action == "invoice" and "invoice_number" not in document:
                document["invoice_number"] = self._next("INV")
            elif action == "payment" and "payment_number" not in document:
                document["payment_number"] = self._next("RCPT")
        return document

    def get(self, path, _query, _headers):
        """get shows the order book."""
        return (200, {"orders": dict(self.order_numbers)}) if path == "/orders" else None


def reference_of(event):
    """reference_of finds the number of the order an event is about; None if it is about something else."""
    kind = str(event.get("type") or event.get("schema") or "")
    if "order" not in kind:
        return None
    data = partner.data_of(event)
    for field in ("order_number", "order", "number"):
        if isinstance(data.get(field), str):
            return data[field]
    return event.get("subject")


if __name__ == "__main__":
    partner.run(Erp)
