"""Tokens for the frequent poll: a device's slot and an expiry under a MAC, nothing stored.

A token proves only that this server gave it to that device; it opens no mailbox. Layout before
base64url: slot and expiry (seconds since 1970), 8 bytes each, big-endian; HMAC-SHA-256 of them.
"""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

from runtime.errors import UnauthenticatedError

_HEAD = struct.Struct(">QQ")
_LENGTH = 64


def issue(key: bytes, slot: int, expires: int) -> str:
    """Return a token of 64 characters for *slot*."""
    head = _HEAD.pack(slot, expires)
    return urlsafe_b64encode(head + hmac.digest(key, head, "sha256")).decode()


def read(key: bytes, token: str, now: float) -> int:
    """Return the slot; UnauthenticatedError when this server did not issue it, or it is over."""
    if len(token) != _LENGTH:
        raise UnauthenticatedError("This is not a poll token of this server; ask for a new one.")
    try:
        raw = urlsafe_b64decode(token)
    except (ValueError, Base64Error):
        raw = bytes(48)
    head = raw[:16]
    if not hmac.compare_digest(hmac.digest(key, head, "sha256"), raw[16:]):
        raise UnauthenticatedError("This is not a poll token of this server; ask for a new one.")
    slot, expires = _HEAD.unpack(head)
    if expires < now:
        raise UnauthenticatedError("This poll token has expired; ask for a new one.")
    return int(slot)
