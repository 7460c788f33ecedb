"""Communication servers: how they stand, what they were caught at, and how they are set up."""

from collections.abc import Callable
from datetime import timedelta
from typing import get_args
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from contracts.connector import LogLevel
from management import log_zips
from management.access import Permission, requires
from management.administrators import step_up
from management.paging import PAGE, cut, number_cursor
from management.personal import file_of, shows
from management.relays import changes, deleting, edge, logs, queries, tls
from management.web import context, is_fragment, reading
from runtime.clock import utc_now
from runtime.errors import ForbiddenError, RefusedError, UnavailableError

bp = Blueprint("relays", __name__, url_prefix="/relays")
SINCE = ("7", "30")
"""Days that the incidents can be narrowed to."""
PROBLEMS = (ForbiddenError, RefusedError, UnavailableError)


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the relays and their incidents."""
    before, now = request.args.get("after"), utc_now()
    days = request.args.get("days", "")
    recent = timedelta(days=int(days)) if days in SINCE else None
    digest = timedelta(seconds=context().settings.digest_seconds)
    with reading() as session:
        relays = queries.list_relays(session)
        trust = queries.find_trust(session)
        behind = queries.list_behind(session)
        silent = queries.list_silent(session, digest, now)
        found = queries.list_incidents(
            session,
            before_id=number_cursor(before) if before else None,
            limit=PAGE + 1,
            since=now - recent if recent else None,
        )
    incidents, place = cut(found, PAGE, lambda row: (row.id,))
    kept = {"days": days} if recent else {}
    page = "relays/incident_rows.html" if is_fragment() else "relays/index.html"
    return render_template(
        page,
        relays=relays,
        names={relay.id: relay.name for relay in relays},
        left={relay.id: changes.days_left(relay, now) for relay in relays},
        behind=behind,
        old={one.id: queries.is_list_old(one, behind.get(one.id), now) for one in relays},
        silent=silent,
        trust=trust,
        incidents=incidents,
        more=url_for("relays.index", **kept, after=place) if place else "",  # type: ignore[arg-type]
        days=days if recent else "",
    )


@bp.get("/pair")
@requires(Permission.MANAGE_RELAYS)
def pair() -> ResponseReturnValue:
    """Show where the code is typed."""
    return render_template("relays/pair.html", problem="", said={})


@bp.post("/pair")
@requires(Permission.MANAGE_RELAYS)
def pair_now() -> ResponseReturnValue:
    """Pair with the relay that shows the code."""
    step_up.require_fresh()
    said = {name: request.form.get(name, "").strip() for name in ("name", "link_url", "devices")}
    try:
        relay = edge.pair(
            said["name"], said["link_url"], request.form.get("code", ""), said["devices"]
        )
    except PROBLEMS as error:
        return render_template("relays/pair.html", problem=str(error), said=said), 422
    flash(_("The relay is paired. It is set up within seconds."))
    return redirect(url_for("relays.show", relay_id=relay.id), 303)


@bp.get("/<uuid:relay_id>")
@requires(Permission.VIEW)
def show(relay_id: UUID) -> ResponseReturnValue:
    """Show one relay: certificate, addresses and ports, on or off."""
    return _page(relay_id)


def _page(relay_id: UUID, problem: str = "", at: str = "") -> ResponseReturnValue:
    """Show the relay; *problem* stands at the form *at*."""
    with reading() as session:
        relay = queries.get_relay(session, relay_id)
        listed = queries.list_listings(session, relay_id, utc_now())
        behind = queries.list_behind(session).get(relay_id)
        file = logs.find(session, relay_id)
        level = log_zips.level_now(relay.log_level, relay.log_level_until, utc_now())
    page = render_template(
        "relays/show.html",
        relay=relay,
        left=changes.days_left(relay, utc_now()),
        places=changes.places_of(relay),
        host=changes.host_of(relay.devices_url),
        listed=listed,
        behind=behind,
        old=queries.is_list_old(relay, behind, utc_now()),
        file=file,
        level=level,
        levels=get_args(LogLevel),
        problem=problem,
        at=at,
    )
    return page, 422 if problem else 200


def _change(relay_id: UUID, at: str, do: Callable[[], object], done: str) -> ResponseReturnValue:
    """Do it and go back to the relay's page, or say there why not."""
    try:
        do()
    except PROBLEMS as error:
        return _page(relay_id, str(error), at)
    flash(done)
    return redirect(url_for("relays.show", relay_id=relay_id), 303)


