"""Passwords as argon2id hashes with the library's present parameters; comparing says nothing more.

The hash for nobody is made at the first comparison: making it costs a fifth of a second, which
every start of every process paid otherwise.
"""

from functools import cache
from hashlib import blake2b
from secrets import token_bytes, token_urlsafe
from threading import Lock

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
    _keep(_name(stored, password), _compare(stored, password))


def count_as_wrong(stored: str | None, password: str) -> None:
    """Let `matches` say no without a comparison, until it is compared ahead again."""
    _keep(_name(stored, password), False)


def _keep(name: bytes, said: bool) -> None:
    with _KEEPING:
        while len(_KEPT) >= MOST_KEPT:  # the oldest go: those of one chunk stay together
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT.pop(name, None)
        _KEPT[name] = said


MOST_KEPT = 1024
_KEPT: dict[bytes, bool] = {}
_KEEPING = Lock()
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
