"""Random worlds of prices: documents for the write door, policies, questions. Small, so that ties, overlaps and boundaries are common.

Case(seed, names) is a whole world; the same seed gives the same world under any names.
"""
from datetime import date, timedelta
from fractions import Fraction
import random

from pricing_rates import COMBINES, rates_of_version, terms_of

KINDS = {"U": 2, "E": 2, "J": 0, "K": 3}      # currencies by their minor units, as USD, EUR, JPY, KWD have
FACTORS = {"BX": (12, 1), "TH": (1, 3), "PK": (5, 2), "CS": (144, 1)}
SLOTS = ("list", "book", "contract", "promotion", "adjustment", "guard", "order")
WHO = ("ship_to", "job", "customer", "parent", "buying_group", "price_class", "region", "channel", "all")
WHAT = ("item", "variant_parent", "family", "category", "brand", "vendor", "all")
ORDER = ("who", "list_rank", "what", "channel", "site", "unit", "currency", "priority", "min_quantity", "valid_from", "version_no")
COMBINE = {"list": "override", "book": "override", "contract": "override", "promotion": "if_lower", "adjustment": "stack", "guard": "clamp", "order": "order"}
# roundings of policies
ROUNDINGS = ({"scale": 4, "mode": "half_up"}, {"scale": 2, "mode": "half_up"}, {"scale": 3, "mode": "half_even"}, {"scale": 2, "mode": "half_up", "multiple": "0.05"})


class Names:
    """What a world calls its things, so that worlds live side by side in one database."""

    def __init__(self, prefix="W-", currencies=None):
        self.prefix, self.currencies = prefix, currencies or {"U": "USD", "E": "EUR", "J": "JPY", "K": "KWD"}

    def __call__(self, name):
        return self.prefix + name


def slots(order=SLOTS, **options):
    """The slots of a policy; options: what differs, by slot."""
    return [dict({"slot": name, "combine": COMBINE[name]}, **options.get(name, {})) for name in order]


def unusual_slots(rng):
    """Slots in any order, the list anywhere, and combined in ways that are allowed and that few want."""
    order = rng.sample(SLOTS[:5], 5)
    ways = {"list": ("override", "override", "if_lower"), "book": ("override", "if_lower"), "contract": ("override", "if_lower"), "promotion": ("stack", "if_lower", "override"),
            "adjustment": ("stack", "stack", "if_lower")}
    return slots(tuple(order) + SLOTS[5:], **{name: {"combine": rng.choice(ways[name]), "pick": rng.choice(("first", "first", "best"))} for name in ways})


def policies(rng):
    """The kinds of policy that people want, and a few that nobody wants."""
    best, lists = {"pick": "best"}, {"pick": "first", "blocking": True}
    known = [
        {},
        {"order": ["priority", "who", "list_rank", "what", "min_quantity", "valid_from"], "slots": slots(book=lists)},
        {"slots": slots(list=best, book=best, contract=best, promotion=best)},
        {"order": ["list_rank", "min_quantity", "what", "who"], "slots": slots(book=lists, list=lists, contract=lists), "below_tier": "lowest"},
        {"tie": "error", "order": ["who", "what", "priority"]},
        {"tie": "error", "below_tier": "refuse", "order": ["min_quantity", "what", "who", "currency", "unit"], "who": list(WHO[2:]), "what": [k for k in WHAT if k != "vendor"]},
        {"slots": slots(contract=best, promotion={"combine": "override"}, list=lists, book=dict(lists, pick="best")), "below_tier": "lowest", "tie": "error"},
    ]
    stacked = {"combine": "stack"}
    while len(known) < 10:
        known.append({"who": rng.sample(WHO, rng.randrange(5, 10)), "what": rng.sample(WHAT, rng.randrange(4, 8)), "order": rng.sample(ORDER, rng.randrange(4, 12)),
                      "slots": slots(**{name: rng.choice(({}, best, lists)) for name in SLOTS[:4]}), "below_tier": rng.choice(("skip", "skip", "lowest", "refuse"))})
    known += [
        {"slots": slots(("contract", "book", "list", "promotion", "adjustment", "guard", "order"), promotion=stacked)},
        {"slots": slots(promotion=stacked), "below_tier": "lowest"},
        {"slots": unusual_slots(rng)},
        {"slots": unusual_slots(rng), "order": rng.sample(ORDER, rng.randrange(4, 12)), "tie": rng.choice(("content", "error")), "below_tier": rng.choice(("skip", "lowest", "refuse"))}]
    return [dict({"who": list(WHO), "what": list(WHAT), "order": list(ORDER), "slots": slots(), "below_tier": "skip", "tie": "content", "rounding": ROUNDINGS[n % len(ROUNDINGS)]}, **p)
            for n, p in enumerate(known)]


