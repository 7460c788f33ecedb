"""A device that misuses what it was given, and sees whether anybody falls for it.

What the relay must refuse is sent straight to it. What only management can refuse (the relay sees
sealed messages) is sealed and left at the relay; then the device sends a request to enrol with a
made-up key. Relays deliver in order, so once management refused that request it has seen the
others, and its receipts tell whether it took one of them.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import ECKey

from agents.simulator import orders, relay_client, trust, visit
from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import TIMEOUT_SECONDS, Identity
from agents.simulator.state import DeviceState, Membership
from contracts import codec, envelope, keys
from contracts.agent import (
    Digest,
    EnrolmentPost,
    EnrolmentRefused,
    EnrolmentRequest,
    Report,
    ReportPost,
)
from contracts.request_signature import AGENT, signature_headers
from runtime.clock import utc_now

TOO_LARGE_BYTES = 5 * 1024 * 1024
HTTP_PATH = relay_client.PATH
RELAY_ATTACKS = 9
"""How many different messages `HostileDevice.attack_relay` knows."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one hostile message."""

    what: str
    refused: bool
    why: str


class HostileDevice(SimulatedDevice):
    """Enrols honestly; see the module."""

    kept = ""
    """An honest report, to send it again later."""

    # --- what the relay must refuse ---

    def attack_relay(self, turn: int) -> Result:
        """Send the hostile message whose turn it is and return what the relay answered."""
        attacks = (
            ("forged poll token", self._forged_token),
            ("request signed with another key", self._forged_signature),
            ("request signed for another device", self._foreign_signature),
            ("signed request sent twice", self._replayed_request),
            ("signed body exchanged on the way", self._exchanged_body),
            ("signed garbage", self._garbage),
            ("garbage without signature", self._unsigned_garbage),
            ("oversized report", self._oversized),
            ("garbage as enrolment", self._garbage_enrolment),
        )
        what, send = attacks[turn % len(attacks)]
        with self._client() as http:
            try:
                answer = send(http)
            except httpx.HTTPError as error:
                return Result(what, True, f"hung up ({type(error).__name__})")
        return Result(what, answer.status_code >= 400, _why(answer))

    def _forged_token(self, http: httpx.Client) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secrets.token_urlsafe(36)}"}
        return http.get(f"{HTTP_PATH}/poll", headers=headers)

    def _forged_signature(self, http: httpx.Client) -> httpx.Response:
        return self._ask(http, "GET", "/orders", key=keys.new_key())

    def _foreign_signature(self, http: httpx.Client) -> httpx.Response:
        return self._ask(http, "GET", "/orders", key_id=uuid4())

    def _replayed_request(self, http: httpx.Client) -> httpx.Response:
        headers = self._signed("GET", "/orders")
        http.get(f"{HTTP_PATH}/orders", headers=headers).raise_for_status()
        return http.get(f"{HTTP_PATH}/orders", headers=headers)

    def _exchanged_body(self, http: httpx.Client) -> httpx.Response:
        headers = self._signed("POST", "/reports", b'{"v":1}')
        return http.post(f"{HTTP_PATH}/reports", content=b'{"v":2}', headers=headers)

    def _garbage(self, http: httpx.Client) -> httpx.Response:
        return self._ask(http, "POST", "/reports", secrets.token_bytes(2000))

    def _unsigned_garbage(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{HTTP_PATH}/reports", content=secrets.token_bytes(2000))

    def _oversized(self, http: httpx.Client) -> httpx.Response:
        return self._ask(http, "POST", "/reports", b"A" * TOO_LARGE_BYTES)

    def _garbage_enrolment(self, http: httpx.Client) -> httpx.Response:
        return http.post(f"{HTTP_PATH}/enrolments", content=secrets.token_bytes(2000))

    def _ask(
        self,
        http: httpx.Client,
        method: str,
        path: str,
        body: bytes = b"",
        key: ECKey | None = None,
        key_id: UUID | None = None,
    ) -> httpx.Response:
        headers = self._signed(method, path, body, key, key_id)
        return http.request(method, HTTP_PATH + path, content=body, headers=headers)

    def _signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        key: ECKey | None = None,
        key_id: UUID | None = None,
    ) -> dict[str, str]:
        own, now = visit.identity(self.state), utc_now()
        name, url = str(key_id or own.key_id), f"https://relay{HTTP_PATH}{path}"
        return signature_headers(method, url, body, key or own.key, name, AGENT, now)

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        state = self.state
        allowed = trust.certificates(state.known_trust(), state.relay_url)
        tls = relay_client.tls(allowed)
        with httpx.Client(
            base_url=state.relay_url, verify=tls, timeout=TIMEOUT_SECONDS, trust_env=False
        ) as http:
            yield http

    # --- what management must refuse ---

    def keep_report(self) -> None:
        """Remember an honest report that management has not receipted yet."""
        self.kept = next((report.sealed for report in self.state.reports), self.kept)

    def deceive_management(self) -> "Deception":
        """Leave what only management can refuse, and the request whose answer says it was seen."""
        state = self.state
        member, signer = state.member(), keys.read_private(state.signing_key)
        following = _report(state, member)
        messages = {
            "report forged with another key": self._sealed(following, keys.new_key()),
            "report in another device's name": self._sealed(
                replace(following, iss=uuid4()), signer
            ),
            "report out of its turn": self._sealed(
                replace(following, seq=member.report_seq + 7), signer
            ),
            "report of an enrolment never made": self._sealed(
                replace(following, epoch=member.epoch + 5), signer
            ),
            "garbage for management": envelope.encrypt("no signature", self._management()),
        } | ({"honest report once more": self.kept} if self.kept else {})
        asked = uuid4()
        with self._relay() as relay:
            for place, sealed in enumerate(messages.values()):
                seq = member.report_seq + 1 + place
                post = ReportPost(epoch=member.epoch, seq=seq, sealed=sealed)
                relay.post_report(visit.identity(state), post)
            relay.post_enrolment(codec.write(self._made_up_request(asked)))
        return Deception(self, tuple(messages), member.report_seq, asked)

    def _sealed(self, report: Report, key: ECKey) -> str:
        return envelope.seal(codec.write(report), envelope.REPORT, key, self._management())

    def _management(self) -> ECKey:
        return keys.read_public(self.state.known_trust().encryption_key)

    def _made_up_request(self, enrolment_id: UUID) -> EnrolmentPost:
        state = self.state
        signer = keys.read_private(state.signing_key)
        request = EnrolmentRequest(
            enrolment_id=enrolment_id,
            aud="management",
            sent_at=utc_now(),
            enrolment_key=secrets.token_hex(10).upper(),
            user_name="",
            user_password="",
            signing_key=keys.public_jwk(signer),
            encryption_key=keys.public_jwk(keys.read_private(state.encryption_key)),
            device=state.phone.description,
        )
        sealed = envelope.seal(codec.write(request), envelope.ENROLMENT, signer, self._management())
        return EnrolmentPost(
            enrolment_id=enrolment_id, signing_key=request.signing_key, sealed=sealed
        )


