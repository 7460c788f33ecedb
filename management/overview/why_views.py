"""Why a device stands as it does, or stood at a past moment: a page, and a part of the device's."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import get_timezone, to_utc
from flask_babel import gettext as _

from management.access import Permission, requires
from management.compliance.explaining import explain
from management.personal import EXPLANATION, shows
from management.web import is_fragment, reading
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError

bp = Blueprint("why", __name__, url_prefix="/devices")


@bp.get("/<uuid:device_id>/why")
@requires(Permission.VIEW, in_groups=True)
@shows(EXPLANATION)
def show(device_id: UUID) -> ResponseReturnValue:
    """Explain the device at the moment in the address, or now."""
    text = request.args.get("at", "")
    with reading() as session:
        found = explain(session, device_id, read_moment(text) if text else None, utc_now())
    page = "devices/why.html" if is_fragment() else "devices/why_page.html"
    return render_template(page, w=found, picked=picked(found.at))


def read_moment(text: str) -> datetime:
    """Return the instant that *text* names; without a zone it is in the visitor's."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else to_utc(at).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise MalformedMessageError(_("Enter a day and a time.")) from None


def picked(at: datetime) -> str:
    """Return *at* as a field for a moment takes it."""
    return f"{at.astimezone(get_timezone()):%Y-%m-%dT%H:%M}"
