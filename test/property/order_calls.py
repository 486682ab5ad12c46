"""A step of a history of order to cash as a call of the database. See order_histories.py."""
import json

from order_histories import COMPANIES

def literal(value):
    return "'" + (value if isinstance(value, str) else json.dumps(value, default=str)).replace("'", "''") + "'"


def told(**fields):
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in fields.items() if value is not None}


def fact(entity, document, key, source="oh-erp"):
    return f"SELECT 'ok' FROM distsync.apply({literal(entity)}, {literal(document)}, '{source}', {literal(key) if key else 'NULL'}) WHERE outcome IS NOT NULL;\n"


def account_document(args):
    document = {"code": args["code"]}
    names = {"dunning": "dunning_level", "release": "release_order"}
    for name, value in args.items():
        if name == "limits":
            document["limits"] = [dict(told(kind=l["kind"], **{"from": l["start"], "to": l["end"]}), amount=l["amount"]) for l in value]
        else:
            document[names.get(name, name)] = value.isoformat() if hasattr(value, "isoformat") else value
    return document


def lines_told(args):
    return [{"order_line": no, "quantity": quantity} for no, quantity in args["lines"]] if args["lines"] is not None else None


def invoice_document(a, orders, void):
    lines, tax = a.get("lines"), a.get("tax") or 0
    told_ = told(invoice_number=a["number"], company=a["company"], currency=a["currency"], net_amount=a["gross"] - tax, tax_amount=tax or None, due_on=a["due"], issued_at=a["issued"], kind=a.get("kind"), customer=a.get("customer"),
                 order_number=a.get("order"), corrects=a.get("corrects"), return_number=a.get("back"), rebills=a.get("rebills"), rebill=a.get("rebill") or None, status="void" if void else None)
    if lines is not None:
        told_["lines"] = [told(order_line=line[0], sku=orders[a["order"]][line[0]], quantity=line[1], **dict(zip(("net_amount", "tax_amount"), line[2:]))) for line in lines]
        if a.get("freight"):
            told_["lines"].append({"description": "freight", "net_amount": a["freight"]})
    return told_


