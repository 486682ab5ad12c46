"""What credit() and the decision behind commands answer in C must be what SQL answers, byte for byte, in random worlds: trees of accounts,
limits that are valid, ended, to come, NULL and 0, orders beyond horizons, rules of all types, scopes and actions with grace, disputes, holds of others, jobs,
segments, companies and zones, at the instants at which something changes. SQL is the oracle; its days are compared with the items by verify().

SEED=n repeats a run, WORLD=n plays one world, WORLDS=n (or TIMES=n as many as usual) says how many.
"""
import os
import random
import unittest

from test_inventory import psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
WORLDS = int(os.environ.get("WORLDS") or 12 * int(os.environ.get("TIMES") or 1))
QUESTIONS = 400
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "EST")
TYPES = ("limit_share", "overdue_amount", "overdue_share", "oldest_item", "dunning_level", "order_amount", "terms_change", "limit_expired", "review_due", "customer_status")
BASE = "2031-03-29"  # a night without an hour in Berlin follows
# both ways answer with the row or the error; what SQL was asked is counted
ASK = r"""
SET track_functions = 'all';
CREATE FUNCTION pg_temp.ours(customer text, amount numeric, currency text, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN distsync.credit(customer, amount, currency, options)::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.oracle(customer text, amount numeric, currency text, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    f record;
    d jsonb := distsync_internal.credit_answer(customer, amount, currency, options);
    at timestamptz := COALESCE((options ->> 'at')::timestamptz, statement_timestamp());
BEGIN
    IF d ->> 'account_id' IS NOT NULL THEN
        SELECT * INTO f FROM distsync_internal.credit_find(customer, options, '{company:text,job:text,segment:text,at:instant,source:text}');
        d := distsync_internal.credit_decide_whole(f.account_id, distsync_internal.credit_amount(f.account_id, amount, currency, at), jsonb_build_object('at', at, 'customer_id', f.customer_id))
            || jsonb_build_object('customer', customer, 'known_at', statement_timestamp(), 'account_id', f.account_id);
    END IF;
    RETURN distsync_internal.credit_row(d)::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.theirs(customer text, amount numeric, currency text, options jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN pg_temp.oracle(customer, amount, currency, options);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION pg_temp.decide(whole boolean, account text, amount numeric, ctx jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE id bigint := (SELECT a.account_id FROM dist.credit_account a WHERE a.code = account);
BEGIN
    RETURN CASE WHEN whole THEN distsync_internal.credit_decide_whole(id, amount, ctx) ELSE distsync_internal.credit_decide(id, amount, ctx) END::text;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
"""


def text(value):
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