class Case:
    """One world: .phases of documents, .used of commitments, .questions(n)."""

    def __init__(self, seed, names=None, wide=None):
        self.seed, self.names, self.rng = seed, names or Names(), random.Random(f"documents {seed}")
        rng, n = self.rng, self.names
        self.wide = rng.random() < 0.5 if wide is None else wide        # tiers and discounts over several lines
        self.money = [n.currencies[k] for k in "UEJK"]
        self.companies, self.channels, self.sites = [n("CA"), n("CB")], [n("WEB"), n("EDI")], [n("SA"), n("SB"), n("SC")]
        self.pivots = sorted(date(year, 1, 1) + timedelta(days=rng.randrange(360)) for year in (*rng.sample(range(2011, 2020), 3), *rng.sample(range(2070, 2077), 2)))
        self.first, self.later = [], []
        self.masters()
        self.people()
        self.goods()
        self.money_and_costs()
        self.rounding_rules()
        self.agreements()
        self.locks()
        self.corrections()
        self.phases = [self.first, self.later]

    # --- small choices

    def some(self, chance):
        return self.rng.random() < chance

    def pick(self, *choices):
        return self.rng.choice(choices)

    def moment(self, day, shift=0):
        return f"{day + timedelta(days=shift)}T00:00:00Z"

    def period(self, dates=False):
        """valid_from and valid_to between pivots, either may be open."""
        ends = [None] + self.pivots + [None]
        low, high = sorted(self.rng.sample(range(len(ends)), 2))
        if dates and self.some(0.3):
            return {"valid_from": ends[low] and str(ends[low]), "valid_to": ends[high] and str(ends[high] - timedelta(days=1))}
        return {"valid_from": ends[low] and self.moment(ends[low]), "valid_to": ends[high] and self.moment(ends[high])}

    # --- master data

    def masters(self):
        n = self.names
        self.first += [
            ("currency", [{"currency": n.currencies[k], "minor_units": minor} for k, minor in KINDS.items()]),
            ("unit", [{"unit": unit} for unit in ("EA", "KG", *FACTORS)]),
            ("company", [{"code": code, "name": code, "currency": self.pick(*self.money[:1] * 3, self.money[1])} for code in self.companies]),
            ("site", [{"code": code, "company": self.companies[i == 2]} for i, code in enumerate(self.sites)]),
            ("channel", [{"code": code} for code in self.channels]),
            ("category", [{"code": n("K1")}, {"code": n("K2"), "parent": n("K1")}, {"code": n("K3"), "parent": n("K2")}, {"code": n("K4"), "parent": n("K1")}]),
            ("party_group", [{"kind": kind, "code": n(code)} for kind, code in self.groups()])]

    def groups(self):
        return [("buying_group", "G1"), ("buying_group", "G2"), ("price_class", "P1"), ("price_class", "P2"), ("region", "R1")]

    def group_list(self):
        return [{"kind": kind, "code": self.names(code)} for kind, code in self.rng.sample(self.groups(), self.rng.choice((0, 1, 1, 2, 3)))]

    def people(self):
        n = self.names
        self.customers = [n(f"C{i}") for i in range(self.rng.randrange(5, 8))]
        self.ship_tos, self.jobs, self.vendors = [n("T1"), n("T2")], [n("J1")], [n("V1"), n("V2")]
        parties, depth = [], {}
        for code in self.customers:
            above = self.pick(*[c for c in depth if depth[c] < 3]) if depth and self.some(0.75) else None
            depth[code] = depth[above] + 1 if above else 0
            parties.append({"code": code, "name": code, "roles": ["sold_to"], "parent": above, "currency": self.pick(*[None] * 6, *self.money), "groups": self.group_list(),
                            "price_class": self.pick(None, None, n("P1"), n("P2"))})
        for kind, codes in (("ship_to", self.ship_tos), ("job", self.jobs)):
            parties += [{"code": code, "name": code, "kind": kind, "roles": [kind], "parent": self.pick(*self.customers), "groups": self.group_list()} for code in codes]
        parties += [{"code": code, "name": code, "roles": ["vendor"]} for code in self.vendors]
        self.first.append(("party", parties))

    def unit_list(self, base):
        units = self.rng.sample(sorted(FACTORS), self.rng.randrange(1, 4)) if base == "EA" else []
        return [dict({"unit": u, "numerator": FACTORS[u][0], "denominator": FACTORS[u][1]}, **({"sell_multiple": self.pick("2", "6")} if self.some(0.15) else {})) for u in units]

    def goods(self):
        n, items = self.names, []
        self.skus = [n(f"I{i}") for i in range(self.rng.randrange(6, 11))]
        for i, sku in enumerate(self.skus):
            base = "KG" if i == 5 else "EA"
            items.append({"sku": sku, "base_unit": base, "units": self.unit_list(base), "category": self.pick(None, n("K1"), n("K2"), n("K3"), n("K3"), n("K4")),
                          "brand": self.pick(None, n("B1"), n("B2")), "family": self.pick(None, n("F1"), n("F1")), "vendor": self.pick(None, *self.vendors), "variant_of": self.pick(None, *self.skus[:i][:3]) if i > 2 else None,
                          "weight": self.pick(None, "0.25", "0.25", "1.5", "3.333333"), "catch_weight": i == 5, "tax_class": self.pick(None, "T1", "T2")})
        self.items = {item["sku"]: item for item in items}
        self.first.append(("item", items))

    def money_and_costs(self):
        pairs = self.rng.sample([(a, b) for a in self.money for b in self.money if a != b], 8)
        rates = [{"from_currency": a, "to_currency": b, "rate": self.pick("1.25", "0.8", "2", "0.3", "150", "0.0066666667"), "valid_from": self.moment(start)}
                 for a, b in pairs for start in self.starts()]
        costs = [dict({"sku": sku, "company": company, "cost": self.pick("5", "7.25", "8", "3.3333"), "currency": self.pick(*self.money[:2], *self.money[:1] * 3),
                       "valid_from": self.moment(start), "unit": self.pick("EA", *[u["unit"] for u in self.items[sku]["units"]]) if self.items[sku]["base_unit"] == "EA" else "KG"}, **({"site": site} if site else {}))
                 for sku in self.skus for company in self.companies for site in (None, self.sites[0]) if self.some(0.45) for start in self.starts()]
        self.first += [("exchange_rate", rates), ("item_cost", costs)]

    def starts(self):
        return [date(2000, 1, 1)] * self.some(0.8) + self.rng.sample(self.pivots, self.rng.choice((0, 0, 1, 2)))

    def rounding_rules(self):
        n = self.names
        self.roundings = [n("HU2"), n("HE3"), n("END"), n("MUL"), n("UP1"), n("STEP"), n("DN2")]
        self.first.append(("rounding", [
            {"rounding": n("HU2"), "scale": 2, "mode": "half_up"}, {"rounding": n("HE3"), "scale": 3, "mode": "half_even"},
            {"rounding": n("END"), "scale": 2, "mode": self.pick("half_up", "up", "down"), "multiple": self.pick(None, "1", "10"), "ending": self.pick("0.99", "0.95", "0")},
            {"rounding": n("MUL"), "scale": 2, "mode": self.pick("half_up", "half_even", "down"), "multiple": self.pick("0.05", "0.25")},
            {"rounding": n("UP1"), "scale": 1, "mode": "up"}, {"rounding": n("STEP"), "scale": self.pick(1, 2), "mode": "half_up", "each_step": True},
            {"rounding": n("DN2"), "scale": 2, "mode": "down"}]))

    # --- agreements

    def agreements(self):
        self.heads, self.used, documents = {}, {}, []
        self.favourite = {slot: (self.pick(*COMBINES), self.pick("", "g1", "g2")) for slot in ("adjustment", "order", "promotion")}
        kinds = ["list"] * 3 + ["book"] * 4 + ["contract"] * 3 + ["promotion"] * 4 + ["adjustment"] * 4 + ["guard"]
        kinds = [slot for slot in kinds if self.some(0.8) or slot == "list"] + self.rng.choices(kinds, k=self.rng.randrange(1, 4)) + ["order"] * (self.wide and self.pick(2, 3, 4))
        for place, slot in enumerate(kinds):
            code = self.names(f"A{place:02}")
            head = self.heads[code] = {"code": code, "name": slot, "slot": slot, "company": self.pick(*[None] * 8, *self.companies), "currency": self.pick(*self.money, *self.money[:1] * 6),
                                       "tz": self.pick("UTC", "UTC", "Asia/Kolkata", "America/Phoenix")}
            by_date = self.some(0.3)
            cuts = [None] + sorted(self.rng.sample(self.pivots, self.rng.choice((0, 0, 0, 1, 2)))) + [None]
            periods = [p for p in zip(cuts, cuts[1:]) if len(cuts) == 2 or self.some(0.85)] or [(None, None)]
            for start, end in periods:
                document = dict(head, **terms_of(self, slot), rates=rates_of_version(self, code, slot), publish=not self.some(0.03),
                                **({"valid_from": start and str(start), "valid_to": end and str(end - timedelta(days=1))} if by_date
                                   else {"valid_from": start and self.moment(start), "valid_to": end and self.moment(end)}))
                if (start, end) == periods[0]:
                    document["assignments"] = self.assignments(slot)
                    documents += [dict(document, rates=rates_of_version(self, code, slot), publish=False)] * self.some(0.25)
                documents.append(document)
            if self.some(0.7):
                self.used[code] = (Fraction(self.pick(0, 5, 90, 100)), Fraction(self.pick(0, 100, 1000)))
        for level in range(3):
            self.first.append(("agreement", [d for d in documents if self.level(d) == level]))

    def level(self, document):
        """Bases come first: lists and books without one, then what names these, then the rest."""
        return 0 if document["slot"] == "list" else 1 if document["slot"] == "book" else 2

    def assignments(self, slot):
        """Whom an agreement is for; lists are mostly for all."""
        n, found = self.names, []
        keys = {"customer": self.customers, "parent": self.customers, "ship_to": self.ship_tos, "job": self.jobs, "channel": self.channels, "all": [None]}
        keys.update({kind: [n(code) for k, code in self.groups() if k == kind] for kind, _ in self.groups()})
        wide = self.some(0.8 if slot in ("list", "adjustment", "guard", "order") else 0.4)
        narrow = ["customer", "ship_to", "job", "channel", "price_class", "region"] + ["parent", "buying_group"] * 3
        kinds = ["all"] * wide + self.rng.choices(narrow, k=self.pick(0, 1, 1, 2, 3) + (not wide))
        for kind in kinds:
            who = self.pick(*keys[kind])
            if (kind, who) in [(a["who_kind"], a["who"]) for a in found]:
                continue
            one = {"who_kind": kind, "who": who, "rank": self.pick(10, 100, 100, 200), "blocking": slot in ("list", "book", "contract") and self.some(0.4)}
            if self.some(0.1):
                cut = self.moment(self.pick(*self.pivots))
                found += [dict(one, valid_to=cut), dict(one, valid_from=cut, rank=self.pick(10, 100, 200))]
            else:
                found.append(dict(one, **(self.period() if self.some(0.2) else {})))
        return found

    def locks(self):
        locks = []
        for key in ("Q1", "Q2", "Q3"):
            sku, customer, kind = self.pick(*self.skus), self.pick(*self.customers), self.pick("quote", "quote", "order")
            unit = self.pick(self.items[sku]["base_unit"], *[u["unit"] for u in self.items[sku]["units"]])
            start, end = sorted(self.rng.sample(self.pivots, 2))
            for least in self.rng.sample(("0", "5", "10"), self.pick(1, 2, 3)):
                locks.append({"customer": customer, "document_type": kind, "document_key": self.names(key), "item": sku,
                              "unit": unit, "min_quantity": least, "max_quantity": self.pick(None, "12", "100"),
                              "unit_price": self.pick("7.77", "123.45", "0.5"), "currency": self.pick(self.money[0], *self.money), "price_per": self.pick(1, 1, 100),
                              "valid_from": self.moment(start), "valid_to": self.pick(None, self.moment(end)), "reason": "promised", "approved_by": "ann"})
        self.lock_documents = locks
        self.first.append(("price_lock", locks))

    # --- what is told later

    def corrections(self):
        """A second phase: parties and items move, costs, rates and agreements are corrected."""
        moved = [{"code": code, "groups": self.group_list()} for code in self.rng.sample(self.customers, 2)]
        if self.some(0.5):
            moved.append({"code": self.customers[-1], "parent": self.pick(None, *self.customers[:1])})
        items = [{"sku": sku, self.pick("category", "brand", "vendor"): None} for sku in self.rng.sample(self.skus, 2)]
        rates = [dict(d, rate="1.75") for d in self.rng.sample(self.documents("exchange_rate"), 1)]
        costs = [dict(d, cost="6.5") for d in self.rng.sample(self.documents("item_cost"), min(2, len(self.documents("item_cost"))))]
        agreements = []
        for code in self.rng.sample(sorted(self.heads), min(4, len(self.heads))):
            head = self.heads[code]
            if self.some(0.12):
                agreements.append({"code": code, "status": "inactive"})
            elif self.some(0.25):
                agreements.append({"code": code, "assignments": self.assignments(head["slot"])})
            else:
                agreements.append(dict(head, **terms_of(self, head["slot"]), rates=rates_of_version(self, code, head["slot"]), publish=True, **self.period(dates=True)))
        self.later += [("party", moved), ("item", items), ("exchange_rate", rates), ("item_cost", costs), ("agreement", agreements)]

    def documents(self, entity):
        return [d for name, many in self.first for d in many if name == entity]

    # --- changes of the whole

    @staticmethod
    def without(code, phases):
        """Documents without an agreement, None where another one is based on it."""
        if any(rate.get("base") == code for phase in phases for name, many in phase if name == "agreement" for d in many for rate in d.get("rates", ()) if d["code"] != code):
            return None
        return [[(name, [d for d in many if name != "agreement" or d["code"] != code]) for name, many in phase] for phase in phases]

    def shuffled(self, rng):
        """The same documents in another order; versions of one agreement stay in theirs."""
        phases = []
        for phase in self.phases:
            phases.append([])
            for name, many in phase:
                codes = sorted({d.get("code") for d in many if name == "agreement"})
                rng.shuffle(codes)
                mixed = [d for code in codes for d in many if d["code"] == code] if codes else rng.sample(many, len(many))
                phases[-1].append((name, [dict(d, rates=rng.sample(d["rates"], len(d["rates"]))) if "rates" in d else d for d in mixed]))
        return phases
