"""Signs queued commands as orders, many at once and outside of any write transaction.

The next number of a device is read, signed and sealed first, and stored only if it is still the
next. So the signer, which waits for its disk, never holds up the database; whoever loses the race
is drafted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from contracts import envelope
from contracts.agent import CommandKind, Order, RunCommand
from contracts.keys import read_public
from management.commands.models import Command
from management.commands.queries import list_to_send, lock_command
from management.commands.rules import (
    DESTRUCTIVE,
    HELD_BY_PAUSE,
    NEEDS_PERSON,
    CommandState,
    Waiting,
)
from management.commands.steps import step
from management.context import Context
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.relays.service import draft_order, keep_order
from management.safety.queries import get_enforcement
from management.signer_client import Signed
from management.signer_messages import MOST_ORDERS

ROUNDS = 4
"""How often a command whose device got another order meanwhile is drafted anew."""
_WAITS_FOR = {"limit": Waiting.APPROVAL, "paused": Waiting.ENFORCEMENT}


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a queued command now: sent (both empty), a step, or a wait, and why."""

    following: CommandState | None = None
    waiting: Waiting | None = None
    because: str = ""

    @property
    def sends(self) -> bool:
        """Whether it is sent."""
        return self.following is None and self.waiting is None


@dataclass(frozen=True, slots=True)
class _Drafted:
    command_id: UUID
    device_id: UUID
    order: Order
    signed: Signed
    sealed: str


def send(context: Context, command_ids: Sequence[UUID], now: datetime) -> None:
    """Send those of the commands that may be sent; note of the others why they wait or end.

    At most `MOST_ORDERS` at once. Anything but a queued command is left alone, so repeating this
    is harmless.
    """
    left = list(command_ids)
    for _ in range(ROUNDS):
        if left:
            left = _send_round(context, left, now)


def fate_of(command: Command, device: Device, paused: str, now: datetime) -> Fate:
    """Return what happens to a queued command; *paused*: why enforcement acts not, or empty."""
    kind = CommandKind(command.kind)
    if command.expires_at <= now:
        return Fate(CommandState.EXPIRED, None, "It was not sent in time.")
    if command.waiting_for in NEEDS_PERSON or command.ready_at > now:
        return Fate(None, Waiting(command.waiting_for), command.detail)
    if device.enrolment_state != EnrolmentState.ENROLLED:
        if kind in DESTRUCTIVE and device.enrolment_state == EnrolmentState.RETIRED:
            return Fate(None, Waiting.RETURN, "The device left. The wipe waits for its return.")
        return Fate(CommandState.FAILED, None, f"The device is {device.enrolment_state}.")
    if paused and kind in HELD_BY_PAUSE:
        return Fate(None, Waiting.ENFORCEMENT, paused)
    return Fate()


def _send_round(context: Context, command_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Try each once; return those whose device got another order meanwhile, or another command."""
    with context.database.reading() as session:
        paused = _paused(session)
        found = list_to_send(session, command_ids)
    # What destroys goes first: a stolen device that returns gets its wipe before all else.
    found.sort(key=lambda pair: CommandKind(pair[0].kind) not in DESTRUCTIVE)
    first: dict[UUID, tuple[Command, Device]] = {}
    later = [c.id for c, d in found if first.setdefault(d.id, (c, d))[0].id != c.id]
    sending = [p for p in first.values() if fate_of(*p, paused, now).sends][:MOST_ORDERS]
    drafted = {one.command_id: one for one in _draft(context, sending, now)}
    with context.database.transaction("dispatch command") as session:
        for command, device in first.values():
            if not _settle(session, command.id, device.id, drafted.get(command.id), now):
                later.append(command.id)
    return later


def _draft(
    context: Context, pairs: Sequence[tuple[Command, Device]], now: datetime
) -> list[_Drafted]:
    orders = [draft_order(device, _body(command), now) for command, device in pairs]
    if not orders:
        return []
    asked = [
        (order, command.requested_by) for order, (command, _) in zip(orders, pairs, strict=True)
    ]
    signed = context.signer.sign_orders(asked)
    return [
        _Drafted(command.id, device.id, order, one, _seal(one, device))
        for (command, device), order, one in zip(pairs, orders, signed, strict=True)
    ]


def _seal(signed: Signed, device: Device) -> str:
    return (
        envelope.encrypt(signed.token, read_public(device.encryption_key)) if signed.token else ""
    )


def _settle(
    session: Session, command_id: UUID, device_id: UUID, drafted: _Drafted | None, now: datetime
) -> bool:
    """Store what was signed, or note why not; False when it must be drafted again."""
    device = lock_device(session, device_id)
    command = lock_command(session, command_id)
    if command is None or command.state != CommandState.QUEUED:
        return True
    fate = fate_of(command, device, _paused(session), now)
    if fate.following is not None:
        step(command, fate.following, now, fate.because)
    elif fate.waiting is not None:
        command.waiting_for, command.detail = fate.waiting.value, fate.because
    elif drafted is None:
        return False
    elif not drafted.signed.token:
        _refused(command, drafted.signed, now)
    elif keep_order(session, device, drafted.order, drafted.sealed, now):
        command.outbound_seq = drafted.order.seq
        step(command, CommandState.SENT, now, "")
    else:
        return False
    return True


def _refused(command: Command, signed: Signed, now: datetime) -> None:
    waiting = _WAITS_FOR.get(signed.why)
    if waiting is None:
        step(command, CommandState.FAILED, now, signed.text)
    else:
        command.waiting_for, command.detail = waiting.value, signed.text


def _body(command: Command) -> RunCommand:
    return RunCommand(
        command_id=command.id,
        command=CommandKind(command.kind),
        arguments=dict(command.arguments),
        expires_at=command.expires_at,
        attempt=command.attempt,
    )


def _paused(session: Session) -> str:
    row = get_enforcement(session)
    if row.paused_at is None:
        return ""
    return f"Enforcement is paused by {row.paused_by}: {row.paused_because}"
