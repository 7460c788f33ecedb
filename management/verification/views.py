"""The page "Configuration and verification": each check is done when the page is looked at."""

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from management.access import Permission, requires
from management.verification import checks
from management.web import context
from runtime.clock import utc_now

bp = Blueprint("verification", __name__, url_prefix="/verification")


@bp.get("")
@requires(Permission.CHANGE_SETTINGS)
def index() -> ResponseReturnValue:
    """List the checks; each row asks for its own finding."""
    return render_template("verification/index.html", checks=checks.CHECKS)


@bp.get("/<name>")
@requires(Permission.CHANGE_SETTINGS)
def show(name: str) -> ResponseReturnValue:
    """Do one check now and say what it found."""
    check = checks.find(name) or abort(404)
    now = utc_now()
    found = checks.run(check, context(), now)
    return render_template("verification/row.html", check=check, found=found, at=now)
