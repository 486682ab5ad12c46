"""Random drafts about a world of pricing_cases: documents with "publish": false, as people write them before they publish."""
import random

from pricing_rates import rates_of_version, terms_of

SLOTS = ("list", "book", "contract", "promotion", "adjustment", "guard")


class Drafts:
    """A stream of scenarios about one case: each some documents, one an agreement."""

    def __init__(self, case):
        self.case, self.rng, self.place = case, random.Random(f"drafts {case.seed}"), 0
        gone = {d["code"] for _, many in case.later for d in many if d.get("status") == "inactive"}
        self.known = sorted(set(case.heads) - gone)
        # the generator of the case makes the rates: from here on with the numbers of the drafts
        case.rng = self.rng

    def some(self, chance):
        return self.rng.random() < chance

    def one(self):
        """A scenario: mostly one draft, now and then some that count together."""
        size = self.rng.choice((1, 1, 1, 2, 3))
        codes = self.rng.sample(self.known, min(size, len(self.known)))
        return [self.new() if self.some(0.2) else self.version(code) for code in codes]

    def new(self):
        """An agreement that nobody has published anything of."""
        self.place += 1
        case = self.case
        slot = self.rng.choice(SLOTS + ("order",) * case.wide)
        code = case.names(f"D{self.place:02}")
        return dict(self.content(code, slot), code=code, name=slot, slot=slot, currency=self.rng.choice(case.money[:1] * 3 + case.money), assignments=case.assignments(slot))

    def version(self, code):
        """A version of an agreement that is there: other rates, or only other terms or another period over the same ones."""
        case, head = self.case, self.case.heads[code]
        if self.some(0.15):
            return dict(terms_of(case, head["slot"]), code=code, publish=False, **case.period())
        return dict(self.content(code, head["slot"]), code=code)

    def content(self, code, slot):
        case = self.case
        return dict(terms_of(case, slot), rates=rates_of_version(case, code, slot), publish=False, **(case.period(dates=True) if self.some(0.6) else {}))
