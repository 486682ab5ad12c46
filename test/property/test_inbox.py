"""Messages that come twice, out of order, tampered with, late or malformed, over several connections, while clerks work.

The oracle is kept beside the door: what each call must answer, what must be in the books afterwards. Signatures are made by
the partner programs' own code. SEED=n repeats a run.
"""
import json
import os
import random
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "partners"))
sys.dont_write_bytecode = True

import libpq
import webhook

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BROKEN = [b"\xff\xfe", b"", b"{", b'{"currency": "QQQ", "name": "\\u0000"}', b"[" * 5000, b'{"currency": "QQQ", "currency": "QQR"}',
          b'{"currency": NaN}', b'{"currency": "QQQ", "minor_units": "NaN"}', b'{"currency": "QQQ", "minor_units": 1e400}', b"null", b"12"]
REFUSED = {"tampered": "signature_invalid", "foreign": "signature_invalid", "stale": "timestamp_stale", "unsigned": "signature_missing"}


def psql(sql):
    """psql runs a statement and returns its output."""
    done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.strip()


class Sender:
    """One partner: its messages, what it does with them, and what must come of it."""

    def __init__(self, number, seed):
        self.random = random.Random("%s/%s" % (seed, number))
        self.code, self.letter = "ibp_%d" % number, LETTERS[number]
        self.secret, self.foreign = webhook.new_secret(), webhook.new_secret()
        self.expected = {}  # message id -> body that must have been taken
        self.order = []  # message ids in the order they were taken
        self.conflicts = set()
        self.refused = 0
        self.wrong = []

    def messages(self, count):
        """messages makes bodies: several for each currency, so that the order shows in the last name."""
        for i in range(count):
            if self.random.random() < 0.25:
                yield "%s-%d" % (self.code, i), self.random.choice(BROKEN)
            else:
                currency = "Q" + self.letter + self.random.choice(LETTERS[:6])
                yield "%s-%d" % (self.code, i), json.dumps({"currency": currency, "name": "name %d" % i}).encode()

    def plan(self, count):
        """plan repeats, shuffles and spoils the messages: (kind, id, body) in the order they are sent."""
        calls = []
        for message_id, body in self.messages(count):
            calls += [("good", message_id, body)] * self.random.choice([1, 1, 2, 4])
            calls += [(kind, message_id, body) for kind in list(REFUSED) + ["conflict"] if self.random.random() < 0.2]
        self.random.shuffle(calls)
        return calls

    def answer_due(self, kind, message_id, body):
        """answer_due returns what the door must say, and remembers what follows from it."""
        if kind in REFUSED:
            self.refused += 1
            return "refused", REFUSED[kind]
        known = self.expected.get(message_id)
        if known is None:
            self.expected[message_id] = body
            self.order.append(message_id)
            return "accepted", None
        if known == body:
            return "duplicate", None
        self.conflicts.add((message_id, body))
        self.refused += 1
        return "refused", "conflict"

    def call(self, door, kind, message_id, body):
        """call sends one message and compares the answer with the oracle's."""
        if kind == "conflict":
            body = body + b" "
        headers = webhook.sign([self.foreign if kind == "foreign" else self.secret], message_id, body, 1600000000 if kind == "stale" else None)
        if kind == "tampered":
            body = body + b" "
        elif kind == "unsigned":
            del headers["webhook-signature"]
        answer = door.execute([self.code, json.dumps(headers), body])[0]
        due = self.answer_due(kind, message_id, body)
        if (answer["outcome"], answer["reason"]) != due:
            self.wrong.append((kind, message_id, body, answer, due))

    def run(self, count):
        """run sends everything over a connection of its own."""
        door = libpq.Statement("", "SELECT * FROM distsync.receive($1::text, $2::jsonb, $3::bytea)")
        try:
            for kind, message_id, body in self.plan(count):
                self.call(door, kind, message_id, body)
        except Exception as error:
            self.wrong.append(error)
        finally:
            door.close()

    def names(self):
        """names returns currency -> name as the messages, in the order they were taken, leave it."""
        names = {}
        for message_id in self.order:
            if self.expected[message_id].startswith(b'{"currency": "Q%b' % self.letter.encode()):
                document = json.loads(self.expected[message_id])
                names[document["currency"]] = document["name"]
        return names


