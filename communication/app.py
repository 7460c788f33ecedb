"""Builds the web applications of the three ports: wiring, no rules."""

import errno
import logging
import sqlite3

from flask import Blueprint, Flask, Response
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from communication import (
    agent_api,
    answer,
    download_api,
    file_api,
    link_api,
    log_api,
    open_pages,
    setup_api,
)
from communication.limits import FullError
from communication.parts import Parts
from communication.responses import from_answer
from runtime.errors import SekishoError

log = logging.getLogger(__name__)
_SENTENCES = {
    404: "This server has nothing at this address.",
    405: "This address does not take this method.",
    500: "This server failed; its log says why. Try again later.",
}


def devices_app(parts: Parts) -> Flask:
    """Return what devices see."""
    return _app(parts, agent_api.bp, file_api.agents, open_pages.blueprint(parts, plain=False))


def plain_app(parts: Parts) -> Flask:
    """Return what is there without TLS: nothing but the way to it."""
    return _app(parts, open_pages.blueprint(parts, plain=True))


def link_app(parts: Parts) -> Flask:
    """Return what management sees."""
    health = Blueprint("health", __name__)
    open_pages.add_healthz(health, parts)
    return _app(
        parts, link_api.bp, setup_api.bp, log_api.bp, file_api.link, download_api.bp, health
    )


def _app(parts: Parts, *blueprints: Blueprint) -> Flask:
    app = Flask("communication", static_folder=None)
    app.extensions["sekisho"] = parts
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    app.register_error_handler(SekishoError, _ours)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(sqlite3.OperationalError, _of_disk)
    app.register_error_handler(OSError, _of_files)
    app.after_request(_careful)
    return app


def _ours(error: SekishoError) -> ResponseReturnValue:
    return from_answer(answer.from_error(error))


def _of_http(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    if error.response is not None or code < 400:  # a redirect
        return error
    return from_answer(answer.problem(code, _SENTENCES.get(code, error.description or "")))


def _of_disk(error: sqlite3.OperationalError) -> ResponseReturnValue:
    return from_answer(answer.from_disk(error))


def _of_files(error: OSError) -> ResponseReturnValue:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        log.error("A request failed.", exc_info=error)
        return from_answer(answer.failed())
    said = "There is no room on this server's disk at the moment; try again later."
    return from_answer(answer.from_error(FullError(said)))


def _careful(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
    return response
