"""Oracle of src/pricing/README.md, "Charges": what is charged beside the lines of an order. Written from the definition alone."""
from fractions import Fraction

from pricing_arithmetic import allocate, exchange, round_minor
from pricing_candidates import Call
from pricing_oracle import Waterfall, answer, list_price
from pricing_order import Named, discount
from pricing_ranking import ladders, order_key

CHARGING = ("net", "per_weight", "formula")
SOMEBODY_ELSE = ("collect", "third_party")


class Charged(Named):
    """A rate of a charge with the lines it names."""

    def __init__(self, call, members, answers):
        super().__init__(call, members)
        self.call, self.answers = call, answers
        self.charging = self.rate.calc in CHARGING
        self.fx = exchange(self.line, self.version.currency, call.currency)

    def sum(self):
        return sum((self.answers[n]["net_amount"] for n in self.places), Fraction(0))

    def weights(self):
        """Kilograms by line, None where nobody says."""
        return [None if line.unit_weight() is None else line.unit_weight() * line.quantity for line in (self.call.lines[n] for n in self.places)]

    def kilograms(self):
        return sum((w or Fraction(0) for w in self.weights()), Fraction(0))

    def measure(self):
        kind = self.version.terms["tier_measure"]
        if kind == "weight":
            return self.kilograms()
        if kind == "amount":
            return self.sum() / self.fx
        return sum((self.call.lines[n].base_quantity for n in self.places), Fraction(0))

    def amount(self, charged):
        """What it charges, exactly; charged: what a percentage is of."""
        rate, per = self.rate, Fraction(self.rate.price_per or 1)
        value = rate.value / per * self.fx
        if rate.calc == "percent_off":
            return -charged * rate.value / 100
        if rate.calc == "amount_off":
            return -value
        found = {"net": value, "per_weight": value * self.kilograms(), "formula": max(self.sum() * rate.value + (rate.value2 or 0) / per * self.fx, Fraction(0))}[rate.calc]
        if rate.ceiling_price is not None:
            found = min(found, rate.ceiling_price * self.fx)
        return found if rate.floor_price is None else max(found, rate.floor_price * self.fx)

    def allocation(self, amount):
        by_weight = self.rate.calc == "per_weight" or self.version.terms["tier_measure"] == "weight"
        shares = [w or Fraction(0) for w in self.weights()] if by_weight else [self.answers[n]["net_amount"] for n in self.places]
        if not sum(shares):
            shares = [Fraction(1)] * len(shares)
        return allocate(amount, shares, self.call.world.currencies[self.call.currency])

    def told(self):
        return (self.version.agreement, self.version.number, self.rate.line, self.reason)


def gather(call, answers, slot):
    """Rates that name a line, and those that every line rejects with the first line's reason."""
    found, rejected = {}, {}
    for place, (line, one) in enumerate(zip(call.lines, answers)):
        for c in line.untiered(slot) if one["outcome"] == "priced" and not line.is_return else ():
            key = (id(c.version), id(c.rate))
            if c.reason is None:
                found.setdefault(key, []).append((place, c))
            else:
                rejected.setdefault(key, c.named())
    return [Charged(call, members, answers) for members in found.values()], [told for key, told in rejected.items() if key not in found]


def contest(rates):
    """One rate an agreement, in order."""
    for one in rates:
        if one.rate.calc == "per_weight" and all(w is None for w in one.weights()):
            one.reason = "no_weight"
        elif one.rate.min_quantity is not None and one.measure() < one.minimum:
            one.reason = "below_tier"
    for ladder in ladders([one for one in rates if one.reason is None]):
        for one in ladder:
            one.reason = "lower_tier" if one.minimum < max(other.minimum for other in ladder) else None
    left = [one for one in rates if one.reason is None]
    left.sort(key=lambda one: (order_key(one.line, one, unit=False), one.amount(Fraction(0)), one.version.agreement.encode(), one.rate.line.encode(), -one.version.number))
    first = {}
    for one in left:
        if first.setdefault(one.version.agreement, one) is not one:
            one.reason = "outranked"
    return [one for one in left if one.reason is None]


class Kind:
    """The stack of one kind of charges."""

    def __init__(self, call):
        self.minor, self.rows = call.world.currencies[call.currency], []

    def apply(self, one, base, running):
        amount = max(round_minor(one.amount(base), self.minor), -running)
        self.rows.append((one, amount))
        return running + amount

    def group(self, group):
        """The rates of a stack group; returns what is charged in it."""
        mode, running = group[0].version.terms["combine"], Fraction(0)
        alike = [one for one in group if one.version.terms["combine"] == mode]
        if mode == "override":
            alike = alike[:1]
        elif mode == "best":
            alike = [min(alike, key=lambda one: one.amount(Fraction(0)))]
        for one in group:
            one.reason = None if one in alike else "outranked"
        for one in alike:
            if one.charging:
                running = self.apply(one, running, running)
        charged = running
        for one in alike:
            if not one.charging:
                running = self.apply(one, charged if mode == "additive" else running, running)
        return running

    def run(self, rates):
        always = [one for one in rates if one.version.terms["combine"] == "always"]
        rest = [one for one in rates if one not in always]
        alone = [one for one in rest if one.version.terms["combine"] == "exclusive"][:1]
        for one in rest if alone else ():
            one.reason = None if one in alone else "excluded"
        rest = alone or rest
        total = Fraction(0)
        for name in sorted({one.version.terms["stack_group"].encode() for one in rest}):
            total += self.group([one for one in rest if one.version.terms["stack_group"].encode() == name])
        for one in always:
            total = self.apply(one, total, total)
        return self.rows


def charges(world, policy, question):
    """{"charges": rows, "losers", "lines", "valid_until"} of a question as pricing_oracle.prices() takes it."""
    call = Call(world, policy, question, list_price)
    waters = [Waterfall(line).run() for line in call.lines]
    answers = [answer(line, water) for line, water in zip(call.lines, waters)]
    discount(call, answers)
    collect = call.context.get("freight_terms") in SOMEBODY_ELSE
    rows, losers = [], []
    for slot in policy["slots"]:
        if slot["combine"] != "charge" or slot["slot"] in (call.options.get("without") or ()):
            continue
        rates, rejected = gather(call, answers, slot["slot"])
        chosen = contest(rates)
        for kind in ("fee", "freight", "minimum_order"):
            for one, amount in Kind(call).run([one for one in chosen if world.kinds[one.version.agreement] == kind]):
                told = collect and kind == "freight"
                charged = Fraction(0) if told else amount
                rows.append({"agreement": one.version.agreement, "kind": kind, "amount": charged, "code": "collect" if told else "ok", "would_be": amount if told else None,
                             "line": one.rate.line, "sum": one.sum(), "weight": None if all(w is None for w in one.weights()) else one.kilograms(),
                             "allocation": [(n + 1, part) for n, part in zip(one.places, one.allocation(charged))]})
        losers += rejected + [one.told() for one in rates if one.reason]
    bounds = [b for line in call.lines for b in line.bounds]
    return {"charges": rows, "losers": losers, "net_amounts": [one["net_amount"] for one in answers], "valid_until": min(bounds, default=None)}
