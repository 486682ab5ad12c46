"""The two applications of the loop: the partner under a program, and the control interface that programs it."""
import json

import behaviours
import vocabulary
import webhook
from loop import Connection

OK_ANSWER = {"do": "ok", "args": {}, "intent": behaviours.ACKNOWLEDGED, "status": 200, "program": None, "step": None}
MAX_BODY = 256 << 20
MAX_CONTROL_BODY = 16 << 20


class Application:
    """What both have in common: the connections and their bound."""

    def __init__(self, loop, max_connections, max_body):
        self.loop, self.max_connections, self.max_body = loop, max_connections, max_body
        self.connections = {}
        self.number = 0

    def accept(self, client):
        """accept takes a new client, or resets it when there are too many."""
        self.number += 1
        connection = Connection(self.loop, client, self.number, self, self.max_body)
        self.connections[connection.number] = connection
        if len(self.connections) > self.max_connections:
            connection.reset("too_many_connections")
        return connection

    def closed(self, connection, _reason):
        """closed forgets a connection that has ended."""
        self.connections.pop(connection.number, None)

    def bad_request(self, connection, error):
        """bad_request is called for bytes that are no HTTP."""

    def tls_failed(self, connection, reason):
        """tls_failed is called when a client does not like our certificate."""


class Partner(Application):
    """The HTTP partner: logs what it gets, checks its signature, answers as the program says."""

    def __init__(self, loop, journal, certificates, max_connections):
        super().__init__(loop, max_connections, MAX_BODY)
        self.journal, self.certificates = journal, certificates
        self.programs = vocabulary.Programs()
        self.secrets = {}
        self.listener = None
        self.requests = 0
        self.kinds = {}

    def accept(self, client):
        """accept lets the program have the connection first."""
        connection = super().accept(client)
        if connection.socket is None:
            return connection
        step = self.programs.for_connection()
        self.journal.write("connect", conn=connection.number, do=step.name if step else None)
        if step is None:
            return connection
        if step.name == "refuse":
            connection.reset("refused")
        elif step.name == "silence":
            connection.fall_silent()
        elif step.name == "tls":
            self.kinds[connection.number] = step.arguments.get("kind", "good")
        else:
            self._go_down(step)
        return connection

    def tls_kind(self, connection):
        """tls_kind says which certificate a connection gets."""
        return self.kinds.get(connection.number, "good")

    def respond(self, connection, request):
        """respond logs a request and returns the script of its answer."""
        self.requests += 1
        verdict, secret = self._check(request)
        chosen = self.programs.for_request(request)
        if connection.doomed:
            answer = {"do": "close_keepalive", "args": {"mode": "next"}, "intent": behaviours.AMBIGUOUS, "status": None,
                      "program": None, "step": None}
            script = iter(())
        elif chosen is None:
            answer, script = OK_ANSWER, behaviours.ok(request)
        else:
            path, index, step = chosen
            intent, status = behaviours.meaning(step.name, step.arguments)
            answer = {"do": step.name, "args": step.arguments, "intent": intent, "status": status, "program": path, "step": index}
            script = step.function(request, **step.arguments)
            if step.delay:
                script = _delayed(step.delay, script)
        self.journal.request(connection, request, verdict, secret, answer)
        return script

    def _check(self, request):
        keys = self.secrets.get(request.path) or self.secrets.get("*")
        if not keys:
            return "unchecked", None
        return webhook.check(keys, request.headers, request.body)

    def set_secrets(self, path, secrets):
        """set_secrets replaces the secrets of a path ("*" is every path that has none of its own)."""
        self.secrets[path] = [webhook.decode_secret(secret) for secret in secrets]

    def set_programs(self, programs):
        """set_programs replaces the programs of some paths, all or none of them, and opens the door again if it was shut."""
        trial = vocabulary.Programs()
        for path, program in programs.items():
            trial.set(path, program)
        for path, program in programs.items():
            self.programs.set(path, program)
        self.listener.open()
        for step in self.programs.connection_steps if "*" in programs else ():
            if step.name == "down" and step.after == 0 and step.applies(b""):
                self._go_down(step)

    def clear_programs(self):
        """clear_programs forgets everything: the partner is well again."""
        self.programs.clear()
        self.listener.open()

    def _go_down(self, step):
        self.listener.close()
        for connection in list(self.connections.values()):
            connection.reset("down")
        if step.arguments.get("seconds"):
            self.loop.call_later(step.arguments["seconds"], self._come_up, step)

    def _come_up(self, step):
        if step in self.programs.connection_steps:
            self.listener.open()

    def closed(self, connection, reason):
        """closed logs the end of a connection."""
        super().closed(connection, reason)
        self.kinds.pop(connection.number, None)
        self.journal.write("close", conn=connection.number, reason=reason, requests=connection.requests,
                           bytes_in=connection.bytes_in, bytes_out=connection.bytes_out, unread=len(connection.reader.buffer))

    def bad_request(self, connection, error):
        """bad_request logs what could not be read as HTTP."""
        self.journal.write("bad_request", conn=connection.number, reason=str(error), status=error.status,
                           head=connection.reader.buffer[:1000].decode("latin-1"))

    def tls_failed(self, connection, reason):
        """tls_failed logs a handshake that did not succeed."""
        self.journal.write("tls_failed", conn=connection.number, kind=connection.tls_kind, reason=reason)


