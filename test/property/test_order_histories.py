"""Order to cash against an independent model: random histories are played into the database and into Python, and compared after every step.

ledger_model.py, horizon_model.py, order_model.py, again_model.py, return_model.py and void_model.py are the model, order_histories.py and return_histories.py make the histories, order_calls.py tells them to the database.
HISTORIES=n plays so many (TIMES: as many times as usual), FROM=n from that one on, PLAYERS=p in so many processes with a database each, SEED=s HISTORY=n one of them again; STEPS= how long they are. A difference is shown with
the smallest history that still has it, as it can be put into FIXED of order_histories.py.
"""
from datetime import datetime, timedelta, timezone
from decimal import Decimal
import json
import os
import random
import re
import subprocess
import sys
import time
import unittest

import order_histories
from order_calls import literal, sql, told
from order_histories import COMPANIES, PARTIES, PRICES, RATES, books, play, price_list

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
HISTORIES = int(os.environ.get("HISTORIES") or 80 * int(os.environ.get("TIMES") or 1))
PLAYERS = int(os.environ.get("PLAYERS") or 1)
FROM = int(os.environ.get("FROM") or 0)     # the first that is played
PART = int(os.environ.get("PART") or 0)     # of a player: which of the PLAYERS it is
STEPS = int(os.environ.get("STEPS") or 25)
DAY = os.environ.get("DAY") or (datetime.now(timezone.utc).date() + timedelta(days=1)).isoformat()     # after all that the test has set up
START = datetime.fromisoformat(DAY + "T15:00:00+00:00")
TERMS = ("receivable", "unbilled", "open_orders", "unapplied", "deposits", "credits", "disputed", "held_demand")
PAYERS = ["OH-P", "OH-Q", "OH-R"]
MARK = "@@"
SET = """SET client_min_messages = warning;
\\set VERBOSITY verbose
\\set SHOW_CONTEXT never
\\set ON_ERROR_ROLLBACK on
SET timezone = 'UTC';
SET plan_cache_mode = force_generic_plan;
"""
BROKEN = "PREPARE broken AS " + " UNION ALL ".join(f"SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.{check}()" for check in
                            ("order_verify_exposure", "order_verify_orders", "credit_verify_counters", "credit_verify_items", "credit_verify_releases", "order_verify_offers", "order_verify_returns", "order_verify_days")) + ";\n"
