"""What availability, timeline, explanation and promise say of one question must be the same, in random worlds with companies, quotas, kits,
units, holds of one's own, lots that expire, promises for later dates, shortfalls and items that are blocked.

Neither is an oracle of the other's arithmetic (test_inventory_rules.py is): this is about what only one of them knew.
SEED=n repeats a run, WORLD=n plays one world, WORLDS=n (or TIMES=n as many as usual) says how many.
"""
import os
import random
import unittest

from test_inventory import BROKEN, events, literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
WORLDS = int(os.environ.get("WORLDS") or 12 * int(os.environ.get("TIMES") or 1))
SITES = ("AGR-A1", "AGR-A2", "AGR-B1", "AGR-V")
PARTIES = ("AGR-TOP", "AGR-C", "AGR-D")
HOLDERS = ("agr-1", "agr-2", "agr-3")
LATER = ("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z", "2999-01-05T00:00:00Z")

# each law is a function that answers nothing where it holds; what it tries is put back
LAWS = r"""
CREATE FUNCTION pg_temp.near(a timestamptz, b timestamptz) RETURNS boolean LANGUAGE sql AS $$ SELECT a IS NULL AND b IS NULL OR a IS NOT NULL AND b IS NOT NULL AND a - b BETWEEN '-5 minutes' AND '5 minutes' $$;
-- a promise of what a vendor ships itself is one for a later date, not from stock
CREATE FUNCTION pg_temp.later(id text) RETURNS boolean LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM dist.reservation r WHERE r.reservation_id = id::bigint AND r.kind IN ('planned', 'inbound')) $$;
-- what may be promised is what is promised to who wants everything, to the last digit
CREATE FUNCTION pg_temp.all_of_it(item text, unit text, site text, o jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a record; got numeric; rows jsonb;
BEGIN
    SELECT * INTO a FROM distsync.atp(item, 1, unit, site, NULL, o);
    BEGIN
        SELECT jsonb_agg(to_jsonb(r)) INTO rows FROM distsync.reserve(jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', item, 'quantity', 900000, 'unit', unit, 'site', site))), o || '{"mode":"take_up_to","take_over":false}') r;
        got := (SELECT COALESCE(sum((r->>'quantity')::numeric) FILTER (WHERE r->>'outcome' <> 'short' AND NOT pg_temp.later(r->>'reservation_id')), 0) FROM jsonb_array_elements(rows) r);
        RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = 'back';
    EXCEPTION WHEN SQLSTATE 'XX999' THEN NULL; WHEN SQLSTATE 'SD044' THEN got := 0;
    END;
    RETURN CASE WHEN a.atp <> got THEN format('atp %s, promised %s: %s', a, got, rows) END;
END $$;
-- a quantity is available exactly where it is promised from stock, and otherwise both foresee it at the same instant; what a vendor ships itself is not promised before that
CREATE FUNCTION pg_temp.that_much(item text, q numeric, unit text, site text, o jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a record; rows jsonb; outcome text := 'short'; later timestamptz;
BEGIN
    SELECT * INTO a FROM distsync.atp(item, q, unit, site, NULL, o);
    BEGIN
        SELECT jsonb_agg(to_jsonb(r)) INTO rows FROM distsync.reserve(jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', item, 'quantity', q, 'unit', unit, 'site', site))), o || '{"take_over":false}') r;
        SELECT CASE WHEN bool_or(pg_temp.later(r->>'reservation_id')) THEN 'dropped' ELSE min(r->>'outcome') END, max(COALESCE(r->'detail'->>'available_at', r->'detail'->>'promised_at')::timestamptz) INTO outcome, later FROM jsonb_array_elements(rows) r;
        RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = 'back';
    EXCEPTION WHEN SQLSTATE 'XX999' OR SQLSTATE 'SD044' THEN NULL;
    END;
    RETURN CASE WHEN (a.outcome = 'available') <> (outcome = 'reserved') OR outcome = 'short' AND NOT pg_temp.near(a.available_at, later) OR outcome = 'dropped' AND NOT a.available_at <= later + interval '5 minutes' THEN format('atp %s, reserve %s', a, rows) END;
END $$;
-- a timeline says at each of its instants what is said of that instant
CREATE FUNCTION pg_temp.each_instant(item text, site text, o jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT format('timeline %s, atp %s', t, a) FROM distsync.atp_timeline(item, site, NULL, o) t, distsync.atp(item, 1, NULL, site, t.moment, o) a WHERE (t.atp, t.projected) IS DISTINCT FROM (a.atp, a.projected) ORDER BY t.moment LIMIT 1 $$;
-- whose holds do not count is answered as if he had given them back
CREATE FUNCTION pg_temp.given_back(item text, site text, holder text, o jsonb, t timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a record; b record;
BEGIN
    SELECT x.atp, x.projected, x.atp_book, x.atp_phys, x.outcome, x.basis INTO a FROM distsync.atp(item, 5, NULL, site, t, o || jsonb_build_object('holder', holder)) x;
    BEGIN
        PERFORM distsync_internal.inventory_give_back(r.item_id, r.reservation_id, NULL, 'released') FROM dist.reservation r WHERE r.holder = given_back.holder AND r.state IN ('held', 'committed');
        UPDATE dist.stock_pool SET valid_until = '-infinity';
        SELECT x.atp, x.projected, x.atp_book, x.atp_phys, x.outcome, x.basis INTO b FROM distsync.atp(item, 5, NULL, site, t, o) x;
        RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = 'back';
    EXCEPTION WHEN SQLSTATE 'XX999' THEN NULL;
    END;
    RETURN CASE WHEN a IS DISTINCT FROM b THEN format('own %s, given back %s', a, b) END;
END $$;
-- terms add up to their site, sites to the answer, less what a quota takes
CREATE FUNCTION pg_temp.adds_up(item text, site text, o jsonb, t timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT jsonb_build_object('answer', e->'answer', 'quota', e->'quota', 'sites', jsonb_path_query_array(e, '$.sites[*].**.terms'))::text FROM distsync.explain_atp(item, 3, NULL, site, t, o) e WHERE (e->'quota'->>'takes' IS NOT NULL OR jsonb_typeof(e->'quota') = 'null') AND (e->'answer'->>'atp')::numeric <> (SELECT COALESCE(sum((s->>'atp')::numeric), 0) FROM jsonb_array_elements(e->'sites') s) - COALESCE((e->'quota'->>'takes')::numeric, 0)
        OR EXISTS (SELECT FROM jsonb_path_query(e, '$.sites[*].**.terms') k, jsonb_path_query(e, '$.sites[*].** ? (exists(@.terms))') s WHERE s->'terms' = k AND (s->>'atp')::numeric <> (SELECT sum((x->>'quantity')::numeric) FROM jsonb_array_elements(k) x))
        OR (e->'answer'->>'atp')::numeric > least((e->'answer'->>'atp_phys')::numeric, (e->'answer'->>'atp_book')::numeric) AND t IS NULL AND site IS NOT NULL $$;
-- what is promised for a later date to who has no share leaves those who have one what they had, also when the pools look at it again
CREATE FUNCTION pg_temp.shares(items bigint[]) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(i.sku || '/' || s.scope_key, (SELECT a.atp FROM distsync.atp(i.sku, 1, NULL, NULL, NULL, jsonb_build_object(s.scope_kind, s.scope_key)) a))
    FROM (SELECT DISTINCT q.item_id, q.scope_kind, q.scope_key FROM dist.stock_quota q WHERE q.item_id = ANY (items) AND q.period @> now()) s JOIN dist.item i USING (item_id) $$;
CREATE FUNCTION pg_temp.set_aside(item text, q numeric, site text, o jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE items bigint[]; before jsonb; made jsonb; after jsonb; again jsonb;
BEGIN
    SELECT array_agg(x.item_id) INTO items FROM dist.item i CROSS JOIN LATERAL (SELECT i.item_id WHERE NOT i.kit UNION ALL SELECT c.item_id FROM distsync_internal.inventory_components(i.item_id) c) x WHERE i.sku = item;
    IF EXISTS (SELECT FROM dist.stock_quota s WHERE s.item_id = ANY (items) AND (s.site_id > 0 OR s.scope_kind NOT IN ('customer', 'channel'))) THEN
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM distsync_internal.inventory_rebuild(i.sku) FROM dist.item i WHERE i.item_id = ANY (items);
        before := pg_temp.shares(items);
        SELECT jsonb_agg(to_jsonb(r)) INTO made FROM distsync.reserve(jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('item', item, 'quantity', q, 'site', site))), o || '{"ttl":"1 hour"}') r;
        after := pg_temp.shares(items);
        PERFORM distsync_internal.inventory_rebuild(i.sku) FROM dist.item i WHERE i.item_id = ANY (items);
        again := pg_temp.shares(items);
        RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = 'back';
    EXCEPTION WHEN SQLSTATE 'XX999' OR SQLSTATE 'SD044' THEN NULL;
    END;
    RETURN CASE WHEN EXISTS (SELECT FROM jsonb_each_text(before) b WHERE b.value::numeric > least((after->>b.key)::numeric, (again->>b.key)::numeric)) THEN format('%s, then %s and %s: %s', before, after, again, made) END;
END $$;
"""


