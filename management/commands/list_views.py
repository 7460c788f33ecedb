"""The list of commands: every filter in the address, counts, and the CSV file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from management import words
from management.access import Permission, requires, signed_in_name
from management.commands import queries, search
from management.commands.export import as_csv
from management.commands.filters import NAMES, CommandFilter
from management.commands.queries import Cursor
from management.commands.views import bp
from management.devices.queries import get_device
from management.listing.rules import Count
from management.paging import time_cursor, write_cursor
from management.personal import file_of, list_of, shows, tell_filter, tell_number
from management.shown import zone
from management.texts import Text
from management.texts import lazy as _l
from management.web import is_fragment, reader, reading
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

LONGEST = 200
BATCHES = 10
"""Bulk commands above the list."""


@bp.get("/commands")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("commands"))
def index() -> ResponseReturnValue:
    """List commands, newest first, and bulk commands with their progress; filters in the address.

    With ``by=me`` it is the result page of whoever looks.
    """
    said, wanted, after = _said(request.args), _asked(), request.args.get("after", "")
    with reading() as session:
        place = Cursor(*time_cursor(after)) if after else None
        page = search.look(session, wanted, place)
        chips = [] if after else list(_chips(said, _names(session, wanted)))
        batches = [] if is_fragment() else _batches(session, wanted.requested_by)
        counts = queries.count_states(session, [batch.id for batch in batches])
        devices = {} if is_fragment() else _devices(session)
    tell_number(len(page.rows))
    return render_template(
        _template(bool(after)),
        commands=page.rows,
        page=page,
        said=said,
        chips=chips,
        more=_more(said, page.more),
        batches=batches,
        counts=counts,
        devices=devices,
        zone=zone(),
        read_at=utc_now(),
    )


@bp.get("/commands/commands.csv")
@requires(Permission.VIEW, in_groups=True)
@shows(file_of("command.export", "commands"))
def export() -> ResponseReturnValue:
    """Send what the filter finds as a file, read and sent a part at a time."""
    wanted = _asked()
    with reading() as session:
        tell_number(search.count_all(session, wanted))
    return Response(
        as_csv(reader(), wanted),
        mimetype="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="commands.csv"'},
    )


def _said(given: Mapping[str, str]) -> dict[str, str]:
    """Return what of an address is a filter; what is empty is left out."""
    said = {name: given.get(name, "").replace("\x00", "").strip()[:LONGEST] for name in NAMES}
    return {name: value for name, value in said.items() if value}


def _asked() -> CommandFilter:
    """Return the filter of this address; days are those of whoever asks."""
    said = _said(request.args)
    read: dict[str, Any] = {
        NAMES[name]: _READ[name](value) if name in _READ else value for name, value in said.items()
    }
    if "since" in said or "until" in said:
        tell_filter({"zone": zone()})
    return CommandFilter(**read)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise MalformedMessageError(
            _("The %(name)s in the address is not valid.", name="id")
        ) from None


def _day(text: str, later: int = 0) -> datetime:
    """Return when a day begins for whoever asks, or one so many days *later*."""
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
        return datetime.combine(day, time(), ZoneInfo(zone())).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedMessageError(_("A date is written as year-month-day.")) from None


def _day_after(text: str) -> datetime:
    return _day(text, 1)


def _who(text: str) -> str:
    return signed_in_name() if text == "me" else text


_READ: dict[str, Callable[[str], object]] = {
    "device": _id,
    "bulk": _id,
    "since": _day,
    "until": _day_after,
    "by": _who,
}
"""How what an address says is read, where it is not the filter itself."""


def _template(is_later: bool) -> str:
    if not is_fragment():
        return "commands/index.html"
    return "commands/rows.html" if is_later else "commands/list.html"


def _more(said: dict[str, str], place: Cursor | None) -> str:
    if place is None:
        return ""
    return _address(said | {"after": write_cursor(place.queued_at, place.command_id)})


def _batches(session: Session, by: str) -> list[Any]:
    return queries.list_batches(session, by, BATCHES)


def _devices(session: Session) -> dict[str, Count | None]:
    """Return how many devices have a command that failed, or one that waits; None: very many."""
    found = {which: search.count_devices(session, which) for which in words.OF_DEVICES}
    return {which: count for which, count in found.items() if count is None or count.number}


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on: what it says, and the address without it."""

    label: str
    value: str
    without: str


FILTERS: dict[str, tuple[Text, dict[str, Any]]] = {
    "q": (_l("Search"), {}),
    "owner": (_l("Address"), {}),
    "device": (_l("Device"), {}),
    "kind": (_l("Command"), words.COMMANDS),
    "state": (_l("State"), words.COMMAND_STATES),
    "waiting": (_l("Waits for"), words.WAITING),
    "by": (_l("Asked for by"), {"me": _l("Me")}),
    "bulk": (_l("Bulk command"), {}),
    "since": (_l("From"), {}),
    "until": (_l("To"), {}),
}
"""How the list says each filter, and its values."""


def _names(session: Session, wanted: CommandFilter) -> dict[str, str]:
    """Return what the things are called that the filter names by their ids."""
    found = {}
    if wanted.device_id is not None:
        found["device"] = get_device(session, wanted.device_id).name
    if wanted.batch_id is not None:
        kind = queries.get_batch(session, wanted.batch_id).kind
        found["bulk"] = str(words.word(words.COMMANDS, kind).label)
    return found


def _chips(said: dict[str, str], names: dict[str, str]) -> Iterator[Chip]:
    for name, value in said.items():
        label, known = FILTERS[name]
        found = names.get(name) or known.get(value, value)
        rest = {other: text for other, text in said.items() if other != name}
        yield Chip(str(label), str(getattr(found, "label", found)), _address(rest))


def _address(said: dict[str, str]) -> str:
    return url_for("commands.index", **said)  # type: ignore[arg-type]
