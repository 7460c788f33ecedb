"""The API's view of commands: queue, follow, take back."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from contracts.agent import CommandKind
from management.access import Permission, require, signed_in, signed_in_name
from management.api.bodies import MaybeProof
from management.api.operations import STRICT, Code, Reason, operation
from management.audit.notes import note
from management.commands import queries, service
from management.commands.allowed import kinds_for
from management.commands.models import Command
from management.commands.rules import DESTRUCTIVE
from management.devices.queries import get_device
from management.personal import COMMAND, DEVICE, tell_subject
from management.web import context, proofs, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("commands_api", __name__, url_prefix="/api/v1")

Argument = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """An order to one device."""

    __pydantic_config__ = STRICT

    kind: CommandKind
    reason: Reason
    """Goes into the audit trail."""
    arguments: dict[str, Argument] = field(default_factory=dict)
    """``message`` takes ``text``, ``lock`` and ``lost_mode`` take ``text`` and ``phone``,
    ``reset_passcode`` takes ``passcode``, ``install_app`` takes ``package``, ``version``,
    ``sha256`` and ``reference`` (its entry in the app store), ``remove_app`` takes ``package``;
    the others take none."""
    code: Code | None = None
    """Of the caller's authenticator app; needed for a wipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer:
    """A command and every step of it with its time."""

    id: UUID
    device_id: UUID
    kind: str
    state: str
    waiting_for: str
    """Why it is not sent yet: ``undo`` (its undo window is open), ``approval``, ``enforcement`` (it
    is paused), ``retry`` (the device asked to try later), ``return`` (the device left),
    ``person`` (after a restore somebody must say that it is still wanted), or empty."""
    attempt: int
    batch_id: UUID | None
    requested_by: str
    reason: str
    detail: str
    """The device's or the signer's words."""
    queued_at: datetime
    ready_at: datetime
    """Not sent before."""
    sent_at: datetime | None
    acknowledged_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCommands:
    """What a device can be told to do."""

    commands: dict[str, str]
    """Kind -> why not, empty when it can."""


@operation(bp, "/commands/<uuid:command_id>", Permission.VIEW, in_groups=True, shows=COMMAND)
def get_command(command_id: UUID) -> CommandAnswer:
    """Get one command as it stands now."""
    with reading() as session:
        command = queries.get_command(session, command_id)
    tell_subject(command.device_id)
    return answer_of(command)


@operation(
    bp,
    "/devices/<uuid:device_id>/commands",
    Permission.SEND_COMMANDS,
    "POST",
    201,
    (409,),
    in_groups=True,
)
def queue_command(device_id: UUID, body: NewCommand) -> CommandAnswer:
    """Queue a command that the device collects at its next check-in.

    A wipe also needs the permission `wipe_devices` and a code of the caller's authenticator app; it
    can be taken back during the undo window, and above the signer's limits it waits until approvers
    prove that they want it. The same command that is on its way already is returned instead of
    queued twice.
    """
    if body.kind in DESTRUCTIVE:
        require(signed_in(), Permission.WIPE_DEVICES)
    with reading() as session:
        get_device(session, device_id)
    require_wanted(body.kind, body.code)
    with transaction("queue a command") as session:
        command = service.queue_command(
            session,
            device_id,
            body.kind,
            dict(body.arguments),
            signed_in_name(),
            body.reason,
            utc_now(),
            undo=_undo(body.kind),
        )
        action = f"device.{body.kind.value}"
        note(session, action, device_id, body.reason, command=str(command.id))
    return answer_of(command)


@operation(
    bp,
    "/commands/<uuid:command_id>/cancel",
    Permission.SEND_COMMANDS,
    "POST",
    refusals=(409,),
    in_groups=True,
)
def cancel_command(command_id: UUID) -> CommandAnswer:
    """Take a queued command back; for a wipe this needs the permission `wipe_devices`."""
    with transaction("cancel a command") as session:
        kind = CommandKind(queries.get_command(session, command_id).kind)
        if kind in DESTRUCTIVE:
            require(signed_in(), Permission.WIPE_DEVICES)
        command = service.cancel_command(session, command_id, signed_in_name(), utc_now())
        note(session, "command.cancel", command.device_id, command=str(command_id))
    return answer_of(command)


@operation(
    bp,
    "/commands/<uuid:command_id>/confirm",
    Permission.SEND_COMMANDS,
    "POST",
    refusals=(409,),
    in_groups=True,
)
def confirm_command(command_id: UUID, body: MaybeProof) -> CommandAnswer:
    """Say that a command is still wanted, after the database was restored from a backup.

    For a wipe this needs the permission `wipe_devices` and a code; else no body is needed.
    """
    with reading() as session:
        kind = CommandKind(queries.get_command(session, command_id).kind)
    require_wanted(kind, body.code)
    with transaction("confirm a command") as session:
        command = service.confirm_command(session, command_id, utc_now())
        note(session, "command.confirm", command.device_id, command=str(command_id))
    return answer_of(command)


@operation(
    bp,
    "/commands/<uuid:command_id>/retry",
    Permission.SEND_COMMANDS,
    "POST",
    201,
    (409,),
    in_groups=True,
)
def retry_command(command_id: UUID) -> CommandAnswer:
    """Queue a command again that failed, expired or was cancelled; answers the new one.

    A wipe is refused (409): order it anew with `queue_command`, with a reason of today.
    """
    with transaction("retry a command") as session:
        old = queries.get_command(session, command_id)
        by, again = signed_in_name(), str(command_id)
        command = service.retry_command(session, command_id, by, utc_now())
        action = f"device.{command.kind}"
        note(session, action, command.device_id, old.reason, command=str(command.id), again=again)
    return answer_of(command)


@operation(
    bp, "/devices/<uuid:device_id>/allowed-commands", Permission.VIEW, in_groups=True, shows=DEVICE
)
def list_allowed_commands(device_id: UUID) -> AllowedCommands:
    """List every command with why the device cannot get it; empty: it can."""
    with reading() as session:
        found = kinds_for(service.target_of(get_device(session, device_id)))
    return AllowedCommands(commands={kind.value: why for kind, why in found.items()})


def require_wanted(kind: CommandKind, code: str | None) -> None:
    """Let a wipe on only by who may order it and proves with *code* that it is them."""
    if kind in DESTRUCTIVE:
        require(signed_in(), Permission.WIPE_DEVICES)
        proofs().require_code(code or "")


def _undo(kind: CommandKind) -> timedelta:
    seconds = context().settings.undo_seconds
    return timedelta(seconds=seconds) if kind in DESTRUCTIVE else service.NO_UNDO


def answer_of(command: Command) -> CommandAnswer:
    """Return a command as the API tells it."""
    return CommandAnswer(
        id=command.id,
        device_id=command.device_id,
        kind=command.kind,
        state=command.state,
        waiting_for=command.waiting_for,
        attempt=command.attempt,
        batch_id=command.batch_id,
        requested_by=command.requested_by,
        reason=command.reason,
        detail=command.detail,
        queued_at=command.queued_at,
        ready_at=command.ready_at,
        sent_at=command.sent_at,
        acknowledged_at=command.acknowledged_at,
        finished_at=command.finished_at,
        expires_at=command.expires_at,
    )
