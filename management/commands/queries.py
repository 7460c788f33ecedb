"""Reads commands and bulk commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.commands.models import Command, CommandBatch, CommandBatchDevice
from management.commands.rules import (
    ANSWER_WITHIN,
    NEEDS_PERSON,
    OPEN,
    CommandState,
    Waiting,
)
from management.database import locked
from management.devices.models import Device
from runtime.errors import NotFoundError

PAGE = 50


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of commands ended."""

    queued_at: datetime
    command_id: UUID


def get_command(session: Session, command_id: UUID) -> Command:
    """Return the command; NotFoundError when there is none with this id."""
    found = session.get(Command, command_id)
    if found is None:
        raise NotFoundError("There is no such command.")
    return found


def lock_command(session: Session, command_id: UUID) -> Command | None:
    """Return the command as it is now; nobody else changes it until this transaction ends."""
    session.flush()
    return session.scalars(locked(select(Command).where(Command.id == command_id), Command)).first()


def list_commands(
    session: Session,
    device_id: UUID | None = None,
    state: str = "",
    waiting_for: str = "",
    after: Cursor | None = None,
    limit: int = PAGE,
    requested_by: str = "",
    batch_id: UUID | None = None,
) -> Sequence[Command]:
    """Return commands, newest first, those behind *after*."""
    query = select(Command).order_by(Command.queued_at.desc(), Command.id.desc()).limit(limit)
    if device_id is not None:
        query = query.where(Command.device_id == device_id)
    if batch_id is not None:
        query = query.where(Command.batch_id == batch_id)
    if state:
        query = query.where(Command.state == state)
    if requested_by:
        query = query.where(Command.requested_by == requested_by)
    if waiting_for:
        query = query.where(
            Command.state == CommandState.QUEUED, Command.waiting_for == waiting_for
        )
    if after is not None:
        query = query.where(
            Command.queued_at <= after.queued_at,
            or_(Command.queued_at < after.queued_at, Command.id < after.command_id),
        )
    return session.scalars(query).all()


def count_open(session: Session) -> dict[str, int]:
    """Return how many commands stand at each step before their end."""
    found = (
        select(Command.state, func.count()).where(Command.state.in_(OPEN)).group_by(Command.state)
    )
    counted = dict(session.execute(found).all())
    return {**{state.value: 0 for state in OPEN}, **counted}


def count_waiting(session: Session) -> dict[str, int]:
    """Return how many queued commands wait for a person, by `Waiting`."""
    found = (
        select(Command.waiting_for, func.count())
        .where(Command.state == CommandState.QUEUED, Command.waiting_for.in_(NEEDS_PERSON))
        .group_by(Command.waiting_for)
    )
    return dict(session.execute(found).all())


def list_ready(session: Session, now: datetime, after: UUID | None, limit: int) -> Sequence[UUID]:
    """Return queued commands that may be sent now, in the order of their ids, for a sweep."""
    query = select(Command.id).where(
        Command.state == CommandState.QUEUED,
        Command.ready_at <= now,
        Command.waiting_for.not_in(NEEDS_PERSON),
    )
    if after is not None:
        query = query.where(Command.id > after)
    return session.scalars(query.order_by(Command.id).limit(limit)).all()


def list_to_send(session: Session, command_ids: Sequence[UUID]) -> list[tuple[Command, Device]]:
    """Return those of the commands that are queued, with their devices."""
    query = (
        select(Command, Device)
        .join(Device, Device.id == Command.device_id)
        .where(Command.id.in_(command_ids), Command.state == CommandState.QUEUED)
        .order_by(Command.queued_at, Command.id)
    )
    return [(command, device) for command, device in session.execute(query)]


def list_expired(session: Session, now: datetime, limit: int = PAGE) -> Sequence[UUID]:
    """Return commands whose time is over."""
    return session.scalars(
        select(Command.id)
        .where(
            or_(
                (Command.state.in_([CommandState.QUEUED, CommandState.SENT]))
                & (Command.expires_at <= now),
                (Command.state == CommandState.ACKNOWLEDGED)
                & (Command.expires_at <= now - ANSWER_WITHIN),
            )
        )
        .order_by(Command.expires_at)
        .limit(limit)
    ).all()


def list_sent(session: Session, device_id: UUID) -> Sequence[Command]:
    """Return the commands of a device that are on their way to it."""
    return session.scalars(
        select(Command).where(Command.device_id == device_id, Command.state == CommandState.SENT)
    ).all()


