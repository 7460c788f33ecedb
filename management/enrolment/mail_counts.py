"""How many mails of invitations an address got lately, whoever invited it and how often."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.audit.models import AuditEntry
from management.enrolment.mail_rules import ONCE_IN
from management.enrolment.models import Invitation
from management.limits import seeing_all

MAILED = "invitation.mail"
IN_ONE = 500


@dataclass(slots=True)
class Counts:
    """What went to addresses within `mail_rules.ONCE_IN`, and what is on its way to them."""

    sent: dict[str, list[datetime]] = field(default_factory=dict)
    """Address -> when, the oldest first. The audit trail knows: cancelling forgets nothing."""
    waiting: Counter[str] = field(default_factory=Counter)

    def of(self, address: str) -> tuple[tuple[datetime, ...], int]:
        """Return when mails went to an address, and how many are on their way."""
        spelt = address.casefold()
        return tuple(self.sent.get(spelt, ())), self.waiting[spelt]


def batched(addresses: list[str]) -> Iterator[list[str]]:
    """Yield some at a time, the spellings of one together; they come sorted by `casefold`."""
    some: list[str] = []
    for _, spellings in groupby(addresses, key=str.casefold):
        some += spellings
        if len(some) >= IN_ONE:
            yield some
            some = []
    if some:
        yield some


def count(session: Session, some: Iterable[Invitation], now: datetime) -> Counts:
    """Return the counts of the addresses of these invitations."""
    given, counts = sorted({one.address for one in some if one.address}, key=str.casefold), Counts()
    for same in batched(given):
        part = sorted({*same, *map(str.lower, same)})  # SQLite's lower() knows ASCII only
        sent = (
            select(AuditEntry.subject, AuditEntry.at)
            .where(AuditEntry.action == MAILED, AuditEntry.at > now - ONCE_IN)
            .where(or_(func.lower(AuditEntry.subject).in_(part), AuditEntry.subject.in_(part)))
            .order_by(AuditEntry.at)
        )
        waiting = (
            select(Invitation.address, func.count())
            .where(Invitation.mail_ask.is_not(None))
            .where(or_(func.lower(Invitation.address).in_(part), Invitation.address.in_(part)))
            .group_by(Invitation.address)
        )
        with seeing_all(session):
            for address, at in session.execute(sent).all():
                counts.sent.setdefault(address.casefold(), []).append(at)
            for address, number in session.execute(waiting).all():
                counts.waiting[address.casefold()] += number
    return counts
