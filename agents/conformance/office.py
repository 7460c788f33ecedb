"""A management of one device, for the test relay: its keys, its statement and its orders."""

import secrets
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

from joserfc.jwk import ECKey

from agents.conformance.listening import Authority
from contracts import codec, envelope, keys
from contracts.agent import (
    Enrolled,
    EnrolmentRequest,
    Order,
    OrderBody,
    PolicyDocument,
    RelayEntry,
    Renewal,
    Renewed,
    TrustStatement,
)
from runtime.clock import utc_now


@dataclass
class Office:
    """See the module."""

    authority: Authority = field(default_factory=Authority)
    order_key: ECKey = field(default_factory=keys.new_key)
    encryption_key: ECKey = field(default_factory=keys.new_key)
    successor: ECKey = field(default_factory=keys.new_key)
    enrolment_key: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    device_id: UUID = field(default_factory=uuid4)
    url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    management_ahead: timedelta = timedelta()
    """How much management's clock is ahead of ours."""
    request: EnrolmentRequest | None = None
    """With the keys that the device uses now."""
    renewing: EnrolmentRequest | None = None
    """With the keys that it may use as soon as it likes."""
    epoch: int = 1
    seq: int = 1
    """The highest order written."""
    taken: int = 0
    """The highest report taken."""
    acknowledges: bool = True
    mailbox: list[tuple[int, int, str]] = field(default_factory=list)
    """Epoch, number and order."""

    def code(self, url: str = "", fingerprint: str = "") -> str:
        """Return an enrolment code."""
        relay = quote(url or self.url, safe="")
        print_ = fingerprint or keys.thumbprint(self.order_key)
        return f"sekisho://enrol?relay={relay}&key={self.enrolment_key}&fp={print_}"

    def statement(self, url: str = "", ca: str = "", signer: ECKey | None = None) -> str:
        """Return management's statement."""
        said = TrustStatement(
            issue=1,
            issued_at=utc_now(),
            order_signing_key=keys.public_jwk(signer or self.order_key),
            encryption_key=keys.public_jwk(self.encryption_key),
            successor_thumbprint=keys.thumbprint(self.successor),
            relays=(RelayEntry(url=url or self.url, ca_certificates=(ca or self.authority.pem,)),),
        )
        return envelope.sign(codec.write(said), envelope.TRUST, signer or self.order_key)

    def order(self, body: OrderBody, **changes: object) -> Order:
        """Return the next order without leaving it."""
        order = Order(
            iss="management",
            aud=self.device_id,
            epoch=self.epoch,
            seq=self.seq + 1,
            ack=self.taken if self.acknowledges else 0,
            sent_at=utc_now() + self.management_ahead,
            body=body,
        )
        return replace(order, **changes)  # type: ignore[arg-type]

    def seal(
        self,
        order: Order | bytes,
        signer: ECKey | None = None,
        recipient: EnrolmentRequest | None = None,
    ) -> str:
        """Return an order as it travels, to the device's present keys or those of *recipient*."""
        payload = order if isinstance(order, bytes) else codec.write(order)
        box = keys.read_public((recipient or self.asked_for()).encryption_key)
        return envelope.seal(payload, envelope.ORDER, signer or self.order_key, box)

    def leave(self, body: OrderBody, recipient: EnrolmentRequest | None = None) -> int:
        """Leave the next order and return its number."""
        with self.lock:
            order = self.order(body)
            self.seq = order.seq
            sealed = self.seal(order, recipient=recipient)
            self.mailbox.append((order.epoch, order.seq, sealed))
            return order.seq

    def policy(self, version: int) -> PolicyDocument:
        """Return a policy that asks for nothing."""
        return PolicyDocument(policy_id=UUID(int=7), version=version, name="Kit", settings={})

    def enrolled(self, digest_seconds: int) -> Enrolled:
        """Return the order that makes the agent's device ours."""
        asked = self.asked_for()
        key = keys.raw_public(keys.read_public(asked.signing_key))
        return Enrolled(
            enrolment_id=asked.enrolment_id,
            device_id=self.device_id,
            certificate=self.authority.for_device(str(self.device_id), key),
            ca_certificate=self.authority.pem,
            poll_seconds=60,
            digest_seconds=digest_seconds,
            policy=self.policy(1),
        )

    def renewed(self, asked: Renewal, left: timedelta | None = None) -> Renewed:
        """Return the answer to *asked*, whose certificate ends after *left*."""
        key = keys.raw_public(keys.read_public(self.next_keys().signing_key))
        return Renewed(
            renewal_id=asked.renewal_id,
            certificate=self.authority.for_device(str(self.device_id), key, left),
            ca_certificate=self.authority.pem,
        )

    def asked_for(self) -> EnrolmentRequest:
        """Return the agent's enrolment request, with the keys that it uses now."""
        assert self.request is not None
        return self.request

    def next_keys(self) -> EnrolmentRequest:
        """Return the same with the keys of the renewal under way."""
        assert self.renewing is not None
        return self.renewing
