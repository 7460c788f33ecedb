"""The API's view of communication servers."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint

from management.access import Permission
from management.api.operations import Limit, Place, operation
from management.paging import number_cursor, write_cursor
from management.relays import queries
from management.web import reading

bp = Blueprint("relays_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAnswer:
    """How a communication server stands."""

    id: UUID
    name: str
    link_url: str
    devices_url: str
    version: str
    paired_at: datetime
    contact_at: datetime | None
    problem: str
    """Empty: none."""
    problem_at: datetime | None
    inbound_waiting: int
    outbound_waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relays:
    """All relays by name."""

    items: tuple[RelayAnswer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentQuery:
    """A page of incidents."""

    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAnswer:
    """Something that an honest relay and network would not do."""

    at: datetime
    relay_id: UUID | None
    device_id: UUID | None
    problem: str
    detail: str
    reported_by: str
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    """Incidents, newest first."""

    items: tuple[IncidentAnswer, ...]
    next: str | None


@operation(bp, "/relays", Permission.VIEW)
def list_relays() -> Relays:
    """List the communication servers and how they stand."""
    with reading() as session:
        found = queries.list_relays(session)
    return Relays(
        items=tuple(
            RelayAnswer(
                id=row.id,
                name=row.name,
                link_url=row.link_url,
                devices_url=row.devices_url,
                version=row.version,
                paired_at=row.paired_at,
                contact_at=row.contact_at,
                problem=row.problem,
                problem_at=row.problem_at,
                inbound_waiting=row.inbound_waiting,
                outbound_waiting=row.outbound_waiting,
            )
            for row in found
        )
    )


@operation(bp, "/relay-incidents", Permission.VIEW)
def list_relay_incidents(query: IncidentQuery) -> IncidentPage:
    """List what relays and networks were caught at, newest first."""
    before = number_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_incidents(session, before_id=before, limit=query.limit + 1)
    shown = found[: query.limit]
    return IncidentPage(
        items=tuple(
            IncidentAnswer(
                at=row.at,
                relay_id=row.relay_id,
                device_id=row.sender,
                problem=row.problem,
                detail=row.detail,
                reported_by=row.reported_by,
                repeats=row.repeats,
            )
            for row in shown
        ),
        next=write_cursor(shown[-1].id) if len(found) > query.limit else None,
    )
