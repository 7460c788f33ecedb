"""What every view works with."""

from contextlib import AbstractContextManager
from typing import cast

from flask import current_app, request
from sqlalchemy.orm import Session

from management.context import Context


def context() -> Context:
    """Return the server's settings, database, keys and signer."""
    return cast(Context, current_app.extensions["sekisho"])


def transaction(name: str) -> AbstractContextManager[Session]:
    """Open the request's one transaction that writes; *name* says what it does."""
    return context().database.transaction(name)


def reading() -> AbstractContextManager[Session]:
    """Open a transaction that only reads."""
    return context().database.reading()


def visitor_address() -> str:
    """Return the address the request came from, for the audit trail."""
    return request.remote_addr or ""


def is_fragment() -> bool:
    """Return whether htmx asks for a part of a page."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers
