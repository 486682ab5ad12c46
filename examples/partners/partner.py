"""What every partner program of the quickstart is made of: an HTTP/1.1 server on the loopback, signed webhooks in and out.

A partner receives webhooks with POST on any path but /do, and offers to whoever plays the scenario:

    GET  /log?since=N&containing=TEXT&wait=S   what was received, with arrival time in ns and the verdict on its signature
    POST /do {"action": …}                     actions of the partner; every one of them has `send` and `fail`
    GET  /health

Only Python 3 and its standard library.
"""
import argparse
import base64
import collections
import http.client
import http.server
import json
import os
import socketserver
import sys
import threading
import time
import urllib.parse

import webhook

MAX_BODY = 16 << 20
MAX_REMEMBERED = 100000
MAX_WAIT = 60.0


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection: reads a request whole, asks the server's `route`, sends the answer in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 300

    def do_GET(self):
        """do_GET answers a request of any method."""
        arrived = time.time_ns()
        body = self._read_body()
        if body is None:
            return
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        headers = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = headers[key] + ", " + value if key in headers else value
        try:
            status, document, extra = self.server.route(self.command, parts.path, query, headers, body, arrived)
        except (ValueError, KeyError, TypeError) as error:
            status, document, extra = 400, {"error": str(error) or type(error).__name__}, {}
        self._answer(status, document, extra)

    do_POST = do_PUT = do_DELETE = do_GET

    def _read_body(self):
        if self.headers.get("Transfer-Encoding"):
            return self._refuse(411, "a Content-Length is needed")
        text = self.headers.get("Content-Length", "0")
        if not text.isdigit():
            return self._refuse(400, "malformed Content-Length")
        if int(text) > MAX_BODY:
            return self._refuse(413, "at most %d bytes" % MAX_BODY)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.flush()
        body = self.rfile.read(int(text))
        if len(body) < int(text):
            self.close_connection = True
            return None
        return body

    def _refuse(self, status, why):
        self.close_connection = True
        self._answer(status, {"error": why}, {"Connection": "close"})

    def _answer(self, status, document, extra):
        data = b"" if document is None else json.dumps(document).encode("ascii")
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        """log_message is silent: the partner keeps its own log."""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Threads, one a connection; the loopback only."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port, route):
        super().__init__(("127.0.0.1", port), Handler)
        self.route = route

    def server_bind(self):
        """server_bind leaves out the reverse look-up of the host name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, _request, _address):
        """handle_error is quiet about clients that go away and loud about everything else."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(_request, _address)


class Log:
    """Events as JSON lines, numbered, in memory for /log and in a file or on standard output for people."""

    def __init__(self, path):
        self.changed = threading.Condition()
        self.entries = collections.deque(maxlen=MAX_REMEMBERED)
        self.seq = 0
        self.file = open(path, "a", encoding="utf-8", buffering=1) if path else sys.stdout

    def write(self, kind, **fields):
        """write appends an event and wakes who waits for one."""
        with self.changed:
            self.seq += 1
            entry = {"seq": self.seq, "kind": kind, **fields}
            self.entries.append(entry)
            print(json.dumps(entry, ensure_ascii=False), file=self.file, flush=True)
            self.changed.notify_all()
        return entry

    def read(self, since, containing, wait):
        """read returns received messages after a number, waiting for the first one if asked to."""
        end = time.monotonic() + min(wait, MAX_WAIT)
        with self.changed:
            while True:
                found = [entry for entry in self.entries if entry["seq"] > since and entry["kind"] == "received"
                         and (not containing or containing in json.dumps(entry, ensure_ascii=False))]
                left = end - time.monotonic()
                if found or left <= 0:
                    return {"messages": found, "next": found[-1]["seq"] if found else since}
                self.changed.wait(left)


