"""The story of the quickstart: what happens in a day, step by step, each with its proof."""
import datetime
import decimal
import json
import time

import libpq

STEPS = {"number": 0}


def title(text):
    """title starts a step."""
    STEPS["number"] += 1
    print("\n\033[1m%2d  %s\033[0m" % (STEPS["number"], text), flush=True)


def say(text):
    """say prints a line of a step."""
    print("    " + text, flush=True)


def milliseconds(began_ns, ended_ns):
    """milliseconds says how long it took from cause to effect."""
    return "%.1f ms" % ((ended_ns - began_ns) / 1e6)


def money(amount):
    """money is an amount as people write it."""
    return "{:,.2f}".format(decimal.Decimal(amount))


def today():
    """today is the date as documents carry it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Day:
    """The day: an order that goes through, an order that waits for money, and a difference that is found."""

    def __init__(self, place, session, listener):
        self.place, self.session, self.listener = place, session, listener
        self.shop = libpq.Session(place.dsn.replace("user=postgres", "user=shop_app"))

    def play(self):
        """play goes through the day."""
        order = self.order_goes_through()
        self.order_ships(order)
        self.order_waits()
        self.bells()
        self.reconcile()

    def value(self, sql, *parameters):
        """value is the first column of the first row of a query."""
        rows = self.session.run(sql, *parameters)
        return next(iter(rows[0].values())) if rows else None

    def until(self, what, sql, *parameters):
        """until waits for a query to find a row and returns it with the time it was seen."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            rows = self.session.run(sql, *parameters)
            if rows:
                return rows[0], time.time_ns()
            time.sleep(0.005)
        raise SystemExit("%s did not happen within 20 s" % what)

    def tell(self, partner, action, **fields):
        """tell lets a partner send a signed webhook to the door, which must take it."""
        sent = self.place.do(partner, action, **fields)
        if sent["status"] != 202:
            raise SystemExit("the door answered %s to %s of %s: %s" % (sent["status"], action, partner, sent["answer"]))
        return sent

    def submit(self, customer, lines, key):
        """submit is the shop's call at checkout: one SQL function in one transaction."""
        document = {"company": "CM", "customer": customer, "channel": "SHOP", "source": "shop", "currency": "USD", "ordered_at": today(), "lines": lines}
        began = time.time_ns()
        row = self.shop.run("SELECT * FROM distsync.submit_order($1::jsonb, $2)", json.dumps(document), key)[0]
        return row, began, time.time_ns()

    def order_goes_through(self):
        """order_goes_through: priced from the customer's agreement, promised, credit-checked, accepted; the ERP answers with its number."""
        customer = self.value("""SELECT c.code FROM dist.party c
            WHERE EXISTS (SELECT FROM dist.customer_rate r WHERE r.customer_id = c.party_id)
              AND (SELECT headroom FROM distsync.credit(c.code, 0, 'USD', '{"company":"CM"}')) > 20000 ORDER BY c.code LIMIT 1""")
        name = self.value("SELECT name FROM dist.party WHERE code = $1", customer)
        items = self.session.run("""SELECT i.sku FROM dist.customer_rate r JOIN dist.party p ON p.party_id = r.customer_id AND p.code = $1
            JOIN dist.target g ON g.target_id = r.target_id AND g.what_kind = 'item' JOIN dist.item i ON i.item_id::text = g.what_key ORDER BY i.sku LIMIT 2""", customer)
        lines = [{"line": n + 1, "item": item["sku"], "quantity": "12", "unit": "EA"} for n, item in enumerate(items)]
        since = {partner: self.place.mark(partner) for partner in ("erp", "wms", "shop", "crm")}
        title("%s (%s) orders in the shop: price + stock + credit + order in one transaction" % (name, customer))
        row, began, ended = self.submit(customer, lines, "shop-cart-1")
        self.show_order(row, began, ended)
        if row["state"] == "held":
            raise SystemExit("the order should have been accepted: %s" % row["reasons"])
        again, _, _ = self.submit_again(customer, lines)
        say("the same call again gives the first answer: %s (proof: one order in dist.sales_order: %s)" % (
            again["order_number"], self.value("SELECT count(*) FROM dist.sales_order WHERE order_number = $1", row["order_number"])))
        title("The ERP receives it and answers with its own number")
        message = self.place.heard("erp", since["erp"], ["order.accepted", row["order_number"]])
        say("received %s after the order was sent in; signature %s; webhook-id %s" % (milliseconds(began, message["arrived_ns"]), message["signature"], message["webhook_id"]))
        booked, seen = self.until("booking", "SELECT owner_number, state FROM dist.sales_order WHERE order_number = $1 AND owner_number IS NOT NULL", row["order_number"])
        say("its answer %s is kept with the delivery and in the order, which is now %s: %s" % (booked["owner_number"], booked["state"], milliseconds(began, seen)))
        message = self.place.heard("shop", since["shop"], ["order.booked", row["order_number"]])
        say("the shop was told %s after the checkout" % milliseconds(began, message["arrived_ns"]))
        return {"number": row["order_number"], "customer": customer, "lines": lines, "gross": row["gross_amount"], "since": since}

    def submit_again(self, customer, lines):
        """submit_again repeats the same call byte for byte, as a client does that lost the answer."""
        order = self.value("SELECT ordered_at FROM dist.sales_order ORDER BY order_id DESC LIMIT 1")
        document = {"company": "CM", "customer": customer, "channel": "SHOP", "source": "shop", "currency": "USD", "lines": lines,
                    "ordered_at": datetime.datetime.fromisoformat(order.replace("+00", "+00:00")).strftime("%Y-%m-%dT%H:%M:%SZ")}
        began = time.time_ns()
        return self.shop.run("SELECT * FROM distsync.submit_order($1::jsonb, $2)", json.dumps(document), "shop-cart-1")[0], began, time.time_ns()

    def show_order(self, row, began, ended):
        """show_order prints what the order-time decision said."""
        for line in json.loads(row["lines"]):
            say("%-9s %4s %s at %8s from %-7s = %9s   promised from %s, %s" % (
                line["item"], line["quantity"], line["unit"], money(line["unit_price"]), line["agreement"], money(line["net_amount"]), line["site"], line["disposition"]))
        say("order %s is %s, credit %s, %s %s, decided and committed in %s" % (
            row["order_number"], row["state"], row["credit_state"], money(row["gross_amount"]), row["currency"], milliseconds(began, ended)))

    def order_ships(self, order):
        """order_ships: the WMS ships, its signed webhooks are pulled; stock, invoice and receivable move, each amount counted once."""
        title("The WMS ships; its queue of signed webhooks is pulled")
        message = self.place.heard("wms", order["since"]["wms"], ["order.booked", order["number"]])
        say("the WMS was told to ship: signature %s" % message["signature"])
        sku = order["lines"][0]["item"]
        before = self.stock(sku)
        self.exposure(order["customer"], "before the shipment")
        queued = self.place.do("wms", "ship", type="shipment", document={
            "company": "CM", "order_number": order["number"], "site": "SF-DC", "shipped_at": today(),
            "lines": [{"line": line["line"], "order_line": line["line"], "sku": line["item"], "quantity": line["quantity"], "unit": "EA"} for line in order["lines"]]})
        shipment = queued["document"]["shipment_number"]
        _, seen = self.until("shipment", "SELECT 1 FROM dist.shipment WHERE shipment_number = $1", shipment)
        say("shipment %s applied %s after it was queued" % (shipment, milliseconds(queued["queued_ns"], seen)))
        say("%s physical stock %s -> %s; the ERP's book still says %s" % (sku, before["phys"], self.stock(sku)["phys"], self.stock(sku)["book"]))
        self.exposure(order["customer"], "after the shipment")
        title("The ERP posts goods issue and invoice over the webhook door")
        for line in order["lines"]:
            self.tell("erp", "send", type="stock_event", document={
                "event_id": "gi-%s-%s" % (order["number"], line["line"]), "kind": "delta", "perspective": "book", "sku": line["item"], "site": "SF-DC", "state": "available",
                "quantity": "-" + line["quantity"], "unit": "EA", "event_at": today(), "reference": "CM/%s/%d" % (order["number"], line["line"])})
        sent = self.tell("erp", "invoice", type="invoice", document={
            "company": "CM", "kind": "invoice", "customer": order["customer"], "order_number": order["number"], "shipment_number": shipment, "issued_at": today(),
            "due_on": (datetime.date.today() + datetime.timedelta(days=30)).isoformat(), "terms": "NET30", "currency": "USD",
            "net_amount": order["gross"], "tax_amount": "0", "gross_amount": order["gross"]})
        invoice = sent["document"]["invoice_number"]
        _, seen = self.until("invoice", "SELECT 1 FROM dist.open_item WHERE document_number = $1", invoice)
        say("invoice %s answered %s by the door, applied %s after it was sent" % (invoice, sent["status"], milliseconds(sent["sent_ns"], seen)))
        self.until("goods issue", "SELECT 1 FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku = $1 AND b.perspective = 'book' AND b.state = 'available' AND b.quantity = $2::numeric",
                   sku, self.stock(sku)["phys"])
        say("%s book and physical stock agree again at %s" % (sku, self.stock(sku)["phys"]))
        self.exposure(order["customer"], "after the invoice")

    def stock(self, sku):
        """stock is what book and warehouse say of an item."""
        rows = self.session.run("""SELECT b.perspective, trim_scale(sum(b.quantity)) AS quantity FROM dist.stock_balance b JOIN dist.item i USING (item_id)
            WHERE i.sku = $1 AND b.state = 'available' GROUP BY b.perspective""", sku)
        return {row["perspective"]: row["quantity"] for row in rows}

    def exposure(self, customer, when):
        """exposure prints where the customer's money stands: each amount in exactly one term."""
        row = self.session.run("""SELECT open_orders, unbilled, receivable, unapplied FROM dist.credit_account a JOIN dist.party p ON p.party_id = a.customer_id
            WHERE p.code = $1""", customer)[0]
        say("exposure %-20s open orders %s · unbilled %s · receivable %s · unapplied %s" % (when, *(money(row[term]) for term in ("open_orders", "unbilled", "receivable", "unapplied"))))

    def order_waits(self):
        """order_waits: a second order is held on credit; a payment arrives; the hold is released in the payment's transaction, shop and CRM are told."""
        customer = self.session.run("""SELECT p.code, p.name, c.headroom, o.document_number, o.open_amount, i.sku
            FROM dist.party p
            CROSS JOIN LATERAL distsync.credit(p.code, 0, 'USD', '{"company":"CM"}') c
            CROSS JOIN LATERAL (SELECT x.document_number, x.open_amount FROM distsync.open_items(p.code) x WHERE x.kind = 'invoice' ORDER BY x.open_amount DESC LIMIT 1) o
            CROSS JOIN LATERAL (SELECT t.sku FROM dist.customer_rate r JOIN dist.target g ON g.target_id = r.target_id JOIN dist.item t ON t.item_id::text = g.what_key
                JOIN dist.stock_pool s ON s.item_id = t.item_id AND s.cap > 2000 WHERE r.customer_id = p.party_id ORDER BY t.sku LIMIT 1) i
            WHERE c.outcome = 'approved' AND c.headroom BETWEEN 1000 AND 60000 AND o.open_amount > 5000 ORDER BY p.code LIMIT 1""")[0]
        price = float(self.value("SELECT unit_price FROM distsync.price($1, $2, 1, 'EA', NULL, '{\"company\":\"CM\"}')", customer["code"], customer["sku"]))
        quantity = int(float(customer["headroom"]) / price) + 5
        since = {partner: self.place.mark(partner) for partner in ("shop", "crm", "erp")}
        title("%s (%s) orders more than its credit allows" % (customer["name"], customer["code"]))
        say("it has %s USD left, the order takes about %s" % (money(customer["headroom"]), money(quantity * price)))
        row, began, ended = self.submit(customer["code"], [{"line": 1, "item": customer["sku"], "quantity": str(quantity), "unit": "EA"}], "shop-cart-2")
        self.show_order(row, began, ended)
        if row["credit_state"] != "held":
            raise SystemExit("the order should have been held")
        for reason in json.loads(row["reasons"]):
            say("why: rule %(rule)s, %(value)s against %(threshold)s; pay %(pay)s and it may go" % dict(
                reason, **{key: money(reason[key]) for key in ("value", "threshold", "pay") if key in reason}))
        message = self.place.heard("crm", since["crm"], ["order.held", row["order_number"]])
        say("the CRM was told %s after the order came in" % milliseconds(began, message["arrived_ns"]))
        title("A payment arrives at the ERP and frees the order, in the payment's own transaction")
        sent = self.tell("erp", "payment", type="payment", document={
            "company": "CM", "customer": customer["code"], "received_at": today(), "currency": "USD", "amount": customer["open_amount"],
            "remittance": [{"invoice": customer["document_number"], "amount": customer["open_amount"]}]})
        say("the ERP sends payment %s over %s USD for invoice %s" % (sent["document"]["payment_number"], money(customer["open_amount"]), customer["document_number"]))
        told = {partner: self.place.heard(partner, since[partner], ["order.released", row["order_number"]]) for partner in ("shop", "crm", "erp")}
        for partner, message in told.items():
            say("%-4s was told order.released %8s after the payment was sent; signature %s" % (partner, milliseconds(sent["sent_ns"], message["arrived_ns"]), message["signature"]))
        story = json.loads(self.value("SELECT distsync.order_status($1)", row["order_number"]))
        say("order %s is %s, credit %s; correlation id %s" % (row["order_number"], story["state"], story["credit_state"], row["correlation_id"]))

    def bells(self):
        """bells prints what a listener heard, and ends it."""
        title("A listener heard the bells (LISTEN distsync_order, distsync_stock, distsync_credit ...)")
        time.sleep(0.3)
        heard = self.listener.stop()
        types = {}
        for channel, payload in heard:
            types.setdefault((channel, json.loads(payload)["type"]), []).append(payload)
        for (channel, _), payloads in sorted(types.items()):
            say("%-18s %s%s" % (channel, payloads[0], " and %d more" % (len(payloads) - 1) if len(payloads) > 1 else ""))
        say("%d notifications in all; what a listener missed is in distsync.events_since(position): %s events there now" % (
            len(heard), self.value("SELECT count(*) FROM distsync.events_since(NULL, '{\"limit\": 1000}')")))
        if not heard:
            raise SystemExit("no notification was heard")

    def reconcile(self):
        """reconcile plants a difference between the ERP's book and the warehouse and lets pg_cron find it."""
        title("A difference is planted; pg_cron runs the reconciliation and finds it")
        sku = self.value("SELECT sku FROM dist.item ORDER BY sku DESC LIMIT 1")
        counted = str(int(self.stock(sku)["phys"].split(".")[0]) - 7)
        self.place.do("wms", "count", type="stock_event", document={"event_id": "cycle-count-1", "perspective": "phys", "sku": sku, "site": "SF-DC", "state": "available",
                                                                    "quantity": counted, "unit": "EA", "event_at": today()})
        self.until("count", "SELECT 1 FROM dist.stock_balance b JOIN dist.item i USING (item_id) WHERE i.sku = $1 AND b.perspective = 'phys' AND b.quantity = $2::numeric", sku, counted)
        say("the WMS counts %s of %s where the book says %s" % (counted, sku, self.stock(sku)["book"]))
        for row in self.session.run("SELECT job, schedule, command FROM distsync.schedule() ORDER BY job"):
            say("scheduled in pg_cron: %(job)-18s %(schedule)-12s %(command).70s" % row)
        # pg_cron of Debian 12 knows no seconds. A job of its kind @reboot runs when the server starts: so nobody waits for the quarter of an hour.
        self.session.run("SELECT cron.schedule('quickstart', '@reboot', $$SELECT * FROM distsync.reconcile('stock', '{\"grace\": \"0 seconds\"}')$$)")
        self.session.close()
        began = time.time_ns()
        self.place.restart_cluster()
        run, seen = self.until("the job", """SELECT d.status, d.return_message FROM cron.job_run_details d JOIN cron.job j USING (jobid)
            WHERE j.jobname = 'quickstart' AND d.status IN ('succeeded', 'failed')""")
        say("the server is restarted; pg_cron starts the job, which %s (%s) %s later" % (run["status"], run["return_message"], milliseconds(began, seen)))
        found = self.session.run("SELECT kind, trace_key, trim_scale(delta) AS delta, trim_scale(money_at_risk) AS money, currency, state FROM sync.exception WHERE kind = 'stock_difference'")
        for row in found:
            say("exception %s %s: %s units, %s %s at risk, %s" % (row["kind"], row["trace_key"], row["delta"], row["money"], row["currency"] or "", row["state"]))
        if len(found) != 1:
            raise SystemExit("one difference was planted, %d were found" % len(found))
