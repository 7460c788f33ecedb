"""Saved views: a filter of the device list under a name, one's own or for everybody."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.limits import groups_of
from management.listing.models import SavedView
from runtime.errors import ForbiddenError, NotFoundError, RefusedError

MOST = 50
"""Views of one administrator."""


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
    """Keep a filter under a name; one's own of the same name is replaced."""
    name = name[:100]
    mine = select(SavedView).where(SavedView.owner == owner)
    view = session.scalars(mine.where(SavedView.name == name)).first()
    if view is None:
        if (session.scalar(select(func.count()).select_from(mine.subquery())) or 0) >= MOST:
            raise RefusedError(f"You have {MOST} views. Delete one first.")
        view = SavedView(id=uuid4(), owner=owner, name=name)
        session.add(view)
    view.query, view.shared, view.made_at = query[:1000], shared, now
    session.flush()
    return view


def delete(session: Session, owner: str, view_id: UUID) -> SavedView:
    """Delete a view of one's own and return it."""
    view = session.get(SavedView, view_id)
    if view is None:
        raise NotFoundError("There is no such view.")
    if view.owner != owner:
        raise ForbiddenError(f"Only {view.owner}, who saved this view, deletes it.")
    session.delete(view)
    return view
