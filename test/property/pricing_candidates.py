"""Oracle of src/pricing/README.md, sections 1 to 3: buyer set, candidates and why they are rejected, measures, order of candidates."""
from fractions import Fraction
from itertools import groupby

from pricing_arithmetic import NoPrice, candidate_price, contains, exchange, holds
from pricing_ranking import block, ended, ladders, order_key, reduce_ladders

UNKNOWN = object()
LAST = 10 ** 9      # rank of who is not asked for
GROUPS = ("buying_group", "region", "price_class")
DROPPED = ("promotion", "adjustment", "order")      # slots that options.without may name


class Candidate:
    """A rate that names a line, with what the order looks at."""

    def __init__(self, line, version, rate, who, list_rank, blocking, what, date):
        self.base_unit, self.version, self.rate, self.who, self.list_rank, self.blocking, self.what, self.date = line.item.base_unit, version, rate, who, list_rank, blocking, what, date
        self.reason, self.minimum, self.measure, self.ladder, self.key = None, Fraction(0), Fraction(0), [self], None

    def named(self, reason=None):
        return (self.version.agreement, self.version.number, self.rate.line, reason or self.reason)


class Call:
    """What all lines of a question share: instants, buyer set, options."""

    def __init__(self, world, policy, question, find_list_price):
        self.find_list_price = find_list_price
        self.world, self.policy, self.options = world, policy, question.get("options", {})
        option = self.options.get
        self.at, self.known_at, self.customer = question["at"], option("known_at"), question["customer"]
        self.company, self.channel = option("company"), option("channel")
        self.currency = option("currency") or world.parties[self.customer].currency or world.companies[self.company]
        self.tax_rates, self.context = option("tax_rates") or {}, option("context") or {}
        self.seen_at = self.at if self.known_at is None else min(self.at, self.known_at)
        self.bounds = set()
        self.own, self.buyer = {}, {}
        self._buyer_set()
        self.lines = [Line(self, line) for line in question["lines"]]

    def knows(self, known):
        return known[1] is None if self.known_at is None else holds(known, self.known_at)

    def date(self, version):
        kind = version.terms["price_date"]
        return self.at if kind == "order" else self.options.get(kind) or self.at

    def note(self, *periods):
        self.bounds.update(b for period in periods for b in period if b is not None and b > self.at)

    def note_closure(self, period):
        """A closure is read at least(at, known_at): what changed after known_at cannot be seen."""
        self.note(tuple(b if b is None or self.known_at is None or b <= self.known_at else None for b in period))

    def _buyer(self, kind, key, depth):
        if kind in self.policy["who"]:
            rank = 100 * (self.policy["who"].index(kind) + 1) + depth
            self.buyer[kind, key] = min(rank, self.buyer.get((kind, key), rank))
            return self.buyer[kind, key]
        return None

    def _buyer_set(self):
        world, chain = self.world, []
        for row in world.ancestors:
            if row.party == self.customer:
                self.note_closure(row.valid)
                if holds(row.valid, self.seen_at):
                    chain.append((row.ancestor, row.depth, "parent" if row.depth else "customer"))
        chain += [(self.options[kind], 0, kind) for kind in ("ship_to", "job") if self.options.get(kind)]
        for party, depth, kind in chain:
            rank = self._buyer(kind, party, depth)
            if rank is not None:
                self.own[party] = min(rank, self.own.get(party, rank))
            for member in world.members:
                if member.party == party and member.kind in GROUPS and member.kind in self.policy["who"] and self.knows(member.known):
                    self.note(member.valid)
                    if holds(member.valid, self.at):
                        self._buyer(member.kind, member.group, depth)
        if world.parties[self.customer].price_class:
            self._buyer("price_class", world.parties[self.customer].price_class, 0)
        if self.channel:
            self._buyer("channel", self.channel, 0)
        self._buyer("all", "", 0)