# all that the clerk does for credit and orders, until there is nothing left to do
CLERK = """CREATE OR REPLACE FUNCTION distsync_test.clerk() RETURNS text LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN FOR round IN 1 .. 50 LOOP
n := """ + " + ".join(f"COALESCE(distsync_internal.{task}(200), 0)" for task in ("order_clerk_unanswered", "credit_clerk_sweep", "credit_clerk", "order_clerk_lapsed", "order_clerk_redecide",
                                                                             "order_clerk_moved", "order_clerk_returns")) + """;
EXIT WHEN n = 0; END LOOP; RETURN 'ok'; END $$;
"""
# what is compared after each step: $1 questions to credit(), $2 options and $3 day of aging(), $4 whose it is: agings() is everybody's
LOOK = """PREPARE look (jsonb, jsonb, date, jsonb) AS SELECT jsonb_build_object('accounts', (SELECT COALESCE(jsonb_object_agg(p.code || '|' || COALESCE(c.code, '') || '|' || a.segment,
		jsonb_build_array(receivable, unbilled, open_orders, unapplied, deposits, credits, disputed, held_demand)), '{{}}')
		FROM dist.credit_account a JOIN dist.party p ON p.party_id = a.customer_id LEFT JOIN dist.company c USING (company_id) WHERE p.code LIKE 'OH-%'),
	'orders', (SELECT COALESCE(jsonb_object_agg(o.order_number, jsonb_build_array(o.state, o.credit_state, o.gross_amount)), '{{}}') FROM dist.sales_order o JOIN dist.company c USING (company_id) WHERE c.code IN ('OHA', 'OHB')),
	'standing', (SELECT COALESCE(jsonb_object_agg(p.code || '|' || COALESCE(c.code, '') || '|' || a.segment, a.standing), '{{}}') FROM dist.credit_account a JOIN dist.party p ON p.party_id = a.customer_id LEFT JOIN dist.company c USING (company_id) WHERE p.code LIKE 'OH-%'),
	'holds', (SELECT COALESCE(jsonb_object_agg(x.order_number, x.held), '{{}}') FROM (SELECT h.order_number, jsonb_agg(jsonb_build_array(h.kind, h.owner, CASE WHEN h.kind = 'auto' THEN h.reasons END) ORDER BY h.kind, h.owner) AS held
		FROM dist.hold h JOIN dist.company c USING (company_id) WHERE h.released_at IS NULL AND c.code IN ('OHA', 'OHB') GROUP BY h.order_number) x),
	'offers', (SELECT COALESCE(jsonb_object_agg(o.order_number, f.gross_after), '{{}}') FROM dist.order_offer f JOIN dist.sales_order o USING (customer_id, order_id) JOIN dist.company c USING (company_id) WHERE f.state = 'open' AND c.code IN ('OHA', 'OHB')),
	'returns', (SELECT COALESCE(jsonb_object_agg(r.return_number, jsonb_build_array(r.state, (SELECT jsonb_agg(jsonb_build_array(l.authorised, l.received, l.restocked, l.scrapped, l.refused, l.credited) ORDER BY l.line_no) FROM dist.return_line l WHERE (l.customer_id, l.return_id) = (r.customer_id, r.return_id)))), '{{}}')
		FROM dist.customer_return r JOIN dist.company c USING (company_id) WHERE c.code IN ('OHA', 'OHB')),
	'released', (SELECT COALESCE(jsonb_agg(e.body ->> 'order_number' ORDER BY e.outbox_id), '[]') FROM sync.outbox e WHERE e.event_type = 'order.released' AND e.entity_key LIKE 'OH_/%'),
	'credit', (SELECT jsonb_agg(jsonb_build_array(c.outcome, c.account, c.headroom, c.reasons, c.detail -> 'warnings', c.cure) ORDER BY q.n) FROM jsonb_array_elements($1) WITH ORDINALITY q(q, n)
		CROSS JOIN LATERAL distsync.credit(q.q ->> 'customer', (q.q ->> 'amount')::numeric, NULL, q.q -> 'options') c),
	'aging', (SELECT jsonb_object_agg(p.code, jsonb_build_array({today}, {day})) FROM jsonb_array_elements_text($4) p(code)),
	'agings', (SELECT jsonb_build_array((SELECT jsonb_agg(jsonb_build_array(a.customer, a.currency, a.bucket, a.amount, a.items)) FROM distsync.agings(NULL, $2) a WHERE a.customer LIKE 'OH-%'),
		(SELECT jsonb_agg(jsonb_build_array(a.customer, a.currency, a.bucket, a.amount, a.items)) FROM distsync.agings($3, '{{}}') a WHERE a.customer LIKE 'OH-%'))));
"""
ROWS = "(SELECT COALESCE(jsonb_agg(jsonb_build_array(a.currency, a.bucket, a.amount, a.items)), '[]') FROM distsync.{})"
LOOKS = LOOK.format(today=ROWS.format("aging(p.code, NULL, $2) a"), day=ROWS.format("aging(p.code, $3, '{}') a"))


class Difference(AssertionError):
    """Database and model do not agree."""


def question(step):
    asks = [{"customer": q["customer"], "amount": q["amount"], "options": told(company=q["company"], at=q["at"])} for q in step["asks"]]
    return f"EXECUTE look({literal(asks)}, {literal(step['aging'])}, '{step['day'].isoformat()}', {literal(asked(step))});\n"


