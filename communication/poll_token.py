"""Tokens for the frequent poll: a device's slot and an expiry under a MAC, nothing stored.

A token proves only that this server gave it to that device; it opens no mailbox. It is slot and
expiry (seconds since 1970), 16 hexadecimal digits each, and BLAKE2b of these 32 characters with the
server's key (RFC 7693 section 2.9), 64 digits. On a new connection all this runs with cold caches,
where each library function that it passes through costs: HMAC and base64 took twice as long.
"""

from hashlib import blake2b
from hmac import compare_digest

from runtime.errors import UnauthenticatedError

_HEAD, _MAC_BYTES = 32, 32
_LENGTH = _HEAD + 2 * _MAC_BYTES


def issue(key: bytes, slot: int, expires: int) -> str:
    """Return a token of 96 characters for *slot*."""
    head = f"{slot:016x}{expires:016x}".encode()
    return (head + _mac(key, head)).decode()


def read(key: bytes, token: str, now: float) -> int:
    """Return the slot; UnauthenticatedError when this server did not issue it, or it is over."""
    said = token.encode("ascii", "replace")
    head = said[:_HEAD]
    if len(said) != _LENGTH or not compare_digest(_mac(key, head), said[_HEAD:]):
        raise UnauthenticatedError("This is not a poll token of this server; ask for a new one.")
    if int(head[16:], 16) < now:
        raise UnauthenticatedError("This poll token has expired; ask for a new one.")
    return int(head[:16], 16)


def _mac(key: bytes, head: bytes) -> bytes:
    return blake2b(head, key=key, digest_size=_MAC_BYTES).hexdigest().encode()
