"""What a device says to become ours; sealed to management, signed with the key it names."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.attestation import Chain
from contracts.types import Instant, Jwk, Name, Short

Platform = Literal["android", "ios"]
TermsNumber = Annotated[int, Field(ge=1, le=1_000_000)]
ManagementMode = Literal["", "device_owner", "work_profile", "agent", "supervised", "user"]
"""How far management reaches: Android as device owner, in a work profile or as a plain agent;
Apple supervised or by user enrolment. Empty: not said."""


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
    attestation: Chain = ()
    """Of the signing key, made with `contracts.attestation.enrolment_challenge`; empty: none."""
