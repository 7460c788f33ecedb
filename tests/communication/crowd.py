"""Many devices of one key each, without a client each: for tests of what a crowd does."""

import select
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from joserfc.jwk import ECKey

from contracts import codec, keys
from contracts.agent import PollToken, ReportPost
from contracts.link import BATCH, KnownDevice, KnownDevices
from contracts.request_signature import AGENT, signature_headers
from tests.communication.relay import Management, Relay, context

TOKEN, POLL, REPORTS = "/agent/v1/token", "/agent/v1/poll", "/agent/v1/reports"


@dataclass(frozen=True)
class Member:
    """One device of a crowd; all share a signing key, which costs nothing to make."""

    id: UUID
    key: ECKey

    def signed(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return a signed request as bytes."""
        headers = signature_headers(
            *(method, f"https://relay{path}", body, self.key, str(self.id), AGENT),
            datetime.now(UTC),
        )
        return request(method, path, body, headers)

    def report(self, seq: int, sealed: str = "sealed") -> bytes:
        """Return the request that leaves a report."""
        return self.signed(
            "POST", REPORTS, codec.write(ReportPost(epoch=1, seq=seq, sealed=sealed))
        )


def request(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """Return a request as bytes."""
    said = {"Host": "relay", "Content-Length": str(len(body))} | (headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def poll(token: str, query: str = "") -> bytes:
    """Return a poll as bytes."""
    return request("GET", f"{POLL}{query}", headers={"Authorization": f"Bearer {token}"})


def gather(management: Management, count: int) -> list[Member]:
    """Make *count* devices known to the relay."""
    key = keys.new_key()
    crowd = [Member(uuid4(), key) for _ in range(count)]
    public = keys.public_jwk(key)
    for start in range(0, count, BATCH):
        known = tuple(
            KnownDevice(device_id=one.id, signing_key=public, active=True)
            for one in crowd[start : start + BATCH]
        )
        body = codec.write(KnownDevices(devices=known, as_of=datetime.now(UTC)))
        assert management.send("POST", "/link/v1/devices", body).status_code == 204
    return crowd


def connect(relay: Relay, count: int) -> list[ssl.SSLSocket]:
    """Return connections to the devices port on which nothing is left to read."""
    trust = context(relay.tls)
    made = [_connect(trust, relay.devices_port) for _ in range(count)]
    for connection in made:  # TLS 1.3 sends its tickets before the first answer
        assert ask(connection, request("GET", "/nowhere"))[0] == 404
    return made


def _connect(trust: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port), 120)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return trust.wrap_socket(plain, server_hostname="127.0.0.1")


def tokens(relay: Relay, crowd: Sequence[Member]) -> list[str]:
    """Fetch a poll token for each."""
    (connection,) = connect(relay, 1)
    with connection:
        return [
            codec.read(PollToken, ask(connection, member.signed("POST", TOKEN))[1]).token
            for member in crowd
        ]


def ask(connection: ssl.SSLSocket, asked: bytes) -> tuple[int, bytes, dict[str, str]]:
    """Send a request and return status, body and headers of its answer."""
    connection.sendall(asked)
    return read(connection)


def read(connection: ssl.SSLSocket) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers (lower-case) of the next answer."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += _received(connection)
    head, _, body = text.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _received(connection)
    return int(first.split()[1]), body, headers


def _received(connection: ssl.SSLSocket) -> bytes:
    some = connection.recv(65536)
    if not some:
        raise ConnectionError("The server hung up.")
    return some


def answered(connections: Iterable[ssl.SSLSocket], seconds: float = 0.0) -> list[ssl.SSLSocket]:
    """Return those that have something to read within *seconds*."""
    poller = select.poll()
    by_number = {one.fileno(): one for one in connections}
    for number in by_number:
        poller.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poller.poll(seconds * 1000)]