class Sender:
    """Sends signed webhooks to the door over one kept connection and tries again under the same message id."""

    def __init__(self, url, secrets, tries=6):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.path = parts.hostname, parts.port or 80, parts.path or "/"
        self.secrets, self.tries = secrets, tries
        self.lock = threading.Lock()
        self.connection = None

    def send(self, body, message_id, content_type="application/json"):
        """send returns what the door said, how often it was asked, and when."""
        first = time.time_ns()
        with self.lock:
            for attempt in range(1, self.tries + 1):
                headers = webhook.sign(self.secrets, message_id, body) if self.secrets else {"webhook-id": message_id}
                headers["content-type"] = content_type
                status, answer = self._post(body, headers)
                if status is not None and status < 500 and status != 429:
                    break
                if attempt < self.tries:
                    time.sleep(0.1 * 2 ** (attempt - 1))
        return {"message_id": message_id, "status": status, "answer": answer, "attempts": attempt, "sent_ns": first,
                "answered_ns": time.time_ns()}

    def _post(self, body, headers):
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=15)
            self.connection.request("POST", self.path, body, headers)
            response = self.connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            return None, str(error) or type(error).__name__


class Partner:
    """A business system beside ours. Programs derive from it and say what they do with a message and which actions they know."""

    name = "partner"
    facts = {}  # action -> schema of the document it sends

    def __init__(self, arguments):
        self.secrets = arguments.secret
        for secret in self.secrets:
            webhook.decode_secret(secret)
        self.log = Log(arguments.log)
        self.sender = Sender(arguments.door, arguments.door_secret) if arguments.door else None
        self.lock = threading.RLock()
        self.answered = collections.OrderedDict()  # webhook id -> answer
        self.failing = [0, 503]

    # ---- what programs override

    def receive(self, event):
        """receive takes a verified message, a CloudEvent or plain document, once, and returns (status, answer)."""
        return 200, {"ok": True}

    def act(self, action, request):
        """act does an action that is not one of the common ones."""
        if action not in self.facts:
            raise ValueError("unknown action %r; known are %s" % (action, ", ".join(["send", "fail", *self.facts])))
        document = {"schema": self.facts[action], **self.complete(action, dict(request.get("document", {})))}
        return self.tell(document, request)

    def complete(self, action, document):
        """complete fills in what only this partner knows, such as its own number."""
        return document

    def get(self, path, query, headers):
        """get answers GET requests of the program's own; None is a 404."""
        return None

    # ---- the common part

    def route(self, method, path, query, headers, body, arrived):
        """route answers one request: (status, JSON document, further headers)."""
        if method == "GET":
            if path == "/health":
                return 200, {"name": self.name, "seq": self.log.seq}, {}
            if path == "/log":
                return 200, self.log.read(int(query.get("since", 0)), query.get("containing"), float(query.get("wait", 0))), {}
            found = self.get(path, query, headers)
            return found + ({},) if found else (404, {"error": "not found"}, {})
        if method == "POST" and path == "/do":
            request = json.loads(body)
            return 200, self.do(request), {}
        if method == "POST":
            return self.take(path, headers, body, arrived) + ({},)
        return 405, {"error": "method not allowed"}, {}

    def do(self, request):
        """do plays one action of the scenario."""
        action = request["action"]
        if action == "send":
            return self.tell(request.get("document"), request)
        if action == "fail":
            self.failing = [int(request.get("times", 1)), int(request.get("status", 503))]
            return {}
        return self.act(action, request)

    def take(self, path, headers, body, arrived):
        """take verifies a webhook, answers a repeated one as before, and writes everything down."""
        verdict = webhook.verify(self.secrets, headers, body) if self.secrets else "unchecked"
        message_id = headers.get("webhook-id")
        duplicate = False
        with self.lock:
            if verdict not in (webhook.VALID, "unchecked"):
                answer = 401, {"error": verdict}
            elif self.failing[0] > 0:
                self.failing[0] -= 1
                answer = self.failing[1], {"error": "asked to fail"}
            elif message_id in self.answered:
                duplicate, answer = True, self.answered[message_id]
            else:
                answer = self._once(message_id, body)
        event = parse(body)
        self.log.write("received", arrived_ns=arrived, path=path, webhook_id=message_id, signature=verdict, duplicate=duplicate,
                       type=event.get("type") or event.get("schema") if isinstance(event, dict) else None,
                       subject=event.get("subject") if isinstance(event, dict) else None, body=event,
                       status=answer[0], answer=answer[1])
        return answer

    def _once(self, message_id, body):
        event = parse(body)
        if not isinstance(event, dict):
            return 422, {"error": "a JSON object is expected"}
        answer = self.receive(event)
        if message_id and answer[0] < 300:
            self.answered[message_id] = answer
            while len(self.answered) > MAX_REMEMBERED:
                self.answered.popitem(last=False)
        return answer

    def tell(self, document, request):
        """tell sends a document to distsync as a signed webhook and reports the exchange."""
        if self.sender is None:
            raise ValueError("started without --door: there is nobody to tell")
        message_id, body = self.render(document, request)
        result = self.sender.send(body, message_id, "application/cloudevents+json" if "type" in request else "application/json")
        self.log.write("sent", document=document, **result)
        return {**result, "document": document}

    def render(self, document, request):
        """render returns id and bytes of a message; a request with "raw" has the bytes in it, sent as they stand."""
        message_id = request.get("message_id") or webhook.new_message_id()
        if "raw" in request:
            return message_id, request["raw"].encode("utf-8")
        if not isinstance(document, dict):
            raise ValueError('a "document" (an object) or "raw" (a text) is needed')
        event = self.envelope(document, request, message_id)
        return message_id, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def envelope(self, document, request, message_id):
        """envelope wraps a document as a CloudEvent if the request names a type, and leaves it plain otherwise."""
        if "type" not in request:
            return document
        event = {"specversion": "1.0", "id": message_id, "source": "/" + self.name, "type": request["type"],
                 "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "datacontenttype": "application/json"}
        if "subject" in request:
            event["subject"] = request["subject"]
        event["data"] = document
        return event


def parse(body):
    """parse returns the JSON of a body with every number as it was written, or its text, or its base64."""
    try:
        return json.loads(body, parse_float=str)
    except ValueError:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(body).decode("ascii")


def data_of(event):
    """data_of returns the business document of a CloudEvent, or the document itself."""
    data = event.get("data", event) if "specversion" in event else event
    return data if isinstance(data, dict) else {}


def options(description):
    """options returns the command line every partner understands."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="port on the loopback; 0 takes a free one")
    parser.add_argument("--secret", action="append", default=[], help="secret of webhooks we receive; may be repeated")
    parser.add_argument("--door", help="address we send to, such as http://127.0.0.1:8080/in/erp")
    parser.add_argument("--door-secret", action="append", default=[], help="secret we sign with; may be repeated")
    parser.add_argument("--log", help="file for JSON lines; standard output otherwise")
    parser.add_argument("--stdin-lifeline", action="store_true", help="end when standard input ends")
    return parser


def serve(name, port, route, lifeline):
    """serve listens, prints {"name", "port", "pid"} and runs until it is ended."""
    server = Server(port, route)
    print(json.dumps({"name": name, "port": server.server_port, "pid": os.getpid()}), flush=True)
    if lifeline:
        def wait_for_end():
            while os.read(0, 4096):
                pass
            os._exit(0)
        threading.Thread(target=wait_for_end, daemon=True).start()
    try:
        server.serve_forever(poll_interval=3600)
    except KeyboardInterrupt:
        pass


def run(partner_class, parser=None):
    """run is the main function of a partner program."""
    sys.dont_write_bytecode = True
    arguments = (parser or options(partner_class.__doc__)).parse_args()
    try:
        partner = partner_class(arguments)
        serve(partner.name, arguments.port, partner.route, arguments.stdin_lifeline)
    except (OSError, ValueError) as error:
        sys.exit("%s: %s" % (partner_class.name, error))
