"""Recovery codes: each signs in once, with the password, instead of app or passkey.

Digits only, so that a phone's number keys and a Japanese keyboard type them. They are kept as MACs
under a key outside the database. They prove nothing to the signer: approvals take its own codes.
"""

import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from secrets import randbelow
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from management.administrators.models import RecoveryCode
from management.keys import Keys

HOW_MANY = 10
DIGITS = 16
SHOWN_ONCE = "new_recovery_codes"
"""In the browser's session: new codes, sealed, until their page was seen."""
FEW = 3
"""So few are left that it is time for new ones."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of somebody's set: never the codes themselves."""

    left: int
    made_at: datetime | None
    """None: there never was a set."""
    used_at: datetime | None


def make(session: Session, keys: Keys, owner: UUID, now: datetime) -> list[str]:
    """Return ten new codes in groups of four digits; all earlier ones end."""
    forget(session, owner)
    codes: set[str] = set()
    while len(codes) < HOW_MANY:
        codes.add(f"{randbelow(10**DIGITS):0{DIGITS}}")
    for code in codes:
        session.add(RecoveryCode(mac=_mac(keys, owner, code), administrator_id=owner, made_at=now))
    session.flush()
    return [_grouped(code) for code in sorted(codes)]


def forget(session: Session, owner: UUID) -> None:
    """End all of *owner*'s codes."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.administrator_id == owner))


def looks_like_one(said: str) -> bool:
    """Tell whether this is meant to be a recovery code; an app's code is shorter."""
    return len(_plain(said)) > DIGITS // 2


def find(session: Session, keys: Keys, owner: UUID, said: str) -> str:
    """Return the MAC of *owner*'s unused code that *said* is; nothing else. All are compared, in
    a time that does not depend on which is right.
    """
    wanted, found = _mac(keys, owner, _plain(said)), ""
    for one in _list(session, owner):
        if hmac.compare_digest(one.mac, wanted) and one.used_at is None:
            found = one.mac
    return found


def spend(session: Session, mac: str, now: datetime) -> bool:
    """Use a code up; False when somebody else did at the same time."""
    unused = (RecoveryCode.mac == mac) & RecoveryCode.used_at.is_(None)
    done = session.execute(update(RecoveryCode).where(unused).values(used_at=now))
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]


def kept(session: Session, owner: UUID) -> Kept:
    """Return how many codes are left, since when, and when one was used last."""
    codes = _list(session, owner)
    used = [one.used_at for one in codes if one.used_at is not None]
    made = max((one.made_at for one in codes), default=None)
    return Kept(len(codes) - len(used), made, max(used, default=None))


def _list(session: Session, owner: UUID) -> list[RecoveryCode]:
    wanted = select(RecoveryCode).where(RecoveryCode.administrator_id == owner)
    return list(session.scalars(wanted.execution_options(populate_existing=True)))


def _mac(keys: Keys, owner: UUID, digits: str) -> str:
    return keys.mac(f"a recovery code of {owner}: {digits}".encode())


def _plain(said: str) -> str:
    """Return the digits of what somebody typed: full-width ones count, gaps do not."""
    return unicodedata.normalize("NFKC", said[:100]).replace(" ", "").replace("-", "")


def _grouped(digits: str) -> str:
    return " ".join(digits[at : at + 4] for at in range(0, DIGITS, 4))
