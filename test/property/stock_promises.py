"""An oracle for promises of stock: what reserve() grants, and to which dates promises move, reckoned the long way from docs/inventory.md.

Time is whole days: 0 is now, later ones are to come. Every number is reckoned anew from the lists of what there is, for each day.
"""
DAYS = 32
DATED = ("one_date", "complete", "schedule")


class Pool:
    """An item at a site."""

    def __init__(self):
        self.stock = 0
        self.supply = {}   # reference: (day, quantity)
        self.demand = {}   # key of others: (day, quantity)
        self.safety = 0
        self.backorder = 0

    def level(self, day):
        """Stock, supply and demand of others up to a day."""
        return self.stock + sum(q for at, q in self.supply.values() if at <= day) - sum(q for at, q in self.demand.values() if at <= day)


class Promise:
    """A reservation; date None = nothing covers it, later: it counts on its date and not on the queue."""

    def __init__(self, holder, key, quantity, date, wanted, priority, number):
        self.holder, self.key, self.quantity, self.date, self.wanted, self.priority, self.number = holder, key, quantity, date, wanted, priority, number
        self.was = date
        self.later = bool(date)

    def dated(self):
        return self.later and bool(self.date)


class World:
    def __init__(self, sites, kits):
        self.sites = sites   # in the order in which they are tried
        self.kits = kits     # kit: {component: quantity}
        self.pools = {}
        self.promises = []
        self.calls = 0

    def at(self, key):
        return [p for p in self.promises if p.key == key]

    # what may be promised

    def free(self, key, taken, use_safety):
        """What may be promised from each day on; taken: (day, quantity) of the call so far."""
        pool = self.pools[key]
        now = sum(p.quantity for p in self.at(key) if not p.dated()) + (0 if use_safety else pool.safety)
        left = [pool.level(day) - now - sum(p.quantity for p in self.at(key) if p.dated() and p.date <= day) - sum(q for at, q in taken.get(key, ()) if at <= day) for day in range(DAYS)]
        return [min(left[day:]) for day in range(DAYS)]

    def parts(self, item):
        return self.kits.get(item, {item: 1})

    def rooms(self, line, day, taken, ask, sites):
        """What each site could serve of a line on a day."""
        result = []
        for site in sites:
            keys = [((item, site), per) for item, per in self.parts(line["item"]).items()]
            if all(key in self.pools for key, _ in keys) and line.get("site") in (None, site):
                amounts = [(self.free(key, taken, ask["use_safety"])[day] + (0 if ask["mode"] in DATED else self.pools[key].backorder)) for key, _ in keys]
                result.append((site, min(amount // per if line["item"] in self.kits else amount for amount, (_, per) in zip(amounts, keys))))
        return result

    @staticmethod
    def choose(rooms, quantity, split):
        """The site that has all of it, otherwise one after the other; without splits the one that has most."""
        for site, amount in rooms:
            if amount >= quantity:
                return [(site, quantity)]
        if not split:
            best = max(rooms, key=lambda room: room[1], default=(None, 0))
            return [best] if best[1] > 0 else []
        chosen = []
        for site, amount in rooms:
            if amount > 0 and quantity > 0:
                chosen.append((site, min(quantity, amount)))
                quantity -= chosen[-1][1]
        return chosen

    def take(self, taken, line, site, quantity, day):
        for item, per in self.parts(line["item"]).items():
            taken.setdefault((item, site), []).append((day, quantity * per))

    def date_line(self, line, taken, ask, sites, only=None):
        """Grants [(site, quantity, day)] of a line, or None where it cannot be had in full; taken grows."""
        rest, day, grants = line["quantity"], only if only is not None else line.get("day", 0), []
        parts = ask.get("max_parts", 10) if ask["mode"] == "schedule" else 1
        while rest > 0:
            chosen = []
            for at in [day] if only is not None else range(day, DAYS):
                rooms = self.rooms(line, at, taken, ask, sites)
                most = sum(max(0, amount) for _, amount in rooms)
                best = max([amount for _, amount in rooms], default=0)
                if most <= 0 or parts == 1 and (most < rest or not ask["split"] and best < rest):
                    continue
                chosen = self.choose(rooms, min(rest, most), ask["split"])
                if sum(q for _, q in chosen) == rest or parts > 1 and chosen:
                    break
                chosen = []
            if not chosen:
                return None
            for site, quantity in chosen:
                self.take(taken, line, site, quantity, at)
                grants.append((site, quantity, at))
                rest -= quantity
            day, parts = at, parts - 1
        return grants

    def date_best(self, line, taken, ask, only=None):
        """The same, from each site alone where parts may not be split: the way that is complete first."""
        if ask["mode"] != "schedule" or ask["split"] or line.get("site"):
            return self.date_line(line, taken, ask, self.sites, only)
        best = None
        for site in self.sites:
            trial = {key: list(parts) for key, parts in taken.items()}
            grants = self.date_line(line, trial, ask, [site], only)
            if grants and (best is None or grants[-1][2] < best[0][-1][2]):
                best = grants, trial
        if best is None:
            return None
        taken.clear()
        taken.update(best[1])
        return best[0]

    def decide(self, lines, ask):
        """Grants [(ordinal, site, quantity, day)] of a call, None = refused."""
        taken, result = {}, []
        order = range(len(lines))
        if ask["mode"] == "complete":
            for day in range(max(line.get("day", 0) for line in lines), DAYS):
                taken = {}
                found = [self.date_best(lines[n], taken, ask, day) for n in order]
                if None not in found:
                    return [(n + 1, *grant) for n, grants in enumerate(found) for grant in grants]
            return None
        for n in order:
            if ask["mode"] in DATED:
                grants = self.date_best(lines[n], taken, ask)
                if grants is None:
                    return None
            else:
                grants = [(site, quantity, 0) for site, quantity in self.choose(self.rooms(lines[n], 0, taken, ask, self.sites), lines[n]["quantity"], ask["split"])]
                if ask["mode"] == "all_or_none" and sum(quantity for _, quantity, _ in grants) < lines[n]["quantity"]:
                    return None
                for site, quantity, day in grants:
                    self.take(taken, lines[n], site, quantity, day)
            result += [(n + 1, *grant) for grant in grants]
        return result or None

    # what is promised

    def reserve(self, holder, lines, ask):
        """Decides, writes, dates; returns the grants, with the dates they have then."""
        grants = self.decide(lines, ask)
        if grants is None:
            return None
        self.calls += 1
        made = []
        for ordinal, site, quantity, day in grants:
            line = lines[ordinal - 1]
            together = sum(1 for g in grants for _ in self.parts(lines[g[0] - 1]["item"]) if g[3] == day and (ask["mode"] == "complete" or g[0] == ordinal)) > 1
            for item, per in self.parts(line["item"]).items():
                wanted = (day if together else line.get("day")) if ask["mode"] in DATED else None
                made.append((ordinal, Promise(holder, (item, site), quantity * per, day, wanted or None, ask["priority"], None)))
        made.sort(key=lambda m: (m[1].key[0], self.sites.index(m[1].key[1]), m[0], m[1].date))
        for n, (_, promise) in enumerate(made):
            promise.number = (self.calls, n)
        fresh = [promise for _, promise in made]
        self.promises += fresh
        keys = {promise.key for promise in fresh}
        for key in keys:
            if any(p.later for p in fresh if p.key == key):
                self.date_later(key)
                self.date_queue(key, [])
            if sum(p.quantity for p in self.at(key) if not p.dated()) > min(self.standing(key)):
                self.date_queue(key, fresh)
        rows = []
        for ordinal, site, quantity, day in grants:
            mine = [p for o, p in made if o == ordinal and p.key[1] == site and (p.was == day)]
            dates = [p.date for p in mine]
            rows.append((ordinal, site, quantity, None if None in dates else max(dates)))
        return rows

    def standing(self, key):
        """What promises without a later date may count on, from each day on."""
        left = [self.pools[key].level(day) - sum(p.quantity for p in self.at(key) if p.dated() and p.date <= day) for day in range(DAYS)]
        return [min(left[day:]) for day in range(DAYS)]

    def queue(self, key, fresh, stock):
        """Promises without a later date, in the order in which they are served: those that stock covered and still covers, then the others."""
        order = sorted((p for p in self.at(key) if not p.later), key=lambda p: (p.priority, p.holder, p.number))
        first, place = [], 0
        for promise in order:
            if promise.date == 0 and promise not in fresh:
                place += promise.quantity
                if place <= stock:
                    first.append(promise)
        return first, [p for p in order if p not in first]

    def date_queue(self, key, fresh):
        """Promises without a later date have the day on which stock and supply reach their place."""
        standing, place = self.standing(key), 0
        first, others = self.queue(key, fresh, standing[0])
        for promise in first + others:
            place += promise.quantity
            promise.date = next((day for day in range(DAYS) if standing[day] >= place), None)

    def date_later(self, key):
        """Promises for a later date keep it while supply does; who loses it is promised anew; who can have it earlier gets it earlier."""
        pool = self.pools[key]
        later = sorted((p for p in self.at(key) if p.later), key=lambda p: (p.priority, DAYS if p.date is None else p.date, p.holder, p.number))
        level = [pool.level(day) for day in range(DAYS)]
        covered = sum(p.quantity for p in self.queue(key, [], min(level))[0])
        promised = sum(p.quantity for p in self.at(key) if not p.later)
        placed, lost = [], []

        def left(day, but=None):
            return level[day] - sum(p.quantity for p in placed if p is not but and p.date <= day)
        for promise in later:
            if promise.date and all(left(day) - covered >= promise.quantity for day in range(promise.date, DAYS)):
                placed.append(promise)
            else:
                lost.append(promise)
        for promise in lost:
            promise.date = None
            for kept in (pool.safety, 0):
                if promise.date is None:
                    promise.date = next((day for day in range(promise.wanted or 0, DAYS) if all(left(u) - promised - kept >= promise.quantity for u in range(day, DAYS))), None)
            if promise.date is not None:
                placed.append(promise)
        for promise in later:
            if promise not in lost and promise.date:
                for day in range(promise.wanted or 0, promise.date):
                    if all(left(u) - promised - pool.safety >= promise.quantity for u in range(day, promise.date)):
                        promise.date = day
                        break
        for promise in later:
            promise.later = promise.date != 0

    def refresh(self, keys):
        for key in keys:
            self.date_later(key)
            self.date_queue(key, [])
