#!/usr/bin/python3
"""A client that never gives up: mixed load against distsync through server crashes, and a record of what was acknowledged.

    load.py --dsn DSN --log FILE --seed N --secret whsec_…

Every operation has a key of its own and is repeated under it until it is acknowledged, as a good client does. One JSON line when it is begun
and one when it is acknowledged: the log is the oracle of the kill loop. Ends at SIGTERM between two operations, or when the operation
under way has failed for ten seconds.
"""
import argparse
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "partners"))
sys.dont_write_bytecode = True

import libpq
import webhook


class Client:
    """Plays random operations; remembers what it was told."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.random = random.Random(arguments.seed)
        self.session = libpq.Session(arguments.dsn, ["SET statement_timeout = '10s'"])
        self.log = open(arguments.log, "a", encoding="utf-8", buffering=1)
        self.stopping = False
        self.number = 0
        self.chosen = (None, None)  # key of a cancellation under way, and its order

    def stop(self, *_signal):
        """stop ends the client after the operation under way."""
        self.stopping = True

    def play(self):
        """play does one random operation after the other."""
        while not self.stopping:
            self.number += 1
            key = "%d-%d" % (self.arguments.seed, self.number)
            kind = self.random.choices(("order", "payment", "stock", "price", "cancel"), (5, 3, 4, 3, 1))[0]
            self.note("begun", kind, key, {})
            answer = self.insist(getattr(self, kind), key)
            if answer is None:
                return
            self.note("acknowledged", kind, key, answer)

    def note(self, what, kind, key, answer):
        """note writes a line of the log."""
        self.log.write(json.dumps({"what": what, "kind": kind, "key": key, "answer": answer, "at_ns": time.time_ns()}) + "\n")

    def insist(self, operation, key):
        """insist repeats an operation under its key until it is answered; None when told to stop and the server stays away."""
        state = self.random.getstate()
        deadline = None
        while True:
            self.random.setstate(state)
            try:
                return operation(key)
            except libpq.DatabaseError as error:
                # SD099 is a fail-point of the tests
                if error.sqlstate is not None and error.sqlstate != "SD099" and error.sqlstate[:2] not in ("57", "08", "40", "55", "53"):
                    raise
                if self.stopping:
                    deadline = deadline or time.monotonic() + 10
                    if time.monotonic() > deadline:
                        return None
                time.sleep(0.05)

    def order(self, key):
        """order submits one to three lines for a random customer; half of the customers have next to no credit."""
        lines = [{"line": n + 1, "item": "I%d" % self.random.randint(1, 20), "quantity": str(self.random.randint(1, 9)), "unit": "EA"}
                 for n in range(self.random.randint(1, 3))]
        document = {"company": "CM", "customer": "C%d" % self.random.randint(1, 10), "currency": "USD", "source": "shop", "lines": lines}
        row = self.session.run("SELECT order_number, credit_state FROM distsync.submit_order($1::jsonb, $2)", json.dumps(document), key)[0]
        return {"order_number": row["order_number"], "credit_state": row["credit_state"]}

    def cancel(self, key):
        """cancel cancels some open order; a repeated attempt means the same one, because the key stands for it."""
        if self.chosen[0] != key:
            rows = self.session.run("SELECT order_number FROM dist.sales_order WHERE state IN ('accepted', 'held', 'booked', 'sent') ORDER BY md5(order_number || $1) LIMIT 1", key)
            self.chosen = (key, rows[0]["order_number"] if rows else None)
        if self.chosen[1]:
            try:
                self.session.run("SELECT distsync.cancel_order($1, 'kill loop', $2)", self.chosen[1], key)
            except libpq.DatabaseError as error:
                if error.sqlstate != "SD070":  # cancelled by the attempt before the crash, or by somebody else
                    raise
        return {}

    def payment(self, key):
        """payment sends a signed payment message."""
        return self.message("payment", key, {"company": "CM", "payment_number": "P" + key, "customer": "C%d" % self.random.randint(1, 10),
                                             "received_at": "2026-06-01T00:00:00Z", "currency": "USD", "amount": str(self.random.randint(10, 500))})

    def stock(self, key):
        """stock sends a signed stock delta of one unit."""
        return self.message("stock_event", key, {"event_id": "E" + key, "kind": "delta", "perspective": "phys", "sku": "I%d" % self.random.randint(1, 20), "site": "S1",
                                                 "state": "available", "quantity": "1", "unit": "EA", "event_at": "2026-06-01T00:00:00Z"})

    def message(self, entity, key, document):
        """message hands a signed CloudEvent to receive()."""
        message_id = "m-" + key
        body = json.dumps({"specversion": "1.0", "id": message_id, "source": "erp", "type": entity, "data": document}).encode()
        headers = webhook.sign([self.arguments.secret], message_id, body)
        row = self.session.run("SELECT outcome, reason FROM distsync.receive('erp', $1::jsonb, $2)", json.dumps(headers), body)[0]
        if row["outcome"] not in ("accepted", "duplicate"):
            raise SystemExit("message %s was %s: %s" % (message_id, row["outcome"], row["reason"]))
        return {"outcome": row["outcome"]}

    def price(self, key):
        """price reads."""
        row = self.session.run("SELECT unit_price FROM distsync.price($1, $2, 1, 'EA', NULL, '{\"company\":\"CM\"}')",
                               "C%d" % self.random.randint(1, 10), "I%d" % self.random.randint(1, 20))[0]
        return {"unit_price": row["unit_price"], "key": key}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--secret", required=True)
    client = Client(parser.parse_args())
    signal.signal(signal.SIGTERM, client.stop)
    client.play()
