"""What management and an Exchange connector say to each other (the connector dials)."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.types import Instant, Jwk, Name, Short, Text

BATCH = 500

Access = Literal["allow", "block", "leave"]
"""``leave``: the connector takes back what it did itself and touches nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRequest:
    """Body of ``POST /connector/v1/pairings``; the code is typed by an administrator, used once."""

    v: int = 1
    code: Name
    key: Jwk
    name: Name
    version: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    v: int = 1
    connector_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Partnership:
    """One (mailbox, DeviceId) pair as the mail server knows it (``Get-MobileDevice``)."""

    mailbox: Name
    """The mailbox's identity as the backend takes it back, for example ``user0``."""
    user_address: Short = ""
    """The user's mail address, when the server says it."""
    device_id: Annotated[str, Field(min_length=1, max_length=64)]
    device_type: Short = ""
    device_model: Short = ""
    device_os: Short = ""
    user_agent: Short = ""
    access_state: Short
    """``DeviceAccessState``: Allowed, Blocked, Quarantined, DeviceDiscovery, Unknown."""
    access_reason: Short = ""
    """``DeviceAccessStateReason``."""
    first_sync_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipBatch:
    """Body of ``POST /connector/v1/partnerships``.

    A full pass is a run of batches with one ``pass_id``; the last has ``complete``: what was not
    in the pass is gone from the server.
    """

    v: int = 1
    pass_id: UUID
    seen_at: Instant
    complete: bool
    partnerships: Annotated[tuple[Partnership, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What management wants for one partnership, and why."""

    mailbox: Name
    device_id: Name
    access: Access
    because: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAccess:
    """Answer of ``GET /connector/v1/access``: everything the connector should hold."""

    v: int = 1
    issue: int
    """Rises whenever the list changes."""
    paused: bool
    """All enforcement is paused: change nothing at the mail server."""
    paused_because: Text = ""
    cycle_seconds: Annotated[int, Field(ge=1, le=86_400)]
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the connector did at the mail server for one partnership."""

    mailbox: Name
    device_id: Name
    access: Access
    at: Instant
    error: Text = ""
    """Empty when the server took it; else the server's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedBatch:
    """Body of ``POST /connector/v1/applied``; repeating it changes nothing."""

    v: int = 1
    applied: Annotated[tuple[Applied, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorStatus:
    """Body of ``POST /connector/v1/status``, once a cycle."""

    v: int = 1
    version: Short
    at: Instant
    exchange_reachable: bool
    problem: Text = ""
    waiting: int
    """Changes not applied yet."""