def _delayed(seconds, script):
    yield float(seconds)
    yield from script


class Control(Application):
    """The control interface: JSON in, JSON out."""

    def __init__(self, loop, partner):
        super().__init__(loop, 100, MAX_CONTROL_BODY)
        self.partner = partner
        self.routes = {
            ("GET", "/status"): self._status, ("GET", "/program"): self._programs, ("POST", "/program"): self._set_programs,
            ("DELETE", "/program"): self._clear, ("POST", "/secrets"): self._set_secrets, ("POST", "/mark"): self._mark,
            ("POST", "/drop"): self._drop, ("GET", "/tls"): self._tls, ("POST", "/stop"): self._stop}

    def respond(self, _connection, request):
        """respond answers one control request."""
        route = self.routes.get((request.method, request.path))
        try:
            document = json.loads(request.body) if request.body else {}
            if not isinstance(document, dict):
                raise ValueError("the body is a JSON object")
            code, result = (200, route(document)) if route else (404, {"error": "no such control", "known": [
                " ".join(key) for key in self.routes]})
        except (ValueError, KeyError, TypeError) as error:
            code, result = 400, {"error": "%s" % error if not isinstance(error, KeyError) else "missing field %s" % error}
        yield behaviours.answer(code, None, json.dumps(result).encode("ascii"))

    def tls_kind(self, _connection):
        """tls_kind: the control speaks plain HTTP only; a TLS hello gets half an answer and an end."""
        return "truncated"

    def _status(self, _document):
        partner = self.partner
        return {"requests": partner.requests, "connections": partner.number, "open": len(partner.connections),
                "listening": partner.listener.socket is not None, "port": partner.listener.port, "seq": partner.journal.seq}

    def _programs(self, _document):
        return self.partner.programs.describe()

    def _set_programs(self, document):
        programs = document["programs"] if "programs" in document else {document.get("path", "*"): document["program"]}
        if not isinstance(programs, dict):
            raise ValueError('"programs" is an object of paths')
        self.partner.set_programs(programs)
        return self._programs(document)

    def _clear(self, _document):
        self.partner.clear_programs()
        return {}

    def _set_secrets(self, document):
        self.partner.set_secrets(document.get("path", "*"), document["secrets"])
        return {}

    def _mark(self, document):
        return {"seq": self.partner.journal.write("mark", note=document.get("note"))}

    def _drop(self, _document):
        """_drop resets every open connection, idle ones too."""
        connections = list(self.partner.connections.values())
        for connection in connections:
            connection.reset("dropped")
        return {"dropped": len(connections)}

    def _tls(self, _document):
        directory = self.partner.certificates.prepare()
        return {"directory": directory, "ca": directory + "/ca.pem"}

    def _stop(self, _document):
        self.loop.call_later(0.05, setattr, self.loop, "stopped", True)
        return {}
