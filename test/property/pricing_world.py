"""What the oracle of prices looks at, and how documents of the write door become it: a second, small reading of contracts/.

read(phases) takes [[(entity, [document, ...]), ...], ...]: one list a phase, each phase known from TOLD[n] on. Instants are microseconds.
"""
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fractions import Fraction
import re

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ZONES = {"UTC": 0, "Asia/Kolkata": 330, "America/Phoenix": -420}     # zones that do not move, in minutes
DAY = 86400 * 10 ** 6
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::\d\d)?)")

Exchange = namedtuple("Exchange", "source target rate valid known")
Cost = namedtuple("Cost", "item company site unit cost currency valid known")
Ancestor = namedtuple("Ancestor", "party ancestor depth valid")
Target = namedtuple("Target", "item kind what depth valid")
Member = namedtuple("Member", "party kind group valid known")
Assignment = namedtuple("Assignment", "who_kind who rank blocking valid known")
Lock = namedtuple("Lock", "customer document_type document_key item unit min_quantity max_quantity unit_price currency price_per valid")
Party = namedtuple("Party", "currency price_class")
RATE_NUMBERS = ("min_quantity", "value", "value2", "floor_price", "ceiling_price", "min_margin", "percent")
RATE_FIELDS = ("customer", "what_kind", "what", "channel", "site", "unit", "calc", "price_per", "base", "condition", "free_item", "line")
Rate = namedtuple("Rate", RATE_NUMBERS + RATE_FIELDS + ("valid",))
TERMS = {"combine": "override", "stack_group": "", "priority": 0, "tier_measure": "quantity", "tier_basis": "line", "tier_mode": "all_units", "tier_scope": "own", "price_date": "order",
         "fx_allowed": False, "tax_included": False, "rounding": None, "on_breach": "clamp", "commit_quantity": None, "commit_amount": None, "cap_behavior": "stop"}


def instant(text, zone="UTC", end=False):
    """An instant of a document as microseconds; a date begins, or as an end is over, in its zone."""
    if text is None:
        return None
    if len(text) == 10:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc) - timedelta(minutes=ZONES[zone])
        return microseconds(day) + (DAY if end else 0)
    day, clock, rest, zone = INSTANT.fullmatch(text).groups()
    shift = 0 if zone == "Z" else int(zone[:3]) * 60 + int(zone[0] + (zone[4:] or "0"))
    moment = datetime.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) - timedelta(minutes=shift)
    return microseconds(moment) + int((rest or "0").ljust(6, "0"))


