"""What agents and management say to each other; the relay carries it sealed (`contracts.envelope`).

Orders go down, reports go up. Both count: ``seq`` rises by one from 1 in each direction within an
enrolment epoch, ``ack`` says the highest contiguous ``seq`` received from the other side. A sender
keeps a message until it is acknowledged and sends it again unchanged; a receiver takes only the
next number, so nothing is lost, repeated or reordered unnoticed. `docs/agent-protocol.md` explains.
"""

from dataclasses import dataclass
from uuid import UUID

from contracts.attestation import AskAttestation, Attestation
from contracts.enrolment import (
    DeviceDescription,
    EnrolmentRequest,
    ManagementMode,
    Platform,
    TermsNumber,
)
from contracts.orders import (
    ApplyPolicy,
    AskTerms,
    CommandKind,
    Enrolled,
    EnrolmentRefused,
    NewAgent,
    NewPatterns,
    OfferApps,
    OfferedApp,
    Order,
    OrderBody,
    PolicyDocument,
    Receipt,
    RunCommand,
    SettingNeed,
    StoreLink,
    TermsHtml,
    UploadApp,
)
from contracts.renewal import KeyProof, Renewal, RenewalRefused, Renewed
from contracts.reports import (
    Apps,
    AppUpload,
    CommandResult,
    Digest,
    InstalledApp,
    Leaving,
    NotApplied,
    Posture,
    RelayProblem,
    Report,
    ReportItem,
    Sim,
    TermsAnswer,
)
from contracts.trust import Handover, RelayEntry, TrustStatement
from contracts.types import Compact, Epoch, Instant, Jwk, Name, Sequence

__all__ = [
    "MANAGEMENT",
    "AppUpload",
    "ApplyPolicy",
    "Apps",
    "AskAttestation",
    "AskTerms",
    "Attestation",
    "CommandKind",
    "CommandResult",
    "DeviceDescription",
    "Digest",
    "Enrolled",
    "EnrolmentPost",
    "EnrolmentRefused",
    "EnrolmentRequest",
    "Handover",
    "InstalledApp",
    "KeyProof",
    "Leaving",
    "ManagementMode",
    "NewAgent",
    "NewPatterns",
    "NotApplied",
    "OfferApps",
    "OfferedApp",
    "Order",
    "OrderBody",
    "Platform",
    "PolicyDocument",
    "PollAnswer",
    "PollToken",
    "Posture",
    "Receipt",
    "RelayEntry",
    "RelayProblem",
    "Renewal",
    "RenewalRefused",
    "Renewed",
    "Report",
    "ReportItem",
    "ReportPost",
    "RunCommand",
    "SealedOrders",
    "SettingNeed",
    "Sim",
    "StoreLink",
    "TermsAnswer",
    "TermsHtml",
    "TermsNumber",
    "TrustStatement",
    "UploadApp",
]
"""All messages; each stands with those of its own story."""

MANAGEMENT = "management"
"""``iss`` of orders and ``aud`` of reports."""


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
