"""Which groups a session keeps to; `management.scope` says what follows for each table."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.orm import Session

from runtime.errors import ForbiddenError, NotFoundError

LIMIT = "sekisho_limit"
"""In ``Session.info``: a `Limit`; none: the session sees everything."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The groups, those below them included, and whose they are."""

    groups: frozenset[UUID]
    name: str
    reads_only: bool


def groups_of(session: Session) -> frozenset[UUID] | None:
    """Return the groups that the session keeps to; None: it sees everything."""
    found: Limit | None = session.info.get(LIMIT)
    return found.groups if found else None


def require_group(session: Session, group_id: UUID | None) -> None:
    """Raise NotFoundError when the session may not see the group."""
    groups = groups_of(session)
    if groups is not None and group_id not in groups:
        raise NotFoundError("There is no such group.")


@contextmanager
def seeing_all(session: Session) -> Iterator[None]:
    """Lift the limit for one question of whether something is there at all: a name, a key."""
    limited = session.info.pop(LIMIT, None)
    try:
        yield
    finally:
        if limited is not None:
            session.info[LIMIT] = limited


def require_whole(session: Session, seen: int, every: Callable[[], int]) -> None:
    """Raise ForbiddenError when whoever asks does not see all of what is approved together."""
    if groups_of(session) is None:
        return
    with seeing_all(session):
        whole = every()
    if whole != seen:
        raise ForbiddenError(
            "This approval also covers devices outside of your groups. Ask an approver without "
            "such a limit."
        )


def is_one_of(column: Any, values: Iterable[UUID] | Iterable[int]) -> ColumnElement[bool]:
    """Return that *column* is one of the values, as text in the statement: there may be 1,000 of
    them, SQL Server takes 2,100 parameters, and to bind so many costs as much as to look them up.
    """
    ids = bindparam(None, sorted(values), column.type, expanding=True, literal_execute=True)
    found: ColumnElement[bool] = column.in_(ids)
    return found
