"""Order to cash decided a second time, in plain Python: orders, holds, letting go, shipments, invoices. See ledger_model.py.

again_model.py is what is decided once more of an order, return_model.py what comes back of it, void_model.py what is taken back of what was billed.
"""
from datetime import timedelta
from decimal import Decimal

from horizon_model import Horizons
from ledger_model import Refused, Thing, money

GOING = ("accepted", "sent", "booked")


class Order(Thing):
    """An order and what has become of it: of each line what was asked, shipped, billed, cancelled; total is its gross amount in the account's currency.

    left is what of the total is still to ship, shipments what has left: {line: quantity} and what of it is unbilled. Shares are rounded to minor units, the last takes what is left.
    """

    @property
    def gross(self):
        return sum(line.gross for line in self.lines)

    def value(self, quantities):
        """What quantities of lines are worth, of the total."""
        return money(self.total * sum(line.gross * quantity / line.quantity for line, quantity in quantities if line.quantity) / self.gross) if self.gross else Decimal(0)

    def to_ship(self):
        """What it counts still; more where a higher price is offered, or has had it held again."""
        return self.left + self.extra

    def unbilled(self):
        return sum((s.unbilled for s in self.shipments), Decimal(0))

    def states(self):
        """Of each line what is open and what is unbilled, in its quantity."""
        return {line: (max(line.quantity - line.cancelled - max(line.shipped, line.billed), 0), max(line.shipped - line.billed, 0)) for line in self.lines}

    def complete(self):
        return all(line.shipped + line.cancelled >= line.quantity for line in self.lines)

    def send(self, quantities):
        """Goods leave: their share of what is left is unbilled, what is beyond the order as well."""
        before = self.states()
        for line, quantity in quantities:
            line.shipped += quantity
        now = self.states()
        within = self.value((line, before[line][0] - now[line][0]) for line in self.lines)
        beyond = self.value((line, now[line][1] - before[line][1] - before[line][0] + now[line][0]) for line in self.lines)
        moved = self.left if self.complete() else within
        self.left -= min(self.left, moved)
        self.shipments.append(Thing(lines=[line for line, _ in quantities], unbilled=moved + beyond))

    def bill(self, quantities):
        """Quantities are billed: they leave what is unbilled, first shipment first, and what is left where they have not shipped."""
        before = self.states()
        for line, quantity in quantities:
            line.billed += quantity
        now = self.states()
        rest = self.value((line, before[line][1] - now[line][1]) for line in self.lines)
        for shipment in self.shipments:
            part = shipment.unbilled if all(line.billed >= line.shipped for line in shipment.lines) else min(shipment.unbilled, max(rest, Decimal(0)))
            shipment.unbilled -= part
            rest -= part
        if any(line.billed > line.shipped for line in self.lines):
            done = all(line.billed >= line.quantity - line.cancelled for line in self.lines)
            self.left -= self.left if done else min(self.left, self.value((line, before[line][0] - now[line][0]) for line in self.lines))

    def unbill(self, quantities):
        """An invoice is taken back: what has left of it is unbilled again, with the last shipment of the line; what has not is to ship again."""
        before = self.states()
        for line, quantity in quantities:
            line.billed -= quantity
        now, again = self.states(), Decimal(0)
        for line in sorted(dict(quantities), key=lambda line: line.no):
            part = self.value([(line, now[line][1] - before[line][1])])
            if part:
                next(s for s in reversed(self.shipments) if line in s.lines).unbilled += part
            again += part
        ahead = self.value((line, now[line][0] - before[line][0]) for line in dict(quantities))
        self.left += ahead
        return again + ahead

    def has_shipped(self):
        return any(line.shipped for line in self.lines)

    def line_of(self, number):
        return next(line for line in self.lines if line.no == number)

    def by_hand(self):
        return [h for h in self.holds if h.kind != "auto"]


