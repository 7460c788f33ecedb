"""What management and a relay say to each other over the link (management dials)."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.connector import LARGEST_LOG_BYTES, LogLevel
from contracts.types import Compact, Epoch, Instant, Jwk, Name, Sequence, Sha256, Short

BATCH = 200
"""Most items in one message of the link."""
Port = Annotated[int, Field(ge=1, le=65_535)]
Ports = Annotated[tuple[Port, ...], Field(min_length=1, max_length=4)]
"""The first is the one that counts; the others are open until everybody knows it."""
Pem = Annotated[str, Field(min_length=1, max_length=100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One sealed message that waits in the relay's mailbox for management."""

    id: int
    kind: Literal["enrolment", "report"]
    sender: UUID
    """The device id, or the enrolment id for ``enrolment``; only a claim until it is opened."""
    received_at: Instant
    sealed: Compact


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundBatch:
    """Answer of ``GET /link/v1/inbound``, oldest first."""

    v: int = 1
    items: Annotated[tuple[Inbound, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Body of ``POST /link/v1/inbound/taken``: management holds these, forget them."""

    v: int = 1
    ids: Annotated[tuple[int, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """One sealed order for a device, or the answer to an enrolment."""

    kind: Literal["order", "enrolment_answer"]
    recipient: UUID
    epoch: Epoch
    seq: Sequence
    sealed: Compact


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """A device has acknowledged orders up to ``seq`` of ``epoch`` (and all earlier epochs)."""

    recipient: UUID
    epoch: Epoch
    seq: Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundBatch:
    """Body of ``POST /link/v1/outbound``; repeating it changes nothing."""

    v: int = 1
    items: Annotated[tuple[Outbound, ...], Field(max_length=BATCH)] = ()
    discards: Annotated[tuple[Discard, ...], Field(max_length=BATCH)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevice:
    """A device that may use its mailbox (``active``), or may no longer."""

    device_id: UUID
    signing_key: Jwk
    active: bool
    next_signing_key: Jwk | None = None
    """Opens the mailbox too: the device asked for it and may begin to use it at any moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDevices:
    """Body of ``POST /link/v1/devices``: additions and changes; the others stay as they are."""

    v: int = 1
    devices: Annotated[tuple[KnownDevice, ...], Field(max_length=BATCH)]
    as_of: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDevices:
    """Body of ``POST /link/v1/live``: somebody waits for what these devices do; let them hurry."""

    v: int = 1
    devices: Annotated[tuple[UUID, ...], Field(max_length=BATCH)]
    seconds: Annotated[int, Field(ge=1, le=3600)]
    """For so long from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Body of ``PUT /link/v1/trust``: the signed statement that the relay hands to any device."""

    v: int = 1
    statement: Compact


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCertificate:
    """Body of ``PUT /link/v1/certificate``: what devices see from now on.

    The key travels as it is: the link's TLS ends at the very key that was pinned at pairing, so
    sealing it to the same machine once more would keep nobody out.
    """

    v: int = 1
    chain: Pem
    """Leaf first."""
    key: Pem
    """PKCS#8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Body of ``PUT /link/v1/settings``: under which name and at which ports the relay listens."""

    v: int = 1
    public_name: Name
    devices_ports: Ports
    http_ports: Ports
    link_ports: Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWish:
    """Body of ``PUT /link/v1/log-level``: for so long; then, and after a restart, as usual."""

    v: int = 1
    level: LogLevel
    seconds: Annotated[int, Field(ge=1, le=86_400)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLog:
    """Answer of ``GET /link/v1/log``: the relay's own log."""

    v: int = 1
    name: Name
    """``HOST_VERSION_TIME.zip``"""
    zip: Annotated[str, Field(max_length=LARGEST_LOG_BYTES * 4 // 3 + 4)]
    """In Base64 (RFC 4648 section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Who else spoke to the relay as management, last."""

    at: Instant
    address: Short
    same_keys: bool
    """It holds management's keys: a copy of its data folder. Else a stranger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStatus:
    """Answer of ``GET /link/v1/status``."""

    v: int = 1
    version: Short
    started_at: Instant
    now: Instant
    inbound_waiting: int
    outbound_waiting: int
    devices_known: int
    devices_as_of: Instant | None
    certificate_sha256: Sha256 | None = None
    """Of the leaf (DER) that devices see; None: it has none yet."""
    certificate_until: Instant | None = None
    settings: RelaySettings | None = None
    rival: Rival | None = None
    download: Short = ""
    """``tag`` of the `contracts.download.Download` that it holds."""
    log_level: Short = ""
    """What a `LogWish` that holds still asked for; empty: none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """When a relay says it heard from a device: a hint for the console, never proof of contact."""

    device_id: UUID
    polled_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBatch:
    """Answer of ``GET /link/v1/seen?since=INSTANT``."""

    v: int = 1
    devices: tuple[Seen, ...]
