"""Worlds of pricing_cases in a database: loading them through the write door, asking prices(), reading what it says.

Everything of a world happens in one psql session. Worlds live under names of their own; renamed() takes documents from one to another.
"""
from fractions import Fraction
import itertools
import json
import re
import subprocess

from pricing_cases import Names
from pricing_world import instant, read, text_of, told

QUIET = "SET client_min_messages = warning;\n\\set VERBOSITY verbose\nSET timezone = 'UTC';\n"
MARK = "@@"
SOURCE = "price-erp"
KINDS = ("UEJK", "VFLM", "WGNO", "XHPQ", "YIRS", "ZATB")     # first letters of invented currencies, by kind


class Difference(AssertionError):
    """The database and the oracle do not agree."""


def psql(script):
    """Runs a script in one session; returns the lines of each part by the name that \\echo @@name gave it."""
    done = subprocess.run(["psql", "-XqAt"], input=QUIET + script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    parts, name = {"": []}, ""
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            name = line[len(MARK):]
            parts.setdefault(name, [])
        else:
            parts[name].append(line)
    return parts


def literal(value):
    return "'" + (value if isinstance(value, str) else json.dumps(value)).replace("'", "''") + "'"


def exact(line):
    return json.loads(line, parse_float=Fraction)


def naming():
    """A stream of names that the database has not seen."""
    parts = psql("\\echo @@world\nSELECT COALESCE(max(substring(code FROM '^W([0-9]+)-')::integer), 0) FROM (SELECT code FROM dist.company UNION ALL SELECT code FROM dist.party UNION ALL SELECT code FROM dist.agreement) x;\n\\echo @@money\nSELECT currency FROM dist.currency;\n")
    taken = set(parts["money"])
    codes = ((first[kind] + second + third for kind in range(4)) for first in KINDS for second in map(chr, range(65, 91)) for third in map(chr, range(65, 91)))
    for number in itertools.count(int(parts["world"][0]) + 1):
        four = next(four for four in map(list, codes) if not taken & set(four))
        yield Names(f"W{number}-", dict(zip("UEJK", four)))


def renamed(value, old, new):
    """Documents or questions of a world under other names."""
    text = re.sub(r"\b" + re.escape(old.prefix), new.prefix, json.dumps(value))
    for kind, code in old.currencies.items():
        text = text.replace(f'"{code}"', f'"\0{kind}"')
    for kind, code in new.currencies.items():
        text = text.replace(f'"\0{kind}"', f'"{code}"')
    return json.loads(text)


def bare(row, names):
    """A row of prices() without the prefix of its world."""
    money = {code: kind for kind, code in names.currencies.items()}
    return {name: money.get(value, value.replace(names.prefix, "")) if isinstance(value, str) else value for name, value in row.items()}


# --- loading

def rounds(entity, documents):
    """Documents in calls: no call says two things of one agreement, party or item."""
    key = {"agreement": "code", "party": "code", "item": "sku"}.get(entity)
    if key is None:
        return [documents] if documents else []
    found = []
    seen = {}
    for document in documents:
        place = seen[document[key]] = seen.get(document[key], -1) + 1
        found += [[]] if place == len(found) else []
        found[place].append(document)
    return found


def load_script(phases, used, names, ask):
    """Loads phases one after the other, and after each takes the stamp :k<phase> of an answer; ask: rows with known_at."""
    script = ["\\echo @@start\nSELECT to_jsonb(clock_timestamp()) #>> '{}';\n"]
    for number, documents in enumerate(phases):
        options = {"backfill": True} if number == 0 else {}
        for entity, many in documents:
            for part in rounds(entity, many):
                script.append(f"\\echo @@load {number} {entity}\nSELECT outcome FROM distsync.apply_all('{entity}', {literal(part)}, '{SOURCE}', NULL, {literal(options)}) "
                              "WHERE outcome NOT IN ('applied', 'unchanged');\n")
        if number == 0:
            for code, (quantity, amount) in used.items():
                script.append("\\echo @@load 0 commitment\nINSERT INTO dist.commitment (agreement_id, quantity, amount) "
                              f"SELECT agreement_id, {quantity}, {amount} FROM dist.agreement WHERE code = {literal(code)} ON CONFLICT (agreement_id) "
                              "DO UPDATE SET quantity = excluded.quantity, amount = excluded.amount;\n")
        script.append(f"\\echo @@load {number} stamp\nSELECT to_jsonb(p.known_at) #>> '{{}}' AS k{number} FROM {ask} p LIMIT 1\n\\gset\n\\echo @@k{number}\n\\echo :k{number}\n")
    script.append("\\echo @@versions\nSELECT json_build_array(a.code, v.version_no, lower(v.valid), upper(v.valid), lower(v.known), upper(v.known)) FROM dist.agreement_version v "
                  f"JOIN dist.agreement a USING (agreement_id) WHERE starts_with(a.code, {literal(names.prefix)}) AND v.published_at IS NOT NULL;\n")
    return "".join(script)


class Stamps:
    """The instants of a load, and what they are on the calendar of the oracle."""

    def __init__(self, parts, phases):
        self.edges = [instant(parts["start"][0])] + [instant(parts[f"k{n}"][0]) for n in range(phases)]

    def phase(self, micros):
        """The phase in which an instant of the load lies, None outside."""
        return next((n for n, (low, high) in enumerate(zip(self.edges, self.edges[1:])) if low < micros <= high), None)

    def told(self, text):
        """An instant that the database says, in the oracle's calendar."""
        if text is None or text in ("infinity", "-infinity"):
            return None
        micros = instant(text)
        phase = self.phase(micros)
        return micros if phase is None else told(phase)


def number_versions(world, parts, stamps):
    """Gives the versions of a world the numbers they have in the database; returns what is there and should not be, or the other way round."""
    found = {}
    for line in parts["versions"]:
        code, number, low, high, since, until = json.loads(line)
        key = (code, stamps.told(low), stamps.told(high), stamps.told(since), stamps.told(until))
        if key[3] != key[4]:
            found[key] = number
    wanted = {(v.agreement, *v.valid, *v.known): v for v in world.versions if v.known[0] != v.known[1]}
    for key in set(found) & set(wanted):
        wanted[key].number = found[key]
    return [("database", *key) for key in set(found) - set(wanted)] + [("oracle", *key) for key in set(wanted) - set(found)]


# --- asking

def instant_sql(micros):
    return f"'{text_of(micros)}'::timestamptz"


def options_sql(question):
    """Options as an expression; known_at is the stamp of the phase."""
    phase = question["phase"]
    return literal(question["options"]) + "::jsonb" + (f" || jsonb_build_object('known_at', :'k{phase}')" if phase is not None else "")


def prices_call(question):
    return f"distsync.prices({literal(question['customer'])}, {literal(question['lines'])}, {instant_sql(question['at'])}, {options_sql(question)})"


def prices_sql(question):
    return f"SELECT to_jsonb(p) FROM {prices_call(question)} p ORDER BY p.ordinal;\n"


def single(question, place):
    """The question about one of its lines alone, as price() takes it; None where price() cannot say it."""
    line = question["lines"][place]
    if "weight" in line:
        return None
    options = dict(question["options"], **({"site": line["site"]} if "site" in line else {}))
    return dict(question, lines=[{k: v for k, v in line.items() if k != "site"}], options=options)


def price_sql(question, function="price"):
    line = question["lines"][0]
    unit = literal(line["unit"]) if "unit" in line else "NULL"
    call = f"distsync.{function}({literal(question['customer'])}, {literal(line['item'])}, {line['quantity']}, {unit}, {instant_sql(question['at'])}, {options_sql(question)})"
    return f"SELECT to_jsonb(p) FROM {call} p;\n" if function == "price" else f"SELECT {call};\n"


def sheet_sql(question, prefix):
    """What a sheet of a world's items says and price() without order discounts does not, and the other way round; then how many rows it has."""
    customer, at, options = literal(question["customer"]), instant_sql(question["at"]), options_sql(question)
    alone = f"({options}::jsonb || jsonb_build_object('without', COALESCE({options}::jsonb -> 'without', '[]') || '[\"order\"]'))"
    columns = "item, unit, quantity, unit_price, currency, price_per, agreement, valid_until, code"
    return (f"WITH sheet AS MATERIALIZED (SELECT {columns} FROM distsync.price_sheet({customer}, {at}, {options}) WHERE starts_with(item, {literal(prefix)})),\n"
            f"single AS MATERIALIZED (SELECT p.* FROM dist.item i, LATERAL distsync.price({customer}, i.sku, 1, NULL, {at}, {alone}) p WHERE i.status = 'active' AND starts_with(i.sku, {literal(prefix)})),\n"
            f"known AS (SELECT {columns} FROM single WHERE outcome = 'priced')\n"
            "SELECT 'more', to_jsonb(m) FROM (TABLE sheet EXCEPT ALL TABLE known) m UNION ALL SELECT 'less', to_jsonb(l) FROM (TABLE known EXCEPT ALL TABLE sheet) l UNION ALL SELECT 'rows', to_jsonb(count(*)) FROM sheet;\n")


class Loaded:
    """A world in the database with the oracle's view of it, and what the session said."""

    def __init__(self, phases, used, names, questions, extra=()):
        self.names, self.phases, self.world = names, phases, read(phases, used)
        script = load_script(phases, used, names, prices_call(dict(questions[0], phase=None)))
        script += "".join(f"\\echo @@{name}\n{sql}" for name, sql in [(n, prices_sql(question)) for n, question in enumerate(questions)] + list(extra))
        self.parts = psql(script)
        wrong = [f"{name}: {' '.join(lines)}" for name, lines in self.parts.items() if name.startswith("load") and lines]
        if wrong:
            raise Difference("not loaded: " + "\n".join(wrong[:5]))
        self.stamps = Stamps(self.parts, len(phases))
        strange = number_versions(self.world, self.parts, self.stamps)
        if strange:
            raise Difference("versions are not what was published: " + "\n".join(map(str, sorted(strange, key=str)[:10])))

    def rows(self, name):
        """Rows of a part, or the error that stands in their place."""
        lines = self.parts[str(name)]
        return lines if any(line.startswith("ERROR") for line in lines) else [exact(line) for line in lines]

    def forget(self):
        """Withdraws the agreements, because those for everybody and everything would stand in the next world's way."""
        codes = sorted({d["code"] for phase in self.phases for entity, many in phase if entity == "agreement" for d in many})
        done = psql(f"SELECT outcome FROM distsync.apply_all('agreement', {literal([{'code': code, 'status': 'inactive'} for code in codes])}, '{SOURCE}');\n") if codes else {"": []}
        assert not [line for line in done[""] if "ERROR" in line], done
