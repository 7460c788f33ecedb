"""The dashboard."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from management import words
from management.access import Permission, public, requires
from management.consequences import queries as consequences
from management.overview.queries import Dashboard, read_dashboard
from management.overview.rules import Slice, arcs
from management.web import is_fragment, reading
from runtime.clock import utc_now

bp = Blueprint("overview", __name__)


@bp.get("/")
@requires(Permission.VIEW)
def dashboard() -> ResponseReturnValue:
    """Show how the fleet stands; htmx asks again for the cards every half minute."""
    with reading() as session:
        shown = read_dashboard(session, utc_now())
        alerts = consequences.read_alerts(session, utc_now())
    page = "overview/cards.html" if is_fragment() else "overview/dashboard.html"
    return render_template(page, d=shown, slices=_slices(shown), alerts=alerts)


@bp.get("/mdm/web")
@public("only leads to the dashboard")
def former_address() -> ResponseReturnValue:
    """Lead from the address that administrators of the old product know."""
    return redirect(url_for("overview.dashboard"))


def _slices(shown: Dashboard) -> list[Slice]:
    states = list(words.DEVICE_STATES)
    drawn = arcs([shown.states.get(state, 0) for state in states])
    return [
        Slice(
            word.tone,
            word.icon,
            word.label,
            shown.states.get(state, 0),
            share,
            path,
            url_for("devices.index", state=state),
        )
        for (state, word), (share, path) in zip(words.DEVICE_STATES.items(), drawn, strict=True)
    ]
