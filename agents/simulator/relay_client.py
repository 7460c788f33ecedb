"""The agent's side of the relay's HTTP surface. Whatever the relay answers is only a claim."""

import json
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

import httpx
from joserfc.jwk import ECKey

from contracts import codec
from contracts.agent import PollAnswer, PollToken, ReportPost, SealedOrders
from contracts.files import HeldParts
from contracts.request_signature import AGENT, signature_headers
from runtime.errors import (
    ForbiddenError,
    MalformedMessageError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)

PATH = "/agent/v1"
CLOCK_SKEW = "urn:sekisho:clock-skew"
MAXIMUM_ANSWER_BYTES = 16 * 1024 * 1024
TIMEOUT_SECONDS = 20
LONGEST_WAIT_SECONDS = 3600.0
"""A relay may ask for patience, but not for ever."""
LONGEST_POLL_SECONDS = 130_000.0
"""One and a half days: the longest interval of a policy, with its spread."""
LONGEST_HOLD_SECONDS = 55.0


class AskLaterError(UnavailableError):
    """The relay cannot be reached or asks to be asked later."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class UnreachableError(AskLaterError):
    """No connection to the relay: another one of the list may answer."""


class DistrustedError(UnreachableError):
    """Its TLS certificate does not chain to what management listed: perhaps that changed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought."""

    orders_waiting: bool
    poll_after_seconds: float | None
    hold_seconds: int = 0
    """Somebody waits for this device: the next poll may hang so long."""


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom requests are signed: a device id, or the enrolment id before there is one."""

    key: ECKey
    key_id: UUID
    former: ECKey | None = None
    """The key before the last renewal, for relays that were not told of it yet."""


Heard = Callable[[str, str, Answer, float], None]
"""Told of each answer: method, path without query, answer, seconds."""


class RelayClient:
    """One relay. *certificates* None: TLS is not verified, for the very first question only."""

    def __init__(
        self,
        url: str,
        certificates: Sequence[str] | None,
        clock: Callable[[], datetime],
        ahead_seconds: float = 0.0,
        heard: Heard = lambda *answer: None,
    ) -> None:
        self.url = url.rstrip("/")
        self.clock, self.heard = clock, heard
        self.ahead_seconds = ahead_seconds
        self._http = httpx.Client(
            verify=tls(certificates), timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def fetch_trust(self, tag: str = "") -> tuple[str, str] | None:
        """Return management's signed statement and its ETag; None when *tag* still holds."""
        answer = self._send("GET", "/trust", headers={"If-None-Match": tag} if tag else {})
        if answer.status == 304:
            return None
        _expect(answer, 200)
        return answer.body.decode("ascii", "replace").strip(), answer.headers.get("etag", "")

    def post_enrolment(self, body: bytes) -> float:
        """Hand in an `EnrolmentPost`; return the seconds after which to ask for the answer."""
        answer = self._send("POST", "/enrolments", body)
        _expect(answer, 202)
        return _retry_after(answer) or 1.0

    def fetch_enrolment(self, identity: Identity) -> SealedOrders | float | None:
        """Return the sealed answer, or the seconds after which to ask again.

        None: the relay knows nothing of the request; it has to be handed in again.
        """
        answer = self._signed("GET", f"/enrolments/{identity.key_id}", b"", identity)
        if answer.status in (401, 404):
            return None
        _expect(answer, 200, 202)
        if answer.status == 202:
            return _retry_after(answer) or 1.0
        return codec.read(SealedOrders, answer.body, MAXIMUM_ANSWER_BYTES)

    def fetch_token(self, identity: Identity) -> PollToken:
        """Return a short-lived token that makes polls cheap."""
        answer = self._signed("POST", "/token", b"", identity)
        _expect(answer, 200)
        return codec.read(PollToken, answer.body)

    def poll(
        self, token: PollToken, epoch: int, after: int, every: int, wait_seconds: int = 0
    ) -> Polled:
        """Ask whether orders beyond *after* of *epoch* wait, for at most *wait_seconds*.

        *every*: the seconds between two polls that the policy asks for. Raises
        UnauthenticatedError when the token has to be renewed.
        """
        headers = {"Authorization": f"Bearer {token.token}"}
        path = f"/poll?after={after}&epoch={epoch}&every={every}"
        path += f"&wait={wait_seconds}" if wait_seconds > 0 else ""
        answer = self._send("GET", path, b"", headers, TIMEOUT_SECONDS + wait_seconds)
        _expect(answer, 200, 204)
        next_poll = _seconds(answer.headers.get("sekisho-poll-after"), LONGEST_POLL_SECONDS)
        hold = int(_seconds(answer.headers.get("sekisho-poll-wait"), LONGEST_HOLD_SECONDS) or 0)
        waiting = answer.status == 200 and codec.read(PollAnswer, answer.body).orders_waiting > 0
        return Polled(waiting, next_poll, hold)

    def fetch_orders(self, identity: Identity, epoch: int, after: int) -> SealedOrders:
        """Return what the relay holds beyond order *after* of *epoch*."""
        answer = self._signed("GET", f"/orders?after={after}&epoch={epoch}", b"", identity)
        _expect(answer, 200)
        return codec.read(SealedOrders, answer.body, MAXIMUM_ANSWER_BYTES)

    def post_report(self, identity: Identity, report: ReportPost) -> None:
        """Hand in a report; returns once the relay says that it is stored."""
        _expect(self._signed("POST", "/reports", codec.write(report), identity), 202)

    def fetch_file(self, identity: Identity, sha256: str, offset: int) -> bytes:
        """Return a piece of a file of the store from *offset* on; nothing: it is not there yet."""
        answer = self._signed("GET", f"/files/{sha256}?offset={offset}", b"", identity)
        if answer.status == 404:
            return b""
        _expect(answer, 200)
        return answer.body

    def held_parts(self, identity: Identity, upload_id: UUID) -> tuple[int, ...] | None:
        """Return which parts of an upload the relay holds; None: it does not expect it yet."""
        answer = self._signed("GET", f"/uploads?upload={upload_id}", b"", identity)
        if answer.status == 404:
            return None
        _expect(answer, 200)
        return codec.read(HeldParts, answer.body).parts

    def post_part(self, identity: Identity, upload_id: UUID, number: int, sealed: bytes) -> None:
        """Leave a sealed part; returns once the relay says that it is stored."""
        path = f"/uploads?upload={upload_id}&part={number}"
        _expect(self._signed("POST", path, sealed, identity), 202)

    def _signed(self, method: str, path: str, body: bytes, identity: Identity) -> Answer:
        """Send a signed request; a relay that does not know the key may know the former one."""
        answer = self._signed_in_time(method, path, body, identity)
        if answer.status != 401 or identity.former is None:
            return answer
        former = Identity(identity.former, identity.key_id)
        again = self._signed_in_time(method, path, body, former)
        return answer if again.status == 401 else again

    def _signed_in_time(self, method: str, path: str, body: bytes, identity: Identity) -> Answer:
        """Send a signed request; when only the clock is wrong, take the relay's and try again."""
        answer = self._send_signed(method, path, body, identity)
        date = answer.headers.get("date", "")
        if answer.status != 401 or CLOCK_SKEW.encode() not in answer.body or not date:
            return answer
        try:
            self.ahead_seconds = (parsedate_to_datetime(date) - self.clock()).total_seconds()
        except (ValueError, TypeError):
            return answer
        return self._send_signed(method, path, body, identity)

    def _send_signed(self, method: str, path: str, body: bytes, identity: Identity) -> Answer:
        now = self.clock() + timedelta(seconds=self.ahead_seconds)
        url = self.url + PATH + path
        key, key_id = identity.key, str(identity.key_id)
        headers = signature_headers(method, url, body, key, key_id, AGENT, now)
        return self._send(method, path, body, headers)

    def _send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        timeout: int = TIMEOUT_SECONDS,
    ) -> Answer:
        request = self._http.build_request(
            method,
            self.url + PATH + path,
            content=body,
            headers={"Accept-Encoding": "identity"} | _content_type(body) | (headers or {}),
            timeout=timeout,
        )
        began = time.monotonic()
        try:
            answer = self._read(self._http.send(request, stream=True))
        except httpx.HTTPError as error:
            distrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            raise (DistrustedError if distrusted else UnreachableError)(
                f"The relay {self.url} cannot be reached: {error or type(error).__name__}. "
                "Check the address and the network; it is asked again at the next check-in."
            ) from None
        self.heard(method, path.partition("?")[0], answer, time.monotonic() - began)
        return answer

    def _read(self, response: httpx.Response) -> Answer:
        body = b""
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAXIMUM_ANSWER_BYTES:
                    raise TooLargeError("The relay's answer is larger than an agent reads.")
        finally:
            response.close()
        return Answer(response.status_code, response.headers, body)