class Agree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        sites = [{"code": code, "name": "s", "company": "AGR-B" if code == "AGR-B1" else "AGR-A", "kind": "vendor" if code == "AGR-V" else "warehouse", "rank": n} for n, code in enumerate(SITES)]
        parties = [{"code": "AGR-TOP", "name": "t"}, {"code": "AGR-C", "name": "c", "parent": "AGR-TOP"}, {"code": "AGR-D", "name": "d"}]
        out = psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\n" + "".join(
            f"SELECT DISTINCT outcome FROM distsync.apply_all('{entity}', {literal(documents)}, 'distsync');\n" for entity, documents in (
                ("currency", [{"currency": "USD"}]), ("unit", [{"unit": "AGR-EA", "scale": 0}, {"unit": "AGR-KG", "scale": 2}, {"unit": "AGR-BX", "scale": 0}, {"unit": "AGR-PK", "scale": 1}]),
                ("company", [{"code": code, "name": "c", "currency": "USD"} for code in ("AGR-A", "AGR-B")]), ("site", sites), ("party", parties), ("channel", [{"code": "AGR-SHOP", "name": "s"}]))))
        assert set(out[1:]) <= {"applied", "unchanged"}, out

    def play(self, number):
        """The script of a random world, and the items in it."""
        rng = random.Random(f"{SEED}/{number}")
        x, y, kit = (f"AGR{number}-{letter}" for letter in "XYK")
        units = [{"unit": "AGR-BX", "numerator": 12, "denominator": 1}, {"unit": "AGR-PK", "numerator": 5, "denominator": 1}]
        script = (f"SELECT outcome FROM distsync.apply_all('item', {literal([{'sku': x, 'base_unit': 'AGR-EA', 'units': units}, {'sku': y, 'base_unit': 'AGR-KG', 'units': units}])}, 'distsync');\n"
                  f"SELECT outcome FROM distsync.apply('item', {literal({'sku': kit, 'base_unit': 'AGR-EA', 'kit': True, 'units': [dict(units[0], numerator=4)], 'components': [{'sku': x, 'quantity': 2}, {'sku': y, 'quantity': 1}]})}, 'distsync');\n")

        def count(sku, site, source, quantity):
            return events([{"event_id": f"agr{number}-{rng.randrange(10**9)}", "kind": "count", "sku": sku, "site": site, "quantity": quantity, "event_at": "2024-01-01T00:00:00Z"}], source)

        steps = [count(sku, site, source, rng.choice((0, 7, 13, 18.5, 30, 61))) for sku in (x, y) for site in SITES for source in ("prop-wms", "prop-erp") if rng.random() < 0.6]
        for sku in (x, y):
            if rng.random() < 0.5:
                steps.append(events([{"event_id": f"agr{number}-{rng.randrange(10**9)}", "kind": "count", "sku": sku, "site": rng.choice(SITES), "lot": "L1", "expires_on": rng.choice(("2999-01-01", "2999-01-03")), "quantity": rng.choice((6, 20)), "event_at": "2024-01-01T00:00:00Z"}]))
        for n in range(rng.randrange(7)):
            steps.append(f"SELECT outcome FROM distsync.apply('supply', {literal({'kind': 'purchase', 'reference': f'AGR{number}-{n}', 'sku': rng.choice((x, y)), 'site': rng.choice(SITES), 'quantity': rng.choice((5, 12.25, 40)), 'expected_at': rng.choice(LATER)})}, 'prop-erp');\n")
        for n in range(rng.randrange(4)):
            steps.append(f"SELECT outcome FROM distsync.apply('demand', {literal({'demand_key': f'AGR-A/{number}/{n}', 'sku': rng.choice((x, y)), 'site': rng.choice(SITES), 'ordered': rng.choice((1, 4, 9.5)), 'required_at': rng.choice((None,) + LATER)})}, 'prop-erp');\n")
        for sku in (x, y):
            for site in SITES:
                if rng.random() < 0.3:
                    rules = {name: value for name, value in (("safety", rng.choice((1, 3))), ("backorder_cap", rng.choice((2, 5))), ("lead_days", rng.choice((3, 9)))) if rng.random() < 0.4}
                    steps.append(f"SELECT outcome FROM distsync.apply('item_site', {literal(dict(rules, sku=sku, site=site))}, 'prop-erp');\n")
        quotas = rng.random() < 0.6
        for scope in (("customer", "AGR-TOP"), ("customer", "AGR-C"), ("channel", "AGR-SHOP"), ("collective", None)) if quotas else ():
            if rng.random() < 0.5:
                period = rng.choice(({}, {}, {"valid_from": LATER[1]}, {"valid_to": LATER[0]}))
                steps.append(f"SELECT outcome FROM distsync.apply('stock_quota', {literal(dict({'sku': rng.choice((x, y)), 'scope_kind': scope[0], 'quantity': rng.choice((4, 15, 33.5))}, **({'scope_key': scope[1]} if scope[1] else {}), **({'site': rng.choice(SITES)} if rng.random() < 0.4 else {}), **period))}, 'prop-erp');\n")
        rng.shuffle(steps)
        for _ in range(rng.randrange(6)):
            options = {"holder": rng.choice(HOLDERS), "ttl": "1 hour", "mode": rng.choice(("all_or_none", "take_up_to", "one_date")), **self.who(rng, company=False)}
            options.pop("use_safety", None)
            steps.append(f"SELECT count(*) FROM distsync.reserve({literal([{'item': rng.choice((x, y, kit)), 'quantity': rng.choice((1, 2, 5, 9))}])}, {literal(options)});\n"
                         + (f"SELECT count(*) FROM distsync.commit_reservations(NULL, '{{\"holder\":\"{options['holder']}\",\"on_error\":\"collect\"}}');\n" if rng.random() < 0.3 else ""))
        # a fact that takes away what is promised, and one that nobody may buy
        if rng.random() < 0.5:
            steps.append(count(rng.choice((x, y)), rng.choice(SITES), "prop-wms", rng.choice((0, 3, 10))))
        if rng.random() < 0.15:
            steps.append(f"SELECT outcome FROM distsync.apply('item', {literal({'sku': rng.choice((x, y, kit)), 'status': rng.choice(('blocked', 'inactive'))})}, 'distsync');\n")
        return rng, script + "".join(steps), (x, y, kit)

    @staticmethod
    def who(rng, company=True):
        """Who asks, in options."""
        return {name: value for name, value in (("customer", rng.choice(PARTIES)), ("channel", "AGR-SHOP"), ("use_safety", True), ("company", rng.choice(("AGR-A", "AGR-B")))) if rng.random() < 0.35 and (company or name != "company")}

    def test_say_the_same(self):
        """All of them, of many questions in each of many worlds."""
        for number in [int(os.environ["WORLD"])] if os.environ.get("WORLD") else range(WORLDS):
            rng, script, items = self.play(number)
            out = psql(script)
            self.assertEqual([line for line in out if "ERROR" in line or "rejected" in line], [], number)
            script, asked = LAWS, []
            for _ in range(20):
                item, site, options = rng.choice(items), rng.choice((None,) + SITES), self.who(rng)
                unit = rng.choice((None, None, "AGR-BX") + (() if item == items[2] else ("AGR-PK",)))
                said = literal(options)
                name = "NULL" if site is None else f"'{site}'"
                measure = "NULL" if unit is None else f"'{unit}'"
                quantity = rng.choice((1, 2, 3, 8, 20))
                t = rng.choice(("NULL", "NULL", "'2998-12-31'", "'2999-01-03'"))
                for law in (f"all_of_it('{item}', {measure}, {name}, {said})", f"that_much('{item}', {quantity}, {measure}, {name}, {said})", f"each_instant('{item}', {name}, {said})",
                            f"given_back('{item}', {name}, '{rng.choice(HOLDERS)}', {said}, {t})", f"adds_up('{item}', {name}, {literal(dict(options, holder=rng.choice(HOLDERS)))}, {t})",
                            f"set_aside('{item}', {quantity}, {name}, {literal({'mode': rng.choice(('one_date', 'complete', 'schedule')), 'split': rng.random() < 0.7})})"):
                    asked.append(law)
                    script += f"SELECT COALESCE(pg_temp.{law}, '');\n"
            out = psql(script)
            self.assertEqual([line for line in out if "ERROR" in line], [], number)
            self.assertEqual(len(out), len(asked), (number, out[:5]))
            self.assertEqual([(law, wrong) for law, wrong in zip(asked, out) if wrong], [], f"WORLD={number}")
        self.assertEqual(psql(BROKEN + ";"), [])


if __name__ == "__main__":
    unittest.main()
