#!/usr/bin/env python3
"""partner.py: a partner that misbehaves, for test/http/driver.c.

Raw sockets on 127.0.0.1, one thread a connection; the path says what is done. Prints its two ports (plain, TLS if a
certificate is given) on one line when it listens, and ends when its standard input is closed.
Requests are counted by path and connections in all: GET /stats answers "connections requests-of-that-path".
"""
import socket
import ssl
import sys
import threading
import time
import zlib

lock = threading.Lock()
connections = 0
seen = {}


def head(status="200 OK", *lines, length=None):
    lines = list(lines)
    if length is not None:
        lines.append("Content-Length: %d" % length)
    return ("HTTP/1.1 " + "\r\n".join([status] + lines) + "\r\n\r\n").encode()


def answer(conn, body=b"ok", status="200 OK", *lines):
    conn.sendall(head(status, *lines, length=len(body)) + body)
    return True


def stream(conn, chunk, wrap=lambda c: c):
    while True:
        conn.sendall(wrap(chunk))


def act(conn, path, headers, body, nth):
    """act answers one request; a true result keeps the connection."""
    kind, _, arg = path[1:].partition("/")
    if kind == "size":
        return answer(conn, b"x" * int(arg))
    if kind == "echo":
        return answer(conn, b"%d %d" % (len(body), zlib.crc32(body)))
    if kind == "headers":
        return answer(conn, headers.encode())
    if kind == "delay":
        time.sleep(float(arg))
        return answer(conn)
    if kind == "hang":
        time.sleep(30)
    elif kind == "drip":
        conn.sendall(head(length=1000))
        for _ in range(200):
            conn.sendall(b"x")
            time.sleep(0.1)
    elif kind == "reset":
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    elif kind == "cut":
        conn.sendall(head(length=1000) + b"half")
    elif kind == "garbage":
        conn.sendall(b"\x00\xff\x16\x03 what is this\r\n\r\n")
    elif kind == "old":
        conn.sendall(b"just text, as HTTP/0.9 had it")
    elif kind == "continue":
        conn.sendall(b"HTTP/1.1 100 Continue\r\nRetry-After: 5\r\n\r\n" * 3)
        return answer(conn)
    elif kind == "continues":
        stream(conn, b"HTTP/1.1 102 Processing\r\n\r\n")
    elif kind == "nul":
        conn.sendall(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n")
    elif kind == "control":
        conn.sendall(b"HTTP/1.1 200 OK\r\nX-A: a\x1b[31m\xff\r\nContent-Length: 0\r\n\r\n")
    elif kind == "big":
        conn.sendall(head(length=1 << 30))
        stream(conn, b"y" * 65536)
    elif kind == "chunks":
        conn.sendall(head("200 OK", "Transfer-Encoding: chunked"))
        stream(conn, b"z" * 4096, lambda c: b"%x\r\n%s\r\n" % (len(c), c))
    elif kind == "bighead":
        conn.sendall(head("200 OK", "X-Big: " + "h" * (1 << 20), length=0))
    elif kind == "manyheads":
        conn.sendall(head("200 OK", *["X-%d: %s" % (i, "v" * 20) for i in range(10000)], length=0))
    elif kind == "headless":
        conn.sendall(b"HTTP/1.1 200 OK\r\n")
        stream(conn, b"X-Never: ends\r\n")
    elif kind == "nobody":
        conn.sendall(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody")
    elif kind == "gzip":
        bomb = zlib.compress(b"\0" * (1 << 24))
        return answer(conn, bomb, "200 OK", "Content-Encoding: deflate")
    elif kind == "redirect":
        status, _, target = arg.partition("/")
        return answer(conn, b"", status + " Moved", "Location: " + target)
    elif kind == "retry":
        return answer(conn, b"", "503 Busy", "Retry-After: " + arg.replace("_", " "))
    elif kind == "status":
        return answer(conn, b"", arg + " Status")
    elif kind == "last":
        answer(conn)
    elif kind == "once":
        return nth == 1 and answer(conn)
    elif kind == "stats":
        with lock:
            return answer(conn, b"%d %d" % (connections, seen.get("/" + arg, 0)))
    else:
        return answer(conn)
    return False


def read_request(conn, data):
    """read_request gives path, header text, body and what came after, or None at the end."""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return None
        data += more
    top, _, data = data.partition(b"\r\n\r\n")
    length = 0
    for line in top.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    while len(data) < length:
        more = conn.recv(1 << 20)
        if not more:
            return None
        data += more
    return top.split(b" ")[1].decode(), top.decode("latin-1"), data[:length], data[length:]


def serve(conn):
    global connections
    with lock:
        connections += 1
    rest = b""
    nth = 0
    try:
        while True:
            nth += 1
            request = read_request(conn, rest)
            if request is None:
                break
            path, headers, body, rest = request
            with lock:
                seen[path] = seen.get(path, 0) + 1
            if not act(conn, path, headers, body, nth):
                break
    except (OSError, ValueError):
        pass
    conn.close()


def listen(context=None):
    server = socket.create_server(("127.0.0.1", 0), backlog=512)

    def connect(conn):
        try:
            serve(context.wrap_socket(conn, server_side=True) if context else conn)
        except OSError:
            conn.close()

    def accept():
        while True:
            conn, _ = server.accept()
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=connect, args=(conn,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1]


def main():
    tls = 0
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        tls = listen(context)
    print(listen(), tls, flush=True)
    sys.stdin.read()


main()
