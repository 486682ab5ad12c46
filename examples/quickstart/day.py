"""day.py FOLDER: a distributor's day on real data, with partners that speak real HTTP. Each step prints what happened, the proof, and the
milliseconds from cause to effect. It stops with an error where anything is not as it should be."""
import base64
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "partners")]

import libpq
import load
import story
import town

CHANNELS = ("distsync_order", "distsync_stock", "distsync_credit", "distsync_price", "distsync_exception")


class Listener(threading.Thread):
    """Keeps what NOTIFY says, as any application would hear it."""

    def __init__(self, dsn):
        super().__init__(daemon=True)
        self.session = libpq.Session(dsn)
        self.heard, self.ending = [], threading.Event()
        for channel in CHANNELS:
            self.session.run("LISTEN " + channel)

    def run(self):
        """run listens until it is stopped."""
        while not self.ending.is_set():
            self.heard += self.session.notifications(0.1)

    def stop(self):
        """stop ends the listening and returns what was heard, as (channel, payload)."""
        self.ending.set()
        self.join()
        self.session.close()
        return self.heard


def secret():
    """secret makes a signing key as partners exchange it."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode("ascii")


def connect_partners(place, session, keys):
    """connect_partners starts the partner programs and tells distsync about them: systems, endpoints, routes, sources, the feed."""
    door = place.start_partner("door", "--dsn", place.dsn)
    for name in ("erp", "wms", "shop", "crm"):
        arguments = ["--secret", keys[name, "to"], "--log", place.log_file(name), "--door", "http://127.0.0.1:%d/in/%s" % (door, name), "--door-secret", keys[name, "from"]]
        if name == "wms":
            arguments += ["--queue-secret", keys[name, "from"]]
        place.start_partner(name, *arguments)
        session.run("SELECT distsync.add_system($1, $1, '{\"currency\": \"USD\"}')", name)
        session.run("SELECT distsync.add_endpoint($1, $1, $2, jsonb_build_object('secret', $3::text, 'allow_http', true, 'allow_private', true, 'retry_policy', 'quick'))",
                    name, place.url(name, "/events"), keys[name, "to"])
        session.run("SELECT distsync.add_source($1, $1, jsonb_build_object('secret', $2::text))", name, keys[name, "from"])
    for code, endpoint, event in (
            ("erp-accepted", "erp", "order.accepted"), ("erp-released", "erp", "order.released"), ("wms-booked", "wms", "order.booked"),
            ("shop-orders", "shop", "order.*"), ("shop-stock", "shop", "stock.atp_changed"), ("shop-prices", "shop", "price.*"),
            ("crm-orders", "crm", "order.*"), ("crm-credit", "crm", "credit.*"), ("crm-exceptions", "crm", "exception.*")):
        session.run("SELECT distsync.add_route($1, $2, $3)", code, endpoint, event)
    session.run("SELECT distsync.add_feed('wms-queue', 'wms', $1, '{\"allow_http\": true, \"allow_private\": true, \"every\": \"200 milliseconds\"}')", place.url("wms", "/queue"))
    for domain, system in (("order", "erp"), ("invoice", "erp"), ("payment", "erp"), ("shipment", "wms")):
        session.run("SELECT distsync.own($1, $2)", domain, system)


def main(folder):
    """main sets the town up, plays the day and says how to look around."""
    place = town.Town(folder)
    place.start_cluster()
    session = libpq.Session(place.dsn)
    session.run("CREATE EXTENSION pg_cron")
    session.run("CREATE EXTENSION distsync")
    story.title("A private PostgreSQL with distsync")
    story.say(session.run("SELECT distsync.setup() AS s")[0]["s"])
    session.run("CREATE ROLE shop_app LOGIN IN ROLE distsync_order_entry")
    keys = {(name, way): secret() for name in ("erp", "wms", "shop", "crm") for way in ("to", "from")}
    connect_partners(place, session, keys)
    began = time.monotonic()
    models = load.ClassicModels(os.path.join(folder, "examples", "classicmodels"))
    taken = load.load(session, models, "erp")
    for perspective, system in (("phys", "wms"), ("book", "erp")):
        rows = load.apply(session, "stock_event", models.stock(perspective), system, {"backfill": True})
        taken["stock_event"] += rows
    story.title("Classic Models moves in, through the same door as any partner: distsync.apply()")
    story.say(", ".join("%d %s" % (number, entity) for entity, number in taken.items()))
    story.say("%d documents in %.1f s" % (sum(taken.values()), time.monotonic() - began))
    listener = Listener(place.dsn)
    listener.start()
    story.Day(place, session, listener).play()
    story.title("Look around")
    story.say(session.run("SELECT distsync.status() AS s")[0]["s"])
    print("\n  psql -h %s -U postgres distsync\n" % place.run)
    print("  SELECT * FROM distsync.price('103', 'S10_1678', 12);      SELECT * FROM distsync.verify();      \\df distsync.*")
    print("  make quickstart-stop removes all of it. The whole run took %d s." % (time.time() - float(os.environ.get("BEGAN", time.time()))))


if __name__ == "__main__":
    main(sys.argv[1])
