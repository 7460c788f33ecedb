"""Enrolment keys as people type them: the key, and the print of the management that it is for.

``KEY.PRINT`` is typed beside a server address; ``HOST[:PORT]/KEY.PRINT`` needs no address, which is
how devices enrol through a relay in the cloud. The print is the first 130 bits of the SHA-256
thumbprint of management's order-signing key and two check letters, so that no relay can put a key
of its own in between, and a slip is noticed before anything is sent. Pure.
"""

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from hashlib import sha256

from runtime.errors import MalformedMessageError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so that nothing is misread or spells words."""
DEVICES_PORT = 4343
PRINT_LETTERS, CHECK_LETTERS = 26, 2
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_ADDRESS = re.compile(r"(?:https://)?([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class TypedKey:
    """What somebody typed."""

    key: str
    print_: str
    """Of management's key, without check letters."""
    relay_url: str = ""
    """Empty: the server was typed beside it."""


def plain(key: str) -> str:
    """Return *key* without groups, in capitals, look-alikes read as what they look like."""
    return key.strip().upper().translate(_READ_AS)


def print_of(thumbprint: str) -> str:
    """Return the print of a key with this base64url SHA-256 thumbprint."""
    number = int.from_bytes(urlsafe_b64decode(thumbprint + "="))
    return _letters(number >> (256 - 5 * PRINT_LETTERS), PRINT_LETTERS)


def typed(key: str, thumbprint: str, relay_url: str = "") -> str:
    """Return what to type for *key*; with the relay's address in front when it is given."""
    found = print_of(thumbprint)
    letters = found + _check(key, found)
    groups = "-".join(letters[place : place + 4] for place in range(0, len(letters), 4))
    address = relay_url.removeprefix("https://").rstrip("/").removesuffix(f":{DEVICES_PORT}")
    return f"{address}/{key}.{groups}" if address else f"{key}.{groups}"


def read_typed(text: str) -> TypedKey:
    """Return what `typed` wrote, typed in any way; MalformedMessageError says what is wrong."""
    address, _, rest = text.strip().rpartition("/")
    key, dot, letters = rest.partition(".")
    letters = plain(letters)
    if not dot or len(letters) != PRINT_LETTERS + CHECK_LETTERS or set(letters) - set(ALPHABET):
        raise MalformedMessageError(
            "This enrolment key is not whole: behind its dot stand 28 letters and digits in groups "
            "of four."
        )
    found, check = letters[:PRINT_LETTERS], letters[PRINT_LETTERS:]
    if _check(key, found) != check:
        raise MalformedMessageError("A letter of the enrolment key is wrong. Compare it again.")
    return TypedKey(key.strip(), found, server_url(address) if address else "")


def server_url(text: str) -> str:
    """Return the address that a typed server name means; devices' port unless another is said."""
    found = _ADDRESS.fullmatch(text.strip().rstrip("/"))
    port = int(found[2] or DEVICES_PORT) if found else 0
    if found is None or not 0 < port < 65_536:
        raise MalformedMessageError(
            "This is no server address: write a name like mdm.example.jp, or name:port."
        )
    return f"https://{found[1]}:{port}"


def _check(key: str, found: str) -> str:
    number = int.from_bytes(sha256(f"{plain(key)}.{found}".encode()).digest()[:2])
    return _letters(number >> 6, CHECK_LETTERS)


def _letters(number: int, count: int) -> str:
    return "".join(ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(count)))
