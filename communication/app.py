"""Builds the web applications of the three ports: wiring, no rules."""

import sqlite3

from flask import Blueprint, Flask, Response
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from communication import agent_api, answer, link_api, open_pages
from communication.answer import Answer
from communication.parts import Parts
from runtime.errors import SekishoError


def devices_app(parts: Parts) -> Flask:
    """Return what devices see."""
    return _app(parts, agent_api.bp, open_pages.blueprint(parts, plain=False))


def plain_app(parts: Parts) -> Flask:
    """Return what is there without TLS: nothing but the way to it."""
    return _app(parts, open_pages.blueprint(parts, plain=True))


def link_app(parts: Parts) -> Flask:
    """Return what management sees."""
    health = Blueprint("health", __name__)
    open_pages.add_healthz(health, parts)
    return _app(parts, link_api.bp, health)


def _app(parts: Parts, *blueprints: Blueprint) -> Flask:
    app = Flask("communication", static_folder=None)
    app.extensions["sekisho"] = parts
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    app.register_error_handler(SekishoError, _ours)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(sqlite3.OperationalError, _of_disk)
    app.after_request(_careful)
    return app


def _ours(error: SekishoError) -> ResponseReturnValue:
    return _response(answer.from_error(error))


def _of_http(error: HTTPException) -> ResponseReturnValue:
    said = error.description or "This cannot be answered."
    return _response(answer.problem(error.code or 500, said)) if not error.response else error


def _of_disk(error: sqlite3.OperationalError) -> ResponseReturnValue:
    said = answer.problem(
        503, f"The mailbox cannot be written now ({error}); try again later.", ("Retry-After", "60")
    )
    return _response(said)


def _response(said: Answer) -> Response:
    return Response(said.body, said.status, said.headers)


def _careful(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
    return response
