"""Exchange connectors, the partnerships they report, and what we want for each."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, LargeBinary, Unicode, UnicodeText, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from management.database import BIG, Base, RowId, code_points
from management.search.registry import Searched, register


class Connector(Base):
    """A paired Exchange connector."""

    __tablename__ = "connector"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100))
    kind: Mapped[str] = mapped_column(Unicode(20), default="exchange")
    """`contracts.connector.Kind`."""
    key: Mapped[dict[str, Any]]
    paired_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    contact_at: Mapped[datetime | None]
    version: Mapped[str] = mapped_column(Unicode(50), default="")
    problem: Mapped[str] = mapped_column(Unicode(4000), default="")
    waiting: Mapped[int] = mapped_column(default=0)
    issue: Mapped[int] = mapped_column(default=0)
    """Of the wanted list, see contracts/connector.py."""
    passed_at: Mapped[datetime | None]
    """When it last reported everything the mail server knows."""
    undo_at: Mapped[datetime | None]
    """Since when it takes back what it did and does nothing more, by an administrator's word."""
    log_level: Mapped[str] = mapped_column(Unicode(10), default="info")
    log_level_until: Mapped[datetime | None]
    status: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The last `contracts.connector.ConnectorStatus` as JSON."""
    update_hour: Mapped[int] = mapped_column(default=2, server_default="2")
    """Of the day, in UTC, from which on it may take a newer release by itself."""
    update_hours: Mapped[int] = mapped_column(default=3, server_default="3")
    """For so long; 0: never by itself."""
    update_order: Mapped[UUID | None]
    """An administrator's order to update now that it did not obey yet."""


class ConnectorLog(Base):
    """The log of a connector: ordered, and once it came, its ZIP."""

    __tablename__ = "connector_log"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    connector_id: Mapped[UUID] = mapped_column(ForeignKey("connector.id"), unique=True)
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    came_at: Mapped[datetime | None]
    name: Mapped[str] = mapped_column(default="")
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """Up to 3 MB: read only where it is handed out."""


class PairingCode(Base):
    """A one-time code with which a connector pairs."""

    __tablename__ = "pairing_code"

    code_hash: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Partnership(Base):
    """One (mailbox, DeviceId) pair and the decision about it."""

    __tablename__ = "partnership"
    __table_args__ = (
        UniqueConstraint("connector_id", "mailbox", "exchange_device_id"),
        Index(None, "exchange_device_id"),
        Index(None, "wanted", "gone_at"),
    )

    id: Mapped[RowId]
    connector_id: Mapped[UUID] = mapped_column(ForeignKey("connector.id"))
    mailbox: Mapped[str]
    user_address: Mapped[str] = mapped_column(default="")
    exchange_device_id: Mapped[str] = mapped_column(Unicode(64))
    guid: Mapped[str] = mapped_column(Unicode(64), default="")
    """In the directory; knows the partnership again when its user is renamed."""
    device_type: Mapped[str] = mapped_column(default="")
    device_model: Mapped[str] = mapped_column(default="")
    device_os: Mapped[str] = mapped_column(default="")
    user_agent: Mapped[str] = mapped_column(default="")
    first_sync_at: Mapped[datetime | None]
    last_sync_at: Mapped[datetime | None]
    synced_read_at: Mapped[datetime | None]
    """When ``last_sync_at`` was read: it comes slowly, mailbox by mailbox."""
    open_doors: Mapped[str | None] = mapped_column(Unicode(60))
    """`contracts.connector.Door`s with spaces between; None: not read yet."""
    access_state: Mapped[str]
    """What the server says it does now."""
    access_reason: Mapped[str] = mapped_column(default="")
    pass_id: Mapped[UUID]
    first_seen_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    gone_at: Mapped[datetime | None]
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("device.id"), index=True)
    match: Mapped[str] = mapped_column(Unicode(20), default="none")
    """`mail_access.rules.Match`; an unsure one shows its device and trusts it in nothing."""
    match_reason: Mapped[str] = mapped_column(Unicode(1000), default="")
    grace_key: Mapped[str] = mapped_column(index=True)
    """The user's `UnmanagedGrace`, see `mail_access.rules.grace_key`."""
    wanted: Mapped[str] = mapped_column(Unicode(10), default="leave")
    """`contracts.connector.Access`."""
    wanted_because: Mapped[str] = mapped_column(Unicode(4000), default="")
    wanted_since: Mapped[datetime]
    next_due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When time alone changes what is wanted (grace ends)."""
    held_at: Mapped[datetime | None] = mapped_column(index=True)
    """Since when a block waits for an administrator's confirmation."""
    held_because: Mapped[str] = mapped_column(Unicode(4000), default="")
    applied: Mapped[str] = mapped_column(Unicode(10), default="")
    """What the connector last did: an access, or empty."""
    applied_at: Mapped[datetime | None]
    applied_error: Mapped[str] = mapped_column(Unicode(4000), default="")
    closed_doors: Mapped[str] = mapped_column(Unicode(60), default="")
    """Those that the connector closed because of this phone, with spaces between."""
    reopened_doors: Mapped[str] = mapped_column(Unicode(60), default="")
    """Of these, those that somebody opened again at the mail server."""
    overridden_at: Mapped[datetime | None] = mapped_column(index=True)
    """Since when somebody's change at the mail server stands against what is wanted."""
    controlled: Mapped[bool] = mapped_column(default=False)
    """An administrator chose it, where only chosen phones are controlled."""
    exception: Mapped[str] = mapped_column(Unicode(10), default="")
    """``allow``, ``block``, ``leave`` or empty: an administrator's word, which wins."""
    exception_because: Mapped[str] = mapped_column(Unicode(1000), default="")
    exception_by: Mapped[str] = mapped_column(default="")
    exception_until: Mapped[datetime | None]


