"""Order to cash decided a second time, in plain Python: goods that come back, and what is credited for them. See order_model.py; written from ../../docs/returns.md."""
from datetime import timedelta
from decimal import Decimal

from again_model import Again
from ledger_model import Refused, Thing, money

ALLOWED = timedelta(days=30)


class Return(Thing):
    """A return: lines {of: a line of the order, authorised, received, restocked, scrapped, refused}, credits [{line, bill, quantity, net, tax, memo, state}]."""

    def may(self, line):
        """What may still come."""
        return Decimal(0) if self.ended else max(line.authorised - line.received, Decimal(0))

    def waits(self, line):
        """What has come and was not inspected."""
        return line.received - line.restocked - line.scrapped - line.refused

    def claims(self, line):
        return line.received + self.may(line) - line.refused

    def credited(self, line, *states):
        return sum((c.quantity for c in self.credits if c.line is line and c.state in (states or ("posted",))), Decimal(0))

    def ours(self, line):
        """What is ours and neither credited nor asked for."""
        return line.restocked + line.scrapped - self.credited(line, "posted", "requested")

    @property
    def state(self):
        if not any(line.received for line in self.lines):
            return self.ended or "authorised"
        if any(self.waits(line) > 0 for line in self.lines):
            return "received"
        if any(line.restocked + line.scrapped > self.credited(line) for line in self.lines):
            return "inspected"
        if any(self.may(line) for line in self.lines):
            return "credited" if any(self.credited(line) for line in self.lines) else "inspected"
        return "closed"


