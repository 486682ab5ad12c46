"""Random histories of order to cash: what is told and asked, step by step. The model is played along, so that most of it makes sense; the rest is nonsense on purpose."""
import copy
from datetime import datetime, timedelta, timezone
from decimal import Decimal
import itertools

from ledger_model import Refused, Thing
from order_model import GOING
from return_histories import Afterwards
from void_model import Books

COMPANIES = {"OHA": Thing(currency="USD", tz="America/New_York", native=False), "OHB": Thing(currency="EUR", tz="Europe/Berlin", native=True)}
PARTIES = {"OH-G": {}, "OH-P": {"parent": "OH-G", "groups": ("OH-GOLD",)}, "OH-Q": {"parent": "OH-G", "segment": "TRADE"}, "OH-PS": {"payer": "OH-P"},
           "OH-QS": {"payer": "OH-Q", "segment": "TRADE", "groups": ("OH-GOLD",)}, "OH-J": {"payer": "OH-P"}, "OH-R": {}}
BUYERS = ("OH-P", "OH-PS", "OH-Q", "OH-QS", "OH-R")
PRICES = {"OH-X": Decimal("10"), "OH-Y": Decimal("4"), "OH-Z": Decimal("3.37")}
# prices that change, soon and later
LATER = ((timedelta(minutes=14, seconds=30), {"OH-X": Decimal("12")}), (timedelta(minutes=22, seconds=30), {"OH-Z": Decimal("3.5"), "OH-X": Decimal("11")}), (timedelta(hours=30, seconds=30), {"OH-X": Decimal("10")}),
         (timedelta(days=9, seconds=30), {"OH-X": Decimal("9"), "OH-Y": Decimal("4.25"), "OH-Z": Decimal("3.37")}))
RATES = (("EUR", "USD", Decimal("1.25")), ("USD", "EUR", Decimal("0.8")))
SHARES = ("limit_share", "overdue_share")
TYPES = ("limit_share", "overdue_amount", "overdue_share", "oldest_item", "dunning_level", "order_amount", "limit_expired", "review_due", "customer_status")


def price_list(start):
    """[(from, prices)] of the price list, the first from ever."""
    found = [(datetime(2015, 1, 1, tzinfo=timezone.utc), PRICES)]
    for after, changed in LATER:
        found.append((start + after, {**found[-1][1], **changed}))
    return found


def books(start):
    made = Books(start)
    made.home, made.price_list = "OHA", price_list(start)
    made.companies = COMPANIES
    made.parties = {code: Thing(payer=p.get("payer"), parent=p.get("parent"), groups=p.get("groups", ()), segment=p.get("segment", ""), status="active") for code, p in PARTIES.items()}
    made.rates = [(start - timedelta(days=4000), a, b, rate) for a, b, rate in RATES]
    return made


# --- a step in the model

def account(b, code, **told):
    known = b.accounts.get(code)
    if known is None:
        known = b.accounts[code] = Thing(code=code, company=None, segment="", parent=None, status="open", limits=[], dunning=0, review_on=None, release="date", exclude_disputed=False, horizon_days=None)
    if "limit" in told:         # the base limit from now on
        for limit in list(known.limits):
            if limit.kind == "base" and (limit.end is None or limit.end > b.now):
                if limit.start is not None and limit.start >= b.now:
                    known.limits.remove(limit)
                else:
                    limit.end = b.now
        first = not known.limits
        known.limits.append(Thing(kind="base", amount=told.pop("limit"), start=None if first else b.now, end=None))
    if "limits" in told:        # all limits that have not ended
        for limit in list(known.limits):
            if limit.start is not None and limit.start >= b.now:
                known.limits.remove(limit)
            elif limit.end is None or limit.end > b.now:
                limit.end = b.now
        known.limits += [Thing(**l) for l in told.pop("limits")]
    anew = told.get("horizon_days", known.horizon_days) != known.horizon_days
    known.__dict__.update(told)
    if anew:        # it is reckoned from today on
        known.seen = b.inside_on(known)
    b.touched.add(code)


