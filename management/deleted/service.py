"""Deletes things so that they can be brought back for thirty days: one way for every feature.

The rows leave their tables, so that no list, count or rule can forget to leave them out; what they
held waits here, and comes back under the same ids.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, delete, insert, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from management.access import Identity
from management.database import Base, UtcDateTime, locked
from management.deleted.kinds import KINDS
from management.deleted.models import DeletedThing
from management.handlers import resolve
from runtime.errors import NotFoundError, RefusedError

KEPT = timedelta(days=30)
MOST = 200
"""That one page shows."""


def put_away(
    session: Session,
    kind: str,
    row: Any,
    name: str,
    by: str,
    now: datetime,
    also: Sequence[Base] = (),
) -> None:
    """Delete *row* and what hangs on it (*also*), so that `restore` brings all of it back."""
    rows = [_written(one) for one in (row, *also)]
    session.add(
        DeletedThing(
            id=row.id, kind=kind, name=name[:255], rows=rows, deleted_at=now, deleted_by=by
        )
    )
    for one in (*also, row):
        session.delete(one)
        session.flush()


def list_deleted(session: Session, by: Identity, now: datetime) -> list[DeletedThing]:
    """Return what *by* may bring back, the latest first."""
    wanted = select(DeletedThing).where(DeletedThing.deleted_at > now - KEPT)
    newest = wanted.order_by(DeletedThing.deleted_at.desc(), DeletedThing.id)
    return list(islice((one for one in session.scalars(newest) if _may(by, one)), MOST))


def restore(session: Session, thing_id: UUID, by: Identity, now: datetime) -> DeletedThing:
    """Bring a thing back as it was; RefusedError says what is in its way."""
    wanted = select(DeletedThing).where(DeletedThing.id == thing_id)
    thing = session.scalars(locked(wanted, DeletedThing)).first()
    if thing is None or thing.deleted_at <= now - KEPT or not _may(by, thing):
        raise NotFoundError("There is nothing deleted of this kind, or its thirty days are over.")
    rows = list(_read(thing))
    resolve(KINDS[thing.kind].check)(session, rows[0][1], by)
    session.delete(thing)
    try:
        for mapped, values in rows:
            session.execute(insert(mapped), [values])
        session.flush()
    except IntegrityError:
        raise RefusedError(
            "It cannot come back as it was: what it belonged to is gone, or something else has its "
            "name meanwhile."
        ) from None
    return thing


def forget(session: Session, now: datetime) -> None:
    """Delete for good what was deleted thirty days ago."""
    session.execute(delete(DeletedThing).where(DeletedThing.deleted_at <= now - KEPT))


def _may(by: Identity, thing: DeletedThing) -> bool:
    kind = KINDS.get(thing.kind)
    if kind is None or not by.may(kind.permission):
        return False
    return thing.deleted_by == by.name if kind.own else not by.is_limited


def _written(row: Base) -> list[Any]:
    mapper = inspect(type(row))
    values = {one.key: _plain(getattr(row, one.key)) for one in mapper.column_attrs}
    return [row.__tablename__, values]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _read(thing: DeletedThing) -> Iterator[tuple[Any, dict[str, Any]]]:
    classes = {one.class_.__tablename__: one for one in Base.registry.mappers}
    for table, values in thing.rows:
        mapper = classes[table]
        kinds = {one.key: one.columns[0].type for one in mapper.column_attrs}
        known = ((name, value) for name, value in values.items() if name in kinds)
        yield mapper.class_, {name: _typed(kinds[name], value) for name, value in known}


def _typed(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, UtcDateTime):
        return datetime.fromisoformat(value)
    return UUID(value) if isinstance(kind, Uuid) else value