@dataclass(frozen=True, slots=True)
class Deception:
    """Messages on their way to management."""

    device: HostileDevice
    messages: tuple[str, ...]
    written: int
    """The highest honest report; a receipt above it means that a false one was taken."""
    asked: UUID

    def results(self) -> list[Result] | None:
        """Return what came of the messages; None while management has not seen them all."""
        why = self._refusal()
        if why is None:
            return None
        taken = self._receipted() > self.written
        words = "management took one of them" if taken else "never receipted"
        found = [Result(what, not taken, words) for what in self.messages]
        return [*found, Result("made-up enrolment key", bool(why), why or "it was enrolled")]

    def _refusal(self) -> str | None:
        """Return management's reason against the made-up key, empty when it enrolled us."""
        state = self.device.state
        identity = Identity(keys.read_private(state.signing_key), self.asked)
        with self.device._relay() as relay:
            answer = relay.fetch_enrolment(identity)
        if answer is None or isinstance(answer, float):
            return None
        opened = keys.read_private(state.encryption_key)
        bodies = [
            orders.open_order(sealed, opened, orders.order_key(state)).body
            for sealed in answer.orders
        ]
        refusals = [body.reason for body in bodies if isinstance(body, EnrolmentRefused)]
        return refusals[0] if refusals else ""

    def _receipted(self) -> int:
        """Collect orders and return which report management says it holds."""
        device = self.device
        with device.file.checking_in(), device._relay() as relay:
            visit.Visit(device.file, relay, device.clock, device.timing).collect()
        return device.state.member().report_seq


def _report(state: DeviceState, member: Membership) -> Report:
    return Report(
        iss=member.device_id,
        aud="management",
        epoch=member.epoch,
        seq=member.report_seq + 1,
        ack=member.order_seq,
        sent_at=utc_now() - timedelta(seconds=1),
        items=(Digest(),),
    )


def _why(answer: httpx.Response) -> str:
    return f"{answer.status_code} {reason(answer.content) or answer.reason_phrase}"


def reason(body: bytes) -> str:
    """Return the sentence of a problem document without what differs each time."""
    try:
        said = json.loads(body).get("detail")
    except (ValueError, AttributeError):
        return ""
    return _CHANGING.sub("…", str(said or ""))


_CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4,}")
"""Ids and large numbers."""
