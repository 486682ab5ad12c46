"""Order to cash decided a second time, in plain Python: what is decided once more of an order that is kept. Offers, changes, picking. See order_model.py."""
from datetime import timedelta
from decimal import Decimal

from ledger_model import Refused, Thing
from order_model import GOING, Orders


class Again(Orders):
    """Orders whose price is asked again when credit has let them go, that are changed, and that are looked at again when they are picked."""

    # --- when credit has let it go

    def priced_now(self, order):
        """{line: price as of now} of the lines whose price is open: nothing of them has left or is billed. None of them where the accepted prices stand."""
        if order.reprice == "keep" or order.promised:
            return {}
        return {line: self.price(line.sku, self.now) for line in order.lines if line.quantity and not line.shipped and not line.billed}

    def taken(self, order, line, price):
        return order.reprice == "take" or 100 * abs(price - line.price) <= order.tolerance * line.price

    def counted(self, order, prices):
        """What an order comes to at other prices, and what of that is left to ship, in its account's currency: by quantity, as nothing else of it is known."""
        kept = order.total, [(line, line.price, line.gross) for line in order.lines]
        self.put(prices)
        order.total = self.convert(order, order.gross)
        found = order.total, order.value((line, order.states()[line][0]) for line in order.lines)
        order.total = kept[0]
        for line, price, gross in kept[1]:
            line.price, line.gross = price, gross
        return found

    def put(self, prices):
        for line, price in prices.items():
            line.gross += (price - line.price) * line.quantity
            line.price = price

    def judge_whole(self, order, amount):
        """The decision about an order as if it came now: what it counts itself is no reason against it."""
        kept = order.state, order.promised_again
        order.state, order.promised_again = "held", False
        decision = self.judge(order, amount)
        order.state, order.promised_again = kept
        return decision

    def decide_again(self, order):
        """Price and stock of an order that credit has let go are decided again: it goes on, is held again with what it takes now, or another price is offered."""
        if not order.promised_again or order.offer:
            return
        if order.state != "held":
            order.promised_again = False        # it has left, or has ended, meanwhile
            return
        prices = self.priced_now(order)
        total, left = self.counted(order, prices)
        decision = self.judge_whole(order, left) if order.account and left > order.to_ship() else None
        if decision and decision.outcome != "approved":
            gave_back, more = order.gave_back or order.held_stock == "none", max(left - order.left, Decimal(0))
            self.hold(order, "auto", "credit", decision.why)
            order.extra, order.gave_back = more, gave_back
        elif all(self.taken(order, line, price) for line, price in prices.items()):
            self.goes(order, prices, self.now)
        else:
            order.offer = Thing(prices=prices, at=self.now, lapses=self.now + timedelta(hours=order.offer_within))
            order.extra, order.gave_back = max(left - order.left, Decimal(0)), False
        if order.account:
            self.touched.add(order.account.code)

    def goes(self, order, prices, at):
        """It goes on with these prices, which are those of an instant."""
        if prices:
            order.priced = at
        order.total, order.left = self.counted(order, prices)
        self.put(prices)
        order.extra, order.offer = Decimal(0), None
        self.resume(order)
        if order.account:
            self.touched.add(order.account.code)

    def answer_offer(self, number, accept):
        order = self.order(number)
        if not order.offer or order.offer.lapses <= self.now:
            raise Refused("SD070")
        if accept:
            self.goes(order, order.offer.prices, order.offer.at)
        else:
            self.give_back(order, "cancelled")
        return order.state

    def clerk(self):
        """Offers that nobody has answered lapse; what waits to be decided again is."""
        super().clerk()
        for order in list(self.orders.values()):
            if order.offer and order.offer.lapses <= self.now:
                self.give_back(order, "cancelled")
        for order in sorted((o for o in self.orders.values() if o.promised_again and not o.offer), key=lambda o: o.let_go):
            self.decide_again(order)
            self.settle()
        self.settle()

    # --- what people do

    def pick_order(self, number):
        order = self.order(number)
        if order.state not in GOING + ("held",):
            raise Refused("SD070")
        self.decide_again(order)
        if order.state == "held" or (order.credit_at != "entry" or self.beyond(order)) and self.stopped(order, picking=True):
            return "held"
        order.picked = True
        return "ok"

    def change_order(self, number, lines, wanted=None):
        """Another day on which it is wanted, other quantities of lines, lines that are cut, new lines: {line, quantity | cut} of those it has, {line, sku, quantity} of new ones, each perhaps with tax."""
        order = self.order(number)
        if not order.gave_back:
            self.decide_again(order)
        if order.state not in GOING + ("held",) or order.offer:
            raise Refused("SD070")
        asked_for = self.asked_for(order, lines)
        if not any(quantity for quantity, _ in asked_for.values()):
            raise Refused("SD005")
        changes = {line: self.line_changed(order, line, *asked) for line, asked in asked_for.items() if line.quantity != asked[0] or asked[1] not in (None, line.tax)}
        if not changes and wanted in (None, order.wanted):
            return "unchanged"
        was, dated = self.open_day(order), (order.wanted, order.at_once, order.picked)
        order.wanted, order.at_once, order.picked = wanted or order.wanted, False, False
        day = self.open_day(order)
        earlier = was is not None and (day is None or day < was)
        before = order.lines, [(line, dict(line.__dict__)) for line in order.lines]
        for line, told in changes.items():
            line.__dict__.update(told)
        order.lines = order.lines + [line for line in asked_for if line not in order.lines]
        total, order.total = order.total, self.convert(order, order.gross)
        left = order.value((line, order.states()[line][0]) for line in order.lines)
        decision = self.judge_whole(order, left) if (order.state in GOING or order.promised_again) and (left > order.left or earlier) and order.account else None
        held = decision and decision.outcome != "approved"
        if held and order.on_hold == "refuse":
            order.lines = before[0]
            for line, told in before[1]:
                line.__dict__.update(told)
            order.total = total
            order.wanted, order.at_once, order.picked = dated
            return "refused"
        order.left, order.extra = left, Decimal(0)
        if order.account:
            self.touched.add(order.account.code)
        if held:
            self.hold(order, "auto", "credit", decision.why)
            order.gave_back = order.gave_back or order.held_stock == "none"
            return "held"
        self.close(order)
        return "changed"

    def open_day(self, order):
        """The day on which an order ships that is still to come, where somebody cares."""
        day = self.ship_day(order)
        return day if day and day > self.today(order.company) and order.account and any(a.horizon_days is not None for a in self.chain(order.account)) else None

    def asked_for(self, order, lines):
        """{line: (quantity, tax or None)} of all lines of an order as they shall be, new ones last."""
        wanted = {line: (line.quantity, None) for line in order.lines}
        for told in lines:
            if "sku" in told:
                line = Thing(no=told["line"], sku=told["sku"], quantity=Decimal(0), price=Decimal(0), tax=Decimal(0), gross=Decimal(0), shipped=Decimal(0), billed=Decimal(0), cancelled=Decimal(0))
                wanted[line] = told["quantity"], told.get("tax", Decimal(0))
                continue
            line = order.line_of(told["line"])
            gone = max(line.shipped, line.billed)
            quantity = Decimal(0) if told.get("cut") else told["quantity"]
            if not quantity:        # its taxes go with it, in proportion
                wanted[line] = min(gone, line.quantity), None
                continue
            if quantity < gone and quantity != line.quantity:
                raise Refused("SD002")
            wanted[line] = quantity, told.get("tax")
        return wanted

    def line_changed(self, order, line, quantity, tax):
        """A line with another quantity: its price as of the order's day, unless something of it has left; taxes in proportion where none are told."""
        price = line.price if line.shipped or quantity == line.quantity or not quantity else self.price(line.sku, order.priced)
        if tax is None:
            tax = (line.tax * quantity / line.quantity if line.quantity else Decimal(0)).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        return {"quantity": quantity, "price": price, "tax": tax, "gross": price * quantity + tax}
