"""How long it takes from a commit, or from a payment, until a partner holds the signed message in his hands."""
import json
import os
import subprocess
import sys
import threading
import time
import http.client

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "partners"))
import libpq
import webhook

SECRET = "whsec_" + "QmVuY2htYXJrIHNlY3JldCBvZiAzMiBieXRlcyEhIQ=="


class Receiver:
    """A partner program that writes down when what arrived."""

    def __init__(self):
        partner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "partners", "crm.py")
        self.process = subprocess.Popen([sys.executable, "-B", partner, "--port", "0", "--secret", SECRET, "--stdin-lifeline", "--log", os.devnull],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.since = 0

    def wait_for(self, text, seconds=10):
        """wait_for returns when a valid message with a text arrived, in ns of the wall clock."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            connection.request("GET", "/log?since=%d&containing=%s&wait=2" % (self.since, text))
            found = json.loads(connection.getresponse().read())
            for message in found["messages"]:
                if text in json.dumps(message):
                    if message["signature"] != "valid":
                        raise SystemExit("a message with a signature that is %s" % message["signature"])
                    connection.close()
                    return message["arrived_ns"]
            self.since = found["next"]
        raise SystemExit("no message with %s in %d s" % (text, seconds))

    def stop(self):
        """stop ends the partner."""
        self.process.stdin.close()
        self.process.wait(10)


def p99(samples):
    """p99 is the value that 99 of 100 samples do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def told(session, receiver, code, events):
    """told makes an endpoint of the receiver for some event types."""
    session.run("SELECT distsync.add_system($1, 'crm')", code)
    session.run("SELECT distsync.add_endpoint($1, $1, $2, $3::jsonb)", code, "http://127.0.0.1:%d/" % receiver.port,
                json.dumps({"secret": SECRET, "allow_http": True, "allow_private": True}))
    for number, event in enumerate(events):
        session.run("SELECT distsync.add_route($1, $2, $3)", "%s-%d" % (code, number), code, event)


def deliver_latency(cluster, report):
    """deliver_latency measures from just before the writer's statement to the receipt over HTTP, one event at a time, machine idle."""
    receiver, session = Receiver(), libpq.Session(cluster.dsn)
    try:
        told(session, receiver, "bench-deliver", ["bench.event"])
        samples = []
        for number in range(-20, 500):
            began = time.time_ns()
            session.run("SELECT distsync_internal.base_emit('customer', 0, 'bench.event', 'bench', $1, '{}')", "d%d-" % number)
            arrived = receiver.wait_for("d%d-" % number)
            if number >= 0:
                samples.append((arrived - began) / 1e6)
            time.sleep(0.01)
        report(round(p99(samples), 2), "ms", peer="median of the same run", peer_value=round(sorted(samples)[len(samples) // 2], 2))
    finally:
        session.close()
        receiver.stop()


def release_latency(cluster, report):
    """release_latency measures from just before receive() of a signed payment to the receipt of order.released."""
    receiver, session = Receiver(), libpq.Session(cluster.dsn)
    try:
        cluster.script("bench/data/release.sql", secret="'" + SECRET + "'")
        told(session, receiver, "bench-release", ["order.released"])
        samples = []
        for number in range(-5, 200):
            order = session.run("SELECT order_number, credit_state, gross_amount FROM distsync.submit_order($1::jsonb, $2)", json.dumps(
                {"company": "R", "customer": "R-C", "currency": "USD", "source": "bench-erp", "lines": [{"line": 1, "item": "R-A", "quantity": "10", "unit": "EA"}]}),
                "bench-%d" % number)[0]
            if order["credit_state"] != "held":
                raise SystemExit("order %s is %s, not held" % (order["order_number"], order["credit_state"]))
            document = {"specversion": "1.0", "id": webhook.new_message_id(), "source": "bench-erp", "type": "payment", "data": {
                "company": "R", "payment_number": "P%d" % number, "customer": "R-C", "received_at": "2026-11-25T12:00:00Z", "currency": "USD", "amount": order["gross_amount"]}}
            body = json.dumps(document).encode()
            headers = webhook.sign([SECRET], document["id"], body)
            began = time.time_ns()
            answer = session.run("SELECT outcome, reason FROM distsync.receive('bench-erp', $1::jsonb, $2)", json.dumps(headers), body)[0]
            if answer["outcome"] != "accepted":
                raise SystemExit("the payment was %s: %s" % (answer["outcome"], answer["reason"]))
            arrived = receiver.wait_for(order["order_number"])
            if number >= 0:
                samples.append((arrived - began) / 1e6)
            time.sleep(0.01)
        report(round(p99(samples), 2), "ms", peer="median of the same run", peer_value=round(sorted(samples)[len(samples) // 2], 2))
    finally:
        session.close()
        receiver.stop()