def play(b, step):
    """Plays a step: what the database is to answer."""
    args, b.released, b.touched = dict(step["args"]), [], set()
    b.now = step["at"]
    b.look()
    before, verb = set(b.touched), step["do"]
    # what is decided again by a verb that is refused is not
    kept = copy.deepcopy(b.__dict__) if verb in ("release_order", "change_order", "pick_order", "ship") and getattr(b.orders.get(args["number"]), "promised_again", False) else None
    try:
        if verb == "account":
            account(b, **args)
        elif verb == "rule":
            b.rules[args["code"]] = Thing(**args)
            return "ok"
        elif verb == "party":
            b.parties[args["code"]].status = args["status"]
            return "ok"
        elif verb == "clerk":
            b.clerk()
            return "ok"
        elif verb == "again":
            return None
        else:
            if verb.endswith("_return"):
                args.pop("company")
            answer = getattr(b, verb)(**args)
            b.settle()
            return answer or "ok"
        b.settle()
        return "ok"
    except Refused as refused:
        b.__dict__.update(kept or {}, touched=before)
        return str(refused)


# --- making them up

class Maker(Afterwards):
    """Maker makes the steps of one history."""

    def __init__(self, rng, start, length):
        self.rng, self.start, self.books, self.steps = rng, start, books(start), []
        self.clock, self.names, self.changed_lines = start, itertools.count(1), 0
        self.companies = rng.choice((("OHA",), ("OHB",), ("OHA", "OHB")))
        self.buyers = rng.sample(BUYERS, rng.randint(1, 3))
        self.world()
        while len(self.steps) < length:
            self.more()

    def add(self, do, **args):
        self.clock += timedelta(minutes=1)
        rng = self.rng
        asks = [{"customer": rng.choice(self.buyers), "company": rng.choice(self.companies), "amount": self.money(0, 300) if rng.random() < .8 else Decimal(0),
                 "at": None if rng.random() < .7 else self.clock + timedelta(days=rng.randint(0, 20), hours=rng.randint(0, 23), seconds=30)} for _ in range(2)]
        step = {"do": do, "args": args, "at": self.clock, "asks": asks, "day": (self.clock - timedelta(days=rng.choice((1, 2, 5, 30)))).date(),
                "aging": rng.choice(({}, {"buckets": [10, 40]}, {"by": "posting"}))}
        self.steps.append(step)
        return play(self.books, step)

    def name(self, kind):
        return f"{kind}{next(self.names)}"

    def money(self, low, high):
        return Decimal(self.rng.randint(low * 20, high * 20)) / 20

    def past(self, days=90):
        return self.clock - timedelta(days=self.rng.randint(0, days), minutes=self.rng.randint(0, 500)) if self.rng.random() < .6 else None

    # --- accounts and rules

    def world(self):
        rng = self.rng
        self.roots = rng.random() < .6
        if self.roots:
            self.add("account", code="OH-G", customer="OH-G", currency="USD", release=rng.choice(("date", "priority", "best_fit", "prefix")), **self.horizon(), **self.limit(800))
        for payer in ("OH-P", "OH-Q"):
            if rng.random() < .9:
                company = rng.choice((None, None) + self.companies)
                self.add("account", code=payer, customer=payer, currency="USD", company=company, parent="OH-G" if self.roots and rng.random() < .8 else None, **self.horizon(),
                         release=rng.choice(("date", "priority", "best_fit")), exclude_disputed=rng.random() < .3, **self.limit(500))
        if rng.random() < .3 and "OH-Q" in self.books.accounts:
            self.add("account", code="OH-QT", customer="OH-Q", currency="USD", company=self.books.accounts["OH-Q"].company, segment="TRADE", parent="OH-Q", **self.horizon(), **self.limit(300))
        if rng.random() < .4 and "OH-P" in self.books.accounts:
            self.add("account", code="OH-J", customer="OH-J", currency="USD", parent="OH-P", **self.limit(300))
        if "OH-R" in self.buyers and rng.random() < .4:
            self.add("account", code="OH-R", customer="OH-R", currency="EUR", company=rng.choice((None,) + self.companies), **self.limit(400))
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            self.rule()

    def horizon(self):
        return {"horizon_days": self.rng.choice((2, 5, 12, 30))} if self.rng.random() < .3 else {}

    def wanted(self, often):
        """A day on which an order is wanted, where an account may care."""
        if any(a.horizon_days for a in self.books.accounts.values()) and self.rng.random() < often:
            return {"wanted": (self.clock + timedelta(days=self.rng.choice((1, 3, 8, 14, 40)))).date()}
        return {}

    def limit(self, most):
        rng = self.rng
        kind = rng.random()
        if kind < .1:
            return {}
        if kind < .2:
            return {"limit": rng.choice((None, Decimal(0)))}
        if kind < .7:
            return {"limit": self.money(50, most)}
        limits = []
        for kind in rng.sample(("base", "insured", "temporary", "seasonal"), rng.randint(1, 3)):
            start = rng.choice((None, self.clock + timedelta(days=rng.randint(-5, 15))))
            end = rng.choice((None, (start or self.clock) + timedelta(days=rng.randint(1, 20))))
            limits.append({"kind": kind, "amount": self.money(0, most) if rng.random() < .9 else None, "start": start, "end": end})
        return {"limits": limits}

    def rule(self):
        rng = self.rng
        action = rng.choice(("block", "block", "block", "warn", "exclude", "release"))
        kind = "order_amount" if action == "release" else rng.choice(TYPES)
        scope = rng.choice(("all", "group", "customer"))
        threshold = {"limit_share": self.money(50, 110), "overdue_share": self.money(0, 100), "overdue_amount": self.money(0, 200), "oldest_item": Decimal(rng.randint(0, 40)),
                     "dunning_level": Decimal(rng.randint(0, 3)), "order_amount": self.money(20, 400)}.get(kind)
        start = rng.choice((None, None, self.clock + timedelta(days=rng.randint(-5, 10))))
        code = rng.choice(sorted(self.books.rules)) if self.books.rules and rng.random() < .3 else self.name("OH-R")
        self.add("rule", code=code, type=self.books.rules[code].type if code in self.books.rules else kind, scope=scope, key={"all": "", "group": "OH-GOLD", "customer": rng.choice(("OH-P", "OH-Q", "OH-J", "OH-G", "OH-QS"))}[scope],
                 threshold=threshold, currency=rng.choice((None, "EUR")) if kind.endswith("amount") else None, grace=rng.choice((0, 0, 5)) if kind in ("overdue_amount", "overdue_share", "oldest_item") else 0,
                 action=action, start=start, end=rng.choice((None, None, (start or self.clock) + timedelta(days=rng.randint(1, 30)))))
        self.add("clerk")

    # --- what happens

    def more(self):
        rng = self.rng
        ways = {self.order: 22, self.pay: 14, self.bill: 14, self.go: 12, self.time: 10, self.stop: 5, self.let: 5, self.refuse: 3, self.owner: 5, self.argue: 6, self.bounce: 4, self.relapse: 8,
                self.change: 7, self.rule: 3, self.repeat: 5, self.told: 3, self.status: 2,
                self.amend: 9, self.pick: 5, self.reply: 5, self.back: 14, self.memo: 5, self.undo: 5, self.rebill: 4, self.season: 9}
        rng.choices(list(ways), list(ways.values()))[0]()

    def some(self, *states):
        found = [o for o in self.books.orders.values() if not states or o.state in states]
        return self.rng.choice(found) if found else None

    def lines(self):
        lines = []
        for sku in self.rng.sample(sorted(PRICES), self.rng.choice((1, 1, 2))):
            quantity = self.rng.choice((1, 2, 4, 5, 8, 10, 20))
            tax = self.rng.choice((Decimal(0), quantity * Decimal("0.4"), quantity * Decimal("0.23")))
            lines.append({"sku": sku, "quantity": Decimal(quantity), "gross": self.books.price(sku, self.clock) * quantity + tax, "tax": tax})
        return lines

    def buyer(self):
        customer, company = self.rng.choice(self.buyers), self.rng.choice(self.companies)
        job = "OH-J" if customer in ("OH-P", "OH-PS") and self.rng.random() < .3 else None
        return {"customer": customer, "company": company, "currency": COMPANIES[company].currency, "job": job}

    def order(self):
        rng, policy = self.rng, {}
        number, who = self.name("O"), self.buyer()
        if rng.random() < .15:
            policy["on_hold"] = "refuse"
        if rng.random() < .3:
            policy["priority"] = rng.choice((50, 100, 200))
        if rng.random() < .2:
            policy["answer_within"] = rng.choice((1, 24, 72))
        if rng.random() < .2:
            policy["held_stock"] = "none"
        if rng.random() < .35:
            policy["reprice"] = rng.choice(("offer", "offer", "take"))
            policy.update(rng.choice(({}, {"price_tolerance": 20}, {"offer_within": 12})))
        if rng.random() < .15:
            policy["credit_at"] = rng.choice(("pick", "entry"))
        lines = self.lines()
        if rng.random() < .12:
            self.add("payment", number=self.name("D"), company=who["company"], customer=who["customer"], currency=who["currency"], kind="deposit", order=number,
                     amount=rng.choice((sum(l["gross"] for l in lines), self.money(5, 100))))
        self.add("submit", number=number, lines=lines, policy=policy, **self.wanted(.5), **who)

    def told(self):
        self.add("order_told", number=self.name("E"), lines=self.lines(), **self.wanted(.4), **self.buyer())

    def pay(self):
        rng = self.rng
        customer, company = rng.choice(self.buyers), rng.choice(self.companies)
        owed = [i for i in self.books.items.values() if i.kind in ("invoice", "debit_memo") and i.open and i.company == company]
        remittance, currency, amount = [], COMPANIES[company].currency, self.money(5, 400)
        for item in rng.sample(owed, min(len(owed), rng.choice((0, 1, 1, 2)))):
            remittance.append({"invoice": item.number, **({"amount": rng.choice((item.open, self.money(1, 200)))} if rng.random() < .6 else {})})
            if rng.random() < .7:
                amount, customer, currency = rng.choice((item.open, amount)), item.payer, item.currency
        if rng.random() < .1:
            remittance.append({"invoice": self.name("I"), "amount": self.money(5, 50)})
        if rng.random() < .03:
            currency = "EUR" if currency == "USD" else "USD"
        kind = "refund" if rng.random() < .07 else "payment"
        self.add("payment", number=self.name("P"), company=company, customer=customer, currency=currency, amount=amount, kind=kind, remittance=remittance if kind == "payment" else [], received=self.past(30))

    def bill(self):
        rng = self.rng
        order = self.some(*GOING, "shipped", "held") if rng.random() < .7 else None
        if order:
            self.bill_of(order)
            return
        company = rng.choice(self.companies)
        kind = rng.choice(("invoice", "invoice", "debit_memo", "credit_memo"))
        owed = [i for i in self.books.items.values() if i.kind == "invoice" and i.company == company]
        corrects = rng.choice(owed) if owed and kind == "credit_memo" and rng.random() < .6 else None
        self.add("invoice", number=self.bill_name(), company=company, currency=corrects.currency if corrects else COMPANIES[company].currency, gross=self.money(5, 200), due=self.due(), issued=self.past(60), kind=kind,
                 customer=corrects.payer if corrects else rng.choice(self.buyers), corrects=corrects and corrects.number)

    def due(self):
        return (self.clock + timedelta(days=self.rng.choice((-40, -10, -1, 0, 1, 10, 30)))).date()

    def bill_name(self):
        """A number for which money may wait."""
        waits = [n for p in self.books.payments.values() for n in getattr(p, "waits", {})]
        waits = [n for n in waits if not any(i.number == n for i in self.books.items.values())]
        return self.rng.choice(waits) if waits and self.rng.random() < .5 else self.name("I")

    def bill_of(self, order):
        rng = self.rng
        shipped = [(l.no, l.shipped - l.billed) for l in order.lines if l.shipped > l.billed and l.quantity]
        early = [(l.no, Decimal(rng.randint(1, int(l.quantity)))) for l in order.lines if not l.billed and not l.shipped and not l.cancelled and l.quantity]
        early = [] if rng.random() < .7 else rng.sample(early, rng.randint(0, len(early)))
        if not shipped and not early:
            return
        lines = None if shipped and not early and rng.random() < .4 else shipped + early
        if shipped and lines and rng.random() < .3:
            lines = [(no, Decimal(rng.randint(1, int(q)))) for no, q in lines]
        gross = sum(order.line_of(no).gross / order.line_of(no).quantity * q for no, q in lines or shipped)
        gross, more = max(gross + rng.choice((0, 0, 0, -1, 15)), Decimal(1)).quantize(Decimal("0.01")), {}      # another price, freight
        if lines and rng.random() < .5:
            lines = [(no, q, order.line_of(no).price * q, (order.line_of(no).tax * q / order.line_of(no).quantity).quantize(Decimal("0.01"))) for no, q in lines]
            lines[0] = (*lines[0][:2], max(lines[0][2] + rng.choice((0, 0, Decimal("-0.37"), Decimal("1.11"))), Decimal("0.01")), lines[0][3])
            more = {"freight": rng.choice((Decimal(0), Decimal(0), Decimal(15))), "tax": sum(line[3] for line in lines)}
            gross = sum(line[2] + line[3] for line in lines) + more["freight"]
        self.add("invoice", number=self.bill_name(), company=order.company, currency=order.currency, gross=gross, due=self.due(), issued=self.past(20), order=order.number, lines=lines, **more)

    def go(self):
        rng = self.rng
        order = self.some(*GOING) if rng.random() < .9 else self.some()
        if order:
            lines = [(l.no, Decimal(rng.randint(1, max(int(l.quantity - l.cancelled - l.shipped), 1))) if rng.random() < .4 else max(l.quantity - l.cancelled - l.shipped + rng.choice((0, 0, 0, 0, 2)), Decimal(1))) for l in order.lines if l.quantity]
            lines = rng.sample(lines, rng.randint(1, len(lines)))
            self.add("left" if rng.random() < .4 else "ship", number=order.number, shipment=self.name("S"), lines=sorted(lines))

    def time(self):
        self.clock += timedelta(hours=self.rng.choice((1, 5, 24, 48, 24 * 7, 24 * 20)))
        self.add("clerk")

    def stop(self):
        order = self.some(*GOING, "held") if self.rng.random() < .9 else self.some()
        if order:
            self.add("hold_order", number=order.number, kind=self.rng.choice(("manual", "manual", "forced")), owner=self.rng.choice(("credit", "credit", "legal")))

    def let(self):
        order = self.some("held") if self.rng.random() < .9 else self.some()
        if order:
            self.add("release_order", number=order.number, owner=self.rng.choice((None, None, "credit", "legal")), authority=self.rng.choice((None, "cfo")))

    def refuse(self):
        order = self.some(*GOING, "held") if self.rng.random() < .9 else self.some()
        if order:
            self.add("cancel", number=order.number)

    def owner(self):
        found = [o for o in self.books.orders.values() if o.company == "OHA" and o.state in GOING + ("rejected",)]
        if found:
            self.add("answer", number=self.rng.choice(found).number, state=self.rng.choice(("booked", "booked", "rejected")))

    def argue(self):
        rng = self.rng
        known = sorted(self.books.disputes)
        if known and rng.random() < .5:
            (_, number) = rng.choice(known)
            dispute = next(d for (_, n), d in self.books.disputes.items() if n == number)
            self.add("dispute", number=number, company=dispute.item.company, customer=dispute.item.payer, invoice=dispute.item.number, closed=not dispute.closed)
        else:
            owed = [i for i in self.books.items.values() if i.kind in ("invoice", "debit_memo") and i.open]
            if owed:
                item = rng.choice(owed)
                self.add("dispute", number=self.name("C"), company=item.company, customer=item.payer, invoice=item.number, amount=rng.choice((item.open, min(self.money(1, 100), item.amount), self.money(1, 100))))

    def bounce(self):
        paid = sorted(self.books.payments)
        if paid:
            company, number = self.rng.choice(paid)
            money = self.books.payments[company, number]
            if money.kind != "refund" and money.number == number:
                self.add("reverse", number=self.name("B"), company=company, reverses=number, currency=money.currency, amount=money.amount, received=self.past(3))

    def relapse(self):
        """Money that lets go of what waits, and bounces."""
        waiting = [o for o in self.books.orders.values() if o.state == "held" and o.account and not o.by_hand()]
        if waiting:
            order, number = self.rng.choice(waiting), self.name("P")
            currency, amount = COMPANIES[order.company].currency, self.money(50, 900)
            self.add("payment", number=number, company=order.company, customer=order.payer, currency=currency, amount=amount, kind="payment", remittance=[], received=self.past(1))
            for _ in range(self.rng.choice((0, 0, 1, 2))):
                self.rng.choice((self.order, self.go, self.let))()
            self.add("reverse", number=self.name("B"), company=order.company, reverses=number, currency=currency, amount=amount, received=None)

    def season(self):
        """Orders that ship later than an account looks, and the days until one of them counts."""
        rng, far = self.rng, [a for a in self.books.accounts.values() if a.horizon_days]
        if not far:
            return
        account = rng.choice(far)
        for _ in range(rng.choice((1, 2, 3))):
            who = self.buyer()
            carrier = self.books.account_for(who["customer"], who["company"], who["job"])
            if carrier and account in self.books.chain(carrier):
                self.add("submit", number=self.name("O"), lines=self.lines(), policy={"priority": rng.choice((50, 100, 100, 200))}, wanted=(self.clock + timedelta(days=account.horizon_days + rng.choice((0, 1, 2, 4)))).date(), **who)
        for _ in range(rng.choice((0, 1, 2))):
            rng.choice((self.order, self.change, self.go, self.bill))()
        self.clock += timedelta(days=rng.choice((1, 2, 3)))
        self.add("clerk")

    def change(self):
        rng, codes = self.rng, [c for c in self.books.accounts if c.startswith("OH-") and "/" not in c]
        if codes:
            told = rng.choice(({"limit": self.money(50, 900)}, {"limit": self.money(50, 900)}, self.limit(600), {"status": rng.choice(("open", "blocked"))}, {"status": "open"}, {"dunning": rng.randint(0, 4)},
                               {"review_on": (self.clock + timedelta(days=rng.randint(-3, 10))).date()}, {"exclude_disputed": rng.random() < .5},
                               {"horizon_days": rng.choice((None, 2, 5, 12, 30))}))
            self.add("account", code=rng.choice(codes), **told)

    def status(self):
        self.add("party", code=self.rng.choice(("OH-P", "OH-PS", "OH-Q", "OH-QS")), status=self.rng.choice(("active", "active", "active", "blocked", "inactive")))
        self.add("clerk")

    def repeat(self):
        """The same call once more, or the same document."""
        done = [n for n, s in enumerate(self.steps) if s["do"] not in ("clerk", "again", "rule", "account", "party", "hold_order", "release_order", "dispute")]
        if done:
            self.add("again", step=self.rng.choice(done))


