"""The switch that pauses all enforcement, and the signer's limits."""

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from management.access import Permission, requires, signed_in_name
from management.audit.notes import note
from management.safety import service
from management.web import context, transaction
from runtime.clock import utc_now
from runtime.errors import UnavailableError

bp = Blueprint("safety", __name__, url_prefix="/safety")


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """Show whether enforcement acts, and what the signer still allows."""
    return render_template("safety/index.html", signer=_signer_status())


@bp.post("/pause")
@requires(Permission.PAUSE_ENFORCEMENT)
def pause() -> ResponseReturnValue:
    """Pause mail blocks and wipes, with a reason; the signer is told too."""
    because = _reason()
    with transaction("pause enforcement") as session:
        service.pause(session, signed_in_name(), because, utc_now())
        note(session, "enforcement.pause", "enforcement", because)
    if why := service.tell_signer(context().signer, because):
        flash(_("Paused, but the signer was not told: %(why)s", why=why), "warn")
    else:
        flash(_("Enforcement is paused."), "warn")
    return redirect(url_for("safety.index"))


@bp.post("/resume")
@requires(Permission.PAUSE_ENFORCEMENT)
def resume() -> ResponseReturnValue:
    """Let mail blocks and wipes act again, with a reason."""
    because = _reason()
    with transaction("resume enforcement") as session:
        service.resume(session, signed_in_name(), utc_now())
        note(session, "enforcement.resume", "enforcement", because)
    if why := service.tell_signer(context().signer, ""):
        flash(_("Resumed, but the signer was not told: %(why)s", why=why), "warn")
    else:
        flash(_("Enforcement acts again."))
    return redirect(url_for("safety.index"))


@bp.post("/signer")
@requires(Permission.PAUSE_ENFORCEMENT)
def resume_signer() -> ResponseReturnValue:
    """Let a signer under its own user sign wipes again, proved by an approver's code."""
    code = request.form.get("code", "").replace(" ", "")
    context().signer.resume(signed_in_name(), code)
    with transaction("resume the signer") as session:
        note(session, "signer.resume", "signer")
    flash(_("The signer signs wipes again."))
    return redirect(url_for("safety.index"))


def _reason() -> str:
    because = request.form.get("reason", "").strip()
    if not because:
        abort(400, _("Give a reason; it goes into the audit trail."))
    return because[:1000]


def _signer_status() -> dict[str, Any]:
    try:
        return context().signer.status()
    except UnavailableError as error:
        return {"problem": str(error)}
