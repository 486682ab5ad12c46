"""The oracle of prices judged by hand: every expected number here was worked out on paper from src/pricing/README.md. No database."""
from fractions import Fraction as F
import random
import unittest

from pricing_arithmetic import allocate, contains, round_price
from pricing_cases import Case, Names, policies, slots
from pricing_oracle import prices
from pricing_questions import Questions, asked
from pricing_world import instant, read, told

POLICY = {"who": ["customer", "parent", "buying_group", "price_class", "channel", "all"], "what": ["item", "category", "brand", "all"],
          "order": ["who", "list_rank", "what", "channel", "site", "unit", "currency", "priority", "min_quantity", "valid_from", "version_no"],
          "slots": slots(), "below_tier": "skip", "tie": "content", "rounding": {"scale": 4, "mode": "half_up"}}
ALL = [{"who_kind": "all"}]


def masters():
    """A parent and its child, two items of a category, EA with BX = 12 EA, TH = 1/3 EA; a euro is 1.25 dollars."""
    return [("currency", [{"currency": "USD", "minor_units": 2}, {"currency": "EUR", "minor_units": 2}, {"currency": "JPY", "minor_units": 0}]),
            ("company", [{"code": "US", "currency": "USD"}]), ("category", [{"code": "TOP"}, {"code": "CARS", "parent": "TOP"}]),
            ("party", [{"code": "MAMA"}, {"code": "KID", "parent": "MAMA", "price_class": "GOLD", "groups": [{"kind": "buying_group", "code": "GRP"}]}, {"code": "X"}]),
            ("item", [{"sku": "A", "base_unit": "EA", "category": "CARS", "family": "F", "weight": "0.5", "tax_class": "T", "units": [
                {"unit": "BX", "numerator": 12}, {"unit": "TH", "numerator": 1, "denominator": 3}, {"unit": "SX", "numerator": 6, "sell_multiple": "2"}]},
                      {"sku": "B", "base_unit": "EA", "category": "TOP", "family": "F"}]),
            ("exchange_rate", [{"from_currency": "EUR", "to_currency": "USD", "rate": "1.25", "valid_from": "2010-01-01T00:00:00Z"}]),
            ("item_cost", [{"sku": "A", "company": "US", "cost": "6", "currency": "USD", "valid_from": "2010-01-01T00:00:00Z"},
                           {"sku": "A", "company": "US", "site": "S1", "cost": "4", "currency": "USD", "valid_from": "2010-01-01T00:00:00Z"}]),
            ("rounding", [{"rounding": "CHARM", "scale": 2, "mode": "half_up", "ending": "0.99"}])]


def agreement(code, slot, *rates, **more):
    return dict({"code": code, "slot": slot, "currency": "USD", "assignments": ALL, "rates": [dict({"what": "A"}, **r) for r in rates]}, **more)


LIST = agreement("LIST", "list", {"value": "10"}, {"what": "B", "value": "20"})


