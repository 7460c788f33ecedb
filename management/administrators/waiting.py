"""How long who tries to sign in must wait, and which failures the audit trail tells of.

Failures are counted for a name at an address, for an address, and for a name everywhere. In a
browser in which this account signed in before only its own failures count: nobody can keep its
owner waiting from elsewhere. Names that nobody has are counted alike, so waiting tells nothing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from management.administrators import queries, rules
from management.administrators.models import SignInFailure

MOST_KEPT = 20_000
"""Rows; beyond them all that is new and that strangers can make counts together."""
MOST_TOLD_AN_HOUR = 60
"""Entries about failed sign-ins in the audit trail; beyond them only their growing number."""
UNKNOWN_NAME = "unknown name"
"""What people type as their name may be their password."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try to sign in."""

    name: str
    """Nothing: it counts for the address only."""
    address: str
    browser: str = ""
    """The browser's id, if this account signed in there before."""

    def counted(self) -> tuple[tuple[str, int], ...]:
        """Return (key, how many failures are free) of all that it counts for; its own first."""
        name, place = rules.normal_name(self.name), rules.place_of(self.address)
        if self.browser:
            return ((_key("browser", self.browser), rules.FREE_FAILURES_OF_ACCOUNT),)
        at = (_key("at", place), rules.FREE_FAILURES_OF_ADDRESS)
        if not name:
            return (at,)
        return (
            (_key("name at", name, place), rules.FREE_FAILURES_OF_ACCOUNT),
            at,
            (_key("name", name), rules.FREE_FAILURES_EVERYWHERE),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What the audit trail says of a failure."""

    subject: str
    failures: int


def wait_for(session: Session, attempt: Attempt, now: datetime) -> timedelta:
    """Return how long this attempt still has to wait; zero: may try."""
    full = _is_full(session, attempt)
    rows = (_find(session, key, full) for key, _ in attempt.counted())
    until = [row.locked_until for row in rows if row is not None and row.locked_until is not None]
    return max([timedelta(), *(moment - now for moment in until)])


def note_failure(session: Session, attempt: Attempt, now: datetime) -> Told | None:
    """Count a failed sign-in, make the next one wait longer; return what is worth telling."""
    _forget(session, now)
    counts = [
        _count(session, key, free, now, _is_full(session, attempt))
        for key, free in attempt.counted()
    ]
    if not rules.is_told(counts[0]):
        return None
    told = _count(session, _key("told", f"{now:%Y-%m-%dT%H}"), MOST_KEPT, now, full=False)
    if told <= MOST_TOLD_AN_HOUR:
        return Told(_subject(session, attempt.name), counts[0])
    return Told("many names and addresses", told) if rules.is_told(told) else None


def forgive(session: Session, attempt: Attempt, now: datetime) -> None:
    """Forget the failures of who signed in now, and all old ones.

    What was tried with the name from elsewhere stays counted.
    """
    own = {_key("browser", attempt.browser), *(key for key, _ in attempt.counted()[:2])}
    session.execute(delete(SignInFailure).where(SignInFailure.key.in_(own)))
    _forget(session, now)


def _subject(session: Session, name: str) -> str:
    known = queries.find_administrator(session, name)
    return known.name if known is not None else UNKNOWN_NAME


def _forget(session: Session, now: datetime) -> None:
    before = now - rules.FORGET_FAILURES_AFTER
    session.execute(delete(SignInFailure).where(SignInFailure.last_at < before))


def _count(session: Session, key: str, free: int, now: datetime, full: bool) -> int:
    row = _find(session, key, full) or _begin(session, _key("others") if full else key, now)
    more = {"failures": SignInFailure.failures + 1, "last_at": now}
    session.execute(update(SignInFailure).where(SignInFailure.key == row.key).values(more))
    session.refresh(row)
    wait = rules.wait_after(row.failures, free)
    row.locked_until = now + wait if wait else None
    session.flush()
    return row.failures


def _begin(session: Session, key: str, now: datetime) -> SignInFailure:
    try:
        with session.begin_nested():
            session.add(SignInFailure(key=key, failures=0, last_at=now))
    except IntegrityError:
        pass  # somebody else began it in the same moment
    return session.get_one(SignInFailure, key)


def _find(session: Session, key: str, full: bool) -> SignInFailure | None:
    found = session.get(SignInFailure, key)
    return session.get(SignInFailure, _key("others")) if found is None and full else found


def _is_full(session: Session, attempt: Attempt) -> bool:
    """Return whether there is no row left for *attempt*; a browser's is made by no stranger."""
    if attempt.browser:
        return False
    rows = select(func.count()).select_from(SignInFailure)
    return (session.scalar(rows) or 0) >= MOST_KEPT


def _key(*words: str) -> str:
    return sha256("\n".join(words).encode()).hexdigest()
