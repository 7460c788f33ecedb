"""Dials one communication server: pinned certificate, signed requests, deadlines and limits."""

import socket
import ssl
import uuid
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote
from uuid import UUID

import httpx
from joserfc.jwk import ECKey
from pydantic_core import from_json

from contracts import codec, keys
from contracts.download import Download
from contracts.files import ExpectedUpload, HeldFiles, WaitingUploads
from contracts.link import (
    Discard,
    InboundBatch,
    KnownDevices,
    LiveDevices,
    LogWish,
    Outbound,
    OutboundBatch,
    OwnLog,
    RelayCertificate,
    RelaySettings,
    RelayStatus,
    SeenBatch,
    Taken,
    Trust,
)
from contracts.request_signature import LINK, signature_headers
from runtime import http_in_time
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, MalformedMessageError, UnavailableError

T = TypeVar("T")
JSON, OCTETS = "application/json", "application/octet-stream"
EXCHANGE_SECONDS = 120.0
"""How long one exchange may take in the background: from the look-up of the name to the end of the
answer, whatever comes meanwhile."""
LOOK_SECONDS = 10.0
"""The same for all that a person waits for in the console."""
VISIT_SECONDS = 600.0
"""How long a client is used: what is left then is done at the next visit."""
NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL (x509_vfy.h); Python's ssl has no name for it."""
MOST_BYTES = 48 * 1024 * 1024
"""Most of one answer; a batch holds at least one message whatever its size."""


class LinkClient:
    """The link to one relay; every method raises UnavailableError with what went wrong."""

    def __init__(
        self,
        url: str,
        certificate: str,
        key: ECKey,
        instance: str = "",
        seconds: float | None = None,
    ) -> None:
        """Dial *url* (``https://host:port``), which must show exactly *certificate* (PEM).

        *instance* names this server, so that a relay refuses another one with the same keys. Each
        exchange ends after *seconds*; left out: `EXCHANGE_SECONDS`.
        """
        self._url, self._key, self._instance = url.rstrip("/"), key, instance
        self._http = http_in_time.client(seconds or EXCHANGE_SECONDS, pinned(certificate))
        self._until = monotonic() + VISIT_SECONDS

    def __enter__(self) -> "LinkClient":
        """Keep the connection for several requests."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def status(self) -> RelayStatus:
        """Return how the relay is."""
        return _read(RelayStatus, self._ask("GET", "/link/v1/status"))

    def inbound(self) -> InboundBatch:
        """Return the oldest messages that wait for management."""
        return _read(InboundBatch, self._ask("GET", "/link/v1/inbound"))

    def taken(self, ids: Sequence[int]) -> None:
        """Let the relay forget what management has stored."""
        self._ask("POST", "/link/v1/inbound/taken", codec.write(Taken(ids=tuple(ids))))

    def hand_out(self, items: Sequence[Outbound], discards: Sequence[Discard] = ()) -> None:
        """Leave orders, and let acknowledged ones be forgotten."""
        batch = OutboundBatch(items=tuple(items), discards=tuple(discards))
        self._ask("POST", "/link/v1/outbound", codec.write(batch))

    def put_devices(self, devices: KnownDevices) -> None:
        """Tell changes of the devices that may use their mailbox."""
        self._ask("POST", "/link/v1/devices", codec.write(devices))

    def let_hurry(self, devices: Sequence[UUID], seconds: int) -> None:
        """Let devices poll quickly for so long."""
        self._ask(
            "POST",
            "/link/v1/live",
            codec.write(LiveDevices(devices=tuple(devices), seconds=seconds)),
        )

    def put_trust(self, statement: str) -> None:
        """Leave the statement that devices ask for."""
        self._ask("PUT", "/link/v1/trust", codec.write(Trust(statement=statement)))

    def put_certificate(self, certificate: RelayCertificate) -> None:
        """Let devices see another certificate from now on."""
        self._ask("PUT", "/link/v1/certificate", codec.write(certificate))

    def put_settings(self, settings: RelaySettings) -> None:
        """Let the relay listen elsewhere from now on."""
        self._ask("PUT", "/link/v1/settings", codec.write(settings))

    def put_log_level(self, wished: LogWish) -> None:
        """Let the relay log at a level for a while."""
        self._ask("PUT", "/link/v1/log-level", codec.write(wished))

    def own_log(self) -> OwnLog:
        """Return the relay's own log."""
        return _read(OwnLog, self._ask("GET", "/link/v1/log"))

    def seen(self, since: datetime) -> SeenBatch:
        """Return which devices polled after an instant, as the relay says."""
        return _read(SeenBatch, self._ask("GET", f"/link/v1/seen?since={quote(since.isoformat())}"))

    def files(self) -> HeldFiles:
        """Return which files of the app store lie with the relay."""
        return _read(HeldFiles, self._ask("GET", "/link/v1/files"))

    def put_file(self, sha256: str, offset: int, size_bytes: int, body: bytes) -> None:
        """Leave the next piece of a file; the last one completes it."""
        path = f"/link/v1/files/{sha256}?offset={offset}&size={size_bytes}"
        self._ask("PUT", path, body, OCTETS)

    def forget_file(self, sha256: str) -> None:
        """Let the relay delete a file."""
        self._ask("DELETE", f"/link/v1/files/{sha256}")

    def put_download(self, download: Download) -> None:
        """Tell what the relay's download page offers."""
        self._ask("PUT", "/link/v1/download", codec.write(download))

    def uploads(self) -> WaitingUploads:
        """Return what devices left of the files that management asked for."""
        return _read(WaitingUploads, self._ask("GET", "/link/v1/uploads"))

    def expect_upload(self, upload_id: UUID, expected: ExpectedUpload) -> None:
        """Let a device leave a file."""
        self._ask("PUT", f"/link/v1/uploads/{upload_id}", codec.write(expected))

    def upload_part(self, upload_id: UUID, number: int) -> bytes:
        """Return a part of a file, as the device sealed it."""
        return self._ask("GET", f"/link/v1/uploads/{upload_id}/{number}")

    def forget_upload(self, upload_id: UUID) -> None:
        """Let the relay delete what a device left."""
        self._ask("DELETE", f"/link/v1/uploads/{upload_id}")

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> bytes:
        if monotonic() > self._until:
            raise UnavailableError(
                f"The visit took more than {VISIT_SECONDS:.0f} s; it goes on with the next one."
            )
        url = self._url + path
        headers = signature_headers(
            method, url, body, self._key, keys.thumbprint(self._key), LINK, utc_now()
        )
        if body:
            headers["Content-Type"] = kind
        if self._instance:
            headers["Sekisho-Instance"] = self._instance
        try:
            with self._http.stream(method, url, content=body, headers=headers) as response:
                answer = bounded(response)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"The communication server does not answer at {self._url}: {words_of(error)}."
            ) from None
        if response.status_code >= 300:
            raise UnavailableError(
                f"The communication server answered {path.partition('?')[0]} with "
                f"{response.status_code}: {said_problem(answer)}"
            )
        return answer


