"""Random open documents about a world of pricing_cases: orders, quotes and returns in every state, some of their lines shipped, billed or given back."""
from fractions import Fraction
import random

from pricing_database import literal
from pricing_questions import decimal
from pricing_world import text_of

OPEN = ("accepted", "held", "sent", "booked")


class Documents:
    """A stream of documents about one case: {"customer", "kind", "number", "state", "at", "options", "lines", "used": what it took of agreed volumes}."""

    def __init__(self, case, world, questions):
        self.case, self.world, self.questions, self.rng, self.count = case, world, questions, random.Random(f"documents {case.seed} open"), 0

    def one(self):
        rng, case = self.rng, self.case
        self.count += 1
        lock = rng.choice(case.lock_documents) if rng.random() < 0.2 else None
        document = {"customer": lock["customer"] if lock else rng.choice(case.customers), "kind": lock["document_type"] if lock else rng.choice(("order", "order", "order", "quote", "return")),
                    "number": f"{case.names(str(self.count))}", "state": rng.choice(OPEN * 4 + ("rejected", "shipped", "closed", "cancelled")), "at": self.questions.instant(),
                    "options": {"company": rng.choice(case.companies[:1] * 2 + case.companies), "currency": lock["currency"] if lock else rng.choice(case.money[:1] * 4 + case.money)}}
        for name, chance, choices in (("channel", 0.4, case.channels), ("ship_to", 0.35, case.ship_tos), ("job", 0.2, case.jobs)):
            if rng.random() < chance:
                document["options"][name] = rng.choice(choices)
        if lock:
            document["number"] = lock["document_key"]
        document["lines"] = [self.line(n + 1) for n in range(rng.choice((1, 2, 3, 6)))]
        if lock and decimal(12 * self.world.items[lock["item"]].factor(lock["unit"])):
            document["lines"][0].update(item=lock["item"], unit=lock["unit"], quantity="12")
        for line in document["lines"]:
            self.progress(line)
        taken = sorted(self.case.used) if document["kind"] == "order" and rng.random() < 0.3 else []
        document["used"] = {code: (rng.choice((Fraction(1), Fraction(5), Fraction(80))), rng.choice((Fraction(0), Fraction(100)))) for code in rng.sample(taken, min(2, len(taken)))}
        return document

    def line(self, number):
        line = self.questions.line(False)
        line.pop("weight", None)
        return dict(line, line=number, unit=line.get("unit") or self.case.items[line["item"]]["base_unit"])

    def progress(self, line):
        """How far a line got, in base units."""
        base = Fraction(line["quantity"]) * self.world.items[line["item"]].factor(line["unit"])
        part = [base, base / 2] + [Fraction(0)] * 8
        done = {name: self.rng.choice(part) for name in ("shipped", "invoiced", "cancelled")}
        line.update(base=base, **{name: Fraction(decimal(value) or 0) for name, value in done.items()})
        if self.rng.random() < 0.05:
            line.update(quantity="0", base=Fraction(0), shipped=Fraction(0), invoiced=Fraction(0), cancelled=Fraction(0))

    @staticmethod
    def counted(document):
        """Lines that an open document still has."""
        if document["kind"] == "return" or document["state"] not in OPEN:
            return []
        return [line for line in document["lines"] if line["base"] > line["cancelled"]]

    @staticmethod
    def still_open(line):
        return max(line["base"] - line["cancelled"] - max(line["shipped"], line["invoiced"]), Fraction(0))


def id_of(table, column, code):
    key = "sku" if table == "item" else "code"
    return f"(SELECT {column} FROM dist.{table} WHERE {key} = {literal(code)})" if code else "NULL"


def insert_sql(documents):
    """Rows of documents, past the doors: only what prices read."""
    script = ["SET session_replication_role = replica;\n"]
    for d in documents:
        o, number = d["options"], literal(d["number"])
        script.append("INSERT INTO dist.sales_order (customer_id, company_id, order_number, kind, source, ship_to_id, payer_id, job_id, channel_id, currency, ordered_at, state, correlation_id) VALUES ("
                      f"{id_of('party', 'party_id', d['customer'])}, {id_of('company', 'company_id', o['company'])}, {number}, '{d['kind']}', 'test', {id_of('party', 'party_id', o.get('ship_to'))}, "
                      f"{id_of('party', 'party_id', d['customer'])}, {id_of('party', 'party_id', o.get('job'))}, {id_of('channel', 'channel_id', o.get('channel'))}, {literal(o['currency'])}, "
                      f"'{text_of(d['at'])}', '{d['state']}', gen_random_uuid()) RETURNING order_id AS o, customer_id AS c\n\\gset\n")
        for line in d["lines"]:
            item = id_of("item", "item_id", line["item"])
            script.append("INSERT INTO dist.order_line (customer_id, order_id, line_no, item_id, requested_item_id, quantity, requested_quantity, unit, base_quantity, unit_price, net_amount, site_id, "
                          f"shipped_quantity, invoiced_quantity, cancelled_quantity) VALUES (:c, :o, {line['line']}, {item}, {item}, {line['quantity']}, {line['quantity']}, {literal(line['unit'])}, "
                          f"{decimal(line['base'])}, 1, 1, {id_of('site', 'site_id', line.get('site'))}, {decimal(line['shipped'])}, {decimal(line['invoiced'])}, {decimal(line['cancelled'])});\n")
        for code, (quantity, amount) in d["used"].items():
            script.append("INSERT INTO dist.commitment_use (agreement_id, document_key, line_no, quantity, amount, used_at) VALUES ("
                          f"{id_of('agreement', 'agreement_id', code)}, {literal(o['company'] + '/' + d['number'])}, 1, {decimal(quantity)}, {decimal(amount)}, now());\n")
    return "".join(script) + "SET session_replication_role = origin;\n"
