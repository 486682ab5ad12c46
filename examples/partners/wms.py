#!/usr/bin/python3
"""The WMS of the quickstart: takes shipment requests and keeps a queue of its own signed webhooks that distsync pulls.

    wms.py --port 0 --secret whsec_… --queue-secret whsec_… [--token TOKEN]

    GET /queue?cursor=C&limit=N -> {"messages": [{"id", "headers", "body_base64"}], "next_cursor": "…", "more": false}

The queue can be read again from any cursor; reading removes nothing. Messages keep their id, the signature is made at the time
of reading so that its timestamp is never stale. A cursor of an earlier life of this program starts at the beginning.
Actions: ship, delta, count, enqueue, send, fail (README.md).
"""
import base64
import hmac
import sys
import time

sys.dont_write_bytecode = True

import partner
import webhook

MAX_QUEUE = 100000
MAX_LIMIT = 1000


class Wms(partner.Partner):
    """The WMS of the quickstart: takes shipment requests, offers a queue of signed webhooks."""

    name = "wms"
    facts = {"ship": "shipment/1", "delta": "stock_event/1", "count": "stock_event/1"}

    def __init__(self, arguments):
        super().__init__(arguments)
        self.queue_secrets = arguments.queue_secret or arguments.door_secret
        self.token = arguments.token
        self.life = webhook.new_message_id()[4:12]
        self.queue = []  # (message id, body)
        self.shipments = 8000

    def complete(self, action, document):
        """complete numbers a shipment and says which kind of stock event it is."""
        with self.lock:
            if action == "ship" and "shipment_number" not in document:
                self.shipments += 1
                document["shipment_number"] = "WMS-%d" % self.shipments
            elif action in ("delta", "count"):
                document.setdefault("kind", action)
        return document

    def do(self, request):
        """do adds `enqueue`, a queued message of any content."""
        if request["action"] == "enqueue":
            return self.tell(request.get("document"), request, queued=True)
        return super().do(request)

    def tell(self, document, request, queued=None):
        """tell puts a message into the queue; only `send` pushes it to the door."""
        if queued is None:
            queued = request["action"] != "send"
        if not queued:
            return super().tell(document, request)
        message_id, body = self.render(document, request)
        with self.lock:
            if len(self.queue) >= MAX_QUEUE:
                raise ValueError("the queue is full")
            self.queue.append((message_id, body))
            cursor = self._cursor(len(self.queue))
        entry = self.log.write("queued", message_id=message_id, document=document, cursor=cursor, queued_ns=time.time_ns())
        return {"message_id": message_id, "cursor": cursor, "queued_ns": entry["queued_ns"], "document": document}

    def _cursor(self, position):
        return "%s-%d" % (self.life, position)

    def _position(self, cursor):
        life, _, position = (cursor or "").rpartition("-")
        if life != self.life or not position.isdigit() or int(position) > len(self.queue):
            return 0
        return int(position)

    def get(self, path, query, headers):
        """get serves the queue from a cursor."""
        if path != "/queue":
            return None
        given = headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if self.token and not hmac.compare_digest(given, ("Bearer " + self.token).encode("utf-8")):
            return 401, {"error": "a bearer token is needed"}
        limit = int(query.get("limit", 100))
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError("limit must be between 1 and %d" % MAX_LIMIT)
        with self.lock:
            start = self._position(query.get("cursor"))
            batch = self.queue[start:start + limit]
            stop, total = start + len(batch), len(self.queue)
        return 200, {"messages": [self._message(*entry) for entry in batch], "next_cursor": self._cursor(stop), "more": stop < total}

    def _message(self, message_id, body):
        headers = webhook.sign(self.queue_secrets, message_id, body) if self.queue_secrets else {"webhook-id": message_id}
        headers["content-type"] = "application/cloudevents+json" if b'"specversion"' in body[:40] else "application/json"
        return {"id": message_id, "headers": headers, "body_base64": base64.b64encode(body).decode("ascii")}


if __name__ == "__main__":
    parser = partner.options(Wms.__doc__)
    parser.add_argument("--queue-secret", action="append", default=[], help="secret the queued webhooks are signed with")
    parser.add_argument("--token", help="bearer token needed to read the queue")
    partner.run(Wms, parser)