class Inbox(unittest.TestCase):
    """Exactly once, in order, nothing lost, nothing believed."""

    def clean(self):
        psql("DELETE FROM sync.inbox WHERE source LIKE 'ibp%'; DELETE FROM sync.dedupe WHERE source LIKE 'ibp%'; DELETE FROM sync.refused WHERE source LIKE 'ibp%';"
             "DELETE FROM sync.exception WHERE trace_key LIKE 'inbox:ibp%'; DELETE FROM sync.secret WHERE code LIKE 'ibp%'; DELETE FROM sync.source WHERE code LIKE 'ibp%';"
             "DELETE FROM dist.currency WHERE currency LIKE 'Q__'; INSERT INTO sync.system (code, kind) VALUES ('ibp', 'erp') ON CONFLICT DO NOTHING")

    def clerk(self, stop, failures, chance):
        """clerk does what the background worker does: the task again and again, each call a transaction."""
        task = libpq.Statement("", "SELECT distsync_internal.inbox_apply($1::integer) AS n")
        try:
            while True:
                ended = stop.is_set()
                if task.execute([str(chance.choice([1, 2, 7, 100]))])[0]["n"] == "0":
                    if ended:
                        return
                    stop.wait(0.01)
        except Exception as error:
            failures.append(error)
        finally:
            task.close()

    def one_history(self, seed):
        senders = [Sender(number, seed) for number in range(3)]
        for sender in senders:
            psql("SELECT distsync.add_source('%s', 'ibp', '{\"secret\": \"%s\", \"entity\": \"currency\"}')" % (sender.code, sender.secret))
        stop, failures = threading.Event(), []
        clerks = [threading.Thread(target=self.clerk, args=(stop, failures, random.Random("%s/clerk%d" % (seed, n)))) for n in range(2)]
        partners = [threading.Thread(target=sender.run, args=(40,)) for sender in senders]
        for thread in clerks + partners:
            thread.start()
        for thread in partners:
            thread.join()
        stop.set()
        for thread in clerks:
            thread.join()
        self.assertEqual(failures, [])
        # what met a lock while both clerks ended waits for its next try
        while psql("SELECT count(*) FROM sync.inbox WHERE source LIKE 'ibp%' AND state = 'received'") != "0":
            psql("SELECT distsync_internal.inbox_apply(100)")
        for sender in senders:
            self.check(sender)
        self.assertEqual(psql("SELECT * FROM distsync_internal.inbox_verify_messages()"), "")

    def check(self, sender):
        """check compares what is kept of a sender with what its oracle says."""
        self.assertEqual(sender.wrong, [])
        rows = [line.split("|") for line in psql(
            "SELECT message_id, encode(body, 'hex'), state, COALESCE(error ->> 'reason', '') FROM sync.inbox"
            " WHERE source = '%s' ORDER BY inbox_id" % sender.code).splitlines()]
        taken = [row for row in rows if row[3] == ""]
        self.assertEqual([row[0] for row in taken], sender.order)
        self.assertEqual({row[0]: bytes.fromhex(row[1]) for row in taken}, sender.expected)
        for row in taken:
            self.assertEqual(row[2], "quarantined" if bytes.fromhex(row[1]).strip() in BROKEN else "applied", row)
        self.assertEqual({(row[0], bytes.fromhex(row[1])) for row in rows if row[3] == "conflict"}, sender.conflicts)
        self.assertEqual(psql("SELECT COALESCE(sum(n), 0) FROM sync.refused WHERE source = '%s'" % sender.code), str(sender.refused))
        books = psql("SELECT currency, name FROM dist.currency WHERE currency LIKE 'Q%s_'" % sender.letter).splitlines()
        self.assertEqual(dict(line.split("|") for line in books), sender.names())

    def test_histories(self):
        """Whatever partners do, each message counts once, in its order, and what is wrong with it is answered or kept."""
        seeds = [int(os.environ["SEED"])] if "SEED" in os.environ else [1, 2, random.randrange(10 ** 9)]
        for seed in seeds:
            with self.subTest(seed=seed):
                self.clean()
                self.one_history(seed)
        self.clean()

    def test_scan(self):
        """The look over a body finds a doubled key, however it is written, and the depth, as Python's parser does."""
        chance = random.Random(os.environ.get("SEED", "scan"))
        bodies = [write(chance, chance.randrange(1, 7)) for _ in range(2000)]
        scan = libpq.Statement("", "SELECT split_part(distsync_internal.inbox_scan($1::bytea, 5), ':', 1) AS problem")
        seen = set()
        try:
            for body in bodies:
                due = judge(body)
                seen.add(due)
                self.assertEqual(scan.execute([body.encode()])[0]["problem"], due, body)
        finally:
            scan.close()
        self.assertEqual(seen, {None, "depth", "duplicate_key"})


def write(chance, depth):
    """write makes JSON with few different keys, each written in one of several ways."""
    if depth == 0 or chance.random() < 0.2:
        return chance.choice(["1", "-2.50", "null", '"{[\\\\"', '"\\u00e9\\"]"', "true"])
    if chance.random() < 0.3:
        return "[%s]" % ", ".join(write(chance, depth - 1) for _ in range(chance.randrange(3)))
    keys = [chance.choice(['"a"', '"\\u0061"', '"b"', '"\u00e9"', '"\\u00e9"', '"\\u00E9"', '"\\ud83d\\ude00"', '"\U0001F600"', '"c\\"d"', '"c\\u0022d"', '"e\\/"', '"e/"'])
            for _ in range(chance.randrange(4))]
    return "{%s}" % ",".join("%s: %s" % (key, write(chance, depth - 1)) for key in keys)


def judge(body):
    """judge says what the look over a body must find first: it reads from left to right and closes objects as it goes."""
    depth, closed, deep = 0, 0, False
    for c in unquoted(body):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(c, 0)
        closed += c == "}"
        deep = depth > 5
        if deep:
            break
    found = []
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: found.append(len(pairs) != len(dict(pairs))))
    decoder.decode(body)
    if any(found[:closed] if deep else found):
        return "duplicate_key"
    return "depth" if deep else None


def unquoted(body):
    """unquoted yields the characters of JSON that stand outside strings."""
    inside, skip = False, False
    for c in body:
        if skip:
            skip = False
        elif inside:
            skip, inside = c == "\\", c != '"'
        elif c == '"':
            inside = True
        else:
            yield c


if __name__ == "__main__":
    unittest.main()
