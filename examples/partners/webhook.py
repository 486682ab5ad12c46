"""Standard Webhooks signatures: sign and verify.

The one Python implementation in the repository: the partner programs of the quickstart and the chaos server of the tests
use it, so what judges distsync's signatures is not distsync's code. Checked against the npm package `standardwebhooks`.

Signed bytes are `id.timestamp.body`, HMAC-SHA256 with the base64 part of a `whsec_` secret, sent as `v1,<base64>`; several
signatures stand side by side while a secret is being rotated and any match is enough.
"""
import base64
import binascii
import hashlib
import hmac
import os
import re
import time
import uuid

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
VALID = "valid"
_TIMESTAMP = re.compile(r"[0-9]{1,15}\Z")


def new_secret():
    """new_secret returns a fresh secret of 32 random bytes in its printed form."""
    return PREFIX + base64.b64encode(os.urandom(32)).decode("ascii")


def new_message_id():
    """new_message_id returns an id that is never reused; it stays the same over every retry of one message."""
    return "msg_" + uuid.uuid4().hex


def decode_secret(secret):
    """decode_secret returns the key bytes of a printed secret; a malformed one is an error, never an empty key."""
    text = secret[len(PREFIX):] if secret.startswith(PREFIX) else secret
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the secret is not base64 after its whsec_ prefix") from error
    if not key:
        raise ValueError("the secret is empty")
    return key


def signature(key, message_id, timestamp, body):
    """signature returns one `v1,<base64>` entry for the raw body bytes."""
    signed = ("%s.%s." % (message_id, timestamp)).encode("utf-8") + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")


def sign(secrets, message_id, body, timestamp=None):
    """sign returns the three headers of a message; every live secret signs, the newest stands first."""
    if "." in message_id:
        raise ValueError("a message id must not contain a dot: the signed bytes would be ambiguous")
    if timestamp is None:
        timestamp = int(time.time())
    entries = [signature(decode_secret(secret), message_id, timestamp, body) for secret in secrets]
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(entries)}


def check(keys, headers, body, tolerance=TOLERANCE_SECONDS, now=None):
    """check returns (verdict, index of the key that matched or None).

    `headers` has lower-case names. The verdicts are those of distsync's own check, so that logs of both sides compare:
    valid, signature_missing, signature_invalid, timestamp_missing, timestamp_stale, header_invalid.
    Every key is compared with every entry, always, so the time taken tells nothing about which one came close.
    """
    given = headers.get("webhook-signature")
    message_id = headers.get("webhook-id")
    timestamp = headers.get("webhook-timestamp")
    if not given:
        return "signature_missing", None
    if not timestamp:
        return "timestamp_missing", None
    if not message_id or "." in message_id or not _TIMESTAMP.match(timestamp):
        return "header_invalid", None
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance:
        return "timestamp_stale", None
    entries = [entry.encode("utf-8", "surrogateescape") for entry in given.split()]
    matched = None
    for index, key in enumerate(keys):
        expected = signature(key, message_id, timestamp, body).encode("ascii")
        for entry in entries:
            if hmac.compare_digest(expected, entry) and matched is None:
                matched = index
    return (VALID, matched) if matched is not None else ("signature_invalid", None)


def verify(secrets, headers, body, tolerance=TOLERANCE_SECONDS, now=None):
    """verify returns the verdict for printed secrets; the partner programs call it."""
    return check([decode_secret(secret) for secret in secrets], headers, body, tolerance, now)[0]
