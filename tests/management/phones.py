"""A phone's end of the protocol in the hands of a test: it says exactly what is sent."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import codec, envelope, keys
from contracts.agent import (
    DeviceDescription,
    Enrolled,
    EnrolmentRequest,
    Order,
    Posture,
    Report,
    ReportItem,
)
from contracts.link import Inbound
from management.check_in.service import take
from management.context import Context
from management.devices.models import Device
from management.devices.queries import get_device
from management.enrolment.service import invite
from management.policies.service import ensure_default_policy
from management.relays.models import OutboundMessage, Relay
from management.relays.service import ensure_local_relay
from runtime.clock import utc_now


@dataclass
class Office:
    """Management with one relay that it never dials here."""

    context: Context
    relay_id: UUID
    policy_id: UUID
    inbound: int = 0

    def invite(self, address: str = "ada@example.com", days: float = 7) -> str:
        with self.context.database.transaction("invite") as session:
            _, key = invite(
                session,
                self.context.keys,
                address,
                "Ada",
                self.policy_id,
                timedelta(days=days),
                "keeper",
                utc_now(),
            )
        return key

    def take(self, *items: Inbound, now: datetime | None = None) -> None:
        with self.context.database.transaction("take reports") as session:
            take(session, self.context, self.relay_id, items, now or utc_now())

    def inbound_item(
        self, kind: Literal["enrolment", "report"], sender: UUID, sealed: str
    ) -> Inbound:
        self.inbound += 1
        return Inbound(
            id=self.inbound, kind=kind, sender=sender, received_at=utc_now(), sealed=sealed
        )

    def waiting(self, recipient: UUID) -> list[OutboundMessage]:
        with self.context.database.reading() as session:
            return list(
                session.scalars(
                    select(OutboundMessage)
                    .where(OutboundMessage.recipient == recipient)
                    .order_by(OutboundMessage.epoch, OutboundMessage.seq)
                )
            )


def office(context: Context) -> Office:
    """Set up a default policy and a relay."""
    now = utc_now()
    with context.database.transaction("set up") as session:
        policy = ensure_default_policy(session, now)
        relay: Relay = ensure_local_relay(
            session, "https://localhost:1", "PEM", "https://localhost:2", "PEM", now
        )
    return Office(context, relay.id, policy.id)


@dataclass
class Phone:
    """Keys and counters of one device."""

    office: Office
    signing_key: ECKey = field(default_factory=keys.new_key)
    encryption_key: ECKey = field(default_factory=keys.new_key)
    enrolment_id: UUID = field(default_factory=uuid4)
    device_id: UUID = field(default_factory=uuid4)
    epoch: int = 1
    seq: int = 0
    ack: int = 0
    policy: Any = None

    def request(self, key: str, sent_at: datetime | None = None, **described: Any) -> Inbound:
        """Return a sealed request to enrol."""
        asked = EnrolmentRequest(
            enrolment_id=self.enrolment_id,
            aud="management",
            sent_at=sent_at or utc_now(),
            enrolment_key=key,
            signing_key=keys.public_jwk(self.signing_key),
            encryption_key=keys.public_jwk(self.encryption_key),
            device=DeviceDescription(**{"platform": "android", "model": "Pixel"} | described),
        )
        sealed = self.seal(codec.write(asked), envelope.ENROLMENT)
        return self.office.inbound_item("enrolment", self.enrolment_id, sealed)

    def enrol(self, key: str | None = None, **described: Any) -> "Phone":
        """Enrol and read the answer."""
        self.office.take(self.request(key or self.office.invite(), **described))
        body = self.answer().body
        assert isinstance(body, Enrolled), body
        self.device_id, self.policy = body.device_id, body.policy
        self.epoch, self.seq, self.ack = self.answer().epoch, 0, 1
        return self

    def answer(self) -> Order:
        """Return the answer to the latest request."""
        return self.opened(self.office.waiting(self.enrolment_id)[-1])

    def orders(self) -> list[Order]:
        """Return all orders that lie in the mailbox."""
        return [self.opened(message) for message in self.office.waiting(self.device_id)]

    def opened(self, message: OutboundMessage) -> Order:
        order_key = keys.read_public(self.office.context.signer.public_key())
        payload = envelope.open_sealed(
            message.sealed, envelope.ORDER, order_key, self.encryption_key
        )
        return codec.read(Order, payload)

    def seal(self, payload: bytes, typ: str = envelope.REPORT, key: ECKey | None = None) -> str:
        management = self.office.context.keys.encryption_key()
        return envelope.seal(payload, typ, key or self.signing_key, management)

    def report(self, *items: ReportItem, seq: int | None = None, **changed: Any) -> Inbound:
        """Return the next report, or another number's, with *changed* fields."""
        if seq is None:
            self.seq += 1
        fields: dict[str, Any] = {
            "iss": self.device_id,
            "aud": "management",
            "epoch": self.epoch,
            "seq": self.seq if seq is None else seq,
            "ack": self.ack,
            "sent_at": utc_now(),
            "items": items,
        }
        sealed = self.seal(codec.write(Report(**(fields | changed))))
        return self.office.inbound_item("report", self.device_id, sealed)

    def good(self, **changed: Any) -> Posture:
        """Return a posture with which the default policy is content."""
        fields: dict[str, Any] = {
            "os_version": "15",
            "rooted": False,
            "encrypted": True,
            "passcode_set": True,
            "applied_policy_id": self.policy.policy_id,
            "applied_policy_version": self.policy.version,
        }
        return Posture(**(fields | changed))

    def row(self, session: Session) -> Device:
        return get_device(session, self.device_id)
