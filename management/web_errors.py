"""Where our errors become HTTP answers, and nowhere else."""

import logging
from functools import partial
from uuid import uuid4

from flask import Flask, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.exceptions import HTTPException

from management.access import who_asks
from management.reasons import reason
from runtime.errors import (
    ForbiddenError,
    MalformedMessageError,
    NotFoundError,
    RefusedError,
    SekishoError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)

log = logging.getLogger(__name__)

STATUS_OF: dict[type[SekishoError], int] = {
    MalformedMessageError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    RefusedError: 409,
    TooLargeError: 413,
    UnavailableError: 503,
}
FOR_PROGRAMS = ("/api/", "/connector/", "/healthz", "/metrics")


def register(app: Flask) -> None:
    """Answer each kind of error with its status; any other error is a bug: 500, logged once."""
    app.before_request(_number_request)
    for kind, status in STATUS_OF.items():
        app.register_error_handler(kind, partial(_expected, status))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _number_request() -> None:
    g.request_id = uuid4().hex[:12]


def answers_programs() -> bool:
    """Return whether the request came to a path that programs use."""
    return request.path.startswith(FOR_PROGRAMS)


def _expected(status: int, error: SekishoError) -> ResponseReturnValue:
    if status == 401 and not answers_programs() and request.method == "GET":
        return _to_sign_in()
    return answer(status, str(error))


def _http(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error
    said = answer(status, _sentence(status, error.description or ""))
    if status == 405 and error.get_headers is not None:
        allowed = dict(error.get_headers()).get("Allow", "")
        return (*said[:2], {**said[2], "Allow": allowed})
    return said


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.error("A request failed unexpectedly.", exc_info=error, extra=_where())
    return answer(500, _("Something went wrong on our side. Nothing was changed."))


def _where() -> dict[str, str]:
    return {"request_id": g.get("request_id", ""), "method": request.method, "path": request.path}


def answer(status: int, detail: str) -> tuple[str | dict[str, object], int, dict[str, str]]:
    """Answer programs as RFC 9457 asks, people with a page, htmx with a sentence."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 and answers_programs() else {}
    if answers_programs():
        headers["Content-Type"] = "application/problem+json"
        return problem(status, detail), status, headers
    if "HX-Request" in request.headers:
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return reason(detail), status, headers
    page = render_template(
        "error.html",
        status=status,
        title=_title(status),
        detail=reason(detail),
        next_step=_next_step(status),
        request_id=g.get("request_id", ""),
        identity=who_asks(),
    )
    return page, status, headers


def problem(status: int, detail: str) -> dict[str, object]:
    """Return the fields of an RFC 9457 problem."""
    return {
        "type": "about:blank",
        "status": status,
        "title": _title(status),
        "detail": detail,
        "instance": f"urn:sekisho:request:{g.get('request_id', '')}",
    }


def _to_sign_in() -> ResponseReturnValue:
    target = url_for("sign_in.show", next=request.full_path.rstrip("?"))
    if "HX-Request" in request.headers:
        return "", 401, {"HX-Redirect": url_for("sign_in.show")}
    return redirect(target)


def _title(status: int) -> str:
    titles = {
        400: _("This was not understood"),
        401: _("Sign in first"),
        403: _("You may not do this"),
        404: _("There is nothing here"),
        405: _("This is not possible here"),
        409: _("This was refused"),
        410: _("This link is used up"),
        413: _("This is too large"),
        415: _("This kind of content is not taken"),
        429: _("Too many questions"),
        500: _("Unexpected error"),
        503: _("Not reachable now"),
    }
    return titles.get(status, _("Error %(status)s", status=status))


def _sentence(status: int, default: str) -> str:
    sentences = {
        404: _("No page or object has this address."),
        413: _("What was sent is larger than this server takes."),
    }
    return sentences.get(status, default)


def _next_step(status: int) -> str:
    steps = {
        400: _("Go back, check what you entered and send it again."),
        403: _("Ask an owner for the permission, or sign in with another account."),
        404: _("It may have been removed. Start again from the menu."),
        409: _("Read the reason above; nothing was changed."),
        413: _("Send something smaller."),
        429: _("Wait as long as it says; nothing was changed."),
        500: _("Try again. If it happens again, give the request number to your administrator."),
        503: _("Wait a moment and try again."),
    }
    return steps.get(status, _("Start again from the dashboard."))
