"""The API's view of people who enrol their devices with a name and a password."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Limit, Place, Words, operation
from management.audit.notes import note
from management.audit.rules import differences
from management.enrolment_users import queries, service
from management.enrolment_users.models import EnrolmentUser
from management.paging import cut, name_cursor
from management.personal import list_of
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("enrolment_users_api", __name__, url_prefix="/api/v1")
Reading = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Field(max_length=254, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuery:
    """Which users are wanted."""

    text: Words = ""
    sort: Literal["name", "reading"] = "name"
    """``reading``: as names are read in Japanese."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """Somebody who may enrol devices with a name and a password."""

    __pydantic_config__ = STRICT

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\s\x00]*$")]
    person: Text = ""
    reading: Reading = ""
    """How the person's name is read, in kana."""
    address: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
    group_id: UUID | None = None
    """Where this person's devices come; null: where the enrolment key says."""
    password: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    """Left out: a fresh one is made and answered once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserAnswer:
    """A user without password."""

    id: UUID
    name: str
    person: str
    reading: str
    address: str
    group_id: UUID | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPage:
    """Users by name."""

    items: tuple[UserAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMade:
    """A user and the password, which is told only now."""

    user: UserAnswer
    password: str


@operation(
    bp, "/enrolment-users", Permission.VIEW, in_groups=True, shows=list_of("enrolment users")
)
def list_users(query: UserQuery) -> UserPage:
    """List users by name, or as their names are read."""
    by_reading = query.sort == "reading"
    place = name_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_users(session, query.text, place, query.limit + 1, by_reading)
    shown, following = cut(
        found, query.limit, lambda row: (row.sort_key if by_reading else row.name, row.id)
    )
    return UserPage(
        items=tuple(_answer(user) for user in shown),
        next=following,
    )


@operation(
    bp,
    "/enrolment-users",
    Permission.INVITE,
    "POST",
    201,
    (404, 409),
    in_groups=True,
    answers_secret=True,
)
def add_user(body: NewUser) -> UserMade:
    """Add a user."""
    with transaction("add a user") as session:
        user, password = service.add_user(
            session,
            body.name,
            body.person,
            body.address,
            body.group_id,
            body.password,
            signed_in_name(),
            utc_now(),
            body.reading,
        )
        note(session, "enrolment_user.add", user.name)
    return UserMade(user=_answer(user), password=password)


@operation(
    bp,
    "/enrolment-users/<uuid:user_id>/password",
    Permission.INVITE,
    "POST",
    refusals=(409,),
    in_groups=True,
    answers_secret=True,
)
def new_password(user_id: UUID) -> UserMade:
    """Give a fresh password and end the wait after wrong ones."""
    with transaction("give a user a password") as session:
        user, password = service.new_password(session, user_id)
        note(session, "enrolment_user.password", user.name)
    return UserMade(user=_answer(user), password=password)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReading:
    """How a user's name is read."""

    __pydantic_config__ = STRICT

    reading: Reading
    """In kana; empty: the name itself."""


@operation(
    bp,
    "/enrolment-users/<uuid:user_id>/reading",
    Permission.INVITE,
    "POST",
    refusals=(409,),
    in_groups=True,
)
def set_user_reading(user_id: UUID, body: UserReading) -> UserAnswer:
    """Say how a user's name is read."""
    with transaction("say how a name is read") as session:
        user, before = service.set_reading(session, user_id, body.reading)
        said = differences({"reading": before}, {"reading": user.reading})
        note(session, "enrolment_user.reading", user.name, **said)
    return _answer(user)


@operation(bp, "/enrolment-users/<uuid:user_id>/disable", Permission.INVITE, "POST", in_groups=True)
def disable_user(user_id: UUID) -> UserAnswer:
    """Let the user enrol no more devices."""
    return _set_disabled(user_id, True)


@operation(bp, "/enrolment-users/<uuid:user_id>/enable", Permission.INVITE, "POST", in_groups=True)
def enable_user(user_id: UUID) -> UserAnswer:
    """Let the user enrol devices again."""
    return _set_disabled(user_id, False)


def _set_disabled(user_id: UUID, disabled: bool) -> UserAnswer:
    with transaction("disable a user") as session:
        user = service.set_disabled(session, user_id, disabled, utc_now())
        note(session, "enrolment_user.disable" if disabled else "enrolment_user.enable", user.name)
    return _answer(user)


def _answer(user: EnrolmentUser) -> UserAnswer:
    return UserAnswer(
        id=user.id,
        name=user.name,
        person=user.person,
        reading=user.reading,
        address=user.address,
        group_id=user.group_id,
        created_at=user.created_at,
        created_by=user.created_by,
        disabled_at=user.disabled_at,
    )
