"""What management tells a device, one numbered order after the other (`contracts.agent`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from contracts.attestation import AskAttestation
from contracts.enrolment import ManagementMode, TermsNumber
from contracts.files import FileSize
from contracts.renewal import RenewalRefused, Renewed
from contracts.types import Epoch, Instant, Name, Sequence, Sha256, Short, Text

TermsHtml = Annotated[str, Field(max_length=64_000)]
"""Sanitised by management: no script, no picture, no foreign address."""


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
    RENEW_KEYS = "renew_keys"
    """Make new keys and ask for a certificate (`contracts.renewal`)."""


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
    | AskAttestation
    | Renewed
    | RenewalRefused
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
