"""Queues commands, sends them as orders, and keeps each step with its time."""

import logging
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts.agent import CommandKind, CommandResult, RunCommand
from management.commands.models import Command
from management.commands.queries import get_command, list_open, list_sent, lock_command
from management.commands.rules import (
    DESTRUCTIVE,
    VALID_FOR,
    CommandState,
    Waiting,
    may_follow,
    wrong_arguments,
)
from management.devices.models import Device
from management.devices.queries import get_device, lock_device
from management.devices.rules import EnrolmentState
from management.keys import Keys
from management.relays.service import send_order
from management.safety.queries import get_enforcement
from management.signer_client import SignerClient
from management.work.service import enqueue
from runtime.errors import RefusedError

log = logging.getLogger(__name__)
DISPATCH = "commands.dispatch"


def queue_command(
    session: Session,
    device_id: UUID,
    kind: CommandKind,
    arguments: dict[str, str],
    by: str,
    reason: str,
    now: datetime,
    valid_for: timedelta | None = None,
) -> Command:
    """Queue a command that the device collects at its next check-in.

    RefusedError when the device is not ours any more or the arguments do not fit the kind.
    """
    device = get_device(session, device_id)
    if device.enrolment_state != EnrolmentState.ENROLLED:
        raise RefusedError(f"The device cannot get commands: it is {device.enrolment_state}.")
    if wrong := wrong_arguments(kind, arguments):
        raise RefusedError(wrong)
    command = Command(
        id=uuid4(),
        device_id=device_id,
        kind=kind.value,
        arguments=arguments,
        state=CommandState.QUEUED.value,
        waiting_for=Waiting.NOTHING.value,
        requested_by=by,
        reason=reason[:1000],
        detail="",
        queued_at=now,
        expires_at=now + (valid_for or VALID_FOR[kind]),
    )
    session.add(command)
    session.flush()
    _enqueue_dispatch(session, command, now)
    return command


def cancel_command(session: Session, command_id: UUID, by: str, now: datetime) -> Command:
    """Take a command back; RefusedError once it is sent, because the device may have it."""
    command = _locked(session, command_id)
    if command.state != CommandState.QUEUED:
        raise RefusedError(f"The command is {command.state} already and cannot be taken back.")
    _step(command, CommandState.CANCELLED, now, f"Taken back by {by}.")
    return command


def retry_command(session: Session, command_id: UUID, by: str, now: datetime) -> Command:
    """Queue the same again as a new command, after one that ended without being done."""
    old = get_command(session, command_id)
    if old.state not in {CommandState.FAILED, CommandState.EXPIRED, CommandState.CANCELLED}:
        raise RefusedError(f"The command is {old.state}; only an unsuccessful one is tried again.")
    kind = CommandKind(old.kind)
    return queue_command(session, old.device_id, kind, dict(old.arguments), by, old.reason, now)


def try_again(session: Session, command_id: UUID, now: datetime) -> Command:
    """Let a waiting command be sent now, after its approval or when enforcement acts again."""
    command = get_command(session, command_id)
    if command.state == CommandState.QUEUED:
        _enqueue_dispatch(session, command, now)
    return command


def dispatch(
    session: Session, keys: Keys, signer: SignerClient, command_id: UUID, now: datetime
) -> CommandState:
    """Sign and number a queued command as an order, unless it must wait; return its step.

    It waits, and says so, while enforcement is paused (wipes) and while the signer asks for an
    approval. Anything but a queued command is left alone, so repeating this is harmless.
    """
    command = _locked(session, command_id)
    if command.state != CommandState.QUEUED:
        return CommandState(command.state)
    device = lock_device(session, command.device_id)
    if command.expires_at <= now:
        _step(command, CommandState.EXPIRED, now, "It was not sent in time.")
    elif device.enrolment_state != EnrolmentState.ENROLLED:
        _step(command, CommandState.FAILED, now, f"The device is {device.enrolment_state}.")
    elif because := _paused(session, command):
        command.waiting_for, command.detail = Waiting.ENFORCEMENT.value, because
    else:
        _send(session, keys, signer, device, command, now)
    return CommandState(command.state)