def instance_of(home: Path) -> str:
    """Return a name for the server with the data folder *home* on this machine, each time alike."""
    mac = uuid.getnode()
    known_mac = "" if mac >> 40 & 1 else f"{mac:x}"  # else a random number, each time another
    machine = Path("/etc/machine-id")
    parts = (
        machine.read_text(encoding="ascii", errors="replace") if machine.exists() else "",
        socket.gethostname(),
        known_mac,
        str(home.resolve()),
    )
    return sha256("\n".join(parts).encode()).hexdigest()[:32]


def pinned(certificate: str) -> ssl.SSLContext:
    """Return a client context that trusts this one certificate (PEM) and no other, by any name.

    Its end does not matter: a person pinned it when the relay was paired, until it is unpaired.
    ConfigurationError when it is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the leaf itself is the anchor
    context.verify_flags |= NO_CHECK_TIME
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            f"The pinned certificate of the communication server cannot be read: {error}."
        ) from None
    return context


def bounded(response: httpx.Response, most: int = MOST_BYTES) -> bytes:
    """Return the whole body; UnavailableError above *most* bytes."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > most:
            raise UnavailableError(
                f"The communication server's answer is larger than {most} bytes."
            )
        parts.append(part)
    return b"".join(parts)


def _read(kind: type[T], answer: bytes) -> T:
    try:
        return codec.read(kind, answer, MOST_BYTES)
    except MalformedMessageError as error:
        raise UnavailableError(f"The communication server answers strangely. {error}") from None


def said_problem(answer: bytes) -> str:
    """Return the ``detail`` of a problem+json answer (RFC 9457), or its beginning."""
    try:
        fields = from_json(answer)
    except ValueError:
        fields = None
    detail = fields.get("detail") if isinstance(fields, dict) else None
    return str(detail or answer[:200].decode("utf-8", "replace"))[:500]


def words_of(error: httpx.HTTPError) -> str:
    """Return what went wrong on the way, for people."""
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "it shows another certificate than at pairing. If it was set up anew, pair it again; "
            "otherwise somebody is in between"
        )
    return text
