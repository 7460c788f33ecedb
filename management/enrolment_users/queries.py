"""Reads the local list of people who enrol devices."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from management.administrators.rules import normal_name
from management.enrolment_users.models import EnrolmentUser
from runtime.errors import NotFoundError

PAGE = 50


def get_user(session: Session, user_id: UUID) -> EnrolmentUser:
    """Return the user; NotFoundError when there is none with this id."""
    found = session.get(EnrolmentUser, user_id)
    if found is None:
        raise NotFoundError("There is no such user.")
    return found


def find_user(session: Session, name: str) -> EnrolmentUser | None:
    """Return the user of that name, however it is written."""
    wanted = select(EnrolmentUser).where(EnrolmentUser.name == normal_name(name))
    return session.scalars(wanted).first()


def list_users(
    session: Session,
    text: str = "",
    after: tuple[str, UUID] | None = None,
    limit: int = PAGE,
    by_reading: bool = False,
) -> Sequence[EnrolmentUser]:
    """Return users by name, or as their names are read, those behind *after*."""
    user = EnrolmentUser
    place = user.sort_key if by_reading else user.name
    query = select(user).order_by(place, user.id)
    for word in text.split()[:8]:
        query = query.where(
            or_(
                *(
                    c.icontains(word, autoescape=True)
                    for c in (user.name, user.person, user.reading)
                )
            )
            | user.address.icontains(word, autoescape=True)
        )
    if after is not None:
        name, user_id = after
        query = query.where(place >= name, or_(place > name, user.id > user_id))
    return session.scalars(query.limit(limit)).all()
