"""Oracle of src/pricing/README.md, section 3 "Arithmetic" and section 5 "Rounding": rates, ladders, units, currencies, costs. Exact.

Written from the definition alone, with fractions and nothing else, so that it shares no mistake with the engine.
"""
from fractions import Fraction
import math

DEEPEST = 8     # how far a base may lead to another base


class NoPrice(Exception):
    """A rate whose price cannot be computed; reason as in the answer."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


def holds(period, instant):
    """Whether a half-open period contains an instant; None is open."""
    low, high = period
    return (low is None or low <= instant) and (high is None or instant < high)


def contains(outer, inner):
    """jsonb outer @> inner."""
    if isinstance(outer, dict) and isinstance(inner, dict):
        return all(key in outer and contains_part(outer[key], value) for key, value in inner.items())
    if isinstance(outer, list):
        wanted = inner if isinstance(inner, list) else [inner] if not isinstance(inner, dict) else None
        return wanted is not None and all(any(contains_part(have, want) for have in outer) for want in wanted)
    return contains_part(outer, inner)


def contains_part(outer, inner):
    """The same below the top, where an array no longer contains a bare scalar."""
    if isinstance(outer, dict) and isinstance(inner, dict) or isinstance(outer, list) and isinstance(inner, list):
        return contains(outer, inner)
    return type(outer) is type(inner) and outer == inner


# --- rounding

def whole(number, mode):
    """The integer a rational is rounded to: half_up and up lead away from zero, down towards it."""
    size = abs(number)
    low = math.floor(size)
    rest = size - low
    if mode == "up":
        up = rest > 0
    elif mode == "down":
        up = False
    elif mode == "half_even":
        up = rest > Fraction(1, 2) or rest == Fraction(1, 2) and low % 2 == 1
    else:
        up = rest >= Fraction(1, 2)
    return (low + up) * (-1 if number < 0 else 1)


def round_price(price, rule, mode=None):
    """A price by scale, to a multiple, or to an ending (k × multiple + ending, k >= 0)."""
    mode = mode or rule["mode"]
    multiple, ending = rule.get("multiple"), rule.get("ending")
    if ending is not None:
        multiple = multiple or Fraction(1)
        place = (price - ending) / multiple
        steps = {"up": math.ceil(place), "down": math.floor(place)}.get(mode, math.floor(place + Fraction(1, 2)))
        return max(steps, 0) * multiple + ending
    step = multiple or Fraction(1, 10 ** rule["scale"])
    return whole(price / step, mode) * step


def round_minor(amount, minor_units):
    """An amount half up to the minor units of its currency."""
    return Fraction(whole(amount * 10 ** minor_units, "half_up"), 10 ** minor_units)


def allocate(total, weights, minor_units):
    """Parts of a total (whole minor units) in proportion to weights, by largest remainder; ties go to the earlier one."""
    weight = sum(weights)
    sign = -1 if (total < 0) != (weight < 0) else 1
    units = abs(total) * 10 ** minor_units
    shares = [units * abs(w) / abs(weight) for w in weights]
    parts = [math.floor(share) for share in shares]
    for n in sorted(range(len(shares)), key=lambda n: (parts[n] - shares[n], n))[:int(units - sum(parts))]:
        parts[n] += 1
    return [Fraction(sign * part * (-1 if w < 0 else 1), 10 ** minor_units) for part, w in zip(parts, weights)]


# --- currencies and costs

def exchange(line, source, target):
    """Units of target for one of source at the instant of the question, None where there is no rate."""
    if source == target:
        return Fraction(1)
    for pair, inverse in (((source, target), False), ((target, source), True)):
        rows = [r for r in line.world.rates_of_exchange if (r.source, r.target) == pair and line.call.knows(r.known)]
        line.note(*(r.valid for r in rows))
        for row in rows:
            if holds(row.valid, line.call.at):
                return 1 / row.rate if inverse else row.rate
    return None


def cost(line):
    """Average cost of one line unit in the asked currency; the site's before the company's; None where there is none."""
    for site in dict.fromkeys((line.site, None)):
        rows = [c for c in line.world.costs if (c.item, c.company, c.site) == (line.item.sku, line.call.company, site) and line.call.knows(c.known)]
        line.note(*(c.valid for c in rows))
        for row in rows:
            if holds(row.valid, line.call.at):
                rate = exchange(line, row.currency, line.call.currency)
                return None if rate is None else row.cost * line.factor / line.item.factor(row.unit) * rate
    return None


# --- rates

def amount(line, version, rate, value):
    """A value for price_per rate units as an amount for one line unit in the asked currency."""
    return without_tax(line, version, value / (rate.price_per or 1) * line.factor / line.item.factor(rate.unit) * exchange(line, version.currency, line.call.currency))


def base_price(line, rate, running, nest):
    """What a percentage, an amount off or a formula starts from."""
    if rate.base is not None:
        base = line.price_in(rate.base, nest + 1) if nest < DEEPEST else None
    elif running is not None:
        base = running
    else:
        base = line.list_price
    if base is None:
        raise NoPrice("no_base_price")
    return base


def need_cost(line):
    value = cost(line)
    if value is None:
        raise NoPrice("no_cost")
    return value


def weighed(line, version, rate):
    """Value per kilogram × kilograms of one line unit."""
    kilograms = line.unit_weight()
    if kilograms is None:
        raise NoPrice("no_weight")
    return without_tax(line, version, rate.value / (rate.price_per or 1) * kilograms * exchange(line, version.currency, line.call.currency))


def without_tax(line, version, price):
    if not version.terms["tax_included"]:
        return price
    return price / ((100 + line.call.tax_rates[line.item.tax_class]) / Fraction(100))


def rate_price(line, version, rate, running=None, nest=0):
    """The price of one line unit by one rate. running: what adjustments start from. Raises NoPrice."""
    calc, value = rate.calc, rate.value
    if calc == "net":
        price = amount(line, version, rate, value)
    elif calc == "percent_off":
        price = base_price(line, rate, running, nest) * (100 - value) / 100
    elif calc == "amount_off":
        price = max(base_price(line, rate, running, nest) - amount(line, version, rate, value), Fraction(0))
    elif calc == "markup":
        price = need_cost(line) * (100 + value) / 100
    elif calc == "margin":
        price = need_cost(line) * 100 / (100 - value)
    elif calc == "formula":
        price = base_price(line, rate, running, nest) * value + amount(line, version, rate, rate.value2 or Fraction(0))
    elif calc == "reference":
        price = base_price(line, rate, running, nest)
    elif calc == "per_weight":
        price = weighed(line, version, rate)
    else:
        raise ValueError(f"calc {calc} has no price of its own")
    return max(price, Fraction(0))


def candidate_price(line, candidate, running=None, nest=0):
    """The price a candidate gives: its rate's, or with incremental tiers the mean over the bands of its ladder."""
    version = candidate.version
    if version.terms["tier_mode"] != "incremental":
        return rate_price(line, version, candidate.rate, running, nest)
    used = line.used(version) if version.terms["tier_basis"] == "period" else Fraction(0)
    upto = candidate.measure
    if upto <= used or candidate.rate.min_quantity is None:
        return rate_price(line, version, candidate.rate, running, nest)
    bands = [(step.minimum, step.rate) for step in candidate.ladder if step.minimum < candidate.minimum] + [(candidate.minimum, candidate.rate)]
    bands.sort(key=lambda band: band[0])
    total = Fraction(0)
    for n, (start, rate) in enumerate(bands):
        low = max(used, start if n else min(used, start))
        high = upto if n + 1 == len(bands) else min(upto, bands[n + 1][0])
        if high > low:
            total += rate_price(line, version, rate, running, nest) * (high - low)
    return total / (upto - used)


def guard_amount(line, version, rate, value):
    """A floor or ceiling, told for one unit of the rate's unit divided by price_per, for one line unit in the asked currency."""
    return amount(line, version, rate, value)


def free_share(quantity, rate):
    """Part of the price that is paid when goods of the same item are free."""
    free = math.floor(quantity / (rate.value + rate.value2)) * rate.value2 * (Fraction(100) if rate.percent is None else rate.percent) / 100
    return (quantity - free) / quantity
