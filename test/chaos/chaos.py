#!/usr/bin/python3
"""A scriptable HTTP partner on raw sockets: it misbehaves on demand and remembers everything it was sent.

    chaos.py --log FILE [--port 0] [--control-port 0] [--secret whsec_…] [--program TEXT] [--stdin-lifeline]

It prints one JSON line {"port": …, "control": …, "pid": …} when it is ready. README.md has the vocabulary.
Listens on the loopback only. Needs Python 3 from the distribution, nothing else; the openssl command for TLS.
"""
import argparse
import ipaddress
import json
import os
import resource
import selectors
import signal
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "partners"))

from application import Control, Partner
from certificates import Certificates
from journal import Journal
from loop import Listener, Loop


def loopback(text):
    """loopback accepts an address of this machine's loopback and nothing else."""
    if not ipaddress.ip_address(text).is_loopback:
        raise argparse.ArgumentTypeError("%s is not a loopback address" % text)
    return text


def read_arguments():
    """read_arguments returns the command line."""
    parser = argparse.ArgumentParser(description="A scriptable HTTP partner that misbehaves on demand.")
    parser.add_argument("--log", required=True, help="file for one JSON line an event, appended to")
    parser.add_argument("--host", type=loopback, default="127.0.0.1", help="loopback address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port of the partner; 0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="port of the control interface; 0 takes a free one")
    parser.add_argument("--secret", action="append", default=[], metavar="[PATH=]SECRET",
                        help="secret for the signature check, may be repeated")
    parser.add_argument("--program", help="the first program of *")
    parser.add_argument("--max-connections", type=int, default=4000)
    parser.add_argument("--max-logged-body", type=int, default=1 << 20, help="longer bodies leave only length and hash in the log")
    parser.add_argument("--tls-directory", help="where certificates are made; a temporary folder otherwise")
    parser.add_argument("--stdin-lifeline", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def watch_for_end(loop, lifeline):
    """watch_for_end stops the loop at SIGTERM, SIGINT or, if asked for, at the end of standard input."""
    def stop(_mask):
        loop.stopped = True

    def read_stdin(_mask):
        if not os.read(0, 4096):
            loop.stopped = True

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    loop.selector.register(reader, selectors.EVENT_READ, stop)
    if lifeline:
        try:
            loop.selector.register(0, selectors.EVENT_READ, read_stdin)
        except PermissionError as error:
            raise ValueError("--stdin-lifeline needs a pipe, socket or terminal as standard input") from error
    return reader, writer


def secrets_by_path(given):
    """secrets_by_path sorts PATH=SECRET arguments; a secret alone is for every path."""
    found = {}
    for argument in given:
        path, equals, secret = argument.partition("=")
        if not (equals and path.startswith("/")):
            path, secret = "*", argument
        found.setdefault(path, []).append(secret)
    return found


def main():
    """main builds the server, says where it listens and serves until it is told to end."""
    arguments = read_arguments()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = arguments.max_connections + 200
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    loop = Loop()
    keep = watch_for_end(loop, arguments.stdin_lifeline)
    journal = Journal(arguments.log, arguments.max_logged_body)
    certificates = Certificates(arguments.tls_directory)
    partner = Partner(loop, journal, certificates, arguments.max_connections)
    for path, secrets in secrets_by_path(arguments.secret).items():
        partner.set_secrets(path, secrets)
    partner.listener = Listener(loop, arguments.host, arguments.port, partner)
    control = Listener(loop, arguments.host, arguments.control_port, Control(loop, partner))
    if arguments.program:
        partner.set_programs({"*": arguments.program})
    journal.write("start", port=partner.listener.port, pid=os.getpid())
    print(json.dumps({"port": partner.listener.port, "control": control.port, "pid": os.getpid()}), flush=True)
    try:
        loop.run()
    finally:
        journal.write("stop", requests=partner.requests)
        certificates.remove()
    del keep
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        print("chaos.py: %s" % error, file=sys.stderr)
        sys.exit(1)
