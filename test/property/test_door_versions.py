"""Any order, any repetition, any grouping of versioned documents leads to the same books.

The oracle needs no server: of whole documents the newest version counts, of patches the newest version of each field.
"""
import json
import random
import subprocess
import unittest

FIELDS = ["name", "segment", "price_class", "payment_terms", "colour", "size"]  # the last two are unknown and go to ext
SEED = 20260514


def psql(sql):
    """Runs SQL in the database that PGHOST, PGUSER and PGDATABASE name; the rows, as text."""
    done = subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1"], input=sql, capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout.splitlines()


def literal(value):
    return "'" + json.dumps(value).replace("'", "''") + "'"


def history(rng, patches):
    """Versions of one party: whole documents, or patches of some of its fields."""
    documents = []
    for version in range(1, rng.randint(3, 8)):
        names = rng.sample(FIELDS, rng.randint(1, len(FIELDS))) if patches else FIELDS
        documents.append({"version": version, **{f: f"{f}-{version}" for f in names}})
    if patches:
        documents[0]["name"] = "name-1"
    return documents


def expected(documents):
    """What the books must say in the end."""
    state = {}
    for document in sorted(documents, key=lambda d: d["version"]):
        state.update({k: v for k, v in document.items() if k != "version"})
    return state


def deliver(rng, code, documents):
    """The documents with duplicates, shuffled, cut into calls. The first one creates the party, so it may not lack a name."""
    sent = [dict(d, code=code) for d in documents for _ in range(rng.randint(1, 3))]
    rng.shuffle(sent)
    first = next(i for i, d in enumerate(sent) if "name" in d)
    sent.insert(0, sent.pop(first))
    calls = []
    while sent:
        n = rng.randint(1, len(sent))
        calls.append(sent[:n])
        sent = sent[n:]
    return calls


def books(prefix):
    rows = psql(f"""
        SELECT jsonb_build_object('code', code, 'state', jsonb_strip_nulls(jsonb_build_object('name', name, 'segment', NULLIF(segment, ''),
            'price_class', price_class, 'payment_terms', payment_terms)) || ext)
        FROM dist.party WHERE code LIKE '{prefix}%'""")
    return {row["code"]: row["state"] for row in map(json.loads, rows)}


class Versions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        psql("INSERT INTO sync.system (code, kind) VALUES ('pv-erp', 'erp') ON CONFLICT DO NOTHING;")

    def check(self, prefix, patches):
        rng = random.Random(SEED)
        wanted, statements = {}, []
        for party in range(40):
            code = f"{prefix}{party:03d}"
            documents = history(rng, patches)
            wanted[code] = expected(documents)
            for call in deliver(rng, code, documents):
                mode = "patch" if patches else "document"
                statements.append("SELECT count(*) FROM distsync.apply_all('party', %s, 'pv-erp', options => '{\"mode\":\"%s\"}');" % (literal(call), mode))
        psql("\n".join(statements))
        self.assertEqual(books(prefix), wanted)

    def test_whole_documents_in_any_order(self):
        self.check("PV-W", patches=False)

    def test_patches_in_any_order(self):
        self.check("PV-P", patches=True)

    def test_two_sessions_at_once(self):
        """Two sessions race with the same versions in opposite order: nothing deadlocks, the newest wins."""
        documents = [[{"code": f"PV-R{party:02d}", "version": v, "name": f"name-{v}"} for party in range(20)] for v in range(1, 9)]
        forward = "\n".join("SELECT count(*) FROM distsync.apply_all('party', %s, 'pv-erp');" % literal(d) for d in documents)
        backward = "\n".join("SELECT count(*) FROM distsync.apply_all('party', %s, 'pv-erp');" % literal(list(reversed(d))) for d in reversed(documents))
        sessions = [subprocess.Popen(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        for session, sql in zip(sessions, (forward, backward)):
            session.stdin.write(sql)
            session.stdin.close()
        for session in sessions:
            self.assertEqual(session.wait(), 0, session.stderr.read())
            session.stdout.close()
            session.stderr.close()
        self.assertEqual({state["name"] for state in books("PV-R").values()}, {"name-8"})
        self.assertEqual(len(books("PV-R")), 20)


if __name__ == "__main__":
    unittest.main()
