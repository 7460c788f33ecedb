"""The API's view of registrations: who enrolled, who is awaited, whose enrolment failed."""

from dataclasses import dataclass
from typing import Literal

from flask import Blueprint

from management.access import Permission
from management.api.operations import Limit, Place, Words, operation
from management.enrolment import registrations
from management.enrolment.queries import Cursor
from management.enrolment.registrations import Registration
from management.paging import cut, time_cursor
from management.personal import list_of
from management.web import reading

bp = Blueprint("registrations_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationQuery:
    """Which registrations are wanted."""

    which: Literal["registered", "awaited", "failed"] = "registered"
    text: Words = ""
    """Words that person, address, device or reason begin with; of a Japanese name any part."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPage:
    """Registrations, newest first."""

    items: tuple[Registration, ...]
    next: str | None
    cut: bool
    """So many devices have the words that only the first found are listed: say more."""


@operation(bp, "/registrations", Permission.VIEW, in_groups=True, shows=list_of("registrations"))
def list_registrations(query: RegistrationQuery) -> RegistrationPage:
    """List registered devices, invitations that nobody used, or failed enrolments."""
    place = Cursor(*time_cursor(query.after)) if query.after else None
    with reading() as session:
        found = registrations.LISTS[query.which](session, query.text, place, query.limit + 1)
        is_cut = registrations.is_cut(session, query.which, query.text)
    shown, following = cut(found, query.limit, lambda row: (row.at, row.id))
    return RegistrationPage(items=tuple(shown), next=following, cut=is_cut)