class Oracle(unittest.TestCase):
    def ask(self, agreements, *lines, policy=None, later=(), at="2020-06-01", customer="KID", used=None, more=(), phase=None, **options):
        world = read([masters() + [("agreement", agreements)] + list(more), list(later)], used)
        question = {"customer": customer, "at": instant(at), "phase": phase, "options": dict({"company": "US"}, **options),
                    "lines": [dict({"item": "A"}, **line) for line in lines or ({},)]}
        return prices(world, dict(POLICY, **(policy or {})), asked(question))

    def price(self, agreements, line=None, **more):
        one = self.ask(agreements, line or {}, **more)[0]
        return one["unit_price"] if one["outcome"] == "priced" else one["code"]

    def losers(self, one):
        return sorted((code, line, reason) for code, _, line, reason in one["losers"])

    def test_waterfall_replaces(self):
        contract = agreement("K", "contract", {"calc": "percent_off", "value": "10"})
        one = self.ask([LIST, contract], {"quantity": "3"})[0]
        self.assertEqual((one["unit_price"], one["net_amount"], one["agreement"], one["code"]), (9, 27, "K", "ok"))
        self.assertEqual([(s["slot"], s["before"], s["after"]) for s in one["steps"]], [("list", None, 10), ("contract", 10, 9)])

    def test_nearest_buyer_then_list_rank(self):
        own = agreement("K1", "contract", {"customer": "MAMA", "value": "8"})
        group = agreement("K2", "contract", {"value": "7"}, assignments=[{"who_kind": "buying_group", "who": "GRP"}])
        self.assertEqual(self.price([LIST, own, group]), 8)
        self.assertEqual(self.price([LIST, own, group], customer="X"), 10)
        self.assertEqual(self.price([LIST, own, group], policy={"who": ["buying_group", "parent", "all"]}), 7)
        books = [agreement(f"B{rank}", "book", {"value": str(rank)}, assignments=[{"who_kind": "all", "rank": rank}]) for rank in (5, 3)]
        self.assertEqual(self.price([LIST] + books), 3)

    def test_units_and_price_per(self):
        box = agreement("LIST", "list", {"value": "30.60", "unit": "BX"})
        self.assertEqual(self.price([box]), F("2.55"))
        self.assertEqual(self.price([box], {"unit": "BX"}), F("30.60"))
        self.assertEqual(self.price([box], {"unit": "TH", "quantity": "3"}), F("0.85"))
        one = self.ask([agreement("LIST", "list", {"value": "12.34", "price_per": 100})], {"quantity": "7"})[0]
        self.assertEqual((one["unit_price"], one["price_per"], one["net_amount"]), (F("12.34"), 100, F("0.86")))
        one = self.ask([agreement("LIST", "list", {"value": "12.34", "price_per": 100})], {"quantity": "7", "unit": "BX"})[0]
        self.assertEqual((one["unit_price"], one["price_per"], one["net_amount"]), (F("1.4808"), 1, F("10.37")))

    def test_currencies(self):
        euro = agreement("LIST", "list", {"value": "10"}, currency="EUR", fx_allowed=True)
        self.assertEqual(self.price([euro]), F("12.5"))
        self.assertEqual(self.price([LIST], currency="EUR"), "currency")
        self.assertEqual(self.price([dict(LIST, fx_allowed=True)], currency="EUR"), 8)
        self.assertEqual(self.price([dict(LIST, fx_allowed=True)], currency="JPY"), "currency")

    def test_calculations(self):
        for calc, value, more, wanted in (
                ("markup", "25", {}, F("7.5")), ("margin", "25", {}, 8), ("amount_off", "1.5", {}, F("8.5")), ("amount_off", "11", {}, 0), ("formula", "0.5", {"value2": "1"}, 6),
                ("reference", "0", {}, 10), ("per_weight", "3", {}, F("1.5")), ("net", "0", {}, 0)):
            self.assertEqual(self.price([LIST, agreement("K", "contract", dict(more, calc=calc, value=value))]), wanted, calc)
        self.assertEqual(self.price([LIST, agreement("K", "contract", {"calc": "markup", "value": "25"})], {"site": "S1"}), 5)
        self.assertEqual(self.price([agreement("L", "list", {"what": "B", "calc": "markup", "value": "1"})], {"item": "B"}), "no_cost")
        self.assertEqual(self.price([agreement("L", "list", {"what": "B", "calc": "per_weight", "value": "1"})], {"item": "B"}), "no_weight")
        self.assertEqual(self.price([agreement("K", "contract", {"calc": "percent_off", "value": "1"})]), "no_base_price")

    def test_catch_weight(self):
        self.assertEqual(self.price([agreement("L", "list", {"calc": "per_weight", "value": "3"})], {"quantity": "4", "weight": "10"}), F("7.5"))

    def test_base_of_another_agreement(self):
        base = agreement("BASE", "book", {"value": "50"}, {"value": "40", "min_quantity": "10"}, assignments=[])
        contract = agreement("K", "contract", {"calc": "percent_off", "value": "10", "base": "BASE"})
        self.assertEqual(self.price([LIST, base, contract]), 45)
        self.assertEqual(self.price([LIST, base, contract], {"quantity": "10"}), 36)
        self.assertEqual(self.price([LIST, agreement("BASE", "book", assignments=[]), contract]), 10)

    def test_tax_included(self):
        self.assertEqual(self.price([dict(LIST, tax_included=True)], tax_rates={"T": "25"}), 8)
        self.assertEqual(self.price([dict(LIST, tax_included=True)]), "no_tax_rate")

    def test_tiers(self):
        tiers = agreement("LIST", "list", {"value": "10", "min_quantity": "2"}, {"value": "9", "min_quantity": "10"}, {"value": "8", "min_quantity": "24"})
        self.assertEqual([self.price([tiers], {"quantity": q}) for q in ("1.999999", "2", "9.999999", "10", "24")], ["below_tier", 10, 10, 9, 8])
        self.assertEqual(self.price([tiers], {"quantity": "2", "unit": "BX"}), 96)
        self.assertEqual(self.price([tiers], {"quantity": "1"}, policy={"below_tier": "lowest"}), 10)
        self.assertEqual(self.price([LIST, dict(tiers, code="K", slot="contract")], policy={"below_tier": "refuse"}), "below_tier")
        one = self.ask([tiers], {"quantity": "10"})[0]
        self.assertEqual(self.losers(one), [("LIST", "1", "lower_tier"), ("LIST", "3", "below_tier")])

    def test_tiers_of_other_measures(self):
        amount = agreement("K", "contract", {"value": "9", "min_quantity": "100"}, tier_measure="amount")
        self.assertEqual([self.price([LIST, amount], {"quantity": q}) for q in ("9", "10")], [10, 9])
        weight = agreement("K", "contract", {"value": "9", "min_quantity": "6"}, tier_measure="weight")
        self.assertEqual([self.price([LIST, weight], {"quantity": "1", "unit": u}) for u in ("EA", "BX")], [10, 108])
        many = agreement("K", "contract", {"what_kind": "all", "what": None, "value": "9", "min_quantity": "10"}, tier_basis="family_order")
        self.assertEqual([one["unit_price"] for one in self.ask([LIST, many], {"quantity": "4"}, {"item": "B", "quantity": "6"})], [9, 9])
        many = dict(many, tier_basis="item_order")
        self.assertEqual([one["unit_price"] for one in self.ask([LIST, many], {"quantity": "4"}, {"item": "B", "quantity": "6"}, {"quantity": "6"})], [9, 20, 9])
        period = agreement("K", "contract", {"value": "9", "min_quantity": "10"}, tier_basis="period")
        self.assertEqual([self.price([LIST, period], {"quantity": q}, used={"K": (F(6), F(0))}) for q in ("3", "4")], [10, 9])

    def test_incremental_tiers(self):
        """12 units: 1 below the lowest tier and 3 up to 5 at 10, then up to 10 at 9, then 2 at 8: (5 × 10 + 5 × 9 + 2 × 8) / 12."""
        tiers = agreement("LIST", "list", {"value": "10", "min_quantity": "2"}, {"value": "9", "min_quantity": "5"}, {"value": "8", "min_quantity": "10"}, tier_mode="incremental")
        self.assertEqual(self.price([tiers], {"quantity": "12"}), F("9.25"))
        period = dict(tiers, tier_basis="period")
        self.assertEqual(self.price([period], {"quantity": "4"}, used={"LIST": (F(8), F(0))}), F("8.5"))

    def test_merge_takes_higher_tiers_of_the_list(self):
        ladder = agreement("LIST", "list", {"value": "10"}, {"value": "6", "min_quantity": "100"})
        flat = agreement("K", "contract", {"value": "9"}, tier_scope="merge")
        self.assertEqual([self.price([ladder, flat], {"quantity": q}) for q in ("99", "100")], [9, 6])
        one = self.ask([ladder, flat], {"quantity": "100"})[0]
        self.assertEqual((one["agreement"], one["steps"][-1]["merged"]), ("LIST", True))

    def test_what_is_rejected(self):
        for reason, change, head in (
                ("not_started", {}, {"valid_from": "2021-01-01"}), ("ended", {}, {"valid_to": "2020-05-31"}), ("other_company", {}, {"company": "CA"}),
                ("rate_not_valid", {"valid_from": "2020-07-01T00:00:00Z"}, {}), ("channel", {"channel": "WEB"}, {}), ("site", {"site": "S1"}, {}), ("unit", {"unit": "KG"}, {}),
                ("condition", {"condition": {"tier": "gold"}}, {})):
            one = self.ask([agreement("L", "list", dict(change, value="1"), **head)])[0]
            self.assertEqual((one["outcome"], one["code"], self.losers(one)), ("no_price", reason, [("L", "1", reason)]))
        self.assertEqual(self.price([]), "no_rate")
        self.assertEqual(self.price([agreement("L", "list", {"condition": {"tier": "gold"}, "value": "1"})], context={"tier": "gold", "x": 1}), 1)

    def test_commitments(self):
        capped = agreement("K", "contract", {"value": "8"}, commit_quantity="10")
        self.assertEqual([self.price([LIST, capped], {"quantity": q}, used={"K": (F(6), F(0))}) for q in ("4", "5")], [8, 10])
        warns = self.ask([LIST, dict(capped, cap_behavior="warn")], {"quantity": "5"}, used={"K": (F(6), F(0))})[0]
        self.assertEqual((warns["unit_price"], warns["code"]), (8, "over_commitment"))

    def test_ties(self):
        one, two = agreement("B1", "book", {"value": "9"}), agreement("B2", "book", {"value": "8"})
        self.assertEqual(self.ask([LIST, one, two])[0]["agreement"], "B2")
        self.assertEqual(self.price([LIST, one, two], policy={"tie": "error"}), "ambiguous")
        self.assertEqual(self.price([LIST, dict(one, priority=1), two], policy={"tie": "error"}), 9)

    def test_best_price(self):
        best = {"slots": slots(book={"pick": "best"})}
        one = agreement("B1", "book", {"value": "9"}, {"what_kind": "all", "what": None, "value": "7"})
        self.assertEqual(self.price([LIST, one, agreement("B2", "book", {"value": "8"})], policy=best), 8)

    def test_blocking_lists(self):
        """A list that blocks stands alone, unless an earlier one names the item."""
        policy = {"slots": slots(book={"blocking": True, "pick": "best"})}
        books = {rank: agreement(f"B{rank}", "book", {"value": str(10 - rank)}, assignments=[{"who_kind": "all", "rank": rank, "blocking": rank == 2}]) for rank in (1, 2, 3)}
        one = self.ask([LIST, books[2], books[3]], policy=policy)[0]
        self.assertEqual((one["unit_price"], self.losers(one)), (8, [("B3", "1", "blocked")]))
        one = self.ask([LIST, books[1], books[2], books[3]], policy=policy)[0]
        self.assertEqual((one["unit_price"], self.losers(one)), (7, [("B1", "1", "outranked"), ("B2", "1", "blocked")]))

    def test_promotions(self):
        contract, promotion = agreement("K", "contract", {"value": "8"}), agreement("P", "promotion", {"value": "9"})
        self.assertEqual(self.losers(self.ask([LIST, contract, promotion])[0]), [("P", "1", "not_lower")])
        lower = agreement("P", "promotion", {"calc": "percent_off", "value": "50"})
        self.assertEqual(self.price([LIST, contract, lower]), 5)
        self.assertEqual(self.price([LIST, dict(contract, combine="exclusive"), lower]), 8)
        self.assertEqual(self.price([LIST, contract, lower], {"quantity": "-2"}), 8)
        self.assertEqual(self.price([LIST, contract, lower], without=["promotion"]), 8)
        on_top = agreement("P2", "promotion", {"calc": "percent_off", "value": "10"}, combine="compound")
        self.assertEqual(self.price([LIST, contract, lower, on_top]), F("4.5"))
        self.assertEqual(self.price([LIST, contract, dict(lower, combine="exclusive"), on_top]), 5)

    def test_stacking(self):
        def off(code, value, combine, group=""):
            return agreement(code, "adjustment", {"calc": "percent_off", "value": value}, combine=combine, stack_group=group)
        self.assertEqual(self.price([LIST, off("A1", "20", "additive"), off("A2", "10", "additive")]), 7)
        self.assertEqual(self.price([LIST, off("A1", "20", "compound"), off("A2", "10", "compound")]), F("7.2"))
        self.assertEqual(self.price([LIST, off("A1", "5", "best"), off("A2", "10", "best")]), 9)
        self.assertEqual(self.price([LIST, off("A1", "5", "override"), off("A2", "10", "override")]), 9)
        self.assertEqual(self.price([LIST, off("A1", "20", "additive", "a"), off("A2", "50", "compound", "b"), off("A3", "-10", "always", "a")]), F("4.4"))
        one = self.ask([LIST, off("A1", "20", "exclusive"), off("A2", "30", "additive"), off("A3", "50", "always")])[0]
        self.assertEqual((one["unit_price"], self.losers(one)), (4, [("A2", "1", "excluded")]))
        self.assertEqual(self.price([off("A1", "20", "additive")]), "no_base_price")
        self.assertEqual(self.price([LIST, off("A1", "60", "additive"), off("A2", "60", "additive")]), 0)

    def test_free_goods(self):
        """For each full 10 one is free: of 25, 2 full elevens give 2 free; 10 × 23 / 25. Of another item, 2."""
        one = self.ask([LIST, agreement("P", "promotion", {"calc": "buy_get", "value": "10", "value2": "1"})], {"quantity": "25"})[0]
        self.assertEqual(one["unit_price"], F("9.2"))
        one = self.ask([LIST, agreement("P", "promotion", {"calc": "buy_get", "value": "10", "value2": "1", "free_item": "B"})], {"quantity": "25"})[0]
        self.assertEqual((one["unit_price"], one["free_goods"]), (10, [("B", 2)]))

    def test_locks(self):
        lock = [("price_lock", [{"customer": "KID", "document_type": "quote", "document_key": "Q", "item": "A", "unit": "EA", "min_quantity": m, "unit_price": p, "currency": "USD",
                                 "valid_from": "2020-01-01T00:00:00Z", "valid_to": "2020-06-02T00:00:00Z"} for m, p in (("0", "3"), ("5", "2"))])]
        one = self.ask([agreement("LIST", "list", {"value": "10", "floor_price": "9"})], {"quantity": "6"}, more=lock, document_key="Q")[0]
        self.assertEqual((one["unit_price"], one["code"], one["valid_until"]), (2, "locked", instant("2020-06-02T00:00:00Z")))
        self.assertEqual(self.price([LIST], {"quantity": "4"}, more=lock, document_key="Q"), 3)
        self.assertEqual(self.price([LIST], more=lock, document_key="Q", at="2020-06-02"), 10)
        self.assertEqual(self.price([], more=lock, document_key="Q"), 3)

    def test_guard(self):
        def guard(**limits):
            more = {"on_breach": limits.pop("on_breach", "clamp")}
            return agreement("G", "guard", dict(limits, value="0"), **more)
        cheap = agreement("K", "contract", {"value": "5"})
        for limits, wanted in (({"floor_price": "7"}, (7, "at_floor")), ({"floor_price": "96", "unit": "BX"}, (8, "at_floor")), ({"min_margin": "0.25"}, (8, "at_floor")),
                               ({"floor_price": "7", "on_breach": "flag"}, (5, "below_floor")), ({"ceiling_price": "4"}, (4, "at_ceiling")), ({"ceiling_price": "4", "floor_price": "6"}, (6, "at_floor")),
                               ({"ceiling_price": "4", "on_breach": "flag"}, (5, "above_ceiling")), ({"floor_price": "5"}, (5, "ok"))):
            one = self.ask([LIST, cheap, guard(**limits)])[0]
            self.assertEqual((one["unit_price"], one["code"]), wanted, limits)
        self.assertEqual(self.price([LIST, agreement("K", "contract", {"value": "5"}, rounding="CHARM"), guard(floor_price="7.5")]), F("7.99"))

    def test_rounding(self):
        def rule(mode, scale=2, **more):
            return dict({"mode": mode, "scale": scale}, **{k: F(v) for k, v in more.items()})
        for price, how, wanted in (("1.005", rule("half_up"), "1.01"), ("1.005", rule("half_even"), "1"), ("1.015", rule("half_even"), "1.02"), ("1.001", rule("up"), "1.01"), ("1.009", rule("down"), "1"),
                                   ("1.13", rule("half_up", multiple="0.05"), "1.15"), ("1.125", rule("half_even", multiple="0.05"), "1.1"), ("4.30", rule("half_up", ending="0.99"), "3.99"),
                                   ("4.49", rule("half_up", ending="0.99"), "4.99"), ("4.98", rule("down", ending="0.99"), "3.99"), ("4.01", rule("up", ending="0.99", multiple="10"), "10.99"),
                                   ("0.5", rule("down", ending="0.99"), "0.99")):
            self.assertEqual(round_price(F(price), how), F(wanted), (price, how))

    def test_each_step(self):
        """1.10 − 5 % = 1.045 → 1.05, − 5 % = 0.9975 → 1.00; rounded once at the end 0.99275 is 0.99."""
        cut = [agreement("LIST", "list", {"value": "1.10"})] + [agreement(f"A{n}", "adjustment", {"calc": "percent_off", "value": "5"}, combine="compound") for n in (1, 2)]
        rules = [{"rounding": {"scale": 2, "mode": "half_up", "each_step": each}} for each in (True, False)]
        self.assertEqual([self.price(cut, policy=rule) for rule in rules], [F("1.00"), F("0.99")])

    def test_order_discount_adds_up(self):
        """10 % of 10.00 + 20.00 + 0.01: 3.00, as 1.00 + 2.00 + 0.00; three equal lines share 0.01 by place."""
        off = agreement("O", "order", {"what_kind": "all", "what": None, "calc": "percent_off", "value": "10", "min_quantity": "30"}, tier_measure="amount")
        lines = self.ask([LIST, off], {}, {"item": "B"})
        self.assertEqual([one["net_amount"] for one in lines], [9, 18])
        self.assertEqual([one["net_amount"] for one in self.ask([LIST, off], {})], [10])
        cent = agreement("O", "order", {"what_kind": "all", "what": None, "calc": "amount_off", "value": "0.01"}, tier_measure="amount")
        self.assertEqual([one["net_amount"] for one in self.ask([LIST, cent], {}, {}, {})], [F("9.99"), 10, 10])
        self.assertEqual(allocate(F("0.05"), [F(1), F(1), F(1)], 2), [F("0.02"), F("0.02"), F("0.01")])
        self.assertEqual(allocate(F("-0.01"), [F(1), F(2)], 2), [F(0), F("-0.01")])
        self.assertEqual([one["net_amount"] for one in self.ask([LIST, off], {}, {"item": "B"}, without=["order"])], [10, 20])

    def test_price_dates(self):
        new = agreement("K", "contract", {"value": "8"}, price_date="ship", valid_from="2020-07-01")
        self.assertEqual([self.price([LIST, new]), self.price([LIST, new], ship="2020-07-01T00:00:00Z")], [10, 8])

    def test_what_was_known(self):
        later = [("agreement", [agreement("LIST", "list", {"value": "12"}, valid_from="2020-01-01T00:00:00Z", valid_to="2021-01-01T00:00:00Z")]),
                 ("party", [{"code": "KID", "groups": [], "parent": None}])]
        self.assertEqual([self.price([LIST], later=later, phase=p) for p in (0, 1, None)], [10, 12, 12])
        self.assertEqual([self.price([LIST], later=later, at=at) for at in ("2019-12-31", "2020-01-01", "2021-01-01")], [10, 12, 10])
        group = agreement("K", "contract", {"value": "7"}, assignments=[{"who_kind": "buying_group", "who": "GRP"}])
        self.assertEqual([self.price([LIST, group], later=later, at=at, phase=p) for at, p in (("2020-01-01", None), ("2070-01-01", 0), ("2070-01-01", 1))], [7, 7, 10])
        parent = agreement("K", "contract", {"customer": "MAMA", "value": "7"})
        self.assertEqual([self.price([LIST, parent], later=later, at=at, phase=p) for at, p in (("2020-01-01", None), ("2070-01-01", 0), ("2070-01-01", 1))], [7, 7, 10])
        self.assertEqual(self.ask([LIST, parent], later=later, phase=0)[0]["valid_until"], None)
        self.assertEqual(self.ask([LIST, parent], later=later)[0]["valid_until"], instant("2021-01-01") if told(1) > instant("2021-01-01") else told(1))

    def test_valid_until(self):
        soon = agreement("K", "contract", {"value": "9"}, {"value": "5", "site": "S9", "valid_from": "2020-08-01T00:00:00Z"}, valid_from="2020-09-01")
        self.assertEqual(self.ask([LIST, soon])[0]["valid_until"], instant("2020-08-01"))
        gone = agreement("K", "contract", {"value": "9", "valid_to": "2021-01-01T00:00:00Z"}, valid_to="2020-05-01")
        self.assertIsNone(self.ask([LIST, gone])[0]["valid_until"])

    def test_sell_multiple(self):
        self.assertEqual([self.ask([LIST], {"unit": "SX", "quantity": q})[0]["code"] for q in ("2", "3")], ["ok", "sell_multiple"])

    def test_contains(self):
        for outer, inner, wanted in (({"a": [1, 2]}, {"a": [2]}, True), ({"a": [1]}, {"a": 1}, False), ([1], 1, True), ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, True), ({}, {"a": None}, False),
                                     ({"a": None}, {"a": None}, True), ({"a": True}, {"a": 1}, False), ({}, {}, True)):
            self.assertEqual(contains(outer, inner), wanted, (outer, inner))

    def test_worlds_are_the_same_by_any_name_and_order(self):
        """The generator and the oracle: another prefix, documents shuffled, the same answers."""
        for seed in range(6):
            answers = []
            for prefix in ("W-", "QQ-"):
                case = Case(seed, Names(prefix))
                world = read(case.phases if prefix == "W-" else case.shuffled(random.Random(seed)), case.used)
                answers.append([(a["code"], a["unit_price"], a["net_amount"], a["valid_until"]) for q in Questions(case, world).many(60)
                                for a in prices(world, policies(random.Random(1))[seed], asked(q))])
            self.assertEqual(*answers)


if __name__ == "__main__":
    unittest.main()
