"""Snapshots of prices against a channel that knows nothing but docs/price_feed.md: it hashes the prices it has been told one by one, and
must come to the same buckets and root; the root changes if and only if a row does; a buyer of a profile stands for all of it.

SEED=n asks in other worlds, WORLDS=n in that many, WORLD=n in one only.
"""
from fractions import Fraction
import hashlib
import unittest

from pricing_cases import Case
from pricing_database import SOURCE, exact, literal, load_script, psql
from pricing_test import ONLY, PricesTest, count, seed, worlds
from pricing_world import DAY, text_of
from test_price_feed import midnight, steps

SEED = seed()
WORLDS = count("WORLDS", 5)
STEPS = 16


# --- the channel's side

def field(text):
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def number(value):
    """A decimal without zeros that say nothing."""
    scale = next(n for n in range(30) if (value * 10**n).denominator == 1)
    digits = str(int(value * 10**scale)).rjust(scale + 1, "0")
    return digits[:len(digits) - scale] + ("." + digits[len(digits) - scale:] if scale else "")


def line_of(row):
    """The line of a row: what is hashed."""
    if row["kind"] == "buyer":
        return "\t".join(["buyer", field(row["customer"]), field(row["buyer"])])
    return "\t".join(["price", field(row["buyer"]), field(row["item"]), field(row["unit"]), number(Fraction(row["quantity"])), number(Fraction(row["unit_price"])), row["currency"], str(row["price_per"])])


def bucket_of(line):
    parts = line.split("\t")
    return hashlib.sha256("\t".join(parts[:2 if parts[0] == "buyer" else 3]).encode()).digest()[0]


def buckets_of(lines):
    """The hashes of the 256 buckets of lines, and the root over them."""
    parts = [[] for _ in range(256)]
    for line in lines:
        parts[bucket_of(line)].append(line.encode())
    hashes = [hashlib.sha256(b"".join(line + b"\n" for line in sorted(part))).digest() for part in parts]
    return [h.hex() for h in hashes], hashlib.sha256(b"".join(hashes)).hexdigest()


# --- what is asked

def twins(case):
    """Adds two buyers that are alike in everything but their name, so that they share a profile, and some that differ from them in one thing."""
    parties = next(many for entity, many in case.first if entity == "party")
    above, n = case.rng.choice(case.customers), case.names
    like = {"name": "like", "roles": ["sold_to"], "parent": above, "groups": [{"kind": "buying_group", "code": n("G1")}], "price_class": n("P1")}
    many = [dict(like, code=n("C81")), dict(like, code=n("C82")), dict(like, code=n("C83"), groups=[]), dict(like, code=n("C84"), groups=[{"kind": "buying_group", "code": n("G2")}]),
            dict(like, code=n("C85"), price_class=None), dict(like, code=n("C86"), parent=None), dict(like, code=n("C87"), parent=n("C81"), groups=[]), dict(like, code=n("C88"), currency=case.money[1]), dict(like, code=n("C89"), parent=case.rng.choice(case.customers)), dict(like, code=n("C90"), price_class=n("P2"))]
    parties += many
    case.customers += [d["code"] for d in many]


