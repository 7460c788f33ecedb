"""Serves the OpenAPI document."""

from importlib.metadata import version
from typing import Any

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from management.access import public
from management.api.document import build

bp = Blueprint("api", __name__, url_prefix="/api/v1")


@bp.get("/openapi.json")
@public("a description of the interface, the same for everybody")
def openapi() -> ResponseReturnValue:
    """Answer the OpenAPI 3.1 document of this release."""
    return document()


def document() -> dict[str, Any]:
    """Return the document, made once."""
    found: dict[str, Any] | None = current_app.extensions.get("sekisho-openapi")
    if found is None:
        found = build(current_app, version("sekisho"))
        current_app.extensions["sekisho-openapi"] = found
    return found