def expire(session: Session, command_id: UUID, now: datetime) -> None:
    """End a command whose time is over."""
    command = _locked(session, command_id)
    state = CommandState(command.state)
    if not may_follow(state, CommandState.EXPIRED) or command.expires_at > now:
        return
    ended = {
        CommandState.QUEUED: "It was not sent in time.",
        CommandState.SENT: "The device did not collect it in time.",
        CommandState.ACKNOWLEDGED: "The device never said what became of it.",
    }
    _step(command, CommandState.EXPIRED, now, ended[state])


def order_acknowledged(session: Session, device: Device, seq: int, now: datetime) -> None:
    """Note that the device holds every order up to *seq* of its epoch."""
    for command in list_sent(session, device.id):
        if command.outbound_seq is not None and command.outbound_seq <= seq:
            _step(command, CommandState.ACKNOWLEDGED, now, "")


def take_result(
    session: Session, device: Device, result: CommandResult, now: datetime
) -> Command | None:
    """Note what the device says of a command; None when it is not one of this device's.

    Returns the command also when the step does not follow, which changes nothing.
    """
    command = lock_command(session, result.command_id)
    if command is None or command.device_id != device.id:
        return None
    following = CommandState(result.state)
    if command.state == following and result.detail:
        command.detail = result.detail
    elif may_follow(CommandState(command.state), following):
        _step(command, following, now, result.detail)
    else:
        log.info("A result that does not follow", extra={"command": str(command.id)})
    return command


def send_again(session: Session, device: Device, now: datetime) -> None:
    """Queue again what was on its way when the device enrolled anew: it must not escape a wipe."""
    for command in list_sent(session, device.id):
        command.state, command.sent_at, command.outbound_seq = CommandState.QUEUED.value, None, None
        command.detail = "The device enrolled anew; the command is sent again."
        _enqueue_dispatch(session, command, now)


def fail_open(session: Session, device: Device, because: str, now: datetime) -> None:
    """End what a device that left can no longer do."""
    for command in list_open(session, device.id):
        _step(command, CommandState.FAILED, now, because)


def _send(
    session: Session,
    keys: Keys,
    signer: SignerClient,
    device: Device,
    command: Command,
    now: datetime,
) -> None:
    order = RunCommand(
        command_id=command.id,
        command=CommandKind(command.kind),
        arguments=dict(command.arguments),
        expires_at=command.expires_at,
    )
    try:
        command.outbound_seq = send_order(session, keys, signer, device, order, now)
    except RefusedError as error:
        command.waiting_for, command.detail = Waiting.APPROVAL.value, str(error)
        return
    _step(command, CommandState.SENT, now, "")


def _paused(session: Session, command: Command) -> str:
    if CommandKind(command.kind) not in DESTRUCTIVE:
        return ""
    row = get_enforcement(session)
    if row.paused_at is None:
        return ""
    return f"Enforcement is paused by {row.paused_by}: {row.paused_because}"


def _step(command: Command, following: CommandState, now: datetime, detail: str) -> None:
    """Go on to the next step; times never run backwards, also when the clock does."""
    earlier = (command.queued_at, command.sent_at, command.acknowledged_at)
    at = max(now, *(time for time in earlier if time is not None))
    command.state, command.detail = following.value, detail[:4000]
    command.waiting_for = Waiting.NOTHING.value
    if following is CommandState.SENT:
        command.sent_at = at
    elif following is CommandState.ACKNOWLEDGED:
        command.acknowledged_at = at
    else:
        command.finished_at = at


def _locked(session: Session, command_id: UUID) -> Command:
    return lock_command(session, command_id) or get_command(session, command_id)


def _enqueue_dispatch(session: Session, command: Command, now: datetime) -> None:
    payload = {"command_id": str(command.id)}
    enqueue(session, DISPATCH, f"{DISPATCH}:{command.id}:{uuid4()}", payload, priority=2, now=now)
