"""Base64url without padding (RFC 7515 section 2), read in one spelling only."""

from base64 import urlsafe_b64encode
from binascii import a2b_base64

_STANDARD = bytes.maketrans(b"-_+/=", b"+/...")
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")
"""Letters that may end a text, by its length modulo 4: those whose unused bits are zero."""


def encode(data: bytes) -> str:
    """Return *data* as text."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return what `encode` was given; ValueError for a text that it does not write."""
    tail = len(text) % 4
    if tail and text[-1] not in _LAST[tail]:
        raise ValueError("This is no base64url, or its last letter says more than it can hold.")
    letters = text.encode("ascii").translate(_STANDARD)
    return a2b_base64(letters + b"=" * (-tail % 4), strict_mode=True)
