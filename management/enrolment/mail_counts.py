"""How many mails of invitations an address got lately, whoever invited it and how often."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
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


def count(session: Session, some: Iterable[Invitation], now: datetime) -> Counts:
    """Return the counts of the addresses of these invitations."""
    addresses, counts = sorted({one.address.lower() for one in some if one.address}), Counts()
    for start in range(0, len(addresses), IN_ONE):
        part = addresses[start : start + IN_ONE]
        sent = (
            select(AuditEntry.subject, AuditEntry.at)
            .where(AuditEntry.action == MAILED, AuditEntry.at > now - ONCE_IN)
            .where(func.lower(AuditEntry.subject).in_(part))
            .order_by(AuditEntry.at)
        )
        waiting = (
            select(Invitation.address, func.count())
            .where(Invitation.mail_ask.is_not(None), func.lower(Invitation.address).in_(part))
            .group_by(Invitation.address)
        )
        with seeing_all(session):
            for address, at in session.execute(sent).all():
                counts.sent.setdefault(address.casefold(), []).append(at)
            for address, number in session.execute(waiting).all():
                counts.waiting[address.casefold()] += number
    return counts
