"""What the server can do to a request.

A behaviour is a generator: it yields bytes to send, a float to wait that many seconds, or one of the marks below. The loop
drives it when the socket can take more, so an endless answer costs no memory. The parameters of each function, with their
annotations, are the vocabulary a program may use (README.md).
"""
import random
import struct
import zlib

HANG = "hang"              # nothing more until the client goes away
RESET = "reset"            # RST instead of FIN
CLOSE = "close"            # FIN, both directions
HALF_CLOSE = "half_close"  # FIN in our direction only, the client may go on talking
DOOM_NEXT = "doom_next"    # the next request on this connection is read and then reset

REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found",
           307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
           409: "Conflict", 410: "Gone", 413: "Content Too Large", 422: "Unprocessable Content", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
OK_BODY = '{"ok":true}'
BLOCK = bytes(65536)
TICK = 0.02


def answer(code, headers=None, body=b"", length=None):
    """answer builds a complete response; headers given by the program win over the usual ones."""
    lines = ["HTTP/1.1 %d %s" % (code, REASONS.get(code, "Status"))]
    given = {name.lower() for name in headers or ()}
    if "content-type" not in given and body:
        lines.append("Content-Type: application/json")
    if "content-length" not in given and "transfer-encoding" not in given and code >= 200 and code not in (204, 304):
        lines.append("Content-Length: %d" % (len(body) if length is None else length))
    for name, value in (headers or {}).items():
        lines.extend("%s: %s" % (name, one) for one in (value if isinstance(value, list) else [value]))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


PLAIN_OK = answer(200, None, OK_BODY.encode("ascii"))


def ok(request, body: str = OK_BODY):
    """ok accepts the request."""
    yield PLAIN_OK if body == OK_BODY else answer(200, None, body.encode("utf-8"))


def status(request, code: int, headers: dict = None, body: str = ""):
    """status answers with a code, headers and a body."""
    yield answer(code, headers, body.encode("utf-8"))


def retry_after(request, value: str, code: int = 429):
    """retry_after asks the client to come back later; the value is sent as it stands, sensible or not."""
    yield answer(code, {"Retry-After": str(value)}, b'{"error":"later"}')


def redirect(request, url: str, code: int = 302):
    """redirect points the client elsewhere; a good client of ours never goes there."""
    yield answer(code, {"Location": url})


def hang(request, seconds: float = 0.0):
    """hang never answers, or answers after some seconds."""
    if seconds:
        yield float(seconds)
        yield PLAIN_OK
    else:
        yield HANG


def _dripping(data, bps):
    """_dripping cuts data so that about bps bytes leave in a second."""
    piece = max(1, int(bps * TICK))
    for start in range(0, len(data), piece):
        yield data[start:start + piece]
        yield piece / bps


def drip(request, bps: float = 1.0, bytes: int = 100000):
    """drip sends its head at once and its body slowly."""
    yield answer(200, None, b"", length=bytes)
    for left in range(bytes, 0, -len(BLOCK)):
        yield from _dripping(b" " * min(left, len(BLOCK)), bps)


def endless_head(request, bps: float = 1.0):
    """endless_head sends a head that never ends, slowly."""
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield from _dripping(b"X-More: more\r\n", bps)


def reset(request, after_bytes: int = 0):
    """reset breaks the connection with RST after so many bytes of an ordinary answer."""
    if after_bytes > 0:
        yield answer(200, None, b" " * (after_bytes + 1000))[:after_bytes]
        yield TICK
    yield RESET


def half_close(request, after_bytes: int = 0):
    """half_close sends FIN after so many bytes of an ordinary answer and keeps reading."""
    if after_bytes > 0:
        yield answer(200, None, b" " * (after_bytes + 1000))[:after_bytes]
    yield HALF_CLOSE
    yield HANG


def garbage(request, seed: int = 1, bytes: int = 256):
    """garbage sends pseudo-random bytes in place of an answer, the same ones for the same seed."""
    yield random.Random(seed).randbytes(bytes)
    yield CLOSE