class Session:
    """One psql session: after each step everything is priced one by one, and a snapshot is taken."""

    def __init__(self, case, at):
        self.case, self.at = case, literal(text_of(at))
        self.options = {"company": case.companies[0], "context": {"tier": "gold"}, "tax_rates": {"T1": "20", "T2": "7.5"}}
        self.channel = case.channels[0]
        ask = f"distsync.prices({literal(case.customers[0])}, {literal([{'item': case.skus[0]}])}, NULL, {literal(self.options)})"
        self.text = load_script([case.first], case.used, case.names, ask)

    def prices(self, name):
        """Every price, asked one by one: as in a snapshot without discounts off a sum, which change no unit price but end sooner."""
        case = self.case
        self.text += (f"\\echo @@prices {name}\nSELECT json_build_object('kind', 'price', 'buyer', p.code, 'item', r.item, 'unit', r.unit, 'quantity', r.quantity, 'unit_price', r.unit_price, 'currency', r.currency, "
                      f"'price_per', r.price_per, 'valid_until', r.valid_until) FROM dist.party p, dist.item i, LATERAL distsync.price(p.code, i.sku, 1, NULL, {self.at}, {literal(dict(self.options, channel=self.channel, without=['order']))}) r "
                      f"WHERE p.code = ANY ({literal('{' + ','.join(case.customers) + '}')}) AND i.status = 'active' AND r.outcome = 'priced';\n")

    def snapshot(self, name, **options):
        self.text += (f"\\echo @@snapshot {name}\nSELECT s.snapshot AS s{name}, to_jsonb(s) AS told FROM distsync.snapshot({literal(self.channel)}, {self.at}, {literal(dict(self.options, **options))}) s\n\\gset\n\\echo :told\n"
                      f"\\echo @@buckets {name}\nSELECT sha256 FROM distsync.snapshot_buckets(:s{name});\n\\echo @@rows {name}\nSELECT to_jsonb(r) FROM distsync.snapshot_rows(:s{name}) r;\n")

    def play(self, written):
        case = self.case
        for n, step in enumerate([None] + written):
            if step:
                self.text += f"\\echo @@step {n}\nSELECT outcome FROM distsync.apply_all('{step[0]}', {literal([step[1]])}, '{SOURCE}') WHERE outcome NOT IN ('applied', 'unchanged');\n"
            self.prices(n)
            self.snapshot(n, customers=case.customers)
            if n:
                self.text += (f"\\echo @@diff {n}\nSELECT to_jsonb(d) FROM distsync.diff_snapshot(:s{n}, to_jsonb(:s{n - 1})) d;\n"
                              f"\\echo @@drift {n}\nSELECT to_jsonb(d) FROM distsync.diff_snapshot(:s{n}, (SELECT jsonb_object_agg(bucket, sha256) FROM distsync.snapshot_buckets(:s{n - 1}))) d;\n"
                              f"\\echo @@sync {n}\nSELECT count(*) FROM distsync.diff_snapshot(:s{n}, (SELECT jsonb_agg(sha256 ORDER BY bucket) FROM distsync.snapshot_buckets(:s{n}))) d;\n")
        # by profile, in a world that has nobody else
        self.text += f"BEGIN;\nUPDATE dist.party SET status = 'inactive' WHERE code <> ALL ({literal('{' + ','.join(case.customers) + '}')}) AND status = 'active';\n"
        self.snapshot("profile")
        self.text += "ROLLBACK;\n"
        codes = [{"code": code, "status": "inactive"} for code in case.heads]
        self.text += f"\\echo @@forget\nSELECT outcome FROM distsync.apply_all('agreement', {literal(codes)}, '{SOURCE}') WHERE outcome NOT IN ('applied', 'unchanged');\n"
        return psql(self.text)


