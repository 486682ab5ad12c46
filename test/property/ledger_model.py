"""Receivables and credit decided a second time, in plain Python: items, payments, disputes, limits, rules, what may be owed.

Written from ../../docs/credit.md and ../../docs/orders.md and nothing else; it keeps documents and adds them up anew for each question, no counter.
order_model.py is the rest of the way: orders, holds, shipments, invoices.
"""
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

FINE, CENT = Decimal("0.0001"), Decimal("0.01")
DEBIT = ("invoice", "debit_memo", "refund")
TERM = {"invoice": "receivable", "debit_memo": "receivable", "refund": "receivable", "credit_memo": "credits", "payment": "unapplied", "deposit": "deposits"}
NEAR = {"customer": 3, "group": 2, "all": 1}


class Refused(Exception):
    """A command that is refused, or a document that is rejected, with its SQLSTATE."""


def fine(value):
    return value.quantize(FINE, ROUND_HALF_UP)


def money(value):
    """An amount that was converted, in the currency's minor units."""
    return value.quantize(CENT, ROUND_HALF_UP)


class Thing:
    """Whatever was told, as told."""

    def __init__(self, **told):
        self.__dict__.update(told)


class Item(Thing):
    """An open item: amounts positive, open = amount - what was applied; applied is [(instant, amount)], negative where it was taken back."""

    def open_at(self, instant=None):
        return self.amount - sum(a for at, a in self.applied if instant is None or at < instant)

    @property
    def open(self):
        return self.open_at()

    def in_account(self, amount):
        return fine(self.total * amount / self.amount)