def microseconds(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def told(phase):
    """From when what a phase says is known, on the calendar of the oracle."""
    return microseconds(datetime(2026, 1, 1, tzinfo=timezone.utc)) + phase * DAY


def text_of(micros):
    return None if micros is None else (EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fraction(value):
    return None if value is None else Fraction(value)


@dataclass(eq=False)
class Item:
    sku: str
    base_unit: str
    units: dict
    multiples: dict
    family: str = None
    weight: Fraction = None
    tax_class: str = None

    def factor(self, unit):
        """Base units of one of this unit, None where the item does not have it."""
        return Fraction(1) if unit is None or unit == self.base_unit else self.units.get(unit)


@dataclass(eq=False)
class Version:
    agreement: str
    slot: str
    company: str
    currency: str
    number: int
    valid: tuple
    known: tuple
    terms: dict
    rates: list
    set_number: int = 0


@dataclass(eq=False)
class World:
    currencies: dict = field(default_factory=dict)      # minor units
    companies: dict = field(default_factory=dict)       # currency
    parties: dict = field(default_factory=dict)
    items: dict = field(default_factory=dict)
    ancestors: list = field(default_factory=list)
    targets: list = field(default_factory=list)
    members: list = field(default_factory=list)
    rates_of_exchange: list = field(default_factory=list)
    costs: list = field(default_factory=list)
    versions: list = field(default_factory=list)
    drafts: list = field(default_factory=list)
    assignments: dict = field(default_factory=dict)
    locks: list = field(default_factory=list)
    commitments: dict = field(default_factory=dict)     # (quantity, amount) used so far
    roundings: dict = field(default_factory=dict)
    kinds: dict = field(default_factory=dict)           # of charges, by agreement
    index: dict = field(default_factory=dict)           # (what_kind, what) -> [(version, rate)]

    def ready(self):
        """Files the rates under what they name; after that the world answers."""
        self.index = {}
        for version in self.versions:
            for rate in version.rates:
                self.index.setdefault((rate.what_kind, rate.what), []).append((version, rate))
        return self


def rounding_of(d):
    """A rounding as a document or a policy says it."""
    return {"scale": int(d.get("scale", 4)), "mode": d.get("mode", "half_up"), "multiple": fraction(d.get("multiple")), "ending": fraction(d.get("ending")),
            "each_step": bool(d.get("each_step"))}


def rate_of(document, place, zone="UTC"):
    """A rate as its document says it."""
    values = {name: fraction(document.get(name)) for name in RATE_NUMBERS}
    values.update({name: document.get(name) for name in RATE_FIELDS})
    kind = document.get("what_kind") or ("item" if document.get("what") else "all")
    values.update(what_kind=kind, what=document.get("what") or "", calc=document.get("calc") or "net", line=document.get("line") or str(place + 1),
                  price_per=int(document["price_per"]) if document.get("price_per") else None,
                  valid=(instant(document.get("valid_from"), zone), instant(document.get("valid_to"), zone, True)))
    if not values["min_quantity"]:
        values["min_quantity"] = None
    return Rate(**values)


class Reader:
    """Reads documents, phase by phase, and keeps what earlier phases said on record."""

    def __init__(self):
        self.world, self.now, self.first = World(), 0, True
        self.party, self.item, self.category, self.group, self.agreement = {}, {}, {}, {}, {}
        self.timelines = {}

    def phase(self, number, documents):
        self.now, self.first = told(number), number == 0
        for entity, many in documents:
            for document in many:
                getattr(self, "take_" + entity, self.skip)(document)
        self.close_parties()
        self.close_items()

    def skip(self, document):
        """unit, site, channel, party_group: named by others, nothing of their own."""

    def take_currency(self, d):
        self.world.currencies[d["currency"]] = int(d["minor_units"])

    def take_company(self, d):
        self.world.companies[d["code"]] = d["currency"]

    def take_rounding(self, d):
        self.world.roundings[d["rounding"]] = rounding_of(d)

    def take_category(self, d):
        self.category[d["code"]] = {**self.category.get(d["code"], {}), **d}

    def take_party(self, d):
        held = self.party[d["code"]] = {**self.party.get(d["code"], {}), **d}
        self.world.parties[d["code"]] = Party(held.get("currency"), held.get("price_class"))
        if "groups" in d:
            self.take_groups(d["code"], {(g["kind"], g["code"]) for g in d["groups"]})

    def take_groups(self, code, wanted):
        """What ends, ends now and is known to have held until now; what begins later than the first phase begins now."""
        held = {(m.kind, m.group): m for m in self.world.members if m.party == code and m.known[1] is None and m.valid[1] is None}
        for key, m in held.items():
            if key not in wanted:
                self.world.members.remove(m)
                self.world.members += [m._replace(known=(m.known[0], self.now)), m._replace(valid=(m.valid[0], self.now), known=(self.now, None))]
        for kind, group in wanted - set(held):
            self.world.members.append(Member(code, kind, group, (None if self.first else self.now, None), (self.now, None)))

    def take_item(self, d):
        held = self.item[d["sku"]] = {**self.item.get(d["sku"], {}), **d}
        units = {u["unit"]: Fraction(int(u["numerator"]), int(u.get("denominator") or 1)) for u in held.get("units") or ()}
        multiples = {u["unit"]: Fraction(u["sell_multiple"]) for u in held.get("units") or () if u.get("sell_multiple")}
        self.world.items[d["sku"]] = Item(d["sku"], held["base_unit"], units, multiples, held.get("family"), fraction(held.get("weight")), held.get("tax_class"))

    def close_parties(self):
        found = set()
        for code in self.party:
            above, depth = code, 0
            while above:
                found.add((code, above, depth))
                above, depth = self.party[above].get("parent"), depth + 1
        self.close(self.world.ancestors, Ancestor, found)

    def close_items(self):
        found = set()
        for sku, d in self.item.items():
            found |= {(sku, "item", sku, 0), (sku, "all", "", 0)}
            found |= {(sku, kind, d[kind], 0) for kind in ("brand", "family", "vendor") if d.get(kind)}
            above, depth = d.get("variant_of"), 1
            while above:
                found.add((sku, "variant_parent", above, depth))
                above, depth = self.item[above].get("variant_of"), depth + 1
            above, depth = d.get("category"), 0
            while above:
                found.add((sku, "category", above, depth))
                above, depth = self.category[above].get("parent"), depth + 1
        self.close(self.world.targets, Target, found)

    def close(self, rows, kind, found):
        """Brings a closure up to date: what is gone ended now, what is new began now, of what is new in itself always."""
        current = {row[:-1]: row for row in rows if row.valid[1] is None}
        old = {row[0] for row in rows}
        for key, row in current.items():
            if key not in found:
                rows.remove(row)
                rows.append(row._replace(valid=(row.valid[0], self.now)))
        rows += [kind(*key, (self.now if key[0] in old else None, None)) for key in found - set(current)]

    def take_exchange_rate(self, d):
        key = (d["from_currency"], d["to_currency"])
        self.lay("fx", key, d, lambda row, valid, known: Exchange(*key, Fraction(row["rate"]), valid, known), self.world.rates_of_exchange)

    def take_item_cost(self, d):
        key = (d["sku"], d["company"], d.get("site"))
        self.lay("cost", key, d, lambda row, valid, known: Cost(*key, row.get("unit"), Fraction(row["cost"]), row["currency"], valid, known), self.world.costs)

    def lay(self, what, key, d, make, rows):
        """Lays a value over its timeline: it holds until the next one; what was believed before stays on record."""
        line = self.timelines.setdefault((what, key), {})
        line[instant(d["valid_from"])] = d
        starts = sorted(line)
        wanted = [make(line[start], (start, end), (self.now, None)) for start, end in zip(starts, starts[1:] + [None])]
        held = [row for row in rows if row[:len(key)] == key and row.known[1] is None]
        for row in held:
            if row[:-1] not in [w[:-1] for w in wanted]:
                rows.remove(row)
                rows.append(row._replace(known=(row.known[0], self.now)))
        rows += [w for w in wanted if w[:-1] not in [row[:-1] for row in held]]

    def take_price_lock(self, d):
        self.world.locks.append(Lock(d["customer"], d["document_type"], d["document_key"], d["item"], d["unit"], Fraction(d.get("min_quantity") or 0), fraction(d.get("max_quantity")),
                                     Fraction(d["unit_price"]), d["currency"], int(d.get("price_per") or 1), (instant(d.get("valid_from")), instant(d.get("valid_to")))))

    # --- agreements

    def take_agreement(self, d):
        held = self.agreement[d["code"]] = {**self.agreement.get(d["code"], {"numbers": 0}), **d}
        zone = held.get("tz") or "UTC"
        self.world.kinds[d["code"]] = held.get("charge_kind") or "fee"
        if d.get("status") == "inactive":
            for version in self.held(d["code"]):
                version.known = (version.known[0], self.now)
            return
        if "assignments" in d:
            self.assign(d["code"], d["assignments"], zone)
        if "rates" in d:
            held["numbers"] += 1
            terms = {name: held.get(name, default) for name, default in TERMS.items()}
            terms.update({name: fraction(terms[name]) for name in ("commit_quantity", "commit_amount")}, priority=int(terms["priority"]))
            rates = [rate_of(rate, place, zone) for place, rate in enumerate(d["rates"])]
            valid = (instant(d.get("valid_from"), zone), instant(d.get("valid_to"), zone, True))
            version = Version(d["code"], held["slot"], held.get("company"), held["currency"], held["numbers"], valid, (self.now, None), terms, rates, held["numbers"])
            if d.get("publish") is False:
                self.world.drafts.append(version)
            else:
                self.publish(version, held)

    def held(self, code):
        return [v for v in self.world.versions if v.agreement == code and v.known[1] is None]

    def publish(self, version, held):
        """What a new version cuts out of older ones' periods lives on as versions of their own over the same rates."""
        low, high = version.valid
        for old in sorted(self.held(version.agreement), key=lambda v: (v.valid[0] is not None, v.valid[0] or 0)):
            start, end = old.valid
            if (high is not None and start is not None and high <= start) or (end is not None and low is not None and end <= low):
                continue
            old.known = (old.known[0], self.now)
            for part in ((start, low) if low is not None and (start is None or start < low) else None, (high, end) if high is not None and (end is None or high < end) else None):
                if part:
                    held["numbers"] += 1
                    self.world.versions.append(Version(old.agreement, old.slot, old.company, old.currency, held["numbers"], part, (self.now, None), old.terms, old.rates, old.set_number))
        self.world.versions.append(version)

    def assign(self, code, many, zone):
        rows = self.world.assignments.setdefault(code, [])
        wanted = [Assignment(a["who_kind"], a.get("who") or "", int(a.get("rank", 100)), bool(a.get("blocking")),
                             (instant(a.get("valid_from"), zone), instant(a.get("valid_to"), zone, True)), (self.now, None)) for a in many]
        held = [row for row in rows if row.known[1] is None]
        for row in held:
            if row[:-1] not in [w[:-1] for w in wanted]:
                rows.remove(row)
                rows.append(row._replace(known=(row.known[0], self.now)))
        rows += [w for w in wanted if w[:-1] not in [row[:-1] for row in held]]


def read(phases, commitments=None):
    """The world that documents make, ready to be asked."""
    reader = Reader()
    for number, documents in enumerate(phases):
        reader.phase(number, documents)
    reader.world.commitments = commitments or {}
    return reader.world.ready()
