"""Oracle of src/pricing/README.md, sections 2 to 4: ladders, order keys, blocking lists, stack groups. Functions over candidates, no more."""


def ended(version, date):
    return version.valid[1] is not None and version.valid[1] <= date


def order_key(line, c, unit=True):
    """What the policy looks at, smaller first; unit: whether that of the line is asked."""
    low = c.version.valid[0]
    keys = {
        "who": c.who, "list_rank": c.list_rank, "what": c.what, "channel": c.rate.channel is None, "site": c.rate.site is None,
        "unit": unit and (c.rate.unit or line.item.base_unit) != line.unit, "currency": c.version.currency != line.call.currency,
        "priority": -c.version.terms["priority"], "min_quantity": -c.minimum, "valid_from": (low is None, -(low or 0)), "version_no": -c.version.number}
    return tuple(keys[name] for name in line.call.policy["order"])


def ladders(candidates):
    """Candidates by ladder: one version, buyer, target, channel, site, unit and period."""
    found = {}
    for c in candidates:
        r = c.rate
        found.setdefault((id(c.version), r.customer, r.what_kind, r.what, r.channel, r.site, r.unit or c.base_unit, r.valid), []).append(c)
    return list(found.values())


def reduce_ladders(candidates):
    """Only the highest tier reached of a ladder competes."""
    for ladder in ladders([c for c in candidates if c.reason is None]):
        highest = max(c.minimum for c in ladder)
        for c in ladder:
            c.ladder = ladder
            if c.minimum < highest:
                c.reason = "lower_tier"


def block(candidates):
    """Walks the lists by rank and code: a blocking one is skipped after one that names the item, otherwise it blocks all after it."""
    lists = {}
    for c in candidates:
        lists.setdefault((c.list_rank, c.version.agreement.encode(), c.blocking), []).append(c)
    named = blocked = False
    for (_, _, blocking), members in sorted(lists.items(), key=lambda entry: entry[0]):
        here = any(c.reason in (None, "below_tier") for c in members)
        if blocked or blocking and named:
            for c in members:
                c.reason = c.reason or "blocked"
        elif blocking and here:
            blocked = True
        named = named or here


def stack_groups(ordered):
    """Groups in the order they apply, with their mode; who may not apply loses."""
    always = [c for c in ordered if c.version.terms["combine"] == "always"]
    rest = [c for c in ordered if c.version.terms["combine"] != "always"]
    exclusive = [c for c in rest if c.version.terms["combine"] == "exclusive"]
    groups = []
    if exclusive:
        for c in rest:
            c.reason = None if c is exclusive[0] else "excluded"
        groups.append(([exclusive[0]], "override"))
    else:
        for name in sorted({c.version.terms["stack_group"].encode() for c in rest}):
            group = [c for c in rest if c.version.terms["stack_group"].encode() == name]
            mode = group[0].version.terms["combine"]
            same = [c for c in group if c.version.terms["combine"] == mode]
            same = same[:1] if mode == "override" else same
            for c in group:
                c.reason = None if c in same else "outranked"
            groups.append((same, mode))
    return groups + [([c], "always") for c in always]
