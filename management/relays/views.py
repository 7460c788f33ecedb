"""Communication servers: how they stand, what waits there, and what they were caught at."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from management.access import Permission, requires
from management.paging import PAGE, number_cursor, write_cursor
from management.relays import queries
from management.web import is_fragment, reading

bp = Blueprint("relays", __name__, url_prefix="/relays")


@bp.get("")
@requires(Permission.VIEW)
def index() -> ResponseReturnValue:
    """List the relays and their incidents."""
    before = request.args.get("after")
    with reading() as session:
        relays = queries.list_relays(session)
        trust = queries.find_trust(session)
        found = queries.list_incidents(
            session, before_id=number_cursor(before) if before else None, limit=PAGE + 1
        )
    incidents = found[:PAGE]
    place = write_cursor(incidents[-1].id) if len(found) > PAGE else ""
    page = "relays/incident_rows.html" if is_fragment() else "relays/index.html"
    return render_template(
        page,
        relays=relays,
        names={relay.id: relay.name for relay in relays},
        trust=trust,
        incidents=incidents,
        more=url_for("relays.index", after=place) if place else "",
    )
