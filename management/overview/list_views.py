"""The list of devices: every filter and sort in the address, counts, the CSV file, saved views."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from management import words
from management.access import Permission, requires, signed_in_name, who_asks
from management.apps.queries import find_known
from management.audit.notes import note
from management.listing import queries, saved
from management.listing.address import (
    FITS,
    own_query,
    read_filter,
    read_numbers,
    read_place,
    read_sort,
    whole_query,
    write_filter,
    write_place,
)
from management.listing.export import as_csv
from management.listing.held import missing_numbers
from management.listing.rules import MOST_NUMBERS, SORTS, DeviceFilter
from management.overview.queries import name_groups, name_policies
from management.personal import file_of, list_of, shows, tell_filter, tell_number
from management.texts import Text
from management.texts import lazy as _l
from management.web import is_fragment, reader, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("devices", __name__, url_prefix="/devices")
Labels = dict[str, Any]


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("devices"))
def index() -> ResponseReturnValue:
    """List devices; every filter is in the address."""
    wanted, sort = read_filter(request.args), read_sort(request.args)
    after = request.args.get("after", "")
    with reading() as session:
        page = queries.look(session, wanted, sort, read_place(after))
        labels = _labels(session) | {"app": _app(session, wanted.app)}
        missing = missing_numbers(session, wanted.numbers)
        views = [] if is_fragment() else saved.list_views(session, signed_in_name())
        marks = saved.read_marks(session, signed_in_name()) if views else {}
    tell_number(len(page.rows))
    said = write_filter(wanted)
    kept = said | ({"sort": page.sort} if page.sort != "name" else {})
    more = write_place(page.more)
    return render_template(
        _template(bool(after)),
        devices=page.rows,
        page=page,
        wanted=wanted,
        said=said,
        kept=kept,
        chips=list(_chips(said, labels)),
        groups=labels["group"],
        policies=labels["policy"],
        more=_address(kept | {"after": more}) if more else "",
        sorts=SORTS,
        views=views,
        marks=marks,
        missing=missing,
        view_query=own_query(request.args),
        read_at=utc_now(),
    )


@bp.get("/numbers")
@requires(Permission.VIEW, in_groups=True)
def ask_numbers() -> str:
    """Ask for a list of serial numbers and IMEIs."""
    return render_template("devices/numbers.html", numbers="", most=MOST_NUMBERS)


@bp.post("/numbers")
@requires(Permission.VIEW, in_groups=True)
@shows(list_of("devices"))
def find_numbers() -> ResponseReturnValue:
    """Show the devices of a pasted list; a short one goes on as a filter in the address."""
    numbers = read_numbers(request.form.get("numbers", ""))
    if not numbers:
        abort(400, _("Paste at least one serial number or IMEI."))
    if len(numbers) <= FITS:
        return redirect(url_for("devices.index", numbers=numbers))
    with reading() as session:
        page = queries.look(session, DeviceFilter(numbers=numbers), limit=MOST_NUMBERS)
        missing, labels = missing_numbers(session, numbers), _labels(session)
    tell_filter({"numbers": numbers})
    tell_number(len(page.rows))
    return render_template(
        "devices/numbers.html",
        numbers=numbers,
        most=MOST_NUMBERS,
        page=page,
        devices=page.rows,
        groups=labels["group"],
        missing=missing,
        read_at=utc_now(),
    )


def _app(session: Session, sha256: str) -> Labels:
    """Return what the app of the filter is called, if who asks sees it."""
    found = find_known(session, sha256) if sha256 else None
    return {sha256: found.name or found.package or sha256[:16]} if found else {}


def _template(is_later: bool) -> str:
    if not is_fragment():
        return "devices/index.html"
    return "devices/rows.html" if is_later else "devices/list.html"


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on: what it says, and the address without it."""

    label: str
    value: str
    without: str


