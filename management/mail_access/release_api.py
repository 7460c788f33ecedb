"""The API's view of how connectors come to newer releases."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission
from management.api.operations import Whole, operation
from management.mail_access import connector_releases
from management.mail_access.models import Connector
from management.mail_access.pages import by
from management.mail_access.queries import get_connector
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("mail_release_api", __name__, url_prefix="/api/v1/mail-access")
MANAGE = Permission.MANAGE_MAIL_ACCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorHours:
    """When a connector may take newer releases by itself."""

    hour: Annotated[int, Field(ge=0, le=23), Whole]
    """Of the day, in UTC, from which on."""
    hours: Annotated[int, Field(ge=0, le=24), Whole]
    """For so long; 0: never by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorReleaseAnswer:
    """The release that a connector runs, when it takes newer ones, and its last attempt."""

    running: str
    hour: int
    hours: int
    ordered: bool
    """It was told to update and did not report yet."""
    tried: str
    state: str
    """`updated`, `failed` (it is tried again), `refused` (not again by itself), or empty."""
    tried_at: datetime | None
    detail: str
    """Why, and what mends it."""


@operation(bp, "/connectors/<uuid:connector_id>/release", Permission.VIEW)
def get_connector_release(connector_id: UUID) -> ConnectorReleaseAnswer:
    """Get the release that a connector runs and what became of its last update."""
    with reading() as session:
        return _answer(get_connector(session, connector_id))


@operation(bp, "/connectors/<uuid:connector_id>/release/hours", MANAGE, "PUT")
def set_connector_hours(connector_id: UUID, body: ConnectorHours) -> ConnectorReleaseAnswer:
    """Say when a connector may take newer releases by itself."""
    with transaction("change a connector's update hours") as session:
        keys, now = context().keys, utc_now()
        return _answer(
            connector_releases.change(session, keys, connector_id, body.hour, body.hours, by(), now)
        )


@operation(bp, "/connectors/<uuid:connector_id>/release/update", MANAGE, "POST", 202, (409,))
def update_connector(connector_id: UUID) -> ConnectorReleaseAnswer:
    """Tell a connector to take the newest release now."""
    with transaction("tell a connector to update") as session:
        keys, now = context().keys, utc_now()
        return _answer(connector_releases.order(session, keys, connector_id, by(), now))


def _answer(row: Connector) -> ConnectorReleaseAnswer:
    last = connector_releases.last_attempt(row)
    return ConnectorReleaseAnswer(
        running=row.version,
        hour=row.update_hour,
        hours=row.update_hours,
        ordered=row.update_order is not None,
        tried=last.version if last else "",
        state=last.state if last else "",
        tried_at=last.at if last else None,
        detail=last.detail if last else "",
    )
