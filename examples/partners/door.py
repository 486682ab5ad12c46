#!/usr/bin/python3
"""A small HTTP door in front of distsync.receive(), for the quickstart and for tests.

    door.py --port 8080 --dsn "host=/tmp dbname=distsync user=integrator" [--connections 4]

    POST /in/<source>   body and headers as they come; the database verifies, dedupes and stores them

The answer is the row distsync.receive() returned, as JSON, under the status that makes a sender do the right thing:

    accepted   202    duplicate  200
    refused   401 signature_…, timestamp_…   404 unknown_source   413 too_large   409 key_reused, conflict   422 anything else
    SQL error, no database                    503 with Retry-After: the message was not stored, send it again
"""
import argparse
import json
import queue
import re
import sys
import urllib.parse

sys.dont_write_bytecode = True

import libpq
import partner

SQL = "SELECT * FROM distsync.receive($1::text, $2::jsonb, $3::bytea)"
STATUS = {"accepted": 202, "duplicate": 200}
SOURCE = re.compile(r"/in/([^/]+)\Z")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
RETRY = {"Retry-After": "1"}


def status_of(row):
    """status_of maps the outcome of receive() to an HTTP status."""
    outcome = row.get("outcome")
    if outcome in STATUS:
        return STATUS[outcome]
    if outcome != "refused":
        return 202 if outcome else 503
    reason = row.get("reason") or ""
    if reason.startswith(("signature", "timestamp")):
        return 401
    return {"unknown_source": 404, "too_large": 413, "key_reused": 409, "conflict": 409}.get(reason, 422)


class Door:
    """Takes requests and hands them to the database over a few kept connections."""

    def __init__(self, arguments):
        self.pool = queue.LifoQueue()
        self.wait = arguments.statement_timeout
        settings = ("SET application_name = 'distsync door'", "SET statement_timeout = '%ds'" % self.wait, "SET client_encoding = 'UTF8'")
        for _ in range(arguments.connections):
            self.pool.put(libpq.Statement(arguments.dsn, SQL, settings))

    def route(self, method, path, _query, headers, body, _arrived):
        """route answers one request."""
        if method == "GET" and path == "/health":
            return 200, {"name": "door"}, {}
        match = SOURCE.match(path)
        if not match:
            return 404, {"error": "POST /in/<source>"}, {}
        if method != "POST":
            return 405, {"error": "method not allowed"}, {"Allow": "POST"}
        source = urllib.parse.unquote(match.group(1), errors="strict")
        if CONTROL.search(source) or any(CONTROL.search(value) for value in headers.values()):
            return 400, {"error": "control characters in a header or in the source"}, {}
        try:
            row = self._receive(source, headers, body)
        except queue.Empty:
            return 503, {"error": "busy"}, RETRY
        except libpq.DatabaseError as error:
            print("door: %s %s" % (error.sqlstate or "connection", error), file=sys.stderr, flush=True)
            return 503, {"error": "not stored", "sqlstate": error.sqlstate}, RETRY
        status = status_of(row)
        return status, row, RETRY if status == 503 else {}

    def _receive(self, source, headers, body):
        """_receive calls the database; a lost connection is made again once, the message id makes that harmless."""
        statement = self.pool.get(timeout=self.wait)
        try:
            parameters = (source, json.dumps(headers), body)
            try:
                rows = statement.execute(parameters)
            except libpq.DatabaseError as error:
                if error.sqlstate is not None and error.sqlstate[:2] not in ("57", "08"):
                    raise
                statement.close()
                rows = statement.execute(parameters)
            return rows[0] if rows else {}
        finally:
            self.pool.put(statement)


def main():
    """main reads the command line and serves."""
    parser = argparse.ArgumentParser(description="A small HTTP door in front of distsync.receive().")
    parser.add_argument("--port", type=int, default=0, help="port on the loopback; 0 takes a free one")
    parser.add_argument("--dsn", default="", help="connection string of libpq; PGHOST and the like fill the rest")
    parser.add_argument("--connections", type=int, default=4, help="connections kept to the database")
    parser.add_argument("--statement-timeout", type=int, default=10, metavar="SECONDS")
    parser.add_argument("--stdin-lifeline", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    try:
        partner.serve("door", arguments.port, Door(arguments).route, arguments.stdin_lifeline)
    except OSError as error:
        sys.exit("door: %s" % error)


if __name__ == "__main__":
    main()
