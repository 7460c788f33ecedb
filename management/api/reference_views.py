"""Pages that explain the API, made from its own document: they need nothing from outside."""

from flask import Blueprint, current_app, render_template, request
from flask.typing import ResponseReturnValue

from management.access import Permission, requires
from management.api import reference
from management.api.views import document
from runtime.errors import NotFoundError

bp = Blueprint("api_reference", __name__, url_prefix="/api-reference")
LONGEST = 100


@bp.get("")
@requires(Permission.VIEW, in_groups=True)
def index() -> ResponseReturnValue:
    """List all operations, or those in which the searched words stand."""
    words = request.args.get("q", "").strip()[:LONGEST]
    found = reference.searched(_sections(), words)
    return render_template("api/index.html", sections=found, q=words)


@bp.get("/<tag>")
@requires(Permission.VIEW, in_groups=True)
def show(tag: str) -> ResponseReturnValue:
    """Explain the operations of one kind of thing."""
    found = next((one for one in _sections() if one.tag == tag), None)
    if found is None:
        raise NotFoundError("The API has no such part.")
    return render_template(
        "api/show.html", section=found, curl=reference.curl, server=request.host_url
    )


def _sections() -> tuple[reference.Section, ...]:
    """Return what the document says; read once, as it is the same until the next release."""
    known: tuple[reference.Section, ...] | None = current_app.extensions.get("sekisho-reference")
    if known is None:
        known = reference.sections(document())
        current_app.extensions["sekisho-reference"] = known
    return known
