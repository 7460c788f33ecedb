"""Enrolled devices, what is known of them, and the log of who said so."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, RowId
from management.policies.models import ROOT_GROUP


class Device(Base):
    """A phone or tablet that has enrolled."""

    __tablename__ = "device"
    __table_args__ = (
        Index(None, "name", "id"),
        Index(None, "policy_id", "id"),
        Index(None, "enrolled_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    owner_name: Mapped[str] = mapped_column(default="")
    owner_address: Mapped[str] = mapped_column(Unicode(254), index=True)
    platform: Mapped[str] = mapped_column(Unicode(20))
    ownership: Mapped[str] = mapped_column(Unicode(20))
    management_mode: Mapped[str] = mapped_column(Unicode(20), default="")
    """`contracts.agent.ManagementMode`."""
    manufacturer: Mapped[str] = mapped_column(default="")
    model: Mapped[str] = mapped_column(default="")
    serial: Mapped[str] = mapped_column(default="", index=True)
    imei: Mapped[str] = mapped_column(default="", index=True)
    """IMEI or MEID."""
    wifi_mac: Mapped[str] = mapped_column(default="")
    enterprise_id: Mapped[str] = mapped_column(default="")
    """Android's enrolment-specific id."""
    exchange_device_id: Mapped[str] = mapped_column(Unicode(64), default="", index=True)
    enrolment_state: Mapped[str] = mapped_column(Unicode(20), index=True)
    """`devices.rules.EnrolmentState`."""
    enrolled_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
    group_id: Mapped[UUID] = mapped_column(
        ForeignKey("device_group.id"), default=ROOT_GROUP, index=True
    )
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("policy.id"))
    policy_is_own: Mapped[bool] = mapped_column(default=False)
    """An administrator gave it this policy by name, so that of its group does not hold."""
    ordered_policy: Mapped[str] = mapped_column(Unicode(64), default="")
    """``POLICY ID/VERSION`` that it was last ordered to apply."""
    certificate_serial: Mapped[str] = mapped_column(Unicode(64))
    certificate_until: Mapped[datetime | None] = mapped_column(index=True)
    renewed_at: Mapped[datetime | None]
    """When the device began to use its present certificate, if not at its enrolment."""
    # The agent protocol's counters, see contracts/agent.py.
    signing_key: Mapped[dict[str, Any]]
    encryption_key: Mapped[dict[str, Any]]
    key_thumbprint: Mapped[str] = mapped_column(Unicode(43), default="", index=True)
    """Of `signing_key`."""
    former_key: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The signing key before it, or empty: it may repeat reports and say nothing new."""
    renewal: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`enrolment.renewing.Pending`: keys that it asked for and did not use yet, or empty."""
    epoch: Mapped[int] = mapped_column(default=1)
    inbound_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    """Highest contiguous report received."""
    outbound_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    """Highest order written."""
    receipted_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    """Highest report that an order told the device we hold."""
    outbound_ack: Mapped[int] = mapped_column(BigInteger, default=0)
    """Highest order the device acknowledged."""
    recent_reports: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Number -> start of the SHA-256 of the last few reports taken, to tell repeat from change."""
    relay_id: Mapped[UUID | None]
    """The relay through which its last signed report came; orders go there."""
    contact_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the device last proved itself with a signed, sequenced report."""
    log_begins_at: Mapped[datetime | None]
    """What was known before is forgotten (`devices.fact_log.forget_facts`)."""


class DevicePoll(Base):
    """When a relay says that a device polled; a hint only. Narrow, as it changes all the time."""

    __tablename__ = "device_poll"

    device_id: Mapped[UUID] = mapped_column(primary_key=True)
    polled_at: Mapped[datetime] = mapped_column(index=True)


class LiveDevice(Base):
    """A device that hurries, because an administrator did something with it."""

    __tablename__ = "live_device"

    device_id: Mapped[UUID] = mapped_column(primary_key=True)
    until: Mapped[datetime] = mapped_column(index=True)
    told_at: Mapped[datetime | None]
    """When its relay was told."""


class DeviceFacts(Base):
    """The current facts of one device in one row; can be rebuilt from `Fact`."""

    __tablename__ = "device_facts"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    facts: Mapped[dict[str, Any]]
    """Fact kind -> {"value", "source", "said_at"}; see `compliance.rules.read_facts`."""
    changed_at: Mapped[datetime]


class Fact(Base):
    """The append-only log: what a source said of a device at a time."""

    __tablename__ = "fact"
    __table_args__ = (Index(None, "device_id", "kind", "said_at"),)

    id: Mapped[RowId]
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"))
    kind: Mapped[str] = mapped_column(Unicode(50))
    value: Mapped[dict[str, Any]]
    """{"value": ...}: a JSON column cannot tell its own null from none."""
    source: Mapped[str]
    said_at: Mapped[datetime]
    received_at: Mapped[datetime]


class DeviceJudgement(Base):
    """The latest `compliance.rules.Judgement` of one device, so that lists need no judging.

    It stands beside the device because the device list filters by it; `compliance` writes it.
    """

    __tablename__ = "device_judgement"

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    state: Mapped[str] = mapped_column(Unicode(20), index=True)
    since: Mapped[datetime]
    violations: Mapped[list[Any]]
    missing: Mapped[list[Any]]
    stale: Mapped[list[Any]] = mapped_column(default=list)
    undecided: Mapped[list[Any]] = mapped_column(default=list)
    consequences: Mapped[list[Any]] = mapped_column(default=list)
    """All `compliance.judgement.DueConsequence`, the earliest first."""
    risk: Mapped[str] = mapped_column(Unicode(10), default="none", index=True)
    """`compliance.judgement.Risk`."""
    policy_id: Mapped[UUID]
    policy_version: Mapped[int]
    judged_at: Mapped[datetime]
    next_due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When time alone changes the answer or makes a consequence due."""


class DeviceApp(Base):
    """An app that a device says is installed."""

    __tablename__ = "device_app"
    __table_args__ = (Index(None, "sha256", "device_id"),)

    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    package: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(Unicode(64))
    name: Mapped[str]
    version: Mapped[str]
    signer_sha256: Mapped[str] = mapped_column(Unicode(64), default="")
    first_seen_at: Mapped[datetime]
    said_at: Mapped[datetime]
