"""The feed of price changes against brute force: in random worlds everything is priced, something is written or time goes by, everything
is priced again, and every price that differs must be covered by a row of price_changes().

SEED=n asks in other worlds, WORLDS=n in that many, WORLD=n in one only.
"""
import copy
from datetime import datetime, timezone
import random
import unittest

from pricing_cases import Case
from pricing_database import SOURCE, exact, literal, load_script, psql
from pricing_test import ONLY, PricesTest, count, seed, worlds
from pricing_world import DAY, microseconds, text_of

SEED = seed()
WORLDS = count("WORLDS", 12)


def midnight(day):
    return microseconds(datetime(day.year, day.month, day.day, tzinfo=timezone.utc))


class Names:
    """What means a buyer and an item, by the documents, before and after a step together."""

    def __init__(self, case):
        self.parties, self.items, self.categories = {}, {}, {}
        for entity, many in case.first:
            for document in many:
                self.take(entity, document)

    def take(self, entity, document):
        kept = {"party": (self.parties, "code"), "item": (self.items, "sku"), "category": (self.categories, "code")}.get(entity)
        if kept:
            held = kept[0].setdefault(document[kept[1]], {})
            held.update(document)

    def chain(self, code, table, link):
        found = []
        while code:
            found.append(code)
            code = table[code].get(link)
        return found

    def buyer(self, customer, options):
        """Pairs (who_kind, who) that mean this buyer in these options."""
        above = self.chain(customer, self.parties, "parent")
        there = above + [options[k] for k in ("ship_to", "job") if k in options]
        found = {("all", ""), ("customer", customer), ("price_class", self.parties[customer].get("price_class"))}
        found |= {("party", code) for code in there} | {("parent", code) for code in above[1:]} | {(k, options[k]) for k in ("channel", "ship_to", "job") if k in options}
        return found | {(g["kind"], g["code"]) for code in there for g in self.parties[code].get("groups") or ()}

    def item(self, sku):
        """Pairs (what_kind, what) that mean this item."""
        d = self.items[sku]
        found = {("all", ""), ("item", sku)} | {(k, d[k]) for k in ("brand", "family", "vendor") if d.get(k)}
        found |= {("variant_parent", code) for code in self.chain(d.get("variant_of"), self.items, "variant_of")}
        return found | {("category", code) for code in self.chain(d.get("category"), self.categories, "parent")}


def option_sets(case):
    return [{"company": case.companies[0]}, {"company": case.companies[0], "channel": case.channels[0], "currency": case.money[1]},
            {"company": case.companies[1], "ship_to": case.ship_tos[0], "job": case.jobs[0], "site": case.sites[0], "context": {"tier": "gold"}, "channel": case.channels[1], "tax_rates": {"T1": "20", "T2": "7.5"}}]


def steps(case):
    """What is written, one after the other: the corrections of the world, each for itself, and changes that leave no trace of the past."""
    rng, n = case.rng, case.names
    found = [(entity, document) for entity, many in case.later for document in many]
    found += [("party", {"code": rng.choice(case.customers), "price_class": rng.choice((None, n("P1"), n("P2")))}), ("party", {"code": rng.choice(case.customers), "currency": rng.choice(case.money)}),
              ("party", {"code": case.ship_tos[0], "groups": case.group_list()}), ("item", {"sku": rng.choice(case.skus), "weight": "2.5"}), ("item", {"sku": rng.choice(case.skus), "family": n("F2")}),
              ("category", {"code": n("K3"), "parent": rng.choice((None, n("K4")))}), ("item", {"sku": case.skus[0], "units": [dict(u, numerator=u["numerator"] + 1) for u in case.items[case.skus[0]]["units"]]}),
              ("party", {"code": n("NEW"), "name": "new", "parent": case.customers[0], "roles": ["sold_to"]}), ("item", {"sku": n("NEWI"), "base_unit": "EA", "category": n("K3")})]
    for code in rng.sample(sorted(case.heads), 4):
        found += [("agreement", {"code": code, "status": "inactive"}), ("agreement", {"code": code, "status": "active"})]
    rng.shuffle(found)
    return found


