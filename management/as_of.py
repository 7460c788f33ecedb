"""Each page says of when it is; where htmx asks for a list's rows anew, the answer says it too."""

import json

from flask import Flask, Response, request

from management.shown import moment
from runtime.clock import utc_now

LISTS = ("sk-rows", "sk-list")
"""The ids of the rows of every list, and of a list with its count."""
EVENT = "sk:as-of"
"""`static/console.js` hears it and writes the new time into the page."""


def register(app: Flask) -> None:
    """Let every page and every list's rows tell their time."""
    app.jinja_env.globals["made_at"] = utc_now
    app.after_request(_tell)


def _tell(response: Response) -> Response:
    if request.headers.get("HX-Target") in LISTS and response.status_code == 200:
        now = utc_now()
        told = {EVENT: {"at": now.isoformat(), "shown": moment(now)}}
        response.headers["HX-Trigger"] = json.dumps(told)
    return response
