"""A list of revoked attestation keys, as Google publishes it and as a source carries it on.

https://developer.android.com/privacy-and-security/security-key-attestation#certificate_status :
``{"entries": {"SERIAL": {"status": "REVOKED", ...}}}``. The list itself has neither number nor
time, so whoever publishes it to a source says both.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from runtime.errors import MalformedMessageError, TooLargeError

TARGET = "attestation/status.json"
MOST_BYTES = 32 * 1024 * 1024
MOST_KEYS = 200_000
FEWER = 10
"""A list that names less than all but one in so many of the keys before it is said to be so."""
_SERIAL = re.compile(r"[0-9a-f]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """What a source says of its list."""

    issue: Annotated[int, Field(ge=1, lt=2**31)]
    """Each list that is published has the next number."""
    published_at: AwareDatetime
    keys: Annotated[int, Field(ge=0, le=MOST_KEYS)]
    fewer_at: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """The latest issue that was meant to take back many keys; 0: none was."""

    def may_be_fewer(self, than: int) -> bool:
        """Tell whether it is meant that the list names fewer keys than issue *than*."""
        return self.fewer_at > than


_REVOCATIONS = TypeAdapter(Revocations)


def revocations_of(custom: object) -> Revocations | None:
    """Return what a signed list says of a list of revoked keys; None when it says too little."""
    try:
        return _REVOCATIONS.validate_python(custom)
    except ValidationError:
        return None


def written(said: Revocations) -> dict[str, object]:
    """Return *said* as a signed list holds it."""
    found: dict[str, object] = _REVOCATIONS.dump_python(said, mode="json")
    return found


def read_revoked(content: bytes, named: str) -> frozenset[str]:
    """Return the serial numbers in a list: lower-case hexadecimal, no leading zeros.

    All that stand in it count, suspended ones too. MalformedMessageError or TooLargeError with what
    is wrong with *named*.
    """
    if len(content) > MOST_BYTES:
        raise TooLargeError(f"{named} is larger than {MOST_BYTES} bytes.")
    try:
        entries = dict(json.loads(content)["entries"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise MalformedMessageError(
            f'{named} is no list of revoked attestation keys ({{"entries": {{...}}}}).'
        ) from None
    if len(entries) > MOST_KEYS:
        raise TooLargeError(f"{named} names more than {MOST_KEYS} keys.")
    return frozenset(_serial(str(key), named) for key in entries)


def _serial(text: str, named: str) -> str:
    serial = text.lower().lstrip("0")
    if not _SERIAL.fullmatch(serial):
        raise MalformedMessageError(f"{named} names {text[:80]!r}, which is no serial number.")
    return serial


def why_not_fewer(before: frozenset[str], after: frozenset[str]) -> str:
    """Return why a person must say that *after* is meant in place of *before*; empty: nobody."""
    lost = len(before - after)
    if lost * FEWER <= len(before):
        return ""
    return f"It takes back {lost} of the {len(before)} keys of the list before it."


def next_issue(
    before: Revocations | None, keys: int, may_be_fewer: bool, now: datetime
) -> Revocations:
    """Return what is said of a list that follows *before*."""
    issue = before.issue + 1 if before else 1
    fewer_at = issue if may_be_fewer else before.fewer_at if before else 0
    return Revocations(issue=issue, published_at=now, keys=keys, fewer_at=fewer_at)
