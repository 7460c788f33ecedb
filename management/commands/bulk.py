"""One command for many devices: a list that is fixed, looked at, confirmed and then queued."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.allowed import not_allowed
from management.commands.models import Command, CommandBatch, CommandBatchDevice
from management.commands.queries import count_batch_devices, list_batch_devices, lock_batch
from management.commands.rules import (
    DESTRUCTIVE,
    CommandState,
    Waiting,
    without_secrets,
    wrong_arguments,
)
from management.commands.service import Wanted, add_command, enqueue_dispatch, target_of
from management.devices.models import Device
from management.listing.queries import MOST, list_devices
from management.listing.rules import DeviceFilter
from management.work.service import enqueue
from runtime.errors import ForbiddenError, RefusedError

QUEUE = "commands.bulk"
MOST_DEVICES = 20_000
CHUNK = 100
ON_ITS_WAY = "The same command is on its way already."
_WAITS = "A bulk command that destroys is always approved. Approvers must prove that they want it."


def chosen(session: Session, device_ids: Iterable[UUID]) -> Iterator[Device]:
    """Yield the devices that were ticked in the list; ids that are none are left out."""
    ids = list(dict.fromkeys(device_ids))
    for start in range(0, len(ids), MOST):
        part = ids[start : start + MOST]
        yield from session.scalars(select(Device).where(Device.id.in_(part)).order_by(Device.id))


def filtered(session: Session, wanted: DeviceFilter) -> Iterator[Device]:
    """Yield all devices that a filter of the list finds."""
    after = None
    while page := list_devices(session, wanted, after, MOST):
        yield from (row.device for row in page)
        after = page[-1].cursor


def draft(
    session: Session, devices: Iterable[Device], wanted: Wanted, now: datetime
) -> CommandBatch:
    """Fix the list of devices now and return it to be looked at; nothing is queued yet."""
    if wrong := wrong_arguments(wanted.kind, wanted.arguments):
        raise RefusedError(wrong)
    batch = CommandBatch(
        id=uuid4(),
        kind=wanted.kind.value,
        arguments=wanted.arguments,
        requested_by=wanted.by,
        reason=wanted.reason[:1000],
        made_at=now,
        devices=0,
        left_out={},
    )
    session.add(batch)
    session.flush()
    _fix(session, batch, devices)
    _forget_unconfirmed(session, now)
    return batch


def _fix(session: Session, batch: CommandBatch, devices: Iterable[Device]) -> None:
    rows, left_out = [], dict[str, int]()
    for device in devices:
        why = not_allowed(CommandKind(batch.kind), target_of(device))
        if why:
            left_out[why] = left_out.get(why, 0) + 1
        else:
            rows.append({"batch_id": batch.id, "device_id": device.id})
        if len(rows) > MOST_DEVICES:
            raise RefusedError(
                f"A bulk command reaches at most {MOST_DEVICES} devices. Filter the list further."
            )
    if rows:
        session.execute(insert(CommandBatchDevice), rows)
    batch.devices, batch.left_out = len(rows), left_out


def confirm(session: Session, batch_id: UUID, typed: str, by: str, now: datetime) -> CommandBatch:
    """Let the bulk command go, by who drafted it and typed the number of its devices."""
    batch = lock_batch(session, batch_id)
    if batch.requested_by != by:
        raise ForbiddenError("Only who drafted a bulk command confirms it.")
    if batch.confirmed_at is not None:
        raise RefusedError("This bulk command is confirmed already.")
    if not batch.devices:
        raise RefusedError("None of the devices can get this command.")
    if count_batch_devices(session, batch_id) != batch.devices:
        raise RefusedError(
            "Some of the devices are not in your groups any more. Draft the bulk command again."
        )
    if typed.strip() != str(batch.devices):
        raise RefusedError(f"Type the number of devices, {batch.devices}, to confirm.")
    batch.confirmed_at = now
    enqueue(session, QUEUE, f"{QUEUE}:{batch_id}", {"batch_id": str(batch_id)}, 3, now=now)
    return batch


def queue_some(session: Session, batch_id: UUID, undo: timedelta, now: datetime) -> int:
    """Give the next devices their command; return how many, 0 when all have it."""
    batch = lock_batch(session, batch_id)
    devices = list_batch_devices(session, batch_id, CHUNK)
    if batch.confirmed_at is None or not devices:
        _end(batch, now)
        return 0
    wanted = _wanted(batch, undo)
    queued = [_queue(session, batch, device.id, wanted, now) for device in devices]
    session.execute(
        delete(CommandBatchDevice).where(
            CommandBatchDevice.batch_id == batch_id,
            CommandBatchDevice.device_id.in_([device.id for device in devices]),
        )
    )
    enqueue_dispatch(session, [one for one in queued if one is not None], now + undo, now)
    return len(devices)


def cancel(session: Session, batch_id: UUID, by: str, now: datetime) -> int:
    """Take back what is still queued; return how many of its commands that were."""
    batch = lock_batch(session, batch_id)
    session.execute(delete(CommandBatchDevice).where(CommandBatchDevice.batch_id == batch_id))
    taken = session.execute(
        update(Command)
        .where(Command.batch_id == batch_id, Command.state == CommandState.QUEUED)
        .values(
            state=CommandState.CANCELLED,
            waiting_for=Waiting.NOTHING,
            finished_at=now,
            detail=f"Taken back by {by}.",
            arguments=without_secrets(CommandKind(batch.kind), batch.arguments),
        )
        .execution_options(synchronize_session=False)
    )
    _end(batch, now)
    return int(taken.rowcount)  # type: ignore[attr-defined]


def _end(batch: CommandBatch, now: datetime) -> None:
    """Note that every device has its command; only these need its secrets."""
    batch.queued_at = batch.queued_at or now
    batch.arguments = without_secrets(CommandKind(batch.kind), batch.arguments)


def _wanted(batch: CommandBatch, undo: timedelta) -> Wanted:
    return Wanted(
        CommandKind(batch.kind),
        dict(batch.arguments),
        batch.requested_by,
        batch.reason,
        undo,
        batch_id=batch.id,
    )


def _queue(
    session: Session, batch: CommandBatch, device_id: UUID, wanted: Wanted, now: datetime
) -> UUID | None:
    """Return the new command that may be sent, None when there is none or it needs approval."""
    try:
        command, new = add_command(session, device_id, wanted, now)
        why = "" if new else ON_ITS_WAY
    except RefusedError as error:
        why = str(error)
    if why:
        left_out = dict(batch.left_out)
        batch.left_out = {**left_out, why: left_out.get(why, 0) + 1}
        batch.devices -= 1
        return None
    if wanted.kind in DESTRUCTIVE and batch.devices > 1:
        command.waiting_for, command.detail = Waiting.APPROVAL.value, _WAITS
        return None
    return command.id


def _forget_unconfirmed(session: Session, now: datetime) -> None:
    """Delete drafts that nobody confirmed within a day."""
    old = select(CommandBatch.id).where(
        CommandBatch.confirmed_at.is_(None), CommandBatch.made_at < now - timedelta(days=1)
    )
    ids = list(session.scalars(old.limit(100)))
    if ids:
        session.execute(delete(CommandBatchDevice).where(CommandBatchDevice.batch_id.in_(ids)))
        session.execute(delete(CommandBatch).where(CommandBatch.id.in_(ids)))
