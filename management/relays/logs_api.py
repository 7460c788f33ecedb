"""The API's way to a communication server's log: how much it says, and fetching it."""

from dataclasses import dataclass
from uuid import UUID

from flask import Blueprint

from contracts.connector import LogLevel
from management.access import Permission
from management.api.operations import STRICT, FileAnswer, operation
from management.personal import file_of
from management.relays import edge, logs
from management.relays.api import RelayAnswer, get_relay
from management.web import reading

bp = Blueprint("relay_logs_api", __name__, url_prefix="/api/v1/relays/<uuid:relay_id>")
MANAGE = Permission.MANAGE_RELAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLevel:
    """How much a relay logs for an hour; then it is `info` again."""

    __pydantic_config__ = STRICT

    level: LogLevel


@operation(bp, "/log-level", MANAGE, "PUT", refusals=(409,))
def set_relay_level(relay_id: UUID, body: RelayLevel) -> RelayAnswer:
    """Let a communication server log more or less for an hour."""
    edge.change_log_level(relay_id, body.level)
    return get_relay(relay_id)


@operation(bp, "/log", MANAGE, "POST", 202, (409,))
def order_relay_log(relay_id: UUID) -> RelayAnswer:
    """Let the log be fetched at the next visit to the relay; GET answers it then."""
    edge.order_log(relay_id, cancelled=False)
    return get_relay(relay_id)


@operation(
    bp,
    "/log",
    MANAGE,
    media_type="application/zip",
    shows=file_of("relay.log_file", "log of a relay"),
)
def get_relay_log(relay_id: UUID) -> FileAnswer:
    """Get the log that was fetched, as the ZIP that the relay made; 404 until it came."""
    with reading() as session:
        return FileAnswer(*logs.get_file(session, relay_id))


@operation(bp, "/log/cancel", MANAGE, "POST", refusals=(409,))
def cancel_relay_log(relay_id: UUID) -> RelayAnswer:
    """Take the order of a log back, or throw away what came."""
    edge.order_log(relay_id, cancelled=True)
    return get_relay(relay_id)
