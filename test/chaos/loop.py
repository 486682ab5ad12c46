"""The event loop and its connections: one thread, non-blocking sockets, bounded memory.

A connection reads requests and asks its application for an answer, which is a generator of bytes, waits and marks
(behaviours.py); it sends what the socket takes and comes back for more. One request at a time: what a client pipelines waits.
"""
import heapq
import itertools
import selectors
import socket
import ssl
import struct
import time

import behaviours
import certificates
from request import BadRequest, RequestReader

READ_SIZE = 65536
READ_AHEAD = 1 << 20    # bytes of pipelined requests kept while one is being answered
BURST = 1 << 20         # bytes one connection may send before the others have a turn
ACCEPT_BURST = 256
TCP_ESTABLISHED = 1     # first byte of struct tcp_info, <netinet/tcp.h>
_LINGER_RESET = struct.pack("ii", 1, 0)
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Loop:
    """Waits for sockets and timers and calls whom it concerns."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.timers = []
        self.order = itertools.count()
        self.stopped = False

    def call_later(self, seconds, function, *arguments):
        """call_later calls a function once, not before so many seconds have passed."""
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), function, arguments))

    def run(self):
        """run serves until stopped."""
        while not self.stopped:
            timeout = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else None
            for key, mask in self.selector.select(timeout):
                if key.fileobj == 0 or key.fileobj.fileno() >= 0:  # else closed by an earlier event of this round
                    key.data(mask)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                _, _, function, arguments = heapq.heappop(self.timers)
                function(*arguments)


class Listener:
    """A listening socket on the loopback that can go away and come back on the same port."""

    def __init__(self, loop, host, port, application):
        self.loop, self.host, self.port, self.application = loop, host, port, application
        self.socket = None
        self.open()

    def open(self):
        """open starts to listen; a port once got is kept."""
        if self.socket is not None:
            return
        self.socket = socket.create_server((self.host, self.port), backlog=4096, reuse_port=False,
                                           family=socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.loop.selector.register(self.socket, selectors.EVENT_READ, self._accept)

    def close(self):
        """close stops listening: clients get connection refused."""
        if self.socket is not None:
            self.loop.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None

    def _accept(self, _mask):
        for _ in range(ACCEPT_BURST):
            if self.socket is None:
                return
            try:
                client, _ = self.socket.accept()
            except _WOULD_BLOCK:
                return
            except OSError:  # out of descriptors, or the client is gone already: the loop goes on
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.application.accept(client)


class Connection:
    """One client."""

    def __init__(self, loop, client, number, application, max_body):
        self.loop, self.socket, self.number, self.application = loop, client, number, application
        self.reader = RequestReader(max_body)
        self.first = True
        self.tls_kind = None
        self.handshaking = False
        self.script = None       # the answer being sent
        self.out = None          # what the socket did not take yet
        self.waiting = False     # the script sleeps or hangs
        self.last = False        # close when the script is done
        self.doomed = False      # reset at the next request
        self.bytes_in = self.bytes_out = self.requests = 0
        self.mask = selectors.EVENT_READ
        loop.selector.register(client, self.mask, self.on_event)

    # ---- events

    def on_event(self, mask):
        """on_event reads and writes as the selector says; any failure of the socket ends the connection."""
        try:
            if self.first and not self._open():
                return
            if self.handshaking and not self._shake_hands():
                return
            if mask & selectors.EVENT_READ or self.tls_kind:
                self._read()
            if self.socket is not None and not self.waiting and (self.out or self.script):
                self._pump()
        except ssl.SSLError as error:
            self.application.tls_failed(self, error.reason or str(error))
            self.close("tls_error")
        except OSError as error:
            self.close("client_reset" if isinstance(error, (ConnectionResetError, BrokenPipeError)) else "error: %s" % error)

    def _open(self):
        """_open looks at the first byte: a TLS hello gets the certificate the program chose, anything else is HTTP."""
        try:
            start = self.socket.recv(1, socket.MSG_PEEK)
        except _WOULD_BLOCK:
            return False
        self.first = False
        if start != b"\x16":
            return True
        self.tls_kind = self.application.tls_kind(self)
        if self.tls_kind == "truncated":
            self.socket.recv(READ_SIZE)
            self.socket.send(certificates.HELLO)
            self.close("truncated")
            return False
        context = self.application.certificates.context(self.tls_kind)
        self.loop.selector.unregister(self.socket)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.loop.selector.register(self.socket, self.mask, self.on_event)
        self.handshaking = True
        return True

    def _shake_hands(self):
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._want(selectors.EVENT_READ)
            return False
        except ssl.SSLWantWriteError:
            self._want(selectors.EVENT_READ | selectors.EVENT_WRITE)
            return False
        self.handshaking = False
        self._want(selectors.EVENT_READ)
        return True

    def _read(self):
        try:
            data = self.socket.recv(READ_SIZE)
            while self.tls_kind and data and self.socket.pending():
                self.bytes_in += len(data)
                self.reader.feed(data)
                data = self.socket.recv(READ_SIZE)
        except _WOULD_BLOCK:
            return
        if not data:
            self.close("client_closed")
            return
        self.bytes_in += len(data)
        self.reader.feed(data)
        if self.script is None:
            self._serve()
        elif len(self.reader.buffer) > READ_AHEAD:
            self.close("client_pipelines_too_much")

    def fall_silent(self):
        """fall_silent stops reading and writing for good; the kernel is asked now and then whether the client has left."""
        self._want(0)
        self._look_for_end()

    def _look_for_end(self):
        if self.socket is None:
            return
        if self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_ESTABLISHED:
            self.close("client_closed")
        else:
            self.loop.call_later(0.25, self._look_for_end)

    # ---- requests and answers

    def _serve(self):
        """_serve takes the next whole request and starts its answer."""
        try:
            request = self.reader.next()
        except BadRequest as error:
            self.application.bad_request(self, error)
            self.last = True
            self.script = iter([behaviours.answer(error.status, {"Connection": "close"}, b'{"error":"bad request"}')])
            self._pump()
            return
        if request is None:
            if self.reader.expects_continue:
                self.reader.expects_continue = False
                self._send_now(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self.requests += 1
        self.last = not request.keep_alive
        self.script = self.application.respond(self, request)
        if self.doomed:
            self.reset("close_keepalive")
            return
        self._pump()

    def _send_now(self, data):
        try:
            self.bytes_out += self.socket.send(data)
        except _WOULD_BLOCK:
            pass

    def _pump(self):
        """_pump drives the script until the socket is full, the script waits, or others should have a turn."""
        sent = 0
        while self.socket is not None:
            if self.out:
                try:
                    count = self.socket.send(self.out)
                except _WOULD_BLOCK:
                    self._want(selectors.EVENT_READ | selectors.EVENT_WRITE)
                    return
                sent += count
                self.bytes_out += count
                self.out = self.out[count:] if count < len(self.out) else None
                if sent > BURST or self.out:
                    self._want(selectors.EVENT_READ | selectors.EVENT_WRITE)
                    return
            step = next(self.script, None)
            if step is None:
                self._answered()
                return
            if type(step) is bytes:
                self.out = memoryview(step) if len(step) > READ_SIZE else step
            elif type(step) is float:
                self.waiting = True
                self._want(selectors.EVENT_READ)
                self.loop.call_later(step, self._resume, self.script)
                return
            elif not self._mark(step):
                return

    def _mark(self, mark):
        """_mark does what a mark of a script says and returns whether the script goes on."""
        if mark == behaviours.RESET:
            self.reset("reset")
        elif mark == behaviours.CLOSE:
            self.close("closed")
        elif mark == behaviours.HANG:
            self.waiting = True
            self._want(selectors.EVENT_READ)
        elif mark == behaviours.DOOM_NEXT:
            self.doomed = True
            return True
        elif mark == behaviours.HALF_CLOSE:
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
            return True
        return False

    def _resume(self, script):
        """_resume wakes a script after its wait, unless its connection has ended meanwhile."""
        if self.socket is None or self.script is not script:
            return
        self.waiting = False
        try:
            self._pump()
        except OSError:
            self.close("client_reset")

    def _answered(self):
        self.script = None
        if self.last:
            self.close("done")
            return
        self._want(selectors.EVENT_READ)
        if self.reader.buffer:
            # through the loop, not by recursion: a client may pipeline many
            self.loop.call_later(0, self._next_pipelined)

    def _next_pipelined(self):
        if self.socket is not None and self.script is None:
            try:
                self._serve()
            except OSError:
                self.close("client_reset")

    # ---- the end

    def _want(self, mask):
        """_want changes what the selector watches."""
        if mask != self.mask and self.socket is not None:
            self.loop.selector.unregister(self.socket) if not mask else (
                self.loop.selector.modify(self.socket, mask, self.on_event) if self.mask
                else self.loop.selector.register(self.socket, mask, self.on_event))
            self.mask = mask

    def reset(self, reason):
        """reset ends the connection with RST."""
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self.close(reason)

    def close(self, reason):
        """close ends the connection and tells the application why."""
        if self.socket is None:
            return
        if self.mask:
            self.loop.selector.unregister(self.socket)
        if self.tls_kind and not self.handshaking and reason in ("done", "closed"):
            try:
                self.socket.unwrap()
            except (OSError, ValueError):
                pass
        self.socket.close()
        self.socket = None
        self.script = None
        self.application.closed(self, reason)
