"""Approval of what exceeds the signer's limits: the exact set, proved by approvers' own codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.models import Command
from management.commands.queries import get_command, list_waiting_together
from management.commands.rules import Waiting
from management.commands.service import release
from management.limits import require_whole
from management.signer_client import SignerClient
from management.signer_messages import MOST_PROPOSED, ProposedOrder
from runtime.errors import RefusedError


@dataclass(frozen=True, slots=True)
class WaitingSet:
    """Commands that are approved together, and what the signer says of exactly this set."""

    commands: Sequence[Command]
    signer: dict[str, Any]
    """As `SignerClient.propose` returns it."""

    @property
    def fingerprint(self) -> str:
        """The whole fingerprint."""
        return str(self.signer["fingerprint"])


def waiting_with(session: Session, command_id: UUID) -> Sequence[Command]:
    """Return the commands that wait for an approval together; RefusedError when none does,
    ForbiddenError when some are outside of the groups of whoever asks.
    """
    command = get_command(session, command_id)
    found = list_waiting_together(session, command, MOST_PROPOSED)
    if not found:
        raise RefusedError("This command does not wait for an approval.")
    require_whole(
        session, len(found), lambda: len(list_waiting_together(session, command, MOST_PROPOSED))
    )
    return found


def propose(signer: SignerClient, commands: Sequence[Command]) -> WaitingSet:
    """Register exactly these commands at the signer and return the set."""
    orders = [
        ProposedOrder(
            command_id=command.id,
            command=CommandKind(command.kind),
            recipient=command.device_id,
            arguments=dict(command.arguments),
        )
        for command in commands
    ]
    first = commands[0]
    return WaitingSet(commands, signer.propose(orders, first.requested_by, first.reason))


def approve(
    signer: SignerClient, waiting: WaitingSet, fingerprint: str, approver: str, code: str
) -> dict[str, Any]:
    """Prove to the signer that *approver* stands behind the set that they looked at."""
    if waiting.fingerprint != fingerprint:
        raise RefusedError("The set has changed since you looked at it. Look at it again.")
    return signer.approve(fingerprint, approver, code)


def send_approved(session: Session, commands: Sequence[Command], now: datetime) -> None:
    """Let the commands of an approved set be sent."""
    ids = [command.id for command in commands]
    waiting = [get_command(session, one) for one in ids]
    release(session, [one for one in waiting if one.waiting_for == Waiting.APPROVAL], now)