def _content_type(body: bytes) -> dict[str, str]:
    return {"Content-Type": "application/json"} if body else {}


def tls(certificates: Sequence[str] | None) -> ssl.SSLContext:
    """Return what verifies a relay by *certificates*; None: nothing is verified."""
    if certificates is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cadata="\n".join(certificates) or None)
    except ssl.SSLError as error:
        raise MalformedMessageError(
            f"Management's statement holds a relay certificate that cannot be read: {error.reason}."
        ) from None


def _expect(answer: Answer, *statuses: int) -> None:
    """Raise what *answer* means unless its status is one of *statuses*."""
    if answer.status in statuses:
        return
    said = _said(answer)
    if answer.status == 401:
        raise UnauthenticatedError(f"The relay does not accept who we are: {said}")
    if answer.status == 403:
        raise ForbiddenError(f"The relay serves this device no longer: {said}")
    if answer.status == 429 or answer.status >= 500:
        raise AskLaterError(f"The relay asks to come later: {said}", _retry_after(answer))
    raise RefusedError(f"The relay refused the request ({answer.status}): {said}")


def _said(answer: Answer) -> str:
    """Return the sentence in a problem document (RFC 9457), or what stands for it."""
    try:
        fields = json.loads(answer.body)
        said = fields.get("detail") or fields.get("title")
    except (ValueError, AttributeError):
        said = None
    return str(said)[:300] if said else f"status {answer.status} without a reason."


def _retry_after(answer: Answer) -> float | None:
    """Read Retry-After (RFC 9110 section 10.2.3), in seconds or as a date."""
    value = answer.headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or not value:
        return seconds
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_WAIT_SECONDS)


def _seconds(value: str | None, most: float = LONGEST_WAIT_SECONDS) -> float | None:
    """Return a header's number of seconds within bounds, or None."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 9:
        return None
    return min(float(value), most)
