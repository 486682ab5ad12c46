"""Oracle of src/pricing/README.md, "Rebates and claims": what accrues below the lines of invoices and memos. Written from the definition alone."""
from fractions import Fraction

from pricing_arithmetic import cost, exchange, round_minor
from pricing_candidates import Call
from pricing_ranking import ladders, order_key

ZERO = Fraction(0)


class Volume:
    """What a payer has bought so far under a ladder, and what accrued for it."""

    def __init__(self):
        self.quantity = self.amount = self.given = ZERO


class Taking:
    """An agreement that may accrue for a line: its ladder, tiers lowest first."""

    def __init__(self, line, first, tiers, quantity, net):
        self.line, self.version, self.first = line, first.version, first
        self.tiers = sorted(((None if c.rate.min_quantity is None else self._tier(c), c) for c in tiers), key=lambda t: (t[0] is not None, t[0] or 0))
        self.fx = exchange(line, self.version.currency, line.call.currency)
        self.minor = line.world.currencies[self.version.currency]
        self.quantity, self.amount = quantity, round_minor(net / self.fx, self.minor)
        self.basis, self.mode, self.slot = self.version.terms["tier_basis"], self.version.terms["tier_mode"], self.version.slot
        self.reached = self.skipped = self.own = None
        self.adjusted = ZERO

    def _tier(self, c):
        return round_minor(c.minimum, 6) if c.version.terms["tier_measure"] == "quantity" else c.rate.min_quantity

    def key(self):
        """By what volumes are told apart."""
        r, line = self.first.rate, self.line
        unit = None if r.what_kind == "item" and r.unit == line.item.base_unit else r.unit
        return (self.version.agreement, r.customer, r.what_kind, r.what, r.channel, r.site, unit)

    def at(self, measure):
        """The tier that a measure reaches, None below the lowest."""
        return ([c for tier, c in self.tiers if tier is None or tier <= measure] or [None])[-1]

    def gives(self, c, quantity, amount):
        if c is None:
            return ZERO
        per_unit = c.rate.value / (c.rate.price_per or 1) / self.line.item.factor(c.rate.unit)
        if self.slot == "rebate":
            return amount * c.rate.value / 100 if c.rate.calc == "percent_off" else quantity * per_unit
        if c.rate.calc == "amount_off":
            return quantity * per_unit
        ours = cost(self.line)
        if ours is None:
            self.skipped = "no_cost"
            return ZERO
        ours = round_minor(ours / self.fx, 8)
        return quantity * ours * c.rate.value / 100 if c.rate.calc == "percent_off" else quantity * max(ours - per_unit, ZERO)

    def bands(self, low, high):
        """The mean over the bands between two measures."""
        if low == high:
            return self.gives(self.at(low), self.quantity, self.amount)
        total = ZERO
        for n, (start, c) in enumerate(self.tiers):
            part = min(high, self.tiers[n + 1][0] if n + 1 < len(self.tiers) else high) - max(low, low if start is None else start)
            if part > 0:
                total += part * self.gives(c, self.quantity, self.amount)
        return total / (high - low)

    def decide(self, volume):
        """Sets own and adjusted; tells whether it takes part."""
        by_amount = self.version.terms["tier_measure"] == "amount"
        m = self.amount if by_amount else self.quantity
        if self.slot == "claim" and self.quantity == 0:
            return False
        if self.basis == "line":
            self.reached = self.at(abs(m))
            if self.reached is None:
                return False
            given = self.bands(ZERO, abs(m)) if self.mode == "incremental" else self.gives(self.reached, self.quantity, self.amount)
            self.own = None if self.skipped else round_minor(given, self.minor)
            return not self.skipped
        start = volume.amount if by_amount else volume.quantity
        self.reached = self.at(start + m)
        if self.mode == "incremental":
            self.own = round_minor(self.bands(*sorted((start, start + m))), self.minor)
        else:
            before = round_minor(self.gives(self.reached, volume.quantity, volume.amount), self.minor)
            self.own = round_minor(self.gives(self.reached, volume.quantity + self.quantity, volume.amount + self.amount), self.minor) - before
            self.adjusted = before - volume.given
        return True

    def rows(self, document):
        sign = -1 if self.slot == "rebate" else 1
        told = (self.reached or self.tiers[0][1]).rate.line
        common = {"agreement": self.version.agreement, "kind": self.slot, "version": self.version.number, "line": told, "currency": self.version.currency}
        found = [dict(common, document=document + "/tier", quantity=ZERO, base=ZERO, amount=sign * self.adjusted)] if self.adjusted else []
        return found + [dict(common, document=document, quantity=self.quantity, base=self.amount, amount=sign * self.own)]


