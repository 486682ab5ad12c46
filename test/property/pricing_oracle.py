"""Oracle of src/pricing/README.md, sections 4, 5 and 7: slots, stacking, locks, guard, rounding, answer.

prices(world, policy, question) is the whole of it: pure, exact, written from the definition alone. A question is
{"customer", "at", "lines": [{"item", "quantity", "unit", "site", "weight"}], "options": {...}}, instants are integers.
"""
from fractions import Fraction

from pricing_arithmetic import NoPrice, candidate_price, cost, free_share, guard_amount, holds, round_minor, round_price
from pricing_candidates import Call
from pricing_order import discount
from pricing_ranking import stack_groups
from pricing_world import rounding_of

REPLACE = ("override", "if_lower")


class Waterfall:
    """The running price of a line on its way through the slots."""

    def __init__(self, line):
        self.line, self.policy = line, line.call.policy
        self.price = self.winner = self.code = None
        self.steps, self.losers, self.winners, self.guards, self.free_goods, self.notes = [], [], [], [], [], []

    def run(self):
        for slot in self.policy["slots"]:
            before = len(self.steps)
            if slot["combine"] in REPLACE:
                self.replace(slot)
            elif slot["combine"] == "stack":
                self.stacked(slot)
            elif slot["combine"] == "clamp":
                self.guards += [c for c in self.line.candidates(slot["slot"]) if c.reason is None]
                self.lose(self.line.candidates(slot["slot"]))
            if slot["slot"] == "list" and len(self.steps) > before:
                self.line.list_price = self.price
        took_part = {(c.version.agreement, c.version.number, c.rate.line) for c in self.winners}
        self.losers = [x for x in self.losers if x[:3] not in took_part]
        return self

    def lose(self, candidates, running=None):
        """Writes down who lost, in the order of candidates."""
        self.losers += [c.named() for c in self.line.ordered(candidates, running) if c.reason is not None]

    def rule(self):
        """The rounding of the winner's version, else the policy's."""
        name = self.winner.version.terms["rounding"]
        return self.line.world.roundings[name] if name else rounding_of(self.policy["rounding"])

    def per(self):
        """The price is told for so many units."""
        rate = self.winner.rate
        return rate.price_per or 1 if rate.calc == "net" and (rate.unit or self.line.item.base_unit) == self.line.unit else 1

    def step(self, slot, c, price, **more):
        before = self.price
        self.price = price
        rule = self.rule()
        if rule.get("each_step") and price != before:
            self.price = round_price(price * self.per(), rule) / self.per()
        self.winners.append(c)
        self.steps.append(dict({"slot": slot, "agreement": c.version.agreement, "version": c.version.number, "line": c.rate.line, "before": before, "after": self.price}, **more))

    # --- slots that replace

    def replace(self, slot):
        """override and if_lower: one winner, then what stacks on it, then free goods."""
        line, name, lower = self.line, slot["slot"], slot["combine"] == "if_lower"
        every = line.candidates(name)
        alive = [c for c in every if c.reason is None]
        if lower and self.winner and self.winner.version.terms["combine"] == "exclusive":
            for c in alive:
                c.reason = "excluded"
            alive = []
        free = [c for c in alive if c.rate.calc == "buy_get"]
        on_top = [c for c in alive if lower and c not in free and c.version.terms["combine"] in ("additive", "compound")]
        standing = None
        found = self.pick(slot, [c for c in alive if c not in free and c not in on_top])
        if found:
            c, price, merged = self.merge(*found)
            if lower and self.price is not None and price >= self.price:
                found[0].reason = "not_lower"
            else:
                if merged:
                    found[0].reason = "outranked"
                    self.losers = [x for x in self.losers if x != c.named("outranked")]
                self.winner = standing = c
                self.step(name, c, price, **({"merged": True} if merged else {}))
        alone = standing is not None and standing.version.terms["combine"] == "exclusive"
        for c in on_top + free if alone else ():
            c.reason = "excluded"
        entered = self.price
        if not alone:
            self.stack(name, on_top)
            self.give(name, free)
        self.lose(every, entered)

    def pick(self, slot, candidates):
        """The winner of a slot and its price; the others lose."""
        line, computed = self.line, []
        ordered = line.ordered(candidates)
        if slot.get("pick", "first") == "first":
            found = self.first(ordered)
            if found and self.policy.get("tie") == "error" and self.code is None:
                if [c for c in candidates if c is not found[0] and c.key == found[0].key and self.computes(c)]:
                    self.code = "ambiguous"
        else:
            for agreement in sorted({c.version.agreement.encode() for c in ordered}):
                one = self.first([c for c in ordered if c.version.agreement.encode() == agreement])
                if one:
                    computed.append(one)
            found = min(computed, key=lambda one: one[1]) if computed else None
        for c in ordered:
            if c.reason is None and not (found and c is found[0]):
                c.reason = "outranked"
        return found

    def computes(self, c):
        try:
            candidate_price(self.line, c)
        except NoPrice:
            return False
        return True

    def first(self, ordered):
        """The first candidate whose price can be computed; those before it lose with what they lack."""
        for c in ordered:
            try:
                return c, candidate_price(self.line, c)
            except NoPrice as lack:
                c.reason = lack.reason
        return None

    def merge(self, winner, price):
        """tier_scope merge: a higher tier of the list slot takes the winner's place."""
        if winner.version.terms["tier_scope"] == "merge":
            higher = [c for c in self.line.candidates("list") if c.rate.calc != "buy_get" and c.reason in (None, "outranked") and c.minimum > winner.minimum]
            said = {id(c): c.reason for c in higher}
            for c in higher:
                c.reason = None     # it takes part again, with its price
            higher = self.line.ordered(higher)
            for c in higher:
                c.reason = said[id(c)]      # the slot of the list is decided on its own, before or after
            for c in sorted(higher, key=lambda c: -c.minimum):
                try:
                    return c, candidate_price(self.line, c), True
                except NoPrice:
                    pass
        return winner, price, False

    # --- slots that stack

    def stacked(self, slot):
        every, entered = self.line.candidates(slot["slot"]), self.price
        alive = [c for c in every if c.reason is None]
        free = [c for c in alive if c.rate.calc == "buy_get"]
        alone = self.stack(slot["slot"], [c for c in alive if c not in free])
        for c in free if alone else ():
            c.reason = "excluded"
        if not alone:
            self.give(slot["slot"], free)
        self.lose(every, entered)

    def stack(self, slot, candidates):
        """Applies candidates on the running price: exclusive alone, else group by group, always last. Tells whether one was exclusive."""
        entered, usable = self.price, []
        for c in self.line.ordered(candidates, entered):
            try:
                if entered is None:
                    raise NoPrice("no_base_price")
                candidate_price(self.line, c, entered)
                usable.append(c)
            except NoPrice as lack:
                c.reason = lack.reason
        for group, mode in stack_groups(usable):
            if mode == "best":
                best = min(group, key=lambda c: candidate_price(self.line, c, self.price))
                for c in group:
                    c.reason = None if c is best else "outranked"
                group = [best]
            for c in group:
                self.step(slot, c, self.price + candidate_price(self.line, c, entered) - entered if mode == "additive" else candidate_price(self.line, c, self.price))
            if self.price < 0:
                self.price = self.steps[-1]["after"] = Fraction(0)
        return any(c.version.terms["combine"] == "exclusive" for c in usable)

    def give(self, slot, candidates):
        """Free goods: of the same item they lower the price, of another one they are told."""
        for c in self.line.ordered(candidates):
            if self.price is None:
                c.reason = "no_base_price"
            elif c.rate.free_item is None:
                self.step(slot, c, self.price * free_share(self.line.base_quantity, c.rate))
            else:
                self.step(slot, c, self.price)
                quantity = self.line.base_quantity // c.rate.value * c.rate.value2
                if quantity:
                    self.free_goods.append((c.rate.free_item, quantity))

    # --- guard and rounding

    def limits(self):
        """The greatest floor and the least ceiling, each with whether it clamps; None where there is none."""
        line, floors, ceilings = self.line, [], []
        for c in self.winners + self.guards:
            rate, clamps = c.rate, c.version.terms["on_breach"] == "clamp"
            if rate.floor_price is not None:
                floors.append((guard_amount(line, c.version, rate, rate.floor_price), clamps))
            if rate.min_margin is not None:
                value = cost(line)
                if value is None:
                    self.notes.append("no_cost")
                else:
                    floors.append((value / (1 - rate.min_margin), clamps))
            if rate.ceiling_price is not None:
                ceilings.append((-guard_amount(line, c.version, rate, rate.ceiling_price), clamps))
        ceiling = max(ceilings, default=None)
        return max(floors, default=None), ceiling and (-ceiling[0], ceiling[1])

    def finish(self):
        """Guard and rounding: the price for price_per units, price_per, and what the guard says."""
        floor, ceiling = self.limits()
        price, per, rule, said = self.price, self.per(), self.rule(), None
        if ceiling and price > ceiling[0]:
            price, said = (ceiling[0], "at_ceiling") if ceiling[1] else (price, "above_ceiling")
        if floor and price < floor[0]:
            price, said = (floor[0], "at_floor") if floor[1] else (price, "below_floor")
        rounded = round_price(price * per, rule)
        if floor and floor[1] and rounded < floor[0] * per:
            rounded, said = round_price(floor[0] * per, rule, "up"), "at_floor"
        return rounded, per, said


