"""The part of the allow-list's page that concerns devices which are enrolled already."""

from datetime import timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.administrators import step_up
from management.allow_list import queries
from management.audit.notes import note
from management.enrolment import unlisted
from management.reasons import reason
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("unlisted", __name__, url_prefix="/allow-list/enrolled")


@bp.get("")
@requires(Permission.CHANGE_SETTINGS)
def show() -> str:
    """Return the card as it stands now; the page asks for it while work goes on."""
    with reading() as session:
        card, unlisted = queries.enrolled_card(session), queries.unlisted_setting(session)
    return render_template("enrolment/unlisted_card.html", unlisted=unlisted.value, **card)


@bp.post("/count")
@requires(Permission.CHANGE_SETTINGS)
def count() -> ResponseReturnValue:
    """Compare the enrolled devices with the list, in the background."""
    try:
        with transaction("count unlisted devices") as session:
            unlisted.ask_count(session, utc_now())
    except RefusedError as error:
        flash(reason(str(error)), "bad")
    else:
        flash(_("The devices are compared with the list."))
    return redirect(url_for("allow_list.index"), 303)


@bp.post("/apply")
@requires(Permission.CHANGE_SETTINGS)
def apply() -> ResponseReturnValue:
    """Apply the list to as many devices as were counted and typed."""
    step_up.require_fresh()
    undo, typed = timedelta(seconds=context().settings.undo_seconds), request.form.get("typed", "")
    try:
        with transaction("apply the allow-list") as session:
            reached = unlisted.confirm(session, typed, signed_in_name(), undo, utc_now())
            note(session, "allow_list.apply", "", devices=reached)
    except RefusedError as error:
        flash(reason(str(error)), "bad")
    else:
        flash(_("It begins in %(seconds)s seconds. Until then it can be cancelled under Jobs.",
                seconds=int(undo.total_seconds())))  # fmt: skip
    return redirect(url_for("allow_list.index"), 303)
