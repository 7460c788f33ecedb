"""Passwords as argon2id hashes with the library's present parameters; comparing says nothing more.

The hash for nobody is made at the first comparison: making it costs a fifth of a second, which
every start of every process paid otherwise.
"""

from functools import cache
from secrets import token_urlsafe

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()


def hashed(password: str) -> str:
    """Return what is stored of *password*."""
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Compare with `hashed`; for nobody (None) as slow as for somebody, and False."""
    try:
        _HASHER.verify(_nobodys() if stored is None else stored, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


@cache
def _nobodys() -> str:
    return _HASHER.hash(token_urlsafe())