class Script:
    """What one psql session does: it prices everything, writes a step, prices everything again, and says what differs and what the feed says."""

    def __init__(self, case, times):
        self.case, self.times, self.options = case, times, option_sets(case)
        self.text = load_script([case.first], case.used, case.names, f"distsync.prices({literal(case.customers[0])}, {literal([{'item': case.skus[0]}])}, NULL, {literal(self.options[0])})")

    def stamp(self, name):
        self.text += f"SELECT to_jsonb(stamped_at) #>> '{{}}' AS k{name} FROM dist.epoch WHERE domain = 'clock'\n\\gset\n"

    def sheet(self, name, times):
        """A table of all prices, each line asked alone."""
        case = self.case
        self.text += (f"CREATE TEMP TABLE sheet{name} AS SELECT p.code AS customer, i.sku AS item, t AS at, o.n AS options, r.outcome, r.unit_price, r.price_per, r.currency, r.unit "
                      f"FROM dist.party p, dist.item i, unnest(ARRAY[{','.join(literal(text_of(t)) for t in times)}]::timestamptz[]) t, jsonb_array_elements({literal(self.options)}::jsonb) WITH ORDINALITY o(o, n), "
                      "LATERAL distsync.price(p.code, i.sku, CASE WHEN i.sku LIKE '%I2' THEN 12 ELSE 1 END, NULL, t, o.o) r "
                      f"WHERE p.code = ANY ({literal('{' + ','.join(case.customers) + '}')}) AND i.sku = ANY ({literal('{' + ','.join(case.skus) + '}')});\n")

    def compare(self, name, one, other, same_instant, since, options):
        same = "a.at = b.at" if same_instant else "true"
        self.text += (f"\\echo @@differ {name}\nSELECT json_build_array(a.customer, a.item, a.options, a.at, a.outcome, a.unit_price, b.at, b.outcome, b.unit_price) "
                      f"FROM sheet{one} a JOIN sheet{other} b USING (customer, item, options) WHERE {same} AND (a.outcome, a.unit_price, a.price_per, a.currency, a.unit) "
                      "IS DISTINCT FROM (b.outcome, b.unit_price, b.price_per, b.currency, b.unit) ORDER BY a.customer, a.item, a.options, a.at;\n"
                      f"\\echo @@rows {name}\nSELECT to_jsonb(c) FROM distsync.price_changes(:'k{since}', {literal(dict(options, limit=100000))}) c;\n")

    def step(self, n, entity, document):
        self.text += f"\\echo @@step {n}\nSELECT outcome FROM distsync.apply_all('{entity}', {literal([document])}, '{SOURCE}') WHERE outcome NOT IN ('applied', 'unchanged');\n"
        self.stamp(n)
        self.sheet(n, self.times)
        self.compare(n, n - 1, n, True, n - 1, {})
        self.text += f"DROP TABLE sheet{n - 1};\n"

    def pieces(self):
        """The whole feed at once, and a few rows at a time: what is in one and not in the other."""
        whole = "SELECT (to_jsonb(c) - 'position')::text FROM distsync.price_changes(:'k0', '{\"until\":\"2090-01-01\",\"limit\":100000}') c"
        self.text += ("CREATE FUNCTION pg_temp.pieces(since timestamptz) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE place text; row record; n integer; BEGIN LOOP n := 0; "
                      "FOR row IN SELECT * FROM distsync.price_changes(since, jsonb_strip_nulls(jsonb_build_object('until', '2090-01-01', 'limit', 3, 'after', place))) LOOP "
                      "n := n + 1; RETURN NEXT (to_jsonb(row) - 'position')::text; place := row.position; END LOOP; EXIT WHEN n = 0; END LOOP; END $$;\n"
                      f"\\echo @@pieces\nSELECT count(*) FROM (({whole} EXCEPT ALL SELECT * FROM pg_temp.pieces(:'k0')) UNION ALL (SELECT * FROM pg_temp.pieces(:'k0') EXCEPT ALL {whole})) d;\n")

    def play(self, written, later):
        self.stamp(0)
        self.sheet(0, self.times)
        for n, (entity, document) in enumerate(written, 1):
            self.step(n, entity, document)
        for n, (low, high) in enumerate(zip(later, later[1:])):
            self.sheet(f"a{n}", [low])
            self.sheet(f"b{n}", [high])
            self.compare(f"time {n}", f"a{n}", f"b{n}", False, len(written), {"as_of": text_of(low), "until": text_of(high)})
        self.pieces()
        self.text += (f"\\echo @@forget\nSELECT outcome FROM distsync.apply_all('agreement', {literal([{'code': code, 'status': 'inactive'} for code in self.case.heads])}, '{SOURCE}') "
                      "WHERE outcome NOT IN ('applied', 'unchanged');\n")
        return psql(self.text)


