"""How much a relay logs, and its log: ordered in the console, fetched at the next visit."""

import base64
import logging
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.connector import LogLevel
from contracts.link import LogWish, RelayStatus
from management import log_zips
from management.context import Context
from management.relays.link_client import LinkClient
from management.relays.models import Relay, RelayLog
from management.relays.queries import get_relay
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError, TooLargeError

log = logging.getLogger(__name__)


def change_level(session: Session, relay_id: UUID, level: LogLevel, now: datetime) -> Relay:
    """Let a relay log more or less for an hour."""
    relay = get_relay(session, relay_id)
    relay.log_level, relay.log_level_until = level, log_zips.until(level, now)
    return relay


def order(session: Session, relay_id: UUID, by: str, now: datetime) -> Relay:
    """Let the log be fetched; what was fetched before is forgotten."""
    relay = get_relay(session, relay_id)
    row = find(session, relay_id) or RelayLog(relay_id=relay_id)
    row.asked_at, row.asked_by, row.came_at, row.name, row.content = now, by, None, "", None
    session.add(row)
    return relay


def cancel(session: Session, relay_id: UUID) -> Relay:
    """Take an order back, or throw away what came; RefusedError when there is nothing."""
    row = find(session, relay_id)
    if row is None:
        raise RefusedError("No log was ordered.")
    session.delete(row)
    return get_relay(session, relay_id)


def find(session: Session, relay_id: UUID) -> RelayLog | None:
    """Return the order for this relay's log, with what came, or None."""
    return session.get(RelayLog, relay_id)


def get_file(session: Session, relay_id: UUID) -> tuple[str, bytes]:
    """Return name and content of the log that came; NotFoundError when none did."""
    row = find(session, relay_id)
    if row is None or not row.content:
        raise NotFoundError("No log of this relay is here. Order it first.")
    return row.name, row.content


def bring_level(context: Context, link: LinkClient, relay: Relay, status: RelayStatus) -> None:
    """Let the relay log as the console says, again when it was restarted meanwhile."""
    now = utc_now()
    level = log_zips.level_now(relay.log_level, relay.log_level_until, now)
    if status.log_level == ("" if level == log_zips.USUAL_LEVEL else level):
        return
    until = relay.log_level_until
    seconds = 1 if until is None else max(1, int((until - now).total_seconds()))
    link.put_log_level(LogWish(level=level, seconds=seconds))


def fetch(context: Context, link: LinkClient, relay: Relay, status: RelayStatus) -> None:
    """Fetch the log if it is ordered; forget orders and logs that are too old."""
    with context.database.reading() as session:
        row = find(session, relay.id)
    if row is None:
        return
    now = utc_now()
    old = row.asked_at < now - (log_zips.VALID_FOR if row.came_at is None else log_zips.KEPT_FOR)
    if row.came_at is not None and not old:
        return
    came = None if old else link.own_log()
    with context.database.transaction("keep a relay's log") as session:
        held = find(session, relay.id)
        if held is None or held.asked_at != row.asked_at:  # taken back, or ordered anew
            return
        if came is None:
            session.delete(held)
            return
        held.name, held.content, held.came_at = *_checked(came.name, came.zip), now


def _checked(name: str, text: str) -> tuple[str, bytes]:
    try:
        content = base64.b64decode(text, validate=True)
        log_zips.check(name, content)
    except (ValueError, MalformedMessageError, TooLargeError):
        log.warning("A relay sent something else than its log.")
        return "", b""
    return name, content
