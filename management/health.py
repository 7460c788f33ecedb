"""``/healthz`` and ``/metrics`` of the web process."""

from ipaddress import ip_address

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from management.access import public, who_asks
from management.administrators import sessions
from management.web import context, reading
from runtime import health
from runtime.errors import SekishoError, UnauthenticatedError

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public("says only whether the server works")
def healthz() -> ResponseReturnValue:
    """Answer 200, or 503 with what is wrong."""
    status, body = health.healthz({"database": _database, "signer": _signer})
    return body, status, {"Content-Type": "application/json"}


@bp.get("/metrics")
@public("answers only this machine, or an API token")
def metrics() -> ResponseReturnValue:
    """Answer in Prometheus's text format."""
    sessions.identify_token()
    if who_asks() is None and not _from_this_machine():
        raise UnauthenticatedError("Ask from the machine itself, or send an API token.")
    body, kind = health.metrics()
    return body, 200, {"Content-Type": kind}


def _from_this_machine() -> bool:
    try:
        return ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False


def _database() -> str | None:
    try:
        with reading() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"The database does not answer: {type(error).__name__}."
    return None


def _signer() -> str | None:
    try:
        context().signer.status()
    except SekishoError as error:
        return str(error)
    return None
