"""Saved views: a filter of the device list under a name, one's own or for everybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.access import Identity
from management.deleted.kinds import Values
from management.deleted.service import put_away
from management.limits import groups_of
from management.listing.models import SavedView, ViewMark
from runtime.errors import ForbiddenError, NotFoundError, RefusedError

MOST = 50
"""Views of one administrator."""
LONGEST = 1_000
LONGEST_NAME = 100


def list_views(session: Session, name: str) -> Sequence[SavedView]:
    """Return the views that an administrator sees: their own and shared ones, by name.

    Who is limited to groups sees their own: names of others' views may tell of other groups.
    """
    mine = or_(SavedView.owner == name, SavedView.shared == True)  # noqa: E712  (BIT on SQL Server)
    if groups_of(session) is not None:
        mine = SavedView.owner == name
    return session.scalars(
        select(SavedView).where(mine).order_by(SavedView.name, SavedView.id)
    ).all()


def save(
    session: Session, owner: str, name: str, query: str, shared: bool, now: datetime
) -> SavedView:
    """Keep a filter under a name; one's own of the same name is replaced.

    RefusedError for what is too long: cut, it would show other devices or hide another view.
    """
    if len(query) > LONGEST:
        raise RefusedError(
            f"This filter is {len(query)} characters long; a view takes {LONGEST} at most. Leave "
            "filters out, or paste fewer numbers."
        )
    if len(name) > LONGEST_NAME:
        raise RefusedError(
            f"This name is {len(name)} characters long; the name of a view has {LONGEST_NAME} at "
            "most. Shorten it."
        )
    mine = select(SavedView).where(SavedView.owner == owner)
    view = session.scalars(mine.where(SavedView.name == name)).first()
    if view is None:
        _require_fewer(session, owner)
        view = SavedView(id=uuid4(), owner=owner, name=name)
        session.add(view)
    view.query, view.shared, view.made_at = query, shared, now
    session.flush()
    return view


def _require_fewer(session: Session, owner: str) -> None:
    mine = select(func.count()).select_from(SavedView).where(SavedView.owner == owner)
    if (session.scalar(mine) or 0) >= MOST:
        raise RefusedError(f"You have {MOST} views. Delete one first.")


def delete(session: Session, owner: str, view_id: UUID, now: datetime) -> SavedView:
    """Delete a view of one's own and return it; its owner can bring it back for thirty days."""
    view = session.get(SavedView, view_id)
    if view is None:
        raise NotFoundError("There is no such view.")
    if view.owner != owner:
        raise ForbiddenError(f"Only {view.owner}, who saved this view, deletes it.")
    marks = session.scalars(select(ViewMark).where(ViewMark.view_id == view_id)).all()
    put_away(session, "view", view, view.name, owner, now, marks)
    return view


def require_room(session: Session, row: Values, by: Identity) -> None:
    """Raise RefusedError when a deleted view cannot come back."""
    _require_fewer(session, by.name)
    mine = select(SavedView.id).where(SavedView.owner == by.name, SavedView.name == row["name"])
    if session.scalars(mine).first() is not None:
        raise RefusedError("You have a view of this name meanwhile. Delete that one first.")


# --- what an administrator does with the views that they see ---


@dataclass(frozen=True, slots=True)
class Side:
    """What the menu shows of somebody's views."""

    pinned: tuple[SavedView, ...]
    opens: SavedView | None
    """What the menu opens the list of devices with."""


def side(session: Session, name: str) -> Side:
    """Return the views that somebody pinned, by name, and the one that their list opens with.

    A view that they no longer see (its owner shares it no more) is left out.
    """
    marks = read_marks(session, name)
    seen = [one for one in list_views(session, name) if one.id in marks] if marks else []
    pinned = tuple(one for one in seen if marks[one.id].pinned)
    return Side(pinned, next((one for one in seen if marks[one.id].opens), None))


def read_marks(session: Session, name: str) -> dict[UUID, ViewMark]:
    """Return what somebody does with views, by view."""
    wanted = select(ViewMark).where(ViewMark.owner == name)
    return {one.view_id: one for one in session.scalars(wanted)}


def mark(session: Session, name: str, view_id: UUID, pinned: bool, opens: bool) -> SavedView:
    """Pin a view or not, and open the list with it or not; another one then no longer opens it."""
    view = next((one for one in list_views(session, name) if one.id == view_id), None)
    if view is None:
        raise NotFoundError("There is no such view.")
    marks = read_marks(session, name)
    if opens:
        for other in marks.values():
            other.opens = False
    own = marks.get(view_id) or ViewMark(owner=name, view_id=view_id)
    own.pinned, own.opens = pinned, opens
    session.add(own)
    session.flush()
    return view
