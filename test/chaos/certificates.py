"""Certificates for the tls(kind) action, made on first use with the openssl command.

A private authority signs most of them, so that a client that trusts `ca.pem` accepts `good` and nothing else:

    good         localhost, 127.0.0.1, ::1, signed by the authority     wrong_host   signed, for another name
    self_signed  right name, signed by itself                           expired      signed, right name, over since 2020
    client_cert  as good, and asks the client for a certificate         tls10        as good, but only TLS 1.0
    truncated    half a server hello, then FIN (no certificate)
"""
import os
import shutil
import ssl
import subprocess
import tempfile
import warnings

KINDS = ("good", "self_signed", "expired", "wrong_host", "client_cert", "tls10", "truncated")
HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + bytes(16)
_RIGHT = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
_CONFIG = """[ca]
default_ca=c
[c]
database={dir}/index
serial={dir}/serial
new_certs_dir={dir}
certificate={dir}/ca.pem
private_key={dir}/ca.key
default_md=sha256
policy=p
copy_extensions=copy
unique_subject=no
[p]
commonName=supplied
[req]
distinguished_name=dn
[dn]
[ca_ext]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
[leaf_ext]
basicConstraints=CA:FALSE
"""


class Certificates:
    """Makes and keeps the certificates of one server in a folder of its own."""

    def __init__(self, directory=None):
        self.given = directory
        self.directory = None
        self.contexts = {}

    def prepare(self):
        """prepare makes the authority and the certificates once and returns their folder."""
        if self.directory is None:
            directory = self.given or tempfile.mkdtemp(prefix="chaos-tls-")
            os.makedirs(directory, exist_ok=True)
            with open(os.path.join(directory, "openssl.cnf"), "w", encoding="ascii") as config:
                config.write(_CONFIG.format(dir=directory))
            open(os.path.join(directory, "index"), "w", encoding="ascii").close()
            with open(os.path.join(directory, "serial"), "w", encoding="ascii") as serial:
                serial.write("1000\n")
            self._make(directory)
            self.directory = directory
        return self.directory

    def _make(self, directory):
        def openssl(*arguments):
            subprocess.run(("openssl",) + arguments, cwd=directory, check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-config", "openssl.cnf")
        openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "3650", "-subj", "/CN=chaos authority",
                "-extensions", "ca_ext")
        openssl("req", "-x509", *new_key, "-keyout", "self_signed.key", "-out", "self_signed.pem", "-days", "3650",
                "-subj", "/CN=localhost", "-addext", _RIGHT)
        for name, names, start, end in (
                ("good", _RIGHT, "20200101000000Z", "20991231000000Z"),
                ("expired", _RIGHT, "20190101000000Z", "20200101000000Z"),
                ("wrong_host", "subjectAltName=DNS:elsewhere.invalid", "20200101000000Z", "20991231000000Z")):
            openssl("req", *new_key, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name, "-addext", names)
            openssl("ca", "-batch", "-notext", "-config", "openssl.cnf", "-in", name + ".csr", "-out", name + ".pem",
                    "-startdate", start, "-enddate", end, "-extensions", "leaf_ext")

    def context(self, kind):
        """context returns the TLS context of a kind."""
        if kind not in self.contexts:
            directory = self.prepare()
            name = kind if kind in ("self_signed", "expired", "wrong_host") else "good"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key"))
            if kind == "client_cert":
                context.load_verify_locations(os.path.join(directory, "ca.pem"))
                context.verify_mode = ssl.CERT_REQUIRED
            elif kind == "tls10":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    context.set_ciphers("ALL:@SECLEVEL=0")
                    context.minimum_version = ssl.TLSVersion.TLSv1
                    context.maximum_version = ssl.TLSVersion.TLSv1
            self.contexts[kind] = context
        return self.contexts[kind]

    def remove(self):
        """remove deletes the folder if it was made here."""
        if self.directory and self.directory != self.given:
            shutil.rmtree(self.directory, ignore_errors=True)
