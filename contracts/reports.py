"""What a device tells management, one numbered report after the other (`contracts.agent`)."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.attestation import Attestation
from contracts.enrolment import TermsNumber
from contracts.files import FileSize
from contracts.renewal import Renewal
from contracts.types import Epoch, Instant, Name, Sequence, Sha256, Short, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplied:
    """A setting of the applied policy that the device could not apply, in its own words."""

    setting: Name
    """``CATEGORY.SETTING``"""
    entry: Short = ""
    """Name of the network, account or other entry."""
    because: Short


@dataclass(frozen=True, slots=True, kw_only=True)
class Sim:
    """A SIM card or eSIM profile in use; its numbers stay on the device."""

    mark: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22}$")]
    """Says whether it is the same SIM as before, and nothing else: made with a secret of the device
    (docs/agent-protocol.md, section 8). No ICCID or IMSI is so long."""
    operator: Annotated[str, Field(max_length=64)] = ""
    country: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""
    """Of the operator, ISO 3166-1."""


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
    sims: Annotated[tuple[Sim, ...], Field(max_length=8)] | None = None
    """Empty: there is none."""
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
    Posture
    | Apps
    | CommandResult
    | Digest
    | RelayProblem
    | Leaving
    | AppUpload
    | TermsAnswer
    | Renewal
    | Attestation,
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
