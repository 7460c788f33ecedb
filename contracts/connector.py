"""What management and an Exchange connector say to each other (the connector dials)."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.types import Compact, Instant, Jwk, Name, Short, Text

BATCH = 500
MOST_AUTHORITIES = 8
LARGEST_LOG_BYTES = 3 * 1024 * 1024
"""Of the ZIP that a connector sends to ``POST /connector/v1/logs/ORDER/NAME``."""

Access = Literal["allow", "block", "leave"]
"""``leave``: the connector takes back what it did itself and touches nothing else."""
Door = Literal["activesync", "imap", "pop", "ews", "owa", "mapi"]
"""A way to a mailbox that ``Get-CASMailbox`` knows."""
WhenSilent = Literal["hold", "open"]
"""What a connector does that hears nothing from management: ``hold`` keeps every block (fail
closed), ``open`` takes the blocks back (fail open)."""
LogLevel = Literal["error", "warning", "info", "debug", "trace"]
"""``trace`` also shows what the libraries for HTTP and remote PowerShell say."""
DeviceId = Annotated[str, Field(min_length=1, max_length=64)]
Kind = Literal["exchange", "gate"]
ReleaseState = Literal["updated", "failed", "refused"]
"""``exchange`` gives a mail server orders; ``gate`` stands between phones and a mail server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingRequest:
    """Body of ``POST /connector/v1/pairings``; the code is typed by an administrator, used once."""

    v: int = 1
    code: Name
    key: Jwk
    name: Name
    version: Short
    kind: Kind = "exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    v: int = 1
    connector_id: UUID
    order_key: Jwk | None = None
    """Management's order-signing key: a wipe that it did not sign is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partnership:
    """One (mailbox, DeviceId) pair as the mail server knows it (``Get-MobileDevice``)."""

    mailbox: Name
    """The mailbox's identity as the backend takes it back, for example ``user0``."""
    user_address: Short = ""
    """The user's mail address, when the server says it."""
    device_id: DeviceId
    guid: Short = ""
    """Of the partnership in the directory; stays when the user is renamed or moved."""
    device_type: Short = ""
    device_model: Short = ""
    device_os: Short = ""
    user_agent: Short = ""
    access_state: Short
    """``DeviceAccessState``: Allowed, Blocked, Quarantined, DeviceDiscovery, Unknown."""
    access_reason: Short = ""
    """``DeviceAccessStateReason``."""
    first_sync_at: Instant | None = None
    open_doors: tuple[Door, ...] | None = None
    """What stays open to this user's mailbox; None when it was not read this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnershipBatch:
    """Body of ``POST /connector/v1/partnerships``.

    A full pass is a run of batches with one ``pass_id``; the last has ``complete``: what was not
    in the pass is gone from the server. A delta is a run of batches none of which is complete.
    """

    v: int = 1
    pass_id: UUID
    seen_at: Instant
    complete: bool
    partnerships: Annotated[tuple[Partnership, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """When one phone last synchronised (``Get-MobileDeviceStatistics``)."""

    mailbox: Name
    device_id: DeviceId
    last_sync_at: Instant | None = None
    """None: never, as far as the server knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedBatch:
    """Body of ``POST /connector/v1/synced``: the phones of a few mailboxes, oldest look first."""

    v: int = 1
    at: Instant
    synced: Annotated[tuple[Synced, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What management wants for one partnership, and why."""

    mailbox: Name
    device_id: Name
    access: Access
    because: Text
    since: Instant | None = None
    """When this was decided; a later one of the same access ends "overridden in Exchange"."""
    certificate: Short = ""
    """Serial number (hexadecimal) of the matched device's certificate, for gates that ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessMark:
    """Answer of ``GET /connector/v1/mark``: changes whenever the answer of ``/access`` may."""

    v: int = 1
    mark: Name


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseWish:
    """When a connector may take a newer release; what one holds it believes only when signed.

    The signed lists are under ``GET /connector/v1/releases/metadata/NAME``, the wheel is under
    ``/connector/v1/releases/targets/server/NAME``, as in any update source (TUF).
    """

    version: Short
    """The newest that management has."""
    hour: Annotated[int, Field(ge=0, le=23)] = 2
    """Of the day, in UTC, from which on it may update by itself."""
    hours: Annotated[int, Field(ge=0, le=24)] = 3
    """For so long; 0: never by itself."""
    order: UUID | None = None
    """A person's order to update now, whatever the hour and whatever was refused before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """The connector's last attempt to take a newer release."""

    version: Short
    """Which it tried; empty when it did not come so far."""
    state: ReleaseState
    """``failed``: it is tried again; ``refused``: this release is not, but by a person's order."""
    at: Instant
    detail: Text
    """Why, and what mends it."""
    order: UUID | None = None
    """The order that it obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedAuthority:
    """A CA certificate under which a connector believes management."""

    fingerprint: Short
    """As the pairing code names it (`contracts.certificates`)."""
    name: Short
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAccess:
    """Answer of ``GET /connector/v1/access``: everything the connector should hold.

    With ``?since=INSTANT`` it is not ``whole``: only what was decided since then, ``leave`` too.
    """

    v: int = 1
    issue: int
    """Rises whenever the list changes."""
    paused: bool
    """All enforcement is paused: change nothing at the mail server."""
    paused_because: Text = ""
    cycle_seconds: Annotated[int, Field(ge=1, le=86_400)]
    wanted: tuple[Wanted, ...]
    undo: bool = False
    """Take back everything that this connector did, also while enforcement is paused."""
    when_silent: WhenSilent = "hold"
    silent_hours: Annotated[int, Field(ge=1, le=8760)] = 24
    """So long without management before ``when_silent`` acts."""
    log_level: LogLevel = "info"
    log_level_until: Instant | None = None
    """Until when that level holds; then it is the usual one again."""
    whole: bool = True
    at: Instant | None = None
    """Management's time of this answer."""
    fetch_log: UUID | None = None
    """An order to send the log; None: there is none, or it was taken back."""
    close_doors: tuple[Door, ...] = ()
    """Closed at every mailbox with a blocked phone, and put back when no phone is blocked."""
    trust: Compact | None = None
    """Management's statement (`contracts.trust`): leads to the key that signs wipes today."""
    release: ReleaseWish | None = None
    authorities: Annotated[tuple[Text, ...], Field(max_length=MOST_AUTHORITIES)] = ()
    """The built-in CA's certificate (PEM), when it certifies the console: the connector trusts a
    successor that the key of the one it was paired with signed, and no other."""
    wipes: Annotated[tuple[Compact, ...], Field(max_length=BATCH)] = ()
    """Signed `contracts.agent.Order`s of a wipe, whose arguments are those of `WIPE_ARGUMENTS`."""


WIPE_ARGUMENTS = ("connector", "mailbox", "device_id", "guid", "account_only")
"""What a wipe through Exchange names; ``account_only`` is ``yes`` or ``no``."""
WipeState = Literal["done", "acknowledged", "failed"]
"""``done``: the mail server took the order; ``acknowledged``: it says the phone obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WipeReport:
    """Body of ``POST /connector/v1/wipes``; repeating it changes nothing."""

    v: int = 1
    command_id: UUID
    state: WipeState
    at: Instant
    detail: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the connector did at the mail server for one partnership."""

    mailbox: Name
    device_id: Name
    access: Access
    at: Instant
    error: Text = ""
    """Empty when the server took it; else the server's words."""
    overridden: bool = False
    """Somebody changed it by hand at the mail server, which this connector does not fight."""
    closed_doors: tuple[Door, ...] = ()
    """Of the mailbox, by this connector, because this phone is blocked."""
    reopened_doors: tuple[Door, ...] = ()
    """Closed by this connector and opened again by somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedBatch:
    """Body of ``POST /connector/v1/applied``; repeating it changes nothing."""

    v: int = 1
    applied: Annotated[tuple[Applied, ...], Field(max_length=BATCH)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Whether the service account may run one cmdlet with the parameters that are needed."""

    cmdlet: Name
    missing: Short = ""
    """Empty: it may; else what is missing and which role gives it."""


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
    full_at: Instant | None = None
    """When everything was last read."""
    delta_at: Instant | None = None
    """When it was last asked what is new."""
    unreported: int = 0
    """Results that management has not heard yet."""
    throttled_seconds: int = 0
    """How long Exchange made it wait since the process started."""
    calls: int = 0
    """Cmdlets run since the process started."""
    changes: int = 0
    """Of these, calls that changed something."""
    undone: bool = False
    """Everything was taken back and nothing is enforced until it is told to go on."""
    rights: tuple[Right, ...] = ()
    release: ReleaseReport | None = None
    """None: never tried to take a newer release."""
    authorities: Annotated[tuple[TrustedAuthority, ...], Field(max_length=MOST_AUTHORITIES)] = ()
    """Under which it believes management, the newest first; empty: it does not say."""
    open_requests: int = 0
    """At a gate: requests under way, most of them waiting for new mail."""
    refused: int = 0
    """At a gate: requests that were refused since the process started."""
    cut: int = 0
    """At a gate: requests that were ended because a decision changed."""
