"""Random feeds of stock events, and an oracle that folds them. It knows docs/inventory.md and nothing of the engine."""
import collections

SITES = ("FEED-1", "FEED-2", "FEED-3")
SOURCES = {"feed-erp": "book", "feed-wms": "phys", "feed-3pl": "phys"}
STATES = ("quality", "allocated", "damaged", "consignment_in")
PROMISABLE = {"available", "consignment_in"}
RELEASED = {"quality": "available"}


def moment(hour):
    return f"2024-01-{hour // 24 + 2:02}T{hour % 24:02}:00:00Z"


class Case:
    """Case is the history of one item: documents of several sources in the order in which things were noted."""

    def __init__(self, rng, name):
        self.name, self.rng, self.told = name, rng, []
        self.numbers = collections.Counter()
        self.spread = rng.choice((0, .1, .5))  # how many of its events are of other states, lots and owners
        self.hours = rng.choice((4, 20, 20))
        self.sites = rng.choice((SITES[:1], SITES[:2]))
        self.documents = rng.choice(("1", "12", "123"))
        self.kinds = rng.choice((("count", "count", "delta", "delta", "receive", "ship", "ship", "transfer", "reverse", "reverse"), ("ship", "ship", "ship", "receive", "reverse", "reverse")))
        self.numbered = {source: rng.choice((None, f"{name}-a", f"{name}-b")) for source in SOURCES}
        for _ in range(rng.randrange(3, 16)):
            self.add(rng.choice(list(SOURCES)))

    def add(self, source):
        rng = self.rng
        doc = {"event_id": f"{self.name}-{len(self.told)}", "sku": self.name, "site": rng.choice(self.sites)}
        undoable = [e["event_id"] for s, e in self.told if s == source and e["kind"] != "count" and e["event_id"] not in {d.get("reverses") for _, d in self.told}]
        kind = rng.choice(self.kinds)
        if kind == "reverse":
            if not undoable:
                return
            doc.update(kind=kind, reverses=rng.choice(undoable))
        else:
            doc.update(kind=kind, event_at=moment(rng.randrange(self.hours)), quantity=rng.randrange(0 if kind == "count" else 1, 30))
            if kind == "delta":
                doc["quantity"] *= rng.choice((1, -1))
            self.describe(doc, kind)
        if self.numbered[source]:
            stream = self.numbered[source]
            self.numbers[source, stream] += 1
            doc.update(stream=stream, sequence=self.numbers[source, stream] + 41)
        self.told.append((source, doc))

    def describe(self, doc, kind):
        rng = self.rng
        state = rng.choice(STATES) if rng.random() < self.spread else "available"
        if state != "available" or rng.random() < .5:
            doc["state"] = state
        if rng.random() < self.spread:
            doc["lot"] = rng.choice(("L1", "L2"))
        if rng.random() < self.spread / 3:
            doc["owner"] = "FEED-OWNER"
        if kind == "transfer":
            if rng.random() < .5 or state not in RELEASED:
                doc.update(rng.choice(({"to_site": "FEED-3"}, {"to_state": "quality"}, {"to_site": "FEED-2", "to_state": "damaged"})))
        if kind in ("receive", "ship") and rng.random() < .7:
            doc.update(reference=f"{kind}-{rng.choice(self.documents)}", quantity=rng.choice((2, 2, 4)))  # often the same on both sides


def legs(source, doc):
    """legs are what an event moves: key, quantity."""
    side, state, lot, owner = SOURCES[source], doc.get("state", "available"), doc.get("lot", ""), doc.get("owner", "")
    out = (doc["site"], side, state, lot, owner)
    if doc["kind"] == "transfer":
        to_state = doc.get("to_state") or (state if "to_site" in doc else RELEASED[state])
        return [(out, -doc["quantity"]), ((doc.get("to_site", doc["site"]), side, to_state, lot, owner), doc["quantity"])]
    return [(out, -doc["quantity"] if doc["kind"] == "ship" else doc["quantity"])]


def standing(told):
    """standing is what of the told events has happened after all, and all events that are known: a reversal counts once its event is."""
    known = {doc["event_id"]: (source, doc) for source, doc in told}
    def reaches(doc):
        return doc["kind"] != "reverse" or doc["reverses"] in known and reaches(known[doc["reverses"]][1])
    active = {key: e for key, e in known.items() if reaches(e[1])}
    undone_by = {doc["reverses"]: key for key, (_, doc) in active.items() if doc["kind"] == "reverse"}
    def stands(key):
        return key not in undone_by or not stands(undone_by[key])
    events = [e for e in active.values() if e[1]["kind"] != "reverse"]
    return [e for e in events if stands(e[1]["event_id"])], events


def balances(told, until="9999"):
    """balances are the folds as of an instant, for each key that was ever told of by then."""
    stands, known = standing(told)
    entries = collections.defaultdict(list)
    for source, doc in stands:
        for key, quantity in legs(source, doc):
            entries[key].append((doc["event_at"], doc["kind"] != "count", doc.get("sequence", -1), doc["event_id"], source, quantity))
    result = {key: 0 for source, doc in known if doc["event_at"] <= until for key, _ in legs(source, doc)}
    for key in result:
        for event_at, moves, _, _, _, quantity in sorted(entries[key]):
            if event_at <= until:
                result[key] = result[key] + quantity if moves else quantity
    return result


def in_flight(told):
    """in_flight is, for each site that both perspectives speak of, what the warehouse has told by reference and the book has not."""
    stands, known = standing(told)
    sides, counted = collections.defaultdict(set), collections.defaultdict(str)
    for source, doc in known:
        for key, _ in legs(source, doc):
            sides[key[0]].add(key[1])
            if doc["kind"] == "count" and key[1] == "book" and key[2] in PROMISABLE:
                counted[key[0]] = max(counted[key[0]], doc["event_at"])
    moved = collections.defaultdict(lambda: {"phys": 0, "book": 0})
    for source, doc in stands:
        for (site, side, state, _, _), quantity in legs(source, doc):
            if "reference" in doc and doc["kind"] != "count" and doc["event_at"] > counted[site] and (state in PROMISABLE or doc["kind"] == "ship"):
                moved[site, doc["reference"]][side] += quantity
    waits = {site: 0 for site in sides}
    for (site, _), sums in moved.items():
        if len(sides[site]) == 2 and sums["phys"]:
            left = sums["phys"] - sums["book"]
            waits[site] += min(0, left) if sums["phys"] < 0 else max(0, left)
    return waits


def deliveries(rng, case):
    """deliveries are the calls in which a case is told: permuted, told twice, delayed, in parts of any size; or as it was."""
    told = list(case.told)
    how = rng.choice(("order", "shuffle", "late", "near"))
    if how != "order":
        told += rng.sample(told, rng.randrange(len(told) + 1))
    if how == "shuffle":
        rng.shuffle(told)
    elif how == "late":
        late = [e for e in told if rng.random() < .3]
        told = [e for e in told if e not in late] + late[::-1]
    elif how == "near":
        told = [e for _, _, e in sorted((n + rng.random() * 4, n, e) for n, e in enumerate(told))]
    calls = []
    while told:
        size = rng.choice((1, 1, 2, 3, 7))
        calls.append(told[:size])
        told = told[size:]
    return calls
