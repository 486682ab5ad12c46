"""What must be true of availability whatever is known: random items at two sites, told of by both truths or by one, with supply, demand, promises, rules and
movements in flight. To each something happens, in a transaction that is rolled back, and what was said before and after is compared.

The numbers are those of the reference, section 4.7; test/README.md says where the others are proved. SEED=n repeats a run, CASES=n does so many items.
"""
import os
import random
import unittest

from test_inventory import BROKEN, events, literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
CASES = int(os.environ.get("CASES") or 40)
SITES = ("LAW-S1", "LAW-S2")
# what is said of an item: at each site and over both, now and later, as one truth and as both
SAID = """CREATE TEMP TABLE {name} AS SELECT s.code, w.t, m.mode, a.atp, a.projected, a.atp_book, a.atp_phys, a.on_hand FROM (VALUES ('LAW-S1'), ('LAW-S2'), (NULL)) s(code),
    (VALUES (NULL::timestamptz), (now() + interval '1 day'), (now() + interval '3 days'), (now() + interval '9 days')) w(t), (VALUES ('conservative'), ('physical'), ('book')) m(mode),
    distsync.atp('{sku}', 1, NULL, s.code, w.t, jsonb_build_object('mode', m.mode)) a;
"""
WHERE = "FROM before b JOIN after a ON a.mode = b.mode AND a.code IS NOT DISTINCT FROM b.code AND a.t IS NOT DISTINCT FROM b.t WHERE "
TOLD = "SELECT b.mode, b.code, b.t, b.atp, a.atp, b.projected, a.projected "