class Feed(PricesTest):
    seed = SEED

    def uncovered(self, lines, rows, states, options):
        """The differences that no row covers. What meant a buyer or an item in any state counts: prices are asked for instants of then, too."""
        pairs = {((row["who_kind"], row["who"]), (row["what_kind"], row["what"])) for row in rows}
        buyers, items, found = {}, {}, []
        for line in lines:
            customer, item, place = line[:3]
            if (customer, place) not in buyers:
                buyers[customer, place] = set().union(*[state.buyer(customer, options[place - 1]) for state in states])
            if item not in items:
                items[item] = set().union(*[state.item(item) for state in states])
            if not any(who in buyers[customer, place] and what in items[item] for who, what in pairs):
                found.append(line)
        return found

    def states(self, case, written):
        """The documents as they were before the first step and after each."""
        found = [Names(case)]
        for step in written:
            found.append(copy.deepcopy(found[-1]))
            found[-1].take(*step)
        return found

    def test_every_difference_is_covered(self):
        differences, left_out, boundaries = 0, 0, 0
        for world in worlds(WORLDS):
            self.policy_of(world)
            case = Case(f"{SEED} feed {world}", next(self.names))
            written, options, edges = steps(case), option_sets(case), [midnight(day) for day in case.pivots]
            later = sorted({e + d for e in edges[3:] for d in (-DAY, -1, 0, DAY)})
            parts = Script(case, [edges[0], edges[2] - 1, edges[2] + 1, edges[3] + DAY, edges[4] + 1]).play(written, later)
            wrong = [f"{name}: {line}" for name, lines in parts.items() for line in lines if line.startswith("ERROR") or name.startswith(("step", "forget"))]
            self.assertEqual(wrong, [], f"SEED={SEED} WORLD={world}")
            states, everything = self.states(case, written), [[c, i, 1] for c in case.customers for i in case.skus]
            for n, (entity, document) in enumerate(written, 1):
                lines, rows = [exact(line) for line in parts[f"differ {n}"]], [exact(line) for line in parts[f"rows {n}"]]
                differences += len(lines)
                self.assertEqual(self.uncovered(lines, rows, states[:n + 1], options)[:3], [], f"SEED={SEED} WORLD={world} step {n}: {entity} {document}\nrows {parts[f'rows {n}'][:20]}")
                left_out += len(self.uncovered(everything, rows, states[n:n + 1], options)) if rows else 0
            for n in range(len(later) - 1):
                lines, rows = [exact(line) for line in parts[f"differ time {n}"]], [exact(line) for line in parts[f"rows time {n}"]]
                self.assertEqual([row for row in rows if row["kind"] != "boundary"], [])
                boundaries += len(lines)
                self.assertEqual(self.uncovered(lines, rows, states[-1:], options)[:3], [], f"SEED={SEED} WORLD={world} from {text_of(later[n])} to {text_of(later[n + 1])}\nrows {parts[f'rows time {n}'][:20]}")
            self.assertEqual(parts["pieces"], ["0"], f"SEED={SEED} WORLD={world}: pieces are not the whole")
        self.assertTrue(ONLY or differences and left_out and boundaries, (differences, left_out, boundaries))
        print(f"{differences} prices moved by writes, {boundaries} by time; {left_out} pairs named by nobody", flush=True)


if __name__ == "__main__":
    unittest.main()