FILTERS: dict[str, tuple[Text, Labels | None]] = {
    "q": (_l("Search"), None),
    "state": (_l("State"), words.DEVICE_STATES),
    "risk": (_l("Risk"), words.RISKS),
    "rule": (_l("Broken rule"), words.RULES),
    "platform": (_l("System"), words.PLATFORMS),
    "enrolment": (_l("Enrolment"), words.ENROLMENT_STATES),
    "ownership": (_l("Ownership"), words.OWNERSHIP),
    "policy": (_l("Policy"), None),
    "group": (_l("Group"), None),
    "mail": (_l("Mail server says"), words.MAIL_STATES),
    "os": (_l("System version"), None),
    "patch": (_l("Security patch"), {"unknown": _l("Not said")}),
    "patterns": (_l("Pattern version"), None),
    "owner": (_l("Address"), None),
    "app": (_l("App"), None),
    "command": (_l("Commands"), words.OF_DEVICES),
    "numbers": (_l("Numbers"), None),
}
"""How the list says each filter, and its values."""


def _chips(said: dict[str, str], labels: Labels) -> Iterator[Chip]:
    for name, value in said.items():
        label, known = FILTERS[name]
        found = (known or labels.get(name) or {}).get(value, value)
        rest = {other: text for other, text in said.items() if other != name}
        yield Chip(str(label), str(getattr(found, "label", found)), _address(rest))


def _labels(session: Session) -> Labels:
    return {"group": name_groups(session), "policy": name_policies(session)}


@bp.route("/devices.csv", methods=["GET", "POST"])
@requires(Permission.VIEW, in_groups=True)
@shows(file_of("device.export", "devices"))
def export() -> ResponseReturnValue:
    """Send what the filter finds as a file, read and sent a part at a time.

    By POST too: a long list of numbers fits into no address.
    """
    wanted, sort = read_filter(request.values), read_sort(request.values)
    if request.method == "POST":
        tell_filter(write_filter(wanted))
    with reading() as session:
        tell_number(queries.count_devices(session, wanted))
        labels = _labels(session)
    return Response(
        as_csv(reader(), wanted, labels["group"], labels["policy"], sort),
        mimetype="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="devices.csv"'},
    )


@bp.post("/views")
@requires(Permission.VIEW, in_groups=True)
def save_view() -> ResponseReturnValue:
    """Keep the filter of the list under a name."""
    name = request.form.get("name", "").strip()
    query = whole_query(request.form.get("query", ""))
    shared = request.form.get("shared") == "yes"
    if not name:
        abort(400, _("Give the view a name."))
    with transaction("save a view") as session:
        saved.save(session, signed_in_name(), name, query, shared, utc_now())
        note(session, "view.save", name, query=query, shared=shared)
    flash(_("The view “%(name)s” is saved.", name=name))
    return redirect(f"{url_for('devices.index')}?{query}")


@bp.post("/views/<uuid:view_id>/delete")
@requires(Permission.VIEW, in_groups=True)
def delete_view(view_id: UUID) -> ResponseReturnValue:
    """Delete a view of one's own."""
    with transaction("delete a view") as session:
        gone = saved.delete(session, signed_in_name(), view_id, utc_now())
        note(session, "view.delete", gone.name, query=gone.query)
    flash(
        _("The view “%(name)s” is deleted. It can be brought back under Deleted.", name=gone.name)
    )
    return redirect(url_for("devices.index"))


@bp.post("/views/<uuid:view_id>/mark")
@requires(Permission.VIEW, in_groups=True)
def mark_view(view_id: UUID) -> ResponseReturnValue:
    """Pin a view to the side bar, or open the list with it."""
    pinned, opens = (request.form.get(name) == "yes" for name in ("pinned", "opens"))
    with transaction("mark a view") as session:
        view = saved.mark(session, signed_in_name(), view_id, pinned, opens)
        note(session, "view.mark", view.name, pinned=pinned, opens=opens)
    flash(_("The view “%(name)s” is changed.", name=view.name))
    return redirect(f"{url_for('devices.index')}?{view.query}")


@bp.app_context_processor
def _side_bar() -> dict[str, object]:
    """Give the menu the views that who asks pinned, and the one that the list opens with."""
    return {"side": _side}


def _side() -> saved.Side | None:
    identity = who_asks()
    if identity is None or not identity.may(Permission.VIEW):
        return None
    with reading() as session:
        found = saved.side(session, identity.name)
        session.expunge_all()
        return found


def _address(said: dict[str, str]) -> str:
    return url_for("devices.index", **said)  # type: ignore[arg-type]
