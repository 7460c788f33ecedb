"""Queues commands and keeps each step with its time; `sending` signs and sends them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts.agent import CommandKind, CommandResult
from management.commands.allowed import Target, not_allowed
from management.commands.models import Command
from management.commands.queries import get_command, list_open, list_sent, lock_command
from management.commands.rules import (
    AUTOMATIC,
    DESTRUCTIVE,
    SECRETS,
    UNSUCCESSFUL,
    VALID_FOR,
    WAIT_FOR_RETURN,
    CommandState,
    Waiting,
    may_follow,
    next_attempt_at,
    wrong_arguments,
)
from management.commands.steps import step
from management.commands.superseding import Effect, Order, effect
from management.devices.models import Device
from management.devices.polls import hurry
from management.devices.queries import lock_device
from management.work.service import enqueue
from runtime.errors import RefusedError

DISPATCH = "commands.dispatch"
NO_UNDO = timedelta()
ORDER_ANEW = (
    "A wipe is not tried again with one click. Order it anew on the page of the device, with its "
    "name and the reason of today."
)
_HELD = (Waiting.APPROVAL, Waiting.PERSON)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks a device to do."""

    kind: CommandKind
    arguments: dict[str, str]
    by: str
    reason: str = ""
    undo: timedelta = NO_UNDO
    """How long it can be taken back for sure."""
    valid_for: timedelta | None = None
    batch_id: UUID | None = None


def queue_command(
    session: Session,
    device_id: UUID,
    kind: CommandKind,
    arguments: dict[str, str],
    by: str,
    reason: str,
    now: datetime,
    valid_for: timedelta | None = None,
    undo: timedelta = NO_UNDO,
) -> Command:
    """Queue a command that the device collects at its next check-in, after the *undo* window.

    Returns the open one instead when the same is on its way already (`superseding`). RefusedError
    when the device cannot get it, or the arguments do not fit the kind.
    """
    wanted = Wanted(kind, arguments, by, reason, undo, valid_for)
    command, new = add_command(session, device_id, wanted, now)
    if new:
        enqueue_dispatch(session, [command.id], command.ready_at, now)
        hurry(session, device_id, now)
    return command


def add_command(
    session: Session, device_id: UUID, wanted: Wanted, now: datetime
) -> tuple[Command, bool]:
    """Return the command, and whether it is new; nobody is told to send it yet."""
    device = lock_device(session, device_id)
    refused = not_allowed(wanted.kind, target_of(device))
    if wrong := refused or wrong_arguments(wanted.kind, wanted.arguments):
        raise RefusedError(wrong)
    if (same := _superseded(session, device, wanted, now)) is not None:
        return same, False
    waiting = Waiting.UNDO if wanted.undo else Waiting.NOTHING
    command = Command(
        id=uuid4(),
        device_id=device_id,
        kind=wanted.kind.value,
        arguments=wanted.arguments,
        state=CommandState.QUEUED.value,
        waiting_for=waiting.value,
        requested_by=wanted.by,
        reason=wanted.reason[:1000],
        batch_id=wanted.batch_id,
        attempt=1,
        detail="",
        queued_at=now,
        ready_at=now + wanted.undo,
        expires_at=now + wanted.undo + (wanted.valid_for or VALID_FOR[wanted.kind]),
    )
    session.add(command)
    session.flush()
    return command, True


def target_of(device: Device) -> Target:
    """Return what decides which commands the device can get."""
    return Target(device.platform, device.ownership, device.management_mode, device.enrolment_state)


def cancel_command(session: Session, command_id: UUID, by: str, now: datetime) -> Command:
    """Take a command back; RefusedError once it is sent, because the device may have it."""
    command = _locked(session, command_id)
    if command.state != CommandState.QUEUED:
        raise RefusedError(f"The command is {command.state} already and cannot be taken back.")
    step(command, CommandState.CANCELLED, now, f"Taken back by {by}.")
    device = lock_device(session, command.device_id)
    if device.ordered_policy == "":  # withheld while a wipe was to come (enrolment.granting)
        payload = {"policy_id": str(device.policy_id)}
        enqueue(session, "policies.spread", f"policies.spread:{uuid4()}", payload, now=now)
    return command


def retry_command(session: Session, command_id: UUID, by: str, now: datetime) -> Command:
    """Queue the same again as a new command, after one that ended without being done.

    RefusedError for a wipe: what was a reason then need not be one now.
    """
    old = get_command(session, command_id)
    if old.state not in UNSUCCESSFUL:
        raise RefusedError(f"The command is {old.state}; only an unsuccessful one is tried again.")
    if CommandKind(old.kind) in SECRETS:
        raise RefusedError("The passcode is not kept after the command ended; order a new one.")
    if CommandKind(old.kind) in DESTRUCTIVE:
        raise RefusedError(ORDER_ANEW)
    kind, arguments = CommandKind(old.kind), dict(old.arguments)
    return queue_command(session, old.device_id, kind, arguments, by, old.reason, now)


def confirm_command(session: Session, command_id: UUID, now: datetime) -> Command:
    """Let a command go on that waits for a person's word, after a restore from a backup."""
    command = _locked(session, command_id)
    if command.state != CommandState.QUEUED or command.waiting_for != Waiting.PERSON:
        raise RefusedError("This command does not wait for anybody's word.")
    release(session, [command], now)
    return command