class World:
    """A random world: the script that makes it, and questions about it."""

    def __init__(self, number):
        self.rng = rng = random.Random(f"{SEED}/{number}")
        self.prefix = p = f"CA{SEED % 100000}-{number}-"
        self.companies = [p + c for c in "AB"]
        self.parties = [p + f"P{n}" for n in range(rng.randrange(4, 9))]
        self.groups = [p + f"G{n}" for n in range(3)]
        self.accounts, self.script, self.instants = [], [], []
        self.alone = rng.random() < 0.3
        self.party(), self.account(), self.limits(), self.rules(), self.items()

    def run(self, sql):
        self.script.append(sql + ";\n")

    def instant(self):
        """An instant, often one that was named before; all of them are where something changes."""
        if self.instants and self.rng.random() < 0.5:
            return self.rng.choice(self.instants)
        day, zone = self.rng.randrange(-60, 60), self.rng.choice(("+00", "+00", "-05", "+05:30"))
        made = f"(date '{BASE}' + {day})::text || '{self.rng.choice(('T00:00:00', 'T00:00:00', 'T12:30:00.5'))}{zone}'"
        self.instants.append(made)
        return made

    def party(self):
        rng = self.rng
        self.run("INSERT INTO dist.currency (currency, minor_units) VALUES ('USD', 2), ('EUR', 2), ('JPY', 0) ON CONFLICT DO NOTHING")
        for code in self.companies:
            self.run(f"INSERT INTO dist.company (code, name, currency, tz) VALUES ('{code}', 'c', 'USD', '{rng.choice(ZONES)}')")
        for n, code in enumerate(self.parties):
            above = rng.choice(self.parties[:n]) if n and rng.random() < 0.4 else None
            payer = rng.choice(self.parties[:n]) if n and rng.random() < 0.3 else None
            self.run("INSERT INTO dist.party (code, name, parent_id, payer_id, segment, tz, payment_terms, status) VALUES "
                     f"('{code}', 'p', (SELECT party_id FROM dist.party WHERE code = {text(above)}), (SELECT party_id FROM dist.party WHERE code = {text(payer)}), "
                     f"'{rng.choice(('', '', 'S1', 'S2'))}', '{rng.choice(ZONES)}', {text(rng.choice((None, 'N30', 'N60')))}, '{rng.choice(('active', 'active', 'active', 'blocked', 'inactive'))}')")
        for code in self.groups:
            for kind in rng.sample(("buying_group", "segment", "region"), rng.randrange(1, 3)):
                self.run(f"INSERT INTO dist.party_group (code, kind) VALUES ('{code}', '{kind}')")
                for member in self.parties:
                    if rng.random() < 0.4:
                        valid = rng.choice(("tstzrange(NULL, NULL)", f"tstzrange(({self.instant()})::timestamptz, NULL)", f"tstzrange(NULL, ({self.instant()})::timestamptz)"))
                        known = rng.choice(("tstzrange('2020-01-01', NULL)", "tstzrange('2020-01-01', NULL)", "tstzrange('2020-01-01', '2021-01-01')"))
                        self.run(f"INSERT INTO dist.party_member (party_id, group_id, valid, known) SELECT p.party_id, g.group_id, {valid}, {known} FROM dist.party p, dist.party_group g WHERE p.code = '{member}' AND g.code = '{code}' AND g.kind = '{kind}'")

    def account(self):
        rng = self.rng
        currency = rng.choice(("USD", "USD", "JPY"))
        taken = set()
        for n in range(rng.randrange(2, 9)):
            key = (rng.choice(self.parties), rng.choice(self.companies + [None]), rng.choice(("", "", "S1")))
            if key in taken:
                continue
            taken.add(key)
            code = self.prefix + f"ACC{n}"
            above = rng.choice(self.accounts) if self.accounts and rng.random() < 0.6 else None
            status, reason = rng.choice((("open", None),) * 6 + (("blocked", "no reason"), ("blocked", None), ("closed", None)))
            # counters of what is no item; items come through the door
            terms = {name: rng.choice((0, 0, 10, 250.5, 1999.9999)) for name in ("unbilled", "open_orders", "unapplied", "deposits", "credits")}
            self.run(f"INSERT INTO dist.credit_account (code, customer_id, company_id, segment, parent_id, currency, status, status_reason, dunning_level, review_on, exclude_disputed, {', '.join(terms)}) SELECT "
                     f"'{code}', party_id, COALESCE((SELECT company_id FROM dist.company WHERE code = {text(key[1])}), 0), '{key[2]}', (SELECT account_id FROM dist.credit_account WHERE code = {text(above)}), '{currency}', "
                     f"'{status}', {text(reason)}, {rng.choice((0, 0, 1, 3))}, {rng.choice(('NULL', 'NULL', f'date {text(BASE)} + {rng.randrange(-30, 30)}'))}, {rng.random() < 0.3}, {', '.join(map(str, terms.values()))} FROM dist.party WHERE code = '{key[0]}'")
            self.accounts.append(code)
            if rng.random() < 0.4:
                self.horizon(code)

    def horizon(self, code):
        """Orders to come, some of whose days the clerk has not seen come in; at times not all of them are read."""
        rng, here = self.rng, f"(SELECT account_id FROM dist.credit_account WHERE code = '{code}')"
        self.run(f"UPDATE dist.credit_account SET horizon_days = {rng.choice((0, 1, 5, 30, 3650))}, horizon_on = date '{BASE}' + {rng.randrange(-60, 20)} WHERE code = '{code}'")
        for day in rng.sample(range(-40, 90), rng.choice((0, 1, 3, 8))):
            self.run(f"INSERT INTO dist.open_order_day (account_id, ship_on, amount) SELECT account_id, date '{BASE}' + {day}, {rng.choice((10, 99.99, 1200.5))} FROM dist.credit_account WHERE code = '{code}' AND horizon_on < date '{BASE}' + {day}")
        self.run(f"UPDATE dist.credit_account SET later_amount = s.amount, open_orders = open_orders + s.amount FROM (SELECT COALESCE(sum(amount), 0) AS amount FROM dist.open_order_day WHERE account_id = {here}) s WHERE code = '{code}'")
        if rng.random() < 0.15:
            self.run(f"UPDATE dist.credit_account SET horizon_to = 'infinity', horizon_account = 0, horizon_order = 0 WHERE code = '{code}'")

    def limits(self):
        rng = self.rng
        for code in self.accounts:
            for kind in rng.sample(("base", "insured", "temporary", "seasonal", "temporary"), rng.randrange(0, 5)):
                first, last = self.instant(), self.instant()
                valid = rng.choice(("tstzrange(NULL, NULL)", f"tstzrange(({first})::timestamptz, NULL)", f"tstzrange(NULL, ({last})::timestamptz, '(]')", f"tstzrange(({first})::timestamptz, 'infinity')",
                                    f"tstzrange(least(({first})::timestamptz, ({last})::timestamptz), greatest(({first})::timestamptz, ({last})::timestamptz), '[]')"))
                self.run(f"INSERT INTO dist.credit_limit (account_id, kind, amount, valid, approved_by) SELECT account_id, '{kind}', {rng.choice(('NULL', '0', '100', '1000', '2500.5', '10000', '10000'))}, {valid}, 'test' "
                         f"FROM dist.credit_account a WHERE code = '{code}' AND NOT EXISTS (SELECT FROM dist.credit_limit l WHERE l.account_id = a.account_id AND l.kind = '{kind}' AND l.valid && {valid})")

    def rules(self):
        rng = self.rng
        for n in range(rng.choice((0, 3, 8, 14))):
            kind = rng.choice(("all", "all", "group", "customer"))
            key = {"all": "", "group": rng.choice(self.groups), "customer": rng.choice(self.parties)}[kind]
            rule_type = rng.choice(TYPES)
            threshold = {"limit_share": (50, 80, 100, 0), "overdue_amount": (0, 50, 300.25, None), "overdue_share": (0, 10, 99.5, 100, 120, None), "oldest_item": (0, 5, 30, None, 12.5), "dunning_level": (0, 1, 2),
                         "order_amount": (10, 100, 999.99, None)}.get(rule_type, (0, None, 1))
            valid = rng.choice(("tstzrange(NULL, NULL)",) * 4 + (f"tstzrange(({self.instant()})::timestamptz, NULL)", f"tstzrange(NULL, ({self.instant()})::timestamptz)"))
            self.run("INSERT INTO dist.credit_rule (code, type, scope_kind, scope_key, threshold, currency, grace_days, action, valid) VALUES "
                     f"('{self.prefix}{rng.choice(('r', 'R', 'ä', '-'))}{n}', '{rule_type}', '{kind}', '{key}', {'NULL' if (t := rng.choice(threshold)) is None else t}, {text(rng.choice((None,) * 5 + ('USD', 'EUR')))}, {rng.choice((0, 0, 3, 10, 45))}, "
                     f"'{rng.choice(('block', 'block', 'block', 'warn', 'exclude', 'release'))}', {valid})")

    def items(self):
        rng = self.rng
        for code in self.accounts:
            for n in range(rng.choice((0, 2, 5, 25))):
                number = f"{code}/{n}"
                amount = rng.choice((10, 100.01, 33.33, 750))
                self.run(f"SELECT distsync_internal.credit_post_item(a.customer_id, a.account_id, c.company_id, '{rng.choice(('invoice', 'invoice', 'debit_memo'))}', '{number}', a.currency, {amount}, '2031-01-01', date '{BASE}' + {rng.randrange(-60, 60)}) "
                         f"FROM dist.credit_account a, dist.company c WHERE a.code = '{code}' AND c.company_id = CASE a.company_id WHEN 0 THEN (SELECT company_id FROM dist.company WHERE code = '{self.companies[0]}') ELSE a.company_id END")
                item = f"FROM dist.open_item i WHERE i.document_number = '{number}'"
                if rng.random() < 0.2:
                    self.run(f"SELECT distsync_internal.credit_item_plan(i.customer_id, i.open_item_id, jsonb_build_array(jsonb_build_object('due_on', i.due_on, 'amount', round(i.amount / 3, 2)), jsonb_build_object('due_on', i.due_on + 20, 'amount', i.amount - round(i.amount / 3, 2)))) {item}")
                if rng.random() < 0.3:
                    self.run(f"INSERT INTO dist.dispute (customer_id, dispute_number, open_item_id, amount) SELECT i.customer_id, '{number}', i.open_item_id, {rng.choice(('i.amount', 'i.amount / 2', '0.0001'))} {item}")
                if rng.random() < 0.5:
                    self.run(f"SELECT distsync_internal.credit_item_set(i.customer_id, i.open_item_id, round(i.amount * {rng.choice((0, 0.3, 0.77, 1))}, 4)) {item}")
            # days that have not been added up yet, or have been too early; or are added up about the days that are asked for
            if rng.random() < 0.4:
                self.run(f"UPDATE dist.credit_account a SET late_on = x.late_on, late_amount = x.late_amount, late_disputed = x.late_disputed, oldest_due_on = x.oldest_due_on, next_due_on = x.next_due_on, late_before = x.late_before[1:{rng.choice((1, 10, 100))}] "
                         f"FROM distsync_internal.credit_due_at((SELECT account_id FROM dist.credit_account WHERE code = '{code}'), date '{BASE}' + {rng.randrange(-20, 60)}) x WHERE a.code = '{code}'")
            elif rng.random() < 0.6:
                day = rng.choice(("'-infinity'", f"date '{BASE}' + {rng.randrange(-70, 70)}"))
                self.run(f"UPDATE dist.credit_account a SET late_on = {day}, late_before = NULL, late_amount = COALESCE(s.amount, 0), late_disputed = COALESCE(s.disputed, 0), next_due_on = (SELECT min(d.due_on) FROM dist.open_due d WHERE d.account_id = a.account_id AND d.due_on >= {day}) "
                         f"FROM (SELECT sum(d.amount) AS amount, sum(d.disputed) AS disputed FROM dist.open_due d WHERE d.account_id = (SELECT account_id FROM dist.credit_account WHERE code = '{code}') AND d.due_on < {day}) s WHERE a.code = '{code}'")

    def questions(self):
        """Questions of credit() and of the decision, as rows of VALUES."""
        rng, rows, decisions = self.rng, [], []
        for _ in range(QUESTIONS):
            options = [f"'{name}', {text(value)}" for name, value in (("company", rng.choice(self.companies + [self.companies[0]] * 4)), ("job", rng.choice(self.parties)), ("segment", rng.choice(("", "S1", "S2"))))
                       if rng.random() < (0.85 if name == "company" else 0.15)]
            if rng.random() < 0.03:
                options.append(rng.choice(("'colour', 1", "'company', 7", "'at', 'yesterday'", "'job', 'nobody'", "'segment', NULL", "'source', 'erp'")))
            if rng.random() < 0.85:
                options.append(f"'at', {self.instant()}")
            customer = rng.choice(self.parties) if rng.random() < 0.98 else rng.choice((None, "nobody"))
            amount = rng.choice((0, 0, 1, 100, 100.005, 999.99, 5000, "'NaN'", -1, "NULL") if rng.random() < 0.1 else (0, 1, 100, 100.005, 999.99, 5000, 12345.67))
            rows.append(f"({text(customer)}, {amount}::numeric, {text(rng.choice((None, None, 'USD', 'JPY', 'EUR') if rng.random() < 0.2 else (None, None, 'USD')))}, jsonb_build_object({', '.join(options)}))")
            ctx = [f"'at', {self.instant()}"] if rng.random() < 0.9 else []
            for part in ("'customer_id', (SELECT party_id FROM dist.party WHERE code = '%s')" % rng.choice(self.parties), f"'deposit', {rng.choice((0, 100, 5000))}", f"'payment_terms', {text(rng.choice(('N30', 'N60')))}",
                         f"'order_id', {rng.choice((-1, -7))}", "'verb', 'test'", f"'ship_on', {rng.choice((f'date {text(BASE)} + {rng.randrange(-50, 110)}',) * 8 + ('NULL::date', text('tomorrow'), text('2031-4-1')))}"):
                if rng.random() < 0.4:
                    ctx.append(part)
            decisions.append(f"('{rng.choice(self.accounts)}', {rng.choice((0, 1, 100, 999.99, 5000, -20))}::numeric, jsonb_build_object({', '.join(ctx)}))")
        return rows, decisions


