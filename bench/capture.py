"""capture_cost: what capturing a change costs its writer."""

ITEMS = 10000
UPDATE = """\\set item random(1, %d)
UPDATE dist.stock_balance SET quantity = quantity + 1, version = version + 1
WHERE item_id = :item AND site_id = 1 AND perspective = 'book' AND state = 'available' AND lot = '' AND owner_id = 0;
""" % ITEMS


def capture_cost(cluster, report):
    """capture_cost compares a one-row UPDATE of a balance by key with its capture trigger on and off, 16 clients, the courier ringing."""
    cluster.script("bench/data/stock.sql", items=ITEMS, sites=1)
    triggers = cluster.sql("""SELECT string_agg(format('ALTER TABLE dist.stock_balance %%s TRIGGER %I', tgname), ';') FROM pg_trigger
        WHERE tgrelid = 'dist.stock_balance'::regclass AND NOT tgisinternal""")
    if not triggers:
        raise SystemExit("dist.stock_balance has no capture trigger")

    def switch(word):
        return lambda: cluster.sql(*[command % word for command in triggers.split(";")])

    on, off, ratio = cluster.compare(UPDATE, UPDATE, clients=16, seconds=8, rounds=5, before=(switch("ENABLE"), switch("DISABLE")))
    switch("ENABLE")()
    report(round(on), "tps", peer="capture off", peer_value=round(off), ratio=round(ratio, 3))
