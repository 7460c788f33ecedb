"""The dashboard."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from management.access import Permission, public, requires

bp = Blueprint("overview", __name__)


@bp.get("/")
@requires(Permission.VIEW)
def dashboard() -> ResponseReturnValue:
    """Show how the fleet stands."""
    return render_template("overview/dashboard.html")


@bp.get("/mdm/web")
@public("only leads to the dashboard")
def former_address() -> ResponseReturnValue:
    """Lead from the address that administrators of the old product know."""
    return redirect(url_for("overview.dashboard"))