class Line:
    """One line of a call, its candidates, measures and list price."""

    def __init__(self, call, line):
        self.call, self.world, self.asked = call, call.world, line
        self.item, self.site = call.world.items[line["item"]], line.get("site") or call.options.get("site")
        self.signed, self.unit = line.get("quantity", Fraction(1)), line.get("unit") or self.item.base_unit
        self.quantity, self.is_return, self.weight = abs(self.signed), self.signed < 0, line.get("weight")
        self.factor = self.item.factor(self.unit)
        self.base_quantity = self.quantity * self.factor
        self.bounds, self.refused, self.list_price, self.list_alone = set(call.bounds), False, None, UNKNOWN
        self.targets = {}
        for row in call.world.targets:
            if row.item == self.item.sku:
                self.bounds.update(self._closure(row.valid))
                if holds(row.valid, call.seen_at) and row.kind in call.policy["what"]:
                    self.targets[row.kind, row.what] = 100 * (call.policy["what"].index(row.kind) + 1) + row.depth
        self._slots, self.list_bounds = {}, set()

    def _closure(self, period):
        return [b for b in period if b is not None and b > self.call.at and (self.call.known_at is None or b <= self.call.known_at)]

    def note(self, *periods):
        self.bounds.update(b for period in periods for b in period if b is not None and b > self.call.at)

    # --- candidates

    def _shared(self, version, date):
        """The assignment by which the buyer reaches the shared rates of a version: (who rank, rank, who_key, blocking)."""
        call, best = self.call, None
        for a in self.world.assignments.get(version.agreement, ()):
            if (a.who_kind, a.who) in call.buyer and call.knows(a.known):
                if not ended(version, date) and date == call.at:
                    self.note(a.valid)
                if holds(a.valid, date):
                    found = (call.buyer[a.who_kind, a.who], a.rank, a.who.encode(), a.blocking)
                    best = min(best or found, found)
        return best

    def _named(self, wanted, everybody=False):
        """Candidates of versions that wanted() accepts; everybody: whether the agreement is assigned is not asked."""
        for target, what in self.targets.items():
            for version, rate in self.world.index.get(target, ()):
                if not wanted(version) or not self.call.knows(version.known):
                    continue
                date = self.call.date(version)
                if rate.customer is not None:
                    reach = (self.call.own[rate.customer], 0, b"", False) if rate.customer in self.call.own else None
                else:
                    reach = (LAST, LAST, b"", False) if everybody else self._shared(version, date)
                if reach:
                    if not ended(version, date) and date == self.call.at:
                        self.note(version.valid, rate.valid)
                    c = Candidate(self, version, rate, reach[0], reach[1], reach[3], what, date)
                    c.minimum = (rate.min_quantity or 0) * ((self.item.factor(rate.unit) or 0) if version.terms["tier_measure"] == "quantity" else Fraction(1))
                    yield c

    def candidates(self, slot):
        """The candidates of a slot, rejected ones with their reason, in no order."""
        if slot not in self._slots:
            option = next((s for s in self.call.policy["slots"] if s["slot"] == slot), {})
            found = [] if slot in DROPPED and slot in (self.call.options.get("without") or ()) else list(self._named(lambda v: v.slot == slot))
            self._reject(found, refuse=True)
            if option.get("blocking"):
                block(found)
            for c in found:
                if c.reason is None and self.is_return and slot == "promotion":
                    c.reason = "return"
            reduce_ladders(found)
            self._slots[slot] = found
        return self._slots[slot]

    def untiered(self, slot):
        """The candidates of a slot, rejected for anything but their tier."""
        found = list(self._named(lambda v: v.slot == slot))
        for c in found:
            c.reason = self._reason(c)
        return found

    def _reject(self, found, refuse):
        for c in found:
            c.reason = self._reason(c)
            if c.reason is None and c.rate.min_quantity is not None:
                c.measure = self.measure(c.version)
                if c.measure < c.minimum:
                    c.reason = "below_tier"
        below = self.call.policy.get("below_tier", "skip")
        if below == "skip":
            return
        for ladder in ladders([c for c in found if c.reason in (None, "below_tier")]):
            if all(c.reason == "below_tier" for c in ladder):
                if below == "lowest":
                    min(ladder, key=lambda c: c.minimum).reason = None
                elif refuse:
                    self.refused = True

    def lacks_exchange(self, slot):
        """Agreements of which a candidate of a slot is rejected for a missing exchange rate and nothing else."""
        return {c.version.agreement for c in self._named(lambda v: v.slot == slot) if self._reason(c) == "currency" and c.version.terms["fx_allowed"] and self._reason(c, currency=False) is None}

    def _reason(self, c, currency=True):
        """The first reason that rejects a candidate, tiers aside."""
        call, version, rate, terms = self.call, c.version, c.rate, c.version.terms
        low, high = version.valid
        if low is not None and c.date < low:
            return "not_started"
        if high is not None and high <= c.date:
            return "ended"
        if version.company is not None and version.company != call.company:
            return "other_company"
        if not holds(rate.valid, c.date):
            return "rate_not_valid"
        if currency and version.currency != call.currency and (not terms["fx_allowed"] or exchange(self, version.currency, call.currency) is None):
            return "currency"
        if rate.channel is not None and rate.channel != call.channel:
            return "channel"
        if rate.site is not None and rate.site != self.site:
            return "site"
        if self.item.factor(rate.unit) is None:
            return "unit"
        if rate.condition is not None and not contains(call.context, rate.condition):
            return "condition"
        if terms["tax_included"] and self.item.tax_class not in call.tax_rates:
            return "no_tax_rate"
        if terms["cap_behavior"] == "stop" and self.used_up(version):
            return "commitment_used_up"
        return None

    def used_up(self, version):
        """Whether this line goes beyond what the agreement commits to."""
        quantity, amount = self.world.commitments.get(version.agreement, (Fraction(0), Fraction(0)))
        terms = version.terms
        return terms["commit_quantity"] is not None and quantity + self.base_quantity > terms["commit_quantity"] \
            or terms["commit_amount"] is not None and amount >= terms["commit_amount"]

    # --- measures

    def unit_weight(self):
        """Kilograms of one line unit, None where nobody says."""
        if self.weight is not None:
            return abs(self.weight) / self.quantity
        return None if self.item.weight is None else self.item.weight * self.factor

    def measured_price(self):
        """What the list slot alone gives: amounts are measured with it. None where there is none."""
        if self.list_alone is UNKNOWN:
            again = Line(self.call, self.asked)
            self.list_alone = self.call.find_list_price(again)
            self.list_bounds = again.bounds
            self.bounds |= again.bounds
        return self.list_alone

    def _measure_alone(self, version):
        kind = version.terms["tier_measure"]
        if kind == "quantity":
            return self.base_quantity
        if kind == "weight":
            return (self.unit_weight() or 0) * self.quantity
        price = None if version.slot == "list" else self.measured_price()
        return Fraction(0) if price is None else price * self.quantity / (exchange(self, version.currency, self.call.currency) or 1)

    def used(self, version):
        """What the agreement has used so far, in the measure of its tiers."""
        quantity, amount = self.world.commitments.get(version.agreement, (Fraction(0), Fraction(0)))
        return {"quantity": quantity, "amount": amount}.get(version.terms["tier_measure"], Fraction(0))

    def measure(self, version):
        """The tier measure of this line for a version."""
        basis = version.terms["tier_basis"]
        if basis == "line":
            return self._measure_alone(version)
        if basis == "period":
            return self.used(version) + self._measure_alone(version)
        alike = [line for line in self.call.lines if line.item.sku == self.item.sku
                 or basis == "family_order" and self.item.family is not None and line.item.family == self.item.family]
        total = sum((line._measure_alone(version) for line in alike), Fraction(0))
        if version.terms["tier_measure"] == "amount":
            self.bounds.update(*(line.list_bounds for line in alike))
        return total

    # --- order

    def price_in(self, agreement, nest):
        """The price in an agreement that is named as base, None where there is none. Who it is assigned to is not asked."""
        found = list(self._named(lambda v: v.agreement == agreement, everybody=True))
        self._reject(found, refuse=False)
        reduce_ladders(found)
        for c in self.ordered([c for c in found if c.reason is None], nest=nest):
            try:
                return candidate_price(self, c, None, nest)
            except NoPrice:
                pass
        return None

    def ordered(self, candidates, running=None, nest=0):
        """Candidates in the order of the policy; what ties by price, agreement code and line."""
        for c in candidates:
            c.key = order_key(self, c)
        result = []
        for _, group in groupby(sorted(candidates, key=lambda c: c.key), key=lambda c: c.key):
            group = list(group)
            result += sorted(group, key=lambda c: self._content(c, running, nest)) if len(group) > 1 else group
        return result

    def _content(self, c, running, nest):
        price = None
        if c.reason is None and c.rate.calc != "buy_get":
            try:
                price = candidate_price(self, c, running, nest)
            except NoPrice:
                pass
        return (price is None, price or 0, c.version.agreement.encode(), c.rate.line.encode(), -c.version.number)
