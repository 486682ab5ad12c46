"""submit_order() and order_submit_whole(), its long way in SQL, must answer and keep the same, to the last digit, of random orders in random worlds: units, sites,
policies, limits, agreed volumes, kits, blocked items, expected prices, taxes, PO numbers, keys, and documents with something wrong.

Each order is submitted both ways in a transaction that is put back; whatever the ways left in the tables is compared, without the instants of the clock and the
random names. SEED=n repeats a run, WORLD=n plays one world, WORLDS=n (or TIMES=n as many as usual) says how many.
"""
import datetime
import json
import os
import random
import unittest

from test_inventory import events, literal, psql

SEED = int(os.environ.get("SEED") or random.randrange(10**9))
# commands are of the last day
NOW = datetime.datetime.now(datetime.timezone.utc)
WORLDS = int(os.environ.get("WORLDS") or 6 * int(os.environ.get("TIMES") or 1))
ORDERS = 60
SOURCE = "oa-erp"

# what either way leaves: every row of these tables, as text, without the clock and random names; run() does an order one way and puts it back
HARNESS = r"""
SET timezone = 'UTC';
SET track_functions = 'all';
-- both ways draw the same numbers, which nobody has drawn yet
SELECT set_config('order_agree.first', (10000000 + max(last_value))::text, false) FROM pg_sequences WHERE schemaname IN ('dist', 'sync') \g /dev/null
CREATE FUNCTION pg_temp.masked(t text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(t, '"order_id": \d+|\mD\d{8,}\M', '"order_id": 0', 'g'), '"(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00)"', '"@"', 'g'), '"(message_id|request_id|xid|correlation_id|lease_id|waited_us)": ("[^"]*"|\d+)', '"\1": "#"', 'g'), '[0-9a-f]{64}', '$', 'g') $$;
CREATE FUNCTION pg_temp.kept() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE t text; r text[]; result jsonb := '{}';
BEGIN
    FOREACH t IN ARRAY ARRAY['dist.sales_order', 'dist.order_line', 'dist.demand', 'dist.reservation', 'dist.stock_pool', 'dist.credit_account', 'dist.credit_decision', 'dist.hold', 'dist.commitment', 'dist.price_proof',
            'dist.order_line_moved', 'sync.audit', 'sync.outbox_customer', 'sync.outbox_item', 'sync.idempotency', 'sync.exception'] LOOP
-- a state that a subtransaction has told of already is told of again: that says no more
        EXECUTE format('SELECT COALESCE(array_agg(x.t ORDER BY x.t COLLATE "C"), ''{}'') FROM (SELECT %s pg_temp.masked((to_jsonb(k) %s)::text) AS t FROM %s k) x', CASE t WHEN 'sync.outbox_item' THEN 'DISTINCT' END,
            CASE t WHEN 'sync.outbox_item' THEN '- ''outbox_id'' ' END, t) INTO r;
        result := result || jsonb_build_object(t, r);
    END LOOP;
    RETURN result;
END $$;
-- as the owner of the books, as the verb is
CREATE SCHEMA IF NOT EXISTS order_agree;
CREATE OR REPLACE FUNCTION order_agree.whole(d jsonb, k text) RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT jsonb_agg(to_jsonb(s)) FROM distsync_internal.order_submit_whole(d, k) s $$;
ALTER FUNCTION order_agree.whole(jsonb, text) OWNER TO distsync_owner;
CREATE OR REPLACE FUNCTION order_agree.short(d jsonb, k text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_agg(to_jsonb(s)) FROM distsync.submit_order(d, k) s $$;
CREATE FUNCTION pg_temp.run(way text, d jsonb, k text, again boolean) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE answer jsonb; kept jsonb; code text; message text; detail text; hint text; field text;
BEGIN
    PERFORM setval(s.oid::regclass, current_setting('order_agree.first')::bigint) FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace WHERE s.relkind = 'S' AND n.nspname IN ('dist', 'sync');
    BEGIN
        FOR i IN 0..again::int LOOP
            EXECUTE format('SELECT order_agree.%I($1, $2)', way) INTO answer USING d, k;
        END LOOP;
        kept := pg_temp.kept();
        RAISE EXCEPTION USING ERRCODE = 'XX999', MESSAGE = 'back';
    EXCEPTION WHEN SQLSTATE 'XX999' THEN
        RETURN jsonb_build_object('answer', pg_temp.masked(answer::text), 'kept', kept);
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, field = COLUMN_NAME;
        RETURN jsonb_build_object('error', ARRAY[code, message, detail, hint, field]);
    END;
END $$;
-- what differs between the two ways, nothing if nothing does; and whether the short way was open
CREATE FUNCTION pg_temp.both(d jsonb, k text, again boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a jsonb; b jsonb; t text; wrong text := ''; before bigint := COALESCE(pg_stat_get_xact_function_calls('distsync_internal.order_submit_whole'::regproc), 0); fell bigint;
BEGIN
    a := pg_temp.run('short', d, k, again);
    fell := COALESCE(pg_stat_get_xact_function_calls('distsync_internal.order_submit_whole'::regproc), 0) - before;
    b := pg_temp.run('whole', d, k, again);
    IF a - 'kept' IS DISTINCT FROM b - 'kept' THEN
        wrong := format(E'answers differ\n  short %s\n  whole %s\n', a - 'kept', b - 'kept');
    END IF;
    FOR t IN SELECT jsonb_object_keys(a -> 'kept') LOOP
        IF a -> 'kept' -> t IS DISTINCT FROM b -> 'kept' -> t THEN
            wrong := wrong || format(E'%s differs\n  short %s\n  whole %s\n', t,
                (SELECT jsonb_agg(x) FROM jsonb_array_elements(a -> 'kept' -> t) x WHERE NOT b -> 'kept' -> t @> x), (SELECT jsonb_agg(x) FROM jsonb_array_elements(b -> 'kept' -> t) x WHERE NOT a -> 'kept' -> t @> x));
        END IF;
    END LOOP;
    RETURN CASE WHEN wrong <> '' THEN 'DIFFERS ' || wrong WHEN a ? 'error' THEN 'error' WHEN fell > again::int THEN 'whole' WHEN fell = again::int AND NOT again OR fell < 2 AND again THEN 'short' ELSE 'whole' END;
END $$;
"""


