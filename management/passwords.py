"""Passwords as argon2id hashes with the library's present parameters; comparing says nothing more.

The hash for nobody is made at the first comparison: making it costs a fifth of a second, which
every start of every process paid otherwise.
"""

from functools import cache
from hashlib import blake2b
from secrets import token_bytes, token_urlsafe

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()


def hashed(password: str) -> str:
    """Return what is stored of *password*."""
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Compare with `hashed`; for nobody (None) as slow as for somebody, and False."""
    kept = _KEPT.get(_name(stored, password))
    return _compare(stored, password) if kept is None else kept


def compare_ahead(stored: str | None, password: str) -> None:
    """Compare already, so that `matches` is quick in a transaction for which others wait."""
    if len(_KEPT) >= MOST_KEPT:
        _KEPT.clear()
    _KEPT[_name(stored, password)] = _compare(stored, password)


MOST_KEPT = 256
_KEPT: dict[bytes, bool] = {}
_KEY = token_bytes(32)
"""Of this process only, so that what is kept tells nothing of passwords."""


def _name(stored: str | None, password: str) -> bytes:
    text = f"{stored or ''}\0{password}".encode(errors="surrogatepass")
    return blake2b(text, key=_KEY).digest()


def _compare(stored: str | None, password: str) -> bool:
    try:
        _HASHER.verify(_nobodys() if stored is None else stored, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _nobodys() -> str:
    return _HASHER.hash(token_urlsafe())