class Orders(Horizons):
    """The ledger with its orders. Each verb is a method; released says which orders it let go, in order."""

    def __init__(self, now):
        super().__init__(now)
        self.released, self.shipments, self.bills, self.numbered = [], {}, {}, 0
        self.price_list = []        # (from, {item: price})

    def convert(self, order, amount):
        return money(amount * self.rate(order.currency, order.account.currency, order.ordered)) if order.account else amount

    def order(self, number):
        if number not in self.orders:
            raise Refused("SD001")
        return self.orders[number]

    def price(self, sku, at):
        return next(prices[sku] for start, prices in reversed(self.price_list) if start <= at)

    # --- credit

    def prepaid(self, order, amount):
        """A deposit of the order's payer, or of the tree of its account, covers it: what is asked for, and what of it has left and is not billed."""
        tree = self.below(self.top(order.account))
        paid = sum(i.open if i.currency == order.account.currency else i.in_account(i.open) if i.account.currency == order.account.currency else 0 for i in self.items.values()
                   if i.kind == "deposit" and i.company == order.company and i.order == order.number and (i.payer == order.payer or i.account in tree))
        return amount > 0 and paid - order.unbilled() >= amount

    def judge(self, order, amount):
        """The decision about an order that takes so much; None where nothing limits it."""
        return self.decide(order.account, order.customer, amount, prepaid=self.prepaid(order, amount), ship=self.ship_day(order)) if order.account else None

    def rank(self, order, policy):
        return {"priority": (order.priority, order.placed), "best_fit": (-order.to_ship(), order.placed)}.get(policy, (order.placed,))

    def rehold(self):
        """What credit let go and has not shipped waits again where money went and the account stands badly now: the last let go first, until it stands well; what fits after all, because larger ones wait, goes on."""
        for top in {self.top(self.accounts[code]).code: self.top(self.accounts[code]) for code in sorted(self.lost)}.values():
            lost = [self.accounts[code] for code in self.lost if self.top(self.accounts[code]) is top]
            over = [a for account in lost for a in self.chain(account) if self.limit(a, self.now) is not None and self.exposure(a) > self.limit(a, self.now)]
            scope = {a.code for a in lost} | {b.code for a in over for b in self.below(a)}
            self.hold_again([o for o in self.orders.values() if o.account and o.account.code in scope])
        self.lost = set()

    def hold_again(self, orders):
        """What of these orders credit let go waits again where their accounts stand badly."""
        going = [o for o in orders if o.asked and o.left > o.covers and (o.state in GOING or o.promised_again)]
        well, waiting = set(), []
        for order in sorted(going, key=lambda o: (-o.priority, -o.let_go)):
            if order.account.code in well:
                continue
            if not self.short(order.account):
                well.add(order.account.code)
            elif self.waits(order):
                waiting.append(order)
        if len(waiting) > 1:
            waiting = [o for o in reversed(waiting) if self.waits(o)]
        for order in waiting:
            self.withdraw(order)
            order.resume = order.before[0] if order.before[0] in GOING else order.resume
            order.holds, order.credit, order.answer_due, order.placed = [Thing(kind="auto", owner="credit", why=order.why)], "held", None, order.taken

    def waits(self, order):
        """Asks of an order that goes whether it would be let go if it waited; if not, it waits."""
        if order.state != "held" or order.promised_again:
            order.before = order.state, order.promised_again
        order.state, order.promised_again = "held", False
        decision = self.judge(order, order.to_ship())
        order.why = decision.why
        if decision.outcome == "approved":
            order.state, order.promised_again = order.before
        return decision.outcome != "approved"

    def settle(self):
        """What only credit holds is decided again, in the order of release of the top of each tree that was moved; what fits goes on."""
        self.rehold()
        for top in {self.top(self.accounts[code]).code: self.top(self.accounts[code]) for code in sorted(self.touched)}.values():
            waiting = [o for o in self.orders.values() if o.state == "held" and o.holds and not o.by_hand() and o.account in self.below(top)]
            for order in sorted(waiting, key=lambda o: self.rank(o, top.release)):
                decision = self.judge(order, order.to_ship())
                if decision.outcome == "approved":
                    self.go_on(order)
                elif top.release == "prefix" and any(code == "limit" for code, _ in decision.why):
                    break
        self.touched = set()

    def lets_go(self, order, covers=Decimal(0)):
        self.numbered += 1
        order.let_go, order.asked, order.covers = self.numbered, True, covers

    def go_on(self, order, covers=Decimal(0)):
        order.holds, order.credit = [], "released"
        self.lets_go(order, covers)
        if not order.gave_back and (order.reprice == "keep" or order.promised):
            self.resume(order)
        else:
            order.promised_again = True     # its stock, or its price, is decided again first, by the clerk or the next verb: decide_again()

    def resume(self, order):
        order.state, order.promised_again, order.gave_back = order.resume, False, False
        order.told, order.promised = False, True
        self.ask_owner(order)
        self.released.append(order.number)

    def ask_owner(self, order):
        order.answer_due = self.now + timedelta(hours=order.answer_within) if order.answer_within and order.state == "accepted" else None

    def hold(self, order, kind, owner, why):
        if kind == "auto":
            self.numbered += 1
            order.placed = self.numbered
        order.holds.append(Thing(kind=kind, owner=owner, why=why))
        order.resume = order.state if order.state in GOING else order.resume
        order.covered = Decimal(0)
        order.state, order.answer_due, order.promised_again = "held", None, False
        self.withdraw(order)
        order.credit = "held" if order.account else "none"

    def withdraw(self, order):
        """An offer is none any more; the order waits with what it counted."""
        order.offer = None

    # --- commands

    def take(self, number, company, customer, currency, lines, job, policy, ordered, told=False, wanted=None):
        """An order as it comes: what it costs is told by its owner, else by the price list."""
        at = ordered or self.now
        order = Order(number=number, company=company, customer=customer, payer=self.payer(customer), currency=currency, ordered=at, holds=[], placed=0, lines=[self.line(n, **line, at=None if told else at) for n, line in enumerate(lines, 1)],
                      priority=policy.get("priority", 100), answer_within=policy.get("answer_within"), reprice=policy.get("reprice", "keep"), tolerance=policy.get("price_tolerance", 0), credit_at=policy.get("credit_at", "ship"),
                      on_hold=policy.get("on_hold", "hold"), offer_within=policy.get("offer_within", 72), resume="booked" if self.companies[company].native else "accepted", state=None, credit="none", answer_due=None, held_stock=policy.get("held_stock", "keep"))
        order.taken, order.let_go, order.asked, order.covers, order.covered = 0, 0, False, Decimal(0), Decimal(0)
        order.gave_back = order.promised_again = order.promised = order.told = order.picked = False
        order.offer, order.extra, order.shipments, order.priced = None, Decimal(0), [], at
        order.wanted, order.at_once = wanted, False
        order.account = self.account_for(customer, company, job)
        order.total = order.left = self.convert(order, order.gross)
        return order

    def line(self, no, sku, quantity, tax=Decimal(0), gross=None, at=None):
        price = self.price(sku, at) if at else (gross - tax) / quantity
        return Thing(no=no, sku=sku, quantity=quantity, price=price, tax=tax, gross=price * quantity + tax, shipped=Decimal(0), billed=Decimal(0), cancelled=Decimal(0))

    def submit(self, number, company, customer, currency, lines, job=None, policy=None, ordered=None, wanted=None):
        policy = policy or {}
        if self.parties[customer].status == "inactive":
            return "refused"
        order = self.take(number, company, customer, currency, lines, job, policy, ordered, wanted=wanted)
        decision = self.judge(order, order.total)
        if decision and decision.outcome == "held" and policy.get("on_hold") == "refuse":
            return "refused"
        self.orders[number] = order
        self.numbered += 1
        order.taken = self.numbered
        if self.parties[customer].status == "blocked":
            if order.account:
                self.hold(order, "auto", "credit", decision.why)     # it takes nothing until he who stops it lets it go
            self.hold(order, "forced", "customer", set())
        elif decision and decision.outcome == "held":
            self.hold(order, "auto", "credit", decision.why)
        order.gave_back = bool(order.holds) and order.held_stock == "none"
        if not order.holds:
            order.state, order.credit = order.resume, "approved" if order.account else "none"
            order.promised = True
            self.ask_owner(order)
            if order.account:
                self.lets_go(order)
        return order.state

    def order_told(self, number, company, customer, currency, lines, job=None, ordered=None, wanted=None):
        """An order that its owner has taken: it counts whatever it breaks."""
        order = self.take(number, company, customer, currency, lines, job, {}, ordered, told=True, wanted=wanted)
        order.state, order.credit = "booked", "approved" if order.account else "none"
        order.told = order.promised = True       # taken without asking us
        self.numbered += 1
        order.taken = self.numbered
        self.orders[number] = order

    def give_back(self, order, state):
        for line in order.lines:
            line.cancelled += max(line.quantity - line.cancelled - line.shipped, 0)
        if order.holds:
            self.numbered += 1
            order.let_go = self.numbered
        order.holds, order.answer_due, order.credit = [], None, "none" if order.credit == "held" else order.credit
        order.state, order.promised_again, order.left = state, False, Decimal(0)
        self.withdraw(order)
        order.extra = Decimal(0)
        if order.account:
            self.touched.add(order.account.code)

    def cancel(self, number):
        order = self.order(number)
        if order.state not in GOING + ("held",):
            raise Refused("SD070")
        self.give_back(order, "cancelled")
        if order.has_shipped():
            self.close(order)

    def hold_order(self, number, kind="manual", owner="credit"):
        order = self.order(number)
        if order.state not in GOING + ("held",):
            raise Refused("SD070")
        self.hold(order, kind, owner, set())
        if order.account:
            self.touched.add(order.account.code)

    def release_order(self, number, owner=None, authority=None):
        order = self.order(number)
        if order.promised_again and not order.offer:        # that is all it needs, unless it is held by that
            self.decide_again(order)
            if not order.holds:
                return
        if not order.holds:
            raise Refused("SD061")
        owners = {h.owner for h in order.by_hand()} or {"credit"}
        if owner is None and len(owners) > 1:
            raise Refused("SD005")
        owner = owner or owners.pop()
        mine = [h for h in order.holds if h.owner == owner]
        if not mine:
            raise Refused("SD061")
        if any(h.kind == "forced" for h in mine) and not authority:
            raise Refused("SD060")
        rest = [h for h in order.by_hand() if h.owner != owner]
        decision = self.judge(order, order.to_ship())
        fits = decision is None or decision.outcome == "approved"
        if not rest and not fits and owner == "credit":
            order.covered = order.to_ship()
        if not rest and not fits and owner == "credit" and not authority:
            raise Refused("SD060")
        if rest:
            order.holds = [h for h in order.holds if h not in mine or h.kind == "auto"]
        elif fits or owner == "credit":
            self.go_on(order, Decimal(0) if fits else order.to_ship())      # on his authority, for what it is
            if order.promised_again:
                self.decide_again(order)
        else:
            automatic = [h for h in order.holds if h.kind == "auto"]
            order.holds = automatic
            if not automatic:
                self.hold(order, "auto", "credit", decision.why)

    def ship(self, number, shipment, lines):
        order = self.order(number)
        self.decide_again(order)
        if order.state not in GOING:
            raise Refused("SD070")
        if any(quantity > order.line_of(no).quantity - order.line_of(no).cancelled - order.line_of(no).shipped for no, quantity in lines):
            raise Refused("SD002")
        if (order.credit_at == "ship" or self.beyond(order)) and self.stopped(order):
            return "held"
        self.left(number, shipment, lines)

    def stopped(self, order, picking=False):
        """The checkpoint at picking and shipping: what credit has let go is held where its account stands badly, unless it would be let go by itself, or is on somebody's authority."""
        if not order.account or order.credit not in ("approved", "released") or order.told or not order.left:
            return False
        early, order.at_once = self.beyond(order), order.at_once or self.beyond(order)      # it is asked as if it came now, and counts from now on
        if order.covered >= order.left or not early and self.decide(order.account, order.customer, Decimal(0)).outcome == "approved":
            return False
        before, order.state = order.state, "held"
        decision = self.judge(order, order.to_ship())
        order.state = before
        if decision.outcome == "approved":
            return False
        self.hold(order, "auto", "credit", decision.why)
        # what is on its way to the dock is not given to others
        order.gave_back = order.gave_back or picking and not order.picked and order.held_stock == "none"
        self.touched.add(order.account.code)
        return True

    # --- facts

    def left(self, number, shipment, lines):
        order = self.order(number)
        order.send([(order.line_of(no), quantity) for no, quantity in lines])
        self.shipments[shipment] = number
        self.close(order)
        if order.account:
            self.touched.add(order.account.code)

    def close(self, order):
        """All that is left of it has shipped: shipped; and is billed: closed."""
        if order.complete() and (order.has_shipped() or order.state in GOING):
            order.holds, order.answer_due, order.credit = [], None, "none" if order.credit == "held" else order.credit
            order.state = "closed" if all(line.billed >= line.shipped for line in order.lines) else "shipped"

    def invoice(self, number, company, currency, gross, due, issued=None, kind="invoice", customer=None, order=None, lines=None, corrects=None, tax=Decimal(0), rebill=False, rebills=None, back=None, freight=None):
        """An invoice or memo: lines are (line, quantity), or (line, quantity, net, tax) where it says what each costs; back is the return that a memo credits."""
        told = (currency, gross, due, issued, customer, order, lines, corrects, tax, rebill, rebills, back)
        known = self.bills.get((company, kind, number))
        if known:
            if known.told != told:
                raise Refused("SD005")      # what was billed is not changed
            return
        bill = self.bills[company, kind, number] = Thing(told=told, kind=kind, number=number, company=company, currency=currency, gross=gross, tax=tax, due=due, issued=issued or self.now, customer=customer, order=order, corrects=corrects,
                                                         rebills=rebills, back=back, void=False, lines=[], amounts=None)
        again = self.bills.get((company, "invoice", rebills))
        order = order or again and again.void and again.order or None      # what was billed of an order is billed again of it
        bill.order = order
        bought = self.order(order) if order else None
        if bought and kind == "invoice":
            if lines is None:
                there = [(line, line.shipped if bought.has_shipped() else line.quantity - line.cancelled) for line in bought.lines]       # what has left, or all of it where nothing has
                lines = [(line.no, quantity - line.billed) for line, quantity in there if quantity > line.billed]
            elif lines and len(lines[0]) == 4:
                bill.amounts = {no: (net, tax) for no, _, net, tax in lines}
            bill.lines = [(bought.line_of(line[0]), line[1]) for line in lines]
            bought.bill(bill.lines)
            self.close(bought)
        customer = customer or bought.customer
        corrected = kind == "credit_memo" and corrects and self.owed(self.payer(customer), company, corrects)
        account = bought.account if bought and bought.account and self.payer(customer) == bought.payer else corrected.account if corrected else self.carrier(customer, company)
        bill.item = self.bill(kind, number, company, customer, account, currency, gross, issued or self.now, due, corrects, order)
        self.billed(bill, rebill)

    def billed(self, bill, rebill):
        """What a document means beyond what is owed: void_model.py."""

    def answer(self, number, state):
        """The owner's word."""
        order = self.order(number)
        if state == "booked":
            if order.state in ("rejected", "cancelled") and not order.has_shipped():
                for line in order.lines:
                    line.cancelled = Decimal(0)
                order.left = order.value((line, max(line.quantity - line.billed, 0)) for line in order.lines)
                order.state, order.credit = "booked", "approved" if order.account else "none"
                order.gave_back, order.at_once = True, False
            elif order.state in GOING:
                order.state = "booked"
            order.answer_due = None
        elif order.state in GOING + ("held",):
            self.give_back(order, "rejected")
            if order.has_shipped():
                self.close(order)

    # --- time

    def clerk(self):
        """What time changes: answers that did not come, and everything that waits is decided again."""
        for order in self.orders.values():
            if order.answer_due and order.answer_due <= self.now and order.state in ("accepted", "sent"):
                self.give_back(order, "rejected")
                if order.has_shipped():
                    self.close(order)
        self.come_in()
        self.touched = set(self.accounts)
        self.settle()
