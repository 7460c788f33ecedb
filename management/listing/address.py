"""A filter as the words of an address, which lists, saved views, bulk commands and files share."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from flask_babel import gettext as _

from management.listing.plan import Place
from management.listing.rules import MOST_NUMBERS, SORTS, DeviceFilter, asked_numbers
from management.paging import read_cursor, write_cursor
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError

NAMES = {
    "q": "text",
    "state": "state",
    "risk": "risk",
    "rule": "rule",
    "platform": "platform",
    "enrolment": "enrolment",
    "ownership": "ownership",
    "policy": "policy_id",
    "group": "group_id",
    "mail": "mail",
    "os": "os",
    "patch": "patch",
    "patterns": "patterns",
    "owner": "owner_address",
    "app": "app",
    "command": "command",
    "numbers": "numbers",
}
"""Name in the address -> field of `DeviceFilter`."""
LONGEST = 200
FITS = 1_500
"""Characters of numbers that an address takes; a longer list is sent as a form."""


def read_filter(said: Mapping[str, str]) -> DeviceFilter:
    """Return the filter that an address asks for; what is not known finds nothing."""
    texts = {
        field: said.get(name, "").replace("\x00", "")[:LONGEST]
        for name, field in NAMES.items()
        if not field.endswith("_id")
    }
    texts["app"] = texts["app"].strip().lower()
    texts["numbers"] = read_numbers(said.get("numbers", ""))
    return DeviceFilter(policy_id=_id(said, "policy"), group_id=_id(said, "group"), **texts)


def read_numbers(text: str) -> str:
    """Return a pasted list of serial numbers and IMEIs as a filter has it, if it is not too long:
    what was cut off in silence would be missed in a bulk command.
    """
    found = asked_numbers(text.replace("\x00", ""))
    if len(found) > MOST_NUMBERS:
        raise MalformedMessageError(
            _(
                "%(count)s numbers are more than the %(most)s that one search takes.",
                count=len(found),
                most=MOST_NUMBERS,
            )
        )
    return " ".join(found)


def write_filter(wanted: DeviceFilter) -> dict[str, str]:
    """Return the words of the address of a filter; what is empty is left out."""
    said = ((name, getattr(wanted, field)) for name, field in NAMES.items())
    return {name: str(value) for name, value in said if value}


def read_sort(said: Mapping[str, str]) -> str:
    """Return how the address wants the list sorted."""
    sort = said.get("sort", "")
    return sort if sort in SORTS else "name"


def read_place(word: str) -> Place | None:
    """Return the place that ``after`` in an address names."""
    if not word:
        return None
    value, row_id = read_cursor(word, 2)
    if not row_id.isascii() or not row_id.isdigit() or len(row_id) > 18 or "\x00" in value:
        raise NotFoundError(_("There is no such place in the list. Start at the first page."))
    return Place(value, int(row_id))


def write_place(place: Place | None) -> str | None:
    """Return a place as one word for an address."""
    return None if place is None else write_cursor(place.value, place.id)


def own_query(said: Mapping[str, str]) -> str:
    """Return the canonical query of an address: what is saved as a view."""
    sort = read_sort(said)
    words = write_filter(read_filter(said)) | ({"sort": sort} if sort != "name" else {})
    return urlencode(words)


def whole_query(text: str) -> str:
    """Return the canonical query of *text*, an address behind its question mark, if nothing of it
    would be cut off; else RefusedError: a view would find other devices than were meant.
    """
    said = dict(parse_qsl(text))
    for name, field in NAMES.items():
        length = len(said.get(name, ""))
        if length > LONGEST and field != "numbers" and not field.endswith("_id"):
            raise RefusedError(
                f"The filter {name} is {length} characters long; it takes {LONGEST} at most. "
                "Shorten it, then save the view."
            )
    return own_query(said)


def _id(said: Mapping[str, str], name: str) -> UUID | None:
    text = said.get(name, "")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise MalformedMessageError(
            _("The %(name)s in the address is not valid.", name=name)
        ) from None
