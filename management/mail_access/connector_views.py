"""The pages of connectors: how they stand, pairing, letting in or not, undoing."""

from typing import cast, get_args
from uuid import UUID

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from contracts.connector import LogLevel
from management import log_zips
from management.access import Permission, requires
from management.administrators import step_up
from management.mail_access import (
    authorities,
    by_hand,
    connector_releases,
    listing,
    logs,
    queries,
    words,
)
from management.mail_access import connectors as pairing
from management.mail_access.listing import Filter
from management.mail_access.pages import bp, by
from management.mail_access.states import connector_state
from management.personal import file_of, shows
from management.updates.releases import find_release
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, RefusedError


@bp.get("/connectors")
@requires(Permission.VIEW)
def connectors() -> ResponseReturnValue:
    """List the connectors and how they stand."""
    now, wanted = utc_now(), authorities.newest(context().keys)
    with reading() as session:
        found = [
            (
                row,
                connector_state(row.disabled_at, row.contact_at, now),
                pairing.read_status(row),
                pairing.log_level_of(row, now),
                authorities.of(row, wanted, now),
                listing.count(session, Filter(connector=str(row.id), only="not_done")),
            )
            for row in queries.list_connectors(session)
        ]
        fetched = logs.list_logs(session)
        release = find_release(session)
    return render_template(
        "mail_access/connectors.html",
        connectors=found,
        fetched=fetched,
        release=release,
        levels=get_args(LogLevel),
        mail=words,
        newest_ca=wanted,
    )


@bp.post("/connectors/code")
@requires(Permission.MANAGE_MAIL_ACCESS)
def make_code() -> ResponseReturnValue:
    """Make a pairing code; it is shown this once."""
    step_up.require_fresh()
    with transaction("make a pairing code") as session:
        secret = pairing.make_pairing_code(session, context().keys, by(), utc_now())
    text = words.pairing_text(context().keys, context().settings, secret)
    return render_template("mail_access/code.html", text=text)


@bp.post("/connectors/<uuid:connector_id>/disable")
@requires(Permission.MANAGE_MAIL_ACCESS)
def disable(connector_id: UUID) -> ResponseReturnValue:
    """Refuse the connector from now on."""
    with transaction("disable a connector") as session:
        pairing.disable_connector(
            session, context().keys, connector_id, by(), request.form.get("reason", ""), utc_now()
        )
    flash(_("The connector is refused from now on. What it did at the mail server stays."))
    return redirect(url_for("mail_access.connectors"))


@bp.post("/connectors/<uuid:connector_id>/enable")
@requires(Permission.MANAGE_MAIL_ACCESS)
def enable(connector_id: UUID) -> ResponseReturnValue:
    """Let the connector work again."""
    with transaction("enable a connector") as session:
        pairing.enable_connector(
            session, context().keys, connector_id, by(), request.form.get("reason", ""), utc_now()
        )
    flash(_("The connector works again."))
    return redirect(url_for("mail_access.connectors"))


@bp.post("/connectors/<uuid:connector_id>/undo")
@requires(Permission.MANAGE_MAIL_ACCESS)
def undo(connector_id: UUID) -> ResponseReturnValue:
    """Take back everything that the connector did, or let it go on."""
    undone, reason = "go_on" not in request.form, request.form.get("reason", "")
    with transaction("undo a connector") as session:
        by_hand.undo(session, context().keys, connector_id, undone, by(), reason, utc_now())
    if undone:
        flash(_("Within a minute everything is taken back. Entries of others stay."))
    else:
        flash(_("The connector allows and blocks again."))
    return redirect(url_for("mail_access.connectors"))


@bp.post("/connectors/<uuid:connector_id>/log-level")
@requires(Permission.MANAGE_MAIL_ACCESS)
def log_level(connector_id: UUID) -> ResponseReturnValue:
    """Let the connector log more or less for an hour."""
    said = request.form.get("level", "")
    if said not in get_args(LogLevel):
        raise MalformedMessageError(_("Choose a log level."))
    with transaction("change a connector's log level") as session:
        pairing.change_log_level(
            session, context().keys, connector_id, cast(LogLevel, said), by(), utc_now()
        )
    flash(_("The log level holds for an hour, then it is info again."))
    return redirect(url_for("mail_access.connectors"))


@bp.post("/connectors/<uuid:connector_id>/log")
@requires(Permission.MANAGE_MAIL_ACCESS)
def order_log(connector_id: UUID) -> ResponseReturnValue:
    """Ask the connector for its log, or take that back."""
    cancelled = "cancel" in request.form
    with transaction("order a connector's log") as session:
        if cancelled:
            logs.cancel_log(session, context().keys, connector_id, by(), utc_now())
        else:
            logs.order_log(session, context().keys, connector_id, by(), utc_now())
    flash(_("Taken back.") if cancelled else _("The connector sends its log at its next call."))
    return redirect(url_for("mail_access.connectors"))


@bp.get("/connectors/<uuid:connector_id>/log")
@requires(Permission.MANAGE_MAIL_ACCESS)
@shows(file_of("connector.log_file", "log of a connector"))
def log(connector_id: UUID) -> Response:
    """Hand out the log that the connector sent."""
    with reading() as session:
        return log_zips.download(*logs.get_file(session, connector_id))


@bp.post("/connectors/<uuid:connector_id>/release")
@requires(Permission.MANAGE_MAIL_ACCESS)
def release(connector_id: UUID) -> ResponseReturnValue:
    """Say when the connector may update itself, or that it is to do so now."""
    at_once, keys = "now" in request.form, context().keys
    with transaction("let a connector update itself") as session:
        if at_once:
            connector_releases.order(session, keys, connector_id, by(), utc_now())
        else:
            hour, hours = _number("hour"), _number("hours")
            connector_releases.change(session, keys, connector_id, hour, hours, by(), utc_now())
    flash(_("It updates at its next call.") if at_once else _("The hours are saved."))
    return redirect(url_for("mail_access.connectors"))


def _number(name: str) -> int:
    try:
        return int(request.form.get(name, ""))
    except ValueError:
        raise MalformedMessageError(_("Enter hour and length as numbers.")) from None


@bp.get("/connectors/<uuid:connector_id>/delete")
@requires(Permission.MANAGE_MAIL_ACCESS)
def hanging(connector_id: UUID) -> ResponseReturnValue:
    """Show what hangs on the connector, before it is forgotten."""
    return _hanging(connector_id)


def _hanging(connector_id: UUID, problem: str = "") -> ResponseReturnValue:
    with reading() as session:
        row, found = (
            queries.get_connector(session, connector_id),
            pairing.look(session, connector_id),
        )
    page = render_template(
        "mail_access/delete_connector.html", row=row, hanging=found, problem=problem
    )
    return page, 409 if problem else 200


@bp.post("/connectors/<uuid:connector_id>/delete")
@requires(Permission.MANAGE_MAIL_ACCESS)
def delete(connector_id: UUID) -> ResponseReturnValue:
    """Forget a disabled connector whose name was typed, and what it reported."""
    said = request.form
    try:
        with transaction("delete a connector") as session:
            pairing.require_typed(session, connector_id, said.get("typed", ""))
            pairing.delete_connector(
                session, context().keys, connector_id, by(), said.get("reason", ""), utc_now()
            )
    except RefusedError as error:
        return _hanging(connector_id, str(error))
    flash(_("The connector is deleted."))
    return redirect(url_for("mail_access.connectors"))
