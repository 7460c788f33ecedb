"""A device that looks at every answer instead of trusting it: what the clauses are tried with."""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict, Unpack
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import ECKey

from agents.simulator.trust import Invitation, certificates
from contracts import codec, envelope, keys
from contracts.agent import (
    DeviceDescription,
    EnrolmentPost,
    EnrolmentRequest,
    Order,
    Posture,
    Renewed,
    Report,
    ReportItem,
    ReportPost,
    TrustStatement,
)
from contracts.request_signature import AGENT, signature_headers
from runtime.clock import utc_now

PATH = "/agent/v1"
TIMEOUT_SECONDS = 90
LOOK_SECONDS = 0.3


class BrokenError(Exception):
    """The relay breaks a clause; the text says what was seen."""


def expect(kept: bool, seen: str) -> None:
    """Raise BrokenError with what was *seen* unless the clause is *kept*."""
    if not kept:
        raise BrokenError(seen)


class Lies(TypedDict, total=False):
    """What a signature says wrongly, for a clause that tells it."""

    key: ECKey
    key_id: UUID
    tag: str
    at: datetime


@dataclass
class Probe:
    """One device of its own at the relay under test; counters as the protocol wants them."""

    invitation: Invitation
    patience_seconds: float = 120.0
    """How long management may take to answer."""
    signing_key: ECKey = field(default_factory=keys.new_key)
    encryption_key: ECKey = field(default_factory=keys.new_key)
    enrolment_id: UUID = field(default_factory=uuid4)
    device_id: UUID = field(default_factory=uuid4)
    """Made up until the relay's answer gives the real one."""
    epoch: int = 1
    taken: int = 0
    """The highest order taken."""
    written: int = 0
    """The highest report written."""
    acknowledged: int = 0
    """The highest report that an order says management holds."""
    statement: TrustStatement | None = None
    enrolment: bytes = b""
    """The `EnrolmentPost`, repeated unchanged."""
    report: ReportPost | None = None
    """The last one posted."""
    token: str = ""
    renewed: bool = False
    """Whether a renewal was answered."""
    former: tuple[ECKey, ECKey] | None = None
    """The signing and the encryption key before it."""
    _http: httpx.Client | None = None

    # --- requests ---

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        trusting: bool = True,
    ) -> httpx.Response:
        """Send a request as it is; BrokenError when no answer comes at all."""
        url = self.invitation.relay_url + PATH + path
        try:
            if trusting:
                return self._client().request(method, url, content=body, headers=headers)
            with _strangers_client() as stranger:
                return stranger.request(method, url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise BrokenError(f"{method} {path}: no answer ({error or type(error)}).") from None

    def signed(
        self, method: str, path: str, body: bytes = b"", **lies: Unpack[Lies]
    ) -> httpx.Response:
        """Send a signed request."""
        return self.send(method, path, body, self.signature(method, path, body, **lies))

    def signature(
        self, method: str, path: str, body: bytes = b"", **lies: Unpack[Lies]
    ) -> dict[str, str]:
        """Return the headers that sign a request."""
        url = self.invitation.relay_url + PATH + path
        key, key_id = lies.get("key", self.signing_key), lies.get("key_id", self.device_id)
        tag, at = lies.get("tag", AGENT), lies.get("at", utc_now())
        return signature_headers(method, url, body, key, str(key_id), tag, at)

    def poll(self, query: str = "", token: str | None = None) -> httpx.Response:
        """Ask whether there is anything new."""
        bearer = self.token if token is None else token
        return self.send("GET", f"/poll{query}", headers={"Authorization": f"Bearer {bearer}"})

    @property
    def position(self) -> str:
        """The query that names what this device holds."""
        return f"?after={self.taken}&epoch={self.epoch}"

    # --- messages ---

    def trust(self) -> TrustStatement:
        """Return the statement found at the start."""
        assert self.statement is not None
        return self.statement

    def write_enrolment(self) -> bytes:
        """Seal an enrolment request, once."""
        request = EnrolmentRequest(
            enrolment_id=self.enrolment_id,
            aud="management",
            sent_at=utc_now(),
            enrolment_key=self.invitation.enrolment_key,
            signing_key=keys.public_jwk(self.signing_key),
            encryption_key=keys.public_jwk(self.encryption_key),
            device=DeviceDescription(platform="android", model="Conformance kit"),
        )
        post = EnrolmentPost(
            enrolment_id=self.enrolment_id,
            signing_key=request.signing_key,
            sealed=self._seal(codec.write(request), envelope.ENROLMENT),
        )
        self.enrolment = codec.write(post)
        return self.enrolment

    def write_report(self, *items: ReportItem) -> ReportPost:
        """Seal the next report."""
        self.written += 1
        report = Report(
            iss=self.device_id,
            aud="management",
            epoch=self.epoch,
            seq=self.written,
            ack=self.taken,
            sent_at=utc_now(),
            items=items,
        )
        self.report = ReportPost(
            epoch=self.epoch,
            seq=self.written,
            sealed=self._seal(codec.write(report), envelope.REPORT),
        )
        return self.report

    def posture(self) -> Posture:
        """Return an ordinary posture."""
        return Posture(os_version="14", rooted=False, encrypted=True, passcode_set=True)

    def open_order(self, sealed: str) -> Order:
        """Return the order in *sealed*; our errors when it is not management's to this device."""
        signer = keys.read_public(self.trust().order_signing_key)
        box = self.encryption_key
        if self.former and envelope.recipient_of(sealed) == keys.thumbprint(self.former[1]):
            box = self.former[1]
        return codec.read(Order, envelope.open_sealed(sealed, envelope.ORDER, signer, box))

    def take(self, order: Order) -> None:
        """Count an order as taken."""
        self.taken, self.acknowledged = order.seq, max(self.acknowledged, order.ack)
        self.renewed = self.renewed or isinstance(order.body, Renewed)

    def _seal(self, payload: bytes, kind: str) -> str:
        recipient = keys.read_public(self.trust().encryption_key)
        return envelope.seal(payload, kind, self.signing_key, recipient)

    # --- time and connections ---

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until *done* answers true; BrokenError when patience ends."""
        give_up = time.monotonic() + self.patience_seconds
        while not done():
            expect(time.monotonic() < give_up, f"{what} within {self.patience_seconds:.0f} s.")
            time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()

    def _client(self) -> httpx.Client:
        if self._http is None:
            pems = certificates(self.trust(), self.invitation.relay_url)
            context = ssl.create_default_context(cadata="\n".join(pems) or None)
            self._http = httpx.Client(
                verify=context, timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False
            )
        return self._http


def _strangers_client() -> httpx.Client:
    """Return a client for the one question that is asked before any certificate is known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return httpx.Client(verify=context, timeout=TIMEOUT_SECONDS, trust_env=False)