def lock_of(line):
    """The price promised for the document of the question, None where there is none."""
    call, best = line.call, None
    if call.options.get("document_key") is None:
        return None
    wanted = (call.customer, call.options.get("document_type") or "quote", call.options["document_key"], line.item.sku, line.unit, call.currency)
    for lock in call.world.locks:
        if (lock.customer, lock.document_type, lock.document_key, lock.item, lock.unit, lock.currency) == wanted \
                and lock.min_quantity <= line.quantity and (lock.max_quantity is None or line.quantity <= lock.max_quantity):
            line.note(lock.valid)
            if holds(lock.valid, call.at) and (best is None or lock.min_quantity > best.min_quantity):
                best = lock
    return best


def answer(line, water):
    """Outcome, code and price of a line, before discounts of the order."""
    lock, call = lock_of(line), line.call
    result = {"item": line.item.sku, "quantity": line.signed, "unit": line.unit, "currency": call.currency, "unit_price": None, "price_per": Fraction(1), "net_amount": None, "agreement": None,
              "losers": water.losers, "steps": water.steps, "free_goods": water.free_goods, "notes": water.notes}
    said = None
    if lock:
        unit_price, per, said = lock.unit_price, lock.price_per, "locked"
    elif line.refused or water.code or water.price is None:
        code = "below_tier" if line.refused else water.code or (water.losers[0][3] if water.losers else "no_rate")
        return dict(result, outcome="no_price", code=code)
    else:
        unit_price, per, said = water.finish()
        result["agreement"] = water.winner.version.agreement
    if said is None and any(c.version.terms["cap_behavior"] == "warn" and line.used_up(c.version) for c in water.winners):
        said = "over_commitment"
    multiple = line.item.multiples.get(line.unit)
    if said is None and multiple is not None and line.quantity % multiple:
        said = "sell_multiple"
    extension = round_minor(line.signed * unit_price / per, call.world.currencies[call.currency])
    return dict(result, outcome="priced", code=said or "ok", unit_price=unit_price, price_per=Fraction(per), net_amount=extension, extension=extension)


def prices(world, policy, question):
    """The answers to a question, one a line, each a dict; valid_until is None for ever."""
    call = Call(world, policy, question, list_price)
    waters = [Waterfall(line).run() for line in call.lines]
    answers = [answer(line, water) for line, water in zip(call.lines, waters)]
    discount(call, answers)
    for line, one in zip(call.lines, answers):
        one["valid_until"] = min(line.bounds, default=None)
    return answers


def list_price(line):
    """What the list slot alone gives, rounded where its rounding says each step."""
    water = Waterfall(line)
    for slot in line.call.policy["slots"]:
        if slot["slot"] == "list":
            water.replace(slot)
    return water.price
