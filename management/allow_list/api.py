"""The API's view of the allow-list."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.allow_list import queries, rules, service
from management.allow_list.rules import Identifiers, Unlisted
from management.api.operations import STRICT, FileAnswer, Limit, Place, Words, operation
from management.audit.notes import note
from management.paging import cut, read_cursor
from management.personal import file_of, list_of, tell_number
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError

bp = Blueprint("allow_list_api", __name__, url_prefix="/api/v1")
Cell = Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedQuery:
    """Which devices of the list are wanted."""

    text: Words = ""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAllowed:
    """A device by at least one of its numbers."""

    __pydantic_config__ = STRICT

    imei_or_meid: Cell = ""
    wifi_mac: Cell = ""
    serial: Cell = ""
    enrolment_id: Cell = ""
    note: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedAnswer:
    """A device of the list."""

    id: UUID
    imei_or_meid: str
    wifi_mac: str
    serial: str
    enrolment_id: str
    note: str
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPage:
    """Devices of the list, and what becomes of others."""

    items: tuple[AllowedAnswer, ...]
    next: str | None
    count: int
    unlisted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlistedSetting:
    """What becomes of devices that are not on the list."""

    __pydantic_config__ = STRICT

    unlisted: Literal["allowed", "refused", "group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """How many devices the list has now."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedImport:
    """Many devices at once."""

    __pydantic_config__ = STRICT

    devices: Annotated[tuple[NewAllowed, ...], Field(min_length=1, max_length=1000)]
    replace: bool = False
    """They take the place of the whole list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many were added, how many were known, and how many the list has now."""

    added: int
    known: int
    count: int


@operation(bp, "/allow-list", Permission.VIEW, shows=list_of("allow-list"))
def list_allowed(query: AllowedQuery) -> AllowedPage:
    """List the devices that may enrol."""
    with reading() as session:
        place = _place(query.after)
        found = queries.list_allowed(session, query.text, place, query.limit + 1)
        count, unlisted = queries.count_listed(session), queries.unlisted_setting(session)
    shown, following = cut(found, query.limit, lambda row: (row.id,))
    return AllowedPage(
        items=tuple(
            AllowedAnswer(
                id=row.id,
                imei_or_meid=row.imei,
                wifi_mac=row.wifi_mac,
                serial=row.serial,
                enrolment_id=row.enterprise_id,
                note=row.note,
                added_at=row.added_at,
                added_by=row.added_by,
            )
            for row in shown
        ),
        next=following,
        count=count,
        unlisted=unlisted.value,
    )


@operation(
    bp,
    "/allow-list/list.csv",
    Permission.VIEW,
    media_type="text/csv; charset=utf-8",
    shows=file_of("allow_list.export", "allow-list"),
)
def export_allowed() -> FileAnswer:
    """Get the whole list as a CSV file, in the form in which it can be imported."""
    with reading() as session:
        text = rules.table(queries.everything(session))
        tell_number(queries.count_listed(session))
    return FileAnswer("allow-list.csv", f"\ufeff{text}".encode())


@operation(bp, "/allow-list", Permission.INVITE, "POST", 201, (409,))
def add_allowed(body: NewAllowed) -> Added:
    """Add one device."""
    cells = {name: getattr(body, name) for name in rules.COLUMNS}
    parsed = rules.parse_one(cells)
    if parsed.bad:
        raise RefusedError(parsed.bad[0][1])
    (line,) = parsed.lines
    with transaction("add to the allow-list") as session:
        service.add(session, line.identifiers, line.note, signed_in_name(), utc_now())
        note(session, "allow_list.add", _shown(line.identifiers))
        return Added(count=queries.count_listed(session))


@operation(bp, "/allow-list/import", Permission.INVITE, "POST", 201, (409,))
def import_allowed(body: AllowedImport) -> Imported:
    """Take up to 1,000 devices, or nothing of them and the reason for each bad one."""
    parsed = rules.Parsed()
    for number, one in enumerate(body.devices, 1):
        said = rules.parse_one({name: getattr(one, name) for name in rules.COLUMNS})
        parsed.lines += said.lines
        for _line, why in said.bad:
            parsed.refuse(number, why)
    if parsed.bad:
        raise RefusedError("; ".join(f"device {number}: {why}" for number, why in parsed.bad))
    with transaction("import the allow-list") as session:
        by, now = signed_in_name(), utc_now()
        added, known = service.import_lines(session, parsed.lines, body.replace, by, now)
        note(session, "allow_list.import", "", added=added, known=known)
        return Imported(added=added, known=known, count=queries.count_listed(session))


@operation(bp, "/allow-list/<uuid:row_id>/remove", Permission.INVITE, "POST")
def remove_allowed(row_id: UUID) -> Added:
    """Take one device off the list."""
    with transaction("take off the allow-list") as session:
        row = service.remove(session, row_id, signed_in_name(), utc_now())
        shown = Identifiers(row.imei, row.wifi_mac, row.serial, row.enterprise_id)
        note(session, "allow_list.remove", _shown(shown))
        session.flush()
        return Added(count=queries.count_listed(session))


@operation(bp, "/allow-list/setting", Permission.VIEW)
def get_unlisted() -> UnlistedSetting:
    """Get what becomes of devices that are not on the list."""
    with reading() as session:
        return UnlistedSetting(unlisted=queries.unlisted_setting(session).value)


@operation(bp, "/allow-list/setting", Permission.CHANGE_SETTINGS, "PUT")
def set_unlisted(body: UnlistedSetting) -> UnlistedSetting:
    """Set what becomes of devices that are not on the list."""
    with transaction("set the allow-list") as session:
        said = service.choose(session, Unlisted(body.unlisted), signed_in_name(), utc_now())
        note(session, "allow_list.choose", body.unlisted, **said)
    return body


def _place(word: str) -> UUID | None:
    if not word:
        return None
    try:
        return UUID(read_cursor(word, 1)[0])
    except ValueError:
        raise MalformedMessageError("There is no such place in the list.") from None


def _shown(one: Identifiers) -> str:
    return one.imei or one.serial or one.wifi_mac or one.enterprise_id
