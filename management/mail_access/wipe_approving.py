"""Approval of wipes through mail servers above the signer's limits: the exact set, proved by code.

The same as `management.commands.approving` for devices' own wipes; the signer counts both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.agent import RunCommand
from management.limits import require_whole
from management.mail_access.models import MailWipe, Partnership
from management.mail_access.states import WipeState
from management.mail_access.wiping import WORK, order
from management.signer_client import SignerClient
from management.signer_messages import MOST_PROPOSED, ProposedOrder
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

Waiting = Sequence[tuple[MailWipe, Partnership]]


@dataclass(frozen=True, slots=True)
class WaitingSet:
    """Wipes that are approved together, and what the signer says of exactly this set."""

    wipes: Waiting
    signer: dict[str, Any]
    """As `SignerClient.propose` returns it."""

    @property
    def fingerprint(self) -> str:
        """The whole fingerprint."""
        return str(self.signer["fingerprint"])


def waiting_with(session: Session, wipe_id: UUID, now: datetime) -> Waiting:
    """Return the wipes that the signer holds back together with this one, by the same person.

    RefusedError when this one does not wait for an approval, ForbiddenError when some are outside
    of the groups of whoever asks.
    """
    wipe = session.get(MailWipe, wipe_id)
    if wipe is None:
        raise NotFoundError("There is no such wipe.")
    wanted = (
        select(MailWipe, Partnership)
        .join(Partnership, Partnership.id == MailWipe.partnership_id)
        .where(
            MailWipe.state == WipeState.QUEUED,
            MailWipe.token == "",
            MailWipe.detail != "",
            MailWipe.expires_at > now,
            MailWipe.requested_by == wipe.requested_by,
        )
        .order_by(MailWipe.queued_at, MailWipe.id)
        .limit(MOST_PROPOSED)
    )
    found = [(one, row) for one, row in session.execute(wanted)]
    if wipe_id not in {one.id for one, _ in found}:
        raise RefusedError("This wipe does not wait for an approval.")
    require_whole(session, len(found), lambda: len(session.execute(wanted).all()))
    return found


def propose(signer: SignerClient, waiting: Waiting, now: datetime) -> WaitingSet:
    """Register exactly these wipes at the signer and return the set."""
    orders = [_proposed(wipe, row, now) for wipe, row in waiting]
    first = waiting[0][0]
    return WaitingSet(waiting, signer.propose(orders, first.requested_by, first.reason))


def _proposed(wipe: MailWipe, row: Partnership, now: datetime) -> ProposedOrder:
    asked = order(wipe, row, now)
    if not isinstance(asked.body, RunCommand):
        raise TypeError("A wipe is a command.")
    return ProposedOrder(
        command_id=wipe.id,
        command=asked.body.command,
        recipient=asked.aud,
        arguments=dict(asked.body.arguments),
    )


def approve(
    signer: SignerClient, waiting: WaitingSet, fingerprint: str, approver: str, code: str
) -> dict[str, Any]:
    """Prove to the signer that *approver* stands behind the set that they looked at."""
    if waiting.fingerprint != fingerprint:
        raise RefusedError("The set has changed since you looked at it. Look at it again.")
    return signer.approve(fingerprint, approver, code)


def sign_now(session: Session, now: datetime) -> None:
    """Have what was approved signed at once."""
    enqueue(session, WORK, f"{WORK}:{uuid4()}", {}, priority=2, now=now)
