"""Random histories of order to cash: what happens to an order after it was taken. Changes, picking, answers to offers, returns, documents that are void or billed again. See order_histories.py."""
from datetime import timedelta
from decimal import Decimal

from order_model import GOING


class Afterwards:
    """Afterwards are steps of a history; Maker (order_histories.py) has the rest."""

    def amend(self):
        """Other quantities, lines that are cut, lines that are new; now and then nonsense."""
        rng = self.rng
        order = self.some(*GOING, "held") if rng.random() < .95 else self.some()
        if not order:
            return
        lines = []
        for line in rng.sample(order.lines, rng.randint(0 if rng.random() < .3 else 1, len(order.lines))):
            told = {"line": line.no}
            if rng.random() < .2:
                told["cut"] = True
            else:
                told["quantity"] = max(line.quantity + rng.choice((-5, -2, -1, 0, 1, 3, 10, 30)), Decimal(rng.choice((0, 1, 1, 1))))
                if rng.random() < .3:
                    told["tax"] = told["quantity"] * rng.choice((Decimal(0), Decimal("0.37")))
            lines.append(told)
        if not lines or rng.random() < .25:
            self.changed_lines += 1
            quantity = Decimal(rng.choice((1, 3, 6, 20)))
            lines.append({"line": 10 + self.changed_lines, "sku": rng.choice(("OH-X", "OH-Y", "OH-Z")), "quantity": quantity, **({"tax": quantity * Decimal("0.4")} if rng.random() < .3 else {})})
        dated = self.wanted(.4)
        self.add("change_order", number=order.number, lines=[] if dated and rng.random() < .6 else lines, **dated)

    def pick(self):
        order = self.some(*GOING, "held") if self.rng.random() < .95 else self.some()
        if order:
            self.add("pick_order", number=order.number)

    def reply(self):
        """The customer's word to an offer, sometimes where there is none."""
        open_ = [o for o in self.books.orders.values() if o.offer]
        order = self.rng.choice(open_) if open_ else self.some("held") if self.rng.random() < .2 else None
        if order:
            self.add("answer_offer", number=order.number, accept=self.rng.random() < .65)

    # --- what comes back

    def back(self):
        """The next steps of a return, of one that is known or a new one."""
        rng = self.rng
        known = [r for r in self.books.returns.values() if r.state not in ("closed", "cancelled", "expired") or rng.random() < .05]
        shipped = [o for o in self.books.orders.values() if any(l.shipped > self.books.claimed(l) for l in o.lines)]
        if shipped and (not known or rng.random() < .5):
            order = rng.choice(shipped)
            open_ = [(l.no, l.shipped - self.books.claimed(l)) for l in order.lines if l.shipped > self.books.claimed(l)]
            lines = [(no, Decimal(rng.randint(1, int(q))) if rng.random() < .6 else q + rng.choice((0, 0, 0, 0, 1))) for no, q in rng.sample(open_, rng.randint(1, len(open_)))]
            number = self.name("R")
            if self.add("authorise_return", number=number, company=order.company, order=order.number, lines=sorted(lines)) != "authorised":
                return
            known = [self.books.returns[number]]
        if known and rng.random() < .3:
            self.bill_of(rng.choice(known).order)
        if known:
            back = rng.choice(known)
            for _ in range(rng.choice((1, 2, 3, 4))):
                self.next_of(back)

    def next_of(self, back):
        rng, who = self.rng, {"number": back.number, "company": back.order.company}
        may, waits = [(l.no, back.may(l)) for l in back.lines if back.may(l)], [(l.no, back.waits(l)) for l in back.lines if back.waits(l)]
        ours = any(back.ours(l) > 0 for l in back.lines)
        ways = ["receive"] * (4 if may else 0) + ["inspect"] * (6 if waits else 0) + ["credit"] * (5 if ours else 0) + ["cancel"] * (1 if may else 0)
        what = rng.choice(ways) if ways and rng.random() < .95 else rng.choice(("receive", "inspect", "credit", "cancel"))
        if what == "receive":
            self.add("receive_return", lines=None if rng.random() < .5 or not may else [(no, Decimal(rng.randint(1, int(q) + (rng.random() < .05)))) for no, q in may], **who)
        elif what == "inspect":
            lines = [(no, rng.choice(("restock", "restock", "scrap", "refuse")), q if rng.random() < .6 else Decimal(rng.randint(1, int(q)))) for no, q in waits] or [(1, "restock", Decimal(1))]
            self.add("inspect_return", lines=lines, **who)
        else:
            self.add(f"{what}_return", **who)

    def memo(self):
        """The memo of whoever bills, for a return: as it was asked for, or as he thinks."""
        rng = self.rng
        known = [r for r in self.books.returns.values() if not self.books.companies[r.order.company].native]
        asked = [r for r in known if any(c.state == "requested" for c in r.credits)]
        if not known:
            return
        back = rng.choice(asked if asked and rng.random() < .9 else known)
        credits = [c for c in back.credits if c.state == "requested"]
        bills = [b for b in self.books.bills.values() if b.kind == "invoice" and b.order == back.order.number]
        bill = rng.choice(credits).bill if credits else rng.choice(bills) if bills else None
        if bill:
            gross = sum((c.net + c.tax for c in credits if c.bill is bill), Decimal(0))
            gross = gross if gross and rng.random() < .8 else self.money(1, 60)
            self.add("invoice", number=self.name("M"), company=bill.company, currency=bill.currency, gross=gross, due=None, issued=None, kind="credit_memo", customer=back.order.customer, order=back.order.number,
                     corrects=bill.number, back=back.number)

    # --- documents that are taken back

    def undo(self):
        rng = self.rng
        bills = [b for b in self.books.bills.values() if not b.void or rng.random() < .05]
        if bills:
            bill = rng.choice(bills)
            currency, gross, due, issued, customer, order, lines, corrects, tax, _, rebills, back = bill.told
            self.add("void", number=bill.number, company=bill.company, kind=bill.kind, currency=currency, gross=gross, due=due, issued=issued, customer=customer, order=order, lines=lines, corrects=corrects, tax=tax,
                     rebills=rebills, back=back, rebill=bill.kind != "debit_memo" and rng.random() < .3)

    def rebill(self):
        """What was billed wrong is credited, and billed again: by one memo and one invoice, whichever comes first, whoever pays."""
        rng = self.rng
        waits = [(company, number) for (company, number), r in self.books.rebills.items() if not r.done]
        if waits and rng.random() < .7:
            company, number = rng.choice(waits)
            self.billed_again(company, number)
            return
        owed = [b for b in self.books.bills.values() if b.kind == "invoice" and not b.void]
        if owed:
            bill, number = rng.choice(owed), self.name("M")
            first = rng.random() < .15
            if first:
                self.billed_again(bill.company, number)
            self.add("invoice", number=number, company=bill.company, currency=bill.currency, gross=bill.gross if rng.random() < .7 else min(self.money(5, 100), bill.gross), due=None, issued=None, kind="credit_memo",
                     customer=bill.customer or self.books.order(bill.order).customer, corrects=bill.number, rebill=True)

    def billed_again(self, company, number):
        rng = self.rng
        due = self.clock.date() + timedelta(days=rng.choice((-10, 0, 10)))
        self.add("invoice", number=self.name("I"), company=company, currency=self.books.companies[company].currency, gross=self.money(5, 200), due=due, issued=None, customer=rng.choice(self.buyers), rebills=number)
