"""Classic Models, a wholesaler of scale models, as documents for distsync.apply(): master data, prices, stock and opening balances.

The data are the sample database of the Eclipse BIRT project (EPL-1.0), see examples/classicmodels/SOURCES.md. It has no contract
prices: a customer's last price paid for an item becomes his contract price, the suggested retail price is the list.
"""
import collections
import csv
import datetime
import decimal
import json
import os

COMPANY, SITE, CURRENCY = "CM", "SF-DC", "USD"


class ClassicModels:
    """The tables of the sample, and the documents they make."""

    def __init__(self, folder):
        self.tables = {}
        for name in ("customers", "products", "productlines", "offices", "orders", "orderdetails", "payments"):
            with open(os.path.join(folder, name + ".csv"), newline="", encoding="utf-8") as table:
                self.tables[name] = list(csv.DictReader(table))
        self.details = collections.defaultdict(list)
        for detail in self.tables["orderdetails"]:
            self.details[detail["ordernumber"]].append(detail)

    def documents(self):
        """documents yields (entity, list of documents, options) in the order they must be applied."""
        products, customers = self.tables["products"], self.tables["customers"]
        vendors = sorted({product["productvendor"] for product in products})
        backfill = {"backfill": True}
        yield "currency", [{"currency": CURRENCY, "minor_units": 2, "name": "US dollar"}], {}
        yield "unit", [{"unit": "EA", "name": "each"}, {"unit": "CS", "name": "case of 12"}], {}
        yield "company", [{"code": COMPANY, "name": "Classic Models Inc.", "currency": CURRENCY, "tz": "America/Los_Angeles"}], backfill
        yield "site", [{"code": SITE, "name": "Distribution center San Francisco", "company": COMPANY, "kind": "warehouse",
                        "tz": "America/Los_Angeles"}], backfill
        yield "channel", [{"code": "SHOP", "name": "Web shop"}], backfill
        yield "category", [{"code": line["productline"], "name": line["productline"]} for line in self.tables["productlines"]], backfill
        yield "party", [{"code": "V-%02d" % (number + 1), "name": vendor, "roles": ["vendor"]} for number, vendor in enumerate(vendors)], backfill
        yield "item", [{"sku": p["productcode"], "name": p["productname"], "base_unit": "EA", "category": p["productline"],
                        "vendor": "V-%02d" % (vendors.index(p["productvendor"]) + 1), "scale": p["productscale"],
                        "units": [{"unit": "CS", "numerator": 12, "denominator": 1}]} for p in products], backfill
        yield "item_cost", [{"sku": p["productcode"], "company": COMPANY, "kind": "average", "unit": "EA", "cost": p["buyprice"],
                             "currency": CURRENCY, "valid_from": "2003-01-01"} for p in products], backfill
        yield "party", [self._customer(c) for c in customers], backfill
        yield "credit_account", [{"code": "AR-" + c["customernumber"], "customer": c["customernumber"], "company": COMPANY, "currency": CURRENCY, "limit": c["creditlimit"]}
                                 for c in customers], backfill
        yield "agreement", [self._list()] + self._contracts(), backfill
        yield "invoice", self._invoices(), backfill
        yield "payment", [{"company": COMPANY, "payment_number": "%s-%s" % (p["customernumber"], p["checknumber"]), "customer": p["customernumber"],
                           "received_at": p["paymentdate"] + "T12:00:00Z", "currency": CURRENCY, "amount": p["amount"]}
                          for p in sorted(self.tables["payments"], key=lambda p: (p["paymentdate"], p["checknumber"]))], backfill

    def stock(self, perspective):
        """stock makes a count of every item, as the warehouse or as the ERP's book tells it."""
        return [{"event_id": "opening-%s-%s" % (perspective, p["productcode"]), "kind": "count", "perspective": perspective, "sku": p["productcode"],
                 "site": SITE, "state": "available", "quantity": p["quantityinstock"], "unit": "EA", "event_at": "2026-01-01T00:00:00Z"}
                for p in self.tables["products"]]

    @staticmethod
    def _customer(c):
        return {"code": c["customernumber"], "name": c["customername"], "roles": ["sold_to", "bill_to", "payer", "ship_to"], "currency": CURRENCY,
                "address": {"lines": [line for line in (c["addressline1"], c["addressline2"]) if line], "city": c["city"], "region": c["state"],
                            "postal_code": c["postalcode"], "country": c["country"]}}

    def _list(self):
        return {"code": "LIST", "name": "Suggested retail prices", "slot": "list", "currency": CURRENCY, "assignments": [{"who_kind": "all"}],
                "rates": [{"what": p["productcode"], "unit": "EA", "value": p["msrp"]} for p in self.tables["products"]]}

    def _contracts(self):
        last = {}
        for order in sorted(self.tables["orders"], key=lambda order: (order["orderdate"], order["ordernumber"])):
            for detail in self.details[order["ordernumber"]]:
                last[order["customernumber"], detail["productcode"]] = detail["priceeach"]
        contracts = collections.defaultdict(list)
        for (customer, product), price in sorted(last.items()):
            contracts[customer].append({"customer": customer, "what": product, "unit": "EA", "value": price})
        return [{"code": "K-" + customer, "name": "Contract of customer " + customer, "slot": "contract", "company": COMPANY, "currency": CURRENCY,
                 "rates": rates} for customer, rates in sorted(contracts.items())]

    def _invoices(self):
        invoices = []
        for order in self.tables["orders"]:
            if not order["shippeddate"]:
                continue
            lines = sorted(self.details[order["ordernumber"]], key=lambda detail: int(detail["orderlinenumber"]))
            amount = str(sum(int(d["quantityordered"]) * decimal.Decimal(d["priceeach"]) for d in lines))
            due = datetime.date.fromisoformat(order["shippeddate"]) + datetime.timedelta(days=30)
            invoices.append({"company": COMPANY, "invoice_number": "INV-" + order["ordernumber"], "kind": "invoice", "customer": order["customernumber"],
                             "issued_at": order["shippeddate"] + "T00:00:00Z", "due_on": due.isoformat(), "terms": "NET30", "currency": CURRENCY,
                             "net_amount": amount, "tax_amount": "0", "gross_amount": amount,
                             "lines": [{"line": int(d["orderlinenumber"]), "sku": d["productcode"], "quantity": d["quantityordered"], "unit": "EA",
                                        "unit_price": d["priceeach"]} for d in lines]})
        return invoices


def apply(session, entity, documents, source, options):
    """apply takes documents as facts of a system, all or none, and returns how many were taken."""
    rows = session.run("SELECT outcome, count(*) AS n FROM distsync.apply_all($1, $2::jsonb, $3, NULL, $4::jsonb) GROUP BY outcome",
                       entity, json.dumps(documents), source, json.dumps(options))
    for row in rows:
        if row["outcome"] != "applied":
            raise SystemExit("%s %s documents were %s" % (row["n"], entity, row["outcome"]))
    return sum(int(row["n"]) for row in rows)


def load(session, classic_models, source):
    """load applies everything as facts of the ERP and returns how many documents of each entity were taken."""
    taken = collections.Counter()
    for entity, documents, options in classic_models.documents():
        taken[entity] += apply(session, entity, documents, source, options)
    return taken