def asked(step):
    """Whose aging() is asked after a step, beside agings(): everybody's when time has passed, else each payer's in turn, now and then."""
    return PAYERS if step["do"] == "clerk" else [PAYERS[step["at"].minute // 4 % 3]] if step["at"].minute % 4 == 0 else []


def script(steps):
    """All of a history in one transaction that is rolled back, a mark before each step and each look."""
    orders = {}
    for a in (s["args"] for s in steps if s["do"] in ("submit", "order_told", "change_order")):
        known = orders.setdefault(a["number"], {})
        known.update({line.get("line", n): line["sku"] for n, line in enumerate(a["lines"], 1) if "sku" in line}, **({"company": a["company"]} if "company" in a else {}))
    out = [f"{ahead(START)}BEGIN;\n"]
    for n, step in enumerate(steps):
        call = sql(steps[step["args"]["step"]], step["args"]["step"], orders) if step["do"] == "again" else sql(step, n, orders)
        out.append(f"{ahead(step['at'])}\\echo {MARK}did {n}\n{call}\\echo {MARK}look {n}\n{question(step)}")
    out.append(f"\\echo {MARK}verify\nEXECUTE broken;\n\\echo {MARK}end\nROLLBACK;\nSELECT distsync_test.clock_beside(0);\n\\echo {MARK}over\n")
    return "".join(out)


def ahead(instant):
    return f"\\echo {MARK}clock\nSELECT distsync_test.clock_at('{instant.isoformat()}');\n"


class Session:
    """One psql for many histories: what functions have planned stays."""

    def __init__(self):
        self.psql = subprocess.Popen(["psql", "-XqAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.psql.stdin.write(SET)

    def run(self, text):
        self.psql.stdin.write(text)
        self.psql.stdin.flush()
        parts, name = {}, None
        for line in self.psql.stdout:
            line = line.rstrip("\n")
            if line == MARK + "over":
                return parts
            if line.startswith(MARK):
                name = line[len(MARK):]
                parts[name] = []
            elif name:
                parts[name].append(line)
        raise RuntimeError("psql has ended: " + str(parts))

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()
        self.psql.stdout.close()


# --- comparing

def codes(reasons):
    return sorted({(r["rule"], r.get("account", "") if r["rule"] in ("limit", "account_status") else "") for r in reasons or []})


def plain(value):
    return str(value.normalize() + 0) if isinstance(value, Decimal) else value


def expected(b, step, released):
    """What the database is to show after a step, in the shape of its answer."""
    shown = {"released": released}
    shown["accounts"] = {f"{a.customer}|{a.company or ''}|{a.segment}": [plain(b.terms(a)[t]) for t in TERMS] for a in b.accounts.values()}
    shown["orders"] = {o.number: [o.state, o.credit, plain(o.gross)] for o in b.orders.values()}
    shown["offers"] = {o.number: plain(o.gross + sum((price - line.price) * line.quantity for line, price in o.offer.prices.items())) for o in b.orders.values() if o.offer}
    shown["returns"] = {r.number: [r.state, [[plain(v) for v in (l.authorised, l.received, l.restocked, l.scrapped, l.refused, r.credited(l))] for l in r.lines]] for r in b.returns.values()}
    shown["holds"] = {o.number: sorted([h.kind, h.owner, sorted(h.why) if h.kind == "auto" else []] for h in o.holds) for o in b.orders.values() if o.holds}
    shown["credit"] = []
    for q in step["asks"]:
        account = b.account_for(q["customer"], q["company"])
        if account is None:
            shown["credit"].append(["no_account", None, None, [], [], None])
            continue
        d = b.decide(account, q["customer"], q["amount"], q["at"])
        shown["credit"].append([d.outcome, d.account, plain(d.headroom), sorted(d.why), sorted(d.warned), plain(d.cure) if d.outcome == "held" else None])
    shown["standing"] = {f"{a.customer}|{a.company or ''}|{a.segment}": standing(b.decide(a, a.customer, Decimal(0))) for a in b.accounts.values()} if step["do"] == "clerk" else {}
    options = step["aging"]
    shown["aging"] = {p: [sorted([c, k, plain(a), n] for (c, k), (a, n) in found.items())
                          for found in (b.aging(p, None, tuple(options.get("buckets", (30, 60, 90))), options.get("by", "due")), b.aging(p, step["day"]))] for p in PAYERS}
    shown["agings"] = [{p: shown["aging"][p][k] for p in PAYERS if shown["aging"][p][k]} for k in (0, 1)]
    shown["aging"] = {p: shown["aging"][p] for p in asked(step)}
    return shown


def standing(d):
    """How an account stands: the decision for no further amount."""
    return "blocked" if any(code == "account_status" for code, _ in d.why) else "held" if d.outcome == "held" else "warned" if d.warned else "approved"


def found(line, before):
    """What the database shows; of releases those that are new."""
    shown = json.loads(line, parse_float=Decimal, parse_int=Decimal)
    shown["accounts"] = {k: [plain(v) for v in terms] for k, terms in shown["accounts"].items()}
    shown["orders"] = {k: [*states, plain(gross)] for k, (*states, gross) in shown["orders"].items()}
    shown["offers"] = {k: plain(gross) for k, gross in shown["offers"].items()}
    shown["returns"] = {k: [state, [[plain(v) for v in line] for line in lines]] for k, (state, lines) in shown["returns"].items()}
    shown["holds"] = {k: sorted([kind, owner, codes(reasons)] for kind, owner, reasons in held) for k, held in shown["holds"].items()}
    shown["credit"] = [[o, a, plain(h), codes(r), codes(w), plain(c)] for o, a, h, r, w, c in shown["credit"]]
    shown["aging"] = {p: [sorted([c, k, plain(a), int(n)] for c, k, a, n in rows) for rows in both] for p, both in (shown["aging"] or {}).items()}
    shown["agings"] = [{p: sorted([c, k, plain(a), int(n)] for q, c, k, a, n in rows or [] if q == p) for p in sorted({row[0] for row in rows or []})} for rows in shown["agings"]]
    shown["all"], shown["released"] = shown["released"], shown["released"][before:]
    return shown


def by_tree(b, numbers):
    """Orders of each tree in their order: trees do not wait for one another."""
    trees = {}
    for number in numbers:
        order = b.orders.get(number)
        trees.setdefault(b.top(order.account).code if order and order.account else "", []).append(number)
    return trees


def compare(steps, parts):
    """Plays the model beside what the database has answered; the first difference is raised."""
    b, before, outcomes = books(START), 0, {}
    for n, step in enumerate(steps):
        original = steps[step["args"]["step"]] if step["do"] == "again" else step
        if step["do"] == "again" and (outcomes.get(step["args"]["step"]) or "").startswith(("SD", "refused")):
            step = dict(original, at=step["at"], asks=step["asks"], day=step["day"], aging=step["aging"])
        outcome = play(b, step)
        told_, line = parts[f"did {n}"], parts[f"look {n}"]
        got = next((l.split()[1].rstrip(":") for l in told_ if l.startswith("ERROR:")), told_[-1] if told_ else "nothing")
        if outcome is not None:
            outcomes[n] = outcome
            if got != outcome:
                raise Difference(f"step {n} ({original['do']}): outcome is {got}, expected {outcome}: {told_}")
        elif got.startswith("SD"):
            raise Difference(f"step {n} (again): {told_}")
        if len(line) != 1 or not line[0].startswith("{"):
            raise Difference(f"step {n} ({original['do']}): no look: {line}")
        shown, wanted = found(line[0], before), expected(b, step, list(b.released))
        before = len(shown["all"])
        shown["released"], wanted["released"] = by_tree(b, shown["released"]), by_tree(b, wanted["released"])
        for row, other in zip(shown["credit"], wanted["credit"]):
            if other[1] is None:        # several bind alike
                row[1] = None
        if not wanted["standing"]:          # after others the clerk has still to look
            shown["standing"] = {}
        for part in ("orders", "holds", "offers", "returns", "accounts", "released", "aging", "agings", "credit", "standing"):
            if shown[part] != wanted[part]:
                raise Difference(f"step {n} ({original['do']}): {part}\n  found    {differing(shown[part], wanted[part])}\n  expected {differing(wanted[part], shown[part])}")
    if parts["verify"]:
        raise Difference(f"step {len(steps) - 1} (verify): {parts['verify']}")


def differing(one, other):
    if isinstance(one, dict):
        return {k: v for k, v in one.items() if other.get(k) != v}
    return one


def without(steps, drop):
    """Steps without those numbered: what says "again" of one of them goes with it."""
    keep = [n for n in range(len(steps)) if n not in drop and not (steps[n]["do"] == "again" and steps[n]["args"]["step"] in drop)]
    place = {n: k for k, n in enumerate(keep)}
    return [dict(steps[n], args={"step": place[steps[n]["args"]["step"]]}) if steps[n]["do"] == "again" else steps[n] for n in keep]


def difference(session, steps):
    try:
        compare(steps, session.run(script(steps)))
    except Difference as error:
        return str(error)
    except (KeyError, StopIteration) as error:      # what was dropped is missed
        return None if session.shrinking else repr(error)
    return None


def kind_of(error):
    return re.sub(r"[0-9]+|: \[.*", "", error.split("\n")[0])


def smallest(session, steps, error):
    """Drops steps as long as the same kind of difference is left."""
    kind, session.shrinking = kind_of(error), True
    last = re.match(r"step ([0-9]+) ", error)
    steps = steps[:int(last.group(1)) + 1] if last else steps
    size = len(steps) // 2
    while size:
        n = 0
        while n < len(steps):
            fewer = without(steps, set(range(n, min(n + size, len(steps)))))
            again = difference(session, fewer)
            if again and kind_of(again) == kind:
                steps, error = fewer, again
            else:
                n += size
        size //= 2
    session.shrinking = False
    return steps, error


def show(steps):
    return "\n".join(f"{n} {s['at'].strftime('%m-%d %H:%M')} {s['do']} {s['args']}" + (f"\n  {s['asks']} {s['day']} {s['aging']}" if n == len(steps) - 1 else "") for n, s in enumerate(steps))


PERIODS = [(start, end, prices) for (start, prices), (end, _) in zip(price_list(START), price_list(START)[1:] + [(None, None)])]
WORLD = (("currency", [{"currency": "USD"}, {"currency": "EUR"}]), ("unit", [{"unit": "EA"}]),
         ("company", [{"code": c, "name": c, "currency": k.currency, "tz": k.tz} for c, k in COMPANIES.items()]),
         ("exchange_rate", [{"from_currency": a, "to_currency": b, "rate": str(rate), "valid_from": "2015-01-01T00:00:00Z"} for a, b, rate in RATES]),
         ("party_group", [{"kind": "buying_group", "code": "OH-GOLD", "name": "gold"}]),
         ("party", [told(code=code, name=code, parent=p.get("parent"), payer=p.get("payer"), segment=p.get("segment"), groups=[{"kind": "buying_group", "code": g} for g in p.get("groups", ())] or None) for code, p in PARTIES.items()]),
         ("site", [{"code": f"{c}-W", "name": c, "company": c} for c in COMPANIES]), ("item", [{"sku": sku, "base_unit": "EA"} for sku in PRICES]),
         ("agreement", [{"code": f"{c}-LIST{n}", "slot": "list", "company": c, "currency": k.currency, "valid_from": start.isoformat(), "valid_to": end and end.isoformat(), "assignments": [{"who_kind": "all"}], "publish": True,
                         "rates": [{"what": sku, "value": str(price)} for sku, price in prices.items()]} for c, k in COMPANIES.items() for n, (start, end, prices) in enumerate(PERIODS)]),
         ("stock_event", [{"event_id": f"{c}-{sku}", "kind": "receive", "sku": sku, "site": f"{c}-W", "quantity": 100000000, "event_at": "2020-01-01T00:00:00Z"} for c in COMPANIES for sku in PRICES]))


class Histories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED} DAY={DAY} HISTORIES={HISTORIES}", flush=True)
        cls.session = Session()
        cls.session.shrinking = False
        library = os.environ.get("DISTSYNC_CLOCK", "")
        setup = ["\\echo @@world\n", "SELECT distsync.add_system('oh-erp', 'erp') WHERE NOT EXISTS (SELECT FROM sync.system WHERE code = 'oh-erp');\n",
                 "CREATE SCHEMA IF NOT EXISTS distsync_test;\n",
                 f"CREATE OR REPLACE FUNCTION distsync_test.clock_beside(bigint) RETURNS bigint LANGUAGE c STRICT VOLATILE AS {literal(library)}, 'clock_beside';\n",
                 f"CREATE OR REPLACE FUNCTION distsync_test.clock_at(timestamptz) RETURNS void LANGUAGE c STRICT VOLATILE AS {literal(library)}, 'clock_at';\n", CLERK]
        for entity, documents in WORLD:
            setup.append(f"SELECT outcome || ' ' || COALESCE(message, '') FROM distsync.apply_all('{entity}', {literal(documents)}, 'oh-erp') WHERE outcome NOT IN ('applied', 'unchanged');\n")
        setup += ["SELECT 'own' FROM distsync.own('order', 'oh-erp', '{\"company\":\"OHA\"}');\n", "SELECT 'own' FROM distsync.own('order', 'distsync', '{\"company\":\"OHB\"}');\n",
                  "SELECT 'own' FROM distsync.own('invoice', 'distsync', '{\"company\":\"OHB\",\"mode\":\"native\"}');\n", LOOKS, BROKEN,
                  "\\echo @@moves\nSELECT clock_timestamp() > now() + interval '20 hours' FROM distsync_test.clock_beside(86400000000);\nSELECT distsync_test.clock_beside(0);\n\\echo @@over\n"]
        parts = cls.session.run("BEGIN;\n" + "".join(setup[:2]) + "COMMIT;\n" + "".join(setup[2:]))
        wrong = [line for line in parts["world"] if line not in ("own", "oh-erp") and not line.startswith("duplicate")]
        if wrong or "t" not in parts["moves"]:
            raise RuntimeError("\n".join(wrong) or "the clock does not move: the server needs LD_PRELOAD of test/helpers/clock.c")

    @classmethod
    def tearDownClass(cls):
        cls.session.close()

    def check(self, steps, name):
        error = difference(self.session, steps)
        if error:
            steps, error = smallest(self.session, steps, error)
            self.fail(f"{name}: {error}\n{show(steps)}")

    def test_fixed(self):
        """What has been found, at its smallest."""
        for name, calls in order_histories.FIXED.items():
            with self.subTest(name):
                steps = order_histories.fixed(calls, START)
                error = difference(self.session, steps)
                self.assertIsNone(error, f"{error}\n{show(steps)}")

    def test_histories(self):
        if PLAYERS > 1 and "PART" not in os.environ:
            self.assertEqual([p.wait() for p in [player(n) for n in range(PLAYERS)]], [0] * PLAYERS, f"SEED={SEED} DAY={DAY}: a player has found a difference")
            return
        only, began = os.environ.get("HISTORY"), time.monotonic()
        steps, failed, stop = 0, [], int(os.environ.get("DIFFERENCES") or 1)
        for k, n in enumerate([int(only)] if only else range(FROM + PART, HISTORIES, PLAYERS), 1):
            maker = order_histories.Maker(random.Random(f"{SEED}/{n}"), START, STEPS)
            steps += len(maker.steps)
            try:
                self.check(maker.steps, f"SEED={SEED} DAY={DAY} HISTORY={n}")
            except AssertionError as error:
                failed.append(str(error))
                print(error, flush=True)
                if len(failed) >= stop:
                    break
            if k % 100 == 0:
                print(f"player {PART}: {k} histories of {steps} steps in {time.monotonic() - began:.0f} s, {len(failed)} differ", flush=True)
        if failed:
            self.fail("\n\n".join(failed))
        print(f"{k} histories of {steps} steps: the same at each step", flush=True)


def player(n):
    """Starts a process that plays its part of the histories, in a database of its own."""
    database = f"{os.environ.get('PGDATABASE', 'postgres')}_{n}"
    quiet = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", "SET client_min_messages = warning"]
    subprocess.run([*quiet, "-c", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", "-c", f"CREATE DATABASE {database} TEMPLATE template0"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*quiet, "-d", database, "-c", "CREATE EXTENSION distsync CASCADE", "-c", "SELECT distsync.setup()"], check=True, stdout=subprocess.DEVNULL)
    return subprocess.Popen([sys.executable, "-m", "unittest", "test_order_histories.Histories.test_histories"], env=dict(os.environ, PGDATABASE=database, PART=str(n), SEED=str(SEED), DAY=DAY))


if __name__ == "__main__":
    unittest.main()