class Ledger:
    """Companies, parties, accounts, rules, items, payments, disputes: facts as they come, and what follows from them."""

    def __init__(self, now):
        self.now = now
        self.companies, self.parties, self.accounts, self.rules = {}, {}, {}, {}
        self.items, self.payments, self.disputes, self.rates = {}, {}, {}, []
        self.orders = {}
        self.touched = set()        # accounts that the step has moved
        self.lost = set()           # those of them that lost room because money went

    # --- who and when

    def today(self, company, at=None):
        return (at or self.now).astimezone(ZoneInfo(self.companies[company].tz)).date()

    def day(self, account, at=None):
        """The day of an account: of its company, else of its party, else UTC."""
        zone = self.companies[account.company].tz if account.company else getattr(self.parties[account.customer], "tz", None) or "UTC"
        return (at or self.now).astimezone(ZoneInfo(zone)).date()

    def payer(self, party):
        return self.parties[party].payer or party

    def rate(self, source, target, at):
        if source == target:
            return Decimal(1)
        return next(rate for start, a, b, rate in sorted(self.rates, key=lambda r: r[0], reverse=True) if (a, b) == (source, target) and start <= at)

    def account_for(self, customer, company, job=None):
        """The job's account, the payer's, that of a party above the payer; the company's before the one for all, the segment's before the general one."""
        payer = self.payer(customer)
        party, parties = payer, [job] if job else []
        while party:
            parties.append(party)
            party = self.parties[party].parent
        for party in parties:
            found = [a for a in self.accounts.values() if a.customer == party and a.status != "closed"
                     and a.company in (company, None) and a.segment in (self.parties[customer].segment, "")]
            if found:
                return min(found, key=lambda a: (a.company is None, a.segment == ""))
        return None

    def chain(self, account):
        """An account and all above it, itself first."""
        found = []
        while account:
            found.append(account)
            account = self.accounts.get(account.parent)
        return found

    def top(self, account):
        return self.chain(account)[-1]

    def below(self, account):
        return [a for a in self.accounts.values() if account in self.chain(a)]

    # --- what is owed

    def disputed(self, item):
        return min(item.open, sum(d.amount for d in self.disputes.values() if d.item is item and not d.closed))

    def own_terms(self, account):
        """The terms of one account without those below it."""
        terms = dict.fromkeys(("receivable", "unbilled", "open_orders", "unapplied", "deposits", "credits", "disputed", "held_demand"), Decimal(0))
        for item in self.items.values():
            if item.account is account:
                terms[TERM[item.kind]] += item.in_account(item.open)
                terms["disputed"] += item.in_account(self.disputed(item))
        for order in self.orders.values():
            if order.account is account:
                terms["held_demand" if order.state == "held" and not order.promised_again else "open_orders"] += order.to_ship()
                terms["unbilled"] += order.unbilled()
        return terms

    def terms(self, account):
        total = {}
        for a in self.below(account):
            for name, amount in self.own_terms(a).items():
                total[name] = total.get(name, Decimal(0)) + amount
        return total

    def later(self, account, at=None):
        """What of the open orders of a tree does not count yet, and whether a day does not: horizon_model.py."""
        return Decimal(0)

    def is_later(self, account, day, at=None):
        return False

    def exposure(self, account, at=None):
        t = self.terms(account)
        return (t["receivable"] + t["unbilled"] + t["open_orders"] - self.later(account, at) - t["unapplied"] - t["deposits"] - t["credits"]
                - (t["disputed"] if account.exclude_disputed else 0))

    def limit(self, account, at):
        """What an account may owe: None unlimited. No base or insured limit ever set: unlimited; none that is valid: 0."""
        if not any(l.kind in ("base", "insured") for l in account.limits):
            return None
        valid = [l for l in account.limits if (l.start is None or l.start <= at) and (l.end is None or at < l.end)]
        if any(l.amount is None for l in valid):
            return None
        most = max([l.amount for l in valid if l.kind in ("base", "insured")], default=Decimal(0))
        return most + sum(l.amount for l in valid if l.kind in ("seasonal", "temporary"))

    # --- rules

    def rules_for(self, account, at):
        """Of a type and an action the rules of the most specific scope; an exclusion disarms the blocks of its type that are not nearer."""
        names, groups = {account.customer}, self.parties[account.customer].groups
        known = {}
        for rule in self.rules.values():
            if not (rule.start is None or rule.start <= at) or not (rule.end is None or at < rule.end):
                continue
            if rule.scope == "all" or rule.scope == "customer" and rule.key in names or rule.scope == "group" and rule.key in groups:
                known.setdefault((rule.type, rule.action), []).append(rule)
        found = []
        for (kind, action), rules in known.items():
            near = max(NEAR[r.scope] for r in rules)
            if action == "block" and max((NEAR[r.scope] for r in known.get((kind, "exclude"), [])), default=0) >= near:
                continue
            found += [r for r in rules if NEAR[r.scope] == near and action != "exclude"]
        return found

    def late(self, account, days, at):
        """What is owed in an account itself that is late by more than so many days, in its currency."""
        return sum((i.in_account(i.open - (self.disputed(i) if account.exclude_disputed else 0)) for i in self.items.values()
                    if i.kind in DEBIT and i.open and i.account is account and (self.day(account, at) - i.due).days > days), Decimal(0))

    def oldest(self, account, at):
        """Days late of the oldest item of an account itself."""
        return max(((self.day(account, at) - i.due).days for i in self.items.values() if i.kind in DEBIT and i.account is account
                    and i.open - (self.disputed(i) if account.exclude_disputed else 0) > 0), default=0)

    def threshold(self, rule, account, at):
        """Amounts are converted to the account's currency, in its minor units."""
        threshold = rule.threshold or Decimal(0)
        if rule.type in ("overdue_amount", "order_amount") and rule.currency not in (None, account.currency):
            return money(threshold * self.rate(rule.currency, account.currency, at))
        return threshold

    def measure(self, rule, account, customer, amount, at, ship=None):
        """What a rule compares, and the payment that would lift it (None: none does)."""
        threshold = rule.threshold or Decimal(0)
        if rule.type == "limit_share":
            limit, total = self.limit(account, at), self.exposure(account, at) + (0 if self.is_later(account, ship, at) else amount)
            if limit is None:
                return Decimal(0), Decimal(0)
            if limit == 0:
                return Decimal("Infinity" if total > 0 else 0), total
            return 100 * total / limit, total - limit * threshold / 100
        if rule.type == "overdue_amount":
            late = self.late(account, rule.grace, at)
            return late, late - self.threshold(rule, account, at)
        if rule.type == "overdue_share":
            late, owed = self.late(account, rule.grace, at), self.terms(account)["receivable"]
            return (100 * late / owed if owed else Decimal(0)), ((late - owed * threshold / 100) / (1 - threshold / 100) if threshold < 100 else Decimal(0))
        if rule.type == "oldest_item":
            return Decimal(self.oldest(account, at) - rule.grace), self.late(account, rule.grace + threshold, at)
        if rule.type == "dunning_level":
            return Decimal(account.dunning), None
        if rule.type == "order_amount":
            return amount, None
        if rule.type == "review_due":
            return Decimal(account.review_on is not None and account.review_on <= self.day(account, at)), None
        if rule.type == "limit_expired":
            return Decimal(any(l.kind == "base" for l in account.limits)
                           and not any(l.kind == "base" and (l.start is None or l.start <= at) and (l.end is None or at < l.end) for l in account.limits)), None
        if rule.type == "customer_status":
            return Decimal(any(self.parties[p].status != "active" for p in {account.customer, customer})), None
        return Decimal(0), None     # terms_change: nobody asks for terms yet

    def fails(self, rule, account, customer, amount, at, ship=None):
        return self.measure(rule, account, customer, amount, at, ship)[0] > self.threshold(rule, account, at)

    def decide(self, account, customer, amount, at=None, prepaid=False, passes=True, ship=None):
        """May it be so much more, of an order that ships on a day (None: at once)? amount in the account's currency. A Thing: outcome, why {code}, warned, headroom, account (None where several bind alike), cure."""
        at = at or self.now
        chain = self.chain(account)
        rooms = [(self.limit(a, at), a) for a in chain]
        rooms = [(limit - self.exposure(a, at), a, Decimal(0) if self.is_later(a, ship, at) else amount) for limit, a in rooms if limit is not None]
        headroom = min((room for room, _, _ in rooms), default=None)
        binding = [a for room, a, _ in rooms if room == headroom]
        found = Thing(outcome="approved", why=set(), warned=set(), headroom=headroom, account=binding[0].code if len(binding) == 1 else None, cure=Decimal(0))
        blocked = {("account_status", a.code) for a in chain if a.status != "open"}
        rules = self.rules_for(account, at)
        failing = [r for r in rules if r.action in ("block", "warn") and self.fails(r, account, customer, amount, at, ship)]
        found.warned = {(r.type, "") for r in failing if r.action == "warn"}
        passed = passes and (prepaid or any(r.action == "release" and not self.fails(r, account, customer, amount, at, ship) for r in rules))
        if passed:
            rooms, failing = [], []
        found.why = blocked | {("limit", a.code) for room, a, asked in rooms if asked > room} | {(r.type, "") for r in failing if r.action == "block"}
        if found.why:
            found.outcome = "held"
            cures = ([None] if blocked else []) + [asked - room for room, _, asked in rooms if asked > room] + [self.measure(r, account, customer, amount, at, ship)[1] for r in failing if r.action == "block"]
            found.cure = None if None in cures else max(cures).quantize(CENT, ROUND_CEILING)
        return found

    def short(self, account):
        """Whether nothing more may go in an account, whatever rule would let single orders pass."""
        return bool(self.decide(account, account.customer, Decimal(0), passes=False).why)

    # --- facts

    def post(self, kind, number, company, payer, account, currency, amount, posted, due):
        """An item of a document; it is converted once, at the rate of its posting."""
        total = money(amount * self.rate(currency, account.currency, posted))
        item = Item(kind=kind, number=number, company=company, payer=payer, account=account, currency=currency, amount=amount, total=total, posted=posted, due=due, applied=[])
        self.items[payer, company, kind, number] = item
        self.touched.add(account.code)
        return item

    def owed(self, payer, company, number):
        return next((i for kind in ("invoice", "debit_memo") for i in [self.items.get((payer, company, kind, number))] if i), None)

    def move(self, source, target, amount):
        """Applies money of one item to another, or takes it back where amount is negative."""
        if amount:
            source.applied.append((self.now, amount))
            target.applied.append((self.now, amount))
            source.pays.append((target, amount))
            self.touched |= {source.account.code, target.account.code}

    def carrier(self, customer, company, job=None):
        """The account that carries an item: where the customer has none, one without limit is opened for his payer."""
        account = self.account_for(customer, company, job)
        if account is None:
            payer = self.payer(customer)
            account = Thing(code=f"{payer}/{company}", customer=payer, company=company, segment="", parent=None, currency=self.companies[company].currency, status="open", limits=[],
                            dunning=0, review_on=None, release="date", exclude_disputed=False, horizon_days=None)
            self.accounts[account.code] = account
        return account

    def payment(self, number, company, customer, currency, amount, kind="payment", remittance=(), order=None, received=None):
        """Money that came: it pays what its remittance names, in that order, then what has been due longest, never what is in dispute."""
        if (company, number) in self.payments:
            return              # booked money is not changed
        received, payer = received or self.now, self.payer(customer)
        item = self.post(kind, number, company, payer, self.carrier(customer, company), currency, amount, received, None if kind != "refund" else self.today(company, received))
        item.pays, item.waits, item.named, item.order = [], {}, {}, order
        self.payments[company, number] = item
        if kind == "payment":
            for line in remittance:
                self.pay_named(item, line["invoice"], line.get("amount"))
            self.pay_oldest(item)
        elif kind == "refund":      # what is unapplied goes back
            self.lost.add(item.account.code)
            mine = [i for i in self.items.values() if i.kind in ("payment", "credit_memo", "deposit") and (i.account, i.payer, i.company, i.currency) == (item.account, payer, company, currency) and i.open]
            for source in sorted(mine, key=lambda i: (i.kind == "deposit", i.posted, i.number)):
                self.move(source, item, min(source.open, item.open))
        elif kind == "deposit":
            for invoice in [i for i in self.items.values() if i.kind == "invoice" and i.company == company and i.order == order and i.payer == payer and i.currency == currency]:
                self.move(item, invoice, min(item.open, invoice.open))

    def free(self, item):
        """What of a payment waits for no invoice."""
        return max(item.open - sum(item.waits.values()), Decimal(0))

    def pay_named(self, item, number, told):
        target, amount = self.owed(item.payer, item.company, number), self.free(item)
        amount = amount if told is None else min(told, amount)
        if target is None:
            elsewhere = any(i.kind in ("invoice", "debit_memo") and (i.company, i.number) == (item.company, number) for i in self.items.values())
            if not elsewhere:        # another payer's invoice is none to wait for
                item.named.setdefault(number, []).append(told)
                item.waits[number] = item.waits.get(number, Decimal(0)) + amount
        elif target.currency == item.currency:
            self.move(item, target, min(amount, target.open))

    def pay_oldest(self, item):
        owed = [i for i in self.items.values() if i.kind in ("invoice", "debit_memo") and (i.payer, i.company, i.currency) == (item.payer, item.company, item.currency) and i.open and i.account is item.account]
        for target in sorted(owed, key=lambda i: (i.due, i.posted, i.number)):
            self.move(item, target, min(self.free(item), target.open - self.disputed(target)))

    def reverse(self, number, company, reverses, currency, amount, received=None):
        """A payment that bounced: all it paid is open again, and it is set against the reversal."""
        if (company, number) in self.payments:
            return
        bounced = self.payments.get((company, reverses))
        if bounced is None or bounced.kind == "refund":
            raise Refused("SD001")
        self.payments[company, number] = bounced
        if getattr(bounced, "reversed", False):
            return              # the exception payment_reversed_twice
        bounced.reversed = True
        received = received or self.now
        taken = {}
        self.lost.add(bounced.account.code)
        for target, paid in bounced.pays:
            if target.kind == "refund":
                continue        # what went back of it stays so: the reversal is owed
            self.lost.add(target.account.code)
            taken[id(target)] = (target, taken.get(id(target), (target, Decimal(0)))[1] + paid)
        for target, paid in taken.values():
            self.move(bounced, target, -paid)
        own = self.post("refund", number, company, bounced.payer, bounced.account, bounced.currency, bounced.amount, received, self.today(company, received))
        bounced.waits, bounced.named = {}, {}
        self.move(bounced, own, bounced.open)

    def bill(self, kind, number, company, customer, account, currency, gross, issued, due, corrects=None, order=None):
        """An invoice, a debit memo or a credit memo becomes an item; of a payment that named it it takes what was told for it, as far as that is left; a memo is applied to what it corrects."""
        payer = self.payer(customer)
        item = self.post(kind, number, company, payer, account, currency, gross, issued, due)
        item.pays, item.order = [], order
        if kind == "credit_memo":
            target = corrects and self.owed(payer, company, corrects)
            if target and target.currency == currency:
                self.move(item, target, min(item.open, target.open))
            return item
        waiting = sorted((p for p in self.items.values() if p.kind in ("payment", "deposit") and (p.payer, p.company, p.currency) == (payer, company, currency)), key=lambda p: (p.posted, p.number))
        for money in waiting:
            if number in getattr(money, "named", {}):
                told = [amount for amount in money.named.pop(number) if amount is not None]
                money.waits.pop(number)
                self.move(money, item, min(sum(told) if told else money.open, money.open, item.open))
            elif money.kind == "deposit" and order and money.order == order:
                self.move(money, item, min(money.open, item.open))
        return item

    def dispute(self, number, company, customer, invoice, amount=None, closed=None):
        payer = self.payer(customer)
        item = self.owed(payer, company, invoice)
        if item is None:
            raise Refused("SD001")
        if amount and amount > item.amount:
            raise Refused("SD002")
        known = self.disputes.setdefault((payer, number), Thing(item=item, amount=amount, closed=False))
        known.amount = amount or known.amount
        known.closed = known.closed if closed is None else closed
        self.touched.add(item.account.code)

    # --- questions

    def aging(self, customer, day=None, edges=(30, 60, 90), by="due"):
        """{(currency, bucket): (amount, items)} of the payer at the end of a day, None = today."""
        found = {}
        for item in self.items.values():
            if item.payer != self.payer(customer):
                continue
            last = day or self.now.astimezone(ZoneInfo(getattr(self.parties[item.payer], "tz", None) or "UTC")).date()
            tz = ZoneInfo(self.companies[item.company].tz)
            local = item.posted.astimezone(tz).date()
            left = sum((-a for at, a in item.applied if at.astimezone(tz).date() <= last), item.amount)
            if local > last or not left:
                continue
            if item.kind in DEBIT:
                days = (last - (item.due if by == "due" else local)).days
                bounds = [1] + [edge + 1 for edge in edges]
                start = max((b for b in bounds if b <= days), default=None)
                later = [b - 1 for b in bounds if start and b > start]
                bucket = "current" if start is None else f"{start}-{later[0]}" if later else f"{start}+"
            else:
                bucket, left = "unapplied", -left
            amount, items = found.get((item.currency, bucket), (Decimal(0), 0))
            found[item.currency, bucket] = (amount + left, items + 1)
        return found


def days(number):
    return timedelta(days=number)
