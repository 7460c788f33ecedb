"""When connectors take newer releases of their program, and whether a person wants it now.

Management only passes releases on: what a connector runs, it verified itself.
"""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts.connector import ReleaseReport, ReleaseWish
from management.audit.service import record
from management.keys import Keys
from management.mail_access import queries
from management.mail_access.connectors import read_status
from management.mail_access.models import Connector
from management.mail_access.rules import By
from management.updates.releases import find_release
from runtime.errors import MalformedMessageError, RefusedError


def wish(session: Session, connector: Connector) -> ReleaseWish | None:
    """Return what this connector may do about newer releases; None when there is nothing to do."""
    release = find_release(session)
    if release is None or connector.kind != "exchange":
        return None
    return ReleaseWish(
        version=release.version,
        hour=connector.update_hour,
        hours=connector.update_hours,
        order=connector.update_order,
    )


def change(
    session: Session, keys: Keys, connector_id: UUID, hour: int, hours: int, by: By, now: datetime
) -> Connector:
    """Let a connector take newer releases by itself from *hour* (UTC) on, *hours* long; 0: never.

    MalformedMessageError when there is no such hour.
    """
    connector = queries.get_connector(session, connector_id)
    if not (0 <= hour <= 23 and 0 <= hours <= 24):
        raise MalformedMessageError("The hour is 0 to 23 and the window 0 to 24 hours.")
    connector.update_hour, connector.update_hours = hour, hours
    subject = f"{connector.name} {connector.id}"
    words = f"{hour}:00 UTC, {hours} h" if hours else "only by hand"
    record(session, keys, by.name, "connector.updates", subject, words, by.address, now=now)
    return connector


def order(session: Session, keys: Keys, connector_id: UUID, by: By, now: datetime) -> Connector:
    """Tell a connector to take the newest release now; RefusedError when there is none for it."""
    connector = queries.get_connector(session, connector_id)
    release = find_release(session)
    if connector.kind != "exchange":
        raise RefusedError("Gates do not update themselves. Install the release by hand there.")
    if release is None:
        raise RefusedError(
            "No release came from the update source yet. Run an update under Updates first."
        )
    if release.version == connector.version:
        raise RefusedError(f"It runs release {release.version} already, the newest that is here.")
    connector.update_order = uuid4()
    subject = f"{connector.name} {connector.id}"
    why = release.version
    record(session, keys, by.name, "connector.update", subject, why, by.address, now=now)
    return connector


def last_attempt(connector: Connector) -> ReleaseReport | None:
    """Return what the connector said of its last attempt."""
    said = read_status(connector)
    return said.release if said else None
