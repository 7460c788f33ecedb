"""The API's view of mail partnerships and connectors (``api.py`` is what connectors call)."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from flask import Blueprint

from contracts.connector import TrustedAuthority
from management.access import Permission
from management.api.operations import Limit, Place, Words, operation
from management.mail_access import authorities, listing, queries
from management.mail_access.connectors import log_level_of, read_status
from management.mail_access.listing import Filter
from management.mail_access.models import Connector, Partnership
from management.mail_access.states import connector_state
from management.paging import number_cursor, write_cursor
from management.personal import PARTNERSHIP, list_of, tell_subject
from management.web import context, reading
from runtime.clock import utc_now

bp = Blueprint("mail_access_api", __name__, url_prefix="/api/v1")


Only = Literal[
    "",
    "held",
    "failed",
    "overridden",
    "exception",
    "grace",
    "doors",
    "not_done",
    "done_block",
    "wiping",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipQuery:
    """Which partnerships are wanted."""

    wanted: Literal["", "allow", "block", "leave"] = ""
    match: Literal["", "sure", "by_hand", "unsure", "proposed", "none", "unmatched"] = ""
    only: Only = ""
    """`not_done`: decided, and the connector has not said that it did it; `done_block`: it blocked
    it; `wiping`: a wipe of it is not over; `doors`: blocked, while other ways to mail are open."""
    connector_id: UUID | None = None
    with_gone: bool = False
    """Also those that the mail server no longer knows."""
    text: Words = ""
    """Words that mailbox, address, DeviceId or model begin with; of a Japanese name any part."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipAnswer:
    """One (mailbox, DeviceId) pair, what is wanted for it and why, and what was done."""

    VOLATILE: ClassVar = frozenset({"seen_at", "last_sync_at", "applied_at"})

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
    match: str
    """`sure`, `by_hand`, `unsure`, `proposed`, `none` or `unmatched`."""
    overridden_at: datetime | None
    """Since when somebody's change at the mail server stands against what is wanted."""
    exception: str
    exception_because: str
    exception_until: datetime | None
    open_doors: tuple[str, ...] | None
    """Ways to the user's mailbox that are open; null: not read yet."""
    last_sync_at: datetime | None
    next_due_at: datetime | None
    """When time alone changes what is wanted: a grace or an exception ends."""
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipPage:
    """Partnerships in the order in which they became known.

    A page may hold fewer than asked for, or none, and still name the place where it goes on.
    """

    items: tuple[PartnershipAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorAnswer:
    """A paired Exchange connector."""

    VOLATILE: ClassVar = frozenset(
        {
            "version",
            "contact_at",
            "problem",
            "waiting",
            "state",
            "authorities",
            "authority_problem",
        }
    )

    id: UUID
    name: str
    version: str
    paired_at: datetime
    contact_at: datetime | None
    disabled_at: datetime | None
    problem: str
    waiting: int
    """Changes not applied yet."""
    state: str
    """`normal`, `waiting`, `warning` (over 5 minutes), `disconnected` (over 9) or `disabled`."""
    undone: bool
    """It took back what it did and enforces nothing."""
    missing_rights: tuple[str, ...]
    """Cmdlets that its account may not run as needed, and which role gives them."""
    log_level: str
    authorities: tuple[TrustedAuthority, ...]
    """CA certificates under which it believes this server; empty: it does not say."""
    authority_problem: str
    """Why that is not in order and what mends it; empty: it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectors:
    """All connectors by name."""

    items: tuple[ConnectorAnswer, ...]
    next: str | None = None


@operation(
    bp, "/mail-access/partnerships", Permission.VIEW, in_groups=True, shows=list_of("partnerships")
)
def list_partnerships(query: PartnershipQuery) -> PartnershipPage:
    """List mail partnerships with what is wanted for each and why."""
    after = number_cursor(query.after) if query.after else 0
    wanted = Filter(
        text=query.text,
        wanted=query.wanted,
        match=query.match,
        only=query.only,
        connector=str(query.connector_id or ""),
        with_gone=query.with_gone,
    )
    with reading() as session:
        found, last = listing.look(session, wanted, after, query.limit)
    return PartnershipPage(
        items=tuple(described(row) for row, _name in found),
        next=write_cursor(last) if last is not None else None,
    )


@operation(
    bp,
    "/mail-access/partnerships/<int:partnership_id>",
    Permission.VIEW,
    in_groups=True,
    shows=PARTNERSHIP,
)
def get_partnership(partnership_id: int) -> PartnershipAnswer:
    """Get one phone at the mail server as it stands."""
    with reading() as session:
        row = queries.get_partnership(session, partnership_id)
        tell_subject(queries.audited_name(row))
        return described(row)


@operation(bp, "/mail-access/connectors", Permission.VIEW, paged_by="id")
def list_connectors() -> Connectors:
    """List the paired Exchange connectors."""
    now = utc_now()
    with reading() as session:
        found = queries.list_connectors(session)
    return Connectors(items=tuple(described_connector(row, now) for row in found))


def described_connector(row: Connector, now: datetime) -> ConnectorAnswer:
    """Return what the API says of a connector."""
    ca = authorities.of(row, authorities.newest(context().keys), now)
    return ConnectorAnswer(
        id=row.id,
        name=row.name,
        version=row.version,
        paired_at=row.paired_at,
        contact_at=row.contact_at,
        disabled_at=row.disabled_at,
        problem=row.problem,
        waiting=row.waiting,
        state=connector_state(row.disabled_at, row.contact_at, now),
        undone=row.undo_at is not None or bool(row.status.get("undone")),
        missing_rights=_missing(row),
        log_level=log_level_of(row, now),
        authorities=ca.trusted if ca else (),
        authority_problem=ca.why if ca else "",
    )


def _missing(row: Connector) -> tuple[str, ...]:
    said = read_status(row)
    rights = said.rights if said else ()
    return tuple(f"{right.cmdlet}: {right.missing}" for right in rights if right.missing)


def described(row: Partnership) -> PartnershipAnswer:
    """Return what the API says of a phone."""
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
        match=row.match,
        overridden_at=row.overridden_at,
        exception=row.exception,
        exception_because=row.exception_because,
        exception_until=row.exception_until,
        open_doors=None if row.open_doors is None else tuple(row.open_doors.split()),
        last_sync_at=row.last_sync_at,
        next_due_at=row.next_due_at,
        seen_at=row.seen_at,
    )