def sql(step, n, orders):
    """The call of a step; orders says of which company an order is, and of which items its lines: {number: {company, line: sku}}."""
    a, do, key = step["args"], step["do"], f"oh-{n}"
    if do == "account":
        return fact("credit_account", account_document(a), key)
    if do == "rule":
        return fact("credit_rule", {"code": a["code"], "type": a["type"], "scope_kind": a["scope"], "scope_key": a["key"] or None, "threshold": a["threshold"], "currency": a["currency"], "grace_days": a["grace"],
                                    "action": a["action"], "valid_from": a["start"] and a["start"].isoformat(), "valid_to": a["end"] and a["end"].isoformat()}, key)
    if do == "party":
        return fact("party", {"code": a["code"], "status": a["status"]}, key)
    if do == "clerk":
        return "SELECT distsync_test.clerk();\n"
    if do == "payment":
        return fact("payment", told(payment_number=a["number"], company=a["company"], customer=a["customer"], currency=a["currency"], amount=a["amount"], kind=a["kind"], order=a.get("order"),
                                    remittance=a.get("remittance") or None, received_at=a.get("received")), key)
    if do == "reverse":
        return fact("payment", told(payment_number=a["number"], company=a["company"], reverses=a["reverses"], currency=a["currency"], amount=a["amount"], received_at=a.get("received")), key)
    if do in ("invoice", "void"):
        return fact("invoice", invoice_document(a, orders, do == "void"), key, "distsync" if COMPANIES[a["company"]].native else "oh-erp")
    if do == "dispute":
        return fact("dispute", told(dispute_number=a["number"], company=a["company"], customer=a["customer"], invoice=a["invoice"], amount=a.get("amount"), closed=a.get("closed")), key)
    if do in ("submit", "order_told"):
        lines = [told(item=l["sku"], quantity=l["quantity"], tax_amount=l["tax"] or None, **({"net_amount": l["gross"] - l["tax"]} if do == "order_told" else {})) for l in a["lines"]]
        document = told(order_number=a["number"], company=a["company"], customer=a["customer"], currency=a["currency"], job=a["job"], lines=lines, requested_at=a.get("wanted"))
        if do == "order_told":
            if a.get("wanted"):      # a fact names an instant: a day alone is one of UTC
                document["requested_at"] += "T12:00:00Z"
            return fact("order", document, key, "distsync" if COMPANIES[a["company"]].native else "oh-erp")
        if a["policy"]:
            document["policy"] = {name: f"{value} hours" if name.endswith("_within") else value for name, value in a["policy"].items()}
        return f"SELECT state FROM distsync.submit_order({literal(document)}, {literal(key)});\n"
    if do.endswith("_return"):
        return return_call(do, a, key)
    company = orders[a["number"]]["company"]
    options = literal(told(company=company, kind=a.get("kind"), owner=a.get("owner"), authority=a.get("authority")))
    if do == "cancel":
        return f"SELECT 'ok' FROM distsync.cancel_order({literal(a['number'])}, 'test', {literal(key)}, {options});\n"
    if do in ("hold_order", "release_order"):
        return f"SELECT 'ok' FROM distsync.{do}({literal(a['number'])}, 'test', {options});\n"
    if do == "pick_order":
        return f"SELECT r ->> 'outcome' FROM distsync.pick_order({literal(a['number'])}, {literal(dict(company=company, idempotency_key=key))}) r;\n"
    if do == "change_order":
        lines = [told(line=l.get("line"), item=l.get("sku"), quantity=l.get("quantity"), cut=l.get("cut"), tax_amount=l.get("tax")) for l in a["lines"]]
        return f"SELECT r ->> 'outcome' FROM distsync.change_order({literal(a['number'])}, {literal(told(lines=lines or None, requested_at=a.get('wanted')))}, {literal(dict(company=company, idempotency_key=key))}) r;\n"
    if do == "answer_offer":
        return f"SELECT r ->> 'state' FROM distsync.answer_offer({literal(a['number'])}, {a['accept']}, {literal(dict(company=company, idempotency_key=key))}) r;\n"
    if do == "answer":
        return fact("order", {"company": company, "order_number": a["number"], "state": a["state"]}, key)
    document = {"company": company, "shipment_number": a["shipment"], "order_number": a["number"], "site": f"{company}-W",
                "lines": [{"order_line": no, "sku": orders[a["number"]][no], "quantity": q} for no, q in a["lines"]]}
    if do == "ship":
        return f"SELECT COALESCE(r ->> 'outcome', 'ok') FROM distsync.ship({literal(document)}, {literal(key)}) r;\n"
    return fact("shipment", document, key)


def return_call(do, a, key):
    number, options = literal(a["number"]), literal({"company": a["company"]})
    if do == "authorise_return":
        document = {"company": a["company"], "return_number": a["number"], "order_number": a["order"], "reason": "test", "lines": [{"order_line": no, "quantity": q} for no, q in a["lines"]]}
        call = f"authorise_return({literal(document)}, {literal(key)})"
    elif do == "receive_return":
        lines = "NULL" if a["lines"] is None else literal([{"line": no, "quantity": q} for no, q in a["lines"]])
        call = f"receive_return({number}, {lines}, {literal(key)}, {options})"
    elif do == "inspect_return":
        call = f"inspect_return({number}, {literal([{'line': no, 'outcome': outcome, 'quantity': q} for no, outcome, q in a['lines']])}, {literal(key)}, {options})"
    else:
        call = f"{do}({number}, {chr(39) + 'test' + chr(39) + ', ' if do == 'cancel_return' else ''}{literal(key)}, {options})"
    return f"SELECT r ->> 'state' FROM distsync.{call} r;\n"