@bp.post("/<uuid:relay_id>/certificate")
@requires(Permission.MANAGE_RELAYS)
def import_certificate(relay_id: UUID) -> ResponseReturnValue:
    """Let devices see the certificate in an uploaded file."""
    step_up.require_fresh()
    file = request.files.get("file")
    data = file.stream.read(tls.MOST_BYTES + 1) if file else b""
    password = request.form.get("password", "")
    return _change(
        relay_id,
        "certificate",
        lambda: edge.import_certificate(relay_id, data, password),
        _("The certificate is good. The relay shows it within seconds."),
    )


@bp.post("/<uuid:relay_id>/certificate/private")
@requires(Permission.MANAGE_RELAYS)
def issue_certificate(relay_id: UUID) -> ResponseReturnValue:
    """Let devices see a fresh certificate of the built-in CA."""
    step_up.require_fresh()
    return _change(
        relay_id,
        "private",
        lambda: edge.issue_certificate(relay_id),
        _("The certificate is made. The relay shows it within seconds; it is renewed by itself."),
    )


@bp.post("/<uuid:relay_id>/settings")
@requires(Permission.MANAGE_RELAYS)
def place(relay_id: UUID) -> ResponseReturnValue:
    """Move the relay to other addresses or ports."""
    said = request.form

    def move() -> None:
        edge.place(
            relay_id,
            changes.Places(
                link_url=said.get("link_url", ""),
                devices_url=said.get("devices_url", ""),
                devices_port=_port("devices_port"),
                http_port=_port("http_port"),
                link_port=_port("link_port"),
            ),
        )

    return _change(
        relay_id,
        "settings",
        move,
        _("Saved. What was there before goes on working for 30 days."),
    )


def _port(name: str) -> int:
    text = request.form.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


@bp.post("/<uuid:relay_id>/log-level")
@requires(Permission.MANAGE_RELAYS)
def log_level(relay_id: UUID) -> ResponseReturnValue:
    """Let the relay log more or less for an hour."""
    return _change(
        relay_id,
        "log",
        lambda: edge.change_log_level(relay_id, request.form.get("level", "")),
        _("The log level holds for an hour, then it is info again."),
    )


@bp.post("/<uuid:relay_id>/log")
@requires(Permission.MANAGE_RELAYS)
def order_log(relay_id: UUID) -> ResponseReturnValue:
    """Let the relay's log be fetched, or take that back."""
    cancelled = "cancel" in request.form
    return _change(
        relay_id,
        "log",
        lambda: edge.order_log(relay_id, cancelled),
        _("Taken back.") if cancelled else _("The log is fetched at the next visit to the relay."),
    )


@bp.get("/<uuid:relay_id>/log")
@requires(Permission.MANAGE_RELAYS)
@shows(file_of("relay.log_file", "log of a relay"))
def log(relay_id: UUID) -> Response:
    """Hand out the log that was fetched."""
    with reading() as session:
        return log_zips.download(*logs.get_file(session, relay_id))


@bp.post("/<uuid:relay_id>/disable")
@requires(Permission.MANAGE_RELAYS)
def disable(relay_id: UUID) -> ResponseReturnValue:
    """Use the relay no more."""
    reason = request.form.get("reason", "")
    return _change(
        relay_id,
        "switch",
        lambda: edge.switch(relay_id, False, reason),
        _("The relay is not used any more. Devices are told to use another one."),
    )


@bp.post("/<uuid:relay_id>/enable")
@requires(Permission.MANAGE_RELAYS)
def enable(relay_id: UUID) -> ResponseReturnValue:
    """Use the relay again."""
    reason = request.form.get("reason", "")
    return _change(
        relay_id,
        "switch",
        lambda: edge.switch(relay_id, True, reason),
        _("The relay is used again."),
    )


@bp.get("/<uuid:relay_id>/delete")
@requires(Permission.MANAGE_RELAYS)
def hanging(relay_id: UUID) -> ResponseReturnValue:
    """Show what hangs on the relay, before it is forgotten."""
    return _hanging(relay_id)


def _hanging(relay_id: UUID, problem: str = "") -> ResponseReturnValue:
    with reading() as session:
        relay = queries.get_relay(session, relay_id)
        found = deleting.look(session, relay_id, utc_now())
    page = render_template("relays/delete.html", relay=relay, hanging=found, problem=problem)
    return page, 422 if problem else 200


@bp.post("/<uuid:relay_id>/delete")
@requires(Permission.MANAGE_RELAYS)
def delete(relay_id: UUID) -> ResponseReturnValue:
    """Forget the relay whose name was typed."""
    step_up.require_fresh()
    try:
        edge.delete(relay_id, request.form.get("typed", ""), request.form.get("reason", ""))
    except RefusedError as error:
        return _hanging(relay_id, str(error))
    flash(_("The relay is forgotten. Now end it on its own machine; docs/relays.md says how."))
    return redirect(url_for("relays.index"), 303)
