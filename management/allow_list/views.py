"""The allow-list: what becomes of other devices, import, template, the list itself."""

from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.administrators import sessions
from management.allow_list import queries, rules, service
from management.allow_list.rules import Identifiers, Parsed, Unlisted, WrongError
from management.audit.notes import note
from management.paging import PAGE, read_cursor, write_cursor
from management.personal import file_of, list_of, shows, tell_number
from management.web import is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("allow_list", __name__, url_prefix="/allow-list")


@bp.url_value_preprocessor
def _let_lists_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow large bodies before the form is read, but only to those who may change the list."""
    if endpoint == "allow_list.import_file" and sessions.may(Permission.INVITE):
        request.max_content_length = rules.LARGEST_BYTES


@bp.get("")
@requires(Permission.VIEW)
@shows(list_of("allow-list"))
def index() -> ResponseReturnValue:
    """Show the list and what it means."""
    return _page()


@bp.get("/template.csv")
@requires(Permission.VIEW)
def template() -> ResponseReturnValue:
    """Return an empty list; with a byte order mark, so that spreadsheets read Japanese notes."""
    return _csv(rules.TEMPLATE, "allow-list-template.csv")


@bp.get("/list.csv")
@requires(Permission.VIEW)
@shows(file_of("allow_list.export", "allow-list"))
def download() -> ResponseReturnValue:
    """Return the list as it stands, in the form in which it can be imported."""
    with reading() as session:
        text = rules.table(queries.everything(session))
        tell_number(queries.count_listed(session))
    return _csv(text, "allow-list.csv")


@bp.post("/setting")
@requires(Permission.CHANGE_SETTINGS)
def choose() -> ResponseReturnValue:
    """Set what becomes of devices that are not on the list."""
    try:
        unlisted = Unlisted(request.form.get("unlisted", ""))
    except ValueError:
        raise RefusedError(_("Choose what becomes of other devices.")) from None
    with transaction("set the allow-list") as session:
        said = service.choose(session, unlisted, signed_in_name(), utc_now())
        note(session, "allow_list.choose", unlisted.value, **said)
    flash(_("Saved. It holds from the next enrolment on; enrolled devices are not touched."))
    return redirect(url_for("allow_list.index"), 303)


@bp.post("/import")
@requires(Permission.INVITE)
@shows(list_of("allow-list"))
def import_file() -> ResponseReturnValue:
    """Take a whole list, or nothing of it and the reason for each bad line."""
    file = request.files.get("file")
    parsed = Parsed()
    try:
        parsed = rules.parse(rules.decode(file.stream.read() if file else b""))
    except WrongError as error:
        parsed.refuse(1, str(error))
    if not parsed.lines and not parsed.bad:
        parsed.refuse(1, _("the list is empty"))
    if parsed.bad:
        return _page(parsed), 422
    replace = request.form.get("replace") == "yes"
    with transaction("import the allow-list") as session:
        added, known = service.import_lines(
            session, parsed.lines, replace, signed_in_name(), utc_now()
        )
        note(session, "allow_list.import", file.filename if file else "", added=added, known=known)
    words = _("%(added)s devices are added; %(known)s were on the list before.",
              added=added, known=known)  # fmt: skip
    flash(words)
    return redirect(url_for("allow_list.index"), 303)


@bp.post("")
@requires(Permission.INVITE)
@shows(list_of("allow-list"))
def add() -> ResponseReturnValue:
    """Add one device."""
    cells = {name: request.form.get(name, "").strip() for name in rules.COLUMNS}
    parsed = rules.parse_one(cells)
    if parsed.bad:
        return _page(one=parsed.bad[0][1]), 422
    (line,) = parsed.lines
    try:
        with transaction("add to the allow-list") as session:
            service.add(session, line.identifiers, line.note, signed_in_name(), utc_now())
            note(session, "allow_list.add", _shown(line.identifiers))
    except RefusedError as error:
        return _page(one=str(error)), 422
    return redirect(url_for("allow_list.index"), 303)


@bp.post("/<uuid:row_id>/remove")
@requires(Permission.INVITE)
def remove(row_id: UUID) -> ResponseReturnValue:
    """Take one device off the list."""
    with transaction("take off the allow-list") as session:
        row = service.remove(session, row_id, signed_in_name(), utc_now())
        shown = Identifiers(row.imei, row.wifi_mac, row.serial, row.enterprise_id)
        note(session, "allow_list.remove", _shown(shown))
    return redirect(url_for("allow_list.index"), 303)


def _page(parsed: Parsed | None = None, one: str = "") -> str:
    text, after = request.args.get("q", "")[:200], request.args.get("after")
    with reading() as session:
        place = UUID(read_cursor(after, 1)[0]) if after else None
        found = queries.list_allowed(session, text, place, PAGE + 1)
        count, unlisted = queries.count_listed(session), queries.unlisted_setting(session)
        card = {} if is_fragment() else queries.enrolled_card(session)
    tell_number(len(found[:PAGE]))
    more = ""
    if len(found) > PAGE:
        more = url_for("allow_list.index", q=text, after=write_cursor(found[PAGE - 1].id))
    return render_template(
        "enrolment/allowed_rows.html" if is_fragment() else "enrolment/allow_list.html",
        rows=found[:PAGE],
        more=more,
        text=text,
        count=count,
        unlisted=unlisted.value,
        **card,
        parsed=parsed,
        problem=one,
        form=request.form,
    )


def _csv(text: str, name: str) -> Response:
    answer = Response("\ufeff" + text, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _shown(one: Identifiers) -> str:
    return one.imei or one.serial or one.wifi_mac or one.enterprise_id
