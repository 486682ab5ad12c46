"""Order to cash decided a second time, in plain Python: documents that are taken back, and what is billed again. See ledger_model.py; written from ../../docs/receivables.md."""
from decimal import Decimal

from ledger_model import Refused, Thing
from return_model import Returns


class Books(Returns):
    """All of it: receivables, credit, orders, returns, and invoices and memos that become void."""

    def __init__(self, now):
        super().__init__(now)
        self.rebills = {}           # {(company, number of a memo or void invoice): what waits to be billed again}

    def own_terms(self, account):
        """What will be billed again counts as unbilled until then."""
        terms = super().own_terms(account)
        terms["unbilled"] += sum((r.amount for r in self.rebills.values() if r.account is account and not r.done), Decimal(0))
        return terms

    def billed(self, bill, rebill):
        super().billed(bill, rebill)
        if bill.rebills in {number for company, number in self.rebills if company == bill.company}:
            waits = self.rebills[bill.company, bill.rebills]
            waits.done = True
            self.touched.add(waits.account.code)
        if rebill:
            self.to_bill_again(bill)

    def to_bill_again(self, bill, counted=Decimal(0)):
        """What of a document counts until it is billed again: not what its order counts."""
        again = any(b.rebills == bill.number and b.company == bill.company for b in self.bills.values())
        self.rebills[bill.company, bill.number] = Thing(account=bill.item.account, amount=max(bill.item.total - counted, Decimal(0)), done=again)

    def void(self, number, company, kind="invoice", rebill=False, **document):
        """A document as a whole is taken back: what was applied to it is unapplied, claims on it end, its lines may be billed again."""
        bill = self.bills.get((company, kind, number))
        if bill is None:
            raise Refused("SD001")
        if bill.void:
            return
        bill.void, item = True, bill.item
        self.unapply(item)
        if item.open:
            item.applied.append((self.now, item.open))
        for dispute in self.disputes.values():
            if dispute.item is item:
                dispute.closed = True
        self.touched.add(item.account.code)
        again = Decimal(0)
        if bill.lines:
            order = self.order(bill.order)
            again = order.unbill(bill.lines)
            if order.state == "closed" and any(line.shipped > line.billed for line in order.lines):
                order.state = "shipped"
            if order.account:
                self.touched.add(order.account.code)
            else:
                again = Decimal(0)
        self.unbilled(bill)
        if (company, number) in self.rebills:
            self.rebills[company, number].done = True
        if rebill and kind == "invoice":
            self.to_bill_again(bill, again)

    def unapply(self, item):
        """Takes back what an item pays and what pays it; a memo that goes is money that goes."""
        pairs = {}
        for source in list(self.items.values()):
            for target, paid in getattr(source, "pays", ()):
                if item in (source, target):
                    pairs[id(source), id(target)] = (source, target, pairs.get((id(source), id(target)), (0, 0, Decimal(0)))[2] + paid)
        if item.kind == "credit_memo":
            self.lost.add(item.account.code)
        for source, target, paid in pairs.values():
            if paid:
                self.move(source, target, -paid)
                if item.kind == "credit_memo":
                    self.lost.add(target.account.code)

    def dispute(self, number, company, customer, invoice, amount=None, closed=None):
        """Claims on what is void are none; one that ended with it stays as it is."""
        item, known = self.owed(self.payer(customer), company, invoice), self.disputes.get((self.payer(customer), number))
        if item and any(b.item is item and b.void for b in self.bills.values()):
            if known is None:
                raise Refused("SD063")
            return
        super().dispute(number, company, customer, invoice, amount, closed)
