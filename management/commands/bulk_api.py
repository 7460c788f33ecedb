"""The API's view of bulk commands and of approvals above the signer's limits."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from contracts.agent import CommandKind
from management.access import Permission, require, signed_in, signed_in_name
from management.api.operations import STRICT, Code, PageQuery, Reason, Whole, operation
from management.audit.notes import note
from management.commands import approving, bulk, queries
from management.commands.api import Argument, require_wanted
from management.commands.models import CommandBatch
from management.commands.rules import DESTRUCTIVE
from management.commands.service import Wanted
from management.paging import cut, time_cursor
from management.personal import list_of, tell_number
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("bulk_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBulkCommand:
    """One order for the devices that are named."""

    __pydantic_config__ = STRICT

    kind: CommandKind
    reason: Reason
    device_ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=5000)]
    arguments: dict[str, Argument] = field(default_factory=dict)
    """As for a single command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkConfirmation:
    """Proof of having looked at it."""

    __pydantic_config__ = STRICT

    devices: Annotated[int, Field(ge=0, le=1_000_000), Whole]
    """How many devices get it, as the draft says."""
    code: Code | None = None
    """Of the caller's authenticator app; needed for a wipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAnswer:
    """A bulk command: its fixed list in numbers, and how far it is."""

    id: UUID
    kind: str
    requested_by: str
    reason: str
    made_at: datetime
    confirmed_at: datetime | None
    """Nothing is sent before."""
    devices: int
    left_out: dict[str, int]
    """Why devices cannot get it -> how many."""
    states: dict[str, int]
    """How many of its commands stand at each step."""
    waiting_for_approval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandApproval:
    """What an approval of this command would cover, as the signer holds it."""

    fingerprint: str
    commands: tuple[UUID, ...]
    approved_by: tuple[str, ...]
    needed: int
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One's own proof."""

    __pydantic_config__ = STRICT

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    code: Annotated[str, Field(pattern=r"^[0-9]{6,10}$")]
    """From the entry for approvals in one's authenticator app."""


