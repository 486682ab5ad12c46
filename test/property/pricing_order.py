"""Oracle of src/pricing/README.md, section 6: discounts off the sum of the lines, and what of them falls on each line."""
from fractions import Fraction

from pricing_arithmetic import allocate, exchange, round_minor
from pricing_ranking import ladders, order_key, stack_groups


class Named:
    """A rate of an order agreement with the lines it names, standing in for a candidate of a line."""

    def __init__(self, call, members):
        self.places = [place for place, _ in members]
        nearest, first = min(members, key=lambda member: member[1].what)
        self.line, self.base_unit = call.lines[nearest], first.base_unit
        self.version, self.rate, self.who, self.list_rank, self.what = first.version, first.rate, first.who, first.list_rank, first.what
        self.reason, self.minimum, self.key, self.ladder = None, first.rate.min_quantity or Fraction(0), None, []
        if self.version.terms["tier_measure"] == "quantity":
            self.minimum = first.minimum

    def result(self, total):
        """What is left of a sum."""
        if self.rate.calc == "percent_off":
            return total * (100 - self.rate.value) / 100
        return max(total - self.rate.value / (self.rate.price_per or 1) * exchange(self.line, self.version.currency, self.line.call.currency), Fraction(0))


def named(call, answers, slot):
    """Rates that name priced lines, and are rejected on none of these for another reason than tier."""
    if slot in (call.options.get("without") or ()):
        return []
    found = {}
    for place, (line, one) in enumerate(zip(call.lines, answers)):
        for c in line.untiered(slot) if one["outcome"] == "priced" and not line.is_return else ():
            if c.reason is None:
                found.setdefault((id(c.version), id(c.rate)), []).append((place, c))
            else:
                one["losers"].append(c.named())
    return [Named(call, members) for members in found.values()]


def measure(call, answers, one):
    """By default the sum of the extensions, in the agreement's currency; or base units, or kilograms."""
    kind, lines = one.version.terms["tier_measure"], [call.lines[n] for n in one.places]
    if kind == "quantity":
        return sum(line.base_quantity for line in lines)
    if kind == "weight":
        return sum((line.unit_weight() or 0) * line.quantity for line in lines)
    return sum(answers[n]["extension"] for n in one.places) / exchange(one.line, one.version.currency, call.currency)


def contest(call, answers, rates):
    """One candidate an agreement: the first by order of those whose tier is reached and the highest of its ladder."""
    for one in rates:
        if one.rate.min_quantity is not None and measure(call, answers, one) < one.minimum:
            one.reason = "below_tier"
    for ladder in ladders([one for one in rates if one.reason is None]):
        highest = max(one.minimum for one in ladder)
        for one in ladder:
            one.reason = "lower_tier" if one.minimum < highest else None
    alive = [one for one in rates if one.reason is None]
    alive.sort(key=lambda one: (order_key(one.line, one, unit=False), one.result(sum_of(answers, one, "extension")), one.version.agreement.encode(), one.rate.line.encode(), -one.version.number))
    seen = set()
    for one in alive:
        if one.version.agreement in seen:
            one.reason = "outranked"
        seen.add(one.version.agreement)
    return [one for one in alive if one.reason is None]


def sum_of(answers, one, what):
    return sum((answers[n][what] for n in one.places), Fraction(0))


def apply(call, answers, one, off):
    """Rounds a discount and takes it off the lines in proportion to what is left of them."""
    minor, left = call.world.currencies[call.currency], [answers[n]["net_amount"] for n in one.places]
    total = sum(left)
    off = round_minor(min(off, total), minor)
    if total > 0 and off:
        for n, part in zip(one.places, allocate(off, left, minor)):
            answers[n]["net_amount"] -= part


def discount(call, answers):
    """Lowers net_amount of the answers by what the order slots give."""
    for slot in call.policy["slots"]:
        if slot["combine"] != "order":
            continue
        rates = named(call, answers, slot["slot"])
        shared = [call.lines[n].bounds for one in rates for n in one.places if len(one.places) > 1]
        every = set().union(*shared)
        for one in rates:
            for n in one.places if len(one.places) > 1 else ():
                call.lines[n].bounds |= every
        entered = [dict(a) for a in answers]
        for group, mode in stack_groups(contest(call, answers, rates)):
            if mode == "best":
                best = min(group, key=lambda one: one.result(sum_of(answers, one, "net_amount")) - sum_of(answers, one, "net_amount"))
                for one in group:
                    one.reason = None if one is best else "outranked"
                group = [best]
            for one in group:
                total = sum_of(entered if mode == "additive" else answers, one, "net_amount")
                apply(call, answers, one, total - one.result(total))
        for one in rates:
            for n in one.places if one.reason else ():
                answers[n]["losers"].append((one.version.agreement, one.version.number, one.rate.line, one.reason))
