"""Pages about files that devices are asked to send."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.apps.queries import get_known
from management.collecting import queries, service
from management.personal import list_of, shows, tell_number
from management.texts import lazy as _l
from management.web import context, is_fragment, reading, transaction, visitor_address
from management.words import Word
from runtime.clock import utc_now

bp = Blueprint("collecting", __name__, url_prefix="/apps/from-devices")

STATES = {
    "ordered": Word("info", "hourglass-split", _l("Asked")),
    "sent": Word("info", "cloud-arrow-up", _l("On its way")),
    "done": Word("ok", "check-circle", _l("Here")),
    "refused": Word("warn", "slash-circle", _l("Refused")),
    "failed": Word("bad", "x-octagon", _l("Failed")),
    "expired": Word("idle", "clock-history", _l("Expired")),
}


@bp.get("/of/<sha256>")
@requires(Permission.VIEW)
@shows(list_of("devices asked for an app"))
def of_app(sha256: str) -> ResponseReturnValue:
    """Show which devices were asked for a file and what came of it."""
    with reading() as session:
        app = get_known(session, sha256)
        asked = queries.list_requests(session, sha256)
        going_on = queries.find_open(session, sha256) is not None
    tell_number(len(asked))
    page = "apps/asked.html" if is_fragment() else "apps/asked_page.html"
    return render_template(page, app=app, asked=asked, going_on=going_on, states=STATES)


@bp.post("/of/<sha256>")
@requires(Permission.MANAGE_APPS)
def ask(sha256: str) -> ResponseReturnValue:
    """Ask a device that holds the app for its file."""
    with transaction("ask for a file") as session:
        service.ask_for(session, context(), sha256, signed_in_name(), visitor_address(), utc_now())
    flash(_("The device is asked at its next check-in."))
    return redirect(url_for("apps.show", sha256=sha256), 303)


@bp.get("/settings")
@requires(Permission.VIEW)
def settings() -> ResponseReturnValue:
    """Show from whose devices files may be asked for."""
    with reading() as session:
        row = queries.read_settings(session)
    return render_template("apps/collecting.html", row=row)


@bp.post("/settings")
@requires(Permission.CHANGE_SETTINGS)
def save() -> ResponseReturnValue:
    """Say from whose devices files may be asked for."""
    company, personal = "company" in request.form, "personal" in request.form
    with transaction("save what is collected") as session:
        service.save_settings(
            session,
            context().keys,
            company,
            personal,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    flash(_("The settings are saved."))
    return redirect(url_for("collecting.settings"), 303)
