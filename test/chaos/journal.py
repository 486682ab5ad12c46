"""The log of everything the server received: one JSON line an event, the oracle of the tests.

A line is in the file before the first byte of its answer leaves, so whatever a client believes to be acknowledged is written
down. Lines are numbered; a write that fails ends the server, because an oracle with holes is worse than none.
"""
import base64
import hashlib
import json
import os
import time

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class Journal:
    """Appends numbered events to one file."""

    def __init__(self, path, max_body):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.max_body = max_body
        self.seq = 0

    def write(self, event, **fields):
        """write appends one event and returns its number."""
        self.seq += 1
        record = {"event": event, "seq": self.seq, "mono_ns": time.monotonic_ns(), "wall_ns": time.time_ns()}
        record.update(fields)
        data = (_encode(record) + "\n").encode("utf-8", "backslashreplace")
        try:
            while data:
                data = data[os.write(self.fd, data):]
        except OSError as error:
            # not an OSError for the caller: those end one connection, this ends the server
            raise SystemExit("cannot write the log: %s" % error) from error
        return self.seq

    def request(self, connection, request, verdict, secret, answer):
        """request writes down one received request with the verdict on its signature and the answer chosen for it."""
        fields = {
            "conn": connection.number, "tls": connection.tls_kind, "method": request.method, "path": request.path,
            "query": request.query, "headers": request.headers, "webhook_id": request.headers.get("webhook-id"),
            "signature": verdict, "secret": secret, "body_sha256": hashlib.sha256(request.body).hexdigest(),
            "body_bytes": len(request.body),
        }
        fields.update(self._body(request.body))
        fields["answer"] = answer
        return self.write("request", **fields)

    def _body(self, body):
        """_body returns the body as text where it is text, as base64 where it is not, nothing where it is too long."""
        if len(body) > self.max_body:
            return {"body": None, "body_omitted": True}
        try:
            return {"body": body.decode("utf-8")}
        except UnicodeDecodeError:
            return {"body": None, "body_base64": base64.b64encode(body).decode("ascii")}
