"""Stock under fire: real connections (a psql process each) reserve, commit, release, count, move and ship at once.

SEED=n repeats a run. What the invariants of docs/inventory.md say is checked by the verify handlers of the room.
"""
import itertools
import json
import os
import random
import re
import subprocess
import unittest

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
BROKEN = ("SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.inventory_verify_stock() "
          "UNION ALL SELECT invariant || ': ' || entity_key || ' ' || detail FROM distsync_internal.inventory_verify_promises()")
QUIET = "SET client_min_messages = warning;\n\\set VERBOSITY verbose\n"
# every item is hot as soon as it is promised
HOT = "SET distsync.hot_wait = 0;\nSET distsync.slots_max = 4;\n"
COLD = "SET distsync.slots_max = 0;\n"
MODES = ("all_or_none", "take_up_to", "one_date", "complete", "schedule")


def psql(script):
    """Runs a script in a connection of its own; returns its lines. Errors that are answers (class SD) stay in the output."""
    done = subprocess.run(["psql", "-XqAt"], input=QUIET + script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.splitlines()


def together(scripts):
    """Runs scripts at once, a connection each."""
    running = [subprocess.Popen(["psql", "-XqAt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in scripts]
    for process, script in zip(running, scripts):
        process.stdin.write(QUIET + script)
        process.stdin.close()
    lines = []
    for process in running:
        lines += process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
    return lines


def literal(value):
    return "'" + json.dumps(value).replace("'", "''") + "'"


def events(documents, source="prop-wms"):
    return f"SELECT outcome FROM distsync.apply_all('stock_event', {literal(documents)}, '{source}', NULL, '{{\"on_error\":\"collect\"}}');\n"


def reserve(lines, **options):
    return f"SELECT outcome || ' ' || quantity FROM distsync.reserve({literal(lines)}, {literal(options)});\n"


# what the verb answers from one row and what it answers from everything is the same to the last digit, whatever the pools hold
TWO_WAYS = """SELECT k.sku, k.code, k.q, t, a, w FROM (SELECT i.sku, s.code, q FROM dist.stock_pool p JOIN dist.item i USING (item_id) JOIN dist.site s USING (site_id), unnest('{0,1,7.5,1000000}'::numeric[]) q
    WHERE i.sku LIKE 'PROP-%' OR i.sku LIKE 'WAYS-%' AND q = trunc(q) OFFSET 0) k, unnest(ARRAY[NULL, now() + interval '1 day', now() + interval '400 days', 'infinity']) t,
    distsync.atp(k.sku, k.q, NULL, k.code, t) a, distsync_internal.inventory_atp_whole(k.sku, k.q, NULL, k.code, t, '{}') w
    WHERE a::text IS DISTINCT FROM w::text LIMIT 5;
"""
# and so is a timeline, of a site as of all, to the last byte of what it names
TIMELINE_TWO_WAYS = """SELECT i.sku, s.code, a.*, w.* FROM (SELECT sku FROM dist.item WHERE sku LIKE 'PROP-%' OR sku LIKE 'WAYS-%') i, (SELECT NULL AS code UNION ALL SELECT code FROM dist.site WHERE code LIKE 'PROP-S%') s,
    unnest(ARRAY[NULL, now() + interval '2 days']) t, LATERAL (SELECT string_agg(x::text, chr(10)) AS rows FROM distsync.atp_timeline(i.sku, s.code, t) x) a,
    LATERAL (SELECT string_agg(x::text, chr(10)) AS rows FROM distsync_internal.inventory_timeline_whole(i.sku, s.code, t, '{}') x) w
    WHERE a.rows IS DISTINCT FROM w.rows LIMIT 2;
"""

# what a call leaves behind in its transaction, without numbers and instants that differ from call to call
LEFT = """SELECT jsonb_build_object('reservations', (SELECT jsonb_agg(to_jsonb(r) - '{reservation_id,request_id,expires_at,promised_at,created_at}'::text[] || jsonb_build_object('for', r.expires_at - r.created_at,
        'at', r.promised_at = r.created_at) ORDER BY r.reservation_id) || jsonb_build_array(count(DISTINCT r.request_id)) FROM (SELECT * FROM dist.reservation x WHERE x.xmin::text = pg_current_xact_id()::text) r),
    'demands', (SELECT jsonb_agg(to_jsonb(d) - '{demand_id,recorded_at}'::text[] ORDER BY d.demand_key, d.item_id, d.site_id) FROM dist.demand d WHERE d.xmin::text = pg_current_xact_id()::text),
    'pools', (SELECT jsonb_agg(to_jsonb(p) - '{changed_at,valid_until,waited_us}'::text[] || jsonb_build_object('until', p.valid_until - p.changed_at < '1 day') ORDER BY p.item_id, p.site_id)
        FROM dist.stock_pool p WHERE p.xmin::text::bigint >= pg_current_xact_id()::text::bigint),
    'told', (SELECT jsonb_agg(jsonb_build_array(o.kind, o.event_type, o.entity, o.entity_key, o.item_id, o.body, o.ring) ORDER BY o.item_id) FROM sync.outbox_item o WHERE o.xid = pg_current_xact_id()),
    'audit', (SELECT jsonb_agg(to_jsonb(a) - '{audit_id,at,after}'::text[] || jsonb_build_object('after', regexp_replace(a.after::text, '"(reservation_id|expires_at)": ("[^"]*"|[0-9]+)', '\\1', 'g')) ORDER BY a.audit_id)
        FROM sync.audit a WHERE a.xmin::text = pg_current_xact_id()::text),
    'keys', (SELECT jsonb_agg(jsonb_build_array(k.source, k.verb, k.key, k.request_sha256)) FROM sync.idempotency k WHERE k.xmin::text = pg_current_xact_id()::text));
"""
# what a command on reservations leaves behind: instants count as they are from now on, in steps of ten minutes
SETTLED = """SELECT jsonb_build_object('reservations', (SELECT jsonb_agg(to_jsonb(r) - '{expires_at,ended_at}'::text[] || jsonb_build_object('until', round(extract(epoch FROM r.expires_at - now()) / 600), 'ended', r.ended_at >= now())
        ORDER BY r.reservation_id) FROM dist.reservation r WHERE r.xmin::text = pg_current_xact_id()::text),
    'demands', (SELECT jsonb_agg(to_jsonb(d) ORDER BY d.demand_id) FROM dist.demand d WHERE d.xmin::text = pg_current_xact_id()::text),
    'pools', (SELECT jsonb_agg(to_jsonb(p) - '{changed_at,valid_until,cap_until,waited_us}'::text[] || jsonb_build_object('until', round(extract(epoch FROM p.valid_until - now()) / 600), 'cap until', p.cap_until, 'changed', p.changed_at >= now())
        ORDER BY p.item_id, p.site_id) FROM dist.stock_pool p WHERE p.xmin::text = pg_current_xact_id()::text),
    'told', (SELECT jsonb_agg(jsonb_build_array(o.kind, o.event_type, o.entity, o.entity_key, o.item_id, o.body, o.ring) ORDER BY o.item_id) FROM sync.outbox_item o WHERE o.xid = pg_current_xact_id()),
    'audit', (SELECT jsonb_agg(to_jsonb(a) - '{audit_id,at}'::text[]) FROM sync.audit a WHERE a.xmin::text = pg_current_xact_id()::text),
    'keys', (SELECT jsonb_agg(jsonb_build_array(k.source, k.verb, k.key, k.request_sha256)) FROM sync.idempotency k WHERE k.xmin::text = pg_current_xact_id()::text));
"""
# what is promised in all, wherever it is counted
PROMISED = """SELECT jsonb_agg(jsonb_build_array(p.item_id, p.site_id, trim_scale(p.held + COALESCE(s.held, 0)), trim_scale(p.committed + COALESCE(s.committed, 0))) ORDER BY p.item_id, p.site_id)
    FROM dist.stock_pool p LEFT JOIN LATERAL (SELECT sum(held) AS held, sum(committed) AS committed FROM dist.stock_pool_slot y WHERE y.item_id = p.item_id AND y.site_id = p.site_id) s ON true;
"""


class Inventory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        items = [{"sku": f"PROP-{i}", "base_unit": "EA"} for i in range(24)]
        kit = {"sku": "KIT-PROP", "base_unit": "EA", "kit": True, "components": [{"sku": "PROP-2", "quantity": 1}, {"sku": "PROP-3", "quantity": 2}, {"sku": "PROP-7", "quantity": 1}]}
        out = psql("SELECT distsync.add_system('prop-erp', 'erp'), distsync.add_system('prop-wms', 'wms');\n"
                   "SELECT outcome FROM distsync.apply('currency', '{\"currency\":\"USD\"}', 'distsync');\n"
                   "SELECT outcome FROM distsync.apply('unit', '{\"unit\":\"EA\"}', 'distsync');\n"
                   "SELECT outcome FROM distsync.apply('company', '{\"code\":\"PROP\",\"name\":\"p\",\"currency\":\"USD\"}', 'distsync');\n"
                   f"SELECT outcome FROM distsync.apply_all('site', {literal([{'code': f'PROP-S{i}', 'name': 's', 'company': 'PROP', 'rank': i} for i in (1, 2)])}, 'distsync');\n"
                   f"SELECT outcome FROM distsync.apply_all('item', {literal(items)}, 'distsync');\nSELECT outcome FROM distsync.apply('item', {literal(kit)}, 'distsync');\n")
        assert not [line for line in out if "ERROR" in line], out

    def assert_whole(self):
        self.assertEqual(psql(BROKEN + ";"), [])
        self.assertEqual(psql(TWO_WAYS), [])
        self.assertEqual(psql(TIMELINE_TWO_WAYS), [])

    def test_sells_exactly_what_there_is(self):
        """320 clients' wishes for 200 units, 16 at a time: 200 are sold, 120 refused; also where the item is hot."""
        for sku, hot in (("PROP-0", COLD), ("PROP-20", HOT)):
            psql(events([{"event_id": f"exact {sku}", "kind": "count", "sku": sku, "site": "PROP-S1", "quantity": 200, "event_at": "2024-01-01T00:00:00Z"}]))
            out = together([hot + reserve([{"item": sku, "quantity": 1}], commit=bool(client % 2)) * 20 for client in range(16)])
            self.assertEqual(sorted({line.split()[0] for line in out}), ["reserved", "short"])
            self.assertEqual(len([line for line in out if line.startswith("reserved")]), 200)
            self.assertEqual(psql(f"SELECT sum(quantity) FROM dist.reservation r JOIN dist.item i USING (item_id) WHERE i.sku = '{sku}';"), ["200.000000"])
            self.assertEqual(psql(f"SELECT atp FROM distsync.atp('{sku}');"), ["0"])
            self.assert_whole()

    def test_sells_exactly_over_sites(self):
        """The same over two sites, several units a call: what is left at the end is less than the smallest wish."""
        psql(events([{"event_id": f"sites{site}", "kind": "count", "sku": "PROP-1", "site": f"PROP-S{site}", "quantity": 60, "event_at": "2024-01-01T00:00:00Z"} for site in (1, 2)]))
        out = together([reserve([{"item": "PROP-1", "quantity": 1}, {"item": "PROP-1", "quantity": 2}]) * 8 for _ in range(8)])
        self.assertEqual(sum(float(line.split()[1]) for line in out if line.startswith("reserved")), 120)
        self.assert_whole()

    def test_sells_exactly_within_quotas(self):
        """Two shares of an item at two sites, and clients of both who want more: each share is sold to its last unit and none beyond."""
        psql("SELECT outcome FROM distsync.apply('party', '{\"code\":\"PROP-Q\",\"name\":\"q\"}', 'distsync');\nSELECT outcome FROM distsync.apply('item', '{\"sku\":\"PROP-QUOTA\",\"base_unit\":\"EA\"}', 'distsync');\n"
             + events([{"event_id": f"quota{site}", "kind": "count", "sku": "PROP-QUOTA", "site": f"PROP-S{site}", "quantity": 60, "event_at": "2024-01-01T00:00:00Z"} for site in (1, 2)])
             + f"SELECT outcome FROM distsync.apply_all('stock_quota', {literal([{'sku': 'PROP-QUOTA', 'scope_kind': 'customer', 'scope_key': 'PROP-Q', 'quantity': 50}, {'sku': 'PROP-QUOTA', 'scope_kind': 'collective', 'quantity': 31}])}, 'prop-erp');\n")
        scripts = [reserve([{"item": "PROP-QUOTA", "quantity": 1 + client % 3}], mode="take_up_to", **({"customer": "PROP-Q"} if client % 2 else {})) * 8 for client in range(12)]
        out = together([script.replace("SELECT outcome", f"SELECT '{client % 2} ' || outcome") for client, script in enumerate(scripts)])
        self.assertEqual([line for line in out if "ERROR" in line], [])
        self.assertEqual([sum(float(line.split()[2]) for line in out if line.startswith(who) and "short" not in line) for who in "01"], [31, 50])
        self.assert_whole()

    def test_mixed_load(self):
        """Everything at once, items in any order: no deadlock, no error that is no answer, every invariant holds."""
        rng = random.Random(SEED)
        psql(events([{"event_id": f"mixed{i}-{s}", "kind": "count", "sku": f"PROP-{i}", "site": f"PROP-S{s}", "quantity": 30, "event_at": "2024-01-01T00:00:00Z"}
                     for i in range(2, 8) for s in (1, 2)]))
        for hot in (COLD, HOT):
            out = together([hot + "".join(self.operation(rng, f"{client}{hot is HOT}", step) for step in range(30)) for client in range(10)])
            self.assertEqual([line for line in out if "ERROR" in line and "ERROR:  SD04" not in line], [])
            psql("SELECT pg_sleep(1.2); SELECT distsync_internal.inventory_sweep(1000);")
            self.assert_whole()
        # a pool that nothing waits at has promised nothing for later
        self.assertEqual(psql("SELECT r.reservation_id FROM dist.stock_pool p JOIN dist.reservation r USING (item_id, site_id) WHERE NOT p.waiting AND r.state IN ('held', 'committed') AND (r.promised_at IS NULL OR r.promised_at > now());"), [])
        # a kit is whole: as long as nothing of it ships, each of its components is held and committed for as many kits
        self.assertEqual(psql("SELECT kit_group FROM dist.reservation WHERE kit_id = (SELECT item_id FROM dist.item WHERE sku = 'KIT-PROP') GROUP BY kit_group HAVING count(*) <> 3 OR count(DISTINCT (state, quantity / kit_per, committed / kit_per)) > 1;"), [])

    @staticmethod
    def operation(rng, client, step):
        sku, other = (f"PROP-{n}" for n in rng.sample(range(2, 8), 2))
        site = f"PROP-S{rng.choice((1, 2))}"
        mine = f"(SELECT r.reservation_id FROM dist.reservation r WHERE r.holder = 'h{client}' AND r.state = 'held' ORDER BY random() LIMIT 1)"
        event = {"event_id": f"m{client}-{step}", "sku": sku, "site": site, "event_at": f"2024-01-02T{rng.randrange(24):02}:00:00Z"}
        key = f"PROP/O{client}-{rng.randrange(6)}/1"
        ids = f"(SELECT item_id FROM dist.item WHERE sku = '{sku}'), (SELECT site_id FROM dist.site WHERE code = '{site}')"
        return rng.choice((
            lambda: reserve([{"item": sku, "quantity": rng.randrange(1, 6)}, {"item": other, "quantity": 2}, {"item": sku, "quantity": 1}], holder=f"h{client}",
                            ttl=rng.choice(("100 milliseconds", "1 hour")), mode=rng.choice(MODES)),
            lambda: reserve([{"item": "KIT-PROP", "quantity": rng.randrange(1, 4)}, {"item": other, "quantity": 1}], holder=f"h{client}", ttl=rng.choice(("100 milliseconds", "1 hour")), mode=rng.choice(MODES)),
            lambda: f"SELECT count(*) FROM distsync.{rng.choice(('commit', 'release'))}_reservations(NULL, '{{\"holder\":\"h{client}\",\"on_error\":\"collect\"}}');\n",
            lambda: reserve([{"item": other, "quantity": rng.randrange(1, 4), "site": site, "demand_key": key}], holder=f"h{client}", commit=True),
            lambda: f"SELECT c.state FROM (SELECT {mine} AS id) m, distsync.commit_reservation(m.id, 1, '{{\"keep_rest\":true}}') c WHERE m.id IS NOT NULL;\n",
            lambda: f"SELECT c.state FROM (SELECT {mine} AS id) m, distsync.commit_reservation(m.id, 1) c WHERE m.id IS NOT NULL;\n",
            lambda: f"SELECT c.state FROM (SELECT {mine} AS id) m, distsync.release_reservation(m.id) c WHERE m.id IS NOT NULL;\n",
            lambda: f"SELECT c.state FROM (SELECT {mine} AS id) m, distsync.extend_reservation(m.id, '1 hour') c WHERE m.id IS NOT NULL;\n",
            lambda: events([dict(event, kind="count", quantity=rng.randrange(40))]),
            lambda: events([dict(event, kind="delta", quantity=rng.randrange(-5, 6)), dict(event, event_id=event["event_id"] + "b", sku=other, kind="receive", quantity=3)]),
            lambda: events([dict(event, kind="transfer", to_site="PROP-S1" if site == "PROP-S2" else "PROP-S2", quantity=2)]),
            lambda: events([dict(event, kind="count", quantity=rng.randrange(40))], "prop-erp"),
            lambda: f"SELECT outcome FROM distsync.apply('supply', {literal({'kind': 'purchase', 'reference': f'M{rng.randrange(3)}', 'sku': sku, 'site': site, 'quantity': rng.choice((0, 5, 20)), 'status': 'open', 'expected_at': f'2999-01-0{rng.randrange(1, 9)}T00:00:00Z'})}, 'prop-erp');\n",
            lambda: f"SELECT outcome FROM distsync.apply('item_site', {literal({'sku': sku, 'site': site, 'safety': rng.randrange(6), 'backorder_cap': rng.randrange(4), 'lead_days': rng.choice((None, None, 5))})}, 'prop-erp');\n",
            lambda: f"SELECT outcome FROM distsync.apply('stock_quota', {literal({'sku': sku, 'scope_kind': 'collective', 'quantity': rng.choice((500, 1000))})}, 'prop-erp', NULL, '{{\"operation\":\"{rng.choice(('upsert', 'deactivate'))}\"}}');\n",
            lambda: reserve([{"item": sku, "quantity": rng.randrange(1, 4)}], holder=f"h{client}", use_safety=True, ttl="1 hour"),
            lambda: reserve([{"item": sku, "quantity": rng.randrange(1, 4)}, {"item": other, "quantity": 1}], holder=f"s{client}", kind="soft", priority=rng.randrange(200), take_over=True, commit=rng.random() < 0.3, ttl="1 hour"),
            lambda: reserve([{"item": "KIT-PROP", "quantity": 1}], holder=f"s{client}", kind="soft", priority=rng.randrange(200), ttl="1 hour"),
            lambda: f"SELECT count(*) > 0 FROM distsync.reallocate('{sku}', NULL, '{{\"dry_run\":{rng.choice(('true', 'false'))}}}');\n",
            lambda: f"SELECT distsync_internal.inventory_demand({ids}, '{key}', NULL, {rng.randrange(5)}, NULL);\n",
            lambda: f"SELECT distsync_internal.inventory_ship({ids}, '{key}', {rng.randrange(1, 4)}, '2024-01-02T12:00:00Z', 'prop-wms', 'S{client}-{step}');\n",
            lambda: f"SELECT distsync_internal.inventory_release('{key}', 1);\n"))()

    def test_reserves_two_ways(self):
        """What reserve() does in C and what it does in SQL is the same, to the row, whatever is asked."""
        rng = random.Random(SEED)
        # another company's site, an item that is counted in whole pieces and boxes, and one that is blocked
        psql("".join(f"SELECT count(*) FROM distsync.apply_all('{entity}', {literal(documents)}, 'distsync');\n" for entity, documents in (
            ("company", [{"code": "PROP-O", "name": "o", "currency": "USD"}]), ("site", [{"code": "PROP-O1", "name": "s", "company": "PROP-O", "rank": 0}]), ("unit", [{"unit": "WAYS-EA", "scale": 0}, {"unit": "WAYS-BX", "scale": 0}, {"unit": "WAYS-PK", "scale": 1}]),
            ("item", [{"sku": sku, "base_unit": "WAYS-EA", "units": [{"unit": "WAYS-BX", "numerator": 6, "denominator": 1}, {"unit": "WAYS-PK", "numerator": 5, "denominator": 1}]} for sku in ("WAYS-15", "WAYS-16")])))
             + events([{"event_id": f"ways{sku}-{site}", "kind": "count", "sku": sku, "site": site, "quantity": rng.choice((7.25, 8, 20.5)), "event_at": "2024-01-01T00:00:00Z"} for sku in ("WAYS-15", "WAYS-16", "PROP-12") for site in ("PROP-S1", "PROP-S2", "PROP-O1") if sku != "PROP-12" or site == "PROP-O1"])
             + f"SELECT outcome FROM distsync.apply('supply', {literal({'kind': 'purchase', 'reference': 'ways15', 'sku': 'WAYS-15', 'site': 'PROP-S2', 'quantity': 4.75, 'expected_at': '2999-01-01T00:00:00Z'})}, 'prop-erp');\n"
             + "SELECT outcome FROM distsync.apply('item', '{\"sku\":\"WAYS-16\",\"status\":\"blocked\"}', 'distsync');\n")
        psql(events([{"event_id": f"ways{i}-{s}", "kind": "count", "sku": f"PROP-{i}", "site": f"PROP-S{s}", "quantity": 3 if i == 13 else rng.choice((3, 20, 7.25)), "event_at": "2024-01-01T00:00:00Z"} for i in (12, 13, 14) for s in (1, 2)])
             # of two items more is to come, at instants that a refusal tells
             + f"SELECT outcome FROM distsync.apply_all('supply', {literal([{'kind': 'purchase', 'reference': f'ways{i}-{s}', 'sku': f'PROP-{i}', 'site': f'PROP-S{s}', 'quantity': rng.choice((4, 2.5, 50)), 'expected_at': f'2999-01-0{rng.choice((1, 2))}T00:00:00Z'} for i in (13, 14) for s in (1, 2)])}, 'prop-erp');\n"
             + f"SELECT outcome FROM distsync.apply('demand', {literal({'demand_key': 'PROP/WAYS/1', 'sku': 'PROP-13', 'site': 'PROP-S1', 'ordered': rng.choice((1, 3)), 'required_at': '2999-01-03T00:00:00Z'})}, 'prop-erp');\n"
             + "INSERT INTO dist.item_unit (item_id, unit, numerator, denominator) SELECT i.item_id, u.unit, u.n, u.d FROM dist.item i, (VALUES ('WAYS-CS', 12, 1), ('WAYS-TH', 1, 3)) u(unit, n, d) WHERE i.sku = 'PROP-12' ON CONFLICT DO NOTHING;\n")

        def line():
            if rng.random() < 0.25:
                return dict({"item": rng.choice(("WAYS-15", "WAYS-15", "WAYS-15", "WAYS-16")), "quantity": rng.choice((1, 2, 3, 1.2, 0.5, 9))}, **rng.choice(({}, {"unit": rng.choice(("WAYS-BX", "WAYS-PK", "WAYS-EA"))})), **rng.choice(({}, {"site": rng.choice(("PROP-S1", "PROP-O1"))})))
            return dict({"item": rng.choice(("PROP-12", "PROP-13", "PROP-14")), **rng.choice(({"quantity": rng.choice((1, 2, 0.5, 3.250, 5, 1.0))}, {}))},
                        **rng.choice(({}, {}, {"unit": rng.choice(("EA", "WAYS-CS", "WAYS-TH"))}, {"quantity": rng.choice((0, -1, "x", "2", 1e20, 0.1234567, None))}, {"note": 1}, {"item": "PROP-none"})) if rng.random() < 0.3 else {},
                        **{"demand_key": rng.choice(("PROP/W/1", "PROP/W/2", "W", "PROP/WAYS/1", None))} if rng.random() < 0.35 else {},
                        **{"requested_at": rng.choice(("2999-01-02T10:00:00Z", "2999-01-05T10:00:00.5+02:00", "2999-01-01", "2999-02-30T10:00:00Z", "x", None))} if rng.random() < 0.15 else {},
                        **rng.choice(({}, {"site": f"PROP-S{rng.choice((1, 2))}"}, {"site": rng.choice(("PROP-S1", "PROP-O1"))})))

        def options():
            return dict([pair for pair in (("holder", "ways"), ("ttl", rng.choice(("1 hour", "20 seconds", "1 minutes", "2 days", "0 hours", "x"))), ("mode", rng.choice(("all_or_none", "take_up_to", "y"))),
                                           ("split", rng.choice((True, False))), ("commit", rng.choice((True, False))), ("kind", rng.choice(("soft", "hard", "z"))), ("priority", rng.choice((1, 7, 10**10))),
                                           ("company", rng.choice(("PROP", "PROP", "PROP-O", "nobody"))), ("idempotency_key", "ways"), ("source", "prop-erp"), ("reason", "because"), ("what", 1)) if rng.random() < 0.12])

        cases = [(literal([line() for _ in range(rng.choice((1, 1, 2, 4)))]), literal(options())) for _ in range(400)]
        self.compare(COLD + "SELECT distsync_internal.inventory_fold(array_agg(item_id), array_agg(site_id)) FROM dist.stock_pool;\nSELECT count(*) = 0 FROM dist.stock_pool WHERE slots > 0;\n", cases, LEFT)
        # where pools have slots the rows differ, but no answer, and no sum
        self.compare(HOT + "".join(reserve([{"item": f"PROP-{i}", "quantity": 0.01, "site": f"PROP-S{s}"}]) for i in (12, 13, 14) for s in (1, 2)) + "SELECT count(*) >= 3 FROM dist.stock_pool WHERE slots > 0;\n", cases, PROMISED)

    def test_promises_orders_two_ways(self):
        """The same of what orders ask, in ids and base units."""
        rng = random.Random(SEED)
        psql(events([{"event_id": f"orders{i}-{s}", "kind": "count", "sku": f"PROP-{i}", "site": f"PROP-S{s}", "quantity": 4, "event_at": "2024-01-01T00:00:00Z"} for i in (21, 22) for s in (1, 2)]
                    + [{"event_id": f"orders23-{s}", "kind": "count", "sku": "PROP-23", "site": f"PROP-S{s}", "quantity": 1000, "event_at": "2024-01-01T00:00:00Z"} for s in (1, 2)])
             + "SELECT outcome FROM distsync.apply('party', '{\"code\":\"PROP-O\",\"name\":\"o\"}', 'distsync');\n"
             + f"SELECT outcome FROM distsync.apply('demand', {literal({'demand_key': 'PROP/OR1/1', 'sku': 'PROP-23', 'site': 'PROP-S1', 'ordered': 3})}, 'prop-erp');\n")
        ids = {line.split("|")[0]: int(line.split("|")[1]) for line in psql("SELECT sku, item_id FROM dist.item WHERE sku LIKE 'PROP-2_' OR sku = 'KIT-PROP';")}
        sites = [int(line) for line in psql("SELECT site_id FROM dist.site WHERE code LIKE 'PROP-S_' ORDER BY code;")]
        customer = int(psql("SELECT party_id FROM dist.party WHERE code = 'PROP-O';")[0])

        def line(ordinal):
            return dict({"ordinal": ordinal, "item_id": ids[rng.choice(("PROP-21", "PROP-22", "PROP-23", "PROP-23", "PROP-23", "PROP-23"))], "base_quantity": rng.choice((1, 2, 0.5, 5, 1.000000))},
                        **{"item_id": rng.choice((ids["KIT-PROP"], 10**9)), "base_quantity": rng.choice((1, 0, -1, None))} if rng.random() < 0.03 else {},
                        **{"site_id": rng.choice(sites + [10**9])} if rng.random() < 0.4 else {}, **{"demand_key": f"PROP/OR{rng.randrange(9)}/{ordinal}"} if rng.random() < 0.8 else {},
                        **{"requested_at": rng.choice(("2999-01-02T10:00:00+00:00", "2026-11-26T16:38:56.36791+05:30", None))} if rng.random() < 0.3 else {})

        def options():
            return dict([pair for pair in (("holder", "PROP/OR"), ("customer_id", customer), ("channel_id", None), ("mode", rng.choice(("all_or_none", "take_up_to"))), ("split", rng.choice((True, False))), ("commit", True),
                                           ("priority", 50), ("kind", "hard"), ("kits", True), ("correlation_id", "00000000-0000-4000-8000-000000000001")) if rng.random() < (0.9 if pair[0] in ("kits", "commit") else 0.5)])

        cases = [tuple(f"SELECT regexp_replace(to_jsonb(r)::text, '\"reservation_id\": [0-9]+', '\"reservation_id\": 0', 'g') FROM distsync_internal.{verb}({lines}, {chosen}) r;\n" for verb in ("inventory_reserve", "inventory_promise_whole"))
                 for lines, chosen in ((literal([line(n + 1) for n in range(6) if rng.random() < 0.5] or [line(3)]), literal(options())) for _ in range(300))]
        answers = self.both_ways(COLD + "SELECT distsync_internal.inventory_fold(array_agg(item_id), array_agg(site_id)) FROM dist.stock_pool;\nSELECT count(*) = 0 FROM dist.stock_pool WHERE slots > 0;\n", cases, LEFT)
        for wanted in ('"outcome": "reserved"', '"outcome": "refused"', '"outcome": "short"', '"outcome": "partial"', '"demand_key": "PROP/OR'):
            self.assertGreater(len([answer for answer in answers if wanted in answer]), 0, wanted)
        self.both_ways(HOT + "".join(reserve([{"item": f"PROP-{i}", "quantity": 0.01, "site": f"PROP-S{s}"}]) for i in (21, 22, 23) for s in (1, 2)) + "SELECT count(*) >= 2 FROM dist.stock_pool WHERE slots > 0;\n", cases[:150], PROMISED)

    def compare(self, settings, cases, left):
        answers = self.both_ways(settings, [tuple(f"SELECT to_jsonb(r) - '{{reservation_id,expires_at}}'::text[] FROM {verb}({lines}, {options}) r;\n" for verb in ("distsync.reserve", "distsync_internal.inventory_reserve_whole"))
                                            for lines, options in cases], left)
        self.assertGreater(len([answer for answer in answers if '"outcome": "reserved"' in answer]), len(cases) / 8)
        self.assertGreater(len([answer for answer in answers if '"available_at": "2999-' in answer]), len(cases) / 100)

    def both_ways(self, settings, cases, left):
        """Makes each call of each pair in a transaction of its own that is rolled back; what is answered and what is left in it is the same. Returns the answers."""
        script = settings + "SELECT '---';\n" + "".join(f"BEGIN;\n{call}{left}ROLLBACK;\nSELECT '---';\n" for pair in cases for call in pair)
        answers = re.sub(r'"(?!2999)\d{4}-\d\d-\d\dT[^"]*"', '"instant"', "\n".join(psql(script)).replace("inventory_reserve_whole", "reserve").replace("inventory_promise_whole", "inventory_reserve")).split("---")
        self.assertEqual(answers.pop(0).split()[-1], "t")
        self.assertEqual(len(answers), 2 * len(cases) + 1)
        self.assertEqual([line for answer in answers for line in answer.splitlines() if "ERROR: " in line and not re.search("ERROR:  (SD0|25P02)", line)], [])
        for n, case in enumerate(cases):
            first, second = ([part for part in answers[2 * n + way].strip().splitlines() if not part.startswith(("CONTEXT", "LOCATION", "PL/pgSQL", "SQL "))] for way in (0, 1))
            self.assertEqual(first, second, case)
        return answers

    def test_settles_two_ways(self):
        """What commit, release and extend do in C and what they do in SQL is the same, to the row, whatever has become of what they name."""
        rng = random.Random(SEED)
        kit = {"sku": "KIT-TWO", "base_unit": "EA", "kit": True, "components": [{"sku": "PROP-15", "quantity": 1}, {"sku": "PROP-16", "quantity": 2}]}
        psql(events([{"event_id": f"two{i}-{s}", "kind": "count", "sku": f"PROP-{i}", "site": f"PROP-S{s}", "quantity": 300, "event_at": "2024-01-01T00:00:00Z"} for i in (15, 16, 17, 18) for s in (1, 2)])
             + f"SELECT outcome FROM distsync.apply('item', {literal(kit)}, 'distsync');\n"
             # at one site promises wait for supply, at another some time will pass
             + f"SELECT outcome FROM distsync.apply('item_site', {literal({'sku': 'PROP-17', 'site': 'PROP-S2', 'backorder_cap': 500})}, 'prop-erp');\n"
             + f"SELECT outcome FROM distsync.apply('supply', {literal({'kind': 'purchase', 'reference': 'two', 'sku': 'PROP-18', 'site': 'PROP-S1', 'quantity': 9, 'expected_at': '2999-01-01T00:00:00Z'})}, 'prop-erp');\n"
             + f"SELECT outcome FROM distsync.apply_all('demand', {literal([{'demand_key': f'PROP/TWO{n}/1', 'sku': 'PROP-15', 'site': 'PROP-S1', 'ordered': rng.randrange(1, 9)} for n in range(2)])}, 'prop-erp');\n")

        def promise():
            sku = rng.choice(("PROP-15", "PROP-16", "PROP-17", "PROP-18", "KIT-TWO"))
            line = dict({"item": sku, "quantity": rng.randrange(1, 7) if sku == "KIT-TWO" else rng.choice((1, 2, 5, 2.5, 0.000001)), "site": f"PROP-S{rng.choice((1, 2))}"}, **rng.choice(({}, {"demand_key": f"PROP/TWO{rng.randrange(4)}/1"})))
            return reserve([line], holder=f"two{rng.randrange(3)}", ttl=rng.choice(("1 hour", "2 hours", "1 milliseconds" if sku == "PROP-18" else "1 hour", "1 milliseconds" if sku == "PROP-18" else "3 hours")), commit=rng.random() < 0.15, **rng.choice(({}, {}, {"use_safety": True}, {"kind": "soft", "reason": "x"})))

        psql(COLD + "".join(promise() for _ in range(120)) + reserve([{"item": "PROP-17", "quantity": 310, "site": "PROP-S2"}], holder="two0", ttl="1 hour"))
        ids = [int(line) for line in psql("SELECT reservation_id FROM dist.reservation WHERE holder LIKE 'two%' ORDER BY reservation_id;")]
        psql("".join(f"SELECT count(*) FROM distsync.commit_reservation({number}, 1, '{{\"keep_rest\":true}}');\n" for number in rng.sample(ids, 20)) + "".join(f"SELECT count(*) FROM distsync.release_reservation({number});\n" for number in rng.sample(ids, 6))
             + "".join(f"SELECT distsync_internal.inventory_ship((SELECT item_id FROM dist.item WHERE sku = 'PROP-{i}'), (SELECT site_id FROM dist.site WHERE code = 'PROP-S1'), 'PROP/TWO{n}/1', 1, '2024-01-03T00:00:00Z', 'prop-wms', 'TWO');\n" for i in (15, 16) for n in (2, 3)))
        live = [int(line) for line in psql("SELECT reservation_id FROM dist.reservation WHERE holder LIKE 'two%' AND state = 'held' AND expires_at > now() + interval '1 minute' AND kind = 'hard' ORDER BY reservation_id;")]
        ids.append(10**9)

        def said(value):
            return "NULL" if value is None else f"'{value}'"

        def options(verb, many):
            chances = [("keep_rest", rng.choice((True, False)), 0.3 if verb == "commit" else 0.01), ("void", rng.choice((True, False)), 0.4 if verb == "release" else 0.01), ("holder", f"two{rng.randrange(3)}", 0.15),
                       ("idempotency_key", "two", 0.12), ("source", "prop-erp", 0.05), ("reason", "because", 0.1), ("on_error", rng.choice(("abort", "collect")), 0.4 if many else 0.01), ("on_error", "x", 0.01), ("holder", "", 0.01), ("void", 1, 0.01)]
            return literal({name: value for name, value, chance in chances if rng.random() < chance})

        def case():
            verb = rng.choice(("commit", "release", "extend", "commit", "release"))
            if verb == "extend" or rng.random() < 0.6:
                amount, number, chosen = rng.choice((None, None, None, 1, 1, 2, 0.5, "1.0", 0, -1, 99, "NaN", "0.0000001")), rng.choice(ids if rng.random() < 0.3 else live), options(verb, False)
                ttl = rng.choice(("15 minutes", "3 hours", "1 day 2 hours", "1 month", "-1 hours", "0"))
                arguments = f"{number}, {said(ttl)}::interval, {chosen}" if verb == "extend" else f"{number}, {said(amount)}::numeric, {chosen}"
                whole = f"'{verb}', {number}, {'NULL' if verb == 'extend' else said(amount)}, {said(ttl) if verb == 'extend' else 'NULL'}, {chosen}"
                return tuple(f"SELECT to_jsonb(r) FROM {call} r;\n" for call in (f"distsync.{verb}_reservation({arguments})", f"distsync_internal.inventory_hold_one({whole})"))
            numbers = rng.sample(live, rng.choice((1, 2, 3, 8))) + ([rng.choice(ids)] * rng.choice((1, 1, 2)) if rng.random() < 0.3 else []) + ([rng.choice((10**9, 10**9, 10**9 + 1))] if rng.random() < 0.2 else [])
            lines = [dict({"reservation_id": number}, **rng.choice(({}, {}, {}, {"quantity": rng.choice((1, 0.000001, 0.5))}, {"quantity": rng.choice((1, 2, 99, "1", None))}))) for number in numbers]
            chosen = options(verb, True)
            lines = literal(lines if rng.random() < 0.8 or "holder" not in chosen else None).replace("'null'", "NULL")
            return tuple(f"SELECT to_jsonb(r) FROM {call} r;\n" for call in (f"distsync.{verb}_reservations({lines}, {chosen})", f"distsync_internal.inventory_hold_many('{verb}', {lines}, {chosen})"))

        over = psql("SELECT reservation_id FROM dist.reservation WHERE holder LIKE 'two%' AND state = 'held' AND expires_at < now() ORDER BY 1 LIMIT 3;")
        cases = [case() for _ in range(500)] + [tuple(f"SELECT to_jsonb(r) FROM {call} r;\n" for call in (f"distsync.commit_reservation({number})", f"distsync_internal.inventory_hold_one('commit', {number}, NULL, NULL, '{{}}')")) for number in over]
        answers = self.both_ways(COLD + "SELECT distsync_internal.inventory_fold(array_agg(item_id), array_agg(site_id)) FROM dist.stock_pool;\nSELECT count(*) = 0 FROM dist.stock_pool WHERE slots > 0;\n", cases, SETTLED)
        for wanted in ('"state": "committed"', '"state": "released"', '"state": "void"', '"kit": "KIT-TWO"', '"outcome": "done"', '"outcome": "rejected"', "SD041", "SD042"):
            self.assertGreater(len([answer for answer in answers if wanted in answer]), 0, wanted)
        # where pools have slots the rows differ, but no answer, and no sum
        self.both_ways(HOT + "".join(reserve([{"item": f"PROP-{i}", "quantity": 0.01, "site": f"PROP-S{s}"}]) for i in (15, 16, 18) for s in (1, 2)) + "SELECT count(*) >= 3 FROM dist.stock_pool WHERE slots > 0;\n", cases[:200], PROMISED)
        self.assert_whole()

    def test_lines_others_speak_of(self):
        """Little stock, and lines that the ERP and the warehouse know already: each call is answered, alone as under fire."""
        rng = random.Random(SEED)

        def keys():
            return f"PROP/L{rng.randrange(4)}/1"

        def act(sku, name):
            site, key = f"PROP-S{rng.choice((1, 2))}", keys()
            ids = f"(SELECT item_id FROM dist.item WHERE sku = '{sku}'), (SELECT site_id FROM dist.site WHERE code = '{site}')"
            lines = [dict({"item": sku, "quantity": rng.randrange(1, 6)}, **rng.choice(({"demand_key": key}, {"demand_key": key}, {"demand_key": keys()}, {})), **rng.choice(({}, {"site": site})))
                     for _ in range(rng.randrange(1, 4))]
            return rng.choice((
                lambda: reserve(lines, commit=True, mode=rng.choice(MODES), split=rng.choice((True, False))),
                lambda: f"SELECT outcome FROM distsync.apply('supply', {literal({'kind': 'purchase', 'reference': f'L{rng.randrange(3)}', 'sku': sku, 'site': site, 'quantity': rng.choice((0, 5, 9)), 'status': 'open', 'expected_at': f'2999-01-0{rng.randrange(1, 9)}T00:00:00Z'})}, 'prop-erp');\n",
                lambda: reserve(lines, commit=True),
                lambda: f"SELECT distsync_internal.inventory_demand({ids}, '{key}', NULL, {rng.choice((0, 0, rng.randrange(8)))}, {rng.choice(('NULL', 'now() + interval $$1 day$$'))});\n",
                lambda: f"SELECT distsync_internal.inventory_ship({ids}, '{key}', {rng.randrange(1, 4)}, '2024-01-02T12:00:00Z', 'prop-wms', '{name}');\n",
                lambda: f"SELECT distsync_internal.inventory_release('{key}', {rng.randrange(1, 4)});\n",
                lambda: events([{"event_id": name, "sku": sku, "site": site, "kind": "count", "quantity": rng.randrange(20), "event_at": "2024-01-02T00:00:00Z"}])))()

        psql(events([{"event_id": f"spoken{i}-{s}", "kind": "count", "sku": f"PROP-{i}", "site": f"PROP-S{s}", "quantity": 5, "event_at": "2024-01-01T00:00:00Z"} for i in (9, 10) for s in (1, 2)]))
        for sku, scripts in (("PROP-9", 1), ("PROP-10", 6)):
            out = together(["".join(act(sku, f"{sku}-{n}-{step}") for step in range(400 // scripts)) for n in range(scripts)])
            self.assertEqual([line for line in out if "ERROR" in line], [])
            self.assertIn("reserved", {line.split()[0] for line in out if line})
            self.assert_whole()

    def test_zz_retention(self):
        """What all the tests before have left is made two years older, and what has ended is cleared away: nothing is answered otherwise, and all of it is as it should be."""
        answers = ("SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT concat_ws('|', i.sku, s.code, a.atp, a.projected, a.atp_phys, a.atp_book, a.on_hand, a.basis, a.detail) AS x FROM (SELECT sku FROM dist.item WHERE sku LIKE 'PROP-%') i, "
                   "(SELECT NULL AS code UNION ALL SELECT code FROM dist.site WHERE code LIKE 'PROP-S%') s, LATERAL distsync.atp(i.sku, 1, NULL, s.code) a "
                   "UNION ALL SELECT concat_ws('|', i.sku, t.supply, t.demand, t.projected, t.atp, t.detail) FROM (SELECT sku FROM dist.item WHERE sku LIKE 'PROP-%') i, LATERAL distsync.atp_timeline(i.sku) t) u;")
        old = "".join(f"UPDATE dist.{table} SET {column} = {column} - interval '2 years';" for table, column in (
            ("reservation", "created_at"), ("reservation", "ended_at"), ("demand", "closed_since"), ("supply", "closed_since")))
        clear = ("DELETE FROM sync.progress WHERE operation = 'stock rows';\nDO $$ DECLARE n integer := 1; BEGIN WHILE n > 0 LOOP n := distsync_internal.inventory_clear(100); END LOOP; END $$;\n")
        self.assertEqual(psql("SELECT distsync_internal.inventory_sweep(100000) * 0;"), ["0"])
        before = psql(answers)
        self.assertGreater(int(psql("SELECT count(*) FROM dist.reservation;")[0]), 0)
        self.assertEqual(psql(clear + "BEGIN;" + old + "COMMIT;" + clear), [])
        self.assertEqual(psql(answers), before)
        self.assertEqual(psql(BROKEN + ";"), [])
        self.assertEqual(psql("SELECT count(*) FROM dist.reservation WHERE state IN ('released', 'expired', 'void');"), ["0"])
        self.assertEqual(psql("SELECT count(*) FROM dist.reservation r WHERE r.state = 'shipped' AND r.quota_ids IS NULL AND r.kit_group IS NULL AND NOT EXISTS (SELECT FROM dist.demand d WHERE d.demand_key = r.demand_key AND d.item_id = r.item_id AND d.site_id = r.site_id AND d.status = 'open');"), ["0"])
        self.assertEqual(psql("SELECT count(*) FROM distsync.rebuild_stock(NULL, NULL, '{\"dry_run\":true}');"), ["0"])

    def test_feeds_in_any_order(self):
        """Deltas, counts and reversals, permuted, told twice, in batches of any size: the same balance."""
        rng = random.Random(SEED)
        script, wanted = "", []
        for case in range(40):
            feed = []
            for n in range(rng.randrange(3, 9)):
                kind = rng.choice(("delta", "delta", "count"))
                feed.append({"event_id": f"feed{case}-{n}", "kind": kind, "sku": "PROP-8", "site": "PROP-S1", "quantity": rng.randrange(50) if kind == "count" else rng.randrange(-9, 10),
                             "event_at": f"2024-01-{n + 1:02}T00:00:00Z"})
            told = feed + rng.sample(feed, rng.randrange(len(feed)))
            rng.shuffle(told)
            balance = 0
            for event in feed:
                balance = event["quantity"] if event["kind"] == "count" else balance + event["quantity"]
            wanted.append(f"{balance:.6f}")
            while told:
                size = rng.randrange(1, 4)
                script += events([dict(event, lot=f"feed{case}") for event in told[:size]]).replace("SELECT outcome", "SELECT count(*) = 0 OR NULL")
                told = told[size:]
            script += (f"SELECT sum(quantity) FROM dist.stock_balance WHERE lot = 'feed{case}';\n")
        self.assertEqual([line for line in psql(script) if line], wanted)
        self.assert_whole()

    def test_timelines(self):
        """Supply and demand at a few instants, of any size, certainty and name, at two sites: what is to come, told in two ways."""
        rng = random.Random(SEED)

        def at():
            return f"{rng.choice(('2024-01-01', '2999-01-01', '2999-01-02', '2999-01-03'))}T0{rng.randrange(3)}:00:00Z"

        def quantity():
            return rng.choice((0, 1, 7, 0.000001, 12.5, 333.333333, 99999999999.999999, rng.randrange(100)))

        for case in range(8):
            sku = f"PROP-TL{case}"
            supply = [{"kind": rng.choice(("purchase", "transfer", "return")), "reference": rng.choice("abBÄé") + str(n), "sku": sku, "site": f"PROP-S{rng.choice((1, 2))}", "quantity": quantity(),
                       "received": rng.choice((0, 0, 1)), "confidence": rng.choice((1, 1, 0, 0.5, 0.3333)), "expected_at": at()} for n in range(rng.randrange(15))]
            demand = [{"demand_key": f"PROP/TL{case}/{rng.choice('aBc')}{n}", "sku": sku, "site": f"PROP-S{rng.choice((1, 2))}", "ordered": quantity(), "allocated": rng.choice((0, 0, 5)),
                       "required_at": at()} for n in range(rng.randrange(15))]
            out = psql(f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA'})}, 'distsync');\n"
                       + events([{"event_id": f"tl{case}-{s}", "kind": "count", "sku": sku, "site": f"PROP-S{s}", "quantity": quantity(), "event_at": "2024-01-01T00:00:00Z"} for s in (1, 2)])
                       + f"SELECT outcome FROM distsync.apply_all('supply', {literal(supply)}, 'prop-erp');\nSELECT outcome FROM distsync.apply_all('demand', {literal(demand)}, 'prop-erp');\n"
                       + reserve([{"item": sku, "quantity": 2}], mode="take_up_to"))
            self.assertEqual([line for line in out if "ERROR" in line], [])
            if demand and supply:
                self.assertGreater(int(psql(f"SELECT count(*) FROM distsync.atp_timeline('{sku}');")[0]), 0)
        # an answer does not depend on the width of its numbers
        psql("UPDATE dist.supply s SET quantity = 99999999999999 FROM dist.item i WHERE i.item_id = s.item_id AND i.sku IN ('PROP-TL0', 'PROP-TL1');\nSELECT distsync_internal.inventory_rebuild();")
        self.assert_whole()

    def test_calendars(self):
        """Calendars of any kind, asked at any instant: when it ships, told in two ways."""
        rng = random.Random(SEED)
        days = [f"2027-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
        calendars = [{"code": f"PROP-CAL{n}", "tz": rng.choice(("UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")), "weekdays": rng.sample(range(1, 8), rng.randrange(8)),
                      "cut_off": rng.choice(("00:00", "02:30", "16:00", "23:59")),
                      "days": [dict({"day": day, "open": rng.random() < 0.5}, **rng.choice(({}, {"cut_off": "09:00"}))) for day in rng.sample(days, 60)]} for n in range(8)]
        sites = [{"code": f"PROP-C{n}", "name": "s", "company": "PROP", "calendar": f"PROP-CAL{n}", "can_ship": n != 7} for n in range(8)]
        out = psql(f"SELECT outcome FROM distsync.apply_all('calendar', {literal(calendars)}, 'distsync');\nSELECT outcome FROM distsync.apply_all('site', {literal(sites)}, 'distsync');\n"
                   + events([{"event_id": f"cal{n}", "kind": "count", "sku": "PROP-11", "site": f"PROP-C{n}", "quantity": 5, "event_at": "2024-01-01T00:00:00Z"} for n in range(8)]))
        self.assertEqual([line for line in out if "ERROR" in line], [])
        # around days and nights of the year, at the cut-offs themselves, and where clocks are set
        instants = [f"{rng.choice(days)}T{rng.randrange(24):02}:{rng.choice((0, 30, 59)):02}:00Z" for _ in range(40)] + ["2027-03-14T07:00:00Z", "2027-11-07T05:30:00Z"]
        asked = "SELECT {} FROM dist.site s, unnest('{{{}}}'::timestamptz[]) t, distsync.atp('PROP-11', 1, NULL, s.code, t) a, distsync_internal.inventory_atp_whole('PROP-11', 1, NULL, s.code, t, '{{}}') w WHERE s.code LIKE 'PROP-C%'"
        self.assertEqual(psql(asked.format("s.code, t, a, w", ",".join(instants)) + " AND a::text IS DISTINCT FROM w::text LIMIT 3;"), [])
        self.assertGreater(int(psql(asked.format("count(DISTINCT a.ship_at)", ",".join(instants)) + ";")[0]), 20)
        self.assert_whole()

    def test_one_kit_in_any_order(self):
        """An order line of a kit: ours, the ERP's, the warehouse's allocation of its components, and their shipments, in every order: each component is wanted once."""
        for order, names in enumerate(itertools.permutations(("reserve", "ordered", "allocated", "shipped x", "shipped y"))):
            if names.index("reserve") > min(names.index("shipped x"), names.index("shipped y")):
                continue  # what has left is not reserved any more
            x, y, kit, key = f"PROP-KX{order}", f"PROP-KY{order}", f"PROP-KK{order}", f"PROP/KIT{order}/1"
            ship = "SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, '{}', {}, '2024-01-03T00:00:00Z', 'prop-wms', 'KIT') FROM dist.item i, dist.site s WHERE i.sku = '{}' AND s.code = 'PROP-S1';\n"
            steps = {
                "reserve": reserve([{"item": kit, "quantity": 3, "site": "PROP-S1", "demand_key": key}], commit=True),
                "ordered": f"SELECT outcome FROM distsync.apply('demand', {literal({'demand_key': key, 'sku': kit, 'site': 'PROP-S1', 'ordered': 3})}, 'prop-erp');\n",
                "allocated": f"SELECT outcome FROM distsync.apply_all('demand', {literal([{'demand_key': key, 'sku': sku, 'site': 'PROP-S1', 'allocated': quantity} for sku, quantity in ((x, 6), (y, 3))])}, 'prop-wms');\n",
                "shipped x": ship.format(key, 6, x), "shipped y": ship.format(key, 3, y),
            }
            out = psql(f"SELECT outcome FROM distsync.apply_all('item', {literal([{'sku': sku, 'base_unit': 'EA'} for sku in (x, y)])}, 'distsync');\n"
                       f"SELECT outcome FROM distsync.apply('item', {literal({'sku': kit, 'base_unit': 'EA', 'kit': True, 'components': [{'sku': x, 'quantity': 2}, {'sku': y, 'quantity': 1}]})}, 'distsync');\n"
                       + events([{"event_id": f"kit{order}{sku}", "kind": "count", "sku": sku, "site": "PROP-S1", "quantity": 20, "event_at": "2024-01-02T00:00:00Z"} for sku in (x, y)]) + "".join(steps[name] for name in names))
            self.assertEqual([line for line in out if "ERROR" in line or "rejected" in line], [], names)
            # at the end as at any moment before: six of the one and three of the other are gone
            self.assertEqual(psql(f"SELECT a.atp, b.atp, k.atp, k.projected FROM distsync.atp('{x}') a, distsync.atp('{y}') b, distsync.atp('{kit}') k;"), ["14|17|7|7"], names)
        self.assert_whole()

    def test_one_demand_in_any_order(self):
        """Our reservation, the ERP's order line, the shipment and its posting in the book, in every order: counted once."""
        order = 0
        for names in itertools.permutations(("reserve", "ordered", "shipped", "posted")):
            if names.index("reserve") > names.index("shipped"):
                continue  # what has left is not reserved any more
            order += 1
            sku, key = f"PROP-ONE{order}", f"PROP/ONE{order}/1"
            event = {"sku": sku, "site": "PROP-S1", "event_at": "2024-01-03T00:00:00Z"}
            ids = f"FROM dist.item i, dist.site s WHERE i.sku = '{sku}' AND s.code = 'PROP-S1';\n"
            steps = {
                "reserve": "SELECT p.outcome FROM dist.item i, distsync_internal.inventory_reserve(jsonb_build_array(jsonb_build_object('ordinal', 1, 'item_id', i.item_id, "
                           f"'base_quantity', 5, 'demand_key', '{key}')), '{{\"commit\":true}}') p WHERE i.sku = '{sku}';\n",
                "ordered": f"SELECT distsync_internal.inventory_demand(i.item_id, s.site_id, '{key}', NULL, 5, NULL) {ids}",
                "shipped": f"SELECT distsync_internal.inventory_ship(i.item_id, s.site_id, '{key}', 5, '2024-01-03T00:00:00Z', 'prop-wms', 'ONE{order}') {ids}",
                "posted": events([dict(event, event_id=f"one{order}-3", kind="ship", quantity=5, reference=f"ONE{order}")], "prop-erp"),
            }
            count = dict(event, kind="count", quantity=20, event_at="2024-01-02T00:00:00Z")
            out = psql(f"SELECT outcome FROM distsync.apply('item', {literal({'sku': sku, 'base_unit': 'EA'})}, 'distsync');\n"
                       + events([dict(count, event_id=f"one{order}-1")]) + events([dict(count, event_id=f"one{order}-2")], "prop-erp") + "".join(steps[name] for name in names))
            self.assertEqual([line for line in out if "ERROR" in line], [], names)
            self.assertEqual(psql(f"SELECT atp, projected, atp_book, atp_phys FROM distsync.atp('{sku}', 1, NULL, 'PROP-S1');"), ["15|15|15|15"], names)
        self.assert_whole()


if __name__ == "__main__":
    unittest.main()