class Laws(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        cls.rng = random.Random(SEED)
        psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\nSELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\n"
             "SELECT outcome FROM distsync.apply_all('unit', '[{\"unit\":\"EA\"},{\"unit\":\"LAW-CS\"},{\"unit\":\"LAW-TH\"}]', 'distsync');\nSELECT outcome FROM distsync.apply('company', '{\"code\":\"PROP\",\"name\":\"p\",\"currency\":\"USD\"}', 'distsync');\n"
             f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': code, 'name': 's', 'company': 'PROP', 'rank': rank} for rank, code in enumerate(SITES)])}, 'distsync');\n")
        out = psql("".join(cls.item(f"LAW-{n}") for n in range(CASES)) + f"SELECT outcome FROM distsync.apply_all('item', {literal([cls.kit(n) for n in range(0, CASES - 1, 4)])}, 'distsync');\n")
        assert not [line for line in out if "ERROR" in line or line == "rejected"], out

    @classmethod
    def kit(cls, n):
        return {"sku": f"LAW-K{n}", "base_unit": "EA", "kit": True, "components": [{"sku": f"LAW-{n}", "quantity": cls.rng.choice((1, 2, 3))}, {"sku": f"LAW-{n + 1}", "quantity": cls.rng.choice((1, 2))}]}

    @classmethod
    def item(cls, sku):
        """A random item, told in any order."""
        rng, parts = cls.rng, []
        units = [{"unit": "LAW-CS", "numerator": 12, "denominator": 1}, {"unit": "LAW-TH", "numerator": 1, "denominator": 8}]
        for site in SITES:
            key = {"sku": sku, "site": site}
            speak = rng.choice((("prop-wms",), ("prop-erp",), ("prop-wms", "prop-erp"), ("prop-wms", "prop-erp"), ()))
            parts += [events([dict(key, event_id=f"{sku}{site}", kind="count", quantity=rng.choice((0, 3, 10, 25.5, 99.99)), event_at="2024-01-01T00:00:00Z")], source) for source in speak]
            parts += [events([dict(key, event_id=f"{sku}{site}m{n}", kind=rng.choice(("ship", "receive")), quantity=rng.choice((1, 4)), reference=f"{sku}{site}R{n}", event_at="2024-01-02T00:00:00Z")], source)
                      for source in speak for n in range(3) if rng.random() < .4]
            for n in range(rng.randrange(3)):
                parts.append(f"SELECT outcome FROM distsync.apply('supply', {literal(dict(key, kind='purchase', reference=f'{sku}{site}{n}', quantity=rng.choice((1, 6, 20))))}::jsonb "
                             f"|| jsonb_build_object('expected_at', now() + interval '{rng.choice((-1, 1, 2, 5, 20))} days'), 'prop-erp');\n")
            for n in range(rng.randrange(3)):
                parts.append(f"SELECT outcome FROM distsync.apply('demand', {literal(dict(key, demand_key=f'PROP/{sku}/{n}', ordered=rng.choice((1, 2.5, 8))))}::jsonb "
                             f"|| jsonb_build_object('required_at', now() + interval '{rng.choice((-1, 1, 2, 5, 20))} days'), 'prop-erp');\n")
            if rng.random() < .3:
                parts.append(f"SELECT outcome FROM distsync.apply('item_site', {literal(dict(key, safety=rng.choice((0, 2)), backorder_cap=rng.choice((0, 3)), lead_days=rng.choice((None, None, 4))))}, 'prop-erp');\n")
        rng.shuffle(parts)
        parts.append(f"SELECT count(*) FROM distsync.reserve({literal([{'item': sku, 'quantity': rng.choice((1, 2)), 'demand_key': f'PROP/{sku}/9'}])}, {literal({'mode': 'take_up_to', 'commit': rng.random() < .5, 'ttl': '1 day'})});\n")
        return f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA', 'units': units})}, 'distsync');\n" + "".join(parts)

    def compare(self, sku, act, wrong, columns=TOLD):
        """What an act may not do: rows that are wrong after it, with the numbers before and after."""
        self.assertEqual(psql("BEGIN;\n" + SAID.format(name="before", sku=sku) + act + SAID.format(name="after", sku=sku) + f"SELECT '---';\n{columns}{WHERE}{wrong};\nROLLBACK;\n")[-1], "---", (sku, act))

    def items(self):
        return [f"LAW-{n}" for n in range(CASES)]

    def test_more_demand_is_never_more_to_promise(self):
        """11: what may be promised does not grow with demand, nor shrink with supply; and the projection moves the same way."""
        for sku in self.items():
            key = {"sku": sku, "site": self.rng.choice(SITES)}
            soon = f"jsonb_build_object({{}}, now() + interval '{self.rng.choice((-1, 1, 4))} days')"
            self.compare(sku, f"SELECT outcome FROM distsync.apply('demand', {literal(dict(key, demand_key=f'PROP/{sku}/77', ordered=self.rng.choice((0.5, 3, 40))))}::jsonb || {soon.format(repr('required_at'))}, 'prop-erp');\n",
                         "a.atp > b.atp OR a.atp IS NULL AND b.atp IS NOT NULL OR a.projected > b.projected")
            self.compare(sku, f"SELECT outcome FROM distsync.apply('supply', {literal(dict(key, kind='purchase', reference=f'{sku}more', quantity=self.rng.choice((0.5, 3, 40))))}::jsonb || {soon.format(repr('expected_at'))}, 'prop-erp');\n",
                         "a.atp < b.atp OR a.atp IS NOT NULL AND b.atp IS NULL OR a.projected < b.projected")

    def test_never_more_than_is_projected(self):
        """11: no more may be promised than the projection and the allowance to go beyond it, and a timeline that goes on never has more before than what it falls to."""
        for sku in self.items():
            got = psql("BEGIN;\n" + SAID.format(name="before", sku=sku) + f"SELECT '---';\nSELECT b.* FROM before b JOIN dist.item i ON i.sku = '{sku}' CROSS JOIN LATERAL (SELECT COALESCE(sum(r.backorder_cap), 0) AS more FROM dist.item_site r JOIN dist.site s USING (site_id) "
                       "WHERE r.item_id = i.item_id AND (s.code = b.code OR b.code IS NULL)) r WHERE b.code IS NOT NULL AND b.atp > greatest(0, b.projected + r.more) OR b.atp < 0;\n"
                       f"SELECT t.moment, t.atp, u.moment, u.projected FROM unnest('{{LAW-S1,LAW-S2}}'::text[]) s, distsync.atp_timeline('{sku}', s) t, distsync.atp_timeline('{sku}', s) u "
                       f"WHERE NOT EXISTS (SELECT FROM dist.item_site r JOIN dist.item i USING (item_id) WHERE i.sku = '{sku}') AND u.moment > t.moment AND t.atp > greatest(0, u.projected);\nROLLBACK;\n")
            self.assertEqual(got[-1], "---", (sku, got))

    def test_conservative_is_never_more_than_either(self):
        """19: what both truths allow together is no more than what each allows alone, at a site."""
        for sku in self.items():
            got = psql("BEGIN;\n" + SAID.format(name="before", sku=sku) + "SELECT '---';\nSELECT c.*, o.* FROM before c JOIN before o ON o.code = c.code AND o.t IS NOT DISTINCT FROM c.t "
                       "WHERE c.mode = 'conservative' AND (c.atp > o.atp OR c.projected > o.projected OR c.t IS NULL AND (c.atp > c.atp_book OR c.atp > c.atp_phys OR c.atp <> LEAST(c.atp_book, c.atp_phys)));\nROLLBACK;\n")
            self.assertEqual(got[-1], "---", (sku, got))

    def test_shipping_changes_no_projection(self):
        """10: what is committed and ships was gone from the projection already, now and at every instant to come; and nothing more nor less may be promised."""
        for sku in self.items():
            self.compare(sku, "SELECT distsync_internal.inventory_ship(r.item_id, r.site_id, r.demand_key, r.quantity, '2024-02-01T00:00:00Z', 'prop-wms', 'law') FROM dist.reservation r JOIN dist.item i USING (item_id) "
                              f"WHERE i.sku = '{sku}' AND r.state IN ('held', 'committed');\n", "a.projected <> b.projected OR a.atp IS DISTINCT FROM b.atp")

    def test_explanations_add_up(self):
        """20: terms, own holds among them, add up to the number of their site, sites to the answer; of a kit the scarcest component decides."""
        for sku in self.items() + [f"LAW-K{n}" for n in range(0, CASES - 1, 4)]:
            options = self.rng.choice(({}, {"mode": "physical"}, {"mode": "book"}, {"use_safety": True}, {"holder": f"PROP/{sku}/9"}))
            for t in ("NULL", "now() + interval '2 days'"):
                got = psql(f"SELECT '---';\nSELECT e FROM distsync.explain_atp('{sku}', 3, NULL, NULL, {t}, {literal(options)}) e WHERE (e->'answer'->>'atp')::numeric <> "
                           "(SELECT COALESCE(sum((s->>'atp')::numeric), 0) FROM jsonb_array_elements(e->'sites') s) OR EXISTS (SELECT FROM jsonb_array_elements(e->'sites') s "
                           "WHERE s ? 'terms' AND (s->>'atp')::numeric <> (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(s->'terms') x)) OR EXISTS (SELECT FROM jsonb_array_elements(e->'sites') s "
                           "WHERE s ? 'components' AND ((s->>'atp')::numeric <> (SELECT min((c->>'kits')::numeric) FROM jsonb_array_elements(s->'components') c) OR EXISTS (SELECT FROM jsonb_array_elements(s->'components') c "
                           "WHERE (c->'why'->>'atp')::numeric <> (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(c->'why'->'terms') x))));\n")
                self.assertEqual(got[-1], "---", (sku, options, got))

    def test_nothing_is_lost_in_small_change(self):
        """18: what is left of a part is the rest to the last digit, in any unit, and giving it back restores it; promises in a unit come to the same in base units."""
        sku, key = "LAW-CHANGE", {"sku": "LAW-CHANGE", "site": "LAW-S1"}
        psql(f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA', 'units': [{'unit': 'LAW-CS', 'numerator': 12, 'denominator': 1}, {'unit': 'LAW-TH', 'numerator': 1, 'denominator': 8}]})}, 'distsync');\n"
             + events([dict(key, event_id="change", kind="count", quantity=100, event_at="2024-01-01T00:00:00Z")]))
        for quantity, unit, rest in ((99.99, "EA", "0.01"), (0.01, "EA", "99.99"), (8.333333, "LAW-CS", "0.000004"), (1, "LAW-TH", "99.875"), (799.999992, "LAW-TH", "0.000001"), (0.000008, "LAW-TH", "99.999999"), (0.5, "LAW-CS", "94")):
            got = psql(f"BEGIN;\nSELECT (r.detail->>'base_quantity')::numeric + {rest} = 100, r.quantity = {quantity}, r.unit FROM distsync.reserve({literal([dict(item=sku, quantity=quantity, unit=unit)])}, '{{\"holder\":\"change\"}}') r;\n"
                       f"SELECT atp FROM distsync.atp('{sku}');\nSELECT count(*) FROM distsync.release_reservations(NULL, '{{\"holder\":\"change\"}}');\nSELECT atp FROM distsync.atp('{sku}');\nROLLBACK;\n")
            self.assertEqual(got, [f"t|t|{unit}", rest, "1", "100"], (quantity, unit))
        # a balance told in any unit is the same in base units, and back
        for n in range(30):
            quantity = self.rng.choice((self.rng.randrange(1, 10**6), self.rng.randrange(1, 10**9) / 10**6))
            for unit, factor in (("EA", "1"), ("LAW-CS", "12"), ("LAW-TH", "0.125")):
                got = psql(f"BEGIN;\nSELECT outcome FROM distsync.apply('stock_event', {literal(dict(key, event_id=f'change{n}{unit}', kind='delta', quantity=f'{quantity:.6f}', unit=unit, event_at='2024-01-02T00:00:00Z'))}, 'prop-wms', NULL, '{{\"on_error\":\"collect\"}}');\n"
                           f"SELECT quantity - 100 = {quantity:.6f} * {factor} FROM dist.stock_balance JOIN dist.item USING (item_id) WHERE sku = '{sku}';\nROLLBACK;\n")
                # what does not come out even is refused, never rounded
                self.assertIn(got, (["applied", "t"], ["rejected", "f"]), (quantity, unit))
                self.assertEqual(got[0] == "rejected", unit == "LAW-TH" and round(quantity * 10**6) % 8 != 0, (quantity, unit))

    def test_release_is_no_more_than_held(self):
        """8, 9: what is committed and what is given back are the whole hold, whatever is asked for."""
        sku = "LAW-PARTS"
        psql(f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA'})}, 'distsync');\n" + events([{"event_id": "parts", "kind": "count", "sku": sku, "site": "LAW-S1", "quantity": 50, "event_at": "2024-01-01T00:00:00Z"}]))
        for _ in range(20):
            hold, part, again = self.rng.randrange(1, 50), self.rng.randrange(1, 60), self.rng.randrange(1, 60)
            got = psql(f"BEGIN;\nSELECT reservation_id AS id FROM distsync.reserve({literal([dict(item=sku, quantity=hold)])}, '{{\"holder\":\"parts\"}}') \\gset\n"
                       f"SAVEPOINT s;\nSELECT quantity, committed FROM distsync.commit_reservation(:id, {part}, '{{\"keep_rest\":true}}');\nROLLBACK TO s;\n"
                       f"SELECT quantity, committed FROM distsync.commit_reservation(:id, least({part}, {hold}), '{{\"keep_rest\":true}}');\nSAVEPOINT s;\nSELECT quantity FROM distsync.release_reservation(:id, {again});\nROLLBACK TO s;\n"
                       f"SELECT count(*) FROM distsync.release_reservations(NULL, '{{\"holder\":\"parts\"}}');\nSELECT held, committed, cap - held - committed FROM dist.stock_pool JOIN dist.item USING (item_id) WHERE sku = '{sku}';\nROLLBACK;\n")
            got = [line for line in got if not line.startswith(("DETAIL", "HINT", "CONTEXT", "LOCATION", "PL/pgSQL", "SQL"))]
            kept = min(part, hold)
            self.assertEqual("SD041" in got[0], part > hold, got)
            self.assertEqual(got[-1], f"0.000000|{kept}.000000|{50 - kept}.000000", (hold, part, got))

    def tearDown(self):
        self.assertEqual(psql(BROKEN + ";"), [])


if __name__ == "__main__":
    unittest.main()
