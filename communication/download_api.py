"""Where management says what the download page offers."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from communication.link_api import allowed
from communication.responses import empty
from contracts import codec
from contracts.download import Download

bp = Blueprint("link_download", __name__, url_prefix="/link/v1")


@bp.put("/download")
def put() -> ResponseReturnValue:
    """Offer what `Download` says from now on. 204."""
    parts, _ = allowed()
    parts.downloads.put(codec.read(Download, request.get_data()))
    return empty(204)
