"""Random terms and rates of an agreement version; a part of pricing_cases."""

COMBINES = ("override", "best", "additive", "compound", "exclusive", "always")
CALCS = {
    "list": ("net",) * 14 + ("markup", "margin", "per_weight", "percent_off"),
    "book": ("net",) * 6 + ("percent_off",) * 4 + ("amount_off", "markup", "margin", "formula", "reference", "per_weight"),
    "contract": ("net",) * 6 + ("percent_off",) * 4 + ("amount_off", "markup", "margin", "formula", "reference", "per_weight"),
    "promotion": ("percent_off",) * 5 + ("net",) * 3 + ("amount_off",) * 2 + ("buy_get",) * 3 + ("formula", "markup"),
    "adjustment": ("percent_off",) * 5 + ("amount_off",) * 4 + ("formula", "net", "markup"),
    "guard": ("net",), "order": ("percent_off", "percent_off", "amount_off")}
PRICES = (("10", "12", "9.99", "100", "10.005", "10.0005", "33.3333333333"), ("9", "9.5", "95", "9.0125"), ("8", "9", "0.3333333333"))
CONDITIONS = (None,) * 8 + ({"tier": "gold"}, {"flags": ["a"]}, {"tier": "gold", "deep": {"n": 1}}, {})


def terms_of(case, slot):
    """The terms of a version, all of them said."""
    pick, some = case.pick, case.some
    combine = "override"
    group = pick("", "", "g1", "g2", "Z")
    if slot in ("adjustment", "order"):
        combine = pick(*COMBINES)
        if some(0.6):
            combine, group = case.favourite[slot]
    elif slot == "promotion":
        combine = pick("override", "override", "additive", "additive", "compound", "exclusive", "always", "best")
    elif slot in ("contract", "book"):
        combine = pick("override", "override", "override", "exclusive")
    measure = pick("quantity", "quantity", "quantity", "amount", "weight") if slot not in ("list", "guard") else "quantity"
    basis = pick("line", "line", "line", "period")
    if case.wide and slot != "order":
        basis = pick("line", "item_order", "family_order", "period")
    if slot == "order":
        measure, basis = pick("amount", "amount", "quantity"), "line"
    if measure == "weight" and basis == "period":
        basis = "line"
    incremental = slot not in ("guard", "order") and some(0.25)
    return {"combine": combine, "stack_group": group, "priority": pick(0, 0, 0, 1, 5), "tier_measure": measure, "tier_basis": basis,
            "tier_mode": "incremental" if incremental else "all_units", "tier_scope": "merge" if slot in ("book", "contract") and some(0.15) else "own",
            "price_date": pick("order", "order", "order", "requested_ship", "ship", "invoice"), "fx_allowed": some(0.85), "tax_included": slot in ("list", "book", "contract") and some(0.12),
            "rounding": pick(None, None, None, *case.roundings), "on_breach": pick("clamp", "clamp", "flag"), "commit_quantity": pick(None, None, None, "100", "10"),
            "commit_amount": pick(None, None, None, None, "1000"), "cap_behavior": pick("stop", "continue", "warn")}


def rates_of_version(case, code, slot):
    """Rates of one version: a few ladders; those for the same buyer and target do not overlap in time, the door would refuse it."""
    rates, taken = [], {}
    size = len(case.skus) if slot == "list" and case.some(0.7) else case.rng.randrange(1, 6)
    for n in range(size):
        ladder = rate_ladder(case, code, slot, case.skus[n] if slot == "list" and n < len(case.skus) else None)
        for part in split(case, ladder):
            key = tuple(str(part[0].get(name)) for name in ("customer", "what_kind", "what", "channel", "site"))
            period = (part[0].get("valid_from") or "", part[0].get("valid_to") or "9")
            if all(period[1] <= low or high <= period[0] for low, high in taken.get(key, ())):
                taken.setdefault(key, []).append(period)
                rates += [dict(rate, line=f"L{len(rates) + i}") for i, rate in enumerate(part)]
    return rates


def split(case, ladder):
    """Now and then a ladder that is followed by a cheaper one."""
    if not case.some(0.08):
        return [ladder]
    cut = case.moment(case.pick(*case.pivots))
    return [[dict(rate, valid_from=None, valid_to=cut) for rate in ladder], [dict(rate, valid_from=cut, valid_to=None, **numbers(case, "list", "net", 2)) if rate["calc"] == "net" else
                                                                            dict(rate, valid_from=cut, valid_to=None) for rate in ladder]]


