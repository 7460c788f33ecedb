"""Management's end of the protocol, in the hands of a test: it says exactly what is sent.

Real messages through the real relay's link; only who decides is the test instead of management.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import ECKey

from contracts import codec, envelope, keys
from contracts.agent import (
    CommandKind,
    Enrolled,
    EnrolmentRefused,
    EnrolmentRequest,
    KeyProof,
    Order,
    OrderBody,
    PolicyDocument,
    RelayEntry,
    Renewal,
    Renewed,
    Report,
    ReportItem,
    RunCommand,
    TrustStatement,
)
from contracts.link import (
    Discard,
    Inbound,
    InboundBatch,
    KnownDevice,
    KnownDevices,
    LiveDevices,
    Outbound,
    OutboundBatch,
    Taken,
    Trust,
)
from contracts.request_signature import LINK, signature_headers
from management.keys import Keys
from runtime.clock import utc_now
from tests.agents.relay_process import RelayProcess

Item = TypeVar("Item")


@dataclass
class Admitted:
    """A device as the office knows it."""

    device_id: UUID
    signing_key: ECKey
    encryption_key: ECKey
    request: EnrolmentRequest
    next_keys: KeyProof | None = None
    """Of a renewal that is answered."""
    epoch: int = 1
    seq: int = 1
    """The highest order written."""
    taken: int = 0
    """The highest report taken."""
    reports: list[Report] = field(default_factory=list)

    def said(self, kind: type[Item]) -> list[Item]:
        """Return all items of one kind, oldest first."""
        items: Iterator[ReportItem] = (item for report in self.reports for item in report.items)
        return [item for item in items if isinstance(item, kind)]


def policy(version: int = 1) -> PolicyDocument:
    return PolicyDocument(policy_id=UUID(int=7), version=version, name="Phones", settings={})


def command(kind: CommandKind, *, hours: float = 1, **arguments: str) -> RunCommand:
    """Return an order to do *kind*, good for *hours* from now."""
    return RunCommand(
        command_id=uuid4(),
        command=kind,
        arguments=arguments,
        expires_at=utc_now() + timedelta(hours=hours),
    )


class Office:
    """See the module."""

    def __init__(self, relay: RelayProcess, own: Keys, http: httpx.Client) -> None:
        self.relay, self.own, self._http = relay, own, http
        self.order_key, self.successor, self.issue = keys.new_key(), keys.new_key(), 0
        self.devices: dict[UUID, Admitted] = {}
        self.strange: list[str] = []
        """What was collected and did not hold."""
        self.put_trust()

    # --- trust ---

    def statement(self, **changes: object) -> TrustStatement:
        relay = RelayEntry(url=self.relay.devices_url, ca_certificates=(self.relay.ca_certificate,))
        statement = TrustStatement(
            issue=self.issue,
            issued_at=utc_now(),
            order_signing_key=keys.public_jwk(self.order_key),
            encryption_key=keys.public_jwk(self.own.encryption_key()),
            successor_thumbprint=keys.thumbprint(self.successor),
            relays=(relay,),
        )
        return replace(statement, **changes)  # type: ignore[arg-type]

    def put_trust(self, **changes: object) -> TrustStatement:
        """Leave a newer statement at the relay and return it."""
        self.issue += 1
        statement = self.statement(**changes)
        self.put_statement(envelope.sign(codec.write(statement), envelope.TRUST, self.order_key))
        return statement

    def put_statement(self, token: str) -> None:
        self._link("PUT", "/trust", Trust(statement=token))

    # --- enrolment ---

    def qr(self, key: str = "a key", fingerprint: str = "") -> str:
        fingerprint = fingerprint or keys.thumbprint(self.order_key)
        relay = quote(self.relay.devices_url, safe="")
        return f"sekisho://enrol?relay={relay}&key={quote(key)}&fp={fingerprint}"

    def requests(self) -> list[EnrolmentRequest]:
        """Collect and return the enrolment requests that wait; reports are taken meanwhile."""
        return [self._open_request(item) for item in self.collect() if item.kind == "enrolment"]

    def _open_request(self, item: Inbound) -> EnrolmentRequest:
        token = envelope.decrypt(item.sealed, self.own.encryption_key())
        request = codec.read(EnrolmentRequest, envelope.unverified_payload(token))
        envelope.verify(token, envelope.ENROLMENT, keys.read_public(request.signing_key))
        return request

    def known(self, request: EnrolmentRequest) -> Admitted:
        """Return the device that *request* becomes, known to the relay and not answered yet."""
        device = Admitted(
            uuid4(),
            keys.read_public(request.signing_key),
            keys.read_public(request.encryption_key),
            request,
        )
        self.devices[device.device_id] = device
        self.let(device, active=True)
        return device

    def admit(self, request: EnrolmentRequest, **changes: object) -> Admitted:
        """Grant *request*."""
        device = self.known(request)
        order = self.order(device, self.enrolled(device, **changes), seq=1)
        self.leave(device, order, kind="enrolment_answer", recipient=request.enrolment_id)
        return device

    def enrolled(self, device: Admitted, **changes: object) -> Enrolled:
        issued = self.own.issue_device_certificate(device.device_id, device.signing_key, utc_now())
        enrolled = Enrolled(
            enrolment_id=device.request.enrolment_id,
            device_id=device.device_id,
            certificate=issued.pem,
            ca_certificate=self.own.ca_certificate(),
            poll_seconds=60,
            digest_seconds=3600,
            policy=policy(),
        )
        return replace(enrolled, **changes)  # type: ignore[arg-type]

    def refuse(self, request: EnrolmentRequest, reason: str) -> None:
        body = EnrolmentRefused(enrolment_id=request.enrolment_id, reason=reason)
        order = Order(
            iss="management",
            aud=request.enrolment_id,
            epoch=1,
            seq=1,
            ack=0,
            sent_at=utc_now(),
            body=body,
        )
        sealed = self.seal(order, keys.read_public(request.encryption_key))
        self._outbound("enrolment_answer", request.enrolment_id, 1, 1, sealed)

    def let(self, device: Admitted, active: bool, next_key: ECKey | None = None) -> None:
        """Tell the relay whether the device may use its mailbox, and with which other key."""
        known = KnownDevice(
            device_id=device.device_id,
            signing_key=keys.public_jwk(device.signing_key),
            active=active,
            next_signing_key=keys.public_jwk(next_key) if next_key else None,
        )
        self._link("POST", "/devices", KnownDevices(devices=(known,), as_of=utc_now()))

    def hurry(self, devices: LiveDevices) -> None:
        """Let devices hurry, as somebody waits for them."""
        self._link("POST", "/live", devices)

    # --- orders ---

    def order(self, device: Admitted, body: OrderBody, **changes: object) -> Order:
        """Return the next order for *device* without sending it."""
        order = Order(
            iss="management",
            aud=device.device_id,
            epoch=device.epoch,
            seq=device.seq + 1,
            ack=device.taken,
            sent_at=utc_now(),
            body=body,
        )
        return replace(order, **changes)  # type: ignore[arg-type]

    def seal(self, order: Order, recipient: ECKey, signer: ECKey | None = None) -> str:
        return envelope.seal(
            codec.write(order), envelope.ORDER, signer or self.order_key, recipient
        )

    def send(self, device: Admitted, *bodies: OrderBody) -> list[str]:
        """Send the next orders and return them sealed."""
        sealed = []
        for body in bodies:
            order = self.order(device, body)
            sealed.append(self.leave(device, order))
            device.seq = order.seq
        return sealed

    def leave(
        self,
        device: Admitted,
        order: Order,
        kind: str = "order",
        recipient: UUID | None = None,
        signer: ECKey | None = None,
    ) -> str:
        """Leave one order of any number at the relay."""
        sealed = self.seal(order, device.encryption_key, signer)
        self._outbound(kind, recipient or device.device_id, order.epoch, order.seq, sealed)
        return sealed

    def leave_sealed(self, device: Admitted, epoch: int, seq: int, sealed: str) -> None:
        """Leave *sealed* in the place of an order, as a lying relay would."""
        self._outbound("order", device.device_id, epoch, seq, sealed)

    def discard(self, device: Admitted, epoch: int, seq: int) -> None:
        gone = Discard(recipient=device.device_id, epoch=epoch, seq=seq)
        self._link("POST", "/outbound", OutboundBatch(discards=(gone,)))

    def _outbound(self, kind: str, recipient: UUID, epoch: int, seq: int, sealed: str) -> None:
        item = Outbound(kind=kind, recipient=recipient, epoch=epoch, seq=seq, sealed=sealed)  # type: ignore[arg-type]
        self._link("POST", "/outbound", OutboundBatch(items=(item,)))

    # --- reports ---

    def collect(self) -> list[Inbound]:
        """Take all that waits; reports in their turn go to their devices."""
        found: list[Inbound] = []
        while True:
            answer = self._link("GET", "/inbound")
            batch = codec.read(InboundBatch, answer).items
            if not batch:
                return found
            for item in batch:
                if item.kind == "report":
                    self._take(item)
            self._link("POST", "/inbound/taken", Taken(ids=tuple(item.id for item in batch)))
            found += batch

    def drop_old(self) -> None:
        """Forget what earlier tests left at the relay."""
        while batch := codec.read(InboundBatch, self._link("GET", "/inbound")).items:
            self._link("POST", "/inbound/taken", Taken(ids=tuple(item.id for item in batch)))

    def _take(self, item: Inbound) -> None:
        device = self.devices[item.sender]
        token = envelope.decrypt(item.sealed, self.own.encryption_key())
        if device.next_keys is not None:
            self._switch(device, device.next_keys, token)
        report = codec.read(Report, envelope.verify(token, envelope.REPORT, device.signing_key))
        assert (report.iss, report.epoch) == (device.device_id, device.epoch)
        if report.seq != device.taken + 1:
            self.strange.append(f"report {report.seq} after {device.taken}")
            return
        device.taken = report.seq
        device.reports.append(report)

    def renew(self, device: Admitted, asked: Renewal) -> None:
        """Grant a renewal as management does."""
        proof = codec.read(KeyProof, envelope.unverified_payload(asked.proof))
        key = keys.read_public(proof.signing_key)
        envelope.verify(asked.proof, envelope.RENEWAL, key)
        device.next_keys = proof
        self.let(device, active=True, next_key=key)
        issued = self.own.issue_device_certificate(device.device_id, key, utc_now())
        ca = self.own.ca_certificate()
        self.send(
            device,
            Renewed(renewal_id=asked.renewal_id, certificate=issued.pem, ca_certificate=ca),
        )

    def _switch(self, device: Admitted, proof: KeyProof, token: str) -> None:
        """Know the device by its next keys if they signed *token*."""
        key = keys.read_public(proof.signing_key)
        if envelope.claimed_signer(token) == keys.thumbprint(key):
            device.signing_key = key
            device.encryption_key = keys.read_public(proof.encryption_key)
            device.next_keys = None
            self.let(device, active=True)

    def _link(self, method: str, path: str, message: object = None) -> bytes:
        body = codec.write(message) if message is not None else b""
        url = f"{self.relay.link_url}/link/v1{path}"
        key = self.own.link_key()
        headers = signature_headers(method, url, body, key, keys.thumbprint(key), LINK, utc_now())
        answer = self._http.request(method, url, content=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.content


@contextmanager
def opened(relay: RelayProcess, own: Keys) -> Iterator[Office]:
    """Yield an office that trusts the relay's link certificate and nothing else."""
    trusted = ssl.create_default_context(cadata=relay.link_certificate)
    with httpx.Client(verify=trusted, trust_env=False, timeout=20) as http:
        yield Office(relay, own, http)
