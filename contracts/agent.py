"""What agents and management say to each other; the relay carries it sealed (`contracts.envelope`).

Orders go down, reports go up. Both count: ``seq`` rises by one from 1 in each direction within an
enrolment epoch, ``ack`` says the highest contiguous ``seq`` received from the other side. A sender
keeps a message until it is acknowledged and sends it again unchanged; a receiver takes only the
next number, so nothing is lost, repeated or reordered unnoticed. `docs/agent-protocol.md` explains.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from contracts.files import FileSize
from contracts.types import Compact, Epoch, Instant, Jwk, Name, Sequence, Sha256, Short, Text

MANAGEMENT = "management"
"""``iss`` of orders and ``aud`` of reports."""

Platform = Literal["android", "ios"]
TermsNumber = Annotated[int, Field(ge=1, le=1_000_000)]
TermsHtml = Annotated[str, Field(max_length=64_000)]
"""Sanitised by management: no script, no picture, no foreign address."""
ManagementMode = Literal["", "device_owner", "work_profile", "agent", "supervised", "user"]
"""How far management reaches: Android as device owner, in a work profile or as a plain agent;
Apple supervised or by user enrolment. Empty: not said."""


class CommandKind(StrEnum):
    """What a device can be told to do."""

    LOCK = "lock"
    UNLOCK = "unlock"
    WIPE = "wipe"
    SELECTIVE_WIPE = "selective_wipe"
    RESET_PASSCODE = "reset_passcode"
    LOCATE = "locate"
    SCAN_NOW = "scan_now"
    UPDATE_NOW = "update_now"
    MESSAGE = "message"
    LOST_MODE = "lost_mode"
    """Locked behind a message and a telephone number until `UNLOCK`."""
    INSTALL_APP = "install_app"
    REMOVE_APP = "remove_app"


# --- management's signed statement about itself ---


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayEntry:
    """A communication server that devices may use and the certificates its TLS may chain to."""

    url: Name
    ca_certificates: tuple[Text, ...]
    """PEM."""
    ends_at: Instant | None = None
    """Devices there move to an entry without an end before this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStatement:
    """Says with which key management reads reports and which relays carry them.

    A JWS of type `envelope.TRUST` whose signer's thumbprint is the fingerprint in the enrolment
    key. A higher ``issue`` replaces a lower one, never the other way round.
    """

    v: int = 1
    issue: Sequence
    issued_at: Instant
    order_signing_key: Jwk
    encryption_key: Jwk
    successor_thumbprint: Short
    """SHA-256 thumbprint of the order-signing key that will follow this one."""
    relays: tuple[RelayEntry, ...]
    succession: Annotated[tuple[Compact, ...], Field(max_length=50)] = ()
    """`Handover` of each earlier order-signing key, oldest first, as a JWS of that key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """An order-signing key's last word, a JWS of type `envelope.HANDOVER` signed with it.

    A device that knows which key was to follow its own walks from one to the next, so that it
    reaches today's key however many changes it slept through.
    """

    v: int = 1
    order_signing_key: Jwk
    """The key that ends, and signs this."""
    successor_thumbprint: Short
    at: Instant


# --- enrolment ---


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDescription:
    """What a device says of itself that never changes."""

    platform: Platform
    ownership: Literal["company", "personal"] = "company"
    management_mode: ManagementMode = ""
    manufacturer: Short = ""
    model: Short = ""
    serial: Short = ""
    imei: Short = ""
    meid: Short = ""
    wifi_mac: Short = ""
    enterprise_id: Short = ""
    """Android's enrolment-specific id; the same after a factory reset, other than serial."""
    exchange_device_id: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9]*$")] = ""
    """The DeviceId that its mail client claims in ActiveSync (MS-ASHTTP 2.2.1.1.1.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """Asks to become ours; signed with the key it names and sealed to management.

    ``enrolment_id`` is the device's own random choice and makes a repeated request harmless.
    """

    v: int = 1
    enrolment_id: UUID
    aud: Literal["management"]
    sent_at: Instant
    enrolment_key: Name
    user_name: Short = ""
    user_password: Short = ""
    signing_key: Jwk
    encryption_key: Jwk
    device: DeviceDescription
    accepted_terms: TermsNumber | None = None
    """Version of the terms of use that the user accepted on this device."""


# --- orders: management to device ---


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingNeed:
    """What a device must be to apply a setting; one that is not tells so in `Posture`."""

    setting: Name
    """``CATEGORY.SETTING``"""
    modes: tuple[ManagementMode, ...] = ()
    """Any of these; empty: in any way."""
    minimum_os_version: Short = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocument:
    """A policy version as the device gets it.

    ``settings``: category -> {setting: value}, or a list of those where a category has entries
    with a ``name``. `docs/policy-settings.md` lists them; what an agent does not know it reports.
    """

    policy_id: UUID
    version: Annotated[int, Field(ge=1)]
    name: Name
    settings: dict[str, Any]
    needs: tuple[SettingNeed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The first order of an epoch (``seq`` 1): the device is ours."""

    kind: Literal["enrolled"] = "enrolled"
    enrolment_id: UUID
    device_id: UUID
    certificate: Text
    """PEM, issued by the built-in CA for the device's signing key."""
    ca_certificate: Text
    poll_seconds: Annotated[int, Field(ge=1, le=86_400)]
    digest_seconds: Annotated[int, Field(ge=1, le=86_400)]
    policy: PolicyDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRefused:
    """Says why an enrolment is not granted; ``aud`` is the enrolment id, ``seq`` is 1."""

    kind: Literal["enrolment_refused"] = "enrolment_refused"
    enrolment_id: UUID
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTerms:
    """Show the terms of use and ask the user.

    As the answer to an enrolment (``aud`` is the enrolment id, ``seq`` 1) it names that: the device
    enrols anew with ``accepted_terms``. On an enrolled device the answer is `TermsAnswer`.
    """

    kind: Literal["ask_terms"] = "ask_terms"
    version: TermsNumber
    title: Short
    html: TermsHtml
    enrolment_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAgent:
    """A newer agent package; its bytes lie with the relay as those of `OfferedApp`."""

    kind: Literal["new_agent"] = "new_agent"
    package: Name
    version: Short
    sha256: Sha256
    size_bytes: FileSize
    signer_sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPolicy:
    kind: Literal["apply_policy"] = "apply_policy"
    policy: PolicyDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """Do something once; repeated orders with the same ``command_id`` are done once.

    Only a higher ``attempt`` after the device's own ``failed`` with ``try_again`` is done anew.
    """

    kind: Literal["run_command"] = "run_command"
    command_id: UUID
    command: CommandKind
    arguments: dict[str, Short]
    expires_at: Instant
    attempt: Annotated[int, Field(ge=1, le=1000)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPatterns:
    kind: Literal["new_patterns"] = "new_patterns"
    pattern_version: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedApp:
    """An app of the store for this device; its bytes lie with the relay (`contracts.files`)."""

    package: Name
    name: Short
    version: Short
    category: Short = ""
    sha256: Sha256
    size_bytes: FileSize
    signer_sha256: Sha256 | None = None
    required: bool
    """Installed without asking; the others are the user's choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLink:
    """An app in somebody else's store that the user is pointed to."""

    store: Literal["google_play", "app_store"]
    id: Name
    """The package on Google Play, the number in the App Store."""
    name: Short
    category: Short = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferApps:
    """All that the app store offers to this device; replaces what was offered before."""

    kind: Literal["offer_apps"] = "offer_apps"
    apps: Annotated[tuple[OfferedApp, ...], Field(max_length=500)]
    links: Annotated[tuple[StoreLink, ...], Field(max_length=500)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadApp:
    """Send the file of an installed app, encrypted in parts; see `contracts.files`.

    The same ``upload_id`` is done once. A device whose owner does not allow it says so.
    """

    kind: Literal["upload_app"] = "upload_app"
    upload_id: UUID
    sha256: Sha256
    largest_bytes: FileSize
    expires_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Carries nothing but ``ack``: management holds these reports, the device may forget them."""

    kind: Literal["receipt"] = "receipt"


OrderBody = Annotated[
    Enrolled
    | EnrolmentRefused
    | AskTerms
    | NewAgent
    | ApplyPolicy
    | RunCommand
    | NewPatterns
    | OfferApps
    | UploadApp
    | Receipt,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One message from management, a JWS of type `envelope.ORDER` in a JWE to the device."""

    v: int = 1
    iss: Literal["management"]
    aud: UUID
    """The device id (or the enrolment id in `EnrolmentRefused`)."""
    epoch: Epoch
    seq: Sequence
    ack: Sequence
    sent_at: Instant
    body: OrderBody


# --- reports: device to management ---


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplied:
    """A setting of the applied policy that the device could not apply, in its own words."""

    setting: Name
    """``CATEGORY.SETTING``"""
    entry: Short = ""
    """Name of the network, account or other entry."""
    because: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """What a device says of itself now; None: it does not know or cannot tell."""

    kind: Literal["posture"] = "posture"
    os_version: Short | None = None
    security_patch: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    rooted: bool | None = None
    encrypted: bool | None = None
    passcode_set: bool | None = None
    developer_options: bool | None = None
    usb_debugging: bool | None = None
    unknown_sources: bool | None = None
    roaming: bool | None = None
    agent_version: Short | None = None
    pattern_version: Short | None = None
    applied_policy_id: UUID | None = None
    applied_policy_version: int | None = None
    not_applied: Annotated[tuple[NotApplied, ...], Field(max_length=200)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledApp:
    package: Name
    name: Short
    version: Short
    sha256: Sha256
    signer_sha256: Sha256 | None = None
    """Of the signer's DER certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apps:
    """All apps on the device; replaces what it said before."""

    kind: Literal["apps"] = "apps"
    apps: Annotated[tuple[InstalledApp, ...], Field(max_length=5000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    kind: Literal["command_result"] = "command_result"
    command_id: UUID
    state: Literal["acknowledged", "done", "failed"]
    at: Instant
    detail: Text = ""
    try_again: bool = False
    """With ``failed``: the same may succeed later (no location now, no room now)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """At least daily: here I am, nothing else is new. Proof of contact (DESIGN.md, decision 2)."""

    kind: Literal["digest"] = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProblem:
    """The device refused what the relay gave it."""

    kind: Literal["relay_problem"] = "relay_problem"
    problem: Literal["forged", "replayed", "gap", "foreign", "unreadable"]
    detail: Text
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """The user removed the agent's profile; the device is no longer managed."""

    kind: Literal["leaving"] = "leaving"
    reason: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppUpload:
    """What became of `UploadApp`: all parts lie with the relay, or why nothing comes."""

    kind: Literal["app_upload"] = "app_upload"
    upload_id: UUID
    state: Literal["sent", "refused"]
    size_bytes: FileSize | None = None
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")] | None = None
    """For `contracts.files.open_part`."""
    detail: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsAnswer:
    """What the user said to `AskTerms`."""

    kind: Literal["terms_answer"] = "terms_answer"
    version: TermsNumber
    accepted: bool
    at: Instant


ReportItem = Annotated[
    Posture | Apps | CommandResult | Digest | RelayProblem | Leaving | AppUpload | TermsAnswer,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One message from a device, a JWS of type `envelope.REPORT` in a JWE to management."""

    v: int = 1
    iss: UUID
    aud: Literal["management"]
    epoch: Epoch
    seq: Sequence
    ack: Sequence
    sent_at: Instant
    items: Annotated[tuple[ReportItem, ...], Field(max_length=100)]


# --- what travels openly between agent and relay ---


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentPost:
    """Body of ``POST /agent/v1/enrolments``. The relay keeps the key to know who asks again."""

    v: int = 1
    enrolment_id: UUID
    signing_key: Jwk
    sealed: Compact


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPost:
    """Body of ``POST /agent/v1/reports``: numbered openly too, so that a repeat is stored once."""

    v: int = 1
    epoch: Epoch
    seq: Sequence
    sealed: Compact


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedOrders:
    """Answer of ``GET /agent/v1/orders`` and ``GET /agent/v1/enrolments/<id>``."""

    v: int = 1
    orders: tuple[Compact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PollToken:
    """Answer of ``POST /agent/v1/token``."""

    v: int = 1
    token: Name
    expires_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PollAnswer:
    """Body of a poll that found something."""

    v: int = 1
    orders_waiting: int