def takings(line, slot, quantity, net):
    """Of each agreement of a slot the ladder that counts, in order."""
    alive = [c for c in line.untiered(slot) if c.reason is None]
    by = lambda c: (order_key(line, c), c.version.agreement.encode(), c.rate.line.encode(), -c.version.number)
    first = {}
    for c in sorted(alive, key=by):
        first.setdefault(c.version.agreement, c)
    sets = ladders(alive)
    return [Taking(line, c, next(s for s in sets if c in s), quantity, net) for c in first.values()]


def together(taking):
    """Those that stand together, of those that take part, in order."""
    rest = [t for t in taking if t.version.terms["combine"] != "always"]
    alone = [t for t in rest if t.version.terms["combine"] == "exclusive"][:1]
    kept = list(alone)
    for name in () if alone else {t.version.terms["stack_group"] for t in rest}:
        group = [t for t in rest if t.version.terms["stack_group"] == name]
        mode = group[0].version.terms["combine"]
        group = [t for t in group if t.version.terms["combine"] == mode]
        kept += group[:1] if mode == "override" else [max(group, key=lambda t: abs(t.own))] if mode == "best" else group
    return [t for t in taking if t in kept or t.version.terms["combine"] == "always"]


class Books:
    """Accruals of a world, document after document."""

    def __init__(self, world, policy):
        self.world = world
        self.policy = dict(policy, order=[key for key in policy["order"] if key not in ("unit", "min_quantity")])
        self.volumes, self.accrued, self.documents = {}, {}, {}

    def record(self, document):
        """Rows that a document accrues: {"number", "kind", "payer", "customer", "company", "currency", "at", "corrects", "lines": [{"item", "quantity" in base units, "net"}]}."""
        corrected = document["kind"] == "credit_memo" and self.documents.get((document["company"], document["corrects"]))
        sign = -1 if document["kind"] == "credit_memo" else 1
        key = "/".join((document["company"], document["kind"], document["number"]))
        lines = [{"item": line["item"], "quantity": line["quantity"] or Fraction(1)} for line in document["lines"]]
        at = corrected["at"] if corrected else document["at"]
        call = Call(self.world, self.policy, {"customer": document["customer"], "at": at, "lines": lines, "options": {"company": document["company"], "currency": document["currency"]}}, None)
        rows = []
        for place, (line, said) in enumerate(zip(call.lines, document["lines"])):
            quantity, net = sign * (said["quantity"] or ZERO), sign * said["net"]
            for slot in [s["slot"] for s in self.policy["slots"] if s["combine"] == "accrue"]:
                taking = takings(line, slot, quantity, net)
                if corrected:
                    there = self.accrued.get(("/".join((corrected["company"], "invoice", corrected["number"])), document["payer"]), {})
                    rows += self.share(there, taking, slot, said["item"], quantity, f"{key}/{place + 1}")
                    taking = [t for t in taking if t.basis == "period" and (t.version.agreement, said["item"], t.key()) in there]
                    for t in taking:
                        t.decide(self.volume(document, t))
                else:
                    taking = together([t for t in taking if t.decide(self.volume(document, t))])
                for t in taking:
                    rows += self.take(document, t, f"{key}/{place + 1}", key, said["item"])
        if document["kind"] == "invoice":
            self.documents[document["company"], document["number"]] = document
        return rows

    def volume(self, document, taking):
        return self.volumes.setdefault((document["payer"], taking.key()), Volume()) if taking.basis == "period" else None

    def take(self, document, t, name, key, item):
        """Writes a taking down."""
        if t.basis == "period":
            volume = self.volume(document, t)
            volume.quantity, volume.amount, volume.given = volume.quantity + t.quantity, volume.amount + t.amount, volume.given + t.own + t.adjusted
        rows = t.rows(name)
        mine = self.accrued.setdefault((key, document["payer"]), {}).setdefault((t.version.agreement, item, t.key() if t.basis == "period" else None), [])
        mine.append(dict(rows[-1], slot=t.slot, minor=t.minor))
        return rows

    @staticmethod
    def share(there, taking, slot, item, quantity, name):
        """What is taken back under agreements that count no period."""
        found = []
        for (agreement, what, ladder), mine in there.items():
            if what != item or ladder is not None or mine[0]["slot"] != slot:
                continue
            t = next((t for t in taking if t.version.agreement == agreement), None)
            line, version = min((m["line"] for m in mine), key=str.encode), max(m["version"] for m in mine)
            if quantity:
                part, whole = quantity, sum(m["quantity"] for m in mine)
            else:
                percent = slot == "rebate" and t and any(c.rate.line == line and c.rate.calc == "percent_off" for _, c in t.tiers)
                part, whole = (t.amount if percent else None), sum(m["base"] for m in mine)
            if part is None or not whole:
                continue
            base = t.amount if t else round_minor(sum(m["base"] for m in mine) * part / whole, mine[0]["minor"])
            found.append({"agreement": agreement, "kind": slot, "version": version, "line": line, "currency": mine[0]["currency"], "document": name, "quantity": quantity, "base": base,
                          "amount": round_minor(sum(m["amount"] for m in mine) * part / whole, mine[0]["minor"])})
        return found