class PartnershipToken(Base):
    """A word that a partnership is found by."""

    __tablename__ = "partnership_token"
    __table_args__ = (Index(None, "row_id", "token"), {"sqlite_with_rowid": False})

    token: Mapped[str] = mapped_column(code_points(40), primary_key=True)
    row_id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)
    """Of a `Partnership`; no foreign key, so that both can go in any order."""


PARTNERSHIPS = register(
    Searched(
        row=Partnership,
        key=Partnership.id,
        token=PartnershipToken,
        columns=frozenset({"mailbox", "user_address", "exchange_device_id", "device_model"}),
        words=lambda session, row: (
            (row.mailbox, row.user_address, row.device_model),
            (row.exchange_device_id,),
        ),
    )
)


class MailDecision(Base):
    """History: each change of what is wanted, and each application by the connector."""

    __tablename__ = "mail_decision"

    id: Mapped[RowId]
    partnership_id: Mapped[int] = mapped_column(BIG, ForeignKey("partnership.id"), index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(Unicode(20))
    """``wanted``, ``held``, ``confirmed``, ``matched``, ``applied``, ``failed``, ``overridden``,
    ``exception``, ``renamed``, ``doors`` or ``wipe``."""
    access: Mapped[str] = mapped_column(Unicode(10))
    because: Mapped[str] = mapped_column(Unicode(4000), default="")


class UnmanagedGrace(Base):
    """Since when a user has unmanaged phones, so that a new DeviceId gains no time."""

    __tablename__ = "unmanaged_grace"

    key: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    """When an unmanaged phone of this user was last there (to within an hour)."""


class MailTrial(Base):
    """A look at who would lose mail under some settings, see `mail_access.trial`."""

    __tablename__ = "mail_trial"

    digest: Mapped[str] = mapped_column(Unicode(32), primary_key=True)
    """`mail_access.dry_run.digest` of the settings."""
    settings: Mapped[str] = mapped_column(UnicodeText)
    asked_by: Mapped[str]
    asked_at: Mapped[datetime] = mapped_column(index=True)
    """Every phone is decided as of then."""
    finished_at: Mapped[datetime | None]
    total: Mapped[int]
    looked_at: Mapped[int] = mapped_column(default=0)
    last_id: Mapped[int] = mapped_column(BIG, default=0)
    """Up to here it is done; a repetition goes on behind it."""
    lose: Mapped[int] = mapped_column(default=0)
    first: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The phones that would lose mail first: when, and their numbers."""


class MailWipe(Base):
    """A wipe of one phone through the mail server, and what became of it."""

    __tablename__ = "mail_wipe"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    """The command's id, which the signer counts."""
    partnership_id: Mapped[int] = mapped_column(BIG, ForeignKey("partnership.id"), index=True)
    account_only: Mapped[bool]
    state: Mapped[str] = mapped_column(Unicode(20), index=True)
    """`mail_access.rules.WipeState`."""
    detail: Mapped[str] = mapped_column(Unicode(4000), default="")
    requested_by: Mapped[str]
    reason: Mapped[str] = mapped_column(Unicode(1000))
    queued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    token: Mapped[str] = mapped_column(Unicode(4000), default="")
    """The signed order, once the signer gave it."""


class ConnectorNonce(Base):
    """A nonce that a connector's signature used; it must not come twice."""

    __tablename__ = "connector_nonce"

    connector_id: Mapped[UUID] = mapped_column(ForeignKey("connector.id"), primary_key=True)
    nonce: Mapped[str] = mapped_column(Unicode(64), primary_key=True)
    used_at: Mapped[datetime] = mapped_column(index=True)