# --- histories that have found something, at their smallest

def told(*calls):
    """Steps of (minutes since the one before, what, arguments)."""
    steps, at = [], 0
    for minutes, do, args in calls:
        at += minutes
        steps.append((at, do, args))
    return steps


def lines(sku, quantity, tax=Decimal(0)):
    return [{"sku": sku, "quantity": Decimal(quantity), "gross": PRICES[sku] * quantity + tax, "tax": tax}]


R, Q, EUR = {"customer": "OH-R", "company": "OHA", "currency": "USD"}, {"customer": "OH-Q", "company": "OHA", "currency": "USD"}, {"customer": "OH-R", "company": "OHB", "currency": "EUR"}
FIXED = {
    "payments and deposits are one bucket of what is unapplied, of whatever age": told(
        (1, "payment", {"number": "P1", "amount": Decimal("195.75"), "kind": "payment", **EUR}), (9 * 1440, "payment", {"number": "D1", "amount": Decimal(45), "kind": "deposit", "order": "O9", **EUR})),
    "money waits for a debit memo as well": told(
        (1, "payment", {"number": "P1", "amount": Decimal(85), "kind": "payment", "remittance": [{"invoice": "I4", "amount": Decimal(39)}], **R}),
        (1, "invoice", {"number": "I4", "gross": Decimal(194), "due": None, "issued": None, "kind": "debit_memo", **R})),
    "an order of which the rest is cancelled is closed if what has left is billed": told(
        (1, "submit", {"number": "O1", "lines": lines("OH-X", 2), "job": None, "policy": {}, **R}), (1, "ship", {"number": "O1", "shipment": "S1", "lines": [(1, Decimal(1))]}),
        (1, "invoice", {"number": "I1", "company": "OHA", "currency": "USD", "gross": Decimal(10), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(1))]}), (1, "cancel", {"number": "O1"})),
    "what leaves for a cancelled order is billed before it is closed": told(
        (1, "submit", {"number": "O1", "lines": lines("OH-X", 4), "job": None, "policy": {}, **R}), (1, "cancel", {"number": "O1"}), (1, "left", {"number": "O1", "shipment": "S1", "lines": [(1, Decimal(1))]})),
    "what an invoice charges is not what it bills": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(500)}), (1, "submit", {"number": "O1", "lines": lines("OH-X", 5), "job": None, "policy": {}, **Q}),
        (1, "ship", {"number": "O1", "shipment": "S1", "lines": [(1, Decimal(4))]}),
        (1, "invoice", {"number": "I1", "company": "OHA", "currency": "USD", "gross": Decimal(35), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(2))]}),
        (1, "invoice", {"number": "I2", "company": "OHA", "currency": "USD", "gross": Decimal(9), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(1))]})),
    "what was billed is not unbilled when it leaves after all": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(500)}), (1, "submit", {"number": "O1", "lines": lines("OH-X", 4), "job": None, "policy": {}, **Q}),
        (1, "invoice", {"number": "I1", "company": "OHA", "currency": "USD", "gross": Decimal(40), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(4))]}),
        (1, "answer", {"number": "O1", "state": "rejected"}), (1, "left", {"number": "O1", "shipment": "S1", "lines": [(1, Decimal(1))]})),
    "a percentage has no currency": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(25)}),
        (1, "rule", {"code": "OH-R1", "type": "limit_share", "scope": "customer", "key": "OH-Q", "threshold": Decimal(180), "currency": "EUR", "grace": 0, "action": "block", "start": None, "end": None})),
    "shares are rounded once": told(
        (1, "account", {"code": "OH-R", "customer": "OH-R", "currency": "USD", "limit": Decimal(0)}), (1, "submit", {"number": "O1", "lines": lines("OH-Z", 2, Decimal("0.8")), "job": None, "policy": {}, **EUR}),
        (1, "invoice", {"number": "I1", "company": "OHB", "currency": "EUR", "gross": Decimal("3.77"), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(1))]})),
    "who is active again has his orders looked at": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(500)}),
        (1, "rule", {"code": "OH-R1", "type": "customer_status", "scope": "all", "key": "", "threshold": None, "currency": None, "grace": 0, "action": "block", "start": None, "end": None}),
        (1, "clerk", {}), (1, "party", {"code": "OH-Q", "status": "inactive"}), (1, "clerk", {}),
        (1, "submit", {"number": "O1", "lines": lines("OH-X", 2), "job": None, "policy": {}, **dict(Q, customer="OH-QS")}), (1, "party", {"code": "OH-Q", "status": "active"}), (1, "clerk", {})),
    "what is billed of a held order before it leaves does not wait": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(20)}), (1, "submit", {"number": "O1", "lines": lines("OH-X", 5), "job": None, "policy": {}, **Q}),
        (1, "invoice", {"number": "I1", "company": "OHA", "currency": "USD", "gross": Decimal(30), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(3))]})),
    "a memo of its owner that credits more than was charged leaves nothing to credit": told(
        (1, "submit", {"number": "O1", "lines": lines("OH-Y", 4), "job": None, "policy": {}, **Q}), (1, "left", {"number": "O1", "shipment": "S1", "lines": [(1, Decimal(4))]}),
        (1, "authorise_return", {"number": "R1", "company": "OHA", "order": "O1", "lines": [(1, Decimal(3))]}), (1, "receive_return", {"number": "R1", "company": "OHA", "lines": None}),
        (1, "inspect_return", {"number": "R1", "company": "OHA", "lines": [(1, "restock", Decimal(3))]}),
        (1, "invoice", {"number": "I1", "company": "OHA", "currency": "USD", "gross": Decimal(16), "due": None, "issued": None, "order": "O1", "lines": None}),
        (1, "invoice", {"number": "M1", "company": "OHA", "currency": "USD", "gross": Decimal("54.8"), "due": None, "issued": None, "kind": "credit_memo", "customer": "OH-Q", "order": "O1", "corrects": "I1", "back": "R1"}),
        (1, "authorise_return", {"number": "R2", "company": "OHA", "order": "O1", "lines": [(1, Decimal(1))]}), (1, "receive_return", {"number": "R2", "company": "OHA", "lines": None}),
        (1, "inspect_return", {"number": "R2", "company": "OHA", "lines": [(1, "restock", Decimal(1))]}), (1, "credit_return", {"number": "R2", "company": "OHA"})),
    "what does not fit when its day comes waits, the last let go first, and goes on when there is room": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(100), "horizon_days": 5}),
        (1, "submit", {"number": "O1", "lines": lines("OH-X", 3), "job": None, "policy": {}, "wanted": 6, **Q}), (1, "submit", {"number": "O2", "lines": lines("OH-X", 5), "job": None, "policy": {}, "wanted": 6, **Q}),
        (1, "order_told", {"number": "O3", "lines": lines("OH-X", 4), "job": None, "wanted": 6, **Q}), (1, "submit", {"number": "O4", "lines": lines("OH-X", 4), "job": None, "policy": {}, "wanted": 2, **Q}),
        (1, "submit", {"number": "O5", "lines": lines("OH-X", 9), "job": None, "policy": {}, "wanted": 8, **Q}), (1440, "clerk", {}), (1, "payment", {"number": "P1", "amount": Decimal(60), "kind": "payment", **Q}),
        (1, "change_order", {"number": "O5", "lines": [], "wanted": 3}), (1, "change_order", {"number": "O2", "lines": [], "wanted": 20}), (1, "ship", {"number": "O1", "shipment": "S1", "lines": [(1, Decimal(1))]}),
        (1, "pick_order", {"number": "O2"}), (1, "account", {"code": "OH-Q", "horizon_days": 1}), (1440, "clerk", {}), (1, "account", {"code": "OH-Q", "horizon_days": None})),
    "half a cent that a void invoice gives back is half a cent": told(
        (1, "account", {"code": "OH-Q", "customer": "OH-Q", "currency": "USD", "limit": Decimal(500)}),
        (1, "submit", {"number": "O1", "lines": [{"sku": "OH-X", "quantity": Decimal(6), "gross": Decimal("61.38"), "tax": Decimal("1.38")}], "job": None, "policy": {}, "customer": "OH-Q", "company": "OHB", "currency": "EUR"}),
        (1, "invoice", {"number": "I1", "company": "OHB", "currency": "EUR", "gross": Decimal("30.69"), "due": None, "issued": None, "order": "O1", "lines": [(1, Decimal(3))]}),
        (1, "void", {"number": "I1", "company": "OHB", "kind": "invoice", "currency": "EUR", "gross": Decimal("30.69"), "due": None, "issued": None, "customer": None, "order": "O1", "lines": [(1, Decimal(3))], "corrects": None, "tax": Decimal(0), "rebills": None, "back": None, "rebill": False})),
}


def fixed(calls, start):
    """The steps of a history of FIXED."""
    steps = []
    for at, do, args in calls:
        now = start + timedelta(minutes=at)
        args = dict(args, due=(now + timedelta(days=10)).date()) if do == "invoice" else dict(args, wanted=(now + timedelta(days=args["wanted"])).date()) if "wanted" in args else args
        asks = [{"customer": c, "company": "OHA", "amount": Decimal(50), "at": None} for c in ("OH-Q", "OH-R")]
        steps += [{"do": do, "args": args, "at": now, "asks": asks, "day": (now - timedelta(days=1)).date(), "aging": {"by": by}} for by in ("posting",)]
    return steps
