"""Communication servers, the orders on their way, and what relays were caught at."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, Unicode, UnicodeText, text
from sqlalchemy.orm import Mapped, mapped_column

from management.database import Base, RowId


class Relay(Base):
    """A communication server that management dials."""

    __tablename__ = "relay"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Unicode(100), unique=True)
    link_url: Mapped[str]
    link_certificate: Mapped[str] = mapped_column(UnicodeText)
    """PEM; pinned at pairing."""
    devices_url: Mapped[str]
    """Where devices reach it."""
    ca_certificate: Mapped[str] = mapped_column(UnicodeText)
    """PEM of the CA that its device-side TLS certificate chains to."""
    paired_at: Mapped[datetime]
    contact_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(Unicode(1000), default="")
    problem_at: Mapped[datetime | None]
    """Since when `problem` holds."""
    version: Mapped[str] = mapped_column(Unicode(50), default="")
    inbound_waiting: Mapped[int] = mapped_column(default=0)
    outbound_waiting: Mapped[int] = mapped_column(default=0)
    trust_issue: Mapped[int] = mapped_column(BigInteger, default=0)
    """The trust statement it holds."""
    seen_until: Mapped[datetime | None]
    """Up to when it told which devices polled."""
    devices_as_of: Mapped[datetime | None]
    """Of the last list of devices it took; it telling another one lost its memory."""
    devices_as_of_next: Mapped[datetime | None]
    """Of the list that was on its way last, in case that we died before we heard of its end."""
    lost_at: Mapped[datetime | None]
    """When it lost its memory, until it was given everything again."""
    refilled_at: Mapped[datetime | None]
    refills: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """How often it was given everything again in a row (`memory`)."""
    disabled_at: Mapped[datetime | None]
    """Since when it is neither visited nor told to devices."""
    link_ms: Mapped[int | None]
    """How long it took to answer at the last visit."""
    link_url_before: Mapped[str] = mapped_column(default="")
    """Where it was dialled before `link_url` changed, until it answers at the new address."""
    set_up_url: Mapped[str] = mapped_column(default="")
    """`devices_url` as the set-up of the basic model said it last; the console may change it."""
    wanted_settings: Mapped[dict[str, Any] | None]
    """`contracts.link.RelaySettings` from the console; None: it listens as it was started."""
    ports_since: Mapped[datetime | None]
    """Since when `wanted_settings` holds; former ports stay open for a while after."""
    told_settings: Mapped[dict[str, Any] | None]
    """As it says it listens."""
    tls_source: Mapped[str] = mapped_column(Unicode(20), default="")
    """``imported``, ``private`` (from the built-in CA), or empty: made when it was set up."""
    tls_chain: Mapped[str] = mapped_column(UnicodeText, default="")
    """PEM, leaf first; what devices are to see."""
    tls_key: Mapped[str] = mapped_column(UnicodeText, default="")
    """Sealed under ``secret.key``; kept so that a relay that lost its disk gets it again."""
    tls_sha256: Mapped[str] = mapped_column(Unicode(64), default="")
    """Of the leaf in `tls_chain`."""
    tls_shown: Mapped[str] = mapped_column(Unicode(64), default="")
    """Of the leaf that the relay says it shows."""
    tls_until: Mapped[datetime | None]
    """When the certificate it shows ends."""
    tls_warned_days: Mapped[int | None]
    """At how many days left somebody was warned last."""
    log_level: Mapped[str] = mapped_column(Unicode(10), default="info", server_default="info")
    log_level_until: Mapped[datetime | None]


class RelayLog(Base):
    """The log of a relay: ordered, and once it came, its ZIP."""

    __tablename__ = "relay_log"

    relay_id: Mapped[UUID] = mapped_column(ForeignKey("relay.id"), primary_key=True)
    asked_at: Mapped[datetime]
    asked_by: Mapped[str]
    came_at: Mapped[datetime | None]
    name: Mapped[str] = mapped_column(default="")
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """Up to 3 MB: read only where it is handed out."""


class RelayListing(Base):
    """An address and a CA that devices are told of; they overlap, so that no change locks out."""

    __tablename__ = "relay_listing"

    id: Mapped[RowId]
    relay_id: Mapped[UUID] = mapped_column(ForeignKey("relay.id"), index=True)
    url: Mapped[str]
    ca_certificate: Mapped[str] = mapped_column(UnicodeText)
    """PEM; empty: the device's own store."""
    since: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    """None: it is what holds now."""


class OutboundMessage(Base):
    """An order, signed and sealed; kept until the device acknowledges it."""

    __tablename__ = "outbound_message"

    recipient: Mapped[UUID] = mapped_column(primary_key=True)
    """Device id, or enrolment id for an enrolment answer."""
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(Unicode(20))
    """`contracts.link.Outbound.kind`."""
    relay_id: Mapped[UUID | None] = mapped_column(ForeignKey("relay.id"))
    """Through which the recipient was last heard, so its mailbox is there; None: any relay."""
    sealed: Mapped[str] = mapped_column(UnicodeText)
    written_at: Mapped[datetime]
    handed_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the relay took it."""
    acknowledged_at: Mapped[datetime | None] = mapped_column(index=True)
    discarded_at: Mapped[datetime | None] = mapped_column(index=True)
    """When the relay was told to forget it; then the row goes."""


class KnownDeviceChange(Base):
    """A device whose entry in one relay's list must be sent (again)."""

    __tablename__ = "known_device_change"

    relay_id: Mapped[UUID] = mapped_column(ForeignKey("relay.id"), primary_key=True)
    device_id: Mapped[UUID] = mapped_column(ForeignKey("device.id"), primary_key=True)
    changed_at: Mapped[datetime]


class TrustIssue(Base):
    """A signed trust statement; the highest issue is what every relay must hold."""

    __tablename__ = "trust_issue"

    issue: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    content_hash: Mapped[str] = mapped_column(Unicode(64))
    """SHA-256 of what it says apart from number and time: another hash needs another issue."""
    statement: Mapped[str] = mapped_column(UnicodeText)
    issued_at: Mapped[datetime]


class RelayIncident(Base):
    """Something that an honest relay and network would not do."""

    __tablename__ = "relay_incident"

    id: Mapped[RowId]
    at: Mapped[datetime] = mapped_column(index=True)
    relay_id: Mapped[UUID | None] = mapped_column(ForeignKey("relay.id"))
    sender: Mapped[UUID | None] = mapped_column(index=True)
    problem: Mapped[str] = mapped_column(Unicode(20))
    """``forged``, ``replayed``, ``altered``, ``gap``, ``foreign``, ``unreadable``, ``withheld``,
    ``second_management``, ``forgetful``."""
    detail: Mapped[str] = mapped_column(Unicode(1000))
    reported_by: Mapped[str] = mapped_column(Unicode(20))
    """``management`` or ``device``."""
    repeats: Mapped[int] = mapped_column(default=1)