class Agree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        psql("INSERT INTO dist.hold (customer_id, order_id, company_id, order_number, kind, owner, reasons, placed_by) VALUES (-7, -7, 0, 'CA-HELD', 'manual', 'pricing', '[]', 'test'), (-7, -7, 0, 'CA-HELD', 'forced', 'credit', '[]', 'test')")

    @classmethod
    def tearDownClass(cls):
        psql("DELETE FROM dist.hold WHERE order_number = 'CA-HELD'")

    def check(self, number):
        world = World(number)
        # what it wrote past the doors is nothing that verify() may see
        accounts = f"(SELECT a.account_id FROM dist.credit_account a WHERE a.code LIKE '{world.prefix}%')"
        self.addCleanup(psql, f"DELETE FROM dist.dispute d USING dist.open_item i WHERE i.customer_id = d.customer_id AND i.open_item_id = d.open_item_id AND i.account_id IN {accounts};\n"
                        + "".join(f"DELETE FROM dist.{table} WHERE account_id IN {accounts};\n" for table in ("open_item", "open_due", "open_order_day", "credit_limit", "credit_account")))
        self.addCleanup(psql, f"DELETE FROM dist.credit_rule WHERE code LIKE '{world.prefix}%';\nUPDATE dist.company SET status = 'inactive' WHERE code LIKE '{world.prefix}%';\nUPDATE dist.company SET status = 'active', ext = ext - 'alone' WHERE ext ? 'alone';")
        if world.alone:
            world.run(f"UPDATE dist.company SET status = 'inactive', ext = ext || '{{\"alone\":true}}' WHERE code <> '{world.companies[0]}' AND status = 'active'")
        out = psql("SET client_min_messages = error;\n" + "".join(world.script))
        self.assertEqual([line for line in out if "ERROR" in line], [], f"WORLD={number}")
        rows, decisions = world.questions()
        out = psql(ASK + "BEGIN;\n"
                   + f"SELECT jsonb_build_object('question', q, 'ours', pg_temp.ours(q.customer, q.amount, q.currency, q.options), 'theirs', pg_temp.theirs(q.customer, q.amount, q.currency, q.options)) FROM (VALUES {', '.join(rows)}) q(customer, amount, currency, options) "
                   "WHERE pg_temp.ours(q.customer, q.amount, q.currency, q.options) IS DISTINCT FROM pg_temp.theirs(q.customer, q.amount, q.currency, q.options);\n"
                   + f"SELECT jsonb_build_object('question', q, 'ours', pg_temp.decide(false, q.account, q.amount, q.ctx), 'theirs', pg_temp.decide(true, q.account, q.amount, q.ctx)) FROM (VALUES {', '.join(decisions)}) q(account, amount, ctx) "
                   "WHERE pg_temp.decide(false, q.account, q.amount, q.ctx) IS DISTINCT FROM pg_temp.decide(true, q.account, q.amount, q.ctx);\nCOMMIT;\nBEGIN;\n"
                   + f"SELECT count(pg_temp.ours(q.customer, q.amount, q.currency, q.options)) > 0 FROM (VALUES {', '.join(rows)}) q(customer, amount, currency, options);\n"
                   "SELECT 'asked ' || COALESCE(max(calls), 0) FROM pg_stat_xact_user_functions WHERE schemaname = 'distsync_internal' AND funcname = 'credit_whole';\n"
                   f"SELECT 'broken ' || invariant || entity_key FROM distsync_internal.credit_verify_due() WHERE entity_key LIKE '{world.prefix}%';\nCOMMIT;\n")
        asked = [line for line in out if line.startswith("asked ")]
        self.assertEqual([line for line in out if line not in asked and line != "t"][:3], [], f"WORLD={number}")
        self.assertEqual(len(asked), 1, (number, out))
        return int(asked[0].split()[1])

    def test_same(self):
        """All questions of many worlds; of most, SQL is not asked."""
        numbers = [int(os.environ["WORLD"])] if os.environ.get("WORLD") else range(WORLDS)
        whole = []
        for number in numbers:
            whole.append(self.check(number))
            self.doCleanups()
        print(f"{QUESTIONS * 2 * len(whole)} questions, SQL was asked for {sum(whole)} of {QUESTIONS * len(whole)}", flush=True)
        self.assertLess(sum(whole), QUESTIONS * len(whole) * 0.6)


if __name__ == "__main__":
    unittest.main()