def raw(request, text: str, close: bool = True):
    """raw sends exactly these bytes (one byte a character), for answers no other word describes."""
    yield text.encode("latin-1")
    if close:
        yield CLOSE


def big(request, bytes: int):
    """big answers with a body of so many zero bytes."""
    yield answer(200, {"Content-Type": "application/octet-stream"}, b"", length=bytes)
    for left in range(bytes, 0, -len(BLOCK)):
        yield BLOCK[:left]


def endless_chunked(request, bps: float = 0.0):
    """endless_chunked sends chunks until the client goes away, as fast as it reads or at a rate."""
    yield answer(200, {"Transfer-Encoding": "chunked"})
    chunk = b"10000\r\n" + BLOCK + b"\r\n"
    while True:
        if bps:
            yield from _dripping(b"1\r\n \r\n", bps)
        else:
            yield chunk


def close_keepalive(request, mode: str = "now"):
    """close_keepalive promises to keep the connection and closes it: now, or with a reset at the next request on it."""
    yield answer(200, {"Connection": "keep-alive", "Keep-Alive": "timeout=60"}, OK_BODY.encode("ascii"))
    yield DOOM_NEXT if mode == "next" else CLOSE


def wrong_length(request, delta: int = 10):
    """wrong_length announces a body that is longer (delta > 0) or shorter (delta < 0) than the one it sends."""
    body = OK_BODY.encode("ascii") + b" " * 100
    yield answer(200, None, body, length=max(0, len(body) + delta))
    yield CLOSE


def flood_1xx(request, count: int = 1000, code: int = 103):
    """flood_1xx sends many interim answers before the real one."""
    block = answer(code) * 100
    for left in range(count, 0, -100):
        yield block[:len(block) // 100 * min(left, 100)]
    yield PLAIN_OK


def header_flood(request, count: int = 10000, size: int = 20):
    """header_flood answers with many headers, or few very long ones."""
    yield b"HTTP/1.1 200 OK\r\n"
    value = b"v" * size
    for start in range(0, count, 100):
        yield b"".join(b"X-Flood-%d: %b\r\n" % (i, value) for i in range(start, min(count, start + 100)))
    yield b"Content-Length: 0\r\n\r\n"


def gzip_bomb(request, bytes: int = 1 << 30):
    """gzip_bomb answers with a valid gzip body that inflates to at least so many zero bytes."""
    megabyte = b"\0" * (1 << 20)
    count = max(1, (bytes + (1 << 20) - 1) >> 20)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # a full flush ends on a byte and forgets the window: the same block may stand any number of times
    block = compressor.compress(megabyte) + compressor.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    length = len(head) + count * len(block) + 2 + 8
    yield answer(200, {"Content-Encoding": "gzip"}, b"", length=length) + head
    checksum = 0
    for _ in range(count):
        checksum = zlib.crc32(megabyte, checksum)
        yield block
    yield b"\x03\x00" + struct.pack("<II", checksum, (count << 20) & 0xFFFFFFFF)


# What an answer means to a client that reads it in full: acknowledged, refused, or open to either reading.
ACKNOWLEDGED, REFUSED, AMBIGUOUS = "acknowledged", "refused", "ambiguous"
REQUEST_ACTIONS = {function.__name__: function for function in (
    ok, status, retry_after, redirect, hang, drip, endless_head, reset, half_close, garbage, raw, big, endless_chunked,
    close_keepalive, wrong_length, flood_1xx, header_flood, gzip_bomb)}
_STATUS = {"ok": 200, "close_keepalive": 200, "flood_1xx": 200, "redirect": 302, "retry_after": 429}


def meaning(name, arguments):
    """meaning returns (intent, status) of an action for the log."""
    if name not in _STATUS and name != "status":
        return AMBIGUOUS, None
    code = _STATUS[name] if name in ("ok", "close_keepalive", "flood_1xx") else arguments.get("code", _STATUS.get(name))
    return (ACKNOWLEDGED if 200 <= code < 300 else REFUSED), code
