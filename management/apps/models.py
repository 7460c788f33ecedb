"""Apps: what is known of each, uploaded files, verdicts, approvals, and who holds them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, Unicode
from sqlalchemy.orm import Mapped, mapped_column

from management.apps.rules import Basis
from management.database import Base, RowId
from management.devices.models import DeviceApp as DeviceApp


class App(Base):
    """An app that is known by the hash of its file: uploaded here, reported by a device, or both.

    The list of apps and all questions about reputation read this one row.
    """

    __tablename__ = "app"
    __table_args__ = (
        Index(None, "first_seen_at", "sha256"),
        Index(None, "verdict", "first_seen_at", "sha256"),
        Index(None, "recheck", "sha256"),
        Index(None, "pattern_version", "sha256"),
    )

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    package: Mapped[str] = mapped_column(default="", index=True)
    name: Mapped[str] = mapped_column(default="")
    version: Mapped[str] = mapped_column(default="")
    signer_sha256: Mapped[str] = mapped_column(Unicode(64), default="", index=True)
    base_sha256: Mapped[str] = mapped_column(Unicode(64), default="", server_default="", index=True)
    """For a file that is a set of packages: the hash of its base, which devices report."""
    first_seen_at: Mapped[datetime]
    stored: Mapped[bool] = mapped_column(default=False)
    """Whether its file lies here."""
    published: Mapped[bool] = mapped_column(default=False)
    """Whether the app store offers it (`management.store`)."""
    devices: Mapped[int] = mapped_column(default=0)
    """How many devices hold it."""
    verdict: Mapped[str] = mapped_column(Unicode(20), default="")
    """`contracts.scan.Verdict`; empty: nobody judged it."""
    basis: Mapped[str] = mapped_column(Unicode(20), default="")
    """`rules.Basis`: what the verdict rests on."""
    rule: Mapped[str] = mapped_column(default="")
    """Of the gravest finding."""
    family: Mapped[str] = mapped_column(default="")
    pattern_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set that judged it last."""
    since_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set since which verdict, rule and family are these."""
    judged_at: Mapped[datetime | None]
    verdict_id: Mapped[int | None] = mapped_column(BigInteger)
    """Its current `AppVerdict`, when its file was read."""
    misleading: Mapped[bool] = mapped_column(default=False)
    """Whether its file is built so that its signer need not have seen all of it."""
    recheck: Mapped[bool] = mapped_column(default=False)
    """The devices that hold it must be looked at again."""
    recheck_after: Mapped[UUID | None]
    """Up to which device that was done."""

    @property
    def proven_signer(self) -> str:
        """Who signed all of it, if its file proved that; empty for what only a device claims."""
        return self.signer_sha256 if self.basis == Basis.FILE and not self.misleading else ""


class AppClaim(Base):
    """What some device says of an app, and what follows from that alone.

    It counts for the devices that say the very same, and for no other.
    """

    __tablename__ = "app_claim"
    __table_args__ = (Index(None, "pattern_version", "sha256"),)

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    package: Mapped[str] = mapped_column(primary_key=True)
    signer_sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    """Empty: it does not say."""
    name: Mapped[str]
    """As the first device said."""
    verdict: Mapped[str] = mapped_column(Unicode(20), default="")
    rule: Mapped[str] = mapped_column(default="")
    family: Mapped[str] = mapped_column(default="")
    pattern_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set that judged it last."""
    since_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set since which verdict, rule and family are these."""


class StoredApp(Base):
    """A file of an app; it lies in the data folder under its SHA-256."""

    __tablename__ = "stored_app"

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    file_name: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    uploaded_at: Mapped[datetime] = mapped_column(index=True)
    uploaded_by: Mapped[str]
    """An administrator; for a file that a device sent, whoever asked for it."""
    device_id: Mapped[UUID | None]
    """The device that sent it, when one did."""


class AppFeatures(Base):
    """What a scan kept of a file, so that other patterns can judge it without reading it again."""

    __tablename__ = "app_features"

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    pattern_version: Mapped[str] = mapped_column(Unicode(50))
    """The set with which the file was read."""
    features: Mapped[dict[str, Any]]
    """`contracts.scan.ScanResult.features`; it states its own version."""
    kept_at: Mapped[datetime]


class AppVerdict(Base):
    """What was said of one app from one pattern set to another: a new row when it changes."""

    __tablename__ = "app_verdict"
    __table_args__ = (Index(None, "sha256", "judged_at"),)

    id: Mapped[RowId]
    sha256: Mapped[str] = mapped_column(Unicode(64))
    pattern_version: Mapped[str] = mapped_column(Unicode(50))
    """The set that said it first."""
    last_version: Mapped[str] = mapped_column(Unicode(50), default="")
    """The set that said the same last."""
    verdict: Mapped[str] = mapped_column(Unicode(20))
    """`contracts.scan.Verdict`."""
    package: Mapped[str] = mapped_column(default="")
    result: Mapped[dict[str, Any]]
    """`contracts.scan.ScanResult` as JSON, without its features."""
    judged_at: Mapped[datetime]


class AppApproval(Base):
    """Somebody answers for an app, or for all apps of a signer, until a day."""

    __tablename__ = "app_approval"
    __table_args__ = (
        Index(None, "kind", "value", "ended_at"),
        Index(None, "ended_at", "ends_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(Unicode(20))
    """`rules.Approved`."""
    value: Mapped[str] = mapped_column(Unicode(64))
    """The SHA-256 of the file or of the signer's certificate."""
    label: Mapped[str]
    """What it was called when it was approved."""
    reason: Mapped[str] = mapped_column(Unicode(1000))
    approved_by: Mapped[str]
    approved_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str] = mapped_column(default="")


class SetTrial(Base):
    """What a pattern set would change if it went live, found out before it does."""

    __tablename__ = "set_trial"

    version: Mapped[str] = mapped_column(Unicode(50), primary_key=True)
    tried_at: Mapped[datetime]
    judged: Mapped[int]
    """Apps that were judged with it."""
    unread: Mapped[int]
    """Apps whose file must be read first, which happens after it went live."""
    malicious: Mapped[int]
    """Apps that would turn malicious."""
    milder: Mapped[int]
    """Apps whose verdict would become milder."""
    devices: Mapped[int]
    """Devices that hold one of those that would turn malicious."""
    because: Mapped[str] = mapped_column(Unicode(1000), default="")
    """Why a person must say that it may go live; empty: it may by itself."""
    apps: Mapped[list[Any]]
    """The first of those that would turn malicious, the most widespread first."""
    device_ids: Mapped[list[Any]]
    """The first of those devices."""


class DeepAnalysis(Base):
    """What the slow, thorough look into an app found."""

    __tablename__ = "deep_analysis"

    sha256: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    requested_by: Mapped[str]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str] = mapped_column(Unicode(1000), default="")
