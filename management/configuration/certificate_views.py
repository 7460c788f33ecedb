"""The page of all certificates and keys that this server rests on."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from management.access import Permission, requires
from management.configuration import certificates
from management.web import context, reading
from runtime.clock import utc_now

bp = Blueprint("certificates", __name__, url_prefix="/certificates")


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List every certificate and key with its end and what mends it."""
    with reading() as session:
        rows = certificates.list_all(context(), session, utc_now())
    return render_template("configuration/certificates.html", rows=rows)