class Snapshots(PricesTest):
    seed = SEED

    def test_written_fields(self):
        """Codes with tabs, newlines and backslashes come back as they were, and numbers have one form."""
        said = ["a\tb", "\\", "\\t", "x\r\ny", "plain", "\\\\n", "ü\t"]
        out = psql("SELECT json_build_array(distsync_internal.pricing_field(v), distsync_internal.pricing_unfield(distsync_internal.pricing_field(v))) "
                   f"FROM jsonb_array_elements_text({literal(said)}) WITH ORDINALITY u(v, n) ORDER BY n;\n")[""]
        self.assertEqual([exact(line) for line in out], [[field(v), v] for v in said])
        self.assertEqual([number(Fraction(v)) for v in ("1.50", "0", "100", "0.0001", "12.34567891")], ["1.5", "0", "100", "0.0001", "12.34567891"])

    def test_channel_comes_to_the_same(self):
        changed = unchanged = shared = 0
        for world in worlds(WORLDS):
            self.policy_of(world)
            case = Case(f"{SEED} snapshot {world}", next(self.names))
            twins(case)
            written = steps(case)[:STEPS]
            parts = Session(case, midnight(case.pivots[3]) + DAY).play(written)
            where = f"SEED={SEED} WORLD={world}"
            wrong = [f"{name}: {line}" for name, lines in parts.items() for line in lines if line.startswith("ERROR") or name.startswith(("step", "forget"))]
            self.assertEqual(wrong, [], where)
            before = None
            for n in range(len(written) + 1):
                lines = self.agree(parts, n, case, f"{where} step {n} {written[n - 1] if n else ''}")
                if n:
                    moved = self.differ(parts, n, before, lines, where)
                    changed, unchanged = changed + moved, unchanged + (not moved)
                before = lines
            shared += self.profiles(parts, len(written), where)
        self.assertTrue(ONLY or changed and unchanged and shared, (changed, unchanged, shared))
        print(f"{changed} steps changed a root and {unchanged} did not; {shared} customers had the sheet of another", flush=True)

    def agree(self, parts, n, case, where):
        """What the channel hashes is what was hashed here."""
        prices = [exact(line) for line in parts[f"prices {n}"]]
        lines = sorted([line_of(row) for row in prices] + [line_of({"kind": "buyer", "customer": c, "buyer": c}) for c in case.customers])
        hashes, root = buckets_of(lines)
        told = exact(parts[f"snapshot {n}"][0])
        rows = [exact(line) for line in parts[f"rows {n}"]]
        self.assertEqual(sorted(row["line"] for row in rows), lines, where)
        self.assertEqual([line_of(row) for row in rows], [row["line"] for row in rows], where)
        self.assertEqual((parts[f"buckets {n}"], told["root_sha256"], told["rows"]), (hashes, root, len(lines)), where)
        self.assertEqual(told["valid_until"], min((row["valid_until"] for row in prices if row["valid_until"]), default=None), where)
        return lines

    def differ(self, parts, n, before, lines, where):
        """The root changed if a row did and only then; both ways to compare find just that."""
        roots = [exact(parts[f"snapshot {k}"][0])["root_sha256"] for k in (n - 1, n)]
        self.assertEqual(roots[0] != roots[1], before != lines, f"{where} step {n}")
        found = {(row["side"], row["line"]) for row in (exact(line) for line in parts[f"diff {n}"])}
        self.assertEqual(found, {("ours", line) for line in set(lines) - set(before)} | {("theirs", line) for line in set(before) - set(lines)}, f"{where} step {n}")
        touched = {bucket_of(line) for line in set(lines) ^ set(before)}
        drift = [exact(line) for line in parts[f"drift {n}"]]
        self.assertEqual(sorted(row["line"] for row in drift if row["kind"] != "empty"), [line for line in lines if bucket_of(line) in touched], f"{where} step {n}")
        self.assertEqual({row["bucket"] for row in drift}, touched, f"{where} step {n}")
        self.assertEqual(parts[f"sync {n}"], ["0"], f"{where} step {n}")
        return before != lines

    def profiles(self, parts, last, where):
        """Each customer pays what the buyer of its profile pays; returns how many have the sheet of another one."""
        alone = {}
        for row in (exact(line) for line in parts[f"prices {last}"]):
            alone.setdefault(row["buyer"], set()).add(line_of(dict(row, buyer="")))
        rows = [exact(line) for line in parts["rows profile"]]
        sheets, buyers = {}, {row["customer"]: row["buyer"] for row in rows if row["kind"] == "buyer"}
        for row in rows:
            if row["kind"] == "price":
                sheets.setdefault(row["buyer"], set()).add(line_of(dict(row, buyer="")))
        self.assertEqual({c: sheets.get(b, set()) for c, b in buyers.items()}, {c: alone.get(c, set()) for c in buyers}, where)
        self.assertEqual(buckets_of([line_of(row) for row in rows])[1], exact(parts["snapshot profile"][0])["root_sha256"], where)
        until = [exact(line)["valid_until"] for line in parts[f"prices {last}"]]
        self.assertEqual(exact(parts["snapshot profile"][0])["valid_until"], min(filter(None, until), default=None), where)
        return sum(c != b for c, b in buyers.items())


if __name__ == "__main__":
    unittest.main()
