"""Tokens of portals, fuzzed: what use_token() lets in is what an independent reader of JWTs lets in, for the same customers, and nothing else raises.

SEED=n repeats a run, TIMES=n makes n times as many tokens (1,500). Tokens are well made, made wrong on purpose, damaged before they are signed (so that the
parser sees it), or after (so that the signature must). The parser is SQL: under `make sanitize T=property:test_tokens` the server below it has sanitizers.
"""
import base64
import binascii
import hashlib
import hmac
import json
import os
import random
import re
import subprocess
import time
import unittest
from decimal import Decimal

from test_orders import QUIET, literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
TOKENS = 1500 * int(os.environ.get("TIMES") or 1)
KEY, OTHER = "k" * 20 + "0123456789ab", "o" * 32
CUSTOMERS = {"PT-A", "PT-B", "PT-Ü"}
MAX_AGE = 3600


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(signed, key=KEY, how=hashlib.sha256):
    return encode(hmac.new(key.encode(), signed.encode(), how).digest())


def part(text):
    """The JSON object that a part holds, or None."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        return None
    try:
        value = json.loads(base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4)).decode("utf-8"), parse_float=Decimal, parse_int=Decimal, parse_constant=float.fromhex)
    except (binascii.Error, ValueError, ArithmeticError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def seconds(value):
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() and 0 <= value < 10**11 else None


def reads(token, now):
    """The customers that a token gives, none if it is to be refused."""
    parts = token.split(".")
    if len(token) > 8192 or len(parts) != 3 or not all(parts) or not re.fullmatch(r"[A-Za-z0-9_-]{43}", parts[2]):
        return set()
    head, claims = part(parts[0]), part(parts[1])
    if head is None or claims is None or not isinstance(head.get("kid"), str) or "crit" in head or head.get("alg") != "HS256" or head["kid"] != "pt":
        return set()
    if base64.urlsafe_b64decode(parts[2] + "=") != hmac.new(KEY.encode(), f"{parts[0]}.{parts[1]}".encode(), hashlib.sha256).digest():
        return set()
    aud, exp, customers = claims.get("aud"), seconds(claims.get("exp")), claims.get("customers")
    if aud != "distsync" and not (isinstance(aud, list) and "distsync" in aud):
        return set()
    if exp is None or not now < exp <= now + MAX_AGE or "nbf" in claims and not (seconds(claims["nbf"]) is not None and seconds(claims["nbf"]) <= now):
        return set()
    if not isinstance(customers, list) or not 1 <= len(customers) <= 100 or not all(isinstance(c, str) for c in customers):
        return set()
    return CUSTOMERS & set(customers)


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rng = random.Random(SEED)
        print(f"SEED={SEED}", flush=True)
        out = psql("CREATE EXTENSION IF NOT EXISTS distsync CASCADE;\nSELECT distsync.setup();\nSELECT distsync.add_system('pt-erp', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = 'pt-erp');\n"
                   + "".join(f"SELECT outcome FROM distsync.apply('party', {literal({'code': c, 'name': c})}, 'pt-erp');\n" for c in sorted(CUSTOMERS))
                   + f"DROP ROLE IF EXISTS pt_pool;\nCREATE ROLE pt_pool LOGIN IN ROLE distsync_portal;\nSELECT distsync.rotate_scope_key('pt', '{KEY}', '0');\nSELECT distsync.rotate_scope_key('pt-other', '{OTHER}', '0');\n")
        assert not [line for line in out if "ERROR" in line], out

    @classmethod
    def tearDownClass(cls):
        psql("DROP ROLE pt_pool;\n")

    def any_value(self, depth=0):
        rng = self.rng
        return rng.choice([lambda: None, lambda: True, lambda: "", lambda: "HS256", lambda: "distsync", lambda: "pt", lambda: "PT-A", lambda: "PT-A ", lambda: "pt-a", lambda: "РТ-A", lambda: "\u0000", lambda: "\ud800", lambda: "'; DROP TABLE dist.party --",
                           lambda: "x" * rng.randint(1, 9000), lambda: 0, lambda: -1, lambda: 10**30, lambda: 1e300, lambda: time.time() + 60, lambda: int(time.time()) + rng.randint(-100, 5000),
                           lambda: [self.any_value(depth + 1) for _ in range(rng.randint(0, 4))] if depth < 4 else [], lambda: {rng.choice(["kid", "exp", "$", ""]): self.any_value(depth + 1)} if depth < 4 else {},
                           lambda: ["PT-A"] * rng.randint(0, 110)])()

    def damage(self, text):
        """A text with some of its characters gone, doubled, exchanged or put in."""
        rng = self.rng
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text) + 1)
            text = rng.choice([lambda: text[:at] + text[at + rng.randint(1, 5):], lambda: text[:at] + rng.choice("\"{}[],:.=+/-_eE0\\ \t\n'é\u0001") + text[at:], lambda: text[:at], lambda: text[:at] + text[at:at + 9] + text[at:],
                               lambda: text[:at] + (chr(ord(text[at]) ^ (1 << rng.randrange(6))) if at < len(text) else "") + text[at + 1:], lambda: text[at:] + text[:at]])()
        return text.replace("\x00", "")

    def token(self):
        rng = self.rng
        head = {"alg": "HS256", "typ": "JWT", "kid": "pt"}
        claims = {"aud": rng.choice(["distsync", ["other", "distsync"]]), "customers": rng.sample(sorted(CUSTOMERS) + ["PT-NONE"], rng.randint(1, 3)), "exp": int(time.time()) + rng.randint(200, 3000), "sub": "ann"}
        if rng.random() < 0.3:
            claims["nbf"] = int(time.time()) - rng.randint(1, 1000)
        how = rng.random()
        if how < 0.45:
            for _ in range(rng.randint(1, 2)):
                of = rng.choice([head, claims])
                name = rng.choice(sorted(of) + ["nbf", "crit", "exp", "customers"])
                if rng.random() < 0.2:
                    of.pop(name, None)
                else:
                    of[name] = self.any_value()
        texts = [json.dumps(x, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])) for x in (head, claims)]
        if 0.45 < how < 0.7:
            texts[rng.randrange(2)] = self.damage(texts[rng.randrange(2)])
        signed = ".".join(encode(text.encode("utf-8", "surrogatepass")) for text in texts)
        token = signed + "." + (sign(signed) if rng.random() < 0.93 else rng.choice([lambda: sign(signed, OTHER), lambda: sign(signed, ""), lambda: sign(signed, KEY, hashlib.sha512), lambda: "", lambda: sign(signed)[:-1], lambda: sign(signed) + "="])())
        return self.damage(token) if 0.7 < how < 0.85 else token

    def test_tokens(self):
        tokens = [self.token() for _ in range(TOKENS)]
        script = "SET ROLE pt_pool;\n" + "".join(f"\\echo #{n}\nSELECT distsync.use_token(convert_from('\\x{token.encode().hex()}', 'UTF8')), ARRAY(SELECT customer FROM distsync.scope() ORDER BY 1);\n" for n, token in enumerate(tokens))
        now, said, n = time.time(), [[] for _ in tokens], -1
        out = subprocess.run(["psql", "-XqAt"], input=QUIET + script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
        for line in out.splitlines():
            if line.startswith("#"):
                n = int(line[1:])
            else:
                said[n].append(line)
        let_in = strict = 0
        for token, lines in zip(tokens, said):
            told, what = "\n".join(lines), (token, lines)
            self.assertNotIn(KEY, told, what)
            expected = reads(token, now)
            if lines[0].startswith("ERROR"):
                self.assertRegex(lines[0], r"^ERROR:  SD013: the token was refused$", what)
                # PostgreSQL reads no NUL, no half of a character and no number without end; an instant is written without a point
                strict += bool(expected)
            else:
                got = set(re.findall(r'"?([^",{}]+)"?', lines[0].split("|")[1]))
                self.assertEqual(got, expected, what)
                self.assertTrue(got, what)
                let_in += 1
        print(f"{let_in} of {len(tokens)} let in, {strict} refused that another reader takes", flush=True)
        self.assertGreater(let_in, len(tokens) // 10)
        self.assertLess(strict, len(tokens) // 50)
        self.assertEqual(psql("SELECT 1;\n"), ["1"])


if __name__ == "__main__":
    unittest.main()
