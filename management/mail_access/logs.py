"""Fetches the log of a connector: ordered in the console, sent by the connector, offered as a file.

A connector has one order at a time; a new one replaces what was fetched before. What comes is a ZIP
of bounded size from a machine that may be in other hands: it is kept and handed on, never opened.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from management.audit.service import record
from management.keys import Keys
from management.log_zips import KEPT_FOR, VALID_FOR, check
from management.mail_access import queries
from management.mail_access.models import Connector, ConnectorLog
from management.mail_access.rules import By
from runtime.errors import NotFoundError, RefusedError


def order_log(
    session: Session, keys: Keys, connector_id: UUID, by: By, now: datetime
) -> ConnectorLog:
    """Ask a connector for its log; what was fetched before is forgotten."""
    connector = queries.get_connector(session, connector_id)
    session.execute(delete(ConnectorLog).where(ConnectorLog.connector_id == connector_id))
    row = ConnectorLog(id=uuid4(), connector_id=connector_id, asked_at=now, asked_by=by.name)
    session.add(row)
    session.flush()
    subject = f"{connector.name} {connector.id}"
    record(session, keys, by.name, "connector.fetch_log", subject, "", by.address, now=now)
    return row


def cancel_log(session: Session, keys: Keys, connector_id: UUID, by: By, now: datetime) -> None:
    """Take an order back, or throw away what came; RefusedError when there is nothing."""
    row = find_log(session, connector_id)
    if row is None:
        raise RefusedError("No log was ordered.")
    session.delete(row)
    subject = f"{queries.get_connector(session, connector_id).name} {connector_id}"
    record(session, keys, by.name, "connector.cancel_log", subject, "", by.address, now=now)


def find_log(session: Session, connector_id: UUID) -> ConnectorLog | None:
    """Return the order of this connector, with what came, or None."""
    return session.scalar(select(ConnectorLog).where(ConnectorLog.connector_id == connector_id))


def list_logs(session: Session) -> dict[UUID, ConnectorLog]:
    """Return the orders by connector."""
    return {row.connector_id: row for row in session.scalars(select(ConnectorLog))}


def get_file(session: Session, connector_id: UUID) -> tuple[str, bytes]:
    """Return name and content of the log that came; NotFoundError when none did."""
    row = find_log(session, connector_id)
    if row is None or row.content is None:
        raise NotFoundError("No log of this connector is here. Order it first.")
    return row.name, row.content


def wanted_log(session: Session, connector_id: UUID, now: datetime) -> UUID | None:
    """Return the order that the connector has to obey; old ones and old files are forgotten."""
    row = find_log(session, connector_id)
    if row is None:
        return None
    if row.asked_at < now - (VALID_FOR if row.came_at is None else KEPT_FOR):
        session.delete(row)
        return None
    return row.id if row.came_at is None else None


def take_log(
    session: Session, connector: Connector, order_id: UUID, name: str, content: bytes, now: datetime
) -> None:
    """Keep what a connector sent; RefusedError unless just this was ordered of it."""
    row = find_log(session, connector.id)
    if row is None or row.id != order_id or row.came_at is not None:
        raise RefusedError("This log is not wanted any more.")
    check(name, content)
    row.name, row.content, row.came_at = name, content, now
