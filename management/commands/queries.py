"""Reads commands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.commands.models import Command
from management.commands.rules import ANSWER_WITHIN, OPEN, CommandState
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
    return session.scalars(
        select(Command)
        .where(Command.id == command_id)
        .with_hint(Command, "WITH (UPDLOCK)", "mssql")
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()


def list_commands(
    session: Session,
    device_id: UUID | None = None,
    state: str = "",
    waiting_for: str = "",
    after: Cursor | None = None,
    limit: int = PAGE,
) -> Sequence[Command]:
    """Return commands, newest first, those behind *after*."""
    query = select(Command).order_by(Command.queued_at.desc(), Command.id.desc()).limit(limit)
    if device_id is not None:
        query = query.where(Command.device_id == device_id)
    if state:
        query = query.where(Command.state == state)
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


def list_queued(session: Session, after: UUID | None, limit: int = PAGE) -> Sequence[UUID]:
    """Return queued commands in the order of their ids, for a sweep."""
    query = select(Command.id).where(Command.state == CommandState.QUEUED)
    if after is not None:
        query = query.where(Command.id > after)
    return session.scalars(query.order_by(Command.id).limit(limit)).all()


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


def list_open(session: Session, device_id: UUID) -> Sequence[Command]:
    """Return the commands of a device that have not ended."""
    return session.scalars(
        select(Command).where(Command.device_id == device_id, Command.state.in_(OPEN))
    ).all()
