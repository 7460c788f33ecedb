"""A communication server as a real process, and the two who talk to it: management and a phone."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from communication import pairing
from contracts import codec, keys, request_signature
from contracts.agent import EnrolmentPost, PollAnswer, PollToken, ReportPost, SealedOrders
from contracts.link import (
    Discard,
    Inbound,
    InboundBatch,
    KnownDevice,
    KnownDevices,
    Outbound,
    OutboundBatch,
    Taken,
)

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 120.0


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def certificate() -> tuple[str, str]:
    """Return a self-signed certificate for this machine and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = pairing._self_signed(key, ["127.0.0.1"])
    return made.public_bytes(serialization.Encoding.PEM).decode(), pairing._pkcs8(key).decode()


@dataclass
class Relay:
    """Started with `start`, ended with `stop` or `kill`."""

    home: Path
    settings: dict[str, str] = field(default_factory=dict)
    paired: bool = True
    management_key: ECKey = field(default_factory=keys.new_key)
    process: subprocess.Popen[bytes] | None = None
    clients: list[httpx.Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.devices_port, self.link_port, self.http_port, self.health_port = free_ports(4)
        self.folder = self.home / "communication"
        self.tls, tls_key = certificate()
        key = keys.public_jwk(self.management_key)
        self.link_tls = pairing.prepare(self.folder, key, ["127.0.0.1"], self.tls, tls_key)
        if not self.paired:
            (self.folder / pairing.MANAGEMENT).unlink()
        self.devices_url = f"https://127.0.0.1:{self.devices_port}"
        self.link_url = f"https://127.0.0.1:{self.link_port}"

    def environment(self, **more: str) -> dict[str, str]:
        """Return what the process gets."""
        own = {
            "host": "127.0.0.1",
            "public_name": "127.0.0.1",
            "devices_port": str(self.devices_port),
            "link_port": str(self.link_port),
            "http_port": str(self.http_port),
            "health_port": str(self.health_port),
            **self.settings,
        }
        ours = {f"SEKISHO_COMMUNICATION_{name.upper()}": value for name, value in own.items()}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SEKISHO_")}
        return {**inherited, "SEKISHO_HOME": str(self.home), **ours, **more}

    def spawn(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the process without waiting; its log goes beside the data folder."""
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "sekisho", "communication"],
                cwd=ROOT,
                env=self.environment(**environment),
                stdout=log,
                stderr=log,
            )

    def start(self, **environment: str) -> "Relay":
        """Start and wait until it answers."""
        self.process = self.spawn(**environment)
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                break
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.health_port}/healthz").status_code == 200:
                    return self
            time.sleep(0.05)
        raise AssertionError((self.home / "log").read_text())

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """End it as a power failure would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def devices_client(self) -> httpx.Client:
        """Return a client for the devices port."""
        return self._client(self.devices_url, self.tls)

    def link_client(self) -> httpx.Client:
        """Return a client for the link port."""
        return self._client(self.link_url, self.link_tls)

    def _client(self, url: str, pem: str) -> httpx.Client:
        self.clients.append(httpx.Client(base_url=url, verify=context(pem), timeout=70))
        return self.clients[-1]

    def hang_up(self) -> None:
        """Close every client that was made here."""
        while self.clients:
            self.clients.pop().close()


def context(pem: str) -> ssl.SSLContext:
    """Return a context that trusts *pem* only."""
    return ssl.create_default_context(cadata=pem)


@dataclass
class Signer:
    """Signs requests over one connection."""

    client: httpx.Client
    key: ECKey
    key_id: str
    tag: str

    def headers(
        self, method: str, path: str, body: bytes = b"", now: datetime | None = None
    ) -> dict[str, str]:
        """Return the headers that sign a request."""
        url = str(self.client.base_url).rstrip("/") + path
        at = now or datetime.now(UTC)
        return request_signature.signature_headers(
            method, url, body, self.key, self.key_id, self.tag, at
        )

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a signed request."""
        signed = self.headers(method, path, body) if headers is None else headers
        return self.client.request(method, path, content=body, headers=signed)


class Management(Signer):
    """The link's side of management."""

    def __init__(self, relay: Relay) -> None:
        key = relay.management_key
        super().__init__(relay.link_client(), key, keys.thumbprint(key), request_signature.LINK)

    def inbound(self, query: str = "") -> tuple[Inbound, ...]:
        """Collect."""
        answer = self.send("GET", f"/link/v1/inbound{query}")
        assert answer.status_code == 200, answer.text
        return codec.read(InboundBatch, answer.content).items

    def take(self, *ids: int) -> httpx.Response:
        """Let the relay forget."""
        return self.send("POST", "/link/v1/inbound/taken", codec.write(Taken(ids=ids)))

    def order(
        self, recipient: UUID, epoch: int, seq: int, sealed: str, kind: Any = "order"
    ) -> None:
        """Leave one order."""
        item = Outbound(kind=kind, recipient=recipient, epoch=epoch, seq=seq, sealed=sealed)
        answer = self.send("POST", "/link/v1/outbound", codec.write(OutboundBatch(items=(item,))))
        assert answer.status_code == 204, answer.text

    def discard(self, recipient: UUID, epoch: int, seq: int) -> None:
        """Let the relay forget orders."""
        gone = Discard(recipient=recipient, epoch=epoch, seq=seq)
        body = codec.write(OutboundBatch(discards=(gone,)))
        assert self.send("POST", "/link/v1/outbound", body).status_code == 204

    def know(self, device: UUID, key: ECKey, active: bool = True) -> None:
        """Let a device use its mailbox, or no longer."""
        known = KnownDevice(device_id=device, signing_key=keys.public_jwk(key), active=active)
        body = codec.write(KnownDevices(devices=(known,), as_of=datetime.now(UTC)))
        answer = self.send("POST", "/link/v1/devices", body)
        assert answer.status_code == 204, answer.text


class Phone(Signer):
    """A device that management has made known to the relay."""

    def __init__(self, relay: Relay, management: Management) -> None:
        self.id = uuid4()
        super().__init__(
            relay.devices_client(), keys.new_key(), str(self.id), request_signature.AGENT
        )
        management.know(self.id, self.key)

    def token(self) -> str:
        """Fetch a poll token."""
        answer = self.send("POST", "/agent/v1/token")
        assert answer.status_code == 200, answer.text
        return codec.read(PollToken, answer.content).token

    def poll(self, token: str, query: str = "") -> httpx.Response:
        """Ask whether anything is new."""
        return self.client.get(
            f"/agent/v1/poll{query}", headers={"Authorization": f"Bearer {token}"}
        )

    def waiting(self, token: str, query: str = "") -> int:
        """Return how many orders a poll announces."""
        answer = self.poll(token, query)
        if answer.status_code == 204:
            return 0
        assert answer.status_code == 200, answer.text
        return codec.read(PollAnswer, answer.content).orders_waiting

    def orders(self, query: str = "") -> tuple[str, ...]:
        """Collect orders."""
        answer = self.send("GET", f"/agent/v1/orders{query}")
        assert answer.status_code == 200, answer.text
        return codec.read(SealedOrders, answer.content).orders

    def report(self, seq: int, sealed: str = "sealed", epoch: int = 1) -> httpx.Response:
        """Leave a report."""
        body = codec.write(ReportPost(epoch=epoch, seq=seq, sealed=sealed))
        return self.send("POST", "/agent/v1/reports", body)


def enrolment_post(key: ECKey, enrolment: UUID, sealed: str = "sealed") -> bytes:
    """Return the body that begins an enrolment."""
    jwk = keys.public_jwk(key)
    return codec.write(EnrolmentPost(enrolment_id=enrolment, signing_key=jwk, sealed=sealed))


def detail(answer: httpx.Response) -> str:
    """Return the sentence of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    said = answer.json()
    assert said["status"] == answer.status_code
    return str(said["detail"])
