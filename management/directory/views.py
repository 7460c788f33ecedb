"""Accounts from a directory: what a list says, what it would change, and taking it."""

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.administrators import sessions
from management.audit.notes import note
from management.directory import queries, rules, service
from management.paging import PAGE, cut, pair_cursor
from management.personal import list_of, shows, tell_number
from management.texts import lazy as _l
from management.texts import speech
from management.web import is_fragment, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, TooLargeError

bp = Blueprint("directory", __name__, url_prefix="/directory")
SHOWN = 200
"""Most changes that a preview names; the rest is counted."""
TEMPLATE = "address,state,person,reading\nada@example.com,active,Ada,\n"
STATES = {
    rules.AccountState.ACTIVE.value: _l("in use"),
    rules.AccountState.DISABLED.value: _l("disabled"),
    rules.AccountState.LEFT.value: _l("has left"),
}


@bp.url_value_preprocessor
def _let_lists_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow large bodies before the form is read, but only to those who may take lists."""
    if endpoint in {"directory.preview", "directory.take"} and sessions.may(Permission.INVITE):
        request.max_content_length = request.max_form_memory_size = rules.MOST_BYTES


@bp.get("")
@requires(Permission.VIEW)
@shows(list_of("directory accounts"))
def index() -> ResponseReturnValue:
    """Show the accounts, since when each stands so, and whose devices that concerns."""
    return _page()


@bp.get("/template.csv")
@requires(Permission.VIEW)
def template() -> ResponseReturnValue:
    """Return a list with one line, in the form in which it can be imported."""
    answer = Response("\ufeff" + TEMPLATE, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="directory-template.csv"'
    return answer


@bp.post("/preview")
@requires(Permission.INVITE)
@shows(list_of("directory accounts"))
def preview() -> ResponseReturnValue:
    """Show what a list would change; nothing is taken yet."""
    file = request.files.get("file")
    try:
        accounts = rules.read_file(file.stream.read() if file else b"")
    except (MalformedMessageError, TooLargeError) as error:
        return _page(str(error)), 422
    if not accounts:
        return _page(_("The list is empty.")), 422
    with reading() as session:
        found = queries.preview(session, accounts)
    tell_number(len(found.changes[:SHOWN]))
    return render_template(
        "directory/preview.html",
        found=found,
        shown=found.changes[:SHOWN],
        states=STATES,
        text=rules.table([*(one.account for one in found.changes), *found.named]),
        name=(file.filename or "")[:100] if file else "",
    )


@bp.post("/take")
@requires(Permission.INVITE)
def take() -> ResponseReturnValue:
    """Take what a preview showed."""
    accounts = rules.read_file(request.form.get("list", "").encode())
    with transaction("take directory accounts") as session:
        done = service.take_accounts(session, accounts, signed_in_name(), utc_now())
        name = request.form.get("name", "")[:100]
        note(session, "directory.import", name, accounts=done.accounts, changed=done.changed)
    words = _("%(changed)s accounts stand otherwise now; %(devices)s devices were judged anew.",
              changed=done.changed, devices=done.devices)  # fmt: skip
    flash(words)
    return redirect(url_for("directory.index"), 303)


def _page(problem: str = "") -> str:
    text, state = request.args.get("q", "")[:200].strip(), request.args.get("state", "")[:20]
    cursor = request.args.get("after")
    after, by_reading = pair_cursor(cursor) if cursor else None, speech().locale == "ja"
    with reading() as session:
        found = queries.list_accounts(session, after, PAGE + 1, text, state, by_reading)
        rows, following = cut(found, PAGE, lambda row: queries.place(row, by_reading))
        devices = queries.find_devices(session, (row.address for row in rows))
        counts = queries.count_accounts(session)
    tell_number(len(rows))
    more = url_for("directory.index", q=text, state=state, after=following) if following else ""
    return render_template(
        "directory/rows.html" if is_fragment() else "directory/index.html",
        rows=rows,
        devices={address: len(ids) for address, ids in devices.items()},
        counts=counts,
        states=STATES,
        more=more,
        text=text,
        state=state,
        problem=problem,
    )