class OrderAgree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)

    @staticmethod
    def apply(entity, *documents):
        return f"SELECT DISTINCT outcome FROM distsync.apply_all('{entity}', {literal(list(documents))}, '{SOURCE}');\n"

    def world(self, rng, w):
        """The script that makes a world, all of whose codes begin with w."""
        items = [{"sku": f"{w}-{n}", "name": f"Item {n}", "base_unit": rng.choice(("OA-EA", "OA-EA", "OA-KG")), "units": [{"unit": "OA-BX", "numerator": 12, "denominator": 1}, {"unit": "OA-PK", "numerator": 5, "denominator": 2}]} for n in range(8)]
        items[6]["status"] = rng.choice(("active", "blocked", "inactive"))
        rates = [{"what": f"{w}-{n}", "value": str(rng.choice(("10", "4.5", "0.3333", "1250"))), **({"price_per": 100} if rng.random() < 0.2 else {})} for n in range(7)]
        parties = [{"code": f"{w}-{c}", "name": f"Party {c}", "currency": "USD", "address": {"lines": [c], "city": "X"}} for c in "GABCDP"]
        parties[1]["payer"] = f"{w}-P" if rng.random() < 0.5 else None
        parties[2]["order_policy"] = rng.choice(({}, {"shortage": "cut"}, {"shortage": "reject", "split": False}, {"all_or_none": True}, {"priority": 5, "answer_within": "2 days"}, {"on_hold": "refuse"}))
        parties[4]["status"] = rng.choice(("active", "blocked", "inactive"))
        script = (self.apply("company", {"code": w, "name": "c", "currency": "USD", "tz": "Europe/Berlin"}) + self.apply("site", *[{"code": f"{w}-{s}", "name": s, "company": w, "rank": n} for n, s in enumerate(("E", "W"))])
                  + self.apply("party", parties[0], parties[5]) + self.apply("party", *parties[1:5], {"code": f"{w}-S", "name": "Dock", "kind": "ship_to", "parent": f"{w}-A"}, {"code": f"{w}-J", "name": "Job", "kind": "job", "parent": f"{w}-A"})
                  + self.apply("channel", {"code": f"{w}-SHOP", "name": "s"}) + self.apply("item", *items)
                  + self.apply("item", {"sku": f"{w}-KIT", "name": "Kit", "base_unit": "OA-EA", "kit": True, "components": [{"sku": f"{w}-0", "quantity": 2}, {"sku": f"{w}-1", "quantity": 1}]})
                  + self.apply("agreement", {"code": f"{w}-LIST", "slot": "list", "company": w, "currency": "USD", "assignments": [{"who_kind": "all"}], "publish": True, "rates": rates + [{"what": f"{w}-KIT", "value": "20"}]},
                               {"code": f"{w}-C", "slot": "contract", "company": w, "currency": "USD", "publish": True, **({"commit_quantity": "40", "cap_behavior": rng.choice(("stop", "warn", "continue"))} if rng.random() < 0.4 else {}),
                                "rates": [{"customer": f"{w}-A", "what": f"{w}-{n}", "value": "3.75"} for n in (0, 3)]}))
        stock = []
        for n in range(7):
            for s in ("E", "W"):
                if rng.random() < 0.85:
                    stock.append({"event_id": f"{w}-{n}-{s}", "kind": "count", "sku": f"{w}-{n}", "site": f"{w}-{s}", "quantity": rng.choice((0, 7, 60) + (100000,) * 9), "event_at": "2024-01-01T00:00:00Z"})
        script += events(stock, "oa-wms") + events(stock, SOURCE)
        accounts = [{"code": f"{w}-AG", "customer": f"{w}-G", "currency": "USD", "limit": rng.choice((None, 500, 100000))}]
        for c in "ABDP":
            if rng.random() < 0.8:
                accounts.append({"code": f"{w}-A{c}", "customer": f"{w}-{c}", "company": w, "currency": "USD", "limit": rng.choice((None, 0, 200, 5000, 1000000)), **({"parent": f"{w}-AG"} if rng.random() < 0.4 else {}), **({"status": "blocked"} if rng.random() < 0.1 else {})})
        if rng.random() < 0.3:
            accounts.append({"code": f"{w}-AJ", "customer": f"{w}-J", "company": w, "currency": "USD", "limit": 5000})
        script += self.apply("credit_account", accounts[0]) + self.apply("credit_account", *accounts[1:])
        script += self.apply("payment", {"payment_number": f"{w}-DEP", "customer": f"{w}-A", "company": w, "currency": "USD", "amount": 300, "kind": "deposit", "order_number": f"{w}-PAID", "received_at": "2026-01-01T00:00:00Z"})
        if rng.random() < 0.5:
            script += f"SELECT distsync.own('order', '{rng.choice((SOURCE, 'distsync'))}', '{{\"company\": \"{w}\"}}');\n"
        script += f"SELECT state FROM distsync.submit_order({literal({'company': w, 'customer': f'{w}-A', 'order_number': f'{w}-TAKEN', 'customer_po': 'PO-1', 'lines': [{'item': f'{w}-2', 'quantity': 1}]})}, '{w}-used');\n"
        return script

    @staticmethod
    def line(rng, w, plain):
        """A line of an order; a plain one is what most are."""
        line = {"item": f"{w}-{rng.randrange(6)}", "quantity": rng.choice((1, 2, 3, 10, 2.5, 12))}
        if not plain and rng.random() < 0.3:
            line["item"] = rng.choice((f"{w}-6", f"{w}-7", f"{w}-KIT", "nothing", f"{w}-{rng.randrange(6)}"))
        extra = {"line": rng.randrange(1, 40), "unit": rng.choice(("OA-BX", "OA-PK", "OA-EA", "OA-KG")), "site": f"{w}-{rng.choice('EW')}", "requested_at": rng.choice(("2030-05-14T10:00:00Z", "2030-05-14T10:00:00+02:00")), "tax_code": "S",
                 "tax_amount": rng.choice((0, 1, 0.19)), "expected_price": rng.choice((10, "4.5", 3.75))}
        for name, value in extra.items():
            if rng.random() < (0.25 if name != "expected_price" else 0.1):
                line[name] = value
        if not plain and rng.random() < 0.5:
            line.update(rng.choice(({"quantity": 1000000}, {"quantity": "5"}, {"quantity": 0}, {"quantity": -1}, {"quantity": None}, {"line": 1.0}, {"line": 0}, {"unit": "none"}, {"site": "none"}, {"note": "x"}, {"ext": {"a": 1}}, {"net_amount": 5},
                                    {"requested_at": "2030-01-02"}, {"requested_at": "soon"}, {"expected_price": 4}, {"tax_amount": -1}, {"tax_amount": 0.00001}, {"quantity": 0.0000001}, {"item": None}, {"quantity": 99999999999999.5})))
        return line

    def order(self, rng, w, n):
        """A random order, its key, and whether it is sent twice."""
        plain = rng.random() < 0.75
        document = {"company": w, "customer": f"{w}-{rng.choice('AAABBBC' if plain else 'ABCDX')}", "ordered_at": (NOW - datetime.timedelta(minutes=rng.randrange(1, 1200))).strftime("%Y-%m-%dT%H:%M:%SZ"), "correlation_id": "6f2d0000-0000-4000-8000-%012d" % n,
                    "lines": [self.line(rng, w, plain or rng.random() < 0.6) for _ in range(rng.randrange(1, 7))]}
        extra = {"order_number": f"{w}-N{n}", "ship_to": f"{w}-S", "job": f"{w}-J", "channel": f"{w}-SHOP", "payer": f"{w}-P", "customer_po": rng.choice(("PO-1", "PO-2")), "currency": "USD", "requested_at": "2030-06-01T00:00:00Z", "source": rng.choice((SOURCE, "distsync")), "schema": "order/1",
                 "policy": rng.choice(({}, {"shortage": "cut"}, {"shortage": "reject"}, {"split": False}, {"all_or_none": True}, {"priority": 3}, {"answer_within": "1 day"}, {"held_stock": "none"}, {"duplicate_po": "allow"}, {"duplicate_po": "refuse"}, {"price_mismatch": "hold"}, {"price_tolerance": 50}))}
        for name, value in extra.items():
            if rng.random() < 0.3:
                document[name] = value
        if not plain and rng.random() < 0.5:
            document.update(rng.choice(({"order_number": f"{w}-TAKEN"}, {"order_number": f"{w}-PAID", "customer": f"{w}-A"}, {"order_number": "a/b"}, {"order_number": ""}, {"company": None}, {"company": "none"}, {"channel": "none"}, {"lines": []}, {"lines": {}}, {"note": "x"}, {"ext": {"a": 1}},
                                        {"currency": "EUR"}, {"currency": "XXX"}, {"policy": {"shortage": "maybe"}}, {"policy": {"other": 1}}, {"policy": 1}, {"source": "none"}, {"schema": "order/2"}, {"ordered_at": "2026-03-01"}, {"correlation_id": "x"}, {"ship_to": "none"}, {"payer": "none"})))
        if rng.random() < 0.1:
            del document["ordered_at"]
        key = rng.choice((None, f"{w}-key-{n}", f"{w}-key-{n}", f"{w}-used" if not plain else None, "" if not plain else None))
        return document, key, key not in (None, "") and rng.random() < 0.2

    def test_agree(self):
        """Both ways, of many orders in each of many worlds."""
        ways = {"short": 0, "whole": 0, "error": 0}
        psql(f"SELECT distsync.add_system('{SOURCE}', 'erp'), distsync.add_system('oa-wms', 'wms');\n" + self.apply("currency", {"currency": "USD"}, {"currency": "EUR"})
             + self.apply("unit", {"unit": "OA-EA", "scale": 0}, {"unit": "OA-KG", "scale": 3}, {"unit": "OA-BX", "scale": 0}, {"unit": "OA-PK", "scale": 1}))
        for number in [int(os.environ["WORLD"])] if os.environ.get("WORLD") else range(WORLDS):
            rng = random.Random(f"{SEED}/{number}")
            w = f"OA{SEED}{number}"
            out = psql(self.world(rng, w))
            self.assertEqual([line for line in out if "ERROR" in line or "rejected" in line], [], number)
            orders = [self.order(rng, w, n) for n in range(ORDERS)]
            out = psql(HARNESS + "".join(f"SELECT replace(pg_temp.both({literal(document)}, {'NULL' if key is None else literal(key)[1:-1].replace(chr(34), chr(39))}, {str(again).lower()}), E'\\n', ' | ');\n" for document, key, again in orders))
            self.assertEqual(len(out), len(orders), out[:5])
            for order, line in zip(orders, out):
                self.assertIn(line, ways, f"WORLD={number} {json.dumps(order[0])} key {order[1]} twice {order[2]}")
                ways[line] += 1
        psql("DROP SCHEMA order_agree CASCADE;\n")
        print(ways, flush=True)
        # the short way is open for most of what is usual, and the worlds have the rest too
        self.assertGreater(ways["short"], 4 * WORLDS)
        self.assertGreater(ways["whole"], 4 * WORLDS)
        self.assertGreater(ways["error"], WORLDS)


if __name__ == "__main__":
    unittest.main()
