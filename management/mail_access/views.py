"""The pages of mail access: partnerships, one partnership, connectors, settings."""

from dataclasses import fields
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from management.access import Permission, requires, signed_in_name
from management.mail_access import connectors as pairing
from management.mail_access import decisions, queries, service, words
from management.mail_access.models import Partnership
from management.mail_access.rules import AllowedStates, By, Decision, MailSettings, connector_state
from management.paging import PAGE, number_cursor, write_cursor
from management.web import context, is_fragment, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("mail_access", __name__, url_prefix="/mail-access")

HIGHEST = {
    "unmanaged_grace_days": 365,
    "grace_restarts_after_days": 3650,
    "managed_grace_hours": 8760,
    "out_of_sync_grace_hours": 8760,
    "block_limit": 1_000_000,
    "block_limit_percent": 100,
}


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List partnerships; every filter is in the address."""
    wanted, after = read_filter(request.args), request.args.get("after")
    with reading() as session:
        found = queries.list_partnerships(
            session, wanted, number_cursor(after) if after else 0, PAGE + 1
        )
        counts = queries.count_wanted(session)
        held = queries.list_held(session)
        connectors = queries.list_connectors(session)
    shown = found[:PAGE]
    page = "mail_access/rows.html" if is_fragment() else "mail_access/index.html"
    more = _page_after(shown[-1][0].id) if len(found) > PAGE else ""
    return render_template(
        page,
        rows=shown,
        wanted=wanted,
        counts=counts,
        held=held,
        connectors=connectors,
        more=more,
        mail=words,
    )


def read_filter(said: MultiDict[str, str]) -> queries.Filter:
    """Return the filter that an address asks for."""
    return queries.Filter(
        text=said.get("q", "")[:200],
        wanted=said.get("wanted", ""),
        match=said.get("match", ""),
        held=said.get("only") == "held",
        failed=said.get("only") == "failed",
        with_gone=said.get("gone") == "yes",
    )


def _page_after(last: int) -> str:
    kept = {name: value for name, value in request.args.items() if name != "after" and value}
    return url_for("mail_access.index", **kept, after=write_cursor(last))  # type: ignore[arg-type]


@bp.get("/partnerships/<int:partnership_id>")
@requires(Permission.VIEW)
def show(partnership_id: int) -> ResponseReturnValue:
    """Show one partnership: what is wanted and why, its device, its history."""
    with reading() as session:
        row = queries.get_partnership(session, partnership_id)
        history = queries.list_history(session, partnership_id)
        candidates = queries.list_candidates(session, row)
        connector = queries.get_connector(session, row.connector_id)
        name = queries.find_device_name(session, row.device_id)
    return render_template(
        "mail_access/show.html",
        row=row,
        history=history,
        candidates=candidates,
        connector=connector,
        device_name=name,
        mail=words,
    )


@bp.post("/partnerships/<int:partnership_id>/match")
@requires(Permission.MANAGE_MAIL_ACCESS)
def match(partnership_id: int) -> ResponseReturnValue:
    """Match the partnership by hand to a device or to none, or let matching be automatic again."""
    chosen, reason = request.form.get("device", ""), request.form.get("reason", "")
    with transaction("match a partnership") as session:
        if chosen == "automatic":
            service.match_again(session, context().keys, partnership_id, _by(), reason, utc_now())
        else:
            device_id = None if chosen == "none" else _device_id(chosen)
            service.match_by_hand(
                session, context().keys, partnership_id, device_id, _by(), reason, utc_now()
            )
    flash(_("The match is changed and the access is decided anew."))
    return redirect(url_for("mail_access.show", partnership_id=partnership_id))


def _device_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise MalformedMessageError(_("Choose a device.")) from None


@bp.post("/held/confirm")
@requires(Permission.MANAGE_MAIL_ACCESS)
def confirm() -> ResponseReturnValue:
    """Let held blocks act: the one that is named, or all."""
    only = request.form.get("partnership", "")
    with transaction("confirm held blocks") as session:
        rows = [row for row in queries.list_held(session) if only in ("", str(row.id))]
        number = decisions.confirm_held(session, rows, signed_in_name(), utc_now())
        service.note_confirmation(session, context().keys, number, _by(), utc_now())
    flash(_("Confirmed blocks: %(number)s. They act within a minute.", number=number))
    return redirect(url_for("mail_access.index"))


@bp.get("/connectors")
@requires(Permission.VIEW)
def connectors() -> ResponseReturnValue:
    """List the connectors and how they stand."""
    now = utc_now()
    with reading() as session:
        found = [
            (row, connector_state(row.disabled_at, row.contact_at, now))
            for row in queries.list_connectors(session)
        ]
    return render_template("mail_access/connectors.html", connectors=found, mail=words)


@bp.post("/connectors/code")
@requires(Permission.MANAGE_MAIL_ACCESS)
def make_code() -> ResponseReturnValue:
    """Make a pairing code; it is shown this once."""
    with transaction("make a pairing code") as session:
        secret = pairing.make_pairing_code(session, context().keys, _by(), utc_now())
    text = words.pairing_text(context().keys, context().settings, secret)
    return render_template("mail_access/code.html", text=text)


@bp.post("/connectors/<uuid:connector_id>/disable")
@requires(Permission.MANAGE_MAIL_ACCESS)
def disable(connector_id: UUID) -> ResponseReturnValue:
    """Refuse the connector from now on."""
    with transaction("disable a connector") as session:
        pairing.disable_connector(
            session, context().keys, connector_id, _by(), request.form.get("reason", ""), utc_now()
        )
    flash(_("The connector is refused from now on. What it did at the mail server stays."))
    return redirect(url_for("mail_access.connectors"))


@bp.post("/connectors/<uuid:connector_id>/enable")
@requires(Permission.MANAGE_MAIL_ACCESS)
def enable(connector_id: UUID) -> ResponseReturnValue:
    """Let the connector work again."""
    with transaction("enable a connector") as session:
        pairing.enable_connector(
            session, context().keys, connector_id, _by(), request.form.get("reason", ""), utc_now()
        )
    flash(_("The connector works again."))
    return redirect(url_for("mail_access.connectors"))


@bp.get("/settings")
@requires(Permission.VIEW)
def settings() -> ResponseReturnValue:
    """Show the settings."""
    with reading() as session:
        found = queries.read_mail_settings(session)
    return _settings_page(found, {}, 200)


@bp.post("/settings")
@requires(Permission.MANAGE_MAIL_ACCESS)
def save_settings() -> ResponseReturnValue:
    """Store the settings, or only show who would lose mail under them.

    Once stored, every partnership is decided anew in the background.
    """
    entered, errors = read_settings(request.form)
    if "preview" in request.form:
        errors.pop("reason", None)
    if errors:
        return _settings_page(entered, errors, 422)
    if "preview" in request.form:
        with reading() as session:
            cut_off = decisions.preview(session, entered, utc_now())
        return _settings_page(entered, {}, 200, cut_off)
    reason = request.form.get("reason", "")
    with transaction("save mail settings") as session:
        service.change_settings(session, context().keys, entered, _by(), reason, utc_now())
    flash(_("The settings hold from now on."))
    return redirect(url_for("mail_access.settings"))


def read_settings(form: MultiDict[str, str]) -> tuple[MailSettings, dict[str, str]]:
    """Return the entered settings and what is wrong with them, by field."""
    entered: dict[str, int | bool | AllowedStates] = {}
    errors: dict[str, str] = {}
    for field in fields(MailSettings):
        text = form.get(field.name, "").strip()
        if field.name in HIGHEST:
            if text.isascii() and text.isdigit() and int(text[:9]) <= HIGHEST[field.name]:
                entered[field.name] = int(text)
            else:
                errors[field.name] = _("Enter 0 to %(most)s.", most=HIGHEST[field.name])
        elif field.name == "allowed" and text in list(AllowedStates):
            entered[field.name] = AllowedStates(text)
        elif field.name != "allowed":
            entered[field.name] = text == "yes"
    if not form.get("reason", "").strip():
        errors["reason"] = _("Say why; it goes into the audit trail.")
    return MailSettings(**entered), errors  # type: ignore[arg-type]


def _settings_page(
    found: MailSettings,
    errors: dict[str, str],
    status: int,
    cut_off: list[tuple[Partnership, Decision]] | None = None,
) -> ResponseReturnValue:
    page = render_template(
        "mail_access/settings.html",
        settings=found,
        errors=errors,
        reason=request.form.get("reason", ""),
        choices=list(words.ALLOWED_STATES.items()),
        cut_off=cut_off,
    )
    return page, status


def _by() -> By:
    return By(signed_in_name(), visitor_address())
