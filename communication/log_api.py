"""Routes with which management changes how much this server logs, and fetches its log."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from communication.link_api import allowed
from communication.responses import empty, message_response
from contracts import codec
from contracts.link import LogWish

bp = Blueprint("log", __name__, url_prefix="/link/v1")


@bp.put("/log-level")
def log_level() -> ResponseReturnValue:
    """Log as `LogWish` says, for so long. 204."""
    parts, _ = allowed()
    parts.logging.wish(codec.read(LogWish, request.get_data()))
    return empty(204)


@bp.get("/log")
def log() -> ResponseReturnValue:
    """Return `OwnLog`."""
    parts, _ = allowed()
    return message_response(parts.logging.fetch())
