"""An HTTP answer as plain values, and errors as RFC 9457 problems."""

import http
import json
import sqlite3

from communication.limits import Crowd, FullError, TooManyError
from contracts.request_signature import ClockSkewError
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
from runtime.wsgi import Answer as Answer
from runtime.wsgi import Header as Header

CROWD = Crowd(back_per_second=200)
"""Everybody who finds this server too busy."""
CLOCK_SKEW = "urn:sekisho:clock-skew"
_STATUSES: dict[type[SekishoError], int] = {
    MalformedMessageError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    RefusedError: 409,
    TooLargeError: 413,
    TooManyError: 429,
    UnavailableError: 503,
    FullError: 507,
}


def problem(status: int, detail: str, *headers: Header, kind: str = "about:blank") -> Answer:
    """Return *detail* as problem+json."""
    said = {
        "type": kind,
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    body = json.dumps(said, ensure_ascii=False).encode()
    return Answer(status, [("Content-Type", "application/problem+json"), *headers], body)


def from_error(error: SekishoError) -> Answer:
    """Return what *error* says; an agent whose clock is off gets its own problem type."""
    status = next((s for kind, s in _STATUSES.items() if isinstance(error, kind)), 500)
    if isinstance(error, ClockSkewError):
        return problem(status, str(error), kind=CLOCK_SKEW)
    if isinstance(error, TooManyError):
        return problem(status, str(error), ("Retry-After", str(error.retry_after)))
    if status in (503, 507):
        return problem(status, str(error), ("Retry-After", "300"))
    return problem(status, str(error))


def from_disk(error: sqlite3.Error) -> Answer:
    """Return that the mailbox cannot be written at the moment."""
    said = f"The mailbox cannot be written now ({error}); try again later."
    return problem(503, said, ("Retry-After", "60"))


def failed() -> Answer:
    """Return that it is our own fault."""
    return problem(500, "This server failed; its log says why. Try again later.")


def later(sentence: str, crowd: Crowd = CROWD) -> Answer:
    """Return *sentence* and when to come again, each time another time: a crowd must not stay."""
    seconds = str(crowd.retry_after())
    return problem(503, f"{sentence} Try again in {seconds} s.", ("Retry-After", seconds))