@operation(bp, "/bulk-commands", Permission.SEND_COMMANDS, "POST", 201, (409,), in_groups=True)
def draft_bulk_command(body: NewBulkCommand) -> BulkAnswer:
    """Draft a bulk command: fix its list and learn who gets it. Nothing is sent yet.

    A wipe also needs the permission `wipe_devices`. Devices that do not exist are left out.
    """
    _may_order(body.kind)
    wanted = Wanted(body.kind, dict(body.arguments), signed_in_name(), body.reason)
    with transaction("draft a bulk command") as session:
        batch = bulk.draft(session, bulk.chosen(session, body.device_ids), wanted, utc_now())
        return _answer(batch, {}, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkQuery(PageQuery):
    """Which bulk commands."""

    requested_by: Argument = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPage:
    """Bulk commands that were confirmed, the newest first."""

    items: tuple[BulkAnswer, ...]
    next: str | None


@operation(bp, "/bulk-commands", Permission.VIEW, in_groups=True)
def list_bulk_commands(query: BulkQuery) -> BulkPage:
    """List bulk commands that were confirmed, with their progress; the newest first.

    Who is limited to groups sees their own.
    """
    place = queries.Cursor(*time_cursor(query.after)) if query.after else None
    with reading() as session:
        found = queries.list_batches(session, query.requested_by, query.limit + 1, place)
        shown, following = cut(found, query.limit, lambda row: (row.made_at, row.id))
        counts = queries.count_states(session, [row.id for row in shown])
        waiting = queries.count_batches_waiting(session, [row.id for row in shown])
    answers = (_answer(row, counts[row.id], waiting.get(row.id, 0)) for row in shown)
    return BulkPage(items=tuple(answers), next=following)


@operation(bp, "/bulk-commands/<uuid:batch_id>", Permission.VIEW, in_groups=True)
def get_bulk_command(batch_id: UUID) -> BulkAnswer:
    """Get a bulk command with its progress."""
    with reading() as session:
        batch = queries.get_batch(session, batch_id)
        counts = queries.count_states(session, [batch_id])[batch_id]
        return _answer(batch, counts, queries.count_batch_waiting(session, batch_id))


@operation(
    bp,
    "/bulk-commands/<uuid:batch_id>/confirm",
    Permission.SEND_COMMANDS,
    "POST",
    refusals=(409,),
    in_groups=True,
)
def confirm_bulk_command(batch_id: UUID, body: BulkConfirmation) -> BulkAnswer:
    """Let a draft go, by who drafted it. A wipe of many then waits for an approval.

    A wipe also needs the permission `wipe_devices` and a code of the caller's authenticator app:
    one code for all its devices.
    """
    with reading() as session:
        kind = CommandKind(queries.get_batch(session, batch_id).kind)
    require_wanted(kind, body.code)
    with transaction("confirm a bulk command") as session:
        by = signed_in_name()
        batch = bulk.confirm(session, batch_id, str(body.devices), by, utc_now())
        number = str(batch.devices)
        note(session, f"bulk.{batch.kind}", batch_id, batch.reason, devices=number)
        return _answer(batch, {}, 0)


@operation(
    bp, "/bulk-commands/<uuid:batch_id>/cancel", Permission.SEND_COMMANDS, "POST", in_groups=True
)
def cancel_bulk_command(batch_id: UUID) -> BulkAnswer:
    """Take back what is not sent yet."""
    with transaction("cancel a bulk command") as session:
        batch = queries.get_batch(session, batch_id)
        _may_order(CommandKind(batch.kind))
        number = bulk.cancel(session, batch_id, signed_in_name(), utc_now())
        note(session, "bulk.cancel", batch_id, commands=str(number))
        counts = queries.count_states(session, [batch_id])[batch_id]
        return _answer(batch, counts, 0)


@operation(
    bp,
    "/commands/<uuid:command_id>/approval",
    Permission.WIPE_DEVICES,
    refusals=(409, 503),
    in_groups=True,
    shows=list_of("commands that wait"),
)
def get_approval(command_id: UUID) -> CommandApproval:
    """Get what an approval of a waiting command would cover: it, or its whole bulk command."""
    with reading() as session:
        commands = approving.waiting_with(session, command_id)
    tell_number(len(commands))
    return _approval(approving.propose(context().signer, commands))


@operation(
    bp,
    "/commands/<uuid:command_id>/approval",
    Permission.WIPE_DEVICES,
    "POST",
    refusals=(409, 503),
    in_groups=True,
)
def approve_commands(command_id: UUID, body: Approval) -> CommandApproval:
    """Prove with one's own code that one wants exactly this set."""
    with reading() as session:
        commands = approving.waiting_with(session, command_id)
    signer = context().signer
    found = approving.propose(signer, commands)
    said = approving.approve(signer, found, body.fingerprint, signed_in_name(), body.code)
    with transaction("approve commands") as session:
        if said["approved"]:
            approving.send_approved(session, commands, utc_now())
        number = str(len(commands))
        note(session, "command.approve", command_id, set=body.fingerprint, commands=number)
    return _approval(approving.WaitingSet(commands, said))


def _may_order(kind: CommandKind) -> None:
    if kind in DESTRUCTIVE:
        require(signed_in(), Permission.WIPE_DEVICES)


def _answer(batch: CommandBatch, states: dict[str, int], waiting: int) -> BulkAnswer:
    left_out: dict[str, Any] = dict(batch.left_out)
    return BulkAnswer(
        id=batch.id,
        kind=batch.kind,
        requested_by=batch.requested_by,
        reason=batch.reason,
        made_at=batch.made_at,
        confirmed_at=batch.confirmed_at,
        devices=batch.devices,
        left_out=left_out,
        states=states,
        waiting_for_approval=waiting,
    )


def _approval(found: approving.WaitingSet) -> CommandApproval:
    said = found.signer
    return CommandApproval(
        fingerprint=found.fingerprint,
        commands=tuple(command.id for command in found.commands),
        approved_by=tuple(said["approved_by"]),
        needed=said["needed"],
        approved=said["approved"],
    )