class Returns(Again):
    """Orders of which something comes back."""

    def __init__(self, now):
        super().__init__(now)
        self.returns = {}

    def a_return(self, number):
        if number not in self.returns:
            raise Refused("SD001")
        return self.returns[number]

    def claimed(self, line):
        """What of a line of an order has come back or may."""
        return sum((r.claims(part) for r in self.returns.values() for part in r.lines if part.of is line), Decimal(0))

    def authorise_return(self, number, order, lines):
        sold = self.order(order)
        if number in self.returns:
            raise Refused("SD008")
        asked = [(sold.line_of(no), quantity) for no, quantity in lines]
        if any(quantity > line.shipped - self.claimed(line) for line, quantity in asked):
            raise Refused("SD002")
        self.returns[number] = Return(number=number, order=sold, ended=None, expires=self.now + ALLOWED, credits=[], memos=0,
                                      lines=[Thing(no=n, of=line, authorised=quantity, received=Decimal(0), restocked=Decimal(0), scrapped=Decimal(0), refused=Decimal(0)) for n, (line, quantity) in enumerate(asked, 1)])
        return "authorised"

    def receive_return(self, number, lines=None):
        back = self.a_return(number)
        if back.ended or back.expires <= self.now:
            raise Refused("SD075")
        if lines is None:
            lines = [(line.no, back.may(line)) for line in back.lines if back.may(line)]
        if not lines or any(quantity > back.may(back.lines[no - 1]) for no, quantity in lines):
            raise Refused("SD002")
        for no, quantity in lines:
            back.lines[no - 1].received += quantity
        return back.state

    def inspect_return(self, number, lines):
        back, sums = self.a_return(number), {}
        for no, _, quantity in lines:
            sums[no] = sums.get(no, Decimal(0)) + quantity
        if any(quantity > back.waits(back.lines[no - 1]) for no, quantity in sums.items()):
            raise Refused("SD002")
        for no, outcome, quantity in lines:
            name = {"restock": "restocked", "scrap": "scrapped", "refuse": "refused"}[outcome]
            setattr(back.lines[no - 1], name, getattr(back.lines[no - 1], name) + quantity)
        return back.state

    def cancel_return(self, number):
        back = self.a_return(number)
        if not any(back.may(line) for line in back.lines):
            raise Refused("SD075")
        back.ended = "cancelled"
        return back.state

    # --- what was charged, and what of it goes back

    def charged(self, bill):
        """{line of the order: (quantity, net, tax)} that an invoice charged: as told, else in proportion to the order's prices, the last takes the rest."""
        if bill.amounts is not None:
            return {line: (quantity, *bill.amounts[line.no]) for line, quantity in bill.lines}
        worth = [quantity * (line.gross - line.tax) / line.quantity if line.quantity else Decimal(0) for line, quantity in bill.lines]
        found, net, tax = {}, bill.gross - bill.tax, bill.tax
        for n, (line, quantity) in enumerate(bill.lines):
            rest = sum(worth[n:])
            parts = [money(amount * worth[n] / rest) if rest else Decimal(0) for amount in (net, tax)]
            found[line] = quantity, *parts
            net, tax = net - parts[0], tax - parts[1]
        return found

    def credits_of(self, bill, line):
        return [c for r in self.returns.values() for c in r.credits if c.bill is bill and c.line.of is line and c.state != "void"]

    def to_credit(self, back):
        """What can be credited of a return now: of each line, invoice by invoice in the order in which they were billed, its share of what is still charged."""
        found = []
        for part in back.lines:
            left = back.ours(part)
            for bill in sorted((b for b in self.bills.values() if b.kind == "invoice" and not b.void and b.order == back.order.number and not self.gone(b)), key=lambda b: (b.issued, b.number)):
                quantity, net, tax = self.charged(bill).get(part.of, (Decimal(0),) * 3)
                for credit in self.credits_of(bill, part.of):
                    quantity, net, tax = quantity - credit.quantity, net - credit.net, tax - credit.tax
                some = min(quantity, left)
                if some > 0:
                    net, tax = [amount if some == quantity else money(amount * some / quantity) for amount in (net, tax)]
                    found.append(Thing(line=part, bill=bill, quantity=some, net=net, tax=tax, memo=None, state="requested"))
                    left -= some
        return found

    def gone(self, bill):
        """An invoice that memos of its own have credited in full charges nothing any more."""
        return sum((m.gross for m in self.bills.values() if m.kind == "credit_memo" and not m.void and not m.back and m.corrects == bill.number and m.company == bill.company), Decimal(0)) >= bill.gross

    def left_of(self, bill):
        """What memos have left of an invoice, and what is asked for."""
        memos = sum((m.gross for m in self.bills.values() if m.kind == "credit_memo" and not m.void and m.corrects == bill.number and m.company == bill.company), Decimal(0))
        asked = sum((c.net + c.tax for r in self.returns.values() for c in r.credits if c.bill is bill and c.state == "requested"), Decimal(0))
        return bill.gross - memos - asked

    def credit_return(self, number):
        back = self.a_return(number)
        found = self.to_credit(back)
        if not found:
            raise Refused("SD075")
        bills = list(dict.fromkeys(c.bill for c in sorted(found, key=lambda c: (c.bill.issued, c.bill.number))))
        if any(sum(c.net + c.tax for c in found if c.bill is bill) > self.left_of(bill) for bill in bills):
            raise Refused("SD075")
        back.credits += found
        if self.companies[back.order.company].native:
            for bill in bills:
                back.memos += 1
                mine = [c for c in found if c.bill is bill]
                net, tax = sum(c.net for c in mine), sum(c.tax for c in mine)
                self.invoice(number if back.memos == 1 else f"{number}-{back.memos}", bill.company, bill.currency, net + tax, None, kind="credit_memo", customer=bill.customer or back.order.customer, order=back.order.number, corrects=bill.number, tax=tax, back=number)
        return back.state

    def billed(self, bill, rebill):
        """A memo closes what was asked for of the invoice that it corrects, else all; one that nobody has asked for credits all that is ours and not credited."""
        super().billed(bill, rebill)
        back = self.returns.get(bill.back)
        if not back:
            return
        asked = [c for c in back.credits if c.state == "requested"]
        mine = [c for c in asked if c.bill.number == bill.corrects] or asked
        if not asked:
            mine = [Thing(line=line, bill=None, quantity=back.ours(line), net=Decimal(0), tax=Decimal(0), memo=None, state="requested") for line in back.lines if back.ours(line) > 0]
            back.credits += mine
        for credit in mine:
            credit.state, credit.memo = "posted", bill

    def unbilled(self, bill):
        """What a memo had credited that is void now may be credited anew."""
        for back in self.returns.values():
            for credit in back.credits:
                if credit.memo is bill:
                    credit.state = "void"

    def clerk(self):
        super().clerk()
        for back in self.returns.values():
            if not back.ended and back.expires <= self.now and any(back.may(line) for line in back.lines):
                back.ended = "expired"
