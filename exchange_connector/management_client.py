"""Calls management's ``/connector/v1``: signed requests, TLS against the pinned authority only."""

import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

import httpx
from joserfc.jwk import ECKey

from contracts import codec, request_signature
from contracts import connector as messages
from contracts import keys as jwk
from exchange_connector.authority import why_refused
from runtime import http_in_time
from runtime.clock import utc_now
from runtime.errors import (
    ForbiddenError,
    RefusedError,
    SekishoError,
    UnauthenticatedError,
    UnavailableError,
)

WHOLE_SECONDS = 300.0
"""Of one question and its answer, whatever comes meanwhile."""
RELEASE_SECONDS = 3600.0
"""The same for a file of a release."""
CLOCK_SKEW = "urn:sekisho:clock-skew"
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
_ERROR_OF: dict[int, type[SekishoError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    429: UnavailableError,
}


class ManagementClient:
    """One connection to management; a context manager."""

    def __init__(
        self,
        address: str,
        authority: str,
        key: ECKey,
        key_id: str,
        mend: str = "sekisho exchange-connector management-ca",
    ) -> None:
        """Trust only certificates under *authority* (PEM); sign with *key* as *key_id*.

        *mend*: the command that gives this process another authority.
        """
        self._url, self._mend = address.rstrip("/") + "/connector/v1", mend
        self._authority = self._wanted = authority
        self._http = self._connected()
        self.releases_url = f"{self._url}/releases"
        """Where management hands on the releases, as an update source."""
        self._key, self._key_id = key, key_id
        self._ahead = timedelta()
        """How far management's clock is ahead of ours."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def trust(self, authority: str) -> None:
        """Trust only certificates under *authority* (PEM), from the next request on."""
        self._wanted = authority

    def _connected(self) -> httpx.Client:
        trust = ssl.create_default_context(cadata=self._authority)
        return http_in_time.client(WHOLE_SECONDS, trust, base_url=self._url)

    def _connection(self) -> httpx.Client:
        """Return the connection; a fresh one when another authority is to be trusted."""
        if self._wanted != self._authority:
            self._http.close()
            self._authority = self._wanted
            self._http = self._connected()
        return self._http

    def pair(
        self, code: str, name: str, version: str, kind: messages.Kind = "exchange"
    ) -> messages.Paired:
        """Use up the one-time code; return who we are now."""
        key = jwk.public_jwk(self._key)
        asked = messages.PairingRequest(code=code, key=key, name=name, version=version, kind=kind)
        answer = self._ask("POST", "/pairings", codec.write(asked))
        return codec.read(messages.Paired, answer.content)

    def report_partnerships(
        self, partnerships: Sequence[messages.Partnership], seen_at: datetime, whole: bool = True
    ) -> None:
        """Report in batches; *whole*: what is not among them is gone from the server."""
        pass_id = uuid4()
        starts = range(0, len(partnerships), messages.BATCH) or range(1)
        for start in starts:
            batch = messages.PartnershipBatch(
                pass_id=pass_id,
                seen_at=seen_at,
                complete=whole and start == starts[-1],
                partnerships=tuple(partnerships[start : start + messages.BATCH]),
            )
            self._ask("POST", "/partnerships", codec.write(batch))

    def report_synced(self, synced: Sequence[messages.Synced], at: datetime) -> None:
        """Report when phones last synchronised."""
        for start in range(0, len(synced), messages.BATCH):
            some = tuple(synced[start : start + messages.BATCH])
            self._ask("POST", "/synced", codec.write(messages.SyncedBatch(at=at, synced=some)))

    def report_wipe(self, report: messages.WipeReport) -> None:
        """Report how far a wipe is."""
        self._ask("POST", "/wipes", codec.write(report))

    def get_access(self, known: str) -> tuple[messages.WantedAccess, str] | None:
        """Return what is wanted and its tag, or None while the tag *known* still holds."""
        headers = {"If-None-Match": known} if known else {}
        answer = self._ask("GET", "/access", b"", headers)
        if answer.status_code == 304:
            return None
        wanted = codec.read(messages.WantedAccess, answer.content, LARGEST_ANSWER_BYTES)
        return wanted, answer.headers.get("ETag", "")

    def get_mark(self) -> str:
        """Return what changes whenever the answer of `get_access` may; costs next to nothing."""
        answer = self._ask("GET", "/mark", b"")
        return codec.read(messages.AccessMark, answer.content).mark

    def get_access_since(self, since: datetime | None) -> messages.WantedAccess:
        """Return what was decided since then, or everything; the answer says its time."""
        said = f"{since.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}" if since else "ever"
        answer = self._ask("GET", f"/access?since={said}", b"")
        return codec.read(messages.WantedAccess, answer.content, LARGEST_ANSWER_BYTES)

    def report_applied(self, applied: Sequence[messages.Applied]) -> None:
        """Report at most `BATCH` results."""
        self._ask("POST", "/applied", codec.write(messages.AppliedBatch(applied=tuple(applied))))

    def send_log(self, order_id: UUID, name: str, content: bytes) -> None:
        """Send the ZIP of our log."""
        self._ask("POST", f"/logs/{order_id}/{name}", content)

    @contextmanager
    def release_file(self, url: str) -> Iterator[httpx.Response]:
        """Yield management's answer with a file of its copy of the releases, unread."""
        signed, patience = self._signature("GET", url, b""), {http_in_time.WHOLE: RELEASE_SECONDS}
        with self._connection().stream("GET", url, headers=signed, extensions=patience) as answer:
            yield answer

    def report_status(self, status: messages.ConnectorStatus) -> None:
        """Report how we stand."""
        self._ask("POST", "/status", codec.write(status))

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send one signed request; once more, with management's time, when only our clock is off.

        Raises UnavailableError when management does not answer or is busy, UnauthenticatedError,
        ForbiddenError and RefusedError with its words.
        """
        answer = self._send(method, path, body, headers or {})
        if answer.status_code == 401 and _problem(answer).get("type") == CLOCK_SKEW:
            self._ahead = _date(answer) - utc_now()
            answer = self._send(method, path, body, headers or {})
        if answer.status_code < 400:
            return answer
        kind = UnavailableError if answer.status_code >= 500 else RefusedError
        detail = _problem(answer).get("detail") or f"status {answer.status_code}"
        raise _ERROR_OF.get(answer.status_code, kind)(f"Management says: {detail}")

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        connection = self._connection()
        request = connection.build_request(method, path, content=body, headers=headers)
        request.headers.update(self._signature(method, str(request.url), body))
        try:
            with translated():
                return connection.send(request)
        except UntrustedError as error:
            why = why_refused(self._authority, str(error), self._mend, utc_now())
            raise UnavailableError(why) from None

    def _signature(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return request_signature.signature_headers(
            method,
            url,
            body,
            self._key,
            self._key_id,
            request_signature.CONNECTOR,
            utc_now() + self._ahead,
        )


class UntrustedError(UnavailableError):
    """Management shows a certificate that is not trusted."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise UnavailableError for whatever httpx cannot do."""
    try:
        yield
    except httpx.HTTPError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise UntrustedError(cause.verify_message) from None
            cause = cause.__cause__ or cause.__context__
        raise UnavailableError(f"Management cannot be reached: {error}") from None


def _problem(answer: httpx.Response) -> dict[str, str]:
    try:
        said = json.loads(answer.content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _date(answer: httpx.Response) -> datetime:
    try:
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return utc_now()
