"""The API's view of mail partnerships and connectors (``api.py`` is what connectors call)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Blueprint

from management.access import Permission
from management.api.operations import Limit, Place, Words, operation
from management.mail_access import queries
from management.mail_access.models import Partnership
from management.mail_access.queries import Filter
from management.paging import number_cursor, write_cursor
from management.web import reading

bp = Blueprint("mail_access_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipQuery:
    """Which partnerships are wanted."""

    wanted: Literal["", "allow", "block", "leave"] = ""
    text: Words = ""
    """Part of the mailbox, address, DeviceId or model."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipAnswer:
    """One (mailbox, DeviceId) pair, what is wanted for it and why, and what was done."""

    id: int
    mailbox: str
    user_address: str
    exchange_device_id: str
    device_model: str
    access_state: str
    """What the mail server says it does now."""
    device_id: UUID | None
    match_reason: str
    wanted: str
    wanted_because: str
    wanted_since: datetime
    held: bool
    """The block waits for an administrator's confirmation."""
    applied: str
    applied_at: datetime | None
    applied_error: str
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipPage:
    """Partnerships in the order in which they became known."""

    items: tuple[PartnershipAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorAnswer:
    """A paired Exchange connector."""

    id: UUID
    name: str
    version: str
    paired_at: datetime
    contact_at: datetime | None
    disabled_at: datetime | None
    problem: str
    waiting: int
    """Changes not applied yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectors:
    """All connectors by name."""

    items: tuple[ConnectorAnswer, ...]


@operation(bp, "/mail-access/partnerships", Permission.VIEW)
def list_partnerships(query: PartnershipQuery) -> PartnershipPage:
    """List mail partnerships with what is wanted for each and why."""
    after = number_cursor(query.after) if query.after else 0
    wanted = Filter(text=query.text, wanted=query.wanted)
    with reading() as session:
        found = queries.list_partnerships(session, wanted, after, query.limit + 1)
    shown = [row for row, _name in found[: query.limit]]
    return PartnershipPage(
        items=tuple(_answer(row) for row in shown),
        next=write_cursor(shown[-1].id) if len(found) > query.limit else None,
    )


@operation(bp, "/mail-access/connectors", Permission.VIEW)
def list_connectors() -> Connectors:
    """List the paired Exchange connectors."""
    with reading() as session:
        found = queries.list_connectors(session)
    return Connectors(
        items=tuple(
            ConnectorAnswer(
                id=row.id,
                name=row.name,
                version=row.version,
                paired_at=row.paired_at,
                contact_at=row.contact_at,
                disabled_at=row.disabled_at,
                problem=row.problem,
                waiting=row.waiting,
            )
            for row in found
        )
    )


def _answer(row: Partnership) -> PartnershipAnswer:
    return PartnershipAnswer(
        id=row.id,
        mailbox=row.mailbox,
        user_address=row.user_address,
        exchange_device_id=row.exchange_device_id,
        device_model=row.device_model,
        access_state=row.access_state,
        device_id=row.device_id,
        match_reason=row.match_reason,
        wanted=row.wanted,
        wanted_because=row.wanted_because,
        wanted_since=row.wanted_since,
        held=row.held_at is not None,
        applied=row.applied,
        applied_at=row.applied_at,
        applied_error=row.applied_error,
        seen_at=row.seen_at,
    )