def having_sent(session: Session, device_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these devices have commands on their way to them; at most 500 at once."""
    found = select(Command.device_id).where(
        Command.device_id.in_(device_ids), Command.state == CommandState.SENT
    )
    return set(session.scalars(found))


def list_open(session: Session, device_id: UUID) -> Sequence[Command]:
    """Return the commands of a device that have not ended, oldest first."""
    return session.scalars(
        select(Command)
        .where(Command.device_id == device_id, Command.state.in_(OPEN))
        .order_by(Command.queued_at, Command.id)
    ).all()


def list_waiting_together(session: Session, command: Command, limit: int) -> Sequence[Command]:
    """Return what waits for an approval with *command*: its bulk command's, or it alone."""
    query = select(Command).where(
        Command.state == CommandState.QUEUED, Command.waiting_for == Waiting.APPROVAL
    )
    if command.batch_id is None:
        query = query.where(Command.id == command.id)
    else:
        query = query.where(Command.batch_id == command.batch_id)
    return session.scalars(query.order_by(Command.id).limit(limit)).all()


# --- bulk commands ---


def get_batch(session: Session, batch_id: UUID) -> CommandBatch:
    """Return the bulk command; NotFoundError when there is none with this id."""
    found = session.get(CommandBatch, batch_id)
    if found is None:
        raise NotFoundError("There is no such bulk command.")
    return found


def lock_batch(session: Session, batch_id: UUID) -> CommandBatch:
    """Return the bulk command as it is now; nobody else changes it until this transaction ends."""
    session.flush()
    found = session.scalars(
        locked(select(CommandBatch).where(CommandBatch.id == batch_id), CommandBatch)
    ).first()
    return found or get_batch(session, batch_id)


def list_batches(
    session: Session, requested_by: str = "", limit: int = PAGE, after: Cursor | None = None
) -> list[CommandBatch]:
    """Return confirmed bulk commands, newest first, those behind *after*."""
    query = select(CommandBatch).where(CommandBatch.confirmed_at.is_not(None))
    if requested_by:
        query = query.where(CommandBatch.requested_by == requested_by)
    if after is not None:
        made_at = CommandBatch.made_at
        same = (made_at == after.queued_at) & (CommandBatch.id < after.command_id)
        query = query.where(or_(made_at < after.queued_at, same))
    newest = query.order_by(CommandBatch.made_at.desc(), CommandBatch.id.desc())
    return list(session.scalars(newest.limit(limit)))


def count_states(session: Session, batch_ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Return for each bulk command how many of its commands stand at each step."""
    found = (
        select(Command.batch_id, Command.state, func.count())
        .where(Command.batch_id.in_(batch_ids))
        .group_by(Command.batch_id, Command.state)
    )
    counted: dict[UUID, dict[str, int]] = {batch_id: {} for batch_id in batch_ids}
    for batch_id, state, number in session.execute(found):
        if batch_id is not None:
            counted[batch_id][state] = number
    return counted


def count_batch_waiting(session: Session, batch_id: UUID) -> int:
    """Return how many commands of a bulk command wait for an approval."""
    query = select(func.count()).where(
        Command.batch_id == batch_id,
        Command.state == CommandState.QUEUED,
        Command.waiting_for == Waiting.APPROVAL,
    )
    return session.scalar(query) or 0


def count_batches_waiting(session: Session, batch_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many commands of each bulk command wait for an approval; none: left out."""
    query = select(Command.batch_id, func.count()).where(
        Command.batch_id.in_(batch_ids),
        Command.state == CommandState.QUEUED,
        Command.waiting_for == Waiting.APPROVAL,
    )
    return {one: number for one, number in session.execute(query.group_by(Command.batch_id)) if one}


def list_batch_devices(session: Session, batch_id: UUID, limit: int) -> Sequence[Device]:
    """Return devices of a bulk command that have no command of it yet, by id."""
    return session.scalars(
        select(Device)
        .join(CommandBatchDevice, CommandBatchDevice.device_id == Device.id)
        .where(CommandBatchDevice.batch_id == batch_id)
        .order_by(Device.id)
        .limit(limit)
    ).all()


def count_batch_devices(session: Session, batch_id: UUID) -> int:
    """Return how many devices of a bulk command have no command of it yet."""
    wanted = select(func.count()).select_from(CommandBatchDevice)
    return session.scalar(wanted.where(CommandBatchDevice.batch_id == batch_id)) or 0
