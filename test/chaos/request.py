"""HTTP/1.x requests from a byte stream.

Bytes are fed as they arrive and whole requests come out; nothing blocks, everything is bounded. The parser is strict where a
client of ours must be right (a bare CR or NUL in a header is an error, two different lengths are an error), because what it
reads is evidence.
"""
import re

MAX_HEAD = 256 * 1024
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS = re.compile(r"[0-9]{1,15}\Z")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?\Z")


class BadRequest(Exception):
    """A request that is no HTTP; `status` is what the client is told before the connection closes."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Request:
    """One request as it was received; `headers` has lower-case names, repeated ones joined by a comma."""

    __slots__ = ("method", "target", "path", "query", "version", "headers", "body", "keep_alive")

    def __init__(self, method, target, version, headers):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.version = version
        self.headers = headers
        self.body = b""
        connection = headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection


def parse_head(raw):
    """parse_head turns the bytes before the empty line into a Request."""
    lines = raw.split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not _TOKEN.match(parts[0]) or _FORBIDDEN.search(lines[0]):
        raise BadRequest(400, "malformed request line")
    version = parts[2].decode("latin-1")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505, "unknown protocol version")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name) or _FORBIDDEN.search(value):
            raise BadRequest(400, "malformed header line")
        key = name.decode("ascii").lower()
        text = value.strip(b" \t").decode("latin-1")
        headers[key] = headers[key] + ", " + text if key in headers else text
    return Request(parts[0].decode("ascii"), parts[1].decode("latin-1"), version, headers)


class RequestReader:
    """Collects the bytes of one connection and gives back whole requests in order."""

    def __init__(self, max_body):
        self.buffer = bytearray()
        self.max_body = max_body
        self.pending = None
        self.expects_continue = False
        self._missing = 0
        self._chunked = False
        self._chunks = None

    def feed(self, data):
        """feed appends what the socket gave."""
        self.buffer += data

    def next(self):
        """next returns a complete request, or None while bytes are missing."""
        if self.pending is None and not self._read_head():
            return None
        if self._chunked:
            body = self._read_chunks()
            if body is None:
                return None
        else:
            if len(self.buffer) < self._missing:
                return None
            body = bytes(self.buffer[:self._missing])
            del self.buffer[:self._missing]
        request, self.pending = self.pending, None
        request.body = body
        self.expects_continue = False
        return request

    def _read_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > MAX_HEAD:
                raise BadRequest(431, "header section too large")
            return False
        if end > MAX_HEAD:
            raise BadRequest(431, "header section too large")
        request = parse_head(bytes(self.buffer[:end]))
        del self.buffer[:end + 4]
        self._frame(request)
        self.pending = request
        self.expects_continue = request.headers.get("expect", "").lower() == "100-continue"
        return True

    def _frame(self, request):
        """_frame finds out how long the body is; a request with both framings is a smuggling attempt and refused."""
        coding = request.headers.get("transfer-encoding")
        length = request.headers.get("content-length")
        self._chunked, self._missing, self._chunks = False, 0, []
        if coding is not None:
            if length is not None or coding.lower() != "chunked":
                raise BadRequest(400, "unsupported or ambiguous transfer encoding")
            self._chunked = True
        elif length is not None:
            if not _DIGITS.match(length):
                raise BadRequest(400, "malformed content length")
            self._missing = int(length)
            if self._missing > self.max_body:
                raise BadRequest(413, "body too large")

    def _read_chunks(self):
        while True:
            end = self.buffer.find(b"\r\n")
            if end < 0:
                if len(self.buffer) > 1024:
                    raise BadRequest(400, "malformed chunk size")
                return None
            match = _CHUNK_SIZE.match(bytes(self.buffer[:end]))
            if not match:
                raise BadRequest(400, "malformed chunk size")
            size = int(match.group(1), 16)
            if size + sum(map(len, self._chunks)) > self.max_body:
                raise BadRequest(413, "body too large")
            if len(self.buffer) < end + 2 + size + 2:
                return None
            if size == 0:
                return self._read_trailer(end)
            self._chunks.append(bytes(self.buffer[end + 2:end + 2 + size]))
            if self.buffer[end + 2 + size:end + 4 + size] != b"\r\n":
                raise BadRequest(400, "chunk without its line end")
            del self.buffer[:end + 4 + size]

    def _read_trailer(self, end):
        if self.buffer[end + 2:end + 4] == b"\r\n":
            del self.buffer[:end + 4]
        else:
            stop = self.buffer.find(b"\r\n\r\n", end)
            if stop < 0:
                if len(self.buffer) > MAX_HEAD:
                    raise BadRequest(431, "trailer section too large")
                return None
            del self.buffer[:stop + 4]
        return b"".join(self._chunks)
