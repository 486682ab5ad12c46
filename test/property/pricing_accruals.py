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
            empty = volume.quantity + self.quantity == 0 == volume.amount + self.amount
            self.own = -volume.given if empty else round_minor(self.bands(*sorted((start, start + m))), self.minor)
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
        self.back, self.waiting, self.failed = {}, [], []

    def record(self, *documents):
        """Rows that the documents of a call accrue: {"number", "kind", "payer", "customer", "company", "currency", "at", "corrects", "lines": [{"item", "quantity" in base units, "net"}]}."""
        places = {(d["company"], d["number"]): n for n, d in enumerate(documents) if d["kind"] == "invoice"}
        behind = {n: max(n, places.get((d["company"], d["corrects"]), n)) if d["kind"] == "credit_memo" else n for n, d in enumerate(documents)}
        rows = []
        for n, document in enumerate(documents):
            if behind[n] > n:
                continue
            rows += self.one(document)
            if document["kind"] == "invoice":
                late = [d for d in self.waiting if (d["company"], d["corrects"], d["payer"]) == (document["company"], document["number"], document["payer"])]
                self.waiting = [d for d in self.waiting if d not in late]
                for memo in [documents[m] for m in behind if behind[m] == n and m < n] + sorted(late, key=lambda d: (d["at"], d["number"].encode())):
                    rows += self.one(memo)
        return rows

    def one(self, document):
        """Rows of one document. What fails is as good as not known."""
        corrected = document["kind"] == "credit_memo" and self.documents.get((document["company"], document["corrects"]))
        if document["kind"] == "credit_memo" and document["corrects"] and not corrected:
            self.waiting.append(document)
            return []
        sign = -1 if document["kind"] == "credit_memo" else 1
        key = "/".join((document["company"], document["kind"], document["number"]))
        lines = [{"item": line["item"], "quantity": line["quantity"] or Fraction(1)} for line in document["lines"]]
        at = corrected["at"] if corrected else document["at"]
        call = Call(self.world, self.policy, {"customer": document["customer"], "at": at, "lines": lines, "options": {"company": document["company"], "currency": document["currency"]}}, None)
        there = corrected and ("/".join((corrected["company"], "invoice", corrected["number"])), document["payer"])
        if any(self.lacking(line, s["slot"], said["item"], there) for line, said in zip(call.lines, document["lines"]) for s in self.policy["slots"] if s["combine"] == "accrue"):
            self.failed.append(document)
            return []
        if document["kind"] == "invoice":
            self.documents[document["company"], document["number"]] = document
        rows = []
        for place, (line, said) in enumerate(zip(call.lines, document["lines"])):
            name = f"{key}/{place + 1}"
            quantity, net = sign * (said["quantity"] or ZERO), sign * said["net"]
            for slot in [s["slot"] for s in self.policy["slots"] if s["combine"] == "accrue"]:
                taking = takings(line, slot, quantity, net)
                if corrected:
                    for (agreement, item, ladder), mine in self.accrued.get(there, {}).items():
                        if item == said["item"] and mine[0]["slot"] == slot:
                            back = self.back.setdefault((there, agreement, item, ladder), Back(mine))
                            t = next((t for t in taking if t.version.agreement == agreement and (ladder is None or t.basis == "period" and t.key() == ladder)), None)
                            rows += self.share(back, t, slot, quantity, name) if ladder is None else self.again(document, back, t, quantity, name, key, item)
                    continue
                for t in together([t for t in taking if t.decide(self.volume(document, t))]):
                    rows += self.take(document, t, name, key, said["item"])
        return rows

    def lacking(self, line, slot, item, there):
        """Whether an agreement lacks an exchange rate for a line; of a correction one that accrued for the item."""
        mine = {agreement for agreement, what, _ in self.accrued.get(there, {}) if what == item} if there else None
        return any(mine is None or agreement in mine for agreement in line.lacks_exchange(slot))

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
    def share(back, t, slot, quantity, name):
        """What is taken back under an agreement that counts no period: one share of all that memos credited."""
        mine, goods, before = back.rows, back.cut(quantity), back.share()
        line = min((m["line"] for m in mine), key=str.encode)
        if quantity:
            if not goods:
                return []
            base = t.amount * goods / quantity if t else back.base * goods / back.quantity
        else:
            percent = slot == "rebate" and t and any(c.rate.line == line and c.rate.calc == "percent_off" for _, c in t.tiers)
            if not percent or not back.base:
                return []
            base = t.amount
        back.goods -= goods
        back.money -= ZERO if quantity else base
        minor = mine[0]["minor"]
        amount = sum(m["amount"] for m in mine)
        return [{"agreement": mine[0]["agreement"], "kind": slot, "version": max(m["version"] for m in mine), "line": line, "currency": mine[0]["currency"], "document": name, "quantity": goods, "base": round_minor(base, minor),
                 "amount": round_minor(amount * before, minor) - round_minor(amount * back.share(), minor)}]

    def again(self, document, back, t, quantity, name, key, item):
        """What is taken back where a period is counted: the line goes through the volume, with no more than is left of the invoice."""
        goods = back.cut(quantity)
        if t is None or quantity and not goods:
            return []
        volume, rest = self.volume(document, t), back.base - back.net
        net = round_minor(t.amount * goods / quantity, t.minor) if quantity else t.amount
        net = max(min(rest + net, max(back.base, ZERO)), min(back.base, ZERO)) - rest
        t.quantity, t.amount = goods, net
        t.decide(volume)
        if t.mode == "incremental" and t.own * volume.given <= 0:
            t.own = max(min(t.own, abs(volume.given)), -abs(volume.given))
        back.goods, back.net = back.goods - goods, back.net - net
        return self.take(document, t, name, key, item)


class Back:
    """What an invoice accrued for an item under an agreement, and what memos credited of it."""

    def __init__(self, rows):
        self.rows = rows
        self.quantity, self.base = sum(r["quantity"] for r in rows), sum(r["base"] for r in rows)
        self.goods = self.net = self.money = ZERO

    def cut(self, quantity):
        """A quantity below 0, at most what is left."""
        return -min(-quantity, self.quantity - self.goods)

    def share(self):
        part = (self.goods / self.quantity if self.quantity else ZERO) + (self.money / self.base if self.base else ZERO)
        return max(ZERO, min(Fraction(1), part))