def release(session: Session, commands: Sequence[Command], now: datetime) -> None:
    """Let waiting commands be sent: now, or when their undo window ends."""
    for command in commands:
        command.waiting_for = (Waiting.UNDO if command.ready_at > now else Waiting.NOTHING).value
    at = max([now, *(command.ready_at for command in commands)])
    enqueue_dispatch(session, [command.id for command in commands], at, now)


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
    last_said = command.detail if command.waiting_for == Waiting.RETRY else ""
    step(command, CommandState.EXPIRED, now, last_said or ended[state])


def order_acknowledged(session: Session, device: Device, seq: int, now: datetime) -> None:
    """Note that the device holds every order up to *seq* of its epoch."""
    for command in list_sent(session, device.id):
        if command.outbound_seq is not None and command.outbound_seq <= seq:
            step(command, CommandState.ACKNOWLEDGED, now, "")


def take_result(
    session: Session, device: Device, result: CommandResult, now: datetime
) -> Command | None:
    """Note what the device says of a command; None when it is not one of this device's.

    Returns the command also when the step does not follow, which changes nothing. Where trying
    later may help, it is queued again with a growing pause, until its time is over.
    """
    command = lock_command(session, result.command_id)
    if command is None or command.device_id != device.id:
        return None
    state, following = CommandState(command.state), CommandState(result.state)
    again = _again_at(command, result, now)
    if state == following and result.detail:
        command.detail = result.detail
    elif again is not None and may_follow(state, CommandState.QUEUED):
        command.attempt += 1
        requeue(session, command, Waiting.RETRY, result.detail, again, now)
    elif may_follow(state, following):
        step(command, following, now, result.detail)
    return command


def send_again(session: Session, device: Device, now: datetime) -> bool:
    """Queue again what was on its way when the device began anew; say whether a wipe is among it.

    No device escapes a wipe by leaving and coming back, or by enrolling once more: wipes go again
    until one is done, also those that it had acknowledged, and they go first.
    """
    wiped = False
    for command in list_open(session, device.id):
        destroys = CommandKind(command.kind) in DESTRUCTIVE
        returning = command.waiting_for == Waiting.RETURN
        wiped = wiped or (destroys and command.waiting_for not in _HELD)
        if returning or command.state == CommandState.SENT:
            words = "The device enrolled anew; the command is sent again."
            requeue(session, command, Waiting.NOTHING, words, now, now)
        elif destroys and command.state == CommandState.ACKNOWLEDGED:
            words = "The device enrolled anew before it was wiped; the wipe is sent again."
            requeue(session, command, Waiting.NOTHING, words, now, now)
    return wiped


def end_open(
    session: Session, device: Device, because: str, now: datetime, wipes_wait: bool = False
) -> list[Command]:
    """End what a device that left can no longer do; return the wipes that wait for its return.

    With *wipes_wait* it left by itself: an open wipe stays open, so that leaving is no way out.
    """
    waiting = []
    for command in list_open(session, device.id):
        if wipes_wait and CommandKind(command.kind) in DESTRUCTIVE:
            words = f"{because} The wipe waits for its return."
            command.expires_at = max(command.expires_at, now + WAIT_FOR_RETURN)
            if command.waiting_for not in _HELD:
                requeue(session, command, Waiting.RETURN, words, now, now)
            waiting.append(command)
        else:
            step(command, CommandState.FAILED, now, because)
    return waiting


def requeue(
    session: Session,
    command: Command,
    waiting: Waiting,
    detail: str,
    ready_at: datetime,
    now: datetime,
) -> None:
    """Put a command back into the queue, to be sent from *ready_at* on."""
    command.state, command.waiting_for = CommandState.QUEUED.value, waiting.value
    command.sent_at = command.acknowledged_at = command.outbound_seq = None
    command.detail, command.ready_at = detail[:4000], ready_at
    if waiting in (Waiting.NOTHING, Waiting.RETRY):
        enqueue_dispatch(session, [command.id], ready_at, now)


def enqueue_dispatch(
    session: Session, command_ids: Iterable[UUID], at: datetime, now: datetime
) -> None:
    """Let a worker send these commands from *at* on."""
    payload = {"command_ids": [str(command_id) for command_id in command_ids]}
    if payload["command_ids"]:
        enqueue(session, DISPATCH, f"{DISPATCH}:{uuid4()}", payload, 2, at, now)


def _superseded(session: Session, device: Device, wanted: Wanted, now: datetime) -> Command | None:
    """Take back what the new command replaces; return the open one that stands for both."""
    new: Order = (wanted.kind, wanted.arguments)
    for opened in list_open(session, device.id):
        found = effect(new, (CommandKind(opened.kind), opened.arguments))
        if found is Effect.SAME and _is_taken_over(opened, wanted):
            found = Effect.REPLACES
        if found is Effect.SAME:
            return opened
        if found is Effect.POINTLESS:
            raise RefusedError("The device is about to be wiped; take the wipe back first.")
        if found is Effect.REPLACES and opened.state == CommandState.QUEUED:
            kind = wanted.kind.value.replace("_", " ")
            words = f"Replaced by {kind}, which {wanted.by} asked for."
            step(opened, CommandState.CANCELLED, now, words)
    return None


def _is_taken_over(opened: Command, wanted: Wanted) -> bool:
    """Tell whether a person orders what a policy has queued: it must outlast the violation."""
    return opened.requested_by == AUTOMATIC != wanted.by and opened.state == CommandState.QUEUED


def _again_at(command: Command, result: CommandResult, now: datetime) -> datetime | None:
    if result.state != "failed" or not result.try_again:
        return None
    return next_attempt_at(command.attempt, now, command.expires_at)


def _locked(session: Session, command_id: UUID) -> Command:
    return lock_command(session, command_id) or get_command(session, command_id)