def what_of(case, sku):
    n = case.names
    kind = "item" if sku else case.pick("item", "item", "item", "category", "category", "category", "all", "all", "brand", "family", "vendor", "variant_parent")
    keys = {"item": [sku] if sku else case.skus, "variant_parent": case.skus[:3], "category": [n(k) for k in ("K1", "K2", "K3", "K4")], "brand": [n("B1"), n("B2")], "family": [n("F1")],
            "vendor": case.vendors, "all": [None]}
    return {"what_kind": kind, "what": case.pick(*keys[kind])}


def unit_of(case, what):
    """A unit of the item; where many items are named, one that some of them do not have."""
    if what["what_kind"] == "item":
        item = case.items[what["what"]]
        return case.pick(None, None, item["base_unit"], *[u["unit"] for u in item["units"]])
    return case.pick(None, None, None, "EA", "BX", "TH", "PK")


def rate_ladder(case, code, slot, sku=None):
    """Rates that differ in their tier, and in what they say."""
    pick, some = case.pick, case.some
    head = what_of(case, sku)
    head["unit"] = None if slot == "order" else unit_of(case, head)
    if slot not in ("guard", "order") and some({"contract": 0.45, "promotion": 0.1}.get(slot, 0.08)):
        head["customer"] = pick(*case.customers, *case.customers, *case.ship_tos, *case.jobs)
    narrow = 0.05 if slot == "list" else 0.12
    if some(narrow):
        head["channel"] = pick(*case.channels)
    if some(narrow):
        head["site"] = pick(*case.sites)
    if some(narrow):
        head.update(case.period())
    tiers = [None] if some(0.6) or slot == "guard" else sorted(case.rng.sample((None, "1.5", "2", "5", "10", "12", "24", "100"), pick(1, 2, 3)), key=lambda t: float(t or 0))
    calc = pick(*CALCS[slot])
    bases = [a for a, h in case.heads.items() if h["slot"] in ("list", "book")[:1 if slot == "book" else 2]] if slot in ("book", "contract", "promotion", "adjustment") else []
    ladder = []
    for place, tier in enumerate(tiers):
        rate = dict(head, min_quantity=tier, **numbers(case, slot, calc if some(0.8) or calc == "buy_get" else pick(*[c for c in CALCS[slot] if c != "buy_get"]), place))
        if rate["calc"] == "reference" and not bases:
            rate.update(calc="formula", value="1")
        if rate["calc"] == "reference" or rate["calc"] in ("percent_off", "amount_off", "formula") and bases and some(0.35):
            rate["base"] = pick(*bases)
        if slot != "order":
            rate.update(limits(case, slot))
        condition = pick(*CONDITIONS)
        ladder.append(rate if condition is None or slot == "list" and some(0.7) else dict(rate, condition=condition))
    return ladder


def numbers(case, slot, calc, place):
    """calc with its values; higher tiers are mostly cheaper."""
    pick = case.pick
    if calc in ("net", "per_weight"):
        value = "0" if slot == "guard" else pick(*PRICES[min(place, 2)])
        return {"calc": calc, "value": value, **({"price_per": pick(1, 100, 1000)} if calc == "net" and case.some(0.2) else {})}
    if calc == "percent_off":
        return {"calc": calc, "value": pick("5", "10", "12.5", "33.3333333333", "-5", "-10") if slot in ("adjustment", "order") else pick("5", "10", "12.5", "33.3333333333", "100", "50")}
    if calc == "amount_off":
        return {"calc": calc, "value": pick("1", "0.5", "2.25", "20", *(("-1", "-2.5") if slot in ("adjustment", "order") else ()))}
    if calc in ("markup", "margin"):
        return {"calc": calc, "value": pick("25", "10", "33.3333333333", "0")}
    if calc == "formula":
        return {"calc": calc, "value": pick("0.9", "1.1", "0.5"), "value2": pick(None, "1", "0.25")}
    if calc == "reference":
        return {"calc": calc, "value": "0"}
    return dict({"calc": calc, "value": pick("2", "5", "10"), "value2": pick("1", "2")},
                **({"free_item": pick(*case.skus)} if case.some(0.3) else {}), **({"percent": "50"} if case.some(0.4) else {}))


def limits(case, slot):
    """Floors, ceilings and margins: often in guards, now and then elsewhere."""
    chance, found = (0.6 if slot == "guard" else 0.05), {}
    if case.some(chance):
        found["floor_price"] = case.pick("5", "8.5", "9", "9.99", "12")
    if case.some(chance / 2):
        found["ceiling_price"] = case.pick("9", "10", "11.11", "50")
    if case.some(chance / 2):
        found["min_margin"] = case.pick("0.1", "0.25", "0.333333")
    return found
